//! CityHash64 as of version 1.0.2, the one ClickHouse froze: `uniq` of strings is defined by it.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_c7de_febe_6f1b;

fn fetch64(s: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&s[at..at + 8]);
    u64::from_le_bytes(word)
}

fn fetch32(s: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&s[at..at + 4]);
    u32::from_le_bytes(word) as u64
}

fn shift_mix(v: u64) -> u64 {
    v ^ (v >> 47)
}

/// Two words into one.
pub fn hash_128_to_64(low: u64, high: u64) -> u64 {
    const MUL: u64 = 0x9ddf_ea08_eb38_2d69;
    let a = shift_mix((low ^ high).wrapping_mul(MUL));
    let b = shift_mix((high ^ a).wrapping_mul(MUL));
    b.wrapping_mul(MUL)
}

fn up_to_16(s: &[u8]) -> u64 {
    let len = s.len();
    if len > 8 {
        let (a, b) = (fetch64(s, 0), fetch64(s, len - 8));
        let rotated = b.wrapping_add(len as u64).rotate_right(len as u32);
        return hash_128_to_64(a, rotated) ^ b;
    }
    if len >= 4 {
        let a = fetch32(s, 0);
        return hash_128_to_64((len as u64).wrapping_add(a << 3), fetch32(s, len - 4));
    }
    if len > 0 {
        let (a, b, c) = (s[0] as u64, s[len >> 1] as u64, s[len - 1] as u64);
        let y = a.wrapping_add(b << 8);
        let z = (len as u64).wrapping_add(c << 2);
        return shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2);
    }
    K2
}

fn from_17_to_32(s: &[u8]) -> u64 {
    let len = s.len();
    let a = fetch64(s, 0).wrapping_mul(K1);
    let b = fetch64(s, 8);
    let c = fetch64(s, len - 8).wrapping_mul(K2);
    let d = fetch64(s, len - 16).wrapping_mul(K0);
    hash_128_to_64(
        a.wrapping_sub(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d),
        a.wrapping_add((b ^ K3).rotate_right(20)).wrapping_sub(c).wrapping_add(len as u64),
    )
}

fn weak_32(s: &[u8], at: usize, mut a: u64, mut b: u64) -> (u64, u64) {
    let (w, x, y, z) =
        (fetch64(s, at), fetch64(s, at + 8), fetch64(s, at + 16), fetch64(s, at + 24));
    a = a.wrapping_add(w);
    b = b.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let c = a;
    a = a.wrapping_add(x).wrapping_add(y);
    b = b.wrapping_add(a.rotate_right(44));
    (a.wrapping_add(z), b.wrapping_add(c))
}

/// Half of the hash of 33 to 64 bytes.
fn half(s: &[u8], from: usize, z: u64, mut a: u64) -> (u64, u64) {
    let mut b = a.wrapping_add(z).rotate_right(52);
    let mut c = a.rotate_right(37);
    a = a.wrapping_add(fetch64(s, from + 8));
    c = c.wrapping_add(a.rotate_right(7));
    a = a.wrapping_add(fetch64(s, from + 16));
    b = b.wrapping_add(a.rotate_right(31)).wrapping_add(c);
    (a.wrapping_add(z), b)
}

fn from_33_to_64(s: &[u8]) -> u64 {
    let len = s.len();
    let a = fetch64(s, 0)
        .wrapping_add((len as u64).wrapping_add(fetch64(s, len - 16)).wrapping_mul(K0));
    let (vf, vs) = half(s, 0, fetch64(s, 24), a);
    let a = fetch64(s, 16).wrapping_add(fetch64(s, len - 32));
    let (wf, ws) = half(s, len - 32, fetch64(s, len - 8), a);
    let r = shift_mix(
        vf.wrapping_add(ws).wrapping_mul(K2).wrapping_add(wf.wrapping_add(vs).wrapping_mul(K0)),
    );
    shift_mix(r.wrapping_mul(K0).wrapping_add(vs)).wrapping_mul(K2)
}

pub fn city_hash_64(s: &[u8]) -> u64 {
    let len = s.len();
    match len {
        0..=16 => return up_to_16(s),
        17..=32 => return from_17_to_32(s),
        33..=64 => return from_33_to_64(s),
        _ => {}
    }
    let mut x = fetch64(s, 0);
    let mut y = fetch64(s, len - 16) ^ K1;
    let mut z = fetch64(s, len - 56) ^ K0;
    let mut v = weak_32(s, len - 64, len as u64, y);
    let mut w = weak_32(s, len - 32, (len as u64).wrapping_mul(K1), K0);
    z = z.wrapping_add(shift_mix(v.1).wrapping_mul(K1));
    x = z.wrapping_add(x).rotate_right(39).wrapping_mul(K1);
    y = y.rotate_right(33).wrapping_mul(K1);
    for at in (0..(len - 1) & !63).step_by(64) {
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
        v = weak_32(s, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak_32(s, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
    }
    hash_128_to_64(
        hash_128_to_64(v.0, w.0).wrapping_add(shift_mix(y).wrapping_mul(K1)).wrapping_add(z),
        hash_128_to_64(v.1, w.1).wrapping_add(x),
    )
}

#[cfg(test)]
mod tests {
    use super::city_hash_64;

    /// Values from ClickHouse's `cityHash64`, one for every branch by length.
    #[test]
    fn agrees_with_clickhouse() {
        let alphabet = "abcdefghijklmnopqrstuvwxyz";
        let cases = [
            ("", 11160318154034397263),
            ("a", 2603192927274642682),
            ("abc", 4220206313085259313),
            ("Moscow", 12507901496292878638),
            ("abcdefgh", 4864636163090995991),
            ("abcdefghijk", 16743374976483586448),
            (alphabet, 15358950491435023419),
            (&alphabet.repeat(2), 2986571975095690636),
            (&alphabet.repeat(5), 12989388165031134396),
        ];
        for (text, expected) in cases {
            assert_eq!(city_hash_64(text.as_bytes()), expected, "{text}");
        }
    }
}
