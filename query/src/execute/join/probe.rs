//! Left blocks against the built right side, on all threads.
//!
//! Candidates are pairs of equal keys; what else must hold is evaluated over the pairs. ANY, SEMI and
//! ANTI then pick from what is left. ASOF takes the nearest row of the key.

use arrow_array::{Array, UInt32Array};
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::build::{Build, keeps_left};
use crate::error::Result;
use crate::execute::Env;
use crate::execute::expression::{evaluate, evaluate_all, evaluate_mask};
use crate::execute::pipeline::{CHUNK_ROWS, Consumer, Flow, Worker, push_chunks};
use crate::execute::transform::block_of;
use crate::plan::{AsofOperator, JoinNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

pub(super) struct Probe<'a> {
    pub join: &'a JoinNode,
    pub schema: &'a [(String, DataType)],
    pub env: &'a Env,
    pub build: &'a Build,
    pub next: &'a dyn Consumer,
    /// Columns of values that nobody looks at, to be cut to length.
    blanks: Vec<Mutex<Option<Column>>>,
}

impl<'a> Probe<'a> {
    pub fn new(
        join: &'a JoinNode,
        schema: &'a [(String, DataType)],
        env: &'a Env,
        build: &'a Build,
        next: &'a dyn Consumer,
    ) -> Probe<'a> {
        let blanks = schema.iter().map(|_| Mutex::new(None)).collect();
        Probe { join, schema, env, build, next, blanks }
    }

    /// Right rows without a match, with defaults at the left.
    pub fn right_only(&self, rows: &[u32]) -> Block {
        let left = self.join.left.schema.len();
        let indices = UInt32Array::from(rows.to_vec());
        let mut columns: Vec<Column> = self.schema[..left]
            .iter()
            .map(|(_, t)| Column::filler_values(t.clone(), rows.len()))
            .collect();
        columns.extend(self.build.block.columns.iter().map(|c| c.take(&indices)));
        block_of(self.schema, columns, rows.len())
    }

    /// The pairs' columns; with `all` also those that nobody above looks at.
    fn joined(&self, block: &Block, pairs: &Pairs, all: bool) -> Block {
        let rows = pairs.left.len();
        let same = rows == block.rows() && pairs.left.iter().zip(0..).all(|(row, i)| *row == i);
        let left = UInt32Array::from(pairs.left.clone());
        let right = UInt32Array::from(pairs.right.clone());
        let width = block.columns.len();
        let unread = |i: usize| !all && self.join.unread.get(i) == Some(&true);
        let mut columns = Vec::with_capacity(self.schema.len());
        for (i, column) in block.columns.iter().enumerate() {
            columns.push(match () {
                _ if same => column.clone(),
                _ if unread(i) => self.blank(i, rows),
                _ => column.take(&left),
            });
        }
        for (i, column) in self.build.block.columns.iter().enumerate() {
            let unread = unread(width + i);
            columns.push(if unread { self.blank(width + i, rows) } else { column.take(&right) });
        }
        block_of(self.schema, columns, rows)
    }

    /// So many values of column `i` that nobody will look at.
    fn blank(&self, i: usize, rows: usize) -> Column {
        let mut blank = self.blanks[i].lock();
        match &*blank {
            Some(column) if column.len() >= rows => column.slice(0, rows),
            _ => {
                let data_type = self.schema[i].1.clone();
                let column = Column::filler_values(data_type, rows.max(CHUNK_ROWS));
                *blank = Some(column.clone());
                column.slice(0, rows)
            }
        }
    }

    /// Pairs of `pairs` for which the residual condition holds.
    fn filtered(&self, block: &Block, pairs: Pairs) -> Result<Pairs> {
        let Some(residual) = &self.join.residual else { return Ok(pairs) };
        if pairs.left.is_empty() {
            return Ok(pairs);
        }
        let mask = evaluate_mask(residual, &self.joined(block, &pairs, true), &self.env.ctx)?;
        let mut kept = Pairs::default();
        for i in mask.values().set_indices() {
            kept.push(pairs.left[i], pairs.right[i]);
        }
        Ok(kept)
    }

    /// Whether one matching row is as good as all.
    fn first_is_enough(&self) -> bool {
        use JoinStrictness::*;
        let left = self.join.kind == JoinKind::Left;
        left && matches!(self.join.strictness, Any | Semi | Anti) && self.join.residual.is_none()
    }

    /// What the kind and strictness make of the matching pairs of left rows `from..to`.
    fn chosen(&self, matches: Pairs, numbers: &[u32], from: usize, to: usize) -> Pairs {
        use JoinStrictness::*;
        let all = matches!(self.join.strictness, All | Unspecified);
        if all && matches!(self.join.kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Comma) {
            return matches;
        }
        if all && self.join.kind == JoinKind::Right {
            matches.right.iter().for_each(|r| self.build.mark_used(*r));
            return matches;
        }
        let right_kind = self.join.kind == JoinKind::Right;
        let keeps_left = keeps_left(self.join);
        let mut out = Pairs::default();
        let mut at = 0;
        for row in from as u32..to as u32 {
            let start = at;
            while at < matches.left.len() && matches.left[at] == row {
                at += 1;
            }
            let rights = &matches.right[start..at];
            match self.join.strictness {
                Anti => rights.iter().for_each(|r| self.build.mark_used(*r)),
                Semi if right_kind => {
                    for right in rights {
                        if !self.build.was_used(*right) {
                            out.push(row, *right);
                        }
                    }
                }
                Any if matches!(self.join.kind, JoinKind::Inner | JoinKind::Right) => {
                    if let Some(first) = rights.first()
                        && self.build.spend(numbers[row as usize])
                    {
                        let taken = if right_kind { rights } else { std::slice::from_ref(first) };
                        for right in taken {
                            self.build.mark_used(*right);
                            out.push(row, *right);
                        }
                    }
                }
                Any if self.join.kind == JoinKind::Full => {
                    // Of the key's rows the first is joined; none of them stays alone.
                    rights.iter().for_each(|r| self.build.mark_used(*r));
                    rights.iter().take(1).for_each(|r| out.push(row, *r));
                }
                Any | Semi | Asof => rights.iter().take(1).for_each(|r| {
                    self.build.mark_used(*r);
                    out.push(row, *r);
                }),
                All | Unspecified => rights.iter().for_each(|r| {
                    self.build.mark_used(*r);
                    out.push(row, *r);
                }),
            }
            if rights.is_empty() && keeps_left {
                out.push(row, self.build.default_row());
            }
        }
        out
    }
}

#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Pairs {
    #[inline]
    fn push(&mut self, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
    }
}

impl Consumer for Probe<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(ProbeWorker { probe: self, next: self.next.worker()? }))
    }

    fn satisfied(&self) -> bool {
        // Right rows without a match are only known when the left side has been read.
        self.next.satisfied()
    }
}

struct ProbeWorker<'a> {
    probe: &'a Probe<'a>,
    next: Box<dyn Worker + 'a>,
}

impl ProbeWorker<'_> {
    fn flush(
        &mut self,
        block: &Block,
        candidates: Pairs,
        numbers: &[u32],
        from: usize,
        to: usize,
    ) -> Result<Flow> {
        let probe = self.probe;
        let matches = probe.filtered(block, candidates)?;
        let pairs = probe.chosen(matches, numbers, from, to);
        if pairs.left.is_empty() {
            return Ok(Flow::More);
        }
        push_chunks(self.next.as_mut(), probe.joined(block, &pairs, false))
    }

    /// Each left row has at most one right row.
    fn push_unique(&mut self, block: Block, numbers: &[u32]) -> Result<Flow> {
        let mut candidates = Pairs::default();
        candidates.left.reserve(numbers.len());
        candidates.right.reserve(numbers.len());
        for (row, number) in numbers.iter().enumerate() {
            if *number != crate::execute::key_table::ABSENT {
                candidates.push(row as u32, *number);
            }
        }
        self.flush(&block, candidates, numbers, 0, block.rows())
    }
}

impl Worker for ProbeWorker<'_> {
    fn morsel_begin(&mut self, index: usize) -> Result<()> {
        self.next.morsel_begin(index)
    }

    fn push(&mut self, block: Block) -> Result<Flow> {
        let (join, build, ctx) = (self.probe.join, self.probe.build, &self.probe.env.ctx);
        let keys = evaluate_all(&join.left_keys, &block, ctx)?;
        let numbers = build.index.find(&keys, block.rows());
        if build.index.is_unique() && join.asof.is_none() && !join.left_keys.is_empty() {
            return self.push_unique(block, &numbers);
        }
        let asof = match (&join.asof, &build.asof) {
            (Some((left, operator, _)), Some(asof)) => {
                let column = evaluate(left, &block, ctx)?;
                let nulls = column.array.nulls().cloned();
                let keys = asof.encoder.encode(std::slice::from_ref(&column), block.rows());
                Some((asof, keys, *operator, nulls))
            }
            _ => None,
        };
        let first_is_enough = self.probe.first_is_enough();
        let mut candidates = Pairs::default();
        let mut from = 0;
        for row in 0..block.rows() {
            let rights = build.index.rows_of(&numbers[row]);
            match &asof {
                Some((asof, keys, operator, nulls)) => {
                    let null = nulls.as_ref().is_some_and(|n| n.is_null(row));
                    let at = nearest(rights, *operator, |right| {
                        asof.keys.compare(right as usize, keys, row)
                    });
                    if let Some(at) = at.filter(|_| !null) {
                        candidates.push(row as u32, rights[at]);
                    }
                }
                None if first_is_enough => {
                    rights.iter().take(1).for_each(|r| candidates.push(row as u32, *r));
                }
                None => rights.iter().for_each(|r| candidates.push(row as u32, *r)),
            }
            if candidates.left.len() >= CHUNK_ROWS {
                ctx.check()?;
                let full = std::mem::take(&mut candidates);
                if self.flush(&block, full, &numbers, from, row + 1)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
                from = row + 1;
            }
        }
        self.flush(&block, candidates, &numbers, from, block.rows())
    }

    fn morsel_done(&mut self, index: usize) -> Result<()> {
        self.next.morsel_done(index)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

/// The place in `rights` (ascending) nearest to the left value; `compare` orders a right row against
/// it.
fn nearest(
    rights: &[u32],
    operator: AsofOperator,
    compare: impl Fn(u32) -> std::cmp::Ordering,
) -> Option<usize> {
    match operator {
        AsofOperator::GreaterOrEquals => {
            rights.partition_point(|r| compare(*r).is_le()).checked_sub(1)
        }
        AsofOperator::Greater => rights.partition_point(|r| compare(*r).is_lt()).checked_sub(1),
        AsofOperator::LessOrEquals => {
            Some(rights.partition_point(|r| compare(*r).is_lt())).filter(|at| *at < rights.len())
        }
        AsofOperator::Less => {
            Some(rights.partition_point(|r| compare(*r).is_le())).filter(|at| *at < rights.len())
        }
    }
}
