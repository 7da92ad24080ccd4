//! LIMIT, OFFSET, WITH TIES and LIMIT BY: one block after the other, in order; input stops when
//! nothing more can come.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use pumphouse_storage::{Block, Column, DataType};

use super::expression::{evaluate, evaluate_all};
use super::key_table::KeyTable;
use super::pipeline::{Consumer, Driven, Flow, Forward, Ordered, Serial};
use super::sort::encoder_of;
use super::sort_key::{SortEncoder, SortKeys};
use super::{CountsBeforeLimit, Env, drive, in_order};
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::optimize::shape::key;
use crate::plan::{BoundExpr, Plan, PlanNode, SortKey};

pub(super) fn drive_limit(
    input: &Plan,
    limit: Option<u64>,
    offset: u64,
    ties: Option<&[SortKey]>,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let sorts = counting_sort(input);
    let outermost = env.counts == CountsBeforeLimit::NextLimit;
    let counts = match outermost && sorts {
        true => CountsBeforeLimit::NextSort,
        false => CountsBeforeLimit::Nobody,
    };
    let env = &Env { counts, ..env.clone() };
    let to_rows = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let cut = Cut {
        skip: to_rows(offset),
        left: limit.map_or(usize::MAX, to_rows),
        ties: ties.map(|keys| Ties { keys, encoder: encoder_of(keys), last: None }),
        env,
        seen: 0,
        next: Forward::new(consumer, base)?,
    };
    let ordered = Ordered::new(cut, 0, env.threads);
    let totals = if limit == Some(0) { None } else { drive(input, env, 0, &ordered)?.totals };
    let cut = ordered.into_inner();
    if outermost {
        let before = &env.ctx.progress.before_limit;
        before.applied.store(true, Relaxed);
        // A sort that read only the first rows has counted none.
        before.rows.fetch_max(cut.seen, Relaxed);
    }
    cut.next.close()?;
    Ok(Driven { morsels: 1, totals })
}

/// Whether the rows come from a sort that knows how many are wanted.
fn counting_sort(input: &Plan) -> bool {
    match &input.node {
        PlanNode::Project { input, .. } => counting_sort(input),
        PlanNode::Sort { limit, .. } => limit.is_some(),
        _ => false,
    }
}

struct Cut<'a> {
    seen: u64,
    skip: usize,
    left: usize,
    ties: Option<Ties<'a>>,
    env: &'a Env,
    next: Forward<'a>,
}

struct Ties<'a> {
    keys: &'a [SortKey],
    encoder: SortEncoder,
    /// The key of the last row that the limit let through.
    last: Option<SortKeys>,
}

impl Ties<'_> {
    fn keys_of(&self, block: &Block, env: &Env) -> Result<SortKeys> {
        let columns = self
            .keys
            .iter()
            .map(|k| evaluate(&k.expr, block, &env.ctx))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.encoder.encode(&columns, block.rows()))
    }

    /// Rows from `from` on whose key equals the last one's.
    fn count(&self, keys: &SortKeys, from: usize, rows: usize) -> usize {
        let Some(last) = &self.last else { return 0 };
        (from..rows).take_while(|r| keys.compare(*r, last, 0).is_eq()).count()
    }
}

impl Serial for Cut<'_> {
    fn block(&mut self, block: Block) -> Result<Flow> {
        self.seen += block.rows() as u64;
        let skipped = self.skip.min(block.rows());
        self.skip -= skipped;
        let rows = self.left.min(block.rows() - skipped);
        self.left -= rows;
        let mut taken = rows;
        let mut more = self.left > 0;
        if let Some(ties) = &mut self.ties
            && self.left == 0
        {
            let keys = ties.keys_of(&block, self.env)?;
            if rows > 0 {
                let mut last = keys.empty_like();
                last.append(&keys, std::iter::once(skipped + rows - 1));
                ties.last = Some(last);
            }
            taken += ties.count(&keys, skipped + rows, block.rows());
            more = skipped + taken == block.rows();
        }
        if taken > 0 && self.next.push(block.slice(skipped, taken))? == Flow::Enough {
            return Ok(Flow::Enough);
        }
        Ok(if more { Flow::More } else { Flow::Enough })
    }
}

pub(super) fn drive_limit_by(
    input: &Plan,
    limit: u64,
    offset: u64,
    keys: &[BoundExpr],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let types: Vec<_> = keys.iter().map(BoundExpr::data_type).collect();
    let sorted = sorted_below(input, keys);
    let by = LimitBy {
        keys,
        types: &types,
        consecutive: sorted.is_some(),
        table: KeyTable::new(&types),
        seen: vec![],
        from: offset,
        to: offset.saturating_add(limit),
        groups: vec![],
        env,
        memory: env.ctx.memory.reserve(0)?,
        next: Forward::new(consumer, base)?,
    };
    let ordered = Ordered::new(by, 0, env.threads);
    let done = match sorted {
        Some(sorted) => in_order::drive_sorted(sorted, env, &ordered)?,
        None => false,
    };
    let totals = if done { None } else { drive(input, env, 0, &ordered)?.totals };
    ordered.into_inner().next.close()?;
    Ok(Driven { morsels: 1, totals })
}

/// The sort right below, if rows of one key lie together behind it: its first keys are `keys`.
fn sorted_below<'p>(input: &'p Plan, keys: &[BoundExpr]) -> Option<&'p Plan> {
    let PlanNode::Sort { keys: sort_keys, limit: None, .. } = &input.node else { return None };
    let by: BTreeSet<u128> = keys.iter().map(key).collect();
    let first = sort_keys.get(..by.len())?;
    let sorted: BTreeSet<u128> = first.iter().map(|k| key(&k.expr)).collect();
    (by == sorted && first.iter().all(|k| k.fill.is_none())).then_some(input)
}

struct LimitBy<'a> {
    keys: &'a [BoundExpr],
    types: &'a [DataType],
    /// Rows of one key come one after the other: only the last key is remembered.
    consecutive: bool,
    table: KeyTable,
    /// Rows seen per key.
    seen: Vec<u64>,
    from: u64,
    to: u64,
    groups: Vec<u32>,
    env: &'a Env,
    memory: MemoryGuard,
    next: Forward<'a>,
}

impl Serial for LimitBy<'_> {
    fn block(&mut self, block: Block) -> Result<Flow> {
        let keys = evaluate_all(self.keys, &block, &self.env.ctx)?;
        self.table.insert(&keys, block.rows(), &mut self.groups)?;
        self.seen.resize(self.table.len(), 0);
        self.memory.grow_to(self.table.memory_bytes() + self.seen.capacity() * 8)?;
        let mut kept = vec![];
        for (row, group) in self.groups.iter().enumerate() {
            let seen = &mut self.seen[*group as usize];
            if (self.from..self.to).contains(seen) {
                kept.push(row as u32);
            }
            *seen += 1;
        }
        if self.consecutive && self.table.len() > 1 {
            self.forget_all_but(&keys, block.rows() - 1)?;
        }
        if kept.is_empty() {
            return Ok(Flow::More);
        }
        self.next.push(block.take(&kept.into()))
    }
}

impl LimitBy<'_> {
    /// Of all keys only that of `row` may come again.
    fn forget_all_but(&mut self, keys: &[Column], row: usize) -> Result<()> {
        let seen = self.groups.get(row).map_or(0, |group| self.seen[*group as usize]);
        let last: Vec<Column> = keys.iter().map(|key| key.slice(row, 1)).collect();
        self.table = KeyTable::new(self.types);
        self.table.insert(&last, 1, &mut self.groups)?;
        self.seen = vec![seen];
        Ok(())
    }
}
