//! Rows on disk by the hash of their keys: all rows of one key are in one partition, which fits into
//! memory when the whole does not.
//!
//! Rows gather per partition and are written together, so that every partition is read in few pieces.
//! Rows whose key is NULL count as having the same key.

use arrow_array::UInt32Array;
use pumphouse_storage::{Block, Column, DataType};

use super::{Frame, Purpose, SpillFile, SpillWriter, share};
use crate::context::{MemoryGuard, QueryContext};
use crate::error::Result;
use crate::execute::key_table::KeyTable;
use crate::execute::sort::block_bytes;

/// Partitions of all that is spilled.
pub(crate) const SPILL_PARTITIONS: usize = 64;
/// Bytes that gather before they are written; with a limit on memory, less.
const GATHERED_BYTES: usize = 8 << 20;
const GATHERED_BYTES_MIN: usize = 256 << 10;
/// Shares of a limit on memory that gathered rows may have one of.
const LIMIT_SHARES: u64 = 32;

/// See the file's head. One thread writes.
pub(crate) struct SpilledPartitions {
    schema: Vec<(String, DataType)>,
    keys: KeyTable,
    purpose: Purpose,
    gathered: Vec<Vec<Block>>,
    gathered_max: usize,
    bytes: usize,
    memory: MemoryGuard,
    writer: Option<SpillWriter>,
    /// Frames of each partition in the file.
    frames: Vec<Vec<Frame>>,
}

impl SpilledPartitions {
    /// Of rows of `schema`, by keys of `key_types`.
    pub fn new(
        schema: Vec<(String, DataType)>,
        key_types: &[DataType],
        purpose: Purpose,
        ctx: &QueryContext,
    ) -> Result<SpilledPartitions> {
        let share = ctx.memory.limit_bytes().map(|limit| (limit / LIMIT_SHARES) as usize);
        let gathered_max =
            share.map_or(GATHERED_BYTES, |s| s.clamp(GATHERED_BYTES_MIN, GATHERED_BYTES));
        Ok(SpilledPartitions {
            gathered_max,
            schema,
            keys: KeyTable::new(key_types),
            purpose,
            gathered: (0..SPILL_PARTITIONS).map(|_| vec![]).collect(),
            bytes: 0,
            memory: ctx.memory.reserve(0)?,
            writer: None,
            frames: vec![vec![]; SPILL_PARTITIONS],
        })
    }

    /// Adds the rows of `block`, whose keys are `keys`.
    pub fn push(&mut self, block: &Block, keys: &[Column], ctx: &QueryContext) -> Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        let (packed, order) = self.keys.partition_keys(keys, block.rows(), SPILL_PARTITIONS);
        let sorted = block.take(&UInt32Array::from(order));
        self.bytes += block_bytes(&sorted);
        for (p, gathered) in self.gathered.iter_mut().enumerate() {
            let range = packed.range(p);
            if !range.is_empty() {
                gathered.push(sorted.slice(range.start, range.len()));
            }
        }
        self.memory.grow_to(self.bytes)?;
        if self.bytes >= self.gathered_max {
            self.write(ctx)?;
        }
        Ok(())
    }

    fn write(&mut self, ctx: &QueryContext) -> Result<()> {
        ctx.check()?;
        if self.bytes == 0 {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(SpillWriter::new(ctx)?),
        };
        for (gathered, frames) in self.gathered.iter_mut().zip(&mut self.frames) {
            if !gathered.is_empty() {
                frames.push(writer.append(&Block::concat(gathered)?)?);
                gathered.clear();
            }
        }
        self.bytes = 0;
        self.memory.grow_to(0)?;
        share(ctx)?.count_write(self.purpose);
        Ok(())
    }

    /// Makes everything readable.
    pub fn seal(mut self, ctx: &QueryContext) -> Result<SealedPartitions> {
        self.write(ctx)?;
        let file = self.writer.take().map(SpillWriter::finish).transpose()?;
        Ok(SealedPartitions { schema: self.schema, frames: self.frames, file })
    }
}

/// Partitions that any number of threads may read.
pub(crate) struct SealedPartitions {
    schema: Vec<(String, DataType)>,
    frames: Vec<Vec<Frame>>,
    file: Option<SpillFile>,
}

impl SealedPartitions {
    /// The blocks of partition `p`.
    pub fn read(&self, p: usize) -> impl Iterator<Item = Result<Block>> + '_ {
        self.frames[p].iter().map(|frame| self.read_frame(*frame))
    }

    pub fn frames(&self, p: usize) -> &[Frame] {
        &self.frames[p]
    }

    pub fn read_frame(&self, frame: Frame) -> Result<Block> {
        match &self.file {
            Some(file) => file.read(frame, &self.schema),
            None => Ok(Block::of_rows(0)),
        }
    }

    pub fn rows(&self, p: usize) -> usize {
        self.frames[p].iter().map(|f| f.rows as usize).sum()
    }
}
