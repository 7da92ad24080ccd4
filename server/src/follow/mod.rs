//! What was inserted lately into tables that somebody follows.
//!
//! One ring per followed table keeps the parts as they were inserted, and with them their files, after
//! merges have folded them into others: a follower that is slow, or that comes back with its cursor,
//! still finds each insert apart. A ring is bounded by age, parts and bytes, and gone a while after its
//! last follower. What no ring can tell apart any more is an error, never a row twice or not at all.

mod ring;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Store;
use pumphouse_storage::log::State;
use uuid::Uuid;

pub use ring::Fresh;
use ring::Ring;

/// Followers at a time.
const FOLLOWERS_MAX: usize = 64;
/// Tables with a ring.
const TABLES_MAX: usize = 64;
/// A ring without a follower is kept for so long.
const RING_KEPT: Duration = Duration::from_secs(600);
/// How long the watching thread waits for a commit.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// States that may wait for the watching thread.
const STATES_MAX: usize = 1024;

/// All rings of one server.
#[derive(Default)]
pub struct Follows {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Some ring has got something new.
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    rings: BTreeMap<Uuid, Ring>,
    followers: usize,
    watching: bool,
}

/// A follower's place; given back on drop.
pub struct FollowerPlace {
    shared: Arc<Shared>,
    table: Uuid,
}

impl Drop for FollowerPlace {
    fn drop(&mut self) {
        let mut inner = self.shared.inner.lock();
        inner.followers = inner.followers.saturating_sub(1);
        if let Some(ring) = inner.rings.get_mut(&self.table) {
            ring.followers = ring.followers.saturating_sub(1);
            ring.last_used = Instant::now();
        }
    }
}

impl Follows {
    /// Begins to follow a table: from now on its inserts are kept apart. Gives the block that comes next.
    pub fn join(&self, store: &Arc<Store>, table: Uuid) -> Result<(FollowerPlace, u64)> {
        let mut inner = self.shared.inner.lock();
        if inner.followers >= FOLLOWERS_MAX
            || (inner.rings.len() >= TABLES_MAX && !inner.rings.contains_key(&table))
        {
            return Err(Error::new(
                codes::TOO_MANY_SIMULTANEOUS_QUERIES,
                format!("Too many followers: at most {FOLLOWERS_MAX} of {TABLES_MAX} tables"),
            ));
        }
        if !inner.watching {
            // Before the ring begins, so that nothing lies between.
            let states = store.watch(STATES_MAX);
            let shared = Arc::downgrade(&self.shared);
            std::thread::Builder::new()
                .name("follow-watch".into())
                .spawn(move || watch(&states, &shared))
                .map_err(|e| {
                    let message = format!("Cannot start a thread: {e}");
                    Error::new(codes::CANNOT_SCHEDULE_TASK, message)
                })?;
            inner.watching = true;
        }
        let state = store.snapshot();
        let Some(known) = state.tables.get(&table) else {
            return Err(Error::new(codes::UNKNOWN_TABLE, "The table is gone"));
        };
        inner.followers += 1;
        let ring = inner.rings.entry(table).or_insert_with(|| Ring::new(known));
        ring.followers += 1;
        let next = ring.next_block();
        Ok((FollowerPlace { shared: self.shared.clone(), table }, next))
    }

    /// The oldest insert at or behind block `next`, waited for no longer than `time`. Error 36 if it
    /// cannot be told apart from others any more, 60 if the table is gone.
    pub fn fresh(&self, table: Uuid, next: u64, time: Duration) -> Result<Option<Fresh>> {
        let end = Instant::now() + time;
        let mut inner = self.shared.inner.lock();
        loop {
            let Some(ring) = inner.rings.get_mut(&table) else {
                return Err(Error::new(codes::UNKNOWN_TABLE, "The table is gone"));
            };
            if let Some(fresh) = ring.fresh(next)? {
                return Ok(Some(fresh));
            }
            if self.shared.changed.wait_until(&mut inner, end).timed_out() {
                return Ok(None);
            }
        }
    }
}

/// Keeps the rings of followed tables up to date until there are none.
fn watch(states: &Receiver<Arc<State>>, shared: &Weak<Shared>) {
    loop {
        let state = states.recv_timeout(LOOK_INTERVAL);
        let Some(shared) = shared.upgrade() else { return };
        let mut inner = shared.inner.lock();
        let state = match state {
            Ok(state) => Some(state),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        inner.rings.retain(|uuid, ring| {
            ring.tidy();
            let is_idle = ring.followers == 0 && ring.last_used.elapsed() > RING_KEPT;
            match state.as_ref().map(|s| s.tables.get(uuid)) {
                _ if is_idle => false,
                None => true,
                Some(Some(table)) => {
                    ring.look(table);
                    true
                }
                Some(None) => false,
            }
        });
        shared.changed.notify_all();
        if inner.rings.is_empty() {
            inner.watching = false;
            return;
        }
    }
}
