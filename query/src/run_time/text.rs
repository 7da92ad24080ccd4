//! Variant, Dynamic and JSON in text formats: printing one value, and reading one from a field, from a
//! literal or from JSON.
//!
//! A text becomes the first alternative of a Variant that takes all of it, plain kinds before String; a
//! Dynamic gets the type that [`infer`](super::infer) finds.

use std::sync::Arc;

use pumphouse_storage::run_time::{column_of, open, variant_of};
use pumphouse_storage::types::{JsonType, TimeZone};
use pumphouse_storage::{DataType, Value};

use super::infer::{Rules, of_json, of_literal, of_text, of_word, settle};
use super::json;
use crate::error::codes;
use crate::functions::json_text::{Kind, check, kind, unescape};
use crate::functions::json_value::extract;
use crate::text::read::read_string_literal;
use crate::text::write::write_string_literal;
use crate::text::{
    TextError, TextResult, excerpt, parse_value, read_quoted_value, style, write_quoted, write_text,
};

/// Appends a value that is not NULL, as a literal if `quoted`.
pub fn write(data_type: &DataType, bytes: &[u8], quoted: bool, zone: TimeZone, out: &mut Vec<u8>) {
    if let DataType::Json(_) = data_type {
        let options = style::json_options();
        if !quoted {
            return json::write_compact(bytes, zone, &options, out);
        }
        let mut text = vec![];
        json::write_compact(bytes, zone, &options, &mut text);
        return write_string_literal(&text, out);
    }
    let Some((own, payload)) = open(data_type, bytes) else {
        return out.extend_from_slice(b"NULL");
    };
    if let Ok(column) = column_of(&own, std::iter::once(Some(payload))) {
        let array = column.array.as_ref();
        match quoted {
            true => write_quoted(&own, array, 0, zone, out),
            false => write_text(&own, array, 0, zone, out),
        }
    }
}

/// A value of the alternative `own` as one of the Variant.
fn wrapped(types: &[DataType], own: &DataType, value: &Value) -> Value {
    let at = types.iter().position(|t| t == own).unwrap_or(0);
    Value::String(variant_of(at, own, value))
}

/// How eagerly a text is taken for a type: plain kinds before text.
fn priority(data_type: &DataType) -> u32 {
    use DataType::*;
    match data_type {
        Bool => 1,
        Int8 => 2,
        UInt8 => 3,
        Int16 => 4,
        UInt16 => 5,
        Int32 => 6,
        UInt32 => 7,
        Int64 => 8,
        UInt64 => 9,
        Int128 => 10,
        UInt128 => 11,
        Int256 => 12,
        UInt256 => 13,
        t if t.is_number() => 20,
        Date => 30,
        Date32 => 31,
        DateTime(_) => 32,
        DateTime64(..) => 33,
        Time => 34,
        Time64(_) => 35,
        Uuid | Ipv4 | Ipv6 | Enum8(_) | Enum16(_) => 40,
        Named { argument, .. } => priority(argument),
        // Deep ones first, so that a shallow one does not take their beginning.
        Array(t) => 60 - nesting(t).min(9),
        Tuple(_) | Map(..) => 60,
        Json(_) => 70,
        FixedString(_) => 90,
        String => 100,
        _ => 80,
    }
}

fn nesting(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Array(t) => 1 + nesting(t),
        DataType::Named { argument, .. } => nesting(argument),
        _ => 0,
    }
}

/// The alternatives of a Variant, best first.
fn by_priority(types: &[DataType]) -> Vec<&DataType> {
    let mut types: Vec<&DataType> = types.iter().collect();
    types.sort_by_key(|t| priority(t));
    types
}

fn no_alternative(data_type: &DataType, text: &[u8]) -> TextError {
    TextError::new(
        codes::INCORRECT_DATA,
        format!("Cannot parse text value of type {data_type} here: {}", excerpt(text)),
    )
}

/// The value that a whole text is: a field of a file, or a String that is cast (whose Dynamic is a
/// String again unless `infer`).
pub fn parse(data_type: &DataType, text: &[u8], infer: bool, zone: TimeZone) -> TextResult<Value> {
    match data_type {
        DataType::Json(declared) => Ok(Value::String(json::parse(declared, text, zone)?)),
        DataType::Named { argument, .. } => parse(argument, text, infer, zone),
        DataType::Variant(_) | DataType::Dynamic { .. } if infer && text == b"\\N" => {
            Ok(Value::Null)
        }
        DataType::Variant(types) => {
            for own in by_priority(types) {
                if let Ok(value) = parse_value(own, text, zone) {
                    return Ok(wrapped(types, own, &value));
                }
            }
            if text.eq_ignore_ascii_case(b"NULL") {
                return Ok(Value::Null);
            }
            Err(no_alternative(data_type, text))
        }
        _ if !infer => Ok(dynamic(&DataType::String, &Value::string(text))),
        _ => {
            // In a field, NULL is \N: the word is a text.
            let literal = match text.first() {
                Some(b'\'') | None => None,
                Some(b'[' | b'(' | b'{') => {
                    of_literal(text, zone).filter(|(_, n)| *n == text.len())
                }
                Some(_) if text.eq_ignore_ascii_case(b"NULL") => None,
                Some(_) => of_word(text).map(|typed| (typed, text.len())),
            };
            let typed = literal.map_or_else(|| of_text(text, zone), |(typed, _)| typed);
            Ok(typed.dynamic().map_or(Value::Null, Value::String))
        }
    }
}

fn dynamic(data_type: &DataType, value: &Value) -> Value {
    pumphouse_storage::run_time::dynamic_of(data_type, value).map_or(Value::Null, Value::String)
}

/// The literal at the start of `text`, and the bytes it took.
pub fn read_literal(
    data_type: &DataType,
    text: &[u8],
    zone: TimeZone,
) -> TextResult<(Value, usize)> {
    let null = text.len() >= 4 && text[..4].eq_ignore_ascii_case(b"NULL");
    if null && !matches!(data_type, DataType::Json(_)) {
        return Ok((Value::Null, 4));
    }
    match data_type {
        DataType::Named { argument, .. } => read_literal(argument, text, zone),
        DataType::Json(declared) => {
            let (string, used) = read_string_literal(text)?;
            Ok((Value::String(json::parse(declared, &string, zone)?), used))
        }
        DataType::Variant(types) if text.first() == Some(&b'\'') => {
            let (string, used) = read_string_literal(text)?;
            // What stands in quotes is no number unless nothing else will have it.
            let fits = |t: &&DataType| Some(((*t).clone(), parse_value(t, &string, zone).ok()?));
            let (quoted, bare): (Vec<_>, Vec<_>) =
                by_priority(types).into_iter().partition(|t| priority(t) >= 30);
            let found = quoted.iter().find_map(fits).or_else(|| bare.iter().find_map(fits));
            let (own, value) = found.ok_or_else(|| no_alternative(data_type, &string))?;
            Ok((wrapped(types, &own, &value), used))
        }
        DataType::Variant(types) => {
            for own in by_priority(types) {
                if let Ok((value, used)) = read_quoted_value(own, text, zone)
                    && ends(&text[used..])
                {
                    return Ok((wrapped(types, own, &value), used));
                }
            }
            Err(no_alternative(data_type, text))
        }
        _ => {
            let (typed, used) =
                of_literal(text, zone).ok_or_else(|| no_alternative(data_type, text))?;
            Ok((typed.dynamic().map_or(Value::Null, Value::String), used))
        }
    }
}

/// Whether a literal can end here.
fn ends(rest: &[u8]) -> bool {
    rest.first()
        .is_none_or(|b| matches!(b, b',' | b')' | b']' | b'}' | b':') || b.is_ascii_whitespace())
}

/// The value of a JSON value in a JSON format, which is checked here.
pub fn from_text_json(data_type: &DataType, value: &[u8], zone: TimeZone) -> TextResult<Value> {
    let value = check(value).ok_or_else(|| {
        TextError::new(
            codes::INCORRECT_DATA,
            format!("Cannot parse JSON value here: {}", excerpt(value)),
        )
    })?;
    from_json(data_type, value, zone)
}

/// The value of a JSON value that is known to be valid.
pub fn from_json(data_type: &DataType, value: &[u8], zone: TimeZone) -> TextResult<Value> {
    let found = kind(value);
    match data_type {
        DataType::Named { argument, .. } => from_json(argument, value, zone),
        DataType::Json(declared) => Ok(Value::String(object_of(declared, value, zone)?)),
        _ if found == Some(Kind::Null) => Ok(Value::Null),
        DataType::Variant(types) => {
            let text = found == Some(Kind::String);
            for own in by_priority(types) {
                let value = match own {
                    DataType::String if text => Some(Value::String(unescape(value))),
                    DataType::String => Some(Value::string(value)),
                    t if text && t.is_number() => None,
                    t if text => parse_value(t, &unescape(value), zone).ok(),
                    t => exact(t, value, zone),
                };
                if let Some(value) = value {
                    return Ok(wrapped(types, own, &value));
                }
            }
            Err(no_alternative(data_type, value))
        }
        _ => {
            let typed = settle(of_json(value, &Rules { zone, objects: None })?);
            Ok(typed.dynamic().map_or(Value::Null, Value::String))
        }
    }
}

/// The object that a JSON value is.
fn object_of(declared: &Arc<JsonType>, value: &[u8], zone: TimeZone) -> TextResult<Vec<u8>> {
    match kind(value) {
        Some(Kind::Object) => json::ObjectParser::new(declared, zone)?.object(value),
        _ => Err(TextError::new(codes::INCORRECT_DATA, "JSON object should start with '{'")),
    }
}

/// A JSON value that is no string, as a value that loses nothing.
fn exact(data_type: &DataType, value: &[u8], zone: TimeZone) -> Option<Value> {
    match (kind(value)?, data_type) {
        (_, DataType::Named { argument, .. }) => return exact(argument, value, zone),
        (Kind::True | Kind::False, DataType::Bool) => {}
        (Kind::True | Kind::False, t) if t.is_integer() => {}
        (Kind::True | Kind::False, _) | (_, DataType::Bool) => return None,
        (Kind::Number, t) if t.is_number() => return parse_value(t, value, zone).ok(),
        (Kind::Array, DataType::Array(_) | DataType::Tuple(_)) => {}
        (Kind::Object, DataType::Map(..) | DataType::Tuple(_)) => {}
        (Kind::Object, DataType::Json(_)) => return from_json(data_type, value, zone).ok(),
        _ => return None,
    }
    extract(value, data_type, zone, false)
}
