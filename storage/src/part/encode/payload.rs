//! The leaf of every node: bytes as they are, or compressed as the column's codec says when that saves
//! enough, or put through a chain of codecs.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::super::codec::lz4_compress::Lz4Compressor;
use super::super::codec::{Generic, Stage, chain, lz4hc, zstd};
use super::super::wire::put_bytes;

/// How a payload is stored. Numbers are part of the file format.
pub(crate) mod method {
    pub(crate) const RAW: u8 = 0;
    pub(crate) const LZ4: u8 = 1;
    /// One frame.
    pub(crate) const ZSTD: u8 = 2;
    /// Stages of a chain and what the last gave.
    pub(crate) const CHAIN: u8 = 3;
}

/// Below this nothing is tried.
const BYTES_MIN: usize = 48;
/// Who asks for a slow codec wants what little it saves.
const SLOW_SAVING_PERCENT_MIN: usize = 3;

/// From this many bytes on texts are the library's, which is a little faster on what compresses well.
const TEXTS_MIN: usize = 65_535;

/// Compression of bytes, with its tables and its output buffer kept.
pub(super) struct Compressor {
    pub(super) generic: Generic,
    lz4: Lz4Compressor,
    texts: CompressTable,
    buffer: Vec<u8>,
    /// The same for texts; its length stays, so that it need not be filled again.
    text_buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor {
            generic: Generic::Lz4,
            lz4: Lz4Compressor::default(),
            texts: CompressTable::large(),
            buffer: Vec::new(),
            text_buffer: Vec::new(),
        }
    }
}

impl Compressor {
    /// Bytes of memory that it holds on to.
    pub(super) fn kept_bytes(&self) -> usize {
        self.buffer.capacity() + self.text_buffer.capacity()
    }

    /// Appends `bytes` as a payload: method, stored length, stored bytes. LZ4 is kept if it saves
    /// at least `saving_percent_min`.
    pub(super) fn payload(&mut self, bytes: &[u8], saving_percent_min: usize, out: &mut Vec<u8>) {
        self.put(bytes, saving_percent_min, false, out);
    }

    /// The same for texts.
    pub(super) fn texts(&mut self, bytes: &[u8], saving_percent_min: usize, out: &mut Vec<u8>) {
        self.put(bytes, saving_percent_min, bytes.len() >= TEXTS_MIN, out);
    }

    fn put(&mut self, bytes: &[u8], saving_percent_min: usize, texts: bool, out: &mut Vec<u8>) {
        let (method, saving_percent_min) = match self.generic {
            Generic::Nothing => (method::RAW, 0),
            Generic::Lz4 => (method::LZ4, saving_percent_min),
            Generic::Lz4Hc(_) => (method::LZ4, SLOW_SAVING_PERCENT_MIN),
            Generic::Zstd(_) => (method::ZSTD, SLOW_SAVING_PERCENT_MIN),
        };
        let stored_max = bytes.len() / 100 * (100 - saving_percent_min);
        let (method, stored) = match self.compress(bytes, stored_max, texts) {
            Some(stored) if stored.len() <= stored_max => (method, stored),
            _ => (method::RAW, bytes),
        };
        out.push(method);
        put_bytes(out, stored);
    }

    /// Appends words of `width` bytes put through `stages`, or as they are if those save nothing.
    pub(super) fn coded(
        &mut self,
        stages: &[Stage],
        width: usize,
        signed: bool,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.buffer.clear();
        chain::encode(stages, width, signed, bytes, &mut self.buffer);
        let (method, stored) = match self.buffer.len() < bytes.len() {
            true => (method::CHAIN, &self.buffer[..]),
            false => (method::RAW, bytes),
        };
        out.push(method);
        put_bytes(out, stored);
    }

    /// None for what is not worth it; LZ4 stops at `most` bytes.
    fn compress(&mut self, bytes: &[u8], most: usize, texts: bool) -> Option<&[u8]> {
        if bytes.len() < BYTES_MIN {
            return None;
        }
        match self.generic {
            Generic::Nothing => None,
            Generic::Lz4 if texts => {
                // Not into `out` itself: growing that to the worst case would copy it again and again.
                let worst = get_maximum_output_size(bytes.len());
                if self.text_buffer.len() < worst {
                    self.text_buffer.resize(worst, 0);
                }
                let stored =
                    compress_into_with_table(bytes, &mut self.text_buffer, &mut self.texts).ok()?;
                Some(&self.text_buffer[..stored])
            }
            Generic::Lz4 => {
                self.lz4.compress(bytes, most, &mut self.buffer).then_some(&self.buffer[..])
            }
            Generic::Lz4Hc(level) => {
                self.buffer.clear();
                lz4hc::compress(level, bytes, &mut self.buffer);
                Some(&self.buffer)
            }
            Generic::Zstd(level) => {
                self.buffer.clear();
                zstd::compress(level as i32, bytes, &mut self.buffer).then_some(&self.buffer[..])
            }
        }
    }
}
