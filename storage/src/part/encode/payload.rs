//! The leaf of every node: bytes as they are, or as one LZ4 block when that saves enough.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::super::wire::put_u32;

/// How a payload is stored. Numbers are part of the file format.
pub(crate) mod method {
    pub(crate) const RAW: u8 = 0;
    pub(crate) const LZ4: u8 = 1;
}

/// Below this LZ4 is not tried.
const LZ4_BYTES_MIN: usize = 48;

/// LZ4 with its tables kept.
pub(super) struct Compressor {
    small: CompressTable,
    large: CompressTable,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor { small: CompressTable::small(), large: CompressTable::large() }
    }
}

impl Compressor {
    /// Appends `bytes` as a payload: method, stored length, stored bytes. LZ4 is kept if it saves
    /// at least `saving_percent_min`.
    pub(super) fn payload(&mut self, bytes: &[u8], saving_percent_min: usize, out: &mut Vec<u8>) {
        let head = out.len();
        out.push(method::LZ4);
        put_u32(out, 0);
        let body = out.len();
        if bytes.len() >= LZ4_BYTES_MIN {
            out.resize(body + get_maximum_output_size(bytes.len()), 0);
            let table = if bytes.len() < 65535 { &mut self.small } else { &mut self.large };
            let stored = compress_into_with_table(bytes, &mut out[body..], table);
            if let Ok(stored) = stored
                && stored <= bytes.len() / 100 * (100 - saving_percent_min)
            {
                out.truncate(body + stored);
                out[head + 1..body].copy_from_slice(&(stored as u32).to_le_bytes());
                return;
            }
        }
        out.truncate(body);
        out[head] = method::RAW;
        out[head + 1..body].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }
}
