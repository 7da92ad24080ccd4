//! Only columns that somebody reads are read, computed and carried.
//!
//! `prune` takes the set of output columns that are needed and returns the plan with at least those,
//! plus where each old column stands now.

use pumphouse_storage::DataType;

use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode};

use super::shape::*;

/// Where each old output column stands in the new plan.
type Places = Vec<Option<usize>>;

pub fn apply(plan: Plan) -> Plan {
    let needed = vec![true; plan.schema.len()];
    exact(plan, &needed)
}

/// The plan with exactly the needed columns, in order.
fn exact(plan: Plan, needed: &[bool]) -> Plan {
    let names: Vec<(String, DataType)> =
        plan.schema.iter().zip(needed).filter(|(_, n)| **n).map(|(c, _)| c.clone()).collect();
    let (mut plan, places) = prune(plan, needed);
    let wanted: Vec<usize> =
        places.iter().zip(needed).filter(|(_, n)| **n).filter_map(|(p, _)| *p).collect();
    let in_place =
        wanted.len() == plan.schema.len() && wanted.iter().enumerate().all(|(i, p)| i == *p);
    if in_place {
        // A scan's schema names the columns it reads.
        if !matches!(plan.node, PlanNode::Scan { .. }) {
            plan.schema = names;
        }
        return plan;
    }
    let exprs = wanted.iter().map(|i| column(*i, &plan.schema[*i].1)).collect();
    Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema: names }
}

fn prune(plan: Plan, needed: &[bool]) -> (Plan, Places) {
    let Plan { node, schema } = plan;
    match node {
        PlanNode::Scan { source, columns, conditions, prewhere, final_, sample, hints } => {
            let mut keep = needed.to_vec();
            prewhere.iter().for_each(|p| mark(p, &mut keep));
            let places = places_of(&keep);
            let mut prewhere = prewhere;
            prewhere.iter_mut().for_each(|p| renumber_by(p, &places));
            let columns = kept(columns, &keep);
            let schema = kept(schema, &keep);
            let node =
                PlanNode::Scan { source, columns, conditions, prewhere, final_, sample, hints };
            (Plan { node, schema }, places)
        }
        PlanNode::Project { input, exprs } => prune_project(*input, exprs, schema, needed),
        PlanNode::Aggregate { .. } => prune_aggregate(node, schema, needed),
        PlanNode::Join(join) => prune_join(*join, needed),
        PlanNode::Window { input, functions } => prune_window(*input, functions, schema, needed),
        PlanNode::ArrayJoin { input, mut exprs, left } => {
            let width = input.schema.len();
            let mut below = needed[..width].to_vec();
            exprs.iter().for_each(|e| mark(e, &mut below));
            let (input, mut places) = prune(*input, &below);
            exprs.iter_mut().for_each(|e| renumber_by(e, &places));
            let new_width = input.schema.len();
            places.extend((0..exprs.len()).map(|i| Some(new_width + i)));
            let mut new_schema = input.schema.clone();
            new_schema.extend_from_slice(&schema[width..]);
            let node = PlanNode::ArrayJoin { input: Box::new(input), exprs, left };
            (Plan { node, schema: new_schema }, places)
        }
        PlanNode::UnionAll { inputs } => {
            let inputs = inputs.into_iter().map(|i| exact(i, needed)).collect();
            let schema = kept(schema, needed);
            (Plan { node: PlanNode::UnionAll { inputs }, schema }, places_of(needed))
        }
        node if super::keeps_columns(&node) => prune_through(node, schema, needed),
        node => {
            // Whole rows matter (set operations), or there is nothing below.
            let mut plan = Plan { node, schema };
            for input in inputs_mut(&mut plan) {
                let all = vec![true; input.schema.len()];
                *input = exact(take(input), &all);
            }
            let places = (0..plan.schema.len()).map(Some).collect();
            (plan, places)
        }
    }
}

/// Nodes that pass their input's columns on: they need what is needed and what they read.
fn prune_through(
    node: PlanNode,
    schema: Vec<(String, DataType)>,
    needed: &[bool],
) -> (Plan, Places) {
    let mut keep = needed.to_vec();
    let whole_rows = matches!(&node, PlanNode::Distinct { keys, .. } if keys.is_empty());
    if whole_rows {
        keep.fill(true);
    }
    let mut plan = Plan { node, schema };
    each_expression(&mut plan, &mut |e| mark(e, &mut keep));
    let mut places = vec![];
    for input in inputs_mut(&mut plan) {
        let (new, new_places) = prune(take(input), &keep);
        *input = new;
        places = new_places;
    }
    if whole_rows && inputs(&plan)[0].schema.len() != keep.len() {
        // Columns that ride along would make rows distinct that are not.
        let input = inputs_mut(&mut plan).remove(0);
        let exprs = places
            .iter()
            .flatten()
            .map(|i| column(*i, &input.schema[*i].1))
            .collect::<Vec<BoundExpr>>();
        let schema = places.iter().flatten().map(|i| input.schema[*i].clone()).collect();
        let below = Box::new(take(input));
        *input = Plan { node: PlanNode::Project { input: below, exprs }, schema };
        places = (0..keep.len()).map(Some).collect();
    }
    each_expression(&mut plan, &mut |e| renumber_by(e, &places));
    let names = std::mem::take(&mut plan.schema);
    plan.schema = inputs(&plan)[0].schema.clone();
    rename(&mut plan.schema, &names, &places);
    (plan, places)
}

fn prune_project(
    input: Plan,
    exprs: Vec<BoundExpr>,
    schema: Vec<(String, DataType)>,
    needed: &[bool],
) -> (Plan, Places) {
    let mut exprs = kept(exprs, needed);
    let schema = kept(schema, needed);
    let mut below = vec![false; input.schema.len()];
    exprs.iter().for_each(|e| mark(e, &mut below));
    let (input, places) = prune(input, &below);
    if exprs.is_empty() {
        let nowhere = vec![None; needed.len()];
        return (input, nowhere);
    }
    exprs.iter_mut().for_each(|e| renumber_by(e, &places));
    (Plan { node: PlanNode::Project { input: Box::new(input), exprs }, schema }, places_of(needed))
}

fn prune_aggregate(
    node: PlanNode,
    schema: Vec<(String, DataType)>,
    needed: &[bool],
) -> (Plan, Places) {
    let PlanNode::Aggregate {
        input,
        mut keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    } = node
    else {
        let places = (0..schema.len()).map(Some).collect();
        return (Plan { node, schema }, places);
    };
    let mut keep = needed.to_vec();
    keep[..keys.len()].fill(true);
    if keys.is_empty() && !keep.is_empty() && !keep.contains(&true) {
        keep[0] = true;
    }
    let mut aggregates = kept(aggregates, &keep[keys.len()..]);
    let mut below = vec![false; input.schema.len()];
    keys.iter().for_each(|k| mark(k, &mut below));
    aggregates.iter().flat_map(|a| &a.arguments).for_each(|e| mark(e, &mut below));
    let (input, places) = prune(*input, &below);
    keys.iter_mut().for_each(|k| renumber_by(k, &places));
    aggregates.iter_mut().flat_map(|a| &mut a.arguments).for_each(|e| renumber_by(e, &places));
    let node = PlanNode::Aggregate {
        input: Box::new(input),
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    };
    let schema = kept_tail(schema, &keep);
    (Plan { node, schema }, places_of(&keep))
}

/// Columns behind `keep` (a node's hidden extra output) stay.
fn kept_tail(schema: Vec<(String, DataType)>, keep: &[bool]) -> Vec<(String, DataType)> {
    schema
        .into_iter()
        .enumerate()
        .filter(|(i, _)| keep.get(*i).copied().unwrap_or(true))
        .map(|(_, c)| c)
        .collect()
}

fn prune_join(mut join: JoinNode, needed: &[bool]) -> (Plan, Places) {
    let width = join.left.schema.len();
    let mut keep = needed.to_vec();
    join.residual.iter().for_each(|r| mark(r, &mut keep));
    let mut left = keep[..width].to_vec();
    let mut right = keep[width..].to_vec();
    join.left_keys.iter().for_each(|k| mark(k, &mut left));
    join.right_keys.iter().for_each(|k| mark(k, &mut right));
    if let Some((l, _, r)) = &join.asof {
        mark(l, &mut left);
        mark(r, &mut right);
    }
    let types: Vec<DataType> = join_types(&join);
    let (new_left, left_places) = narrow(take(&mut join.left), &left);
    let (new_right, right_places) = narrow(take(&mut join.right), &right);
    let offset = new_left.schema.len();
    join.left_keys.iter_mut().for_each(|k| renumber_by(k, &left_places));
    join.right_keys.iter_mut().for_each(|k| renumber_by(k, &right_places));
    if let Some((l, _, r)) = &mut join.asof {
        renumber_by(l, &left_places);
        renumber_by(r, &right_places);
    }
    let mut places = left_places;
    places.extend(right_places.iter().map(|p| p.map(|i| i + offset)));
    join.residual.iter_mut().for_each(|r| renumber_by(r, &places));
    let mut schema = new_left.schema.clone();
    schema.extend(new_right.schema.iter().cloned());
    // An outer join's output may be Nullable where its input is not.
    for (old, new) in places.iter().enumerate() {
        if let Some(new) = new {
            schema[*new].1 = types[old].clone();
        }
    }
    join.left = new_left;
    join.right = new_right;
    join.unread = vec![false; schema.len()];
    for (old, new) in places.iter().enumerate() {
        if let Some(new) = new
            && !keep[old]
        {
            join.unread[*new] = true;
        }
    }
    (Plan { node: PlanNode::Join(Box::new(join)), schema }, places)
}

/// The plan without columns that are not needed, even where that takes a projection: a join would move
/// them about.
fn narrow(plan: Plan, needed: &[bool]) -> (Plan, Places) {
    let (plan, places) = prune(plan, needed);
    let wanted: Vec<Option<usize>> =
        places.iter().zip(needed).map(|(place, needed)| place.filter(|_| *needed)).collect();
    let kept: Vec<usize> = wanted.iter().flatten().copied().collect();
    if kept.len() == plan.schema.len() || kept.is_empty() {
        return (plan, places);
    }
    let exprs = kept.iter().map(|i| column(*i, &plan.schema[*i].1)).collect();
    let schema = kept.iter().map(|i| plan.schema[*i].clone()).collect();
    let mut next = 0;
    let places = wanted
        .iter()
        .map(|place| {
            place.map(|_| {
                next += 1;
                next - 1
            })
        })
        .collect();
    (Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema }, places)
}

/// Output types of a join's columns.
fn join_types(join: &JoinNode) -> Vec<DataType> {
    use crate::sql::ast::JoinKind::*;
    let nullable = |t: &DataType, outer: bool| match join.use_nulls && outer {
        true => t.or_null(),
        false => t.clone(),
    };
    let left = join.left.schema.iter().map(|(_, t)| nullable(t, matches!(join.kind, Right | Full)));
    let right =
        join.right.schema.iter().map(|(_, t)| nullable(t, matches!(join.kind, Left | Full)));
    left.chain(right).collect()
}

fn prune_window(
    input: Plan,
    functions: Vec<crate::plan::WindowFunction>,
    schema: Vec<(String, DataType)>,
    needed: &[bool],
) -> (Plan, Places) {
    let width = input.schema.len();
    let mut functions = kept(functions, &needed[width..]);
    let mut below = needed[..width].to_vec();
    for function in &mut functions {
        window_exprs(function, &mut |e| mark(e, &mut below));
    }
    let (input, mut places) = prune(input, &below);
    for function in &mut functions {
        window_exprs(function, &mut |e| renumber_by(e, &places));
    }
    let mut next = input.schema.len();
    let mut new_schema = input.schema.clone();
    for (column, needed) in schema[width..].iter().zip(&needed[width..]) {
        places.push(needed.then(|| {
            new_schema.push(column.clone());
            next += 1;
            next - 1
        }));
    }
    if functions.is_empty() {
        return (input, places);
    }
    let node = PlanNode::Window { input: Box::new(input), functions };
    (Plan { node, schema: new_schema }, places)
}

fn places_of(keep: &[bool]) -> Places {
    let mut next = 0;
    keep.iter()
        .map(|k| {
            k.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

fn kept<T>(items: Vec<T>, keep: &[bool]) -> Vec<T> {
    items.into_iter().zip(keep).filter(|(_, k)| **k).map(|(item, _)| item).collect()
}

fn renumber_by(expr: &mut BoundExpr, places: &Places) {
    renumber(expr, &|i| places.get(i).copied().flatten().unwrap_or(i));
}

/// Columns keep the names that the node above gave them.
fn rename(schema: &mut [(String, DataType)], names: &[(String, DataType)], places: &Places) {
    for ((name, _), place) in names.iter().zip(places) {
        if let Some(place) = place {
            schema[*place].0 = name.clone();
        }
    }
}
