//! The bits of an integer as arrays and text, and how many bits two integers differ in:
//! bitPositionsToArray, bitmaskToArray, bitmaskToList, bitHammingDistance.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::lists;
use super::native::{As, Native, with_native};
use super::promote::bits;
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::{Args, illegal_column};
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    r.add(
        "bitPositionsToArray",
        1..=1,
        |a| word(a).map(|_| DataType::array(DataType::UInt64)),
        positions,
    );
    r.add("bitmaskToArray", 1..=1, |a| word(a).map(DataType::array), powers);
    r.add("bitmaskToList", 1..=1, |a| word(a).map(|_| DataType::String), list);
    r.add(
        "bitHammingDistance",
        2..=2,
        |a| {
            (0..2).try_for_each(|i| a.require(i, is_word))?;
            Ok(DataType::UInt8)
        },
        distance,
    );
}

/// Integers of at most 64 bits; wider ones are not there.
fn is_word(data_type: &DataType) -> bool {
    *data_type == DataType::Nothing || (data_type.is_integer() && bits(data_type) <= 64)
}

fn word(a: &Args) -> Result<DataType> {
    a.require(0, is_word)?;
    Ok(a.get(0).clone())
}

/// The words of argument `index`, cut to the width of their type.
fn words(call: &FunctionCall, index: usize) -> Result<Vec<u64>> {
    let width = bits(call.data_type(index)?).clamp(1, 64);
    let numbers = call.numbers::<i64>(index)?;
    let mask = u64::MAX >> (64 - width);
    Ok((0..call.rows).map(|row| numbers.get(row) as u64 & mask).collect())
}

fn set_bits(word: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| word >> bit & 1 == 1)
}

fn positions(call: &FunctionCall) -> Result<Column> {
    let (mut items, mut offsets) = (vec![], vec![0i32]);
    for word in words(call, 0)? {
        items.extend(set_bits(word).map(u64::from));
        offsets.push(items.len() as i32);
    }
    call.finish(lists::list(&DataType::UInt64, offsets, u64::array(items)))
}

fn powers(call: &FunctionCall) -> Result<Column> {
    let (mut items, mut offsets) = (vec![], vec![0i32]);
    for word in words(call, 0)? {
        items.extend(set_bits(word).map(|bit| (1u64 << bit) as i64));
        offsets.push(items.len() as i32);
    }
    let DataType::Array(item) = call.result else { return Err(illegal_column("no array")) };
    with_native!(**item, T => {
        let items: Vec<T> = items.into_iter().map(As::<T>::to).collect();
        call.finish(lists::list(item, offsets, T::array(items)))
    }, else { Err(illegal_column("bitmaskToArray needs an integer")) })
}

/// Powers of two with commas; the sign bit of a signed integer is negative.
fn list(call: &FunctionCall) -> Result<Column> {
    let data_type = call.data_type(0)?;
    let sign = data_type.is_signed_integer().then(|| bits(data_type) - 1);
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 8);
    for word in words(call, 0)? {
        let powers: Vec<String> = set_bits(word)
            .map(|bit| match sign == Some(bit) {
                true => format!("-{}", 1u64 << bit),
                false => (1u64 << bit).to_string(),
            })
            .collect();
        out.push(powers.join(",").as_bytes());
    }
    call.finish(out.finish()?)
}

fn distance(call: &FunctionCall) -> Result<Column> {
    let wide = |i: usize| -> Result<_> { call.numbers::<i64>(i) };
    let (a, b) = (wide(0)?, wide(1)?);
    let width = bits(call.data_type(0)?).max(bits(call.data_type(1)?)).clamp(1, 64);
    let mask = u64::MAX >> (64 - width);
    let counts = (0..call.rows).map(|row| {
        let differing = (a.get(row) ^ b.get(row)) as u64 & mask;
        differing.count_ones() as u8
    });
    call.finish_numbers(counts.collect::<Vec<u8>>())
}
