//! What one query may use and is told: settings, parameters, limits, memory account, progress and
//! cancellation. Shared by all of the query's threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_storage::types::TimeZone;

use crate::catalog::{TemporaryTable, TemporaryTables};
use crate::error::{Error, Result, codes};
pub use crate::settings::Settings;
use crate::spill::QuerySpill;
use crate::turns::{AT_ONCE, QueryTurn};

/// Names of projections that are remembered of a query.
const PROJECTIONS_MAX: usize = 100;

/// Conditions on the rows of tables that hold for who asks.
pub trait RowFilters: Send + Sync {
    /// The condition on rows of a table, over its columns; None: all rows are seen.
    fn filter(&self, database: &str, table: &str) -> Option<crate::sql::ast::Expr>;
}

/// The roles in which a query runs, by their names.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    pub current: Vec<String>,
    pub enabled: Vec<String>,
    pub default: Vec<String>,
}

/// One query's surroundings.
pub struct QueryContext {
    pub query_id: String,
    pub user: String,
    pub database: String,
    pub settings: Settings,
    /// `{name:Type}` parameters, as text.
    pub parameters: BTreeMap<String, String>,
    pub time_zone: TimeZone,
    /// Wall time at the query's start, so that `now()` is one value: microseconds since the epoch.
    pub now_us: u64,
    pub started: Instant,
    pub deadline: Option<Instant>,
    pub cancelled: AtomicBool,
    pub memory: Arc<MemoryTracker>,
    pub progress: Progress,
    pub roles: Roles,
    /// None: all rows of all tables.
    pub row_filters: Option<Arc<dyn RowFilters>>,
    /// Tables without a database, the query's own before its session's.
    pub temporary: Vec<Arc<TemporaryTables>>,
    projections: Mutex<BTreeSet<String>>,
    /// Where operators may put what does not fit into memory.
    pub spill: Option<Arc<QuerySpill>>,
    /// Its place in the line at the processor; None: it waits for nobody.
    pub turn: Option<QueryTurn>,
}

impl QueryContext {
    /// A context with defaults: UTC, database `default`, no limits but `memory_bytes_max`.
    pub fn new(query_id: impl Into<String>, now_us: u64, memory_bytes_max: u64) -> QueryContext {
        QueryContext {
            query_id: query_id.into(),
            user: "default".into(),
            database: "default".into(),
            settings: Settings::default(),
            parameters: BTreeMap::new(),
            time_zone: TimeZone::UTC,
            now_us,
            started: Instant::now(),
            deadline: None,
            cancelled: AtomicBool::new(false),
            memory: MemoryTracker::new(memory_bytes_max),
            progress: Progress::default(),
            roles: Roles::default(),
            row_filters: None,
            temporary: vec![],
            projections: Mutex::default(),
            spill: None,
            turn: None,
        }
    }

    /// Remembers that a projection was read, `database.table.projection`.
    pub fn note_projection(&self, name: String) {
        let mut names = self.projections.lock();
        if names.len() < PROJECTIONS_MAX {
            names.insert(name);
        }
    }

    /// The projections that were read, in order.
    pub fn projections(&self) -> Vec<String> {
        self.projections.lock().iter().cloned().collect()
    }

    /// The temporary table that `name` means to this query.
    pub fn temporary_table(&self, name: &str) -> Option<Arc<TemporaryTable>> {
        self.temporary.iter().find_map(|tables| tables.get(name))
    }

    /// Threads this query may use (`max_threads`, default all cores).
    pub fn threads(&self) -> usize {
        // Asking means reading files of the control group, so it is done once.
        static CORES: OnceLock<u64> = OnceLock::new();
        let ask = || std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let cores = *CORES.get_or_init(ask);
        match self.settings.u64("max_threads", 0) {
            0 => cores as usize,
            n => n.min(cores.max(1) * 4) as usize,
        }
    }

    /// To be called between morsels: fails when cancelled or out of time. A query that has gone on for a
    /// moment waits here for its turn.
    pub fn check(&self) -> Result<()> {
        if let Some(turn) = self.turn.as_ref().filter(|_| self.elapsed() >= AT_ONCE) {
            let over = || self.deadline.is_some_and(|deadline| Instant::now() > deadline);
            turn.take(&|| self.cancelled.load(Ordering::Relaxed) || over());
        }
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(codes::QUERY_WAS_CANCELLED, "Query was cancelled"));
        }
        if let Some(deadline) = self.deadline
            && Instant::now() > deadline
        {
            return Err(Error::new(
                codes::TIMEOUT_EXCEEDED,
                format!(
                    "Timeout exceeded: elapsed {} ms, maximum: {} ms",
                    self.started.elapsed().as_millis(),
                    deadline.duration_since(self.started).as_millis()
                ),
            ));
        }
        Ok(())
    }

    /// The query needs the processor no more.
    pub fn end_turn(&self) {
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Counters that progress bars and `X-ClickHouse-Summary` show.
#[derive(Debug, Default)]
pub struct Progress {
    pub read_rows: AtomicU64,
    pub read_bytes: AtomicU64,
    pub total_rows_to_read: AtomicU64,
    pub written_rows: AtomicU64,
    pub written_bytes: AtomicU64,
    pub result_rows: AtomicU64,
    pub result_bytes: AtomicU64,
    pub before_limit: BeforeLimit,
}

/// What the outermost LIMIT saw: ClickHouse's `rows_before_limit_at_least`. Rows that a scan left out
/// because they could not be among the first are not counted.
#[derive(Debug, Default)]
pub struct BeforeLimit {
    pub applied: AtomicBool,
    pub rows: AtomicU64,
}

impl BeforeLimit {
    /// The rows, if there was a LIMIT.
    pub fn get(&self) -> Option<u64> {
        self.applied.load(Ordering::Relaxed).then(|| self.rows.load(Ordering::Relaxed))
    }
}

/// Memory account of one query (or, by `parent`, of all). Operators reserve before they grow.
#[derive(Debug)]
pub struct MemoryTracker {
    used: AtomicI64,
    peak: AtomicI64,
    bytes_max: i64,
    /// What the process holds beside what is charged here.
    other: AtomicI64,
    parent: Option<Arc<MemoryTracker>>,
}

/// A query that uses less than this is not refused for what others of the process hold.
const SMALL_QUERY_BYTES: i64 = 16 << 20;

impl MemoryTracker {
    /// `bytes_max` 0 means no limit.
    pub fn new(bytes_max: u64) -> Arc<MemoryTracker> {
        Self::with_parent(bytes_max, None)
    }

    /// A tracker that also charges `parent`.
    pub fn with_parent(bytes_max: u64, parent: Option<Arc<MemoryTracker>>) -> Arc<MemoryTracker> {
        let bytes_max =
            if bytes_max == 0 { i64::MAX } else { bytes_max.min(i64::MAX as u64) as i64 };
        Arc::new(MemoryTracker {
            used: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            bytes_max,
            other: AtomicI64::new(0),
            parent,
        })
    }

    /// Charges `bytes` until the guard drops; fails with MEMORY_LIMIT_EXCEEDED.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<MemoryGuard> {
        let mut guard = MemoryGuard { tracker: self.clone(), bytes: 0 };
        guard.grow_to(bytes)?;
        Ok(guard)
    }

    /// The least limit of this account and those above it.
    pub fn limit_bytes(&self) -> Option<u64> {
        let own = (self.bytes_max < i64::MAX).then_some(self.bytes_max as u64);
        let above = self.parent.as_ref().and_then(|parent| parent.limit_bytes());
        match (own, above) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        }
    }

    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed).max(0) as u64
    }

    pub fn peak_bytes(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).max(0) as u64
    }

    /// Says what the process holds in all. What is not charged here (streams, merges, caches) leaves so much less
    /// to accounts below this one; who charges this account itself is not held up by it.
    pub fn set_process_bytes(&self, bytes: u64) {
        let used = self.used.load(Ordering::Relaxed).max(0);
        let other = (bytes.min(i64::MAX as u64) as i64).saturating_sub(used).max(0);
        self.other.store(other, Ordering::Relaxed);
    }

    fn charge(&self, bytes: i64) -> Result<()> {
        if let Some(parent) = &self.parent {
            let small = self.used.load(Ordering::Relaxed) + bytes <= SMALL_QUERY_BYTES;
            parent.charge_beside(
                bytes,
                if small { 0 } else { parent.other.load(Ordering::Relaxed) },
            )?;
        }
        self.charge_own(bytes, 0)
    }

    fn charge_beside(&self, bytes: i64, other: i64) -> Result<()> {
        if let Some(parent) = &self.parent {
            parent.charge_beside(bytes, parent.other.load(Ordering::Relaxed).min(other))?;
        }
        self.charge_own(bytes, other)
    }

    fn charge_own(&self, bytes: i64, other: i64) -> Result<()> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes > 0 && used.saturating_add(other) > self.bytes_max {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            if let Some(parent) = &self.parent {
                parent.release(bytes);
            }
            return Err(Error::new(
                codes::MEMORY_LIMIT_EXCEEDED,
                format!(
                    "Memory limit exceeded: would use {used} bytes, maximum: {} bytes",
                    self.bytes_max
                ),
            ));
        }
        self.peak.fetch_max(used, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: i64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.release(bytes);
        }
    }
}

/// A reservation; released on drop.
#[derive(Debug)]
pub struct MemoryGuard {
    tracker: Arc<MemoryTracker>,
    bytes: usize,
}

impl MemoryGuard {
    /// Makes the reservation `bytes` large (larger or smaller than now).
    pub fn grow_to(&mut self, bytes: usize) -> Result<()> {
        let delta = bytes as i64 - self.bytes as i64;
        if delta > 0 {
            self.tracker.charge(delta)?;
        } else {
            self.tracker.release(-delta);
        }
        self.bytes = bytes;
        Ok(())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for MemoryGuard {
    fn drop(&mut self) {
        self.tracker.release(self.bytes as i64);
    }
}

#[cfg(test)]
mod memory_tests {
    use super::*;

    #[test]
    fn what_the_process_holds_leaves_less_to_queries_and_not_to_streams() {
        let server = MemoryTracker::new(400 << 20);
        server.set_process_bytes(350 << 20);
        let query = MemoryTracker::with_parent(0, Some(server.clone()));
        let small = query.reserve(10 << 20).unwrap();
        assert!(query.reserve(100 << 20).is_err(), "350 are taken");
        let more = query.reserve(30 << 20).unwrap();
        assert!(server.reserve(300 << 20).is_ok(), "a stream's own account");
        drop((small, more));
        assert_eq!(server.used_bytes(), 0);
        server.set_process_bytes(0);
        assert!(query.reserve(100 << 20).is_ok());
    }
}
