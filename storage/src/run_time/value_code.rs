//! One value of a known type as bytes, and columns of such bytes.
//!
//! Numbers are little-endian, strings and counts begin with a LEB128 length, Nullable with a byte (1 is
//! NULL). A value inside that carries its own type is a length, one more than its bytes (0 is NULL), and
//! its bytes. [`column`] has fast ways for numbers and strings; everything else goes through [`Value`].

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::i256;

use super::damaged;
use super::type_code::{put_number, take_byte, take_bytes, take_number};
use crate::block::{Column, value_at};
use crate::error::Result;
use crate::types::{DataType, Value};

/// Items of one array at most.
const ITEMS_MAX: u64 = 1 << 28;

/// Bytes of a number of this type; None if it is none.
fn width(data_type: &DataType) -> Option<usize> {
    use DataType::*;
    Some(match data_type {
        Nothing | UInt8 | Int8 | Bool | Enum8(_) => 1,
        UInt16 | Int16 | Date | Enum16(_) => 2,
        UInt32 | Int32 | Date32 | DateTime(_) | Ipv4 | Float32 | BFloat16 | Time => 4,
        UInt64 | Int64 | DateTime64(..) | Interval(_) | Float64 | Time64(_) => 8,
        UInt128 | Int128 => 16,
        UInt256 | Int256 => 32,
        Decimal { precision, .. } => match precision {
            0..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => 32,
        },
        _ => return None,
    })
}

/// Appends the bytes of `value`; one that does not fit its type counts as the default.
pub fn put(data_type: &DataType, value: &Value, out: &mut Vec<u8>) {
    use DataType::*;
    match data_type {
        Nullable(t) => {
            out.push(value.is_null() as u8);
            if !value.is_null() {
                put(t, value, out);
            }
        }
        LowCardinality(t) => put(t, value, out),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            put(argument, value, out)
        }
        Variant(_) | Dynamic { .. } => match value.as_bytes() {
            Some(bytes) => {
                put_number(bytes.len() as u64 + 1, out);
                out.extend_from_slice(bytes);
            }
            None => out.push(0),
        },
        String | AggregateFunction { .. } | Json(_) => {
            let bytes = value.as_bytes().unwrap_or_default();
            put_number(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        FixedString(_) | Uuid | Ipv6 => {
            let width = if let FixedString(n) = data_type { *n } else { 16 };
            let bytes = value.as_bytes().unwrap_or_default();
            let from = out.len();
            out.extend_from_slice(&bytes[..bytes.len().min(width)]);
            out.resize(from + width, 0);
        }
        Array(t) => {
            let items = if let Value::Array(items) = value { &items[..] } else { &[] };
            put_number(items.len() as u64, out);
            items.iter().for_each(|item| put(t, item, out));
        }
        Tuple(elements) => {
            let items = if let Value::Tuple(items) = value { &items[..] } else { &[] };
            for (i, e) in elements.iter().enumerate() {
                put(&e.data_type, items.get(i).unwrap_or(&Value::Null), out);
            }
        }
        Map(k, v) => {
            let entries = if let Value::Map(entries) = value { &entries[..] } else { &[] };
            put_number(entries.len() as u64, out);
            for (key, item) in entries {
                put(k, key, out);
                put(v, item, out);
            }
        }
        number => put_word(number, value, out),
    }
}

fn put_word(data_type: &DataType, value: &Value, out: &mut Vec<u8>) {
    use DataType::*;
    match (data_type, value) {
        (Float32 | BFloat16, v) => {
            out.extend((v.as_f64().unwrap_or(0.0) as f32).to_le_bytes());
        }
        (Float64, v) => out.extend(v.as_f64().unwrap_or(0.0).to_le_bytes()),
        (_, Value::Int256(word)) => out.extend(word.to_le_bytes()),
        (UInt256 | Int256, v) => {
            out.extend(i256::from_i128(v.as_i128().unwrap_or(0)).to_le_bytes());
        }
        (_, v) => {
            let word = match v {
                Value::Decimal(word, _) => *word,
                Value::UInt128(word) => *word as i128,
                other => other.as_i128().unwrap_or(0),
            };
            let width = width(data_type).unwrap_or(16);
            let from = out.len();
            out.extend_from_slice(&word.to_le_bytes()[..width.min(16)]);
            out.resize(from + width, if word < 0 { 0xFF } else { 0 });
        }
    }
}

/// Appends the bytes of the value at `row`, which is not NULL unless the type is Nullable.
pub fn put_row(data_type: &DataType, array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    match data_type {
        DataType::Int64 => {
            out.extend(array.as_primitive::<Int64Type>().value(row).to_le_bytes());
        }
        DataType::Float64 => {
            out.extend(array.as_primitive::<Float64Type>().value(row).to_le_bytes());
        }
        DataType::Bool => out.push(array.as_primitive::<UInt8Type>().value(row)),
        DataType::String => {
            let bytes = array.as_binary::<i32>().value(row);
            put_number(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        other => put(other, &value_at(other, array, row), out),
    }
}

/// Takes a value from the front of `bytes`.
pub fn take(data_type: &DataType, bytes: &mut &[u8]) -> Option<Value> {
    use DataType::*;
    Some(match data_type {
        Nullable(t) => match take_byte(bytes)? {
            0 => take(t, bytes)?,
            _ => Value::Null,
        },
        LowCardinality(t) => take(t, bytes)?,
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => take(argument, bytes)?,
        Variant(_) | Dynamic { .. } => match take_number(bytes)? {
            0 => Value::Null,
            n => Value::String(take_bytes(bytes, usize::try_from(n - 1).ok()?)?.to_vec()),
        },
        String | AggregateFunction { .. } | Json(_) => {
            let length = usize::try_from(take_number(bytes)?).ok()?;
            Value::String(take_bytes(bytes, length)?.to_vec())
        }
        FixedString(n) => Value::String(take_bytes(bytes, *n)?.to_vec()),
        Uuid | Ipv6 => Value::String(take_bytes(bytes, 16)?.to_vec()),
        Array(t) => {
            let count = take_items(bytes)?;
            Value::Array((0..count).map(|_| take(t, bytes)).collect::<Option<_>>()?)
        }
        Tuple(elements) => {
            Value::Tuple(elements.iter().map(|e| take(&e.data_type, bytes)).collect::<Option<_>>()?)
        }
        Map(k, v) => {
            let count = take_items(bytes)?;
            let entry = |bytes: &mut &[u8]| Some((take(k, bytes)?, take(v, bytes)?));
            Value::Map((0..count).map(|_| entry(bytes)).collect::<Option<_>>()?)
        }
        number => take_word(number, bytes)?,
    })
}

fn take_items(bytes: &mut &[u8]) -> Option<usize> {
    take_number(bytes).filter(|n| *n <= ITEMS_MAX).map(|n| n as usize)
}

fn take_word(data_type: &DataType, bytes: &mut &[u8]) -> Option<Value> {
    use DataType::*;
    let word = take_bytes(bytes, width(data_type)?)?;
    Some(match data_type {
        Float32 | BFloat16 => Value::Float(f32::from_le_bytes(word.try_into().ok()?) as f64),
        Float64 => Value::Float(f64::from_le_bytes(word.try_into().ok()?)),
        _ if word.len() == 32 => Value::Int256(i256::from_le_bytes(word.try_into().ok()?)),
        Nothing | UInt8 | UInt16 | UInt32 | UInt64 | Date | DateTime(_) | Ipv4 | Bool | UInt128 => {
            let mut wide = [0; 16];
            wide[..word.len()].copy_from_slice(word);
            let n = u128::from_le_bytes(wide);
            match data_type {
                Bool => Value::Bool(n != 0),
                UInt128 => Value::UInt128(n),
                _ => Value::UInt(n as u64),
            }
        }
        _ => {
            let mut wide = [if word[word.len() - 1] >= 0x80 { 0xFF } else { 0 }; 16];
            wide[..word.len()].copy_from_slice(word);
            let n = i128::from_le_bytes(wide);
            match data_type {
                Decimal { scale, .. } => Value::Decimal(n, *scale),
                Int128 => Value::Int128(n),
                _ => Value::Int(n as i64),
            }
        }
    })
}

/// A column of `data_type` of values given as bytes; rows without bytes are NULL (the array carries the
/// bitmap even if the type is not Nullable).
pub fn column<'b>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'b [u8]>>,
) -> Result<Column> {
    fn words<'b, T: ArrowPrimitiveType, const N: usize>(
        values: impl Iterator<Item = Option<&'b [u8]>>,
        read: impl Fn([u8; N]) -> T::Native,
    ) -> Result<ArrayRef> {
        let mut builder = PrimitiveBuilder::<T>::new();
        for v in values {
            match v {
                None => builder.append_null(),
                Some(bytes) => builder.append_value(read(bytes.try_into().map_err(|_| damaged())?)),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
    let array: ArrayRef = match data_type {
        DataType::Int64 => words::<Int64Type, 8>(values, i64::from_le_bytes)?,
        DataType::UInt64 => words::<UInt64Type, 8>(values, u64::from_le_bytes)?,
        DataType::Float64 => words::<Float64Type, 8>(values, f64::from_le_bytes)?,
        DataType::Bool | DataType::UInt8 => words::<UInt8Type, 1>(values, |b| b[0])?,
        DataType::String => {
            let mut builder = BinaryBuilder::new();
            for v in values {
                match v {
                    None => builder.append_null(),
                    Some(mut bytes) => {
                        let length = take_number(&mut bytes).ok_or_else(damaged)?;
                        if bytes.len() as u64 != length {
                            return Err(damaged());
                        }
                        builder.append_value(bytes);
                    }
                }
            }
            Arc::new(builder.finish())
        }
        other => return column_through_values(other, values),
    };
    Ok(Column { data_type: data_type.clone(), array })
}

/// The same for any type. Composite types have no NULL of their own, so theirs go into the bitmap.
fn column_through_values<'b>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'b [u8]>>,
) -> Result<Column> {
    let mut read = vec![];
    let mut valid = vec![];
    for v in values {
        valid.push(v.is_some());
        read.push(match v {
            None => crate::block::default_value(data_type),
            Some(mut bytes) => {
                let value = take(data_type, &mut bytes).ok_or_else(damaged)?;
                if !bytes.is_empty() {
                    return Err(damaged());
                }
                value
            }
        });
    }
    let column = Column::from_values(data_type.clone(), &read)?;
    if valid.iter().all(|v| *v) || data_type.is_nullable() {
        return Ok(column);
    }
    let nulls = arrow_buffer::NullBuffer::from(valid);
    let data = column.array.to_data().into_builder().nulls(Some(nulls)).build();
    let data = data.map_err(|e| crate::error::Error::Column(e.to_string()))?;
    Ok(Column { data_type: data_type.clone(), array: arrow_array::make_array(data) })
}
