//! `ENGINE = FileLog('folder', 'format')`: files that appear and grow in a folder, line by line, to the
//! views of the table, exactly once.
//!
//! Takes the place of a topic: a file is a partition, its bytes are the offsets, and a block commits
//! with a compare-and-swap on them like a Kafka block does ([`crate::insert::StreamInput`]). `folder`
//! says which files are there and which of them they were before, `settings` what the table asks for,
//! `follower` is the thread,
//! `direct` a SELECT without views, `fill` a view that begins with what was there before it. What a file was is remembered in the log too, so that a rotated file is
//! never read twice and a truncated one is read anew.

mod direct;
mod fill;
mod folder;
mod follower;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_query::error::Result;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Store};

use crate::kafka::{Events, StreamSink, replay};
use crate::table_threads::{Start, TableThreads};
use fill::Fill;
pub use fill::add_populate;
use follower::Follower;
pub use settings::{FORMAT, FileLogSettings, NAMES, PATH};

/// One file that a table follows, for `system.file_logs`.
#[derive(Debug, Clone, Default)]
pub struct FileLogStatus {
    pub file: String,
    /// Bytes that are committed.
    pub position: u64,
    pub size: u64,
    /// `reading`, `at the end`, `waiting`.
    pub state: &'static str,
    /// Why it waits.
    pub error: String,
    pub next_retry_us: u64,
}

/// What one table does.
#[derive(Debug, Clone, Default)]
pub struct FileLogTable {
    pub database: String,
    pub table: String,
    pub files: Vec<FileLogStatus>,
    /// Why nothing of the table is read at the moment.
    pub error: String,
    pub next_retry_us: u64,
}

/// What the threads of a server share.
pub(crate) struct FileLogConfig {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn StreamSink>,
    pub(crate) profile: Settings,
    pub(crate) time_zone: TimeZone,
    pub(crate) memory: Option<Arc<MemoryTracker>>,
    pub(crate) events: Arc<Events>,
}

/// All FileLog tables of one server.
pub(crate) struct FileLogs {
    config: Arc<FileLogConfig>,
    threads: TableThreads<FileLogTable>,
    /// Views that are being filled.
    fills: TableThreads<()>,
}

impl FileLogs {
    pub(crate) fn new(config: FileLogConfig) -> FileLogs {
        FileLogs {
            config: Arc::new(config),
            threads: TableThreads::new("file-log"),
            fills: TableThreads::new("populate"),
        }
    }

    /// Makes what runs agree with the state: tables that a view reads from and that are not paused.
    pub(crate) fn sync(&self, state: &State, wait: Duration) {
        let wanted: BTreeMap<Uuid, Arc<Table>> = state
            .tables
            .iter()
            .filter(|(_, t)| t.definition.engine == "FileLog" && !t.detached && !t.paused)
            .filter(|(_, t)| !state.views_of(&t.definition.database, &t.definition.name).is_empty())
            .map(|(uuid, t)| (*uuid, t.clone()))
            .collect();
        let status = |table: &Table| FileLogTable {
            database: table.definition.database.clone(),
            table: table.definition.name.clone(),
            ..FileLogTable::default()
        };
        self.threads.sync(wanted, wait, status, |Start { table, status, signal }| {
            let follower = Follower::new(self.config.clone(), table, status, signal);
            move || follower.run()
        });
        let wanted = replay::wanted(state, "FileLog").into_iter();
        let wanted = wanted.map(|(uuid, (_, view))| (uuid, view)).collect();
        self.fills.sync(
            wanted,
            wait,
            |_| (),
            |Start { table, signal, .. }| {
                let fill = Fill { config: self.config.clone(), view: table, signal };
                move || fill.run()
            },
        );
    }

    /// What the files hold now is taken now; waited for where the table is paused. False: no FileLog table.
    pub(crate) fn refresh(&self, state: &State, table: Uuid) -> Result<bool> {
        let Some(table) = state.tables.get(&table).filter(|t| t.definition.engine == "FileLog")
        else {
            return Ok(false);
        };
        let definition = &table.definition;
        if table.paused && !state.views_of(&definition.database, &definition.name).is_empty() {
            let status = Arc::new(Mutex::new(FileLogTable::default()));
            let follower =
                Follower::new(self.config.clone(), table.clone(), status, Arc::default());
            follower.take_what_is_there()?;
        } else {
            self.threads.wake(&definition.uuid);
        }
        Ok(true)
    }

    /// Takes what waits in the table's files.
    pub(crate) fn read_direct(
        &self,
        table: &Arc<Table>,
    ) -> Result<(Vec<SourceColumn>, Vec<Block>)> {
        let status = Arc::new(Mutex::new(FileLogTable::default()));
        Follower::new(self.config.clone(), table.clone(), status, Arc::default()).read_direct()
    }

    pub(crate) fn statuses(&self) -> Vec<FileLogTable> {
        self.threads.statuses().into_values().collect()
    }

    pub(crate) fn shutdown(&self, wait: Duration) {
        self.threads.shutdown(wait);
        self.fills.shutdown(wait);
    }
}
