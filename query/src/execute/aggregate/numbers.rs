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
use pumphouse_storage::same_bytes::is_same_bytes;

use super::radix::prefetch;
use super::text_arena::TextArena;
use crate::context::MemoryGuard;
use crate::error::{Error, Result, codes};
use crate::execute::key_table::{ABSENT, coded, hash_bytes};

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// How many others are looked up while the cache lines of one are on their way.
const AHEAD: usize = 16;
const SLOTS_MIN: usize = 64;
/// From so many strings on, which no longer fit the cache, they are worth it only if half of the lookups
/// find one.
const JUDGED_FROM: usize = 1 << 16;
/// Strings and their bytes, at most (and what one block adds).
const TEXTS_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 128 << 20;
/// Strings that come out at once.
const BLOCK_TEXTS: usize = 16_384;

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
    /// The lower halves of their hashes.
    tags: Vec<u32>,
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

    /// Gives numbers to the strings of a column; false if no more are given.
    pub fn note(&self, column: &Column, lookup: &mut Lookup) -> Result<bool> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match coded(column) {
            Some(codes) => {
                lookup.use_codes(codes.codes, codes.values.len());
                self.look_up(codes.values, lookup)?;
            }
            None => {
                let texts = column.array.as_binary::<i32>();
                lookup.use_rows(texts);
                self.look_up(texts, lookup)?;
            }
        }
        Ok(true)
    }

    /// How many strings have numbers.
    pub fn count(&self) -> usize {
        self.texts.load(Ordering::Relaxed)
    }

    /// Calls `take` with all strings, block by block.
    pub fn each(&self, take: &mut dyn FnMut(BinaryArray) -> Result<()>) -> Result<()> {
        for (s, shard) in (0u32..).zip(self.shards.iter()) {
            let count = shard.lock().places.len() as u32;
            let numbers: Vec<u32> = (0..count).map(|n| n << SHARD_BITS | s).collect();
            for block in numbers.chunks(BLOCK_TEXTS) {
                take(self.texts(block)?)?;
            }
        }
        Ok(())
    }

    /// Finds or gives the numbers of `lookup.rows`.
    fn look_up(&self, texts: &BinaryArray, lookup: &mut Lookup) -> Result<()> {
        let starts = lookup.sort_by_shard(texts);
        let (mut more_texts, mut more_bytes, mut most) = (0, 0, 0);
        let mut fits = true;
        for (s, shard) in self.shards.iter().enumerate() {
            let Lookup { rows, tags, numbers, order, .. } = &mut *lookup;
            let (order, tags) = (&order[starts[s]..starts[s + 1]], &tags[starts[s]..starts[s + 1]]);
            if order.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            let (count, bytes) = (shard.places.len(), shard.memory_bytes());
            fits &= shard.number(texts, rows, (order, tags), numbers, s as u32);
            more_texts += shard.places.len() - count;
            more_bytes += shard.memory_bytes() - bytes;
            most = most.max((shard.places.len() as u32) << SHARD_BITS);
        }
        if !fits {
            return Err(Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "keys pass 4 GiB"));
        }
        self.judge(lookup.rows.len(), more_texts, more_bytes, most)
    }

    /// Takes note of what a block brought, and closes if that was too much; `most`: the end of its numbers.
    fn judge(&self, lookups: usize, more_texts: usize, more_bytes: usize, most: u32) -> Result<()> {
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
        // Numbers leave gaps where one shard has more strings than others: many only if hashes are chosen.
        let sparse = most as usize >= (texts + JUDGED_FROM) * 4;
        if all_new || sparse || texts >= TEXTS_MAX || bytes >= self.bytes_max {
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
        self.tags.resize(self.rows.len(), 0);
        for (place, hash) in self.hashes.iter().enumerate() {
            let cursor = &mut cursors[shard_of(*hash)];
            (self.order[*cursor], self.tags[*cursor]) = (place as u32, *hash as u32);
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
    /// Where each string is in `arena`.
    places: Vec<u32>,
    arena: TextArena,
}

/// Small, so that most of them stay in the cache.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The lower half of the hash.
    tag: u32,
    /// Place in the arena and 1; 0 if the slot is free.
    place: u32,
}

impl Shard {
    fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.places.capacity() * 4
            + self.arena.memory_bytes()
    }

    /// Finds or gives the numbers of the strings in places `order` of `rows`, whose tags are given with
    /// them; false if there is no room.
    fn number(
        &mut self,
        texts: &BinaryArray,
        rows: &[u32],
        (order, tags): (&[u32], &[u32]),
        numbers: &mut [u32],
        shard: u32,
    ) -> bool {
        self.reserve(order.len());
        let mask = self.slots.len() - 1;
        let bytes = texts.values().as_slice();
        let offsets = texts.value_offsets();
        let mut found = [(0, &[][..]); AHEAD];
        // Each string goes through three steps, and between them others do, until its lines have come:
        // the slot is asked for, looked at and the string there asked for, the strings are compared.
        for step in 0..order.len() + 2 * AHEAD {
            if let Some(tag) = tags.get(step) {
                prefetch(&self.slots, *tag as usize & mask);
            }
            let compared = step.wrapping_sub(2 * AHEAD);
            if let (Some(place), Some(tag)) = (order.get(compared), tags.get(compared)) {
                let (at, text) = found[compared % AHEAD];
                let Some(number) = self.find(at, *tag, text) else { return false };
                numbers[*place as usize] = number << SHARD_BITS | shard;
            }
            let looked = step.wrapping_sub(AHEAD);
            if let (Some(place), Some(tag)) = (order.get(looked), tags.get(looked)) {
                let row = rows[*place as usize] as usize;
                let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                let mut at = *tag as usize & mask;
                while self.slots[at].place != 0 && self.slots[at].tag != *tag {
                    at = (at + 1) & mask;
                }
                found[looked % AHEAD] = (at, text);
                if let Some(place) = self.slots[at].place.checked_sub(1) {
                    self.arena.prefetch(place, text.len());
                }
            }
        }
        true
    }

    /// The number of `text`, which lies in slot `at` or behind if it is known.
    #[inline]
    fn find(&mut self, mut at: usize, tag: u32, text: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        loop {
            let slot = self.slots[at];
            if slot.place == 0 {
                return self.add(at, tag, text);
            }
            if slot.tag == tag {
                let (number, known) = self.arena.at(slot.place - 1);
                if is_same_bytes(known, text) {
                    return Some(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// A number for a string that has none, in a slot that is free.
    fn add(&mut self, at: usize, tag: u32, text: &[u8]) -> Option<u32> {
        let number = self.places.len() as u32;
        let place = self.arena.push(number, text)?;
        self.places.push(place);
        self.slots[at] = Slot { tag, place: place + 1 };
        Some(number)
    }

    fn text(&self, number: u32) -> &[u8] {
        self.arena.at(self.places[number as usize]).1
    }

    /// Makes room for `more` strings: at most half of the slots are used.
    fn reserve(&mut self, more: usize) {
        let wanted = ((self.places.len() + more) * 2).next_power_of_two().max(SLOTS_MIN);
        if wanted <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted]);
        for slot in old.into_iter().filter(|slot| slot.place != 0) {
            let mut at = slot.tag as usize & (wanted - 1);
            while self.slots[at].place != 0 {
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
        let blocks = (1..19).find(|block| {
            given.number(&column(&texts(*block)), false, &mut lookup).unwrap().is_none()
        });
        assert_eq!(blocks, Some(14));
        assert_eq!(given.texts(&first[7..8]).unwrap().value(0), b"0 7");
    }

    #[test]
    fn strings_of_one_shard_close_it() {
        let given = numbers();
        let mut lookup = Lookup::default();
        // Far fewer than are judged by their repeating, but their numbers would leave 63 of 64 unused.
        let of_first = (0..).map(|i| format!("chosen {i}"));
        let of_first = of_first.filter(|text| shard_of(hash_bytes(text.as_bytes())) == 0);
        let texts: Vec<String> = of_first.take(5000).collect();
        assert!(given.number(&column(&texts[..4000]), false, &mut lookup).unwrap().is_some());
        assert!(given.number(&column(&texts), false, &mut lookup).unwrap().is_some());
        assert!(given.number(&column(&texts[..10]), false, &mut lookup).unwrap().is_none());
    }
}
