//! Which type a value has that is given as JSON or as text: for the paths of JSON and for Dynamic columns.
//!
//! Numbers are Int64, UInt64 or Float64, texts that look like dates or times are those, the items of an
//! array get one type if they have one in common, else each its own.

use std::sync::Arc;

use pumphouse_storage::run_time::dynamic_of;
use pumphouse_storage::types::{JsonType, TimeZone, TupleElement};
use pumphouse_storage::{Column, DataType, Value};

use super::json::ObjectParser;
use crate::functions::json_text::{Kind, kind, parts, unescape};
use crate::text::TextResult;
use crate::text::calendar::{days_from_civil, days_in_month, local_to_utc};

/// What decides how values are typed.
pub struct Rules<'a> {
    pub zone: TimeZone,
    /// Objects become this JSON type; else named tuples.
    pub objects: Option<&'a Arc<JsonType>>,
}

/// A value with its type. NULL has the type Nothing.
#[derive(Debug, Clone)]
pub struct Typed {
    pub data_type: DataType,
    pub value: Value,
}

impl Typed {
    pub fn null() -> Typed {
        Typed { data_type: DataType::Nothing, value: Value::Null }
    }

    fn new(data_type: DataType, value: Value) -> Typed {
        Typed { data_type, value }
    }

    /// The bytes of a Dynamic of this value; None for NULL.
    pub fn dynamic(&self) -> Option<Vec<u8>> {
        dynamic_of(&self.data_type, &self.value)
    }
}

/// The type of a text by itself: a date, a time, else a String.
pub fn of_text(text: &[u8], zone: TimeZone) -> Typed {
    let dated = (8..=40).contains(&text.len()) && text[..4].iter().all(u8::is_ascii_digit);
    match dated.then(|| date_or_time(text, zone)).flatten() {
        Some(found) => found,
        None => Typed::new(DataType::String, Value::string(text)),
    }
}

/// One or two digits at `at`, and where they end.
fn short(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let digit = |i: usize| text.get(i).filter(|b| b.is_ascii_digit()).map(|b| (b - b'0') as u32);
    let first = digit(at)?;
    Some(match digit(at + 1) {
        Some(second) => (first * 10 + second, at + 2),
        None => (first, at + 1),
    })
}

fn date_or_time(text: &[u8], zone: TimeZone) -> Option<Typed> {
    let year = text[..4].iter().fold(0, |n, b| n * 10 + (b - b'0') as i32);
    if text[4] != b'-' || !(1900..=2299).contains(&year) {
        return None;
    }
    let (month, at) = short(text, 5)?;
    if text.get(at) != Some(&b'-') || !(1..=12).contains(&month) {
        return None;
    }
    let (day, at) = short(text, at + 1)?;
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if at == text.len() {
        if let Ok(days) = u16::try_from(days) {
            return Some(Typed::new(DataType::Date, Value::UInt(days as u64)));
        }
        return fine(local_to_utc(zone, days as i64 * 86_400), 0);
    }
    if !matches!(text[at], b' ' | b'T') {
        return None;
    }
    let (hour, at) = short(text, at + 1)?;
    let (minute, at) = short(text, (text.get(at) == Some(&b':')).then_some(at + 1)?)?;
    let (second, mut at) = short(text, (text.get(at) == Some(&b':')).then_some(at + 1)?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = days as i64 * 86_400 + (hour * 3600 + minute * 60 + second) as i64;
    let mut nanos = None;
    if text.get(at) == Some(&b'.') {
        let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let first = text[at + 1..].iter().take(digits.min(9));
        let n = first.fold(0i64, |n, b| n * 10 + (b - b'0') as i64);
        nanos = Some(n * 10i64.pow(9 - digits.min(9) as u32)).filter(|_| digits > 0);
        nanos?;
        at += 1 + digits;
    }
    let utc = match &text[at..] {
        b"" => local_to_utc(zone, local),
        b"Z" => local,
        _ => return None,
    };
    match (nanos, u32::try_from(utc)) {
        (None, Ok(seconds)) => {
            Some(Typed::new(DataType::DateTime(None), Value::UInt(seconds as u64)))
        }
        (nanos, _) => fine(utc, nanos.unwrap_or(0)),
    }
}

fn fine(seconds: i64, nanos: i64) -> Option<Typed> {
    let ticks = seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    Some(Typed::new(DataType::DateTime64(9, None), Value::Int(ticks)))
}

/// The type of a number's text.
pub fn of_number(text: &[u8]) -> Option<Typed> {
    let text = std::str::from_utf8(text).ok()?;
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && first != b'-' {
        return None;
    }
    if let Ok(v) = text.parse::<i64>() {
        return Some(Typed::new(DataType::Int64, Value::Int(v)));
    }
    if let Ok(v) = text.parse::<u64>() {
        return Some(Typed::new(DataType::UInt64, Value::UInt(v)));
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        // Integers that no word holds.
        return None;
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let float = text.parse::<f64>().ok().filter(|_| plain)?;
    Some(Typed::new(DataType::Float64, Value::Float(float)))
}

/// One type for the items of an array, and whether NULL is among them; None if they have nothing in
/// common.
fn common(types: &[&DataType]) -> Option<(DataType, bool)> {
    use DataType::*;
    let mut null = false;
    let mut found: Option<DataType> = None;
    for t in types {
        let t = match t {
            Nothing => {
                null = true;
                continue;
            }
            Nullable(t) => {
                null = true;
                t
            }
            t => *t,
        };
        found = Some(match (found, t) {
            (None, t) => t.clone(),
            (Some(a), b) if a == *b => a,
            (Some(Int64 | UInt64 | Float64), Float64) | (Some(Float64), Int64 | UInt64) => Float64,
            (Some(Bool), number @ (Int64 | UInt64 | Float64)) => number.clone(),
            (Some(number @ (Int64 | UInt64 | Float64)), Bool) => number,
            // Whether the signed ones fit is seen when they are widened.
            (Some(Int64 | UInt64), Int64 | UInt64) => UInt64,
            (Some(Date), t @ (DateTime(_) | DateTime64(..))) => t.clone(),
            (Some(t @ (DateTime(_) | DateTime64(..))), Date) => t,
            (Some(DateTime(_)), t @ DateTime64(..)) => t.clone(),
            (Some(t @ DateTime64(..)), DateTime(_)) => t,
            (Some(String), Date | DateTime(_) | DateTime64(..))
            | (Some(Date | DateTime(_) | DateTime64(..)), String) => String,
            (Some(Array(a)), Array(b)) => {
                // An array of nothing takes the other's items.
                let (item, nullable) = match (empty_items(&a), empty_items(b)) {
                    (true, _) => ((**b).clone(), false),
                    (_, true) => ((*a).clone(), false),
                    _ => common(&[&a, b])?,
                };
                DataType::array(if nullable { DataType::nullable(item) } else { item })
            }
            _ => return None,
        });
    }
    Some((found.unwrap_or(Nothing), null))
}

/// Items of which nothing is known.
fn empty_items(item: &DataType) -> bool {
    match item {
        DataType::Nothing => true,
        DataType::Nullable(t) => empty_items(t),
        _ => false,
    }
}

fn is_scalar(t: &DataType) -> bool {
    !matches!(
        t,
        DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..) | DataType::Dynamic { .. }
    )
}

/// An array of these items. Inside JSON (`nullable`) plain items can be NULL even if none is. None if
/// nothing is known of the items' type and JSON's String will not do.
pub fn of_items(items: Vec<Typed>, nullable: bool) -> Typed {
    let types: Vec<&DataType> = items.iter().map(|t| &t.data_type).collect();
    if let Some((item, null)) = common(&types) {
        let object = matches!(item, DataType::Json(_));
        let item = match nullable && !object {
            true if is_scalar(&item) => DataType::nullable(item),
            _ if null && is_scalar(&item) => DataType::nullable(item),
            _ => item,
        };
        let widened: Option<Vec<Value>> = items.iter().map(|t| widen(t, &item)).collect();
        if let Some(values) = widened {
            return Typed::new(DataType::array(item), Value::Array(values));
        }
    }
    let values = items.iter().map(|t| {
        let settled = settle(t.clone());
        settled.dynamic().map_or(Value::Null, Value::String)
    });
    let values = Value::Array(values.collect());
    Typed::new(DataType::array(DataType::Dynamic { types_max: None }), values)
}

/// A value in the wider type that `common` found; None if it does not fit there.
fn widen(typed: &Typed, to: &DataType) -> Option<Value> {
    Some(match (&typed.value, to) {
        (Value::Null, DataType::Array(_)) => Value::Array(vec![]),
        (Value::Null, DataType::Map(..)) => Value::Map(vec![]),
        (Value::Null, to) if to.is_nullable() || *to == DataType::Nothing => Value::Null,
        (Value::Null, to) => pumphouse_storage::block::default_value(to),
        (_, DataType::Nullable(inner)) => return widen(typed, inner),
        (v, DataType::Float64) => Value::Float(match v {
            Value::Bool(b) => f64::from(*b),
            v => v.as_f64()?,
        }),
        (v, DataType::Int64) => Value::Int(i64::try_from(v.as_i128()?).ok()?),
        (v, DataType::UInt64) => Value::UInt(v.as_u64()?),
        (v, DataType::DateTime(_)) if typed.data_type == DataType::Date => {
            Value::UInt(v.as_u64()? * 86_400)
        }
        (v, DataType::DateTime64(..)) => match typed.data_type {
            DataType::Date => Value::Int(v.as_u64()? as i64 * 86_400_000_000_000),
            DataType::DateTime(_) => Value::Int(v.as_u64()? as i64 * 1_000_000_000),
            _ => v.clone(),
        },
        (v, DataType::String) if typed.data_type != DataType::String => {
            let column =
                Column::from_values(typed.data_type.clone(), std::slice::from_ref(v)).ok()?;
            let mut out = vec![];
            let array = column.array.as_ref();
            crate::text::write_text(&typed.data_type, array, 0, TimeZone::UTC, &mut out);
            Value::String(out)
        }
        (Value::Array(items), DataType::Array(item)) => {
            let DataType::Array(own) = &typed.data_type else { return None };
            let own = own.without_nullable();
            let widened = items
                .iter()
                .map(|v| widen(&Typed { data_type: own.clone(), value: v.clone() }, item))
                .collect::<Option<_>>()?;
            Value::Array(widened)
        }
        (v, _) => v.clone(),
    })
}

/// Arrays of which nothing is known inside become arrays of strings.
pub fn settle(typed: Typed) -> Typed {
    Typed { data_type: settled(&typed.data_type), value: typed.value }
}

fn settled(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(item) => match &**item {
            item if empty_items(item) => DataType::array(DataType::nullable(DataType::String)),
            item => DataType::array(settled(item)),
        },
        other => other.clone(),
    }
}

/// The type of a checked JSON value; [`settle`] has to follow where it is final.
pub fn of_json(value: &[u8], rules: &Rules) -> TextResult<Typed> {
    let Some(kind) = kind(value) else { return Ok(Typed::null()) };
    Ok(match kind {
        Kind::Null => Typed::null(),
        Kind::True => Typed::new(DataType::Bool, Value::Bool(true)),
        Kind::False => Typed::new(DataType::Bool, Value::Bool(false)),
        Kind::Number => {
            of_number(value).unwrap_or_else(|| Typed::new(DataType::String, Value::string(value)))
        }
        Kind::String => of_text(&unescape(value), rules.zone),
        Kind::Array => {
            let items =
                parts(value).map(|(_, v)| of_json(v, rules)).collect::<TextResult<Vec<_>>>()?;
            of_items(items, rules.objects.is_some())
        }
        Kind::Object => match rules.objects {
            Some(json) => {
                let bytes = ObjectParser::new(json, rules.zone)?.object(value)?;
                Typed::new(DataType::Json((*json).clone()), Value::String(bytes))
            }
            None => {
                let (mut elements, mut values) = (vec![], vec![]);
                for (key, v) in parts(value) {
                    let typed = settle(of_json(v, rules)?);
                    let name = String::from_utf8_lossy(&unescape(key)).into_owned();
                    let data_type = match typed.data_type {
                        DataType::Nothing => DataType::nullable(DataType::String),
                        other => other,
                    };
                    elements.push(TupleElement { name: Some(name), data_type });
                    values.push(typed.value);
                }
                Typed::new(DataType::Tuple(elements), Value::Tuple(values))
            }
        },
    })
}

/// The type of a literal as it stands in VALUES, and how many bytes it took. None if it is none whose
/// type could be told.
pub fn of_literal(text: &[u8], zone: TimeZone) -> Option<(Typed, usize)> {
    let spaces = |at: usize| {
        at + text[at.min(text.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
    };
    match text.first()? {
        b'\'' => {
            let (string, used) = crate::text::read::read_string_literal(text).ok()?;
            Some((of_text(&string, zone), used))
        }
        open @ (b'[' | b'(') => {
            let close = if *open == b'[' { b']' } else { b')' };
            let (mut items, mut at) = (vec![], spaces(1));
            while *text.get(at)? != close {
                if !items.is_empty() {
                    if text[at] != b',' {
                        return None;
                    }
                    at = spaces(at + 1);
                }
                let (item, used) = of_literal(&text[at..], zone)?;
                items.push(item);
                at = spaces(at + used);
            }
            if items.is_empty() {
                return None;
            }
            if *open == b'[' {
                let array = of_items(items, false);
                let known = !matches!(&array.data_type, DataType::Array(t)
                    if empty_items(t) || matches!(**t, DataType::Dynamic { .. }));
                return known.then_some((array, at + 1));
            }
            let (mut elements, mut values) = (vec![], vec![]);
            for item in items {
                elements.push(TupleElement { name: None, data_type: item.data_type });
                values.push(item.value);
            }
            Some((Typed::new(DataType::Tuple(elements), Value::Tuple(values)), at + 1))
        }
        b'{' => map_literal(text, zone),
        _ => {
            let used =
                text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
            Some((of_word(&text[..used])?, used))
        }
    }
}

fn map_literal(text: &[u8], zone: TimeZone) -> Option<(Typed, usize)> {
    let spaces = |at: usize| {
        at + text[at.min(text.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
    };
    let (mut keys, mut items, mut at) = (vec![], vec![], spaces(1));
    while *text.get(at)? != b'}' {
        if !keys.is_empty() {
            at = spaces((text[at] == b',').then_some(at + 1)?);
        }
        let (key, used) = of_literal(&text[at..], zone)?;
        at = spaces(at + used);
        at = spaces((*text.get(at)? == b':').then_some(at + 1)?);
        let (item, used) = of_literal(&text[at..], zone)?;
        at = spaces(at + used);
        keys.push(key);
        items.push(item);
    }
    if keys.is_empty() {
        return None;
    }
    let (keys, items) = (of_items(keys, false), of_items(items, false));
    let (DataType::Array(k), DataType::Array(v)) = (keys.data_type, items.data_type) else {
        return None;
    };
    let (Value::Array(keys), Value::Array(items)) = (keys.value, items.value) else { return None };
    let entries = keys.into_iter().zip(items).collect();
    Some((Typed::new(DataType::Map(k, v), Value::Map(entries)), at + 1))
}

/// A bare word: NULL, true, false, a number.
pub fn of_word(word: &[u8]) -> Option<Typed> {
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    Some(match word {
        w if is(b"null") && !w.is_empty() => Typed::null(),
        _ if is(b"true") => Typed::new(DataType::Bool, Value::Bool(true)),
        _ if is(b"false") => Typed::new(DataType::Bool, Value::Bool(false)),
        _ if is(b"nan") => Typed::new(DataType::Float64, Value::Float(f64::NAN)),
        _ if is(b"inf") => Typed::new(DataType::Float64, Value::Float(f64::INFINITY)),
        _ if is(b"-inf") => Typed::new(DataType::Float64, Value::Float(f64::NEG_INFINITY)),
        _ if word.iter().any(|b| matches!(b, b'e' | b'E')) => return None,
        _ => of_number(word)?,
    })
}
