//! Writing a backup: copies of all files first, the manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::{Backup, BackupProgress, MANIFEST, copy_file, manifest};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::log::{PartMeta, State, Table, mask_path};
use crate::part::{PartReader, RowMask};
use crate::store::Store;

/// Backs up `tables` of `state`, which the caller pins, to the empty folder of `to`. `databases` are
/// kept by name besides.
pub fn write(
    store: &Store,
    state: &Arc<State>,
    tables: &BTreeSet<Uuid>,
    databases: &BTreeSet<String>,
    to: &Arc<dyn Disk>,
    progress: &BackupProgress,
) -> Result<Backup> {
    if to.exists(MANIFEST)? || !to.list("parts")?.is_empty() {
        return Err(Error::LimitExceeded("a backup is there already".into()));
    }
    to.create_dir("parts")?;
    let chosen = choose(state, tables, databases);
    for table in chosen.tables.values() {
        if !table.mutations_done() {
            let name = table.definition.full_name();
            return Err(Error::Rejected(crate::log::Rejection::MutationsPending(name)));
        }
        for part in &table.parts {
            copy_part(store, part, to, progress)?;
        }
    }
    to.sync_dir("parts")?;
    manifest::write(to.as_ref(), &chosen)?;
    Ok(Backup { disk: to.clone(), state: chosen })
}

fn copy_part(
    store: &Store,
    part: &Arc<PartMeta>,
    to: &Arc<dyn Disk>,
    progress: &BackupProgress,
) -> Result<()> {
    if let Some(what) = store.quarantine_reason(part.id) {
        return Err(Error::Damaged { path: part.path(), file_offset: 0, what });
    }
    let mut bytes = copy_file(store.disk().as_ref(), &part.path(), to.as_ref(), &part.path())?;
    if let Some(mask) = &part.mask {
        let path = mask_path(mask.id);
        bytes += copy_file(store.disk().as_ref(), &path, to.as_ref(), &path)?;
    }
    verify_copy(to, part)?;
    progress.step(bytes)
}

/// Reads the files back and compares them with what the log says of the part.
pub(super) fn verify_copy(disk: &Arc<dyn Disk>, part: &PartMeta) -> Result<()> {
    let reader = PartReader::open(disk, &part.path())?;
    if reader.footer_hash() != part.footer_hash {
        let what = "its footer is not the one that the manifest lists".into();
        return Err(Error::Damaged { path: part.path(), file_offset: 0, what });
    }
    if let Some(mask) = &part.mask {
        RowMask::read(disk, mask, part.rows)?;
    }
    reader.verify_all()
}

/// The part of `state` that goes into the backup.
fn choose(state: &State, tables: &BTreeSet<Uuid>, databases: &BTreeSet<String>) -> State {
    let kept: BTreeMap<Uuid, Arc<Table>> = state
        .tables
        .iter()
        .filter(|(id, _)| tables.contains(id))
        .map(|(id, table)| {
            let mut table = (**table).clone();
            table.changes.detached_parts.clear();
            (*id, Arc::new(table))
        })
        .collect();
    let kept_databases = state
        .databases
        .iter()
        .filter(|(name, _)| databases.contains(*name))
        .map(|(name, database)| {
            let mut database = (**database).clone();
            database.tables.retain(|_, id| tables.contains(id));
            (name.clone(), Arc::new(database))
        })
        .collect();
    let mut chosen = State { tables: kept, databases: kept_databases, ..state.clone() };
    chosen.views_versions.clear();
    chosen.dropped.clear();
    chosen
}
