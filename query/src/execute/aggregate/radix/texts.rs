//! The bytes of string keys: copied once into slabs, referred to by one word.
//!
//! Every thread writes slabs of its own, numbered among those of all threads; when all are done they
//! are put together and any thread reads. A reference says slab, place and length; the empty string is 0.

use std::sync::atomic::{AtomicU32, Ordering};

use pumphouse_storage::same_bytes::is_same_bytes;

use super::slab::{SLAB_BYTES, Slab, as_bytes, as_bytes_mut, prefetch};
use crate::error::{Error, Result, codes};

const PLACE_BITS: u32 = 21;
const LENGTH_BITS: u32 = 22;
const NUMBER_BITS: u32 = 64 - PLACE_BITS - LENGTH_BITS;
/// A length that does not fit the reference stands before the bytes, in a slab of its own.
const LENGTH_ELSEWHERE: usize = (1 << LENGTH_BITS) - 1;

/// One thread's texts.
pub(in crate::execute::aggregate) struct TextWriter {
    /// By number; those of other threads are missing.
    slabs: Vec<Option<Slab>>,
    bytes: usize,
    /// Bytes used of the last slab.
    used: usize,
}

impl TextWriter {
    pub fn new() -> TextWriter {
        TextWriter { slabs: vec![], bytes: 0, used: SLAB_BYTES }
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a copy of `text`; `numbers` counts the slabs of all threads.
    #[inline]
    pub fn keep(&mut self, text: &[u8], numbers: &AtomicU32) -> Result<u64> {
        if text.is_empty() {
            return Ok(0);
        }
        if text.len() >= LENGTH_ELSEWHERE {
            return self.keep_long(text, numbers);
        }
        if self.used + text.len() > self.capacity() {
            let bytes = text.len().max(1);
            self.add_slab(bytes, numbers)?;
        }
        let number = self.slabs.len().wrapping_sub(1);
        let Some(Some(slab)) = self.slabs.last_mut() else { return Err(lost()) };
        let at = self.used;
        as_bytes_mut(slab)[at..at + text.len()].copy_from_slice(text);
        self.used += text.len();
        Ok(reference(number, at, text.len()))
    }

    fn capacity(&self) -> usize {
        // Places are counted within one ordinary slab, also in a longer one.
        self.slabs.last().and_then(Option::as_ref).map_or(0, |s| s.bytes().min(SLAB_BYTES))
    }

    #[cold]
    fn add_slab(&mut self, bytes: usize, numbers: &AtomicU32) -> Result<()> {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >> NUMBER_BITS > 0 {
            return Err(Error::new(
                codes::TOO_MANY_ROWS_OR_BYTES,
                "too many bytes of grouping keys",
            ));
        }
        let slab = Slab::of(bytes);
        self.bytes += slab.bytes();
        self.slabs.resize_with(number as usize, || None);
        self.slabs.push(Some(slab));
        self.used = 0;
        Ok(())
    }

    #[cold]
    fn keep_long(&mut self, text: &[u8], numbers: &AtomicU32) -> Result<u64> {
        self.add_slab(8 + text.len(), numbers)?;
        let number = self.slabs.len().wrapping_sub(1);
        let Some(Some(slab)) = self.slabs.last_mut() else { return Err(lost()) };
        slab[0] = text.len() as u64;
        as_bytes_mut(slab)[8..8 + text.len()].copy_from_slice(text);
        self.used = SLAB_BYTES;
        Ok(reference(number, 0, LENGTH_ELSEWHERE))
    }

    /// The texts so far, to be read; [`TextWriter::take_back`] returns them.
    pub fn lend(&mut self) -> Texts {
        Texts { slabs: std::mem::take(&mut self.slabs) }
    }

    pub fn take_back(&mut self, texts: Texts) {
        self.slabs = texts.slabs;
    }

    /// Whether `text` stands at `place`, a reference of this writer's.
    #[inline]
    pub fn is(&self, place: u64, text: &[u8]) -> bool {
        if text.is_empty() || place == 0 {
            return text.is_empty() && place == 0;
        }
        if length(place) != text.len() || text.len() >= LENGTH_ELSEWHERE {
            return false;
        }
        let Some(Some(slab)) = self.slabs.get(number(place)) else { return false };
        let at = place_in_slab(place);
        as_bytes(slab).get(at..at + text.len()).is_some_and(|own| is_same_bytes(own, text))
    }

    /// Asks for the text at `place`, a reference of this writer's.
    #[inline]
    pub fn prefetch(&self, place: u64) {
        if let Some(Some(slab)) = self.slabs.get(number(place)) {
            prefetch_text(slab, place);
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::new(codes::LOGICAL_ERROR, "a slab is missing")
}

#[inline]
fn reference(number: usize, at: usize, length: usize) -> u64 {
    (number as u64) << (PLACE_BITS + LENGTH_BITS) | (at as u64) << LENGTH_BITS | length as u64
}

#[inline]
fn number(reference: u64) -> usize {
    (reference >> (PLACE_BITS + LENGTH_BITS)) as usize
}

#[inline]
fn place_in_slab(reference: u64) -> usize {
    (reference >> LENGTH_BITS) as usize & ((1 << PLACE_BITS) - 1)
}

/// The length as far as the reference says.
#[inline]
fn length(reference: u64) -> usize {
    reference as usize & LENGTH_ELSEWHERE
}

/// All threads' texts.
#[derive(Default)]
pub(in crate::execute::aggregate) struct Texts {
    slabs: Vec<Option<Slab>>,
}

impl Texts {
    pub fn add(&mut self, writer: TextWriter) {
        if self.slabs.len() < writer.slabs.len() {
            self.slabs.resize_with(writer.slabs.len(), || None);
        }
        for (own, slab) in self.slabs.iter_mut().zip(writer.slabs).filter(|(_, s)| s.is_some()) {
            *own = slab;
        }
    }

    /// The text of a reference.
    #[inline]
    pub fn get(&self, reference: u64) -> &[u8] {
        if reference == 0 {
            return &[];
        }
        let Some(Some(slab)) = self.slabs.get(number(reference)) else { return &[] };
        let (at, length) = (place_in_slab(reference), length(reference));
        if length == LENGTH_ELSEWHERE {
            return as_bytes(slab).get(8..8 + slab[0] as usize).unwrap_or_default();
        }
        as_bytes(slab).get(at..at + length).unwrap_or_default()
    }

    /// Whether two references may be of equal texts: lengths agree.
    #[inline]
    pub fn alike(a: u64, b: u64) -> bool {
        length(a) == length(b)
    }

    #[inline]
    pub fn prefetch(&self, reference: u64) {
        if let Some(Some(slab)) = self.slabs.get(number(reference)) {
            prefetch_text(slab, reference);
        }
    }
}

#[inline]
fn prefetch_text(slab: &Slab, reference: u64) {
    let at = place_in_slab(reference) / 8;
    prefetch(slab, at);
    if length(reference) > 48 {
        prefetch(slab, at + 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_come_back_from_two_threads() {
        let numbers = AtomicU32::new(0);
        let mut writers = [TextWriter::new(), TextWriter::new()];
        let mut kept = vec![];
        let lengths =
            [0, 1, 7, 8, 100, 65_536, SLAB_BYTES - 1, SLAB_BYTES, SLAB_BYTES + 9, 5 << 20, 3];
        for (i, length) in lengths.iter().cycle().take(44).enumerate() {
            let text: Vec<u8> = (0..*length).map(|b| (b * 31 + i) as u8).collect();
            let writer = &mut writers[i % 2];
            let place = writer.keep(&text, &numbers).unwrap();
            if text.len() < LENGTH_ELSEWHERE {
                assert!(writer.is(place, &text));
                assert!(!writer.is(place, &[&text[..], b"x"].concat()));
            }
            kept.push((place, text));
        }
        let mut texts = Texts::default();
        writers.into_iter().for_each(|w| texts.add(w));
        for (place, text) in &kept {
            assert!(texts.get(*place) == text);
            texts.prefetch(*place);
        }
    }
}
