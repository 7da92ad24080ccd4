//! Avro: container files (`Avro`) and messages whose schema a registry holds (`AvroConfluent`).
//!
//! `schema` is the writer's schema as read or as made; `plan` matches it once with the wanted columns;
//! `decode` runs the plan straight into column builders; `encode` is the way back; `container` and
//! `confluent` are the two framings. Left out: reader's schemas other than the table's columns, and
//! unions of more than one type besides null (read only into the branch's type when there is one).

mod confluent;
mod container;
mod decode;
mod encode;
mod infer;
mod plan;
mod schema;

pub use confluent::{ConfluentReader, ConfluentWriter};
pub use container::{AvroReader, AvroWriter};
pub use infer::infer;

use super::ParseError;

/// ClickHouse's code of what the Avro library refuses.
pub(super) const AVRO_EXCEPTION: u32 = 748;

pub(super) fn broken(message: impl Into<String>) -> ParseError {
    ParseError { code: AVRO_EXCEPTION, message: format!("avro: {}", message.into()) }
}

#[cfg(test)]
mod tests;
