//! Refreshable materialized views: their query is run by the clock and its rows take the place of those
//! before (or, with APPEND, come to them) in one commit.
//!
//! One thread looks for what is due; each refresh runs on a thread of its own, at most [`RUNNING_MAX`] at a
//! time. What is known of a view besides its definition (its last refresh, being stopped) is in memory:
//! after a restart it goes on with its next moment.

mod schedule;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{State, Table};
use uuid::Uuid;

pub use self::schedule::Schedule;
use crate::server::Server;
use crate::statement;

/// The setting of a view's definition that holds its clause.
pub const CLAUSE: &str = "refresh";
/// The setting that says that a new view waits for its first moment.
pub const EMPTY: &str = "refresh_empty";
/// Refreshes that run at once.
const RUNNING_MAX: usize = 4;
/// How often the clock is looked at.
const STEP: Duration = Duration::from_millis(200);
/// Attempts at one refresh.
const ATTEMPTS_MAX: u64 = 3;
const RETRY_US: u64 = 1_000_000;
/// Queries run on such a stack; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;

/// What is known of one view.
#[derive(Clone)]
pub struct Refresh {
    pub schedule: Schedule,
    pub next_us: u64,
    pub stopped: bool,
    pub running: Option<Arc<QueryContext>>,
    pub waiting: bool,
    pub last_success_us: Option<u64>,
    pub last_duration_ms: Option<u64>,
    pub last_refresh_us: Option<u64>,
    pub exception: String,
    pub retry: u64,
    pub rows: u64,
    clause: String,
    forced: bool,
}

/// All refreshable views.
#[derive(Default)]
pub struct Refreshes {
    views: Mutex<BTreeMap<Uuid, Refresh>>,
    changed: Condvar,
    all_stopped: AtomicBool,
}

/// The clause of a view, if it is refreshed by the clock.
pub fn clause_of(table: &Table) -> Option<&String> {
    let definition = &table.definition;
    definition.settings.get(CLAUSE).filter(|_| definition.engine == "MaterializedView")
}

/// Starts the thread that looks at the clock; it ends with the server.
pub fn start(server: &Arc<Server>) -> Result<()> {
    server.refreshes.follow(&server.store.snapshot(), server.clock.now_us(), false);
    let weak: Weak<Server> = Arc::downgrade(server);
    let work = move || {
        let mut seen = 0;
        loop {
            std::thread::sleep(STEP);
            let Some(server) = weak.upgrade() else { return };
            if server.stopping.load(Ordering::SeqCst) {
                return;
            }
            let state = server.store.snapshot();
            if state.version != seen {
                seen = state.version;
                server.refreshes.follow(&state, server.clock.now_us(), true);
            }
            server.refreshes.start_due(&server, &state);
        }
    };
    let thread = std::thread::Builder::new().name("refresh".into()).spawn(work);
    thread.map(|_| ()).map_err(no_thread)
}

fn no_thread(e: std::io::Error) -> Error {
    Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}"))
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

impl Refreshes {
    /// Views that came, changed or went. New ones are due at once unless they are EMPTY.
    fn follow(&self, state: &State, now_us: u64, new_are_due: bool) {
        let mut views = self.views.lock();
        views.retain(|id, refresh| {
            let stays = state.tables.get(id).is_some_and(|t| !t.detached);
            if let (false, Some(context)) = (stays, &refresh.running) {
                context.cancelled.store(true, Ordering::Relaxed);
            }
            stays
        });
        for table in state.tables.values().filter(|t| !t.detached) {
            let Some(clause) = clause_of(table) else { continue };
            let id = table.definition.uuid;
            if views.get(&id).is_some_and(|known| known.clause == *clause) {
                continue;
            }
            let Ok(schedule) = Schedule::parse(clause) else { continue };
            let at_once = new_are_due && !table.definition.settings.contains_key(EMPTY);
            let next_us = if at_once { now_us } else { schedule.next(now_us, random()) };
            views.insert(
                id,
                Refresh {
                    schedule,
                    next_us,
                    stopped: false,
                    running: None,
                    waiting: false,
                    last_success_us: None,
                    last_duration_ms: None,
                    last_refresh_us: None,
                    exception: String::new(),
                    retry: 0,
                    rows: 0,
                    clause: clause.clone(),
                    forced: false,
                },
            );
        }
    }

    fn start_due(&self, server: &Arc<Server>, state: &Arc<State>) {
        let now_us = server.clock.now_us();
        let mut views = self.views.lock();
        let mut running = views.values().filter(|r| r.running.is_some()).count();
        let succeeded: BTreeMap<Uuid, u64> =
            views.iter().filter_map(|(id, r)| Some((*id, r.last_success_us?))).collect();
        let all_stopped = self.all_stopped.load(Ordering::Relaxed);
        for (id, refresh) in views.iter_mut() {
            let Some(table) = state.tables.get(id) else { continue };
            let scheduled = refresh.next_us <= now_us && !refresh.stopped && !all_stopped;
            if refresh.running.is_some() || !(refresh.forced || scheduled) {
                continue;
            }
            let own = refresh.last_success_us.unwrap_or(0);
            let ready = refresh.schedule.depends_on.iter().all(|name| {
                let (database, name) =
                    name.split_once('.').unwrap_or((&table.definition.database, name));
                let found = state.table(database, name).map(|t| t.definition.uuid);
                found.is_some_and(|id| succeeded.get(&id).is_some_and(|at| *at > own))
            });
            refresh.waiting = !ready && !refresh.forced;
            if refresh.waiting || running >= RUNNING_MAX {
                continue;
            }
            let context = context(server, table);
            refresh.forced = false;
            refresh.running = Some(context.clone());
            running += 1;
            let (server_of_thread, table) = (server.clone(), table.clone());
            let work = move || {
                let began = Instant::now();
                let outcome = statement::refresh_view(&server_of_thread, &table, &context);
                let id = table.definition.uuid;
                server_of_thread.refreshes.ended(&server_of_thread, id, began, outcome);
            };
            let thread = std::thread::Builder::new()
                .name("refresh-view".into())
                .stack_size(STACK_BYTES)
                .spawn(work);
            if let Err(e) = thread {
                refresh.running = None;
                refresh.exception = no_thread(e).to_string();
                refresh.next_us = now_us + RETRY_US;
            }
        }
    }

    fn ended(&self, server: &Server, id: Uuid, began: Instant, outcome: Result<u64>) {
        let now_us = server.clock.now_us();
        let mut views = self.views.lock();
        if let Some(refresh) = views.get_mut(&id) {
            refresh.running = None;
            refresh.last_refresh_us = Some(now_us);
            refresh.next_us = refresh.schedule.next(now_us, random());
            match outcome {
                Ok(rows) => {
                    refresh.rows = rows;
                    refresh.last_success_us = Some(now_us);
                    refresh.last_duration_ms = Some(began.elapsed().as_millis() as u64);
                    refresh.exception.clear();
                    refresh.retry = 0;
                }
                Err(e) => {
                    refresh.exception = e.to_string();
                    refresh.retry += 1;
                    if refresh.retry < ATTEMPTS_MAX && e.code() != codes::QUERY_WAS_CANCELLED {
                        refresh.next_us = refresh.next_us.min(now_us + (RETRY_US << refresh.retry));
                    } else {
                        refresh.retry = 0;
                    }
                }
            }
        }
        drop(views);
        self.changed.notify_all();
    }

    /// Changes what is known of a view; error 36 if it is not refreshed by the clock.
    pub fn change(
        &self,
        server: &Server,
        id: Uuid,
        change: impl FnOnce(&mut Refresh),
    ) -> Result<()> {
        self.follow(&server.store.snapshot(), server.clock.now_us(), true);
        match self.views.lock().get_mut(&id) {
            Some(refresh) => {
                change(refresh);
                Ok(())
            }
            None => Err(Error::new(
                codes::BAD_ARGUMENTS,
                "The view is no refreshable materialized view",
            )),
        }
    }

    pub fn set_all_stopped(&self, stopped: bool) {
        self.all_stopped.store(stopped, Ordering::Relaxed);
    }

    /// Waits until the view does not run and is not about to; its error if the last refresh failed.
    pub fn wait(&self, context: &QueryContext, id: Uuid) -> Result<()> {
        let mut views = self.views.lock();
        loop {
            match views.get(&id) {
                Some(refresh) if refresh.running.is_some() || refresh.forced => {}
                Some(refresh) if refresh.last_refresh_us.is_none() && refresh.next_us == 0 => {}
                Some(refresh) if refresh.exception.is_empty() => return Ok(()),
                Some(refresh) => {
                    let text = format!("Refresh failed: {}", refresh.exception);
                    return Err(Error::new(codes::ABORTED, text));
                }
                None => return Ok(()),
            }
            context.check()?;
            self.changed.wait_for(&mut views, STEP);
        }
    }

    /// What is known, by view.
    pub fn list(&self) -> Vec<(Uuid, Refresh)> {
        self.views.lock().iter().map(|(id, r)| (*id, r.clone())).collect()
    }

    /// Running refreshes are told to end.
    pub fn cancel_all(&self) {
        for refresh in self.views.lock().values() {
            if let Some(context) = &refresh.running {
                context.cancelled.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Refresh {
    /// Asks for a refresh now.
    pub fn force(&mut self) {
        self.forced = true;
    }
}

fn context(server: &Server, table: &Table) -> Arc<QueryContext> {
    use pumphouse_query::context::MemoryTracker;
    let id = format!("refresh-{}", Uuid::new_v4());
    let mut context = QueryContext::new(id, server.clock.now_us(), 0);
    let max = server.config.max_memory_usage;
    context.memory = MemoryTracker::with_parent(max, Some(server.memory.clone()));
    context.database = table.definition.database.clone();
    Arc::new(context)
}
