//! Maps: construction, lookup, and functions over their keys and values. A map is an array of pairs;
//! keys may repeat, the first wins.

use std::collections::{HashMap, HashSet};

use pumphouse_storage::{Column, DataType, Value};

use super::array::{pick_or_default, sizes_differ};
use super::cast::nested::map_array;
use super::elementwise::elements;
use super::gather::{ArrayArgument, array_of};
use super::identity::order;
use super::invoke::is_null_type;
use super::native::values;
use super::promote::{common_type, common_value_type};
use super::registry::Registry;
use super::type_rule::Args;
use super::{Argument, ArgumentType, FunctionCall, lists};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("map", 0..=usize::MAX, map_type, map).gives_on_low_cardinality();
    r.add("mapFromArrays", 2..=2, from_arrays_type, from_arrays).gives_on_low_cardinality();
    r.add("mapKeys", 1..=1, |a| parts_type(a, 0), |c| part(c, 0)).own_nulls();
    r.add("mapValues", 1..=1, |a| parts_type(a, 1), |c| part(c, 1)).own_nulls();
    r.add("mapContainsKey", 2..=2, contains_type, |c| contains(c, 0)).own_nulls();
    r.add("mapContainsValue", 2..=2, contains_type, |c| contains(c, 1)).own_nulls();
    for (name, function, part) in
        [("mapContainsKeyLike", "like", 0usize), ("mapContainsValueLike", "like", 1)]
    {
        r.add(
            name,
            2..=2,
            |a| one_map(a, 0).map(|_| DataType::UInt8),
            move |c| {
                let (a, hits) = like_hits(c, function, part)?;
                c.finish_numbers(
                    (0..c.rows)
                        .map(|row| u8::from(hits[a.range(row)].contains(&1)))
                        .collect::<Vec<_>>(),
                )
            },
        );
    }
    for (name, part) in [("mapExtractKeyLike", 0usize), ("mapExtractValueLike", 1)] {
        r.add(
            name,
            2..=2,
            |a| one_map(a, 0).map(|_| a.get(0).clone()),
            move |c| {
                let (a, hits) = like_hits(c, "like", part)?;
                keep(c, a, |i| hits[i] != 0)
            },
        );
    }
    for (name, how) in [
        ("mapConcat", Merge::Append),
        ("mapUpdate", Merge::Replace),
        ("mapAdd", Merge::Add),
        ("mapSubtract", Merge::Subtract),
    ] {
        let function =
            r.add(name, 1..=usize::MAX, move |a| merge_type(a, how), move |c| merge(c, how));
        match how {
            Merge::Append => function.gives_on_low_cardinality(),
            _ => function.own_nulls(),
        };
    }
    lambdas(r);
}

fn lambdas(r: &mut Registry) {
    let pair = |others: &[ArgumentType], arity: usize| match others.first().map(|a| &a.data_type) {
        Some(DataType::Map(k, v)) if arity == 2 => Ok(vec![(**k).clone(), (**v).clone()]),
        _ => Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "the lambda of a map function takes a key and a value",
        )),
    };
    r.add(
        "mapFilter",
        2..=2,
        |a| one_map(a, 1).map(|_| a.get(1).clone()),
        |c| {
            let (a, results) = apply(c)?;
            let hits = super::conditional::truth(&results)?;
            keep(c, a, |i| hits.value(i))
        },
    )
    .gives_on_low_cardinality()
    .lambda(pair);
    r.add(
        "mapApply",
        2..=2,
        |a| {
            one_map(a, 1)?;
            match a.get(0) {
                DataType::Tuple(e) if e.len() == 2 => Ok(DataType::Map(
                    Box::new(e[0].data_type.clone()),
                    Box::new(e[1].data_type.clone()),
                )),
                _ => Err(a.illegal(0)),
            }
        },
        |c| {
            let (a, results) = apply(c)?;
            let mut parts = elements(&results);
            let (Some(values), Some(keys)) = (parts.pop(), parts.pop()) else {
                return Err(super::type_rule::illegal_column("mapApply needs pairs"));
            };
            c.finish(map_array(c.result, a.offsets, keys, values)?)
        },
    )
    .own_nulls()
    .lambda(pair);
    for (name, all) in [("mapExists", false), ("mapAll", true)] {
        r.add(
            name,
            2..=2,
            |a| one_map(a, 1).map(|_| DataType::UInt8),
            move |c| {
                let (a, results) = apply(c)?;
                let hits = super::conditional::truth(&results)?;
                c.finish_numbers(
                    (0..c.rows)
                        .map(|row| {
                            let mut range = a.range(row);
                            u8::from(if all {
                                range.all(|i| hits.value(i))
                            } else {
                                range.any(|i| hits.value(i))
                            })
                        })
                        .collect::<Vec<_>>(),
                )
            },
        )
        .own_nulls()
        .lambda(pair);
    }
    for (name, descending) in [("mapSort", false), ("mapReverseSort", true)] {
        r.add(
            name,
            1..=2,
            |a| one_map(a, a.len() - 1).map(|_| a.get(a.len() - 1).clone()),
            move |c| sort(c, descending),
        )
        .gives_on_low_cardinality()
        .lambda(pair);
    }
}

fn one_map<'a>(a: &'a Args, index: usize) -> Result<(&'a DataType, &'a DataType)> {
    match a.get(index) {
        DataType::Map(k, v) => Ok((k, v)),
        _ => Err(a.illegal(index)),
    }
}

fn map_type(a: &Args) -> Result<DataType> {
    if !a.len().is_multiple_of(2) {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Function map requires an even number of arguments",
        ));
    }
    let every = |from: usize| -> Vec<ArgumentType> {
        a.items.iter().skip(from).step_by(2).cloned().collect()
    };
    let (key, value) = (common_value_type(&every(0))?, common_value_type(&every(1))?);
    if key.is_nullable() {
        let message = format!("Map cannot have a key of type {key}");
        return Err(Error::new(codes::BAD_ARGUMENTS, message));
    }
    Ok(DataType::Map(Box::new(key), Box::new(value)))
}

fn map(call: &FunctionCall) -> Result<Column> {
    let DataType::Map(k, v) = call.result else {
        return Err(super::type_rule::illegal_column("expected a map"));
    };
    let pairs = call.arguments.len() / 2;
    let side = |from: usize, to: &DataType| -> Result<Column> {
        let mut parts = vec![];
        for i in (from..call.arguments.len()).step_by(2) {
            parts.push(super::cast::cast_column(&call.column(i)?, to, call.context)?);
        }
        if parts.is_empty() {
            return Ok(Column::empty(to.clone()));
        }
        let joined = Column::concat(&parts)?;
        // From argument after argument to row after row.
        let places = (0..call.rows)
            .flat_map(|row| (0..pairs).map(move |p| (p * call.rows + row) as u32))
            .collect::<Vec<_>>();
        Ok(joined.take(&arrow_array::UInt32Array::from(places)))
    };
    let offsets = (0..=call.rows).map(|row| (row * pairs) as i32).collect();
    call.finish(map_array(call.result, offsets, side(0, k)?, side(1, v)?)?)
}

fn from_arrays_type(a: &Args) -> Result<DataType> {
    let side = |i: usize| match a.get(i) {
        DataType::Array(item) => Ok((**item).clone()),
        DataType::Map(..) if i == 1 => Ok(lists::item_type(a.get(i))),
        _ => Err(a.illegal(i)),
    };
    Ok(DataType::Map(Box::new(side(0)?), Box::new(side(1)?)))
}

fn from_arrays(call: &FunctionCall) -> Result<Column> {
    let (keys, items) = (call.array(0)?, call.array(1)?);
    if keys.offsets != items.offsets {
        return Err(sizes_differ("mapFromArrays"));
    }
    call.finish(map_array(call.result, keys.offsets, keys.items, items.items)?)
}

fn parts_type(a: &Args, part: usize) -> Result<DataType> {
    let (k, v) = one_map(a, 0)?;
    Ok(DataType::array(if part == 0 { k.clone() } else { v.clone() }))
}

/// A map argument as keys, values and offsets.
fn taken_apart(column: &Column) -> (ArrayArgument, Column, Column) {
    let array = array_of(column);
    let mut parts = elements(&array.items);
    let values = parts.pop().unwrap_or_else(|| Column::empty(DataType::Nothing));
    let keys = parts.pop().unwrap_or_else(|| Column::empty(DataType::Nothing));
    (array, keys, values)
}

fn part(call: &FunctionCall, part: usize) -> Result<Column> {
    let (array, keys, values) = taken_apart(&call.column(0)?);
    let items = if part == 0 { keys } else { values };
    call.finish(lists::list(&items.data_type, array.offsets, items.array))
}

/// For every pair whether its key (or value) equals the row's needle.
fn hits(call: &FunctionCall, part: usize) -> Result<(ArrayArgument, Column, Vec<u8>)> {
    let (array, keys, items) = taken_apart(&call.column(0)?);
    // Here the zeros that pad a FixedString count.
    let side = super::array_search::with_zeros(if part == 0 { &keys } else { &items })?;
    let wanted = super::array_search::with_zeros(call.raw(1)?)?;
    let needle = if call.is_constant(1) {
        Argument::Constant(wanted)
    } else {
        let rows = lists::row_of_items(&array.offsets);
        Argument::Column(wanted.take(&arrow_array::UInt32Array::from(rows)))
    };
    let nullable = side.data_type.is_nullable() || call.data_type(1)?.is_nullable();
    let name = if nullable { "isNotDistinctFrom" } else { "equals" };
    let function = super::lookup(name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown function {name}")))?;
    let rows = side.len();
    let arguments = [Argument::Column(side), needle];
    let hits = super::call(&function, call.context, &arguments, &DataType::UInt8, rows)?;
    Ok((array, items, values::<u8>(&hits).to_vec()))
}

/// `map[key]`.
pub(super) fn element(call: &FunctionCall) -> Result<Column> {
    let (array, items, hits) = hits(call, 0)?;
    let mut missing = false;
    let picks = (0..call.rows)
        .map(|row| {
            let at = array.range(row).find(|i| hits[*i] != 0);
            missing |= at.is_none();
            at.map(|i| i as u32)
        })
        .collect();
    pick_or_default(call, &items, picks, missing)
}

fn contains_type(a: &Args) -> Result<DataType> {
    let (k, v) = one_map(a, 0)?;
    let side = if a.function == "mapContainsValue" { v } else { k };
    if !(side.is_number() && a.get(1).is_number()) && !is_null_type(a.get(1)) {
        common_type(&[side.clone(), a.get(1).clone()])?;
    }
    Ok(DataType::UInt8)
}

fn contains(call: &FunctionCall, part: usize) -> Result<Column> {
    let (array, _, hits) = hits(call, part)?;
    call.finish_numbers(
        (0..call.rows).map(|row| u8::from(hits[array.range(row)].contains(&1))).collect::<Vec<_>>(),
    )
}

fn like_hits(call: &FunctionCall, function: &str, part: usize) -> Result<(ArrayArgument, Vec<u8>)> {
    let (array, keys, items) = taken_apart(&call.column(0)?);
    let side = if part == 0 { keys } else { items };
    let function = super::lookup(function)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, "Unknown function like"))?;
    let rows = side.len();
    let pattern = if call.is_constant(1) {
        Argument::Constant(call.raw(1)?.clone())
    } else {
        let rows = lists::row_of_items(&array.offsets);
        Argument::Column(call.raw(1)?.take(&arrow_array::UInt32Array::from(rows)))
    };
    let arguments = [Argument::Column(side), pattern];
    let hits = super::call(&function, call.context, &arguments, &DataType::UInt8, rows)?;
    Ok((array, values::<u8>(&hits).to_vec()))
}

/// The map with only those pairs that `wanted` names by index.
fn keep(call: &FunctionCall, a: ArrayArgument, wanted: impl Fn(usize) -> bool) -> Result<Column> {
    let mut kept = vec![];
    let mut offsets = vec![0i32];
    for row in 0..call.rows {
        kept.extend(a.range(row).filter(|i| wanted(*i)).map(|i| i as u32));
        offsets.push(kept.len() as i32);
    }
    pairs_at(call, &a, kept, offsets)
}

fn pairs_at(
    call: &FunctionCall,
    a: &ArrayArgument,
    indices: Vec<u32>,
    offsets: Vec<i32>,
) -> Result<Column> {
    let items = a.items.take(&arrow_array::UInt32Array::from(indices));
    let mut parts = elements(&items);
    let (Some(values), Some(keys)) = (parts.pop(), parts.pop()) else {
        return Err(super::type_rule::illegal_column("expected a map"));
    };
    call.finish(map_array(call.result, offsets, keys, values)?)
}

/// The map behind the lambda, and the lambda's results for its pairs.
fn apply(call: &FunctionCall) -> Result<(ArrayArgument, Column)> {
    let (array, keys, values) = taken_apart(&call.column(1)?);
    let rows = lists::row_of_items(&array.offsets);
    let results = call.lambda(0)?.call(&[keys, values], &rows)?;
    Ok((array, results))
}

fn sort(call: &FunctionCall, descending: bool) -> Result<Column> {
    let with_lambda = call.arguments.len() == 2;
    let (array, keys) = if with_lambda {
        apply(call)?
    } else {
        let (array, keys, _) = taken_apart(&call.column(0)?);
        (array, keys)
    };
    let compare = order(&keys);
    let mut indices: Vec<u32> = (0..keys.len() as u32).collect();
    for row in 0..call.rows {
        indices[array.range(row)].sort_by(|a, b| {
            let ordering = compare(*a as usize, *b as usize);
            if descending { ordering.reverse() } else { ordering }
        });
    }
    drop(compare);
    let offsets = array.offsets.clone();
    pairs_at(call, &array, indices, offsets)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merge {
    /// All pairs one after the other.
    Append,
    /// A later map's pairs follow those of the earlier one whose keys it does not have.
    Replace,
    Add,
    Subtract,
}

fn merge_type(a: &Args, how: Merge) -> Result<DataType> {
    if matches!(how, Merge::Add | Merge::Subtract) {
        return sum_type(a);
    }
    (0..a.len()).try_for_each(|i| one_map(a, i).map(|_| ()))?;
    let types = a.types();
    // ClickHouse brings no values of different kinds together here, although they had a common type.
    if how == Merge::Replace && types.iter().any(|t| *t != types[0]) {
        let message = format!("Illegal types of arguments of function {}", a.function);
        return Err(Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, message));
    }
    match common_type(&types)? {
        DataType::Map(k, v) => Ok(DataType::Map(k, v)),
        _ => Err(a.illegal(0)),
    }
}

/// Keys of one type, values that are widened to the same one.
fn sum_type(a: &Args) -> Result<DataType> {
    let refused = |code, what: String| Err(Error::new(code, format!("{what} in {}", a.function)));
    let count = codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH;
    if a.len() < 2 {
        return refused(count, "At least two maps are expected".to_string());
    }
    one_map(a, 0)?;
    let mut known: Option<(DataType, DataType)> = None;
    for i in 0..a.len() {
        let DataType::Map(k, v) = a.get(i) else {
            return refused(count, "At least two maps are expected".to_string());
        };
        let (key, value) = (k.without_low_cardinality().clone(), widened(a, v)?);
        match &known {
            Some((first, _)) if *first != key => {
                let what = format!("Expected same {first} type for all keys");
                return refused(codes::ILLEGAL_TYPE_OF_ARGUMENT, what);
            }
            Some((_, first)) if *first != value => {
                let what = format!("All values should become {first}, got {value}");
                return refused(codes::ILLEGAL_TYPE_OF_ARGUMENT, what);
            }
            Some(_) => {}
            None => known = Some((key, value)),
        }
    }
    let Some((key, value)) = known else { return Err(a.illegal(0)) };
    Ok(DataType::Map(Box::new(key), Box::new(value)))
}

/// The type in which values are summed.
fn widened(a: &Args, value: &DataType) -> Result<DataType> {
    match value.without_low_cardinality() {
        t if t.is_nullable() => Err(Error::new(
            codes::DATA_TYPE_CANNOT_BE_PROMOTED,
            format!("Data type {t} can't be promoted in function {}", a.function),
        )),
        t if t.is_float() => Ok(DataType::Float64),
        t @ (DataType::Int128 | DataType::Int256 | DataType::UInt128 | DataType::UInt256) => {
            Ok(t.clone())
        }
        t if t.is_unsigned_integer() => Ok(DataType::UInt64),
        t if t.is_signed_integer() => Ok(DataType::Int64),
        DataType::Bool => Ok(DataType::UInt64),
        t @ DataType::Decimal { .. } => Ok(t.clone()),
        t => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Values to be summed are expected to be Numeric, Float or Decimal in function {}, not {t}",
                a.function
            ),
        )),
    }
}

fn merge(call: &FunctionCall, how: Merge) -> Result<Column> {
    let maps = (0..call.arguments.len())
        .map(|i| super::cast::cast_column(&call.column(i)?, call.result, call.context))
        .collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let mut pairs: Vec<(Value, Value)> = vec![];
        let mut places: HashMap<Value, usize> = HashMap::new();
        for (index, map) in maps.iter().enumerate() {
            let Value::Map(entries) = map.value(row) else { continue };
            if how == Merge::Replace {
                // Within one map a key may stand several times.
                let newer: HashSet<&Value> = entries.iter().map(|(key, _)| key).collect();
                pairs.retain(|(key, _)| !newer.contains(key));
                pairs.extend(entries);
                continue;
            }
            for (key, value) in entries {
                let value =
                    if how == Merge::Subtract && index > 0 { negated(value) } else { value };
                match places.get(&key) {
                    Some(at) if how != Merge::Append => {
                        let slot = &mut pairs[*at].1;
                        *slot = sum(slot, &value);
                    }
                    _ => {
                        places.insert(key.clone(), pairs.len());
                        pairs.push((key, value));
                    }
                }
            }
        }
        if matches!(how, Merge::Add | Merge::Subtract) {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        rows.push(Value::Map(pairs));
    }
    Ok(Column::from_values(call.result.clone(), &rows)?)
}

fn negated(value: Value) -> Value {
    match value {
        Value::UInt(v) => Value::UInt(v.wrapping_neg()),
        Value::Int(v) => Value::Int(v.wrapping_neg()),
        Value::Float(v) => Value::Float(-v),
        Value::Decimal(v, s) => Value::Decimal(-v, s),
        other => other,
    }
}

fn sum(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::UInt(x), Value::UInt(y)) => Value::UInt(x.wrapping_add(*y)),
        (Value::Int(x), Value::Int(y)) => Value::Int(x.wrapping_add(*y)),
        (Value::Float(x), Value::Float(y)) => Value::Float(x + y),
        (Value::Decimal(x, s), Value::Decimal(y, _)) => Value::Decimal(x.wrapping_add(*y), *s),
        (a, _) => a.clone(),
    }
}
