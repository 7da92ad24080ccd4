//! Sorted runs on disk, and the merge of those and of runs in memory: one block of each is held at a
//! time, and rows come out in order.

use std::cmp::Ordering;

use pumphouse_storage::{Block, DataType};

use super::sort::{Run, Sorter, block_bytes, interleave};
use super::sort_key::SortKeys;
use crate::context::{MemoryGuard, QueryContext};
use crate::error::Result;
use crate::spill::{Frame, Purpose, SpillFile, SpillWriter, share};

/// Rows of a block on disk, at most.
const RUN_ROWS: usize = 8192;
/// Bytes of a block on disk, about.
const RUN_BYTES: usize = 1 << 20;
/// Rows of a block that comes out.
const MERGED_ROWS: usize = 16_384;

/// Writes a sorted run.
pub(super) fn write_run(run: &Run, ctx: &QueryContext) -> Result<SpillFile> {
    let mut writer = SpillWriter::new(ctx)?;
    let bytes: usize = run.blocks.iter().map(block_bytes).sum();
    let per_row = (bytes / run.order.len().max(1)).max(1);
    let rows = (RUN_BYTES / per_row).clamp(64, RUN_ROWS);
    for part in run.order.chunks(rows) {
        ctx.check()?;
        let places: Vec<(usize, usize)> = part.iter().map(|row| run.place(*row)).collect();
        writer.append(&interleave(&run.blocks, &places)?)?;
    }
    share(ctx)?.count_write(Purpose::Sort);
    writer.finish()
}

/// Where a run's next blocks come from.
enum Source<'a> {
    Disk { file: &'a SpillFile, frames: std::slice::Iter<'a, Frame> },
    Memory { run: Run, next: usize, _guard: MemoryGuard },
}

impl Source<'_> {
    fn next(&mut self, schema: &[(String, DataType)]) -> Result<Option<Block>> {
        match self {
            Source::Disk { file, frames } => {
                frames.next().map(|frame| file.read(*frame, schema)).transpose()
            }
            Source::Memory { run, next, .. } => {
                let part = &run.order[*next..(*next + RUN_ROWS).min(run.order.len())];
                *next += part.len();
                if part.is_empty() {
                    return Ok(None);
                }
                let places: Vec<(usize, usize)> = part.iter().map(|row| run.place(*row)).collect();
                interleave(&run.blocks, &places).map(Some)
            }
        }
    }
}

/// A run at its next row.
struct Cursor<'a> {
    source: Source<'a>,
    keys: SortKeys,
    row: usize,
    /// The block among those held.
    held: usize,
}

/// The merge, an iterator of blocks.
pub(super) struct Merged<'a> {
    sorter: &'a Sorter<'a>,
    /// A heap: each comes no later than the two at twice its place.
    cursors: Vec<Cursor<'a>>,
    held: Vec<Block>,
    left: usize,
    failed: bool,
}

impl<'a> Merged<'a> {
    pub fn new(
        sorter: &'a Sorter<'a>,
        runs: Vec<(Run, MemoryGuard)>,
        spilled: &'a [SpillFile],
    ) -> Result<Merged<'a>> {
        share(&sorter.env.ctx)?.count_merge(Purpose::Sort);
        let mut merged =
            Merged { sorter, cursors: vec![], held: vec![], left: usize::MAX, failed: false };
        let disk = spilled.iter().map(|file| Source::Disk { file, frames: file.frames.iter() });
        let memory =
            runs.into_iter().map(|(run, guard)| Source::Memory { run, next: 0, _guard: guard });
        for mut source in disk.chain(memory) {
            if let Some(block) = source.next(sorter.schema)? {
                let keys = sorter.keys_of(&block)?;
                merged.cursors.push(Cursor { source, keys, row: 0, held: merged.held.len() });
                merged.held.push(block);
            }
        }
        for at in (0..merged.cursors.len() / 2).rev() {
            merged.sink(at);
        }
        Ok(merged)
    }

    /// Only the first `rows`.
    pub fn take_rows(mut self, rows: Option<usize>) -> Merged<'a> {
        self.left = rows.unwrap_or(usize::MAX);
        self
    }

    fn comes_before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.cursors[a], &self.cursors[b]);
        a.keys.compare(a.row, &b.keys, b.row) == Ordering::Less
    }

    /// Moves the cursor at `at` down to its place.
    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut best = at;
            if left < self.cursors.len() && self.comes_before(left, best) {
                best = left;
            }
            if right < self.cursors.len() && self.comes_before(right, best) {
                best = right;
            }
            if best == at {
                return;
            }
            self.cursors.swap(at, best);
            at = best;
        }
    }

    fn block(&mut self) -> Result<Option<Block>> {
        let wanted = MERGED_ROWS.min(self.left);
        let mut places = Vec::with_capacity(wanted);
        while places.len() < wanted {
            let Some(first) = self.cursors.first_mut() else { break };
            places.push((first.held, first.row));
            first.row += 1;
            if first.row == first.keys.len() {
                match first.source.next(self.sorter.schema)? {
                    Some(block) => {
                        first.keys = self.sorter.keys_of(&block)?;
                        (first.row, first.held) = (0, self.held.len());
                        self.held.push(block);
                    }
                    None => {
                        self.cursors.swap_remove(0);
                    }
                }
            }
            if !self.cursors.is_empty() {
                self.sink(0);
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        self.left -= places.len();
        let block = interleave(&self.held, &places)?;
        // Blocks that have come out whole are let go.
        let held = std::mem::take(&mut self.held);
        for cursor in &mut self.cursors {
            self.held.push(held[cursor.held].clone());
            cursor.held = self.held.len() - 1;
        }
        Ok(Some(block))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Result<Block>> {
        if self.failed {
            return None;
        }
        let next = self.block().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}
