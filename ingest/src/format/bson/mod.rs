//! BSONEachRow: documents one after the other, a row each.
//!
//! `write` and `read` are the two ways, `infer` finds the columns of documents. What BSON has no type for is
//! bytes. Every document says its length; all that stands in it is checked against that.

mod infer;
mod read;
mod write;

pub use infer::infer;
pub use read::BsonLayout;
pub(super) use read::put_number;
pub use write::BsonWriter;

pub(super) const DOUBLE: u8 = 0x01;
pub(super) const STRING: u8 = 0x02;
pub(super) const DOCUMENT: u8 = 0x03;
pub(super) const ARRAY: u8 = 0x04;
pub(super) const BINARY: u8 = 0x05;
pub(super) const OBJECT_ID: u8 = 0x07;
pub(super) const BOOL: u8 = 0x08;
pub(super) const DATE_TIME: u8 = 0x09;
pub(super) const NULL: u8 = 0x0a;
pub(super) const CODE: u8 = 0x0d;
pub(super) const SYMBOL: u8 = 0x0e;
pub(super) const INT32: u8 = 0x10;
pub(super) const INT64: u8 = 0x12;

/// Kinds of binaries: plain, the old plain one with a length of its own, the old and the new UUID.
pub(super) const PLAIN: u8 = 0x00;
pub(super) const PLAIN_OLD: u8 = 0x02;
pub(super) const UUID_OLD: u8 = 0x03;
pub(super) const UUID: u8 = 0x04;

/// Documents nest no deeper than this.
pub(super) const DEPTH_MAX: usize = 100;

/// The length and the byte behind the last field.
pub(super) const DOCUMENT_BYTES_MIN: usize = 5;
