//! ORDER BY, LIMIT BY and LIMIT: keys as trees, positions resolved, limits as numbers, WITH FILL's
//! bounds in the key's type.

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::names::error_in;
use super::scope::Scope;
use super::star::Item;
use super::tree::{OrderKey, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::cast::cast_value;
use crate::plan::FillSpec;
use crate::sql;
use crate::sql::ast::*;

/// NULLs (and NaN) come last in both directions unless the query says otherwise.
pub(super) fn default_nulls_first() -> bool {
    false
}

/// LIMIT and OFFSET as numbers.
#[derive(Default)]
pub(super) struct LimitNumbers {
    pub limit: Option<u64>,
    pub offset: u64,
    pub ties: bool,
}

/// LIMIT n OFFSET m BY keys.
pub(super) struct LimitByKeys {
    pub limit: u64,
    pub offset: u64,
    pub keys: Vec<Tree>,
}

impl Binder<'_> {
    pub(super) fn order_keys(
        &self,
        select: &Select,
        items: &[Item],
        scope: &Scope,
    ) -> Result<Vec<OrderKey>> {
        if select.order_by_all {
            let first = select.order_by.first();
            return Ok(items
                .iter()
                .map(|item| OrderKey {
                    tree: item.tree.clone(),
                    descending: first.is_some_and(|o| o.descending),
                    nulls_first: first.and_then(|o| o.nulls_first).unwrap_or(default_nulls_first()),
                    fill: None,
                })
                .collect());
        }
        let mut keys = vec![];
        for item in &select.order_by {
            let trees = self.positional_or_trees(&item.expr, items, scope)?;
            for tree in trees {
                let setting = "allow_suspicious_types_in_order_by";
                self.check_key_type(&tree.data_type, "ORDER BY", setting)?;
                let fill = match &item.fill {
                    Some(fill) => Some(self.fill(fill, &tree, item.descending, scope)?),
                    None => None,
                };
                keys.push(OrderKey {
                    tree,
                    descending: item.descending,
                    nulls_first: item.nulls_first.unwrap_or(default_nulls_first()),
                    fill,
                });
            }
        }
        Ok(keys)
    }

    pub(super) fn limit_by_keys(
        &self,
        select: &Select,
        items: &[Item],
        scope: &Scope,
    ) -> Result<Option<LimitByKeys>> {
        if let Some(Distinct::On(exprs)) = &select.distinct {
            let keys = self.key_trees(exprs, items, scope)?;
            return Ok(Some(LimitByKeys { limit: 1, offset: 0, keys }));
        }
        let Some(clause) = &select.limit_by else { return Ok(None) };
        let limit = self.limit_number(&clause.limit, "LIMIT", scope)?;
        let offset = match &clause.offset {
            Some(offset) => self.limit_number(offset, "OFFSET", scope)?,
            None => 0,
        };
        let all = matches!(clause.by.as_slice(),
            [Expr { kind: ExprKind::Identifier(parts), .. }]
                if parts.len() == 1 && parts[0].eq_ignore_ascii_case("ALL"));
        let keys = if all && self.resolve(&["ALL".into()], scope)?.is_none() {
            items.iter().map(|i| i.tree.clone()).collect()
        } else {
            self.key_trees(&clause.by, items, scope)?
        };
        Ok(Some(LimitByKeys { limit, offset, keys }))
    }

    fn key_trees(&self, exprs: &[Expr], items: &[Item], scope: &Scope) -> Result<Vec<Tree>> {
        let mut keys = vec![];
        for expr in exprs {
            keys.extend(self.positional_or_trees(expr, items, scope)?);
        }
        Ok(keys)
    }

    /// A position stands for that result column; an asterisk for several; else the expression.
    pub(super) fn positional_or_trees(
        &self,
        expr: &Expr,
        items: &[Item],
        scope: &Scope,
    ) -> Result<Vec<Tree>> {
        if let Some(item) = self.positional(expr, items, scope)? {
            return Ok(vec![item]);
        }
        match &expr.kind {
            ExprKind::Asterisk(_)
            | ExprKind::QualifiedAsterisk { .. }
            | ExprKind::Columns { .. } => {
                Ok(self.expand(expr, scope)?.into_iter().map(|i| i.tree).collect())
            }
            _ => Ok(vec![self.expression(expr, scope)?]),
        }
    }

    /// The item that a bare number means.
    fn positional(&self, expr: &Expr, items: &[Item], scope: &Scope) -> Result<Option<Tree>> {
        let ExprKind::Literal { value, .. } = &expr.kind else { return Ok(None) };
        if !self.setting(|s| s.bool("enable_positional_arguments", true)) {
            return Ok(None);
        }
        let position = match value {
            Value::UInt(position) => *position as i128,
            Value::Int(position) => *position as i128,
            Value::Bool(position) => *position as i128,
            _ => return Ok(None),
        };
        let count = items.len() as i128;
        let index = if position < 0 { count + position } else { position - 1 };
        if index < 0 || index >= count {
            return Err(error_in(
                scope,
                codes::BAD_ARGUMENTS,
                format!(
                    "Positional argument number {position} is out of bounds. Expected in range [1, {count}]."
                ),
            ));
        }
        Ok(Some(items[index as usize].tree.clone()))
    }

    pub(super) fn limits(&self, select: &Select, scope: &Scope) -> Result<LimitNumbers> {
        let Some(clause) = &select.limit else { return Ok(LimitNumbers::default()) };
        let limit = clause.limit.as_ref().map(|e| self.limit_number(e, "LIMIT", scope));
        let offset = clause.offset.as_ref().map(|e| self.limit_number(e, "OFFSET", scope));
        Ok(LimitNumbers {
            limit: limit.transpose()?,
            offset: offset.transpose()?.unwrap_or(0),
            ties: clause.with_ties,
        })
    }

    fn limit_number(&self, expr: &Expr, what: &str, scope: &Scope) -> Result<u64> {
        let tree = self.expression(expr, scope)?;
        let number = tree.as_constant().filter(|v| !v.is_null() && v.as_f64().is_some());
        let Some(value) = number else {
            return Err(error_in(
                scope,
                codes::INVALID_LIMIT_EXPRESSION,
                format!(
                    "{what} expression must be constant with numeric type. Actual: {}.",
                    sql::format::expr(expr)
                ),
            ));
        };
        if let Some(number) = value.as_u64() {
            return Ok(number);
        }
        match value {
            Value::Float(f) if f.fract() == 0.0 && *f >= 0.0 && *f < u64::MAX as f64 => {
                Ok(*f as u64)
            }
            Value::Int(_) => Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("A negative {what} is not supported: {}", value.to_sql()),
            )),
            _ => Err(Error::new(
                codes::INVALID_LIMIT_EXPRESSION,
                format!(
                    "The value {} of {what} expression is not representable as UInt64",
                    value.to_sql()
                ),
            )),
        }
    }

    fn fill(
        &self,
        fill: &WithFill,
        key: &Tree,
        descending: bool,
        scope: &Scope,
    ) -> Result<FillSpec> {
        if fill.staleness.is_some() {
            return Err(Error::new(codes::NOT_IMPLEMENTED, "WITH FILL STALENESS is not supported"));
        }
        let bound = |expr: &Option<Expr>| -> Result<Option<Value>> {
            let Some(expr) = expr else { return Ok(None) };
            let (value, own) = self.fill_constant(expr, scope)?;
            let want = key.data_type.inner();
            Ok(Some(if own.inner() == want {
                value
            } else {
                cast_value(&value, &own, want, self.ctx)?
            }))
        };
        let (step, step_unit) = match &fill.step {
            None => (Value::Int(if descending { -1 } else { 1 }), None),
            Some(expr) => match self.fill_constant(expr, scope)? {
                (value, DataType::Interval(unit)) => (value, Some(unit)),
                (value, _) => (value, None),
            },
        };
        let amount = step.as_f64().unwrap_or(0.0);
        if amount == 0.0 || (amount < 0.0) != descending {
            let problem = if amount == 0.0 {
                "STEP value cannot be zero"
            } else if descending {
                "STEP value should be negative for DESC direction"
            } else {
                "STEP value should be positive for ASC direction"
            };
            return Err(Error::new(codes::INVALID_WITH_FILL_EXPRESSION, problem));
        }
        Ok(FillSpec {
            from: bound(&fill.from)?,
            to: bound(&fill.to)?,
            step,
            step_unit,
            interpolation: None,
        })
    }

    fn fill_constant(&self, expr: &Expr, scope: &Scope) -> Result<(Value, DataType)> {
        let tree = self.expression(expr, scope)?;
        match tree.as_constant() {
            Some(value) if !value.is_null() => Ok((value.clone(), tree.data_type.clone())),
            _ => Err(error_in(
                scope,
                codes::INVALID_WITH_FILL_EXPRESSION,
                format!(
                    "WITH FILL expression must be constant. Actual: {}.",
                    sql::format::expr(expr)
                ),
            )),
        }
    }
}
