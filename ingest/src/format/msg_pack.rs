//! MsgPack: the values of a row one after the other, without anything around rows.
//!
//! Strings are binaries; times and decimals their numbers; integers beyond 64 bits their bytes, low ones
//! first; a tuple is an array. A UUID is an extension, a text or a binary
//! (`output_format_msgpack_uuid_representation`). Left out: intervals.

use arrow_buffer::i256;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::{self, TextError, TextResult};
use pumphouse_storage::{Block, DataType, Value};

use super::columns::{ColumnBuilder, RowBuilder, Values};
use super::fields::row_error;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, WriterStatistics};

/// The extension that a UUID is.
const UUID_EXTENSION: u8 = 2;
const ILLEGAL_COLUMN: u32 = 44;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UuidAs {
    Extension,
    Text,
    Binary,
}

pub struct MsgPackWriter {
    uuid: UuidAs,
}

impl MsgPackWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let name = "output_format_msgpack_uuid_representation";
        let uuid = match options.settings.get(name).unwrap_or("ext") {
            "str" => UuidAs::Text,
            "bin" => UuidAs::Binary,
            _ => UuidAs::Extension,
        };
        Ok(Box::new(MsgPackWriter { uuid }))
    }

    fn value(&self, data_type: &DataType, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        use DataType as T;
        match (data_type.inner(), value) {
            (
                T::Interval(_)
                | T::Time
                | T::Time64(_)
                | T::BFloat16
                | T::Variant(_)
                | T::Dynamic { .. }
                | T::Json(_),
                _,
            ) => {
                return Err(Error::new(
                    ILLEGAL_COLUMN,
                    format!("Type {data_type} is not supported for MsgPack output format."),
                ));
            }
            (_, Value::Null) => out.push(0xc0),
            (T::Float32, Value::Float(v)) => {
                out.push(0xca);
                out.extend_from_slice(&(*v as f32).to_be_bytes());
            }
            (_, Value::Float(v)) => {
                out.push(0xcb);
                out.extend_from_slice(&v.to_be_bytes());
            }
            (T::Int128 | T::UInt128, Value::UInt128(n)) => binary(&n.to_le_bytes(), out),
            (T::Int128 | T::UInt128, v) => {
                binary(&v.as_i128().unwrap_or_default().to_le_bytes(), out);
            }
            (T::Int256 | T::UInt256, v) => binary(&wide(v).to_le_bytes(), out),
            (T::Decimal { precision: 39.., .. }, v) => binary(&wide(v).to_le_bytes(), out),
            (T::Decimal { precision: 19.., .. }, Value::Decimal(n, _)) => {
                binary(&n.to_le_bytes(), out);
            }
            (_, Value::Decimal(n, _)) => integer(*n, out),
            (T::DateTime64(..), v) => {
                // As its bits without sign.
                integer(v.as_i128().unwrap_or_default() as i64 as u64 as i128, out);
            }
            (T::Uuid, Value::String(bytes)) => self.uuid(bytes, out),
            (_, Value::String(bytes)) => binary(bytes, out),
            (T::Array(item), Value::Array(items)) => {
                head(items.len(), 0x90, 0xdc, out);
                items.iter().try_for_each(|v| self.value(item, v, out))?;
            }
            (T::Tuple(elements), Value::Tuple(items)) => {
                head(items.len(), 0x90, 0xdc, out);
                let mut pairs = elements.iter().zip(items);
                pairs.try_for_each(|(e, v)| self.value(&e.data_type, v, out))?;
            }
            (T::Map(key, item), Value::Map(entries)) => {
                head(entries.len(), 0x80, 0xde, out);
                for (k, v) in entries {
                    self.value(key, k, out)?;
                    self.value(item, v, out)?;
                }
            }
            (_, v) => integer(v.as_i128().unwrap_or_default(), out),
        }
        Ok(())
    }

    fn uuid(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.uuid {
            UuidAs::Extension => {
                out.extend_from_slice(&[0xd8, UUID_EXTENSION]);
                out.extend_from_slice(bytes);
            }
            UuidAs::Binary => binary(bytes, out),
            UuidAs::Text => {
                let mut text = vec![];
                text::address::write_uuid(bytes, &mut text);
                out.extend_from_slice(&[0xd9, text.len() as u8]);
                out.extend_from_slice(&text);
            }
        }
    }
}

fn wide(value: &Value) -> i256 {
    match value {
        Value::Int256(n) => *n,
        Value::UInt128(n) => i256::from_parts(*n, 0),
        other => i256::from_i128(other.as_i128().unwrap_or_default()),
    }
}

/// The shortest form of a number.
fn integer(n: i128, out: &mut Vec<u8>) {
    macro_rules! form {
        ($byte:literal, $t:ty) => {{
            out.push($byte);
            out.extend_from_slice(&(n as $t).to_be_bytes());
        }};
    }
    match n {
        -32..=127 => out.push(n as i8 as u8),
        128..=0xff => form!(0xcc, u8),
        0x100..=0xffff => form!(0xcd, u16),
        0x1_0000..=0xffff_ffff => form!(0xce, u32),
        0x1_0000_0000.. => form!(0xcf, u64),
        -0x80..=-0x21 => form!(0xd0, i8),
        -0x8000..=-0x81 => form!(0xd1, i16),
        -0x8000_0000..=-0x8001 => form!(0xd2, i32),
        _ => form!(0xd3, i64),
    }
}

fn binary(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        n @ ..=0xff => out.extend_from_slice(&[0xc4, n as u8]),
        n @ ..=0xffff => {
            out.push(0xc5);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0xc6);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// Of an array or a map: up to 15 items in the first byte, else in two or four more.
fn head(count: usize, short: u8, long: u8, out: &mut Vec<u8>) {
    match count {
        n @ ..=15 => out.push(short | n as u8),
        n @ ..=0xffff => {
            out.push(long);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(long + 1);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
    }
}

impl FormatWriter for MsgPackWriter {
    fn prefix(&mut self, _schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            for column in &block.columns {
                self.value(&column.data_type, &column.value(row), out)?;
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/x-msgpack"
    }
}

pub struct MsgPackLayout {
    zone: pumphouse_storage::types::TimeZone,
}

impl MsgPackLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let layout = MsgPackLayout { zone: options.time_zone };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }
}

impl RowLayout for MsgPackLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        _last: bool,
    ) -> Parsed<Option<usize>> {
        let mut cursor = Cursor { bytes, at, zone: self.zone };
        let filled = rows.rows() + 1;
        for c in 0..rows.slots.len() {
            let slot = &mut rows.slots[c];
            let nil = bytes.get(cursor.at) == Some(&0xc0) && !slot.builder.nullable;
            match cursor.value(&mut slot.builder) {
                Ok(true) => slot.filled = filled,
                Ok(false) => return Ok(None),
                Err(e) => {
                    let message = format!("{}: (while reading column {})", e.message, slot.name);
                    return Err(row_error(e.code, &message, bytes, cursor.at, row));
                }
            }
            if nil {
                rows.mark_absent(c);
            }
        }
        rows.end_row(rows.slots.len());
        Ok(Some(cursor.at))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    zone: pumphouse_storage::types::TimeZone,
}

/// What stands in the input.
enum Item<'a> {
    Nil,
    Integer(i128),
    Float(f64),
    Bytes(&'a [u8]),
    Extension(u8, &'a [u8]),
    Array(usize),
    Map(usize),
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A number of `width` bytes, high ones first.
    fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |n, b| n << 8 | *b as u64))
    }

    fn sized(&mut self, width: usize) -> Option<&'a [u8]> {
        let size = self.number(width)?;
        self.take(usize::try_from(size).ok()?)
    }

    fn extension(&mut self, size: usize) -> Option<Item<'a>> {
        let kind = self.number(1)? as u8;
        Some(Item::Extension(kind, self.take(size)?))
    }

    /// None where the input ends within it.
    fn item(&mut self) -> Option<Item<'a>> {
        let first = self.number(1)? as u8;
        Some(match first {
            ..=0x7f => Item::Integer(first as i128),
            0x80..=0x8f => Item::Map((first & 15) as usize),
            0x90..=0x9f => Item::Array((first & 15) as usize),
            0xa0..=0xbf => Item::Bytes(self.take((first & 31) as usize)?),
            0xc0 | 0xc1 => Item::Nil,
            0xc2 | 0xc3 => Item::Integer((first & 1) as i128),
            0xc4 | 0xd9 => Item::Bytes(self.sized(1)?),
            0xc5 | 0xda => Item::Bytes(self.sized(2)?),
            0xc6 | 0xdb => Item::Bytes(self.sized(4)?),
            0xc7..=0xc9 => {
                let size = self.number(1 << (first - 0xc7))? as usize;
                return self.extension(size);
            }
            0xca => Item::Float(f32::from_bits(self.number(4)? as u32) as f64),
            0xcb => Item::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Item::Integer(self.number(1 << (first - 0xcc))? as i128),
            0xd0 => Item::Integer(self.number(1)? as i8 as i128),
            0xd1 => Item::Integer(self.number(2)? as i16 as i128),
            0xd2 => Item::Integer(self.number(4)? as i32 as i128),
            0xd3 => Item::Integer(self.number(8)? as i64 as i128),
            0xd4..=0xd8 => return self.extension(1 << (first - 0xd4)),
            0xdc => Item::Array(self.number(2)? as usize),
            0xdd => Item::Array(self.number(4)? as usize),
            0xde => Item::Map(self.number(2)? as usize),
            0xdf => Item::Map(self.number(4)? as usize),
            0xe0.. => Item::Integer(first as i8 as i128),
        })
    }

    /// Appends the next value; false where the input ends within it.
    fn value(&mut self, builder: &mut ColumnBuilder) -> TextResult<bool> {
        let Some(item) = self.item() else { return Ok(false) };
        let value = match (&mut builder.values, item) {
            (_, Item::Nil) => Value::Null,
            (Values::Array(list), Item::Array(count)) => {
                for _ in 0..count {
                    if !self.value(&mut list.children[0])? {
                        return Ok(false);
                    }
                    list.check_room()?;
                }
                list.end();
                return Ok(true);
            }
            (Values::Map(list), Item::Map(count)) => {
                for i in 0..count.saturating_mul(2) {
                    if !self.value(&mut list.children[i % 2])? {
                        return Ok(false);
                    }
                    list.check_room()?;
                }
                list.end();
                return Ok(true);
            }
            (Values::Tuple(children, rows), Item::Array(count)) if children.len() == count => {
                for child in children {
                    if !self.value(child)? {
                        return Ok(false);
                    }
                }
                *rows += 1;
                return Ok(true);
            }
            (Values::Decimal32(_, _, s) | Values::Decimal64(_, _, s), Item::Integer(n)) => {
                Value::Decimal(n, *s)
            }
            (Values::Decimal128(_, _, s), Item::Bytes(b)) => {
                Value::Decimal(i128::from_le_bytes(exact(b)?), *s)
            }
            (Values::UInt128(_), Item::Bytes(b)) => Value::UInt128(u128::from_le_bytes(exact(b)?)),
            (Values::Int128(_), Item::Bytes(b)) => Value::Int128(i128::from_le_bytes(exact(b)?)),
            (Values::UInt256(_) | Values::Int256(_) | Values::Decimal256(..), Item::Bytes(b)) => {
                Value::Int256(i256::from_le_bytes(exact(b)?))
            }
            (Values::Uuid(_), Item::Extension(UUID_EXTENSION, b)) => Value::String(b.to_vec()),
            (Values::Uuid(_) | Values::Ipv6(_), Item::Bytes(b)) if b.len() == 16 => {
                Value::String(b.to_vec())
            }
            (Values::Uuid(_), Item::Bytes(b)) => text::parse_value(&DataType::Uuid, b, self.zone)?,
            (Values::String(bytes), Item::Bytes(b)) => {
                bytes.push(b);
                return Ok(true);
            }
            (Values::FixedString(..), Item::Bytes(b)) => Value::String(b.to_vec()),
            (Values::Enum8(..) | Values::Enum16(..), Item::Bytes(b)) => {
                text::parse_value(&builder.data_type, b, self.zone)?
            }
            (Values::Float32(_) | Values::Float64(_), Item::Float(f)) => Value::Float(f),
            (values, Item::Integer(n)) if !is_texts(values) => number(n),
            _ => {
                let message = format!(
                    "Cannot insert MessagePack value into column with type {}.",
                    builder.data_type
                );
                return Err(TextError::new(ILLEGAL_COLUMN, message));
            }
        };
        builder.push_value(&value).map(|()| true)
    }
}

/// Types that no number is put into.
fn is_texts(values: &Values) -> bool {
    use Values::*;
    matches!(
        values,
        String(_)
            | FixedString(..)
            | Uuid(_)
            | Ipv6(_)
            | Float32(_)
            | Float64(_)
            | Decimal128(..)
            | Decimal256(..)
            | Array(_)
            | Map(_)
            | Tuple(..)
    )
}

fn number(n: i128) -> Value {
    match u64::try_from(n) {
        Ok(n) => Value::UInt(n),
        Err(_) => Value::Int128(n),
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> TextResult<[u8; N]> {
    bytes.try_into().map_err(|_| {
        let message = format!("Unexpected size of a number: {} bytes, not {N}", bytes.len());
        TextError::new(codes::INCORRECT_DATA, message)
    })
}

#[cfg(test)]
mod tests {
    use pumphouse_query::context::Settings;
    use pumphouse_storage::Column;
    use pumphouse_storage::types::{TimeZone, parse_data_type};

    use super::*;

    /// Values and the bytes that ClickHouse writes for them.
    const WRITTEN: &[(&str, &str, &str)] = &[
        ("UInt64", "200", "cc c8"),
        ("Int64", "-200", "d1 ff 38"),
        ("Int64", "-1", "ff"),
        ("UInt32", "70000", "ce 00 01 11 70"),
        ("Int64", "-5000000000", "d3 ff ff ff fe d5 fa 0e 00"),
        ("FixedString(3)", "ab", "c4 03 61 62 00"),
        ("Float32", "1.5", "ca 3f c0 00 00"),
        ("Map(String, UInt8)", "{'a':1}", "81 c4 01 61 01"),
        ("Tuple(UInt8, String)", "(1,'x')", "92 01 c4 01 78"),
        ("Date", "2024-01-02", "cd 4d 0c"),
        ("Date32", "1960-01-01", "d1 f1 bb"),
        ("DateTime64(3, 'UTC')", "2024-01-02 03:04:05.678", "cf 00 00 01 8c c8 20 db 2e"),
        ("Decimal(18, 2)", "-1.25", "d0 83"),
        ("Decimal(38, 2)", "1.25", "c4 10 7d 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"),
        (
            "UUID",
            "00112233-4455-6677-8899-aabbccddeeff",
            "d8 02 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff",
        ),
        ("Int128", "5", "c4 10 05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"),
    ];

    #[test]
    fn bytes_are_those_of_clickhouse_and_read_back() {
        let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
        for (name, text, wanted) in WRITTEN {
            let data_type = parse_data_type(name).unwrap();
            let value = text::parse_value(&data_type, text.as_bytes(), TimeZone::UTC).unwrap();
            let column =
                Column::from_values(data_type.clone(), std::slice::from_ref(&value)).unwrap();
            let mut out = vec![];
            let mut writer = MsgPackWriter::boxed(&options).unwrap();
            writer.block(&Block::new(vec![("c".into(), column)]), &mut out).unwrap();
            let shown: Vec<String> = out.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(shown.join(" "), *wanted, "{name}");
            let columns = [InputColumn { name: "c".into(), data_type }];
            let mut reader = MsgPackLayout::boxed(&columns, &options).unwrap();
            assert_eq!(reader.read_message(&out), Ok(1), "{name}");
            assert_eq!(reader.take().unwrap().columns[0].value(0), value, "{name}");
            assert!(reader.read_message(&out[..out.len() - 1]).is_err() || out.len() == 1);
        }
    }
}
