//! Intervals and what they do to dates: toInterval*, add* / subtract*, and plus and minus where a
//! date, time or interval takes part.
//!
//! Days and longer units move the wall clock of the column's zone, months clamp to the month's end;
//! shorter units move the instant. A unit finer than the type makes the result finer (Date + hours is
//! DateTime, DateTime + milliseconds is DateTime64(3)). Overflow wraps, as in ClickHouse.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::arithmetic::Op;
use super::native::{Native, Numbers, load, values};
use super::registry::Registry;
use super::type_rule::Args;
use super::zone::zone_of_type;
use crate::error::{Error, Result, codes};
use crate::text::calendar::{days_from_civil, days_in_month, local_to_utc, to_local};

/// A calendar unit, from fine to coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Nanosecond,
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

const UNITS: [(Unit, &str, &str, &str, &str); 11] = {
    use Unit::*;
    [
        (Nanosecond, "Nanosecond", "toIntervalNanosecond", "addNanoseconds", "subtractNanoseconds"),
        (
            Microsecond,
            "Microsecond",
            "toIntervalMicrosecond",
            "addMicroseconds",
            "subtractMicroseconds",
        ),
        (
            Millisecond,
            "Millisecond",
            "toIntervalMillisecond",
            "addMilliseconds",
            "subtractMilliseconds",
        ),
        (Second, "Second", "toIntervalSecond", "addSeconds", "subtractSeconds"),
        (Minute, "Minute", "toIntervalMinute", "addMinutes", "subtractMinutes"),
        (Hour, "Hour", "toIntervalHour", "addHours", "subtractHours"),
        (Day, "Day", "toIntervalDay", "addDays", "subtractDays"),
        (Week, "Week", "toIntervalWeek", "addWeeks", "subtractWeeks"),
        (Month, "Month", "toIntervalMonth", "addMonths", "subtractMonths"),
        (Quarter, "Quarter", "toIntervalQuarter", "addQuarters", "subtractQuarters"),
        (Year, "Year", "toIntervalYear", "addYears", "subtractYears"),
    ]
};

impl Unit {
    /// The unit of an interval type's name, `Day` for IntervalDay.
    pub fn of_interval(name: &str) -> Option<Unit> {
        UNITS.iter().find(|u| u.1 == name).map(|u| u.0)
    }

    /// The unit as users write it in dateDiff, dateTrunc and INTERVAL: any case, plural, short forms.
    pub fn parse(text: &str) -> Option<Unit> {
        use Unit::*;
        let lower = text.trim().to_ascii_lowercase();
        Some(match lower.as_str() {
            "nanosecond" | "nanoseconds" | "ns" => Nanosecond,
            "microsecond" | "microseconds" | "us" | "u" => Microsecond,
            "millisecond" | "milliseconds" | "ms" => Millisecond,
            "second" | "seconds" | "ss" | "s" => Second,
            "minute" | "minutes" | "mi" | "n" => Minute,
            "hour" | "hours" | "hh" | "h" => Hour,
            "day" | "days" | "dd" | "d" => Day,
            "week" | "weeks" | "wk" | "ww" => Week,
            "month" | "months" | "mm" | "m" => Month,
            "quarter" | "quarters" | "qq" | "q" => Quarter,
            "year" | "years" | "yyyy" | "yy" => Year,
            _ => return None,
        })
    }

    /// Seconds of units from Second to Week.
    pub fn seconds(self) -> i64 {
        match self {
            Unit::Minute => 60,
            Unit::Hour => 3600,
            Unit::Day => 86_400,
            Unit::Week => 604_800,
            _ => 1,
        }
    }

    /// Months of units from Month on.
    fn months(self) -> i64 {
        match self {
            Unit::Quarter => 3,
            Unit::Year => 12,
            _ => 1,
        }
    }

    /// Digits after the second that the unit needs.
    pub fn precision(self) -> u8 {
        match self {
            Unit::Nanosecond => 9,
            Unit::Microsecond => 6,
            Unit::Millisecond => 3,
            _ => 0,
        }
    }
}

pub(super) fn add(r: &mut Registry) {
    for (unit, name, to_interval, add_name, subtract_name) in UNITS {
        let result = DataType::Interval(name);
        r.add(
            to_interval,
            1..=1,
            move |a| {
                a.require(0, |t| {
                    t.is_number() || t.is_string() || matches!(t, DataType::Interval(_))
                })?;
                Ok(result.clone())
            },
            move |c| {
                let raw = c.raw(0)?;
                // An interval of another unit is converted: a day is 24 hours.
                let to = match &raw.data_type {
                    DataType::Interval(_) => DataType::Interval(name),
                    _ => DataType::Int64,
                };
                let counts = super::cast::cast_column(raw, &to, c.context)?;
                let counts = if c.is_constant(0) {
                    super::argument::repeat(&counts, c.rows)
                } else {
                    counts
                };
                c.finish(counts.array)
            },
        );
        r.add(
            add_name,
            2..=2,
            move |a| shift_function_type(a, unit),
            move |c| shift_function(c, unit, 1),
        );
        r.add(
            subtract_name,
            2..=2,
            move |a| shift_function_type(a, unit),
            move |c| shift_function(c, unit, -1),
        );
    }
    for (name, op) in [
        ("addInterval", Op::Plus),
        ("subtractInterval", Op::Minus),
        ("addDate", Op::Plus),
        ("subDate", Op::Minus),
    ] {
        r.add(
            name,
            2..=2,
            move |a| arithmetic_type(op, a)?.ok_or_else(|| a.illegal_pair()),
            move |c| arithmetic(op, c)?.ok_or_else(|| unsupported(c.data_type(0))),
        );
    }
}

fn shift_function_type(a: &Args, unit: Unit) -> Result<DataType> {
    a.number(1)?;
    match a.get(0) {
        DataType::String => Ok(shifted_type(&DataType::DateTime64(3, None), unit)),
        t if t.is_date_or_time() => Ok(shifted_type(t, unit)),
        DataType::Nothing => Ok(DataType::Nothing),
        _ => Err(a.illegal(0)),
    }
}

fn shift_function(call: &FunctionCall, unit: Unit, sign: i64) -> Result<Column> {
    let mut column = call.column(0)?;
    if column.data_type == DataType::String {
        let parsed = DataType::DateTime64(3, None);
        column = super::cast::cast_column(&column, &parsed, call.context)?;
    }
    let zone = zone_of_type(&column.data_type, call.context);
    shift(&column, &call.numbers::<i64>(1)?, sign, unit, zone, call.result)
}

/// The type of a date or time moved by a count of `unit`.
fn shifted_type(data_type: &DataType, unit: Unit) -> DataType {
    use DataType::*;
    let fine = unit.precision();
    match data_type {
        Date if unit >= Unit::Day => Date,
        Date if unit >= Unit::Second => DateTime(None),
        Date32 if unit >= Unit::Day => Date32,
        Date | Date32 => DateTime64(fine.max(3), None),
        DateTime(zone) if fine == 0 => DateTime(*zone),
        DateTime(zone) => DateTime64(fine, *zone),
        DateTime64(p, zone) => DateTime64(fine.max(*p), *zone),
        other => other.clone(),
    }
}

/// Moves days by a unit of Day or coarser.
#[inline]
pub(super) fn shift_days(days: i64, unit: Unit, count: i64) -> i64 {
    match unit {
        Unit::Day => days.wrapping_add(count),
        Unit::Week => days.wrapping_add(count.wrapping_mul(7)),
        _ => {
            let (year, month, day) =
                super::date_part::civil(days.clamp(-800_000_000, 800_000_000) as i32);
            let months = (year as i64 * 12 + month as i64 - 1)
                .saturating_add(count.saturating_mul(unit.months()))
                .clamp(-12 * 1_000_000, 12 * 1_000_000);
            let (year, month) = (months.div_euclid(12) as i32, months.rem_euclid(12) as u32 + 1);
            days_from_civil(year, month, day.min(days_in_month(year, month))) as i64
        }
    }
}

/// Moves an instant (seconds) by a unit of Second or coarser.
#[inline]
pub(super) fn shift_seconds(utc: i64, zone: TimeZone, unit: Unit, count: i64) -> i64 {
    if unit < Unit::Day || (zone == TimeZone::UTC && unit <= Unit::Week) {
        return utc.wrapping_add(count.wrapping_mul(unit.seconds()));
    }
    let local = to_local(zone, utc);
    let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let moved = shift_days(days, unit, count).clamp(-200_000_000, 200_000_000);
    local_to_utc(zone, moved * 86_400 + rest)
}

/// `column` moved by `sign · counts` of `unit`, as a column of `result` (see `shifted_type`).
fn shift(
    column: &Column,
    counts: &Numbers<i64>,
    sign: i64,
    unit: Unit,
    zone: TimeZone,
    result: &DataType,
) -> Result<Column> {
    let count = |row: usize| counts.get(row).wrapping_mul(sign);
    let rows = column.len();
    // Months stop at the beginning of the type; all else wraps around.
    let day = |v: i64| match unit {
        _ if unit <= Unit::Week => v as u16,
        _ => v.max(0) as u16,
    };
    let second = |v: i64| match unit {
        _ if unit <= Unit::Week => v as u32,
        _ => v.max(0) as u32,
    };
    let array = match (&column.data_type, result) {
        (DataType::Date, DataType::Date) => {
            let days = values::<u16>(column);
            u16::array((0..rows).map(|i| day(shift_days(days[i] as i64, unit, count(i)))).collect())
        }
        (DataType::Date32, DataType::Date32) => {
            let days = values::<i32>(column);
            i32::array(
                (0..rows).map(|i| shift_days(days[i] as i64, unit, count(i)) as i32).collect(),
            )
        }
        (DataType::Date, DataType::DateTime(_)) => {
            let days = values::<u16>(column);
            let midnight = |d: u16| local_to_utc(zone, d as i64 * 86_400);
            u32::array(
                (0..rows)
                    .map(|i| shift_seconds(midnight(days[i]), zone, unit, count(i)) as u32)
                    .collect(),
            )
        }
        (DataType::DateTime(_), DataType::DateTime(_)) => {
            let seconds = values::<u32>(column);
            u32::array(
                (0..rows)
                    .map(|i| second(shift_seconds(seconds[i] as i64, zone, unit, count(i))))
                    .collect(),
            )
        }
        (_, DataType::DateTime64(precision, _)) => {
            let (ticks, from) = to_ticks(column, zone)?;
            let up = 10i64.pow((precision - from) as u32);
            let second = 10i64.pow(*precision as u32);
            let step = 10i64.pow((*precision - unit.precision().min(*precision)) as u32);
            i64::array(
                (0..rows)
                    .map(|i| {
                        let ticks = ticks[i].wrapping_mul(up);
                        if unit < Unit::Second {
                            return ticks.wrapping_add(count(i).wrapping_mul(step));
                        }
                        let (whole, part) = (ticks.div_euclid(second), ticks.rem_euclid(second));
                        shift_seconds(whole, zone, unit, count(i)).wrapping_mul(second) + part
                    })
                    .collect(),
            )
        }
        (from, _) => return Err(unsupported(Ok(from))),
    };
    Ok(Column::new(result.clone(), array))
}

fn unsupported(data_type: Result<&DataType>) -> Error {
    let name = data_type.map_or("?".into(), |t| t.to_string());
    Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, format!("{name} cannot be moved by an interval"))
}

/// Any date or time as ticks since the epoch and the precision of the ticks.
pub(super) fn to_ticks(column: &Column, zone: TimeZone) -> Result<(Vec<i64>, u8)> {
    let midnight = |d: i64| local_to_utc(zone, d * 86_400);
    Ok(match &column.data_type {
        DataType::Date => (values::<u16>(column).iter().map(|d| midnight(*d as i64)).collect(), 0),
        DataType::Date32 => {
            (values::<i32>(column).iter().map(|d| midnight(*d as i64)).collect(), 0)
        }
        DataType::DateTime64(p, _) => (values::<i64>(column).to_vec(), *p),
        _ => (load::<i64>(column)?, 0),
    })
}

/// The result type of plus / minus if a date, time or interval takes part.
pub(super) fn arithmetic_type(op: Op, a: &Args) -> Result<Option<DataType>> {
    use DataType::*;
    let (l, r) = (a.get(0), a.get(1));
    let involved = |t: &DataType| t.is_date_or_time() || matches!(t, Interval(_));
    if !involved(l) && !involved(r) {
        return Ok(None);
    }
    let illegal = || Err(a.illegal_pair());
    if !matches!(op, Op::Plus | Op::Minus) {
        return illegal();
    }
    Ok(Some(match (l, r) {
        (t, Interval(name)) if t.is_date_or_time() => {
            shifted_type(t, Unit::of_interval(name).unwrap_or(Unit::Day))
        }
        (t, n) if t.is_date_or_time() && n.is_number() => t.clone(),
        (t, Tuple(elements)) if t.is_date_or_time() => {
            let mut result = t.clone();
            for e in elements {
                match &e.data_type {
                    Interval(name) => {
                        result = shifted_type(&result, Unit::of_interval(name).unwrap_or(Unit::Day))
                    }
                    _ => return illegal(),
                }
            }
            result
        }
        (Interval(_) | Tuple(_), t) if t.is_date_or_time() => {
            return if op == Op::Plus { swapped_type(a) } else { Err(wrong_order(a)) };
        }
        (n, t) if n.is_number() && t.is_date_or_time() => {
            return if op == Op::Plus { swapped_type(a) } else { Err(wrong_order(a)) };
        }
        (Interval(x), Interval(y)) if x == y => l.clone(),
        (Interval(_), Interval(_)) => Tuple(
            [l, r]
                .map(|t| pumphouse_storage::types::TupleElement {
                    name: None,
                    data_type: t.clone(),
                })
                .to_vec(),
        ),
        (Date, Date) | (DateTime(_), DateTime(_)) if op == Op::Minus => Int32,
        (DateTime64(p, _), DateTime64(q, _)) if op == Op::Minus => {
            Decimal { precision: 18, scale: *p.max(q) }
        }
        (DateTime64(p, _), DateTime(_)) | (DateTime(_), DateTime64(p, _)) if op == Op::Minus => {
            Decimal { precision: 18, scale: *p }
        }
        _ => return illegal(),
    }))
}

fn swapped_type(a: &Args) -> Result<Option<DataType>> {
    let items = [a.items[1].clone(), a.items[0].clone()];
    arithmetic_type(Op::Plus, &Args { function: a.function, items: &items })
}

fn wrong_order(a: &Args) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!("Wrong order of arguments for function {}: the date must come first", a.function),
    )
}

/// plus / minus if a date, time or interval takes part.
pub(super) fn arithmetic(op: Op, call: &FunctionCall) -> Result<Option<Column>> {
    use DataType::*;
    let (l, r) = (call.data_type(0)?.clone(), call.data_type(1)?.clone());
    let involved = |t: &DataType| t.is_date_or_time() || matches!(t, Interval(_));
    if !involved(&l) && !involved(&r) {
        return Ok(None);
    }
    if !l.is_date_or_time() && r.is_date_or_time() {
        let arguments = [call.arguments[1].clone(), call.arguments[0].clone()];
        return arithmetic(op, &FunctionCall { arguments: &arguments, ..*call });
    }
    let sign = if op == Op::Minus { -1 } else { 1 };
    let zone = zone_of_type(&l, call.context);
    Ok(Some(match (&l, &r) {
        (t, Interval(name)) if t.is_date_or_time() => {
            let unit = Unit::of_interval(name).unwrap_or(Unit::Day);
            shift(&call.column(0)?, &call.numbers(1)?, sign, unit, zone, call.result)?
        }
        (t, Tuple(elements)) if t.is_date_or_time() => {
            let mut column = call.column(0)?;
            let tuple = call.column(1)?;
            let parts = arrow_array::cast::AsArray::as_struct(&tuple.array).clone();
            for (i, e) in elements.iter().enumerate() {
                let Interval(name) = &e.data_type else {
                    return Err(unsupported(Ok(&e.data_type)));
                };
                let unit = Unit::of_interval(name).unwrap_or(Unit::Day);
                let result = shifted_type(&column.data_type, unit);
                let counts = Column::new(e.data_type.clone(), parts.column(i).clone());
                let counts = Numbers::Many(load::<i64>(&counts)?);
                column = shift(&column, &counts, sign, unit, zone, &result)?;
            }
            column
        }
        (t, n) if t.is_date_or_time() && n.is_number() => {
            let unit = if matches!(t, Date | Date32) { Unit::Day } else { Unit::Second };
            let counts = if n.is_float() || matches!(n, Decimal { .. }) {
                let floats = super::decimal::to_floats(&call.column(1)?)?;
                Numbers::Many(floats.into_iter().map(|v| v as i64).collect())
            } else {
                call.numbers(1)?
            };
            shift(&call.column(0)?, &counts, sign, unit, TimeZone::UTC, call.result)?
        }
        (Interval(x), Interval(y)) if x == y => {
            let (a, b) = (call.numbers::<i64>(0)?, call.numbers::<i64>(1)?);
            call.finish_numbers(
                (0..call.rows)
                    .map(|i| a.get(i).wrapping_add(b.get(i).wrapping_mul(sign)))
                    .collect::<Vec<_>>(),
            )?
        }
        (Interval(_), Interval(_)) => {
            let second = call.column(1)?;
            let second = if sign < 0 {
                let negated = values::<i64>(&second).iter().map(|v| v.wrapping_neg()).collect();
                Column::new(second.data_type.clone(), i64::array(negated))
            } else {
                second
            };
            super::elementwise::tuple_of(call, vec![call.column(0)?, second])?
        }
        _ => difference(call, zone)?,
    }))
}

/// The distance of two dates or times.
fn difference(call: &FunctionCall, zone: TimeZone) -> Result<Column> {
    let (l, r) = (call.column(0)?, call.column(1)?);
    if let DataType::Decimal { scale, .. } = call.result {
        let power = |p: u8| 10i64.pow((*scale - p) as u32);
        let ((a, p), (b, q)) = (to_ticks(&l, zone)?, to_ticks(&r, zone)?);
        return call.finish_numbers(
            a.iter()
                .zip(&b)
                .map(|(x, y)| x.wrapping_mul(power(p)).wrapping_sub(y.wrapping_mul(power(q))))
                .collect::<Vec<_>>(),
        );
    }
    let (a, b) = (load::<i64>(&l)?, load::<i64>(&r)?);
    call.finish_numbers(
        a.iter().zip(&b).map(|(x, y)| x.wrapping_sub(*y) as i32).collect::<Vec<_>>(),
    )
}
