//! Words of few bits, one behind the other: how narrow numbers and codes are stored that LZ4 would not make
//! much smaller. A word of 8 bytes of the result is made, or taken apart, by one instruction where the
//! processor has it.
//!
//! The bytes: `u8` width of a word in memory (1, 2, 4 or 8), `u8` bits of each, the words' lowest bits
//! from the lowest bit of the first byte on, and [`ROOM`] zeros, so that eight bytes can be read at any word.
//!
//! The only unsafe code is the call of the forms for processors with BMI2, behind the check that this is one;
//! what they do the safe ones do, too.

use super::wire::{Decoded, Malformed};

const HEAD: usize = 2;
const ROOM: usize = 8;

/// How words are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    width: usize,
    bits: u32,
}

impl Packing {
    /// Words of `width` bytes of which only the low `bits` are used; None if they cannot be packed.
    pub(super) fn new(width: usize, bits: u32) -> Option<Packing> {
        // Eight bytes read at any bit hold 57 bits for sure, and must hold all lanes of a word.
        let most = match width {
            1 => 7,
            2 => 15,
            4 => 28,
            8 => 56,
            _ => 0,
        };
        (1..=most).contains(&bits).then_some(Packing { width, bits })
    }

    /// Bytes that `words` words take.
    pub(super) fn stored(self, words: usize) -> usize {
        HEAD + (words * self.bits as usize).div_ceil(8) + ROOM
    }

    /// Words that lie in 8 bytes.
    fn lanes(self) -> usize {
        8 / self.width
    }

    /// The used bits of all lanes.
    fn mask(self) -> u64 {
        let lane = (1u64 << self.bits) - 1;
        (0..self.lanes()).fold(0, |mask, i| mask | lane << (i * self.width * 8))
    }

    /// Puts words, the bytes of which are given, in place of what is in `out`.
    pub(super) fn pack(self, bytes: &[u8], out: &mut Vec<u8>) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { x86::pack(self, bytes, out) };
        }
        self.pack_by(bytes, out, |word, _| self.gathered(word));
    }

    /// Fills `out` with the first words of `stored`, which are `length` bytes in all.
    pub(super) fn unpack(stored: &[u8], length: usize, out: &mut [u8]) -> Decoded<()> {
        let [width, bits, ..] = stored else { return Err(Malformed("packed words")) };
        let packing =
            Packing::new(*width as usize, *bits as u32).ok_or(Malformed("packed words"))?;
        let whole = |bytes: usize| bytes.is_multiple_of(packing.width);
        let fits = whole(length) && whole(out.len()) && out.len() <= length;
        if !fits || stored.len() != packing.stored(length / packing.width) {
            return Err(Malformed("packed words"));
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi2") {
            // SAFETY: the processor has what the function was compiled for.
            unsafe { x86::unpack(packing, stored, out) };
            return Ok(());
        }
        packing.unpack_by(stored, out, |word, _| packing.spread(word));
        Ok(())
    }

    #[inline(always)]
    fn pack_by(self, bytes: &[u8], out: &mut Vec<u8>, gathered: impl Fn(u64, u64) -> u64) {
        let mask = self.mask();
        let step = self.lanes() as u32 * self.bits;
        out.clear();
        out.reserve(self.stored(bytes.len() / self.width) + ROOM);
        out.extend([self.width as u8, self.bits as u8]);
        let (mut held, mut held_bits) = (0u64, 0u32);
        let (eights, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let rest_bits = (rest.len() / self.width) as u32 * self.bits;
        for (eight, bits) in eights.iter().map(|e| (e, step)).chain([(&last, rest_bits)]) {
            let word = gathered(u64::from_le_bytes(*eight), mask);
            held |= word << held_bits;
            if held_bits + bits >= 64 {
                out.extend(held.to_le_bytes());
                held = word.checked_shr(64 - held_bits).unwrap_or(0);
                held_bits = held_bits + bits - 64;
            } else {
                held_bits += bits;
            }
        }
        out.extend(&held.to_le_bytes()[..(held_bits as usize).div_ceil(8)]);
        out.extend([0; ROOM]);
    }

    #[inline(always)]
    fn unpack_by(self, stored: &[u8], out: &mut [u8], spread: impl Fn(u64, u64) -> u64) {
        let mask = self.mask();
        let step = self.lanes() * self.bits as usize;
        let packed = &stored[HEAD..];
        let word = |i: usize| {
            let bit = i * step;
            let eight = packed[bit / 8..].first_chunk::<8>().copied().unwrap_or_default();
            spread(u64::from_le_bytes(eight) >> (bit % 8), mask)
        };
        let (eights, rest) = out.as_chunks_mut::<8>();
        for (i, eight) in eights.iter_mut().enumerate() {
            *eight = word(i).to_le_bytes();
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&word(eights.len()).to_le_bytes()[..rest.len()]);
        }
    }

    /// The low bits of `word`, lane by lane.
    fn spread(self, word: u64) -> u64 {
        let lane = (1u64 << self.bits) - 1;
        (0..self.lanes()).fold(0, |all, i| {
            all | (word >> (i * self.bits as usize) & lane) << (i * self.width * 8)
        })
    }

    /// The used bits of the lanes of `word`, side by side.
    fn gathered(self, word: u64) -> u64 {
        let lane = (1u64 << self.bits) - 1;
        (0..self.lanes()).fold(0, |all, i| {
            all | (word >> (i * self.width * 8) & lane) << (i * self.bits as usize)
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_pdep_u64, _pext_u64};

    use super::Packing;

    #[target_feature(enable = "bmi2")]
    pub(super) fn pack(packing: Packing, bytes: &[u8], out: &mut Vec<u8>) {
        packing.pack_by(bytes, out, |word, mask| _pext_u64(word, mask));
    }

    #[target_feature(enable = "bmi2")]
    pub(super) fn unpack(packing: Packing, stored: &[u8], out: &mut [u8]) {
        packing.unpack_by(stored, out, |word, mask| _pdep_u64(word, mask));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_both_forms_agree() {
        let mut seed = 9u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 7
        };
        for width in [1usize, 2, 4, 8] {
            for bits in 1..=63 {
                let Some(packing) = Packing::new(width, bits) else { continue };
                for words in [0usize, 1, 2, 7, 8, 9, 63, 64, 65, 1000] {
                    let bytes: Vec<u8> = (0..words)
                        .flat_map(|_| (next() & ((1 << bits) - 1)).to_le_bytes()[..width].to_vec())
                        .collect();
                    let (mut stored, mut slow) = (vec![3; 5], vec![]);
                    packing.pack(&bytes, &mut stored);
                    packing.pack_by(&bytes, &mut slow, |word, _| packing.gathered(word));
                    assert_eq!(stored, slow, "{width} {bits} {words}");
                    assert_eq!(stored.len(), packing.stored(words));
                    for head in [words, words / 2] {
                        let (mut out, mut slow) = (vec![7; head * width], vec![9; head * width]);
                        Packing::unpack(&stored, bytes.len(), &mut out).unwrap();
                        packing.unpack_by(&stored, &mut slow, |word, _| packing.spread(word));
                        assert_eq!(out, bytes[..head * width], "{width} {bits} {words}");
                        assert_eq!(out, slow);
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let packing = Packing::new(2, 5).unwrap();
        let mut stored = vec![];
        packing.pack(&[1, 0, 2, 0, 3, 0], &mut stored);
        let mut out = [0; 8];
        assert!(Packing::unpack(&stored, 6, &mut out[..6]).is_ok());
        assert!(Packing::unpack(&stored, 6, &mut out[..8]).is_err());
        assert!(Packing::unpack(&stored, 6, &mut out[..5]).is_err());
        assert!(Packing::unpack(&stored, 40, &mut out[..6]).is_err());
        assert!(Packing::unpack(&stored[..4], 6, &mut out[..6]).is_err());
        assert!(Packing::unpack(&[], 0, &mut []).is_err());
        for (width, bits) in [(2, 0), (2, 16), (3, 5), (0, 1), (1, 8), (4, 29), (8, 57), (16, 3)] {
            stored[..2].copy_from_slice(&[width, bits]);
            assert!(Packing::unpack(&stored, 6, &mut out[..6]).is_err());
        }
    }
}
