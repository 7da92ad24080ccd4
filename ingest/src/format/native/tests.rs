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
