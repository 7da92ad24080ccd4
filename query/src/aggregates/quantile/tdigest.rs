//! `quantileTDigest`: centroids that are finer towards both ends. Means and counts are Float32, as in
//! ClickHouse.

use super::Digest;
use crate::aggregates::kernel::{State, wire};
use crate::error::Result;

const EPSILON: f32 = 0.01;
const CENTROIDS_MAX: usize = 2048;
const UNMERGED_MAX: usize = 2048;

#[derive(Clone, Copy)]
struct Centroid {
    mean: f32,
    count: f32,
}

#[derive(Default, Clone)]
pub(in crate::aggregates) struct TDigest {
    centroids: Vec<Centroid>,
    count: f32,
    unmerged: usize,
}

impl TDigest {
    fn push(&mut self, centroid: Centroid) {
        if self.unmerged >= UNMERGED_MAX {
            self.compress();
        }
        self.centroids.push(centroid);
        self.unmerged += 1;
        self.count += centroid.count;
    }

    /// Merges neighbours while the result stays fine enough for its place.
    fn compress(&mut self) {
        if self.unmerged == 0 && self.centroids.len() <= CENTROIDS_MAX {
            return;
        }
        self.centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        let factor = self.count * EPSILON * 4.0;
        let centroids = &mut self.centroids;
        let (mut sum, mut left) = (0f32, 0usize);
        let mut eating = centroids[0];
        for right in 1..centroids.len() {
            let next = centroids[right];
            let ql = (sum + eating.count * 0.5) / self.count;
            let qr = (sum + eating.count + next.count * 0.5) / self.count;
            let error = (ql * (1.0 - ql)).min(qr * (1.0 - qr));
            let mergeable = eating.mean == next.mean
                || (!eating.mean.is_infinite() && !next.mean.is_infinite());
            if eating.count + next.count <= factor * error && mergeable {
                eating.count += next.count;
                if next.mean != eating.mean {
                    eating.mean += next.count * (next.mean - eating.mean) / eating.count;
                }
                centroids[left] = eating;
            } else {
                sum += centroids[left].count;
                left += 1;
                centroids[left] = next;
                eating = next;
            }
        }
        self.count = sum + eating.count;
        centroids.truncate(left + 1);
        self.unmerged = 0;
        self.halve();
    }

    /// The last resort against too many centroids: equal-sized neighbours are merged.
    fn halve(&mut self) {
        if self.centroids.len() <= CENTROIDS_MAX {
            return;
        }
        let batch = self.centroids.len().div_ceil(CENTROIDS_MAX);
        let merged = self.centroids.chunks(batch).map(|chunk| {
            let count: f32 = chunk.iter().map(|c| c.count).sum();
            let mean = chunk.iter().map(|c| c.mean * c.count).sum::<f32>() / count;
            Centroid { mean, count }
        });
        self.centroids = merged.collect();
    }

    fn quantile(&self, level: f64) -> f64 {
        let (Some(first), Some(last)) = (self.centroids.first(), self.centroids.last()) else {
            return f64::NAN;
        };
        if self.centroids.len() == 1 {
            return first.mean as f64;
        }
        let x = level * self.count as f64;
        let (mut before_x, mut sum, mut before) = (0f64, 0f32, *first);
        for c in &self.centroids {
            let here = (sum + c.count * 0.5) as f64;
            if here >= x {
                let left = before_x + 0.5 * (before.count == 1.0) as u8 as f64;
                let right = here - 0.5 * (c.count == 1.0) as u8 as f64;
                if x <= left {
                    return before.mean as f64;
                }
                if x >= right {
                    return c.mean as f64;
                }
                let k = (x as f32 as f64 - left) / (right - left);
                return ((1.0 - k) * before.mean as f64 + k * c.mean as f64) as f32 as f64;
            }
            sum += c.count;
            before = *c;
            before_x = here;
        }
        last.mean as f64
    }
}

impl State for TDigest {
    const HEAP: bool = true;

    fn merge(&mut self, other: &Self) {
        for centroid in &other.centroids {
            self.push(*centroid);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut compressed = self.clone();
        compressed.compress();
        wire::write_varint(compressed.centroids.len() as u64, out);
        for c in &compressed.centroids {
            out.extend_from_slice(&c.mean.to_le_bytes());
            out.extend_from_slice(&c.count.to_le_bytes());
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut digest = TDigest::default();
        for _ in 0..wire::read_count(input)? {
            let mean = f32::from_le_bytes(wire::array(input)?);
            let count = f32::from_le_bytes(wire::array(input)?);
            digest.centroids.push(Centroid { mean, count });
            digest.count += count;
        }
        Ok(digest)
    }

    fn heap_bytes(&self) -> usize {
        self.centroids.capacity() * 8
    }
}

impl Digest for TDigest {
    fn add(&mut self, value: f64, weight: u64) {
        let mean = value as f32;
        if !mean.is_nan() && weight > 0 {
            self.push(Centroid { mean, count: weight as f32 });
        }
    }

    fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
        let mut digest = self.clone();
        digest.compress();
        levels.iter().map(|l| digest.quantile(*l)).collect()
    }
}
