//! What a filter says about single columns, as a tree for storage's indexes: alternatives that
//! [`super::scan_conditions`] cannot put into one range, NOT pushed down to comparisons, and what LIKE,
//! `has`, `hasToken` and maps say about texts, arrays and keys.

use pumphouse_storage::scan::{ColumnCondition, Piece, Predicate, ValueRange};
use pumphouse_storage::{DataType, Value};
use std::ops::Bound;

use crate::context::QueryContext;
use crate::functions;
use crate::plan::BoundExpr;

use super::scan_conditions::{conditions_of, text};
use super::shape::*;
use super::{monotonic, scan_conditions};

/// What expressions are read against.
pub struct Surroundings<'a> {
    pub schema: &'a [(String, DataType)],
    pub ctx: &'a QueryContext,
    /// Key and index expressions of the table, as it writes them.
    pub keys: &'a [String],
    /// The same where our own text differs: ours, the table's.
    pub renamed: Vec<(String, String)>,
}

impl<'a> Surroundings<'a> {
    pub fn new(
        schema: &'a [(String, DataType)],
        keys: &'a [String],
        ctx: &'a QueryContext,
    ) -> Surroundings<'a> {
        let renamed = keys
            .iter()
            .filter(|key| !schema.iter().any(|(name, _)| name == *key))
            .filter_map(|key| {
                let ours = text(&monotonic::bound_key(key, schema, ctx)?, schema)?;
                (ours != *key).then(|| (ours, key.clone()))
            })
            .collect();
        Surroundings { schema, ctx, keys, renamed }
    }

    /// The table's name for an expression.
    fn name(&self, ours: String) -> String {
        let found = self.renamed.iter().find(|(text, _)| *text == ours);
        found.map_or(ours, |(_, name)| name.clone())
    }

    /// The conditions that `part` implies, under the table's names.
    pub fn conditions(&self, part: &BoundExpr) -> Vec<ColumnCondition> {
        let mut found = conditions_of(part, self.schema, self.ctx);
        for condition in &mut found {
            condition.column = self.name(std::mem::take(&mut condition.column));
        }
        found
    }

    /// What a conjunct says beyond its conditions.
    pub fn beyond_conditions(&self, part: &BoundExpr) -> Predicate {
        match part {
            BoundExpr::Call { function, .. }
                if matches!(function.name(), "or" | "and" | "not" | "multiSearchAny") =>
            {
                self.tree(part, false)
            }
            _ => self.about_text(part),
        }
    }

    fn tree(&self, expr: &BoundExpr, negated: bool) -> Predicate {
        let BoundExpr::Call { function, arguments, .. } = expr else {
            return self.leaf(expr, negated);
        };
        let below = |negated| arguments.iter().map(|a| self.tree(a, negated)).collect::<Vec<_>>();
        match (function.name(), negated) {
            ("and", false) | ("or", true) => Predicate::all(below(negated)),
            ("or", false) | ("and", true) => Predicate::any(below(negated)),
            ("not", _) => Predicate::all(below(!negated)),
            _ => self.leaf(expr, negated),
        }
    }

    fn leaf(&self, expr: &BoundExpr, negated: bool) -> Predicate {
        let opposite;
        let expr = match negated {
            false => expr,
            true => match opposite_of(expr) {
                Some(found) => {
                    opposite = found;
                    &opposite
                }
                None => return Predicate::Any,
            },
        };
        let mut conditions = self.conditions(expr);
        let derived = monotonic::key_conditions(self.keys, self.schema, &conditions, self.ctx);
        conditions.extend(derived);
        let mut parts: Vec<Predicate> = conditions.into_iter().map(Predicate::Ranges).collect();
        parts.push(self.about_text(expr));
        Predicate::all(parts)
    }

    /// What `expr` says about texts, arrays and maps.
    fn about_text(&self, expr: &BoundExpr) -> Predicate {
        if let BoundExpr::InSet { expr, set, negated: false } = expr {
            let values = set_values(set).map(|rows| rows.iter().filter_map(|r| r.first().cloned()));
            return match values {
                Some(values) if set.element_types.len() == 1 => {
                    self.map_element(expr, values.collect())
                }
                _ => Predicate::Any,
            };
        }
        let BoundExpr::Call { function, arguments, .. } = expr else { return Predicate::Any };
        match (function.name(), arguments.as_slice()) {
            ("equals", [target, BoundExpr::Constant { value, .. }])
            | ("equals", [BoundExpr::Constant { value, .. }, target]) => {
                self.map_element(target, vec![value.clone()])
            }
            ("like", [target, BoundExpr::Constant { value: Value::String(pattern), .. }]) => {
                self.contains(target, like_pieces(pattern))
            }
            ("startsWith", [target, BoundExpr::Constant { value: Value::String(s), .. }]) => {
                self.contains(target, vec![piece(s, true, false)])
            }
            ("endsWith", [target, BoundExpr::Constant { value: Value::String(s), .. }]) => {
                self.contains(target, vec![piece(s, false, true)])
            }
            ("hasToken", [target, BoundExpr::Constant { value: Value::String(s), .. }]) => {
                self.contains(target, vec![Piece::Word(s.clone())])
            }
            (
                "multiSearchAny",
                [target, BoundExpr::Constant { value: Value::Array(needles), .. }],
            ) => {
                let one = |needle: &Value| match needle.as_bytes() {
                    Some(bytes) => self.contains(target, vec![piece(bytes, false, false)]),
                    None => Predicate::Any,
                };
                Predicate::any(needles.iter().map(one).collect())
            }
            ("has", [target, BoundExpr::Constant { value, .. }]) => match target.data_type() {
                DataType::Array(_) => self.holds(target, vec![value.clone()], true),
                _ => Predicate::Any,
            },
            (
                name @ ("hasAny" | "hasAll"),
                [target, BoundExpr::Constant { value: Value::Array(values), .. }],
            ) if !values.is_empty() => self.holds(target, values.clone(), name == "hasAll"),
            ("mapContains" | "mapContainsKey", [target, BoundExpr::Constant { value, .. }]) => {
                self.map_part("mapKeys", target, vec![value.clone()])
            }
            _ => Predicate::Any,
        }
    }

    fn contains(&self, target: &BoundExpr, pieces: Vec<Piece>) -> Predicate {
        if !target.data_type().inner().is_string() || is_volatile(target) {
            return Predicate::Any;
        }
        match text(target, self.schema) {
            Some(column) => Predicate::Contains { column: self.name(column), pieces },
            None => Predicate::Any,
        }
    }

    fn holds(&self, target: &BoundExpr, values: Vec<Value>, all: bool) -> Predicate {
        if is_volatile(target) || matches!(target, BoundExpr::Constant { .. }) {
            return Predicate::Any;
        }
        match text(target, self.schema) {
            Some(column) => Predicate::Holds { column: self.name(column), values, all },
            None => Predicate::Any,
        }
    }

    fn map_part(&self, part: &str, map: &BoundExpr, values: Vec<Value>) -> Predicate {
        if !matches!(map.data_type().inner(), DataType::Map(..)) || is_volatile(map) {
            return Predicate::Any;
        }
        match text(map, self.schema) {
            Some(map) => {
                Predicate::Holds { column: self.name(format!("{part}({map})")), values, all: false }
            }
            None => Predicate::Any,
        }
    }

    /// `map['key']` is one of `values`: a key that is not there would give the default.
    fn map_element(&self, target: &BoundExpr, values: Vec<Value>) -> Predicate {
        let BoundExpr::Call { function, arguments, .. } = target else { return Predicate::Any };
        let [map, BoundExpr::Constant { value: key, .. }] = arguments.as_slice() else {
            return Predicate::Any;
        };
        let is_default = |v: &Value| match v {
            Value::String(bytes) => bytes.is_empty(),
            other => other.as_f64().is_none_or(|n| n == 0.0),
        };
        if function.name() != "arrayElement" || values.iter().any(is_default) {
            return Predicate::Any;
        }
        Predicate::all(vec![
            self.map_part("mapKeys", map, vec![key.clone()]),
            self.map_part("mapValues", map, values),
        ])
    }
}

fn piece(bytes: &[u8], from_start: bool, to_end: bool) -> Piece {
    Piece::Bytes { bytes: bytes.to_vec(), from_start, to_end }
}

/// The literal stretches of a LIKE pattern.
fn like_pieces(pattern: &[u8]) -> Vec<Piece> {
    let mut pieces = vec![];
    let mut literal = vec![];
    let mut from_start = true;
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' | b'_' => {
                if !literal.is_empty() {
                    pieces.push(piece(&std::mem::take(&mut literal), from_start, false));
                }
                from_start = false;
            }
            b'\\' => match bytes.next() {
                Some(escaped @ (b'%' | b'_' | b'\\')) => literal.push(*escaped),
                Some(other) => literal.extend([b'\\', *other]),
                None => literal.push(b'\\'),
            },
            other => literal.push(*other),
        }
    }
    if !literal.is_empty() {
        pieces.push(piece(&literal, from_start, true));
    }
    pieces
}

/// What holds where `expr` is false (not where it is NULL).
fn opposite_of(expr: &BoundExpr) -> Option<BoundExpr> {
    match expr {
        BoundExpr::InSet { expr, set, negated } => {
            Some(BoundExpr::InSet { expr: expr.clone(), set: set.clone(), negated: !negated })
        }
        BoundExpr::Call { function, arguments, data_type } => {
            let name = match function.name() {
                "equals" => "notEquals",
                "notEquals" => "equals",
                "less" => "greaterOrEquals",
                "greaterOrEquals" => "less",
                "greater" => "lessOrEquals",
                "lessOrEquals" => "greater",
                "isNull" => "isNotNull",
                "isNotNull" => "isNull",
                _ => return None,
            };
            // NaN is neither less nor greater, and parts of arrays and tuples may be NULL.
            let plain = |e: &BoundExpr| {
                let t = e.data_type();
                let t = t.inner();
                t.is_integer() || t.is_string() || t.is_date_or_time()
            };
            let nulls = matches!(name, "isNull" | "isNotNull");
            if !nulls && !arguments.iter().all(plain) {
                return None;
            }
            Some(BoundExpr::Call {
                function: functions::lookup(name)?,
                arguments: arguments.clone(),
                data_type: data_type.clone(),
            })
        }
        _ => None,
    }
}

/// The conditions that a filled set implies for `expr`, which is tested against it.
pub fn filled_set_conditions(
    part: &BoundExpr,
    rows: &[Vec<Value>],
    schema: &[(String, DataType)],
) -> Vec<ColumnCondition> {
    let BoundExpr::InSet { expr, set, negated: false } = part else { return vec![] };
    scan_conditions::set_conditions(expr, set.element_types.len(), rows, schema)
}

/// Every value that is not NULL.
pub fn not_null(column: String) -> ColumnCondition {
    let all = ValueRange { lower: Bound::Unbounded, upper: Bound::Unbounded };
    ColumnCondition { column, ranges: vec![all], may_be_null: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns_are_cut_at_wildcards() {
        assert_eq!(
            like_pieces(br"ab%c\%d_e"),
            [piece(b"ab", true, false), piece(b"c%d", false, false), piece(b"e", false, true)]
        );
        assert_eq!(like_pieces(b"%"), []);
        assert_eq!(like_pieces(b"x"), [piece(b"x", true, true)]);
    }
}
