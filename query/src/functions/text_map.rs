//! The shape of most string functions: one text in, one text (or number) out.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::Native;
use super::registry::{Definition, Registry};
use super::string::{strings_of, text_argument};
use super::strings::StringsBuilder;
use super::type_rule::Args;
use crate::error::Result;

/// `f` appends to the buffer what the text becomes.
pub(super) fn map_text(call: &FunctionCall, f: impl Fn(&[u8], &mut Vec<u8>)) -> Result<Column> {
    if matches!(call.result, DataType::FixedString(_)) {
        return call.of_no_rows();
    }
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(call.rows));
    for row in 0..call.rows {
        f(strings.get(row), &mut out.bytes);
        out.end_row();
    }
    call.finish(out.finish()?)
}

/// One number a text.
pub(super) fn map_number<T: Native>(call: &FunctionCall, f: impl Fn(&[u8]) -> T) -> Result<Column> {
    let held = text_argument(call, 0)?;
    let strings = strings_of(&held)?;
    call.finish_numbers((0..call.rows).map(|row| f(strings.get(row))).collect::<Vec<T>>())
}

fn text_type(a: &Args) -> Result<DataType> {
    a.string(0)?;
    Ok(match a.get(0) {
        fixed @ DataType::FixedString(_) => fixed.clone(),
        _ => DataType::String,
    })
}

impl Registry {
    /// A function of one string that yields a string. Of a FixedString the type is one, too, but no
    /// value can be computed: `strict` refuses that.
    pub(super) fn text(
        &mut self,
        name: &'static str,
        f: impl Fn(&[u8], &mut Vec<u8>) + Send + Sync + 'static,
    ) -> &mut Definition {
        self.add(name, 1..=1, text_type, move |c| map_text(c, &f))
    }

    /// A function of the bytes of a string, whatever its type, that yields a string.
    pub(super) fn coded(
        &mut self,
        name: &'static str,
        f: impl Fn(&[u8], &mut Vec<u8>) + Send + Sync + 'static,
    ) -> &mut Definition {
        self.add(name, 1..=1, |a| a.string(0).map(|_| DataType::String), move |c| map_text(c, &f))
    }

    /// A function of one string that yields a part of it.
    pub(super) fn part(
        &mut self,
        name: &'static str,
        f: impl Fn(&[u8]) -> &[u8] + Send + Sync + 'static,
    ) -> &mut Definition {
        self.text(name, move |text, out| out.extend_from_slice(f(text)))
    }

    /// A function of one string that yields a number.
    pub(super) fn measure<T: Native>(
        &mut self,
        name: &'static str,
        result: DataType,
        f: impl Fn(&[u8]) -> T + Send + Sync + 'static,
    ) -> &mut Definition {
        self.add(
            name,
            1..=1,
            move |a| a.string(0).map(|_| result.clone()),
            move |c| map_number(c, &f),
        )
    }
}
