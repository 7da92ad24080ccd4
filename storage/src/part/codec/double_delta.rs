//! DoubleDelta: the first word, then how each difference differs from the one before, in as few bits
//! as a prefix code allows: `0` no change, `10` 7 bits, `110` 9, `1110` 12, `11110` 32, `11111` a word.
//! Bytes behind the last whole word come first, as they are.

use super::bits::{BitReader, BitWriter, put_word, sign_extended, word, word_width};
use super::declare::{Argument, at_most, numeric_width, width_argument};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Cursor, Decoded};
use crate::types::DataType;

pub(super) struct DoubleDelta;

/// Bits of the value behind each prefix.
const SIZES: [u32; 5] = [0, 7, 9, 12, 32];

impl Codec for DoubleDelta {
    fn name(&self) -> &'static str {
        "DoubleDelta"
    }

    fn id(&self) -> u8 {
        17
    }

    fn role(&self) -> Role {
        Role::Packing
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        at_most(self.name(), 1, arguments)?;
        if let Some(argument) = arguments.first() {
            width_argument(self.name(), "Argument value for DoubleDelta codec", argument)?;
        }
        numeric_width(self.name(), leaf)?;
        // The argument is not kept: the width is that of the type.
        Ok(Settled::plain())
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let width = (parameters.width as usize).clamp(1, 8);
        let bits = width as u32 * 8;
        let words = bytes.len() / width * width;
        out.extend_from_slice(&bytes[words..]);
        let mut words = bytes[..words].chunks_exact(width);
        let Some(first) = words.next() else { return };
        out.extend_from_slice(first);
        let (mut last, mut last_step) = (word(first), 0u64);
        let mut writer = BitWriter::new(out);
        for bytes in words {
            let value = word(bytes);
            let step = value.wrapping_sub(last);
            let turn = sign_extended(step.wrapping_sub(last_step), bits);
            put_turn(turn, bits, &mut writer);
            (last, last_step) = (value, step);
        }
        writer.finish();
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        let width = word_width(parameters.width)?;
        let bits = width as u32 * 8;
        let (words, rest) = out.split_at_mut(out.len() / width * width);
        let mut cursor = Cursor::new(stored);
        rest.copy_from_slice(cursor.take(rest.len())?);
        let mut words = words.chunks_exact_mut(width);
        let Some(first) = words.next() else {
            return BitReader::new(cursor.take(cursor.remaining())?).finish();
        };
        first.copy_from_slice(cursor.take(width)?);
        let (mut last, mut step) = (word(first), 0u64);
        let mut reader = BitReader::new(cursor.take(cursor.remaining())?);
        for bytes in words {
            step = step.wrapping_add(take_turn(bits, &mut reader)? as u64);
            last = last.wrapping_add(step);
            put_word(last, bytes);
        }
        reader.finish()
    }
}

fn put_turn(turn: i64, bits: u32, writer: &mut BitWriter<'_>) {
    let fits = |size: u32| turn >= -(1 << (size - 1)) && turn < 1 << (size - 1);
    match turn {
        0 => writer.put(0, 1),
        _ if fits(7) => {
            writer.put(0b10, 2);
            writer.put(turn as u64, 7);
        }
        _ if fits(9) => {
            writer.put(0b110, 3);
            writer.put(turn as u64, 9);
        }
        _ if fits(12) => {
            writer.put(0b1110, 4);
            writer.put(turn as u64, 12);
        }
        _ if fits(32) => {
            writer.put(0b11110, 5);
            writer.put(turn as u64, 32);
        }
        _ => {
            writer.put(0b11111, 5);
            writer.put(turn as u64, bits);
        }
    }
}

fn take_turn(bits: u32, reader: &mut BitReader<'_>) -> Decoded<i64> {
    let ones = reader.ones(5)?;
    let size = SIZES.get(ones as usize).copied().unwrap_or(bits);
    if size == 0 {
        return Ok(0);
    }
    Ok(sign_extended(reader.take(size)?, size))
}
