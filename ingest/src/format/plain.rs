//! Formats that hardly look at their bytes: LineAsString, JSONAsString, JSONAsObject and RawBLOB (readers
//! that fill one String column, or one of JSON), RawBLOB's and Null's output.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write::bytes_at;
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::columns::{RowBuilder, Values};
use super::fields::row_error;
use super::json_each_row::{Framing, Next, parse_error};
use super::json_skip::skip_value;
use super::json_value::{Failure, read_value};
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics};

/// What is one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Line,
    JsonObject,
    Everything,
}

pub struct PlainReader {
    rows: RowBuilder,
    unit: Unit,
    framing: Framing,
}

impl PlainReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        unit: Unit,
    ) -> Result<Box<dyn FormatReader>> {
        let rows = RowBuilder::new(columns, options.time_zone);
        let fits = rows.slots.first().is_some_and(|s| match &s.builder.values {
            Values::String(_) => true,
            Values::SelfTyped(_, DataType::Json(_), _) => unit == Unit::JsonObject,
            _ => false,
        });
        if !fits {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "This input format is only suitable for tables with a single column of type String",
            ));
        }
        Ok(Box::new(PlainReader { rows, unit, framing: Framing::default() }))
    }

    /// The object at `start`, which ends at `end`, as text or as a value of a JSON column.
    fn push_object(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
    ) -> std::result::Result<(), Box<Failure>> {
        let row = self.rows.rows();
        if let Some(slot) = self.rows.slots.first_mut()
            && matches!(slot.builder.values, Values::SelfTyped(..))
        {
            read_value(&mut slot.builder, bytes, start)?;
            slot.filled = row + 1;
            self.rows.end_row(1);
            return Ok(());
        }
        self.push(&bytes[start..end]);
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        let row = self.rows.rows();
        if let Some(slot) = self.rows.slots.first_mut()
            && let Values::String(b) = &mut slot.builder.values
        {
            b.push(bytes);
            slot.filled = row + 1;
        }
        self.rows.end_row(1);
    }

    fn lines(&mut self, bytes: &[u8], last: bool, rows_max: usize) -> usize {
        let mut at = 0;
        let mut rows = 0;
        while at < bytes.len() && rows < rows_max {
            match memchr::memchr(b'\n', &bytes[at..]) {
                Some(step) => {
                    self.push(&bytes[at..at + step]);
                    at += step + 1;
                }
                None if last => {
                    self.push(&bytes[at..]);
                    at = bytes.len();
                }
                None => break,
            }
            rows += 1;
        }
        at
    }

    fn objects(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, Box<Failure>> {
        let mut at = 0;
        for _ in 0..rows_max {
            let before = *framing;
            let start = match framing.next(bytes, at, b'{') {
                Ok(Next::Row(start)) => start,
                Ok(Next::End(end)) => return Ok(end),
                Err(mut e) => {
                    e.code = codes::INCORRECT_DATA;
                    e.message = "JSON object must begin with '{'".into();
                    return Err(e);
                }
            };
            match skip_value(bytes, start) {
                Ok(end) => {
                    self.push_object(bytes, start, end)?;
                    at = end;
                }
                Err(e) if !last && e.at + 64 >= bytes.len() => {
                    *framing = before;
                    return Ok(at);
                }
                Err(mut e) => {
                    if e.at >= bytes.len() {
                        e.message = "Unexpected end of file while parsing JSON object".into();
                    }
                    if e.code != codes::TOO_DEEP_RECURSION {
                        e.code = codes::INCORRECT_DATA;
                    }
                    return Err(e);
                }
            }
        }
        Ok(at)
    }

    fn read_unit(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let before = self.rows.rows();
        match self.unit {
            Unit::Line => Ok(self.lines(bytes, last, rows_max)),
            Unit::Everything if last => {
                self.push(bytes);
                Ok(bytes.len())
            }
            Unit::Everything => Ok(0),
            Unit::JsonObject => self
                .objects(bytes, framing, last, rows_max)
                .map_err(|e| parse_error(*e, bytes, self.rows.rows() - before)),
        }
    }
}

impl RowReader for PlainReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> std::result::Result<usize, ParseError> {
        if piece.is_message() {
            return self.read_unit(input, &mut Framing::default(), true, usize::MAX);
        }
        if self.unit == Unit::Everything && self.framing.started {
            return match input {
                [] => Ok(0),
                _ => Err(row_error(codes::INCORRECT_DATA, "Data behind the end", input, 0, 1)),
            };
        }
        let mut framing = self.framing;
        let used = self.read_unit(input, &mut framing, piece.is_last(), piece.rows_max())?;
        self.framing = framing;
        self.framing.started |= self.unit == Unit::Everything && piece.is_last();
        Ok(used)
    }
}

/// Writes values one behind the other (RawBLOB), or nothing (Null).
pub struct PlainWriter {
    zone: TimeZone,
    silent: bool,
}

impl PlainWriter {
    pub fn raw_blob(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(PlainWriter { zone: options.time_zone, silent: false }))
    }

    pub fn null(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(PlainWriter { zone: options.time_zone, silent: true }))
    }
}

impl FormatWriter for PlainWriter {
    fn prefix(&mut self, _schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if self.silent {
            return Ok(());
        }
        for row in 0..block.rows() {
            for column in &block.columns {
                let (dt, array) = (column.data_type.inner(), column.array.as_ref());
                if column.is_null(row) {
                    continue;
                }
                match dt {
                    DataType::String | DataType::FixedString(_) => {
                        out.extend_from_slice(bytes_at(dt, array, row))
                    }
                    dt => write_text(dt, array, row, self.zone, out),
                }
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
