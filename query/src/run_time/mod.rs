//! Variant, Dynamic and JSON in the engine: text to values and back ([`json`], [`text`], [`infer`]), and
//! columns of them taken apart by the types of their values and put together again.
//!
//! How such values lie in memory says [`pumphouse_storage::run_time`].

pub mod infer;
pub mod json;
#[cfg(test)]
mod tests;
pub mod text;

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt32Array};
use pumphouse_storage::run_time::{bytes_column, column_of, open, type_code, value_code};
use pumphouse_storage::{Column, DataType};

use crate::error::{Error, Result, codes};

/// Error 246: bytes that no writer wrote.
pub fn damaged() -> Error {
    Error::new(codes::CORRUPTED_DATA, "a value of a Variant, Dynamic or JSON column is damaged")
}

/// A column of values of one type as values of `to` (Variant or Dynamic), NULL staying NULL.
pub fn wrap(column: &Column, to: &DataType) -> Result<Column> {
    let own = column.data_type.without_low_cardinality().without_nullable();
    let mut head = vec![];
    match to {
        DataType::Variant(types) => {
            let at = types.iter().position(|t| *t == own);
            let all_null = own == DataType::Nothing;
            if at.is_none() && !all_null {
                return Err(Error::new(
                    codes::CANNOT_CONVERT_TYPE,
                    format!(
                        "Cannot convert type {own} to {to}. Conversion to Variant allowed only for types from this Variant"
                    ),
                ));
            }
            head.push(at.unwrap_or(0) as u8);
        }
        _ => type_code::put(&own, &mut head),
    }
    let mut bytes = vec![];
    let nothing = own == DataType::Nothing;
    let values: Vec<Option<Vec<u8>>> = (0..column.len())
        .map(|row| {
            if nothing || column.array.is_null(row) {
                return None;
            }
            bytes.clear();
            bytes.extend_from_slice(&head);
            value_code::put_row(&own, column.array.as_ref(), row, &mut bytes);
            Some(bytes.clone())
        })
        .collect();
    Ok(bytes_column(to.clone(), values.into_iter()))
}

/// Rows of one type in a Variant or Dynamic column.
pub struct Group {
    pub data_type: DataType,
    pub rows: Vec<u32>,
}

/// The rows by their types in order of appearance; NULLs belong to none.
pub fn groups(column: &Column) -> Result<Vec<Group>> {
    let own = column.data_type.inner();
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let mut heads: Vec<&[u8]> = vec![];
    let mut groups: Vec<Group> = vec![];
    for row in 0..array.len() {
        if array.is_null(row) {
            continue;
        }
        let bytes = array.value(row);
        // A type is known by its bytes, so that it is read once a group.
        let known = heads.iter().position(|head| bytes.starts_with(head));
        let at = match known {
            Some(at) => at,
            None => {
                let (data_type, rest) = open(own, bytes).ok_or_else(damaged)?;
                heads.push(&bytes[..bytes.len() - rest.len()]);
                groups.push(Group { data_type, rows: vec![] });
                groups.len() - 1
            }
        };
        groups[at].rows.push(row as u32);
    }
    Ok(groups)
}

/// The values of one group as a column of the group's type.
pub fn values_of(column: &Column, group: &Group) -> Result<Column> {
    let own = column.data_type.inner();
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let mut payloads = Vec::with_capacity(group.rows.len());
    for row in &group.rows {
        let (_, payload) = open(own, array.value(*row as usize)).ok_or_else(damaged)?;
        payloads.push(Some(payload));
    }
    Ok(column_of(&group.data_type, payloads.into_iter())?)
}

/// Columns of groups put back in the order of the rows; rows of no group are NULL (or the default of a
/// type that cannot be NULL).
pub fn scatter(parts: &[(Vec<u32>, Column)], result: &DataType, rows: usize) -> Result<Column> {
    let mut columns = vec![Column::default_values(result.clone(), 1)];
    let mut places = vec![0u32; rows];
    let mut next = 1;
    for (own, column) in parts {
        for row in own {
            places[*row as usize] = next;
            next += 1;
        }
        columns.push(Column { data_type: result.clone(), array: column.array.clone() });
    }
    let all = Column::concat(&columns)?;
    Ok(all.take(&UInt32Array::from(places)))
}

/// The value at `row` of a Variant or Dynamic as a column of one row and its own type; None for NULL.
pub fn own_value(data_type: &DataType, array: &dyn Array, row: usize) -> Option<Column> {
    let array = array.as_binary_opt::<i32>()?;
    if array.is_null(row) {
        return None;
    }
    let (own, payload) = open(data_type.inner(), array.value(row))?;
    column_of(&own, std::iter::once(Some(payload))).ok()
}

/// The type of the value at `row`; None for NULL.
pub fn type_at(column: &Column, row: usize) -> Option<DataType> {
    let array = column.array.as_binary_opt::<i32>()?;
    if array.is_null(row) {
        return None;
    }
    open(column.data_type.inner(), array.value(row)).map(|(t, _)| t)
}
