//! Filters whose outcome is known: those that hold always go away, those that never hold leave no
//! rows to read. HAVING that never holds leaves nothing to aggregate; there, the least, greatest or any
//! of a constant is that constant if there are groups.

use pumphouse_storage::DataType;

use crate::context::QueryContext;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

/// Aggregates that give their argument back if it is constant.
const SELECTING: &[&str] = &["min", "max", "any", "anyLast"];

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    match plan.node {
        PlanNode::Filter { input, predicate } => {
            let mut parts = vec![];
            conjuncts(predicate, &mut parts);
            if parts.iter().any(|p| truth(p) == Some(false)) {
                return Plan { node: PlanNode::Blocks(vec![]), schema: plan.schema };
            }
            parts.retain(|p| truth(p) != Some(true));
            filtered(*input, parts)
        }
        PlanNode::Having { input, predicate } if never(&input.node, &predicate) => {
            Plan { node: PlanNode::Blocks(vec![]), schema: plan.schema }
        }
        node => Plan { node, schema: plan.schema },
    }
}

/// Whether no group can pass HAVING.
fn never(node: &PlanNode, predicate: &BoundExpr) -> bool {
    let PlanNode::Aggregate { keys, aggregates, grouping_sets, with_totals: false, .. } = node
    else {
        return false;
    };
    let mut parts = vec![];
    conjuncts(predicate.clone(), &mut parts);
    let grouped = !keys.is_empty() && grouping_sets.is_empty();
    parts.into_iter().any(|mut part| {
        if grouped {
            replace_columns(&mut part, &|i| {
                constant_of(aggregates.get(i.checked_sub(keys.len())?)?)
            });
        }
        known(&part) == Some(false)
    })
}

fn constant_of(aggregate: &BoundAggregate) -> Option<BoundExpr> {
    let [argument @ BoundExpr::Constant { .. }] = aggregate.arguments.as_slice() else {
        return None;
    };
    SELECTING.contains(&aggregate.function.name().as_str()).then(|| argument.clone())
}

/// The truth of an expression that reads nothing.
fn known(expr: &BoundExpr) -> Option<bool> {
    if *expr.data_type().inner() == DataType::Nothing {
        // Nothing but NULL.
        return Some(false);
    }
    let mut closed = true;
    walk(expr, &mut |e| {
        closed &= match e {
            BoundExpr::Constant { .. } => true,
            BoundExpr::Call { function, .. } => function.deterministic(),
            _ => false,
        };
    });
    if !closed {
        return None;
    }
    let row = pumphouse_storage::Block::of_rows(1);
    let value = crate::execute::evaluate(expr, &row, &QueryContext::new("", 0, 0)).ok()?.value(0);
    match value.is_null() {
        true => Some(false),
        false => value.as_f64().map(|v| v != 0.0),
    }
}
