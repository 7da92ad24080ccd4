//! Native as a format: result blocks out, streams of blocks in.

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};

use super::gather::{Appending, Gathered};
use super::read::{column_head, head, too_large};
use super::{Mode, REVISION_MAX, write_block_as};
use crate::format::row_binary::{Read, Source, Stop, binary_error};
use crate::format::{
    BUFFERED_BYTES_MAX, FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError,
    ParsedRows, WriterStatistics, check_row_bytes,
};

pub struct NativeWriter {
    mode: Mode,
}

impl Mode {
    /// How the settings want blocks at `revision`.
    pub fn of(revision: u64, settings: &Settings) -> Mode {
        let set = |name: &str| settings.bool(&format!("output_format_native_{name}"), false);
        Mode {
            revision,
            json_as_text: set("write_json_as_string"),
            flattened: set("use_flattened_dynamic_and_json_serialization"),
            types_in_binary: set("encode_types_in_binary_format"),
        }
    }
}

impl NativeWriter {
    /// The setting `client_protocol_version` says the revision.
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let revision = options.settings.u64("client_protocol_version", 0).min(REVISION_MAX);
        Ok(Box::new(NativeWriter { mode: Mode::of(revision, &options.settings) }))
    }
}

impl FormatWriter for NativeWriter {
    fn prefix(&mut self, _schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if block.rows() == 0 {
            return Ok(());
        }
        write_block_as(block, self.mode, out)
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}

/// Values are taken as they come: what waits for more input is less than a column, mostly less than a value.
pub struct NativeReader {
    gathered: Gathered,
    begun: Option<Begun>,
    retry_bytes: usize,
}

/// A block that is not whole yet.
struct Begun {
    columns: usize,
    rows: usize,
    /// Columns that are whole.
    done: usize,
    /// Which of the wanted columns it gave.
    given: Vec<bool>,
    appending: Option<Appending>,
    /// Bytes that it took so far, of input or of memory.
    bytes: usize,
}

/// How far a step came.
enum Step {
    /// On, to what comes next.
    On,
    /// To the end of the block.
    Ended,
    /// To the end of the input.
    Waits,
}

impl NativeReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        if options.settings.bool("input_format_native_decode_types_in_binary_format", false) {
            let message = "input_format_native_decode_types_in_binary_format is not supported";
            return Err(Error::new(codes::NOT_IMPLEMENTED, message));
        }
        let gathered = Gathered::new(columns, options);
        Ok(Box::new(NativeReader { gathered, begun: None, retry_bytes: 0 }))
    }

    fn read(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let first = self.gathered.rows();
        let mut source = Source { bytes, at: 0 };
        let mut used = 0;
        while (used < bytes.len() || self.begun.is_some())
            && self.gathered.rows() - first < rows_max
        {
            let row = self.gathered.rows() - first;
            match self.step(&mut source) {
                Ok(step) => {
                    used = source.at;
                    match step {
                        Step::On => {}
                        Step::Ended => self.gathered.make_room(rows_max),
                        Step::Waits => break,
                    }
                }
                Err(Stop::Cut) => break,
                Err(stop) => return Err(binary_error(stop, source.at, row, "block")),
            }
        }
        let cut = self.begun.is_some() || used < bytes.len();
        let row = self.gathered.rows() - first;
        if last && cut && row < rows_max {
            return Err(ParseError {
                code: codes::CANNOT_READ_ALL_DATA,
                message: format!(
                    "Cannot read all data: the input ends within a block: (at row {}, byte {used})",
                    row + 1
                ),
            });
        }
        Ok(used)
    }

    /// The head of a block, or the next of a column, or the block's end.
    fn step(&mut self, source: &mut Source) -> Read<Step> {
        let Some(begun) = &mut self.begun else {
            let (columns, rows) = head(source, 0)?;
            let given = vec![false; self.gathered.columns()];
            let (done, appending, bytes) = (0, None, 0);
            self.begun = Some(Begun { columns, rows, done, given, appending, bytes });
            return Ok(Step::On);
        };
        if begun.done == begun.columns {
            self.gathered.end_block(begun.rows, begun.bytes)?;
            self.begun = None;
            return Ok(Step::Ended);
        }
        let from = source.at;
        let whole = match &mut begun.appending {
            Some(appending) => self.gathered.go_on(appending, source)?,
            None => begun.column(&mut self.gathered, source)?,
        };
        begun.bytes += source.at - from;
        if begun.bytes > BUFFERED_BYTES_MAX {
            return Err(too_large());
        }
        match (whole, &begun.appending) {
            (true, _) => {
                begun.appending = None;
                begun.done += 1;
                Ok(Step::On)
            }
            // It was begun, or the input is at its end.
            (false, Some(_)) if source.at == source.bytes.len() => Ok(Step::Waits),
            (false, _) if source.at == from => Ok(Step::Waits),
            (false, _) => Ok(Step::On),
        }
    }

    fn forget_begun(&mut self, rows: usize, bytes: usize) {
        self.begun = None;
        self.gathered.rollback(rows, bytes);
    }
}

impl Begun {
    /// The head of a column, and the column if it is not one to be appended; whether it is whole.
    fn column(&mut self, gathered: &mut Gathered, source: &mut Source) -> Read<bool> {
        let (name, data_type) = column_head(source, 0)?;
        if self.rows == 0 {
            return Ok(true);
        }
        // Of two columns of one name the first counts.
        let place = gathered.find(&name)?.filter(|place| !self.given[*place]);
        let appending = match place {
            Some(place) => gathered.begin(place, &data_type, self.rows, source)?,
            None => None,
        };
        let whole = appending.is_none();
        match appending {
            Some(_) => self.appending = appending,
            None => self.bytes += gathered.read(place, data_type, self.rows, source)?,
        }
        if let Some(place) = place {
            self.given[place] = true;
        }
        Ok(whole)
    }
}

impl FormatReader for NativeReader {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let (rows, bytes) = (self.gathered.rows(), self.gathered.bytes());
        self.forget_begun(rows, bytes);
        match self.read(message, true, usize::MAX) {
            Ok(_) => Ok(self.gathered.rows() - rows),
            Err(e) => {
                self.forget_begun(rows, bytes);
                Err(e)
            }
        }
    }

    fn read_stream(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        if !last && input.len() < self.retry_bytes {
            return Ok(0);
        }
        check_row_bytes(input, last)?;
        let (rows, bytes) = (self.gathered.rows(), self.gathered.bytes());
        match self.read(input, last, rows_max) {
            Ok(used) => {
                self.retry_bytes = if used == 0 { input.len().saturating_mul(2) } else { 0 };
                Ok(used)
            }
            Err(e) => {
                self.forget_begun(rows, bytes);
                Err(e)
            }
        }
    }

    fn announce(&mut self, bytes: usize) {
        self.gathered.announce(bytes);
    }

    fn rows(&self) -> usize {
        self.gathered.rows()
    }

    fn bytes(&self) -> usize {
        self.gathered.bytes() + self.begun.as_ref().map_or(0, |begun| begun.bytes)
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.gathered.take()
    }
}
