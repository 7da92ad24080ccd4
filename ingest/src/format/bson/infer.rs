//! The columns that BSON documents have.

use pumphouse_query::error::{Error, Result};
use pumphouse_query::text::TextResult;
use pumphouse_storage::DataType;
use pumphouse_storage::types::{TimeZone, TupleElement};

use super::read::{Field, document, next_field};
use super::*;

/// CANNOT_EXTRACT_TABLE_STRUCTURE
const NO_STRUCTURE: u32 = 636;

/// Names and types of the first documents; what only NULL or nothing was seen of has none.
pub fn infer(bytes: &[u8], rows_max: usize) -> Result<Vec<(String, DataType)>> {
    let failed = |message: String| {
        let whole = format!(
            "The table structure cannot be extracted from a BSONEachRow format file: {message}"
        );
        Error::new(NO_STRUCTURE, whole)
    };
    let mut found: Vec<(String, Option<DataType>)> = vec![];
    let mut at = 0;
    for _ in 0..rows_max {
        let mut fields = match document(bytes, at).map_err(|e| failed(e.message))? {
            Some(fields) => fields,
            None => break,
        };
        at += fields.len() + DOCUMENT_BYTES_MIN;
        while let Some(field) = next_field(&mut fields).map_err(|e| failed(e.message))? {
            let name = String::from_utf8_lossy(field.name).into_owned();
            let data_type = of_field(&field, 0).map_err(|e| failed(e.message))?;
            match found.iter_mut().find(|(n, _)| *n == name) {
                None => found.push((name, data_type)),
                Some((_, known)) => match (known.take(), data_type) {
                    (Some(a), Some(b)) if a != b => {
                        let common = common(a.clone(), b.clone());
                        *known = Some(common.ok_or_else(|| {
                            failed(format!("column '{name}' is {a} in one row and {b} in another"))
                        })?);
                    }
                    (a, b) => *known = a.or(b),
                },
            }
        }
    }
    let column = |(name, data_type): (String, Option<DataType>)| match data_type {
        Some(data_type) => Ok((name, data_type)),
        None => Err(failed(format!("Cannot determine type for column '{name}'"))),
    };
    found.into_iter().map(column).collect()
}

fn common(a: DataType, b: DataType) -> Option<DataType> {
    use DataType as T;
    match (a.without_nullable(), b.without_nullable()) {
        (T::Int32 | T::Int64, T::Int32 | T::Int64) => Some(T::nullable(T::Int64)),
        (T::Array(a), T::Array(b)) => Some(T::array(common(*a, *b)?)),
        (a, b) if a == b => Some(a),
        _ => None,
    }
}

/// None: nothing is said.
fn of_field(field: &Field<'_>, depth: usize) -> TextResult<Option<DataType>> {
    use DataType as T;
    if depth > DEPTH_MAX {
        return Ok(None);
    }
    let plain = match field.kind {
        DOUBLE => T::Float64,
        BOOL => T::Bool,
        INT32 => T::Int32,
        INT64 => T::Int64,
        DATE_TIME => T::DateTime64(6, Some(TimeZone::UTC)),
        BINARY if matches!(field.body.get(4), Some(&UUID | &UUID_OLD)) => T::Uuid,
        STRING | CODE | SYMBOL | OBJECT_ID | BINARY => T::String,
        DOCUMENT | ARRAY => return of_fields(field, depth),
        _ => return Ok(None),
    };
    Ok(Some(T::nullable(plain)))
}

fn of_fields(field: &Field<'_>, depth: usize) -> TextResult<Option<DataType>> {
    use DataType as T;
    let (mut fields, mut types) = (document(field.body, 0)?.unwrap_or_default(), vec![]);
    while let Some(field) = next_field(&mut fields)? {
        let Some(data_type) = of_field(&field, depth + 1)? else { return Ok(None) };
        types.push((String::from_utf8_lossy(field.name).into_owned(), data_type));
    }
    let Some((_, first)) = types.first().cloned() else { return Ok(None) };
    let one = types.iter().all(|(_, t)| *t == first);
    Ok(Some(match (field.kind, one) {
        (ARRAY, true) => T::array(first),
        (_, true) => T::Map(Box::new(T::String), Box::new(first)),
        (kind, false) => T::Tuple(
            types
                .into_iter()
                .map(|(name, data_type)| TupleElement {
                    name: (kind == DOCUMENT).then_some(name),
                    data_type,
                })
                .collect(),
        ),
    }))
}
