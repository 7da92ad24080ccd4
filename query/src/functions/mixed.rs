//! The exact but slow comparisons: wide integers, integers against floats, decimals, nested values.

use std::cmp::Ordering;

use arrow_buffer::{NullBuffer, i256};
use pumphouse_storage::{Column, DataType, Value};

use super::comparison::{Comparison, compare};
use super::decimal::{scale_of, to_floats};
use super::elementwise::elements;
use super::interval::Unit;
use super::invoke::is_null_type;
use super::native::load;
use super::wide::{f64_to_i256, load_wide};
use super::{Argument, FunctionCall, decimal_narrow};
use crate::error::{Error, Result, codes};

/// One side as exact numbers.
enum Side {
    Words(Vec<i256>, bool),
    Floats(Vec<f64>),
}

fn side(column: &Column) -> Result<Side> {
    Ok(if column.data_type.is_float() {
        Side::Floats(load::<f64>(column)?)
    } else {
        Side::Words(load_wide(column)?, column.data_type == DataType::UInt256)
    })
}

/// Order of 256 bit words, each signed or not.
fn compare_words(a: i256, unsigned_a: bool, b: i256, unsigned_b: bool) -> Ordering {
    let top = |v: i256, unsigned: bool| unsigned && v.is_negative();
    match (top(a, unsigned_a), top(b, unsigned_b)) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a.cmp(&b),
    }
}

/// The same of a word that may be unsigned: with its highest bit it is 2^255 more than without.
fn compare_any_word_float(word: i256, unsigned: bool, float: f64) -> Option<Ordering> {
    if !unsigned || !word.is_negative() {
        return compare_word_float(word, float);
    }
    let half = 2f64.powi(255);
    if float < half {
        return Some(Ordering::Greater);
    }
    // Exact: such floats are multiples of 2^203.
    compare_word_float(word.wrapping_sub(i256::MIN), float - half)
}

fn compare_word_float(word: i256, f: f64) -> Option<Ordering> {
    if f.is_nan() {
        return None;
    }
    if f.abs() >= 2f64.powi(255) {
        return Some(if f > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = f64_to_i256(f);
    Some(word.cmp(&whole).then_with(|| 0.0.partial_cmp(&f.fract()).unwrap_or(Ordering::Equal)))
}

/// Numbers of any types by value.
pub(super) fn numbers(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (a, b) = (side(&call.column(0)?)?, side(&call.column(1)?)?);
    let row = |i: usize| -> Option<Ordering> {
        match (&a, &b) {
            (Side::Words(x, u), Side::Words(y, v)) => Some(compare_words(x[i], *u, y[i], *v)),
            (Side::Words(x, u), Side::Floats(y)) => compare_any_word_float(x[i], *u, y[i]),
            (Side::Floats(x), Side::Words(y, v)) => {
                compare_any_word_float(y[i], *v, x[i]).map(Ordering::reverse)
            }
            (Side::Floats(x), Side::Floats(y)) => x[i].partial_cmp(&y[i]),
        }
    };
    Ok((0..call.rows).map(|i| u8::from(op.holds(row(i)))).collect())
}

/// Decimals against numbers: scaled to one scale, or as floats beside a float.
pub(super) fn decimals(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    if let Some(flags) = narrow_decimals(op, call)? {
        return Ok(flags);
    }
    let (l, r) = (call.column(0)?, call.column(1)?);
    if l.data_type.is_float() || r.data_type.is_float() {
        let (a, b) = (to_floats(&l)?, to_floats(&r)?);
        return Ok(a.iter().zip(&b).map(|(x, y)| u8::from(op.holds(x.partial_cmp(y)))).collect());
    }
    let (s, t) = (scale_of(&l.data_type), scale_of(&r.data_type));
    let narrow = |t: &DataType| matches!(t, DataType::Decimal { precision: 0..=18, .. });
    let scale = s.max(t);
    let small = |t: &DataType| narrow(t) || (t.is_integer() && super::promote::bits(t) <= 64);
    if small(&l.data_type) && small(&r.data_type) {
        // Words of 64 bit and a power of ten of at most 18 digits fit 128 bit.
        let (up_a, up_b) = (10i128.pow((scale - s) as u32), 10i128.pow((scale - t) as u32));
        let (a, b) = (super::wide::load_i128(&l)?, super::wide::load_i128(&r)?);
        let width = compared_bits(&l.data_type, &r.data_type);
        return a
            .into_iter()
            .zip(b)
            .map(|(x, y)| {
                let (x, y) = (scaled(x, up_a, width)?, scaled(y, up_b, width)?);
                Ok(u8::from(op.holds(Some(x.cmp(&y)))))
            })
            .collect();
    }
    let power = |up: u8| i256::from_i128(10).wrapping_pow(up as u32);
    let (up_a, up_b) = (power(scale - s), power(scale - t));
    let (a, b) = (load_wide(&l)?, load_wide(&r)?);
    let width = compared_bits(&l.data_type, &r.data_type);
    let fits = |v: i256| match width {
        0..=64 => v.to_i128().is_some_and(|v| i64::try_from(v).is_ok()),
        65..=128 => v.to_i128().is_some(),
        _ => true,
    };
    a.into_iter()
        .zip(b)
        .map(|(x, y)| {
            let x = x.checked_mul(up_a).ok_or_else(super::wide::overflow)?;
            let y = y.checked_mul(up_b).ok_or_else(super::wide::overflow)?;
            if !fits(x) || !fits(y) {
                return Err(not_comparable());
            }
            Ok(u8::from(op.holds(Some(x.cmp(&y)))))
        })
        .collect()
}

/// The same where all fits 64 bits and the plain way is not needed.
fn narrow_decimals(op: Comparison, call: &FunctionCall) -> Result<Option<Vec<u8>>> {
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    match (l.is_float(), r.is_float()) {
        (false, false) => {
            let (s, t) = (scale_of(l) as u32, scale_of(r) as u32);
            let (scale, width) = (s.max(t), compared_bits(l, r));
            decimal_narrow::compare(op, call, (scale - s, scale - t), width)
        }
        (false, true) => decimal_narrow::compare_float(op, call, 0),
        (true, false) => decimal_narrow::compare_float(op, call, 1),
        (true, true) => Ok(None),
    }
}

/// Bits of the integers in which ClickHouse compares decimals: those of the wider one. An integer beside a
/// decimal has to fit the decimal's.
fn compared_bits(l: &DataType, r: &DataType) -> u32 {
    let bits = |data_type: &DataType| match data_type {
        DataType::Decimal { precision: 0..=9, .. } => 32,
        DataType::Decimal { precision: 10..=18, .. } => 64,
        DataType::Decimal { precision: 19..=38, .. } => 128,
        DataType::Decimal { .. } => 256,
        _ => 0,
    };
    bits(l).max(bits(r))
}

/// `value` with more digits behind the point; ClickHouse refuses what its width does not hold.
fn scaled(value: i128, up: i128, width: u32) -> Result<i128> {
    let made = value * up;
    let limit = 1i128 << (width.clamp(8, 64) - 1);
    match (-limit..limit).contains(&made) {
        true => Ok(made),
        false => Err(not_comparable()),
    }
}

fn not_comparable() -> Error {
    Error::new(codes::DECIMAL_OVERFLOW, "Can't compare decimal number due to overflow")
}

/// DateTime64 against a number of seconds.
pub(super) fn time64_and_number(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let as_decimal = |argument: &Argument| match argument {
        Argument::Column(c) => Argument::Column(decimal_of(c)),
        Argument::Constant(c) => Argument::Constant(decimal_of(c)),
        other => other.clone(),
    };
    let arguments: Vec<Argument> = call.arguments.iter().map(as_decimal).collect();
    decimals(op, &FunctionCall { arguments: &arguments, ..*call })
}

fn decimal_of(column: &Column) -> Column {
    match column.data_type {
        DataType::DateTime64(p, _) => Column {
            data_type: DataType::Decimal { precision: 18, scale: p },
            array: column.array.clone(),
        },
        _ => column.clone(),
    }
}

/// Intervals of different units, by their length (a month is 30.44 days).
pub(super) fn intervals(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let nanos = |column: &Column| -> Result<Vec<f64>> {
        let DataType::Interval(name) = column.data_type else {
            return Err(Error::new(codes::ILLEGAL_COLUMN, "expected intervals"));
        };
        let one = match Unit::of_interval(name).unwrap_or(Unit::Second) {
            Unit::Nanosecond => 1.0,
            Unit::Microsecond => 1e3,
            Unit::Millisecond => 1e6,
            Unit::Month => 2_629_746e9,
            Unit::Quarter => 7_889_238e9,
            Unit::Year => 31_556_952e9,
            unit => unit.seconds() as f64 * 1e9,
        };
        Ok(load::<f64>(column)?.into_iter().map(|v| v * one).collect())
    };
    let (a, b) = (nanos(&call.column(0)?)?, nanos(&call.column(1)?)?);
    Ok(a.iter().zip(&b).map(|(x, y)| u8::from(op.holds(x.partial_cmp(y)))).collect())
}

/// Nested values one by one.
pub(super) fn by_value(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (l, r) = alike(&call.column(0)?, &call.column(1)?, call)?;
    Ok((0..call.rows)
        .map(|i| u8::from(op.holds(compare_values(&l.value(i), &r.value(i)))))
        .collect())
}

/// Both in their common type, if they have one: values of different kinds have no order.
fn alike(l: &Column, r: &Column, call: &FunctionCall) -> Result<(Column, Column)> {
    if l.data_type == r.data_type {
        return Ok((l.clone(), r.clone()));
    }
    Ok(match super::promote::common_type(&[l.data_type.clone(), r.data_type.clone()]) {
        Ok(to) => (
            super::cast::cast_column(l, &to, call.context)?,
            super::cast::cast_column(r, &to, call.context)?,
        ),
        Err(_) => (l.clone(), r.clone()),
    })
}

fn compare_values(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        // In arrays NaN has a place: behind all numbers, and equal to itself.
        (Value::Array(_), Value::Array(_)) => Some(a.cmp(b)),
        (Value::Tuple(x), Value::Tuple(y)) => {
            for (p, q) in x.iter().zip(y) {
                match compare_values(p, q)? {
                    Ordering::Equal => {}
                    other => return Some(other),
                }
            }
            Some(x.len().cmp(&y.len()))
        }
        (Value::Float(x), Value::Float(y)) => x.partial_cmp(y),
        _ => Some(a.cmp(b)),
    }
}

/// Tuples with Nullable elements: element by element with three-valued logic.
pub(super) fn nullable_tuples(op: Comparison, call: &FunctionCall) -> Result<Column> {
    let (x, y) = (tuple_elements(call, 0)?, tuple_elements(call, 1)?);
    if x.iter().chain(&y).any(|e| is_null_type(type_of(e))) {
        // A bare NULL among the elements makes the whole comparison NULL.
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    let (words, valid) = element_by_element(op, call, &x, &y)?;
    let array = <u8 as super::native::Native>::array(words);
    call.finish(super::invoke::set_nulls(&array, Some(NullBuffer::from(valid))))
}

/// Tuples by their elements, each pair compared as its types are.
pub(super) fn tuples(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (x, y) = (tuple_elements(call, 0)?, tuple_elements(call, 1)?);
    if x.iter().chain(&y).any(|e| type_of(e).is_nullable()) {
        return by_value(op, call);
    }
    Ok(element_by_element(op, call, &x, &y)?.0)
}

fn tuple_elements(call: &FunctionCall, side: usize) -> Result<Vec<Argument>> {
    let constant = call.is_constant(side);
    let column = if constant { call.raw(side)?.clone() } else { call.column(side)? };
    let make = |c| if constant { Argument::Constant(c) } else { Argument::Column(c) };
    Ok(elements(&column).into_iter().map(make).collect())
}

fn type_of(argument: &Argument) -> &DataType {
    match argument {
        Argument::Column(c) | Argument::Constant(c) => &c.data_type,
        Argument::Lambda(_) => &DataType::Nothing,
    }
}

/// Whether the comparison holds, and whether that is known.
fn element_by_element(
    op: Comparison,
    call: &FunctionCall,
    x: &[Argument],
    y: &[Argument],
) -> Result<(Vec<u8>, Vec<bool>)> {
    let strict = match op {
        Comparison::Less | Comparison::LessOrEquals => Some(Comparison::Less),
        Comparison::Greater | Comparison::GreaterOrEquals => Some(Comparison::Greater),
        Comparison::Equals | Comparison::NotEquals => None,
    };
    let mut words = vec![u8::from(op.holds(Some(Ordering::Equal))); call.rows];
    let mut valid = vec![true; call.rows];
    // The answer is open as long as all elements before were equal.
    let mut open = vec![true; call.rows];
    for (a, b) in x.iter().zip(y) {
        let null_at = |row: usize| is_null_at(a, row) || is_null_at(b, row);
        let arguments = [without_nulls(a), without_nulls(b)];
        let pair = FunctionCall { arguments: &arguments, result: &DataType::UInt8, ..*call };
        let equal = compare(Comparison::Equals, &pair)?;
        let ordered = strict.map(|op| compare(op, &pair)).transpose()?;
        for row in 0..call.rows {
            if !open[row] {
                continue;
            }
            if null_at(row) {
                valid[row] = false;
                open[row] = strict.is_none();
            } else if equal[row] == 0 {
                open[row] = false;
                valid[row] = valid[row] || strict.is_none();
                words[row] = match &ordered {
                    Some(ordered) => ordered[row],
                    None => u8::from(op == Comparison::NotEquals),
                };
            }
        }
    }
    // What lies under a NULL is 0.
    words.iter_mut().zip(&valid).for_each(|(word, valid)| *word &= u8::from(*valid));
    Ok((words, valid))
}

fn is_null_at(argument: &Argument, row: usize) -> bool {
    match argument {
        Argument::Column(c) => c.is_null(row),
        Argument::Constant(c) => c.is_null(0),
        Argument::Lambda(_) => false,
    }
}

fn without_nulls(argument: &Argument) -> Argument {
    match argument {
        Argument::Column(c) => Argument::Column(super::invoke::without_nulls(c)),
        Argument::Constant(c) => Argument::Constant(super::invoke::without_nulls(c)),
        Argument::Lambda(body) => Argument::Lambda(body.clone()),
    }
}
