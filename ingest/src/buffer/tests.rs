//! Rows of Buffer tables: where they are after inserts, flushes, failures and drops, and that a reader
//! finds each of them once while flushes run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pumphouse_query::bind::SqlExpressions;
use pumphouse_query::context::QueryContext;
use pumphouse_storage::clock::SystemClock;
use pumphouse_storage::disk::MemoryDisk;
use pumphouse_storage::log::{ColumnDefinition, Commit, Edit, TableClauses, TableDefinition};
use pumphouse_storage::store::{StoreConfig, StoreOptions};
use pumphouse_storage::{Block, Column, DataType, Store, Value};
use uuid::Uuid;

use crate::insert::Inserter;

struct Rig {
    store: Arc<Store>,
    inserter: Inserter,
}

impl Rig {
    fn new() -> Rig {
        let store = Store::open(StoreOptions {
            disk: Arc::new(MemoryDisk::default()),
            clock: Arc::new(SystemClock::default()),
            compiler: Arc::new(SqlExpressions),
            config: StoreConfig::default(),
        })
        .unwrap();
        let clock = Arc::new(SystemClock::default());
        let database = Edit::CreateDatabase {
            name: "d".into(),
            engine: String::new(),
            comment: String::new(),
        };
        let rig = Rig { inserter: Inserter::new(store.clone(), None, clock), store };
        rig.commit(database);
        rig
    }

    fn commit(&self, edit: Edit) {
        self.store.commit(Commit { preconditions: vec![], edits: vec![edit] }, vec![]).unwrap();
    }

    fn create(&self, name: &str, engine: &str, arguments: &[&str]) -> Uuid {
        self.create_with(name, engine, arguments, |_| {})
    }

    fn create_with(
        &self,
        name: &str,
        engine: &str,
        arguments: &[&str],
        more: impl Fn(&mut TableDefinition),
    ) -> Uuid {
        let column = ColumnDefinition {
            id: 0,
            name: "k".into(),
            data_type: DataType::UInt64,
            default: None,
            comment: String::new(),
            codec: String::new(),
            ttl: String::new(),
        };
        let mut definition = TableDefinition {
            uuid: Uuid::new_v4(),
            database: "d".into(),
            name: name.into(),
            engine: engine.into(),
            columns: vec![column],
            sorting_key: vec![],
            primary_key: vec![],
            partition_key: vec![],
            settings: BTreeMap::new(),
            select: None,
            target: None,
            source: None,
            comment: String::new(),
            create_query: String::new(),
            clauses: TableClauses {
                engine_arguments: arguments.iter().map(|a| a.to_string()).collect(),
                ..TableClauses::default()
            },
        };
        more(&mut definition);
        let uuid = definition.uuid;
        self.commit(Edit::CreateTable { definition: Arc::new(definition) });
        uuid
    }

    fn buffer(&self, name: &str, to: &str) -> Uuid {
        let to = format!("'{to}'");
        self.create(name, "Buffer", &["'d'", &to, "1", "0", "100", "10", "100", "0", "100000"])
    }

    fn insert(&self, table: &str, rows: u64) -> pumphouse_query::Result<()> {
        let values: Vec<Value> = (0..rows).map(Value::UInt).collect();
        let column = Column::from_values(DataType::UInt64, &values)?;
        let block = Block::new(vec![("k".into(), column)]);
        let context = Arc::new(QueryContext::new("", 0, 0));
        self.inserter.insert("d", table, block, None, &context).map(|_| ())
    }

    fn stored(&self, table: &str) -> u64 {
        let state = self.store.snapshot();
        state.table("d", table).unwrap().parts.iter().map(|p| p.rows_live()).sum()
    }

    fn held(&self, buffer: Uuid) -> u64 {
        self.inserter.buffers().sizes(buffer).rows
    }
}

#[test]
fn rows_wait_and_go_and_large_blocks_do_not_wait() {
    let rig = Rig::new();
    rig.create("t", "MergeTree", &[]);
    let buffer = rig.buffer("b", "t");
    rig.insert("b", 5).unwrap();
    rig.insert("b", 5).unwrap();
    assert_eq!((rig.held(buffer), rig.stored("t")), (10, 0));
    rig.insert("b", 101).unwrap();
    assert_eq!((rig.held(buffer), rig.stored("t")), (10, 101));
    // 91 more would be too many: what is there goes first.
    rig.insert("b", 91).unwrap();
    assert_eq!((rig.held(buffer), rig.stored("t")), (91, 111));
    rig.inserter.buffers().flush(&rig.inserter, buffer).unwrap();
    assert_eq!((rig.held(buffer), rig.stored("t")), (0, 202));
    assert_eq!(rig.inserter.buffers().sizes(buffer).rows_ever, 101);
}

#[test]
fn without_a_destination_rows_stay_and_memory_is_bounded() {
    let rig = Rig::new();
    let buffer = rig.buffer("b", "later");
    rig.insert("b", 60).unwrap();
    assert!(rig.inserter.buffers().flush(&rig.inserter, buffer).is_err());
    assert!(rig.insert("b", 60).is_err(), "no room");
    assert_eq!(rig.held(buffer), 60);
    rig.create("later", "MergeTree", &[]);
    rig.insert("b", 60).unwrap();
    assert_eq!(rig.inserter.buffers().flush_all(&rig.inserter), 0);
    assert_eq!(rig.stored("later"), 120);
}

#[test]
fn chains_end_and_circles_are_refused() {
    let rig = Rig::new();
    rig.create("t", "MergeTree", &[]);
    rig.buffer("second", "t");
    rig.buffer("first", "second");
    rig.insert("first", 7).unwrap();
    assert_eq!(rig.inserter.buffers().flush_all(&rig.inserter), 0);
    assert_eq!(rig.stored("t"), 7);
    rig.buffer("own", "own");
    rig.buffer("here", "there");
    rig.buffer("there", "here");
    assert!(rig.insert("own", 1).is_err());
    assert!(rig.insert("here", 1).is_err());
}

#[test]
fn rows_that_views_bring_do_not_wait() {
    let rig = Rig::new();
    rig.create("source", "MergeTree", &[]);
    rig.create("t", "MergeTree", &[]);
    let buffer = rig.buffer("b", "t");
    rig.create_with("v", "MaterializedView", &[], |view| {
        view.select = Some("SELECT k FROM d.source WHERE k > 1".into());
        view.source = Some(("d".into(), "source".into()));
        view.target = Some(("d".into(), "b".into()));
    });
    rig.insert("source", 5).unwrap();
    assert_eq!((rig.stored("source"), rig.stored("t"), rig.held(buffer)), (5, 3, 0));
}

#[test]
fn a_dropped_table_takes_no_more_rows_and_loses_none() {
    let rig = Rig::new();
    rig.create("t", "MergeTree", &[]);
    let buffer = rig.buffer("b", "t");
    rig.insert("b", 3).unwrap();
    rig.commit(Edit::DropTable { table: buffer });
    rig.inserter.buffers().forget(&rig.inserter, buffer);
    assert_eq!(rig.stored("t"), 3);
    assert!(rig.insert("b", 3).is_err());
    assert_eq!(rig.inserter.buffers().totals(), (0, 0));
}

#[test]
fn a_reader_finds_each_row_once_while_flushes_run() {
    let rig = Rig::new();
    rig.create("t", "MergeTree", &[]);
    let buffer = rig.buffer("b", "t");
    let (done, written) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                rig.insert("b", 3).unwrap();
                written.fetch_add(3, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                rig.inserter.buffers().flush(&rig.inserter, buffer).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let least = written.load(Ordering::SeqCst);
                let seen = rig.inserter.buffers().read(buffer, |blocks| {
                    blocks.iter().map(|b| b.rows() as u64).sum::<u64>() + rig.stored("t")
                });
                let most = written.load(Ordering::SeqCst) + 3;
                assert!((least..=most).contains(&seen), "{least} <= {seen} <= {most}");
            }
        });
    });
    rig.inserter.buffers().flush(&rig.inserter, buffer).unwrap();
    assert_eq!(rig.stored("t"), 600);
}
