//! Named HTTP sessions: settings and the current database that outlive a request. One request at a
//! time uses a session; another waits a while for it rather than failing at once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_query::catalog::TemporaryTables;
use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use crate::access::RoleChoice;

/// Sessions kept at most; beyond, the ones idle longest go first.
const SESSIONS_MAX: usize = 10_000;
/// How long a request waits for its session to be free.
const LOCK_WAIT: Duration = Duration::from_secs(10);
pub const SESSION_TIMEOUT_SECONDS_DEFAULT: u64 = 60;
pub const SESSION_TIMEOUT_SECONDS_MAX: u64 = 3600;

/// What a session remembers.
#[derive(Debug, Clone, Default)]
pub struct SessionState {
    pub settings: Settings,
    pub parameters: BTreeMap<String, String>,
    pub database: Option<String>,
    /// What SET ROLE chose.
    pub roles: RoleChoice,
    pub temporary: Arc<TemporaryTables>,
    /// What its temporary tables may take, from the first of them on.
    pub temporary_memory: Arc<OnceLock<Arc<MemoryTracker>>>,
}

struct Slot {
    state: SessionState,
    busy: bool,
    idle_since: Instant,
    timeout: Duration,
}

/// All named sessions, by user and id.
#[derive(Default)]
pub struct Sessions {
    slots: Mutex<BTreeMap<(String, String), Slot>>,
    freed: Condvar,
}

impl Sessions {
    /// Takes the session, creating it unless `must_exist`. Waits for a concurrent request to end.
    pub fn acquire(
        self: &Arc<Self>,
        user: &str,
        id: &str,
        timeout: Duration,
        must_exist: bool,
    ) -> Result<SessionGuard> {
        let key = (user.to_string(), id.to_string());
        let deadline = Instant::now() + LOCK_WAIT;
        let mut slots = self.slots.lock();
        expire(&mut slots);
        loop {
            match slots.get_mut(&key) {
                Some(slot) if slot.busy => {
                    if self.freed.wait_until(&mut slots, deadline).timed_out() {
                        return Err(Error::new(
                            codes::SESSION_IS_LOCKED,
                            format!("Session {id} is locked by a concurrent client"),
                        ));
                    }
                }
                Some(slot) => {
                    slot.busy = true;
                    slot.timeout = timeout;
                    let state = slot.state.clone();
                    return Ok(SessionGuard { sessions: self.clone(), key, state, close: false });
                }
                None if must_exist => {
                    return Err(Error::new(
                        codes::SESSION_NOT_FOUND,
                        format!("Session {id} not found"),
                    ));
                }
                None => {
                    let slot = Slot {
                        state: SessionState::default(),
                        busy: false,
                        idle_since: Instant::now(),
                        timeout,
                    };
                    slots.insert(key.clone(), slot);
                }
            }
        }
    }
}

fn expire(slots: &mut BTreeMap<(String, String), Slot>) {
    let now = Instant::now();
    slots.retain(|_, s| s.busy || now.duration_since(s.idle_since) < s.timeout);
    while slots.len() >= SESSIONS_MAX {
        let oldest = slots
            .iter()
            .filter(|(_, s)| !s.busy)
            .min_by_key(|(_, s)| s.idle_since)
            .map(|(k, _)| k.clone());
        match oldest {
            Some(key) => slots.remove(&key),
            None => return,
        };
    }
}

/// A session in use; its state goes back on drop.
pub struct SessionGuard {
    sessions: Arc<Sessions>,
    key: (String, String),
    pub state: SessionState,
    /// Forget the session instead of keeping it (`close_session=1`).
    pub close: bool,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut slots = self.sessions.slots.lock();
        if self.close {
            slots.remove(&self.key);
        } else if let Some(slot) = slots.get_mut(&self.key) {
            slot.state = std::mem::take(&mut self.state);
            slot.busy = false;
            slot.idle_since = Instant::now();
        }
        drop(slots);
        self.sessions.freed.notify_all();
    }
}
