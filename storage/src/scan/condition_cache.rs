//! Which granules hold no row for which a condition holds, as queries found out: kept by part, number
//! of deleted rows (masks only grow), version of the table's definition, and the condition's hash.
//!
//! Parts never change, so an entry stays true for as long as it is kept. Bounded by bytes; what was not
//! used for longest goes first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::log::PartId;

/// Bytes of an entry besides its bits, about.
const ENTRY_BYTES: usize = 128;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConditionKey {
    pub(crate) part: PartId,
    pub(crate) deleted_rows: u64,
    pub(crate) definition_version: u64,
    pub(crate) condition: u128,
}

struct Entry {
    /// One bit per granule, set where no row matches.
    bits: Vec<u64>,
    used: u64,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<ConditionKey, Entry>,
    bytes: usize,
    uses: u64,
}

/// The cache of a store.
pub struct ConditionCache {
    entries: Mutex<Entries>,
    bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What the cache holds and was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConditionCacheStats {
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
}

impl ConditionCache {
    pub(crate) fn new(bytes_max: usize) -> ConditionCache {
        ConditionCache {
            entries: Mutex::default(),
            bytes_max,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whether none of these granules holds a matching row.
    pub(crate) fn rules_out(&self, key: &ConditionKey, granules: &[usize]) -> bool {
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let used = entries.uses;
        let found = entries.by_key.get_mut(key).is_some_and(|entry| {
            entry.used = used;
            let set = |g: &usize| entry.bits.get(g / 64).is_some_and(|w| w >> (g % 64) & 1 == 1);
            granules.iter().all(set)
        });
        let counter = if found { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// None of these granules, of a part of `total`, holds a matching row.
    pub(crate) fn rule_out(&self, key: ConditionKey, granules: &[usize], total: usize) {
        let bytes = total.div_ceil(64) * 8 + ENTRY_BYTES;
        if bytes > self.bytes_max {
            return;
        }
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let used = entries.uses;
        if !entries.by_key.contains_key(&key) {
            while entries.bytes + bytes > self.bytes_max {
                let oldest = entries.by_key.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| *k);
                let Some(gone) = oldest.and_then(|k| entries.by_key.remove(&k)) else { break };
                entries.bytes -= gone.bits.len() * 8 + ENTRY_BYTES;
            }
            entries.bytes += bytes;
            entries.by_key.insert(key, Entry { bits: vec![0; total.div_ceil(64)], used });
        }
        if let Some(entry) = entries.by_key.get_mut(&key) {
            entry.used = used;
            for granule in granules {
                if let Some(word) = entry.bits.get_mut(granule / 64) {
                    *word |= 1 << (granule % 64);
                }
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        entries.by_key.clear();
        entries.bytes = 0;
    }

    pub fn stats(&self) -> ConditionCacheStats {
        let entries = self.entries.lock();
        ConditionCacheStats {
            entries: entries.by_key.len() as u64,
            bytes: entries.bytes as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(part: u32, condition: u128) -> ConditionKey {
        ConditionKey {
            part: PartId { epoch: 1, number: part },
            deleted_rows: 0,
            definition_version: 1,
            condition,
        }
    }

    #[test]
    fn granules_are_ruled_out_until_their_entry_goes() {
        let cache = ConditionCache::new(2 * (ENTRY_BYTES + 16));
        cache.rule_out(key(1, 7), &[0, 70], 100);
        assert!(cache.rules_out(&key(1, 7), &[0, 70]));
        assert!(!cache.rules_out(&key(1, 7), &[0, 1]));
        assert!(!cache.rules_out(&key(1, 8), &[0]));
        let deleted = ConditionKey { deleted_rows: 1, ..key(1, 7) };
        assert!(!cache.rules_out(&deleted, &[0]));
        cache.rule_out(key(2, 7), &[1], 100);
        assert!(cache.rules_out(&key(1, 7), &[0]));
        cache.rule_out(key(3, 7), &[1], 100);
        assert!(!cache.rules_out(&key(2, 7), &[1]), "used longest ago");
        assert_eq!(cache.stats().entries, 2);
        cache.clear();
        assert_eq!(cache.stats().bytes, 0);
        assert!(!cache.rules_out(&key(1, 7), &[0]));
    }
}
