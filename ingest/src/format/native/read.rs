//! Bytes to blocks. Numbers are taken as they lie; every length is checked against the input before
//! anything is made of it.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeBinaryArray, ListArray,
    PrimitiveArray, StructArray, UInt32Array,
};
use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType as ArrowType;
use pumphouse_query::error::codes;
use pumphouse_storage::types::{EnumValues, parse_data_type};
use pumphouse_storage::{Block, Column, DataType};

use super::self_typed::{Prefix, read_self_typed, read_self_typed_prefix};
use super::*;
use crate::format::row_binary::{Read, Source, Stop, binary_error, swap_uuid};
use crate::format::states::Layout;
use crate::format::{BUFFERED_BYTES_MAX, ParseError};

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;
/// A block has no more columns than this.
const COLUMNS_MAX: usize = 1 << 16;

/// The block at the beginning of `bytes` and the bytes it takes; None if they end within it.
pub fn read_block(
    bytes: &[u8],
    revision: u64,
) -> std::result::Result<Option<(Block, usize)>, ParseError> {
    let mut source = Source { bytes, at: 0 };
    match whole_block(&mut source, revision) {
        Ok(block) => Ok(Some((block, source.at))),
        Err(Stop::Cut) => Ok(None),
        Err(stop) => Err(binary_error(stop, source.at, 0, "block")),
    }
}

pub(super) fn bad(message: impl Into<String>) -> Stop {
    Stop::Bad(codes::INCORRECT_DATA, message.into())
}

fn whole_block(source: &mut Source, revision: u64) -> Read<Block> {
    let (columns, rows) = head(source, revision)?;
    let (mut named, mut bytes) = (vec![], 0);
    for _ in 0..columns {
        let from = source.at;
        let (name, column) = named_column(source, revision, rows)?;
        bytes += column.memory_bytes().max(source.at - from);
        if bytes > BUFFERED_BYTES_MAX {
            return Err(too_large());
        }
        named.push((name, column));
    }
    Ok(Block::new(named))
}

/// The head of a block: how many columns and rows it has.
pub(super) fn head(source: &mut Source, revision: u64) -> Read<(usize, usize)> {
    if revision >= REVISION_BLOCK_INFO {
        block_info(source)?;
    }
    let columns = source.varint()?;
    let rows = source.varint()?;
    if columns > COLUMNS_MAX {
        return Err(bad(format!("a block of {columns} columns, more than {COLUMNS_MAX}")));
    }
    if rows > u32::MAX as usize {
        return Err(bad(format!("a block of {rows} rows")));
    }
    if columns == 0 && rows > 0 {
        return Err(bad("a block of rows without columns"));
    }
    Ok((columns, rows))
}

/// The head of a column: its name and type.
pub(super) fn column_head(source: &mut Source, revision: u64) -> Read<(String, DataType)> {
    let name = String::from_utf8_lossy(source.string()?).into_owned();
    let type_name = String::from_utf8_lossy(source.string()?).into_owned();
    let data_type =
        parse_data_type(&type_name).map_err(|e| Stop::Bad(codes::UNKNOWN_TYPE, e.to_string()))?;
    if revision >= REVISION_CUSTOM_SERIALIZATION && source.array()? != [0u8] {
        return Err(Stop::Bad(
            codes::NOT_IMPLEMENTED,
            format!("column {name} comes in a custom serialization"),
        ));
    }
    Ok((name, data_type))
}

fn named_column(source: &mut Source, revision: u64, rows: usize) -> Read<(String, Column)> {
    let (name, data_type) = column_head(source, revision)?;
    let column = if rows == 0 {
        Column::empty(data_type)
    } else {
        let prefix = read_prefix(&data_type, source)?;
        let array = read_column_of(&data_type, &prefix, rows, source)?;
        Column::new(data_type, array)
    };
    Ok((name, column))
}

/// Numbered fields; 0 ends them.
fn block_info(source: &mut Source) -> Read<()> {
    loop {
        match source.varint()? {
            0 => return Ok(()),
            1 => source.take(1)?,
            2 => source.take(4)?,
            other => return Err(bad(format!("unknown field {other} in a block's info"))),
        };
    }
}

/// Reads what stands before all data of a column.
pub(super) fn read_prefix(data_type: &DataType, source: &mut Source) -> Read<Prefix> {
    use DataType as T;
    let all = |types: &[&DataType], source: &mut Source| {
        let inside: Vec<Prefix> =
            types.iter().map(|t| read_prefix(t, source)).collect::<Read<_>>()?;
        let any = inside.iter().any(|p| !matches!(p, Prefix::Nothing));
        Ok(if any { Prefix::Inside(inside) } else { Prefix::Nothing })
    };
    match data_type {
        T::LowCardinality(_) => match u64::from_le_bytes(source.array()?) {
            SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS => Ok(Prefix::Nothing),
            other => Err(bad(format!("unknown version {other} of LowCardinality's keys"))),
        },
        T::Nullable(t) => read_prefix(t, source),
        T::Array(t) => all(&[t], source),
        T::SimpleAggregateFunction { argument, .. } | T::Named { argument, .. } => {
            read_prefix(argument, source)
        }
        T::Map(k, v) => all(&[k, v], source),
        T::Tuple(elements) => {
            all(&elements.iter().map(|e| &e.data_type).collect::<Vec<_>>(), source)
        }
        T::Variant(_) | T::Dynamic { .. } | T::Json(_) => read_self_typed_prefix(data_type, source),
        _ => Ok(Prefix::Nothing),
    }
}

/// Reads the data of a column whose prefix was read.
pub(super) fn read_column_of(
    data_type: &DataType,
    prefix: &Prefix,
    rows: usize,
    source: &mut Source,
) -> Read<ArrayRef> {
    use DataType as T;
    match data_type {
        T::LowCardinality(t) => read_dictionary(t, rows, source),
        T::SimpleAggregateFunction { argument, .. } | T::Named { argument, .. } => {
            read_column_of(argument, prefix, rows, source)
        }
        T::Nullable(t) => {
            let flags = source.take(rows)?;
            let nulls: NullBuffer = flags.iter().map(|flag| *flag == 0).collect();
            let nulls = (nulls.null_count() > 0).then_some(nulls);
            if matches!(**t, T::Json(_)) {
                let array = read_self_typed(t, prefix, rows, source)?;
                let data = array.to_data().into_builder().nulls(nulls).build().map_err(layout)?;
                return Ok(arrow_array::make_array(data));
            }
            read_values(t.inner(), prefix, rows, nulls, source)
        }
        T::Variant(_) | T::Dynamic { .. } | T::Json(_) => {
            read_self_typed(data_type, prefix, rows, source)
        }
        other => read_values(other, prefix, rows, None, source),
    }
}

/// The prefix of what is inside.
fn inside(prefix: &Prefix, at: usize) -> &Prefix {
    match prefix {
        Prefix::Inside(all) => all.get(at).unwrap_or(&Prefix::Nothing),
        _ => &Prefix::Nothing,
    }
}

fn read_values(
    data_type: &DataType,
    prefix: &Prefix,
    rows: usize,
    nulls: Option<NullBuffer>,
    source: &mut Source,
) -> Read<ArrayRef> {
    use DataType as T;
    Ok(match data_type {
        T::Nothing => {
            source.take(rows)?;
            Arc::new(PrimitiveArray::<UInt8Type>::new(vec![0; rows].into(), nulls))
        }
        T::Bool => {
            let values: Vec<u8> = source.take(rows)?.iter().map(|b| (*b != 0) as u8).collect();
            Arc::new(PrimitiveArray::<UInt8Type>::new(values.into(), nulls))
        }
        T::UInt8 => numbers::<UInt8Type>(rows, nulls, source)?,
        T::UInt16 | T::Date => numbers::<UInt16Type>(rows, nulls, source)?,
        T::UInt32 | T::DateTime(_) | T::Ipv4 => numbers::<UInt32Type>(rows, nulls, source)?,
        T::UInt64 => numbers::<UInt64Type>(rows, nulls, source)?,
        T::Int8 => numbers::<Int8Type>(rows, nulls, source)?,
        T::Int16 => numbers::<Int16Type>(rows, nulls, source)?,
        T::Enum8(names) => {
            let array = raw::<Int8Type>(rows, nulls, source)?;
            check_enum(array.iter().map(|v| v.map(i16::from)), names)?;
            Arc::new(array)
        }
        T::Enum16(names) => {
            let array = raw::<Int16Type>(rows, nulls, source)?;
            check_enum(array.iter(), names)?;
            Arc::new(array)
        }
        T::Int32 | T::Date32 | T::Time => numbers::<Int32Type>(rows, nulls, source)?,
        T::Int64 | T::DateTime64(..) | T::Interval(_) | T::Time64(_) => {
            numbers::<Int64Type>(rows, nulls, source)?
        }
        T::Float32 => numbers::<Float32Type>(rows, nulls, source)?,
        T::Float64 => numbers::<Float64Type>(rows, nulls, source)?,
        T::UInt128 | T::Int128 => wide::<Decimal128Type>(data_type, rows, nulls, source)?,
        T::UInt256 | T::Int256 => wide::<Decimal256Type>(data_type, rows, nulls, source)?,
        T::Decimal { precision, .. } => match precision {
            0..=9 => numbers::<Int32Type>(rows, nulls, source)?,
            10..=18 => numbers::<Int64Type>(rows, nulls, source)?,
            19..=38 => wide::<Decimal128Type>(data_type, rows, nulls, source)?,
            _ => wide::<Decimal256Type>(data_type, rows, nulls, source)?,
        },
        T::String => strings(rows, nulls, source)?,
        T::FixedString(width) => {
            let data = source.take(product(rows, *width)?)?.to_vec();
            fixed(data, *width, nulls)?
        }
        T::Ipv6 => fixed(source.take(product(rows, 16)?)?.to_vec(), 16, nulls)?,
        T::Uuid => {
            let data = source.take(product(rows, 16)?)?;
            fixed(data.chunks_exact(16).flat_map(swap_uuid).collect(), 16, nulls)?
        }
        T::Array(item) => {
            let offsets = read_offsets(rows, source)?;
            let count = offsets[rows] as usize;
            let items = read_column_of(item, inside(prefix, 0), count, source)?;
            list(data_type, offsets, items)?
        }
        T::Map(key, value) => {
            let offsets = read_offsets(rows, source)?;
            let count = offsets[rows] as usize;
            let keys = read_column_of(key, inside(prefix, 0), count, source)?;
            let values = read_column_of(value, inside(prefix, 1), count, source)?;
            let ArrowType::List(field) = data_type.arrow() else { return Err(bad("a map")) };
            let ArrowType::Struct(fields) = field.data_type().clone() else {
                return Err(bad("a map's entries"));
            };
            let entries = StructArray::try_new_with_length(fields, vec![keys, values], None, count)
                .map_err(layout)?;
            list(data_type, offsets, Arc::new(entries))?
        }
        T::Tuple(elements) => {
            if elements.is_empty() {
                source.take(rows)?;
            }
            let columns = elements
                .iter()
                .enumerate()
                .map(|(i, e)| read_column_of(&e.data_type, inside(prefix, i), rows, source))
                .collect::<Read<Vec<_>>>()?;
            let ArrowType::Struct(fields) = data_type.arrow() else { return Err(bad("a tuple")) };
            let array = StructArray::try_new_with_length(fields, columns, nulls, rows);
            Arc::new(array.map_err(layout)?)
        }
        T::BFloat16 => {
            let bytes = source.take(product(rows, 2)?)?;
            let words = bytes.as_chunks::<2>().0.iter();
            let values: Vec<f32> =
                words.map(|w| f32::from_bits((u16::from_le_bytes(*w) as u32) << 16)).collect();
            Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), nulls))
        }
        T::Nullable(_)
        | T::LowCardinality(_)
        | T::SimpleAggregateFunction { .. }
        | T::Named { .. }
        | T::Variant(_)
        | T::Dynamic { .. }
        | T::Json(_) => read_column_of(data_type, prefix, rows, source)?,
        T::AggregateFunction { .. } => {
            let layout =
                Layout::of(data_type, "Native").map_err(|e| Stop::Bad(e.code(), e.to_string()))?;
            let (mut states, mut ends) = (vec![], vec![0i32]);
            for _ in 0..rows {
                layout.read(source, &mut states)?;
                ends.push(i32::try_from(states.len()).map_err(|_| too_large())?);
            }
            let ends = OffsetBuffer::new(ends.into());
            Arc::new(BinaryArray::new(ends, Buffer::from_vec(states), nulls))
        }
    })
}

fn layout(e: arrow_schema::ArrowError) -> Stop {
    bad(format!("values do not form a column: {e}"))
}

fn product(rows: usize, width: usize) -> Read<usize> {
    rows.checked_mul(width).ok_or(Stop::Cut)
}

fn raw<T: ArrowPrimitiveType>(
    rows: usize,
    nulls: Option<NullBuffer>,
    source: &mut Source,
) -> Read<PrimitiveArray<T>> {
    let bytes = source.take(product(rows, std::mem::size_of::<T::Native>())?)?;
    // Copied into a buffer of its own, which is aligned.
    let values = ScalarBuffer::<T::Native>::new(Buffer::from_slice_ref(bytes), 0, rows);
    Ok(PrimitiveArray::<T>::new(values, nulls))
}

fn numbers<T: ArrowPrimitiveType>(
    rows: usize,
    nulls: Option<NullBuffer>,
    source: &mut Source,
) -> Read<ArrayRef> {
    Ok(Arc::new(raw::<T>(rows, nulls, source)?))
}

fn wide<T: ArrowPrimitiveType>(
    data_type: &DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
    source: &mut Source,
) -> Read<ArrayRef> {
    Ok(Arc::new(raw::<T>(rows, nulls, source)?.with_data_type(data_type.arrow())))
}

pub(super) fn check_enum(
    values: impl Iterator<Item = Option<i16>>,
    names: &EnumValues,
) -> Read<()> {
    for value in values.flatten() {
        if names.name_of(value).is_none() {
            return Err(Stop::Bad(
                codes::UNKNOWN_ELEMENT_OF_ENUM,
                format!("Unexpected value {value} in enum"),
            ));
        }
    }
    Ok(())
}

fn strings(rows: usize, nulls: Option<NullBuffer>, source: &mut Source) -> Read<ArrayRef> {
    // A string takes a byte at least.
    if source.bytes.len() - source.at < rows {
        return Err(Stop::Cut);
    }
    // Lengths first: then the bytes go into memory of the right size.
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    let mut starts: Vec<usize> = Vec::with_capacity(rows);
    offsets.push(0);
    let mut total = 0;
    for _ in 0..rows {
        let length = source.string()?.len();
        starts.push(source.at - length);
        total += length;
        if total > BUFFERED_BYTES_MAX {
            return Err(too_large());
        }
        offsets.push(total as i32);
    }
    let mut data: Vec<u8> = Vec::with_capacity(total + SHORT);
    for (start, ends) in starts.iter().zip(offsets.windows(2)) {
        let length = (ends[1] - ends[0]) as usize;
        match source.bytes.get(*start..start + SHORT).and_then(|b| b.first_chunk::<SHORT>()) {
            Some(wide) if length <= SHORT => {
                data.extend_from_slice(wide);
                data.truncate(ends[1] as usize);
            }
            _ => data.extend_from_slice(&source.bytes[*start..start + length]),
        }
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let array = BinaryArray::try_new(offsets, Buffer::from_vec(data), nulls).map_err(layout)?;
    Ok(Arc::new(array))
}

pub(super) fn too_large() -> Stop {
    let message = format!("a block, or a column of it, passes {BUFFERED_BYTES_MAX} bytes");
    Stop::Bad(codes::MEMORY_LIMIT_EXCEEDED, message)
}

fn fixed(data: Vec<u8>, width: usize, nulls: Option<NullBuffer>) -> Read<ArrayRef> {
    let array = FixedSizeBinaryArray::try_new(width as i32, Buffer::from_vec(data), nulls);
    Ok(Arc::new(array.map_err(layout)?))
}

/// The ends of `rows` lists, with a leading 0.
fn read_offsets(rows: usize, source: &mut Source) -> Read<Vec<i32>> {
    let bytes = source.take(product(rows, 8)?)?;
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0i32);
    let mut previous = 0;
    for end in bytes.as_chunks::<8>().0 {
        let end = i32::try_from(u64::from_le_bytes(*end))
            .map_err(|_| bad("an array's end passes 2^31"))?;
        if end < previous {
            return Err(bad("an array ends before it begins"));
        }
        previous = end;
        offsets.push(end);
    }
    Ok(offsets)
}

fn list(data_type: &DataType, offsets: Vec<i32>, items: ArrayRef) -> Read<ArrayRef> {
    let ArrowType::List(field) = data_type.arrow() else { return Err(bad("a list")) };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None).map_err(layout)?))
}

fn read_dictionary(data_type: &DataType, rows: usize, source: &mut Source) -> Read<ArrayRef> {
    if rows == 0 {
        return Ok(arrow_array::new_empty_array(&data_type.arrow()));
    }
    let flags = u64::from_le_bytes(source.array()?);
    if flags & FLAG_GLOBAL_DICTIONARY != 0 || flags & FLAG_ADDITIONAL_KEYS == 0 {
        return Err(bad("a LowCardinality column without a dictionary of its own"));
    }
    let count = u64::from_le_bytes(source.array()?);
    let count = usize::try_from(count).map_err(|_| Stop::Cut)?;
    // A value takes a byte at least: nothing is made for more of them than can be there.
    if count > source.bytes.len() {
        return Err(Stop::Cut);
    }
    // The dictionary's first value stands for NULL.
    let nulls = (data_type.is_nullable() && count > 0)
        .then(|| (0..count).map(|i| i > 0).collect::<NullBuffer>());
    let dictionary = read_values(data_type.inner(), &Prefix::Nothing, count, nulls, source)?;
    let stated = u64::from_le_bytes(source.array()?);
    if stated != rows as u64 {
        return Err(bad(format!("a LowCardinality column of {stated} keys for {rows} rows")));
    }
    let keys = read_keys(flags & 0xff, rows, count, source)?;
    check_expanded(dictionary.as_ref(), &keys)?;
    arrow_select::take::take(dictionary.as_ref(), &keys, None).map_err(layout)
}

fn read_keys(width: u64, rows: usize, count: usize, source: &mut Source) -> Read<UInt32Array> {
    fn small<T: ArrowNativeType + Into<u64>, const N: usize>(
        bytes: &[u8],
        from: fn([u8; N]) -> T,
        count: usize,
    ) -> Read<Vec<u32>> {
        let mut keys = Vec::with_capacity(bytes.len() / N);
        for key in bytes.as_chunks::<N>().0 {
            let key: u64 = from(*key).into();
            if key >= count as u64 {
                return Err(bad(format!("key {key} of a dictionary of {count} values")));
            }
            keys.push(key as u32);
        }
        Ok(keys)
    }
    let keys = match width {
        0 => small(source.take(rows)?, u8::from_le_bytes, count)?,
        1 => small(source.take(product(rows, 2)?)?, u16::from_le_bytes, count)?,
        2 => small(source.take(product(rows, 4)?)?, u32::from_le_bytes, count)?,
        3 => small(source.take(product(rows, 8)?)?, u64::from_le_bytes, count)?,
        other => return Err(bad(format!("keys of unknown width {other}"))),
    };
    Ok(UInt32Array::from(keys))
}

/// A short key may stand for a long value: what the rows come to must be bounded.
fn check_expanded(dictionary: &dyn Array, keys: &UInt32Array) -> Read<()> {
    let bytes: u64 = match dictionary.data_type() {
        ArrowType::Binary => {
            let offsets = dictionary.to_data().buffers()[0].typed_data::<i32>().to_vec();
            keys.values()
                .iter()
                .map(|k| (offsets[*k as usize + 1] - offsets[*k as usize]) as u64)
                .sum()
        }
        ArrowType::FixedSizeBinary(width) => *width as u64 * keys.len() as u64,
        _ => 0,
    };
    if bytes > BUFFERED_BYTES_MAX as u64 { Err(too_large()) } else { Ok(()) }
}
