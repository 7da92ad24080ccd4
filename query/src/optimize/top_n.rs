//! LIMIT above ORDER BY: only so many rows need sorting. LIMIT goes below projections, and copies of
//! it into the inputs of UNION ALL and above DISTINCT.

use crate::plan::{Plan, PlanNode};

use super::shape::take;

pub fn apply(mut plan: Plan) -> Plan {
    descend(&mut plan, None);
    plan
}

/// `rows`: no more than the first so many rows of this plan's output are looked at.
fn descend(plan: &mut Plan, rows: Option<u64>) {
    match &mut plan.node {
        PlanNode::Limit { input, limit, offset, ties } => {
            let own = limit.map(|l| l.saturating_add(*offset)).filter(|_| ties.is_none());
            let outer = rows.map(|r| r.saturating_add(*offset)).filter(|_| ties.is_none());
            let rows = match (own, outer) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            descend(input, rows);
        }
        PlanNode::Project { input, .. } => descend(input, rows),
        PlanNode::Sort { input, keys, limit } => {
            if keys.iter().all(|k| k.fill.is_none()) {
                *limit = smaller(*limit, rows);
            }
            descend(input, None);
        }
        PlanNode::Distinct { input, limit, .. } => {
            *limit = smaller(*limit, rows);
            descend(input, None);
        }
        PlanNode::UnionAll { inputs } => {
            for input in inputs {
                if let Some(rows) = rows {
                    limited(input, rows);
                }
                descend(input, None);
            }
        }
        _ => {
            for input in super::shape::inputs_mut(plan) {
                descend(input, None);
            }
        }
    }
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Puts a LIMIT on top of `plan`.
fn limited(plan: &mut Plan, rows: u64) {
    if matches!(plan.node, PlanNode::Limit { .. } | PlanNode::Aggregate { .. }) {
        return;
    }
    let schema = plan.schema.clone();
    let input = Box::new(take(plan));
    let node = PlanNode::Limit { input, limit: Some(rows), offset: 0, ties: None };
    *plan = Plan { node, schema };
}
