//! `ENGINE = FileLog('folder', 'format')`: files that appear and grow in a folder, line by line, to the
//! views of the table, exactly once.
//!
//! Takes the place of a topic: a file is a partition, its bytes are the offsets, and a block commits
//! with a compare-and-swap on them like a Kafka block does ([`crate::insert::StreamInput`]). `folder`
//! says which files are there and which of them they were before, `settings` what the table asks for,
//! `follower` is the thread. What a file was is remembered in the log too, so that a rotated file is
//! never read twice and a truncated one is read anew.

mod folder;
mod follower;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_storage::Store;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::types::TimeZone;

use crate::kafka::{Events, Signal, StreamSink};
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
    running: Mutex<BTreeMap<Uuid, Running>>,
}

struct Running {
    definition_version: u64,
    status: Arc<Mutex<FileLogTable>>,
    signal: Arc<Signal>,
    thread: JoinHandle<()>,
}

impl FileLogs {
    pub(crate) fn new(config: FileLogConfig) -> FileLogs {
        FileLogs { config: Arc::new(config), running: Mutex::default() }
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
        let mut running = self.running.lock();
        let same = |uuid: &Uuid, r: &Running| {
            let version = wanted.get(uuid).map(|t| t.definition_version);
            version == Some(r.definition_version) && !r.thread.is_finished()
        };
        let stale: Vec<Uuid> =
            running.iter().filter(|(u, r)| !same(u, r)).map(|(u, _)| *u).collect();
        stop(stale.iter().filter_map(|u| running.remove(u)).collect(), wait);
        for (uuid, table) in wanted {
            match running.get(&uuid) {
                Some(known) => known.signal.wake(),
                None => {
                    if let Some(begun) = self.begin(table) {
                        running.insert(uuid, begun);
                    }
                }
            }
        }
    }

    fn begin(&self, table: Arc<Table>) -> Option<Running> {
        let status = Arc::new(Mutex::new(FileLogTable {
            database: table.definition.database.clone(),
            table: table.definition.name.clone(),
            ..FileLogTable::default()
        }));
        let signal = Arc::new(Signal::default());
        let definition_version = table.definition_version;
        let name = format!("file-log {}", table.definition.name);
        let follower = Follower::new(self.config.clone(), table, status.clone(), signal.clone());
        match std::thread::Builder::new().name(name).spawn(move || follower.run()) {
            Ok(thread) => Some(Running { definition_version, status, signal, thread }),
            Err(e) => {
                tracing::error!("cannot start a thread that follows files: {e}");
                None
            }
        }
    }

    pub(crate) fn statuses(&self) -> Vec<FileLogTable> {
        self.running.lock().values().map(|r| r.status.lock().clone()).collect()
    }

    pub(crate) fn shutdown(&self, wait: Duration) {
        let running = std::mem::take(&mut *self.running.lock());
        stop(running.into_values().collect(), wait);
    }
}

/// Signals all, then waits for all, for `time` at most.
fn stop(running: Vec<Running>, time: Duration) {
    running.iter().for_each(|r| r.signal.stop());
    let end = Instant::now() + time;
    for r in running {
        while !r.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        if r.thread.is_finished() {
            let _ = r.thread.join();
        } else {
            tracing::warn!("a thread that follows files has not ended in time; it is left behind");
        }
    }
}
