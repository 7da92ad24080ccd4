//! Background merges: a few threads that pick, merge, and pick again.
//!
//! They wake when told (a commit), after a merge, and by a timer. One thread of several takes small
//! merges only, so that a long one never lets small parts pile up. A table whose merge failed rests,
//! longer each time; no merge starts on a nearly full disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use super::claim::Claim;
use super::picker::{MergeLimits, pick};
use super::ttl_picker::{self, TtlWork};
use super::worker::{MergeOptions, Progress, drop_parts, merge_with};
use crate::error::Error;
use crate::log::{PartId, State, Table};
use crate::store::Store;

/// How often to look without being woken.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Merges above this are left to the other threads by the one for small merges.
const SMALL_MERGE_BYTES: u64 = 256 << 20;
/// First and longest rest after a failure; doubles in between.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(300);

/// Between two rewrites of a partition for its TTL (`merge_with_ttl_timeout`).
const TTL_TIMEOUT: Duration = Duration::from_secs(14_400);
/// Partitions whose last rewrite is remembered, about.
const EXPIRED_MAX: usize = 10_000;

/// A merge that is going on, for system tables.
#[derive(Debug, Clone)]
pub struct RunningMerge {
    pub database: String,
    pub table: String,
    pub partition_id: String,
    pub parts: Vec<PartId>,
    /// Names of the parts, as ClickHouse shows them.
    pub part_names: Vec<String>,
    pub rows_total: u64,
    pub rows_done: u64,
    pub bytes: u64,
    pub started_us: u64,
}

/// The merge threads of a store.
pub struct MergePool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    work: Mutex<Work>,
    woken: Condvar,
}

#[derive(Default)]
struct Work {
    stopping: bool,
    /// No merge starts while this is set (`SYSTEM STOP MERGES`).
    paused: bool,
    /// Tables for which it is set alone.
    paused_tables: HashSet<Uuid>,
    /// Counts wakes, so that one that comes while a thread looks is not lost.
    wakes: u64,
    running: HashMap<u64, (RunningMerge, Arc<Progress>)>,
    next_id: u64,
    resting: HashMap<Uuid, Rest>,
    /// When a partition was last written again for what ran out in it.
    expired: HashMap<(Uuid, String), Duration>,
}

#[derive(Clone, Copy)]
struct Rest {
    until: Duration,
    length: Duration,
}

struct Job {
    table: Arc<Table>,
    parts: Vec<PartId>,
    kind: JobKind,
    progress: Arc<Progress>,
    _claim: Claim,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum JobKind {
    Merge,
    /// By TTL: the parts go, or one is written again.
    Drop,
    Expire,
}

impl MergePool {
    /// Starts `threads` (at least one) threads.
    pub fn start(store: Arc<Store>, threads: usize) -> MergePool {
        let shared = Arc::new(Shared { store, work: Mutex::default(), woken: Condvar::new() });
        let threads = threads.max(1);
        let threads = (0..threads)
            .filter_map(|i| {
                let shared = shared.clone();
                let small_only = threads > 1 && i == 0;
                std::thread::Builder::new()
                    .name(format!("merge-{i}"))
                    .spawn(move || shared.run(small_only))
                    .map_err(|e| tracing::error!("cannot start a merge thread: {e}"))
                    .ok()
            })
            .collect();
        MergePool { shared, threads: Mutex::new(threads) }
    }

    /// Says that there may be something to merge.
    pub fn wake(&self) {
        self.shared.work.lock().wakes += 1;
        self.shared.woken.notify_all();
    }

    /// The merges that are going on.
    pub fn running(&self) -> Vec<RunningMerge> {
        let work = self.shared.work.lock();
        let mut running: Vec<RunningMerge> = work
            .running
            .values()
            .map(|(merge, progress)| RunningMerge {
                rows_done: progress.rows_done.load(Ordering::Relaxed),
                ..merge.clone()
            })
            .collect();
        running.sort_by_key(|m| m.started_us);
        running
    }

    /// Lets running merges end but starts no more, until it is called with false.
    pub fn set_paused(&self, paused: bool) {
        self.shared.work.lock().paused = paused;
        self.wake();
    }

    /// The same for one table.
    pub fn set_table_paused(&self, table: Uuid, paused: bool) {
        let mut work = self.shared.work.lock();
        match paused {
            true => work.paused_tables.insert(table),
            false => work.paused_tables.remove(&table),
        };
        drop(work);
        self.wake();
    }

    /// Whether merges of the table are stopped, alone or with all others.
    pub fn is_paused(&self, table: Uuid) -> bool {
        let work = self.shared.work.lock();
        work.paused || work.paused_tables.contains(&table)
    }

    /// Cancels what runs and waits for the threads to end. A second call does nothing.
    pub fn stop(&self) {
        {
            let mut work = self.shared.work.lock();
            work.stopping = true;
            work.running.values().for_each(|(_, p)| p.cancel.store(true, Ordering::Relaxed));
        }
        self.shared.woken.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a merge thread panicked");
            }
        }
    }
}

impl Drop for MergePool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self, small_only: bool) {
        let mut seen = (u64::MAX, u64::MAX);
        loop {
            let wakes = {
                let work = self.work.lock();
                if work.stopping {
                    return;
                }
                work.wakes
            };
            let state = self.store.snapshot();
            let now = (wakes, state.version);
            // The same state may yield more once parts grow old, so look now and then anyway.
            let job = self.find(&state, small_only);
            drop(state);
            match job {
                Some(job) => self.carry_out(job),
                None => {
                    let mut work = self.work.lock();
                    if !work.stopping && (work.wakes == now.0 || seen == now) {
                        let rest = if seen == now { LOOK_EVERY * 4 } else { LOOK_EVERY };
                        self.woken.wait_for(&mut work, rest);
                    }
                    seen = now;
                }
            }
        }
    }

    /// Picks and claims a merge over all tables.
    fn find(&self, state: &State, small_only: bool) -> Option<Job> {
        let paused = {
            let mut work = self.work.lock();
            work.paused_tables.retain(|table| state.tables.contains_key(table));
            if work.paused {
                return None;
            }
            work.paused_tables.clone()
        };
        if !self.store.has_free_space().unwrap_or(false) {
            return None;
        }
        let limits = MergeLimits {
            merge_bytes_max: self.merge_bytes_max(small_only),
            now_us: self.store.clock().now_us(),
            ..Default::default()
        };
        let now = self.store.clock().monotonic();
        let busy = Claim::busy(&self.store);
        for table in state.tables.values() {
            let keeps_parts = match table.definition.engine.as_str() {
                // What a bound takes away are whole inserts.
                "Memory" if !table.definition.settings.is_empty() => false,
                "Memory" | "Log" | "TinyLog" | "StripeLog" | "Set" | "Join" => true,
                engine => engine.ends_with("MergeTree"),
            };
            let stopped = paused.contains(&table.definition.uuid);
            let mergeable = keeps_parts && !table.detached && !stopped;
            if !mergeable || table.parts.is_empty() || self.rests(table, now) {
                continue;
            }
            if let Some(job) = self.find_expired(table, &busy) {
                return Some(job);
            }
            if table.parts.len() > 1
                && let Some(parts) = pick(&table.parts, &limits, &busy)
                && let Some(job) = self.claim(table, parts, JobKind::Merge)
            {
                return Some(job);
            }
        }
        None
    }

    /// The job, if its parts can be had.
    fn claim(&self, table: &Arc<Table>, parts: Vec<PartId>, kind: JobKind) -> Option<Job> {
        let progress = Arc::new(Progress::default());
        let merged = table.parts.iter().filter(|p| parts.contains(&p.id));
        let rows = merged.map(|p| p.rows).sum();
        let claim = Claim::take_yielding(&self.store, &parts, rows, &progress)?;
        Some(Job { table: table.clone(), parts, kind, progress, _claim: claim })
    }

    /// What of a table has run out and is due.
    fn find_expired(&self, table: &Arc<Table>, busy: &HashSet<PartId>) -> Option<Job> {
        if table.parts.iter().all(|p| p.ttl_seconds.is_none()) {
            return None;
        }
        let seconds = (self.store.clock().now_us() / 1_000_000) as i64;
        let now = self.store.clock().monotonic();
        let uuid = table.definition.uuid;
        let setting = |name: &str| table.definition.settings.get(name).map(String::as_str);
        let only_drop = matches!(setting("ttl_only_drop_parts"), Some("1" | "true"));
        let timeout = setting("merge_with_ttl_timeout")
            .and_then(|s| s.parse::<u64>().ok())
            .map_or(TTL_TIMEOUT, Duration::from_secs);
        let last = |partition: &str| {
            let key = (uuid, partition.to_string());
            self.work.lock().expired.get(&key).copied()
        };
        let may_rewrite = |partition: &str| last(partition).is_none_or(|at| now >= at + timeout);
        let work = ttl_picker::due(&table.parts, seconds, only_drop, busy, &may_rewrite)?;
        let (parts, kind) = match work {
            TtlWork::Drop(parts) => (parts, JobKind::Drop),
            TtlWork::Rewrite(part) => (vec![part], JobKind::Expire),
        };
        let job = self.claim(table, parts, kind)?;
        if kind == JobKind::Expire {
            let mut work = self.work.lock();
            if work.expired.len() >= EXPIRED_MAX {
                work.expired.retain(|_, at| now < *at + timeout);
            }
            for part in table.parts.iter().filter(|p| job.parts.contains(&p.id)) {
                work.expired.insert((uuid, part.partition_id.clone()), now);
            }
        }
        Some(job)
    }

    /// What fits beside its sources on the disk.
    fn merge_bytes_max(&self, small_only: bool) -> u64 {
        let most =
            if small_only { SMALL_MERGE_BYTES } else { MergeLimits::default().merge_bytes_max };
        match self.store.disk().free_bytes() {
            Ok(Some(free)) => {
                most.min(free.saturating_sub(self.store.config().keep_free_bytes) / 2)
            }
            _ => most,
        }
    }

    fn rests(&self, table: &Table, now: Duration) -> bool {
        self.work.lock().resting.get(&table.definition.uuid).is_some_and(|r| now < r.until)
    }

    fn carry_out(&self, job: Job) {
        let progress = job.progress.clone();
        let id = {
            let mut work = self.work.lock();
            if work.stopping {
                return;
            }
            let id = work.next_id;
            work.next_id += 1;
            work.running.insert(id, (self.describe(&job), progress.clone()));
            id
        };
        let work = || match job.kind {
            JobKind::Drop => drop_parts(&self.store, &job.table, &job.parts),
            JobKind::Merge | JobKind::Expire => {
                merge_with(&self.store, &job.table, &job.parts, &MergeOptions::default(), &progress)
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Error::Column("a merge panicked".into())));
        let mut work = self.work.lock();
        work.running.remove(&id);
        let table = job.table.definition.uuid;
        match result {
            Ok(_) => {
                work.resting.remove(&table);
            }
            // Someone changed or dropped the table meanwhile: no fault, look again.
            Err(Error::Rejected(_)) => {}
            Err(_) if work.stopping || progress.yields.load(Ordering::Relaxed) => {}
            Err(e) => {
                let length = work
                    .resting
                    .get(&table)
                    .map_or(REST_MIN, |rest| (rest.length * 2).min(REST_MAX));
                let until = self.store.clock().monotonic() + length;
                work.resting.insert(table, Rest { until, length });
                let name = job.table.definition.full_name();
                tracing::warn!("a merge of {name} failed, next try in {length:?}: {e}");
            }
        }
    }

    fn describe(&self, job: &Job) -> RunningMerge {
        let metas: Vec<_> = job.table.parts.iter().filter(|p| job.parts.contains(&p.id)).collect();
        RunningMerge {
            database: job.table.definition.database.clone(),
            table: job.table.definition.name.clone(),
            partition_id: metas.first().map(|p| p.partition_id.clone()).unwrap_or_default(),
            parts: job.parts.clone(),
            part_names: metas.iter().map(|p| p.name()).collect(),
            rows_total: metas.iter().map(|p| p.rows).sum(),
            rows_done: 0,
            bytes: metas.iter().map(|p| p.bytes).sum(),
            started_us: self.store.clock().now_us(),
        }
    }
}
