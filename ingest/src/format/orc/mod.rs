//! ORC, read and written by own code (`docs/decisions` says why).
//!
//! `wire` is the protobuf of the file's directory and `directory` what it says; `packing` the compressed
//! chunks; `bytes` and `integers` the run-length encodings, `pack_integers` the way back; `types` ORC's
//! types and ours; `decode` and `encode` columns of a stripe; `reader` and `writer` the format. Rules:
//! everything a file says is checked against the bytes that are there and against one budget of memory;
//! damage is an error. Left out: encryption, LZO, bloom filters and row indexes (not needed to read).

mod budget;
mod bytes;
mod decode;
mod directory;
mod encode;
mod integers;
mod pack_integers;
mod packing;
mod reader;
mod types;
mod wire;
mod writer;

pub use reader::{OrcReader, infer};
pub use writer::OrcWriter;

use pumphouse_query::error::codes;

use super::ParseError;

type Read<T> = Result<T, ParseError>;

#[cold]
fn bad(message: impl std::fmt::Display) -> ParseError {
    ParseError { code: codes::INCORRECT_DATA, message: format!("orc: {message}") }
}

#[cfg(test)]
mod tests;
