//! and, or, xor, not: three-valued over NULL, any number counts as true unless 0.
//!
//! The result is UInt8, or Bool as soon as one argument is Bool.

use arrow_buffer::{BooleanBuffer, NullBuffer};
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::conditional::truth;
use super::invoke::is_null_type;
use super::native::{Native, values};
use super::registry::Registry;
use super::type_rule::Args;
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    r.add("and", 2..=usize::MAX, result_type, |c| and_or(c, true))
        .own_nulls()
        .drops_low_cardinality();
    r.add("or", 2..=usize::MAX, result_type, |c| and_or(c, false))
        .own_nulls()
        .drops_low_cardinality();
    r.add("xor", 2..=usize::MAX, result_type, xor).drops_low_cardinality();
    r.add("not", 1..=1, result_type, not);
}

fn result_type(a: &Args) -> Result<DataType> {
    let (mut nullable, mut bool_) = (false, false);
    for (i, item) in a.items.iter().enumerate() {
        let plain = item.data_type.without_nullable();
        let refused = matches!(
            plain,
            DataType::Decimal { .. }
                | DataType::Int128
                | DataType::Int256
                | DataType::UInt128
                | DataType::UInt256
        );
        if refused || (!plain.is_number() && plain != DataType::Nothing) {
            return Err(a.illegal(i));
        }
        nullable |= item.data_type.is_nullable();
        // For and, or a Nullable(Bool) is no Bool.
        let shown = if matches!(a.function, "and" | "or") { &item.data_type } else { &plain };
        bool_ |= *shown == DataType::Bool;
    }
    let result = if bool_ { DataType::Bool } else { DataType::UInt8 };
    Ok(if nullable { DataType::nullable(result) } else { result })
}

/// Three-valued and / or: `decisive` (false for and, true for or) beats NULL, NULL beats the rest.
fn and_or(call: &FunctionCall, and: bool) -> Result<Column> {
    let nullable = call.result.is_nullable();
    if !nullable {
        return call.finish_numbers(plain(call, and)?);
    }
    let mut decided = BooleanBuffer::new_unset(call.rows);
    let mut unknown = BooleanBuffer::new_unset(call.rows);
    for i in 0..call.arguments.len() {
        let column = call.column(i)?;
        if is_null_type(&column.data_type) {
            unknown = BooleanBuffer::new_set(call.rows);
            continue;
        }
        let holds = truth(&column)?;
        let valid = column
            .array
            .nulls()
            .map_or_else(|| BooleanBuffer::new_set(call.rows), |n| n.inner().clone());
        unknown = &unknown | &!&valid;
        let decisive = if and { &valid & &!&holds } else { holds };
        decided = &decided | &decisive;
    }
    let valid = &decided | &!&unknown;
    let words = (0..call.rows).map(|i| u8::from(decided.value(i) != and)).collect();
    let array = u8::array(words);
    call.finish(super::invoke::set_nulls(&array, Some(NullBuffer::new(valid))))
}

fn plain(call: &FunctionCall, and: bool) -> Result<Vec<u8>> {
    let mut out = vec![u8::from(and); call.rows];
    for i in 0..call.arguments.len() {
        let column = call.raw(i)?;
        if call.is_constant(i) {
            if truth(column)?.value(0) != and {
                return Ok(vec![u8::from(!and); call.rows]);
            }
            continue;
        }
        if matches!(column.data_type, DataType::UInt8 | DataType::Bool) {
            // Comparisons and other conditions: bytes against bytes.
            let bytes = values::<u8>(column);
            if and {
                out.iter_mut().zip(bytes).for_each(|(o, b)| *o &= u8::from(*b != 0));
            } else {
                out.iter_mut().zip(bytes).for_each(|(o, b)| *o |= u8::from(*b != 0));
            }
            continue;
        }
        let holds = truth(column)?;
        for (row, o) in out.iter_mut().enumerate() {
            let h = u8::from(holds.value(row));
            *o = if and { *o & h } else { *o | h };
        }
    }
    Ok(out)
}

fn xor(call: &FunctionCall) -> Result<Column> {
    let mut out = vec![0u8; call.rows];
    for i in 0..call.arguments.len() {
        let holds = truth(&call.column(i)?)?;
        for (row, o) in out.iter_mut().enumerate() {
            *o ^= u8::from(holds.value(row));
        }
    }
    call.finish_numbers(out)
}

fn not(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if matches!(column.data_type, DataType::UInt8 | DataType::Bool) {
        let bytes = values::<u8>(&column);
        return call.finish_numbers(bytes.iter().map(|b| u8::from(*b == 0)).collect::<Vec<_>>());
    }
    let holds = truth(&column)?;
    call.finish_numbers(holds.iter().map(|h| u8::from(!h)).collect::<Vec<_>>())
}
