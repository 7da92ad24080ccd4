//! Form: one row as a browser's form sends it, `name=value` between `&`, percent-encoded. `+` stays `+`,
//! as in ClickHouse. One: a single row whose value is 0, whatever the input says.

use pumphouse_query::error::{Error, Result, codes};

use super::columns::RowBuilder;
use super::fields::{field_error, push_text, row_error};
use super::header::find_column;
use super::json_each_row::check_room;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::{FormatOptions, FormatReader, InputColumn, ParsedRows};

pub struct FormLayout {
    options: FormatOptions,
}

impl FormLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let layout = FormLayout { options: options.clone() };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }

    fn value(&self, rows: &mut RowBuilder, bytes: &[u8], name: &[u8], at: usize) -> Parsed<usize> {
        let text = &bytes[at..at + field_length(&bytes[at..])];
        let wrong = |message: &str| row_error(codes::INCORRECT_DATA, message, bytes, at, 0);
        let decoded = percent_decoded(text);
        let text = decoded.ok_or_else(|| wrong("Bad URI syntax: not a hex digit behind %"))?;
        let found = std::str::from_utf8(name).ok().and_then(|n| find_column(rows, n));
        let Some(c) = found else { return Ok(0) };
        let current = rows.rows();
        let slot = &mut rows.slots[c];
        if slot.filled > current {
            let message = "Duplicate field found while parsing Form format: ";
            return Err(wrong(&format!("{message}{}", slot.name)));
        }
        slot.filled = current + 1;
        push_text(&mut slot.builder, &text, self.options.time_zone)
            .map_err(|e| field_error(e, &slot.name, bytes, at, 0, "&"))?;
        Ok(1)
    }
}

fn field_length(bytes: &[u8]) -> usize {
    memchr::memchr(b'&', bytes).unwrap_or(bytes.len())
}

/// None where `%` is not followed by two hex digits.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(step) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..step]);
        let digits = std::str::from_utf8(rest.get(step + 1..step + 3)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        rest = &rest[step + 3..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

impl RowLayout for FormLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        _row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        if !last {
            return Ok(None);
        }
        let (mut at, mut seen) = (at, 0);
        while at < bytes.len() {
            let field = &bytes[at..at + field_length(&bytes[at..])];
            let equals = memchr::memchr(b'=', field);
            if let (Some(equals), Some(name)) =
                (equals, equals.and_then(|e| percent_decoded(&field[..e])))
            {
                seen += self.value(rows, bytes, &name, at + equals + 1)?;
            }
            at += field.len() + 1;
        }
        rows.end_row(seen);
        Ok(Some(bytes.len()))
    }
}

/// The reader of One.
pub struct OneReader {
    rows: RowBuilder,
    done: bool,
}

impl OneReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        if columns.len() != 1 {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "One input format is only suitable for tables with a single column of type \
                     UInt8 but the number of columns is {}",
                    columns.len()
                ),
            ));
        }
        Ok(Box::new(OneReader { rows: RowBuilder::new(columns, options.time_zone), done: false }))
    }

    fn one(&mut self) -> Parsed<usize> {
        check_room(&self.rows, 1)?;
        self.rows.end_row(0);
        Ok(1)
    }
}

impl FormatReader for OneReader {
    fn read_message(&mut self, _message: &[u8]) -> Parsed<usize> {
        self.one()
    }

    fn read_stream(&mut self, input: &[u8], last: bool, _rows_max: usize) -> Parsed<usize> {
        if last && !self.done {
            self.done = true;
            self.one()?;
        }
        Ok(input.len())
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.rows.take()
    }
}
