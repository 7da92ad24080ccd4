//! Parts of dates and times as numbers: toYear, toMonth, toHour, toYYYYMM, toWeek and the like.
//!
//! Every function is a closure over a day number or over local seconds; the loops below read the
//! column's type and zone once. Dates of the usual range come from a table of all days.

use std::sync::OnceLock;

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::{Native, values};
use super::registry::Registry;
use super::type_rule::Args;
use crate::error::{Error, Result, codes};
use crate::text::calendar::{
    civil_from_days, days_from_civil, is_leap_year, local_to_utc, offset_at, to_local, weekday,
};

/// Days that Date can hold.
const TABLE_DAYS: usize = 65_536;

/// (year, month, day) of a day number, by table where it is a Date's.
#[inline]
pub(super) fn civil(days: i32) -> (i32, u32, u32) {
    static TABLE: OnceLock<Vec<(u16, u8, u8)>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        (0..TABLE_DAYS as i32)
            .map(|d| {
                let (y, m, day) = civil_from_days(d);
                (y as u16, m as u8, day as u8)
            })
            .collect()
    });
    match table.get(days as usize) {
        Some((y, m, d)) if days >= 0 => (*y as i32, *m as u32, *d as u32),
        _ => civil_from_days(days),
    }
}

/// `f` over the local day of each row.
pub(super) fn map_days<O>(column: &Column, zone: TimeZone, f: impl Fn(i32) -> O) -> Result<Vec<O>> {
    Ok(match &column.data_type {
        DataType::Date => values::<u16>(column).iter().map(|d| f(*d as i32)).collect(),
        DataType::Date32 => values::<i32>(column).iter().map(|d| f(*d)).collect(),
        DataType::DateTime(_) if zone == TimeZone::UTC => {
            values::<u32>(column).iter().map(|s| f((s / 86_400) as i32)).collect()
        }
        DataType::DateTime(_) => values::<u32>(column)
            .iter()
            .map(|s| f(to_local(zone, *s as i64).div_euclid(86_400) as i32))
            .collect(),
        DataType::DateTime64(p, _) => {
            let power = 10i64.pow(*p as u32);
            values::<i64>(column)
                .iter()
                .map(|t| f(to_local(zone, t.div_euclid(power)).div_euclid(86_400) as i32))
                .collect()
        }
        other => return Err(not_a_date(other)),
    })
}

/// `f` over the local seconds of each row.
pub(super) fn map_local<O>(
    column: &Column,
    zone: TimeZone,
    f: impl Fn(i64) -> O,
) -> Result<Vec<O>> {
    Ok(match &column.data_type {
        DataType::Date => values::<u16>(column).iter().map(|d| f(*d as i64 * 86_400)).collect(),
        DataType::Date32 => values::<i32>(column).iter().map(|d| f(*d as i64 * 86_400)).collect(),
        DataType::DateTime(_) if zone == TimeZone::UTC => {
            values::<u32>(column).iter().map(|s| f(*s as i64)).collect()
        }
        DataType::DateTime(_) => {
            values::<u32>(column).iter().map(|s| f(to_local(zone, *s as i64))).collect()
        }
        DataType::DateTime64(p, _) => {
            let power = 10i64.pow(*p as u32);
            values::<i64>(column).iter().map(|t| f(to_local(zone, t.div_euclid(power)))).collect()
        }
        other => return Err(not_a_date(other)),
    })
}

fn not_a_date(data_type: &DataType) -> Error {
    Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, format!("{data_type} is no date or time"))
}

/// The zone argument if given must be constant; checks the first argument.
fn date_and_zone(a: &Args) -> Result<()> {
    a.date(0)?;
    if a.len() > 1 {
        super::zone::parse_zone(&a.constant_text(1)?)?;
    }
    Ok(())
}

fn day_part<O: Native>(
    r: &mut Registry,
    name: &'static str,
    result: DataType,
    f: impl Fn(i32) -> O + Send + Sync + Copy + 'static,
) {
    r.add(
        name,
        1..=2,
        move |a| date_and_zone(a).map(|_| result.clone()),
        move |c| c.finish_numbers(map_days(&c.column(0)?, c.zone(0, 1)?, f)?),
    );
}

fn time_part<O: Native>(
    r: &mut Registry,
    name: &'static str,
    result: DataType,
    needs_time: bool,
    f: impl Fn(i64) -> O + Send + Sync + Copy + 'static,
) {
    r.add(
        name,
        1..=2,
        move |a| {
            date_and_zone(a)?;
            if needs_time && matches!(a.get(0), DataType::Date | DataType::Date32) {
                return Err(a.illegal(0));
            }
            Ok(result.clone())
        },
        move |c| c.finish_numbers(map_local(&c.column(0)?, c.zone(0, 1)?, f)?),
    );
}

pub(super) fn add(r: &mut Registry) {
    use DataType::*;
    day_part(r, "toYear", UInt16, |d| civil(d).0 as u16);
    day_part(r, "toQuarter", UInt8, |d| ((civil(d).1 - 1) / 3 + 1) as u8);
    day_part(r, "toMonth", UInt8, |d| civil(d).1 as u8);
    day_part(r, "toDayOfMonth", UInt8, |d| civil(d).2 as u8);
    day_part(r, "toDayOfYear", UInt16, |d| day_of_year(d) as u16);
    day_part(r, "toYYYYMM", UInt32, |d| {
        let (y, m, _) = civil(d);
        y as u32 * 100 + m
    });
    day_part(r, "toYYYYMMDD", UInt32, |d| {
        let (y, m, day) = civil(d);
        y as u32 * 10_000 + m * 100 + day
    });
    day_part(r, "toISOYear", UInt16, |d| iso_week(d).0 as u16);
    day_part(r, "toISOWeek", UInt8, |d| iso_week(d).1 as u8);
    day_part(r, "toRelativeYearNum", UInt16, |d| civil(d).0 as u16);
    day_part(r, "toRelativeQuarterNum", UInt32, |d| {
        let (y, m, _) = civil(d);
        y as u32 * 4 + (m - 1) / 3
    });
    day_part(r, "toRelativeMonthNum", UInt32, |d| {
        let (y, m, _) = civil(d);
        y as u32 * 12 + m
    });
    day_part(r, "toRelativeWeekNum", UInt32, |d| relative_week(d).max(0) as u32);
    day_part(r, "toRelativeDayNum", UInt32, |d| d as u32);
    day_part(r, "toDaysSinceYearZero", UInt32, |d| (d + 719_528) as u32);
    time_part(r, "toHour", UInt8, true, |s| (s.rem_euclid(86_400) / 3600) as u8);
    time_part(r, "toMinute", UInt8, true, |s| (s.rem_euclid(3600) / 60) as u8);
    time_part(r, "toSecond", UInt8, true, |s| s.rem_euclid(60) as u8);
    time_part(r, "toYYYYMMDDhhmmss", UInt64, false, |s| {
        let (y, m, d) = civil(s.div_euclid(86_400) as i32);
        let t = s.rem_euclid(86_400) as u64;
        let date = y as u64 * 10_000 + m as u64 * 100 + d as u64;
        date * 1_000_000 + t / 3600 * 10_000 + t / 60 % 60 * 100 + t % 60
    });
    r.add("toDayOfWeek", 1..=3, |a| week_args(a).map(|_| UInt8), day_of_week);
    r.add(
        "toWeek",
        1..=3,
        |a| week_args(a).map(|_| UInt8),
        |c| {
            let mode = week_mode(c)?;
            c.finish_numbers(map_days(&c.column(0)?, c.zone(0, 2)?, |d| {
                week_number(d, mode).1 as u8
            })?)
        },
    );
    r.add(
        "toYearWeek",
        1..=3,
        |a| week_args(a).map(|_| UInt32),
        |c| {
            let mode = week_mode(c)? | 2;
            c.finish_numbers(map_days(&c.column(0)?, c.zone(0, 2)?, |d| {
                let (year, week) = week_number(d, mode);
                year as u32 * 100 + week
            })?)
        },
    );
    instants(r);
}

/// Functions of the instant itself, not of the wall clock.
fn instants(r: &mut Registry) {
    use DataType::*;
    for (name, result, digits) in
        [("toMillisecond", UInt16, 3u32), ("toMicrosecond", UInt32, 6), ("toNanosecond", UInt32, 9)]
    {
        r.add(
            name,
            1..=2,
            move |a| {
                date_and_zone(a)?;
                a.require(0, |t| matches!(t, DateTime(_) | DateTime64(..) | Nothing))?;
                Ok(result.clone())
            },
            move |c| {
                let column = c.column(0)?;
                let parts: Vec<u32> = match &column.data_type {
                    DateTime64(p, _) => {
                        let (power, p) = (10i64.pow(*p as u32), *p as u32);
                        let scale = |part: i64| {
                            if digits >= p {
                                part * 10i64.pow(digits - p)
                            } else {
                                part / 10i64.pow(p - digits)
                            }
                        };
                        values::<i64>(&column)
                            .iter()
                            .map(|t| scale(t.rem_euclid(power)) as u32)
                            .collect()
                    }
                    _ => vec![0; c.rows],
                };
                if *c.result == UInt16 {
                    return c.finish_numbers(parts.into_iter().map(|v| v as u16).collect());
                }
                c.finish_numbers(parts)
            },
        );
    }
    for (name, seconds) in
        [("toRelativeHourNum", 3600i64), ("toRelativeMinuteNum", 60), ("toRelativeSecondNum", 1)]
    {
        r.add(
            name,
            1..=2,
            |a| date_and_zone(a).map(|_| UInt32),
            move |c| {
                let zone = c.zone(0, 1)?;
                let (ticks, precision) = super::interval::to_ticks(&c.column(0)?, zone)?;
                let power = 10i64.pow(precision as u32) * seconds;
                // Hours of zones that are off by a part of an hour count from a day before the epoch.
                let start = offset_at(zone, 0) as i64;
                let shift = if seconds == 3600 && start % 3600 != 0 { 86_400 - start } else { 0 };
                let shift = shift * 10i64.pow(precision as u32);
                c.finish_numbers(
                    ticks
                        .into_iter()
                        .map(|t| (t + shift).div_euclid(power).max(0) as u32)
                        .collect::<Vec<_>>(),
                )
            },
        );
    }
}

fn week_args(a: &Args) -> Result<()> {
    a.date(0)?;
    a.integer(1)?;
    if a.len() > 2 {
        super::zone::parse_zone(&a.constant_text(2)?)?;
    }
    Ok(())
}

fn week_mode(call: &FunctionCall) -> Result<u32> {
    Ok(call.numbers_or::<i64>(1, 0)?.get(0) as u32 & 15)
}

fn day_of_week(call: &FunctionCall) -> Result<Column> {
    let mode = week_mode(call)? & 3;
    call.finish_numbers(map_days(&call.column(0)?, call.zone(0, 2)?, |d| {
        let monday_1 = weekday(d) as u8;
        match mode {
            0 => monday_1,
            1 => monday_1 - 1,
            2 => monday_1 % 7,
            _ => monday_1 % 7 + 1,
        }
    })?)
}

/// 1 for January 1st.
pub(super) fn day_of_year(days: i32) -> u32 {
    let (year, _, _) = civil(days);
    (days - days_from_civil(year, 1, 1)) as u32 + 1
}

/// ISO year and week.
pub(super) fn iso_week(days: i32) -> (i32, u32) {
    // The week's Thursday decides the year.
    let thursday = days - (weekday(days) as i32 - 1) + 3;
    (civil(thursday).0, (day_of_year(thursday) - 1) / 7 + 1)
}

/// Weeks since the epoch; weeks begin on Monday.
pub(super) fn relative_week(days: i32) -> i32 {
    // Before the epoch the division cuts towards it, as the engine's does.
    (days + 8 - weekday(days) as i32) / 7
}

/// Year and week by MySQL's modes 0 to 9 (bits: Monday first, year of week, first weekday).
pub(super) fn week_number(days: i32, mode: u32) -> (i32, u32) {
    if mode >= 8 {
        return week_of_january_first(days, mode == 8);
    }
    let monday_first = mode & 1 != 0;
    let mut week_year = mode & 2 != 0;
    let mut first_weekday = mode & 4 != 0;
    if !monday_first {
        first_weekday = !first_weekday;
    }
    let (year, month, day) = civil(days);
    let mut year = year;
    let first = days_from_civil(year, 1, 1);
    let offset = |d: i32| -> i32 {
        let monday_0 = weekday(d) as i32 - 1;
        if monday_first { monday_0 } else { (monday_0 + 1) % 7 }
    };
    let mut first_offset = offset(first);
    let mut first = first;
    let early = |o: i32| (first_weekday && o != 0) || (!first_weekday && o >= 4);
    if month == 1 && (day as i32) <= 7 - first_offset {
        if !week_year && early(first_offset) {
            return (year, 0);
        }
        if early(first_offset) {
            week_year = true;
            year -= 1;
            let length = if is_leap_year(year) { 366 } else { 365 };
            first -= length;
            first_offset = (first_offset + 53 * 7 - length) % 7;
        }
    }
    let since = if early(first_offset) {
        days - (first + (7 - first_offset))
    } else {
        days - (first - first_offset)
    };
    if week_year && since >= 52 * 7 {
        let length = if is_leap_year(year) { 366 } else { 365 };
        let next_offset = (first_offset + length) % 7;
        if (!first_weekday && next_offset < 4) || (first_weekday && next_offset == 0) {
            return (year + 1, 1);
        }
    }
    (year, (since / 7 + 1) as u32)
}

/// Modes 8 and 9: week 1 is the one that contains January 1st.
fn week_of_january_first(days: i32, sunday_first: bool) -> (i32, u32) {
    let (year, _, _) = civil(days);
    let start = |y: i32| {
        let first = days_from_civil(y, 1, 1);
        let monday_0 = weekday(first) as i32 - 1;
        first - if sunday_first { (monday_0 + 1) % 7 } else { monday_0 }
    };
    if days >= start(year + 1) {
        return (year + 1, 1);
    }
    (year, ((days - start(year)) / 7 + 1) as u32)
}

/// The instant of a local midnight.
pub(super) fn midnight(zone: TimeZone, days: i32) -> i64 {
    local_to_utc(zone, days as i64 * 86_400)
}
