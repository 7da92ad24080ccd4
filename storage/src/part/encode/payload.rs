//! The leaf of every node: bytes as they are, or compressed as the column's codec says when that saves
//! enough, words of few bits, or put through a chain of codecs.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::super::codec::lz4_compress::Lz4Compressor;
use super::super::codec::{Generic, Stage, chain, lz4hc, zstd};
use super::super::packed::Packing;
use super::super::wire::put_bytes;

/// How a payload is stored. Numbers are part of the file format.
pub(crate) mod method {
    pub(crate) const RAW: u8 = 0;
    pub(crate) const LZ4: u8 = 1;
    /// One frame.
    pub(crate) const ZSTD: u8 = 2;
    /// Stages of a chain and what the last gave.
    pub(crate) const CHAIN: u8 = 3;
    /// Words of few bits.
    pub(crate) const PACKED: u8 = 4;
}

/// Below this nothing is tried.
const BYTES_MIN: usize = 48;
/// Who asks for a slow codec wants what little it saves.
const SLOW_SAVING_PERCENT_MIN: usize = 3;

/// LZ4 must be this much smaller than words of few bits, which are read several times as fast.
const BELOW_PACKED_PERCENT_MIN: usize = 25;
/// Words of one and two bytes are packed if that saves this much,
const PACKING_PERCENT_MIN: usize = 10;
/// and longer ones, which can be read straight to where they stay, if it saves this much.
const PACKING_LONG_PERCENT_MIN: usize = 30;

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
    /// Whether columns are compressed for speed: a codec that was asked for by name takes what it can get.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.generic, Generic::Lz4)
    }

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

    /// How words of `width` bytes of which `bits` are used are best packed; None if that saves little, or the
    /// column's codec asks for something else.
    pub(super) fn packing(&self, width: usize, bits: u32) -> Option<Packing> {
        let saving = if width > 2 { PACKING_LONG_PERCENT_MIN } else { PACKING_PERCENT_MIN };
        let saves = bits as usize * 100 <= width * 8 * (100 - saving);
        let packing = Packing::new(width, bits).filter(|_| saves)?;
        self.is_quick().then_some(packing)
    }

    /// Appends words as a payload: by LZ4 if that saves `saving_percent_min` and is much smaller than
    /// `packing`, packed if there is one, or as they are.
    pub(super) fn words(
        &mut self,
        bytes: &[u8],
        (packing, words): (Option<Packing>, usize),
        saving_percent_min: usize,
        out: &mut Vec<u8>,
    ) {
        let packed = packing.map(|packing| (packing, packing.stored(words)));
        let Some((packing, packed)) = packed.filter(|(_, packed)| *packed < bytes.len()) else {
            return self.payload(bytes, saving_percent_min, out);
        };
        let most = (bytes.len() / 100 * (100 - saving_percent_min))
            .min(packed / 100 * (100 - BELOW_PACKED_PERCENT_MIN));
        let method = match self.compress(bytes, most, false) {
            Some(_) => method::LZ4,
            None => {
                packing.pack(bytes, &mut self.buffer);
                method::PACKED
            }
        };
        out.push(method);
        put_bytes(out, &self.buffer);
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
