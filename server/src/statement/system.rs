//! SYSTEM commands and KILL QUERY.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, SystemCommand};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, execute, prepare, sql};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Run;

impl Run<'_> {
    pub(super) fn system(&mut self, command: &SystemCommand) -> Result<()> {
        let words = command.words.join(" ");
        match words.as_str() {
            _ if self.is_stream_command(command) => self.stream_command(command),
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

    /// `KILL QUERY WHERE …`: the condition is over `system.processes`.
    pub(super) fn kill_query(
        &mut self,
        mutation: bool,
        where_: &Expr,
        format: Option<&str>,
    ) -> Result<()> {
        if mutation {
            return self.kill_mutation(where_, format);
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
