//! The groups of one partition: their rows one after the other, and an index of small slots (a tag of
//! the hash and the row's number) that stays in the cache with them. A batch of entries is hashed, then
//! its slots and then its rows are asked for, so that the look-ups themselves seldom wait.
//!
//! Keys are compared whole. String keys are first matched by hash and length, a batch at a time, and
//! their bytes compared when the caches have been asked for them; equal hashes of different strings
//! are told apart there.
//!
//! Narrow rows of fixed keys need no index: they lie in the slots themselves ([`open`]), so that a look-up is one
//! cache line and one branch.

use std::ops::RangeInclusive;
use std::sync::Arc;

use pumphouse_storage::same_bytes::is_same_bytes;

use super::layout::{Layout, masked};
use super::open;
use super::slab::{ask_for, prefetch};
use super::texts::Texts;
use crate::aggregates::packed::{Entries, States};
use crate::error::{Error, Result, codes};

pub(super) const BATCH: usize = 128;
/// Bits of a slot for the row's number (and one more, so that 0 is empty).
const NUMBER_BITS: u32 = 22;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;
const SLOTS_MIN: usize = 256;

/// See the file's head.
pub(in crate::execute::aggregate) struct Groups {
    layout: Arc<Layout>,
    /// `layout.width` words each; room for a batch more than there are.
    rows: Vec<u64>,
    len: usize,
    index: Vec<u32>,
    /// Instead of both, until rows are asked for.
    open: Option<open::Slots>,
    /// `rows` holds what `open` does.
    settled: bool,
    /// A row of empty states.
    fresh: Vec<u64>,
    /// What [`Groups::rows_within`] gave.
    near: Vec<u64>,
}

impl Groups {
    pub fn new(layout: &Arc<Layout>) -> Groups {
        let mut fresh = vec![0; layout.width];
        for aggregate in layout.aggregates.iter().filter(|a| a.has_state) {
            fresh[aggregate.at] = aggregate.packed.empty();
        }
        let open = open::serves(layout).then(open::Slots::default);
        Groups {
            layout: layout.clone(),
            rows: vec![],
            len: 0,
            index: vec![],
            open,
            settled: false,
            fresh,
            near: vec![],
        }
    }

    /// Forgets all groups; at most `entries` will come. About as many groups as last time are
    /// expected: partitions are alike. Where keys repeat the index gets more room: a slot that another key has
    /// taken costs a branch that the processor guesses wrongly.
    pub fn clear(&mut self, entries: usize) {
        let expected = (self.len + self.len / 8).min(entries);
        (self.len, self.settled) = (0, false);
        let roomy = if expected * 2 <= entries { 2 } else { 1 };
        let slots = (expected * 2 * roomy).next_power_of_two().max(SLOTS_MIN);
        if let Some(open) = &mut self.open {
            open.clear(slots, self.layout.width);
            return;
        }
        self.index.clear();
        self.index.resize(slots, 0);
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// What is there, one row after the other.
    pub fn rows(&mut self) -> &[u64] {
        if let (Some(open), false) = (&self.open, self.settled) {
            open.rows_to(&self.layout, &mut self.rows);
            self.settled = true;
        }
        &self.rows[..self.len * self.layout.width]
    }

    /// The rows whose word `at` is within `range`, one after the other.
    pub fn rows_within(&mut self, at: usize, range: &RangeInclusive<u64>) -> &[u64] {
        self.near.clear();
        match &self.open {
            Some(open) => open.rows_within(&self.layout, at, range, &mut self.near),
            None => {
                let width = self.layout.width;
                let rows = self.rows[..self.len * width].chunks_exact(width);
                rows.filter(|row| range.contains(&row[at]))
                    .for_each(|row| self.near.extend_from_slice(row));
            }
        }
        &self.near
    }

    pub fn memory_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, open::Slots::memory_bytes);
        // With those that are gathered when they are asked for.
        let rows = self.rows.capacity().max((self.len + 2) * self.layout.width);
        (rows + self.near.capacity()) * 8 + self.index.capacity() * 4 + open
    }

    /// Adds entries of input.
    pub fn add_entries(&mut self, entries: &[u64], texts: &Texts) -> Result<()> {
        let layout = self.layout.clone();
        let width = layout.width;
        self.add(entries, layout.stride, texts, &mut |rows, numbers, entries| {
            match (layout.count_at, layout.weight) {
                (Some(at), None) => {
                    numbers.iter().for_each(|n| rows[*n as usize * width + at] += 1);
                }
                (Some(at), Some(weight)) => {
                    let weighed = entries.rows.chunks_exact(entries.stride);
                    for (number, entry) in numbers.iter().zip(weighed) {
                        rows[*number as usize * width + at] += weight.get(entry);
                    }
                }
                (None, _) => {}
            }
            for a in layout.aggregates.iter().filter(|a| a.has_state) {
                a.packed.update(States { rows, width, at: a.at }, numbers, entries, a.field);
            }
        })
    }

    /// Adds groups of other tables, in the form of this one's rows.
    pub fn add_rows(&mut self, rows: &[u64], texts: &Texts) -> Result<()> {
        let layout = self.layout.clone();
        let width = layout.width;
        self.add(rows, width, texts, &mut |rows, numbers, entries| {
            if let Some(at) = layout.count_at {
                for (number, entry) in numbers.iter().zip(entries.rows.chunks_exact(width)) {
                    rows[*number as usize * width + at] += entry[at];
                }
            }
            for a in layout.aggregates.iter().filter(|a| a.has_state) {
                a.packed.merge(States { rows, width, at: a.at }, numbers, entries);
            }
        })
    }

    fn add(
        &mut self,
        entries: &[u64],
        stride: usize,
        texts: &Texts,
        update: &mut dyn FnMut(&mut [u64], &[u32], Entries<'_>),
    ) -> Result<()> {
        let mut numbers = [0u32; BATCH];
        for (i, batch) in entries.chunks(BATCH * stride).enumerate() {
            ask_for(entries, (i + 1) * BATCH * stride, BATCH * stride);
            let numbers = &mut numbers[..batch.len() / stride];
            if let Some(open) = &mut self.open {
                self.settled = false;
                self.len = open.find(&self.layout, &self.fresh, batch, stride, numbers)?;
                if !self.layout.aggregates.is_empty() {
                    update(open.rows_mut(), numbers, Entries { rows: batch, stride });
                }
                continue;
            }
            self.reserve(numbers.len())?;
            let has_text = self.layout.texts > 0;
            macro_rules! find {
                ($($k:literal)*) => {
                    match (self.layout.key_words(), has_text) {
                        $(($k, false) => self.find::<$k, false>(batch, stride, numbers, texts),)*
                        $(($k, true) => self.find::<$k, true>(batch, stride, numbers, texts),)*
                        _ => return Err(Error::new(codes::LOGICAL_ERROR, "a key of no such width")),
                    }
                };
            }
            find!(1 2 3 4 5 6);
            if !self.layout.aggregates.is_empty() {
                update(&mut self.rows, numbers, Entries { rows: batch, stride });
            }
        }
        Ok(())
    }

    /// Makes room for `more` groups: at most half of the slots are used.
    fn reserve(&mut self, more: usize) -> Result<()> {
        if self.len + more >= NUMBER_MASK as usize {
            return Err(Error::new(codes::TOO_MANY_ROWS, "too many groups"));
        }
        let words = (self.len + more) * self.layout.width;
        if words > self.rows.len() {
            // Grows by doubling, as a vector does.
            self.rows.reserve(words - self.rows.len());
            self.rows.resize(self.rows.capacity(), 0);
        }
        if (self.len + more) * 2 > self.index.len() {
            let slots = ((self.len + more) * 2).next_power_of_two().max(self.index.len() * 2);
            self.index.clear();
            self.index.resize(slots, 0);
            macro_rules! refill {
                ($($k:literal)*) => {
                    match (self.layout.key_words(), self.layout.texts > 0) {
                        $(($k, false) => self.refill::<$k, false>(),)*
                        $(($k, true) => self.refill::<$k, true>(),)*
                        _ => {}
                    }
                };
            }
            refill!(1 2 3 4 5 6);
        }
        Ok(())
    }

    fn refill<const K: usize, const TEXT: bool>(&mut self) {
        let mask = self.index.len() - 1;
        let rows = self.rows.chunks_exact(self.layout.width).take(self.len);
        for (number, row) in rows.enumerate() {
            let Some(key) = row.first_chunk::<K>() else { return };
            let hash = self.layout.hash::<K, TEXT>(key);
            let mut at = (hash >> self.layout.partition_bits) as usize & mask;
            while self.index[at] != 0 {
                at = (at + 1) & mask;
            }
            self.index[at] = slot_of(hash, number);
        }
    }

    /// The group of each entry of a batch; new keys become groups.
    fn find<const K: usize, const TEXT: bool>(
        &mut self,
        batch: &[u64],
        stride: usize,
        numbers: &mut [u32],
        texts: &Texts,
    ) {
        let mut masks = [0u64; K];
        masks.copy_from_slice(&self.layout.masks);
        let key_of = |entry: &[u64]| masked(entry, &masks);
        let fixed = self.layout.fixed_words;
        let mut hashes = [0u64; BATCH];
        self.ask_ahead(
            &mut hashes,
            batch.chunks_exact(stride).map(|entry| self.layout.hash::<K, TEXT>(&key_of(entry))),
        );
        let mut unsure = false;
        let pairs = numbers.iter_mut().zip(batch.chunks_exact(stride));
        for ((number, entry), hash) in pairs.zip(hashes) {
            let key = key_of(entry);
            *number = self.probe::<K>(&key, hash, |row| {
                if TEXT { is_like(&key, row, fixed) } else { key == *row }
            });
            if TEXT {
                let row = &self.rows[*number as usize * self.layout.width..][..K];
                if row[fixed..] != key[fixed..] {
                    unsure = true;
                    let mut text = fixed + 1;
                    while text < K {
                        texts.prefetch(row[text]);
                        texts.prefetch(key[text]);
                        text += 2;
                    }
                }
            }
        }
        if TEXT && unsure {
            let pairs = numbers.iter_mut().zip(batch.chunks_exact(stride));
            for ((number, entry), hash) in pairs.zip(hashes) {
                let key = key_of(entry);
                let row = &self.rows[*number as usize * self.layout.width..];
                let Some(row) = row.first_chunk::<K>() else { return };
                if !has_texts(&key, row, fixed, texts) {
                    *number = self.probe::<K>(&key, hash, |row| {
                        is_like(&key, row, fixed) && has_texts(&key, row, fixed, texts)
                    });
                }
            }
        }
    }

    /// Asks for the slots of a batch's hashes, and for the rows that they name.
    #[inline(always)]
    fn ask_ahead(&self, hashes: &mut [u64; BATCH], batch: impl Iterator<Item = u64>) {
        let mask = self.index.len() - 1;
        let mut count = 0;
        for (slot, hash) in hashes.iter_mut().zip(batch) {
            prefetch(&self.index, (hash >> self.layout.partition_bits) as usize & mask);
            *slot = hash;
            count += 1;
        }
        for hash in &hashes[..count] {
            let at = (hash >> self.layout.partition_bits) as usize & mask;
            // An empty slot names a row that is not there, which does no harm.
            let number = (self.index[at] & NUMBER_MASK).wrapping_sub(1) as usize;
            prefetch(&self.rows, number.wrapping_mul(self.layout.width));
        }
    }

    /// The first group for which `same` holds, or a new one.
    #[inline(always)]
    fn probe<const K: usize>(
        &mut self,
        key: &[u64; K],
        hash: u64,
        same: impl Fn(&[u64; K]) -> bool,
    ) -> u32 {
        let width = self.layout.width;
        let mask = self.index.len() - 1;
        let mut at = (hash >> self.layout.partition_bits) as usize & mask;
        loop {
            let slot = self.index[at];
            if slot == 0 {
                self.index[at] = slot_of(hash, self.len);
                let row = &mut self.rows[self.len * width..][..width];
                row[..K].copy_from_slice(key);
                for (word, fresh) in row[K..].iter_mut().zip(&self.fresh[K..]) {
                    *word = *fresh;
                }
                self.len += 1;
                return self.len as u32 - 1;
            }
            if slot >> NUMBER_BITS == tag_of(hash) {
                let number = (slot & NUMBER_MASK) - 1;
                let row = &self.rows[number as usize * width..];
                if row.first_chunk::<K>().is_some_and(&same) {
                    return number;
                }
            }
            at = (at + 1) & mask;
        }
    }
}

#[inline(always)]
fn tag_of(hash: u64) -> u32 {
    (hash >> (32 + NUMBER_BITS)) as u32
}

#[inline(always)]
fn slot_of(hash: u64, number: usize) -> u32 {
    tag_of(hash) << NUMBER_BITS | (number as u32 + 1)
}

/// Equal but perhaps for the bytes of texts.
#[inline(always)]
fn is_like<const K: usize>(a: &[u64; K], b: &[u64; K], fixed: usize) -> bool {
    let mut word = 0;
    while word < fixed {
        if a[word] != b[word] {
            return false;
        }
        word += 1;
    }
    while word + 1 < K {
        if a[word] != b[word] || !Texts::alike(a[word + 1], b[word + 1]) {
            return false;
        }
        word += 2;
    }
    true
}

/// Equal texts.
#[inline(always)]
fn has_texts<const K: usize>(a: &[u64; K], b: &[u64; K], fixed: usize, texts: &Texts) -> bool {
    let mut word = fixed + 1;
    while word < K {
        if a[word] != b[word] && !is_same_bytes(texts.get(a[word]), texts.get(b[word])) {
            return false;
        }
        word += 2;
    }
    true
}
