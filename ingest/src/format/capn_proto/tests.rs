//! Messages of our own are read again; fields lie where the format's compiler puts them; damaged messages
//! are refused without harm.

use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::schema::{Schema, Type};
use crate::format::{FormatOptions, InputColumn, ParseError, reader, writer};

fn options(settings: &[(&str, &str)]) -> FormatOptions {
    let mut options = FormatOptions { settings: Default::default(), time_zone: TimeZone::UTC };
    settings.iter().for_each(|(name, value)| options.settings.set(*name, *value));
    options
}

fn write(block: &Block, options: &FormatOptions) -> Vec<u8> {
    let (mut out, mut w) = (vec![], writer("CapnProto", options).unwrap());
    w.prefix(&block.schema(), &mut out).unwrap();
    w.block(block, &mut out).unwrap();
    w.suffix(&Default::default(), &mut out).unwrap();
    out
}

fn read(
    bytes: &[u8],
    schema: &[(String, DataType)],
    options: &FormatOptions,
) -> Result<Block, ParseError> {
    let column =
        |(name, t): &(String, DataType)| InputColumn { name: name.clone(), data_type: t.clone() };
    let columns: Vec<InputColumn> = schema.iter().map(column).collect();
    let mut r = reader("CapnProto", &columns, options).unwrap();
    r.read_message(bytes)?;
    let parsed = r.take().unwrap();
    let names = schema.iter().map(|(n, _)| n.clone());
    Ok(Block::new(names.zip(parsed.columns).collect()))
}

fn block() -> Block {
    let text = |n: u64| Value::string(format!("text {n}"));
    let kinds: Vec<(&str, &str, Box<dyn Fn(u64) -> Value>)> = vec![
        ("b", "Bool", Box::new(|n| Value::Bool(n % 2 == 1))),
        ("i8", "Int8", Box::new(|n| Value::Int(n as i64 - 5))),
        ("u64", "UInt64", Box::new(|n| Value::UInt(u64::MAX - n))),
        ("i16", "Int16", Box::new(|n| Value::Int(-(n as i64) * 100))),
        ("f", "Float32", Box::new(|n| Value::Float(n as f64 / 2.0))),
        ("s", "String", Box::new(text)),
        ("d", "Decimal(38, 3)", Box::new(|n| Value::Decimal(n as i128 * -1000, 3))),
        ("t", "DateTime64(3, 'UTC')", Box::new(|n| Value::Int(n as i64 * 12_345))),
        (
            "n",
            "Nullable(UInt8)",
            Box::new(|n| if n % 2 == 0 { Value::Null } else { Value::UInt(n) }),
        ),
        (
            "e",
            "Enum8('a' = -3, 'b' = 5)",
            Box::new(|n| Value::Int(if n % 2 == 0 { -3 } else { 5 })),
        ),
        ("l", "Array(UInt8)", Box::new(|n| Value::Array((0..n).map(Value::UInt).collect()))),
        (
            "lb",
            "Array(Bool)",
            Box::new(|n| Value::Array((0..n).map(|i| Value::Bool(i % 3 == 0)).collect())),
        ),
        (
            "ls",
            "Array(Nullable(String))",
            Box::new(move |n| {
                Value::Array(
                    (0..n % 4).map(|i| if i == 1 { Value::Null } else { text(i) }).collect(),
                )
            }),
        ),
        (
            "ll",
            "Array(Array(String))",
            Box::new(move |n| {
                Value::Array(vec![Value::Array(vec![text(n)]), Value::Array(vec![])])
            }),
        ),
        (
            "m",
            "Map(String, UInt32)",
            Box::new(move |n| Value::Map((0..n % 3).map(|i| (text(i), Value::UInt(i))).collect())),
        ),
        (
            "tu",
            "Tuple(a UInt8, b String)",
            Box::new(move |n| Value::Tuple(vec![Value::UInt(n), text(n)])),
        ),
        ("z.x", "UInt16", Box::new(Value::UInt)),
        ("z.y_w", "String", Box::new(text)),
        ("z.y_v", "UUID", Box::new(|n| Value::String(vec![n as u8 + 1; 16]))),
    ];
    let mut block = Block::of_rows(9);
    for (name, kind, value) in kinds {
        let values: Vec<Value> = (0..9).map(value).collect();
        block.push(name, Column::from_values(parse_data_type(kind).unwrap(), &values).unwrap());
    }
    block
}

#[test]
fn messages_are_read_again() {
    let block = block();
    let again = read(&write(&block, &options(&[])), &block.schema(), &options(&[])).unwrap();
    for (a, b) in block.columns.iter().zip(&again.columns) {
        for row in 0..block.rows() {
            assert_eq!(a.value(row), b.value(row), "{} {row}", a.data_type);
        }
    }
}

#[test]
fn fields_lie_where_the_compiler_puts_them() {
    let text = "@0xdeadbeefdeadbeef; struct A { a @0 :Bool; b @1 :UInt32; c @2 :UInt8; d @3 :UInt64; \
                e @4 :Text; f @5 :UInt16 = 7; g @6 :Bool; u :union { x @7 :UInt8; y @8 :UInt32; z @9 :Text; \
                w :group { p @10 :UInt64; q @11 :Void; } } l @12 :List(B); enum E { one @0; two @1; } k @13 :E; \
                struct B { v @0 :Int64; union { m @1 :Text; n @2 :Data; } } }";
    let schema = Schema::of_text(text, "A").unwrap();
    let root = &schema.nodes[schema.root];
    let offset = |name: &str| root.fields.iter().find(|f| f.name == name).unwrap().offset;
    // One bit, then the second half of its word, the second byte, a new word.
    assert_eq!([offset("a"), offset("b"), offset("c"), offset("d")], [0, 1, 1, 1]);
    assert_eq!([offset("e"), offset("f"), offset("g")], [0, 1, 1]);
    let u = root.fields.iter().find(|f| f.name == "u").unwrap();
    let Type::Group(u) = u.data_type else { panic!("a group") };
    let union = &schema.nodes[u].fields;
    assert_eq!(union.len(), 4);
    assert!(union.iter().all(|f| f.discriminant.is_some()));
    let values: Vec<u16> = ["x", "y", "z", "w"]
        .map(|n| union.iter().find(|f| f.name == n).unwrap().discriminant.unwrap().value)
        .to_vec();
    assert_eq!(values, [0, 1, 2, 3]);
    assert!(Schema::of_text("struct A { a @0 :Nothing; }", "A").is_err());
    assert!(Schema::of_text("struct A { a @1 :UInt8; }", "A").is_err());
    assert!(Schema::of_text("struct A { a @0 :UInt8; ", "A").is_err());
    assert!(Schema::of_text("using X = import \"x.capnp\"; struct A {}", "A").is_err());
    assert!(Schema::of_text(text, "C").is_err());
}

#[test]
fn damaged_messages_are_refused_or_read() {
    let block = block();
    let good = write(&block, &options(&[]));
    let schema = block.schema();
    let mut state = 5u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for cut in (0..good.len()).step_by(31) {
        let _ = read(&good[..cut], &schema, &options(&[]));
    }
    for _ in 0..3_000 {
        let mut damaged = good.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() as usize % damaged.len();
            damaged[at] = next() as u8;
        }
        let _ = read(&damaged, &schema, &options(&[]));
    }
}
