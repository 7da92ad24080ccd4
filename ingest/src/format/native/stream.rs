//! Native as a format: result blocks out, streams of blocks in.

use pumphouse_query::error::{Result, codes};
use pumphouse_storage::{Block, DataType};

use super::read::{Begun, read_columns};
use super::{Mode, REVISION_MAX, write_block_as};
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

/// Columns are taken as they come: what waits for more input is one column, not a block.
pub struct NativeReader {
    rows: BlockRows,
    begun: Option<Begun>,
    retry_bytes: usize,
}

impl NativeReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let rows = BlockRows::new(columns, options);
        Ok(Box::new(NativeReader { rows, begun: None, retry_bytes: 0 }))
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
            let (block, used) =
                read_columns(&bytes[at..], 0, &mut self.begun).map_err(|mut e| {
                    e.message += &format!(" of the block at row {}, byte {at}", row + 1);
                    e
                })?;
            at += used;
            match block {
                Some(block) => self.rows.push(block, used)?,
                None => break,
            }
        }
        let cut = self.begun.is_some() || at < bytes.len();
        if last && cut && self.rows.rows() - first < rows_max {
            let row = self.rows.rows() - first;
            return Err(ParseError {
                code: codes::CANNOT_READ_ALL_DATA,
                message: format!(
                    "Cannot read all data: the input ends within a block: (at row {}, byte {at})",
                    row + 1
                ),
            });
        }
        Ok(at)
    }
}

impl FormatReader for NativeReader {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let before = self.rows.mark();
        self.begun = None;
        match self.read(message, true, usize::MAX) {
            Ok(_) => Ok(self.rows.rows() - before.rows),
            Err(e) => {
                self.begun = None;
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
                self.begun = None;
                self.rows.rollback(before);
                Err(e)
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes() + self.begun.as_ref().map_or(0, |begun| begun.bytes)
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.rows.take()
    }
}
