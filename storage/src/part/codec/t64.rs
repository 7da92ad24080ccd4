//! T64: distances from the least word, cut to the bits that the largest needs, 64 at a time with their
//! bits transposed. `level` 0 keeps whole bytes together (better for what follows), 1 transposes every
//! bit.
//!
//! Layout: bytes behind the last whole word; the least word; `u8` bits; per 64 words (the last filled up
//! with zeros): the planes from the lowest, a plane of a whole byte 64 bytes, of a bit 8 bytes.

use super::bits::{put_word, word, word_width};
use super::declare::{Argument, refuse};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::layout::{Layout, Order};
use crate::part::wire::{Cursor, Decoded, Malformed};
use crate::types::DataType;

pub(super) struct T64;

const BYTES: i8 = 0;
const BITS: i8 = 1;

impl Codec for T64 {
    fn name(&self) -> &'static str {
        "T64"
    }

    fn id(&self) -> u8 {
        19
    }

    fn role(&self) -> Role {
        Role::Packing
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        let settled = match arguments {
            [] => Settled::plain(),
            [Argument::Text(text)] if text == "bit" => {
                Settled { text: "('bit')".into(), width: 0, level: BITS }
            }
            [Argument::Text(text)] if text == "byte" => Settled::plain(),
            [Argument::Text(text)] => {
                return Err(refuse(433, format!("Wrong modification for T64: {text}")));
            }
            [other] => {
                let has = other.kind();
                return Err(refuse(170, format!("Bad get: has {has}, requested String")));
            }
            more => {
                let given = more.len();
                return Err(refuse(
                    431,
                    format!("T64 support zero or one parameter, given {given}"),
                ));
            }
        };
        match Layout::of(leaf) {
            Layout::Number { width: 1..=8, order: Order::Signed | Order::Unsigned } => Ok(settled),
            _ => Err(refuse(431, format!("T64 codec is not supported for specified type {leaf}"))),
        }
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let width = (parameters.width as usize).clamp(1, 8);
        let (words, rest) = bytes.split_at(bytes.len() / width * width);
        out.extend_from_slice(rest);
        // The top bit flipped makes signed words compare as unsigned ones.
        let flip = if parameters.signed { 1u64 << (width * 8 - 1) } else { 0 };
        let ranks = || words.chunks_exact(width).map(|bytes| word(bytes) ^ flip);
        let least = ranks().min().unwrap_or(flip);
        let span = ranks().max().unwrap_or(flip) - least;
        let bits = 64 - span.leading_zeros();
        out.extend_from_slice(&(least ^ flip).to_le_bytes()[..width]);
        out.push(bits as u8);
        for group in words.chunks(64 * width) {
            let mut matrix = [0u64; 64];
            for (slot, bytes) in matrix.iter_mut().zip(group.chunks_exact(width)) {
                *slot = (word(bytes) ^ flip) - least;
            }
            put_planes(&mut matrix, bits, whole_bytes(parameters.level, bits), out);
        }
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        let width = word_width(parameters.width)?;
        let (words, rest) = out.split_at_mut(out.len() / width * width);
        let mut cursor = Cursor::new(stored);
        rest.copy_from_slice(cursor.take(rest.len())?);
        let least = word(cursor.take(width)?);
        let bits = cursor.u8()? as u32;
        if bits > width as u32 * 8 {
            return Err(Malformed("bits of a word"));
        }
        for group in words.chunks_mut(64 * width) {
            let matrix = take_planes(&mut cursor, bits, whole_bytes(parameters.level, bits))?;
            for (bytes, distance) in group.chunks_exact_mut(width).zip(matrix) {
                put_word(least.wrapping_add(distance), bytes);
            }
        }
        if cursor.remaining() == 0 { Ok(()) } else { Err(Malformed("the last plane")) }
    }
}

/// How many of the lowest bytes are planes of their own.
fn whole_bytes(level: i8, bits: u32) -> usize {
    if level == BYTES { bits as usize / 8 } else { 0 }
}

fn put_planes(matrix: &mut [u64; 64], bits: u32, whole: usize, out: &mut Vec<u8>) {
    for byte in 0..whole {
        out.extend(matrix.iter().map(|value| (value >> (8 * byte)) as u8));
    }
    if bits as usize > whole * 8 {
        transpose(matrix);
        for plane in &matrix[whole * 8..bits as usize] {
            out.extend_from_slice(&plane.to_le_bytes());
        }
    }
}

fn take_planes(cursor: &mut Cursor<'_>, bits: u32, whole: usize) -> Decoded<[u64; 64]> {
    let mut low = [0u64; 64];
    for byte in 0..whole {
        for (value, b) in low.iter_mut().zip(cursor.take(64)?) {
            *value |= (*b as u64) << (8 * byte);
        }
    }
    if bits as usize > whole * 8 {
        let mut matrix = [0u64; 64];
        for plane in &mut matrix[whole * 8..bits as usize] {
            *plane = cursor.u64()?;
        }
        transpose(&mut matrix);
        low.iter_mut().zip(matrix).for_each(|(value, high)| *value |= high);
    }
    Ok(low)
}

/// Bit j of word i becomes bit i of word j.
fn transpose(matrix: &mut [u64; 64]) {
    let (mut step, mut mask) = (32, 0x0000_0000_FFFF_FFFFu64);
    while step > 0 {
        let mut row = 0;
        while row < 64 {
            let swap = (matrix[row] >> step ^ matrix[row + step]) & mask;
            matrix[row + step] ^= swap;
            matrix[row] ^= swap << step;
            row = (row + step + 1) & !step;
        }
        step >>= 1;
        mask ^= mask << step;
    }
}
