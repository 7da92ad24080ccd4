//! Delta(n): each word of n bytes minus the one before, wrapping. Bytes behind the last whole word
//! stay as they are.

use super::declare::{Argument, at_most, fixed_width, width_argument};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Delta;

impl Codec for Delta {
    fn name(&self) -> &'static str {
        "Delta"
    }

    fn id(&self) -> u8 {
        16
    }

    fn role(&self) -> Role {
        Role::Transform
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        at_most(self.name(), 1, arguments)?;
        let width = match arguments.first() {
            Some(argument) => width_argument(self.name(), "Delta value for delta codec", argument)?,
            None => fixed_width(self.name(), leaf)?,
        };
        Ok(Settled { text: format!("({width})"), width, level: 0 })
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let first = out.len();
        out.extend_from_slice(bytes);
        match parameters.width {
            2 => differences(&mut out[first..], u16::from_le_bytes, u16::wrapping_sub, |v| {
                v.to_le_bytes()
            }),
            4 => differences(&mut out[first..], u32::from_le_bytes, u32::wrapping_sub, |v| {
                v.to_le_bytes()
            }),
            8 => differences(&mut out[first..], u64::from_le_bytes, u64::wrapping_sub, |v| {
                v.to_le_bytes()
            }),
            _ => differences(&mut out[first..], u8::from_le_bytes, u8::wrapping_sub, |v| {
                v.to_le_bytes()
            }),
        }
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        if stored.len() != out.len() {
            return Err(Malformed("as many differences as words"));
        }
        out.copy_from_slice(stored);
        match parameters.width {
            1 => differences_back(out, u8::from_le_bytes, u8::wrapping_add, |v| v.to_le_bytes()),
            2 => differences_back(out, u16::from_le_bytes, u16::wrapping_add, |v| v.to_le_bytes()),
            4 => differences_back(out, u32::from_le_bytes, u32::wrapping_add, |v| v.to_le_bytes()),
            8 => differences_back(out, u64::from_le_bytes, u64::wrapping_add, |v| v.to_le_bytes()),
            _ => return Err(Malformed("a width of differences")),
        }
        Ok(())
    }
}

fn differences<const N: usize, T: Copy + Default>(
    bytes: &mut [u8],
    get: impl Fn([u8; N]) -> T,
    minus: impl Fn(T, T) -> T,
    put: impl Fn(T) -> [u8; N],
) {
    let mut last = T::default();
    for word in bytes.as_chunks_mut::<N>().0 {
        let value = get(*word);
        *word = put(minus(value, last));
        last = value;
    }
}

fn differences_back<const N: usize, T: Copy + Default>(
    bytes: &mut [u8],
    get: impl Fn([u8; N]) -> T,
    plus: impl Fn(T, T) -> T,
    put: impl Fn(T) -> [u8; N],
) {
    let mut last = T::default();
    for word in bytes.as_chunks_mut::<N>().0 {
        last = plus(last, get(*word));
        *word = put(last);
    }
}
