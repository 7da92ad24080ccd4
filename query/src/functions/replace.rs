//! Replacing plain text: replaceOne, replaceAll, translate, overlay.

use std::collections::HashMap;

use memchr::memmem::Finder;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::registry::Registry;
use super::string::{strings_of, text_argument};
use super::strings::{Strings, StringsBuilder};
use super::type_rule::bad_argument;
use super::utf8;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    for (name, all) in [("replaceAll", true), ("replaceOne", false)] {
        r.add(name, 3..=3, |a| a.strings(0).map(|_| DataType::String), move |c| replace(c, all));
    }
    for (name, points) in [("translate", false), ("translateUTF8", true)] {
        r.add(
            name,
            3..=3,
            |a| a.strings(0).map(|_| DataType::String),
            move |c| translate(c, points),
        );
    }
    for (name, points) in [("overlay", false), ("overlayUTF8", true)] {
        r.add(
            name,
            3..=4,
            |a| {
                a.string(0)?;
                a.string(1)?;
                a.integer(2)?;
                a.integer(3)?;
                Ok(DataType::String)
            },
            move |c| overlay(c, points),
        );
    }
}

fn replace(call: &FunctionCall, all: bool) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let texts = strings_of(&held)?;
    let (needles, replacements) = (call.strings(1)?, call.strings(2)?);
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows));
    let constant = match needles {
        Strings::One(needle) => Some(Finder::new(needle)),
        _ => None,
    };
    for row in 0..call.rows {
        let own;
        let finder = match &constant {
            Some(finder) => finder,
            None => {
                own = Finder::new(needles.get(row));
                &own
            }
        };
        let (text, replacement) = (texts.get(row), replacements.get(row));
        let needle = finder.needle().len();
        let mut rest = text;
        while needle > 0
            && let Some(at) = finder.find(rest)
        {
            out.bytes.extend_from_slice(&rest[..at]);
            out.bytes.extend_from_slice(replacement);
            rest = &rest[at + needle..];
            if !all {
                break;
            }
        }
        out.push(rest);
    }
    call.finish(out.finish()?)
}

/// Characters of the second text become those at the same place of the third; without one they go.
fn translate(call: &FunctionCall, points: bool) -> Result<Column> {
    let (texts, from, to) = (call.strings(0)?, call.strings(1)?, call.strings(2)?);
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows));
    for row in 0..call.rows {
        if points {
            let [text, from, to] =
                [&texts, &from, &to].map(|s| String::from_utf8_lossy(s.get(row)).into_owned());
            let mut map: HashMap<char, Option<char>> = HashMap::new();
            let mut targets = to.chars();
            for c in from.chars() {
                let target = targets.next();
                map.entry(c).or_insert(target);
            }
            for c in text.chars() {
                let target = map.get(&c).copied().unwrap_or(Some(c));
                if let Some(c) = target {
                    out.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        } else {
            let (from, to) = (from.get(row), to.get(row));
            for b in texts.get(row) {
                match from.iter().position(|f| f == b) {
                    Some(at) => out.bytes.extend(to.get(at)),
                    None => out.bytes.push(*b),
                }
            }
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn overlay(call: &FunctionCall, points: bool) -> Result<Column> {
    let (texts, replacements) = (call.strings(0)?, call.strings(1)?);
    let offsets = call.numbers::<i64>(2)?;
    let lengths = if call.arguments.len() > 3 { Some(call.numbers::<i64>(3)?) } else { None };
    let size_of = |t: &[u8]| if points { utf8::count(t) } else { t.len() };
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows));
    for row in 0..call.rows {
        let (text, replacement) = (texts.get(row), replacements.get(row));
        let size = size_of(text);
        let offset = offsets.get(row);
        if offset == 0 {
            return Err(bad_argument("the offset of function overlay must not be 0"));
        }
        let start = if offset > 0 {
            (offset as usize - 1).min(size)
        } else {
            size.saturating_sub(offset.unsigned_abs() as usize)
        };
        let length = match lengths.as_ref().map(|l| l.get(row)) {
            Some(l) if l >= 0 => l as usize,
            _ => size_of(replacement),
        };
        let end = start.saturating_add(length).min(size);
        let (start, end) = if points {
            (
                utf8::byte_range(text, 0..start).end,
                if end == 0 { 0 } else { utf8::byte_range(text, 0..end).end },
            )
        } else {
            (start, end)
        };
        out.bytes.extend_from_slice(&text[..start]);
        out.bytes.extend_from_slice(replacement);
        out.bytes.extend_from_slice(&text[end..]);
        out.end_row();
    }
    call.finish(out.finish()?)
}
