//! Columns of a block as bytes and back, for temporary files: buffers as they lie in memory, cut to the
//! rows that the block shows. The reader knows the types; what does not fit them is an error.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::ArrayData;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Block, Column, DataType};

use crate::error::{Error, Result, codes};
use crate::execute::key_table::plain;
use crate::execute::row_codec::fixed_bytes;

pub(super) fn encode(block: &Block, out: &mut Vec<u8>) {
    put_length(block.rows(), out);
    for column in &block.columns {
        put_array(plain(column).array.as_ref(), out);
    }
}

pub(super) fn decode(bytes: &[u8], schema: &[(String, DataType)]) -> Result<Block> {
    let mut input = Input { bytes };
    let rows = input.length()?;
    let mut block = Block::of_rows(rows);
    for (name, data_type) in schema {
        let array = take_array(&mut input, &data_type.arrow(), rows)?;
        block.push(name.clone(), Column { data_type: data_type.clone(), array });
    }
    match input.bytes.is_empty() {
        true => Ok(block),
        false => Err(damaged()),
    }
}

/// The error of bytes that cannot have been written here.
pub(super) fn damaged() -> Error {
    Error::new(codes::CHECKSUM_DOESNT_MATCH, "A temporary file is damaged")
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_array(array: &dyn Array, out: &mut Vec<u8>) {
    match array.nulls().filter(|n| n.null_count() > 0) {
        Some(nulls) => {
            let packed: BooleanBuffer = nulls.iter().collect();
            out.push(1);
            put_bytes(packed.values(), out);
        }
        None => out.push(0),
    }
    match array.data_type() {
        ArrowType::Binary => {
            let binary = array.as_binary::<i32>();
            let bytes = put_offsets(binary.value_offsets(), out);
            put_bytes(&binary.values().as_slice()[bytes], out);
        }
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            let items = put_offsets(list.value_offsets(), out);
            put_length(items.len(), out);
            put_array(list.values().slice(items.start, items.len()).as_ref(), out);
        }
        ArrowType::Struct(_) => {
            array.as_struct().columns().iter().for_each(|field| put_array(field.as_ref(), out));
        }
        _ => put_bytes(fixed_bytes(array), out),
    }
}

/// Offsets from 0 on; gives back what they are offsets into.
fn put_offsets(offsets: &[i32], out: &mut Vec<u8>) -> std::ops::Range<usize> {
    let first = offsets.first().copied().unwrap_or(0);
    let last = offsets.last().copied().unwrap_or(0);
    for offset in offsets {
        out.extend_from_slice(&(offset - first).to_le_bytes());
    }
    first as usize..last as usize
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(damaged)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize> {
        let bytes = self.take(8)?.first_chunk::<8>().ok_or_else(damaged)?;
        usize::try_from(u64::from_le_bytes(*bytes)).map_err(|_| damaged())
    }

    fn prefixed(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }
}

fn take_array(input: &mut Input, arrow: &ArrowType, rows: usize) -> Result<ArrayRef> {
    let nulls = match input.take(1)? {
        [0] => None,
        _ => Some(Buffer::from(input.prefixed()?)),
    };
    let builder = ArrayData::builder(arrow.clone()).len(rows).null_bit_buffer(nulls);
    let offsets = |input: &mut Input| -> Result<Buffer> {
        let bytes = rows.checked_add(1).and_then(|n| n.checked_mul(4)).ok_or_else(damaged)?;
        Ok(Buffer::from(input.take(bytes)?))
    };
    let builder = match arrow {
        ArrowType::Binary => {
            let offsets = offsets(input)?;
            builder.add_buffer(offsets).add_buffer(Buffer::from(input.prefixed()?))
        }
        ArrowType::List(item) => {
            let offsets = offsets(input)?;
            let items = input.length()?;
            let items = take_array(input, item.data_type(), items)?;
            builder.add_buffer(offsets).add_child_data(items.to_data())
        }
        ArrowType::Struct(fields) => {
            let mut builder = builder;
            for field in fields {
                let array = take_array(input, field.data_type(), rows)?;
                builder = builder.add_child_data(array.to_data());
            }
            builder
        }
        _ => builder.add_buffer(Buffer::from(input.prefixed()?)),
    };
    Ok(make_array(builder.align_buffers(true).build().map_err(|_| damaged())?))
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::Value;
    use pumphouse_storage::types::parse_data_type;

    use super::*;

    #[test]
    fn every_layout_comes_back_also_of_slices() {
        let mut block = Block::of_rows(9);
        let types = [
            "UInt8",
            "Nullable(Int32)",
            "Decimal(30, 4)",
            "String",
            "Nullable(String)",
            "FixedString(3)",
            "Array(Nullable(UInt16))",
            "Array(Array(String))",
            "Tuple(a Int64, b Nullable(String))",
            "Map(String, Float64)",
            "LowCardinality(Nullable(String))",
            "UInt256",
        ];
        for text in types {
            let data_type = parse_data_type(text).unwrap();
            let value = |i: i64| sample(&data_type, i);
            let values: Vec<Value> = (0..9).map(value).collect();
            block.push(text, Column::from_values(data_type.clone(), &values).unwrap());
        }
        let schema: Vec<(String, DataType)> = block
            .names
            .iter()
            .zip(&block.columns)
            .map(|(n, c)| (n.to_string(), c.data_type.clone()))
            .collect();
        for (from, rows) in [(0, 9), (3, 5), (8, 1), (4, 0)] {
            let slice = block.slice(from, rows);
            let mut bytes = vec![];
            encode(&slice, &mut bytes);
            let back = decode(&bytes, &schema).unwrap();
            for (a, b) in slice.columns.iter().zip(&back.columns) {
                for row in 0..rows {
                    assert_eq!(a.value(row), b.value(row), "{}", a.data_type);
                }
            }
            for cut in 0..bytes.len() {
                assert!(decode(&bytes[..cut], &schema).is_err(), "cut at {cut}");
            }
        }
    }

    fn sample(data_type: &DataType, i: i64) -> Value {
        match data_type {
            DataType::Nullable(_) if i % 3 == 0 => Value::Null,
            DataType::Nullable(inner) | DataType::LowCardinality(inner) => sample(inner, i),
            DataType::Int32 | DataType::Int64 => Value::Int(i - 4),
            DataType::Decimal { .. } => Value::Decimal(i as i128 * 1_000_003 - 5, 4),
            DataType::Float64 => Value::Float(i as f64 / 3.0),
            DataType::String => Value::string("x".repeat(i as usize)),
            DataType::FixedString(_) => Value::string(format!("{i:03}")),
            DataType::Array(item) => {
                Value::Array((0..i % 4).map(|k| sample(item, i + k)).collect())
            }
            DataType::Tuple(elements) => {
                Value::Tuple(elements.iter().map(|e| sample(&e.data_type, i)).collect())
            }
            DataType::Map(k, v) => {
                Value::Map((0..i % 3).map(|n| (sample(k, n), sample(v, n))).collect())
            }
            DataType::UInt256 => pumphouse_storage::block::default_value(data_type),
            _ => Value::UInt(i as u64),
        }
    }
}
