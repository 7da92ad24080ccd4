//! Running queries: what `system.processes` shows, what KILL QUERY stops, and the bound on how many run at
//! once. The end of each is counted and left to `system.query_log`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use crate::counters::Counters;
use crate::logs::{Log, Origin, QueryEnd, SystemLogs, is_logged, query_row, query_spans};

/// Longer query texts are cut in lists and logs.
const QUERY_TEXT_BYTES_MAX: usize = 16 << 10;

/// A running query.
pub struct Process {
    pub context: Arc<QueryContext>,
    pub query: String,
    pub origin: Origin,
    /// `Select`, `Insert`, …
    pub kind: &'static str,
    /// What it reads and writes: databases, and tables with theirs.
    pub names: (Vec<String>, Vec<String>),
    /// Its start is in the log.
    pub start_logged: AtomicBool,
}

/// A query that has begun or ended.
#[derive(Debug, Clone, Default)]
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
    pub result_bytes: u64,
    pub memory_bytes: u64,
    pub exception_code: u32,
    pub exception: String,
    pub databases: Vec<String>,
    pub tables: Vec<String>,
}

/// How long a query waits for its turn when as many run as may; then it fails with 202.
pub const TURN_WAIT: Duration = Duration::from_secs(10);

impl QueryLogEntry {
    /// What is known when a query begins.
    pub fn beginning(process: &Process) -> QueryLogEntry {
        let context = &process.context;
        QueryLogEntry {
            query_id: context.query_id.clone(),
            user: context.user.clone(),
            database: context.database.clone(),
            query: process.query.clone(),
            kind: process.kind.into(),
            start_us: context.now_us,
            databases: process.names.0.clone(),
            tables: process.names.1.clone(),
            ..QueryLogEntry::default()
        }
    }
}

/// All running queries.
pub struct Processes {
    running: Mutex<BTreeMap<String, Arc<Process>>>,
    ended: Condvar,
    logs: Arc<SystemLogs>,
    running_max: usize,
    pub counters: Counters,
}

impl Processes {
    pub fn new(running_max: usize, logs: Arc<SystemLogs>) -> Processes {
        Processes {
            running: Mutex::default(),
            ended: Condvar::new(),
            logs,
            running_max,
            counters: Counters::default(),
        }
    }

    /// Registers a query until the guard drops. While as many run as may, it waits up to `wait` for
    /// its turn; `None` is for statements that must get through, such as KILL. Fails with 202 when
    /// the wait was in vain and with 216 when the id is taken.
    pub fn enter(
        self: &Arc<Self>,
        process: Process,
        wait: Option<Duration>,
    ) -> Result<ProcessGuard> {
        let context = &process.context;
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
        if context.settings.bool("replace_running_query", false) {
            let wait = context.settings.u64("replace_running_query_max_wait_ms", 5000);
            let deadline = Instant::now() + Duration::from_millis(wait);
            while let Some(other) = running.get(&context.query_id) {
                other.context.cancelled.store(true, Ordering::Relaxed);
                if self.ended.wait_until(&mut running, deadline).timed_out() {
                    break;
                }
            }
        }
        if running.contains_key(&context.query_id) {
            return Err(Error::new(
                codes::QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
                format!("Query with id = {} is already running.", context.query_id),
            ));
        }
        let process = Arc::new(process);
        running.insert(process.context.query_id.clone(), process.clone());
        Ok(ProcessGuard { processes: self.clone(), process })
    }

    pub fn running(&self) -> Vec<Arc<Process>> {
        self.running.lock().values().cloned().collect()
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

    /// Counts and logs a query that came to nothing before it was registered: its text makes no sense.
    pub fn refused(&self, context: &QueryContext, query: &str, origin: &Origin, error: &Error) {
        let entry = QueryLogEntry {
            query_id: context.query_id.clone(),
            user: context.user.clone(),
            database: context.database.clone(),
            query: shown_text(query),
            start_us: context.now_us,
            duration_us: context.elapsed().as_micros() as u64,
            exception_code: error.code(),
            exception: shown_error(query, &error.to_string()),
            ..QueryLogEntry::default()
        };
        self.counters.count(&entry);
        self.log(QueryEnd::FailedBeforeStart, &entry, origin, context);
        self.trace(&entry, origin, context);
    }

    /// Leaves the query's spans, if it is in a trace.
    fn trace(&self, entry: &QueryLogEntry, origin: &Origin, context: &QueryContext) {
        if self.logs.keeps(Log::OpenTelemetrySpan) {
            let spans = query_spans(entry, origin, &context.settings);
            spans.into_iter().for_each(|row| self.logs.push(Log::OpenTelemetrySpan, row));
        }
    }

    fn log(&self, end: QueryEnd, entry: &QueryLogEntry, origin: &Origin, context: &QueryContext) {
        if self.logs.keeps(Log::Query)
            && is_logged(&context.settings, &context.query_id, end, entry.duration_us)
        {
            self.logs.push(Log::Query, query_row(end, entry, origin, context));
        }
    }
}

/// Keeps a query registered.
pub struct ProcessGuard {
    processes: Arc<Processes>,
    process: Arc<Process>,
}

impl ProcessGuard {
    /// Counts the query's end and leaves it to the log. `error` if it failed.
    pub fn finish(&self, error: Option<&Error>) {
        let (process, context) = (&self.process, &self.process.context);
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let progress = &context.progress;
        let begun = QueryLogEntry::beginning(process);
        let entry = QueryLogEntry {
            duration_us: context.elapsed().as_micros() as u64,
            read_rows: load(&progress.read_rows),
            read_bytes: load(&progress.read_bytes),
            written_rows: load(&progress.written_rows),
            written_bytes: load(&progress.written_bytes),
            result_rows: load(&progress.result_rows),
            result_bytes: load(&progress.result_bytes),
            memory_bytes: context.memory.peak_bytes(),
            exception_code: error.map_or(0, Error::code),
            exception: error
                .map(|e| shown_error(&process.query, &e.to_string()))
                .unwrap_or_default(),
            ..begun.clone()
        };
        let logged = process.start_logged.swap(true, Ordering::Relaxed);
        let idle = entry.read_rows == 0 && entry.written_rows == 0 && entry.result_rows == 0;
        let end = match error {
            None => QueryEnd::Finish,
            Some(_) if idle && !logged => QueryEnd::FailedBeforeStart,
            Some(_) => QueryEnd::Failed,
        };
        if !logged && end != QueryEnd::FailedBeforeStart {
            self.processes.log(QueryEnd::Start, &begun, &process.origin, context);
        }
        self.processes.counters.count(&entry);
        self.processes.log(end, &entry, &process.origin, context);
        self.processes.trace(&entry, &process.origin, context);
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        self.processes.running.lock().remove(&self.process.context.query_id);
        // All: some wait for a turn, some for this one's end.
        self.processes.ended.notify_all();
    }
}

/// A query's text as lists and logs show it: without secrets, and not too long.
pub fn shown_text(query: &str) -> String {
    cut(&crate::statement::hide_secrets(query))
}

/// An error's text as logs show it: those of statements with passwords quote them.
fn shown_error(query: &str, error: &str) -> String {
    match crate::statement::names_password(query) {
        true => crate::statement::hide_strings(error),
        false => error.to_string(),
    }
}

fn cut(query: &str) -> String {
    let mut end = query.len().min(QUERY_TEXT_BYTES_MAX);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    query[..end].to_string()
}
