//! `topK`, `topKWeighted` (frequent values, exact while they fit the counters) and `anyHeavy` (a value
//! that makes up more than half).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ListArray;
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::extremes::finish_rows;
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::{Decoder, RowCodec};

/// Space-saving counters: the smallest makes room for a newcomer, who inherits its count.
#[derive(Default)]
struct Counters {
    places: HashMap<Box<[u8]>, usize>,
    counters: Vec<Counter>,
}

struct Counter {
    row: Box<[u8]>,
    count: u64,
    error: u64,
}

impl Counters {
    fn insert(&mut self, row: &[u8], weight: u64, capacity: usize) {
        if let Some(place) = self.places.get(row) {
            self.counters[*place].count += weight;
            return;
        }
        if self.counters.len() < capacity {
            self.places.insert(row.into(), self.counters.len());
            self.counters.push(Counter { row: row.into(), count: weight, error: 0 });
            return;
        }
        let smallest = (0..self.counters.len()).min_by_key(|i| self.counters[*i].count);
        let Some(place) = smallest else { return };
        let inherited = self.counters[place].count;
        let counter = Counter { row: row.into(), count: inherited + weight, error: inherited };
        let old = std::mem::replace(&mut self.counters[place], counter);
        self.places.remove(&old.row);
        self.places.insert(row.into(), place);
    }

    /// The counters, most frequent first.
    fn ranked(&self) -> Vec<&Counter> {
        let mut ranked: Vec<&Counter> = self.counters.iter().collect();
        ranked.sort_by(|a, b| b.count.cmp(&a.count).then(a.error.cmp(&b.error)));
        ranked
    }
}

impl State for Counters {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        for counter in &other.counters {
            self.insert(&counter.row, counter.count, usize::MAX);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.counters.len() as u64, out);
        for counter in &self.counters {
            wire::write_bytes(&counter.row, out);
            wire::write_varint(counter.count, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Counters::default();
        for _ in 0..wire::read_count(input)? {
            let row = wire::read_bytes(input)?;
            state.insert(row, wire::read_varint(input)?, usize::MAX);
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.counters.iter().map(|c| c.row.len() * 2 + 72).sum()
    }
}

#[derive(Clone)]
struct TopK {
    count: usize,
    capacity: usize,
    weighted: bool,
    codec: Arc<RowCodec>,
    result: DataType,
}

impl Kernel for TopK {
    type State = Counters;

    fn update(&self, states: &mut [Counters], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            let weight =
                if self.weighted { columns[1].value(row).as_u64().unwrap_or(0) } else { 1 };
            states[*group as usize].insert(rows.row(row), weight, self.capacity);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Counters, from: &Counters) {
        into.merge(from);
        if into.counters.len() > self.capacity {
            into.counters.sort_by_key(|c| std::cmp::Reverse(c.count));
            into.counters.truncate(self.capacity);
            into.places =
                into.counters.iter().enumerate().map(|(i, c)| (c.row.clone(), i)).collect();
        }
    }

    fn finish(&self, states: &[Counters]) -> Result<Column> {
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let mut items = Decoder::new(&self.codec.shapes()[0]);
        let mut lengths = vec![];
        for state in states {
            let ranked = state.ranked();
            let kept = &ranked[..self.count.min(ranked.len())];
            lengths.push(kept.len());
            for counter in kept {
                items.read(&mut counter.row.as_ref())?;
            }
        }
        let items = items.finish(field.data_type())?;
        let array = ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

/// `topK(n, load_factor)`: counters for `n * load_factor` values.
fn top_k(build: &Build, weighted: bool) -> Built {
    build.expect_arguments(if weighted { 2 } else { 1 })?;
    let parameter = |i: usize, default: u64| {
        build.parameters.get(i).map_or(Some(default), Value::as_u64).filter(|n| *n > 0)
    };
    let count = parameter(0, 10).filter(|n| *n <= 0xFFFF);
    let count = count.ok_or_else(|| {
        Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            format!("Parameter of {} must be from 1 to 65535", build.name),
        )
    })?;
    let load = parameter(1, 3).ok_or_else(|| build.bad_parameter("needs a load factor above 0"))?;
    let result = DataType::array(build.arguments[0].clone());
    let kernel = TopK {
        count: count as usize,
        capacity: count.saturating_mul(load).min(1 << 20) as usize,
        weighted,
        codec: Arc::new(RowCodec::new(&build.arguments[..1])),
        result: result.clone(),
    };
    build.counting(result, kernel)
}

pub(crate) fn build_top_k(build: &Build) -> Built {
    top_k(build, false)
}

pub(crate) fn build_top_k_weighted(build: &Build) -> Built {
    top_k(build, true)
}

/// The candidate of the majority vote.
#[derive(Default)]
struct Candidate {
    row: Option<Box<[u8]>>,
    votes: u64,
}

impl Candidate {
    fn vote(&mut self, row: &[u8], votes: u64) {
        if self.row.as_deref() == Some(row) {
            self.votes += votes;
        } else if self.votes < votes {
            self.votes = votes - self.votes;
            self.row = Some(row.into());
        } else {
            self.votes -= votes;
        }
    }
}

impl State for Candidate {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if let Some(row) = &other.row {
            self.vote(row, other.votes);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.row.is_some() as u8);
        if let Some(row) = &self.row {
            wire::write_bytes(row, out);
            wire::write_varint(self.votes, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        if wire::array::<1>(input)?[0] == 0 {
            return Ok(Candidate::default());
        }
        let row = wire::read_bytes(input)?.into();
        Ok(Candidate { row: Some(row), votes: wire::read_varint(input)? })
    }
    fn heap_bytes(&self) -> usize {
        self.row.as_ref().map_or(0, |r| r.len() + 16)
    }
}

#[derive(Clone)]
struct AnyHeavy {
    codec: Arc<RowCodec>,
    result: DataType,
}

impl Kernel for AnyHeavy {
    type State = Candidate;

    fn update(&self, states: &mut [Candidate], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].vote(rows.row(row), 1);
        }
        Ok(())
    }

    fn finish(&self, states: &[Candidate]) -> Result<Column> {
        finish_rows(&self.codec, &self.result, states.iter().map(|s| s.row.as_deref()))
    }
}

pub(crate) fn build_any_heavy(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let result = build.arguments[0].clone();
    let codec = Arc::new(RowCodec::new(build.arguments));
    build.function(result.clone(), AnyHeavy { codec, result })
}

/// The value if there was only one, else NULL.
#[derive(Clone)]
struct SingleValue {
    codec: Arc<RowCodec>,
    result: DataType,
}

#[derive(Default)]
struct Single {
    row: Option<Box<[u8]>>,
    several: bool,
}

impl Single {
    fn offer(&mut self, row: &[u8]) {
        match &self.row {
            Some(old) => self.several |= **old != *row,
            None => self.row = Some(row.into()),
        }
    }
}

impl State for Single {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.several |= other.several;
        if let Some(row) = &other.row {
            self.offer(row);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.several as u8, self.row.is_some() as u8]);
        if let Some(row) = &self.row {
            wire::write_bytes(row, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let [several, there] = wire::array::<2>(input)?;
        let row = if there != 0 { Some(wire::read_bytes(input)?.into()) } else { None };
        Ok(Single { row, several: several != 0 })
    }
    fn heap_bytes(&self) -> usize {
        self.row.as_ref().map_or(0, |r| r.len() + 16)
    }
}

impl Kernel for SingleValue {
    type State = Single;

    fn update(&self, states: &mut [Single], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].offer(rows.row(row));
        }
        Ok(())
    }

    fn finish(&self, states: &[Single]) -> Result<Column> {
        let single = |s: &Single| if s.several { None } else { s.row.clone() };
        let rows: Vec<Option<Box<[u8]>>> = states.iter().map(single).collect();
        let valid: Vec<bool> = rows.iter().map(Option::is_some).collect();
        let DataType::Nullable(plain) = &self.result else {
            return finish_rows(&self.codec, &self.result, rows.iter().map(|r| r.as_deref()));
        };
        let column = finish_rows(&self.codec, plain, rows.iter().map(|r| r.as_deref()))?;
        super::nullable::with_nulls(column, self.result.clone(), valid.into())
    }
}

pub(crate) fn build_single_value(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let argument = build.arguments[0].clone();
    let result = match super::nullable::can_be_nullable(&argument) {
        true => DataType::nullable(argument),
        false => argument,
    };
    let codec = Arc::new(RowCodec::new(build.arguments));
    build.function(result.clone(), SingleValue { codec, result })
}
