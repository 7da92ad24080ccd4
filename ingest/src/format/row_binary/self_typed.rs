//! Variant, Dynamic and JSON in RowBinary: a Variant is the number of its alternative (255: NULL) and the
//! value, a Dynamic its type in binary and the value, JSON a count of paths and per path its name and a
//! Dynamic, or a plain value if the path is declared.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::run_time::damaged;
use pumphouse_query::run_time::json::write_compact;
use pumphouse_query::text::{JsonOptions, style};
use pumphouse_storage::run_time::object::{Object, ObjectBuilder};
use pumphouse_storage::run_time::{
    column_of, declared_of, dynamic_of, open, open_dynamic, type_code, variant_of,
};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType, Value};

use super::{Read, Source, Stop, write_bytes, write_varint};
use crate::format::columns::{ColumnBuilder, Values};

/// The discriminator of NULL.
const NULL: u8 = 255;
const PATHS_MAX: usize = 100_000;

/// Appends a value whose type is, without what wraps it, Variant, Dynamic or JSON.
pub(super) fn write_value(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let DataType::Nullable(_) = dt {
        out.push(array.is_null(row) as u8);
        if array.is_null(row) {
            return Ok(());
        }
    }
    let own = match dt.inner() {
        DataType::Named { argument, .. } => argument.inner(),
        other => other,
    };
    let bytes = array.is_valid(row).then(|| array.as_binary::<i32>().value(row));
    match (own, bytes) {
        (DataType::Variant(_), None) => out.push(NULL),
        (DataType::Variant(_), Some(bytes)) => {
            let (t, payload) = open(own, bytes).ok_or_else(damaged)?;
            out.push(bytes[0]);
            payload_value(&t, payload, out)?;
        }
        (DataType::Json(_), bytes) if style::wants_json_texts() => {
            let (bytes, mut text) = (bytes.unwrap_or_default(), vec![]);
            write_compact(bytes, TimeZone::UTC, &JsonOptions::default(), &mut text);
            write_bytes(&text, out);
        }
        (DataType::Json(json), bytes) => {
            let object = Object::open(bytes.unwrap_or_default()).ok_or_else(damaged)?;
            write_varint(object.len() as u64, out);
            for (path, value) in object.iter() {
                write_bytes(path, out);
                let (t, payload) = open_dynamic(value).ok_or_else(damaged)?;
                if json.typed_path(&String::from_utf8_lossy(path)).is_none() {
                    type_code::put(&t, out);
                }
                payload_value(&t, payload, out)?;
            }
        }
        (_, None) => type_code::put(&DataType::Nothing, out),
        (_, Some(bytes)) => {
            let (t, payload) = open_dynamic(bytes).ok_or_else(damaged)?;
            type_code::put(&t, out);
            payload_value(&t, payload, out)?;
        }
    }
    Ok(())
}

fn payload_value(t: &DataType, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let column = column_of(t, std::iter::once(Some(payload)))?;
    super::write_value(t, column.array.as_ref(), 0, out)
}

/// Appends a Dynamic's type and the value at `row` of a column of that type.
pub(in crate::format) fn write_dynamic_bytes(
    t: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    type_code::put(t, out);
    super::write_value(t, array, row, out)
}

/// The Dynamic that bytes as those are.
pub(in crate::format) fn read_dynamic_bytes(bytes: &[u8]) -> Read<Option<Vec<u8>>> {
    let mut source = Source { bytes, at: 0 };
    match read_dynamic(&mut source)? {
        _ if source.at < bytes.len() => Err(bad("a value with its type, and nothing behind it")),
        (_, Value::Null) => Ok(None),
        (t, value) => Ok(dynamic_of(&t, &value)),
    }
}

fn bad(expected: &str) -> Stop {
    Stop::Bad(codes::INCORRECT_DATA, format!("expected {expected}"))
}

/// A type as its bytes say it.
pub(super) fn read_type(source: &mut Source) -> Read<DataType> {
    let mut rest = source.bytes.get(source.at..).unwrap_or_default();
    let before = rest.len();
    if rest.is_empty() {
        return Err(Stop::Cut);
    }
    let Some(t) = type_code::take(&mut rest) else {
        // A type is short: if there is much more, it is none.
        return Err(if before > 1 << 16 { bad("a type in binary") } else { Stop::Cut });
    };
    source.at += before - rest.len();
    Ok(t)
}

fn read_dynamic(source: &mut Source) -> Read<(DataType, Value)> {
    let t = read_type(source)?;
    if t == DataType::Nothing {
        return Ok((t, Value::Null));
    }
    let value = read_one(&t, source)?;
    Ok((t, value))
}

/// One value of a type, through a builder of its own.
fn read_one(t: &DataType, source: &mut Source) -> Read<Value> {
    let mut builder = ColumnBuilder::new(t, TimeZone::UTC);
    super::read_value(&mut builder, source)?;
    let whole = |e: Error| Stop::Bad(e.code(), e.to_string());
    let array = builder.finish().map_err(whole)?;
    Ok(Column::new(t.clone(), array).value(0))
}

/// Reads a value into a builder of such a type.
pub(super) fn read_value(builder: &mut ColumnBuilder, source: &mut Source) -> Read<()> {
    let Values::SelfTyped(_, data_type, _) = &builder.values else { return Ok(()) };
    let data_type = data_type.clone();
    if matches!(data_type, DataType::Json(_)) && builder.nullable && source.array()? != [0u8] {
        builder.push_null();
        return Ok(());
    }
    let value = match &data_type {
        DataType::Variant(types) => match source.array()? {
            [NULL] => Value::Null,
            [at] => {
                let t = types.get(at as usize).ok_or_else(|| bad("a Variant's alternative"))?;
                Value::String(variant_of(at as usize, t, &read_one(t, source)?))
            }
        },
        DataType::Json(json) => {
            let mut object = ObjectBuilder::new();
            let count = source.varint()?;
            if count > PATHS_MAX {
                return Err(bad("fewer paths in an object"));
            }
            for _ in 0..count {
                let path = source.string()?.to_vec();
                let declared = std::str::from_utf8(&path).ok().and_then(|p| json.typed_path(p));
                match declared {
                    Some(t) => {
                        let value = declared_of(t, &read_one(t, source)?);
                        object.push(path, value);
                    }
                    None => {
                        let (t, value) = read_dynamic(source)?;
                        if let Some(value) = dynamic_of(&t, &value) {
                            object.push(path, value);
                        }
                    }
                }
            }
            object.sort_and_drop_later();
            object.add_declared(json);
            Value::String(object.finish())
        }
        _ => {
            let (t, value) = read_dynamic(source)?;
            dynamic_of(&t, &value).map_or(Value::Null, Value::String)
        }
    };
    builder.push_value(&value).map_err(|e| Stop::Bad(e.code, e.message))
}
