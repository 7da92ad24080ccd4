//! The lightweight DELETE: a new mask for every part that has rows to delete, all in one commit.
//!
//! Works on one snapshot without holding anything; if a merge replaced a part meanwhile nothing is
//! committed and all is done again. Later tries claim the parts, so that merges cannot win for ever.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBufferBuilder;

use super::rows::Condition;
use super::worker::granule_rows;
use crate::error::{Error, Result};
use crate::log::{
    self, Change, ColumnDefinition, Commit, Edit, PartId, PartMeta, Precondition, Rejection,
};
use crate::merge::claim::Claim;
use crate::part::{PendingMask, RowMask};
use crate::scan::OpenPart;
use crate::store::Store;
use crate::table::column_reader::ColumnReader;

/// Tries on ever new snapshots.
const ATTEMPTS_MAX: usize = 100;
/// Tries before parts are claimed.
const ATTEMPTS_UNCLAIMED: usize = 3;

/// What a DELETE is to do.
pub struct Deletion<'a> {
    pub database: &'a str,
    pub table: &'a str,
    /// Canonical text over the table's columns.
    pub condition: &'a str,
    pub partition_id: Option<&'a str>,
}

/// Deletes and gives how many rows. Every mutation of the table must be done: else
/// `Rejection::MutationsPending`.
pub fn delete(store: &Arc<Store>, deletion: &Deletion<'_>) -> Result<u64> {
    for attempt in 0..ATTEMPTS_MAX {
        let state = store.snapshot();
        let name = || format!("{}.{}", deletion.database, deletion.table);
        let table = state
            .table(deletion.database, deletion.table)
            .ok_or_else(|| Error::Rejected(Rejection::UnknownTable(name())))?;
        let ids: Vec<PartId> = table.parts.iter().map(|p| p.id).collect();
        let _claim = if attempt >= ATTEMPTS_UNCLAIMED { Claim::take(store, &ids) } else { None };
        match attempt_on(store, table, deletion) {
            Err(Error::Rejected(Rejection::PartGone(_) | Rejection::DefinitionChanged(_))) => {
                std::thread::sleep(std::time::Duration::from_millis(10 * attempt as u64));
            }
            other => return other,
        }
    }
    Err(Error::LimitExceeded("the parts were replaced again and again meanwhile".into()))
}

fn attempt_on(store: &Arc<Store>, table: &Arc<log::Table>, deletion: &Deletion<'_>) -> Result<u64> {
    let id = table.definition.uuid;
    let condition =
        Condition::compile(deletion.condition, &table.definition, store.compiler().as_ref())?;
    let reader = ColumnReader::new(&table.definition, store.compiler());
    let mut commit = Commit {
        preconditions: vec![
            Precondition::TableUnchanged {
                table: id,
                definition_version: table.definition_version,
            },
            Precondition::MutationsDone { table: id },
        ],
        edits: vec![],
    };
    let (mut rows, mut masks, mut changed) = (0, vec![], vec![]);
    let concerned =
        table.parts.iter().filter(|p| deletion.partition_id.is_none_or(|id| p.partition_id == id));
    for meta in concerned {
        let part = OpenPart::open(store, meta)?;
        let Some(mask) = mask_of(&part, &reader, &table.definition.columns, &condition)? else {
            continue;
        };
        rows += mask.deleted_rows() as u64 - (meta.rows - meta.rows_live());
        changed.push(meta.clone());
        if mask.deleted_rows() == mask.rows() {
            commit.edits.push(Edit::RemovePart { table: id, part: meta.id });
            continue;
        }
        let pending = mask.write(store.disk(), store.new_part_id())?;
        let part = Arc::new(PartMeta { mask: Some(pending.meta.clone()), ..(**meta).clone() });
        commit.edits.push(Edit::Change(Change::UpdatePart { part }));
        masks.push(pending);
    }
    commit.preconditions.push(Precondition::PartsAs { table: id, parts: changed });
    let outcome = store.commit(commit, vec![]);
    if matches!(outcome, Ok(_) | Err(Error::Closed(_))) {
        // Listed, or for recovery to decide.
        masks.into_iter().for_each(PendingMask::keep);
    }
    outcome.map(|_| rows)
}

/// The part's new mask; None if no row is to be deleted.
fn mask_of(
    part: &OpenPart,
    reader: &ColumnReader,
    columns: &[ColumnDefinition],
    condition: &Condition,
) -> Result<Option<RowMask>> {
    let read: Vec<&ColumnDefinition> =
        columns.iter().filter(|c| condition.inputs().contains(&c.name)).collect();
    let mut live = BooleanBufferBuilder::new(part.reader.rows() as usize);
    let mut found = false;
    for granule in 0..part.reader.granules() {
        let doomed = condition.rows(&granule_rows(part, reader, &read, granule)?)?;
        found |= doomed.true_count() > 0;
        append_left(&mut live, part.live(granule).as_ref(), &doomed);
    }
    Ok(found.then(|| RowMask::new(live.finish())))
}

/// The rows of a granule that were left and are not doomed; `doomed` counts those that were left.
fn append_left(out: &mut BooleanBufferBuilder, left: Option<&BooleanArray>, doomed: &BooleanArray) {
    let Some(left) = left else {
        (0..doomed.len()).for_each(|row| out.append(!doomed.value(row)));
        return;
    };
    let mut at = 0;
    for row in 0..left.len() {
        let was = left.value(row);
        out.append(was && !doomed.value(at));
        at += usize::from(was);
    }
}
