//! NONE: bytes as they are.

use super::declare::{Argument, no_arguments};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Decoded, Malformed};
use crate::types::DataType;

pub(super) struct None;

impl Codec for None {
    fn name(&self) -> &'static str {
        "NONE"
    }

    fn id(&self) -> u8 {
        0
    }

    fn role(&self) -> Role {
        Role::Nothing
    }

    fn settle(&self, arguments: &[Argument], _leaf: &DataType) -> Result<Settled> {
        no_arguments(self.name(), arguments)
    }

    fn encode(&self, _parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
    }

    fn decode(&self, _parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        if stored.len() != out.len() {
            return Err(Malformed("bytes as they are"));
        }
        out.copy_from_slice(stored);
        Ok(())
    }
}
