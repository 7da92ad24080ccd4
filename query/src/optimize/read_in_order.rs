//! Whether a sort asks for the order that its table's rows lie in already: ORDER BY a prefix of the
//! sorting key, all ascending or all descending, where columns of the key that the filter fixes to one
//! value count as absent. What lies beyond the prefix is sorted among equals.

use pumphouse_storage::scan::ValueRange;
use pumphouse_storage::{DataType, Value};
use std::ops::Bound;

use crate::context::QueryContext;
use crate::plan::{BoundExpr, Plan, PlanNode, SortKey};

use super::predicate::Surroundings;
use super::scan_conditions::text;
use super::shape::*;

/// More rows than this are sorted as any others are.
const ROWS_MAX: u64 = 100_000;

/// A sort that the order of rows serves.
pub struct InOrder<'p> {
    pub scan: &'p Plan,
    /// Over the scan's columns.
    pub filter: Option<&'p BoundExpr>,
    pub keys: Vec<SortKey>,
    /// The sort's output over the scan's columns.
    pub exprs: Vec<BoundExpr>,
    /// The first columns of the sorting key, fixed to these values.
    pub fixed: Vec<Value>,
    /// How many of `keys` are the next columns of the sorting key.
    pub length: usize,
    pub descending: bool,
    pub limit: u64,
}

impl<'p> InOrder<'p> {
    pub fn of(
        input: &'p Plan,
        keys: &[SortKey],
        limit: Option<u64>,
        ctx: &QueryContext,
    ) -> Option<InOrder<'p>> {
        let limit = limit.filter(|l| (1..=ROWS_MAX).contains(l))?;
        let allowed = ctx.settings.bool("optimize_read_in_order", true);
        if !allowed || keys.iter().any(|k| k.fill.is_some()) {
            return None;
        }
        let mut exprs = all_columns(&input.schema);
        let (filter, scan) = descend(input, &mut exprs)?;
        let PlanNode::Scan { source, conditions, final_, sample: None, hints, .. } = &scan.node
        else {
            return None;
        };
        let sorted = source.engine().ends_with("MergeTree") && hints.opened.is_none();
        if !sorted || (*final_ && source.has_final()) {
            return None;
        }
        let mut keys = keys.to_vec();
        for key in &mut keys {
            let below = exprs.clone();
            replace_columns(&mut key.expr, &|i| below.get(i).cloned());
        }
        let sorting = source.sorting_key();
        let surroundings = Surroundings::new(&scan.schema, sorting, ctx);
        let ours = |name: &String| {
            let found = surroundings.renamed.iter().find(|(_, theirs)| theirs == name);
            found.map_or_else(|| name.clone(), |(ours, _)| ours.clone())
        };
        let descending = keys.first()?.descending;
        let (mut fixed, mut length) = (vec![], 0);
        for name in sorting {
            let wanted = keys.get(length).filter(|k| {
                k.descending == descending && text(&k.expr, &scan.schema) == Some(ours(name))
            });
            match wanted {
                Some(key) if ordered_as_stored(&key.expr.data_type()) => length += 1,
                // Fixed columns behind others would have to be looked past.
                None if length == 0 => {
                    let ranges = conditions.iter().find(|c| c.column == *name && !c.may_be_null);
                    match ranges.map(|c| &c.ranges[..]) {
                        Some(
                            [ValueRange { lower: Bound::Included(a), upper: Bound::Included(b) }],
                        ) if a == b => {
                            fixed.push(a.clone());
                        }
                        _ => break,
                    }
                }
                _ => break,
            }
        }
        (length > 0).then_some(InOrder {
            scan,
            filter,
            keys,
            exprs,
            fixed,
            length,
            descending,
            limit,
        })
    }
}

/// Follows projections down to a filter and a scan; `exprs` become expressions over the scan.
fn descend<'p>(
    plan: &'p Plan,
    exprs: &mut Vec<BoundExpr>,
) -> Option<(Option<&'p BoundExpr>, &'p Plan)> {
    match &plan.node {
        PlanNode::Project { input, exprs: own } => {
            if own.iter().any(is_volatile) {
                return None;
            }
            exprs.iter_mut().for_each(|e| replace_columns(e, &|i| own.get(i).cloned()));
            descend(input, exprs)
        }
        PlanNode::Filter { input, predicate } if matches!(input.node, PlanNode::Scan { .. }) => {
            (!is_volatile(predicate)).then_some((Some(predicate), &**input))
        }
        PlanNode::Scan { .. } => Some((None, plan)),
        _ => None,
    }
}

/// Whether values sort as they do in a table's key, whatever the direction.
fn ordered_as_stored(data_type: &DataType) -> bool {
    if data_type.is_nullable() {
        return false;
    }
    match data_type.inner() {
        DataType::Int256 | DataType::UInt256 => false,
        DataType::String => true,
        other => other.is_integer() || other.is_date_or_time(),
    }
}
