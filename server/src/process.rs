//! Running queries and the last finished ones: what `system.processes` and `system.query_log` show,
//! what KILL QUERY stops, and the bound on how many run at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use crate::counters::Counters;

/// Finished queries remembered for `system.query_log`.
const QUERY_LOG_ENTRIES_MAX: usize = 10_000;
/// Longer query texts are cut in lists and logs.
const QUERY_TEXT_BYTES_MAX: usize = 16 << 10;

/// A running query.
pub struct Process {
    pub context: Arc<QueryContext>,
    pub query: String,
}

/// A finished query.
#[derive(Debug, Clone)]
pub struct QueryLogEntry {
    pub query_id: String,
    pub user: String,
    pub database: String,
    pub query: String,
    pub kind: String,
    pub start_us: u64,
    pub duration_us: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
    pub result_rows: u64,
    pub memory_bytes: u64,
    pub exception_code: u32,
    pub exception: String,
}

/// How long a query waits for its turn when as many run as may; then it fails with 202.
pub const TURN_WAIT: Duration = Duration::from_secs(10);

/// All running queries and a bounded log of finished ones.
pub struct Processes {
    running: Mutex<BTreeMap<String, Arc<Process>>>,
    ended: Condvar,
    log: Mutex<VecDeque<QueryLogEntry>>,
    running_max: usize,
    pub counters: Counters,
}

impl Processes {
    pub fn new(running_max: usize) -> Processes {
        Processes {
            running: Mutex::default(),
            ended: Condvar::new(),
            log: Mutex::default(),
            running_max,
            counters: Counters::default(),
        }
    }

    /// Registers a query until the guard drops. While as many run as may, it waits up to `wait` for
    /// its turn; `None` is for statements that must get through, such as KILL. Fails with 202 when
    /// the wait was in vain and with 216 when the id is taken.
    pub fn enter(
        self: &Arc<Self>,
        context: Arc<QueryContext>,
        query: &str,
        wait: Option<Duration>,
    ) -> Result<ProcessGuard> {
        let mut running = self.running.lock();
        if let Some(wait) = wait {
            let deadline = Instant::now() + wait;
            while running.len() >= self.running_max {
                if self.ended.wait_until(&mut running, deadline).timed_out() {
                    return Err(Error::new(
                        codes::TOO_MANY_SIMULTANEOUS_QUERIES,
                        format!("Too many simultaneous queries. Maximum: {}", self.running_max),
                    ));
                }
            }
        }
        if running.contains_key(&context.query_id) {
            return Err(Error::new(
                codes::QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
                format!("Query with id = {} is already running.", context.query_id),
            ));
        }
        let process =
            Arc::new(Process { context, query: cut(&crate::statement::hide_secrets(query)) });
        running.insert(process.context.query_id.clone(), process.clone());
        Ok(ProcessGuard { processes: self.clone(), process })
    }

    pub fn running(&self) -> Vec<Arc<Process>> {
        self.running.lock().values().cloned().collect()
    }

    pub fn log(&self) -> Vec<QueryLogEntry> {
        self.log.lock().iter().cloned().collect()
    }

    /// Asks the query to stop; true if it runs.
    pub fn kill(&self, query_id: &str) -> bool {
        match self.running.lock().get(query_id) {
            Some(process) => {
                process.context.cancelled.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Waits until none of them runs, or the time is over; whether all have ended.
    pub fn wait_ended(&self, query_ids: &[String], time: std::time::Duration) -> bool {
        let deadline = std::time::Instant::now() + time;
        loop {
            let running = self.running.lock();
            if !query_ids.iter().any(|id| running.contains_key(id)) {
                return true;
            }
            drop(running);
            if std::time::Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Asks all to stop (at shutdown).
    pub fn kill_all(&self) {
        for process in self.running() {
            process.context.cancelled.store(true, Ordering::Relaxed);
        }
    }

    fn remember(&self, entry: QueryLogEntry) {
        self.counters.count(&entry);
        let mut log = self.log.lock();
        if log.len() >= QUERY_LOG_ENTRIES_MAX {
            log.pop_front();
        }
        log.push_back(entry);
    }
}

/// Keeps a query registered.
pub struct ProcessGuard {
    processes: Arc<Processes>,
    process: Arc<Process>,
}

impl ProcessGuard {
    /// Writes the query's end into the log. `error` if it failed.
    pub fn finish(&self, kind: &str, error: Option<&Error>) {
        let context = &self.process.context;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        self.processes.remember(QueryLogEntry {
            query_id: context.query_id.clone(),
            user: context.user.clone(),
            database: context.database.clone(),
            query: self.process.query.clone(),
            kind: kind.into(),
            start_us: context.now_us,
            duration_us: context.elapsed().as_micros() as u64,
            read_rows: load(&context.progress.read_rows),
            read_bytes: load(&context.progress.read_bytes),
            written_rows: load(&context.progress.written_rows),
            written_bytes: load(&context.progress.written_bytes),
            result_rows: load(&context.progress.result_rows),
            memory_bytes: context.memory.peak_bytes(),
            exception_code: error.map_or(0, Error::code),
            exception: error.map(|e| e.to_string()).unwrap_or_default(),
        });
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        self.processes.running.lock().remove(&self.process.context.query_id);
        self.processes.ended.notify_one();
    }
}

fn cut(query: &str) -> String {
    let mut end = query.len().min(QUERY_TEXT_BYTES_MAX);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    query[..end].to_string()
}
