//! Two projections in a row become one, unless that would compute something twice; a projection that
//! changes nothing but names goes away.

use crate::plan::{BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &|plan| identity(merge(plan)))
}

fn merge(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Project { mut input, exprs } = node else { return Plan { node, schema } };
    if !matches!(input.node, PlanNode::Project { .. }) {
        return Plan { node: PlanNode::Project { input, exprs }, schema };
    }
    let below = take(&mut input);
    let PlanNode::Project { input: bottom, exprs: inner } = below.node else {
        return Plan { node: PlanNode::Project { input, exprs }, schema };
    };
    if !mergeable(&exprs, &inner) {
        let node = PlanNode::Project { input: bottom, exprs: inner };
        let input = Box::new(Plan { node, schema: below.schema });
        return Plan { node: PlanNode::Project { input, exprs }, schema };
    }
    let exprs = exprs
        .into_iter()
        .map(|mut e| {
            replace_columns(&mut e, &|i| inner.get(i).cloned());
            e
        })
        .collect();
    Plan { node: PlanNode::Project { input: bottom, exprs }, schema }
}

fn mergeable(outer: &[BoundExpr], inner: &[BoundExpr]) -> bool {
    let mut uses = vec![0usize; inner.len()];
    let mut in_lambda = vec![false; inner.len()];
    for expr in outer {
        walk(expr, &mut |e| match e {
            BoundExpr::Column { index, .. } => uses[*index] += 1,
            BoundExpr::Lambda { body, .. } => mark(body, &mut in_lambda),
            _ => {}
        });
    }
    inner.iter().enumerate().all(|(i, e)| {
        let trivial = matches!(e, BoundExpr::Column { .. } | BoundExpr::Constant { .. });
        trivial || (uses[i] <= 1 && !in_lambda[i] && !is_volatile(e))
    })
}

/// `Project` of all columns in their places.
fn identity(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Project { mut input, exprs } = node else { return Plan { node, schema } };
    let same = exprs.len() == input.schema.len()
        && exprs
            .iter()
            .enumerate()
            .all(|(i, e)| matches!(e, BoundExpr::Column { index, .. } if *index == i));
    // A scan's schema names the columns it reads, so it keeps its own.
    let renames = input.schema.iter().zip(&schema).any(|((a, _), (b, _))| a != b);
    if same && !(renames && matches!(input.node, PlanNode::Scan { .. })) {
        input.schema = schema;
        return *input;
    }
    Plan { node: PlanNode::Project { input, exprs }, schema }
}
