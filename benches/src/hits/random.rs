//! Numbers that look random and are the same on every machine: splitmix64, and the skews drawn from it.

/// A stream of numbers fixed by its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 to `n` - 1, evenly; 0 for `n` = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank from 0 to `n` - 1 whose frequency falls as 1 / (rank + 1).
    pub fn zipf(&mut self, n: u64) -> u64 {
        (((n + 1) as f64).powf(self.unit()) as u64 - 1).min(n.saturating_sub(1))
    }
}

/// A number that depends on `x` alone and has no pattern.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_is_skewed_and_in_range() {
        let mut random = Random::new(1);
        let mut counts = [0u32; 100];
        (0..100_000).for_each(|_| counts[random.zipf(100) as usize] += 1);
        assert!(counts[0] > 10 * counts[50] && counts[99] > 0);
    }
}
