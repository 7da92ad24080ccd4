//! xxh3-64 of what lies in memory for long, such as the nodes of mapped files: as fast as memory is read.
//!
//! The compiled crate is right everywhere, and uses what every x86-64 has. It takes twice as long as memory takes
//! to come, because it asks for it late. With AVX2, and lines asked for ahead, two cores read 34 GB/s instead of 14
//! (`docs/decisions/0022-hash-at-memory-speed.md`), and who decodes the node afterwards finds it in the cache.
//!
//! The only unsafe code is the call of the second form, behind the check that the processor has it, and its loads and
//! stores. The safe twin is the crate.

use xxhash_rust::xxh3::xxh3_64;

/// xxh3-64 of `bytes`, with seed 0 and the default secret.
pub fn xxh3(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= x86::LONG && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { x86::xxh3(bytes) };
    }
    xxh3_64(bytes)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Shorter ones gain nothing. The algorithm for long inputs begins at 241.
    pub(super) const LONG: usize = 1024;
    const STRIPE: usize = 64;
    /// Of the secret, from stripe to stripe.
    const STEP: usize = 8;
    const SECRET_BYTES: usize = 192;
    const STRIPES: usize = (SECRET_BYTES - STRIPE) / STEP;
    const BLOCK: usize = STRIPES * STRIPE;
    /// How far ahead lines are asked for: less does not hide the way, more leaves the page that is open in memory.
    const AHEAD: usize = 2048;

    const PRIME32: [u64; 3] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D];
    const PRIME64: [u64; 5] = [
        0x9E37_79B1_85EB_CA87,
        0xC2B2_AE3D_27D4_EB4F,
        0x1656_67B1_9E37_79F9,
        0x85EB_CA77_C2B2_AE63,
        0x27D4_EB2F_1656_67C5,
    ];
    /// The algorithm's default secret.
    #[rustfmt::skip]
    const SECRET: [u8; SECRET_BYTES] = [
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
        0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
        0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
        0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
        0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
    ];

    /// As the crate's function, for at least [`LONG`] bytes.
    #[target_feature(enable = "avx2")]
    pub(super) fn xxh3(bytes: &[u8]) -> u64 {
        let word = |n: u64| n as i64;
        let mut sums = [
            _mm256_setr_epi64x(
                word(PRIME32[2]),
                word(PRIME64[0]),
                word(PRIME64[1]),
                word(PRIME64[2]),
            ),
            _mm256_setr_epi64x(
                word(PRIME64[3]),
                word(PRIME32[1]),
                word(PRIME64[4]),
                word(PRIME32[0]),
            ),
        ];
        let blocks = (bytes.len() - 1) / BLOCK;
        let (whole, rest) = bytes.split_at(blocks * BLOCK);
        for block in whole.as_chunks::<BLOCK>().0 {
            for (i, stripe) in block.as_chunks::<STRIPE>().0.iter().enumerate() {
                add(&mut sums, stripe, i * STEP);
            }
            scramble(&mut sums);
        }
        let stripes = (rest.len() - 1) / STRIPE;
        for (i, stripe) in rest.as_chunks::<STRIPE>().0.iter().take(stripes).enumerate() {
            add(&mut sums, stripe, i * STEP);
        }
        if let Some(last) = bytes.last_chunk::<STRIPE>() {
            add(&mut sums, last, SECRET_BYTES - STRIPE - 7);
        }
        merge(sums, bytes.len())
    }

    /// One stripe, with the secret from `at` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(sums: &mut [__m256i; 2], stripe: &[u8; STRIPE], at: usize) {
        _mm_prefetch::<_MM_HINT_T0>(stripe.as_ptr().wrapping_add(AHEAD).cast());
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both halves of a stripe are in it.
            let data = unsafe { _mm256_loadu_si256(stripe.as_ptr().add(half * 32).cast()) };
            let mixed = _mm256_xor_si256(data, key(at + half * 32));
            let product = _mm256_mul_epu32(mixed, _mm256_shuffle_epi32::<0x31>(mixed));
            let swapped = _mm256_shuffle_epi32::<0x4E>(data);
            *sum = _mm256_add_epi64(*sum, _mm256_add_epi64(product, swapped));
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn key(at: usize) -> __m256i {
        let bytes: &[u8] = &SECRET[at..at + 32];
        // SAFETY: `bytes` has 32 of them.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    /// Between blocks.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn scramble(sums: &mut [__m256i; 2]) {
        let prime = _mm256_set1_epi32(PRIME32[0] as i32);
        for (half, sum) in sums.iter_mut().enumerate() {
            let shifted = _mm256_xor_si256(*sum, _mm256_srli_epi64::<47>(*sum));
            let mixed = _mm256_xor_si256(shifted, key(SECRET_BYTES - STRIPE + half * 32));
            let low = _mm256_mul_epu32(mixed, prime);
            let high = _mm256_mul_epu32(_mm256_shuffle_epi32::<0x31>(mixed), prime);
            *sum = _mm256_add_epi64(low, _mm256_slli_epi64::<32>(high));
        }
    }

    #[target_feature(enable = "avx2")]
    fn merge(sums: [__m256i; 2], length: usize) -> u64 {
        let mut words = [0u64; 8];
        for (half, sum) in sums.iter().enumerate() {
            // SAFETY: four words fit behind each half.
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().add(half * 4).cast(), *sum) };
        }
        let secret = SECRET[11..].as_chunks::<8>().0;
        let mut hash = (length as u64).wrapping_mul(PRIME64[0]);
        for (pair, key) in words.as_chunks::<2>().0.iter().zip(secret.as_chunks::<2>().0) {
            let mixed = |i: usize| u128::from(pair[i] ^ u64::from_le_bytes(key[i]));
            let product = mixed(0) * mixed(1);
            hash = hash.wrapping_add(product as u64 ^ (product >> 64) as u64);
        }
        hash ^= hash >> 37;
        hash = hash.wrapping_mul(0x1656_6791_9E37_79F9);
        hash ^ hash >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_the_crate() {
        let mut state = 9u64;
        let bytes: Vec<u8> = (0..70_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11);
                (state >> 56) as u8
            })
            .collect();
        let lengths = (0..5000).chain([8191, 8192, 8193, 65_535, 65_536, 65_537, 69_999]);
        for length in lengths {
            for from in [0, 1] {
                let part = &bytes[from..][..length];
                assert_eq!(xxh3(part), xxh3_64(part), "{length} bytes from {from}");
            }
        }
        let zeros = vec![0; 4096];
        assert_eq!(xxh3(&zeros), xxh3_64(&zeros));
    }
}
