//! Runs the subqueries inside a plan's expressions before the plan itself: sets of IN, and scalars.
//!
//! Each is run once, by whoever meets it first; inner ones before the outer ones that need them.

use std::sync::Arc;

use pumphouse_storage::{Block, Value};

use super::set::BuiltSet;
use super::{Env, expression, gather};
use crate::error::{Error, Result, codes};
use crate::plan::{BoundExpr, Plan, PlanNode, PlannedScalar, PlannedSet, SetSource, SortKey};

/// Fills every set and scalar that `plan` mentions.
pub(super) fn run_all(plan: &Plan, env: &Env) -> Result<()> {
    let mut result = Ok(());
    each_expr(plan, &mut |expr| {
        expression::walk(expr, &mut |e| {
            if result.is_ok() {
                result = match e {
                    BoundExpr::InSet { set, .. } => build_set(set, env),
                    BoundExpr::Scalar { subquery, .. } => run_scalar(subquery, env),
                    _ => Ok(()),
                };
            }
        });
    });
    result?;
    for input in inputs(plan) {
        run_all(input, env)?;
    }
    Ok(())
}

fn build_set(set: &Arc<PlannedSet>, env: &Env) -> Result<()> {
    let SetSource::Subquery(plan) = &set.source else { return Ok(()) };
    if set.built.get().is_some() {
        return Ok(());
    }
    run_all(plan, env)?;
    let (rows, _) = gather(plan, env)?;
    let built = BuiltSet::new(&set.element_types, &rows.blocks, &env.ctx)?;
    let _ = set.built.set(Arc::new(built));
    Ok(())
}

fn run_scalar(scalar: &Arc<PlannedScalar>, env: &Env) -> Result<()> {
    if scalar.built.get().is_some() {
        return Ok(());
    }
    run_all(&scalar.plan, env)?;
    let (rows, _) = gather(&scalar.plan, env)?;
    let count: usize = rows.blocks.iter().map(Block::rows).sum();
    let value = match (count, rows.blocks.iter().find(|b| !b.is_empty())) {
        (0, _) | (_, None) => Value::Null,
        (1, Some(block)) => match block.columns.as_slice() {
            [one] => one.value(0),
            several => Value::Tuple(several.iter().map(|c| c.value(0)).collect()),
        },
        _ => {
            return Err(Error::new(
                codes::INCORRECT_RESULT_OF_SCALAR_SUBQUERY,
                "Scalar subquery returned more than one row",
            ));
        }
    };
    let _ = scalar.built.set(value);
    Ok(())
}

/// The direct inputs of a node.
fn inputs(plan: &Plan) -> Vec<&Plan> {
    match &plan.node {
        PlanNode::OneRow | PlanNode::Blocks(_) | PlanNode::Scan { .. } => vec![],
        PlanNode::Filter { input, .. }
        | PlanNode::Project { input, .. }
        | PlanNode::Aggregate { input, .. }
        | PlanNode::Having { input, .. }
        | PlanNode::Sort { input, .. }
        | PlanNode::Limit { input, .. }
        | PlanNode::LimitBy { input, .. }
        | PlanNode::Distinct { input, .. }
        | PlanNode::ArrayJoin { input, .. }
        | PlanNode::Window { input, .. } => vec![input],
        PlanNode::UnionAll { inputs } => inputs.iter().collect(),
        PlanNode::SetOperation { left, right, .. } => vec![left, right],
        PlanNode::Join(join) => vec![&join.left, &join.right],
    }
}

/// Calls `visit` for every expression of this node (not of its inputs).
fn each_expr(plan: &Plan, visit: &mut dyn FnMut(&BoundExpr)) {
    let keys = |keys: &[SortKey], visit: &mut dyn FnMut(&BoundExpr)| {
        keys.iter().for_each(|k| visit(&k.expr));
    };
    match &plan.node {
        PlanNode::OneRow | PlanNode::Blocks(_) | PlanNode::UnionAll { .. } => {}
        PlanNode::SetOperation { .. } => {}
        PlanNode::Scan { prewhere, .. } => prewhere.iter().for_each(visit),
        PlanNode::Filter { predicate, .. } | PlanNode::Having { predicate, .. } => visit(predicate),
        PlanNode::Project { exprs, .. } | PlanNode::ArrayJoin { exprs, .. } => {
            exprs.iter().for_each(visit);
        }
        PlanNode::Aggregate { keys, aggregates, .. } => {
            keys.iter().for_each(&mut *visit);
            aggregates.iter().flat_map(|a| &a.arguments).for_each(visit);
        }
        PlanNode::Sort { keys: sort_keys, .. } => keys(sort_keys, visit),
        PlanNode::Limit { ties, .. } => keys(ties.as_deref().unwrap_or_default(), visit),
        PlanNode::LimitBy { keys, .. } | PlanNode::Distinct { keys, .. } => {
            keys.iter().for_each(visit);
        }
        PlanNode::Join(join) => {
            join.left_keys.iter().for_each(&mut *visit);
            join.right_keys.iter().for_each(&mut *visit);
            if let Some((left, _, right)) = &join.asof {
                visit(left);
                visit(right);
            }
            join.residual.iter().for_each(visit);
        }
        PlanNode::Window { functions, .. } => {
            for function in functions {
                function.arguments.iter().for_each(&mut *visit);
                function.partition_by.iter().for_each(&mut *visit);
                keys(&function.order_by, visit);
            }
        }
    }
}
