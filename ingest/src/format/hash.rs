//! Hash: one hash of all values of a result, as 32 digits. The values of a block count column by column, so
//! that results of several blocks have a hash for each way to cut them, as in ClickHouse.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::functions::sip::SipStream;
use pumphouse_query::text::write::list_range;
use pumphouse_storage::{Block, DataType};

use super::row_binary::write_value;
use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct HashWriter {
    hash: SipStream,
}

impl HashWriter {
    pub fn boxed(_options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(HashWriter { hash: SipStream::default() }))
    }

    fn value(&mut self, data_type: &DataType, array: &dyn Array, row: usize) -> Result<()> {
        use DataType as T;
        if data_type.is_nullable() && !data_type.is_run_time() {
            let is_null = array.is_null(row);
            self.hash.update(&[is_null as u8]);
            if is_null {
                return Ok(());
            }
        }
        match data_type.inner() {
            T::String => self.sized(array.as_binary::<i32>().value(row)),
            T::Array(item) => {
                let (items, from, to) = list_range(array, row);
                self.hash.update(&((to - from) as u64).to_le_bytes());
                (from..to).try_for_each(|i| self.value(item, items, i))?;
            }
            T::Map(key, value) => {
                let (entries, from, to) = list_range(array, row);
                self.hash.update(&((to - from) as u64).to_le_bytes());
                let entries = entries.as_struct();
                for i in from..to {
                    self.value(key, entries.column(0).as_ref(), i)?;
                    self.value(value, entries.column(1).as_ref(), i)?;
                }
            }
            T::Tuple(elements) => {
                let columns = array.as_struct().columns();
                for (element, column) in elements.iter().zip(columns) {
                    self.value(&element.data_type, column.as_ref(), row)?;
                }
            }
            T::AggregateFunction { .. } | T::Variant(_) | T::Dynamic { .. } | T::Json(_) => {
                let message = format!("Type {data_type} is not supported in the format Hash");
                return Err(Error::new(codes::NOT_IMPLEMENTED, message));
            }
            T::Nothing => {}
            plain => {
                let mut bytes = vec![];
                write_value(plain, array, row, &mut bytes)?;
                self.hash.update(&bytes);
            }
        }
        Ok(())
    }

    /// A text with a zero behind it, as ClickHouse's columns held them when the format was made.
    fn sized(&mut self, text: &[u8]) {
        self.hash.update(&(text.len() as u64 + 1).to_le_bytes());
        self.hash.update(text);
        self.hash.update(&[0]);
    }
}

impl FormatWriter for HashWriter {
    fn prefix(&mut self, _schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        for column in &block.columns {
            for row in 0..block.rows() {
                self.value(&column.data_type, column.array.as_ref(), row)?;
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        for b in self.hash.finish() {
            out.extend_from_slice(format!("{b:02x}").as_bytes());
        }
        out.push(b'\n');
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
