//! VersionedCollapsingMergeTree: rows of one key and version cancel pairwise by sign, in whatever
//! order they came. The version is part of the sorting key, so a group is one version.

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;

use super::{Combiner, Groups, take_rows};
use crate::block::Column;
use crate::error::Result;

/// Rows of one key and version that wait for a cancellation, at most.
const WAITING_MAX: usize = 65_536;

pub(super) struct VersionedCollapsing {
    pub(super) sign: usize,
}

impl VersionedCollapsing {
    fn uncancelled(&self, rows: &[Column], groups: &Groups) -> Vec<u32> {
        let signs = rows[self.sign].array.as_primitive::<Int8Type>().values();
        let mut picks: Vec<u32> = Vec::with_capacity(groups.len());
        for range in groups.iter() {
            let first = picks.len();
            for row in range {
                match picks[first..].last() {
                    Some(last) if signs[*last as usize] != signs[row] => {
                        picks.pop();
                    }
                    _ => picks.push(row as u32),
                }
            }
        }
        picks
    }
}

impl Combiner for VersionedCollapsing {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        Ok(take_rows(rows, self.uncancelled(rows, groups)))
    }

    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        let count = rows.first().map_or(0, Column::len);
        let mut done = self.uncancelled(rows, &Groups::one(count));
        let waiting = done.split_off(done.len().saturating_sub(WAITING_MAX));
        let done = (!done.is_empty()).then(|| take_rows(rows, done));
        Ok((done, take_rows(rows, waiting)))
    }
}
