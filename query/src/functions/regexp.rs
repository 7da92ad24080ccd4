//! Regular expressions: extract*, replaceRegexp*, countMatches, multiMatch*, regexpExtract.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType};
use regex::bytes::Regex;

use super::FunctionCall;
use super::gather::array_of;
use super::lists;
use super::native::Native;
use super::pattern::{Compiled, compile};
use super::registry::Registry;
use super::simple_pattern::{GROUPS_MAX, Groups};
use super::strings::{Strings, StringsBuilder};
use super::type_rule::{Args, bad_argument};
use super::utf8_check::rows_are_utf8;
use crate::error::{Error, Result};

pub(super) fn add(r: &mut Registry) {
    use DataType::*;
    r.add("extract", 2..=2, |a| a.strings(0).map(|_| String), extract);
    r.add("extractAll", 2..=2, |a| a.strings(0).map(|_| DataType::array(String)), extract_all);
    r.add("extractGroups", 2..=2, |a| a.strings(0).map(|_| DataType::array(String)), groups);
    for (name, vertical) in
        [("extractAllGroupsVertical", true), ("extractAllGroupsHorizontal", false)]
    {
        r.add(
            name,
            2..=2,
            |a| a.strings(0).map(|_| DataType::array(DataType::array(String))),
            move |c| all_groups(c, vertical),
        );
    }
    r.add(
        "regexpExtract",
        2..=3,
        |a| {
            a.string(0)?;
            a.string(1)?;
            a.integer(2)?;
            Ok(String)
        },
        regexp_extract,
    );
    for (name, all) in [("replaceRegexpAll", true), ("replaceRegexpOne", false)] {
        r.add(name, 3..=3, |a| a.strings(0).map(|_| String), move |c| replace(c, all));
    }
    for (name, any_case) in [("countMatches", false), ("countMatchesCaseInsensitive", true)] {
        r.add(
            name,
            2..=2,
            |a| a.strings(0).map(|_| UInt64),
            move |c| {
                rows(c, any_case, |regex, text| {
                    // Empty matches do not count.
                    regex.find_iter(text).filter(|m| !m.is_empty()).count() as u64
                })
            },
        );
    }
    r.add(
        "multiMatchAny",
        2..=2,
        |a| patterns_type(a).map(|_| UInt8),
        |c| multi(c, |hits| u8::from(hits.contains(&true))),
    );
    r.add(
        "multiMatchAnyIndex",
        2..=2,
        |a| patterns_type(a).map(|_| UInt64),
        |c| multi(c, |hits| hits.iter().position(|h| *h).map_or(0, |i| i as u64 + 1)),
    );
    r.add(
        "multiMatchAllIndices",
        2..=2,
        |a| patterns_type(a).map(|_| DataType::array(UInt64)),
        all_indices,
    );
    r.coded("regexpQuoteMeta", |text, out| {
        for b in text {
            match b {
                0 => out.extend_from_slice(b"\\0"),
                b if br"\()^$.[]|?*+{:-}".contains(b) => out.extend_from_slice(&[b'\\', *b]),
                b => out.push(*b),
            }
        }
    });
}

/// The pattern of a row, compiled.
fn regex_at(patterns: &Strings, row: usize, any_case: bool) -> Result<Arc<Compiled>> {
    compile(patterns.get(row), any_case)
}

/// One number for each row.
fn rows<T: Native>(
    call: &FunctionCall,
    any_case: bool,
    f: impl Fn(&Compiled, &[u8]) -> T,
) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let mut out = Vec::with_capacity(call.rows);
    visit(&texts, &patterns, call.rows, any_case, |regex, text| {
        out.push(f(regex, text));
        Ok(())
    })?;
    call.finish_numbers(out)
}

/// Calls `f` for every row with its pattern; a constant one is looked up once.
fn visit(
    texts: &Strings,
    patterns: &Strings,
    rows: usize,
    any_case: bool,
    mut f: impl FnMut(&Compiled, &[u8]) -> Result<()>,
) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    visit_known(texts, patterns, rows, any_case, |regex, text, _| f(regex, text))
}

/// As `visit`; `f` also hears whether the text is known to be UTF-8.
fn visit_known(
    texts: &Strings,
    patterns: &Strings,
    rows: usize,
    any_case: bool,
    mut f: impl FnMut(&Compiled, &[u8], bool) -> Result<()>,
) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    if let Strings::One(pattern) = patterns {
        let regex = compile(pattern, any_case)?;
        let known = regex.asks_for_utf8() && rows_are_utf8(texts, rows);
        return (0..rows).try_for_each(|row| f(&regex, texts.get(row), known));
    }
    for row in 0..rows {
        let regex = regex_at(patterns, row, any_case)?;
        f(&regex, texts.get(row), false)?;
    }
    Ok(())
}

/// The first group if the pattern has one, else the whole match.
fn wanted_group(regex: &Regex) -> usize {
    usize::from(regex.captures_len() > 1)
}

fn extract(call: &FunctionCall) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows) / 2);
    let mut groups = [None; GROUPS_MAX];
    visit_known(&texts, &patterns, call.rows, false, |regex, text, known| {
        let group = wanted_group(regex);
        let mut search = regex.search(text, known, &mut groups);
        let found = search.find(0, group > 0).is_some();
        out.push(if found { search.group(group) } else { &[] });
        Ok(())
    })?;
    call.finish(out.finish()?)
}

/// Arrays of strings, row by row.
pub(super) struct StringLists {
    pub items: StringsBuilder,
    pub offsets: Vec<i32>,
}

impl StringLists {
    pub fn with_capacity(rows: usize) -> StringLists {
        StringLists { items: StringsBuilder::with_capacity(rows * 2, rows * 8), offsets: vec![0] }
    }

    pub fn push(&mut self, item: &[u8]) {
        self.items.push(item);
    }

    pub fn end_row(&mut self) {
        self.offsets.push(self.items.rows() as i32);
    }

    pub fn finish(self, call: &FunctionCall) -> Result<Column> {
        let items = self.items.finish()?;
        call.finish(lists::list(&DataType::String, self.offsets, items))
    }
}

fn extract_all(call: &FunctionCall) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let mut out = StringLists::with_capacity(call.rows);
    visit(&texts, &patterns, call.rows, false, |regex, text| {
        if wanted_group(regex) == 0 {
            regex.find_iter(text).for_each(|m| out.push(m.as_bytes()));
        } else {
            for captures in regex.captures_iter(text) {
                out.push(captures.get(1).map_or(&[], |m| m.as_bytes()));
            }
        }
        out.end_row();
        Ok(())
    })?;
    out.finish(call)
}

fn no_groups() -> Error {
    bad_argument("There are no groups in regexp")
}

fn groups(call: &FunctionCall) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let mut out = StringLists::with_capacity(call.rows);
    visit(&texts, &patterns, call.rows, false, |regex, text| {
        if regex.captures_len() < 2 {
            return Err(no_groups());
        }
        if let Some(captures) = regex.captures(text) {
            for i in 1..captures.len() {
                out.push(captures.get(i).map_or(&[], |m| m.as_bytes()));
            }
        }
        out.end_row();
        Ok(())
    })?;
    out.finish(call)
}

/// Vertical: one array a match; horizontal: one array a group.
fn all_groups(call: &FunctionCall, vertical: bool) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let mut inner = StringLists::with_capacity(call.rows);
    let mut outer = vec![0i32];
    visit(&texts, &patterns, call.rows, false, |regex, text| {
        let count = regex.captures_len() - 1;
        if count == 0 {
            return Err(no_groups());
        }
        let matches: Vec<_> = regex.captures_iter(text).collect();
        let group = |c: &regex::bytes::Captures, i: usize| -> std::ops::Range<usize> {
            c.get(i).map_or(0..0, |m| m.range())
        };
        if vertical {
            for captures in &matches {
                (1..=count).for_each(|i| inner.push(&text[group(captures, i)]));
                inner.end_row();
            }
        } else {
            for i in 1..=count {
                matches.iter().for_each(|captures| inner.push(&text[group(captures, i)]));
                inner.end_row();
            }
        }
        outer.push(inner.offsets.len() as i32 - 1);
        Ok(())
    })?;
    let items = inner.items.finish()?;
    let inner_item = DataType::array(DataType::String);
    let lists_array = lists::list(&DataType::String, inner.offsets, items);
    call.finish(lists::list(&inner_item, outer, lists_array))
}

fn regexp_extract(call: &FunctionCall) -> Result<Column> {
    let (texts, patterns) = (call.strings(0)?, call.strings(1)?);
    let index = call.numbers_or::<i64>(2, 1)?;
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows) / 2);
    let mut row = 0;
    visit(&texts, &patterns, call.rows, false, |regex, text| {
        let wanted = index.get(row);
        row += 1;
        if wanted < 0 || wanted as usize >= regex.captures_len().max(2) {
            return Err(Error::new(
                INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE,
                format!("Index value {wanted} is out of range of the regexp's groups"),
            ));
        }
        // A pattern without groups has only the whole match.
        let wanted = if regex.captures_len() == 1 { 0 } else { wanted as usize };
        let found = regex.captures(text).and_then(|c| c.get(wanted));
        out.push(found.map_or(&[], |m| m.as_bytes()));
        Ok(())
    })?;
    call.finish(out.finish()?)
}

const INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE: u32 = 353;

/// A replacement: texts and numbers of groups.
enum Piece {
    Text(Vec<u8>),
    Group(usize),
}

impl Piece {
    fn group(&self) -> Option<usize> {
        match self {
            Piece::Group(group) => Some(*group),
            Piece::Text(_) => None,
        }
    }
}

/// `\0` to `\9` are groups, `\\` is a backslash.
fn pieces(replacement: &[u8]) -> Result<Vec<Piece>> {
    let mut out = vec![];
    let mut text = vec![];
    let mut bytes = replacement.iter().copied();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            text.push(b);
            continue;
        }
        match bytes.next() {
            Some(d @ b'0'..=b'9') => {
                if !text.is_empty() {
                    out.push(Piece::Text(std::mem::take(&mut text)));
                }
                out.push(Piece::Group((d - b'0') as usize));
            }
            Some(b'\\') => text.push(b'\\'),
            _ => {
                return Err(bad_argument("Invalid escape sequence in replacement string"));
            }
        }
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    Ok(out)
}

fn replace(call: &FunctionCall, all: bool) -> Result<Column> {
    let (texts, patterns, replacements) = (call.strings(0)?, call.strings(1)?, call.strings(2)?);
    let mut out = StringsBuilder::with_capacity(call.rows, texts.total(call.rows));
    let constant = match replacements {
        Strings::One(text) if call.rows > 0 => Some(pieces(text)?),
        _ => None,
    };
    let mut row = 0;
    let mut groups = [None; GROUPS_MAX];
    // What the highest group of a constant replacement is, is known once for all rows.
    let highest_of = |pieces: &[Piece]| pieces.iter().filter_map(Piece::group).max();
    let plan = constant.as_ref().map(|pieces| highest_of(pieces));
    visit_known(&texts, &patterns, call.rows, false, |regex, text, known| {
        let own;
        let pieces = match &constant {
            Some(pieces) => pieces,
            None => {
                own = pieces(replacements.get(row))?;
                &own
            }
        };
        row += 1;
        if let Some(highest) = plan.unwrap_or_else(|| highest_of(pieces))
            && highest >= regex.groups
        {
            return Err(bad_argument(format!(
                "Substitution '\\{highest}' in replacement argument is invalid, regexp has only {} \
                 capturing groups",
                regex.captures_len() - 1
            )));
        }
        replace_one(regex, (text, known), pieces, all, &mut groups, &mut out.bytes);
        out.end_row();
        Ok(())
    })?;
    call.finish(out.finish()?)
}

fn replace_one(
    regex: &Compiled,
    (text, is_utf8): (&[u8], bool),
    pieces: &[Piece],
    all: bool,
    groups: &mut Groups,
    out: &mut Vec<u8>,
) {
    if regex.is_empty {
        out.extend_from_slice(text);
        return;
    }
    let plain = pieces.iter().all(|p| matches!(p, Piece::Text(_) | Piece::Group(0)));
    let mut search = regex.search(text, is_utf8, groups);
    let (mut done, mut at) = (0, 0);
    // An empty match may follow right behind another one, so that the search is by hand.
    while at <= text.len() {
        let found = search.find(at, !plain);
        let Some(range) = found else { break };
        out.extend_from_slice(&text[done..range.start]);
        for piece in pieces {
            match piece {
                Piece::Text(t) => out.extend_from_slice(t),
                Piece::Group(0) => out.extend_from_slice(&text[range.clone()]),
                Piece::Group(g) => out.extend_from_slice(search.group(*g)),
            }
        }
        done = range.end;
        at = range.end;
        if range.is_empty() {
            // A character is copied, so that the next match is further on.
            let step = 1 + text[at..].iter().skip(1).take_while(|b| **b & 0xC0 == 0x80).count();
            let next = (at + step).min(text.len());
            out.extend_from_slice(&text[at..next]);
            done = next;
            at += step;
        }
        if !all {
            break;
        }
    }
    out.extend_from_slice(&text[done.min(text.len())..]);
}

fn patterns_type(a: &Args) -> Result<()> {
    a.string(0)?;
    a.require(1, |t| matches!(t, DataType::Array(i) if i.is_string() || **i == DataType::Nothing))
}

/// `visit(row's hits)` of all patterns.
fn each_row(call: &FunctionCall, mut visit: impl FnMut(&[bool])) -> Result<()> {
    let texts = call.strings(0)?;
    let patterns = array_of(call.raw(1)?);
    let constant = call.is_constant(1);
    if patterns.items.is_empty() {
        (0..call.rows).for_each(|_| visit(&[]));
        return Ok(());
    }
    let strings = Strings::of(patterns.items.array.as_ref())?;
    let compiled = (0..patterns.items.len())
        .map(|i| compile(strings.get(i), false))
        .collect::<Result<Vec<_>>>()?;
    for row in 0..call.rows {
        let range = patterns.range(if constant { 0 } else { row });
        let hits: Vec<bool> =
            compiled[range].iter().map(|regex| regex.matches(texts.get(row))).collect();
        visit(&hits);
    }
    Ok(())
}

fn multi<T: Native>(call: &FunctionCall, f: impl Fn(&[bool]) -> T) -> Result<Column> {
    let mut out = Vec::with_capacity(call.rows);
    each_row(call, |hits| out.push(f(hits)))?;
    call.finish_numbers(out)
}

fn all_indices(call: &FunctionCall) -> Result<Column> {
    let (mut items, mut offsets): (Vec<u64>, Vec<i32>) = (vec![], vec![0]);
    each_row(call, |hits| {
        items.extend(hits.iter().enumerate().filter(|(_, h)| **h).map(|(i, _)| i as u64 + 1));
        offsets.push(items.len() as i32);
    })?;
    call.finish(lists::list(&DataType::UInt64, offsets, u64::array(items)))
}
