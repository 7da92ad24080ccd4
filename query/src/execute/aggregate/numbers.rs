//! Strings as numbers: each distinct string of a key column gets one, the same for all threads, so that
//! grouping moves and compares words and never comes back to the bytes.
//!
//! Sharded by hash; a block's strings are looked up shard by shard, in batches whose cache lines are
//! asked for ahead, and compared whole. It pays while strings repeat and are not too many: then it
//! closes, what has a number keeps it, and keys go on as strings.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use parking_lot::Mutex;
use pumphouse_storage::Column;

use super::radix::prefetch;
use crate::context::MemoryGuard;
use crate::error::{Error, Result, codes};
use crate::execute::key_table::{ABSENT, coded, hash_bytes};

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// Lookups whose cache lines are asked for together.
const BATCH: usize = 32;
const SLOTS_MIN: usize = 64;
/// From so many strings on they are worth it only if half of the lookups find one.
const JUDGED_FROM: usize = 1 << 14;
/// Strings and their bytes, at most (and what one block adds).
const TEXTS_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 128 << 20;

/// See the file's head.
pub(super) struct TextNumbers {
    shards: Box<[Mutex<Shard>]>,
    lookups: AtomicUsize,
    texts: AtomicUsize,
    bytes: AtomicUsize,
    closed: AtomicBool,
    memory: Mutex<MemoryGuard>,
    bytes_max: usize,
}

/// One thread's memory between blocks.
#[derive(Default)]
pub(super) struct Lookup {
    /// Rows of the strings that are looked up.
    rows: Vec<u32>,
    hashes: Vec<u64>,
    /// Places in `rows`, shard by shard.
    order: Vec<u32>,
    numbers: Vec<u32>,
    /// Of each row or dictionary string: its place in `rows`.
    places: Vec<u32>,
}

impl TextNumbers {
    /// At most `bytes_max` bytes, and what one block adds.
    pub fn new(memory: MemoryGuard, bytes_max: u64) -> TextNumbers {
        TextNumbers {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            lookups: AtomicUsize::new(0),
            texts: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            memory: Mutex::new(memory),
            bytes_max: BYTES_MAX.min(usize::try_from(bytes_max).unwrap_or(usize::MAX)),
        }
    }

    /// The number of each row's string; None if no more are given. With `once`, each string's number
    /// at least once and not row by row.
    pub fn number(
        &self,
        column: &Column,
        once: bool,
        lookup: &mut Lookup,
    ) -> Result<Option<Vec<u32>>> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let codes = coded(column);
        let texts = match codes {
            Some(codes) => {
                lookup.use_codes(codes.codes, codes.values.len());
                codes.values
            }
            None => {
                let texts = column.array.as_binary::<i32>();
                lookup.use_rows(texts);
                texts
            }
        };
        self.look_up(texts, lookup)?;
        let Lookup { numbers, places, .. } = &*lookup;
        let of = |place: &u32| numbers[*place as usize];
        Ok(Some(match codes {
            _ if once => numbers.clone(),
            Some(codes) => codes.codes.iter().map(|code| of(&places[*code as usize])).collect(),
            None => places.iter().map(of).collect(),
        }))
    }

    /// Finds or gives the numbers of `lookup.rows`.
    fn look_up(&self, texts: &BinaryArray, lookup: &mut Lookup) -> Result<()> {
        let starts = lookup.sort_by_shard(texts);
        let (mut more_texts, mut more_bytes) = (0, 0);
        let mut fits = true;
        for (s, shard) in self.shards.iter().enumerate() {
            let Lookup { rows, hashes, numbers, order, .. } = &mut *lookup;
            let order = &order[starts[s]..starts[s + 1]];
            if order.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            let (count, bytes) = (shard.places.len(), shard.memory_bytes());
            fits &= shard.number(texts, rows, hashes, order, numbers, s as u32);
            more_texts += shard.places.len() - count;
            more_bytes += shard.memory_bytes() - bytes;
        }
        if !fits {
            return Err(Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "keys pass 4 GiB"));
        }
        self.judge(lookup.rows.len(), more_texts, more_bytes)
    }

    /// Takes note of what a block brought, and closes if that was too much.
    fn judge(&self, lookups: usize, more_texts: usize, more_bytes: usize) -> Result<()> {
        let add = |to: &AtomicUsize, more: usize| to.fetch_add(more, Ordering::Relaxed) + more;
        let lookups = add(&self.lookups, lookups);
        let texts = add(&self.texts, more_texts);
        let bytes = add(&self.bytes, more_bytes);
        if more_bytes > 0 {
            let mut memory = self.memory.lock();
            let bytes = bytes.max(memory.bytes());
            memory.grow_to(bytes)?;
        }
        let all_new = texts >= JUDGED_FROM && texts * 2 > lookups;
        if all_new || texts >= TEXTS_MAX || bytes >= self.bytes_max {
            self.closed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The strings of these numbers.
    pub fn texts(&self, numbers: &[u32]) -> Result<BinaryArray> {
        let mut offsets = Vec::with_capacity(numbers.len() + 1);
        let mut bytes: Vec<u8> = vec![];
        offsets.push(0i32);
        for number in numbers {
            // One lock at a time: threads come in any order.
            let shard = self.shards[*number as usize % SHARDS].lock();
            bytes.extend_from_slice(shard.text(number >> SHARD_BITS));
            offsets.push(i32::try_from(bytes.len()).map_err(|_| {
                Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "keys pass 2 GiB in one block")
            })?);
        }
        let offsets = OffsetBuffer::new(offsets.into());
        Ok(BinaryArray::new(offsets, Buffer::from_vec(bytes), None))
    }
}

impl Lookup {
    /// Looks the strings up that codes refer to.
    fn use_codes(&mut self, codes: &[u32], values: usize) {
        self.places.clear();
        self.places.resize(values, ABSENT);
        codes.iter().for_each(|code| self.places[*code as usize] = 0);
        self.rows.clear();
        for (value, place) in self.places.iter_mut().enumerate().filter(|(_, p)| **p == 0) {
            *place = self.rows.len() as u32;
            self.rows.push(value as u32);
        }
    }

    /// Looks all strings up, but equal neighbours and empty ones only once.
    fn use_rows(&mut self, texts: &BinaryArray) {
        self.rows.clear();
        self.places.clear();
        let bytes = texts.values().as_slice();
        let mut empty = ABSENT;
        let mut last: (&[u8], u32) = (&[], ABSENT);
        for (row, span) in texts.value_offsets().windows(2).enumerate() {
            let text = &bytes[span[0] as usize..span[1] as usize];
            if text.is_empty() && empty != ABSENT {
                self.places.push(empty);
                continue;
            }
            if last.1 == ABSENT || last.0 != text {
                last = (text, self.rows.len() as u32);
                self.rows.push(row as u32);
                if text.is_empty() {
                    empty = last.1;
                }
            }
            self.places.push(last.1);
        }
    }

    /// Hashes, and `order` filled; where each shard begins in it.
    fn sort_by_shard(&mut self, texts: &BinaryArray) -> [usize; SHARDS + 1] {
        let bytes = texts.values().as_slice();
        let offsets = texts.value_offsets();
        self.hashes.clear();
        self.hashes.extend(self.rows.iter().map(|row| {
            let row = *row as usize;
            hash_bytes(&bytes[offsets[row] as usize..offsets[row + 1] as usize])
        }));
        let mut starts = [0usize; SHARDS + 1];
        self.hashes.iter().for_each(|hash| starts[shard_of(*hash) + 1] += 1);
        for s in 0..SHARDS {
            starts[s + 1] += starts[s];
        }
        let mut cursors = starts;
        self.order.resize(self.rows.len(), 0);
        for (place, hash) in self.hashes.iter().enumerate() {
            let cursor = &mut cursors[shard_of(*hash)];
            self.order[*cursor] = place as u32;
            *cursor += 1;
        }
        self.numbers.resize(self.rows.len(), 0);
        starts
    }
}

#[inline]
fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

/// Some of the strings.
#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    /// Where each string is in `arena`: its length, then its bytes.
    places: Vec<u32>,
    arena: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    place: u32,
    /// Place in `places` and 1; 0 if the slot is free.
    number: u32,
}

const LENGTH: usize = size_of::<u32>();

impl Shard {
    fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.places.capacity() * 4
            + self.arena.capacity()
    }

    /// Finds or gives the numbers of the strings in places `order` of `rows`; false if there is no room.
    fn number(
        &mut self,
        texts: &BinaryArray,
        rows: &[u32],
        hashes: &[u64],
        order: &[u32],
        numbers: &mut [u32],
        shard: u32,
    ) -> bool {
        self.reserve(order.len());
        let mask = self.slots.len() - 1;
        let mut found = [0usize; BATCH];
        for batch in order.chunks(BATCH) {
            for place in batch {
                prefetch(&self.slots, hashes[*place as usize] as usize & mask);
            }
            for (found, place) in found.iter_mut().zip(batch) {
                let hash = hashes[*place as usize];
                let mut at = hash as usize & mask;
                while self.slots[at].number != 0 && self.slots[at].hash != hash {
                    at = (at + 1) & mask;
                }
                *found = at;
                prefetch(&self.arena, self.slots[at].place as usize);
            }
            for (found, place) in found.iter().zip(batch) {
                let place = *place as usize;
                let text = texts.value(rows[place] as usize);
                let Some(number) = self.find(*found, hashes[place], text) else { return false };
                numbers[place] = number << SHARD_BITS | shard;
            }
        }
        true
    }

    /// The number of `text`, which lies in slot `at` or behind if it is known.
    #[inline]
    fn find(&mut self, mut at: usize, hash: u64, text: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        loop {
            let slot = self.slots[at];
            if slot.number == 0 {
                let place = u32::try_from(self.arena.len()).ok()?;
                let length = u32::try_from(text.len()).ok()?;
                self.arena.extend_from_slice(&length.to_le_bytes());
                self.arena.extend_from_slice(text);
                self.places.push(place);
                let number = self.places.len() as u32;
                self.slots[at] = Slot { hash, place, number };
                return Some(number - 1);
            }
            if slot.hash == hash && self.at(slot.place) == text {
                return Some(slot.number - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// The string at a place of the arena.
    #[inline]
    fn at(&self, place: u32) -> &[u8] {
        let from = place as usize + LENGTH;
        let length = self.arena[place as usize..from].first_chunk::<LENGTH>();
        &self.arena[from..from + length.map_or(0, |l| u32::from_le_bytes(*l) as usize)]
    }

    fn text(&self, number: u32) -> &[u8] {
        self.at(self.places[number as usize])
    }

    /// Makes room for `more` strings: at most half of the slots are used.
    fn reserve(&mut self, more: usize) {
        let wanted = ((self.places.len() + more) * 2).next_power_of_two().max(SLOTS_MIN);
        if wanted <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted]);
        for slot in old.into_iter().filter(|slot| slot.number != 0) {
            let mut at = slot.hash as usize & (wanted - 1);
            while self.slots[at].number != 0 {
                at = (at + 1) & (wanted - 1);
            }
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow_array::types::UInt32Type;
    use arrow_array::{DictionaryArray, UInt32Array};
    use pumphouse_storage::DataType;

    use super::*;
    use crate::context::MemoryTracker;

    fn numbers() -> TextNumbers {
        TextNumbers::new(MemoryTracker::new(0).reserve(0).unwrap(), u64::MAX)
    }

    fn column(texts: &[String]) -> Column {
        let array = BinaryArray::from_iter_values(texts.iter().map(String::as_bytes));
        Column { data_type: DataType::String, array: Arc::new(array) }
    }

    fn text(i: u64) -> String {
        match i % 7 {
            0 => String::new(),
            1 => "x".repeat((i % 300) as usize),
            _ => format!("text {}", i % 5000),
        }
    }

    #[test]
    fn equal_strings_and_no_others_have_equal_numbers() {
        let given = numbers();
        let mut lookup = Lookup::default();
        let mut known: HashMap<String, u32> = HashMap::new();
        for block in 0..20u64 {
            let texts: Vec<String> = (0..3000).map(|i| text(i * 31 + block * 997)).collect();
            let plain = column(&texts);
            let codes: Vec<u32> = (0..4000).map(|i| (i * i % 2990) as u32).collect();
            let keys = UInt32Array::from(codes.clone());
            let array = DictionaryArray::<UInt32Type>::new(keys, plain.array.clone());
            let coded = Column { data_type: DataType::String, array: Arc::new(array) };
            let rows: Vec<&String> = codes.iter().map(|c| &texts[*c as usize]).collect();
            let of_rows = given.number(&plain, false, &mut lookup).unwrap().unwrap();
            let of_codes = given.number(&coded, false, &mut lookup).unwrap().unwrap();
            let pairs = texts.iter().zip(&of_rows).chain(rows.iter().copied().zip(&of_codes));
            for (text, number) in pairs {
                assert_eq!(known.entry(text.clone()).or_insert(*number), number);
            }
            let back = given.texts(&of_rows).unwrap();
            assert!(texts.iter().zip(back.iter()).all(|(t, b)| Some(t.as_bytes()) == b));
            let mut once = given.number(&coded, true, &mut lookup).unwrap().unwrap();
            let mut every = of_codes;
            for numbers in [&mut once, &mut every] {
                numbers.sort_unstable();
                numbers.dedup();
            }
            assert_eq!(once, every);
        }
        let distinct: std::collections::HashSet<u32> = known.values().copied().collect();
        assert_eq!(distinct.len(), known.len());
    }

    #[test]
    fn strings_that_do_not_repeat_close_it() {
        let given = numbers();
        let mut lookup = Lookup::default();
        let texts = |block: usize| (0..5000).map(|i| format!("{block} {i}")).collect::<Vec<_>>();
        let first = given.number(&column(&texts(0)), false, &mut lookup).unwrap().unwrap();
        let blocks = (1..9).find(|block| {
            given.number(&column(&texts(*block)), false, &mut lookup).unwrap().is_none()
        });
        assert_eq!(blocks, Some(4));
        assert_eq!(given.texts(&first[7..8]).unwrap().value(0), b"0 7");
    }
}
