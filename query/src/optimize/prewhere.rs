//! Which part of a filter above a scan is applied while reading: its columns are read first, the rest
//! only for rows that pass.
//!
//! Chosen by a guess at cost (bytes of the columns) and selectivity (kind of comparison). Everything
//! goes to PREWHERE if all of it reads cheap columns; otherwise the best part goes and the rest stays.

use pumphouse_storage::DataType;

use crate::plan::{BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;
use crate::execute::prewhere::never_fails;
use crate::execute::runtime_filter::is_runtime_filter;

/// Columns of up to so many bytes a row are cheap.
const CHEAP_BYTES: u32 = 8;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Filter { mut input, predicate } = node else { return Plan { node, schema } };
    if !matches!(input.node, PlanNode::Scan { prewhere: None, final_: false, .. }) {
        return Plan { node: PlanNode::Filter { input, predicate }, schema };
    }
    let mut parts = vec![];
    conjuncts(predicate, &mut parts);
    let order: Vec<u128> = parts.iter().map(key).collect();
    let (first, rest) = in_order(choose(parts, &schema), &order);
    if let PlanNode::Scan { prewhere, .. } = &mut input.node {
        *prewhere = conjunction(first);
    }
    filtered(Plan { node: input.node, schema }, rest)
}

/// What may fail is not tested on rows that a condition written before it leaves out.
fn in_order(
    (mut first, mut rest): (Vec<BoundExpr>, Vec<BoundExpr>),
    order: &[u128],
) -> (Vec<BoundExpr>, Vec<BoundExpr>) {
    if first.iter().all(never_fails) {
        return (first, rest);
    }
    let place = |part: &BoundExpr| order.iter().position(|k| *k == key(part));
    let earliest = rest.iter().filter_map(place).min();
    let early = |part: &BoundExpr| earliest.is_none_or(|e| place(part).is_some_and(|p| p < e));
    let (stay, late): (Vec<_>, Vec<_>) =
        first.into_iter().partition(|p| never_fails(p) || early(p));
    first = stay;
    rest.extend(late);
    first.sort_by_key(place);
    rest.sort_by_key(place);
    (first, rest)
}

/// What goes to PREWHERE and what stays.
fn choose(
    parts: Vec<BoundExpr>,
    schema: &[(String, DataType)],
) -> (Vec<BoundExpr>, Vec<BoundExpr>) {
    let (movable, stay): (Vec<_>, Vec<_>) = parts.into_iter().partition(|p| !is_volatile(p));
    let mut used = vec![false; schema.len()];
    movable.iter().for_each(|p| mark(p, &mut used));
    let reads_all = used.iter().all(|u| *u);
    let cheap = |p: &BoundExpr| {
        columns_of(p).iter().map(|i| bytes(&schema[*i].1)).max().unwrap_or(0) <= CHEAP_BYTES
    };
    let (cheap_parts, dear): (Vec<_>, Vec<_>) = movable.into_iter().partition(cheap);
    if dear.is_empty() {
        return (cheap_parts, stay);
    }
    // What cannot fail is tested step by step while reading, on no more rows than pass.
    if cheap_parts.iter().chain(&dear).all(never_fails) {
        return (cheap_parts.into_iter().chain(dear).collect(), stay);
    }
    let selective = cheap_parts.iter().map(selectivity).product::<f64>() < 0.5;
    if selective {
        return (cheap_parts, dear.into_iter().chain(stay).collect());
    }
    // Only unselective cheap parts, if any: the best dear one goes along.
    let best = dear
        .iter()
        .map(|p| rank(p, schema))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(i, _)| i);
    let mut first = cheap_parts;
    let mut rest = vec![];
    for (i, part) in dear.into_iter().enumerate() {
        if i == best || (reads_all && used.len() == 1) {
            first.push(part);
        } else {
            rest.push(part);
        }
    }
    rest.extend(stay);
    (first, rest)
}

/// The smaller, the earlier a condition should be tested.
pub fn rank(part: &BoundExpr, schema: &[(String, DataType)]) -> f64 {
    rank_of(part, selectivity(part), schema)
}

/// The same of a condition that so many rows are known to pass.
pub fn rank_of(part: &BoundExpr, share: f64, schema: &[(String, DataType)]) -> f64 {
    let cost: u32 = columns_of(part).iter().map(|i| bytes(&schema[*i].1)).sum();
    cost as f64 * (0.2 + share)
}

/// A guess at the share of rows that pass.
fn selectivity(part: &BoundExpr) -> f64 {
    match part {
        BoundExpr::InSet { negated: false, .. } => 0.1,
        BoundExpr::InSet { .. } => 0.8,
        BoundExpr::Call { function, arguments, .. } => match function.name() {
            "equals" => 0.05,
            "notEquals" => 0.6,
            "less" | "lessOrEquals" | "greater" | "greaterOrEquals" => 0.4,
            "like" | "ilike" | "match" | "startsWith" | "hasToken" => 0.2,
            "notLike" | "notILike" => 0.8,
            "isNull" => 0.2,
            "isNotNull" => 0.8,
            "or" => arguments.iter().map(selectivity).sum::<f64>().min(1.0),
            "not" => 0.7,
            name if is_runtime_filter(name) => 0.3,
            _ => 0.5,
        },
        _ => 0.5,
    }
}

/// Bytes a row of a column is likely to take.
pub(super) fn bytes(data_type: &DataType) -> u32 {
    use DataType::*;
    match data_type {
        Nothing | UInt8 | Int8 | Bool | Enum8(_) => 1,
        UInt16 | Int16 | Date | Enum16(_) => 2,
        UInt32 | Int32 | Float32 | BFloat16 | Date32 | DateTime(_) | Ipv4 | Time => 4,
        UInt64 | Int64 | Float64 | DateTime64(..) | Interval(_) | Time64(_) => 8,
        Decimal { precision, .. } => match precision {
            0..=9 => 4,
            10..=18 => 8,
            _ => 16,
        },
        UInt128 | Int128 | Uuid | Ipv6 => 16,
        UInt256 | Int256 => 32,
        LowCardinality(inner) if inner.inner().is_string() => 6,
        Nullable(inner) | LowCardinality(inner) => bytes(inner) + 1,
        SimpleAggregateFunction { argument, .. } | Named { argument, .. } => bytes(argument),
        Variant(_) | Dynamic { .. } => 40,
        Json(_) => 400,
        FixedString(n) => *n as u32,
        String => 40,
        Array(inner) => 8 + 8 * bytes(inner).min(64),
        Tuple(elements) => elements.iter().map(|e| bytes(&e.data_type)).sum(),
        Map(..) | AggregateFunction { .. } => 200,
    }
}
