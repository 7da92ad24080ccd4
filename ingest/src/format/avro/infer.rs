//! The columns that a container file's schema has.

use std::sync::Arc;

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::types::{EnumValues, TupleElement};

use super::super::{InputColumn, ParseError};
use super::broken;
use super::container::read_schema;
use super::schema::{Id, Kind, Schema};

const DEPTH_MAX: usize = 64;

/// A column for each field of the rows' record.
pub fn infer(bytes: &[u8]) -> Result<Vec<InputColumn>> {
    let columns = || -> std::result::Result<Vec<InputColumn>, ParseError> {
        let schema = read_schema(bytes)?;
        let Kind::Record(fields) = schema.kind(schema.root()) else {
            return Err(broken("Root schema must be a record"));
        };
        let column = |(name, id): &(String, Id)| {
            Ok(InputColumn { name: name.clone(), data_type: of_node(&schema, *id, 0)? })
        };
        fields.iter().map(column).collect()
    };
    columns().map_err(|e: ParseError| Error::new(e.code, e.message))
}

fn of_node(schema: &Schema, id: Id, depth: usize) -> std::result::Result<DataType, ParseError> {
    use DataType as T;
    if depth > DEPTH_MAX {
        return Err(broken("a schema that is too deep"));
    }
    let node = schema.node(id);
    let decimal = || {
        let (precision, scale) = (node.precision, node.scale);
        let fits = (1..=76).contains(&precision) && scale <= precision;
        let data_type = T::Decimal { precision: precision as u8, scale: scale as u8 };
        (node.logical == "decimal" && fits).then_some(data_type)
    };
    Ok(match (&node.kind, node.logical.as_str()) {
        (Kind::Null, _) => T::nullable(T::Nothing),
        (Kind::Boolean, _) => T::Bool,
        (Kind::Int, "date") => T::Date32,
        (Kind::Int, _) => T::Int32,
        (Kind::Long, "timestamp-millis") => T::DateTime64(3, None),
        (Kind::Long, "timestamp-micros") => T::DateTime64(6, None),
        (Kind::Long, _) => T::Int64,
        (Kind::Float, _) => T::Float32,
        (Kind::Double, _) => T::Float64,
        (Kind::String, "uuid") => T::Uuid,
        (Kind::Bytes | Kind::String, _) => decimal().unwrap_or(T::String),
        (Kind::Fixed(size), _) => decimal().unwrap_or(match size {
            0 => T::String,
            size => T::FixedString(*size),
        }),
        (Kind::Enum(symbols), _) => {
            let values = symbols.iter().enumerate().map(|(i, s)| (s.clone(), i as i16));
            let values = Arc::new(EnumValues { values: values.take(1 << 15).collect() });
            if symbols.len() < 128 { T::Enum8(values) } else { T::Enum16(values) }
        }
        (Kind::Array(item), _) => T::array(of_node(schema, *item, depth + 1)?),
        (Kind::Map(value), _) => {
            T::Map(Box::new(T::String), Box::new(of_node(schema, *value, depth + 1)?))
        }
        (Kind::Record(fields), _) => {
            let element = |(name, id): &(String, Id)| {
                let data_type = of_node(schema, *id, depth + 1)?;
                Ok(TupleElement { name: Some(name.clone()), data_type })
            };
            T::Tuple(fields.iter().map(element).collect::<std::result::Result<_, ParseError>>()?)
        }
        (Kind::Union(branches), _) => {
            let is_null = |id: &&Id| *schema.kind(**id) == Kind::Null;
            let mut values = branches.iter().filter(|id| !is_null(id));
            match (values.next(), values.next()) {
                (None, _) => T::nullable(T::Nothing),
                (Some(one), None) => {
                    let inner = of_node(schema, *one, depth + 1)?;
                    match inner {
                        T::Array(_) | T::Map(..) | T::Tuple(_) => inner,
                        other if branches.iter().any(|id| is_null(&id)) => T::nullable(other),
                        other => other,
                    }
                }
                _ => return Err(broken("unions of several types are not supported")),
            }
        }
    })
}
