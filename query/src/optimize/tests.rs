//! Rules on real tables: the same queries over a MergeTree table (with pruning and PREWHERE) and over
//! its rows in memory must agree, and plans must have the shape that the rules promise.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_storage::clock::SystemClock;
use pumphouse_storage::disk::MemoryDisk;
use pumphouse_storage::log::{ColumnDefinition, Commit, Edit, TableDefinition};
use pumphouse_storage::store::{StoreConfig, StoreOptions};
use pumphouse_storage::table::insert::write_block;
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Block, Store, Value};

use crate::bind::SqlExpressions;
use crate::catalog::{BlockSource, Catalog, SourceColumn, StoreCatalog, TableSource};
use crate::context::QueryContext;
use crate::error::Result;
use crate::plan::explain::plan_lines;
use crate::{execute, prepare, sql};

/// `d.m` in the store, and the same rows as `d.memory`.
struct Both {
    store: StoreCatalog,
    memory: Arc<dyn TableSource>,
}

impl Catalog for Both {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        if name == "memory" { Ok(self.memory.clone()) } else { self.store.table(database, name) }
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        self.store.table_function(name, arguments, ctx)
    }
}

const COLUMNS: &[(&str, &str)] = &[
    ("user", "String"),
    ("ts", "DateTime"),
    ("day", "Date"),
    ("n", "UInt32"),
    ("s", "Int64"),
    ("f", "Float64"),
    ("o", "Nullable(Int32)"),
    ("t3", "DateTime64(3)"),
];

const ROWS: &str = "SELECT concat('u', toString(number % 37)) AS user, \
    toDateTime('2025-01-01 00:00:00') + number * 613 AS ts, toDate(ts) AS day, \
    toUInt32(number) AS n, toInt64(number) - 500 AS s, number / 8 AS f, \
    if(number % 5 = 0, NULL, toInt32(number % 100)) AS o, \
    toDateTime64('2025-01-01 00:00:00.500', 3) + number AS t3 FROM numbers(4000)";

fn ctx() -> Arc<QueryContext> {
    let mut ctx = QueryContext::new("test", 1_750_000_000_000_000, 1 << 30);
    ctx.settings.set("max_threads", "2");
    ctx.database = "d".into();
    Arc::new(ctx)
}

fn run(text: &str, catalog: &dyn Catalog) -> Vec<Block> {
    let query = sql::parse_query(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let plan = prepare(&query, catalog, &ctx()).unwrap_or_else(|e| panic!("{text}: {e}"));
    execute::collect(&plan, &ctx()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rows(blocks: &[Block]) -> Vec<Vec<Value>> {
    let mut rows = vec![];
    for block in blocks {
        for row in 0..block.rows() {
            rows.push(block.columns.iter().map(|c| c.value(row)).collect());
        }
    }
    rows
}

fn table(sorting_key: &[&str], partition_key: &[&str]) -> TableDefinition {
    let texts = |t: &[&str]| t.iter().map(|t| t.to_string()).collect::<Vec<String>>();
    let columns = COLUMNS
        .iter()
        .zip(1..)
        .map(|((name, data_type), id)| ColumnDefinition {
            id,
            name: name.to_string(),
            data_type: parse_data_type(data_type).expect("a type"),
            default: None,
            comment: String::new(),
            codec: String::new(),
            ttl: String::new(),
        })
        .collect();
    TableDefinition {
        uuid: uuid::Uuid::new_v4(),
        database: "d".into(),
        name: "m".into(),
        engine: "MergeTree".into(),
        columns,
        sorting_key: texts(sorting_key),
        primary_key: texts(sorting_key),
        partition_key: texts(partition_key),
        settings: BTreeMap::from([("index_granularity".into(), "64".into())]),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: Default::default(),
    }
}

fn both(sorting_key: &[&str], partition_key: &[&str]) -> Both {
    let store = Store::open(StoreOptions {
        disk: Arc::new(MemoryDisk::default()),
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(SqlExpressions),
        config: StoreConfig::default(),
    })
    .expect("a store");
    let create = |edit| store.commit(Commit { preconditions: vec![], edits: vec![edit] }, vec![]);
    let engine = "Atomic".to_string();
    create(Edit::CreateDatabase { name: "d".into(), engine, comment: String::new() })
        .expect("a database");
    let definition = Arc::new(table(sorting_key, partition_key));
    create(Edit::CreateTable { definition }).expect("a table");
    let nothing = StoreCatalog { store: store.clone(), state: store.snapshot(), extra: None };
    let block = Block::concat(&run(ROWS, &nothing)).expect("rows");
    for part in 0..3 {
        let size = block.rows() / 3 + 1;
        let from = part * size;
        let slice = block.slice(from, size.min(block.rows() - from));
        let state = store.snapshot();
        let table = state.table("d", "m").expect("the table");
        let parts = write_block(&store, table, &slice).expect("parts");
        store.commit(Commit { preconditions: vec![], edits: vec![] }, parts).expect("a commit");
    }
    let columns = block.schema().iter().map(|(n, t)| SourceColumn::plain(n, t.clone())).collect();
    let memory = Arc::new(BlockSource::new("d.memory", columns, vec![block]));
    let store = StoreCatalog { store: store.clone(), state: store.snapshot(), extra: None };
    Both { store, memory }
}

const FILTERS: &[&str] = &[
    "n = 1000",
    "n > 3990",
    "n >= 10 AND n < 12",
    "n BETWEEN 100 AND 120",
    "n IN (1, 5, 3999, 70000)",
    "n NOT IN (1, 2, 3)",
    "n != 5",
    "n = -1",
    "n < 2.5",
    "n = '17'",
    "s < -490",
    "s > -3 AND s < 3",
    "f > 499.5",
    "f = 12.5",
    "user = 'u7'",
    "user IN ('u1', 'u36', 'zz')",
    "user LIKE 'u3%'",
    "user LIKE 'u1'",
    "user NOT LIKE 'u1%'",
    "startsWith(user, 'u2')",
    "user > 'u5' AND user <= 'u7'",
    "ts >= '2025-01-20 00:00:00'",
    "ts < '2025-01-01 02:00:00'",
    "ts = '2025-01-01 00:10:13'",
    "ts > toDate('2025-01-27')",
    "ts BETWEEN '2025-01-03 00:00:00' AND '2025-01-03 12:00:00'",
    "toDate(ts) = '2025-01-05'",
    "toDate(ts) > '2025-01-25' AND toDate(ts) <= '2025-01-26'",
    "toDate(ts) IN ('2025-01-05', '2025-01-06')",
    "'2025-01-25' < toDate(ts)",
    "toStartOfHour(ts) = '2025-01-02 05:00:00'",
    "toStartOfHour(ts) <= '2025-01-01 03:30:00'",
    "toYYYYMM(ts) = 202501",
    "toYYYYMM(day) = 202501 AND n < 5",
    "toYear(ts) >= 2025 AND n > 3995",
    "toStartOfInterval(ts, INTERVAL 1 DAY) = '2025-01-09 00:00:00'",
    "toUnixTimestamp(ts) < 1735700000",
    "day = '2025-01-03'",
    "day >= toDateTime('2025-01-28 05:00:00')",
    "day > '2025-01-27' OR n < 3",
    "day IN ('2025-01-01', '2025-01-02') AND user = 'u3'",
    "toMonday(day) = '2025-01-06'",
    "t3 > '2025-01-01 01:00:00.250'",
    "t3 <= '2025-01-01 00:00:01'",
    "toDate(t3) = '2025-01-01' AND n > 3900",
    "toStartOfHour(t3) = '2025-01-01 01:00:00'",
    "o = 7",
    "o IS NULL",
    "o IS NOT NULL AND n < 50",
    "o IN (1, 2)",
    "o > 97 OR o IS NULL",
    "n = 5 OR n = 7 OR n = 3000",
    "n = 5 OR user = 'u9'",
    "(n, user) IN ((1, 'u1'), (2, 'u9'), (38, 'u1'))",
    "NOT (n > 10)",
    "n % 1000 = 1",
    "cityHash64(user) % 4 = 1 AND n < 100",
    "n IN (SELECT toUInt32(number * 500) FROM numbers(4))",
    "n > (SELECT max(n) - 3 FROM m)",
    "1",
    "0",
    "n AND n < 3",
];

const SHAPES: &[(&[&str], &[&str])] = &[
    (&["n"], &[]),
    (&["user", "ts"], &[]),
    (&["ts"], &["toYYYYMM(day)"]),
    (&["toStartOfHour(ts)", "user"], &["day"]),
    (&["cityHash64(user)", "n"], &[]),
    (&["toDate(t3)", "t3"], &["toMonday(day)"]),
    (&[], &[]),
];

#[test]
fn pruned_scans_agree_with_memory() {
    for (sorting_key, partition_key) in SHAPES {
        let catalog = both(sorting_key, partition_key);
        for filter in FILTERS {
            for items in ["n", "count(), sum(n), min(user)"] {
                let query = |table: &str| {
                    format!("SELECT {items} FROM {table} WHERE {filter} ORDER BY 1 LIMIT 10000")
                };
                let stored = rows(&run(&query("m"), &catalog));
                let plain = rows(&run(&query("memory"), &catalog));
                assert_eq!(stored, plain, "{filter} over {sorting_key:?} {partition_key:?}");
            }
        }
    }
}

/// Granules that `filter` leaves, by the last pruning step.
fn granules(catalog: &Both, filter: &str) -> String {
    let text = format!("SELECT n FROM m WHERE {filter}");
    let query = sql::parse_query(&text).expect("a query");
    let plan = prepare(&query, catalog, &ctx()).expect("a plan");
    let lines = plan_lines(&plan, true);
    let last = lines.iter().rev().find_map(|l| l.trim().strip_prefix("Granules: "));
    last.unwrap_or("all").to_string()
}

#[test]
fn filters_prune() {
    let catalog = both(&["n"], &[]);
    for filter in ["n = 1000", "n IN (1, 2, 3)", "n < 40 AND user = 'x'", "n = 5 OR n = 7"] {
        let kept = granules(&catalog, filter);
        let first: usize = kept.split('/').next().and_then(|n| n.parse().ok()).expect(&kept);
        assert!(first <= 1, "{filter} keeps {kept}");
    }
    let catalog = both(&["toStartOfHour(ts)", "user"], &["toYYYYMM(day)"]);
    for filter in [
        "ts = '2025-01-02 05:00:00'",
        "toDate(ts) = '2025-01-05'",
        "toStartOfDay(ts) = '2025-01-05 00:00:00'",
        "ts BETWEEN '2025-01-03 00:00:00' AND '2025-01-03 12:00:00'",
    ] {
        let kept = granules(&catalog, filter);
        let first: usize = kept.split('/').next().and_then(|n| n.parse().ok()).expect(&kept);
        assert!(first <= 6, "{filter} keeps {kept}");
    }
}

/// Plans by their steps; the first word of each line of the tree.
#[test]
fn shapes_of_plans() {
    let catalog = both(&["n"], &[]);
    let cases: &[(&str, &[&str])] = &[
        ("SELECT count() FROM m", &["ReadFromPreparedSource"]),
        ("SELECT count() FROM m WHERE n > 5", &["Aggregating", "ReadFromMergeTree"]),
        ("SELECT n FROM (SELECT n, s FROM m) WHERE s > 5", &["ReadFromMergeTree"]),
        (
            "SELECT user FROM (SELECT user, count() AS c FROM m GROUP BY user) WHERE user = 'u1'",
            &["Aggregating", "ReadFromMergeTree"],
        ),
        (
            "SELECT user FROM m GROUP BY user HAVING user = 'u1'",
            &["Aggregating", "ReadFromMergeTree"],
        ),
        ("SELECT n FROM m ORDER BY s LIMIT 3", &["Limit", "Sorting", "ReadFromMergeTree"]),
        (
            "SELECT a.n FROM m a, m b WHERE a.n = b.n AND a.s > 5",
            &["Join", "ReadFromMergeTree", "ReadFromMergeTree"],
        ),
        ("SELECT n FROM m WHERE 0", &["ReadFromPreparedSource"]),
        ("SELECT n FROM m WHERE 1", &["ReadFromMergeTree"]),
    ];
    for (text, want) in cases {
        let query = sql::parse_query(text).expect("a query");
        let plan = prepare(&query, &catalog, &ctx()).expect("a plan");
        let steps: Vec<String> = plan_lines(&plan, false)
            .iter()
            .skip(2)
            .map(|l| l.trim_start_matches([' ', '│', '├', '└', '─']).to_string())
            .filter(|l| {
                ["Read", "Filter (", "Aggregating", "Sorting", "Limit", "Join (", "Distinct"]
                    .iter()
                    .any(|s| l.starts_with(s))
            })
            .filter(|l| !l.starts_with("Limit "))
            .map(|l| l.split([' ', '(']).next().unwrap_or("").to_string())
            .collect();
        assert_eq!(steps, *want, "{text}");
    }
}

#[test]
fn only_needed_columns_are_read() {
    let catalog = both(&["n"], &[]);
    let cases = [
        ("SELECT n FROM m", "Output: n"),
        ("SELECT count() FROM m WHERE user = 'x'", "Output: user"),
        ("SELECT x FROM (SELECT n AS x, s, f FROM m)", "Output: n"),
        ("SELECT sum(s) FROM m WHERE n > 3", "Output: n, s"),
        ("SELECT max(x) FROM (SELECT n + 1 AS x, count() AS c FROM m GROUP BY x)", "Output: n"),
    ];
    for (text, want) in cases {
        let query = sql::parse_query(text).expect("a query");
        let plan = prepare(&query, &catalog, &ctx()).expect("a plan");
        let lines = plan_lines(&plan, false);
        assert!(lines.iter().any(|l| l.trim() == want), "{text}: {lines:#?}");
    }
}
