//! CityHash64 of version 1.0.2, which ClickHouse froze, and the integer hashes beside it.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_d7c7_509e_6557;

#[inline(always)]
fn fetch64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline(always)]
fn fetch32(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word) as u64
}

#[inline(always)]
fn shift_mix(v: u64) -> u64 {
    v ^ (v >> 47)
}

/// Folds two words to one; also how hashes of several arguments combine.
#[inline(always)]
pub(crate) fn fold(u: u64, v: u64) -> u64 {
    const MUL: u64 = 0x9ddf_ea08_eb38_2d69;
    let a = shift_mix((u ^ v).wrapping_mul(MUL));
    let b = shift_mix((v ^ a).wrapping_mul(MUL));
    b.wrapping_mul(MUL)
}

fn up_to_16(s: &[u8]) -> u64 {
    let n = s.len();
    if n > 8 {
        let (a, b) = (fetch64(s, 0), fetch64(s, n - 8));
        return fold(a, b.wrapping_add(n as u64).rotate_right(n as u32)) ^ b;
    }
    if n >= 4 {
        return fold((n as u64).wrapping_add(fetch32(s, 0) << 3), fetch32(s, n - 4));
    }
    if n > 0 {
        let (a, b, c) = (s[0] as u64, s[n >> 1] as u64, s[n - 1] as u64);
        let (y, z) = (a + (b << 8), n as u64 + (c << 2));
        return shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2);
    }
    K2
}

fn up_to_32(s: &[u8]) -> u64 {
    let n = s.len();
    let a = fetch64(s, 0).wrapping_mul(K1);
    let b = fetch64(s, 8);
    let c = fetch64(s, n - 8).wrapping_mul(K2);
    let d = fetch64(s, n - 16).wrapping_mul(K0);
    fold(
        a.wrapping_sub(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d),
        a.wrapping_add((b ^ K3).rotate_right(20)).wrapping_sub(c).wrapping_add(n as u64),
    )
}

fn weak(s: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let (w, x, y, z) =
        (fetch64(s, at), fetch64(s, at + 8), fetch64(s, at + 16), fetch64(s, at + 24));
    let a = a.wrapping_add(w);
    let b = b.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let c = a;
    let a = a.wrapping_add(x).wrapping_add(y);
    (a.wrapping_add(z), b.wrapping_add(a.rotate_right(44)).wrapping_add(c))
}

fn up_to_64(s: &[u8]) -> u64 {
    let n = s.len();
    let half = |z: u64, a: u64, second: u64, third: u64| -> (u64, u64) {
        let b = a.wrapping_add(z).rotate_right(52);
        let c = a.rotate_right(37);
        let a = a.wrapping_add(second);
        let c = c.wrapping_add(a.rotate_right(7));
        let a = a.wrapping_add(third);
        (a.wrapping_add(z), b.wrapping_add(a.rotate_right(31)).wrapping_add(c))
    };
    let a =
        fetch64(s, 0).wrapping_add((n as u64).wrapping_add(fetch64(s, n - 16)).wrapping_mul(K0));
    let (vf, vs) = half(fetch64(s, 24), a, fetch64(s, 8), fetch64(s, 16));
    let a = fetch64(s, 16).wrapping_add(fetch64(s, n - 32));
    let (wf, ws) = half(fetch64(s, n - 8), a, fetch64(s, n - 24), fetch64(s, n - 16));
    let r = shift_mix(
        vf.wrapping_add(ws).wrapping_mul(K2).wrapping_add(wf.wrapping_add(vs).wrapping_mul(K0)),
    );
    shift_mix(r.wrapping_mul(K0).wrapping_add(vs)).wrapping_mul(K2)
}

pub(crate) fn city_hash_64(s: &[u8]) -> u64 {
    let n = s.len();
    match n {
        0..=16 => return up_to_16(s),
        17..=32 => return up_to_32(s),
        33..=64 => return up_to_64(s),
        _ => {}
    }
    let mut x = fetch64(s, 0);
    let mut y = fetch64(s, n - 16) ^ K1;
    let mut z = fetch64(s, n - 56) ^ K0;
    let mut v = weak(s, n - 64, n as u64, y);
    let mut w = weak(s, n - 32, (n as u64).wrapping_mul(K1), K0);
    z = z.wrapping_add(shift_mix(v.1).wrapping_mul(K1));
    x = z.wrapping_add(x).rotate_right(39).wrapping_mul(K1);
    y = y.rotate_right(33).wrapping_mul(K1);
    let mut at = 0;
    let end = (n - 1) & !63;
    while at < end {
        x = x
            .wrapping_add(y)
            .wrapping_add(v.0)
            .wrapping_add(fetch64(s, at + 16))
            .rotate_right(37)
            .wrapping_mul(K1);
        y = y.wrapping_add(v.1).wrapping_add(fetch64(s, at + 48)).rotate_right(42).wrapping_mul(K1);
        x ^= w.1;
        y ^= v.0;
        z = (z ^ w.0).rotate_right(33);
        v = weak(s, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak(s, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
        at += 64;
    }
    fold(
        fold(v.0, w.0).wrapping_add(shift_mix(y).wrapping_mul(K1)).wrapping_add(z),
        fold(v.1, w.1).wrapping_add(x),
    )
}

/// CityHash128 of version 1.0.2: its low and its high half.
pub fn city_hash_128(s: &[u8]) -> (u64, u64) {
    let n = s.len();
    if n >= 16 {
        return seeded_128(&s[16..], fetch64(s, 0) ^ K3, fetch64(s, 8));
    }
    if n >= 8 {
        let (a, b) = (fetch64(s, 0), fetch64(s, n - 8));
        return seeded_128(&[], a ^ (n as u64).wrapping_mul(K0), b ^ K1);
    }
    seeded_128(s, K0, K1)
}

fn seeded_128(s: &[u8], a: u64, b: u64) -> (u64, u64) {
    if s.len() < 128 { short_128(s, a, b) } else { long_128(s, a, b) }
}

fn short_128(s: &[u8], a: u64, b: u64) -> (u64, u64) {
    let n = s.len();
    let (mut a, mut b) = (a, b);
    let (mut c, mut d);
    if n <= 16 {
        a = shift_mix(a.wrapping_mul(K1)).wrapping_mul(K1);
        c = b.wrapping_mul(K1).wrapping_add(up_to_16(s));
        d = shift_mix(a.wrapping_add(if n >= 8 { fetch64(s, 0) } else { c }));
    } else {
        c = fold(fetch64(s, n - 8).wrapping_add(K1), a);
        d = fold(b.wrapping_add(n as u64), c.wrapping_add(fetch64(s, n - 16)));
        a = a.wrapping_add(d);
        let mix = |word: u64| shift_mix(word.wrapping_mul(K1)).wrapping_mul(K1);
        for at in (0..n - 16).step_by(16) {
            a = (a ^ mix(fetch64(s, at))).wrapping_mul(K1);
            b ^= a;
            c = (c ^ mix(fetch64(s, at + 8))).wrapping_mul(K1);
            d ^= c;
        }
    }
    let (a, b) = (fold(a, c), fold(d, b));
    (a ^ b, fold(b, a))
}

fn long_128(s: &[u8], a: u64, b: u64) -> (u64, u64) {
    let n = s.len();
    let (mut x, mut y, mut z) = (a, b, (n as u64).wrapping_mul(K1));
    let first = (y ^ K1).rotate_right(49).wrapping_mul(K1).wrapping_add(fetch64(s, 0));
    let second = first.rotate_right(42).wrapping_mul(K1).wrapping_add(fetch64(s, 8));
    let mut v = (first, second);
    let mut w = (
        y.wrapping_add(z).rotate_right(35).wrapping_mul(K1).wrapping_add(x),
        x.wrapping_add(fetch64(s, 88)).rotate_right(53).wrapping_mul(K1),
    );
    // Two steps of 64 bytes a round.
    let end = n / 128 * 128;
    for at in (0..end).step_by(64) {
        x = x
            .wrapping_add(y)
            .wrapping_add(v.0)
            .wrapping_add(fetch64(s, at + 16))
            .rotate_right(37)
            .wrapping_mul(K1);
        y = y.wrapping_add(v.1).wrapping_add(fetch64(s, at + 48)).rotate_right(42).wrapping_mul(K1);
        x ^= w.1;
        y ^= v.0;
        z = (z ^ w.0).rotate_right(33);
        v = weak(s, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak(s, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
    }
    y = y.wrapping_add(w.0.rotate_right(37).wrapping_mul(K0)).wrapping_add(z);
    x = x.wrapping_add(v.0.wrapping_add(z).rotate_right(49).wrapping_mul(K0));
    // What is left goes in pieces of 32 bytes from the end, the last of which may reach back.
    let mut done = 0;
    while done < n - end {
        done += 32;
        y = y.wrapping_sub(x).rotate_right(42).wrapping_mul(K0).wrapping_add(v.1);
        w.0 = w.0.wrapping_add(fetch64(s, n - done + 16));
        x = x.rotate_right(49).wrapping_mul(K0).wrapping_add(w.0);
        w.0 = w.0.wrapping_add(v.0);
        v = weak(s, n - done, v.0, v.1);
    }
    x = fold(x, v.0);
    y = fold(y, w.0);
    (fold(x.wrapping_add(v.1), w.1).wrapping_add(y), fold(x.wrapping_add(w.1), y.wrapping_add(v.1)))
}

/// The finalizer that intHash64 is.
pub(crate) fn int_hash_64(x: u64) -> u64 {
    let mut x = x ^ 0x4CF2_D2BA_AE6D_A887;
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

pub(crate) fn int_hash_32(x: u64) -> u32 {
    let mut k = x ^ 0x75D9_543D_E018_BF45;
    k = (!k).wrapping_add(k << 18);
    k ^= k.rotate_right(31);
    k = k.wrapping_mul(21);
    k ^= k.rotate_right(11);
    k = k.wrapping_add(k << 6);
    k ^= k.rotate_right(22);
    k as u32
}
