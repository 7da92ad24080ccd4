//! RowBinary to blocks, for the types whose values have a fixed width, and strings.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, make_array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use pumphouse_storage::block::{Block, Column};
use pumphouse_storage::types::{DataType, parse_data_type};

struct Reader {
    name: String,
    data_type: DataType,
    /// None: a string.
    width: Option<usize>,
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Reader {
    fn take(&mut self, bytes: &mut &[u8]) {
        let length = match self.width {
            Some(width) => width,
            None => {
                let (mut length, mut shift) = (0, 0);
                loop {
                    let byte = bytes[0];
                    *bytes = &bytes[1..];
                    length |= (byte as usize & 127) << shift;
                    shift += 7;
                    if byte < 128 {
                        break length;
                    }
                }
            }
        };
        self.bytes.extend_from_slice(&bytes[..length]);
        *bytes = &bytes[length..];
        if self.width.is_none() {
            self.offsets.push(self.bytes.len() as i32);
        }
    }

    fn finish(&mut self, rows: usize) -> (String, Column) {
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let array: ArrayRef = match (&self.data_type, self.width) {
            (DataType::FixedString(n), _) => {
                Arc::new(FixedSizeBinaryArray::new(*n as i32, bytes, None))
            }
            (_, None) => Arc::new(BinaryArray::new(
                OffsetBuffer::new(ScalarBuffer::from(offsets)),
                bytes,
                None,
            )),
            (other, _) => make_array(
                ArrayData::builder(other.arrow())
                    .len(rows)
                    .add_buffer(bytes)
                    .build()
                    .expect("words"),
            ),
        };
        (self.name.clone(), Column { data_type: self.data_type.clone(), array })
    }
}

/// All rows, in blocks of `rows_max`.
pub fn blocks(described: &[(&str, &str)], mut bytes: &[u8], rows_max: usize) -> Vec<Block> {
    let mut readers: Vec<Reader> = described
        .iter()
        .map(|(name, data_type)| {
            let data_type = parse_data_type(data_type).expect("a type");
            let width = match &data_type {
                DataType::String => None,
                DataType::FixedString(n) => Some(*n),
                other => Some(other.arrow().primitive_width().expect("a fixed width")),
            };
            Reader { name: name.to_string(), data_type, width, bytes: vec![], offsets: vec![0] }
        })
        .collect();
    let mut blocks = vec![];
    while !bytes.is_empty() {
        let mut rows = 0;
        while rows < rows_max && !bytes.is_empty() {
            readers.iter_mut().for_each(|r| r.take(&mut bytes));
            rows += 1;
        }
        blocks.push(Block::new(readers.iter_mut().map(|r| r.finish(rows)).collect()));
    }
    blocks
}
