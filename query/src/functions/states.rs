//! Aggregate functions called as scalar ones: arrayReduce, initializeAggregation, finalizeAggregation.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::array::item_of;
use super::lists;
use super::registry::Registry;
use super::type_rule::bad_argument;
use crate::aggregates::{AggregateFunction, lookup};
use crate::error::{Error, Result, codes};
use crate::sql::ast::ExprKind;

pub(super) fn add(r: &mut Registry) {
    r.add(
        "arrayReduce",
        2..=usize::MAX,
        |a| {
            let items = (1..a.len()).map(|i| item_of(a, i)).collect::<Result<Vec<_>>>()?;
            if items.contains(&DataType::Nothing) {
                return Err(a.illegal(1));
            }
            Ok(named(&a.constant_text(0)?, &items)?.return_type())
        },
        array_reduce,
    )
    .own_nulls();
    r.add(
        "initializeAggregation",
        2..=usize::MAX,
        |a| {
            let types: Vec<DataType> = a.types()[1..].to_vec();
            Ok(named(&a.constant_text(0)?, &types)?.return_type())
        },
        initialize,
    )
    .own_nulls();
    r.add(
        "finalizeAggregation",
        1..=1,
        |a| match a.get(0) {
            DataType::AggregateFunction { .. } => Ok(of_state(a.get(0))?.return_type()),
            _ => Err(a.illegal(0)),
        },
        finalize,
    )
    .own_nulls();
}

/// `quantile(0.9)`: the function with its parameters, over these argument types.
fn named(text: &str, arguments: &[DataType]) -> Result<Arc<dyn AggregateFunction>> {
    let parsed = crate::sql::parse_expression(text)?;
    let (name, parameters) = match parsed.kind {
        ExprKind::Identifier(parts) if parts.len() == 1 => (parts[0].clone(), vec![]),
        ExprKind::Call(call) => {
            let parameters = call
                .arguments
                .iter()
                .map(|a| match &a.kind {
                    ExprKind::Literal { value, .. } => Ok(value.clone()),
                    _ => Err(bad_argument("Parameters of aggregate functions must be literals")),
                })
                .collect::<Result<Vec<Value>>>()?;
            (call.name, parameters)
        }
        _ => return Err(bad_argument(format!("{text} is no aggregate function"))),
    };
    if !crate::aggregates::is_aggregate(&name) {
        return Err(Error::new(
            codes::UNKNOWN_AGGREGATE_FUNCTION,
            format!("Unknown aggregate function {name}"),
        ));
    }
    lookup(&name, &parameters, arguments)
}

fn of_state(data_type: &DataType) -> Result<Arc<dyn AggregateFunction>> {
    match data_type {
        DataType::AggregateFunction { name, parameters, arguments } => {
            lookup(name, parameters, arguments)
        }
        other => Err(super::type_rule::illegal_column(format!("{other} is no aggregate state"))),
    }
}

fn array_reduce(call: &FunctionCall) -> Result<Column> {
    let arrays = (1..call.arguments.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    if arrays.iter().any(|a| a.offsets != arrays[0].offsets) {
        return Err(super::array::sizes_differ("arrayReduce"));
    }
    let items: Vec<Column> = arrays.iter().map(|a| a.items.clone()).collect();
    let types: Vec<DataType> = items.iter().map(|c| c.data_type.clone()).collect();
    let function = named(&call.constant_text(0).unwrap_or_default(), &types)?;
    let mut states = function.accumulator();
    states.resize(call.rows);
    states.update(&lists::row_of_items(&arrays[0].offsets), &items)?;
    call.finish(states.finish()?.array)
}

fn initialize(call: &FunctionCall) -> Result<Column> {
    let columns = (1..call.arguments.len()).map(|i| call.column(i)).collect::<Result<Vec<_>>>()?;
    let types: Vec<DataType> = columns.iter().map(|c| c.data_type.clone()).collect();
    let function = named(&call.constant_text(0).unwrap_or_default(), &types)?;
    let mut states = function.accumulator();
    states.resize(call.rows);
    states.update(&(0..call.rows as u32).collect::<Vec<_>>(), &columns)?;
    call.finish(states.finish()?.array)
}

fn finalize(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let function = of_state(&column.data_type)?;
    let mut states = function.accumulator();
    states.resize(call.rows);
    states.merge_serialized(&(0..call.rows as u32).collect::<Vec<_>>(), &column)?;
    call.finish(states.finish()?.array)
}
