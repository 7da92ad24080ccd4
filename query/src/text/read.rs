//! One whole text to a [`Value`] of a type: what CAST from String does, and values inside `[…]`, `(…)`
//! and `{…}` and in VALUES.
//!
//! [`parse_value`] wants all of the text; [`read_quoted_value`] reads a literal at the start and says
//! how long it was. Not for hot loops: those call the typed parsers of `number`, `time`, `address`.

use pumphouse_storage::types::{EnumValues, TimeZone};
use pumphouse_storage::{DataType, Value};

use super::number::{U256, parse_float32, read_float_as, rest_error};
use super::*;
use crate::error::codes;

const CANNOT_READ_ARRAY_FROM_TEXT: u32 = 130;
const TOO_LARGE_STRING_SIZE: u32 = 131;
const CANNOT_PARSE_BOOL: u32 = 467;
const UNEXPECTED_DATA_AFTER_PARSED_VALUE: u32 = 632;

/// The value that `text`, all of it, is. `\N` is NULL for any Nullable; an empty text and `NULL` in any
/// case too unless it is a Nullable string.
pub fn parse_value(dt: &DataType, text: &[u8], zone: TimeZone) -> TextResult<Value> {
    use DataType::*;
    Ok(match dt {
        Nullable(t) => {
            let null = text == b"\\N"
                || (!t.is_string() && (text.is_empty() || text.eq_ignore_ascii_case(b"NULL")));
            if null { Value::Null } else { parse_value(t, text, zone)? }
        }
        LowCardinality(t) => parse_value(t, text, zone)?,
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            parse_value(argument, text, zone)?
        }
        Variant(_) | Dynamic { .. } | Json(_) => {
            crate::run_time::text::parse(dt, text, false, zone)?
        }
        Time => Value::Int(super::clock::parse_time(text)? as i64),
        Time64(precision) => Value::Int(super::clock::parse_time64(text, *precision)?),
        BFloat16 => Value::Float(bfloat16(parse_float32(text)?) as f64),
        Nothing => {
            return Err(TextError::new(
                codes::CANNOT_CONVERT_TYPE,
                "Conversion from String to Nothing is not supported",
            ));
        }
        UInt8 => Value::UInt(parse_int::<u8>(text)? as u64),
        UInt16 => Value::UInt(parse_int::<u16>(text)? as u64),
        UInt32 => Value::UInt(parse_int::<u32>(text)? as u64),
        UInt64 => Value::UInt(parse_int::<u64>(text)?),
        Int8 => Value::Int(parse_int::<i8>(text)? as i64),
        Int16 => Value::Int(parse_int::<i16>(text)? as i64),
        Int32 => Value::Int(parse_int::<i32>(text)? as i64),
        Int64 | Interval(_) => Value::Int(parse_int::<i64>(text)?),
        UInt128 => Value::UInt128(parse_int::<u128>(text)?),
        Int128 => Value::Int128(parse_int::<i128>(text)?),
        UInt256 => Value::Int256(parse_int::<U256>(text)?.0),
        Int256 => Value::Int256(parse_int::<arrow_buffer::i256>(text)?),
        Float32 => Value::Float(parse_float32(text)? as f64),
        Float64 => Value::Float(parse_float(text)?),
        Bool => Value::Bool(parse_bool(text)?),
        String | AggregateFunction { .. } => Value::String(text.to_vec()),
        FixedString(n) => Value::String(fixed(text, *n)?),
        Date => Value::UInt(parse_date(text)? as u64),
        Date32 => Value::Int(parse_date32(text)? as i64),
        DateTime(own) => Value::UInt(parse_date_time(text, own.unwrap_or(zone))? as u64),
        DateTime64(precision, own) => {
            Value::Int(parse_date_time64(text, *precision, own.unwrap_or(zone))?)
        }
        Enum8(values) | Enum16(values) => Value::Int(parse_enum(text, values)? as i64),
        Uuid => Value::String(parse_uuid(text)?.to_vec()),
        Ipv4 => Value::UInt(parse_ipv4(text)? as u64),
        Ipv6 => Value::String(parse_ipv6(text)?.to_vec()),
        Decimal { precision, scale } if *precision <= 38 => {
            Value::Decimal(parse_decimal(text, *precision, *scale)?, *scale)
        }
        Decimal { precision, scale } => Value::Int256(parse_decimal256(text, *precision, *scale)?),
        Array(_) | Tuple(_) | Map(..) => {
            let (value, used) = read_quoted_value(dt, text, zone)?;
            if used != text.len() {
                let kind = match dt {
                    Array(_) => "Array",
                    Tuple(_) => "Tuple",
                    _ => "Map",
                };
                return Err(TextError::new(
                    UNEXPECTED_DATA_AFTER_PARSED_VALUE,
                    format!(
                        "Unexpected data '{}' after parsed {kind} value '{}'",
                        excerpt(&text[used..]),
                        excerpt(&text[..used])
                    ),
                ));
            }
            value
        }
    })
}

/// The upper half of a Float32: what a BFloat16 keeps of it.
#[inline]
pub fn bfloat16(v: f32) -> f32 {
    f32::from_bits(v.to_bits() & 0xFFFF_0000)
}

/// Bytes for a FixedString, padded with zeros; too long is error 131.
pub fn fixed(text: &[u8], width: usize) -> TextResult<Vec<u8>> {
    if text.len() > width {
        return Err(TextError::new(
            TOO_LARGE_STRING_SIZE,
            format!("String too long for type FixedString({width})"),
        ));
    }
    let mut bytes = text.to_vec();
    bytes.resize(width, 0);
    Ok(bytes)
}

/// The number of an Enum's element, given by name or by number.
pub fn parse_enum(text: &[u8], values: &EnumValues) -> TextResult<i16> {
    let by_name = std::str::from_utf8(text).ok().and_then(|name| values.value_of(name));
    if let Some(number) = by_name {
        return Ok(number);
    }
    if let Ok(number) = parse_int::<i64>(text)
        && let Ok(number) = i16::try_from(number)
        && values.name_of(number).is_some()
    {
        return Ok(number);
    }
    Err(TextError::new(
        codes::UNKNOWN_ELEMENT_OF_ENUM,
        format!("Unknown element '{}' for enum", excerpt(text)),
    ))
}

/// `true`, `yes`, `on`, `1`, … in any case.
#[inline]
pub fn parse_bool(text: &[u8]) -> TextResult<bool> {
    match text {
        b"true" | b"1" => return Ok(true),
        b"false" | b"0" => return Ok(false),
        _ => {}
    }
    const YES: [&[u8]; 7] = [b"true", b"t", b"yes", b"y", b"on", b"enable", b"enabled"];
    const NO: [&[u8]; 7] = [b"false", b"f", b"no", b"n", b"off", b"disable", b"disabled"];
    if YES.iter().any(|w| text.eq_ignore_ascii_case(w)) {
        return Ok(true);
    }
    if NO.iter().any(|w| text.eq_ignore_ascii_case(w)) {
        return Ok(false);
    }
    Err(if text.is_empty() {
        TextError::new(CANNOT_PARSE_BOOL, "Expected boolean value but get EOF")
    } else {
        TextError::new(
            CANNOT_PARSE_BOOL,
            format!(
                "Cannot parse boolean value here: '{}', should be 'true' or 'false' controlled by \
                 setting bool_true_representation and bool_false_representation or one of \
                 True/False/T/F/Y/N/Yes/No/On/Off/Enable/Disable/Enabled/Disabled/1/0",
                excerpt(text)
            ),
        )
    })
}

/// A literal of the type at the start of `text` (strings, dates … in single quotes; NULL where it is
/// allowed, else it is the default) and the bytes it took.
pub fn read_quoted_value(dt: &DataType, text: &[u8], zone: TimeZone) -> TextResult<(Value, usize)> {
    let mut reader = LiteralReader { text, at: 0, zone };
    let value = reader.value(dt)?;
    Ok((value, reader.at))
}

struct LiteralReader<'a> {
    text: &'a [u8],
    at: usize,
    zone: TimeZone,
}

impl LiteralReader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, b: u8) -> bool {
        let found = self.peek() == Some(b);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, b: u8) -> TextResult<()> {
        if self.eat(b) {
            return Ok(());
        }
        Err(TextError::new(
            codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            match self.text.get(self.at..) {
                None | Some([]) => {
                    format!("Cannot parse input: expected '{}' at end of stream", b as char)
                }
                Some(rest) => format!(
                    "Cannot parse input: expected '{}' before: '{}'",
                    b as char,
                    excerpt(rest)
                ),
            },
        ))
    }

    fn null(&mut self) -> bool {
        let found = self.text[self.at..]
            .get(..4)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"NULL"))
            && !self.text.get(self.at + 4).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        self.at += if found { 4 } else { 0 };
        found
    }

    fn value(&mut self, dt: &DataType) -> TextResult<Value> {
        use DataType::*;
        if self.null() {
            let null = dt.is_nullable();
            return Ok(if null {
                Value::Null
            } else {
                pumphouse_storage::block::default_value(dt)
            });
        }
        match dt {
            Nullable(t) | LowCardinality(t) => self.value(t),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
                self.value(argument)
            }
            Variant(_) | Dynamic { .. } | Json(_) => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let (value, used) = crate::run_time::text::read_literal(dt, rest, self.zone)?;
                self.at += used;
                Ok(value)
            }
            Array(item) => self.array(item),
            Tuple(elements) => {
                self.expect(b'(')?;
                let mut items = Vec::with_capacity(elements.len());
                for (i, e) in elements.iter().enumerate() {
                    self.spaces();
                    if i > 0 {
                        self.expect(b',')?;
                        self.spaces();
                    }
                    items.push(self.value(&e.data_type)?);
                }
                self.spaces();
                if elements.len() == 1 && self.eat(b',') {
                    self.spaces();
                }
                self.expect(b')')?;
                Ok(Value::Tuple(items))
            }
            Map(key, value) => self.map(key, value),
            _ if super::write::is_quoted(dt)
                && !matches!(self.peek(), Some(b'0'..=b'9' | b'-')) =>
            {
                let string = self.string()?;
                match dt {
                    // Padded where it is stored: a list of short literals must not become huge.
                    FixedString(width) if string.len() <= *width => Ok(Value::String(string)),
                    _ => parse_value(dt, &string, self.zone),
                }
            }
            _ => self.number(dt),
        }
    }

    fn array(&mut self, item: &DataType) -> TextResult<Value> {
        if !self.eat(b'[') {
            return Err(TextError::new(
                CANNOT_READ_ARRAY_FROM_TEXT,
                "Array does not start with '[' character",
            ));
        }
        let mut items = vec![];
        loop {
            self.spaces();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !items.is_empty() {
                if self.peek().is_some_and(|b| b != b',') {
                    return Err(TextError::new(
                        CANNOT_READ_ARRAY_FROM_TEXT,
                        format!(
                            "Cannot read array from text, expected comma or end of array, found \
                             '{}'",
                            self.text[self.at] as char
                        ),
                    ));
                }
                if self.peek().is_none() {
                    return self.expect(b']').map(|()| Value::Null);
                }
                self.at += 1;
                self.spaces();
                if self.eat(b']') {
                    return Ok(Value::Array(items));
                }
            }
            items.push(self.value(item)?);
        }
    }

    fn map(&mut self, key: &DataType, value: &DataType) -> TextResult<Value> {
        self.expect(b'{')?;
        let mut entries = vec![];
        loop {
            self.spaces();
            if self.eat(b'}') {
                return Ok(Value::Map(entries));
            }
            if !entries.is_empty() {
                self.expect(b',')?;
                self.spaces();
            }
            let k = self.value(key)?;
            self.spaces();
            self.expect(b':')?;
            self.spaces();
            let v = self.value(value)?;
            entries.push((k, v));
        }
    }

    /// A single-quoted string with escapes; a doubled quote is a quote.
    fn string(&mut self) -> TextResult<Vec<u8>> {
        let rest = self.text.get(self.at..).unwrap_or(&[]);
        let (string, used) = read_string_literal(rest)?;
        self.at += used;
        Ok(string)
    }

    fn number(&mut self, dt: &DataType) -> TextResult<Value> {
        use DataType::*;
        let rest = &self.text[self.at..];
        macro_rules! integer {
            ($t:ty, $variant:ident, $wide:ty) => {{
                let (v, used) = read_int::<$t>(rest)?;
                (Value::$variant(v as $wide), used)
            }};
        }
        let (value, used) = match dt {
            UInt8 => integer!(u8, UInt, u64),
            UInt16 => integer!(u16, UInt, u64),
            UInt32 => integer!(u32, UInt, u64),
            UInt64 => integer!(u64, UInt, u64),
            Int8 => integer!(i8, Int, i64),
            Int16 => integer!(i16, Int, i64),
            Int32 => integer!(i32, Int, i64),
            Int64 | Interval(_) => integer!(i64, Int, i64),
            // A bare number is ticks.
            Time64(_) if !is_clock_text(rest) => integer!(i64, Int, i64),
            UInt128 => integer!(u128, UInt128, u128),
            Int128 => integer!(i128, Int128, i128),
            UInt256 => {
                let (v, used) = read_int::<U256>(rest)?;
                (Value::Int256(v.0), used)
            }
            Int256 => {
                let (v, used) = read_int::<arrow_buffer::i256>(rest)?;
                (Value::Int256(v), used)
            }
            Float32 => {
                let (v, used) = read_float_as::<f32>(rest)?;
                (Value::Float(v as f64), used)
            }
            BFloat16 => {
                let (v, used) = read_float_as::<f32>(rest)?;
                (Value::Float(bfloat16(v) as f64), used)
            }
            Float64 => {
                let (v, used) = read_float(rest)?;
                (Value::Float(v), used)
            }
            Decimal { precision, scale } if *precision <= 38 => {
                let (v, used) = read_decimal(rest, *precision, *scale)?;
                (Value::Decimal(v, *scale), used)
            }
            Decimal { precision, scale } => {
                let (v, used) = super::number::read_decimal256(rest, *precision, *scale)?;
                (Value::Int256(v), used)
            }
            _ => {
                // Words and bare numbers: Bool, timestamps, Enum numbers.
                let used = rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
                    .count();
                let bare_date = matches!(dt, Date | Date32 | DateTime(_) | DateTime64(..))
                    && rest[..used].iter().skip(1).any(|b| *b == b'-');
                if used == 0 || bare_date {
                    return Err(rest_error(rest, 0, &dt.to_string()));
                }
                (parse_value(dt, &rest[..used], self.zone)?, used)
            }
        };
        self.at += used;
        Ok(value)
    }
}

/// Whether a bare word is hours and minutes.
fn is_clock_text(text: &[u8]) -> bool {
    text.iter().take_while(|b| b.is_ascii_digit() || b":-.".contains(b)).any(|b| *b == b':')
}

/// A single-quoted string at the start of `text`, unescaped, and the bytes it took.
pub fn read_string_literal(text: &[u8]) -> TextResult<(Vec<u8>, usize)> {
    if text.first() != Some(&b'\'') {
        let got = match text.first() {
            Some(_) => format!("got '{}'", excerpt(&text[..1])),
            None => "got end of stream".into(),
        };
        return Err(TextError::new(
            codes::CANNOT_PARSE_QUOTED_STRING,
            format!("Cannot parse quoted string: expected opening quote ''', {got}"),
        ));
    }
    let mut out = vec![];
    let mut at = 1;
    while let Some(step) = memchr::memchr2(b'\'', b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + step]);
        at += step;
        if text[at] == b'\'' {
            if text.get(at + 1) == Some(&b'\'') {
                out.push(b'\'');
                at += 2;
                continue;
            }
            return Ok((out, at + 1));
        }
        match unescape(&text[at..], &mut out) {
            Some(used) => at += used,
            None => break,
        }
    }
    Err(TextError::new(
        codes::CANNOT_PARSE_QUOTED_STRING,
        "Cannot parse quoted string: expected closing quote",
    ))
}

/// The byte(s) that a backslash escape at the start of `text` stands for; the bytes it took, None when
/// the text ends in it. Unknown escapes keep their backslash.
#[inline]
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let b = *text.get(1)?;
    let plain = match b {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'0' => 0,
        b'b' => 8,
        b'f' => 12,
        b'a' => 7,
        b'v' => 11,
        b'e' => 27,
        b'x' => {
            let (high, low) = (address::hex(*text.get(2)?), address::hex(*text.get(3)?));
            return match (high, low) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    Some(4)
                }
                _ => {
                    out.extend_from_slice(b"\\x");
                    Some(2)
                }
            };
        }
        // `\N` alone is NULL and handled before; inside a string it is nothing.
        b'N' => return Some(2),
        b'\\' | b'\'' | b'"' | b'`' | b'/' | b'=' => b,
        other => {
            out.extend_from_slice(&[b'\\', other]);
            return Some(2);
        }
    };
    out.push(plain);
    Some(2)
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::types::parse_data_type;

    use super::*;

    fn parse(name: &str, text: &str) -> String {
        let dt = parse_data_type(name).unwrap();
        match parse_value(&dt, text.as_bytes(), TimeZone::UTC) {
            Ok(v) => v.to_sql(),
            Err(e) => format!("E{}", e.code),
        }
    }

    #[test]
    fn whole_values() {
        for (name, text, want) in [
            ("Nullable(Int32)", "NULL", "NULL"),
            ("Nullable(Int32)", "", "NULL"),
            ("Nullable(Int32)", "\\N", "NULL"),
            ("Nullable(String)", "NULL", "'NULL'"),
            ("Nullable(String)", "\\N", "NULL"),
            ("LowCardinality(Nullable(String))", "x", "'x'"),
            ("FixedString(3)", "abcd", "E131"),
            ("Bool", "tRue", "true"),
            ("Bool", "disabled", "false"),
            ("Bool", "2", "E467"),
            ("Enum8('a' = 1, 'b' = 2)", "b", "2"),
            ("Enum8('a' = 1, 'b' = 2)", "1", "1"),
            ("Enum8('a' = 1, 'b' = 2)", "3", "E691"),
            ("IntervalDay", "-5", "-5"),
            ("Array(Int32)", "[ 1 , 2 ]", "[1, 2]"),
            ("Array(Int32)", "[ ]", "[]"),
            ("Array(Int32)", "[1,]", "[1]"),
            ("Array(Int32)", "[1,NULL]", "[1, 0]"),
            ("Array(Int32)", "1,2", "E130"),
            ("Array(Int32)", "[1.5]", "E130"),
            ("Array(Int32)", "[1,2", "E27"),
            ("Array(Int32)", "[1]x", "E632"),
            ("Array(Int32)", "[300000000000]", "[-647710720]"),
            ("Array(String)", "['a\\'b','\\n']", "['a\\'b', '\\n']"),
            ("Array(String)", "['a''b']", "['a\\'b']"),
            ("Array(String)", "[a]", "E26"),
            ("Array(Nullable(String))", "['a',NULL]", "['a', NULL]"),
            ("Array(Date)", "['2025-01-02']", "[20090]"),
            ("Array(Array(UInt8))", "[[1],[2,3]]", "[[1], [2, 3]]"),
            ("Tuple(UInt8, String)", "( 1 , 'a' )", "(1, 'a')"),
            ("Tuple(UInt8, String)", "(1)", "E27"),
            ("Tuple(UInt8)", "(1,)", "tuple(1)"),
            ("Map(String, UInt8)", "{ 'a' : 1, 'b':2 }", "{'a':1,'b':2}"),
        ] {
            assert_eq!(parse(name, text), want, "{name} {text}");
        }
    }
}
