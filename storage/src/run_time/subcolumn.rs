//! What of a JSON column is asked for: the value at a path, the same if it has a certain type, or the
//! object below a path. Written behind the column's name as ClickHouse writes it: `a.b`, ``a.b.:`Int64` ``,
//! ``^`a.b` ``. Parts read these without the rest of the column; [`Subcolumn::of_column`] takes them out of
//! a column in memory.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;

use super::object::{self, Object};
use super::{column_of, damaged, open_dynamic, type_code};
use crate::block::{Column, default_value};
use crate::error::Result;
use crate::types::{DataType, JsonType, parse_data_type};

/// A part of a JSON column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subcolumn {
    /// What stands at a path: of its declared type, else a Dynamic.
    Path(Vec<u8>),
    /// The value at a path if it is of this type.
    Typed(Vec<u8>, DataType),
    /// The object below a path.
    Below(Vec<u8>),
}

impl Subcolumn {
    /// The subcolumn that `text` names; None if it is no name of one.
    pub fn parse(text: &str) -> Option<Subcolumn> {
        if let Some(path) = text.strip_prefix('^') {
            let path = path.strip_prefix('`').and_then(|p| p.strip_suffix('`')).unwrap_or(path);
            return Some(Subcolumn::Below(path.as_bytes().to_vec()));
        }
        if let Some(rest) = text.strip_suffix('`')
            && let Some((path, name)) = rest.rsplit_once(".:`")
        {
            let data_type = parse_data_type(name).ok()?;
            return Some(Subcolumn::Typed(path.as_bytes().to_vec(), data_type));
        }
        (!text.is_empty()).then(|| Subcolumn::Path(text.as_bytes().to_vec()))
    }

    /// The text that [`parse`](Self::parse) reads.
    pub fn text(&self) -> String {
        match self {
            Subcolumn::Path(path) => String::from_utf8_lossy(path).into_owned(),
            Subcolumn::Typed(path, t) => format!("{}.:`{t}`", String::from_utf8_lossy(path)),
            Subcolumn::Below(path) => format!("^`{}`", String::from_utf8_lossy(path)),
        }
    }

    pub fn path(&self) -> &[u8] {
        match self {
            Subcolumn::Path(path) | Subcolumn::Typed(path, _) | Subcolumn::Below(path) => path,
        }
    }

    /// The type of this part of a column that is declared so.
    pub fn data_type(&self, json: &JsonType) -> DataType {
        match self {
            Subcolumn::Path(path) => match json.typed_path(&String::from_utf8_lossy(path)) {
                Some(declared) => declared.clone(),
                None => DataType::Dynamic {
                    types_max: json.types_max.map(|n| n.min(u8::MAX as u64) as u8),
                },
            },
            Subcolumn::Typed(_, t) => element_type(t),
            Subcolumn::Below(path) => {
                DataType::Json(Arc::new(json.below(&String::from_utf8_lossy(path))))
            }
        }
    }

    /// This part of a column in memory, which is JSON or Nullable of that.
    pub fn of_column(&self, column: &Column) -> Result<Column> {
        let DataType::Json(json) = column.data_type.inner() else { return Err(damaged()) };
        let rows = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
        let object = |row: usize| match rows.is_null(row) {
            true => Object::open(&[]),
            false => Object::open(rows.value(row)),
        };
        let data_type = self.data_type(json);
        match self {
            Subcolumn::Below(path) => {
                let DataType::Json(below) = &data_type else { return Err(damaged()) };
                let mut builder = BinaryBuilder::new();
                let mut bytes = vec![];
                for row in 0..rows.len() {
                    bytes.clear();
                    match rows.is_null(row) {
                        true => bytes = object::empty(below),
                        false => object(row).ok_or_else(damaged)?.put_below(path, &mut bytes),
                    }
                    builder.append_value(&bytes);
                }
                Ok(Column { data_type, array: Arc::new(builder.finish()) })
            }
            Subcolumn::Path(path) if matches!(data_type, DataType::Dynamic { .. }) => {
                let mut builder = BinaryBuilder::new();
                for row in 0..rows.len() {
                    builder.append_option(object(row).ok_or_else(damaged)?.find(path));
                }
                Ok(Column { data_type, array: Arc::new(builder.finish()) })
            }
            Subcolumn::Path(path) | Subcolumn::Typed(path, _) => {
                let wanted = match self {
                    Subcolumn::Typed(_, t) => t,
                    _ => &data_type,
                };
                let mut found = vec![];
                for row in 0..rows.len() {
                    found.push(object(row).ok_or_else(damaged)?.find(path));
                }
                elements(wanted, &data_type, found.into_iter())
            }
        }
    }
}

/// The type of an element of a Variant, Dynamic or JSON: Nullable if it can be.
pub fn element_type(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Array(_) | Map(..) | Json(_) | Variant(_) | Dynamic { .. } => data_type.clone(),
        Named { argument, .. } => match **argument {
            Array(_) | Variant(_) => data_type.clone(),
            _ => DataType::nullable(data_type.clone()),
        },
        AggregateFunction { .. } => data_type.clone(),
        LowCardinality(t) if !t.is_nullable() => {
            LowCardinality(Box::new(DataType::nullable((**t).clone())))
        }
        other => DataType::nullable(other.clone()),
    }
}

/// Dynamics as a column of those of type `wanted`; NULL, or the default of `result`, elsewhere.
pub fn elements<'b>(
    wanted: &DataType,
    result: &DataType,
    values: impl Iterator<Item = Option<&'b [u8]>>,
) -> Result<Column> {
    let mut code = vec![];
    type_code::put(wanted, &mut code);
    let own = values.map(|v| v.and_then(|v| v.strip_prefix(&code[..])));
    fill(column_of(wanted, own)?, result)
}

/// A column whose bitmap says where it has no value, as a column of `result`, which may have no NULL.
pub fn fill(column: Column, result: &DataType) -> Result<Column> {
    if result.is_nullable() || column.array.null_count() == 0 {
        return Ok(Column { data_type: result.clone(), array: column.array });
    }
    let filler = Column::from_values(result.clone(), &[default_value(result)])?;
    let both = Column::concat(&[
        filler,
        Column { data_type: result.clone(), array: column.array.clone() },
    ])?;
    let places: arrow_array::UInt32Array = (0..column.len() as u32)
        .map(|row| if column.array.is_null(row as usize) { 0 } else { row + 1 })
        .collect::<Vec<_>>()
        .into();
    let taken = both.take(&places);
    let data = taken.array.to_data().into_builder().nulls(None).build();
    let data = data.map_err(|e| crate::error::Error::Column(e.to_string()))?;
    Ok(Column { data_type: result.clone(), array: arrow_array::make_array(data) })
}

/// The type of a Dynamic's bytes.
pub fn type_of(bytes: &[u8]) -> Option<DataType> {
    open_dynamic(bytes).map(|(t, _)| t)
}
