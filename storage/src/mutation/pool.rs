//! The background thread that takes parts through their mutations, and what it says about failures.
//!
//! It wakes when told and by a timer, works off what the newest state lists, and skips parts that a
//! merge holds. A table whose mutation failed rests, longer each time; the reason is kept until the
//! mutation is done or killed. Everything else is in the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use super::worker::mutate;
use crate::error::Error;
use crate::log::{PartMeta, State, Table};
use crate::merge::claim::Claim;
use crate::merge::worker::Progress;
use crate::store::Store;

/// How often to look without being woken.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// First and longest rest after a failure; doubles in between.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(60);

/// The last failure of a table's mutations.
#[derive(Debug, Clone)]
pub struct MutationFailure {
    /// Number of the first mutation that the part had not been through.
    pub number: u64,
    pub part_name: String,
    pub reason: String,
    pub failed_us: u64,
    /// ClickHouse's code where the expression failed.
    pub code: Option<u32>,
}

/// The mutation thread of a store.
pub struct MutationPool {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    kept: Duration,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    stopping: bool,
    wakes: u64,
    running: Option<Arc<Progress>>,
    failures: HashMap<Uuid, (MutationFailure, Rest)>,
}

#[derive(Clone, Copy)]
struct Rest {
    until: Duration,
    length: Duration,
}

struct Job {
    table: Arc<Table>,
    part: Arc<PartMeta>,
    _claim: Claim,
}

impl MutationPool {
    /// Starts the thread. It also lets dropped tables go once they were `kept` for so long.
    pub fn start(store: Arc<Store>, kept: Duration) -> MutationPool {
        let shared =
            Arc::new(Shared { store, kept, work: Mutex::default(), changed: Condvar::new() });
        let own = shared.clone();
        let thread = std::thread::Builder::new()
            .name("mutations".into())
            .spawn(move || own.run())
            .map_err(|e| tracing::error!("cannot start the mutation thread: {e}"))
            .ok();
        MutationPool { shared, thread: Mutex::new(thread) }
    }

    /// Says that there may be something to do.
    pub fn wake(&self) {
        self.shared.work.lock().wakes += 1;
        self.shared.changed.notify_all();
    }

    /// The last failure of the table's mutations, if they have not gone on since.
    pub fn failure(&self, table: Uuid) -> Option<MutationFailure> {
        self.shared.work.lock().failures.get(&table).map(|(failure, _)| failure.clone())
    }

    /// Forgets a failure, so that what is left is tried at once.
    pub fn forgive(&self, table: Uuid) {
        self.shared.work.lock().failures.remove(&table);
        self.wake();
    }

    /// Waits up to `time` for the thread to finish a part or fail.
    pub fn wait(&self, time: Duration) {
        let mut work = self.shared.work.lock();
        self.shared.changed.wait_for(&mut work, time);
    }

    /// Cancels what runs and waits for the thread to end. A second call does nothing.
    pub fn stop(&self) {
        {
            let mut work = self.shared.work.lock();
            work.stopping = true;
            if let Some(progress) = &work.running {
                progress.cancel.store(true, Ordering::Relaxed);
            }
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the mutation thread panicked");
        }
    }
}

impl Drop for MutationPool {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tables whose parts are not all at the newest version.
fn is_behind(table: &Table) -> bool {
    !table.detached && table.parts.iter().any(|p| p.data_version < table.changes.last_mutation)
}

impl Shared {
    fn run(&self) {
        loop {
            let wakes = {
                let work = self.work.lock();
                if work.stopping {
                    return;
                }
                work.wakes
            };
            match self.find(&self.store.snapshot()) {
                Some(job) => self.carry_out(job),
                None => {
                    if let Err(e) = super::retired::purge(&self.store, self.kept) {
                        tracing::warn!("dropped tables stay for now: {e}");
                    }
                    let mut work = self.work.lock();
                    if !work.stopping && work.wakes == wakes {
                        self.changed.wait_for(&mut work, LOOK_EVERY);
                    }
                }
            }
        }
    }

    fn find(&self, state: &State) -> Option<Job> {
        let now = self.store.clock().monotonic();
        for table in state.tables.values().filter(|t| is_behind(t)) {
            let resting = self
                .work
                .lock()
                .failures
                .get(&table.definition.uuid)
                .is_some_and(|(_, rest)| now < rest.until);
            if resting {
                continue;
            }
            let behind =
                table.parts.iter().filter(|p| p.data_version < table.changes.last_mutation);
            for part in behind {
                if let Some(claim) = Claim::take(&self.store, &[part.id]) {
                    return Some(Job { table: table.clone(), part: part.clone(), _claim: claim });
                }
            }
        }
        None
    }

    fn carry_out(&self, job: Job) {
        let progress = Arc::new(Progress::default());
        self.work.lock().running = Some(progress.clone());
        let work = || mutate(&self.store, &job.table, &job.part, &progress);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Error::Column("a mutation panicked".into())));
        let mut work = self.work.lock();
        work.running = None;
        let table = job.table.definition.uuid;
        match result {
            Ok(_) => {
                work.failures.remove(&table);
            }
            // Someone changed or dropped the part meanwhile: no fault, look again.
            Err(Error::Rejected(_)) => {}
            Err(_) if work.stopping => {}
            Err(e) => {
                let length = work
                    .failures
                    .get(&table)
                    .map_or(REST_MIN, |(_, rest)| (rest.length * 2).min(REST_MAX));
                let until = self.store.clock().monotonic() + length;
                let failure = self.describe(&job, &e);
                tracing::warn!(
                    "a mutation of {} failed, next try in {length:?}: {e}",
                    job.table.definition.full_name()
                );
                work.failures.insert(table, (failure, Rest { until, length }));
            }
        }
        drop(work);
        self.changed.notify_all();
    }

    fn describe(&self, job: &Job, e: &Error) -> MutationFailure {
        MutationFailure {
            number: job.table.mutations_of(&job.part).first().map_or(0, |m| m.number),
            part_name: job.part.name(),
            reason: e.to_string(),
            failed_us: self.store.clock().now_us(),
            code: match e {
                Error::Expression { code, .. } => Some(*code),
                _ => None,
            },
        }
    }
}
