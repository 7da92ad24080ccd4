//! Mathematical functions of floats, and tests for NaN and infinity.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::decimal::to_floats;
use super::native::Native;
use super::registry::Registry;
use super::special::{erf, erfc, gamma, log_gamma};
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    for (name, f) in [
        ("sqrt", f64::sqrt as fn(f64) -> f64),
        ("cbrt", f64::cbrt),
        ("exp", f64::exp),
        ("exp2", f64::exp2),
        ("exp10", |x| {
            if x.fract() == 0.0 && x.abs() <= 300.0 { 10f64.powi(x as i32) } else { 10f64.powf(x) }
        }),
        ("log", f64::ln),
        ("log2", f64::log2),
        ("log10", f64::log10),
        ("log1p", f64::ln_1p),
        ("sin", f64::sin),
        ("cos", f64::cos),
        ("tan", f64::tan),
        ("asin", f64::asin),
        ("acos", f64::acos),
        ("atan", f64::atan),
        ("sinh", f64::sinh),
        ("cosh", f64::cosh),
        ("tanh", f64::tanh),
        ("asinh", f64::asinh),
        ("acosh", f64::acosh),
        ("atanh", f64::atanh),
        ("degrees", |x| x * (180.0 / std::f64::consts::PI)),
        ("radians", |x| x * (std::f64::consts::PI / 180.0)),
        ("erf", erf),
        ("erfc", erfc),
        ("tgamma", gamma),
        ("lgamma", log_gamma),
        ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
    ] {
        r.add(
            name,
            1..=1,
            |a| a.number(0).map(|_| DataType::Float64),
            move |c| c.finish_numbers(floats(c, 0)?.into_iter().map(f).collect::<Vec<_>>()),
        );
    }
    for (name, f) in [
        ("pow", power as fn(f64, f64) -> f64),
        ("atan2", f64::atan2),
        ("hypot", f64::hypot),
        ("max2", |a, b| if a > b { a } else { b }),
        ("min2", |a, b| if a < b { a } else { b }),
    ] {
        r.add(name, 2..=2, two_numbers, move |c| {
            let (a, b) = (floats(c, 0)?, floats(c, 1)?);
            c.finish_numbers(a.into_iter().zip(b).map(|(x, y)| f(x, y)).collect::<Vec<_>>())
        });
    }
    for (name, value) in [("pi", std::f64::consts::PI), ("e", std::f64::consts::E)] {
        r.add(
            name,
            0..=0,
            |_| Ok(DataType::Float64),
            move |c| c.finish_numbers(vec![value; c.rows]),
        );
    }
    for (name, f) in [
        ("isNaN", f64::is_nan as fn(f64) -> bool),
        ("isFinite", f64::is_finite),
        ("isInfinite", f64::is_infinite),
    ] {
        let fits = |t: &DataType| t.is_integer() || t.is_float() || *t == DataType::Nothing;
        r.add(
            name,
            1..=1,
            move |a| a.require(0, fits).map(|_| DataType::UInt8),
            move |c| {
                c.finish_numbers(
                    floats(c, 0)?.into_iter().map(|v| u8::from(f(v))).collect::<Vec<_>>(),
                )
            },
        );
    }
    r.add(
        "ifNotFinite",
        2..=2,
        |a| {
            (0..2).try_for_each(|i| {
                a.require(i, |t| {
                    let plain = t.without_nullable();
                    plain.is_number() || plain == DataType::Nothing
                })
            })?;
            a.require(0, |t| !matches!(t.without_nullable(), DataType::Decimal { .. }))?;
            super::promote::common_value_type(a.items)
        },
        if_not_finite,
    )
    .own_nulls();
    r.add("factorial", 1..=1, |a| a.integer(0).map(|_| DataType::UInt64), factorial);
    r.add(
        "widthBucket",
        4..=4,
        |a| {
            (0..4).try_for_each(|i| a.number(i))?;
            Ok(match super::promote::bits(a.get(3)) {
                8 => DataType::UInt16,
                16 => DataType::UInt32,
                _ => DataType::UInt64,
            })
        },
        width_bucket,
    );
    for (name, base) in [("intExp2", 2u64), ("intExp10", 10)] {
        r.add(
            name,
            1..=1,
            |a| a.number(0).map(|_| DataType::UInt64),
            move |c| {
                let exponents = c.numbers::<i64>(0)?;
                c.finish_numbers(
                    (0..c.rows)
                        .map(|i| match exponents.get(i) {
                            ..0 => 0,
                            e => base.checked_pow(e.min(64) as u32).unwrap_or(u64::MAX),
                        })
                        .collect::<Vec<_>>(),
                )
            },
        );
    }
}

fn two_numbers(a: &Args) -> Result<DataType> {
    a.number(0)?;
    a.number(1)?;
    Ok(DataType::Float64)
}

/// Argument `index` as floats, decimals scaled.
pub(super) fn floats(call: &FunctionCall, index: usize) -> Result<Vec<f64>> {
    to_floats(&call.column(index)?)
}

fn factorial(call: &FunctionCall) -> Result<Column> {
    let numbers = call.numbers::<i64>(0)?;
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let n = numbers.get(row);
        if n > 20 {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "The maximum value for the input of the factorial function is 20",
            ));
        }
        out.push((1..=n.max(0) as u64).product::<u64>());
    }
    call.finish_numbers(out)
}

fn width_bucket(call: &FunctionCall) -> Result<Column> {
    let [x, low, high] = [floats(call, 0)?, floats(call, 1)?, floats(call, 2)?];
    let counts = call.numbers::<u64>(3)?;
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let (x, low, high, count) = (x[row], low[row], high[row], counts.get(row));
        if count == 0 || !low.is_finite() || !high.is_finite() || x.is_nan() {
            return Err(Error::new(codes::BAD_ARGUMENTS, "widthBucket needs finite bounds"));
        }
        out.push(if x < low || high <= low {
            0
        } else if x >= high {
            count + 1
        } else {
            ((x - low) * count as f64 / (high - low)) as u64 + 1
        });
    }
    match call.result {
        DataType::UInt16 => call.finish_numbers(out.into_iter().map(|v| v as u16).collect()),
        DataType::UInt32 => call.finish_numbers(out.into_iter().map(|v| v as u32).collect()),
        _ => call.finish(u64::array(out)),
    }
}

/// Squares are exact to the last bit, which the library's power does not promise.
fn power(x: f64, exponent: f64) -> f64 {
    match exponent {
        2.0 => x * x,
        -2.0 => 1.0 / (x * x),
        _ => x.powf(exponent),
    }
}

/// The first argument where it is finite, else (NULL too) the second.
fn if_not_finite(call: &FunctionCall) -> Result<Column> {
    let [a, b] =
        [0, 1].map(|i| super::cast::cast_column(&call.column(i)?, call.result, call.context));
    let (a, b) = (a?, b?);
    let floats = super::cast::cast_column(
        &call.column(0)?,
        &DataType::nullable(DataType::Float64),
        call.context,
    )?;
    let values = super::native::values::<f64>(&floats);
    let finite: Vec<bool> =
        (0..call.rows).map(|row| !floats.is_null(row) && values[row].is_finite()).collect();
    super::conditional::select(&arrow_array::BooleanArray::from(finite), &a, &b)
}
