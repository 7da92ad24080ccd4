//! What the server says of a statement to the client that runs it: log packets, as `send_logs_level` asks.
//!
//! Told are the beginning, what was read, the peak of memory, and errors, in ClickHouse's words. The
//! server's own log is not a statement's, and stays in `system.text_log`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use pumphouse_query::Result;
use pumphouse_query::context::QueryContext;
use pumphouse_query::functions::host_name;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::packets;
use super::wire::Writer;

/// Log packets are known from this revision on.
const LOGS: u64 = 54_406;
/// Longer texts are cut.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// ClickHouse's numbers of levels, as far as something is said at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error = 3,
    Debug = 7,
}

/// Sends one statement's lines.
pub struct StatementLog {
    writer: Arc<Writer>,
    revision: u64,
    query_id: String,
    /// The least important level that the client wants.
    least: i64,
}

impl StatementLog {
    /// None if the client wants to hear nothing of it.
    pub fn of(
        wanted: Option<&str>,
        writer: &Arc<Writer>,
        revision: u64,
        query_id: &str,
    ) -> Option<StatementLog> {
        let least = match wanted? {
            "error" => 3,
            "warning" => 4,
            "information" => 6,
            "debug" => 7,
            "trace" | "test" => 8,
            _ => return None,
        };
        let (writer, query_id) = (writer.clone(), query_id.to_string());
        (revision >= LOGS).then_some(StatementLog { writer, revision, query_id, least })
    }

    /// The statement begins.
    pub fn began(&self, statement: &str) {
        let text = format!("(from native) {} (stage: Complete)", shown(statement.trim()));
        self.say(Level::Debug, "executeQuery", &text);
    }

    /// The statement has ended well.
    pub fn ended(&self, context: &QueryContext) {
        let rows = context.progress.read_rows.load(Ordering::Relaxed);
        let bytes = context.progress.read_bytes.load(Ordering::Relaxed);
        let seconds = context.elapsed().as_secs_f64();
        if rows > 0 {
            let text = format!(
                "Read {rows} rows, {} in {seconds:.6} sec., {:.0} rows/sec., {}/sec.",
                size(bytes as f64),
                rows as f64 / seconds.max(1e-9),
                size(bytes as f64 / seconds.max(1e-9)),
            );
            self.say(Level::Debug, "executeQuery", &text);
        }
        let peak = size(context.memory.peak_bytes() as f64);
        self.say(Level::Debug, "MemoryTracker", &format!("Query memory usage (peak): {peak}."));
    }

    pub fn failed(&self, error: &pumphouse_query::Error) {
        let text = format!("Code: {}. DB::Exception: {error}", error.code());
        self.say(Level::Error, "executeQuery", shown(&text));
    }

    /// A line that cannot be sent is no reason for the statement to fail: its answer will meet the same.
    fn say(&self, level: Level, source: &str, text: &str) {
        if level as i64 > self.least {
            return;
        }
        let sent = self.line(level, source, text).and_then(|block| {
            let packet = packets::log(&block, self.revision)?;
            self.writer.send(&packet)
        });
        if let Err(e) = sent {
            tracing::debug!("a log line did not reach its client: {e}");
        }
    }

    fn line(&self, level: Level, source: &str, text: &str) -> Result<Block> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let string = |text: &str| (DataType::String, Value::String(text.as_bytes().to_vec()));
        let columns = [
            ("event_time", (DataType::DateTime(None), Value::UInt(now.as_secs()))),
            (
                "event_time_microseconds",
                (DataType::UInt32, Value::UInt(now.subsec_micros().into())),
            ),
            ("host_name", string(&host_name())),
            ("query_id", string(&self.query_id)),
            ("thread_id", (DataType::UInt64, Value::UInt(thread_id()))),
            ("priority", (DataType::Int8, Value::Int(level as i64))),
            ("source", string(source)),
            ("text", string(text)),
        ];
        let column = |(name, (data_type, value)): (&str, (DataType, Value))| -> Result<_> {
            Ok((name.to_string(), Column::from_values(data_type, &[value])?))
        };
        Ok(Block::new(columns.into_iter().map(column).collect::<Result<_>>()?))
    }
}

/// The system's number of this thread; clients take 0 for none.
fn thread_id() -> u64 {
    let link = std::fs::read_link("/proc/thread-self").ok();
    let number = link.and_then(|l| l.file_name()?.to_str()?.parse().ok());
    number.unwrap_or_else(|| std::process::id().into())
}

/// As much of a text as a line shows.
fn shown(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Bytes for people.
fn size(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.2} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2} TiB")
}
