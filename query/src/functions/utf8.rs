//! Strings as code points: the functions with UTF8 in their name.
//!
//! A code point begins at every byte that is not a continuation byte, so that broken text has a length
//! too. Case changes go through valid text only; what is not UTF-8 stays as it is.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::registry::Registry;
use super::string::{cut, strings_of, text_argument};
use super::strings::StringsBuilder;
use super::type_rule::Args;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    r.measure("lengthUTF8", DataType::UInt64, |t| count(t) as u64);
    r.text("lowerUTF8", |t, out| change_case(t, out, |c, out| out.extend(c.to_lowercase())));
    r.text("upperUTF8", |t, out| change_case(t, out, |c, out| out.extend(c.to_uppercase())));
    r.text("reverseUTF8", |t, out| {
        let mut end = t.len();
        for start in (0..t.len()).rev() {
            if is_start(t[start]) {
                out.extend_from_slice(&t[start..end]);
                end = start;
            }
        }
        out.extend_from_slice(&t[..end]);
    });
    r.text("toValidUTF8", |t, out| {
        for chunk in t.utf8_chunks() {
            out.extend_from_slice(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() && !out.ends_with("\u{FFFD}".as_bytes()) {
                out.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
    });
    r.measure("isValidUTF8", DataType::UInt8, |t| u8::from(std::str::from_utf8(t).is_ok()));
    r.measure("isValidASCII", DataType::UInt8, |t| u8::from(t.is_ascii()));
    r.text("initcapUTF8", |t, out| {
        let mut inside = false;
        change_case(t, out, move |c, out| {
            if inside {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
            inside = c.is_alphanumeric();
        });
    });
    r.add("substringUTF8", 2..=3, part_type, |c| part(c, Side::Offset));
    r.add("leftUTF8", 2..=2, part_type, |c| part(c, Side::Left));
    r.add("rightUTF8", 2..=2, part_type, |c| part(c, Side::Right));
}

fn part_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    a.integer(1)?;
    a.integer(2)?;
    Ok(DataType::String)
}

#[inline]
fn is_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// How many bytes a code point that begins with `byte` should have.
pub(super) fn promised_bytes(byte: u8) -> usize {
    match byte {
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0..0xF8 => 4,
        _ => 1,
    }
}

/// Code points of a text.
pub(super) fn count(text: &[u8]) -> usize {
    text.iter().filter(|b| is_start(**b)).count()
}

/// The byte range of a range of code points.
pub(super) fn byte_range(text: &[u8], points: std::ops::Range<usize>) -> std::ops::Range<usize> {
    if points.is_empty() {
        return 0..0;
    }
    let (mut start, mut end, mut seen) = (text.len(), text.len(), 0);
    for (i, b) in text.iter().enumerate() {
        if is_start(*b) {
            if seen == points.start {
                start = i;
            }
            if seen == points.end {
                end = i;
                break;
            }
            seen += 1;
        }
    }
    start..end
}

fn change_case(text: &[u8], out: &mut Vec<u8>, mut f: impl FnMut(char, &mut String)) {
    let mut changed = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        changed.clear();
        chunk.valid().chars().for_each(|c| f(c, &mut changed));
        out.extend_from_slice(changed.as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
}

#[derive(Clone, Copy)]
enum Side {
    Offset,
    Left,
    Right,
}

fn part(call: &FunctionCall, side: Side) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let numbers = call.numbers::<i64>(1)?;
    let lengths = if call.arguments.len() > 2 { Some(call.numbers::<i64>(2)?) } else { None };
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let (text, n) = (strings.get(row), numbers.get(row));
        let size = count(text);
        let points = match side {
            Side::Offset => cut(size, n, lengths.as_ref().map(|l| l.get(row))),
            side => super::pad::side_range(size, n, matches!(side, Side::Right)),
        };
        out.push(&text[byte_range(text, points)]);
    }
    call.finish(out.finish()?)
}
