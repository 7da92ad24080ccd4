//! `quantileBFloat16`: counts by value rounded to a bfloat16 (the upper half of a Float32).

use std::collections::BTreeMap;

use super::Digest;
use crate::aggregates::kernel::{State, wire};
use crate::error::Result;

#[derive(Default)]
pub(super) struct BFloats(BTreeMap<u16, u64>);

fn value_of(key: u16) -> f32 {
    f32::from_bits((key as u32) << 16)
}

impl State for BFloats {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(k, n)| *self.0.entry(*k).or_default() += n);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (key, count) in &self.0 {
            out.extend_from_slice(&key.to_le_bytes());
            wire::write_varint(*count, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = BFloats::default();
        for _ in 0..wire::read_count(input)? {
            let key = u16::from_le_bytes(wire::array(input)?);
            *state.0.entry(key).or_default() += wire::read_varint(input)?;
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.len() * 24
    }
}

impl Digest for BFloats {
    fn add(&mut self, value: f64, weight: u64) {
        let value = value as f32;
        if !value.is_nan() && weight > 0 {
            *self.0.entry((value.to_bits() >> 16) as u16).or_default() += weight;
        }
    }

    fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        let mut values: Vec<(f32, u64)> = self.0.iter().map(|(k, n)| (value_of(*k), *n)).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = values.iter().map(|v| v.1).sum();
        let at = |level: &f64| {
            let place = total as f64 * level;
            let mut sum = 0.0;
            for (value, count) in &values {
                sum += *count as f64;
                if sum >= place {
                    return *value as f64;
                }
            }
            values.last().map_or(f64::NAN, |v| v.0 as f64)
        };
        levels.iter().map(at).collect()
    }
}
