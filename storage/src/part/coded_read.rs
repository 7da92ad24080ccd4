//! Reading rows of a column that a condition on the column itself chooses, or that were chosen before.
//!
//! The condition sees each value of a granule's dictionary or runs once, and rows are looked at only
//! in granules where it holds for some values and not for others. Columns of another shape (NULLs,
//! lists, fixed bytes) are read whole, tested and filtered: the answer is the same.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, BooleanArray, DictionaryArray, UInt32Array, UInt64Array};
use arrow_buffer::bit_chunk_iterator::{BitChunks, UnalignedBitChunk};
use arrow_buffer::{BooleanBuffer, Buffer};

use super::decode::{Aspect, Coded, Mapping, Scratch, Sink, mapping, number_array, readable};
use super::encode::number_buffer;
use super::footer::Mark;
use super::layout::{Layout, Order};
use super::reader::{Node, PartReader, with_buffers};
use super::word::with_word;
use crate::block::Column;
use crate::disk::lost_pages;
use crate::error::{Error, Result};
use crate::flags::{pack, unpack};
use crate::spread::{count_flags, deposit};
use crate::types::DataType;

/// Says for every row of a column whether it is wanted; no NULLs in the answer.
pub type ValueTest<'a> = dyn FnMut(&Column) -> Result<BooleanArray> + 'a;

/// Rows of some granules.
pub struct Chosen {
    /// Rows that were asked about.
    pub rows: usize,
    /// One flag per row of the granules; None if all are chosen.
    pub mask: Option<BooleanArray>,
    /// The chosen rows, if they were asked for.
    pub column: Option<Column>,
}

/// What of the chosen rows is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only which they are.
    Nothing,
    Rows,
    /// The rows, as an Arrow dictionary where they are stored in a way that gives one for free: then
    /// the column's array is a `DictionaryArray` of `UInt32` keys. Its values may repeat, and need not
    /// all be referred to.
    Codes,
    /// Each value that a chosen row has, at least once: rows that are equal to others may be left out.
    Once,
}

/// Strings are tested so many bytes at a time, of which a processor's own cache keeps most.
const TESTED_BYTES: u64 = 640 << 10;

/// Bytes that the values of a granule probably take at most: strings of a dictionary are fewer than those of the
/// rows; compressed they are a quarter, seldom less.
fn decoded_most(mark: Mark) -> u64 {
    (mark.length as u64 * 4).min(mark.decoded as u64)
}

/// Of so many rows no more is decoded than leads to them.
const FEW_ROWS_MAX: usize = 8;

/// So many runs are appended one by one.
const FEW_RUNS_MAX: usize = 32;

/// The lengths of a column of strings; NULL where it is NULL.
pub(crate) fn sizes_of(column: &Column) -> Option<Column> {
    let strings = column.array.as_any().downcast_ref::<arrow_array::BinaryArray>()?;
    let lengths: Vec<u64> =
        strings.value_offsets().windows(2).map(|w| (w[1] - w[0]) as u64).collect();
    let array = UInt64Array::new(lengths.into(), strings.nulls().cloned());
    let data_type = match column.data_type.is_nullable() {
        true => DataType::nullable(DataType::UInt64),
        false => DataType::UInt64,
    };
    Some(Column { data_type, array: Arc::new(array) })
}

/// Decoded values, and which of the rows they are those of are chosen.
struct Held<'a, 'f> {
    index: usize,
    granules: &'a [usize],
    pieces: &'a Pieces<'f>,
    /// One flag per value.
    holds: Option<BooleanArray>,
    /// One flag per row.
    keep: Option<&'a BooleanArray>,
    /// Whether rows are asked for.
    listed: bool,
    /// Pages lost before anything was read.
    lost: u64,
}

/// Granules whose values are decoded.
struct Pieces<'f> {
    /// What nodes that do not lie in memory were read into.
    bytes: Vec<u8>,
    nodes: Vec<Node<'f>>,
    coded: Vec<Coded>,
    /// Number of each granule's first value.
    firsts: Vec<usize>,
}

impl PartReader {
    /// Rows of `granules` that `keep` (one flag per row of them; None: all) and `test` choose, of
    /// the column at `index` or of its lengths.
    pub(crate) fn choose(
        &self,
        index: usize,
        aspect: Aspect,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        let layout = &self.column(index).layout;
        let plain = granules.iter().all(|g| self.nulls(index, *g) == 0);
        if !plain || !readable(layout, aspect) {
            return self.choose_whole(index, aspect, granules, keep, test, wanted);
        }
        if let Some(keep) = keep
            && test.is_none()
            && aspect == Aspect::Values
            && wanted != Wanted::Nothing
            && count_flags(keep.values()) <= FEW_ROWS_MAX
        {
            return with_buffers(|buffer, scratch| {
                self.pick_few(index, granules, keep, buffer, scratch)
            });
        }
        let mut test = test;
        if aspect == Aspect::Values {
            let test = test.as_deref_mut();
            if let Some(chosen) = self.choose_plain(index, granules, keep, test, wanted)? {
                return Ok(chosen);
            }
        }
        if let Some(test) = test.as_deref_mut()
            && *layout == Layout::Strings
            && aspect == Aspect::Values
            && matches!(wanted, Wanted::Nothing | Wanted::Rows)
            && granules.iter().map(|g| decoded_most(self.column(index).mark(*g))).sum::<u64>()
                > 2 * TESTED_BYTES
        {
            return self.test_strings(index, granules, keep, test, wanted);
        }
        with_buffers(|buffer, scratch| {
            self.choose_coded(index, aspect, granules, keep, test, wanted, buffer, scratch)
        })
    }

    /// As `choose`, of many strings: a few granules at a time, so that they are tested while the processor's cache has
    /// them.
    fn test_strings(
        &self,
        index: usize,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        test: &mut ValueTest<'_>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        let entry = self.column(index);
        let (mut pieces, mut rest, mut row) = (vec![], granules, 0);
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |granule: &&usize| {
                bytes += decoded_most(entry.mark(**granule));
                bytes <= TESTED_BYTES
            };
            // Two at least, which are decoded together.
            let count = rest.iter().take_while(fits).count().max(2).min(rest.len());
            let (stretch, after) = rest.split_at(count);
            rest = after;
            let rows: usize = stretch.iter().map(|g| self.granule_rows(*g)).sum();
            let keep_of = |k: &BooleanArray| BooleanArray::new(k.values().slice(row, rows), None);
            let kept = keep.map(keep_of);
            pieces.push(self.choose_stretch(index, stretch, kept, Some(&mut *test), wanted)?);
            row += rows;
        }
        self.join(index, pieces, wanted)
    }

    /// As `choose`, of granules that are not looked at one by one.
    pub(super) fn choose_stretch(
        &self,
        index: usize,
        granules: &[usize],
        keep: Option<BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        let keep = keep.as_ref();
        with_buffers(|buffer, scratch| {
            self.choose_coded(index, Aspect::Values, granules, keep, test, wanted, buffer, scratch)
        })
    }

    /// The kept rows, which are few.
    fn pick_few(
        &self,
        index: usize,
        granules: &[usize],
        keep: &BooleanArray,
        buffer: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Chosen> {
        let entry = self.column(index);
        let mut sink = Sink::new(&entry.layout, 0, 0);
        let mut before = 0;
        for granule in granules {
            let (mark, rows) = (entry.mark(*granule), self.granule_rows(*granule));
            let kept = keep.values().slice(before, rows);
            before += rows;
            let picked: Vec<u32> = kept.set_indices().map(|row| row as u32).collect();
            if picked.is_empty() {
                continue;
            }
            scratch.allow(mark.decoded as usize);
            let appended = self.with_node(mark, buffer, |node| {
                let appended = sink.append_few(node, rows, &picked, scratch);
                appended.map_err(|e| self.damaged(mark, e.0))
            })?;
            if !appended {
                return Err(self.damaged(mark, "numbers or strings"));
            }
        }
        let column = Column {
            data_type: entry.data_type.clone(),
            array: sink.finish(&entry.data_type.arrow())?,
        };
        let mask = (count_flags(keep.values()) < before).then(|| keep.clone());
        Ok(Chosen { rows: before, mask, column: Some(column) })
    }

    fn choose_whole(
        &self,
        index: usize,
        aspect: Aspect,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        let mut column = self.read_column(index, granules)?;
        if aspect == Aspect::Sizes {
            column = sizes_of(&column)
                .ok_or_else(|| Error::Column(format!("{} has no sizes", column.data_type)))?;
        }
        choose_of(column, keep, test, wanted)
    }

    #[expect(clippy::too_many_arguments, reason = "the two ways of reading share them")]
    fn choose_coded(
        &self,
        index: usize,
        aspect: Aspect,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
        buffer: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Chosen> {
        let (few, lost) = (test.is_some(), lost_pages());
        let (pieces, values) = self.values_of(index, aspect, granules, few, buffer, scratch)?;
        let rows: usize = pieces.coded.iter().map(|c| c.rows).sum();
        if wanted == Wanted::Once && keep.is_none() && test.is_none() {
            *buffer = pieces.bytes;
            return Ok(Chosen { rows, mask: None, column: Some(values) });
        }
        let is_plain = pieces.coded.iter().all(Coded::is_plain);
        let sparse = keep.filter(|keep| is_plain && count_flags(keep.values()) * 2 <= values.len());
        let mut test = test;
        if let (Some(test), Some(keep)) = (test.as_deref_mut(), sparse) {
            *buffer = pieces.bytes;
            return choose_few(&values, keep, test, wanted);
        }
        let holds = match test {
            Some(test) => Some(test(&values)?),
            None => None,
        };
        // Where every row has a value of its own, rows are picked by the mask alone.
        let listed = wanted != Wanted::Nothing && !is_plain;
        let held = Held { index, granules, pieces: &pieces, holds, keep, listed, lost };
        // Of many rows numbers are listed first, half as wide as most values.
        let few = keep.is_some_and(|keep| count_flags(keep.values()) * 2 < rows);
        let width = values.array.data_type().primitive_width();
        let width = width.filter(|width| *width <= 4 || *width <= 8 && few);
        let (mask, column) = match (wanted, width) {
            (Wanted::Rows, Some(width)) if listed => {
                let words = number_buffer(values.array.as_ref());
                let (mask, picked) = with_word!(width, T => {
                    let words = words.typed_data::<T>();
                    let (mask, picked) = self.pick_held(&held, scratch, |i| words[i as usize])?;
                    (mask, Buffer::from_vec(picked))
                });
                let array = number_array(values.array.data_type(), picked, None)?;
                (mask, Some(Column { data_type: values.data_type, array }))
            }
            _ => {
                let (mask, indices) = self.pick_held(&held, scratch, |i| i)?;
                let column = match wanted {
                    Wanted::Nothing => None,
                    // Not if every row has a value of its own: then they need not be gathered. Nor if many values
                    // would be nobody's.
                    Wanted::Codes if listed && values.len() < indices.len() + indices.len() / 4 => {
                        Some(dictionary(values, indices)?)
                    }
                    _ => Some(gather(&values, &pieces, indices, mask.as_ref())),
                };
                (mask, column)
            }
        };
        *buffer = pieces.bytes;
        Ok(Chosen { rows, mask, column })
    }

    /// Which rows are chosen (None: all), and, if rows are listed, what `of` makes of the number of each one's value.
    fn pick_held<T: Copy>(
        &self,
        held: &Held<'_, '_>,
        scratch: &mut Scratch,
        of: impl Fn(u32) -> T + Copy,
    ) -> Result<(Option<BooleanArray>, Vec<T>)> {
        let Held { index, granules, pieces, keep, listed, .. } = *held;
        let rows: usize = pieces.coded.iter().map(|c| c.rows).sum();
        let mut flags = BooleanBufferBuilder::new(rows);
        let most = match (&held.holds, keep) {
            (None, None) => rows,
            (None, Some(keep)) => count_flags(keep.values()),
            _ => 0,
        };
        let mut picked: Vec<T> = Vec::with_capacity(if listed { most } else { 0 });
        for (i, coded) in pieces.coded.iter().enumerate() {
            let mark = self.column(index).mark(granules[i]);
            let from = flags.len();
            let kept = keep.map(|k| k.values().slice(from, coded.rows));
            let holds = held.holds.as_ref();
            let holds = holds.map(|h| h.values().slice(pieces.firsts[i], coded.values));
            let count = holds.as_ref().map_or(coded.values, count_flags);
            if count == 0 {
                flags.append_n(coded.rows, false);
                continue;
            }
            let all = count == coded.values;
            let map = match all && !listed {
                true => Mapping::Constant,
                false => mapping(pieces.nodes[i].of(&pieces.bytes), coded, scratch)
                    .map_err(|e| self.damaged(mark, e.0))?,
            };
            match (all, &holds) {
                (false, Some(holds)) => append_flags(&map, holds, coded.rows, &mut flags),
                _ => flags.append_n(coded.rows, true),
            }
            if let Some(kept) = &kept {
                and_tail(&mut flags, from, kept);
            }
            if listed {
                let first = pieces.firsts[i] as u32;
                let of = |value: u32| of(first + value);
                match all && kept.is_none() {
                    true => append_all(&map, coded.rows, &mut picked, of),
                    false => {
                        let chosen = BitsFrom { flags: &flags, from };
                        match chosen.are_most(coded.rows) {
                            true => append_most(&map, chosen, coded.rows, &mut picked, of),
                            false => append_chosen(&map, chosen, coded.rows, &mut picked, of),
                        }
                    }
                }
            }
            scratch.reuse(map);
        }
        // Codes and runs were read behind the values.
        let nodes = pieces.nodes.iter().map(|node| node.of(&pieces.bytes));
        let marks = granules.iter().map(|granule| self.column(index).mark(*granule));
        self.is_still_there(held.lost, nodes.zip(marks).filter(|(node, _)| !node.is_empty()))?;
        let mask = BooleanArray::new(flags.finish(), None);
        let mask = (count_flags(mask.values()) < rows).then_some(mask);
        Ok((mask, picked))
    }

    /// The values of the granules, all in one column.
    fn values_of(
        &self,
        index: usize,
        aspect: Aspect,
        granules: &[usize],
        few: bool,
        buffer: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(Pieces<'_>, Column)> {
        let entry = self.column(index);
        let rows: usize = granules.iter().map(|g| self.granule_rows(*g)).sum();
        let (layout, data_type) = match aspect {
            Aspect::Values => (entry.layout.clone(), entry.data_type.clone()),
            Aspect::Sizes => {
                let size = match entry.data_type.is_nullable() {
                    true => DataType::nullable(DataType::UInt64),
                    false => DataType::UInt64,
                };
                (Layout::Number { width: 8, order: Order::Unsigned }, size)
            }
        };
        let bytes: u64 = match aspect {
            Aspect::Sizes => 0,
            Aspect::Values => granules.iter().map(|g| decoded_most(entry.mark(*g))).sum(),
        };
        let reserved = match layout {
            Layout::Number { width, .. } if aspect == Aspect::Values => {
                (bytes as usize).div_ceil(width)
            }
            Layout::Strings | Layout::Number { .. } => rows,
            _ => 0,
        };
        let mut pieces =
            Pieces { bytes: std::mem::take(buffer), nodes: vec![], coded: vec![], firsts: vec![] };
        if aspect == Aspect::Values
            && let Some(words) = self.plain_words(index, granules)?
        {
            let mut first = 0;
            for granule in granules {
                pieces.firsts.push(first);
                pieces.coded.push(Coded::plain(self.granule_rows(*granule)));
                pieces.nodes.push(Node::Copied(0..0));
                first += self.granule_rows(*granule);
            }
            return Ok((pieces, Column { array: words.finish(&data_type.arrow())?, data_type }));
        }
        let mut sink = Sink::new(&layout, reserved, bytes as usize);
        let Pieces { bytes, nodes, coded, firsts } = &mut pieces;
        *nodes = self.read_nodes(index, granules, bytes, |granule, node| {
            let mark = entry.mark(granule);
            scratch.allow(mark.decoded as usize);
            firsts.push(sink.len());
            let rows = self.granule_rows(granule);
            let mut appended = sink.append_coded(aspect, node, rows, few, scratch);
            if granules.last() == Some(&granule) {
                appended = appended.and_then(|coded| sink.settle().map(|()| coded));
            }
            coded.push(appended.map_err(|e| self.damaged(mark, e.0))?);
            Ok(())
        })?;
        let array = sink.finish(&data_type.arrow())?;
        Ok((pieces, Column { data_type, array }))
    }
}

/// As [`PartReader::choose`], of a column in memory.
pub(crate) fn choose_of(
    column: Column,
    keep: Option<&BooleanArray>,
    test: Option<&mut ValueTest<'_>>,
    wanted: Wanted,
) -> Result<Chosen> {
    let rows = column.len();
    let mask = match (test, keep) {
        (Some(test), None) => Some(test(&column)?),
        (Some(test), Some(keep)) => {
            let both = test(&column)?.values() & keep.values();
            Some(BooleanArray::new(both, None))
        }
        (None, keep) => keep.cloned(),
    };
    let mask = mask.filter(|m| count_flags(m.values()) < column.len());
    let column = (wanted != Wanted::Nothing).then(|| match &mask {
        Some(mask) => column.filter(mask),
        None => column,
    });
    Ok(Chosen { rows, mask, column })
}

/// Of rows that have a value each, of which few are kept: only those are tested.
pub(super) fn choose_few(
    values: &Column,
    keep: &BooleanArray,
    test: &mut ValueTest<'_>,
    wanted: Wanted,
) -> Result<Chosen> {
    let kept = values.filter(keep);
    let holds = test(&kept)?;
    let mask = BooleanArray::new(deposit(keep.values(), holds.values()), None);
    let column =
        (wanted != Wanted::Nothing).then(|| match count_flags(holds.values()) < kept.len() {
            true => kept.filter(&holds),
            false => kept,
        });
    Ok(Chosen { rows: values.len(), mask: Some(mask), column })
}

/// Values that are held and are compared with each code, at most.
const FEW_HELD_MAX: usize = 4;
/// Values of most dictionaries.
const SHORT_TABLE: usize = 8192;

/// Appends one flag per row: that of its value.
fn append_flags(map: &Mapping, held: &BooleanBuffer, rows: usize, out: &mut BooleanBufferBuilder) {
    match map {
        Mapping::Rows => out.append_buffer(held),
        Mapping::Constant => out.append_n(rows, held.value(0)),
        Mapping::Runs(lengths) if lengths.len() <= FEW_RUNS_MAX => {
            lengths
                .iter()
                .zip(held)
                .for_each(|(length, held)| out.append_n(*length as usize, held));
        }
        Mapping::Runs(lengths) => out.append_buffer(&run_flags(lengths, held, rows)),
        Mapping::Narrow(codes) => {
            let mut table = [0u8; 256];
            table.iter_mut().zip(held.iter()).for_each(|(slot, held)| *slot = u8::from(held));
            let bytes: Vec<u8> = codes.iter().map(|code| table[*code as usize]).collect();
            out.append_buffer(&pack(&bytes));
        }
        Mapping::Wide(codes) => out.append_buffer(&pack(&wide_flags(codes, held))),
        Mapping::Filled(filled) => {
            let others = held.slice(1, held.len() - 1);
            let spread = match count_flags(&others) == others.len() {
                true => filled.clone(),
                false => deposit(filled, &others),
            };
            match held.value(0) {
                true => out.append_buffer(&(&spread | &!filled)),
                false => out.append_buffer(&spread),
            }
        }
    }
}

/// A byte per code: not zero if the code's value is held.
fn wide_flags(codes: &[u16], held: &BooleanBuffer) -> Vec<u8> {
    let Some(first) = held.set_indices().next() else { return vec![0; codes.len()] };
    if count_flags(held) <= FEW_HELD_MAX {
        // Few values are looked for by comparing, which is done many codes at a time.
        let mut few = [first as u16; FEW_HELD_MAX];
        few.iter_mut().zip(held.set_indices()).for_each(|(slot, value)| *slot = value as u16);
        return codes
            .iter()
            .map(|code| few.iter().fold(0, |any, f| any | u8::from(code == f)))
            .collect();
    }
    let mut table = unpack(held);
    if table.len() <= SHORT_TABLE {
        // Codes are below the table's length: cutting them to it changes none, and spares a look at each.
        table.resize(SHORT_TABLE, 0);
        if let Some(table) = table.first_chunk::<SHORT_TABLE>() {
            return codes.iter().map(|code| table[*code as usize % SHORT_TABLE]).collect();
        }
    }
    codes.iter().map(|code| table[*code as usize]).collect()
}

/// One flag per row of the runs: that of its run.
fn run_flags(lengths: &[u32], held: &BooleanBuffer, rows: usize) -> BooleanBuffer {
    let mut words = vec![0u64; rows.div_ceil(64)];
    let mut from = 0;
    for (length, held) in lengths.iter().zip(held.iter()) {
        let to = from + *length as usize;
        if held && to > from {
            set_range(&mut words, from, to - 1);
        }
        from = to;
    }
    BooleanBuffer::new(words.into(), 0, rows)
}

/// Sets bits `first` to `last`.
fn set_range(words: &mut [u64], first: usize, last: usize) {
    let (low, high) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
    let (from, to) = (first / 64, last / 64);
    if from == to {
        words[from] |= low & high;
        return;
    }
    words[from] |= low;
    words[from + 1..to].fill(u64::MAX);
    words[to] |= high;
}

/// Clears the flags from `from` on that are not in `kept`.
fn and_tail(flags: &mut BooleanBufferBuilder, from: usize, kept: &BooleanBuffer) {
    if count_flags(kept) == kept.len() {
        return;
    }
    if !from.is_multiple_of(8) {
        let tail = BooleanBuffer::new(flags.as_slice().to_vec().into(), from, kept.len());
        let both = &tail & kept;
        flags.truncate(from);
        flags.append_buffer(&both);
        return;
    }
    let tail = &mut flags.as_slice_mut()[from / 8..];
    for (bytes, kept) in tail.chunks_mut(8).zip(kept.bit_chunks().iter_padded()) {
        bytes.iter_mut().zip(kept.to_le_bytes()).for_each(|(byte, kept)| *byte &= kept);
    }
}

/// The flags behind the first `from`.
struct BitsFrom<'a> {
    flags: &'a BooleanBufferBuilder,
    from: usize,
}

impl BitsFrom<'_> {
    /// Whether so many rows are set that they lie side by side.
    fn are_most(&self, rows: usize) -> bool {
        let bits = UnalignedBitChunk::new(self.flags.as_slice(), self.from, rows);
        bits.count_ones() * 8 >= rows * 7
    }

    /// Calls `visit` with the ranges of rows that are set.
    fn each_range(&self, rows: usize, mut visit: impl FnMut(Range<usize>)) {
        let ranges = arrow_buffer::bit_iterator::BitSliceIterator::new(
            self.flags.as_slice(),
            self.from,
            rows,
        );
        ranges.for_each(|(from, to)| visit(from..to));
    }

    /// Calls `visit` with the number of every row that is set.
    fn each(&self, rows: usize, mut visit: impl FnMut(usize)) {
        let bits = arrow_buffer::bit_iterator::BitIndexIterator::new(
            self.flags.as_slice(),
            self.from,
            rows,
        );
        bits.for_each(&mut visit);
    }
}

/// Appends what `of` makes of every row's value.
fn append_all<T: Copy>(map: &Mapping, rows: usize, out: &mut Vec<T>, of: impl Fn(u32) -> T + Copy) {
    match map {
        Mapping::Rows => out.extend((0..rows as u32).map(of)),
        Mapping::Constant => out.resize(out.len() + rows, of(0)),
        Mapping::Runs(lengths) => {
            for (run, length) in (0..).zip(lengths) {
                out.resize(out.len() + *length as usize, of(run));
            }
        }
        Mapping::Narrow(codes) => out.extend(codes.iter().map(|code| of(*code as u32))),
        Mapping::Wide(codes) => out.extend(codes.iter().map(|code| of(*code as u32))),
        Mapping::Filled(filled) => {
            let mut last = 0;
            out.extend(filled.iter().map(|set| {
                last += u32::from(set);
                of(if set { last } else { 0 })
            }));
        }
    }
}

/// Appends what `of` makes of every chosen row's value. Of the rows many are chosen: all are appended, and then they
/// close up.
fn append_most<T: Copy>(
    map: &Mapping,
    chosen: BitsFrom,
    rows: usize,
    out: &mut Vec<T>,
    of: impl Fn(u32) -> T + Copy,
) {
    let before = out.len();
    append_all(map, rows, out, of);
    let mut end = before;
    chosen.each_range(rows, |range| {
        out.copy_within(before + range.start..before + range.end, end);
        end += range.len();
    });
    out.truncate(end);
}

/// Appends what `of` makes of every chosen row's value.
fn append_chosen<T: Copy>(
    map: &Mapping,
    chosen: BitsFrom,
    rows: usize,
    out: &mut Vec<T>,
    of: impl Fn(u32) -> T + Copy,
) {
    match map {
        Mapping::Rows => chosen.each(rows, |row| out.push(of(row as u32))),
        Mapping::Constant => chosen.each(rows, |_| out.push(of(0))),
        Mapping::Runs(lengths) => {
            let (mut run, mut end) = (0, lengths[0] as usize);
            chosen.each(rows, |row| {
                while row >= end {
                    run += 1;
                    end += lengths[run] as usize;
                }
                out.push(of(run as u32));
            });
        }
        Mapping::Narrow(codes) => chosen.each(rows, |row| out.push(of(codes[row] as u32))),
        Mapping::Wide(codes) => chosen.each(rows, |row| out.push(of(codes[row] as u32))),
        Mapping::Filled(filled) => append_filled(filled, chosen, rows, out, of),
    }
}

/// The same of values most of which are one: most often the chosen ones are those that are set.
fn append_filled<T: Copy>(
    filled: &BooleanBuffer,
    chosen: BitsFrom,
    rows: usize,
    out: &mut Vec<T>,
    of: impl Fn(u32) -> T + Copy,
) {
    let chosen = BitChunks::new(chosen.flags.as_slice(), chosen.from, rows);
    let mut before = 0;
    for (set, wanted) in filled.bit_chunks().iter_padded().zip(chosen.iter_padded()) {
        let count = set.count_ones();
        if wanted == set {
            out.extend((before + 1..before + 1 + count).map(of));
        } else {
            let mut left = wanted;
            while left != 0 {
                let lowest = left & left.wrapping_neg();
                let rank = (set & (lowest - 1)).count_ones();
                out.push(of(if set & lowest == 0 { 0 } else { before + 1 + rank }));
                left ^= lowest;
            }
        }
        before += count;
    }
}

/// The chosen rows as a dictionary.
fn dictionary(values: Column, indices: Vec<u32>) -> Result<Column> {
    let array = DictionaryArray::<UInt32Type>::try_new(UInt32Array::from(indices), values.array)
        .map_err(|e| Error::Column(e.to_string()))?;
    Ok(Column { data_type: values.data_type, array: Arc::new(array) })
}

/// The chosen rows: `values` at `indices`.
fn gather(
    values: &Column,
    pieces: &Pieces<'_>,
    indices: Vec<u32>,
    mask: Option<&BooleanArray>,
) -> Column {
    if pieces.coded.iter().all(Coded::is_plain) {
        return match mask {
            Some(mask) => values.filter(mask),
            None => values.clone(),
        };
    }
    values.take(&UInt32Array::from(indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_flagged_as_their_values_are_held() {
        for values in [1usize, 300, SHORT_TABLE, SHORT_TABLE + 1, 60_000] {
            let codes: Vec<u16> = (0..9000).map(|i| (i * 7919 % values) as u16).collect();
            for held in [0, 1, FEW_HELD_MAX, FEW_HELD_MAX + 1, 100, values] {
                // Spread over the values, the last one among them.
                let step = values.div_ceil(held.max(1));
                let is_held = |value: usize| held > 0 && (values - 1 - value).is_multiple_of(step);
                let flags: BooleanBuffer = (0..values).map(is_held).collect();
                let found = wide_flags(&codes, &flags);
                assert_eq!(found.len(), codes.len());
                let agrees = |(code, flag): (&u16, &u8)| is_held(*code as usize) == (*flag != 0);
                assert!(codes.iter().zip(&found).all(agrees), "{held} of {values}");
            }
        }
    }
}
