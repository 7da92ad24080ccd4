//! Few rows of a column of numbers whose granules are stored as they lie in memory: one granule after the
//! other is read into the same words, checked and tested there while the processor's cache has it, and
//! only chosen rows are kept. Granules of which no row is left are not read.
//!
//! Stretches of granules of other kinds, and all that follow one of which many rows are chosen, are read
//! in the ordinary way (`coded_read`).

use std::cell::RefCell;

use arrow_array::BooleanArray;
use arrow_array::builder::BooleanBufferBuilder;
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer};

use super::coded_read::{Chosen, ValueTest, Wanted, choose_few, choose_of};
use super::decode::number_array;
use super::layout::Layout;
use super::plain_read::{HEAD_BYTES, is_plain_head};
use super::reader::PartReader;
use super::word::{Word, stored_bytes, with_word};
use crate::block::Column;
use crate::error::Result;
use crate::spread::count_flags;

/// Where values begin in the words that a granule is read into: behind the head.
const VALUES_AT: usize = 8;
/// Words that a thread keeps.
const WORDS_KEPT: usize = 1 << 16;
/// Less than one row in so many is few.
const FEW_OF: usize = 4;

thread_local! {
    static WORDS: RefCell<Vec<u64>> = const { RefCell::new(vec![]) };
}

impl PartReader {
    /// As `choose`; None if no granule is plain, or many rows are kept and not tested.
    pub(super) fn choose_plain(
        &self,
        index: usize,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        mut test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Option<Chosen>> {
        let few = keep.is_some_and(|keep| count_flags(keep.values()) < keep.len() / FEW_OF);
        if test.is_none() && !few {
            return Ok(None);
        }
        let plain: Vec<bool> = granules.iter().map(|g| self.lies_plain(index, *g)).collect();
        if wanted == Wanted::Codes || !plain.contains(&true) {
            return Ok(None);
        }
        let (mut pieces, mut at, mut row) = (vec![], 0, 0);
        let mut many = false;
        while at < granules.len() {
            let keep_of =
                |rows: usize| keep.map(|k| BooleanArray::new(k.values().slice(row, rows), None));
            if plain[at] && !many {
                let others = plain[at + 1..].iter().take_while(|plain| **plain).count();
                let stretch = &granules[at..=at + others];
                let rows = stretch.iter().map(|g| self.granule_rows(*g)).sum();
                if let (None, Some(keep), Wanted::Rows) = (&test, keep_of(rows), wanted)
                    && let Some(piece) = self.pick_plain(index, stretch, keep)?
                {
                    row += rows;
                    pieces.push(piece);
                    at += stretch.len();
                    continue;
                }
                let keep = keep_of(self.granule_rows(granules[at]));
                let test = test.as_deref_mut();
                if let Some(piece) = self.test_plain(index, granules[at], keep, test, wanted)? {
                    let chosen = piece.mask.as_ref().map_or(piece.rows, BooleanArray::true_count);
                    many = !few && wanted == Wanted::Rows && chosen > piece.rows / FEW_OF;
                    row += piece.rows;
                    pieces.push(piece);
                    at += 1;
                    continue;
                }
            }
            let others = plain[at + 1..].iter().take_while(|plain| many || !**plain).count();
            let stretch = &granules[at..=at + others];
            let rows: usize = stretch.iter().map(|g| self.granule_rows(*g)).sum();
            let test = test.as_deref_mut();
            pieces.push(self.choose_stretch(index, stretch, keep_of(rows), test, wanted)?);
            row += rows;
            at += stretch.len();
        }
        self.join(index, pieces, wanted).map(Some)
    }

    /// The kept rows, out of where they lie; None if not all granules lie plain in memory.
    fn pick_plain(
        &self,
        index: usize,
        granules: &[usize],
        keep: BooleanArray,
    ) -> Result<Option<Chosen>> {
        let entry = self.column(index);
        let Layout::Number { width, .. } = entry.layout else { return Ok(None) };
        let mut picked = MutableBuffer::with_capacity(count_flags(keep.values()) * width);
        let mut before = 0;
        for granule in granules {
            let (mark, rows) = (entry.mark(*granule), self.granule_rows(*granule));
            let kept = keep.values().slice(before, rows);
            before += rows;
            if count_flags(&kept) == 0 {
                continue;
            }
            let mapped = self.file().mapped(mark.file_offset, mark.length as usize);
            let Some(node) = mapped else { return Ok(None) };
            let is_plain = self.verified(node, mark, |node| {
                let is_plain = is_plain_head(node, rows * width);
                if is_plain {
                    with_word!(width, T => pick::<T>(&node[HEAD_BYTES..], &kept, &mut picked));
                }
                Ok(is_plain)
            })?;
            if !is_plain {
                return Ok(None);
            }
        }
        let array = number_array(&entry.data_type.arrow(), picked.into(), None)?;
        let column = Column { data_type: entry.data_type.clone(), array };
        Ok(Some(Chosen { rows: before, mask: Some(keep), column: Some(column) }))
    }

    /// The rows of a granule that are chosen; None if it is not plain after all.
    fn test_plain(
        &self,
        index: usize,
        granule: usize,
        keep: Option<BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Option<Chosen>> {
        let (entry, rows) = (self.column(index), self.granule_rows(granule));
        if keep.as_ref().is_some_and(|keep| count_flags(keep.values()) == 0) {
            return Ok(Some(Chosen { rows, mask: keep, column: None }));
        }
        let mark = entry.mark(granule);
        let bytes = mark.length as usize - HEAD_BYTES;
        let mut words = WORDS.take();
        words.resize(words.len().max((VALUES_AT + bytes).div_ceil(8)), 0);
        let Some(room) = stored_bytes(&mut words) else { return Ok(None) };
        let node = &mut room[VALUES_AT - HEAD_BYTES..VALUES_AT + bytes];
        match self.file().mapped(mark.file_offset, node.len()) {
            // Verified first, which brings the words to the cache faster than copying would.
            Some(mapped) => self.verified(mapped, mark, |mapped| {
                node.copy_from_slice(mapped);
                Ok(())
            })?,
            None => {
                self.file().read_at(mark.file_offset, node)?;
                self.check(node, mark)?;
            }
        }
        let is_plain = is_plain_head(node, bytes);
        let memory = Buffer::from_vec(words);
        let chosen = match is_plain {
            true => {
                let values = memory.slice_with_length(VALUES_AT, bytes);
                let array = number_array(&entry.data_type.arrow(), values, None)?;
                let column = Column { data_type: entry.data_type.clone(), array };
                Some(match (&keep, test) {
                    (Some(keep), Some(test)) if count_flags(keep.values()) * 2 <= rows => {
                        choose_few(&column, keep, test, wanted)?
                    }
                    (keep, test) => choose_of(column, keep.as_ref(), test, wanted)?,
                })
            }
            false => None,
        };
        // If a result still looks at the words, the next granule gets others.
        let words: Vec<u64> = memory.into_vec().unwrap_or_default();
        WORDS.set(if words.len() > WORDS_KEPT { vec![] } else { words });
        Ok(chosen)
    }

    /// All chosen rows in one.
    pub(super) fn join(&self, index: usize, pieces: Vec<Chosen>, wanted: Wanted) -> Result<Chosen> {
        let rows = pieces.iter().map(|p| p.rows).sum();
        let mut flags = BooleanBufferBuilder::new(rows);
        let mut columns = vec![];
        for piece in pieces {
            match &piece.mask {
                Some(mask) => flags.append_buffer(mask.values()),
                None => flags.append_n(piece.rows, true),
            }
            columns.extend(piece.column.filter(|c| !c.is_empty()));
        }
        let mask = BooleanArray::new(flags.finish(), None);
        let column = match (wanted, columns.len()) {
            (Wanted::Nothing, _) => None,
            (_, 0) => Some(Column::default_values(self.column(index).data_type.clone(), 0)),
            (_, 1) => columns.pop(),
            _ => Some(Column::concat(&columns)?),
        };
        let mask = (count_flags(mask.values()) < rows).then_some(mask);
        Ok(Chosen { rows, mask, column })
    }
}

/// Appends the words that are kept.
fn pick<T: Word>(words: &[u8], kept: &BooleanBuffer, picked: &mut MutableBuffer) {
    for row in kept.set_indices() {
        picked.push(T::get(&words[row * T::WIDTH..][..T::WIDTH]));
    }
}
