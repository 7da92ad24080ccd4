//! Input and output formats: bytes to columns and back, in ClickHouse's text.
//!
//! A format is one file with a reader, a writer or both, and one line in `registry`. Readers parse
//! many rows a call straight into column builders and keep their state between calls (nothing is
//! rebuilt per message).

mod arrow;
mod avro;
mod blocks;
mod bson;
mod capn_proto;
mod cells;
mod columns;
mod csv;
mod csv_reader;
mod csv_rules;
mod custom;
mod fields;
mod form;
mod geo_json;
mod grid;
mod hash;
mod header;
mod hive_text;
mod infer;
mod infer_types;
mod json_compact;
mod json_document;
mod json_each_row;
mod json_input;
mod json_nested;
mod json_progress;
mod json_rows;
mod json_skip;
mod json_strings;
mod json_value;
mod keyed;
mod markdown;
mod msg_pack;
pub mod native;
mod npy;
mod orc;
mod paint;
mod plain;
mod pretty;
mod prometheus;
mod protobuf;
mod reading;
mod regexp;
mod registry;
mod row_binary;
mod row_layout;
mod row_reader;
mod row_text;
mod rules;
mod scan;
pub mod schema_files;
mod schema_registry;
mod states;
mod styled;
mod tab_separated;
mod template;
mod tolerant;
mod values;
mod vertical;
mod xml;

use std::sync::Arc;

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

pub use row_text::install_row_writer;

/// What a reader or writer is made for.
#[derive(Debug, Clone)]
pub struct FormatOptions {
    pub settings: Settings,
    /// Zone for DateTime types that name none.
    pub time_zone: TimeZone,
}

impl FormatOptions {
    /// What stands for NULL by the setting `name`.
    fn null_text(&self, name: &str) -> Vec<u8> {
        self.settings.get(name).unwrap_or("\\N").as_bytes().to_vec()
    }
}

/// One target column of a reader. `required` false: absent fields take `default` (see `Filled`).
#[derive(Debug, Clone)]
pub struct InputColumn {
    pub name: String,
    pub data_type: DataType,
}

/// Rows parsed so far. `present[c]` is None when every row gave column `c`, else one flag per row:
/// false where the row did not give it (its value is then the type's default, and the caller applies
/// DEFAULT expressions).
pub struct ParsedRows {
    pub columns: Vec<Column>,
    pub present: Vec<Option<Vec<bool>>>,
    pub rows: usize,
}

/// Why one piece of input gave no (or only some) rows. The reader has rolled back the rows of the
/// piece; the rows of other pieces are untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// ClickHouse's error code (27, 26, 72, 117 …).
    pub code: u32,
    /// Says what was expected, what was found, at which row and byte and for which column.
    pub message: String,
}

impl ParseError {
    /// Why row `row` (from 0), which begins at byte `at`, could not be read.
    pub(super) fn at_row(code: u32, message: &str, row: usize, at: usize) -> ParseError {
        ParseError { code, message: format!("{message}: (at row {}, byte {at})", row + 1) }
    }
}

/// Evaluates an expression that stands where a literal was expected (Values): its text and the type
/// wanted.
pub type Evaluator =
    Box<dyn FnMut(&str, &DataType) -> std::result::Result<Value, ParseError> + Send>;

/// Parses a stream or messages into columns. One per consumer or insert; reused for its life.
pub trait FormatReader: Send {
    /// Parses one whole message (0..n rows), appending. On error nothing of it is appended.
    /// Returns the number of rows appended.
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError>;

    /// Parses as many whole rows of a stream as `input` holds, up to about `rows_max`; `last` says
    /// that no more follows. Returns the bytes consumed; the caller gives the rest again, followed by
    /// more. A row larger than `ROW_BYTES_MAX` is an error.
    fn read_stream(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError>;

    /// Whether nothing can be read before all of the input is there (its directory stands at the end). It may then
    /// be given to [`FormatReader::open_whole`] and read piece by piece, instead of `read_stream`.
    fn wants_whole(&self) -> bool {
        false
    }

    /// Takes all of an input, of which nothing was read.
    fn open_whole(&mut self, input: bytes::Bytes) -> std::result::Result<(), ParseError> {
        self.read_message(&input).map(drop)
    }

    /// Appends more rows of the input that was opened; false if there are no more.
    fn read_whole(&mut self) -> std::result::Result<bool, ParseError> {
        Ok(false)
    }

    /// About so many bytes will come: a reader may make room for what it has not read yet, but believes nothing.
    fn announce(&mut self, _bytes: usize) {}

    /// Sets what evaluates expressions, for the formats that have them.
    fn set_evaluator(&mut self, _evaluator: Evaluator) {}

    /// Rows appended since the last `take`.
    fn rows(&self) -> usize;
    /// Bytes that the appended rows hold, roughly.
    fn bytes(&self) -> usize;
    /// Takes the rows out and starts anew (keeping learned state, such as predicted key order).
    fn take(&mut self) -> Result<ParsedRows>;
}

/// A row of a streamed insert may be this long.
pub const ROW_BYTES_MAX: usize = 256 << 20;

/// An input that is read as a whole may be this long.
pub const WHOLE_BYTES_MAX: usize = 4 << 30;

/// Writes a result. Calls come in the order prefix, blocks…, (totals), (extremes), suffix.
pub trait FormatWriter: Send {
    /// Called once, before the first block, with the result's names and types.
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()>;
    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()>;
    fn totals(&mut self, _block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    /// Two rows: the minima and the maxima.
    fn extremes(&mut self, _block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()>;
    /// In place of the suffix when the query failed: ends the output with the error's text, where the
    /// format has a place for one. False: it has none, and nothing was written.
    fn exception(
        &mut self,
        _error: &str,
        _statistics: &WriterStatistics,
        _out: &mut Vec<u8>,
    ) -> bool {
        false
    }
    /// `Content-Type` of the output.
    fn content_type(&self) -> &'static str;
    /// Makes it ready for another output of the same columns, after a suffix. False: a new one is to be made,
    /// which is as cheap unless there is a schema to be read.
    fn again(&mut self) -> bool {
        false
    }
}

/// What JSON formats print behind the data.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriterStatistics {
    pub rows_before_limit: Option<u64>,
    pub elapsed_seconds: f64,
    pub rows_read: u64,
    pub bytes_read: u64,
}

/// Makes a reader for these columns.
pub type MakeReader = fn(&[InputColumn], &FormatOptions) -> Result<Box<dyn FormatReader>>;
/// Makes a writer.
pub type MakeWriter = fn(&FormatOptions) -> Result<Box<dyn FormatWriter>>;

/// A format: its name and how to make its reader and writer.
pub struct Format {
    pub name: &'static str,
    pub reader: Option<MakeReader>,
    pub writer: Option<MakeWriter>,
}

/// Shared handle of a registered format.
pub type FormatRef = Arc<Format>;

pub use columns::{BUFFERED_BYTES_MAX, ColumnBuilder, RowBuilder};
pub use infer::infer;
pub use registry::{lookup, names};

/// A reader of the format called `name`. Error 73 when there is none.
pub fn reader(
    name: &str,
    columns: &[InputColumn],
    options: &FormatOptions,
) -> Result<Box<dyn FormatReader>> {
    let format = known(name)?;
    match format.reader {
        Some(make) => {
            let reader = tolerant::patient(format.name, make(columns, options)?, options);
            Ok(reading::styled(format.name, reader, options))
        }
        None => Err(unsuitable(name, "input")),
    }
}

/// A writer of the format called `name`. Error 73 when there is none.
pub fn writer(name: &str, options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
    let format = known(name)?;
    match format.writer {
        Some(make) => styled::styled(format.name, make(options)?, &options.settings),
        None => Err(unsuitable(name, "output")),
    }
}

/// Formats of ClickHouse that are not there.
const REFUSED: &[&str] = &["MySQLDump", "MySQLWire"];

fn known(name: &str) -> Result<&'static Format> {
    if REFUSED.contains(&name) && lookup(name).is_none() {
        let message = format!("Format {name} is not supported");
        return Err(Error::new(codes::NOT_IMPLEMENTED, message));
    }
    lookup(name).ok_or_else(|| Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {name}")))
}

fn unsuitable(name: &str, what: &str) -> Error {
    // FORMAT_IS_NOT_SUITABLE_FOR_INPUT and …_OUTPUT.
    let code = if what == "input" { 85 } else { 399 };
    Error::new(code, format!("Format {name} is not suitable for {what}"))
}

/// A row that is longer than allowed: the rest of a stream that holds no whole row.
fn check_row_bytes(input: &[u8], last: bool) -> std::result::Result<(), ParseError> {
    if last || input.len() <= ROW_BYTES_MAX {
        return Ok(());
    }
    Err(ParseError {
        code: codes::INCORRECT_DATA,
        message: format!("a row is longer than the maximum of {ROW_BYTES_MAX} bytes"),
    })
}

#[cfg(test)]
mod tests;
