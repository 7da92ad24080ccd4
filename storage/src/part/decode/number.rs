//! Number nodes into words that are already allocated.

use super::super::encode::tag;
use super::super::wire::{Cursor, Decoded, Malformed};
use super::super::word::{Word, stored_bytes};
use super::payload::{payload, payload_into};
use super::{Scratch, strings};

/// Nodes inside nodes: runs or dictionary, then flat ones.
pub(super) const DEPTH_MAX: u8 = 2;

/// Fills `out` (not empty) from the node whose tag was read.
pub(super) fn words<T: Word>(
    tag: u8,
    cursor: &mut Cursor<'_>,
    out: &mut [T],
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<()> {
    match tag {
        tag::CONSTANT => out.fill(T::get(cursor.take(T::WIDTH)?)),
        tag::PLAIN => plain(cursor, out, scratch)?,
        tag::FRAME => {
            let base = T::get(cursor.take(T::WIDTH)?);
            frame(base, cursor, out, scratch)?;
        }
        tag::DELTA => {
            let mut last = T::get(cursor.take(T::WIDTH)?);
            let (first, rest) = out.split_first_mut().ok_or(Malformed("rows"))?;
            *first = last;
            narrowed(cursor, rest, scratch, |slot, step| {
                last = last.plus(step);
                *slot = last;
            })?;
        }
        tag::RUNS if depth < DEPTH_MAX => runs(cursor, out, scratch, depth)?,
        tag::DICTIONARY if depth < DEPTH_MAX => dictionary(cursor, out, scratch, depth)?,
        _ => return Err(Malformed("a number node")),
    }
    Ok(())
}

fn plain<T: Word>(cursor: &mut Cursor<'_>, out: &mut [T], scratch: &mut Scratch) -> Decoded<()> {
    if let Some(bytes) = stored_bytes(out) {
        return payload_into(cursor, bytes);
    }
    let bytes = payload(cursor, size_of_val(out), &mut scratch.bytes)?;
    for (slot, word) in out.iter_mut().zip(bytes.chunks_exact(T::WIDTH)) {
        *slot = T::get(word);
    }
    Ok(())
}

/// Distances from `base`; those as wide as the words are read to where they stay.
fn frame<T: Word>(
    base: T,
    cursor: &mut Cursor<'_>,
    out: &mut [T],
    scratch: &mut Scratch,
) -> Decoded<()> {
    let mut ahead = *cursor;
    if ahead.u8()? as usize == T::WIDTH
        && T::WIDTH <= 8
        && let Some(bytes) = stored_bytes(out)
    {
        *cursor = ahead;
        payload_into(cursor, bytes)?;
        if base != T::default() {
            out.iter_mut().for_each(|slot| *slot = base.plus(slot.fold()));
        }
        return Ok(());
    }
    narrowed(cursor, out, scratch, |slot, distance| *slot = base.plus(distance))
}

/// Reads a width and that wide a number per slot.
fn narrowed<T: Word>(
    cursor: &mut Cursor<'_>,
    out: &mut [T],
    scratch: &mut Scratch,
    mut put: impl FnMut(&mut T, u64),
) -> Decoded<()> {
    let width = cursor.u8()? as usize;
    if !matches!(width, 1 | 2 | 4 | 8) || width > T::WIDTH {
        return Err(Malformed("a narrow width"));
    }
    let bytes = payload(cursor, out.len() * width, &mut scratch.bytes)?;
    let slots = out.iter_mut();
    match width {
        1 => slots.zip(bytes).for_each(|(slot, b)| put(slot, *b as u64)),
        2 => slots
            .zip(bytes.as_chunks::<2>().0)
            .for_each(|(slot, b)| put(slot, u16::from_le_bytes(*b) as u64)),
        4 => slots
            .zip(bytes.as_chunks::<4>().0)
            .for_each(|(slot, b)| put(slot, u32::from_le_bytes(*b) as u64)),
        _ => slots
            .zip(bytes.as_chunks::<8>().0)
            .for_each(|(slot, b)| put(slot, u64::from_le_bytes(*b))),
    }
    Ok(())
}

fn runs<T: Word>(
    cursor: &mut Cursor<'_>,
    out: &mut [T],
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<()> {
    let count = cursor.u32()? as usize;
    if count == 0 || count > out.len() {
        return Err(Malformed("a number of runs"));
    }
    let mut lengths = std::mem::take(&mut scratch.runs);
    lengths.resize(count, 0);
    words(cursor.u8()?, cursor, &mut lengths, scratch, depth + 1)?;
    let mut heads = vec![T::default(); count];
    words(cursor.u8()?, cursor, &mut heads, scratch, depth + 1)?;
    let mut rest = out;
    for (length, head) in lengths.iter().zip(&heads) {
        let (run, after) =
            rest.split_at_mut_checked(*length as usize).ok_or(Malformed("run lengths"))?;
        run.fill(*head);
        rest = after;
    }
    scratch.runs = lengths;
    if rest.is_empty() { Ok(()) } else { Err(Malformed("run lengths")) }
}

fn dictionary<T: Word>(
    cursor: &mut Cursor<'_>,
    out: &mut [T],
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<()> {
    let distinct = cursor.u32()? as usize;
    if distinct == 0 || distinct > out.len() || distinct > u16::MAX as usize {
        return Err(Malformed("a dictionary size"));
    }
    let mut values = vec![T::default(); distinct];
    words(cursor.u8()?, cursor, &mut values, scratch, depth + 1)?;
    if distinct <= 256 {
        // A table that holds every code needs no check for each.
        let mut table = [T::default(); 256];
        table[..distinct].copy_from_slice(&values);
        let memory = std::mem::take(&mut scratch.narrow);
        let codes = strings::codes(cursor, out.len(), distinct, memory, scratch, depth + 1)?;
        for (slot, code) in out.iter_mut().zip(&codes) {
            *slot = table[*code as usize];
        }
        scratch.narrow = codes;
    } else {
        let memory = std::mem::take(&mut scratch.wide);
        let codes = strings::codes(cursor, out.len(), distinct, memory, scratch, depth + 1)?;
        for (slot, code) in out.iter_mut().zip(&codes) {
            *slot = values[*code as usize];
        }
        scratch.wide = codes;
    }
    Ok(())
}
