//! Joins whose right side does not fit into memory: both sides go to disk in partitions by the hash of
//! their keys, and then every partition is joined by itself.
//!
//! A partition of the right side must fit. Joins without equal keys cannot be partitioned.

use parking_lot::Mutex;
use pumphouse_storage::{Block, DataType};

use super::build::{Build, keeps_right};
use super::probe::Probe;
use crate::error::Result;
use crate::execute::expression::evaluate_all;
use crate::execute::pipeline::{CHUNK_ROWS, Consumer, Driven, Flow, Worker, emit_in_order, supply};
use crate::execute::{Env, drive};
use crate::plan::{BoundExpr, JoinNode, Plan};
use crate::spill::{Frame, Purpose, SPILL_PARTITIONS, SealedPartitions, SpilledPartitions, share};

/// Blocks on their way to disk, by keys.
pub(super) fn spilled(
    input: &Plan,
    key_types: &[DataType],
    env: &Env,
) -> Result<SpilledPartitions> {
    SpilledPartitions::new(input.schema.clone(), key_types, Purpose::Join, &env.ctx)
}

/// Types keys are hashed as: the same on both sides.
pub(super) fn key_types(join: &JoinNode) -> Vec<DataType> {
    join.right_keys.iter().map(|k| k.data_type().inner().clone()).collect()
}

/// The join of the left input with right rows that are on disk.
pub(super) fn drive_spilled(
    join: &JoinNode,
    schema: &[(String, DataType)],
    right: SpilledPartitions,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let ctx = &env.ctx;
    let right = right.seal(ctx)?;
    // What a part of the keys would say is not what scans on the left may be told.
    join.filters.iter().for_each(|(_, filter)| filter.clear());
    let left = Left { join, env, done: Mutex::new(vec![]) };
    drive(&join.left, env, 0, &left)?;
    let sealed = left.done.into_inner().into_iter().map(|s| s.seal(ctx));
    let left = sealed.collect::<Result<Vec<SealedPartitions>>>()?;
    share(ctx)?.count_merge(Purpose::Join);
    let mut morsels = 0;
    for p in 0..SPILL_PARTITIONS {
        ctx.check()?;
        if consumer.satisfied() {
            break;
        }
        let blocks: Vec<(&SealedPartitions, Frame)> =
            left.iter().flat_map(|s| s.frames(p).iter().map(move |f| (s, *f))).collect();
        if right.rows(p) == 0 && blocks.is_empty() {
            continue;
        }
        let built = right.read(p).collect::<Result<Vec<Block>>>()?;
        let build = Build::unannounced(join, schema, built, env)?;
        let probe = Probe::new(join, schema, env, &build, consumer);
        if !blocks.is_empty() {
            let count = Some(blocks.len());
            morsels += supply(ctx, count, env.threads, base + morsels, &probe, &|i, push| {
                let (share, frame) = blocks[i];
                push(share.read_frame(frame)?)?;
                Ok(true)
            })?;
        }
        if keeps_right(join) && !consumer.satisfied() {
            let rows = build.unused_rows();
            let blocks = rows.chunks(CHUNK_ROWS).map(|rows| Ok(probe.right_only(rows)));
            morsels += emit_in_order(ctx, blocks, base + morsels, consumer)?;
        }
    }
    if morsels == 0 {
        morsels += emit_in_order(ctx, [], base, consumer)?;
    }
    Ok(Driven { morsels, totals: None })
}

/// Takes the left input's blocks to disk.
struct Left<'a> {
    join: &'a JoinNode,
    env: &'a Env,
    done: Mutex<Vec<SpilledPartitions>>,
}

impl Consumer for Left<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let spilled = spilled(&self.join.left, &key_types(self.join), self.env)?;
        Ok(Box::new(LeftWorker { shared: self, spilled: Some(spilled) }))
    }
}

struct LeftWorker<'a> {
    shared: &'a Left<'a>,
    spilled: Option<SpilledPartitions>,
}

impl Worker for LeftWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        if let Some(spilled) = &mut self.spilled {
            push_by_keys(spilled, &block, &self.shared.join.left_keys, self.shared.env)?;
        }
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.shared.done.lock().extend(self.spilled.take());
        Ok(())
    }
}

/// Adds a block by the values of `keys`.
pub(super) fn push_by_keys(
    spilled: &mut SpilledPartitions,
    block: &Block,
    keys: &[BoundExpr],
    env: &Env,
) -> Result<()> {
    let columns = evaluate_all(keys, block, &env.ctx)?;
    spilled.push(block, &columns, &env.ctx)
}
