//! The current time, unix timestamps, time zones, and dates made of numbers.

use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::date_part::civil;
use super::interval::to_ticks;
use super::native::{Native, load, values};
use super::registry::Registry;
use super::type_rule::{Args, bad_argument};
use super::zone::{explicit_zone, parse_zone, result_zone};
use crate::error::{Error, Result, codes};
use crate::text::calendar::{days_from_civil, days_in_month, local_to_utc, offset_at, to_local};

pub(super) fn add(r: &mut Registry) {
    now(r);
    timestamps(r);
    zones(r);
    made_of_numbers(r);
}

/// The query's start is "now" for the whole query.
fn now(r: &mut Registry) {
    let zone_only = |a: &Args| -> Result<DataType> {
        let zone = if a.len() > 0 { Some(parse_zone(&a.constant_text(0)?)?) } else { None };
        Ok(DataType::DateTime(zone))
    };
    for name in ["now", "nowInBlock"] {
        r.add(name, 0..=1, zone_only, |c| {
            c.finish_numbers(vec![(c.context.now_us / 1_000_000) as u32; c.rows])
        })
        .not_deterministic();
    }
    r.add(
        "now64",
        0..=2,
        |a| {
            let precision = match a.constant(0) {
                None if a.len() == 0 => 3,
                Some(v) => v.as_u64().filter(|p| *p <= 9).ok_or_else(|| a.illegal(0))? as u8,
                None => return Err(a.illegal(0)),
            };
            let zone = if a.len() > 1 { Some(parse_zone(&a.constant_text(1)?)?) } else { None };
            Ok(DataType::DateTime64(precision, zone))
        },
        |c| {
            let DataType::DateTime64(precision, _) = *c.result else {
                return Err(bad_argument("now64 yields DateTime64"));
            };
            let ticks = match precision {
                0..=6 => c.context.now_us as i64 / 10i64.pow(6 - precision as u32),
                _ => (c.context.now_us as i64).saturating_mul(10i64.pow(precision as u32 - 6)),
            };
            c.finish_numbers(vec![ticks; c.rows])
        },
    )
    .not_deterministic();
    r.add(
        "UTCTimestamp",
        0..=0,
        |_| Ok(DataType::DateTime(Some(pumphouse_storage::types::TimeZone::UTC))),
        |c| c.finish_numbers(vec![(c.context.now_us / 1_000_000) as u32; c.rows]),
    )
    .not_deterministic();
    for (name, minus) in [("today", 0), ("yesterday", 1)] {
        r.add(
            name,
            0..=1,
            |_| Ok(DataType::Date),
            move |c| {
                let zone = match c.constant_text(0) {
                    Some(name) => parse_zone(&name)?,
                    None => c.context.time_zone,
                };
                let local = to_local(zone, (c.context.now_us / 1_000_000) as i64);
                c.finish_numbers(vec![(local.div_euclid(86_400) - minus) as u16; c.rows])
            },
        )
        .not_deterministic();
    }
}

fn timestamps(r: &mut Registry) {
    r.add(
        "toUnixTimestamp",
        1..=2,
        |a| {
            a.require(0, |t| t.is_date_or_time() || t.is_string() || *t == DataType::Nothing)?;
            if a.len() > 1 {
                parse_zone(&a.constant_text(1)?)?;
            }
            Ok(DataType::UInt32)
        },
        |c| {
            let mut column = c.column(0)?;
            if column.data_type.is_string() {
                let zone = c.constant_text(1).map(|name| parse_zone(&name)).transpose()?;
                let to = DataType::DateTime(zone);
                column = super::cast::cast_column(&column, &to, c.context)?;
                return c.finish(column.array);
            }
            let zone = c.zone(0, 1)?;
            let (ticks, precision) = to_ticks(&column, zone)?;
            let power = 10i64.pow(precision as u32);
            if precision > 0 && ticks.iter().any(|t| *t < 0) {
                return Err(super::wide::overflow());
            }
            c.finish_numbers(
                ticks.into_iter().map(|t| t.div_euclid(power) as u32).collect::<Vec<_>>(),
            )
        },
    );
    for (name, digits) in [
        ("toUnixTimestamp64Second", 0u8),
        ("toUnixTimestamp64Milli", 3),
        ("toUnixTimestamp64Micro", 6),
        ("toUnixTimestamp64Nano", 9),
    ] {
        r.add(
            name,
            1..=1,
            |a| {
                a.require(0, |t| matches!(t, DataType::DateTime64(..) | DataType::Nothing))?;
                Ok(DataType::Int64)
            },
            move |c| {
                let column = c.column(0)?;
                let DataType::DateTime64(precision, _) = column.data_type else {
                    return Err(bad_argument("expected DateTime64"));
                };
                let up = 10i64.pow(digits.saturating_sub(precision) as u32);
                let down = 10i64.pow(precision.saturating_sub(digits) as u32);
                let ticks = values::<i64>(&column).iter();
                c.finish_numbers(ticks.map(|t| t.wrapping_mul(up) / down).collect::<Vec<_>>())
            },
        );
    }
    for (name, digits) in [
        ("fromUnixTimestamp64Second", 0u8),
        ("fromUnixTimestamp64Milli", 3),
        ("fromUnixTimestamp64Micro", 6),
        ("fromUnixTimestamp64Nano", 9),
    ] {
        r.add(
            name,
            1..=2,
            move |a| {
                a.integer(0)?;
                Ok(DataType::DateTime64(digits, result_zone(a, 0, 1)?))
            },
            |c| c.finish_numbers(load::<i64>(&c.column(0)?)?),
        );
    }
}

fn zones(r: &mut Registry) {
    r.add(
        "toTimezone",
        2..=2,
        |a| {
            let zone = Some(parse_zone(&a.constant_text(1)?)?);
            match a.get(0) {
                DataType::DateTime(_) => Ok(DataType::DateTime(zone)),
                DataType::DateTime64(p, _) => Ok(DataType::DateTime64(*p, zone)),
                _ => Err(a.illegal(0)),
            }
        },
        |c| c.finish(c.column(0)?.array),
    );
    for name in ["timezone", "serverTimezone"] {
        r.add(
            name,
            0..=0,
            |_| Ok(DataType::String),
            |c| {
                let name = Value::string(c.context.time_zone.name());
                Ok(Column::constant(DataType::String, &name, c.rows)?)
            },
        );
    }
    r.add(
        "timezoneOf",
        1..=1,
        |a| {
            a.require(0, |t| matches!(t, DataType::DateTime(_) | DataType::DateTime64(..)))?;
            Ok(DataType::String)
        },
        |c| {
            let zone = explicit_zone(c.data_type(0)?).unwrap_or(c.context.time_zone);
            Ok(Column::constant(DataType::String, &Value::string(zone.name()), c.rows)?)
        },
    );
    r.add(
        "timezoneOffset",
        1..=2,
        |a| {
            a.require(0, |t| matches!(t, DataType::DateTime(_) | DataType::DateTime64(..)))?;
            Ok(DataType::Int32)
        },
        |c| {
            let zone = c.zone(0, 1)?;
            let (ticks, precision) = to_ticks(&c.column(0)?, zone)?;
            let power = 10i64.pow(precision as u32);
            c.finish_numbers(
                ticks
                    .into_iter()
                    .map(|t| offset_at(zone, t.div_euclid(power)))
                    .collect::<Vec<i32>>(),
            )
        },
    );
    for (name, to_utc) in [("toUTCTimestamp", true), ("fromUTCTimestamp", false)] {
        r.add(
            name,
            2..=2,
            |a| {
                a.string(1)?;
                match a.get(0) {
                    DataType::DateTime(_) => Ok(DataType::DateTime(None)),
                    DataType::DateTime64(p, _) => Ok(DataType::DateTime64(*p, None)),
                    _ => Err(a.illegal(0)),
                }
            },
            move |c| {
                let zone = c.zone(0, 1)?;
                let column = c.column(0)?;
                let (ticks, precision) = to_ticks(&column, zone)?;
                let power = 10i64.pow(precision as u32);
                let moved = ticks.into_iter().map(|t| {
                    let (s, rest) = (t.div_euclid(power), t.rem_euclid(power));
                    let s = if to_utc { local_to_utc(zone, s) } else { to_local(zone, s) };
                    s * power + rest
                });
                match column.data_type {
                    DataType::DateTime(_) => c.finish_numbers(moved.map(|t| t as u32).collect()),
                    _ => c.finish(i64::array(moved.collect())),
                }
            },
        );
    }
}

fn numbers(a: &Args) -> Result<()> {
    (0..a.len()).try_for_each(|i| a.require(i, |t| t.is_number() || t.is_string()))
}

fn made_of_numbers(r: &mut Registry) {
    for (name, result) in [("makeDate", DataType::Date), ("makeDate32", DataType::Date32)] {
        r.add(
            name,
            1..=3,
            move |a| numbers(a).map(|_| result.clone()),
            |c| {
                let parts = (0..c.arguments.len())
                    .map(|i| c.numbers::<i64>(i))
                    .collect::<Result<Vec<_>>>()?;
                let wide = *c.result == DataType::Date32;
                let days = (0..c.rows).map(|row| {
                    let year = parts[0].get(row);
                    match parts.len() {
                        1 => {
                            let v = year;
                            day_of(v / 10_000, v / 100 % 100, v % 100, wide)
                        }
                        2 => match parts[1].get(row) {
                            n @ 1..=366 => day_of(year, 1, 1, wide).map(|d| d + n as i32 - 1),
                            _ => None,
                        },
                        _ => day_of(year, parts[1].get(row), parts[2].get(row), wide),
                    }
                });
                if wide {
                    // 1970-01-01 stands for what is no date.
                    return c.finish_numbers(days.map(|d| d.unwrap_or(0)).collect::<Vec<i32>>());
                }
                c.finish_numbers(
                    days.map(|d| d.unwrap_or(0).clamp(0, 0xFFFF) as u16).collect::<Vec<_>>(),
                )
            },
        );
    }
    r.add(
        "makeDateTime",
        6..=7,
        |a| {
            let zone = if a.len() > 6 { Some(parse_zone(&a.constant_text(6)?)?) } else { None };
            Ok(DataType::DateTime(zone))
        },
        |c| {
            let zone = explicit_zone(c.result).unwrap_or(c.context.time_zone);
            let seconds = made_seconds(c)?;
            c.finish_numbers(
                seconds
                    .into_iter()
                    .map(|s| {
                        s.map_or(0, |s| local_to_utc(zone, s)).clamp(0, u32::MAX as i64) as u32
                    })
                    .collect::<Vec<_>>(),
            )
        },
    );
    r.add(
        "makeDateTime64",
        6..=9,
        |a| {
            let precision = if a.len() > 7 {
                a.constant(7)
                    .and_then(Value::as_u64)
                    .filter(|p| *p <= 9)
                    .ok_or_else(|| a.illegal(7))?
            } else {
                3
            };
            let zone = if a.len() > 8 { Some(parse_zone(&a.constant_text(8)?)?) } else { None };
            Ok(DataType::DateTime64(precision as u8, zone))
        },
        |c| {
            let DataType::DateTime64(precision, zone) = *c.result else {
                return Err(bad_argument("makeDateTime64 yields DateTime64"));
            };
            let zone = zone.unwrap_or(c.context.time_zone);
            let power = 10i64.pow(precision as u32);
            let fractions = c.numbers_or::<i64>(6, 0)?;
            let seconds = made_seconds(c)?;
            c.finish_numbers(
                seconds
                    .into_iter()
                    .enumerate()
                    .map(|(row, s)| {
                        let s = s.map_or(0, |s| local_to_utc(zone, s));
                        s * power + fractions.get(row).clamp(0, power - 1)
                    })
                    .collect::<Vec<_>>(),
            )
        },
    );
    packed_numbers(r);
}

/// A day number; a day past its month runs on, a month outside 1..12 is no date.
fn day_of(year: i64, month: i64, day: i64, wide: bool) -> Option<i32> {
    let years = if wide { 1900..=2299 } else { 1970..=2149 };
    let valid = years.contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    valid.then(|| days_from_civil(year as i32, month as u32, day as u32))
}

fn made_seconds(call: &FunctionCall) -> Result<Vec<Option<i64>>> {
    let parts = (0..6).map(|i| call.numbers::<i64>(i)).collect::<Result<Vec<_>>>()?;
    Ok((0..call.rows)
        .map(|row| {
            let part = |i: usize| parts[i].get(row);
            let days = day_of(part(0), part(1), part(2), true)? as i64;
            Some(days * 86_400 + part(3) * 3600 + part(4) * 60 + part(5))
        })
        .collect())
}

/// YYYYMMDD and YYYYMMDDhhmmss numbers to dates.
fn packed_numbers(r: &mut Registry) {
    for (name, result) in
        [("YYYYMMDDToDate", DataType::Date), ("YYYYMMDDToDate32", DataType::Date32)]
    {
        r.add(
            name,
            1..=1,
            move |a| a.number(0).map(|_| result.clone()),
            |c| {
                let numbers = c.numbers::<i64>(0)?;
                let wide = *c.result == DataType::Date32;
                let days = (0..c.rows).map(|row| {
                    let v = numbers.get(row);
                    let (y, m, d) = (v / 10_000, v / 100 % 100, v % 100);
                    let real = (1..=12).contains(&m)
                        && d >= 1
                        && d <= days_in_month(y as i32, m as u32) as i64;
                    if real { day_of(y, m, d, wide).unwrap_or(0) } else { 0 }
                });
                if wide {
                    return c.finish_numbers(days.collect::<Vec<i32>>());
                }
                c.finish_numbers(days.map(|d| d as u16).collect::<Vec<_>>())
            },
        );
    }
    r.add(
        "YYYYMMDDhhmmssToDateTime",
        1..=2,
        |a| {
            a.number(0)?;
            let zone = if a.len() > 1 { Some(parse_zone(&a.constant_text(1)?)?) } else { None };
            Ok(DataType::DateTime(zone))
        },
        |c| {
            let zone = explicit_zone(c.result).unwrap_or(c.context.time_zone);
            let numbers = c.numbers::<i64>(0)?;
            c.finish_numbers(
                (0..c.rows)
                    .map(|row| {
                        let (date, time) =
                            (numbers.get(row) / 1_000_000, numbers.get(row) % 1_000_000);
                        let day = day_of(date / 10_000, date / 100 % 100, date % 100, false);
                        day.map_or(0, |d| {
                            let seconds = time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100;
                            local_to_utc(zone, d as i64 * 86_400 + seconds)
                        }) as u32
                    })
                    .collect::<Vec<_>>(),
            )
        },
    );
    r.add(
        "fromDaysSinceYearZero",
        1..=1,
        |a| a.integer(0).map(|_| DataType::Date),
        |c| {
            let numbers = c.numbers::<i64>(0)?;
            c.finish_numbers(
                (0..c.rows).map(|row| (numbers.get(row) - 719_528) as u16).collect::<Vec<_>>(),
            )
        },
    );
    r.add(
        "toModifiedJulianDay",
        1..=1,
        |a| a.string(0).map(|_| DataType::Int32),
        |c| {
            let texts = c.strings(0)?;
            let mut out = Vec::with_capacity(c.rows);
            for row in 0..c.rows {
                let days = crate::text::parse_date32(texts.get(row))?;
                let (y, m, d) = civil(days);
                if days_from_civil(y, m, d) != days {
                    return Err(Error::new(codes::CANNOT_PARSE_DATE, "Cannot parse date"));
                }
                out.push(days + 40_587);
            }
            c.finish_numbers(out)
        },
    );
}
