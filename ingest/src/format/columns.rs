//! Column builders that readers append to: plain vectors, so that a row can be taken back by
//! truncation, turned into Arrow arrays without a copy.
//!
//! [`ColumnBuilder`] is one column (or the items of a nested one); [`RowBuilder`] is all of a reader's,
//! with the rows that did not give a column noted. Rules: NULLs and absences are kept as lists of row
//! numbers, so the usual value costs nothing for them.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, StructArray,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256,
};
use arrow_schema::DataType as ArrowType;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::TextResult;
use pumphouse_storage::types::{EnumValues, TimeZone};
use pumphouse_storage::{Column, DataType, Value};

use super::reading::ways;
use super::{InputColumn, ParsedRows};

/// Readers refuse more input before a `take` than this, so that offsets stay within 32 bits.
pub const BUFFERED_BYTES_MAX: usize = if cfg!(test) { 64 << 20 } else { 1 << 30 };

/// Fixed strings from this width on are watched inside lists.
const FIXED_WIDTH_WIDE: usize = 64;

/// The values of one column being built.
pub struct ColumnBuilder {
    pub data_type: DataType,
    pub nullable: bool,
    pub values: Values,
    /// Rows that are NULL, ascending.
    nulls: Vec<u32>,
}

/// Bytes of variable length.
pub struct Bytes {
    pub data: Vec<u8>,
    /// Ends of the values, with a leading 0.
    pub offsets: Vec<i32>,
}

/// Items of arrays, or keys and values of maps.
pub struct List {
    pub children: Vec<ColumnBuilder>,
    /// Ends of the lists, with a leading 0.
    pub offsets: Vec<i32>,
    /// Items hold wide fixed strings: few bytes of input can become very many.
    wide: bool,
}

/// Values by the way they are parsed.
pub enum Values {
    Nothing(Vec<u8>),
    UInt8(Vec<u8>),
    Bool(Vec<u8>),
    UInt16(Vec<u16>),
    UInt32(Vec<u32>),
    UInt64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Interval(Vec<i64>),
    UInt128(Vec<i128>),
    Int128(Vec<i128>),
    UInt256(Vec<i256>),
    Int256(Vec<i256>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal32(Vec<i32>, u8, u8),
    Decimal64(Vec<i64>, u8, u8),
    Decimal128(Vec<i128>, u8, u8),
    Decimal256(Vec<i256>, u8, u8),
    Date(Vec<u16>),
    Date32(Vec<i32>),
    DateTime(Vec<u32>, TimeZone),
    DateTime64(Vec<i64>, u8, TimeZone),
    Enum8(Vec<i8>, Arc<EnumValues>),
    Enum16(Vec<i16>, Arc<EnumValues>),
    Ipv4(Vec<u32>),
    Uuid(Vec<u8>),
    Ipv6(Vec<u8>),
    FixedString(Vec<u8>, usize),
    String(Bytes),
    /// Variant, Dynamic and JSON (the type), as the byte strings that they lie as.
    SelfTyped(Bytes, DataType, TimeZone),
    Time(Vec<i32>),
    Time64(Vec<i64>, u8),
    BFloat16(Vec<f32>),
    Array(List),
    Map(List),
    Tuple(Vec<ColumnBuilder>, usize),
}

impl ColumnBuilder {
    /// An empty builder; `zone` serves time types that name none.
    pub fn new(data_type: &DataType, zone: TimeZone) -> ColumnBuilder {
        use DataType as T;
        let child = |t: &DataType| ColumnBuilder::new(t, zone);
        let values = match data_type.inner() {
            T::Nothing => Values::Nothing(vec![]),
            T::UInt8 => Values::UInt8(vec![]),
            T::Bool => Values::Bool(vec![]),
            T::UInt16 => Values::UInt16(vec![]),
            T::UInt32 => Values::UInt32(vec![]),
            T::UInt64 => Values::UInt64(vec![]),
            T::UInt128 => Values::UInt128(vec![]),
            T::UInt256 => Values::UInt256(vec![]),
            T::Int8 => Values::Int8(vec![]),
            T::Int16 => Values::Int16(vec![]),
            T::Int32 => Values::Int32(vec![]),
            T::Int64 => Values::Int64(vec![]),
            T::Interval(_) => Values::Interval(vec![]),
            T::Int128 => Values::Int128(vec![]),
            T::Int256 => Values::Int256(vec![]),
            T::Float32 => Values::Float32(vec![]),
            T::Float64 => Values::Float64(vec![]),
            T::Decimal { precision: p, scale: s } => match p {
                0..=9 => Values::Decimal32(vec![], *p, *s),
                10..=18 => Values::Decimal64(vec![], *p, *s),
                19..=38 => Values::Decimal128(vec![], *p, *s),
                _ => Values::Decimal256(vec![], *p, *s),
            },
            T::Date => Values::Date(vec![]),
            T::Date32 => Values::Date32(vec![]),
            T::DateTime(own) => Values::DateTime(vec![], own.unwrap_or(zone)),
            T::DateTime64(p, own) => Values::DateTime64(vec![], *p, own.unwrap_or(zone)),
            T::Enum8(v) => Values::Enum8(vec![], v.clone()),
            T::Enum16(v) => Values::Enum16(vec![], v.clone()),
            T::Ipv4 => Values::Ipv4(vec![]),
            T::Uuid => Values::Uuid(vec![]),
            T::Ipv6 => Values::Ipv6(vec![]),
            T::FixedString(n) => Values::FixedString(vec![], *n),
            T::String | T::AggregateFunction { .. } => {
                Values::String(Bytes { data: vec![], offsets: vec![0] })
            }
            T::Array(t) => Values::Array(List::new(vec![child(t)])),
            T::Map(k, v) => Values::Map(List::new(vec![child(k), child(v)])),
            T::Tuple(elements) => {
                Values::Tuple(elements.iter().map(|e| child(&e.data_type)).collect(), 0)
            }
            T::Variant(_) | T::Dynamic { .. } | T::Json(_) => {
                let bytes = Bytes { data: vec![], offsets: vec![0] };
                Values::SelfTyped(bytes, data_type.inner().clone(), zone)
            }
            T::Time => Values::Time(vec![]),
            T::Time64(precision) => Values::Time64(vec![], *precision),
            T::BFloat16 => Values::BFloat16(vec![]),
            // `inner` strips these.
            T::Nullable(_)
            | T::LowCardinality(_)
            | T::SimpleAggregateFunction { .. }
            | T::Named { .. } => Values::Nothing(vec![]),
        };
        ColumnBuilder {
            data_type: data_type.clone(),
            nullable: data_type.is_nullable(),
            values,
            nulls: vec![],
        }
    }

    pub fn len(&self) -> usize {
        use Values::*;
        match &self.values {
            Nothing(v) | UInt8(v) | Bool(v) => v.len(),
            UInt16(v) | Date(v) => v.len(),
            UInt32(v) | DateTime(v, _) | Ipv4(v) => v.len(),
            UInt64(v) => v.len(),
            Int8(v) | Enum8(v, _) => v.len(),
            Int16(v) | Enum16(v, _) => v.len(),
            Int32(v) | Date32(v) | Time(v) | Decimal32(v, ..) => v.len(),
            Int64(v) | Interval(v) | DateTime64(v, ..) | Time64(v, _) | Decimal64(v, ..) => v.len(),
            UInt128(v) | Int128(v) | Decimal128(v, ..) => v.len(),
            UInt256(v) | Int256(v) | Decimal256(v, ..) => v.len(),
            Float32(v) | BFloat16(v) => v.len(),
            Float64(v) => v.len(),
            Uuid(v) | Ipv6(v) => v.len() / 16,
            FixedString(v, n) => v.len() / n,
            String(b) | SelfTyped(b, ..) => b.offsets.len() - 1,
            Array(l) | Map(l) => l.offsets.len() - 1,
            Tuple(_, rows) => *rows,
        }
    }

    /// Bytes of fixed strings that one value holds in any case.
    pub fn fixed_width(&self) -> usize {
        match &self.values {
            Values::FixedString(_, width) => *width,
            Values::Tuple(children, _) => children.iter().map(ColumnBuilder::fixed_width).sum(),
            _ => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `times` what is there, if it is a plain number or a string.
    pub(super) fn reserve_times(&mut self, times: usize) {
        fn more<T>(values: &mut Vec<T>, times: usize) {
            values.reserve_exact(values.len().saturating_mul(times - 1));
        }
        use Values::*;
        match &mut self.values {
            UInt8(v) | Bool(v) => more(v, times),
            UInt16(v) | Date(v) => more(v, times),
            UInt32(v) | DateTime(v, _) | Ipv4(v) => more(v, times),
            UInt64(v) => more(v, times),
            Int8(v) | Enum8(v, _) => more(v, times),
            Int16(v) | Enum16(v, _) => more(v, times),
            Int32(v) | Date32(v) => more(v, times),
            Int64(v) | DateTime64(v, ..) => more(v, times),
            Float32(v) => more(v, times),
            Float64(v) => more(v, times),
            FixedString(v, _) => more(v, times),
            String(bytes) => {
                more(&mut bytes.data, times);
                more(&mut bytes.offsets, times);
            }
            _ => {}
        }
    }

    /// Notes that the value of row `row`, behind all that are noted, is NULL.
    pub(super) fn note_null(&mut self, row: usize) {
        self.nulls.push(row as u32);
    }

    /// Forgets the values from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        use Values::*;
        while self.nulls.last().is_some_and(|n| *n as usize >= rows) {
            self.nulls.pop();
        }
        match &mut self.values {
            Nothing(v) | UInt8(v) | Bool(v) => v.truncate(rows),
            UInt16(v) | Date(v) => v.truncate(rows),
            UInt32(v) | DateTime(v, _) | Ipv4(v) => v.truncate(rows),
            UInt64(v) => v.truncate(rows),
            Int8(v) | Enum8(v, _) => v.truncate(rows),
            Int16(v) | Enum16(v, _) => v.truncate(rows),
            Int32(v) | Date32(v) | Time(v) | Decimal32(v, ..) => v.truncate(rows),
            Int64(v) | Interval(v) | DateTime64(v, ..) | Time64(v, _) | Decimal64(v, ..) => {
                v.truncate(rows)
            }
            UInt128(v) | Int128(v) | Decimal128(v, ..) => v.truncate(rows),
            UInt256(v) | Int256(v) | Decimal256(v, ..) => v.truncate(rows),
            Float32(v) | BFloat16(v) => v.truncate(rows),
            Float64(v) => v.truncate(rows),
            Uuid(v) | Ipv6(v) => v.truncate(rows * 16),
            FixedString(v, n) => v.truncate(rows * *n),
            String(b) | SelfTyped(b, ..) => {
                b.offsets.truncate(rows + 1);
                b.data.truncate(b.offsets.last().map_or(0, |end| *end as usize));
            }
            Array(l) | Map(l) => {
                l.offsets.truncate(rows + 1);
                let items = l.offsets.last().map_or(0, |end| *end as usize);
                l.children.iter_mut().for_each(|c| c.truncate(items));
            }
            Tuple(children, count) => {
                *count = (*count).min(rows);
                children.iter_mut().for_each(|c| c.truncate(rows));
            }
        }
    }

    /// Appends NULL, or the default where NULL is no value of the type.
    #[cold]
    pub fn push_null(&mut self) {
        if self.nullable {
            self.nulls.push(self.len() as u32);
        }
        self.push_zero();
    }

    /// Appends the type's default: NULL for Nullable.
    pub fn push_default(&mut self) {
        self.push_null();
    }

    /// Appends the default of the type inside Nullable.
    pub fn push_zero(&mut self) {
        use Values::*;
        match &mut self.values {
            Nothing(v) | UInt8(v) | Bool(v) => v.push(0),
            UInt16(v) | Date(v) => v.push(0),
            UInt32(v) | DateTime(v, _) | Ipv4(v) => v.push(0),
            UInt64(v) => v.push(0),
            Int8(v) => v.push(0),
            Int16(v) => v.push(0),
            Enum8(v, names) => v.push(names.values.first().map_or(0, |(_, n)| *n as i8)),
            Enum16(v, names) => v.push(names.values.first().map_or(0, |(_, n)| *n)),
            Int32(v) | Date32(v) | Time(v) | Decimal32(v, ..) => v.push(0),
            Int64(v) | Interval(v) | DateTime64(v, ..) | Time64(v, _) | Decimal64(v, ..) => {
                v.push(0)
            }
            UInt128(v) | Int128(v) | Decimal128(v, ..) => v.push(0),
            UInt256(v) | Int256(v) | Decimal256(v, ..) => v.push(i256::ZERO),
            Float32(v) | BFloat16(v) => v.push(0.0),
            Float64(v) => v.push(0.0),
            Uuid(v) | Ipv6(v) => v.extend_from_slice(&[0; 16]),
            FixedString(v, n) => v.resize(v.len() + *n, 0),
            String(b) => b.end(),
            SelfTyped(b, DataType::Json(json), _) => {
                b.push(&pumphouse_storage::run_time::object::empty(json))
            }
            SelfTyped(b, ..) => b.end(),
            Array(l) | Map(l) => l.end(),
            Tuple(children, rows) => {
                children.iter_mut().for_each(ColumnBuilder::push_null);
                *rows += 1;
            }
        }
    }

    /// Appends one value; one of another kind is an error. Not for hot loops.
    pub fn push_value(&mut self, value: &Value) -> TextResult<()> {
        use Values::*;
        if value.is_null() {
            self.push_null();
            return Ok(());
        }
        let misfit = || {
            pumphouse_query::text::TextError::new(
                codes::TYPE_MISMATCH,
                format!("value {} does not fit type {}", value.to_sql(), self.data_type),
            )
        };
        macro_rules! integer {
            ($v:expr, $t:ty) => {
                $v.push(value.as_i128().ok_or_else(misfit)? as $t)
            };
        }
        macro_rules! wide {
            ($v:expr) => {
                $v.push(match value {
                    Value::Int256(n) => *n,
                    other => i256::from_i128(other.as_i128().ok_or_else(misfit)?),
                })
            };
        }
        macro_rules! decimal {
            ($v:expr, $t:ty) => {
                match value {
                    Value::Decimal(n, _) => $v.push(*n as $t),
                    _ => return Err(misfit()),
                }
            };
        }
        match (&mut self.values, value) {
            (Nothing(v) | UInt8(v) | Bool(v), _) => integer!(v, u8),
            (UInt16(v) | Date(v), _) => integer!(v, u16),
            (UInt32(v) | DateTime(v, _) | Ipv4(v), _) => integer!(v, u32),
            (UInt64(v), _) => integer!(v, u64),
            (Int8(v) | Enum8(v, _), _) => integer!(v, i8),
            (Int16(v) | Enum16(v, _), _) => integer!(v, i16),
            (Int32(v) | Date32(v) | Time(v), _) => integer!(v, i32),
            (Int64(v) | Interval(v) | DateTime64(v, ..) | Time64(v, _), _) => integer!(v, i64),
            (SelfTyped(bytes, ..), Value::String(b)) => bytes.push(b),
            (BFloat16(v), _) => v.push(value.as_f64().ok_or_else(misfit)? as f32),
            (UInt128(v), Value::UInt128(n)) => v.push(*n as i128),
            (UInt128(v) | Int128(v), _) => integer!(v, i128),
            (UInt256(v) | Int256(v) | Decimal256(v, ..), _) => wide!(v),
            (Decimal32(v, ..), _) => decimal!(v, i32),
            (Decimal64(v, ..), _) => decimal!(v, i64),
            (Decimal128(v, ..), _) => decimal!(v, i128),
            (Float32(v), _) => v.push(value.as_f64().ok_or_else(misfit)? as f32),
            (Float64(v), _) => v.push(value.as_f64().ok_or_else(misfit)?),
            (Uuid(v) | Ipv6(v), Value::String(b)) if b.len() == 16 => v.extend_from_slice(b),
            (FixedString(v, n), Value::String(b)) if b.len() <= *n => {
                v.extend_from_slice(b);
                v.resize(v.len() + *n - b.len(), 0);
            }
            (String(bytes), Value::String(b)) => bytes.push(b),
            (Array(l), Value::Array(items)) => {
                for item in items {
                    l.children[0].push_value(item)?;
                    l.check_room()?;
                }
                l.end();
            }
            (Map(l), Value::Map(entries)) => {
                for (k, v) in entries {
                    l.children[0].push_value(k)?;
                    l.children[1].push_value(v)?;
                    l.check_room()?;
                }
                l.end();
            }
            (Tuple(children, rows), Value::Tuple(items)) if children.len() == items.len() => {
                for (child, item) in children.iter_mut().zip(items) {
                    child.push_value(item)?;
                }
                *rows += 1;
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }

    /// Takes the values out as an array laid out as the type says.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        use Values::*;
        let rows = self.len();
        let nulls = take_nulls(&mut self.nulls, rows);
        let layout = self.data_type.arrow();
        Ok(match &mut self.values {
            Nothing(v) | UInt8(v) | Bool(v) => primitive::<UInt8Type>(v, nulls),
            UInt16(v) | Date(v) => primitive::<UInt16Type>(v, nulls),
            UInt32(v) | DateTime(v, _) | Ipv4(v) => primitive::<UInt32Type>(v, nulls),
            UInt64(v) => primitive::<UInt64Type>(v, nulls),
            Int8(v) | Enum8(v, _) => primitive::<Int8Type>(v, nulls),
            Int16(v) | Enum16(v, _) => primitive::<Int16Type>(v, nulls),
            Int32(v) | Date32(v) | Time(v) | Decimal32(v, ..) => primitive::<Int32Type>(v, nulls),
            Int64(v) | Interval(v) | DateTime64(v, ..) | Time64(v, _) | Decimal64(v, ..) => {
                primitive::<Int64Type>(v, nulls)
            }
            Float32(v) | BFloat16(v) => primitive::<Float32Type>(v, nulls),
            Float64(v) => primitive::<Float64Type>(v, nulls),
            UInt128(v) | Int128(v) | Decimal128(v, ..) => {
                let values = ScalarBuffer::from(take_vec(v));
                let array = PrimitiveArray::<Decimal128Type>::new(values, nulls);
                Arc::new(array.with_data_type(layout))
            }
            UInt256(v) | Int256(v) | Decimal256(v, ..) => {
                let values = ScalarBuffer::from(take_vec(v));
                let array = PrimitiveArray::<Decimal256Type>::new(values, nulls);
                Arc::new(array.with_data_type(layout))
            }
            Uuid(v) | Ipv6(v) => fixed(v, 16, nulls)?,
            FixedString(v, n) => fixed(v, *n, nulls)?,
            String(b) | SelfTyped(b, ..) => {
                let offsets = b.take_offsets();
                let data = Buffer::from_vec(take_vec(&mut b.data));
                let array = BinaryArray::try_new(offsets, data, nulls).map_err(layout_error)?;
                Arc::new(array)
            }
            Array(l) => {
                let items = l.children[0].finish()?;
                let ArrowType::List(field) = layout else { return Err(layout_error("list")) };
                let offsets = l.take_offsets();
                Arc::new(ListArray::try_new(field, offsets, items, nulls).map_err(layout_error)?)
            }
            Map(l) => {
                let ArrowType::List(field) = layout else { return Err(layout_error("map")) };
                let ArrowType::Struct(fields) = field.data_type().clone() else {
                    return Err(layout_error("map entries"));
                };
                let count = l.children[0].len();
                let columns =
                    l.children.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
                let entries = StructArray::try_new_with_length(fields, columns, None, count)
                    .map_err(layout_error)?;
                let offsets = l.take_offsets();
                let array = ListArray::try_new(field, offsets, Arc::new(entries), nulls)
                    .map_err(layout_error)?;
                Arc::new(array)
            }
            Tuple(children, count) => {
                let ArrowType::Struct(fields) = layout else { return Err(layout_error("tuple")) };
                let columns =
                    children.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
                let rows = std::mem::take(count);
                let array = StructArray::try_new_with_length(fields, columns, nulls, rows)
                    .map_err(layout_error)?;
                Arc::new(array)
            }
        })
    }
}

impl Bytes {
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.end();
    }

    /// Ends the value whose bytes were appended to `data`.
    #[inline]
    pub fn end(&mut self) {
        self.offsets.push(self.data.len() as i32);
    }

    fn take_offsets(&mut self) -> OffsetBuffer<i32> {
        let mut next = Vec::with_capacity(self.offsets.len());
        next.push(0);
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, next)))
    }
}

impl List {
    fn new(children: Vec<ColumnBuilder>) -> List {
        let wide = children.iter().any(|c| c.fixed_width() > FIXED_WIDTH_WIDE);
        List { children, offsets: vec![0], wide }
    }

    /// To be called behind every item: fails (241) before short input fills the memory.
    #[inline]
    pub fn check_room(&self) -> TextResult<()> {
        if self.wide {
            return self.check_wide_room();
        }
        Ok(())
    }

    #[cold]
    fn check_wide_room(&self) -> TextResult<()> {
        let bytes: usize = self.children.iter().map(|c| c.len() * c.fixed_width()).sum();
        if bytes <= BUFFERED_BYTES_MAX {
            return Ok(());
        }
        Err(pumphouse_query::text::TextError::new(
            codes::MEMORY_LIMIT_EXCEEDED,
            format!("fixed strings in a list pass {BUFFERED_BYTES_MAX} bytes"),
        ))
    }

    /// Ends the list whose items were appended to the children.
    #[inline]
    pub fn end(&mut self) {
        self.offsets.push(self.children[0].len() as i32);
    }

    fn take_offsets(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])))
    }
}

/// Takes a vector and leaves one of the same capacity: the next batch will be about as large.
fn take_vec<T>(v: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(v.len());
    std::mem::replace(v, next)
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> ArrayRef
where
    T::Native: ArrowNativeType,
{
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(take_vec(values)), nulls))
}

fn fixed(data: &mut Vec<u8>, width: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let data = Buffer::from_vec(take_vec(data));
    let array = FixedSizeBinaryArray::try_new(width as i32, data, nulls).map_err(layout_error)?;
    Ok(Arc::new(array))
}

fn layout_error(what: impl std::fmt::Display) -> Error {
    Error::new(codes::LOGICAL_ERROR, format!("parsed values do not form a column: {what}"))
}

fn take_nulls(nulls: &mut Vec<u32>, rows: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    valid.append_n(rows, true);
    for row in nulls.drain(..) {
        valid.set_bit(row as usize, false);
    }
    Some(NullBuffer::new(valid.finish()))
}

/// One target column of a reader.
pub struct Slot {
    pub name: String,
    pub builder: ColumnBuilder,
    /// Rows that have this column; one more than the whole rows once the current row gave it.
    pub filled: usize,
    /// Rows that did not give it, ascending.
    absent: Vec<u32>,
}

/// The columns of a reader and the rows in them.
pub struct RowBuilder {
    pub slots: Vec<Slot>,
    rows: usize,
    bytes: usize,
    /// Bytes of fixed strings in each row.
    fixed_width: usize,
    /// Bytes that will come, if that was said and no room was made for them yet.
    expected: usize,
    /// Bytes of a stream from which on it is worth another look (see `row_reader`).
    pub(super) retry_bytes: usize,
    /// The type of a column that a row left out, although it takes no NULL and none may stand for it.
    lacking: Option<DataType>,
}

impl RowBuilder {
    pub fn new(columns: &[InputColumn], zone: TimeZone) -> RowBuilder {
        let slots = columns
            .iter()
            .map(|c| Slot {
                name: c.name.clone(),
                builder: ColumnBuilder::new(&c.data_type, zone),
                filled: 0,
                absent: vec![],
            })
            .collect::<Vec<Slot>>();
        let fixed_width = slots.iter().map(|s| s.builder.fixed_width()).sum();
        RowBuilder {
            slots,
            rows: 0,
            bytes: 0,
            fixed_width,
            expected: 0,
            retry_bytes: 0,
            lacking: None,
        }
    }

    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes + self.rows * self.fixed_width
    }

    /// Whether no further row should be read before a `take`.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes() > BUFFERED_BYTES_MAX
    }

    /// About so many bytes will come.
    pub fn announce(&mut self, bytes: usize) {
        self.expected = bytes;
    }

    /// Makes room for what was expected, if the rows that are there are enough to guess from: once, and for at
    /// most `rows_max` rows. `used` are bytes of rows that were not counted yet.
    pub fn make_room(&mut self, used: usize, rows_max: usize) {
        const ROWS_MIN: usize = 4000;
        let (rows, used) = (self.rows, (self.bytes + used).max(1));
        if rows < ROWS_MIN || self.expected == 0 {
            return;
        }
        // A little more, as rows differ; but neither memory nor rows have room for more than the limits.
        let expected = std::mem::take(&mut self.expected).min(BUFFERED_BYTES_MAX) / 16 * 17;
        let times = (expected / used).min(rows_max / rows) + 1;
        self.slots.iter_mut().for_each(|slot| slot.builder.reserve_times(times));
    }

    /// Counts input bytes that became rows.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Ends a row that gave `seen` of the columns; the others take their default.
    #[inline]
    pub fn end_row(&mut self, seen: usize) {
        if seen != self.slots.len() {
            self.fill_absent();
        }
        self.rows += 1;
    }

    /// Ends `count` rows that gave all columns.
    pub fn end_rows(&mut self, count: usize) {
        self.rows += count;
        for slot in &mut self.slots {
            debug_assert_eq!(slot.builder.len(), self.rows);
            slot.filled = self.rows;
        }
    }

    #[cold]
    fn fill_absent(&mut self) {
        let row = self.rows;
        let null = ways().absent_is_null;
        for slot in &mut self.slots {
            if slot.filled == row {
                slot.builder.push_default();
                if !null {
                    slot.absent.push(row as u32);
                } else if !slot.builder.nullable {
                    self.lacking = Some(slot.builder.data_type.clone());
                }
                slot.filled = row + 1;
            }
        }
    }

    /// Notes that the current row did not really give column `index`, though it has a value.
    pub fn mark_absent(&mut self, index: usize) {
        let row = self.rows as u32;
        self.slots[index].absent.push(row);
    }

    /// Forgets the rows from `rows` on, and a half-made one.
    pub fn rollback(&mut self, rows: usize) {
        for slot in &mut self.slots {
            slot.builder.truncate(rows);
            slot.filled = slot.filled.min(rows);
            while slot.absent.last().is_some_and(|row| *row as usize >= rows) {
                slot.absent.pop();
            }
        }
        self.rows = rows;
    }

    pub fn take(&mut self) -> Result<ParsedRows> {
        if let Some(data_type) = self.lacking.take() {
            let message = format!(
                "Cannot insert NULL value into a column of type '{data_type}', which a row leaves out"
            );
            return Err(Error::new(codes::TYPE_MISMATCH, message));
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut parsed = ParsedRows { columns: vec![], present: vec![], rows };
        for slot in &mut self.slots {
            let array = slot.builder.finish()?;
            debug_assert_eq!(array.len(), rows);
            parsed.columns.push(Column::new(slot.builder.data_type.clone(), array));
            slot.filled = 0;
            parsed.present.push((!slot.absent.is_empty()).then(|| {
                let mut present = vec![true; rows];
                slot.absent.drain(..).for_each(|row| present[row as usize] = false);
                present
            }));
        }
        Ok(parsed)
    }
}
