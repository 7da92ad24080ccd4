//! `SELECT count(), min(k), max(k) FROM t`: the table knows its row count, and the least and greatest
//! values of many columns.

use pumphouse_storage::{Block, Column, Value};

use crate::catalog::TableSource;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::is_plain_count;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    match known(&plan) {
        Some(block) => Plan { node: PlanNode::Blocks(vec![block]), schema: plan.schema },
        None => plan,
    }
}

/// The answer, if the table knows it.
pub(super) fn known(plan: &Plan) -> Option<Block> {
    let PlanNode::Aggregate { input, keys, aggregates, grouping_sets, with_totals: false, .. } =
        &plan.node
    else {
        return None;
    };
    let bare = keys.is_empty() && grouping_sets.is_empty() && !aggregates.is_empty();
    if !bare {
        return None;
    }
    let PlanNode::Scan {
        source,
        columns,
        conditions,
        prewhere: None,
        final_: false,
        sample: None,
        ..
    } = &input.node
    else {
        return None;
    };
    if !conditions.is_empty() {
        return None;
    }
    let mut block = Block::default();
    for (aggregate, (name, data_type)) in aggregates.iter().zip(&plan.schema) {
        let value = result(aggregate, source.as_ref(), columns)?;
        block.push(name.clone(), Column::constant(data_type.clone(), &value, 1).ok()?);
    }
    Some(block)
}

fn result(
    aggregate: &BoundAggregate,
    source: &dyn TableSource,
    columns: &[String],
) -> Option<Value> {
    if is_plain_count(aggregate) {
        return source.row_count().map(Value::UInt);
    }
    let [BoundExpr::Column { index, .. }] = aggregate.arguments.as_slice() else { return None };
    let column = columns.get(*index)?;
    match aggregate.function.name().as_str() {
        "min" => source.column_range(column).map(|(low, _)| low),
        "max" => source.column_range(column).map(|(_, high)| high),
        _ => None,
    }
}
