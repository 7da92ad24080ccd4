//! Arithmetic on tuples and arrays, element by element: `(1, 2) + (3, 4)`, `[1, 2] - [3, 4]`,
//! `(1, 2) * 2`, `-(1, 2)`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ListArray, StructArray};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::arithmetic::Op;
use super::type_rule::Args;
use super::{Argument, ArgumentType, FunctionCall, ScalarFunction, call as run, lookup, resolve};
use crate::error::{Error, Result, codes};

fn function(name: &str) -> Result<Arc<dyn ScalarFunction>> {
    lookup(name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown function {name}")))
}

fn name_of(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Plus => "plus",
        Op::Minus => "minus",
        Op::Multiply => "multiply",
        Op::Divide => "divide",
        Op::IntDiv => "intDiv",
        Op::Modulo => "modulo",
        _ => return None,
    })
}

fn plain(data_type: &DataType) -> ArgumentType {
    ArgumentType { data_type: data_type.clone(), constant: None, lambda_arity: None }
}

/// The result type if tuples or arrays take part.
pub(super) fn arithmetic_type(op: Op, a: &Args) -> Result<Option<DataType>> {
    let Some(name) = name_of(op) else { return Ok(None) };
    let pair = |l: &DataType, r: &DataType| resolve(&function(name)?, &[plain(l), plain(r)]);
    Ok(Some(match (a.get(0), a.get(1)) {
        (DataType::Tuple(l), DataType::Tuple(r)) if l.len() == r.len() => {
            tuple_type(l.iter().zip(r).map(|(x, y)| pair(&x.data_type, &y.data_type)))?
        }
        (DataType::Tuple(l), r) if r.is_number() && !matches!(op, Op::Plus | Op::Minus) => {
            tuple_type(l.iter().map(|x| pair(&x.data_type, r)))?
        }
        (l, DataType::Tuple(r)) if l.is_number() && op == Op::Multiply => {
            tuple_type(r.iter().map(|y| pair(l, &y.data_type)))?
        }
        (DataType::Array(l), DataType::Array(r)) if matches!(op, Op::Plus | Op::Minus) => {
            DataType::array(pair(l, r)?)
        }
        (DataType::Array(l), r) if r.is_number() && !matches!(op, Op::Plus | Op::Minus) => {
            DataType::array(pair(l, r)?)
        }
        (l, DataType::Array(r)) if l.is_number() && op == Op::Multiply => {
            DataType::array(pair(l, r)?)
        }
        _ => return Ok(None),
    }))
}

fn tuple_type(elements: impl Iterator<Item = Result<DataType>>) -> Result<DataType> {
    let elements = elements
        .map(|t| Ok(TupleElement { name: None, data_type: t? }))
        .collect::<Result<Vec<_>>>()?;
    Ok(DataType::Tuple(elements))
}

/// The columns of a tuple column.
pub(super) fn elements(column: &Column) -> Vec<Column> {
    let DataType::Tuple(elements) = &column.data_type else { return vec![] };
    let array = column.array.as_struct();
    elements
        .iter()
        .enumerate()
        .map(|(i, e)| Column { data_type: e.data_type.clone(), array: array.column(i).clone() })
        .collect()
}

/// A tuple column (of the call's result type) of these columns.
pub(super) fn tuple_of(call: &FunctionCall, columns: Vec<Column>) -> Result<Column> {
    tuple_column(call.result, columns, call.rows)
}

pub(super) fn tuple_column(
    data_type: &DataType,
    columns: Vec<Column>,
    rows: usize,
) -> Result<Column> {
    let ArrowType::Struct(fields) = data_type.arrow() else {
        return Err(super::type_rule::illegal_column("a tuple lies as a struct"));
    };
    let arrays = columns.into_iter().map(|c| c.array).collect();
    let array = StructArray::try_new_with_length(fields, arrays, None, rows)
        .map_err(|e| super::type_rule::illegal_column(e.to_string()))?;
    Ok(Column { data_type: data_type.clone(), array: Arc::new(array) })
}

pub(super) fn arithmetic(op: Op, call: &FunctionCall) -> Result<Option<Column>> {
    let Some(name) = name_of(op) else { return Ok(None) };
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    match (l, r, call.result) {
        (DataType::Array(_), DataType::Array(_), DataType::Array(item)) => {
            arrays(name, item, call).map(Some)
        }
        (DataType::Array(_), _, DataType::Array(item)) => {
            array_and_scalar(name, item, call, 0).map(Some)
        }
        (_, DataType::Array(_), DataType::Array(item)) => {
            array_and_scalar(name, item, call, 1).map(Some)
        }
        (DataType::Tuple(_), _, DataType::Tuple(results))
        | (_, DataType::Tuple(_), DataType::Tuple(results)) => {
            let side = |i: usize| -> Result<Vec<Column>> {
                let column = call.column(i)?;
                Ok(match column.data_type {
                    DataType::Tuple(_) => elements(&column),
                    _ => vec![column; results.len()],
                })
            };
            let function = function(name)?;
            let columns = side(0)?
                .into_iter()
                .zip(side(1)?)
                .zip(results)
                .map(|((x, y), e)| {
                    let arguments = [Argument::Column(x), Argument::Column(y)];
                    run(&function, call.context, &arguments, &e.data_type, call.rows)
                })
                .collect::<Result<Vec<_>>>()?;
            tuple_of(call, columns).map(Some)
        }
        _ => Ok(None),
    }
}

/// The operation of every item of argument `index` and the other argument.
fn array_and_scalar(
    name: &str,
    item: &DataType,
    call: &FunctionCall,
    index: usize,
) -> Result<Column> {
    let array = super::lists::compact(&call.column(index)?);
    let list = array.array.as_list::<i32>();
    let rows = arrow_array::UInt32Array::from(super::lists::row_of_items(list.value_offsets()));
    let other = call.column(1 - index)?.take(&rows);
    let mut arguments = vec![super::lists::items(&array), other];
    if index == 1 {
        arguments.reverse();
    }
    let arguments: Vec<Argument> = arguments.into_iter().map(Argument::Column).collect();
    let count = list.values().len();
    let result = run(&function(name)?, call.context, &arguments, item, count)?;
    let field = super::lists::item_field(item);
    call.finish(Arc::new(ListArray::new(field, list.offsets().clone(), result.array, None)))
}

fn arrays(name: &str, item: &DataType, call: &FunctionCall) -> Result<Column> {
    let sides = [super::lists::compact(&call.column(0)?), super::lists::compact(&call.column(1)?)];
    let [a, b] = [&sides[0], &sides[1]].map(|c| c.array.as_list::<i32>());
    if a.value_offsets() != b.value_offsets() {
        return Err(Error::new(
            codes::SIZES_OF_ARRAYS_DONT_MATCH,
            format!("The argument arrays of function {name} must have equal sizes"),
        ));
    }
    let arguments =
        [super::lists::items(&sides[0]), super::lists::items(&sides[1])].map(Argument::Column);
    let rows = a.values().len();
    let result = run(&function(name)?, call.context, &arguments, item, rows)?;
    let field = super::lists::item_field(item);
    call.finish(Arc::new(ListArray::new(field, a.offsets().clone(), result.array, None)))
}

pub(super) fn unary_type(name: &str, a: &Args) -> Result<DataType> {
    let DataType::Tuple(elements) = a.get(0) else { return Err(a.illegal(0)) };
    let function = function(name)?;
    tuple_type(elements.iter().map(|e| resolve(&function, &[plain(&e.data_type)])))
}

pub(super) fn unary(name: &str, call: &FunctionCall) -> Result<Column> {
    let DataType::Tuple(results) = call.result else {
        return Err(super::type_rule::illegal_column("expected a tuple"));
    };
    let function = function(name)?;
    let columns = elements(&call.column(0)?)
        .into_iter()
        .zip(results)
        .map(|(x, e)| run(&function, call.context, &[Argument::Column(x)], &e.data_type, call.rows))
        .collect::<Result<Vec<_>>>()?;
    tuple_of(call, columns)
}
