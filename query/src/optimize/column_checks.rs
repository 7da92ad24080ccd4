//! Calls that no computation takes (`ScalarFunction::check_columns`), found before anything runs: an
//! error must not wait for the first row. Only what is computed counts, so columns that nobody reads are
//! followed down as `column_pruning` would; of a subquery of which nothing is read, the first column is.
//!
//! Calls over constants that are no constants after binding are computed once for their errors; constant
//! columns of subqueries count as constants, too. Tells which sets of IN are needed. Changes nothing; runs
//! first, while the plan still has all that was written.

use std::collections::HashSet;
use std::sync::Arc;

use pumphouse_storage::{Block, DataType, Value};

use crate::context::QueryContext;
use crate::error::Result;
use crate::functions::ArgumentType;
use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode, PlannedSet, SetSource};

use super::shape::{each_expression, inputs_mut, key, mark, replace_columns};

/// For each column of a plan its value, if that is known whatever rows there are.
type Known = Vec<Option<BoundExpr>>;

/// The sets of IN that the query needs.
#[derive(Default)]
pub struct NeededSets(HashSet<*const PlannedSet>);

impl NeededSets {
    pub fn holds(&self, set: &Arc<PlannedSet>) -> bool {
        self.0.contains(&Arc::as_ptr(set))
    }
}

pub fn check(plan: &mut Plan, ctx: &QueryContext) -> Result<NeededSets> {
    let mut checks = Checks { ctx, sets: NeededSets::default() };
    checks.whole(plan)?;
    Ok(checks.sets)
}

struct Checks<'a> {
    ctx: &'a QueryContext,
    sets: NeededSets,
}

impl Checks<'_> {
    fn whole(&mut self, plan: &mut Plan) -> Result<Known> {
        let needed = vec![true; plan.schema.len()];
        self.plan(plan, &needed)
    }

    /// Inputs first: of several errors the one furthest below is raised.
    fn plan(&mut self, plan: &mut Plan, needed: &[bool]) -> Result<Known> {
        let width = plan.schema.len();
        match &mut plan.node {
            PlanNode::Project { input, exprs } => self.project(input, exprs, needed),
            PlanNode::Aggregate { input, keys, aggregates, .. } => {
                let read = aggregates.iter().enumerate().filter(|(i, _)| needed[keys.len() + i]);
                let arguments = read.flat_map(|(_, a)| &a.arguments);
                let exprs: Vec<&BoundExpr> = keys.iter().chain(arguments).collect();
                let below = read_by(&exprs, input.schema.len());
                let known = self.plan(input, &below)?;
                exprs.iter().try_for_each(|e| self.expr(&with_known(e, &known, self.ctx)))?;
                Ok(vec![None; width])
            }
            PlanNode::Join(join) => self.join(join, needed).map(|()| vec![None; width]),
            PlanNode::UnionAll { inputs } => {
                let mut parts = vec![];
                for input in inputs {
                    parts.push(self.plan(input, needed)?);
                }
                Ok((0..width).map(|i| same_in_all(&parts, i)).collect())
            }
            PlanNode::SetOperation { left, right, .. } => {
                self.whole(left)?;
                self.whole(right)?;
                Ok(vec![None; width])
            }
            PlanNode::Distinct { input, keys, .. } if keys.is_empty() => self.whole(input),
            _ => self.through(plan, needed),
        }
    }

    fn project(&mut self, input: &mut Plan, exprs: &[BoundExpr], needed: &[bool]) -> Result<Known> {
        let none = !needed.contains(&true);
        let is_read = |i: usize| needed.get(i) == Some(&true) || none && i == 0;
        let read: Vec<&BoundExpr> =
            exprs.iter().enumerate().filter(|(i, _)| is_read(*i)).map(|(_, e)| e).collect();
        let below = read_by(&read, input.schema.len());
        let known = self.plan(input, &below)?;
        let mut own = vec![None; exprs.len()];
        for (i, expr) in exprs.iter().enumerate().filter(|(i, _)| is_read(*i)) {
            let expr = with_known(expr, &known, self.ctx);
            self.expr(&expr)?;
            own[i] = self.value_of(expr)?;
        }
        Ok(own)
    }

    /// Nodes that pass columns on: those that stand first in their output.
    fn through(&mut self, plan: &mut Plan, needed: &[bool]) -> Result<Known> {
        let width = inputs_mut(plan).first().map_or(0, |i| i.schema.len());
        let mut below: Vec<bool> =
            needed.iter().copied().chain(std::iter::repeat(false)).take(width).collect();
        let mut exprs = vec![];
        each_expression(plan, &mut |expr| {
            mark(expr, &mut below);
            exprs.push(expr.clone());
        });
        let mut known = vec![];
        for input in inputs_mut(plan) {
            known = self.plan(input, &below)?;
        }
        exprs.iter().try_for_each(|e| self.expr(&with_known(e, &known, self.ctx)))?;
        known.resize(plan.schema.len(), None);
        Ok(known)
    }

    fn join(&mut self, join: &mut JoinNode, needed: &[bool]) -> Result<()> {
        let width = join.left.schema.len();
        let mut both = needed.to_vec();
        both.resize(width + join.right.schema.len(), false);
        join.residual.iter().for_each(|r| mark(r, &mut both));
        let (left, right) = both.split_at_mut(width);
        let (lefts, rights) = match &join.asof {
            Some((a, _, b)) => (Some(a), Some(b)),
            None => (None, None),
        };
        let lefts: Vec<&BoundExpr> = join.left_keys.iter().chain(lefts).collect();
        let rights: Vec<&BoundExpr> = join.right_keys.iter().chain(rights).collect();
        lefts.iter().for_each(|e| mark(e, left));
        rights.iter().for_each(|e| mark(e, right));
        let known = self.plan(&mut join.left, left)?;
        lefts.iter().try_for_each(|e| self.expr(&with_known(e, &known, self.ctx)))?;
        let known = self.plan(&mut join.right, right)?;
        rights.iter().try_for_each(|e| self.expr(&with_known(e, &known, self.ctx)))?;
        join.residual.iter().try_for_each(|r| self.expr(r))
    }

    fn expr(&mut self, expr: &BoundExpr) -> Result<()> {
        check_closed(expr, self.ctx)?;
        self.calls(expr)
    }

    /// Checks every call in `expr`, inner ones first.
    fn calls(&mut self, expr: &BoundExpr) -> Result<()> {
        match expr {
            BoundExpr::Call { function, arguments, .. } => {
                arguments.iter().try_for_each(|a| self.calls(a))?;
                if !function.checks_columns() {
                    return Ok(());
                }
                let arguments: Vec<ArgumentType> = arguments.iter().map(argument_type).collect();
                function.check_columns(&arguments)
            }
            BoundExpr::Lambda { body, .. } => self.calls(body),
            BoundExpr::InSet { expr, set, .. } => {
                self.sets.0.insert(Arc::as_ptr(set));
                self.calls(expr)
            }
            _ => Ok(()),
        }
    }

    /// What `expr` is if it reads nothing.
    fn value_of(&self, expr: BoundExpr) -> Result<Option<BoundExpr>> {
        if let BoundExpr::Constant { .. } = expr {
            return Ok(Some(expr));
        }
        if !is_closed(&expr, 0) {
            return Ok(None);
        }
        let value = crate::execute::evaluate(&expr, &Block::of_rows(1), self.ctx)?.value(0);
        Ok(Some(BoundExpr::Constant { value, data_type: expr.data_type() }))
    }
}

fn read_by(exprs: &[&BoundExpr], width: usize) -> Vec<bool> {
    let mut read = vec![false; width];
    exprs.iter().for_each(|e| mark(e, &mut read));
    read
}

fn same_in_all(parts: &[Known], column: usize) -> Option<BoundExpr> {
    let (first, others) = parts.split_first()?;
    let first = first.get(column)?.clone()?;
    let same = |part: &Known| part[column].as_ref().is_some_and(|e| key(e) == key(&first));
    others.iter().all(same).then_some(first)
}

/// `expr` over what is known of its columns.
fn with_known(expr: &BoundExpr, known: &Known, ctx: &QueryContext) -> BoundExpr {
    let mut expr = expr.clone();
    if known.iter().any(Option::is_some) {
        replace_columns(&mut expr, &|i| known.get(i).cloned().flatten());
    }
    replace_known(&mut expr, ctx);
    expr
}

/// Calls that are no constants, but whose values are known to those who compute with them.
fn replace_known(expr: &mut BoundExpr, ctx: &QueryContext) {
    match expr {
        BoundExpr::Call { arguments, .. } => {
            for argument in arguments.iter_mut() {
                replace_known(argument, ctx);
                if let Some(value) = known_call(argument, ctx) {
                    *argument = BoundExpr::Constant { value, data_type: argument.data_type() };
                }
            }
        }
        BoundExpr::Lambda { body, .. } => replace_known(body, ctx),
        BoundExpr::InSet { expr, .. } => replace_known(expr, ctx),
        _ => {}
    }
}

fn known_call(expr: &BoundExpr, ctx: &QueryContext) -> Option<Value> {
    let of_values = match expr {
        BoundExpr::InSet { expr, set, .. } => {
            matches!(**expr, BoundExpr::Constant { .. })
                && matches!(set.source, SetSource::Values(_))
        }
        expr => is_closed(expr, 0),
    };
    if of_values && !matches!(expr, BoundExpr::Constant { .. }) {
        // What fails in a lambda that no element comes to stays to be found.
        check_closed(expr, ctx).ok()?;
        let value = crate::execute::evaluate(expr, &Block::of_rows(1), ctx);
        return value.ok().map(|column| column.value(0));
    }
    let BoundExpr::Call { function, arguments, .. } = expr else { return None };
    match (function.name(), arguments.first().map(BoundExpr::data_type)) {
        ("ignore", _) => Some(Value::UInt(0)),
        ("length", Some(DataType::FixedString(width))) => Some(Value::UInt(width as u64)),
        _ => None,
    }
}

/// Computes calls that read nothing: those that binding did not make constants, since they fail.
pub(crate) fn check_closed(expr: &BoundExpr, ctx: &QueryContext) -> Result<()> {
    match expr {
        BoundExpr::Call { arguments, .. } => {
            if is_closed(expr, 0) {
                let row = Block::of_rows(1);
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
