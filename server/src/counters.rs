//! What queries have done since the start: the numbers of `system.events` and `/metrics`, and
//! the errors of `system.errors`. Bounded: a counter a name, an entry an error code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::process::QueryLogEntry;

/// One error code's history.
#[derive(Debug, Clone, Default)]
pub struct ErrorCount {
    pub count: u64,
    pub last_us: u64,
    pub last_message: String,
    pub query_id: String,
}

/// Longest message kept per error code.
const MESSAGE_BYTES_MAX: usize = 1000;

macro_rules! counters {
    ($($field:ident = $name:literal, $description:literal;)*) => {
        /// Counters that only grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub $field: AtomicU64,)*
            errors: Mutex<BTreeMap<u32, ErrorCount>>,
        }

        impl Counters {
            /// ClickHouse's name, the value and what it counts, in order.
            pub fn list(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$(($name, self.$field.load(Ordering::Relaxed), $description),)*]
            }
        }
    };
}

counters! {
    queries = "Query", "Number of queries to be interpreted and potentially executed.";
    selects = "SelectQuery", "Same as Query, but only for SELECT queries.";
    inserts = "InsertQuery", "Same as Query, but only for INSERT queries.";
    failed = "FailedQuery", "Number of failed queries.";
    failed_selects = "FailedSelectQuery", "Same as FailedQuery, but only for SELECT queries.";
    failed_inserts = "FailedInsertQuery", "Same as FailedQuery, but only for INSERT queries.";
    query_us = "QueryTimeMicroseconds", "Total time of all queries.";
    select_us = "SelectQueryTimeMicroseconds", "Total time of SELECT queries.";
    insert_us = "InsertQueryTimeMicroseconds", "Total time of INSERT queries.";
    selected_rows = "SelectedRows", "Number of rows SELECTed from all tables.";
    selected_bytes = "SelectedBytes", "Number of bytes (uncompressed) SELECTed from all tables.";
    inserted_rows = "InsertedRows", "Number of rows INSERTed to all tables.";
    inserted_bytes = "InsertedBytes", "Number of bytes (uncompressed) INSERTed to all tables.";
}

impl Counters {
    /// Counts a query that has ended.
    pub fn count(&self, entry: &QueryLogEntry) {
        let add = |counter: &AtomicU64, n: u64| {
            counter.fetch_add(n, Ordering::Relaxed);
        };
        let failed = entry.exception_code != 0;
        add(&self.queries, 1);
        add(&self.query_us, entry.duration_us);
        add(&self.failed, failed.into());
        match entry.kind.as_str() {
            "Select" => {
                add(&self.selects, 1);
                add(&self.select_us, entry.duration_us);
                add(&self.failed_selects, failed.into());
            }
            "Insert" => {
                add(&self.inserts, 1);
                add(&self.insert_us, entry.duration_us);
                add(&self.failed_inserts, failed.into());
            }
            _ => {}
        }
        add(&self.selected_rows, entry.read_rows);
        add(&self.selected_bytes, entry.read_bytes);
        add(&self.inserted_rows, entry.written_rows);
        add(&self.inserted_bytes, entry.written_bytes);
        if failed {
            self.count_error(entry);
        }
    }

    fn count_error(&self, entry: &QueryLogEntry) {
        let mut errors = self.errors.lock();
        let error = errors.entry(entry.exception_code).or_default();
        error.count += 1;
        error.last_us = entry.start_us + entry.duration_us;
        error.last_message = entry.exception.chars().take(MESSAGE_BYTES_MAX).collect();
        error.query_id.clone_from(&entry.query_id);
    }

    /// Every error code seen so far.
    pub fn errors(&self) -> Vec<(u32, ErrorCount)> {
        self.errors.lock().iter().map(|(code, error)| (*code, error.clone())).collect()
    }
}
