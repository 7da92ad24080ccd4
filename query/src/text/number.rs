//! Numbers from text: integers, floats and decimals.
//!
//! `read_*` parses a prefix and says how long it was; `parse_*` wants the whole text. Integers wrap
//! around on overflow and decimals are cut (not rounded) to their scale, as in ClickHouse.

use arrow_buffer::i256;

use super::{TextError, TextResult, excerpt};
use crate::error::codes;

/// An integer type that text can be read into. `wrap` takes decimal digits modulo 2^bits.
pub trait Integer: Copy {
    const SIGNED: bool;
    const NAME: &'static str;
    fn wrap(digits: &[u8], negative: bool) -> Self;
}

macro_rules! integers {
    ($($native:ident $name:literal $signed:literal $word:ident),*) => {$(
        impl Integer for $native {
            const SIGNED: bool = $signed;
            const NAME: &'static str = $name;
            #[inline]
            fn wrap(digits: &[u8], negative: bool) -> $native {
                let mut word: $word = 0;
                for d in digits {
                    word = word.wrapping_mul(10).wrapping_add((d - b'0') as $word);
                }
                (if negative { word.wrapping_neg() } else { word }) as $native
            }
        }
    )*};
}

integers!(
    u8 "UInt8" false u64, u16 "UInt16" false u64, u32 "UInt32" false u64, u64 "UInt64" false u64,
    i8 "Int8" true u64, i16 "Int16" true u64, i32 "Int32" true u64, i64 "Int64" true u64,
    u128 "UInt128" false u128, i128 "Int128" true u128
);

impl Integer for i256 {
    const SIGNED: bool = true;
    const NAME: &'static str = "Int256";
    fn wrap(digits: &[u8], negative: bool) -> i256 {
        let ten = i256::from_i128(10);
        let mut word = i256::ZERO;
        for d in digits {
            word = word.wrapping_mul(ten).wrapping_add(i256::from_i128((d - b'0') as i128));
        }
        if negative { i256::ZERO.wrapping_sub(word) } else { word }
    }
}

/// The bits of an unsigned 256 bit integer, held in an `i256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct U256(pub i256);

impl Integer for U256 {
    const SIGNED: bool = false;
    const NAME: &'static str = "UInt256";
    fn wrap(digits: &[u8], negative: bool) -> U256 {
        U256(i256::wrap(digits, negative))
    }
}

/// An integer at the start of `text` and the bytes it took. Code 32 for an empty text, 72 for a wrong
/// sign, 6 when no digit is there.
#[inline]
pub fn read_int<T: Integer>(text: &[u8]) -> TextResult<(T, usize)> {
    let (negative, start) = match text.first() {
        Some(b'-') if T::SIGNED => (true, 1),
        Some(b'+') => (false, 1),
        Some(b'0'..=b'9') => (false, 0),
        _ => return Err(no_integer::<T>(text)),
    };
    let mut end = start;
    while end < text.len() && text[end].is_ascii_digit() {
        end += 1;
    }
    if end == start {
        return Err(no_integer::<T>(text));
    }
    Ok((T::wrap(&text[start..end], negative), end))
}

#[cold]
fn no_integer<T: Integer>(text: &[u8]) -> TextError {
    let name = T::NAME;
    match text {
        [] => TextError::new(
            codes::ATTEMPT_TO_READ_AFTER_EOF,
            format!(
                "Attempt to read after eof: Cannot parse {name} from String, because value is too \
                 short"
            ),
        ),
        [b'-', ..] if !T::SIGNED => TextError::new(
            codes::CANNOT_PARSE_NUMBER,
            format!("Unsigned type must not contain '-' symbol: Cannot parse {name} from String"),
        ),
        [b'-' | b'+', b'-' | b'+', ..] => TextError::new(
            codes::CANNOT_PARSE_NUMBER,
            format!(
                "Cannot parse number with multiple sign (+/-) characters: Cannot parse {name} from \
                 String"
            ),
        ),
        [b'-' | b'+', ..] => TextError::new(
            codes::CANNOT_PARSE_NUMBER,
            format!("Cannot parse number without any digits: Cannot parse {name} from String"),
        ),
        _ => rest_error(text, 0, name),
    }
}

/// The error for text that goes on behind a value (or does not begin one): code 6.
#[cold]
pub fn rest_error(text: &[u8], position: usize, type_name: &str) -> TextError {
    let shown = excerpt(text);
    let place = if position == 0 {
        "syntax error at begin of string".to_string()
    } else {
        let parsed = excerpt(&text[..position]);
        format!("syntax error at position {position} (parsed just '{parsed}')")
    };
    let has_variants = !type_name.contains("256") && !type_name.contains("128");
    let note = if has_variants && !type_name.contains('(') {
        format!(
            ". Note: there are to{type_name}OrZero and to{type_name}OrNull functions, which returns \
             zero/NULL instead of throwing exception"
        )
    } else {
        String::new()
    };
    TextError::new(
        codes::CANNOT_PARSE_TEXT,
        format!("Cannot parse string '{shown}' as {type_name}: {place}{note}"),
    )
}

/// The whole text as an integer.
#[inline]
pub fn parse_int<T: Integer>(text: &[u8]) -> TextResult<T> {
    let (value, end) = read_int::<T>(text)?;
    if end != text.len() {
        return Err(rest_error(text, end, T::NAME));
    }
    Ok(value)
}

/// A float at the start of `text` and the bytes it took; too large is infinity. `inf`, `infinity` and
/// `nan` in any case.
#[inline]
pub fn read_float(text: &[u8]) -> TextResult<(f64, usize)> {
    read_float_as::<f64>(text)
}

/// Same at either precision (Float32 must not be rounded twice).
#[inline]
pub fn read_float_as<T: fast_float2::FastFloat>(text: &[u8]) -> TextResult<(T, usize)> {
    let signs = usize::from(text.first() == Some(&b'+'));
    if signs == 1 && matches!(text.get(1), Some(b'+' | b'-')) {
        return Err(no_float(text));
    }
    match fast_float2::parse_partial::<T, _>(&text[signs..]) {
        Ok((value, used)) => Ok((value, used + signs)),
        Err(_) => Err(no_float(text)),
    }
}

#[cold]
fn no_float(text: &[u8]) -> TextError {
    TextError::new(
        codes::CANNOT_PARSE_NUMBER,
        format!("Cannot read floating point value here: {}", excerpt(text)),
    )
}

/// The whole text as a Float64.
#[inline]
pub fn parse_float(text: &[u8]) -> TextResult<f64> {
    let (value, end) = read_float(text)?;
    if end != text.len() {
        return Err(rest_error(text, end, "Float64"));
    }
    Ok(value)
}

/// The whole text as a Float32.
#[inline]
pub fn parse_float32(text: &[u8]) -> TextResult<f32> {
    let (value, end) = read_float_as::<f32>(text)?;
    if end != text.len() {
        return Err(rest_error(text, end, "Float32"));
    }
    Ok(value)
}

/// The digits and exponent of a decimal at the start of a text.
struct DecimalText {
    negative: bool,
    /// Significant digits, leading zeros dropped, cut at `DIGITS_MAX`.
    digits: [u8; DIGITS_MAX],
    count: usize,
    /// Power of ten of the last kept digit.
    exponent: i64,
    used: usize,
}

const DIGITS_MAX: usize = 80;

fn read_decimal_text(text: &[u8], type_name: impl Fn() -> String) -> TextResult<DecimalText> {
    let mut d =
        DecimalText { negative: false, digits: [0; DIGITS_MAX], count: 0, exponent: 0, used: 0 };
    let mut at = 0;
    if let Some(sign @ (b'-' | b'+')) = text.first() {
        d.negative = *sign == b'-';
        at = 1;
    }
    let (mut seen, mut after_point) = (false, false);
    while let Some(&b) = text.get(at) {
        match b {
            b'0'..=b'9' => {
                seen = true;
                if d.count == DIGITS_MAX {
                    d.exponent += i64::from(!after_point);
                } else {
                    if d.count > 0 || b != b'0' {
                        d.digits[d.count] = b;
                        d.count += 1;
                    }
                    d.exponent -= i64::from(after_point);
                }
            }
            // A further point is passed over.
            b'.' => after_point = true,
            _ => break,
        }
        at += 1;
    }
    if !seen {
        return Err(if text.is_empty() {
            TextError::new(codes::ATTEMPT_TO_READ_AFTER_EOF, "Attempt to read after eof")
        } else {
            rest_error(text, 0, &type_name())
        });
    }
    if matches!(text.get(at), Some(b'e' | b'E'))
        && let Ok((exponent, used)) = read_int::<i64>(&text[at + 1..])
        && used < 12
    {
        d.exponent += exponent;
        at += 1 + used;
    }
    d.used = at;
    Ok(d)
}

impl DecimalText {
    /// The digits at `scale`, cut; Err(69) when more than `precision` of them are left.
    fn at_scale(&self, precision: u8, scale: u8) -> TextResult<([u8; DIGITS_MAX], usize)> {
        let zeros = self.exponent + scale as i64;
        let digits = self.digits;
        if self.count == 0 || self.count as i64 + zeros <= 0 {
            return Ok((digits, 0));
        }
        let total = self.count as i64 + zeros;
        if total > precision as i64 {
            let shown = String::from_utf8_lossy(&self.digits[..self.count]).into_owned();
            return Err(TextError::new(
                codes::ARGUMENT_OUT_OF_BOUND,
                format!(
                    "Decimal value is too big: {} digits were read: '{shown}'e{}. Expected to read \
                     decimal with scale {scale} and precision {precision}",
                    self.count, self.exponent
                ),
            ));
        }
        let mut digits = digits;
        for zero in digits.iter_mut().take(total as usize).skip(self.count) {
            *zero = b'0';
        }
        Ok((digits, total as usize))
    }
}

/// A decimal of up to 38 digits at the start of `text`, unscaled, and the bytes it took.
#[inline]
pub fn read_decimal(text: &[u8], precision: u8, scale: u8) -> TextResult<(i128, usize)> {
    if let Some(found) = read_short_decimal(text, precision, scale) {
        return Ok(found);
    }
    let d = read_decimal_text(text, || format!("Decimal({precision}, {scale})"))?;
    let (digits, count) = d.at_scale(precision.min(38), scale)?;
    Ok((i128::wrap(&digits[..count], d.negative), d.used))
}

/// The common shape: at most 18 digits in all, no exponent.
#[inline]
fn read_short_decimal(text: &[u8], precision: u8, scale: u8) -> Option<(i128, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (mut at, mut word, mut digits, mut point) = (start, 0u64, 0usize, None);
    while let Some(&b) = text.get(at) {
        match b {
            b'0'..=b'9' => {
                word = word.wrapping_mul(10).wrapping_add((b - b'0') as u64);
                digits += 1;
            }
            b'.' => point = point.or(Some(digits)),
            b'e' | b'E' => return None,
            _ => break,
        }
        at += 1;
    }
    if digits == 0 || digits > 18 || precision > 38 {
        return None;
    }
    let fraction = digits - point.unwrap_or(digits);
    let unscaled = match (scale as usize).checked_sub(fraction) {
        Some(more) => (word as i128).checked_mul(10i128.checked_pow(more as u32)?)?,
        None => word as i128 / 10i128.pow((fraction - scale as usize) as u32),
    };
    if unscaled >= 10i128.checked_pow(precision as u32)? {
        return None;
    }
    Some((if negative { -unscaled } else { unscaled }, at))
}

/// The whole text as a decimal of up to 38 digits, unscaled.
#[inline]
pub fn parse_decimal(text: &[u8], precision: u8, scale: u8) -> TextResult<i128> {
    let (value, end) = read_decimal(text, precision, scale)?;
    if end != text.len() {
        return Err(rest_error(text, end, &format!("Decimal({precision}, {scale})")));
    }
    Ok(value)
}

/// A decimal of up to 76 digits at the start of `text`, unscaled, and the bytes it took.
pub fn read_decimal256(text: &[u8], precision: u8, scale: u8) -> TextResult<(i256, usize)> {
    let d = read_decimal_text(text, || format!("Decimal({precision}, {scale})"))?;
    let (digits, count) = d.at_scale(precision.min(76), scale)?;
    Ok((i256::wrap(&digits[..count], d.negative), d.used))
}

/// The whole text as a decimal of up to 76 digits, unscaled.
pub fn parse_decimal256(text: &[u8], precision: u8, scale: u8) -> TextResult<i256> {
    let (value, end) = read_decimal256(text, precision, scale)?;
    if end != text.len() {
        return Err(rest_error(text, end, &format!("Decimal({precision}, {scale})")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(r: TextResult<T>) -> u32 {
        r.unwrap_err().code
    }

    #[test]
    fn integers_wrap_and_reject() {
        assert_eq!(parse_int::<u8>(b"300"), Ok(44));
        assert_eq!(parse_int::<i8>(b"300"), Ok(44));
        assert_eq!(parse_int::<u64>(b"99999999999999999999999"), Ok(200376420520689663));
        assert_eq!(parse_int::<i32>(b"99999999999999999999999"), Ok(-159383553));
        assert_eq!(parse_int::<i8>(b"-0"), Ok(0));
        assert_eq!(parse_int::<u8>(b"+0012"), Ok(12));
        assert_eq!(code(parse_int::<u8>(b"-1")), 72);
        assert_eq!(code(parse_int::<i8>(b"--1")), 72);
        assert_eq!(code(parse_int::<i8>(b"")), 32);
        assert_eq!(code(parse_int::<i8>(b" 1")), 6);
        assert_eq!(code(parse_int::<i8>(b"1.5")), 6);
    }

    #[test]
    fn floats() {
        for (text, value) in [
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("+5", 5.0),
            ("1E5", 1e5),
            ("+inf", f64::INFINITY),
            ("INFINITY", f64::INFINITY),
            ("1e999", f64::INFINITY),
            ("1e-999", 0.0),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Ok(value), "{text}");
        }
        assert!(parse_float(b"-nan").unwrap().is_nan());
        for (text, want) in [("", 72), ("-", 72), ("abc", 72), ("1 ", 6), ("1e", 6), ("0x10", 6)] {
            assert_eq!(code(parse_float(text.as_bytes())), want, "{text}");
        }
        assert_eq!(parse_float32(b"16777217"), Ok(16777216.0));
    }

    #[test]
    fn decimals_are_cut_to_scale() {
        for (text, value) in [
            ("1.5", 150),
            ("1.256", 125),
            ("-1.256", -125),
            ("1e3", 100000),
            ("1.5e1", 1500),
            ("150e-2", 150),
            ("9999999.99", 999999999),
            ("+1", 100),
            (".5", 50),
            ("5.", 500),
            ("-0.001", 0),
            ("1e-5", 0),
            ("0.000000000000000000000000000001", 0),
        ] {
            assert_eq!(parse_decimal(text.as_bytes(), 9, 2), Ok(value), "{text}");
        }
        assert_eq!(code(parse_decimal(b"99999999.99", 9, 2)), 69);
        assert_eq!(code(parse_decimal(b"1e100", 9, 2)), 69);
        assert_eq!(code(parse_decimal(b"", 9, 2)), 32);
        assert_eq!(code(parse_decimal(b"1 ", 9, 2)), 6);
        assert_eq!(parse_decimal(b"1e27", 38, 10), Ok(10i128.pow(37)));
        assert_eq!(code(parse_decimal(b"1e28", 38, 10)), 69);
        assert_eq!(parse_decimal256(b"-123.45", 76, 5), Ok(i256::from_i128(-12345000)));
    }
}
