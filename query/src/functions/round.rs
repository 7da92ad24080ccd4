//! Rounding numbers: round, roundBankers, floor, ceil, trunc with a number of digits, and roundDown,
//! roundToExp2, roundDuration, roundAge.
//!
//! Floats round half to even, integers and decimals half away from zero; a negative number of digits
//! rounds before the point. The type stays.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::decimal::{scale_of, store_256};
use super::identity::order;
use super::native::{As, Native, values, with_native};
use super::registry::Registry;
use super::type_rule::Args;
use super::wide::{is_wide, load_wide, store_wide};
use crate::error::{Error, Result, codes};
use arrow_buffer::i256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Half,
    HalfEven,
    Floor,
    Ceil,
    Trunc,
}

pub(super) fn add(r: &mut Registry) {
    for (name, how) in [
        ("round", Rounding::Half),
        ("roundBankers", Rounding::HalfEven),
        ("floor", Rounding::Floor),
        ("ceil", Rounding::Ceil),
        ("trunc", Rounding::Trunc),
    ] {
        r.add(name, 1..=2, round_type, move |c| round(c, how));
    }
    r.add("roundDown", 2..=2, round_down_type, round_down);
    r.add("roundToExp2", 1..=1, |a| a.number(0).map(|_| a.get(0).clone()), to_exp2);
    r.add(
        "roundDuration",
        1..=1,
        |a| a.number(0).map(|_| DataType::UInt16),
        |c| {
            const STEPS: [u16; 15] =
                [1, 10, 30, 60, 120, 180, 240, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000];
            steps(c, |v| STEPS.iter().rev().find(|s| v >= **s as f64).copied().unwrap_or(0))
        },
    );
    r.add(
        "roundAge",
        1..=1,
        |a| a.number(0).map(|_| DataType::UInt8),
        |c| {
            const STEPS: [(f64, u8); 6] =
                [(55.0, 55), (45.0, 45), (35.0, 35), (25.0, 25), (18.0, 18), (1.0, 17)];
            steps(c, |v| STEPS.iter().find(|(s, _)| v >= *s).map_or(0, |(_, r)| *r))
        },
    );
}

fn steps<T: Native>(call: &FunctionCall, f: impl Fn(f64) -> T) -> Result<Column> {
    let numbers = super::math::floats(call, 0)?;
    call.finish_numbers(numbers.into_iter().map(f).collect::<Vec<T>>())
}

fn round_type(a: &Args) -> Result<DataType> {
    a.number(0)?;
    a.integer(1)?;
    Ok(a.get(0).clone())
}

fn round(call: &FunctionCall, how: Rounding) -> Result<Column> {
    let column = call.column(0)?;
    let digits = call.numbers_or::<i64>(1, 0)?;
    let same = call.is_constant(1) || call.arguments.len() < 2;
    match &column.data_type {
        DataType::Float64 => {
            let values = values::<f64>(&column);
            if same && call.rows > 0 && digits.get(0) == 0 {
                return call
                    .finish_numbers(values.iter().map(|v| whole(*v, how)).collect::<Vec<_>>());
            }
            let rounded = values.iter().enumerate().map(|(i, v)| float(*v, digits.get(i), how));
            call.finish_numbers(rounded.collect::<Vec<_>>())
        }
        DataType::Float32 => {
            let rounded = values::<f32>(&column)
                .iter()
                .enumerate()
                .map(|(i, v)| float32(*v, digits.get(i), how));
            call.finish_numbers(rounded.collect::<Vec<_>>())
        }
        DataType::Decimal { .. } => {
            let scale = scale_of(&column.data_type) as i64;
            let words = load_wide(&column)?;
            let rounded = words
                .into_iter()
                .enumerate()
                .map(|(i, w)| word(w, scale - digits.get(i), how))
                .collect();
            call.finish(store_256(call.result, rounded)?)
        }
        t if is_wide(t) => {
            let words = load_wide(&column)?;
            let rounded =
                words.into_iter().enumerate().map(|(i, w)| word(w, -digits.get(i), how)).collect();
            call.finish(store_wide(call.result, rounded))
        }
        _ if same && (call.rows == 0 || digits.get(0) >= 0) => call.finish(column.array),
        t => {
            let unsigned = *t == DataType::UInt64;
            let words = super::native::load::<i64>(&column)?;
            with_native!(call.result, T => {
                call.finish_numbers(words.into_iter().enumerate().map(|(i, v)| {
                    let wide = if unsigned { v as u64 as i128 } else { v as i128 };
                    As::<T>::to(integer(wide, -digits.get(i), how) as i64)
                }).collect::<Vec<T>>())
            }, else { Err(super::type_rule::illegal_column("round needs a number")) })
        }
    }
}

#[inline(always)]
fn whole(v: f64, how: Rounding) -> f64 {
    match how {
        Rounding::Half | Rounding::HalfEven => v.round_ties_even(),
        Rounding::Floor => v.floor(),
        Rounding::Ceil => v.ceil(),
        Rounding::Trunc => v.trunc(),
    }
}

fn float(v: f64, digits: i64, how: Rounding) -> f64 {
    if digits == 0 {
        return whole(v, how);
    }
    let power = 10f64.powi(digits.unsigned_abs().min(400) as i32);
    let rounded =
        if digits > 0 { whole(v * power, how) / power } else { whole(v / power, how) * power };
    // Beyond the float's digits there is nothing to round.
    if rounded.is_finite() { rounded } else { v }
}

fn float32(v: f32, digits: i64, how: Rounding) -> f32 {
    let power = 10f32.powi(digits.unsigned_abs().min(60) as i32);
    let whole32 = |v: f32| match how {
        Rounding::Half | Rounding::HalfEven => v.round_ties_even(),
        Rounding::Floor => v.floor(),
        Rounding::Ceil => v.ceil(),
        Rounding::Trunc => v.trunc(),
    };
    let rounded = match digits {
        0 => whole32(v),
        1.. => whole32(v * power) / power,
        _ => whole32(v / power) * power,
    };
    if rounded.is_finite() { rounded } else { v }
}

/// The last `cut` decimal digits of an integer become 0.
fn integer(v: i128, cut: i64, how: Rounding) -> i128 {
    if cut <= 0 {
        return v;
    }
    let Some(step) = 10i128.checked_pow(cut.min(38) as u32).filter(|_| cut <= 38) else { return 0 };
    let (quotient, rest) = (v / step, v % step);
    let twice = rest.abs() * 2;
    let away = if v < 0 { -1 } else { 1 };
    let quotient = match how {
        Rounding::Half if twice >= step => quotient + away,
        Rounding::HalfEven if twice > step || (twice == step && quotient % 2 != 0) => {
            quotient + away
        }
        Rounding::Floor if rest < 0 => quotient - 1,
        Rounding::Ceil if rest > 0 => quotient + 1,
        _ => quotient,
    };
    quotient * step
}

/// The same for wide words.
fn word(v: i256, cut: i64, how: Rounding) -> i256 {
    if let Some(small) = v.to_i128().filter(|v| v.abs() < 1 << 120) {
        return i256::from_i128(integer(small, cut, how));
    }
    if cut <= 0 || cut > 76 {
        return v;
    }
    let step = i256::from_i128(10).wrapping_pow(cut as u32);
    let rest = v.wrapping_rem(step);
    v.wrapping_sub(rest)
}

fn round_down_type(a: &Args) -> Result<DataType> {
    let DataType::Array(item) = a.get(1) else { return Err(a.illegal(1)) };
    super::promote::common_type(&[a.get(0).clone(), (**item).clone()])
}

/// The largest of the array's values that is not above the number, else the smallest.
fn round_down(call: &FunctionCall) -> Result<Column> {
    let steps = call.array(1)?;
    let steps = steps.items.slice(0, if call.rows > 0 { steps.range(0).len() } else { 0 });
    let steps = super::cast::cast_column(&steps, call.result, call.context)?;
    if call.rows > 0 && steps.is_empty() {
        return Err(Error::new(codes::BAD_ARGUMENTS, "Array of boundaries must not be empty"));
    }
    let numbers = super::cast::cast_column(&call.column(0)?, call.result, call.context)?;
    let joined = Column::concat(&[steps.clone(), numbers])?;
    let compare = order(&joined);
    let mut sorted: Vec<usize> = (0..steps.len()).collect();
    sorted.sort_by(|a, b| compare(*a, *b));
    let picks: Vec<u32> = (0..call.rows)
        .map(|row| {
            let at = sorted.partition_point(|s| compare(*s, steps.len() + row).is_le());
            sorted[at.saturating_sub(1)] as u32
        })
        .collect();
    drop(compare);
    call.finish(joined.take(&arrow_array::UInt32Array::from(picks)).array)
}

fn to_exp2(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    if column.data_type.is_float() {
        let floats = super::native::load::<f64>(&column)?;
        let rounded = floats.into_iter().map(|v| {
            if v.is_nan() || v.is_infinite() || v == 0.0 {
                return v;
            }
            let power = 2f64.powi(v.abs().log2().floor() as i32);
            if v < 0.0 { -power } else { power }
        });
        return if *call.result == DataType::Float32 {
            call.finish_numbers(rounded.map(|v| v as f32).collect::<Vec<_>>())
        } else {
            call.finish_numbers(rounded.collect::<Vec<_>>())
        };
    }
    with_native!(call.result, T => {
        let words = super::native::load::<i64>(&column)?;
        let unsigned = column.data_type.is_unsigned_integer();
        call.finish_numbers(words.into_iter().map(|v| {
            if v == 0 || (!unsigned && v < 0) {
                return T::default();
            }
            As::<T>::to(1u64 << (63 - (v as u64).leading_zeros()))
        }).collect::<Vec<T>>())
    }, else { Err(super::type_rule::illegal_column("roundToExp2 needs a number")) })
}
