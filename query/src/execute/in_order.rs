//! ORDER BY … LIMIT in the order that a table's rows lie in: granules are read from that end of the
//! parts that comes first, until no unread granule can hold a row that belongs to the result.
//!
//! Every part's granules ascend by key, so only the next granule of each part has to be looked at. They
//! are read a few at a time, more with every step, by all threads. Only the best rows are kept.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::expression::{evaluate, evaluate_all, evaluate_mask};
use super::pipeline::{CHUNK_ROWS, Consumer, Driven, Flow, Forward, emit_in_order, for_each_index};
use super::prewhere::Prewhere;
use super::scan::{Rows, ScanNode, known_conditions};
use super::sort::{block_bytes, encoder_of, interleave};
use super::sort_key::{SortEncoder, SortKeys};
use super::transform::block_of;
use super::{CountsBeforeLimit, Env};
use crate::catalog::MorselSource;
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::optimize::read_in_order::InOrder;
use crate::plan::{Plan, PlanNode};

/// Granules of a step, at most, per thread.
const STEP_MAX: usize = 16;

/// Runs the sort, if its table can be read so; None if not.
pub(super) fn drive(
    order: &InOrder<'_>,
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Option<Driven>> {
    let Some((reader, parts)) = Reader::open(order, env)? else { return Ok(None) };
    let mut best = Best {
        blocks: vec![],
        keys: None,
        encoder: encoder_of(&order.keys),
        memory: env.ctx.memory.reserve(0)?,
    };
    reader.read(parts, &mut best)?;
    let found = best.cut(order.limit as usize)?;
    if found.rows() == 0 {
        return Ok(Some(Driven {
            morsels: emit_in_order(&env.ctx, [], base, consumer)?,
            totals: None,
        }));
    }
    let columns = evaluate_all(&order.exprs, &found, &env.ctx)?;
    let block = block_of(schema, columns, found.rows());
    let morsels = emit_in_order(&env.ctx, [Ok(block)], base, consumer)?;
    Ok(Some(Driven { morsels, totals: None }))
}

/// Pushes all rows of the sort `plan` in order, window by window, until `consumer` has enough: rows that
/// lie before all that is unread are sorted among themselves. False if its table cannot be read so.
pub(super) fn drive_sorted(plan: &Plan, env: &Env, consumer: &dyn Consumer) -> Result<bool> {
    let PlanNode::Sort { input, keys, limit: None } = &plan.node else { return Ok(false) };
    let Some(order) = InOrder::of_all(input, keys, u64::MAX, &env.ctx) else { return Ok(false) };
    let Some((reader, parts)) = Reader::open(&order, env)? else { return Ok(false) };
    let mut window = Best {
        blocks: vec![],
        keys: None,
        encoder: encoder_of(&order.keys),
        memory: env.ctx.memory.reserve(0)?,
    };
    let mut next = Forward::new(consumer, 0)?;
    let mut push = |rows: Block| -> Result<Flow> {
        let columns = evaluate_all(&order.exprs, &rows, &env.ctx)?;
        push_chunks_of(block_of(&plan.schema, columns, rows.rows()), &mut next)
    };
    let mut passed: Option<Vec<Value>> = None;
    let flow = reader.sweep(parts, &mut |blocks, unread| {
        for block in blocks {
            window.add(block, &order, env)?;
        }
        let Some(unread) = unread.filter(|key| passed.as_deref() != Some(*key)) else {
            return Ok(Flow::More);
        };
        passed = Some(unread.to_vec());
        let sorted = window.cut(usize::MAX)?;
        if sorted.is_empty() {
            return Ok(Flow::More);
        }
        let finished = reader.rows_before(&sorted, unread)?;
        let rest = sorted.slice(finished, sorted.rows() - finished);
        if !rest.is_empty() {
            window.add(rest, &order, env)?;
        }
        match finished {
            0 => Ok(Flow::More),
            rows => push(sorted.slice(0, rows)),
        }
    })?;
    let rest = window.cut(usize::MAX)?;
    if flow == Flow::More && !rest.is_empty() {
        push(rest)?;
    }
    next.close()?;
    Ok(true)
}

fn push_chunks_of(block: Block, next: &mut Forward<'_>) -> Result<Flow> {
    let mut from = 0;
    while from < block.rows() {
        let rows = CHUNK_ROWS.min(block.rows() - from);
        if next.push(block.slice(from, rows))? == Flow::Enough {
            return Ok(Flow::Enough);
        }
        from += rows;
    }
    Ok(Flow::More)
}

/// Reads the table of an [`InOrder`] from that end of its parts that comes first.
pub(super) struct Reader<'a> {
    order: &'a InOrder<'a>,
    node: ScanNode<'a>,
    prewhere: Option<Prewhere>,
    morsels: Arc<dyn MorselSource>,
    env: Env,
}

/// The first key that an unread row of a part can have; None: any.
type Key = Option<Vec<Value>>;

impl<'a> Reader<'a> {
    /// With the parts to be read; None if the table is better read another way.
    pub fn open(
        order: &'a InOrder<'a>,
        env: &Env,
    ) -> Result<Option<(Reader<'a>, Vec<Range<usize>>)>> {
        let PlanNode::Scan { source, columns, conditions, prewhere, hints, .. } = &order.scan.node
        else {
            return Ok(None);
        };
        let all = known_conditions(source.as_ref(), columns, conditions, hints);
        let settings = &env.ctx.settings;
        let opened = source.scan_in_order(columns, &all, &hints.predicate, settings)?;
        let Some((morsels, parts)) = opened else { return Ok(None) };
        let node = ScanNode {
            schema: &order.scan.schema,
            source: source.as_ref(),
            columns,
            conditions,
            prewhere: prewhere.as_ref(),
            final_: false,
            hints,
        };
        let env = Env {
            top: None,
            coded: None,
            once: false,
            best: None,
            first: None,
            counts: CountsBeforeLimit::Nobody,
            ..env.clone()
        };
        let prewhere = node.conditions(None, &env).0;
        Ok(Some((Reader { order, node, prewhere, morsels, env }, parts)))
    }

    fn read(&self, mut parts: Vec<Range<usize>>, best: &mut Best) -> Result<()> {
        let limit = self.order.limit as usize;
        let mut heads = self.heads(&parts);
        let (mut step, mut worst): (usize, Option<Vec<Value>>) = (1, None);
        loop {
            let chosen = self.choose(&mut parts, &mut heads, step, worst.as_deref());
            if chosen.is_empty() {
                return Ok(());
            }
            for block in self.read_morsels(&chosen)? {
                best.add(block, self.order, &self.env)?;
            }
            if best.rows() >= limit {
                let kept = best.cut(limit)?;
                worst = Some(self.key_of(&kept.slice(limit - 1, 1))?);
                best.add(kept, self.order, &self.env)?;
            }
            step = self.next_step(step);
        }
    }

    /// Reads all parts step by step. `take` gets the rows of a step, and the first key of what is unread:
    /// no row before it comes any more (None: that is not known). It may say that it has enough.
    pub fn sweep(
        &self,
        mut parts: Vec<Range<usize>>,
        take: &mut dyn FnMut(Vec<Block>, Option<&[Value]>) -> Result<Flow>,
    ) -> Result<Flow> {
        let mut heads = self.heads(&parts);
        let mut step = 1;
        loop {
            let chosen = self.choose(&mut parts, &mut heads, step, None);
            if chosen.is_empty() {
                return Ok(Flow::More);
            }
            self.env.ctx.check()?;
            let blocks = self.read_morsels(&chosen)?;
            let next = self.first(&heads).and_then(|at| heads[at].0.clone());
            if take(blocks, next.as_deref())? == Flow::Enough {
                return Ok(Flow::Enough);
            }
            step = self.next_step(step);
        }
    }

    fn next_step(&self, step: usize) -> usize {
        (step * 2).min(STEP_MAX * self.env.threads.max(1))
    }

    fn heads(&self, parts: &[Range<usize>]) -> Vec<(Key, usize)> {
        (0..parts.len()).filter_map(|i| Some((self.head(&parts[i])?, i))).collect()
    }

    /// The next `step` morsels, those first whose rows come first, up to the key `worst`.
    fn choose(
        &self,
        parts: &mut [Range<usize>],
        heads: &mut Vec<(Key, usize)>,
        step: usize,
        worst: Option<&[Value]>,
    ) -> Vec<usize> {
        let mut chosen = vec![];
        while chosen.len() < step {
            let Some(at) = self.first(heads) else { break };
            if worst.is_some_and(|worst| self.is_behind(&heads[at].0, worst)) {
                break;
            }
            let range = &mut parts[heads[at].1];
            if self.order.descending {
                range.end -= 1;
                chosen.push(range.end);
            } else {
                chosen.push(range.start);
                range.start += 1;
            }
            match self.head(range) {
                Some(key) => heads[at].0 = key,
                None => {
                    heads.swap_remove(at);
                }
            }
        }
        chosen
    }

    /// Of the next morsel of a part; None if there is none.
    fn head(&self, range: &Range<usize>) -> Option<Key> {
        let (fixed, length) = (&self.order.fixed, self.order.length);
        let index = match (range.is_empty(), self.order.descending) {
            (true, _) => return None,
            (false, true) => range.end - 1,
            (false, false) => range.start,
        };
        let Some((first, last)) = self.morsels.key_bounds(index) else { return Some(None) };
        let edge = if self.order.descending { last } else { first };
        // Rows of the fixed values may begin anywhere in the granule if the edge has others.
        let applies = edge.len() > fixed.len() && edge.starts_with(fixed);
        let to = edge.len().min(fixed.len() + length);
        Some(applies.then(|| edge[fixed.len()..to].to_vec()))
    }

    /// In the order of reading; a shorter key is compared as far as it goes.
    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let shared = a.len().min(b.len());
        let order = a[..shared].cmp(&b[..shared]);
        if self.order.descending { order.reverse() } else { order }
    }

    /// Which rows have keys (their columns in the table's order) that lie before `next`.
    pub fn before(&self, keys: &[&Column], rows: usize, next: &[Value]) -> Vec<bool> {
        let wanted = if self.order.descending { Ordering::Greater } else { Ordering::Less };
        let is_before = |row: usize| {
            let pairs = keys.iter().zip(next).map(|(key, bound)| key.value(row).cmp(bound));
            pairs.fold(Ordering::Equal, Ordering::then) == wanted
        };
        (0..rows).map(is_before).collect()
    }

    /// How many of the first rows of `sorted` lie before `next`.
    fn rows_before(&self, sorted: &Block, next: &[Value]) -> Result<usize> {
        let keys = &self.order.keys[..self.order.length];
        let columns = keys.iter().map(|k| evaluate(&k.expr, sorted, &self.env.ctx));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let (mut low, mut high) = (0, sorted.rows());
        while low < high {
            let middle = (low + high) / 2;
            let row: Vec<Column> = columns.iter().map(|c| c.slice(middle, 1)).collect();
            match self.before(&row.iter().collect::<Vec<_>>(), 1, next)[0] {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// The head that is to be read first.
    fn first(&self, heads: &[(Key, usize)]) -> Option<usize> {
        (0..heads.len()).min_by(|a, b| match (&heads[*a].0, &heads[*b].0) {
            (None, None) => Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(x), Some(y)) => self.compare(x, y).then(x.len().cmp(&y.len())),
        })
    }

    /// Whether no row from this key on belongs before `worst`.
    fn is_behind(&self, key: &Key, worst: &[Value]) -> bool {
        let Some(key) = key else { return false };
        match self.compare(key, worst) {
            Ordering::Greater => true,
            // Equal rows are as good as those that are kept, if no more keys decide.
            Ordering::Equal => key.len() >= self.order.keys.len(),
            Ordering::Less => false,
        }
    }

    /// The keys of a row that are of the table's order.
    fn key_of(&self, row: &Block) -> Result<Vec<Value>> {
        let keys = &self.order.keys[..self.order.length];
        keys.iter().map(|k| Ok(evaluate(&k.expr, row, &self.env.ctx)?.value(0))).collect()
    }

    fn read_morsels(&self, chosen: &[usize]) -> Result<Vec<Block>> {
        let read: Vec<Mutex<Vec<Block>>> = chosen.iter().map(|_| Mutex::default()).collect();
        for_each_index(&self.env.ctx, chosen.len(), self.env.threads, &|i| {
            self.node.read_morsel(
                self.morsels.as_ref(),
                self.prewhere.as_ref(),
                Rows { index: chosen[i], promising: None },
                &self.env,
                &mut |block| {
                    let block = match self.order.filter {
                        Some(filter) => {
                            block.filter(&evaluate_mask(filter, &block, &self.env.ctx)?)
                        }
                        None => block,
                    };
                    read[i].lock().push(block);
                    Ok(Flow::More)
                },
            )?;
            Ok(())
        })?;
        Ok(read.into_iter().flat_map(Mutex::into_inner).filter(|b| !b.is_empty()).collect())
    }
}

/// The best rows so far.
struct Best {
    blocks: Vec<Block>,
    keys: Option<SortKeys>,
    encoder: SortEncoder,
    memory: MemoryGuard,
}

impl Best {
    fn rows(&self) -> usize {
        self.blocks.iter().map(Block::rows).sum()
    }

    fn add(&mut self, block: Block, order: &InOrder<'_>, env: &Env) -> Result<()> {
        let exprs = order.keys.iter().map(|k| evaluate(&k.expr, &block, &env.ctx));
        let columns = exprs.collect::<Result<Vec<_>>>()?;
        let keys = self.encoder.encode(&columns, block.rows());
        let own = self.keys.get_or_insert_with(|| keys.empty_like());
        own.append(&keys, 0..block.rows());
        self.blocks.push(block);
        let bytes: usize = self.blocks.iter().map(block_bytes).sum();
        self.memory.grow_to(bytes + self.keys.as_ref().map_or(0, SortKeys::memory_bytes))
    }

    /// The first rows, up to `limit`, in order; nothing is kept.
    fn cut(&mut self, limit: usize) -> Result<Block> {
        let blocks = std::mem::take(&mut self.blocks);
        let Some(keys) = self.keys.take() else { return Ok(Block::default()) };
        let starts: Vec<usize> = blocks
            .iter()
            .scan(0, |next, block| {
                let start = *next;
                *next += block.rows();
                Some(start)
            })
            .collect();
        let mut order = keys.sorted_rows();
        order.truncate(limit);
        let places: Vec<(usize, usize)> = order
            .into_iter()
            .map(|row| {
                let row = row as usize;
                let block = starts.partition_point(|start| *start <= row) - 1;
                (block, row - starts[block])
            })
            .collect();
        interleave(&blocks, &places)
    }
}
