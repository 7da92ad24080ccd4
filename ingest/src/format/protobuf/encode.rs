//! Rows to messages, as a plan says: fields in the order of their numbers, zeros left out where the schema
//! cannot tell them from nothing.

use pumphouse_query::error::{Error, Result};
use pumphouse_query::text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType, Value};

use super::BAD_CAST;
use super::decode::wire_of;
use super::plan::{Action, Entry, Level};
use super::schema::{Field, Kind};

const SIZES_DIFFER: u32 = 190;

pub struct Encoder {
    pub level: Level,
    pub types: Vec<DataType>,
    pub zone: TimeZone,
}

/// The values that a level takes, by the numbers of its columns.
struct Values<'a> {
    values: &'a [Value],
    types: &'a [DataType],
}

impl Encoder {
    /// Appends the message of one row.
    pub fn row(&self, block: &Block, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let values: Vec<Value> = block.columns.iter().map(|c| c.value(row)).collect();
        self.message(&self.level, &Values { values: &values, types: &self.types }, out)
    }

    fn message(&self, level: &Level, given: &Values<'_>, out: &mut Vec<u8>) -> Result<()> {
        level.entries.iter().try_for_each(|entry| self.entry(entry, given, out))
    }

    fn entry(&self, entry: &Entry, given: &Values<'_>, out: &mut Vec<u8>) -> Result<()> {
        let field = &entry.field;
        match &entry.action {
            Action::Value { target, .. } => {
                self.field(field, given.types[*target].inner(), &given.values[*target], out)
            }
            Action::Inside(level) => {
                let mut inner = vec![];
                self.message(level, given, &mut inner)?;
                if !inner.is_empty() {
                    sized(field.number, &inner, out);
                }
                Ok(())
            }
            Action::Items(level) => self.items(field, level, given, out),
            Action::Tuple { target, level, .. } => {
                let (data_type, value) = (given.types[*target].inner(), &given.values[*target]);
                match (data_type, value) {
                    (DataType::Array(item), Value::Array(items)) => items
                        .iter()
                        .try_for_each(|v| self.tuple(field, level, item.inner(), v, out)),
                    (data_type, value) => self.tuple(field, level, data_type, value, out),
                }
            }
            Action::Map { target, level } => {
                let DataType::Map(key, item) = given.types[*target].inner() else { return Ok(()) };
                let Value::Map(entries) = &given.values[*target] else { return Ok(()) };
                let types = [(**key).clone(), (**item).clone()];
                for (k, v) in entries {
                    let values = [k.clone(), v.clone()];
                    let mut inner = vec![];
                    self.message(level, &Values { values: &values, types: &types }, &mut inner)?;
                    sized(field.number, &inner, out);
                }
                Ok(())
            }
            Action::Wrapped { target, level } => {
                let DataType::Array(item) = given.types[*target].inner() else { return Ok(()) };
                let Value::Array(items) = &given.values[*target] else { return Ok(()) };
                let types = [(**item).clone()];
                for value in items {
                    let values = [value.clone()];
                    let mut inner = vec![];
                    self.message(level, &Values { values: &values, types: &types }, &mut inner)?;
                    sized(field.number, &inner, out);
                }
                Ok(())
            }
        }
    }

    fn tuple(
        &self,
        field: &Field,
        level: &Level,
        data_type: &DataType,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (DataType::Tuple(elements), Value::Tuple(values)) = (data_type, value) else {
            return Ok(());
        };
        let types: Vec<DataType> = elements.iter().map(|e| e.data_type.clone()).collect();
        let mut inner = vec![];
        self.message(level, &Values { values, types: &types }, &mut inner)?;
        if !inner.is_empty() || field.repeated {
            sized(field.number, &inner, out);
        }
        Ok(())
    }

    /// Columns of arrays, item by item.
    fn items(
        &self,
        field: &Field,
        level: &Level,
        given: &Values<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let length = |v: &Value| if let Value::Array(items) = v { items.len() } else { 0 };
        let lengths: Vec<usize> =
            level.columns.iter().map(|c| length(&given.values[c.target])).collect();
        let rows = lengths.first().copied().unwrap_or(0);
        if lengths.iter().any(|l| *l != rows) {
            let message = format!("Components of '{}' have different sizes", field.name);
            return Err(Error::new(SIZES_DIFFER, message));
        }
        let item_type = |t: &DataType| match t.inner() {
            DataType::Array(item) => (**item).clone(),
            other => other.clone(),
        };
        let types: Vec<DataType> = given.types.iter().map(item_type).collect();
        let mut values = vec![Value::Null; types.len()];
        for row in 0..rows {
            for column in &level.columns {
                if let Value::Array(items) = &given.values[column.target] {
                    values[column.target] = items[row].clone();
                }
            }
            let mut inner = vec![];
            self.message(level, &Values { values: &values, types: &types }, &mut inner)?;
            sized(field.number, &inner, out);
        }
        Ok(())
    }

    fn field(
        &self,
        field: &Field,
        data_type: &DataType,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (item, items) = match (data_type, value) {
            (DataType::Array(item), Value::Array(items)) => (item.inner(), items.as_slice()),
            (inner, value) => (inner, std::slice::from_ref(value)),
        };
        let present = items.iter().filter(|v| !v.is_null());
        if field.repeated && field.packed {
            let mut packed = vec![];
            for value in present {
                self.value(field, item, value, &mut packed)?;
            }
            if !packed.is_empty() {
                sized(field.number, &packed, out);
            }
            return Ok(());
        }
        for value in present {
            let mut written = vec![];
            let is_zero = self.value(field, item, value, &mut written)?;
            if is_zero && !field.repeated && !field.presence {
                continue;
            }
            varint((field.number as u64) << 3 | wire_of(&field.kind), out);
            out.extend_from_slice(&written);
        }
        Ok(())
    }

    /// Appends the value without its tag; true if it is the field's zero.
    fn value(
        &self,
        field: &Field,
        data_type: &DataType,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let refused = |kind: &str| {
            let mut shown = vec![];
            self.write(data_type, value, &mut shown);
            let shown = String::from_utf8_lossy(&shown).into_owned();
            Error::new(
                BAD_CAST,
                format!(
                    "Could not convert value '{shown}' from type {data_type} to type {kind} while \
                     writing field '{}'",
                    field.name
                ),
            )
        };
        match &field.kind {
            Kind::String | Kind::Bytes => {
                let mut written = vec![];
                self.write(data_type, value, &mut written);
                varint(written.len() as u64, out);
                out.extend_from_slice(&written);
                return Ok(written.is_empty());
            }
            Kind::Double => {
                let f = self.float(data_type, value).ok_or_else(|| refused("double"))?;
                out.extend_from_slice(&f.to_le_bytes());
                return Ok(f == 0.0);
            }
            Kind::Float => {
                let f = self.float(data_type, value).ok_or_else(|| refused("float"))? as f32;
                out.extend_from_slice(&f.to_le_bytes());
                return Ok(f == 0.0);
            }
            Kind::Enum(names) => {
                let number = match (data_type, value) {
                    (DataType::Enum8(own) | DataType::Enum16(own), v) => {
                        let n = v.as_i128().unwrap_or_default();
                        let name = own.values.iter().find(|(_, o)| *o as i128 == n);
                        name.and_then(|(name, _)| named(&names.values, name.as_bytes()))
                    }
                    (_, Value::String(text)) => named(&names.values, text),
                    (_, v) => v
                        .as_i128()
                        .and_then(|n| names.values.iter().find(|(_, o)| *o as i128 == n))
                        .map(|(_, n)| *n),
                };
                let number = number.ok_or_else(|| refused("enum"))?;
                varint(number as i64 as u64, out);
                return Ok(number == 0);
            }
            _ => {}
        }
        let n = self.whole(data_type, value).ok_or_else(|| refused("number"))?;
        match &field.kind {
            Kind::Bool => match n {
                0 | 1 => out.push(n as u8),
                _ => return Err(refused("bool")),
            },
            Kind::SInt32 | Kind::SInt64 => varint(((n << 1) ^ (n >> 63)) as u64, out),
            Kind::Fixed32 | Kind::SFixed32 => out.extend_from_slice(&(n as u32).to_le_bytes()),
            Kind::Fixed64 | Kind::SFixed64 => out.extend_from_slice(&n.to_le_bytes()),
            _ => varint(n as u64, out),
        }
        Ok(n == 0)
    }

    fn whole(&self, data_type: &DataType, value: &Value) -> Option<i64> {
        match (data_type, value) {
            (DataType::DateTime64(p, _), v) => {
                Some((v.as_i128()? as i64).div_euclid(10i64.pow(*p as u32)))
            }
            (_, Value::Decimal(n, scale)) => {
                i64::try_from(n / 10i128.checked_pow(*scale as u32)?).ok()
            }
            (_, Value::Float(f)) if f.is_finite() => Some(*f as i64),
            (_, Value::String(text)) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            // 64 bits without sign keep their bits.
            (_, v) => v.as_i128().map(|n| n as i64),
        }
    }

    fn float(&self, data_type: &DataType, value: &Value) -> Option<f64> {
        match (data_type, value) {
            (DataType::DateTime64(p, _), v) => Some(v.as_i128()? as f64 / 10f64.powi(*p as i32)),
            (_, Value::Decimal(n, scale)) => Some(*n as f64 / 10f64.powi(*scale as i32)),
            (_, Value::String(text)) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            (_, v) => v.as_f64(),
        }
    }

    /// The value as text; an IPv6 as its bytes.
    fn write(&self, data_type: &DataType, value: &Value, out: &mut Vec<u8>) {
        if let (DataType::String | DataType::FixedString(_) | DataType::Ipv6, Value::String(b)) =
            (data_type, value)
        {
            return out.extend_from_slice(b);
        }
        let one = std::slice::from_ref(value);
        if let Ok(column) = pumphouse_storage::Column::from_values(data_type.clone(), one) {
            text::write_text(data_type, column.array.as_ref(), 0, self.zone, out);
        }
    }
}

fn named(values: &[(String, i32)], name: &[u8]) -> Option<i32> {
    values.iter().find(|(own, _)| own.as_bytes() == name).map(|(_, n)| *n)
}

pub fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A field of bytes.
pub fn sized(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    varint((number as u64) << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
