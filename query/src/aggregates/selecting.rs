//! Combinators that choose rows by one more argument: `-ArgMin` / `-ArgMax` run the inner function only
//! over rows of the smallest (largest) key, `-Resample` over ranges of the key, giving an array.
//!
//! Inner groups are numbered by the combinator: a better key begins a new inner group.

use std::any::Any;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{ListArray, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{mismatch, wire};
use super::nullable::take_all;
use super::numeric::floats;
use super::{Accumulator, AggregateFunction};
use crate::error::{Error, Result, codes};
use crate::execute::sort_key::{KeyOrder, SortEncoder};

fn with_suffix(
    inner: &dyn AggregateFunction,
    suffix: &str,
    more: &[Value],
    key: &DataType,
) -> DataType {
    match inner.state_type() {
        DataType::AggregateFunction { name, mut parameters, mut arguments } => {
            parameters.extend_from_slice(more);
            arguments.push(key.clone());
            DataType::AggregateFunction { name: format!("{name}{suffix}"), parameters, arguments }
        }
        other => other,
    }
}

/// `-ArgMin` and `-ArgMax`.
pub(crate) struct ByExtreme {
    pub inner: Arc<dyn AggregateFunction>,
    pub key: DataType,
    pub largest: bool,
}

impl ByExtreme {
    fn suffix(&self) -> &'static str {
        if self.largest { "ArgMax" } else { "ArgMin" }
    }
}

impl AggregateFunction for ByExtreme {
    fn name(&self) -> String {
        format!("{}{}", self.inner.name(), self.suffix())
    }
    fn return_type(&self) -> DataType {
        self.inner.return_type()
    }
    fn state_type(&self) -> DataType {
        with_suffix(self.inner.as_ref(), self.suffix(), &[], &self.key)
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        let order =
            KeyOrder { data_type: self.key.clone(), descending: self.largest, nulls_first: false };
        Box::new(ExtremeAccumulator {
            inner: self.inner.accumulator(),
            encoder: SortEncoder::new(vec![order]),
            best: vec![],
            inner_groups: 0,
            state_type: self.state_type(),
        })
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

/// The best key of a group (smallest encoding) and the inner group of its rows.
#[derive(Clone)]
struct Best {
    key: Option<Box<[u8]>>,
    inner: u32,
}

struct ExtremeAccumulator {
    inner: Box<dyn Accumulator>,
    encoder: SortEncoder,
    best: Vec<Best>,
    inner_groups: u32,
    state_type: DataType,
}

impl ExtremeAccumulator {
    /// The inner group for a row with this key; None if the row does not count.
    fn admit(&mut self, group: u32, key: &[u8]) -> Option<u32> {
        let next = self.inner_groups;
        let best = &mut self.best[group as usize];
        match best.key.as_deref() {
            Some(old) if key > old => return None,
            Some(old) if key == old => {}
            Some(_) => {
                *best = Best { key: Some(key.into()), inner: next };
                self.inner_groups += 1;
            }
            None => best.key = Some(key.into()),
        }
        Some(self.best[group as usize].inner)
    }

    fn current(&self) -> UInt32Array {
        self.best.iter().map(|b| b.inner).collect::<Vec<u32>>().into()
    }
}

impl Accumulator for ExtremeAccumulator {
    fn resize(&mut self, groups: usize) {
        while self.best.len() < groups {
            self.best.push(Best { key: None, inner: self.inner_groups });
            self.inner_groups += 1;
        }
        self.inner.resize(self.inner_groups as usize);
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        let (key, rest) = arguments
            .split_last()
            .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "-ArgMin without its key"))?;
        let keys = self.encoder.encode(std::slice::from_ref(key), groups.len());
        let (mut rows, mut inner_groups, mut bytes) = (vec![], vec![], vec![]);
        for (row, group) in groups.iter().enumerate() {
            if key.is_null(row) {
                continue;
            }
            bytes.clear();
            keys.write(row, &mut bytes);
            if let Some(inner) = self.admit(*group, &bytes) {
                rows.push(row as u32);
                inner_groups.push(inner);
            }
        }
        self.inner.resize(self.inner_groups as usize);
        self.inner.update(&inner_groups, &take_all(rest, &rows))
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        let (mut from, mut to) = (vec![], vec![]);
        for (row, group) in rows.iter().zip(groups) {
            let theirs = &other.best[*row as usize];
            if let Some(key) = &theirs.key
                && let Some(inner) = self.admit(*group, key)
            {
                from.push(theirs.inner);
                to.push(inner);
            }
        }
        self.inner.resize(self.inner_groups as usize);
        self.inner.merge_rows(other.inner.as_ref(), &from, &to)
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        let (mut to, mut builder) = (vec![], BinaryBuilder::new());
        for (i, group) in groups.iter().enumerate() {
            let mut bytes = states.value(i);
            if bytes.is_empty() || wire::array::<1>(&mut bytes)?[0] == 0 {
                continue;
            }
            let key = wire::read_bytes(&mut bytes)?.to_vec();
            if let Some(inner) = self.admit(*group, &key) {
                to.push(inner);
                builder.append_value(bytes);
            }
        }
        self.inner.resize(self.inner_groups as usize);
        let column = super::kernel::binary_column(DataType::String, builder.finish());
        self.inner.merge_serialized(&to, &column)
    }

    fn finish(&mut self) -> Result<Column> {
        let current = self.current();
        Ok(self.inner.finish()?.take(&current))
    }

    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        let states = states.array.as_binary::<i32>();
        let mut builder = BinaryBuilder::new();
        for best in &self.best {
            let mut bytes = vec![best.key.is_some() as u8];
            if let Some(key) = &best.key {
                wire::write_bytes(key, &mut bytes);
                bytes.extend_from_slice(states.value(best.inner as usize));
            }
            builder.append_value(&bytes);
        }
        Ok(super::kernel::binary_column(self.state_type.clone(), builder.finish()))
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes() + self.best.capacity() * (size_of::<Best>() + 16)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// `-Resample(start, stop, step)`.
pub(crate) struct Resample {
    pub inner: Arc<dyn AggregateFunction>,
    pub key: DataType,
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

/// Ranges that one group may be split into.
const RANGES_MAX: i64 = 1 << 20;

impl Resample {
    /// Checks the three parameters.
    pub fn new(
        inner: Arc<dyn AggregateFunction>,
        key: &DataType,
        parameters: &[Value],
    ) -> Result<Resample> {
        let bad = |what: &str| Error::new(codes::ARGUMENT_OUT_OF_BOUND, what.to_string());
        let numbers: Option<Vec<i64>> =
            parameters.iter().map(|p| p.as_i128().and_then(|v| i64::try_from(v).ok())).collect();
        let Some([start, stop, step]) = numbers.as_deref() else {
            return Err(bad("-Resample requires start, stop and step as parameters"));
        };
        if *step <= 0 {
            return Err(bad("The step used in function with -Resample cannot be zero"));
        }
        let (start, stop, step) = (*start, (*stop).max(*start), *step);
        if stop.saturating_sub(start) / step > RANGES_MAX {
            return Err(bad("The range given in function with -Resample is too large"));
        }
        Ok(Resample { inner, key: key.clone(), start, stop, step })
    }

    fn ranges(&self) -> usize {
        ((self.stop - self.start + self.step - 1) / self.step) as usize
    }
}

impl AggregateFunction for Resample {
    fn name(&self) -> String {
        format!("{}Resample", self.inner.name())
    }
    fn return_type(&self) -> DataType {
        DataType::array(self.inner.return_type())
    }
    fn state_type(&self) -> DataType {
        let more = [Value::Int(self.start), Value::Int(self.stop), Value::Int(self.step)];
        with_suffix(self.inner.as_ref(), "Resample", &more, &self.key)
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(ResampleAccumulator {
            inner: self.inner.accumulator(),
            groups: 0,
            ranges: self.ranges(),
            start: self.start as f64,
            stop: self.stop as f64,
            step: self.step as f64,
            result: self.return_type(),
            state_type: self.state_type(),
        })
    }
    fn default_when_only_null(&self) -> bool {
        true
    }
}

struct ResampleAccumulator {
    inner: Box<dyn Accumulator>,
    groups: usize,
    ranges: usize,
    start: f64,
    stop: f64,
    step: f64,
    result: DataType,
    state_type: DataType,
}

impl Accumulator for ResampleAccumulator {
    fn resize(&mut self, groups: usize) {
        self.groups = self.groups.max(groups);
        self.inner.resize(self.groups * self.ranges);
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.resize(groups.iter().max().map_or(0, |g| *g as usize + 1));
        let (key, rest) = arguments
            .split_last()
            .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "-Resample without its key"))?;
        let keys = floats(key)?;
        let (mut rows, mut inner) = (vec![], vec![]);
        for (row, group) in groups.iter().enumerate() {
            if keys[row] >= self.start && keys[row] < self.stop {
                let range = ((keys[row] - self.start) / self.step) as usize;
                rows.push(row as u32);
                inner.push((*group as usize * self.ranges + range) as u32);
            }
        }
        self.inner.update(&inner, &take_all(rest, &rows))
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        let ranges = self.ranges as u32;
        let spread = |g: &u32| (g * ranges)..(g * ranges + ranges);
        let from: Vec<u32> = rows.iter().flat_map(spread).collect();
        let to: Vec<u32> = groups.iter().flat_map(spread).collect();
        self.inner.merge_rows(other.inner.as_ref(), &from, &to)
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        let (mut to, mut builder) = (vec![], BinaryBuilder::new());
        for (i, group) in groups.iter().enumerate() {
            let mut bytes = states.value(i);
            for range in 0..self.ranges {
                if bytes.is_empty() {
                    break;
                }
                to.push((*group as usize * self.ranges + range) as u32);
                builder.append_value(wire::read_bytes(&mut bytes)?);
            }
        }
        let column = super::kernel::binary_column(DataType::String, builder.finish());
        self.inner.merge_serialized(&to, &column)
    }

    fn finish(&mut self) -> Result<Column> {
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let items = self.inner.finish()?;
        let offsets = OffsetBuffer::from_repeated_length(self.ranges, self.groups);
        let array = ListArray::new(field, offsets, items.array, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }

    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        let states = states.array.as_binary::<i32>();
        let mut builder = BinaryBuilder::new();
        for group in 0..self.groups {
            let mut bytes = vec![];
            for range in 0..self.ranges {
                wire::write_bytes(states.value(group * self.ranges + range), &mut bytes);
            }
            builder.append_value(&bytes);
        }
        Ok(super::kernel::binary_column(self.state_type.clone(), builder.finish()))
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
