//! What a filter above a scan says about single columns, as ranges that let storage skip granules,
//! parts and partitions. The filter itself stays: conditions are necessary, not sufficient.
//!
//! Plain columns, and key expressions by their text. Dates and times, also under monotonic functions
//! (`toDate(ts) >= '2025-01-01'`), are handled by `monotonic`.

use std::ops::Bound;

use pumphouse_storage::scan::{ColumnCondition, Predicate, ValueRange};
use pumphouse_storage::{DataType, Value};

use crate::context::QueryContext;
use crate::functions::cast::cast_value;
use crate::plan::{BoundExpr, Plan, PlanNode, SetSource};

use super::monotonic;
use super::predicate::{Surroundings, not_null};
use super::shape::*;

/// Longer IN lists become one range from their least to their greatest value.
const POINTS_MAX: usize = 4096;

pub fn apply(plan: Plan, ctx: &QueryContext) -> Plan {
    super::bottom_up(plan, &|plan| rewrite(plan, ctx))
}

fn rewrite(mut plan: Plan, ctx: &QueryContext) -> Plan {
    let PlanNode::Filter { input, predicate } = &mut plan.node else { return plan };
    let schema = input.schema.clone();
    let PlanNode::Scan { conditions, source, hints, .. } = &mut input.node else { return plan };
    let mut parts = vec![];
    conjuncts(predicate.clone(), &mut parts);
    let keys = source.pruning_keys();
    let (found, beyond) = filter_conditions(&parts, &schema, &keys, ctx);
    conditions.extend(found);
    hints.predicate = beyond;
    for part in &parts {
        if let BoundExpr::InSet { set, negated: false, .. } = part
            && matches!(set.source, SetSource::Subquery(_))
        {
            hints.late_sets.push(part.clone());
        }
    }
    plan
}

/// What the conjuncts of a filter say: conditions, and what goes beyond them.
pub(super) fn filter_conditions(
    parts: &[BoundExpr],
    schema: &[(String, DataType)],
    keys: &[String],
    ctx: &QueryContext,
) -> (Vec<ColumnCondition>, Predicate) {
    let surroundings = Surroundings::new(schema, keys, ctx);
    let (mut conditions, mut beyond) = (vec![], vec![]);
    for part in parts {
        conditions.extend(surroundings.conditions(part));
        beyond.push(surroundings.beyond_conditions(part));
    }
    let derived = monotonic::key_conditions(keys, schema, &conditions, ctx);
    conditions.extend(derived);
    (conditions, Predicate::all(beyond))
}

/// The condition that `part` implies (several for a tuple IN).
pub fn conditions_of(
    part: &BoundExpr,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Vec<ColumnCondition> {
    let mut found = match part {
        BoundExpr::InSet { .. } => in_conditions(part, schema),
        _ => condition(part, schema, ctx).into_iter().collect(),
    };
    // Ranges of values that carry their types are ranges of their bytes.
    found.retain(|c| !schema.iter().any(|(name, t)| *name == c.column && t.holds_run_time()));
    found
}

fn condition(
    part: &BoundExpr,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<ColumnCondition> {
    if let BoundExpr::InSet { .. } = part {
        let mut found = in_conditions(part, schema);
        return (found.len() == 1).then(|| found.remove(0));
    }
    let BoundExpr::Call { function, arguments, .. } = part else { return None };
    match (function.name(), arguments.as_slice()) {
        ("or", parts) => {
            let found: Option<Vec<ColumnCondition>> =
                parts.iter().map(|p| condition(p, schema, ctx)).collect();
            union(found?)
        }
        ("and", parts) => {
            // Inside OR: any one of its conditions is necessary.
            parts.iter().find_map(|p| condition(p, schema, ctx))
        }
        ("isNull", [BoundExpr::Column { index, .. }]) => Some(ColumnCondition {
            column: name(schema, *index)?,
            ranges: vec![],
            may_be_null: true,
        }),
        ("isNotNull", [BoundExpr::Column { index, .. }]) => Some(not_null(name(schema, *index)?)),
        ("startsWith", [target, BoundExpr::Constant { value: Value::String(prefix), .. }]) => {
            prefix_condition(target, prefix, schema)
        }
        ("like", [target, BoundExpr::Constant { value: Value::String(pattern), .. }]) => {
            let (prefix, exact) = like_prefix(pattern);
            match exact {
                true => ranged(target, vec![ValueRange::point(Value::String(prefix))], schema),
                false => prefix_condition(target, &prefix, schema),
            }
        }
        (operator, [a, b]) => comparison(part, operator, a, b, schema, ctx),
        _ => None,
    }
}

fn comparison(
    part: &BoundExpr,
    operator: &str,
    a: &BoundExpr,
    b: &BoundExpr,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<ColumnCondition> {
    let (target, constant, operator) = match (a, b) {
        (target, BoundExpr::Constant { .. }) => (target, b, operator),
        (BoundExpr::Constant { .. }, target) => (target, a, mirrored(operator)?),
        _ => return None,
    };
    if let Some(found) = monotonic::condition(part, operator, target, schema, ctx) {
        return Some(found);
    }
    let BoundExpr::Constant { value, data_type } = constant else { return None };
    let value = comparable(value, data_type, &target.data_type(), operator, ctx)?;
    ranged(target, ranges(operator, value)?, schema)
}

fn ranges(operator: &str, value: Value) -> Option<Vec<ValueRange>> {
    use Bound::*;
    let range = |lower, upper| ValueRange { lower, upper };
    Some(match operator {
        "equals" => vec![ValueRange::point(value)],
        "less" => vec![range(Unbounded, Excluded(value))],
        "lessOrEquals" => vec![range(Unbounded, Included(value))],
        "greater" => vec![range(Excluded(value), Unbounded)],
        "greaterOrEquals" => vec![range(Included(value), Unbounded)],
        "notEquals" => {
            vec![range(Unbounded, Excluded(value.clone())), range(Excluded(value), Unbounded)]
        }
        _ => return None,
    })
}

fn mirrored(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "equals" => "equals",
        "notEquals" => "notEquals",
        "less" => "greater",
        "lessOrEquals" => "greaterOrEquals",
        "greater" => "less",
        "greaterOrEquals" => "lessOrEquals",
        _ => return None,
    })
}

/// `value` in the order of `target`'s values, if the two compare as their `Value`s do.
fn comparable(
    value: &Value,
    own: &DataType,
    target: &DataType,
    operator: &str,
    ctx: &QueryContext,
) -> Option<Value> {
    let (own, target) = (own.inner(), target.inner());
    if value.is_null() {
        return None;
    }
    let whole = |t: &DataType| t.is_integer();
    match (own, target) {
        (a, b) if whole(a) && whole(b) => Some(value.clone()),
        (a, b) if (a.is_float() || whole(a)) && (b.is_float() || whole(b)) => {
            // As floats both are exact up to 2^53.
            let number = value.as_f64()?;
            (number.abs() < 9e15).then(|| value.clone())
        }
        (a, b) if a == b && !matches!(b, DataType::Decimal { .. }) => Some(value.clone()),
        (a, b) if a == b => Some(value.clone()),
        (DataType::String, DataType::FixedString(_)) => None,
        (DataType::String, b) if operator == "equals" && !b.is_string() => {
            cast_value(value, own, b, ctx).ok()
        }
        (DataType::String, b) if whole(b) || b.is_float() => cast_value(value, own, b, ctx).ok(),
        _ => None,
    }
}

fn in_conditions(part: &BoundExpr, schema: &[(String, DataType)]) -> Vec<ColumnCondition> {
    let BoundExpr::InSet { expr, set, negated: false } = part else { return vec![] };
    let Some(rows) = set_values(set) else { return vec![] };
    set_conditions(expr, set.element_types.len(), rows, schema)
}

/// What being one of `rows`, each of `width` elements, says about `expr`.
pub fn set_conditions(
    expr: &BoundExpr,
    width: usize,
    rows: &[Vec<Value>],
    schema: &[(String, DataType)],
) -> Vec<ColumnCondition> {
    let targets: Vec<&BoundExpr> = match expr {
        BoundExpr::Call { function, arguments, .. } if function.name() == "tuple" && width > 1 => {
            arguments.iter().collect()
        }
        one => vec![one],
    };
    if targets.len() != width {
        return vec![];
    }
    let mut found = vec![];
    for (i, target) in targets.into_iter().enumerate() {
        let mut points: Vec<Value> = rows.iter().filter_map(|r| r.get(i).cloned()).collect();
        points.sort();
        points.dedup();
        let ranges = match (points.first(), points.last()) {
            (Some(first), Some(last)) if points.len() > POINTS_MAX => vec![ValueRange {
                lower: Bound::Included(first.clone()),
                upper: Bound::Included(last.clone()),
            }],
            _ => points.into_iter().map(ValueRange::point).collect(),
        };
        found.extend(ranged(target, ranges, schema));
    }
    found
}

fn union(conditions: Vec<ColumnCondition>) -> Option<ColumnCondition> {
    let mut all = conditions.into_iter();
    let mut first = all.next()?;
    for next in all {
        if next.column != first.column {
            return None;
        }
        first.ranges.extend(next.ranges);
        first.may_be_null |= next.may_be_null;
    }
    Some(first)
}

/// A condition on a column, or on an expression by its text.
fn ranged(
    target: &BoundExpr,
    ranges: Vec<ValueRange>,
    schema: &[(String, DataType)],
) -> Option<ColumnCondition> {
    let column = match target {
        BoundExpr::Column { index, .. } => name(schema, *index)?,
        BoundExpr::Call { .. } if !is_volatile(target) => text(target, schema)?,
        _ => return None,
    };
    Some(ColumnCondition { column, ranges, may_be_null: false })
}

fn prefix_condition(
    target: &BoundExpr,
    prefix: &[u8],
    schema: &[(String, DataType)],
) -> Option<ColumnCondition> {
    if prefix.is_empty() || !matches!(target.data_type().inner(), DataType::String) {
        return None;
    }
    let upper = match next_prefix(prefix) {
        Some(next) => Bound::Excluded(Value::String(next)),
        None => Bound::Unbounded,
    };
    let lower = Bound::Included(Value::String(prefix.to_vec()));
    ranged(target, vec![ValueRange { lower, upper }], schema)
}

/// The least string above all that start with `prefix`.
fn next_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut next = prefix[..=end].to_vec();
    next[end] += 1;
    Some(next)
}

/// The literal text before a LIKE pattern's first wildcard, and whether there is no wildcard.
fn like_prefix(pattern: &[u8]) -> (Vec<u8>, bool) {
    let mut prefix = vec![];
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' | b'_' => return (prefix, false),
            b'\\' => match bytes.next() {
                Some(escaped @ (b'%' | b'_' | b'\\')) => prefix.push(*escaped),
                Some(other) => prefix.extend([b'\\', *other]),
                None => prefix.push(b'\\'),
            },
            other => prefix.push(*other),
        }
    }
    (prefix, true)
}

fn name(schema: &[(String, DataType)], index: usize) -> Option<String> {
    schema.get(index).map(|(n, _)| n.clone())
}

/// The canonical text of an expression, as it stands in a key.
pub fn text(expr: &BoundExpr, schema: &[(String, DataType)]) -> Option<String> {
    match expr {
        BoundExpr::Column { index, .. } => name(schema, *index),
        BoundExpr::Constant { value, .. } => Some(value.to_sql()),
        BoundExpr::Call { function, arguments, .. } => {
            let arguments: Option<Vec<String>> =
                arguments.iter().map(|a| text(a, schema)).collect();
            Some(format!("{}({})", function.name(), arguments?.join(", ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_prefixes() {
        let cases: &[(&str, &str, bool)] = &[
            ("abc%", "abc", false),
            ("abc", "abc", true),
            ("a_c", "a", false),
            ("%x", "", false),
            (r"50\%%", "50%", false),
            (r"a\bc%", r"a\bc", false),
        ];
        for (pattern, prefix, exact) in cases {
            let found = like_prefix(pattern.as_bytes());
            assert_eq!(found, (prefix.as_bytes().to_vec(), *exact), "{pattern}");
        }
    }

    #[test]
    fn next_prefixes() {
        assert_eq!(next_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(next_prefix(&[b'a', 0xff]), Some(b"b".to_vec()));
        assert_eq!(next_prefix(&[0xff, 0xff]), None);
    }
}
