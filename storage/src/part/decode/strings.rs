//! String nodes, fixed bytes, lengths and codes.

use arrow_buffer::BooleanBuffer;

use super::super::encode::tag;
use super::super::wire::{Cursor, Decoded, Malformed};
use super::super::word::Word;
use super::payload::{Waiting, payload_append, payload_into, payload_later};
use super::{Scratch, number};
use crate::flags::pack;
use crate::spread::count_flags;

/// Bytes that a string of a dictionary is copied with, if it is no longer; both ends of a copy have this
/// much room behind.
const STRIDE: usize = 64;
/// The same for short ones.
const SHORT_STRIDE: usize = 16;

/// Strings being decoded.
pub(super) struct StringSink {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    /// The bytes of the last strings, which are decoded together with those of the next ones.
    waiting: Waiting,
}

impl StringSink {
    pub(super) fn new(rows: usize, bytes: usize) -> StringSink {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        let bytes = Vec::with_capacity(bytes + STRIDE);
        StringSink { offsets, bytes, waiting: Waiting::default() }
    }

    pub(super) fn append_empty(&mut self, rows: usize) {
        let last = self.offsets.last().copied().unwrap_or(0);
        self.offsets.resize(self.offsets.len() + rows, last);
    }

    /// Appends one string.
    pub(super) fn push(&mut self, string: &[u8]) -> Decoded<()> {
        self.settle()?;
        if self.bytes.len() + string.len() > i32::MAX as usize {
            return Err(Malformed("less than 2 GiB of strings"));
        }
        self.bytes.extend_from_slice(string);
        self.offsets.push(self.bytes.len() as i32);
        Ok(())
    }

    /// Decodes what waits.
    pub(super) fn settle(&mut self) -> Decoded<()> {
        self.waiting.settle(&mut self.bytes)
    }

    pub(super) fn finish(mut self) -> Decoded<(Vec<i32>, Vec<u8>)> {
        self.settle()?;
        Ok((self.offsets, self.bytes))
    }

    pub(super) fn append(
        &mut self,
        tag: u8,
        cursor: &mut Cursor<'_>,
        rows: usize,
        scratch: &mut Scratch,
    ) -> Decoded<()> {
        scratch.spend(rows * 4)?;
        match tag {
            tag::CONSTANT => {
                self.settle()?;
                let string = cursor.bytes()?;
                let total = string.len().checked_mul(rows).ok_or(Malformed("a length"))?;
                scratch.spend(total)?;
                let first = self.bytes.len();
                if first + total > i32::MAX as usize {
                    return Err(Malformed("less than 2 GiB of strings"));
                }
                self.offsets.extend((1..=rows).map(|i| (first + i * string.len()) as i32));
                for _ in 0..if string.is_empty() { 0 } else { rows } {
                    self.bytes.extend_from_slice(string);
                }
                Ok(())
            }
            tag::PLAIN => {
                let mut lens = std::mem::take(&mut scratch.words);
                lengths(cursor, rows, &mut lens, scratch)?;
                let total = total(&lens);
                scratch.spend(total)?;
                push_offsets(&mut self.offsets, &lens, total)?;
                scratch.words = lens;
                self.append_bytes(cursor, total)
            }
            tag::DICTIONARY => {
                let distinct = dictionary_size(cursor, rows)?;
                let dictionary = dictionary_strings(cursor, distinct, scratch)?;
                if distinct <= 256 {
                    let memory = std::mem::take(&mut scratch.narrow);
                    let codes = codes(cursor, rows, distinct, memory, scratch, 1)?;
                    self.append_coded(&dictionary, codes.iter().map(|c| *c as usize), scratch)?;
                    scratch.narrow = codes;
                } else {
                    let memory = std::mem::take(&mut scratch.wide);
                    let codes = codes(cursor, rows, distinct, memory, scratch, 1)?;
                    self.append_coded(&dictionary, codes.iter().map(|c| *c as usize), scratch)?;
                    scratch.wide = codes;
                }
                Ok(())
            }
            _ => Err(Malformed("a string node")),
        }
    }

    /// Appends a plain node; if most of its strings are empty, one empty string and then the others.
    /// Returns in that case which rows are the others'.
    pub(super) fn append_filled(
        &mut self,
        cursor: &mut Cursor<'_>,
        rows: usize,
        scratch: &mut Scratch,
    ) -> Decoded<Option<BooleanBuffer>> {
        scratch.spend(rows * 4)?;
        let mut lens = std::mem::take(&mut scratch.words);
        lengths(cursor, rows, &mut lens, scratch)?;
        let flags: Vec<u8> = lens.iter().map(|length| u8::from(*length > 0)).collect();
        let filled = pack(&flags);
        let is_sparse = count_flags(&filled) < rows / 2;
        if is_sparse {
            let mut kept = 0;
            for row in filled.set_indices() {
                lens[kept] = lens[row];
                kept += 1;
            }
            lens.truncate(kept);
            self.append_empty(1);
        }
        let total = total(&lens);
        scratch.spend(total)?;
        push_offsets(&mut self.offsets, &lens, total)?;
        scratch.words = lens;
        self.append_bytes(cursor, total)?;
        Ok(is_sparse.then_some(filled))
    }

    fn append_bytes(&mut self, cursor: &mut Cursor<'_>, total: usize) -> Decoded<()> {
        payload_later(cursor, total, &mut self.bytes, &mut self.waiting)
    }

    fn append_coded(
        &mut self,
        dictionary: &StringSink,
        codes: impl Iterator<Item = usize> + Clone,
        scratch: &mut Scratch,
    ) -> Decoded<()> {
        self.settle()?;
        let spans: Vec<(u32, u32)> =
            dictionary.offsets.windows(2).map(|w| (w[0] as u32, (w[1] - w[0]) as u32)).collect();
        let total: usize = codes.clone().map(|code| spans[code].1 as usize).sum();
        scratch.spend(total)?;
        let first = self.bytes.len();
        if first + total > i32::MAX as usize {
            return Err(Malformed("less than 2 GiB of strings"));
        }
        self.bytes.reserve(total + STRIDE);
        for code in codes {
            let (from, length) = (spans[code].0 as usize, spans[code].1 as usize);
            let end = self.bytes.len() + length;
            // A copy of fixed size needs no call; what it writes too much is overwritten next.
            if length <= SHORT_STRIDE {
                self.bytes.extend_from_slice(&dictionary.bytes[from..from + SHORT_STRIDE]);
            } else if length <= STRIDE {
                self.bytes.extend_from_slice(&dictionary.bytes[from..from + STRIDE]);
            } else {
                self.bytes.extend_from_slice(&dictionary.bytes[from..from + length]);
            }
            self.bytes.truncate(end);
            self.offsets.push(end as i32);
        }
        Ok(())
    }
}

pub(super) fn dictionary_size(cursor: &mut Cursor<'_>, rows: usize) -> Decoded<usize> {
    let distinct = cursor.u32()? as usize;
    if distinct == 0 || distinct > rows || distinct > u16::MAX as usize {
        return Err(Malformed("a dictionary size"));
    }
    Ok(distinct)
}

/// The plain node of a dictionary's strings, with a stride of room behind.
fn dictionary_strings(
    cursor: &mut Cursor<'_>,
    distinct: usize,
    scratch: &mut Scratch,
) -> Decoded<StringSink> {
    if cursor.u8()? != tag::PLAIN {
        return Err(Malformed("a plain node"));
    }
    let mut lens = std::mem::take(&mut scratch.words);
    lengths(cursor, distinct, &mut lens, scratch)?;
    let total = total(&lens);
    // Each distinct string stands in some row, so the block's own size bounds this.
    if total > scratch.budget {
        return Err(Malformed("a block of its recorded size"));
    }
    let mut sink = StringSink::new(distinct, total);
    push_offsets(&mut sink.offsets, &lens, total)?;
    scratch.words = lens;
    payload_append(cursor, total, &mut sink.bytes)?;
    sink.bytes.resize(total + STRIDE, 0);
    Ok(sink)
}

/// Passes over a plain node of strings whose tag was read.
pub(super) fn skip_plain(cursor: &mut Cursor<'_>) -> Decoded<()> {
    super::coded::skip_words::<u32>(cursor, 0)?;
    super::coded::skip_payload(cursor)
}

/// Fixed bytes of `width`, `rows` times.
pub(super) fn fixed(
    tag: u8,
    cursor: &mut Cursor<'_>,
    rows: usize,
    width: usize,
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Decoded<()> {
    let total = rows * width;
    scratch.spend(total)?;
    let first = out.len();
    match tag {
        tag::CONSTANT => {
            let value = cursor.bytes()?;
            if value.len() != width {
                return Err(Malformed("fixed bytes"));
            }
            for _ in 0..rows {
                out.extend_from_slice(value);
            }
        }
        tag::PLAIN => {
            out.resize(first + total, 0);
            payload_into(cursor, &mut out[first..])?;
        }
        tag::DICTIONARY => {
            let distinct = dictionary_size(cursor, rows)?;
            if cursor.u8()? != tag::PLAIN {
                return Err(Malformed("a plain node"));
            }
            let mut values = vec![0; distinct * width];
            payload_into(cursor, &mut values)?;
            let mut push =
                |code: usize| out.extend_from_slice(&values[code * width..(code + 1) * width]);
            if distinct <= 256 {
                let memory = std::mem::take(&mut scratch.narrow);
                let codes = codes(cursor, rows, distinct, memory, scratch, 1)?;
                codes.iter().for_each(|c| push(*c as usize));
                scratch.narrow = codes;
            } else {
                let memory = std::mem::take(&mut scratch.wide);
                let codes = codes(cursor, rows, distinct, memory, scratch, 1)?;
                codes.iter().for_each(|c| push(*c as usize));
                scratch.wide = codes;
            }
        }
        _ => return Err(Malformed("a node of fixed bytes")),
    }
    Ok(())
}

/// A number node of `rows` codes, all below `distinct`, in place of what `codes` held.
pub(super) fn codes<T: Word>(
    cursor: &mut Cursor<'_>,
    rows: usize,
    distinct: usize,
    mut codes: Vec<T>,
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<Vec<T>> {
    codes.resize(rows, T::default());
    number::words(cursor.u8()?, cursor, &mut codes, scratch, depth)?;
    // Unlike `max`, a fold is done many at a time.
    let largest = codes.iter().fold(T::default(), |most, code| most.max(*code));
    if largest.fold() >= distinct as u64 {
        return Err(Malformed("codes of the dictionary"));
    }
    Ok(codes)
}

/// A number node of `rows` lengths, in place of what `out` held.
pub(super) fn lengths(
    cursor: &mut Cursor<'_>,
    rows: usize,
    out: &mut Vec<u32>,
    scratch: &mut Scratch,
) -> Decoded<()> {
    out.resize(rows, 0);
    number::words(cursor.u8()?, cursor, out, scratch, 0)
}

fn total(lengths: &[u32]) -> usize {
    lengths.iter().map(|l| *l as usize).sum()
}

/// Appends offsets for `lengths`, whose sum must be `total`.
pub(super) fn push_offsets(
    offsets: &mut Vec<i32>,
    lengths: &[u32],
    total_expected: usize,
) -> Decoded<()> {
    let first = offsets.last().copied().unwrap_or(0);
    let total = total(lengths);
    if total != total_expected || total > (i32::MAX - first) as usize {
        return Err(Malformed("lengths of the items"));
    }
    let mut at = first;
    offsets.extend(lengths.iter().map(|length| {
        at += *length as i32;
        at
    }));
    Ok(())
}
