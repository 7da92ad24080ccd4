//! Numbers for people: formatReadableSize, formatReadableQuantity, formatReadableTimeDelta and back.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::decimal::to_floats;
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::bad_argument;
use crate::error::{Error, Result, codes};
use crate::text::quantity::{readable_quantity, scaled};

const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
const DECIMAL: &[&str] = &["B", "KB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
pub(super) fn add(r: &mut Registry) {
    let readable: [(&str, fn(f64) -> String); 3] = [
        ("formatReadableSize", |v| scaled(v, 1024.0, BINARY, " ")),
        ("formatReadableDecimalSize", |v| scaled(v, 1000.0, DECIMAL, " ")),
        ("formatReadableQuantity", readable_quantity),
    ];
    for (name, text) in readable {
        r.add(
            name,
            1..=1,
            |a| a.number(0).map(|_| DataType::String),
            move |c| {
                let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 10);
                for v in to_floats(&c.column(0)?)? {
                    out.push(text(v).as_bytes());
                }
                c.finish(out.finish()?)
            },
        );
    }
    r.add(
        "formatReadableTimeDelta",
        1..=3,
        |a| {
            a.number(0)?;
            (1..a.len()).try_for_each(|i| a.constant_text(i).map(|_| ()))?;
            Ok(DataType::String)
        },
        time_delta,
    );
    for (name, failure) in [
        ("parseReadableSize", Failure::Throw),
        ("parseReadableSizeOrNull", Failure::Null),
        ("parseReadableSizeOrZero", Failure::Zero),
    ] {
        let result = match failure {
            Failure::Null => DataType::nullable(DataType::UInt64),
            _ => DataType::UInt64,
        };
        r.add(
            name,
            1..=1,
            move |a| a.string(0).map(|_| result.clone()),
            move |c| parse_sizes(c, failure),
        );
    }
    r.add("parseTimeDelta", 1..=1, |a| a.string(0).map(|_| DataType::Float64), parse_time_delta);
}

/// Names and lengths in seconds, from long to short; months and years are 30.5 and 365 days.
const SPANS: &[(&str, f64)] = &[
    ("year", 31_536_000.0),
    ("month", 2_635_200.0),
    ("day", 86_400.0),
    ("hour", 3_600.0),
    ("minute", 60.0),
    ("second", 1.0),
    ("millisecond", 1e-3),
    ("microsecond", 1e-6),
    ("nanosecond", 1e-9),
];

fn span_index(name: &str) -> Option<usize> {
    SPANS.iter().position(|(n, _)| name == format!("{n}s"))
}

fn time_delta(call: &FunctionCall) -> Result<Column> {
    let unit = |index: usize, default: &str| -> Result<usize> {
        let name = call.constant_text(index).unwrap_or_else(|| default.to_string());
        span_index(&name).ok_or_else(|| bad_argument(format!("Unexpected unit: {name}")))
    };
    let largest = unit(1, "years")?;
    let smallest = unit(2, "seconds")?.max(largest);
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 24);
    for v in to_floats(&call.column(0)?)? {
        out.push(delta_text(v, largest, smallest).as_bytes());
    }
    call.finish(out.finish()?)
}

fn delta_text(v: f64, largest: usize, smallest: usize) -> String {
    if !v.is_finite() {
        let name = if v.is_nan() {
            "nan"
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return name.into();
    }
    let sign = if v < 0.0 { "- " } else { "" };
    let mut rest = v.abs();
    let mut parts = vec![];
    for (i, (name, length)) in SPANS.iter().enumerate().take(smallest + 1).skip(largest) {
        let mut count = (rest / length).floor();
        if i == smallest && *length < 1.0 {
            count = (rest / length).round();
        }
        rest -= count * length;
        if count > 0.0 {
            parts.push(format!("{count} {name}{}", if count == 1.0 { "" } else { "s" }));
        }
    }
    let text = match parts.len() {
        0 => format!("0 {}s", SPANS[smallest].0),
        1 => parts.remove(0),
        n => format!("{} and {}", parts[..n - 1].join(", "), parts[n - 1]),
    };
    format!("{sign}{text}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Throw,
    Null,
    Zero,
}

fn parse_sizes(call: &FunctionCall, failure: Failure) -> Result<Column> {
    let texts = call.strings(0)?;
    let mut out = Vec::with_capacity(call.rows);
    let mut valid = super::strings::Validity::with_capacity(call.rows);
    for row in 0..call.rows {
        let parsed = parse_size(&String::from_utf8_lossy(texts.get(row)));
        if parsed.is_none() && failure == Failure::Throw {
            return Err(Error::new(
                codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
                format!(
                    "Invalid expression for function parseReadableSize - \"{}\"",
                    String::from_utf8_lossy(texts.get(row))
                ),
            ));
        }
        valid.push(parsed.is_some() || failure == Failure::Zero);
        out.push(parsed.unwrap_or(0));
    }
    let array = <u64 as super::native::Native>::array(out);
    call.finish(super::invoke::set_nulls(&array, valid.finish()))
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let place = |units: &[&str]| units.iter().position(|u| u.to_ascii_lowercase() == unit);
    let factor = match (place(BINARY), place(DECIMAL)) {
        (Some(p), _) => 1024f64.powi(p as i32),
        (None, Some(p)) => 1000f64.powi(p as i32),
        _ => return None,
    };
    Some((number * factor).ceil() as u64)
}

fn parse_time_delta(call: &FunctionCall) -> Result<Column> {
    let texts = call.strings(0)?;
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let text = String::from_utf8_lossy(texts.get(row)).into_owned();
        let seconds = parse_delta(&text).ok_or_else(|| {
            bad_argument(format!("Invalid expression for parseTimeDelta: {text}"))
        })?;
        out.push(seconds);
    }
    call.finish_numbers(out)
}

fn parse_delta(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let tail = rest[end..].trim_start();
        let stop = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let length = match tail[..stop].to_ascii_lowercase().as_str() {
            "years" | "year" | "yr" | "y" => 31_556_952.0,
            "months" | "month" | "mo" => 2_629_746.0,
            "weeks" | "week" | "w" => 604_800.0,
            "days" | "day" | "d" => 86_400.0,
            "hours" | "hour" | "hr" | "h" => 3_600.0,
            "minutes" | "minute" | "min" | "m" => 60.0,
            "seconds" | "second" | "sec" | "s" => 1.0,
            "milliseconds" | "millisecond" | "millisec" | "ms" => 1e-3,
            "microseconds" | "microsecond" | "microsec" | "us" | "μs" | "µs" => 1e-6,
            "nanoseconds" | "nanosecond" | "nanosec" | "ns" => 1e-9,
            _ => return None,
        };
        total += number * length;
        rest = tail[stop..].trim_start_matches(|c: char| {
            c.is_whitespace() || matches!(c, ';' | ':' | ',' | '+' | '-')
        });
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    Some(total)
}
