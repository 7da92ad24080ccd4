//! What the rules share: walking plans and expressions, renumbering and replacing columns, splitting
//! AND, and a key by which equal expressions are found.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};
use xxhash_rust::xxh3::Xxh3;

use crate::plan::{BoundExpr, Plan, PlanNode, PlannedSet, SetSource, SortKey, WindowFunction};

/// A plan to stand in a place for a moment.
pub fn nothing() -> Plan {
    Plan { node: PlanNode::OneRow, schema: vec![] }
}

pub fn take(plan: &mut Plan) -> Plan {
    std::mem::replace(plan, nothing())
}

/// The plans that feed this one.
pub fn inputs_mut(plan: &mut Plan) -> Vec<&mut Plan> {
    use PlanNode::*;
    match &mut plan.node {
        OneRow | Blocks(_) | Scan { .. } => vec![],
        Filter { input, .. }
        | Project { input, .. }
        | Aggregate { input, .. }
        | Having { input, .. }
        | Sort { input, .. }
        | Limit { input, .. }
        | LimitBy { input, .. }
        | Distinct { input, .. }
        | ArrayJoin { input, .. }
        | Window { input, .. } => vec![&mut **input],
        UnionAll { inputs } => inputs.iter_mut().collect(),
        SetOperation { left, right, .. } => vec![&mut **left, &mut **right],
        Join(join) => vec![&mut join.left, &mut join.right],
    }
}

/// The plans that feed this one.
pub fn inputs(plan: &Plan) -> Vec<&Plan> {
    use PlanNode::*;
    match &plan.node {
        OneRow | Blocks(_) | Scan { .. } => vec![],
        Filter { input, .. }
        | Project { input, .. }
        | Aggregate { input, .. }
        | Having { input, .. }
        | Sort { input, .. }
        | Limit { input, .. }
        | LimitBy { input, .. }
        | Distinct { input, .. }
        | ArrayJoin { input, .. }
        | Window { input, .. } => vec![&**input],
        UnionAll { inputs } => inputs.iter().collect(),
        SetOperation { left, right, .. } => vec![&**left, &**right],
        Join(join) => vec![&join.left, &join.right],
    }
}

/// Calls `visit` for every top expression of this node (not of its inputs).
pub fn each_expression(plan: &mut Plan, visit: &mut dyn FnMut(&mut BoundExpr)) {
    use PlanNode::*;
    match &mut plan.node {
        OneRow | Blocks(_) | UnionAll { .. } | SetOperation { .. } => {}
        Scan { prewhere, .. } => prewhere.iter_mut().for_each(visit),
        Filter { predicate, .. } | Having { predicate, .. } => visit(predicate),
        Project { exprs, .. } | ArrayJoin { exprs, .. } => exprs.iter_mut().for_each(visit),
        Aggregate { keys, aggregates, .. } => {
            keys.iter_mut().for_each(&mut *visit);
            aggregates.iter_mut().flat_map(|a| &mut a.arguments).for_each(visit);
        }
        Sort { keys, .. } => keys.iter_mut().for_each(|k| visit(&mut k.expr)),
        Limit { ties, .. } => {
            ties.iter_mut().flatten().for_each(|k: &mut SortKey| visit(&mut k.expr));
        }
        LimitBy { keys, .. } | Distinct { keys, .. } => keys.iter_mut().for_each(visit),
        Join(join) => {
            join.left_keys.iter_mut().for_each(&mut *visit);
            join.right_keys.iter_mut().for_each(&mut *visit);
            if let Some((left, _, right)) = &mut join.asof {
                visit(left);
                visit(right);
            }
            join.residual.iter_mut().for_each(visit);
        }
        Window { functions, .. } => functions.iter_mut().for_each(|f| window_exprs(f, visit)),
    }
}

pub fn window_exprs(function: &mut WindowFunction, visit: &mut dyn FnMut(&mut BoundExpr)) {
    function.arguments.iter_mut().for_each(&mut *visit);
    function.partition_by.iter_mut().for_each(&mut *visit);
    function.order_by.iter_mut().for_each(|k| visit(&mut k.expr));
}

/// Calls `visit` for every set inside `expr`.
pub fn each_set(expr: &mut BoundExpr, visit: &mut dyn FnMut(&mut Arc<PlannedSet>)) {
    match expr {
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| each_set(a, visit));
        }
        BoundExpr::Lambda { body, .. } => each_set(body, visit),
        BoundExpr::InSet { expr, set, .. } => {
            each_set(expr, visit);
            visit(set);
        }
        BoundExpr::Column { .. }
        | BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}

/// Calls `visit` for `expr` and everything below it.
pub fn walk(expr: &BoundExpr, visit: &mut dyn FnMut(&BoundExpr)) {
    visit(expr);
    match expr {
        BoundExpr::Call { arguments, .. } => arguments.iter().for_each(|a| walk(a, visit)),
        BoundExpr::Lambda { body, .. } => walk(body, visit),
        BoundExpr::InSet { expr, .. } => walk(expr, visit),
        BoundExpr::Column { .. }
        | BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}

/// Sets `used[i]` for every column `i` that `expr` reads.
pub fn mark(expr: &BoundExpr, used: &mut [bool]) {
    walk(expr, &mut |e| {
        if let BoundExpr::Column { index, .. } = e
            && let Some(flag) = used.get_mut(*index)
        {
            *flag = true;
        }
    });
}

/// The columns that `expr` reads, in order.
pub fn columns_of(expr: &BoundExpr) -> Vec<usize> {
    let mut found = vec![];
    walk(expr, &mut |e| {
        if let BoundExpr::Column { index, .. } = e {
            found.push(*index);
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether moving or repeating `expr` could change what it yields.
pub fn is_volatile(expr: &BoundExpr) -> bool {
    let mut volatile = false;
    walk(expr, &mut |e| {
        if let BoundExpr::Call { function, .. } = e {
            volatile |= !function.deterministic();
        }
    });
    volatile
}

/// Replaces every column by what `with` says (None: keep it).
pub fn replace_columns(expr: &mut BoundExpr, with: &dyn Fn(usize) -> Option<BoundExpr>) {
    match expr {
        BoundExpr::Column { index, .. } => {
            if let Some(new) = with(*index) {
                *expr = new;
            }
        }
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| replace_columns(a, with));
        }
        BoundExpr::Lambda { body, .. } => replace_columns(body, with),
        BoundExpr::InSet { expr, .. } => replace_columns(expr, with),
        BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}

/// Column `i` becomes column `places(i)`.
pub fn renumber(expr: &mut BoundExpr, places: &dyn Fn(usize) -> usize) {
    match expr {
        BoundExpr::Column { index, .. } => *index = places(*index),
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| renumber(a, places));
        }
        BoundExpr::Lambda { body, .. } => renumber(body, places),
        BoundExpr::InSet { expr, .. } => renumber(expr, places),
        BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}

pub fn column(index: usize, data_type: &DataType) -> BoundExpr {
    BoundExpr::Column { index, data_type: data_type.clone() }
}

/// All columns of a plan, as expressions.
pub fn all_columns(schema: &[(String, DataType)]) -> Vec<BoundExpr> {
    schema.iter().enumerate().map(|(i, (_, t))| column(i, t)).collect()
}

/// Splits AND, at any depth.
pub fn conjuncts(expr: BoundExpr, parts: &mut Vec<BoundExpr>) {
    match expr {
        BoundExpr::Call { function, arguments, .. } if function.name() == "and" => {
            arguments.into_iter().for_each(|a| conjuncts(a, parts));
        }
        other => parts.push(other),
    }
}

/// All `parts` under one AND; None if there are none.
pub fn conjunction(mut parts: Vec<BoundExpr>) -> Option<BoundExpr> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let function = crate::functions::lookup("and")?;
    let nullable = parts.iter().any(|p| p.data_type().is_nullable());
    let data_type = if nullable { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 };
    Some(BoundExpr::Call { function, arguments: parts, data_type })
}

/// Any of `parts` under one OR; None if there are none.
pub fn disjunction(mut parts: Vec<BoundExpr>) -> Option<BoundExpr> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let function = crate::functions::lookup("or")?;
    let nullable = parts.iter().any(|p| p.data_type().is_nullable());
    let data_type = if nullable { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 };
    Some(BoundExpr::Call { function, arguments: parts, data_type })
}

/// `input` filtered by all of `parts`.
pub fn filtered(input: Plan, parts: Vec<BoundExpr>) -> Plan {
    match conjunction(parts) {
        None => input,
        Some(predicate) => {
            let schema = input.schema.clone();
            Plan { node: PlanNode::Filter { input: Box::new(input), predicate }, schema }
        }
    }
}

/// Whether a constant filters nothing (`Some(true)`) or everything (`Some(false)`).
pub fn truth(expr: &BoundExpr) -> Option<bool> {
    match expr {
        BoundExpr::Constant { value: Value::Null, .. } => Some(false),
        BoundExpr::Constant { value, .. } => value.as_f64().map(|v| v != 0.0),
        _ => None,
    }
}

/// Equal keys mean equal expressions.
pub fn key(expr: &BoundExpr) -> u128 {
    let mut hasher = Xxh3::new();
    hash(expr, &mut hasher);
    hasher.digest128()
}

fn hash(expr: &BoundExpr, hasher: &mut Xxh3) {
    let mut number = |tag: u8, n: usize| {
        hasher.update(&[tag]);
        hasher.update(&(n as u64).to_le_bytes());
    };
    match expr {
        BoundExpr::Column { index, .. } => number(1, *index),
        BoundExpr::LambdaParameter { depth, index, .. } => {
            number(2, *depth);
            number(2, *index);
        }
        BoundExpr::Constant { value, data_type } => {
            let text = format!("{data_type}\u{1}{value:?}");
            number(3, text.len());
            hasher.update(text.as_bytes());
        }
        BoundExpr::Call { function, arguments, data_type } => {
            number(4, arguments.len());
            let text = format!("{}\u{1}{data_type}", function.name());
            hasher.update(text.as_bytes());
            arguments.iter().for_each(|a| hash(a, hasher));
        }
        BoundExpr::Lambda { parameters, body } => {
            number(5, parameters.len());
            hash(body, hasher);
        }
        BoundExpr::InSet { expr, set, negated } => {
            number(6, *negated as usize);
            hash(expr, hasher);
            match set_values(set) {
                // Sets of the same constants are the same.
                Some(rows) => {
                    let text = format!("{:?}\u{1}{rows:?}", set.element_types);
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
                None => {
                    let place = Arc::as_ptr(set) as *const u8 as usize;
                    hasher.update(&place.to_le_bytes());
                }
            }
        }
        BoundExpr::Scalar { subquery, .. } => {
            number(7, Arc::as_ptr(subquery) as *const u8 as usize)
        }
    }
}

/// `count()` and the like: aggregates without arguments that only count rows.
pub fn is_plain_count(aggregate: &crate::plan::BoundAggregate) -> bool {
    aggregate.arguments.is_empty() && aggregate.function.name().eq_ignore_ascii_case("count")
}

/// The set's constant rows, if it is made of constants.
pub fn set_values(set: &PlannedSet) -> Option<&[Vec<Value>]> {
    match &set.source {
        SetSource::Values(rows) => Some(rows),
        SetSource::Subquery(_) => None,
    }
}
