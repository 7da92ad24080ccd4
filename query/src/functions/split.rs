//! Strings to arrays: splitBy*, alphaTokens, tokens, ngrams; extractKeyValuePairs.

use memchr::memmem::Finder;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::pattern::compile;
use super::regexp::StringLists;
use super::registry::Registry;
use super::string_search::is_token_byte;
use super::type_rule::{Args, bad_argument};
use super::utf8;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    use By::*;
    for (name, by) in [("splitByChar", Char), ("splitByString", Text), ("splitByRegexp", Pattern)] {
        r.add(
            name,
            2..=3,
            |a| {
                a.string(0)?;
                a.string(1)?;
                a.integer(2)?;
                Ok(DataType::array(DataType::String))
            },
            move |c| split_by(c, by),
        );
    }
    for (name, is_part) in [
        ("splitByWhitespace", (|b: u8| !is_space(b)) as fn(u8) -> bool),
        ("splitByNonAlpha", |b| !is_space(b) && !b.is_ascii_punctuation()),
        ("alphaTokens", |b| b.is_ascii_alphabetic()),
    ] {
        r.add(name, 1..=2, list_type, move |c| runs(c, 1, is_part));
    }
    r.add(
        "ngrams",
        2..=2,
        |a| {
            a.string(0)?;
            a.integer(1)?;
            Ok(DataType::array(DataType::String))
        },
        |c| {
            let sizes = c.numbers::<i64>(1)?;
            let size = if c.rows > 0 { sizes.get(0) } else { 1 };
            ngrams(c, size)
        },
    );
    r.add(
        "tokens",
        1..=4,
        |a| {
            if a.len() > 1 {
                a.constant_text(1)?;
            }
            list_type(a)
        },
        tokens,
    );
    r.add("extractKeyValuePairs", 1..=5, pairs_type, pairs);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Char,
    Text,
    Pattern,
}

fn list_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    Ok(DataType::array(DataType::String))
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

fn split_by(call: &FunctionCall, by: By) -> Result<Column> {
    let (separators, texts) = (call.strings(0)?, call.strings(1)?);
    let limits = call.numbers_or::<i64>(2, 0)?;
    let mut out = StringLists::with_capacity(call.rows);
    let mut pieces: Vec<&[u8]> = vec![];
    for row in 0..call.rows {
        let (separator, text) = (separators.get(row), texts.get(row));
        pieces.clear();
        match by {
            By::Char if separator.len() != 1 => {
                return Err(bad_argument(
                    "Illegal separator for function splitByChar. Must be exactly one byte.",
                ));
            }
            By::Char => pieces.extend(text.split(|b| *b == separator[0])),
            _ if separator.is_empty() => pieces.extend(text.chunks(1)),
            By::Text => {
                let mut start = 0;
                for at in Finder::new(separator).find_iter(text) {
                    pieces.push(&text[start..at]);
                    start = at + separator.len();
                }
                pieces.push(&text[start..]);
            }
            By::Pattern => {
                let regex = compile(separator, false)?;
                let mut start = 0;
                for m in regex.find_iter(text).filter(|m| !m.is_empty()) {
                    pieces.push(&text[start..m.start()]);
                    start = m.end();
                }
                pieces.push(&text[start..]);
            }
        }
        let limit = match limits.get(row) {
            n if n > 0 => n as usize,
            _ => usize::MAX,
        };
        pieces.iter().take(limit).for_each(|p| out.push(p));
        out.end_row();
    }
    out.finish(call)
}

/// Runs of bytes that belong together; argument `limit` says how many at most.
fn runs(call: &FunctionCall, limit: usize, is_part: impl Fn(u8) -> bool) -> Result<Column> {
    let texts = call.strings(0)?;
    let limits = call.numbers_or::<i64>(limit, 0)?;
    let mut out = StringLists::with_capacity(call.rows);
    for row in 0..call.rows {
        let limit = match limits.get(row) {
            n if n > 0 => n as usize,
            _ => usize::MAX,
        };
        texts
            .get(row)
            .split(|b| !is_part(*b))
            .filter(|p| !p.is_empty())
            .take(limit)
            .for_each(|p| out.push(p));
        out.end_row();
    }
    out.finish(call)
}

fn ngrams(call: &FunctionCall, size: i64) -> Result<Column> {
    if !(1..=1024).contains(&size) {
        return Err(bad_argument("the size of ngrams must be 1 to 1024"));
    }
    let size = size as usize;
    let texts = call.strings(0)?;
    let mut out = StringLists::with_capacity(call.rows);
    for row in 0..call.rows {
        let text = texts.get(row);
        let mut ends = vec![0];
        while let Some(byte) = text.get(ends[ends.len() - 1]) {
            // What a first byte promises, whatever follows it.
            let end = ends[ends.len() - 1] + utf8::promised_bytes(*byte);
            ends.push(end.min(text.len()));
        }
        ends.windows(size + 1).for_each(|w| out.push(&text[w[0]..w[size]]));
        out.end_row();
    }
    out.finish(call)
}

fn tokens(call: &FunctionCall) -> Result<Column> {
    let how = call.constant_text(1).unwrap_or_else(|| "splitByNonAlpha".into());
    match how.as_str() {
        "splitByNonAlpha" | "default" => runs(call, usize::MAX, is_token_byte),
        "ngrams" | "ngram" => {
            let size = call.constant(2).and_then(|v| v.as_i128()).unwrap_or(3) as i64;
            ngrams(call, size)
        }
        "splitByString" | "split" => {
            let separators = match call.constant(2) {
                Some(Value::Array(items)) => {
                    items.into_iter().filter_map(|v| v.as_bytes().map(<[u8]>::to_vec)).collect()
                }
                _ => vec![b" ".to_vec()],
            };
            by_any(call, &separators)
        }
        "array" | "noop" => {
            let texts = call.strings(0)?;
            let mut out = StringLists::with_capacity(call.rows);
            for row in 0..call.rows {
                out.push(texts.get(row));
                out.end_row();
            }
            out.finish(call)
        }
        other => Err(bad_argument(format!("Unknown tokenizer: '{other}'"))),
    }
}

/// Splits at the first of the separators that stands at a place.
fn by_any(call: &FunctionCall, separators: &[Vec<u8>]) -> Result<Column> {
    let texts = call.strings(0)?;
    let mut out = StringLists::with_capacity(call.rows);
    for row in 0..call.rows {
        let text = texts.get(row);
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            let hit = separators.iter().find(|s| !s.is_empty() && text[at..].starts_with(s));
            match hit {
                Some(separator) => {
                    if at > start {
                        out.push(&text[start..at]);
                    }
                    at += separator.len();
                    start = at;
                }
                None => at += 1,
            }
        }
        if start < text.len() {
            out.push(&text[start..]);
        }
        out.end_row();
    }
    out.finish(call)
}

fn pairs_type(a: &Args) -> Result<DataType> {
    a.strings(0)?;
    (1..a.len()).try_for_each(|i| a.constant_text(i).map(|_| ()))?;
    Ok(DataType::Map(Box::new(DataType::String), Box::new(DataType::String)))
}

/// Keys and values out of running text: `a:1, b:2`.
fn pairs(call: &FunctionCall) -> Result<Column> {
    let texts = call.strings(0)?;
    let one = |index: usize, default: &str| -> Vec<u8> {
        call.constant_text(index).unwrap_or_else(|| default.to_string()).into_bytes()
    };
    let key_end = one(1, ":").first().copied().unwrap_or(b':');
    let pair_ends = one(2, " ,;");
    let quote = one(3, "\"").first().copied().unwrap_or(b'"');
    let rows: Vec<Value> = (0..call.rows)
        .map(|row| Value::Map(pairs_of(texts.get(row), key_end, &pair_ends, quote)))
        .collect();
    Ok(Column::from_values(call.result.clone(), &rows)?)
}

fn pairs_of(text: &[u8], key_end: u8, pair_ends: &[u8], quote: u8) -> Vec<(Value, Value)> {
    let mut out = vec![];
    let mut at = 0;
    // A quoted piece, or one up to a stop byte.
    let piece = |at: &mut usize, stops: &dyn Fn(u8) -> bool| -> Vec<u8> {
        if text.get(*at) == Some(&quote) {
            let start = *at + 1;
            let end =
                text[start..].iter().position(|b| *b == quote).map_or(text.len(), |e| start + e);
            *at = (end + 1).min(text.len());
            return text[start..end].to_vec();
        }
        let start = *at;
        while *at < text.len() && !stops(text[*at]) {
            *at += 1;
        }
        text[start..*at].to_vec()
    };
    while at < text.len() {
        while at < text.len() && (pair_ends.contains(&text[at]) || is_space(text[at])) {
            at += 1;
        }
        let key = piece(&mut at, &|b| b == key_end || pair_ends.contains(&b));
        if text.get(at) != Some(&key_end) {
            if at < text.len() && !pair_ends.contains(&text[at]) {
                at += 1;
            }
            continue;
        }
        at += 1;
        let value = piece(&mut at, &|b| pair_ends.contains(&b));
        if !key.is_empty() {
            out.push((Value::String(key), Value::String(value)));
        }
    }
    out
}
