//! `topK`, `topKWeighted`, `approx_top_k`, `approx_top_sum`: frequent values, exact while they fit the
//! counters, else by the filtered space-saving algorithm.
//!
//! Exact with ClickHouse's order among equals while the values fit the room for counters; beyond it the
//! bounds are the same kind, not the same numbers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::estimates::{crc32c_step, crc32c_u64};
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::{Decoder, RowCodec, Shape};
use crate::functions::city::city_hash_64;

/// So many different values are always counted exactly.
const ROOM_MIN: usize = 64;
/// Largest number of counters.
const COUNTERS_MAX: u64 = 0xFF_FFFF;

/// Counters in falling order; values that are not counted share the cells of a filter.
#[derive(Default)]
struct Counters {
    places: HashMap<Box<[u8]>, usize>,
    counters: Vec<Counter>,
    filter: Vec<u64>,
}

#[derive(Clone)]
struct Counter {
    row: Box<[u8]>,
    count: u64,
    error: u64,
    hash: u64,
}

impl Counter {
    fn above(&self, other: &Counter) -> bool {
        self.count > other.count || (self.count == other.count && self.error < other.error)
    }
}

impl Counters {
    fn add(&mut self, row: &[u8], weight: u64, kernel: &TopK) {
        if let Some(place) = self.places.get(row) {
            let place = *place;
            self.counters[place].count += weight;
            self.rise(place);
            return;
        }
        let hash = kernel.hash(row);
        let seen = match self.filter.len() as u64 {
            0 => 0,
            cells => self.filter[(hash & (cells - 1)) as usize],
        };
        self.push(Counter { row: row.into(), count: seen + weight, error: seen, hash });
        if self.counters.len() > kernel.room {
            self.cut(kernel.capacity);
        }
    }

    /// Keeps the highest counters; what the others counted is left in the filter.
    fn cut(&mut self, capacity: usize) {
        if self.filter.is_empty() {
            self.filter = vec![0; filter_cells(capacity)];
        }
        let mask = self.filter.len() as u64 - 1;
        for gone in self.counters.drain(capacity..) {
            self.places.remove(&gone.row);
            let cell = &mut self.filter[(gone.hash & mask) as usize];
            *cell = (*cell).max(gone.count);
        }
    }

    fn push(&mut self, counter: Counter) {
        self.places.insert(counter.row.clone(), self.counters.len());
        self.counters.push(counter);
        self.rise(self.counters.len() - 1);
    }

    /// One step of bubble sort.
    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.counters[place].above(&self.counters[place - 1]) {
            self.counters.swap(place, place - 1);
            for at in [place, place - 1] {
                if let Some(kept) = self.places.get_mut(&self.counters[at].row) {
                    *kept = at;
                }
            }
            place -= 1;
        }
    }

    /// What the full counters of a state could hide of a value it does not count.
    fn hidden(&self, capacity: usize) -> u64 {
        if self.counters.len() < capacity {
            return 0;
        }
        self.counters.last().map_or(0, |c| c.count)
    }

    fn join(&mut self, other: &Counters, capacity: usize) {
        let (mine, theirs) = (self.hidden(capacity), other.hidden(capacity));
        for counter in &mut self.counters {
            counter.count += theirs;
            counter.error += theirs;
        }
        for counter in &other.counters {
            if let Some(place) = self.places.get(&counter.row) {
                let known = &mut self.counters[*place];
                known.count = known.count.saturating_add(counter.count).saturating_sub(theirs);
                known.error = known.error.saturating_add(counter.error).saturating_sub(theirs);
            } else {
                let mut counter = counter.clone();
                counter.count += mine;
                counter.error += mine;
                self.push(counter);
            }
        }
        self.counters.sort_by(|a, b| b.count.cmp(&a.count).then(a.error.cmp(&b.error)));
        self.counters.truncate(capacity);
        self.places = self.counters.iter().enumerate().map(|(i, c)| (c.row.clone(), i)).collect();
    }

    /// The `count` highest counters in the order in which ClickHouse's partial sort leaves them.
    fn ranked(&self, count: usize) -> Vec<&Counter> {
        let mut all: Vec<&Counter> = self.counters.iter().collect();
        let kept = count.min(all.len());
        if kept > 0 {
            select(&mut all, kept - 1);
        }
        all.truncate(kept);
        all.sort_by_key(|c| std::cmp::Reverse((c.count - c.error.min(c.count), c.count)));
        all
    }
}

/// Cells of the filter for this many counters: a power of two above six times as many.
fn filter_cells(capacity: usize) -> usize {
    1 << (usize::BITS - (capacity * 6).leading_zeros())
}

/// Floyd and Rivest's selection: the `k + 1` highest counters come first. Which of equal ones stay
/// follows from its exchanges.
fn select(items: &mut [&Counter], k: usize) {
    let (mut left, mut right) = (0isize, items.len() as isize - 1);
    let k = k as isize;
    while right > left {
        let (mut i, mut j) = (left, right);
        items.swap(left as usize, k as usize);
        let swapped = items[left as usize].above(items[right as usize]);
        if swapped {
            items.swap(left as usize, right as usize);
        }
        // It lies at the other end after the first exchange.
        let pivot = items[if swapped { right } else { left } as usize];
        while i < j {
            items.swap(i as usize, j as usize);
            i += 1;
            j -= 1;
            while items[i as usize].above(pivot) {
                i += 1;
            }
            while pivot.above(items[j as usize]) {
                j -= 1;
            }
        }
        if swapped {
            items.swap(left as usize, j as usize);
        } else {
            j += 1;
            items.swap(right as usize, j as usize);
        }
        if j <= k {
            left = j + 1;
        }
        if k <= j {
            right = j - 1;
        }
    }
}

impl State for Counters {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.join(other, usize::MAX);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.counters.len() as u64, out);
        for counter in &self.counters {
            wire::write_bytes(&counter.row, out);
            for number in [counter.count, counter.error, counter.hash] {
                wire::write_varint(number, out);
            }
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Counters::default();
        for _ in 0..wire::read_count(input)? {
            let row = wire::read_bytes(input)?.into();
            let mut number = || wire::read_varint(input);
            let (count, error, hash) = (number()?, number()?, number()?);
            state.push(Counter { row, count, error, hash });
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.counters.iter().map(|c| c.row.len() * 2 + 80).sum::<usize>() + self.filter.len() * 8
    }
}

#[derive(Clone)]
struct TopK {
    count: usize,
    capacity: usize,
    /// Counters before the least are dropped.
    room: usize,
    weighted: bool,
    /// Whether results are `(item, count, error)`.
    counts: bool,
    codec: Arc<RowCodec>,
    result: DataType,
}

impl TopK {
    /// The filter's hash: CRC-32C of a number's word, or of a text as ClickHouse walks it.
    fn hash(&self, row: &[u8]) -> u64 {
        if matches!(self.codec.shapes()[0], Shape::Bytes) {
            return text_hash(row.get(4..).unwrap_or(row));
        }
        let mut word = [0u8; 8];
        let width = row.len().min(8);
        word[..width].copy_from_slice(&row[..width]);
        crc32c_u64(u64::from_le_bytes(word)) as u64
    }
}

fn text_hash(text: &[u8]) -> u64 {
    if text.is_empty() {
        return 0;
    }
    if text.len() < 8 {
        return city_hash_64(text) as u32 as u64;
    }
    let word = |at: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&text[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (mut crc, mut at) = (u32::MAX, 0);
    loop {
        crc = crc32c_step(crc, word(at));
        at += 8;
        if at + 8 >= text.len() {
            break;
        }
    }
    crc32c_step(crc, word(text.len() - 8)) as u64
}

impl Kernel for TopK {
    type State = Counters;

    fn update(&self, states: &mut [Counters], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            let weight =
                if self.weighted { columns[1].value(row).as_u64().unwrap_or(0) } else { 1 };
            states[*group as usize].add(rows.row(row), weight, self);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Counters, from: &Counters) {
        into.join(from, self.room);
    }

    fn finish(&self, states: &[Counters]) -> Result<Column> {
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let mut items = Decoder::new(&self.codec.shapes()[0]);
        let (mut lengths, mut counts, mut errors) = (vec![], vec![], vec![]);
        for state in states {
            let ranked = state.ranked(self.count);
            lengths.push(ranked.len());
            for counter in ranked {
                items.read(&mut counter.row.as_ref())?;
                counts.push(counter.count);
                errors.push(counter.error);
            }
        }
        let items: ArrayRef = match (self.counts, field.data_type()) {
            (true, ArrowType::Struct(fields)) => {
                let numbers = |v: Vec<u64>| Arc::new(UInt64Array::from(v)) as ArrayRef;
                let items = items.finish(fields[0].data_type())?;
                let columns = vec![items, numbers(counts), numbers(errors)];
                Arc::new(StructArray::new(fields.clone(), columns, None))
            }
            (_, layout) => items.finish(layout)?,
        };
        let array = ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

struct Limits {
    count: u64,
    capacity: u64,
    counts: bool,
}

fn build_with(build: &Build, weighted: bool, limits: Limits) -> Built {
    build.expect_arguments(if weighted { 2 } else { 1 })?;
    if weighted && !build.arguments[1].is_integer() {
        return Err(build.illegal(&build.arguments[1]));
    }
    for number in [limits.count, limits.capacity] {
        if number == 0 || number > COUNTERS_MAX {
            return Err(Error::new(
                codes::ARGUMENT_OUT_OF_BOUND,
                format!(
                    "Too large parameter(s) for aggregate function '{}' (it is {number}, maximum {COUNTERS_MAX})",
                    build.name
                ),
            ));
        }
    }
    let item = build.arguments[0].clone();
    let result = DataType::array(match limits.counts {
        false => item,
        true => {
            let element = |name: &str, data_type: DataType| TupleElement {
                name: Some(name.into()),
                data_type,
            };
            DataType::Tuple(vec![
                element("item", item),
                element("count", DataType::UInt64),
                element("error", DataType::UInt64),
            ])
        }
    });
    let kernel = TopK {
        count: limits.count as usize,
        capacity: limits.capacity as usize,
        room: (limits.capacity as usize * 2).max(ROOM_MIN),
        weighted,
        counts: limits.counts,
        codec: Arc::new(RowCodec::new(&build.arguments[..1])),
        result: result.clone(),
    };
    build.counting(result, kernel)
}

/// `topK(n, load_factor, 'counts')`: counters for `n * load_factor` values.
fn top_k(build: &Build, weighted: bool) -> Built {
    let parameter = |i: usize, default: u64| match build.parameters.get(i) {
        None => Ok(default),
        Some(v) => v.as_u64().ok_or_else(|| build.bad_parameter("needs whole numbers")),
    };
    let count = parameter(0, 10)?;
    let load = parameter(1, 3)?;
    if load < 1 {
        return Err(Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            format!("Too small parameter 'load_factor' for aggregate function '{}'", build.name),
        ));
    }
    let counts = match build.parameters.get(2) {
        None => false,
        Some(Value::String(text)) if text == b"counts" => true,
        Some(_) => return Err(build.bad_parameter("doesn't support this third parameter")),
    };
    if build.parameters.len() > 3 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function '{}' requires three parameters or less", build.name),
        ));
    }
    build_with(build, weighted, Limits { count, capacity: count.saturating_mul(load), counts })
}

/// `approx_top_k(n, reserved)`: with counts.
fn approx_top(build: &Build, weighted: bool) -> Built {
    let parameter = |i: usize| match build.parameters.get(i) {
        None => Ok(None),
        Some(v) => v.as_u64().map(Some).ok_or_else(|| build.bad_parameter("needs whole numbers")),
    };
    let count = parameter(0)?.unwrap_or(10);
    let capacity = parameter(1)?.unwrap_or(count.saturating_mul(3));
    build_with(build, weighted, Limits { count, capacity, counts: true })
}

pub(crate) fn build_top_k(build: &Build) -> Built {
    top_k(build, false)
}

pub(crate) fn build_top_k_weighted(build: &Build) -> Built {
    top_k(build, true)
}

pub(crate) fn build_approx_top_k(build: &Build) -> Built {
    approx_top(build, false)
}

pub(crate) fn build_approx_top_sum(build: &Build) -> Built {
    approx_top(build, true)
}
