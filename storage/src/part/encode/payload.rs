//! The leaf of every node: bytes as they are, or compressed as the column's codec says when that saves
//! enough, or put through a chain of codecs.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

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

/// Compression of bytes, with its tables and its output buffer kept.
pub(super) struct Compressor {
    pub(super) generic: Generic,
    small: CompressTable,
    large: CompressTable,
    buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor {
            generic: Generic::Lz4,
            small: CompressTable::small(),
            large: CompressTable::large(),
            buffer: Vec::new(),
        }
    }
}

impl Compressor {
    /// Bytes of memory that it holds on to.
    pub(super) fn kept_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Appends `bytes` as a payload: method, stored length, stored bytes. LZ4 is kept if it saves
    /// at least `saving_percent_min`.
    pub(super) fn payload(&mut self, bytes: &[u8], saving_percent_min: usize, out: &mut Vec<u8>) {
        let (method, saving_percent_min) = match self.generic {
            Generic::Nothing => (method::RAW, 0),
            Generic::Lz4 => (method::LZ4, saving_percent_min),
            Generic::Lz4Hc(_) => (method::LZ4, SLOW_SAVING_PERCENT_MIN),
            Generic::Zstd(_) => (method::ZSTD, SLOW_SAVING_PERCENT_MIN),
        };
        let stored_max = bytes.len() / 100 * (100 - saving_percent_min);
        let (method, stored) = match self.compress(bytes) {
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

    fn compress(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if bytes.len() < BYTES_MIN {
            return None;
        }
        match self.generic {
            Generic::Nothing => return None,
            Generic::Lz4 => {}
            Generic::Lz4Hc(level) => {
                self.buffer.clear();
                lz4hc::compress(level, bytes, &mut self.buffer);
                return Some(&self.buffer);
            }
            Generic::Zstd(level) => {
                self.buffer.clear();
                return zstd::compress(level as i32, bytes, &mut self.buffer)
                    .then_some(&self.buffer[..]);
            }
        }
        // Not into `out` itself: growing that to the worst case would copy it again and again.
        let worst = get_maximum_output_size(bytes.len());
        if self.buffer.len() < worst {
            self.buffer.resize(worst, 0);
        }
        let table = if bytes.len() < 65535 { &mut self.small } else { &mut self.large };
        let stored = compress_into_with_table(bytes, &mut self.buffer, table).ok()?;
        Some(&self.buffer[..stored])
    }
}
