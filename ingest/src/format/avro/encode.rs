//! Types to an Avro schema and values to Avro's bytes, as ClickHouse writes them.

use std::fmt::Write;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text;
use pumphouse_storage::types::EnumValues;
use pumphouse_storage::{Block, DataType, Value};
use regex::bytes::Regex;

use super::super::FormatOptions;
use super::AVRO_EXCEPTION;

const ILLEGAL_COLUMN: u32 = 44;

/// Makes the bytes of rows; made once for a result.
pub struct Encoder {
    pub schema: String,
    types: Vec<DataType>,
}

impl Encoder {
    pub fn new(columns: &[(String, DataType)], options: &FormatOptions) -> Result<Encoder> {
        let pattern = options.settings.get("output_format_avro_string_column_pattern");
        let pattern = match pattern.unwrap_or_default() {
            "" => None,
            text => Some(Regex::new(text).map_err(|e| {
                let message = format!("output_format_avro_string_column_pattern: {e}");
                Error::new(codes::BAD_ARGUMENTS, message)
            })?),
        };
        let mut maker = SchemaMaker { names: 0, column: String::new(), pattern };
        let mut schema = String::from("{\"type\":\"record\",\"name\":\"row\",\"fields\":[");
        for (i, (name, data_type)) in columns.iter().enumerate() {
            check_name(name)?;
            maker.column = name.clone();
            let comma = if i > 0 { "," } else { "" };
            let own = maker.schema(data_type, name)?;
            let _ = write!(schema, "{comma}{{\"name\":\"{name}\",\"type\":{own}}}");
        }
        schema.push_str("]}");
        Ok(Encoder { schema, types: columns.iter().map(|(_, t)| t.clone()).collect() })
    }

    pub fn row(&self, block: &Block, row: usize, out: &mut Vec<u8>) {
        for (column, data_type) in block.columns.iter().zip(&self.types) {
            value(data_type, &column.value(row), out);
        }
    }
}

/// Names are letters, digits, underscores and dots.
fn check_name(name: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    match !name.is_empty() && name.bytes().all(fine) {
        true => Ok(()),
        false => Err(Error::new(AVRO_EXCEPTION, format!("avro::Exception: Invalid name: {name}"))),
    }
}

struct SchemaMaker {
    /// Types so far: their number makes names unique.
    names: usize,
    column: String,
    pattern: Option<Regex>,
}

impl SchemaMaker {
    fn schema(&mut self, data_type: &DataType, name: &str) -> Result<String> {
        use DataType as T;
        self.names += 1;
        let n = self.names;
        let fixed = |kind: &str, size: usize| {
            format!("{{\"type\":\"fixed\",\"name\":\"{kind}{n}\",\"size\":{size}}}")
        };
        let logical = |base: &str, logical: &str| {
            format!("{{\"type\":\"{base}\",\"logicalType\":\"{logical}\"}}")
        };
        let decimal = |precision: u8, scale: u8| {
            format!(
                "{{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":{precision},\"scale\":{scale}}}"
            )
        };
        Ok(match data_type {
            T::Nothing => "\"null\"".into(),
            T::Bool => "\"boolean\"".into(),
            T::UInt8 | T::UInt16 | T::UInt32 | T::Int8 | T::Int16 | T::Int32 | T::Ipv4 => {
                "\"int\"".into()
            }
            T::DateTime(_) => "\"int\"".into(),
            T::UInt64 | T::Int64 => "\"long\"".into(),
            T::Float32 => "\"float\"".into(),
            T::Float64 => "\"double\"".into(),
            T::Date | T::Date32 => logical("int", "date"),
            T::DateTime64(3, _) => logical("long", "timestamp-millis"),
            T::DateTime64(6, _) => logical("long", "timestamp-micros"),
            T::DateTime64(scale, _) => decimal(18, *scale),
            T::Decimal { precision, scale } => decimal(*precision, *scale),
            T::String => {
                let is_text =
                    self.pattern.as_ref().is_none_or(|p| p.is_match(self.column.as_bytes()));
                if is_text { "\"string\"".into() } else { "\"bytes\"".into() }
            }
            T::FixedString(size) => fixed("fixed_", *size),
            T::Ipv6 => fixed("ipv6_", 16),
            T::Int128 => fixed("int128", 16),
            T::UInt128 => fixed("uint128", 16),
            T::Int256 => fixed("int256", 32),
            T::UInt256 => fixed("uint256", 32),
            T::Uuid => logical("string", "uuid"),
            T::Enum8(names) => enumeration("enum8_", n, names),
            T::Enum16(names) => enumeration("enum16", n, names),
            T::Array(item) => {
                format!("{{\"type\":\"array\",\"items\":{}}}", self.schema(item, name)?)
            }
            T::Map(key, _) if !is_key(key) => return Err(unsupported(data_type, name)),
            T::Map(_, item) => {
                format!("{{\"type\":\"map\",\"values\":{}}}", self.schema(item, name)?)
            }
            T::Nullable(inner) if **inner == T::Nothing => "\"null\"".into(),
            T::Nullable(inner) => format!("[\"null\",{}]", self.schema(inner, name)?),
            T::LowCardinality(inner) => self.schema(inner, name)?,
            T::SimpleAggregateFunction { .. } | T::Named { .. } => {
                self.schema(data_type.inner(), name)?
            }
            T::Tuple(elements) => {
                let (space, own) = match name.rsplit_once('.') {
                    Some((space, own)) => (format!("\"namespace\":\"{space}\","), own),
                    None => (String::new(), name),
                };
                let mut fields = vec![];
                for (i, element) in elements.iter().enumerate() {
                    let field = element.name.clone().unwrap_or_else(|| (i + 1).to_string());
                    check_name(&field)?;
                    let own = self.schema(&element.data_type, &field)?;
                    fields.push(format!("{{\"name\":\"{field}\",\"type\":{own}}}"));
                }
                format!(
                    "{{\"type\":\"record\",{space}\"name\":\"{own}_{n}\",\"fields\":[{}]}}",
                    fields.join(",")
                )
            }
            other => return Err(unsupported(other, &self.column)),
        })
    }
}

fn unsupported(data_type: &DataType, column: &str) -> Error {
    let message = format!("Type {data_type} is not supported for Avro output: column {column}");
    Error::new(ILLEGAL_COLUMN, message)
}

fn enumeration(kind: &str, n: usize, names: &EnumValues) -> String {
    let symbols: Vec<String> = names
        .values
        .iter()
        .map(|(name, _)| serde_json::Value::from(name.as_str()).to_string())
        .collect();
    format!("{{\"type\":\"enum\",\"name\":\"{kind}{n}\",\"symbols\":[{}]}}", symbols.join(","))
}

/// A number in zigzag.
pub fn long(n: i64, out: &mut Vec<u8>) {
    let mut n = ((n << 1) ^ (n >> 63)) as u64;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn value(data_type: &DataType, v: &Value, out: &mut Vec<u8>) {
    use DataType as T;
    match (data_type, v) {
        (T::LowCardinality(inner), v) => value(inner, v, out),
        (T::SimpleAggregateFunction { .. } | T::Named { .. }, v) => {
            value(data_type.inner(), v, out)
        }
        (T::Nullable(inner), _) if **inner == T::Nothing => {}
        (T::Nullable(_), Value::Null) => long(0, out),
        (T::Nullable(inner), v) => {
            long(1, out);
            value(inner, v, out);
        }
        (T::Nothing, _) => {}
        (T::Bool, v) => out.push((v.as_i128() != Some(0)) as u8),
        (T::Float32, v) => {
            out.extend_from_slice(&(v.as_f64().unwrap_or_default() as f32).to_le_bytes());
        }
        (T::Float64, v) => out.extend_from_slice(&v.as_f64().unwrap_or_default().to_le_bytes()),
        (T::String, Value::String(b)) => sized(b, out),
        (T::FixedString(_) | T::Ipv6, Value::String(b)) => out.extend_from_slice(b),
        (T::Uuid, Value::String(b)) => {
            let mut written = vec![];
            text::address::write_uuid(b, &mut written);
            sized(&written, out);
        }
        (T::Int128 | T::UInt128, Value::UInt128(n)) => out.extend_from_slice(&n.to_le_bytes()),
        (T::Int128 | T::UInt128, v) => {
            out.extend_from_slice(&v.as_i128().unwrap_or_default().to_le_bytes());
        }
        (T::Int256 | T::UInt256, v) => out.extend_from_slice(&wide(v).to_le_bytes()),
        (T::Decimal { precision, .. }, v) => {
            let bytes = wide(v).to_be_bytes();
            let width = match precision {
                0..=9 => 4,
                10..=18 => 8,
                19..=38 => 16,
                _ => 32,
            };
            sized(&bytes[32 - width..], out);
        }
        (T::DateTime64(3 | 6, _), v) => long(v.as_i128().unwrap_or_default() as i64, out),
        (T::DateTime64(..), v) => {
            sized(&(v.as_i128().unwrap_or_default() as i64).to_be_bytes(), out);
        }
        (T::Enum8(names) | T::Enum16(names), v) => {
            let n = v.as_i128().unwrap_or_default();
            let at = names.values.iter().position(|(_, own)| *own as i128 == n);
            long(at.unwrap_or_default() as i64, out);
        }
        (T::Array(item), Value::Array(items)) => {
            if !items.is_empty() {
                long(items.len() as i64, out);
            }
            items.iter().for_each(|v| value(item, v, out));
            long(0, out);
        }
        (T::Map(_, item), Value::Map(entries)) => {
            if !entries.is_empty() {
                long(entries.len() as i64, out);
            }
            for (k, v) in entries {
                sized(&key_text(k), out);
                value(item, v, out);
            }
            long(0, out);
        }
        (T::Tuple(elements), Value::Tuple(items)) => {
            let pairs = elements.iter().zip(items);
            pairs.for_each(|(e, v)| value(&e.data_type, v, out));
        }
        // Numbers below 32 bits, dates, times and addresses; 32 bits without sign become an int.
        (T::UInt32 | T::DateTime(_) | T::Ipv4, v) => {
            long(v.as_i128().unwrap_or_default() as i32 as i64, out);
        }
        (_, v) => long(v.as_i128().unwrap_or_default() as i64, out),
    }
}

/// Keys are texts in Avro; whole numbers become their digits.
fn is_key(data_type: &DataType) -> bool {
    use DataType as T;
    let inner = data_type.inner();
    matches!(inner, T::String | T::FixedString(_) | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64)
        || matches!(inner, T::Int8 | T::Int16 | T::Int32 | T::Int64)
}

fn key_text(key: &Value) -> Vec<u8> {
    match key {
        Value::String(b) => b.clone(),
        key => key.as_i128().unwrap_or_default().to_string().into_bytes(),
    }
}

fn wide(value: &Value) -> arrow_buffer::i256 {
    use arrow_buffer::i256;
    match value {
        Value::Int256(n) => *n,
        Value::UInt128(n) => i256::from_parts(*n, 0),
        Value::Decimal(n, _) => i256::from_i128(*n),
        other => i256::from_i128(other.as_i128().unwrap_or_default()),
    }
}
