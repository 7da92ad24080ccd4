//! A join tells the scans on its left side which values its right side's keys have (see
//! `execute::runtime_filter`): rows with others are dropped as they are read.
//!
//! Only where a left row without a match yields nothing. A key is followed down through whatever passes
//! its column on unchanged: filters, projections, keys of aggregations, other joins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::execute::runtime_filter::RuntimeFilter;
use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::cardinality::{distinct_of, rows};
use super::shape::*;

/// A filter is made if the right side has at most this share of the left side's values.
const SHARE_MAX: f64 = 0.7;
/// Rows of the left side from which on it pays.
const ROWS_MIN: f64 = 10_000.0;

pub fn apply(mut plan: Plan) -> Plan {
    let numbers = AtomicUsize::new(0);
    visit(&mut plan, &numbers);
    plan
}

fn visit(plan: &mut Plan, numbers: &AtomicUsize) {
    if let PlanNode::Join(join) = &mut plan.node {
        add_filters(join, numbers);
    }
    for input in inputs_mut(plan) {
        visit(input, numbers);
    }
}

/// Whether left rows without a match leave no trace.
fn drops_unmatched(join: &JoinNode) -> bool {
    let kept = matches!((join.kind, join.strictness), (JoinKind::Left, JoinStrictness::Semi));
    kept || matches!(join.kind, JoinKind::Inner | JoinKind::Right)
}

fn add_filters(join: &mut JoinNode, numbers: &AtomicUsize) {
    if !drops_unmatched(join) || !join.filters.is_empty() {
        return;
    }
    if rows(&join.left).is_some_and(|r| r < ROWS_MIN) {
        return;
    }
    for i in 0..join.left_keys.len() {
        let (left, right) = (&join.left_keys[i], &join.right_keys[i]);
        let BoundExpr::Column { index, data_type } = left else { continue };
        if data_type.inner() != right.data_type().inner() || is_volatile(right) {
            continue;
        }
        let values = distinct_of(&join.right, right);
        if rows(&join.right).is_some() && values > SHARE_MAX * distinct_of(&join.left, left) {
            continue;
        }
        let filter = RuntimeFilter::new(numbers.fetch_add(1, Ordering::Relaxed));
        if attach(&mut join.left, *index, &filter) {
            join.filters.push((i, filter));
        }
    }
}

/// Puts the filter on the scan that column `index` comes from; false if there is none.
fn attach(plan: &mut Plan, index: usize, filter: &Arc<RuntimeFilter>) -> bool {
    match &mut plan.node {
        PlanNode::Scan { columns, prewhere, final_: false, hints, .. } => {
            let (Some(name), Some((_, data_type))) = (columns.get(index), plan.schema.get(index))
            else {
                return false;
            };
            if hints.opened.is_some() {
                return false;
            }
            hints.filters.push((name.clone(), filter.clone()));
            let mut parts = vec![];
            prewhere.take().into_iter().for_each(|p| conjuncts(p, &mut parts));
            parts.push(filter.test(column(index, data_type)));
            *prewhere = conjunction(parts);
            true
        }
        PlanNode::Filter { input, .. } => attach(input, index, filter),
        PlanNode::Having { input, .. } => attach(input, index, filter),
        PlanNode::Sort { input, limit: None, keys } if keys.iter().all(|k| k.fill.is_none()) => {
            attach(input, index, filter)
        }
        PlanNode::Distinct { input, limit: None, keys } if keys.is_empty() => {
            attach(input, index, filter)
        }
        PlanNode::Project { input, exprs } => match exprs.get(index) {
            Some(BoundExpr::Column { index, .. }) => attach(input, *index, filter),
            _ => false,
        },
        PlanNode::Aggregate {
            input,
            keys,
            grouping_sets,
            with_totals: false,
            groups_max: None,
            ..
        } if grouping_sets.is_empty() => match keys.get(index) {
            Some(BoundExpr::Column { index, .. }) => attach(input, *index, filter),
            _ => false,
        },
        PlanNode::Join(join) => {
            let all = matches!(join.strictness, JoinStrictness::All | JoinStrictness::Unspecified);
            match index.checked_sub(join.left.schema.len()) {
                None if matches!(join.kind, JoinKind::Left | JoinKind::Cross)
                    || (join.kind == JoinKind::Inner && all) =>
                {
                    attach(&mut join.left, index, filter)
                }
                Some(index)
                    if (all && matches!(join.kind, JoinKind::Inner | JoinKind::Cross))
                        || (join.kind == JoinKind::Right
                            && !matches!(join.strictness, JoinStrictness::Asof)) =>
                {
                    attach(&mut join.right, index, filter)
                }
                _ => false,
            }
        }
        _ => false,
    }
}
