//! One value of any type: literals, key bounds, minima and maxima, default values.
//!
//! Not used in hot loops. Integers up to 64 bit are widened; the type beside the value says which
//! one it is.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use arrow_buffer::i256;

/// A single value. Dates and times are held as the integer that the column stores (`UInt`/`Int`),
/// Enums as `Int`, Bool as `UInt` unless it is the literal `true` / `false`.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    UInt(u64),
    Int(i64),
    UInt128(u128),
    Int128(i128),
    Int256(i256),
    Float(f64),
    /// Unscaled value and scale.
    Decimal(i128, u8),
    /// Bytes of a String or FixedString; also UUID and IPv6 as their 16 bytes.
    String(Vec<u8>),
    Array(Vec<Value>),
    Tuple(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl Value {
    pub fn string(text: impl Into<Vec<u8>>) -> Value {
        Value::String(text.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The integer if this is one (Bool included) and fits.
    pub fn as_i128(&self) -> Option<i128> {
        match self {
            Value::Bool(b) => Some(*b as i128),
            Value::UInt(v) => Some(*v as i128),
            Value::Int(v) => Some(*v as i128),
            Value::Int128(v) => Some(*v),
            Value::UInt128(v) => i128::try_from(*v).ok(),
            _ => None,
        }
    }

    pub fn as_u64(&self) -> Option<u64> {
        self.as_i128().and_then(|v| u64::try_from(v).ok())
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(v) => Some(*v),
            Value::Decimal(v, scale) => Some(*v as f64 / 10f64.powi(*scale as i32)),
            other => other.as_i128().map(|v| v as f64),
        }
    }

    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::String(b) => Some(b),
            _ => None,
        }
    }

    /// The value as a ClickHouse literal, as it stands in SQL text and in result column names.
    pub fn to_sql(&self) -> String {
        let list = |items: &[Value]| items.iter().map(Value::to_sql).collect::<Vec<_>>().join(", ");
        match self {
            Value::Null => "NULL".into(),
            Value::Bool(b) => b.to_string(),
            Value::UInt(v) => v.to_string(),
            Value::Int(v) => v.to_string(),
            Value::UInt128(v) => v.to_string(),
            Value::Int128(v) => v.to_string(),
            Value::Int256(v) => v.to_string(),
            Value::Float(v) => format_float(*v),
            Value::Decimal(v, scale) => format_decimal(*v, *scale),
            Value::String(b) => super::data_type::quote_string(&String::from_utf8_lossy(b)),
            Value::Array(items) => format!("[{}]", list(items)),
            Value::Tuple(items) if items.len() == 1 => format!("tuple({})", list(items)),
            Value::Tuple(items) => format!("({})", list(items)),
            Value::Map(items) => {
                let items: Vec<_> =
                    items.iter().map(|(k, v)| format!("{}:{}", k.to_sql(), v.to_sql())).collect();
                format!("{{{}}}", items.join(","))
            }
        }
    }
}

/// A float as ClickHouse prints it: shortest text that reads back, no exponent from 1e-6 up to 1e21,
/// `inf`, `-inf`, `nan`.
pub fn format_float(v: f64) -> String {
    if v.is_nan() {
        return "nan".into();
    }
    if v.is_infinite() {
        return if v > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let magnitude = v.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        return format!("{v:e}");
    }
    format!("{v}")
}

/// A decimal's text without trailing zeros of the fraction, as ClickHouse prints it.
pub fn format_decimal(unscaled: i128, scale: u8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let scale = scale as usize;
    let padded = if digits.len() <= scale {
        format!("{}{digits}", "0".repeat(scale + 1 - digits.len()))
    } else {
        digits
    };
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn rank(v: &Value) -> u8 {
    match v {
        Value::Bool(_) | Value::UInt(_) | Value::Int(_) | Value::UInt128(_) | Value::Int128(_) => 0,
        Value::Int256(_) => 1,
        Value::Float(_) => 2,
        Value::Decimal(..) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Tuple(_) => 6,
        Value::Map(_) => 7,
        Value::Null => 8,
    }
}

/// Total order within one type: numbers by value, NaN after all numbers, NULL last.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) | (Value::Tuple(a), Value::Tuple(b)) => a.cmp(b),
            (Value::Map(a), Value::Map(b)) => a.cmp(b),
            (Value::Int256(a), Value::Int256(b)) => a.cmp(b),
            (Value::Decimal(a, s), Value::Decimal(b, t)) if s == t => a.cmp(b),
            (Value::UInt128(a), Value::UInt128(b)) => a.cmp(b),
            _ => match (self.as_i128(), other.as_i128()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => match (self.as_f64(), other.as_f64()) {
                    (Some(a), Some(b)) => {
                        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
                    }
                    _ => rank(self).cmp(&rank(other)),
                },
            },
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Value::String(b) => b.hash(state),
            Value::Array(v) | Value::Tuple(v) => v.hash(state),
            Value::Map(v) => v.hash(state),
            other => match other.as_f64() {
                Some(f) => f.to_bits().hash(state),
                None => rank(other).hash(state),
            },
        }
    }
}
