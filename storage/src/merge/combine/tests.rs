//! Every engine against a plain model: random blocks, merged in random steps, read with FINAL.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Store;
use crate::block::Block;
use crate::log::{Commit, PartId, TableDefinition};
use crate::merge::optimize;
use crate::merge::worker::merge;
use crate::part::tests::Random;
use crate::scan;
use crate::table::insert::{WriteOptions, write_block, write_block_with};
use crate::table::tests::{block, definition, store_with, table_of};
use crate::types::Value;

type Row = Vec<Value>;

/// k, v (nullable), s (sign), ver.
fn table(engine: &str, arguments: &[&str], sorting: &[&str]) -> TableDefinition {
    let columns = [("k", "UInt16"), ("v", "Nullable(Int32)"), ("s", "Int8"), ("ver", "UInt8")];
    let mut d = definition(&columns, sorting, &[]);
    d.engine = engine.into();
    d.primary_key = vec!["k".into()];
    d.clauses.engine_arguments = arguments.iter().map(|a| a.to_string()).collect();
    d.settings.insert("index_granularity".into(), "16".into());
    d
}

fn random_rows(random: &mut Random, keys: u64) -> Vec<Row> {
    let count = 1 + random.below(120);
    (0..count)
        .map(|_| {
            let v = match random.below(4) {
                0 => Value::Null,
                _ => Value::Int(random.below(9) as i64 - 4),
            };
            let sign = if random.below(2) == 0 { 1 } else { -1 };
            vec![Value::UInt(random.below(keys)), v, Value::Int(sign), Value::UInt(random.below(3))]
        })
        .collect()
}

/// All rows in the order of inserts, grouped by the key columns.
fn by_key(rows: &[Row], key: &[usize]) -> BTreeMap<Row, Vec<Row>> {
    let mut groups: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(key.iter().map(|i| row[*i].clone()).collect()).or_default().push(row.clone());
    }
    groups
}

fn integer(value: &Value) -> i64 {
    value.as_i128().unwrap_or(0) as i64
}

/// What FINAL shows of a group, and what a merge of the whole group keeps.
fn model(engine: &str, group: &[Row]) -> (Vec<Row>, Vec<Row>) {
    let same = |rows: Vec<Row>| (rows.clone(), rows);
    match engine {
        "ReplacingMergeTree" => {
            let best = group.iter().map(|r| integer(&r[3])).max().unwrap_or(0);
            same(group.iter().rev().find(|r| integer(&r[3]) == best).cloned().into_iter().collect())
        }
        "CoalescingMergeTree" => {
            let last = group[group.len() - 1].clone();
            let v = group.iter().rev().map(|r| &r[1]).find(|v| !v.is_null());
            let v = v.cloned().unwrap_or(Value::Null);
            same(vec![vec![last[0].clone(), v, last[2].clone(), last[3].clone()]])
        }
        "VersionedCollapsingMergeTree" => {
            let mut stack: Vec<Row> = vec![];
            for row in group {
                match stack.last() {
                    Some(top) if top[2] != row[2] => {
                        stack.pop();
                    }
                    _ => stack.push(row.clone()),
                }
            }
            same(stack)
        }
        _ => same(group.to_vec()),
    }
}

fn insert(store: &Arc<Store>, d: &TableDefinition, rows: &[Row], combine: bool) {
    let table = table_of(&store.snapshot());
    let parts =
        write_block_with(store, &table, &block(d, rows), WriteOptions { combine, threads: 1 })
            .unwrap();
    store.commit(Commit::default(), parts).unwrap();
}

fn rows_of(blocks: Vec<Block>) -> Vec<Row> {
    let mut rows: Vec<Row> = blocks
        .iter()
        .flat_map(|b| (0..b.rows()).map(|r| b.columns.iter().map(|c| c.value(r)).collect::<Row>()))
        .collect();
    rows.sort();
    rows
}

fn read_final(store: &Arc<Store>) -> Vec<Row> {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns: Vec<String> = table.definition.columns.iter().map(|c| c.name.clone()).collect();
    let scan = scan::open_final(store, state, &table, &[], false).unwrap();
    rows_of((0..scan.range_count()).map(|i| scan.read(i, &columns, None).unwrap()).collect())
}

fn read_plain(store: &Arc<Store>) -> Vec<Row> {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns: Vec<String> = table.definition.columns.iter().map(|c| c.name.clone()).collect();
    let scan = scan::open(store, state, &table, &columns, &[]).unwrap();
    rows_of((0..scan.morsel_count()).map(|i| scan.read(i, &columns, None).unwrap()).collect())
}

fn merge_some(store: &Arc<Store>, random: &mut Random) {
    let table = table_of(&store.snapshot());
    let ids: Vec<PartId> = table.parts.iter().map(|p| p.id).collect();
    if ids.len() > 1 {
        let first = random.below(ids.len() as u64 - 1) as usize;
        let count = 2 + random.below((ids.len() - first - 1) as u64) as usize;
        merge(store, &table, &ids[first..first + count]).unwrap();
    }
}

#[test]
fn final_and_merges_follow_the_model() {
    let cases: [(&str, &[&str], &[&str], &[usize]); 3] = [
        ("ReplacingMergeTree", &["ver"], &["k"], &[0]),
        ("CoalescingMergeTree", &[], &["k"], &[0]),
        ("VersionedCollapsingMergeTree", &["s", "ver"], &["k", "ver"], &[0, 3]),
    ];
    for (engine, arguments, sorting, key) in cases {
        for seed in 0..6 {
            let mut random = Random(seed * 17 + 3);
            let d = table(engine, arguments, sorting);
            let store = store_with(d.clone());
            let mut all: Vec<Row> = vec![];
            for _ in 0..6 {
                let rows = random_rows(&mut random, 1 + seed * 40);
                let combine = random.below(2) == 0;
                insert(&store, &d, &rows, combine);
                all.extend(rows);
                if random.below(3) == 0 {
                    merge_some(&store, &mut random);
                }
                let groups = by_key(&all, key);
                let mut expected: Vec<Row> =
                    groups.values().flat_map(|group| model(engine, group).0).collect();
                expected.sort();
                // Which rows of a version cancel depends on the steps; how many are left does not.
                if engine.starts_with("Versioned") {
                    let signs = |rows: &[Row]| {
                        rows.iter()
                            .map(|r| (r[0].clone(), r[3].clone(), r[2].clone()))
                            .collect::<Vec<_>>()
                    };
                    let (mut found, mut wanted) = (signs(&read_final(&store)), signs(&expected));
                    found.sort();
                    wanted.sort();
                    assert_eq!(found, wanted, "{engine} {seed}");
                } else {
                    assert_eq!(read_final(&store), expected, "{engine} {seed}");
                }
            }
            let before = read_final(&store);
            optimize(&store, "default", "t", true).unwrap();
            assert_eq!(table_of(&store.snapshot()).parts.len(), 1);
            assert_eq!(read_final(&store), before, "{engine} {seed} after OPTIMIZE");
            assert_eq!(read_plain(&store), before, "{engine} {seed} after OPTIMIZE");
        }
    }
}

#[test]
fn sums_are_those_of_the_model() {
    for seed in 0..6 {
        let mut random = Random(seed + 91);
        let d = table("SummingMergeTree", &["v"], &["k"]);
        let store = store_with(d.clone());
        let mut sums: BTreeMap<u64, Option<i64>> = BTreeMap::new();
        for _ in 0..5 {
            let rows = random_rows(&mut random, 1 + seed * 30);
            for row in &rows {
                let sum = sums.entry(integer(&row[0]) as u64).or_default();
                if !row[1].is_null() {
                    *sum = Some(sum.unwrap_or(0) + integer(&row[1]));
                }
            }
            insert(&store, &d, &rows, random.below(2) == 0);
            merge_some(&store, &mut random);
            let found: BTreeMap<u64, i64> = read_final(&store)
                .iter()
                .map(|r| (integer(&r[0]) as u64, integer(&r[1])))
                .collect();
            let expected: BTreeMap<u64, i64> =
                sums.iter().filter_map(|(k, v)| Some((*k, (*v)?))).collect();
            assert_eq!(found, expected, "{seed}");
        }
    }
}

#[test]
fn a_row_and_its_cancellation_vanish() {
    let d = table("CollapsingMergeTree", &["s"], &["k"]);
    let store = store_with(d.clone());
    let row =
        |k: u64, v: i64, s: i64| vec![Value::UInt(k), Value::Int(v), Value::Int(s), Value::UInt(0)];
    insert(&store, &d, &[row(1, 10, 1), row(2, 20, 1)], true);
    insert(&store, &d, &[row(1, 10, -1), row(1, 11, 1), row(3, 5, -1)], true);
    assert_eq!(read_final(&store), vec![row(1, 11, 1), row(2, 20, 1)]);
    optimize(&store, "default", "t", true).unwrap();
    // The lone cancellation waits for its row.
    assert_eq!(read_plain(&store), vec![row(1, 11, 1), row(2, 20, 1), row(3, 5, -1)]);
    insert(&store, &d, &[row(2, 20, -1)], true);
    optimize(&store, "default", "t", true).unwrap();
    assert_eq!(read_final(&store), vec![row(1, 11, 1)]);
    let wrong = write_block(&store, &table_of(&store.snapshot()), &block(&d, &[row(9, 1, 7)]));
    assert!(matches!(wrong, Err(crate::Error::Expression { code: 117, .. })));
}

/// A key with far more rows than a merge holds at once.
#[test]
fn long_groups_are_shrunk_on_the_way() {
    for engine in ["ReplacingMergeTree", "SummingMergeTree", "CollapsingMergeTree"] {
        let arguments: &[&str] = match engine {
            "ReplacingMergeTree" => &[],
            "SummingMergeTree" => &["v"],
            _ => &["s"],
        };
        let d = table(engine, arguments, &["k"]);
        let store = store_with(d.clone());
        let mut sum = 0;
        for part in 0..4i64 {
            let rows: Vec<Row> = (0..500i64)
                .map(|i| {
                    sum += i % 7 - 3;
                    let sign = if i % 2 == 0 { 1 } else { -1 };
                    let v = Value::Int(i % 7 - 3 + if engine.starts_with('S') { 0 } else { part });
                    vec![Value::UInt((i == 499) as u64), v, Value::Int(sign), Value::UInt(0)]
                })
                .collect();
            insert(&store, &d, &rows, false);
        }
        let last = 498 % 7;
        let found = read_final(&store);
        optimize(&store, "default", "t", true).unwrap();
        assert_eq!(read_final(&store), found, "{engine}");
        match engine {
            "ReplacingMergeTree" => assert_eq!(found[0][1], Value::Int(last)),
            "SummingMergeTree" => {
                let total: i64 = found.iter().map(|r| integer(&r[1])).sum();
                assert_eq!(total, sum);
            }
            // 250 rows and 249 cancellations a part.
            _ => assert_eq!(found[0][0], Value::UInt(0)),
        }
    }
}
