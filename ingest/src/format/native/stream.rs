//! Native as a format: result blocks out, streams of blocks in.

use pumphouse_query::error::{Result, codes};
use pumphouse_storage::{Block, DataType};

use super::{Mode, REVISION_MAX, read_block, write_block_as};
use crate::format::blocks::BlockRows;
use crate::format::{
    FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, ParsedRows,
    WriterStatistics, check_row_bytes,
};

pub struct NativeWriter {
    mode: Mode,
}

impl NativeWriter {
    /// The setting `client_protocol_version` says the revision.
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let revision = options.settings.u64("client_protocol_version", 0).min(REVISION_MAX);
        let json_as_text =
            options.settings.bool("output_format_native_write_json_as_string", false);
        Ok(Box::new(NativeWriter { mode: Mode { revision, json_as_text } }))
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

pub struct NativeReader {
    rows: BlockRows,
    retry_bytes: usize,
}

impl NativeReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        Ok(Box::new(NativeReader { rows: BlockRows::new(columns, options), retry_bytes: 0 }))
    }

    fn read(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let first = self.rows.rows();
        let mut at = 0;
        while at < bytes.len() && self.rows.rows() - first < rows_max {
            let row = self.rows.rows() - first;
            match read_block(&bytes[at..], 0) {
                Ok(Some((block, used))) => {
                    self.rows.push(block, used)?;
                    at += used;
                }
                Ok(None) if !last => break,
                Ok(None) => {
                    return Err(ParseError {
                        code: codes::CANNOT_READ_ALL_DATA,
                        message: format!(
                            "Cannot read all data: the input ends within a block: (at row {}, byte \
                             {at})",
                            row + 1
                        ),
                    });
                }
                Err(mut e) => {
                    e.message += &format!(" of the block at row {}, byte {at}", row + 1);
                    return Err(e);
                }
            }
        }
        Ok(at)
    }
}

impl FormatReader for NativeReader {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let before = self.rows.mark();
        match self.read(message, true, usize::MAX) {
            Ok(_) => Ok(self.rows.rows() - before.rows),
            Err(e) => {
                self.rows.rollback(before);
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
        let before = self.rows.mark();
        match self.read(input, last, rows_max) {
            Ok(used) => {
                self.retry_bytes = if used == 0 { input.len().saturating_mul(2) } else { 0 };
                Ok(used)
            }
            Err(e) => {
                self.rows.rollback(before);
                Err(e)
            }
        }
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
