//! Blocks to bytes. Numbers go as they lie; NULLs carry the type's zero beneath.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{NullBuffer, ToByteSlice};
use pumphouse_query::error::Result;
use pumphouse_storage::run_time::type_code;
use pumphouse_storage::{Block, DataType};

use super::*;
use crate::format::cells::Strings;
use crate::format::row_binary::{swap_uuid, write_bytes, write_varint};
use crate::format::states::Layout;

/// Appends `block` as revision `revision` lays it out.
pub fn write_block(block: &Block, revision: u64, out: &mut Vec<u8>) -> Result<()> {
    write_block_as(block, Mode { revision, ..Mode::default() }, out)
}

/// Appends `block` as `mode` says.
pub fn write_block_as(block: &Block, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    let revision = mode.revision;
    if revision >= REVISION_BLOCK_INFO {
        // Field 1: not of overflowed groups; field 2: of no bucket; end.
        out.extend_from_slice(&[1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]);
    }
    write_varint(block.columns.len() as u64, out);
    write_varint(block.rows() as u64, out);
    let flat = (REVISION_BLOCK_INFO..REVISION_LOW_CARDINALITY).contains(&revision);
    for (name, column) in block.names.iter().zip(&block.columns) {
        write_bytes(name.as_bytes(), out);
        let stripped = if flat { Some(without_low_cardinality(&column.data_type)) } else { None };
        let data_type = stripped.as_ref().unwrap_or(&column.data_type);
        match data_type {
            DataType::DateTime(_)
                if revision < REVISION_DATE_TIME_ZONE && !mode.types_in_binary =>
            {
                write_bytes(b"DateTime", out)
            }
            other => write_type(other, mode, out),
        }
        if revision >= REVISION_CUSTOM_SERIALIZATION {
            out.push(0);
        }
        if block.rows() > 0 {
            write_prefix(data_type, column.array.as_ref(), mode, out)?;
            write_column(data_type, column.array.as_ref(), mode, out)?;
        }
    }
    Ok(())
}

pub(super) fn write_type(data_type: &DataType, mode: Mode, out: &mut Vec<u8>) {
    match mode.types_in_binary {
        true => type_code::put(data_type, out),
        false => write_bytes(data_type.to_string().as_bytes(), out),
    }
}

/// The type with LowCardinality taken out at every depth.
fn without_low_cardinality(data_type: &DataType) -> DataType {
    use DataType as T;
    let inside = |t: &DataType| Box::new(without_low_cardinality(t));
    match data_type {
        T::LowCardinality(t) => without_low_cardinality(t),
        T::Nullable(t) => T::Nullable(inside(t)),
        T::Array(t) => T::Array(inside(t)),
        T::Map(k, v) => T::Map(inside(k), inside(v)),
        T::Tuple(elements) => {
            let mut elements = elements.clone();
            elements.iter_mut().for_each(|e| e.data_type = without_low_cardinality(&e.data_type));
            T::Tuple(elements)
        }
        other => other.clone(),
    }
}

/// What stands before all data of a column: a version for each LowCardinality in it, and what types and
/// paths those hold that say so themselves.
pub(super) fn write_prefix(
    data_type: &DataType,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    use DataType as T;
    match data_type {
        T::LowCardinality(_) => {
            out.extend_from_slice(&SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS.to_le_bytes())
        }
        T::Nullable(t) => write_prefix(t, array, mode, out)?,
        T::Array(t) => write_prefix(t, items_of(array).as_ref(), mode, out)?,
        T::SimpleAggregateFunction { argument, .. } | T::Named { argument, .. } => {
            write_prefix(argument, array, mode, out)?
        }
        T::Map(k, v) => {
            let entries = items_of(array);
            let entries = entries.as_struct();
            write_prefix(k, entries.column(0).as_ref(), mode, out)?;
            write_prefix(v, entries.column(1).as_ref(), mode, out)?;
        }
        T::Tuple(elements) => {
            let fields = array.as_struct();
            for (i, e) in elements.iter().enumerate() {
                write_prefix(&e.data_type, fields.column(i).as_ref(), mode, out)?;
            }
        }
        T::Variant(_) | T::Dynamic { .. } | T::Json(_) => {
            super::self_typed::prefix(data_type, array, mode, out)?
        }
        _ => {}
    }
    Ok(())
}

/// The items of lists.
fn items_of(array: &dyn Array) -> ArrayRef {
    let list = array.as_list::<i32>();
    let offsets = list.value_offsets();
    let first = offsets[0];
    list.values().slice(first as usize, (offsets[list.len()] - first) as usize)
}

pub(super) fn write_column(
    data_type: &DataType,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    use DataType as T;
    match data_type {
        T::LowCardinality(t) => return write_dictionary(t, array, out),
        T::SimpleAggregateFunction { argument, .. } | T::Named { argument, .. } => {
            return write_column(argument, array, mode, out);
        }
        T::Nullable(t) => {
            match array.nulls() {
                Some(nulls) => out.extend(nulls.iter().map(|valid| !valid as u8)),
                None => out.resize(out.len() + array.len(), 0),
            }
            return write_values(t.inner(), array, mode, out);
        }
        _ => {}
    }
    write_values(data_type, array, mode, out)
}

/// The values of a type that is neither Nullable nor LowCardinality.
fn write_values(
    data_type: &DataType,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    use DataType as T;
    match data_type {
        T::Nothing => out.resize(out.len() + array.len(), FILLER),
        T::UInt8 | T::Bool => numbers::<UInt8Type>(array, out),
        T::UInt16 | T::Date => numbers::<UInt16Type>(array, out),
        T::UInt32 | T::DateTime(_) | T::Ipv4 => numbers::<UInt32Type>(array, out),
        T::UInt64 => numbers::<UInt64Type>(array, out),
        T::Int8 | T::Enum8(_) => numbers::<Int8Type>(array, out),
        T::Int16 | T::Enum16(_) => numbers::<Int16Type>(array, out),
        T::Int32 | T::Date32 | T::Time => numbers::<Int32Type>(array, out),
        T::Int64 | T::DateTime64(..) | T::Interval(_) | T::Time64(_) => {
            numbers::<Int64Type>(array, out)
        }
        T::Float32 => numbers::<Float32Type>(array, out),
        T::Float64 => numbers::<Float64Type>(array, out),
        T::UInt128 | T::Int128 => numbers::<Decimal128Type>(array, out),
        T::UInt256 | T::Int256 => numbers::<Decimal256Type>(array, out),
        T::Decimal { precision, .. } => match precision {
            0..=9 => numbers::<Int32Type>(array, out),
            10..=18 => numbers::<Int64Type>(array, out),
            19..=38 => numbers::<Decimal128Type>(array, out),
            _ => numbers::<Decimal256Type>(array, out),
        },
        T::String => strings(array, out),
        T::FixedString(width) => fixed(array, *width, out, |b, out| out.extend_from_slice(b)),
        T::Ipv6 => fixed(array, 16, out, |b, out| out.extend_from_slice(b)),
        T::Uuid => fixed(array, 16, out, |b, out| out.extend_from_slice(&swap_uuid(b))),
        T::Array(item) => {
            let items = write_offsets(array, out);
            write_column(item, items.as_ref(), mode, out)?;
        }
        T::Map(key, value) => {
            let entries = write_offsets(array, out);
            let entries = entries.as_struct();
            write_column(key, entries.column(0).as_ref(), mode, out)?;
            write_column(value, entries.column(1).as_ref(), mode, out)?;
        }
        T::Tuple(elements) if elements.is_empty() => {
            out.resize(out.len() + array.len(), FILLER);
        }
        T::Tuple(elements) => {
            let fields = array.as_struct();
            for (i, e) in elements.iter().enumerate() {
                write_column(&e.data_type, fields.column(i).as_ref(), mode, out)?;
            }
        }
        T::Variant(_) | T::Dynamic { .. } | T::Json(_) => {
            super::self_typed::data(data_type, array, mode, out)?
        }
        T::BFloat16 => {
            for v in array.as_primitive::<Float32Type>().values() {
                out.extend_from_slice(&((v.to_bits() >> 16) as u16).to_le_bytes());
            }
        }
        T::Nullable(_)
        | T::LowCardinality(_)
        | T::SimpleAggregateFunction { .. }
        | T::Named { .. } => write_column(data_type, array, mode, out)?,
        T::AggregateFunction { .. } => {
            let (layout, states) = (Layout::of(data_type, "Native")?, array.as_binary::<i32>());
            (0..states.len()).try_for_each(|row| layout.write(states.value(row), out))?;
        }
    }
    Ok(())
}

/// The positions of NULLs if there are any.
fn some_nulls(array: &dyn Array) -> Option<&NullBuffer> {
    array.nulls().filter(|n| n.null_count() > 0)
}

fn numbers<T: ArrowPrimitiveType>(array: &dyn Array, out: &mut Vec<u8>)
where
    T::Native: ToByteSlice,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    let values: &[T::Native] = array.values();
    let start = out.len();
    out.extend_from_slice(values.to_byte_slice());
    if let Some(nulls) = some_nulls(array) {
        let width = std::mem::size_of::<T::Native>();
        for row in (0..nulls.len()).filter(|row| nulls.is_null(*row)) {
            out[start + row * width..start + (row + 1) * width].fill(0);
        }
    }
}

fn strings(array: &dyn Array, out: &mut Vec<u8>) {
    let array = array.as_binary::<i32>();
    let offsets = array.value_offsets();
    let bytes = offsets[array.len()] - offsets[0];
    out.reserve(bytes as usize + array.len() * 2);
    if some_nulls(array).is_none() {
        let strings = Strings::new(offsets, array.value_data());
        for row in 0..array.len() {
            write_varint(strings.length(row) as u64, out);
            strings.put(row, out);
        }
        return;
    }
    for row in 0..array.len() {
        write_bytes(if array.is_null(row) { b"" } else { array.value(row) }, out);
    }
}

fn fixed(array: &dyn Array, width: usize, out: &mut Vec<u8>, put: fn(&[u8], &mut Vec<u8>)) {
    let array = array.as_fixed_size_binary();
    for row in 0..array.len() {
        if array.is_null(row) {
            out.resize(out.len() + width, 0);
        } else {
            put(array.value(row), out);
        }
    }
}

/// The ends of the lists, from 0; returns their items.
fn write_offsets(array: &dyn Array, out: &mut Vec<u8>) -> ArrayRef {
    let list = array.as_list::<i32>();
    let offsets = list.value_offsets();
    let first = offsets[0];
    for end in &offsets[1..] {
        out.extend_from_slice(&((end - first) as u64).to_le_bytes());
    }
    list.values().slice(first as usize, (offsets[list.len()] - first) as usize)
}

/// LowCardinality: each value once, and the rows' positions among them. The first is the type's zero;
/// of Nullable the first stands for NULL and the second is the zero.
fn write_dictionary(data_type: &DataType, array: &dyn Array, out: &mut Vec<u8>) -> Result<()> {
    if array.is_empty() {
        return Ok(());
    }
    let nullable = data_type.is_nullable();
    let inner = data_type.inner();
    let (first, rows) = value_keys(inner, array, nullable)?;
    let count = first.dictionary.len() as u64 + nullable as u64;
    let width = match count {
        0..=0x100 => 0u64,
        0x101..=0x1_0000 => 1,
        _ => 2,
    };
    let flags = FLAG_ADDITIONAL_KEYS | FLAG_UPDATE_DICTIONARY | width;
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    if nullable {
        out.extend_from_slice(&first.zero);
    }
    first.dictionary.iter().for_each(|value| out.extend_from_slice(value));
    out.extend_from_slice(&(array.len() as u64).to_le_bytes());
    for key in rows {
        match width {
            0 => out.push(key as u8),
            1 => out.extend_from_slice(&(key as u16).to_le_bytes()),
            _ => out.extend_from_slice(&key.to_le_bytes()),
        }
    }
    Ok(())
}

struct Dictionary {
    /// The bytes of the type's default.
    zero: Vec<u8>,
    /// The bytes of each value, the default first.
    dictionary: Vec<Vec<u8>>,
}

/// The different values as their bytes, and each row's key.
fn value_keys(
    inner: &DataType,
    array: &dyn Array,
    nullable: bool,
) -> Result<(Dictionary, Vec<u32>)> {
    let mut plain = vec![];
    write_values(inner, array, Mode::default(), &mut plain)?;
    let mut zero = vec![];
    let one = pumphouse_storage::Column::default_values(inner.clone(), 1);
    write_values(inner, one.array.as_ref(), Mode::default(), &mut zero)?;
    let mut dictionary = vec![zero.clone()];
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let base = nullable as u32;
    known.insert(&zero, base);
    let mut keys = Vec::with_capacity(array.len());
    let mut at = 0;
    for row in 0..array.len() {
        let width = if *inner == DataType::String {
            string_width(&plain[at..])
        } else {
            plain.len() / array.len()
        };
        let value = &plain[at..at + width];
        at += width;
        if nullable && array.is_null(row) {
            keys.push(0);
            continue;
        }
        let next = dictionary.len() as u32 + base;
        let key = *known.entry(value).or_insert_with(|| {
            dictionary.push(value.to_vec());
            next
        });
        keys.push(key);
    }
    let zero = zero.clone();
    Ok((Dictionary { zero, dictionary }, keys))
}

/// Bytes that a string takes with its length, which was just written.
fn string_width(bytes: &[u8]) -> usize {
    let (mut length, mut used) = (0usize, 0);
    for b in bytes {
        length |= ((b & 0x7f) as usize) << (7 * used);
        used += 1;
        if *b < 0x80 {
            break;
        }
    }
    used + length
}
