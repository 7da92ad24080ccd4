//! One field of a CSV or TSV row into a column builder: the field's whole text, already unquoted and
//! unescaped. Numbers take a fast path; an empty number is 0, as ClickHouse reads it.

use arrow_buffer::i256;
use pumphouse_query::error::codes;
use pumphouse_query::text::number::{U256, parse_float32, rest_error};
use pumphouse_query::text::{self, TextError, TextResult};
use pumphouse_storage::types::{EnumValues, TimeZone};

use super::ParseError;
use super::columns::{ColumnBuilder, Values};
use super::json_value::excerpt;
use super::reading;
use super::scan::{digits, find_either, find_three};

/// Appends the value that `field` is the text of. `zone` serves times inside arrays and the like.
#[inline]
pub fn push_text(builder: &mut ColumnBuilder, field: &[u8], zone: TimeZone) -> TextResult<()> {
    macro_rules! unsigned {
        ($v:expr, $t:ty) => {{
            let (value, end) = digits(field, 0);
            if end != field.len() {
                return unusual_integer::<$t>(field).map(|n| $v.push(n));
            }
            $v.push(value as $t)
        }};
    }
    macro_rules! signed {
        ($v:expr, $t:ty) => {{
            let negative = field.first() == Some(&b'-') && field.len() > 1;
            let (value, end) = digits(field, negative as usize);
            if end != field.len() {
                return unusual_integer::<$t>(field).map(|n| $v.push(n));
            }
            $v.push(if negative { (value as $t).wrapping_neg() } else { value as $t })
        }};
    }
    /// Empty is zero.
    macro_rules! parsed {
        ($v:expr, $zero:expr, $parse:expr) => {
            $v.push(if field.is_empty() { $zero } else { $parse? })
        };
    }
    match &mut builder.values {
        Values::String(b) => b.push(field),
        Values::UInt64(v) => unsigned!(v, u64),
        Values::UInt32(v) => unsigned!(v, u32),
        Values::UInt16(v) => unsigned!(v, u16),
        Values::UInt8(v) | Values::Nothing(v) => unsigned!(v, u8),
        Values::Int64(v) | Values::Interval(v) => signed!(v, i64),
        Values::Int32(v) => signed!(v, i32),
        Values::Int16(v) => signed!(v, i16),
        Values::Int8(v) => signed!(v, i8),
        Values::Float64(v) => v.push(text::parse_float(field)?),
        Values::Float32(v) => v.push(parse_float32(field)?),
        Values::Date(v) => {
            v.push(text::time::read_date(field).and_then(|(d, n)| all(d, n, field))?)
        }
        Values::Date32(v) => {
            v.push(text::time::read_date32(field).and_then(|(d, n)| all(d, n, field))?)
        }
        Values::DateTime(v, zone) => v.push(unix_or(
            field,
            |n| n as u32,
            || match reading::ways().plain_times {
                true => text::time::parse_plain_time(field, *zone),
                false => text::parse_date_time(field, *zone),
            },
        )?),
        Values::DateTime64(v, p, zone) => {
            let scale = 10i64.pow(*p as u32);
            v.push(unix_or(
                field,
                |n| (n as i64).wrapping_mul(scale),
                || match reading::ways().plain_times {
                    true => text::time::parse_plain_time64(field, *p, *zone),
                    false => text::parse_date_time64(field, *p, *zone),
                },
            )?)
        }
        Values::Bool(v) => v.push(match reading::bool_word(field) {
            Some(value) => value as u8,
            None => text::parse_bool(field)? as u8,
        }),
        Values::Enum8(v, names) => v.push(enum_number(field, names)? as i8),
        Values::Enum16(v, names) => v.push(enum_number(field, names)?),
        Values::Int128(v) => parsed!(v, 0, text::parse_int::<i128>(field)),
        Values::UInt128(v) => parsed!(v, 0, text::parse_int::<u128>(field).map(|n| n as i128)),
        Values::Int256(v) => parsed!(v, i256::ZERO, text::parse_int::<i256>(field)),
        Values::UInt256(v) => parsed!(v, i256::ZERO, text::parse_int::<U256>(field).map(|n| n.0)),
        Values::Decimal32(v, p, s) => {
            parsed!(v, 0, text::parse_decimal(field, *p, *s).map(|n| n as i32))
        }
        Values::Decimal64(v, p, s) => {
            parsed!(v, 0, text::parse_decimal(field, *p, *s).map(|n| n as i64))
        }
        Values::Decimal128(v, p, s) => parsed!(v, 0, text::parse_decimal(field, *p, *s)),
        Values::Decimal256(v, p, s) => {
            parsed!(v, i256::ZERO, text::parse_decimal256(field, *p, *s))
        }
        Values::Ipv4(v) => v.push(text::parse_ipv4(field)?),
        Values::Ipv6(v) => v.extend_from_slice(&text::parse_ipv6(field)?),
        Values::Uuid(v) => v.extend_from_slice(&text::parse_uuid(field)?),
        Values::FixedString(v, width) => v.extend_from_slice(&text::read::fixed(field, *width)?),
        Values::SelfTyped(_, data_type, zone) => {
            let value = pumphouse_query::run_time::text::parse(data_type, field, true, *zone)?;
            return builder.push_value(&value);
        }
        Values::Time(v) => v.push(text::clock::parse_time(field)?),
        Values::Time64(v, precision) => v.push(text::clock::parse_time64(field, *precision)?),
        Values::BFloat16(v) => v.push(text::read::bfloat16(parse_float32(field)?)),
        Values::Array(_) | Values::Map(_) | Values::Tuple(..) => {
            let value = text::parse_value(builder.data_type.inner(), field, zone)?;
            return builder.push_value(&value);
        }
    }
    Ok(())
}

/// How the fields of a row end and what stands within them.
#[derive(Clone, Copy)]
pub struct Marks {
    pub delimiter: u8,
    /// What no plain string has within it, besides the delimiter and a line feed.
    pub special: u8,
    /// Whether strings and times may stand without quotes; else only in double ones.
    pub bare: bool,
}

/// Appends the plain value at `at` if it is one that ends at `end` (the delimiter or a line feed), and says
/// where. None (and nothing appended) for all else: the usual way takes it then. Saves looking for the field's
/// end first, and choosing by type twice.
#[inline]
pub fn push_plain(
    builder: &mut ColumnBuilder,
    bytes: &[u8],
    at: usize,
    end: u8,
    marks: Marks,
) -> Option<usize> {
    macro_rules! unsigned {
        ($v:expr, $t:ty) => {{
            let (value, after) = digits(bytes, at);
            if after == at || bytes.get(after) != Some(&end) {
                return None;
            }
            $v.push(value as $t);
            Some(after)
        }};
    }
    macro_rules! signed {
        ($v:expr, $t:ty) => {{
            let negative = bytes.get(at) == Some(&b'-');
            let start = at + negative as usize;
            let (value, after) = digits(bytes, start);
            if after == start || bytes.get(after) != Some(&end) {
                return None;
            }
            $v.push(if negative { (value as $t).wrapping_neg() } else { value as $t });
            Some(after)
        }};
    }
    match &mut builder.values {
        Values::UInt8(v) => unsigned!(v, u8),
        Values::UInt16(v) => unsigned!(v, u16),
        Values::UInt32(v) => unsigned!(v, u32),
        Values::UInt64(v) => unsigned!(v, u64),
        Values::Int8(v) => signed!(v, i8),
        Values::Int16(v) => signed!(v, i16),
        Values::Int32(v) => signed!(v, i32),
        Values::Int64(v) => signed!(v, i64),
        Values::String(b) => {
            let (text, after) = plain_string(bytes, at, end, marks)?;
            b.push(text);
            Some(after)
        }
        Values::FixedString(v, width) => {
            let (text, after) = plain_string(bytes, at, end, marks)?;
            if text.len() != *width {
                return None;
            }
            v.extend_from_slice(text);
            Some(after)
        }
        Values::Date(v) => {
            let (text, after) = plain_of(bytes, at, 10, end, marks)?;
            if text[4] != b'-' || text[7] != b'-' {
                return None;
            }
            let (days, used) = text::time::read_date(text).ok()?;
            if used != 10 {
                return None;
            }
            v.push(days);
            Some(after)
        }
        Values::DateTime(v, zone) => {
            let (text, after) = plain_of(bytes, at, 19, end, marks)?;
            let local = text::time::read_plain(text)?;
            v.push(text::calendar::local_to_utc(*zone, local).clamp(0, u32::MAX as i64) as u32);
            Some(after)
        }
        _ => None,
    }
}

/// A string of any length without escapes, and where its field ends.
#[inline(always)]
fn plain_string(bytes: &[u8], at: usize, end: u8, marks: Marks) -> Option<(&[u8], usize)> {
    if !marks.bare {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let quote = find_either(bytes, at + 1, b'"', b'"');
        let text = bytes.get(at + 1..quote)?;
        return (bytes.get(quote + 1) == Some(&end)).then_some((text, quote + 1));
    }
    let after = find_three(bytes, at, marks.delimiter, b'\n', marks.special);
    let text = &bytes[at..after];
    // A carriage return before the line's end is no part of the string.
    let whole = bytes.get(after) == Some(&end) && (end != b'\n' || text.last() != Some(&b'\r'));
    whole.then_some((text, after))
}

/// A value of `length` bytes, and where its field ends.
#[inline(always)]
fn plain_of(
    bytes: &[u8],
    at: usize,
    length: usize,
    end: u8,
    marks: Marks,
) -> Option<(&[u8], usize)> {
    let quotes = !marks.bare as usize;
    let after = at + length + 2 * quotes;
    if bytes.get(after) != Some(&end) {
        return None;
    }
    if quotes > 0 && (bytes[at] != b'"' || bytes[after - 1] != b'"') {
        return None;
    }
    Some((&bytes[at + quotes..after - quotes], after))
}

/// The number of an enum's element: by name, or as the settings say.
fn enum_number(field: &[u8], names: &EnumValues) -> TextResult<i16> {
    if !reading::ways().enums_by_number {
        return text::read::parse_enum(field, names);
    }
    let number = digits(field, 0).0;
    match i16::try_from(number).ok().filter(|n| names.name_of(*n).is_some()) {
        Some(number) => Ok(number),
        None => {
            let message = format!("Unexpected value {number} in enum");
            Err(TextError::new(codes::UNKNOWN_ELEMENT_OF_ENUM, message))
        }
    }
}

#[cold]
fn unusual_integer<T: text::Integer>(field: &[u8]) -> TextResult<T> {
    // "true" and "false" are numbers, too.
    match field {
        b"true" => Ok(T::wrap(b"1", false)),
        b"false" => Ok(T::wrap(b"0", false)),
        _ => text::parse_int::<T>(field),
    }
}

/// The value if it took the whole field.
fn all<T>(value: T, used: usize, field: &[u8]) -> TextResult<T> {
    if used == field.len() { Ok(value) } else { Err(rest_error(field, used, "Date")) }
}

/// Short numbers are unix timestamps (long ones are for the best-effort parser).
#[inline]
fn unix_or<T>(
    field: &[u8],
    convert: impl Fn(u64) -> T,
    parse: impl Fn() -> TextResult<T>,
) -> TextResult<T> {
    if (1..=10).contains(&field.len()) && field.len() != 8 {
        let (value, end) = digits(field, 0);
        if end == field.len() && !(4..=8).contains(&end) {
            return Ok(convert(value));
        }
    }
    parse()
}

/// The error of a field, with row, byte, column and what was there.
#[cold]
pub fn field_error(
    e: TextError,
    column: &str,
    bytes: &[u8],
    at: usize,
    row: usize,
    separator: &str,
) -> ParseError {
    let found = excerpt(bytes, at);
    let (code, message) = if e.code == codes::CANNOT_PARSE_TEXT {
        let message = format!("Cannot parse input: expected '{separator}' before: '{found}'");
        (codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, message)
    } else {
        (e.code, e.message.split(": Cannot parse").next().unwrap_or("").to_string())
    };
    ParseError {
        code,
        message: format!(
            "{message}: (while reading the value of column {column}): (at row {}, byte {at}, near \
             '{found}')",
            row + 1
        ),
    }
}

/// An error of the framing, with row and byte.
#[cold]
pub fn row_error(code: u32, message: &str, bytes: &[u8], at: usize, row: usize) -> ParseError {
    let found = excerpt(bytes, at);
    let near =
        if found.is_empty() { "at end of stream".into() } else { format!("before: '{found}'") };
    ParseError { code, message: format!("{message} {near}: (at row {}, byte {at})", row + 1) }
}
