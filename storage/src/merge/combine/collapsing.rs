//! CollapsingMergeTree: a row of sign 1 and a later one of sign -1 cancel. Of a key's rows remain at
//! most the first cancellation and the last row, by which of them are more.

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;

use super::{Combiner, Groups, incorrect, take_rows};
use crate::block::Column;
use crate::error::Result;

pub(super) struct Collapsing {
    sign: usize,
    /// A read: a lone cancellation is not shown, a wrong sign is passed over.
    reading: bool,
    /// Rows of each sign that a shrunk group had and that its remaining rows do not show.
    hidden: (u64, u64),
}

/// What a key's rows come to.
#[derive(Default)]
struct Count {
    positive: u64,
    negative: u64,
    first_negative: Option<u32>,
    last_positive: Option<u32>,
    last_is_positive: bool,
}

impl Collapsing {
    pub(super) fn new(sign: usize, reading: bool) -> Collapsing {
        Collapsing { sign, reading, hidden: (0, 0) }
    }

    fn count(&self, signs: &[i8], range: std::ops::Range<usize>) -> Result<Count> {
        let mut count = Count::default();
        for row in range {
            match signs[row] {
                1 => {
                    count.positive += 1;
                    count.last_positive = Some(row as u32);
                    count.last_is_positive = true;
                }
                -1 => {
                    count.negative += 1;
                    count.first_negative.get_or_insert(row as u32);
                    count.last_is_positive = false;
                }
                _ if self.reading => {}
                sign => {
                    return Err(incorrect(format!(
                        "Incorrect data: Sign = {sign} (must be 1 or -1)."
                    )));
                }
            }
        }
        Ok(count)
    }
}

impl Combiner for Collapsing {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        let signs = rows[self.sign].array.as_primitive::<Int8Type>().values().clone();
        let mut picks = Vec::with_capacity(groups.len());
        for range in groups.iter() {
            let mut count = self.count(&signs, range)?;
            let (positive, negative) = std::mem::take(&mut self.hidden);
            count.positive += positive;
            count.negative += negative;
            if !count.last_is_positive && count.positive == count.negative {
                continue;
            }
            if count.positive <= count.negative && !self.reading {
                picks.extend(count.first_negative);
            }
            if count.positive >= count.negative {
                picks.extend(count.last_positive);
            }
        }
        // The first cancellation may stand behind the last row.
        Ok(take_rows(rows, picks))
    }

    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        let signs = rows[self.sign].array.as_primitive::<Int8Type>().values().clone();
        let count = self.count(&signs, 0..signs.len())?;
        let mut picks: Vec<u32> =
            count.first_negative.into_iter().chain(count.last_positive).collect();
        if !count.last_is_positive {
            picks.reverse();
        }
        self.hidden.0 += count.positive - count.last_positive.is_some() as u64;
        self.hidden.1 += count.negative - count.first_negative.is_some() as u64;
        Ok((None, take_rows(rows, picks)))
    }
}
