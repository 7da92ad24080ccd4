//! Keys of fixed width as one word: the values of all key columns one behind the other, with a bit for
//! NULL behind each that may be one. All NaNs are one key. The hash tables (`key_table`) never look inside.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_data::ArrayData;
use pumphouse_storage::{Column, DataType};

use super::row_codec::{Shape, fixed_bytes, nulls_of};
use crate::error::{Error, Result, codes};

/// Bits of all keys together if all are of fixed width.
pub(super) fn packed_bits(shapes: &[Shape]) -> Option<usize> {
    shapes
        .iter()
        .map(|s| match s {
            Shape::Nullable(inner) => Some(inner.width()? * 8 + 1),
            other => Some(other.width()? * 8),
        })
        .sum()
}

/// A word that keys are packed into.
pub(super) trait Packed: Copy + Default {
    fn put(&mut self, value: u128, shift: usize);
    fn get(self, shift: usize) -> u128;
}

impl Packed for u64 {
    #[inline]
    fn put(&mut self, value: u128, shift: usize) {
        *self |= (value as u64) << shift;
    }
    #[inline]
    fn get(self, shift: usize) -> u128 {
        (self >> shift) as u128
    }
}

impl Packed for u128 {
    #[inline]
    fn put(&mut self, value: u128, shift: usize) {
        *self |= value << shift;
    }
    #[inline]
    fn get(self, shift: usize) -> u128 {
        self >> shift
    }
}

/// The keys of `rows` rows as one word each.
pub(super) fn pack<P: Packed>(shapes: &[Shape], columns: &[Column], rows: usize, out: &mut Vec<P>) {
    out.clear();
    out.resize(rows, P::default());
    let mut shift = 0;
    for (shape, column) in shapes.iter().zip(columns) {
        let array = column.array.as_ref();
        let (inner, nulls) = match shape {
            Shape::Nullable(inner) => (inner.as_ref(), array.nulls()),
            other => (other, None),
        };
        let width = inner.width().unwrap_or(0);
        pack_values(inner, array, nulls.filter(|n| n.null_count() > 0), shift, out);
        shift += width * 8;
        if matches!(shape, Shape::Nullable(_)) {
            if let Some(nulls) = nulls {
                for (row, word) in out.iter_mut().enumerate() {
                    word.put(nulls.is_null(row) as u128, shift);
                }
            }
            shift += 1;
        }
    }
}

fn pack_values<P: Packed>(
    shape: &Shape,
    array: &dyn Array,
    nulls: Option<&NullBuffer>,
    shift: usize,
    out: &mut [P],
) {
    use arrow_array::types::{Float32Type, Float64Type};
    let valid = |row: usize| nulls.is_none_or(|n| n.is_valid(row));
    macro_rules! words {
        ($native:ty) => {{
            let bytes = fixed_bytes(array);
            let values = bytes.as_chunks::<{ size_of::<$native>() }>().0;
            match nulls {
                None => {
                    for (word, v) in out.iter_mut().zip(values) {
                        word.put(<$native>::from_le_bytes(*v) as u128, shift);
                    }
                }
                Some(_) => {
                    for (row, (word, v)) in out.iter_mut().zip(values).enumerate() {
                        if valid(row) {
                            word.put(<$native>::from_le_bytes(*v) as u128, shift);
                        }
                    }
                }
            }
        }};
    }
    match shape {
        Shape::Float32 => {
            for (row, v) in array.as_primitive::<Float32Type>().values().iter().enumerate() {
                if valid(row) {
                    let v = if v.is_nan() { f32::NAN } else { *v };
                    out[row].put(v.to_bits() as u128, shift);
                }
            }
        }
        Shape::Float64 => {
            for (row, v) in array.as_primitive::<Float64Type>().values().iter().enumerate() {
                if valid(row) {
                    let v = if v.is_nan() { f64::NAN } else { *v };
                    out[row].put(v.to_bits() as u128, shift);
                }
            }
        }
        Shape::Fixed(1) => words!(u8),
        Shape::Fixed(2) => words!(u16),
        Shape::Fixed(4) => words!(u32),
        Shape::Fixed(8) => words!(u64),
        Shape::Fixed(16) => words!(u128),
        Shape::Fixed(width) => {
            let bytes = fixed_bytes(array);
            for (row, word) in out.iter_mut().enumerate() {
                if valid(row) {
                    let mut value = [0u8; 16];
                    value[..*width].copy_from_slice(&bytes[row * width..(row + 1) * width]);
                    word.put(u128::from_le_bytes(value), shift);
                }
            }
        }
        _ => {}
    }
}

/// The columns that [`pack`] made the words of.
pub(super) fn unpack<P: Packed>(
    types: &[DataType],
    shapes: &[Shape],
    keys: &[P],
) -> Result<Vec<Column>> {
    let mut shift = 0;
    let mut columns = Vec::with_capacity(types.len());
    for (data_type, shape) in types.iter().zip(shapes) {
        let (inner, nullable) = match shape {
            Shape::Nullable(inner) => (inner.as_ref(), true),
            other => (other, false),
        };
        let width = inner.width().unwrap_or(0);
        let buffer = unpack_values(keys, shift, width);
        shift += width * 8;
        let mut nulls = None;
        if nullable {
            let valid: Vec<bool> = keys.iter().map(|k| k.get(shift) & 1 == 0).collect();
            nulls = nulls_of(&valid);
            shift += 1;
        }
        let array = fixed_array(data_type, buffer, nulls, keys.len())?;
        columns.push(Column { data_type: data_type.clone(), array });
    }
    Ok(columns)
}

/// The values of `width` bytes at bit `shift` of every key.
fn unpack_values<P: Packed>(keys: &[P], shift: usize, width: usize) -> Buffer {
    macro_rules! words {
        ($native:ty) => {
            Buffer::from_vec(keys.iter().map(|k| k.get(shift) as $native).collect::<Vec<_>>())
        };
    }
    match width {
        1 => words!(u8),
        2 => words!(u16),
        4 => words!(u32),
        8 => words!(u64),
        _ => {
            let mut bytes = Vec::with_capacity(keys.len() * width);
            for key in keys {
                bytes.extend_from_slice(&key.get(shift).to_le_bytes()[..width]);
            }
            Buffer::from_vec(bytes)
        }
    }
}

/// An array of a fixed-width type from its little-endian bytes.
pub(crate) fn fixed_array(
    data_type: &DataType,
    bytes: Buffer,
    nulls: Option<NullBuffer>,
    rows: usize,
) -> Result<ArrayRef> {
    let data = ArrayData::builder(data_type.arrow())
        .len(rows)
        .add_buffer(bytes)
        .nulls(nulls)
        .align_buffers(true)
        .build()
        .map_err(|e| Error::new(codes::LOGICAL_ERROR, format!("cannot build a column: {e}")))?;
    Ok(arrow_array::make_array(data))
}
