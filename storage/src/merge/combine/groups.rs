//! Groups: where rows of one key begin among rows in key order.

use std::cmp::Ordering;

use crate::table::order::SortKeys;

/// The first rows of groups, and the number of rows.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    starts: Vec<u32>,
    rows: usize,
}

impl Groups {
    /// `starts` ascend from 0.
    pub(crate) fn new(starts: Vec<u32>, rows: usize) -> Groups {
        Groups { starts, rows }
    }

    /// All rows are one group.
    pub(crate) fn one(rows: usize) -> Groups {
        Groups { starts: if rows > 0 { vec![0] } else { vec![] }, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Whether no two rows share a key.
    pub(crate) fn all_single(&self) -> bool {
        self.starts.len() == self.rows
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let ends = self.starts.iter().skip(1).map(|s| *s as usize).chain([self.rows]);
        self.starts.iter().zip(ends).map(|(from, to)| *from as usize..to)
    }

    /// The group of every row.
    pub(crate) fn of_rows(&self) -> Vec<u32> {
        let mut groups = Vec::with_capacity(self.rows);
        for (i, range) in self.iter().enumerate() {
            groups.resize(groups.len() + range.len(), i as u32);
        }
        groups
    }
}

/// The groups of a block's rows taken in the order of `rows` (as they stand if None), which is key
/// order.
pub(crate) fn block_groups(keys: &SortKeys, rows: Option<&[u32]>) -> Groups {
    let count = rows.map_or(keys.len(), <[u32]>::len);
    let at = |i: usize| rows.map_or(i, |rows| rows[i] as usize);
    let starts = (0..count)
        .filter(|i| *i == 0 || keys.compare(at(*i - 1), keys, at(*i)) != Ordering::Equal)
        .map(|i| i as u32)
        .collect();
    Groups::new(starts, count)
}
