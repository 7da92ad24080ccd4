//! Tests for the existence of rows become semi and anti joins.
//!
//! `x IN (SELECT …)` where the subquery yields many more rows than the filter sees: the few rows are built
//! into the hash table, and the many are read past it instead of being kept. And a look-up whose value
//! is only asked whether it is there.

use std::sync::Arc;

use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode, PlannedSet, SetSource};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::bottom_up;
use super::cardinality::{rows, selectivity};
use super::shape::*;

/// Rows of a subquery below which its set is as good.
const ROWS_MIN: f64 = 50_000.0;
/// How many times more rows the subquery must yield.
const RATIO_MIN: f64 = 2.0;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Filter { input, predicate } = node else { return Plan { node, schema } };
    let mut parts = vec![];
    conjuncts(predicate, &mut parts);
    let mut input = *input;
    if let PlanNode::Join(join) = &mut input.node {
        parts.retain(|part| !asked(join, part));
    }
    let (sets, simple): (Vec<_>, Vec<_>) = parts.into_iter().partition(|p| membership(p).is_some());
    if sets.is_empty() {
        return filtered(input, simple);
    }
    let passing: f64 = simple.iter().map(|p| selectivity(p, &input)).product();
    let own = rows(&input).map(|r| r * passing);
    let (joining, mut staying): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|part| worth_it(own, part));
    staying.extend(simple);
    let plan = filtered(input, staying);
    joining.into_iter().fold(plan, joined)
}

/// Whether `part` asks no more than whether a look-up found a row: the join then is a semi or anti one.
fn asked(join: &mut JoinNode, part: &BoundExpr) -> bool {
    let (negated, test) = stripped(part);
    let BoundExpr::Call { function, arguments, .. } = test else { return false };
    let there = match function.name() {
        "isNotNull" => !negated,
        "isNull" => negated,
        _ => return false,
    };
    let [BoundExpr::Column { index, .. }] = arguments.as_slice() else { return false };
    let Some(column) = index.checked_sub(join.left.schema.len()) else { return false };
    let lookup = join.kind == JoinKind::Left && join.strictness == JoinStrictness::Any;
    let own = join.right.schema.get(column);
    if !lookup || !join.use_nulls || join.asof.is_some() || own.is_none_or(|c| c.1.is_nullable()) {
        return false;
    }
    join.strictness = if there { JoinStrictness::Semi } else { JoinStrictness::Anti };
    true
}

/// What is under NOTs, and whether it is negated.
fn stripped(part: &BoundExpr) -> (bool, &BoundExpr) {
    if let BoundExpr::Call { function, arguments, .. } = part
        && function.name() == "not"
        && let [one] = arguments.as_slice()
    {
        let (negated, test) = stripped(one);
        return (!negated, test);
    }
    (false, part)
}

/// A test of a set, and whether rows that are not in it pass.
fn membership(part: &BoundExpr) -> Option<(&BoundExpr, &Arc<PlannedSet>, bool)> {
    let (mut negated, mut test) = stripped(part);
    let mut nulls_fail = true;
    if let BoundExpr::Call { function, arguments, .. } = test
        && function.name() == "ifNull"
        && let [inner, other] = arguments.as_slice()
        && truth(other) == Some(false)
    {
        // Never NULL: with NOT, rows of NULL pass, as they do in an anti join.
        test = inner;
        nulls_fail = false;
    }
    let BoundExpr::InSet { expr, set, negated: own } = test else { return None };
    negated ^= *own;
    if *own && !nulls_fail {
        return None;
    }
    if negated && nulls_fail && (expr.data_type().is_nullable() || has_nullable(expr)) {
        return None;
    }
    Some((expr, set, negated))
}

fn has_nullable(expr: &BoundExpr) -> bool {
    sides(expr).iter().any(|e| e.data_type().is_nullable())
}

/// The elements of a tuple, or the one expression.
fn sides(expr: &BoundExpr) -> Vec<&BoundExpr> {
    match expr {
        BoundExpr::Call { function, arguments, .. } if function.name() == "tuple" => {
            arguments.iter().collect()
        }
        one => vec![one],
    }
}

/// `plan` joined with the rows of the set that `part` tests; nobody else has that set.
fn joined(plan: Plan, part: BoundExpr) -> Plan {
    let Some((expr, set, negated)) = membership(&part) else { return plan };
    let right_keys: Vec<BoundExpr> = sides(expr).into_iter().cloned().collect();
    let set = set.clone();
    drop(part);
    let Some(PlannedSet { source: SetSource::Subquery(rows), .. }) = Arc::into_inner(set) else {
        return plan;
    };
    let left = *rows;
    let left_keys = all_columns(&left.schema);
    let width = left.schema.len();
    let mut schema = left.schema.clone();
    schema.extend(plan.schema.iter().cloned());
    let outer = plan.schema.clone();
    let exprs = outer.iter().enumerate().map(|(i, (_, t))| column(width + i, t)).collect();
    let node = PlanNode::Join(Box::new(JoinNode {
        left,
        right: plan,
        kind: JoinKind::Right,
        strictness: if negated { JoinStrictness::Anti } else { JoinStrictness::Semi },
        left_keys,
        right_keys,
        asof: None,
        residual: None,
        use_nulls: false,
        unread: vec![],
        filters: vec![],
    }));
    let input = Box::new(Plan { node, schema });
    Plan { node: PlanNode::Project { input, exprs }, schema: outer }
}

/// Whether a filter that sees `own` rows had better be a join.
fn worth_it(own: Option<f64>, part: &BoundExpr) -> bool {
    let Some((expr, set, _)) = membership(part) else { return false };
    let SetSource::Subquery(subquery) = &set.source else { return false };
    let keys = sides(expr);
    let same = keys.len() == subquery.schema.len()
        && keys.iter().zip(&subquery.schema).all(|(k, c)| k.data_type().inner() == c.1.inner());
    if Arc::strong_count(set) != 1 || set.built.get().is_some() || !same || is_volatile(expr) {
        return false;
    }
    match (own, rows(subquery)) {
        (Some(own), Some(theirs)) => theirs >= ROWS_MIN && own * RATIO_MIN < theirs,
        _ => false,
    }
}
