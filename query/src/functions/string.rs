//! Strings as bytes: length, case, substring, concat, trim, pad, repeat, reverse and the like.
//!
//! A String is bytes: plain functions count and change bytes (case only of ASCII), those with UTF8 in
//! their name count code points. Positions begin at 1; negative ones count from the end.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::registry::Registry;
use super::strings::{Strings, StringsBuilder};
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("length", 1..=1, sized, length);
    for (name, empty) in [("empty", true), ("notEmpty", false)] {
        let rule = |a: &Args| match a.get(0) {
            // An object without paths has no bytes.
            DataType::Json(_) => Ok(DataType::UInt8),
            _ => sized(a).map(|_| DataType::UInt8),
        };
        r.add(name, 1..=1, rule, move |c| is_empty(c, empty));
    }
    r.add("lower", 1..=1, same_string, |c| map_bytes(c, |b| b.to_ascii_lowercase()));
    r.add("upper", 1..=1, same_string, |c| map_bytes(c, |b| b.to_ascii_uppercase()));
    for name in ["concat", "concatAssumeInjective"] {
        r.add(name, 1..=usize::MAX, concat_type, concat);
    }
    r.add("concatWithSeparator", 1..=usize::MAX, |_| Ok(DataType::String), |c| join(c, 1));
    r.add("substring", 2..=3, substring_type, substring);
}

fn sized(a: &Args) -> Result<DataType> {
    a.require(0, |t| {
        t.is_string()
            || matches!(
                t,
                DataType::Array(_)
                    | DataType::Map(..)
                    | DataType::Uuid
                    | DataType::Ipv6
                    | DataType::Ipv4
            )
    })?;
    Ok(DataType::UInt64)
}

fn same_string(a: &Args) -> Result<DataType> {
    a.string(0)?;
    Ok(a.get(0).clone())
}

fn length(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    call.finish_numbers(match &column.data_type {
        DataType::Array(_) | DataType::Map(..) => differences(super::lists::offsets(&column)),
        DataType::String => match Strings::of(column.array.as_ref())? {
            Strings::Variable { offsets, .. } => differences(offsets),
            _ => vec![],
        },
        DataType::FixedString(width) => vec![*width as u64; call.rows],
        _ => vec![16; call.rows],
    })
}

fn differences(offsets: &[i32]) -> Vec<u64> {
    offsets.windows(2).map(|w| (w[1] - w[0]) as u64).collect()
}

fn is_empty(call: &FunctionCall, wanted: bool) -> Result<Column> {
    let column = call.column(0)?;
    let offsets_empty = |offsets: &[i32]| -> Vec<u8> {
        offsets.windows(2).map(|w| u8::from((w[1] == w[0]) == wanted)).collect()
    };
    call.finish_numbers(match &column.data_type {
        DataType::Array(_) | DataType::Map(..) => offsets_empty(super::lists::offsets(&column)),
        DataType::Ipv4 => super::native::values::<u32>(&column)
            .iter()
            .map(|v| u8::from((*v == 0) == wanted))
            .collect(),
        _ => match Strings::of(column.array.as_ref())? {
            Strings::Variable { offsets, .. } => offsets_empty(offsets),
            strings => (0..call.rows)
                .map(|i| u8::from(strings.get(i).iter().all(|b| *b == 0) == wanted))
                .collect(),
        },
    })
}

/// One pass over all bytes of the column.
fn map_bytes(call: &FunctionCall, f: impl Fn(&u8) -> u8) -> Result<Column> {
    let column = call.column(0)?;
    match Strings::of(column.array.as_ref())? {
        Strings::Variable { offsets, bytes } => {
            let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
            let mapped: Vec<u8> = bytes[first as usize..last as usize].iter().map(f).collect();
            let moved: Vec<i32> = offsets.iter().map(|o| o - first).collect();
            let array = arrow_array::BinaryArray::new(
                super::lists::offset_buffer(moved),
                arrow_buffer::Buffer::from_vec(mapped),
                None,
            );
            call.finish(std::sync::Arc::new(array))
        }
        Strings::Fixed { width, bytes } => {
            let mapped: Vec<u8> = bytes.iter().map(f).collect();
            let array = arrow_array::FixedSizeBinaryArray::new(
                width as i32,
                arrow_buffer::Buffer::from_vec(mapped),
                None,
            );
            call.finish(std::sync::Arc::new(array))
        }
        Strings::One(_) => Err(super::type_rule::illegal_column("expected a column of strings")),
    }
}

/// An argument as strings: other types as toString prints them.
pub(super) fn text_argument(call: &FunctionCall, index: usize) -> Result<(Column, bool)> {
    let column = call.raw(index)?;
    let column = if *column.data_type.inner() == DataType::String {
        column.clone()
    } else if let DataType::FixedString(_) = column.data_type.inner() {
        column.clone()
    } else {
        super::cast::cast_column(column, &DataType::String, call.context)?
    };
    Ok((column, call.is_constant(index)))
}

/// Strings of columns held by the caller.
pub(super) fn strings_of<'a>(held: &'a (Column, bool)) -> Result<Strings<'a>> {
    let strings = Strings::of(held.0.array.as_ref())?;
    Ok(if held.1 { Strings::One(strings.get(0)) } else { strings })
}

/// concat of strings; of arrays it is arrayConcat, of maps mapConcat.
fn concat_type(a: &Args) -> Result<DataType> {
    match other_concat(a.get(0)).filter(|_| a.len() > 1) {
        Some(name) => super::resolve(&function(name)?, a.items),
        None => Ok(DataType::String),
    }
}

fn other_concat(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Array(_) => Some("arrayConcat"),
        DataType::Map(..) => Some("mapConcat"),
        DataType::Tuple(_) => Some("tupleConcat"),
        _ => None,
    }
}

fn function(name: &str) -> Result<std::sync::Arc<dyn super::ScalarFunction>> {
    super::lookup(name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown function {name}")))
}

fn concat(call: &FunctionCall) -> Result<Column> {
    match other_concat(call.data_type(0)?).filter(|_| call.arguments.len() > 1) {
        Some(name) => {
            super::call(&function(name)?, call.context, call.arguments, call.result, call.rows)
        }
        None => join(call, 0),
    }
}

/// Arguments from `first` on one after the other, argument 0 between them if it is not among them.
fn join(call: &FunctionCall, first: usize) -> Result<Column> {
    let held: Vec<(Column, bool)> =
        (0..call.arguments.len()).map(|i| text_argument(call, i)).collect::<Result<_>>()?;
    let parts: Vec<Strings> = held.iter().map(strings_of).collect::<Result<_>>()?;
    let total: usize = parts.iter().map(|p| p.total(call.rows)).sum();
    let mut out = StringsBuilder::with_capacity(call.rows, total);
    for row in 0..call.rows {
        for (i, part) in parts.iter().enumerate().skip(first) {
            if i > first && first == 1 {
                out.bytes.extend_from_slice(parts[0].get(row));
            }
            out.bytes.extend_from_slice(part.get(row));
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn substring_type(a: &Args) -> Result<DataType> {
    a.require(0, |t| t.is_string() || matches!(t, DataType::Enum8(_) | DataType::Enum16(_)))?;
    a.integer(1)?;
    a.integer(2)?;
    Ok(DataType::String)
}

/// The part that substring keeps: `offset` from 1 (negative from the end, 0 is nothing), `length`
/// negative means up to that many before the end.
pub(super) fn cut(size: usize, offset: i64, length: Option<i64>) -> std::ops::Range<usize> {
    let size = size as i64;
    let (start, mut lost) = match offset {
        0 => return 0..0,
        1.. => (offset - 1, 0),
        _ if -offset <= size => (size + offset, 0),
        // Before the beginning: the length is used up by what is not there.
        _ => (0, -offset - size),
    };
    if start >= size {
        return 0..0;
    }
    let end = match length {
        None => size,
        Some(l) if l < 0 => size + l,
        Some(l) => {
            lost = lost.min(l);
            start.saturating_add(l - lost).min(size)
        }
    };
    if end <= start { 0..0 } else { start as usize..end as usize }
}

fn substring(call: &FunctionCall) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let offsets = call.numbers::<i64>(1)?;
    let lengths = if call.arguments.len() > 2 { Some(call.numbers::<i64>(2)?) } else { None };
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows) / 2);
    for row in 0..call.rows {
        let bytes = strings.get(row);
        let length = lengths.as_ref().map(|l| l.get(row));
        out.push(&bytes[cut(bytes.len(), offsets.get(row), length)]);
    }
    call.finish(out.finish()?)
}

/// Error 131 for functions whose result would be too long.
pub(super) fn too_long(what: &str) -> Error {
    Error::new(codes::TOO_LARGE_STRING_SIZE, format!("{what} makes a too long string"))
}
