//! `formatRow`, `formatRowNoNewline`: a row's values as a format writes them. The formats belong to the
//! crate above, which gives its writer at start-up. The binder calls `_formatRow(format, newline, names,
//! values…)`, since a function does not see how its arguments are called.

use std::sync::OnceLock;

use pumphouse_storage::{Block, Column, DataType, Value};

use super::FunctionCall;
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::bad_argument;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};

/// Writes each row of a block by itself in the named format.
pub type RowWriter = fn(&str, &Block, &QueryContext) -> Result<Vec<Vec<u8>>>;

static WRITER: OnceLock<RowWriter> = OnceLock::new();

/// Says who writes rows; the first call counts.
pub fn set_row_writer(writer: RowWriter) {
    let _ = WRITER.set(writer);
}

pub(super) fn add(r: &mut Registry) {
    r.add(
        "_formatRow",
        4..=usize::MAX,
        |a| {
            a.constant_text(0)?;
            Ok(DataType::String)
        },
        format_row,
    )
    .own_types();
}

fn format_row(call: &FunctionCall) -> Result<Column> {
    let format = call
        .constant_text(0)
        .ok_or_else(|| bad_argument("the format of formatRow must be a constant string"))?;
    let newline = call.constant(1).and_then(|v| v.as_u64()) == Some(1);
    let Some(Value::Array(names)) = call.constant(2) else {
        return Err(bad_argument("formatRow needs names"));
    };
    let mut block = Block::of_rows(call.rows);
    for (i, name) in names.iter().enumerate() {
        let name = String::from_utf8_lossy(name.as_bytes().unwrap_or_default()).into_owned();
        block.push(name, call.column(i + 3)?);
    }
    let writer = WRITER
        .get()
        .ok_or_else(|| Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {format}")))?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 32);
    for row in writer(&format, &block, call.context)? {
        out.push(match newline {
            true => &row,
            false => row.strip_suffix(b"\n").unwrap_or(&row),
        });
    }
    call.finish(out.finish()?)
}
