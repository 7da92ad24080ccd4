//! Reading a setting's value, from text (a URL, a string in SQL, a client's packet) or as a literal, into the
//! canonical text that is kept; and that text as the typed value that `getSetting` gives.
//!
//! What ClickHouse cuts or wraps silently (a number beyond 64 bits) is refused.

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{DataType, Value};

use super::Settings;
use super::known::{Kind, Known, known};
use crate::error::{Error, Result, codes};

/// The setting that `name` stands for and its value's canonical text. Errors: 115 for the name; by the type 27,
/// 32, 72 (numbers), 467 (truths), 36 or the type's own code (words), 19 (characters).
pub fn of_text(name: &str, text: &str) -> Result<(String, String)> {
    if name.starts_with("SQL_") {
        return Ok((name.into(), text.into()));
    }
    let setting = known(name)?;
    Ok((setting.name.into(), canonical(setting, text)?))
}

/// The same of a literal. Errors also: 70 for a number that the type cannot hold, 170 where a text is wanted.
pub fn of_value(name: &str, value: &Value) -> Result<(String, String)> {
    if let Value::String(bytes) = value {
        return of_text(name, &String::from_utf8_lossy(bytes));
    }
    if name.starts_with("SQL_") {
        return Ok((name.into(), value.to_sql()));
    }
    let setting = known(name)?;
    Ok((setting.name.into(), canonical_of_value(setting, value)?))
}

fn canonical_of_value(setting: &Known, value: &Value) -> Result<String> {
    let wrong = |message: String| Err(Error::new(codes::CANNOT_CONVERT_TYPE, message));
    let kind_name = match setting.kind {
        Kind::Bool | Kind::BoolAuto => "bool",
        Kind::Unsigned { .. } => "unsigned long",
        Kind::Signed => "long",
        Kind::Float { .. } => "double",
        Kind::Map if matches!(value, Value::Map(_)) => return Ok(value.to_sql()),
        Kind::Map | Kind::Char | Kind::TimeZone | Kind::Text | Kind::Choice { .. } => {
            let has = type_name(value);
            let message = format!("Bad get: has {has}, requested String");
            return Err(Error::new(codes::BAD_GET, message));
        }
    };
    if value.is_null() {
        return wrong(format!("Invalid value NULL of the setting, which needs {kind_name}"));
    }
    let out_of_range =
        || wrong(format!("Field value {} is out of range of {kind_name} type", value.to_sql()));
    match (setting.kind, value) {
        (Kind::Bool | Kind::BoolAuto, _) => match value.as_f64() {
            Some(v) if v == 0.0 || v == 1.0 => Ok(if v == 0.0 { "0" } else { "1" }.into()),
            _ => out_of_range(),
        },
        (Kind::Float { .. }, _) => match value.as_f64() {
            Some(v) if v.is_finite() => Ok(v.to_string()),
            _ => out_of_range(),
        },
        // A fraction is cut.
        (_, Value::Float(v)) if v.abs() < 9e18 => {
            canonical_of_value(setting, &Value::Int(v.trunc() as i64))
        }
        (kind, _) => match value.as_i128() {
            Some(v) if fits(kind, v) => canonical(setting, &v.to_string()),
            _ => out_of_range(),
        },
    }
}

fn fits(kind: Kind, value: i128) -> bool {
    match kind {
        Kind::Signed => i64::try_from(value).is_ok(),
        _ => u64::try_from(value).is_ok(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Bool(_) => "Bool",
        Value::UInt(_) => "UInt64",
        Value::Int(_) => "Int64",
        Value::Float(_) => "Float64",
        Value::Array(_) => "Array",
        Value::Tuple(_) => "Tuple",
        Value::Map(_) => "Map",
        _ => "Decimal",
    }
}

fn canonical(setting: &Known, text: &str) -> Result<String> {
    match setting.kind {
        Kind::Text => Ok(text.into()),
        Kind::BoolAuto | Kind::Float { auto: true } if text == "auto" => Ok(text.into()),
        Kind::Bool | Kind::BoolAuto => truth(text),
        // As `system.settings` shows what was chosen.
        Kind::Unsigned { auto: true, .. } if text == "auto" || text.starts_with("auto(") => {
            Ok(if setting.type_name == "MaxThreads" { "0" } else { "auto" }.into())
        }
        Kind::Unsigned { positive, .. } => {
            let number = whole(text, false)?;
            if positive && number == "0" {
                return bad("A setting's value has to be greater than 0");
            }
            Ok(number)
        }
        Kind::Signed => whole(text, true),
        Kind::Float { .. } => float(text),
        Kind::Char if text.len() <= 1 => Ok(text.into()),
        Kind::Char => Err(Error::new(
            codes::SIZE_OF_FIXED_STRING_DOESNT_MATCH,
            "A setting's value string has to be an exactly one character long",
        )),
        Kind::TimeZone if text.is_empty() || TimeZone::parse(text).is_some() => Ok(text.into()),
        Kind::TimeZone => bad(&format!("Invalid time zone: {text}")),
        Kind::Map if text.trim_start().starts_with('{') => Ok(text.into()),
        Kind::Map => Err(Error::new(
            codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            format!("Cannot parse input: expected '{{' before: '{text}'"),
        )),
        Kind::Choice { words, several, code } => {
            let known = |word: &str| words.split(',').any(|w| w == word);
            match several {
                false if known(text) => Ok(text.into()),
                true if text.split(',').all(|w| known(w.trim()) || text.is_empty()) => {
                    Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","))
                }
                _ => {
                    let list: Vec<String> = words.split(',').map(|w| format!("'{w}'")).collect();
                    let (kind, list) = (setting.type_name, list.join(", "));
                    let message =
                        format!("Unexpected value of {kind}: '{text}'. Must be one of [{list}]");
                    Err(Error::new(code, message))
                }
            }
        }
    }
}

fn bad(message: &str) -> Result<String> {
    Err(Error::new(codes::BAD_ARGUMENTS, message))
}

fn truth(text: &str) -> Result<String> {
    match text {
        "0" => Ok("0".into()),
        "1" => Ok("1".into()),
        _ if text.eq_ignore_ascii_case("true") => Ok("1".into()),
        _ if text.eq_ignore_ascii_case("false") => Ok("0".into()),
        _ => Err(Error::new(
            codes::CANNOT_PARSE_BOOL,
            format!("Cannot parse bool from string '{text}'"),
        )),
    }
}

/// A whole number, with `K`, `Mi`, `G` … behind it if wanted.
fn whole(text: &str, signed: bool) -> Result<String> {
    let not_a_number = |message: &str| Err(Error::new(codes::CANNOT_PARSE_NUMBER, message));
    if text.is_empty() {
        let message = "Attempt to read after eof";
        return Err(Error::new(codes::ATTEMPT_TO_READ_AFTER_EOF, message));
    }
    if text.starts_with('-') && !signed {
        return not_a_number("Unsigned type must not contain '-' symbol");
    }
    let start = usize::from(text.starts_with(['+', '-']));
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(start + digits);
    let factor = if digits == 0 { None } else { unit_of(unit) };
    let Some(factor) = factor else {
        let rest = if digits == 0 { text } else { unit };
        let message = format!("Cannot parse input: expected 'eof' before: '{rest}'");
        return Err(Error::new(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, message));
    };
    let value = number.parse::<i128>().ok().and_then(|v| v.checked_mul(factor));
    let kind = if signed { Kind::Signed } else { Kind::Unsigned { positive: false, auto: false } };
    match value {
        Some(v) if fits(kind, v) => Ok(v.to_string()),
        _ => not_a_number(&format!("The number {text} is out of range")),
    }
}

fn unit_of(unit: &str) -> Option<i128> {
    let (letter, binary) = match unit.strip_suffix('i') {
        Some(letter) if !letter.is_empty() => (letter, true),
        _ => (unit, false),
    };
    let power = match letter {
        "" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return None,
    };
    Some(if binary { 1024i128.pow(power) } else { 1000i128.pow(power) })
}

fn float(text: &str) -> Result<String> {
    let error = |message: String| Err(Error::new(codes::CANNOT_PARSE_NUMBER, message));
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() => Ok(if v == 0.0 { "0".into() } else { v.to_string() }),
        Ok(v) => error(format!("Float setting value must be finite, got {v}")),
        // What stands behind a number is named.
        Err(_) => match (1..text.len()).rev().find(|n| {
            text.is_char_boundary(*n) && text[..*n].parse::<f64>().is_ok_and(f64::is_finite)
        }) {
            Some(n) => Err(Error::new(
                codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
                format!("Cannot parse input: expected 'eof' before: '{}'", &text[n..]),
            )),
            None => error(format!("Cannot read floating point value here: {text}")),
        },
    }
}

/// The value of a setting as these settings have it, its default without, with the narrowest type that holds
/// it: what `getSetting` gives. Error 115 for an unknown name.
pub fn typed(name: &str, settings: &Settings) -> Result<(DataType, Value)> {
    if name.starts_with("SQL_")
        && let Some(text) = settings.get(name)
    {
        return Ok((DataType::String, Value::string(text)));
    }
    let setting = known(name)?;
    let text = settings.get(setting.name).unwrap_or(&setting.default);
    Ok(match setting.kind {
        Kind::Bool => (DataType::Bool, Value::Bool(text == "1")),
        Kind::BoolAuto if text != "auto" => (DataType::Bool, Value::Bool(text == "1")),
        Kind::Float { .. } if text != "auto" => {
            (DataType::Float64, Value::Float(text.parse().unwrap_or(0.0)))
        }
        Kind::Unsigned { .. } if setting.type_name == "MaxThreads" => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
            unsigned(text.parse().ok().filter(|n| *n > 0).unwrap_or(cores))
        }
        Kind::Unsigned { .. } if text != "auto" => unsigned(text.parse().unwrap_or(0)),
        Kind::Signed => signed(text.parse().unwrap_or(0)),
        _ => (DataType::String, Value::string(text)),
    })
}

fn unsigned(v: u64) -> (DataType, Value) {
    let data_type = match v {
        0..=0xff => DataType::UInt8,
        0x100..=0xffff => DataType::UInt16,
        0x1_0000..=0xffff_ffff => DataType::UInt32,
        _ => DataType::UInt64,
    };
    (data_type, Value::UInt(v))
}

fn signed(v: i64) -> (DataType, Value) {
    let data_type = match v {
        _ if i8::try_from(v).is_ok() => DataType::Int8,
        _ if i16::try_from(v).is_ok() => DataType::Int16,
        _ if i32::try_from(v).is_ok() => DataType::Int32,
        _ => DataType::Int64,
    };
    (data_type, Value::Int(v))
}
