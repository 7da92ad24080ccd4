//! like, notLike, ilike, notILike and match.

use memchr::memmem;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::pattern::{Like, compile, like, like_regex};
use super::registry::Registry;
use super::search::first_in_rows;
use super::string::{strings_of, text_argument};
use super::strings::Strings;
use super::type_rule::Args;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    for (name, any_case, negate) in [
        ("like", false, false),
        ("notLike", false, true),
        ("ilike", true, false),
        ("notILike", true, true),
    ] {
        r.add(name, 2..=2, like_type, move |c| run_like(c, any_case, negate));
    }
    r.add("match", 2..=2, like_type, run_match);
}

fn like_type(a: &Args) -> Result<DataType> {
    a.require(0, |t| {
        t.is_string() || matches!(t, DataType::Enum8(_) | DataType::Enum16(_) | DataType::Nothing)
    })?;
    a.string(1)?;
    Ok(DataType::UInt8)
}

fn run_like(call: &FunctionCall, any_case: bool, negate: bool) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let texts = strings_of(&held)?;
    let patterns = call.strings(1)?;
    let mut hits = match patterns {
        Strings::One(pattern) => rows_like(&texts, call.rows, pattern, any_case)?,
        _ => {
            let mut hits = Vec::with_capacity(call.rows);
            for row in 0..call.rows {
                let one = Strings::One(texts.get(row));
                hits.push(rows_like(&one, 1, patterns.get(row), any_case)?[0]);
            }
            hits
        }
    };
    if negate {
        hits.iter_mut().for_each(|h| *h ^= 1);
    }
    call.finish_numbers(hits)
}

/// 1 for every row that matches the LIKE pattern.
fn rows_like(texts: &Strings, rows: usize, pattern: &[u8], any_case: bool) -> Result<Vec<u8>> {
    let each = |f: &dyn Fn(&[u8]) -> bool| -> Vec<u8> {
        (0..rows).map(|row| u8::from(f(texts.get(row)))).collect()
    };
    let wanted = like(pattern)?;
    if let (true, Like::Contains(text)) = (any_case, &wanted)
        && text.is_ascii()
        && rows > 1
    {
        // One pass of folding and one search are cheaper than a pattern a row.
        let folded = super::string_search::fold_ascii(texts, rows)?;
        let mut hits = vec![0; rows];
        let needle = super::search::lower(text);
        first_in_rows(&Strings::of(folded.as_ref())?, rows, &needle, |row, _| hits[row] = 1);
        return Ok(hits);
    }
    if any_case && wanted != Like::All {
        let regex = match &wanted {
            // Without anchors the engine can look for the text itself.
            Like::Contains(text) => {
                compile(regex::escape(&String::from_utf8_lossy(text)).as_bytes(), true)?
            }
            _ => compile(like_regex(pattern).as_bytes(), true)?,
        };
        return Ok(each(&|t| regex.is_match(t)));
    }
    Ok(match wanted {
        Like::All => vec![1; rows],
        Like::Equals(text) => each(&|t| t == text),
        Like::Prefix(text) => each(&|t| t.starts_with(&text)),
        Like::Suffix(text) => each(&|t| t.ends_with(&text)),
        Like::Contains(text) => {
            let mut hits = vec![0; rows];
            first_in_rows(texts, rows, &text, |row, _| hits[row] = 1);
            hits
        }
        Like::Sequence { parts, anchored_start, anchored_end } => {
            let finders: Vec<memmem::Finder> = parts.iter().map(memmem::Finder::new).collect();
            each(&|t| in_sequence(t, &parts, &finders, anchored_start, anchored_end))
        }
        Like::Regex(regex) => {
            let regex = compile(regex.as_bytes(), false)?;
            each(&|t| regex.is_match(t))
        }
    })
}

fn in_sequence(
    text: &[u8],
    parts: &[Vec<u8>],
    finders: &[memmem::Finder],
    anchored_start: bool,
    anchored_end: bool,
) -> bool {
    let mut rest = text;
    let (mut first, mut last) = (0, parts.len());
    if anchored_start {
        match rest.strip_prefix(&parts[0][..]) {
            Some(after) => rest = after,
            None => return false,
        }
        first = 1;
    }
    if anchored_end {
        last -= 1;
        match rest.strip_suffix(&parts[last][..]) {
            Some(before) => rest = before,
            None => return false,
        }
    }
    for finder in &finders[first..last] {
        match finder.find(rest) {
            Some(at) => rest = &rest[at + finder.needle().len()..],
            None => return false,
        }
    }
    true
}

fn run_match(call: &FunctionCall) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let texts = strings_of(&held)?;
    let patterns = call.strings(1)?;
    if let Strings::One(pattern) = patterns {
        if is_literal(pattern) {
            let mut hits = vec![0u8; call.rows];
            first_in_rows(&texts, call.rows, pattern, |row, _| hits[row] = 1);
            return call.finish_numbers(hits);
        }
        let regex = compile(pattern, false)?;
        return call.finish_numbers(
            (0..call.rows).map(|row| u8::from(regex.matches(texts.get(row)))).collect::<Vec<_>>(),
        );
    }
    let mut hits = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        hits.push(u8::from(compile(patterns.get(row), false)?.is_match(texts.get(row))));
    }
    call.finish_numbers(hits)
}

/// Whether a regular expression is just a text.
pub(super) fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|b| br"\.+*?()|[]{}^$".contains(b))
}
