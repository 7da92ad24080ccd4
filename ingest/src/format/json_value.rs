//! One JSON value straight into a column builder.
//!
//! [`read_value`] is guided by the builder's type and accepts what ClickHouse accepts: numbers in
//! strings, true/false as numbers, anything as the text of a String, unix timestamps, NULL as the
//! default. Nothing here allocates on the usual path; strings without escapes are copied in one piece,
//! invalid UTF-8 stays.

use pumphouse_query::error::codes;
use pumphouse_query::text::calendar::local_to_utc;
use pumphouse_query::text::number::{U256, read_decimal256, read_float_as};
use pumphouse_query::text::time::{read_date, read_date32, read_plain, ticks};
use pumphouse_query::text::{self, TextError, TextResult, read_decimal, read_int};
use pumphouse_storage::types::TimeZone;

use super::columns::{ColumnBuilder, Values};
use super::json_nested::{read_array, read_map, read_tuple};
use super::json_skip::{skip_number, skip_value};
use super::reading::ways;
use super::scan::{digits, find_either};

const TOO_LARGE_STRING_SIZE: u32 = 131;
const CANNOT_PARSE_BOOL: u32 = 467;

/// What is wrong and at which byte of the input.
#[derive(Debug)]
pub struct Failure {
    pub code: u32,
    pub message: String,
    pub at: usize,
    /// Name of the column whose value was being read.
    pub column: Option<String>,
}

/// Where the input goes on.
pub type Step = Result<usize, Box<Failure>>;

#[cold]
pub fn fail(code: u32, at: usize, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure { code, message: message.into(), at, column: None })
}

#[cold]
pub fn fail_text(e: TextError, at: usize) -> Box<Failure> {
    fail(e.code, at, e.message)
}

/// At most 60 bytes of the input at `at`, for a message.
pub fn excerpt(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or(&[]);
    String::from_utf8_lossy(&rest[..rest.len().min(60)]).into_owned()
}

/// "expected this, found that".
#[cold]
pub fn expected(bytes: &[u8], at: usize, what: &str) -> Box<Failure> {
    let message = if at >= bytes.len() {
        format!("Cannot parse input: expected '{what}' at end of stream")
    } else {
        format!("Cannot parse input: expected '{what}' before: '{}'", excerpt(bytes, at))
    };
    fail(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, at, message)
}

#[cold]
pub fn ended(at: usize) -> Box<Failure> {
    fail(codes::ATTEMPT_TO_READ_AFTER_EOF, at, "Attempt to read after eof")
}

#[inline(always)]
pub fn skip_spaces(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b) if *b > b' ' => at,
        _ => skip_spaces_slow(bytes, at),
    }
}

fn skip_spaces_slow(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)) {
        at += 1;
    }
    at
}

#[inline(always)]
pub fn expect(bytes: &[u8], at: usize, b: u8) -> Step {
    if bytes.get(at) == Some(&b) {
        return Ok(at + 1);
    }
    Err(expected(bytes, at, (b as char).encode_utf8(&mut [0; 4])))
}

pub fn literal(bytes: &[u8], at: usize, word: &str) -> Step {
    let rest = bytes.get(at..).unwrap_or(&[]);
    if rest.starts_with(word.as_bytes()) {
        return Ok(at + word.len());
    }
    let same = rest.iter().zip(word.as_bytes()).take_while(|(a, b)| a == b).count();
    Err(expected(bytes, at + same, word))
}

/// Appends the value at `at` (no space before it) to `builder`.
#[inline]
pub fn read_value(builder: &mut ColumnBuilder, bytes: &[u8], at: usize) -> Step {
    let Some(&first) = bytes.get(at) else { return Err(ended(at)) };
    if first == b'n' {
        return read_null(builder, bytes, at);
    }
    if first == b'"' && bytes.get(at + 1) == Some(&b'"') && ways().json.empty_as_default {
        builder.push_null();
        return Ok(at + 2);
    }
    macro_rules! unsigned {
        ($v:expr, $t:ty) => {{
            let (value, end) = read_unsigned(bytes, at, first)?;
            $v.push(value as $t);
            Ok(end)
        }};
    }
    macro_rules! signed {
        ($v:expr, $t:ty) => {{
            let (value, end) = read_signed(bytes, at, first)?;
            $v.push(value as $t);
            Ok(end)
        }};
    }
    match &mut builder.values {
        Values::UInt64(v) => unsigned!(v, u64),
        Values::UInt32(v) => unsigned!(v, u32),
        Values::UInt16(v) => unsigned!(v, u16),
        Values::UInt8(v) | Values::Nothing(v) => unsigned!(v, u8),
        Values::Int64(v) | Values::Interval(v) => signed!(v, i64),
        Values::Int32(v) => signed!(v, i32),
        Values::Int16(v) => signed!(v, i16),
        Values::Int8(v) => signed!(v, i8),
        Values::Float64(v) => {
            let (value, end) = read_float64(bytes, at, first)?;
            v.push(value);
            Ok(end)
        }
        Values::Float32(v) => {
            let (value, end) = read_float32(bytes, at, first)?;
            v.push(value);
            Ok(end)
        }
        Values::String(b) => {
            let end = if first == b'"' {
                read_string(bytes, at + 1, &mut b.data)?
            } else {
                read_as_text(bytes, at, first, &mut b.data)?
            };
            b.end();
            Ok(end)
        }
        Values::DateTime(v, zone) => {
            let (value, end) = read_date_time(bytes, at, first, *zone)?;
            v.push(value);
            Ok(end)
        }
        Values::DateTime64(v, precision, zone) => {
            let (value, end) = read_date_time64(bytes, at, first, *precision, *zone)?;
            v.push(value);
            Ok(end)
        }
        Values::Date(v) => {
            if first != b'"' {
                return unsigned!(v, u16);
            }
            let (days, used) = read_date(&bytes[at + 1..]).map_err(|e| fail_text(e, at + 1))?;
            v.push(days);
            expect(bytes, at + 1 + used, b'"')
        }
        Values::Bool(v) => {
            let (value, end) = match first {
                b't' => (1, literal(bytes, at, "true")?),
                b'f' => (0, literal(bytes, at, "false")?),
                b'0' => (0, at + 1),
                b'1' => (1, at + 1),
                other => return Err(no_bool(at, other)),
            };
            v.push(value);
            Ok(end)
        }
        _ => read_other(builder, bytes, at, first),
    }
}

/// `null`: NULL, or the default of a type without.
fn read_null(builder: &mut ColumnBuilder, bytes: &[u8], at: usize) -> Step {
    let end = literal(bytes, at, "null")?;
    let string = matches!(builder.values, Values::String(_) | Values::FixedString(..));
    if string && !builder.nullable && !ways().null_as_default {
        return Err(no_text(bytes, at, end));
    }
    builder.push_null();
    Ok(end)
}

#[cold]
fn no_bool(at: usize, found: u8) -> Box<Failure> {
    fail(
        CANNOT_PARSE_BOOL,
        at,
        format!(
            "Invalid boolean value, should be true/false, 1/0, but it starts with the '{}' character",
            found as char
        ),
    )
}

/// The rarer types.
fn read_other(builder: &mut ColumnBuilder, bytes: &[u8], at: usize, first: u8) -> Step {
    /// A quoted or bare number parsed by `read`.
    fn number<T>(
        bytes: &[u8],
        at: usize,
        first: u8,
        empty: T,
        read: impl Fn(&[u8]) -> TextResult<(T, usize)>,
    ) -> Result<(T, usize), Box<Failure>> {
        if first != b'"' {
            let (value, used) = read(&bytes[at..]).map_err(|e| bad_number(e, bytes, at))?;
            return Ok((value, at + used));
        }
        if bytes.get(at + 1) == Some(&b'"') {
            return Ok((empty, at + 2));
        }
        let (value, used) = read(&bytes[at + 1..]).map_err(|e| bad_number(e, bytes, at + 1))?;
        Ok((value, expect(bytes, at + 1 + used, b'"')?))
    }
    use arrow_buffer::i256;
    macro_rules! push {
        ($v:expr, $found:expr) => {{
            let (value, end) = $found;
            $v.push(value);
            Ok(end)
        }};
    }
    match &mut builder.values {
        Values::Date32(v) => {
            if first != b'"' {
                return push!(v, read_signed(bytes, at, first).map(|(n, end)| (n as i32, end))?);
            }
            let (days, used) = read_date32(&bytes[at + 1..]).map_err(|e| fail_text(e, at + 1))?;
            v.push(days);
            expect(bytes, at + 1 + used, b'"')
        }
        Values::Int128(v) => push!(v, number(bytes, at, first, 0, read_int::<i128>)?),
        Values::UInt128(v) => {
            let read = |t: &[u8]| read_int::<u128>(t).map(|(n, used)| (n as i128, used));
            push!(v, number(bytes, at, first, 0, read)?)
        }
        Values::Int256(v) => push!(v, number(bytes, at, first, i256::ZERO, read_int::<i256>)?),
        Values::UInt256(v) => {
            let read = |t: &[u8]| read_int::<U256>(t).map(|(n, used)| (n.0, used));
            push!(v, number(bytes, at, first, i256::ZERO, read)?)
        }
        Values::Decimal32(v, p, s) => {
            let read = |t: &[u8]| read_decimal(t, *p, *s).map(|(n, used)| (n as i32, used));
            push!(v, number(bytes, at, first, 0, read)?)
        }
        Values::Decimal64(v, p, s) => {
            let read = |t: &[u8]| read_decimal(t, *p, *s).map(|(n, used)| (n as i64, used));
            push!(v, number(bytes, at, first, 0, read)?)
        }
        Values::Decimal128(v, p, s) => {
            push!(v, number(bytes, at, first, 0, |t| read_decimal(t, *p, *s))?)
        }
        Values::Decimal256(v, p, s) => {
            push!(v, number(bytes, at, first, i256::ZERO, |t| read_decimal256(t, *p, *s))?)
        }
        Values::Enum8(v, names) => {
            push!(v, read_enum(bytes, at, first, names).map(|(n, end)| (n as i8, end))?)
        }
        Values::Enum16(v, names) => push!(v, read_enum(bytes, at, first, names)?),
        Values::Ipv4(v) => {
            let (inner, end) = quoted(bytes, at)?;
            v.push(text::parse_ipv4(inner).map_err(|e| fail_text(e, at))?);
            Ok(end)
        }
        Values::Ipv6(v) => {
            let (inner, end) = quoted(bytes, at)?;
            v.extend_from_slice(&text::parse_ipv6(inner).map_err(|e| fail_text(e, at))?);
            Ok(end)
        }
        Values::Uuid(v) => {
            let (inner, end) = quoted(bytes, at)?;
            v.extend_from_slice(&text::parse_uuid(inner).map_err(|e| fail_text(e, at))?);
            Ok(end)
        }
        Values::FixedString(v, width) => {
            if first != b'"' {
                return Err(no_string(at));
            }
            let start = v.len();
            let end = read_string(bytes, at + 1, v)?;
            if v.len() - start > *width {
                v.truncate(start);
                let message = format!("Too large value for FixedString({width})");
                return Err(fail(TOO_LARGE_STRING_SIZE, at, message));
            }
            v.resize(start + *width, 0);
            Ok(end)
        }
        Values::Array(list) => read_array(list, bytes, at),
        Values::Map(list) => read_map(list, bytes, at),
        Values::Tuple(children, rows) => {
            let end = read_tuple(&builder.data_type, children, *rows, bytes, at)?;
            *rows += 1;
            Ok(end)
        }
        Values::SelfTyped(_, data_type, zone) => {
            let end = skip_value(bytes, at)?;
            let text = &bytes[at..end];
            let value = pumphouse_query::run_time::text::from_text_json(data_type, text, *zone)
                .map_err(|e| fail_text(e, at))?;
            builder.push_value(&value).map_err(|e| fail_text(e, at))?;
            Ok(end)
        }
        Values::Time(v) => {
            let (inner, end) = quoted(bytes, at)?;
            v.push(text::clock::parse_time(inner).map_err(|e| fail_text(e, at))?);
            Ok(end)
        }
        Values::Time64(v, precision) => {
            let (inner, end) = quoted(bytes, at)?;
            v.push(text::clock::parse_time64(inner, *precision).map_err(|e| fail_text(e, at))?);
            Ok(end)
        }
        Values::BFloat16(v) => {
            let (value, end) = read_float32(bytes, at, first)?;
            v.push(text::read::bfloat16(value));
            Ok(end)
        }
        // `read_value` has done the others.
        _ => Err(expected(bytes, at, "value")),
    }
}

/// A number's error, in the words of formats: no digits is "expected ','".
#[cold]
fn bad_number(e: TextError, bytes: &[u8], at: usize) -> Box<Failure> {
    if at >= bytes.len() {
        return ended(at);
    }
    match e.code {
        codes::CANNOT_PARSE_TEXT => expected(bytes, at, ","),
        _ => fail_text(e, at),
    }
}

#[inline(always)]
fn read_unsigned(bytes: &[u8], at: usize, first: u8) -> Result<(u64, usize), Box<Failure>> {
    if first.is_ascii_digit() {
        return Ok(digits(bytes, at));
    }
    let (value, end) = unusual_integer(bytes, at, first, false)?;
    Ok((value as u64, end))
}

#[inline(always)]
fn read_signed(bytes: &[u8], at: usize, first: u8) -> Result<(i64, usize), Box<Failure>> {
    if first.is_ascii_digit() {
        let (value, end) = digits(bytes, at);
        return Ok((value as i64, end));
    }
    if first == b'-' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        let (value, end) = digits(bytes, at + 1);
        return Ok(((value as i64).wrapping_neg(), end));
    }
    unusual_integer(bytes, at, first, true)
}

/// Integers in quotes, with a plus, and true/false.
#[cold]
fn unusual_integer(
    bytes: &[u8],
    at: usize,
    first: u8,
    negative_allowed: bool,
) -> Result<(i64, usize), Box<Failure>> {
    let read = |at: usize| {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let found = if negative_allowed {
            read_int::<i64>(rest)
        } else {
            read_int::<u64>(rest).map(|(n, used)| (n as i64, used))
        };
        found.map(|(n, used)| (n, at + used)).map_err(|e| match e.code {
            codes::CANNOT_PARSE_NUMBER => {
                let message = e.message.split(": Cannot parse").next().unwrap_or("").to_string();
                fail(e.code, at, message)
            }
            _ => bad_number(e, bytes, at),
        })
    };
    match first {
        b't' | b'f' if !ways().json.bools_as_numbers => Err(expected(bytes, at, ",")),
        b't' => Ok((1, literal(bytes, at, "true")?)),
        b'f' => Ok((0, literal(bytes, at, "false")?)),
        b'"' if bytes.get(at + 1) == Some(&b'"') => Ok((0, at + 2)),
        b'"' => {
            if !matches!(bytes.get(at + 1), Some(b'0'..=b'9' | b'-' | b'+') | None) {
                return Err(expected(bytes, at + 1, "\""));
            }
            let (value, end) = read(at + 1)?;
            Ok((value, expect(bytes, end, b'"')?))
        }
        _ => read(at),
    }
}

/// Powers of ten that a Float64 holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

#[inline(always)]
fn read_float64(bytes: &[u8], at: usize, first: u8) -> Result<(f64, usize), Box<Failure>> {
    let negative = first == b'-';
    let start = at + negative as usize;
    let (whole, mut end) = digits(bytes, start);
    let mut count = end - start;
    let (mut word, mut places) = (whole, 0);
    if count > 0 && bytes.get(end) == Some(&b'.') {
        let (fraction, fraction_end) = digits(bytes, end + 1);
        places = fraction_end - end - 1;
        count += places;
        if count <= 15 {
            word = whole * TENS_U64[places] + fraction;
        }
        end = fraction_end;
    }
    // Up to 15 digits and a power of ten are exact, so one division rounds once.
    if (1..=15).contains(&count) && !matches!(bytes.get(end), Some(b'e' | b'E')) {
        let value = word as f64 / TENS[places];
        return Ok((if negative { -value } else { value }, end));
    }
    float_slow(bytes, at, first)
}

const TENS_U64: [u64; 16] = {
    let mut tens = [1u64; 16];
    let mut i = 1;
    while i < 16 {
        tens[i] = tens[i - 1] * 10;
        i += 1;
    }
    tens
};

fn read_float32(bytes: &[u8], at: usize, first: u8) -> Result<(f32, usize), Box<Failure>> {
    // Through Float64 it would be rounded twice, except for what both hold exactly.
    if let Ok((value, end)) = read_float64(bytes, at, first)
        && value as f32 as f64 == value
    {
        return Ok((value as f32, end));
    }
    float_slow(bytes, at, first)
}

#[cold]
fn float_slow<T: fast_float2::FastFloat + From<u8>>(
    bytes: &[u8],
    at: usize,
    first: u8,
) -> Result<(T, usize), Box<Failure>> {
    let read = |at: usize| {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let (value, used) = read_float_as::<T>(rest).map_err(|e| fail_text(e, at))?;
        Ok::<_, Box<Failure>>((value, at + used))
    };
    match first {
        b't' | b'f' if !ways().json.bools_as_numbers => read(at),
        b't' => Ok((T::from(1), literal(bytes, at, "true")?)),
        b'f' => Ok((T::from(0), literal(bytes, at, "false")?)),
        b'"' => {
            let (value, end) = read(at + 1)?;
            Ok((value, expect(bytes, end, b'"')?))
        }
        _ => read(at),
    }
}

#[cold]
pub fn no_string(at: usize) -> Box<Failure> {
    fail(codes::CANNOT_PARSE_QUOTED_STRING, at, "Cannot parse JSON string: expected opening quote")
}

#[cold]
pub fn open_string(at: usize) -> Box<Failure> {
    fail(codes::CANNOT_PARSE_QUOTED_STRING, at, "Cannot parse JSON string: expected closing quote")
}

/// Appends the string whose first byte (behind the quote) is at `at`; the position behind its end.
#[inline(always)]
pub fn read_string(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    let end = find_either(bytes, at, b'"', b'\\');
    match bytes.get(end) {
        Some(b'"') => {
            out.extend_from_slice(&bytes[at..end]);
            Ok(end + 1)
        }
        _ => read_escaped_string(bytes, at, out),
    }
}

fn read_escaped_string(bytes: &[u8], mut at: usize, out: &mut Vec<u8>) -> Step {
    loop {
        let end = find_either(bytes, at, b'"', b'\\');
        out.extend_from_slice(&bytes[at..end]);
        match bytes.get(end) {
            None => return Err(open_string(end)),
            Some(b'"') => return Ok(end + 1),
            Some(_) => match read_escape(bytes, end, out) {
                Err(_) if end + 1 < bytes.len() && ways().json.bad_escapes => {
                    out.push(b'\\');
                    at = end + 1;
                }
                found => at = found?,
            },
        }
    }
}

/// The escape whose backslash is at `at`.
fn read_escape(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    let plain = match bytes.get(at + 1) {
        Some(b'u') => return read_unicode(bytes, at, out),
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        // A quote, a backslash, a slash; and unknown ones stand for themselves.
        Some(other) => *other,
        None => {
            return Err(fail(
                codes::CANNOT_PARSE_ESCAPE_SEQUENCE,
                at + 1,
                "Cannot parse escape sequence: unexpected eof",
            ));
        }
    };
    out.push(plain);
    Ok(at + 2)
}

/// `\uXXXX`, or two of them that make one character.
fn read_unicode(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    let bad = |at: usize, message: &str| fail(codes::CANNOT_PARSE_ESCAPE_SEQUENCE, at, message);
    let unit = |at: usize| -> Option<u32> {
        let hex = bytes.get(at..at + 4)?;
        hex.iter().try_fold(0, |n, b| Some(n * 16 + (*b as char).to_digit(16)?))
    };
    let Some(first) = unit(at + 2) else {
        let end = (at + 6).min(bytes.len());
        return Err(bad(end, "Cannot parse escape sequence: expected four hexadecimal digits"));
    };
    let (point, end) = match first {
        0xd800..0xdc00 => {
            if bytes.get(at + 6) != Some(&b'\\') || bytes.get(at + 7) != Some(&b'u') {
                return Err(bad(
                    at + 6,
                    "Cannot parse escape sequence: missing second part of surrogate pair",
                ));
            }
            match unit(at + 8) {
                Some(second @ 0xdc00..0xe000) => {
                    (0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00)), at + 12)
                }
                _ => {
                    return Err(bad(
                        at + 8,
                        "Incorrect surrogate pair of unicode escape sequences in JSON",
                    ));
                }
            }
        }
        other => (other, at + 6),
    };
    match char::from_u32(point) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        // A lone low surrogate is written as if it were a character.
        None => out.extend_from_slice(&[
            0xe0 | (point >> 12) as u8,
            0x80 | (point >> 6 & 0x3f) as u8,
            0x80 | (point & 0x3f) as u8,
        ]),
    }
    Ok(end)
}

/// What stands at `at` is not taken for a string.
#[cold]
fn no_text(bytes: &[u8], at: usize, end: usize) -> Box<Failure> {
    let shown = String::from_utf8_lossy(&bytes[at..end.min(at + 60)]).into_owned();
    fail(codes::INCORRECT_DATA, at, format!("Cannot parse JSON String value here: {shown}"))
}

/// Numbers, words, objects and arrays into a String column, as they stand.
#[cold]
fn read_as_text(bytes: &[u8], at: usize, first: u8, out: &mut Vec<u8>) -> Step {
    let allowed = ways().json;
    let end = match first {
        b'{' if !allowed.objects_as_strings => {
            return Err(no_text(bytes, at, skip_value(bytes, at)?));
        }
        b'[' if !allowed.arrays_as_strings => {
            return Err(no_text(bytes, at, skip_value(bytes, at)?));
        }
        b't' | b'f' if !allowed.bools_as_strings => {
            return Err(no_text(bytes, at, skip_value(bytes, at)?));
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' if !allowed.numbers_as_strings => {
            return Err(no_string(at));
        }
        b'{' | b'[' | b't' | b'f' => skip_value(bytes, at)?,
        b'0'..=b'9' | b'-' | b'+' | b'.' => skip_number(bytes, at)?,
        _ => return Err(no_string(at)),
    };
    out.extend_from_slice(&bytes[at..end]);
    Ok(end)
}

/// The inside of a string without escapes, and the position behind it.
#[inline(always)]
fn quoted(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Box<Failure>> {
    if bytes.get(at) != Some(&b'"') {
        return Err(expected(bytes, at, "\""));
    }
    let end = find_either(bytes, at + 1, b'"', b'"');
    match bytes.get(at + 1..end) {
        Some(inner) if end < bytes.len() => Ok((inner, end + 1)),
        _ => Err(open_string(bytes.len())),
    }
}

/// A time's error; what stands behind one is a missing quote.
#[cold]
fn fail_time(e: TextError, bytes: &[u8], at: usize) -> Box<Failure> {
    match e.code {
        codes::CANNOT_PARSE_TEXT if ways().plain_times => expected(bytes, at, "\""),
        _ => fail_text(e, at),
    }
}

#[inline(always)]
fn read_date_time(
    bytes: &[u8],
    at: usize,
    first: u8,
    zone: TimeZone,
) -> Result<(u32, usize), Box<Failure>> {
    let clamp = |seconds: i64| seconds.clamp(0, u32::MAX as i64) as u32;
    if first == b'"' {
        if bytes.get(at + 20) == Some(&b'"')
            && let Some(local) = read_plain(&bytes[at + 1..])
        {
            return Ok((clamp(local_to_utc(zone, local)), at + 21));
        }
        let (inner, end) = quoted(bytes, at)?;
        let seconds = match ways().plain_times {
            true => text::time::parse_plain_time(inner, zone),
            false => text::parse_date_time(inner, zone),
        };
        let seconds = seconds.map_err(|e| fail_time(e, bytes, at + 1))?;
        return Ok((seconds, end));
    }
    let (seconds, mut end) = read_signed(bytes, at, first)?;
    if bytes.get(end) == Some(&b'.') {
        end = digits(bytes, end + 1).1;
    }
    Ok((clamp(seconds), end))
}

#[inline(always)]
fn read_date_time64(
    bytes: &[u8],
    at: usize,
    first: u8,
    precision: u8,
    zone: TimeZone,
) -> Result<(i64, usize), Box<Failure>> {
    if first == b'"' {
        let (inner, end) = quoted(bytes, at)?;
        let value = match ways().plain_times {
            true => text::time::parse_plain_time64(inner, precision, zone),
            false => text::parse_date_time64(inner, precision, zone),
        };
        return Ok((value.map_err(|e| fail_time(e, bytes, at + 1))?, end));
    }
    if ways().raw_times {
        return read_signed(bytes, at, first);
    }
    // A number is seconds, with a fraction if it has one.
    let scaled = read_decimal(&bytes[at..], 38, 9).map_err(|e| bad_number(e, bytes, at));
    let (nanos, used) = scaled?;
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000))
        .map_err(|_| fail(codes::DECIMAL_OVERFLOW, at, "Decimal math overflow"))?;
    let below = nanos.rem_euclid(1_000_000_000) as u32;
    let value = ticks(seconds, below, precision).map_err(|e| fail_text(e, at))?;
    Ok((value, at + used))
}

fn read_enum(
    bytes: &[u8],
    at: usize,
    first: u8,
    names: &pumphouse_storage::types::EnumValues,
) -> Result<(i16, usize), Box<Failure>> {
    if first != b'"' {
        let (number, end) = read_signed(bytes, at, first)?;
        return match i16::try_from(number) {
            Ok(n) if names.name_of(n).is_some() => Ok((n, end)),
            _ => {
                let message = format!("Unexpected value {number} in enum");
                Err(fail(codes::UNKNOWN_ELEMENT_OF_ENUM, at, message))
            }
        };
    }
    let mut name = vec![];
    let end = read_string(bytes, at + 1, &mut name)?;
    let number = text::read::parse_enum(&name, names).map_err(|e| fail_text(e, at))?;
    Ok((number, end))
}
