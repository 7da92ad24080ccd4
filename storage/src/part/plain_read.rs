//! Columns of numbers that are stored as they lie in memory: read straight to where they stay, and
//! checked there, granule by granule while the processor's cache has them.
//!
//! Only for neighbours that are all plain and not compressed; everything else is left to the decoder.

use xxhash_rust::xxh3::Xxh3;

use super::decode::Sink;
use super::encode::{method, tag};
use super::layout::Layout;
use super::reader::PartReader;
use crate::error::Result;

/// Tag, method and length of a plain node's words.
const HEAD_BYTES: usize = 6;

impl PartReader {
    /// The rows of `granules`, or None if they are not all plain words. What is read is verified.
    pub(super) fn plain_words(&self, index: usize, granules: &[usize]) -> Result<Option<Sink>> {
        let entry = self.column(index);
        let Layout::Number { width, .. } = entry.layout else { return Ok(None) };
        if cfg!(target_endian = "big") || width > 16 {
            return Ok(None);
        }
        let words = |granule: &usize| self.granule_rows(*granule) * width;
        let is_plain = |granule: &usize| {
            let mark = entry.mark(*granule);
            let words = words(granule);
            words > 0
                && entry.nulls(*granule) == 0
                && mark.length as usize == HEAD_BYTES + words
                && mark.decoded as usize >= words
        };
        if granules.is_empty() || !granules.iter().all(is_plain) {
            return Ok(None);
        }
        let mut sink = Sink::of_words(width, granules.iter().map(words).sum());
        for granule in granules {
            let (mark, rows) = (entry.mark(*granule), self.granule_rows(*granule));
            let mut head = [0; HEAD_BYTES];
            self.file().read_at(mark.file_offset, &mut head)?;
            let length = ((rows * width) as u32).to_le_bytes();
            if head[..2] != [tag::PLAIN, method::RAW] || head[2..] != length {
                // Another node that happens to be as long.
                return Ok(None);
            }
            let Some(out) = sink.words_mut(rows) else { return Ok(None) };
            self.file().read_at(mark.file_offset + HEAD_BYTES as u64, out)?;
            let mut hash = Xxh3::new();
            hash.update(&head);
            hash.update(out);
            if hash.digest() != mark.hash {
                return Err(self.damaged(mark, "bytes of their recorded hash"));
            }
        }
        Ok(Some(sink))
    }
}
