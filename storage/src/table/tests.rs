//! Partition ids, the order of rows, and inserts.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::insert::write_block;
use super::key::partition_id;
use super::order::SortKeys;
use crate::block::{Block, Column};
use crate::clock::SystemClock;
use crate::disk::{Disk, MemoryDisk};
use crate::expression::ColumnNames;
use crate::log::{ColumnDefinition, Commit, Edit, State, Table, TableDefinition};
use crate::store::{Store, StoreConfig, StoreOptions};
use crate::types::{DataType, Value, parse_data_type};

/// A table definition for tests: columns as `(name, type)`.
pub(crate) fn definition(
    columns: &[(&str, &str)],
    sorting_key: &[&str],
    partition_key: &[&str],
) -> TableDefinition {
    let texts = |key: &[&str]| key.iter().map(|k| k.to_string()).collect::<Vec<_>>();
    TableDefinition {
        uuid: Uuid::from_u128(1),
        database: "default".into(),
        name: "t".into(),
        engine: "MergeTree".into(),
        columns: columns
            .iter()
            .enumerate()
            .map(|(i, (name, data_type))| ColumnDefinition {
                id: i as u32 + 1,
                name: name.to_string(),
                data_type: parse_data_type(data_type).unwrap(),
                default: None,
                comment: String::new(),
                codec: String::new(),
                ttl: String::new(),
            })
            .collect(),
        sorting_key: texts(sorting_key),
        primary_key: texts(sorting_key),
        partition_key: texts(partition_key),
        settings: BTreeMap::new(),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: Default::default(),
    }
}

/// A store in memory with one table.
pub(crate) fn store_with(definition: TableDefinition) -> Arc<Store> {
    store_on(Arc::new(MemoryDisk::new()), definition)
}

pub(crate) fn store_on(disk: Arc<dyn Disk>, definition: TableDefinition) -> Arc<Store> {
    let store = Store::open(StoreOptions {
        disk,
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(ColumnNames),
        config: StoreConfig {
            log_preallocate_bytes: 1 << 16,
            parallel: false,
            ..StoreConfig::default()
        },
    })
    .unwrap();
    let database = Edit::CreateDatabase {
        name: "default".into(),
        engine: "Atomic".into(),
        comment: String::new(),
    };
    let table = Edit::CreateTable { definition: Arc::new(definition) };
    let commit = Commit { preconditions: vec![], edits: vec![database, table] };
    store.commit(commit, vec![]).unwrap();
    store
}

pub(crate) fn table_of(state: &State) -> Arc<Table> {
    state.table("default", "t").unwrap().clone()
}

/// Writes and commits a block.
pub(crate) fn insert(store: &Arc<Store>, block: &Block) {
    let table = table_of(&store.snapshot());
    let parts = write_block(store, &table, block).unwrap();
    store.commit(Commit::default(), parts).unwrap();
}

/// A block of these rows.
pub(crate) fn block(definition: &TableDefinition, rows: &[Vec<Value>]) -> Block {
    Block::new(
        definition
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let values: Vec<Value> = rows.iter().map(|row| row[i].clone()).collect();
                let column = Column::from_values(c.data_type.clone(), &values).unwrap();
                (c.name.clone(), column)
            })
            .collect(),
    )
}

#[test]
fn partition_ids_are_clickhouse_s() {
    let case = |values: &[(&str, Value)]| {
        let values: Vec<(DataType, Value)> =
            values.iter().map(|(t, v)| (parse_data_type(t).unwrap(), v.clone())).collect();
        partition_id(&values)
    };
    assert_eq!(case(&[]), "all");
    assert_eq!(case(&[("UInt32", Value::UInt(202511))]), "202511");
    // 2025-11-25 is day 20417.
    assert_eq!(case(&[("Date", Value::UInt(20417))]), "20251125");
    assert_eq!(case(&[("Date", Value::UInt(0)), ("Int8", Value::Int(-3))]), "19700101--3");
    assert_eq!(case(&[("DateTime('UTC')", Value::UInt(86400))]), "86400");
    let hashed = case(&[("String", Value::string("de"))]);
    assert_eq!(hashed.len(), 32);
    assert!(hashed.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(hashed, case(&[("String", Value::string("fr"))]));
    assert_ne!(
        case(&[("String", Value::string("a")), ("String", Value::string("b"))]),
        case(&[("String", Value::string("ab")), ("String", Value::string(""))])
    );
}

/// Encoded keys must compare as the values do, for every type that can be a key.
#[test]
fn encoded_keys_compare_as_values_do() {
    let cases: Vec<(&str, Vec<Value>)> = vec![
        ("UInt8", vec![Value::UInt(0), Value::UInt(1), Value::UInt(255)]),
        ("Int32", vec![Value::Int(i32::MIN as i64), Value::Int(-1), Value::Int(0), Value::Int(7)]),
        ("UInt64", vec![Value::UInt(0), Value::UInt(1 << 40), Value::UInt(u64::MAX)]),
        ("Int128", vec![Value::Int128(i128::MIN), Value::Int128(-1), Value::Int128(i128::MAX)]),
        ("UInt128", vec![Value::UInt128(0), Value::UInt128(1 << 127), Value::UInt128(u128::MAX)]),
        ("Int256", vec![Value::Int(-5), Value::Int(0), Value::Int(5)]),
        (
            "Float64",
            vec![
                Value::Float(f64::NEG_INFINITY),
                Value::Float(-1.5),
                Value::Float(0.0),
                Value::Float(1e-300),
                Value::Float(f64::INFINITY),
                Value::Float(f64::NAN),
            ],
        ),
        ("Float32", vec![Value::Float(-1.0), Value::Float(0.5), Value::Float(f64::NAN)]),
        (
            "String",
            [&b""[..], b"\0", b"\0\0", b"\0\x01", b"a", b"a\0", b"a\0b", b"ab", b"\xFF"]
                .iter()
                .map(|s| Value::string(*s))
                .collect(),
        ),
        ("Nullable(UInt64)", vec![Value::UInt(0), Value::UInt(u64::MAX), Value::Null]),
        ("Nullable(String)", vec![Value::string(""), Value::string("z"), Value::Null]),
        (
            "Array(UInt8)",
            vec![
                Value::Array(vec![]),
                Value::Array(vec![Value::UInt(0)]),
                Value::Array(vec![Value::UInt(0), Value::UInt(0)]),
                Value::Array(vec![Value::UInt(1)]),
            ],
        ),
        (
            "Tuple(Int8, String)",
            vec![
                Value::Tuple(vec![Value::Int(-1), Value::string("z")]),
                Value::Tuple(vec![Value::Int(0), Value::string("")]),
                Value::Tuple(vec![Value::Int(0), Value::string("a")]),
            ],
        ),
        ("Decimal(18, 3)", vec![Value::Decimal(-1, 3), Value::Decimal(0, 3), Value::Decimal(5, 3)]),
    ];
    let all: Vec<Column> = cases
        .iter()
        .map(|(t, v)| Column::from_values(parse_data_type(t).unwrap(), v).unwrap())
        .collect();
    for column in &all {
        for other in &all {
            // Two key columns over all pairs of values; the values listed are ascending.
            let (n, m) = (column.len() as u32, other.len() as u32);
            let pairs: Vec<(u32, u32)> = (0..n).flat_map(|i| (0..m).map(move |j| (i, j))).collect();
            let left = column.take(&pairs.iter().map(|p| p.0).collect::<Vec<_>>().into());
            let right = other.take(&pairs.iter().map(|p| p.1).collect::<Vec<_>>().into());
            let keys = SortKeys::encode(&[left, right], pairs.len());
            for a in 0..pairs.len() {
                for b in 0..pairs.len() {
                    assert_eq!(
                        keys.compare(a, &keys, b),
                        pairs[a].cmp(&pairs[b]),
                        "({}, {}) rows {:?} {:?}",
                        column.data_type,
                        other.data_type,
                        pairs[a],
                        pairs[b]
                    );
                }
            }
            assert!(keys.is_sorted());
            let reversed: Vec<u32> = (0..pairs.len() as u32).rev().collect();
            let sorted = keys.sorted_rows(Some(reversed)).unwrap();
            assert!(sorted.is_sorted());
        }
    }
    let zeros =
        Column::from_values(DataType::Float64, &[Value::Float(0.0), Value::Float(-0.0)]).unwrap();
    let keys = SortKeys::encode(&[zeros], 2);
    assert_eq!(keys.compare(0, &keys, 1), Ordering::Equal);
}

#[test]
fn long_keys_of_one_length_sort_by_value() {
    let mut seed = 7u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    let types = ["UInt16", "Nullable(Int64)", "Int8", "UInt64", "FixedString(3)"];
    let columns: Vec<Column> = types
        .iter()
        .map(|name| {
            let data_type = parse_data_type(name).unwrap();
            let values: Vec<Value> = (0..3000)
                .map(|_| match *name {
                    "Nullable(Int64)" if next(3) == 0 => Value::Null,
                    "Nullable(Int64)" => Value::Int(next(3) as i64 - 1),
                    "Int8" => Value::Int(next(3) as i64 - 1),
                    "FixedString(3)" => Value::string(["abc", "abd", "zzz"][next(3) as usize]),
                    _ => Value::UInt(next(4)),
                })
                .collect();
            Column::from_values(data_type, &values).unwrap()
        })
        .collect();
    let sorted = SortKeys::encode(&columns, 3000).sorted_rows(None).unwrap();
    let key = |row: u32| columns.iter().map(|c| c.value(row as usize)).collect::<Vec<_>>();
    for pair in sorted.windows(2) {
        let order = key(pair[0]).cmp(&key(pair[1]));
        assert!(order == Ordering::Less || (order == Ordering::Equal && pair[0] < pair[1]));
    }
}

#[test]
fn digits_sort_as_comparing_does() {
    let mut random = crate::part::tests::Random(3);
    for bits in [0, 1, 9, 11, 12, 22, 33, 34, 64] {
        let values: Vec<Value> = (0..6000)
            .map(|_| Value::UInt(random.next().checked_shr(64 - bits).unwrap_or(0) ^ 0x5000_0000))
            .collect();
        let column = Column::from_values(DataType::UInt64, &values).unwrap();
        let rows: Vec<u32> = (0..6000).collect();
        let sorted = SortKeys::encode(&[column], 6000).sorted_rows(Some(rows.clone())).unwrap();
        let mut expected = rows;
        expected.sort_by_key(|row| values[*row as usize].clone());
        assert_eq!(sorted, expected, "{bits} bits");
    }
}

#[test]
fn a_block_is_split_by_partition_and_sorted() {
    let definition =
        definition(&[("p", "UInt8"), ("k", "String"), ("v", "UInt32")], &["k"], &["p"]);
    let store = store_with(definition.clone());
    let rows: Vec<Vec<Value>> = (0..1000u64)
        .map(|i| {
            let key = format!("{:03}", (i * 7919) % 500);
            vec![Value::UInt(i % 3), Value::string(key), Value::UInt(i)]
        })
        .collect();
    let table = table_of(&store.snapshot());
    let parts = write_block(&store, &table, &block(&definition, &rows)).unwrap();
    let ids: Vec<&str> = parts.iter().map(|p| p.meta.partition_id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    for part in &parts {
        let reader = crate::part::PartReader::open(store.disk(), &part.meta.path()).unwrap();
        let columns: Vec<Column> = (0..3).map(|i| reader.read_column(i, &[0]).unwrap()).collect();
        let got: Vec<Vec<Value>> = (0..reader.rows() as usize)
            .map(|row| columns.iter().map(|c| c.value(row)).collect())
            .collect();
        let mut expected: Vec<Vec<Value>> = rows
            .iter()
            .filter(|row| row[0].as_u64().unwrap().to_string() == part.meta.partition_id)
            .cloned()
            .collect();
        expected.sort_by(|a, b| a[1].cmp(&b[1]));
        assert_eq!(got, expected);
        assert_eq!(reader.partition_values(), [("p".to_string(), got[0][0].clone())]);
    }
    drop(parts);
    assert_eq!(store.disk().list("parts").unwrap(), Vec::<String>::new());
}

#[test]
fn too_many_partitions_and_wrong_columns_are_refused() {
    let definition = definition(&[("p", "UInt32")], &[], &["p"]);
    let store = store_with(definition.clone());
    let table = table_of(&store.snapshot());
    let rows = |n: u64| (0..n).map(|i| vec![Value::UInt(i)]).collect::<Vec<_>>();
    assert_eq!(write_block(&store, &table, &block(&definition, &rows(100))).unwrap().len(), 100);
    let error = write_block(&store, &table, &block(&definition, &rows(101))).unwrap_err();
    assert!(error.to_string().contains("Too many partitions for single INSERT block"), "{error}");
    let wrong = Block::new(vec![("p".into(), Column::empty(DataType::String))]);
    assert!(write_block(&store, &table, &wrong).unwrap().is_empty());
    let wrong = Block::new(vec![(
        "p".into(),
        Column::constant(DataType::String, &Value::string("x"), 1).unwrap(),
    )]);
    assert!(write_block(&store, &table, &wrong).unwrap_err().to_string().contains("is of type"));
    let lacking = Block::of_rows(3);
    assert!(write_block(&store, &table, &lacking).unwrap_err().to_string().contains("lacks"));
}
