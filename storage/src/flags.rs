//! Flags as bytes into flags as bits and back, sixteen or eight at a time.

use arrow_buffer::{BooleanBuffer, Buffer};

/// One bit per byte: set where the byte is not zero.
pub fn pack(bytes: &[u8]) -> BooleanBuffer {
    let mut out: Vec<u64> = Vec::with_capacity(bytes.len().div_ceil(64));
    let (chunks, rest) = bytes.as_chunks::<64>();
    for chunk in chunks {
        out.push(word_of(chunk));
    }
    if !rest.is_empty() {
        out.push(rest.iter().rev().fold(0, |word, byte| word << 1 | u64::from(*byte != 0)));
    }
    BooleanBuffer::new(Buffer::from_vec(out), 0, bytes.len())
}

/// One byte per bit: 1 where it is set.
pub fn unpack(bits: &BooleanBuffer) -> Vec<u8> {
    let chunks = bits.bit_chunks();
    let mut out = Vec::with_capacity(bits.len().next_multiple_of(64));
    for word in chunks.iter_padded() {
        for eight in word.to_le_bytes() {
            out.extend_from_slice(&bytes_of(eight).to_le_bytes());
        }
    }
    out.truncate(bits.len());
    out
}

/// Byte `i` is bit `i`.
#[inline(always)]
fn bytes_of(eight: u8) -> u64 {
    // Each byte of the product holds the eight bits; of byte `i` bit `i` is kept, and any bit becomes the lowest.
    let spread = (eight as u64 * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    (spread + 0x7F7F_7F7F_7F7F_7F7F) >> 7 & 0x0101_0101_0101_0101
}

/// Bit `i` says whether byte `i` is not zero.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn word_of(chunk: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_setzero_si128};
    let (eights, _) = chunk.as_chunks::<8>();
    let eight = |i: usize| u64::from_le_bytes(eights[i]).cast_signed();
    let sixteen = |i: usize| {
        // SAFETY: SSE2 is part of x86-64, and no memory is touched.
        let zero = unsafe {
            let bytes = _mm_set_epi64x(eight(i + 1), eight(i));
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()))
        };
        u64::from(!zero.cast_unsigned() as u16)
    };
    sixteen(0) | sixteen(2) << 16 | sixteen(4) << 32 | sixteen(6) << 48
}

/// As the above, eight bytes at a time.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn slow_word_of(chunk: &[u8; 64]) -> u64 {
    let (eights, _) = chunk.as_chunks::<8>();
    eights.iter().rev().fold(0, |word, eight| word << 8 | byte_of(*eight))
}

#[cfg(not(target_arch = "x86_64"))]
use slow_word_of as word_of;

/// Bit `i` says whether byte `i` is not zero.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn byte_of(eight: [u8; 8]) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let word = u64::from_le_bytes(eight);
    let nonzero = ((((word & LOW) + LOW) | word) & !LOW) >> 7;
    // Multiplying brings bit 8i to bit 56 + i.
    nonzero.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_look_at_each() {
        let mut seed = 1u64;
        for length in 0..300usize {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                    if seed >> 62 == 0 { (seed >> 40) as u8 } else { 0 }
                })
                .collect();
            let packed = pack(&bytes);
            for chunk in bytes.as_chunks::<64>().0 {
                assert_eq!(word_of(chunk), slow_word_of(chunk));
            }
            assert_eq!(packed.len(), length);
            assert!(bytes.iter().zip(packed.iter()).all(|(b, bit)| (*b != 0) == bit));
            let from = length / 3;
            let tail = unpack(&packed.slice(from, length - from));
            assert_eq!(tail.len(), length - from);
            assert!(bytes[from..].iter().zip(tail).all(|(b, flag)| u8::from(*b != 0) == flag));
        }
        assert!(pack(&[1, 2, 4, 8, 16, 32, 64, 128, 255, 3]).iter().all(|bit| bit));
    }
}
