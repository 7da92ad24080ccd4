//! Arrays with lambdas: arrayMap, arrayFilter, arraySort, arraySum, arrayFold and the like.
//!
//! The lambda runs once over the items of all rows together; rows come back in by their offsets. Where
//! the lambda may be left out, the (first) array stands for its result.

use arrow_array::{BooleanArray, UInt32Array};
use pumphouse_storage::{Column, DataType};

use super::array::{item_of, pick_or_default, sizes_differ};
use super::conditional::truth;
use super::gather::{ArrayArgument, Picks, array_of};
use super::identity::{order, sorts_last};
use super::native::{As, Native, with_native};
use super::registry::Registry;
use super::type_rule::Args;
use super::wide::{is_wide, load_i128, load_wide, store_wide};
use super::{FunctionCall, lists};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    use DataType::*;
    lambda(r, "arrayMap", 2, |a| Ok(DataType::array(a.get(0).clone())), map);
    lambda(r, "arrayFilter", 2, |a| condition(a).map(|_| a.get(1).clone()), filter);
    lambda(
        r,
        "arrayExists",
        1,
        |a| condition(a).map(|_| UInt8),
        |c| per_row_truth(c, |hits| u8::from(hits.contains(&true))),
    );
    lambda(
        r,
        "arrayAll",
        1,
        |a| condition(a).map(|_| UInt8),
        |c| per_row_truth(c, |hits| u8::from(!hits.contains(&false))),
    );
    lambda(
        r,
        "arrayCount",
        1,
        |a| condition(a).map(|_| UInt32),
        |c| per_row_truth(c, |hits| hits.iter().filter(|h| **h).count() as u32),
    );
    for (name, last) in [("arrayFirst", false), ("arrayLast", true)] {
        lambda(r, name, 2, |a| condition(a).map(|_| item(a.get(1))), move |c| first(c, last));
    }
    for (name, last) in [("arrayFirstOrNull", false), ("arrayLastOrNull", true)] {
        lambda(
            r,
            name,
            2,
            |a| {
                condition(a)?;
                Ok(item(a.get(1)).or_null())
            },
            move |c| first(c, last),
        );
    }
    for (name, last) in [("arrayFirstIndex", false), ("arrayLastIndex", true)] {
        lambda(
            r,
            name,
            2,
            |a| condition(a).map(|_| UInt32),
            move |c| {
                per_row_truth(c, |hits| {
                    let at = if last {
                        hits.iter().rposition(|h| *h)
                    } else {
                        hits.iter().position(|h| *h)
                    };
                    at.map_or(0, |p| p as u32 + 1)
                })
            },
        );
    }
    for (name, descending) in [("arraySort", false), ("arrayReverseSort", true)] {
        lambda(
            r,
            name,
            1,
            |a| Ok(a.get(usize::from(has_lambda(a))).clone()),
            move |c| sort(c, descending),
        );
    }
    for (name, after) in [("arraySplit", false), ("arrayReverseSplit", true)] {
        lambda(
            r,
            name,
            2,
            |a| condition(a).map(|_| DataType::array(a.get(1).clone())),
            move |c| split(c, after),
        );
    }
    for (name, backward) in [("arrayFill", false), ("arrayReverseFill", true)] {
        lambda(r, name, 2, |a| condition(a).map(|_| a.get(1).clone()), move |c| fill(c, backward));
    }
    sums(r);
    r.add("arrayFold", 3..=usize::MAX, fold_type, fold).own_nulls().lambda(|others, arity| {
        let count = others.len();
        let accumulator = others.last().map(|a| a.data_type.clone());
        let mut types: Vec<DataType> = accumulator.into_iter().collect();
        types.extend(others[..count - 1].iter().map(|a| item(&a.data_type)));
        check_arity(types, arity)
    });
}

/// Functions that reduce numbers.
fn sums(r: &mut Registry) {
    for (name, how) in [
        ("arraySum", Reduce::Sum),
        ("arrayAvg", Reduce::Avg),
        ("arrayProduct", Reduce::Product),
        ("arrayMin", Reduce::Min),
        ("arrayMax", Reduce::Max),
    ] {
        lambda(r, name, 1, move |a| reduce_type(a, how), move |c| reduce(c, how));
    }
    lambda(r, "arrayCumSum", 1, |a| Ok(DataType::array(sum_type(a)?)), |c| running(c, false));
    lambda(
        r,
        "arrayCumSumNonNegative",
        1,
        |a| Ok(DataType::array(sum_type(a)?)),
        |c| running(c, true),
    );
    lambda(r, "arrayDifference", 1, difference_type, difference);
}

/// Adds a function of a lambda and arrays; `least` arguments. The lambda gets one item of each array.
fn lambda(
    r: &mut Registry,
    name: &'static str,
    least: usize,
    types: impl Fn(&Args) -> Result<DataType> + Send + Sync + 'static,
    run: impl Fn(&FunctionCall) -> Result<Column> + Send + Sync + 'static,
) {
    r.add(
        name,
        least..=usize::MAX,
        move |a| {
            let start = usize::from(has_lambda(a));
            if start == a.len() {
                return Err(Error::new(
                    codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                    format!("Function {name} needs at least one array"),
                ));
            }
            (start..a.len()).try_for_each(|i| item_of(a, i).map(|_| ()))?;
            types(a)
        },
        run,
    )
    .own_nulls()
    .lambda(|others, arity| {
        check_arity(others.iter().map(|a| item(&a.data_type)).collect(), arity)
    });
}

fn check_arity(types: Vec<DataType>, arity: usize) -> Result<Vec<DataType>> {
    if types.len() == arity {
        return Ok(types);
    }
    // One array of tuples can be taken apart into several parameters.
    if let [DataType::Tuple(elements)] = &types[..]
        && elements.len() == arity
    {
        return Ok(elements.iter().map(|e| e.data_type.clone()).collect());
    }
    Err(Error::new(
        codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
        format!("the lambda takes {arity} arguments but there are {} arrays", types.len()),
    ))
}

fn item(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(item) => (**item).clone(),
        other => other.clone(),
    }
}

fn has_lambda(a: &Args) -> bool {
    a.items.first().is_some_and(|f| f.lambda_arity.is_some())
}

/// The type that the lambda (or the array itself) yields per item.
fn yielded(a: &Args) -> DataType {
    if has_lambda(a) { a.get(0).clone() } else { item(a.get(0)) }
}

fn condition(a: &Args) -> Result<()> {
    match yielded(a).without_nullable() {
        DataType::UInt8 | DataType::Bool => Ok(()),
        DataType::Nothing if has_lambda(a) => Ok(()),
        t if t.is_integer() => Ok(()),
        _ => Err(a.illegal(0)),
    }
}

/// The arrays of a call and what the lambda made of their items.
struct Applied {
    first: ArrayArgument,
    results: Column,
}

fn apply(call: &FunctionCall, function: &str) -> Result<Applied> {
    let with_lambda = matches!(call.arguments.first(), Some(super::Argument::Lambda(_)));
    let first = call.array(usize::from(with_lambda))?;
    if !with_lambda {
        let results = first.items.clone();
        return Ok(Applied { first, results });
    }
    let mut parameters = vec![first.items.clone()];
    for i in 2..call.arguments.len() {
        let next = call.array(i)?;
        if next.offsets != first.offsets {
            return Err(sizes_differ(function));
        }
        parameters.push(next.items);
    }
    let rows = lists::row_of_items(&first.offsets);
    let results = call.lambda(0)?.call(&parameters, &rows)?;
    Ok(Applied { first, results })
}

fn map(call: &FunctionCall) -> Result<Column> {
    let applied = apply(call, "arrayMap")?;
    let DataType::Array(item) = call.result else {
        return Err(super::type_rule::illegal_column("arrayMap yields an array"));
    };
    let items = super::cast::cast_column(&applied.results, item, call.context)?;
    call.finish(lists::list(item, applied.first.offsets, items.array))
}

fn filter(call: &FunctionCall) -> Result<Column> {
    let applied = apply(call, "arrayFilter")?;
    let keep = truth_or_null(&applied.results)?;
    let mut offsets = vec![0i32];
    let mut kept = 0;
    for row in 0..call.rows {
        kept += applied.first.range(row).filter(|i| keep.value(*i)).count() as i32;
        offsets.push(kept);
    }
    let items = applied.first.items.filter(&keep);
    call.finish(lists::list(&items.data_type, offsets, items.array))
}

/// The truth of conditions; a bare NULL is false everywhere.
fn truth_or_null(column: &Column) -> Result<BooleanArray> {
    if super::invoke::is_null_type(&column.data_type) {
        return Ok(BooleanArray::from(vec![false; column.len()]));
    }
    Ok(BooleanArray::new(truth(column)?, None))
}

fn per_row_truth<T: Native>(call: &FunctionCall, f: impl Fn(&[bool]) -> T) -> Result<Column> {
    let applied = apply(call, "the array function")?;
    let hits: Vec<bool> =
        truth_or_null(&applied.results)?.iter().map(|h| h == Some(true)).collect();
    call.finish_numbers(
        (0..call.rows).map(|row| f(&hits[applied.first.range(row)])).collect::<Vec<T>>(),
    )
}

fn first(call: &FunctionCall, last: bool) -> Result<Column> {
    let applied = apply(call, "arrayFirst")?;
    let hits = truth_or_null(&applied.results)?;
    let mut missing = false;
    let picks: Vec<Option<u32>> = (0..call.rows)
        .map(|row| {
            let mut range = applied.first.range(row);
            let at = if last {
                range.rev().find(|i| hits.value(*i))
            } else {
                range.find(|i| hits.value(*i))
            };
            missing |= at.is_none();
            at.map(|i| i as u32)
        })
        .collect();
    pick_or_default(call, &applied.first.items, picks, missing)
}

/// Stable; NaN and NULL stay last in both directions.
fn sort(call: &FunctionCall, descending: bool) -> Result<Column> {
    let applied = apply(call, "arraySort")?;
    let compare = order(&applied.results);
    let mut picks = Picks::with_capacity(call.rows, applied.first.items.len());
    let last: Vec<u8> = if descending {
        (0..applied.results.len()).map(|i| sorts_last(&applied.results, i)).collect()
    } else {
        vec![]
    };
    for row in 0..call.rows {
        let start = picks.indices.len();
        picks.indices.extend(applied.first.range(row).map(|i| i as u32));
        picks.indices[start..].sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            if descending {
                last[a].cmp(&last[b]).then_with(|| compare(b, a))
            } else {
                compare(a, b)
            }
        });
        picks.end_row()?;
    }
    drop(compare);
    picks.finish(&applied.first.items, call)
}

/// Cuts before (or after) every item that the lambda marks.
fn split(call: &FunctionCall, after: bool) -> Result<Column> {
    let applied = apply(call, "arraySplit")?;
    let marks = truth_or_null(&applied.results)?;
    let mut inner = vec![0i32];
    let mut outer = vec![0i32];
    for row in 0..call.rows {
        let range = applied.first.range(row);
        for i in range.clone() {
            let cut = if after {
                i > range.start && marks.value(i - 1)
            } else {
                i > range.start && marks.value(i)
            };
            if cut {
                inner.push(i as i32);
            }
        }
        if !range.is_empty() {
            inner.push(range.end as i32);
        }
        outer.push(inner.len() as i32 - 1);
    }
    let items = lists::array_column(inner, applied.first.items);
    call.finish(lists::list(&items.data_type, outer, items.array))
}

/// Items that the lambda rejects become the nearest accepted one before (or after) them.
fn fill(call: &FunctionCall, backward: bool) -> Result<Column> {
    let applied = apply(call, "arrayFill")?;
    let keep = truth_or_null(&applied.results)?;
    let mut picks = Picks::with_capacity(call.rows, applied.first.items.len());
    for row in 0..call.rows {
        let range = applied.first.range(row);
        let mut chosen: Vec<u32> = range.clone().map(|i| i as u32).collect();
        let size = chosen.len();
        for n in 1..size {
            let (at, from) = if backward { (size - 1 - n, size - n) } else { (n, n - 1) };
            if !keep.value(range.start + at) {
                chosen[at] = chosen[from];
            }
        }
        picks.indices.extend(chosen);
        picks.end_row()?;
    }
    picks.finish(&applied.first.items, call)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduce {
    Sum,
    Avg,
    Product,
    Min,
    Max,
}

/// The type that a sum of these items has; error 43 for what cannot be added.
fn sum_type(a: &Args) -> Result<DataType> {
    use DataType::*;
    Ok(match yielded(a) {
        Float32 | Float64 => Float64,
        Decimal { precision, scale } => {
            Decimal { precision: if precision > 38 { 76 } else { 38 }, scale }
        }
        t @ (Int128 | UInt128 | Int256 | UInt256) => t,
        t if t.is_signed_integer() => Int64,
        t if t.is_unsigned_integer() => UInt64,
        _ => return Err(a.illegal(0)),
    })
}

fn reduce_type(a: &Args, how: Reduce) -> Result<DataType> {
    match how {
        Reduce::Sum => sum_type(a),
        Reduce::Avg | Reduce::Product => sum_type(a).map(|_| DataType::Float64),
        Reduce::Min | Reduce::Max => match yielded(a) {
            DataType::Nothing => Err(a.illegal(0)),
            t => Ok(t),
        },
    }
}

fn reduce(call: &FunctionCall, how: Reduce) -> Result<Column> {
    let applied = apply(call, "the array function")?;
    let rows = call.rows;
    let range = |row: usize| applied.first.range(row);
    match how {
        Reduce::Min | Reduce::Max => {
            let compare = order(&applied.results);
            let mut missing = false;
            let picks: Vec<Option<u32>> = (0..rows)
                .map(|row| {
                    let at =
                        range(row).filter(|i| !applied.results.is_null(*i)).reduce(|best, i| {
                            let better = compare(i, best);
                            let wins =
                                if how == Reduce::Min { better.is_lt() } else { better.is_gt() };
                            if wins { i } else { best }
                        });
                    missing |= at.is_none();
                    at.map(|i| i as u32)
                })
                .collect();
            drop(compare);
            pick_or_default(call, &applied.results, picks, missing)
        }
        Reduce::Avg | Reduce::Product => {
            let floats = super::decimal::to_floats(&applied.results)?;
            call.finish_numbers(
                (0..rows)
                    .map(|row| {
                        let items = &floats[range(row)];
                        match how {
                            _ if items.is_empty() => 0.0,
                            Reduce::Avg => plain_sum(items) / items.len() as f64,
                            _ => items.iter().product(),
                        }
                    })
                    .collect::<Vec<_>>(),
            )
        }
        Reduce::Sum => sum(call, &applied),
    }
}

/// Of nothing it is a plain zero.
fn plain_sum(items: &[f64]) -> f64 {
    if items.is_empty() { 0.0 } else { items.iter().sum() }
}

fn sum(call: &FunctionCall, applied: &Applied) -> Result<Column> {
    let range = |row: usize| applied.first.range(row);
    let results = &applied.results;
    match call.result {
        DataType::Float64 => {
            let floats = super::native::load::<f64>(results)?;
            let sums = (0..call.rows).map(|row| plain_sum(&floats[range(row)]));
            call.finish_numbers(sums.collect::<Vec<f64>>())
        }
        DataType::Decimal { precision: 0..=38, .. } => {
            let words = load_i128(results)?;
            let sums = (0..call.rows).map(|row| words[range(row)].iter().sum()).collect();
            call.finish(super::decimal::store(call.result, sums)?)
        }
        t if is_wide(t) || matches!(t, DataType::Decimal { .. }) => {
            let words = load_wide(results)?;
            let zero = arrow_buffer::i256::ZERO;
            let sums = (0..call.rows)
                .map(|row| words[range(row)].iter().fold(zero, |a, b| a.wrapping_add(*b)))
                .collect();
            if is_wide(t) {
                call.finish(store_wide(t, sums))
            } else {
                call.finish(super::decimal::store_256(t, sums)?)
            }
        }
        _ => {
            let words = super::native::load::<i64>(results)?;
            let sums = (0..call.rows)
                .map(|row| words[range(row)].iter().fold(0i64, |a, b| a.wrapping_add(*b)));
            if *call.result == DataType::UInt64 {
                return call.finish_numbers(sums.map(|v| v as u64).collect::<Vec<_>>());
            }
            call.finish_numbers(sums.collect::<Vec<_>>())
        }
    }
}

/// Running sums; `floor` keeps them from falling below 0.
fn running(call: &FunctionCall, floor: bool) -> Result<Column> {
    let applied = apply(call, "arrayCumSum")?;
    let DataType::Array(item) = call.result else {
        return Err(super::type_rule::illegal_column("arrayCumSum yields an array"));
    };
    let offsets = applied.first.offsets.clone();
    let items = match item.as_ref() {
        DataType::Float64 => {
            let mut floats = super::native::load::<f64>(&applied.results)?;
            for row in 0..call.rows {
                let mut total = 0.0f64;
                for v in &mut floats[applied.first.range(row)] {
                    total += *v;
                    if floor {
                        total = total.max(0.0);
                    }
                    *v = total;
                }
            }
            f64::array(floats)
        }
        DataType::Decimal { precision: 0..=38, .. } => {
            let mut words = load_i128(&applied.results)?;
            for row in 0..call.rows {
                let mut total = 0i128;
                for v in &mut words[applied.first.range(row)] {
                    total = total.wrapping_add(*v);
                    if floor {
                        total = total.max(0);
                    }
                    *v = total;
                }
            }
            super::decimal::store(item, words)?
        }
        t if is_wide(t) => {
            let zero = arrow_buffer::i256::ZERO;
            let mut words = load_wide(&applied.results)?;
            for row in 0..call.rows {
                let mut total = zero;
                for v in &mut words[applied.first.range(row)] {
                    total = total.wrapping_add(*v);
                    if floor && !t.is_unsigned_integer() {
                        total = total.max(zero);
                    }
                    *v = total;
                }
            }
            store_wide(t, words)
        }
        _ => {
            let mut words = super::native::load::<i64>(&applied.results)?;
            let unsigned = item.is_unsigned_integer();
            for row in 0..call.rows {
                let mut total = 0i64;
                for v in &mut words[applied.first.range(row)] {
                    total = total.wrapping_add(*v);
                    if floor && !unsigned {
                        total = total.max(0);
                    }
                    *v = total;
                }
            }
            if unsigned {
                u64::array(words.into_iter().map(|v| v as u64).collect())
            } else {
                i64::array(words)
            }
        }
    };
    call.finish(lists::list(item, offsets, items))
}

fn difference_type(a: &Args) -> Result<DataType> {
    use DataType::*;
    let item = match yielded(a) {
        UInt8 | Int8 | Bool => Int16,
        UInt16 | Int16 => Int32,
        UInt32 | Int32 | UInt64 | Int64 | Interval(_) => Int64,
        Float32 | Float64 => Float64,
        t @ Decimal { .. } => t,
        Date | DateTime(_) => Int32,
        _ => return Err(a.illegal(0)),
    };
    Ok(DataType::array(item))
}

fn difference(call: &FunctionCall) -> Result<Column> {
    let applied = apply(call, "arrayDifference")?;
    let DataType::Array(item) = call.result else {
        return Err(super::type_rule::illegal_column("arrayDifference yields an array"));
    };
    let offsets = applied.first.offsets.clone();
    let starts: Vec<usize> = (0..call.rows).map(|row| applied.first.range(row).start).collect();
    let mut is_start = vec![false; applied.results.len() + 1];
    starts.into_iter().for_each(|s| is_start[s] = true);
    if item.is_float() {
        let floats = super::native::load::<f64>(&applied.results)?;
        let out = (0..floats.len())
            .map(|i| if is_start[i] { 0.0 } else { floats[i] - floats[i - 1] })
            .collect();
        return call.finish(lists::list(item, offsets, f64::array(out)));
    }
    let words = load_i128(&applied.results)?;
    let out: Vec<i128> = (0..words.len())
        .map(|i| if is_start[i] { 0 } else { words[i].wrapping_sub(words[i - 1]) })
        .collect();
    let items = if let DataType::Decimal { .. } = **item {
        super::decimal::store(item, out)?
    } else {
        with_native!(item, T => T::array(out.into_iter().map(|v| As::<T>::to(v as i64)).collect()), else {
            return Err(super::type_rule::illegal_column("arrayDifference yields numbers"));
        })
    };
    call.finish(lists::list(item, offsets, items))
}

fn fold_type(a: &Args) -> Result<DataType> {
    (1..a.len() - 1).try_for_each(|i| item_of(a, i).map(|_| ()))?;
    let accumulator = a.get(a.len() - 1);
    if a.get(0) != accumulator {
        return Err(Error::new(
            codes::TYPE_MISMATCH,
            format!(
                "Return type of lambda function must be the same as the accumulator type. Inferred \
                 return type {}, inferred accumulator type {accumulator}",
                a.get(0)
            ),
        ));
    }
    Ok(accumulator.clone())
}

/// The accumulators of all rows advance together: step n takes the n-th item of each row that has one.
fn fold(call: &FunctionCall) -> Result<Column> {
    let count = call.arguments.len();
    let mut accumulator = call.column(count - 1)?;
    let arrays = (1..count - 1)
        .map(|i| Ok(array_of(&call.column(i)?)))
        .collect::<Result<Vec<ArrayArgument>>>()?;
    if arrays.iter().any(|a| a.offsets != arrays[0].offsets) {
        return Err(sizes_differ("arrayFold"));
    }
    let body = call.lambda(0)?;
    let longest = (0..call.rows).map(|row| arrays[0].range(row).len()).max().unwrap_or(0);
    for step in 0..longest {
        call.context.check()?;
        let active: Vec<u32> = (0..call.rows)
            .filter(|row| arrays[0].range(*row).len() > step)
            .map(|row| row as u32)
            .collect();
        let items: UInt32Array =
            active.iter().map(|row| (arrays[0].range(*row as usize).start + step) as u32).collect();
        let mut parameters = vec![accumulator.take(&UInt32Array::from(active.clone()))];
        parameters.extend(arrays.iter().map(|a| a.items.take(&items)));
        let next = body.call(&parameters, &active)?;
        if active.len() == call.rows {
            accumulator = next;
            continue;
        }
        let both = Column::concat(&[accumulator.clone(), next])?;
        let mut places: Vec<u32> = (0..call.rows as u32).collect();
        for (n, row) in active.iter().enumerate() {
            places[*row as usize] = (call.rows + n) as u32;
        }
        accumulator = both.take(&UInt32Array::from(places));
    }
    call.finish(accumulator.array)
}
