//! Which parts to merge next: a pure choice from the parts' sizes.
//!
//! Candidates are windows of neighbours (in block order) of one partition. A window is worth it if
//! it has enough parts and its largest is but a share of the whole, so that each rewrite of a byte
//! puts it into a part several times larger. Large parts cost a reader little each and much to rewrite, so
//! twice as many of them wait for each other. Of these windows the one that costs fewest bytes per part
//! removed wins, so small parts never wait for large ones.

use std::collections::HashSet;
use std::sync::Arc;

use crate::log::{PartId, PartMeta};

/// What an extra part costs a reader, as bytes: opening it, a short last granule, a seek.
const PART_COST_BYTES: u64 = 256 << 10;

/// Bounds of a merge.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits {
    /// Bytes of all source files of one merge, at most.
    pub merge_bytes_max: u64,
    /// Parts of a merge while inserts go on.
    pub parts_min: usize,
    /// Parts of a merge, at most (each is a buffer).
    pub parts_max: usize,
    /// Now, in the unit of `PartMeta::created_us`; a partition that has been quiet is merged further.
    pub now_us: u64,
}

impl Default for MergeLimits {
    fn default() -> Self {
        MergeLimits { merge_bytes_max: 100 << 30, parts_min: 8, parts_max: 32, now_us: 0 }
    }
}

const MINUTE_US: u64 = 60_000_000;

/// From this size on a part is large, and twice as many make a merge while inserts go on.
const LARGE_BYTES: u64 = 16 << 20;

impl MergeLimits {
    /// Parts that a merge must have in a partition whose newest part is that old.
    fn parts_min_at(&self, quiet_us: u64) -> usize {
        let quiet = match quiet_us / MINUTE_US {
            0..=4 => self.parts_min,
            5..=29 => 5,
            30..=119 => 3,
            _ => 2,
        };
        quiet.min(self.parts_min).max(2)
    }
}

/// The best merge among `parts` (one table's, in block order) that are not `busy`: two or more
/// neighbours of one partition, in block order. None if nothing is worth merging.
pub fn pick(
    parts: &[Arc<PartMeta>],
    limits: &MergeLimits,
    busy: &HashSet<PartId>,
) -> Option<Vec<PartId>> {
    let mut partitions: Vec<(&str, Vec<&PartMeta>)> = vec![];
    let mut position = std::collections::HashMap::new();
    for part in parts {
        let at = *position.entry(part.partition_id.as_str()).or_insert_with(|| {
            partitions.push((&part.partition_id, vec![]));
            partitions.len() - 1
        });
        partitions[at].1.push(part);
    }
    partitions
        .iter()
        .filter_map(|(_, parts)| pick_in_partition(parts, limits, busy))
        .min_by_key(|window| window.score)
        .map(|window| window.parts)
}

struct Window {
    /// Bytes rewritten per part removed.
    score: u64,
    parts: Vec<PartId>,
}

fn pick_in_partition(
    parts: &[&PartMeta],
    limits: &MergeLimits,
    busy: &HashSet<PartId>,
) -> Option<Window> {
    let newest = parts.iter().map(|p| p.created_us).max()?;
    let small_min = limits.parts_min_at(limits.now_us.saturating_sub(newest));
    // Where few make a merge somebody wants it, or the partition is quiet.
    let large_min = if small_min < MergeLimits::default().parts_min {
        small_min
    } else {
        (small_min * 2).min(limits.parts_max)
    };
    let mut best: Option<(u64, usize, usize)> = None;
    for first in 0..parts.len() {
        let (mut cost, mut bytes, mut largest) = (0u64, 0u64, 0u64);
        for (last, part) in parts.iter().enumerate().skip(first).take(limits.parts_max) {
            bytes = bytes.saturating_add(part.bytes);
            // Rows that have been through different mutations do not mix.
            let other = part.data_version != parts[first].data_version;
            if other || busy.contains(&part.id) || bytes > limits.merge_bytes_max {
                break;
            }
            let size = part.bytes.saturating_add(PART_COST_BYTES);
            cost = cost.saturating_add(size);
            largest = largest.max(size);
            let count = last - first + 1;
            let parts_min = if largest >= LARGE_BYTES { large_min } else { small_min };
            // In percent of the largest part: as if half of the parts were of its size.
            let whole_min = (parts_min as u64 * 50).max(150);
            if count < parts_min || largest.saturating_mul(whole_min) > cost.saturating_mul(100) {
                continue;
            }
            let score = cost / (count as u64 - 1);
            let better = best.is_none_or(|(s, f, l)| (score, l - f) < (s, last - first));
            if better {
                best = Some((score, first, last));
            }
        }
    }
    best.map(|(score, first, last)| Window {
        score,
        parts: parts[first..=last].iter().map(|p| p.id).collect(),
    })
}
