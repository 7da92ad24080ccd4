//! Further functions of text: format, reverse, initcap, char, soundex, substringIndex, edit distances.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::Native;
use super::registry::Registry;
use super::string::{strings_of, text_argument};
use super::strings::{Strings, StringsBuilder};
use super::type_rule::{Args, bad_argument};
use super::utf8;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("reverse", 1..=1, reverse_type, reverse);
    r.add("initcap", 1..=1, |a| a.string(0).map(|_| a.get(0).clone()), initcap);
    r.measure("ascii", DataType::Int32, |t| t.first().map_or(0, |b| *b as i32));
    r.add(
        "char",
        1..=usize::MAX,
        |a| (0..a.len()).try_for_each(|i| a.number(i)).map(|_| DataType::String),
        char_of,
    );
    r.text("soundex", soundex);
    r.add("format", 1..=usize::MAX, |a| a.string(0).map(|_| DataType::String), format);
    for (name, points) in [("substringIndex", false), ("substringIndexUTF8", true)] {
        r.add(
            name,
            3..=3,
            |a| {
                a.string(0)?;
                a.string(1)?;
                a.integer(2)?;
                Ok(DataType::String)
            },
            move |c| substring_index(c, points),
        );
    }
    r.measure("stringBytesUniq", DataType::UInt16, |t| {
        let mut seen = [false; 256];
        t.iter().for_each(|b| seen[*b as usize] = true);
        seen.iter().filter(|s| **s).count() as u16
    });
    distances(r);
    r.text("normalizeQuery", |t, out| normalize(t, out, true));
    r.text("normalizeQueryKeepNames", |t, out| normalize(t, out, false));
    r.measure("normalizedQueryHash", DataType::UInt64, normalized_query_hash);
    r.measure("normalizedQueryHashKeepNames", DataType::UInt64, |t| {
        let mut out = vec![];
        normalize(t, &mut out, false);
        super::sip::sip_hash_64(&out)
    });
}

/// The same for queries that differ only in their literals.
pub fn normalized_query_hash(query: &[u8]) -> u64 {
    let mut out = vec![];
    normalize(query, &mut out, true);
    super::sip::sip_hash_64(&out)
}

fn reverse_type(a: &Args) -> Result<DataType> {
    a.require(0, |t| t.is_string() || matches!(t, DataType::Array(_)))?;
    Ok(a.get(0).clone())
}

fn reverse(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    match Strings::of(column.array.as_ref()) {
        Ok(Strings::Fixed { width, bytes }) => {
            let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
            bytes.chunks(width.max(1)).for_each(|c| out.extend(c.iter().rev()));
            call.finish(std::sync::Arc::new(arrow_array::FixedSizeBinaryArray::new(
                width as i32,
                arrow_buffer::Buffer::from_vec(out),
                None,
            )))
        }
        Ok(_) => super::text_map::map_text(call, |text, out| out.extend(text.iter().rev())),
        Err(_) => {
            let function = super::lookup("arrayReverse")
                .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, "Unknown function"))?;
            super::call(&function, call.context, call.arguments, call.result, call.rows)
        }
    }
}

/// Letters at the beginning of words become capital, others small; no text changes its length.
fn initcap(call: &FunctionCall) -> Result<Column> {
    let capitals = |text: &[u8], out: &mut Vec<u8>| {
        let mut inside = false;
        for b in text {
            out.push(if inside { b.to_ascii_lowercase() } else { b.to_ascii_uppercase() });
            inside = b.is_ascii_alphanumeric();
        }
    };
    let column = call.column(0)?;
    match Strings::of(column.array.as_ref())? {
        Strings::Fixed { width, bytes } => {
            let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
            bytes.chunks(width.max(1)).for_each(|text| capitals(text, &mut out));
            call.finish(std::sync::Arc::new(arrow_array::FixedSizeBinaryArray::new(
                width as i32,
                arrow_buffer::Buffer::from_vec(out),
                None,
            )))
        }
        _ => super::text_map::map_text(call, capitals),
    }
}

fn char_of(call: &FunctionCall) -> Result<Column> {
    let codes =
        (0..call.arguments.len()).map(|i| call.numbers::<i64>(i)).collect::<Result<Vec<_>>>()?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * codes.len());
    for row in 0..call.rows {
        out.bytes.extend(codes.iter().map(|c| c.get(row) as u8));
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn soundex(text: &[u8], out: &mut Vec<u8>) {
    let code = |b: u8| match b.to_ascii_uppercase() {
        b'B' | b'F' | b'P' | b'V' => b'1',
        b'C' | b'G' | b'J' | b'K' | b'Q' | b'S' | b'X' | b'Z' => b'2',
        b'D' | b'T' => b'3',
        b'L' => b'4',
        b'M' | b'N' => b'5',
        b'R' => b'6',
        _ => b'0',
    };
    let mut letters = text.iter().copied().filter(u8::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return out.extend_from_slice(b"0000") };
    let start = out.len();
    out.push(first.to_ascii_uppercase());
    let mut last = code(first);
    for b in letters {
        let c = code(b);
        if c != b'0' && c != last {
            out.push(c);
            if out.len() - start == 4 {
                break;
            }
        }
        last = c;
    }
    while out.len() - start < 4 {
        out.push(b'0');
    }
}

/// A format string in pieces.
enum Piece {
    Text(Vec<u8>),
    Argument(usize),
}

/// `{}` counts on, `{n}` is a place; the two do not mix; `{{` and `}}` are braces.
fn pieces(pattern: &[u8], arguments: usize) -> Result<Vec<Piece>> {
    let mut out = vec![];
    let mut text = vec![];
    let (mut next, mut numbered) = (0, false);
    let mut at = 0;
    while at < pattern.len() {
        let b = pattern[at];
        at += 1;
        if (b == b'{' || b == b'}') && pattern.get(at) == Some(&b) {
            text.push(b);
            at += 1;
            continue;
        }
        if b == b'}' {
            return Err(bad_argument("Bracket mismatch in format string"));
        }
        if b != b'{' {
            text.push(b);
            continue;
        }
        let end = at
            + pattern[at..]
                .iter()
                .position(|b| *b == b'}')
                .ok_or_else(|| bad_argument("Bracket mismatch in format string"))?;
        let inside = &pattern[at..end];
        at = end + 1;
        let place = if inside.is_empty() {
            if numbered {
                return Err(bad_argument("Cannot switch from manual to automatic numbering"));
            }
            next += 1;
            next - 1
        } else {
            if next > 0 {
                return Err(bad_argument("Cannot switch from automatic to manual numbering"));
            }
            numbered = true;
            std::str::from_utf8(inside)
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or_else(|| bad_argument("Not a number in curly braces"))?
        };
        if place >= arguments {
            return Err(bad_argument("Argument is too big for formatting"));
        }
        if !text.is_empty() {
            out.push(Piece::Text(std::mem::take(&mut text)));
        }
        out.push(Piece::Argument(place));
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    Ok(out)
}

fn format(call: &FunctionCall) -> Result<Column> {
    let pattern = call
        .constant_text(0)
        .ok_or_else(|| super::type_rule::illegal_column("format needs a constant pattern"))?;
    let held: Vec<(Column, bool)> =
        (1..call.arguments.len()).map(|i| text_argument(call, i)).collect::<Result<_>>()?;
    let parts: Vec<Strings> = held.iter().map(strings_of).collect::<Result<_>>()?;
    let pieces = pieces(pattern.as_bytes(), parts.len())?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * pattern.len());
    for row in 0..call.rows {
        for piece in &pieces {
            match piece {
                Piece::Text(text) => out.bytes.extend_from_slice(text),
                Piece::Argument(i) => out.bytes.extend_from_slice(parts[*i].get(row)),
            }
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn substring_index(call: &FunctionCall, points: bool) -> Result<Column> {
    let (texts, separators) = (call.strings(0)?, call.strings(1)?);
    let counts = call.numbers::<i64>(2)?;
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows));
    for row in 0..call.rows {
        let (text, separator, count) = (texts.get(row), separators.get(row), counts.get(row));
        let length = if points { utf8::count(separator) } else { separator.len() };
        if length != 1 {
            return Err(bad_argument("the delimiter of substringIndex must be one character"));
        }
        let places: Vec<usize> = memchr::memmem::find_iter(text, separator).collect();
        let wanted = count.unsigned_abs() as usize;
        out.push(if count == 0 {
            &[]
        } else if wanted > places.len() {
            text
        } else if count > 0 {
            &text[..places[wanted - 1]]
        } else {
            &text[places[places.len() - wanted] + separator.len()..]
        });
    }
    call.finish(out.finish()?)
}

fn distances(r: &mut Registry) {
    fn add<T: Native>(
        r: &mut Registry,
        name: &'static str,
        result: DataType,
        f: impl Fn(&[u8], &[u8]) -> T + Send + Sync + 'static,
    ) {
        r.add(
            name,
            2..=2,
            move |a| a.strings(0).map(|_| result.clone()),
            move |c| {
                let (a, b) = (c.strings(0)?, c.strings(1)?);
                c.finish_numbers((0..c.rows).map(|i| f(a.get(i), b.get(i))).collect::<Vec<T>>())
            },
        );
    }
    let chars = |t: &[u8]| String::from_utf8_lossy(t).chars().collect::<Vec<char>>();
    add(r, "editDistance", DataType::UInt64, |a, b| levenshtein(a, b, false));
    add(r, "editDistanceUTF8", DataType::UInt64, move |a, b| {
        levenshtein(&chars(a), &chars(b), false)
    });
    add(r, "damerauLevenshteinDistance", DataType::UInt64, |a, b| levenshtein(a, b, true));
    add(r, "byteHammingDistance", DataType::UInt64, |a, b| {
        let differ = a.iter().zip(b).filter(|(x, y)| x != y).count();
        (differ + a.len().abs_diff(b.len())) as u64
    });
    add(r, "jaroSimilarity", DataType::Float64, jaro);
    add(r, "jaroWinklerSimilarity", DataType::Float64, |a, b| {
        let similarity = jaro(a, b);
        let prefix = a.iter().zip(b).take(4).take_while(|(x, y)| x == y).count() as f64;
        if similarity > 0.7 { similarity + prefix * 0.1 * (1.0 - similarity) } else { similarity }
    });
}

fn levenshtein<T: PartialEq>(a: &[T], b: &[T], transpositions: bool) -> u64 {
    let mut before: Vec<u64> = vec![];
    let mut last: Vec<u64> = (0..=b.len() as u64).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i as u64 + 1];
        for (j, y) in b.iter().enumerate() {
            let cost = u64::from(x != y);
            let mut best = (last[j] + cost).min(last[j + 1] + 1).min(next[j] + 1);
            if transpositions && i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[b.len()]
}

fn jaro(a: &[u8], b: &[u8]) -> f64 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut matched = vec![];
    for (i, x) in a.iter().enumerate() {
        let range = i.saturating_sub(reach)..(i + reach + 1).min(b.len());
        for j in range {
            if !taken[j] && b[j] == *x {
                taken[j] = true;
                matched.push(*x);
                break;
            }
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let other = b.iter().zip(&taken).filter(|(_, t)| **t).map(|(y, _)| *y);
    let moved = matched.iter().zip(other).filter(|(x, y)| **x != *y).count() as f64 / 2.0;
    let m = matched.len() as f64;
    (m / a.len() as f64 + m / b.len() as f64 + (m - moved) / m) / 3.0
}

/// Literals become `?`, lists of them `?..`, white space and comments one space.
fn normalize(text: &[u8], out: &mut Vec<u8>, _names: bool) {
    let mut at = 0;
    let start = out.len();
    let mut gap = false;
    let mut after_literal = false;
    let mut pending_comma = false;
    while at < text.len() {
        let b = text[at];
        if b.is_ascii_whitespace() {
            gap = true;
            at += 1;
            continue;
        }
        if text[at..].starts_with(b"--") {
            at += memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at);
            gap = true;
            continue;
        }
        if text[at..].starts_with(b"/*") {
            at += memchr::memmem::find(&text[at..], b"*/").map_or(text.len() - at, |e| e + 2);
            gap = true;
            continue;
        }
        let previous = text[..at].last().copied().unwrap_or(b' ');
        let inside_word = previous.is_ascii_alphanumeric() || previous == b'_';
        let literal_end = if b == b'\'' {
            Some(quoted_end(text, at, b'\''))
        } else if b.is_ascii_digit() && !inside_word {
            let length = text[at..]
                .iter()
                .position(|b| !(b.is_ascii_alphanumeric() || *b == b'.'))
                .unwrap_or(text.len() - at);
            Some(at + length)
        } else {
            None
        };
        if let Some(end) = literal_end {
            if after_literal && pending_comma {
                if !out.ends_with(b"..") {
                    out.extend_from_slice(b"..");
                }
            } else {
                if gap && out.len() > start {
                    out.push(b' ');
                }
                out.push(b'?');
            }
            (after_literal, pending_comma, gap) = (true, false, false);
            at = end;
            continue;
        }
        if b == b',' && after_literal && !pending_comma {
            pending_comma = true;
            gap = false;
            at += 1;
            continue;
        }
        if pending_comma {
            out.push(b',');
            pending_comma = false;
        }
        after_literal = false;
        if gap && out.len() > start {
            out.push(b' ');
        }
        gap = false;
        if matches!(b, b'"' | b'`') {
            let end = quoted_end(text, at, b);
            out.extend_from_slice(&text[at..end]);
            at = end;
        } else {
            out.push(b);
            at += 1;
        }
    }
}

fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}
