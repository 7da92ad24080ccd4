//! `SELECT count() FROM t`: the table knows its row count.

use pumphouse_storage::{Block, Column, Value};

use crate::plan::{Plan, PlanNode};

use super::bottom_up;
use super::shape::is_plain_count;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    match counted(&plan) {
        Some(block) => Plan { node: PlanNode::Blocks(vec![block]), schema: plan.schema },
        None => plan,
    }
}

fn counted(plan: &Plan) -> Option<Block> {
    let PlanNode::Aggregate { input, keys, aggregates, grouping_sets, with_totals: false, .. } =
        &plan.node
    else {
        return None;
    };
    let bare = keys.is_empty() && grouping_sets.is_empty() && !aggregates.is_empty();
    if !bare || !aggregates.iter().all(is_plain_count) {
        return None;
    }
    let PlanNode::Scan { source, conditions, prewhere: None, final_: false, sample: None, .. } =
        &input.node
    else {
        return None;
    };
    if !conditions.is_empty() {
        return None;
    }
    let rows = Value::UInt(source.row_count()?);
    let mut block = Block::default();
    for (name, data_type) in &plan.schema {
        block.push(name.clone(), Column::constant(data_type.clone(), &rows, 1).ok()?);
    }
    Some(block)
}
