//! `system.asynchronous_inserts`: inserts that gather.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, micros, number, text, texts};
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
