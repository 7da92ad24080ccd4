//! Files that the newest state needs no more, and when nobody else does either.
//!
//! A part's entry may be replaced while its file stays (a new mask, a new data version), so several
//! entries may stand for one file: it goes only when no snapshot holds any of them.

use std::collections::HashSet;
use std::sync::Arc;

use super::change::Change;
use super::edit::{Edit, PartId, PartMeta, mask_path};
use super::state::{State, Table};

/// A part's entry that left the state, and which files went with it.
#[derive(Debug)]
pub struct Removed {
    pub meta: Arc<PartMeta>,
    part: bool,
    mask: bool,
}

impl Removed {
    fn whole(meta: &Arc<PartMeta>) -> Removed {
        Removed { meta: meta.clone(), part: true, mask: true }
    }

    /// Whether the part itself is gone, not only an entry of it.
    pub fn is_part(&self) -> bool {
        self.part
    }

    /// Paths of the files to remove.
    pub fn paths(&self) -> Vec<String> {
        let mask = self.meta.mask.as_ref().filter(|_| self.mask).map(|m| mask_path(m.id));
        self.part.then(|| self.meta.path()).into_iter().chain(mask).collect()
    }
}

/// Takes those that nobody holds.
pub(super) fn take_unpinned(removed: &mut Vec<Removed>) -> Vec<Removed> {
    // A count of one is ours; nobody else can make another of it.
    let pinned: HashSet<PartId> =
        removed.iter().filter(|r| Arc::strong_count(&r.meta) > 1).map(|r| r.meta.id).collect();
    removed.extract_if(.., |r| !pinned.contains(&r.meta.id)).collect()
}

/// Whether the edit lists a file that is not a part's.
pub(super) fn names_files(edit: &Edit) -> bool {
    matches!(edit, Edit::Change(Change::UpdatePart { part }) if part.mask.is_some())
}

/// What `edit` will take out of `state`.
pub(super) fn collect_removed(state: &State, edit: &Edit, out: &mut Vec<Removed>) {
    let owned = |table: &Arc<Table>| -> Vec<Removed> {
        let parts = table.parts.iter().chain(&table.changes.detached_parts);
        parts.map(Removed::whole).collect()
    };
    match edit {
        Edit::RemovePart { table, part } => {
            let parts = state.tables.get(table).map(|t| &t.parts[..]).unwrap_or_default();
            out.extend(parts.iter().filter(|p| p.id == *part).map(Removed::whole));
        }
        Edit::DropTable { table } => {
            let dropped = state.dropped.get(table).map(|d| &d.table);
            out.extend(state.tables.get(table).or(dropped).into_iter().flat_map(owned));
        }
        Edit::DropDatabase { name } => {
            let dropped = state.dropped.values().map(|d| &d.table);
            let all = state.tables.values().chain(dropped);
            out.extend(all.filter(|t| t.definition.database == *name).flat_map(owned));
        }
        Edit::Change(change) => collect_change(state, change, out),
        _ => {}
    }
}

fn collect_change(state: &State, change: &Change, out: &mut Vec<Removed>) {
    match change {
        Change::UpdatePart { part } => {
            let parts = state.tables.get(&part.table).map(|t| &t.parts[..]).unwrap_or_default();
            out.extend(parts.iter().find(|p| p.id == part.id).map(|old| Removed {
                meta: old.clone(),
                part: false,
                mask: old.mask.as_ref().map(|m| m.id) != part.mask.as_ref().map(|m| m.id),
            }));
        }
        Change::AttachPart { table, part } => {
            let detached = state.tables.get(table).map(|t| &t.changes.detached_parts[..]);
            let found = detached.unwrap_or_default().iter().find(|p| p.id == *part);
            out.extend(found.map(|old| Removed { meta: old.clone(), part: false, mask: false }));
        }
        Change::DropDetachedPart { table, part } => {
            let detached = state.tables.get(table).map(|t| &t.changes.detached_parts[..]);
            let found = detached.unwrap_or_default().iter().find(|p| p.id == *part);
            out.extend(found.map(Removed::whole));
        }
        Change::RemovePartition { table, partition_id, detach: false } => {
            let parts = state.tables.get(table).map(|t| &t.parts[..]).unwrap_or_default();
            let gone = parts
                .iter()
                .filter(|p| partition_id.as_ref().is_none_or(|id| p.partition_id == *id));
            out.extend(gone.map(Removed::whole));
        }
        _ => {}
    }
}
