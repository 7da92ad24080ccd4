//! The scrub: one thread that reads all live parts again and again, slowly, so that damage is found
//! while the data can still be had from elsewhere.
//!
//! Its speed is bounded (bytes a second), it holds no part against merges, and it stops at once when
//! told. A round begins `pause` after the last one ended; parts checked by a round that was cut off by
//! a restart are checked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::check::check_part;
use crate::log::{PartMeta, Table};
use crate::store::Store;

/// How the scrub goes about it.
#[derive(Debug, Clone, Copy)]
pub struct ScrubConfig {
    /// Bytes read a second, about; 0 turns the scrub off.
    pub bytes_per_second: u64,
    /// Rest between rounds.
    pub pause: Duration,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct ScrubCounts {
    pub rounds: AtomicU64,
    pub parts: AtomicU64,
    pub bytes: AtomicU64,
    pub damaged: AtomicU64,
    /// When the last round ended, microseconds; 0 for never.
    pub last_round_us: AtomicU64,
}

/// The thread; stops when dropped.
pub struct Scrub {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    config: ScrubConfig,
    counts: ScrubCounts,
    paused: AtomicBool,
    stopping: Mutex<bool>,
    told: Condvar,
}

impl Scrub {
    /// Starts the thread, unless the speed is 0.
    pub fn start(store: Arc<Store>, config: ScrubConfig) -> Scrub {
        let shared = Arc::new(Shared {
            store,
            config,
            counts: ScrubCounts::default(),
            paused: AtomicBool::new(false),
            stopping: Mutex::new(false),
            told: Condvar::new(),
        });
        let thread = (config.bytes_per_second > 0)
            .then(|| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name("scrub".into())
                    .spawn(move || shared.run())
                    .map_err(|e| tracing::error!("cannot start the scrub: {e}"))
                    .ok()
            })
            .flatten();
        Scrub { shared, thread: Mutex::new(thread) }
    }

    pub fn counts(&self) -> &ScrubCounts {
        &self.shared.counts
    }

    /// Checks no further part until it is called with false.
    pub fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
    }

    /// Ends the thread. A second call does nothing.
    pub fn stop(&self) {
        *self.shared.stopping.lock() = true;
        self.shared.told.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the scrub panicked");
        }
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        // The start has verified what is new.
        while self.rest(self.config.pause) {
            if !self.round() {
                return;
            }
            self.counts.rounds.fetch_add(1, Ordering::Relaxed);
            self.counts.last_round_us.store(self.store.clock().now_us(), Ordering::Relaxed);
        }
    }

    /// One pass over all parts of the newest state; false if told to stop.
    fn round(&self) -> bool {
        // Ids only: holding a snapshot for hours would hold the files of merged parts.
        let state = self.store.snapshot();
        let all: Vec<_> = state
            .tables
            .values()
            .flat_map(|t| t.parts.iter().map(|p| (t.definition.uuid, p.id)))
            .collect();
        drop(state);
        for (table, id) in all {
            while self.paused.load(Ordering::Relaxed) {
                if !self.rest(Duration::from_secs(1)) {
                    return false;
                }
            }
            let state = self.store.snapshot();
            let found = state.tables.get(&table).and_then(|t| {
                t.parts.iter().find(|p| p.id == id).map(|part| (t.clone(), part.clone()))
            });
            drop(state);
            let Some((table, part)) = found else { continue };
            self.check(&table, &part);
            let seconds = part.bytes as f64 / self.config.bytes_per_second as f64;
            if !self.rest(Duration::from_secs_f64(seconds)) {
                return false;
            }
        }
        true
    }

    fn check(&self, table: &Table, part: &Arc<PartMeta>) {
        let known = self.store.quarantine_reason(part.id).is_some();
        let outcome = check_part(&self.store, table, part);
        self.counts.parts.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(part.bytes, Ordering::Relaxed);
        if outcome.problem.is_some() && !known {
            self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits; false if told to stop.
    fn rest(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.told.wait_for(&mut stopping, time);
        }
        !*stopping
    }
}
