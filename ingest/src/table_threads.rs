//! A thread for each table of a kind: begun when the state wants it, told to end when it does not or when
//! the table's definition has changed. Used by tables that follow files and by those that deliver to Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use pumphouse_storage::log::Table;

use crate::kafka::Signal;

/// What a table's thread is given: its table, where it says how it goes, and what ends or wakes it.
pub(crate) struct Start<S> {
    pub(crate) table: Arc<Table>,
    pub(crate) status: Arc<Mutex<S>>,
    pub(crate) signal: Arc<Signal>,
}

struct Running<S> {
    definition_version: u64,
    status: Arc<Mutex<S>>,
    signal: Arc<Signal>,
    thread: JoinHandle<()>,
}

/// The threads that run, by table; `S` is what a thread says of itself.
pub(crate) struct TableThreads<S> {
    /// Names the threads, as in `file-log t`.
    kind: &'static str,
    running: Mutex<BTreeMap<Uuid, Running<S>>>,
}

impl<S: Clone + Send + 'static> TableThreads<S> {
    pub(crate) fn new(kind: &'static str) -> TableThreads<S> {
        TableThreads { kind, running: Mutex::default() }
    }

    /// Makes what runs agree with `wanted`. Threads that end are waited for at most `wait`; those that stay
    /// are woken, since a change elsewhere may be what they wait for. `work` makes what a new thread runs.
    pub(crate) fn sync<W: FnOnce() + Send + 'static>(
        &self,
        wanted: BTreeMap<Uuid, Arc<Table>>,
        wait: Duration,
        status: impl Fn(&Table) -> S,
        work: impl Fn(Start<S>) -> W,
    ) {
        let mut running = self.running.lock();
        let same = |uuid: &Uuid, r: &Running<S>| {
            let version = wanted.get(uuid).map(|t| t.definition_version);
            version == Some(r.definition_version) && !r.thread.is_finished()
        };
        let stale: Vec<Uuid> =
            running.iter().filter(|(u, r)| !same(u, r)).map(|(u, _)| *u).collect();
        self.stop(stale.iter().filter_map(|u| running.remove(u)).collect(), wait);
        for (uuid, table) in wanted {
            if let Some(known) = running.get(&uuid) {
                known.signal.wake();
            } else if let Some(begun) = self.begin(table, &status, &work) {
                running.insert(uuid, begun);
            }
        }
    }

    fn begin<W: FnOnce() + Send + 'static>(
        &self,
        table: Arc<Table>,
        status: impl Fn(&Table) -> S,
        work: impl Fn(Start<S>) -> W,
    ) -> Option<Running<S>> {
        let status = Arc::new(Mutex::new(status(&table)));
        let signal = Arc::new(Signal::default());
        let definition_version = table.definition_version;
        let name = format!("{} {}", self.kind, table.definition.name);
        let work = work(Start { table, status: status.clone(), signal: signal.clone() });
        match std::thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => Some(Running { definition_version, status, signal, thread }),
            Err(e) => {
                tracing::error!("cannot start a thread ({}): {e}", self.kind);
                None
            }
        }
    }

    /// Ends the wait that the table's thread is in, if it runs and waits.
    pub(crate) fn wake(&self, table: &Uuid) {
        if let Some(running) = self.running.lock().get(table) {
            running.signal.wake();
        }
    }

    /// What the threads say, by table.
    pub(crate) fn statuses(&self) -> BTreeMap<Uuid, S> {
        self.running.lock().iter().map(|(uuid, r)| (*uuid, r.status.lock().clone())).collect()
    }

    pub(crate) fn shutdown(&self, wait: Duration) {
        let running = std::mem::take(&mut *self.running.lock());
        self.stop(running.into_values().collect(), wait);
    }

    /// Signals all, then waits for all, for `time` at most.
    fn stop(&self, running: Vec<Running<S>>, time: Duration) {
        running.iter().for_each(|r| r.signal.stop());
        let end = Instant::now() + time;
        for r in running {
            while !r.thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            if r.thread.is_finished() {
                let _ = r.thread.join();
            } else {
                tracing::warn!("a thread ({}) has not ended in time; it is left behind", self.kind);
            }
        }
    }
}
