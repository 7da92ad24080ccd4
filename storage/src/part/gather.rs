//! Rows of a column in another order.
//!
//! Strings, which most bytes are, are copied into memory of the right size at once, short ones in one move of
//! a fixed length; all else is Arrow's `take`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, UInt32Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::layout::Layout;
use crate::block::Column;

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;
/// Rows whose strings are fetched before they are copied.
const AHEAD: usize = 32;

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

/// None if they take more than offsets reach.
fn gather_strings(strings: &BinaryArray, order: &[u32]) -> Option<BinaryArray> {
    let (offsets, data) = (strings.value_offsets(), strings.value_data());
    let extent = |row: &u32| {
        let row = *row as usize;
        (offsets[row] as usize, offsets[row + 1] as usize)
    };
    let total: usize = order.iter().map(extent).map(|(from, to)| to - from).sum();
    if total > i32::MAX as usize {
        return None;
    }
    let mut gathered: Vec<u8> = Vec::with_capacity(total + SHORT);
    let mut ends: Vec<i32> = Vec::with_capacity(order.len() + 1);
    ends.push(0);
    let mut extents = [(0, 0); AHEAD];
    for rows in order.chunks(AHEAD) {
        // All over the column: the first bytes of several are fetched at once, not one after the other.
        let mut touched = 0;
        for (slot, row) in extents.iter_mut().zip(rows) {
            *slot = extent(row);
            touched ^= data.get(slot.0).copied().unwrap_or(0);
        }
        std::hint::black_box(touched);
        for (from, to) in extents.iter().take(rows.len()) {
            let (from, to) = (*from, *to);
            match data.get(from..from + SHORT).and_then(|d| d.first_chunk::<SHORT>()) {
                Some(wide) if to - from <= SHORT => {
                    let end = gathered.len() + to - from;
                    gathered.extend_from_slice(wide);
                    gathered.truncate(end);
                }
                _ => gathered.extend_from_slice(&data[from..to]),
            }
            ends.push(gathered.len() as i32);
        }
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
    BinaryArray::try_new(ends, Buffer::from_vec(gathered), None).ok()
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
