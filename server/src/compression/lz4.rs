//! LZ4 frames, one behind the other, read block by block.
//!
//! Linked blocks see the last 64 KB before them. Checksums are not looked at: the transport has its own,
//! and what comes out is parsed. Leaves out dictionaries by number and the legacy frames.

use std::io::{self, BufRead, Read};

const MAGIC: u32 = 0x184d_2204;
/// Frames to pass over begin with one of 16 numbers.
const MAGIC_SKIPPABLE: u32 = 0x184d_2a50;
/// What a linked block may look back to.
const WINDOW_BYTES: usize = 64 << 10;

pub struct Lz4Reader<R> {
    source: R,
    frame: Option<Frame>,
    /// The window, then the current block.
    data: Vec<u8>,
    at: usize,
}

/// What the current frame's header says.
struct Frame {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    block_bytes_max: usize,
}

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl<R: BufRead> Lz4Reader<R> {
    pub fn new(source: R) -> Lz4Reader<R> {
        Lz4Reader { source, frame: None, data: vec![], at: 0 }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next frame's header; false at the end of the input.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let magic = u32::from_le_bytes(self.take()?);
            if magic & !15 == MAGIC_SKIPPABLE {
                let length = u32::from_le_bytes(self.take()?) as u64;
                io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                continue;
            }
            if magic != MAGIC {
                return Err(bad("not an LZ4 frame"));
            }
            break;
        }
        let [flags, size] = self.take()?;
        if flags >> 6 != 1 || flags & 1 != 0 {
            return Err(bad("an LZ4 frame of an unknown version or with a dictionary"));
        }
        if flags & 8 != 0 {
            self.take::<8>()?;
        }
        self.take::<1>()?;
        let block_bytes_max = match size >> 4 & 7 {
            code @ 4..=7 => 1usize << (8 + 2 * code),
            _ => return Err(bad("an LZ4 frame of unknown block size")),
        };
        self.data.clear();
        self.at = 0;
        self.frame = Some(Frame {
            linked: flags & 32 == 0,
            block_checksums: flags & 16 != 0,
            content_checksum: flags & 4 != 0,
            block_bytes_max,
        });
        Ok(true)
    }

    /// The next block of the frame; false behind its last.
    fn block(&mut self) -> io::Result<bool> {
        let word = u32::from_le_bytes(self.take()?);
        let Some(frame) = &self.frame else { return Ok(false) };
        if word == 0 {
            let checksum = frame.content_checksum;
            self.frame = None;
            if checksum {
                self.take::<4>()?;
            }
            return Ok(false);
        }
        let (plain, length) = (word >> 31 == 1, (word & 0x7fff_ffff) as usize);
        let (room, linked, checksums) =
            (frame.block_bytes_max, frame.linked, frame.block_checksums);
        if length > room {
            return Err(bad("an LZ4 block larger than its frame allows"));
        }
        let mut packed = vec![0; length];
        self.source.read_exact(&mut packed)?;
        if checksums {
            self.take::<4>()?;
        }
        let keep = if linked { self.data.len().min(WINDOW_BYTES) } else { 0 };
        self.data.drain(..self.data.len() - keep);
        if plain {
            self.data.extend_from_slice(&packed);
        } else {
            let mut block = vec![0; room];
            let n = lz4_flex::block::decompress_into_with_dict(&packed, &mut block, &self.data)
                .map_err(|e| bad(format!("Cannot decompress LZ4-encoded data: {e}")))?;
            self.data.extend_from_slice(&block[..n]);
        }
        self.at = keep;
        Ok(true)
    }
}

impl<R: BufRead> Read for Lz4Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.data.len() {
            if self.frame.is_none() && !self.begin()? {
                return Ok(0);
            }
            self.block()?;
        }
        let n = buffer.len().min(self.data.len() - self.at);
        buffer[..n].copy_from_slice(&self.data[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
