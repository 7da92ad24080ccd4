//! Memory that decoding one file may take: short input can say that it becomes very much.

use pumphouse_query::error::codes;

use super::Read;
use crate::format::ParseError;
use crate::format::columns::BUFFERED_BYTES_MAX;

/// What is left.
pub struct Budget {
    left: usize,
}

impl Budget {
    pub fn new() -> Budget {
        Budget { left: BUFFERED_BYTES_MAX }
    }

    /// Takes `bytes` out, before they are allocated.
    pub fn charge(&mut self, bytes: usize) -> Read<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ParseError {
                code: codes::MEMORY_LIMIT_EXCEEDED,
                message: format!("orc: the file becomes more than {BUFFERED_BYTES_MAX} bytes"),
            }),
        }
    }

    /// Gives back what was only for a while.
    pub fn release(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes).min(BUFFERED_BYTES_MAX);
    }

    pub fn left(&self) -> usize {
        self.left
    }
}
