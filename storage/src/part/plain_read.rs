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
pub(super) const HEAD_BYTES: usize = 6;

impl PartReader {
    /// The rows of `granules`, or None if they are not all plain words. What is read is verified.
    pub(super) fn plain_words(&self, index: usize, granules: &[usize]) -> Result<Option<Sink>> {
        let entry = self.column(index);
        let Layout::Number { width, .. } = entry.layout else { return Ok(None) };
        if cfg!(target_endian = "big") || width > 16 {
            return Ok(None);
        }
        let words = |granule: &usize| self.granule_rows(*granule) * width;
        if granules.is_empty() || !granules.iter().all(|g| self.has_plain_length(index, *g, width))
        {
            return Ok(None);
        }
        let mut sink = Sink::of_words(width, granules.iter().map(words).sum());
        for granule in granules {
            let (mark, rows) = (entry.mark(*granule), self.granule_rows(*granule));
            let mapped = self.file().mapped(mark.file_offset, mark.length as usize);
            let mut head = [0; HEAD_BYTES];
            match mapped {
                Some(node) => head.copy_from_slice(&node[..HEAD_BYTES]),
                None => self.file().read_at(mark.file_offset, &mut head)?,
            }
            if !is_plain_head(&head, rows * width) {
                // Another node that happens to be as long.
                return Ok(None);
            }
            if let Some(node) = mapped {
                // Verified first, which brings the words to the cache faster than copying would.
                let copied = self.verified(node, mark, |node| {
                    Ok(sink.push_words(rows, Some(&node[HEAD_BYTES..])).is_some())
                })?;
                if !copied {
                    return Ok(None);
                }
                continue;
            }
            let Some(words) = sink.push_words(rows, None) else { return Ok(None) };
            self.file().read_at(mark.file_offset + HEAD_BYTES as u64, words)?;
            let mut hash = Xxh3::new();
            hash.update(&head);
            hash.update(words);
            if hash.digest() != mark.hash {
                return Err(self.damaged(mark, "bytes of their recorded hash"));
            }
        }
        Ok(Some(sink))
    }

    /// Whether a granule's length is that of plain words of `width` bytes.
    fn has_plain_length(&self, index: usize, granule: usize, width: usize) -> bool {
        let (entry, words) = (self.column(index), self.granule_rows(granule) * width);
        let mark = entry.mark(granule);
        words > 0
            && entry.nulls(granule) == 0
            && mark.length as usize == HEAD_BYTES + words
            && mark.decoded as usize >= words
    }

    /// Whether a granule probably holds plain numbers of at most a word each.
    pub(super) fn lies_plain(&self, index: usize, granule: usize) -> bool {
        match self.column(index).layout {
            Layout::Number { width, .. } if width <= 8 && cfg!(target_endian = "little") => {
                self.has_plain_length(index, granule, width)
            }
            _ => false,
        }
    }
}

/// Whether a node begins as plain words of so many bytes do.
pub(super) fn is_plain_head(node: &[u8], bytes: usize) -> bool {
    node[..2] == [tag::PLAIN, method::RAW] && node[2..HEAD_BYTES] == (bytes as u32).to_le_bytes()
}
