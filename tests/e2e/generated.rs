//! Generated tables and queries, here and in the real ClickHouse engine: random engines, keys, settings,
//! indexes and projections; inserts, mutations, column changes, partition operations, TTLs of fixed
//! dates, a Buffer table in front; then queries whose answers do not depend on the order of rows. Every
//! query runs on one thread and on four, as the defaults say and with groups finished in the table's order
//! and decoded granules kept, over the parts as they came and again over the merged table; all of it by a
//! server whose parts are files and by one whose parts are in memory.
//!
//! A fixed seed and some hundred queries by default; `PUMPHOUSE_GENERATED` gives another number of
//! tables, `PUMPHOUSE_SEED` another seed.

use crate::harness::server::Server;
use crate::harness::{Random, from_environment, oracle, skipped};

/// Tables by default.
const TABLES: u64 = 12;
/// Queries of a table, each asked twice.
const QUERIES: u64 = 14;
/// Settings that must not change an answer.
const VARIANTS: &[&str] = &[
    "max_threads = 1",
    "max_threads = 4",
    "max_threads = 1, optimize_aggregation_in_order = 1",
    "max_threads = 4, optimize_aggregation_in_order = 1, use_uncompressed_cache = 1",
];

fn chance(random: &mut Random, percent: u64) -> bool {
    random.below(100) < percent
}

fn pick<'a>(random: &mut Random, items: &[&'a str]) -> &'a str {
    items[random.below(items.len() as u64) as usize]
}

/// A table's statements, and what of them is to be compared.
struct Case {
    statements: Vec<String>,
    /// Which statements are queries.
    queries: Vec<usize>,
}

/// What queries over the table may use.
struct Table {
    name: String,
    /// Rows of equal key are combined: only FINAL is well defined before merges.
    combines: bool,
    keys: &'static [&'static str],
    partitioned: bool,
    projections: bool,
    has_extra: bool,
    /// The Buffer table in front of it that queries read, if there is one.
    buffer: Option<String>,
    has_index: bool,
}

const CONDITIONS: &[&str] = &[
    "k < 40",
    "k = 17",
    "k IN (3, 5, 8, 13, 150)",
    "k BETWEEN 20 AND 60",
    "s = 's3'",
    "s IN ('s1', 's4')",
    "s LIKE 's1%'",
    "d >= '2002-03-01'",
    "toYYYYMM(d) = 200202",
    "d < '2002-02-10'",
    "v > 500",
    "v % 7 = 3",
    "n IS NULL",
    "n > 10",
    "NOT n > 10",
    "k % 3 = 1",
    "intDiv(k, 10) = 2",
    "t >= '2002-02-03 04:00:00'",
    "k < 40 OR s = 's2'",
    "NOT (k < 100 AND s != 's0')",
    "v < 0",
    "k IN (SELECT number * 7 FROM numbers(10))",
    "e % 3 = 1",
    "e < 50 AND m > 100",
    "m BETWEEN 200 AND 900",
    "a > 300",
    "k = 17 AND s = 's2'",
    "d = '2002-02-02'",
    "intDiv(k, 10) = 3 AND v > 0",
    "s > 's2' AND s <= 's4'",
];

const GROUPS: &[&str] = &[
    "s",
    "d",
    "k",
    "toStartOfMonth(d)",
    "k % 5",
    "intDiv(k, 10)",
    "s, d",
    "n",
    "k, s",
    "toHour(t)",
    "k, d",
    "s, k, t",
    "intDiv(k, 10), s",
    "d, s, v % 3",
    "e",
];

const AGGREGATES: &[&str] = &[
    "count()",
    "sum(v)",
    "min(v)",
    "max(k)",
    "uniqExact(s)",
    "avg(v)",
    "sum(n)",
    "count(n)",
    "any(d) IS NOT NULL",
    "max(s)",
    "min(t)",
    "arraySort(groupUniqArray(k % 4))",
    "sumIf(v, k < 50)",
    "quantileExact(0.5)(v)",
    "sum(a)",
    "max(m)",
    "sum(e)",
    "uniqExact(k, s)",
    "argMax(k, (v, k))",
    "countIf(n IS NULL)",
];

fn create(random: &mut Random, number: u64, out: &mut Vec<String>) -> Table {
    let engine = match random.below(12) {
        0..=5 => "MergeTree",
        6..=7 => "ReplacingMergeTree(v)",
        8..=9 => "SummingMergeTree(v)",
        10 => "AggregatingMergeTree",
        _ => "CoalescingMergeTree",
    };
    let combines = engine != "MergeTree";
    let keys: &[&str] = match random.below(6) {
        0 => &["k"],
        1 => &["s", "k"],
        2 => &["d", "s"],
        3 => &["intDiv(k, 10)", "s"],
        4 => &["k", "t"],
        _ if combines => &["k", "d"],
        _ => &[],
    };
    let partition = match random.below(4) {
        0 => " PARTITION BY toYYYYMM(d)",
        1 => " PARTITION BY k % 3",
        _ => "",
    };
    let v = match engine {
        "AggregatingMergeTree" => "v SimpleAggregateFunction(sum, Int64)",
        _ => "v Int64",
    };
    let n = match engine {
        "AggregatingMergeTree" => "n SimpleAggregateFunction(max, Nullable(Int32))",
        _ => "n Nullable(Int32)",
    };
    let mut columns: Vec<String> =
        ["k UInt32", "d Date", v, n, "t DateTime('UTC')"].map(str::to_string).to_vec();
    columns.extend(
        ["e UInt32 DEFAULT k + 1", "m UInt64 MATERIALIZED k * 10", "a Int64 ALIAS v + k"]
            .map(str::to_string),
    );
    columns.push(pick(random, &["s String", "s LowCardinality(String)"]).into());
    let has_index = chance(random, 40);
    if has_index {
        let index = pick(
            random,
            &[
                "INDEX i v TYPE minmax GRANULARITY 2",
                "INDEX i s TYPE set(10) GRANULARITY 1",
                "INDEX i s TYPE bloom_filter GRANULARITY 3",
                "INDEX i (v % 7) TYPE set(0) GRANULARITY 1",
            ],
        );
        columns.push(index.into());
    }
    let mut settings =
        vec![format!("index_granularity = {}", [8, 32, 100, 8192][random.below(4) as usize])];
    let projections = chance(random, 50);
    if projections {
        if combines {
            settings.push("deduplicate_merge_projection_mode = 'rebuild'".into());
        }
        settings.push("lightweight_mutation_projection_mode = 'rebuild'".into());
        columns.push(
            pick(
                random,
                &[
                    "PROJECTION p (SELECT k, v, s ORDER BY s)",
                    "PROJECTION p (SELECT * ORDER BY v)",
                    "PROJECTION p (SELECT k, d, n ORDER BY d, k)",
                    "PROJECTION p (SELECT k, s, v, intDiv(k, 10) ORDER BY intDiv(k, 10))",
                ],
            )
            .into(),
        );
        columns.push(
            pick(random, &[
                    "PROJECTION g (SELECT s, count(), sum(v), max(k), uniqExact(s) GROUP BY s)",
                    "PROJECTION g (SELECT toStartOfMonth(d), s, sum(v), min(v), count(n), sum(n) GROUP BY toStartOfMonth(d), s)",
                    "PROJECTION g (SELECT k % 5, d, avg(v), count(), quantileExact(0.5)(v) GROUP BY k % 5, d)",
                    "PROJECTION g (SELECT n, k, sum(v), max(s) GROUP BY n, k)",
                ])
                .into(),
        );
    }
    let order = match keys {
        [] => "tuple()".to_string(),
        keys => format!("({})", keys.join(", ")),
    };
    let name = format!("g{number}");
    out.push(format!(
        "CREATE TABLE {name} ({}) ENGINE = {engine}{partition} ORDER BY {order} SETTINGS {}",
        columns.join(", "),
        settings.join(", ")
    ));
    let partitioned = !partition.is_empty();
    Table {
        name,
        combines,
        keys,
        partitioned,
        projections,
        has_extra: false,
        buffer: None,
        has_index,
    }
}

/// An insert into the table, or into `buffer` in front of it.
fn insert(random: &mut Random, table: &Table, buffer: Option<&str>) -> String {
    let (rows, step, from) =
        ([30, 200, 900][random.below(3) as usize], 1 + random.below(50), random.below(100));
    let extra = if table.has_extra { ", number % 3" } else { "" };
    format!(
        "INSERT INTO {} (k, d, v, n, t, s{}) SELECT (number * {step} + {from}) % 200 AS k, toDate('2002-01-10') + (number * 7 + {from}) % 70 AS d, toInt64(number * 37 % 1000) - {} AS v, if(number % 4 = 0, NULL, toInt32(number % 23)) AS n, toDateTime('2002-02-01 00:00:00', 'UTC') + (number * 4001 + {from}) % 400000 AS t, concat('s', toString(number * {step} % 6)) AS s{extra} FROM numbers({rows})",
        buffer.unwrap_or(&table.name),
        if table.has_extra { ", x" } else { "" },
        random.below(200)
    )
}

fn change(random: &mut Random, table: &mut Table, out: &mut Vec<String>) {
    let name = table.name.clone();
    let condition = pick(random, CONDITIONS);
    let sync = "SETTINGS mutations_sync = 1";
    match random.below(10) {
        // A version or a sum that changes would make the order of merges matter.
        0 | 1 if !table.combines && !condition.contains("SELECT") => {
            out.push(format!(
                "ALTER TABLE {name} UPDATE v = v + 5, n = n + 1 WHERE {condition} {sync}"
            ));
        }
        2 => out.push(format!("ALTER TABLE {name} DELETE WHERE {condition} {sync}")),
        // ClickHouse may show deleted rows by way of a projection.
        3 if !table.projections => {
            out.push(format!("DELETE FROM {name} WHERE {condition}"));
        }
        4 if table.partitioned => {
            out.push(format!(
                "ALTER TABLE {name} DROP PARTITION ID '{}'",
                pick(random, &["1", "200202"])
            ));
        }
        5 if !table.has_extra => {
            out.push(format!("ALTER TABLE {name} ADD COLUMN x UInt8 DEFAULT k % 3"));
            table.has_extra = true;
        }
        6 if table.partitioned => {
            let id = pick(random, &["0", "200201"]);
            out.push(format!("ALTER TABLE {name} DETACH PARTITION ID '{id}'"));
            out.push(format!("ALTER TABLE {name} ATTACH PARTITION ID '{id}'"));
        }
        8 if table.has_index => {
            out.push(format!("ALTER TABLE {name} DROP INDEX i"));
            table.has_index = false;
        }
        9 => {
            let index = format!("j{}", random.below(1000));
            let kind =
                pick(random, &["v TYPE minmax", "(k, s) TYPE set(40)", "k TYPE bloom_filter"]);
            out.push(format!("ALTER TABLE {name} ADD INDEX {index} {kind} GRANULARITY 2"));
            out.push(format!("ALTER TABLE {name} MATERIALIZE INDEX {index} {sync}"));
        }
        7 if table.projections && !table.combines => {
            out.push(format!("ALTER TABLE {name} CLEAR PROJECTION g {sync}"));
        }
        _ => {}
    }
}

fn condition(random: &mut Random) -> String {
    match random.below(4) {
        0 => String::new(),
        1 => format!(" WHERE ({}) AND ({})", pick(random, CONDITIONS), pick(random, CONDITIONS)),
        _ => format!(" WHERE {}", pick(random, CONDITIONS)),
    }
}

fn query(random: &mut Random, table: &Table) -> String {
    let name = table.buffer.as_ref().unwrap_or(&table.name);
    let from = format!("{name}{}", if table.combines { " FINAL" } else { "" });
    let condition = condition(random);
    match random.below(8) {
        0..=2 => {
            let group = pick(random, GROUPS);
            let aggregates: Vec<&str> =
                (0..1 + random.below(3)).map(|_| pick(random, AGGREGATES)).collect();
            let having = if chance(random, 20) { " HAVING count() > 3" } else { "" };
            format!(
                "SELECT {group}, {} FROM {from}{condition} GROUP BY {group}{having} ORDER BY ALL",
                aggregates.join(", ")
            )
        }
        3 if !table.keys.is_empty() && chance(random, 60) => grouped_by_key(random, table, &from),
        3 => {
            let aggregates: Vec<&str> =
                (0..1 + random.below(3)).map(|_| pick(random, AGGREGATES)).collect();
            format!("SELECT {} FROM {from}{condition}", aggregates.join(", "))
        }
        4 if !table.keys.is_empty() => {
            // The order of the table, or against it; rows that tie are equal.
            let length = 1 + random.below(table.keys.len() as u64) as usize;
            let direction = pick(random, &["", " DESC"]);
            let keys = table.keys[..length].join(", ");
            let order: Vec<String> =
                table.keys[..length].iter().map(|k| format!("{k}{direction}")).collect();
            format!(
                "SELECT {keys} FROM {from}{condition} ORDER BY {} LIMIT {}",
                order.join(", "),
                1 + random.below(40)
            )
        }
        5 => format!(
            "SELECT DISTINCT {} FROM {from}{condition} ORDER BY ALL LIMIT 50",
            pick(random, GROUPS)
        ),
        6 => format!(
            "SELECT k, d, v, n, t, s, e, m, a{} FROM {from}{condition} ORDER BY ALL LIMIT {}",
            if table.has_extra { ", x" } else { "" },
            1 + random.below(60)
        ),
        _ => format!(
            "SELECT s, k FROM {from}{condition} ORDER BY s, k LIMIT {} BY s{}",
            1 + random.below(3),
            pick(random, &["", " LIMIT 7"])
        ),
    }
}

/// Groups by the first columns of the table's key and maybe others, the first of them wanted.
fn grouped_by_key(random: &mut Random, table: &Table, from: &str) -> String {
    let length = 1 + random.below(table.keys.len() as u64) as usize;
    let direction = pick(random, &["", " DESC"]);
    let order: Vec<String> =
        table.keys[..length].iter().map(|k| format!("{k}{direction}")).collect();
    let mut keys = table.keys[..length].to_vec();
    let mut rest = String::new();
    if chance(random, 30) {
        // Groups that tie are told apart by what comes behind.
        keys.insert(0, "v % 5");
        rest = ", v % 5".into();
    }
    let keys = keys.join(", ");
    let limit = match random.below(3) {
        0 => String::new(),
        _ => format!(" LIMIT {}", 1 + random.below(30)),
    };
    format!(
        "SELECT {keys}, {}, count() FROM {from}{} GROUP BY {keys} ORDER BY {}{rest}{limit}",
        pick(random, AGGREGATES),
        condition(random),
        order.join(", ")
    )
}

fn case(random: &mut Random, number: u64) -> Case {
    let mut statements = vec![];
    let mut table = create(random, number, &mut statements);
    for _ in 0..2 + random.below(4) {
        let next = insert(random, &table, None);
        statements.push(next);
        if chance(random, 50) {
            change(random, &mut table, &mut statements);
        }
    }
    let expires = chance(random, 20);
    if expires {
        // All of it is long past, but for what the condition spares.
        statements.push(format!(
            "ALTER TABLE {} MODIFY TTL d + INTERVAL 1 YEAR DELETE WHERE k % 4 = 1",
            table.name
        ));
    }
    let optimize = format!("OPTIMIZE TABLE {} FINAL", table.name);
    if expires {
        statements.push(optimize.clone());
    }
    if !table.combines && chance(random, 30) {
        let buffer = format!("b{number}");
        statements.push(format!(
            "CREATE TABLE {buffer} ENGINE = Buffer(currentDatabase(), {}, 1, 10000, 100000, 100000, 1000000, 100000000, 1000000000)",
            table.name
        ));
        for _ in 0..1 + random.below(3) {
            statements.push(insert(random, &table, Some(&buffer)));
        }
        table.buffer = Some(buffer);
    }
    let asked: Vec<String> = (0..QUERIES).map(|_| query(random, &table)).collect();
    let mut queries = vec![];
    for round in 0..2 {
        if round == 1 {
            statements.extend(table.buffer.iter().map(|b| format!("OPTIMIZE TABLE {b}")));
            statements.push(optimize.clone());
        }
        for sql in &asked {
            queries.push(statements.len());
            statements.push(sql.clone());
        }
    }
    Case { statements, queries }
}

/// Asks a server everything, and notes what it does not answer as expected; how many answers are the same.
fn compare(
    cases: &[Case],
    expected: &[Result<String, u32>],
    in_memory: &str,
    differing: &mut Vec<String>,
) -> usize {
    let server = Server::start_configured(
        "generated",
        &[("PUMPHOUSE_UNCOMPRESSED_CACHE_SIZE", "30000000"), ("PUMPHOUSE_IN_MEMORY", in_memory)],
    );
    let ask = |sql: &str| -> (Result<String, u32>, String) {
        let answer = server.send_in_session(sql).expect("an answer");
        let code = answer.header("x-clickhouse-exception-code").and_then(|c| c.parse().ok());
        match code {
            Some(code) => (Err(code), answer.text()),
            None => (Ok(answer.text()), String::new()),
        }
    };
    let (mut at, mut same) = (0, 0);
    for case in cases {
        let mut done: Vec<&str> = vec![];
        for (i, sql) in case.statements.iter().enumerate() {
            let expected = &expected[at];
            at += 1;
            let variants: Vec<String> = match case.queries.contains(&i) {
                true => {
                    VARIANTS.iter().map(|settings| format!("{sql} SETTINGS {settings}")).collect()
                }
                false => {
                    done.push(sql);
                    vec![sql.clone()]
                }
            };
            for variant in variants {
                let (found, text) = ask(&variant);
                if found == *expected {
                    same += 1;
                } else {
                    differing.push(format!(
                        "{}\n{variant}\n   in memory: {in_memory}\n   ClickHouse: {expected:?}\n   Pumphouse:  {found:?} {text}",
                        done.join(";\n")
                    ));
                }
            }
        }
    }
    same
}

#[test]
fn generated_tables_answer_as_clickhouse_does() {
    let (seed, tables) =
        (from_environment("PUMPHOUSE_SEED", 1), from_environment("PUMPHOUSE_GENERATED", TABLES));
    let mut random = Random::new(seed);
    let cases: Vec<Case> = (0..tables).map(|i| case(&mut random, i)).collect();
    let script: Vec<&str> =
        cases.iter().flat_map(|c| c.statements.iter().map(String::as_str)).collect();
    let expected = match oracle::run(&script) {
        Ok(answers) => answers,
        Err(why) => return skipped("generated_tables_answer_as_clickhouse_does", &why),
    };
    let (mut same, mut differing) = (0, vec![]);
    for in_memory in ["false", "true"] {
        same += compare(&cases, &expected, in_memory, &mut differing);
    }
    eprintln!("seed {seed}: {same} of {} answers are ClickHouse's", same + differing.len());
    differing.truncate(5);
    assert!(differing.is_empty(), "seed {seed}:\n{}", differing.join("\n\n"));
}
