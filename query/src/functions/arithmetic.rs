//! Arithmetic on numbers: plus, minus, multiply, divide, intDiv, modulo and their kin, negate, abs,
//! bit operations, gcd, lcm.
//!
//! Integers widen and then wrap, as C++ does it; only division by zero is an error. Columns are
//! converted to the result's width in runs that fit the nearest cache, so the inner loops see one
//! type. Decimals go to `decimal`, dates and intervals to `interval`, tuples and arrays to
//! `elementwise`.

use arrow_buffer::i256;
use pumphouse_storage::{Column, DataType};

use super::native::{As, Native, load_range, values, with_native};
use super::promote::{bits, integer_type};
use super::registry::Registry;
use super::type_rule::Args;
use super::wide::{is_wide, load_wide, store_wide};
use super::{Argument, FunctionCall, clock, decimal, elementwise, interval};
use crate::error::{Error, Result, codes};

/// A binary operation on numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Plus,
    Minus,
    Multiply,
    Divide,
    IntDiv,
    IntDivOrZero,
    Modulo,
    ModuloOrZero,
    PositiveModulo,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    RotateLeft,
    RotateRight,
    Gcd,
    Lcm,
}

pub(super) fn add(r: &mut Registry) {
    use Op::*;
    for (name, op) in [
        ("plus", Plus),
        ("minus", Minus),
        ("multiply", Multiply),
        ("divide", Divide),
        ("intDiv", IntDiv),
        ("intDivOrZero", IntDivOrZero),
        ("modulo", Modulo),
        ("moduloOrZero", ModuloOrZero),
        ("positiveModulo", PositiveModulo),
        ("bitAnd", BitAnd),
        ("bitOr", BitOr),
        ("bitXor", BitXor),
        ("bitShiftLeft", ShiftLeft),
        ("bitShiftRight", ShiftRight),
        ("bitRotateLeft", RotateLeft),
        ("bitRotateRight", RotateRight),
        ("gcd", Gcd),
        ("lcm", Lcm),
    ] {
        r.add(name, 2..=2, move |a| binary_type(op, a), move |c| evaluate(op, c));
    }
    for (name, op) in [("intDivOrNull", IntDiv), ("moduloOrNull", Modulo), ("divideOrNull", Divide)]
    {
        r.add(
            name,
            2..=2,
            move |a| Ok(DataType::nullable(binary_type(op, a)?)),
            move |c| or_null(op, c),
        );
    }
    super::unary::add(r);
}

/// An IPv4 address counts as its number.
fn as_number(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Ipv4 => DataType::UInt32,
        DataType::Ipv6 => DataType::UInt128,
        other => other.clone(),
    }
}

fn is_address(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Ipv4 | DataType::Ipv6)
}

/// An address as the number that it is.
fn address_number(column: &Column) -> Result<Column> {
    let data_type = as_number(&column.data_type);
    if column.data_type != DataType::Ipv6 {
        return Ok(Column { data_type, array: column.array.clone() });
    }
    let bytes = super::strings::Strings::of(column.array.as_ref())?;
    let words = (0..column.len())
        .map(|row| {
            let word = bytes.get(row).iter().fold(0u128, |word, b| word << 8 | *b as u128);
            arrow_buffer::i256::from_parts(word, 0)
        })
        .collect();
    Ok(Column { array: super::wide::store_wide(&data_type, words), data_type })
}

/// `date % number` takes the date's stored number; its type is the divisor's.
fn date_modulo_type(op: Op, l: &DataType, r: &DataType) -> Option<DataType> {
    if op != Op::Modulo || !matches!(l, DataType::Date | DataType::DateTime(_)) || bits(r) > 64 {
        return None;
    }
    match r {
        DataType::Bool => Some(DataType::UInt8),
        r if r.is_integer() => Some(r.clone()),
        r if r.is_float() => Some(DataType::Float64),
        _ => None,
    }
}

fn date_modulo(call: &FunctionCall) -> Result<Column> {
    let dates = call.numbers::<i64>(0)?;
    if *call.result == DataType::Float64 {
        let divisors = call.numbers::<f64>(1)?;
        let rest = (0..call.rows).map(|i| dates.get(i) as f64 % divisors.get(i));
        return call.finish_numbers(rest.collect::<Vec<f64>>());
    }
    let divisors = call.numbers::<i64>(1)?;
    let unsigned = *call.result == DataType::UInt64;
    let rest = (0..call.rows)
        .map(|i| match divisors.get(i) {
            0 => Err(division_by_zero()),
            // Above the dates' numbers, whatever the divisor is as an unsigned one.
            d if d < 0 && unsigned => Ok(dates.get(i)),
            d => Ok(dates.get(i).wrapping_rem(d)),
        })
        .collect::<Result<Vec<i64>>>()?;
    with_native!(call.result, R => {
        call.finish_numbers(rest.into_iter().map(As::<R>::to).collect::<Vec<R>>())
    }, else { Err(super::type_rule::illegal_column("modulo needs a number")) })
}

fn binary_type(op: Op, a: &Args) -> Result<DataType> {
    let (l, r) = (a.get(0), a.get(1));
    if let Some(result) = date_modulo_type(op, l, r) {
        return Ok(result);
    }
    // Addresses of both kinds do not meet.
    if (is_address(l) && (r.is_integer() || l == r)) || (is_address(r) && l.is_integer()) {
        return number_type(op, &as_number(l), &as_number(r)).ok_or_else(|| a.illegal_pair());
    }
    if let Some(result) = clock::arithmetic_type(op, a)? {
        return Ok(result);
    }
    if let Some(result) = interval::arithmetic_type(op, a)? {
        return Ok(result);
    }
    if let Some(result) = elementwise::arithmetic_type(op, a)? {
        return Ok(result);
    }
    if !l.is_number() || !r.is_number() {
        return Err(a.illegal_pair());
    }
    if matches!(l, DataType::Decimal { .. }) || matches!(r, DataType::Decimal { .. }) {
        return decimal::result_type(op, a);
    }
    number_type(op, l, r).ok_or_else(|| a.illegal_pair())
}

/// The result type over two plain numbers; `None` if the operation does not take them.
fn number_type(op: Op, l: &DataType, r: &DataType) -> Option<DataType> {
    use Op::*;
    let float = l.is_float() || r.is_float();
    let signed_left = l.is_signed_integer() || l.is_float();
    let signed_right = r.is_signed_integer() || r.is_float();
    let signed = signed_left || signed_right;
    let widest = bits(l).max(bits(r));
    let next = |width: u32| if width < 64 { width * 2 } else { width };
    match op {
        Divide => Some(DataType::Float64),
        // Neither type holds the other's values.
        Plus | Minus | Multiply if float && widest > 64 => None,
        Plus | Multiply | Minus | Modulo | ModuloOrZero | PositiveModulo if float => {
            Some(DataType::Float64)
        }
        Plus | Multiply => integer_type(signed, next(widest)),
        Minus => integer_type(true, next(widest)),
        IntDiv | IntDivOrZero => integer_type(signed, bits(l)),
        Modulo | ModuloOrZero => {
            integer_type(signed_left, if signed_left { next(bits(r)) } else { bits(r) })
        }
        PositiveModulo => integer_type(false, bits(r)),
        _ if float => None,
        BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight | RotateLeft | RotateRight => {
            integer_type(signed, widest)
        }
        Gcd | Lcm => integer_type(signed, next(widest)),
    }
}

fn evaluate(op: Op, call: &FunctionCall) -> Result<Column> {
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if date_modulo_type(op, l, r).is_some() {
        return date_modulo(call);
    }
    if is_address(l) || is_address(r) {
        let arguments: Vec<Argument> = call
            .arguments
            .iter()
            .map(|a| {
                Ok(match a {
                    Argument::Column(c) => Argument::Column(address_number(c)?),
                    Argument::Constant(c) => Argument::Constant(address_number(c)?),
                    Argument::Lambda(body) => Argument::Lambda(body.clone()),
                })
            })
            .collect::<Result<_>>()?;
        return evaluate(op, &FunctionCall { arguments: &arguments, ..*call });
    }
    if let Some(column) = clock::arithmetic(op, call)? {
        return Ok(column);
    }
    if let Some(column) = interval::arithmetic(op, call)? {
        return Ok(column);
    }
    if let Some(column) = elementwise::arithmetic(op, call)? {
        return Ok(column);
    }
    if matches!(l, DataType::Decimal { .. }) || matches!(r, DataType::Decimal { .. }) {
        return decimal::evaluate(op, call);
    }
    numbers(op, call)
}

/// The operation over plain numbers.
pub(super) fn numbers(op: Op, call: &FunctionCall) -> Result<Column> {
    use Op::*;
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if is_wide(call.result) || is_wide(l) || is_wide(r) {
        return wide(op, call);
    }
    match op {
        Plus | Minus | Multiply | BitAnd | BitOr | BitXor => same_width(op, call),
        Divide => {
            let (a, b) = (operand::<f64>(call, 0)?, operand::<f64>(call, 1)?);
            call.finish_numbers(zip(a, b, call.rows, |x, y| x / y)?)
        }
        IntDiv | IntDivOrZero | Modulo | ModuloOrZero | PositiveModulo => division(op, call),
        ShiftLeft | ShiftRight | RotateLeft | RotateRight => shift(op, call),
        Gcd | Lcm => greatest_divisor(op, call),
    }
}

/// Operations whose operands are first converted to the result's type.
fn same_width(op: Op, call: &FunctionCall) -> Result<Column> {
    use arrow_schema::DataType as A;
    macro_rules! wrapping {
        ($T:ty) => {{
            let (a, b) = (operand::<$T>(call, 0)?, operand::<$T>(call, 1)?);
            let rows = call.rows;
            call.finish_numbers(match op {
                Op::Plus => zip(a, b, rows, |x, y| x.wrapping_add(y))?,
                Op::Minus => zip(a, b, rows, |x, y| x.wrapping_sub(y))?,
                Op::Multiply => zip(a, b, rows, |x, y| x.wrapping_mul(y))?,
                Op::BitAnd => zip(a, b, rows, |x, y| x & y)?,
                Op::BitOr => zip(a, b, rows, |x, y| x | y)?,
                _ => zip(a, b, rows, |x, y| x ^ y)?,
            })
        }};
    }
    match call.result.arrow() {
        A::UInt8 => wrapping!(u8),
        A::UInt16 => wrapping!(u16),
        A::UInt32 => wrapping!(u32),
        A::UInt64 => wrapping!(u64),
        A::Int8 => wrapping!(i8),
        A::Int16 => wrapping!(i16),
        A::Int32 => wrapping!(i32),
        A::Int64 => wrapping!(i64),
        _ => {
            let (a, b) = (operand::<f64>(call, 0)?, operand::<f64>(call, 1)?);
            let rows = call.rows;
            call.finish_numbers(match op {
                Op::Plus => zip(a, b, rows, |x, y| x + y)?,
                Op::Minus => zip(a, b, rows, |x, y| x - y)?,
                _ => zip(a, b, rows, |x, y| x * y)?,
            })
        }
    }
}

/// Error 153.
pub(super) fn division_by_zero() -> Error {
    Error::new(codes::ILLEGAL_DIVISION, "Division by zero")
}

fn division(op: Op, call: &FunctionCall) -> Result<Column> {
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if l.is_float() || r.is_float() {
        return float_division(op, call);
    }
    let or_zero = matches!(op, Op::IntDivOrZero | Op::ModuloOrZero);
    let signed = l.is_signed_integer() || r.is_signed_integer();
    let small = bits(l) <= 32 && bits(r) <= 32;
    let modulo = !matches!(op, Op::IntDiv | Op::IntDivOrZero);
    // Loops differ only in the width they divide in: the narrower, the faster.
    macro_rules! divide_in {
        ($T:ty, $quotient:expr, $remainder:expr) => {{
            let (a, b) = (operand::<$T>(call, 0)?, operand::<$T>(call, 1)?);
            if !or_zero && has_zero(&b, call.rows)? {
                return Err(division_by_zero());
            }
            let quotient = |x: $T, y: $T| if y == 0 { 0 } else { $quotient(x, y) };
            let remainder = |x: $T, y: $T| if y == 0 { 0 } else { $remainder(x, y) };
            store_as(
                call,
                if modulo {
                    zip(a, b, call.rows, remainder)?
                } else {
                    zip(a, b, call.rows, quotient)?
                },
            )
        }};
    }
    if signed && !modulo && l.is_signed_integer() != r.is_signed_integer() {
        return mixed_quotient(op, call);
    }
    if op == Op::PositiveModulo && signed {
        return divide_in!(i64, i64::wrapping_div, |x: i64, y: i64| {
            let rest = x.wrapping_rem(y);
            if rest < 0 { rest.wrapping_add(y.wrapping_abs()) } else { rest }
        });
    }
    match (signed, small) {
        (false, true) => divide_in!(u32, |x, y| x / y, |x, y| x % y),
        (false, false) => divide_in!(u64, |x, y| x / y, |x, y| x % y),
        (true, true) => divide_in!(i64, i64::wrapping_div, i64::wrapping_rem),
        (true, false) if modulo && *l == DataType::UInt64 => {
            // An unsigned dividend keeps its value; the divisor's sign does not matter.
            divide_in!(u64, |x, y| x / y, |x: u64, y: u64| x % (y as i64).unsigned_abs())
        }
        (true, false) if modulo && *r == DataType::UInt64 => {
            divide_in!(i64, i64::wrapping_div, |x: i64, y: i64| {
                let rest = (x.unsigned_abs() % y as u64) as i64;
                if x < 0 { rest.wrapping_neg() } else { rest }
            })
        }
        (true, false) => {
            check_minimum_division(op, call)?;
            divide_in!(i64, i64::wrapping_div, i64::wrapping_rem)
        }
    }
    .and_then(|column| {
        if small && signed && op == Op::IntDiv {
            check_minimum_division(op, call)?;
        }
        Ok(column)
    })
}

/// intDiv of a signed and an unsigned integer: the dividend is taken as signed in its own width, the
/// divisor in the wider of both, as the engine does it, so that 200 of UInt8 counts as -56.
fn mixed_quotient(op: Op, call: &FunctionCall) -> Result<Column> {
    let signed = |i: usize| -> Result<u32> { Ok(64 - bits(call.data_type(i)?).min(64)) };
    let (up_a, up_b) = (signed(0)?, signed(0)?.min(signed(1)?));
    let (a, b) = (operand::<i64>(call, 0)?, operand::<i64>(call, 1)?);
    if op == Op::IntDiv && has_zero(&b, call.rows)? {
        return Err(division_by_zero());
    }
    let quotients = zip(a, b, call.rows, |x, y| {
        let (x, y) = (x << up_a >> up_a, y << up_b >> up_b);
        if y == 0 { 0 } else { x.wrapping_div(y) }
    })?;
    store_as(call, quotients)
}

/// Error 153 where the least signed number of the left type is divided by minus one.
fn check_minimum_division(op: Op, call: &FunctionCall) -> Result<()> {
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if op != Op::IntDiv || !l.is_signed_integer() || !r.is_signed_integer() {
        return Ok(());
    }
    let least = i64::MIN >> (64 - bits(l).min(64));
    let (a, b) = (operand::<i64>(call, 0)?, operand::<i64>(call, 1)?);
    if let Operand::One(b) = b
        && b != -1
    {
        return Ok(());
    }
    let hits = zip(a, b, call.rows, |x, y| u8::from(x == least && y == -1))?;
    if hits.contains(&1) {
        return Err(Error::new(
            codes::ILLEGAL_DIVISION,
            "Division of minimal signed number by minus one",
        ));
    }
    Ok(())
}

fn has_zero<T: Native>(b: &Operand<T>, rows: usize) -> Result<bool> {
    if rows == 0 {
        return Ok(false);
    }
    Ok(match b {
        Operand::One(v) => *v == T::default(),
        Operand::Direct(v) => v.contains(&T::default()),
        Operand::Convert(c) => super::native::load::<T>(c)?.contains(&T::default()),
    })
}

fn float_division(op: Op, call: &FunctionCall) -> Result<Column> {
    let (a, b) = (operand::<f64>(call, 0)?, operand::<f64>(call, 1)?);
    match op {
        // Adding 0 turns a negative zero into a plain one.
        Op::Modulo | Op::ModuloOrZero => {
            call.finish_numbers(zip(a, b, call.rows, |x, y| x % y + 0.0)?)
        }
        Op::PositiveModulo => call.finish_numbers(zip(a, b, call.rows, |x, y| {
            let rest = x % y;
            if rest < 0.0 { rest + y.abs() } else { rest }
        })?),
        _ => {
            let double = |i: usize| -> Result<bool> {
                Ok(bits(call.data_type(i)?) > 32 && call.data_type(i)?.is_float())
            };
            let mut quotients = if double(0)? || double(1)? || is_wide(call.result) {
                zip(a, b, call.rows, |x, y| x / y)?
            } else {
                // Without a Float64 the engine divides in 32 bit.
                zip(a, b, call.rows, |x, y| (x as f32 / y as f32) as f64)?
            };
            if op == Op::IntDivOrZero {
                let divisors = super::native::load::<f64>(&call.column(1)?)?;
                let zeros = quotients.iter_mut().zip(divisors.iter()).filter(|(_, d)| **d == 0.0);
                zeros.for_each(|(quotient, _)| *quotient = 0.0);
            }
            let limit = 2f64.powi(bits(call.result) as i32 - 1);
            let fits = |q: &f64| q.is_finite() && (-limit..limit).contains(&q.trunc());
            if !quotients.iter().all(fits) {
                return Err(Error::new(
                    codes::ILLEGAL_DIVISION,
                    "Cannot perform integer division, because it will produce infinite or too large number",
                ));
            }
            if is_wide(call.result) {
                let words = quotients.into_iter().map(super::wide::f64_to_i256).collect();
                return call.finish(store_wide(call.result, words));
            }
            store_as(call, quotients)
        }
    }
}

/// Values converted to the call's result type.
fn store_as<T: Native>(call: &FunctionCall, values: Vec<T>) -> Result<Column> {
    with_native!(call.result, R => {
        call.finish_numbers(values.into_iter().map(|v| As::<R>::to(v)).collect::<Vec<R>>())
    }, else {
        Err(super::type_rule::illegal_column(format!("{} is no number", call.result)))
    })
}

fn shift(op: Op, call: &FunctionCall) -> Result<Column> {
    let width = bits(call.result);
    let signed = call.result.is_signed_integer();
    let (a, b) = (operand::<i64>(call, 0)?, operand::<i64>(call, 1)?);
    let unsigned_left = !call.data_type(0)?.is_signed_integer();
    if matches!(op, Op::ShiftLeft | Op::ShiftRight) && call.rows > 0 {
        let negative = match &b {
            Operand::One(v) => *v < 0,
            _ => super::native::load::<i64>(&call.column(1)?)?.iter().any(|v| *v < 0),
        };
        if negative {
            return Err(negative_shift());
        }
    }
    let all_ones = if width == 64 { u64::MAX } else { (1u64 << width) - 1 };
    store_as(
        call,
        zip(a, b, call.rows, |x, y| {
            let word = x as u64 & all_ones;
            let turn = (y as u64 % width as u64) as u32;
            match op {
                Op::ShiftLeft if y >= width as i64 => 0,
                Op::ShiftLeft => x << y,
                Op::ShiftRight if y >= width as i64 => 0,
                Op::ShiftRight if signed && !unsigned_left => x >> y,
                Op::ShiftRight => (word >> y) as i64,
                _ if turn == 0 => x,
                Op::RotateLeft => ((word << turn) | (word >> (width - turn))) as i64,
                _ => ((word >> turn) | (word << (width - turn))) as i64,
            }
        })?,
    )
}

fn greatest_divisor(op: Op, call: &FunctionCall) -> Result<Column> {
    let (a, b) = (operand::<i64>(call, 0)?, operand::<i64>(call, 1)?);
    let signed = call.result.is_signed_integer();
    let size = move |v: i64| if signed { v.unsigned_abs() } else { v as u64 };
    let (left, right) = (call.numbers::<i64>(0)?, call.numbers::<i64>(1)?);
    for row in 0..call.rows {
        let (x, y) = (left.get(row), right.get(row));
        if x == 0 || y == 0 {
            return Err(Error::new(codes::ILLEGAL_DIVISION, "Division by zero"));
        }
        if signed && (x == i64::MIN || y == i64::MIN) {
            let message = format!("Intermediate result overflow (signed a = {x}, signed b = {y})");
            return Err(Error::new(codes::DECIMAL_OVERFLOW, message));
        }
    }
    store_as(
        call,
        zip(a, b, call.rows, |x, y| {
            let (mut p, mut q) = (size(x), size(y));
            while q != 0 {
                (p, q) = (q, p % q);
            }
            if op == Op::Gcd {
                return p as i64;
            }
            size(x).checked_div(p).map_or(0, |q| q.wrapping_mul(size(y)) as i64)
        })?,
    )
}

/// Operations where a 128 or 256 bit integer takes part.
fn wide(op: Op, call: &FunctionCall) -> Result<Column> {
    if call.result.is_float() {
        let (a, b) = (operand::<f64>(call, 0)?, operand::<f64>(call, 1)?);
        return call.finish_numbers(zip(a, b, call.rows, |x, y| match op {
            Op::Plus => x + y,
            Op::Minus => x - y,
            Op::Multiply => x * y,
            Op::Divide => x / y,
            _ => x % y,
        })?);
    }
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if matches!(op, Op::IntDiv | Op::IntDivOrZero) && (l.is_float() || r.is_float()) {
        return float_division(op, call);
    }
    let (mut a, mut b) = (load_wide(&call.column(0)?)?, load_wide(&call.column(1)?)?);
    if matches!(op, Op::IntDiv | Op::IntDivOrZero) && l.is_signed_integer() != r.is_signed_integer()
    {
        // As in `mixed_quotient`.
        for (words, width) in [(&mut a, bits(l)), (&mut b, bits(l).max(bits(r)))] {
            let up = (256 - width) as u8;
            words.iter_mut().for_each(|w| *w = (*w << up) >> up);
        }
    }
    let mut words = Vec::with_capacity(call.rows);
    let unsigned = (!l.is_signed_integer(), !r.is_signed_integer());
    for (x, y) in a.into_iter().zip(b) {
        let beyond = unsigned.0 && x.is_negative() || unsigned.1 && y.is_negative();
        words.push(match beyond && y != i256::ZERO {
            true => match unsigned_division(op, x, y, unsigned) {
                Some(word) => word,
                None => wide_one(op, x, y)?,
            },
            false => wide_one(op, x, y)?,
        });
    }
    call.finish(store_wide(call.result, words))
}

/// Divisions where a word has the bit that a signed one would be negative by; None: it does not matter.
fn unsigned_division(op: Op, x: i256, y: i256, unsigned: (bool, bool)) -> Option<i256> {
    use Op::*;
    let size = if unsigned.1 { y } else { y.wrapping_abs() };
    match op {
        Modulo | ModuloOrZero | PositiveModulo if unsigned.0 => Some(unsigned_parts(x, size).1),
        IntDiv | IntDivOrZero if unsigned == (true, true) => Some(unsigned_parts(x, y).0),
        Gcd | Lcm if unsigned == (true, true) && x != i256::ZERO => {
            let (mut p, mut q) = (x, y);
            while q != i256::ZERO {
                (p, q) = (q, unsigned_parts(p, q).1);
            }
            Some(if op == Gcd { p } else { unsigned_parts(x, p).0.wrapping_mul(y) })
        }
        _ => None,
    }
}

/// Quotient and remainder of words of 256 bits without sign, bit by bit.
fn unsigned_parts(x: i256, y: i256) -> (i256, i256) {
    let halves = |v: i256| {
        let (low, high) = v.to_parts();
        (high as u128, low)
    };
    let (dividend, divisor) = (halves(x), halves(y));
    let (mut quotient, mut rest) = ((0u128, 0u128), (0u128, 0u128));
    for bit in (0..256u32).rev() {
        let overflows = rest.0 >> 127 == 1;
        let next = if bit >= 128 { dividend.0 >> (bit - 128) } else { dividend.1 >> bit } & 1;
        rest = (rest.0 << 1 | rest.1 >> 127, rest.1 << 1 | next);
        if overflows || rest >= divisor {
            let (low, borrow) = rest.1.overflowing_sub(divisor.1);
            rest = (rest.0.wrapping_sub(divisor.0).wrapping_sub(borrow as u128), low);
            if bit >= 128 {
                quotient.0 |= 1 << (bit - 128);
            } else {
                quotient.1 |= 1 << bit;
            }
        }
    }
    let word = |v: (u128, u128)| i256::from_parts(v.1, v.0 as i128);
    (word(quotient), word(rest))
}

fn wide_one(op: Op, x: i256, y: i256) -> Result<i256> {
    use Op::*;
    let zero = y == i256::ZERO;
    Ok(match op {
        Plus => x.wrapping_add(y),
        Minus => x.wrapping_sub(y),
        Multiply => x.wrapping_mul(y),
        IntDivOrZero | ModuloOrZero if zero => i256::ZERO,
        IntDiv | Modulo | PositiveModulo if zero => return Err(division_by_zero()),
        IntDiv | IntDivOrZero | Divide => x.wrapping_div(y),
        Modulo | ModuloOrZero => x.wrapping_rem(y),
        PositiveModulo => {
            let rest = x.wrapping_rem(y);
            if rest.is_negative() { rest.wrapping_add(y.wrapping_abs()) } else { rest }
        }
        BitAnd => x & y,
        BitOr => x | y,
        BitXor => x ^ y,
        Gcd | Lcm => return wide_divisor(op, x, y),
        ShiftLeft | ShiftRight if y.is_negative() => return Err(negative_shift()),
        ShiftLeft => x << (y.as_i128().clamp(0, 255) as u8),
        ShiftRight => x >> (y.as_i128().clamp(0, 255) as u8),
        _ => return Err(Error::new(codes::NOT_IMPLEMENTED, "not implemented for wide integers")),
    })
}

/// Error 69.
fn negative_shift() -> Error {
    Error::new(
        codes::ARGUMENT_OUT_OF_BOUND,
        "The number of shift positions needs to be a non-negative value",
    )
}

/// Greatest common divisor or least common multiple.
fn wide_divisor(op: Op, x: i256, y: i256) -> Result<i256> {
    if x == i256::ZERO || y == i256::ZERO {
        return Err(division_by_zero());
    }
    let (mut p, mut q) = (x.wrapping_abs(), y.wrapping_abs());
    if p.is_negative() || q.is_negative() {
        return Err(Error::new(codes::NOT_IMPLEMENTED, "not implemented for such wide integers"));
    }
    while q != i256::ZERO {
        (p, q) = (q, p.wrapping_rem(q));
    }
    Ok(match op {
        Op::Gcd => p,
        _ => x.wrapping_abs().wrapping_div(p).wrapping_mul(y.wrapping_abs()),
    })
}

/// The operation with NULL where it would divide by zero.
fn or_null(op: Op, call: &FunctionCall) -> Result<Column> {
    let divisor = super::native::load::<f64>(&call.column(1)?)?;
    let valid: Vec<bool> = divisor.iter().map(|v| *v != 0.0).collect();
    let ones = Column::new(DataType::UInt8, u8::array(vec![1; call.rows]));
    let one = super::cast::cast_column(&ones, call.data_type(1)?, call.context)?;
    let mask = arrow_array::BooleanArray::from(valid);
    let safe = super::conditional::select(&mask, &call.column(1)?, &one)?;
    let arguments = [call.arguments[0].clone(), Argument::Column(safe)];
    let inner = call.result.without_nullable();
    let plain = FunctionCall { arguments: &arguments, result: &inner, ..*call };
    let column = evaluate(op, &plain)?;
    Ok(super::invoke::mask(&column, &arrow_buffer::NullBuffer::new(mask.values().clone())))
}

/// One side of a binary loop over `R`.
pub(super) enum Operand<'a, R> {
    One(R),
    /// The column holds `R` already.
    Direct(&'a [R]),
    Convert(&'a Column),
}

pub(super) fn operand<'a, R: Native>(
    call: &FunctionCall<'a>,
    index: usize,
) -> Result<Operand<'a, R>> {
    let column = call.raw(index)?;
    if call.is_constant(index) {
        return Ok(Operand::One(
            super::native::load::<R>(column)?.first().copied().unwrap_or_default(),
        ));
    }
    let same = *column.array.data_type()
        == <R::Arrow as arrow_array::types::ArrowPrimitiveType>::DATA_TYPE;
    Ok(if same { Operand::Direct(values::<R>(column)) } else { Operand::Convert(column) })
}

/// Rows that are converted at a time: two operands of 8 bytes stay in the first-level cache.
const RUN: usize = 1024;

/// `f` over all rows.
pub(super) fn zip<R: Native, O: Copy>(
    a: Operand<R>,
    b: Operand<R>,
    rows: usize,
    f: impl Fn(R, R) -> O,
) -> Result<Vec<O>> {
    use Operand::*;
    Ok(match (a, b) {
        (One(x), One(y)) => vec![f(x, y); rows],
        (Direct(a), One(y)) => a.iter().map(|x| f(*x, y)).collect(),
        (One(x), Direct(b)) => b.iter().map(|y| f(x, *y)).collect(),
        (Direct(a), Direct(b)) => a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect(),
        (a, b) => {
            let mut out = Vec::with_capacity(rows);
            let (mut left, mut right) = (Vec::with_capacity(RUN), Vec::with_capacity(RUN));
            for start in (0..rows).step_by(RUN) {
                let n = RUN.min(rows - start);
                match (run(&a, start, n, &mut left)?, run(&b, start, n, &mut right)?) {
                    (Run::Many(a), Run::Many(b)) => {
                        out.extend(a.iter().zip(b).map(|(x, y)| f(*x, *y)));
                    }
                    (Run::Many(a), Run::One(y)) => out.extend(a.iter().map(|x| f(*x, y))),
                    (Run::One(x), Run::Many(b)) => out.extend(b.iter().map(|y| f(x, *y))),
                    (Run::One(x), Run::One(y)) => out.extend((0..n).map(|_| f(x, y))),
                }
            }
            out
        }
    })
}

enum Run<'a, R> {
    One(R),
    Many(&'a [R]),
}

fn run<'a, R: Native>(
    operand: &'a Operand<R>,
    start: usize,
    rows: usize,
    scratch: &'a mut Vec<R>,
) -> Result<Run<'a, R>> {
    Ok(match operand {
        Operand::One(v) => Run::One(*v),
        Operand::Direct(values) => Run::Many(&values[start..start + rows]),
        Operand::Convert(column) => {
            scratch.clear();
            load_range(column, start, rows, scratch)?;
            Run::Many(scratch)
        }
    })
}
