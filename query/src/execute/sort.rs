//! ORDER BY: every thread gathers its blocks with their encoded keys and sorts them; the sorted runs
//! are merged, large ones in ranges on all threads, and emitted in order.
//!
//! With a limit only the best rows are kept: when a thread holds a few times as many it sorts and
//! cuts, and later rows that cannot come before the worst kept one are dropped on arrival. Runs that do
//! not fit into memory go to disk (`sort_spill`).

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::{Array, UInt32Array};
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::aggregate::BestGroups;
use super::expression::evaluate;
use super::fill::fill_in;
use super::pipeline::{
    CHUNK_ROWS, Consumer, Driven, Flow, Forward, PARALLEL_ROWS_MIN, Worker, emit_in_order,
    for_each_index,
};
use super::sort_key::{KeyOrder, SortEncoder, SortKeys};
use super::sort_spill::{Merged, write_run};
use super::top::TopHint;
use super::{CountsBeforeLimit, Env, drive};
use crate::context::MemoryGuard;
use crate::error::{Error, Result, codes};
use crate::optimize::read_in_order::FirstGroups;
use crate::plan::{BoundExpr, Plan, SortKey};
use crate::spill::{SpillFile, Threshold, external_sort};

/// The encoder of these sort keys.
pub(super) fn encoder_of(keys: &[SortKey]) -> SortEncoder {
    SortEncoder::new(
        keys.iter()
            .map(|k| KeyOrder {
                data_type: k.expr.data_type(),
                descending: k.descending,
                nulls_first: k.nulls_first,
            })
            .collect(),
    )
}

/// Bytes of the rows that `block` shows, also if it is a slice of something larger.
pub(crate) fn block_bytes(block: &Block) -> usize {
    let bytes = |c: &Column| c.array.to_data().get_slice_memory_size().unwrap_or(0);
    block.columns.iter().map(bytes).sum()
}

pub(super) fn drive_sort(
    input: &Plan,
    keys: &[SortKey],
    limit: Option<u64>,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let fills = keys.iter().any(|k| k.fill.is_some());
    // Rows that WITH FILL adds count too, so that the cut comes after it.
    let keep = if fills { None } else { limit.and_then(|l| usize::try_from(l).ok()) };
    let exprs: Vec<&BoundExpr> = keys.iter().map(|k| &k.expr).collect();
    let top = keep.and_then(|_| TopHint::of(input, keys)).map(Arc::new);
    let counts = env.counts == CountsBeforeLimit::NextSort;
    let env = &Env { counts: CountsBeforeLimit::Nobody, ..env.clone() };
    let sorter = Sorter {
        counts,
        env,
        encoder: encoder_of(keys),
        exprs,
        keep,
        top: top.clone(),
        runs: Mutex::new(vec![]),
        external: external_sort(&env.ctx),
        schema: &input.schema,
        spilled: Mutex::new(vec![]),
    };
    let best = keep.and_then(|keep| BestGroups::of(input, keys, keep)).map(Arc::new);
    let first = FirstGroups::of(input, keys, limit.filter(|_| !fills), &env.ctx).map(Arc::new);
    let below = Env { top: top.clone(), best: best.clone(), first, ..env.clone() };
    let totals = drive(input, &below, 0, &sorter)?.totals;
    if let Some(best) = best.filter(|_| counts) {
        sorter.count(best.left_out());
    }
    let spilled = std::mem::take(&mut *sorter.spilled.lock());
    let runs = std::mem::take(&mut *sorter.runs.lock());
    if !spilled.is_empty() {
        let merged = Merged::new(&sorter, runs, &spilled)?.take_rows(keep);
        let morsels = if fills {
            let sorted = merged.collect::<Result<Vec<_>>>()?;
            let filled = fill_in(sorted, keys, &input.schema, env)?;
            emit_in_order(&env.ctx, filled.into_iter().map(Ok), base, consumer)?
        } else {
            emit_in_order(&env.ctx, merged, base, consumer)?
        };
        return Ok(Driven { morsels, totals });
    }
    let (runs, guards): (Vec<Run>, Vec<MemoryGuard>) = runs.into_iter().unzip();
    let merge = Merge::new(&runs);
    let rows: usize = runs.iter().map(|r| r.order.len()).sum();
    let morsels = if fills {
        let sorted = merge.all(None).collect::<Result<Vec<_>>>()?;
        let filled = fill_in(sorted, keys, &input.schema, env)?;
        emit_in_order(&env.ctx, filled.into_iter().map(Ok), base, consumer)?
    } else if keep.is_none() && env.threads > 1 && rows >= PARALLEL_ROWS_MIN {
        merge.emit_in_waves(env, base, consumer)?
    } else {
        emit_in_order(&env.ctx, merge.all(keep), base, consumer)?
    };
    drop(guards);
    Ok(Driven { morsels, totals })
}

pub(super) struct Sorter<'a> {
    /// The rows that arrive are those before the outermost LIMIT.
    counts: bool,
    pub env: &'a Env,
    encoder: SortEncoder,
    exprs: Vec<&'a BoundExpr>,
    keep: Option<usize>,
    /// The scan below, which can leave out what comes after the worst row kept.
    top: Option<Arc<TopHint>>,
    runs: Mutex<Vec<(Run, MemoryGuard)>>,
    /// When a thread's run goes to disk.
    external: Option<Threshold>,
    pub schema: &'a [(String, DataType)],
    /// Sorted runs on disk.
    spilled: Mutex<Vec<SpillFile>>,
}

impl Sorter<'_> {
    fn count(&self, rows: u64) {
        if self.counts {
            self.env.ctx.progress.before_limit.rows.fetch_add(rows, Relaxed);
        }
    }

    pub fn keys_of(&self, block: &Block) -> Result<SortKeys> {
        let columns = self
            .exprs
            .iter()
            .map(|e| evaluate(e, block, &self.env.ctx))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.encoder.encode(&columns, block.rows()))
    }
}

impl Consumer for Sorter<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let guard = self.env.ctx.memory.reserve(0)?;
        Ok(Box::new(SortWorker {
            shared: self,
            run: Run::default(),
            bytes: 0,
            bound: None,
            guard: Some(guard),
        }))
    }
}

/// Rows beyond the best that gather before they are sorted and cut again.
const CUT_ROWS_MIN: usize = 2048;
const COARSE_ROWS: usize = 4096;

/// Blocks, the keys of all their rows, and (once sorted) the order.
#[derive(Default)]
pub(super) struct Run {
    pub blocks: Vec<Block>,
    /// Number of the first row of each block.
    starts: Vec<usize>,
    /// The block of every 4096th row, to find a row's block without a search.
    coarse: Vec<u32>,
    keys: Option<SortKeys>,
    pub order: Vec<u32>,
}

impl Run {
    fn rows(&self) -> usize {
        self.keys.as_ref().map_or(0, SortKeys::len)
    }

    fn push(&mut self, block: Block, keys: &SortKeys, rows: impl Iterator<Item = usize>) {
        self.starts.push(self.rows());
        self.keys.get_or_insert_with(|| keys.empty_like()).append(keys, rows);
        let number = self.blocks.len() as u32;
        self.coarse.resize(self.rows().div_ceil(COARSE_ROWS), number);
        self.blocks.push(block);
    }

    fn sort(&mut self, keep: Option<usize>) {
        let Some(keys) = &self.keys else { return };
        self.order = keys.sorted_rows();
        if let Some(keep) = keep {
            self.order.truncate(keep);
        }
    }

    /// Block and row of row number `row`.
    pub fn place(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        let mut block = self.coarse[row / COARSE_ROWS] as usize;
        while self.starts.get(block + 1).is_some_and(|next| *next <= row) {
            block += 1;
        }
        (block, row - self.starts[block])
    }
}

struct SortWorker<'a> {
    shared: &'a Sorter<'a>,
    run: Run,
    bytes: usize,
    /// With a limit: the worst key that is still among the best.
    bound: Option<SortKeys>,
    guard: Option<MemoryGuard>,
}

impl SortWorker<'_> {
    fn reserve(&mut self) -> Result<()> {
        let keys = self.run.keys.as_ref().map_or(0, SortKeys::memory_bytes);
        let env = self.shared.env;
        if let Some(external) = self.shared.external
            && external.is_passed((self.bytes + keys) * env.threads, &env.ctx)
        {
            return self.spill();
        }
        match &mut self.guard {
            Some(guard) => guard.grow_to(self.bytes + keys),
            None => Ok(()),
        }
    }

    /// Sorts the rows and writes them out.
    fn spill(&mut self) -> Result<()> {
        self.run.sort(self.shared.keep);
        let run = std::mem::take(&mut self.run);
        if !run.order.is_empty() {
            let file = write_run(&run, &self.shared.env.ctx)?;
            self.shared.spilled.lock().push(file);
        }
        self.bytes = 0;
        match &mut self.guard {
            Some(guard) => guard.grow_to(0),
            None => Ok(()),
        }
    }

    /// Keeps only the best `keep` rows.
    fn cut(&mut self, keep: usize) -> Result<()> {
        self.run.sort(Some(keep));
        let run = std::mem::take(&mut self.run);
        let Some(keys) = &run.keys else { return Ok(()) };
        let places: Vec<(usize, usize)> = run.order.iter().map(|r| run.place(*r)).collect();
        let block = interleave(&run.blocks, &places)?;
        self.bytes = block_bytes(&block);
        let mut kept = keys.empty_like();
        kept.append(keys, run.order.iter().map(|r| *r as usize));
        if run.order.len() == keep && keep > 0 {
            let mut bound = keys.empty_like();
            bound.append(keys, run.order.last().map(|r| *r as usize).into_iter());
            self.bound = Some(bound);
            if let (Some(top), Some(first)) = (&self.shared.top, self.shared.exprs.first()) {
                let column = evaluate(first, &block.slice(keep - 1, 1), &self.shared.env.ctx)?;
                top.publish(column.value(0));
            }
        }
        let rows = block.rows();
        self.run.push(block, &kept, 0..rows);
        Ok(())
    }
}

impl Worker for SortWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        self.shared.count(block.rows() as u64);
        let keys = self.shared.keys_of(&block)?;
        if self.run.rows() + block.rows() > u32::MAX as usize {
            return Err(Error::new(codes::TOO_MANY_ROWS, "too many rows to sort in one thread"));
        }
        match &self.bound {
            Some(bound) => {
                let better = keys.rows_below(bound);
                if better.is_empty() {
                    return Ok(Flow::More);
                }
                let taken = block.take(&UInt32Array::from(better.clone()));
                self.bytes += block_bytes(&taken);
                self.run.push(taken, &keys, better.into_iter().map(|r| r as usize));
            }
            None => {
                self.bytes += block_bytes(&block);
                let rows = block.rows();
                self.run.push(block, &keys, 0..rows);
            }
        }
        if let Some(keep) = self.shared.keep {
            // The first cut comes soon: it gives those who read a bound.
            let least = if self.bound.is_none() { 0 } else { CUT_ROWS_MIN };
            if self.run.rows() > keep.saturating_mul(4).max(least) {
                self.cut(keep)?;
            }
        }
        self.reserve()?;
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.run.sort(self.shared.keep);
        let run = std::mem::take(&mut self.run);
        if let Some(mut guard) = self.guard.take() {
            guard.grow_to(guard.bytes() + run.order.capacity() * 4)?;
            self.shared.runs.lock().push((run, guard));
        }
        Ok(())
    }
}

/// Rows `places` (block, row) of `blocks`.
pub(super) fn interleave(blocks: &[Block], places: &[(usize, usize)]) -> Result<Block> {
    let mut out = Block::of_rows(places.len());
    let Some(first) = blocks.first() else { return Ok(out) };
    for (i, name) in first.names.iter().enumerate() {
        let arrays: Vec<&dyn Array> = blocks.iter().map(|b| b.columns[i].array.as_ref()).collect();
        let array = arrow_select::interleave::interleave(&arrays, places)
            .map_err(|e| Error::new(codes::LOGICAL_ERROR, format!("cannot gather rows: {e}")))?;
        out.push(name.clone(), Column { data_type: first.columns[i].data_type.clone(), array });
    }
    Ok(out)
}

/// Sorted runs, ready to be merged.
struct Merge<'a> {
    runs: &'a [Run],
    /// The blocks of all runs, and where each run's begin.
    blocks: Vec<Block>,
    first_block: Vec<usize>,
}

/// Ranges of the result that are merged at once, per thread.
const RANGES_PER_THREAD: usize = 4;

impl<'a> Merge<'a> {
    fn new(runs: &'a [Run]) -> Merge<'a> {
        let mut blocks = vec![];
        let mut first_block = vec![];
        for run in runs {
            first_block.push(blocks.len());
            blocks.extend(run.blocks.iter().cloned());
        }
        Merge { runs, blocks, first_block }
    }

    /// All rows in order, at most `keep`.
    fn all(&self, keep: Option<usize>) -> impl Iterator<Item = Result<Block>> + '_ {
        let range = self.runs.iter().map(|r| 0..r.order.len()).collect();
        self.range(range, keep.unwrap_or(usize::MAX))
    }

    /// The rows in `range` (places in each run's order), at most `left`.
    fn range(
        &self,
        mut range: Vec<Range<usize>>,
        mut left: usize,
    ) -> impl Iterator<Item = Result<Block>> + '_ {
        std::iter::from_fn(move || {
            let mut places = Vec::with_capacity(CHUNK_ROWS.min(left));
            while places.len() < CHUNK_ROWS && places.len() < left {
                let Some(best) = smallest(self.runs, &range) else { break };
                let run = &self.runs[best];
                let (block, row) = run.place(run.order[range[best].start]);
                places.push((self.first_block[best] + block, row));
                range[best].start += 1;
            }
            left -= places.len();
            (!places.is_empty()).then(|| interleave(&self.blocks, &places))
        })
    }

    /// Cuts the result into `count` ranges of about the same size, in order.
    fn ranges(&self, count: usize) -> Vec<Vec<Range<usize>>> {
        let longest = self.runs.iter().max_by_key(|r| r.order.len());
        let Some((longest, splitters)) = longest.and_then(|r| Some((r, r.keys.as_ref()?))) else {
            return vec![];
        };
        let mut from = vec![0; self.runs.len()];
        let mut ranges = vec![];
        for i in 1..=count {
            let to: Vec<usize> = self
                .runs
                .iter()
                .map(|run| match &run.keys {
                    Some(keys) if i < count => {
                        let at = longest.order[longest.order.len() * i / count] as usize;
                        run.order.partition_point(|row| {
                            keys.compare(*row as usize, splitters, at) == Ordering::Less
                        })
                    }
                    _ => run.order.len(),
                })
                .collect();
            ranges.push(from.iter().zip(&to).map(|(a, b)| *a..*b).collect());
            from = to;
        }
        ranges
    }

    /// Merges ranges on all threads, and emits them in order: the consumer may depend on it.
    fn emit_in_waves(&self, env: &Env, base: usize, consumer: &dyn Consumer) -> Result<usize> {
        let ranges = self.ranges(env.threads * RANGES_PER_THREAD);
        let mut forward = Forward::new(consumer, base)?;
        'waves: for wave in ranges.chunks(env.threads) {
            let merged: Vec<Mutex<Vec<Block>>> = wave.iter().map(|_| Mutex::new(vec![])).collect();
            for_each_index(&env.ctx, wave.len(), env.threads, &|i| {
                let blocks = self.range(wave[i].clone(), usize::MAX);
                *merged[i].lock() = blocks.collect::<Result<Vec<Block>>>()?;
                Ok(())
            })?;
            for block in merged.into_iter().flat_map(Mutex::into_inner) {
                if forward.push(block)? == Flow::Enough {
                    break 'waves;
                }
            }
        }
        forward.close()?;
        Ok(1)
    }
}

/// The run whose next row comes first.
fn smallest(runs: &[Run], ranges: &[Range<usize>]) -> Option<usize> {
    let mut best: Option<(usize, &SortKeys, usize)> = None;
    for (i, (run, range)) in runs.iter().zip(ranges).enumerate() {
        let Some(keys) = run.keys.as_ref().filter(|_| !range.is_empty()) else { continue };
        let row = run.order[range.start] as usize;
        if best.is_none_or(|(_, k, r)| keys.compare(row, k, r) == Ordering::Less) {
            best = Some((i, keys, row));
        }
    }
    best.map(|(i, ..)| i)
}
