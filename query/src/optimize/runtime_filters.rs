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
/// Rows of the table on the left side from which on it pays.
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
    let built = rows(&join.right);
    for i in 0..join.left_keys.len() {
        let (left, right) = (&join.left_keys[i], &join.right_keys[i]);
        let BoundExpr::Column { index, data_type } = left else { continue };
        if data_type.inner() != right.data_type().inner() || is_volatile(right) {
            continue;
        }
        let values = distinct_of(&join.right, right).min(built.unwrap_or(f64::MAX));
        let Some((scan, place)) = target(&mut join.left, *index) else { continue };
        if all_rows(scan).is_some_and(|rows| rows < ROWS_MIN) {
            continue;
        }
        let theirs = distinct_of(scan, &column(place, data_type));
        if built.is_some() && values > SHARE_MAX * theirs {
            continue;
        }
        let filter = RuntimeFilter::new(numbers.fetch_add(1, Ordering::Relaxed));
        attach(scan, place, &filter);
        join.filters.push((i, filter));
    }
}

/// Rows of a scan's table.
fn all_rows(scan: &Plan) -> Option<f64> {
    match &scan.node {
        PlanNode::Scan { source, .. } => source.row_count().map(|rows| rows as f64),
        _ => None,
    }
}

/// Puts the filter on column `index` of a scan.
fn attach(scan: &mut Plan, index: usize, filter: &Arc<RuntimeFilter>) {
    let PlanNode::Scan { columns, prewhere, hints, .. } = &mut scan.node else { return };
    let (Some(name), Some((_, data_type))) = (columns.get(index), scan.schema.get(index)) else {
        return;
    };
    hints.filters.push((name.clone(), filter.clone()));
    let mut parts = vec![];
    prewhere.take().into_iter().for_each(|p| conjuncts(p, &mut parts));
    parts.push(filter.test(column(index, data_type)));
    *prewhere = conjunction(parts);
}

/// The scan that column `index` comes from, and the column's place there; None if there is none.
fn target(plan: &mut Plan, index: usize) -> Option<(&mut Plan, usize)> {
    if let PlanNode::Scan { columns, final_, hints, .. } = &plan.node {
        let usable = !final_ && hints.opened.is_none() && index < columns.len();
        return usable.then_some((plan, index));
    }
    match &mut plan.node {
        PlanNode::Filter { input, .. } | PlanNode::Having { input, .. } => target(input, index),
        PlanNode::Sort { input, limit: None, keys } if keys.iter().all(|k| k.fill.is_none()) => {
            target(input, index)
        }
        PlanNode::Distinct { input, limit: None, keys } if keys.is_empty() => target(input, index),
        PlanNode::Project { input, exprs } => match exprs.get(index) {
            Some(BoundExpr::Column { index, .. }) => target(input, *index),
            _ => None,
        },
        PlanNode::Aggregate {
            input,
            keys,
            grouping_sets,
            with_totals: false,
            groups_max: None,
            ..
        } if grouping_sets.is_empty() => match keys.get(index) {
            Some(BoundExpr::Column { index, .. }) => target(input, *index),
            _ => None,
        },
        PlanNode::Join(join) => {
            let all = matches!(join.strictness, JoinStrictness::All | JoinStrictness::Unspecified);
            match index.checked_sub(join.left.schema.len()) {
                None if matches!(join.kind, JoinKind::Left | JoinKind::Cross)
                    || (join.kind == JoinKind::Inner && all) =>
                {
                    target(&mut join.left, index)
                }
                Some(index)
                    if (all && matches!(join.kind, JoinKind::Inner | JoinKind::Cross))
                        || (join.kind == JoinKind::Right
                            && !matches!(join.strictness, JoinStrictness::Asof)) =>
                {
                    target(&mut join.right, index)
                }
                _ => None,
            }
        }
        _ => None,
    }
}
