//! Plain values of a column from the wire behind those that are there, as many as came: numbers in one
//! move, strings one by one. Nothing waits for the rest of its column, and nothing is copied twice.
//!
//! Which types lie plainly says [`is_plain`]; all others are read whole (`read`) and joined.

use arrow_buffer::i256;
use pumphouse_storage::DataType;

use super::read::{bad, check_enum};
use crate::format::columns::{Bytes, Values};
use crate::format::row_binary::{Read, Source, Stop, swap_uuid};

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;

/// Whether values of the type `wire` are those of a column of type `wanted` as they come.
pub(super) fn is_plain(wire: &DataType, wanted: &DataType) -> bool {
    use DataType as T;
    let wanted = match wanted {
        T::LowCardinality(inner) => inner,
        other => other,
    };
    match (wire, wanted) {
        // What lies under a NULL need not be a value of an enumeration.
        (T::Nullable(a), T::Nullable(b)) => {
            !matches!(**a, T::Enum8(_) | T::Enum16(_)) && is_plain_value(a, b)
        }
        (a, b) => is_plain_value(a, b),
    }
}

fn is_plain_value(wire: &DataType, wanted: &DataType) -> bool {
    use DataType as T;
    match (wire, wanted) {
        (T::DateTime(_), T::DateTime(_)) => true,
        (T::DateTime64(a, _), T::DateTime64(b, _)) => a == b,
        _ if wire != wanted => false,
        _ => matches!(
            wire,
            T::Bool
                | T::UInt8
                | T::UInt16
                | T::UInt32
                | T::UInt64
                | T::UInt128
                | T::UInt256
                | T::Int8
                | T::Int16
                | T::Int32
                | T::Int64
                | T::Int128
                | T::Int256
                | T::Float32
                | T::Float64
                | T::BFloat16
                | T::Decimal { .. }
                | T::Date
                | T::Date32
                | T::Time
                | T::Time64(_)
                | T::Enum8(_)
                | T::Enum16(_)
                | T::Ipv4
                | T::Ipv6
                | T::Uuid
                | T::FixedString(_)
                | T::String
        ),
    }
}

/// Appends the values that are whole in the input, at most `rows`; how many those were.
pub(super) fn append(values: &mut Values, rows: usize, source: &mut Source) -> Read<usize> {
    use Values::*;
    Ok(match values {
        UInt8(v) => words(v, rows, source, u8::from_le_bytes),
        Bool(v) => words(v, rows, source, |[byte]| (byte != 0) as u8),
        UInt16(v) | Date(v) => words(v, rows, source, u16::from_le_bytes),
        UInt32(v) | DateTime(v, _) | Ipv4(v) => words(v, rows, source, u32::from_le_bytes),
        UInt64(v) => words(v, rows, source, u64::from_le_bytes),
        Int8(v) => words(v, rows, source, i8::from_le_bytes),
        Int16(v) => words(v, rows, source, i16::from_le_bytes),
        Int32(v) | Date32(v) | Time(v) | Decimal32(v, ..) => {
            words(v, rows, source, i32::from_le_bytes)
        }
        Int64(v) | DateTime64(v, ..) | Time64(v, _) | Decimal64(v, ..) => {
            words(v, rows, source, i64::from_le_bytes)
        }
        UInt128(v) | Int128(v) | Decimal128(v, ..) => words(v, rows, source, i128::from_le_bytes),
        UInt256(v) | Int256(v) | Decimal256(v, ..) => words(v, rows, source, i256::from_le_bytes),
        Float32(v) => words(v, rows, source, f32::from_le_bytes),
        Float64(v) => words(v, rows, source, f64::from_le_bytes),
        BFloat16(v) => {
            words(v, rows, source, |word| f32::from_bits((u16::from_le_bytes(word) as u32) << 16))
        }
        Enum8(v, names) => {
            let count = words(v, rows, source, i8::from_le_bytes);
            check_enum(v[v.len() - count..].iter().map(|n| Some(*n as i16)), names)?;
            count
        }
        Enum16(v, names) => {
            let count = words(v, rows, source, i16::from_le_bytes);
            check_enum(v[v.len() - count..].iter().map(|n| Some(*n)), names)?;
            count
        }
        Ipv6(v) => {
            let (bytes, count) = whole(16, rows, source);
            v.extend_from_slice(bytes);
            count
        }
        FixedString(v, width) => {
            let (bytes, count) = whole(*width, rows, source);
            v.extend_from_slice(bytes);
            count
        }
        Uuid(v) => {
            let (bytes, count) = whole(16, rows, source);
            v.extend(bytes.chunks_exact(16).flat_map(swap_uuid));
            count
        }
        String(bytes) => strings(bytes, rows, source)?,
        _ => return Err(bad("a column that does not lie plainly")),
    })
}

/// The bytes of the values of `width` bytes that are whole in the input, and how many those are.
fn whole<'a>(width: usize, rows: usize, source: &mut Source<'a>) -> (&'a [u8], usize) {
    let left = source.bytes.get(source.at..).unwrap_or_default();
    let count = rows.min(left.len().checked_div(width).unwrap_or(0));
    source.at += count * width;
    (&left[..count * width], count)
}

fn words<T, const N: usize>(
    values: &mut Vec<T>,
    rows: usize,
    source: &mut Source,
    from: impl Fn([u8; N]) -> T,
) -> usize {
    let (bytes, count) = whole(N, rows, source);
    values.extend(bytes.as_chunks::<N>().0.iter().map(|word| from(*word)));
    count
}

fn strings(strings: &mut Bytes, rows: usize, source: &mut Source) -> Read<usize> {
    for done in 0..rows {
        let before = source.at;
        let string = match source.string() {
            Ok(string) => string,
            Err(Stop::Cut) => {
                source.at = before;
                return Ok(done);
            }
            Err(stop) => return Err(stop),
        };
        let start = source.at - string.len();
        match source.bytes.get(start..start + SHORT).and_then(|b| b.first_chunk::<SHORT>()) {
            Some(wide) if string.len() <= SHORT => {
                let end = strings.data.len() + string.len();
                strings.data.extend_from_slice(wide);
                strings.data.truncate(end);
            }
            _ => strings.data.extend_from_slice(string),
        }
        strings.end();
    }
    Ok(rows)
}
