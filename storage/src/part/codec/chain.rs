//! Bytes through the stages of a chain and back.
//!
//! Stored: `u8` stages, then per stage from the first applied: `u8` id, `u8` width, `u8` level, `u32`
//! bytes that it gave; then the bytes that the last gave.

use super::{Parameters, Stage, by_id, encoded_bytes_max};
use crate::part::wire::{Cursor, Decoded, Malformed, put_u32};

/// Longer chains are not read.
const STAGES_MAX: usize = 16;

/// Appends `bytes`, words of `width` bytes, encoded by all stages.
pub(crate) fn encode(
    stages: &[Stage],
    width: usize,
    signed: bool,
    bytes: &[u8],
    out: &mut Vec<u8>,
) {
    let (mut now, mut next) = (bytes.to_vec(), vec![]);
    let stages = &stages[..stages.len().min(STAGES_MAX)];
    out.push(stages.len() as u8);
    for stage in stages {
        let width = if stage.width == 0 { width as u8 } else { stage.width };
        next.clear();
        stage.codec.encode(Parameters { width, level: stage.level, signed }, &now, &mut next);
        out.extend_from_slice(&[stage.codec.id(), width, stage.level as u8]);
        put_u32(out, next.len() as u32);
        std::mem::swap(&mut now, &mut next);
    }
    out.extend_from_slice(&now);
}

/// Fills `out` from what [`encode`] wrote for as many bytes.
pub(crate) fn decode(stored: &[u8], out: &mut [u8]) -> Decoded<()> {
    let mut cursor = Cursor::new(stored);
    let count = cursor.u8()? as usize;
    if count == 0 || count > STAGES_MAX {
        return Err(Malformed("a chain of codecs"));
    }
    let mut stages = Vec::with_capacity(count);
    let mut before = out.len();
    for _ in 0..count {
        let codec = by_id(cursor.u8()?).ok_or(Malformed("a known codec"))?;
        let (width, level) = (cursor.u8()?, cursor.u8()? as i8);
        let given = cursor.u32()? as usize;
        // Also bounds what is allocated below.
        if given > encoded_bytes_max(before) || given > encoded_bytes_max(out.len()) * 2 {
            return Err(Malformed("bytes of a codec"));
        }
        stages.push((codec, Parameters { width, level, signed: false }, before));
        before = given;
    }
    let mut now = cursor.take(before)?.to_vec();
    if cursor.remaining() > 0 {
        return Err(Malformed("the end of a chain"));
    }
    while let Some((codec, parameters, length)) = stages.pop() {
        if stages.is_empty() {
            return codec.decode(parameters, &now, out);
        }
        let mut decoded = vec![0; length];
        codec.decode(parameters, &now, &mut decoded)?;
        now = decoded;
    }
    Ok(())
}
