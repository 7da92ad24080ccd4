//! Codecs: what `CODEC(...)` names, one file each behind the trait [`Codec`] and one line in
//! [`REGISTRY`]. A codec maps bytes to bytes; a chain applies one after the other.
//!
//! Reads top-down: [`declare`] (text to a settled chain, with ClickHouse's rules and error codes) →
//! [`ColumnCodec`] (what the encoder asks for) → [`chain`] (bytes through all stages and back).
//!
//! Rules: what a codec wrote it reads back exactly, whatever the bytes were; decoding arbitrary bytes
//! is an error or some bytes, never a panic, and fills exactly what the caller allocated. Ids are part
//! of the file format and never used anew.

mod bits;
pub(crate) mod chain;
pub(crate) mod declare;
mod delta;
mod double_delta;
mod fpc;
mod gcd;
mod gorilla;
pub(crate) mod lz4;
mod lz4_block;
pub(crate) mod lz4_compress;
pub(crate) mod lz4hc;
mod none;
mod t64;
#[cfg(test)]
mod tests;
pub(crate) mod zstd;

pub use declare::{settle, settle_default};

use super::wire::Decoded;
use crate::error::Result;
use crate::types::DataType;
use declare::Argument;

/// What a codec does in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Leaves the bytes as they are.
    Nothing,
    /// Compresses bytes of any kind; nothing sensible follows it.
    Generic,
    /// Prepares words for what follows; as long as before.
    Transform,
    /// Makes words shorter by itself.
    Packing,
    /// A packing for series of floats.
    FloatPacking,
}

/// What a codec needs to know to work on a payload. Width and level are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Bytes of a word: 1, 2, 4, 8, 16 or 32.
    pub(crate) width: u8,
    /// What else the codec was told, as its own file says.
    pub(crate) level: i8,
    /// Whether words are signed; only for encoding.
    pub(crate) signed: bool,
}

/// A way to write bytes that can be read back.
pub(crate) trait Codec: Sync {
    /// Its name in `CODEC(...)`.
    fn name(&self) -> &'static str;
    /// Its number in files.
    fn id(&self) -> u8;
    fn role(&self) -> Role;
    /// Whether it works on words of the column's type, not on bytes.
    fn typed(&self) -> bool {
        self.role() != Role::Generic && self.role() != Role::Nothing
    }
    /// Checks the arguments for values of `leaf`; gives them as they are written in a definition, and
    /// as parameters (`width` 0: that of the values).
    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled>;
    /// Appends `bytes` encoded to `out`.
    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>);
    /// Fills `out` from what `encode` wrote for as many bytes.
    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()>;
}

/// A codec's arguments after they were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// With parentheses, or empty.
    pub(crate) text: String,
    pub(crate) width: u8,
    pub(crate) level: i8,
}

impl Settled {
    fn plain() -> Settled {
        Settled { text: String::new(), width: 0, level: 0 }
    }
}

/// All codecs. `Default` is a word of the declaration, not a codec.
const REGISTRY: &[&dyn Codec] = &[
    &none::None,
    &lz4::Lz4,
    &lz4hc::Lz4Hc,
    &zstd::Zstd,
    &delta::Delta,
    &double_delta::DoubleDelta,
    &gorilla::Gorilla,
    &t64::T64,
    &fpc::Fpc,
    &gcd::Gcd,
];

/// More than any encoder adds to `bytes` bytes.
pub(crate) fn encoded_bytes_max(bytes: usize) -> usize {
    bytes.saturating_mul(2).saturating_add(1024)
}

fn by_name(name: &str) -> Option<&'static dyn Codec> {
    REGISTRY.iter().copied().find(|c| c.name() == name)
}

fn by_id(id: u8) -> Option<&'static dyn Codec> {
    REGISTRY.iter().copied().find(|c| c.id() == id)
}

/// A codec and its arguments in a column's chain.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) codec: &'static dyn Codec,
    /// 0: that of the values.
    pub(crate) width: u8,
    pub(crate) level: i8,
}

/// How bytes of any kind are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generic {
    Nothing,
    Lz4,
    Lz4Hc(i8),
    Zstd(i8),
}

impl Generic {
    /// As parts record it: which, and its level.
    pub(crate) fn stored(self) -> [u8; 2] {
        match self {
            Generic::Nothing => [0, 0],
            Generic::Lz4 => [1, 0],
            Generic::Lz4Hc(level) => [2, level as u8],
            Generic::Zstd(level) => [3, level as u8],
        }
    }
}

/// The codec of a column as its definition says it.
#[derive(Clone)]
pub(crate) struct ColumnCodec {
    /// As in the definition; empty if nothing was said.
    pub(crate) text: String,
    /// Applied to the words of numbers instead of the encodings that the writer would choose; empty
    /// unless a codec for words is named.
    pub(crate) stages: Vec<Stage>,
    /// Applied to all other bytes.
    pub(crate) generic: Generic,
}

impl Default for ColumnCodec {
    fn default() -> ColumnCodec {
        ColumnCodec { text: String::new(), stages: vec![], generic: Generic::Lz4 }
    }
}
