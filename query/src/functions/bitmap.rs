//! Functions over bitmaps, which are states of `groupBitmap`: `bitmapBuild`, `bitmapToArray`,
//! cardinalities, set operations, parts of a bitmap.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::lists;
use super::registry::Registry;
use super::type_rule::{Args, illegal_column};
use crate::aggregates::bitmaps::{Words, is_word};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("bitmapBuild", 1..=1, build_type, build);
    r.add("bitmapToArray", 1..=1, |a| Ok(DataType::array(item(a, 0)?)), to_array);
    number(r, "bitmapCardinality", DataType::UInt64, 1, |w| w[0].len() as u64);
    number(r, "bitmapMin", DataType::UInt64, 1, |w| {
        w[0].to_vec().into_iter().min().unwrap_or(u32::MAX as u64)
    });
    number(r, "bitmapMax", DataType::UInt64, 1, |w| w[0].to_vec().into_iter().max().unwrap_or(0));
    number(r, "bitmapAndCardinality", DataType::UInt64, 2, |w| set(w, Words::and).len() as u64);
    number(r, "bitmapOrCardinality", DataType::UInt64, 2, |w| set(w, Words::or).len() as u64);
    number(r, "bitmapXorCardinality", DataType::UInt64, 2, |w| set(w, Words::xor).len() as u64);
    number(r, "bitmapAndnotCardinality", DataType::UInt64, 2, |w| {
        set(w, Words::and_not).len() as u64
    });
    number(r, "bitmapHasAny", DataType::UInt8, 2, |w| u64::from(set(w, Words::and).len() > 0));
    number(r, "bitmapHasAll", DataType::UInt8, 2, |w| {
        u64::from(w[1].to_vec().into_iter().all(|v| w[0].contains(v)))
    });
    bitmap(r, "bitmapAnd", |w| set(w, Words::and));
    bitmap(r, "bitmapOr", |w| set(w, Words::or));
    bitmap(r, "bitmapXor", |w| set(w, Words::xor));
    bitmap(r, "bitmapAndnot", |w| set(w, Words::and_not));
    r.add(
        "bitmapContains",
        2..=2,
        |a| {
            item(a, 0)?;
            a.integer(1)?;
            Ok(DataType::UInt8)
        },
        contains,
    );
    part(r, "bitmapSubsetInRange", |words, from, to| {
        words.into_iter().filter(|w| (from..to).contains(w)).collect()
    });
    part(r, "bitmapSubsetLimit", |mut words, from, count| {
        words.sort_unstable();
        words.into_iter().filter(|w| *w >= from).take(count as usize).collect()
    });
    part(r, "subBitmap", |mut words, offset, count| {
        words.sort_unstable();
        words.into_iter().skip(offset as usize).take(count as usize).collect()
    });
    r.add(
        "bitmapTransform",
        3..=3,
        |a| {
            item(a, 0)?;
            for i in [1, 2] {
                a.require(i, |t| matches!(t, DataType::Array(_)))?;
            }
            Ok(a.get(0).clone())
        },
        transform,
    );
}

/// The type of a bitmap's elements.
fn item(a: &Args, index: usize) -> Result<DataType> {
    match a.get(index) {
        DataType::AggregateFunction { name, arguments, .. } if name == "groupBitmap" => {
            arguments.first().cloned().ok_or_else(|| a.illegal(index))
        }
        _ => Err(a.illegal(index)),
    }
}

/// Bitmaps of one element type.
fn same_items(a: &Args) -> Result<DataType> {
    let first = item(a, 0)?;
    for i in 1..a.len() {
        if item(a, i)? != first {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!(
                    "The nested type in bitmaps must be the same, but one is {} and the other is {}",
                    a.get(0),
                    a.get(i)
                ),
            ));
        }
    }
    Ok(first)
}

fn set(words: &[Words], operation: impl Fn(&mut Words, &Words)) -> Words {
    let mut result = words[0].clone();
    operation(&mut result, &words[1]);
    result
}

fn bitmap_type(item: DataType) -> DataType {
    DataType::AggregateFunction {
        name: "groupBitmap".into(),
        parameters: vec![],
        arguments: vec![item],
    }
}

fn build_type(a: &Args) -> Result<DataType> {
    match a.get(0) {
        DataType::Array(item) if is_word(item) => Ok(bitmap_type((**item).clone())),
        DataType::Array(item) if **item == DataType::Nothing => Ok(bitmap_type(DataType::UInt8)),
        _ => Err(a.illegal(0)),
    }
}

/// A word as `Words` holds it: the value's bits in its own width.
fn word(value: &Value, width: u32) -> u64 {
    let bits = value.as_i128().unwrap_or(0) as u64;
    if width >= 64 { bits } else { bits & ((1 << width) - 1) }
}

fn column_of(call: &FunctionCall, bitmaps: impl Iterator<Item = Result<Words>>) -> Result<Column> {
    let mut builder = BinaryBuilder::new();
    let mut bytes = vec![];
    for bitmap in bitmaps {
        bytes.clear();
        bitmap?.write(&mut bytes);
        builder.append_value(&bytes);
    }
    let array: ArrayRef = Arc::new(builder.finish());
    call.finish(array)
}

fn build(call: &FunctionCall) -> Result<Column> {
    let column = lists::compact(&call.column(0)?);
    let items = lists::items(&column);
    let width = super::promote::bits(&items.data_type);
    let offsets = lists::offsets(&column);
    column_of(
        call,
        offsets.windows(2).map(|w| {
            Ok((w[0] as usize..w[1] as usize).map(|i| word(&items.value(i), width)).collect())
        }),
    )
}

/// The bitmaps of row `row` of the first `count` arguments.
fn words(columns: &[Column], row: usize) -> Result<Vec<Words>> {
    columns.iter().map(|c| Words::read(c.array.as_binary::<i32>().value(row))).collect()
}

fn number(
    r: &mut Registry,
    name: &'static str,
    result: DataType,
    count: usize,
    f: impl Fn(&[Words]) -> u64 + Send + Sync + 'static,
) {
    r.add(
        name,
        count..=count,
        move |a| same_items(a).map(|_| result.clone()),
        move |c| {
            let columns = (0..count).map(|i| c.column(i)).collect::<Result<Vec<_>>>()?;
            let values =
                (0..c.rows).map(|row| Ok(f(&words(&columns, row)?))).collect::<Result<Vec<_>>>()?;
            match c.result {
                DataType::UInt8 => {
                    c.finish_numbers(values.into_iter().map(|v| v as u8).collect::<Vec<_>>())
                }
                _ => c.finish_numbers(values),
            }
        },
    );
}

fn bitmap(
    r: &mut Registry,
    name: &'static str,
    f: impl Fn(&[Words]) -> Words + Send + Sync + 'static,
) {
    r.add(
        name,
        2..=2,
        |a| same_items(a).map(|_| a.get(0).clone()),
        move |c| {
            let columns = [c.column(0)?, c.column(1)?];
            column_of(c, (0..c.rows).map(|row| Ok(f(&words(&columns, row)?))))
        },
    );
}

fn part(
    r: &mut Registry,
    name: &'static str,
    f: impl Fn(Vec<u64>, u64, u64) -> Words + Send + Sync + 'static,
) {
    r.add(
        name,
        3..=3,
        |a| {
            item(a, 0)?;
            a.integer(1)?;
            a.integer(2)?;
            Ok(a.get(0).clone())
        },
        move |c| {
            let column = [c.column(0)?];
            let (from, to) = (c.numbers::<u64>(1)?, c.numbers::<u64>(2)?);
            column_of(
                c,
                (0..c.rows)
                    .map(|row| Ok(f(words(&column, row)?[0].to_vec(), from.get(row), to.get(row)))),
            )
        },
    );
}

fn contains(call: &FunctionCall) -> Result<Column> {
    let column = [call.column(0)?];
    let values = call.column(1)?;
    let width = match &column[0].data_type {
        DataType::AggregateFunction { arguments, .. } => {
            arguments.first().map_or(64, super::promote::bits)
        }
        _ => 64,
    };
    let found = (0..call.rows)
        .map(|row| Ok(words(&column, row)?[0].contains(word(&values.value(row), width)) as u8))
        .collect::<Result<Vec<_>>>()?;
    call.finish_numbers(found)
}

fn to_array(call: &FunctionCall) -> Result<Column> {
    let column = [call.column(0)?];
    let DataType::Array(item) = call.result else {
        return Err(illegal_column("bitmapToArray gives an array"));
    };
    let signed = item.is_signed_integer();
    let unused = 64 - super::promote::bits(item).min(64);
    let rows = (0..call.rows)
        .map(|row| {
            let values = words(&column, row)?[0].to_vec().into_iter();
            Ok(Value::Array(
                values
                    .map(|w| match signed {
                        true => Value::Int(((w << unused) as i64) >> unused),
                        false => Value::UInt(w),
                    })
                    .collect(),
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Column::from_values(call.result.clone(), &rows)?)
}

fn transform(call: &FunctionCall) -> Result<Column> {
    let column = [call.column(0)?];
    let (from, to) = (call.column(1)?, call.column(2)?);
    column_of(
        call,
        (0..call.rows).map(|row| {
            let list = |c: &Column| match c.value(row) {
                Value::Array(items) => items.iter().map(|v| word(v, 64)).collect::<Vec<u64>>(),
                _ => vec![],
            };
            let (from, to) = (list(&from), list(&to));
            if from.len() != to.len() {
                return Err(illegal_column(
                    "For function bitmapTransform, arrays must have equal sizes",
                ));
            }
            let mut bitmap = words(&column, row)?.remove(0);
            for (old, new) in from.iter().zip(&to) {
                if old != new && bitmap.contains(*old) {
                    let gone: Words = [*old].into_iter().collect();
                    bitmap.and_not(&gone);
                    bitmap.insert(*new);
                }
            }
            Ok(bitmap)
        }),
    )
}
