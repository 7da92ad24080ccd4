//! Rows of a few words each, scattered by the low bits of their hash: a line of rows per partition
//! gathers in the cache and is streamed past it into chunks cut from slabs.
//!
//! One thread writes; sealed, any number read. Order within a partition is that of writing.

use super::slab::{SLAB_BYTES, Slab, ask_for, stream, stream_fence};
use crate::error::{Error, Result, codes};

/// Words of a cache line.
const LINE: usize = 8;
/// Cache lines of a chunk.
const CHUNK_LINES: usize = 64;
const SLAB_LINES: usize = SLAB_BYTES / 64;
/// Words of the next chunk that are asked for.
const AHEAD_WORDS: usize = 128;
/// Words of the widest row.
pub(super) const STRIDE_MAX: usize = 32;

/// See the file's head. The number of partitions is a power of two.
pub(super) struct Partitions {
    /// Words of a row.
    stride: usize,
    /// Cache lines that whole rows fill exactly.
    lines: usize,
    /// `lines` per partition; None when sealed.
    buffers: Option<Slab>,
    /// Words in each partition's buffer: small, so that all of them stay in the innermost cache.
    pending: Box<[u8]>,
    fills: Box<[Fill]>,
    /// Of each chunk: the next one of its partition.
    chunks: Vec<u32>,
    slabs: Vec<Slab>,
    /// Lines used of all slabs.
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Fill {
    /// Lines written to the partition's last chunk, and where the chunk begins; the same of its first.
    chunk_used: u32,
    chunk: u32,
    first: u32,
    /// Rows written.
    rows: u32,
}

impl Partitions {
    /// `count` partitions (a power of two) of rows of `stride` words, at most [`STRIDE_MAX`].
    pub fn new(count: usize, stride: usize) -> Partitions {
        let lines = lines_of(stride);
        // A chunk that is full: the first flush takes a new one.
        let full = Fill { chunk_used: CHUNK_LINES as u32, ..Fill::default() };
        Partitions {
            stride,
            lines,
            buffers: Some(Slab::of(count * lines * LINE * 8)),
            pending: vec![0; count].into(),
            fills: vec![full; count].into(),
            chunks: vec![],
            slabs: vec![],
            used: 0,
        }
    }

    pub fn partition_rows(&self, p: usize) -> usize {
        self.fills[p].rows as usize + self.pending[p] as usize / self.stride
    }

    pub fn memory_bytes(&self) -> usize {
        self.slabs.iter().map(Slab::bytes).sum::<usize>()
            + self.buffers.as_ref().map_or(0, Slab::bytes)
            + self.chunks.capacity() * 4
    }

    /// Adds rows, as many as `hashes`.
    pub fn scatter(&mut self, rows: &[u64], hashes: &[u64]) -> Result<()> {
        let Some(mut buffers) = self.buffers.take() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "rows are scattered after the end"));
        };
        let mut pending = std::mem::take(&mut self.pending);
        let result = match self.stride {
            1 => self.scatter_rows::<1>(rows, hashes, &mut buffers, &mut pending),
            2 => self.scatter_rows::<2>(rows, hashes, &mut buffers, &mut pending),
            3 => self.scatter_rows::<3>(rows, hashes, &mut buffers, &mut pending),
            4 => self.scatter_rows::<4>(rows, hashes, &mut buffers, &mut pending),
            5 => self.scatter_rows::<5>(rows, hashes, &mut buffers, &mut pending),
            6 => self.scatter_rows::<6>(rows, hashes, &mut buffers, &mut pending),
            _ => self.scatter_wide(rows, hashes, &mut buffers, &mut pending),
        };
        (self.buffers, self.pending) = (Some(buffers), pending);
        result
    }

    fn scatter_rows<const S: usize>(
        &mut self,
        rows: &[u64],
        hashes: &[u64],
        buffers: &mut [u64],
        pending: &mut [u8],
    ) -> Result<()> {
        let line = lines_of(S) * LINE;
        let mask = pending.len() - 1;
        for (row, hash) in rows.as_chunks::<S>().0.iter().zip(hashes) {
            let p = *hash as usize & mask;
            let at = p * line + pending[p] as usize;
            buffers[at..at + S].copy_from_slice(row);
            pending[p] += S as u8;
            if pending[p] as usize == line {
                pending[p] = 0;
                self.flush(p, line / S, &buffers[p * line..(p + 1) * line])?;
            }
        }
        Ok(())
    }

    fn scatter_wide(
        &mut self,
        rows: &[u64],
        hashes: &[u64],
        buffers: &mut [u64],
        pending: &mut [u8],
    ) -> Result<()> {
        let line = self.lines * LINE;
        let mask = pending.len() - 1;
        for (row, hash) in rows.chunks_exact(self.stride).zip(hashes) {
            let p = *hash as usize & mask;
            let at = p * line + pending[p] as usize;
            buffers[at..at + row.len()].copy_from_slice(row);
            pending[p] += row.len() as u8;
            if pending[p] as usize == line {
                pending[p] = 0;
                self.flush(p, line / self.stride, &buffers[p * line..(p + 1) * line])?;
            }
        }
        Ok(())
    }

    /// Writes the buffer of partition `p` out, in which `rows` are.
    #[inline]
    fn flush(&mut self, p: usize, rows: usize, buffer: &[u64]) -> Result<()> {
        if self.fills[p].chunk_used as usize + self.lines > CHUNK_LINES {
            self.add_chunk(p)?;
        }
        let fill = &mut self.fills[p];
        let line = fill.chunk as usize + fill.chunk_used as usize;
        fill.chunk_used += self.lines as u32;
        fill.rows += rows as u32;
        let slab = &mut self.slabs[line / SLAB_LINES];
        let at = line % SLAB_LINES * LINE;
        stream(&mut slab[at..at + buffer.len()], buffer);
        Ok(())
    }

    #[cold]
    fn add_chunk(&mut self, p: usize) -> Result<()> {
        if self.used == self.slabs.len() * SLAB_LINES {
            self.slabs.push(Slab::take());
        }
        let start = u32::try_from(self.used)
            .map_err(|_| Error::new(codes::TOO_MANY_ROWS, "too many rows to group at once"))?;
        self.used += CHUNK_LINES;
        self.chunks.push(start);
        let fill = &mut self.fills[p];
        match fill.rows {
            0 => fill.first = start,
            _ => self.chunks[fill.chunk as usize / CHUNK_LINES] = start,
        }
        (fill.chunk, fill.chunk_used) = (start, 0);
        Ok(())
    }

    /// Makes everything written readable.
    pub fn seal(&mut self) -> Result<()> {
        let Some(buffers) = self.buffers.take() else { return Ok(()) };
        let line = self.lines * LINE;
        for p in 0..self.pending.len() {
            let words = std::mem::take(&mut self.pending[p]) as usize;
            if words > 0 {
                let rows = words / self.stride;
                self.flush(p, rows, &buffers[p * line..(p + 1) * line])?;
            }
        }
        stream_fence();
        Ok(())
    }

    /// The rows of partition `p`, piece by piece, after `seal`. The processor is asked for the beginning of the next
    /// piece when one is given out: it cannot know where that is.
    pub fn pieces(&self, p: usize) -> impl Iterator<Item = &[u64]> {
        let mut left = self.fills[p].rows as usize * self.stride;
        let chunk_words = CHUNK_LINES / self.lines * self.lines * LINE;
        let chunk = |start: u32, words: usize| {
            let line = start as usize;
            let at = line % SLAB_LINES * LINE;
            &self.slabs[line / SLAB_LINES][at..at + words]
        };
        let mut start = self.fills[p].first;
        std::iter::from_fn(move || {
            let (words, at) = (left.min(chunk_words), start);
            if words == 0 {
                return None;
            }
            left -= words;
            if left > 0 {
                start = self.chunks[at as usize / CHUNK_LINES];
                ask_for(chunk(start, left.min(chunk_words)), 0, AHEAD_WORDS);
            }
            Some(chunk(at, words))
        })
    }
}

/// The least number of cache lines that rows of so many words fill exactly.
const fn lines_of(stride: usize) -> usize {
    let shift = stride.trailing_zeros();
    stride >> if shift < 3 { shift } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITIONS: usize = 512;

    #[test]
    fn rows_of_every_width_come_back_in_order() {
        for stride in [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 24, STRIDE_MAX - 1, STRIDE_MAX] {
            let mut partitions = Partitions::new(PARTITIONS, stride);
            let mut expected: Vec<Vec<u64>> = vec![vec![]; PARTITIONS];
            let (mut rows, mut hashes) = (vec![], vec![]);
            for row in 0..40_000u64 {
                // One partition gets most rows, one gets a single one.
                let p = if row % 3 > 0 { 5 } else { row * 7919 % 500 };
                let words: Vec<u64> = (0..stride as u64).map(|w| row * 64 + w).collect();
                expected[p as usize].extend(&words);
                rows.extend(words);
                hashes.push(p | row << 9);
            }
            for (rows, hashes) in rows.chunks(1000 * stride).zip(hashes.chunks(1000)) {
                partitions.scatter(rows, hashes).unwrap();
            }
            partitions.seal().unwrap();
            assert!(partitions.scatter(&rows[..stride], &hashes[..1]).is_err());
            for (p, expected) in expected.iter().enumerate() {
                assert_eq!(partitions.partition_rows(p), expected.len() / stride);
                let found: Vec<u64> = partitions.pieces(p).flatten().copied().collect();
                assert!(found == *expected, "stride {stride}, partition {p}");
            }
        }
    }
}
