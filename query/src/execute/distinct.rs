//! DISTINCT: every thread drops the repeats it can see itself, then one table decides, in order, so
//! that the first row of each key stays and a limit can stop the input.
//!
//! When that table has grown as large as groups may, it stays as it is: rows whose key it has are dropped
//! as before, others go to disk by the hash of their keys and are told apart partition by partition.

use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::expression::evaluate_all;
use super::key_table::{ABSENT, KeyTable};
use super::pipeline::{Consumer, Driven, Flow, Forward, Ordered, Serial, Worker};
use super::{Env, drive};
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::plan::{BoundExpr, Plan};
use crate::spill::{Purpose, SPILL_PARTITIONS, SpilledPartitions, Threshold, external_group_by};

/// Keys up to which a thread keeps a table of its own; beyond, sifting twice costs more than it saves.
const LOCAL_KEYS_MAX: usize = 100_000;

pub(super) fn drive_distinct(
    input: &Plan,
    keys: &[BoundExpr],
    limit: Option<u64>,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let types: Vec<DataType> = if keys.is_empty() {
        input.schema.iter().map(|(_, t)| t.clone()).collect()
    } else {
        keys.iter().map(BoundExpr::data_type).collect()
    };
    let sieve = Sieve {
        keys,
        types: &types,
        schema: &input.schema,
        table: KeyTable::new(&types),
        external: external_group_by(&env.ctx),
        spilled: None,
        left: limit.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX)),
        env,
        memory: env.ctx.memory.reserve(0)?,
        next: Forward::new(consumer, base)?,
    };
    let ordered = Ordered::new(sieve, 0, env.threads);
    let memory = Mutex::new(env.ctx.memory.reserve(0)?);
    let local = LocalSieves { keys, types: &types, env, next: &ordered, memory: &memory };
    let totals = drive(input, env, 0, &local)?.totals;
    ordered.into_inner().close()?;
    Ok(Driven { morsels: 1, totals })
}

fn key_columns(keys: &[BoundExpr], block: &Block, env: &Env) -> Result<Vec<Column>> {
    if keys.is_empty() { Ok(block.columns.clone()) } else { evaluate_all(keys, block, &env.ctx) }
}

/// The rows of `block` whose key was not in `table`.
fn sift(
    keys: &[BoundExpr],
    table: &mut KeyTable,
    block: Block,
    env: &Env,
) -> Result<Option<Block>> {
    let columns = key_columns(keys, &block, env)?;
    let mut known = table.len() as u32;
    let mut numbers = vec![];
    table.insert(&columns, block.rows(), &mut numbers)?;
    let mut kept: Vec<u32> = vec![];
    for (row, number) in numbers.iter().enumerate() {
        if *number == known {
            kept.push(row as u32);
            known += 1;
        }
    }
    Ok(match kept.len() {
        0 => None,
        n if n == block.rows() => Some(block),
        _ => Some(block.take(&kept.into())),
    })
}

struct Sieve<'a> {
    keys: &'a [BoundExpr],
    types: &'a [DataType],
    schema: &'a [(String, DataType)],
    table: KeyTable,
    external: Option<Threshold>,
    /// Rows whose keys are not in the table, once that is full.
    spilled: Option<SpilledPartitions>,
    left: usize,
    env: &'a Env,
    memory: MemoryGuard,
    next: Forward<'a>,
}

impl Sieve<'_> {
    /// Sets the rows aside that are not known to be repeats.
    fn spill(&mut self, block: Block) -> Result<Flow> {
        let Some(spilled) = &mut self.spilled else { return Ok(Flow::More) };
        let columns = key_columns(self.keys, &block, self.env)?;
        let mut numbers = vec![];
        self.table.find(&columns, block.rows(), &mut numbers);
        let unknown = numbers.iter().zip(0u32..).filter(|(n, _)| **n == ABSENT);
        let unknown: arrow_array::UInt32Array =
            unknown.map(|(_, row)| row).collect::<Vec<u32>>().into();
        let columns: Vec<Column> = columns.iter().map(|c| c.take(&unknown)).collect();
        spilled.push(&block.take(&unknown), &columns, &self.env.ctx)?;
        Ok(Flow::More)
    }

    /// Tells what is on disk apart and ends the output.
    fn close(mut self) -> Result<()> {
        let ctx = &self.env.ctx;
        if let Some(spilled) = self.spilled.take().filter(|_| self.left > 0) {
            let sealed = spilled.seal(ctx)?;
            self.external = None;
            for p in 0..SPILL_PARTITIONS {
                self.table = KeyTable::new(self.types);
                self.memory.grow_to(0)?;
                for block in sealed.read(p) {
                    if self.block(block?)? == Flow::Enough {
                        return self.next.close();
                    }
                }
            }
        }
        self.next.close()
    }
}

impl Serial for Sieve<'_> {
    fn block(&mut self, block: Block) -> Result<Flow> {
        if self.spilled.is_some() {
            return self.spill(block);
        }
        let Some(kept) = sift(self.keys, &mut self.table, block, self.env)? else {
            return Ok(Flow::More);
        };
        let ctx = &self.env.ctx;
        if self.external.is_some_and(|e| e.is_passed(self.table.memory_bytes(), ctx)) {
            let schema = self.schema.to_vec();
            let spilled = SpilledPartitions::new(schema, self.types, Purpose::Aggregation, ctx)?;
            self.spilled = Some(spilled);
        }
        self.memory.grow_to(self.table.memory_bytes())?;
        let rows = kept.rows().min(self.left);
        self.left -= rows;
        let flow = self.next.push(kept.slice(0, rows))?;
        Ok(if self.left == 0 { Flow::Enough } else { flow })
    }
}

struct LocalSieves<'a> {
    keys: &'a [BoundExpr],
    types: &'a [DataType],
    env: &'a Env,
    next: &'a dyn Consumer,
    memory: &'a Mutex<MemoryGuard>,
}

impl Consumer for LocalSieves<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let table = (self.env.threads > 1).then(|| KeyTable::new(self.types));
        Ok(Box::new(LocalSieve { shared: self, table, next: self.next.worker()? }))
    }

    fn satisfied(&self) -> bool {
        self.next.satisfied()
    }
}

struct LocalSieve<'a> {
    shared: &'a LocalSieves<'a>,
    table: Option<KeyTable>,
    next: Box<dyn Worker + 'a>,
}

impl Worker for LocalSieve<'_> {
    fn morsel_begin(&mut self, index: usize) -> Result<()> {
        self.next.morsel_begin(index)
    }

    fn push(&mut self, block: Block) -> Result<Flow> {
        let Some(table) = &mut self.table else { return self.next.push(block) };
        let before = table.memory_bytes();
        let kept = sift(self.shared.keys, table, block, self.shared.env)?;
        let grown = table.memory_bytes().saturating_sub(before);
        {
            let mut memory = self.shared.memory.lock();
            let used = memory.bytes();
            memory.grow_to(used + grown)?;
        }
        if table.len() > LOCAL_KEYS_MAX {
            self.table = None;
        }
        match kept {
            Some(block) => self.next.push(block),
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
