//! The Native format: blocks of columns, as clients and servers exchange them.
//!
//! For HTTP it is a format like the others ([`NativeReader`], [`NativeWriter`]); the native TCP protocol
//! uses the codec itself, which knows nothing of files or sockets:
//! - [`write_block`] appends one block at a protocol revision; of 0 rows, too (the header block and the
//!   empty block that ends an INSERT, [`Block::default`], are such);
//! - [`read_block`] reads one block from the beginning of bytes: `Ok(None)` says that they end within
//!   it (come again with more), else the block and the bytes it took.
//!
//! Revision 0 is plain (HTTP input, files). From 1 on a block begins with its info, from 54454 on each
//! column says that its serialization is the plain one, below 54405 LowCardinality goes as its inner
//! type. Revisions up to [`REVISION_MAX`] are right. Lengths are believed as far as the input goes.
//! Leaves out sparse columns (never written, refused when read).

mod append;
mod gather;
mod read;
mod self_typed;
mod stream;
mod write;

pub use read::read_block;
pub use self_typed::Mode;
pub use stream::{NativeReader, NativeWriter};
pub use write::{write_block, write_block_as};

/// The newest revision whose block layout this codec writes.
pub const REVISION_MAX: u64 = 54_479;
/// Blocks begin with their info from here on.
const REVISION_BLOCK_INFO: u64 = 1;
/// A column of DateTime names its zone from here on.
const REVISION_DATE_TIME_ZONE: u64 = 54_337;
/// LowCardinality goes as such from here on (and at 0).
const REVISION_LOW_CARDINALITY: u64 = 54_405;
/// A byte per column tells of custom serialization from here on.
const REVISION_CUSTOM_SERIALIZATION: u64 = 54_454;

/// Counts of Dynamic and JSON stand once, not twice, from here on.
const REVISION_ONE_COUNT: u64 = 54_473;

/// The key version that a LowCardinality column begins with.
const SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS: u64 = 1;
const FLAG_GLOBAL_DICTIONARY: u64 = 0x100;
const FLAG_ADDITIONAL_KEYS: u64 = 0x200;
const FLAG_UPDATE_DICTIONARY: u64 = 0x400;

/// What a row of a type without values takes.
const FILLER: u8 = b'0';

#[cfg(test)]
mod tests;
