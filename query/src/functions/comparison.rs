//! equals, notEquals, less, greater, lessOrEquals, greaterOrEquals and the null-safe comparisons.
//!
//! Numbers of different types compare by value; a constant string is parsed as the other side's type;
//! dates of different types compare as instants; beside a FixedString zeros at the end count for nothing. The loops
//! are per type with a path for column against constant; `mixed` has the slow, exact ways.

use std::cmp::Ordering;

use arrow_buffer::NullBuffer;
use pumphouse_storage::{Column, DataType, Value};

use super::arithmetic::{Operand, operand, zip};
use super::cast::cast_column;
use super::invoke::is_null_type;
use super::multiversion::multiversion;
use super::native::{As, Native, with_native};
use super::promote::no_common_type;
use super::registry::Registry;
use super::strings::Strings;
use super::type_rule::Args;
use super::wide::{is_wide, load_wide};
use super::{Argument, FunctionCall, clock, mixed};
use crate::error::{Error, Result, codes};
use crate::execute::sort_key::{KeyOrder, SortEncoder};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    NotEquals,
    Less,
    Greater,
    LessOrEquals,
    GreaterOrEquals,
}

use Comparison::*;

impl Comparison {
    /// The answer for an ordering; `None` (NaN) satisfies only notEquals.
    pub fn holds(self, ordering: Option<Ordering>) -> bool {
        match self {
            Equals => ordering == Some(Ordering::Equal),
            NotEquals => ordering != Some(Ordering::Equal),
            Less => ordering == Some(Ordering::Less),
            Greater => ordering == Some(Ordering::Greater),
            LessOrEquals => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            GreaterOrEquals => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    /// The comparison with its sides exchanged.
    pub(super) fn swapped(self) -> Comparison {
        match self {
            Less => Greater,
            Greater => Less,
            LessOrEquals => GreaterOrEquals,
            GreaterOrEquals => LessOrEquals,
            same => same,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Equals => "equals",
            NotEquals => "notEquals",
            Less => "less",
            Greater => "greater",
            LessOrEquals => "lessOrEquals",
            GreaterOrEquals => "greaterOrEquals",
        }
    }
}

pub(super) fn add(r: &mut Registry) {
    for op in [Equals, NotEquals, Less, Greater, LessOrEquals, GreaterOrEquals] {
        r.add(op.name(), 2..=2, move |a| compared_type(op, a), move |c| evaluate(op, c));
    }
    for (name, same) in [("isNotDistinctFrom", true), ("isDistinctFrom", false)] {
        r.add(
            name,
            2..=2,
            |a| {
                let mut items = a.items.to_vec();
                items.iter_mut().for_each(|i| i.data_type = i.data_type.without_nullable());
                if text_beside_other(&items) {
                    return Err(a.illegal_pair());
                }
                result_type(Equals, &Args { function: a.function, items: &items })?;
                Ok(DataType::UInt8)
            },
            move |c| null_safe(c, same),
        )
        .own_nulls();
    }
}

fn compared_type(op: Comparison, a: &Args) -> Result<DataType> {
    // Refused where it is computed, by `strict`.
    if text_beside_other(a.items) { Ok(DataType::UInt8) } else { result_type(op, a) }
}

/// A text that is not constant, and so not read as the other side's type, beside a number, time or UUID.
pub(super) fn text_beside_other(items: &[super::ArgumentType]) -> bool {
    let [a, b] = items else { return false };
    let is_text = |i: &super::ArgumentType| i.data_type.inner().is_string() && i.constant.is_none();
    let is_other = |i: &super::ArgumentType| {
        let t = i.data_type.inner();
        t.is_number() || t.is_date_or_time() || *t == DataType::Uuid
    };
    is_text(a) && is_other(b) || is_other(a) && is_text(b)
}

/// The error of such a pair.
pub(super) fn without_common_type(items: &[super::ArgumentType]) -> Error {
    let types: Vec<DataType> = items.iter().map(|i| i.data_type.inner().clone()).collect();
    no_common_type(&types)
}

fn result_type(op: Comparison, a: &Args) -> Result<DataType> {
    use DataType::*;
    let (l, r) = (a.get(0), a.get(1));
    if *l == Nothing || *r == Nothing || l == r && !matches!(l, Tuple(_)) {
        return Ok(UInt8);
    }
    let plain_number = |t: &DataType| t.is_number() || matches!(t, Enum8(_) | Enum16(_));
    let fine = match (l, r) {
        (Tuple(x), Tuple(y)) => return tuple_type(op, a, x, y),
        (Array(_), Array(_)) => items_comparable(l, r),
        (Map(..), Map(..)) => super::promote::common_type(&[l.clone(), r.clone()]).is_ok(),
        (Interval(_), Interval(_)) => true,
        (x, y) if (clock::is_clock(x) || clock::is_clock(y)) && clock::comparable(x, y) => true,
        (Ipv4 | Ipv6, Ipv4 | Ipv6) => true,
        (Uuid, Uuid) => true,
        (Enum8(_) | Enum16(_), String | FixedString(_))
        | (String | FixedString(_), Enum8(_) | Enum16(_)) => true,
        (x, y) if x.is_string() && y.is_string() => true,
        (x, y) if x.is_date_or_time() && y.is_date_or_time() => true,
        (x, y) if plain_number(x) && plain_number(y) => true,
        (DateTime(_) | DateTime64(..), y) if y.is_number() => true,
        (x, DateTime(_) | DateTime64(..)) if x.is_number() => true,
        (x, _) if x.is_string() && a.constant(0).is_some() => true,
        (_, y) if y.is_string() && a.constant(1).is_some() => true,
        (x, y) if x.is_string() || y.is_string() => {
            return Err(no_common_type(&[l.clone(), r.clone()]));
        }
        _ => false,
    };
    if fine { Ok(UInt8) } else { Err(a.illegal_pair()) }
}

/// Whether items of arrays have an order: numbers have one also without a common type.
fn items_comparable(l: &DataType, r: &DataType) -> bool {
    use DataType::*;
    match (l.inner(), r.inner()) {
        (Array(x), Array(y)) => items_comparable(x, y),
        (Tuple(x), Tuple(y)) if x.len() == y.len() => {
            x.iter().zip(y).all(|(x, y)| items_comparable(&x.data_type, &y.data_type))
        }
        (x, y) if x.is_number() && y.is_number() => {
            let huge = |t: &DataType| matches!(t, UInt256 | Int256);
            x == y
                || !huge(x) && !huge(y)
                || super::promote::common_type(&[x.clone(), y.clone()]).is_ok()
        }
        _ => super::promote::common_type(&[l.clone(), r.clone()]).is_ok(),
    }
}

fn tuple_type(
    op: Comparison,
    a: &Args,
    x: &[pumphouse_storage::types::TupleElement],
    y: &[pumphouse_storage::types::TupleElement],
) -> Result<DataType> {
    if x.len() != y.len() {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Cannot compare tuples of different sizes in function {}", a.function),
        ));
    }
    let mut nullable = false;
    for (l, r) in x.iter().zip(y) {
        nullable |= l.data_type.is_nullable() || r.data_type.is_nullable();
        if is_null_type(&l.data_type) || is_null_type(&r.data_type) {
            continue;
        }
        let items = [&l.data_type, &r.data_type].map(|t| super::ArgumentType {
            data_type: t.without_nullable(),
            constant: a.constant(0).or(a.constant(1)).cloned(),
            lambda_arity: None,
        });
        result_type(op, &Args { function: a.function, items: &items })?;
    }
    Ok(if nullable { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 })
}

fn evaluate(op: Comparison, call: &FunctionCall) -> Result<Column> {
    if call.rows == 0 && !call.result.is_nullable() {
        return call.finish_numbers(Vec::<u8>::new());
    }
    if call.result.is_nullable() {
        return mixed::nullable_tuples(op, call);
    }
    call.finish_numbers(compare(op, call)?)
}

/// 0 or 1 for each row.
pub(super) fn compare(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    use DataType::*;
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    match (l, r) {
        (x, y) if x.is_string() && y.is_string() => strings(op, call),
        (Enum8(_) | Enum16(_), y) if y.is_string() => enum_and_text(op, call),
        (x, Enum8(_) | Enum16(_)) if x.is_string() => {
            let arguments = [call.arguments[1].clone(), call.arguments[0].clone()];
            compare(op.swapped(), &FunctionCall { arguments: &arguments, ..*call })
        }
        (x, y) if x.is_string() || y.is_string() => text_and_other(op, call),
        (Tuple(_), Tuple(_)) => mixed::tuples(op, call),
        (Array(_) | Tuple(_) | Map(..), _) => mixed::by_value(op, call),
        (Json(_), Json(_)) => in_key_order(op, call),
        (x, y) if clock::is_clock(x) || clock::is_clock(y) => {
            let arguments = clock::numbers_of(call);
            compare(op, &FunctionCall { arguments: &arguments, ..*call })
        }
        (Decimal { .. }, _) | (_, Decimal { .. }) => mixed::decimals(op, call),
        (x, y) if x.is_date_or_time() && y.is_date_or_time() && x != y => times(op, call),
        (DateTime64(..), y) if y.is_number() => mixed::time64_and_number(op, call),
        (x, DateTime64(..)) if x.is_number() => mixed::time64_and_number(op, call),
        (Ipv4, Ipv6) | (Ipv6, Ipv4) => with_casts(op, call, &Ipv6),
        (Uuid, Uuid) | (Ipv6, Ipv6) => strings(op, call),
        (Interval(x), Interval(y)) if x != y => mixed::intervals(op, call),
        _ => numbers(op, call),
    }
}

/// Values compared as ORDER BY does it.
fn in_key_order(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (l, r) = (call.column(0)?, call.column(1)?);
    let order = KeyOrder { data_type: l.data_type.clone(), descending: false, nulls_first: false };
    let encoder = SortEncoder::new(vec![order]);
    let a = encoder.encode(std::slice::from_ref(&l), call.rows);
    let b = encoder.encode(std::slice::from_ref(&r), call.rows);
    Ok((0..call.rows).map(|i| u8::from(op.holds(Some(a.compare(i, &b, i))))).collect())
}

/// Both sides converted to `to`, then compared.
fn with_casts(op: Comparison, call: &FunctionCall, to: &DataType) -> Result<Vec<u8>> {
    let arguments: Vec<Argument> = call
        .arguments
        .iter()
        .map(|a| {
            Ok(match a {
                Argument::Column(c) => Argument::Column(cast_column(c, to, call.context)?),
                Argument::Constant(c) => Argument::Constant(cast_column(c, to, call.context)?),
                other => other.clone(),
            })
        })
        .collect::<Result<_>>()?;
    compare(op, &FunctionCall { arguments: &arguments, ..*call })
}

fn times(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    use DataType::*;
    let (l, r) = (call.data_type(0)?, call.data_type(1)?);
    if matches!((l, r), (DateTime(_), DateTime(_))) {
        return numbers(op, call);
    }
    if let (DateTime64(p, _), DateTime64(q, _)) = (l, r)
        && p == q
    {
        return numbers(op, call);
    }
    let to = super::promote::common_type(&[l.clone(), r.clone()])?;
    let to = match to {
        DateTime(_) => {
            DateTime64(0, super::zone::explicit_zone(l).or(super::zone::explicit_zone(r)))
        }
        other => other,
    };
    with_casts(op, call, &to)
}

/// A constant string beside another type: parsed as that type.
fn text_and_other(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let text = usize::from(call.data_type(1)?.is_string());
    let other = call.data_type(1 - text)?;
    let Some(Value::String(bytes)) = call.constant(text) else {
        return Err(no_common_type(&[call.data_type(0)?.clone(), call.data_type(1)?.clone()]));
    };
    let parsed = cast_column(call.raw(text)?, other, call.context).map_err(|e| {
        if other.is_number() {
            Error::new(
                codes::TYPE_MISMATCH,
                format!(
                    "Cannot convert string '{}' to type {other}",
                    String::from_utf8_lossy(&bytes)
                ),
            )
        } else {
            e
        }
    })?;
    let mut arguments = call.arguments.to_vec();
    arguments[text] = Argument::Constant(parsed);
    compare(op, &FunctionCall { arguments: &arguments, ..*call })
}

/// Enum on the left, text on the right: by name for equality, by number for order.
fn enum_and_text(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let constant = call.constant(1);
    if let Some(Value::String(_)) = constant {
        return match cast_column(call.raw(1)?, call.data_type(0)?, call.context) {
            Ok(column) => {
                let arguments = [call.arguments[0].clone(), Argument::Constant(column)];
                numbers(op, &FunctionCall { arguments: &arguments, ..*call })
            }
            Err(_) if op == Equals => Ok(vec![0; call.rows]),
            Err(_) if op == NotEquals => Ok(vec![1; call.rows]),
            Err(e) => Err(e),
        };
    }
    with_casts(op, call, &DataType::String)
}

/// The first eight bytes as a number that orders as they do; zeros stand behind shorter texts.
#[inline(always)]
fn prefix_of(bytes: &[u8], from: usize, to: usize) -> u64 {
    let length = to - from;
    match bytes.get(from..from + 8) {
        Some(eight) => {
            let word = u64::from_be_bytes(eight.try_into().unwrap_or_default());
            if length >= 8 { word } else { word & !(u64::MAX >> (8 * length)) }
        }
        None => {
            let mut word = [0; 8];
            let taken = length.min(8);
            word[..taken].copy_from_slice(&bytes[from..from + taken]);
            u64::from_be_bytes(word)
        }
    }
}

/// `row op text` for every row: most differ within eight bytes.
fn ordered_to(offsets: &[i32], bytes: &[u8], text: &[u8], op: Comparison) -> Vec<u8> {
    let wanted = prefix_of(text, 0, text.len());
    let (less, equal, greater) = (
        op.holds(Some(Ordering::Less)),
        op.holds(Some(Ordering::Equal)),
        op.holds(Some(Ordering::Greater)),
    );
    let answer = |pair: &[i32]| {
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        let ordering = match prefix_of(bytes, from, to).cmp(&wanted) {
            Ordering::Equal => bytes[from..to].cmp(text),
            other => other,
        };
        u8::from(match ordering {
            Ordering::Less => less,
            Ordering::Equal => equal,
            Ordering::Greater => greater,
        })
    };
    offsets.windows(2).map(answer).collect()
}

fn strings(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (a, b) = (call.strings(0)?, call.strings(1)?);
    let padded =
        |i: usize| -> Result<bool> { Ok(matches!(call.data_type(i)?, DataType::FixedString(_))) };
    let (pad_a, pad_b) = (padded(0)?, padded(1)?);
    if !pad_a && !pad_b {
        match (a, b, op) {
            (Strings::Variable { offsets, bytes }, Strings::One(text), Equals | NotEquals)
            | (Strings::One(text), Strings::Variable { offsets, bytes }, Equals | NotEquals) => {
                return Ok(equal_to(offsets, bytes, text, op == NotEquals));
            }
            (Strings::Variable { offsets, bytes }, Strings::One(text), _) => {
                return Ok(ordered_to(offsets, bytes, text, op));
            }
            (Strings::One(text), Strings::Variable { offsets, bytes }, _) => {
                return Ok(ordered_to(offsets, bytes, text, op.swapped()));
            }
            _ => {}
        }
    }
    let trim = super::cast::text::trim_zeros;
    let rows = call.rows;
    Ok(match op {
        Equals if !pad_a && !pad_b => (0..rows).map(|i| u8::from(a.get(i) == b.get(i))).collect(),
        NotEquals if !pad_a && !pad_b => {
            (0..rows).map(|i| u8::from(a.get(i) != b.get(i))).collect()
        }
        _ => (0..rows)
            .map(|i| {
                let ordering = match pad_a || pad_b {
                    // The shorter text is filled up with zeros, too.
                    true => trim(a.get(i)).cmp(trim(b.get(i))),
                    false => a.get(i).cmp(b.get(i)),
                };
                u8::from(op.holds(Some(ordering)))
            })
            .collect(),
    })
}

/// Rows equal (or not) to one text: lengths first, bytes only where they agree.
fn equal_to(offsets: &[i32], bytes: &[u8], text: &[u8], negate: bool) -> Vec<u8> {
    let length = text.len() as i32;
    let mut out: Vec<u8> = offsets.windows(2).map(|w| u8::from(w[1] - w[0] == length)).collect();
    if length > 0 {
        for (row, hit) in out.iter_mut().enumerate() {
            if *hit != 0 {
                let start = offsets[row] as usize;
                *hit = u8::from(&bytes[start..start + text.len()] == text);
            }
        }
    }
    if negate {
        out.iter_mut().for_each(|hit| *hit ^= 1);
    }
    out
}

/// 0 or 1 for each row of words of one type.
pub(super) fn native<R: Native>(
    op: Comparison,
    a: Operand<R>,
    b: Operand<R>,
    rows: usize,
) -> Result<Vec<u8>> {
    if let (Operand::Direct(a), Operand::One(y)) = (&a, &b) {
        return Ok(with_one(op, a, *y));
    }
    match op {
        Equals => zip(a, b, rows, |x, y| u8::from(x == y)),
        NotEquals => zip(a, b, rows, |x, y| u8::from(x != y)),
        Less => zip(a, b, rows, |x, y| u8::from(x < y)),
        Greater => zip(a, b, rows, |x, y| u8::from(x > y)),
        LessOrEquals => zip(a, b, rows, |x, y| u8::from(x <= y)),
        GreaterOrEquals => zip(a, b, rows, |x, y| u8::from(x >= y)),
    }
}

multiversion! {
    /// 0 or 1 for each word, compared with one.
    fn with_one<R: Native>(op: Comparison, words: &[R], one: R) -> Vec<u8> = compared;
}

#[inline(always)]
fn compared<R: Native>(op: Comparison, words: &[R], one: R) -> Vec<u8> {
    let words = words.iter();
    match op {
        Equals => words.map(|x| u8::from(*x == one)).collect(),
        NotEquals => words.map(|x| u8::from(*x != one)).collect(),
        Less => words.map(|x| u8::from(*x < one)).collect(),
        Greater => words.map(|x| u8::from(*x > one)).collect(),
        LessOrEquals => words.map(|x| u8::from(*x <= one)).collect(),
        GreaterOrEquals => words.map(|x| u8::from(*x >= one)).collect(),
    }
}

/// Plain numbers (and what is stored as such) of any types.
fn numbers(op: Comparison, call: &FunctionCall) -> Result<Vec<u8>> {
    let (l, r) = (call.raw(0)?, call.raw(1)?);
    let rows = call.rows;
    if is_wide(&l.data_type) || is_wide(&r.data_type) {
        return mixed::numbers(op, call);
    }
    if l.array.data_type() == r.array.data_type() {
        return with_native!(l.data_type, R => {
            native(op, operand::<R>(call, 0)?, operand::<R>(call, 1)?, rows)
        }, else { mixed::by_value(op, call) });
    }
    if call.is_constant(1)
        && !call.is_constant(0)
        && let Some(out) = column_and_constant(op, call, 0)?
    {
        return Ok(out);
    }
    if call.is_constant(0)
        && !call.is_constant(1)
        && let Some(out) = column_and_constant(op.swapped(), call, 1)?
    {
        return Ok(out);
    }
    let (wide_l, wide_r) = (width_class(&l.data_type), width_class(&r.data_type));
    match (wide_l, wide_r) {
        (Class::Float | Class::Small, Class::Float | Class::Small)
            if Class::Float == wide_l || Class::Float == wide_r =>
        {
            native(op, operand::<f64>(call, 0)?, operand::<f64>(call, 1)?, rows)
        }
        (Class::Small | Class::Signed, Class::Small | Class::Signed) => {
            native(op, operand::<i64>(call, 0)?, operand::<i64>(call, 1)?, rows)
        }
        _ => mixed::numbers(op, call),
    }
}

/// How a number type can be widened without loss.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Float,
    /// Fits i64 and f64.
    Small,
    /// Int64.
    Signed,
    /// UInt64.
    Unsigned,
}

fn width_class(data_type: &DataType) -> Class {
    use arrow_schema::DataType as A;
    match data_type.arrow() {
        A::Float32 | A::Float64 => Class::Float,
        A::Int64 => Class::Signed,
        A::UInt64 => Class::Unsigned,
        _ => Class::Small,
    }
}

/// Column `index` against the other, constant argument, compared in the column's own type.
fn column_and_constant(
    op: Comparison,
    call: &FunctionCall,
    index: usize,
) -> Result<Option<Vec<u8>>> {
    let column = call.raw(index)?;
    let constant = call.raw(1 - index)?;
    let float = matches!(width_class(&column.data_type), Class::Float);
    if matches!(width_class(&constant.data_type), Class::Float) {
        let v = super::native::load::<f64>(constant)?[0];
        if float || v.fract() != 0.0 || !v.is_finite() || v.abs() > 9e15 {
            return Ok(None);
        }
    }
    let word = load_wide(constant)?[0].as_i128();
    if float {
        // Exact in f64, so that the column alone decides.
        if word.abs() > 1 << 53 {
            return Ok(None);
        }
        let b = Operand::One(word as f64);
        return native(op, operand::<f64>(call, index)?, b, call.rows).map(Some);
    }
    with_native!(column.data_type, R => {
        let value = As::<R>::to(word as i64);
        let unsigned = column.data_type.arrow() == arrow_schema::DataType::UInt64;
        let back = if unsigned { As::<u64>::to(value) as i128 } else { As::<i64>::to(value) as i128 };
        if back == word {
            return native(op, operand::<R>(call, index)?, Operand::One(value), call.rows).map(Some);
        }
        // Beyond the column's range: every row is on the same side of it.
        let ordering = if word < 0 { Ordering::Greater } else { Ordering::Less };
        Ok(Some(vec![u8::from(op.holds(Some(ordering))); call.rows]))
    }, else { Ok(None) })
}

/// Equality where NULL equals NULL.
/// Nullable, or a tuple with such an element.
fn holds_null(data_type: &DataType) -> bool {
    match data_type {
        DataType::Tuple(elements) => elements.iter().any(|e| holds_null(&e.data_type)),
        other => other.is_nullable(),
    }
}

fn null_safe(call: &FunctionCall, same: bool) -> Result<Column> {
    let (l, r) = (call.column(0)?, call.column(1)?);
    let nulls = |c: &Column| -> Vec<bool> {
        match arrow_array::Array::nulls(&c.array) {
            Some(n) => n.iter().map(|valid| !valid).collect(),
            None => vec![false; c.len()],
        }
    };
    let (null_l, null_r) = (nulls(&l), nulls(&r));
    let equal = if is_null_type(&l.data_type) || is_null_type(&r.data_type) {
        vec![0; call.rows]
    } else {
        let equals = super::lookup("equals")
            .ok_or_else(|| Error::new(codes::UNKNOWN_FUNCTION, "Unknown function equals"))?;
        // The type says how equals computes: only what can be NULL may have a nullable result.
        let result = match holds_null(&l.data_type) || holds_null(&r.data_type) {
            true => DataType::nullable(DataType::UInt8),
            false => DataType::UInt8,
        };
        let column = super::call(&equals, call.context, call.arguments, &result, call.rows)?;
        let valid: Option<NullBuffer> = arrow_array::Array::nulls(&column.array).cloned();
        let bits = super::native::values::<u8>(&column);
        (0..call.rows)
            .map(|i| bits[i] & u8::from(valid.as_ref().is_none_or(|n| n.is_valid(i))))
            .collect()
    };
    call.finish_numbers(
        (0..call.rows)
            .map(|i| {
                let is_same = match (null_l[i], null_r[i]) {
                    (true, true) => true,
                    (false, false) => equal[i] != 0,
                    _ => false,
                };
                u8::from(is_same == same)
            })
            .collect::<Vec<_>>(),
    )
}
