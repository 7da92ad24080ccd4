//! Readers whose rows are told apart one by one: a layout says how a row is read, this file does the
//! rest (streams cut anywhere, messages taken back whole, bounds).
//!
//! In a stream that goes on an error may be a cut: the rest is asked for again with more behind it, so
//! that the error comes when the stream has ended.

use pumphouse_query::error::codes;

use super::ParseError;
use super::columns::RowBuilder;
use super::fields::row_error;
use super::json_each_row::full;
use super::row_reader::{Piece, RowReader, rows_are_built_here};

pub type Parsed<T> = std::result::Result<T, ParseError>;

/// How rows lie in the input.
pub trait RowLayout: Send {
    /// Called at the beginning of each message or stream: where the first row is; None to see more.
    fn begin(&mut self, _rows: &RowBuilder, _bytes: &[u8], _last: bool) -> Parsed<Option<usize>> {
        Ok(Some(0))
    }

    /// Reads what stands at `at` and says where the next begins; None to see more.
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>>;
}

pub struct LayoutReader<L> {
    rows: RowBuilder,
    layout: L,
    begun: bool,
}

impl<L: RowLayout> LayoutReader<L> {
    pub fn new(rows: RowBuilder, layout: L) -> LayoutReader<L> {
        LayoutReader { rows, layout, begun: false }
    }

    fn read_rows(&mut self, bytes: &[u8], last: bool, rows_max: usize) -> Parsed<usize> {
        let mut at = 0;
        if !self.begun {
            match self.layout.begin(&self.rows, bytes, last) {
                Ok(Some(end)) => at = end,
                Ok(None) if last => return Err(cut(bytes, 0, 0)),
                Err(e) if last => return Err(e),
                _ => return Ok(0),
            }
            self.begun = true;
        }
        let first = self.rows.rows();
        while at < bytes.len() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                return Err(full(&self.rows));
            }
            let before = self.rows.rows();
            let row = before - first;
            match self.layout.row(&mut self.rows, bytes, at, row, last) {
                Ok(Some(end)) if end > at => at = end,
                Ok(Some(_)) | Ok(None) if last => return Err(cut(bytes, at, row)),
                Err(e) if last => return Err(e),
                _ => {
                    self.rows.rollback(before);
                    break;
                }
            }
        }
        Ok(at)
    }
}

#[cold]
fn cut(bytes: &[u8], at: usize, row: usize) -> ParseError {
    row_error(codes::CANNOT_READ_ALL_DATA, "Cannot read all data of a row", bytes, at, row)
}

impl<L: RowLayout> RowReader for LayoutReader<L> {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> Parsed<usize> {
        if piece.is_message() {
            self.begun = false;
        }
        self.read_rows(input, piece.is_last(), piece.rows_max())
    }
}
