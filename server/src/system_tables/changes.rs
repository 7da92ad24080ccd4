//! `system.mutations`, `part_log`: what changes tables.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;
use pumphouse_storage::part_history::PartEventKind;

use super::rows::{Rows, flag, micros, number, seconds, text, texts};
use crate::server::Server;

/// One row per command of each mutation that the log still lists.
pub fn mutations(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in state.tables.values().filter(|t| !t.detached) {
        let failure = server.mutations.failure(table.definition.uuid);
        for mutation in &table.changes.mutations {
            let to_do = table.parts_to_do(mutation.number);
            let failure = failure.as_ref().filter(|f| f.number == mutation.number);
            let mut commands: Vec<&str> = vec![];
            for command in &mutation.commands {
                // What follows from a command carries its text.
                if commands.last() != Some(&command.text.as_str()) {
                    commands.push(&command.text);
                }
            }
            for command in commands {
                let names = to_do.iter().map(|p| p.name());
                rows.push(&[
                    ("database", text(&table.definition.database)),
                    ("table", text(&table.definition.name)),
                    ("mutation_id", text(format!("mutation_{}.txt", mutation.number))),
                    ("command", text(command)),
                    ("create_time", seconds(mutation.created_us)),
                    ("block_numbers.partition_id", texts([""])),
                    (
                        "block_numbers.number",
                        Value::Array(vec![Value::Int(mutation.number as i64)]),
                    ),
                    ("parts_to_do_names", texts(names)),
                    ("parts_to_do", Value::Int(to_do.len() as i64)),
                    ("is_done", flag(to_do.is_empty())),
                    ("latest_failed_part", text(failure.map_or("", |f| f.part_name.as_str()))),
                    ("latest_fail_time", seconds(failure.map_or(0, |f| f.failed_us))),
                    ("latest_fail_reason", text(failure.map_or("", |f| f.reason.as_str()))),
                ]);
            }
        }
    }
    Ok(())
}

/// Parts that came and went since the start, as far back as memory is given to them.
pub fn part_log(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for event in server.store.part_history().events() {
        let definition = state.tables.get(&event.table).map(|t| &t.definition);
        let kind = match event.kind {
            PartEventKind::New => 1,
            PartEventKind::Merged => 2,
            PartEventKind::Removed => 4,
            PartEventKind::Mutated => 5,
        };
        rows.push(&[
            ("event_type", Value::Int(kind)),
            ("event_date", number(event.time_us / 86_400_000_000)),
            ("event_time", seconds(event.time_us)),
            ("event_time_microseconds", micros(event.time_us)),
            ("duration_ms", number(event.duration_us / 1000)),
            ("database", text(definition.map_or("", |d| d.database.as_str()))),
            ("table", text(definition.map_or("", |d| d.name.as_str()))),
            ("table_uuid", Value::String(event.table.as_bytes().to_vec())),
            ("part_name", text(event.name)),
            ("partition_id", text(event.partition_id)),
            ("rows", number(event.rows)),
            ("size_in_bytes", number(event.bytes)),
            ("merged_from", texts(event.sources.iter().map(|id| id.to_string()))),
        ]);
    }
    Ok(())
}
