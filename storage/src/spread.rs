//! Flags of chosen rows, and flags of all rows: how many there are, and from the ones to the others, a word of 64
//! at a time.
//!
//! The only unsafe code is the call of functions for processors with BMI2 or POPCNT, behind the check that this
//! is one; what they do the safe ones do, too.

use arrow_buffer::{BooleanBuffer, Buffer};

/// `flags`, one per true of `chosen`, at the places of those; false elsewhere.
pub fn deposit(chosen: &BooleanBuffer, flags: &BooleanBuffer) -> BooleanBuffer {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi2") && std::arch::is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { x86::deposit(chosen, flags) };
    }
    deposit_by(chosen, flags, &deposited)
}

/// The flags of `all` at the places of the trues of `chosen`.
pub fn extract(chosen: &BooleanBuffer, all: &BooleanBuffer) -> BooleanBuffer {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi2") && std::arch::is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { x86::extract(chosen, all) };
    }
    extract_by(chosen, all, &extracted)
}

/// How many flags are set. Without the processor's own counting, which not every x86-64 has, it takes ten times as
/// long.
pub fn count_flags(flags: &BooleanBuffer) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { x86::count_flags(flags) };
    }
    count_by(flags)
}

#[inline(always)]
fn count_by(flags: &BooleanBuffer) -> usize {
    flags.bit_chunks().iter_padded().map(|word| word.count_ones() as usize).sum()
}

#[inline(always)]
fn deposit_by(
    chosen: &BooleanBuffer,
    flags: &BooleanBuffer,
    deposited: &impl Fn(u64, u64) -> u64,
) -> BooleanBuffer {
    let words = chosen.len().div_ceil(64);
    let mut out: Vec<u64> = Vec::with_capacity(words);
    let chunks = flags.bit_chunks();
    let mut source = Bits { words: chunks.iter_padded(), word: 0, left: 0 };
    for word in chosen.bit_chunks().iter_padded().take(words) {
        let own = source.next(word.count_ones() as usize);
        out.push(if own == 0 { 0 } else { deposited(own, word) });
    }
    BooleanBuffer::new(Buffer::from_vec(out), 0, chosen.len())
}

#[inline(always)]
fn extract_by(
    chosen: &BooleanBuffer,
    all: &BooleanBuffer,
    extracted: &impl Fn(u64, u64) -> u64,
) -> BooleanBuffer {
    let words = chosen.len().div_ceil(64);
    let mut out: Vec<u64> = Vec::with_capacity(words + 1);
    let (mut last, mut bits) = (0u64, 0usize);
    let pairs = chosen.bit_chunks().iter_padded().zip(all.bit_chunks().iter_padded());
    for (word, flags) in pairs.take(words) {
        let count = word.count_ones() as usize;
        let own = extracted(flags, word);
        last |= own << (bits % 64);
        let room = 64 - bits % 64;
        if count >= room {
            out.push(last);
            last = own.checked_shr(room as u32).unwrap_or(0);
        }
        bits += count;
    }
    out.push(last);
    BooleanBuffer::new(Buffer::from_vec(out), 0, bits)
}

/// Bits read some at a time, at most 64.
struct Bits<T> {
    words: T,
    /// Bits of the current word that are not read yet, the next one lowest.
    word: u64,
    left: usize,
}

impl<T: Iterator<Item = u64>> Bits<T> {
    #[inline(always)]
    fn next(&mut self, count: usize) -> u64 {
        let low = |word: u64, bits: usize| if bits == 64 { word } else { word & ((1 << bits) - 1) };
        if count <= self.left {
            let taken = low(self.word, count);
            self.word = self.word.checked_shr(count as u32).unwrap_or(0);
            self.left -= count;
            return taken;
        }
        let (first, have) = (self.word, self.left);
        let next = self.words.next().unwrap_or(0);
        let more = count - have;
        self.word = next.checked_shr(more as u32).unwrap_or(0);
        self.left = 64 - more;
        first | low(next, more) << have
    }
}

/// The lowest bits of `flags` at the places of the bits of `word`.
fn deposited(mut flags: u64, word: u64) -> u64 {
    let (mut left, mut out) = (word, 0);
    while flags != 0 && left != 0 {
        let lowest = left & left.wrapping_neg();
        if flags & 1 == 1 {
            out |= lowest;
        }
        flags >>= 1;
        left ^= lowest;
    }
    out
}

/// The bits of `flags` at the places of the bits of `word`, side by side.
fn extracted(flags: u64, word: u64) -> u64 {
    let (mut left, mut out, mut at) = (word, 0, 0);
    while left != 0 {
        let lowest = left & left.wrapping_neg();
        if flags & lowest != 0 {
            out |= 1 << at;
        }
        at += 1;
        left ^= lowest;
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_pdep_u64, _pext_u64};

    use super::{BooleanBuffer, count_by, deposit_by, extract_by};

    #[target_feature(enable = "popcnt")]
    pub(super) fn count_flags(flags: &BooleanBuffer) -> usize {
        count_by(flags)
    }

    #[target_feature(enable = "bmi1,bmi2,popcnt")]
    pub(super) fn deposit(chosen: &BooleanBuffer, flags: &BooleanBuffer) -> BooleanBuffer {
        deposit_by(chosen, flags, &|flags, word| _pdep_u64(flags, word))
    }

    #[target_feature(enable = "bmi1,bmi2,popcnt")]
    pub(super) fn extract(chosen: &BooleanBuffer, all: &BooleanBuffer) -> BooleanBuffer {
        extract_by(chosen, all, &|flags, word| _pext_u64(flags, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_with_a_look_at_each() {
        let mut seed = 3u64;
        let mut next = |of: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33).is_multiple_of(of)
        };
        for length in [0usize, 1, 63, 64, 65, 127, 128, 200, 1000] {
            for (of, passing) in [(1, 1), (2, 2), (9, 1), (1, 9), (40, 3)] {
                let chosen: Vec<bool> = (0..length).map(|_| next(of)).collect();
                let flags: Vec<bool> =
                    chosen.iter().filter(|c| **c).map(|_| next(passing)).collect();
                let mut rest = flags.iter();
                let all: Vec<bool> =
                    chosen.iter().map(|c| *c && rest.next().copied().unwrap_or(false)).collect();
                // Neither begins at a byte.
                let shifted = |bits: &[bool]| {
                    let padded: Vec<bool> =
                        [true, false, true].iter().chain(bits).copied().collect();
                    BooleanBuffer::from(padded).slice(3, bits.len())
                };
                let trues = chosen.iter().filter(|c| **c).count();
                let (chosen, flags, all) = (shifted(&chosen), shifted(&flags), shifted(&all));
                assert_eq!((count_flags(&chosen), count_by(&chosen)), (trues, trues));
                assert_eq!(deposit(&chosen, &flags), all);
                assert_eq!(deposit_by(&chosen, &flags, &deposited), all);
                assert_eq!(extract(&chosen, &all), flags);
                assert_eq!(extract_by(&chosen, &all, &extracted), flags);
            }
        }
    }
}
