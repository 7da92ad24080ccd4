//! Functions over Variant, Dynamic and JSON: their types, elements, subcolumns and paths; and
//! ([`dispatch`]) how every other function takes them.

pub(super) mod dispatch;
mod paths;
mod results;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use pumphouse_storage::run_time::column_of;
use pumphouse_storage::run_time::subcolumn::{Subcolumn, element_type, elements, fill};
use pumphouse_storage::types::{EnumValues, parse_data_type};
use pumphouse_storage::{Column, DataType, Value};

use super::gather::array_of;
use super::registry::Registry;
use super::type_rule::Args;
use super::{FunctionCall, lists};
use crate::error::{Error, Result, codes};
use crate::run_time::{damaged, type_at};

pub(super) fn add(r: &mut Registry) {
    r.add("variantType", 1..=1, variant_type_type, variant_type_names).own_types();
    r.add("variantElement", 2..=3, variant_element_type, variant_element).own_types();
    r.add("dynamicType", 1..=1, dynamic_type_type, dynamic_type_names).own_types();
    r.add("dynamicElement", 2..=2, dynamic_element_type, element_call).own_types();
    r.add("isDynamicElementInSharedData", 1..=1, shared_type, paths::shared_flags).own_types();
    r.add("getSubcolumn", 2..=2, get_subcolumn_type, get_subcolumn).own_types();
    paths::add(r);
}

/// The Variant of these types: each once, in the order of names.
pub(crate) fn variant_type(mut types: Vec<DataType>) -> DataType {
    types.sort_by_cached_key(DataType::to_string);
    types.dedup();
    DataType::Variant(types)
}

fn illegal(a: &Args, expected: &str) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!(
            "First argument for function {} must be {expected}, got '{}' instead",
            a.function,
            a.get(0)
        ),
    )
}

/// `variantType` is an Enum of the alternatives.
fn variant_type_type(a: &Args) -> Result<DataType> {
    let DataType::Variant(types) = a.get(0).inner() else { return Err(illegal(a, "Variant")) };
    let mut values = vec![("None".to_string(), -1i16)];
    values.extend(types.iter().enumerate().map(|(i, t)| (t.to_string(), i as i16)));
    let values = Arc::new(EnumValues { values });
    Ok(if types.len() < 127 { DataType::Enum8(values) } else { DataType::Enum16(values) })
}

fn variant_type_names(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let number = |row: usize| match array.is_null(row) {
        true => -1,
        false => array.value(row).first().map_or(-1, |n| *n as i64),
    };
    let values: Vec<Value> = (0..array.len()).map(|row| Value::Int(number(row))).collect();
    Ok(Column::from_values(call.result.clone(), &values)?)
}

fn dynamic_type_type(a: &Args) -> Result<DataType> {
    match a.get(0).inner() {
        DataType::Dynamic { .. } => Ok(DataType::LowCardinality(Box::new(DataType::String))),
        _ => Err(illegal(a, "Dynamic")),
    }
}

fn dynamic_type_names(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let values: Vec<Value> = (0..column.len())
        .map(|row| {
            Value::string(type_at(&column, row).map_or("None".to_string(), |t| t.to_string()))
        })
        .collect();
    Ok(Column::from_values(call.result.clone(), &values)?)
}

fn shared_type(a: &Args) -> Result<DataType> {
    match a.get(0).inner() {
        DataType::Dynamic { .. } => Ok(DataType::Bool),
        _ => Err(illegal(a, "Dynamic")),
    }
}

/// The type that a constant argument names.
fn named_type(a: &Args) -> Result<DataType> {
    let Some(Value::String(name)) = a.constant(1) else {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Second argument to {} with type name must be a constant String", a.function),
        ));
    };
    Ok(parse_data_type(&String::from_utf8_lossy(name))?)
}

fn variant_element_type(a: &Args) -> Result<DataType> {
    let wanted = named_type(a)?;
    within(a.get(0), &|t| match t {
        DataType::Variant(types) if types.contains(&wanted) => Ok(element_type(&wanted)),
        DataType::Variant(_) if a.len() == 3 => Ok(a.get(2).clone()),
        DataType::Variant(_) => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("{t} doesn't contain variant with type {wanted}"),
        )),
        _ => Err(illegal(a, "Variant or Array of Variant")),
    })
}

/// `rule` of what is inside arrays.
fn within(data_type: &DataType, rule: &dyn Fn(&DataType) -> Result<DataType>) -> Result<DataType> {
    match data_type.without_low_cardinality() {
        DataType::Array(item) => Ok(DataType::array(within(item, rule)?)),
        other => rule(other.inner()),
    }
}

fn variant_element(call: &FunctionCall) -> Result<Column> {
    let text = call.constant_text(1).unwrap_or_default();
    let wanted = parse_data_type(&text)?;
    let column = call.column(0)?;
    if call.arguments.len() == 3
        && let DataType::Variant(types) = column.data_type.inner()
        && !types.contains(&wanted)
    {
        return call.column(2);
    }
    let found = element_within(&column, &wanted, call.result)?;
    call.finish(found.array)
}

fn dynamic_element_type(a: &Args) -> Result<DataType> {
    let wanted = named_type(a)?;
    within(a.get(0), &|t| match t {
        DataType::Dynamic { .. } => Ok(element_type(&wanted)),
        _ => Err(illegal(a, "Dynamic or Array of Dynamic")),
    })
}

fn element_call(call: &FunctionCall) -> Result<Column> {
    let wanted = parse_data_type(&call.constant_text(1).unwrap_or_default())?;
    let found = element_within(&call.column(0)?, &wanted, call.result)?;
    call.finish(found.array)
}

/// The values of type `wanted`, inside arrays too.
fn element_within(column: &Column, wanted: &DataType, result: &DataType) -> Result<Column> {
    if let (DataType::Array(_), DataType::Array(item)) = (&column.data_type, result) {
        let array = array_of(column);
        let items = element_within(&array.items, wanted, item)?;
        return Ok(lists::array_column(array.offsets, items));
    }
    element_of(column, wanted, result)
}

/// The values of one type of a Variant or Dynamic column; NULL or the default elsewhere.
pub(crate) fn element_of(column: &Column, wanted: &DataType, result: &DataType) -> Result<Column> {
    let own = column.data_type.inner();
    let array = column.array.as_binary_opt::<i32>().ok_or_else(damaged)?;
    let rows = (0..array.len()).map(|row| array.is_valid(row).then(|| array.value(row)));
    if let DataType::Variant(types) = own {
        let at = types.iter().position(|t| t == wanted).map(|at| at as u8);
        let payloads = rows.map(|v| {
            let (number, rest) = v?.split_first()?;
            (Some(*number) == at).then_some(rest)
        });
        return Ok(fill(column_of(wanted, payloads)?, result)?);
    }
    Ok(elements(wanted, result, rows)?)
}

/// The type of the subcolumn that `name` means of `data_type`; None if there is none such.
pub(crate) fn subcolumn_type(data_type: &DataType, name: &str) -> Option<DataType> {
    match data_type.without_low_cardinality() {
        DataType::Json(json) => Some(Subcolumn::parse(name)?.data_type(json)),
        DataType::Nullable(t) if matches!(**t, DataType::Json(_)) => subcolumn_type(t, name),
        DataType::Variant(types) => {
            let wanted = parse_data_type(name).ok()?;
            types.contains(&wanted).then(|| element_type(&wanted))
        }
        DataType::Named { argument, .. } => subcolumn_type(argument, name),
        DataType::Dynamic { .. } => Some(element_type(&parse_data_type(name).ok()?)),
        DataType::Array(item) => subcolumn_type(item, name).map(DataType::array),
        _ => None,
    }
}

fn get_subcolumn_type(a: &Args) -> Result<DataType> {
    let name = match a.constant(1) {
        Some(Value::String(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => {
            return Err(Error::new(
                codes::ILLEGAL_COLUMN,
                "The second argument of function getSubcolumn should be a constant string with the name of a subcolumn",
            ));
        }
    };
    subcolumn_type(a.get(0), &name).ok_or_else(|| {
        Error::new(
            codes::ILLEGAL_COLUMN,
            format!("There is no subcolumn {name} in type {}", a.get(0)),
        )
    })
}

pub(super) fn get_subcolumn(call: &FunctionCall) -> Result<Column> {
    let name = call.constant_text(1).unwrap_or_default();
    let array = subcolumn_array(&call.column(0)?, &name, call.result)?;
    call.finish(array)
}

fn subcolumn_array(column: &Column, name: &str, result: &DataType) -> Result<ArrayRef> {
    if let (DataType::Array(_), DataType::Array(item)) = (&column.data_type, result) {
        let array = array_of(column);
        let items = subcolumn_array(&array.items, name, item)?;
        let items = Column { data_type: (**item).clone(), array: items };
        return Ok(lists::array_column(array.offsets, items).array);
    }
    match column.data_type.inner() {
        DataType::Json(_) => {
            let wanted = Subcolumn::parse(name).ok_or_else(damaged)?;
            Ok(wanted.of_column(column)?.array)
        }
        _ => Ok(element_of(column, &parse_data_type(name)?, result)?.array),
    }
}
