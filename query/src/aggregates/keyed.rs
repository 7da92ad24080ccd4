//! Aggregates that run another one per key inside each group: `sumMap` / `minMap` / `maxMap` over
//! arrays of keys and values, and the combinators `-Map` (keys of a Map) and `-ForEach` (positions in
//! an array).
//!
//! Every (group, key) pair is a group of the inner function.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::combinators::flatten;
use super::kernel::{Build, Built, mismatch, wire};
use super::{Accumulator, AggregateFunction};
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::RowCodec;
use crate::execute::sort_key::{KeyOrder, SortEncoder};

/// What the keys are and how results are put together.
#[derive(Clone, PartialEq)]
enum Form {
    /// `(keys array, value arrays…)` to a tuple of arrays; `compact` drops keys whose values are all 0.
    Arrays { compact: bool },
    /// A Map to a Map.
    Map,
    /// Arrays to an array; the key is the position.
    Positions,
}

struct Keyed {
    name: String,
    parameters: Vec<Value>,
    arguments: Vec<DataType>,
    form: Form,
    /// The literals of the only keys that count, if not all do.
    wanted: Option<Arc<HashSet<String>>>,
    /// One inner function per value column.
    inner: Vec<Arc<dyn AggregateFunction>>,
    key_type: DataType,
    result: DataType,
}

impl AggregateFunction for Keyed {
    fn name(&self) -> String {
        super::kernel::full_name(&self.name, &self.parameters)
    }

    fn return_type(&self) -> DataType {
        self.result.clone()
    }

    fn state_type(&self) -> DataType {
        DataType::AggregateFunction {
            name: self.name.clone(),
            parameters: self.parameters.clone(),
            arguments: self.arguments.clone(),
        }
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(KeyedAccumulator {
            form: self.form.clone(),
            wanted: self.wanted.clone(),
            codec: RowCodec::new(std::slice::from_ref(&self.key_type)),
            encoder: SortEncoder::new(vec![KeyOrder {
                data_type: self.key_type.clone(),
                descending: false,
                nulls_first: false,
            }]),
            groups: vec![],
            inner: self.inner.iter().map(|f| f.accumulator()).collect(),
            pairs: 0,
            key_bytes: 0,
            result: self.result.clone(),
            state_type: self.state_type(),
        })
    }

    fn default_when_only_null(&self) -> bool {
        true
    }
}

/// Keys of one group, in order: the inner group's number and the key as row bytes.
type Keys = BTreeMap<Box<[u8]>, (u32, Box<[u8]>)>;

struct KeyedAccumulator {
    form: Form,
    wanted: Option<Arc<HashSet<String>>>,
    codec: RowCodec,
    encoder: SortEncoder,
    groups: Vec<Keys>,
    inner: Vec<Box<dyn Accumulator>>,
    /// Number of (group, key) pairs.
    pairs: u32,
    key_bytes: usize,
    result: DataType,
    state_type: DataType,
}

impl KeyedAccumulator {
    fn pair(&mut self, group: u32, order: &[u8], row: &[u8]) -> u32 {
        let keys = &mut self.groups[group as usize];
        if let Some((pair, _)) = keys.get(order) {
            return *pair;
        }
        let pair = self.pairs;
        keys.insert(order.into(), (pair, row.into()));
        self.key_bytes += order.len() + row.len() + 64;
        self.pairs += 1;
        pair
    }

    /// Key columns and value columns with one row per element, and each element's row.
    fn elements(
        &self,
        arguments: &[Column],
        rows: usize,
    ) -> Result<(Column, Vec<Column>, Vec<u32>)> {
        match &self.form {
            Form::Arrays { .. } => {
                let arrays = tuple_elements(arguments);
                let (mut columns, origin) = flatten(&arrays, rows)?;
                let key = columns.remove(0);
                let Some(wanted) = &self.wanted else { return Ok((key, columns, origin)) };
                let kept: Vec<u32> = (0..key.len() as u32)
                    .filter(|i| wanted.contains(&key.value(*i as usize).to_sql()))
                    .collect();
                let origin = kept.iter().map(|i| origin[*i as usize]).collect();
                let kept = UInt32Array::from(kept);
                Ok((key.take(&kept), columns.iter().map(|c| c.take(&kept)).collect(), origin))
            }
            Form::Map => {
                let (key, value, origin) = map_elements(&arguments[0], rows)?;
                Ok((key, vec![value], origin))
            }
            Form::Positions => {
                let (columns, origin) = flatten(arguments, rows)?;
                let mut positions = Vec::with_capacity(origin.len());
                let mut before = None;
                for row in &origin {
                    let next =
                        if before == Some(row) { positions[positions.len() - 1] + 1 } else { 0 };
                    positions.push(next);
                    before = Some(row);
                }
                let array = arrow_array::UInt64Array::from(positions);
                let key = Column { data_type: DataType::UInt64, array: Arc::new(array) };
                Ok((key, columns, origin))
            }
        }
    }

    fn resize_inner(&mut self) {
        let pairs = self.pairs as usize;
        self.inner.iter_mut().for_each(|s| s.resize(pairs));
    }
}

/// `sumMap((keys, values))` is the same as `sumMap(keys, values)`.
fn tuple_elements(arguments: &[Column]) -> Vec<Column> {
    match arguments {
        [one] => match one.data_type.inner() {
            DataType::Tuple(elements) => {
                let fields = one.array.as_struct();
                elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| Column {
                        data_type: e.data_type.clone(),
                        array: fields.column(i).clone(),
                    })
                    .collect()
            }
            _ => vec![one.clone()],
        },
        several => several.to_vec(),
    }
}

fn map_elements(column: &Column, rows: usize) -> Result<(Column, Column, Vec<u32>)> {
    let DataType::Map(k, v) = column.data_type.inner() else {
        return Err(Error::new(codes::LOGICAL_ERROR, "-Map over something else than a Map"));
    };
    let list = column.array.as_list::<i32>();
    let offsets = list.value_offsets();
    let (from, to) = (offsets[0] as usize, offsets[rows] as usize);
    let mut origin = Vec::with_capacity(to - from);
    for row in 0..rows {
        let end = (offsets[row + 1] as usize) - from;
        origin.resize(end, row as u32);
    }
    let entries = list.values().slice(from, to - from);
    let entries = entries.as_struct();
    let key = Column { data_type: (**k).clone(), array: entries.column(0).clone() };
    let value = Column { data_type: (**v).clone(), array: entries.column(1).clone() };
    Ok((key, value, origin))
}

impl Accumulator for KeyedAccumulator {
    fn resize(&mut self, groups: usize) {
        if groups > self.groups.len() {
            self.groups.resize_with(groups, Keys::new);
        }
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.resize(groups.iter().max().map_or(0, |g| *g as usize + 1));
        let (key, values, origin) = self.elements(arguments, groups.len())?;
        let keys = std::slice::from_ref(&key);
        let orders = self.encoder.encode(keys, origin.len());
        let rows = self.codec.encode(keys, origin.len());
        let mut order = vec![];
        let mut pairs = Vec::with_capacity(origin.len());
        for (i, row) in origin.iter().enumerate() {
            order.clear();
            orders.write(i, &mut order);
            pairs.push(self.pair(groups[*row as usize], &order, rows.row(i)));
        }
        self.resize_inner();
        if let Form::Positions = self.form {
            return self.inner[0].update(&pairs, &values);
        }
        for (state, value) in self.inner.iter_mut().zip(&values) {
            state.update(&pairs, std::slice::from_ref(value))?;
        }
        Ok(())
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        let (mut from, mut to) = (vec![], vec![]);
        for (row, group) in rows.iter().zip(groups) {
            for (order, (pair, key)) in &other.groups[*row as usize] {
                from.push(*pair);
                to.push(self.pair(*group, order, key));
            }
        }
        self.resize_inner();
        for (mine, theirs) in self.inner.iter_mut().zip(&other.inner) {
            mine.merge_rows(theirs.as_ref(), &from, &to)?;
        }
        Ok(())
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        let mut pairs = vec![];
        let mut parts: Vec<BinaryBuilder> =
            self.inner.iter().map(|_| BinaryBuilder::new()).collect();
        for (i, group) in groups.iter().enumerate() {
            let mut bytes = states.value(i);
            if bytes.is_empty() {
                continue;
            }
            for _ in 0..wire::read_count(&mut bytes)? {
                let order = wire::read_bytes(&mut bytes)?.to_vec();
                let key = wire::read_bytes(&mut bytes)?.to_vec();
                pairs.push(self.pair(*group, &order, &key));
                for part in &mut parts {
                    part.append_value(wire::read_bytes(&mut bytes)?);
                }
            }
        }
        self.resize_inner();
        for (state, mut part) in self.inner.iter_mut().zip(parts) {
            let column = super::kernel::binary_column(DataType::String, part.finish());
            state.merge_serialized(&pairs, &column)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Column> {
        self.resize_inner();
        let values = self.inner.iter_mut().map(|s| s.finish()).collect::<Result<Vec<_>>>()?;
        let compact = self.form == Form::Arrays { compact: true };
        let (mut pairs, mut keys, mut lengths) = (vec![], vec![], vec![]);
        for group in &self.groups {
            let before = pairs.len();
            for (pair, key) in group.values() {
                if compact && values.iter().all(|v| is_zero(&v.value(*pair as usize))) {
                    continue;
                }
                pairs.push(*pair);
                keys.push(key.as_ref());
            }
            lengths.push(pairs.len() - before);
        }
        let keys = self.codec.decode(keys.into_iter())?.remove(0);
        let indices = UInt32Array::from(pairs);
        let values: Vec<Column> = values.iter().map(|v| v.take(&indices)).collect();
        let array = assemble(&self.form, &self.result, keys, values, lengths)?;
        Ok(Column { data_type: self.result.clone(), array })
    }

    fn serialize(&mut self) -> Result<Column> {
        self.resize_inner();
        let parts = self.inner.iter_mut().map(|s| s.serialize()).collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = parts.iter().map(|p| p.array.as_binary::<i32>()).collect();
        let mut builder = BinaryBuilder::new();
        for group in &self.groups {
            let mut bytes = vec![];
            wire::write_varint(group.len() as u64, &mut bytes);
            for (order, (pair, key)) in group {
                wire::write_bytes(order, &mut bytes);
                wire::write_bytes(key, &mut bytes);
                for part in &parts {
                    wire::write_bytes(part.value(*pair as usize), &mut bytes);
                }
            }
            builder.append_value(&bytes);
        }
        Ok(Column { data_type: self.state_type.clone(), array: Arc::new(builder.finish()) })
    }

    fn memory_bytes(&self) -> usize {
        self.key_bytes
            + self.groups.capacity() * size_of::<Keys>()
            + self.inner.iter().map(|s| s.memory_bytes()).sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_f64() == Some(0.0)
}

fn assemble(
    form: &Form,
    result: &DataType,
    keys: Column,
    values: Vec<Column>,
    lengths: Vec<usize>,
) -> Result<ArrayRef> {
    let broken = |e: arrow_schema::ArrowError| Error::new(codes::LOGICAL_ERROR, e.to_string());
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let list = |layout: &ArrowType, items: ArrayRef| -> Result<ArrayRef> {
        let ArrowType::List(field) = layout else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let list = ListArray::try_new(field.clone(), offsets.clone(), items, None);
        Ok(Arc::new(list.map_err(broken)?))
    };
    match (form, result.arrow()) {
        (Form::Positions, layout) => list(&layout, values[0].array.clone()),
        (Form::Map, layout) => {
            let ArrowType::List(field) = &layout else {
                return Err(Error::new(codes::LOGICAL_ERROR, "a map lies as a list"));
            };
            let ArrowType::Struct(fields) = field.data_type() else {
                return Err(Error::new(codes::LOGICAL_ERROR, "a map's entries lie as a struct"));
            };
            let rows = keys.len();
            let columns = vec![keys.array, values[0].array.clone()];
            let entries = StructArray::try_new_with_length(fields.clone(), columns, None, rows);
            list(&layout, Arc::new(entries.map_err(broken)?))
        }
        (Form::Arrays { .. }, ArrowType::Struct(fields)) => {
            let items = std::iter::once(keys.array).chain(values.into_iter().map(|v| v.array));
            let columns = fields
                .iter()
                .zip(items)
                .map(|(f, items)| list(f.data_type(), items))
                .collect::<Result<Vec<_>>>()?;
            let rows = lengths.len();
            let array = StructArray::try_new_with_length(fields, columns, None, rows);
            Ok(Arc::new(array.map_err(broken)?))
        }
        _ => Err(Error::new(codes::LOGICAL_ERROR, "a tuple lies as a struct")),
    }
}

/// `sumMap(keys, values…)`, `minMap`, `maxMap`: `inner` is the name of the function per key.
pub(crate) fn build_arrays(build: &Build, inner: &str) -> Built {
    let (key_type, functions, result) = array_parts(build, inner)?;
    Ok(Arc::new(Keyed {
        name: build.name.to_string(),
        parameters: build.parameters.to_vec(),
        arguments: build.arguments.to_vec(),
        form: Form::Arrays { compact: inner.starts_with("sum") },
        wanted: None,
        inner: functions,
        key_type,
        result,
    }))
}

type ArrayParts = (DataType, Vec<Arc<dyn AggregateFunction>>, DataType);

/// The key type, a function per value array, and the tuple of arrays that results.
fn array_parts(build: &Build, inner: &str) -> Result<ArrayParts> {
    let elements: Vec<DataType> = match build.arguments {
        [DataType::Tuple(elements)] => elements.iter().map(|e| e.data_type.clone()).collect(),
        other => other.to_vec(),
    };
    let items = elements
        .iter()
        .map(|t| match t {
            DataType::Array(item) => Ok(item.without_low_cardinality().clone()),
            other => Err(build.illegal(other)),
        })
        .collect::<Result<Vec<_>>>()?;
    let [key_type, values @ ..] = items.as_slice() else {
        return Err(build.illegal(&DataType::Nothing));
    };
    if values.is_empty() {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function {} requires at least two arguments of Array type",
                build.name
            ),
        ));
    }
    let functions = values
        .iter()
        .map(|t| super::lookup(inner, &[], &[t.without_nullable()]))
        .collect::<Result<Vec<_>>>()?;
    let element = |t: DataType| pumphouse_storage::types::TupleElement {
        name: None,
        data_type: DataType::array(t),
    };
    let mut tuple = vec![element(key_type.clone())];
    tuple.extend(functions.iter().map(|f| element(f.return_type())));
    let functions = values
        .iter()
        .map(|t| super::lookup(inner, &[], std::slice::from_ref(t)))
        .collect::<Result<Vec<_>>>()?;
    Ok((key_type.clone(), functions, DataType::Tuple(tuple)))
}

/// `sumMapFiltered([keys…])(keys, values…)`: only these keys take part.
pub(crate) fn build_filtered(build: &Build, inner: &str) -> Built {
    let [Value::Array(keys)] = build.parameters else {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Aggregate function {} requires an array of keys as its parameter", build.name),
        ));
    };
    let (key_type, functions, result) = array_parts(build, inner)?;
    let wanted = keys.iter().map(Value::to_sql).collect();
    Ok(Arc::new(Keyed {
        name: build.name.to_string(),
        parameters: build.parameters.to_vec(),
        arguments: build.arguments.to_vec(),
        form: Form::Arrays { compact: true },
        wanted: Some(Arc::new(wanted)),
        inner: functions,
        key_type,
        result,
    }))
}

/// `-Map` over a Map argument.
pub(crate) fn build_map(
    name: &str,
    parameters: &[Value],
    arguments: &[DataType],
) -> Result<Arc<dyn AggregateFunction>> {
    let [DataType::Map(k, v)] = arguments else {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Aggregate function {name}Map requires map as argument"),
        ));
    };
    let inner = super::lookup(name, parameters, std::slice::from_ref(v))?;
    let result = DataType::Map(k.clone(), Box::new(inner.return_type()));
    Ok(Arc::new(Keyed {
        name: format!("{name}Map"),
        parameters: parameters.to_vec(),
        arguments: arguments.to_vec(),
        form: Form::Map,
        wanted: None,
        inner: vec![inner],
        key_type: (**k).clone(),
        result,
    }))
}

/// `-ForEach` over array arguments.
pub(crate) fn build_for_each(
    name: &str,
    parameters: &[Value],
    arguments: &[DataType],
) -> Result<Arc<dyn AggregateFunction>> {
    let items = arguments
        .iter()
        .map(|t| match t {
            DataType::Array(item) => Ok((**item).clone()),
            other => Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!(
                    "Illegal type {other} of argument for aggregate function with ForEach suffix. Must be array."
                ),
            )),
        })
        .collect::<Result<Vec<_>>>()?;
    let inner = super::lookup(name, parameters, &items)?;
    let result = DataType::array(inner.return_type());
    Ok(Arc::new(Keyed {
        name: format!("{name}ForEach"),
        parameters: parameters.to_vec(),
        arguments: arguments.to_vec(),
        form: Form::Positions,
        wanted: None,
        inner: vec![inner],
        key_type: DataType::UInt64,
        result,
    }))
}
