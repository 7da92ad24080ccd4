//! Collecting the aliases of one SELECT: an alias may be defined anywhere in it, at any depth, but
//! not inside subqueries or lambdas, which have names of their own.

use std::collections::HashMap;

use super::names::select_text;
use crate::error::{Error, Result, codes};
use crate::sql;
use crate::sql::ast::*;

/// All aliases of `select`'s clauses.
pub fn of_select(select: &Select) -> Result<HashMap<&str, &Expr>> {
    let mut found = Collector { aliases: HashMap::new(), clash: None };
    for item in &select.with {
        if let WithItem::Expression(expr) = item {
            found.expr(expr);
        }
    }
    select.items.iter().for_each(|e| found.expr(e));
    for clause in [&select.prewhere, &select.where_, &select.having, &select.qualify] {
        clause.iter().for_each(|e| found.expr(e));
    }
    if let Some(group_by) = &select.group_by {
        group_by.items.iter().for_each(|e| found.expr(e));
        group_by.sets.iter().flatten().for_each(|e| found.expr(e));
    }
    if let Some(Distinct::On(exprs)) = &select.distinct {
        exprs.iter().for_each(|e| found.expr(e));
    }
    select.order_by.iter().for_each(|o| found.expr(&o.expr));
    if let Some(limit_by) = &select.limit_by {
        limit_by.by.iter().for_each(|e| found.expr(e));
    }
    for (_, window) in &select.windows {
        found.window(window);
    }
    match found.clash {
        None => Ok(found.aliases),
        Some((name, first, second)) => Err(Error::new(
            codes::MULTIPLE_EXPRESSIONS_FOR_ALIAS,
            format!(
                "Multiple expressions {} and {} for alias {name}. In scope {}",
                sql::format::expr(second),
                sql::format::expr(first),
                select_text(select)
            ),
        )),
    }
}

/// The aliases of WITH expressions only: what subqueries in FROM may use.
pub fn of_with(select: &Select) -> HashMap<&str, &Expr> {
    let mut found = Collector { aliases: HashMap::new(), clash: None };
    for item in &select.with {
        if let WithItem::Expression(expr) = item {
            found.expr(expr);
        }
    }
    found.aliases
}

/// The aliases inside one expression.
pub fn of_expr(expr: &Expr) -> HashMap<&str, &Expr> {
    let mut found = Collector { aliases: HashMap::new(), clash: None };
    found.expr(expr);
    found.aliases
}

struct Collector<'s> {
    aliases: HashMap<&'s str, &'s Expr>,
    clash: Option<(&'s str, &'s Expr, &'s Expr)>,
}

impl<'s> Collector<'s> {
    fn expr(&mut self, expr: &'s Expr) {
        if let Some(name) = &expr.alias {
            match self.aliases.get(name.as_str()) {
                Some(first) if !same(first, expr) => self.clash = Some((name, first, expr)),
                Some(_) => {}
                None => {
                    self.aliases.insert(name, expr);
                }
            }
        }
        if let ExprKind::Call(call) = &expr.kind {
            self.call(call);
        }
    }

    fn call(&mut self, call: &'s Call) {
        call.arguments.iter().for_each(|e| self.expr(e));
        if let Some(filter) = &call.filter {
            self.expr(filter);
        }
        if let Some(WindowSpec::Inline(window)) = &call.over {
            self.window(window);
        }
    }

    fn window(&mut self, window: &'s WindowDefinition) {
        window.partition_by.iter().for_each(|e| self.expr(e));
        window.order_by.iter().for_each(|o| self.expr(&o.expr));
    }
}

/// Whether two definitions of one alias say the same (positions aside).
fn same(a: &Expr, b: &Expr) -> bool {
    std::ptr::eq(a, b) || sql::format::expr(a) == sql::format::expr(b)
}
