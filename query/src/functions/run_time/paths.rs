//! The paths of JSON objects: all of them, and which of them lie apart and which together.
//!
//! Of a column's rows the first paths, up to the type's limit, count as dynamic ones and the others as
//! shared, in the order in which rows bring them. The same holds for the types of a Dynamic.

use std::collections::HashSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::run_time::object::Object;
use pumphouse_storage::run_time::{open_dynamic, split_dynamic};
use pumphouse_storage::types::{JsonType, TYPES_MAX_DEFAULT};
use pumphouse_storage::{Column, DataType, Value};

use super::super::FunctionCall;
use super::super::registry::Registry;
use super::super::type_rule::Args;
use crate::error::{Error, Result, codes};
use crate::run_time::damaged;

#[derive(Clone, Copy, PartialEq)]
enum Which {
    All,
    Dynamic,
    Shared,
}

pub(super) fn add(r: &mut Registry) {
    for (name, typed_name, which) in [
        ("JSONAllPaths", "JSONAllPathsWithTypes", Which::All),
        ("JSONDynamicPaths", "JSONDynamicPathsWithTypes", Which::Dynamic),
        ("JSONSharedDataPaths", "JSONSharedDataPathsWithTypes", Which::Shared),
    ] {
        r.add(
            name,
            1..=1,
            |a| object_only(a).map(|()| DataType::array(DataType::String)),
            move |c| paths(c, which, false),
        );
        r.add(
            typed_name,
            1..=1,
            |a| {
                object_only(a)?;
                Ok(DataType::Map(Box::new(DataType::String), Box::new(DataType::String)))
            },
            move |c| paths(c, which, true),
        );
    }
}

fn object_only(a: &Args) -> Result<()> {
    match a.get(0) {
        DataType::Json(_) => Ok(()),
        t => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Function {} requires argument with type JSON, got: {t}", a.function),
        )),
    }
}

fn paths(call: &FunctionCall, which: Which, with_types: bool) -> Result<Column> {
    let column = call.column(0)?;
    let DataType::Json(json) = column.data_type.inner() else { return Err(damaged()) };
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let mut dynamic: HashSet<Vec<u8>> = HashSet::new();
    let mut rows = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        let object = match array.is_null(row) {
            true => Object::open(&[]),
            false => Object::open(array.value(row)),
        };
        let object = object.ok_or_else(damaged)?;
        let mut found = vec![];
        for (path, value) in object.iter() {
            let kind = kind_of(json, path, &mut dynamic);
            if which == Which::All || kind == Some(which) {
                let name = Value::string(path);
                let type_name = match with_types {
                    true => {
                        let (t, _) = open_dynamic(value).ok_or_else(damaged)?;
                        Value::string(t.to_string())
                    }
                    false => Value::Null,
                };
                found.push((name, type_name));
            }
        }
        rows.push(match with_types {
            true => Value::Map(found),
            false => Value::Array(found.into_iter().map(|(name, _)| name).collect()),
        });
    }
    Ok(Column::from_values(call.result.clone(), &rows)?)
}

/// Whether a path counts as dynamic or shared; None if it is declared.
fn kind_of(json: &JsonType, path: &[u8], dynamic: &mut HashSet<Vec<u8>>) -> Option<Which> {
    if json.typed_path(&String::from_utf8_lossy(path)).is_some() {
        return None;
    }
    if dynamic.contains(path) {
        return Some(Which::Dynamic);
    }
    if (dynamic.len() as u64) < json.paths_max() {
        dynamic.insert(path.to_vec());
        return Some(Which::Dynamic);
    }
    Some(Which::Shared)
}

/// `isDynamicElementInSharedData`.
pub(super) fn shared_flags(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let DataType::Dynamic { types_max } = column.data_type.inner() else { return Err(damaged()) };
    let limit = types_max.map_or(TYPES_MAX_DEFAULT, u64::from);
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let mut own: HashSet<&[u8]> = HashSet::new();
    let mut flags = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        let shared = match array.is_valid(row) {
            true => {
                let (code, _) = split_dynamic(array.value(row)).ok_or_else(damaged)?;
                let known = own.contains(code);
                if !known && (own.len() as u64) < limit {
                    own.insert(code);
                    false
                } else {
                    !known
                }
            }
            false => false,
        };
        flags.push(u8::from(shared));
    }
    call.finish_numbers(flags)
}
