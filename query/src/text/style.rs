//! How formats write values where settings ask for another text than `toString` gives: times as ISO 8601 or
//! as Unix time, words for Bool, floats to so many places, zeros behind decimals.
//!
//! A style holds while one call of a format's writer runs ([`TextStyle::hold`]), on its thread alone, so that
//! functions such as `toString` never see it, as in ClickHouse. Without a style a value costs one look at a flag.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use pumphouse_storage::DataType;
use pumphouse_storage::types::TimeZone;

use super::JsonOptions;
use super::write::{
    write_date_time, write_date_time64, write_decimal, write_decimal256, write_float32,
    write_float64, write_integer,
};

/// Floats of this magnitude are not written place by place.
const PLACES_BELOW: f64 = 1e60;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeText {
    #[default]
    Simple,
    Iso,
    Unix,
}

/// What differs from the texts of `toString`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextStyle {
    pub times: TimeText,
    /// Fractions of a second without zeros at their end, three digits at a time.
    pub cut_fractions: bool,
    pub decimal_zeros: bool,
    /// Most places of a float; None: as many as it takes to tell it from others.
    pub float_places: Option<usize>,
    /// A point stands behind whole numbers, too, if they are floats or decimals.
    pub always_point: bool,
    /// The words for true and false.
    pub bools: Option<[Vec<u8>; 2]>,
    /// In binary formats, too: JSON as its text.
    pub json_texts: bool,
    /// A FixedString without the zeros at its end.
    pub trim_fixed: bool,
    /// A quote within quotes is doubled, not escaped.
    pub double_quotes: bool,
    /// How values of JSON are written as text.
    pub json: JsonOptions,
}

thread_local! {
    static HELD: RefCell<Option<Arc<TextStyle>>> = const { RefCell::new(None) };
    static IS_HELD: Cell<bool> = const { Cell::new(false) };
}

/// Puts back what was held before, however the call ends.
struct Before(Option<Arc<TextStyle>>);

impl Drop for Before {
    fn drop(&mut self) {
        IS_HELD.set(self.0.is_some());
        HELD.set(self.0.take());
    }
}

impl TextStyle {
    /// Calls `f`; what it writes is in this style.
    pub fn hold<T>(self: &Arc<TextStyle>, f: impl FnOnce() -> T) -> T {
        let _before = Before(HELD.replace(Some(self.clone())));
        IS_HELD.set(true);
        f()
    }
}

/// Whether a style holds on this thread.
#[inline]
pub fn is_held() -> bool {
    IS_HELD.get()
}

/// Whether a FixedString is written without the zeros at its end.
pub fn trims_fixed() -> bool {
    is_held() && HELD.with_borrow(|held| held.as_ref().is_some_and(|style| style.trim_fixed))
}

/// Whether a quote within quotes is doubled.
pub(super) fn doubles_quotes() -> bool {
    is_held() && HELD.with_borrow(|held| held.as_ref().is_some_and(|style| style.double_quotes))
}

/// How a value of JSON is written as text.
pub fn json_options() -> JsonOptions {
    match is_held() {
        true => {
            HELD.with_borrow(|held| held.as_ref().map_or_else(JsonOptions::default, |s| s.json))
        }
        false => JsonOptions::default(),
    }
}

/// Whether binary formats write JSON as its text.
pub fn wants_json_texts() -> bool {
    is_held() && HELD.with_borrow(|held| held.as_ref().is_some_and(|style| style.json_texts))
}

/// Writes the value if the style that holds says how; false, and nothing is written, if it does not.
#[cold]
pub(super) fn write(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) -> bool {
    use DataType as T;
    HELD.with_borrow(|held| {
        let Some(style) = held else { return false };
        match dt {
            T::Bool => style.bool(array.as_primitive::<UInt8Type>().value(row) != 0, out),
            T::Float32 | T::BFloat16 => {
                let v = array.as_primitive::<Float32Type>().value(row);
                style.float(v as f64, &|out| write_float32(v, out), out)
            }
            T::Float64 => {
                let v = array.as_primitive::<Float64Type>().value(row);
                style.float(v, &|out| write_float64(v, out), out)
            }
            T::Decimal { precision, scale } => {
                let from = out.len();
                match precision {
                    0..=9 => {
                        let v = array.as_primitive::<Int32Type>().value(row);
                        write_decimal(v as i128, *scale, out)
                    }
                    10..=18 => {
                        let v = array.as_primitive::<Int64Type>().value(row);
                        write_decimal(v as i128, *scale, out)
                    }
                    19..=38 => {
                        let v = array.as_primitive::<Decimal128Type>().value(row);
                        write_decimal(v, *scale, out)
                    }
                    _ => {
                        let v = array.as_primitive::<Decimal256Type>().value(row);
                        write_decimal256(v, *scale, out)
                    }
                }
                style.end_decimal(from, *scale as usize, out)
            }
            T::DateTime(own) => {
                let seconds = array.as_primitive::<UInt32Type>().value(row) as i64;
                style.time(seconds, 0, own.unwrap_or(zone), out)
            }
            T::DateTime64(precision, own) => {
                let ticks = array.as_primitive::<Int64Type>().value(row);
                style.time(ticks, *precision, own.unwrap_or(zone), out)
            }
            _ => return false,
        }
        true
    })
}

impl TextStyle {
    fn bool(&self, set: bool, out: &mut Vec<u8>) {
        match &self.bools {
            Some([yes, no]) => out.extend_from_slice(if set { yes } else { no }),
            None => out.extend_from_slice(if set { b"true" } else { b"false" }),
        }
    }

    /// `shortest` writes the float as it is written without a style.
    fn float(&self, v: f64, shortest: &dyn Fn(&mut Vec<u8>), out: &mut Vec<u8>) {
        let from = out.len();
        shortest(out);
        if !v.is_finite() {
            return;
        }
        if let Some(places) = self.float_places
            && v.abs() < PLACES_BELOW
            && has_more_places(&out[from..], places)
        {
            out.truncate(from);
            out.extend_from_slice(to_places(v, places).as_bytes());
        }
        if self.always_point {
            end_with_point(from, out);
        }
    }

    /// Adds what the style wants behind a decimal that begins at `from`.
    fn end_decimal(&self, from: usize, scale: usize, out: &mut Vec<u8>) {
        if self.decimal_zeros && scale > 0 {
            let point = out[from..].iter().position(|b| *b == b'.');
            let there = point.map_or(0, |at| out.len() - from - at - 1);
            if point.is_none() {
                out.push(b'.');
            }
            out.resize(out.len() + scale - there, b'0');
        }
        if self.always_point {
            end_with_point(from, out);
        }
    }

    fn time(&self, ticks: i64, precision: u8, zone: TimeZone, out: &mut Vec<u8>) {
        match self.times {
            TimeText::Unix => unix_time(ticks, precision, out),
            TimeText::Iso => {
                let from = out.len();
                write_date_time64(ticks, precision, TimeZone::UTC, out);
                if let Some(space) = out[from..].iter().position(|b| *b == b' ') {
                    out[from + space] = b'T';
                }
                out.push(b'Z');
            }
            TimeText::Simple if precision == 0 => write_date_time(ticks, zone, out),
            TimeText::Simple => {
                write_date_time64(ticks, precision, zone, out);
                if self.cut_fractions {
                    cut_fraction(precision as usize, out);
                }
            }
        }
    }
}

/// Whether a number's shortest text has more than `places` digits behind the point, or its exponent means that
/// it has fewer digits before it than it could have.
fn has_more_places(text: &[u8], places: usize) -> bool {
    let Some(at) = text.iter().position(|b| *b == b'e') else {
        return text.iter().rev().position(|b| *b == b'.').is_some_and(|n| n > places);
    };
    let exponent: i32 = std::str::from_utf8(&text[at + 1..]).map_or(0, |t| t.parse().unwrap_or(0));
    exponent > 0 || exponent.unsigned_abs() as usize <= places
}

/// The number to so many places, halves away from zero, without zeros at its end.
fn to_places(v: f64, places: usize) -> String {
    let scaled = v * 2f64.powi(places as i32 + 1);
    let exact = scaled.fract() == 0.0 && format!("{v:.*}", places + 1).ends_with('5');
    let v = match exact {
        // A half: what is next to it and further from zero is rounded the same way, but not to even.
        true if v < 0.0 => v.next_down(),
        true => v.next_up(),
        false => v,
    };
    let text = format!("{v:.places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn end_with_point(from: usize, out: &mut Vec<u8>) {
    if out[from..].iter().all(|b| b.is_ascii_digit() || *b == b'-') {
        out.push(b'.');
    }
}

fn unix_time(ticks: i64, precision: u8, out: &mut Vec<u8>) {
    let scale = 10u64.pow(precision.min(9) as u32);
    if ticks < 0 {
        out.push(b'-');
    }
    write_integer(ticks.unsigned_abs() / scale, out);
    if precision > 0 {
        let fraction = ticks.unsigned_abs() % scale;
        out.push(b'.');
        out.extend_from_slice(format!("{fraction:0width$}", width = precision as usize).as_bytes());
    }
}

/// Takes zeros from the end of a fraction of `digits` digits, so that none, three, six or nine (or all, if those
/// are fewer) are left.
fn cut_fraction(digits: usize, out: &mut Vec<u8>) {
    let start = out.len() - digits;
    let kept = out[start..].iter().rposition(|b| *b != b'0').map_or(0, |at| at + 1);
    match kept.next_multiple_of(3) {
        0 => out.truncate(start - 1),
        groups => out.truncate(start + groups.min(digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_to_places() {
        let style = |places| TextStyle { float_places: Some(places), ..TextStyle::default() };
        let text = |places, v: f64| {
            let mut out = vec![];
            style(places).float(v, &|out| write_float64(v, out), &mut out);
            String::from_utf8(out).unwrap()
        };
        let cases = [
            (1, 0.25, "0.3"),
            (1, 0.35, "0.3"),
            (1, -0.25, "-0.3"),
            (3, 0.0625, "0.063"),
            (3, 0.0004, "0"),
            (3, -0.0001, "-0"),
            (3, 1e-7, "1e-7"),
            (7, 1e-6 / 3.0, "0.0000003"),
            (3, 1e21, "1000000000000000000000"),
            (3, 1e60, "1e60"),
            (17, 0.1, "0.1"),
            (3, f64::INFINITY, "inf"),
        ];
        for (places, v, expected) in cases {
            assert_eq!(text(places, v), expected, "{v} to {places}");
        }
    }

    #[test]
    fn a_style_ends_with_its_call() {
        let style = Arc::new(TextStyle { times: TimeText::Unix, ..TextStyle::default() });
        let inner = Arc::new(TextStyle::default());
        style.hold(|| {
            inner.hold(|| assert!(is_held()));
            assert!(is_held());
        });
        assert!(!is_held());
        let mut out = vec![];
        unix_time(-500, 3, &mut out);
        assert_eq!(out, b"-0.500");
    }
}
