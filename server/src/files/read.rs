//! Rows out of a stream of bytes in some format, block by block.

use std::io::Read;

use bytes::Bytes;
use pumphouse_ingest::format::{
    self, Evaluator, FormatOptions, FormatReader, InputColumn, ParseError, WHOLE_BYTES_MAX,
};
use pumphouse_query::context::MemoryGuard;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;

/// Rows of a block.
const BLOCK_ROWS: usize = 65_536;
const BLOCK_BYTES: usize = 32 << 20;
/// Bytes read at a time.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// A stream being read.
pub struct RowStream {
    reader: Box<dyn FormatReader>,
    rest: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    memory: MemoryGuard,
    columns: Vec<InputColumn>,
    format: String,
    ended: bool,
    done: bool,
}

impl RowStream {
    /// Rows of `columns` in `format`: first what a buffer holds, then the rest. `memory` is charged with what is read as a
    /// whole.
    pub fn new(
        format: &str,
        columns: Vec<InputColumn>,
        options: &FormatOptions,
        (buffer, rest): (Vec<u8>, Box<dyn Read + Send>),
        memory: MemoryGuard,
    ) -> Result<RowStream> {
        Ok(RowStream {
            reader: format::reader(format, &columns, options)?,
            rest,
            buffer,
            memory,
            columns,
            format: format.to_string(),
            ended: false,
            done: false,
        })
    }

    pub fn set_evaluator(&mut self, evaluator: Evaluator) {
        self.reader.set_evaluator(evaluator);
    }

    /// The next rows; None at the end.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        if self.reader.wants_whole() {
            return self.next_of_whole();
        }
        while !self.done {
            let used = self
                .reader
                .read_stream(&self.buffer, self.ended, BLOCK_ROWS)
                .map_err(|e| parse_error(e, &self.format))?;
            let unread = self.buffer.len() - used;
            self.buffer.drain(..used);
            self.done = self.ended && (unread == 0 || used == 0);
            let full = self.reader.rows() >= BLOCK_ROWS || self.reader.bytes() >= BLOCK_BYTES;
            if full || self.done {
                match self.take()? {
                    None => continue,
                    block => return Ok(block),
                }
            }
            if !self.ended && used < CHUNK_BYTES {
                self.read_more()?;
            }
        }
        Ok(None)
    }

    /// The rows that were read; None if there are none.
    fn take(&mut self) -> Result<Option<Block>> {
        let rows = self.reader.take()?;
        if rows.rows == 0 {
            return Ok(None);
        }
        let mut block = Block::of_rows(rows.rows);
        for (column, values) in self.columns.iter().zip(rows.columns) {
            block.push(column.name.clone(), values);
        }
        Ok(Some(block))
    }

    /// The next rows of an input that is read as a whole.
    fn next_of_whole(&mut self) -> Result<Option<Block>> {
        if !self.ended {
            let begun = std::mem::take(&mut self.buffer);
            let whole = read_whole(begun, &mut self.rest, &mut self.memory)?;
            self.ended = true;
            self.reader.open_whole(whole).map_err(|e| parse_error(e, &self.format))?;
        }
        while self.reader.read_whole().map_err(|e| parse_error(e, &self.format))? {
            if let Some(block) = self.take()? {
                return Ok(Some(block));
            }
        }
        // The reader has let go of it.
        self.memory.grow_to(0)?;
        self.take()
    }

    fn read_more(&mut self) -> Result<()> {
        self.ended = !read_chunk(&mut self.rest, &mut self.buffer)?;
        Ok(())
    }
}

/// Appends up to [`CHUNK_BYTES`]; false at the end.
pub(crate) fn read_chunk(rest: &mut impl Read, buffer: &mut Vec<u8>) -> Result<bool> {
    let read = rest.take(CHUNK_BYTES as u64).read_to_end(buffer).map_err(|e| {
        Error::new(codes::CANNOT_READ_ALL_DATA, format!("Cannot read the data: {e}"))
    })?;
    Ok(read > 0)
}

/// All of an input that is read as a whole, `begun` and then `rest`; charged to `memory`.
pub(crate) fn read_whole(
    mut begun: Vec<u8>,
    rest: &mut impl Read,
    memory: &mut MemoryGuard,
) -> Result<Bytes> {
    loop {
        memory.grow_to(begun.len())?;
        if !read_chunk(rest, &mut begun)? {
            return Ok(begun.into());
        }
        if begun.len() > WHOLE_BYTES_MAX {
            return Err(Error::new(
                codes::MEMORY_LIMIT_EXCEEDED,
                format!("The data is longer than the maximum of {WHOLE_BYTES_MAX} bytes"),
            ));
        }
    }
}

pub(crate) fn parse_error(e: ParseError, format: &str) -> Error {
    Error::new(e.code, format!("{}: (while reading the data in format {format})", e.message))
}
