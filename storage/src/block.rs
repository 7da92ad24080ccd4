//! Columns and blocks: rows in memory. A [`Column`] is a logical type and an Arrow array laid out as
//! [`DataType::arrow`] says; a [`Block`] is named columns of one length.
//!
//! Cheap to clone (arrays are shared). Value-at-a-time access ([`Column::value`],
//! [`Column::from_values`]) is for literals, tests and metadata, never for hot loops.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, StructArray, UInt32Array, make_array, new_null_array,
};
use arrow_buffer::{MutableBuffer, NullBuffer, OffsetBuffer, i256};
use arrow_schema::{DataType as ArrowType, Field};

use crate::error::{Error, Result};
use crate::types::{DataType, Value};

/// One column: logical type and values. `array.data_type()` equals `data_type.arrow()` up to field
/// nullability.
#[derive(Debug, Clone)]
pub struct Column {
    pub data_type: DataType,
    pub array: ArrayRef,
}

impl Column {
    pub fn new(data_type: DataType, array: ArrayRef) -> Column {
        debug_assert!(
            same_layout(&data_type.arrow(), array.data_type()),
            "{data_type} does not lie as {}",
            array.data_type()
        );
        Column { data_type, array }
    }

    pub fn len(&self) -> usize {
        self.array.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column of no rows.
    pub fn empty(data_type: DataType) -> Column {
        let array = arrow_array::new_empty_array(&data_type.arrow());
        Column { data_type, array }
    }

    /// `rows` copies of `value`.
    pub fn constant(data_type: DataType, value: &Value, rows: usize) -> Result<Column> {
        if value.is_null() && data_type.is_nullable() {
            let array = new_null_array(&data_type.arrow(), rows);
            return Ok(Column { data_type, array });
        }
        let one = Column::from_values(data_type, std::slice::from_ref(value))?;
        Ok(match one.zeros(rows) {
            Some(zeros) => zeros,
            None => one.take(&UInt32Array::from(vec![0; rows])),
        })
    }

    /// `rows` copies of the only row, if it is a number of zero bits: they need no copying.
    fn zeros(&self, rows: usize) -> Option<Column> {
        let width = self.array.data_type().primitive_width()?;
        let data = self.array.to_data();
        let bits = data.buffers().first()?.get(..width)?;
        if data.nulls().is_some() || bits.iter().any(|byte| *byte != 0) {
            return None;
        }
        let zeros = MutableBuffer::from_len_zeroed(rows * width).into();
        let data = data.into_builder().len(rows).buffers(vec![zeros]).build().ok()?;
        Some(Column { data_type: self.data_type.clone(), array: make_array(data) })
    }

    /// `rows` copies of the type's default (0, '', 1970-01-01, NULL for Nullable, [] …).
    pub fn default_values(data_type: DataType, rows: usize) -> Column {
        let value = default_value(&data_type);
        Column::constant(data_type, &value, rows).expect("a type's own default has its layout")
    }

    /// What stands where a join, a total or an array has no value: as [`Self::default_values`], but a
    /// Date32 is 1970-01-01 there, not the first day of its range.
    pub fn filler_values(data_type: DataType, rows: usize) -> Column {
        match data_type {
            DataType::Date32 => {
                Column::constant(data_type, &Value::Int(0), rows).expect("a day number is a Date32")
            }
            other => Column::default_values(other, rows),
        }
    }

    pub fn slice(&self, offset: usize, rows: usize) -> Column {
        Column { data_type: self.data_type.clone(), array: self.array.slice(offset, rows) }
    }

    /// The rows at `indices`, in that order. Indices must be below `len`.
    pub fn take(&self, indices: &UInt32Array) -> Column {
        let array = arrow_select::take::take(self.array.as_ref(), indices, None)
            .expect("take supports every layout that DataType::arrow yields");
        Column { data_type: self.data_type.clone(), array }
    }

    /// The rows where `mask` is true.
    pub fn filter(&self, mask: &BooleanArray) -> Column {
        let array = arrow_select::filter::filter(self.array.as_ref(), mask)
            .expect("filter supports every layout that DataType::arrow yields");
        Column { data_type: self.data_type.clone(), array }
    }

    /// All rows of `columns` one after the other; they must be of one type and at least one. Fails
    /// when the bytes of strings pass 2 GiB.
    pub fn concat(columns: &[Column]) -> Result<Column> {
        let arrays: Vec<&dyn Array> = columns.iter().map(|c| c.array.as_ref()).collect();
        let array = arrow_select::concat::concat(&arrays)
            .map_err(|e| Error::Column(format!("cannot join columns: {e}")))?;
        Ok(Column { data_type: columns[0].data_type.clone(), array })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    /// Heap bytes of the values (for memory accounting).
    pub fn memory_bytes(&self) -> usize {
        self.array.get_buffer_memory_size()
    }

    /// Bytes of the values themselves: of a slice only what it shows of the memory it shares.
    pub fn slice_bytes(&self) -> usize {
        let whole = || self.memory_bytes();
        self.array.to_data().get_slice_memory_size().unwrap_or_else(|_| whole())
    }

    /// The value at `row`.
    pub fn value(&self, row: usize) -> Value {
        value_at(&self.data_type, self.array.as_ref(), row)
    }

    /// A column of these values. An error names the first value that does not fit the type.
    pub fn from_values(data_type: DataType, values: &[Value]) -> Result<Column> {
        let array = build(&data_type, values)?;
        Ok(Column { data_type, array })
    }
}

/// Named columns of one length. Names may repeat (a result can have them); then the first wins.
#[derive(Debug, Clone, Default)]
pub struct Block {
    pub names: Vec<String>,
    pub columns: Vec<Column>,
    rows: usize,
}

impl Block {
    /// A block; all columns must have the same length.
    pub fn new(named: Vec<(String, Column)>) -> Block {
        let rows = named.first().map_or(0, |(_, c)| c.len());
        let (names, columns): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        assert!(columns.iter().all(|c| c.len() == rows), "columns of one block differ in length");
        Block { names, columns, rows }
    }

    /// A block without columns but with a row count (for `SELECT count()`).
    pub fn of_rows(rows: usize) -> Block {
        Block { names: vec![], columns: vec![], rows }
    }

    pub fn empty_of(schema: &[(String, DataType)]) -> Block {
        Block::new(schema.iter().map(|(n, t)| (n.clone(), Column::empty(t.clone()))).collect())
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.names.iter().position(|n| n == name).map(|i| &self.columns[i])
    }

    pub fn schema(&self) -> Vec<(String, DataType)> {
        self.names.iter().cloned().zip(self.columns.iter().map(|c| c.data_type.clone())).collect()
    }

    pub fn push(&mut self, name: impl Into<String>, column: Column) {
        if self.columns.is_empty() && self.rows == 0 {
            self.rows = column.len();
        }
        assert_eq!(column.len(), self.rows, "columns of one block differ in length");
        self.names.push(name.into());
        self.columns.push(column);
    }

    fn map(&self, rows: usize, f: impl Fn(&Column) -> Column) -> Block {
        Block { names: self.names.clone(), columns: self.columns.iter().map(f).collect(), rows }
    }

    pub fn slice(&self, offset: usize, rows: usize) -> Block {
        self.map(rows, |c| c.slice(offset, rows))
    }

    pub fn take(&self, indices: &UInt32Array) -> Block {
        self.map(indices.len(), |c| c.take(indices))
    }

    pub fn filter(&self, mask: &BooleanArray) -> Block {
        let rows = mask.true_count();
        self.map(rows, |c| c.filter(mask))
    }

    /// All rows of `blocks`, which share one schema; at least one block.
    pub fn concat(blocks: &[Block]) -> Result<Block> {
        if blocks.len() == 1 {
            return Ok(blocks[0].clone());
        }
        let columns = (0..blocks[0].columns.len())
            .map(|i| {
                let parts: Vec<Column> = blocks.iter().map(|b| b.columns[i].clone()).collect();
                Column::concat(&parts)
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = blocks.iter().map(|b| b.rows).sum();
        Ok(Block { names: blocks[0].names.clone(), columns, rows })
    }

    /// The same, giving up the blocks' columns one by one: little more memory is taken than they have.
    pub fn concat_owned(mut blocks: Vec<Block>) -> Result<Block> {
        let Some(first) = blocks.first() else { return Ok(Block::default()) };
        if blocks.len() == 1 {
            return Ok(blocks.swap_remove(0));
        }
        let (names, width) = (first.names.clone(), first.columns.len());
        let rows = blocks.iter().map(|b| b.rows).sum();
        let mut rest: Vec<_> = blocks.into_iter().map(|b| b.columns.into_iter()).collect();
        let columns = (0..width)
            .map(|_| {
                Column::concat(&rest.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Block { names, columns, rows })
    }

    pub fn memory_bytes(&self) -> usize {
        self.columns.iter().map(Column::memory_bytes).sum()
    }

    /// As [`Column::slice_bytes`], of all columns.
    pub fn slice_bytes(&self) -> usize {
        self.columns.iter().map(Column::slice_bytes).sum()
    }
}

/// The value a column of this type takes when nothing is given.
pub fn default_value(data_type: &DataType) -> Value {
    use DataType::*;
    match data_type {
        Nullable(_) => Value::Null,
        LowCardinality(t) => default_value(t),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            default_value(argument)
        }
        Variant(_) | Dynamic { .. } => Value::Null,
        Json(json) => Value::String(crate::run_time::object::empty(json)),
        Nothing | UInt8 | UInt16 | UInt32 | UInt64 | Date | DateTime(_) | Ipv4 | Bool => {
            Value::UInt(0)
        }
        Int8 | Int16 | Int32 | Int64 | DateTime64(..) | Interval(_) | Time | Time64(_) => {
            Value::Int(0)
        }
        // 1900-01-01, the first day that ClickHouse's Date32 has.
        Date32 => Value::Int(-25_567),
        Enum8(v) | Enum16(v) => Value::Int(v.values.first().map_or(0, |(_, n)| *n as i64)),
        UInt128 => Value::UInt128(0),
        Int128 => Value::Int128(0),
        UInt256 | Int256 => Value::Int256(i256::ZERO),
        Float32 | Float64 | BFloat16 => Value::Float(0.0),
        Decimal { precision, scale } if *precision <= 38 => Value::Decimal(0, *scale),
        Decimal { .. } => Value::Int256(i256::ZERO),
        String | AggregateFunction { .. } => Value::String(vec![]),
        FixedString(n) => Value::String(vec![0; *n]),
        Uuid | Ipv6 => Value::String(vec![0; 16]),
        Array(_) => Value::Array(vec![]),
        Tuple(elements) => {
            Value::Tuple(elements.iter().map(|e| default_value(&e.data_type)).collect())
        }
        Map(..) => Value::Map(vec![]),
    }
}

fn same_layout(a: &ArrowType, b: &ArrowType) -> bool {
    match (a, b) {
        (ArrowType::List(x), ArrowType::List(y)) => same_layout(x.data_type(), y.data_type()),
        (ArrowType::Struct(x), ArrowType::Struct(y)) => {
            x.len() == y.len()
                && x.iter().zip(y.iter()).all(|(p, q)| same_layout(p.data_type(), q.data_type()))
        }
        _ => a == b,
    }
}

pub(crate) fn value_at(data_type: &DataType, array: &dyn Array, row: usize) -> Value {
    use DataType::*;
    if array.is_null(row) {
        return Value::Null;
    }
    match data_type {
        Nullable(t) | LowCardinality(t) => value_at(t, array, row),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            value_at(argument, array, row)
        }
        Nothing | UInt8 => Value::UInt(array.as_primitive::<UInt8Type>().value(row) as u64),
        Bool => Value::Bool(array.as_primitive::<UInt8Type>().value(row) != 0),
        UInt16 | Date => Value::UInt(array.as_primitive::<UInt16Type>().value(row) as u64),
        UInt32 | DateTime(_) | Ipv4 => {
            Value::UInt(array.as_primitive::<UInt32Type>().value(row) as u64)
        }
        UInt64 => Value::UInt(array.as_primitive::<UInt64Type>().value(row)),
        Int8 | Enum8(_) => Value::Int(array.as_primitive::<Int8Type>().value(row) as i64),
        Int16 | Enum16(_) => Value::Int(array.as_primitive::<Int16Type>().value(row) as i64),
        Int32 | Date32 | Time => Value::Int(array.as_primitive::<Int32Type>().value(row) as i64),
        Int64 | DateTime64(..) | Interval(_) | Time64(_) => {
            Value::Int(array.as_primitive::<Int64Type>().value(row))
        }
        Float32 | BFloat16 => Value::Float(array.as_primitive::<Float32Type>().value(row) as f64),
        Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        UInt128 => Value::UInt128(array.as_primitive::<Decimal128Type>().value(row) as u128),
        Int128 => Value::Int128(array.as_primitive::<Decimal128Type>().value(row)),
        UInt256 | Int256 => Value::Int256(array.as_primitive::<Decimal256Type>().value(row)),
        Decimal { precision, scale } => match precision {
            0..=9 => Value::Decimal(array.as_primitive::<Int32Type>().value(row) as i128, *scale),
            10..=18 => Value::Decimal(array.as_primitive::<Int64Type>().value(row) as i128, *scale),
            19..=38 => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
            _ => Value::Int256(array.as_primitive::<Decimal256Type>().value(row)),
        },
        String | AggregateFunction { .. } | Variant(_) | Dynamic { .. } | Json(_) => {
            Value::String(array.as_binary::<i32>().value(row).to_vec())
        }
        FixedString(_) | Uuid | Ipv6 => {
            Value::String(array.as_fixed_size_binary().value(row).to_vec())
        }
        Array(t) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|i| value_at(t, items.as_ref(), i)).collect())
        }
        Tuple(elements) => {
            let fields = array.as_struct();
            Value::Tuple(
                elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| value_at(&e.data_type, fields.column(i).as_ref(), row))
                    .collect(),
            )
        }
        Map(k, v) => {
            let entries = array.as_list::<i32>().value(row);
            let entries = entries.as_struct();
            Value::Map(
                (0..entries.len())
                    .map(|i| {
                        (
                            value_at(k, entries.column(0).as_ref(), i),
                            value_at(v, entries.column(1).as_ref(), i),
                        )
                    })
                    .collect(),
            )
        }
    }
}

fn misfit(data_type: &DataType, value: &Value) -> Error {
    Error::Column(format!("value {} does not fit type {data_type}", value.to_sql()))
}

fn build(data_type: &DataType, values: &[Value]) -> Result<ArrayRef> {
    use DataType::*;
    macro_rules! integers {
        ($builder:ty, $native:ty) => {{
            let mut b = <$builder>::with_capacity(values.len());
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    v => b.append_value(
                        v.as_i128()
                            .and_then(|n| <$native>::try_from(n).ok())
                            .ok_or_else(|| misfit(data_type, v))?,
                    ),
                }
            }
            Ok(Arc::new(b.finish()) as ArrayRef)
        }};
    }
    macro_rules! floats {
        ($builder:ty, $native:ty) => {{
            let mut b = <$builder>::with_capacity(values.len());
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    v => b.append_value(v.as_f64().ok_or_else(|| misfit(data_type, v))? as $native),
                }
            }
            Ok(Arc::new(b.finish()) as ArrayRef)
        }};
    }
    match data_type {
        Nullable(t) | LowCardinality(t) => build(t, values),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            build(argument, values)
        }
        Nothing | UInt8 | Bool => integers!(UInt8Builder, u8),
        UInt16 | Date => integers!(UInt16Builder, u16),
        UInt32 | DateTime(_) | Ipv4 => integers!(UInt32Builder, u32),
        UInt64 => integers!(UInt64Builder, u64),
        Int8 | Enum8(_) => integers!(Int8Builder, i8),
        Int16 | Enum16(_) => integers!(Int16Builder, i16),
        Int32 | Date32 | Time => integers!(Int32Builder, i32),
        Int64 | DateTime64(..) | Interval(_) | Time64(_) => integers!(Int64Builder, i64),
        Float32 | BFloat16 => floats!(Float32Builder, f32),
        Float64 => floats!(Float64Builder, f64),
        Decimal { precision, scale } if *precision <= 38 => {
            let mut words = Vec::with_capacity(values.len());
            for v in values {
                words.push(match v {
                    Value::Null => None,
                    v => Some(to_scale(v, *scale).ok_or_else(|| misfit(data_type, v))?),
                });
            }
            decimal_array(data_type, &words)
        }
        UInt128 | Int128 => {
            let mut b =
                Decimal128Builder::with_capacity(values.len()).with_data_type(data_type.arrow());
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    Value::UInt128(n) => b.append_value(*n as i128),
                    v => b.append_value(v.as_i128().ok_or_else(|| misfit(data_type, v))?),
                }
            }
            Ok(Arc::new(b.finish()))
        }
        UInt256 | Int256 | Decimal { .. } => {
            let mut b =
                Decimal256Builder::with_capacity(values.len()).with_data_type(data_type.arrow());
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    Value::Int256(n) => b.append_value(*n),
                    v => b.append_value(i256::from_i128(
                        v.as_i128().ok_or_else(|| misfit(data_type, v))?,
                    )),
                }
            }
            Ok(Arc::new(b.finish()))
        }
        String | AggregateFunction { .. } | Variant(_) | Dynamic { .. } | Json(_) => {
            let mut b = BinaryBuilder::with_capacity(values.len(), values.len() * 16);
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    v => b.append_value(v.as_bytes().ok_or_else(|| misfit(data_type, v))?),
                }
            }
            Ok(Arc::new(b.finish()))
        }
        FixedString(_) | Uuid | Ipv6 => {
            let width = if let FixedString(n) = data_type { *n } else { 16 };
            let mut b = FixedSizeBinaryBuilder::with_capacity(values.len(), width as i32);
            for v in values {
                match v {
                    Value::Null => b.append_null(),
                    v => {
                        let mut bytes = v.as_bytes().ok_or_else(|| misfit(data_type, v))?.to_vec();
                        if bytes.len() > width {
                            return Err(misfit(data_type, v));
                        }
                        bytes.resize(width, 0);
                        b.append_value(&bytes).expect("width was just made right");
                    }
                }
            }
            Ok(Arc::new(b.finish()))
        }
        Array(t) => {
            let mut flat = vec![];
            let mut lengths = vec![];
            for v in values {
                match v {
                    Value::Array(items) => {
                        flat.extend_from_slice(items);
                        lengths.push(items.len());
                    }
                    v => return Err(misfit(data_type, v)),
                }
            }
            let items = build(t, &flat)?;
            let field = Arc::new(Field::new("item", items.data_type().clone(), t.is_nullable()));
            Ok(Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None)))
        }
        Tuple(elements) => {
            let mut columns = vec![];
            let nulls: NullBuffer = values.iter().map(|v| !v.is_null()).collect();
            for (i, e) in elements.iter().enumerate() {
                let mut items = Vec::with_capacity(values.len());
                for v in values {
                    match v {
                        Value::Tuple(t) if t.len() == elements.len() => items.push(t[i].clone()),
                        // What lies under the NULL of a Nullable tuple.
                        Value::Null => items.push(default_value(&e.data_type)),
                        v => return Err(misfit(data_type, v)),
                    }
                }
                columns.push(build(&e.data_type, &items)?);
            }
            let ArrowType::Struct(fields) = data_type.arrow() else {
                return Err(Error::Column("a tuple lies as a struct".into()));
            };
            Ok(Arc::new(
                StructArray::try_new_with_length(
                    fields,
                    columns,
                    Some(nulls).filter(|n| n.null_count() > 0),
                    values.len(),
                )
                .map_err(|e| Error::Column(e.to_string()))?,
            ))
        }
        Map(k, v) => {
            let (mut keys, mut items, mut lengths) = (vec![], vec![], vec![]);
            for value in values {
                match value {
                    Value::Map(entries) => {
                        lengths.push(entries.len());
                        for (key, item) in entries {
                            keys.push(key.clone());
                            items.push(item.clone());
                        }
                    }
                    value => return Err(misfit(data_type, value)),
                }
            }
            let ArrowType::List(field) = data_type.arrow() else {
                return Err(Error::Column("a map lies as a list".into()));
            };
            let ArrowType::Struct(fields) = field.data_type().clone() else {
                return Err(Error::Column("a map's entries lie as a struct".into()));
            };
            let entries = StructArray::try_new_with_length(
                fields,
                vec![build(k, &keys)?, build(v, &items)?],
                None,
                keys.len(),
            )
            .map_err(|e| Error::Column(e.to_string()))?;
            Ok(Arc::new(ListArray::new(
                field,
                OffsetBuffer::from_lengths(lengths),
                Arc::new(entries),
                None::<NullBuffer>,
            )))
        }
    }
}

/// `value` as an unscaled integer of `scale` digits after the point.
fn to_scale(value: &Value, scale: u8) -> Option<i128> {
    match value {
        Value::Decimal(v, s) if *s <= scale => {
            v.checked_mul(10i128.checked_pow((scale - s) as u32)?)
        }
        Value::Decimal(v, s) => Some(v / 10i128.checked_pow((s - scale) as u32)?),
        Value::Float(f) => Some((f * 10f64.powi(scale as i32)) as i128),
        v => v.as_i128()?.checked_mul(10i128.checked_pow(scale as u32)?),
    }
}

/// A Decimal column (precision up to 38) of unscaled words.
pub fn decimal_array(data_type: &DataType, words: &[Option<i128>]) -> Result<ArrayRef> {
    let overflow = || Error::Column(format!("decimal overflow in {data_type}"));
    Ok(match data_type.arrow() {
        ArrowType::Int32 => {
            let mut b = Int32Builder::with_capacity(words.len());
            for w in words {
                b.append_option(w.map(i32::try_from).transpose().map_err(|_| overflow())?);
            }
            Arc::new(b.finish())
        }
        ArrowType::Int64 => {
            let mut b = Int64Builder::with_capacity(words.len());
            for w in words {
                b.append_option(w.map(i64::try_from).transpose().map_err(|_| overflow())?);
            }
            Arc::new(b.finish())
        }
        layout => {
            let mut b = Decimal128Builder::with_capacity(words.len()).with_data_type(layout);
            for w in words {
                b.append_option(*w);
            }
            Arc::new(b.finish())
        }
    })
}
