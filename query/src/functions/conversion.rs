//! The conversion functions: to<Type> with their OrNull, OrZero and OrDefault forms, CAST,
//! accurateCast*, toTypeName, toLowCardinality. What a conversion does is `cast`'s matter.

use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::cast::{Mode, OnFailure, convert};
use super::registry::Registry;
use super::type_rule::{Args, bad_argument};
use super::zone::{explicit_zone, parse_zone};
use crate::error::{Error, Result, codes};

/// A target type of conversion functions; some take more arguments.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    Plain(DataType),
    /// `toDateTime(x[, zone])`.
    DateTime,
    /// `toDateTime64(x, precision[, zone])`.
    DateTime64,
    /// `toTime64(x, precision)`.
    Time64,
    /// `toDecimalN(x, scale)` by its precision.
    Decimal(u8),
}

/// Base name, its three variants (empty: none), target.
fn targets() -> Vec<([&'static str; 4], Target)> {
    use DataType::*;
    macro_rules! named {
        ($base:literal) => {
            [$base, concat!($base, "OrNull"), concat!($base, "OrZero"), concat!($base, "OrDefault")]
        };
    }
    vec![
        (named!("toUInt8"), Target::Plain(UInt8)),
        (named!("toUInt16"), Target::Plain(UInt16)),
        (named!("toUInt32"), Target::Plain(UInt32)),
        (named!("toUInt64"), Target::Plain(UInt64)),
        (named!("toUInt128"), Target::Plain(UInt128)),
        (named!("toUInt256"), Target::Plain(UInt256)),
        (named!("toInt8"), Target::Plain(Int8)),
        (named!("toInt16"), Target::Plain(Int16)),
        (named!("toInt32"), Target::Plain(Int32)),
        (named!("toInt64"), Target::Plain(Int64)),
        (named!("toInt128"), Target::Plain(Int128)),
        (named!("toInt256"), Target::Plain(Int256)),
        (named!("toFloat32"), Target::Plain(Float32)),
        (named!("toFloat64"), Target::Plain(Float64)),
        (named!("toDate"), Target::Plain(Date)),
        (named!("toDate32"), Target::Plain(Date32)),
        (named!("toDateTime"), Target::DateTime),
        (named!("toDateTime64"), Target::DateTime64),
        (named!("toDecimal32"), Target::Decimal(9)),
        (named!("toDecimal64"), Target::Decimal(18)),
        (named!("toDecimal128"), Target::Decimal(38)),
        (named!("toDecimal256"), Target::Decimal(76)),
        (named!("toUUID"), Target::Plain(Uuid)),
        (named!("toIPv4"), Target::Plain(Ipv4)),
        (named!("toIPv6"), Target::Plain(Ipv6)),
        (named!("toBool"), Target::Plain(Bool)),
        (named!("toBFloat16"), Target::Plain(BFloat16)),
        (named!("toTime"), Target::Plain(Time)),
        (named!("toTime64"), Target::Time64),
    ]
}

impl Target {
    /// Arguments before a default value.
    fn arity(&self) -> std::ops::RangeInclusive<usize> {
        match self {
            Target::Plain(DataType::Date | DataType::Date32) => 1..=2,
            Target::Plain(_) => 1..=1,
            Target::DateTime => 1..=2,
            Target::DateTime64 => 1..=3,
            Target::Decimal(_) | Target::Time64 => 2..=2,
        }
    }

    fn data_type(&self, a: &Args) -> Result<DataType> {
        // What is given as a zone must be known beforehand.
        let zone_at = |index: usize| -> Result<_> {
            match a.items.get(index) {
                Some(item) if item.data_type.is_string() => {
                    Ok(Some(parse_zone(&a.constant_text(index)?)?))
                }
                _ => Ok(explicit_zone(a.get(0))),
            }
        };
        Ok(match self {
            Target::Plain(t) => {
                if a.len() > 1 && a.get(1).is_string() {
                    parse_zone(&a.constant_text(1)?)?;
                }
                t.clone()
            }
            Target::DateTime => DataType::DateTime(zone_at(1)?),
            Target::DateTime64 => {
                DataType::DateTime64(small_constant(a, 1, 9, Some(3))?, zone_at(2)?)
            }
            Target::Time64 => DataType::Time64(small_constant(a, 1, 9, None)?),
            Target::Decimal(precision) => DataType::Decimal {
                precision: *precision,
                scale: small_constant(a, 1, *precision, None)?,
            },
        })
    }
}

/// A constant number of 0 to `max`.
fn small_constant(a: &Args, index: usize, max: u8, default: Option<u8>) -> Result<u8> {
    if let (true, Some(default)) = (index >= a.len(), default) {
        return Ok(default);
    }
    match a.constant(index).and_then(Value::as_u64) {
        Some(v) if v <= max as u64 => Ok(v as u8),
        Some(v) => Err(Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            format!("{v} in argument {} of function {} is beyond {max}", index + 1, a.function),
        )),
        None => Err(Error::new(
            codes::ILLEGAL_COLUMN,
            format!("Argument {} of function {} must be a constant number", index + 1, a.function),
        )),
    }
}

pub(super) fn add(r: &mut Registry) {
    for ([base, or_null, or_zero, or_default], target) in targets() {
        let (plain, null, zero, default) =
            (target.clone(), target.clone(), target.clone(), target.clone());
        let arity = target.arity();
        r.add(base, arity.clone(), move |a| plain.data_type(a), to_target);
        r.add(
            or_null,
            arity.clone(),
            move |a| {
                text_only(a)?;
                Ok(DataType::nullable(null.data_type(a)?))
            },
            |c| run(c, Mode::OR_NULL),
        );
        r.add(
            or_zero,
            arity.clone(),
            move |a| {
                text_only(a)?;
                zero.data_type(a)
            },
            |c| run(c, Mode::OR_DEFAULT),
        );
        // ClickHouse has none of these.
        if matches!(target, Target::Plain(DataType::Time | DataType::BFloat16) | Target::Time64) {
            continue;
        }
        r.add(
            or_default,
            *arity.start()..=*arity.end() + 1,
            move |a| {
                let result = default.data_type(a)?;
                if a.len() > *arity.start() && !a.get(a.len() - 1).is_string() {
                    same_as_default(a, &result)?;
                }
                Ok(result)
            },
            or_given_default,
        )
        .own_nulls();
    }
    r.add(
        "toString",
        1..=2,
        |a| {
            if a.len() > 1 {
                parse_zone(&a.constant_text(1)?)?;
            }
            Ok(DataType::String)
        },
        to_string,
    );
    r.add("toFixedString", 2..=2, fixed_string_type, |c| run(c, Mode::CAST));
    r.add("toStringCutToZero", 1..=1, |a| a.string(0).map(|_| DataType::String), cut_to_zero);
    for name in ["CAST", "_CAST", "accurateCast", "accurateCastOrNull", "accurateCastOrDefault"] {
        let arity = if name == "accurateCastOrDefault" { 2..=3 } else { 2..=2 };
        r.add(name, arity, cast_type, move |c| cast(name, c)).own_types();
    }
    r.add(
        "toLowCardinality",
        1..=1,
        |a| {
            Ok(match a.get(0) {
                t @ DataType::LowCardinality(_) => t.clone(),
                t => DataType::LowCardinality(Box::new(t.clone())),
            })
        },
        |c| c.finish(c.column(0)?.array),
    )
    .own_types();
    r.add(
        "toTypeName",
        1..=1,
        |_| Ok(DataType::String),
        |c| {
            let name = Value::string(crate::text::pretty_type_name(c.data_type(0)?));
            Ok(Column::constant(DataType::String, &name, c.rows)?)
        },
    )
    .own_types();
}

/// A default has the type that it stands in for.
fn same_as_default(a: &Args, result: &DataType) -> Result<()> {
    let given = a.get(a.len() - 1);
    if given == result {
        return Ok(());
    }
    Err(bad_argument(format!(
        "Default value type should be same as cast type. Expected {result}. Actual {given}"
    )))
}

fn text_only(a: &Args) -> Result<()> {
    match a.get(0) {
        t if t.is_string() || *t == DataType::Nothing => Ok(()),
        t => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal type {t} of first argument of function {}. Conversion functions with postfix \
                 'OrZero' or 'OrNull' should take String argument",
                a.function
            ),
        )),
    }
}

fn run(call: &FunctionCall, mode: Mode) -> Result<Column> {
    let to = call.result.without_nullable();
    if mode.failure != OnFailure::Throw
        && matches!(to, DataType::DateTime(_) | DataType::DateTime64(..))
        && call.data_type(0)?.is_string()
    {
        return times_or_else(call, &to, mode);
    }
    let column = convert(&call.column(0)?, &to, mode, call.context)?;
    call.finish(column.array)
}

/// Times in the one form that toDateTimeOrNull and toDateTimeOrZero know; other text is no time.
fn times_or_else(call: &FunctionCall, to: &DataType, mode: Mode) -> Result<Column> {
    let zone = super::zone::zone_of_type(to, call.context);
    let strings = call.strings(0)?;
    let read = |text: &[u8]| match to {
        DataType::DateTime64(precision, _) => {
            crate::text::time::plain_time64(text, *precision, zone).map(Value::Int)
        }
        _ => crate::text::time::plain_time(text, zone).map(|v| Value::UInt(v as u64)),
    };
    let (other, result) = match mode.failure {
        OnFailure::Null => (Value::Null, DataType::nullable(to.clone())),
        _ => (Column::default_values(to.clone(), 1).value(0), to.clone()),
    };
    let values: Vec<Value> =
        (0..call.rows).map(|row| read(strings.get(row)).unwrap_or_else(|| other.clone())).collect();
    call.finish(Column::from_values(result, &values)?.array)
}

/// The plain form. A zone argument also says how a Date is cut out of an instant.
fn to_target(call: &FunctionCall) -> Result<Column> {
    if matches!(call.result, DataType::Date | DataType::Date32)
        && let Some(zone) = call.constant_text(1)
    {
        let zone = Some(parse_zone(&zone)?);
        let mut column = call.column(0)?;
        column.data_type = match column.data_type {
            DataType::DateTime(_) => DataType::DateTime(zone),
            DataType::DateTime64(p, _) => DataType::DateTime64(p, zone),
            other => other,
        };
        return convert(&column, call.result, Mode::CAST, call.context);
    }
    run(call, Mode::CAST)
}

fn or_given_default(call: &FunctionCall) -> Result<Column> {
    let last = call.arguments.len() - 1;
    let to = call.result;
    // The argument after the type's own ones is the default, if it has the result's type.
    let given = (last > 0 && call.data_type(last)?.without_nullable() == *to)
        .then(|| call.column(last))
        .transpose()?;
    let mode = match given.is_some() {
        _ if fixed(call.data_type(0)?) => THROWING,
        true => Mode::OR_NULL,
        false => Mode::OR_DEFAULT,
    };
    let column = convert(&call.column(0)?, to, mode, call.context)?;
    let Some(given) = given else { return call.finish(column.array) };
    merge(call, column, &given)
}

const THROWING: Mode = Mode { failure: OnFailure::Throw, accurate: true };

/// Of FixedString, what does not convert is an error in the functions that try.
fn fixed(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedString(_))
}

/// `column` with `given` where it is NULL.
fn merge(call: &FunctionCall, column: Column, given: &Column) -> Result<Column> {
    let Some(nulls) = arrow_array::Array::nulls(&column.array).cloned() else {
        return call.finish(column.array);
    };
    let valid = arrow_array::BooleanArray::new(nulls.inner().clone(), None);
    let plain = Column {
        data_type: call.result.clone(),
        array: super::invoke::set_nulls(&column.array, None),
    };
    super::conditional::select(&valid, &plain, given)
}

fn to_string(call: &FunctionCall) -> Result<Column> {
    let mut column = call.column(0)?;
    if let Some(zone) = call.constant_text(1) {
        let zone = Some(parse_zone(&zone)?);
        column.data_type = match column.data_type {
            DataType::DateTime(_) => DataType::DateTime(zone),
            DataType::DateTime64(p, _) => DataType::DateTime64(p, zone),
            other => other,
        };
    }
    convert(&column, call.result, Mode::CAST, call.context)
}

fn fixed_string_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    match a.constant(1).and_then(Value::as_u64) {
        Some(n @ 1..=0xFF_FFFF) => Ok(DataType::FixedString(n as usize)),
        _ => Err(bad_argument("FixedString needs a constant length of at least 1")),
    }
}

fn cut_to_zero(call: &FunctionCall) -> Result<Column> {
    let strings = call.strings(0)?;
    let mut out =
        super::strings::StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let bytes = strings.get(row);
        out.push(&bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]);
    }
    call.finish(out.finish()?)
}

fn cast_type(a: &Args) -> Result<DataType> {
    let to = parse_data_type(&a.constant_text(1)?)?;
    match a.function {
        "accurateCastOrNull" => Ok(to.or_null()),
        "accurateCastOrDefault" if a.len() == 3 => same_as_default(a, &to).map(|()| to),
        _ => Ok(to),
    }
}

/// Tuples of which some have no counterpart: NULL stands for those.
fn row_by_row(column: &Column, to: &DataType, call: &FunctionCall) -> Result<Column> {
    let row = |row: usize| {
        let one = convert(&column.slice(row, 1), to, Mode::OR_NULL, call.context);
        one.map_or(Value::Null, |one| one.value(0))
    };
    let values: Vec<Value> = (0..column.len()).map(row).collect();
    Ok(Column::from_values(call.result.clone(), &values)?)
}

fn cast(name: &str, call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    match name {
        "accurateCast" => {
            let mode = Mode { failure: OnFailure::Throw, accurate: true };
            convert(&column, call.result, mode, call.context)
        }
        "accurateCastOrNull" => {
            let to = call.result.without_nullable();
            let throws = fixed(&column.data_type) && !fixed(&to);
            let mode = if throws { THROWING } else { Mode::OR_NULL };
            match convert(&column, &to, mode, call.context) {
                Err(_) if matches!(to, DataType::Tuple(_)) => row_by_row(&column, &to, call),
                converted => call.finish(converted?.array),
            }
        }
        "accurateCastOrDefault" if call.arguments.len() == 3 => {
            let given = convert(&call.column(2)?, call.result, Mode::CAST, call.context)?;
            let column = convert(&column, call.result, Mode::OR_NULL, call.context)?;
            merge(call, column, &given)
        }
        "accurateCastOrDefault" => {
            let mode = if fixed(&column.data_type) { THROWING } else { Mode::OR_DEFAULT };
            convert(&column, call.result, mode, call.context)
        }
        _ => convert(&column, call.result, Mode::CAST, call.context),
    }
}
