//! Strings trimmed, padded, repeated and cut at their ends.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::registry::Registry;
use super::string::{strings_of, text_argument, too_long};
use super::strings::StringsBuilder;
use super::type_rule::Args;
use super::utf8;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    for (name, left, right) in
        [("trimLeft", true, false), ("trimRight", false, true), ("trimBoth", true, true)]
    {
        r.add(
            name,
            1..=2,
            |a| a.strings(0).map(|_| DataType::String),
            move |c| trim(c, left, right),
        );
    }
    for (name, left, points) in [
        ("leftPad", true, false),
        ("rightPad", false, false),
        ("leftPadUTF8", true, true),
        ("rightPadUTF8", false, true),
    ] {
        r.add(name, 2..=3, pad_type, move |c| pad(c, left, points));
    }
    r.add("left", 2..=2, cut_type, |c| side(c, false));
    r.add("right", 2..=2, cut_type, |c| side(c, true));
    r.add("repeat", 2..=2, cut_type, repeat);
    r.add("space", 1..=1, |a| a.integer(0).map(|_| DataType::String), space);
    r.add(
        "appendTrailingCharIfAbsent",
        2..=2,
        |a| a.strings(0).map(|_| DataType::String),
        append_trailing,
    );
}

fn cut_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    a.integer(1)?;
    Ok(DataType::String)
}

fn pad_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    a.integer(1)?;
    a.string(2)?;
    Ok(DataType::String)
}

fn trim(call: &FunctionCall, left: bool, right: bool) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let characters = if call.arguments.len() > 1 { Some(call.strings(1)?) } else { None };
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let set = characters.map_or(&b" "[..], |c| c.get(row));
        let mut text = strings.get(row);
        if left {
            let start = text.iter().position(|b| !set.contains(b)).unwrap_or(text.len());
            text = &text[start..];
        }
        if right {
            let end = text.iter().rposition(|b| !set.contains(b)).map_or(0, |i| i + 1);
            text = &text[..end];
        }
        out.push(text);
    }
    call.finish(out.finish()?)
}

/// Longest padded or repeated string.
const LENGTH_MAX: i64 = 16_000_000;

fn pad(call: &FunctionCall, left: bool, points: bool) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let lengths = call.numbers::<i64>(1)?;
    let fills = if call.arguments.len() > 2 { Some(call.strings(2)?) } else { None };
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let (text, length) = (strings.get(row), lengths.get(row).max(0));
        if length > LENGTH_MAX {
            return Err(too_long("padding"));
        }
        let length = length as usize;
        let size = if points { utf8::count(text) } else { text.len() };
        if size >= length {
            let kept = if points { utf8::byte_range(text, 0..length) } else { 0..length };
            out.push(&text[kept]);
            continue;
        }
        let fill = fills.map(|f| f.get(row)).filter(|f| !f.is_empty()).unwrap_or(b" ");
        if !left {
            out.bytes.extend_from_slice(text);
        }
        fill_to(&mut out.bytes, fill, length - size, points);
        if left {
            out.bytes.extend_from_slice(text);
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn fill_to(out: &mut Vec<u8>, fill: &[u8], mut missing: usize, points: bool) {
    let size = if points { utf8::count(fill) } else { fill.len() };
    while missing > 0 {
        let take = missing.min(size.max(1));
        let range = if points { utf8::byte_range(fill, 0..take) } else { 0..take };
        out.extend_from_slice(&fill[range]);
        missing -= take;
    }
}

/// The part that left(n) or right(n) keeps; negative n leaves that many out.
pub(super) fn side_range(size: usize, n: i64, right: bool) -> std::ops::Range<usize> {
    let kept = if n >= 0 {
        (n as u64).min(size as u64) as usize
    } else {
        size.saturating_sub(n.unsigned_abs().min(size as u64) as usize)
    };
    if right { size - kept..size } else { 0..kept }
}

fn side(call: &FunctionCall, right: bool) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let numbers = call.numbers::<i64>(1)?;
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let text = strings.get(row);
        out.push(&text[side_range(text.len(), numbers.get(row), right)]);
    }
    call.finish(out.finish()?)
}

fn repeat(call: &FunctionCall) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let counts = call.numbers::<i64>(1)?;
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        let (text, count) = (strings.get(row), counts.get(row).max(0));
        if count > 1_000_000 || count * text.len() as i64 > LENGTH_MAX {
            return Err(too_long("repeat"));
        }
        (0..count).for_each(|_| out.bytes.extend_from_slice(text));
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn space(call: &FunctionCall) -> Result<Column> {
    let counts = call.numbers::<i64>(0)?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 8);
    for row in 0..call.rows {
        let count = counts.get(row).max(0);
        if count > LENGTH_MAX {
            return Err(too_long("space"));
        }
        out.bytes.extend(std::iter::repeat_n(b' ', count as usize));
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn append_trailing(call: &FunctionCall) -> Result<Column> {
    let (strings, tails) = (call.strings(0)?, call.strings(1)?);
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows) + call.rows);
    for row in 0..call.rows {
        let (text, tail) = (strings.get(row), tails.get(row));
        if tail.len() != 1 {
            return Err(super::type_rule::bad_argument(
                "Second argument of function appendTrailingCharIfAbsent must be a one-character string",
            ));
        }
        out.bytes.extend_from_slice(text);
        if !text.is_empty() && !text.ends_with(tail) {
            out.bytes.extend_from_slice(tail);
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}
