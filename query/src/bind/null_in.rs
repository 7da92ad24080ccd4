//! IN where NULL is a value like others: `transform_null_in`, `nullIn`, `notNullIn`.
//!
//! Sets hold no NULLs, so every element that may be NULL becomes two: whether it is NULL, and its value
//! (or the type's default). The result is never NULL. Correlated subqueries stay as without the setting.

use std::sync::{Arc, OnceLock};

use pumphouse_storage::{Column, DataType, Value};

use super::Binder;
use super::in_set::{Typed, element_types, in_nothing, set_of_values};
use super::place::{Available, place};
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, PlanNode, PlannedSet, SetSource};

/// Whether a left side has parts that may be NULL.
pub(super) fn can_be_null(left: &DataType) -> bool {
    let nullable = |t: &DataType| t.is_nullable();
    match left.inner() {
        DataType::Tuple(elements) if !nullable(left) => {
            elements.iter().any(|e| nullable(&e.data_type))
        }
        _ => nullable(left),
    }
}

impl Binder<'_> {
    /// Whether a call of this name takes NULL as a value. By the name alone only on its left side.
    pub(super) fn takes_nulls(&self, name: &str) -> bool {
        let by_name = ["nullin", "notnullin", "globalnullin", "globalnotnullin"];
        by_name.iter().any(|n| name.eq_ignore_ascii_case(n)) || self.sets_hold_nulls()
    }

    pub(super) fn sets_hold_nulls(&self) -> bool {
        self.setting(|s| s.bool("transform_null_in", false))
    }

    pub(super) fn null_in_values(
        &self,
        left: Tree,
        values: Vec<Typed>,
        negated: bool,
    ) -> Result<Tree> {
        let types = element_types(&left.data_type);
        if types == [DataType::Nothing] {
            let found = self.sets_hold_nulls() && values.iter().any(|(v, _)| v.is_null());
            return Ok(tree::constant(Value::UInt((found != negated) as u64), DataType::UInt8));
        }
        let mut rows = vec![];
        for typed in values {
            let Some(items) = split(typed, types.len())? else { continue };
            if let Some(row) = self.doubled_values(items, &types)? {
                rows.push(row);
            }
        }
        if rows.is_empty() && in_nothing(&left) {
            return Ok(tree::constant(Value::UInt(negated as u64), DataType::UInt8));
        }
        let own = left.data_type.clone();
        let set = set_of_values(self.doubled((left.clone(), left), &types)?, rows, negated);
        self.as_left(self.fold_in_set(set)?, &own)
    }

    pub(super) fn null_in_plan(
        &self,
        (given, left): (Tree, Tree),
        plan: Plan,
        types: &[DataType],
        key: u128,
        negated: bool,
    ) -> Result<Tree> {
        // A bare NULL on the left has no type to compare in.
        let own = plan.schema.iter().map(|(_, own)| own.inner());
        let types = types.iter().zip(own).map(|(t, own)| match t.inner() {
            DataType::Nothing => own.clone(),
            _ => t.clone(),
        });
        let types: Vec<DataType> = types.collect();
        let plan = self.doubled_plan(plan, &types)?;
        let element_types = types.iter().flat_map(|t| [DataType::UInt8, t.clone()]).collect();
        let source = SetSource::Subquery(Box::new(plan));
        let set = PlannedSet { element_types, source, built: OnceLock::new() };
        let own = left.data_type.clone();
        // The same subquery without the setting is another set.
        let doubled = self.doubled((given, left), &types)?;
        self.as_left(tree::in_set(doubled, Arc::new(set), negated, !key), &own)
    }

    /// The result keeps a LowCardinality of the left side.
    fn as_left(&self, tree: Tree, left: &DataType) -> Result<Tree> {
        match left {
            DataType::LowCardinality(_) => self.make_call("toLowCardinality", vec![tree]),
            _ => Ok(tree),
        }
    }

    /// The left side, as it was given and converted, as `(isNull(x), ifNull(x, default), …)`.
    fn doubled(&self, (given, left): (Tree, Tree), types: &[DataType]) -> Result<Tree> {
        let mut parts = vec![];
        for (index, data_type) in types.iter().enumerate() {
            let part = |tree: &Tree| match tree.data_type.inner() {
                DataType::Tuple(elements)
                    if elements.len() == types.len() && !tree.data_type.is_nullable() =>
                {
                    let place = tree::constant(Value::UInt(index as u64 + 1), DataType::UInt8);
                    self.make_call("tupleElement", vec![tree.clone(), place])
                }
                _ => Ok(tree.clone()),
            };
            parts.push(self.make_call("isNull", vec![part(&given)?])?);
            parts.push(self.value_or_default(part(&left)?, data_type)?);
        }
        self.make_call("tuple", parts)
    }

    fn value_or_default(&self, tree: Tree, data_type: &DataType) -> Result<Tree> {
        if *tree.data_type.inner() == DataType::Nothing {
            return Ok(default_of(data_type));
        }
        let value = self.make_call("ifNull", vec![tree, default_of(data_type)])?;
        self.cast(value, data_type)
    }

    fn doubled_values(&self, items: Vec<Typed>, types: &[DataType]) -> Result<Option<Vec<Value>>> {
        let mut row = vec![];
        for ((value, own), want) in items.into_iter().zip(types) {
            if value.is_null() && !self.sets_hold_nulls() {
                return Ok(None);
            }
            if value.is_null() {
                row.extend([Value::UInt(1), Column::default_values(want.clone(), 1).value(0)]);
                continue;
            }
            let Some(value) = self.set_value(&value, &own, want)? else { return Ok(None) };
            row.extend([Value::UInt(0), value]);
        }
        Ok(Some(row))
    }

    /// Columns in pairs. A value that the left type does not have gets a mark that matches nothing.
    fn doubled_plan(&self, plan: Plan, types: &[DataType]) -> Result<Plan> {
        let (mut exprs, mut schema) = (vec![], vec![]);
        for (index, ((name, own), want)) in plan.schema.iter().zip(types).enumerate() {
            let column = tree::column(self.fresh(), name.clone(), own.clone());
            let mut available = Available::default();
            available.add(&column, index);
            let cast = match own.inner() == want {
                true => column.clone(),
                false => self.cast_or_null(column.clone(), want)?,
            };
            let number = |n: u64| tree::constant(Value::UInt(n), DataType::UInt8);
            let null = |t: &Tree| self.make_call("isNull", vec![t.clone()]);
            let null_mark = if self.sets_hold_nulls() { 1 } else { 2 };
            let mark = vec![null(&column)?, number(null_mark), null(&cast)?, number(2), number(0)];
            let mark = self.make_call("multiIf", mark)?;
            for tree in [mark, self.value_or_default(cast, want)?] {
                schema.push((name.clone(), tree.data_type.clone()));
                let placed = place(&tree, &available);
                exprs.push(placed.map_err(|_| {
                    Error::new(codes::LOGICAL_ERROR, "a set's element reads only its column")
                })?);
            }
        }
        Ok(Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema })
    }
}

fn default_of(data_type: &DataType) -> Tree {
    tree::constant(Column::default_values(data_type.clone(), 1).value(0), data_type.clone())
}

/// One value of the right side as a row of `width` elements; none for a NULL in place of a tuple.
fn split(typed: Typed, width: usize) -> Result<Option<Vec<Typed>>> {
    if width == 1 {
        return Ok(Some(vec![typed]));
    }
    match typed {
        (Value::Tuple(items), DataType::Tuple(types)) if items.len() == width => {
            Ok(Some(items.into_iter().zip(types.into_iter().map(|t| t.data_type)).collect()))
        }
        (Value::Null, _) => Ok(None),
        (_, data_type) => Err(Error::new(
            codes::INCORRECT_ELEMENT_OF_SET,
            format!("Invalid type in set. Expected a tuple of {width} elements, got {data_type}"),
        )),
    }
}
