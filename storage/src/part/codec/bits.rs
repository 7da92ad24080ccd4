//! Bits into bytes and back, most significant first, and words of any width as `u64`.

use crate::part::wire::{Decoded, Malformed};

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    held_bits: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> BitWriter<'a> {
        BitWriter { out, held: 0, held_bits: 0 }
    }

    /// Appends the low `bits` (at most 64) of `value`.
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.put_short(value >> 32, bits - 32);
            self.put_short(value, 32);
        } else {
            self.put_short(value, bits);
        }
    }

    fn put_short(&mut self, value: u64, bits: u32) {
        if bits == 0 {
            return;
        }
        let value = value & (u64::MAX >> (64 - bits));
        self.held = self.held << bits | value;
        self.held_bits += bits;
        while self.held_bits >= 8 {
            self.held_bits -= 8;
            self.out.push((self.held >> self.held_bits) as u8);
        }
    }

    /// Fills the last byte up with zeros.
    pub(super) fn finish(self) {
        if self.held_bits > 0 {
            self.out.push((self.held << (8 - self.held_bits)) as u8);
        }
    }
}

/// Takes bits from bytes.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    held: u64,
    held_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, held: 0, held_bits: 0 }
    }

    /// The next `bits` (at most 64) bits.
    pub(super) fn take(&mut self, bits: u32) -> Decoded<u64> {
        if bits > 32 {
            let high = self.take_short(bits - 32)?;
            return Ok(high << 32 | self.take_short(32)?);
        }
        self.take_short(bits)
    }

    fn take_short(&mut self, bits: u32) -> Decoded<u64> {
        while self.held_bits < bits {
            let (first, rest) = self.bytes.split_first().ok_or(Malformed("more bits"))?;
            self.held = self.held << 8 | *first as u64;
            self.held_bits += 8;
            self.bytes = rest;
        }
        self.held_bits -= bits;
        if bits == 0 {
            return Ok(0);
        }
        Ok(self.held >> self.held_bits & (u64::MAX >> (64 - bits)))
    }

    /// The number of set bits before the next zero, up to `most`.
    pub(super) fn ones(&mut self, most: u32) -> Decoded<u32> {
        for ones in 0..most {
            if self.take_short(1)? == 0 {
                return Ok(ones);
            }
        }
        Ok(most)
    }

    /// What follows the bits must be less than a byte.
    pub(super) fn finish(self) -> Decoded<()> {
        if self.bytes.is_empty() && self.held_bits < 8 {
            Ok(())
        } else {
            Err(Malformed("the last bit"))
        }
    }
}

/// The little-endian word of up to 8 bytes.
pub(super) fn word(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(wide)
}

/// Writes the low bytes of `value`.
pub(super) fn put_word(value: u64, bytes: &mut [u8]) {
    bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
}

/// The low `bits` of `value` as a signed number.
pub(super) fn sign_extended(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

/// The width as a count of bytes, if it is that of a word of up to 64 bits.
pub(super) fn word_width(width: u8) -> Decoded<usize> {
    match width {
        1 | 2 | 4 | 8 => Ok(width as usize),
        _ => Err(Malformed("a width of words")),
    }
}
