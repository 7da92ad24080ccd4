//! Rows of a column in another order.
//!
//! Strings, which most bytes are, are copied into memory of the right size at once, short ones in one move of
//! a fixed length; all else is Arrow's `take`. The one `unsafe` block is a hint to the processor; the tests hold
//! the result against `take`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, UInt32Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::encode::number_buffer;
use super::layout::Layout;
use crate::block::Column;

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;
/// So many rows before a string is copied it is fetched.
const AHEAD: usize = 24;

/// The rows of `column` that `order` names.
pub(crate) fn gather(column: &Column, order: &UInt32Array) -> Column {
    let strings = match Layout::of(&column.data_type) {
        Layout::Strings if column.array.null_count() == 0 && order.null_count() == 0 => {
            gather_strings(column.array.as_binary(), order.values())
        }
        _ => None,
    };
    match strings {
        Some(strings) => Column { data_type: column.data_type.clone(), array: Arc::new(strings) },
        None => column.take(order),
    }
}

/// Whether all rows are the same: numbers without NULLs, or empty strings. Columns that nobody fills are.
pub(crate) fn is_constant(column: &Column) -> bool {
    if column.array.null_count() > 0 {
        return false;
    }
    match Layout::of(&column.data_type) {
        Layout::Number { width, .. } => {
            let words = number_buffer(column.array.as_ref());
            // Each word against the one before, as one comparison of bytes.
            words.len() <= width || words[..words.len() - width] == words[width..]
        }
        Layout::Strings => {
            let offsets = column.array.as_binary::<i32>().value_offsets();
            offsets.first() == offsets.last()
        }
        _ => false,
    }
}

/// None if they take more than offsets reach.
fn gather_strings(strings: &BinaryArray, order: &[u32]) -> Option<BinaryArray> {
    let (offsets, data) = (strings.value_offsets(), strings.value_data());
    let extent = |row: &u32| {
        let row = *row as usize;
        (offsets[row] as usize, offsets[row + 1] as usize)
    };
    let average = (offsets[strings.len()] - offsets[0]) as usize / strings.len().max(1);
    let mut gathered: Vec<u8> = Vec::with_capacity((average + 1) * order.len() + SHORT);
    let mut ends: Vec<i32> = Vec::with_capacity(order.len() + 1);
    ends.push(0);
    for (i, row) in order.iter().enumerate() {
        // They lie all over the column: where they are, and then both their ends, is asked for long before.
        if let Some(row) = order.get(i + 2 * AHEAD) {
            fetch(offsets, *row as usize);
        }
        if let Some(row) = order.get(i + AHEAD) {
            let (from, to) = extent(row);
            fetch(data, from);
            fetch(data, to.wrapping_sub(1));
        }
        let (from, to) = extent(row);
        match data.get(from..from + SHORT).and_then(|d| d.first_chunk::<SHORT>()) {
            Some(wide) if to - from <= SHORT => {
                let end = gathered.len() + to - from;
                gathered.extend_from_slice(wide);
                gathered.truncate(end);
            }
            _ => gathered.extend_from_slice(&data[from..to]),
        }
        ends.push(i32::try_from(gathered.len()).ok()?);
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
    BinaryArray::try_new(ends, Buffer::from_vec(gathered), None).ok()
}

/// Asks for the memory of a value that is read soon, if there is such a value.
#[inline(always)]
fn fetch<T>(values: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint of the baseline's instruction set, which reads nothing; the value is there anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DataType, Value};

    #[test]
    fn strings_as_take_gives_them() {
        let texts: Vec<Value> =
            (0..100usize).map(|n| Value::String(vec![n as u8; n * 7 % 71])).collect();
        for (data_type, values) in [
            (DataType::String, texts.clone()),
            (DataType::nullable(DataType::String), [texts, vec![Value::Null]].concat()),
        ] {
            let column = Column::from_values(data_type, &values).unwrap();
            let rows = values.len() as u32;
            let order: UInt32Array = (0..500u32).map(|i| i * 37 % rows).collect::<Vec<_>>().into();
            for column in [column.clone(), column.slice(40, 60)] {
                let order: UInt32Array = order
                    .values()
                    .iter()
                    .map(|r| r % column.len() as u32)
                    .collect::<Vec<_>>()
                    .into();
                let (ours, theirs) = (gather(&column, &order), column.take(&order));
                assert!((0..500).all(|row| ours.value(row) == theirs.value(row)));
                assert_eq!(ours.len(), 500);
            }
        }
    }
}
