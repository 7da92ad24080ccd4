//! `x IN …`: lists, tuples, arrays, subqueries and table names on the right, turned into a set whose
//! elements have the types of the left side.
//!
//! Values that the left type cannot hold are left out, as are NULLs; strings are parsed as the left
//! type. A right side that is not constant becomes `has([…], x)`. With NULLs as values: `null_in`.

use std::sync::{Arc, OnceLock};

use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{DataType, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::Binder;
use super::correlated::Use;
use super::fold::loud;
use super::names::{error_in, with_scope};
use super::null_in::can_be_null;
use super::place::{Available, place};
use super::scope::Scope;
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::functions;
use crate::functions::cast::cast_value;
use crate::plan::{BoundExpr, Plan, PlanNode, PlannedSet, SetSource};
use crate::sql;
use crate::sql::ast::*;

/// One right-side value and its type.
pub(super) type Typed = (Value, DataType);

impl Binder<'_> {
    pub(super) fn in_call(&self, call: &Call, negated: bool, scope: &Scope) -> Result<Tree> {
        let [left, right] = call.arguments.as_slice() else {
            return Err(error_in(
                scope,
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Number of arguments for function {} doesn't match: passed {}, should be 2.",
                    call.name,
                    call.arguments.len()
                ),
            ));
        };
        let left = self.argument(left, scope)?;
        // Equal values of several types would not be told from one another.
        if matches!(left.data_type.inner(), DataType::Variant(_) | DataType::Dynamic { .. }) {
            return Err(error_in(
                scope,
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("Illegal type {} of argument of function {}", left.data_type, call.name),
            ));
        }
        let nulls = self.takes_nulls(&call.name);
        if let Some(query) = self.in_query(right, scope)? {
            self.in_set_name.set(!matches!(right.kind, ExprKind::Subquery(_)));
            let bound = self.in_subquery(left, &query, negated, nulls, scope);
            self.in_set_name.set(false);
            return bound;
        }
        let Some(values) = self.constant_list(right, &left, scope)? else {
            return self.in_expression(left, right, negated, nulls, scope);
        };
        if nulls && can_be_null(&left.data_type) {
            let bound = self.null_in_values(left.clone(), values, negated);
            return bound.or_else(|e| refused_in(left, with_scope(e, scope)));
        }
        if *left.data_type.inner() == DataType::Nothing {
            return self.make_call("materialize", vec![left]);
        }
        match self.set_rows(&left, values) {
            Ok(rows) if rows.is_empty() && in_nothing(&left) => {
                Ok(tree::constant(Value::UInt(negated as u64), DataType::UInt8))
            }
            Ok(rows) => self.fold_in_set(set_of_values(left, rows, negated)),
            Err(error) => refused_in(left, with_scope(error, scope)),
        }
    }

    /// The query on the right: a subquery, or a table by its name.
    fn in_query(&self, right: &Expr, scope: &Scope) -> Result<Option<Query>> {
        match &right.kind {
            ExprKind::Subquery(query) => Ok(Some((**query).clone())),
            ExprKind::Identifier(parts)
                if parts.len() <= 2 && self.resolve(parts, scope)?.is_none() =>
            {
                let (database, name) = match parts.as_slice() {
                    [database, name] => (Some(database.clone()), name.clone()),
                    other => (None, other[0].clone()),
                };
                let from =
                    TableExpr::Table { database, name, alias: None, final_: false, sample: None };
                let select = Select {
                    items: vec![Expr::new(ExprKind::Asterisk(vec![]))],
                    from: Some(from),
                    ..Select::default()
                };
                Ok(Some(Query::new(QueryBody::Select(Box::new(select)))))
            }
            _ => Ok(None),
        }
    }

    fn in_subquery(
        &self,
        left: Tree,
        query: &Query,
        negated: bool,
        nulls: bool,
        scope: &Scope,
    ) -> Result<Tree> {
        let (plan, correlation) = self.correlated_query(query, scope, Use::In)?;
        if let Some(correlation) = correlation {
            return self.correlated_in(left, plan, correlation, negated);
        }
        let width = plan.schema.len();
        let given = left.clone();
        let left = match self.sets_hold_nulls() {
            true => self.as_in_plan(left, &plan)?,
            false => left,
        };
        let types = left_types(&left.data_type, width);
        if types.len() != width {
            return Err(Error::new(
                codes::NUMBER_OF_COLUMNS_DOESNT_MATCH,
                format!(
                    "Number of columns in section IN doesn't match. {} at left, {width} at right.",
                    types.len()
                ),
            ));
        }
        if *left.data_type.inner() == DataType::Nothing && !nulls {
            return match crate::optimize::optimize_in(plan, self.ctx) {
                // Known, but no constant.
                Ok(_) => self.make_call("materialize", vec![left]),
                Err(e) => {
                    let data_type = left.data_type.clone();
                    Ok(tree::call(functions::refused(e, data_type.clone()), vec![left], data_type))
                }
            };
        }
        let text = sql::format::query(query, false);
        let key = xxh3_128(text.as_bytes());
        if nulls && can_be_null(&left.data_type) {
            return self.null_in_plan((given, left), plan, &types, key, negated);
        }
        let plan = self.set_plan(plan, &types)?;
        let set = PlannedSet {
            element_types: types,
            source: SetSource::Subquery(Box::new(plan)),
            built: OnceLock::new(),
        };
        Ok(tree::in_set(left, Arc::new(set), negated, key))
    }

    /// With `transform_null_in` the left side is converted to the types of the subquery, and what does not
    /// fit is an error; without it, it is in no set.
    fn as_in_plan(&self, left: Tree, plan: &Plan) -> Result<Tree> {
        let converted = |tree: Tree, to: &DataType| {
            let (own, to) = (tree.data_type.clone(), to.inner());
            let same = own.inner() == to || [own.inner(), to].contains(&&DataType::Nothing);
            if same || matches!(own, DataType::LowCardinality(_)) {
                return Ok(tree);
            }
            let to = if own.is_nullable() { DataType::nullable(to.clone()) } else { to.clone() };
            let name = tree::constant(Value::string(to.to_string()), DataType::String);
            let cast = self.make_call("accurateCast", vec![tree.clone(), name.clone()]);
            cast.or_else(|_| {
                // Without rows it is no error.
                let later = self.make_call("materialize", vec![tree])?;
                self.make_call("accurateCast", vec![later, name])
            })
        };
        let width = plan.schema.len();
        if width == 1 {
            return converted(left, &plan.schema[0].1);
        }
        let DataType::Tuple(elements) = left.data_type.clone() else { return Ok(left) };
        if elements.len() != width {
            return Ok(left);
        }
        let mut parts = vec![];
        for (index, (_, to)) in plan.schema.iter().enumerate() {
            let place = tree::constant(Value::UInt(index as u64 + 1), DataType::UInt8);
            let part = self.make_call("tupleElement", vec![left.clone(), place])?;
            parts.push(converted(part, to)?);
        }
        self.make_call("tuple", parts)
    }

    /// The subquery's columns as the left side's types; what does not fit becomes NULL, which no set
    /// holds.
    pub(super) fn set_plan(&self, plan: Plan, types: &[DataType]) -> Result<Plan> {
        let same = |own: &DataType, want: &DataType| own.inner() == want;
        if plan.schema.iter().zip(types).all(|((_, own), want)| same(own, want)) {
            return Ok(plan);
        }
        let mut exprs = vec![];
        let mut schema = vec![];
        for (index, ((name, own), want)) in plan.schema.iter().zip(types).enumerate() {
            let column = tree::column(self.fresh(), name.clone(), own.clone());
            let mut available = Available::default();
            available.add(&column, index);
            let cast = if same(own, want) { column } else { self.cast_or_null(column, want)? };
            schema.push((name.clone(), cast.data_type.clone()));
            exprs.push(
                place(&cast, &available).map_err(|_| {
                    Error::new(codes::LOGICAL_ERROR, "a cast reads only its column")
                })?,
            );
        }
        Ok(Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema })
    }

    pub(super) fn cast_or_null(&self, tree: Tree, data_type: &DataType) -> Result<Tree> {
        let own = tree.data_type.inner();
        match (own, data_type) {
            (_, DataType::Array(_) | DataType::Map(..)) => return self.cast(tree, data_type),
            // Zeros at the end do not count, and narrower ones are never equal.
            (DataType::FixedString(width), DataType::FixedString(wanted)) if width < wanted => {
                return Ok(tree::constant(Value::Null, data_type.or_null()));
            }
            (DataType::FixedString(width), DataType::FixedString(wanted)) if width > wanted => {
                let text = self.make_call("toString", vec![tree])?;
                return self.cast_or_null(text, data_type);
            }
            _ => {}
        }
        let target = tree::constant(Value::string(data_type.to_string()), DataType::String);
        self.make_call("accurateCastOrNull", vec![tree, target])
    }

    /// The right side's elements if all are constant.
    fn constant_list(
        &self,
        right: &Expr,
        left: &Tree,
        scope: &Scope,
    ) -> Result<Option<Vec<Typed>>> {
        if right.alias.is_none()
            && let ExprKind::Call(call) = &right.kind
            && matches!(call.name.as_str(), "tuple" | "array")
            && call.over.is_none()
        {
            let mut elements = Vec::with_capacity(call.arguments.len());
            for expr in &call.arguments {
                let tree = self.argument(expr, scope)?;
                let Some(value) = tree.as_constant() else { return Ok(None) };
                elements.push((value.clone(), tree.data_type.clone()));
            }
            return Ok(Some(as_rows(left, elements, call.name == "array")));
        }
        let tree = self.argument(right, scope)?;
        if tree.has.computed {
            return Ok(None);
        }
        let Some(value) = tree.as_constant() else { return Ok(None) };
        let elements: Vec<Typed> = match (value, tree.data_type.without_low_cardinality()) {
            (Value::Array(items), DataType::Array(item)) => {
                return Ok(Some(items.iter().map(|v| (v.clone(), (**item).clone())).collect()));
            }
            (Value::Tuple(items), DataType::Tuple(types)) => {
                items.iter().zip(types).map(|(v, t)| (v.clone(), t.data_type.clone())).collect()
            }
            (value, data_type) => vec![(value.clone(), data_type.clone())],
        };
        Ok(Some(as_rows(left, elements, false)))
    }

    /// Rows of the set, in the left side's element types.
    fn set_rows(&self, left: &Tree, values: Vec<Typed>) -> Result<Vec<Vec<Value>>> {
        let types = element_types(&left.data_type);
        let width = values.len();
        let mut rows = Vec::with_capacity(width);
        'values: for (value, data_type) in values {
            if types.len() == 1 {
                if left.data_type.is_nullable() && holds_null(&value) {
                    // Refused if there is no such tuple on the left.
                    self.set_value(&value, &data_type, &types[0])?;
                    continue;
                }
                if let Some(value) = self.set_value(&value, &data_type, &types[0])? {
                    rows.push(vec![value]);
                }
                continue;
            }
            let (Value::Tuple(items), DataType::Tuple(own)) = (&value, &data_type) else {
                if value.is_null() {
                    continue;
                }
                let code = match width {
                    1 => codes::ILLEGAL_TYPE_OF_ARGUMENT,
                    _ => codes::INCORRECT_ELEMENT_OF_SET,
                };
                let message = format!("Invalid type in set. Expected tuple, got {data_type}");
                return Err(Error::new(code, message));
            };
            if items.len() != types.len() {
                return Err(Error::new(
                    codes::INCORRECT_ELEMENT_OF_SET,
                    format!(
                        "Incorrect size of tuple in set: {} instead of {}",
                        items.len(),
                        types.len()
                    ),
                ));
            }
            let mut row = Vec::with_capacity(items.len());
            for ((item, own), want) in items.iter().zip(own).zip(&types) {
                match self.set_value(item, &own.data_type, want)? {
                    Some(value) => row.push(value),
                    None => continue 'values,
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// `value` as `want`, or None if that type has no such value.
    pub(super) fn set_value(
        &self,
        value: &Value,
        own: &DataType,
        want: &DataType,
    ) -> Result<Option<Value>> {
        if value.is_null() || *want == DataType::Nothing {
            return Ok(None);
        }
        let own = own.inner();
        if own == want {
            return Ok(Some(value.clone()));
        }
        if let Some(fits) = fits_number(value, own, want) {
            return Ok(fits);
        }
        if matches!(want, DataType::Enum8(_) | DataType::Enum16(_)) {
            return Ok(cast_value(value, own, want, self.ctx).ok());
        }
        match cast_value(value, own, want, self.ctx) {
            Ok(converted) => Ok(Some(converted)),
            Err(e) if e.code() == codes::CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN => Err(e),
            Err(e) if want.is_date_or_time() || matches!(want, DataType::FixedString(_)) => Err(e),
            Err(_) if own.is_string() => Err(Error::new(
                codes::TYPE_MISMATCH,
                format!("Cannot convert string {} to type {want}.", value.to_sql()),
            )),
            Err(_) => Err(Error::new(
                codes::TYPE_MISMATCH,
                format!(
                    "Type mismatch in IN or VALUES section. Expected: {want}. Got: {}",
                    value.to_sql()
                ),
            )),
        }
    }

    /// `x IN (a, b)` over expressions: `x = a OR x = b`; over an array: `has(array, x)`.
    fn in_expression(
        &self,
        left: Tree,
        right: &Expr,
        negated: bool,
        nulls: bool,
        scope: &Scope,
    ) -> Result<Tree> {
        let elements = match &right.kind {
            ExprKind::Call(call) if matches!(call.name.as_str(), "tuple" | "array") => {
                self.arguments(&call.arguments, scope)?
            }
            _ => vec![self.argument(right, scope)?],
        };
        let in_array = matches!(elements.as_slice(), [one]
            if matches!(one.data_type.without_low_cardinality(), DataType::Array(_))
                && !matches!(left.data_type.inner(), DataType::Array(_)));
        let array = matches!(&right.kind, ExprKind::Call(call) if call.name == "array");
        if array && !in_array {
            // Its items must have a type in common with what is looked for.
            let items = self.make_call("array", elements.clone())?;
            self.make_call("has", vec![items, left.clone()]).map_err(|e| with_scope(e, scope))?;
        }
        let found = match in_array {
            true => self.make_call("has", vec![elements[0].clone(), left.clone()]),
            false => self.any_equal(&left, &elements, nulls),
        };
        let found = found.map_err(|e| with_scope(e, scope))?;
        let found = if negated { self.make_call("not", vec![found])? } else { found };
        if nulls {
            return Ok(found);
        }
        // NULL alone on the left is NULL; those on the right equal nothing.
        let found = self.cast(found, &DataType::nullable(DataType::UInt8))?;
        if !left.data_type.is_nullable() {
            return Ok(found);
        }
        let null = tree::constant(Value::Null, found.data_type.clone());
        let missing = self.make_call("isNull", vec![left])?;
        self.make_call("if", vec![missing, null, found])
    }

    fn any_equal(&self, left: &Tree, elements: &[Tree], nulls: bool) -> Result<Tree> {
        let equality = if nulls { "isNotDistinctFrom" } else { "equals" };
        let mut equalities = elements
            .iter()
            .map(|e| {
                let equal = self.make_call(equality, vec![left.clone(), e.clone()])?;
                if !equal.data_type.is_nullable() {
                    return Ok(equal);
                }
                let no = tree::constant(Value::UInt(0), DataType::UInt8);
                self.make_call("ifNull", vec![equal, no])
            })
            .collect::<Result<Vec<Tree>>>()?;
        match equalities.len() {
            1 => Ok(equalities.remove(0)),
            _ => self.make_call("or", equalities),
        }
    }

    /// `1 IN (1, 2)` is a constant.
    pub(super) fn fold_in_set(&self, tree: Tree) -> Result<Tree> {
        let tree::Kind::InSet { expr, set, negated } = &tree.kind else { return Ok(tree) };
        let (Some(value), SetSource::Values(rows)) = (expr.as_constant(), &set.source) else {
            return Ok(tree);
        };
        if value.is_null() {
            return Ok(tree::constant(Value::Null, tree.data_type.clone()));
        }
        let constant = if expr.has.computed { tree::computed_constant } else { tree::constant };
        let found = rows.iter().any(|row| match (row.as_slice(), value) {
            ([one], value) => one == value,
            (many, Value::Tuple(items)) => many == items.as_slice(),
            _ => false,
        });
        Ok(constant(Value::UInt((found != *negated) as u64), tree.data_type.clone()))
    }
}

/// Whether `left` need not be computed to be in no set that is empty.
pub(super) fn in_nothing(left: &Tree) -> bool {
    !left.data_type.is_nullable()
        && !matches!(left.data_type, DataType::LowCardinality(_))
        && !loud(left)
}

/// A set that cannot be made is an error of those who read it.
fn refused_in(left: Tree, error: Error) -> Result<Tree> {
    if left.as_constant().is_some() {
        return Err(error);
    }
    let data_type = crate::plan::in_set_type(&left.data_type);
    let function = functions::refused(error, data_type.clone());
    Ok(tree::call(function, vec![left], data_type))
}

pub(super) fn set_of_values(left: Tree, rows: Vec<Vec<Value>>, negated: bool) -> Tree {
    let mut text = String::new();
    for row in &rows {
        for value in row {
            text.push_str(&value.to_sql());
            text.push('\u{1}');
        }
        text.push('\u{2}');
    }
    let set = PlannedSet {
        element_types: element_types(&left.data_type),
        source: SetSource::Values(rows),
        built: OnceLock::new(),
    };
    tree::in_set(left, Arc::new(set), negated, xxh3_128(text.as_bytes()))
}

/// Element types of the left side: those of a tuple's elements, or the one type; never Nullable. A tuple
/// that can be NULL itself is one element.
pub(super) fn element_types(left: &DataType) -> Vec<DataType> {
    match left.inner() {
        DataType::Tuple(elements) if !left.is_nullable() => {
            elements.iter().map(|e: &TupleElement| e.data_type.inner().clone()).collect()
        }
        other => vec![other.clone()],
    }
}

/// Like [`element_types`], but a tuple may also be compared as one column.
fn left_types(left: &DataType, width: usize) -> Vec<DataType> {
    let types = element_types(left);
    if types.len() != width && width == 1 { vec![left.inner().clone()] } else { types }
}

/// `(a, b) IN (1, 2)` means one row; `(a, b) IN ((1, 2), (3, 4))` two.
fn as_rows(left: &Tree, elements: Vec<Typed>, array: bool) -> Vec<Typed> {
    let DataType::Tuple(own) = left.data_type.inner() else { return elements };
    let tuple = |t: &DataType| matches!(t.inner(), DataType::Tuple(_));
    let all_tuples = elements.iter().any(|(_, t)| tuple(t))
        && elements.iter().all(|(v, t)| tuple(t) || v.is_null());
    if array || all_tuples || elements.len() != own.len() {
        return elements;
    }
    let (values, types): (Vec<Value>, Vec<DataType>) = elements.into_iter().unzip();
    let types = types.into_iter().map(|data_type| TupleElement { name: None, data_type }).collect();
    vec![(Value::Tuple(values), DataType::Tuple(types))]
}

/// Whether a tuple has a NULL in it.
fn holds_null(value: &Value) -> bool {
    matches!(value, Value::Tuple(items) if items.iter().any(|i| i.is_null() || holds_null(i)))
}

/// For numbers: `Some(None)` if `want` cannot hold the value, `None` if this is no matter of numbers.
fn fits_number(value: &Value, own: &DataType, want: &DataType) -> Option<Option<Value>> {
    if !own.is_number() || !want.is_number() {
        return None;
    }
    let integer = match value {
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e30 => Some(*f as i128),
        other => other.as_i128(),
    };
    if want.is_float() {
        return Some(value.as_f64().map(Value::Float));
    }
    let range: (i128, i128) = match want {
        DataType::Bool => (0, 1),
        DataType::UInt8 => (0, u8::MAX as i128),
        DataType::UInt16 => (0, u16::MAX as i128),
        DataType::UInt32 => (0, u32::MAX as i128),
        DataType::UInt64 => (0, u64::MAX as i128),
        DataType::Int8 => (i8::MIN as i128, i8::MAX as i128),
        DataType::Int16 => (i16::MIN as i128, i16::MAX as i128),
        DataType::Int32 => (i32::MIN as i128, i32::MAX as i128),
        DataType::Int64 => (i64::MIN as i128, i64::MAX as i128),
        _ => return None,
    };
    let Some(integer) = integer else { return Some(None) };
    if integer < range.0 || integer > range.1 {
        return Some(None);
    }
    Some(Some(if range.0 < 0 {
        Value::Int(integer as i64)
    } else if matches!(want, DataType::Bool) {
        Value::Bool(integer != 0)
    } else {
        Value::UInt(integer as u64)
    }))
}

/// An expression that is one column of its input.
pub(super) fn column_expr(index: usize, data_type: &DataType) -> BoundExpr {
    BoundExpr::Column { index, data_type: data_type.clone() }
}
