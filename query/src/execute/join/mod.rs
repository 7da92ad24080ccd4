//! Joins by hash: the right side is built first (`build`), then every block of the left side is
//! probed on all threads; rows of the right side that nothing matched come last where the kind asks
//! for them.
//!
//! Candidates are pairs of equal keys; what else must hold is evaluated over the pairs. ANY, SEMI and
//! ANTI then pick from what is left. ASOF takes the nearest row of the key.

mod build;

use arrow_array::UInt32Array;
use pumphouse_storage::{Block, Column, DataType};

use self::build::Build;
use super::expression::{evaluate, evaluate_all, evaluate_mask};
use super::pipeline::{CHUNK_ROWS, Consumer, Driven, Flow, Worker, emit_in_order, push_chunks};
use super::transform::block_of;
use super::{Env, drive, gather};
use crate::error::Result;
use crate::plan::{AsofOperator, JoinNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

pub(super) fn drive_join(
    join: &JoinNode,
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    if join.kind == JoinKind::Paste {
        return paste(join, schema, env, base, consumer);
    }
    let build = Build::new(join, schema, env)?;
    let probe = Probe { join, schema, env, build: &build, next: consumer };
    let mut morsels = drive(&join.left, env, base, &probe)?.morsels;
    if probe.keeps_right() && !consumer.satisfied() {
        let rows = build.unused_rows();
        let blocks = rows.chunks(CHUNK_ROWS).map(|rows| Ok(probe.right_only(rows)));
        morsels += emit_in_order(&env.ctx, blocks, base + morsels, consumer)?;
    }
    Ok(Driven { morsels, totals: None })
}

/// PASTE JOIN: rows side by side.
fn paste(
    join: &JoinNode,
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let (left, _) = gather(&join.left, env)?;
    let (right, _) = gather(&join.right, env)?;
    if left.blocks.is_empty() || right.blocks.is_empty() {
        let morsels = emit_in_order(&env.ctx, [], base, consumer)?;
        return Ok(Driven { morsels, totals: None });
    }
    let (left, right) = (Block::concat(&left.blocks)?, Block::concat(&right.blocks)?);
    let rows = left.rows().min(right.rows());
    let mut columns = left.slice(0, rows).columns;
    columns.extend(right.slice(0, rows).columns);
    let block = block_of(schema, columns, rows);
    let morsels = emit_in_order(&env.ctx, [Ok(block)], base, consumer)?;
    Ok(Driven { morsels, totals: None })
}

struct Probe<'a> {
    join: &'a JoinNode,
    schema: &'a [(String, DataType)],
    env: &'a Env,
    build: &'a Build,
    next: &'a dyn Consumer,
}

impl Probe<'_> {
    /// Whether right rows without a match are part of the result.
    fn keeps_right(&self) -> bool {
        use JoinStrictness::*;
        match (self.join.kind, self.join.strictness) {
            (JoinKind::Right, Semi) => false,
            (JoinKind::Right | JoinKind::Full, _) => true,
            _ => false,
        }
    }

    /// Whether left rows without a match are part of the result.
    fn keeps_left(&self) -> bool {
        match (self.join.kind, self.join.strictness) {
            (JoinKind::Left, JoinStrictness::Semi) => false,
            (JoinKind::Left | JoinKind::Full, _) => true,
            _ => false,
        }
    }

    fn right_only(&self, rows: &[u32]) -> Block {
        let left = self.join.left.schema.len();
        let indices = UInt32Array::from(rows.to_vec());
        let mut columns: Vec<Column> = self.schema[..left]
            .iter()
            .map(|(_, t)| Column::filler_values(t.clone(), rows.len()))
            .collect();
        columns.extend(self.build.block.columns.iter().map(|c| c.take(&indices)));
        block_of(self.schema, columns, rows.len())
    }

    fn joined(&self, block: &Block, pairs: &Pairs) -> Block {
        let left = UInt32Array::from(pairs.left.clone());
        let right = UInt32Array::from(pairs.right.clone());
        let mut columns: Vec<Column> = block.columns.iter().map(|c| c.take(&left)).collect();
        columns.extend(self.build.block.columns.iter().map(|c| c.take(&right)));
        block_of(self.schema, columns, pairs.left.len())
    }

    /// Pairs of `pairs` for which the residual condition holds.
    fn filtered(&self, block: &Block, pairs: Pairs) -> Result<Pairs> {
        let Some(residual) = &self.join.residual else { return Ok(pairs) };
        if pairs.left.is_empty() {
            return Ok(pairs);
        }
        let mask = evaluate_mask(residual, &self.joined(block, &pairs), &self.env.ctx)?;
        let mut kept = Pairs::default();
        for i in mask.values().set_indices() {
            kept.push(pairs.left[i], pairs.right[i]);
        }
        Ok(kept)
    }

    /// What the kind and strictness make of the matching pairs of left rows `from..to`.
    fn chosen(&self, matches: Pairs, numbers: &[u32], from: usize, to: usize) -> Pairs {
        use JoinStrictness::*;
        let right_kind = self.join.kind == JoinKind::Right;
        let mut out = Pairs::default();
        let mut at = 0;
        for row in from as u32..to as u32 {
            let start = at;
            while at < matches.left.len() && matches.left[at] == row {
                at += 1;
            }
            let rights = &matches.right[start..at];
            let number = numbers[row as usize];
            match self.join.strictness {
                Anti => rights.iter().for_each(|r| self.build.mark_used(*r)),
                Semi if right_kind => {
                    for right in rights {
                        if !self.was_used(*right) {
                            out.push(row, *right);
                        }
                    }
                }
                Any if self.join.kind != JoinKind::Left => {
                    if let Some(first) = rights.first()
                        && self.build.spend(number)
                    {
                        let taken = if right_kind { rights } else { std::slice::from_ref(first) };
                        for right in taken {
                            self.build.mark_used(*right);
                            out.push(row, *right);
                        }
                    }
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
            if rights.is_empty() && self.keeps_left() {
                out.push(row, self.build.default_row());
            }
        }
        out
    }

    /// Marks a right row and says whether it had been used before.
    fn was_used(&self, row: u32) -> bool {
        self.build.used[row as usize].swap(true, std::sync::atomic::Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Pairs {
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
        push_chunks(self.next.as_mut(), probe.joined(block, &pairs))
    }
}

impl Worker for ProbeWorker<'_> {
    fn morsel_begin(&mut self, index: usize) -> Result<()> {
        self.next.morsel_begin(index)
    }

    fn push(&mut self, block: Block) -> Result<Flow> {
        let (join, build, ctx) = (self.probe.join, self.probe.build, &self.probe.env.ctx);
        let keys = evaluate_all(&join.left_keys, &block, ctx)?;
        let numbers = build.find(&keys, block.rows());
        let asof = match (&join.asof, &build.asof) {
            (Some((left, operator, _)), Some(asof)) => {
                let column = evaluate(left, &block, ctx)?;
                let nulls = column.array.nulls().cloned();
                let keys = asof.encoder.encode(std::slice::from_ref(&column), block.rows());
                Some((asof, keys, *operator, nulls))
            }
            _ => None,
        };
        let mut candidates = Pairs::default();
        let mut from = 0;
        for row in 0..block.rows() {
            let rights = build.rows_of(numbers[row]);
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
