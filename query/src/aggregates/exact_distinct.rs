//! `uniqExact` and `count(DISTINCT …)`: a set of values per group, small ones as a list.
//!
//! Values of up to 64 bits are kept themselves; wider ones and strings as 128 bits of hash, as
//! ClickHouse does.

use std::sync::Arc;

use arrow_array::UInt64Array;
use hashbrown::HashSet;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::Result;
use crate::execute::key_table::{hash_u64, hash_u128};
use crate::execute::row_codec::{RowCodec, Shape};

/// Up to so many values are searched one by one.
const LIST_MAX: usize = 8;

pub(crate) trait Element:
    Copy + Eq + std::hash::Hash + Default + Send + Sync + 'static
{
    fn put(self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self>;
}
impl Element for u64 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(input: &mut &[u8]) -> Result<u64> {
        wire::read_u64(input)
    }
}
impl Element for u128 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(input: &mut &[u8]) -> Result<u128> {
        Ok(u128::from_le_bytes(wire::array(input)?))
    }
}

/// Hashes integers with the engine's own mixer.
#[derive(Default, Clone, Copy)]
pub(crate) struct Mix(u64);

impl std::hash::Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, v: u64) {
        self.0 = hash_u64(v);
    }
    fn write_u128(&mut self, v: u128) {
        self.0 = hash_u128(v);
    }
}

pub(crate) type MixSet<T> = HashSet<T, std::hash::BuildHasherDefault<Mix>>;

/// The values of one group.
#[derive(Clone)]
pub(crate) enum ValueSet<T: Element> {
    List(Vec<T>),
    Table(MixSet<T>),
}

impl<T: Element> Default for ValueSet<T> {
    fn default() -> Self {
        ValueSet::List(vec![])
    }
}

impl<T: Element> ValueSet<T> {
    /// Whether the value is new.
    #[inline]
    pub fn insert(&mut self, value: T) -> bool {
        match self {
            ValueSet::Table(table) => table.insert(value),
            ValueSet::List(list) => {
                if list.contains(&value) {
                    return false;
                }
                if list.len() < LIST_MAX {
                    list.push(value);
                } else {
                    let mut table = MixSet::with_capacity_and_hasher(32, Default::default());
                    table.extend(list.iter().copied());
                    table.insert(value);
                    *self = ValueSet::Table(table);
                }
                true
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            ValueSet::List(list) => list.len(),
            ValueSet::Table(table) => table.len(),
        }
    }

    pub fn for_each(&self, mut f: impl FnMut(T)) {
        match self {
            ValueSet::List(list) => list.iter().for_each(|v| f(*v)),
            ValueSet::Table(table) => table.iter().for_each(|v| f(*v)),
        }
    }
}

impl<T: Element> State for ValueSet<T> {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if let (ValueSet::List(mine), ValueSet::Table(_)) = (&*self, other) {
            let mine = mine.clone();
            *self = other.clone();
            for value in mine {
                self.insert(value);
            }
            return;
        }
        other.for_each(|v| {
            self.insert(v);
        });
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.len() as u64, out);
        self.for_each(|v| v.put(out));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Self::default();
        for _ in 0..wire::read_count(input)? {
            state.insert(T::take(input)?);
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        match self {
            ValueSet::List(list) => list.capacity() * size_of::<T>(),
            ValueSet::Table(table) => table.capacity() * (size_of::<T>() + 1) * 8 / 7,
        }
    }
}

/// Turns argument rows into set elements.
pub(crate) trait ToElements: Clone + Send + Sync + 'static {
    type Element: Element;
    fn elements(&self, columns: &[Column], rows: usize) -> Vec<Self::Element>;
}

/// One column of at most 8 bytes.
#[derive(Clone)]
pub(crate) struct Words(Arc<RowCodec>);

impl ToElements for Words {
    type Element = u64;
    fn elements(&self, columns: &[Column], rows: usize) -> Vec<u64> {
        let encoders = self.0.encoders(columns);
        let mut bytes = Vec::with_capacity(8);
        (0..rows)
            .map(|row| {
                bytes.clear();
                encoders[0].write(row, &mut bytes);
                let mut word = [0u8; 8];
                word[..bytes.len()].copy_from_slice(&bytes);
                u64::from_le_bytes(word)
            })
            .collect()
    }
}

/// Anything else, hashed.
#[derive(Clone)]
pub(crate) struct Hashes(Arc<RowCodec>);

impl ToElements for Hashes {
    type Element = u128;
    fn elements(&self, columns: &[Column], rows: usize) -> Vec<u128> {
        let encoders = self.0.encoders(columns);
        let mut bytes = Vec::with_capacity(64);
        (0..rows)
            .map(|row| {
                bytes.clear();
                for encoder in &encoders {
                    encoder.write(row, &mut bytes);
                }
                xxhash_rust::xxh3::xxh3_128(&bytes)
            })
            .collect()
    }
}

#[derive(Clone)]
struct UniqExact<E>(E);

impl<E: ToElements> Kernel for UniqExact<E> {
    type State = ValueSet<E::Element>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let elements = self.0.elements(columns, groups.len());
        for (group, element) in groups.iter().zip(elements) {
            states[*group as usize].insert(element);
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let array = UInt64Array::from_iter_values(states.iter().map(|s| s.len() as u64));
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }
}

pub(crate) fn build(build: &Build) -> Built {
    if build.arguments.is_empty() {
        build.expect_arguments(1)?;
    }
    let codec = Arc::new(RowCodec::new(build.arguments));
    let word = matches!(codec.shapes(), [shape] if fits_word(shape));
    if word {
        build.counting(DataType::UInt64, UniqExact(Words(codec)))
    } else {
        build.counting(DataType::UInt64, UniqExact(Hashes(codec)))
    }
}

fn fits_word(shape: &Shape) -> bool {
    shape.width().is_some_and(|w| w <= 8)
}
