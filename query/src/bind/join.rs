//! JOIN: which parts of ON are key pairs, which filter one side, which remain; USING's merged
//! columns; what an unmatched side becomes.

use std::collections::HashMap;

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::aliases;
use super::from::Source;
use super::names::error_in;
use super::place::{Available, Missing, place};
use super::scope::{Merged, Scope};
use super::tree::{self, Kind, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::promote::common_type;
use crate::plan::{AsofOperator, BoundExpr, JoinNode, Plan, PlanNode};
use crate::sql;
use crate::sql::ast::*;

/// ON, taken apart.
#[derive(Default)]
struct Condition {
    left_keys: Vec<Tree>,
    right_keys: Vec<Tree>,
    asof: Option<(Tree, AsofOperator, Tree)>,
    left_filter: Vec<Tree>,
    right_filter: Vec<Tree>,
    residual: Vec<Tree>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    None,
    Left,
    Right,
    Both,
}

impl Binder<'_> {
    pub(super) fn join(&self, join: &Join, scope: &Scope) -> Result<Source> {
        let mut left = self.from(&join.left, scope)?;
        let mut right = self.from(&join.right, scope)?;
        let mut condition = Condition::default();
        let mut using = vec![];
        match &join.constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(expr) => {
                let on = self.on_tree(expr, &left, &right, scope)?;
                self.take_apart(&on, join, &left, &right, &mut condition)?;
            }
            JoinConstraint::Using(exprs) => {
                using =
                    self.using_keys(exprs, join, &mut left, &mut right, &mut condition, scope)?;
            }
        }
        self.check_condition(join, &condition, scope)?;
        if let Some(rule) = super::table_forms::join_rule(&right.plan) {
            self.check_join_table(join, rule, &condition.right_keys)?;
        }
        let marker =
            (!using.is_empty() && join.kind == JoinKind::Full).then(|| self.mark(&mut left));
        filter_side(&mut left, std::mem::take(&mut condition.left_filter), self)?;
        filter_side(&mut right, std::mem::take(&mut condition.right_filter), self)?;
        self.combine(join, left, right, condition, using, marker)
    }

    fn on_tree(&self, expr: &Expr, left: &Source, right: &Source, scope: &Scope) -> Result<Tree> {
        let mut inner = Scope::select(scope.parent, scope.select);
        inner.ctes = scope.ctes.clone();
        inner.aliases = match scope.select {
            Some(select) => aliases::of_select(select)?,
            None => scope.aliases.clone(),
        };
        inner.tables = left.tables.iter().chain(&right.tables).cloned().collect();
        inner.using = left.using.iter().chain(&right.using).cloned().collect();
        inner.joins = left.joins + right.joins + 1;
        let tree = self.expression(expr, &inner)?;
        if tree.has.aggregate || tree.has.window {
            return Err(Error::new(
                codes::ILLEGAL_AGGREGATION,
                "Aggregate functions are not allowed in JOIN ON",
            ));
        }
        Ok(tree)
    }

    fn take_apart(
        &self,
        on: &Tree,
        join: &Join,
        left: &Source,
        right: &Source,
        condition: &mut Condition,
    ) -> Result<()> {
        let mut parts = vec![];
        conjuncts(on, &mut parts);
        for part in parts {
            if let Some(value) = part.as_constant()
                && value.as_f64().is_some_and(|v| v != 0.0)
            {
                continue;
            }
            if let Some((name, a, b)) = binary_call(&part) {
                let sides = (side_of(a, left, right), side_of(b, left, right));
                let pair = match sides {
                    (Side::Left, Side::Right) => Some((a, b, false)),
                    (Side::Right, Side::Left) => Some((b, a, true)),
                    _ => None,
                };
                if let Some((l, r, swapped)) = pair {
                    if name == "equals" {
                        self.key_pair(l.clone(), r.clone(), condition)?;
                        continue;
                    }
                    if join.strictness == JoinStrictness::Asof
                        && condition.asof.is_none()
                        && let Some(operator) = asof_operator(name, swapped)
                    {
                        let (l, r) = self.same_type(l.clone(), r.clone())?;
                        condition.asof = Some((l, operator, r));
                        continue;
                    }
                }
            }
            let side = side_of(&part, left, right);
            match (side, join.kind) {
                (Side::Left, JoinKind::Inner | JoinKind::Right) => condition.left_filter.push(part),
                (Side::Right, JoinKind::Inner | JoinKind::Left) => {
                    condition.right_filter.push(part);
                }
                _ => condition.residual.push(part),
            }
        }
        Ok(())
    }

    fn check_condition(&self, join: &Join, condition: &Condition, scope: &Scope) -> Result<()> {
        let needs_keys = join.strictness == JoinStrictness::Asof
            || (condition.left_keys.is_empty()
                && matches!(join.kind, JoinKind::Left | JoinKind::Right | JoinKind::Full)
                && matches!(join.constraint, JoinConstraint::None));
        if needs_keys && condition.left_keys.is_empty() {
            let text = match &join.constraint {
                JoinConstraint::On(expr) => sql::format::expr(expr),
                _ => String::new(),
            };
            return Err(error_in(
                scope,
                codes::INVALID_JOIN_ON_EXPRESSION,
                format!("Cannot determine join keys in JOIN ON expression {text}."),
            ));
        }
        if join.strictness == JoinStrictness::Asof && condition.asof.is_none() {
            return Err(error_in(
                scope,
                codes::INVALID_JOIN_ON_EXPRESSION,
                "ASOF JOIN requires exactly one inequality in its ON section.",
            ));
        }
        Ok(())
    }

    fn key_pair(&self, left: Tree, right: Tree, condition: &mut Condition) -> Result<()> {
        let (left, right) = self.same_type(left, right)?;
        condition.left_keys.push(left);
        condition.right_keys.push(right);
        Ok(())
    }

    /// Both as their common type.
    fn same_type(&self, left: Tree, right: Tree) -> Result<(Tree, Tree)> {
        if left.data_type == right.data_type {
            return Ok((left, right));
        }
        let plain = |t: &Tree| t.data_type.without_low_cardinality().without_nullable();
        if plain(&left) == plain(&right) {
            return Ok((left, right));
        }
        let (l, r) = (plain(&left), plain(&right));
        if l.is_integer() && r.is_integer() && [&l, &r].contains(&&DataType::UInt256) {
            // No integer holds both; what is negative equals nothing.
            let word = |t: Tree| self.cast_or_null(t, &DataType::UInt256);
            return Ok((word(left)?, word(right)?));
        }
        let common = match common_type(&[l.clone(), r.clone()]) {
            // Int64 and UInt64 are compared by value.
            Err(_) if are_words(&l, &r) => Ok(DataType::Int128),
            other => other,
        };
        let common = common.map_err(|_| {
            let numbers = l.is_number() && r.is_number();
            let other = |t: &DataType| t.is_number() || t.is_date_or_time() || *t == DataType::Uuid;
            let beside_text = l.is_string() && other(&r) || other(&l) && r.is_string();
            Error::new(
                if numbers || beside_text { codes::NO_COMMON_TYPE } else { codes::TYPE_MISMATCH },
                format!(
                    "Can't infer common type for joined columns: {} and {}",
                    left.data_type, right.data_type
                ),
            )
        })?;
        let as_common = |t: Tree| {
            let want = if t.data_type.is_nullable() {
                DataType::nullable(common.clone())
            } else {
                common.clone()
            };
            self.cast(t, &want)
        };
        Ok((as_common(left)?, as_common(right)?))
    }

    /// The keys of USING; yields the names that it merges. Both sides' columns take the common type.
    fn using_keys(
        &self,
        exprs: &[Expr],
        join: &Join,
        left: &mut Source,
        right: &mut Source,
        condition: &mut Condition,
        scope: &Scope,
    ) -> Result<Vec<String>> {
        let mut names = vec![];
        for (position, expr) in exprs.iter().enumerate() {
            let ExprKind::Identifier(parts) = &expr.kind else {
                return Err(error_in(
                    scope,
                    codes::UNSUPPORTED_METHOD,
                    "JOIN USING expects column names.",
                ));
            };
            let name = parts.join(".");
            let find = |source: &Source, what: &str| {
                side_column(source, &name).ok_or_else(|| {
                    error_in(
                        scope,
                        codes::UNKNOWN_IDENTIFIER,
                        format!(
                            "JOIN using identifier '{name}' cannot be resolved from {what} table expression."
                        ),
                    )
                })
            };
            let (l, r) = (find(left, "left")?, find(right, "right")?);
            let (new_l, new_r) = self.same_type(l.clone(), r.clone())?;
            let (shown_l, shown_r) = match *new_l.data_type.inner() == DataType::Int128
                && are_words(l.data_type.inner(), r.data_type.inner())
            {
                true => (self.as_word(l.clone())?, self.as_word(r.clone())?),
                false => (new_l.clone(), new_r.clone()),
            };
            replace_column(left, &name, &l, &shown_l);
            replace_column(right, &name, &r, &shown_r);
            if join.strictness == JoinStrictness::Asof && position + 1 == exprs.len() {
                condition.asof = Some((new_l, AsofOperator::GreaterOrEquals, new_r));
            } else {
                condition.left_keys.push(new_l);
                condition.right_keys.push(new_r);
            }
            names.push(name);
        }
        Ok(names)
    }

    /// What USING shows of an Int64 and a UInt64.
    fn as_word(&self, tree: Tree) -> Result<Tree> {
        let word = match tree.data_type.is_nullable() {
            true => DataType::nullable(DataType::UInt64),
            false => DataType::UInt64,
        };
        self.cast(tree, &word)
    }

    /// Adds a column of ones to the left side: after a FULL join it tells matched rows.
    fn mark(&self, left: &mut Source) -> Tree {
        let marker = tree::column(self.fresh(), "matched", DataType::UInt8);
        let mut exprs: Vec<BoundExpr> = left
            .plan
            .schema
            .iter()
            .enumerate()
            .map(|(i, (_, t))| super::in_set::column_expr(i, t))
            .collect();
        exprs.push(BoundExpr::Constant { value: Value::UInt(1), data_type: DataType::UInt8 });
        let mut schema = left.plan.schema.clone();
        left.available.add(&marker, schema.len());
        schema.push(("matched".into(), DataType::UInt8));
        let nothing = Plan { node: PlanNode::OneRow, schema: vec![] };
        let input = Box::new(std::mem::replace(&mut left.plan, nothing));
        left.plan = Plan { node: PlanNode::Project { input, exprs }, schema };
        marker
    }

    fn combine(
        &self,
        join: &Join,
        mut left: Source,
        mut right: Source,
        condition: Condition,
        using: Vec<String>,
        marker: Option<Tree>,
    ) -> Result<Source> {
        let keys = |trees: &[Tree], source: &Source| {
            trees
                .iter()
                .map(|t| place(t, &source.available).map_err(misplaced))
                .collect::<Result<Vec<BoundExpr>>>()
        };
        let left_keys: Vec<BoundExpr> = keys(&condition.left_keys, &left)?;
        let right_keys: Vec<BoundExpr> = keys(&condition.right_keys, &right)?;
        let asof = match &condition.asof {
            None => None,
            Some((l, operator, r)) => Some((
                place(l, &left.available).map_err(misplaced)?,
                *operator,
                place(r, &right.available).map_err(misplaced)?,
            )),
        };
        let mut both = left.available.clone();
        both.append(&right.available, left.plan.schema.len());
        let residual = self
            .conjunction(condition.residual.clone())?
            .map(|t| place(&t, &both).map_err(misplaced))
            .transpose()?;
        let use_nulls = self.setting(|s| s.bool("join_use_nulls", false));
        if use_nulls && matches!(join.kind, JoinKind::Right | JoinKind::Full) {
            self.make_nullable(&mut left)?;
        }
        if use_nulls && matches!(join.kind, JoinKind::Left | JoinKind::Full) {
            self.make_nullable(&mut right)?;
        }
        let mut merged = vec![];
        for name in &using {
            merged.push(self.merged(name, join, &left, &right, &marker)?);
        }
        let mut equal = left.equal;
        equal.extend(right.equal.iter().copied());
        if join.kind == JoinKind::Inner {
            for (l, r) in condition.left_keys.iter().zip(&condition.right_keys) {
                equal.insert((uncast(l).key, uncast(r).key));
            }
        }
        let mut available = left.available;
        available.append(&right.available, left.plan.schema.len());
        let mut schema = left.plan.schema.clone();
        schema.extend(right.plan.schema.iter().cloned());
        let kind = match join.kind {
            JoinKind::Comma => JoinKind::Cross,
            JoinKind::Inner if left_keys.is_empty() && join.strictness != JoinStrictness::Asof => {
                JoinKind::Cross
            }
            other => other,
        };
        let strictness = match join.strictness {
            JoinStrictness::Unspecified => self.default_strictness(),
            other => other,
        };
        let tables = left.tables.into_iter().chain(right.tables).collect();
        merged
            .extend(left.using.into_iter().chain(right.using).filter(|m| !using.contains(&m.name)));
        let node = PlanNode::Join(Box::new(JoinNode {
            left: left.plan,
            right: right.plan,
            kind,
            strictness,
            left_keys,
            right_keys,
            asof,
            residual,
            use_nulls,
            unread: vec![],
            filters: vec![],
        }));
        let joins = left.joins + right.joins + 1;
        let plan = Plan { node, schema };
        Ok(Source { plan, available, tables, using: merged, equal, joins })
    }

    fn default_strictness(&self) -> JoinStrictness {
        self.setting(|s| match s.get("join_default_strictness") {
            Some("ANY") => JoinStrictness::Any,
            _ => JoinStrictness::All,
        })
    }

    /// The one column that USING makes of both sides'.
    fn merged(
        &self,
        name: &str,
        join: &Join,
        left: &Source,
        right: &Source,
        marker: &Option<Tree>,
    ) -> Result<Merged> {
        let missing = || Error::new(codes::LOGICAL_ERROR, "a USING column is in both tables");
        let l = side_column(left, name).ok_or_else(missing)?;
        let r = side_column(right, name).ok_or_else(missing)?;
        let shown = (join.kind != JoinKind::Right).then_some(l.key);
        let tree = match (join.kind, marker) {
            (JoinKind::Right, _) => r,
            (JoinKind::Full, _) if l.data_type.is_nullable() => {
                self.make_call("ifNull", vec![l, r])?
            }
            (JoinKind::Full, Some(marker)) => self.make_call("if", vec![marker.clone(), l, r])?,
            _ => l,
        };
        Ok(Merged { name: name.to_string(), tree, shown })
    }

    /// All columns of a side that may have no match, as Nullable.
    fn make_nullable(&self, source: &mut Source) -> Result<()> {
        let mut new_trees: HashMap<u128, Tree> = HashMap::new();
        let mut available = Available::default();
        for table in &source.tables {
            for column in &table.columns {
                self.nullable_columns(&column.tree, source, &mut new_trees, &mut available);
            }
        }
        for column in &mut source.plan.schema {
            column.1 = column.1.or_null();
        }
        for table in &mut source.tables {
            for column in &mut table.columns {
                column.tree = self.rebuild(&column.tree, &new_trees)?;
            }
        }
        for merged in &mut source.using {
            merged.tree = self.rebuild(&merged.tree, &new_trees)?;
            merged.shown = merged.shown.map(|s| new_trees.get(&s).map_or(s, |t| t.key));
        }
        source.available = available;
        Ok(())
    }

    fn nullable_columns(
        &self,
        tree: &Tree,
        source: &Source,
        new_trees: &mut HashMap<u128, Tree>,
        available: &mut Available,
    ) {
        let mut columns = vec![];
        tree::collect(tree, &|n| matches!(n.kind, Kind::Column { .. }), &mut columns);
        for column in columns {
            let Kind::Column { name, .. } = &column.kind else { continue };
            let Some(index) = source.available.find(&column) else { continue };
            let new = new_trees.entry(column.key).or_insert_with(|| {
                tree::column(self.fresh(), name.clone(), column.data_type.or_null())
            });
            available.add(new, index);
        }
    }

    /// `tree` with some of its parts replaced, typed anew.
    pub(super) fn rebuild(&self, tree: &Tree, replace: &HashMap<u128, Tree>) -> Result<Tree> {
        if let Some(new) = replace.get(&tree.key) {
            return Ok(new.clone());
        }
        match &tree.kind {
            Kind::Call { function, arguments } if is_cast(tree) => {
                let new = self.rebuild(&arguments[0], replace)?;
                let plain = !arguments[0].data_type.is_nullable() && !tree.data_type.is_nullable();
                if plain && new.data_type.is_nullable() {
                    return self.cast(new, &tree.data_type.or_null());
                }
                let mut arguments = arguments.clone();
                arguments[0] = new;
                self.make_function_call(function.clone(), arguments)
            }
            Kind::Call { function, arguments } => {
                let arguments = arguments
                    .iter()
                    .map(|a| self.rebuild(a, replace))
                    .collect::<Result<Vec<Tree>>>()?;
                self.make_function_call(function.clone(), arguments)
            }
            Kind::Lambda { level, parameters, body } => {
                Ok(tree::lambda(*level, parameters.clone(), self.rebuild(body, replace)?))
            }
            _ => Ok(tree.clone()),
        }
    }

    /// All of `trees` joined by AND.
    pub(super) fn conjunction(&self, mut trees: Vec<Tree>) -> Result<Option<Tree>> {
        match trees.len() {
            0 => Ok(None),
            1 => Ok(trees.pop()),
            _ => self.make_call("and", trees).map(Some),
        }
    }
}

/// Integers of at most 64 bits.
fn are_words(l: &DataType, r: &DataType) -> bool {
    [l, r].iter().all(|t| t.is_integer() && crate::functions::promote::bits(t) <= 64)
}

/// Splits AND, at any depth.
pub(super) fn conjuncts(tree: &Tree, parts: &mut Vec<Tree>) {
    match &tree.kind {
        Kind::Call { function, arguments } if function.name() == "and" => {
            arguments.iter().for_each(|a| conjuncts(a, parts));
        }
        _ => parts.push(tree.clone()),
    }
}

fn binary_call(tree: &Tree) -> Option<(&str, &Tree, &Tree)> {
    match &tree.kind {
        Kind::Call { function, arguments } => match arguments.as_slice() {
            [a, b] => Some((function.name(), a, b)),
            _ => None,
        },
        _ => None,
    }
}

fn side_of(tree: &Tree, left: &Source, right: &Source) -> Side {
    let mut columns = vec![];
    tree::collect(tree, &|n| matches!(n.kind, Kind::Column { .. }), &mut columns);
    let mut side = Side::None;
    for column in &columns {
        let own = if left.available.find(column).is_some() {
            Side::Left
        } else if right.available.find(column).is_some() {
            Side::Right
        } else {
            Side::Both
        };
        side = match side {
            Side::None => own,
            same if same == own => same,
            _ => Side::Both,
        };
    }
    side
}

fn asof_operator(name: &str, swapped: bool) -> Option<AsofOperator> {
    use AsofOperator::*;
    Some(match (name, swapped) {
        ("greater", false) | ("less", true) => Greater,
        ("greaterOrEquals", false) | ("lessOrEquals", true) => GreaterOrEquals,
        ("less", false) | ("greater", true) => Less,
        ("lessOrEquals", false) | ("greaterOrEquals", true) => LessOrEquals,
        _ => return None,
    })
}

fn side_column(source: &Source, name: &str) -> Option<Tree> {
    if let Some(merged) = source.using.iter().find(|m| m.name == name) {
        return Some(merged.tree.clone());
    }
    source.tables.iter().find_map(|t| t.column(name)).map(|c| c.tree.clone())
}

fn replace_column(source: &mut Source, name: &str, old: &Tree, new: &Tree) {
    for table in &mut source.tables {
        for column in &mut table.columns {
            if column.name == name && column.tree.key == old.key {
                column.tree = new.clone();
            }
        }
    }
    for merged in source.using.iter_mut().filter(|m| m.name == name) {
        merged.tree = new.clone();
    }
}

pub(super) fn filter_side(source: &mut Source, filters: Vec<Tree>, binder: &Binder) -> Result<()> {
    let Some(filter) = binder.conjunction(filters)? else { return Ok(()) };
    let predicate = place(&filter, &source.available).map_err(misplaced)?;
    let schema = source.plan.schema.clone();
    let nothing = Plan { node: PlanNode::OneRow, schema: vec![] };
    let input = Box::new(std::mem::replace(&mut source.plan, nothing));
    source.plan = Plan { node: PlanNode::Filter { input, predicate }, schema };
    Ok(())
}

/// The column under a cast.
fn uncast(tree: &Tree) -> &Tree {
    match &tree.kind {
        Kind::Call { arguments, .. } if is_cast(tree) => &arguments[0],
        _ => tree,
    }
}

fn is_cast(tree: &Tree) -> bool {
    matches!(&tree.kind, Kind::Call { function, arguments }
        if matches!(function.name(), "CAST" | "_CAST") && arguments.len() == 2)
}

fn misplaced(missing: Missing) -> Error {
    let what = match &missing.0.kind {
        Kind::Column { name, .. } => name.as_str(),
        _ => "an expression",
    };
    Error::new(codes::LOGICAL_ERROR, format!("{what} is not available in JOIN"))
}
