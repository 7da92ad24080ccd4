//! Quantiles over values with weights: `quantileExactWeighted` and `quantileInterpolatedWeighted`.

use std::collections::BTreeMap;

use super::Digest;
use crate::aggregates::kernel::{State, wire};
use crate::error::Result;

/// A float in total order, as a map key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered(u64);

impl Ordered {
    fn new(value: f64) -> Ordered {
        let bits = (value + 0.0).to_bits();
        Ordered(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
    }
    fn value(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

#[derive(Default)]
struct Weights(BTreeMap<Ordered, u64>);

impl Weights {
    fn add(&mut self, value: f64, weight: u64) {
        if !value.is_nan() && weight > 0 {
            *self.0.entry(Ordered::new(value)).or_default() += weight;
        }
    }
    fn merge(&mut self, other: &Weights) {
        for (value, weight) in &other.0 {
            *self.0.entry(*value).or_default() += weight;
        }
    }
    fn put(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (value, weight) in &self.0 {
            out.extend_from_slice(&value.value().to_le_bytes());
            out.extend_from_slice(&weight.to_le_bytes());
        }
    }
    fn take(input: &mut &[u8]) -> Result<Weights> {
        let mut weights = Weights::default();
        for _ in 0..wire::read_count(input)? {
            let value = wire::read_f64(input)?;
            weights.add(value, wire::read_u64(input)?);
        }
        Ok(weights)
    }

    /// The first value at which the weights so far reach `level` of all.
    fn exact(&self, level: f64) -> f64 {
        let total: u64 = self.0.values().sum();
        let threshold = (total as f64 * level).ceil() as u64;
        let mut sum = 0;
        for (value, weight) in &self.0 {
            sum += weight;
            if sum >= threshold {
                return value.value();
            }
        }
        self.0.keys().next_back().map_or(f64::NAN, |v| v.value())
    }

    /// Linear between the middles of the values' weights.
    fn interpolated(&self, level: f64) -> f64 {
        let total: u64 = self.0.values().sum();
        let target = total as f64 * level;
        let mut sum = 0u64;
        let mut before: Option<(f64, f64)> = None;
        for (value, weight) in &self.0 {
            sum += weight;
            let middle = sum as f64 - 0.5 * *weight as f64;
            if middle >= target {
                let Some((x, y)) = before else { return value.value() };
                return y + (target - x) / (middle - x) * (value.value() - y);
            }
            before = Some((middle, value.value()));
        }
        before.map_or(f64::NAN, |(_, y)| y)
    }
}

macro_rules! weighted_digest {
    ($name:ident, $method:ident) => {
        #[derive(Default)]
        pub(in crate::aggregates) struct $name(Weights);

        impl State for $name {
            const HEAP: bool = true;
            fn merge(&mut self, other: &Self) {
                self.0.merge(&other.0);
            }
            fn write(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn read(input: &mut &[u8]) -> Result<Self> {
                Ok($name(Weights::take(input)?))
            }
            fn heap_bytes(&self) -> usize {
                self.0.0.len() * 24
            }
        }

        impl Digest for $name {
            fn add(&mut self, value: f64, weight: u64) {
                self.0.add(value, weight);
            }
            fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
                levels.iter().map(|l| self.0.$method(*l)).collect()
            }
        }
    };
}

weighted_digest!(Weighted, exact);
weighted_digest!(Interpolated, interpolated);
