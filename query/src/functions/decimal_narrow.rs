//! Decimals whose words fit 64 bits: arithmetic and comparisons in one pass of such words, without a
//! branch a row.
//!
//! An overflow is noticed at the end of the pass; the caller then takes the way over 128 bits, which
//! knows what the result or the error is. So what is answered here is what would be answered there.

use std::borrow::Cow;
use std::cell::Cell;

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::arithmetic::{Op, Operand, operand, zip};
use super::comparison::{Comparison, native};
use super::native::{load, values};
use crate::error::Result;

/// Whether the words of a type are integers of at most 64 bits, signed.
fn is_narrow(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal { precision, .. } => *precision <= 18,
        DataType::UInt64 => false,
        other => other.is_integer() && super::promote::bits(other) <= 64,
    }
}

fn power_of_ten(exponent: u32) -> Option<i64> {
    10i64.checked_pow(exponent)
}

/// Plus, minus or multiply with operands scaled up by powers of ten; None if this is not the place.
pub(super) fn arithmetic(op: Op, call: &FunctionCall, shift: (u32, u32)) -> Result<Option<Column>> {
    if !is_narrow(call.data_type(0)?) || !is_narrow(call.data_type(1)?) {
        return Ok(None);
    }
    let (Some(up_a), Some(up_b)) = (power_of_ten(shift.0), power_of_ten(shift.1)) else {
        return Ok(None);
    };
    let (a, b) = (operand::<i64>(call, 0)?, operand::<i64>(call, 1)?);
    let words = match op {
        Op::Multiply => checked(a, b, (1, 1), call.rows, i64::overflowing_mul)?,
        Op::Plus => checked(a, b, (up_a, up_b), call.rows, i64::overflowing_add)?,
        Op::Minus => checked(a, b, (up_a, up_b), call.rows, i64::overflowing_sub)?,
        _ => None,
    };
    let Some(words) = words else { return Ok(None) };
    match call.result.arrow() {
        arrow_schema::DataType::Int64 => call.finish_numbers(words).map(Some),
        arrow_schema::DataType::Int32 => {
            let fits = words.iter().fold(true, |fits, w| fits & (*w == *w as i32 as i64));
            let narrow = || words.iter().map(|w| *w as i32).collect::<Vec<i32>>();
            fits.then(|| call.finish_numbers(narrow())).transpose()
        }
        _ => Ok(None),
    }
}

/// `f` over all rows; None if it or the scaling overflowed somewhere.
fn checked(
    a: Operand<i64>,
    b: Operand<i64>,
    (up_a, up_b): (i64, i64),
    rows: usize,
    f: impl Fn(i64, i64) -> (i64, bool),
) -> Result<Option<Vec<i64>>> {
    let passed = Cell::new(false);
    let (a, b) = match (scaled_one(a, up_a), scaled_one(b, up_b)) {
        (Some(a), Some(b)) => (a, b),
        _ => return Ok(None),
    };
    let words = match (a, b) {
        ((a, 1), (b, 1)) => zip(a, b, rows, |x, y| {
            let (word, over) = f(x, y);
            passed.set(passed.get() | over);
            word
        })?,
        ((a, up_a), (b, up_b)) => zip(a, b, rows, |x, y| {
            let ((x, over_x), (y, over_y)) = (x.overflowing_mul(up_a), y.overflowing_mul(up_b));
            let (word, over) = f(x, y);
            passed.set(passed.get() | over | over_x | over_y);
            word
        })?,
    };
    Ok((!passed.get()).then_some(words))
}

/// A constant scaled up once; what each row is still to be multiplied by. None at an overflow.
fn scaled_one(operand: Operand<'_, i64>, up: i64) -> Option<(Operand<'_, i64>, i64)> {
    match operand {
        Operand::One(word) => Some((Operand::One(word.checked_mul(up)?), 1)),
        rows => Some((rows, up)),
    }
}

/// 0 or 1 for each row, of sides scaled up by powers of ten; in `width` bits every scaled word must
/// fit. None if this is not the place.
pub(super) fn compare(
    op: Comparison,
    call: &FunctionCall,
    shift: (u32, u32),
    width: u32,
) -> Result<Option<Vec<u8>>> {
    if !is_narrow(call.data_type(0)?) || !is_narrow(call.data_type(1)?) {
        return Ok(None);
    }
    let (Some(up_a), Some(up_b)) = (power_of_ten(shift.0), power_of_ten(shift.1)) else {
        return Ok(None);
    };
    let (Some(a), Some(b)) = (side(call, 0, up_a, width)?, side(call, 1, up_b, width)?) else {
        return Ok(None);
    };
    native(op, a.operand(), b.operand(), call.rows).map(Some)
}

/// Words of one side of a comparison.
enum Side<'a> {
    One(i64),
    Many(Cow<'a, [i64]>),
}

impl Side<'_> {
    fn operand(&self) -> Operand<'_, i64> {
        match self {
            Side::One(word) => Operand::One(*word),
            Side::Many(words) => Operand::Direct(words),
        }
    }
}

fn side<'a>(
    call: &FunctionCall<'a>,
    index: usize,
    up: i64,
    width: u32,
) -> Result<Option<Side<'a>>> {
    let column = call.raw(index)?;
    let lowest = i64::MIN >> (64 - width.clamp(8, 64));
    let fits = |word: i64| (lowest..=!lowest).contains(&word);
    if call.is_constant(index) {
        let Some(word) = load::<i64>(column)?.first().and_then(|w| w.checked_mul(up)) else {
            return Ok(None);
        };
        return Ok(fits(word).then_some(Side::One(word)));
    }
    let direct = column.array.data_type() == &arrow_schema::DataType::Int64;
    if up == 1 && direct && width >= 64 {
        return Ok(Some(Side::Many(Cow::Borrowed(values::<i64>(column)))));
    }
    let mut words = load::<i64>(column)?;
    if up != 1 || width < 64 {
        let mut all_fit = true;
        for word in &mut words {
            let (scaled, over) = word.overflowing_mul(up);
            all_fit &= !over & fits(scaled);
            *word = scaled;
        }
        if !all_fit {
            return Ok(None);
        }
    }
    Ok(Some(Side::Many(Cow::Owned(words))))
}

/// A column of decimals against a constant float: the words on either side of it are found once, as
/// a word's float never falls when the word grows.
pub(super) fn compare_float(
    op: Comparison,
    call: &FunctionCall,
    index: usize,
) -> Result<Option<Vec<u8>>> {
    let DataType::Decimal { precision: 0..=18, scale } = *call.data_type(index)? else {
        return Ok(None);
    };
    let Some(float) = load::<f64>(call.raw(1 - index)?)?.first().copied() else {
        return Ok(None);
    };
    if float.is_nan() || !call.is_constant(1 - index) || call.is_constant(index) {
        return Ok(None);
    }
    let power = 10f64.powi(scale as i32);
    let as_float = |word: i64| word as f64 / power;
    // The first words that are not below it, and that are above it.
    let first = first_word(|word| as_float(word) >= float);
    let behind = first_word(|word| as_float(word) > float);
    let words = operand::<i64>(call, index)?;
    let none = Operand::One(0);
    let rows = call.rows;
    let end = i64::MAX as i128 + 1;
    let (low, high, negated) = match if index == 0 { op } else { op.swapped() } {
        Comparison::Equals => (first, behind, false),
        Comparison::NotEquals => (first, behind, true),
        Comparison::Less => (i64::MIN as i128, first, false),
        Comparison::LessOrEquals => (i64::MIN as i128, behind, false),
        Comparison::Greater => (behind, end, false),
        Comparison::GreaterOrEquals => (first, end, false),
    };
    if low >= high {
        return Ok(Some(vec![u8::from(negated); rows]));
    }
    // From `low` up to the last word, both included, as one unsigned comparison.
    let (from, span) = (low as i64, (high - 1 - low) as u64);
    let flag = |word: i64, _: i64| u8::from((word.wrapping_sub(from) as u64 <= span) != negated);
    zip(words, none, rows, flag).map(Some)
}

/// The least word for which a condition that stays true holds; one more than the greatest if none.
fn first_word(holds: impl Fn(i64) -> bool) -> i128 {
    let (mut low, mut high) = (i64::MIN as i128, i64::MAX as i128 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle as i64) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
