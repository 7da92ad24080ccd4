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

/// Puts `f(name)` in the place of each bare name in `expr` for which it gives something. Parameters of
/// lambdas and what stands inside subqueries keep their meaning.
pub fn replace_names(expr: &mut Expr, f: &dyn Fn(&str) -> Option<Expr>) {
    match &mut expr.kind {
        ExprKind::Identifier(parts) => {
            if let Some(mut new) = f(&parts.join(".")) {
                new.alias = expr.alias.take();
                *expr = new;
            }
        }
        ExprKind::Lambda { parameters, body } => {
            let own = parameters.clone();
            replace_names(body, &|name| if own.iter().any(|p| p == name) { None } else { f(name) });
        }
        ExprKind::Call(call) => {
            for argument in call.parameters.iter_mut().flatten().chain(&mut call.arguments) {
                replace_names(argument, f);
            }
            if let Some(filter) = &mut call.filter {
                replace_names(filter, f);
            }
        }
        _ => {}
    }
}

/// The bare names in `expr`, outside of subqueries.
pub fn names_in(expr: &Expr) -> Vec<String> {
    let names = std::cell::RefCell::new(vec![]);
    replace_names(&mut expr.clone(), &|name| {
        names.borrow_mut().push(name.to_string());
        None
    });
    names.into_inner()
}

/// Calls `f` with every subquery in `expr`, which `f` may replace by what it is worth. For one that
/// stands behind IN it gets the whole call of IN, and true.
pub fn replace_subqueries<E>(
    expr: &mut Expr,
    f: &mut dyn FnMut(&mut Expr, bool) -> Result<(), E>,
) -> Result<(), E> {
    if is_in_subquery(expr) {
        if let ExprKind::Call(call) = &mut expr.kind
            && let Some(left) = call.arguments.first_mut()
        {
            replace_subqueries(left, f)?;
        }
        return f(expr, true);
    }
    match &mut expr.kind {
        ExprKind::Subquery(_) => f(expr, false),
        ExprKind::Lambda { body, .. } => replace_subqueries(body, f),
        ExprKind::Call(call) => {
            call.arguments.iter_mut().try_for_each(|argument| replace_subqueries(argument, f))
        }
        _ => Ok(()),
    }
}

fn is_in_subquery(expr: &Expr) -> bool {
    let ExprKind::Call(call) = &expr.kind else { return false };
    let name = call.name.to_ascii_lowercase();
    let takes_set = ["in", "notin", "globalin", "globalnotin"].contains(&name.as_str());
    takes_set && matches!(call.arguments.get(1), Some(e) if matches!(e.kind, ExprKind::Subquery(_)))
}

/// The bare names in the expressions of a query, outside of subqueries in expressions.
pub fn names_in_query(query: &Query) -> Vec<String> {
    let mut names = vec![];
    match &query.body {
        QueryBody::Select(select) => {
            let mut select = (**select).clone();
            for_each_expr(&mut select, &mut |expr| names.extend(names_in(expr)));
            if let Some(TableExpr::Subquery { query, .. }) = &select.from {
                names.extend(names_in_query(query));
            }
        }
        QueryBody::SetOperation { inputs, .. } => {
            inputs.iter().for_each(|input| names.extend(names_in_query(input)));
        }
    }
    names
}
