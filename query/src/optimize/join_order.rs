//! The smaller side of an inner join is built into the hash table: if the left one is clearly
//! smaller, the sides change places.

use crate::plan::{Plan, PlanNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::bottom_up;
use super::shape::*;

/// The right side must be this many times larger before the sides change places.
const RATIO_MIN: f64 = 2.0;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Join(mut join) = node else { return Plan { node, schema } };
    let all = matches!(join.strictness, JoinStrictness::All | JoinStrictness::Unspecified);
    let swap = match (rows(&join.left), rows(&join.right)) {
        (Some(left), Some(right)) => left * RATIO_MIN < right,
        _ => false,
    };
    if join.kind != JoinKind::Inner || !all || !swap {
        return Plan { node: PlanNode::Join(join), schema };
    }
    let (left_width, right_width) = (join.left.schema.len(), join.right.schema.len());
    let join_ref = &mut *join;
    std::mem::swap(&mut join_ref.left, &mut join_ref.right);
    std::mem::swap(&mut join_ref.left_keys, &mut join_ref.right_keys);
    let places = |i: usize| if i < left_width { i + right_width } else { i - left_width };
    join.residual.iter_mut().for_each(|r| renumber(r, &places));
    let mut swapped = schema[left_width..].to_vec();
    swapped.extend_from_slice(&schema[..left_width]);
    let exprs = (0..schema.len()).map(|i| column(places(i), &schema[i].1)).collect();
    let input = Box::new(Plan { node: PlanNode::Join(join), schema: swapped });
    Plan { node: PlanNode::Project { input, exprs }, schema }
}

/// About how many rows a plan yields; None if nothing is known.
pub fn rows(plan: &Plan) -> Option<f64> {
    match &plan.node {
        PlanNode::OneRow => Some(1.0),
        PlanNode::Blocks(blocks) => Some(blocks.iter().map(|b| b.rows() as f64).sum()),
        PlanNode::Scan { source, .. } => source.row_count().map(|r| r as f64),
        PlanNode::Filter { input, .. } | PlanNode::Having { input, .. } => {
            rows(input).map(|r| r / 4.0)
        }
        PlanNode::Project { input, .. }
        | PlanNode::Window { input, .. }
        | PlanNode::LimitBy { input, .. } => rows(input),
        PlanNode::Distinct { input, limit, .. } => {
            let own = rows(input).map(|r| r / 2.0);
            smaller(own, *limit)
        }
        PlanNode::Sort { input, limit, .. } => smaller(rows(input), *limit),
        PlanNode::Limit { input, limit, .. } => smaller(rows(input), *limit),
        PlanNode::Aggregate { input, keys, groups_max, .. } => match keys.is_empty() {
            true => Some(1.0),
            false => smaller(rows(input).map(|r| r / 10.0), *groups_max),
        },
        PlanNode::UnionAll { inputs } => inputs.iter().map(rows).sum(),
        PlanNode::SetOperation { left, .. } => rows(left),
        PlanNode::Join(join) => match (rows(&join.left), rows(&join.right)) {
            (Some(l), Some(r)) if join.kind == JoinKind::Cross => Some(l * r),
            (Some(l), Some(r)) => Some(l.max(r)),
            _ => None,
        },
        PlanNode::ArrayJoin { input, .. } => rows(input).map(|r| r * 4.0),
    }
}

fn smaller(rows: Option<f64>, limit: Option<u64>) -> Option<f64> {
    match (rows, limit) {
        (Some(rows), Some(limit)) => Some(rows.min(limit as f64)),
        (rows, limit) => rows.or(limit.map(|l| l as f64)),
    }
}
