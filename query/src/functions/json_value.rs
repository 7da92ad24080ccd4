//! JSON values as values of a given type: what JSONExtract(…, 'Type') does.
//!
//! Strings that hold numbers count as numbers, numbers out of the type's range and values of another
//! kind count as missing.

use arrow_buffer::i256;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{DataType, Value};

use super::json_text::{Kind, compact, key_is, kind, parts, unescape};
use crate::text::parse_value;

/// A JSON number (or a string that holds one, or a boolean).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// The whole part, if it is in range.
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Number::Integer(v) => Some(v),
            Number::Float(v) if v.abs() < 1e38 => Some(v as i128),
            Number::Float(_) => None,
        }
    }

    pub fn as_float(self) -> f64 {
        match self {
            Number::Integer(v) => v as f64,
            Number::Float(v) => v,
        }
    }

    /// The integer if the text was one.
    pub fn exact(self) -> Option<i128> {
        match self {
            Number::Integer(v) => Some(v),
            Number::Float(_) => None,
        }
    }
}

fn number_text(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(v) = text.parse::<i64>() {
        return Some(Number::Integer(v as i128));
    }
    if let Ok(v) = text.parse::<u64>() {
        return Some(Number::Integer(v as i128));
    }
    text.parse().ok().map(Number::Float)
}

pub(crate) fn number(value: &[u8]) -> Option<Number> {
    match kind(value)? {
        Kind::Number => number_text(value),
        Kind::String => number_text(&unescape(value)),
        Kind::True => Some(Number::Integer(1)),
        Kind::False => Some(Number::Integer(0)),
        _ => None,
    }
}

/// The value as `to`; None if it does not fit.
pub(crate) fn extract(
    value: &[u8],
    to: &DataType,
    zone: TimeZone,
    any_case: bool,
) -> Option<Value> {
    use DataType::*;
    let json = kind(value)?;
    match to {
        Nullable(_) if json == Kind::Null => Some(Value::Null),
        Nullable(inner) => extract(value, inner, zone, any_case).or(Some(Value::Null)),
        LowCardinality(inner) => extract(value, inner, zone, any_case),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            extract(value, argument, zone, any_case)
        }
        _ if json == Kind::Null => None,
        Bool => match json {
            Kind::True => Some(Value::UInt(1)),
            Kind::False => Some(Value::UInt(0)),
            Kind::Number => Some(Value::UInt(u64::from(number(value)?.as_float() != 0.0))),
            _ => None,
        },
        t if t.is_integer() => integer(number(value)?, t),
        Float32 | Float64 => Some(Value::Float(number(value)?.as_float())),
        String => {
            let mut out = vec![];
            super::json::as_string(value, &mut out);
            Some(Value::String(out))
        }
        Array(item) if json == Kind::Array => Some(Value::Array(
            parts(value)
                .map(|(_, v)| {
                    extract(v, item, zone, any_case)
                        .unwrap_or_else(|| pumphouse_storage::block::default_value(item))
                })
                .collect(),
        )),
        Tuple(elements) if json == Kind::Array => {
            let mut items = parts(value).map(|(_, v)| v);
            Some(Value::Tuple(
                elements.iter().map(|e| part(items.next(), &e.data_type, zone, any_case)).collect(),
            ))
        }
        Tuple(elements) if json == Kind::Object => {
            let by_name = |name: &str| {
                parts(value).find(|(k, _)| key_is(k, name.as_bytes(), any_case)).map(|(_, v)| v)
            };
            Some(Value::Tuple(
                elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| {
                        let found = match &e.name {
                            Some(name) => by_name(name),
                            None => parts(value).nth(i).map(|(_, v)| v),
                        };
                        part(found, &e.data_type, zone, any_case)
                    })
                    .collect(),
            ))
        }
        Map(k, v) if json == Kind::Object => Some(Value::Map(
            parts(value)
                .filter_map(|(key, inner)| {
                    let key = parse_value(k, &unescape(key), zone).ok()?;
                    Some((key, part(Some(inner), v, zone, any_case)))
                })
                .collect(),
        )),
        Array(_) | Tuple(_) | Map(..) => None,
        _ => {
            let text = if json == Kind::String {
                unescape(value)
            } else {
                let mut text = vec![];
                compact(value, &mut text);
                text
            };
            parse_value(to, &text, zone).ok()
        }
    }
}

fn part(value: Option<&[u8]>, to: &DataType, zone: TimeZone, any_case: bool) -> Value {
    value
        .and_then(|v| extract(v, to, zone, any_case))
        .unwrap_or_else(|| pumphouse_storage::block::default_value(to))
}

/// The whole part of a number if the type can hold it.
fn integer(n: Number, to: &DataType) -> Option<Value> {
    use DataType::*;
    let v = n.as_integer()?;
    let within = |low: i128, high: i128| (low..=high).contains(&v);
    let fits = match to {
        UInt8 => within(0, u8::MAX as i128),
        UInt16 => within(0, u16::MAX as i128),
        UInt32 => within(0, u32::MAX as i128),
        UInt64 => within(0, u64::MAX as i128),
        Int8 => within(i8::MIN as i128, i8::MAX as i128),
        Int16 => within(i16::MIN as i128, i16::MAX as i128),
        Int32 => within(i32::MIN as i128, i32::MAX as i128),
        Int64 => within(i64::MIN as i128, i64::MAX as i128),
        UInt128 | UInt256 => v >= 0,
        _ => true,
    };
    fits.then(|| match to {
        UInt8 | UInt16 | UInt32 | UInt64 => Value::UInt(v as u64),
        Int8 | Int16 | Int32 | Int64 => Value::Int(v as i64),
        UInt128 => Value::UInt128(v as u128),
        Int128 => Value::Int128(v),
        _ => Value::Int256(i256::from_i128(v)),
    })
}
