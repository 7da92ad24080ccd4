//! Payloads: raw bytes or one LZ4 block, whose decoded length the node knows.

use super::super::encode::method::{LZ4, RAW};
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
        LZ4 if plausible(stored, length) => {
            if scratch.len() < length {
                scratch.resize(length, 0);
            }
            let out = &mut scratch[..length];
            decompress(stored, out)?;
            Ok(out)
        }
        _ => Err(Malformed("a payload")),
    }
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
        LZ4 => decompress(stored, out),
        _ => Err(Malformed("a payload")),
    }
}

/// LZ4 cannot expand more than 255 times.
fn plausible(stored: &[u8], length: usize) -> bool {
    length / 256 <= stored.len()
}

fn decompress(stored: &[u8], out: &mut [u8]) -> Decoded<()> {
    match lz4_flex::block::decompress_into(stored, out) {
        Ok(written) if written == out.len() => Ok(()),
        _ => Err(Malformed("an LZ4 block")),
    }
}
