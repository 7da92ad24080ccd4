//! Rows as bytes and back: equal rows have equal bytes (all NaNs are one value), for grouping keys
//! of any type, DISTINCT, sets, join keys and the elements inside aggregate states.
//!
//! Not ordered (that is `sort_key`). Decoding checks its input: states come from disk.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, ListArray, StructArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType};

use crate::error::{Error, Result, codes};

/// How values of a type lie in a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Fixed(usize),
    Float32,
    Float64,
    Bytes,
    List(Box<Shape>),
    Struct(Vec<Shape>),
    /// One byte (1 = NULL), then the value if it is not NULL.
    Nullable(Box<Shape>),
}

impl Shape {
    pub fn of(data_type: &DataType) -> Shape {
        use DataType::*;
        match data_type {
            Nullable(t) => match Shape::of(t) {
                already @ Shape::Nullable(_) => already,
                inner => Shape::Nullable(Box::new(inner)),
            },
            LowCardinality(t) => Shape::of(t),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
                Shape::of(argument)
            }
            // NULL is a value of theirs that no wrapper tells of.
            Variant(_) | Dynamic { .. } => Shape::Nullable(Box::new(Shape::Bytes)),
            Json(_) => Shape::Bytes,
            Nothing | UInt8 | Bool | Int8 | Enum8(_) => Shape::Fixed(1),
            UInt16 | Date | Int16 | Enum16(_) => Shape::Fixed(2),
            UInt32 | DateTime(_) | Ipv4 | Int32 | Date32 | Time => Shape::Fixed(4),
            UInt64 | Int64 | DateTime64(..) | Interval(_) | Time64(_) => Shape::Fixed(8),
            UInt128 | Int128 | Uuid | Ipv6 => Shape::Fixed(16),
            UInt256 | Int256 => Shape::Fixed(32),
            Float32 | BFloat16 => Shape::Float32,
            Float64 => Shape::Float64,
            Decimal { precision, .. } => Shape::Fixed(match precision {
                0..=9 => 4,
                10..=18 => 8,
                19..=38 => 16,
                _ => 32,
            }),
            FixedString(n) => Shape::Fixed(*n),
            String | AggregateFunction { .. } => Shape::Bytes,
            Array(t) => Shape::List(Box::new(Shape::of(t))),
            Tuple(elements) => {
                Shape::Struct(elements.iter().map(|e| Shape::of(&e.data_type)).collect())
            }
            Map(k, v) => Shape::List(Box::new(Shape::Struct(vec![Shape::of(k), Shape::of(v)]))),
        }
    }

    /// Bytes of every value if that is fixed.
    pub fn width(&self) -> Option<usize> {
        match self {
            Shape::Fixed(n) => Some(*n),
            Shape::Float32 => Some(4),
            Shape::Float64 => Some(8),
            _ => None,
        }
    }
}

/// Reads one array as rows.
pub(crate) enum Encoder<'a> {
    Fixed { bytes: &'a [u8], width: usize },
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Bytes(&'a BinaryArray),
    List { offsets: &'a [i32], items: Box<Encoder<'a>> },
    Struct(Vec<Encoder<'a>>),
    Nullable { nulls: Option<&'a NullBuffer>, inner: Box<Encoder<'a>> },
}

impl<'a> Encoder<'a> {
    pub fn new(shape: &Shape, array: &'a dyn Array) -> Encoder<'a> {
        match shape {
            Shape::Nullable(inner) => Encoder::Nullable {
                nulls: array.nulls().filter(|n| n.null_count() > 0),
                inner: Box::new(Encoder::new(inner, array)),
            },
            Shape::Float32 => {
                Encoder::Float32(array.as_primitive::<arrow_array::types::Float32Type>().values())
            }
            Shape::Float64 => {
                Encoder::Float64(array.as_primitive::<arrow_array::types::Float64Type>().values())
            }
            Shape::Fixed(width) => Encoder::Fixed { bytes: fixed_bytes(array), width: *width },
            Shape::Bytes => Encoder::Bytes(array.as_binary::<i32>()),
            Shape::List(item) => {
                let list = array.as_list::<i32>();
                Encoder::List {
                    offsets: list.value_offsets(),
                    items: Box::new(Encoder::new(item, list.values().as_ref())),
                }
            }
            Shape::Struct(shapes) => {
                let fields = array.as_struct();
                Encoder::Struct(
                    shapes
                        .iter()
                        .enumerate()
                        .map(|(i, s)| Encoder::new(s, fields.column(i).as_ref()))
                        .collect(),
                )
            }
        }
    }

    pub fn is_null(&self, row: usize) -> bool {
        matches!(self, Encoder::Nullable { nulls: Some(n), .. } if n.is_null(row))
    }

    /// Appends row `row`.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Encoder::Fixed { bytes, width } => {
                out.extend_from_slice(&bytes[row * width..(row + 1) * width]);
            }
            Encoder::Float32(v) => {
                let v = if v[row].is_nan() { f32::NAN } else { v[row] };
                out.extend_from_slice(&v.to_le_bytes());
            }
            Encoder::Float64(v) => {
                let v = if v[row].is_nan() { f64::NAN } else { v[row] };
                out.extend_from_slice(&v.to_le_bytes());
            }
            Encoder::Bytes(array) => {
                let value = array.value(row);
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
            Encoder::List { offsets, items } => {
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                out.extend_from_slice(&((to - from) as u32).to_le_bytes());
                for item in from..to {
                    items.write(item, out);
                }
            }
            Encoder::Struct(fields) => {
                for field in fields {
                    field.write(row, out);
                }
            }
            Encoder::Nullable { inner, .. } => {
                let null = self.is_null(row);
                out.push(null as u8);
                if !null {
                    inner.write(row, out);
                }
            }
        }
    }
}

/// The values of a fixed-width array, offset applied.
pub(crate) fn fixed_bytes(array: &dyn Array) -> &[u8] {
    use arrow_array::types::*;
    macro_rules! native {
        ($t:ty) => {
            array.as_primitive::<$t>().values().inner().as_slice()
        };
    }
    match array.data_type() {
        ArrowType::UInt8 => native!(UInt8Type),
        ArrowType::UInt16 => native!(UInt16Type),
        ArrowType::UInt32 => native!(UInt32Type),
        ArrowType::UInt64 => native!(UInt64Type),
        ArrowType::Int8 => native!(Int8Type),
        ArrowType::Int16 => native!(Int16Type),
        ArrowType::Int32 => native!(Int32Type),
        ArrowType::Int64 => native!(Int64Type),
        ArrowType::Float32 => native!(Float32Type),
        ArrowType::Float64 => native!(Float64Type),
        ArrowType::Decimal128(..) => native!(Decimal128Type),
        ArrowType::Decimal256(..) => native!(Decimal256Type),
        _ => {
            let array = array.as_fixed_size_binary();
            let width = array.value_length() as usize;
            let from = array.offset() * width;
            // `values()` of a sliced array starts at its first row already in newer arrow versions.
            let values = array.values().as_slice();
            if values.len() == array.len() * width {
                values
            } else {
                &values[from..from + array.len() * width]
            }
        }
    }
}

/// Rows of several columns: encodes and decodes.
#[derive(Debug, Clone)]
pub(crate) struct RowCodec {
    types: Vec<DataType>,
    shapes: Vec<Shape>,
}

/// Encoded rows, one after the other; row `i` is `data[ends[i - 1]..ends[i]]`.
#[derive(Default)]
pub(crate) struct Rows {
    pub data: Vec<u8>,
    pub ends: Vec<usize>,
}

impl Rows {
    pub fn push(&mut self, row: &[u8]) {
        self.data.extend_from_slice(row);
        self.ends.push(self.data.len());
    }

    pub fn row(&self, i: usize) -> &[u8] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.data[from..self.ends[i]]
    }
}

impl RowCodec {
    pub fn new(types: &[DataType]) -> RowCodec {
        RowCodec { types: types.to_vec(), shapes: types.iter().map(Shape::of).collect() }
    }

    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    pub fn encoders<'a>(&self, columns: &'a [Column]) -> Vec<Encoder<'a>> {
        self.shapes.iter().zip(columns).map(|(s, c)| Encoder::new(s, c.array.as_ref())).collect()
    }

    pub fn encode(&self, columns: &[Column], rows: usize) -> Rows {
        let encoders = self.encoders(columns);
        let mut out = Rows { data: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
        for row in 0..rows {
            for encoder in &encoders {
                encoder.write(row, &mut out.data);
            }
            out.ends.push(out.data.len());
        }
        out
    }

    /// The columns of these rows.
    pub fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Column>> {
        let mut decoders: Vec<Decoder> = self.shapes.iter().map(Decoder::new).collect();
        for mut row in rows {
            for decoder in &mut decoders {
                decoder.read(&mut row)?;
            }
        }
        self.types
            .iter()
            .zip(decoders)
            .map(|(t, d)| Ok(Column { data_type: t.clone(), array: d.finish(&t.arrow())? }))
            .collect()
    }
}

/// Builds one array from rows.
pub(crate) enum Decoder {
    Fixed { width: usize, data: Vec<u8>, rows: usize },
    Bytes { offsets: Vec<i32>, data: Vec<u8> },
    List { offsets: Vec<i32>, items: Box<Decoder> },
    Struct { fields: Vec<Decoder>, rows: usize },
    Nullable { valid: Vec<bool>, inner: Box<Decoder> },
}

fn cut<'a>(input: &mut &'a [u8], bytes: usize) -> Result<&'a [u8]> {
    if input.len() < bytes {
        return Err(Error::new(codes::CANNOT_READ_ALL_DATA, "Cannot read all data: row is cut"));
    }
    let (head, tail) = input.split_at(bytes);
    *input = tail;
    Ok(head)
}

fn length(input: &mut &[u8]) -> Result<usize> {
    let bytes = cut(input, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

fn too_long() -> Error {
    Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "a column would pass 2 GiB in one block")
}

fn damaged(e: impl std::fmt::Display) -> Error {
    Error::new(codes::LOGICAL_ERROR, format!("cannot build a column: {e}"))
}

impl Decoder {
    pub fn new(shape: &Shape) -> Decoder {
        match shape {
            Shape::Fixed(_) | Shape::Float32 | Shape::Float64 => {
                Decoder::Fixed { width: shape.width().unwrap_or(0), data: vec![], rows: 0 }
            }
            Shape::Bytes => Decoder::Bytes { offsets: vec![0], data: vec![] },
            Shape::List(item) => {
                Decoder::List { offsets: vec![0], items: Box::new(Decoder::new(item)) }
            }
            Shape::Struct(fields) => {
                Decoder::Struct { fields: fields.iter().map(Decoder::new).collect(), rows: 0 }
            }
            Shape::Nullable(inner) => {
                Decoder::Nullable { valid: vec![], inner: Box::new(Decoder::new(inner)) }
            }
        }
    }

    /// Takes one value off the front of `input`.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<()> {
        match self {
            Decoder::Fixed { width, data, rows } => {
                data.extend_from_slice(cut(input, *width)?);
                *rows += 1;
            }
            Decoder::Bytes { offsets, data } => {
                let bytes = length(input)?;
                data.extend_from_slice(cut(input, bytes)?);
                offsets.push(i32::try_from(data.len()).map_err(|_| too_long())?);
            }
            Decoder::List { offsets, items } => {
                let count = length(input)?;
                for _ in 0..count {
                    items.read(input)?;
                }
                let end = *offsets.last().unwrap_or(&0) as usize + count;
                offsets.push(i32::try_from(end).map_err(|_| too_long())?);
            }
            Decoder::Struct { fields, rows } => {
                for field in fields {
                    field.read(input)?;
                }
                *rows += 1;
            }
            Decoder::Nullable { valid, inner } => {
                let null = cut(input, 1)?[0] != 0;
                valid.push(!null);
                if null {
                    inner.push_default();
                } else {
                    inner.read(input)?;
                }
            }
        }
        Ok(())
    }

    fn push_default(&mut self) {
        match self {
            Decoder::Fixed { width, data, rows } => {
                data.resize(data.len() + *width, 0);
                *rows += 1;
            }
            Decoder::Bytes { offsets, .. } | Decoder::List { offsets, .. } => {
                offsets.push(*offsets.last().unwrap_or(&0));
            }
            Decoder::Struct { fields, rows } => {
                fields.iter_mut().for_each(Decoder::push_default);
                *rows += 1;
            }
            Decoder::Nullable { valid, inner } => {
                valid.push(false);
                inner.push_default();
            }
        }
    }

    fn finish_with(self, to: &ArrowType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        Ok(match self {
            Decoder::Nullable { valid, inner } => {
                let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
                inner.finish_with(to, nulls)?
            }
            Decoder::Fixed { width, data, rows } => match to {
                ArrowType::FixedSizeBinary(n) => Arc::new(
                    FixedSizeBinaryArray::try_new_with_len(*n, data.into(), nulls, rows)
                        .map_err(damaged)?,
                ),
                to => {
                    debug_assert_eq!(to.primitive_width(), Some(width));
                    let data = ArrayData::builder(to.clone())
                        .len(rows)
                        .add_buffer(Buffer::from_vec(data))
                        .nulls(nulls)
                        .align_buffers(true)
                        .build()
                        .map_err(damaged)?;
                    arrow_array::make_array(data)
                }
            },
            Decoder::Bytes { offsets, data } => Arc::new(
                BinaryArray::try_new(OffsetBuffer::new(offsets.into()), data.into(), nulls)
                    .map_err(damaged)?,
            ),
            Decoder::List { offsets, items } => {
                let ArrowType::List(field) = to else { return Err(damaged("not a list")) };
                let items = items.finish(field.data_type())?;
                Arc::new(
                    ListArray::try_new(
                        field.clone(),
                        OffsetBuffer::new(offsets.into()),
                        items,
                        nulls,
                    )
                    .map_err(damaged)?,
                )
            }
            Decoder::Struct { fields, rows } => {
                let ArrowType::Struct(to) = to else { return Err(damaged("not a tuple")) };
                let columns = fields
                    .into_iter()
                    .zip(to.iter())
                    .map(|(d, f)| d.finish(f.data_type()))
                    .collect::<Result<Vec<_>>>()?;
                Arc::new(
                    StructArray::try_new_with_length(to.clone(), columns, nulls, rows)
                        .map_err(damaged)?,
                )
            }
        })
    }

    pub fn finish(self, to: &ArrowType) -> Result<ArrayRef> {
        self.finish_with(to, None)
    }
}

/// A null buffer from a list of valid flags; None if all are valid.
pub(crate) fn nulls_of(valid: &[bool]) -> Option<NullBuffer> {
    valid
        .contains(&false)
        .then(|| NullBuffer::new(BooleanBuffer::collect_bool(valid.len(), |i| valid[i])))
}
