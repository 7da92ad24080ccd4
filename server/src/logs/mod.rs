//! System logs: `system.query_log`, `part_log`, `text_log` and their kin, as tables of the MergeTree engine.
//!
//! Whoever has something to log leaves a row in a queue of bounded length and goes on; a thread of its
//! own writes the queues to their tables every few seconds, so that no query waits for a log. What finds
//! its queue full is dropped and counted (`SystemLogErrorOnFlush`). Tables are made when the first rows
//! come, keep their rows for some days, and are set aside under another name (`query_log_0`) if another
//! version left other columns. Parts of the logs themselves are not logged, else an idle server would
//! never rest.

mod flush;
mod gather;
mod query_rows;
mod schema;
mod spans;
pub mod text;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use pumphouse_storage::Value;

use self::gather::Seen;

pub use self::flush::{logs_named, start};
pub use self::query_rows::{Origin, QueryEnd, is_logged, query_row};
pub use self::schema::{columns_of, parse_list};
pub use self::spans::{TraceContext, query_spans};

/// Rows that wait in one queue.
const ROWS_MAX: usize = 20_000;
/// Bytes that wait in one queue, roughly.
const BYTES_MAX: usize = 32 << 20;

/// A row: the columns that have something to say.
pub type LogRow = Vec<(&'static str, Value)>;

/// The logs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Query,
    QueryThread,
    QueryViews,
    Part,
    Metric,
    AsynchronousMetric,
    Text,
    Error,
    AsynchronousInsert,
    Backup,
    OpenTelemetrySpan,
}

/// All of them; a log's place here is its queue's.
pub const LOGS: [Log; 11] = [
    Log::Query,
    Log::QueryThread,
    Log::QueryViews,
    Log::Part,
    Log::Metric,
    Log::AsynchronousMetric,
    Log::Text,
    Log::Error,
    Log::AsynchronousInsert,
    Log::Backup,
    Log::OpenTelemetrySpan,
];

impl Log {
    /// The table's name in the database `system`.
    pub fn name(self) -> &'static str {
        match self {
            Log::Query => "query_log",
            Log::QueryThread => "query_thread_log",
            Log::QueryViews => "query_views_log",
            Log::Part => "part_log",
            Log::Metric => "metric_log",
            Log::AsynchronousMetric => "asynchronous_metric_log",
            Log::Text => "text_log",
            Log::Error => "error_log",
            Log::AsynchronousInsert => "asynchronous_insert_log",
            Log::Backup => "backup_log",
            Log::OpenTelemetrySpan => "opentelemetry_span_log",
        }
    }

    pub fn named(name: &str) -> Option<Log> {
        LOGS.into_iter().find(|log| log.name() == name)
    }

    /// Samples come for ever, also when nothing happens: they are written rarely.
    fn is_sampled(self) -> bool {
        matches!(self, Log::Metric | Log::AsynchronousMetric)
    }

    fn place(self) -> usize {
        LOGS.iter().position(|log| *log == self).unwrap_or(0)
    }
}

/// Whether `name` is a table of the system logs, or one that was set aside.
pub fn is_log_table(database: &str, name: &str) -> bool {
    let plain = name.rsplit_once('_').filter(|(_, n)| n.parse::<u32>().is_ok());
    database == "system"
        && (Log::named(name).is_some() || plain.is_some_and(|(n, _)| Log::named(n).is_some()))
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<LogRow>,
    bytes: usize,
}

/// The queues, and what the writing thread needs.
pub struct SystemLogs {
    enabled: Vec<Log>,
    queues: [Mutex<Queue>; LOGS.len()],
    /// Rows that found their queue full, or that could not be written.
    dropped: AtomicU64,
    /// One writes at a time.
    writing: Mutex<()>,
    seen: Mutex<Seen>,
    stopping: AtomicBool,
    urgent: Mutex<bool>,
    wake: Condvar,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl SystemLogs {
    /// The logs that are kept; the others take nothing.
    pub fn new(enabled: Vec<Log>) -> SystemLogs {
        SystemLogs {
            enabled,
            queues: Default::default(),
            dropped: AtomicU64::new(0),
            writing: Mutex::default(),
            seen: Mutex::default(),
            stopping: AtomicBool::new(false),
            urgent: Mutex::new(false),
            wake: Condvar::new(),
            thread: Mutex::default(),
        }
    }

    pub fn keeps(&self, log: Log) -> bool {
        self.enabled.contains(&log)
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Leaves a row; never waits for the disk.
    pub fn push(&self, log: Log, row: LogRow) {
        if !self.keeps(log) {
            return;
        }
        let bytes: usize = row.iter().map(|(_, value)| value_bytes(value)).sum();
        let mut queue = self.queues[log.place()].lock();
        if queue.rows.len() >= ROWS_MAX || queue.bytes + bytes > BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes += bytes;
        queue.rows.push_back(row);
        let hurry = queue.rows.len() == ROWS_MAX / 2 || queue.bytes > BYTES_MAX / 2;
        drop(queue);
        if hurry {
            *self.urgent.lock() = true;
            self.wake.notify_one();
        }
    }

    fn take(&self, log: Log) -> Vec<LogRow> {
        let mut queue = self.queues[log.place()].lock();
        queue.bytes = 0;
        std::mem::take(&mut queue.rows).into()
    }
}

fn value_bytes(value: &Value) -> usize {
    let inner = match value {
        Value::String(bytes) => bytes.len(),
        Value::Array(items) | Value::Tuple(items) => items.iter().map(value_bytes).sum(),
        Value::Map(pairs) => pairs.iter().map(|(k, v)| value_bytes(k) + value_bytes(v)).sum(),
        _ => 0,
    };
    inner + size_of::<(&str, Value)>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let logs = SystemLogs::new(vec![Log::Query]);
        for _ in 0..ROWS_MAX + 3 {
            logs.push(Log::Query, vec![("query", Value::string("SELECT 1"))]);
        }
        logs.push(Log::Part, vec![]);
        assert_eq!(logs.dropped(), 3);
        assert_eq!(logs.take(Log::Query).len(), ROWS_MAX);
        assert!(logs.take(Log::Query).is_empty() && logs.take(Log::Part).is_empty());
    }

    #[test]
    fn tables_of_logs_are_known_by_name() {
        assert!(is_log_table("system", "query_log") && is_log_table("system", "text_log_12"));
        assert!(!is_log_table("default", "query_log") && !is_log_table("system", "query_log_x"));
    }
}
