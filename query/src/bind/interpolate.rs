//! INTERPOLATE: what the other columns of rows added by WITH FILL are. Expressions are over the result's
//! columns, as they were in the row before.

use super::Binder;
use super::bind_expression;
use super::select::Clauses;
use crate::error::{Error, Result, codes};
use crate::plan::Interpolation;
use crate::sql::ast::{Expr, ExprKind};

impl Binder<'_> {
    /// Puts the expressions into the first filled key.
    pub(super) fn interpolate(
        &self,
        given: &[(String, Option<Expr>)],
        clauses: &mut Clauses,
    ) -> Result<()> {
        let columns: Vec<_> = clauses
            .items
            .iter()
            .map(|item| (item.name.clone(), item.tree.data_type.clone()))
            .collect();
        let is_key = |name: &str| {
            let key = clauses.items.iter().find(|i| i.name == name);
            key.is_some_and(|i| clauses.order.iter().any(|k| k.tree.key == i.tree.key))
        };
        let mut items = vec![];
        // Without a list every column that is no key keeps its last value.
        let all: Vec<(String, Option<Expr>)> = columns
            .iter()
            .filter(|(name, _)| given.is_empty() && !is_key(name))
            .map(|(name, _)| (name.clone(), None))
            .collect();
        for (name, expr) in given.iter().chain(&all) {
            if !columns.iter().any(|(n, _)| n == name) {
                return Err(Error::new(
                    codes::UNKNOWN_IDENTIFIER,
                    format!("Missing column '{name}' as an INTERPOLATE expression target"),
                ));
            }
            if !given.is_empty() && is_key(name) {
                return Err(Error::new(
                    codes::INVALID_WITH_FILL_EXPRESSION,
                    format!(
                        "Column '{name}' is participating in ORDER BY ... WITH FILL expression and can't be INTERPOLATE output"
                    ),
                ));
            }
            let own = Expr::new(ExprKind::Identifier(vec![name.clone()]));
            let expr = expr.as_ref().unwrap_or(&own);
            items.push((name.clone(), bind_expression(expr, &columns, self.ctx)?));
        }
        let inputs = columns.into_iter().map(|(name, _)| name).collect();
        if let Some(fill) = clauses.order.iter_mut().find_map(|k| k.fill.as_mut()) {
            fill.interpolation = Some(Interpolation { inputs, items });
        }
        Ok(())
    }
}
