//! Columns to the words of entries and rows, and back.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use pumphouse_storage::{Column, DataType};

use super::layout::{KeyPart, KeyPlace, Layout};
use super::slab::prefetch;
use super::texts::{TextWriter, Texts};
use crate::aggregates::packed::Field;
use crate::error::{Error, Result, codes};
use crate::execute::key_pack::fixed_array;
use crate::execute::key_table::{Codes, hash_bytes};
use crate::execute::row_codec::{Shape, fixed_bytes, nulls_of};

/// Puts the values of rows `from..` of `array` into `field` of every entry; `high` takes the upper half
/// of 16-byte values. Nothing is put for NULLs.
pub(super) fn put_values(
    shape: &Shape,
    array: &dyn Array,
    from: usize,
    (low, high): (Field, Option<Field>),
    entries: &mut [u64],
    stride: usize,
) {
    use arrow_array::types::{Float32Type, Float64Type};
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    let rows = entries.len() / stride;
    let Field { word, shift, .. } = low;
    macro_rules! put {
        ($values:expr, |$v:ident| $bits:expr) => {{
            let values = $values[from..from + rows].iter();
            let pairs = entries.chunks_exact_mut(stride).zip(values);
            match nulls {
                None => pairs.for_each(|(entry, $v)| entry[word] |= $bits << shift),
                Some(nulls) => {
                    for (row, (entry, $v)) in pairs.enumerate() {
                        if nulls.is_valid(from + row) {
                            entry[word] |= $bits << shift;
                        }
                    }
                }
            }
        }};
    }
    macro_rules! words {
        ($native:ty) => {{
            let bytes = fixed_bytes(array);
            let values = bytes.as_chunks::<{ size_of::<$native>() }>().0;
            put!(values, |v| <$native>::from_le_bytes(*v) as u64)
        }};
    }
    match shape {
        // All NaNs are one key.
        Shape::Float32 => put!(array.as_primitive::<Float32Type>().values(), |v| {
            let v = if v.is_nan() { f32::NAN } else { *v };
            v.to_bits() as u64
        }),
        Shape::Float64 => put!(array.as_primitive::<Float64Type>().values(), |v| {
            let v = if v.is_nan() { f64::NAN } else { *v };
            v.to_bits()
        }),
        Shape::Fixed(1) => words!(u8),
        Shape::Fixed(2) => words!(u16),
        Shape::Fixed(4) => words!(u32),
        Shape::Fixed(8) => words!(u64),
        Shape::Fixed(16) => {
            let Some(high) = high else { return };
            let values = &fixed_bytes(array).as_chunks::<16>().0[from..from + rows];
            for (row, (entry, v)) in entries.chunks_exact_mut(stride).zip(values).enumerate() {
                if nulls.is_none_or(|n| n.is_valid(from + row)) {
                    let v = u128::from_le_bytes(*v);
                    entry[word] |= v as u64;
                    entry[high.word] |= (v >> 64) as u64;
                }
            }
        }
        _ => {}
    }
}

pub(super) fn put_nulls(
    array: &dyn Array,
    from: usize,
    field: Field,
    entries: &mut [u64],
    stride: usize,
) {
    let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) else { return };
    for (row, entry) in entries.chunks_exact_mut(stride).enumerate() {
        entry[field.word] |= (nulls.is_null(from + row) as u64) << field.shift;
    }
}

/// Puts the key `source` of every row into the key `part` of every entry, of the same type.
pub(super) fn copy_key(
    part: &KeyPart,
    entries: &mut [u64],
    stride: usize,
    source: &KeyPart,
    rows: &[u64],
    width: usize,
) {
    let pairs = entries.chunks_exact_mut(stride).zip(rows.chunks_exact(width));
    match (&part.place, &source.place) {
        (KeyPlace::Text(to), KeyPlace::Text(from)) => pairs.for_each(|(entry, row)| {
            entry[*to..to + 2].copy_from_slice(&row[*from..from + 2]);
        }),
        (
            KeyPlace::Fixed { low: to, high: to_high, .. },
            KeyPlace::Fixed { low: from, high: from_high, .. },
        ) => pairs.for_each(|(entry, row)| {
            entry[to.word] |= from.get(row) << to.shift;
            if let (Some(to), Some(from)) = (to_high, from_high) {
                entry[to.word] |= from.get(row) << to.shift;
            }
        }),
        _ => {}
    }
    if let (Some(to), Some(from)) = (part.null, source.null) {
        let pairs = entries.chunks_exact_mut(stride).zip(rows.chunks_exact(width));
        pairs.for_each(|(entry, row)| entry[to.word] |= from.get(row) << to.shift);
    }
}

/// Slots of a [`TextCoder`].
const RECENT: usize = 1 << 13;
/// Texts that are asked for together.
const AHEAD: usize = 32;

/// Hashes strings and keeps each once, as far as it remembers.
pub(super) struct TextCoder {
    /// By the upper bits of the hash: hash and reference.
    recent: Vec<(u64, u64)>,
    empty: u64,
    /// The dictionary met last.
    known: Option<Known>,
}

impl TextCoder {
    pub fn new() -> TextCoder {
        TextCoder { recent: vec![], empty: hash_bytes(b""), known: None }
    }

    pub fn memory_bytes(&self) -> usize {
        let known = self.known.as_ref().map_or(0, |k| k.places.capacity());
        (self.recent.capacity() + known) * 16
    }

    /// Hash and reference of `text`.
    #[inline]
    pub fn code(
        &mut self,
        text: &[u8],
        texts: &mut TextWriter,
        numbers: &AtomicU32,
    ) -> Result<(u64, u64)> {
        if text.is_empty() {
            return Ok((self.empty, 0));
        }
        self.code_hashed(text, hash_bytes(text), texts, numbers)
    }

    /// Hashes a batch, and asks for the texts that its own are probably equal to.
    fn ask_ahead(&mut self, batch: &[&[u8]], hashes: &mut [u64; AHEAD], texts: &TextWriter) {
        if self.recent.is_empty() {
            self.recent = vec![(0, 0); RECENT];
        }
        for (hash, text) in hashes.iter_mut().zip(batch) {
            *hash = hash_bytes(text);
            prefetch(&self.recent, (*hash >> 32) as usize % RECENT);
        }
        for hash in &hashes[..batch.len()] {
            let slot = self.recent[(hash >> 32) as usize % RECENT];
            if slot.0 == *hash {
                texts.prefetch(slot.1);
            }
        }
    }

    /// Hash and reference of `text`, whose hash is known.
    #[inline]
    fn code_hashed(
        &mut self,
        text: &[u8],
        hash: u64,
        texts: &mut TextWriter,
        numbers: &AtomicU32,
    ) -> Result<(u64, u64)> {
        if text.is_empty() {
            return Ok((self.empty, 0));
        }
        if self.recent.is_empty() {
            self.recent = vec![(0, 0); RECENT];
        }
        let slot = &mut self.recent[(hash >> 32) as usize % RECENT];
        if slot.0 != hash || !texts.is(slot.1, text) {
            *slot = (hash, texts.keep(text, numbers)?);
        }
        Ok(*slot)
    }
}

/// Where the texts of one key column go.
pub(super) struct Keeper<'a> {
    pub coder: &'a mut TextCoder,
    pub texts: &'a mut TextWriter,
    pub numbers: &'a AtomicU32,
}

impl Keeper<'_> {
    /// Hash and reference of `text`.
    #[inline]
    pub fn keep(&mut self, text: &[u8]) -> Result<(u64, u64)> {
        self.coder.code(text, self.texts, self.numbers)
    }

    /// Hash and reference of each of `texts`; what they are compared with is asked for ahead.
    pub fn keep_all(&mut self, texts: &[&[u8]], kept: &mut Vec<(u64, u64)>) -> Result<()> {
        let mut hashes = [0u64; AHEAD];
        kept.clear();
        for batch in texts.chunks(AHEAD) {
            self.coder.ask_ahead(batch, &mut hashes, self.texts);
            for (text, hash) in batch.iter().zip(hashes) {
                kept.push(self.coder.code_hashed(text, hash, self.texts, self.numbers)?);
            }
        }
        Ok(())
    }

    /// Puts hash and reference of rows `from..` into words `word` and `word + 1` of every entry.
    pub fn put_texts(
        &mut self,
        array: &BinaryArray,
        from: usize,
        word: usize,
        entries: &mut [u64],
        stride: usize,
    ) -> Result<()> {
        let rows = entries.len() / stride;
        let offsets = &array.value_offsets()[from..from + rows + 1];
        let bytes = array.values().as_slice();
        let nulls = array.nulls().filter(|n| n.null_count() > 0);
        let entries = entries.chunks_exact_mut(stride).zip(offsets.windows(2));
        for (row, (entry, ends)) in entries.enumerate() {
            let mut text = &bytes[ends[0] as usize..ends[1] as usize];
            if nulls.is_some_and(|n| n.is_null(from + row)) {
                text = &[];
            }
            (entry[word], entry[word + 1]) = self.keep(text)?;
        }
        Ok(())
    }

    /// As `put_texts`, of codes; the strings of a dictionary are looked at once.
    pub fn put_codes(
        &mut self,
        codes: Codes<'_>,
        from: usize,
        word: usize,
        entries: &mut [u64],
        stride: usize,
    ) -> Result<()> {
        let mut known = match self.coder.known.take() {
            Some(known) if Arc::ptr_eq(&known.of, codes.of) => known,
            _ => Known { of: codes.of.clone(), places: vec![UNKNOWN; codes.values.len()] },
        };
        let rows = entries.len() / stride;
        let codes_here = &codes.codes[from..from + rows];
        for (entry, code) in entries.chunks_exact_mut(stride).zip(codes_here) {
            let place = &mut known.places[*code as usize];
            if *place == UNKNOWN {
                *place = self.keep(codes.values.value(*code as usize))?;
            }
            (entry[word], entry[word + 1]) = *place;
        }
        self.coder.known = Some(known);
        Ok(())
    }
}

/// No text has this reference.
const UNKNOWN: (u64, u64) = (u64::MAX, u64::MAX);

/// Hashes and references of a dictionary's strings.
struct Known {
    /// Held, so that no other dictionary comes to lie in its place.
    of: ArrayRef,
    places: Vec<(u64, u64)>,
}

/// The column of one key of `rows`, `width` words each.
pub(super) fn key_column(
    data_type: &DataType,
    part: &KeyPart,
    rows: &[u64],
    width: usize,
    texts: &Texts,
) -> Result<Column> {
    let nulls = part.null.and_then(|field| {
        let valid: Vec<bool> = rows.chunks_exact(width).map(|row| field.get(row) == 0).collect();
        nulls_of(&valid)
    });
    let array = match &part.place {
        KeyPlace::Text(word) => text_array(rows, width, *word, nulls, texts)?,
        KeyPlace::Fixed { low, high, .. } => {
            let buffer = field_buffer(rows, width, *low, *high);
            fixed_array(data_type, buffer, nulls, rows.len() / width)?
        }
    };
    Ok(Column { data_type: data_type.clone(), array })
}

fn field_buffer(rows: &[u64], width: usize, low: Field, high: Option<Field>) -> Buffer {
    macro_rules! words {
        ($native:ty) => {
            Buffer::from_vec(
                rows.chunks_exact(width).map(|row| low.get(row) as $native).collect::<Vec<_>>(),
            )
        };
    }
    match (high, low.bits) {
        (Some(high), _) => {
            let wide = |row: &[u64]| (high.get(row) as u128) << 64 | low.get(row) as u128;
            Buffer::from_vec(rows.chunks_exact(width).map(wide).collect::<Vec<u128>>())
        }
        (None, 8) => words!(u8),
        (None, 16) => words!(u16),
        (None, 32) => words!(u32),
        _ => words!(u64),
    }
}

fn text_array(
    rows: &[u64],
    width: usize,
    word: usize,
    nulls: Option<NullBuffer>,
    texts: &Texts,
) -> Result<ArrayRef> {
    const ROWS_AHEAD: usize = 8;
    let mut offsets = Vec::with_capacity(rows.len() / width + 1);
    let mut bytes: Vec<u8> = vec![];
    offsets.push(0i32);
    for (i, row) in rows.chunks_exact(width).enumerate() {
        if let Some(later) = rows.get((i + ROWS_AHEAD) * width + word + 1) {
            texts.prefetch(*later);
        }
        bytes.extend_from_slice(texts.get(row[word + 1]));
        offsets.push(i32::try_from(bytes.len()).map_err(|_| {
            Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "keys pass 2 GiB in one block")
        })?);
    }
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls)))
}

impl Layout {
    /// The columns of the first `keys` keys of `rows`.
    pub(super) fn key_columns(
        &self,
        rows: &[u64],
        keys: usize,
        texts: &Texts,
    ) -> Result<Vec<Column>> {
        let parts = self.types.iter().zip(&self.parts).take(keys);
        parts.map(|(t, part)| key_column(t, part, rows, self.width, texts)).collect()
    }

    /// The aggregates' results for `rows`.
    pub(super) fn results(&self, rows: &[u64]) -> Result<Vec<Column>> {
        self.aggregates
            .iter()
            .map(|a| {
                let places = (a.at, self.count_at.unwrap_or(0));
                let buffer = a.packed.finish(rows, self.width, places);
                let array = fixed_array(&a.result, buffer, None, rows.len() / self.width)?;
                Ok(Column { data_type: a.result.clone(), array })
            })
            .collect()
    }
}
