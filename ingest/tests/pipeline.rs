//! The whole way on the embedded broker: JSON messages through views and cascades into parts, and
//! SQL that reads them. Every destination exact, all of a block visible at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pumphouse_ingest::insert::Inserter;
use pumphouse_ingest::kafka::embedded::{EmbeddedBroker, Record};
use pumphouse_ingest::kafka::{ConsumerState, KafkaEngine, KafkaEngineConfig};
use pumphouse_query::bind::SqlExpressions;
use pumphouse_query::catalog::StoreCatalog;
use pumphouse_query::context::QueryContext;
use pumphouse_query::{Result, execute, prepare, sql};
use pumphouse_storage::clock::SystemClock;
use pumphouse_storage::disk::MemoryDisk;
use pumphouse_storage::log::{
    ColumnDefault, ColumnDefinition, Commit, DefaultKind, Edit, TableDefinition,
};
use pumphouse_storage::store::{StoreConfig, StoreOptions};
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Block, Column, DataType, Store, Value};
use uuid::Uuid;

struct Rig {
    broker: EmbeddedBroker,
    disk: Arc<MemoryDisk>,
    store: Arc<Store>,
    inserter: Arc<Inserter>,
}

fn open(disk: &Arc<MemoryDisk>) -> Arc<Store> {
    Store::open(StoreOptions {
        disk: disk.clone(),
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(SqlExpressions),
        config: StoreConfig::default(),
    })
    .unwrap()
}

/// `name Type` pairs, `name Type DEFAULT expr` and `name Type MATERIALIZED expr`.
fn columns(text: &str) -> Vec<ColumnDefinition> {
    let one = |(id, column): (usize, &str)| {
        let mut words = column.trim().splitn(3, ' ');
        let (name, data_type) = (words.next().unwrap(), words.next().unwrap());
        let default = words.next().map(|rest| {
            let (kind, expression) = rest.split_once(' ').unwrap();
            let kind = match kind {
                "DEFAULT" => DefaultKind::Default,
                "MATERIALIZED" => DefaultKind::Materialized,
                _ => DefaultKind::Alias,
            };
            ColumnDefault { kind, expression: expression.into() }
        });
        ColumnDefinition {
            id: id as u32,
            name: name.into(),
            data_type: parse_data_type(data_type).unwrap(),
            default,
            comment: String::new(),
            codec: String::new(),
            ttl: String::new(),
        }
    };
    text.split(", ").enumerate().map(one).collect()
}

fn definition(name: &str, engine: &str, column_text: &str) -> TableDefinition {
    TableDefinition {
        uuid: Uuid::new_v4(),
        database: "d".into(),
        name: name.into(),
        engine: engine.into(),
        columns: columns(column_text),
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

fn merge_tree(name: &str, column_text: &str, key: &str) -> TableDefinition {
    let mut table = definition(name, "MergeTree", column_text);
    table.sorting_key = vec![key.into()];
    table.primary_key = vec![key.into()];
    table
}

fn view(name: &str, source: &str, target: &str, select: &str) -> TableDefinition {
    let mut view = definition(name, "MaterializedView", "unused UInt8");
    view.source = Some(("d".into(), source.into()));
    view.target = Some(("d".into(), target.into()));
    view.select = Some(select.into());
    view
}

impl Rig {
    /// A broker with topic `t`, a store with database `d` and the Kafka table `d.stream`.
    fn new(partitions: i32, settings: &[(&str, &str)]) -> Rig {
        let broker = EmbeddedBroker::start(&[("t", partitions)]).unwrap();
        let disk = Arc::new(MemoryDisk::default());
        let store = open(&disk);
        let mut stream = definition("stream", "Kafka", "key UInt64, value UInt64");
        let defaults = [
            ("kafka_broker_list", broker.bootstrap_servers()),
            ("kafka_topic_list", "t"),
            ("kafka_group_name", "g"),
            ("kafka_format", "JSONEachRow"),
            ("kafka_flush_interval_ms", "50"),
            ("kafka_consumer_reschedule_ms", "50"),
        ];
        for (name, value) in defaults.iter().chain(settings) {
            stream.settings.insert(name.to_string(), value.to_string());
        }
        let database = Edit::CreateDatabase {
            name: "d".into(),
            engine: "Atomic".into(),
            comment: String::new(),
        };
        let edits = vec![database];
        store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
        let rig = Rig { inserter: inserter(&store), broker, disk, store };
        rig.create(stream);
        rig
    }

    fn create(&self, table: TableDefinition) {
        let edits = vec![Edit::CreateTable { definition: Arc::new(table) }];
        self.store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    }

    /// A raw table, a filter, and an aggregation that hangs on the raw table.
    fn with_three_views(self) -> Rig {
        self.create(merge_tree("raw", "key UInt64, value UInt64, off UInt64, part UInt64", "key"));
        self.create(merge_tree("even", "key UInt64, value UInt64", "key"));
        self.create(merge_tree("sums", "bucket UInt64, n UInt64, total UInt64", "bucket"));
        self.create(view(
            "raw_mv",
            "stream",
            "raw",
            "SELECT key, value, _offset AS off, _partition AS part FROM d.stream",
        ));
        self.create(view("even_mv", "stream", "even", "SELECT * FROM d.stream WHERE key % 2 = 0"));
        self.create(view(
            "sums_mv",
            "raw",
            "sums",
            "SELECT key % 10 AS bucket, count() AS n, sum(value) AS total FROM d.raw GROUP BY bucket",
        ));
        self
    }

    fn start(&self) -> Arc<KafkaEngine> {
        KafkaEngine::start(self.store.clone(), self.inserter.clone(), KafkaEngineConfig::default())
    }

    fn produce(&self, range: std::ops::Range<u64>, partitions: u64) {
        for key in range {
            let payload = format!("{{\"key\": {key}, \"value\": {}}}", key * 3);
            self.send((key % partitions) as i32, Some(payload.as_bytes()));
        }
        self.broker.flush().unwrap();
    }

    fn send(&self, partition: i32, payload: Option<&[u8]>) {
        let record = Record {
            topic: "t",
            kafka_partition: Some(partition),
            key: Some(b"a key"),
            payload,
            ..Record::default()
        };
        self.broker.produce(&record).unwrap();
    }

    fn query(&self, text: &str) -> Vec<u64> {
        query(&self.store, text).unwrap()
    }

    fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < end, "in vain waited for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn consumed(&self) -> i64 {
        let state = self.store.snapshot();
        let stream = state.table("d", "stream").unwrap();
        stream.offsets.values().map(|o| o.next).sum()
    }

    fn reopen(&mut self) {
        self.store.close();
        // The last holders of the old store go, and with them its lock.
        let other = open(&Arc::default());
        self.inserter = inserter(&other);
        self.store = other;
        self.store = open(&self.disk);
        self.inserter = inserter(&self.store);
    }
}

fn inserter(store: &Arc<Store>) -> Arc<Inserter> {
    Arc::new(Inserter::new(store.clone(), None, Arc::new(SystemClock::default())))
}

fn context() -> Arc<QueryContext> {
    Arc::new(QueryContext::new("test", 1_700_000_000_000_000, 0))
}

/// All values of a result, row by row; one snapshot.
fn query(store: &Arc<Store>, text: &str) -> Result<Vec<u64>> {
    let ctx = context();
    let catalog = StoreCatalog { store: store.clone(), state: store.snapshot(), extra: None };
    let plan = prepare(&sql::parse_query(text)?, &catalog, &ctx)?;
    let mut values = vec![];
    for block in execute::collect(&plan, &ctx)? {
        for row in 0..block.rows() {
            values.extend(block.columns.iter().map(|c| c.value(row).as_u64().unwrap()));
        }
    }
    Ok(values)
}

const QUICK: Duration = Duration::from_secs(5);

#[test]
fn three_views_are_exact_and_always_agree() {
    let all = [("1", "0"), ("4", "0"), ("1", "1"), ("4", "1")];
    for (consumers, thread_per_consumer) in all {
        let rig = Rig::new(
            4,
            &[
                ("kafka_num_consumers", consumers),
                ("kafka_thread_per_consumer", thread_per_consumer),
                ("kafka_max_block_size", "2000"),
            ],
        )
        .with_three_views();
        let (n, stop) = (20_000, Arc::new(AtomicBool::new(false)));
        let reader = {
            let (store, stop) = (rig.store.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut looks = 0;
                while !stop.load(Ordering::Relaxed) {
                    let both = query(
                        &store,
                        "SELECT (SELECT count() FROM d.raw), (SELECT sum(n) FROM d.sums), \
                         (SELECT sum(total) FROM d.sums), (SELECT sum(value) FROM d.raw)",
                    )
                    .unwrap();
                    assert_eq!((both[0], both[2]), (both[1], both[3]), "one snapshot disagrees");
                    looks += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                looks
            })
        };
        let engine = rig.start();
        rig.produce(0..n, 4);
        rig.wait_for("all rows", || rig.query("SELECT count() FROM d.raw") == [n]);
        rig.wait_for("all offsets", || rig.consumed() == n as i64);
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        let total = 3 * n * (n - 1) / 2;
        assert_eq!(
            rig.query("SELECT count(), uniqExact(key), sum(value) FROM d.raw"),
            [n, n, total]
        );
        assert_eq!(rig.query("SELECT uniqExact(part, off), max(off) FROM d.raw"), [n, n / 4 - 1]);
        assert_eq!(rig.query("SELECT count(), uniqExact(key) FROM d.even"), [n / 2, n / 2]);
        assert_eq!(rig.query("SELECT sum(n), sum(total) FROM d.sums"), [n, total]);
        engine.shutdown(QUICK);
    }
}

#[test]
fn restarts_lose_and_double_nothing() {
    let mut rig = Rig::new(2, &[("kafka_max_block_size", "500"), ("kafka_assignment", "static")])
        .with_three_views();
    let n = 12_000;
    rig.produce(0..n, 2);
    for restart in 1..5 {
        let engine = rig.start();
        rig.wait_for("some rows", || rig.query("SELECT count() FROM d.raw")[0] > restart * 1500);
        engine.shutdown(QUICK);
        drop(engine);
        rig.reopen();
    }
    let engine = rig.start();
    rig.wait_for("all rows", || rig.consumed() == n as i64);
    assert_eq!(rig.query("SELECT count(), uniqExact(key) FROM d.raw"), [n, n]);
    assert_eq!(rig.query("SELECT sum(n) FROM d.sums"), [n]);
    engine.shutdown(QUICK);
}

#[test]
fn broken_messages_go_to_the_view_that_asks_for_them() {
    let rig = Rig::new(1, &[("kafka_handle_error_mode", "stream")]);
    rig.create(merge_tree("good", "key UInt64, value UInt64", "key"));
    rig.create(merge_tree("bad", "raw String, error String, offset UInt64", "offset"));
    rig.create(view("good_mv", "stream", "good", "SELECT * FROM d.stream WHERE _error = ''"));
    rig.create(view(
        "bad_mv",
        "stream",
        "bad",
        "SELECT _raw_message AS raw, _error AS error, _offset AS offset FROM d.stream \
         WHERE _error != ''",
    ));
    let deep = format!("{{\"key\": {}", "[".repeat(100_000));
    let huge = format!("{{\"key\": 5, \"value\": 1, \"pad\": \"{}\"}}", "x".repeat(2 << 20));
    let messages: Vec<Option<&[u8]>> = vec![
        Some(b"{\"key\": 1, \"value\": 1}"),
        Some(b"{\"key\": \"abc\"}"),
        Some(b""),
        None,
        Some(b"{\"key\": 2, \"value\": 1} {\"key\": 3, \"value\": 1}"),
        Some(deep.as_bytes()),
        Some(b"\xff\xfe\xfd"),
        Some(huge.as_bytes()),
        Some(b"{\"key\": 4, \"value\": 1}"),
    ];
    let sent = messages.len() as i64;
    messages.iter().for_each(|m| rig.send(0, *m));
    rig.broker.flush().unwrap();
    let engine = rig.start();
    rig.wait_for("all messages", || rig.consumed() == sent);
    assert_eq!(rig.query("SELECT key FROM d.good ORDER BY key"), [1, 2, 3, 4, 5]);
    assert_eq!(rig.query("SELECT offset FROM d.bad ORDER BY offset"), [1, 5, 6]);
    assert_eq!(rig.query("SELECT count() FROM d.bad WHERE length(error) > 10"), [3]);
    engine.shutdown(QUICK);
}

#[test]
fn a_missing_target_pauses_and_its_creation_resumes() {
    let rig = Rig::new(1, &[]);
    rig.create(view("mv", "stream", "later", "SELECT * FROM d.stream"));
    rig.produce(0..100, 1);
    let engine = rig.start();
    rig.wait_for("the reason", || {
        let status = &engine.consumers()[0];
        status.state == ConsumerState::BackingOff
            && status.paused_reason.contains("d.later")
            && status.next_retry_us > 0
    });
    rig.create(merge_tree("later", "key UInt64, value UInt64", "key"));
    engine.sync();
    rig.wait_for("all rows", || rig.query("SELECT count() FROM d.later") == [100]);
    engine.shutdown(QUICK);
}

#[test]
fn a_failing_view_pauses_all_and_its_end_resumes() {
    let rig = Rig::new(1, &[]).with_three_views();
    rig.create(merge_tree("odd", "key UInt64", "key"));
    rig.create(view(
        "odd_mv",
        "stream",
        "odd",
        "SELECT intDiv(key, key - 50) AS key FROM d.stream",
    ));
    rig.produce(0..100, 1);
    let engine = rig.start();
    rig.wait_for("the failure", || {
        let status = &engine.consumers()[0];
        status.paused_reason.contains("while pushing to view d.odd_mv")
    });
    // What came before the message that the view cannot take is in all tables, what follows in none.
    for table in ["raw", "odd"] {
        let count = rig.query(&format!("SELECT count() FROM d.{table}"));
        assert_eq!(count, [50], "no view is ahead of another: {table}");
    }
    assert!(engine.consumers()[0].paused_reason.contains("offset: 50"));
    let failing = rig.store.snapshot().table("d", "odd_mv").unwrap().definition.uuid;
    let edits = vec![Edit::DropTable { table: failing }];
    rig.store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    engine.sync();
    rig.wait_for("all rows", || rig.query("SELECT count() FROM d.raw") == [100]);
    engine.shutdown(QUICK);
}

#[test]
fn views_may_come_while_messages_flow() {
    let rig = Rig::new(1, &[("kafka_assignment", "static")]);
    rig.create(merge_tree("plain", "key UInt64", "key"));
    rig.create(merge_tree("keyed", "key UInt64, k String, topic String", "key"));
    rig.create(view("plain_mv", "stream", "plain", "SELECT key FROM d.stream"));
    let engine = rig.start();
    rig.produce(0..1000, 1);
    rig.wait_for("first rows", || rig.query("SELECT count() FROM d.plain")[0] > 0);
    rig.create(view(
        "keyed_mv",
        "stream",
        "keyed",
        "SELECT key, _key AS k, _topic AS topic FROM d.stream",
    ));
    rig.produce(1000..2000, 1);
    rig.wait_for("all rows", || rig.query("SELECT count() FROM d.plain") == [2000]);
    let seen =
        rig.query("SELECT count(), max(key), countIf(k = 'a key' AND topic = 't') FROM d.keyed");
    assert!(seen[0] >= 1000 && seen[1] == 1999 && seen[0] == seen[2], "{seen:?}");
    assert_eq!(
        rig.query("SELECT max(key) - min(key) + 1 FROM d.keyed"),
        [seen[0]],
        "from one block on, all of them"
    );
    engine.shutdown(QUICK);
}

#[test]
fn tombstones_move_offsets_and_make_no_rows() {
    let rig = Rig::new(1, &[]);
    rig.create(merge_tree("counts", "n UInt64", "n"));
    rig.create(view("mv", "stream", "counts", "SELECT count() AS n FROM d.stream"));
    (0..10).for_each(|_| rig.send(0, None));
    rig.broker.flush().unwrap();
    let engine = rig.start();
    rig.wait_for("the offsets", || rig.consumed() == 10);
    assert_eq!(rig.query("SELECT count() FROM d.counts"), [0]);
    engine.shutdown(QUICK);
}

fn numbers(name: &str, values: &[u64]) -> Block {
    let values: Vec<Value> = values.iter().map(|v| Value::UInt(*v)).collect();
    Block::new(vec![(name.into(), Column::from_values(DataType::UInt64, &values).unwrap())])
}

#[test]
fn an_insert_goes_through_defaults_views_and_cascades_once_per_token() {
    let rig = Rig::new(1, &[]);
    rig.create(merge_tree(
        "base",
        "a UInt64, c UInt64 DEFAULT b + 1, b UInt64 DEFAULT a * 2, m UInt64 MATERIALIZED a + b",
        "a",
    ));
    rig.create(merge_tree("first", "a UInt64, m UInt64", "a"));
    rig.create(merge_tree("second", "total UInt32, missing UInt8", "total"));
    rig.create(view("first_mv", "base", "first", "SELECT a, m, c AS extra FROM d.base"));
    rig.create(view("second_mv", "first", "second", "SELECT sum(m) AS total FROM d.first"));
    let ctx = context();
    let insert = |token| {
        rig.inserter.insert("d", "base", numbers("a", &[1, 2, 3]), Some(token), &ctx).unwrap()
    };
    let outcome = insert("t1");
    assert_eq!((outcome.rows, outcome.parts), (3, 3));
    let version = outcome.version;
    assert_eq!(insert("t1").rows, 0, "the same token again");
    assert_eq!(rig.store.snapshot().version, version);
    assert_eq!(
        rig.query("SELECT a, b, c, m FROM d.base ORDER BY a"),
        [1, 2, 3, 3, 2, 4, 5, 6, 3, 6, 7, 9]
    );
    assert_eq!(rig.query("SELECT a, m FROM d.first ORDER BY a"), [1, 3, 2, 6, 3, 9]);
    assert_eq!(rig.query("SELECT total, missing FROM d.second"), [18, 0]);
    assert_eq!(insert("t2").rows, 3);
    assert_eq!(rig.query("SELECT count() FROM d.second"), [2]);
    // A view's name stands for its target.
    rig.inserter.insert("d", "first_mv", numbers("a", &[9]), None, &ctx).unwrap();
    assert_eq!(rig.query("SELECT m FROM d.first WHERE a = 9"), [0]);
}

#[test]
fn views_that_feed_each_other_are_refused() {
    let rig = Rig::new(1, &[]);
    rig.create(merge_tree("x", "a UInt64", "a"));
    rig.create(merge_tree("y", "a UInt64", "a"));
    rig.create(view("xy", "x", "y", "SELECT a FROM d.x"));
    rig.create(view("yx", "y", "x", "SELECT a FROM d.y"));
    let e = rig.inserter.insert("d", "x", numbers("a", &[1]), None, &context()).unwrap_err();
    assert_eq!(e.code(), pumphouse_query::error::codes::TOO_DEEP_RECURSION);
    assert_eq!(rig.query("SELECT count() FROM d.x"), [0]);
}

#[test]
fn rows_inserted_into_a_kafka_table_come_back() {
    let rig = Rig::new(1, &[("kafka_max_rows_per_message", "2")]).with_three_views();
    let block = Block::new(vec![
        ("key".into(), numbers("", &[1, 2, 3, 4, 5]).columns[0].clone()),
        ("value".into(), numbers("", &[1, 1, 1, 1, 1]).columns[0].clone()),
    ]);
    rig.inserter.insert("d", "stream", block, None, &context()).unwrap();
    let engine = rig.start();
    rig.wait_for("the rows", || rig.query("SELECT count(), sum(key) FROM d.raw") == [5, 15]);
    assert_eq!(rig.consumed(), 3, "two rows a message");
    engine.shutdown(QUICK);
}
