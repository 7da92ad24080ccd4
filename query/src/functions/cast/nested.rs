//! Conversions of arrays, tuples and maps, part by part.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::super::elementwise::{elements, tuple_column};
use super::super::lists;
use super::{Mode, OnFailure, convert as convert_any, unsupported};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};

pub(super) fn convert(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    use DataType::*;
    // Parts fail as a whole, so a part never becomes NULL on its own.
    let mode = match mode.failure {
        OnFailure::Throw => mode,
        _ => Mode { failure: OnFailure::Throw, ..mode },
    };
    match (&column.data_type, to) {
        (Array(_), Array(item)) => {
            let column = lists::compact(column);
            let items = convert_any(&lists::items(&column), item, mode, context)?;
            Ok(lists::list(item, lists::offsets(&column).to_vec(), items.array))
        }
        (Tuple(from), Tuple(target)) => tuples(column, from, target, to, mode, context),
        (Map(..), Map(k, v)) => map_entries(column, k, v, to, mode, context),
        (Array(item), Map(k, v)) if matches!(&**item, Tuple(e) if e.len() == 2) => {
            map_entries(column, k, v, to, mode, context)
        }
        (Map(..), Array(item)) => {
            let column = lists::compact(column);
            let items = convert_any(&lists::items(&column), item, mode, context)?;
            Ok(lists::list(item, lists::offsets(&column).to_vec(), items.array))
        }
        (Tuple(from), Map(k, v)) if from.len() == 2 => {
            let parts = elements(column);
            two_arrays(&parts[0], &parts[1], k, v, to, mode, context)
        }
        _ => Err(unsupported(&column.data_type, to)),
    }
}

fn tuples(
    column: &Column,
    from: &[TupleElement],
    target: &[TupleElement],
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let parts = elements(column);
    let named = from.iter().all(|e| e.name.is_some())
        && target.iter().all(|e| e.name.is_some())
        && !from.is_empty();
    let rows = column.len();
    if !named && from.len() != target.len() {
        return Err(Error::new(
            codes::CANNOT_CONVERT_TYPE,
            "CAST AS Tuple can be performed only between tuple types with the same number of elements",
        ));
    }
    let columns = target
        .iter()
        .enumerate()
        .map(|(i, e)| {
            let source = if named { from.iter().position(|f| f.name == e.name) } else { Some(i) };
            match source {
                Some(i) => convert_any(&parts[i], &e.data_type, mode, context),
                None => Ok(Column::default_values(e.data_type.clone(), rows)),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(tuple_column(to, columns, rows)?.array)
}

/// A list of pairs as a map.
fn map_entries(
    column: &Column,
    k: &DataType,
    v: &DataType,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let column = lists::compact(column);
    let pairs = elements(&lists::items(&column));
    let [keys, values] = &pairs[..] else { return Err(unsupported(&column.data_type, to)) };
    let keys = convert_any(keys, k, mode, context)?;
    let values = convert_any(values, v, mode, context)?;
    map_array(to, lists::offsets(&column).to_vec(), keys, values)
}

fn two_arrays(
    keys: &Column,
    values: &Column,
    k: &DataType,
    v: &DataType,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let (DataType::Array(_), DataType::Array(_)) = (&keys.data_type, &values.data_type) else {
        return Err(unsupported(&keys.data_type, to));
    };
    let (keys, values) = (lists::compact(keys), lists::compact(values));
    if lists::offsets(&keys) != lists::offsets(&values) {
        return Err(Error::new(
            codes::TYPE_MISMATCH,
            "CAST AS Map from tuple of arrays requires arrays of equal sizes",
        ));
    }
    let offsets = lists::offsets(&keys).to_vec();
    let key_items = convert_any(&lists::items(&keys), k, mode, context)?;
    let value_items = convert_any(&lists::items(&values), v, mode, context)?;
    map_array(to, offsets, key_items, value_items)
}

/// A map array from its parts.
pub(in super::super) fn map_array(
    to: &DataType,
    offsets: Vec<i32>,
    keys: Column,
    values: Column,
) -> Result<ArrayRef> {
    let ArrowType::List(field) = to.arrow() else { return Err(unsupported(&keys.data_type, to)) };
    let ArrowType::Struct(fields) = field.data_type().clone() else {
        return Err(unsupported(&keys.data_type, to));
    };
    let rows = keys.len();
    let entries =
        StructArray::try_new_with_length(fields, vec![keys.array, values.array], None, rows)
            .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
    Ok(Arc::new(ListArray::new(field, lists::offset_buffer(offsets), Arc::new(entries), None)))
}
