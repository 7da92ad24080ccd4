//! Tuples: construction and access by position or name.

use arrow_array::Array;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::elementwise::{elements, tuple_of};
use super::gather::array_of;
use super::registry::Registry;
use super::type_rule::Args;
use super::{FunctionCall, lists};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("tuple", 0..=usize::MAX, tuple_type, tuple).own_types();
    r.add("tupleElement", 2..=3, element_type, element).own_types();
    r.add("tupleConcat", 1..=usize::MAX, concat_type, concat);
    r.add("tupleNames", 1..=1, names_type, names).own_nulls();
    r.add("tupleToNameValuePairs", 1..=1, pairs_type, pairs).own_nulls();
    for (name, function) in [
        ("tuplePlus", "plus"),
        ("tupleMinus", "minus"),
        ("tupleMultiply", "multiply"),
        ("tupleDivide", "divide"),
        ("tupleMultiplyByNumber", "multiply"),
        ("tupleDivideByNumber", "divide"),
    ] {
        r.add(
            name,
            2..=2,
            move |a| {
                a.require(0, |t| matches!(t, DataType::Tuple(_)))?;
                super::resolve(&other(function)?, a.items)
            },
            move |c| super::call(&other(function)?, c.context, c.arguments, c.result, c.rows),
        );
    }
}

fn other(name: &str) -> Result<std::sync::Arc<dyn super::ScalarFunction>> {
    super::lookup(name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown function {name}")))
}

fn tuple_type(a: &Args) -> Result<DataType> {
    Ok(DataType::Tuple(
        a.types().into_iter().map(|data_type| TupleElement { name: None, data_type }).collect(),
    ))
}

fn tuple(call: &FunctionCall) -> Result<Column> {
    let columns = (0..call.arguments.len()).map(|i| call.column(i)).collect::<Result<Vec<_>>>()?;
    tuple_of(call, columns)
}

/// Which element a position or a name means.
fn position(tuple: &[TupleElement], wanted: Option<&Value>) -> Option<usize> {
    match wanted? {
        Value::String(name) => {
            let name = String::from_utf8_lossy(name);
            tuple.iter().position(|e| e.name.as_deref() == Some(&name)).or_else(|| {
                // Unnamed elements are called by their number.
                let n: usize = name.parse().ok()?;
                (tuple.get(n.wrapping_sub(1))?.name.is_none()).then(|| n - 1)
            })
        }
        v => {
            let n = v.as_i128()?;
            let size = tuple.len() as i128;
            let index = if n < 0 { size + n } else { n - 1 };
            (0..size).contains(&index).then_some(index as usize)
        }
    }
}

fn element_type(a: &Args) -> Result<DataType> {
    if let (true, Some(Value::String(name))) = (a.get(0).inner().is_run_time(), a.constant(1)) {
        let name = String::from_utf8_lossy(name);
        let found = super::run_time::subcolumn_type(a.get(0), &name);
        return found.ok_or_else(|| missing(a.constant(1)));
    }
    if a.constant(1).is_none() || a.get(1).is_nullable() {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            "Second argument to tupleElement must be a constant UInt or String",
        ));
    }
    type_within(a, a.get(0))
}

fn type_within(a: &Args, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Named { argument, .. } => type_within(a, argument),
        DataType::Nullable(t) => type_within(a, t).map(|t| t.or_null()),
        DataType::Array(item) => Ok(DataType::array(type_within(a, item)?)),
        DataType::Map(..) => type_within(a, &lists::item_type(data_type)).map(DataType::array),
        DataType::Tuple(tuple) => match position(tuple, a.constant(1)) {
            Some(i) => Ok(tuple[i].data_type.clone()),
            None if a.len() == 3 => Ok(a.get(2).clone()),
            None => Err(missing(a.constant(1))),
        },
        _ => Err(a.illegal(0)),
    }
}

fn missing(wanted: Option<&Value>) -> Error {
    let name = wanted.map_or("?".into(), Value::to_sql);
    match wanted {
        Some(Value::String(_)) => {
            super::type_rule::bad_argument(format!("Tuple doesn't have element with name {name}"))
        }
        _ => Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            format!("Tuple doesn't have element with index {name}"),
        ),
    }
}

fn element(call: &FunctionCall) -> Result<Column> {
    let wanted = call.constant(1);
    if call.data_type(0)?.inner().is_run_time() {
        return super::run_time::get_subcolumn(call);
    }
    let column = within(&call.column(0)?, wanted.as_ref());
    match column {
        Some(column) => call.finish(column.array),
        None if call.arguments.len() == 3 => call.column(2),
        None => Err(missing(wanted.as_ref())),
    }
}

fn within(column: &Column, wanted: Option<&Value>) -> Option<Column> {
    match &column.data_type {
        DataType::Tuple(tuple) => {
            let index = position(tuple, wanted)?;
            Some(elements(column).swap_remove(index))
        }
        DataType::Named { argument, .. } => {
            let array = column.array.clone();
            within(&Column { data_type: (**argument).clone(), array }, wanted)
        }
        DataType::Nullable(t) => {
            let plain = super::invoke::without_nulls(column);
            let inner = within(&Column { data_type: (**t).clone(), ..plain }, wanted)?;
            Some(match column.array.nulls() {
                None => inner,
                Some(nulls) if inner.data_type.or_null().is_nullable() => {
                    super::invoke::mask(&inner, nulls)
                }
                Some(nulls) => super::invoke::default_at(&inner, nulls),
            })
        }
        DataType::Array(_) | DataType::Map(..) => {
            let array = array_of(column);
            let items = within(&array.items, wanted)?;
            Some(lists::array_column(array.offsets, items))
        }
        _ => None,
    }
}

fn concat_type(a: &Args) -> Result<DataType> {
    let mut all = vec![];
    for i in 0..a.len() {
        match a.get(i) {
            DataType::Tuple(elements) => all.extend(elements.iter().cloned()),
            _ => return Err(a.illegal(i)),
        }
    }
    all.iter_mut().for_each(|e| e.name = None);
    Ok(DataType::Tuple(all))
}

fn concat(call: &FunctionCall) -> Result<Column> {
    let mut columns = vec![];
    for i in 0..call.arguments.len() {
        columns.extend(elements(&call.column(i)?));
    }
    tuple_of(call, columns)
}

fn element_name(index: usize, element: &TupleElement) -> String {
    element.name.clone().unwrap_or_else(|| (index + 1).to_string())
}

fn names_type(a: &Args) -> Result<DataType> {
    a.require(0, |t| matches!(t.inner(), DataType::Tuple(_)))?;
    Ok(DataType::array(DataType::String))
}

fn names(call: &FunctionCall) -> Result<Column> {
    let DataType::Tuple(elements) = call.data_type(0)?.inner() else {
        return Err(super::type_rule::illegal_column("expected a tuple"));
    };
    let names = elements.iter().enumerate().map(|(i, e)| Value::string(element_name(i, e)));
    Ok(Column::constant(call.result.clone(), &Value::Array(names.collect()), call.rows)?)
}

fn pairs_type(a: &Args) -> Result<DataType> {
    let DataType::Tuple(elements) = a.get(0) else { return Err(a.illegal(0)) };
    let types: Vec<DataType> = elements.iter().map(|e| e.data_type.clone()).collect();
    let item = [DataType::String, super::promote::common_type(&types)?]
        .map(|data_type| TupleElement { name: None, data_type })
        .to_vec();
    Ok(DataType::array(DataType::Tuple(item)))
}

fn pairs(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let DataType::Tuple(tuple) = &column.data_type else {
        return Err(super::type_rule::illegal_column("expected a tuple"));
    };
    let columns = elements(&column);
    let rows: Vec<Value> = (0..call.rows)
        .map(|row| {
            Value::Array(
                columns
                    .iter()
                    .enumerate()
                    .map(|(i, c)| {
                        let name = Value::string(element_name(i, &tuple[i]));
                        Value::Tuple(vec![name, c.value(row)])
                    })
                    .collect(),
            )
        })
        .collect();
    Ok(Column::from_values(call.result.clone(), &rows)?)
}
