//! Decoded granules of columns (ClickHouse's uncompressed cache): for queries that ask for it with
//! `use_uncompressed_cache`, short ones that come again and again.
//!
//! Parts never change, so an entry stays true for as long as it is kept. Bounded by bytes, 0 of them by
//! default; of what is kept the half that was not used for longest goes when there is no room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::block::Column;
use crate::log::PartId;

/// Bytes of an entry besides its values, about.
const ENTRY_BYTES: usize = 128;

/// A granule of a column, of a part or of a projection in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    pub(crate) part: PartId,
    pub(crate) footer_hash: u64,
    pub(crate) column: usize,
    pub(crate) granule: usize,
}

struct Entry {
    column: Column,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<BlockKey, Entry>,
    bytes: usize,
    uses: u64,
}

/// The cache of a store.
pub struct BlockCache {
    entries: Mutex<Entries>,
    bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What the cache holds and was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockCacheStats {
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
}

impl BlockCache {
    pub(crate) fn new(bytes_max: usize) -> BlockCache {
        BlockCache {
            entries: Mutex::default(),
            bytes_max,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, key: &BlockKey) -> Option<Column> {
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let used = entries.uses;
        let found = entries.by_key.get_mut(key).map(|entry| {
            entry.used = used;
            entry.column.clone()
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(crate) fn insert(&self, key: BlockKey, column: &Column) {
        let bytes = column.memory_bytes() + ENTRY_BYTES;
        if bytes > self.bytes_max {
            return;
        }
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let used = entries.uses;
        while entries.bytes + bytes > self.bytes_max {
            entries.forget_half();
        }
        let entry = Entry { column: column.clone(), bytes, used };
        entries.bytes += bytes;
        if let Some(before) = entries.by_key.insert(key, entry) {
            entries.bytes -= before.bytes;
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.entries.lock() = Entries::default();
    }

    pub fn stats(&self) -> BlockCacheStats {
        let entries = self.entries.lock();
        BlockCacheStats {
            entries: entries.by_key.len() as u64,
            bytes: entries.bytes as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl Entries {
    /// Half at a time, so that looking for the oldest is paid by many inserts.
    fn forget_half(&mut self) {
        let mut uses: Vec<u64> = self.by_key.values().map(|e| e.used).collect();
        if uses.is_empty() {
            self.bytes = 0;
            return;
        }
        let middle = (uses.len() - 1) / 2;
        let (_, median, _) = uses.select_nth_unstable(middle);
        let median = *median;
        self.by_key.retain(|_, entry| entry.used > median);
        self.bytes = self.by_key.values().map(|e| e.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DataType, Value};

    fn key(granule: usize) -> BlockKey {
        BlockKey { part: PartId { epoch: 1, number: 1 }, footer_hash: 7, column: 0, granule }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_the_bound_holds() {
        let column = Column::from_values(DataType::UInt64, &[Value::UInt(1)]).unwrap();
        let bytes = column.memory_bytes() + ENTRY_BYTES;
        let cache = BlockCache::new(4 * bytes);
        for granule in 0..4 {
            cache.insert(key(granule), &column);
        }
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(4), &column);
        assert!(cache.get(&key(0)).is_some(), "used last");
        assert!(cache.get(&key(1)).is_none());
        assert!(cache.get(&key(4)).is_some());
        for granule in 0..100 {
            cache.insert(key(granule), &column);
            assert!(cache.stats().bytes <= 4 * bytes as u64);
        }
        cache.clear();
        assert_eq!((cache.stats().bytes, cache.stats().entries), (0, 0));
        let none = BlockCache::new(0);
        none.insert(key(0), &column);
        assert!(none.get(&key(0)).is_none());
    }
}
