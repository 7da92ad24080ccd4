//! Conformance of the file format: every type through every encoding, and damage of every byte.

use std::sync::Arc;

use arrow_array::{Array as _, BinaryArray};

use super::decode::{Scratch, Sink};
use super::encode::{Encoder, decoded_bytes, tag};
use super::wire::Cursor;
use super::*;
use crate::block::{Column, default_value};
use crate::disk::MemoryDisk;
use crate::error::Error;
use crate::log::{PartId, part_path};
use crate::types::{DataType, Value, parse_data_type};

/// A small repeatable source of numbers (xorshift).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
}

pub(super) const TYPES: &[&str] = &[
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt128",
    "UInt256",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Int128",
    "Int256",
    "Float32",
    "Float64",
    "Bool",
    "String",
    "FixedString(3)",
    "FixedString(40)",
    "Date",
    "Date32",
    "DateTime('UTC')",
    "DateTime64(3)",
    "Enum8('a' = -1, 'b' = 100)",
    "Enum16('x' = -1000, 'y' = 1000)",
    "UUID",
    "IPv4",
    "IPv6",
    "Decimal(9, 2)",
    "Decimal(18, 4)",
    "Decimal(38, 10)",
    "Decimal(76, 3)",
    "LowCardinality(String)",
    "LowCardinality(Nullable(String))",
    "Nullable(UInt32)",
    "Nullable(Float64)",
    "Nullable(String)",
    "Nullable(UUID)",
    "Nullable(Decimal(38, 2))",
    "Array(UInt16)",
    "Array(Nullable(String))",
    "Array(Array(String))",
    "Tuple(a UInt8, b Nullable(String))",
    "Map(String, UInt64)",
    "Array(Tuple(String, Array(Int32)))",
    "SimpleAggregateFunction(sum, UInt64)",
];

/// A value of the type; `spread` says how many different ones there are about.
fn value(data_type: &DataType, spread: u64, random: &mut Random) -> Value {
    use DataType::*;
    let pick = random.below(spread.max(1));
    // Well spread, but the same for the same pick.
    let word = if spread > 1000 { random.next() } else { Random(pick + 1).next() >> (pick % 60) };
    let text = || {
        let length = (word % 40) as usize;
        let mut text: Vec<u8> = (0..length).map(|i| (word >> (i % 56)) as u8).collect();
        text.truncate(if word.is_multiple_of(7) { 0 } else { length });
        text
    };
    match data_type {
        Nullable(_) if random.below(5) == 0 => Value::Null,
        Nullable(t) | LowCardinality(t) => value(t, spread, random),
        SimpleAggregateFunction { argument, .. } => value(argument, spread, random),
        Bool => Value::UInt(word % 2),
        UInt8 => Value::UInt(word as u8 as u64),
        UInt16 | Date => Value::UInt(word as u16 as u64),
        UInt32 | DateTime(_) | Ipv4 => Value::UInt(word as u32 as u64),
        UInt64 => Value::UInt(word),
        UInt128 => Value::UInt128((word as u128) << (word % 60)),
        Int8 => Value::Int(word as i8 as i64),
        Int16 => Value::Int(word as i16 as i64),
        Int32 | Date32 => Value::Int(word as i32 as i64),
        Int64 | DateTime64(..) => Value::Int(word as i64),
        Int128 => Value::Int128(((word as i64) as i128) << (word % 60)),
        UInt256 => Value::UInt(word),
        Int256 => Value::Int(word as i64),
        Enum8(_) => Value::Int([-1, 100][word as usize % 2]),
        Enum16(_) => Value::Int([-1000, 1000][word as usize % 2]),
        Float32 | Float64 => match word % 9 {
            0 => Value::Float(f64::NAN),
            1 => Value::Float(-0.0),
            2 => Value::Float(f64::NEG_INFINITY),
            _ => Value::Float((word as i32 as f64) / 16.0),
        },
        Decimal { precision, scale } if *precision <= 38 => {
            Value::Decimal((word as i64 % 1_000_000_000) as i128, *scale)
        }
        Decimal { .. } => Value::Int(word as i64),
        String => Value::String(text()),
        FixedString(n) => {
            let mut bytes = text();
            bytes.resize(*n, 0);
            Value::String(bytes)
        }
        Uuid | Ipv6 => {
            let mut bytes = word.to_be_bytes().to_vec();
            bytes.extend_from_slice(&word.to_le_bytes());
            Value::String(bytes)
        }
        Array(t) => {
            let n = random.below(4);
            Value::Array((0..n).map(|_| value(t, spread, random)).collect())
        }
        Tuple(elements) => {
            Value::Tuple(elements.iter().map(|e| value(&e.data_type, spread, random)).collect())
        }
        Map(k, v) => {
            let n = random.below(3);
            Value::Map(
                (0..n).map(|_| (value(k, spread, random), value(v, spread, random))).collect(),
            )
        }
        other => default_value(other),
    }
}

/// Shapes of data that lead to different encodings.
pub(super) fn shapes(
    data_type: &DataType,
    rows: usize,
    seed: u64,
) -> Vec<(&'static str, Vec<Value>)> {
    let mut r = Random(seed | 1);
    let mut make = |spread: u64| -> Vec<Value> {
        (0..rows).map(|_| value(data_type, spread, &mut r)).collect()
    };
    let random = make(u64::MAX);
    let few = make(5);
    let some = make(200);
    let constant = vec![random[0].clone(); rows];
    let runs: Vec<Value> = (0..rows).map(|i| random[i / 50].clone()).collect();
    let mut sorted = random.clone();
    sorted.sort();
    let nulls = if data_type.is_nullable() { vec![Value::Null; rows] } else { few.clone() };
    let mut late_nulls = random.clone();
    if data_type.is_nullable() {
        late_nulls[rows / 2..].fill(Value::Null);
    }
    vec![
        ("random", random),
        ("few", few),
        ("some", some),
        ("constant", constant),
        ("runs", runs),
        ("sorted", sorted),
        ("nulls", nulls),
        ("late nulls", late_nulls),
    ]
}

pub(super) fn text(column: &Column) -> Vec<String> {
    (0..column.len()).map(|i| format!("{:?}", column.value(i))).collect()
}

#[test]
fn every_type_and_shape_comes_back() {
    for name in TYPES {
        let data_type = parse_data_type(name).unwrap();
        let layout = Layout::of(&data_type);
        for rows in [1, 2, 1500] {
            for (shape, values) in shapes(&data_type, rows, 77 + rows as u64) {
                let column = Column::from_values(data_type.clone(), &values).unwrap();
                // Once whole, once as slices, into one sink.
                let mut encoder = Encoder::default();
                let cuts = [0, rows / 3, rows / 3, rows - rows / 4, rows];
                let mut sink = Sink::new(&layout, rows, 0);
                let mut scratch = Scratch::default();
                for cut in cuts.windows(2) {
                    let piece = column.slice(cut[0], cut[1] - cut[0]);
                    let mut bytes = vec![];
                    encoder.encode(&layout, piece.array.as_ref(), None, &mut bytes).unwrap();
                    scratch.allow(decoded_bytes(&layout, piece.array.as_ref()));
                    let mut cursor = Cursor::new(&bytes);
                    sink.append(&mut cursor, piece.len(), &mut scratch)
                        .unwrap_or_else(|e| panic!("{name} {shape} {rows}: {}", e.0));
                    assert_eq!(cursor.remaining(), 0, "{name} {shape}");
                }
                let array = sink.finish(&data_type.arrow()).unwrap();
                assert_eq!(*array.data_type(), data_type.arrow(), "{name} {shape}");
                let back = Column { data_type: data_type.clone(), array };
                assert_eq!(text(&back), text(&column), "{name} {shape} {rows}");
            }
        }
    }
}

/// Bytes of long string nodes are decoded two at a time, whatever comes in between.
#[test]
fn strings_that_wait_for_others_come_in_order() {
    let mut r = Random(9);
    let layout = Layout::of(&DataType::String);
    let mut encoder = Encoder::default();
    for _ in 0..200 {
        let mut nodes: Vec<(Vec<String>, Vec<u8>)> = vec![];
        for _ in 0..1 + r.below(7) {
            let (rows, kind) = (1 + r.below(400) as usize, r.below(6));
            let mut string = |i: usize| match kind {
                0 => "constant".to_string(),
                1 => format!("some {}", r.below(20)),
                2 => {
                    if i.is_multiple_of(9) {
                        format!("filled {i}")
                    } else {
                        String::new()
                    }
                }
                _ => format!("https://example.com/{}/page-{}", r.below(50), r.next() >> 40),
            };
            let rows: Vec<String> = (0..rows).map(&mut string).collect();
            let array = BinaryArray::from_iter_values(rows.iter().map(String::as_bytes));
            let mut bytes = vec![];
            encoder.encode(&layout, &array, None, &mut bytes).unwrap();
            nodes.push((rows, bytes));
        }
        let mut scratch = Scratch::default();
        let mut sink = Sink::new(&layout, 0, 0);
        for (rows, bytes) in &nodes {
            scratch.allow(1 << 20);
            sink.append(&mut Cursor::new(bytes), rows.len(), &mut scratch).unwrap();
        }
        let array = sink.finish(&DataType::String.arrow()).unwrap();
        let found = array.as_any().downcast_ref::<BinaryArray>().unwrap();
        let expected = nodes.iter().flat_map(|(rows, _)| rows);
        assert!(found.iter().eq(expected.map(|s| Some(s.as_bytes()))));
    }
}

/// The tags that the encoder chooses for columns made to want them.
#[test]
fn encodings_are_chosen_where_they_win() {
    let n = 8192u64;
    let numbers = |f: &dyn Fn(u64) -> u64| (0..n).map(|i| Value::UInt(f(i))).collect::<Vec<_>>();
    let r = std::cell::RefCell::new(Random(5));
    let random = |bits: u32| r.borrow_mut().next() >> (64 - bits);
    let cases: Vec<(&str, Vec<Value>, u8, usize)> = vec![
        ("UInt64", numbers(&|_| 7), tag::CONSTANT, 16),
        ("UInt64", numbers(&|i| i / 100), tag::RUNS, 600),
        ("UInt64", numbers(&|i| (1 << 40) | (i * 3)), tag::DELTA, 8300),
        ("UInt64", numbers(&|_| (1 << 40) | random(8)), tag::FRAME, 8300),
        ("UInt64", numbers(&|_| random(64)), tag::PLAIN, 65600),
        (
            "UInt64",
            numbers(&|_| (r.borrow_mut().below(100) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            tag::DICTIONARY,
            9100,
        ),
        (
            "String",
            (0..n)
                .map(|_| Value::string(format!("https://example.com/{}", r.borrow_mut().below(90))))
                .collect(),
            tag::DICTIONARY,
            9100,
        ),
        (
            "String",
            (0..n).map(|i| Value::string(format!("https://example.com/{i}"))).collect(),
            tag::PLAIN,
            64000,
        ),
        ("String", vec![Value::string("x"); n as usize], tag::CONSTANT, 16),
    ];
    for (name, values, tag, bytes_max) in cases {
        let column = Column::from_values(parse_data_type(name).unwrap(), &values).unwrap();
        let mut out = vec![];
        Encoder::default()
            .encode(&Layout::of(&column.data_type), column.array.as_ref(), None, &mut out)
            .unwrap();
        assert_eq!(out[0], tag, "{name} {:?}", values[1]);
        assert!(out.len() <= bytes_max, "{name} tag {tag}: {} bytes", out.len());
    }
}

pub(super) fn write_part(
    disk: &Arc<dyn Disk>,
    columns: &[Column],
    granularity: usize,
) -> PendingPart {
    write_part_with(disk, columns, granularity, |_| {})
}

/// A part of `columns`, with what `more` adds to it.
fn write_part_with(
    disk: &Arc<dyn Disk>,
    columns: &[Column],
    granularity: usize,
    more: impl FnOnce(&mut PartWriter),
) -> PendingPart {
    write_part_of(disk, columns, granularity, "", more)
}

/// As `write_part_with`, all columns with one codec.
fn write_part_of(
    disk: &Arc<dyn Disk>,
    columns: &[Column],
    granularity: usize,
    codec_text: &str,
    more: impl FnOnce(&mut PartWriter),
) -> PendingPart {
    let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    let described: Vec<PartColumn<'_>> = columns
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(i, (c, name))| PartColumn {
            id: i as u32 + 1,
            name,
            data_type: &c.data_type,
            codec: codec::ColumnCodec::of(codec_text, &c.data_type, codec::Generic::Lz4),
        })
        .collect();
    let identity = PartIdentity {
        id: PartId { epoch: 1, number: 1 },
        table: uuid::Uuid::from_u128(9),
        partition_id: "all".into(),
        min_block: 0,
        max_block: 0,
        level: 0,
        created_us: 1,
    };
    let keys = PartKeys {
        partition: vec![],
        sorting_key: vec!["c0".into()],
        primary_key: vec![("c0".into(), columns[0].data_type.clone())],
    };
    let mut writer = PartWriter::new(disk, identity, keys, &described);
    writer
        .push(columns, granularity, &mut |row| {
            Ok(vec![crate::table::insert::one_row(&columns[0], row)])
        })
        .unwrap();
    more(&mut writer);
    writer.finish().unwrap()
}

/// A part written by version 1 of the format: 300 rows in granules of 64.
#[test]
fn a_part_of_version_1_still_opens() {
    let types =
        ["UInt32", "UInt64", "Nullable(String)", "Array(Int16)", "Float64", "Map(String, UInt64)"];
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    disk.create("old").unwrap().append(include_bytes!("testdata/version_1.part")).unwrap();
    let reader = PartReader::open(&disk, "old").unwrap();
    reader.verify_all().unwrap();
    for (i, name) in types.iter().enumerate() {
        let data_type = parse_data_type(name).unwrap();
        let (_, values) = shapes(&data_type, 300, 21).swap_remove([5, 4, 2, 2, 0, 1][i]);
        let column = Column::from_values(data_type, &values).unwrap();
        assert_eq!(text(&reader.read_column(i, &[0, 1, 2, 3, 4]).unwrap()), text(&column));
    }
}

/// Version 2 is version 3 without packed words, which these columns have none of.
#[test]
fn a_part_of_version_2_still_opens() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let texts: Vec<Value> = (0..100).map(|i| Value::String(format!("text {i}").into())).collect();
    let column = Column::from_values(DataType::String, &texts).unwrap();
    let part = write_part(&disk, std::slice::from_ref(&column), 10).keep();
    let file = disk.open(&part.path()).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let tail = bytes.len() - 1;
    assert_eq!((bytes[14], bytes[tail]), (3, 3));
    (bytes[14], bytes[tail]) = (2, 2);
    disk.create("old").unwrap().append(&bytes).unwrap();
    let reader = PartReader::open(&disk, "old").unwrap();
    reader.verify_all().unwrap();
    let granules: Vec<usize> = (0..10).collect();
    assert_eq!(text(&reader.read_column(0, &granules).unwrap()), text(&column));
}

#[test]
fn sections_and_blobs_come_back() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let column = Column::from_values(DataType::UInt8, &[Value::UInt(1)]).unwrap();
    let write = |required: bool| {
        let part = write_part_with(&disk, std::slice::from_ref(&column), 10, |writer| {
            assert_eq!(writer.add_blob(vec![7; 5000]), 0);
            assert_eq!(writer.add_blob(vec![]), 1);
            writer.add_section(9999, required, b"later".to_vec());
        });
        PartReader::open(&disk, &part.keep().path())
    };
    let reader = write(false).unwrap();
    reader.verify_all().unwrap();
    assert_eq!(reader.section(9999), Some(&b"later"[..]));
    assert_eq!(reader.section(9998), None);
    assert_eq!(reader.blob(0).unwrap(), vec![7; 5000]);
    assert_eq!(reader.blob(1).unwrap(), Vec::<u8>::new());
    assert!(reader.blob(2).is_err());
    disk.remove(&part_path(PartId { epoch: 1, number: 1 })).unwrap();
    assert!(matches!(write(true), Err(Error::Damaged { .. })));
}

#[test]
fn parts_of_every_type_come_back_granule_by_granule() {
    let rows = 300;
    let columns: Vec<Column> = TYPES
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let data_type = parse_data_type(name).unwrap();
            let (_, values) = shapes(&data_type, rows, i as u64 + 3).swap_remove(i % 8);
            Column::from_values(data_type, &values).unwrap()
        })
        .collect();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let part = write_part(&disk, &columns, 64);
    let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
    assert_eq!(reader.footer_hash(), part.meta.footer_hash);
    assert_eq!((reader.rows(), reader.granules()), (300, 5));
    assert_eq!(reader.granule_rows(4), 44);
    reader.verify_all().unwrap();
    for (i, column) in columns.iter().enumerate() {
        let index = reader.column_index(i as u32 + 1).unwrap();
        let all = reader.read_column(index, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(text(&all), text(column), "{}", column.data_type);
        let some = reader.read_column(index, &[1, 4]).unwrap();
        let expected: Vec<String> = text(column)
            .into_iter()
            .enumerate()
            .filter(|(r, _)| r / 64 % 3 == 1)
            .map(|x| x.1)
            .collect();
        assert_eq!(text(&some), expected, "{}", column.data_type);
        check_ranges(&reader, index, column);
    }
    assert_eq!(reader.column_index(1000), None);
}

/// Every value lies in the range of its granule and of the part.
fn check_ranges(reader: &PartReader, index: usize, column: &Column) {
    for row in 0..column.len() {
        let value = column.value(row);
        if value.is_null() {
            continue;
        }
        let ranges =
            reader.range(index, row / 64).into_iter().chain(reader.part_range(index).cloned());
        for (low, high) in ranges {
            assert!(low <= value, "{}: {low:?} > {value:?}", column.data_type);
            assert!(
                high.as_ref().is_none_or(|high| value <= *high),
                "{}: {high:?} < {value:?}",
                column.data_type
            );
        }
    }
}

#[test]
fn long_strings_round_their_maximum_up() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let long = |b: u8| Value::String([vec![b; 31], vec![0xFF; 20]].concat());
    for (greatest, bounded) in [(long(b'x'), true), (long(0xFF), false)] {
        let data_type = DataType::String;
        let column =
            Column::from_values(data_type, &[Value::string("a"), greatest.clone()]).unwrap();
        let part = write_part(&disk, &[column], 10);
        let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
        let (low, high) = reader.range(0, 0).unwrap();
        assert_eq!(low, Value::string("a"));
        assert_eq!(high.is_some(), bounded);
        assert!(high.is_none_or(|high| high >= greatest && high.as_bytes().unwrap().len() <= 32));
    }
}

#[test]
fn wide_rows_end_granules_early() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let values: Vec<Value> = (0..40u8).map(|i| Value::String(vec![i; 1 << 20])).collect();
    let column = Column::from_values(DataType::String, &values).unwrap();
    let part = write_part(&disk, std::slice::from_ref(&column), 8192);
    let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
    assert!(reader.granules() >= 3);
    let all: Vec<usize> = (0..reader.granules()).collect();
    let back = reader.read_column(0, &all).unwrap();
    assert_eq!(back.array.to_data(), column.array.to_data());
}

#[test]
fn an_abandoned_part_removes_its_file() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let column = Column::from_values(DataType::UInt8, &[Value::UInt(1)]).unwrap();
    let part = write_part(&disk, std::slice::from_ref(&column), 10);
    let path = part.meta.path();
    assert!(disk.exists(&path).unwrap());
    drop(part);
    assert!(!disk.exists(&path).unwrap());
    write_part(&disk, &[column], 10).keep();
    assert!(disk.exists(&path).unwrap());
}

/// Whatever byte changes, a reader gives an error or the right values; it never panics.
#[test]
fn every_flipped_byte_is_noticed() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let rows = 40;
    let columns: Vec<Column> = ["UInt32", "Nullable(String)", "Array(Int16)"]
        .iter()
        .map(|name| {
            let data_type = parse_data_type(name).unwrap();
            let (_, values) = shapes(&data_type, rows, 21).swap_remove(2);
            Column::from_values(data_type, &values).unwrap()
        })
        .collect();
    let path = part_path(PartId { epoch: 1, number: 1 });
    write_part(&disk, &columns, 16).keep();
    let file = disk.open(&path).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let read = |bytes: &[u8]| -> crate::Result<Vec<Vec<String>>> {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        disk.create(&path)?.append(bytes)?;
        let reader = PartReader::open(&disk, &path)?;
        let granules: Vec<usize> = (0..reader.granules()).collect();
        let columns = (0..columns.len())
            .map(|i| Ok(text(&reader.read_column(i, &granules)?)))
            .collect::<crate::Result<Vec<_>>>()?;
        reader.verify_all()?;
        Ok(columns)
    };
    read(&bytes).unwrap();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            assert!(
                matches!(read(&damaged), Err(Error::Damaged { .. })),
                "byte {at} of {} went unnoticed",
                bytes.len()
            );
        }
    }
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut at {length}");
    }
}

/// Nodes that no checksum guards: decoding arbitrary bytes is an error or some array, never a panic
/// and never more memory than allowed.
#[test]
fn arbitrary_nodes_do_not_panic() {
    let mut random = Random(99);
    for name in TYPES {
        let data_type = parse_data_type(name).unwrap();
        let layout = Layout::of(&data_type);
        for (_, values) in shapes(&data_type, 200, 5) {
            let column = Column::from_values(data_type.clone(), &values).unwrap();
            let mut bytes = vec![];
            Encoder::default().encode(&layout, column.array.as_ref(), None, &mut bytes).unwrap();
            for _ in 0..30 {
                let mut damaged = bytes.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(damaged.len() as u64) as usize;
                    damaged[at] = match random.below(3) {
                        0 => random.next() as u8,
                        1 => 0xFF,
                        _ => random.below(11) as u8,
                    };
                }
                let mut sink = Sink::new(&layout, 200, 0);
                let mut scratch = Scratch::default();
                scratch.allow(1 << 20);
                if sink.append(&mut Cursor::new(&damaged), 200, &mut scratch).is_ok() {
                    let array = sink.finish(&data_type.arrow()).unwrap();
                    assert_eq!(array.len(), 200);
                }
            }
        }
    }
}

/// A small part of every codec and encoding: each flipped byte, each truncation, and each granule in
/// another's place is noticed.
#[test]
fn damage_in_a_part_of_every_codec_is_noticed() {
    let cases: &[(&str, &str, usize)] = &[
        ("UInt32", "CODEC(NONE)", 0),
        ("UInt32", "CODEC(LZ4)", 1),
        ("UInt64", "CODEC(LZ4HC(9))", 1),
        ("String", "CODEC(ZSTD(1))", 2),
        ("UInt64", "CODEC(Delta(8), ZSTD(1))", 5),
        ("DateTime('UTC')", "CODEC(DoubleDelta)", 5),
        ("Float64", "CODEC(Gorilla(8))", 1),
        ("Int32", "CODEC(T64)", 2),
        ("Int32", "CODEC(T64('bit'), LZ4)", 2),
        ("Float32", "CODEC(FPC(12))", 1),
        ("Decimal(38, 2)", "CODEC(GCD, LZ4)", 2),
        ("UInt256", "CODEC(GCD, LZ4)", 2),
        ("Nullable(Int64)", "CODEC(Delta(8), LZ4)", 7),
        ("FixedString(3)", "", 2),
        ("UInt64", "", 4),
        ("String", "", 1),
        ("UInt8", "", 3),
        ("LowCardinality(Nullable(String))", "", 6),
        ("Map(String, UInt64)", "CODEC(ZSTD(3))", 1),
    ];
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let path = part_path(PartId { epoch: 1, number: 1 });
    for (name, codec, shape) in cases {
        let data_type = parse_data_type(name).unwrap();
        let (_, values) = shapes(&data_type, 150, 31).swap_remove(*shape);
        let column = Column::from_values(data_type, &values).unwrap();
        write_part_of(&disk, std::slice::from_ref(&column), 75, codec, |_| {}).keep();
        let file = disk.open(&path).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes).unwrap();
        disk.remove(&path).unwrap();
        let read = |bytes: &[u8]| -> crate::Result<Vec<String>> {
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
            disk.create(&path)?.append(bytes)?;
            let reader = PartReader::open(&disk, &path)?;
            assert_eq!(reader.codecs(), [codec.to_string()]);
            Ok(text(&reader.read_column(0, &[0, 1])?))
        };
        assert_eq!(read(&bytes).unwrap(), text(&column), "{name} {codec}");
        let noticed = |damaged: &[u8], what: &str| match read(damaged) {
            Ok(values) => assert_eq!(values, text(&column), "{name} {codec}: {what}"),
            Err(Error::Damaged { .. }) => {}
            Err(other) => panic!("{name} {codec}: {what}: {other}"),
        };
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            noticed(&damaged, &format!("byte {at}"));
            // A write that did not reach the disk leaves what was there before.
            damaged.copy_from_slice(&bytes);
            let end = (at + 64).min(bytes.len());
            damaged[at..end].fill(0);
            noticed(&damaged, &format!("a stale chunk at {at}"));
            noticed(&bytes[..at], &format!("cut at {at}"));
        }
    }
}

/// A file that is mapped, and cut meanwhile: what is gone is damage, what is there is read, also while other pages
/// are lost.
#[test]
fn a_file_cut_under_its_reader_is_damage_of_what_is_gone() {
    const ROWS: u64 = 200_000;
    let name = format!("pumphouse-cut-{}", uuid::Uuid::new_v4());
    let folder = std::env::temp_dir().join(name);
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk::open(&folder).unwrap());
    let path = part_path(PartId { epoch: 1, number: 1 });
    disk.create_dir(path.split('/').next().unwrap()).unwrap();
    let mut random = Random(5);
    let numbers: Vec<Value> = (0..ROWS).map(|_| Value::UInt(random.next())).collect();
    let column = Column::from_values(DataType::UInt64, &numbers).unwrap();
    write_part(&disk, std::slice::from_ref(&column), 8192).keep();
    let reader = PartReader::open(&disk, &path).unwrap();
    let (all, last): (Vec<usize>, usize) =
        ((0..reader.granules()).collect(), reader.granules() - 1);
    assert_eq!(text(&reader.read_column(0, &all).unwrap()), text(&column));
    std::fs::File::options()
        .write(true)
        .open(folder.join(&path))
        .unwrap()
        .set_len(400_000)
        .unwrap();
    let mut inner = None;
    let outer = reader.read_nodes(0, &[0], &mut vec![], |_, _| {
        inner = Some(reader.read_column(0, &[last]).map(|c| c.len()));
        Ok(())
    });
    assert!(outer.is_ok(), "this granule is there");
    assert!(matches!(inner, Some(Err(Error::Damaged { .. } | Error::Io { .. }))), "{inner:?}");
    let first = reader.read_column(0, &[0]).unwrap();
    assert_eq!(text(&first), text(&column.slice(0, 8192)));
    assert!(reader.read_column(0, &all).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}
