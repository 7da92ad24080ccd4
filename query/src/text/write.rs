//! Prints one value of an array: as `toString` does ([`write_text`]) and as it stands inside arrays,
//! tuples and VALUES ([`write_quoted`]), with the printers of the single kinds.
//!
//! Output is appended; nothing is allocated per value. Strings are bytes and stay as they are.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::i256;
use pumphouse_storage::DataType;
use pumphouse_storage::types::TimeZone;

use super::address::{write_ipv4, write_ipv6, write_uuid};
use super::calendar::{SECONDS_PER_DAY, civil_from_days, to_local};
use super::style;

/// The value at `row` as `toString` prints it; NULL as `NULL`. `zone` serves types that name none.
#[inline]
pub fn write_text(dt: &DataType, array: &dyn Array, row: usize, zone: TimeZone, out: &mut Vec<u8>) {
    write_value::<false>(dt, array, row, zone, out);
}

/// The value at `row` as a literal: strings, dates, UUIDs and the like in single quotes.
#[inline]
pub fn write_quoted(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) {
    write_value::<true>(dt, array, row, zone, out);
}

/// Whether a literal of the type stands in quotes.
pub fn is_quoted(dt: &DataType) -> bool {
    use DataType::*;
    matches!(
        dt.inner(),
        String
            | FixedString(_)
            | Date
            | Date32
            | DateTime(_)
            | DateTime64(..)
            | Time
            | Time64(_)
            | Enum8(_)
            | Enum16(_)
            | Uuid
            | Ipv4
            | Ipv6
            | AggregateFunction { .. }
    )
}

fn write_value<const QUOTED: bool>(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) {
    use DataType::*;
    if array.is_null(row) {
        return out.extend_from_slice(b"NULL");
    }
    match dt {
        Nullable(t) | LowCardinality(t) => write_value::<QUOTED>(t, array, row, zone, out),
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
            write_value::<QUOTED>(argument, array, row, zone, out)
        }
        Variant(_) | Dynamic { .. } | Json(_) => {
            let bytes = array.as_binary::<i32>().value(row);
            crate::run_time::text::write(dt, bytes, QUOTED, zone, out);
        }
        String | AggregateFunction { .. } | FixedString(_) => {
            let bytes = bytes_at(dt, array, row);
            if QUOTED { write_string_literal(bytes, out) } else { out.extend_from_slice(bytes) }
        }
        Enum8(values) | Enum16(values) => {
            let number = match dt {
                Enum8(_) => array.as_primitive::<Int8Type>().value(row) as i16,
                _ => array.as_primitive::<Int16Type>().value(row),
            };
            match values.name_of(number) {
                Some(name) if QUOTED => write_string_literal(name.as_bytes(), out),
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => write_integer(number, out),
            }
        }
        Array(_) | Tuple(_) | Map(..) => write_container(dt, array, row, zone, out),
        Bool if QUOTED => write_bool(array, row, out),
        _ => {
            let quote = QUOTED && is_quoted(dt);
            if quote {
                out.push(b'\'');
            }
            write_plain(dt, array, row, zone, out);
            if quote {
                out.push(b'\'');
            }
        }
    }
}

/// The bytes of a String, FixedString or aggregate state.
#[inline]
pub fn bytes_at<'a>(dt: &DataType, array: &'a dyn Array, row: usize) -> &'a [u8] {
    match dt {
        DataType::FixedString(_) => {
            let bytes = array.as_fixed_size_binary().value(row);
            if style::is_held() && style::trims_fixed() {
                let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
                return &bytes[..end];
            }
            bytes
        }
        _ => array.as_binary::<i32>().value(row),
    }
}

/// Types whose text holds nothing that any format must escape: numbers, dates, addresses, Bool.
/// The value must not be NULL and the type neither wrapped nor composite.
#[inline]
pub fn write_plain(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) {
    use DataType::*;
    macro_rules! integer {
        ($t:ty) => {
            write_integer(array.as_primitive::<$t>().value(row), out)
        };
    }
    if style::is_held() && style::write(dt, array, row, zone, out) {
        return;
    }
    match dt {
        Nothing | UInt8 => integer!(UInt8Type),
        UInt16 => integer!(UInt16Type),
        UInt32 => integer!(UInt32Type),
        UInt64 => integer!(UInt64Type),
        Int8 => integer!(Int8Type),
        Int16 => integer!(Int16Type),
        Int32 => integer!(Int32Type),
        Int64 | Interval(_) => integer!(Int64Type),
        Int128 => integer!(Decimal128Type),
        UInt128 => write_integer(array.as_primitive::<Decimal128Type>().value(row) as u128, out),
        Int256 => {
            let word = array.as_primitive::<Decimal256Type>().value(row);
            out.extend_from_slice(word.to_string().as_bytes());
        }
        UInt256 => write_u256(array.as_primitive::<Decimal256Type>().value(row), out),
        Float32 | BFloat16 => write_float32(array.as_primitive::<Float32Type>().value(row), out),
        Float64 => write_float64(array.as_primitive::<Float64Type>().value(row), out),
        Bool => write_bool(array, row, out),
        Date => write_date(array.as_primitive::<UInt16Type>().value(row) as i32, out),
        Date32 => write_date(array.as_primitive::<Int32Type>().value(row), out),
        DateTime(own) => {
            let seconds = array.as_primitive::<UInt32Type>().value(row) as i64;
            write_date_time(seconds, own.unwrap_or(zone), out);
        }
        DateTime64(precision, own) => {
            let ticks = array.as_primitive::<Int64Type>().value(row);
            write_date_time64(ticks, *precision, own.unwrap_or(zone), out);
        }
        Time => {
            let seconds = array.as_primitive::<Int32Type>().value(row) as i64;
            write_time64(seconds, 0, out);
        }
        Time64(precision) => {
            write_time64(array.as_primitive::<Int64Type>().value(row), *precision, out)
        }
        Uuid => write_uuid(array.as_fixed_size_binary().value(row), out),
        Ipv4 => write_ipv4(array.as_primitive::<UInt32Type>().value(row), out),
        Ipv6 => write_ipv6(array.as_fixed_size_binary().value(row), out),
        Decimal { precision, scale } => match precision {
            0..=9 => {
                write_decimal(array.as_primitive::<Int32Type>().value(row) as i128, *scale, out)
            }
            10..=18 => {
                write_decimal(array.as_primitive::<Int64Type>().value(row) as i128, *scale, out)
            }
            19..=38 => {
                write_decimal(array.as_primitive::<Decimal128Type>().value(row), *scale, out)
            }
            _ => write_decimal256(array.as_primitive::<Decimal256Type>().value(row), *scale, out),
        },
        // Not plain: callers take these apart before.
        _ => write_value::<false>(dt, array, row, zone, out),
    }
}

/// `true` or `false`, whatever words a style has: as literals and in JSON it is always these.
pub fn write_bool(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    let set = array.as_primitive::<UInt8Type>().value(row) != 0;
    out.extend_from_slice(if set { b"true" } else { b"false" });
}

fn write_container(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) {
    match dt {
        DataType::Array(item) => {
            let (items, from, to) = list_range(array, row);
            out.push(b'[');
            for i in from..to {
                if i > from {
                    out.push(b',');
                }
                write_value::<true>(item, items, i, zone, out);
            }
            out.push(b']');
        }
        DataType::Tuple(elements) => {
            let fields = array.as_struct();
            out.push(b'(');
            for (i, e) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value::<true>(&e.data_type, fields.column(i).as_ref(), row, zone, out);
            }
            out.push(b')');
        }
        DataType::Map(key, value) => {
            let (entries, from, to) = list_range(array, row);
            let entries = entries.as_struct();
            out.push(b'{');
            for i in from..to {
                if i > from {
                    out.push(b',');
                }
                write_value::<true>(key, entries.column(0).as_ref(), i, zone, out);
                out.push(b':');
                write_value::<true>(value, entries.column(1).as_ref(), i, zone, out);
            }
            out.push(b'}');
        }
        _ => {}
    }
}

/// The items of a list row: their array and the range in it.
#[inline]
pub fn list_range(array: &dyn Array, row: usize) -> (&dyn Array, usize, usize) {
    let list = array.as_list::<i32>();
    let offsets = list.value_offsets();
    (list.values().as_ref(), offsets[row] as usize, offsets[row + 1] as usize)
}

#[inline]
pub fn write_integer<T: itoa::Integer>(value: T, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// An unsigned 256 bit integer given by its bits.
pub fn write_u256(bits: i256, out: &mut Vec<u8>) {
    // Decimal digits, last first, by long division of 32 bit words (little end first).
    let mut words = [0u32; 8];
    for (word, bytes) in words.iter_mut().zip(bits.to_le_bytes().chunks_exact(4)) {
        *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let mut digits = vec![];
    while words.iter().any(|w| *w != 0) {
        let mut rest = 0u64;
        for word in words.iter_mut().rev() {
            let part = rest << 32 | *word as u64;
            *word = (part / 10) as u32;
            rest = part % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    out.extend(digits.iter().rev());
}

#[inline]
pub fn write_float64(v: f64, out: &mut Vec<u8>) {
    if v as i32 as f64 == v && (v != 0.0 || v.is_sign_positive()) {
        return write_integer(v as i32, out);
    }
    if !v.is_finite() {
        return write_not_finite(v.is_nan(), v > 0.0, out);
    }
    if write_few_places(v, out) {
        return;
    }
    write_shortest(ryu::Buffer::new().format_finite(v).as_bytes(), out);
}

/// Writes a number of up to four decimal places and fifteen digits; false for all others. No two such
/// numbers are one Float64, so what divides back to `v` is its shortest text.
#[inline]
fn write_few_places(v: f64, out: &mut Vec<u8>) -> bool {
    const SCALE: u64 = 10_000;
    const SCALED_MAX: f64 = 1e15;
    let scaled = (v.abs() * SCALE as f64).round();
    if !(1.0..SCALED_MAX).contains(&scaled) || scaled / SCALE as f64 != v.abs() {
        return false;
    }
    let (whole, fraction) = (scaled as u64 / SCALE, scaled as u64 % SCALE);
    if v < 0.0 {
        out.push(b'-');
    }
    write_integer(whole, out);
    if fraction > 0 {
        let ([a, b], [c, d]) = (pair(fraction as u32 / 100), pair(fraction as u32 % 100));
        out.extend_from_slice(&[b'.', a, b, c, d]);
        let zeros = [d, c, b].iter().take_while(|digit| **digit == b'0').count();
        out.truncate(out.len() - zeros);
    }
    true
}

#[inline]
pub fn write_float32(v: f32, out: &mut Vec<u8>) {
    if !v.is_finite() {
        return write_not_finite(v.is_nan(), v > 0.0, out);
    }
    write_shortest(ryu::Buffer::new().format_finite(v).as_bytes(), out);
}

fn write_not_finite(nan: bool, positive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(match (nan, positive) {
        (true, _) => b"nan".as_slice(),
        (_, true) => b"inf",
        _ => b"-inf",
    });
}

/// Turns ryu's text into ClickHouse's: no `.0`, no exponent from 1e-6 up to below 1e21.
fn write_shortest(text: &[u8], out: &mut Vec<u8>) {
    let Some(e) = text.iter().position(|b| *b == b'e') else {
        return out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(text));
    };
    let (mantissa, exponent) = (&text[..e], &text[e + 1..]);
    let exponent: i32 =
        std::str::from_utf8(exponent).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
    if !(-6..21).contains(&exponent) {
        return out.extend_from_slice(text);
    }
    let (sign, mantissa) = match mantissa {
        [b'-', rest @ ..] => (true, rest),
        m => (false, m),
    };
    if sign {
        out.push(b'-');
    }
    let digits = mantissa.iter().copied().filter(|b| *b != b'.');
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend(digits);
        return;
    }
    let count = mantissa.len() - usize::from(mantissa.len() > 1);
    let whole = exponent as usize + 1;
    for (i, d) in digits.enumerate() {
        if i == whole {
            out.push(b'.');
        }
        out.push(d);
    }
    out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(count)));
}

/// A decimal of `scale` digits without trailing zeros.
#[inline]
pub fn write_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let magnitude = unscaled.unsigned_abs();
    let digits = match u64::try_from(magnitude) {
        Ok(short) => buffer.format(short),
        Err(_) => buffer.format(magnitude),
    };
    write_scaled(unscaled < 0, digits.as_bytes(), scale as usize, out);
}

pub fn write_decimal256(unscaled: i256, scale: u8, out: &mut Vec<u8>) {
    let text = unscaled.to_string();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    write_scaled(text.starts_with('-'), digits.as_bytes(), scale as usize, out);
}

fn write_scaled(negative: bool, digits: &[u8], scale: usize, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    let whole = digits.len().saturating_sub(scale);
    if whole == 0 {
        out.push(b'0');
    }
    out.extend_from_slice(&digits[..whole]);
    let fraction = &digits[whole..];
    let kept = fraction.iter().rposition(|b| *b != b'0').map_or(0, |i| i + 1);
    if kept > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
        out.extend_from_slice(&fraction[..kept]);
    }
}

#[inline]
fn pair(n: u32) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

/// A day number as YYYY-MM-DD; days outside the years 0 to 9999 print as the nearest one.
#[inline]
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days.clamp(DAYS_MIN, DAYS_MAX));
    let year = year as u32;
    let ([a, b], [c, d]) = (pair(year / 100), pair(year % 100));
    let ([e, f], [g, h]) = (pair(month), pair(day));
    out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
}

/// 0000-01-01 and 9999-12-31.
const DAYS_MIN: i32 = -719_528;
const DAYS_MAX: i32 = 2_932_896;

/// Local seconds as YYYY-MM-DD hh:mm:ss.
#[inline]
fn write_local_seconds(local: i64, out: &mut Vec<u8>) {
    let first = DAYS_MIN as i64 * SECONDS_PER_DAY;
    let last = (DAYS_MAX as i64 + 1) * SECONDS_PER_DAY - 1;
    let local = local.clamp(first, last);
    write_date(local.div_euclid(SECONDS_PER_DAY) as i32, out);
    let rest = local.rem_euclid(SECONDS_PER_DAY) as u32;
    let ([a, b], [c, d], [e, f]) = (pair(rest / 3600), pair(rest / 60 % 60), pair(rest % 60));
    out.extend_from_slice(&[b' ', a, b, b':', c, d, b':', e, f]);
}

#[inline]
pub fn write_date_time(utc_seconds: i64, zone: TimeZone, out: &mut Vec<u8>) {
    write_local_seconds(to_local(zone, utc_seconds), out);
}

#[inline]
pub fn write_date_time64(ticks: i64, precision: u8, zone: TimeZone, out: &mut Vec<u8>) {
    let scale = 10i64.pow(precision.min(9) as u32);
    let utc = ticks.div_euclid(scale);
    write_local_seconds(to_local(zone, utc), out);
    if precision > 0 {
        out.push(b'.');
        let fraction = ticks.rem_euclid(scale);
        for place in (0..precision as u32).rev() {
            out.push(b'0' + (fraction / 10i64.pow(place) % 10) as u8);
        }
    }
}

/// The escape of a byte inside single quotes and in TSV.
#[inline]
/// A time of day, or longer, either side of midnight.
pub fn write_time64(ticks: i64, precision: u8, out: &mut Vec<u8>) {
    let scale = 10u64.pow(precision.min(9) as u32);
    if ticks < 0 {
        out.push(b'-');
    }
    let ticks = ticks.unsigned_abs();
    let seconds = (ticks / scale).min(TIME_SECONDS_MAX);
    let hours = seconds / 3600;
    if hours < 10 {
        out.push(b'0');
    }
    write_integer(hours, out);
    for part in [seconds / 60 % 60, seconds % 60] {
        out.push(b':');
        out.extend_from_slice(&pair(part as u32));
    }
    if precision > 0 {
        let text = format!("{:0width$}", ticks % scale, width = precision as usize);
        out.push(b'.');
        out.extend_from_slice(text.as_bytes());
    }
}

/// 999:59:59, the end of Time.
pub const TIME_SECONDS_MAX: u64 = 3_599_999;

pub fn backslash_escape(b: u8) -> Option<u8> {
    Some(match b {
        b'\\' => b'\\',
        b'\'' => b'\'',
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0 => b'0',
        8 => b'b',
        12 => b'f',
        _ => return None,
    })
}

/// Bytes with backslash escapes, without quotes: a TSV field.
#[inline]
pub fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (i, b) in bytes.iter().enumerate() {
        if *b > b'\\' || (*b > b'\'' && *b != b'\\') {
            continue;
        }
        if let Some(escape) = backslash_escape(*b) {
            out.extend_from_slice(&bytes[from..i]);
            out.extend_from_slice(&[b'\\', escape]);
            from = i + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// A single-quoted literal.
#[inline]
pub fn write_string_literal(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    if style::is_held() && style::doubles_quotes() {
        for piece in bytes.split_inclusive(|b| matches!(b, b'\'' | b'\\')) {
            match piece.split_last() {
                Some((b'\'', text)) => {
                    write_escaped(text, out);
                    out.extend_from_slice(b"''");
                }
                // A backslash means itself then.
                Some((b'\\', text)) => {
                    write_escaped(text, out);
                    out.push(b'\\');
                }
                _ => write_escaped(piece, out),
            }
        }
    } else {
        write_escaped(bytes, out);
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(v: f64) -> String {
        let mut out = vec![];
        write_float64(v, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn few_places_as_ryu_writes_them() {
        let texts = |v: f64| {
            let mut shortest = vec![];
            write_shortest(ryu::Buffer::new().format_finite(v).as_bytes(), &mut shortest);
            (f64_text(v), String::from_utf8(shortest).unwrap())
        };
        let mut v = 1e-5;
        while v < 1e17 {
            for n in 1..200u32 {
                for places in [1.0, 10.0, 100.0, 1000.0, 1e4, 1e5] {
                    let number = (v * n as f64).round() / places + n as f64 / 1e4;
                    for number in [number, -number, f64::from_bits(number.to_bits() + 1)] {
                        let (ours, ryus) = texts(number);
                        assert_eq!(ours, ryus);
                    }
                }
            }
            v *= 7.3;
        }
    }

    #[test]
    fn floats() {
        for (v, text) in [
            (1e20, "100000000000000000000"),
            (1e21, "1e21"),
            (123456789012345678901.0, "123456789012345680000"),
            (1.5e22, "1.5e22"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.23e-7, "1.23e-7"),
            (1.234e-6, "0.000001234"),
            (-1.5e-6, "-0.0000015"),
            (-0.0, "-0"),
            (0.0, "0"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (-12345678901234567000.0, "-12345678901234567000"),
            (1.0000000000000002, "1.0000000000000002"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(f64_text(v), text);
        }
        let f32_text = |v: f32| {
            let mut out = vec![];
            write_float32(v, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(f32_text(0.1), "0.1");
        assert_eq!(f32_text(123456789.0), "123456790");
        assert_eq!(f32_text(1.1e-6), "0.0000011");
    }

    #[test]
    fn decimals_and_wide_integers() {
        let decimal = |v, scale| {
            let mut out = vec![];
            write_decimal(v, scale, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(decimal(150, 2), "1.5");
        assert_eq!(decimal(-5, 1), "-0.5");
        assert_eq!(decimal(-12000, 3), "-12");
        assert_eq!(decimal(1, 10), "0.0000000001");
        assert_eq!(decimal(0, 3), "0");
        assert_eq!(decimal(1050, 3), "1.05");
        let mut out = vec![];
        write_u256(i256::MINUS_ONE, &mut out);
        assert_eq!(
            out,
            b"115792089237316195423570985008687907853269984665640564039457584007913129639935"
        );
    }

    #[test]
    fn times() {
        let text = |f: &dyn Fn(&mut Vec<u8>)| {
            let mut out = vec![];
            f(&mut out);
            String::from_utf8(out).unwrap()
        };
        let utc = TimeZone::UTC;
        assert_eq!(text(&|o| write_date(-100000000, o)), "0000-01-01");
        assert_eq!(text(&|o| write_date(65535, o)), "2149-06-06");
        assert_eq!(text(&|o| write_date_time64(-1, 9, utc, o)), "1969-12-31 23:59:59.999999999");
        assert_eq!(text(&|o| write_date_time64(i64::MAX, 3, utc, o)), "9999-12-31 23:59:59.807");
        let kolkata = TimeZone::parse("Asia/Kolkata").unwrap();
        assert_eq!(text(&|o| write_date_time(4294967295, kolkata, o)), "2106-02-07 11:58:15");
    }
}
