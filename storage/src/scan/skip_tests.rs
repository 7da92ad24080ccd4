//! Skip indexes against a full look: whatever the index and the condition, pruning loses no row that
//! matches; and where values are sparse it does leave granules out.

use std::ops::Bound;
use std::sync::Arc;

use super::*;
use crate::log::{IndexDefinition, TableDefinition};
use crate::store::Store;
use crate::table::tests::{block, definition, insert, store_with, table_of};
use crate::types::Value;

const TYPES: &[&str] = &[
    "minmax",
    "set(0)",
    "set(5)",
    "bloom_filter(0.01)",
    "ngrambf_v1(3, 64, 2, 0)",
    "tokenbf_v1(64, 2, 7)",
];

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn text(n: u64) -> Vec<u8> {
    format!("word{} of {}", n % 40, n / 3).into_bytes()
}

/// One part of 3000 rows with every index on every column it suits.
fn example(seed: u64) -> (Arc<Store>, TableDefinition, Vec<Vec<Value>>) {
    let mut d = definition(
        &[("k", "UInt32"), ("v", "Nullable(Int32)"), ("s", "String"), ("a", "Array(String)")],
        &["k"],
        &[],
    );
    d.settings.insert("index_granularity".into(), "50".into());
    for (i, index_type) in TYPES.iter().enumerate() {
        for column in ["v", "s", "a"] {
            let textual = index_type.contains("bf_v1");
            if (textual && column == "v") || (column == "a" && i < 3) {
                continue;
            }
            d.clauses.indexes.push(IndexDefinition {
                name: format!("{column}{i}"),
                expression: column.into(),
                index_type: index_type.to_string(),
                granularity: 1 + i as u64 % 3,
            });
        }
    }
    let store = store_with(d.clone());
    let mut state = seed;
    let rows: Vec<Vec<Value>> = (0..3000u64)
        .map(|i| {
            let r = random(&mut state);
            let v = if r.is_multiple_of(11) {
                Value::Null
            } else {
                Value::Int((i / 7 + r % 3) as i64 - 50)
            };
            let items = (0..r % 3).map(|j| Value::String(text(i / 20 + j))).collect();
            vec![Value::UInt(i), v, Value::String(text(i / 5)), Value::Array(items)]
        })
        .collect();
    insert(&store, &block(&d, &rows));
    (store, d, rows)
}

fn random_predicate(state: &mut u64, depth: usize) -> Predicate {
    let r = random(state);
    let n = random(state) % 700;
    if depth > 0 && r.is_multiple_of(3) {
        let parts = (0..2).map(|_| random_predicate(state, depth - 1)).collect();
        return if r.is_multiple_of(2) { Predicate::any(parts) } else { Predicate::all(parts) };
    }
    let number = Value::Int(n as i64 - 60);
    match r % 7 {
        0 => Predicate::Ranges(ColumnCondition {
            column: "v".into(),
            ranges: vec![ValueRange::point(number)],
            may_be_null: random(state).is_multiple_of(4),
        }),
        1 => Predicate::Ranges(ColumnCondition {
            column: "v".into(),
            ranges: vec![ValueRange { lower: Bound::Excluded(number), upper: Bound::Unbounded }],
            may_be_null: false,
        }),
        2 => Predicate::Ranges(ColumnCondition {
            column: "s".into(),
            ranges: vec![
                ValueRange::point(Value::String(text(n))),
                ValueRange::point(Value::String(text(n / 2))),
            ],
            may_be_null: false,
        }),
        3 => {
            Predicate::Contains { column: "s".into(), pieces: vec![Piece::Word(b"word7".to_vec())] }
        }
        4 => Predicate::Contains {
            column: "s".into(),
            pieces: vec![Piece::Bytes {
                bytes: format!("of {}", n / 3).into_bytes(),
                from_start: false,
                to_end: random(state).is_multiple_of(2),
            }],
        },
        5 => Predicate::Holds {
            column: "a".into(),
            values: vec![Value::String(text(n / 4)), Value::String(text(n / 4 + 1))],
            all: random(state).is_multiple_of(2),
        },
        _ => Predicate::Ranges(ColumnCondition {
            column: "k".into(),
            ranges: vec![ValueRange {
                lower: Bound::Included(Value::UInt(n * 4)),
                upper: Bound::Excluded(Value::UInt(n * 4 + 90)),
            }],
            may_be_null: false,
        }),
    }
}

/// The predicate by looking at the row.
fn holds(predicate: &Predicate, row: &[Value]) -> bool {
    let value = |column: &str| match column {
        "k" => &row[0],
        "v" => &row[1],
        "s" => &row[2],
        _ => &row[3],
    };
    let word = |b: &u8| b.is_ascii_alphanumeric();
    match predicate {
        Predicate::Any => true,
        Predicate::And(parts) => parts.iter().all(|p| holds(p, row)),
        Predicate::Or(parts) => parts.iter().any(|p| holds(p, row)),
        Predicate::Ranges(c) => match value(&c.column) {
            Value::Null => c.may_be_null,
            v => c.ranges.iter().any(|r| {
                let above = match &r.lower {
                    Bound::Unbounded => true,
                    Bound::Included(b) => v >= b,
                    Bound::Excluded(b) => v > b,
                };
                let below = match &r.upper {
                    Bound::Unbounded => true,
                    Bound::Included(b) => v <= b,
                    Bound::Excluded(b) => v < b,
                };
                above && below
            }),
        },
        Predicate::Contains { column, pieces } => {
            let text = value(column).as_bytes().unwrap_or_default();
            pieces.iter().all(|piece| match piece {
                Piece::Word(w) => text.split(|b| !word(b)).any(|t| t == w),
                Piece::Bytes { bytes, from_start, to_end } => {
                    text.windows(bytes.len()).any(|t| t == bytes)
                        && (!from_start || text.starts_with(bytes))
                        && (!to_end || text.ends_with(bytes))
                }
            })
        }
        Predicate::Holds { column, values, all } => {
            let Value::Array(items) = value(column) else { return false };
            match all {
                true => values.iter().all(|v| items.contains(v)),
                false => values.iter().any(|v| items.contains(v)),
            }
        }
    }
}

#[test]
fn pruning_loses_no_row_that_matches() {
    let mut pruned = 0;
    for seed in [3, 17] {
        let (store, _, rows) = example(seed);
        let mut state = seed * 1000 + 1;
        for _ in 0..300 {
            let predicate = random_predicate(&mut state, 2);
            let snapshot = store.snapshot();
            let table = table_of(&snapshot);
            let columns = ["k".to_string()];
            let options = ScanOptions::default();
            let scan =
                open_where(&store, snapshot, &table, &columns, &predicate, &options).unwrap();
            let kept: std::collections::HashSet<Value> =
                tests::read_all(&scan, &["k"]).into_iter().map(|mut r| r.remove(0)).collect();
            for row in rows.iter().filter(|row| holds(&predicate, row)) {
                assert!(kept.contains(&row[0]), "{predicate:?} lost {row:?}");
            }
            pruned += scan.report.granules_total - scan.report.granules_selected;
        }
    }
    assert!(pruned > 10_000, "only {pruned} granules were left out");
}

#[test]
fn each_index_leaves_granules_out() {
    let (store, d, _) = example(5);
    let point = |column: &str, value: Value| {
        let ranges = vec![ValueRange::point(value)];
        Predicate::Ranges(ColumnCondition { column: column.into(), ranges, may_be_null: false })
    };
    let word =
        Predicate::Contains { column: "s".into(), pieces: vec![Piece::Word(b"117".to_vec())] };
    let item = |v| Predicate::Holds { column: "a".into(), values: vec![v], all: true };
    let cases: Vec<(&str, Predicate)> = vec![
        ("v0", point("v", Value::Int(100))),
        ("v1", point("v", Value::Int(100))),
        ("v3", point("v", Value::Int(100))),
        ("s3", point("s", Value::String(text(200)))),
        ("s4", point("s", Value::String(text(200)))),
        ("s5", word),
        ("a3", item(Value::String(text(70)))),
        ("a4", item(Value::String(text(70)))),
    ];
    for (name, predicate) in cases {
        let snapshot = store.snapshot();
        let table = table_of(&snapshot);
        let ignored_indexes: Vec<String> =
            d.clauses.indexes.iter().map(|i| i.name.clone()).filter(|n| n != name).collect();
        let options = ScanOptions { ignored_indexes, ..ScanOptions::default() };
        let scan = open_where(&store, snapshot, &table, &[], &predicate, &options).unwrap();
        let step = scan.report.steps.last().unwrap();
        assert!(
            matches!(&step.stage, PruningStage::Skip { name: found, .. } if found == name),
            "{name}: {step:?}"
        );
        assert!(step.granules_after > 0, "{name}: {step:?}");
        let selective = step.granules_after * 3 < step.granules_before;
        assert!(selective || step.granules_before < 10, "{name}: {step:?}");
    }
}
