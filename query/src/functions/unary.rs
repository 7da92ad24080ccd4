//! Arithmetic of one number: negate, abs, sign, bitNot, bitCount, bitTest, byteSwap.

use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::decimal;
use super::native::{As, values, with_native};
use super::promote::{bits, integer_type};
use super::registry::Registry;
use super::type_rule::Args;
use super::wide::{is_wide, load_wide, store_wide};
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("negate", 1..=1, negate_type, negate);
    r.add("abs", 1..=1, abs_type, abs);
    r.add("sign", 1..=1, |a| a.number(0).map(|_| DataType::Int8), sign);
    r.add("bitNot", 1..=1, bit_not_type, bit_not);
    r.add("byteSwap", 1..=1, swapped_type, byte_swap);
    r.add("bitCount", 1..=1, bit_count_type, bit_count);
    r.add("bitTest", 2..=2, |a| a.integer(0).and(a.integer(1)).map(|_| DataType::UInt8), bit_test);
}

fn bit_count_type(a: &Args) -> Result<DataType> {
    match a.get(0) {
        DataType::String => Ok(DataType::UInt64),
        DataType::FixedString(_) => Ok(DataType::UInt16),
        t if t.is_float() && bits(t) >= 32 => Ok(DataType::UInt8),
        t => a.integer(0).map(|_| match bits(t) > 128 {
            true => DataType::UInt16,
            false => DataType::UInt8,
        }),
    }
}

/// A float's bits are those of its whole part.
fn bit_not_type(a: &Args) -> Result<DataType> {
    match a.get(0) {
        t if t.is_string() => Ok(t.clone()),
        DataType::Float32 => Ok(DataType::Int32),
        DataType::Float64 => Ok(DataType::Int64),
        _ => integer_itself(a),
    }
}

fn integer_itself(a: &Args) -> Result<DataType> {
    a.integer(0)?;
    Ok(if *a.get(0) == DataType::Bool { DataType::UInt8 } else { a.get(0).clone() })
}

/// Floats have a type, but no value.
fn swapped_type(a: &Args) -> Result<DataType> {
    if a.get(0).is_float() { Ok(a.get(0).clone()) } else { integer_itself(a) }
}

fn negate_type(a: &Args) -> Result<DataType> {
    let t = a.get(0);
    match t {
        DataType::Decimal { .. } | DataType::Float32 | DataType::Float64 => Ok(t.clone()),
        DataType::Interval(_) => Ok(t.clone()),
        DataType::Tuple(_) => super::elementwise::unary_type("negate", a),
        t if t.is_unsigned_integer() => {
            let width = bits(t);
            integer_type(true, if width < 64 { width * 2 } else { width })
                .ok_or_else(|| a.illegal(0))
        }
        t if t.is_signed_integer() => Ok(t.clone()),
        _ => Err(a.illegal(0)),
    }
}

fn negate(call: &FunctionCall) -> Result<Column> {
    match call.data_type(0)? {
        DataType::Decimal { .. } => return decimal::map(call, |v| v.wrapping_neg()),
        DataType::Tuple(_) => return super::elementwise::unary("negate", call),
        t if is_wide(t) => {
            let words = load_wide(&call.column(0)?)?;
            return call.finish(store_wide(
                call.result,
                words.into_iter().map(|w| w.wrapping_neg()).collect(),
            ));
        }
        _ => {}
    }
    let column = call.column(0)?;
    match call.result {
        DataType::Float32 => {
            call.finish_numbers(values::<f32>(&column).iter().map(|v| -v).collect::<Vec<_>>())
        }
        DataType::Float64 => {
            call.finish_numbers(values::<f64>(&column).iter().map(|v| -v).collect::<Vec<_>>())
        }
        result => {
            let words = super::native::load::<i64>(&column)?;
            with_native!(result, R => {
                call.finish_numbers(
                    words.into_iter().map(|v| As::<R>::to(v.wrapping_neg())).collect::<Vec<R>>(),
                )
            }, else { Err(super::type_rule::illegal_column("negate needs a number")) })
        }
    }
}

fn abs_type(a: &Args) -> Result<DataType> {
    a.number(0)?;
    let t = a.get(0);
    if t.is_signed_integer() {
        return integer_type(false, bits(t)).ok_or_else(|| a.illegal(0));
    }
    Ok(if *t == DataType::Bool { DataType::UInt8 } else { t.clone() })
}

fn abs(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    match &column.data_type {
        DataType::Decimal { .. } => decimal::map(call, |v| v.wrapping_abs()),
        DataType::Float32 => {
            call.finish_numbers(values::<f32>(&column).iter().map(|v| v.abs()).collect::<Vec<_>>())
        }
        DataType::Float64 => {
            call.finish_numbers(values::<f64>(&column).iter().map(|v| v.abs()).collect::<Vec<_>>())
        }
        t if is_wide(t) && t.is_signed_integer() => {
            let words = load_wide(&column)?;
            call.finish(store_wide(
                call.result,
                words.into_iter().map(|w| w.wrapping_abs()).collect(),
            ))
        }
        t if t.is_signed_integer() => {
            let words = super::native::load::<i64>(&column)?;
            with_native!(call.result, R => {
                call.finish_numbers(
                    words.into_iter().map(|v| As::<R>::to(v.wrapping_abs())).collect::<Vec<R>>(),
                )
            }, else { Err(super::type_rule::illegal_column("abs needs a number")) })
        }
        _ => call.finish(column.array),
    }
}

fn sign(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let signs = if column.data_type.is_float() {
        super::native::load::<f64>(&column)?
            .into_iter()
            // NaN is neither less than zero nor zero.
            .map(|v| i8::from(v != 0.0) - 2 * i8::from(v < 0.0))
            .collect()
    } else {
        let zero = arrow_buffer::i256::ZERO;
        let unsigned = column.data_type.is_unsigned_integer();
        load_wide(&column)?
            .into_iter()
            .map(|v| {
                if v == zero {
                    0
                } else if v > zero || unsigned {
                    1
                } else {
                    -1
                }
            })
            .collect::<Vec<i8>>()
    };
    call.finish_numbers(signs)
}

fn bit_not(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if column.data_type.is_string() {
        let flipped = texts(&column).map(|t| t.iter().map(|b| !b).collect::<Vec<u8>>());
        let values: Vec<Value> = flipped.map(Value::String).collect();
        return Ok(Column::from_values(call.result.clone(), &values)?);
    }
    if column.data_type.is_float() {
        let narrow = *call.result == DataType::Int32;
        // What the machine's conversion gives beyond the range: the least number.
        let whole = |v: f64| {
            let (low, high) = if narrow {
                (-2f64.powi(31), 2f64.powi(31))
            } else {
                (-2f64.powi(63), 2f64.powi(63))
            };
            match v >= low && v < high {
                true => v as i64,
                false if narrow => i32::MIN as i64,
                false => i64::MIN,
            }
        };
        let words = super::native::load::<f64>(&column)?.into_iter().map(|v| !whole(v));
        return match narrow {
            true => call.finish_numbers(words.map(|v| v as i32).collect::<Vec<_>>()),
            false => call.finish_numbers(words.collect::<Vec<i64>>()),
        };
    }
    if is_wide(&column.data_type) {
        let minus_one = arrow_buffer::i256::MINUS_ONE;
        let words = load_wide(&column)?.into_iter().map(|w| w ^ minus_one).collect();
        return call.finish(store_wide(call.result, words));
    }
    with_native!(call.result, R => {
        let words = super::native::load::<i64>(&column)?;
        call.finish_numbers(words.into_iter().map(|v| As::<R>::to(!v)).collect::<Vec<R>>())
    }, else { Err(super::type_rule::illegal_column("bitNot needs an integer")) })
}

/// The bytes of every text.
fn texts(column: &Column) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..column.len()).map(|row| match column.value(row) {
        Value::String(bytes) => bytes,
        _ => vec![],
    })
}

fn byte_swap(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if column.data_type.is_float() && call.rows > 0 {
        let message = format!("byteSwap() is not implemented for {} datatype", column.data_type);
        return Err(Error::new(codes::NOT_IMPLEMENTED, message));
    }
    let width = bits(&column.data_type);
    if is_wide(&column.data_type) {
        let swapped = |word: arrow_buffer::i256| {
            let (low, high) = word.to_parts();
            match width {
                128 => arrow_buffer::i256::from_parts(low.swap_bytes(), 0),
                _ => {
                    let low_part = (high as u128).swap_bytes();
                    arrow_buffer::i256::from_parts(low_part, low.swap_bytes() as i128)
                }
            }
        };
        let words = load_wide(&column)?.into_iter().map(swapped).collect();
        return call.finish(store_wide(call.result, words));
    }
    with_native!(call.result, R => {
        let words = super::native::load::<u64>(&column)?;
        call.finish_numbers(
            words
                .into_iter()
                .map(|v| As::<R>::to(v.swap_bytes() >> (64 - width)))
                .collect::<Vec<R>>(),
        )
    }, else { Err(super::type_rule::illegal_column("byteSwap needs an integer")) })
}

fn bit_count(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let ones = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones() as u64).sum::<u64>();
    match &column.data_type {
        DataType::String => {
            return call.finish_numbers(texts(&column).map(|t| ones(&t)).collect::<Vec<u64>>());
        }
        DataType::FixedString(_) => {
            let counts = texts(&column).map(|t| ones(&t) as u16);
            return call.finish_numbers(counts.collect::<Vec<u16>>());
        }
        DataType::Float32 => {
            let counts = values::<f32>(&column).iter().map(|v| v.to_bits().count_ones() as u8);
            return call.finish_numbers(counts.collect::<Vec<u8>>());
        }
        DataType::Float64 => {
            let counts = values::<f64>(&column).iter().map(|v| v.to_bits().count_ones() as u8);
            return call.finish_numbers(counts.collect::<Vec<u8>>());
        }
        _ => {}
    }
    let width = bits(&column.data_type);
    let counts: Vec<u16> = if width > 64 {
        load_wide(&column)?
            .into_iter()
            .map(|w| {
                let (low, high) = w.to_parts();
                let high = if width > 128 { high.count_ones() } else { 0 };
                (low.count_ones() + high) as u16
            })
            .collect()
    } else {
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        super::native::load::<u64>(&column)?
            .into_iter()
            .map(|v| (v & mask).count_ones() as u16)
            .collect()
    };
    if *call.result == DataType::UInt16 {
        return call.finish_numbers(counts);
    }
    call.finish_numbers(counts.into_iter().map(|v| v as u8).collect::<Vec<_>>())
}

fn bit_test(call: &FunctionCall) -> Result<Column> {
    if call.rows > 0 && (is_wide(call.data_type(0)?) || is_wide(call.data_type(1)?)) {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "bitTest is not implemented for big integers as second argument",
        ));
    }
    let words = call.numbers::<u64>(0)?;
    let places = call.numbers::<i64>(1)?;
    let width = bits(call.data_type(0)?) as i64;
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let place = places.get(row);
        if !(0..width.min(64)).contains(&place) {
            return Err(Error::new(
                codes::PARAMETER_OUT_OF_BOUND,
                "The bit position argument needs to a positive value and less than the number of bits",
            ));
        }
        out.push((words.get(row) >> place & 1) as u8);
    }
    call.finish_numbers(out)
}
