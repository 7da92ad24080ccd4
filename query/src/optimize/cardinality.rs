//! About how many rows a plan yields and how many distinct values its columns have, from row counts and
//! least and greatest values alone: what join orders are chosen by.
//!
//! Guesses for what is not known err to the side of many rows. Of the tables nothing is read but a few
//! rows for conditions on texts (`sample`).

use std::cell::RefCell;
use std::collections::HashMap;

use pumphouse_storage::Value;

use crate::plan::{BoundExpr, Plan, PlanNode, SetSource};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::shape::*;

/// Values that a text column is taken to have when it is compared with a constant.
const TEXTS: f64 = 25.0;
/// The share of rows above or below a constant, and between two, of whose column no range is known.
const BOUND: f64 = 0.4;
const BETWEEN: f64 = 0.1;

/// About how many rows a plan yields; None if nothing is known.
pub fn rows(plan: &Plan) -> Option<f64> {
    Estimate::default().rows(plan)
}

/// About how many distinct values an expression over `plan` has.
pub fn distinct_of(plan: &Plan, expr: &BoundExpr) -> f64 {
    Estimate::default().distinct_of(plan, expr)
}

/// A guess at the share of `input`'s rows that pass.
pub fn selectivity(predicate: &BoundExpr, input: &Plan) -> f64 {
    Estimate::default().selectivity(predicate, input)
}

/// What was worked out already, by the plan's place in memory: every node is looked at once.
#[derive(Default)]
struct Estimate {
    rows: RefCell<HashMap<usize, Option<f64>>>,
    distinct: RefCell<HashMap<(usize, usize), f64>>,
}

fn place(plan: &Plan) -> usize {
    std::ptr::from_ref(plan).addr()
}

impl Estimate {
    /// About how many rows a plan yields; None if nothing is known.
    fn rows(&self, plan: &Plan) -> Option<f64> {
        if let Some(known) = self.rows.borrow().get(&place(plan)) {
            return *known;
        }
        let rows = self.rows_of(plan);
        self.rows.borrow_mut().insert(place(plan), rows);
        rows
    }

    /// Rows that a plan cannot have more of, for what its filters are judged by.
    fn most(&self, plan: &Plan) -> f64 {
        let rows = match &plan.node {
            PlanNode::Scan { source, .. } => source.row_count().map(|r| r as f64),
            _ => self.rows(plan),
        };
        rows.unwrap_or(f64::MAX)
    }

    fn rows_of(&self, plan: &Plan) -> Option<f64> {
        match &plan.node {
            PlanNode::OneRow => Some(1.0),
            PlanNode::Blocks(blocks) => Some(blocks.iter().map(|b| b.rows() as f64).sum()),
            PlanNode::Scan { source, prewhere, .. } => {
                let all = source.row_count()? as f64;
                Some(prewhere.iter().fold(all, |rows, p| rows * self.selectivity(p, plan)))
            }
            PlanNode::Filter { input, predicate } | PlanNode::Having { input, predicate } => {
                Some(self.rows(input)? * self.selectivity(predicate, input))
            }
            PlanNode::Project { input, .. }
            | PlanNode::Window { input, .. }
            | PlanNode::LimitBy { input, .. } => self.rows(input),
            PlanNode::Distinct { input, keys, limit } => {
                let all = self.rows(input)?;
                let groups = match keys.is_empty() {
                    true => (0..input.schema.len()).map(|i| self.distinct(input, i)).product(),
                    false => self.groups(input, keys),
                };
                Some(limited(all.min(groups), *limit))
            }
            PlanNode::Sort { input, limit, .. } | PlanNode::Limit { input, limit, .. } => {
                match (self.rows(input), limit) {
                    (None, Some(limit)) => Some(*limit as f64),
                    (rows, limit) => Some(limited(rows?, *limit)),
                }
            }
            PlanNode::Aggregate { keys, .. } if keys.is_empty() => Some(1.0),
            PlanNode::Aggregate { input, keys, groups_max, .. } => {
                Some(limited(self.rows(input)?.min(self.groups(input, keys)), *groups_max))
            }
            PlanNode::UnionAll { inputs } => inputs.iter().map(|i| self.rows(i)).sum(),
            PlanNode::SetOperation { left, .. } => self.rows(left),
            PlanNode::Join(join) => {
                let (left, right) = (self.rows(&join.left)?, self.rows(&join.right)?);
                let any = join.strictness == JoinStrictness::Any;
                Some(match join.kind {
                    JoinKind::Cross | JoinKind::Comma => left * right,
                    JoinKind::Left if any || join.strictness == JoinStrictness::Asof => left,
                    JoinKind::Right if any => right,
                    kind => {
                        let pairs = join.left_keys.iter().zip(&join.right_keys);
                        let keys: Vec<(f64, f64)> = pairs
                            .map(|(l, r)| {
                                (self.distinct_of(&join.left, l), self.distinct_of(&join.right, r))
                            })
                            .collect();
                        let matched = joined(left, right, &keys);
                        match (kind, join.strictness) {
                            (JoinKind::Left, JoinStrictness::Semi | JoinStrictness::Anti) => {
                                left * 0.5
                            }
                            (JoinKind::Right, JoinStrictness::Semi | JoinStrictness::Anti) => {
                                right * 0.5
                            }
                            (JoinKind::Left, _) => matched.max(left),
                            (JoinKind::Right, _) => matched.max(right),
                            (JoinKind::Full, _) => matched.max(left + right),
                            _ => matched,
                        }
                    }
                })
            }
            PlanNode::ArrayJoin { input, .. } => self.rows(input).map(|r| r * 4.0),
        }
    }

    /// About how many distinct values an expression over `plan` has.
    fn distinct_of(&self, plan: &Plan, expr: &BoundExpr) -> f64 {
        let columns = columns_of(expr);
        let product: f64 = columns.iter().map(|i| self.distinct(plan, *i)).product();
        product.min(self.most(plan)).max(1.0)
    }

    fn groups(&self, input: &Plan, keys: &[BoundExpr]) -> f64 {
        keys.iter().map(|k| self.distinct_of(input, k)).product()
    }

    /// About how many distinct values column `index` of `plan` has.
    fn distinct(&self, plan: &Plan, index: usize) -> f64 {
        let key = (place(plan), index);
        if let Some(known) = self.distinct.borrow().get(&key) {
            return *known;
        }
        let values = self.values_of(plan, index);
        self.distinct.borrow_mut().insert(key, values);
        values
    }

    fn values_of(&self, plan: &Plan, index: usize) -> f64 {
        let all = self.most(plan);
        let own = match &plan.node {
            PlanNode::Scan { source, columns, .. } => {
                let of_table = source.row_count().map_or(f64::MAX, |r| r as f64);
                let width = columns.get(index).and_then(|name| source.column_range(name));
                width
                    .and_then(|(low, high)| width_of(&low, &high))
                    .map_or(of_table, |w| w.min(of_table))
            }
            PlanNode::Filter { input, .. }
            | PlanNode::Having { input, .. }
            | PlanNode::Sort { input, .. }
            | PlanNode::Limit { input, .. }
            | PlanNode::LimitBy { input, .. }
            | PlanNode::Distinct { input, .. } => self.distinct(input, index),
            PlanNode::Project { input, exprs } => match exprs.get(index) {
                Some(expr) => self.distinct_of(input, expr),
                None => all,
            },
            PlanNode::Aggregate { input, keys, .. } => match keys.get(index) {
                Some(key) => self.distinct_of(input, key),
                None => all,
            },
            PlanNode::Window { input, .. } | PlanNode::ArrayJoin { input, .. } => {
                if index < input.schema.len() { self.distinct(input, index) } else { all }
            }
            PlanNode::Join(join) => match index.checked_sub(join.left.schema.len()) {
                None => self.distinct(&join.left, index),
                Some(index) => self.distinct(&join.right, index),
            },
            _ => all,
        };
        own.min(all).max(1.0)
    }

    /// A guess at the share of `input`'s rows that pass.
    fn selectivity(&self, predicate: &BoundExpr, input: &Plan) -> f64 {
        let mut parts = vec![];
        conjuncts(predicate.clone(), &mut parts);
        // Two bounds of one column make a range: their shares are taken together.
        let mut share = 1.0;
        let mut bounds: Vec<(usize, f64)> = vec![];
        for part in &parts {
            let own = self.share_of(part, input);
            match range_column(part) {
                Some(column) => match bounds.iter_mut().find(|(c, _)| *c == column) {
                    Some((_, left)) if own == BOUND && *left == BOUND => *left = BETWEEN,
                    Some((_, left)) => *left = (*left + own - 1.0).max(0.001),
                    None => bounds.push((column, own)),
                },
                None => share *= own,
            }
        }
        (share * bounds.iter().map(|(_, s)| s).product::<f64>()).clamp(1e-6, 1.0)
    }

    fn share_of(&self, part: &BoundExpr, input: &Plan) -> f64 {
        let values = |expr: &BoundExpr| {
            let text = expr.data_type().inner().is_string();
            let all = self.distinct_of(input, expr);
            if text { all.min(TEXTS) } else { all }
        };
        if let Some(share) = super::sample::share(part, input) {
            return share;
        }
        match part {
            BoundExpr::InSet { expr, set, negated } => {
                let inside = match &set.source {
                    SetSource::Values(rows) => (rows.len() as f64 / values(expr)).min(0.9),
                    SetSource::Subquery(plan) => match self.rows(plan) {
                        Some(rows) => (rows / self.distinct_of(input, expr)).clamp(0.01, 0.8),
                        None => 0.3,
                    },
                };
                if *negated { 1.0 - inside } else { inside }
            }
            BoundExpr::Call { function, arguments, .. } => {
                match (function.name(), &arguments[..]) {
                    ("or", parts) => {
                        parts.iter().map(|p| self.selectivity(p, input)).sum::<f64>().min(1.0)
                    }
                    ("and", _) => self.selectivity(part, input),
                    ("not", [one]) => 1.0 - self.share_of(one, input),
                    (
                        "equals",
                        [a, BoundExpr::Constant { .. }] | [BoundExpr::Constant { .. }, a],
                    ) => 1.0 / values(a),
                    ("equals", [a, b]) => {
                        1.0 / self.distinct_of(input, a).max(self.distinct_of(input, b))
                    }
                    ("notEquals", [a, BoundExpr::Constant { .. }]) => {
                        1.0 - 1.0 / values(a).max(2.0)
                    }
                    (name @ ("less" | "lessOrEquals" | "greater" | "greaterOrEquals"), [a, b]) => {
                        let above = name.starts_with("greater");
                        match (a, b) {
                            (
                                BoundExpr::Column { index, .. },
                                BoundExpr::Constant { value, .. },
                            ) => self
                                .below(input, *index, value)
                                .map_or(BOUND, |s| if above { 1.0 - s } else { s }),
                            (
                                BoundExpr::Constant { value, .. },
                                BoundExpr::Column { index, .. },
                            ) => self
                                .below(input, *index, value)
                                .map_or(BOUND, |s| if above { s } else { 1.0 - s }),
                            _ => 0.5,
                        }
                    }
                    ("like" | "ilike" | "match" | "startsWith" | "hasToken", _) => 0.1,
                    ("notLike" | "notILike", _) => 0.9,
                    ("isNull", _) => 0.1,
                    ("isNotNull", _) => 0.9,
                    _ => 0.5,
                }
            }
            _ => 0.5,
        }
    }

    /// The share of a column's range that lies below `value`.
    fn below(&self, input: &Plan, index: usize, value: &Value) -> Option<f64> {
        let (low, high) = range(input, index)?;
        let (low, high, value) = (number(&low)?, number(&high)?, number(value)?);
        (high > low).then(|| ((value - low) / (high - low)).clamp(0.0, 1.0))
    }
}

/// Rows of an inner join of so many rows, with the distinct values of each pair of keys.
pub fn joined(left: f64, right: f64, keys: &[(f64, f64)]) -> f64 {
    if keys.is_empty() {
        return left * right;
    }
    let side = |rows: f64, values: &mut dyn Iterator<Item = f64>| {
        let product: f64 = values.product();
        // Of several keys there are no more combinations than rows.
        (product.min(rows).max(1.0), product > rows && keys.len() > 1)
    };
    let (l, l_capped) = side(left, &mut keys.iter().map(|k| k.0));
    let (r, r_capped) = side(right, &mut keys.iter().map(|k| k.1));
    let divisor = if l_capped && r_capped { l.min(r) } else { l.max(r) };
    left * right / divisor.max(1.0)
}

/// Whole numbers from the least to the greatest, both included.
fn width_of(low: &Value, high: &Value) -> Option<f64> {
    Some((high.as_i128()? - low.as_i128()?) as f64 + 1.0)
}

fn limited(rows: f64, limit: Option<u64>) -> f64 {
    limit.map_or(rows, |l| rows.min(l as f64))
}

fn range_column(part: &BoundExpr) -> Option<usize> {
    let BoundExpr::Call { function, arguments, .. } = part else { return None };
    let order = matches!(function.name(), "less" | "lessOrEquals" | "greater" | "greaterOrEquals");
    match arguments.as_slice() {
        [BoundExpr::Column { index, .. }, BoundExpr::Constant { .. }]
        | [BoundExpr::Constant { .. }, BoundExpr::Column { index, .. }]
            if order =>
        {
            Some(*index)
        }
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_i128().map(|v| v as f64))
}

/// The least and greatest value of a column that comes unchanged from a scan.
fn range(plan: &Plan, index: usize) -> Option<(Value, Value)> {
    match &plan.node {
        PlanNode::Scan { source, columns, .. } => source.column_range(columns.get(index)?),
        PlanNode::Filter { input, .. } => range(input, index),
        PlanNode::Project { input, exprs } => match exprs.get(index)? {
            BoundExpr::Column { index, .. } => range(input, *index),
            _ => None,
        },
        PlanNode::Join(join) => match index.checked_sub(join.left.schema.len()) {
            None => range(&join.left, index),
            Some(index) => range(&join.right, index),
        },
        _ => None,
    }
}
