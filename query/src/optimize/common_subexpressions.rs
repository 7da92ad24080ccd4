//! Calls that occur more than once in a node are computed once, in a projection below it.
//!
//! Arguments that may not be evaluated at all (branches of `if`) are left alone: computing them
//! always could fail where the query does not.

use std::collections::HashMap;

use crate::plan::{BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(mut plan: Plan) -> Plan {
    let over_input = matches!(plan.node, PlanNode::Project { .. } | PlanNode::Aggregate { .. });
    if !over_input {
        return plan;
    }
    let shared = shared(&mut plan);
    if shared.is_empty() {
        return plan;
    }
    let (mut exprs, mut schema) = match inputs(&plan).first() {
        Some(input) => (all_columns(&input.schema), input.schema.clone()),
        None => return plan,
    };
    let mut places = HashMap::new();
    for expr in shared {
        places.insert(key(&expr), exprs.len());
        schema.push((format!("shared_{}", places.len()), expr.data_type()));
        exprs.push(expr);
    }
    each_expression(&mut plan, &mut |e| replace_shared(e, &places));
    for input in inputs_mut(&mut plan) {
        let below = Box::new(take(input));
        let node = PlanNode::Project { input: below, exprs: std::mem::take(&mut exprs) };
        *input = Plan { node, schema: std::mem::take(&mut schema) };
    }
    drop_unread(plan)
}

/// The largest calls that occur at least twice.
fn shared(plan: &mut Plan) -> Vec<BoundExpr> {
    let mut counts: HashMap<u128, usize> = HashMap::new();
    each_expression(plan, &mut |e| count(e, &mut counts));
    counts.retain(|_, n| *n > 1);
    if counts.is_empty() {
        return vec![];
    }
    let mut found: Vec<BoundExpr> = vec![];
    each_expression(plan, &mut |e| largest(e, &counts, &mut found));
    found
}

fn is_candidate(expr: &BoundExpr) -> bool {
    match expr {
        BoundExpr::Call { .. } => !is_volatile(expr) && !columns_of(expr).is_empty(),
        BoundExpr::InSet { .. } => !is_volatile(expr),
        _ => false,
    }
}

/// The arguments of `expr` that are always evaluated.
fn always_evaluated(expr: &BoundExpr) -> &[BoundExpr] {
    match expr {
        BoundExpr::Call { function, arguments, .. } => match function.name() {
            "if" | "multiIf" | "and" | "or" => &arguments[..arguments.len().min(1)],
            _ => arguments,
        },
        BoundExpr::InSet { expr, .. } => std::slice::from_ref(&**expr),
        _ => &[],
    }
}

fn count(expr: &BoundExpr, counts: &mut HashMap<u128, usize>) {
    if is_candidate(expr) {
        let seen = counts.entry(key(expr)).or_insert(0);
        *seen += 1;
        // What is inside a repeated call is computed with it.
        if *seen > 1 {
            return;
        }
    }
    always_evaluated(expr).iter().for_each(|a| count(a, counts));
}

fn largest(expr: &BoundExpr, counts: &HashMap<u128, usize>, found: &mut Vec<BoundExpr>) {
    if is_candidate(expr) {
        let own = key(expr);
        if counts.contains_key(&own) {
            if !found.iter().any(|f| key(f) == own) {
                found.push(expr.clone());
            }
            return;
        }
    }
    always_evaluated(expr).iter().for_each(|a| largest(a, counts, found));
}

fn replace_shared(expr: &mut BoundExpr, places: &HashMap<u128, usize>) {
    if is_candidate(expr)
        && let Some(index) = places.get(&key(expr))
    {
        *expr = BoundExpr::Column { index: *index, data_type: expr.data_type() };
        return;
    }
    match expr {
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| replace_shared(a, places));
        }
        BoundExpr::InSet { expr, .. } => replace_shared(expr, places),
        _ => {}
    }
}

/// The projection need not carry columns that only the shared calls read.
fn drop_unread(mut plan: Plan) -> Plan {
    let mut used = match inputs(&plan).first() {
        Some(input) => vec![false; input.schema.len()],
        None => return plan,
    };
    each_expression(&mut plan, &mut |e| mark(e, &mut used));
    let mut places = vec![0; used.len()];
    let mut next = 0;
    for (place, used) in places.iter_mut().zip(&used) {
        *place = next;
        next += usize::from(*used);
    }
    each_expression(&mut plan, &mut |e| renumber(e, &|i| places[i]));
    for input in inputs_mut(&mut plan) {
        if let PlanNode::Project { exprs, .. } = &mut input.node {
            let mut keep = used.iter();
            exprs.retain(|_| *keep.next().unwrap_or(&true));
            let mut keep = used.iter();
            input.schema.retain(|_| *keep.next().unwrap_or(&true));
        }
    }
    plan
}
