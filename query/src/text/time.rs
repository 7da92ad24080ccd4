//! Dates and times from text.
//!
//! Dates are `YYYY-MM-DD` (any separator, one-digit month and day) or `YYYYMMDD`, running on into the
//! next month like ClickHouse's. Times are read "best effort": ISO 8601 and its relatives, numbers of
//! 9–19 digits as unix timestamps, `YYYYMMDD[hhmmss]`, `D/M/Y`, month and weekday names, AM/PM,
//! zone offsets. Out-of-range values clamp. Leaves out dates without a year (they would need a clock).

use pumphouse_storage::types::TimeZone;

use super::calendar::{SECONDS_PER_DAY, days_from_civil, days_in_month, local_to_utc};
use super::number::rest_error;
use super::{TextError, TextResult};
use crate::error::codes;

/// Day number where Date32 (and invalid dates in it) begin: 1900-01-01.
const DATE32_DEFAULT: i32 = -25_567;

#[inline]
fn digit(text: &[u8], at: usize) -> Option<u32> {
    text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10).map(u32::from)
}

#[inline]
fn two(text: &[u8], at: usize) -> Option<u32> {
    Some(digit(text, at)? * 10 + digit(text, at + 1)?)
}

#[inline]
fn four(text: &[u8], at: usize) -> Option<u32> {
    Some(two(text, at)? * 100 + two(text, at + 2)?)
}

/// One or two digits and how many they were.
#[inline]
fn one_or_two(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let first = digit(text, at)?;
    Some(match digit(text, at + 1) {
        Some(second) => (first * 10 + second, 2),
        None => (first, 1),
    })
}

/// Year, month, day at the start of `text` and the bytes they took.
#[inline]
fn read_ymd(text: &[u8]) -> TextResult<(i32, u32, u32, usize)> {
    let parse = || {
        let year = four(text, 0)? as i32;
        if digit(text, 4).is_some() {
            return Some((year, two(text, 4)?, two(text, 6)?, 8));
        }
        text.get(4)?;
        let (month, n) = one_or_two(text, 5)?;
        text.get(5 + n)?;
        let (day, m) = one_or_two(text, 6 + n)?;
        Some((year, month, day, 6 + n + m))
    };
    parse().ok_or_else(|| {
        TextError::new(
            codes::CANNOT_PARSE_DATE,
            "Cannot parse date: expected a date in the YYYY-MM-DD or YYYYMMDD format: Cannot parse \
             Date from String",
        )
    })
}

/// A Date at the start of `text`; a time of day may follow (`2025-01-02 10:00:00`).
#[inline]
pub fn read_date(text: &[u8]) -> TextResult<(u16, usize)> {
    let (year, month, day, used) = read_ymd(text)?;
    let days = if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        0
    } else {
        days_from_civil(year, month, day).clamp(0, u16::MAX as i32)
    };
    Ok((days as u16, used))
}

/// A Date32 at the start of `text`.
#[inline]
pub fn read_date32(text: &[u8]) -> TextResult<(i32, usize)> {
    let (year, month, day, used) = read_ymd(text)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Ok((DATE32_DEFAULT, used));
    }
    Ok((days_from_civil(year, month, day), used))
}

/// Bytes of a time of day behind a date, as casts to Date skip it.
fn time_of_day(text: &[u8]) -> usize {
    let shape = |n: usize| {
        matches!(text.first(), Some(b' ' | b'T'))
            && text.len() >= n
            && text[1..n].iter().enumerate().all(|(i, b)| match i % 3 {
                2 => *b == b':',
                _ => b.is_ascii_digit(),
            })
    };
    if shape(9) {
        match text.get(9) {
            Some(b'.') => 10 + text[10..].iter().take_while(|b| b.is_ascii_digit()).count(),
            _ => 9,
        }
    } else {
        0
    }
}

/// The whole text as a Date.
#[inline]
pub fn parse_date(text: &[u8]) -> TextResult<u16> {
    let (days, mut used) = read_date(text)?;
    if used != text.len() {
        used += time_of_day(&text[used..]);
    }
    if used != text.len() {
        return Err(rest_error(text, used, "Date"));
    }
    Ok(days)
}

/// The whole text as a Date32.
#[inline]
pub fn parse_date32(text: &[u8]) -> TextResult<i32> {
    let (days, mut used) = read_date32(text)?;
    if used != text.len() {
        used += time_of_day(&text[used..]);
    }
    if used != text.len() {
        return Err(rest_error(text, used, "Date32"));
    }
    Ok(days)
}

/// The whole text as a DateTime in `zone`, clamped to its range.
#[inline]
pub fn parse_date_time(text: &[u8], zone: TimeZone) -> TextResult<u32> {
    if text.len() == 19
        && let Some(local) = read_plain(text)
    {
        return Ok(local_to_utc(zone, local).clamp(0, u32::MAX as i64) as u32);
    }
    let moment = best_effort(text, zone, false)?;
    if moment.used != text.len() {
        let name = if zone == TimeZone::UTC { "DateTime('UTC')" } else { "DateTime" };
        return Err(rest_error(text, moment.used, name));
    }
    Ok(moment.seconds.clamp(0, u32::MAX as i64) as u32)
}

/// The whole text as a time in ClickHouse's basic form: `YYYY-MM-DD`, that with ` hh:mm:ss`, or the
/// seconds of an instant in at least five digits.
pub fn plain_time(text: &[u8], zone: TimeZone) -> Option<u32> {
    let (seconds, used) = plain_seconds(text, zone)?;
    (used == text.len()).then(|| seconds.clamp(0, u32::MAX as i64) as u32)
}

/// The same with a fraction, in ticks.
pub fn plain_time64(text: &[u8], precision: u8, zone: TimeZone) -> Option<i64> {
    let (seconds, used) = plain_seconds(text, zone)?;
    let (nanos, more) = read_fraction(&text[used..])?;
    (used + more == text.len()).then(|| ticks(seconds, nanos, precision).ok()).flatten()
}

/// [`plain_time`], or an error.
#[cold]
pub fn parse_plain_time(text: &[u8], zone: TimeZone) -> TextResult<u32> {
    plain_time(text, zone).ok_or_else(|| no_plain_time(text, zone))
}

/// [`plain_time64`], or an error.
#[cold]
pub fn parse_plain_time64(text: &[u8], precision: u8, zone: TimeZone) -> TextResult<i64> {
    plain_time64(text, precision, zone).ok_or_else(|| no_plain_time(text, zone))
}

fn no_plain_time(text: &[u8], zone: TimeZone) -> TextError {
    match plain_seconds(text, zone) {
        Some((_, used)) => rest_error(text, used, "DateTime"),
        None => TextError::new(codes::CANNOT_PARSE_DATETIME, "Cannot parse datetime"),
    }
}

fn plain_seconds(text: &[u8], zone: TimeZone) -> Option<(i64, usize)> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits >= 5 {
        let number = text[..digits]
            .iter()
            .fold(0i64, |n, b| n.saturating_mul(10).saturating_add((b - b'0') as i64));
        return Some((number, digits));
    }
    if let Some(local) = text.get(..19).and_then(read_plain) {
        return Some((local_to_utc(zone, local), 19));
    }
    let day = text.get(..10)?;
    let mut padded = *b"0000-00-00 00:00:00";
    padded[..10].copy_from_slice(day);
    Some((local_to_utc(zone, read_plain(&padded)?), 10))
}

/// The whole text as a DateTime64 of `precision` digits in `zone`, in ticks.
#[inline]
pub fn parse_date_time64(text: &[u8], precision: u8, zone: TimeZone) -> TextResult<i64> {
    if text.len() >= 19
        && let Some(local) = read_plain(text)
        && let Some((nanos, used)) = read_fraction(&text[19..])
        && used + 19 == text.len()
    {
        return ticks(local_to_utc(zone, local), nanos, precision);
    }
    let moment = best_effort(text, zone, true)?;
    if moment.used != text.len() {
        return Err(rest_error(text, moment.used, &format!("DateTime64({precision})")));
    }
    ticks(moment.seconds, moment.nanos, precision)
}

/// Ticks of seconds and nanoseconds; the digits past the precision are cut.
pub fn ticks(seconds: i64, nanos: u32, precision: u8) -> TextResult<i64> {
    let scale = 10i64.pow(precision as u32);
    let fraction = nanos as i64 / 10i64.pow(9 - precision as u32);
    seconds
        .checked_mul(scale)
        .and_then(|t| t.checked_add(fraction))
        .ok_or_else(|| TextError::new(codes::DECIMAL_OVERFLOW, "Decimal math overflow"))
}

/// `YYYY-MM-DD hh:mm:ss` (or with a `T`) at the start of `text`, as local seconds, if it is a real date.
#[inline]
pub fn read_plain(text: &[u8]) -> Option<i64> {
    let t: &[u8; 19] = text.first_chunk()?;
    if t[4] != b'-'
        || t[7] != b'-'
        || t[13] != b':'
        || t[16] != b':'
        || !(t[10] == b' ' || t[10] == b'T')
    {
        return None;
    }
    let (year, month, day) = (four(t, 0)? as i32, two(t, 5)?, two(t, 8)?);
    let (hour, minute, second) = (two(t, 11)?, two(t, 14)?, two(t, 17)?);
    let real =
        (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= days_in_month(year, month));
    if !real || year == 0 {
        return None;
    }
    Some(
        days_from_civil(year, month, day) as i64 * SECONDS_PER_DAY
            + (hour * 3600 + minute * 60 + second) as i64,
    )
}

/// Nothing, or `.` and digits: nanoseconds and the bytes taken.
#[inline]
fn read_fraction(text: &[u8]) -> Option<(u32, usize)> {
    if text.first() != Some(&b'.') {
        return Some((0, 0));
    }
    let digits = text[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut nanos = 0u32;
    for i in 0..9 {
        let d = if i < digits { (text[1 + i] - b'0') as u32 } else { 0 };
        nanos = nanos * 10 + d;
    }
    Some((nanos, digits + 1))
}

/// A point in time: UTC seconds, nanoseconds, and the bytes that it took.
struct Moment {
    seconds: i64,
    nanos: u32,
    used: usize,
}

#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: u32,
    second: u32,
    nanos: u32,
    afternoon: Option<bool>,
    /// Seconds east of UTC if the text says so.
    offset: Option<i64>,
}

fn bad(what: impl std::fmt::Display) -> TextError {
    TextError::new(codes::CANNOT_PARSE_DATETIME, format!("Cannot read DateTime: {what}"))
}

fn best_effort(text: &[u8], zone: TimeZone, fractional: bool) -> TextResult<Moment> {
    let mut p = Parts::default();
    let mut at = 0;
    while at < text.len() {
        let b = text[at];
        if b.is_ascii_digit() {
            let run = text[at..].iter().take(20).take_while(|b| b.is_ascii_digit()).count();
            if p.year.is_none()
                && p.hour.is_none()
                && let Some(moment) = timestamp(text, at, run, fractional)
            {
                return Ok(moment);
            }
            at = digits(&mut p, text, at, run)?;
        } else {
            match b {
                b' ' | b',' | b';' => at += 1,
                b'T' | b't' if p.day.is_some() && digit(text, at + 1).is_some() => at += 1,
                b'+' | b'-' if p.hour.is_some() => at = offset(&mut p, text, at)?,
                b'.' => return Err(bad("unexpected point symbol")),
                _ if b.is_ascii_alphabetic() => at = word(&mut p, text, at)?,
                _ => break,
            }
        }
    }
    finish(p, zone, at)
}

/// A run of digits that is a unix timestamp by its length.
fn timestamp(text: &[u8], at: usize, run: usize, fractional: bool) -> Option<Moment> {
    let seconds_digits = match run {
        9 | 10 => run,
        13 | 16 | 19 => 10,
        _ => return None,
    };
    let number = |from: usize, to: usize| {
        text[from..to].iter().fold(0u64, |n, b| n * 10 + (b - b'0') as u64)
    };
    let seconds = number(at, at + seconds_digits) as i64;
    let below = run - seconds_digits;
    let mut nanos = number(at + seconds_digits, at + run) as u32 * 10u32.pow(9 - below as u32);
    let mut used = at + run;
    if below == 0
        && fractional
        && let Some((fraction, n)) = read_fraction(&text[used..])
    {
        nanos = fraction;
        used += n;
    }
    Some(Moment { seconds, nanos, used })
}

/// Takes a run of digits at `at` by its length and what is behind it; the new position.
fn digits(p: &mut Parts, text: &[u8], at: usize, run: usize) -> TextResult<usize> {
    let short = |from: usize| one_or_two(text, from).unwrap_or((0, 0));
    let pair = |from: usize| two(text, from).unwrap_or(0);
    let no_date = p.year.is_none() && p.month.is_none();
    match run {
        14 if no_date => {
            p.year = four(text, at).map(|y| y as i32);
            (p.month, p.day) = (two(text, at + 4), two(text, at + 6));
            (p.hour, p.minute, p.second) = (two(text, at + 8), pair(at + 10), pair(at + 12));
        }
        8 if no_date => {
            p.year = four(text, at).map(|y| y as i32);
            (p.month, p.day) = (two(text, at + 4), two(text, at + 6));
        }
        6 if no_date => {
            p.year = four(text, at).map(|y| y as i32);
            p.month = two(text, at + 4);
        }
        6 if p.hour.is_none() => {
            (p.hour, p.minute, p.second) = (two(text, at), pair(at + 2), pair(at + 4));
        }
        4 if p.year.is_none() => {
            p.year = four(text, at).map(|y| y as i32);
            let separator = text.get(at + 4).copied().unwrap_or(0);
            if p.month.is_none() && matches!(separator, b'-' | b'/' | b'.' | b':') {
                let (month, n) = short(at + 5);
                if n == 0 {
                    return Ok(at + 4);
                }
                p.month = Some(month);
                let next = at + 5 + n;
                if text.get(next) == Some(&separator) && digit(text, next + 1).is_some() {
                    let (day, m) = short(next + 1);
                    p.day = Some(day);
                    return Ok(next + 1 + m);
                }
                return Ok(next);
            }
        }
        4 if p.hour.is_none() => {
            (p.hour, p.minute) = (two(text, at), pair(at + 2));
        }
        1 | 2 => return short_digits(p, text, at, run),
        _ => return Err(bad(format!("unexpected number of decimal digits: {run}"))),
    }
    Ok(at + run)
}

/// One or two digits: a time of day, a day of a month, or `D/M/Y`.
fn short_digits(p: &mut Parts, text: &[u8], at: usize, run: usize) -> TextResult<usize> {
    let (number, _) = one_or_two(text, at).unwrap_or((0, 0));
    let next = at + run;
    let separator = text.get(next).copied().unwrap_or(0);
    if separator == b':' && p.hour.is_none() {
        p.hour = Some(number);
        let Some((minute, n)) = one_or_two(text, next + 1) else {
            return Err(bad("unexpected end of the time"));
        };
        p.minute = minute;
        let mut end = next + 1 + n;
        if text.get(end) == Some(&b':')
            && let Some((second, n)) = one_or_two(text, end + 1)
        {
            p.second = second;
            end += 1 + n;
            if text.get(end) == Some(&b'.')
                && let Some((nanos, n)) = read_fraction(&text[end..])
            {
                p.nanos = nanos;
                end += n;
            }
        }
        return Ok(end);
    }
    if matches!(separator, b'/' | b'.' | b'-') && p.day.is_none() && p.year.is_none() {
        p.day = Some(number);
        let Some((month, n)) = one_or_two(text, next + 1) else {
            return Ok(next + 1);
        };
        p.month = Some(month);
        let after = next + 1 + n;
        if text.get(after) != Some(&separator) {
            return Ok(after);
        }
        if let Some(year) = four(text, after + 1) {
            p.year = Some(year as i32);
            return Ok(after + 5);
        }
        let Some(year) = two(text, after + 1) else { return Ok(after) };
        p.year = Some(year as i32 + if year >= 70 { 1900 } else { 2000 });
        return Ok(after + 3);
    }
    if p.day.is_none() {
        p.day = Some(number);
    } else if p.hour.is_none() {
        p.hour = Some(number);
    } else {
        return Err(bad(format!("unexpected number of decimal digits: {run}")));
    }
    Ok(next + usize::from(separator == b'-'))
}

/// `+hh`, `+hhmm` or `+hh:mm` behind a time.
fn offset(p: &mut Parts, text: &[u8], at: usize) -> TextResult<usize> {
    let sign = if text[at] == b'-' { -1 } else { 1 };
    let Some((hours, n)) = one_or_two(text, at + 1) else {
        return Err(bad("unexpected end of the zone offset"));
    };
    let mut end = at + 1 + n;
    let mut minutes = 0;
    let colon = usize::from(text.get(end) == Some(&b':'));
    if let Some(found) = two(text, end + colon) {
        minutes = found;
        end += colon + 2;
    }
    p.offset = Some(p.offset.unwrap_or(0) + sign * (hours as i64 * 3600 + minutes as i64 * 60));
    Ok(end)
}

/// A month, weekday, AM/PM or zone name; the new position.
fn word(p: &mut Parts, text: &[u8], at: usize) -> TextResult<usize> {
    let length = text[at..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let word = text[at..at + length].to_ascii_lowercase();
    let end = at + length;
    const MONTHS: [&[u8]; 12] = [
        b"january",
        b"february",
        b"march",
        b"april",
        b"may",
        b"june",
        b"july",
        b"august",
        b"september",
        b"october",
        b"november",
        b"december",
    ];
    const DAYS: [&[u8]; 7] =
        [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];
    const ZONES: [(&[u8], i64); 10] = [
        (b"z", 0),
        (b"utc", 0),
        (b"gmt", 0),
        (b"msk", 3),
        (b"msd", 4),
        (b"est", -5),
        (b"edt", -4),
        (b"cst", -6),
        (b"mst", -7),
        (b"pst", -8),
    ];
    let matches = |name: &&[u8]| *name == word || (length == 3 && name[..3] == word[..]);
    if let Some(i) = MONTHS.iter().position(matches) {
        p.month = Some(i as u32 + 1);
    } else if DAYS.iter().any(matches) {
        // A weekday says nothing that the date does not.
    } else if word == b"am" || word == b"pm" {
        p.afternoon = Some(word == b"pm");
    } else if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == word) {
        p.offset = Some(hours * 3600);
    } else {
        return Err(bad("unexpected word"));
    }
    let separated = matches!(text.get(end), Some(b'-' | b'/' | b'.')) && p.hour.is_none();
    Ok(end + usize::from(separated))
}

fn finish(p: Parts, zone: TimeZone, used: usize) -> TextResult<Moment> {
    let (Some(year), Some(month)) = (p.year, p.month) else {
        if p.year.is_none() && p.hour.is_none() && p.day.is_none() && p.month.is_none() {
            return Err(bad("neither Date nor Time was parsed successfully"));
        }
        return Err(bad("the date has no year or no month"));
    };
    let day = p.day.unwrap_or(1);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(bad(format!("unexpected date: {year}-{month}-{day}")));
    }
    let hour = match (p.hour.unwrap_or(0), p.afternoon) {
        (12, Some(false)) => 0,
        (h, Some(true)) if h < 12 => h + 12,
        (h, _) => h,
    };
    let local = days_from_civil(year, month, day) as i64 * SECONDS_PER_DAY
        + hour as i64 * 3600
        + p.minute as i64 * 60
        + p.second as i64;
    let seconds = match p.offset {
        Some(offset) => local - offset,
        None => local_to_utc(zone, local),
    };
    Ok(Moment { seconds, nanos: p.nanos, used })
}

#[cfg(test)]
mod tests {
    use super::super::write::write_date_time64;
    use super::*;

    fn show(text: &str) -> String {
        match parse_date_time64(text.as_bytes(), 3, TimeZone::UTC) {
            Ok(t) => {
                let mut out = vec![];
                write_date_time64(t, 3, TimeZone::UTC, &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(e) => format!("E{}", e.code),
        }
    }

    #[test]
    fn best_effort_times() {
        for (text, want) in [
            ("2025-01-02", "2025-01-02 00:00:00.000"),
            ("2025-01-02T03:04:05.1", "2025-01-02 03:04:05.100"),
            ("2025-01-02 03:04:05.1239", "2025-01-02 03:04:05.123"),
            ("2025-01-02 03:04", "2025-01-02 03:04:00.000"),
            ("2025-01-02 3:4:5", "2025-01-02 03:04:05.000"),
            ("2025-1-2 3:4:5", "2025-01-02 03:04:05.000"),
            ("1700000000", "2023-11-14 22:13:20.000"),
            ("1700000000.5", "2023-11-14 22:13:20.500"),
            ("1700000000123", "2023-11-14 22:13:20.123"),
            ("170000000", "1975-05-22 14:13:20.000"),
            ("20250102", "2025-01-02 00:00:00.000"),
            ("20250102030405", "2025-01-02 03:04:05.000"),
            ("2025-01-02T03:04:05Z", "2025-01-02 03:04:05.000"),
            ("2025-01-02T03:04:05.123Z", "2025-01-02 03:04:05.123"),
            ("2025-01-02 03:04:05+01:00", "2025-01-02 02:04:05.000"),
            ("2025-01-02 03:04:05 +0130", "2025-01-02 01:34:05.000"),
            ("1969-12-31 23:59:59.5", "1969-12-31 23:59:59.500"),
            ("1800-01-01 00:00:00", "1800-01-01 00:00:00.000"),
            ("2025-01-02 25:61:61", "2025-01-03 02:02:01.000"),
            ("2025-01-02 03", "2025-01-02 03:00:00.000"),
            ("2025-01-02 ", "2025-01-02 00:00:00.000"),
            ("23/10/2018 12:12:57", "2018-10-23 12:12:57.000"),
            ("Sat, 18 Aug 2018 07:22:16 GMT", "2018-08-18 07:22:16.000"),
            ("Jul 4, 2020 3:05 PM", "2020-07-04 15:05:00.000"),
            ("2025-13-45 10:10:10", "E41"),
            ("abc", "E41"),
            ("", "E41"),
            ("12345", "E41"),
            ("-1", "E41"),
        ] {
            assert_eq!(show(text), want, "{text}");
        }
        let seconds = |t: &str| parse_date_time(t.as_bytes(), TimeZone::UTC);
        assert_eq!(seconds("1960-01-01 00:00:00"), Ok(0));
        assert_eq!(seconds("2200-01-01 00:00:00"), Ok(u32::MAX));
        assert_eq!(seconds("1700000000.5").unwrap_err().code, 6);
        assert_eq!(parse_date_time64(b"2299-12-31", 9, TimeZone::UTC).unwrap_err().code, 407);
    }

    #[test]
    fn dates() {
        for (text, want) in [
            ("2025-01-02", Ok(20090)),
            ("2025-1-2", Ok(20090)),
            ("20250102", Ok(20090)),
            ("2025/01/02", Ok(20090)),
            ("2025-01-02 10:00:00", Ok(20090)),
            ("2025-01-02T10:00:00", Ok(20090)),
            ("2025-02-30", Ok(20149)),
            ("2025-13-45", Ok(0)),
            ("0000-00-00", Ok(0)),
            ("1960-01-01", Ok(0)),
            ("9999-12-31", Ok(65535)),
            ("17000", Err(38)),
            ("", Err(38)),
            ("2025-01-02x", Err(6)),
        ] {
            assert_eq!(parse_date(text.as_bytes()).map_err(|e| e.code), want, "{text}");
        }
        assert_eq!(parse_date32(b"2025-13-45"), Ok(DATE32_DEFAULT));
        assert_eq!(parse_date32(b"1899-12-31"), Ok(DATE32_DEFAULT - 1));
    }
}
