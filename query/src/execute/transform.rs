//! Nodes that work block by block and need no memory: filter, project, UNION ALL.

use pumphouse_storage::spread::count_flags;
use pumphouse_storage::{Block, Column, DataType};

use super::expression::{evaluate_all, evaluate_mask};
use super::pipeline::{Consumer, Driven, Flow, Worker};
use super::{Env, drive};
use crate::error::Result;
use crate::plan::{BoundExpr, Plan};

/// A block of `columns` under the names and types of `schema`.
pub(super) fn block_of(schema: &[(String, DataType)], columns: Vec<Column>, rows: usize) -> Block {
    let mut block = Block::of_rows(rows);
    for ((name, data_type), column) in schema.iter().zip(columns) {
        block.push(name.clone(), Column { data_type: data_type.clone(), ..column });
    }
    block
}

type Step<'a> = dyn Fn(Block) -> Result<Option<Block>> + Sync + 'a;

/// A consumer that changes every block and passes it on; None drops it.
pub(super) struct Mapped<'a> {
    pub step: &'a Step<'a>,
    pub next: &'a dyn Consumer,
}

struct MappedWorker<'a> {
    step: &'a Step<'a>,
    next: Box<dyn Worker + 'a>,
}

impl Consumer for Mapped<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(MappedWorker { step: self.step, next: self.next.worker()? }))
    }

    fn satisfied(&self) -> bool {
        self.next.satisfied()
    }
}

impl Worker for MappedWorker<'_> {
    fn morsel_begin(&mut self, index: usize) -> Result<()> {
        self.next.morsel_begin(index)
    }

    fn push(&mut self, block: Block) -> Result<Flow> {
        match (self.step)(block)? {
            Some(block) => super::pipeline::push_chunks(self.next.as_mut(), block),
            None => Ok(Flow::More),
        }
    }

    fn morsel_done(&mut self, index: usize) -> Result<()> {
        self.next.morsel_done(index)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

/// Drives `input` through `step` into `consumer`.
pub(super) fn map(
    input: &Plan,
    step: &Step,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    drive(input, env, base, &Mapped { step, next: consumer })
}

pub(super) fn filter(
    input: &Plan,
    predicate: &BoundExpr,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let step = |block: Block| {
        let mask = evaluate_mask(predicate, &block, &env.ctx)?;
        let kept = count_flags(mask.values());
        Ok(if kept == block.rows() {
            Some(block)
        } else if kept == 0 {
            None
        } else {
            Some(block.filter(&mask))
        })
    };
    map(input, &step, env, base, consumer)
}

pub(super) fn project(
    input: &Plan,
    exprs: &[BoundExpr],
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let step = |block: Block| -> Result<Option<Block>> {
        let columns = evaluate_all(exprs, &block, &env.ctx)?;
        Ok(Some(block_of(schema, columns, block.rows())))
    };
    let mut driven = map(input, &step, env, base, consumer)?;
    if let Some(totals) = driven.totals.take() {
        driven.totals = step(totals)?;
    }
    Ok(driven)
}

/// The inputs one after the other; columns are matched by position.
pub(super) fn union_all(
    inputs: &[Plan],
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let step = |block: Block| -> Result<Option<Block>> {
        let rows = block.rows();
        Ok(Some(block_of(schema, block.columns, rows)))
    };
    let mapped = Mapped { step: &step, next: consumer };
    let mut morsels = 0;
    for input in inputs {
        if consumer.satisfied() {
            break;
        }
        morsels += drive(input, env, base + morsels, &mapped)?.morsels;
    }
    Ok(Driven { morsels, totals: None })
}
