//! Text to dates by a format: parseDateTime (MySQL's letters) and parseDateTimeInJodaSyntax; and
//! parseDateTimeBestEffort, whose reading is `crate::text`'s.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::cast::{Mode, OnFailure, convert};
use super::date_format::{MONTHS, WEEKDAYS};
use super::native::Native;
use super::registry::Registry;
use super::strings::Validity;
use super::type_rule::Args;
use super::zone::parse_zone;
use crate::error::{Error, Result, codes};
use crate::text::calendar::{days_from_civil, days_in_month, local_to_utc};

pub(super) fn add(r: &mut Registry) {
    for (name, failure) in [
        ("parseDateTimeBestEffort", OnFailure::Throw),
        ("parseDateTimeBestEffortOrNull", OnFailure::Null),
        ("parseDateTimeBestEffortOrZero", OnFailure::Default),
        ("parseDateTimeBestEffortUS", OnFailure::Throw),
        ("parseDateTimeBestEffortUSOrNull", OnFailure::Null),
        ("parseDateTimeBestEffortUSOrZero", OnFailure::Default),
    ] {
        let american = name.contains("US");
        r.add(
            name,
            1..=2,
            move |a| {
                a.string(0)?;
                let zone = if a.len() > 1 { Some(parse_zone(&a.constant_text(1)?)?) } else { None };
                Ok(nullable_if(failure, DataType::DateTime(zone)))
            },
            move |c| best_effort(c, failure, american),
        );
    }
    for (name, failure) in [
        ("parseDateTime64BestEffort", OnFailure::Throw),
        ("parseDateTime64BestEffortOrNull", OnFailure::Null),
        ("parseDateTime64BestEffortOrZero", OnFailure::Default),
    ] {
        r.add(
            name,
            1..=3,
            move |a| Ok(nullable_if(failure, precise_type(a)?)),
            move |c| best_effort(c, failure, false),
        );
    }
    for (name, joda, failure) in [
        ("parseDateTime", false, OnFailure::Throw),
        ("parseDateTimeOrNull", false, OnFailure::Null),
        ("parseDateTimeOrZero", false, OnFailure::Default),
        ("parseDateTimeInJodaSyntax", true, OnFailure::Throw),
        ("parseDateTimeInJodaSyntaxOrNull", true, OnFailure::Null),
        ("parseDateTimeInJodaSyntaxOrZero", true, OnFailure::Default),
    ] {
        r.add(
            name,
            1..=3,
            move |a| {
                a.strings(0)?;
                let zone = if a.len() > 2 { Some(parse_zone(&a.constant_text(2)?)?) } else { None };
                Ok(nullable_if(failure, DataType::DateTime(zone)))
            },
            move |c| by_format(c, joda, failure),
        );
    }
}

fn nullable_if(failure: OnFailure, data_type: DataType) -> DataType {
    if failure == OnFailure::Null { DataType::nullable(data_type) } else { data_type }
}

fn precise_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    let precision = match a.constant(1) {
        None if a.len() < 2 => 3,
        None => return Err(super::type_rule::illegal_column("the precision must be constant")),
        Some(v) => v.as_u64().filter(|p| *p <= 9).ok_or_else(|| a.illegal(1))? as u8,
    };
    let zone = if a.len() > 2 { Some(parse_zone(&a.constant_text(2)?)?) } else { None };
    Ok(DataType::DateTime64(precision, zone))
}

fn best_effort(call: &FunctionCall, failure: OnFailure, american: bool) -> Result<Column> {
    let to = call.result.without_nullable();
    let mut column = call.column(0)?;
    if american {
        column = swapped_days(&column)?;
    }
    let mode = Mode { failure, accurate: false };
    let column = convert(&column, &to, mode, call.context)?;
    call.finish(column.array)
}

/// `M/D/Y` at the start of a text becomes `D/M/Y`.
fn swapped_days(column: &Column) -> Result<Column> {
    let rows: Vec<Value> = (0..column.len())
        .map(|row| match column.value(row) {
            Value::String(text) => Value::String(swap_day_and_month(&text).unwrap_or(text)),
            other => other,
        })
        .collect();
    Ok(Column::from_values(column.data_type.clone(), &rows)?)
}

fn swap_day_and_month(text: &[u8]) -> Option<Vec<u8>> {
    let number = |from: usize| {
        let n = text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        (1..=2).contains(&n).then_some(from + n)
    };
    let first = number(0)?;
    let separator = *text.get(first).filter(|b| b"/-.".contains(b))?;
    let second = number(first + 1)?;
    if text.get(second) != Some(&separator) {
        return None;
    }
    let mut out = text[first + 1..second].to_vec();
    out.push(separator);
    out.extend_from_slice(&text[..first]);
    out.extend_from_slice(&text[second..]);
    Some(out)
}

/// Fields as they are read.
#[derive(Default)]
struct Fields {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    afternoon: Option<bool>,
    twelve: bool,
    offset: Option<i64>,
    unix: Option<i64>,
}

fn by_format(call: &FunctionCall, joda: bool, failure: OnFailure) -> Result<Column> {
    let default = if joda { "yyyy-MM-dd HH:mm:ss" } else { "%Y-%m-%d %H:%i:%s" };
    let texts = call.strings(0)?;
    let formats = if call.arguments.len() > 1 { Some(call.strings(1)?) } else { None };
    let zone = super::zone::zone_of_type(&call.result.without_nullable(), call.context);
    let mut out = Vec::with_capacity(call.rows);
    let mut valid = Validity::with_capacity(call.rows);
    for row in 0..call.rows {
        let format = formats.map_or(default.as_bytes(), |f| f.get(row));
        let text = texts.get(row);
        let parsed = if joda { read_joda(text, format) } else { read_mysql(text, format) }
            .and_then(|fields| seconds(&fields, zone));
        if parsed.is_none() && failure == OnFailure::Throw {
            return Err(Error::new(
                codes::CANNOT_PARSE_DATETIME,
                format!(
                    "Cannot parse '{}' by format '{}'",
                    String::from_utf8_lossy(text),
                    String::from_utf8_lossy(format)
                ),
            ));
        }
        valid.push(parsed.is_some() || failure == OnFailure::Default);
        out.push(parsed.map_or(0, |s| s.clamp(0, u32::MAX as i64) as u32));
    }
    call.finish(super::invoke::set_nulls(&u32::array(out), valid.finish()))
}

fn seconds(f: &Fields, zone: TimeZone) -> Option<i64> {
    if let Some(unix) = f.unix {
        return Some(unix);
    }
    let hour = match (f.afternoon, f.twelve) {
        (Some(true), _) => f.hour % 12 + 12,
        (Some(false), _) => f.hour % 12,
        (None, true) => f.hour % 12,
        (None, false) => f.hour,
    };
    let year = f.year.unwrap_or(1970);
    let days = match f.day_of_year {
        Some(n) => days_from_civil(year, 1, 1) + n as i32 - 1,
        None => {
            let (month, day) = (f.month.unwrap_or(1), f.day.unwrap_or(1));
            if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
                return None;
            }
            days_from_civil(year, month, day)
        }
    };
    if hour > 23 || f.minute > 59 || f.second > 59 {
        return None;
    }
    let local = days as i64 * 86_400 + (hour * 3600 + f.minute * 60 + f.second) as i64;
    Some(match f.offset {
        Some(offset) => local - offset,
        None => local_to_utc(zone, local),
    })
}

/// A cursor over the text.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A number of at least one and at most `most` digits.
    fn number(&mut self, most: usize) -> Option<u32> {
        let n = self.text[self.at..].iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        let value = std::str::from_utf8(&self.text[self.at..self.at + n]).ok()?.parse().ok()?;
        self.at += n;
        Some(value)
    }

    /// Exactly `n` digits.
    fn exactly(&mut self, n: usize) -> Option<u32> {
        let start = self.at;
        let value = self.number(n)?;
        (self.at - start == n).then_some(value)
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (self.text.get(self.at) == Some(&wanted)).then(|| self.at += 1)
    }

    /// One of the names, or its first three letters if `short`.
    fn name(&mut self, names: &[&str], short: bool) -> Option<usize> {
        let rest = &self.text[self.at..];
        let (index, length) = names.iter().enumerate().find_map(|(i, name)| {
            let name = if short { &name.as_bytes()[..3] } else { name.as_bytes() };
            let found = rest.get(..name.len())?;
            found.eq_ignore_ascii_case(name).then_some((i, name.len()))
        })?;
        self.at += length;
        Some(index)
    }

    fn half_day(&mut self) -> Option<bool> {
        let found = self.text.get(self.at..self.at + 2)?.to_ascii_uppercase();
        self.at += 2;
        match &found[..] {
            b"AM" => Some(false),
            b"PM" => Some(true),
            _ => None,
        }
    }

    /// `+hhmm` or `-hh:mm`.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.text.get(self.at)? {
            b'+' => 1,
            b'-' => -1,
            b'Z' => {
                self.at += 1;
                return Some(0);
            }
            _ => return None,
        };
        self.at += 1;
        let hours = self.exactly(2)? as i64;
        let _ = self.byte(b':');
        let minutes = self.exactly(2)? as i64;
        Some(sign * (hours * 3600 + minutes * 60))
    }
}

fn read_mysql(text: &[u8], format: &[u8]) -> Option<Fields> {
    let mut r = Reader { text, at: 0 };
    let mut f = Fields::default();
    let mut letters = format.iter().copied();
    while let Some(b) = letters.next() {
        if b != b'%' {
            r.byte(b)?;
            continue;
        }
        mysql_letter(letters.next()?, &mut r, &mut f)?;
    }
    (r.at == text.len()).then_some(f)
}

fn mysql_letter(letter: u8, r: &mut Reader, f: &mut Fields) -> Option<()> {
    match letter {
        b'Y' => f.year = Some(r.exactly(4)? as i32),
        b'y' => {
            let y = r.exactly(2)? as i32;
            f.year = Some(if y >= 70 { 1900 + y } else { 2000 + y });
        }
        b'm' | b'c' => f.month = Some(r.number(2)?),
        b'M' => f.month = Some(r.name(&MONTHS, false)? as u32 + 1),
        b'b' => f.month = Some(r.name(&MONTHS, true)? as u32 + 1),
        b'd' | b'e' => {
            while letter == b'e' && r.text.get(r.at) == Some(&b' ') {
                r.at += 1;
            }
            f.day = Some(r.number(2)?);
        }
        b'j' => f.day_of_year = Some(r.exactly(3)?),
        b'a' => {
            r.name(&WEEKDAYS, true)?;
        }
        b'W' => {
            r.name(&WEEKDAYS, false)?;
        }
        b'H' | b'k' => f.hour = r.number(2)?,
        b'h' | b'I' | b'l' => {
            f.hour = r.number(2)?;
            f.twelve = true;
        }
        b'i' => f.minute = r.number(2)?,
        b's' | b'S' => f.second = r.number(2)?,
        b'f' => {
            r.number(9)?;
        }
        b'p' => f.afternoon = Some(r.half_day()?),
        b'z' => f.offset = Some(r.offset()?),
        b'F' => {
            f.year = Some(r.exactly(4)? as i32);
            r.byte(b'-')?;
            f.month = Some(r.exactly(2)?);
            r.byte(b'-')?;
            f.day = Some(r.exactly(2)?);
        }
        b'D' => {
            f.month = Some(r.exactly(2)?);
            r.byte(b'/')?;
            f.day = Some(r.exactly(2)?);
            r.byte(b'/')?;
            f.year = Some(2000 + r.exactly(2)? as i32);
        }
        b'T' | b'R' => {
            f.hour = r.exactly(2)?;
            r.byte(b':')?;
            f.minute = r.exactly(2)?;
            if letter == b'T' {
                r.byte(b':')?;
                f.second = r.exactly(2)?;
            }
        }
        b'r' => {
            f.hour = r.exactly(2)?;
            f.twelve = true;
            r.byte(b':')?;
            f.minute = r.exactly(2)?;
            r.byte(b' ')?;
            f.afternoon = Some(r.half_day()?);
        }
        b'n' => r.byte(b'\n')?,
        b't' => r.byte(b'\t')?,
        b'%' => r.byte(b'%')?,
        _ => return None,
    }
    Some(())
}

fn read_joda(text: &[u8], format: &[u8]) -> Option<Fields> {
    let mut r = Reader { text, at: 0 };
    let mut f = Fields::default();
    let mut at = 0;
    while at < format.len() {
        let b = format[at];
        if b == b'\'' {
            let end = format[at + 1..].iter().position(|c| *c == b'\'')?;
            for literal in &format[at + 1..at + 1 + end] {
                r.byte(*literal)?;
            }
            at += end + 2;
            continue;
        }
        if !b.is_ascii_alphabetic() {
            r.byte(b)?;
            at += 1;
            continue;
        }
        let n = format[at..].iter().take_while(|c| **c == b).count();
        at += n;
        match b {
            b'y' | b'Y' if n == 2 => {
                let y = r.exactly(2)? as i32;
                f.year = Some(if y >= 70 { 1900 + y } else { 2000 + y });
            }
            b'y' | b'Y' | b'x' => f.year = Some(r.number(4)? as i32),
            b'M' if n > 3 => f.month = Some(r.name(&MONTHS, false)? as u32 + 1),
            b'M' if n == 3 => f.month = Some(r.name(&MONTHS, true)? as u32 + 1),
            b'M' => f.month = Some(r.number(n.max(2))?),
            b'd' => f.day = Some(r.number(n.max(2))?),
            b'D' => f.day_of_year = Some(r.number(3)?),
            b'E' => {
                r.name(&WEEKDAYS, false).or_else(|| r.name(&WEEKDAYS, true))?;
            }
            b'a' => f.afternoon = Some(r.half_day()?),
            b'h' | b'K' => {
                f.hour = r.number(2)?;
                f.twelve = true;
            }
            b'H' | b'k' => f.hour = r.number(2)? % 24,
            b'm' => f.minute = r.number(2)?,
            b's' => f.second = r.number(2)?,
            b'S' => {
                r.number(9)?;
            }
            b'Z' | b'z' => f.offset = Some(r.offset()?),
            _ => return None,
        }
    }
    (r.at == text.len()).then_some(f)
}
