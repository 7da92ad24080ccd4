//! Time and Time64 in casts, comparisons and arithmetic. Time counts seconds, Time64 ticks; beside numbers
//! a Time is an Int32 and a Time64 a Decimal of its precision.

use arrow_array::ArrayRef;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::arithmetic::Op;
use super::decimal::{scale_of, to_floats};
use super::interval::to_ticks;
use super::native::{Native, load, values};
use super::type_rule::Args;
use super::wide::load_i128;
use super::{Argument, FunctionCall};
use crate::error::{Error, Result, codes};
use crate::text::calendar::{local_to_utc, to_local};

/// 999:59:59.
const SECONDS_MAX: i64 = 3_599_999;
const DAY: i64 = 86_400;

pub(super) fn is_clock(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time | DataType::Time64(_))
}

fn precision_of(data_type: &DataType) -> u8 {
    if let DataType::Time64(precision) = data_type { *precision } else { 0 }
}

fn power(precision: u8) -> i64 {
    10i64.pow(precision.min(9) as u32)
}

/// The number that a time is, as a column of numbers.
pub(super) fn as_number(column: &Column) -> Column {
    let data_type = match &column.data_type {
        DataType::Time => DataType::Int32,
        DataType::Time64(precision) => DataType::Decimal { precision: 18, scale: *precision },
        other => other.clone(),
    };
    Column { data_type, array: column.array.clone() }
}

/// Ticks of `precision` of a Time or Time64 column.
fn ticks(column: &Column, precision: u8) -> Vec<i64> {
    let own = precision_of(&column.data_type);
    let stored: Vec<i64> = match column.data_type {
        DataType::Time => values::<i32>(column).iter().map(|v| *v as i64).collect(),
        _ => values::<i64>(column).to_vec(),
    };
    let (up, down) = (power(precision.saturating_sub(own)), power(own.saturating_sub(precision)));
    stored.into_iter().map(|v| v.saturating_mul(up).div_euclid(down)).collect()
}

fn store(ticks: Vec<i64>, to: &DataType) -> ArrayRef {
    let most = SECONDS_MAX * power(precision_of(to)) + power(precision_of(to)) - 1;
    match to {
        DataType::Time => {
            i32::array(ticks.into_iter().map(|v| v.clamp(-most, most) as i32).collect())
        }
        _ => i64::array(ticks.into_iter().map(|v| v.clamp(-most, most)).collect()),
    }
}

/// Anything but text as `to`, a Time or Time64; None if there is no such conversion.
pub(super) fn to_clock(column: &Column, to: &DataType, zone: TimeZone) -> Result<Option<ArrayRef>> {
    use DataType::*;
    let precision = precision_of(to);
    let scale = power(precision);
    let found = match &column.data_type {
        from if is_clock(from) => ticks(column, precision),
        Date | Date32 => vec![0; column.len()],
        DateTime(own) | DateTime64(_, own) => {
            let zone = own.unwrap_or(zone);
            let (stored, fine) = to_ticks(column, zone)?;
            let parts = power(fine);
            stored
                .into_iter()
                .map(|t| {
                    let second = to_local(zone, t.div_euclid(parts)).rem_euclid(DAY);
                    second * scale + t.rem_euclid(parts) * scale / parts
                })
                .collect()
        }
        t if t.is_float() => {
            to_floats(column)?.into_iter().map(|v| (v * scale as f64) as i64).collect()
        }
        t @ Decimal { .. } => {
            let parts = 10i128.pow(scale_of(t) as u32);
            load_i128(column)?.into_iter().map(|w| (w * scale as i128 / parts) as i64).collect()
        }
        t if t.is_integer() => {
            load::<i64>(column)?.into_iter().map(|v| v.saturating_mul(scale)).collect()
        }
        _ => return Ok(None),
    };
    Ok(Some(store(found, to)))
}

/// A Time or Time64 as a date or an instant: counted from 1970-01-01 in the zone.
pub(super) fn to_instant(column: &Column, to: &DataType, zone: TimeZone) -> Option<ArrayRef> {
    use DataType::*;
    let seconds = || ticks(column, 0);
    Some(match to {
        Date => u16::array(seconds().into_iter().map(|v| v.div_euclid(DAY) as u16).collect()),
        Date32 => i32::array(seconds().into_iter().map(|v| v.div_euclid(DAY) as i32).collect()),
        DateTime(own) => {
            let zone = own.unwrap_or(zone);
            u32::array(seconds().into_iter().map(|v| local_to_utc(zone, v) as u32).collect())
        }
        DateTime64(precision, own) => {
            let (zone, parts) = (own.unwrap_or(zone), power(*precision));
            i64::array(
                ticks(column, *precision)
                    .into_iter()
                    .map(|v| local_to_utc(zone, v.div_euclid(parts)) * parts + v.rem_euclid(parts))
                    .collect(),
            )
        }
        _ => return None,
    })
}

/// Whether values of these types compare, one of which is a Time or Time64.
pub(super) fn comparable(l: &DataType, r: &DataType) -> bool {
    let fits = |t: &DataType| {
        is_clock(t)
            || t.is_number()
            || matches!(t, DataType::DateTime(_) | DataType::DateTime64(..))
    };
    fits(l) && fits(r)
}

/// The arguments with times as numbers.
pub(super) fn numbers_of(call: &FunctionCall) -> Vec<Argument> {
    let number = |c: &Column| match &c.data_type {
        DataType::DateTime(_) => Column { data_type: DataType::UInt32, array: c.array.clone() },
        DataType::DateTime64(precision, _) => Column {
            data_type: DataType::Decimal { precision: 18, scale: *precision },
            array: c.array.clone(),
        },
        _ => as_number(c),
    };
    let arguments = call.arguments.iter().map(|a| match a {
        Argument::Column(c) => Argument::Column(number(c)),
        Argument::Constant(c) => Argument::Constant(number(c)),
        other => other.clone(),
    });
    arguments.collect()
}

/// Seconds of an interval that can be added to a Time.
fn seconds_of(unit: &str) -> Option<i64> {
    Some(match unit {
        "Second" => 1,
        "Minute" => 60,
        "Hour" => 3600,
        _ => return None,
    })
}

/// The result type of `+` and `-` with a time; None if there is none among the arguments.
pub(super) fn arithmetic_type(op: Op, a: &Args) -> Result<Option<DataType>> {
    let (l, r) = (a.get(0), a.get(1));
    if !is_clock(l) && !is_clock(r) {
        return Ok(None);
    }
    Ok(Some(match (op, l, r) {
        (Op::Minus, DataType::Time, DataType::Time) => DataType::Int32,
        (Op::Minus, l, r) if is_clock(l) && is_clock(r) => {
            let scale = precision_of(l).max(precision_of(r));
            DataType::Decimal { precision: 18, scale }
        }
        (Op::Plus | Op::Minus, l, DataType::Interval(unit)) if is_clock(l) => {
            seconds_of(unit).map(|_| l.clone()).ok_or_else(|| no_unit(unit, l))?
        }
        (Op::Plus, DataType::Interval(unit), r) if is_clock(r) => {
            seconds_of(unit).map(|_| r.clone()).ok_or_else(|| no_unit(unit, r))?
        }
        (Op::Plus | Op::Minus, l, r) if is_clock(l) && r.is_number() => l.clone(),
        (Op::Plus, l, r) if is_clock(r) && l.is_number() => r.clone(),
        _ => return Err(a.illegal_pair()),
    }))
}

fn no_unit(unit: &str, data_type: &DataType) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!("add{unit}s cannot be used with {data_type}"),
    )
}

/// `+` and `-` with a time; None if there is none among the arguments.
pub(super) fn arithmetic(op: Op, call: &FunctionCall) -> Result<Option<Column>> {
    let (l, r) = (call.data_type(0)?.clone(), call.data_type(1)?.clone());
    if !is_clock(&l) && !is_clock(&r) {
        return Ok(None);
    }
    let (a, b) = (call.column(0)?, call.column(1)?);
    if is_clock(&l) && is_clock(&r) {
        let precision = precision_of(&l).max(precision_of(&r));
        let (x, y) = (ticks(&a, precision), ticks(&b, precision));
        let distance = x.iter().zip(&y).map(|(x, y)| x.wrapping_sub(*y));
        return Ok(Some(match call.result {
            DataType::Int32 => {
                call.finish_numbers(distance.map(|v| v as i32).collect::<Vec<_>>())?
            }
            _ => call.finish_numbers(distance.collect::<Vec<i64>>())?,
        }));
    }
    let (time, other) = if is_clock(&l) { (&a, &b) } else { (&b, &a) };
    let precision = precision_of(&time.data_type);
    let unit = match &other.data_type {
        DataType::Interval(unit) => seconds_of(unit).unwrap_or(1),
        _ => 1,
    };
    let count: Vec<i64> = match &other.data_type {
        t if t.is_float() || matches!(t, DataType::Decimal { .. }) => {
            to_floats(other)?.into_iter().map(|v| v as i64).collect()
        }
        _ => load::<i64>(other)?,
    };
    let sign = if op == Op::Minus { -1 } else { 1 };
    let step = unit * sign * power(precision);
    let moved = ticks(time, precision)
        .into_iter()
        .zip(count)
        .map(|(t, n)| t.saturating_add(n.saturating_mul(step)))
        .collect();
    call.finish(store(moved, call.result)).map(Some)
}
