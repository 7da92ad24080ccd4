//! Distances of dates: dateDiff (boundaries crossed), age (whole units passed), timeDiff; timeSlots.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::date_part::{civil, relative_week};
use super::interval::{Unit, shift_seconds, to_ticks};
use super::lists;
use super::native::Native;
use super::registry::Registry;
use super::type_rule::{Args, bad_argument};
use super::zone::explicit_zone;
use crate::error::Result;
use crate::text::calendar::{offset_at, to_local, weekday};

pub(super) fn add(r: &mut Registry) {
    r.add("dateDiff", 3..=4, diff_type, |c| measure(c, false));
    r.add("age", 3..=4, diff_type, |c| measure(c, true));
    r.add(
        "timeDiff",
        2..=2,
        |a| {
            a.date(0)?;
            a.date(1)?;
            Ok(DataType::Int64)
        },
        |c| {
            let (a, b) = (instants(c, 0, TimeZone::UTC)?, instants(c, 1, TimeZone::UTC)?);
            c.finish_numbers((0..c.rows).map(|i| b[i].0 - a[i].0).collect::<Vec<_>>())
        },
    );
    r.add("timeSlots", 2..=4, slots_type, slots);
}

fn unit_of(text: &str, function: &str) -> Result<Unit> {
    Unit::parse(text)
        .ok_or_else(|| bad_argument(format!("Function {function} does not support '{text}' unit")))
}

fn diff_type(a: &Args) -> Result<DataType> {
    unit_of(&a.constant_text(0)?, a.function)?;
    let fits = |t: &DataType| t.is_date_or_time() || t.is_string() || *t == DataType::Nothing;
    a.require(1, fits)?;
    a.require(2, fits)?;
    Ok(DataType::Int64)
}

/// An argument as (seconds, nanoseconds of the second).
fn instants(call: &FunctionCall, index: usize, zone: TimeZone) -> Result<Vec<(i64, i64)>> {
    let mut column = call.column(index)?;
    if column.data_type.is_string() {
        column =
            super::cast::cast_column(&column, &DataType::DateTime64(3, Some(zone)), call.context)?;
    }
    let (ticks, precision) = to_ticks(&column, zone)?;
    let power = 10i64.pow(precision as u32);
    let up = 10i64.pow(9 - precision as u32);
    Ok(ticks.into_iter().map(|t| (t.div_euclid(power), t.rem_euclid(power) * up)).collect())
}

fn measure(call: &FunctionCall, whole: bool) -> Result<Column> {
    let name = call.constant_text(0).unwrap_or_default();
    let unit = unit_of(&name, if whole { "age" } else { "dateDiff" })?;
    // Each side counts in its own zone, unless one is given.
    let given = call.arguments.len() > 3;
    let zone_a = call.zone(1, if given { 3 } else { usize::MAX })?;
    let zone_b = call.zone(2, if given { 3 } else { usize::MAX })?;
    let (a, b) = (instants(call, 1, zone_a)?, instants(call, 2, zone_b)?);
    call.finish_numbers(
        (0..call.rows)
            .map(|i| {
                if whole {
                    passed(unit, a[i], zone_a, b[i], zone_b)
                } else {
                    place(unit, b[i], zone_b).wrapping_sub(place(unit, a[i], zone_a))
                }
            })
            .collect::<Vec<_>>(),
    )
}

/// The number of the unit that an instant lies in.
fn place(unit: Unit, (seconds, nanos): (i64, i64), zone: TimeZone) -> i64 {
    let days = || to_local(zone, seconds).div_euclid(86_400) as i32;
    match unit {
        Unit::Nanosecond => seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos),
        Unit::Microsecond => seconds.wrapping_mul(1_000_000).wrapping_add(nanos / 1000),
        Unit::Millisecond => seconds.wrapping_mul(1000).wrapping_add(nanos / 1_000_000),
        Unit::Second => seconds,
        Unit::Minute => seconds.div_euclid(60),
        Unit::Hour => {
            // Hours of zones are told apart by the zone's offset at the epoch, as the engine does.
            (seconds + 86_400 - offset_at(zone, 0) as i64).div_euclid(3600)
        }
        Unit::Day => days() as i64,
        Unit::Week => relative_week(days()) as i64,
        Unit::Month => {
            let (y, m, _) = civil(days());
            y as i64 * 12 + m as i64
        }
        Unit::Quarter => {
            let (y, m, _) = civil(days());
            y as i64 * 4 + (m as i64 - 1) / 3
        }
        Unit::Year => civil(days()).0 as i64,
    }
}

/// Whole units from `a` to `b`; negative if `b` is before.
fn passed(unit: Unit, a: (i64, i64), zone_a: TimeZone, b: (i64, i64), zone_b: TimeZone) -> i64 {
    if unit == Unit::Week {
        return weeks_passed(a, zone_a, b, zone_b);
    }
    if b < a {
        return -passed(unit, b, zone_b, a, zone_a);
    }
    match unit {
        Unit::Nanosecond | Unit::Microsecond | Unit::Millisecond => {
            let per_second = 10i64.pow(unit.precision() as u32);
            let nanos = 1_000_000_000 / per_second;
            let wide = |(s, n): (i64, i64)| s as i128 * 1_000_000_000 + n as i128;
            ((wide(b) - wide(a)) / nanos as i128) as i64
        }
        Unit::Hour => {
            // Boundaries crossed, less one if the last is not reached within its hour.
            let within =
                |(s, n): (i64, i64), zone: TimeZone| (to_local(zone, s).rem_euclid(3600), n);
            let count = place(unit, b, zone_b) - place(unit, a, zone_a);
            count - i64::from(count > 0 && within(b, zone_b) < within(a, zone_a))
        }
        Unit::Second | Unit::Minute | Unit::Day => {
            let borrow = i64::from(b.1 < a.1);
            let seconds = if unit >= Unit::Day {
                to_local(zone_b, b.0) - to_local(zone_a, a.0)
            } else {
                b.0 - a.0
            };
            (seconds - borrow) / unit.seconds()
        }
        _ => {
            // Months, quarters and years: as many as fit when counted from `a`.
            let per = match unit {
                Unit::Quarter => 3,
                Unit::Year => 12,
                _ => 1,
            };
            let months = place(Unit::Month, b, zone_b) - place(Unit::Month, a, zone_a);
            let mut count = months / per;
            let at = |n: i64| (shift_seconds(a.0, zone_a, unit, n), a.1);
            let clamped = civil(to_local(zone_a, at(count).0).div_euclid(86_400) as i32).2
                != civil(to_local(zone_a, a.0).div_euclid(86_400) as i32).2;
            let same_month = place(Unit::Month, b, zone_b) == place(Unit::Month, at(count), zone_a);
            let short = clamped && same_month && day_before(a, b, zone_a, zone_b);
            if count > 0 && (at(count) > b || short) {
                count -= 1;
            }
            count
        }
    }
}

/// Weeks begun, less one (towards 0) if `b` is earlier in its week than `a`, whichever comes first.
fn weeks_passed(a: (i64, i64), zone_a: TimeZone, b: (i64, i64), zone_b: TimeZone) -> i64 {
    let within = |(s, n): (i64, i64), zone: TimeZone| {
        let local = to_local(zone, s);
        (weekday(local.div_euclid(86_400) as i32), local.rem_euclid(86_400), n)
    };
    let count = place(Unit::Week, b, zone_b) - place(Unit::Week, a, zone_a);
    if within(b, zone_b) < within(a, zone_a) { count - count.signum() } else { count }
}

/// Whether `b`'s day of the month is before `a`'s.
fn day_before(a: (i64, i64), b: (i64, i64), zone_a: TimeZone, zone_b: TimeZone) -> bool {
    let day = |s: i64, z: TimeZone| civil(to_local(z, s).div_euclid(86_400) as i32).2;
    day(b.0, zone_b) < day(a.0, zone_a)
}

fn slots_type(a: &Args) -> Result<DataType> {
    let zone = explicit_zone(a.get(0));
    match (a.get(0), a.get(1)) {
        (DataType::DateTime(_), DataType::UInt32) => Ok(DataType::array(DataType::DateTime(zone))),
        (DataType::DateTime64(p, _), DataType::Decimal { .. }) => {
            Ok(DataType::array(DataType::DateTime64(*p, zone)))
        }
        (DataType::DateTime(_) | DataType::DateTime64(..), _) => Err(a.illegal(1)),
        _ => Err(a.illegal(0)),
    }
}

/// The starts of all slots that a span touches.
fn slots(call: &FunctionCall) -> Result<Column> {
    let DataType::Array(item) = call.result else { return Err(bad_argument("expected an array")) };
    let (starts, precision) = to_ticks(&call.column(0)?, TimeZone::UTC)?;
    let power = 10i64.pow(precision as u32);
    let lengths = super::decimal::to_floats(&call.column(1)?)?;
    let size = call.numbers_or::<i64>(2, 1800)?;
    let (mut items, mut offsets): (Vec<i64>, Vec<i32>) = (vec![], vec![0]);
    for row in 0..call.rows {
        let size = size.get(row);
        if size <= 0 {
            return Err(bad_argument("the size of a time slot must be positive"));
        }
        let size = size.saturating_mul(power);
        let end = starts[row].saturating_add((lengths[row] * power as f64) as i64);
        let mut slot = starts[row].div_euclid(size);
        while slot * size <= end {
            items.push(slot * size);
            slot += 1;
            if items.len() > 1 << 26 {
                return Err(bad_argument("too many time slots"));
            }
        }
        offsets.push(items.len() as i32);
    }
    let array = match item.as_ref() {
        DataType::DateTime(_) => u32::array(items.into_iter().map(|t| t as u32).collect()),
        _ => i64::array(items),
    };
    call.finish(lists::list(item, offsets, array))
}
