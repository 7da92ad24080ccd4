//! SYSTEM commands and KILL QUERY.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, SystemCommand};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, execute, prepare, sql};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Run;
use crate::logs::logs_named;

/// How often a waiting KILL looks whether it was killed itself.
const KILL_STEP: std::time::Duration = std::time::Duration::from_millis(200);

impl Run<'_> {
    pub(super) fn system(&mut self, command: &SystemCommand) -> Result<()> {
        let words = command.words.join(" ");
        match words.as_str() {
            _ if self.is_stream_command(command) => self.stream_command(command),
            "REFRESH VIEW" | "STOP VIEW" | "START VIEW" | "CANCEL VIEW" | "WAIT VIEW"
            | "STOP VIEWS" | "START VIEWS" => {
                let verb = words.split(' ').next().unwrap_or_default().to_string();
                self.view_command(&verb, command)
            }
            "STOP MERGES" | "START MERGES" => {
                let stop = words == "STOP MERGES";
                match &command.table {
                    None => self.server.merges.set_paused(stop),
                    Some(name) => {
                        let database = self.database(&name.database).to_string();
                        let table = self.table_now(&database, &name.name)?;
                        self.server.merges.set_table_paused(table.definition.uuid, stop);
                    }
                }
                Ok(())
            }
            "DROP QUERY CONDITION CACHE" | "CLEAR QUERY CONDITION CACHE" => {
                self.server.store.condition_cache().clear();
                Ok(())
            }
            "DROP UNCOMPRESSED CACHE" | "CLEAR UNCOMPRESSED CACHE" => {
                self.server.store.block_cache().clear();
                Ok(())
            }
            "DROP MARK CACHE" | "CLEAR MARK CACHE" => {
                self.server.store.forget_marks();
                Ok(())
            }
            "DROP QUERY CACHE" | "CLEAR QUERY CACHE" => {
                let named = command.table.as_ref().filter(|t| t.name.eq_ignore_ascii_case("TAG"));
                let tag = named.and_then(|_| command.rest.first()).map(|t| t.trim_matches('\''));
                self.server.query_cache.clear(tag);
                Ok(())
            }
            "FLUSH LOGS" => self.flush_logs(command),
            "FLUSH ASYNC INSERT QUEUE" => self.server.async_inserts.flush(self.context),
            "RELOAD DICTIONARY" => self.reload_dictionary(command),
            "RELOAD DICTIONARIES" => {
                self.server.dictionaries.reload_loaded(self.server, false);
                Ok(())
            }
            "SHUTDOWN" => signal_hook::low_level::raise(signal_hook::consts::SIGTERM)
                .map_err(|e| Error::new(codes::ABORTED, format!("cannot signal the server: {e}"))),
            // What was acknowledged is durable, so this is only a slower start.
            "KILL" => std::process::abort(),
            other => system_answer(other, command.table.is_some()),
        }
    }

    /// `SYSTEM FLUSH LOGS [name, …]`.
    fn flush_logs(&self, command: &SystemCommand) -> Result<()> {
        let names: Vec<String> = match &command.table {
            Some(first) => {
                let words = command.rest.iter().filter(|w| ![",", "."].contains(&w.as_str()));
                let others = words.filter(|w| *w != "system").cloned();
                std::iter::once(first.name.clone()).chain(others).collect()
            }
            None => vec![],
        };
        self.server.logs.flush(self.server, &logs_named(&names)?)
    }

    /// `KILL QUERY WHERE …`: the condition is over `system.processes`.
    pub(super) fn kill_query(
        &mut self,
        mutation: bool,
        where_: &Expr,
        sync: bool,
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
        let plan = prepare(&query, &self.catalog(), self.context)?;
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
        if columns[0].is_empty() {
            return Ok(());
        }
        if sync {
            self.wait_for_killed(&mut columns)?;
        }
        let names = ["kill_status", "query_id", "user", "query"];
        let named = names
            .iter()
            .zip(&columns)
            .map(|(n, v)| Ok((n.to_string(), Column::from_values(DataType::String, v)?)))
            .collect::<Result<Vec<_>>>()?;
        self.write_block(&Block::new(named), format)
    }

    /// SYNC: waits until the killed queries have ended.
    fn wait_for_killed(&self, columns: &mut [Vec<Value>; 4]) -> Result<()> {
        let ids: Vec<String> = columns[1]
            .iter()
            .map(|id| String::from_utf8_lossy(id.as_bytes().unwrap_or_default()).into_owned())
            .collect();
        while !self.server.processes.wait_ended(&ids, KILL_STEP) {
            self.context.check()?;
        }
        columns[0].fill(Value::string("finished"));
        Ok(())
    }
}

/// Commands without anything to do here, and those that ClickHouse refuses on such a server too.
fn system_answer(words: &str, names_table: bool) -> Result<()> {
    const NOTHING_TO_DO: &[&str] = &[
        "DROP REPLICA",
        "JEMALLOC PURGE",
        "LOAD PRIMARY KEY",
        "RELOAD ASYNCHRONOUS",
        "RELOAD CONFIG",
        "RELOAD EMBEDDED DICTIONARIES",
        "RELOAD FUNCTIONS",
        "RELOAD USERS",
        "RESTART REPLICAS",
        "START CLEANUP",
        "START DISTRIBUTED SENDS",
        "START FETCHES",
        "START MOVES",
        "START REPLICATED SENDS",
        "START REPLICATION QUEUES",
        "STOP CLEANUP",
        "STOP DISTRIBUTED SENDS",
        "STOP FETCHES",
        "STOP MOVES",
        "STOP REPLICATED SENDS",
        "STOP REPLICATION QUEUES",
        "SYNC FILE CACHE",
        "UNLOAD PRIMARY KEY",
        "WAIT LOADING",
    ];
    let cache = words.strip_prefix("DROP ").or_else(|| words.strip_prefix("CLEAR "));
    if NOTHING_TO_DO.contains(&words) || cache.is_some_and(|w| w.ends_with(" CACHE")) {
        return Ok(());
    }
    let refuse = |code, text: &str| Err(Error::new(code, text.to_string()));
    match words {
        "SYNC REPLICA" | "RESTART REPLICA" | "RESTORE REPLICA" if names_table => {
            refuse(codes::BAD_ARGUMENTS, "The table is not replicated")
        }
        "FLUSH DISTRIBUTED" => refuse(codes::BAD_ARGUMENTS, "The table is not distributed"),
        "SYNC DATABASE REPLICA" => refuse(
            codes::BAD_ARGUMENTS,
            "SYSTEM SYNC DATABASE REPLICA query is intended to work only with Replicated engine",
        ),
        "SYNC TRANSACTION LOG" => refuse(codes::NOT_IMPLEMENTED, "Transactions are not supported"),
        "UNFREEZE" | "UNFREEZE WITH NAME" => {
            refuse(codes::SUPPORT_IS_DISABLED, "Support for SYSTEM UNFREEZE query is disabled")
        }
        other => refuse(codes::NOT_IMPLEMENTED, &format!("SYSTEM {other} is not supported")),
    }
}
