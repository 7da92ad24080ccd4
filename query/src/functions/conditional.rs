//! Choosing between values: if, multiIf, coalesce, ifNull, nullIf, isNull and the like.
//!
//! A condition is true when it is neither 0 nor NULL. Branches are converted to their common type;
//! all of them are computed beforehand (the executor may compute less).

use arrow_array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use pumphouse_storage::{Column, DataType, Value};

use super::cast::cast_column;
use super::invoke::{is_null_type, null_type, without_nulls};
use super::native::{Native, values, with_native};
use super::promote::common_value_type;
use super::registry::Registry;
use super::type_rule::Args;
use super::{ArgumentType, FunctionCall};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("if", 3..=3, if_type, evaluate_if).own_nulls().drops_low_cardinality();
    r.add("multiIf", 3..=usize::MAX, multi_if_type, multi_if).own_nulls().drops_low_cardinality();
    r.add("coalesce", 1..=usize::MAX, coalesce_type, coalesce).own_nulls();
    r.add("ifNull", 2..=2, if_null_type, coalesce).own_nulls();
    r.add("nullIf", 2..=2, null_if_type, null_if).own_nulls();
    r.add("isNull", 1..=1, |_| Ok(DataType::UInt8), |c| null_flags(c, true)).own_types();
    r.add("isNotNull", 1..=1, |_| Ok(DataType::UInt8), |c| null_flags(c, false)).own_types();
    r.add(
        "isZeroOrNull",
        1..=1,
        |_| Ok(DataType::UInt8),
        |c| {
            let truth = truth(&c.column(0)?)?;
            c.finish_numbers(truth.iter().map(|t| u8::from(!t)).collect::<Vec<_>>())
        },
    )
    .own_nulls();
    r.add(
        "isNullable",
        1..=1,
        |_| Ok(DataType::UInt8),
        |c| c.finish_numbers(vec![u8::from(c.data_type(0)?.is_nullable()); c.rows]),
    )
    .own_types();
    r.add("assumeNotNull", 1..=1, |a| Ok(a.get(0).without_nullable()), assume_not_null).own_types();
    r.add("toNullable", 1..=1, |a| Ok(a.get(0).or_null()), |c| c.finish(c.column(0)?.array))
        .own_types();
}

fn condition_type(a: &Args, index: usize) -> Result<()> {
    match a.get(index).without_nullable() {
        DataType::UInt8 | DataType::Bool | DataType::Nothing => Ok(()),
        other => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal type {other} of argument {} (condition) of function {}. Must be UInt8",
                index + 1,
                a.function
            ),
        )),
    }
}

fn if_type(a: &Args) -> Result<DataType> {
    condition_type(a, 0)?;
    common_value_type(&a.items[1..])
}

fn multi_if_type(a: &Args) -> Result<DataType> {
    if a.len().is_multiple_of(2) {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Invalid number of arguments for function {}", a.function),
        ));
    }
    let mut branches = vec![];
    for i in (0..a.len() - 1).step_by(2) {
        condition_type(a, i)?;
        branches.push(a.items[i + 1].clone());
    }
    branches.push(a.items[a.len() - 1].clone());
    common_value_type(&branches)
}

/// Where a condition holds: not 0 and not NULL.
pub(super) fn truth(column: &Column) -> Result<BooleanBuffer> {
    let bits = with_native!(column.data_type, T => {
        let values = values::<T>(column);
        BooleanBuffer::collect_bool(values.len(), |i| values[i] != T::default())
    }, else {
        if super::wide::is_wide(column.data_type.inner()) || matches!(column.data_type.inner(), DataType::Decimal { .. }) {
            let words = super::wide::load_wide(&without_nulls(column))?;
            BooleanBuffer::collect_bool(words.len(), |i| words[i] != arrow_buffer::i256::ZERO)
        } else {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER,
                format!("a condition cannot be of type {}", column.data_type),
            ));
        }
    });
    Ok(match column.array.nulls() {
        Some(nulls) => &bits & nulls.inner(),
        None => bits,
    })
}

/// An argument converted to `to`: one row if it is constant.
fn branch(call: &FunctionCall, index: usize, to: &DataType) -> Result<Column> {
    let column = call.raw(index)?;
    if let (DataType::FixedString(_), DataType::String) = (column.data_type.inner(), to.inner()) {
        // Unlike in a cast, zero bytes at the end stay.
        let values: Vec<Value> = (0..column.len()).map(|i| column.value(i)).collect();
        return Ok(Column::from_values(to.clone(), &values)?);
    }
    cast_column(column, to, call.context)
}

fn whole(column: Column, constant: bool, rows: usize) -> Column {
    if constant && column.len() != rows { super::argument::repeat(&column, rows) } else { column }
}

fn evaluate_if(call: &FunctionCall) -> Result<Column> {
    let condition = truth(call.raw(0)?)?;
    if call.is_constant(0) {
        let index = if condition.value(0) { 1 } else { 2 };
        return Ok(whole(branch(call, index, call.result)?, call.is_constant(index), call.rows));
    }
    let (a, b) = (branch(call, 1, call.result)?, branch(call, 2, call.result)?);
    select_flagged(
        &BooleanArray::new(condition, None),
        (&a, call.is_constant(1)),
        (&b, call.is_constant(2)),
    )
}

/// Rows of `a` where `mask` is true, else of `b`. A side of one row stands for all rows.
pub(super) fn select(mask: &BooleanArray, a: &Column, b: &Column) -> Result<Column> {
    let constant = |c: &Column| c.len() == 1 && mask.len() != 1;
    select_flagged(mask, (a, constant(a)), (b, constant(b)))
}

fn select_flagged(mask: &BooleanArray, a: (&Column, bool), b: (&Column, bool)) -> Result<Column> {
    let data_type = a.0.data_type.clone();
    if a.0.array.nulls().is_none()
        && b.0.array.nulls().is_none()
        && let Some(array) = select_native(mask, a, b)
    {
        return Ok(Column { data_type, array });
    }
    let failed = |e: arrow_schema::ArrowError| Error::new(codes::ILLEGAL_COLUMN, e.to_string());
    let array = match (a.1, b.1) {
        (false, false) => arrow_select::zip::zip(mask, &a.0.array, &b.0.array),
        (true, false) => arrow_select::zip::zip(mask, &Scalar::new(a.0.array.clone()), &b.0.array),
        (false, true) => arrow_select::zip::zip(mask, &a.0.array, &Scalar::new(b.0.array.clone())),
        (true, true) => arrow_select::zip::zip(
            mask,
            &Scalar::new(a.0.array.clone()),
            &Scalar::new(b.0.array.clone()),
        ),
    };
    Ok(Column { data_type, array: array.map_err(failed)? })
}

/// The same for plain numbers: one loop without branches.
fn select_native(mask: &BooleanArray, a: (&Column, bool), b: (&Column, bool)) -> Option<ArrayRef> {
    let bits = mask.values();
    with_native!(a.0.data_type, T => {
        let (x, y) = (values::<T>(a.0), values::<T>(b.0));
        let pick = |i: usize, t: T, f: T| if bits.value(i) { t } else { f };
        Some(T::array(match (a.1, b.1) {
            (false, false) => (0..bits.len()).map(|i| pick(i, x[i], y[i])).collect(),
            (true, false) => (0..bits.len()).map(|i| pick(i, x[0], y[i])).collect(),
            (false, true) => (0..bits.len()).map(|i| pick(i, x[i], y[0])).collect(),
            (true, true) => (0..bits.len()).map(|i| pick(i, x[0], y[0])).collect(),
        }))
    }, else { None })
}

fn multi_if(call: &FunctionCall) -> Result<Column> {
    let count = call.arguments.len();
    let branches = count / 2 + 1;
    let branch_argument = |b: usize| if b + 1 == branches { count - 1 } else { 2 * b + 1 };
    let mut chosen = vec![(branches - 1) as u32; call.rows];
    // From the last condition to the first, so that the first that holds wins.
    for b in (0..branches - 1).rev() {
        let holds = truth(call.raw(2 * b)?)?;
        if call.is_constant(2 * b) {
            if holds.value(0) {
                chosen.fill(b as u32);
            }
            continue;
        }
        for (row, slot) in chosen.iter_mut().enumerate() {
            if holds.value(row) {
                *slot = b as u32;
            }
        }
    }
    // Of several conditions, branches are converted as a cast does it: zero bytes at the end go.
    let column = |b: usize| match branches > 2 {
        true => cast_column(call.raw(branch_argument(b))?, call.result, call.context),
        false => branch(call, branch_argument(b), call.result),
    };
    let columns = (0..branches).map(column).collect::<Result<Vec<_>>>()?;
    let constant: Vec<bool> = (0..branches).map(|b| call.is_constant(branch_argument(b))).collect();
    let places: Vec<(usize, usize)> = chosen
        .iter()
        .enumerate()
        .map(|(row, b)| (*b as usize, if constant[*b as usize] { 0 } else { row }))
        .collect();
    let arrays: Vec<&dyn Array> = columns.iter().map(|c| c.array.as_ref()).collect();
    let array = arrow_select::interleave::interleave(&arrays, &places)
        .map_err(|e| Error::new(codes::ILLEGAL_COLUMN, e.to_string()))?;
    call.finish(array)
}

/// The arguments that coalesce looks at: no bare NULLs, none after one that is never NULL.
fn considered(items: &[ArgumentType]) -> Vec<usize> {
    let mut out = vec![];
    for (i, item) in items.iter().enumerate() {
        if is_null_type(&item.data_type) {
            continue;
        }
        out.push(i);
        if !item.data_type.is_nullable() {
            break;
        }
    }
    out
}

fn coalesce_type(a: &Args) -> Result<DataType> {
    let considered = considered(a.items);
    let Some(last) = considered.last() else { return Ok(null_type()) };
    let mut items: Vec<ArgumentType> = considered.iter().map(|i| a.items[*i].clone()).collect();
    if !a.get(*last).is_nullable() {
        for item in &mut items {
            item.data_type = item.data_type.without_nullable();
        }
    }
    common_value_type(&items)
}

fn if_null_type(a: &Args) -> Result<DataType> {
    if is_null_type(a.get(0)) {
        return Ok(a.get(1).clone());
    }
    if !a.get(0).is_nullable() {
        return Ok(a.get(0).clone());
    }
    let mut items = a.items.to_vec();
    items[0].data_type = items[0].data_type.without_nullable();
    common_value_type(&items)
}

/// The first value that is not NULL.
fn coalesce(call: &FunctionCall) -> Result<Column> {
    let types: Vec<ArgumentType> = (0..call.arguments.len())
        .map(|i| {
            Ok(ArgumentType {
                data_type: call.data_type(i)?.clone(),
                constant: None,
                lambda_arity: None,
            })
        })
        .collect::<Result<_>>()?;
    let to = &call.result.or_null();
    let mut result: Option<Column> = None;
    for index in considered(&types) {
        let next = whole(branch(call, index, to)?, call.is_constant(index), call.rows);
        result = Some(match result {
            None => next,
            Some(before) => {
                let valid = before.array.nulls().map_or_else(
                    || BooleanBuffer::new_set(call.rows),
                    |nulls| nulls.inner().clone(),
                );
                select(&BooleanArray::new(valid, None), &before, &next)?
            }
        });
        if result.as_ref().is_some_and(|c| c.array.null_count() == 0) {
            break;
        }
    }
    match result {
        Some(column) if call.result.is_nullable() => call.finish(column.array),
        Some(column) => call.finish(super::invoke::set_nulls(&column.array, None)),
        None => Ok(Column::default_values(call.result.clone(), call.rows)),
    }
}

fn null_if_type(a: &Args) -> Result<DataType> {
    Ok(a.get(0).or_null())
}

fn null_if(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if is_null_type(call.data_type(0)?) || is_null_type(call.data_type(1)?) {
        return call.finish(column.array);
    }
    let equals = super::lookup("equals")
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, "Unknown function equals"))?;
    let nullable = call.data_type(0)?.is_nullable() || call.data_type(1)?.is_nullable();
    let result = if nullable { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 };
    let same = super::call(&equals, call.context, call.arguments, &result, call.rows)?;
    let keep = NullBuffer::new(!&truth(&same)?);
    Ok(super::invoke::mask(&column, &keep))
}

fn null_flags(call: &FunctionCall, wanted: bool) -> Result<Column> {
    let column = call.column(0)?;
    call.finish_numbers(match column.array.nulls() {
        Some(nulls) => nulls.iter().map(|valid| u8::from(valid != wanted)).collect::<Vec<_>>(),
        None => vec![u8::from(!wanted); call.rows],
    })
}

fn assume_not_null(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if is_null_type(&column.data_type) && call.rows > 0 {
        return Err(Error::new(
            codes::ILLEGAL_COLUMN,
            "Cannot create non-empty column with type Nothing",
        ));
    }
    if column.data_type.is_run_time() {
        // NULL is a value of theirs.
        return call.finish(column.array);
    }
    if let DataType::LowCardinality(_) = column.data_type {
        // There is nothing under a NULL of a dictionary.
        let plain = column.data_type.inner().clone();
        let default = Column::default_values(plain.clone(), 1).value(0);
        let value = |row: usize| match column.is_null(row) {
            true => default.clone(),
            false => column.value(row),
        };
        let values: Vec<Value> = (0..column.len()).map(value).collect();
        return call.finish(Column::from_values(plain, &values)?.array);
    }
    call.finish(without_nulls(&column).array)
}
