//! Consumers against the embedded broker, with a sink that only keeps what it is given: rows exactly
//! once over partitions, consumers, restarts, broken messages and failing inserts.
//!
//! The sink commits offsets to a real store, so positions and fencing are the real ones; views and
//! parts are left to the tests of the whole pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pumphouse_ingest::format::{FormatOptions, FormatReader, InputColumn, ParseError, ParsedRows};
use pumphouse_ingest::insert::{InsertOutcome, StreamError};
use pumphouse_ingest::kafka::embedded::{EmbeddedBroker, Record};
use pumphouse_ingest::kafka::{
    ConsumerState, KafkaEngine, KafkaEngineConfig, Polling, StreamInput, StreamSink,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::{Error, Result};
use pumphouse_storage::clock::SystemClock;
use pumphouse_storage::disk::MemoryDisk;
use pumphouse_storage::expression::ColumnNames;
use pumphouse_storage::log::{
    ColumnDefinition, Commit, Edit, Precondition, Rejection, Table, TableDefinition,
};
use pumphouse_storage::store::StoreOptions;
use pumphouse_storage::{Column, DataType, Store, Value};
use uuid::Uuid;

#[path = "kafka_consumers/errors.rs"]
mod errors;

/// One UInt64 per line.
#[derive(Default)]
struct Lines {
    values: Vec<u64>,
}

impl FormatReader for Lines {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let text = String::from_utf8_lossy(message);
        let parsed: std::result::Result<Vec<u64>, _> = text.lines().map(str::parse).collect();
        let values = parsed.map_err(|_| ParseError { code: 72, message: format!("'{text}'") })?;
        self.values.extend(&values);
        Ok(values.len())
    }
    fn read_stream(
        &mut self,
        _: &[u8],
        _: bool,
        _: usize,
    ) -> std::result::Result<usize, ParseError> {
        Ok(0)
    }
    fn rows(&self) -> usize {
        self.values.len()
    }
    fn bytes(&self) -> usize {
        self.values.len() * 8
    }
    fn take(&mut self) -> Result<ParsedRows> {
        let values: Vec<Value> = self.values.drain(..).map(Value::UInt).collect();
        let column = Column::from_values(DataType::UInt64, &values)?;
        Ok(ParsedRows { columns: vec![column], present: vec![None], rows: values.len() })
    }
}

fn lines(_: &str, _: &[InputColumn], _: &FormatOptions) -> Result<Box<dyn FormatReader>> {
    Ok(Box::<Lines>::default())
}

/// Keeps the rows of committed blocks.
struct Keeper {
    store: Arc<Store>,
    rows: Mutex<Vec<u64>>,
    errors: Mutex<Vec<String>>,
    blocks: AtomicUsize,
    running: AtomicUsize,
    running_max: AtomicUsize,
    /// How many of the next inserts fail.
    failures: AtomicUsize,
    /// Blocks without this column are refused, as those are that lack what a new view reads.
    wants: Mutex<Option<&'static str>>,
    refused: AtomicUsize,
    delay: Duration,
}

impl StreamSink for Keeper {
    fn insert_from_stream(
        &self,
        stream: &Arc<Table>,
        input: &StreamInput<'_>,
        _: &Arc<QueryContext>,
    ) -> std::result::Result<InsertOutcome, StreamError> {
        let (blocks, offsets) = (input.blocks, input.offsets);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.running_max.fetch_max(running, Ordering::SeqCst);
        std::thread::sleep(self.delay);
        self.running.fetch_sub(1, Ordering::SeqCst);
        let failing = |n: usize| n.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
            return Err(Error::new(395, "the view fails").into());
        }
        if let Some(name) = *self.wants.lock().unwrap()
            && blocks.iter().any(|b| b.column(name).is_none())
        {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(StreamError::Stale);
        }
        let table = stream.definition.uuid;
        let mut commit = Commit::default();
        for r in offsets {
            commit.preconditions.push(Precondition::OffsetEquals {
                table,
                topic: r.topic.to_string(),
                kafka_partition: r.kafka_partition,
                expected: r.expected,
            });
            commit.edits.push(Edit::AdvanceOffset {
                table,
                topic: r.topic.to_string(),
                kafka_partition: r.kafka_partition,
                next: r.next,
                wall_us: 1,
            });
        }
        let mut rows = self.rows.lock().unwrap();
        match self.store.commit(commit, vec![]) {
            Ok(version) => {
                self.blocks.fetch_add(1, Ordering::SeqCst);
                for block in blocks {
                    let values = block.column("n").unwrap();
                    for row in 0..block.rows() {
                        rows.push(values.value(row).as_u64().unwrap());
                        if let Some(error) = block.column("_error") {
                            let text = error.value(row).as_bytes().unwrap().to_vec();
                            if !text.is_empty() {
                                self.errors.lock().unwrap().push(String::from_utf8(text).unwrap());
                            }
                        }
                    }
                }
                Ok(InsertOutcome { version, ..InsertOutcome::default() })
            }
            Err(pumphouse_storage::Error::Rejected(Rejection::OffsetMoved {
                topic,
                kafka_partition,
                ..
            })) => Err(StreamError::OffsetMoved { topic, kafka_partition }),
            Err(e) => Err(Error::from(e).into()),
        }
    }
}

struct Rig {
    broker: EmbeddedBroker,
    disk: Arc<MemoryDisk>,
    store: Arc<Store>,
    keeper: Arc<Keeper>,
    table: Uuid,
}

fn open(disk: &Arc<MemoryDisk>) -> Arc<Store> {
    Store::open(StoreOptions {
        disk: disk.clone(),
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(ColumnNames),
        config: Default::default(),
    })
    .unwrap()
}

fn keeper(store: &Arc<Store>) -> Arc<Keeper> {
    Arc::new(Keeper {
        store: store.clone(),
        rows: Mutex::default(),
        errors: Mutex::default(),
        blocks: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        running_max: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
        wants: Mutex::default(),
        refused: AtomicUsize::new(0),
        delay: Duration::ZERO,
    })
}

fn definition(name: &str, engine: &str) -> TableDefinition {
    TableDefinition {
        uuid: Uuid::new_v4(),
        database: "d".into(),
        name: name.into(),
        engine: engine.into(),
        columns: vec![ColumnDefinition {
            id: 0,
            name: "n".into(),
            data_type: DataType::UInt64,
            default: None,
            comment: String::new(),
            codec: String::new(),
            ttl: String::new(),
        }],
        sorting_key: vec![],
        primary_key: vec![],
        partition_key: vec![],
        settings: BTreeMap::new(),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: Default::default(),
    }
}

impl Rig {
    fn new(partitions: i32, settings: &[(&str, &str)]) -> Rig {
        let broker = EmbeddedBroker::start(&[("t", partitions)]).unwrap();
        let disk = Arc::new(MemoryDisk::default());
        let store = open(&disk);
        let mut stream = definition("stream", "Kafka");
        let table = stream.uuid;
        for (name, value) in [
            ("kafka_broker_list", broker.bootstrap_servers()),
            ("kafka_topic_list", "t"),
            ("kafka_group_name", "g"),
            ("kafka_format", "Lines"),
            ("kafka_assignment", "static"),
            ("kafka_flush_interval_ms", "50"),
            ("kafka_consumer_reschedule_ms", "50"),
        ]
        .iter()
        .chain(settings)
        {
            stream.settings.insert(name.to_string(), value.to_string());
        }
        let mut view = definition("view", "MaterializedView");
        view.select = Some("SELECT n, _error FROM d.stream".into());
        view.source = Some(("d".into(), "stream".into()));
        view.target = Some(("d".into(), "rows".into()));
        let create = |d: TableDefinition| Edit::CreateTable { definition: Arc::new(d) };
        let database = Edit::CreateDatabase {
            name: "d".into(),
            engine: "Atomic".into(),
            comment: String::new(),
        };
        let rows = definition("rows", "MergeTree");
        let edits = vec![database, create(stream), create(rows), create(view)];
        store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
        let keeper = keeper(&store);
        Rig { broker, disk, store, keeper, table }
    }

    fn start(&self) -> Arc<KafkaEngine> {
        self.start_polling(Polling::default())
    }

    fn start_polling(&self, polling: Polling) -> Arc<KafkaEngine> {
        self.start_config(KafkaEngineConfig { polling, ..KafkaEngineConfig::default() })
    }

    fn start_config(&self, config: KafkaEngineConfig) -> Arc<KafkaEngine> {
        let config = KafkaEngineConfig { reader: lines, ..config };
        KafkaEngine::start(self.store.clone(), self.keeper.clone(), config)
    }

    /// A second view, which reads `_offset`.
    fn add_view(store: &Store) {
        let mut view = definition("second", "MaterializedView");
        view.select = Some("SELECT n, _offset FROM d.stream".into());
        view.source = Some(("d".into(), "stream".into()));
        view.target = Some(("d".into(), "rows".into()));
        let edits = vec![Edit::CreateTable { definition: Arc::new(view) }];
        store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    }

    /// Messages `from..to`, spread over the partitions.
    fn produce(&self, range: std::ops::Range<u64>, partitions: u64) {
        for n in range {
            let payload = n.to_string();
            self.send((n % partitions) as i32, Some(payload.as_bytes()));
        }
        self.broker.flush().unwrap();
    }

    fn send(&self, partition: i32, payload: Option<&[u8]>) {
        let record =
            Record { topic: "t", kafka_partition: Some(partition), payload, ..Record::default() };
        self.broker.produce(&record).unwrap();
    }

    fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        while !done() {
            assert!(Instant::now() < end, "in vain waited for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn count(&self) -> usize {
        self.keeper.rows.lock().unwrap().len()
    }

    /// Exactly `0..n`, each once.
    fn assert_exact(&self, n: u64) {
        let mut rows = self.keeper.rows.lock().unwrap().clone();
        rows.sort_unstable();
        assert!(rows.iter().copied().eq(0..n), "{} rows, not each of {n} once", rows.len());
    }

    fn next(&self, partition: i32) -> i64 {
        let state = self.store.snapshot();
        let offsets = &state.tables[&self.table].offsets;
        offsets.iter().find(|(p, _)| p.kafka_partition == partition).map_or(-1, |(_, o)| o.next)
    }
}

const QUICK: Duration = Duration::from_secs(5);

#[test]
fn every_row_once_for_all_numbers_of_threads() {
    let all = [("1", "0"), ("4", "0"), ("1", "1"), ("4", "1")];
    for ((consumers, thread_per_consumer), polling) in all
        .into_iter()
        .map(|how| (how, Polling::Batches))
        .chain([(("1", "0"), Polling::OneByOne), (("4", "1"), Polling::OneByOne)])
    {
        let mut rig = Rig::new(
            4,
            &[
                ("kafka_num_consumers", consumers),
                ("kafka_thread_per_consumer", thread_per_consumer),
                ("kafka_max_block_size", "700"),
            ],
        );
        Arc::get_mut(&mut rig.keeper).unwrap().delay = Duration::from_millis(20);
        rig.produce(0..20_000, 4);
        let engine = rig.start_polling(polling);
        rig.wait_for("all rows", || rig.count() >= 20_000);
        std::thread::sleep(Duration::from_millis(150));
        rig.assert_exact(20_000);
        let parallel = rig.keeper.running_max.load(Ordering::SeqCst);
        match (consumers, thread_per_consumer) {
            ("4", "1") => assert!(parallel > 1, "inserts run side by side"),
            _ => assert_eq!(parallel, 1, "one insert at a time"),
        }
        let statuses = engine.consumers();
        assert_eq!(statuses.len(), consumers.parse::<usize>().unwrap());
        assert_eq!(statuses.iter().map(|s| s.rows_committed).sum::<u64>(), 20_000);
        assert_eq!(statuses.iter().map(|s| s.assignments.len()).sum::<usize>(), 4);
        assert!(statuses.iter().all(|s| s.state == ConsumerState::Consuming));
        assert!(statuses.iter().flat_map(|s| &s.assignments).all(|a| a.committed_offset == 5000));
        engine.shutdown(QUICK);
        assert_eq!((0..4).map(|p| rig.next(p)).collect::<Vec<_>>(), [5000; 4]);
    }
}

/// Runs once, when a consumer's thread makes its first reader: between its look at the views and its first block.
static BEFORE_READER: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

fn lines_late(
    name: &str,
    columns: &[InputColumn],
    options: &FormatOptions,
) -> Result<Box<dyn FormatReader>> {
    let of_consumer = std::thread::current().name().is_some_and(|n| n.starts_with("kafka-0 "));
    if of_consumer && let Some(run) = BEFORE_READER.lock().unwrap().take() {
        run();
    }
    lines(name, columns, options)
}

#[test]
fn a_view_that_comes_while_a_consumer_begins_gets_its_columns() {
    let rig = Rig::new(1, &[]);
    rig.produce(0..100, 1);
    *rig.keeper.wants.lock().unwrap() = Some("_offset");
    let store = rig.store.clone();
    *BEFORE_READER.lock().unwrap() = Some(Box::new(move || Rig::add_view(&store)));
    let config = KafkaEngineConfig { reader: lines_late, ..KafkaEngineConfig::default() };
    let engine = KafkaEngine::start(rig.store.clone(), rig.keeper.clone(), config);
    rig.wait_for("all rows", || rig.count() >= 100);
    rig.assert_exact(100);
    assert!(BEFORE_READER.lock().unwrap().is_none(), "the view came in between");
    engine.shutdown(QUICK);
}

#[test]
fn blocks_that_are_refused_for_long_are_told_of_and_come_in_the_end() {
    let rig = Rig::new(1, &[]);
    rig.produce(0..100, 1);
    *rig.keeper.wants.lock().unwrap() = Some("_offset");
    let engine = rig.start();
    rig.wait_for("a refused block", || rig.keeper.refused.load(Ordering::SeqCst) > 0);
    rig.wait_for("a visible reason", || {
        let status = &engine.consumers()[0];
        status.state == ConsumerState::BackingOff && status.paused_reason.contains("lack columns")
    });
    assert!(engine.events().iter().any(|e| e.text.contains("lack columns")));
    assert_eq!(rig.count(), 0);
    // Later and later: 50, 100, 200 ms and so on, not as fast as blocks can be read.
    let refused = || rig.keeper.refused.load(Ordering::SeqCst);
    let first = refused();
    std::thread::sleep(Duration::from_secs(10));
    assert!(refused() - first < 11, "{} in 10 s", refused() - first);
    let read = || engine.consumers()[0].messages;
    let before = read();
    Rig::add_view(&rig.store);
    engine.sync();
    rig.wait_for("all rows", || rig.count() >= 100);
    rig.assert_exact(100);
    rig.wait_for("an end of it", || engine.consumers()[0].state == ConsumerState::Consuming);
    assert!((before..before + 10_000).contains(&read()), "{before} messages, then {}", read());
    engine.shutdown(QUICK);
}

#[test]
fn a_restart_goes_on_where_the_log_says() {
    let mut rig = Rig::new(2, &[("kafka_max_block_size", "100")]);
    rig.produce(0..3000, 2);
    for restart in 0..4 {
        let engine = rig.start();
        rig.wait_for("some rows", || rig.count() >= 500 * (restart + 1));
        engine.shutdown(QUICK);
        drop(engine);
        // A new process: the store is opened from the disk, the keeper keeps its rows.
        let rows = std::mem::take(&mut *rig.keeper.rows.lock().unwrap());
        rig.store.close();
        rig.keeper = keeper(&open(&Arc::default()));
        rig.store = rig.keeper.store.clone();
        rig.store = open(&rig.disk);
        rig.keeper = keeper(&rig.store);
        *rig.keeper.rows.lock().unwrap() = rows;
    }
    let engine = rig.start();
    rig.wait_for("all rows", || rig.count() >= 3000);
    rig.assert_exact(3000);
    engine.shutdown(QUICK);
}

#[test]
fn a_group_shares_partitions_and_loses_nothing_when_members_come_and_go() {
    let rig = Rig::new(
        4,
        &[
            ("kafka_assignment", "group"),
            ("kafka_num_consumers", "2"),
            ("kafka_thread_per_consumer", "1"),
            ("kafka_max_block_size", "300"),
            ("kafka_properties", "session.timeout.ms=6000; heartbeat.interval.ms=500"),
        ],
    );
    rig.produce(0..4000, 4);
    let engine = rig.start();
    rig.wait_for("first rows", || rig.count() >= 1000);
    // A second member of the same group, over the same log.
    let second = rig.start();
    rig.produce(4000..8000, 4);
    rig.wait_for("a rebalance", || second.consumers().iter().any(|c| !c.assignments.is_empty()));
    rig.produce(8000..10_000, 4);
    rig.wait_for("most rows", || rig.count() >= 9_000);
    second.shutdown(QUICK);
    rig.produce(10_000..12_000, 4);
    rig.wait_for("all rows", || rig.count() >= 12_000);
    std::thread::sleep(Duration::from_millis(200));
    rig.assert_exact(12_000);
    let statuses = engine.consumers();
    assert!(statuses.iter().any(|s| s.rebalance_assignments > 1), "{statuses:?}");
    engine.shutdown(QUICK);
}

#[test]
fn a_broken_message_stops_its_partition_and_no_other() {
    let rig = Rig::new(2, &[]);
    for n in 0..10 {
        rig.send(0, Some(n.to_string().as_bytes()));
    }
    rig.send(0, Some(b"poison"));
    rig.send(0, Some(b"777"));
    for n in 10..20 {
        rig.send(1, Some(n.to_string().as_bytes()));
    }
    rig.broker.flush().unwrap();
    let engine = rig.start();
    rig.wait_for("the good rows", || rig.count() >= 20);
    rig.wait_for("a second try", || engine.consumers()[0].exceptions.iter().any(|e| e.times > 1));
    rig.assert_exact(20);
    assert_eq!(rig.next(0), 10, "everything before the broken message is committed");
    let status = &engine.consumers()[0];
    let told = &status.exceptions.back().unwrap().text;
    assert!(told.contains("topic: t, partition: 0, offset: 10"), "{told}");
    let stands = status.assignments.iter().find(|a| a.kafka_partition == 0).unwrap();
    assert!(stands.next_retry_us > 0 && stands.paused_reason.contains("'poison'"));
    let goes = status.assignments.iter().find(|a| a.kafka_partition == 1).unwrap();
    assert!(goes.paused_reason.is_empty());
    engine.shutdown(QUICK);
}

#[test]
fn broken_empty_and_null_messages_pass_in_stream_mode() {
    let rig = Rig::new(1, &[("kafka_handle_error_mode", "stream")]);
    rig.send(0, Some(b"0"));
    rig.send(0, Some(b"poison"));
    rig.send(0, None);
    rig.send(0, Some(b""));
    rig.send(0, Some(b"1\n2"));
    rig.broker.flush().unwrap();
    let engine = rig.start();
    rig.wait_for("all messages", || rig.next(0) == 5);
    rig.wait_for("all rows", || rig.count() == 4);
    assert_eq!(*rig.keeper.errors.lock().unwrap(), ["'poison'"]);
    assert_eq!(engine.consumers()[0].error_messages, 1);
    engine.shutdown(QUICK);
}

#[test]
fn skipped_broken_messages_are_counted() {
    let rig = Rig::new(1, &[("kafka_skip_broken_messages", "2")]);
    for payload in ["0", "x", "1", "y", "2"] {
        rig.send(0, Some(payload.as_bytes()));
    }
    rig.broker.flush().unwrap();
    let engine = rig.start();
    rig.wait_for("all messages", || rig.next(0) == 5);
    rig.assert_exact(3);
    assert_eq!(engine.consumers()[0].skipped_messages, 2);
    engine.shutdown(QUICK);
}

#[test]
fn a_failing_insert_backs_off_visibly_and_drops_nothing() {
    let rig = Rig::new(1, &[]);
    rig.keeper.failures.store(4, Ordering::SeqCst);
    rig.produce(0..100, 1);
    let began = Instant::now();
    let engine = rig.start();
    rig.wait_for("the failure to show", || {
        let status = engine.consumers()[0].clone();
        status.state == ConsumerState::BackingOff
            && status.next_retry_us > 0
            && status.paused_reason == "the view fails"
    });
    rig.wait_for("all rows", || rig.count() >= 100);
    assert!(began.elapsed() > Duration::from_millis(50 + 100 + 200 + 400), "delays grow");
    rig.assert_exact(100);
    rig.wait_for("recovery to show", || {
        let status = engine.consumers()[0].clone();
        status.state == ConsumerState::Consuming && status.paused_reason.is_empty()
    });
    engine.shutdown(QUICK);
}

#[test]
fn without_a_view_or_while_paused_nothing_is_consumed() {
    let rig = Rig::new(1, &[]);
    rig.produce(0..10, 1);
    let pause = |paused| {
        let edits = vec![Edit::PauseStream { table: rig.table, paused }];
        rig.store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    };
    pause(true);
    let engine = rig.start();
    assert_eq!(engine.consumers()[0].state, ConsumerState::Paused);
    pause(false);
    engine.sync();
    rig.wait_for("rows", || rig.count() == 10);
    let view = rig.store.snapshot().table("d", "view").unwrap().definition.uuid;
    let edits = vec![Edit::DetachTable { table: view }];
    rig.store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    engine.sync();
    assert_eq!(engine.consumers()[0].state, ConsumerState::Idle);
    assert_eq!(engine.consumers()[0].assignments[0].committed_offset, 10);
    rig.produce(10..20, 1);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(rig.count(), 10);
    let edits = vec![Edit::AttachTable { table: view }];
    rig.store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    engine.sync();
    rig.wait_for("rows", || rig.count() == 20);
    rig.assert_exact(20);
    engine.shutdown(QUICK);
}

#[test]
fn a_missing_topic_and_an_unreachable_broker_are_told() {
    for (setting, value, text) in [
        ("kafka_topic_list", "nowhere", "nowhere"),
        ("kafka_broker_list", "127.0.0.1:1", "Connection refused"),
    ] {
        let rig = Rig::new(1, &[(setting, value)]);
        let engine = rig.start();
        rig.wait_for("the error", || {
            engine.consumers()[0].exceptions.iter().any(|e| e.text.contains(text))
        });
        engine.shutdown(QUICK);
    }
}

#[test]
fn what_retention_took_stops_the_partition_or_is_recorded() {
    for policy in ["stop", "skip"] {
        let rig = Rig::new(1, &[("kafka_offset_gap", policy)]);
        // The embedded broker keeps about 5 MB.
        let filler = format!("1\n{}", "0\n".repeat(5000));
        for _ in 0..1200 {
            rig.send(0, Some(filler.as_bytes()));
        }
        rig.broker.flush().unwrap();
        let next = Edit::AdvanceOffset {
            table: rig.table,
            topic: "t".into(),
            kafka_partition: 0,
            next: 10,
            wall_us: 1,
        };
        rig.store.commit(Commit { preconditions: vec![], edits: vec![next] }, vec![]).unwrap();
        let engine = rig.start();
        rig.wait_for("the gap to be seen", || {
            engine.consumers()[0].exceptions.iter().any(|e| e.text.contains("are gone"))
        });
        let gaps = || rig.store.snapshot().tables[&rig.table].gaps.clone();
        if policy == "stop" {
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!((rig.next(0), rig.count(), gaps().len()), (10, 0, 0));
            assert!(engine.consumers()[0].assignments[0].next_retry_us > 0);
        } else {
            rig.wait_for("the rest", || rig.next(0) == 1200);
            let gap = &gaps()[0];
            assert_eq!(gap.from, 10);
            assert!(gap.to > 10 && gap.to < 1200, "{gap:?}");
            let ones = rig.keeper.rows.lock().unwrap().iter().filter(|n| **n == 1).count();
            assert_eq!(ones as i64, 1200 - gap.to);
        }
        engine.shutdown(QUICK);
    }
}

#[test]
fn a_consumed_offset_beyond_the_end_is_no_reason_to_start_over() {
    let rig = Rig::new(1, &[("kafka_offset_gap", "skip")]);
    rig.produce(0..10, 1);
    let next = Edit::AdvanceOffset {
        table: rig.table,
        topic: "t".into(),
        kafka_partition: 0,
        next: 5000,
        wall_us: 1,
    };
    rig.store.commit(Commit { preconditions: vec![], edits: vec![next] }, vec![]).unwrap();
    let engine = rig.start();
    rig.wait_for("the error", || {
        engine.consumers()[0]
            .exceptions
            .iter()
            .any(|e| e.text.contains("truncated or created anew"))
    });
    assert_eq!((rig.next(0), rig.count()), (5000, 0));
    engine.shutdown(QUICK);
}

#[test]
fn more_consumers_than_slots_take_turns() {
    let rig = Rig::new(4, &[("kafka_num_consumers", "4"), ("kafka_thread_per_consumer", "1")]);
    rig.produce(0..4000, 4);
    let config = KafkaEngineConfig { reader: lines, pool_size: 1, ..Default::default() };
    let engine = KafkaEngine::start(rig.store.clone(), rig.keeper.clone(), config);
    rig.wait_for("all rows", || rig.count() >= 4000);
    rig.assert_exact(4000);
    rig.produce(4000..8000, 4);
    rig.wait_for("all rows", || rig.count() >= 8000);
    rig.assert_exact(8000);
    engine.shutdown(QUICK);
}

#[test]
fn a_cooperative_group_keeps_what_stays() {
    let rig = Rig::new(
        4,
        &[
            ("kafka_assignment", "group"),
            ("kafka_max_block_size", "100"),
            (
                "kafka_properties",
                "partition.assignment.strategy=cooperative-sticky; session.timeout.ms=6000; \
                 heartbeat.interval.ms=500",
            ),
        ],
    );
    rig.produce(0..2000, 4);
    let engine = rig.start();
    rig.wait_for("first rows", || rig.count() >= 500);
    let second = rig.start_config(KafkaEngineConfig {
        instance: "second".into(),
        ..KafkaEngineConfig::default()
    });
    rig.wait_for("a rebalance", || second.consumers().iter().any(|c| !c.assignments.is_empty()));
    rig.produce(2000..6000, 4);
    rig.wait_for("all rows", || rig.count() >= 6000);
    second.shutdown(QUICK);
    rig.produce(6000..8000, 4);
    rig.wait_for("all rows", || rig.count() >= 8000);
    std::thread::sleep(Duration::from_millis(200));
    rig.assert_exact(8000);
    engine.shutdown(QUICK);
}
