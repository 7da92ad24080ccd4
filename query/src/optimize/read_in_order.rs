//! Whether a sort asks for the order that its table's rows lie in already: ORDER BY a prefix of the
//! sorting key, all ascending or all descending, where columns of the key that the filter fixes to one
//! value count as absent. What lies beyond the prefix is sorted among equals. [`GroupOrder`] asks the same
//! of a list of keys whose own order does not matter: GROUP BY, DISTINCT.

use pumphouse_storage::scan::ValueRange;
use pumphouse_storage::{DataType, Value};
use std::ops::Bound;

use crate::context::QueryContext;
use crate::plan::{BoundExpr, Plan, PlanNode, SortKey};

/// What a sort with a limit asks of the groups right below it: no more of them than `limit`, those whose
/// `keys` (places among the group's keys) come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstGroups {
    pub keys: Vec<usize>,
    pub descending: bool,
    pub limit: u64,
}

impl FirstGroups {
    /// Of a sort by `keys` above `input`, if that is groups (maybe projected) and nothing else.
    pub fn of(
        input: &Plan,
        keys: &[SortKey],
        limit: Option<u64>,
        ctx: &QueryContext,
    ) -> Option<FirstGroups> {
        let limit = limit.filter(|l| (1..=ROWS_MAX).contains(l))?;
        let allowed = ctx.settings.bool("optimize_read_in_order", true);
        if !allowed || keys.iter().any(|k| k.fill.is_some()) {
            return None;
        }
        let mut exprs: Vec<BoundExpr> = keys.iter().map(|k| k.expr.clone()).collect();
        let mut plan = input;
        while let PlanNode::Project { input, exprs: own } = &plan.node {
            if own.iter().any(is_volatile) {
                return None;
            }
            exprs.iter_mut().for_each(|e| replace_columns(e, &|i| own.get(i).cloned()));
            plan = input.as_ref();
        }
        let PlanNode::Aggregate { keys: group_keys, .. } = &plan.node else { return None };
        let descending = keys.first()?.descending;
        let places = keys.iter().zip(&exprs).map_while(|(key, expr)| match expr {
            BoundExpr::Column { index, .. }
                if *index < group_keys.len() && key.descending == descending =>
            {
                Some(*index)
            }
            _ => None,
        });
        let keys: Vec<usize> = places.collect();
        (!keys.is_empty()).then_some(FirstGroups { keys, descending, limit })
    }
}

/// Groups that are finished one after the other as their table is read in order.
pub struct GroupOrder<'p> {
    pub order: InOrder<'p>,
    /// Which of the group's keys are the next columns of the sorting key.
    pub places: Vec<usize>,
    /// So many finished groups are enough.
    pub enough: Option<u64>,
    /// Any of them, and not one more.
    pub cut: bool,
}

impl<'p> GroupOrder<'p> {
    /// Of an aggregation, if its setting or the sort above it (`first`) asks for it.
    pub fn of_aggregate(
        plan: &'p Plan,
        first: Option<&FirstGroups>,
        ctx: &QueryContext,
    ) -> Option<GroupOrder<'p>> {
        let PlanNode::Aggregate {
            input,
            keys,
            grouping_sets,
            with_totals: false,
            groups_max: None,
            ..
        } = &plan.node
        else {
            return None;
        };
        let asked = first.is_some() || ctx.settings.bool("optimize_aggregation_in_order", false);
        if !asked || !grouping_sets.is_empty() {
            return None;
        }
        GroupOrder::of(input, keys, first, ctx)
    }

    /// Of DISTINCT over all columns of `input`, if all are of the table's key.
    pub fn of_distinct(
        input: &'p Plan,
        limit: Option<u64>,
        ctx: &QueryContext,
    ) -> Option<GroupOrder<'p>> {
        if !ctx.settings.bool("optimize_distinct_in_order", true) {
            return None;
        }
        let found = GroupOrder::of(input, &all_columns(&input.schema), None, ctx)?;
        // With others a window may hold so many that all threads do better at once.
        if found.places.len() < input.schema.len() {
            return None;
        }
        Some(GroupOrder { enough: limit, cut: true, ..found })
    }

    fn of(
        input: &'p Plan,
        keys: &[BoundExpr],
        first: Option<&FirstGroups>,
        ctx: &QueryContext,
    ) -> Option<GroupOrder<'p>> {
        let mut exprs = all_columns(&input.schema);
        let (filter, scan) = descend(input, &mut exprs)?;
        let mut keys = keys.to_vec();
        for key in &mut keys {
            let below = exprs.clone();
            replace_columns(key, &|i| below.get(i).cloned());
        }
        let mut places: Vec<usize> = vec![];
        let (fixed, length) = prefix(scan, ctx, &mut |name| {
            let found = keys.iter().position(|key| text(key, &scan.schema).as_ref() == Some(name));
            let wanted = |place: usize| match first {
                Some(first) => first.keys.get(places.len()) == Some(&place),
                None => !places.contains(&place),
            };
            match found {
                Some(place) if wanted(place) && ordered_as_stored(&keys[place].data_type()) => {
                    places.push(place);
                    Taken::Yes
                }
                Some(_) => Taken::Unordered,
                None => Taken::No,
            }
        })?;
        let order = InOrder {
            scan,
            filter,
            keys: vec![],
            exprs,
            fixed,
            length,
            descending: first.is_some_and(|f| f.descending),
            limit: u64::MAX,
        };
        Some(GroupOrder { order, places, enough: first.map(|f| f.limit), cut: false })
    }
}

/// Whether a column of the sorting key is one that is asked for.
enum Taken {
    Yes,
    /// It is, but does not sort as it is stored.
    Unordered,
    No,
}

/// Walks over the sorting key of a scan that can be read in order: values that its first columns are fixed
/// to, and how many of the next ones `take` says yes to.
fn prefix(
    scan: &Plan,
    ctx: &QueryContext,
    take: &mut dyn FnMut(&String) -> Taken,
) -> Option<(Vec<Value>, usize)> {
    let PlanNode::Scan { source, conditions, final_, sample: None, hints, .. } = &scan.node else {
        return None;
    };
    let sorted = source.engine().ends_with("MergeTree") && hints.opened.is_none();
    if !sorted || (*final_ && source.has_final()) {
        return None;
    }
    let sorting = source.sorting_key();
    let surroundings = Surroundings::new(&scan.schema, sorting, ctx);
    let (mut fixed, mut length) = (vec![], 0);
    for name in sorting {
        let found = surroundings.renamed.iter().find(|(_, theirs)| theirs == name);
        let ours = found.map_or_else(|| name.clone(), |(ours, _)| ours.clone());
        match take(&ours) {
            Taken::Yes => length += 1,
            // Fixed columns behind others would have to be looked past.
            Taken::No if length == 0 => {
                let ranges = conditions.iter().find(|c| c.column == *name && !c.may_be_null);
                match ranges.map(|c| &c.ranges[..]) {
                    Some([ValueRange { lower: Bound::Included(a), upper: Bound::Included(b) }])
                        if a == b =>
                    {
                        fixed.push(a.clone());
                    }
                    _ => break,
                }
            }
            _ => break,
        }
    }
    (length > 0).then_some((fixed, length))
}

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
    /// Of a sort that keeps the first rows only.
    pub fn of(
        input: &'p Plan,
        keys: &[SortKey],
        limit: Option<u64>,
        ctx: &QueryContext,
    ) -> Option<InOrder<'p>> {
        let limit = limit.filter(|l| (1..=ROWS_MAX).contains(l))?;
        InOrder::of_all(input, keys, limit, ctx)
    }

    /// Of a sort whose rows are taken until somebody has enough.
    pub fn of_all(
        input: &'p Plan,
        keys: &[SortKey],
        limit: u64,
        ctx: &QueryContext,
    ) -> Option<InOrder<'p>> {
        let allowed = ctx.settings.bool("optimize_read_in_order", true);
        if !allowed || keys.iter().any(|k| k.fill.is_some()) {
            return None;
        }
        let mut exprs = all_columns(&input.schema);
        let (filter, scan) = descend(input, &mut exprs)?;
        let mut keys = keys.to_vec();
        for key in &mut keys {
            let below = exprs.clone();
            replace_columns(&mut key.expr, &|i| below.get(i).cloned());
        }
        let descending = keys.first()?.descending;
        let mut taken = 0;
        let (fixed, length) = prefix(scan, ctx, &mut |name| {
            let wanted = keys.get(taken).filter(|k| {
                k.descending == descending && text(&k.expr, &scan.schema).as_ref() == Some(name)
            });
            match wanted {
                Some(key) if ordered_as_stored(&key.expr.data_type()) => {
                    taken += 1;
                    Taken::Yes
                }
                Some(_) => Taken::Unordered,
                None => Taken::No,
            }
        })?;
        Some(InOrder { scan, filter, keys, exprs, fixed, length, descending, limit })
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
