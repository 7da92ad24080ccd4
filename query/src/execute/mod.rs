//! Runs a plan: morsel-driven, on up to `max_threads` threads.
//!
//! [`drive`] walks the plan from the top: every node hands its input a [`pipeline::Consumer`] that does
//! the node's work and passes blocks on. Scans at the bottom split into morsels; nodes that need all
//! input (aggregation, sorting, join builds) gather it per thread, merge, and become sources
//! themselves. Subqueries inside expressions run first (`subquery`).
//!
//! Rules: memory is reserved before it is used; `QueryContext::check` is asked between morsels; no
//! order is promised except below a Sort, but small inputs keep theirs.

pub(crate) mod expression;
mod key_codes;
mod key_pack;
pub(crate) mod key_table;
pub(crate) mod row_codec;
pub(crate) mod runtime_filter;
pub(crate) mod sort_key;

mod aggregate;
mod array_join;
mod condition;
mod crew;
mod distinct;
mod fill;
mod in_order;
mod interpolate;
mod join;
mod late;
mod limit;
#[cfg(test)]
mod model_tests;
mod pipeline;
mod place;
pub(crate) mod prewhere;
mod scan;
mod set;
mod set_operation;
mod short_circuit;
pub(crate) mod sort;
mod sort_spill;
#[cfg(test)]
pub(crate) mod sql_tests;
mod subquery;
mod top;
mod transform;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pumphouse_storage::{Block, DataType};

pub use self::aggregate::let_idle_slabs_go;
pub use self::expression::evaluate;
use self::pipeline::{Consumer, Driven, Flow, Ordered, Serial, emit_in_order};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::optimize::read_in_order::{FirstGroups, GroupOrder, InOrder};
use crate::plan::{BoundExpr, Plan, PlanNode};

/// Takes a query's result, block by block, in order. Called from worker threads, one at a time.
pub trait ResultSink: Send {
    fn block(&mut self, block: Block) -> Result<()>;
    /// The WITH TOTALS row, after all blocks.
    fn totals(&mut self, _: Block) -> Result<()> {
        Ok(())
    }
}

/// What every node of a running plan shares.
#[derive(Clone)]
pub(crate) struct Env {
    pub ctx: Arc<QueryContext>,
    pub threads: usize,
    /// What a sort with a limit asks of the scan right below it.
    top: Option<Arc<top::TopHint>>,
    /// Columns of the scan right below that the node takes as dictionaries: the arrays of such a
    /// column may be `DictionaryArray`s of `UInt32` keys (see `Wanted::Codes`), block by block. For
    /// nodes whose input is a Scan itself and which look at these columns in no other way.
    pub coded: Option<Arc<[String]>>,
    /// Whether the node, whose input is a Scan of one column, wants each value but once (see `Wanted::Once`).
    pub once: bool,
    /// What it asks of the aggregation right below it.
    best: Option<Arc<aggregate::BestGroups>>,
    /// The same, if it sorts by keys of the groups.
    first: Option<Arc<FirstGroups>>,
    /// Who counts the rows before the outermost LIMIT.
    counts: CountsBeforeLimit,
}

/// See `BeforeLimit`: a sort that knows its LIMIT lets only that many through, so it counts itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CountsBeforeLimit {
    NextLimit,
    NextSort,
    Nobody,
}

/// Runs `plan` and gives its rows to `sink`.
pub fn run(plan: &Plan, ctx: &Arc<QueryContext>, sink: &mut dyn ResultSink) -> Result<()> {
    let env = Env {
        ctx: ctx.clone(),
        threads: ctx.threads().max(1),
        top: None,
        coded: None,
        once: false,
        best: None,
        first: None,
        counts: CountsBeforeLimit::NextLimit,
    };
    subquery::run_all(plan, &env)?;
    let totals = {
        let end = SinkEnd { sink, ctx, schema: &plan.schema };
        let ordered = Ordered::new(end, 0, env.threads);
        drive(plan, &env, 0, &ordered)?.totals
    };
    match totals {
        Some(totals) => sink.totals(totals),
        None => Ok(()),
    }
}

/// Runs `plan` and returns its rows (without totals).
pub fn collect(plan: &Plan, ctx: &Arc<QueryContext>) -> Result<Vec<Block>> {
    struct Blocks(Vec<Block>);
    impl ResultSink for Blocks {
        fn block(&mut self, block: Block) -> Result<()> {
            self.0.push(block);
            Ok(())
        }
    }
    let mut blocks = Blocks(vec![]);
    run(plan, ctx, &mut blocks)?;
    Ok(blocks.0)
}

/// The end of the top pipeline: counts the result and passes it to the caller.
struct SinkEnd<'a> {
    sink: &'a mut dyn ResultSink,
    ctx: &'a QueryContext,
    schema: &'a [(String, DataType)],
}

impl Serial for SinkEnd<'_> {
    fn block(&mut self, mut block: Block) -> Result<Flow> {
        // Nodes may hand on blocks whose columns still have the names of an input.
        let renamed = block.names.len() == self.schema.len()
            && block.names.iter().zip(self.schema).any(|(name, (wanted, _))| name != wanted);
        if renamed {
            block.names = self.schema.iter().map(|(name, _)| name.clone()).collect();
        }
        let progress = &self.ctx.progress;
        progress.result_rows.fetch_add(block.rows() as u64, Ordering::Relaxed);
        progress.result_bytes.fetch_add(block.memory_bytes() as u64, Ordering::Relaxed);
        let rows_max = self.ctx.settings.u64("max_result_rows", 0);
        let rows = progress.result_rows.load(Ordering::Relaxed);
        if rows_max > 0 && rows > rows_max {
            if self.ctx.settings.get("result_overflow_mode") == Some("break") {
                self.sink.block(block)?;
                return Ok(Flow::Enough);
            }
            return Err(Error::new(
                codes::TOO_MANY_ROWS_OR_BYTES,
                format!("Limit for result exceeded, max rows: {rows_max}, current rows: {rows}"),
            ));
        }
        self.sink.block(block)?;
        Ok(Flow::More)
    }
}

/// Collects blocks in order, for nodes that need all of an input at once.
pub(crate) struct Gather {
    pub blocks: Vec<Block>,
    memory: crate::context::MemoryGuard,
}

impl Serial for Gather {
    fn block(&mut self, block: Block) -> Result<Flow> {
        self.memory.grow_to(self.memory.bytes() + block.memory_bytes())?;
        self.blocks.push(block);
        Ok(Flow::More)
    }
}

/// All blocks of `plan`, with the memory they hold.
pub(crate) fn gather(plan: &Plan, env: &Env) -> Result<(Gather, Driven)> {
    let gather = Gather { blocks: vec![], memory: env.ctx.memory.reserve(0)? };
    let ordered = Ordered::new(gather, 0, env.threads);
    let driven = drive(plan, env, 0, &ordered)?;
    Ok((ordered.into_inner(), driven))
}

/// Runs `plan`, pushing its blocks into `consumer` as morsels numbered from `base`.
pub(crate) fn drive(
    plan: &Plan,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    env.ctx.check()?;
    match &plan.node {
        PlanNode::OneRow => {
            // What ClickHouse reads there: `system.one`, of one byte.
            scan::count_read(&env.ctx, 1, 1)?;
            let morsels = emit_in_order(&env.ctx, [Ok(Block::of_rows(1))], base, consumer)?;
            Ok(Driven { morsels, totals: None })
        }
        PlanNode::Blocks(blocks) => scan::drive_blocks(blocks, env, base, consumer),
        PlanNode::Scan { source, columns, conditions, prewhere, final_, sample: _, hints } => {
            let scan = scan::ScanNode {
                schema: &plan.schema,
                source: source.as_ref(),
                columns,
                conditions,
                prewhere: prewhere.as_ref(),
                final_: *final_ && source.has_final(),
                hints,
            };
            scan.drive(env, base, consumer)
        }
        PlanNode::Filter { input, predicate } => {
            transform::filter(input, predicate, env, base, consumer)
        }
        PlanNode::Having { input, predicate } => match &input.node {
            PlanNode::Aggregate { with_totals: true, .. } => {
                drive_aggregate(input, Some(predicate), env, base, consumer)
            }
            _ => transform::filter(input, predicate, env, base, consumer),
        },
        PlanNode::Project { input, exprs } => {
            transform::project(input, exprs, &plan.schema, env, base, consumer)
        }
        PlanNode::Aggregate { .. } => drive_aggregate(plan, None, env, base, consumer),
        PlanNode::Sort { input, keys, limit } => {
            if let Some(order) = InOrder::of(input, keys, *limit, &env.ctx)
                && let Some(driven) = in_order::drive(&order, &plan.schema, env, base, consumer)?
            {
                return Ok(driven);
            }
            match late::Late::of(input, keys, *limit, env) {
                Some(late) => late.drive(&plan.schema, env, base, consumer),
                None => sort::drive_sort(input, keys, *limit, env, base, consumer),
            }
        }
        PlanNode::Limit { input, limit, offset, ties } => {
            limit::drive_limit(input, *limit, *offset, ties.as_deref(), env, base, consumer)
        }
        PlanNode::LimitBy { input, limit, offset, keys } => {
            limit::drive_limit_by(input, *limit, *offset, keys, env, base, consumer)
        }
        PlanNode::Distinct { input, keys, limit } => {
            if keys.is_empty()
                && let Some(order) = GroupOrder::of_distinct(input, *limit, &env.ctx)
                && let Some(driven) = distinct_in_order(plan, input, &order, env, base, consumer)?
            {
                return Ok(driven);
            }
            distinct::drive_distinct(input, keys, *limit, env, base, consumer)
        }
        PlanNode::UnionAll { inputs } => {
            transform::union_all(inputs, &plan.schema, env, base, consumer)
        }
        PlanNode::SetOperation { left, right, except, all } => {
            set_operation::drive(left, right, *except, *all, env, base, consumer)
        }
        PlanNode::Join(join) => join::drive_join(join, &plan.schema, env, base, consumer),
        PlanNode::ArrayJoin { input, exprs, left } => {
            array_join::drive(input, exprs, *left, &plan.schema, env, base, consumer)
        }
        PlanNode::Window { input, functions } => {
            window::drive(input, functions, &plan.schema, env, base, consumer)
        }
    }
}

fn drive_aggregate(
    plan: &Plan,
    having: Option<&crate::plan::BoundExpr>,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let PlanNode::Aggregate {
        input,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    } = &plan.node
    else {
        return Err(Error::new(codes::LOGICAL_ERROR, "not an aggregation"));
    };
    let node = aggregate::AggregateNode {
        schema: &plan.schema,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing: *rows_of_nothing,
        with_totals: *with_totals,
        groups_max: *groups_max,
        having,
        emit: aggregate::Emit::Rows,
        best: env.best.as_deref(),
    };
    let below = Env { best: None, first: None, ..env.clone() };
    if having.is_none()
        && let Some(order) = GroupOrder::of_aggregate(plan, env.first.as_deref(), &env.ctx)
        && let Some(driven) = node.drive_in_order(input, &order, &below, base, consumer)?
    {
        return Ok(driven);
    }
    node.drive(input, &below, base, consumer)
}

/// DISTINCT as groups without functions, finished in the order of the table.
fn distinct_in_order(
    plan: &Plan,
    input: &Plan,
    order: &GroupOrder<'_>,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Option<Driven>> {
    let keys: Vec<BoundExpr> = crate::optimize::shape::all_columns(&input.schema);
    let node = aggregate::AggregateNode {
        schema: &plan.schema,
        keys: &keys,
        aggregates: &[],
        grouping_sets: &[],
        rows_of_nothing: false,
        with_totals: false,
        groups_max: None,
        having: None,
        emit: aggregate::Emit::Rows,
        best: None,
    };
    node.drive_in_order(input, order, env, base, consumer)
}
