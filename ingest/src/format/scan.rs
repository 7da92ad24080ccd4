//! Scanning bytes in words: ends of strings, runs of digits, known keys.
//!
//! On x86-64 sixteen bytes are compared at once with SSE2 (always there); elsewhere eight in a
//! register. The one `unsafe` block is that comparison; the tests hold it against a plain loop.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|w| w.first_chunk()).map(|w| u64::from_le_bytes(*w))
}

/// High bit of each byte that is zero (exact up to and including the first such byte).
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// The first byte at or after `from` that is `a` or `b`; `bytes.len()` if none is.
#[inline(always)]
pub fn find_either(bytes: &[u8], from: usize, a: u8, b: u8) -> usize {
    let mut at = from;
    #[cfg(target_arch = "x86_64")]
    {
        let end = (at + 64).min(bytes.len());
        while at + 16 <= end {
            let Some(chunk) = bytes.get(at..at + 16).and_then(|c| c.first_chunk::<16>()) else {
                break;
            };
            let mask = either_mask(chunk, a, b);
            if mask != 0 {
                return at + mask.trailing_zeros() as usize;
            }
            at += 16;
        }
        if at + 16 <= bytes.len() {
            return memchr::memchr2(a, b, &bytes[at..]).map_or(bytes.len(), |i| at + i);
        }
    }
    while let Some(w) = word(bytes, at) {
        let found = zero_bytes(w ^ (ONES * a as u64)) | zero_bytes(w ^ (ONES * b as u64));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < bytes.len() && bytes[at] != a && bytes[at] != b {
        at += 1;
    }
    at
}

/// The first byte at or after `from` that is `a`, `b` or `c`; `bytes.len()` if none is.
#[inline(always)]
pub fn find_three(bytes: &[u8], from: usize, a: u8, b: u8, c: u8) -> usize {
    let mut at = from;
    #[cfg(target_arch = "x86_64")]
    {
        let end = (at + 64).min(bytes.len());
        while at + 16 <= end {
            let Some(chunk) = bytes.get(at..at + 16).and_then(|c| c.first_chunk::<16>()) else {
                break;
            };
            let mask = either_mask(chunk, a, b) | either_mask(chunk, c, c);
            if mask != 0 {
                return at + mask.trailing_zeros() as usize;
            }
            at += 16;
        }
        if at + 16 <= bytes.len() {
            return memchr::memchr3(a, b, c, &bytes[at..]).map_or(bytes.len(), |i| at + i);
        }
    }
    while at < bytes.len() && bytes[at] != a && bytes[at] != b && bytes[at] != c {
        at += 1;
    }
    at
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn either_mask(chunk: &[u8; 16], a: u8, b: u8) -> u32 {
    use std::arch::x86_64::*;
    // SAFETY: SSE2 is part of the x86-64 baseline; the one pointer is to the sixteen bytes that are read.
    unsafe {
        let v = _mm_loadu_si128(chunk.as_ptr().cast());
        let found = _mm_or_si128(
            _mm_cmpeq_epi8(v, _mm_set1_epi8(a as i8)),
            _mm_cmpeq_epi8(v, _mm_set1_epi8(b as i8)),
        );
        _mm_movemask_epi8(found) as u32
    }
}

/// One bit per byte that is `a`, that is `b`, that is `c`; the first byte's is the lowest.
#[inline(always)]
pub fn three_masks(step: &[u8; 64], a: u8, b: u8, c: u8) -> [u64; 3] {
    let mut masks = [0; 3];
    for (i, chunk) in step.as_chunks::<16>().0.iter().enumerate() {
        for (mask, needle) in masks.iter_mut().zip([a, b, c]) {
            *mask |= (equal_mask(chunk, needle) as u64) << (16 * i);
        }
    }
    masks
}

#[inline(always)]
fn equal_mask(chunk: &[u8; 16], needle: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    return either_mask(chunk, needle, needle);
    #[cfg(not(target_arch = "x86_64"))]
    chunk.iter().rev().fold(0, |mask, b| mask << 1 | (*b == needle) as u32)
}

/// The number that the digits from `from` to `to` stand for, modulo 2^64; None if there are none, too many,
/// or other bytes, or if the input ends too close behind them.
#[inline(always)]
pub fn digits_of(bytes: &[u8], from: usize, to: usize) -> Option<u64> {
    let count = to.wrapping_sub(from);
    if count.wrapping_sub(1) < 8 {
        return few_digits(word(bytes, from)?, count);
    }
    if !(9..=24).contains(&count) {
        return None;
    }
    let last = few_digits(word(bytes, to - 8)?, 8)?;
    let before = digits_before(bytes, from, to - 8)?;
    Some(before.wrapping_mul(100_000_000).wrapping_add(last))
}

#[inline(always)]
fn digits_before(bytes: &[u8], from: usize, to: usize) -> Option<u64> {
    if to - from <= 8 {
        return few_digits(word(bytes, from)?, to - from);
    }
    let last = few_digits(word(bytes, to - 8)?, 8)?;
    let first = few_digits(word(bytes, from)?, to - 8 - from)?;
    Some(first.wrapping_mul(100_000_000).wrapping_add(last))
}

/// The number that the first `count` bytes (one to eight) stand for.
#[inline(always)]
fn few_digits(w: u64, count: usize) -> Option<u64> {
    // The digits go to the high bytes; below them zeros that count for nothing, as digits do.
    let shifted = w << (64 - 8 * count);
    let zeros = 0x3030_3030_3030_3030u64.unbounded_shr(8 * count as u32);
    if not_digits(shifted | zeros) != 0 {
        return None;
    }
    Some(eight_digits(shifted))
}

/// Decimal digits from `at`: their number modulo 2^64 and where they end. How many they are is counted, not
/// found out one by one: lengths differ from row to row, and a branch on each would be guessed wrong.
#[inline(always)]
pub fn digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let mut at = at;
    let mut value = 0u64;
    while let Some(w) = word(bytes, at) {
        let others = not_digits(w);
        if others != 0 {
            let count = others.trailing_zeros() as usize / 8;
            // The digits go to the high bytes, where the last ones of a number of eight are.
            let digits = if count == 0 { 0 } else { eight_digits(w << (64 - 8 * count)) };
            return (value.wrapping_mul(POWERS[count]).wrapping_add(digits), at + count);
        }
        value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(w));
        at += 8;
    }
    while let Some(d) = bytes.get(at).map(|b| b.wrapping_sub(b'0'))
        && d < 10
    {
        value = value.wrapping_mul(10).wrapping_add(d as u64);
        at += 1;
    }
    (value, at)
}

const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// High bit of each byte that is no digit.
#[inline(always)]
fn not_digits(w: u64) -> u64 {
    let distance = w ^ 0x3030_3030_3030_3030;
    // Within each byte: 10 and more reach the high bit, and nothing is carried into the next.
    (((distance & !HIGHS) + 0x7676_7676_7676_7676) | distance) & HIGHS
}

/// The number that eight ASCII digits (first one in the lowest byte) stand for.
#[inline(always)]
fn eight_digits(w: u64) -> u64 {
    let w = w & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = w.wrapping_mul(2561) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(6_553_601) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}

/// A text to recognise, compared in words where the input is long enough.
#[derive(Debug, Clone)]
pub struct Pattern {
    bytes: Vec<u8>,
    words: [(u64, u64); 3],
}

impl Pattern {
    pub fn new(bytes: Vec<u8>) -> Pattern {
        let mut words = [(0, 0); 3];
        for (i, chunk) in bytes.chunks(8).take(3).enumerate() {
            let (mut value, mut mask) = ([0; 8], [0; 8]);
            value[..chunk.len()].copy_from_slice(chunk);
            mask[..chunk.len()].fill(0xff);
            words[i] = (u64::from_le_bytes(value), u64::from_le_bytes(mask));
        }
        Pattern { bytes, words }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the input goes on if the pattern stands at `at`.
    #[inline(always)]
    pub fn matches(&self, input: &[u8], at: usize) -> Option<usize> {
        let length = self.bytes.len();
        if length <= 24
            && let Some(window) = input.get(at..at + 24).and_then(|w| w.first_chunk::<24>())
        {
            let load = |i: usize| {
                let mut w = [0u8; 8];
                w.copy_from_slice(&window[i * 8..i * 8 + 8]);
                u64::from_le_bytes(w)
            };
            let differ = |i: usize| (load(i) & self.words[i].1) ^ self.words[i].0;
            return ((differ(0) | differ(1) | differ(2)) == 0).then_some(at + length);
        }
        input.get(at..)?.starts_with(&self.bytes).then_some(at + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_like_a_plain_loop() {
        let mut bytes = vec![b'x'; 200];
        for hit in 0..200 {
            bytes[hit] = if hit % 2 == 0 { b'"' } else { b'\\' };
            for from in 0..=hit {
                assert_eq!(find_either(&bytes, from, b'"', b'\\'), hit);
                assert_eq!(find_either(&bytes[..hit], from, b'"', b'\\'), hit);
                assert_eq!(find_three(&bytes, from, b'"', b'~', b'\\'), hit);
                assert_eq!(find_three(&bytes[..hit], from, b'"', b'~', b'\\'), hit);
            }
            bytes[hit] = b'x';
        }
        // Bytes next to the needles, and high ones.
        let near = [b'!', b'#', b'[', b']', 0xa2, 0xdc, 0, 0xff].repeat(5);
        assert_eq!(find_either(&near, 0, b'"', b'\\'), near.len());
    }

    #[test]
    fn digits_in_words() {
        for text in ["", "1", "12345678", "123456789", "18446744073709551615", "12345678a", "1:2"] {
            let end = text.bytes().take_while(u8::is_ascii_digit).count();
            let value = text[..end].parse::<u64>().unwrap_or(0);
            for padding in ["", "}", ",\"abcdefgh\":1}", "/:;<=>?@//////"] {
                let input = format!("{text}{padding}");
                assert_eq!(digits(input.as_bytes(), 0), (value, end), "{input}");
            }
        }
        for b in 0..=255u8 {
            for place in 0..8 {
                let mut w = *b"12345678";
                w[place] = b;
                let others = if b.is_ascii_digit() { 0 } else { 0x80 << (8 * place) };
                assert_eq!(not_digits(u64::from_le_bytes(w)), others, "{b}");
            }
        }
    }

    #[test]
    fn digits_of_a_known_length() {
        let text = b"x01234567890123456789012345y       ";
        for from in 0..20 {
            for to in from..28 {
                let part = &text[from..to];
                let plain = (1..=24).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
                let value = part.iter().fold(0u64, |n, b| {
                    n.wrapping_mul(10).wrapping_add(b.wrapping_sub(b'0') as u64)
                });
                assert_eq!(digits_of(text, from, to), plain.then_some(value), "{from} {to}");
            }
        }
        assert_eq!(digits_of(b"1234567", 0, 7), None);
        assert_eq!(digits_of(b"12345678", 0, 8), Some(12_345_678));
    }

    #[test]
    fn masks() {
        let step: [u8; 64] = std::array::from_fn(|i| b"\t\n\\a"[i * i % 7 % 4]);
        let [a, b, c] = three_masks(&step, b'\t', b'\n', b'\\');
        for (i, byte) in step.iter().enumerate() {
            let bits = [a, b, c].map(|m| m >> i & 1);
            assert_eq!(bits, [b'\t', b'\n', b'\\'].map(|n| (*byte == n) as u64));
        }
    }

    #[test]
    fn patterns() {
        for length in 0..40 {
            let p = Pattern::new((0..length).map(|i| b'a' + i % 26).collect());
            let mut input = p.bytes().to_vec();
            for more in [0, 30] {
                input.extend(std::iter::repeat_n(b'!', more));
                assert_eq!(p.matches(&input, 0), Some(length as usize));
                if length > 0 {
                    let mut wrong = input.clone();
                    wrong[length as usize - 1] ^= 1;
                    assert_eq!(p.matches(&wrong, 0), None);
                }
            }
        }
    }
}
