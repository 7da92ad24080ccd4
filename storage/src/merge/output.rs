//! What a merge writes, and a mutation: rows that gather to whole granules, and granules of its sources as they are.
//!
//! A granule is copied where all its rows come next and nothing looks at rows; its bytes are verified, not
//! decoded. Rows that have gathered before it become a short granule, but only as long as those of the
//! new part are nearly full all the same.

use super::stream::WholeGranule;
use super::ttl::TtlRules;
use super::worker::WholeGranules;
use crate::block::{Block, Column};
use crate::error::Result;
use crate::log::ColumnDefinition;
use crate::part::PartWriter;
use crate::table::insert::push_rows;
use crate::table::key::{TableKeys, evaluate};

/// How full granules are on average, at least, where short ones come from copying.
const FULL_PERCENT_MIN: u64 = 90;

/// The part that a merge or a mutation writes.
pub(crate) struct Output<'a> {
    pub(crate) writer: PartWriter,
    columns: &'a [&'a ColumnDefinition],
    keys: &'a TableKeys,
    granularity: usize,
    gathering: WholeGranules,
    /// Now, and whether rows may have run out by then.
    now: i64,
    expires: bool,
    /// When the first and the last row run out, once there are any.
    pub(crate) seconds: Option<Option<(i64, i64)>>,
    /// The granules that were copied, of each source.
    pub(super) copied: Vec<Vec<usize>>,
}

impl<'a> Output<'a> {
    /// `expires`: what has run out by `now` goes.
    pub(crate) fn new(
        writer: PartWriter,
        columns: &'a [&'a ColumnDefinition],
        keys: &'a TableKeys,
        granularity: usize,
        now: i64,
        expires: bool,
    ) -> Output<'a> {
        let gathering = WholeGranules::new(granularity);
        let (seconds, copied) = (None, vec![]);
        Output { writer, columns, keys, granularity, gathering, now, expires, seconds, copied }
    }

    /// Adds rows, of which the table's TTL may leave fewer.
    pub(crate) fn write(&mut self, mut rows: Vec<Column>) -> Result<()> {
        let ttl: &TtlRules = &self.keys.ttl;
        if !ttl.is_empty() && rows.first().is_some_and(|c| !c.is_empty()) {
            if self.expires {
                let sorting = |block: &Block| evaluate(&self.keys.sorting, block);
                rows = ttl.apply(self.columns, rows, &sorting, self.now)?;
            }
            // What was not applied is still to come.
            let applied = self.expires.then_some(self.now);
            let range = ttl.seconds(&block_of(self.columns, &rows), applied)?;
            if rows.first().is_some_and(|c| !c.is_empty()) {
                self.seconds = Some(self.seconds.map_or(range, |before| later_of(before, range)));
            }
        }
        let (writer, columns, keys) = (&mut self.writer, self.columns, self.keys);
        let granularity = self.granularity;
        self.gathering.add(rows, &mut |rows| push_rows(writer, columns, rows, keys, granularity))
    }

    /// Writes what has gathered, as a granule that may be short.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let (writer, columns, keys) = (&mut self.writer, self.columns, self.keys);
        let granularity = self.granularity;
        self.gathering.finish(&mut |rows| push_rows(writer, columns, rows, keys, granularity))
    }

    /// Whether a granule may be copied now: at once, or behind a short one.
    pub(super) fn may_copy(&self) -> bool {
        let rows = self.gathering.rows() as u64;
        let full = (self.writer.granules() as u64 + 1) * self.granularity as u64;
        rows == 0 || (self.writer.rows() + rows) * 100 >= full * FULL_PERCENT_MIN
    }

    /// Adds a granule as it is. `places` are where its part has the columns.
    pub(super) fn copy(&mut self, granule: WholeGranule, places: &[usize]) -> Result<()> {
        self.flush()?;
        self.copied[granule.source].push(granule.granule);
        let WholeGranule { part, granule, first, last, .. } = granule;
        self.writer.push_copied(&part, granule, places, first, last)
    }
}

fn block_of(columns: &[&ColumnDefinition], rows: &[Column]) -> Block {
    let names = columns.iter().map(|c| c.name.clone());
    Block::new(names.zip(rows.iter().cloned()).collect())
}

/// The range of two sets of rows together; None if no row of a set runs out.
fn later_of(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b).map(|(first, _)| (first, i64::MAX)),
    }
}
