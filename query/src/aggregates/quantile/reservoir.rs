//! `quantile`: a sample of at most 8192 values drawn by a fixed-seed generator, interpolated between
//! neighbours. Exact up to 8192 values.

use super::Digest;
use crate::aggregates::kernel::{State, wire};
use crate::error::Result;

const SAMPLES: usize = 8192;
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

pub(in crate::aggregates) struct Reservoir {
    samples: Vec<f64>,
    total: u64,
    /// State of the generator (pcg32_fast).
    random: u64,
}

impl Default for Reservoir {
    fn default() -> Self {
        Reservoir { samples: vec![], total: 0, random: 123_456 | 3 }
    }
}

impl Reservoir {
    fn next_random(&mut self) -> u64 {
        let state = self.random;
        self.random = state.wrapping_mul(MULTIPLIER);
        let shift = 22 + (state >> 61);
        ((((state >> 22) ^ state) >> shift) as u32) as u64
    }

    fn random_below(&mut self, limit: u64) -> u64 {
        if limit <= u32::MAX as u64 {
            return self.next_random() % limit;
        }
        let high = self.next_random() << 32;
        high.wrapping_add(self.next_random()) % limit
    }

    fn insert(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.total += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(value);
        } else {
            let at = self.random_below(self.total) as usize;
            if at < SAMPLES {
                self.samples[at] = value;
            }
        }
    }
}

impl State for Reservoir {
    const HEAP: bool = true;

    fn merge(&mut self, other: &Self) {
        if other.total <= SAMPLES as u64 {
            other.samples.iter().for_each(|v| self.insert(*v));
            return;
        }
        if self.total <= SAMPLES as u64 {
            let mine = std::mem::replace(&mut self.samples, other.samples.clone());
            self.total = other.total;
            mine.into_iter().for_each(|v| self.insert(v));
            return;
        }
        self.total += other.total;
        let frequency = self.total as f64 / other.total as f64;
        if frequency * 2.0 >= SAMPLES as f64 {
            let at = self.random_below(frequency as u64) as usize;
            if at < SAMPLES {
                self.samples[at] = other.samples[at];
            }
        } else {
            let mut i = 0.0;
            while i < SAMPLES as f64 {
                self.samples[i as usize] = other.samples[i as usize];
                i += frequency;
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(SAMPLES as u64).to_le_bytes());
        out.extend_from_slice(&self.total.to_le_bytes());
        wire::write_bytes(format!("{MULTIPLIER} 0 {}", self.random).as_bytes(), out);
        for value in &self.samples {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Reservoir::default();
        wire::read_u64(input)?;
        state.total = wire::read_u64(input)?;
        let text = String::from_utf8_lossy(wire::read_bytes(input)?).into_owned();
        state.random = text.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(state.random);
        for _ in 0..state.total.min(SAMPLES as u64) {
            state.samples.push(wire::read_f64(input)?);
        }
        Ok(state)
    }

    fn heap_bytes(&self) -> usize {
        self.samples.capacity() * 8
    }
}

impl Digest for Reservoir {
    fn add(&mut self, value: f64, _: u64) {
        self.insert(value);
    }

    fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        levels.iter().map(|level| interpolated(&sorted, *level)).collect()
    }
}

/// Between the two sorted values around `level * (n - 1)`.
pub(super) fn interpolated(sorted: &[f64], level: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let last = sorted.len() - 1;
    let index = (level * last as f64).clamp(0.0, last as f64);
    let left = index as usize;
    if left == last {
        return sorted[left];
    }
    let right = left + 1;
    sorted[left] * (right as f64 - index) + sorted[right] * (index - left as f64)
}
