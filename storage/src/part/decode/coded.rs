//! Granules as few values and where rows find theirs: what a condition on one column needs, and what
//! makes a column of chosen rows only.
//!
//! The values of a granule are appended to a [`Sink`] (those of a dictionary, of runs, or of the rows
//! themselves); the codes or run lengths are left where they lie until [`mapping`] is asked for them.
//! Nodes with a bitmap, lists and structs are not read this way: [`readable`] says so.

use arrow_buffer::{BooleanBuffer, MutableBuffer};

use super::super::encode::tag;
use super::super::layout::Layout;
use super::super::wire::{Cursor, Decoded, Malformed};
use super::super::word::{Word, with_word};
use super::payload::payload;
use super::{Scratch, Sink, Values, grow, number, strings};
use crate::spread::count_flags;

/// Rows from which on distances of a byte are taken as codes: then they repeat.
const DISTANCES_ROWS_MIN: usize = if cfg!(test) { 16 } else { 1024 };

/// What of a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aspect {
    Values,
    /// Lengths of strings, as 8-byte words; their bytes are not touched.
    Sizes,
}

/// Whether granules without NULLs of this layout can be read as few values.
pub(crate) fn readable(layout: &Layout, aspect: Aspect) -> bool {
    match aspect {
        Aspect::Values => matches!(layout, Layout::Number { .. } | Layout::Strings),
        Aspect::Sizes => matches!(layout, Layout::Strings),
    }
}

/// A granule whose values were appended.
pub(crate) struct Coded {
    pub(crate) rows: usize,
    /// Number of its values, which lie one behind the other.
    pub(crate) values: usize,
    kind: Kind,
    /// Where in the node codes or run lengths lie.
    at: usize,
    /// Of strings most of which are empty: the rows of the others.
    filled: Option<BooleanBuffer>,
}

impl Coded {
    /// Rows that have a value each.
    pub(crate) fn plain(rows: usize) -> Coded {
        Coded { rows, values: rows, kind: Kind::Rows, at: 0, filled: None }
    }

    /// Whether each row has a value of its own, in order.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind == Kind::Rows
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rows,
    Constant,
    Runs,
    Codes,
    /// Distances from a base, a byte each.
    Distances,
    /// Strings most of which are empty: one empty value, then those of the rows that are not.
    Sparse,
}

/// Where each row's value is, counted from the granule's first.
pub(crate) enum Mapping {
    /// One value per row.
    Rows,
    /// One value for all rows.
    Constant,
    /// Rows per value.
    Runs(Vec<u32>),
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
    /// The rows that are set have the values from the second one on, in order; all others the first.
    Filled(BooleanBuffer),
}

impl Sink {
    /// Appends the values of `node`, a granule of `rows` rows; with `few` also such that no row has, if
    /// they lie between others and are then fewer than rows.
    pub(crate) fn append_coded(
        &mut self,
        aspect: Aspect,
        node: &[u8],
        rows: usize,
        few: bool,
        scratch: &mut Scratch,
    ) -> Decoded<Coded> {
        let mut cursor = Cursor::new(node);
        let tag = cursor.u8()?;
        if rows == 0 || matches!(tag, tag::EMPTY | tag::NULLS | tag::ALL_NULL) {
            return Err(Malformed("a granule without NULLs"));
        }
        let mut coded = Coded::plain(rows);
        match (&mut self.values, aspect) {
            (Values::Strings(sink), Aspect::Values) => {
                string_values(sink, tag, &mut cursor, node, &mut coded, scratch)?;
            }
            (Values::Number { width, buffer }, Aspect::Sizes) if *width == 8 => {
                let lens = string_sizes(tag, &mut cursor, node, &mut coded, scratch)?;
                grow(buffer, (self.rows + coded.values) * 8);
                let out = &mut buffer.typed_data_mut::<u64>()[self.rows..][..coded.values];
                out.iter_mut().zip(&lens).for_each(|(slot, length)| *slot = *length as u64);
                scratch.words = lens;
            }
            (Values::Number { width, buffer }, Aspect::Values) => {
                let first = self.rows;
                if few && rows >= DISTANCES_ROWS_MIN {
                    let distances = with_word!(*width, T => {
                        distance_values::<T>(tag, &mut cursor, node, &mut coded, scratch, buffer, first)?
                    });
                    if distances {
                        self.rows += coded.values;
                        return Ok(coded);
                    }
                }
                with_word!(*width, T => {
                    number_values::<T>(tag, &mut cursor, node, &mut coded, scratch, buffer, first)?;
                });
            }
            _ => return Err(Malformed("a node of this column")),
        }
        if cursor.remaining() > 0 {
            return Err(Malformed("the end of a granule"));
        }
        self.rows += coded.values;
        Ok(coded)
    }

    /// Values appended so far.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }
}

/// Where the rows of a granule find their values; `node` is what its values came from.
pub(crate) fn mapping(node: &[u8], coded: &Coded, scratch: &mut Scratch) -> Decoded<Mapping> {
    let rest = node.get(coded.at..).ok_or(Malformed("codes"))?;
    let mut cursor = Cursor::new(rest);
    match coded.kind {
        Kind::Rows => Ok(Mapping::Rows),
        Kind::Constant => Ok(Mapping::Constant),
        Kind::Runs => {
            let mut lengths = std::mem::take(&mut scratch.runs);
            lengths.resize(coded.values, 0);
            number::words(cursor.u8()?, &mut cursor, &mut lengths, scratch, 1)?;
            let total: u64 = lengths.iter().map(|l| *l as u64).sum();
            if total != coded.rows as u64 {
                return Err(Malformed("run lengths"));
            }
            Ok(Mapping::Runs(lengths))
        }
        Kind::Distances => {
            let bytes = payload(&mut cursor, coded.rows, &mut scratch.bytes)?;
            if greatest(bytes) >= coded.values {
                return Err(Malformed("distances"));
            }
            let mut codes = std::mem::take(&mut scratch.narrow);
            codes.clear();
            codes.extend_from_slice(bytes);
            Ok(Mapping::Narrow(codes))
        }
        Kind::Sparse => {
            let filled = coded.filled.clone().ok_or(Malformed("lengths of the items"))?;
            Ok(Mapping::Filled(filled))
        }
        Kind::Codes if coded.values <= 256 => {
            let memory = std::mem::take(&mut scratch.narrow);
            let codes = strings::codes(&mut cursor, coded.rows, coded.values, memory, scratch, 1)?;
            Ok(Mapping::Narrow(codes))
        }
        Kind::Codes => {
            let memory = std::mem::take(&mut scratch.wide);
            let codes = strings::codes(&mut cursor, coded.rows, coded.values, memory, scratch, 1)?;
            Ok(Mapping::Wide(codes))
        }
    }
}

/// The values from the base of a node of narrow distances up to its greatest; false if it is no such
/// node.
fn distance_values<T: Word>(
    tag: u8,
    cursor: &mut Cursor<'_>,
    node: &[u8],
    coded: &mut Coded,
    scratch: &mut Scratch,
    buffer: &mut MutableBuffer,
    first: usize,
) -> Decoded<bool> {
    let at = node.len() - cursor.remaining() + T::WIDTH;
    if tag != tag::FRAME || node.get(at) != Some(&1) {
        return Ok(false);
    }
    let mut behind = Cursor::new(&node[at + 1..]);
    let bytes = payload(&mut behind, coded.rows, &mut scratch.bytes)?;
    let values = greatest(bytes) + 1;
    if values > coded.rows {
        return Ok(false);
    }
    if behind.remaining() > 0 {
        return Err(Malformed("the end of a granule"));
    }
    let base = T::get(cursor.take(T::WIDTH)?);
    (coded.kind, coded.values, coded.at) = (Kind::Distances, values, at + 1);
    scratch.spend(values * T::WIDTH)?;
    grow(buffer, (first + values) * T::WIDTH);
    let out = &mut buffer.typed_data_mut::<T>()[first..first + values];
    out.iter_mut().zip(0..).for_each(|(slot, distance)| *slot = base.plus(distance));
    Ok(true)
}

/// The greatest of `bytes`; 0 of none.
fn greatest(bytes: &[u8]) -> usize {
    bytes.iter().fold(0u8, |most, byte| most.max(*byte)) as usize
}

fn number_values<T: Word>(
    tag: u8,
    cursor: &mut Cursor<'_>,
    node: &[u8],
    coded: &mut Coded,
    scratch: &mut Scratch,
    buffer: &mut MutableBuffer,
    first: usize,
) -> Decoded<()> {
    match tag {
        tag::CONSTANT => (coded.kind, coded.values) = (Kind::Constant, 1),
        tag::RUNS => {
            let count = cursor.u32()? as usize;
            if count == 0 || count > coded.rows {
                return Err(Malformed("a number of runs"));
            }
            (coded.kind, coded.values) = (Kind::Runs, count);
            coded.at = node.len() - cursor.remaining();
            skip_words::<u32>(cursor, 1)?;
        }
        tag::DICTIONARY => {
            let distinct = strings::dictionary_size(cursor, coded.rows)?;
            (coded.kind, coded.values) = (Kind::Codes, distinct);
        }
        _ => {}
    }
    scratch.spend(coded.values * T::WIDTH)?;
    grow(buffer, (first + coded.values) * T::WIDTH);
    let out = &mut buffer.typed_data_mut::<T>()[first..first + coded.values];
    match coded.kind {
        Kind::Sparse => Err(Malformed("a number node")),
        Kind::Constant | Kind::Rows | Kind::Distances => {
            number::words(tag, cursor, out, scratch, 0)
        }
        Kind::Runs => number::words(cursor.u8()?, cursor, out, scratch, 1),
        Kind::Codes => {
            number::words(cursor.u8()?, cursor, out, scratch, 1)?;
            coded.at = node.len() - cursor.remaining();
            skip_codes(cursor, coded.values)
        }
    }
}

fn string_values(
    sink: &mut strings::StringSink,
    tag: u8,
    cursor: &mut Cursor<'_>,
    node: &[u8],
    coded: &mut Coded,
    scratch: &mut Scratch,
) -> Decoded<()> {
    match tag {
        tag::CONSTANT => {
            (coded.kind, coded.values) = (Kind::Constant, 1);
            sink.append(tag, cursor, 1, scratch)
        }
        tag::DICTIONARY => {
            let distinct = strings::dictionary_size(cursor, coded.rows)?;
            if cursor.u8()? != tag::PLAIN {
                return Err(Malformed("a plain node"));
            }
            sink.append(tag::PLAIN, cursor, distinct, scratch)?;
            (coded.kind, coded.values) = (Kind::Codes, distinct);
            coded.at = node.len() - cursor.remaining();
            skip_codes(cursor, distinct)
        }
        tag::PLAIN => {
            coded.filled = sink.append_filled(cursor, coded.rows, scratch)?;
            if let Some(filled) = &coded.filled {
                (coded.kind, coded.values) = (Kind::Sparse, count_flags(filled) + 1);
            }
            Ok(())
        }
        _ => sink.append(tag, cursor, coded.rows, scratch),
    }
}

/// Lengths of the values, in memory that is the scratch's.
fn string_sizes(
    tag: u8,
    cursor: &mut Cursor<'_>,
    node: &[u8],
    coded: &mut Coded,
    scratch: &mut Scratch,
) -> Decoded<Vec<u32>> {
    let mut lens = std::mem::take(&mut scratch.words);
    match tag {
        tag::CONSTANT => {
            (coded.kind, coded.values) = (Kind::Constant, 1);
            let length = cursor.bytes()?.len();
            lens.clear();
            lens.push(length as u32);
        }
        tag::PLAIN => {
            strings::lengths(cursor, coded.rows, &mut lens, scratch)?;
            skip_payload(cursor)?;
        }
        tag::DICTIONARY => {
            let distinct = strings::dictionary_size(cursor, coded.rows)?;
            if cursor.u8()? != tag::PLAIN {
                return Err(Malformed("a plain node"));
            }
            strings::lengths(cursor, distinct, &mut lens, scratch)?;
            skip_payload(cursor)?;
            (coded.kind, coded.values) = (Kind::Codes, distinct);
            coded.at = node.len() - cursor.remaining();
            skip_codes(cursor, distinct)?;
        }
        _ => return Err(Malformed("a string node")),
    }
    Ok(lens)
}

pub(super) fn skip_payload(cursor: &mut Cursor<'_>) -> Decoded<()> {
    cursor.u8()?;
    cursor.bytes().map(|_| ())
}

/// Passes over a number node, whose bytes were checked as a whole.
pub(super) fn skip_words<T: Word>(cursor: &mut Cursor<'_>, depth: u8) -> Decoded<()> {
    match cursor.u8()? {
        tag::CONSTANT => cursor.take(T::WIDTH).map(|_| ()),
        tag::PLAIN => skip_payload(cursor),
        tag::FRAME | tag::DELTA => {
            cursor.take(T::WIDTH + 1)?;
            skip_payload(cursor)
        }
        tag::RUNS if depth < number::DEPTH_MAX => {
            cursor.u32()?;
            skip_words::<u32>(cursor, depth + 1)?;
            skip_words::<T>(cursor, depth + 1)
        }
        tag::DICTIONARY if depth < number::DEPTH_MAX => {
            let distinct = cursor.u32()? as usize;
            skip_words::<T>(cursor, depth + 1)?;
            skip_codes_at(cursor, distinct, depth + 1)
        }
        _ => Err(Malformed("a number node")),
    }
}

fn skip_codes(cursor: &mut Cursor<'_>, distinct: usize) -> Decoded<()> {
    skip_codes_at(cursor, distinct, 1)
}

fn skip_codes_at(cursor: &mut Cursor<'_>, distinct: usize, depth: u8) -> Decoded<()> {
    if distinct <= 256 { skip_words::<u8>(cursor, depth) } else { skip_words::<u16>(cursor, depth) }
}
