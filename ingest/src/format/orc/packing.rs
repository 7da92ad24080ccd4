//! Compressed streams: chunks with a head of three bytes, each compressed on its own or left as it is.
//!
//! What a chunk becomes is bounded by the file's chunk size, and all by the budget.

use std::borrow::Cow;
use std::io::Read as _;

use super::budget::Budget;
use super::{Read, bad};

/// Chunks larger than this are refused; the head of a chunk can say 8 MiB.
const CHUNK_BYTES_MAX: u64 = 64 << 20;
/// The most that LZ4 can make of a byte, rounded up.
const LZ4_RATIO_MAX: usize = 256;
const HEAD_BYTES: usize = 3;
/// Level of ZSTD, as ORC's own writer has it.
const ZSTD_LEVEL: i32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Zlib,
    Snappy,
    Lz4,
    Zstd,
}

/// How a file's streams are compressed.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    pub codec: Codec,
    pub chunk_bytes: usize,
}

impl Codec {
    /// The codec that a setting names.
    pub fn named(name: &str) -> Option<Codec> {
        Some(match name {
            "none" => Codec::None,
            "zlib" => Codec::Zlib,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            _ => return None,
        })
    }

    pub fn number(self) -> u64 {
        match self {
            Codec::None => 0,
            Codec::Zlib => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 4,
            Codec::Zstd => 5,
        }
    }
}

impl Packing {
    /// What a postscript says.
    pub fn of_numbers(codec: u64, chunk_bytes: u64) -> Read<Packing> {
        let codec = match codec {
            0 => Codec::None,
            1 => Codec::Zlib,
            2 => Codec::Snappy,
            3 => return Err(bad("compression LZO is not supported")),
            4 => Codec::Lz4,
            5 => Codec::Zstd,
            other => return Err(bad(format!("unknown compression {other}"))),
        };
        if chunk_bytes > CHUNK_BYTES_MAX {
            return Err(bad(format!("chunks of {chunk_bytes} bytes")));
        }
        Ok(Packing { codec, chunk_bytes: chunk_bytes as usize })
    }

    /// The plain bytes of a stream. They are charged to the budget.
    pub fn unpack<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Read<Cow<'a, [u8]>> {
        if self.codec == Codec::None {
            return Ok(Cow::Borrowed(bytes));
        }
        let (mut rest, mut out) = (bytes, vec![]);
        while !rest.is_empty() {
            let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() else {
                return Err(bad("a stream ends within the head of a chunk"));
            };
            let head = u32::from_le_bytes([head[0], head[1], head[2], 0]);
            let chunk = after.split_at_checked(head as usize >> 1);
            let (chunk, after) = chunk.ok_or_else(|| bad("a stream ends within a chunk"))?;
            let before = out.len();
            match head & 1 {
                1 => out.extend_from_slice(chunk),
                _ => self.unpack_chunk(chunk, budget.left(), &mut out)?,
            }
            budget.charge(out.len() - before)?;
            rest = after;
        }
        Ok(Cow::Owned(out))
    }

    fn unpack_chunk(&self, chunk: &[u8], left: usize, out: &mut Vec<u8>) -> Read<()> {
        let limit = self.chunk_bytes.min(left);
        let before = out.len();
        match self.codec {
            Codec::None => out.extend_from_slice(chunk),
            Codec::Zlib => {
                let mut reader = flate2::read::DeflateDecoder::new(chunk).take(limit as u64 + 1);
                reader.read_to_end(out).map_err(|e| bad(format!("zlib: {e}")))?;
            }
            Codec::Zstd => {
                let reader = zstd::Decoder::with_buffer(chunk);
                let mut reader =
                    reader.map_err(|e| bad(format!("zstd: {e}")))?.take(limit as u64 + 1);
                reader.read_to_end(out).map_err(|e| bad(format!("zstd: {e}")))?;
            }
            Codec::Snappy => {
                let size =
                    snap::raw::decompress_len(chunk).map_err(|e| bad(format!("snappy: {e}")))?;
                if size > limit {
                    return Err(too_large(limit));
                }
                out.resize(before + size, 0);
                snap::raw::Decoder::new()
                    .decompress(chunk, &mut out[before..])
                    .map_err(|e| bad(format!("snappy: {e}")))?;
            }
            Codec::Lz4 => {
                let room = limit.min(chunk.len().saturating_mul(LZ4_RATIO_MAX));
                out.resize(before + room, 0);
                let size = lz4_flex::block::decompress_into(chunk, &mut out[before..])
                    .map_err(|e| bad(format!("lz4: {e}")))?;
                out.truncate(before + size);
            }
        }
        if out.len() - before > limit { Err(too_large(limit)) } else { Ok(()) }
    }

    /// Appends `bytes` as chunks; gives how many bytes they took.
    pub fn pack(&self, bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<usize> {
        let before = out.len();
        if self.codec == Codec::None {
            out.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        for chunk in bytes.chunks(self.chunk_bytes.max(1)) {
            let packed = self.pack_chunk(chunk)?;
            let (body, original) = match packed.len() < chunk.len() {
                true => (packed.as_slice(), 0),
                false => (chunk, 1),
            };
            let head = ((body.len() as u32) << 1 | original).to_le_bytes();
            out.extend_from_slice(&head[..HEAD_BYTES]);
            out.extend_from_slice(body);
        }
        Ok(out.len() - before)
    }

    fn pack_chunk(&self, chunk: &[u8]) -> std::io::Result<Vec<u8>> {
        Ok(match self.codec {
            Codec::None => chunk.to_vec(),
            Codec::Zlib => {
                let mut out = vec![];
                let level = flate2::Compression::default();
                flate2::read::DeflateEncoder::new(chunk, level).read_to_end(&mut out)?;
                out
            }
            Codec::Snappy => {
                let packed = snap::raw::Encoder::new().compress_vec(chunk);
                packed.map_err(std::io::Error::other)?
            }
            Codec::Lz4 => lz4_flex::block::compress(chunk),
            Codec::Zstd => zstd::bulk::compress(chunk, ZSTD_LEVEL)?,
        })
    }
}

fn too_large(limit: usize) -> crate::format::ParseError {
    bad(format!("a chunk becomes more than {limit} bytes"))
}
