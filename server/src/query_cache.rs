//! Results of SELECTs that were asked for with `use_query_cache`, kept for a while.
//!
//! As in ClickHouse a result is given again until its time is over, whatever happens to the tables; of
//! another user's results only shared ones are seen. Bounded by entries and bytes: what is over goes to
//! make room, what is not stays, and then a new result is not kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pumphouse_storage::{Block, DataType};

/// Queries whose runs are counted (`query_cache_min_query_runs`).
const COUNTED_MAX: usize = 10_000;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct QueryCacheLimits {
    pub bytes: u64,
    pub entries: u64,
    pub entry_bytes: u64,
    pub entry_rows: u64,
}

/// What a result belongs to: everything that decides what it is, and who may see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryKey {
    /// Of the query's tree, the database and the settings.
    pub hash: u128,
    /// None: everybody's.
    pub user: Option<String>,
    pub tag: String,
}

/// A result, and what is shown of it.
#[derive(Clone)]
pub struct CachedResult {
    pub schema: Vec<(String, DataType)>,
    pub blocks: Vec<Block>,
    pub bytes: u64,
    pub query: String,
    pub query_id: String,
    pub owner: String,
    pub expires_us: u64,
}

/// What one user may keep; 0: no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserLimits {
    pub bytes: u64,
    pub entries: u64,
}

/// The cache of a server.
pub struct QueryCache {
    pub limits: QueryCacheLimits,
    held: Mutex<Held>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Held {
    results: HashMap<QueryKey, CachedResult>,
    runs: HashMap<QueryKey, u64>,
    bytes: u64,
}

/// What the cache holds and was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryCacheStats {
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
}

impl QueryCache {
    pub fn new(limits: QueryCacheLimits) -> QueryCache {
        QueryCache {
            limits,
            held: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The result for `key` if its time is not over.
    pub fn get(&self, key: &QueryKey, now_us: u64) -> Option<CachedResult> {
        let held = self.held.lock();
        let found = held.results.get(key).filter(|r| r.expires_us > now_us).cloned();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Counts a run; gives how many there were before.
    pub fn count_run(&self, key: &QueryKey) -> u64 {
        let mut held = self.held.lock();
        if held.runs.len() >= COUNTED_MAX && !held.runs.contains_key(key) {
            held.runs.clear();
        }
        let runs = held.runs.entry(key.clone()).or_default();
        *runs += 1;
        *runs - 1
    }

    /// Keeps a result, unless there is one whose time is not over, or no room.
    pub fn put(&self, key: QueryKey, result: CachedResult, user: UserLimits, now_us: u64) {
        let mut held = self.held.lock();
        if held.results.get(&key).is_some_and(|r| r.expires_us > now_us) {
            return;
        }
        held.forget(|k, _| *k == key);
        let full = |held: &Held| {
            held.bytes + result.bytes > self.limits.bytes
                || held.results.len() as u64 >= self.limits.entries
        };
        if full(&held) {
            held.forget(|_, r| r.expires_us <= now_us);
        }
        let own = held.results.values().filter(|r| r.owner == result.owner);
        let (entries, bytes) =
            own.fold((0, 0), |(entries, bytes), r| (entries + 1, bytes + r.bytes));
        let too_many = (user.entries > 0 && entries >= user.entries)
            || (user.bytes > 0 && bytes + result.bytes > user.bytes);
        if full(&held) || too_many {
            return;
        }
        held.bytes += result.bytes;
        held.results.insert(key, result);
    }

    /// Forgets all results, or those with a tag.
    pub fn clear(&self, tag: Option<&str>) {
        let mut held = self.held.lock();
        held.forget(|key, _| tag.is_none_or(|tag| key.tag == tag));
        if tag.is_none() {
            held.runs.clear();
        }
    }

    /// All results with their keys, those that are over too.
    pub fn list(&self) -> Vec<(QueryKey, CachedResult)> {
        let held = self.held.lock();
        held.results.iter().map(|(key, result)| (key.clone(), result.clone())).collect()
    }

    pub fn stats(&self) -> QueryCacheStats {
        let held = self.held.lock();
        QueryCacheStats {
            entries: held.results.len() as u64,
            bytes: held.bytes,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl Held {
    fn forget(&mut self, which: impl Fn(&QueryKey, &CachedResult) -> bool) {
        let bytes = &mut self.bytes;
        self.results.retain(|key, result| {
            let gone = which(key, result);
            if gone {
                *bytes -= result.bytes;
            }
            !gone
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: u128) -> QueryKey {
        QueryKey { hash, user: Some("default".into()), tag: String::new() }
    }

    fn result(bytes: u64, expires_us: u64) -> CachedResult {
        CachedResult {
            schema: vec![],
            blocks: vec![],
            bytes,
            query: String::new(),
            query_id: String::new(),
            owner: "default".into(),
            expires_us,
        }
    }

    #[test]
    fn results_last_their_time_and_room_is_made_by_what_is_over() {
        let limits = QueryCacheLimits { bytes: 100, entries: 2, entry_bytes: 50, entry_rows: 9 };
        let cache = QueryCache::new(limits);
        let none = UserLimits::default();
        cache.put(key(1), result(40, 10), none, 0);
        cache.put(key(2), result(40, 20), none, 0);
        cache.put(key(3), result(10, 20), none, 5);
        assert!(cache.get(&key(3), 5).is_none(), "no entry is over");
        assert!(cache.get(&key(1), 9).is_some());
        assert!(cache.get(&key(1), 10).is_none());
        cache.put(key(3), result(10, 30), none, 12);
        assert!(cache.get(&key(3), 12).is_some());
        assert_eq!(cache.stats().bytes, 50);
        let other = QueryKey { user: Some("other".into()), ..key(3) };
        assert!(cache.get(&other, 12).is_none());
        cache.clear(Some("x"));
        assert_eq!(cache.stats().entries, 2);
        cache.clear(None);
        assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
    }

    #[test]
    fn a_user_may_be_limited_and_runs_are_counted() {
        let limits = QueryCacheLimits { bytes: 100, entries: 9, entry_bytes: 50, entry_rows: 9 };
        let cache = QueryCache::new(limits);
        let one = UserLimits { bytes: 0, entries: 1 };
        cache.put(key(1), result(1, 10), one, 0);
        cache.put(key(2), result(1, 10), one, 0);
        assert_eq!(cache.stats().entries, 1);
        assert_eq!([cache.count_run(&key(5)), cache.count_run(&key(5))], [0, 1]);
    }
}
