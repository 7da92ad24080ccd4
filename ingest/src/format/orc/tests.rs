//! Files of our own are read again; damaged ones are refused without harm.

use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::*;
use crate::format::{FormatOptions, InputColumn, reader, writer};

fn options(settings: &[(&str, &str)]) -> FormatOptions {
    let mut options = FormatOptions { settings: Default::default(), time_zone: TimeZone::UTC };
    settings.iter().for_each(|(name, value)| options.settings.set(*name, *value));
    options
}

/// A column of every kind, with NULL where it can be.
fn block(rows: u64) -> Block {
    let list = |n: u64| Value::Array((0..n % 4).map(Value::UInt).collect());
    let text = |n: u64| Value::string(format!("text {}", n % 7));
    let kinds: Vec<(&str, fn(u64) -> Value)> = vec![
        ("UInt8", |n| Value::UInt(n % 200)),
        ("Int16", |n| Value::Int(n as i64 % 300 - 150)),
        ("UInt32", |n| Value::UInt(n.wrapping_mul(77_777) & 0xffff_ffff)),
        ("Int64", |n| Value::Int((n as i64).wrapping_mul(0x1234_5678_9abc_def1))),
        ("UInt128", |n| Value::UInt128(n as u128 * 3)),
        ("Float32", |n| Value::Float(n as f64 / 2.0)),
        ("Float64", |n| Value::Float(n as f64 / 3.0)),
        ("Bool", |n| Value::Bool(n % 3 == 0)),
        ("Date", |n| Value::UInt(n % 60_000)),
        ("DateTime64(3, 'UTC')", |n| Value::Int(n as i64 * 987_654 - 5_000_000)),
        ("Decimal(9, 2)", |n| Value::Decimal(n as i128 - 50, 2)),
        ("Decimal(38, 5)", |n| Value::Decimal(n as i128 * 10i128.pow(20), 5)),
        ("Nullable(String)", |n| match n % 3 {
            0 => Value::Null,
            _ => Value::string(n.to_string()),
        }),
        ("Nullable(Int32)", |n| if n % 5 == 0 { Value::Null } else { Value::Int(n as i64) }),
        ("FixedString(3)", |n| Value::string(format!("{:03}", n % 1000))),
        ("IPv6", |n| Value::String(vec![n as u8; 16])),
    ];
    let mut block = Block::of_rows(rows as usize);
    let mut add = |kind: &str, value: &dyn Fn(u64) -> Value| {
        let values: Vec<Value> = (0..rows).map(value).collect();
        let data_type = parse_data_type(kind).unwrap();
        block.push(kind, Column::from_values(data_type, &values).unwrap());
    };
    kinds.iter().for_each(|(kind, value)| add(kind, value));
    add("String", &text);
    add("Array(UInt64)", &list);
    add("Array(Array(UInt64))", &|n| Value::Array(vec![list(n), list(n + 1)]));
    add("Map(String, UInt8)", &|n| Value::Map(vec![(text(n), Value::UInt(n % 9))]));
    add("Tuple(a UInt8, b Nullable(String))", &|n| {
        Value::Tuple(vec![Value::UInt(n % 5), if n % 2 == 0 { Value::Null } else { text(n) }])
    });
    block
}

fn write(block: &Block, options: &FormatOptions) -> Vec<u8> {
    let (mut out, mut w) = (vec![], writer("ORC", options).unwrap());
    w.prefix(&block.schema(), &mut out).unwrap();
    w.block(block, &mut out).unwrap();
    w.suffix(&Default::default(), &mut out).unwrap();
    out
}

fn read(file: &[u8], schema: &[(String, DataType)]) -> Read<Block> {
    let column =
        |(name, t): &(String, DataType)| InputColumn { name: name.clone(), data_type: t.clone() };
    let columns: Vec<InputColumn> = schema.iter().map(column).collect();
    let mut r = reader("ORC", &columns, &options(&[])).unwrap();
    r.read_message(file)?;
    let parsed = r.take().unwrap();
    let names = schema.iter().map(|(n, _)| n.clone());
    Ok(Block::new(names.zip(parsed.columns).collect()))
}

#[test]
fn files_are_read_again() {
    for rows in [1, 3, 700, 3000] {
        let block = block(rows);
        for codec in ["none", "zlib", "snappy", "lz4", "zstd"] {
            for share in ["0", "0.9"] {
                let options = options(&[
                    ("output_format_orc_compression_method", codec),
                    ("output_format_orc_dictionary_key_size_threshold", share),
                    ("output_format_orc_compression_block_size", "1000"),
                ]);
                let file = write(&block, &options);
                let again = read(&file, &block.schema()).unwrap();
                assert_eq!(again.rows(), block.rows());
                for (a, b) in block.columns.iter().zip(&again.columns) {
                    for row in 0..block.rows() {
                        assert_eq!(a.value(row), b.value(row), "{} {row} {codec}", a.data_type);
                    }
                }
            }
        }
    }
}

#[test]
fn inferred_columns() {
    let block = block(50);
    let share = options(&[("output_format_orc_dictionary_key_size_threshold", "1")]);
    for (written, text) in
        [(options(&[]), "Nullable(String)"), (share, "LowCardinality(Nullable(String))")]
    {
        let columns = infer(&write(&block, &written), &options(&[])).unwrap();
        let found = |name: &str| {
            columns.iter().find(|c| c.name == name).map(|c| c.data_type.to_string()).unwrap()
        };
        assert_eq!(found("UInt8"), "Nullable(Int8)");
        assert_eq!(found("Array(Array(UInt64))"), "Array(Array(Nullable(Int64)))");
        assert_eq!(found("DateTime64(3, 'UTC')"), "Nullable(DateTime64(9))");
        assert_eq!(found("String"), text);
    }
}

#[test]
fn damaged_files_are_refused_or_read() {
    let block = block(300);
    let schema = block.schema();
    let mut state = 11u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for codec in ["none", "zlib", "snappy", "lz4", "zstd"] {
        let file = write(&block, &options(&[("output_format_orc_compression_method", codec)]));
        for cut in (0..file.len()).step_by(97) {
            let _ = read(&file[..cut], &schema);
        }
        for _ in 0..400 {
            let mut damaged = file.clone();
            for _ in 0..1 + next() % 4 {
                let at = match next() % 3 {
                    // The directory at the end is looked at more closely than its share of bytes.
                    0 => damaged.len() - 1 - next() as usize % damaged.len().min(600),
                    _ => next() as usize % damaged.len(),
                };
                damaged[at] = next() as u8;
            }
            let _ = read(&damaged, &schema);
            let _ = infer(&damaged, &options(&[]));
        }
    }
}
