//! Payloads: bytes as they are, compressed, words of few bits, or put through a chain of codecs. The node
//! knows their decoded length.

use super::super::codec::{chain, lz4, zstd};
use super::super::encode::method::{CHAIN, LZ4, PACKED, RAW, ZSTD};
use super::super::packed::Packing;
use super::super::wire::{Cursor, Decoded, Malformed};

/// The `length` bytes of a payload, decompressed into `scratch` if they must be.
pub(super) fn payload<'s, 'a: 's>(
    cursor: &mut Cursor<'a>,
    length: usize,
    scratch: &'s mut Vec<u8>,
) -> Decoded<&'s [u8]> {
    let method = cursor.u8()?;
    let stored = cursor.bytes()?;
    match method {
        RAW if stored.len() == length => Ok(stored),
        RAW => Err(Malformed("a payload")),
        LZ4 | PACKED if !plausible(stored, length) => Err(Malformed("a payload")),
        _ => {
            if scratch.len() < length {
                scratch.resize(length, 0);
            }
            let out = &mut scratch[..length];
            decompress(method, stored, out)?;
            Ok(out)
        }
    }
}

/// The first `until` bytes of a payload of `length`, decompressed into `scratch` if they must be.
pub(super) fn payload_head<'s, 'a: 's>(
    cursor: &mut Cursor<'a>,
    length: usize,
    until: usize,
    scratch: &'s mut Vec<u8>,
) -> Decoded<&'s [u8]> {
    let mut ahead = *cursor;
    let method = ahead.u8()?;
    if !matches!(method, LZ4 | PACKED) || until >= length {
        let whole = payload(cursor, length, scratch)?;
        return whole.get(..until).ok_or(Malformed("a payload"));
    }
    let stored = ahead.bytes()?;
    if !plausible(stored, length) {
        return Err(Malformed("a payload"));
    }
    *cursor = ahead;
    if scratch.len() < until {
        scratch.resize(until, 0);
    }
    match method {
        PACKED => Packing::unpack(stored, length, &mut scratch[..until])?,
        _ => lz4::decode_head(stored, scratch, until)?,
    }
    Ok(&scratch[..until])
}

/// Fills `out` from a payload.
pub(super) fn payload_into(cursor: &mut Cursor<'_>, out: &mut [u8]) -> Decoded<()> {
    let method = cursor.u8()?;
    let stored = cursor.bytes()?;
    match method {
        RAW if stored.len() == out.len() => {
            out.copy_from_slice(stored);
            Ok(())
        }
        _ => decompress(method, stored, out),
    }
}

/// Appends the `length` bytes of a payload to `out`.
pub(super) fn payload_append(
    cursor: &mut Cursor<'_>,
    length: usize,
    out: &mut Vec<u8>,
) -> Decoded<()> {
    let method = cursor.u8()?;
    let stored = cursor.bytes()?;
    match method {
        RAW if stored.len() == length => {
            out.extend_from_slice(stored);
            Ok(())
        }
        LZ4 => lz4::append(stored, out, length),
        _ => {
            let first = out.len();
            out.resize(first + length, 0);
            decompress(method, stored, &mut out[first..])
        }
    }
}

/// A payload whose bytes come behind those that are there, and wait for another: two at once are decoded in two thirds
/// of the time (`lz4_block`). Nothing may be appended before they are settled.
#[derive(Default)]
pub(super) struct Waiting {
    /// As it is stored, a copy: what it was read from may be gone by then.
    stored: Vec<u8>,
    /// Its bytes; 0 if none waits.
    length: usize,
}

/// From so many bytes on.
const WAITING_MIN: usize = 2048;

impl Waiting {
    /// Appends the bytes of what waits to `out`.
    pub(super) fn settle(&mut self, out: &mut Vec<u8>) -> Decoded<()> {
        match std::mem::take(&mut self.length) {
            0 => Ok(()),
            length => lz4::append(&self.stored, out, length),
        }
    }
}

/// As [`payload_append`], now or when the next one comes.
pub(super) fn payload_later(
    cursor: &mut Cursor<'_>,
    length: usize,
    out: &mut Vec<u8>,
    waiting: &mut Waiting,
) -> Decoded<()> {
    let mut ahead = *cursor;
    let (method, stored) = (ahead.u8()?, ahead.bytes()?);
    if method != LZ4 || length < WAITING_MIN || !plausible(stored, length) {
        waiting.settle(out)?;
        return payload_append(cursor, length, out);
    }
    *cursor = ahead;
    if waiting.length > 0 {
        let first = std::mem::take(&mut waiting.length);
        return lz4::append_two((&waiting.stored, first), (stored, length), out);
    }
    waiting.stored.clear();
    waiting.stored.extend_from_slice(stored);
    waiting.length = length;
    Ok(())
}

/// LZ4 cannot expand more than 255 times, and words have at least one bit.
fn plausible(stored: &[u8], length: usize) -> bool {
    length / 256 <= stored.len()
}

fn decompress(method: u8, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
    match method {
        LZ4 => lz4::decode(stored, out),
        ZSTD => zstd::decompress(stored, out),
        PACKED => Packing::unpack(stored, out.len(), out),
        CHAIN => chain::decode(stored, out),
        _ => Err(Malformed("a payload")),
    }
}
