//! Combinators: suffixes that wrap an aggregate function. Each takes the inner function, which was
//! built for the arguments that the combinator leaves it.
//!
//! `-If` filters, `-State` / `-Merge` give and take serialized states, `-OrNull` / `-OrDefault` mark
//! empty groups, `-Array` feeds elements, `-Distinct` feeds each value once, `-SimpleState` retypes.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt32Array};
use arrow_buffer::NullBuffer;
use pumphouse_storage::{Column, DataType};

use super::exact_distinct::MixSet;
use super::kernel::mismatch;
use super::nullable::{take_all, with_nulls};
use super::{Accumulator, AggregateFunction};
use crate::error::{Error, Result, codes};
use crate::execute::expression::truth;
use crate::execute::row_codec::RowCodec;

/// Serialized states with one flag byte in front.
pub(crate) mod prefixed_states {
    use super::*;
    use arrow_array::ArrayRef;
    use arrow_array::builder::BinaryBuilder;

    pub fn join(flags: &[bool], states: &Column) -> ArrayRef {
        let states = states.array.as_binary::<i32>();
        let mut builder = BinaryBuilder::new();
        let mut bytes = vec![];
        for (row, flag) in flags.iter().enumerate() {
            bytes.clear();
            bytes.push(*flag as u8);
            bytes.extend_from_slice(states.value(row));
            builder.append_value(&bytes);
        }
        Arc::new(builder.finish())
    }

    pub fn split(states: &Column) -> (Vec<bool>, Column) {
        let array = states.array.as_binary::<i32>();
        let mut builder = BinaryBuilder::new();
        let mut flags = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            let bytes = array.value(row);
            flags.push(bytes.first().is_some_and(|b| *b != 0));
            builder.append_value(bytes.get(1..).unwrap_or_default());
        }
        let rest =
            Column { data_type: states.data_type.clone(), array: Arc::new(builder.finish()) };
        (flags, rest)
    }
}

fn suffixed(inner: &dyn AggregateFunction, suffix: &str) -> String {
    let name = inner.name();
    match name.find('(') {
        Some(at) => format!("{}{suffix}{}", &name[..at], &name[at..]),
        None => format!("{name}{suffix}"),
    }
}

/// The state type of a combinator that keeps the inner state's layout but has its own arguments.
fn own_state_type(
    inner: &dyn AggregateFunction,
    suffix: &str,
    own: impl FnOnce(Vec<DataType>) -> Vec<DataType>,
) -> DataType {
    match inner.state_type() {
        DataType::AggregateFunction { name, parameters, arguments } => {
            DataType::AggregateFunction {
                name: format!("{name}{suffix}"),
                parameters,
                arguments: own(arguments),
            }
        }
        other => other,
    }
}

macro_rules! delegate_state {
    () => {
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn as_any_mut(&mut self) -> &mut dyn Any {
            self
        }
    };
}

/// `-If`: the last argument decides which rows count.
pub(crate) struct If {
    pub inner: Arc<dyn AggregateFunction>,
    pub condition: DataType,
}

impl AggregateFunction for If {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "If")
    }
    fn return_type(&self) -> DataType {
        self.inner.return_type()
    }
    fn state_type(&self) -> DataType {
        own_state_type(self.inner.as_ref(), "If", |mut a| {
            a.push(self.condition.clone());
            a
        })
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(IfAccumulator { inner: self.inner.accumulator(), state_type: self.state_type() })
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

struct IfAccumulator {
    inner: Box<dyn Accumulator>,
    state_type: DataType,
}

fn split_condition(arguments: &[Column]) -> Result<(&Column, &[Column])> {
    arguments
        .split_last()
        .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "-If without its condition"))
}

impl Accumulator for IfAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        let (condition, rest) = split_condition(arguments)?;
        let mask = truth(condition)?;
        let rows: Vec<u32> = mask.values().set_indices().map(|r| r as u32).collect();
        if rows.len() == groups.len() {
            return self.inner.update(groups, rest);
        }
        let groups: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
        self.inner.update(&groups, &take_all(rest, &rows))
    }

    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        let (condition, rest) = split_condition(arguments)?;
        let mask = truth(condition)?;
        let count = mask.values().count_set_bits();
        if count == rows {
            return self.inner.update_single(rest, rows);
        }
        let filtered: Vec<Column> = rest.iter().map(|c| c.filter(&mask)).collect();
        self.inner.update_single(&filtered, count)
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        self.inner.merge_serialized(groups, states)
    }

    fn finish(&mut self) -> Result<Column> {
        self.inner.finish()
    }

    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        Ok(Column { data_type: self.state_type.clone(), array: states.array })
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }

    delegate_state!();
}

/// `-State`: the result is the serialized state.
pub(crate) struct StateOf {
    pub inner: Arc<dyn AggregateFunction>,
}

impl AggregateFunction for StateOf {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "State")
    }
    fn return_type(&self) -> DataType {
        self.inner.state_type()
    }
    fn state_type(&self) -> DataType {
        self.inner.state_type()
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(StateAccumulator { inner: self.inner.accumulator() })
    }
    fn default_when_only_null(&self) -> bool {
        true
    }
}

struct StateAccumulator {
    inner: Box<dyn Accumulator>,
}

impl Accumulator for StateAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }
    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.inner.update(groups, arguments)
    }
    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        self.inner.update_single(arguments, rows)
    }
    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }
    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        self.inner.merge_serialized(groups, states)
    }
    fn finish(&mut self) -> Result<Column> {
        self.inner.serialize()
    }
    fn serialize(&mut self) -> Result<Column> {
        self.inner.serialize()
    }
    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }
    delegate_state!();
}

/// `-Merge`: the argument is a column of states.
pub(crate) struct Merge {
    pub inner: Arc<dyn AggregateFunction>,
}

impl AggregateFunction for Merge {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "Merge")
    }
    fn return_type(&self) -> DataType {
        self.inner.return_type()
    }
    fn state_type(&self) -> DataType {
        self.inner.state_type()
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(MergeAccumulator { inner: self.inner.accumulator() })
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

struct MergeAccumulator {
    inner: Box<dyn Accumulator>,
}

impl Accumulator for MergeAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }
    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.inner.merge_serialized(groups, &arguments[0])
    }
    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        self.inner.resize(1);
        self.inner.merge_serialized(&vec![0; rows], &arguments[0])
    }
    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }
    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        self.inner.merge_serialized(groups, states)
    }
    fn finish(&mut self) -> Result<Column> {
        self.inner.finish()
    }
    fn serialize(&mut self) -> Result<Column> {
        self.inner.serialize()
    }
    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }
    delegate_state!();
}

/// `-OrNull` and `-OrDefault`: what a group without rows gives.
pub(crate) struct OrFill {
    pub inner: Arc<dyn AggregateFunction>,
    pub null: bool,
}

impl OrFill {
    fn suffix(&self) -> &'static str {
        if self.null { "OrNull" } else { "OrDefault" }
    }
}

impl AggregateFunction for OrFill {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), self.suffix())
    }
    fn return_type(&self) -> DataType {
        let inner = self.inner.return_type();
        if self.null { inner.or_null() } else { inner }
    }
    fn state_type(&self) -> DataType {
        own_state_type(self.inner.as_ref(), self.suffix(), |a| a)
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(OrFillAccumulator {
            inner: self.inner.accumulator(),
            seen: vec![],
            null: self.null,
            result: self.return_type(),
            state_type: self.state_type(),
        })
    }
}

struct OrFillAccumulator {
    inner: Box<dyn Accumulator>,
    seen: Vec<bool>,
    null: bool,
    result: DataType,
    state_type: DataType,
}

impl Accumulator for OrFillAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
        if groups > self.seen.len() {
            self.seen.resize(groups, false);
        }
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        groups.iter().for_each(|g| self.seen[*g as usize] = true);
        self.inner.update(groups, arguments)
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        for (row, group) in rows.iter().zip(groups) {
            self.seen[*group as usize] |= other.seen[*row as usize];
        }
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let (flags, rest) = prefixed_states::split(states);
        for (flag, group) in flags.iter().zip(groups) {
            self.seen[*group as usize] |= *flag;
        }
        self.inner.merge_serialized(groups, &rest)
    }

    fn finish(&mut self) -> Result<Column> {
        let column = self.inner.finish()?;
        if self.null && self.result.is_nullable() {
            return with_nulls(column, self.result.clone(), NullBuffer::from(self.seen.as_slice()));
        }
        if !self.seen.contains(&false) {
            return Ok(column);
        }
        // Groups without rows take the default from behind the results.
        let rows = column.len() as u32;
        let default = Column::default_values(self.result.clone(), 1);
        let both = Column::concat(&[column, default])?;
        let picked: UInt32Array =
            (0..rows).map(|r| if self.seen[r as usize] { r } else { rows }).collect();
        Ok(both.take(&picked))
    }

    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        let array = prefixed_states::join(&self.seen, &states);
        Ok(Column { data_type: self.state_type.clone(), array })
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes() + self.seen.capacity()
    }

    delegate_state!();
}

/// `-Array`: every element of the array arguments is a row.
pub(crate) struct EachElement {
    pub inner: Arc<dyn AggregateFunction>,
}

impl AggregateFunction for EachElement {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "Array")
    }
    fn return_type(&self) -> DataType {
        self.inner.return_type()
    }
    fn state_type(&self) -> DataType {
        own_state_type(self.inner.as_ref(), "Array", |a| {
            a.into_iter().map(DataType::array).collect()
        })
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(ElementAccumulator {
            inner: self.inner.accumulator(),
            state_type: self.state_type(),
        })
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

/// The elements of array columns of equal lengths, and the row of each element.
pub(crate) fn flatten(arguments: &[Column], rows: usize) -> Result<(Vec<Column>, Vec<u32>)> {
    let mut origin: Vec<u32> = vec![];
    let mut columns = vec![];
    for (i, column) in arguments.iter().enumerate() {
        let DataType::Array(item) = column.data_type.inner() else {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("{} is not an array", column.data_type),
            ));
        };
        let list = column.array.as_list::<i32>();
        let offsets = list.value_offsets();
        if i == 0 {
            for row in 0..rows {
                let count = (offsets[row + 1] - offsets[row]) as usize;
                origin.resize(origin.len() + count, row as u32);
            }
        } else {
            let first = arguments[0].array.as_list::<i32>();
            let same = (0..rows).all(|row| first.value_length(row) == list.value_length(row));
            if !same {
                return Err(Error::new(
                    codes::SIZES_OF_COLUMNS_DOESNT_MATCH,
                    "All arrays must have the same sizes for aggregate function with -Array",
                ));
            }
        }
        let from = offsets.first().map_or(0, |o| *o as usize);
        let to = offsets.get(rows).map_or(0, |o| *o as usize);
        let array = list.values().slice(from, to - from);
        columns.push(Column { data_type: (**item).clone(), array });
    }
    Ok((columns, origin))
}

struct ElementAccumulator {
    inner: Box<dyn Accumulator>,
    state_type: DataType,
}

impl Accumulator for ElementAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }
    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        let (columns, origin) = flatten(arguments, groups.len())?;
        let groups: Vec<u32> = origin.iter().map(|row| groups[*row as usize]).collect();
        self.inner.update(&groups, &columns)
    }
    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        let (columns, origin) = flatten(arguments, rows)?;
        self.inner.update_single(&columns, origin.len())
    }
    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }
    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        self.inner.merge_serialized(groups, states)
    }
    fn finish(&mut self) -> Result<Column> {
        self.inner.finish()
    }
    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        Ok(Column { data_type: self.state_type.clone(), array: states.array })
    }
    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }
    delegate_state!();
}

/// `-Distinct`: each combination of arguments counts once per group.
pub(crate) struct Distinct {
    pub inner: Arc<dyn AggregateFunction>,
    pub arguments: Vec<DataType>,
}

impl AggregateFunction for Distinct {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "Distinct")
    }
    fn return_type(&self) -> DataType {
        self.inner.return_type()
    }
    fn state_type(&self) -> DataType {
        own_state_type(self.inner.as_ref(), "Distinct", |a| a)
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(DistinctAccumulator {
            inner: self.inner.clone(),
            codec: RowCodec::new(&self.arguments),
            values: vec![],
            state_type: self.state_type(),
        })
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

/// Keeps the distinct argument rows; the inner function runs over them at the end.
struct DistinctAccumulator {
    inner: Arc<dyn AggregateFunction>,
    codec: RowCodec,
    values: Vec<DistinctRows>,
    state_type: DataType,
}

#[derive(Default, Clone)]
struct DistinctRows {
    hashes: MixSet<u128>,
    rows: Vec<Box<[u8]>>,
}

impl DistinctRows {
    fn insert(&mut self, row: &[u8]) {
        if self.hashes.insert(xxhash_rust::xxh3::xxh3_128(row)) {
            self.rows.push(row.into());
        }
    }
}

impl DistinctAccumulator {
    fn run(&self) -> Result<Box<dyn Accumulator>> {
        let mut inner = self.inner.accumulator();
        inner.resize(self.values.len());
        let mut groups = vec![];
        for (group, values) in self.values.iter().enumerate() {
            groups.resize(groups.len() + values.rows.len(), group as u32);
        }
        let rows = self.values.iter().flat_map(|v| v.rows.iter().map(|r| r.as_ref()));
        let columns = self.codec.decode(rows)?;
        inner.update(&groups, &columns)?;
        Ok(inner)
    }
}

impl Accumulator for DistinctAccumulator {
    fn resize(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize_with(groups, DistinctRows::default);
        }
    }
    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.resize(groups.iter().max().map_or(0, |g| *g as usize + 1));
        let rows = self.codec.encode(arguments, groups.len());
        for (i, group) in groups.iter().enumerate() {
            self.values[*group as usize].insert(rows.row(i));
        }
        Ok(())
    }
    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        for (row, group) in rows.iter().zip(groups) {
            for value in &other.values[*row as usize].rows {
                self.values[*group as usize].insert(value);
            }
        }
        Ok(())
    }
    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        for (i, group) in groups.iter().enumerate() {
            let mut bytes = states.value(i);
            while !bytes.is_empty() {
                let row = super::kernel::wire::read_bytes(&mut bytes)?;
                self.values[*group as usize].insert(row);
            }
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<Column> {
        self.run()?.finish()
    }
    fn serialize(&mut self) -> Result<Column> {
        let mut builder = arrow_array::builder::BinaryBuilder::new();
        for values in &self.values {
            let mut bytes = vec![];
            for row in &values.rows {
                super::kernel::wire::write_bytes(row, &mut bytes);
            }
            builder.append_value(&bytes);
        }
        Ok(Column { data_type: self.state_type.clone(), array: Arc::new(builder.finish()) })
    }
    fn memory_bytes(&self) -> usize {
        self.values
            .iter()
            .map(|v| v.hashes.capacity() * 18 + v.rows.iter().map(|r| r.len() + 32).sum::<usize>())
            .sum()
    }
    delegate_state!();
}

/// `-SimpleState`: the plain result, typed so that tables can merge it.
pub(crate) struct SimpleState {
    pub inner: Arc<dyn AggregateFunction>,
}

impl AggregateFunction for SimpleState {
    fn name(&self) -> String {
        suffixed(self.inner.as_ref(), "SimpleState")
    }
    fn return_type(&self) -> DataType {
        DataType::SimpleAggregateFunction {
            name: self.inner.name(),
            argument: Box::new(self.inner.return_type()),
        }
    }
    fn state_type(&self) -> DataType {
        self.inner.state_type()
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        self.inner.accumulator()
    }
    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}
