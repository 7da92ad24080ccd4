//! A merge stream with the engine's rule applied: what a merge writes and what FINAL shows.
//!
//! Without a rule the rows pass as they are. A group too long for one output is held as the few rows
//! that it shrinks to.

use super::combine::{Combiner, Groups};
use super::stream::{MergeStream, WholeGranule};
use crate::block::Column;
use crate::error::Result;

pub(crate) struct CombinedStream<'a> {
    stream: MergeStream<'a>,
    combiner: Option<Box<dyn Combiner>>,
    /// Rows that stand for the beginning of a group that goes on.
    held: Option<Vec<Column>>,
    /// Rows that went in.
    pub(crate) rows_read: u64,
}

impl<'a> CombinedStream<'a> {
    pub(crate) fn new(
        stream: MergeStream<'a>,
        combiner: Option<Box<dyn Combiner>>,
    ) -> CombinedStream<'a> {
        CombinedStream { stream, combiner, held: None, rows_read: 0 }
    }

    /// Whether a granule comes next that [`CombinedStream::take_whole`] gives.
    pub(crate) fn next_is_whole(&self) -> bool {
        self.combiner.is_none() && self.stream.next_is_whole()
    }

    /// A granule that comes next as it is, if the sources allow it and no rule looks at rows.
    pub(crate) fn take_whole(&mut self) -> Result<Option<WholeGranule>> {
        if !self.next_is_whole() {
            return Ok(None);
        }
        let whole = self.stream.take_whole()?;
        self.rows_read += whole.as_ref().map_or(0, |w| w.rows as u64);
        Ok(whole)
    }

    /// The next rows (there may be none in an output); None at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Vec<Column>>>> {
        let Some(combiner) = &mut self.combiner else {
            let Some(columns) = self.stream.next()? else { return Ok(None) };
            self.rows_read += columns.first().map_or(0, Column::len) as u64;
            return Ok(Some(vec![columns]));
        };
        let Some(merged) = self.stream.next_groups()? else {
            let Some(held) = self.held.take() else { return Ok(None) };
            let count = held.first().map_or(0, Column::len);
            return Ok(Some(vec![combiner.combine(&held, &Groups::one(count))?]));
        };
        self.rows_read += merged.groups.rows() as u64;
        let (columns, groups) = match self.held.take() {
            None => (merged.columns, merged.groups),
            Some(held) => prepend(held, &merged.columns, &merged.groups)?,
        };
        if !merged.open {
            return Ok(Some(vec![combiner.combine(&columns, &groups)?]));
        }
        let last = groups.starts().last().map_or(0, |s| *s as usize);
        let mut out = vec![];
        if last > 0 {
            let starts = groups.starts()[..groups.len() - 1].to_vec();
            let whole: Vec<Column> = columns.iter().map(|c| c.slice(0, last)).collect();
            out.push(combiner.combine(&whole, &Groups::new(starts, last))?);
        }
        let rest: Vec<Column> =
            columns.iter().map(|c| c.slice(last, groups.rows() - last)).collect();
        let (done, held) = combiner.shrink(&rest)?;
        out.extend(done);
        self.held = Some(held);
        Ok(Some(out))
    }
}

/// `held` before `rows`, of whose first group it is the beginning.
fn prepend(held: Vec<Column>, rows: &[Column], groups: &Groups) -> Result<(Vec<Column>, Groups)> {
    let count = held.first().map_or(0, Column::len);
    let columns = held
        .into_iter()
        .zip(rows)
        .map(|(before, after)| Column::concat(&[before, after.clone()]))
        .collect::<Result<Vec<_>>>()?;
    let later = groups.starts().iter().skip(1).map(|s| s + count as u32);
    let starts = [0].into_iter().chain(later).collect();
    Ok((columns, Groups::new(starts, groups.rows() + count)))
}
