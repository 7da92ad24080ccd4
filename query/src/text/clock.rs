//! Time and Time64 from text: hours, minutes and seconds, either side of midnight.

use super::{TextError, TextResult, excerpt};
use crate::error::codes;

const CANNOT_PARSE_DATETIME: u32 = 41;
/// 999:59:59.
const SECONDS_MAX: i64 = 3_599_999;

/// Seconds of `[-]h:mm:ss`; a bare number of two digits is seconds.
pub fn parse_time(text: &[u8]) -> TextResult<i32> {
    let (ticks, used) = read(text, 0)?;
    finish(text, used, "Time")?;
    Ok(ticks as i32)
}

/// Ticks of `[-]h:mm:ss.fraction`.
pub fn parse_time64(text: &[u8], precision: u8) -> TextResult<i64> {
    let (ticks, used) = read(text, precision)?;
    finish(text, used, &format!("Time64({precision})"))?;
    Ok(ticks)
}

fn finish(text: &[u8], used: usize, name: &str) -> TextResult<()> {
    if used == text.len() {
        return Ok(());
    }
    Err(TextError::new(
        codes::CANNOT_PARSE_TEXT,
        format!(
            "Cannot parse string '{}' as {name}: syntax error at position {used} (parsed just '{}')",
            excerpt(text),
            excerpt(&text[..used])
        ),
    ))
}

fn digits(text: &[u8], at: usize, most: usize) -> (i64, usize) {
    let mut end = at;
    let mut n = 0;
    while end < text.len() && end - at < most && text[end].is_ascii_digit() {
        n = n * 10 + (text[end] - b'0') as i64;
        end += 1;
    }
    (n, end)
}

/// Ticks and the bytes they took.
fn read(text: &[u8], precision: u8) -> TextResult<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let first = usize::from(negative);
    if !text.get(first).is_some_and(u8::is_ascii_digit) {
        return Err(TextError::new(
            CANNOT_PARSE_DATETIME,
            "Cannot parse time: invalid first character: Cannot parse Time from String",
        ));
    }
    let (hours, colon) = digits(text, first, 3);
    let mut seconds;
    let mut at;
    if text.get(colon) == Some(&b':') {
        let (minutes, end) = digits(text, colon + 1, 2);
        seconds = hours * 3600 + minutes * 60;
        at = end;
        if text.get(end) == Some(&b':') {
            let (s, end) = digits(text, end + 1, 2);
            seconds += s;
            at = end;
        }
    } else {
        (seconds, at) = digits(text, first, 2);
    }
    seconds = seconds.min(SECONDS_MAX);
    let mut ticks = seconds * 10i64.pow(precision.min(9) as u32);
    if precision > 0 && text.get(at) == Some(&b'.') {
        let (_, end) = digits(text, at + 1, 18);
        let kept = (end - at - 1).min(precision as usize);
        let (n, _) = digits(text, at + 1, kept);
        ticks += n * 10i64.pow((precision as usize - kept) as u32);
        at = end;
    }
    Ok((if negative { -ticks } else { ticks }, at))
}
