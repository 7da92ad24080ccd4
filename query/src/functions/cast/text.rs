//! Text to values and values to text, whole columns at a time. The parsing and printing of one value
//! is `crate::text`'s; here are the loops, and what happens to text that does not parse.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::FixedSizeBinaryBuilder;
use pumphouse_storage::types::EnumValues;
use pumphouse_storage::{Column, DataType, Value};

use super::super::native::{As, Native, load, values, with_native};
use super::super::strings::{Strings, StringsBuilder, Validity};
use super::super::wide::is_wide;
use super::number::finish;
use super::{Mode, OnFailure};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::text::{self, TextError, TextResult};

/// Every value as toString prints it.
pub(super) fn to_text(column: &Column, context: &QueryContext) -> Result<ArrayRef> {
    let rows = column.len();
    let mut out = StringsBuilder::with_capacity(rows, rows * 8);
    let data_type = &column.data_type;
    if let DataType::FixedString(_) = data_type {
        let strings = Strings::of(column.array.as_ref())?;
        for row in 0..rows {
            out.push(trim_zeros(strings.get(row)));
        }
        return out.finish();
    }
    if data_type.is_integer() && !is_wide(data_type) && *data_type != DataType::Bool {
        if *data_type == DataType::UInt64 {
            for v in values::<u64>(column) {
                text::write::write_integer(*v, &mut out.bytes);
                out.end_row();
            }
        } else {
            for v in load::<i64>(column)? {
                text::write::write_integer(v, &mut out.bytes);
                out.end_row();
            }
        }
        return out.finish();
    }
    for row in 0..rows {
        text::write_text(data_type, column.array.as_ref(), row, context.time_zone, &mut out.bytes);
        out.end_row();
    }
    out.finish()
}

/// FixedString's bytes without the zeros that pad it.
pub(in super::super) fn trim_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    &bytes[..end]
}

/// FixedString to another length: longer is padded, shorter is error 131.
pub(super) fn resize(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    fixed_strings(column, to, mode)
}

fn fixed_strings(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let DataType::FixedString(width) = to else {
        return Err(super::unsupported(&column.data_type, to));
    };
    let strings = Strings::of(column.array.as_ref())?;
    let mut out = FixedSizeBinaryBuilder::with_capacity(column.len(), *width as i32);
    let mut valid = Validity::with_capacity(column.len());
    let mut padded = vec![0u8; *width];
    for row in 0..column.len() {
        let bytes = strings.get(row);
        let fits = bytes.len() <= *width;
        padded.fill(0);
        if fits {
            padded[..bytes.len()].copy_from_slice(bytes);
        }
        valid.push(fits);
        out.append_value(&padded).map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
    }
    finish(Arc::new(out.finish()), to, mode, valid.finish(), || {
        Error::new(
            codes::TOO_LARGE_STRING_SIZE,
            format!("String too long for type FixedString({width})"),
        )
    })
}

/// Text as values of `to`, which is not a string.
pub(super) fn from_text(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let zone = context.time_zone;
    let strict = mode.failure != OnFailure::Throw;
    match to {
        DataType::FixedString(_) => fixed_strings(column, to, mode),
        DataType::Float64 => parse(column, to, mode, text::parse_float),
        DataType::Float32 => parse(column, to, mode, text::number::parse_float32),
        DataType::Date => parse(column, to, mode, text::parse_date),
        DataType::Date32 => parse(column, to, mode, text::parse_date32),
        DataType::DateTime(own) => {
            let zone = own.unwrap_or(zone);
            parse(column, to, mode, |t| text::parse_date_time(t, zone))
        }
        DataType::DateTime64(precision, own) => {
            let zone = own.unwrap_or(zone);
            parse(column, to, mode, |t| text::parse_date_time64(t, *precision, zone))
        }
        DataType::Time => parse(column, to, mode, text::clock::parse_time),
        DataType::Time64(precision) => {
            parse(column, to, mode, |t| text::clock::parse_time64(t, *precision))
        }
        DataType::BFloat16 => {
            parse(column, to, mode, |t| text::number::parse_float32(t).map(text::read::bfloat16))
        }
        DataType::Ipv4 => parse(column, to, mode, text::parse_ipv4),
        t if t.is_integer() && !is_wide(t) && *t != DataType::Bool => {
            if strict {
                return integers_in_range(column, to, mode);
            }
            match t {
                DataType::UInt8 => parse(column, to, mode, text::parse_int::<u8>),
                DataType::UInt16 => parse(column, to, mode, text::parse_int::<u16>),
                DataType::UInt32 => parse(column, to, mode, text::parse_int::<u32>),
                DataType::UInt64 => parse(column, to, mode, text::parse_int::<u64>),
                DataType::Int8 => parse(column, to, mode, text::parse_int::<i8>),
                DataType::Int16 => parse(column, to, mode, text::parse_int::<i16>),
                DataType::Int32 => parse(column, to, mode, text::parse_int::<i32>),
                _ => parse(column, to, mode, text::parse_int::<i64>),
            }
        }
        _ => by_value(column, to, mode, context),
    }
}

/// The text of a row as the parsers take it. A FixedString of nothing but zero bytes is the integer 0.
fn row_text<'a>(strings: &Strings<'a>, fixed: bool, to: &DataType, row: usize) -> &'a [u8] {
    let bytes = strings.get(row);
    if !fixed {
        return bytes;
    }
    match trim_zeros(bytes) {
        [] if to.is_integer() && *to != DataType::Bool => b"0",
        text => text,
    }
}

fn parse<T: Native>(
    column: &Column,
    to: &DataType,
    mode: Mode,
    f: impl Fn(&[u8]) -> TextResult<T>,
) -> Result<ArrayRef> {
    let strings = Strings::of(column.array.as_ref())?;
    let fixed = matches!(column.data_type, DataType::FixedString(_));
    let rows = column.len();
    let mut out = Vec::with_capacity(rows);
    if mode.failure == OnFailure::Throw {
        for row in 0..rows {
            out.push(f(row_text(&strings, fixed, to, row)).map_err(|e| in_context(e, to))?);
        }
        return Ok(T::array(out));
    }
    let mut valid = Validity::with_capacity(rows);
    for row in 0..rows {
        let parsed = f(row_text(&strings, fixed, to, row));
        valid.push(parsed.is_ok());
        out.push(parsed.unwrap_or_default());
    }
    finish(T::array(out), to, mode, valid.finish(), || super::unsupported(&column.data_type, to))
}

/// The parser's error, with the type that was wanted.
fn in_context(e: TextError, to: &DataType) -> Error {
    if e.message.contains("Cannot parse string") {
        return Error::new(e.code, e.message);
    }
    Error::new(e.code, format!("{}: Cannot parse {to} from String", e.message))
}

/// Integers for OrNull and OrZero: what does not fit failed, nothing wraps.
fn integers_in_range(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    with_native!(to, T => {
        let unsigned = to.is_unsigned_integer();
        parse::<T>(column, to, mode, |t| {
            if t.len() > 38 {
                return Err(TextError::new(codes::CANNOT_PARSE_NUMBER, "number out of range"));
            }
            let word = text::parse_int::<i128>(t)?;
            if unsigned && t.first() == Some(&b'-') {
                return Err(TextError::new(codes::CANNOT_PARSE_NUMBER, "negative number"));
            }
            let value = As::<T>::to(word as u64);
            let back = if unsigned {
                As::<u64>::to(value) as i128
            } else {
                As::<i64>::to(value) as i128
            };
            if back == word {
                Ok(value)
            } else {
                Err(TextError::new(codes::CANNOT_PARSE_NUMBER, "number out of range"))
            }
        })
    }, else { Err(super::unsupported(&column.data_type, to)) })
}

/// The general way: one [`Value`] a row.
fn by_value(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let strings = Strings::of(column.array.as_ref())?;
    let fixed = matches!(column.data_type, DataType::FixedString(_))
        && !matches!(to, DataType::Uuid | DataType::Ipv6)
        && !(matches!(to, DataType::Decimal { .. }) && mode.failure != OnFailure::Throw);
    let mut values = Vec::with_capacity(column.len());
    let mut valid = Validity::with_capacity(column.len());
    for row in 0..column.len() {
        match text::parse_value(to, row_text(&strings, fixed, to, row), context.time_zone) {
            Ok(value) => {
                values.push(value);
                valid.push(true);
            }
            Err(e) if mode.failure == OnFailure::Throw => return Err(in_context(e, to)),
            Err(_) => {
                values.push(pumphouse_storage::block::default_value(to));
                valid.push(false);
            }
        }
    }
    let array = Column::from_values(to.clone(), &values)?.array;
    finish(array, to, mode, valid.finish(), || super::unsupported(&column.data_type, to))
}

/// Enum to Enum by number; a name that both know must keep its number.
pub(super) fn enum_to_enum(column: &Column, to: &DataType) -> Result<ArrayRef> {
    let names = |t: &DataType| -> Option<Arc<EnumValues>> {
        match t {
            DataType::Enum8(v) | DataType::Enum16(v) => Some(v.clone()),
            _ => None,
        }
    };
    let (Some(from), Some(target)) = (names(&column.data_type), names(to)) else {
        return Err(super::unsupported(&column.data_type, to));
    };
    for (name, number) in &from.values {
        if let Some(other) = target.value_of(name)
            && other != *number
        {
            return Err(Error::new(
                codes::CANNOT_CONVERT_TYPE,
                format!(
                    "Enum conversion changes value for element '{name}' from {number} to {other}"
                ),
            ));
        }
    }
    let rows: Vec<Value> = (0..column.len()).map(|row| column.value(row)).collect();
    for value in &rows {
        let known = value
            .as_i128()
            .and_then(|n| i16::try_from(n).ok())
            .is_some_and(|n| target.name_of(n).is_some());
        if !known {
            return Err(Error::new(
                codes::UNKNOWN_ELEMENT_OF_ENUM,
                format!("Unexpected value {} in enum", value.to_sql()),
            ));
        }
    }
    Ok(Column::from_values(to.clone(), &rows)?.array)
}
