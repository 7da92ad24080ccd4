//! RowBinary, with or without names and types: rows of values in ClickHouse's binary form.
//!
//! Numbers little-endian, strings and lists behind a varint length, a flag byte before Nullable. A
//! length is believed only as far as the input goes. States of aggregate functions lie as each
//! function lays them out (`states`).

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::i256;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write::{bytes_at, list_range};
use pumphouse_storage::run_time::type_code;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::cells::{self, CellColumn, Cells};
use super::columns::{ColumnBuilder, List, RowBuilder, Values};
use super::header::{FieldColumns, Header, by_names, check_types, in_order};
use super::json_each_row::full;
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::states::Layout;
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics};

mod grid;
pub(super) mod self_typed;

use grid::Grid;

pub struct RowBinaryWriter {
    header: Header,
    /// Types stand in the header by their codes, not by their names.
    types_in_binary: bool,
}

impl RowBinaryWriter {
    pub fn boxed(options: &FormatOptions, header: Header) -> Result<Box<dyn FormatWriter>> {
        let setting = "output_format_binary_encode_types_in_binary_format";
        let types_in_binary = options.settings.bool(setting, false);
        Ok(Box::new(RowBinaryWriter { header, types_in_binary }))
    }
}

pub(super) fn write_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A UUID's two halves are little-endian numbers each; the same turns it back.
pub(super) fn swap_uuid(bytes: &[u8]) -> [u8; 16] {
    let mut swapped = [0; 16];
    swapped.copy_from_slice(bytes);
    swapped[..8].reverse();
    swapped[8..].reverse();
    swapped
}

pub(super) fn write_value(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    use DataType as T;
    if dt.inner().is_run_time() {
        return self_typed::write_value(dt, array, row, out);
    }
    if dt.is_nullable() {
        out.push(array.is_null(row) as u8);
        if array.is_null(row) {
            return Ok(());
        }
    }
    macro_rules! number {
        ($t:ty) => {
            out.extend_from_slice(&array.as_primitive::<$t>().value(row).to_le_bytes())
        };
    }
    match dt.inner() {
        T::Nothing | T::UInt8 | T::Bool => number!(UInt8Type),
        T::UInt16 | T::Date => number!(UInt16Type),
        T::UInt32 | T::DateTime(_) | T::Ipv4 => number!(UInt32Type),
        T::UInt64 => number!(UInt64Type),
        T::Int8 | T::Enum8(_) => number!(Int8Type),
        T::Int16 | T::Enum16(_) => number!(Int16Type),
        T::Int32 | T::Date32 | T::Time => number!(Int32Type),
        T::Int64 | T::DateTime64(..) | T::Interval(_) | T::Time64(_) => number!(Int64Type),
        T::Float32 => number!(Float32Type),
        T::Float64 => number!(Float64Type),
        T::BFloat16 => {
            let bits = array.as_primitive::<Float32Type>().value(row).to_bits();
            out.extend_from_slice(&((bits >> 16) as u16).to_le_bytes());
        }
        T::UInt128 | T::Int128 => number!(Decimal128Type),
        T::UInt256 | T::Int256 => number!(Decimal256Type),
        T::Decimal { precision, .. } => match precision {
            0..=9 => number!(Int32Type),
            10..=18 => number!(Int64Type),
            19..=38 => number!(Decimal128Type),
            _ => number!(Decimal256Type),
        },
        dt @ T::String => write_bytes(bytes_at(dt, array, row), out),
        dt @ T::FixedString(_) => out.extend_from_slice(bytes_at(dt, array, row)),
        T::Ipv6 => out.extend_from_slice(array.as_fixed_size_binary().value(row)),
        T::Uuid => out.extend_from_slice(&swap_uuid(array.as_fixed_size_binary().value(row))),
        T::Array(item) => {
            let (items, from, to) = list_range(array, row);
            write_varint((to - from) as u64, out);
            for i in from..to {
                write_value(item, items, i, out)?;
            }
        }
        T::Map(key, value) => {
            let (entries, from, to) = list_range(array, row);
            let entries = entries.as_struct();
            write_varint((to - from) as u64, out);
            for i in from..to {
                write_value(key, entries.column(0).as_ref(), i, out)?;
                write_value(value, entries.column(1).as_ref(), i, out)?;
            }
        }
        T::Tuple(elements) => {
            let fields = array.as_struct();
            for (i, e) in elements.iter().enumerate() {
                write_value(&e.data_type, fields.column(i).as_ref(), row, out)?;
            }
        }
        dt @ T::AggregateFunction { .. } => {
            Layout::of(dt, "RowBinary")?.write(array.as_binary::<i32>().value(row), out)?
        }
        other => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("RowBinary does not carry values of type {other}"),
            ));
        }
    }
    Ok(())
}

/// A value that is not NULL, behind its flag; or, where types are rare, with it.
#[inline(always)]
fn write_cell(column: &CellColumn<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
    match &column.cells {
        Cells::UInt8(v) => out.push(v[row]),
        Cells::UInt16(v) | Cells::Date(v, _) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::UInt32(v) | Cells::DateTime(v, ..) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::UInt64(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::Int8(v) => out.push(v[row] as u8),
        Cells::Int16(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::Int32(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::Int64(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::Float32(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::Float64(v) => out.extend_from_slice(&v[row].to_le_bytes()),
        Cells::String(strings) => {
            write_varint(strings.length(row) as u64, out);
            strings.put(row, out);
        }
        Cells::Other => {
            let column = column.column;
            write_value(&column.data_type, column.array.as_ref(), row, out)?;
        }
    }
    Ok(())
}

impl FormatWriter for RowBinaryWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        if self.header >= Header::Names {
            write_varint(schema.len() as u64, out);
            schema.iter().for_each(|(name, _)| write_bytes(name.as_bytes(), out));
        }
        if self.header == Header::NamesAndTypes {
            for (_, dt) in schema {
                match self.types_in_binary {
                    true => type_code::put(dt, out),
                    false => write_bytes(dt.to_string().as_bytes(), out),
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        let columns = cells::of_block(block, TimeZone::UTC);
        let flags: Vec<bool> = block.columns.iter().map(|c| c.data_type.is_nullable()).collect();
        for row in 0..block.rows() {
            for (cells, nullable) in columns.iter().zip(&flags) {
                if *nullable && !matches!(cells.cells, Cells::Other) {
                    out.push(cells.is_null(row) as u8);
                    if cells.is_null(row) {
                        continue;
                    }
                }
                write_cell(cells, row, out)?;
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}

pub struct RowBinaryReader {
    rows: RowBuilder,
    header: Header,
    /// A flag before each value says that it is the column's default and does not follow.
    defaults: bool,
    options: FormatOptions,
    fields: Option<FieldColumns>,
    /// Fields of the input that no column wants are read into these and dropped.
    unwanted: Vec<Option<ColumnBuilder>>,
    /// How rows lie, if they are plain.
    grid: Option<Grid>,
}

/// Why a value could not be read.
pub(super) enum Stop {
    /// The input ends within it.
    Cut,
    Bad(u32, String),
}

pub(super) type Read<T> = std::result::Result<T, Stop>;

/// The input and how far it is read.
pub(super) struct Source<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Source<'a> {
    #[inline]
    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Stop::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Cut)?;
        self.at = end;
        Ok(taken)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    #[inline]
    pub fn varint(&mut self) -> Read<usize> {
        if let Some(short) = self.bytes.get(self.at).filter(|b| **b < 0x80) {
            self.at += 1;
            return Ok(*short as usize);
        }
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let [b] = self.array()?;
            n |= ((b & 0x7f) as u64) << shift;
            if b < 0x80 {
                return usize::try_from(n).map_err(|_| Stop::Cut);
            }
        }
        Err(Stop::Bad(codes::INCORRECT_DATA, "a length of more than ten bytes".into()))
    }

    #[inline]
    pub fn string(&mut self) -> Read<&'a [u8]> {
        let length = self.varint()?;
        if length > super::ROW_BYTES_MAX {
            let message = format!("a string of {length} bytes is longer than a row may be");
            return Err(Stop::Bad(codes::INCORRECT_DATA, message));
        }
        self.take(length)
    }
}

/// Names and types of the header at the beginning of `bytes`; None if it is not whole.
pub(super) fn header_of(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut source = Source { bytes, at: 0 };
    let count = source.varint().ok()?;
    let mut text = || source.string().ok().map(|b| String::from_utf8_lossy(b).into_owned());
    let mut names = vec![];
    for _ in 0..count {
        names.push(text()?);
    }
    let mut header = vec![];
    for name in names {
        header.push((name, text()?));
    }
    Some(header)
}

/// Items of an array may take no bytes (empty tuples), so their number has a bound of its own.
const ITEMS_MAX: usize = 1 << 24;

fn read_value(builder: &mut ColumnBuilder, source: &mut Source) -> Read<()> {
    if let Values::SelfTyped(..) = builder.values {
        return self_typed::read_value(builder, source);
    }
    if builder.nullable {
        match source.array()? {
            [0] => {}
            [_] => {
                builder.push_null();
                return Ok(());
            }
        }
    }
    macro_rules! number {
        ($v:expr, $t:ty) => {
            $v.push(<$t>::from_le_bytes(source.array()?))
        };
    }
    fn items(list: &mut List, source: &mut Source) -> Read<()> {
        let count = source.varint()?;
        if count > ITEMS_MAX {
            let message = format!("an array of {count} items, more than {ITEMS_MAX}");
            return Err(Stop::Bad(codes::INCORRECT_DATA, message));
        }
        for _ in 0..count {
            for child in &mut list.children {
                read_value(child, source)?;
            }
            list.check_room().map_err(|e| Stop::Bad(e.code, e.message))?;
        }
        list.end();
        Ok(())
    }
    match &mut builder.values {
        Values::Nothing(v) | Values::UInt8(v) => number!(v, u8),
        Values::Bool(v) => v.push((source.array::<1>()? != [0]) as u8),
        Values::UInt16(v) | Values::Date(v) => number!(v, u16),
        Values::UInt32(v) | Values::DateTime(v, _) | Values::Ipv4(v) => number!(v, u32),
        Values::UInt64(v) => number!(v, u64),
        Values::Int8(v) => number!(v, i8),
        Values::Int16(v) => number!(v, i16),
        Values::Enum8(v, names) => {
            let number = i8::from_le_bytes(source.array()?);
            check_enum(names, number as i16)?;
            v.push(number);
        }
        Values::Enum16(v, names) => {
            let number = i16::from_le_bytes(source.array()?);
            check_enum(names, number)?;
            v.push(number);
        }
        Values::Int32(v) | Values::Date32(v) | Values::Time(v) | Values::Decimal32(v, ..) => {
            number!(v, i32)
        }
        Values::Int64(v)
        | Values::Interval(v)
        | Values::DateTime64(v, ..)
        | Values::Time64(v, _)
        | Values::Decimal64(v, ..) => number!(v, i64),
        Values::BFloat16(v) => {
            v.push(f32::from_bits((u16::from_le_bytes(source.array()?) as u32) << 16))
        }
        // Done above.
        Values::SelfTyped(..) => {}
        Values::UInt128(v) | Values::Int128(v) | Values::Decimal128(v, ..) => number!(v, i128),
        Values::UInt256(v) | Values::Int256(v) | Values::Decimal256(v, ..) => number!(v, i256),
        Values::Float32(v) => number!(v, f32),
        Values::Float64(v) => number!(v, f64),
        Values::Uuid(v) => v.extend_from_slice(&swap_uuid(source.take(16)?)),
        Values::Ipv6(v) => v.extend_from_slice(source.take(16)?),
        Values::FixedString(v, width) => v.extend_from_slice(source.take(*width)?),
        Values::String(b) if matches!(builder.data_type, DataType::AggregateFunction { .. }) => {
            let layout = Layout::of(&builder.data_type, "RowBinary")
                .map_err(|e| Stop::Bad(e.code(), e.to_string()))?;
            let mut state = vec![];
            layout.read(source, &mut state)?;
            b.push(&state);
        }
        Values::String(b) => b.push(source.string()?),
        Values::Array(list) | Values::Map(list) => items(list, source)?,
        Values::Tuple(children, rows) => {
            for child in children.iter_mut() {
                read_value(child, source)?;
            }
            *rows += 1;
        }
    }
    Ok(())
}

fn check_enum(names: &pumphouse_storage::types::EnumValues, number: i16) -> Read<()> {
    match names.name_of(number) {
        Some(_) => Ok(()),
        None => {
            let message = format!("Unexpected value {number} in enum");
            Err(Stop::Bad(codes::UNKNOWN_ELEMENT_OF_ENUM, message))
        }
    }
}

impl RowBinaryReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        header: Header,
        defaults: bool,
    ) -> Result<Box<dyn FormatReader>> {
        let texts = options.settings.bool("input_format_binary_read_json_as_string", false);
        if texts && columns.iter().any(|c| matches!(c.data_type.inner(), DataType::Json(_))) {
            let message = "input_format_binary_read_json_as_string is not supported";
            return Err(Error::new(codes::NOT_IMPLEMENTED, message));
        }
        Ok(Box::new(RowBinaryReader {
            rows: RowBuilder::new(columns, options.time_zone),
            header,
            defaults,
            options: options.clone(),
            fields: None,
            unwanted: vec![],
            grid: None,
        }))
    }

    fn read_header(&mut self, source: &mut Source) -> Read<()> {
        if self.header == Header::None {
            self.fields = Some(in_order(&self.rows));
            self.unwanted = vec![];
            return Ok(());
        }
        let count = source.varint()?;
        let strings = |source: &mut Source| -> Read<Vec<Vec<u8>>> {
            let mut texts = vec![];
            for _ in 0..count {
                texts.push(source.string()?.to_vec());
            }
            Ok(texts)
        };
        let names = strings(source)?;
        let whole = |e: ParseError| Stop::Bad(e.code, e.message);
        let fields = by_names(&self.rows, &names, &self.options).map_err(whole)?;
        self.unwanted = fields.iter().map(|_| None).collect();
        if self.header == Header::NamesAndTypes {
            let in_binary = "input_format_binary_decode_types_in_binary_format";
            let types = match self.options.settings.bool(in_binary, false) {
                true => {
                    let mut texts = vec![];
                    for _ in 0..count {
                        texts.push(self_typed::read_type(source)?.to_string().into_bytes());
                    }
                    texts
                }
                false => strings(source)?,
            };
            check_types(&self.rows, &fields, &types, &self.options).map_err(whole)?;
            for (i, text) in types.iter().enumerate().filter(|(i, _)| fields[*i].is_none()) {
                let text = String::from_utf8_lossy(text);
                let dt = pumphouse_storage::types::parse_data_type(&text)
                    .map_err(|e| Stop::Bad(codes::UNKNOWN_TYPE, e.to_string()))?;
                self.unwanted[i] = Some(ColumnBuilder::new(&dt, self.options.time_zone));
            }
        } else if let Some(i) = fields.iter().position(Option::is_none) {
            let name = String::from_utf8_lossy(&names[i]).into_owned();
            let message = format!("cannot skip field {name}: its type is not known");
            return Err(Stop::Bad(codes::INCORRECT_DATA, message));
        }
        self.fields = Some(fields);
        Ok(())
    }

    fn read_row(&mut self, source: &mut Source, fields: &FieldColumns) -> Read<()> {
        let row = self.rows.rows();
        let mut seen = 0;
        for (i, column) in fields.iter().enumerate() {
            if self.defaults && source.array()? != [0u8] {
                continue;
            }
            match column {
                Some(c) => {
                    let slot = &mut self.rows.slots[*c];
                    read_value(&mut slot.builder, source)?;
                    slot.filled = row + 1;
                    seen += 1;
                }
                None => {
                    if let Some(Some(builder)) = self.unwanted.get_mut(i) {
                        let result = read_value(builder, source);
                        builder.truncate(0);
                        result?;
                    }
                }
            }
        }
        self.rows.end_row(seen);
        Ok(())
    }

    /// Whole rows; how many bytes they took, or what is wrong and where.
    fn read_rows(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let mut source = Source { bytes, at: 0 };
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.fields.is_none() {
            match self.read_header(&mut source) {
                Ok(()) => {}
                Err(Stop::Cut) if !last => return Ok(0),
                Err(stop) => return Err(binary_error(stop, source.at, 0, "header")),
            }
        }
        let Some(fields) = self.fields.take() else { return Ok(0) };
        if self.grid.is_none() && !self.defaults && bytes.len() >= grid::INPUT_BYTES_MIN {
            self.grid = Grid::of(&self.rows, &fields);
        }
        let first = self.rows.rows();
        let mut result = Ok(());
        let mut at = source.at;
        while source.at < bytes.len() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                result = Err(full(&self.rows));
                break;
            }
            let before = self.rows.rows();
            if let Some(grid) =
                self.grid.as_mut().filter(|_| bytes.len() - at >= grid::INPUT_BYTES_MIN)
            {
                source.at += grid.read(&mut self.rows, &bytes[at..], rows_max - (before - first));
                if source.at > at {
                    at = source.at;
                    continue;
                }
            }
            match self.read_row(&mut source, &fields) {
                // Rows of no bytes at all would never end.
                Ok(()) if source.at == at => break,
                Ok(()) => at = source.at,
                Err(Stop::Cut) if !last => {
                    self.rows.rollback(before);
                    break;
                }
                Err(stop) => {
                    result = Err(binary_error(stop, source.at, before - first, "row"));
                    break;
                }
            }
        }
        self.fields = Some(fields);
        result.map(|()| at)
    }
}

#[cold]
pub(super) fn binary_error(stop: Stop, at: usize, row: usize, what: &str) -> ParseError {
    let (code, message) = match stop {
        Stop::Cut => (
            codes::CANNOT_READ_ALL_DATA,
            format!("Cannot read all data: the input ends within a {what}"),
        ),
        Stop::Bad(code, message) => (code, message),
    };
    ParseError::at_row(code, &message, row, at)
}

impl RowReader for RowBinaryReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> std::result::Result<usize, ParseError> {
        if piece.is_message() {
            (self.fields, self.grid) = (None, None);
        }
        self.read_rows(input, piece.is_last(), piece.rows_max())
    }
}
