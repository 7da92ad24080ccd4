//! OPTIMIZE … DEDUPLICATE: of rows that are equal in some columns the first stays.
//!
//! The columns include the sorting key, so equal rows stand in one group of equal keys. In a group
//! too long to hold, duplicates that lie further apart than what is held stay.

use super::combine::{Combiner, Groups};
use crate::block::Column;
use crate::error::Result;
use crate::log::ColumnDefinition;
use crate::table::order::SortKeys;
use arrow_array::UInt32Array;

/// Rows of one key that are compared with what comes, at most.
const HELD_MAX: usize = 65_536;

pub(super) struct Deduplicating {
    /// The engine's own rule comes first.
    inner: Option<Box<dyn Combiner>>,
    places: Vec<usize>,
}

impl Deduplicating {
    /// By the columns called `names`, or by all if there are none.
    pub(super) fn new(
        inner: Option<Box<dyn Combiner>>,
        columns: &[&ColumnDefinition],
        names: &[String],
    ) -> Deduplicating {
        let wanted = |c: &&ColumnDefinition| names.is_empty() || names.contains(&c.name);
        let places = (0..columns.len()).filter(|i| wanted(&columns[*i])).collect();
        Deduplicating { inner, places }
    }

    fn distinct(places: &[usize], rows: &[Column]) -> Vec<Column> {
        let count = rows.first().map_or(0, Column::len);
        let compared: Vec<Column> = places.iter().map(|i| rows[*i].clone()).collect();
        let groups = SortKeys::encode(&compared, count).groups(usize::MAX).unwrap_or_default();
        if count == 0 || groups.len() == count {
            return rows.to_vec();
        }
        let firsts = groups.iter().map(|g| g.first().copied().unwrap_or(0)).collect::<Vec<u32>>();
        let firsts = UInt32Array::from(firsts);
        rows.iter().map(|c| c.take(&firsts)).collect()
    }
}

impl Combiner for Deduplicating {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        Ok(match &mut self.inner {
            Some(inner) => Self::distinct(&self.places, &inner.combine(rows, groups)?),
            None if groups.all_single() => rows.to_vec(),
            None => Self::distinct(&self.places, rows),
        })
    }

    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        if let Some(inner) = &mut self.inner {
            return inner.shrink(rows);
        }
        let rows = Self::distinct(&self.places, rows);
        let count = rows.first().map_or(0, Column::len);
        let done = count.saturating_sub(HELD_MAX);
        let slice = |from: usize, rows_: usize| -> Vec<Column> {
            rows.iter().map(|c| c.slice(from, rows_)).collect()
        };
        Ok(((done > 0).then(|| slice(0, done)), slice(done, count - done)))
    }
}
