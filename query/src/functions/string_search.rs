//! position, startsWith, countSubstrings, multiSearch*, hasToken and their case-insensitive kin.

use memchr::memmem;
use pumphouse_storage::{Column, DataType};

use super::registry::Registry;
use super::search::{first_in_rows, lower, lower_utf8};
use super::string::{strings_of, text_argument};
use super::strings::{Strings, StringsBuilder};
use super::type_rule::{Args, bad_argument};
use super::{FunctionCall, lists, utf8};
use crate::error::Result;

/// How letters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Ascii,
    Unicode,
}

impl Case {
    fn fold(self, text: &[u8]) -> Vec<u8> {
        match self {
            Case::Exact => text.to_vec(),
            Case::Ascii => lower(text),
            Case::Unicode => lower_utf8(text),
        }
    }
}

pub(super) fn add(r: &mut Registry) {
    for (name, case, points) in [
        ("position", Case::Exact, false),
        ("positionCaseInsensitive", Case::Ascii, false),
        ("positionUTF8", Case::Exact, true),
        ("positionCaseInsensitiveUTF8", Case::Unicode, true),
        ("locate", Case::Exact, false),
    ] {
        let swapped = name == "locate";
        r.add(
            name,
            2..=3,
            |a| {
                a.string(0)?;
                a.string(1)?;
                a.integer(2)?;
                Ok(DataType::UInt64)
            },
            move |c| position(c, case, points, swapped),
        );
    }
    for (name, case) in [
        ("countSubstrings", Case::Exact),
        ("countSubstringsCaseInsensitive", Case::Ascii),
        ("countSubstringsCaseInsensitiveUTF8", Case::Unicode),
    ] {
        r.add(
            name,
            2..=3,
            |a| {
                a.string(0)?;
                a.string(1)?;
                a.integer(2)?;
                Ok(DataType::UInt64)
            },
            move |c| count(c, case),
        );
    }
    for (name, end, case) in [
        ("startsWith", false, Case::Exact),
        ("endsWith", true, Case::Exact),
        ("startsWithUTF8", false, Case::Exact),
        ("endsWithUTF8", true, Case::Exact),
        ("startsWithCaseInsensitive", false, Case::Ascii),
        ("endsWithCaseInsensitive", true, Case::Ascii),
        ("startsWithCaseInsensitiveUTF8", false, Case::Unicode),
        ("endsWithCaseInsensitiveUTF8", true, Case::Unicode),
    ] {
        r.add(
            name,
            2..=2,
            |a| match (a.get(0), a.get(1)) {
                (DataType::Array(_), DataType::Array(_)) => Ok(DataType::UInt8),
                _ => a.strings(0).map(|_| DataType::UInt8),
            },
            move |c| ends(c, end, case),
        );
    }
    for (name, case, or_null) in [
        ("hasToken", Case::Exact, false),
        ("hasTokenCaseInsensitive", Case::Ascii, false),
        ("hasTokenOrNull", Case::Exact, true),
        ("hasTokenCaseInsensitiveOrNull", Case::Ascii, true),
    ] {
        let result = if or_null { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 };
        r.add(
            name,
            2..=2,
            move |a| a.strings(0).map(|_| result.clone()),
            move |c| has_token(c, case, or_null),
        );
    }
    for (name, case) in
        [("hasSubsequence", Case::Exact), ("hasSubsequenceCaseInsensitive", Case::Ascii)]
    {
        r.add(
            name,
            2..=2,
            |a| a.strings(0).map(|_| DataType::UInt8),
            move |c| {
                pairs(c, case, |text, wanted| {
                    let mut rest = text.iter();
                    u8::from(wanted.iter().all(|w| rest.any(|t| t == w)))
                })
            },
        );
    }
    for (name, all) in [("hasAnyTokens", false), ("hasAllTokens", true)] {
        r.add(
            name,
            2..=3,
            |a| {
                a.string(0)?;
                a.require(1, |t| {
                    t.is_string() || matches!(t, DataType::Array(i) if i.is_string())
                })?;
                Ok(DataType::UInt8)
            },
            move |c| tokens_in(c, all),
        );
    }
    multi(r);
}

/// The tokens of a text.
fn tokens_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| !is_token_byte(*b)).filter(|t| !t.is_empty())
}

/// Whether some (or all) of the wanted tokens are tokens of the text.
fn tokens_in(call: &FunctionCall, all: bool) -> Result<Column> {
    let texts = call.strings(0)?;
    let list = match call.data_type(1)? {
        DataType::Array(_) => Some(call.array(1)?),
        _ => None,
    };
    let items = list.as_ref().map(|l| Strings::of(l.items.array.as_ref())).transpose()?;
    let single = if list.is_none() { Some(call.strings(1)?) } else { None };
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let present: std::collections::HashSet<&[u8]> = tokens_of(texts.get(row)).collect();
        let wanted: Vec<&[u8]> = match (&list, &items, &single) {
            (Some(list), Some(items), _) => list.range(row).map(|i| items.get(i)).collect(),
            (_, _, Some(text)) => tokens_of(text.get(row)).collect(),
            _ => vec![],
        };
        out.push(u8::from(if all {
            wanted.iter().all(|w| present.contains(w))
        } else {
            wanted.iter().any(|w| present.contains(w))
        }));
    }
    call.finish_numbers(out)
}

/// `f(text, needle)` for each row, both folded.
fn pairs(call: &FunctionCall, case: Case, f: impl Fn(&[u8], &[u8]) -> u8) -> Result<Column> {
    let (texts, needles) = (call.strings(0)?, call.strings(1)?);
    call.finish_numbers(
        (0..call.rows)
            .map(|row| {
                if case == Case::Exact {
                    f(texts.get(row), needles.get(row))
                } else {
                    f(&case.fold(texts.get(row)), &case.fold(needles.get(row)))
                }
            })
            .collect::<Vec<_>>(),
    )
}

fn position(call: &FunctionCall, case: Case, points: bool, swapped: bool) -> Result<Column> {
    let (haystack, needle) = if swapped { (1, 0) } else { (0, 1) };
    let held = text_argument(call, haystack)?;
    let texts = strings_of(&held)?;
    let needles = call.strings(needle)?;
    let starts = if call.arguments.len() > 2 { Some(call.numbers::<i64>(2)?) } else { None };
    let mut out = vec![0u64; call.rows];
    let answer = |text: &[u8], at: usize| -> u64 {
        if points { utf8::count(&text[..at]) as u64 + 1 } else { at as u64 + 1 }
    };
    if let (Strings::One(wanted), None) = (needles, &starts) {
        let folded;
        let (texts, wanted) = if case == Case::Exact {
            (texts, wanted.to_vec())
        } else {
            folded = fold_all(&texts, call.rows, case)?;
            (Strings::of(folded.as_ref())?, case.fold(wanted))
        };
        first_in_rows(&texts, call.rows, &wanted, |row, at| out[row] = answer(texts.get(row), at));
        return call.finish_numbers(out);
    }
    for (row, slot) in out.iter_mut().enumerate() {
        let text = case.fold(texts.get(row));
        let wanted = case.fold(needles.get(row));
        let start = starts.as_ref().map_or(1, |s| s.get(row)).max(1) as usize - 1;
        let from = if points { utf8::byte_range(&text, start..usize::MAX).start } else { start };
        if start > if points { utf8::count(&text) } else { text.len() } {
            continue;
        }
        let from = if points && start >= utf8::count(&text) { text.len() } else { from };
        if let Some(at) = memmem::find(&text[from..], &wanted) {
            *slot = answer(&text, from + at);
        }
    }
    call.finish_numbers(out)
}

/// All rows folded, as one array.
fn fold_all(texts: &Strings, rows: usize, case: Case) -> Result<arrow_array::ArrayRef> {
    let mut out = StringsBuilder::with_capacity(rows, texts.total(rows));
    for row in 0..rows {
        if case == Case::Ascii {
            out.bytes.extend(texts.get(row).iter().map(u8::to_ascii_lowercase));
        } else {
            out.bytes.extend_from_slice(&case.fold(texts.get(row)));
        }
        out.end_row();
    }
    out.finish()
}

/// All rows with ASCII letters in lower case.
pub(super) fn fold_ascii(texts: &Strings, rows: usize) -> Result<arrow_array::ArrayRef> {
    fold_all(texts, rows, Case::Ascii)
}

fn count(call: &FunctionCall, case: Case) -> Result<Column> {
    let (texts, needles) = (call.strings(0)?, call.strings(1)?);
    let starts = call.numbers_or::<i64>(2, 1)?;
    call.finish_numbers(
        (0..call.rows)
            .map(|row| {
                let wanted = case.fold(needles.get(row));
                let text = texts.get(row);
                let start = (starts.get(row).max(1) as usize - 1).min(text.len());
                if wanted.is_empty() {
                    return 0;
                }
                if case == Case::Exact {
                    memmem::find_iter(&text[start..], &wanted).count() as u64
                } else {
                    memmem::find_iter(&case.fold(&text[start..]), &wanted).count() as u64
                }
            })
            .collect::<Vec<_>>(),
    )
}

fn ends(call: &FunctionCall, end: bool, case: Case) -> Result<Column> {
    if let DataType::Array(_) = call.data_type(0)? {
        return array_ends(call, end);
    }
    pairs(call, case, |text, wanted| {
        u8::from(if end { text.ends_with(wanted) } else { text.starts_with(wanted) })
    })
}

/// startsWith and endsWith of arrays.
fn array_ends(call: &FunctionCall, end: bool) -> Result<Column> {
    let types = [call.data_type(0)?.clone(), call.data_type(1)?.clone()];
    let common = super::promote::common_type(&types)?;
    let sides = [0, 1].map(|i| {
        Ok(super::gather::array_of(&super::cast::cast_column(
            &call.column(i)?,
            &common,
            call.context,
        )?))
    });
    let [a, b]: [Result<super::gather::ArrayArgument>; 2] = sides;
    let (a, b) = (a?, b?);
    let numbers = super::identity::identify_all(&[a.items.clone(), b.items.clone()])?;
    call.finish_numbers(
        (0..call.rows)
            .map(|row| {
                let (x, y) = (&numbers[0][a.range(row)], &numbers[1][b.range(row)]);
                u8::from(if end { x.ends_with(y) } else { x.starts_with(y) })
            })
            .collect::<Vec<_>>(),
    )
}

/// Letters, digits and everything beyond ASCII make up tokens.
pub(super) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80
}

fn has_token(call: &FunctionCall, case: Case, or_null: bool) -> Result<Column> {
    let (texts, needles) = (call.strings(0)?, call.strings(1)?);
    let mut out = Vec::with_capacity(call.rows);
    let mut valid = super::strings::Validity::with_capacity(call.rows);
    for row in 0..call.rows {
        let wanted = case.fold(needles.get(row));
        let is_token = !wanted.is_empty() && wanted.iter().all(|b| is_token_byte(*b));
        if !is_token && !or_null {
            return Err(bad_argument("Needle must not contain whitespace or separator characters"));
        }
        valid.push(is_token);
        let found = |text: &[u8]| {
            memmem::find_iter(text, &wanted).any(|at| {
                let end = at + wanted.len();
                (at == 0 || !is_token_byte(text[at - 1]))
                    && (end == text.len() || !is_token_byte(text[end]))
            })
        };
        out.push(u8::from(
            is_token
                && match case {
                    Case::Exact => found(texts.get(row)),
                    _ => found(&case.fold(texts.get(row))),
                },
        ));
    }
    let array = <u8 as super::native::Native>::array(out);
    call.finish(super::invoke::set_nulls(&array, valid.finish()))
}

/// multiSearch*: several constant (or per row) needles.
fn multi(r: &mut Registry) {
    use DataType::*;
    macro_rules! family {
        ($base:literal, $result:expr, $run:expr) => {
            for (name, case, points) in [
                ($base, Case::Exact, false),
                (concat!($base, "CaseInsensitive"), Case::Ascii, false),
                (concat!($base, "UTF8"), Case::Exact, true),
                (concat!($base, "CaseInsensitiveUTF8"), Case::Unicode, true),
            ] {
                r.add(
                    name,
                    2..=2,
                    |a| needles_type(a).map(|_| $result),
                    move |c| $run(c, case, points),
                );
            }
        };
    }
    family!("multiSearchAny", UInt8, |c, case, points| search_all(c, case, points, |f| {
        u8::from(f.iter().any(|p| *p != 0))
    }));
    family!("multiSearchFirstIndex", UInt64, |c, case, points| search_all(c, case, points, |f| {
        f.iter().position(|p| *p != 0).map_or(0, |i| i as u64 + 1)
    }));
    family!("multiSearchFirstPosition", UInt64, |c, case, points| search_all(
        c,
        case,
        points,
        |f| f.iter().filter(|p| **p != 0).min().copied().unwrap_or(0)
    ));
    family!("multiSearchAllPositions", DataType::array(UInt64), all_positions);
}

fn needles_type(a: &Args) -> Result<()> {
    a.string(0)?;
    a.require(1, |t| matches!(t, DataType::Array(i) if i.is_string() || **i == DataType::Nothing))
}

/// `visit(row, positions of each needle or 0)`.
fn each_row(
    call: &FunctionCall,
    case: Case,
    points: bool,
    mut visit: impl FnMut(&[u64]),
) -> Result<()> {
    let texts = call.strings(0)?;
    let needles = call.array(1)?;
    let wanted = Strings::of(needles.items.array.as_ref());
    let mut positions = vec![];
    for row in 0..call.rows {
        let folded;
        let text = if case == Case::Exact {
            texts.get(row)
        } else {
            folded = case.fold(texts.get(row));
            &folded
        };
        positions.clear();
        for i in needles.range(row) {
            let needle = case.fold(wanted.as_ref().map_or(&[][..], |w| w.get(i)));
            positions.push(memmem::find(text, &needle).map_or(0, |at| {
                if points { utf8::count(&text[..at]) as u64 + 1 } else { at as u64 + 1 }
            }));
        }
        visit(&positions);
    }
    Ok(())
}

fn search_all<T: super::native::Native>(
    call: &FunctionCall,
    case: Case,
    points: bool,
    f: impl Fn(&[u64]) -> T,
) -> Result<Column> {
    let mut out = Vec::with_capacity(call.rows);
    each_row(call, case, points, |positions| out.push(f(positions)))?;
    call.finish_numbers(out)
}

fn all_positions(call: &FunctionCall, case: Case, points: bool) -> Result<Column> {
    let mut items: Vec<u64> = vec![];
    let mut offsets = vec![0i32];
    each_row(call, case, points, |positions| {
        items.extend_from_slice(positions);
        offsets.push(items.len() as i32);
    })?;
    let array = <u64 as super::native::Native>::array(items);
    call.finish(lists::list(&DataType::UInt64, offsets, array))
}
