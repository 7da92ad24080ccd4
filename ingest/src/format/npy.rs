//! Npy, NumPy's file of one array: a text that says type and shape, then the values as they lie.
//!
//! The first dimension are the rows, the others nested arrays of one length each. Only numbers and texts;
//! the shape is known at the end only, so that a result is held until then (within the bound of readers).

use arrow_array::Array;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write::{bytes_at, list_range};
use pumphouse_query::text::{TextError, TextResult};
use pumphouse_storage::{Block, DataType, Value};

use super::columns::{BUFFERED_BYTES_MAX, ColumnBuilder, RowBuilder, Values};
use super::row_binary::write_value;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics};

const MAGIC: &[u8] = b"\x93NUMPY";
const ILLEGAL_COLUMN: u32 = 44;
const UNKNOWN_TYPE: u32 = 50;
const TOO_LARGE_STRING_SIZE: u32 = 131;
/// The head is filled up to a multiple of this.
const HEAD_ALIGNMENT: usize = 64;
/// Bytes of a head, and dimensions of a shape, at most.
const HEAD_BYTES_MAX: usize = 1 << 20;
const DIMENSIONS_MAX: usize = 32;
/// Rows without bytes that a file may say it has.
const EMPTY_ROWS_MAX: u64 = 1 << 20;

pub struct NpyWriter {
    item: Option<DataType>,
    /// Dimensions behind the first, once a row told them.
    shape: Vec<usize>,
    depth: usize,
    rows: u64,
    numbers: Vec<u8>,
    /// Texts, and their ends.
    ends: Vec<usize>,
    widest: usize,
}

impl NpyWriter {
    pub fn boxed(_options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(NpyWriter {
            item: None,
            shape: vec![],
            depth: 0,
            rows: 0,
            numbers: vec![],
            ends: vec![],
            widest: 0,
        }))
    }

    /// Appends a row's values; its arrays must have the lengths of those before.
    fn put(
        &mut self,
        data_type: &DataType,
        array: &dyn Array,
        row: usize,
        depth: usize,
    ) -> Result<()> {
        if let DataType::Array(item) = data_type {
            let (items, from, to) = list_range(array, row);
            match self.shape.get(depth) {
                None => self.shape.push(to - from),
                Some(length) if *length == to - from => {}
                Some(_) => {
                    let message = "ClickHouse doesn't support object types, cannot format ragged \
                                   nested sequences (which is a list of arrays with different shapes)";
                    return Err(Error::new(ILLEGAL_COLUMN, message));
                }
            }
            if to == from {
                let message = "The shape is invalid, as dimension size cannot be 0.";
                return Err(Error::new(ILLEGAL_COLUMN, message));
            }
            return (from..to).try_for_each(|i| self.put(item, items, i, depth + 1));
        }
        match data_type {
            DataType::String | DataType::FixedString(_) => {
                let text = bytes_at(data_type, array, row);
                self.numbers.extend_from_slice(text);
                self.ends.push(self.numbers.len());
                self.widest = self.widest.max(text.len());
            }
            other => write_value(other, array, row, &mut self.numbers)?,
        }
        if self.numbers.len() > BUFFERED_BYTES_MAX {
            let message = format!("an Npy array of more than {BUFFERED_BYTES_MAX} bytes");
            return Err(Error::new(codes::MEMORY_LIMIT_EXCEEDED, message));
        }
        Ok(())
    }
}

/// NumPy's name of a type that it has.
fn descriptor(data_type: &DataType, widest: usize) -> Option<String> {
    use DataType as T;
    Some(match data_type {
        T::Bool | T::UInt8 => "<u1".into(),
        T::UInt16 => "<u2".into(),
        T::UInt32 => "<u4".into(),
        T::UInt64 => "<u8".into(),
        T::Int8 => "<i1".into(),
        T::Int16 => "<i2".into(),
        T::Int32 => "<i4".into(),
        T::Int64 => "<i8".into(),
        T::Float32 => "<f4".into(),
        T::Float64 => "<f8".into(),
        T::FixedString(n) => format!("|S{n}"),
        T::String => format!("|S{widest}"),
        _ => return None,
    })
}

/// The type inside of arrays, and how deep it lies.
fn innermost(data_type: &DataType) -> (&DataType, usize) {
    let (mut item, mut depth) = (data_type, 0);
    while let DataType::Array(inner) = item {
        (item, depth) = (inner, depth + 1);
    }
    (item, depth)
}

impl FormatWriter for NpyWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        let [(_, data_type)] = schema else {
            let message =
                format!("Expected single column for Npy output format, got {}", schema.len());
            return Err(Error::new(161, message));
        };
        let (item, depth) = innermost(data_type);
        if descriptor(item, 0).is_none() {
            let message = format!("Type {item} is not supported for Npy output format");
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        (self.item, self.depth) = (Some(item.clone()), depth);
        Ok(())
    }

    fn block(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        let [column] = &block.columns[..] else { return Ok(()) };
        for row in 0..block.rows() {
            self.put(&column.data_type, column.array.as_ref(), row, 0)?;
        }
        self.rows += block.rows() as u64;
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        let Some(item) = &self.item else { return Ok(()) };
        let width = match item {
            DataType::FixedString(n) => *n,
            _ => self.widest,
        };
        let texts = self.ends.len().saturating_mul(width);
        if texts > BUFFERED_BYTES_MAX {
            let message = format!("an Npy array of more than {BUFFERED_BYTES_MAX} bytes");
            return Err(Error::new(codes::MEMORY_LIMIT_EXCEEDED, message));
        }
        let mut shape = format!("{},", self.rows);
        (0..self.depth).filter_map(|i| self.shape.get(i)).for_each(|n| shape += &format!("{n},"));
        let descriptor = descriptor(item, self.widest).unwrap_or_default();
        let mut head =
            format!("{{'descr':'{descriptor}','fortran_order':False,'shape':({shape}),}}");
        let fixed = MAGIC.len() + 2 + 4;
        let whole = (fixed + head.len() + 1).next_multiple_of(HEAD_ALIGNMENT);
        head += &" ".repeat(whole - fixed - head.len() - 1);
        head.push('\n');
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[3, 0]);
        out.extend_from_slice(&(head.len() as u32).to_le_bytes());
        out.extend_from_slice(head.as_bytes());
        if !matches!(item, DataType::String | DataType::FixedString(_)) {
            out.append(&mut self.numbers);
            return Ok(());
        }
        let mut from = 0;
        for end in &self.ends {
            let start = out.len();
            out.extend_from_slice(&self.numbers[from..*end]);
            out.resize(start + width, 0);
            from = *end;
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}

/// What NumPy's types are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    Unsigned,
    Float,
    Bytes,
    /// Characters of four bytes.
    Unicode,
}

/// What the head of a file says.
#[derive(Debug, Clone)]
struct Head {
    kind: Kind,
    /// Bytes of an item.
    width: usize,
    big_endian: bool,
    shape: Vec<u64>,
    /// Where the values begin.
    data: usize,
}

fn bad(message: impl Into<String>) -> ParseError {
    ParseError { code: codes::INCORRECT_DATA, message: message.into() }
}

/// Reads the head at the beginning of `bytes`; None if it is not whole.
fn read_head(bytes: &[u8]) -> Parsed<Option<Head>> {
    let seen = bytes.len().min(MAGIC.len());
    if bytes[..seen] != MAGIC[..seen] {
        return Err(bad("Invalid magic string, expected '\\x93NUMPY'"));
    }
    let Some(version) = bytes.get(MAGIC.len()) else { return Ok(None) };
    let (from, length) = match version {
        1 => match bytes.get(8..10).and_then(|b| b.first_chunk()) {
            Some(b) => (10, u16::from_le_bytes(*b) as usize),
            None => return Ok(None),
        },
        2 | 3 => match bytes.get(8..12).and_then(|b| b.first_chunk()) {
            Some(b) => (12, u32::from_le_bytes(*b) as usize),
            None => return Ok(None),
        },
        other => return Err(bad(format!("unknown version {other} of Npy"))),
    };
    if length > HEAD_BYTES_MAX {
        return Err(bad(format!("an Npy head of {length} bytes")));
    }
    let Some(text) = bytes.get(from..from + length) else { return Ok(None) };
    let text = std::str::from_utf8(text).map_err(|_| bad("an Npy head that is no text"))?;
    let value = |key: &str| {
        let at = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|k| text.find(k));
        let rest = at.and_then(|at| text[at + key.len() + 2..].trim_start().strip_prefix(':'));
        rest.map(str::trim_start).ok_or_else(|| bad(format!("the Npy head does not say '{key}'")))
    };
    if value("fortran_order")?.starts_with("True") {
        return Err(bad("Fortran order is not supported."));
    }
    let quoted = value("descr")?;
    let quote = quoted.chars().next().filter(|q| matches!(q, '\'' | '"'));
    let descr = quote.and_then(|q| quoted[1..].split_once(q)).map(|(descr, _)| descr);
    let descr = descr.ok_or_else(|| bad("the Npy head says no plain type"))?;
    let (kind, width, big_endian) = item_of(descr)?;
    let inside = value("shape")?.strip_prefix('(').and_then(|s| s.split_once(')'));
    let (inside, _) = inside.ok_or_else(|| bad("the Npy head says no shape"))?;
    let mut shape = vec![];
    for part in inside.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        shape.push(part.parse().map_err(|_| bad(format!("'{part}' is no length")))?);
    }
    if shape.is_empty() || shape.len() > DIMENSIONS_MAX {
        let message = format!("Npy shape must have at least one dimension, got: ({inside})");
        return Err(bad(message));
    }
    Ok(Some(Head { kind, width, big_endian, shape, data: from + length }))
}

/// Kind, width and byte order of a type's name.
fn item_of(descr: &str) -> Parsed<(Kind, usize, bool)> {
    let unknown = || ParseError {
        code: codes::BAD_ARGUMENTS,
        message: format!("ClickHouse doesn't support numpy type '{descr}'"),
    };
    let order = descr.chars().next().filter(|c| "<>|=".contains(*c)).ok_or_else(unknown)?;
    let kind = match descr.as_bytes().get(1) {
        Some(b'i') => Kind::Signed,
        Some(b'u' | b'b') => Kind::Unsigned,
        Some(b'f') => Kind::Float,
        Some(b'S') => Kind::Bytes,
        Some(b'U') => Kind::Unicode,
        _ => return Err(unknown()),
    };
    let count: usize = descr.get(2..).and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
    let width = match (kind, count) {
        (Kind::Unicode, n) => n.saturating_mul(4),
        (Kind::Bytes, n) | (Kind::Float, n @ (2 | 4 | 8)) => n,
        (Kind::Signed | Kind::Unsigned, n @ (1 | 2 | 4 | 8)) => n,
        _ => return Err(unknown()),
    };
    if width > super::ROW_BYTES_MAX {
        return Err(unknown());
    }
    Ok((kind, width, order == '>'))
}

impl Head {
    /// Our type of an item.
    fn item(&self) -> DataType {
        use DataType as T;
        match (self.kind, self.width) {
            (Kind::Signed, 1) => T::Int8,
            (Kind::Signed, 2) => T::Int16,
            (Kind::Signed, 4) => T::Int32,
            (Kind::Signed, _) => T::Int64,
            (Kind::Unsigned, 1) => T::UInt8,
            (Kind::Unsigned, 2) => T::UInt16,
            (Kind::Unsigned, 4) => T::UInt32,
            (Kind::Unsigned, _) => T::UInt64,
            (Kind::Float, 8) => T::Float64,
            (Kind::Float, _) => T::Float32,
            (Kind::Bytes | Kind::Unicode, _) => T::String,
        }
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> Parsed<usize> {
        let items = self.shape[1..].iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let bytes = items.and_then(|n| n.checked_mul(self.width as u64));
        let bytes = bytes.filter(|n| *n <= super::ROW_BYTES_MAX as u64);
        bytes.map(|n| n as usize).ok_or_else(|| bad("a row of an Npy array is too long"))
    }
}

/// The one column that a file has.
pub fn infer(bytes: &[u8]) -> Result<Vec<InputColumn>> {
    let failed = |e: ParseError| {
        let why = format!(
            "The table structure cannot be extracted from a Npy format file: {}",
            e.message
        );
        Error::new(636, why)
    };
    let head = read_head(bytes).map_err(failed)?;
    let head = head.ok_or_else(|| failed(bad("the file ends within its head")))?;
    let data_type = (1..head.shape.len()).fold(head.item(), |item, _| DataType::array(item));
    Ok(vec![InputColumn { name: "array".into(), data_type }])
}

pub struct NpyLayout {
    head: Option<Head>,
    row_bytes: usize,
    read: u64,
}

impl NpyLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        if columns.len() != 1 {
            let message = format!(
                "Unexpected number of columns for Npy input format, expected one column, got {} columns",
                columns.len()
            );
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        let layout = NpyLayout { head: None, row_bytes: 0, read: 0 };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }
}

fn check_column(data_type: &DataType, head: &Head) -> Parsed<()> {
    use DataType as T;
    let (item, depth) = innermost(data_type);
    if depth != head.shape.len() - 1 {
        let expected = head.shape.len() - 1;
        let message =
            format!("Unexpected nesting level of column '{data_type}', expected {expected}");
        return Err(ParseError { code: codes::BAD_ARGUMENTS, message });
    }
    let fits = match item {
        T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::UInt8
        | T::UInt16
        | T::UInt32
        | T::UInt64
        | T::Bool => matches!(head.kind, Kind::Signed | Kind::Unsigned),
        T::Float32 | T::Float64 => head.kind == Kind::Float,
        T::String | T::FixedString(_) => matches!(head.kind, Kind::Bytes | Kind::Unicode),
        _ => {
            let message =
                format!("ClickHouse type {item} is not supported for import from Npy format");
            return Err(ParseError { code: UNKNOWN_TYPE, message });
        }
    };
    if fits {
        return Ok(());
    }
    let from = head.item();
    let message =
        format!("Cannot insert Numpy value with type {from} into column with type {item}");
    Err(ParseError { code: ILLEGAL_COLUMN, message })
}

impl Head {
    fn push(
        &self,
        builder: &mut ColumnBuilder,
        bytes: &mut &[u8],
        dimensions: &[u64],
    ) -> TextResult<()> {
        if let ([length, rest @ ..], Values::Array(list)) = (dimensions, &mut builder.values) {
            for _ in 0..*length {
                self.push(&mut list.children[0], bytes, rest)?;
                list.check_room()?;
            }
            list.end();
            return Ok(());
        }
        let (item, rest) = bytes.split_at_checked(self.width).unwrap_or_default();
        *bytes = rest;
        let value = self.value(item);
        if let (Values::FixedString(_, width), Value::String(text)) = (&builder.values, &value)
            && text.len() > *width
        {
            let message = "Too large string for FixedString column";
            return Err(TextError::new(TOO_LARGE_STRING_SIZE, message));
        }
        builder.push_value(&value)
    }

    fn value(&self, item: &[u8]) -> Value {
        let mut word = [0u8; 8];
        if item.len() <= 8 {
            word[..item.len()].copy_from_slice(item);
            if self.big_endian {
                word[..item.len()].reverse();
            }
        }
        let bits = u64::from_le_bytes(word);
        match self.kind {
            Kind::Unsigned => Value::UInt(bits),
            Kind::Signed => {
                let unused = 64 - 8 * self.width as u32;
                Value::Int((bits << unused) as i64 >> unused)
            }
            Kind::Float => Value::Float(match self.width {
                2 => half(bits as u16),
                4 => f32::from_bits(bits as u32) as f64,
                _ => f64::from_bits(bits),
            }),
            Kind::Bytes => Value::String(trimmed(item).to_vec()),
            Kind::Unicode => {
                let characters = item.as_chunks::<4>().0.iter().map(|c| match self.big_endian {
                    true => u32::from_be_bytes(*c),
                    false => u32::from_le_bytes(*c),
                });
                let text: String = characters
                    .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                Value::String(trimmed(text.as_bytes()).to_vec())
            }
        }
    }
}

/// Texts are filled up with zeros.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    &text[..end]
}

fn half(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10 & 31) as i32, (bits & 1023) as f64);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

impl RowLayout for NpyLayout {
    fn begin(&mut self, rows: &RowBuilder, bytes: &[u8], last: bool) -> Parsed<Option<usize>> {
        (self.head, self.read) = (None, 0);
        let Some(head) = read_head(bytes)? else { return Ok(None) };
        if let Some(slot) = rows.slots.first() {
            check_column(&slot.builder.data_type, &head)?;
        }
        self.row_bytes = head.row_bytes()?;
        if self.row_bytes == 0 && head.shape[0] > EMPTY_ROWS_MAX {
            return Err(bad("too many rows without bytes"));
        }
        let data = head.data;
        let whole = head.shape[0].saturating_mul(self.row_bytes as u64);
        if last && ((bytes.len() - data) as u64) < whole {
            return Ok(None);
        }
        self.head = Some(head);
        Ok(Some(data))
    }

    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        _last: bool,
    ) -> Parsed<Option<usize>> {
        let Some(head) = &self.head else { return Ok(None) };
        if self.read >= head.shape[0] {
            return Err(bad("an Npy array is followed by more bytes"));
        }
        let Some(mut values) = bytes.get(at..at + self.row_bytes) else { return Ok(None) };
        let filled = rows.rows() + 1;
        if let Some(slot) = rows.slots.first_mut() {
            head.push(&mut slot.builder, &mut values, &head.shape[1..]).map_err(|e| {
                let message = format!("{}: (at row {})", e.message, row + 1);
                ParseError { code: e.code, message }
            })?;
            slot.filled = filled;
        }
        rows.end_row(1);
        self.read += 1;
        Ok(Some(at + self.row_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = |text: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            read_head(&bytes)
        };
        let good = head("{'descr': '>f2', 'fortran_order': False, 'shape': (3, 4), }").unwrap();
        let good = good.unwrap();
        assert_eq!((good.kind, good.width, good.big_endian), (Kind::Float, 2, true));
        assert_eq!((good.shape, good.data), (vec![3, 4], 69));
        for bad in [
            "{'descr': '<i8', 'fortran_order': True, 'shape': (3,), }",
            "{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
            "{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1,), }",
            "{'descr': 'é', 'fortran_order': False, 'shape': (1,), }",
            "{'fortran_order': False, 'shape': (1,), }",
            "{}",
        ] {
            assert!(head(bad).is_err(), "{bad}");
        }
        assert!(read_head(b"\x93NUM").unwrap().is_none());
        assert!(read_head(b"PK").is_err());
    }

    #[test]
    fn halves() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3e00, 1.5), (0x0001, 2f64.powi(-24))]
        {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }
}
