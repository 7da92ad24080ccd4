//! Walks over a tree to change it in place: every expression of a SELECT, every subquery in it. What
//! is found is for the caller to judge; depth is bounded by the parser.

use super::ast::*;

/// Calls `f` with every query that stands inside an expression of `select` (scalar subqueries, the
/// right side of IN), not with those in FROM or WITH. The queries inside found ones are the caller's.
pub fn for_each_subquery(select: &mut Select, f: &mut dyn FnMut(&mut Query)) {
    for_each_expr(select, &mut |expr| walk(expr, f));
}

fn for_each_expr(select: &mut Select, f: &mut dyn FnMut(&mut Expr)) {
    for item in &mut select.with {
        if let WithItem::Expression(expr) = item {
            f(expr);
        }
    }
    if let Some(Distinct::On(exprs)) = &mut select.distinct {
        exprs.iter_mut().for_each(&mut *f);
    }
    select.items.iter_mut().for_each(&mut *f);
    if let Some(join) = &mut select.array_join {
        join.items.iter_mut().for_each(&mut *f);
    }
    if let Some(from) = &mut select.from {
        table(from, f);
    }
    for clause in
        [&mut select.prewhere, &mut select.where_, &mut select.having, &mut select.qualify]
    {
        clause.iter_mut().for_each(&mut *f);
    }
    if let Some(group) = &mut select.group_by {
        group.items.iter_mut().for_each(&mut *f);
        group.sets.iter_mut().flatten().for_each(&mut *f);
    }
    for item in &mut select.order_by {
        f(&mut item.expr);
    }
    if let Some(by) = &mut select.limit_by {
        by.by.iter_mut().for_each(&mut *f);
    }
}

fn table(from: &mut TableExpr, f: &mut dyn FnMut(&mut Expr)) {
    match from {
        TableExpr::Join(join) => {
            table(&mut join.left, f);
            table(&mut join.right, f);
            if let JoinConstraint::On(expr) = &mut join.constraint {
                f(expr);
            }
        }
        TableExpr::ArrayJoin { input, join } => {
            table(input, f);
            join.items.iter_mut().for_each(f);
        }
        TableExpr::Table { .. } | TableExpr::Function { .. } | TableExpr::Subquery { .. } => {}
    }
}

fn walk(expr: &mut Expr, f: &mut dyn FnMut(&mut Query)) {
    match &mut expr.kind {
        ExprKind::Subquery(query) => f(query),
        ExprKind::Lambda { body, .. } => walk(body, f),
        ExprKind::Call(call) => {
            for argument in call.parameters.iter_mut().flatten().chain(&mut call.arguments) {
                walk(argument, f);
            }
            if let Some(filter) = &mut call.filter {
                walk(filter, f);
            }
        }
        _ => {}
    }
}
