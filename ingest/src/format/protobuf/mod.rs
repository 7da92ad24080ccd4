//! Protocol buffers: `Protobuf` (each row behind its length), `ProtobufSingle` (one row and nothing else)
//! and `ProtobufList` (rows are the repeated field of an envelope).
//!
//! `proto_file` reads `.proto` texts into the descriptors of `schema`, which are made from the columns when
//! there is no `format_schema`; `plan` matches fields and columns; `decode` and `encode` are the two ways, `flat` is a
//! quick one for plain columns;
//! `framing` the three framings. Left out: groups, extensions, flattened wrappers (refused).

mod decode;
mod encode;
mod flat;
mod framing;
mod plan;
mod proto_file;
mod schema;

pub use framing::{Framing, ProtobufReader, ProtobufWriter};

use super::ParseError;

pub(super) const CANNOT_PARSE_SCHEMA: u32 = 434;
pub(super) const BAD_CAST: u32 = 436;
pub(super) const FIELD_NOT_REPEATED: u32 = 437;
pub(super) const NO_MATCH: u32 = 443;
pub(super) const INCOMPATIBLE: u32 = 570;

pub(super) fn bad_cast(message: impl Into<String>) -> ParseError {
    ParseError { code: BAD_CAST, message: message.into() }
}

#[cfg(test)]
mod tests;
