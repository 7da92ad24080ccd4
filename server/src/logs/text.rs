//! `system.text_log`: what the server says on standard error, as rows. A layer of the tracing subscriber
//! keeps the newest lines in memory until the logs' thread takes them; logging starts before the server.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pumphouse_storage::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::LogRow;
use super::gather::time_columns;
use crate::system_tables::rows::{number, text};

/// Lines that wait to be taken; the oldest go first.
const LINES_MAX: usize = 10_000;
/// Longer messages are cut.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

static LINES: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());
/// Whether somebody takes the lines.
static WANTED: AtomicBool = AtomicBool::new(false);

struct Line {
    time_us: u64,
    level: Level,
    logger: &'static str,
    file: &'static str,
    line: u32,
    thread: String,
    message: String,
}

/// Lines are kept from now on.
pub fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// The layer that keeps lines.
pub struct TextLog;

impl<S: Subscriber> Layer<S> for TextLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !WANTED.load(Ordering::Relaxed) {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let about = event.metadata();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let line = Line {
            time_us: since.map_or(0, |d| d.as_micros() as u64),
            level: *about.level(),
            logger: about.target(),
            file: about.file().unwrap_or_default(),
            line: about.line().unwrap_or_default(),
            thread: std::thread::current().name().unwrap_or_default().to_string(),
            message: message.0,
        };
        let mut lines = LINES.lock();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// The lines since the last call, as rows.
pub(super) fn take() -> Vec<LogRow> {
    let lines = std::mem::take(&mut *LINES.lock());
    lines.into_iter().map(row).collect()
}

fn row(line: Line) -> LogRow {
    let level = match line.level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG => 7,
        Level::TRACE => 8,
    };
    let mut row = time_columns(line.time_us);
    row.extend([
        ("thread_name", text(line.thread)),
        ("level", Value::Int(level)),
        ("logger_name", text(line.logger)),
        ("message", text(line.message)),
        ("source_file", text(line.file)),
        ("source_line", number(line.line.into())),
    ]);
    row
}

/// The message, and other fields behind it.
struct Message(String);

impl Message {
    fn room(&self) -> bool {
        self.0.len() < MESSAGE_BYTES_MAX
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !self.room() {
            return;
        }
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        if written.is_ok() && !self.room() {
            let mut end = MESSAGE_BYTES_MAX;
            while !self.0.is_char_boundary(end) {
                end -= 1;
            }
            self.0.truncate(end);
        }
    }
}
