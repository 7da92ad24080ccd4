//! Further changes of arrays: arrayExcept, arrayRemove, arrayShiftLeft and -Right, arrayTopK and
//! -BottomK, arrayShingles. Each is a rule about which items to take.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::array::{first_array, item_of};
use super::array_search::matches;
use super::gather::{Picks, Pool, array_of};
use super::identity::{identify, order, sorts_last};
use super::invoke::is_null_type;
use super::lists;
use super::promote::common_type;
use super::registry::Registry;
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("arrayExcept", 2..=2, except_type, except);
    r.add("arrayRemove", 2..=2, remove_type, remove).own_nulls();
    for (name, left) in [("arrayShiftLeft", true), ("arrayShiftRight", false)] {
        r.add(name, 2..=3, shift_type, move |c| shift(c, left));
    }
    for (name, largest) in [("arrayTopK", true), ("arrayBottomK", false)] {
        r.add(name, 2..=2, best_type, move |c| best(c, largest));
    }
    r.add("arrayShingles", 2..=2, shingles_type, shingles);
}

fn except_type(a: &Args) -> Result<DataType> {
    let (items, without) = (item_of(a, 0)?, item_of(a, 1)?);
    if items.without_nullable() != without.without_nullable() {
        let message = format!(
            "Function arrayExcept requires both arrays to have exactly the same element type. \
             Got {} and {}",
            a.get(0),
            a.get(1)
        );
        return Err(Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, message));
    }
    Ok(a.get(0).clone())
}

/// Items of the first array that the second has not.
fn except(call: &FunctionCall) -> Result<Column> {
    let (a, b) = (call.array(0)?, call.array(1)?);
    let plain = a.items.data_type.without_nullable();
    let item = DataType::nullable(plain);
    let alike = |items: &Column| super::cast::cast_column(items, &item, call.context);
    let both = Column::concat(&[alike(&a.items)?, alike(&b.items)?])?;
    let numbers = identify(&both);
    let (mine, theirs) = numbers.split_at(a.items.len());
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        let without = &theirs[b.range(row)];
        a.range(row).filter(|i| !without.contains(&mine[*i])).for_each(|i| picks.push(i as u32));
        picks.end_row()?;
    }
    picks.finish(&a.items, call)
}

fn remove_type(a: &Args) -> Result<DataType> {
    if is_null_type(a.get(0)) {
        return Ok(a.get(0).clone());
    }
    let item = first_array(a)?;
    let numbers = item.without_nullable().is_number() && a.get(1).without_nullable().is_number();
    if !numbers && !is_null_type(a.get(1)) {
        common_type(&[item, a.get(1).clone()])?;
    }
    Ok(a.get(0).clone())
}

/// The array without items that equal the second argument; NULL equals NULL.
fn remove(call: &FunctionCall) -> Result<Column> {
    if is_null_type(call.data_type(0)?) {
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    let (a, hits) = matches(call)?;
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        a.range(row).filter(|i| hits[*i] == 0).for_each(|i| picks.push(i as u32));
        picks.end_row()?;
    }
    picks.finish(&a.items, call)
}

fn shift_type(a: &Args) -> Result<DataType> {
    let item = first_array(a)?;
    a.integer(1)?;
    if a.len() == 3 && a.get(2) != &item {
        return Err(a.illegal(2));
    }
    Ok(a.get(0).clone())
}

/// Items moved by some places; what comes in from the side is the default.
fn shift(call: &FunctionCall, left: bool) -> Result<Column> {
    let a = call.array(0)?;
    let steps = call.numbers::<i64>(1)?;
    let mut pool = Pool::new(&a.items.data_type);
    pool.add(&a.items, call)?;
    let filler = match call.arguments.len() {
        3 => pool.add(&call.column(2)?, call)?,
        _ => {
            let default = Column::default_values(a.items.data_type.clone(), 1);
            pool.add(&default, call)?
        }
    };
    let each = call.arguments.len() == 3;
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        let (range, step) = (a.range(row), steps.get(row));
        let by = i128::from(step) * if left { 1 } else { -1 };
        for place in range.clone() {
            let from = place as i128 + by;
            let inside = from >= range.start as i128 && from < range.end as i128;
            let outside = filler + if each { row as u32 } else { 0 };
            picks.push(if inside { from as u32 } else { outside });
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}

fn best_type(a: &Args) -> Result<DataType> {
    a.integer(0)?;
    Ok(DataType::array(item_of(a, 1)?))
}

/// The `k` largest (or smallest) items in their order.
fn best(call: &FunctionCall, largest: bool) -> Result<Column> {
    let (counts, a) = (call.numbers::<i64>(0)?, array_of(&call.column(1)?));
    let compare = order(&a.items);
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        let mut places: Vec<usize> = a.range(row).collect();
        places.sort_by(|x, y| {
            let last = |i: usize| sorts_last(&a.items, i);
            let values = if largest { compare(*y, *x) } else { compare(*x, *y) };
            last(*x).cmp(&last(*y)).then(values)
        });
        places.truncate(usize::try_from(counts.get(row)).unwrap_or(0));
        places.iter().for_each(|i| picks.push(*i as u32));
        picks.end_row()?;
    }
    picks.finish(&a.items, call)
}

fn shingles_type(a: &Args) -> Result<DataType> {
    a.integer(1)?;
    Ok(DataType::array(DataType::array(first_array(a)?)))
}

/// Every run of so many neighbours.
fn shingles(call: &FunctionCall) -> Result<Column> {
    let (a, lengths) = (call.array(0)?, call.numbers::<i64>(1)?);
    let (mut picked, mut inner, mut outer) = (vec![], vec![0i32], vec![0i32]);
    for row in 0..call.rows {
        let (range, length) = (a.range(row), lengths.get(row));
        let length = usize::try_from(length).ok().filter(|l| (1..=range.len()).contains(l));
        let length = length.ok_or_else(|| {
            Error::new(
                codes::BAD_ARGUMENTS,
                "Shingle argument of function arrayShingles must be between 1 and the length of \
                 the array",
            )
        })?;
        for start in range.start..=range.end - length {
            picked.extend((start..start + length).map(|i| i as u32));
            let end = i32::try_from(picked.len()).map_err(|_| {
                Error::new(codes::TOO_LARGE_ARRAY_SIZE, "too many array elements in one block")
            })?;
            inner.push(end);
        }
        outer.push(inner.len() as i32 - 1);
    }
    let items = a.items.take(&arrow_array::UInt32Array::from(picked));
    let runs = lists::list(&items.data_type, inner, items.array);
    let run_type = DataType::array(items.data_type);
    call.finish(lists::list(&run_type, outer, runs))
}
