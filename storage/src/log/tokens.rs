//! The insert tokens of a table: a window of the newest ones, looked up in constant time.
//!
//! A state is cloned at every commit, so the tokens lie in shards by hash: adding one copies one
//! small shard, cloning copies a pointer. Tokens that fell out of the window are absent at once and
//! cleared away when their shard is next written.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

const SHARDS: usize = 256;

type Shard = HashMap<Arc<str>, u64, BuildHasherDefault<DefaultHasher>>;

/// The newest tokens of a table.
#[derive(Clone, Default)]
pub struct Tokens {
    /// Empty until the first token.
    shards: Arc<Vec<Arc<Shard>>>,
    /// Number of the next token.
    next: u64,
    /// Number of the oldest token that counts.
    first: u64,
}

impl Tokens {
    fn shard_of(token: &str) -> usize {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        (hasher.hash_one(token) as usize) % SHARDS
    }

    pub fn contains(&self, token: &str) -> bool {
        let shard = self.shards.get(Self::shard_of(token));
        shard.and_then(|s| s.get(token)).is_some_and(|number| *number >= self.first)
    }

    /// Adds a token; only the newest `window` ones still count.
    pub fn add(&mut self, token: &str, window: usize) {
        let shards = Arc::make_mut(&mut self.shards);
        shards.resize_with(SHARDS, Arc::default);
        let number = self.next;
        self.next += 1;
        self.first = self.first.max(self.next.saturating_sub(window.max(1) as u64));
        let shard = Arc::make_mut(&mut shards[Self::shard_of(token)]);
        shard.retain(|_, number| *number >= self.first);
        shard.insert(token.into(), number);
    }

    /// The tokens that count, oldest first.
    pub fn in_order(&self) -> Vec<Arc<str>> {
        let all = self.shards.iter().flat_map(|shard| shard.iter());
        let mut live: Vec<(u64, Arc<str>)> =
            all.filter(|(_, n)| **n >= self.first).map(|(t, n)| (*n, t.clone())).collect();
        live.sort();
        live.into_iter().map(|(_, token)| token).collect()
    }

    pub fn len(&self) -> usize {
        self.in_order().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What [`Tokens::in_order`] gave.
    pub fn from_order(tokens: impl IntoIterator<Item = String>) -> Tokens {
        let mut all = Tokens::default();
        tokens.into_iter().for_each(|token| all.add(&token, usize::MAX));
        all
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.in_order()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_count_and_clones_do_not_change() {
        let mut tokens = Tokens::default();
        for i in 0..2_000 {
            tokens.add(&i.to_string(), 100);
        }
        let before = tokens.clone();
        tokens.add("new", 100);
        assert!(before.contains("1900") && !before.contains("new") && !before.contains("1899"));
        assert!(tokens.contains("new") && !tokens.contains("1900"));
        assert_eq!(tokens.len(), 100);
        let again = Tokens::from_order(tokens.in_order().iter().map(|t| t.to_string()));
        assert_eq!(format!("{again:?}"), format!("{tokens:?}"));
    }
}
