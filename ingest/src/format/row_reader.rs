//! Readers of rows that lie one behind the other: what is the same for all that append to a `RowBuilder`.
//!
//! A message gives all of its rows or none, and so does a piece of a stream. A stream of which a piece held no
//! whole row is not looked at again before there is twice as much of it.

use pumphouse_query::error::Result;

use super::columns::RowBuilder;
use super::json_each_row::check_room;
use super::{Evaluator, FormatReader, ParseError, ParsedRows, check_row_bytes};

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece {
    /// A whole message.
    Message,
    /// The next bytes of a stream: as many whole rows as they hold, up to about so many.
    Stream { last: bool, rows_max: usize },
}

impl Piece {
    pub fn is_message(self) -> bool {
        matches!(self, Piece::Message)
    }

    /// Whether nothing follows.
    pub fn is_last(self) -> bool {
        matches!(self, Piece::Message | Piece::Stream { last: true, .. })
    }

    pub fn rows_max(self) -> usize {
        match self {
            Piece::Message => usize::MAX,
            Piece::Stream { rows_max, .. } => rows_max,
        }
    }
}

/// A reader of one format; [`FormatReader`] is made of it.
pub(super) trait RowReader: Send {
    fn built(&self) -> &RowBuilder;
    fn builder(&mut self) -> &mut RowBuilder;

    /// Appends rows of `input` and returns the bytes they took. On error it need not undo anything of the
    /// builder.
    fn read(&mut self, input: &[u8], piece: Piece) -> std::result::Result<usize, ParseError>;

    /// As of [`FormatReader`].
    fn use_evaluator(&mut self, _evaluator: Evaluator) {}
}

/// Where a reader's rows are: in its field `rows`.
macro_rules! rows_are_built_here {
    () => {
        fn built(&self) -> &RowBuilder {
            &self.rows
        }

        fn builder(&mut self) -> &mut RowBuilder {
            &mut self.rows
        }
    };
}
pub(super) use rows_are_built_here;

impl<R: RowReader> FormatReader for R {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        check_room(self.built(), message.len())?;
        let before = self.built().rows();
        match self.read(message, Piece::Message) {
            Ok(_) => {
                self.builder().add_bytes(message.len());
                Ok(self.built().rows() - before)
            }
            Err(e) => {
                self.builder().rollback(before);
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
        if !last && input.len() < self.built().retry_bytes {
            return Ok(0);
        }
        check_row_bytes(input, last)?;
        let before = self.built().rows();
        match self.read(input, Piece::Stream { last, rows_max }) {
            Ok(used) => {
                let waiting = used == 0 && self.built().rows() == before;
                let builder = self.builder();
                builder.add_bytes(used);
                builder.retry_bytes = if waiting { input.len().saturating_mul(2) } else { 0 };
                Ok(used)
            }
            Err(e) => {
                self.builder().rollback(before);
                Err(e)
            }
        }
    }

    fn announce(&mut self, bytes: usize) {
        self.builder().announce(bytes);
    }

    fn set_evaluator(&mut self, evaluator: Evaluator) {
        self.use_evaluator(evaluator);
    }

    fn rows(&self) -> usize {
        self.built().rows()
    }

    fn bytes(&self) -> usize {
        self.built().bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.builder().take()
    }
}
