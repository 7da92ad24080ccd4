//! Reading and building columns of bytes: String, FixedString and constants behind one accessor, and
//! a builder that appends rows to one buffer.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType as ArrowType;

use crate::error::{Error, Result, codes};

/// Rows of bytes.
#[derive(Clone, Copy)]
pub(super) enum Strings<'a> {
    /// Row `i` is `bytes[offsets[i]..offsets[i + 1]]`.
    Variable {
        offsets: &'a [i32],
        bytes: &'a [u8],
    },
    Fixed {
        width: usize,
        bytes: &'a [u8],
    },
    /// The same for every row.
    One(&'a [u8]),
}

impl<'a> Strings<'a> {
    /// The rows of an array of Binary or FixedSizeBinary.
    pub fn of(array: &'a dyn Array) -> Result<Strings<'a>> {
        match array.data_type() {
            ArrowType::Binary => {
                let array = array.as_binary::<i32>();
                Ok(Strings::Variable { offsets: array.value_offsets(), bytes: array.value_data() })
            }
            ArrowType::FixedSizeBinary(width) => {
                let array = array.as_fixed_size_binary();
                Ok(Strings::Fixed { width: *width as usize, bytes: array.value_data() })
            }
            other => {
                Err(Error::new(codes::ILLEGAL_COLUMN, format!("expected strings, found {other}")))
            }
        }
    }

    #[inline(always)]
    pub fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Strings::Variable { offsets, bytes } => {
                &bytes[offsets[row] as usize..offsets[row + 1] as usize]
            }
            Strings::Fixed { width, bytes } => &bytes[row * width..(row + 1) * width],
            Strings::One(bytes) => bytes,
        }
    }

    /// Bytes of the first `rows` rows together, for sizing buffers.
    pub fn total(&self, rows: usize) -> usize {
        match self {
            Strings::Variable { offsets, .. } => (offsets[rows] - offsets[0]) as usize,
            Strings::Fixed { width, .. } => width * rows,
            Strings::One(bytes) => bytes.len() * rows,
        }
    }
}

/// Appends rows of bytes to one buffer.
pub(super) struct StringsBuilder {
    offsets: Vec<i32>,
    pub bytes: Vec<u8>,
    overflow: bool,
}

impl StringsBuilder {
    pub fn with_capacity(rows: usize, bytes: usize) -> StringsBuilder {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        StringsBuilder { offsets, bytes: Vec::with_capacity(bytes), overflow: false }
    }

    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end_row();
    }

    /// Ends a row whose bytes were appended to `bytes`.
    #[inline]
    pub fn end_row(&mut self) {
        match i32::try_from(self.bytes.len()) {
            Ok(end) => self.offsets.push(end),
            Err(_) => {
                // Checked once, in `finish`: rows keep their count and memory stays bounded.
                self.overflow = true;
                let last = self.offsets[self.offsets.len() - 1];
                self.bytes.truncate(last as usize);
                self.offsets.push(last);
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The array; fails when the rows passed 2 GiB.
    pub fn finish(self) -> Result<ArrayRef> {
        self.finish_with_nulls(None)
    }

    pub fn finish_with_nulls(self, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        if self.overflow {
            return Err(Error::new(
                codes::TOO_LARGE_STRING_SIZE,
                "the strings of one column of a block pass 2 GiB",
            ));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let array = BinaryArray::new(offsets, Buffer::from_vec(self.bytes), nulls);
        Ok(Arc::new(array))
    }
}

/// Validity bits gathered row by row; no buffer if all rows are valid.
pub(super) struct Validity {
    bits: BooleanBufferBuilder,
    any_null: bool,
}

impl Validity {
    pub fn with_capacity(rows: usize) -> Validity {
        Validity { bits: BooleanBufferBuilder::new(rows), any_null: false }
    }

    pub fn push(&mut self, valid: bool) {
        self.any_null |= !valid;
        self.bits.append(valid);
    }

    pub fn finish(mut self) -> Option<NullBuffer> {
        self.any_null.then(|| NullBuffer::new(self.bits.finish()))
    }
}
