//! LZ4: one block, without its length in front.

use super::declare::{Argument, no_arguments};
use super::{Codec, Parameters, Role, Settled};
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
    match lz4_flex::block::decompress_into(stored, out) {
        Ok(written) if written == out.len() => Ok(()),
        _ => Err(Malformed("an LZ4 block")),
    }
}
