//! Filters whose outcome is known: those that hold always go away, those that never hold leave no
//! rows to read.

use crate::plan::{Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    let PlanNode::Filter { input, predicate } = plan.node else { return plan };
    let mut parts = vec![];
    conjuncts(predicate, &mut parts);
    if parts.iter().any(|p| truth(p) == Some(false)) {
        return Plan { node: PlanNode::Blocks(vec![]), schema: plan.schema };
    }
    parts.retain(|p| truth(p) != Some(true));
    filtered(*input, parts)
}
