//! Approximate distinct counts: `uniq` (an adaptive sample of hashes), `uniqHLL12` and
//! `uniqCombined` (exact while small, then HyperLogLog), `uniqUpTo`.
//!
//! Hashes and formulas are ClickHouse's, so that `uniq` and `uniqHLL12` give its numbers;
//! `uniqCombined` lacks its bias table and agrees to a fraction of a percent.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt64Array};
use hashbrown::HashSet;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::quantile::int_hash_32;
use crate::error::Result;
use crate::execute::row_codec::{Encoder, RowCodec, Shape};
use crate::functions::city::{city_hash_64, fold as hash_128_to_64};

/// MurmurHash3's finalizer.
fn int_hash_64(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// CRC-32C of eight bytes, started with all ones, as the SSE instruction gives it.
pub(super) fn crc32c_u64(value: u64) -> u32 {
    crc32c_step(u32::MAX, value)
}

/// `crc` carried on over eight bytes.
pub(super) fn crc32c_step(mut crc: u32, value: u64) -> u32 {
    for byte in value.to_le_bytes() {
        crc ^= byte as u32;
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    crc
}

/// One word per row that stands for its value.
#[derive(Clone)]
struct RowWords(Arc<RowCodec>);

/// The bytes ClickHouse hashes for one column: strings without their length.
fn column_word(encoder: &Encoder, row: usize, single: bool, bytes: &mut Vec<u8>) -> u64 {
    if let Encoder::Bytes(array) = encoder {
        return city_hash_64(array.value(row));
    }
    bytes.clear();
    encoder.write(row, bytes);
    if single && bytes.len() <= 8 {
        let mut word = [0u8; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        return u64::from_le_bytes(word);
    }
    city_hash_64(bytes)
}

impl RowWords {
    fn new(types: &[DataType]) -> RowWords {
        RowWords(Arc::new(RowCodec::new(types)))
    }

    /// Whether a signed column narrower than 64 bits has to be widened with its sign.
    fn words(&self, columns: &[Column], rows: usize) -> Vec<u64> {
        let mut bytes = vec![];
        let encoders = self.0.encoders(columns);
        let single = encoders.len() == 1 && !matches!(self.0.shapes()[0], Shape::Nullable(_));
        if single && let Some(words) = signed_words(&columns[0]) {
            return words;
        }
        (0..rows)
            .map(|row| {
                let mut hash: Option<u64> = None;
                for encoder in &encoders {
                    let word = column_word(encoder, row, single, &mut bytes);
                    hash = Some(hash.map_or(word, |h| hash_128_to_64(word, h)));
                }
                hash.unwrap_or(0)
            })
            .collect()
    }
}

fn signed_words(column: &Column) -> Option<Vec<u64>> {
    use arrow_array::types::*;
    use arrow_schema::DataType as A;
    macro_rules! widen {
        ($t:ty) => {
            Some(
                column
                    .array
                    .as_primitive::<$t>()
                    .values()
                    .iter()
                    .map(|v| *v as i64 as u64)
                    .collect(),
            )
        };
    }
    match column.array.data_type() {
        A::Int8 => widen!(Int8Type),
        A::Int16 => widen!(Int16Type),
        A::Int32 => widen!(Int32Type),
        _ => None,
    }
}

/// What a state does with a word.
trait Sketch: State {
    fn insert(&mut self, word: u64);
    fn estimate(&self) -> u64;
}

struct Unique<S> {
    words: RowWords,
    sketch: std::marker::PhantomData<fn() -> S>,
}

impl<S> Clone for Unique<S> {
    fn clone(&self) -> Self {
        Unique { words: self.words.clone(), sketch: std::marker::PhantomData }
    }
}

impl<S: Sketch> Kernel for Unique<S> {
    type State = S;

    fn update(&self, states: &mut [S], groups: &[u32], columns: &[Column]) -> Result<()> {
        let words = self.words.words(columns, groups.len());
        for (group, word) in groups.iter().zip(words) {
            states[*group as usize].insert(word);
        }
        Ok(())
    }

    fn finish(&self, states: &[S]) -> Result<Column> {
        let array = UInt64Array::from_iter_values(states.iter().map(Sketch::estimate));
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }
}

fn build<S: Sketch>(build: &Build) -> Built {
    if build.arguments.is_empty() {
        build.expect_arguments(1)?;
    }
    let kernel =
        Unique::<S> { words: RowWords::new(build.arguments), sketch: std::marker::PhantomData };
    build.counting(DataType::UInt64, kernel)
}

/// Hashes of which the low `skip` bits are zero; `skip` grows so that at most 65536 are kept.
#[derive(Default)]
struct UniqueHashes {
    skip: u8,
    hashes: HashSet<u32, std::hash::BuildHasherDefault<Identity>>,
}

/// The values are hashes already.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | *byte as u64;
        }
    }
    fn write_u32(&mut self, v: u32) {
        self.0 = (v as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

const UNIQUE_HASHES_MAX: usize = 1 << 16;

impl UniqueHashes {
    fn good(&self, hash: u32) -> bool {
        hash.trailing_zeros() >= self.skip as u32 || hash == 0
    }

    fn insert_hash(&mut self, hash: u32) {
        if self.good(hash) && self.hashes.insert(hash) && self.hashes.len() > UNIQUE_HASHES_MAX {
            self.thin();
        }
    }

    fn thin(&mut self) {
        while self.hashes.len() > UNIQUE_HASHES_MAX && self.skip < 31 {
            self.skip += 1;
            let skip = self.skip as u32;
            self.hashes.retain(|h| h.trailing_zeros() >= skip || *h == 0);
        }
    }
}

impl State for UniqueHashes {
    const HEAP: bool = true;

    fn merge(&mut self, other: &Self) {
        if other.skip > self.skip {
            self.skip = other.skip;
            let skip = self.skip as u32;
            self.hashes.retain(|h| h.trailing_zeros() >= skip || *h == 0);
        }
        for hash in &other.hashes {
            self.insert_hash(*hash);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.skip);
        wire::write_varint(self.hashes.len() as u64, out);
        self.hashes.iter().for_each(|h| out.extend_from_slice(&h.to_le_bytes()));
    }

    fn read(input: &mut &[u8]) -> Result<Self> {
        let skip = wire::array::<1>(input)?[0].min(31);
        let mut state = UniqueHashes { skip, ..Default::default() };
        for _ in 0..wire::read_count(input)? {
            state.insert_hash(u32::from_le_bytes(wire::array(input)?));
        }
        Ok(state)
    }

    fn heap_bytes(&self) -> usize {
        self.hashes.capacity() * 6
    }
}

impl Sketch for UniqueHashes {
    fn insert(&mut self, word: u64) {
        self.insert_hash(int_hash_64(word) as u32);
    }

    fn estimate(&self) -> u64 {
        let kept = self.hashes.len() as u64;
        if self.skip == 0 {
            return kept;
        }
        let mut count = kept << self.skip;
        // So that the result does not look like a multiple of a power of two.
        count += crc32c_u64(kept) as u64 & ((1 << self.skip) - 1);
        let buckets = 2f64.powi(32);
        (buckets * (buckets.ln() - (buckets - count as f64).ln())).round() as u64
    }
}

/// HyperLogLog registers of 2^`BITS` buckets.
#[derive(Clone)]
struct Registers {
    ranks: Vec<u8>,
}

impl Registers {
    fn new(bits: u32) -> Registers {
        Registers { ranks: vec![0; 1 << bits] }
    }

    fn insert(&mut self, hash: u64, hash_bits: u32) {
        let bits = self.ranks.len().trailing_zeros();
        let bucket = hash as usize & (self.ranks.len() - 1);
        let rank_max = hash_bits - bits + 1;
        let rank = (hash >> bits).trailing_zeros().saturating_add(1).min(rank_max) as u8;
        self.ranks[bucket] = self.ranks[bucket].max(rank);
    }

    fn estimate(&self) -> u64 {
        let buckets = self.ranks.len() as f64;
        let alpha = 0.7213 / (1.0 + 1.079 / buckets);
        let denominator: f64 = self.ranks.iter().map(|r| 2f64.powi(-(*r as i32))).sum();
        let raw = alpha * buckets * buckets / denominator;
        let zeros = self.ranks.iter().filter(|r| **r == 0).count();
        let estimate = if raw <= 2.5 * buckets && zeros > 0 {
            buckets * (buckets.ln() - (zeros as f64).ln())
        } else {
            raw
        };
        (estimate + 0.5) as u64
    }
}

/// Words themselves while few, then registers.
#[derive(Clone)]
struct SmallThenLog<const BITS: u32, const SMALL: usize, const HASH_BITS: u32> {
    small: Vec<u64>,
    table: HashSet<u64, std::hash::BuildHasherDefault<super::exact_distinct::Mix>>,
    registers: Option<Registers>,
}

impl<const BITS: u32, const SMALL: usize, const HASH_BITS: u32> Default
    for SmallThenLog<BITS, SMALL, HASH_BITS>
{
    fn default() -> Self {
        SmallThenLog { small: vec![], table: Default::default(), registers: None }
    }
}

impl<const BITS: u32, const SMALL: usize, const HASH_BITS: u32>
    SmallThenLog<BITS, SMALL, HASH_BITS>
{
    fn hash(word: u64) -> u64 {
        if HASH_BITS == 32 { int_hash_32(word) as u64 } else { int_hash_64(word) }
    }

    fn spill(&mut self) {
        let mut registers = Registers::new(BITS);
        let words = self.small.iter().chain(&self.table);
        words.for_each(|w| registers.insert(Self::hash(*w), HASH_BITS));
        *self = SmallThenLog { registers: Some(registers), ..Default::default() };
    }
}

impl<const BITS: u32, const SMALL: usize, const HASH_BITS: u32> State
    for SmallThenLog<BITS, SMALL, HASH_BITS>
{
    const HEAP: bool = true;

    fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.registers {
            if self.registers.is_none() {
                self.spill();
            }
            if let Some(mine) = &mut self.registers {
                for (a, b) in mine.ranks.iter_mut().zip(&theirs.ranks) {
                    *a = (*a).max(*b);
                }
            }
            return;
        }
        other.small.iter().chain(&other.table).for_each(|w| self.insert(*w));
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.registers {
            Some(registers) => {
                out.push(1);
                out.extend_from_slice(&registers.ranks);
            }
            None => {
                out.push(0);
                wire::write_varint((self.small.len() + self.table.len()) as u64, out);
                let words = self.small.iter().chain(&self.table);
                words.for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
            }
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Self::default();
        if wire::array::<1>(input)?[0] == 1 {
            let ranks = wire::bytes(input, 1 << BITS)?.to_vec();
            state.registers = Some(Registers { ranks });
            return Ok(state);
        }
        for _ in 0..wire::read_count(input)? {
            state.insert(wire::read_u64(input)?);
        }
        Ok(state)
    }

    fn heap_bytes(&self) -> usize {
        let registers = self.registers.as_ref().map_or(0, |r| r.ranks.len());
        self.small.capacity() * 8 + self.table.capacity() * 10 + registers
    }
}

impl<const BITS: u32, const SMALL: usize, const HASH_BITS: u32> Sketch
    for SmallThenLog<BITS, SMALL, HASH_BITS>
{
    fn insert(&mut self, word: u64) {
        if let Some(registers) = &mut self.registers {
            registers.insert(Self::hash(word), HASH_BITS);
            return;
        }
        if self.table.is_empty() && self.small.len() < 16 {
            if !self.small.contains(&word) {
                self.small.push(word);
            }
            return;
        }
        self.table.extend(self.small.drain(..));
        self.table.insert(word);
        if self.table.len() > SMALL {
            self.spill();
        }
    }

    fn estimate(&self) -> u64 {
        match &self.registers {
            Some(registers) => registers.estimate(),
            None => (self.small.len() + self.table.len()) as u64,
        }
    }
}

pub(crate) fn build_uniq(b: &Build) -> Built {
    build::<UniqueHashes>(b)
}

pub(crate) fn build_hll12(b: &Build) -> Built {
    build::<SmallThenLog<12, 16, 32>>(b)
}

/// `uniqCombined(precision)`: the precisions in between use the next one that is built in.
pub(crate) fn build_combined(b: &Build) -> Built {
    let precision = b.parameters.first().map_or(Some(17), |p| p.as_u64());
    match precision {
        Some(12..=14) => build::<SmallThenLog<14, 1024, 64>>(b),
        Some(15..=17) => build::<SmallThenLog<17, 16_384, 64>>(b),
        Some(18..=20) => build::<SmallThenLog<20, 65_536, 64>>(b),
        _ => Err(crate::Error::new(
            crate::error::codes::ARGUMENT_OUT_OF_BOUND,
            format!("Parameter for aggregate function {} is out of range: [12, 20].", b.name),
        )),
    }
}

/// Up to N distinct values, N + 1 for more.
#[derive(Clone)]
struct UpTo {
    words: RowWords,
    most: usize,
}

#[derive(Default)]
struct FewWords(Vec<u64>);

impl State for FewWords {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        for word in &other.0 {
            if !self.0.contains(word) {
                self.0.push(*word);
            }
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        self.0.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let count = wire::read_count(input)?;
        Ok(FewWords((0..count).map(|_| wire::read_u64(input)).collect::<Result<_>>()?))
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

impl Kernel for UpTo {
    type State = FewWords;

    fn update(&self, states: &mut [FewWords], groups: &[u32], columns: &[Column]) -> Result<()> {
        let words = self.words.words(columns, groups.len());
        for (group, word) in groups.iter().zip(words) {
            let few = &mut states[*group as usize].0;
            if few.len() <= self.most && !few.contains(&word) {
                few.push(word);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[FewWords]) -> Result<Column> {
        let most = self.most + 1;
        let counts = states.iter().map(|s| s.0.len().min(most) as u64);
        let array = UInt64Array::from_iter_values(counts);
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }
}

pub(crate) fn build_up_to(b: &Build) -> Built {
    let most = b.parameters.first().map_or(Some(10), |p| p.as_u64()).filter(|n| *n <= 100);
    let most = most.ok_or_else(|| b.bad_parameter("must have a threshold of at most 100"))?;
    let kernel = UpTo { words: RowWords::new(b.arguments), most: most as usize };
    b.counting(DataType::UInt64, kernel)
}

#[cfg(test)]
mod tests {
    use crate::functions::city::city_hash_64;

    /// Values from ClickHouse's `cityHash64`, one for every branch by length.
    #[test]
    fn agrees_with_clickhouse() {
        let alphabet = "abcdefghijklmnopqrstuvwxyz";
        let cases = [
            ("", 11160318154034397263),
            ("a", 2603192927274642682),
            ("abc", 4220206313085259313),
            ("Moscow", 12507901496292878638),
            ("abcdefgh", 4864636163090995991),
            ("abcdefghijk", 16743374976483586448),
            (alphabet, 15358950491435023419),
            (&alphabet.repeat(2), 2986571975095690636),
            (&alphabet.repeat(5), 12989388165031134396),
        ];
        for (text, expected) in cases {
            assert_eq!(city_hash_64(text.as_bytes()), expected, "{text}");
        }
    }
}
