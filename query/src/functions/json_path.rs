//! JSON_VALUE, JSON_QUERY and JSON_EXISTS: JSONPath of the SQL standard, the part that is used:
//! `$`, `.name`, `."name"`, `[n]` (from 0), `[*]`, `[a to b]`.

use pumphouse_storage::DataType;

use super::FunctionCall;
use super::json::bad_path;
use super::json_text::{Kind, check, compact, key_is, kind, parts};
use super::registry::Registry;
use super::strings::StringsBuilder;
use crate::error::Result;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Vec<u8>),
    Items(Vec<(usize, usize)>),
    Every,
}

pub(super) fn add(r: &mut Registry) {
    r.add(
        "JSON_EXISTS",
        2..=2,
        |a| a.strings(0).map(|_| DataType::UInt8),
        |c| {
            let mut out = Vec::with_capacity(c.rows);
            each_row(c, |found| out.push(u8::from(!found.is_empty())))?;
            c.finish_numbers(out)
        },
    );
    r.add(
        "JSON_VALUE",
        2..=2,
        |a| a.strings(0).map(|_| DataType::String),
        |c| {
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
            each_row(c, |found| {
                let scalar = found
                    .iter()
                    .find(|v| !matches!(kind(v), Some(Kind::Object | Kind::Array | Kind::Null)));
                if let Some(value) = scalar {
                    super::json::as_string(value, &mut out.bytes);
                }
                out.end_row();
            })?;
            c.finish(out.finish()?)
        },
    );
    r.add(
        "JSON_QUERY",
        2..=2,
        |a| a.strings(0).map(|_| DataType::String),
        |c| {
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
            each_row(c, |found| {
                if !found.is_empty() {
                    out.bytes.push(b'[');
                    for (i, value) in found.iter().enumerate() {
                        if i > 0 {
                            out.bytes.extend_from_slice(b", ");
                        }
                        compact(value, &mut out.bytes);
                    }
                    out.bytes.push(b']');
                }
                out.end_row();
            })?;
            c.finish(out.finish()?)
        },
    );
}

/// `visit(values found)` for every row.
fn each_row(call: &FunctionCall, mut visit: impl FnMut(&[&[u8]])) -> Result<()> {
    let (texts, paths) = (call.strings(0)?, call.strings(1)?);
    let constant = match call.constant_text(1) {
        Some(path) => Some(parse(&path)?),
        None => None,
    };
    for row in 0..call.rows {
        let own;
        let steps = match &constant {
            Some(steps) => steps,
            None => {
                own = parse(&String::from_utf8_lossy(paths.get(row)))?;
                &own
            }
        };
        match check(texts.get(row)) {
            Some(value) => visit(&walk(value, steps)),
            None => visit(&[]),
        }
    }
    Ok(())
}

fn walk<'a>(value: &'a [u8], steps: &[Step]) -> Vec<&'a [u8]> {
    let mut found = vec![value];
    for step in steps {
        let mut next = vec![];
        for value in found {
            match step {
                Step::Member(name) if kind(value) == Some(Kind::Object) => {
                    next.extend(parts(value).find(|(k, _)| key_is(k, name, false)).map(|(_, v)| v));
                }
                Step::Items(ranges) if kind(value) == Some(Kind::Array) => {
                    for (i, (_, item)) in parts(value).enumerate() {
                        if ranges.iter().any(|(low, high)| (*low..=*high).contains(&i)) {
                            next.push(item);
                        }
                    }
                }
                Step::Every if kind(value) == Some(Kind::Array) => {
                    next.extend(parts(value).map(|(_, v)| v));
                }
                _ => {}
            }
        }
        found = next;
    }
    found
}

fn parse(path: &str) -> Result<Vec<Step>> {
    let error = || bad_path(path);
    let mut rest = path.trim().strip_prefix('$').ok_or_else(error)?;
    let mut steps = vec![];
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            if let Some(quoted) = after.strip_prefix('"') {
                let end = quoted.find('"').ok_or_else(error)?;
                steps.push(Step::Member(quoted.as_bytes()[..end].to_vec()));
                rest = &quoted[end + 1..];
                continue;
            }
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err(error());
            }
            steps.push(Step::Member(after.as_bytes()[..end].to_vec()));
            rest = &after[end..];
            continue;
        }
        let after = rest.strip_prefix('[').ok_or_else(error)?;
        let end = after.find(']').ok_or_else(error)?;
        let inside = after[..end].trim();
        rest = &after[end + 1..];
        if inside == "*" {
            steps.push(Step::Every);
            continue;
        }
        if let Some(name) = inside.strip_prefix(['"', '\'']) {
            let name = name.trim_end_matches(['"', '\'']);
            steps.push(Step::Member(name.as_bytes().to_vec()));
            continue;
        }
        let mut ranges = vec![];
        for item in inside.split(',') {
            let (low, high) = item.split_once(" to ").unwrap_or((item, item));
            let number = |t: &str| t.trim().parse::<usize>().map_err(|_| error());
            ranges.push((number(low)?, number(high)?));
        }
        steps.push(Step::Items(ranges));
    }
    Ok(steps)
}
