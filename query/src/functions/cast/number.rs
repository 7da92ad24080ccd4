//! Conversions between numbers: integers wrap, floats are cut, decimals are rescaled and checked.

use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{NullBuffer, i256};
use pumphouse_storage::{Column, DataType};

use super::super::decimal::{Word, scale_of, store, store_256};
use super::super::invoke::set_nulls;
use super::super::native::{Native, load, values, with_native};
use super::super::strings::Validity;
use super::super::wide::{f64_to_i256, is_wide, load_i128, load_wide, store_wide};
use super::{Mode, OnFailure, fill_defaults, not_safe, unsupported};
use crate::error::{Error, Result, codes};

/// Any number (or Enum, Interval) to any other.
pub(super) fn convert(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let from = &column.data_type;
    match (from, to) {
        (_, DataType::Bool) => to_bool(column),
        (DataType::Decimal { .. }, _) | (_, DataType::Decimal { .. }) => decimals(column, to, mode),
        _ if mode.accurate => accurate(column, to, mode),
        _ if from.is_float() && !to.is_float() => float_to_integer(column, to, mode),
        _ if is_wide(from) && to.is_float() => plain(column, to),
        _ if is_wide(from) || is_wide(to) => Ok(store_wide(to, load_wide(column)?)),
        _ => plain(column, to),
    }
}

/// Both sides of at most 64 bit: one loop.
fn plain(column: &Column, to: &DataType) -> Result<ArrayRef> {
    with_native!(to, T => Ok(T::array(load::<T>(column)?)), else {
        Err(unsupported(&column.data_type, to))
    })
}

fn to_bool(column: &Column) -> Result<ArrayRef> {
    if is_wide(&column.data_type) || matches!(column.data_type, DataType::Decimal { .. }) {
        let words = load_wide(column)?;
        return Ok(u8::array(words.into_iter().map(|w| u8::from(w != i256::ZERO)).collect()));
    }
    with_native!(column.data_type, T => {
        Ok(u8::array(values::<T>(column).iter().map(|v| u8::from(*v != T::default())).collect()))
    }, else { Err(unsupported(&column.data_type, &DataType::Bool)) })
}

fn float_to_integer(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let floats = load::<f64>(column)?;
    if mode.failure == OnFailure::Throw && floats.iter().any(|v| !v.is_finite()) {
        return Err(Error::new(
            codes::CANNOT_CONVERT_TYPE,
            "Unexpected inf or nan to integer conversion",
        ));
    }
    if is_wide(to) {
        return Ok(store_wide(to, floats.into_iter().map(f64_to_i256).collect()));
    }
    plain(column, to)
}

/// The conversion, and back; what does not come back the same failed.
fn accurate(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let from = &column.data_type;
    let loose = Mode { failure: OnFailure::Null, accurate: false };
    let there = Column { data_type: to.clone(), array: convert(column, to, loose)? };
    let mut kept = Validity::with_capacity(column.len());
    let mut all = true;
    if from.is_float() || to.is_float() {
        let back = Column { data_type: from.clone(), array: convert(&there, from, loose)? };
        let (a, b) = (load::<f64>(column)?, load::<f64>(&back)?);
        let (exact_a, exact_b) = (load_wide(column)?, load_wide(&back)?);
        for i in 0..a.len() {
            let narrow = from.is_float() && to.is_float();
            let same = (a[i] == b[i] && exact_a[i] == exact_b[i])
                || (narrow && (a[i].is_nan() || !a[i].is_finite()));
            let fits = narrow || a[i].is_finite() && same_sign(a[i], to);
            kept.push(same && fits);
            all &= same && fits;
        }
    } else {
        let (a, b) = (load_wide(column)?, load_wide(&there)?);
        for i in 0..a.len() {
            kept.push(a[i] == b[i]);
            all &= a[i] == b[i];
        }
    }
    finish(there.array, to, mode, (!all).then(|| kept.finish()).flatten(), || not_safe(from, to))
}

/// Whether a float and the integer made of it agree in sign (a wrap to unsigned does not).
fn same_sign(v: f64, to: &DataType) -> bool {
    v >= 0.0 || !to.is_unsigned_integer()
}

/// Applies a mode to rows that failed.
pub(super) fn finish(
    array: ArrayRef,
    to: &DataType,
    mode: Mode,
    valid: Option<NullBuffer>,
    error: impl FnOnce() -> Error,
) -> Result<ArrayRef> {
    let Some(valid) = valid else { return Ok(array) };
    match mode.failure {
        OnFailure::Throw => Err(error()),
        OnFailure::Null => Ok(set_nulls(&array, Some(valid))),
        OnFailure::Default => fill_defaults(&set_nulls(&array, Some(valid)), to),
    }
}

fn decimals(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let from = &column.data_type;
    if to.is_float() {
        let floats = super::super::decimal::to_floats(column)?;
        return Ok(match to {
            DataType::Float32 => f32::array(floats.into_iter().map(|v| v as f32).collect()),
            _ => f64::array(floats),
        });
    }
    let (scale, target_scale) = (scale_of(from), scale_of(to));
    let rows = if from.is_float() {
        floats_to_words(column, target_scale)?
    } else if needs_256(from) || needs_256(to) {
        rescale(load_wide(column)?, scale, target_scale)
    } else {
        // The common case: 128 bit is enough and much faster.
        let words = rescale(load_i128(column)?, scale, target_scale);
        words.into_iter().map(|w| w.map(i256::from_i128)).collect()
    };
    let mut valid = Validity::with_capacity(rows.len());
    let mut words = Vec::with_capacity(rows.len());
    for row in rows {
        let fitting = row.filter(|w| fits(*w, to));
        valid.push(fitting.is_some());
        words.push(fitting.unwrap_or(i256::ZERO));
    }
    let array = match to {
        DataType::Decimal { precision: 39.., .. } => store_256(to, words)?,
        DataType::Decimal { .. } => {
            store(to, words.into_iter().map(|w| w.to_i128().unwrap_or(0)).collect())?
        }
        _ => store_wide(to, words),
    };
    finish(array, to, mode, valid.finish(), || {
        Error::new(codes::DECIMAL_OVERFLOW, "Decimal convert overflow")
    })
}

fn needs_256(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal { precision: 39.., .. }
            | DataType::UInt128
            | DataType::UInt256
            | DataType::Int256
    )
}

fn floats_to_words(column: &Column, scale: u8) -> Result<Vec<Option<i256>>> {
    let power = 10f64.powi(scale as i32);
    Ok(load::<f64>(column)?
        .into_iter()
        .map(|v| {
            let scaled = v * power;
            (scaled.is_finite() && scaled.abs() < 2f64.powi(255)).then(|| f64_to_i256(scaled))
        })
        .collect())
}

/// Words moved from one scale to another; digits that go are cut.
fn rescale<W: Word>(words: Vec<W>, from: u8, to: u8) -> Vec<Option<W>> {
    let power = W::power_of_ten(from.abs_diff(to) as u32);
    words
        .into_iter()
        .map(|w| {
            if from == to {
                return Some(w);
            }
            if from < to { w.times(power?) } else { w.over(power?) }
        })
        .collect()
}

/// Whether a word is in the range of the type's storage.
fn fits(word: i256, to: &DataType) -> bool {
    use DataType::*;
    let within = |low: i128, high: i128| word.to_i128().is_some_and(|w| low <= w && w <= high);
    match to {
        Decimal { precision: 0..=9, .. } | Int32 => within(i32::MIN as i128, i32::MAX as i128),
        Decimal { precision: 10..=18, .. } | Int64 => within(i64::MIN as i128, i64::MAX as i128),
        Decimal { precision: 19..=38, .. } | Int128 => word.to_i128().is_some(),
        Decimal { .. } | Int256 => true,
        UInt8 => within(0, u8::MAX as i128),
        UInt16 => within(0, u16::MAX as i128),
        UInt32 => within(0, u32::MAX as i128),
        UInt64 => within(0, u64::MAX as i128),
        Int8 => within(i8::MIN as i128, i8::MAX as i128),
        Int16 => within(i16::MIN as i128, i16::MAX as i128),
        _ => !word.is_negative(),
    }
}

/// Intervals of one unit in another, where one holds a whole number of the other; cut to whole units.
pub(super) fn interval(column: &Column, from: &str, to: &str) -> Result<ArrayRef> {
    use super::super::interval::Unit;
    let nanos = |name: &str| -> Option<i128> {
        let unit = Unit::of_interval(name)?;
        match unit {
            Unit::Nanosecond | Unit::Microsecond | Unit::Millisecond => {
                Some(10i128.pow(9 - unit.precision() as u32))
            }
            Unit::Month | Unit::Quarter | Unit::Year => None,
            unit => Some(unit.seconds() as i128 * 1_000_000_000),
        }
    };
    let months = |name: &str| -> Option<i128> {
        match Unit::of_interval(name)? {
            Unit::Month => Some(1),
            Unit::Quarter => Some(3),
            Unit::Year => Some(12),
            _ => None,
        }
    };
    let sizes = nanos(from).zip(nanos(to)).or_else(|| months(from).zip(months(to)));
    let Some((a, b)) = sizes else {
        return Err(Error::new(
            codes::CANNOT_CONVERT_TYPE,
            format!("Conversion between Interval{from} and Interval{to} is not supported"),
        ));
    };
    Ok(i64::array(values::<i64>(column).iter().map(|v| (*v as i128 * a / b) as i64).collect()))
}

/// Integers to an Enum; a number that is none of its values is error 691.
pub(super) fn to_enum(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let (DataType::Enum8(names) | DataType::Enum16(names)) = to else {
        return Err(unsupported(&column.data_type, to));
    };
    let numbers = load::<i64>(column)?;
    let mut valid = Validity::with_capacity(numbers.len());
    let mut wrong = None;
    for n in &numbers {
        let known = i16::try_from(*n).is_ok_and(|n| names.name_of(n).is_some());
        if !known {
            wrong = Some(*n);
        }
        valid.push(known);
    }
    let array = plain(column, to)?;
    finish(array, to, mode, valid.finish(), || {
        let wrong = wrong.unwrap_or_default();
        let fits = match to {
            DataType::Enum8(_) => i8::try_from(wrong).is_ok(),
            _ => i16::try_from(wrong).is_ok(),
        };
        match fits {
            true => Error::new(
                codes::UNKNOWN_ELEMENT_OF_ENUM,
                format!("Unexpected value {wrong} in enum"),
            ),
            false => Error::new(
                codes::CANNOT_CONVERT_TYPE,
                format!("Value {wrong} cannot be converted to enum type"),
            ),
        }
    })
}

/// IPv4, IPv6 and UUID among themselves and to integers.
pub(super) fn addresses(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    use DataType::*;
    let from = &column.data_type;
    match (from, to) {
        (Ipv4, Ipv6) => {
            let mut out = FixedSizeBinaryBuilder::with_capacity(column.len(), 16);
            for v in values::<u32>(column) {
                let mut bytes = [0u8; 16];
                bytes[10..12].fill(0xFF);
                bytes[12..].copy_from_slice(&v.to_be_bytes());
                out.append_value(bytes)
                    .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
            }
            Ok(Arc::new(out.finish()))
        }
        (Ipv6, Ipv4) => {
            let array = column.array.as_fixed_size_binary();
            let mut valid = Validity::with_capacity(array.len());
            let mut words = Vec::with_capacity(array.len());
            for bytes in array.iter().flatten() {
                let mapped = bytes[..10].iter().all(|b| *b == 0) && bytes[10..12] == [0xFF, 0xFF];
                valid.push(mapped);
                words.push(u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]));
            }
            finish(u32::array(words), to, mode, valid.finish(), || {
                Error::new(codes::CANNOT_CONVERT_TYPE, "IPv6 address is not in IPv4 mapping block")
            })
        }
        (Ipv4, _) if to.is_integer() && !is_wide(to) => plain(column, to),
        (_, Ipv4) if from.is_integer() && !is_wide(from) => plain(column, to),
        (Ipv6 | Uuid, UInt128) => {
            let array = column.array.as_fixed_size_binary();
            let words = array
                .iter()
                .flatten()
                .map(|b| {
                    let mut bytes = [0u8; 16];
                    bytes.copy_from_slice(b);
                    i256::from_parts(u128::from_be_bytes(bytes), 0)
                })
                .collect();
            Ok(store_wide(to, words))
        }
        (UInt128, Ipv6) => {
            let mut out = FixedSizeBinaryBuilder::with_capacity(column.len(), 16);
            for word in load_wide(column)? {
                out.append_value(word.to_parts().0.to_be_bytes())
                    .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
            }
            Ok(Arc::new(out.finish()))
        }
        (_, Uuid) if from.is_number() => Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "Conversion between numeric types and UUID is not supported. Probably the passed UUID is unquoted",
        )),
        _ => Err(unsupported(from, to)),
    }
}
