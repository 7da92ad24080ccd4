//! The leaf of every node: bytes as they are, or as one LZ4 block when that saves enough.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::super::wire::put_bytes;

/// How a payload is stored. Numbers are part of the file format.
pub(crate) mod method {
    pub(crate) const RAW: u8 = 0;
    pub(crate) const LZ4: u8 = 1;
}

/// Below this LZ4 is not tried.
const LZ4_BYTES_MIN: usize = 48;

/// LZ4 with its tables and its output buffer kept.
pub(super) struct Compressor {
    small: CompressTable,
    large: CompressTable,
    buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor {
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
        let stored_max = bytes.len() / 100 * (100 - saving_percent_min);
        let (method, stored) = match self.compress(bytes) {
            Some(stored) if stored.len() <= stored_max => (method::LZ4, stored),
            _ => (method::RAW, bytes),
        };
        out.push(method);
        put_bytes(out, stored);
    }

    fn compress(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if bytes.len() < LZ4_BYTES_MIN {
            return None;
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
