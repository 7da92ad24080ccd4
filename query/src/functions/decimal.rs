//! Decimal arithmetic: checked words of 128 bit, or 256 bit where the result needs them.
//!
//! Plus and minus take the larger scale, multiply adds scales, divide keeps the left scale; an
//! integer counts as a decimal of scale 0, a float makes the result Float64. Overflow is error 407.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Decimal256Array};
use arrow_buffer::i256;
use pumphouse_storage::{Column, DataType};

use super::arithmetic::{Op, division_by_zero, numbers, operand, zip};
use super::native::Native;
use super::promote::width_precision;
use super::type_rule::Args;
use super::wide::{load_i128, load_wide, overflow};
use super::{Argument, FunctionCall};
use crate::error::{Error, Result, codes};

fn parts(data_type: &DataType) -> Option<(u8, u8)> {
    match data_type {
        DataType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

/// Scale of a number type: 0 for integers.
pub(super) fn scale_of(data_type: &DataType) -> u8 {
    parts(data_type).map_or(0, |(_, s)| s)
}

pub(super) fn result_type(op: Op, a: &Args) -> Result<DataType> {
    use Op::*;
    let (l, r) = (a.get(0), a.get(1));
    if !matches!(
        op,
        Plus | Minus | Multiply | Divide | Modulo | IntDiv | IntDivOrZero | PositiveModulo
    ) {
        return Err(a.illegal_pair());
    }
    if matches!(op, IntDiv | IntDivOrZero) {
        let width = match parts(l).map(|(p, _)| width_precision(p)) {
            None => super::promote::bits(l),
            Some(9) => 32,
            Some(18) => 64,
            Some(38) => 128,
            Some(_) => 256,
        };
        return super::promote::integer_type(true, width).ok_or_else(|| a.illegal_pair());
    }
    if l.is_float() || r.is_float() {
        return Ok(DataType::Float64);
    }
    let precision = match (parts(l), parts(r)) {
        (Some((p, _)), Some((q, _))) => width_precision(p.max(q)),
        (Some((p, _)), None) | (None, Some((p, _))) => p,
        (None, None) => return Err(a.illegal_pair()),
    };
    let (s, t) = (scale_of(l), scale_of(r));
    let scale = match op {
        Multiply => s + t,
        Divide if parts(l).is_none() => t,
        Divide => s,
        _ => s.max(t),
    };
    if op == Divide && parts(l).is_some() && t > s {
        return Err(Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            "Decimal result's scale is less than argument's one",
        ));
    }
    if scale > precision {
        return Err(Error::new(
            codes::ARGUMENT_OUT_OF_BOUND,
            format!("Scale {scale} is out of bounds for precision {precision}"),
        ));
    }
    Ok(DataType::Decimal { precision, scale })
}

/// What a decimal and another decimal or an integer are compared as.
pub(super) fn alike_type(l: &DataType, r: &DataType) -> Option<DataType> {
    let precision = match (parts(l), parts(r)) {
        (Some((p, _)), Some((q, _))) => width_precision(p.max(q)),
        (Some((p, _)), None) if r.is_integer() => p,
        (None, Some((p, _))) if l.is_integer() => p,
        _ => return None,
    };
    Some(DataType::Decimal { precision, scale: scale_of(l).max(scale_of(r)) })
}

pub(super) fn evaluate(op: Op, call: &FunctionCall) -> Result<Column> {
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if l.is_float() || r.is_float() {
        return in_floats(op, call);
    }
    if let Some(arguments) = integers_as_words(call)? {
        return evaluate(op, &FunctionCall { arguments: &arguments, ..*call });
    }
    let (s, t) = (scale_of(l) as u32, scale_of(r) as u32);
    let scale = scale_of(call.result) as u32;
    let shift = match op {
        Op::Multiply => (0, 0),
        // (a · 10^(scale - s)) · 10^t / b keeps `scale` digits.
        Op::Divide => (scale - s + t, 0),
        Op::IntDiv | Op::IntDivOrZero => (s.max(t) - s, s.max(t) - t),
        // The remainder is taken of the unscaled words, as they are.
        Op::Modulo => (0, 0),
        _ => (scale.max(s) - s, scale.max(t) - t),
    };
    let wide = matches!(parts(l), Some((39.., _)))
        || matches!(parts(r), Some((39.., _)))
        || matches!(call.result, DataType::Int256);
    let integer = matches!(op, Op::IntDiv | Op::IntDivOrZero);
    if wide || integer {
        let (a, b) = (load_wide(&call.column(0)?)?, load_wide(&call.column(1)?)?);
        let words = over(op, a, b, shift, i256::MAX)?;
        if integer {
            return call.finish(super::wide::store_wide(call.result, words));
        }
        return call.finish(store_256(call.result, words)?);
    }
    if let Some(column) = super::decimal_narrow::arithmetic(op, call, shift)? {
        return Ok(column);
    }
    let (a, b) = (load_i128(&call.column(0)?)?, load_i128(&call.column(1)?)?);
    // A dividend that is scaled up must fit the words of the result.
    let most = match op {
        Op::Divide => i128::MAX >> (128 - word_bits(call.result).min(128)),
        _ => i128::MAX,
    };
    let words = over(op, a, b, shift, most)?;
    call.finish(store(call.result, words)?)
}

/// Bits of the words that a decimal lies in.
fn word_bits(data_type: &DataType) -> u32 {
    match parts(data_type) {
        Some((0..=9, _)) => 32,
        Some((10..=18, _)) => 64,
        Some((19..=38, _)) => 128,
        _ => 256,
    }
}

/// Arguments in which an integer beside a decimal is a word as wide as the decimal's, cut if need be; none if
/// all integers fit.
fn integers_as_words(call: &FunctionCall) -> Result<Option<Vec<Argument>>> {
    let types = [call.data_type(0)?, call.data_type(1)?];
    let Some(width) = types.iter().filter(|t| parts(t).is_some()).map(|t| word_bits(t)).max()
    else {
        return Ok(None);
    };
    let cut = |t: &DataType| {
        let bits = super::promote::bits(t);
        t.is_integer() && (bits > width || bits == width && t.is_unsigned_integer())
    };
    if width == 256 || !types.iter().any(|t| cut(t)) {
        return Ok(None);
    }
    let word = match width {
        32 => DataType::Int32,
        64 => DataType::Int64,
        _ => DataType::Int128,
    };
    let as_word = |column: &Column| -> Result<Column> {
        let words = load_wide(column)?.into_iter().map(|w| w.as_i128());
        let array = match word {
            DataType::Int32 => i32::array(words.map(|w| w as i32).collect()),
            DataType::Int64 => i64::array(words.map(|w| w as i64).collect()),
            _ => store(&word, words.collect())?,
        };
        Ok(Column::new(word.clone(), array))
    };
    let arguments = call.arguments.iter().map(|argument| {
        Ok(match argument {
            Argument::Column(c) if cut(&c.data_type) => Argument::Column(as_word(c)?),
            Argument::Constant(c) if cut(&c.data_type) => Argument::Constant(as_word(c)?),
            other => other.clone(),
        })
    });
    arguments.collect::<Result<_>>().map(Some)
}

/// A decimal and a float: both as floats.
fn in_floats(op: Op, call: &FunctionCall) -> Result<Column> {
    let columns = [as_float(call, 0)?, as_float(call, 1)?];
    let arguments: Vec<Argument> = columns.into_iter().map(Argument::Column).collect();
    let call = FunctionCall { arguments: &arguments, ..*call };
    if op == Op::Modulo {
        let (a, b) = (operand::<f64>(&call, 0)?, operand::<f64>(&call, 1)?);
        return call.finish_numbers(zip(a, b, call.rows, |x, y| x % y + 0.0)?);
    }
    numbers(op, &call)
}

fn as_float(call: &FunctionCall, index: usize) -> Result<Column> {
    Ok(Column::new(DataType::Float64, f64::array(to_floats(&call.column(index)?)?)))
}

/// Numbers as floats, decimals scaled.
pub(super) fn to_floats(column: &Column) -> Result<Vec<f64>> {
    let values = super::native::load::<f64>(column)?;
    match scale_of(&column.data_type) {
        0 => Ok(values),
        scale => {
            let power = 10f64.powi(scale as i32);
            Ok(values.into_iter().map(|v| v / power).collect())
        }
    }
}

/// The words of decimals, with the operations they need.
pub(super) trait Word: Copy + PartialEq + PartialOrd {
    const ZERO: Self;
    fn power_of_ten(exponent: u32) -> Option<Self>;
    fn plus(self, other: Self) -> Option<Self>;
    fn minus(self, other: Self) -> Option<Self>;
    fn times(self, other: Self) -> Option<Self>;
    fn over(self, other: Self) -> Option<Self>;
    fn rest(self, other: Self) -> Option<Self>;
}

macro_rules! word {
    ($native:ty, $zero:expr, $ten:expr) => {
        impl Word for $native {
            const ZERO: Self = $zero;
            fn power_of_ten(exponent: u32) -> Option<Self> {
                $ten.checked_pow(exponent)
            }
            fn plus(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
            fn minus(self, other: Self) -> Option<Self> {
                self.checked_sub(other)
            }
            fn times(self, other: Self) -> Option<Self> {
                self.checked_mul(other)
            }
            fn over(self, other: Self) -> Option<Self> {
                self.checked_div(other)
            }
            fn rest(self, other: Self) -> Option<Self> {
                self.checked_rem(other)
            }
        }
    };
}
word!(i128, 0, 10i128);
word!(i256, i256::ZERO, i256::from_i128(10));

/// `most` is the largest word that an operand may be scaled up to.
fn over<W: Word>(op: Op, a: Vec<W>, b: Vec<W>, shift: (u32, u32), most: W) -> Result<Vec<W>> {
    let fits = |word: &W| *word <= most && W::ZERO.minus(most).is_some_and(|least| *word >= least);
    let left = W::power_of_ten(shift.0).ok_or_else(overflow)?;
    let right = W::power_of_ten(shift.1).ok_or_else(overflow)?;
    let mut out = Vec::with_capacity(a.len());
    for (x, y) in a.into_iter().zip(b) {
        let x = match shift.0 {
            0 => x,
            _ => x.times(left).filter(fits).ok_or_else(overflow)?,
        };
        let y = if shift.1 == 0 { y } else { y.times(right).ok_or_else(overflow)? };
        let word = match op {
            Op::Plus => x.plus(y),
            Op::Minus => x.minus(y),
            Op::Multiply => x.times(y),
            _ if y == W::ZERO => {
                if op == Op::IntDivOrZero {
                    out.push(W::ZERO);
                    continue;
                }
                return Err(division_by_zero());
            }
            Op::Modulo => x.rest(y),
            Op::PositiveModulo => x.rest(y).and_then(|rest| {
                if rest >= W::ZERO {
                    Some(rest)
                } else if y > W::ZERO {
                    rest.plus(y)
                } else {
                    rest.minus(y)
                }
            }),
            _ => x.over(y),
        };
        out.push(word.ok_or_else(overflow)?);
    }
    Ok(out)
}

/// Words as a column of a Decimal (or signed integer) type of at most 128 bit; overflow is error 407.
pub(super) fn store(data_type: &DataType, words: Vec<i128>) -> Result<ArrayRef> {
    use arrow_schema::DataType as A;
    Ok(match data_type.arrow() {
        A::Int32 => {
            let values: std::result::Result<Vec<i32>, _> =
                words.into_iter().map(i32::try_from).collect();
            i32::array(values.map_err(|_| overflow())?)
        }
        A::Int64 => {
            let values: std::result::Result<Vec<i64>, _> =
                words.into_iter().map(i64::try_from).collect();
            i64::array(values.map_err(|_| overflow())?)
        }
        A::Decimal256(..) => {
            let words: Vec<i256> = words.into_iter().map(i256::from_i128).collect();
            Arc::new(Decimal256Array::new(words.into(), None).with_data_type(data_type.arrow()))
        }
        layout => Arc::new(Decimal128Array::new(words.into(), None).with_data_type(layout)),
    })
}

/// The same for 256 bit words.
pub(super) fn store_256(data_type: &DataType, words: Vec<i256>) -> Result<ArrayRef> {
    if matches!(data_type.arrow(), arrow_schema::DataType::Decimal256(..)) {
        let array = Decimal256Array::new(words.into(), None);
        return Ok(Arc::new(array.with_data_type(data_type.arrow())));
    }
    let narrow: Option<Vec<i128>> = words.into_iter().map(|w| w.to_i128()).collect();
    store(data_type, narrow.ok_or_else(overflow)?)
}

/// `f` over the unscaled words of a decimal argument.
pub(super) fn map(call: &FunctionCall, f: impl Fn(i256) -> i256) -> Result<Column> {
    let words = load_wide(&call.column(0)?)?;
    call.finish(store_256(call.result, words.into_iter().map(f).collect())?)
}
