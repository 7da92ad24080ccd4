//! Pruning as tables, and scans against the rows that went in.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::BooleanArray;

use super::*;
use crate::block::Block;
use crate::log::TableDefinition;
use crate::store::Store;
use crate::table::tests::{block, definition, insert, store_with, table_of};

fn condition(column: &str, ranges: &[(Bound<u64>, Bound<u64>)]) -> ColumnCondition {
    ColumnCondition {
        column: column.into(),
        ranges: ranges
            .iter()
            .map(|(l, u)| ValueRange { lower: l.map(Value::UInt), upper: u.map(Value::UInt) })
            .collect(),
        may_be_null: false,
    }
}

fn point(column: &str, value: u64) -> ColumnCondition {
    condition(column, &[(Bound::Included(value), Bound::Included(value))])
}

fn scan(store: &Arc<Store>, columns: &[&str], conditions: &[ColumnCondition]) -> Scan {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
    open(store, state, &table, &columns, conditions).unwrap()
}

pub(crate) fn read_all(scan: &Scan, columns: &[&str]) -> Vec<Vec<Value>> {
    let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
    let mut rows = vec![];
    for i in 0..scan.morsel_count() {
        let block = scan.read(i, &columns, None).unwrap();
        assert_eq!(block.rows(), scan.morsel_rows(i));
        rows.extend(
            (0..block.rows()).map(|r| block.columns.iter().map(|c| c.value(r)).collect::<Vec<_>>()),
        );
    }
    rows
}

/// Two parts of partitions 0 and 1; k ascends 0..10000 in steps within each; granules of 100 rows.
fn example() -> (Arc<Store>, TableDefinition) {
    let mut d = definition(
        &[("p", "UInt8"), ("k", "UInt32"), ("v", "UInt64"), ("n", "Nullable(UInt8)")],
        &["k"],
        &["p"],
    );
    d.settings.insert("index_granularity".into(), "100".into());
    let store = store_with(d.clone());
    let rows: Vec<Vec<Value>> = (0..2000u64)
        .map(|i| {
            let null = if i / 200 == 3 { Value::Null } else { Value::UInt(i % 7) };
            vec![Value::UInt(i % 2), Value::UInt(i), Value::UInt(5000 - i), null]
        })
        .collect();
    insert(&store, &block(&d, &rows));
    (store, d)
}

#[test]
fn pruning_selects_what_may_match() {
    use Bound::*;
    let (store, _) = example();
    let null = ColumnCondition { column: "n".into(), ranges: vec![], may_be_null: true };
    // Conditions, parts and granules left, of 2 parts and 20 granules.
    let cases: Vec<(Vec<ColumnCondition>, usize, usize)> = vec![
        (vec![], 2, 20),
        (vec![point("p", 0)], 1, 10),
        (vec![point("p", 2)], 0, 0),
        (vec![point("k", 0)], 1, 1),
        (vec![point("k", 1)], 2, 2),
        (vec![point("k", 5000)], 0, 0),
        (vec![condition("k", &[(Included(200), Excluded(400))])], 2, 2),
        (vec![condition("k", &[(Included(200), Included(400))])], 2, 3),
        (vec![condition("k", &[(Excluded(1797), Unbounded)])], 2, 4),
        (vec![condition("k", &[(Unbounded, Excluded(0))])], 0, 0),
        (vec![point("k", 3), point("p", 0)], 1, 1),
        (vec![condition("k", &[(Included(0), Included(10)), (Included(1990), Unbounded)])], 2, 4),
        // v falls as k rises, known from minima and maxima only.
        (vec![condition("v", &[(Unbounded, Excluded(3200))])], 2, 2),
        (vec![point("n", 3)], 2, 18),
        (vec![null], 2, 2),
        (vec![condition("n", &[])], 0, 0),
        // Columns that nothing is known about do not matter.
        (vec![point("unknown", 3)], 2, 20),
    ];
    for (conditions, parts, granules) in cases {
        let report = scan(&store, &["k"], &conditions).report;
        assert_eq!(
            (report.parts_selected, report.granules_selected),
            (parts, granules),
            "{conditions:?}"
        );
        assert_eq!((report.parts_total, report.granules_total), (2, 20));
    }
}

#[test]
fn the_report_names_stages_and_keys() {
    let (store, _) = example();
    let report = scan(&store, &["k"], &[point("k", 4), point("p", 0)]).report;
    assert_eq!(report.primary_key, ["k"]);
    let stages: Vec<(PruningStage, usize, usize)> = report
        .steps
        .iter()
        .map(|s| (s.stage.clone(), s.granules_before, s.granules_after))
        .collect();
    assert_eq!(
        stages,
        [
            (PruningStage::MinMax, 20, 10),
            (PruningStage::Partition, 10, 10),
            (PruningStage::PrimaryKey, 10, 1),
            (PruningStage::GranuleMinMax, 1, 1),
        ]
    );
}

#[test]
fn a_second_key_column_prunes_where_the_first_stands_still() {
    let mut d = definition(&[("a", "String"), ("b", "UInt32")], &["a", "b"], &[]);
    d.settings.insert("index_granularity".into(), "10".into());
    let store = store_with(d.clone());
    let rows: Vec<Vec<Value>> = (0..200u64)
        .map(|i| vec![Value::string(format!("key{}", i / 100)), Value::UInt(i % 100)])
        .collect();
    insert(&store, &block(&d, &rows));
    let on_a = ColumnCondition {
        column: "a".into(),
        ranges: vec![ValueRange::point(Value::string("key1"))],
        may_be_null: false,
    };
    let report = scan(&store, &["a"], &[on_a.clone(), point("b", 55)]).report;
    assert_eq!(report.granules_selected, 1);
    let report = scan(&store, &["a"], &[on_a]).report;
    assert_eq!(report.granules_selected, 10);
}

#[test]
fn values_of_other_kinds_prune_nothing_wrongly() {
    let (store, _) = example();
    let case = |value: Value| {
        let condition = ColumnCondition {
            column: "k".into(),
            ranges: vec![ValueRange { lower: Bound::Excluded(value), upper: Bound::Unbounded }],
            may_be_null: false,
        };
        scan(&store, &["k"], &[condition]).report.granules_selected
    };
    assert_eq!(case(Value::string("x")), 20);
    assert_eq!(case(Value::Float(1799.5)), 2);
    assert_eq!(case(Value::Int(-3)), 20);
}

#[test]
fn a_scan_gives_back_the_rows() {
    let (store, _) = example();
    let all = scan(&store, &["k", "v"], &[]);
    let mut rows = read_all(&all, &["v", "k", "n"]);
    assert_eq!(rows.len(), 2000);
    rows.sort_by_key(|r| r[1].as_u64());
    assert!(
        rows.iter().enumerate().all(|(i, r)| {
            r[1] == Value::UInt(i as u64) && r[0] == Value::UInt(5000 - i as u64)
        })
    );
    assert_eq!(rows.iter().filter(|r| r[2].is_null()).count(), 200);
    assert_eq!(all.read(0, &[], None).unwrap().rows(), 1000);
    let state = store.snapshot();
    let missing = open(&store, state.clone(), &table_of(&state), &["x".into()], &[]);
    assert!(missing.is_err());
}

#[test]
fn a_mask_keeps_rows_and_skips_granules() {
    let (store, _) = example();
    let scan = scan(&store, &["k"], &[point("p", 1)]);
    let read = |mask: Vec<bool>| -> Block {
        scan.read(0, &["k".into()], Some(&BooleanArray::from(mask))).unwrap()
    };
    let wanted = |row: usize| row == 3 || (500..520).contains(&row) || row == 999;
    let got = read((0..1000).map(wanted).collect());
    let keys: Vec<u64> =
        (0..got.rows()).map(|r| got.columns[0].value(r).as_u64().unwrap()).collect();
    let expected: Vec<u64> = (0..1000).filter(|r| wanted(*r)).map(|r| r as u64 * 2 + 1).collect();
    assert_eq!(keys, expected);
    assert_eq!(read(vec![true; 1000]).rows(), 1000);
    assert_eq!(read(vec![false; 1000]).rows(), 0);
    let short = BooleanArray::from(vec![true; 3]);
    assert!(scan.read(0, &["k".into()], Some(&short)).is_err());
    let count = BooleanArray::from((0..1000).map(|r| r < 7).collect::<Vec<_>>());
    assert_eq!(scan.read(0, &[], Some(&count)).unwrap().rows(), 7);
}

#[test]
fn columns_added_later_read_as_defaults() {
    let (store, d) = example();
    let mut altered = d.clone();
    let mut added = d.columns[2].clone();
    (added.id, added.name) = (77, "late".into());
    altered.columns.push(added);
    // A rename touches no part.
    altered.columns[1].name = "key".into();
    altered.sorting_key = vec!["key".into()];
    let edit = crate::log::Edit::AlterTable { definition: Arc::new(altered) };
    let commit = crate::log::Commit { preconditions: vec![], edits: vec![edit] };
    store.commit(commit, vec![]).unwrap();
    let scan = scan(&store, &["key", "late"], &[point("key", 8)]);
    assert_eq!(scan.report.granules_selected, 2);
    let rows = read_all(&scan, &["key", "late"]);
    assert_eq!(rows[1], [Value::UInt(2), Value::UInt(0)]);
    assert_eq!(rows.len(), 200);
}
