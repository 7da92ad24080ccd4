//! The thread that writes the logs' queues to their tables, and SYSTEM FLUSH LOGS.
//!
//! A log whose rows cannot be written (no space, say) loses them, with a warning: the server goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, DefaultKind, Edit, Precondition, TableDefinition};

use super::{LOGS, Log, LogRow, SystemLogs, gather, schema};
use crate::server::Server;
use crate::statement;
use crate::system_tables::rows::Rows;

/// Samples are written once in so many rounds.
const SAMPLED_EVERY: u64 = 8;
/// Views on a log run on this stack; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;
/// Names that a table may be set aside under.
const OLD_TABLES_MAX: usize = 1000;

/// Starts the writing thread; it ends by [`SystemLogs::stop`] or with the server.
pub fn start(server: &Arc<Server>) -> Result<()> {
    if server.logs.enabled.is_empty() {
        return Ok(());
    }
    let pause = Duration::from_millis(server.config.system_logs_flush_interval_ms.max(100));
    let (weak, logs): (Weak<Server>, _) = (Arc::downgrade(server), server.logs.clone());
    let work = move || {
        for round in 1u64.. {
            let mut urgent = logs.urgent.lock();
            if !*urgent && !logs.stopping.load(Ordering::SeqCst) {
                logs.wake.wait_for(&mut urgent, pause);
            }
            *urgent = false;
            drop(urgent);
            let Some(server) = weak.upgrade() else { return };
            if logs.stopping.load(Ordering::SeqCst) {
                return;
            }
            logs.write_round(&server, round.is_multiple_of(SAMPLED_EVERY));
        }
    };
    let thread = std::thread::Builder::new()
        .name("system-logs".into())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|e| {
            Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}"))
        })?;
    *server.logs.thread.lock() = Some(thread);
    Ok(())
}

impl SystemLogs {
    /// Ends the thread and writes what waits.
    pub fn stop(&self, server: &Arc<Server>) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
        self.write_round(server, true);
    }

    fn write_round(&self, server: &Arc<Server>, sampled_too: bool) {
        let _writing = self.writing.lock();
        gather::gather(self, server);
        for log in self.enabled.iter().filter(|log| sampled_too || !log.is_sampled()) {
            let rows = self.take(*log);
            let count = rows.len() as u64;
            if count > 0
                && let Err(e) = write(server, *log, rows)
            {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::warn!("{count} rows of system.{} are lost: {e}", log.name());
            }
        }
    }

    /// Writes the named logs, or all, now. Their tables are there afterwards.
    pub fn flush(&self, server: &Arc<Server>, only: &[Log]) -> Result<()> {
        let _writing = self.writing.lock();
        gather::gather(self, server);
        let wanted = |log: &&Log| only.is_empty() || only.contains(log);
        for log in self.enabled.iter().filter(wanted) {
            ensure_table(server, *log)?;
            let rows = self.take(*log);
            if !rows.is_empty() {
                write(server, *log, rows)?;
            }
        }
        Ok(())
    }
}

fn write(server: &Arc<Server>, log: Log, rows: Vec<LogRow>) -> Result<()> {
    ensure_table(server, log)?;
    let mut block = Rows::new(schema::row_schema(server, log));
    for row in rows {
        let row: Vec<(&str, _)> = row.into_iter().collect();
        block.push(&row);
    }
    let id = format!("system-log-{}", log.name());
    let mut context = QueryContext::new(id, server.clock.now_us(), 0);
    context.database = "system".into();
    server.inserter.insert("system", log.name(), block.into_block()?, None, &Arc::new(context))?;
    Ok(())
}

/// Makes the log's table; one with other columns gives its name up.
fn ensure_table(server: &Arc<Server>, log: Log) -> Result<()> {
    let state = server.store.snapshot();
    if !state.databases.contains_key("system") {
        let name = "system".to_string();
        let commit = Commit {
            preconditions: vec![Precondition::DatabaseNameFree { name: name.clone() }],
            edits: vec![Edit::CreateDatabase {
                name,
                engine: "Atomic".into(),
                comment: String::new(),
            }],
        };
        // Somebody else may have been first.
        let made = server.store.commit(commit, vec![]);
        if !server.store.snapshot().databases.contains_key("system") {
            made?;
        }
    }
    if let Some(table) = state.table("system", log.name()) {
        if has_columns(&table.definition, server, log) {
            return Ok(());
        }
        let free = (0..OLD_TABLES_MAX).map(|n| format!("{}_{n}", log.name()));
        let mut free = free.filter(|name| state.table("system", name).is_none());
        let Some(name) = free.next() else {
            return Err(Error::new(
                codes::TABLE_ALREADY_EXISTS,
                format!("too many old tables of system.{}", log.name()),
            ));
        };
        statement::internal(
            server,
            &format!("RENAME TABLE system.{} TO system.{name}", log.name()),
        )?;
    }
    statement::internal(server, &schema::create_text(server, log))
}

fn has_columns(definition: &TableDefinition, server: &Server, log: Log) -> bool {
    let is_alias = |kind: DefaultKind| kind == DefaultKind::Alias;
    let stored =
        definition.columns.iter().filter(|c| !c.default.as_ref().is_some_and(|d| is_alias(d.kind)));
    let stored = stored.map(|c| (c.name.clone(), c.data_type.clone()));
    stored.eq(schema::row_schema(server, log))
}

/// The logs that `names` mean; error 36 for what is none.
pub fn logs_named(names: &[String]) -> Result<Vec<Log>> {
    let log = |name: &String| {
        Log::named(name).ok_or_else(|| {
            let known: Vec<&str> = LOGS.into_iter().map(Log::name).collect();
            Error::new(
                codes::BAD_ARGUMENTS,
                format!("Log name {name} is not a system log; there are {}", known.join(", ")),
            )
        })
    };
    names.iter().map(log).collect()
}
