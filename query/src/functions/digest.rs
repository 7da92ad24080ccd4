//! MD5, SHA-1, SHA-2, CRC-32 and the xxHash and Murmur families over whole texts.

pub(super) fn md5(text: &[u8]) -> [u8; 16] {
    const S: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(text, 64, 8, true).chunks(64) {
        let word = |i: usize| {
            u32::from_le_bytes([block[i * 4], block[i * 4 + 1], block[i * 4 + 2], block[i * 4 + 3]])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64usize {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let k = ((i as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(f).wrapping_add(k).wrapping_add(word(g));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(S[i / 16 * 4 + i % 4]));
        }
        for (s, v) in state.iter_mut().zip([a, b, c, d]) {
            *s = s.wrapping_add(v);
        }
    }
    let mut out = [0; 16];
    out.chunks_mut(4).zip(state).for_each(|(o, s)| o.copy_from_slice(&s.to_le_bytes()));
    out
}

/// The text with the bit 1, zeros and its length in bits, in whole blocks.
fn padded(text: &[u8], block: usize, length_bytes: usize, little: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + block * 2);
    out.extend_from_slice(text);
    out.push(0x80);
    while out.len() % block != block - length_bytes {
        out.push(0);
    }
    let bits = text.len() as u128 * 8;
    if little {
        out.extend_from_slice(&bits.to_le_bytes()[..length_bytes]);
    } else {
        out.extend_from_slice(&bits.to_be_bytes()[16 - length_bytes..]);
    }
    out
}

pub fn sha1(text: &[u8]) -> Vec<u8> {
    let mut h = [0x6745_2301u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    for block in padded(text, 64, 8, false).chunks(64) {
        let mut w = [0u32; 80];
        for i in 0..16 {
            w[i] = u32::from_be_bytes([
                block[i * 4],
                block[i * 4 + 1],
                block[i * 4 + 2],
                block[i * 4 + 3],
            ]);
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5A82_7999),
                1 => (b ^ c ^ d, 0x6ED9_EBA1),
                2 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(f)
                .wrapping_add(e)
                .wrapping_add(k)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (s, v) in h.iter_mut().zip([a, b, c, d, e]) {
            *s = s.wrapping_add(v);
        }
    }
    h.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// The first 64 bits of the fractional part of a root of the first primes, which are SHA-2's constants.
fn prime_roots(count: usize, cube: bool) -> Vec<u64> {
    let mut primes = vec![];
    let mut n = 2u128;
    while primes.len() < count {
        if primes.iter().all(|p| !n.is_multiple_of(*p)) {
            primes.push(n);
        }
        n += 1;
    }
    primes.into_iter().map(|p| root_fraction(p, cube)).collect()
}

/// floor(root(p) * 2^64) mod 2^64, by bisection on exact integers.
fn root_fraction(p: u128, cube: bool) -> u64 {
    use arrow_buffer::i256;
    let word = |v: u128| i256::from_parts(v, 0);
    // The root has at most 5 bits before the point, 64 behind it; its cube fits 256 bit.
    let (mut low, mut high) = (0u128, 1u128 << 70);
    let target = if cube { word(p) << 192u8 } else { word(p) << 128u8 };
    while high - low > 1 {
        let middle = (low + high) / 2;
        let power = word(middle).wrapping_mul(word(middle));
        let below = if cube {
            // For cubes compare middle² with target / middle, so that nothing overflows.
            power <= target.wrapping_div(word(middle))
        } else {
            power <= target
        };
        if below {
            low = middle;
        } else {
            high = middle;
        }
    }
    low as u64
}

fn constants(cube: bool) -> &'static [u64] {
    use std::sync::OnceLock;
    static SQUARE: OnceLock<Vec<u64>> = OnceLock::new();
    static CUBE: OnceLock<Vec<u64>> = OnceLock::new();
    if cube {
        CUBE.get_or_init(|| prime_roots(80, true))
    } else {
        SQUARE.get_or_init(|| prime_roots(16, false))
    }
}

/// SHA-256, or SHA-224 if `short`.
pub fn sha256(text: &[u8], short: bool) -> Vec<u8> {
    let k: Vec<u32> = constants(true)[..64].iter().map(|v| (v >> 32) as u32).collect();
    let roots = constants(false);
    let mut h = [0u32; 8];
    for i in 0..8 {
        // SHA-224 starts from the second half of the ninth to sixteenth primes' roots.
        h[i] = if short { roots[8 + i] as u32 } else { (roots[i] >> 32) as u32 };
    }
    for block in padded(text, 64, 8, false).chunks(64) {
        let mut w = [0u32; 64];
        for i in 0..16 {
            w[i] = u32::from_be_bytes([
                block[i * 4],
                block[i * 4 + 1],
                block[i * 4 + 2],
                block[i * 4 + 3],
            ]);
        }
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let mut v = h;
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 =
                v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            let t2 = s0.wrapping_add(majority);
            v = [t1.wrapping_add(t2), v[0], v[1], v[2], v[3].wrapping_add(t1), v[4], v[5], v[6]];
        }
        for (s, n) in h.iter_mut().zip(v) {
            *s = s.wrapping_add(n);
        }
    }
    let mut out: Vec<u8> = h.iter().flat_map(|v| v.to_be_bytes()).collect();
    out.truncate(if short { 28 } else { 32 });
    out
}

/// SHA-512, or SHA-384 if `short`.
pub(super) fn sha512(text: &[u8], short: bool) -> Vec<u8> {
    let k = constants(true);
    let roots = constants(false);
    let mut h = [0u64; 8];
    h.copy_from_slice(if short { &roots[8..16] } else { &roots[..8] });
    for block in padded(text, 128, 16, false).chunks(128) {
        let mut w = [0u64; 80];
        for i in 0..16 {
            let mut word = [0; 8];
            word.copy_from_slice(&block[i * 8..i * 8 + 8]);
            w[i] = u64::from_be_bytes(word);
        }
        for i in 16..80 {
            let s0 = w[i - 15].rotate_right(1) ^ w[i - 15].rotate_right(8) ^ (w[i - 15] >> 7);
            let s1 = w[i - 2].rotate_right(19) ^ w[i - 2].rotate_right(61) ^ (w[i - 2] >> 6);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let mut v = h;
        for i in 0..80 {
            let s1 = v[4].rotate_right(14) ^ v[4].rotate_right(18) ^ v[4].rotate_right(41);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 =
                v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(28) ^ v[0].rotate_right(34) ^ v[0].rotate_right(39);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            let t2 = s0.wrapping_add(majority);
            v = [t1.wrapping_add(t2), v[0], v[1], v[2], v[3].wrapping_add(t1), v[4], v[5], v[6]];
        }
        for (s, n) in h.iter_mut().zip(v) {
            *s = s.wrapping_add(n);
        }
    }
    let mut out: Vec<u8> = h.iter().flat_map(|v| v.to_be_bytes()).collect();
    out.truncate(if short { 48 } else { 64 });
    out
}

pub(super) fn crc32(text: &[u8]) -> u32 {
    !text.iter().fold(u32::MAX, |crc, b| {
        (0..8).fold(crc ^ *b as u32, |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg()))
    })
}

fn word64(text: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(word)
}

fn word32(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}

const P64: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

pub(super) fn xx_hash_64(text: &[u8]) -> u64 {
    let round = |acc: u64, input: u64| {
        acc.wrapping_add(input.wrapping_mul(P64[1])).rotate_left(31).wrapping_mul(P64[0])
    };
    let mut at = 0;
    let mut h = if text.len() >= 32 {
        let mut v = [P64[0].wrapping_add(P64[1]), P64[1], 0, P64[0].wrapping_neg()];
        while at + 32 <= text.len() {
            for (i, lane) in v.iter_mut().enumerate() {
                *lane = round(*lane, word64(text, at + i * 8));
            }
            at += 32;
        }
        let mut h = v[0]
            .rotate_left(1)
            .wrapping_add(v[1].rotate_left(7))
            .wrapping_add(v[2].rotate_left(12))
            .wrapping_add(v[3].rotate_left(18));
        for lane in v {
            h = (h ^ round(0, lane)).wrapping_mul(P64[0]).wrapping_add(P64[3]);
        }
        h
    } else {
        P64[4]
    };
    h = h.wrapping_add(text.len() as u64);
    while at + 8 <= text.len() {
        h = (h ^ round(0, word64(text, at)))
            .rotate_left(27)
            .wrapping_mul(P64[0])
            .wrapping_add(P64[3]);
        at += 8;
    }
    if at + 4 <= text.len() {
        h = (h ^ (word32(text, at) as u64).wrapping_mul(P64[0]))
            .rotate_left(23)
            .wrapping_mul(P64[1])
            .wrapping_add(P64[2]);
        at += 4;
    }
    for b in &text[at..] {
        h = (h ^ (*b as u64).wrapping_mul(P64[4])).rotate_left(11).wrapping_mul(P64[0]);
    }
    h = (h ^ (h >> 33)).wrapping_mul(P64[1]);
    h = (h ^ (h >> 29)).wrapping_mul(P64[2]);
    h ^ (h >> 32)
}

pub(super) fn xx_hash_32(text: &[u8]) -> u32 {
    const P: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
    let mut at = 0;
    let mut h = if text.len() >= 16 {
        let mut v = [P[0].wrapping_add(P[1]), P[1], 0, P[0].wrapping_neg()];
        while at + 16 <= text.len() {
            for (i, lane) in v.iter_mut().enumerate() {
                *lane = lane
                    .wrapping_add(word32(text, at + i * 4).wrapping_mul(P[1]))
                    .rotate_left(13)
                    .wrapping_mul(P[0]);
            }
            at += 16;
        }
        v[0].rotate_left(1)
            .wrapping_add(v[1].rotate_left(7))
            .wrapping_add(v[2].rotate_left(12))
            .wrapping_add(v[3].rotate_left(18))
    } else {
        P[4]
    };
    h = h.wrapping_add(text.len() as u32);
    while at + 4 <= text.len() {
        h = h.wrapping_add(word32(text, at).wrapping_mul(P[2])).rotate_left(17).wrapping_mul(P[3]);
        at += 4;
    }
    for b in &text[at..] {
        h = h.wrapping_add((*b as u32).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    h = (h ^ (h >> 15)).wrapping_mul(P[1]);
    h = (h ^ (h >> 13)).wrapping_mul(P[2]);
    h ^ (h >> 16)
}

pub(super) fn murmur2_32(text: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = text.len() as u32;
    let mut chunks = text.chunks_exact(4);
    for c in &mut chunks {
        let mut k = word32(c, 0).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0u32, |w, b| w << 8 | *b as u32);
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

pub(super) fn murmur2_64(text: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut h = (text.len() as u64).wrapping_mul(M);
    let mut chunks = text.chunks_exact(8);
    for c in &mut chunks {
        let mut k = word64(c, 0).wrapping_mul(M);
        k = (k ^ (k >> 47)).wrapping_mul(M);
        h = (h ^ k).wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 47)).wrapping_mul(M);
    h ^ (h >> 47)
}

pub(super) fn murmur3_32(text: &[u8]) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut h = 0u32;
    let mut chunks = text.chunks_exact(4);
    for c in &mut chunks {
        h = (h ^ mix(word32(c, 0))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        h ^= mix(rest.iter().rev().fold(0u32, |w, b| w << 8 | *b as u32));
    }
    h ^= text.len() as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// Both halves of the 128 bit hash.
pub(super) fn murmur3_128(text: &[u8]) -> (u64, u64) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let first = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut a, mut b) = (0u64, 0u64);
    let mut chunks = text.chunks_exact(16);
    for c in &mut chunks {
        a = (a ^ first(word64(c, 0))).rotate_left(27).wrapping_add(b);
        a = a.wrapping_mul(5).wrapping_add(0x52dc_e729);
        b = (b ^ second(word64(c, 8))).rotate_left(31).wrapping_add(a);
        b = b.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let rest = chunks.remainder();
    let tail = |part: &[u8]| part.iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
    if rest.len() > 8 {
        b ^= second(tail(&rest[8..]));
    }
    if !rest.is_empty() {
        a ^= first(tail(&rest[..rest.len().min(8)]));
    }
    a ^= text.len() as u64;
    b ^= text.len() as u64;
    a = a.wrapping_add(b);
    b = b.wrapping_add(a);
    let finish = |mut k: u64| {
        k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    };
    a = finish(a);
    b = finish(b);
    a = a.wrapping_add(b);
    b = b.wrapping_add(a);
    (a, b)
}
