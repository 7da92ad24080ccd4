//! Grouping many keys: rows are packed into a few words and scattered by the hash of their key, past the
//! caches, into partitions; then every partition is grouped by itself, in tables that fit the cache.
//! A key is in one partition only, so nothing is merged; results come out partition by partition.
//!
//! [`Layout`] says what can be packed; everything else is grouped by `local`. Groups that were gathered
//! before scattering began, or were made of too many scattered rows, travel as rows with their states.

mod fill;
mod groups;
mod layout;
mod open;
mod partitions;
mod slab;
mod states;
mod texts;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray};
use pumphouse_storage::Column;

pub(super) use self::groups::Groups;
pub(super) use self::layout::Layout;
pub use self::slab::let_idle_slabs_go;
pub(super) use self::slab::prefetch;

use self::fill::{Keeper, TextCoder, copy_key, put_nulls, put_values};
use self::layout::{KeyPlace, masked};
use self::partitions::Partitions;
use self::texts::{TextWriter, Texts};
use super::local::Table;
use crate::aggregates::packed::Field;
use crate::error::{Error, Result, codes};
use crate::execute::key_table::{Codes, coded};
use crate::execute::row_codec::Shape;

/// Rows packed at once.
const BATCH: usize = 1024;
/// Bytes of entries of one thread before they are grouped.
const ENTRIES_BYTES_MAX: usize = 512 << 20;

/// What the threads of one aggregation share.
pub(super) struct Plan {
    pub layout: Arc<Layout>,
    /// Numbers of the slabs of texts.
    numbers: AtomicU32,
}

impl Plan {
    pub fn new(layout: Layout) -> Plan {
        Plan { layout: Arc::new(layout), numbers: AtomicU32::new(0) }
    }
}

/// One thread's scattered rows.
pub(super) struct Scatter {
    layout: Arc<Layout>,
    entries: Partitions,
    /// Groups with states.
    states: Option<Partitions>,
    texts: TextWriter,
    coders: Vec<TextCoder>,
    words: Vec<u64>,
    hashes: Vec<u64>,
    entries_bytes_max: usize,
}

impl Scatter {
    pub fn new(plan: &Plan) -> Scatter {
        let layout = plan.layout.clone();
        Scatter {
            entries: Partitions::new(layout.partitions(), layout.stride),
            states: None,
            texts: TextWriter::new(),
            coders: (0..layout.texts).map(|_| TextCoder::new()).collect(),
            words: vec![],
            hashes: vec![],
            entries_bytes_max: ENTRIES_BYTES_MAX,
            layout,
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes()
            + self.states.as_ref().map_or(0, Partitions::memory_bytes)
            + self.texts.memory_bytes()
            + self.coders.iter().map(TextCoder::memory_bytes).sum::<usize>()
    }

    /// Adds rows.
    pub fn update(
        &mut self,
        plan: &Plan,
        keys: &[Column],
        arguments: &[Vec<Column>],
        rows: usize,
    ) -> Result<()> {
        let layout = self.layout.clone();
        if layout.is_counted_text()
            && let Some(codes) = coded(&keys[0])
        {
            return self.update_counted(plan, codes);
        }
        if layout.is_counted_text() {
            return self.update_texts(plan, keys[0].array.as_binary::<i32>());
        }
        let mut from = 0;
        while from < rows {
            let count = BATCH.min(rows - from);
            self.pack(plan, keys, from..from + count, layout.stride)?;
            for (aggregate, arguments) in layout.aggregates.iter().zip(arguments) {
                if aggregate.fills {
                    let array = arguments[0].array.as_ref();
                    // NaNs of arguments stay what they are.
                    let shape = Shape::Fixed(aggregate.field.bits as usize / 8);
                    let place = (aggregate.field, None);
                    put_values(&shape, array, from, place, &mut self.words, layout.stride);
                }
            }
            if let Some(weight) = layout.weight {
                for entry in self.words.chunks_exact_mut(layout.stride) {
                    entry[weight.word] |= 1 << weight.shift;
                }
            }
            if layout.aggregates.is_empty() {
                self.drop_repeats();
            } else if layout.weight.is_some() {
                self.join_repeats();
            }
            hash_words(&layout, &self.words, &mut self.hashes, layout.stride);
            self.entries.scatter(&self.words, &self.hashes)?;
            from += count;
        }
        self.compact_if_large()
    }

    /// Adds rows whose key is a dictionary's string: each string once, with the number of its rows.
    fn update_counted(&mut self, plan: &Plan, codes: Codes<'_>) -> Result<()> {
        let layout = self.layout.clone();
        let (Some(weight), [part]) = (layout.weight, layout.parts.as_slice()) else {
            return Ok(());
        };
        let (KeyPlace::Text(word), [coder]) = (&part.place, self.coders.as_mut_slice()) else {
            return Ok(());
        };
        let mut counts = vec![0u32; codes.values.len()];
        codes.codes.iter().for_each(|code| counts[*code as usize] += 1);
        let word = *word;
        let mut keeper = Keeper { coder, texts: &mut self.texts, numbers: &plan.numbers };
        let used: Vec<u32> = (0..).zip(&counts).filter(|(_, n)| **n > 0).map(|(i, _)| i).collect();
        let (mut batch_texts, mut kept) = (vec![], vec![]);
        for batch in used.chunks(BATCH) {
            batch_texts.clear();
            batch_texts.extend(batch.iter().map(|code| codes.values.value(*code as usize)));
            keeper.keep_all(&batch_texts, &mut kept)?;
            self.words.clear();
            self.words.resize(batch.len() * layout.stride, 0);
            let entries = self.words.chunks_exact_mut(layout.stride);
            for ((entry, (hash, place)), code) in entries.zip(&kept).zip(batch) {
                (entry[word], entry[word + 1]) = (*hash, *place);
                entry[weight.word] |= (counts[*code as usize] as u64) << weight.shift;
            }
            hash_words(&layout, &self.words, &mut self.hashes, layout.stride);
            self.entries.scatter(&self.words, &self.hashes)?;
        }
        self.compact_if_large()
    }

    /// Adds one row for each of `rows`, groups that `from` packs: its first keys are this one's, and its
    /// texts stay where they are (see [`Sealed::with_texts`]).
    pub fn add_keys(&mut self, from: &Layout, rows: &[u64]) -> Result<()> {
        let layout = self.layout.clone();
        let stride = layout.stride;
        for batch in rows.chunks(BATCH * from.width) {
            self.words.clear();
            self.words.resize(batch.len() / from.width * stride, 0);
            for (part, source) in layout.parts.iter().zip(&from.parts) {
                copy_key(part, &mut self.words, stride, source, batch, from.width);
            }
            if let Some(weight) = layout.weight {
                for entry in self.words.chunks_exact_mut(stride) {
                    entry[weight.word] |= 1 << weight.shift;
                }
            }
            if layout.is_counted_text() {
                self.join_repeats();
            }
            hash_words(&layout, &self.words, &mut self.hashes, stride);
            self.entries.scatter(&self.words, &self.hashes)?;
        }
        Ok(())
    }

    /// Adds rows whose key is one of `texts`: neighbours that are equal make one entry, and so do all
    /// that are empty.
    fn update_texts(&mut self, plan: &Plan, texts: &BinaryArray) -> Result<()> {
        let layout = self.layout.clone();
        let (Some(weight), [part]) = (layout.weight, layout.parts.as_slice()) else {
            return Ok(());
        };
        let (KeyPlace::Text(word), [coder]) = (&part.place, self.coders.as_mut_slice()) else {
            return Ok(());
        };
        let (word, stride) = (*word, layout.stride);
        let mut keeper = Keeper { coder, texts: &mut self.texts, numbers: &plan.numbers };
        let bytes = texts.values().as_slice();
        let mut spans = texts.value_offsets().windows(2);
        let mut empty = 0u64;
        self.words.clear();
        loop {
            let span = spans.next();
            let text = span.map(|s| &bytes[s[0] as usize..s[1] as usize]);
            let count = match text {
                Some([]) => {
                    empty += 1;
                    continue;
                }
                Some(_) => 1,
                None => std::mem::take(&mut empty),
            };
            if count > 0 {
                let (hash, place) = keeper.keep(text.unwrap_or_default())?;
                let last = self.words.len().wrapping_sub(stride);
                match self.words.get_mut(last..) {
                    Some(entry) if entry[word] == hash && entry[word + 1] == place => {
                        entry[weight.word] += count << weight.shift;
                    }
                    _ => {
                        let at = self.words.len();
                        self.words.resize(at + stride, 0);
                        (self.words[at + word], self.words[at + word + 1]) = (hash, place);
                        self.words[at + weight.word] |= count << weight.shift;
                    }
                }
            }
            if text.is_none() || self.words.len() >= BATCH * stride {
                hash_words(&layout, &self.words, &mut self.hashes, stride);
                self.entries.scatter(&self.words, &self.hashes)?;
                self.words.clear();
            }
            if text.is_none() {
                break;
            }
        }
        self.compact_if_large()
    }

    fn compact_if_large(&mut self) -> Result<()> {
        if self.entries.memory_bytes() > self.entries_bytes_max {
            self.compact()?;
        }
        Ok(())
    }

    /// The keys of some rows, as words.
    fn pack(
        &mut self,
        plan: &Plan,
        keys: &[Column],
        rows: Range<usize>,
        stride: usize,
    ) -> Result<()> {
        self.words.clear();
        self.words.resize(rows.len() * stride, 0);
        let mut coders = self.coders.iter_mut();
        for (part, column) in self.layout.parts.iter().zip(keys) {
            let array = column.array.as_ref();
            match &part.place {
                KeyPlace::Fixed { shape, low, high } => {
                    put_values(shape, array, rows.start, (*low, *high), &mut self.words, stride);
                }
                KeyPlace::Text(word) => {
                    let Some(coder) = coders.next() else { continue };
                    let mut keeper =
                        Keeper { coder, texts: &mut self.texts, numbers: &plan.numbers };
                    let words = &mut self.words;
                    match coded(column) {
                        Some(codes) => {
                            keeper.put_codes(codes, rows.start, *word, words, stride)?;
                        }
                        None => {
                            let array = array.as_binary::<i32>();
                            keeper.put_texts(array, rows.start, *word, words, stride)?;
                        }
                    }
                }
            }
            if let Some(field) = part.null {
                put_nulls(array, rows.start, field, &mut self.words, stride);
            }
        }
        Ok(())
    }

    /// Neighbours of equal key become one entry.
    fn join_repeats(&mut self) {
        let Some(weight) = self.layout.weight else { return };
        let Scatter { words, layout, .. } = self;
        match layout.stride {
            1 => join_in::<1>(words, &layout.masks, weight),
            2 => join_in::<2>(words, &layout.masks, weight),
            3 => join_in::<3>(words, &layout.masks, weight),
            4 => join_in::<4>(words, &layout.masks, weight),
            _ => {}
        }
    }

    /// Of neighbours that are equal one stays.
    fn drop_repeats(&mut self) {
        fn drop_in<const S: usize>(words: &mut Vec<u64>) {
            let rows = words.as_chunks_mut::<S>().0;
            let mut kept = 0;
            for row in 0..rows.len() {
                let new = rows[row];
                kept += usize::from(row == 0 || rows[kept - 1] != new);
                rows[kept - 1] = new;
            }
            words.truncate(kept * S);
        }
        match self.layout.stride {
            1 => drop_in::<1>(&mut self.words),
            2 => drop_in::<2>(&mut self.words),
            _ => {}
        }
    }

    fn states(&mut self) -> Result<&mut Partitions> {
        if self.states.is_none() {
            self.states = Some(Partitions::new(self.layout.partitions(), self.layout.width));
        }
        let missing = || Error::new(codes::LOGICAL_ERROR, "no place for states");
        self.states.as_mut().ok_or_else(missing)
    }

    /// Adds the groups of a table.
    pub fn add_table(&mut self, plan: &Plan, mut table: Table) -> Result<()> {
        let shown = table.shown();
        let (states, groups) = (table.serialized(&shown)?, shown.len());
        let Some(keys) = &table.keys else { return Ok(()) };
        let mut from = 0;
        while from < groups {
            let count = BATCH.min(groups - from);
            let columns = shown.keys(keys, from..from + count)?;
            let states: Vec<Column> = states.iter().map(|s| s.slice(from, count)).collect();
            self.add_states(plan, &columns, &states, count)?;
            from += count;
        }
        Ok(())
    }

    /// Adds groups with serialized states.
    pub fn add_states(
        &mut self,
        plan: &Plan,
        keys: &[Column],
        states: &[Column],
        groups: usize,
    ) -> Result<()> {
        let layout = self.layout.clone();
        let mut from = 0;
        while from < groups {
            let count = BATCH.min(groups - from);
            self.pack(plan, keys, from..from + count, layout.width)?;
            for (aggregate, states) in layout.aggregates.iter().zip(states) {
                let states = states.array.as_binary::<i32>();
                for (i, row) in self.words.chunks_exact_mut(layout.width).enumerate() {
                    let (state, count) = aggregate.packed.read(states.value(from + i))?;
                    if aggregate.has_state {
                        row[aggregate.at] = state;
                    }
                    if let (Some(at), true) = (layout.count_at, aggregate.packed.counts()) {
                        row[at] = count;
                    }
                }
            }
            hash_words(&layout, &self.words, &mut self.hashes, layout.width);
            self.states()?;
            if let Some(states) = &mut self.states {
                states.scatter(&self.words, &self.hashes)?;
            }
            from += count;
        }
        Ok(())
    }

    /// Groups what was scattered so far, so that repeated keys do not pile up.
    fn compact(&mut self) -> Result<()> {
        let layout = self.layout.clone();
        let mut entries = std::mem::replace(
            &mut self.entries,
            Partitions::new(layout.partitions(), layout.stride),
        );
        entries.seal()?;
        let mut old = self.states.take();
        if let Some(old) = &mut old {
            old.seal()?;
        }
        let texts = self.texts.lend();
        let mut groups = Groups::new(&layout);
        let mut states = Partitions::new(layout.partitions(), layout.width);
        for p in 0..layout.partitions() {
            let before = old.as_ref().map_or(0, |o| o.partition_rows(p));
            groups.clear(entries.partition_rows(p) + before);
            for rows in old.iter().flat_map(|o| o.pieces(p)) {
                groups.add_rows(rows, &texts)?;
            }
            for rows in entries.pieces(p) {
                groups.add_entries(rows, &texts)?;
            }
            self.hashes.clear();
            self.hashes.resize(groups.len(), p as u64);
            states.scatter(groups.rows(), &self.hashes)?;
        }
        self.texts.take_back(texts);
        // If groups hardly repeat there is little to gain by doing this again soon.
        self.entries_bytes_max = ENTRIES_BYTES_MAX.max(states.memory_bytes());
        self.states = Some(states);
        Ok(())
    }
}

/// Of neighbouring entries with equal keys, the bits of `masks`, one stays, with the rows of all. Their
/// number fits, as a batch is small.
fn join_in<const S: usize>(words: &mut Vec<u64>, masks: &[u64], weight: Field) {
    let rows = words.as_chunks_mut::<S>().0;
    let mut key = [0u64; S];
    key.iter_mut().zip(masks).for_each(|(key, mask)| *key = *mask);
    let mut kept = 0;
    for row in 0..rows.len() {
        let new = rows[row];
        let same = kept > 0 && {
            let last = rows[kept - 1];
            (0..S).all(|w| (new[w] ^ last[w]) & key[w] == 0)
        };
        if same {
            rows[kept - 1][weight.word] += new[weight.word] >> weight.shift << weight.shift;
        } else {
            rows[kept] = new;
            kept += 1;
        }
    }
    words.truncate(kept * S);
}

/// The hashes of the keys of rows or entries.
fn hash_words(layout: &Layout, words: &[u64], hashes: &mut Vec<u64>, stride: usize) {
    fn hash_rows<const K: usize, const TEXT: bool>(
        layout: &Layout,
        words: &[u64],
        hashes: &mut Vec<u64>,
        stride: usize,
    ) {
        let mut masks = [0u64; K];
        masks.copy_from_slice(&layout.masks);
        hashes.clear();
        let hash = |entry: &[u64]| layout.hash::<K, TEXT>(&masked(entry, &masks));
        hashes.extend(words.chunks_exact(stride).map(hash));
    }
    macro_rules! hash {
        ($($k:literal)*) => {
            match (layout.key_words(), layout.texts > 0) {
                $(($k, false) => hash_rows::<$k, false>(layout, words, hashes, stride),)*
                $(($k, true) => hash_rows::<$k, true>(layout, words, hashes, stride),)*
                _ => {}
            }
        };
    }
    hash!(1 2 3 4 5 6);
}

/// All threads' rows, to be grouped partition by partition.
pub(super) struct Sealed {
    pub layout: Arc<Layout>,
    entries: Vec<Partitions>,
    states: Vec<Partitions>,
    texts: Texts,
}

impl Sealed {
    pub fn of(plan: &Plan, threads: Vec<Scatter>) -> Result<Sealed> {
        let layout = plan.layout.clone();
        let mut sealed =
            Sealed { layout, entries: vec![], states: vec![], texts: Texts::default() };
        for thread in threads {
            let Scatter { mut entries, states, texts, .. } = thread;
            entries.seal()?;
            sealed.entries.push(entries);
            if let Some(mut states) = states {
                states.seal()?;
                sealed.states.push(states);
            }
            sealed.texts.add(texts);
        }
        Ok(sealed)
    }

    /// With the texts of `other`, whose references its own rows have.
    pub fn with_texts(self, other: Sealed) -> Sealed {
        Sealed { texts: other.texts, ..self }
    }

    /// Makes `groups` those of partition `p`.
    pub fn group(&self, p: usize, groups: &mut Groups) -> Result<()> {
        let all = || self.states.iter().chain(&self.entries);
        groups.clear(all().map(|e| e.partition_rows(p)).sum());
        for rows in self.states.iter().flat_map(|s| s.pieces(p)) {
            groups.add_rows(rows, &self.texts)?;
        }
        for rows in self.entries.iter().flat_map(|e| e.pieces(p)) {
            groups.add_entries(rows, &self.texts)?;
        }
        Ok(())
    }

    /// Rows of the first `keys` key columns.
    pub fn key_columns(&self, rows: &[u64], keys: usize) -> Result<Vec<Column>> {
        self.layout.key_columns(rows, keys, &self.texts)
    }

    pub fn results(&self, rows: &[u64]) -> Result<Vec<Column>> {
        self.layout.results(rows)
    }

    /// Groups none of whose keys is NULL.
    pub fn count_valid(&self, groups: &mut Groups) -> usize {
        let nulls: Vec<_> = self.layout.parts.iter().filter_map(|p| p.null).collect();
        if nulls.is_empty() {
            return groups.len();
        }
        let valid = |row: &&[u64]| nulls.iter().all(|n| n.get(row) == 0);
        groups.rows().chunks_exact(self.layout.width).filter(valid).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_array::types::UInt32Type;
    use arrow_array::{BinaryArray, DictionaryArray, UInt32Array};
    use pumphouse_storage::{DataType, Value};

    use super::*;
    use crate::aggregates;
    use crate::plan::BoundAggregate;

    fn count() -> Vec<BoundAggregate> {
        let function = aggregates::lookup("count", &[], &[]).unwrap();
        vec![BoundAggregate { function, arguments: vec![] }]
    }

    /// Key values and counts of all groups.
    fn all(plan: &Plan, scatters: Vec<Scatter>) -> BTreeMap<Vec<Value>, u64> {
        let sealed = Sealed::of(plan, scatters).unwrap();
        let mut groups = Groups::new(&plan.layout);
        let mut found = BTreeMap::new();
        for p in 0..plan.layout.partitions() {
            sealed.group(p, &mut groups).unwrap();
            check_near(plan, &mut groups);
            let keys = sealed.key_columns(groups.rows(), 9).unwrap();
            let counts = sealed.results(groups.rows()).unwrap();
            for row in 0..groups.len() {
                let key: Vec<Value> = keys.iter().map(|k| k.value(row)).collect();
                let Value::UInt(count) = counts[0].value(row) else { panic!("no count") };
                assert!(found.insert(key, count).is_none(), "a group came twice");
            }
        }
        found
    }

    /// Rows within a range are those of all rows, in any order.
    fn check_near(plan: &Plan, groups: &mut Groups) {
        let at = plan.layout.ordered_word(0).unwrap();
        for range in [0..=u64::MAX, 1..=1, 2..=5, 7..=u64::MAX] {
            let mut near: Vec<Vec<u64>> = groups
                .rows_within(at, &range)
                .chunks(plan.layout.width)
                .map(<[u64]>::to_vec)
                .collect();
            let all = groups.rows().chunks(plan.layout.width);
            let mut expected: Vec<Vec<u64>> =
                all.filter(|row| range.contains(&row[at])).map(<[u64]>::to_vec).collect();
            near.sort();
            expected.sort();
            assert_eq!(near, expected, "{range:?}");
        }
    }

    fn text(i: u64) -> String {
        match i % 5 {
            0 => String::new(),
            1 => format!("{}", i % 11),
            _ => format!("a text of some length, number {i}"),
        }
    }

    #[test]
    fn rows_that_are_yet_to_be_gathered_are_told_as_memory() {
        let plan = Plan::new(Layout::of(&[DataType::UInt64], &count()).unwrap());
        let numbers: Vec<Value> = (0..50_000).map(Value::UInt).collect();
        let keys = [Column::from_values(DataType::UInt64, &numbers).unwrap()];
        let mut scatter = Scatter::new(&plan);
        scatter.update(&plan, &keys, &[vec![]], numbers.len()).unwrap();
        let sealed = Sealed::of(&plan, vec![scatter]).unwrap();
        let mut groups = Groups::new(&plan.layout);
        sealed.group(0, &mut groups).unwrap();
        let told = groups.memory_bytes();
        assert!(groups.rows().len() >= 50 * plan.layout.width());
        assert!(groups.memory_bytes() <= told);
    }

    #[test]
    fn keys_of_all_kinds_are_counted_across_threads() {
        let types = [
            DataType::UInt64,
            DataType::String,
            DataType::nullable(DataType::Int16),
            DataType::Uuid,
            DataType::nullable(DataType::String),
        ];
        let aggregates = count();
        let plan = Plan::new(Layout::of(&types[..3], &aggregates).unwrap());
        let wide = Plan::new(Layout::of(&types[2..], &aggregates).unwrap());
        let row = |i: u64| {
            let n = if i.is_multiple_of(3) { Value::Null } else { Value::Int(i as i64 % 40 - 20) };
            let uuid = Value::string(((i as u128 % 70) << 64 | 5).to_le_bytes());
            let s = if i.is_multiple_of(4) {
                Value::Null
            } else {
                Value::string(text(i % 90).as_bytes())
            };
            vec![Value::UInt(i % 300), Value::string(text(i % 60).as_bytes()), n, uuid, s]
        };
        for (plan, range) in [(&plan, 0..3), (&wide, 2..5)] {
            let mut expected: BTreeMap<Vec<Value>, u64> = BTreeMap::new();
            let mut scatters = vec![];
            for thread in 0..2 {
                let mut scatter = Scatter::new(plan);
                for block in 0..3u64 {
                    let numbers = (0..5000).map(|i| i * (7 + thread) + block * 13);
                    let rows: Vec<Vec<Value>> =
                        numbers.map(|i| row(i)[range.clone()].to_vec()).collect();
                    let column = |k: usize| {
                        let values: Vec<Value> = rows.iter().map(|r| r[k].clone()).collect();
                        Column::from_values(types[range.start + k].clone(), &values).unwrap()
                    };
                    let keys: Vec<Column> = (0..range.len()).map(column).collect();
                    scatter.update(plan, &keys, &[vec![]], rows.len()).unwrap();
                    rows.into_iter().for_each(|r| *expected.entry(r).or_default() += 1);
                    if block == 1 {
                        scatter.compact().unwrap();
                    }
                }
                scatters.push(scatter);
            }
            assert!(all(plan, scatters) == expected);
        }
    }

    #[test]
    fn dictionaries_and_tables_count_like_plain_strings() {
        let types = [DataType::String];
        let aggregates = count();
        let plan = Plan::new(Layout::of(&types, &aggregates).unwrap());
        let mut expected: BTreeMap<Vec<Value>, u64> = BTreeMap::new();
        let mut scatter = Scatter::new(&plan);
        let mut table = Table::new(&types, true, &aggregates);
        for block in 0..4u64 {
            let texts: Vec<String> = (0..700).map(|i| text(i + block * 100)).collect();
            let codes: Vec<u32> = (0..3000).map(|i| (i * i % 650) as u32).collect();
            let values = BinaryArray::from_iter_values(texts.iter().map(String::as_bytes));
            let keys = UInt32Array::from(codes.clone());
            let array = DictionaryArray::<UInt32Type>::new(keys, Arc::new(values));
            let coded = Column { data_type: DataType::String, array: Arc::new(array) };
            let plain = crate::execute::key_table::plain(&coded);
            assert_eq!(plain.array.data_type(), &DataType::String.arrow());
            let column = if block % 2 == 0 { coded } else { plain };
            // A slice of a dictionary has all its strings.
            let column = column.slice(10, 2900);
            if block < 2 {
                scatter.update(&plan, &[column], &[vec![]], 2900).unwrap();
            } else {
                table.update(&[column], &[vec![]], 2900, &mut vec![]).unwrap();
            }
            for code in &codes[10..2910] {
                let key = vec![Value::string(texts[*code as usize].as_bytes())];
                *expected.entry(key).or_default() += 1;
            }
        }
        scatter.add_table(&plan, table).unwrap();
        assert!(all(&plan, vec![scatter]) == expected);
    }
}
