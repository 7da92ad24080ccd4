//! What became of parts lately: a bounded list in memory, until `system.part_log` takes it.
//!
//! Filled by the store at each commit. What the list forgets is gone; the log and the parts themselves are
//! the truth.

use std::collections::VecDeque;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::log::{Commit, Edit, PartId, PartMeta, State};

/// Events remembered; the oldest go first.
const EVENTS_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartEventKind {
    /// Inserted (or attached).
    New,
    /// Made of several parts.
    Merged,
    /// Made of one part: a mutation, a TTL, a merge of one.
    Mutated,
    Removed,
}

/// One part that came or went.
#[derive(Debug, Clone)]
pub struct PartEvent {
    pub kind: PartEventKind,
    pub time_us: u64,
    /// From the part's beginning to its commit; 0 for a removal.
    pub duration_us: u64,
    pub table: Uuid,
    pub part: PartId,
    pub name: String,
    pub partition_id: String,
    pub rows: u64,
    pub bytes: u64,
    pub bytes_uncompressed: u64,
    /// Parts that it was made of.
    pub sources: Vec<PartId>,
}

/// The newest [`EVENTS_MAX`] events, oldest first.
#[derive(Default)]
pub struct PartHistory {
    events: Mutex<VecDeque<PartEvent>>,
}

impl PartHistory {
    /// The events since the last call.
    pub fn take(&self) -> Vec<PartEvent> {
        std::mem::take(&mut *self.events.lock()).into()
    }

    /// What committing `commit` with `parts` will mean.
    pub(crate) fn events_of(
        commit: &Commit,
        parts: &[PartMeta],
        before: &State,
        now_us: u64,
    ) -> Vec<PartEvent> {
        let removed = commit.edits.iter().filter_map(|edit| match edit {
            Edit::RemovePart { table, part } => Some((*table, *part)),
            _ => None,
        });
        let removed: Vec<(Uuid, PartId)> = removed.collect();
        let added = parts.iter().map(|part| {
            let sources: Vec<PartId> =
                removed.iter().filter(|(t, _)| *t == part.table).map(|(_, id)| *id).collect();
            PartEvent {
                kind: match sources.len() {
                    0 => PartEventKind::New,
                    1 => PartEventKind::Mutated,
                    _ => PartEventKind::Merged,
                },
                time_us: now_us,
                duration_us: now_us.saturating_sub(part.created_us),
                table: part.table,
                part: part.id,
                name: part.name(),
                partition_id: part.partition_id.clone(),
                rows: part.rows,
                bytes: part.bytes,
                bytes_uncompressed: part.bytes_uncompressed,
                sources,
            }
        });
        let gone = removed.iter().filter_map(|(table, id)| {
            let part = before.tables.get(table)?.parts.iter().find(|p| p.id == *id)?;
            Some(PartEvent {
                kind: PartEventKind::Removed,
                time_us: now_us,
                duration_us: 0,
                table: *table,
                part: *id,
                name: part.name(),
                partition_id: part.partition_id.clone(),
                rows: part.rows,
                bytes: part.bytes,
                bytes_uncompressed: part.bytes_uncompressed,
                sources: vec![],
            })
        });
        added.chain(gone).collect()
    }

    pub(crate) fn remember(&self, new: Vec<PartEvent>) {
        let mut events = self.events.lock();
        events.extend(new);
        let surplus = events.len().saturating_sub(EVENTS_MAX);
        events.drain(..surplus);
    }
}
