//! Rows of the logs that others do not push themselves: looked at once a round, what is new becomes rows.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pumphouse_query::error::codes::name_of;
use pumphouse_query::functions::host_name;
use pumphouse_storage::Value;
use pumphouse_storage::part_history::{PartEvent, PartEventKind};

use super::{Log, LogRow, SystemLogs, is_log_table, query_rows, text};
use crate::backups::BackupStatus;
use crate::server::Server;
use crate::system_tables::activity::{asynchronous_values, event_values, metric_values};
use crate::system_tables::rows::{micros, number, seconds, text as text_value, texts};

/// What earlier rounds have seen.
#[derive(Default)]
pub(super) struct Seen {
    errors: BTreeMap<u32, u64>,
    events: BTreeMap<&'static str, u64>,
    backups: BTreeMap<String, BackupStatus>,
}

/// This machine's name.
pub(super) fn host() -> Value {
    static NAME: OnceLock<String> = OnceLock::new();
    text_value(NAME.get_or_init(host_name).clone())
}

/// When something happened, in the columns that most logs have.
pub(super) fn time_columns(us: u64) -> LogRow {
    vec![
        ("hostname", host()),
        ("event_date", number(us / 86_400_000_000)),
        ("event_time", seconds(us)),
        ("event_time_microseconds", micros(us)),
    ]
}

pub(super) fn gather(logs: &SystemLogs, server: &Server) {
    let now_us = server.clock.now_us();
    let mut seen = logs.seen.lock();
    query_rows::running(logs, server);
    parts(logs, server);
    inserts(logs, server);
    errors(logs, server, &mut seen, now_us);
    samples(logs, server, &mut seen, now_us);
    backups(logs, server, &mut seen, now_us);
    if logs.keeps(Log::Text) {
        text::take().into_iter().for_each(|row| logs.push(Log::Text, row));
    }
}

fn parts(logs: &SystemLogs, server: &Server) {
    let events = server.store.part_history().take();
    if events.is_empty() || !logs.keeps(Log::Part) {
        return;
    }
    let state = server.store.snapshot();
    for event in events {
        let dropped = || state.dropped.get(&event.table).map(|d| &d.table);
        let table = state.tables.get(&event.table).or_else(dropped);
        let definition = table.map(|t| &t.definition);
        let (database, name) =
            definition.map_or(("", ""), |d| (d.database.as_str(), d.name.as_str()));
        if !is_log_table(database, name) {
            logs.push(Log::Part, part_row(&event, database, name));
        }
    }
}

fn part_row(event: &PartEvent, database: &str, table: &str) -> LogRow {
    let (kind, reason) = match event.kind {
        PartEventKind::New => (1, 1),
        PartEventKind::Merged => (2, 2),
        PartEventKind::Removed => (4, 1),
        PartEventKind::Mutated => (5, 1),
    };
    let mut row = time_columns(event.time_us);
    row.extend([
        ("event_type", Value::Int(kind)),
        ("merge_reason", Value::Int(reason)),
        ("merge_algorithm", Value::Int(if kind == 2 { 2 } else { 0 })),
        ("duration_ms", number(event.duration_us / 1000)),
        ("database", text_value(database)),
        ("table", text_value(table)),
        ("table_uuid", Value::String(event.table.as_bytes().to_vec())),
        ("part_name", text_value(&event.name)),
        ("partition_id", text_value(&event.partition_id)),
        ("part_type", text_value("Compact")),
        ("disk_name", text_value("default")),
        ("path_on_disk", text_value(pumphouse_storage::log::part_path(event.part))),
        ("rows", number(event.rows)),
        ("size_in_bytes", number(event.bytes)),
        ("bytes_uncompressed", number(event.bytes_uncompressed)),
        ("merged_from", texts(event.sources.iter().map(|id| id.to_string()))),
    ]);
    row
}

fn inserts(logs: &SystemLogs, server: &Server) {
    const FLUSH_ERROR: i64 = 2;
    for entry in server.async_inserts.take_journal() {
        let failed = !entry.exception.is_empty();
        let mut row = time_columns(entry.queued_us);
        row.extend([
            ("database", text_value(entry.database)),
            ("table", text_value(entry.table)),
            ("format", text_value(entry.format)),
            ("query_id", text_value(entry.query_id)),
            ("bytes", number(entry.bytes)),
            ("rows", number(entry.rows)),
            ("exception", text_value(entry.exception)),
            ("status", Value::Int(if failed { FLUSH_ERROR } else { 0 })),
            ("flush_time", seconds(entry.flushed_us)),
            ("flush_time_microseconds", micros(entry.flushed_us)),
            ("flush_query_id", text_value(entry.flush_query_id)),
        ]);
        logs.push(Log::AsynchronousInsert, row);
    }
}

/// A row for each code that was met since the last round.
fn errors(logs: &SystemLogs, server: &Server, seen: &mut Seen, now_us: u64) {
    for (code, error) in server.processes.counters.errors() {
        let before = seen.errors.insert(code, error.count).unwrap_or(0);
        if error.count == before {
            continue;
        }
        let mut row = time_columns(now_us);
        row.truncate(3);
        row.extend([
            ("code", Value::Int(code.into())),
            ("error", text_value(name_of(code))),
            ("value", number(error.count.saturating_sub(before))),
            ("last_error_time", seconds(error.last_us)),
            ("last_error_message", text_value(error.last_message)),
            ("last_error_query_id", text_value(error.query_id)),
        ]);
        logs.push(Log::Error, row);
    }
}

fn samples(logs: &SystemLogs, server: &Server, seen: &mut Seen, now_us: u64) {
    let state = server.store.snapshot();
    if logs.keeps(Log::Metric) {
        let mut row = time_columns(now_us);
        for (name, value, _) in event_values(server) {
            let before = seen.events.insert(name, value).unwrap_or(0);
            row.push((column("ProfileEvent", name), number(value.saturating_sub(before))));
        }
        for (name, value, _) in metric_values(server, &state) {
            row.push((column("CurrentMetric", name), Value::Int(value)));
        }
        logs.push(Log::Metric, row);
    }
    if logs.keeps(Log::AsynchronousMetric) {
        for (name, value, _) in asynchronous_values(server, &state) {
            let mut row = time_columns(now_us);
            row.truncate(3);
            row.extend([("metric", text_value(name)), ("value", Value::Float(value))]);
            logs.push(Log::AsynchronousMetric, row);
        }
    }
}

/// The name of a column of `metric_log`; made once a name, of which there are a fixed few.
fn column(kind: &'static str, name: &'static str) -> &'static str {
    static NAMES: parking_lot::Mutex<BTreeMap<(&str, &str), &str>> =
        parking_lot::Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock();
    names.entry((kind, name)).or_insert_with(|| format!("{kind}_{name}").leak())
}

fn backups(logs: &SystemLogs, server: &Server, seen: &mut Seen, now_us: u64) {
    use std::sync::atomic::Ordering::Relaxed;
    let list = server.backups.list();
    seen.backups.retain(|id, _| list.iter().any(|entry| entry.id == *id));
    for entry in list {
        if seen.backups.insert(entry.id.clone(), entry.status) == Some(entry.status) {
            continue;
        }
        let (files, bytes) =
            (entry.progress.files.load(Relaxed), entry.progress.bytes.load(Relaxed));
        let mut row = time_columns(if entry.end_us > 0 { entry.end_us } else { now_us });
        row.remove(2);
        row.extend([
            ("id", text_value(entry.id)),
            ("name", text_value(entry.name)),
            ("query_id", text_value(entry.query_id)),
            ("status", Value::Int(entry.status as i64)),
            ("error", text_value(entry.error)),
            ("start_time", micros(entry.start_us)),
            ("end_time", micros(entry.end_us)),
            ("num_files", number(files)),
            ("num_entries", number(files)),
            ("total_size", number(bytes)),
            ("uncompressed_size", number(bytes)),
            ("compressed_size", number(bytes)),
            ("files_read", number(files)),
            ("bytes_read", number(bytes)),
        ]);
        logs.push(Log::Backup, row);
    }
}
