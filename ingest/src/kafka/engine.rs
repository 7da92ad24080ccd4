//! The Kafka engine: runs threads for the Kafka tables of the state, and only for those that have
//! something to do.
//!
//! `sync` compares the state with what runs (created, dropped, detached, altered, paused tables;
//! first view, last view) and is called after every DDL. A table without a view, or paused, has no
//! threads and no client. Threads of an altered table end before their successors begin; should one
//! hang, the compare-and-swap on offsets keeps the two apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Store;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{State, Table, TableDefinition};

use super::backoff::Signal;
use super::consumer::ConsumerThread;
use super::events::KafkaEvent;
use super::insert_step::{InsertStep, StreamSink};
use super::lookout::Lookouts;
use super::output::{OutputConfig, OutputStatus, Outputs};
use super::plan::{KafkaEngineConfig, TablePlan};
use super::replay::{self, Replay};
use super::slots::Slots;
use super::status::{AssignmentStatus, ConsumerShared, ConsumerState, ConsumerStatus};
use crate::file_log::{FileLogConfig, FileLogTable, FileLogs};

/// How long `sync` waits for the threads of a changed table.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// How long SYSTEM REFRESH waits for the cycle of a stopped table.
const REFRESH_WAIT: Duration = Duration::from_secs(120);

/// All Kafka tables of one server.
pub struct KafkaEngine {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn StreamSink>,
    config: KafkaEngineConfig,
    slots: Arc<Slots>,
    lookouts: Arc<Lookouts>,
    outputs: Outputs,
    pub(super) file_logs: FileLogs,
    /// Views that are being filled, by id.
    replays: Mutex<BTreeMap<Uuid, (Arc<Table>, Arc<Table>, Running)>>,
    /// Held while threads are stopped and started; `tables` only to look and to change entries, so
    /// that a view may read `system.kafka_consumers` at any time.
    syncing: Mutex<()>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    entries: BTreeMap<Uuid, Entry>,
    closed: bool,
}

struct Entry {
    table: Arc<Table>,
    wanted: Wanted,
    running: Option<Running>,
    /// Why it could not be started.
    error: Option<String>,
}

/// What a table should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    NoViews,
    Paused,
}

struct Running {
    signal: Arc<Signal>,
    consumers: Vec<Arc<ConsumerShared>>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    fn hurry(&self) {
        self.consumers.iter().for_each(|c| c.hurry.store(true, Ordering::Relaxed));
        self.signal.wake();
    }
}

impl KafkaEngine {
    /// Starts the engine with the tables that are there.
    pub fn start(
        store: Arc<Store>,
        sink: Arc<dyn StreamSink>,
        config: KafkaEngineConfig,
    ) -> Arc<KafkaEngine> {
        super::client_properties::set_queue_bytes(super::plan::block_bytes(config.memory_bytes, 1));
        let engine = Arc::new(KafkaEngine {
            clock: store.clock().clone(),
            outputs: Outputs::new(OutputConfig {
                store: store.clone(),
                clock: store.clock().clone(),
                profile: config.settings.clone(),
                time_zone: config.time_zone,
                events: config.events.clone(),
            }),
            file_logs: FileLogs::new(FileLogConfig {
                store: store.clone(),
                clock: store.clock().clone(),
                sink: sink.clone(),
                profile: config.settings.clone(),
                time_zone: config.time_zone,
                memory: config.memory.clone(),
                events: config.events.clone(),
            }),
            replays: Mutex::default(),
            slots: Slots::new(config.pool_size),
            lookouts: Arc::default(),
            syncing: Mutex::default(),
            tables: Mutex::default(),
            store,
            sink,
            config,
        });
        engine.sync();
        engine
    }

    /// Makes what runs agree with the state. To be called after every change of a definition.
    pub fn sync(&self) {
        let _syncing = self.syncing.lock();
        let mut tables = self.tables.lock();
        if tables.closed {
            return;
        }
        let state = self.store.snapshot();
        let mut wanted = wanted_tables(&state);
        let stale: Vec<Uuid> = tables
            .entries
            .iter()
            .filter(|(uuid, entry)| wanted.get(uuid).is_none_or(|(t, w)| !entry.is_like(t, *w)))
            .map(|(uuid, _)| *uuid)
            .collect();
        let mut stopping = vec![];
        for uuid in stale {
            stopping.extend(tables.entries.remove(&uuid).and_then(|e| e.running));
        }
        for (uuid, entry) in &tables.entries {
            wanted.remove(uuid);
            // A change elsewhere may be what it waits for.
            entry.running.iter().for_each(|r| r.signal.wake());
        }
        drop(tables);
        stop(stopping, STOP_WAIT);
        for (uuid, (table, wanted)) in wanted {
            let entry = self.begin(table, wanted);
            self.tables.lock().entries.insert(uuid, entry);
        }
        self.outputs.sync(&state, STOP_WAIT);
        self.file_logs.sync(&state, STOP_WAIT);
        self.sync_replays(&state);
    }

    /// Starts and ends the filling of views.
    fn sync_replays(&self, state: &State) {
        let wanted = replay::wanted(state, "Kafka");
        let mut replays = self.replays.lock();
        let mut stopping = vec![];
        let same = |a: &Table, b: &Table| a.definition_version == b.definition_version;
        let stale: Vec<Uuid> = replays
            .iter()
            .filter(|(uuid, (stream, view, running))| {
                running.threads.iter().all(JoinHandle::is_finished)
                    || wanted.get(uuid).is_none_or(|(s, v)| !same(s, stream) || !same(v, view))
            })
            .map(|(uuid, _)| *uuid)
            .collect();
        stopping.extend(stale.iter().filter_map(|u| replays.remove(u)).map(|(_, _, r)| r));
        stop(stopping, STOP_WAIT);
        for (uuid, (stream, view)) in wanted {
            if let Some((_, _, running)) = replays.get(&uuid) {
                running.signal.wake();
                continue;
            }
            match self.replay(&stream, &view) {
                Ok(running) => {
                    replays.insert(uuid, (stream, view, running));
                }
                Err(e) => {
                    let name = view.definition.full_name();
                    tracing::error!(view = %name, "cannot fill the view: {e}");
                }
            }
        }
    }

    fn replay(&self, stream: &Arc<Table>, view: &Arc<Table>) -> Result<Running> {
        let signal = Arc::new(Signal::default());
        let replay = Replay {
            plan: self.plan(stream)?,
            view: view.clone(),
            sink: self.sink.clone(),
            signal: signal.clone(),
        };
        let thread = spawn(format!("populate {}", view.definition.name), move || replay.run())?;
        Ok(Running { signal, consumers: vec![], threads: vec![thread] })
    }

    /// What FileLog tables follow, for `system.file_logs`.
    pub fn file_logs(&self) -> Vec<FileLogTable> {
        self.file_logs.statuses()
    }

    /// How rows of Kafka tables leave, for `system.kafka_outputs`.
    pub fn outputs(&self) -> Vec<OutputStatus> {
        self.outputs.statuses(&self.store.snapshot())
    }

    /// Every consumer of every Kafka table, for `system.kafka_consumers`.
    pub fn consumers(&self) -> Vec<ConsumerStatus> {
        let tables = self.tables.lock();
        let state = self.store.snapshot();
        let mut rows = vec![];
        for entry in tables.entries.values() {
            match &entry.running {
                Some(running) => {
                    rows.extend(running.consumers.iter().map(|c| c.status.lock().clone()));
                }
                None => rows.push(entry.idle_status(&state)),
            }
        }
        rows
    }

    /// Drops what consumers of the table have in hand; they read on from what the log holds.
    pub fn reposition(&self, table: Uuid) {
        let tables = self.tables.lock();
        let Some(running) = tables.entries.get(&table).and_then(|e| e.running.as_ref()) else {
            return;
        };
        running.consumers.iter().for_each(|c| c.invalidate());
        running.signal.wake();
    }

    /// What is there now is taken now. A table that runs commits what it has in hand and retries what waits; one
    /// that is stopped takes one block per consumer, which is waited for, and is stopped again.
    pub fn refresh(&self, table: Uuid) -> Result<()> {
        let until = Instant::now() + REFRESH_WAIT;
        {
            let _syncing = self.syncing.lock();
            if self.file_logs.refresh(&self.store.snapshot(), table)? {
                return Ok(());
            }
        }
        let mut begun = false;
        loop {
            {
                let _syncing = self.syncing.lock();
                let mut tables = self.tables.lock();
                let Some(entry) = tables.entries.get_mut(&table) else { return Ok(()) };
                let over = entry.running.as_ref().is_none_or(Running::is_over);
                match entry.wanted {
                    Wanted::NoViews => return Ok(()),
                    Wanted::Run => {
                        entry.running.iter().for_each(Running::hurry);
                        return Ok(());
                    }
                    Wanted::Paused if over && begun => return Ok(()),
                    Wanted::Paused if over => {
                        let state = self.store.snapshot();
                        let definition = &entry.table.definition;
                        if state.views_of(&definition.database, &definition.name).is_empty() {
                            return Ok(());
                        }
                        entry.running = Some(self.run(&entry.table, true)?);
                        begun = true;
                    }
                    // Another REFRESH is at it.
                    Wanted::Paused => {}
                }
            }
            if Instant::now() >= until {
                return Err(Error::new(
                    codes::TIMEOUT_EXCEEDED,
                    "The cycle goes on, but was not over in time; see system.kafka_consumers",
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the table's threads in good order, blocks in hand committed; the next `sync` decides anew.
    pub fn quiesce(&self, table: Uuid) {
        let _syncing = self.syncing.lock();
        let running = self.tables.lock().entries.remove(&table).and_then(|e| e.running);
        stop(running.into_iter().collect(), STOP_WAIT);
    }

    /// Adds an event that came from outside.
    pub fn tell(&self, table: &TableDefinition, kind: &'static str, text: &str) {
        self.config.events.tell(self.clock.now_us(), table, kind, text);
    }

    /// What happened to streams, oldest first.
    pub fn events(&self) -> Vec<KafkaEvent> {
        self.config.events.all()
    }

    /// Ends all consumption: blocks in work are committed or abandoned, groups are left. Threads that
    /// need longer than `deadline` are left behind; what they do not commit is read again.
    pub fn shutdown(&self, deadline: Duration) {
        let _syncing = self.syncing.lock();
        let mut tables = self.tables.lock();
        tables.closed = true;
        let entries = std::mem::take(&mut tables.entries);
        drop(tables);
        let replays = std::mem::take(&mut *self.replays.lock());
        // Side by side: a broker that is gone holds each of them up for as long as it may.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let filling = replays.into_values().map(|(_, _, r)| r);
                stop(
                    entries.into_values().filter_map(|e| e.running).chain(filling).collect(),
                    deadline,
                );
            });
            scope.spawn(|| self.file_logs.shutdown(deadline));
            scope.spawn(|| self.outputs.shutdown(deadline));
        });
        self.lookouts.shutdown();
    }

    fn begin(&self, table: Arc<Table>, wanted: Wanted) -> Entry {
        let mut entry = Entry { table, wanted, running: None, error: None };
        if wanted == Wanted::Run {
            match self.run(&entry.table, false) {
                Ok(running) => entry.running = Some(running),
                Err(e) => {
                    let name = entry.table.definition.full_name();
                    tracing::error!(table = %name, "cannot start consuming: {e}");
                    entry.error = Some(e.to_string());
                }
            }
        }
        entry
    }

    pub(super) fn plan(&self, table: &Arc<Table>) -> Result<TablePlan> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        TablePlan::new(store, clock, table.clone(), self.config.clone())
    }

    /// Starts the threads of one table; `once`: for one block each.
    fn run(&self, table: &Arc<Table>, once: bool) -> Result<Running> {
        let plan = Arc::new(self.plan(table)?);
        let signal = Arc::new(Signal::default());
        let count = plan.settings.num_consumers;
        let consumers: Vec<Arc<ConsumerShared>> = (0..count)
            .map(|i| {
                let events = self.config.events.clone();
                Arc::new(ConsumerShared::new(new_status(&plan, i), events))
            })
            .collect();
        let mut running = Running { signal, consumers, threads: vec![] };
        let started = if plan.settings.thread_per_consumer {
            (0..count).try_for_each(|i| self.spawn_group(&plan, &mut running, i..i + 1, once))
        } else {
            self.spawn_group(&plan, &mut running, 0..count, once)
        };
        if let Err(e) = started {
            stop(vec![running], STOP_WAIT);
            return Err(e);
        }
        Ok(running)
    }

    /// Consumers `numbers` and the insert step that they share.
    fn spawn_group(
        &self,
        plan: &Arc<TablePlan>,
        running: &mut Running,
        numbers: std::ops::Range<usize>,
        once: bool,
    ) -> Result<()> {
        // Each consumer has at most two blocks in flight, so a send never finds it full.
        let (out, input) = crossbeam_channel::bounded(numbers.len() * 2);
        let name = &plan.table.definition.name;
        let step = InsertStep {
            plan: plan.clone(),
            sink: self.sink.clone(),
            signal: running.signal.clone(),
            input,
            consumers: numbers.len(),
        };
        let first = numbers.start;
        running.threads.push(spawn(format!("kafka-in-{first} {name}"), move || step.run())?);
        for number in numbers {
            let consumer = ConsumerThread {
                plan: plan.clone(),
                number,
                shared: running.consumers[number].clone(),
                signal: running.signal.clone(),
                slots: self.slots.clone(),
                lookouts: self.lookouts.clone(),
                once,
                out: out.clone(),
            };
            let thread = spawn(format!("kafka-{number} {name}"), move || consumer.run())?;
            running.threads.push(thread);
        }
        Ok(())
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|e| Error::new(codes::ABORTED, format!("cannot start a thread: {e}")))
}

/// Every attached Kafka table and what it should be doing.
fn wanted_tables(state: &State) -> BTreeMap<Uuid, (Arc<Table>, Wanted)> {
    let streams =
        state.tables.iter().filter(|(_, t)| !t.detached && t.definition.engine == "Kafka");
    streams
        .map(|(uuid, table)| {
            let definition = &table.definition;
            let wanted = if table.paused {
                Wanted::Paused
            } else if state.views_of(&definition.database, &definition.name).is_empty() {
                Wanted::NoViews
            } else {
                Wanted::Run
            };
            (*uuid, (table.clone(), wanted))
        })
        .collect()
}

/// Signals all, then waits for all, for `time` at most.
fn stop(running: Vec<Running>, time: Duration) {
    running.iter().for_each(|r| r.signal.stop());
    let end = Instant::now() + time;
    for thread in running.into_iter().flat_map(|r| r.threads) {
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ = thread.join();
        } else {
            let name = thread.thread().name().unwrap_or_default().to_string();
            tracing::warn!("thread '{name}' has not ended in time and is left behind");
        }
    }
}

fn new_status(plan: &TablePlan, number: usize) -> ConsumerStatus {
    ConsumerStatus { consumer_id: plan.client_id(number), ..status_of(&plan.table) }
}

fn status_of(table: &Table) -> ConsumerStatus {
    ConsumerStatus {
        database: table.definition.database.clone(),
        table: table.definition.name.clone(),
        table_uuid: table.definition.uuid,
        ..ConsumerStatus::default()
    }
}

/// Why a paused table is paused.
pub(super) fn paused_reason(table: &Table) -> String {
    match table.paused_reason.is_empty() {
        true => "paused by SYSTEM STOP".into(),
        false => table.paused_reason.to_string(),
    }
}

impl Entry {
    fn is_like(&self, table: &Table, wanted: Wanted) -> bool {
        self.wanted == wanted
            && self.table.definition_version == table.definition_version
            && self.error.is_none()
            && !self.running.as_ref().is_some_and(|r| r.signal.stopped())
    }

    /// The row of a table that has no threads: its offsets as the log has them.
    fn idle_status(&self, state: &State) -> ConsumerStatus {
        let mut status = status_of(&self.table);
        (status.state, status.paused_reason) = match (self.wanted, &self.error) {
            (_, Some(error)) => (ConsumerState::Stopped, error.clone()),
            (Wanted::Paused, _) => (ConsumerState::Paused, paused_reason(&self.table)),
            _ => (ConsumerState::Idle, "no materialized view reads from the table".into()),
        };
        if let Some(error) = &self.error {
            status.exception(0, error.clone());
        }
        let offsets = state.tables.get(&self.table.definition.uuid).map(|t| &t.offsets);
        for (place, offset) in offsets.into_iter().flatten() {
            status.assignments.push(AssignmentStatus {
                topic: place.topic.clone(),
                kafka_partition: place.kafka_partition,
                current_offset: offset.next,
                committed_offset: offset.next,
                high_watermark: -1,
                lag: -1,
                ..AssignmentStatus::default()
            });
        }
        status
    }
}
