//! Joins by hash: the right side is built first (`build`, `index`), then every block of the left side is
//! probed on all threads (`probe`); rows of the right side that nothing matched come last where the
//! kind asks for them. A right side that is too large for memory goes to disk in partitions, and the
//! left side with it (`grace`).

mod build;
mod grace;
mod index;
mod probe;
mod ranked;

use pumphouse_storage::{Block, DataType};

use self::build::{Build, keeps_left, keeps_right};
use self::probe::Probe;
use super::pipeline::{CHUNK_ROWS, Consumer, Driven, Flow, Ordered, Serial, emit_in_order};
use super::transform::block_of;
use super::{Env, drive, gather};
use crate::context::{MemoryGuard, Settings};
use crate::error::{Error, Result, codes};
use crate::plan::JoinNode;
use crate::spill::{SpilledPartitions, Threshold, external_join};
use crate::sql::ast::JoinKind;

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
    let env = &Env { top: None, best: None, first: None, coded: None, once: false, ..env.clone() };
    let mut gathered = right_side(join, env)?;
    if let Some(right) = gathered.spilled.take() {
        return grace::drive_spilled(join, schema, right, env, base, consumer);
    }
    if gathered.rows == 0 && !keeps_left(join) {
        // Nothing to join: the left rows need not be read.
        let morsels = emit_in_order(&env.ctx, [], base, consumer)?;
        return Ok(Driven { morsels, totals: None });
    }
    let build = Build::new(join, schema, gathered.blocks, env)?;
    drop(gathered.memory);
    let probe = Probe::new(join, schema, env, &build, consumer);
    let mut morsels = drive(&join.left, env, base, &probe)?.morsels;
    if keeps_right(join) && !consumer.satisfied() {
        let rows = build.unused_rows();
        let blocks = rows.chunks(CHUNK_ROWS).map(|rows| Ok(probe.right_only(rows)));
        morsels += emit_in_order(&env.ctx, blocks, base + morsels, consumer)?;
    }
    Ok(Driven { morsels, totals: None })
}

/// The blocks of the right side, as many as the limits on joins allow.
fn right_side<'a>(join: &'a JoinNode, env: &'a Env) -> Result<Gathered<'a>> {
    let memory = env.ctx.memory.reserve(0)?;
    let limits = Limits::of(&env.ctx.settings);
    let external = external_join(&env.ctx).filter(|_| !join.right_keys.is_empty());
    let gathered = Gathered {
        join,
        env,
        blocks: vec![],
        memory,
        rows: 0,
        bytes: 0,
        limits,
        external,
        spilled: None,
    };
    let ordered = Ordered::new(gathered, 0, env.threads);
    drive(&join.right, env, 0, &ordered)?;
    Ok(ordered.into_inner())
}

struct Gathered<'a> {
    join: &'a JoinNode,
    env: &'a Env,
    blocks: Vec<Block>,
    memory: MemoryGuard,
    rows: u64,
    bytes: u64,
    limits: Limits,
    external: Option<Threshold>,
    /// Takes the place of the blocks when they have become too many.
    spilled: Option<SpilledPartitions>,
}

impl Gathered<'_> {
    fn spill(&mut self, block: &Block) -> Result<()> {
        let keys = &self.join.right_keys;
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => {
                let key_types = grace::key_types(self.join);
                none.insert(grace::spilled(&self.join.right, &key_types, self.env)?)
            }
        };
        for block in std::mem::take(&mut self.blocks) {
            grace::push_by_keys(spilled, &block, keys, self.env)?;
        }
        self.memory.grow_to(0)?;
        grace::push_by_keys(spilled, block, keys, self.env)
    }
}

impl Serial for Gathered<'_> {
    fn block(&mut self, block: Block) -> Result<Flow> {
        self.rows += block.rows() as u64;
        let bytes = super::sort::block_bytes(&block);
        self.bytes += bytes as u64;
        // Built, the rows take about twice as much: they are copied into one block.
        let built = (self.memory.bytes() + bytes) * 2;
        let passed = self.external.is_some_and(|e| e.is_passed(built, &self.env.ctx));
        if self.spilled.is_some() || passed {
            self.spill(&block)?;
        } else {
            self.memory.grow_to(self.memory.bytes() + bytes)?;
            self.blocks.push(block);
        }
        self.limits.check(self.rows, self.bytes)
    }
}

/// `max_rows_in_join`, `max_bytes_in_join`, `join_overflow_mode`.
struct Limits {
    rows_max: u64,
    bytes_max: u64,
    breaks: bool,
}

impl Limits {
    fn of(settings: &Settings) -> Limits {
        Limits {
            rows_max: settings.u64("max_rows_in_join", 0),
            bytes_max: settings.u64("max_bytes_in_join", 0),
            breaks: settings.get("join_overflow_mode") == Some("break"),
        }
    }

    fn check(&self, rows: u64, bytes: u64) -> Result<Flow> {
        let text = match () {
            _ if self.rows_max > 0 && rows > self.rows_max => {
                format!("max rows: {}, current rows: {rows}", self.rows_max)
            }
            _ if self.bytes_max > 0 && bytes > self.bytes_max => {
                format!("max bytes: {}, current bytes: {bytes}", self.bytes_max)
            }
            _ => return Ok(Flow::More),
        };
        if self.breaks {
            return Ok(Flow::Enough);
        }
        let text = format!("Limit for JOIN exceeded, {text}");
        Err(Error::new(codes::SET_SIZE_LIMIT_EXCEEDED, text))
    }
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
