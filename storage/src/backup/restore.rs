//! Restoring: files are copied in under new ids and verified, then all tables appear in one commit.

use std::sync::Arc;

use uuid::Uuid;

use super::write::verify_copy;
use super::{Backup, BackupProgress, copy_file};
use crate::error::{Error, Result};
use crate::log::{
    ColumnDefinition, Commit, Edit, PartMeta, Precondition, Table, TableDefinition, mask_path,
};
use crate::part::PendingPart;
use crate::store::Store;
use crate::types::DataType;

/// One table of the backup and what it is to be: a definition with a new uuid, and perhaps a new name.
pub struct Placement {
    pub table: Uuid,
    pub definition: Arc<TableDefinition>,
}

/// Parts of one restore; more would not fit into one frame of the log.
const PARTS_MAX: usize = 200_000;

/// Brings the tables of `placements` in. `databases` are `(name, engine, comment)` of databases to be
/// made first. With `structure_only` no data and no offsets come along.
pub fn restore(
    store: &Store,
    backup: &Backup,
    databases: Vec<(String, String, String)>,
    placements: &[Placement],
    structure_only: bool,
    progress: &BackupProgress,
) -> Result<u64> {
    let mut commit = Commit::default();
    let mut masks = Masks { store, ids: vec![] };
    let mut pending = vec![];
    for (name, engine, comment) in databases {
        commit.preconditions.push(Precondition::DatabaseNameFree { name: name.clone() });
        commit.edits.push(Edit::CreateDatabase { name, engine, comment });
    }
    let made: Vec<String> = commit.edits.iter().filter_map(database_of).collect();
    for placement in placements {
        let table =
            backup.state.tables.get(&placement.table).ok_or_else(|| {
                Error::Column(format!("the backup has no table {}", placement.table))
            })?;
        let definition = &placement.definition;
        if !made.contains(&definition.database) {
            commit.preconditions.push(Precondition::TableNameFree {
                database: definition.database.clone(),
                name: definition.name.clone(),
            });
        }
        create(table, definition, &mut commit.edits);
        if structure_only {
            continue;
        }
        positions(table, definition.uuid, &mut commit.edits);
        for part in &table.parts {
            pending.push(bring_in(store, backup, part, definition.uuid, &mut masks, progress)?);
            if pending.len() > PARTS_MAX {
                return Err(Error::LimitExceeded(format!(
                    "a restore takes {PARTS_MAX} parts at most; restore fewer tables at a time"
                )));
            }
        }
    }
    let version = store.commit(commit, pending)?;
    masks.ids.clear();
    Ok(version)
}

fn database_of(edit: &Edit) -> Option<String> {
    match edit {
        Edit::CreateDatabase { name, .. } => Some(name.clone()),
        _ => None,
    }
}

/// The table, and the memory of which column ids its parts may hold.
fn create(table: &Table, definition: &Arc<TableDefinition>, edits: &mut Vec<Edit>) {
    let next = table.changes.next_column_id;
    let used = definition.columns.iter().map(|c| c.id.saturating_add(1)).max().unwrap_or(0);
    if next <= used {
        edits.push(Edit::CreateTable { definition: definition.clone() });
        return;
    }
    // A dropped column's id must not be given again: its values are still in parts.
    let mut with_last = (**definition).clone();
    with_last.columns.push(ColumnDefinition {
        id: next - 1,
        name: "_dropped".into(),
        data_type: DataType::UInt8,
        default: None,
        comment: String::new(),
        codec: String::new(),
        ttl: String::new(),
    });
    edits.push(Edit::CreateTable { definition: Arc::new(with_last) });
    edits.push(Edit::AlterTable { definition: definition.clone() });
}

/// Offsets and gaps of a stream, tokens of inserts, whether it is paused.
fn positions(table: &Table, uuid: Uuid, edits: &mut Vec<Edit>) {
    for (partition, offset) in &table.offsets {
        edits.push(Edit::AdvanceOffset {
            table: uuid,
            topic: partition.topic.clone(),
            kafka_partition: partition.kafka_partition,
            next: offset.next,
            wall_us: offset.last_commit_us,
        });
    }
    for gap in &table.gaps {
        edits.push(Edit::Gap {
            table: uuid,
            topic: gap.partition.topic.clone(),
            kafka_partition: gap.partition.kafka_partition,
            from: gap.from,
            to: gap.to,
            reason: gap.reason.clone(),
        });
    }
    if table.paused {
        edits.push(Edit::PauseStream { table: uuid, paused: true });
    }
    for token in table.tokens.in_order() {
        edits.push(Edit::Token { table: uuid, token: token.to_string() });
    }
}

/// Copies one part's files under new ids, and verifies the copies.
fn bring_in(
    store: &Store,
    backup: &Backup,
    part: &PartMeta,
    table: Uuid,
    masks: &mut Masks<'_>,
    progress: &BackupProgress,
) -> Result<PendingPart> {
    if !store.has_free_space()? {
        return Err(Error::Io {
            operation: "restore",
            path: part.path(),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    }
    let mut meta = part.clone();
    meta.id = store.new_part_id();
    meta.table = table;
    // Numbered anew, in order, by the commit; no mutation of the old table concerns it.
    (meta.min_block, meta.max_block, meta.level, meta.data_version) = (0, 0, 0, 0);
    if let Some(mask) = &mut meta.mask {
        let from = mask_path(mask.id);
        mask.id = store.new_part_id();
        masks.ids.push(mask.id);
        copy_file(backup.disk.as_ref(), &from, store.disk().as_ref(), &mask_path(mask.id))?;
    }
    let pending = PendingPart::new(meta, store.disk().clone());
    let target = pending.meta.path();
    let bytes = copy_file(backup.disk.as_ref(), &part.path(), store.disk().as_ref(), &target)?;
    verify_copy(store.disk(), &pending.meta)?;
    progress.step(bytes)?;
    Ok(pending)
}

/// Masks copied so far; those of a restore that failed are removed.
struct Masks<'s> {
    store: &'s Store,
    ids: Vec<crate::log::PartId>,
}

impl Drop for Masks<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            // What stays is an orphan, which the next start removes.
            let _ = self.store.disk().remove(&mask_path(*id));
        }
    }
}
