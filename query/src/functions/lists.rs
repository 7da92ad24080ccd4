//! List arrays: items, offsets and how they are put together.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{Field, FieldRef};
use pumphouse_storage::{Column, DataType};

/// The Arrow field of an array's items.
pub(super) fn item_field(item: &DataType) -> FieldRef {
    Arc::new(Field::new("item", item.arrow(), item.is_nullable()))
}

/// The type of an array's or map's items (a map's are `Tuple(keys, values)`).
pub(super) fn item_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(item) => (**item).clone(),
        DataType::Map(k, v) => DataType::Tuple(
            [("keys", k), ("values", v)]
                .map(|(name, t)| pumphouse_storage::types::TupleElement {
                    name: Some(name.into()),
                    data_type: (**t).clone(),
                })
                .to_vec(),
        ),
        other => other.clone(),
    }
}

/// The same rows with offsets from 0 and no unused items.
pub(super) fn compact(column: &Column) -> Column {
    let list = column.array.as_list::<i32>();
    let offsets = list.value_offsets();
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    if first == 0 && last as usize == list.values().len() && list.nulls().is_none() {
        return column.clone();
    }
    let moved: Vec<i32> = offsets.iter().map(|o| o - first).collect();
    let items = list.values().slice(first as usize, (last - first) as usize);
    let arrow_schema::DataType::List(field) = column.array.data_type() else {
        return column.clone();
    };
    let array = ListArray::new(field.clone(), offset_buffer(moved), items, None);
    Column { data_type: column.data_type.clone(), array: Arc::new(array) }
}

/// Offsets must rise and start at 0.
pub(super) fn offset_buffer(offsets: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

/// All items, one after the other (of a `compact` column).
pub(super) fn items(column: &Column) -> Column {
    let list = column.array.as_list::<i32>();
    Column { data_type: item_type(&column.data_type), array: list.values().clone() }
}

/// Offsets of a list column.
pub(super) fn offsets(column: &Column) -> &[i32] {
    column.array.as_list::<i32>().value_offsets()
}

/// A list array from its parts.
pub(super) fn list(item: &DataType, offsets: Vec<i32>, items: ArrayRef) -> ArrayRef {
    Arc::new(ListArray::new(item_field(item), offset_buffer(offsets), items, None))
}

/// A column of `Array(item)`.
pub(super) fn array_column(offsets: Vec<i32>, items: Column) -> Column {
    let array = list(&items.data_type, offsets, items.array);
    Column { data_type: DataType::array(items.data_type), array }
}

/// For every item the row it belongs to.
pub(super) fn row_of_items(offsets: &[i32]) -> Vec<u32> {
    let mut rows = Vec::with_capacity((offsets[offsets.len() - 1] - offsets[0]) as usize);
    for (row, pair) in offsets.windows(2).enumerate() {
        rows.extend(std::iter::repeat_n(row as u32, (pair[1] - pair[0]) as usize));
    }
    rows
}
