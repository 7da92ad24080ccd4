//! The TSKV reader: `name=value` fields between tabs, a row a line, in any order; absent ones take their
//! default. A row of the single word `tskv` in front is let pass.

use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::TextError;

use super::columns::RowBuilder;
use super::fields::{field_error, push_text, row_error};
use super::header::find_column;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::tab_separated::{NULL_SETTING, unescape_into};
use super::{FormatOptions, FormatReader, InputColumn};

pub struct KeyedLayout {
    options: FormatOptions,
    /// What stands for NULL.
    null: Vec<u8>,
    skip_unknown: bool,
}

impl KeyedLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let skip_unknown = options.settings.bool("input_format_skip_unknown_fields", true);
        let null = options.null_text(NULL_SETTING);
        let layout = KeyedLayout { options: options.clone(), null, skip_unknown };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }
}

/// Where the field at `at` ends, at a tab or a line's end, and its first bare `=`.
fn field(bytes: &[u8], at: usize) -> (usize, Option<usize>) {
    let (mut end, mut equals) = (at, None);
    while let Some(b) = bytes.get(end) {
        match b {
            b'\\' => end += 1,
            b'\t' | b'\n' => break,
            b'=' if equals.is_none() => equals = Some(end),
            _ => {}
        }
        end += 1;
    }
    (end.min(bytes.len()), equals)
}

impl RowLayout for KeyedLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        let (mut at, mut seen) = (at, 0);
        loop {
            let (end, equals) = field(bytes, at);
            if end == bytes.len() && !last {
                return Ok(None);
            }
            let text = &bytes[at..end];
            match equals {
                None if text == b"tskv" || text.is_empty() || text == b"\r" => {}
                None => {
                    let message = "Found field without value while parsing TSKV format";
                    return Err(row_error(codes::INCORRECT_DATA, message, bytes, at, row));
                }
                Some(equals) => seen += self.value(rows, bytes, at, equals, end, row)?,
            }
            if bytes.get(end) == Some(&b'\t') {
                at = end + 1;
                continue;
            }
            rows.end_row(seen);
            return Ok(Some((end + 1).min(bytes.len())));
        }
    }
}

impl KeyedLayout {
    /// One field into its column; how many columns that filled.
    fn value(
        &self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        equals: usize,
        end: usize,
        row: usize,
    ) -> Parsed<usize> {
        let (mut name, mut value) = (vec![], vec![]);
        unescape_into(&bytes[at..equals], &mut name);
        let found = std::str::from_utf8(&name).ok().and_then(|n| find_column(rows, n));
        let shown = String::from_utf8_lossy(&name).into_owned();
        let Some(c) = found else {
            if self.skip_unknown {
                return Ok(0);
            }
            let message = format!("Unknown field found while parsing TSKV format: {shown}");
            return Err(row_error(codes::INCORRECT_DATA, &message, bytes, at, row));
        };
        let current = rows.rows();
        let slot = &mut rows.slots[c];
        if slot.filled > current {
            let message = format!("Duplicate field found while parsing TSKV format: {shown}");
            return Err(row_error(codes::INCORRECT_DATA, &message, bytes, at, row));
        }
        let text = &bytes[equals + 1..end];
        let text = if bytes.get(end) == Some(&b'\n') {
            text.strip_suffix(b"\r").unwrap_or(text)
        } else {
            text
        };
        slot.filled = current + 1;
        if text == self.null {
            slot.builder.push_null();
            if !slot.builder.nullable {
                rows.mark_absent(c);
            }
            return Ok(1);
        }
        if text == b"\\N" && !slot.builder.data_type.inner().is_string() {
            let e = TextError::new(codes::CANNOT_PARSE_TEXT, "Cannot parse NULL");
            return Err(field_error(e, &slot.name, bytes, equals + 1, row, "\\t"));
        }
        use super::columns::Values::{Array, Map, Tuple};
        if matches!(slot.builder.values, Array(_) | Map(_) | Tuple(..)) {
            value.extend_from_slice(text);
        } else {
            unescape_into(text, &mut value);
        }
        push_text(&mut slot.builder, &value, self.options.time_zone)
            .map_err(|e| field_error(e, &slot.name, bytes, equals + 1, row, "\\t"))?;
        Ok(1)
    }
}
