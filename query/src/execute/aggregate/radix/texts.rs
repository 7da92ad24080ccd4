//! The bytes of string keys: copied once into slabs, referred to by one word.
//!
//! Every thread writes slabs of its own, numbered among those of all threads; when all are done they
//! are put together and any thread reads. A reference says slab, place and length; the empty string is 0.

use std::sync::atomic::{AtomicU32, Ordering};

use super::slab::{SLAB_BYTES, Slab, as_bytes, as_bytes_mut, prefetch};
use crate::error::{Error, Result, codes};

const PLACE_BITS: u32 = 21;
const LENGTH_BITS: u32 = 22;
const NUMBER_BITS: u32 = 64 - PLACE_BITS - LENGTH_BITS;
/// A length that does not fit the reference stands before the bytes, in a slab of its own.
const LENGTH_ELSEWHERE: usize = (1 << LENGTH_BITS) - 1;

/// One thread's texts.
pub(in crate::execute::aggregate) struct TextWriter {
    slabs: Vec<(u32, Slab)>,
    /// Bytes used of the last slab.
    used: usize,
}

impl TextWriter {
    pub fn new() -> TextWriter {
        TextWriter { slabs: vec![], used: SLAB_BYTES }
    }

    pub fn memory_bytes(&self) -> usize {
        self.slabs.iter().map(|(_, s)| s.bytes()).sum()
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
        let Some((number, slab)) = self.slabs.last_mut() else { return Err(lost()) };
        let at = self.used;
        as_bytes_mut(slab)[at..at + text.len()].copy_from_slice(text);
        self.used += text.len();
        Ok(reference(*number, at, text.len()))
    }

    fn capacity(&self) -> usize {
        // Places are counted within one ordinary slab, also in a longer one.
        self.slabs.last().map_or(0, |(_, s)| s.bytes().min(SLAB_BYTES))
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
        let slab = if bytes <= SLAB_BYTES { Slab::take()? } else { Slab::of(bytes)? };
        self.slabs.push((number, slab));
        self.used = 0;
        Ok(())
    }

    #[cold]
    fn keep_long(&mut self, text: &[u8], numbers: &AtomicU32) -> Result<u64> {
        self.add_slab(8 + text.len(), numbers)?;
        let Some((number, slab)) = self.slabs.last_mut() else { return Err(lost()) };
        slab[0] = text.len() as u64;
        as_bytes_mut(slab)[8..8 + text.len()].copy_from_slice(text);
        self.used = SLAB_BYTES;
        Ok(reference(*number, 0, LENGTH_ELSEWHERE))
    }

    /// The texts so far, to be read; [`TextWriter::take_back`] returns them.
    pub fn lend(&mut self) -> Texts {
        let mut texts = Texts::default();
        texts.add(TextWriter { slabs: std::mem::take(&mut self.slabs), used: SLAB_BYTES });
        texts
    }

    pub fn take_back(&mut self, texts: Texts) {
        let slabs = (0..).zip(texts.slabs);
        self.slabs = slabs.filter_map(|(number, slab)| Some((number, slab?))).collect();
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
        let Some(slab) = self.slab(number(place) as u32) else { return false };
        let at = place_in_slab(place);
        as_bytes(slab).get(at..at + text.len()) == Some(text)
    }

    /// Asks for the text at `place`, a reference of this writer's.
    #[inline]
    pub fn prefetch(&self, place: u64) {
        if let Some(slab) = self.slab(number(place) as u32) {
            prefetch_text(slab, place);
        }
    }

    #[inline]
    fn slab(&self, number: u32) -> Option<&Slab> {
        // Numbers rise within a writer, and the newest slab is asked for most.
        match self.slabs.last() {
            Some((n, slab)) if *n == number => Some(slab),
            _ => {
                let i = self.slabs.binary_search_by_key(&number, |(n, _)| *n).ok()?;
                Some(&self.slabs[i].1)
            }
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::new(codes::LOGICAL_ERROR, "a slab is missing")
}

#[inline]
fn reference(number: u32, at: usize, length: usize) -> u64 {
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
        for (number, slab) in writer.slabs {
            let number = number as usize;
            if self.slabs.len() <= number {
                self.slabs.resize_with(number + 1, || None);
            }
            self.slabs[number] = Some(slab);
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
