//! A few rows of a granule: no more of it is decoded than leads to them.
//!
//! Compressed bytes are decoded up to the last row that is wanted, strings are not made of the others.
//! Codes and runs are followed for the wanted rows alone. What the rows do not need is not looked at; its
//! bytes were verified as a whole.

use super::super::encode::tag;
use super::super::wire::{Cursor, Decoded, Malformed};
use super::super::word::{Word, with_word};
use super::number::DEPTH_MAX;
use super::payload::payload_head;
use super::{Scratch, Sink, Values, grow, number, strings};

impl Sink {
    /// Appends the rows `wanted` (ascending, at least one, below `rows`) of `node`, a granule of `rows`
    /// rows without NULLs; false if the column is of another shape than numbers and strings.
    pub(crate) fn append_few(
        &mut self,
        node: &[u8],
        rows: usize,
        wanted: &[u32],
        scratch: &mut Scratch,
    ) -> Decoded<bool> {
        let mut cursor = Cursor::new(node);
        let tag = cursor.u8()?;
        if matches!(tag, tag::EMPTY | tag::NULLS | tag::ALL_NULL) {
            return Err(Malformed("a granule without NULLs"));
        }
        match &mut self.values {
            Values::Number { width, buffer } => {
                let end = self.rows + wanted.len();
                grow(buffer, end * *width);
                with_word!(*width, T => {
                    let out = &mut buffer.typed_data_mut::<T>()[self.rows..end];
                    few_words::<T>(tag, &mut cursor, rows, wanted, out, scratch, 0)?;
                });
            }
            Values::Strings(sink) => few_strings(sink, tag, &mut cursor, rows, wanted, scratch)?,
            _ => return Ok(false),
        }
        if cursor.remaining() > 0 {
            return Err(Malformed("the end of a granule"));
        }
        self.rows += wanted.len();
        Ok(true)
    }
}

/// The row behind the last one that is wanted.
fn end_of(wanted: &[u32]) -> usize {
    wanted.last().map_or(0, |row| *row as usize + 1)
}

/// Fills `out` with the wanted of `rows` words.
fn few_words<T: Word>(
    tag: u8,
    cursor: &mut Cursor<'_>,
    rows: usize,
    wanted: &[u32],
    out: &mut [T],
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<()> {
    let until = end_of(wanted);
    match tag {
        tag::CONSTANT => out.fill(T::get(cursor.take(T::WIDTH)?)),
        tag::PLAIN => {
            let (length, head) = (rows * T::WIDTH, until * T::WIDTH);
            let bytes = payload_head(cursor, length, head, &mut scratch.bytes)?;
            for (slot, row) in out.iter_mut().zip(wanted) {
                *slot = T::get(&bytes[*row as usize * T::WIDTH..][..T::WIDTH]);
            }
        }
        tag::FRAME => {
            let base = T::get(cursor.take(T::WIDTH)?);
            let (width, bytes) = narrow_head::<T>(cursor, rows, until, scratch)?;
            for (slot, row) in out.iter_mut().zip(wanted) {
                *slot = base.plus(narrow_at(bytes, width, *row as usize));
            }
        }
        tag::DELTA => {
            let mut word = T::get(cursor.take(T::WIDTH)?);
            let (width, bytes) = narrow_head::<T>(cursor, rows - 1, until - 1, scratch)?;
            let mut at = 0;
            for (slot, row) in out.iter_mut().zip(wanted) {
                for step in at..*row as usize {
                    word = word.plus(narrow_at(bytes, width, step));
                }
                at = *row as usize;
                *slot = word;
            }
        }
        tag::RUNS if depth < DEPTH_MAX => {
            let count = cursor.u32()? as usize;
            if count == 0 || count > rows {
                return Err(Malformed("a number of runs"));
            }
            let mut lengths = vec![0u32; count];
            number::words(cursor.u8()?, cursor, &mut lengths, scratch, depth + 1)?;
            let mut heads = vec![T::default(); count];
            number::words(cursor.u8()?, cursor, &mut heads, scratch, depth + 1)?;
            let mut runs = lengths.iter().zip(&heads);
            let (mut end, mut head) = (0, T::default());
            for (slot, row) in out.iter_mut().zip(wanted) {
                while *row as u64 >= end {
                    let (length, next) = runs.next().ok_or(Malformed("run lengths"))?;
                    (end, head) = (end + *length as u64, *next);
                }
                *slot = head;
            }
        }
        tag::DICTIONARY if depth < DEPTH_MAX => {
            let distinct = strings::dictionary_size(cursor, rows)?;
            let mut values = vec![T::default(); distinct];
            number::words(cursor.u8()?, cursor, &mut values, scratch, depth + 1)?;
            let codes = few_codes(cursor, rows, wanted, distinct, scratch, depth + 1)?;
            for (slot, code) in out.iter_mut().zip(&codes) {
                *slot = values[*code as usize];
            }
        }
        _ => return Err(Malformed("a number node")),
    }
    Ok(())
}

/// The wanted of `rows` codes, all below `distinct`.
fn few_codes(
    cursor: &mut Cursor<'_>,
    rows: usize,
    wanted: &[u32],
    distinct: usize,
    scratch: &mut Scratch,
    depth: u8,
) -> Decoded<Vec<u16>> {
    let tag = cursor.u8()?;
    let codes: Vec<u16> = if distinct <= 256 {
        let mut codes = vec![0u8; wanted.len()];
        few_words(tag, cursor, rows, wanted, &mut codes, scratch, depth)?;
        codes.into_iter().map(u16::from).collect()
    } else {
        let mut codes = vec![0u16; wanted.len()];
        few_words(tag, cursor, rows, wanted, &mut codes, scratch, depth)?;
        codes
    };
    match codes.iter().all(|code| (*code as usize) < distinct) {
        true => Ok(codes),
        false => Err(Malformed("codes of the dictionary")),
    }
}

/// A width and the first `until` of `count` numbers that wide.
fn narrow_head<'s, 'a: 's, T: Word>(
    cursor: &mut Cursor<'a>,
    count: usize,
    until: usize,
    scratch: &'s mut Scratch,
) -> Decoded<(usize, &'s [u8])> {
    let width = cursor.u8()? as usize;
    if !matches!(width, 1 | 2 | 4 | 8) || width > T::WIDTH {
        return Err(Malformed("a narrow width"));
    }
    Ok((width, payload_head(cursor, count * width, until * width, &mut scratch.bytes)?))
}

fn narrow_at(bytes: &[u8], width: usize, at: usize) -> u64 {
    let mut word = [0u8; 8];
    word[..width].copy_from_slice(&bytes[at * width..(at + 1) * width]);
    u64::from_le_bytes(word)
}

fn few_strings(
    sink: &mut strings::StringSink,
    tag: u8,
    cursor: &mut Cursor<'_>,
    rows: usize,
    wanted: &[u32],
    scratch: &mut Scratch,
) -> Decoded<()> {
    match tag {
        tag::CONSTANT => {
            let string = cursor.bytes()?;
            wanted.iter().try_for_each(|_| sink.push(string))
        }
        tag::PLAIN => few_plain(sink, cursor, rows, wanted, scratch),
        tag::DICTIONARY => {
            let distinct = strings::dictionary_size(cursor, rows)?;
            if cursor.u8()? != tag::PLAIN {
                return Err(Malformed("a plain node"));
            }
            // The codes are behind the strings: they are followed first.
            let mut dictionary = *cursor;
            strings::skip_plain(cursor)?;
            let codes = few_codes(cursor, rows, wanted, distinct, scratch, 1)?;
            let mut rows: Vec<u32> = codes.iter().map(|code| *code as u32).collect();
            rows.sort_unstable();
            rows.dedup();
            let mut found = strings::StringSink::new(rows.len(), 0);
            few_plain(&mut found, &mut dictionary, distinct, &rows, scratch)?;
            let (offsets, bytes) = found.finish()?;
            codes.iter().try_for_each(|code| {
                let at = rows.binary_search(&(*code as u32)).map_err(|_| Malformed("codes"))?;
                sink.push(&bytes[offsets[at] as usize..offsets[at + 1] as usize])
            })
        }
        _ => Err(Malformed("a string node")),
    }
}

/// Of a plain node whose tag was read.
fn few_plain(
    sink: &mut strings::StringSink,
    cursor: &mut Cursor<'_>,
    rows: usize,
    wanted: &[u32],
    scratch: &mut Scratch,
) -> Decoded<()> {
    let mut lengths = vec![];
    strings::lengths(cursor, rows, &mut lengths, scratch)?;
    let total = lengths.iter().map(|l| *l as usize).sum();
    scratch.spend(total)?;
    let until: usize = lengths[..end_of(wanted)].iter().map(|l| *l as usize).sum();
    let bytes = payload_head(cursor, total, until, &mut scratch.bytes)?;
    let (mut row, mut from) = (0, 0);
    for next in wanted {
        let next = *next as usize;
        from += lengths[row..next].iter().map(|l| *l as usize).sum::<usize>();
        row = next;
        sink.push(&bytes[from..from + lengths[row] as usize])?;
    }
    Ok(())
}
