//! Asynchronous inserts that were answered, until `system.asynchronous_insert_log` takes them.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::queue::{Entry, Kind};

/// Inserts remembered.
const ENTRIES_MAX: usize = 10_000;

/// One insert that was answered.
#[derive(Clone)]
pub struct JournalEntry {
    pub database: String,
    pub table: String,
    pub format: String,
    pub query_id: String,
    pub bytes: u64,
    pub rows: u64,
    /// Empty if it went in.
    pub exception: String,
    pub queued_us: u64,
    pub flushed_us: u64,
    pub flush_query_id: String,
}

#[derive(Default)]
pub(super) struct Journal(Mutex<VecDeque<JournalEntry>>);

impl Journal {
    pub fn add(
        &self,
        kind: &Kind,
        entry: &Entry,
        failure: Option<String>,
        flushed_us: u64,
        flush_query_id: &str,
    ) {
        let mut entries = self.0.lock();
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(JournalEntry {
            database: kind.definition.database.clone(),
            table: kind.definition.name.clone(),
            format: entry.format.clone(),
            query_id: entry.query_id.clone(),
            bytes: entry.bytes as u64,
            rows: entry.block.rows() as u64,
            exception: failure.unwrap_or_default(),
            queued_us: entry.queued_us,
            flushed_us,
            flush_query_id: flush_query_id.to_string(),
        });
    }

    pub fn take(&self) -> Vec<JournalEntry> {
        std::mem::take(&mut *self.0.lock()).into()
    }
}
