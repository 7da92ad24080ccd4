//! `groupBitmap` (a set of integers) and `groupBitmapAnd`, `groupBitmapOr`, `groupBitmapXor`: over states of `groupBitmap`, whose sets of words
//! they combine; their own states are `groupBitmap` states again.

use std::sync::Arc;

use arrow_array::UInt64Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType};

use super::exact_distinct::MixSet;
use super::kernel::{Build, Built, Grouped, Kernel, State, wire};
use super::{Accumulator, AggregateFunction};
use crate::error::Result;
use crate::execute::row_codec::RowCodec;

/// So many words are kept in order of arrival; more are in order of size.
const LIST_MAX: usize = 32;

/// A set of words: short ones as a list.
#[derive(Clone)]
pub(crate) enum Words {
    List(Vec<u64>),
    Table(MixSet<u64>),
}

impl Default for Words {
    fn default() -> Self {
        Words::List(vec![])
    }
}

impl Words {
    pub fn insert(&mut self, word: u64) {
        match self {
            Words::Table(table) => {
                table.insert(word);
            }
            Words::List(list) if list.contains(&word) => {}
            Words::List(list) if list.len() < LIST_MAX => list.push(word),
            Words::List(list) => {
                let mut table = MixSet::with_capacity_and_hasher(128, Default::default());
                table.extend(list.iter().copied());
                table.insert(word);
                *self = Words::Table(table);
            }
        }
    }

    pub fn contains(&self, word: u64) -> bool {
        match self {
            Words::List(list) => list.contains(&word),
            Words::Table(table) => table.contains(&word),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Words::List(list) => list.len(),
            Words::Table(table) => table.len(),
        }
    }

    /// In order of arrival while there are few, else in order of size.
    pub fn to_vec(&self) -> Vec<u64> {
        match self {
            Words::List(list) => list.clone(),
            Words::Table(table) => {
                let mut words: Vec<u64> = table.iter().copied().collect();
                words.sort_unstable();
                words
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        match self {
            Words::List(list) => list.retain(|w| keep(*w)),
            Words::Table(table) => table.retain(|w| keep(*w)),
        }
    }

    pub fn and(&mut self, other: &Words) {
        self.retain(|w| other.contains(w));
    }

    pub fn or(&mut self, other: &Words) {
        other.to_vec().into_iter().for_each(|w| self.insert(w));
    }

    pub fn and_not(&mut self, other: &Words) {
        self.retain(|w| !other.contains(w));
    }

    pub fn xor(&mut self, other: &Words) {
        let mine = self.clone();
        self.retain(|w| !other.contains(w));
        other.to_vec().into_iter().filter(|w| !mine.contains(*w)).for_each(|w| self.insert(w));
    }

    /// The words of a `groupBitmap` state. Empty bytes are the empty bitmap.
    pub fn read(mut state: &[u8]) -> Result<Words> {
        let mut words = Words::default();
        if state.is_empty() {
            return Ok(words);
        }
        for _ in 0..wire::read_count(&mut state)? {
            words.insert(wire::read_u64(&mut state)?);
        }
        Ok(words)
    }

    /// The state of these words.
    pub fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.len() as u64, out);
        self.to_vec().iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    }
}

impl FromIterator<u64> for Words {
    fn from_iter<I: IntoIterator<Item = u64>>(words: I) -> Words {
        let mut set = Words::default();
        words.into_iter().for_each(|w| set.insert(w));
        set
    }
}

/// `groupBitmap` itself.
#[derive(Clone)]
struct Gather(Arc<RowCodec>);

impl State for Words {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.or(other);
    }
    fn write(&self, out: &mut Vec<u8>) {
        Words::write(self, out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Words::read(std::mem::take(input))
    }
    fn heap_bytes(&self) -> usize {
        match self {
            Words::List(list) => list.capacity() * 8,
            Words::Table(table) => table.capacity() * 10,
        }
    }
}

impl Kernel for Gather {
    type State = Words;

    fn update(&self, states: &mut [Words], groups: &[u32], columns: &[Column]) -> Result<()> {
        let encoders = self.0.encoders(columns);
        let mut bytes = Vec::with_capacity(8);
        for (row, group) in groups.iter().enumerate() {
            bytes.clear();
            encoders[0].write(row, &mut bytes);
            let mut word = [0u8; 8];
            let width = bytes.len().min(8);
            word[..width].copy_from_slice(&bytes[..width]);
            states[*group as usize].insert(u64::from_le_bytes(word));
        }
        Ok(())
    }

    fn finish(&self, states: &[Words]) -> Result<Column> {
        let array = UInt64Array::from_iter_values(states.iter().map(|s| s.len() as u64));
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }
}

/// Integers of at most 64 bit.
pub(crate) fn is_word(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, UInt8 | UInt16 | UInt32 | UInt64 | Int8 | Int16 | Int32 | Int64 | Bool)
}

pub(crate) fn build(build: &Build) -> Built {
    build.expect_arguments(1)?;
    if !is_word(&build.arguments[0]) {
        return Err(build.illegal(&build.arguments[0]));
    }
    build.counting(DataType::UInt64, Gather(Arc::new(RowCodec::new(build.arguments))))
}

#[derive(Clone, Copy)]
enum Operation {
    And,
    Or,
    Xor,
}

#[derive(Default)]
struct Bitmap {
    words: Words,
    seen: bool,
}

impl State for Bitmap {
    const HEAP: bool = true;
    fn merge(&mut self, _: &Self) {}
    fn write(&self, out: &mut Vec<u8>) {
        self.words.write(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(Bitmap { words: Words::read(std::mem::take(input))?, seen: true })
    }
    fn heap_bytes(&self) -> usize {
        self.words.heap_bytes()
    }
}

#[derive(Clone)]
struct Combine(Operation);

impl Combine {
    fn combine(&self, state: &mut Bitmap, words: &Words) {
        if !state.seen {
            state.seen = true;
            state.words = words.clone();
            return;
        }
        match self.0 {
            Operation::And => state.words.and(words),
            Operation::Or => state.words.or(words),
            Operation::Xor => state.words.xor(words),
        }
    }
}

impl Kernel for Combine {
    type State = Bitmap;

    fn update(&self, states: &mut [Bitmap], groups: &[u32], columns: &[Column]) -> Result<()> {
        let bitmaps = columns[0].array.as_binary::<i32>();
        for (i, group) in groups.iter().enumerate() {
            self.combine(&mut states[*group as usize], &Words::read(bitmaps.value(i))?);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Bitmap, from: &Bitmap) {
        if from.seen {
            self.combine(into, &from.words);
        }
    }

    fn finish(&self, states: &[Bitmap]) -> Result<Column> {
        let counts = states.iter().map(|s| s.words.len() as u64);
        let array = UInt64Array::from_iter_values(counts);
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }
}

/// The function, whose state's type is that of its argument.
struct OverBitmaps {
    name: &'static str,
    bitmap: DataType,
    kernel: Combine,
}

impl AggregateFunction for OverBitmaps {
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn return_type(&self) -> DataType {
        DataType::UInt64
    }
    fn state_type(&self) -> DataType {
        self.bitmap.clone()
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(Grouped::new(self.kernel.clone(), self.bitmap.clone()))
    }
    fn default_when_only_null(&self) -> bool {
        true
    }
}

fn over_bitmaps(build: &Build, operation: Operation) -> Built {
    build.expect_arguments(1)?;
    match &build.arguments[0] {
        t @ DataType::AggregateFunction { name, .. } if name == "groupBitmap" => {
            Ok(Arc::new(OverBitmaps {
                name: build.name,
                bitmap: t.clone(),
                kernel: Combine(operation),
            }))
        }
        other => Err(build.illegal(other)),
    }
}

pub(crate) fn build_and(build: &Build) -> Built {
    over_bitmaps(build, Operation::And)
}
pub(crate) fn build_or(build: &Build) -> Built {
    over_bitmaps(build, Operation::Or)
}
pub(crate) fn build_xor(build: &Build) -> Built {
    over_bitmaps(build, Operation::Xor)
}
