//! `quantileTiming`: for page load times in milliseconds. Few values are kept; many go into a
//! histogram that is exact to 1024, in steps of 16 to 30000, and open above.

use super::Digest;
use crate::aggregates::kernel::{State, wire};
use crate::error::Result;

const SMALL: usize = 1024;
const BIG: usize = 30_000;
const STEP: usize = 16;
const STEPS: usize = (BIG - SMALL) / STEP;
/// Values up to this many are kept as a list.
const LIST_MAX: usize = 2836;
#[derive(Clone)]
enum Kept {
    List(Vec<u16>),
    Histogram(Box<Histogram>),
}

#[derive(Clone)]
struct Histogram {
    count: u64,
    small: Vec<u64>,
    big: Vec<u64>,
}

#[derive(Clone)]
pub(in crate::aggregates) struct Timing(Kept);

impl Default for Timing {
    fn default() -> Self {
        Timing(Kept::List(vec![]))
    }
}

impl Histogram {
    fn new() -> Histogram {
        Histogram { count: 0, small: vec![0; SMALL], big: vec![0; STEPS] }
    }

    fn add(&mut self, value: usize, weight: u64) {
        self.count += weight;
        if value < SMALL {
            self.small[value] += weight;
        } else if value < BIG {
            self.big[(value - SMALL) / STEP] += weight;
        }
    }

    fn quantile(&self, level: f64) -> f64 {
        let target = (self.count as f64 * level).ceil() as u64;
        let mut sum = 0;
        for (value, count) in self.small.iter().enumerate() {
            sum += count;
            if sum >= target && (sum > 0 || target == 0) {
                return value as f64;
            }
        }
        for (step, count) in self.big.iter().enumerate() {
            sum += count;
            if sum >= target {
                return middle(step);
            }
        }
        BIG as f64
    }
}

/// A value within the step, scattered so that results do not look rounded.
fn middle(step: usize) -> f64 {
    let offset = (int_hash_32(step as u64) as usize % STEP) as f64 - (STEP / 2) as f64;
    (step * STEP + SMALL) as f64 + offset
}

/// Thomas Wang's 64 to 32 bit hash.
pub(crate) fn int_hash_32(key: u64) -> u32 {
    let mut key = (!key).wrapping_add(key << 18);
    key ^= key.rotate_right(31);
    key = key.wrapping_mul(21);
    key ^= key.rotate_right(11);
    key = key.wrapping_add(key << 6);
    key ^= key.rotate_right(22);
    key as u32
}

impl Timing {
    fn insert(&mut self, value: usize, weight: u64) {
        if let Kept::List(list) = &mut self.0 {
            if list.len() as u64 + weight <= LIST_MAX as u64 {
                list.resize(list.len() + weight as usize, value as u16);
                return;
            }
            let mut histogram = Box::new(Histogram::new());
            list.iter().for_each(|v| histogram.add(*v as usize, 1));
            self.0 = Kept::Histogram(histogram);
        }
        if let Kept::Histogram(histogram) = &mut self.0 {
            histogram.add(value, weight);
        }
    }
}

impl State for Timing {
    const HEAP: bool = true;

    fn merge(&mut self, other: &Self) {
        match &other.0 {
            Kept::List(list) => list.iter().for_each(|v| self.insert(*v as usize, 1)),
            Kept::Histogram(theirs) => {
                let mut merged = theirs.clone();
                match &self.0 {
                    Kept::List(list) => list.iter().for_each(|v| merged.add(*v as usize, 1)),
                    Kept::Histogram(mine) => {
                        merged.count += mine.count;
                        merged.small.iter_mut().zip(&mine.small).for_each(|(a, b)| *a += b);
                        merged.big.iter_mut().zip(&mine.big).for_each(|(a, b)| *a += b);
                    }
                }
                self.0 = Kept::Histogram(merged);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Kept::List(list) => {
                out.push(1);
                wire::write_varint(list.len() as u64, out);
                list.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
            }
            Kept::Histogram(h) => {
                out.push(3);
                wire::write_varint(h.count, out);
                h.small.iter().chain(&h.big).for_each(|n| wire::write_varint(*n, out));
            }
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self> {
        if wire::array::<1>(input)?[0] != 3 {
            let mut list = vec![];
            for _ in 0..wire::read_count(input)? {
                list.push(u16::from_le_bytes(wire::array(input)?));
            }
            return Ok(Timing(Kept::List(list)));
        }
        let mut h = Histogram::new();
        h.count = wire::read_varint(input)?;
        for n in h.small.iter_mut().chain(&mut h.big) {
            *n = wire::read_varint(input)?;
        }
        Ok(Timing(Kept::Histogram(Box::new(h))))
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Kept::List(list) => list.capacity() * 2,
            Kept::Histogram(_) => (SMALL + STEPS + 1) * 8,
        }
    }
}

impl Digest for Timing {
    fn add(&mut self, value: f64, weight: u64) {
        if value >= 0.0 && weight > 0 {
            self.insert((value as usize).min(BIG), weight);
        }
    }

    fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        match &self.0 {
            Kept::Histogram(h) => levels.iter().map(|l| h.quantile(*l)).collect(),
            Kept::List(list) => {
                let mut sorted = list.clone();
                sorted.sort_unstable();
                let value = |level: f64| match sorted.len() {
                    0 => f64::NAN,
                    n if level == 1.0 => sorted[n - 1] as f64,
                    n => sorted[(n as f64 * level) as usize] as f64,
                };
                levels.iter().map(|l| value(*l)).collect()
            }
        }
    }
}
