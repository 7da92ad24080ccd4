//! Rounding dates and times down: toStartOf*, toMonday, toLastDayOf*, dateTrunc, toStartOfInterval,
//! timeSlot.
//!
//! Units from week on yield Date, finer ones DateTime (in the argument's zone), units below a second
//! DateTime64. Seconds and minutes are cut by arithmetic wherever the zone's offset allows.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::date_part::{civil, iso_week, map_days, midnight};
use super::interval::{Unit, to_ticks};
use super::native::{Native, values};
use super::registry::Registry;
use super::type_rule::{Args, bad_argument};
use super::zone::{result_zone, zone_of_type};
use crate::error::{Error, Result, codes};
use crate::text::calendar::{days_from_civil, days_in_month, local_to_utc, to_local, weekday};

pub(super) fn add(r: &mut Registry) {
    for (name, f) in [
        ("toStartOfYear", start_of_year as fn(i32) -> i32),
        ("toStartOfQuarter", start_of_quarter),
        ("toStartOfMonth", start_of_month),
        ("toMonday", monday),
        ("toStartOfISOYear", |d| {
            let fourth = days_from_civil(iso_week(d).0, 1, 4);
            fourth - (weekday(fourth) as i32 - 1)
        }),
        ("toLastDayOfMonth", |d| {
            let (y, m, _) = civil(d);
            days_from_civil(y, m, days_in_month(y, m))
        }),
    ] {
        r.add(
            name,
            1..=2,
            |a| date_type(a, 1),
            move |c| {
                c.finish_numbers(map_days(&c.column(0)?, c.zone(0, 1)?, |d| {
                    f(d).clamp(0, u16::MAX as i32) as u16
                })?)
            },
        );
    }
    r.add("toStartOfWeek", 1..=3, |a| date_type(a, 2), |c| week_day(c, 0));
    r.add("toLastDayOfWeek", 1..=3, |a| date_type(a, 2), |c| week_day(c, 6));
    r.add("toStartOfDay", 1..=2, |a| time_type(a, true), start_of_day);
    for (name, seconds) in [
        ("toStartOfHour", 3600),
        ("toStartOfMinute", 60),
        ("toStartOfFiveMinutes", 300),
        ("toStartOfTenMinutes", 600),
        ("toStartOfFifteenMinutes", 900),
        ("timeSlot", 1800),
    ] {
        r.add(
            name,
            1..=2,
            |a| time_type(a, false),
            move |c| {
                let zone = c.zone(0, 1)?;
                let (ticks, precision) = to_ticks(&c.column(0)?, zone)?;
                let power = 10i64.pow(precision as u32);
                c.finish_numbers(cut_seconds(ticks, power, seconds, zone))
            },
        );
    }
    for (name, digits) in [
        ("toStartOfSecond", 0u8),
        ("toStartOfMillisecond", 3),
        ("toStartOfMicrosecond", 6),
        ("toStartOfNanosecond", 9),
    ] {
        r.add(name, 1..=2, move |a| subsecond_type(a, digits), move |c| subsecond(c, digits));
    }
    r.add("toStartOfInterval", 2..=4, interval_type, to_start_of_interval);
    r.add("dateTrunc", 2..=3, trunc_type, date_trunc);
}

fn date_type(a: &Args, zone: usize) -> Result<DataType> {
    a.date(0)?;
    result_zone(a, 0, zone)?;
    Ok(DataType::Date)
}

fn time_type(a: &Args, dates: bool) -> Result<DataType> {
    a.date(0)?;
    if !dates && matches!(a.get(0), DataType::Date | DataType::Date32) {
        return Err(a.illegal(0));
    }
    Ok(DataType::DateTime(result_zone(a, 0, 1)?))
}

fn start_of_year(days: i32) -> i32 {
    days_from_civil(civil(days).0, 1, 1)
}

fn start_of_quarter(days: i32) -> i32 {
    let (y, m, _) = civil(days);
    days_from_civil(y, (m - 1) / 3 * 3 + 1, 1)
}

fn start_of_month(days: i32) -> i32 {
    days - (civil(days).2 as i32 - 1)
}

fn monday(days: i32) -> i32 {
    days - (weekday(days) as i32 - 1)
}

/// The week's first day plus `plus`; mode 0 begins weeks on Sunday, odd modes on Monday.
fn week_day(call: &FunctionCall, plus: i32) -> Result<Column> {
    let sunday = call.numbers_or::<i64>(1, 0)?.get(0) & 1 == 0;
    let start = |d: i32| {
        let monday_1 = weekday(d) as i32;
        if sunday { d - monday_1 % 7 } else { d - (monday_1 - 1) }
    };
    let zone = call.zone(0, 2)?;
    call.finish_numbers(map_days(&call.column(0)?, zone, |d| {
        // Before the epoch's first week there is no Date.
        (start(d) + plus).clamp(0, u16::MAX as i32) as u16
    })?)
}

fn start_of_day(call: &FunctionCall) -> Result<Column> {
    let zone = call.zone(0, 1)?;
    let column = call.column(0)?;
    if let (DataType::DateTime(_), TimeZone::UTC) = (&column.data_type, zone) {
        let cut = values::<u32>(&column).iter().map(|s| s - s % 86_400).collect();
        return call.finish_numbers::<u32>(cut);
    }
    call.finish_numbers(map_days(&column, zone, |d| clamped(midnight(zone, d)))?)
}

/// Ticks (`power` a second) cut down to whole `seconds` of the wall clock.
fn cut_seconds(ticks: Vec<i64>, power: i64, seconds: i64, zone: TimeZone) -> Vec<u32> {
    if zone == TimeZone::UTC {
        return if power == 1 {
            let step = seconds as u32;
            ticks.into_iter().map(|t| t as u32 - t as u32 % step).collect()
        } else {
            ticks
                .into_iter()
                .map(|t| {
                    let s = t.div_euclid(power);
                    clamped(s - s.rem_euclid(seconds))
                })
                .collect()
        };
    }
    ticks
        .into_iter()
        .map(|t| {
            let utc = t.div_euclid(power);
            let local = to_local(zone, utc);
            // The offset of the moment holds for its own hour, even beside a transition.
            clamped(utc - local.rem_euclid(seconds))
        })
        .collect()
}

fn subsecond_type(a: &Args, digits: u8) -> Result<DataType> {
    match a.get(0) {
        DataType::DateTime64(p, _) => {
            Ok(DataType::DateTime64((*p).max(digits), result_zone(a, 0, 1)?))
        }
        _ => Err(a.illegal(0)),
    }
}

fn subsecond(call: &FunctionCall, digits: u8) -> Result<Column> {
    let (ticks, precision) = to_ticks(&call.column(0)?, call.zone(0, 1)?)?;
    let DataType::DateTime64(result, _) = *call.result else {
        return Err(bad_argument("expected DateTime64"));
    };
    let up = 10i64.pow(result.saturating_sub(precision) as u32);
    let step = 10i64.pow((result - digits) as u32);
    call.finish_numbers(
        ticks
            .into_iter()
            .map(|t| {
                let t = t.wrapping_mul(up);
                t - t.rem_euclid(step)
            })
            .collect::<Vec<_>>(),
    )
}

/// The step of an interval argument: its unit and count.
fn step_of(data_type: &DataType) -> Option<Unit> {
    match data_type {
        DataType::Interval(name) => Unit::of_interval(name),
        _ => None,
    }
}

/// Positions of the origin and the zone among the arguments of toStartOfInterval.
fn origin_and_zone(types: &[&DataType]) -> (Option<usize>, Option<usize>) {
    match types.len() {
        3 if types[2].is_string() => (None, Some(2)),
        3 => (Some(2), None),
        4 => (Some(2), Some(3)),
        _ => (None, None),
    }
}

fn interval_type(a: &Args) -> Result<DataType> {
    a.date(0)?;
    let unit = step_of(a.get(1)).ok_or_else(|| a.illegal(1))?;
    let types: Vec<&DataType> = (0..a.len()).map(|i| a.get(i)).collect();
    let (origin, zone) = origin_and_zone(&types);
    let zone = result_zone(a, 0, zone.unwrap_or(usize::MAX))?;
    let source = a.get(0);
    if *source == DataType::Nothing {
        return Ok(DataType::Nothing);
    }
    if origin.is_some() {
        return Ok(match source {
            DataType::Date | DataType::Date32 if unit < Unit::Day => {
                return Err(wrong_unit(source));
            }
            t if unit >= Unit::Second => t.clone(),
            DataType::DateTime64(p, _) => DataType::DateTime64((*p).max(unit.precision()), zone),
            _ => DataType::DateTime64(unit.precision(), zone),
        });
    }
    match (source, unit) {
        (_, unit) if unit >= Unit::Week => Ok(DataType::Date),
        (_, Unit::Day) => Ok(DataType::DateTime(zone)),
        (DataType::Date | DataType::Date32, _) => Err(wrong_unit(source)),
        (DataType::DateTime64(..), _) if unit < Unit::Second => {
            Ok(DataType::DateTime64(unit.precision(), zone))
        }
        (DataType::DateTime(_), _) if unit < Unit::Second => Err(wrong_unit(source)),
        _ => Ok(DataType::DateTime(zone)),
    }
}

fn wrong_unit(source: &DataType) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!("Illegal interval kind for argument data type {source}"),
    )
}

fn to_start_of_interval(call: &FunctionCall) -> Result<Column> {
    let types: Vec<&DataType> =
        (0..call.arguments.len()).map(|i| call.data_type(i)).collect::<Result<_>>()?;
    let (origin, zone) = origin_and_zone(&types);
    let zone = call.zone(0, zone.unwrap_or(usize::MAX))?;
    let unit = step_of(types[1]).ok_or_else(|| bad_argument("expected an interval"))?;
    let step = call.constant(1).and_then(|v| v.as_i128()).unwrap_or(0) as i64;
    if step <= 0 {
        return Err(Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            "Value for second argument of function toStartOfInterval must be positive",
        ));
    }
    if let Some(origin) = origin {
        return from_origin(call, origin, step, unit, zone);
    }
    round_down(&call.column(0)?, step, unit, zone, call.result)
}

/// Where intervals of several months begin to count.
const FIRST_YEAR: i64 = 1900;

/// Every value cut down to a multiple of `step` units; the result type says what is kept.
fn round_down(
    column: &Column,
    step: i64,
    unit: Unit,
    zone: TimeZone,
    result: &DataType,
) -> Result<Column> {
    let days = |f: &dyn Fn(i32) -> i32| -> Result<Vec<i32>> { map_days(column, zone, f) };
    let day_step = step.min(i32::MAX as i64) as i32;
    // A Date32 before the epoch wraps, a DateTime64 becomes the epoch.
    let floor = if column.data_type == DataType::Date32 { i32::MIN } else { 0 };
    let array = match unit {
        Unit::Year => store_days(
            days(&|d| {
                days_from_civil(civil(d).0.div_euclid(day_step).saturating_mul(day_step), 1, 1)
            })?,
            floor,
            result,
            zone,
        ),
        Unit::Quarter | Unit::Month => {
            let months = step.saturating_mul(if unit == Unit::Quarter { 3 } else { 1 });
            store_days(
                days(&|d| {
                    let (y, m, _) = civil(d);
                    let index = (y as i64 - FIRST_YEAR) * 12 + m as i64 - 1;
                    let start = index - index.rem_euclid(months) + FIRST_YEAR * 12;
                    days_from_civil(start.div_euclid(12) as i32, start.rem_euclid(12) as u32 + 1, 1)
                })?,
                floor,
                result,
                zone,
            )
        }
        Unit::Week => store_days(
            days(&|d| {
                // Weeks count from Monday 1970-01-05.
                let week = (d - 4).div_euclid(7);
                (week - week.rem_euclid(day_step)) * 7 + 4
            })?,
            floor,
            result,
            zone,
        ),
        Unit::Day => store_days(days(&|d| d - d.rem_euclid(day_step))?, floor, result, zone),
        _ => return fine_round_down(column, step, unit, zone, result),
    };
    Ok(Column::new(result.clone(), array))
}

/// Day numbers as the result's type; none is before `floor`.
fn store_days(
    days: Vec<i32>,
    floor: i32,
    result: &DataType,
    zone: TimeZone,
) -> arrow_array::ArrayRef {
    match result {
        DataType::Date => u16::array(days.into_iter().map(|d| d.max(floor) as u16).collect()),
        DataType::Date32 => i32::array(days),
        DataType::DateTime64(p, _) => {
            let power = 10i64.pow(*p as u32);
            i64::array(days.into_iter().map(|d| midnight(zone, d).saturating_mul(power)).collect())
        }
        _ => u32::array(
            days.into_iter()
                .map(|d| midnight(zone, d).max(floor as i64).min(u32::MAX as i64) as u32)
                .collect(),
        ),
    }
}

/// Seconds as DateTime holds them; beyond its ends there are only the ends.
fn clamped(seconds: i64) -> u32 {
    seconds.clamp(0, u32::MAX as i64) as u32
}

fn fine_round_down(
    column: &Column,
    step: i64,
    unit: Unit,
    zone: TimeZone,
    result: &DataType,
) -> Result<Column> {
    let (ticks, precision) = to_ticks(column, zone)?;
    let power = 10i64.pow(precision as u32);
    if unit < Unit::Second {
        let DataType::DateTime64(target, _) = *result else {
            return Err(wrong_unit(&column.data_type));
        };
        let up = 10i64.pow(target.saturating_sub(precision) as u32);
        let down = 10i64.pow(precision.saturating_sub(target) as u32);
        let step = step.saturating_mul(10i64.pow((target - unit.precision()) as u32));
        let cut = ticks
            .into_iter()
            .map(|t| {
                let t = t.wrapping_mul(up).div_euclid(down);
                t - t.rem_euclid(step)
            })
            .collect();
        return Ok(Column::new(result.clone(), i64::array(cut)));
    }
    let seconds = step.saturating_mul(unit.seconds());
    let cut: Vec<i64> = ticks
        .into_iter()
        .map(|t| {
            let utc = t.div_euclid(power);
            if unit == Unit::Hour && 3600 % seconds != 0 {
                // Hours count within the local day.
                let local = to_local(zone, utc);
                return local_to_utc(zone, local - local.rem_euclid(86_400) % seconds);
            }
            if zone == TimeZone::UTC {
                return utc - utc.rem_euclid(seconds);
            }
            if 3600 % seconds == 0 {
                return utc - to_local(zone, utc).rem_euclid(seconds);
            }
            let local = to_local(zone, utc);
            local_to_utc(zone, local - local.rem_euclid(seconds))
        })
        .collect();
    let array = match result {
        DataType::DateTime64(p, _) => {
            let power = 10i64.pow(*p as u32);
            i64::array(cut.into_iter().map(|s| s.saturating_mul(power)).collect())
        }
        _ => u32::array(cut.into_iter().map(clamped).collect()),
    };
    Ok(Column::new(result.clone(), array))
}

/// toStartOfInterval with an origin: steps count from there.
fn from_origin(
    call: &FunctionCall,
    origin: usize,
    step: i64,
    unit: Unit,
    zone: TimeZone,
) -> Result<Column> {
    let origin = super::cast::cast_column(call.raw(origin)?, call.data_type(0)?, call.context)?;
    let column = call.column(0)?;
    let (starts, _) = to_ticks(&origin, zone)?;
    let (ticks, precision) = to_ticks(&column, zone)?;
    let power = 10i64.pow(precision as u32);
    let mut out = Vec::with_capacity(call.rows);
    for (row, t) in ticks.into_iter().enumerate() {
        let start = if starts.len() == 1 { starts[0] } else { starts[row] };
        if start > t {
            return Err(bad_argument(
                "Source Date or DateTime should not be less than Origin date",
            ));
        }
        out.push(if unit >= Unit::Month {
            let mut count = 0;
            let (first, part) = (start.div_euclid(power), start.rem_euclid(power));
            let at =
                |n: i64| super::interval::shift_seconds(first, zone, unit, n.saturating_mul(step));
            // The number of steps, estimated from below by the longest possible unit.
            let longest = (366 * 86_400) as i64 * step;
            count += ((t.div_euclid(power) - first) / longest).max(0);
            while at(count + 1) * power + part <= t {
                count += 1;
            }
            at(count) * power + part
        } else {
            let length = if unit < Unit::Second {
                (power / 10i64.pow(unit.precision() as u32)).max(1).saturating_mul(step)
            } else {
                step.saturating_mul(unit.seconds()).saturating_mul(power)
            };
            t - (t - start).rem_euclid(length)
        });
    }
    let ticks = Column::new(DataType::DateTime64(precision, Some(zone)), i64::array(out));
    super::cast::cast_column(&ticks, call.result, call.context)
}

fn trunc_unit(a: &Args) -> Result<Unit> {
    let text = a.constant_text(0)?;
    Unit::parse(&text).ok_or_else(|| {
        bad_argument(format!("{text} doesn't look like datepart name in {}", a.function))
    })
}

fn trunc_type(a: &Args) -> Result<DataType> {
    a.date(1)?;
    let unit = trunc_unit(a)?;
    let zone = result_zone(a, 1, 2)?;
    let wide = matches!(a.get(1), DataType::Date32 | DataType::DateTime64(..));
    let date = matches!(a.get(1), DataType::Date | DataType::Date32);
    match unit {
        _ if unit >= Unit::Week && wide => Ok(DataType::Date32),
        _ if unit >= Unit::Week => Ok(DataType::Date),
        Unit::Day if wide => Ok(DataType::DateTime64(0, zone)),
        Unit::Day => Ok(DataType::DateTime(zone)),
        _ if date => Err(a.illegal(1)),
        _ if unit < Unit::Second && !wide => Err(wrong_unit(a.get(1))),
        _ if wide => Ok(DataType::DateTime64(unit.precision(), zone)),
        _ => Ok(DataType::DateTime(zone)),
    }
}

fn date_trunc(call: &FunctionCall) -> Result<Column> {
    let Some(Value::String(name)) = call.constant(0) else {
        return Err(bad_argument("dateTrunc needs a constant unit"));
    };
    let unit = Unit::parse(&String::from_utf8_lossy(&name))
        .ok_or_else(|| bad_argument("dateTrunc needs a unit"))?;
    let column = call.column(1)?;
    let zone = if call.arguments.len() > 2 {
        call.zone(1, 2)?
    } else {
        zone_of_type(&column.data_type, call.context)
    };
    round_down(&column, 1, unit, zone, call.result)
}
