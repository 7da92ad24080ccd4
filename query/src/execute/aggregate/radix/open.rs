//! Groups of fixed keys in the slots of one table: key and states of a row beside each other, found at their hash.
//!
//! A slot whose key words are all zero is empty; the group of that key has a place of its own behind the slots. At
//! most half of the slots are used. Against an index of numbers beside dense rows this costs memory, so only
//! narrow rows are kept so, and saves a look-up and a branch for each entry.

use std::ops::RangeInclusive;

use super::groups::BATCH;
use super::layout::{Layout, masked};
use super::slab::prefetch;
use crate::error::{Error, Result, codes};

/// Words of a row, at most.
const WIDTH_MAX: usize = 3;
/// Words of its key, at most.
const KEY_WORDS_MAX: usize = 2;
/// Slots are told by 32 bits.
const SLOTS_MAX: usize = 1 << 30;

/// Sets the highest bit if `word` is 0, and clears it else.
#[inline(always)]
fn zero_to_top_bit(word: u64) -> u64 {
    word.wrapping_sub(1) & !word
}

/// Whether groups of this form are kept so.
pub(super) fn serves(layout: &Layout) -> bool {
    layout.texts == 0 && layout.width <= WIDTH_MAX && layout.key_words() <= KEY_WORDS_MAX
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Slots {
    /// A row a slot, and one for the key of zeros.
    rows: Vec<u64>,
    slots: usize,
    used: usize,
    has_zero: bool,
}

/// Runs `$call` with key words and width of `$layout` as constants; `$other` where `serves` says no.
macro_rules! sized {
    ($layout:expr, $call:ident ( $($argument:expr),* ), $on:expr, $other:expr) => {
        match ($layout.key_words(), $layout.width) {
            (1, 1) => $on.$call::<1, 1>($($argument),*),
            (1, 2) => $on.$call::<1, 2>($($argument),*),
            (1, 3) => $on.$call::<1, 3>($($argument),*),
            (2, 2) => $on.$call::<2, 2>($($argument),*),
            (2, 3) => $on.$call::<2, 3>($($argument),*),
            _ => $other,
        }
    };
}

impl Slots {
    /// Forgets all; `slots` is a power of two.
    pub(super) fn clear(&mut self, slots: usize, width: usize) {
        self.rows.clear();
        self.rows.resize((slots + 1) * width, 0);
        (self.slots, self.used, self.has_zero) = (slots, 0, false);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.rows.capacity() * 8
    }

    /// Rows by the numbers that `find` gives.
    pub(super) fn rows_mut(&mut self) -> &mut [u64] {
        &mut self.rows
    }

    /// The slot of each entry of a batch; new keys become groups with the states of `fresh`. Gives how many there
    /// are.
    pub(super) fn find(
        &mut self,
        layout: &Layout,
        fresh: &[u64],
        batch: &[u64],
        stride: usize,
        numbers: &mut [u32],
    ) -> Result<usize> {
        let misfit = || Error::new(codes::LOGICAL_ERROR, "a key of no such width");
        if (self.used + numbers.len()) * 2 > self.slots {
            let slots = ((self.used + numbers.len()) * 2).next_power_of_two();
            let slots = slots.max(self.slots * 2);
            if slots > SLOTS_MAX {
                return Err(Error::new(codes::TOO_MANY_ROWS, "too many groups"));
            }
            sized!(layout, grow(layout, slots), self, return Err(misfit()));
        }
        sized!(
            layout,
            find_batch(layout, fresh, batch, stride, numbers),
            self,
            return Err(misfit())
        );
        Ok(self.used + usize::from(self.has_zero))
    }

    fn find_batch<const K: usize, const W: usize>(
        &mut self,
        layout: &Layout,
        fresh: &[u64],
        batch: &[u64],
        stride: usize,
        numbers: &mut [u32],
    ) {
        let mut masks = [0u64; K];
        masks.copy_from_slice(&layout.masks);
        let key_of = |entry: &[u64]| masked(entry, &masks);
        macro_rules! with_stride {
            ($s:literal) => {{
                let keys = batch.as_chunks::<$s>().0.iter().map(|entry| key_of(entry));
                self.find_keys::<K, W>(layout, fresh, keys, numbers)
            }};
        }
        match stride {
            1 => with_stride!(1),
            2 => with_stride!(2),
            3 => with_stride!(3),
            _ => self.find_keys::<K, W>(
                layout,
                fresh,
                batch.chunks_exact(stride).map(key_of),
                numbers,
            ),
        }
    }

    fn grow<const K: usize, const W: usize>(&mut self, layout: &Layout, slots: usize) {
        let old = std::mem::take(&mut self.rows);
        let old = old.as_chunks::<W>().0;
        self.rows = vec![0; (slots + 1) * W];
        let rows = self.rows.as_chunks_mut::<W>().0;
        let mask = slots - 1;
        if let (Some(last), Some(zero)) = (rows.last_mut(), old.last()) {
            *last = *zero;
        }
        for row in &old[..self.slots.min(old.len())] {
            let Some(key) = row.first_chunk::<K>() else { continue };
            if *key == [0; K] {
                continue;
            }
            let hash = layout.hash::<K, false>(key);
            let mut at = (hash >> layout.partition_bits) as usize & mask;
            while rows[at].first_chunk::<K>() != Some(&[0; K]) {
                at = (at + 1) & mask;
            }
            rows[at] = *row;
        }
        self.slots = slots;
    }

    #[inline(always)]
    fn find_keys<const K: usize, const W: usize>(
        &mut self,
        layout: &Layout,
        fresh: &[u64],
        keys: impl Iterator<Item = [u64; K]> + Clone,
        numbers: &mut [u32],
    ) {
        let (mask, zero_at) = (self.slots - 1, self.slots);
        let rows = self.rows.as_chunks_mut::<W>().0;
        let mut states = [0u64; W];
        states.copy_from_slice(&fresh[..W]);
        let mut starts = [0u32; BATCH];
        for (start, key) in starts.iter_mut().zip(keys.clone()) {
            let hash = layout.hash::<K, false>(&key);
            let at = (hash >> layout.partition_bits) as usize & mask;
            prefetch(rows, at);
            *start = at as u32;
        }
        let mut used = self.used;
        for ((number, key), start) in numbers.iter_mut().zip(keys).zip(starts) {
            let mut at = start as usize;
            if key == [0; K] {
                if !std::mem::replace(&mut self.has_zero, true) {
                    rows[zero_at] = states;
                }
                *number = zero_at as u32;
                continue;
            }
            loop {
                let row = &mut rows[at];
                let (mut own, mut differs) = (0, 0);
                for (word, key) in row.iter().zip(&key) {
                    own |= word;
                    differs |= word ^ key;
                }
                // Found or new is no branch, which the processor would guess wrongly: both are written. Told by sums,
                // as of two comparisons the compiler makes two branches.
                let is_free = zero_to_top_bit(own);
                if (is_free | zero_to_top_bit(differs)) >> 63 == 1 {
                    used += (is_free >> 63) as usize;
                    row[..K].copy_from_slice(&key);
                    for (word, fresh) in row[K..].iter_mut().zip(&states[K..]) {
                        *word = if own == 0 { *fresh } else { *word };
                    }
                    break;
                }
                at = (at + 1) & mask;
            }
            *number = at as u32;
        }
        self.used = used;
    }

    /// Makes `dense` the rows, one after the other.
    pub(super) fn rows_to(&self, layout: &Layout, dense: &mut Vec<u64>) {
        sized!(layout, dense_rows(dense), self, ());
    }

    /// Appends the rows whose word `at` is within `range`.
    pub(super) fn rows_within(
        &self,
        layout: &Layout,
        at: usize,
        range: &RangeInclusive<u64>,
        out: &mut Vec<u64>,
    ) {
        sized!(layout, near_rows(at, range, out), self, ());
    }

    fn near_rows<const K: usize, const W: usize>(
        &self,
        at: usize,
        range: &RangeInclusive<u64>,
        out: &mut Vec<u64>,
    ) {
        let rows = self.rows.as_chunks::<W>().0;
        let at = at.min(W - 1);
        for row in &rows[..self.slots.min(rows.len())] {
            // Few are, so that this is a branch that is guessed well; most free slots fail it, too.
            if range.contains(&row[at]) && row.first_chunk::<K>() != Some(&[0; K]) {
                out.extend_from_slice(row);
            }
        }
        if let Some(zero) = rows.last()
            && self.has_zero
            && range.contains(&zero[at])
        {
            out.extend_from_slice(zero);
        }
    }

    fn dense_rows<const K: usize, const W: usize>(&self, dense: &mut Vec<u64>) {
        let rows = self.rows.as_chunks::<W>().0;
        // Room for one more: each row is written where the next belongs, whether it stays or not.
        dense.clear();
        dense.resize((self.used + 2) * W, 0);
        let to = dense.as_chunks_mut::<W>().0;
        let mut kept = 0;
        for row in &rows[..self.slots] {
            to[kept] = *row;
            kept += usize::from(row.first_chunk::<K>() != Some(&[0; K]));
        }
        if self.has_zero {
            to[kept] = rows[self.slots];
            kept += 1;
        }
        dense.truncate(kept * W);
    }
}
