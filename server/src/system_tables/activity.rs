//! `system.processes`, `query_log`, `merges`, `metrics`, `asynchronous_metrics`: what goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, micros, number, seconds, text, texts};
use crate::server::Server;

fn n(counter: &AtomicU64) -> Value {
    number(counter.load(Ordering::Relaxed))
}

pub fn processes(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for process in server.processes.running() {
        let context = &process.context;
        rows.push(&[
            ("is_initial_query", flag(true)),
            ("user", text(&context.user)),
            ("query_id", text(&context.query_id)),
            ("initial_query_id", text(&context.query_id)),
            ("elapsed", Value::Float(context.elapsed().as_secs_f64())),
            ("is_cancelled", flag(context.cancelled.load(Ordering::Relaxed))),
            ("read_rows", n(&context.progress.read_rows)),
            ("read_bytes", n(&context.progress.read_bytes)),
            ("total_rows_approx", n(&context.progress.total_rows_to_read)),
            ("written_rows", n(&context.progress.written_rows)),
            ("written_bytes", n(&context.progress.written_bytes)),
            ("memory_usage", Value::Int(context.memory.used_bytes() as i64)),
            ("peak_memory_usage", Value::Int(context.memory.peak_bytes() as i64)),
            ("query", text(&process.query)),
            ("current_database", text(&context.database)),
        ]);
    }
    Ok(())
}

pub fn query_log(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    const QUERY_FINISH: i64 = 2;
    const EXCEPTION_WHILE_PROCESSING: i64 = 4;
    for entry in server.processes.log() {
        let failed = entry.exception_code != 0;
        let end_us = entry.start_us + entry.duration_us;
        rows.push(&[
            ("type", Value::Int(if failed { EXCEPTION_WHILE_PROCESSING } else { QUERY_FINISH })),
            ("event_date", number(end_us / 86_400_000_000)),
            ("event_time", seconds(end_us)),
            ("event_time_microseconds", micros(end_us)),
            ("query_start_time", seconds(entry.start_us)),
            ("query_start_time_microseconds", micros(entry.start_us)),
            ("query_duration_ms", number(entry.duration_us / 1000)),
            ("read_rows", number(entry.read_rows)),
            ("read_bytes", number(entry.read_bytes)),
            ("written_rows", number(entry.written_rows)),
            ("written_bytes", number(entry.written_bytes)),
            ("result_rows", number(entry.result_rows)),
            ("memory_usage", number(entry.memory_bytes)),
            ("current_database", text(entry.database)),
            ("query", text(entry.query)),
            ("query_kind", text(entry.kind)),
            ("exception_code", Value::Int(entry.exception_code.into())),
            ("exception", text(entry.exception)),
            ("is_initial_query", flag(true)),
            ("user", text(entry.user)),
            ("query_id", text(entry.query_id.clone())),
            ("initial_query_id", text(entry.query_id)),
        ]);
    }
    Ok(())
}

pub fn merges(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for merge in server.merges.running() {
        let elapsed_us = server.clock.now_us().saturating_sub(merge.started_us);
        rows.push(&[
            ("database", text(merge.database)),
            ("table", text(merge.table)),
            ("elapsed", Value::Float(elapsed_us as f64 / 1e6)),
            ("progress", Value::Float(merge.rows_done as f64 / merge.rows_total.max(1) as f64)),
            ("num_parts", number(merge.parts.len() as u64)),
            ("source_part_names", texts(merge.part_names)),
            ("partition_id", text(merge.partition_id)),
            ("total_size_bytes_compressed", number(merge.bytes)),
            ("rows_read", number(merge.rows_done)),
        ]);
    }
    Ok(())
}

pub fn metrics(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let consumers = server.kafka.consumers();
    let parts: usize = state.tables.values().map(|t| t.parts.len()).sum();
    let list: [(&str, i64, &str); 6] = [
        ("Query", server.processes.running().len() as i64, "Number of executing queries"),
        ("Merge", server.merges.running().len() as i64, "Number of executing background merges"),
        ("KafkaConsumers", consumers.len() as i64, "Number of active Kafka consumers"),
        (
            "KafkaConsumersInUse",
            consumers.iter().filter(|c| c.is_inserting).count() as i64,
            "Number of consumers whose block is being inserted",
        ),
        ("PartsActive", parts as i64, "Active data parts, used by current and upcoming SELECTs"),
        ("MemoryTracking", server.memory.used_bytes() as i64, "Bytes charged to queries"),
    ];
    for (name, value, description) in list {
        rows.push(&[
            ("metric", text(name)),
            ("name", text(name)),
            ("value", Value::Int(value)),
            ("description", text(description)),
        ]);
    }
    Ok(())
}

pub fn asynchronous_metrics(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let rows_total: u64 = state.tables.values().flat_map(|t| &t.parts).map(|p| p.rows).sum();
    let bytes_total: u64 = state.tables.values().flat_map(|t| &t.parts).map(|p| p.bytes).sum();
    let list: [(&str, f64); 5] = [
        ("Uptime", server.started.elapsed().as_secs_f64()),
        ("NumberOfDatabases", state.databases.len() as f64 + 1.0),
        ("NumberOfTables", state.tables.len() as f64),
        ("TotalRowsOfMergeTreeTables", rows_total as f64),
        ("TotalBytesOfMergeTreeTables", bytes_total as f64),
    ];
    for (name, value) in list {
        rows.push(&[("metric", text(name)), ("name", text(name)), ("value", Value::Float(value))]);
    }
    Ok(())
}
