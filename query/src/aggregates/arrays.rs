//! Aggregates that collect values: `groupArray` and its variants, `groupUniqArray`, `groupConcat`.
//!
//! Values are kept as row bytes one after the other, so any type works.

use std::sync::Arc;

use arrow_array::ListArray;
use arrow_array::builder::BinaryBuilder;
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType, Value};

use super::exact_distinct::MixSet;
use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::floats;
use super::quantile::from_raw_floats;
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::{Decoder, RowCodec};
use crate::execute::sort_key::{KeyOrder, SortEncoder};
use crate::text;

/// Values of one group, encoded.
#[derive(Default, Clone)]
struct Values {
    count: u64,
    bytes: Vec<u8>,
    /// End of each value, kept only where values are picked singly.
    ends: Vec<usize>,
}

impl Values {
    fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
        self.count += 1;
    }

    fn row(&self, i: usize) -> &[u8] {
        &self.bytes[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| self.row(i))
    }
}

impl State for Values {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.rows().for_each(|r| self.push(r));
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.count, out);
        for row in self.rows() {
            wire::write_bytes(row, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut values = Values::default();
        for _ in 0..wire::read_count(input)? {
            values.push(wire::read_bytes(input)?);
        }
        Ok(values)
    }
    fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8
    }
}

/// A list column: for every group these encoded values.
pub(super) fn list_column<'a>(
    codec: &RowCodec,
    result: &DataType,
    groups: impl Iterator<Item = Vec<&'a [u8]>>,
) -> Result<Column> {
    let ArrowType::List(field) = result.arrow() else {
        return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
    };
    let mut items = Decoder::new(&codec.shapes()[0]);
    let mut lengths = vec![];
    for rows in groups {
        lengths.push(rows.len());
        for mut row in rows {
            items.read(&mut row)?;
        }
    }
    let items = items.finish(field.data_type())?;
    let array = ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None);
    Ok(Column { data_type: result.clone(), array: Arc::new(array) })
}

/// Which values stay when there are more than the limit.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    First,
    /// As a ring: the newest takes the oldest's place.
    Last,
    Smallest,
}

#[derive(Clone)]
struct GroupArray {
    keep: Keep,
    limit: usize,
    codec: Arc<RowCodec>,
    result: DataType,
}

impl GroupArray {
    /// The values that stay, in the order they are shown.
    fn kept<'a>(&self, values: &'a Values) -> Result<Vec<&'a [u8]>> {
        let rows: Vec<&[u8]> = values.rows().collect();
        if self.keep == Keep::Smallest {
            let column = self.codec.decode(rows.iter().copied())?.remove(0);
            let order = KeyOrder {
                data_type: column.data_type.clone(),
                descending: false,
                nulls_first: false,
            };
            let keys = SortEncoder::new(vec![order]).encode(&[column], rows.len());
            let sorted = keys.sorted_rows();
            return Ok(sorted.into_iter().take(self.limit).map(|r| rows[r as usize]).collect());
        }
        if rows.len() <= self.limit {
            return Ok(rows);
        }
        if self.keep == Keep::First {
            return Ok(rows[..self.limit].to_vec());
        }
        let mut ring = rows[..self.limit].to_vec();
        for (i, row) in rows.iter().enumerate().skip(self.limit) {
            ring[i % self.limit] = row;
        }
        Ok(ring)
    }
}

impl Kernel for GroupArray {
    type State = Values;

    fn update(&self, states: &mut [Values], groups: &[u32], columns: &[Column]) -> Result<()> {
        let encoders = self.codec.encoders(&columns[..1]);
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            if self.keep == Keep::First && state.count >= self.limit as u64 {
                continue;
            }
            encoders[0].write(row, &mut state.bytes);
            state.ends.push(state.bytes.len());
            state.count += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[Values]) -> Result<Column> {
        let kept = states.iter().map(|s| self.kept(s)).collect::<Result<Vec<_>>>()?;
        list_column(&self.codec, &self.result, kept.into_iter())
    }
}

fn limit_of(build: &Build, required: bool) -> Result<usize> {
    match build.parameters.first() {
        None if required => Err(build.bad_parameter("requires the maximum size as a parameter")),
        None => Ok(usize::MAX),
        Some(value) => value
            .as_u64()
            .filter(|n| *n > 0)
            .map(|n| n as usize)
            .ok_or_else(|| build.bad_parameter("needs a positive maximum size")),
    }
}

fn group_array(build: &Build, keep: Keep) -> Built {
    build.expect_arguments(1)?;
    let result = DataType::array(build.arguments[0].clone());
    let codec = Arc::new(RowCodec::new(build.arguments));
    let limit = limit_of(build, keep != Keep::First)?;
    build.counting(result.clone(), GroupArray { keep, limit, codec, result })
}

pub(crate) fn build_group_array(build: &Build) -> Built {
    group_array(build, Keep::First)
}
pub(crate) fn build_group_array_last(build: &Build) -> Built {
    group_array(build, Keep::Last)
}
pub(crate) fn build_group_array_sorted(build: &Build) -> Built {
    group_array(build, Keep::Smallest)
}

/// Distinct values in the order they came.
#[derive(Default)]
struct UniqueValues {
    seen: MixSet<u128>,
    values: Values,
}

impl UniqueValues {
    fn insert(&mut self, row: &[u8]) {
        if self.seen.insert(xxhash_rust::xxh3::xxh3_128(row)) {
            self.values.push(row);
        }
    }
}

impl State for UniqueValues {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.values.rows().for_each(|r| self.insert(r));
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.values.write(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let values = Values::read(input)?;
        let mut unique = UniqueValues::default();
        values.rows().for_each(|r| unique.insert(r));
        Ok(unique)
    }
    fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.seen.capacity() * 18
    }
}

#[derive(Clone)]
struct GroupUniqArray {
    limit: usize,
    codec: Arc<RowCodec>,
    result: DataType,
}

impl Kernel for GroupUniqArray {
    type State = UniqueValues;

    fn update(
        &self,
        states: &mut [UniqueValues],
        groups: &[u32],
        columns: &[Column],
    ) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            if state.values.ends.len() < self.limit {
                state.insert(rows.row(row));
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[UniqueValues]) -> Result<Column> {
        let limit = self.limit;
        let groups = states.iter().map(|s| s.values.rows().take(limit).collect());
        list_column(&self.codec, &self.result, groups)
    }
}

pub(crate) fn build_group_uniq_array(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let result = DataType::array(build.arguments[0].clone());
    let codec = Arc::new(RowCodec::new(build.arguments));
    let limit = limit_of(build, false)?;
    build.counting(result.clone(), GroupUniqArray { limit, codec, result })
}

/// `groupArrayInsertAt(default, size)(value, position)`.
#[derive(Clone)]
struct InsertAt {
    codec: Arc<RowCodec>,
    default: Vec<u8>,
    size: usize,
    result: DataType,
}

/// Positions beyond this are an error, as in ClickHouse.
const INSERT_AT_MAX: u64 = 0xFF_FFFF;

#[derive(Default)]
struct Slots(Vec<Option<Box<[u8]>>>);

impl Slots {
    fn put(&mut self, at: usize, row: &[u8]) {
        if at >= self.0.len() {
            self.0.resize(at + 1, None);
        }
        if self.0[at].is_none() {
            self.0[at] = Some(row.into());
        }
    }
}

impl State for Slots {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        for (at, row) in other.0.iter().enumerate() {
            if let Some(row) = row {
                self.put(at, row);
            }
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for row in &self.0 {
            out.push(row.is_some() as u8);
            if let Some(row) = row {
                wire::write_bytes(row, out);
            }
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut slots = Slots::default();
        for _ in 0..wire::read_count(input)? {
            let there = wire::array::<1>(input)?[0] != 0;
            slots.0.push(if there { Some(wire::read_bytes(input)?.into()) } else { None });
        }
        Ok(slots)
    }
    fn heap_bytes(&self) -> usize {
        self.0.iter().map(|r| 16 + r.as_ref().map_or(0, |r| r.len())).sum()
    }
}

impl Kernel for InsertAt {
    type State = Slots;

    fn update(&self, states: &mut [Slots], groups: &[u32], columns: &[Column]) -> Result<()> {
        let encoders = self.codec.encoders(&columns[..1]);
        let mut bytes = vec![];
        for (row, group) in groups.iter().enumerate() {
            let at = columns[1].value(row).as_u64().filter(|p| *p <= INSERT_AT_MAX);
            let at = at.ok_or_else(|| {
                Error::new(codes::TOO_LARGE_ARRAY_SIZE, "Too large array size: position too large")
            })? as usize;
            if at < self.size {
                bytes.clear();
                encoders[0].write(row, &mut bytes);
                states[*group as usize].put(at, &bytes);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Slots]) -> Result<Column> {
        let fixed = if self.size == usize::MAX { 0 } else { self.size };
        let groups = states.iter().map(|s| {
            let count = s.0.len().max(fixed);
            let row = |i: usize| s.0.get(i).and_then(|r| r.as_deref()).unwrap_or(&self.default);
            (0..count).map(row).collect()
        });
        list_column(&self.codec, &self.result, groups)
    }
}

pub(crate) fn build_insert_at(build: &Build) -> Built {
    build.expect_arguments(2)?;
    let item = build.arguments[0].clone();
    let codec = Arc::new(RowCodec::new(&build.arguments[..1]));
    let default = match build.parameters.first() {
        Some(value) => Column::from_values(item.clone(), std::slice::from_ref(value))?,
        None => Column::default_values(item.clone(), 1),
    };
    let default = codec.encode(&[default], 1).row(0).to_vec();
    let size = build.parameters.get(1).and_then(Value::as_u64);
    let size = size.map_or(usize::MAX, |n| n.min(INSERT_AT_MAX) as usize);
    let result = DataType::array(item);
    build.counting(result.clone(), InsertAt { codec, default, size, result })
}

/// Running sums (or averages) over the last `window` values.
#[derive(Clone)]
struct Moving {
    window: usize,
    average: bool,
    item: DataType,
    result: DataType,
}

#[derive(Default)]
struct Series(Vec<f64>);

impl State for Series {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        self.0.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let count = wire::read_count(input)?;
        Ok(Series((0..count).map(|_| wire::read_f64(input)).collect::<Result<_>>()?))
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

impl Kernel for Moving {
    type State = Series;

    fn update(&self, states: &mut [Series], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = floats(&columns[0])?;
        for (group, value) in groups.iter().zip(values.iter()) {
            states[*group as usize].0.push(*value);
        }
        Ok(())
    }

    fn finish(&self, states: &[Series]) -> Result<Column> {
        let (mut values, mut lengths) = (vec![], vec![]);
        for Series(series) in states {
            lengths.push(series.len());
            let mut sum = 0.0;
            for (i, value) in series.iter().enumerate() {
                sum += value;
                if i >= self.window {
                    sum -= series[i - self.window];
                }
                let divisor = if self.average { self.window.min(series.len()) as f64 } else { 1.0 };
                values.push(sum / divisor);
            }
        }
        let items = from_raw_floats(&values, &self.item)?;
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let offsets = OffsetBuffer::from_lengths(lengths);
        let array = ListArray::new(field, offsets, items.array, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

fn moving(build: &Build, average: bool) -> Built {
    build.expect_arguments(1)?;
    let argument = &build.arguments[0];
    if !argument.is_number() {
        return Err(build.illegal(argument));
    }
    let item = match argument {
        _ if average => DataType::Float64,
        t if t.is_signed_integer() => DataType::Int64,
        t if t.is_unsigned_integer() => DataType::UInt64,
        _ => DataType::Float64,
    };
    let window = limit_of(build, false)?;
    let result = DataType::array(item.clone());
    build.counting(result.clone(), Moving { window, average, item, result })
}

pub(crate) fn build_moving_sum(build: &Build) -> Built {
    moving(build, false)
}
pub(crate) fn build_moving_avg(build: &Build) -> Built {
    moving(build, true)
}

/// `groupConcat(delimiter, limit)(x)`.
#[derive(Clone)]
struct GroupConcat {
    delimiter: Vec<u8>,
    limit: u64,
    argument: DataType,
}

impl Kernel for GroupConcat {
    type State = Values;

    fn update(&self, states: &mut [Values], groups: &[u32], columns: &[Column]) -> Result<()> {
        let array = columns[0].array.as_ref();
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            if state.count < self.limit {
                text::write_text(&self.argument, array, row, TimeZone::UTC, &mut state.bytes);
                state.ends.push(state.bytes.len());
                state.count += 1;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Values]) -> Result<Column> {
        let mut builder = BinaryBuilder::new();
        for state in states {
            let rows: Vec<&[u8]> = state.rows().take(self.limit as usize).collect();
            builder.append_value(rows.join(&self.delimiter[..]));
        }
        Ok(Column { data_type: DataType::String, array: Arc::new(builder.finish()) })
    }
}

pub(crate) fn build_group_concat(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let delimiter = match build.parameters.first() {
        None => vec![],
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err(build.bad_parameter("needs a String as its delimiter")),
    };
    let limit = build.parameters.get(1).map_or(Some(u64::MAX), Value::as_u64);
    let limit = limit.ok_or_else(|| build.bad_parameter("needs a positive limit"))?;
    let argument = build.arguments[0].clone();
    build.function(DataType::String, GroupConcat { delimiter, limit, argument })
}
