//! Calls that no computation takes (`ScalarFunction::check_columns`), found before anything runs: an
//! error must not wait for the first row. Only what is computed counts, so columns that nobody reads are
//! followed down as `column_pruning` would; of a subquery of which nothing is read, the first column is.
//!
//! Calls over constants that are no constants after binding are computed once for their errors.
//! Changes nothing; runs first, while the plan still has all that was written.

use crate::context::QueryContext;
use crate::error::Result;
use crate::functions::ArgumentType;
use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode};

use super::shape::{each_expression, inputs_mut, mark, walk};

pub fn check(plan: &mut Plan, ctx: &QueryContext) -> Result<()> {
    let needed = vec![true; plan.schema.len()];
    check_plan(plan, &needed, ctx)
}

fn check_plan(plan: &mut Plan, needed: &[bool], ctx: &QueryContext) -> Result<()> {
    match &mut plan.node {
        PlanNode::Project { input, exprs } => {
            let mut below = vec![false; input.schema.len()];
            let none = !needed.contains(&true);
            for (i, expr) in exprs.iter().enumerate() {
                if needed.get(i) == Some(&true) || none && i == 0 {
                    check_expr(expr, &mut below, ctx)?;
                }
            }
            check_plan(input, &below, ctx)
        }
        PlanNode::Aggregate { input, keys, aggregates, .. } => {
            let mut below = vec![false; input.schema.len()];
            keys.iter().try_for_each(|k| check_expr(k, &mut below, ctx))?;
            let width = keys.len();
            let read = aggregates.iter().enumerate().filter(|(i, _)| needed[width + i]);
            for expr in read.flat_map(|(_, a)| &a.arguments) {
                check_expr(expr, &mut below, ctx)?;
            }
            check_plan(input, &below, ctx)
        }
        PlanNode::Join(join) => check_join(join, needed, ctx),
        PlanNode::SetOperation { left, right, .. } => {
            check(left, ctx)?;
            check(right, ctx)
        }
        PlanNode::Distinct { input, keys, .. } if keys.is_empty() => check(input, ctx),
        _ => check_through(plan, needed, ctx),
    }
}

/// Nodes that pass columns on: those that stand first in their output.
fn check_through(plan: &mut Plan, needed: &[bool], ctx: &QueryContext) -> Result<()> {
    let width = inputs_mut(plan).first().map_or(0, |i| i.schema.len());
    let mut below: Vec<bool> =
        needed.iter().copied().chain(std::iter::repeat(false)).take(width).collect();
    let mut found = Ok(());
    each_expression(plan, &mut |expr| {
        if found.is_ok() {
            found = check_expr(expr, &mut below, ctx);
        }
    });
    found?;
    inputs_mut(plan).into_iter().try_for_each(|input| check_plan(input, &below, ctx))
}

fn check_join(join: &mut JoinNode, needed: &[bool], ctx: &QueryContext) -> Result<()> {
    let width = join.left.schema.len();
    let mut both = needed.to_vec();
    both.resize(width + join.right.schema.len(), false);
    join.residual.iter().try_for_each(|r| check_expr(r, &mut both, ctx))?;
    let (left, right) = both.split_at_mut(width);
    join.left_keys.iter().try_for_each(|k| check_expr(k, left, ctx))?;
    join.right_keys.iter().try_for_each(|k| check_expr(k, right, ctx))?;
    if let Some((a, _, b)) = &join.asof {
        check_expr(a, left, ctx)?;
        check_expr(b, right, ctx)?;
    }
    check_plan(&mut join.left, left, ctx)?;
    check_plan(&mut join.right, right, ctx)
}

/// Checks every call in `expr` and marks the columns that it reads.
fn check_expr(expr: &BoundExpr, used: &mut [bool], ctx: &QueryContext) -> Result<()> {
    mark(expr, used);
    check_closed(expr, ctx)?;
    let mut found = Ok(());
    walk(expr, &mut |e| {
        if let BoundExpr::Call { function, arguments, .. } = e
            && found.is_ok()
            && function.checks_columns()
        {
            let arguments: Vec<ArgumentType> = arguments.iter().map(argument_type).collect();
            found = function.check_columns(&arguments);
        }
    });
    found
}

/// Computes calls that read nothing: those that binding did not make constants, since they fail.
pub(crate) fn check_closed(expr: &BoundExpr, ctx: &QueryContext) -> Result<()> {
    match expr {
        BoundExpr::Call { arguments, .. } => {
            if is_closed(expr, 0) {
                let row = pumphouse_storage::Block::of_rows(1);
                crate::execute::evaluate(expr, &row, ctx)?;
            }
            // Within a lambda that no element comes to, too.
            arguments.iter().try_for_each(|a| check_closed(a, ctx))
        }
        BoundExpr::Lambda { body, .. } => check_closed(body, ctx),
        BoundExpr::InSet { expr, .. } => check_closed(expr, ctx),
        _ => Ok(()),
    }
}

/// Whether nothing from outside of `expr` is read, which stands in `lambdas` lambdas of its own.
fn is_closed(expr: &BoundExpr, lambdas: usize) -> bool {
    match expr {
        BoundExpr::Constant { .. } => true,
        BoundExpr::Call { function, arguments, .. } => {
            crate::bind::is_constant_call(function)
                && arguments.iter().all(|a| is_closed(a, lambdas))
        }
        BoundExpr::Lambda { body, .. } => is_closed(body, lambdas + 1),
        BoundExpr::LambdaParameter { depth, .. } => *depth < lambdas,
        BoundExpr::Column { .. } | BoundExpr::InSet { .. } | BoundExpr::Scalar { .. } => false,
    }
}

/// What a function's typing sees of an argument.
pub fn argument_type(expr: &BoundExpr) -> ArgumentType {
    let (constant, lambda_arity) = match expr {
        BoundExpr::Constant { value, .. } => (Some(value.clone()), None),
        BoundExpr::Lambda { parameters, .. } => (None, Some(parameters.len())),
        _ => (None, None),
    };
    ArgumentType { data_type: expr.data_type(), constant, lambda_arity }
}
