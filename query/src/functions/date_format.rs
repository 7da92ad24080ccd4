//! Dates as text: formatDateTime (MySQL's letters), formatDateTimeInJodaSyntax, dateName, monthName,
//! fromUnixTimestamp with a format.
//!
//! A constant format is read once into pieces; per row only digits are written.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::date_part::{civil, day_of_year, iso_week};
use super::interval::to_ticks;
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::{Args, bad_argument};
use crate::error::{Error, Result, codes};
use crate::text::calendar::{Civil, offset_at, to_local, weekday};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) fn add(r: &mut Registry) {
    for (name, joda) in [("formatDateTime", false), ("formatDateTimeInJodaSyntax", true)] {
        r.add(
            name,
            2..=3,
            |a| format_type(a).map(|_| DataType::String),
            move |c| format(c, 0, joda),
        );
    }
    for (name, joda) in [("fromUnixTimestamp", false), ("fromUnixTimestampInJodaSyntax", true)] {
        r.add(
            name,
            1..=3,
            |a| {
                a.require(0, |t| t.is_integer() || t.is_date_or_time())?;
                a.strings(1)?;
                Ok(if a.len() == 1 { DataType::DateTime(None) } else { DataType::String })
            },
            move |c| from_unix(c, joda),
        );
    }
    r.add(
        "dateName",
        2..=3,
        |a| {
            name_part(&a.constant_text(0)?)?;
            a.date(1)?;
            Ok(DataType::String)
        },
        |c| {
            let pattern = name_part(&c.constant_text(0).unwrap_or_default())?;
            render(c, 1, &pieces(pattern.as_bytes(), false)?, c.zone(1, 2)?)
        },
    );
    r.add(
        "monthName",
        1..=1,
        |a| a.date(0).map(|_| DataType::String),
        |c| render(c, 0, &[Piece::MonthName], c.zone(0, usize::MAX)?),
    );
}

fn name_part(part: &str) -> Result<&'static str> {
    Ok(match part.to_ascii_lowercase().as_str() {
        "year" => "%Y",
        "quarter" => "%Q",
        "month" => "%M",
        "dayofyear" => "\u{1}",
        "day" => "%e",
        "week" => "\u{2}",
        "weekday" => "%W",
        "hour" => "%k",
        "minute" => "\u{3}",
        "second" => "\u{4}",
        _ => {
            return Err(bad_argument(format!(
                "{part} doesn't look like datepart name in dateName"
            )));
        }
    })
}

fn format_type(a: &Args) -> Result<()> {
    a.date(0)?;
    a.string(1)?;
    if a.len() > 2 {
        super::zone::parse_zone(&a.constant_text(2)?)?;
    }
    Ok(())
}

/// One piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Year,
    YearShort,
    /// A year of any width; two letters mean its last two digits.
    Century,
    Month(usize),
    MonthName,
    MonthShort,
    Day(usize),
    DayOfYear(usize),
    WeekdayName,
    WeekdayShort,
    /// Monday 1 … Sunday 7.
    Weekday,
    /// Sunday 0 … Saturday 6.
    WeekdaySunday,
    Hour(usize),
    /// 12, 1, … 11.
    Hour12(usize),
    /// 0 … 11.
    Hour0(usize),
    /// 24, 1, … 23.
    Hour24(usize),
    Minute(usize),
    Second(usize),
    Fraction,
    /// That many digits of the fraction.
    Digits(usize),
    HalfDay,
    Quarter,
    IsoYear,
    IsoYearShort,
    IsoWeek(usize),
    Offset,
    Zone,
    Era,
}

fn pieces(format: &[u8], joda: bool) -> Result<Vec<Piece>> {
    if joda { joda_pieces(format) } else { mysql_pieces(format) }
}

fn mysql_pieces(format: &[u8]) -> Result<Vec<Piece>> {
    use Piece::*;
    let mut out: Vec<Piece> = vec![];
    let mut bytes = format.iter().copied();
    let text = |out: &mut Vec<Piece>, b: u8| match out.last_mut() {
        Some(Text(t)) => t.push(b),
        _ => out.push(Text(vec![b])),
    };
    while let Some(b) = bytes.next() {
        match b {
            1 => out.push(DayOfYear(1)),
            2 => out.push(IsoWeek(1)),
            3 => out.push(Minute(1)),
            4 => out.push(Second(1)),
            b'%' => {}
            b => text(&mut out, b),
        }
        if b != b'%' {
            continue;
        }
        let letter = bytes
            .next()
            .ok_or_else(|| bad_argument("Trailing '%' symbol in a format of formatDateTime"))?;
        match letter {
            b'a' => out.push(WeekdayShort),
            b'b' => out.push(MonthShort),
            b'c' | b'm' => out.push(Month(2)),
            b'C' => out.push(Century),
            b'd' => out.push(Day(2)),
            b'D' => {
                out.extend([Month(2), Text(b"/".to_vec()), Day(2), Text(b"/".to_vec()), YearShort])
            }
            b'e' => out.push(Day(1)),
            b'f' => out.push(Fraction),
            b'F' => {
                out.extend([Year, Text(b"-".to_vec()), Month(2), Text(b"-".to_vec()), Day(2)]);
            }
            b'g' => out.push(IsoYearShort),
            b'G' => out.push(IsoYear),
            b'h' | b'I' => out.push(Hour12(2)),
            b'H' => out.push(Hour(2)),
            b'i' => out.push(Minute(2)),
            b'j' => out.push(DayOfYear(3)),
            b'k' => out.push(Hour(2)),
            b'l' => out.push(Hour12(2)),
            b'M' => out.push(MonthName),
            b'n' => text(&mut out, b'\n'),
            b'p' => out.push(HalfDay),
            b'Q' => out.push(Quarter),
            b'r' => out.extend([
                Hour12(2),
                Text(b":".to_vec()),
                Minute(2),
                Text(b" ".to_vec()),
                HalfDay,
            ]),
            b'R' => out.extend([Hour(2), Text(b":".to_vec()), Minute(2)]),
            b's' | b'S' => out.push(Second(2)),
            b't' => text(&mut out, b'\t'),
            b'T' => out.extend([
                Hour(2),
                Text(b":".to_vec()),
                Minute(2),
                Text(b":".to_vec()),
                Second(2),
            ]),
            b'u' => out.push(Weekday),
            b'V' => out.push(IsoWeek(2)),
            b'w' => out.push(WeekdaySunday),
            b'W' => out.push(WeekdayName),
            b'y' => out.push(YearShort),
            b'Y' => out.push(Year),
            b'z' => out.push(Offset),
            b'%' => text(&mut out, b'%'),
            other => {
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("format is not supported for '{}'", other as char),
                ));
            }
        }
    }
    Ok(out)
}

fn joda_pieces(format: &[u8]) -> Result<Vec<Piece>> {
    use Piece::*;
    let mut out: Vec<Piece> = vec![];
    let mut at = 0;
    while at < format.len() {
        let b = format[at];
        if b == b'\'' {
            if format.get(at + 1) == Some(&b'\'') {
                out.push(Text(b"'".to_vec()));
                at += 2;
                continue;
            }
            let end = format[at + 1..]
                .iter()
                .position(|c| *c == b'\'')
                .ok_or_else(|| bad_argument("No closing single quote for literal"))?;
            out.push(Text(format[at + 1..at + 1 + end].to_vec()));
            at += end + 2;
            continue;
        }
        if !b.is_ascii_alphabetic() {
            out.push(Text(vec![b]));
            at += 1;
            continue;
        }
        let n = format[at..].iter().take_while(|c| **c == b).count();
        at += n;
        out.push(match b {
            b'G' => Era,
            b'C' => Century,
            b'Y' | b'y' if n == 2 => YearShort,
            b'Y' | b'y' => Year,
            b'x' => IsoYear,
            b'w' => IsoWeek(n),
            b'e' => Weekday,
            b'E' if n > 3 => WeekdayName,
            b'E' => WeekdayShort,
            b'D' => DayOfYear(n),
            b'M' if n > 3 => MonthName,
            b'M' if n == 3 => MonthShort,
            b'M' => Month(n),
            b'd' => Day(n),
            b'a' => HalfDay,
            b'K' => Hour0(n),
            b'h' => Hour12(n),
            b'H' => Hour(n),
            b'k' => Hour24(n),
            b'm' => Minute(n),
            b's' => Second(n),
            b'S' => Digits(n),
            b'z' => Zone,
            b'Z' => Offset,
            other => {
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("format is not supported for {}", other as char),
                ));
            }
        });
    }
    Ok(out)
}

fn format(call: &FunctionCall, index: usize, joda: bool) -> Result<Column> {
    let zone = call.zone(index, index + 2)?;
    match call.constant_text(index + 1) {
        Some(text) => render(call, index, &pieces(text.as_bytes(), joda)?, zone),
        None => {
            let formats = call.strings(index + 1)?;
            let moments = moments(call, index, zone)?;
            let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 20);
            for (row, moment) in moments.into_iter().enumerate() {
                write(&pieces(formats.get(row), joda)?, &moment, zone, &mut out.bytes);
                out.end_row();
            }
            call.finish(out.finish()?)
        }
    }
}

fn from_unix(call: &FunctionCall, joda: bool) -> Result<Column> {
    let to = DataType::DateTime(None);
    let column = if call.data_type(0)?.is_date_or_time() {
        call.column(0)?
    } else {
        super::cast::cast_column(&call.column(0)?, &to, call.context)?
    };
    if call.arguments.len() == 1 {
        return super::cast::cast_column(&column, &to, call.context);
    }
    let mut arguments = call.arguments.to_vec();
    arguments[0] = super::Argument::Column(column);
    format(&FunctionCall { arguments: &arguments, ..*call }, 0, joda)
}

/// What a format can show of one value.
struct Moment {
    civil: Civil,
    days: i32,
    utc: i64,
    fraction: i64,
    precision: u8,
}

fn moments(call: &FunctionCall, index: usize, zone: TimeZone) -> Result<Vec<Moment>> {
    let column = call.column(index)?;
    let (ticks, precision) = to_ticks(&column, zone)?;
    let power = 10i64.pow(precision as u32);
    Ok(ticks
        .into_iter()
        .map(|t| {
            let utc = t.div_euclid(power);
            let local = to_local(zone, utc);
            let (days, rest) = (local.div_euclid(86_400) as i32, local.rem_euclid(86_400) as u32);
            let (year, month, day) = civil(days);
            let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
            Moment {
                civil: Civil { year, month, day, hour, minute, second },
                days,
                utc,
                fraction: t.rem_euclid(power),
                precision,
            }
        })
        .collect())
}

fn render(call: &FunctionCall, index: usize, pieces: &[Piece], zone: TimeZone) -> Result<Column> {
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 20);
    for moment in moments(call, index, zone)? {
        write(pieces, &moment, zone, &mut out.bytes);
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn digits(out: &mut Vec<u8>, v: u32, width: usize) {
    if width == 2 && v < 100 {
        out.extend_from_slice(&[b'0' + (v / 10) as u8, b'0' + (v % 10) as u8]);
        return;
    }
    // From the last digit on, into a buffer that is filled with zeros.
    let mut text = [b'0'; 20];
    let (mut rest, mut at) = (v, text.len());
    while rest > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[at.min(text.len() - width.min(text.len()))..]);
}

fn write(pieces: &[Piece], m: &Moment, zone: TimeZone, out: &mut Vec<u8>) {
    use Piece::*;
    let c = &m.civil;
    let month = c.month as usize - 1;
    let day = weekday(m.days) as usize - 1;
    for piece in pieces {
        match piece {
            Text(t) => out.extend_from_slice(t),
            Year => digits(out, c.year as u32, 4),
            YearShort => digits(out, c.year as u32 % 100, 2),
            Century => digits(out, c.year as u32 / 100, 2),
            Month(n) => digits(out, c.month, *n),
            MonthName => out.extend_from_slice(MONTHS[month].as_bytes()),
            MonthShort => out.extend_from_slice(&MONTHS[month].as_bytes()[..3]),
            Day(n) => digits(out, c.day, *n),
            DayOfYear(n) => digits(out, day_of_year(m.days), *n),
            WeekdayName => out.extend_from_slice(WEEKDAYS[day].as_bytes()),
            WeekdayShort => out.extend_from_slice(&WEEKDAYS[day].as_bytes()[..3]),
            Weekday => digits(out, day as u32 + 1, 1),
            WeekdaySunday => digits(out, (day as u32 + 1) % 7, 1),
            Hour(n) => digits(out, c.hour, *n),
            Hour12(n) => digits(out, (c.hour + 11) % 12 + 1, *n),
            Hour0(n) => digits(out, c.hour % 12, *n),
            Hour24(n) => digits(out, (c.hour + 23) % 24 + 1, *n),
            Minute(n) => digits(out, c.minute, *n),
            Second(n) => digits(out, c.second, *n),
            Fraction => {
                let width = m.precision.max(6) as usize;
                let up = 10i64.pow((width - m.precision as usize) as u32);
                digits(out, (m.fraction * up) as u32, width);
            }
            Digits(n) => {
                let text = format!("{:0width$}", m.fraction, width = m.precision as usize);
                let text = if m.precision == 0 { "" } else { &text };
                out.extend((0..*n).map(|i| text.as_bytes().get(i).copied().unwrap_or(b'0')));
            }
            HalfDay => out.extend_from_slice(if c.hour < 12 { b"AM" } else { b"PM" }),
            Quarter => digits(out, (c.month - 1) / 3 + 1, 1),
            IsoYear => digits(out, iso_week(m.days).0 as u32, 4),
            IsoYearShort => digits(out, iso_week(m.days).0 as u32 % 100, 2),
            IsoWeek(n) => digits(out, iso_week(m.days).1, *n),
            Offset => {
                let offset = offset_at(zone, m.utc);
                out.push(if offset < 0 { b'-' } else { b'+' });
                digits(out, offset.unsigned_abs() / 3600, 2);
                digits(out, offset.unsigned_abs() / 60 % 60, 2);
            }
            Zone => out.extend_from_slice(zone.name().as_bytes()),
            Era => out.extend_from_slice(if c.year > 0 { b"AD" } else { b"BC" }),
        }
    }
}
