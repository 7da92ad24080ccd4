//! Calls with a Variant or Dynamic argument: the rows are grouped by the types of their values, the
//! function runs over each group as if its column had that type, and the results come together again.
//!
//! The result is Dynamic for Dynamic arguments unless the function is known to give one type
//! ([`results`](super::results)); for a Variant it is Nullable of the one type that its alternatives
//! give, or the Variant of them. A value that the function does not take is an error, NULL stays NULL.

use std::sync::Arc;

use arrow_array::UInt32Array;
use pumphouse_storage::{Column, DataType};

use super::super::cast::cast_column;
use super::super::invoke::{call, resolve};
use super::super::{Argument, ArgumentType, ScalarFunction};
use super::results::{AS_FOR_STRING, RESULTS};
use crate::context::QueryContext;
use crate::error::Result;
use crate::run_time::{groups, scatter, values_of};

/// Functions that see such values as they are.
const SEEING: &[&str] = &[
    "JSONAllPaths",
    "JSONAllPathsWithTypes",
    "array",
    "assumeNotNull",
    "coalesce",
    "dynamicElement",
    "dynamicType",
    "getSubcolumn",
    "if",
    "ifNull",
    "ignore",
    "isDistinctFrom",
    "isDynamicElementInSharedData",
    "isNotDistinctFrom",
    "map",
    "materialize",
    "multiIf",
    "variantElement",
    "variantType",
];

fn is_self_typed(data_type: &DataType) -> bool {
    match data_type.without_low_cardinality() {
        DataType::Variant(_) | DataType::Dynamic { .. } => true,
        DataType::Nullable(t) => is_self_typed(t),
        _ => false,
    }
}

/// Whether this call is for [`resolve_by_types`] and [`call_by_types`].
pub(in super::super) fn applies<'t>(
    function: &Arc<dyn ScalarFunction>,
    types: impl Iterator<Item = &'t DataType>,
) -> bool {
    // What arrayMap's lambda yields is an element of its result.
    let skipped = usize::from(function.name() == "arrayMap");
    types.skip(skipped).any(is_self_typed) && !SEEING.contains(&function.name())
}

/// Whether the function reads JSON text and gets the text of an object of a JSON column instead.
pub(in super::super) fn reads_text(function: &Arc<dyn ScalarFunction>, first: &DataType) -> bool {
    let name = function.name();
    matches!(first, DataType::Json(_))
        && !name.contains("Paths")
        && (name.starts_with("JSON") || name == "isValidJSON")
}

/// The result type of a call that [`applies`].
pub(in super::super) fn resolve_by_types(
    function: &Arc<dyn ScalarFunction>,
    arguments: &[ArgumentType],
) -> Result<DataType> {
    let dynamic = |t: &DataType| matches!(t.inner(), DataType::Dynamic { .. });
    if arguments.iter().any(|a| dynamic(&a.data_type)) {
        return of_dynamic(function, arguments);
    }
    let place = arguments.iter().position(|a| is_self_typed(&a.data_type)).unwrap_or(0);
    let DataType::Variant(types) = arguments[place].data_type.inner().clone() else {
        return function.return_type(arguments);
    };
    let mut found: Vec<DataType> = vec![];
    let mut first_error = None;
    for data_type in types {
        let mut own = arguments.to_vec();
        own[place] = ArgumentType { data_type, constant: None, lambda_arity: None };
        match resolve(function, &own) {
            Ok(result) if !found.contains(&result) => found.push(result),
            Ok(_) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match (&found[..], first_error) {
        ([], Some(error)) => Err(error),
        ([one], _) if AS_FOR_STRING.contains(&function.name()) => Ok(one.clone()),
        ([one], _) if one.can_be_nullable() => Ok(DataType::nullable(one.clone())),
        ([one], _) => Ok(one.clone()),
        _ => {
            let mut types: Vec<DataType> = vec![];
            for t in &found {
                match t.inner() {
                    DataType::Variant(own) => types.extend(own.iter().cloned()),
                    _ => types.push(t.without_low_cardinality().without_nullable()),
                }
            }
            Ok(super::variant_type(types))
        }
    }
}

fn of_dynamic(function: &Arc<dyn ScalarFunction>, arguments: &[ArgumentType]) -> Result<DataType> {
    let name = function.name();
    if AS_FOR_STRING.contains(&name) {
        let mut own = arguments.to_vec();
        for a in own.iter_mut().filter(|a| is_self_typed(&a.data_type)) {
            a.data_type = DataType::String;
        }
        return resolve(function, &own);
    }
    let known = RESULTS.iter().find(|(_, names)| names.contains(&name));
    if let Some((text, _)) = known {
        return Ok(DataType::nullable(pumphouse_storage::types::parse_data_type(text)?));
    }
    let types_max = arguments.iter().find_map(|a| match a.data_type.inner() {
        DataType::Dynamic { types_max } => Some(*types_max),
        _ => None,
    });
    Ok(DataType::Dynamic { types_max: types_max.flatten() })
}

/// Runs a call that [`applies`].
pub(in super::super) fn call_by_types(
    function: &Arc<dyn ScalarFunction>,
    context: &QueryContext,
    arguments: &[Argument],
    result: &DataType,
    rows: usize,
) -> Result<Column> {
    let held = |a: &Argument| match a {
        Argument::Column(c) | Argument::Constant(c) => is_self_typed(&c.data_type),
        Argument::Lambda(_) => false,
    };
    let Some(place) = arguments.iter().position(held) else {
        return call(function, context, arguments, result, rows);
    };
    let column = match &arguments[place] {
        Argument::Column(c) => c.clone(),
        Argument::Constant(c) => super::super::argument::repeat(c, rows),
        Argument::Lambda(_) => return call(function, context, arguments, result, rows),
    };
    let mut parts = vec![];
    for group in groups(&column)? {
        let values = values_of(&column, &group)?;
        let indices = UInt32Array::from(group.rows.clone());
        let own: Vec<Argument> = arguments
            .iter()
            .enumerate()
            .map(|(i, a)| match a {
                _ if i == place => Argument::Column(values.clone()),
                Argument::Column(c) => Argument::Column(c.take(&indices)),
                other => other.clone(),
            })
            .collect();
        let types: Vec<ArgumentType> = own.iter().map(ArgumentType::of).collect();
        let own_result = resolve(function, &types)?;
        let computed = call(function, context, &own, &own_result, group.rows.len())?;
        parts.push((group.rows, cast_column(&computed, result, context)?));
    }
    scatter(&parts, result, rows)
}
