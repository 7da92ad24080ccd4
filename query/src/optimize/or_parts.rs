//! What all branches of an OR share stands before it: `(a AND b) OR (a AND c)` is `a AND (b OR c)`, so
//! that `a` can become a key of a join or go further down.

use crate::plan::{BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(mut plan: Plan) -> Plan {
    match &mut plan.node {
        PlanNode::Filter { predicate, .. } => factored(predicate),
        PlanNode::Join(join) => join.residual.iter_mut().for_each(factored),
        _ => {}
    }
    plan
}

fn factored(predicate: &mut BoundExpr) {
    let mut parts = vec![];
    conjuncts(predicate.clone(), &mut parts);
    let mut out = vec![];
    let mut changed = false;
    for part in parts {
        match split(&part) {
            Some(split) => {
                changed = true;
                out.extend(split);
            }
            None => out.push(part),
        }
    }
    if changed && let Some(all) = conjunction(out) {
        *predicate = all;
    }
}

/// The shared parts and the OR of what is left; None if nothing is shared.
fn split(part: &BoundExpr) -> Option<Vec<BoundExpr>> {
    let BoundExpr::Call { function, arguments, .. } = part else { return None };
    if function.name() != "or" || is_volatile(part) {
        return None;
    }
    let mut branches: Vec<Vec<BoundExpr>> = vec![];
    for argument in arguments {
        let mut parts = vec![];
        conjuncts(argument.clone(), &mut parts);
        branches.push(parts);
    }
    let (first, others) = branches.split_first()?;
    let in_all = |e: &BoundExpr| {
        let own = key(e);
        others.iter().all(|branch| branch.iter().any(|p| key(p) == own))
    };
    let shared: Vec<BoundExpr> = first.iter().filter(|e| in_all(e)).cloned().collect();
    if shared.is_empty() {
        return None;
    }
    let keys: Vec<u128> = shared.iter().map(key).collect();
    let mut rest = vec![];
    for mut branch in branches {
        branch.retain(|p| !keys.contains(&key(p)));
        match conjunction(branch) {
            Some(left) => rest.push(left),
            // A branch that says no more than what is shared.
            None => return Some(shared),
        }
    }
    let mut parts = shared;
    parts.extend(disjunction(rest));
    Some(parts)
}
