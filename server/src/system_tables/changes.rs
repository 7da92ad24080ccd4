//! `system.mutations`: what changes tables.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, seconds, text, texts};
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
