//! Rows as BSON documents.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use pumphouse_query::error::{Error, Result};
use pumphouse_query::text::json::{JsonOptions, write_json_string};
use pumphouse_query::text::write::{list_range, write_text};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::super::row_binary::swap_uuid;
use super::super::{FormatOptions, FormatWriter, WriterStatistics};
use super::*;

const ILLEGAL_COLUMN: u32 = 44;

pub struct BsonWriter {
    /// What texts are: strings or binaries.
    as_string: bool,
    zone: TimeZone,
}

impl BsonWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let as_string = options.settings.bool("output_format_bson_string_as_string", false);
        Ok(Box::new(BsonWriter { as_string, zone: options.time_zone }))
    }

    fn field(
        &self,
        name: &[u8],
        data_type: &DataType,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        use DataType as T;
        let mut head = |kind: u8| {
            out.push(kind);
            put_name(name, out);
            out.push(0);
        };
        macro_rules! number {
            ($kind:expr, $arrow:ty, $wide:ty) => {{
                head($kind);
                let value = array.as_primitive::<$arrow>().value(row);
                out.extend_from_slice(&(value as $wide).to_le_bytes());
            }};
        }
        macro_rules! bytes {
            ($bytes:expr, $kind:expr) => {{
                head(BINARY);
                binary($bytes, $kind, out);
            }};
        }
        if array.is_null(row) {
            head(NULL);
            return Ok(());
        }
        match data_type.inner() {
            T::Nothing => head(NULL),
            T::Bool => {
                head(BOOL);
                out.push((array.as_primitive::<UInt8Type>().value(row) != 0) as u8);
            }
            T::UInt8 => number!(INT32, UInt8Type, i32),
            T::Int8 | T::Enum8(_) => number!(INT32, Int8Type, i32),
            T::UInt16 | T::Date => number!(INT32, UInt16Type, i32),
            T::Int16 | T::Enum16(_) => number!(INT32, Int16Type, i32),
            T::Int32 | T::Date32 => number!(INT32, Int32Type, i32),
            T::Ipv4 => number!(INT32, UInt32Type, i32),
            T::UInt32 | T::DateTime(_) => number!(INT64, UInt32Type, i64),
            T::UInt64 => number!(INT64, UInt64Type, i64),
            T::Int64 => number!(INT64, Int64Type, i64),
            T::DateTime64(..) => number!(DATE_TIME, Int64Type, i64),
            T::Float32 => number!(DOUBLE, Float32Type, f64),
            T::Float64 => number!(DOUBLE, Float64Type, f64),
            T::Decimal { precision: ..=9, .. } => number!(INT32, Int32Type, i32),
            T::Decimal { precision: 10..=18, .. } => number!(INT64, Int64Type, i64),
            T::Decimal { precision: 19..=38, .. } | T::Int128 | T::UInt128 => {
                bytes!(&array.as_primitive::<Decimal128Type>().value(row).to_le_bytes(), PLAIN)
            }
            T::Decimal { .. } | T::Int256 | T::UInt256 => {
                bytes!(&array.as_primitive::<Decimal256Type>().value(row).to_le_bytes(), PLAIN)
            }
            T::Uuid => bytes!(&swap_uuid(array.as_fixed_size_binary().value(row)), UUID),
            T::Ipv6 => bytes!(array.as_fixed_size_binary().value(row), PLAIN),
            T::String | T::FixedString(_) => {
                let text = match data_type.inner() {
                    T::String => array.as_binary::<i32>().value(row),
                    _ => array.as_fixed_size_binary().value(row),
                };
                if self.as_string {
                    head(STRING);
                    out.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
                    out.extend_from_slice(text);
                    out.push(0);
                } else {
                    bytes!(text, PLAIN);
                }
            }
            T::Array(item) => {
                head(ARRAY);
                let (items, from, to) = list_range(array, row);
                document(out, |out| {
                    (from..to).try_for_each(|i| {
                        self.field((i - from).to_string().as_bytes(), item, items, i, out)
                    })
                })?;
            }
            T::Map(key, value) => {
                head(DOCUMENT);
                let (entries, from, to) = list_range(array, row);
                let entries = entries.as_struct();
                let (keys, values) = (entries.column(0), entries.column(1));
                document(out, |out| {
                    (from..to).try_for_each(|i| {
                        let mut name = vec![];
                        write_text(key, keys.as_ref(), i, self.zone, &mut name);
                        self.field(&name, value, values.as_ref(), i, out)
                    })
                })?;
            }
            T::Tuple(elements) => {
                let named = elements.iter().all(|e| e.name.is_some());
                head(if named && !elements.is_empty() { DOCUMENT } else { ARRAY });
                let columns = array.as_struct().columns();
                document(out, |out| {
                    for (i, (element, column)) in elements.iter().zip(columns).enumerate() {
                        let number = (i + 1).to_string();
                        let name = element.name.as_ref().unwrap_or(&number).as_bytes();
                        self.field(name, &element.data_type, column.as_ref(), row, out)?;
                    }
                    Ok(())
                })?;
            }
            _ => {
                let message = format!("Type {data_type} is not supported in BSON output format.");
                return Err(Error::new(ILLEGAL_COLUMN, message));
            }
        }
        Ok(())
    }
}

/// Names are escaped as those of JSON, which ClickHouse does, too.
fn put_name(name: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    write_json_string(name, &JsonOptions::default(), out);
    // Without the quotes around it.
    out.pop();
    out.remove(start);
}

fn binary(bytes: &[u8], kind: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// Fields between their length and their end.
fn document(out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fields(out)?;
    out.push(0);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

impl FormatWriter for BsonWriter {
    fn prefix(&mut self, _schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            document(out, |out| {
                let mut columns = block.names.iter().zip(&block.columns);
                columns.try_for_each(|(name, column)| {
                    let array = column.array.as_ref();
                    self.field(name.as_bytes(), &column.data_type, array, row, out)
                })
            })?;
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
