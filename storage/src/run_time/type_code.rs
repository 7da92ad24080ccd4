//! Types as bytes: ClickHouse's binary encoding of data types, as RowBinary and Native carry it beside
//! values of Dynamic. Every type has one encoding, so types are equal if their bytes are.

use std::sync::Arc;

use crate::types::{
    DataType, EnumValues, JsonType, PATHS_MAX_DEFAULT, TYPES_MAX_DEFAULT, TimeZone, TupleElement,
    parse_data_type,
};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;
/// Elements, names and paths of one type at most.
const ITEMS_MAX: u64 = 100_000;

const UNITS: [&str; 11] = [
    "Nanosecond",
    "Microsecond",
    "Millisecond",
    "Second",
    "Minute",
    "Hour",
    "Day",
    "Week",
    "Month",
    "Quarter",
    "Year",
];

/// Types whose whole encoding is their code.
const PLAIN: [(u8, DataType); 26] = [
    (0x00, DataType::Nothing),
    (0x01, DataType::UInt8),
    (0x02, DataType::UInt16),
    (0x03, DataType::UInt32),
    (0x04, DataType::UInt64),
    (0x05, DataType::UInt128),
    (0x06, DataType::UInt256),
    (0x07, DataType::Int8),
    (0x08, DataType::Int16),
    (0x09, DataType::Int32),
    (0x0A, DataType::Int64),
    (0x0B, DataType::Int128),
    (0x0C, DataType::Int256),
    (0x0D, DataType::Float32),
    (0x0E, DataType::Float64),
    (0x0F, DataType::Date),
    (0x10, DataType::Date32),
    (0x11, DataType::DateTime(None)),
    (0x15, DataType::String),
    (0x1D, DataType::Uuid),
    (0x28, DataType::Ipv4),
    (0x29, DataType::Ipv6),
    (0x2D, DataType::Bool),
    (0x31, DataType::BFloat16),
    (0x32, DataType::Time),
    (0xFF, DataType::Nothing),
];

/// Whether a code is a whole type.
pub fn is_plain(code: u8) -> bool {
    code != 0xFF && PLAIN.iter().any(|(c, _)| *c == code)
}

/// Appends an unsigned LEB128 number.
pub fn put_number(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes an unsigned LEB128 number.
pub fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let b = take_byte(bytes)?;
        n |= ((b & 0x7F) as u64) << shift;
        if b < 0x80 {
            return Some(n);
        }
    }
    None
}

/// Takes one byte.
pub fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

/// Takes `length` bytes.
pub fn take_bytes<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = take_number(bytes)?;
    let text = take_bytes(bytes, usize::try_from(length).ok()?)?;
    Some(std::str::from_utf8(text).ok()?.to_string())
}

fn take_count(bytes: &mut &[u8]) -> Option<usize> {
    take_number(bytes).filter(|n| *n <= ITEMS_MAX).map(|n| n as usize)
}

/// Appends the encoding of `data_type`.
pub fn put(data_type: &DataType, out: &mut Vec<u8>) {
    use DataType::*;
    if let Some((code, _)) = PLAIN.iter().find(|(_, t)| t == data_type) {
        return out.push(*code);
    }
    let list = |types: &[DataType], out: &mut Vec<u8>| {
        put_number(types.len() as u64, out);
        types.iter().for_each(|t| put(t, out));
    };
    match data_type {
        DateTime(Some(zone)) => {
            out.push(0x12);
            put_text(&zone.to_string(), out);
        }
        DateTime64(precision, None) => out.extend([0x13, *precision]),
        DateTime64(precision, Some(zone)) => {
            out.extend([0x14, *precision]);
            put_text(&zone.to_string(), out);
        }
        FixedString(n) => {
            out.push(0x16);
            put_number(*n as u64, out);
        }
        Enum8(values) | Enum16(values) => {
            let small = matches!(data_type, Enum8(_));
            out.push(if small { 0x17 } else { 0x18 });
            put_number(values.values.len() as u64, out);
            for (name, n) in &values.values {
                put_text(name, out);
                match small {
                    true => out.push(*n as u8),
                    false => out.extend(n.to_le_bytes()),
                }
            }
        }
        Decimal { precision, scale } => {
            let code = match precision {
                0..=9 => 0x19,
                10..=18 => 0x1A,
                19..=38 => 0x1B,
                _ => 0x1C,
            };
            out.extend([code, *precision, *scale]);
        }
        Array(t) => {
            out.push(0x1E);
            put(t, out);
        }
        Tuple(elements) => {
            let named = !elements.is_empty() && elements.iter().all(|e| e.name.is_some());
            out.push(if named { 0x20 } else { 0x1F });
            put_number(elements.len() as u64, out);
            for e in elements {
                if let Some(name) = e.name.as_ref().filter(|_| named) {
                    put_text(name, out);
                }
                put(&e.data_type, out);
            }
        }
        Interval(unit) => {
            let at = UNITS.iter().position(|u| u == unit).unwrap_or(0);
            out.extend([0x22, at as u8]);
        }
        Nullable(t) => {
            out.push(0x23);
            put(t, out);
        }
        LowCardinality(t) => {
            out.push(0x26);
            put(t, out);
        }
        Map(k, v) => {
            out.push(0x27);
            put(k, out);
            put(v, out);
        }
        Variant(types) => {
            out.push(0x2A);
            list(types, out);
        }
        Dynamic { types_max } => {
            out.extend([0x2B, types_max.unwrap_or(TYPES_MAX_DEFAULT as u8)]);
        }
        Named { name, .. } => {
            out.push(0x2C);
            put_text(name, out);
        }
        Json(json) => put_json(json, out),
        Time64(precision) => out.extend([0x34, *precision]),
        // What has no encoding of its own goes by name, under a code that ClickHouse does not use.
        other => {
            out.push(0xF0);
            put_text(&other.to_string(), out);
        }
    }
}

fn put_json(json: &JsonType, out: &mut Vec<u8>) {
    out.extend([0x30, 0]);
    put_number(json.paths_max(), out);
    out.push(json.types_max() as u8);
    put_number(json.typed.len() as u64, out);
    for (path, t) in &json.typed {
        put_text(path, out);
        put(t, out);
    }
    for list in [&json.skipped, &json.skipped_patterns] {
        put_number(list.len() as u64, out);
        list.iter().for_each(|text| put_text(text, out));
    }
}

/// Takes an encoded type from the front of `bytes`; None if there is none.
pub fn take(bytes: &mut &[u8]) -> Option<DataType> {
    take_within(bytes, DEPTH_MAX)
}

fn take_within(bytes: &mut &[u8], depth: usize) -> Option<DataType> {
    use DataType::*;
    let depth = depth.checked_sub(1)?;
    let code = take_byte(bytes)?;
    if let Some((_, t)) = PLAIN.iter().find(|(c, _)| *c == code && code != 0xFF) {
        return Some(t.clone());
    }
    let boxed = |bytes: &mut &[u8]| take_within(bytes, depth).map(Box::new);
    Some(match code {
        0x12 => DateTime(Some(TimeZone::parse(&take_text(bytes)?)?)),
        0x13 => DateTime64(take_byte(bytes)?, None),
        0x14 => {
            let precision = take_byte(bytes)?;
            DateTime64(precision, Some(TimeZone::parse(&take_text(bytes)?)?))
        }
        0x16 => FixedString(usize::try_from(take_number(bytes)?).ok().filter(|n| *n > 0)?),
        0x17 | 0x18 => {
            let mut values = vec![];
            for _ in 0..take_count(bytes)? {
                let name = take_text(bytes)?;
                let n = match code {
                    0x17 => take_byte(bytes)? as i8 as i16,
                    _ => i16::from_le_bytes(take_bytes(bytes, 2)?.try_into().ok()?),
                };
                values.push((name, n));
            }
            values.sort_by_key(|(_, n)| *n);
            let values = Arc::new(EnumValues { values });
            if code == 0x17 { Enum8(values) } else { Enum16(values) }
        }
        0x19..=0x1C => {
            let (precision, scale) = (take_byte(bytes)?, take_byte(bytes)?);
            let fits = (1..=76).contains(&precision) && scale <= precision;
            fits.then_some(Decimal { precision, scale })?
        }
        0x1E => Array(boxed(bytes)?),
        0x1F | 0x20 => {
            let mut elements = vec![];
            for _ in 0..take_count(bytes)? {
                let name = if code == 0x20 { Some(take_text(bytes)?) } else { None };
                elements.push(TupleElement { name, data_type: take_within(bytes, depth)? });
            }
            Tuple(elements)
        }
        0x22 => Interval(UNITS.get(take_byte(bytes)? as usize)?),
        0x23 => Nullable(boxed(bytes)?),
        0x26 => LowCardinality(boxed(bytes)?),
        0x27 => Map(boxed(bytes)?, boxed(bytes)?),
        0x2A => {
            let count = take_count(bytes)?;
            let types = (0..count).map(|_| take_within(bytes, depth)).collect::<Option<_>>()?;
            Variant(types)
        }
        0x2B => {
            let n = take_byte(bytes)?;
            Dynamic { types_max: (n as u64 != TYPES_MAX_DEFAULT).then_some(n) }
        }
        0x2C => DataType::geometric(&take_text(bytes)?)?,
        0x30 => Json(Arc::new(take_json(bytes, depth)?)),
        0x34 => Time64(take_byte(bytes)?),
        0xF0 => parse_data_type(&take_text(bytes)?).ok()?,
        _ => return None,
    })
}

fn take_json(bytes: &mut &[u8], depth: usize) -> Option<JsonType> {
    take_byte(bytes).filter(|version| *version == 0)?;
    let paths = take_number(bytes)?;
    let types = take_byte(bytes)? as u64;
    let mut json = JsonType {
        paths_max: (paths != PATHS_MAX_DEFAULT).then_some(paths),
        types_max: (types != TYPES_MAX_DEFAULT).then_some(types),
        ..JsonType::default()
    };
    for _ in 0..take_count(bytes)? {
        let path = take_text(bytes)?;
        json.typed.push((path, take_within(bytes, depth)?));
    }
    for _ in 0..take_count(bytes)? {
        json.skipped.push(take_text(bytes)?);
    }
    for _ in 0..take_count(bytes)? {
        json.skipped_patterns.push(take_text(bytes)?);
    }
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_back() {
        for name in [
            "UInt8",
            "Array(Nullable(Int64))",
            "Tuple(a Int64, b Array(String))",
            "Tuple(Int64, String)",
            "Map(String, DateTime64(3, 'UTC'))",
            "Enum8('a' = -1, 'b' = 2)",
            "Decimal(20, 3)",
            "Variant(Array(UInt64), String)",
            "Dynamic",
            "Dynamic(max_types=3)",
            "JSON(max_dynamic_types=16, max_dynamic_paths=256)",
            "JSON(a UInt32, SKIP `b.c`, SKIP REGEXP 'x.*')",
            "Time64(6)",
            "BFloat16",
            "Ring",
            "LowCardinality(Nullable(String))",
            "IntervalDay",
            "AggregateFunction(sum, UInt64)",
        ] {
            let t = parse_data_type(name).unwrap();
            let mut out = vec![];
            put(&t, &mut out);
            let mut rest = &out[..];
            assert_eq!(take(&mut rest), Some(t), "{name}");
            assert!(rest.is_empty(), "{name}");
            for cut in 0..out.len() {
                assert!(take(&mut &out[..cut]).is_none(), "{name} cut at {cut}");
            }
        }
    }
}
