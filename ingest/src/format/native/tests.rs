//! Native against the reference engine's bytes, and hostile input.

use pumphouse_query::context::Settings;
use pumphouse_query::error::codes;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::*;
use crate::format::{FormatOptions, InputColumn};

fn numbers() -> (Vec<u8>, Block) {
    let bytes = b"\x01\x02\x01c\x05UInt8\x01\xff".to_vec();
    let (block, used) = read_block(&bytes, 0).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    (bytes, block)
}

#[test]
fn revisions_frame_the_same_values() {
    let (bytes, block) = numbers();
    let at = |revision| {
        let mut out = vec![];
        write_block(&block, revision, &mut out).unwrap();
        let (again, used) = read_block(&out, revision).unwrap().unwrap();
        assert_eq!(used, out.len());
        assert_eq!(again.columns[0].array.as_ref(), block.columns[0].array.as_ref());
        out
    };
    assert_eq!(at(0), bytes);
    let info = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0];
    assert_eq!(at(54_405), [&info[..], &bytes[..]].concat());
    let mut custom = [&info[..], &bytes[..]].concat();
    custom.insert(custom.len() - 2, 0);
    assert_eq!(at(54_460), custom);
}

#[test]
fn the_empty_block_ends_an_insert() {
    let mut out = vec![];
    write_block(&Block::default(), 54_460, &mut out).unwrap();
    assert_eq!(out, [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
}

#[test]
fn low_cardinality_goes_flat_below_its_revision() {
    let mut bytes = b"\x01\x03\x01c\x16LowCardinality(String)".to_vec();
    for n in [1u64, 0x600, 3] {
        bytes.extend_from_slice(&n.to_le_bytes());
    }
    bytes.extend_from_slice(b"\x00\x01a\x01b");
    bytes.extend_from_slice(&3u64.to_le_bytes());
    bytes.extend_from_slice(&[1, 2, 1]);
    let (block, _) = read_block(&bytes, 0).unwrap().unwrap();
    let mut out = vec![];
    write_block(&block, 0, &mut out).unwrap();
    assert_eq!(out, bytes);
    let mut flat = vec![];
    write_block(&block, 54_058, &mut flat).unwrap();
    assert_eq!(flat[8..], *b"\x01\x03\x01c\x06String\x01a\x01b\x01a");
}

#[test]
fn lengths_are_not_believed() {
    // 2^40 rows; 2^31 items; a key beyond the dictionary; an unknown type.
    let hostile: [&[u8]; 4] = [
        b"\x01\x80\x80\x80\x80\x80\x20\x01c\x05UInt8\x01",
        b"\x01\x01\x01c\x0cArray(UInt8)\xff\xff\xff\xff\xff\x00\x00\x00",
        b"\x01\x01\x01c\x16LowCardinality(String)\x01\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x05",
        b"\x01\x01\x01c\x05Wrong\x00",
    ];
    for bytes in hostile {
        assert!(read_block(bytes, 0).is_err());
    }
    // Every cut asks for more.
    let (bytes, _) = numbers();
    for end in 0..bytes.len() {
        assert!(read_block(&bytes[..end], 0).unwrap().is_none());
    }
}

/// A stream cut anywhere gives the rows of the whole one, and no end within a block is taken for one.
#[test]
fn blocks_come_in_pieces() {
    let columns: Vec<(String, Column)> = (0..5usize)
        .map(|c| {
            let texts: Vec<Value> =
                (0..40usize).map(|n| Value::String(vec![b'a'; n * c % 9])).collect();
            let column = Column::from_values(DataType::String, &texts).unwrap();
            (format!("c{c}"), column)
        })
        .collect();
    let wanted: Vec<InputColumn> = columns
        .iter()
        .map(|(name, c)| InputColumn { name: name.clone(), data_type: c.data_type.clone() })
        .collect();
    let (mut bytes, block) = (vec![], Block::new(columns));
    (0..3).for_each(|_| write_block(&block, 0, &mut bytes).unwrap());
    let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
    for piece in [1, 7, 100, 1000, bytes.len()] {
        let mut reader = NativeReader::boxed(&wanted, &options).unwrap();
        let (mut buffer, mut end) = (vec![], 0);
        while end < bytes.len() {
            let next = bytes.len().min(end + piece);
            buffer.extend_from_slice(&bytes[end..next]);
            end = next;
            let used = reader.read_stream(&buffer, false, usize::MAX).unwrap();
            buffer.drain(..used);
        }
        let used = reader.read_stream(&buffer, true, usize::MAX).unwrap();
        assert_eq!(used, buffer.len());
        let rows = reader.take().unwrap();
        assert_eq!(rows.rows, 120);
        for (column, expected) in rows.columns.iter().zip(&block.columns) {
            assert!((0..120).all(|row| column.value(row) == expected.value(row % 40)));
        }
    }
    let third = bytes.len() / 3;
    for end in [1, 30, third - 1, third + 2, bytes.len() - 1] {
        let mut reader = NativeReader::boxed(&wanted, &options).unwrap();
        let used = reader.read_stream(&bytes[..end], false, usize::MAX).unwrap();
        let cut = reader.read_stream(&bytes[used..end], true, usize::MAX);
        assert_eq!(cut.unwrap_err().code, codes::CANNOT_READ_ALL_DATA, "{end}");
    }
}

/// A column of `rows` values made from their numbers.
fn column(data_type: &str, rows: usize, make: fn(usize) -> Value) -> Column {
    let data_type = pumphouse_storage::types::parse_data_type(data_type).unwrap();
    Column::from_values(data_type, &(0..rows).map(make).collect::<Vec<_>>()).unwrap()
}

/// Blocks of all kinds of columns: plain ones, lists, in another type than wanted, lacking, unknown, twice.
fn mixed_blocks() -> Vec<Block> {
    let text = |n: usize| Value::String(vec![b'a' + (n % 26) as u8; n * 7 % 45]);
    let rare = |n: usize| if n.is_multiple_of(3) { Value::Null } else { Value::Int(n as i64 - 9) };
    let fixed = |n: usize| Value::String(vec![n as u8; 16]);
    let all = |rows: usize| {
        vec![
            ("n", column("UInt64", rows, |n| Value::UInt(n as u64 * 977))),
            ("maybe", column("Nullable(Int32)", rows, rare)),
            ("s", column("String", rows, text)),
            ("few", column("LowCardinality(String)", rows, |n| Value::String(vec![b'x'; n % 3]))),
            ("flag", column("Bool", rows, |n| Value::UInt(n as u64 % 2))),
            ("day", column("Date", rows, |n| Value::UInt(n as u64))),
            ("at", column("DateTime('Asia/Tokyo')", rows, |n| Value::UInt(n as u64))),
            ("id", column("UUID", rows, fixed)),
            ("kind", column("Enum8('a' = 1, 'b' = 2)", rows, |n| Value::Int(n as i64 % 2 + 1))),
            ("list", column("Array(UInt8)", rows, |n| Value::Array(vec![Value::UInt(7); n % 4]))),
        ]
    };
    let named = |columns: Vec<(&str, Column)>| {
        Block::new(columns.into_iter().map(|(name, c)| (name.to_string(), c)).collect())
    };
    let mut other = all(33);
    other[0].1 = column("UInt8", 33, |n| Value::UInt(n as u64));
    other[2].1 = column("Nullable(String)", 33, |n| match n % 4 {
        0 => Value::Null,
        _ => Value::String(b"there".to_vec()),
    });
    other.push(("unknown", column("Map(String, UInt8)", 33, |_| Value::Map(vec![]))));
    let mut lacking = all(29);
    lacking.truncate(4);
    lacking.push(("n", column("UInt64", 29, |_| Value::UInt(1))));
    vec![named(all(40)), named(other), named(all(0)), named(lacking), named(all(21))]
}

/// Columns that are gathered as they come are those of whole blocks joined.
#[test]
fn pieces_of_columns_make_the_columns_of_whole_blocks() {
    use crate::format::blocks::BlockRows;
    let blocks = mixed_blocks();
    let mut wanted: Vec<InputColumn> = blocks[0]
        .names
        .iter()
        .zip(&blocks[0].columns)
        .map(|(name, c)| InputColumn { name: name.clone(), data_type: c.data_type.clone() })
        .collect();
    wanted[6].data_type = DataType::DateTime(None);
    let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
    let (mut bytes, mut joined) = (vec![], BlockRows::new(&wanted, &options));
    for block in &blocks {
        let first = bytes.len();
        write_block(block, 0, &mut bytes).unwrap();
        let (whole, used) = read_block(&bytes[first..], 0).unwrap().unwrap();
        joined.push(whole, used).unwrap();
    }
    let expected = joined.take().unwrap();
    for (piece, take_at) in [(1, 70), (3, 2000), (13, 41), (200, 1), (900, 80), (bytes.len(), 500)]
    {
        let mut reader = NativeReader::boxed(&wanted, &options).unwrap();
        reader.announce(bytes.len());
        let (mut buffer, mut taken, mut row) = (vec![], vec![], 0);
        for chunk in bytes.chunks(piece) {
            buffer.extend_from_slice(chunk);
            let used = reader.read_stream(&buffer, false, usize::MAX).unwrap();
            buffer.drain(..used);
            // Also in the middle of a block.
            if reader.rows() >= take_at {
                taken.push(reader.take().unwrap());
            }
        }
        assert_eq!(reader.read_stream(&buffer, true, usize::MAX).unwrap(), buffer.len());
        taken.push(reader.take().unwrap());
        for rows in taken {
            for (i, c) in rows.columns.iter().enumerate() {
                assert_eq!((c.len(), &c.data_type), (rows.rows, &wanted[i].data_type));
                for at in 0..rows.rows {
                    assert_eq!(c.value(at), expected.columns[i].value(row + at), "{piece} {i}");
                    let given = |flags: &Option<Vec<bool>>, at: usize| {
                        flags.as_ref().is_none_or(|flags| flags[at])
                    };
                    let same = given(&rows.present[i], at) == given(&expected.present[i], row + at);
                    assert!(same, "{piece} {i}: row {} is given", row + at);
                }
            }
            row += rows.rows;
        }
        assert_eq!(row, expected.rows);
    }
}

/// A message that is bad anywhere leaves the rows of those before it as they were.
#[test]
fn bad_messages_leave_nothing() {
    let blocks = mixed_blocks();
    let wanted: Vec<InputColumn> = blocks[0]
        .names
        .iter()
        .zip(&blocks[0].columns)
        .map(|(name, c)| InputColumn { name: name.clone(), data_type: c.data_type.clone() })
        .collect();
    let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
    let (mut good, mut two) = (vec![], vec![]);
    write_block(&blocks[4], 0, &mut good).unwrap();
    write_block(&blocks[3], 0, &mut two).unwrap();
    write_block(&blocks[1], 0, &mut two).unwrap();
    let mut reader = NativeReader::boxed(&wanted, &options).unwrap();
    assert_eq!(reader.read_message(&good).unwrap(), 21);
    for end in (1..two.len()).step_by(37) {
        reader.read_message(&two[..end]).unwrap_err();
        assert_eq!(reader.rows(), 21);
    }
    assert_eq!(reader.read_message(&good).unwrap(), 21);
    let rows = reader.take().unwrap();
    for (c, expected) in rows.columns.iter().zip(&blocks[4].columns) {
        assert!((0..42).all(|row| c.value(row) == expected.value(row % 21)));
    }
    assert!(rows.present.iter().all(Option::is_none));
    // A value that the enumeration does not have.
    let mut wrong = b"\x01\x02\x04kind\x17Enum8('a' = 1, 'b' = 2)\x01\x03".to_vec();
    assert_eq!(reader.read_message(&wrong).unwrap_err().code, codes::UNKNOWN_ELEMENT_OF_ENUM);
    let last = wrong.len() - 1;
    wrong[last] = 2;
    assert_eq!(reader.read_message(&wrong).unwrap(), 2);
}

/// ClickHouse's bytes of nine states of aggregate functions over the numbers 0, 1 and 2.
const STATES: &[(&str, &[u8])] = &[
    ("AggregateFunction(count)", b"\x03"),
    ("AggregateFunction(sum, UInt64)", b"\x03\0\0\0\0\0\0\0"),
    ("AggregateFunction(avg, Decimal(9, 1))", b"\x1e\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03"),
    ("AggregateFunction(max, DateTime('UTC'))", b"\x01\x02\0\0\0"),
    ("AggregateFunction(min, String)", b"\x02\0\0\x000\0"),
    (
        "AggregateFunction(groupArray, UInt64)",
        b"\x03\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0",
    ),
    ("AggregateFunction(groupArray, String)", b"\x03\x010\x011\x012"),
    ("AggregateFunction(sum, Nullable(UInt64))", b"\0"),
    ("AggregateFunction(anyIf, UInt8, UInt8)", b"\x01\x02"),
];

#[test]
fn states_are_the_functions_own_bytes() {
    for (type_name, state) in STATES {
        let mut bytes = vec![1, 2, 1, b'c', type_name.len() as u8];
        bytes.extend_from_slice(type_name.as_bytes());
        bytes.extend_from_slice(&[*state, *state].concat());
        let (block, used) = read_block(&bytes, 0).unwrap().unwrap();
        assert_eq!((used, block.rows()), (bytes.len(), 2), "{type_name}");
        let mut out = vec![];
        write_block(&block, 0, &mut out).unwrap();
        assert_eq!(out, bytes, "{type_name}");
        // Within a state there is more to come.
        assert!(read_block(&bytes[..bytes.len() - 1], 0).unwrap().is_none(), "{type_name}");
    }
    // States whose bytes are ours are refused, and so are lengths that nothing can have.
    let refused = |bytes: &[u8]| read_block(bytes, 0).unwrap_err().code;
    let mut own = b"\x01\x01\x01c\x1fAggregateFunction(uniq, UInt64)".to_vec();
    own.extend_from_slice(&[0, 0]);
    assert_eq!(refused(&own), codes::NOT_IMPLEMENTED);
    let mut long = b"\x01\x01\x01c\x25AggregateFunction(groupArray, UInt64)".to_vec();
    long.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(refused(&long), codes::INCORRECT_DATA);
}
