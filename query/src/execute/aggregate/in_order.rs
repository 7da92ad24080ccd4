//! GROUP BY and DISTINCT over a table that is read in the order of its key: groups whose part of the key
//! lies before all that is unread are finished, pushed and forgotten. What is held is the groups of a few
//! granules of each part, and reading stops when enough groups have come out.
//!
//! Granules of a step are grouped by all threads, then merged; groups come out window by window, unsorted
//! within a window.

use std::ops::Range;

use arrow_array::BooleanArray;
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, Value};

use super::{AggregateNode, GroupingSet, Table};
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::execute::Env;
use crate::execute::expression::evaluate_all;
use crate::execute::in_order::Reader;
use crate::execute::pipeline::{Consumer, Driven, Flow, Forward, for_each_index};
use crate::execute::transform::block_of;
use crate::optimize::read_in_order::GroupOrder;
use crate::plan::Plan;

/// Rows of one step that a thread groups by itself, at least.
const SHARE_ROWS_MIN: usize = 16_384;

impl AggregateNode<'_> {
    /// Runs the node so, if its table can be read so; None if not.
    pub(in crate::execute) fn drive_in_order(
        &self,
        input: &Plan,
        order: &GroupOrder<'_>,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<Option<Driven>> {
        let Some((reader, parts)) = Reader::open(&order.order, env)? else { return Ok(None) };
        let Some(set) = self.sets().into_iter().next() else { return Ok(None) };
        let grouping = Grouping { node: self, input, order, env, set };
        let mut window = Window {
            open: grouping.table(),
            grouping,
            done_before: None,
            left: order.enough.unwrap_or(u64::MAX),
            memory: env.ctx.memory.reserve(0)?,
            next: Forward::new(consumer, base)?,
        };
        window.run(&reader, parts)?;
        window.next.close()?;
        Ok(Some(Driven { morsels: 1, totals: None }))
    }
}

/// What threads need to group rows.
struct Grouping<'a> {
    node: &'a AggregateNode<'a>,
    input: &'a Plan,
    order: &'a GroupOrder<'a>,
    env: &'a Env,
    set: GroupingSet,
}

impl Grouping<'_> {
    fn table(&self) -> Table {
        self.node.table(&self.set)
    }

    /// Adds rows of the scan.
    fn update(&self, table: &mut Table, block: &Block) -> Result<()> {
        let ctx = &self.env.ctx;
        let columns = evaluate_all(&self.order.order.exprs, block, ctx)?;
        let block = block_of(&self.input.schema, columns, block.rows());
        let keys = evaluate_all(self.node.keys, &block, ctx)?;
        let arguments =
            self.node.aggregates.iter().map(|a| evaluate_all(&a.arguments, &block, ctx));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        table.update(&keys, &arguments, block.rows(), &mut vec![])
    }
}

/// The groups that more rows may belong to.
struct Window<'a> {
    grouping: Grouping<'a>,
    open: Table,
    /// No open group lies before this key.
    done_before: Option<Vec<Value>>,
    /// Groups that are still wanted.
    left: u64,
    memory: MemoryGuard,
    next: Forward<'a>,
}

impl Window<'_> {
    fn run(&mut self, reader: &Reader<'_>, parts: Vec<Range<usize>>) -> Result<()> {
        let flow = reader.sweep(parts, &mut |blocks, next| {
            self.add(&blocks)?;
            self.memory.grow_to(self.open.memory_bytes())?;
            match next {
                Some(next) if self.done_before.as_deref() != Some(next) => {
                    self.done_before = Some(next.to_vec());
                    self.finish_before(reader, next)
                }
                _ => Ok(Flow::More),
            }
        })?;
        if flow == Flow::More {
            let rest = std::mem::replace(&mut self.open, self.grouping.table());
            let groups = rest.groups();
            self.push(rest, &vec![true; groups])?;
        }
        Ok(())
    }

    fn add(&mut self, blocks: &[Block]) -> Result<()> {
        let (grouping, open) = (&self.grouping, &mut self.open);
        let rows: usize = blocks.iter().map(Block::rows).sum();
        // A table costs something, so each gets many rows.
        let shares = (rows / SHARE_ROWS_MIN).clamp(1, grouping.env.threads.max(1));
        if blocks.is_empty() {
            return Ok(());
        }
        if shares == 1 {
            return grouping.update(open, &Block::concat(blocks)?);
        }
        let shares: Vec<&[Block]> = blocks.chunks(blocks.len().div_ceil(shares)).collect();
        let tables: Vec<Mutex<Option<Table>>> = shares.iter().map(|_| Mutex::default()).collect();
        for_each_index(&grouping.env.ctx, shares.len(), grouping.env.threads, &|i| {
            let mut table = grouping.table();
            grouping.update(&mut table, &Block::concat(shares[i])?)?;
            *tables[i].lock() = Some(table);
            Ok(())
        })?;
        let mut numbers = vec![];
        for table in tables.into_iter().filter_map(Mutex::into_inner) {
            open.merge_all(&table, &mut numbers)?;
        }
        Ok(())
    }

    /// Pushes the groups that lie before `next`; the others go into a new table.
    fn finish_before(&mut self, reader: &Reader<'_>, next: &[Value]) -> Result<Flow> {
        let groups = self.open.groups();
        let Some(keys) = self.open.keys.as_ref().filter(|_| groups > 0) else {
            return Ok(Flow::More);
        };
        let keys = keys.decode(0..groups)?;
        let ordered: Vec<&Column> =
            self.grouping.order.places.iter().map(|place| &keys[*place]).collect();
        let finished = reader.before(&ordered, groups, next);
        let rest: Vec<u32> =
            (0..groups).filter(|group| !finished[*group]).map(|group| group as u32).collect();
        if rest.len() == groups {
            return Ok(Flow::More);
        }
        let mut open = self.grouping.table();
        open.merge(&self.open, &rest, &mut vec![])?;
        let done = std::mem::replace(&mut self.open, open);
        self.push(done, &finished)
    }

    fn push(&mut self, table: Table, finished: &[bool]) -> Result<Flow> {
        let groups = table.groups();
        if groups == 0 {
            return Ok(Flow::More);
        }
        let Grouping { node, order, env, set, .. } = &self.grouping;
        let mut from = 0;
        for block in node.blocks(set, table, None, env, None)? {
            let mask = BooleanArray::from(finished[from..from + block.rows()].to_vec());
            from += block.rows();
            let mut block = block.filter(&mask);
            if order.cut && block.rows() as u64 > self.left {
                block = block.slice(0, self.left as usize);
            }
            self.left = self.left.saturating_sub(block.rows() as u64);
            if !block.is_empty() && self.next.push(block)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(if self.left == 0 { Flow::Enough } else { Flow::More })
    }
}
