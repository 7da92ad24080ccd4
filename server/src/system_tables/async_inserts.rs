//! `system.asynchronous_inserts` and `asynchronous_insert_log`: inserts that gather, and the last ones.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, micros, number, seconds, text, texts};
use crate::server::Server;

pub fn asynchronous_inserts(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for batch in server.async_inserts.waiting() {
        let definition = &batch.definition;
        let query = format!("INSERT INTO {} FORMAT {}", definition.full_name(), batch.format);
        let sizes = batch.entries.iter().map(|(_, bytes)| number(*bytes)).collect();
        rows.push(&[
            ("query", text(query)),
            ("database", text(&definition.database)),
            ("table", text(&definition.name)),
            ("format", text(batch.format)),
            ("first_update", micros(batch.first_us)),
            ("total_bytes", number(batch.bytes)),
            ("entries.query_id", texts(batch.entries.iter().map(|(id, _)| id.as_str()))),
            ("entries.bytes", Value::Array(sizes)),
        ]);
    }
    Ok(())
}

pub fn asynchronous_insert_log(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    const FLUSH_ERROR: i64 = 2;
    for entry in server.async_inserts.journal() {
        let failed = !entry.exception.is_empty();
        rows.push(&[
            ("event_date", number(entry.queued_us / 86_400_000_000)),
            ("event_time", seconds(entry.queued_us)),
            ("event_time_microseconds", micros(entry.queued_us)),
            ("database", text(entry.database)),
            ("table", text(entry.table)),
            ("format", text(entry.format)),
            ("query_id", text(entry.query_id)),
            ("bytes", number(entry.bytes)),
            ("rows", number(entry.rows)),
            ("exception", text(entry.exception)),
            ("status", Value::Int(if failed { FLUSH_ERROR } else { 0 })),
            ("flush_time", seconds(entry.flushed_us)),
            ("flush_time_microseconds", micros(entry.flushed_us)),
            ("flush_query_id", text(entry.flush_query_id)),
        ]);
    }
    Ok(())
}
