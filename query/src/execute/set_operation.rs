//! INTERSECT and EXCEPT on whole rows: the right side becomes a table of keys with counts, the left
//! side is sifted through it in order.
//!
//! DISTINCT forms give each row once; ALL forms count: INTERSECT ALL min(l, r) times, EXCEPT ALL l - r
//! times.

use pumphouse_storage::{Block, Column};

use super::Env;
use super::key_table::KeyTable;
use super::pipeline::{Consumer, Driven, Flow, Forward, Ordered, Serial};
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::plan::Plan;

pub(super) fn drive(
    left: &Plan,
    right: &Plan,
    except: bool,
    all: bool,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let types: Vec<_> = left.schema.iter().map(|(_, t)| t.clone()).collect();
    let count = Counts {
        table: KeyTable::new(&types),
        counts: vec![],
        numbers: vec![],
        memory: env.ctx.memory.reserve(0)?,
    };
    let ordered = Ordered::new(count, 0, env.threads);
    super::drive(right, env, 0, &ordered)?;
    let sifted =
        Sifted { right: ordered.into_inner(), except, all, next: Forward::new(consumer, base)? };
    let ordered = Ordered::new(sifted, 0, env.threads);
    super::drive(left, env, 0, &ordered)?;
    ordered.into_inner().next.close()?;
    Ok(Driven { morsels: 1, totals: None })
}

/// How often each row came.
struct Counts {
    table: KeyTable,
    counts: Vec<u64>,
    numbers: Vec<u32>,
    memory: MemoryGuard,
}

impl Counts {
    /// Numbers of the rows of `block`; new rows have count 0.
    fn number(&mut self, block: &Block) -> Result<()> {
        let columns: Vec<Column> = block.columns.clone();
        self.table.insert(&columns, block.rows(), &mut self.numbers)?;
        self.counts.resize(self.table.len(), 0);
        self.memory.grow_to(self.table.memory_bytes() + self.counts.capacity() * 8)
    }
}

impl Serial for Counts {
    fn block(&mut self, block: Block) -> Result<Flow> {
        self.number(&block)?;
        for number in &self.numbers {
            self.counts[*number as usize] += 1;
        }
        Ok(Flow::More)
    }
}

struct Sifted<'a> {
    right: Counts,
    except: bool,
    all: bool,
    next: Forward<'a>,
}

impl Serial for Sifted<'_> {
    fn block(&mut self, block: Block) -> Result<Flow> {
        self.right.number(&block)?;
        let mut kept = vec![];
        for (row, number) in self.right.numbers.iter().enumerate() {
            let count = &mut self.right.counts[*number as usize];
            let keep = match (self.except, self.all) {
                (false, true) => {
                    let there = *count > 0;
                    *count -= there as u64;
                    there
                }
                (true, true) => {
                    let there = *count > 0;
                    *count -= there as u64;
                    !there
                }
                // Taken once: the count is spent (INTERSECT) or set (EXCEPT).
                (false, false) => std::mem::take(count) > 0,
                (true, false) => {
                    let new = *count == 0;
                    *count = 1;
                    new
                }
            };
            if keep {
                kept.push(row as u32);
            }
        }
        if kept.is_empty() {
            return Ok(Flow::More);
        }
        self.next.push(block.take(&kept.into()))
    }
}
