//! The containers of Arrow batches as formats.
//!
//! A stream is read batch by batch; a file (Arrow, Parquet) is read once all of it is there, since its
//! directory stands at its end. The libraries' own failures on damaged input are caught and become
//! errors of the input.

use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileReader, StreamDecoder};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::Schema;
use bytes::Bytes;
use parking_lot::Mutex;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::functions::cast::cast_column;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use super::parquet_columns::ParquetColumns;
use super::{announced, bad, export, import, parquet_text};
use crate::format::blocks::BlockRows;
use crate::format::{
    FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, ParsedRows,
    WriterStatistics, check_row_bytes,
};

/// What the batches are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    File,
    Stream,
    Parquet,
}

/// Where a library writes to, and we take from.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Sink {
    File(FileWriter<Shared>),
    Stream(StreamWriter<Shared>),
    Parquet(Box<parquet::arrow::ArrowWriter<Shared>>),
}

pub struct ArrowWriter {
    container: Container,
    context: QueryContext,
    types: Vec<DataType>,
    schema: Arc<Schema>,
    written: Shared,
    sink: Option<Sink>,
}

impl ArrowWriter {
    pub fn boxed(options: &FormatOptions, container: Container) -> Result<Box<dyn FormatWriter>> {
        let mut context = QueryContext::new("format", 0, 0);
        context.time_zone = options.time_zone;
        Ok(Box::new(ArrowWriter {
            container,
            context,
            types: vec![],
            schema: Arc::new(Schema::empty()),
            written: Shared::default(),
            sink: None,
        }))
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.written.0.lock());
    }
}

/// Parquet has no plain seconds and no enums: milliseconds and texts stand for them. Times of a day and
/// values that carry their type are refused, as ClickHouse does.
fn parquet_type(data_type: &DataType) -> Result<DataType> {
    use DataType as T;
    Ok(match data_type {
        T::DateTime(_) => T::DateTime64(3, Some(TimeZone::UTC)),
        T::Enum8(_) | T::Enum16(_) => T::String,
        T::Nullable(t) => T::nullable(parquet_type(t)?),
        T::LowCardinality(t) => parquet_type(t)?,
        T::SimpleAggregateFunction { argument, .. } | T::Named { argument, .. } => {
            parquet_type(argument)?
        }
        T::Array(t) => T::array(parquet_type(t)?),
        T::Map(k, v) => T::Map(Box::new(parquet_type(k)?), Box::new(parquet_type(v)?)),
        T::Tuple(elements) => {
            let mut elements = elements.clone();
            for e in &mut elements {
                e.data_type = parquet_type(&e.data_type)?;
            }
            T::Tuple(elements)
        }
        T::Time | T::Time64(_) | T::BFloat16 | T::Variant(_) | T::Dynamic { .. } => {
            return Err(Error::new(
                codes::UNKNOWN_TYPE,
                format!(
                    "Internal type '{data_type}' is not supported for conversion into Parquet data format"
                ),
            ));
        }
        other => other.clone(),
    })
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(codes::LOGICAL_ERROR, format!("Cannot write the result: {e}"))
}

impl FormatWriter for ArrowWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let parquet = self.container == Container::Parquet;
        let own = |(_, t): &(String, DataType)| match parquet {
            true => parquet_type(t),
            false => Ok(t.clone()),
        };
        self.types = schema.iter().map(own).collect::<Result<_>>()?;
        let names = schema.iter().map(|(n, _)| n.clone());
        let columns: Vec<(String, DataType)> = names.zip(self.types.iter().cloned()).collect();
        self.schema = Arc::new(export::schema(&columns)?);
        let written = self.written.clone();
        self.sink = Some(match self.container {
            Container::File => {
                Sink::File(FileWriter::try_new(written, &self.schema).map_err(failed)?)
            }
            Container::Stream => {
                Sink::Stream(StreamWriter::try_new(written, &self.schema).map_err(failed)?)
            }
            Container::Parquet => {
                let level = parquet::basic::ZstdLevel::try_new(3).map_err(failed)?;
                let properties = parquet::file::properties::WriterProperties::builder()
                    .set_compression(parquet::basic::Compression::ZSTD(level))
                    .set_max_row_group_row_count(Some(1_000_000))
                    .build();
                let writer = parquet::arrow::ArrowWriter::try_new(
                    written,
                    self.schema.clone(),
                    Some(properties),
                );
                Sink::Parquet(Box::new(writer.map_err(failed)?))
            }
        });
        self.drain(out);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if block.rows() == 0 {
            return Ok(());
        }
        let mut converted = Block::of_rows(block.rows());
        for ((name, column), to) in block.names.iter().zip(&block.columns).zip(&self.types) {
            let column: Column = match column.data_type == *to {
                true => column.clone(),
                false => cast_column(column, to, &self.context)?,
            };
            converted.push(name.as_str(), column);
        }
        let batch = export::batch(&converted, &self.schema, self.context.time_zone)?;
        match &mut self.sink {
            Some(Sink::File(w)) => w.write(&batch).map_err(failed)?,
            Some(Sink::Stream(w)) => w.write(&batch).map_err(failed)?,
            Some(Sink::Parquet(w)) => w.write(&batch).map_err(failed)?,
            None => {}
        }
        self.drain(out);
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        match self.sink.take() {
            Some(Sink::File(mut w)) => w.finish().map_err(failed)?,
            Some(Sink::Stream(mut w)) => w.finish().map_err(failed)?,
            Some(Sink::Parquet(w)) => {
                w.close().map_err(failed)?;
            }
            None => {}
        }
        self.drain(out);
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}

pub struct ArrowReader {
    container: Container,
    rows: BlockRows,
    decoder: StreamDecoder,
    opened: Option<Opened>,
    /// Rows that the opened file gave so far.
    rows_read: usize,
}

fn cut() -> ParseError {
    bad("the stream ends within a message")
}

/// Runs code of a library that may fail hard on damaged input.
pub(super) fn guarded<T>(
    run: impl FnOnce() -> std::result::Result<T, ParseError>,
) -> std::result::Result<T, ParseError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(bad("damaged input")))
}

/// A file, of which some batches were read.
enum Opened {
    Arrow(Box<FileReader<Cursor<Bytes>>>),
    Parquet(ParquetColumns),
}

impl Opened {
    fn next(&mut self) -> std::result::Result<Option<RecordBatch>, ParseError> {
        match self {
            Opened::Arrow(reader) => reader.next().transpose().map_err(bad),
            Opened::Parquet(columns) => columns.next(),
        }
    }
}

/// The columns that input in `container` has.
pub fn infer(container: Container, bytes: &[u8]) -> Result<Vec<InputColumn>> {
    let schema = guarded(|| match container {
        Container::Parquet => Ok(parquet_text::directory(bytes).map_err(bad)?.schema().clone()),
        Container::File => announced::check_file(bytes).and_then(|()| {
            Ok(FileReader::try_new(Cursor::new(bytes), None).map_err(bad)?.schema())
        }),
        Container::Stream => {
            let mut decoder = StreamDecoder::new();
            let mut buffer = Buffer::from(bytes.to_vec());
            if announced::message_end(bytes)?.is_none() {
                return Err(bad("the stream ends before its schema"));
            }
            while decoder.schema().is_none() && !buffer.is_empty() {
                decoder.decode(&mut buffer).map_err(bad)?;
            }
            decoder.schema().ok_or_else(|| bad("the stream ends before its schema"))
        }
    });
    let column = |field: &Arc<arrow_schema::Field>| {
        let data_type = import::data_type(field, None, 0)?;
        Ok(InputColumn { name: field.name().clone(), data_type })
    };
    schema
        .and_then(|s| s.fields().iter().map(column).collect())
        .map_err(|e: ParseError| Error::new(e.code, e.message))
}

impl ArrowReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        container: Container,
    ) -> Result<Box<dyn FormatReader>> {
        let mut rows = BlockRows::new(columns, options);
        let name = match container {
            Container::Parquet => "input_format_parquet_case_insensitive_column_matching",
            _ => "input_format_arrow_case_insensitive_column_matching",
        };
        rows.match_any_case(options.settings.bool(name, false));
        let decoder = StreamDecoder::new();
        Ok(Box::new(ArrowReader { container, rows, decoder, opened: None, rows_read: 0 }))
    }

    fn push(rows: &mut BlockRows, batch: &RecordBatch) -> std::result::Result<(), ParseError> {
        let block = import::block(batch, rows.columns())?;
        rows.push(block, 0)
    }

    fn open(&mut self, file: Bytes) -> std::result::Result<(), ParseError> {
        (self.opened, self.rows_read) = (None, 0);
        if file.is_empty() {
            return Ok(());
        }
        let (container, rows) = (self.container, &self.rows);
        self.opened = Some(guarded(|| match container {
            Container::Parquet => {
                let is_wanted = |name: &str| rows.takes(name);
                Ok(Opened::Parquet(ParquetColumns::open(file, rows.threads(), &is_wanted)?))
            }
            _ => {
                announced::check_file(&file)?;
                let reader = FileReader::try_new(Cursor::new(file), None).map_err(bad)?;
                Ok(Opened::Arrow(Box::new(reader)))
            }
        })?);
        Ok(())
    }

    /// Appends the next batch; false if there is none.
    fn read_opened(&mut self) -> std::result::Result<bool, ParseError> {
        let (Some(opened), rows) = (&mut self.opened, &mut self.rows) else { return Ok(false) };
        let before = rows.rows();
        let is_read = guarded(|| match opened.next()? {
            Some(batch) => Self::push(rows, &batch).map(|()| true),
            None => Ok(false),
        })?;
        self.rows_read += self.rows.rows() - before;
        if !is_read {
            self.opened = None;
        }
        Ok(is_read)
    }

    fn read_file(&mut self, bytes: &[u8]) -> std::result::Result<(), ParseError> {
        self.open(Bytes::copy_from_slice(bytes))?;
        while self.read_opened()? {}
        Ok(())
    }

    /// Reads whole messages only, so that what they announce is checked first.
    fn read_batches(
        &mut self,
        bytes: &[u8],
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let first = self.rows.rows();
        let (decoder, rows) = (&mut self.decoder, &mut self.rows);
        guarded(|| {
            let mut at = 0;
            while rows.rows() - first < rows_max {
                let rest = &bytes[at..];
                let Some(end) = announced::message_end(rest)? else { break };
                let mut message = Buffer::from(rest[..end].to_vec());
                while !message.is_empty() {
                    if let Some(batch) = decoder.decode(&mut message).map_err(bad)? {
                        Self::push(rows, &batch)?;
                    }
                }
                at += end;
            }
            Ok(at)
        })
    }

    fn located(mut e: ParseError, row: usize) -> ParseError {
        e.message += &format!(": (at row {})", row + 1);
        e
    }
}

impl FormatReader for ArrowReader {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let before = self.rows.mark();
        let result = match self.container {
            Container::Stream => {
                self.decoder = StreamDecoder::new();
                self.read_batches(message, usize::MAX).and_then(|used| match used {
                    n if n < message.len() => Err(cut()),
                    _ => guarded(|| self.decoder.finish().map_err(bad)),
                })
            }
            _ => self.read_file(message),
        };
        match result {
            Ok(()) => Ok(self.rows.rows() - before.rows),
            Err(e) => {
                let row = self.rows.rows() - before.rows;
                self.rows.rollback(before);
                Err(Self::located(e, row))
            }
        }
    }

    fn read_stream(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let before = self.rows.mark();
        let result = match self.container {
            Container::Stream => self.read_batches(input, rows_max).and_then(|used| {
                if last && used == input.len() {
                    guarded(|| self.decoder.finish().map_err(bad))?;
                }
                match used {
                    0 if last && !input.is_empty() => Err(cut()),
                    0 => check_row_bytes(input, last).map(|()| 0),
                    _ => Ok(used),
                }
            }),
            _ if !last => return check_row_bytes(input, last).map(|()| 0),
            _ => self.read_file(input).map(|()| input.len()),
        };
        result.map_err(|e| {
            let row = self.rows.rows() - before.rows;
            self.rows.rollback(before);
            Self::located(e, row)
        })
    }

    fn wants_whole(&self) -> bool {
        self.container != Container::Stream
    }

    fn open_whole(&mut self, input: Bytes) -> std::result::Result<(), ParseError> {
        self.open(input).map_err(|e| Self::located(e, 0))
    }

    fn read_whole(&mut self) -> std::result::Result<bool, ParseError> {
        let before = self.rows.mark();
        self.read_opened().map_err(|e| {
            self.rows.rollback(before);
            Self::located(e, self.rows_read)
        })
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
