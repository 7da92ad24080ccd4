//! SYSTEM commands and KILL QUERY.

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, SystemCommand};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, execute, prepare, sql};
use pumphouse_storage::log::{Commit, Edit, Precondition, Table};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Run;

impl Run<'_> {
    pub(super) fn system(&mut self, command: &SystemCommand) -> Result<()> {
        let words = command.words.join(" ");
        match words.as_str() {
            "START" | "STOP" | "PAUSE" => self.pause_streams(command, words != "START"),
            "FLUSH LOGS"
            | "DROP MARK CACHE"
            | "DROP UNCOMPRESSED CACHE"
            | "RELOAD CONFIG"
            | "DROP DNS CACHE"
            | "DROP QUERY CACHE"
            | "SYNC FILE CACHE" => Ok(()),
            "STOP MERGES" => {
                self.server.merges.set_paused(true);
                Ok(())
            }
            "START MERGES" => {
                self.server.merges.set_paused(false);
                Ok(())
            }
            other => {
                Err(Error::new(codes::NOT_IMPLEMENTED, format!("SYSTEM {other} is not supported")))
            }
        }
    }

    /// Pauses or resumes one stream table, or all of them; remembered across restarts.
    fn pause_streams(&self, command: &SystemCommand, paused: bool) -> Result<()> {
        let state = self.server.store.snapshot();
        let streams: Vec<Arc<Table>> = match &command.table {
            Some(name) => {
                let database = self.database(&name.database).to_string();
                let table = state
                    .table(&database, &name.name)
                    .ok_or_else(|| self.unknown_table(&database, &name.name))?;
                if table.definition.engine != "Kafka" {
                    return Err(Error::new(
                        codes::BAD_ARGUMENTS,
                        format!("{} is not a streaming table", table.definition.full_name()),
                    ));
                }
                vec![table.clone()]
            }
            None => state
                .tables
                .values()
                .filter(|t| t.definition.engine == "Kafka" && !t.detached)
                .cloned()
                .collect(),
        };
        let commit = Commit {
            preconditions: streams
                .iter()
                .map(|t| Precondition::TableExists { table: t.definition.uuid })
                .collect(),
            edits: streams
                .iter()
                .map(|t| Edit::PauseStream { table: t.definition.uuid, paused })
                .collect(),
        };
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    /// `KILL QUERY WHERE …`: the condition is over `system.processes`.
    pub(super) fn kill_query(
        &mut self,
        mutation: bool,
        where_: &Expr,
        format: Option<&str>,
    ) -> Result<()> {
        if mutation {
            return Err(Error::new(codes::NOT_IMPLEMENTED, "KILL MUTATION is not supported"));
        }
        let text = format!(
            "SELECT query_id, user, query FROM system.processes WHERE {}",
            format::expr(where_)
        );
        let query = sql::parse_query(&text)?;
        let plan = prepare(&query, &self.server.catalog(), self.context)?;
        let mut columns: [Vec<Value>; 4] = Default::default();
        for block in execute::collect(&plan, self.context)? {
            for row in 0..block.rows() {
                let id = block.columns[0].value(row);
                let id_text =
                    String::from_utf8_lossy(id.as_bytes().unwrap_or_default()).into_owned();
                // The statement that kills is running too.
                if id_text == self.context.query_id {
                    continue;
                }
                let status =
                    if self.server.processes.kill(&id_text) { "waiting" } else { "finished" };
                columns[0].push(Value::string(status));
                columns[1].push(id);
                columns[2].push(block.columns[1].value(row));
                columns[3].push(block.columns[2].value(row));
            }
        }
        let names = ["kill_status", "query_id", "user", "query"];
        let named = names
            .iter()
            .zip(&columns)
            .map(|(n, v)| Ok((n.to_string(), Column::from_values(DataType::String, v)?)))
            .collect::<Result<Vec<_>>>()?;
        self.write_block(&Block::new(named), format)
    }
}
