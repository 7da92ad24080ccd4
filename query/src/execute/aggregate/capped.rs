//! GROUP BY below a LIMIT without ORDER BY: any so many groups will do, but each with all of its rows.
//!
//! The first keys met fix the groups, for all threads in one table; from then on rows of other keys
//! are dropped after one lookup.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::UInt32Array;

use parking_lot::{Mutex, RwLock};
use pumphouse_storage::flags::pack;
use pumphouse_storage::{Block, Column, DataType};

use super::AggregateNode;
use super::local::Table;
use crate::aggregates::Accumulator;
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::execute::Env;
use crate::execute::expression::evaluate_all;
use crate::execute::key_table::{ABSENT, KeyTable};
use crate::execute::pipeline::{Consumer, Flow, Worker};
use crate::execute::row_codec::Shape;
use crate::plan::BoundExpr;

/// Above this many groups the ordinary way is better.
pub(super) const CAPPED_GROUPS_MAX: u64 = 1 << 16;

/// Keys that the sieve's table has room for, at least.
const SIEVE_ROOM: usize = 1024;

/// Gathers input for at most `most` groups.
pub(super) struct Capped<'a> {
    node: &'a AggregateNode<'a>,
    env: &'a Env,
    most: usize,
    keys: RwLock<KeyTable>,
    full: AtomicBool,
    /// Made when the table is full, if some keys are of fixed width.
    sieve: OnceLock<Option<Sieve>>,
    done: Mutex<Vec<Vec<Box<dyn Accumulator>>>>,
    memory: Mutex<MemoryGuard>,
}

impl<'a> Capped<'a> {
    pub fn new(
        node: &'a AggregateNode<'a>,
        env: &'a Env,
        key_types: &[DataType],
        most: usize,
    ) -> Result<Capped<'a>> {
        Ok(Capped {
            node,
            env,
            most,
            keys: RwLock::new(KeyTable::new(key_types)),
            full: AtomicBool::new(false),
            sieve: OnceLock::new(),
            done: Mutex::new(vec![]),
            memory: Mutex::new(env.ctx.memory.reserve(0)?),
        })
    }

    /// The groups, merged over all threads. The table may hold more keys than groups count.
    pub fn into_table(self) -> Result<(Table, usize, MemoryGuard)> {
        let keys = self.keys.into_inner();
        let groups = keys.len().min(self.most);
        let numbers: Vec<u32> = (0..groups as u32).collect();
        let mut threads = self.done.into_inner().into_iter();
        let mut states = threads.next().unwrap_or_else(|| self.node.accumulators());
        for (i, state) in states.iter_mut().enumerate() {
            state.resize(groups);
            for other in threads.as_slice() {
                state.merge_rows(other[i].as_ref(), &numbers, &numbers)?;
            }
        }
        Ok((Table::of(keys, states), groups, self.memory.into_inner()))
    }

    /// Group numbers of the rows; those of dropped rows are `most` or more.
    fn numbers(&self, columns: &[Column], rows: usize, out: &mut Vec<u32>) -> Result<()> {
        if !self.full.load(Ordering::Acquire) {
            let mut keys = self.keys.write();
            if keys.len() < self.most {
                keys.insert(columns, rows, out)?;
                if keys.len() >= self.most {
                    // The block brought more keys than count; a small table is looked up faster.
                    *keys = keys.first_keys(self.most);
                    let _ = self.sieve.set(Sieve::of(self.node.keys, &keys, self.most)?);
                    self.full.store(true, Ordering::Release);
                }
                return Ok(());
            }
        }
        let keys = self.keys.read();
        let Some(sieve) = self.sieve.get().and_then(Option::as_ref) else {
            keys.find(columns, rows, out);
            return Ok(());
        };
        let passed = sieve.rows(columns, rows, out);
        if passed.len() * 2 > rows {
            keys.find(columns, rows, out);
            return Ok(());
        }
        let taken = UInt32Array::from(passed);
        let columns: Vec<Column> = columns.iter().map(|c| c.take(&taken)).collect();
        let mut numbers = vec![];
        keys.find(&columns, taken.len(), &mut numbers);
        out.clear();
        out.resize(rows, ABSENT);
        for (row, number) in taken.values().iter().zip(numbers) {
            out[*row as usize] = number;
        }
        Ok(())
    }
}

/// The keys of fixed width that fit a word, of all groups: rows without a match are no group's.
struct Sieve {
    keys: Vec<usize>,
    table: KeyTable,
}

impl Sieve {
    fn of(exprs: &[BoundExpr], groups: &KeyTable, most: usize) -> Result<Option<Sieve>> {
        let (mut keys, mut types, mut bytes) = (vec![], vec![], 0);
        for (i, expr) in exprs.iter().enumerate() {
            let data_type = expr.data_type();
            if let Some(width) = Shape::of(&data_type).width()
                && bytes + width <= 8
            {
                bytes += width;
                keys.push(i);
                types.push(data_type);
            }
        }
        // One byte hardly tells rows apart; and with all keys there is nothing left to look at.
        if bytes < 2 || keys.len() == exprs.len() {
            return Ok(None);
        }
        let all = groups.decode(0..groups.len().min(most))?;
        let columns: Vec<Column> = keys.iter().map(|i| all[*i].clone()).collect();
        let mut table = KeyTable::new(&types);
        // Nearly empty: rows that are no group's then seldom meet a key, and branches go one way.
        table.reserve(SIEVE_ROOM);
        table.insert(&columns, groups.len().min(most), &mut vec![])?;
        Ok(Some(Sieve { keys, table }))
    }

    /// The rows that may be of a group.
    fn rows(&self, columns: &[Column], rows: usize, numbers: &mut Vec<u32>) -> Vec<u32> {
        let picked: Vec<Column> = self.keys.iter().map(|i| columns[*i].clone()).collect();
        self.table.find(&picked, rows, numbers);
        rows_where(numbers, |number| number != ABSENT)
    }
}

/// The rows whose number passes.
fn rows_where(numbers: &[u32], passes: impl Fn(u32) -> bool) -> Vec<u32> {
    let flags: Vec<u8> = numbers.iter().map(|number| u8::from(passes(*number))).collect();
    pack(&flags).set_indices_u32().collect()
}

impl Consumer for Capped<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(CappedWorker {
            shared: self,
            states: self.node.accumulators(),
            numbers: vec![],
            bytes: 0,
        }))
    }
}

struct CappedWorker<'a> {
    shared: &'a Capped<'a>,
    states: Vec<Box<dyn Accumulator>>,
    numbers: Vec<u32>,
    bytes: usize,
}

impl Worker for CappedWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        let (node, ctx, most) = (self.shared.node, &self.shared.env.ctx, self.shared.most);
        let keys = evaluate_all(node.keys, &block, ctx)?;
        self.shared.numbers(&keys, block.rows(), &mut self.numbers)?;
        let kept = rows_where(&self.numbers, |number| (number as usize) < most);
        if kept.is_empty() {
            return Ok(Flow::More);
        }
        let block = if kept.len() == block.rows() {
            block
        } else {
            let groups = kept.iter().map(|row| self.numbers[*row as usize]).collect();
            self.numbers = groups;
            block.take(&kept.into())
        };
        for (state, aggregate) in self.states.iter_mut().zip(node.aggregates) {
            state.resize(most);
            let arguments = evaluate_all(&aggregate.arguments, &block, ctx)?;
            state.update(&self.numbers, &arguments)?;
        }
        let bytes: usize = self.states.iter().map(|s| s.memory_bytes()).sum();
        let mut memory = self.shared.memory.lock();
        let used = memory.bytes();
        memory.grow_to(used + bytes - self.bytes.min(used + bytes))?;
        self.bytes = bytes;
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.shared.done.lock().push(std::mem::take(&mut self.states));
        Ok(())
    }
}
