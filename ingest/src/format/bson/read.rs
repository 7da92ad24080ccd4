//! BSON documents as rows. Numbers go into every type of numbers as their bits; texts, codes and object
//! ids are texts.

use arrow_buffer::i256;
use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::{self, TextError, TextResult};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{DataType, Value};

use super::super::columns::{ColumnBuilder, List, RowBuilder, Values};
use super::super::header::find_column;
use super::super::row_binary::swap_uuid;
use super::super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::super::{FormatOptions, FormatReader, InputColumn, ParseError};
use super::*;

const ILLEGAL_COLUMN: u32 = 44;

pub struct BsonLayout {
    skip_unknown: bool,
    zone: TimeZone,
}

impl BsonLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let skip_unknown = options.settings.bool("input_format_skip_unknown_fields", true);
        let layout = BsonLayout { skip_unknown, zone: options.time_zone };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }
}

#[cold]
fn broken(message: impl Into<String>) -> TextError {
    TextError::new(codes::INCORRECT_DATA, message)
}

/// A field of a document.
pub struct Field<'a> {
    pub kind: u8,
    pub name: &'a [u8],
    pub body: &'a [u8],
}

/// The bytes of the document at `at`, without its length and its end; None if it is not whole.
pub fn document(bytes: &[u8], at: usize) -> TextResult<Option<&[u8]>> {
    let Some(length) = bytes.get(at..).and_then(|b| b.first_chunk()) else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length < DOCUMENT_BYTES_MIN {
        return Err(broken(format!("Invalid document size: {length}")));
    }
    let Some(document) = bytes[at..].get(4..length) else { return Ok(None) };
    match document.split_last() {
        Some((0, fields)) => Ok(Some(fields)),
        _ => Err(broken("Wrong BSON syntax: a document does not end with 0")),
    }
}

/// The next field of a document, taken off its fields.
pub fn next_field<'a>(fields: &mut &'a [u8]) -> TextResult<Option<Field<'a>>> {
    let Some((kind, rest)) = fields.split_first() else { return Ok(None) };
    let end = memchr::memchr(0, rest).ok_or_else(|| broken("a field's name does not end"))?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    let number = |extra: usize| -> TextResult<usize> {
        let length = rest.first_chunk().ok_or_else(|| broken("a document ends within a field"))?;
        Ok((u32::from_le_bytes(*length) as usize).saturating_add(extra))
    };
    let size = match *kind {
        DOUBLE | DATE_TIME | INT64 | 0x11 => 8,
        STRING | CODE | SYMBOL => number(4)?,
        DOCUMENT | ARRAY => number(0)?,
        BINARY => number(5)?,
        OBJECT_ID => 12,
        BOOL => 1,
        NULL | 0x06 | 0x7f | 0xff => 0,
        INT32 => 4,
        // Patterns are two texts; a reference is a text and an object id; code with a scope says its length.
        0x0b => texts_length(rest, 2)?,
        0x0c => number(4 + 12)?,
        0x0f => number(0)?,
        0x13 => 16,
        other => return Err(broken(format!("Unknown BSON type: {other}"))),
    };
    let body = rest.split_at_checked(size);
    let (body, rest) = body.ok_or_else(|| broken("a document ends within a field"))?;
    *fields = rest;
    Ok(Some(Field { kind: *kind, name, body }))
}

fn texts_length(bytes: &[u8], count: usize) -> TextResult<usize> {
    let mut ends = memchr::memchr_iter(0, bytes);
    ends.nth(count - 1).map(|end| end + 1).ok_or_else(|| broken("a text does not end"))
}

/// The bytes of a text, an object id or a binary, and of a binary its kind.
pub fn text_of<'a>(field: &Field<'a>) -> TextResult<(&'a [u8], u8)> {
    let body = field.body;
    let (taken, kind) = match field.kind {
        OBJECT_ID => (Some(body), PLAIN),
        BINARY if body.get(4) == Some(&PLAIN_OLD) => (body.get(9..), PLAIN),
        BINARY => (body.get(5..), body.get(4).copied().unwrap_or(PLAIN)),
        _ => match body.split_last() {
            Some((0, text)) => (text.get(4..), PLAIN),
            _ => (None, PLAIN),
        },
    };
    taken.map(|t| (t, kind)).ok_or_else(|| broken("Wrong BSON syntax: a text does not end with 0"))
}

impl BsonLayout {
    fn document(&self, rows: &mut RowBuilder, mut fields: &[u8]) -> TextResult<()> {
        let (current, mut seen) = (rows.rows(), 0);
        while let Some(field) = next_field(&mut fields)? {
            let name = std::str::from_utf8(field.name).ok();
            let Some(c) = name.and_then(|n| find_column(rows, n)) else {
                if self.skip_unknown {
                    continue;
                }
                let name = String::from_utf8_lossy(field.name);
                return Err(broken(format!(
                    "Unknown field found while parsing BSONEachRow format: {name}"
                )));
            };
            let slot = &mut rows.slots[c];
            if slot.filled > current {
                let message = format!(
                    "Duplicate field found while parsing BSONEachRow format: {}",
                    slot.name
                );
                return Err(broken(message));
            }
            self.value(&mut slot.builder, &field, 0).map_err(|mut e| {
                e.message += &format!(": (while reading column {})", slot.name);
                e
            })?;
            slot.filled = current + 1;
            seen += 1;
            if field.kind == NULL && !slot.builder.nullable {
                rows.mark_absent(c);
            }
        }
        rows.end_row(seen);
        Ok(())
    }

    fn value(
        &self,
        builder: &mut ColumnBuilder,
        field: &Field<'_>,
        depth: usize,
    ) -> TextResult<()> {
        if depth > DEPTH_MAX {
            return Err(TextError::new(codes::TOO_DEEP_RECURSION, "a document that is too deep"));
        }
        if field.kind == NULL {
            builder.push_null();
            return Ok(());
        }
        if let (DOCUMENT | ARRAY, Values::Array(_) | Values::Map(_) | Values::Tuple(..)) =
            (field.kind, &builder.values)
        {
            let fields = document(field.body, 0)?;
            let fields = fields.ok_or_else(|| broken("a document ends within another"))?;
            return self.nested(builder, field.kind, fields, depth);
        }
        if let Some(number) = whole_number(field, &builder.values) {
            return put_number(builder, number);
        }
        let value = match (&mut builder.values, field.kind) {
            (Values::Float32(_) | Values::Float64(_), DOUBLE) => {
                Value::Float(f64::from_le_bytes(exact(field.body)?))
            }
            (Values::String(_), OBJECT_ID | STRING | CODE | SYMBOL | BINARY)
            | (Values::FixedString(..), OBJECT_ID | STRING | CODE | SYMBOL | BINARY) => {
                let (text, kind) = text_of(field)?;
                if kind != PLAIN {
                    return Err(misfit(field, builder));
                }
                if let Values::String(bytes) = &mut builder.values {
                    bytes.push(text);
                    return Ok(());
                }
                Value::String(text.to_vec())
            }
            (values, BINARY) => {
                let (bytes, kind) = text_of(field)?;
                match (values, kind) {
                    (Values::Uuid(_), UUID | UUID_OLD) => {
                        exact::<16>(bytes)?;
                        Value::String(swap_uuid(bytes).to_vec())
                    }
                    (Values::Ipv6(_), PLAIN) => Value::String(exact::<16>(bytes)?.to_vec()),
                    (Values::Int128(_), PLAIN) => Value::Int128(i128::from_le_bytes(exact(bytes)?)),
                    (Values::UInt128(_), PLAIN) => {
                        Value::UInt128(u128::from_le_bytes(exact(bytes)?))
                    }
                    (Values::Decimal128(_, _, s), PLAIN) => {
                        Value::Decimal(i128::from_le_bytes(exact(bytes)?), *s)
                    }
                    (Values::Int256(_) | Values::UInt256(_) | Values::Decimal256(..), PLAIN) => {
                        Value::Int256(i256::from_le_bytes(exact(bytes)?))
                    }
                    _ => return Err(misfit(field, builder)),
                }
            }
            _ => return Err(misfit(field, builder)),
        };
        builder.push_value(&value)
    }

    fn nested(
        &self,
        builder: &mut ColumnBuilder,
        kind: u8,
        mut fields: &[u8],
        depth: usize,
    ) -> TextResult<()> {
        match (&mut builder.values, kind) {
            (Values::Array(list), ARRAY) => {
                while let Some(field) = next_field(&mut fields)? {
                    self.value(&mut list.children[0], &field, depth + 1)?;
                    list.check_room()?;
                }
                list.end();
                Ok(())
            }
            (Values::Map(list), DOCUMENT) => {
                while let Some(field) = next_field(&mut fields)? {
                    self.key(list, field.name)?;
                    self.value(&mut list.children[1], &field, depth + 1)?;
                    list.check_room()?;
                }
                list.end();
                Ok(())
            }
            (Values::Tuple(children, rows), _) => {
                let DataType::Tuple(elements) = builder.data_type.inner() else {
                    return Err(broken("a tuple"));
                };
                let (before, mut next) = (*rows, 0);
                while let Some(field) = next_field(&mut fields)? {
                    let named = |e: &pumphouse_storage::types::TupleElement| {
                        e.name.as_ref().is_some_and(|n| n.as_bytes() == field.name)
                    };
                    let at = match kind {
                        DOCUMENT => elements.iter().position(named),
                        _ => Some(next),
                    };
                    next += 1;
                    let child = at.and_then(|at| children.get_mut(at));
                    let child = child.filter(|c| c.len() == before).ok_or_else(|| {
                        let name = String::from_utf8_lossy(field.name);
                        broken(format!("the tuple has no element {name}, or twice"))
                    })?;
                    self.value(child, &field, depth + 1)?;
                }
                if next != elements.len() {
                    return Err(broken(format!(
                        "a tuple of {next} elements, not {}",
                        elements.len()
                    )));
                }
                *rows += 1;
                Ok(())
            }
            _ => {
                let message = format!(
                    "Cannot insert BSON {} into column with type {}",
                    kind_name(kind),
                    builder.data_type
                );
                Err(TextError::new(ILLEGAL_COLUMN, message))
            }
        }
    }

    fn key(&self, list: &mut List, name: &[u8]) -> TextResult<()> {
        let builder = &mut list.children[0];
        if let Values::String(bytes) = &mut builder.values {
            bytes.push(name);
            return Ok(());
        }
        let value = text::parse_value(&builder.data_type, name, self.zone)?;
        builder.push_value(&value)
    }
}

/// A number for a column that takes such numbers.
fn whole_number(field: &Field<'_>, values: &Values) -> Option<i64> {
    use Values as V;
    let kinds: &[u8] = match values {
        V::UInt8(_) | V::Bool(_) | V::Int8(_) | V::UInt16(_) | V::Int16(_) | V::UInt32(_) => {
            &[INT32, INT64, BOOL]
        }
        V::Int32(_) | V::UInt64(_) | V::Int64(_) | V::Enum8(..) | V::Enum16(..) => {
            &[INT32, INT64, BOOL]
        }
        V::Date(_) | V::DateTime(..) => &[INT32, INT64, BOOL],
        V::Date32(_) | V::Ipv4(_) | V::Decimal32(..) => &[INT32],
        V::DateTime64(..) | V::Decimal64(..) => &[INT64, DATE_TIME],
        _ => return None,
    };
    if !kinds.contains(&field.kind) {
        return None;
    }
    match (field.kind, field.body) {
        (BOOL, [b]) => Some((*b != 0) as i64),
        (INT32, body) => body.first_chunk().map(|b| i32::from_le_bytes(*b) as i64),
        (_, body) => body.first_chunk().map(|b| i64::from_le_bytes(*b)),
    }
}

/// Appends a number's low bits.
pub fn put_number(builder: &mut ColumnBuilder, n: i64) -> TextResult<()> {
    use Values as V;
    match &mut builder.values {
        V::Bool(v) => v.push((n != 0) as u8),
        V::UInt8(v) => v.push(n as u8),
        V::Int8(v) => v.push(n as i8),
        V::UInt16(v) | V::Date(v) => v.push(n as u16),
        V::Int16(v) => v.push(n as i16),
        V::UInt32(v) | V::DateTime(v, _) | V::Ipv4(v) => v.push(n as u32),
        V::Int32(v) | V::Date32(v) | V::Decimal32(v, ..) => v.push(n as i32),
        V::UInt64(v) => v.push(n as u64),
        V::Int64(v) | V::DateTime64(v, ..) | V::Decimal64(v, ..) => v.push(n),
        V::Enum8(v, names) if names.name_of(n as i8 as i16).is_some() => v.push(n as i8),
        V::Enum16(v, names) if names.name_of(n as i16).is_some() => v.push(n as i16),
        _ => {
            let message = format!("Unexpected value {n} in enum");
            return Err(TextError::new(codes::UNKNOWN_ELEMENT_OF_ENUM, message));
        }
    }
    Ok(())
}

fn exact<const N: usize>(bytes: &[u8]) -> TextResult<[u8; N]> {
    bytes.try_into().map_err(|_| {
        let message =
            format!("Cannot parse value, size of binary data is {}, expected {N}", bytes.len());
        broken(message)
    })
}

fn misfit(field: &Field<'_>, builder: &ColumnBuilder) -> TextError {
    let kind = kind_name(field.kind);
    let message = format!("Cannot insert BSON {kind} into column with type {}", builder.data_type);
    TextError::new(ILLEGAL_COLUMN, message)
}

fn kind_name(kind: u8) -> String {
    match kind {
        DOUBLE => "Double".into(),
        STRING => "String".into(),
        DOCUMENT => "Document".into(),
        ARRAY => "Array".into(),
        BINARY => "Binary".into(),
        OBJECT_ID => "ObjectId".into(),
        BOOL => "Bool".into(),
        DATE_TIME => "Datetime".into(),
        CODE => "JavaScript code".into(),
        SYMBOL => "Symbol".into(),
        INT32 => "Int32".into(),
        INT64 => "Int64".into(),
        other => format!("type {other}"),
    }
}

impl RowLayout for BsonLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        _last: bool,
    ) -> Parsed<Option<usize>> {
        let located = |e: TextError| ParseError::at_row(e.code, &e.message, row, at);
        let Some(fields) = document(bytes, at).map_err(located)? else { return Ok(None) };
        self.document(rows, fields).map_err(located)?;
        Ok(Some(at + fields.len() + DOCUMENT_BYTES_MIN))
    }
}
