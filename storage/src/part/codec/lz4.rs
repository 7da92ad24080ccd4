//! LZ4: one block, without its length in front.

use super::declare::{Argument, no_arguments};
use super::{Codec, Parameters, Role, Settled, lz4_block};
use crate::error::Result;
use crate::part::wire::{Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Lz4;

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "LZ4"
    }

    fn id(&self) -> u8 {
        1
    }

    fn role(&self) -> Role {
        Role::Generic
    }

    fn settle(&self, arguments: &[Argument], _leaf: &DataType) -> Result<Settled> {
        no_arguments(self.name(), arguments)
    }

    fn encode(&self, _parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&lz4_flex::block::compress(bytes));
    }

    fn decode(&self, _parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        decode(stored, out)
    }
}

/// Fills `out` from one LZ4 block.
pub(crate) fn decode(stored: &[u8], out: &mut [u8]) -> Decoded<()> {
    if lz4_block::decode(stored, out) { Ok(()) } else { Err(Malformed("an LZ4 block")) }
}

/// Fills the first `length` bytes of `out` from one LZ4 block that may have more; what is behind them may
/// be overwritten.
pub(crate) fn decode_head(stored: &[u8], out: &mut [u8], length: usize) -> Decoded<()> {
    match lz4_block::decode_head(stored, out, length) {
        true => Ok(()),
        false => Err(Malformed("an LZ4 block")),
    }
}

/// Appends the `length` bytes of one LZ4 block to `out`.
pub(crate) fn append(stored: &[u8], out: &mut Vec<u8>, length: usize) -> Decoded<()> {
    if lz4_block::append(stored, out, length) { Ok(()) } else { Err(Malformed("an LZ4 block")) }
}

/// Appends the bytes of two LZ4 blocks, each with its length, to `out`.
pub(crate) fn append_two(
    first: (&[u8], usize),
    second: (&[u8], usize),
    out: &mut Vec<u8>,
) -> Decoded<()> {
    match lz4_block::append_two(first, second, out) {
        true => Ok(()),
        false => Err(Malformed("an LZ4 block")),
    }
}
