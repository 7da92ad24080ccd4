//! A hash table from key rows to dense numbers 0, 1, 2 …: the heart of GROUP BY, DISTINCT, joins,
//! sets and of aggregates that collect distinct values.
//!
//! Keys are packed into 16 bits (a direct array), 64 or 128 bits, kept as bare strings, or encoded
//! by `row_codec`; NULL is a key like any other and all NaNs are one. Slots hold 32 bits of the hash
//! beside the number, so that probing and growing seldom touch the keys.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, DictionaryArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use pumphouse_storage::same_bytes::is_same_bytes;
use pumphouse_storage::{Column, DataType};
use std::sync::Arc;

use super::key_pack::{pack, packed_bits, unpack};
use super::row_codec::{RowCodec, Rows, Shape};
use crate::error::{Error, Result, codes};

/// What `find` gives for keys that are not there.
pub(crate) const ABSENT: u32 = u32::MAX;

const EMPTY: u64 = u64::MAX;

/// Words below this are looked up by themselves: identifiers and codes often are that small.
const SMALL_END: u64 = 1 << 16;

/// Keys that are tried to be one and the same.
const RUN: usize = 8;

/// A well-mixed hash of a word.
#[inline]
pub(crate) fn hash_u64(key: u64) -> u64 {
    let product = (key ^ 0x9E37_79B9_7F4A_7C15) as u128 * 0xD6E8_FEB8_6659_FD93_u128;
    let folded = (product as u64) ^ (product >> 64) as u64;
    folded.wrapping_mul(0x9FB2_1C65_1E98_DF25)
}

#[inline]
pub(crate) fn hash_u128(key: u128) -> u64 {
    hash_u64(hash_u64(key as u64) ^ (key >> 64) as u64)
}

#[inline]
pub(crate) fn hash_bytes(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// A column of strings as numbers into the distinct strings of its block.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    pub codes: &'a [u32],
    pub values: &'a BinaryArray,
    /// `values` as it is shared by all slices of the block.
    pub of: &'a ArrayRef,
}

impl Codes<'_> {
    /// Whether rows have the very codes of `other`.
    pub fn has_codes_of(&self, other: Codes<'_>) -> bool {
        std::ptr::eq(self.codes, other.codes) && self.values.len() == other.values.len()
    }
}

/// The codes of a column that is a dictionary of strings without NULLs.
pub(crate) fn coded(column: &Column) -> Option<Codes<'_>> {
    let array = column.array.as_any().downcast_ref::<DictionaryArray<UInt32Type>>()?;
    let values = array.values().as_binary_opt::<i32>()?;
    if array.null_count() > 0 || values.null_count() > 0 {
        return None;
    }
    Some(Codes { codes: array.keys().values(), values, of: array.values() })
}

/// The column without a dictionary.
pub(crate) fn plain(column: &Column) -> Column {
    match column.array.as_any().downcast_ref::<DictionaryArray<UInt32Type>>() {
        Some(array) => {
            let data_type = column.data_type.clone();
            Column { data_type, array: array.values().clone() }.take(array.keys())
        }
        None => column.clone(),
    }
}

/// How key columns become one key.
#[derive(Debug, Clone)]
enum Layout {
    /// At most 64 bits, NULL flags included.
    Word,
    /// At most 128 bits.
    Wide,
    /// One String, not nullable.
    Text,
    Encoded,
}

enum Keys {
    Word(Vec<u64>),
    Wide(Vec<u128>),
    Bytes { data: Vec<u8>, ends: Vec<usize>, hashes: Vec<u64> },
}

enum Index {
    /// By the key itself, for keys of up to 16 bits.
    Direct(Vec<u32>),
    /// Numbers from a dense range are their own numbers. A bit for each that was inserted.
    Own(Vec<u64>),
    Hashed {
        slots: Vec<u64>,
        shift: u32,
    },
}

/// See the file's head.
pub(crate) struct KeyTable {
    types: Vec<DataType>,
    codec: RowCodec,
    layout: Layout,
    index: Index,
    keys: Keys,
    words: Vec<u64>,
    wides: Vec<u128>,
    lookups: usize,
    /// Numbers of the keys that are small words, by the word; such keys are in no slot.
    small: Vec<u32>,
}

impl KeyTable {
    pub fn new(types: &[DataType]) -> KeyTable {
        let codec = RowCodec::new(types);
        let bits = packed_bits(codec.shapes());
        let layout = match bits {
            Some(bits) if bits <= 64 => Layout::Word,
            Some(bits) if bits <= 128 => Layout::Wide,
            _ if matches!(codec.shapes(), [Shape::Bytes]) => Layout::Text,
            _ => Layout::Encoded,
        };
        let index = match bits {
            Some(bits) if bits <= 16 => Index::Direct(vec![ABSENT; 1 << bits]),
            _ => Index::Hashed { slots: vec![EMPTY; 256], shift: 24 },
        };
        let keys = match layout {
            Layout::Word => Keys::Word(vec![]),
            Layout::Wide => Keys::Wide(vec![]),
            _ => Keys::Bytes { data: vec![], ends: vec![], hashes: vec![] },
        };
        let (words, wides) = (vec![], vec![]);
        let (lookups, small) = (0, vec![]);
        let types = types.to_vec();
        KeyTable { types, codec, layout, index, keys, words, wides, lookups, small }
    }

    /// For keys that are one number each, of 32 bits, from a dense range: each is its own number, and
    /// those between count as keys, too (see [`KeyTable::present`]).
    pub fn of_numbers(types: &[DataType]) -> KeyTable {
        KeyTable { index: Index::Own(vec![]), ..KeyTable::new(types) }
    }

    /// Whether keys are looked up by themselves.
    pub fn is_dense(&self) -> bool {
        matches!(self.index, Index::Direct(_) | Index::Own(_))
    }

    /// The keys that were inserted, in order; None if all were.
    pub fn present(&self) -> Option<Vec<u32>> {
        let Index::Own(bits) = &self.index else { return None };
        let mut numbers = Vec::with_capacity(self.len());
        for (first, word) in (0u32..).step_by(64).zip(bits) {
            let mut word = *word;
            while word != 0 {
                numbers.push(first + word.trailing_zeros());
                word &= word - 1;
            }
        }
        (numbers.len() < self.len()).then_some(numbers)
    }

    /// Whether the key is one string, whose columns may be dictionaries in `insert`.
    pub fn is_text(&self) -> bool {
        matches!(self.layout, Layout::Text)
    }

    /// Makes room for `keys` keys, so that the table does not grow step by step.
    pub fn reserve(&mut self, keys: usize) {
        if let Index::Hashed { slots, shift } = &mut self.index
            && self.keys.is_empty()
        {
            let bits = (keys * 2).next_power_of_two().trailing_zeros().clamp(8, 30);
            if slots.len() < 1 << bits {
                *slots = vec![EMPTY; 1 << bits];
                *shift = 32 - bits;
            }
        }
        match &mut self.keys {
            Keys::Word(k) => k.reserve(keys),
            Keys::Wide(k) => k.reserve(keys),
            Keys::Bytes { .. } => {}
        }
    }

    /// A table of the first `count` keys only.
    pub fn first_keys(&self, count: usize) -> KeyTable {
        let mut first = KeyTable::new(&self.types);
        let rows: Vec<u32> = (0..count.min(self.len()) as u32).collect();
        first.insert_from(self, &rows, &mut vec![]);
        first
    }

    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Word(k) => k.len(),
            Keys::Wide(k) => k.len(),
            Keys::Bytes { ends, .. } => ends.len(),
        }
    }

    /// The keys if each is a word.
    pub fn words(&self) -> Option<&[u64]> {
        match &self.keys {
            Keys::Word(words) => Some(words),
            _ => None,
        }
    }

    pub fn memory_bytes(&self) -> usize {
        let keys = self.keys.memory_bytes();
        let index = match &self.index {
            Index::Direct(v) => v.capacity() * 4,
            Index::Own(bits) => bits.capacity() * 8,
            Index::Hashed { slots, .. } => slots.capacity() * 8,
        };
        keys + index + self.small.capacity() * 4
    }

    /// The number of each row's key; keys that are new get the next ones.
    pub fn insert(&mut self, columns: &[Column], rows: usize, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        out.reserve(rows);
        if self.len() + rows >= ABSENT as usize {
            return Err(Error::new(codes::TOO_MANY_ROWS, "too many distinct keys"));
        }
        match self.layout {
            Layout::Word if let Index::Own(bits) = &mut self.index => {
                let numbers = columns[0].array.as_primitive::<UInt32Type>().values();
                let Keys::Word(keys) = &mut self.keys else { return Ok(()) };
                insert_own(bits, keys, numbers);
                out.extend_from_slice(numbers);
            }
            Layout::Word => {
                let mut words = std::mem::take(&mut self.words);
                pack(self.codec.shapes(), columns, rows, &mut words);
                self.insert_words(&words, out);
                self.words = words;
            }
            Layout::Wide => {
                let mut wides = std::mem::take(&mut self.wides);
                pack(self.codec.shapes(), columns, rows, &mut wides);
                self.insert_wides(&wides, out);
                self.wides = wides;
            }
            Layout::Text if let Some(codes) = coded(&columns[0]) => {
                let mut known = vec![ABSENT; codes.values.len()];
                for code in codes.codes {
                    let number = &mut known[*code as usize];
                    if *number == ABSENT {
                        let text = codes.values.value(*code as usize);
                        *number = self.insert_bytes(hash_bytes(text), text);
                        self.lookups += 1;
                    }
                    out.push(*number);
                }
                return Ok(());
            }
            Layout::Text => {
                // Often most are empty, and others come between them.
                let mut empty = ABSENT;
                let mut last: (&[u8], u32) = (&[], ABSENT);
                for_each_text(&columns[0], |text| {
                    if text.is_empty() {
                        if empty == ABSENT {
                            empty = self.insert_bytes(hash_bytes(text), text);
                        }
                        out.push(empty);
                        return;
                    }
                    if last.1 == ABSENT || last.0 != text {
                        last = (text, self.insert_bytes(hash_bytes(text), text));
                        self.lookups += 1;
                    }
                    out.push(last.1);
                });
                return Ok(());
            }
            Layout::Encoded => {
                let encoded = self.codec.encode(columns, rows);
                for row in 0..rows {
                    let key = encoded.row(row);
                    out.push(self.insert_bytes(hash_bytes(key), key));
                }
            }
        }
        self.lookups += rows;
        Ok(())
    }

    /// Keys that `insert` looked up so far: its rows, but each string of a dictionary once, and equal
    /// neighbours and empty strings not again.
    pub fn lookups(&self) -> usize {
        self.lookups
    }

    /// The number of each row's key, or [`ABSENT`].
    pub fn find(&self, columns: &[Column], rows: usize, out: &mut Vec<u32>) {
        out.clear();
        out.reserve(rows);
        match self.layout {
            Layout::Word => {
                let mut words: Vec<u64> = vec![];
                pack(self.codec.shapes(), columns, rows, &mut words);
                self.find_words(&words, out);
            }
            Layout::Wide => {
                let mut wides: Vec<u128> = vec![];
                pack(self.codec.shapes(), columns, rows, &mut wides);
                let Keys::Wide(keys) = &self.keys else { return };
                out.extend(
                    wides.iter().map(|w| self.find_slot(hash_u128(*w), |n| keys[n as usize] == *w)),
                );
            }
            Layout::Text => {
                for_each_text(&columns[0], |text| out.push(self.find_bytes(text)));
            }
            Layout::Encoded => {
                let encoded = self.codec.encode(columns, rows);
                out.extend((0..rows).map(|row| self.find_bytes(encoded.row(row))));
            }
        }
    }

    fn find_slot(&self, hash: u64, same: impl FnMut(u32) -> bool) -> u32 {
        match &self.index {
            Index::Hashed { slots, shift } => match probe(slots, *shift, hash, same) {
                Ok(number) => number,
                Err(_) => ABSENT,
            },
            Index::Direct(_) | Index::Own(_) => ABSENT,
        }
    }

    fn find_words(&self, words: &[u64], out: &mut Vec<u32>) {
        let Keys::Word(keys) = &self.keys else { return };
        let (slots, shift) = match &self.index {
            Index::Direct(slots) => {
                let find = |word: &u64| slots.get(*word as usize).copied().unwrap_or(ABSENT);
                return out.extend(words.iter().map(find));
            }
            Index::Own(bits) => {
                let find = |word: &u64| match bits.get(*word as usize / 64) {
                    Some(bits) if bits >> (word % 64) & 1 == 1 => *word as u32,
                    _ => ABSENT,
                };
                return out.extend(words.iter().map(find));
            }
            Index::Hashed { slots, shift } => (slots, *shift),
        };
        out.extend(words.iter().map(|word| {
            match *word < SMALL_END {
                true => self.small.get(*word as usize).copied().unwrap_or(ABSENT),
                false => probe(slots, shift, hash_u64(*word), |n| keys[n as usize] == *word)
                    .unwrap_or(ABSENT),
            }
        }));
    }

    fn find_bytes(&self, key: &[u8]) -> u32 {
        let Keys::Bytes { hashes, .. } = &self.keys else { return ABSENT };
        let hash = hash_bytes(key);
        self.find_slot(hash, |n| hashes[n as usize] == hash && self.key_bytes(n as usize) == key)
    }

    /// Inserts packed keys.
    fn insert_words(&mut self, words: &[u64], out: &mut Vec<u32>) {
        let Keys::Word(keys) = &mut self.keys else { return };
        match &mut self.index {
            Index::Own(bits) => {
                let from = out.len();
                out.extend(words.iter().map(|word| *word as u32));
                insert_own(bits, keys, &out[from..]);
            }
            Index::Direct(slots) => {
                for &word in words {
                    let slot = &mut slots[word as usize];
                    if *slot == ABSENT {
                        *slot = keys.len() as u32;
                        keys.push(word);
                    }
                    out.push(*slot);
                }
            }
            Index::Hashed { slots, shift } => {
                let mut last = (0, ABSENT);
                for words in words.chunks(RUN) {
                    // Sorted keys come in runs.
                    let differ = words.iter().fold(0, |differ, word| differ | (word ^ last.0));
                    if differ == 0 && last.1 != ABSENT {
                        out.extend_from_slice(&[last.1; RUN][..words.len()]);
                        continue;
                    }
                    for &word in words {
                        if last.1 == ABSENT || last.0 != word {
                            let number = match word < SMALL_END {
                                true => insert_small(&mut self.small, keys, word),
                                false => insert_word(slots, shift, keys, word),
                            };
                            last = (word, number);
                        }
                        out.push(last.1);
                    }
                }
            }
        }
    }

    fn insert_wides(&mut self, wides: &[u128], out: &mut Vec<u32>) {
        let (Keys::Wide(keys), Index::Hashed { slots, shift }) = (&mut self.keys, &mut self.index)
        else {
            return;
        };
        let mut last = (0, ABSENT);
        for &wide in wides {
            if last.1 == ABSENT || last.0 != wide {
                last = (wide, insert_wide(slots, shift, keys, wide));
            }
            out.push(last.1);
        }
    }

    fn insert_bytes(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (Keys::Bytes { data, ends, hashes }, Index::Hashed { slots, shift }) =
            (&mut self.keys, &mut self.index)
        else {
            return ABSENT;
        };
        let same = |n: u32| {
            let n = n as usize;
            let from = if n == 0 { 0 } else { ends[n - 1] };
            is_same_bytes(&data[from..ends[n]], key)
        };
        match probe(slots, *shift, hash, same) {
            Ok(number) => number,
            Err(at) => {
                let number = ends.len();
                data.extend_from_slice(key);
                ends.push(data.len());
                hashes.push(hash);
                fill(slots, shift, at, hash, number)
            }
        }
    }

    /// The hash of key `number`; its low bits are free for partitioning (slots use the high ones).
    pub fn hash_of(&self, number: usize) -> u64 {
        match &self.keys {
            Keys::Word(k) => hash_u64(k[number]),
            Keys::Wide(k) => hash_u128(k[number]),
            Keys::Bytes { hashes, .. } => hashes[number],
        }
    }

    /// Inserts keys `rows` of `other`, a table of the same types.
    pub fn insert_from(&mut self, other: &KeyTable, rows: &[u32], out: &mut Vec<u32>) {
        out.clear();
        match &other.keys {
            Keys::Word(k) => {
                let words: Vec<u64> = rows.iter().map(|r| k[*r as usize]).collect();
                self.insert_words(&words, out);
            }
            Keys::Wide(k) => {
                let wides: Vec<u128> = rows.iter().map(|r| k[*r as usize]).collect();
                self.insert_wides(&wides, out);
            }
            Keys::Bytes { hashes, .. } => out.extend(rows.iter().map(|r| {
                let r = *r as usize;
                self.insert_bytes(hashes[r], other.key_bytes(r))
            })),
        }
    }

    /// The rows' keys, packed and hashed but not inserted, those of partition 0 of `partitions` first;
    /// and the order of rows that this is.
    pub fn partition_keys(
        &self,
        columns: &[Column],
        rows: usize,
        partitions: usize,
    ) -> (PackedKeys, Vec<u32>) {
        let (keys, hashes) = match self.layout {
            Layout::Word => {
                let mut words: Vec<u64> = vec![];
                pack(self.codec.shapes(), columns, rows, &mut words);
                let hashes: Vec<u64> = words.iter().map(|w| hash_u64(*w)).collect();
                (Keys::Word(words), hashes)
            }
            Layout::Wide => {
                let mut wides: Vec<u128> = vec![];
                pack(self.codec.shapes(), columns, rows, &mut wides);
                let hashes = wides.iter().map(|w| hash_u128(*w)).collect();
                (Keys::Wide(wides), hashes)
            }
            Layout::Text => return partition_texts(&columns[0], rows, partitions),
            Layout::Encoded => hashed_rows(self.codec.encode(columns, rows), rows),
        };
        let (starts, order) = partition_order(&hashes, partitions);
        let keys = match keys {
            Keys::Word(k) => Keys::Word(order.iter().map(|r| k[*r as usize]).collect()),
            Keys::Wide(k) => Keys::Wide(order.iter().map(|r| k[*r as usize]).collect()),
            Keys::Bytes { data, ends, .. } => {
                let old = Rows { data, ends };
                let mut sorted = Rows::default();
                sorted.data.reserve(old.data.len());
                order.iter().for_each(|r| sorted.push(old.row(*r as usize)));
                let hashes = order.iter().map(|r| hashes[*r as usize]).collect();
                Keys::Bytes { data: sorted.data, ends: sorted.ends, hashes }
            }
        };
        (PackedKeys { keys, starts }, order)
    }

    /// Inserts the keys of partition `p`.
    pub fn insert_packed(&mut self, packed: &PackedKeys, p: usize, out: &mut Vec<u32>) {
        out.clear();
        let range = packed.range(p);
        match &packed.keys {
            Keys::Word(k) => self.insert_words(&k[range], out),
            Keys::Wide(k) => self.insert_wides(&k[range], out),
            Keys::Bytes { data, ends, hashes } => {
                for row in range {
                    let from = if row == 0 { 0 } else { ends[row - 1] };
                    out.push(self.insert_bytes(hashes[row], &data[from..ends[row]]));
                }
            }
        }
    }

    fn key_bytes(&self, number: usize) -> &[u8] {
        match &self.keys {
            Keys::Bytes { data, ends, .. } => {
                &data[if number == 0 { 0 } else { ends[number - 1] }..ends[number]]
            }
            _ => &[],
        }
    }

    /// The key columns of keys `numbers`, if keys are words.
    pub fn decode_words(&self, numbers: &[u32]) -> Result<Option<Vec<Column>>> {
        fn picked<T: Copy>(keys: &[T], numbers: &[u32]) -> Vec<T> {
            numbers.iter().map(|n| keys[*n as usize]).collect()
        }
        let shapes = self.codec.shapes();
        match &self.keys {
            Keys::Word(k) => unpack(&self.types, shapes, &picked(k, numbers)).map(Some),
            Keys::Wide(k) => unpack(&self.types, shapes, &picked(k, numbers)).map(Some),
            Keys::Bytes { .. } => Ok(None),
        }
    }

    /// The key columns of `numbers`.
    pub fn decode(&self, numbers: std::ops::Range<usize>) -> Result<Vec<Column>> {
        match (&self.keys, &self.layout) {
            (Keys::Word(k), _) => unpack(&self.types, self.codec.shapes(), &k[numbers]),
            (Keys::Wide(k), _) => unpack(&self.types, self.codec.shapes(), &k[numbers]),
            (Keys::Bytes { data, ends, .. }, Layout::Text) => {
                let from = if numbers.start == 0 { 0 } else { ends[numbers.start - 1] };
                let mut offsets = Vec::with_capacity(numbers.len() + 1);
                offsets.push(0i32);
                for end in &ends[numbers.clone()] {
                    offsets.push(i32::try_from(end - from).map_err(|_| {
                        Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "keys pass 2 GiB in one block")
                    })?);
                }
                let to = numbers.end.checked_sub(1).map_or(0, |last| ends[last]).max(from);
                let bytes = Buffer::from(&data[from..to]);
                let array = BinaryArray::new(OffsetBuffer::new(offsets.into()), bytes, None);
                Ok(vec![Column { data_type: self.types[0].clone(), array: Arc::new(array) }])
            }
            _ => self.codec.decode(numbers.map(|n| self.key_bytes(n))),
        }
    }
}

/// Keys of a block in partition order.
pub(crate) struct PackedKeys {
    keys: Keys,
    starts: Vec<u32>,
}

impl PackedKeys {
    /// Places of the keys of partition `p`.
    pub fn range(&self, p: usize) -> std::ops::Range<usize> {
        self.starts[p] as usize..self.starts[p + 1] as usize
    }

    pub fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.starts.len() * 4
    }
}

impl Keys {
    fn is_empty(&self) -> bool {
        match self {
            Keys::Word(k) => k.is_empty(),
            Keys::Wide(k) => k.is_empty(),
            Keys::Bytes { ends, .. } => ends.is_empty(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Keys::Word(k) => k.capacity() * 8,
            Keys::Wide(k) => k.capacity() * 16,
            Keys::Bytes { data, ends, hashes } => {
                data.capacity() + ends.capacity() * 8 + hashes.capacity() * 8
            }
        }
    }
}

/// Strings go from the column to their places directly: they are most of the bytes.
fn partition_texts(column: &Column, rows: usize, partitions: usize) -> (PackedKeys, Vec<u32>) {
    let mut hashes = Vec::with_capacity(rows);
    let mut bytes = 0;
    for_each_text(column, |text| {
        hashes.push(hash_bytes(text));
        bytes += text.len();
    });
    let (starts, order) = partition_order(&hashes, partitions);
    let array = column.array.as_binary::<i32>();
    let mut sorted = Rows { data: Vec::with_capacity(bytes), ends: Vec::with_capacity(rows) };
    order.iter().for_each(|r| sorted.push(array.value(*r as usize)));
    let hashes = order.iter().map(|r| hashes[*r as usize]).collect();
    (
        PackedKeys { keys: Keys::Bytes { data: sorted.data, ends: sorted.ends, hashes }, starts },
        order,
    )
}

fn hashed_rows(encoded: Rows, rows: usize) -> (Keys, Vec<u64>) {
    let hashes = (0..rows).map(|row| hash_bytes(encoded.row(row))).collect();
    (Keys::Bytes { data: encoded.data, ends: encoded.ends, hashes: vec![] }, hashes)
}

/// Rows sorted by partition (stable), and where each partition begins.
fn partition_order(hashes: &[u64], partitions: usize) -> (Vec<u32>, Vec<u32>) {
    let mask = partitions.next_power_of_two() - 1;
    let mut starts = vec![0u32; partitions + 1];
    for hash in hashes {
        starts[(*hash as usize & mask) + 1] += 1;
    }
    for p in 0..partitions {
        starts[p + 1] += starts[p];
    }
    let mut cursors = starts.clone();
    let mut order = vec![0u32; hashes.len()];
    for (row, hash) in hashes.iter().enumerate() {
        let cursor = &mut cursors[*hash as usize & mask];
        order[*cursor as usize] = row as u32;
        *cursor += 1;
    }
    (starts, order)
}

/// The number of a key, or the slot where it belongs.
#[inline]
fn probe(
    slots: &[u64],
    shift: u32,
    hash: u64,
    mut same: impl FnMut(u32) -> bool,
) -> std::result::Result<u32, usize> {
    let tag = hash >> 32;
    let mask = slots.len() - 1;
    let mut at = (tag >> shift) as usize & mask;
    loop {
        let slot = slots[at];
        if slot == EMPTY {
            return Err(at);
        }
        if slot >> 32 == tag && same(slot as u32) {
            return Ok(slot as u32);
        }
        at = (at + 1) & mask;
    }
}

/// Inserts keys that are their own numbers.
fn insert_own(bits: &mut Vec<u64>, keys: &mut Vec<u64>, numbers: &[u32]) {
    let Some(most) = numbers.iter().max() else { return };
    let end = *most as usize + 1;
    if end > keys.len() {
        keys.extend(keys.len() as u64..end as u64);
        bits.resize(end.div_ceil(64), 0);
    }
    numbers.iter().for_each(|n| bits[*n as usize / 64] |= 1 << (n % 64));
}

/// Puts `number` into the empty slot `at`; keeps the table at most half full.
#[inline]
fn fill(slots: &mut Vec<u64>, shift: &mut u32, at: usize, hash: u64, number: usize) -> u32 {
    slots[at] = hash >> 32 << 32 | number as u64;
    if (number + 1) * 2 > slots.len() {
        grow(slots, shift);
    }
    number as u32
}

#[inline]
fn insert_small(small: &mut Vec<u32>, keys: &mut Vec<u64>, word: u64) -> u32 {
    let at = word as usize;
    if at >= small.len() {
        small.resize((at + 1).next_power_of_two(), ABSENT);
    }
    if small[at] == ABSENT {
        small[at] = keys.len() as u32;
        keys.push(word);
    }
    small[at]
}

#[inline]
fn insert_word(slots: &mut Vec<u64>, shift: &mut u32, keys: &mut Vec<u64>, word: u64) -> u32 {
    let hash = hash_u64(word);
    match probe(slots, *shift, hash, |n| keys[n as usize] == word) {
        Ok(number) => number,
        Err(at) => {
            keys.push(word);
            fill(slots, shift, at, hash, keys.len() - 1)
        }
    }
}

#[inline]
fn insert_wide(slots: &mut Vec<u64>, shift: &mut u32, keys: &mut Vec<u128>, wide: u128) -> u32 {
    let hash = hash_u128(wide);
    match probe(slots, *shift, hash, |n| keys[n as usize] == wide) {
        Ok(number) => number,
        Err(at) => {
            keys.push(wide);
            fill(slots, shift, at, hash, keys.len() - 1)
        }
    }
}

/// Calls `f` for every text of a String column.
fn for_each_text<'a>(column: &'a Column, mut f: impl FnMut(&'a [u8])) {
    let array = column.array.as_binary::<i32>();
    let bytes = array.values().as_slice();
    for pair in array.value_offsets().windows(2) {
        f(&bytes[pair[0] as usize..pair[1] as usize]);
    }
}

#[cold]
fn grow(slots: &mut Vec<u64>, shift: &mut u32) {
    let factor = if slots.len() < 1 << 16 { 4 } else { 2 };
    let mut larger = vec![EMPTY; slots.len() * factor];
    *shift = shift.saturating_sub(factor.trailing_zeros());
    let mask = larger.len() - 1;
    for &slot in slots.iter().filter(|s| **s != EMPTY) {
        let mut at = ((slot >> 32) >> *shift) as usize & mask;
        while larger[at] != EMPTY {
            at = (at + 1) & mask;
        }
        larger[at] = slot;
    }
    *slots = larger;
}

#[cfg(test)]
mod tests {
    use arrow_array::UInt32Array;

    use super::*;

    fn column(numbers: &[u32]) -> Column {
        let array = Arc::new(UInt32Array::from(numbers.to_vec()));
        Column { data_type: DataType::UInt32, array }
    }

    #[test]
    fn numbers_are_their_own_keys_and_gaps_are_not_present() {
        let types = [DataType::UInt32];
        let (mut own, mut plain) = (KeyTable::of_numbers(&types), KeyTable::new(&types));
        let (mut out, mut expected) = (vec![], vec![]);
        assert_eq!((own.present(), own.len()), (None, 0));
        for numbers in [vec![], vec![7, 0, 7, 130], vec![64, 7, 63], vec![300]] {
            own.insert(&[column(&numbers)], numbers.len(), &mut out).unwrap();
            plain.insert(&[column(&numbers)], numbers.len(), &mut expected).unwrap();
            assert_eq!(out, numbers);
        }
        let present = own.present().unwrap();
        assert_eq!(present, [0, 7, 63, 64, 130, 300]);
        assert_eq!((own.len(), plain.len()), (301, present.len()));
        let keys = own.decode_words(&present).unwrap().unwrap();
        assert_eq!(keys[0].array.as_primitive::<UInt32Type>().values(), &present[..]);
        let asked = [0, 1, 130, 301, 7000, 300];
        own.find(&[column(&asked)], asked.len(), &mut out);
        assert_eq!(out, [0, ABSENT, 130, ABSENT, ABSENT, 300]);
        // Keys of another table, of which not all are present.
        let mut other = KeyTable::of_numbers(&types);
        other.insert(&[column(&[2, 500])], 2, &mut out).unwrap();
        own.insert_from(&other, &other.present().unwrap(), &mut out);
        assert_eq!(out, [2, 500]);
        assert_eq!(own.present().unwrap(), [0, 2, 7, 63, 64, 130, 300, 500]);
        // Without gaps all are.
        let mut whole = KeyTable::of_numbers(&types);
        whole.insert(&[column(&[1, 0, 2])], 3, &mut out).unwrap();
        assert_eq!((whole.present(), whole.len()), (None, 3));
    }
}
