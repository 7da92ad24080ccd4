//! Snappy in Hadoop's framing, as ClickHouse reads and writes it: blocks of a big-endian length of the plain bytes,
//! then pieces, each a big-endian length and so many bytes of raw snappy, until the plain bytes are complete.

use std::io::{self, BufRead, Read};

use snap::raw::{Decoder, Encoder, decompress_len};

/// Plain bytes of a block that we write.
const BLOCK_BYTES: usize = 256 << 10;
/// The longest piece that is read, plain or packed.
const PIECE_BYTES_MAX: usize = 64 << 20;

/// Appends `bytes` in blocks.
pub(super) fn frame(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for block in bytes.chunks(BLOCK_BYTES) {
        let packed = Encoder::new().compress_vec(block).map_err(io::Error::other)?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

/// The plain bytes of a framed stream.
pub(super) struct SnappyReader<R> {
    source: R,
    /// Plain bytes of the block that are still to come.
    left: usize,
    plain: Vec<u8>,
    given: usize,
}

impl<R: BufRead> SnappyReader<R> {
    pub(super) fn new(source: R) -> SnappyReader<R> {
        SnappyReader { source, left: 0, plain: vec![], given: 0 }
    }

    fn length(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes) as usize)
    }

    /// Reads the next piece; false at the end of the stream.
    fn piece(&mut self) -> io::Result<bool> {
        while self.left == 0 {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.left = self.length()?;
        }
        let packed_bytes = self.length()?;
        if packed_bytes > PIECE_BYTES_MAX {
            return Err(broken());
        }
        let mut packed = vec![];
        self.source.by_ref().take(packed_bytes as u64).read_to_end(&mut packed)?;
        if packed.len() < packed_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain_bytes = decompress_len(&packed).map_err(|_| broken())?;
        if plain_bytes > self.left.min(PIECE_BYTES_MAX) || plain_bytes == 0 {
            return Err(broken());
        }
        self.plain = Decoder::new().decompress_vec(&packed).map_err(|_| broken())?;
        self.given = 0;
        self.left -= plain_bytes;
        Ok(true)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "Cannot decode a snappy stream")
}

impl<R: BufRead> Read for SnappyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.plain.len() && !self.piece()? {
            return Ok(0);
        }
        let n = buffer.len().min(self.plain.len() - self.given);
        buffer[..n].copy_from_slice(&self.plain[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}
