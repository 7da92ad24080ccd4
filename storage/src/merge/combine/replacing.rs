//! ReplacingMergeTree: of rows of one key the one of the greatest version stays, the last of equals;
//! without a version the last. A row that says it is deleted replaces like any other and is left out
//! only where nothing older can come any more.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;

use super::{Combiner, Groups, incorrect, take_rows};
use crate::block::Column;
use crate::error::Result;
use crate::table::order::SortKeys;

pub(super) struct Replacing {
    pub(super) version: Option<usize>,
    pub(super) deleted: Option<usize>,
    pub(super) drop_deleted: bool,
}

impl Replacing {
    fn winners(&self, rows: &[Column], groups: &Groups) -> Vec<u32> {
        let Some(version) = self.version else {
            return groups.iter().map(|range| range.end as u32 - 1).collect();
        };
        if groups.all_single() {
            return groups.starts().to_vec();
        }
        let versions = SortKeys::encode(std::slice::from_ref(&rows[version]), groups.rows());
        let newest = |range: std::ops::Range<usize>| {
            let mut best = range.start;
            for row in range.skip(1) {
                if versions.compare(row, &versions, best) != Ordering::Less {
                    best = row;
                }
            }
            best as u32
        };
        groups.iter().map(newest).collect()
    }
}

impl Combiner for Replacing {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        let mut winners = self.winners(rows, groups);
        if let Some(deleted) = self.deleted {
            let flags = rows[deleted].array.as_primitive::<UInt8Type>().values();
            if let Some(flag) = flags.iter().find(|flag| **flag > 1) {
                return Err(incorrect(format!(
                    "Incorrect data: is_deleted = {flag} (must be 1 or 0)."
                )));
            }
            if self.drop_deleted {
                winners.retain(|row| flags[*row as usize] == 0);
            }
        }
        Ok(take_rows(rows, winners))
    }

    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        let count = rows.first().map_or(0, Column::len);
        // A deleted row still has to replace what comes.
        Ok((None, take_rows(rows, self.winners(rows, &Groups::one(count)))))
    }
}
