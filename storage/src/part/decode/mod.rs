//! Nodes back to arrays: granule after granule is appended to one [`Sink`], which becomes one array.
//!
//! Rule: nothing is allocated that the block's recorded decoded size does not allow, and no bytes
//! make it panic; what the writer would not write is [`Malformed`].

mod coded;
mod few;
mod number;
pub(super) mod objects;
mod payload;
mod strings;

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::*;
use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, StructArray,
};
use arrow_buffer::bit_chunk_iterator::BitChunks;
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType as ArrowType;

pub(crate) use coded::{Aspect, Coded, Mapping, mapping, readable};

use super::encode::tag;
use super::layout::Layout;
use super::wire::{Cursor, Decoded, Malformed};
use super::word::with_word;
use crate::error::{Error, Result};

/// Reusable memory, and what may still be allocated for the block being decoded.
#[derive(Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    words: Vec<u32>,
    /// Codes of dictionaries and lengths of runs.
    narrow: Vec<u8>,
    wide: Vec<u16>,
    runs: Vec<u32>,
    budget: usize,
}

impl Scratch {
    /// Allows `bytes` for the next block.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Memory of a mapping that is no longer looked at.
    pub(crate) fn reuse(&mut self, map: Mapping) {
        match map {
            Mapping::Narrow(codes) => self.narrow = codes,
            Mapping::Wide(codes) => self.wide = codes,
            Mapping::Runs(lengths) => self.runs = lengths,
            Mapping::Rows | Mapping::Constant | Mapping::Filled(_) => {}
        }
    }

    fn spend(&mut self, bytes: usize) -> Decoded<()> {
        self.budget =
            self.budget.checked_sub(bytes).ok_or(Malformed("a block of its recorded size"))?;
        Ok(())
    }
}

/// An array being decoded.
pub(crate) struct Sink {
    rows: usize,
    nulls: Option<BooleanBufferBuilder>,
    values: Values,
}

enum Values {
    Number { width: usize, buffer: MutableBuffer },
    FixedBytes { width: usize, bytes: Vec<u8> },
    Strings(strings::StringSink),
    Objects(strings::StringSink),
    List { offsets: Vec<i32>, item: Box<Sink> },
    Struct(Vec<Sink>),
}

impl Sink {
    /// A sink with room for `rows` rows, and `bytes` of strings if it holds strings.
    pub(crate) fn new(layout: &Layout, rows: usize, bytes: usize) -> Sink {
        let values = match layout {
            // Zeroed a granule at a time, just before it is filled: then it is in the processor's cache.
            Layout::Number { width, .. } => {
                Values::Number { width: *width, buffer: MutableBuffer::with_capacity(rows * width) }
            }
            Layout::FixedBytes(width) => {
                Values::FixedBytes { width: *width, bytes: Vec::with_capacity(rows * width) }
            }
            Layout::Strings => Values::Strings(strings::StringSink::new(rows, bytes)),
            Layout::Objects { .. } => Values::Objects(strings::StringSink::new(rows, bytes)),
            Layout::List(item) => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Values::List { offsets, item: Box::new(Sink::new(item, 0, 0)) }
            }
            Layout::Struct(fields) => {
                Values::Struct(fields.iter().map(|f| Sink::new(f, rows, 0)).collect())
            }
        };
        Sink { rows: 0, nulls: None, values }
    }

    /// A sink of words of `width` bytes with room for `bytes`, for [`Sink::push_words`].
    pub(crate) fn of_words(width: usize, bytes: usize) -> Sink {
        let buffer = MutableBuffer::with_capacity(bytes);
        Sink { rows: 0, nulls: None, values: Values::Number { width, buffer } }
    }

    /// Appends `rows` words that lie in memory as they will here, or room for them, to be filled; where they are.
    /// None if the sink holds other than words, or NULLs.
    pub(crate) fn push_words(&mut self, rows: usize, words: Option<&[u8]>) -> Option<&mut [u8]> {
        let (Values::Number { width, buffer }, None) = (&mut self.values, &self.nulls) else {
            return None;
        };
        let (from, to) = (self.rows * *width, (self.rows + rows) * *width);
        buffer.truncate(from);
        match words {
            Some(words) if words.len() == to - from => buffer.extend_from_slice(words),
            Some(_) => return None,
            None => buffer.resize(to, 0),
        }
        self.rows += rows;
        Some(&mut buffer.as_slice_mut()[from..])
    }

    /// Appends a node of `rows` rows.
    pub(crate) fn append(
        &mut self,
        cursor: &mut Cursor<'_>,
        rows: usize,
        scratch: &mut Scratch,
    ) -> Decoded<()> {
        let mut tag = cursor.u8()?;
        if (tag == tag::EMPTY) != (rows == 0) {
            return Err(Malformed("rows"));
        }
        match tag {
            tag::EMPTY => return Ok(()),
            tag::ALL_NULL => {
                scratch.spend(rows.div_ceil(8))?;
                self.null_builder().append_n(rows, false);
                return self.append_defaults(rows, scratch);
            }
            tag::NULLS => {
                scratch.spend(rows.div_ceil(8))?;
                let mut bytes = std::mem::take(&mut scratch.bytes);
                let bitmap = payload::payload(cursor, rows.div_ceil(8), &mut bytes)?;
                self.null_builder().append_packed_range(0..rows, bitmap);
                scratch.bytes = bytes;
                tag = cursor.u8()?;
                self.append_values(tag, cursor, rows, scratch)?;
                self.clear_nulls(rows);
                return Ok(());
            }
            _ => {
                if let Some(nulls) = &mut self.nulls {
                    nulls.append_n(rows, true);
                }
            }
        }
        self.append_values(tag, cursor, rows, scratch)
    }

    fn null_builder(&mut self) -> &mut BooleanBufferBuilder {
        let rows = self.rows;
        self.nulls.get_or_insert_with(|| {
            let mut builder = BooleanBufferBuilder::new(rows + 8192);
            builder.append_n(rows, true);
            builder
        })
    }

    fn append_values(
        &mut self,
        tag: u8,
        cursor: &mut Cursor<'_>,
        rows: usize,
        scratch: &mut Scratch,
    ) -> Decoded<()> {
        match &mut self.values {
            Values::Number { width, buffer } => {
                scratch.spend(rows * *width)?;
                grow(buffer, (self.rows + rows) * *width);
                with_word!(*width, T => {
                    let out = &mut buffer.typed_data_mut::<T>()[self.rows..self.rows + rows];
                    number::words(tag, cursor, out, scratch, 0)?;
                });
            }
            Values::FixedBytes { width, bytes } => {
                strings::fixed(tag, cursor, rows, *width, bytes, scratch)?;
            }
            Values::Strings(sink) => sink.append(tag, cursor, rows, scratch)?,
            Values::Objects(sink) => objects::append(sink, tag, cursor, rows, scratch)?,
            Values::List { offsets, item } => {
                if tag != tag::LIST {
                    return Err(Malformed("a list node"));
                }
                scratch.spend(rows * 4)?;
                let items = cursor.u32()? as usize;
                let mut lengths = std::mem::take(&mut scratch.words);
                strings::lengths(cursor, rows, &mut lengths, scratch)?;
                strings::push_offsets(offsets, &lengths, items)?;
                scratch.words = lengths;
                item.append(cursor, items, scratch)?;
            }
            Values::Struct(fields) => {
                if tag != tag::STRUCT {
                    return Err(Malformed("a struct node"));
                }
                for field in fields {
                    field.append(cursor, rows, scratch)?;
                }
            }
        }
        self.rows += rows;
        Ok(())
    }

    /// Zeros under the NULLs of the last `rows` rows, which the encoder filled with what packs well.
    fn clear_nulls(&mut self, rows: usize) {
        let (Values::Number { width, buffer }, Some(nulls)) = (&mut self.values, &self.nulls)
        else {
            return;
        };
        let from = self.rows - rows;
        let valid = BitChunks::new(nulls.as_slice(), from, rows);
        let rest = valid.remainder_bits()
            | u64::MAX.checked_shl(valid.remainder_len() as u32).unwrap_or(0);
        with_word!(*width, T => {
            let words = &mut buffer.typed_data_mut::<T>()[from..from + rows];
            for (chunk, bits) in valid.iter().chain([rest]).enumerate() {
                let mut holes = !bits;
                while holes != 0 {
                    words[64 * chunk + holes.trailing_zeros() as usize] = T::default();
                    holes &= holes - 1;
                }
            }
        });
    }

    /// What lies under NULLs.
    fn append_defaults(&mut self, rows: usize, scratch: &mut Scratch) -> Decoded<()> {
        match &mut self.values {
            Values::Number { width, buffer } => {
                scratch.spend(rows * *width)?;
                grow(buffer, (self.rows + rows) * *width);
            }
            Values::FixedBytes { width, bytes } => {
                scratch.spend(rows * *width)?;
                bytes.resize(bytes.len() + rows * *width, 0);
            }
            Values::Strings(sink) | Values::Objects(sink) => {
                scratch.spend(rows * 4)?;
                sink.append_empty(rows);
            }
            Values::List { offsets, .. } => {
                scratch.spend(rows * 4)?;
                let last = offsets.last().copied().unwrap_or(0);
                offsets.resize(offsets.len() + rows, last);
            }
            Values::Struct(fields) => {
                for field in fields {
                    if let Some(nulls) = &mut field.nulls {
                        nulls.append_n(rows, true);
                    }
                    field.append_defaults(rows, scratch)?;
                }
            }
        }
        self.rows += rows;
        Ok(())
    }

    /// Decodes what was left to be decoded together with the next node. To be called behind the last one, while it
    /// is known where that lies.
    pub(crate) fn settle(&mut self) -> Decoded<()> {
        match &mut self.values {
            Values::Strings(sink) | Values::Objects(sink) => sink.settle(),
            Values::List { item, .. } => item.settle(),
            Values::Struct(fields) => fields.iter_mut().try_for_each(Sink::settle),
            Values::Number { .. } | Values::FixedBytes { .. } => Ok(()),
        }
    }

    /// The array, of exactly the Arrow type `arrow`.
    pub(crate) fn finish(mut self, arrow: &ArrowType) -> Result<ArrayRef> {
        let nulls = self.nulls.as_mut().map(|n| NullBuffer::new(n.finish()));
        let misfit = |e: arrow_schema::ArrowError| Error::Column(e.to_string());
        Ok(match self.values {
            Values::Number { width, mut buffer } => {
                buffer.truncate(self.rows * width);
                number_array(arrow, buffer.into(), nulls)?
            }
            Values::FixedBytes { width, bytes } => Arc::new(
                FixedSizeBinaryArray::try_new(width as i32, Buffer::from_vec(bytes), nulls)
                    .map_err(misfit)?,
            ),
            Values::Strings(sink) | Values::Objects(sink) => {
                let finished = sink.finish();
                let (offsets, bytes) = finished
                    .map_err(|Malformed(what)| Error::Column(format!("expected {what}")))?;
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(
                    BinaryArray::try_new(offsets, Buffer::from_vec(bytes), nulls)
                        .map_err(misfit)?,
                )
            }
            Values::List { offsets, item } => {
                let ArrowType::List(field) = arrow else {
                    return Err(Error::Column(format!("a list does not lie as {arrow}")));
                };
                let items = item.finish(field.data_type())?;
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(ListArray::try_new(field.clone(), offsets, items, nulls).map_err(misfit)?)
            }
            Values::Struct(sinks) => {
                let ArrowType::Struct(fields) = arrow else {
                    return Err(Error::Column(format!("a struct does not lie as {arrow}")));
                };
                let columns = sinks
                    .into_iter()
                    .zip(fields)
                    .map(|(sink, field)| sink.finish(field.data_type()))
                    .collect::<Result<Vec<_>>>()?;
                Arc::new(
                    StructArray::try_new_with_length(fields.clone(), columns, nulls, self.rows)
                        .map_err(misfit)?,
                )
            }
        })
    }
}

fn grow(buffer: &mut MutableBuffer, bytes: usize) {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
}

/// Numbers that lie as they are stored.
pub(crate) fn number_array(
    arrow: &ArrowType,
    buffer: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    macro_rules! build {
        ($t:ty) => {
            Arc::new(PrimitiveArray::<$t>::new(ScalarBuffer::from(buffer), nulls)) as ArrayRef
        };
    }
    Ok(match arrow {
        ArrowType::UInt8 => build!(UInt8Type),
        ArrowType::UInt16 => build!(UInt16Type),
        ArrowType::UInt32 => build!(UInt32Type),
        ArrowType::UInt64 => build!(UInt64Type),
        ArrowType::Int8 => build!(Int8Type),
        ArrowType::Int16 => build!(Int16Type),
        ArrowType::Int32 => build!(Int32Type),
        ArrowType::Int64 => build!(Int64Type),
        ArrowType::Float32 => build!(Float32Type),
        ArrowType::Float64 => build!(Float64Type),
        ArrowType::Decimal128(..) => Arc::new(
            PrimitiveArray::<Decimal128Type>::new(ScalarBuffer::from(buffer), nulls)
                .with_data_type(arrow.clone()),
        ),
        ArrowType::Decimal256(..) => Arc::new(
            PrimitiveArray::<Decimal256Type>::new(ScalarBuffer::from(buffer), nulls)
                .with_data_type(arrow.clone()),
        ),
        other => return Err(Error::Column(format!("numbers do not lie as {other}"))),
    })
}
