//! HiveText: fields between `\x01`, elements between `\x02`, a map's keys and values around `\x03`; text
//! is not escaped. Deeper collections use the next control characters.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write::{bytes_at, list_range};
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct HiveTextWriter {
    zone: TimeZone,
    row_end: u8,
}

impl HiveTextWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let row_end = options.settings.get("format_hive_text_rows_delimiter").map(str::as_bytes);
        let row_end = match row_end {
            Some([byte]) => *byte,
            _ => b'\n',
        };
        Ok(Box::new(HiveTextWriter { zone: options.time_zone, row_end }))
    }

    /// The value at `row`; `level` is the separator of what it holds.
    fn value(&self, dt: &DataType, array: &dyn Array, row: usize, level: u8, out: &mut Vec<u8>) {
        if array.is_null(row) {
            out.extend_from_slice(b"\\N");
            return;
        }
        match dt.inner() {
            DataType::Array(element) => {
                let (values, from, to) = list_range(array, row);
                for at in from..to {
                    if at > from {
                        out.push(level);
                    }
                    self.value(element, values, at, level + 1, out);
                }
            }
            DataType::Tuple(elements) => {
                let arrays = array.as_struct();
                for (i, (element, array)) in elements.iter().zip(arrays.columns()).enumerate() {
                    if i > 0 {
                        out.push(level);
                    }
                    self.value(&element.data_type, array.as_ref(), row, level + 1, out);
                }
            }
            DataType::Map(key, value) => {
                let (entries, from, to) = list_range(array, row);
                let entries = entries.as_struct();
                let (keys, values) = (entries.column(0), entries.column(1));
                for at in from..to {
                    if at > from {
                        out.push(level);
                    }
                    self.value(key, keys.as_ref(), at, level + 2, out);
                    out.push(level + 1);
                    self.value(value, values.as_ref(), at, level + 2, out);
                }
            }
            dt @ (DataType::String | DataType::FixedString(_)) => {
                out.extend_from_slice(bytes_at(dt, array, row));
            }
            dt => write_text(dt, array, row, self.zone, out),
        }
    }
}

/// Types that Hive has no text of.
fn check(dt: &DataType) -> Result<()> {
    match dt.inner() {
        DataType::Array(element) => check(element),
        DataType::Map(key, value) => check(key).and_then(|()| check(value)),
        DataType::Tuple(elements) => elements.iter().try_for_each(|e| check(&e.data_type)),
        DataType::Uuid
        | DataType::Ipv4
        | DataType::Ipv6
        | DataType::FixedString(_)
        | DataType::Int128
        | DataType::UInt128
        | DataType::Int256
        | DataType::UInt256
        | DataType::Variant(_)
        | DataType::Dynamic { .. }
        | DataType::Json(_) => {
            let message = format!("Type {dt} is not supported by the HiveText output format");
            Err(Error::new(codes::NOT_IMPLEMENTED, message))
        }
        _ => Ok(()),
    }
}

impl FormatWriter for HiveTextWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        schema.iter().try_for_each(|(_, dt)| check(dt))
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            for (i, column) in block.columns.iter().enumerate() {
                if i > 0 {
                    out.push(1);
                }
                self.value(&column.data_type, column.array.as_ref(), row, 2, out);
            }
            out.push(self.row_end);
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
