//! Window functions: all rows are gathered, sorted once per different window, and every function
//! fills a column; rows leave in the order of the last window.
//!
//! Frames are row ranges computed first (`frame`); ranking functions look at partitions and peers
//! (`ranking`); aggregates run over whole partitions, as running states, or frame by frame.

mod frame;
mod ranking;

use arrow_array::UInt32Array;
use pumphouse_storage::{Block, Column, DataType};

use self::frame::{Frames, Layout};
use super::expression::{evaluate, evaluate_all};
use super::pipeline::{CHUNK_ROWS, Consumer, Driven, emit_in_order};
use super::sort_key::{KeyOrder, SortEncoder, SortKeys};
use super::transform::block_of;
use super::{Env, gather};
use crate::aggregates::AggregateFunction;
use crate::error::{Error, Result, codes};
use crate::plan::{BoundExpr, Plan, WindowFunction, WindowKind};

/// Frame rows handled in one call of an aggregate.
const BATCH_ROWS: usize = 262_144;

pub(super) fn drive(
    input: &Plan,
    functions: &[WindowFunction],
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let (gathered, driven) = gather(input, env)?;
    let rows: usize = gathered.blocks.iter().map(Block::rows).sum();
    if rows == 0 {
        let morsels = emit_in_order(&env.ctx, [], base, consumer)?;
        return Ok(Driven { morsels, totals: driven.totals });
    }
    if rows >= u32::MAX as usize {
        return Err(Error::new(codes::TOO_MANY_ROWS, "too many rows for window functions"));
    }
    let block = Block::concat(&gathered.blocks)?;
    let _memory = env.ctx.memory.reserve(rows * (16 + 16 * functions.len()))?;
    let mut results: Vec<Option<Column>> = vec![None; functions.len()];
    let mut order: Vec<u32> = vec![];
    for i in 0..functions.len() {
        if results[i].is_some() {
            continue;
        }
        let sorted = Sorted::new(&block, &functions[i], env)?;
        let inverse = sorted.inverse();
        for (j, function) in functions.iter().enumerate() {
            if results[j].is_none() && same_window(&functions[i], function) {
                let column = sorted.run(function, env)?;
                results[j] = Some(column.take(&inverse));
            }
        }
        order = sorted.order;
    }
    let mut columns = block.columns;
    columns.extend(results.into_iter().flatten());
    let whole = block_of(schema, columns, rows);
    let blocks = order.chunks(CHUNK_ROWS).map(|rows| Ok(whole.take(&rows.to_vec().into())));
    let morsels = emit_in_order(&env.ctx, blocks, base, consumer)?;
    Ok(Driven { morsels, totals: driven.totals })
}

fn same_exprs(a: &BoundExpr, b: &BoundExpr) -> bool {
    match (a, b) {
        (BoundExpr::Column { index: i, .. }, BoundExpr::Column { index: j, .. }) => i == j,
        (BoundExpr::Constant { value: v, .. }, BoundExpr::Constant { value: w, .. }) => v == w,
        _ => false,
    }
}

/// Whether two functions can share one sort.
fn same_window(a: &WindowFunction, b: &WindowFunction) -> bool {
    a.partition_by.len() == b.partition_by.len()
        && a.order_by.len() == b.order_by.len()
        && a.partition_by.iter().zip(&b.partition_by).all(|(x, y)| same_exprs(x, y))
        && a.order_by.iter().zip(&b.order_by).all(|(x, y)| {
            same_exprs(&x.expr, &y.expr)
                && x.descending == y.descending
                && x.nulls_first == y.nulls_first
        })
        || std::ptr::eq(a, b)
}

/// The input in one window's order.
pub(super) struct Sorted {
    /// Input row of each sorted row.
    order: Vec<u32>,
    block: Block,
    layout: Layout,
}

impl Sorted {
    fn new(block: &Block, function: &WindowFunction, env: &Env) -> Result<Sorted> {
        let partition = evaluate_all(&function.partition_by, block, &env.ctx)?;
        let order_keys = function
            .order_by
            .iter()
            .map(|k| evaluate(&k.expr, block, &env.ctx))
            .collect::<Result<Vec<_>>>()?;
        let partition_orders: Vec<KeyOrder> = function
            .partition_by
            .iter()
            .map(|e| KeyOrder { data_type: e.data_type(), descending: false, nulls_first: false })
            .collect();
        let mut orders = partition_orders.clone();
        orders.extend(function.order_by.iter().map(|k| KeyOrder {
            data_type: k.expr.data_type(),
            descending: k.descending,
            nulls_first: k.nulls_first,
        }));
        let rows = block.rows();
        let mut all = partition.clone();
        all.extend(order_keys.iter().cloned());
        let keys = SortEncoder::new(orders).encode(&all, rows);
        let partitions = SortEncoder::new(partition_orders).encode(&partition, rows);
        let order = keys.sorted_rows();
        let starts = |keys: &SortKeys| -> Vec<usize> {
            let new = |i: &usize| {
                *i == 0 || {
                    let (a, b) = (order[*i - 1] as usize, order[*i] as usize);
                    !keys.compare(a, keys, b).is_eq()
                }
            };
            (0..rows).filter(new).chain(std::iter::once(rows)).collect()
        };
        let layout = Layout::new(starts(&partitions), starts(&keys));
        let block = block.take(&UInt32Array::from(order.clone()));
        Ok(Sorted { order, block, layout })
    }

    /// Sorted place of each input row.
    fn inverse(&self) -> UInt32Array {
        let mut inverse = vec![0u32; self.order.len()];
        for (place, row) in self.order.iter().enumerate() {
            inverse[*row as usize] = place as u32;
        }
        inverse.into()
    }

    /// The function's values, in sorted order.
    fn run(&self, function: &WindowFunction, env: &Env) -> Result<Column> {
        let arguments = evaluate_all(&function.arguments, &self.block, &env.ctx)?;
        let frames = Frames::new(&self.layout, function, &self.block, env)?;
        let column = match &function.function {
            WindowKind::Ranking(name) => {
                ranking::run(name, &arguments, &self.layout, &frames, function, env)?
            }
            WindowKind::Aggregate(aggregate) => {
                self.aggregate(aggregate.as_ref(), &arguments, &frames, env)?
            }
        };
        Ok(Column { data_type: function.data_type.clone(), array: column.array })
    }

    fn aggregate(
        &self,
        function: &dyn AggregateFunction,
        arguments: &[Column],
        frames: &Frames,
        env: &Env,
    ) -> Result<Column> {
        match frames {
            Frames::Partition => self.whole_partitions(function, arguments),
            Frames::Running { peers } => self.running(function, arguments, *peers, env),
            Frames::Ranges(ranges) => self.frame_by_frame(function, arguments, ranges, env),
        }
    }

    fn whole_partitions(
        &self,
        function: &dyn AggregateFunction,
        arguments: &[Column],
    ) -> Result<Column> {
        let groups = self.layout.partition_numbers();
        let mut states = function.accumulator();
        states.resize(self.layout.partitions());
        states.update(&groups, arguments)?;
        Ok(states.finish()?.take(&UInt32Array::from(groups)))
    }

    /// From the partition's start to the current row, or (`peers`) to its last peer.
    fn running(
        &self,
        function: &dyn AggregateFunction,
        arguments: &[Column],
        peers: bool,
        env: &Env,
    ) -> Result<Column> {
        let mut results = vec![];
        let mut places: Vec<u32> = Vec::with_capacity(self.block.rows());
        for partition in self.layout.partition_ranges() {
            env.ctx.check()?;
            let mut states = function.accumulator();
            states.resize(1);
            let mut from = partition.start;
            while from < partition.end {
                let to = if peers { self.layout.peer_end(from) } else { from + 1 };
                let piece: Vec<Column> =
                    arguments.iter().map(|c| c.slice(from, to - from)).collect();
                states.update_single(&piece, to - from)?;
                places.resize(to, results.len() as u32);
                results.push(states.finish()?);
                from = to;
            }
        }
        Ok(Column::concat(&results)?.take(&UInt32Array::from(places)))
    }

    /// Every row's frame on its own, many frames in one call.
    fn frame_by_frame(
        &self,
        function: &dyn AggregateFunction,
        arguments: &[Column],
        ranges: &[(u32, u32)],
        env: &Env,
    ) -> Result<Column> {
        let mut results = vec![];
        let mut from = 0;
        while from < ranges.len() {
            env.ctx.check()?;
            let (mut rows, mut groups) = (vec![], vec![]);
            let mut to = from;
            while to < ranges.len() && (to == from || rows.len() < BATCH_ROWS) {
                let (start, end) = ranges[to];
                rows.extend(start..end.max(start));
                groups.resize(rows.len(), (to - from) as u32);
                to += 1;
            }
            let indices = UInt32Array::from(rows);
            let taken: Vec<Column> = arguments.iter().map(|c| c.take(&indices)).collect();
            let mut states = function.accumulator();
            states.resize(to - from);
            states.update(&groups, &taken)?;
            results.push(states.finish()?);
            from = to;
        }
        Ok(Column::concat(&results)?)
    }
}
