//! CSV written, with or without lines of names and types: strings, dates and the like in double quotes, a
//! tuple spread over fields. Reading is in `csv_reader`.

use pumphouse_query::error::Result;
use pumphouse_query::text::write::{bytes_at, is_quoted, write_plain};
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::cells;
use super::header::Header;
use super::{FormatOptions, FormatWriter, WriterStatistics};

pub const NULL_SETTING: &str = "format_csv_null_representation";

pub struct CsvWriter {
    header: Header,
    fields: CsvFields,
    /// In the lines of names and types, too, a tuple is several fields.
    spread_header: bool,
    crlf: bool,
}

/// How values become fields.
#[derive(Debug, Clone)]
pub struct CsvFields {
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// A tuple is several fields, not the text of one.
    pub spread_tuples: bool,
    pub zone: TimeZone,
}

impl CsvFields {
    pub fn of(options: &FormatOptions) -> CsvFields {
        let spread = "output_format_csv_serialize_tuple_into_separate_columns";
        CsvFields {
            delimiter: delimiter(options),
            null: options.null_text(NULL_SETTING),
            spread_tuples: options.settings.bool(spread, true),
            zone: options.time_zone,
        }
    }
}

pub fn delimiter(options: &FormatOptions) -> u8 {
    match options.settings.get("format_csv_delimiter").map(str::as_bytes) {
        Some([b]) => *b,
        _ => b',',
    }
}

impl CsvWriter {
    pub fn boxed(options: &FormatOptions, header: Header) -> Result<Box<dyn FormatWriter>> {
        let fields = CsvFields::of(options);
        let spread = "output_format_csv_header_serialize_tuple_into_separate_columns";
        Ok(Box::new(CsvWriter {
            header,
            spread_header: fields.spread_tuples && options.settings.bool(spread, true),
            fields,
            crlf: options.settings.bool("output_format_csv_crlf_end_of_line", false),
        }))
    }

    fn end_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
    }

    fn rows(&self, block: &Block, out: &mut Vec<u8>) {
        let mut columns = cells::of_block(block, self.fields.zone);
        for row in 0..block.rows() {
            for (i, cells) in columns.iter_mut().enumerate() {
                if i > 0 {
                    out.push(self.fields.delimiter);
                }
                if cells.is_null(row) {
                    out.extend_from_slice(&self.fields.null);
                } else if !cells.plain(row, Some(b'"'), out) {
                    let Column { data_type, array } = cells.column;
                    let array = array.as_ref();
                    write_csv_value(data_type, array, row, &self.fields, out);
                }
            }
            self.end_line(out);
        }
    }

    fn line(&self, texts: &[String], out: &mut Vec<u8>) {
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                out.push(self.fields.delimiter);
            }
            write_double_quoted(text.as_bytes(), out);
        }
        self.end_line(out);
    }
}

/// A value as a CSV field; a tuple as several.
pub fn write_csv_value(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    how: &CsvFields,
    out: &mut Vec<u8>,
) {
    if array.is_null(row) {
        return out.extend_from_slice(&how.null);
    }
    match dt.inner() {
        DataType::Variant(_) | DataType::Dynamic { .. } => {
            match pumphouse_query::run_time::own_value(dt, array, row) {
                Some(own) => {
                    let array = own.array.as_ref();
                    write_csv_value(&own.data_type, array, 0, how, out)
                }
                None => out.extend_from_slice(&how.null),
            }
        }
        dt @ (DataType::String | DataType::FixedString(_)) => {
            write_double_quoted(bytes_at(dt, array, row), out)
        }
        DataType::Tuple(elements) if how.spread_tuples && !dt.is_nullable() => {
            let fields = array.as_struct();
            for (i, e) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(how.delimiter);
                }
                write_csv_value(&e.data_type, fields.column(i).as_ref(), row, how, out);
            }
        }
        dt @ (DataType::Array(_)
        | DataType::Tuple(_)
        | DataType::Map(..)
        | DataType::Enum8(_)
        | DataType::Enum16(_)
        | DataType::Json(_)
        | DataType::AggregateFunction { .. }) => {
            let mut text = vec![];
            write_text(dt, array, row, how.zone, &mut text);
            write_double_quoted(&text, out);
        }
        dt if is_quoted(dt) => {
            out.push(b'"');
            write_plain(dt, array, row, how.zone, out);
            out.push(b'"');
        }
        dt => write_plain(dt, array, row, how.zone, out),
    }
}

pub fn write_double_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    for at in memchr::memchr_iter(b'"', bytes) {
        out.extend_from_slice(&bytes[from..=at]);
        out.push(b'"');
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Names and types of the fields that a column is spread over.
fn spread(name: &str, dt: &DataType, into: &mut Vec<(String, String)>) {
    match dt.inner() {
        DataType::Tuple(elements) if !elements.is_empty() => {
            for (i, e) in elements.iter().enumerate() {
                let element = e.name.clone().unwrap_or_else(|| (i + 1).to_string());
                spread(&format!("{name}.{element}"), &e.data_type, into);
            }
        }
        _ => into.push((name.to_string(), dt.to_string())),
    }
}

impl FormatWriter for CsvWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let mut fields = vec![];
        for (name, dt) in schema {
            match self.spread_header {
                true => spread(name, dt, &mut fields),
                false => fields.push((name.clone(), dt.to_string())),
            }
        }
        let (names, types): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        if self.header >= Header::Names {
            self.line(&names, out);
        }
        if self.header == Header::NamesAndTypes {
            self.line(&types, out);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.rows(block, out);
        Ok(())
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'\n');
        self.rows(block, out);
        Ok(())
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.totals(block, out)
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        match self.header {
            Header::None => "text/csv; charset=UTF-8; header=absent",
            _ => "text/csv; charset=UTF-8; header=present",
        }
    }
}
