//! Conversions between types: CAST, `::`, the to* functions and every implicit conversion.
//!
//! [`cast_column`] is CAST: integers wrap, text must parse whole, NULL into a plain type is error 349.
//! [`Mode`] says what else may be wanted: NULL or the default where a value does not convert (toXOrNull,
//! toXOrZero), and no silent loss (accurateCast). `number`, `text`, `time` and `nested` do the kinds.

pub(super) mod nested;
mod number;
mod run_time;
pub(super) mod text;
mod time;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow_buffer::NullBuffer;
use pumphouse_storage::{Column, DataType, Value};

use super::clock;
use super::invoke::{is_null_type, set_nulls, strip_low_cardinality, without_nulls};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};

/// What becomes of a value that does not convert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Throw,
    Null,
    Default,
}

/// How strict a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    pub failure: OnFailure,
    /// Numbers must keep their value.
    pub accurate: bool,
}

impl Mode {
    pub const CAST: Mode = Mode { failure: OnFailure::Throw, accurate: false };
    pub const OR_NULL: Mode = Mode { failure: OnFailure::Null, accurate: true };
    pub const OR_DEFAULT: Mode = Mode { failure: OnFailure::Default, accurate: true };
}

/// `column` as a column of type `to`, as CAST does it.
pub fn cast_column(column: &Column, to: &DataType, context: &QueryContext) -> Result<Column> {
    convert(column, to, Mode::CAST, context)
}

/// One value of type `from` as a value of type `to`.
pub fn cast_value(
    value: &Value,
    from: &DataType,
    to: &DataType,
    context: &QueryContext,
) -> Result<Value> {
    if value.is_null() && to.is_nullable() {
        return Ok(Value::Null);
    }
    let column = Column::constant(from.clone(), value, 1)?;
    Ok(cast_column(&column, to, context)?.value(0))
}

/// `column` as a column of type `to`. With [`OnFailure::Null`] the array has NULLs even if `to` is
/// not Nullable; the caller makes the type so.
pub(super) fn convert(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<Column> {
    if column.data_type == *to {
        return Ok(column.clone());
    }
    if let Some(done) = run_time::self_typed(column, to, mode, context) {
        return done;
    }
    let source =
        Column { data_type: strip_low_cardinality(&column.data_type), array: column.array.clone() };
    let target = strip_low_cardinality(to);
    let array = convert_nullable(&source, &target, mode, context)?;
    Ok(Column { data_type: to.clone(), array })
}

fn convert_nullable(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    if column.data_type == *to {
        return Ok(column.array.clone());
    }
    if let DataType::Nullable(inner) = to {
        if is_null_type(&column.data_type) {
            return Ok(new_null_array(&to.arrow(), column.len()));
        }
        // Text that is no value of a Nullable type is NULL.
        let text = column.data_type.inner().is_string() && mode.failure == OnFailure::Throw;
        let mode = if text && !inner.is_string() {
            Mode { failure: OnFailure::Null, ..mode }
        } else {
            mode
        };
        return match column.array.nulls().filter(|n| n.null_count() > 0) {
            Some(nulls) => convert_valid(column, inner, mode, context, nulls),
            None => convert_plain(&without_nulls(column), inner, mode, context),
        };
    }
    if column.data_type.is_nullable() {
        let nulls = column.array.nulls().filter(|n| n.null_count() > 0);
        match (nulls, mode.failure) {
            (None, _) if is_null_type(&column.data_type) => {
                return Ok(arrow_array::new_empty_array(&to.arrow()));
            }
            (None, _) => {}
            (Some(nulls), OnFailure::Null) => {
                return convert_valid(column, to, mode, context, nulls);
            }
            (Some(nulls), OnFailure::Default) => {
                let array = if is_null_type(&column.data_type) {
                    new_null_array(&to.arrow(), column.len())
                } else {
                    convert_valid(column, to, mode, context, nulls)?
                };
                return fill_defaults(&array, to);
            }
            (Some(_), OnFailure::Throw) if is_null_type(&column.data_type) => {
                return Err(Error::new(
                    codes::CANNOT_CONVERT_TYPE,
                    "Cannot convert NULL to a non-nullable type",
                ));
            }
            (Some(_), OnFailure::Throw) => {
                return Err(Error::new(
                    codes::CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN,
                    "Cannot convert NULL value to non-Nullable type",
                ));
            }
        }
    }
    convert_plain(&without_nulls(column), to, mode, context)
}

/// Converts the rows that are not NULL; the others stay NULL whatever lies under them.
fn convert_valid(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
    nulls: &NullBuffer,
) -> Result<ArrayRef> {
    if is_null_type(&column.data_type) {
        return Ok(new_null_array(&to.arrow(), column.len()));
    }
    // Plain numbers cannot fail, so that they need not be taken apart.
    if let Ok(array) = convert_plain(&without_nulls(column), to, mode, context) {
        let nulls = NullBuffer::union(Some(nulls), array.nulls());
        return Ok(set_nulls(&array, nulls));
    }
    let keep = BooleanArray::new(nulls.inner().clone(), None);
    let valid = without_nulls(&column.filter(&keep));
    let converted = convert_plain(&valid, to, mode, context)?;
    let mut next = 0;
    let places: UInt32Array = nulls
        .iter()
        .map(|valid| {
            valid.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    Ok(Column { data_type: to.clone(), array: converted }.take(&places).array)
}

/// The array with the type's default where it is NULL.
pub(super) fn fill_defaults(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) else {
        return Ok(array.clone());
    };
    let valid = BooleanArray::new(nulls.inner().clone(), None);
    let column = Column { data_type: to.clone(), array: set_nulls(array, None) };
    let filler = Column::default_values(to.without_nullable(), 1);
    let filler = Column { data_type: to.clone(), array: filler.array };
    Ok(super::conditional::select(&valid, &column, &filler)?.array)
}

/// Neither side is Nullable or LowCardinality.
fn convert_plain(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    use DataType::*;
    let from = &column.data_type;
    if from == to {
        return Ok(column.array.clone());
    }
    if let Named { argument, .. } = to {
        return convert_plain(column, argument, mode, context);
    }
    if let Some(error) = refused(from, to) {
        return Err(error);
    }
    match (from, to) {
        (Nothing, _) => Ok(Column::default_values(to.clone(), column.len()).array),
        (_, String) => text::to_text(column, context),
        (_, Json(_)) => run_time::to_json(column, to, mode, context),
        (Json(_), Array(_) | Tuple(_) | Map(..)) => Err(unsupported(from, to)),
        (Json(_), _) => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Illegal type JSON of argument of function to{to}"),
        )),
        (FixedString(_), FixedString(_)) => text::resize(column, to, mode),
        (String | FixedString(_), _) => text::from_text(column, to, mode, context),
        (Bool | Enum8(_) | Enum16(_), FixedString(_)) => {
            let text = Column { data_type: String, array: text::to_text(column, context)? };
            text::from_text(&text, to, mode, context)
        }
        (Array(_) | Tuple(_) | Map(..), _) => nested::convert(column, to, mode, context),
        (_, Time | Time64(_)) => {
            clock::to_clock(column, to, context.time_zone)?.ok_or_else(|| unsupported(from, to))
        }
        (Time | Time64(_), Date | Date32 | DateTime(_) | DateTime64(..)) => {
            clock::to_instant(column, to, context.time_zone).ok_or_else(|| unsupported(from, to))
        }
        (Time | Time64(_), _) if to.is_number() => {
            number::convert(&clock::as_number(column), to, mode)
        }
        (_, BFloat16) if is_numeric(from) => {
            let wide = number::convert(column, &Float32, mode)?;
            let floats = wide.as_primitive::<arrow_array::types::Float32Type>();
            let cut =
                floats.unary::<_, arrow_array::types::Float32Type>(crate::text::read::bfloat16);
            Ok(std::sync::Arc::new(cut))
        }
        (_, Date | Date32 | DateTime(_) | DateTime64(..)) => {
            time::to_time(column, to, mode, context)
        }
        (Date | Date32 | DateTime(_) | DateTime64(..), _) if to.is_number() => {
            time::to_number(column, to, mode)
        }
        (Enum8(_) | Enum16(_), Enum8(_) | Enum16(_)) => text::enum_to_enum(column, to),
        (_, Enum8(_) | Enum16(_)) if from.is_integer() => number::to_enum(column, to, mode),
        (Ipv4 | Ipv6 | Uuid, _) | (_, Ipv4 | Ipv6 | Uuid) => number::addresses(column, to, mode),
        (Date | Date32 | DateTime(_), Interval(_)) => time::to_number(column, &Int64, mode),
        (Interval(x), Interval(y)) => number::interval(column, x, y),
        _ if is_numeric(from) && is_numeric(to) => number::convert(column, to, mode),
        _ => Err(unsupported(from, to)),
    }
}

/// Pairs of types between which ClickHouse has no conversion, with the code it says so.
fn refused(from: &DataType, to: &DataType) -> Option<Error> {
    use DataType::*;
    let small = |t: &DataType| matches!(t, Int8 | Int16 | Int32 | Int64);
    let code = match (from, to) {
        (
            Uuid | Ipv4 | Ipv6 | Array(_) | Tuple(_) | Map(..) | Enum8(_) | Enum16(_),
            Decimal { .. } | DateTime64(..),
        )
        | (
            Uuid | Ipv4 | Ipv6 | Array(_) | Tuple(_) | Map(..) | Decimal { .. },
            Enum8(_) | Enum16(_),
        ) => codes::CANNOT_CONVERT_TYPE,
        (Array(_) | Tuple(_) | Map(..), FixedString(_)) => codes::NOT_IMPLEMENTED,
        (Decimal { .. }, Uuid | Ipv4 | Ipv6 | Date | Date32)
        | (Date | Date32 | DateTime(_), Decimal { .. })
        | (FixedString(_), Ipv4) => codes::ILLEGAL_COLUMN,
        (FixedString(_), Array(_) | Tuple(_) | Map(..)) => codes::TYPE_MISMATCH,
        (t, Ipv4) if small(t) => codes::NOT_IMPLEMENTED,
        (Ipv4, t) if small(t) || matches!(t, UInt8 | UInt16) => codes::NOT_IMPLEMENTED,
        _ => return None,
    };
    Some(Error::new(code, format!("Conversion from {from} to {to} is not supported")))
}

fn is_numeric(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_number() || matches!(data_type, Enum8(_) | Enum16(_) | Interval(_))
}

/// There is no conversion between these types: error 70, 53 to a composite type, 48 around addresses.
fn unsupported(from: &DataType, to: &DataType) -> Error {
    use DataType::*;
    let code = match (from, to) {
        (Array(_) | Tuple(_) | Map(..), t) if !matches!(t, Array(_) | Tuple(_) | Map(..)) => {
            codes::ILLEGAL_TYPE_OF_ARGUMENT
        }
        (_, Array(_) | Tuple(_) | Map(..)) => codes::TYPE_MISMATCH,
        (_, Uuid | Ipv4 | Ipv6 | FixedString(_)) | (Uuid | Ipv4 | Ipv6, _) => {
            codes::NOT_IMPLEMENTED
        }
        _ => codes::CANNOT_CONVERT_TYPE,
    };
    Error::new(code, format!("Conversion from {from} to {to} is not supported"))
}

/// Error 70 of accurateCast.
fn not_safe(from: &DataType, to: &DataType) -> Error {
    Error::new(
        codes::CANNOT_CONVERT_TYPE,
        format!("Value in column {from} cannot be safely converted into type {to}"),
    )
}
