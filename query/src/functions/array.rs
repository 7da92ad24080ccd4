//! Arrays without lambdas: construction, access, search and rearranging.
//!
//! Positions begin at 1; negative ones count from the end. Items of several arrays are brought to
//! their common type first.

use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::gather::{Picks, Pool};
use super::invoke::{is_null_type, null_type};
use super::native::{As, Native, with_native};
use super::promote::{common_exact_type, common_type, common_value_type};
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::Args;
use super::{Argument, ArgumentType, FunctionCall, lists};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("array", 0..=usize::MAX, |a| Ok(DataType::array(common_value_type(a.items)?)), array)
        .gives_on_low_cardinality();
    r.add("arrayElement", 2..=2, element_type, element).own_nulls();
    r.add(
        "arrayElementOrNull",
        2..=2,
        |a| {
            let t = element_type(a)?;
            Ok(t.or_null())
        },
        element,
    )
    .own_nulls();
    r.add("range", 1..=3, range_type, range);
    r.add("arraySlice", 2..=3, |a| first_array(a).map(|_| a.get(0).clone()), slice).own_nulls();
    r.add("arrayReverse", 1..=1, |a| first_array(a).map(|_| a.get(0).clone()), reverse).own_nulls();
    for (name, left) in [("arrayRotateLeft", true), ("arrayRotateRight", false)] {
        r.add(
            name,
            2..=2,
            |a| {
                a.integer(1)?;
                first_array(a).map(|_| a.get(0).clone())
            },
            move |c| rotate(c, left),
        );
    }
    r.add("arrayConcat", 1..=usize::MAX, all_arrays_type, concat).own_nulls();
    r.add("arrayPushBack", 2..=2, push_type, |c| push(c, false)).own_nulls();
    r.add("arrayPushFront", 2..=2, push_type, |c| push(c, true)).own_nulls();
    r.add("arrayPopBack", 1..=1, |a| first_array(a).map(|_| a.get(0).clone()), |c| pop(c, false))
        .own_nulls();
    r.add("arrayPopFront", 1..=1, |a| first_array(a).map(|_| a.get(0).clone()), |c| pop(c, true))
        .own_nulls();
    r.add("arrayResize", 2..=3, resize_type, resize).own_nulls();
    r.add("arrayFlatten", 1..=1, flatten_type, flatten).own_nulls();
    r.add(
        "arrayWithConstant",
        2..=2,
        |a| a.integer(0).map(|_| DataType::array(a.get(1).clone())),
        with_constant,
    )
    .own_nulls();
    r.add("arrayStringConcat", 1..=2, string_concat_type, string_concat);
    r.add("arrayZip", 1..=usize::MAX, |a| zip_type(a, false), |c| zip(c, false)).own_nulls();
    r.add("arrayZipUnaligned", 1..=usize::MAX, |a| zip_type(a, true), |c| zip(c, true)).own_nulls();
    r.add(
        "emptyArrayToSingle",
        1..=1,
        |a| first_array(a).map(|_| a.get(0).clone()),
        |c| {
            let a = c.array(0)?;
            let mut pool = Pool::new(&a.items.data_type);
            pool.add(&a.items, c)?;
            let default = pool.add_default();
            let mut picks = Picks::with_capacity(c.rows, a.items.len());
            for row in 0..c.rows {
                let range = a.range(row);
                if range.is_empty() {
                    picks.push(default);
                }
                range.for_each(|i| picks.push(i as u32));
                picks.end_row()?;
            }
            picks.finish(&pool.finish()?, c)
        },
    )
    .own_nulls();
    empty_arrays(r);
}

fn empty_arrays(r: &mut Registry) {
    use DataType::*;
    for (name, item) in [
        ("emptyArrayUInt8", UInt8),
        ("emptyArrayUInt16", UInt16),
        ("emptyArrayUInt32", UInt32),
        ("emptyArrayUInt64", UInt64),
        ("emptyArrayInt8", Int8),
        ("emptyArrayInt16", Int16),
        ("emptyArrayInt32", Int32),
        ("emptyArrayInt64", Int64),
        ("emptyArrayFloat32", Float32),
        ("emptyArrayFloat64", Float64),
        ("emptyArrayDate", Date),
        ("emptyArrayDateTime", DateTime(None)),
        ("emptyArrayString", String),
    ] {
        r.add(
            name,
            0..=0,
            move |_| Ok(DataType::array(item.clone())),
            |c| Ok(Column::default_values(c.result.clone(), c.rows)),
        );
    }
}

/// The item type of array argument `index`; error 43 if it is none.
pub(super) fn item_of(a: &Args, index: usize) -> Result<DataType> {
    match a.get(index) {
        DataType::Array(item) => Ok((**item).clone()),
        _ => Err(a.illegal(index)),
    }
}

pub(super) fn first_array(a: &Args) -> Result<DataType> {
    item_of(a, 0)
}

fn item_result<'a>(call: &'a FunctionCall) -> Result<&'a DataType> {
    match call.result {
        DataType::Array(item) => Ok(item),
        other => Err(super::type_rule::illegal_column(format!("{other} is no array"))),
    }
}

/// `[a, b, …]`: one item of each argument a row.
fn array(call: &FunctionCall) -> Result<Column> {
    let item = item_result(call)?;
    let mut pool = Pool::new(item);
    let count = call.arguments.len();
    let starts = (0..count).map(|i| pool.add(call.raw(i)?, call)).collect::<Result<Vec<_>>>()?;
    let mut picks = Picks::with_capacity(call.rows, call.rows * count);
    for row in 0..call.rows {
        for (i, start) in starts.iter().enumerate() {
            picks.push(start + if call.is_constant(i) { 0 } else { row as u32 });
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}

fn element_type(a: &Args) -> Result<DataType> {
    if is_null_type(a.get(1)) || is_null_type(a.get(0)) {
        return Ok(null_type());
    }
    let item = match a.get(0) {
        DataType::Map(k, v) => {
            common_type(&[(**k).clone(), a.get(1).without_nullable()]).map_err(|_| a.illegal(1))?;
            (**v).clone()
        }
        DataType::Array(item) => {
            if !a.get(1).without_nullable().is_integer() {
                return Err(a.illegal(1));
            }
            (**item).clone()
        }
        _ => return Err(a.illegal(0)),
    };
    Ok(if a.get(1).is_nullable() { item.or_null() } else { item })
}

/// `array[n]` and `map[key]`; what is not there is the default (NULL for arrayElementOrNull).
fn element(call: &FunctionCall) -> Result<Column> {
    if is_null_type(call.result) && !matches!(call.data_type(0)?, DataType::Array(_)) {
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    if is_null_type(call.data_type(1)?) {
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    if let Some(column) = element_by_nullable(call)? {
        return Ok(column);
    }
    if let DataType::Map(..) = call.data_type(0)? {
        return super::map::element(call);
    }
    let a = call.array(0)?;
    let index = call.column(1)?;
    let positions = super::native::load::<i64>(&index)?;
    let mut missing = false;
    let mut picks: Vec<Option<u32>> = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let range = a.range(row);
        let size = range.len() as i64;
        let at = match positions[row] {
            _ if index.is_null(row) => {
                missing = true;
                None
            }
            p if p >= 1 && p <= size => Some(range.start + p as usize - 1),
            p if p < 0 && -p <= size => Some(range.end - (-p) as usize),
            _ => {
                missing = true;
                None
            }
        };
        picks.push(at.map(|i| i as u32));
    }
    pick_or_default(call, &a.items, picks, missing)
}

/// A key that may be NULL: NULL for NULL, but the default for what is not there.
fn element_by_nullable(call: &FunctionCall) -> Result<Option<Column>> {
    let inside = match call.data_type(0)? {
        DataType::Array(item) => item.is_nullable(),
        DataType::Map(_, value) => value.is_nullable(),
        _ => true,
    };
    let key = call.raw(1)?;
    if inside || !key.data_type.is_nullable() || !call.result.is_nullable() {
        return Ok(None);
    }
    let plain = super::invoke::without_nulls(key);
    let plain = match call.is_constant(1) {
        true if key.is_null(0) => {
            return Ok(Some(Column::default_values(call.result.clone(), call.rows)));
        }
        true => Argument::Constant(plain),
        false => Argument::Column(plain),
    };
    let arguments = [call.arguments[0].clone(), plain];
    let result = call.result.without_nullable();
    let column = element(&FunctionCall { arguments: &arguments, result: &result, ..*call })?;
    let nulls = match arrow_array::Array::nulls(&key.array) {
        Some(nulls) if !call.is_constant(1) => nulls.clone(),
        _ => arrow_buffer::NullBuffer::new_valid(call.rows),
    };
    Ok(Some(super::invoke::mask(&column, &nulls)))
}

/// Items by index; where there is none, the result type's default.
pub(super) fn pick_or_default(
    call: &FunctionCall,
    items: &Column,
    picks: Vec<Option<u32>>,
    missing: bool,
) -> Result<Column> {
    let mut pool = Pool::new(call.result);
    pool.add(items, call)?;
    let default = if missing { pool.add_default() } else { 0 };
    let indices: Vec<u32> = picks.into_iter().map(|p| p.unwrap_or(default)).collect();
    let picked = pool.finish()?.take(&arrow_array::UInt32Array::from(indices));
    call.finish(picked.array)
}

fn range_type(a: &Args) -> Result<DataType> {
    (0..a.len()).try_for_each(|i| a.integer(i))?;
    let types: Vec<DataType> = a
        .types()
        .into_iter()
        .map(|t| if t == DataType::Bool { DataType::UInt8 } else { t })
        .collect();
    Ok(DataType::array(common_type(&types)?))
}

/// More items than this in one block are refused (function_range_max_elements_in_block).
const RANGE_ITEMS_MAX: usize = 500_000_000;

fn range(call: &FunctionCall) -> Result<Column> {
    let count = call.arguments.len();
    let (starts, ends) = if count == 1 {
        (super::native::Numbers::One(0), call.numbers::<i64>(0)?)
    } else {
        (call.numbers::<i64>(0)?, call.numbers::<i64>(1)?)
    };
    let steps = call.numbers_or::<i64>(2, 1)?;
    let limit =
        call.context.settings.u64("function_range_max_elements_in_block", RANGE_ITEMS_MAX as u64)
            as usize;
    let mut values: Vec<i64> = vec![];
    let mut offsets = vec![0i32];
    for row in 0..call.rows {
        let (mut at, end, step) = (starts.get(row) as i128, ends.get(row) as i128, steps.get(row));
        if step == 0 {
            return Err(Error::new(
                codes::ARGUMENT_OUT_OF_BOUND,
                "the step of function range must not be 0",
            ));
        }
        let size = if step > 0 { end - at } else { at - end };
        let needed = (size.max(0) + step.unsigned_abs() as i128 - 1) / step.unsigned_abs() as i128;
        if values.len() as i128 + needed > limit as i128 {
            return Err(Error::new(
                codes::ARGUMENT_OUT_OF_BOUND,
                format!("A call to function range would produce more than {limit} array elements"),
            ));
        }
        for _ in 0..needed {
            values.push(at as i64);
            at += step as i128;
        }
        offsets.push(values.len() as i32);
    }
    let item = item_result(call)?;
    let items = with_native!(item, T => {
        T::array(values.into_iter().map(As::<T>::to).collect())
    }, else {
        super::wide::store_wide(
            item,
            values.into_iter().map(|v| arrow_buffer::i256::from_i128(v as i128)).collect(),
        )
    });
    call.finish(lists::list(item, offsets, items))
}

/// `f` says for each row which items to take, by their index.
fn rearrange(
    call: &FunctionCall,
    f: impl Fn(usize, std::ops::Range<usize>, &mut Picks),
) -> Result<Column> {
    let a = call.array(0)?;
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        f(row, a.range(row), &mut picks);
        picks.end_row()?;
    }
    picks.finish(&a.items, call)
}

fn slice(call: &FunctionCall) -> Result<Column> {
    let offsets = call.column(1)?;
    let starts = super::native::load::<i64>(&offsets)?;
    let lengths = if call.arguments.len() > 2 && !is_null_type(call.data_type(2)?) {
        Some(call.column(2)?)
    } else {
        None
    };
    let counts = lengths.as_ref().map(super::native::load::<i64>).transpose()?;
    rearrange(call, |row, range, picks| {
        let size = range.len() as i64;
        let start = if offsets.is_null(row) { 1 } else { starts[row] };
        let length = match (&lengths, &counts) {
            (Some(column), Some(counts)) if !column.is_null(row) => Some(counts[row]),
            _ => None,
        };
        let kept = slice_range(size, start, length);
        kept.for_each(|i| picks.push((range.start + i) as u32));
    })
}

/// Items that arraySlice keeps; a start before the array counts as lost length.
fn slice_range(size: i64, start: i64, length: Option<i64>) -> std::ops::Range<usize> {
    super::string::cut(size as usize, start, length)
}

fn reverse(call: &FunctionCall) -> Result<Column> {
    rearrange(call, |_, range, picks| range.rev().for_each(|i| picks.push(i as u32)))
}

fn rotate(call: &FunctionCall, left: bool) -> Result<Column> {
    let steps = call.numbers::<i64>(1)?;
    rearrange(call, |row, range, picks| {
        let (from, length) = (range.start as i64, range.len() as i64);
        let shift = if left { steps.get(row) } else { steps.get(row).wrapping_neg() };
        for i in 0..length {
            picks.push((from + (i + shift % length).rem_euclid(length)) as u32);
        }
    })
}

pub(super) fn all_arrays_type(a: &Args) -> Result<DataType> {
    (0..a.len()).try_for_each(|i| item_of(a, i).map(|_| ()))?;
    let items = (0..a.len()).map(|i| item_of(a, i)).collect::<Result<Vec<DataType>>>()?;
    Ok(DataType::array(common_type(&items)?))
}

fn concat(call: &FunctionCall) -> Result<Column> {
    let mut pool = Pool::new(item_result(call)?);
    let mut arrays = vec![];
    let mut total = 0;
    for i in 0..call.arguments.len() {
        let a = call.array(i)?;
        total += a.items.len();
        let start = pool.add(&a.items, call)?;
        arrays.push((a, start));
    }
    let mut picks = Picks::with_capacity(call.rows, total);
    for row in 0..call.rows {
        for (a, start) in &arrays {
            a.range(row).for_each(|i| picks.push(start + i as u32));
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}

fn push_type(a: &Args) -> Result<DataType> {
    let item = ArgumentType { data_type: first_array(a)?, constant: None, lambda_arity: None };
    Ok(DataType::array(common_exact_type(&[item, a.items[1].clone()])?))
}

fn push(call: &FunctionCall, front: bool) -> Result<Column> {
    let mut pool = Pool::new(item_result(call)?);
    let a = call.array(0)?;
    let start = pool.add(&a.items, call)?;
    let new = pool.add(call.raw(1)?, call)?;
    let mut picks = Picks::with_capacity(call.rows, a.items.len() + call.rows);
    for row in 0..call.rows {
        let pushed = new + if call.is_constant(1) { 0 } else { row as u32 };
        if front {
            picks.push(pushed);
        }
        a.range(row).for_each(|i| picks.push(start + i as u32));
        if !front {
            picks.push(pushed);
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}

fn pop(call: &FunctionCall, front: bool) -> Result<Column> {
    rearrange(call, |_, range, picks| {
        let keep = if range.is_empty() {
            range
        } else if front {
            range.start + 1..range.end
        } else {
            range.start..range.end - 1
        };
        keep.for_each(|i| picks.push(i as u32));
    })
}

fn resize_type(a: &Args) -> Result<DataType> {
    let item = first_array(a)?;
    if a.len() < 3 {
        return Ok(DataType::array(item));
    }
    let item = ArgumentType { data_type: item, constant: None, lambda_arity: None };
    Ok(DataType::array(common_exact_type(&[item, a.items[2].clone()])?))
}

/// Sizes beyond this are refused, so that a typo does not take all memory.
const RESIZE_MAX: i64 = 1 << 30;

fn resize(call: &FunctionCall) -> Result<Column> {
    let mut pool = Pool::new(item_result(call)?);
    let a = call.array(0)?;
    pool.add(&a.items, call)?;
    let filler =
        if call.arguments.len() > 2 { pool.add(call.raw(2)?, call)? } else { pool.add_default() };
    let per_row = call.arguments.len() > 2 && !call.is_constant(2);
    let sizes = call.numbers::<i64>(1)?;
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        let (range, wanted) = (a.range(row), sizes.get(row));
        if wanted.abs() > RESIZE_MAX {
            return Err(Error::new(
                codes::TOO_LARGE_ARRAY_SIZE,
                format!("Too large array size: {wanted}, maximum: {RESIZE_MAX}"),
            ));
        }
        let filler = filler + if per_row { row as u32 } else { 0 };
        let size = wanted.unsigned_abs() as usize;
        let kept = size.min(range.len());
        if wanted >= 0 {
            (range.start..range.start + kept).for_each(|i| picks.push(i as u32));
        }
        (kept..size).for_each(|_| picks.push(filler));
        if wanted < 0 {
            (range.end - kept..range.end).for_each(|i| picks.push(i as u32));
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}

fn flatten_type(a: &Args) -> Result<DataType> {
    let mut item = first_array(a)?;
    while let DataType::Array(inner) = item {
        item = *inner;
    }
    Ok(DataType::array(item))
}

fn flatten(call: &FunctionCall) -> Result<Column> {
    let mut column = lists::compact(&call.column(0)?);
    let mut offsets = lists::offsets(&column).to_vec();
    column = lists::items(&column);
    while let DataType::Array(_) = column.data_type {
        column = lists::compact(&column);
        let inner = lists::offsets(&column);
        offsets = offsets.iter().map(|o| inner[*o as usize]).collect();
        column = lists::items(&column);
    }
    call.finish(lists::list(&column.data_type, offsets, column.array))
}

fn with_constant(call: &FunctionCall) -> Result<Column> {
    let sizes = call.numbers::<i64>(0)?;
    let column = call.column(1)?;
    let mut picks = Picks::with_capacity(call.rows, call.rows);
    for row in 0..call.rows {
        let size = sizes.get(row);
        if !(0..=RESIZE_MAX).contains(&size) {
            return Err(Error::new(
                codes::TOO_LARGE_ARRAY_SIZE,
                format!("Array size {size} must be non-negative and at most {RESIZE_MAX}"),
            ));
        }
        (0..size).for_each(|_| picks.push(row as u32));
        picks.end_row()?;
    }
    picks.finish(&column, call)
}

fn string_concat_type(a: &Args) -> Result<DataType> {
    first_array(a)?;
    a.string(1)?;
    Ok(DataType::String)
}

fn string_concat(call: &FunctionCall) -> Result<Column> {
    let a = call.array(0)?;
    let items =
        super::cast::cast_column(&a.items, &DataType::nullable(DataType::String), call.context)?;
    let strings = super::strings::Strings::of(items.array.as_ref())?;
    let separator = if call.arguments.len() > 1 { Some(call.strings(1)?) } else { None };
    let mut out = StringsBuilder::with_capacity(call.rows, strings.total(items.len()));
    for row in 0..call.rows {
        let mut first = true;
        for i in a.range(row) {
            if items.is_null(i) {
                continue;
            }
            if let (false, Some(separator)) = (first, &separator) {
                out.bytes.extend_from_slice(separator.get(row));
            }
            first = false;
            out.bytes.extend_from_slice(strings.get(i));
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn zip_type(a: &Args, nullable: bool) -> Result<DataType> {
    let elements = (0..a.len())
        .map(|i| {
            let item = item_of(a, i)?;
            let data_type = if nullable { item.or_null() } else { item };
            Ok(TupleElement { name: None, data_type })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(DataType::array(DataType::Tuple(elements)))
}

/// Arrays side by side; unaligned ones are filled with NULL.
fn zip(call: &FunctionCall, unaligned: bool) -> Result<Column> {
    let item = item_result(call)?.clone();
    let DataType::Tuple(elements) = &item else {
        return Err(super::type_rule::illegal_column("arrayZip yields tuples"));
    };
    let arrays = (0..call.arguments.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    if !unaligned {
        if arrays.iter().any(|a| a.offsets != arrays[0].offsets) {
            return Err(sizes_differ("arrayZip"));
        }
        let columns = arrays.iter().map(|a| a.items.clone()).collect();
        let rows = arrays[0].items.len();
        let tuples = super::elementwise::tuple_column(&item, columns, rows)?;
        return call.finish(lists::list(&item, arrays[0].offsets.clone(), tuples.array));
    }
    let mut offsets = vec![0i32];
    let mut picks: Vec<Vec<Option<u32>>> = vec![vec![]; arrays.len()];
    for row in 0..call.rows {
        let size = arrays.iter().map(|a| a.range(row).len()).max().unwrap_or(0);
        for (a, picks) in arrays.iter().zip(&mut picks) {
            let range = a.range(row);
            picks.extend((0..size).map(|i| (i < range.len()).then(|| (range.start + i) as u32)));
        }
        offsets.push(offsets[row] + size as i32);
    }
    let columns = arrays
        .iter()
        .zip(picks)
        .zip(elements)
        .map(|((a, picks), e)| {
            let items = super::cast::cast_column(&a.items, &e.data_type, call.context)?;
            Ok(items.take(&arrow_array::UInt32Array::from(picks)))
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = *offsets.last().unwrap_or(&0) as usize;
    let tuples = super::elementwise::tuple_column(&item, columns, rows)?;
    call.finish(lists::list(&item, offsets, tuples.array))
}

/// Error 190.
pub(super) fn sizes_differ(function: &str) -> Error {
    Error::new(
        codes::SIZES_OF_ARRAYS_DONT_MATCH,
        format!("The argument arrays of function {function} must have equal sizes"),
    )
}
