//! Searching arrays and comparing their items: has, hasAny, indexOf, arrayDistinct, arrayUniq,
//! arrayIntersect, arrayCompact and the like.

use pumphouse_storage::{Column, DataType, Value};

use super::array::{all_arrays_type, first_array, item_of, sizes_differ};
use super::gather::{ArrayArgument, Picks};
use super::identity::{WordMap, identify, identify_all};
use super::invoke::{is_null_type, null_type, strip_argument, strip_low_cardinality};
use super::native::{Native, values};
use super::promote::common_type;
use super::registry::Registry;
use super::type_rule::Args;
use super::{Argument, ArgumentType, FunctionCall, lists};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("has", 2..=2, |a| search_type(a, DataType::UInt8), has)
        .own_nulls()
        .drops_low_cardinality();
    r.add("indexOf", 2..=2, |a| search_type(a, DataType::UInt64), index_of)
        .own_nulls()
        .drops_low_cardinality();
    r.add("countEqual", 2..=2, |a| search_type(a, DataType::UInt64), count_equal)
        .own_nulls()
        .drops_low_cardinality();
    r.add("hasAny", 2..=2, sets_type, |c| sets(c, SetTest::Any)).own_types();
    r.add("hasAll", 2..=2, sets_type, |c| sets(c, SetTest::All)).own_types();
    r.add("hasSubstr", 2..=2, sets_type, |c| sets(c, SetTest::Run)).own_types();
    r.add(
        "arrayDistinct",
        1..=1,
        |a| Ok(DataType::array(first_array(a)?.without_nullable())),
        distinct,
    )
    .own_nulls();
    r.add("arrayUniq", 1..=usize::MAX, |a| arrays(a, DataType::UInt32), uniq).own_nulls();
    for (name, how) in
        [("arrayEnumerateUniq", Enumerate::Occurrence), ("arrayEnumerateDense", Enumerate::Dense)]
    {
        r.add(
            name,
            1..=usize::MAX,
            |a| arrays(a, DataType::array(DataType::UInt32)),
            move |c| enumerate(c, how),
        )
        .own_nulls();
    }
    r.add("arrayEnumerate", 1..=1, |a| arrays(a, DataType::array(DataType::UInt32)), positions)
        .own_nulls();
    r.add("arrayCompact", 1..=1, |a| first_array(a).map(|_| a.get(0).clone()), compact).own_nulls();
    r.add("arrayIntersect", 1..=usize::MAX, intersect_type, intersect).own_nulls();
    r.add("arrayUnion", 1..=usize::MAX, all_arrays_type, union).own_nulls();
}

fn arrays(a: &Args, result: DataType) -> Result<DataType> {
    (0..a.len()).try_for_each(|i| item_of(a, i).map(|_| ()))?;
    Ok(result)
}

fn search_type(a: &Args, result: DataType) -> Result<DataType> {
    let item = match a.get(0) {
        DataType::Map(k, _) if a.function == "has" => (**k).clone(),
        _ => first_array(a)?,
    };
    // Numbers are compared as they are, up to 64 bits.
    let narrow = |t: &DataType| t.is_number() && !super::wide::is_wide(t);
    let comparable = narrow(&item.without_nullable()) && narrow(&a.get(1).without_nullable());
    if !comparable && !is_null_type(a.get(1)) {
        common_type(&[item, a.get(1).clone()])?;
    }
    Ok(result)
}

/// For every item whether it equals the row's needle (NULL equals NULL).
pub(super) fn matches(call: &FunctionCall) -> Result<(ArrayArgument, Vec<u8>)> {
    let mut a = call.array(0)?;
    if let DataType::Map(..) = call.data_type(0)? {
        a.items = super::elementwise::elements(&a.items).swap_remove(0);
    }
    let rows = a.items.len();
    let mut needle = call.raw(1)?.clone();
    let fixed = |t: &DataType| matches!(t.inner(), DataType::FixedString(_));
    let padded = fixed(&a.items.data_type);
    let constant = call.is_constant(0) || call.is_constant(1) && !padded;
    if constant && (padded || fixed(&needle.data_type)) {
        // Against a constant zero bytes at the end count, elsewhere they do not.
        (a.items, needle) = (with_zeros(&a.items)?, with_zeros(&needle)?);
    }
    let needle = if call.is_constant(1) {
        Argument::Constant(needle)
    } else {
        let rows = lists::row_of_items(&a.offsets);
        Argument::Column(needle.take(&arrow_array::UInt32Array::from(rows)))
    };
    let nullable = a.items.data_type.is_nullable() || call.data_type(1)?.is_nullable();
    let name = if nullable { "isNotDistinctFrom" } else { "equals" };
    let function = super::lookup(name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown function {name}")))?;
    let arguments = [Argument::Column(a.items.clone()), needle];
    let hits = super::call(&function, call.context, &arguments, &DataType::UInt8, rows)?;
    Ok((a, values::<u8>(&hits).to_vec()))
}

/// Texts of a fixed width as Strings that keep their zero bytes; other columns as they are.
pub(super) fn with_zeros(column: &Column) -> Result<Column> {
    let to = match &column.data_type {
        DataType::FixedString(_) => DataType::String,
        DataType::Nullable(t) if matches!(**t, DataType::FixedString(_)) => {
            DataType::nullable(DataType::String)
        }
        _ => return Ok(column.clone()),
    };
    let values: Vec<Value> = (0..column.len()).map(|row| column.value(row)).collect();
    Ok(Column::from_values(to, &values)?)
}

fn has(call: &FunctionCall) -> Result<Column> {
    let (a, hits) = matches(call)?;
    call.finish_numbers(
        (0..call.rows).map(|row| u8::from(hits[a.range(row)].contains(&1))).collect::<Vec<_>>(),
    )
}

fn index_of(call: &FunctionCall) -> Result<Column> {
    let (a, hits) = matches(call)?;
    call.finish_numbers(
        (0..call.rows)
            .map(|row| hits[a.range(row)].iter().position(|h| *h != 0).map_or(0, |p| p as u64 + 1))
            .collect::<Vec<_>>(),
    )
}

fn count_equal(call: &FunctionCall) -> Result<Column> {
    let (a, hits) = matches(call)?;
    call.finish_numbers(
        (0..call.rows)
            .map(|row| hits[a.range(row)].iter().map(|h| *h as u64).sum())
            .collect::<Vec<u64>>(),
    )
}

fn sets_type(a: &Args) -> Result<DataType> {
    if a.items.iter().any(|i| is_null_type(&i.data_type)) {
        return Ok(null_type());
    }
    plain_items(a.function, a.items).map(|_| DataType::UInt8)
}

/// Error 386 unless the items of all arrays have a common type: refused where it is computed, by `strict`.
pub(super) fn check_items(function: &str, arguments: &[ArgumentType]) -> Result<()> {
    if arguments.iter().any(|i| is_null_type(&i.data_type)) {
        return Ok(());
    }
    let items = plain_items(function, arguments)?;
    // Items that carry their type have none in common with others.
    if items.iter().any(DataType::holds_run_time) && items.iter().any(|i| *i != items[0]) {
        return Err(super::promote::no_common_type(&items));
    }
    common_type(&items).map(|_| ())
}

fn plain_items(function: &str, arguments: &[ArgumentType]) -> Result<Vec<DataType>> {
    let plain: Vec<ArgumentType> = arguments
        .iter()
        .map(|i| ArgumentType { data_type: strip_low_cardinality(&i.data_type), ..i.clone() })
        .collect();
    let a = &Args { function, items: &plain };
    (0..a.len()).map(|i| item_of(a, i)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SetTest {
    Any,
    All,
    /// The second array stands in the first as it is.
    Run,
}

/// The arrays with their items as numbers, equal across the arrays.
fn numbered(
    call: &FunctionCall,
    null_is_default: bool,
) -> Result<(Vec<ArrayArgument>, Vec<Vec<u32>>)> {
    let arrays = (0..call.arguments.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    let types: Vec<super::ArgumentType> = arrays
        .iter()
        .map(|a| super::ArgumentType {
            data_type: a.items.data_type.clone(),
            constant: None,
            lambda_arity: None,
        })
        .collect();
    let common = super::promote::common_number_type(&types)?;
    let items = arrays
        .iter()
        .map(|a| {
            let items = super::cast::cast_column(&a.items, &common, call.context)?;
            if null_is_default { defaults_for_nulls(&items) } else { Ok(items) }
        })
        .collect::<Result<Vec<_>>>()?;
    let numbers = identify_all(&items)?;
    Ok((arrays, numbers))
}

fn defaults_for_nulls(items: &Column) -> Result<Column> {
    let data_type = items.data_type.without_nullable();
    if !items.data_type.is_nullable() || data_type == DataType::Nothing {
        return Ok(items.clone());
    }
    let default = Column::default_values(data_type.clone(), 1).value(0);
    let values: Vec<Value> = (0..items.len())
        .map(|i| if items.is_null(i) { default.clone() } else { items.value(i) })
        .collect();
    Ok(Column::from_values(data_type, &values)?)
}

fn sets(call: &FunctionCall, test: SetTest) -> Result<Column> {
    if is_null_type(call.result) {
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    if call.rows == 0 {
        return Ok(Column::default_values(call.result.clone(), 0));
    }
    // In ClickHouse, arrays of LowCardinality keep a NULL where the default is.
    let words = |a: &Argument| match a {
        Argument::Column(c) | Argument::Constant(c) => {
            matches!(c.data_type.without_low_cardinality(),
            DataType::Array(item) if matches!(**item, DataType::LowCardinality(_)))
        }
        Argument::Lambda(_) => false,
    };
    let null_is_default = call.arguments.iter().any(words);
    let plain: Vec<Argument> = call.arguments.iter().map(|a| strip_argument(a, false)).collect();
    let call = &FunctionCall { arguments: &plain, ..*call };
    let (arrays, numbers) = numbered(call, null_is_default)?;
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let left = &numbers[0][arrays[0].range(row)];
        let right = &numbers[1][arrays[1].range(row)];
        out.push(u8::from(match test {
            SetTest::Run => right.is_empty() || left.windows(right.len()).any(|w| w == right),
            SetTest::Any => contains_any(left, right),
            SetTest::All => {
                if left.len() * right.len() <= 256 {
                    right.iter().all(|r| left.contains(r))
                } else {
                    let seen: WordMap<()> = left.iter().map(|n| (*n as u64, ())).collect();
                    right.iter().all(|r| seen.contains_key(&(*r as u64)))
                }
            }
        }));
    }
    call.finish_numbers(out)
}

fn contains_any(left: &[u32], right: &[u32]) -> bool {
    if left.len() * right.len() <= 256 {
        return right.iter().any(|r| left.contains(r));
    }
    let seen: WordMap<()> = left.iter().map(|n| (*n as u64, ())).collect();
    right.iter().any(|r| seen.contains_key(&(*r as u64)))
}

fn distinct(call: &FunctionCall) -> Result<Column> {
    let a = call.array(0)?;
    let numbers = identify(&a.items);
    // Which row last took this number: no set to clear between rows.
    let mut taken = vec![usize::MAX; a.items.len() + 1];
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        for i in a.range(row) {
            let n = numbers[i] as usize;
            if n != 0 && taken[n] != row {
                taken[n] = row;
                picks.push(i as u32);
            }
        }
        picks.end_row()?;
    }
    picks.finish(&super::invoke::without_nulls(&a.items), call)
}

/// Numbers of whole positions over all argument arrays, which must have equal sizes.
fn position_numbers(call: &FunctionCall, function: &str) -> Result<(ArrayArgument, Vec<u32>)> {
    let first = call.array(0)?;
    let mut numbers = identify(&first.items);
    for i in 1..call.arguments.len() {
        let next = call.array(i)?;
        if next.offsets != first.offsets {
            return Err(sizes_differ(function));
        }
        let other = identify(&next.items);
        let mut seen: WordMap<u32> = WordMap::default();
        for (n, o) in numbers.iter_mut().zip(other) {
            let fresh = seen.len() as u32 + 1;
            *n = *seen.entry((*n as u64) << 32 | o as u64).or_insert(fresh);
        }
    }
    Ok((first, numbers))
}

fn uniq(call: &FunctionCall) -> Result<Column> {
    let (a, numbers) = position_numbers(call, "arrayUniq")?;
    let mut taken = vec![usize::MAX; a.items.len() + 1];
    let mut counts = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let mut count = 0u32;
        for i in a.range(row) {
            let n = numbers[i] as usize;
            if taken[n] != row {
                taken[n] = row;
                count += 1;
            }
        }
        counts.push(count);
    }
    call.finish_numbers(counts)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Enumerate {
    Occurrence,
    Dense,
}

fn enumerate(call: &FunctionCall, how: Enumerate) -> Result<Column> {
    let (a, numbers) = position_numbers(call, "arrayEnumerate")?;
    let mut taken = vec![usize::MAX; a.items.len() + 1];
    let mut value = vec![0u32; a.items.len() + 1];
    let mut out = Vec::with_capacity(a.items.len());
    for row in 0..call.rows {
        let mut different = 0;
        for i in a.range(row) {
            let n = numbers[i] as usize;
            if taken[n] != row {
                taken[n] = row;
                different += 1;
                value[n] = if how == Enumerate::Dense { different } else { 1 };
            } else if how == Enumerate::Occurrence {
                value[n] += 1;
            }
            out.push(value[n]);
        }
    }
    call.finish(lists::list(&DataType::UInt32, a.offsets, u32::array(out)))
}

fn positions(call: &FunctionCall) -> Result<Column> {
    let a = call.array(0)?;
    let mut out = Vec::with_capacity(a.items.len());
    for row in 0..call.rows {
        out.extend(1..=a.range(row).len() as u32);
    }
    call.finish(lists::list(&DataType::UInt32, a.offsets, u32::array(out)))
}

fn compact(call: &FunctionCall) -> Result<Column> {
    let a = call.array(0)?;
    let numbers = identify(&a.items);
    let mut picks = Picks::with_capacity(call.rows, a.items.len());
    for row in 0..call.rows {
        let range = a.range(row);
        let start = range.start;
        for i in range {
            if i == start || numbers[i] != numbers[i - 1] {
                picks.push(i as u32);
            }
        }
        picks.end_row()?;
    }
    picks.finish(&a.items, call)
}

/// What all arrays hold has the narrowest of their types.
fn intersect_type(a: &Args) -> Result<DataType> {
    let items = (0..a.len()).map(|i| item_of(a, i)).collect::<Result<Vec<_>>>()?;
    let arguments = items.iter().map(|t| ArgumentType {
        data_type: t.clone(),
        constant: None,
        lambda_arity: None,
    });
    super::promote::common_number_type(&arguments.collect::<Vec<_>>())?;
    // Of a bare NULL there is no array that others could be converted to.
    if let Some(other) = items.iter().find(|t| !is_null_type(t) && **t != DataType::Nothing)
        && items.iter().any(is_null_type)
    {
        return Err(match other.is_nullable() {
            true => Error::new(
                codes::CANNOT_CONVERT_TYPE,
                format!("Cannot convert column of type {other} to Nullable(Nothing)"),
            ),
            false => super::promote::no_common_type(&items),
        });
    }
    let all_nullable = items.iter().all(DataType::is_nullable);
    let narrowest = items
        .iter()
        .map(DataType::without_nullable)
        .min_by_key(|t| (super::promote::bits(t), !t.is_unsigned_integer()))
        .unwrap_or(DataType::Nothing);
    Ok(DataType::array(if all_nullable && narrowest.can_be_nullable() {
        DataType::nullable(narrowest)
    } else {
        narrowest
    }))
}

fn intersect(call: &FunctionCall) -> Result<Column> {
    let (arrays, numbers) = numbered(call, false)?;
    let DataType::Array(item) = call.result else {
        return Err(super::type_rule::illegal_column("arrayIntersect yields an array"));
    };
    let total: usize = arrays.iter().map(|a| a.items.len()).sum();
    // Per number: the row and how many arrays have had it so far.
    let mut seen = vec![(usize::MAX, 0usize); total + 1];
    let mut picks = Picks::with_capacity(call.rows, arrays[0].items.len());
    for row in 0..call.rows {
        for (index, (a, numbers)) in arrays.iter().zip(&numbers).enumerate().skip(1) {
            for i in a.range(row) {
                let slot = &mut seen[numbers[i] as usize];
                if index == 1 && *slot != (row, 1) {
                    *slot = (row, 1);
                } else if *slot == (row, index - 1) {
                    *slot = (row, index);
                }
            }
        }
        for i in arrays[0].range(row) {
            let slot = &mut seen[numbers[0][i] as usize];
            let wanted = arrays.len() - 1;
            let hit = if wanted == 0 { *slot != (row, usize::MAX) } else { *slot == (row, wanted) };
            if hit {
                *slot = (row, usize::MAX);
                picks.push(i as u32);
            }
        }
        picks.end_row()?;
    }
    // Values that all arrays hold fit the narrowest type.
    let items = if item.is_nullable() {
        arrays[0].items.clone()
    } else {
        super::invoke::without_nulls(&arrays[0].items)
    };
    let pool = super::cast::cast_column(&items, item, call.context)?;
    picks.finish(&pool, call)
}

fn union(call: &FunctionCall) -> Result<Column> {
    let (arrays, numbers) = numbered(call, false)?;
    let DataType::Array(item) = call.result else {
        return Err(super::type_rule::illegal_column("arrayUnion yields an array"));
    };
    let mut pool = super::gather::Pool::new(item);
    let starts = arrays.iter().map(|a| pool.add(&a.items, call)).collect::<Result<Vec<_>>>()?;
    let total: usize = arrays.iter().map(|a| a.items.len()).sum();
    let mut taken = vec![usize::MAX; total + 1];
    let mut picks = Picks::with_capacity(call.rows, total);
    for row in 0..call.rows {
        for ((a, numbers), start) in arrays.iter().zip(&numbers).zip(&starts) {
            for i in a.range(row) {
                let n = numbers[i] as usize;
                if taken[n] != row {
                    taken[n] = row;
                    picks.push(start + i as u32);
                }
            }
        }
        picks.end_row()?;
    }
    picks.finish(&pool.finish()?, call)
}
