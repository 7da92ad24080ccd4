//! LIMIT above GROUP BY without ORDER BY: any so many groups will do.

use crate::plan::{Plan, PlanNode};

use super::bottom_up;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(mut plan: Plan) -> Plan {
    if let PlanNode::Limit { input, limit: Some(limit), offset, ties: None } = &mut plan.node {
        let rows = limit.saturating_add(*offset);
        limit_groups(input, rows);
    }
    plan
}

fn limit_groups(plan: &mut Plan, rows: u64) {
    match &mut plan.node {
        PlanNode::Project { input, .. } => limit_groups(input, rows),
        PlanNode::Aggregate { keys, grouping_sets, with_totals: false, groups_max, .. }
            if !keys.is_empty() && grouping_sets.is_empty() =>
        {
            *groups_max = Some(groups_max.map_or(rows, |g| g.min(rows)));
        }
        _ => {}
    }
}
