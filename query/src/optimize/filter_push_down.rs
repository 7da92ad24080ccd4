//! Filters go as far down as they mean the same: through projections, below aggregations (on keys),
//! into the inputs of unions and joins. Equalities over a cross join make it an inner join.

use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    push(plan, vec![])
}

/// `plan` filtered by `parts` (over its output), as far down as they go.
pub fn pushed(plan: Plan, parts: Vec<BoundExpr>) -> Plan {
    push(plan, parts)
}

/// `plan` filtered by `parts` (over its output), with all filters moved down.
fn push(mut plan: Plan, parts: Vec<BoundExpr>) -> Plan {
    let (stay, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_volatile);
    let schema = std::mem::take(&mut plan.schema);
    let pushed = match plan.node {
        PlanNode::Filter { input, predicate } => {
            let mut own = vec![];
            conjuncts(predicate, &mut own);
            let (volatile, own): (Vec<_>, Vec<_>) = own.into_iter().partition(is_volatile);
            let mut all = own;
            all.extend(parts);
            filtered(push(*input, all), volatile)
        }
        PlanNode::Project { input, exprs } => push_project(*input, exprs, schema, parts),
        PlanNode::Having { input, predicate } => push_having(*input, predicate, schema, parts),
        PlanNode::Aggregate { .. } => {
            let (down, above) = split_aggregate(&plan.node, parts);
            let mut node = plan.node;
            if let PlanNode::Aggregate { input, .. } = &mut node {
                let own = take(input);
                **input = push(own, down);
            }
            filtered(Plan { node, schema }, above)
        }
        PlanNode::Sort { input, keys, limit: None } if keys.iter().all(|k| k.fill.is_none()) => {
            let input = Box::new(push(*input, parts));
            Plan { node: PlanNode::Sort { input, keys, limit: None }, schema }
        }
        PlanNode::Distinct { input, keys, limit: None } if keys.is_empty() => {
            let input = Box::new(push(*input, parts));
            Plan { node: PlanNode::Distinct { input, keys, limit: None }, schema }
        }
        PlanNode::UnionAll { inputs } => {
            let inputs = inputs.into_iter().map(|i| push(i, parts.clone())).collect();
            Plan { node: PlanNode::UnionAll { inputs }, schema }
        }
        PlanNode::SetOperation { left, right, except, all } => {
            let left = Box::new(push(*left, parts.clone()));
            let right = Box::new(push(*right, parts));
            Plan { node: PlanNode::SetOperation { left, right, except, all }, schema }
        }
        PlanNode::ArrayJoin { input, exprs, left } => {
            let width = input.schema.len();
            let (down, above) = split_by_width(parts, width);
            let input = Box::new(push(*input, down));
            filtered(Plan { node: PlanNode::ArrayJoin { input, exprs, left }, schema }, above)
        }
        PlanNode::Window { input, functions } => {
            let partitions: Vec<Vec<u128>> =
                functions.iter().map(|f| f.partition_by.iter().map(key).collect()).collect();
            let (down, above) = parts.into_iter().partition(|part| {
                columns_of(part).iter().all(|i| {
                    let Some((_, data_type)) = input.schema.get(*i) else { return false };
                    let own = key(&column(*i, data_type));
                    partitions.iter().all(|p| p.contains(&own))
                })
            });
            let input = Box::new(push(*input, down));
            filtered(Plan { node: PlanNode::Window { input, functions }, schema }, above)
        }
        PlanNode::Join(join) => push_join(*join, schema, parts),
        node => {
            let mut plan = Plan { node, schema };
            for input in inputs_mut(&mut plan) {
                let own = take(input);
                *input = push(own, vec![]);
            }
            filtered(plan, parts)
        }
    };
    filtered(pushed, stay)
}

fn push_project(
    input: Plan,
    exprs: Vec<BoundExpr>,
    schema: Vec<(String, pumphouse_storage::DataType)>,
    parts: Vec<BoundExpr>,
) -> Plan {
    let (down, above): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| columns_of(part).iter().all(|i| !is_volatile(&exprs[*i])));
    let down = down.into_iter().map(|part| substituted(part, &exprs)).collect();
    let input = Box::new(push(input, down));
    filtered(Plan { node: PlanNode::Project { input, exprs }, schema }, above)
}

fn substituted(mut expr: BoundExpr, exprs: &[BoundExpr]) -> BoundExpr {
    replace_columns(&mut expr, &|i| exprs.get(i).cloned());
    expr
}

/// What of HAVING and of `parts` is about keys alone filters rows before they are grouped.
fn push_having(
    mut input: Plan,
    predicate: BoundExpr,
    schema: Vec<(String, pumphouse_storage::DataType)>,
    parts: Vec<BoundExpr>,
) -> Plan {
    let totals = matches!(input.node, PlanNode::Aggregate { with_totals: true, .. });
    let mut own = vec![];
    conjuncts(predicate, &mut own);
    let (volatile, own): (Vec<_>, Vec<_>) = own.into_iter().partition(is_volatile);
    // HAVING decides what totals are made of; what filters above does not.
    let (mut down, mut having) =
        if totals { (vec![], own) } else { split_aggregate(&input.node, own) };
    having.extend(volatile);
    let (more, above) = split_aggregate(&input.node, parts);
    down.extend(more);
    if let PlanNode::Aggregate { input: below, .. } = &mut input.node {
        let own = take(below);
        **below = push(own, down);
    } else {
        input = push(input, down);
    }
    let plan = match conjunction(having) {
        None => input,
        Some(predicate) => {
            Plan { node: PlanNode::Having { input: Box::new(input), predicate }, schema }
        }
    };
    filtered(plan, above)
}

/// Parts over keys only, in terms of the aggregation's input; and the others.
fn split_aggregate(node: &PlanNode, parts: Vec<BoundExpr>) -> (Vec<BoundExpr>, Vec<BoundExpr>) {
    let PlanNode::Aggregate { keys, grouping_sets, with_totals, .. } = node else {
        return (vec![], parts);
    };
    if keys.is_empty() || !grouping_sets.is_empty() || *with_totals {
        return (vec![], parts);
    }
    let movable = |part: &BoundExpr| {
        let columns = columns_of(part);
        !columns.is_empty() && columns.iter().all(|i| *i < keys.len() && !is_volatile(&keys[*i]))
    };
    let (down, above): (Vec<_>, Vec<_>) = parts.into_iter().partition(movable);
    (down.into_iter().map(|part| substituted(part, keys)).collect(), above)
}

fn split_by_width(parts: Vec<BoundExpr>, width: usize) -> (Vec<BoundExpr>, Vec<BoundExpr>) {
    parts.into_iter().partition(|p| columns_of(p).iter().all(|i| *i < width))
}

fn push_join(
    mut join: JoinNode,
    schema: Vec<(String, pumphouse_storage::DataType)>,
    parts: Vec<BoundExpr>,
) -> Plan {
    let width = join.left.schema.len();
    let all = matches!(join.strictness, JoinStrictness::All | JoinStrictness::Unspecified);
    let inner = all && matches!(join.kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Comma);
    let to_left = inner || join.kind == JoinKind::Left;
    let to_right = inner || (join.kind == JoinKind::Right && all);
    let (mut left, mut right, mut above) = (vec![], vec![], vec![]);
    for mut part in parts {
        let columns = columns_of(&part);
        let only_left = columns.iter().all(|i| *i < width);
        let only_right = columns.iter().all(|i| *i >= width);
        if only_left && to_left {
            left.push(part);
        } else if only_right && to_right && !columns.is_empty() {
            renumber(&mut part, &|i| i - width);
            right.push(part);
        } else if inner {
            match equality(part, width) {
                Ok((l, r)) => {
                    join.left_keys.push(l);
                    join.right_keys.push(r);
                    join.kind = JoinKind::Inner;
                }
                Err(part) => above.push(part),
            }
        } else {
            above.push(part);
        }
    }
    if inner {
        copy_across(&join, &mut left, &mut right);
    }
    join.left = push(take(&mut join.left), left);
    join.right = push(take(&mut join.right), right);
    filtered(Plan { node: PlanNode::Join(Box::new(join)), schema }, above)
}

/// A filter on a key column of one side holds for the other side's too.
fn copy_across(join: &JoinNode, left: &mut Vec<BoundExpr>, right: &mut Vec<BoundExpr>) {
    let pairs: Vec<(usize, usize)> = join
        .left_keys
        .iter()
        .zip(&join.right_keys)
        .filter_map(|(l, r)| match (l, r) {
            (
                BoundExpr::Column { index: l, data_type: a },
                BoundExpr::Column { index: r, data_type: b },
            ) if a == b => Some((*l, *r)),
            _ => None,
        })
        .collect();
    let translate = |parts: &[BoundExpr], map: &dyn Fn(usize) -> Option<usize>| {
        let mut found: Vec<BoundExpr> = vec![];
        for part in parts {
            let columns = columns_of(part);
            if columns.len() == 1
                && let Some(to) = map(columns[0])
            {
                let mut copy = part.clone();
                renumber(&mut copy, &|_| to);
                found.push(copy);
            }
        }
        found
    };
    let to_right = translate(left, &|i| pairs.iter().find(|(l, _)| *l == i).map(|(_, r)| *r));
    let to_left = translate(right, &|i| pairs.iter().find(|(_, r)| *r == i).map(|(l, _)| *l));
    add_new(left, to_left);
    add_new(right, to_right);
}

fn add_new(parts: &mut Vec<BoundExpr>, more: Vec<BoundExpr>) {
    for part in more {
        let own = key(&part);
        if !parts.iter().any(|p| key(p) == own) {
            parts.push(part);
        }
    }
}

/// `l = r` with one side on the left and one on the right input, of one type.
fn equality(part: BoundExpr, width: usize) -> Result<(BoundExpr, BoundExpr), BoundExpr> {
    let BoundExpr::Call { function, arguments, .. } = &part else { return Err(part) };
    let [a, b] = arguments.as_slice() else { return Err(part) };
    let plain = |e: &BoundExpr| e.data_type().without_low_cardinality().without_nullable();
    if function.name() != "equals" || plain(a) != plain(b) {
        return Err(part);
    }
    let side = |e: &BoundExpr| {
        let columns = columns_of(e);
        match () {
            _ if columns.is_empty() => None,
            _ if columns.iter().all(|i| *i < width) => Some(true),
            _ if columns.iter().all(|i| *i >= width) => Some(false),
            _ => None,
        }
    };
    let (mut l, mut r) = match (side(a), side(b)) {
        (Some(true), Some(false)) => (a.clone(), b.clone()),
        (Some(false), Some(true)) => (b.clone(), a.clone()),
        _ => return Err(part),
    };
    renumber(&mut l, &|i| i);
    renumber(&mut r, &|i| i - width);
    Ok((l, r))
}
