//! Result column names of unaliased expressions: canonical text, in which a qualified identifier
//! shows its bare name unless that would mean another table's column, and subqueries are numbered.

use super::Binder;
use super::scope::Scope;
use super::star::shown_name;
use crate::sql;
use crate::sql::ast::*;

impl Binder<'_> {
    /// The name that a result shows for `expr`.
    pub(super) fn result_name(&self, expr: &Expr, scope: &Scope) -> String {
        let first = || self.subquery_number(expr, scope);
        match self.shown_otherwise(expr) {
            Some(shown) => self.name_of(&shown, scope, first),
            None => self.name_of(expr, scope, first),
        }
    }

    /// The same; `first` is the number of its first subquery.
    fn name_of(&self, expr: &Expr, scope: &Scope, first: impl Fn() -> usize) -> String {
        if let Some(alias) = &expr.alias {
            return alias.clone();
        }
        if let ExprKind::Identifier(parts) = &expr.kind {
            return identifier_name(parts, scope);
        }
        if !needs_rewriting(expr) {
            return sql::column_name(expr);
        }
        let mut shown = expr.clone();
        self.expand_columns(&mut shown, scope);
        replace_identifiers(&mut shown, &mut |parts| {
            (parts.len() > 1).then(|| ExprKind::Identifier(vec![identifier_name(parts, scope)]))
        });
        number_subqueries(&mut shown, &mut first());
        sql::column_name(&shown)
    }

    /// `f(COLUMNS(…))` shows the columns, not the pattern.
    fn expand_columns(&self, expr: &mut Expr, scope: &Scope) {
        let ExprKind::Call(call) = &mut expr.kind else { return };
        let mut arguments = vec![];
        for mut argument in std::mem::take(&mut call.arguments) {
            match is_matcher(&argument).then(|| self.expand(&argument, scope)) {
                Some(Ok(items)) => arguments.extend(
                    items.into_iter().map(|i| Expr::new(ExprKind::Identifier(vec![i.name]))),
                ),
                _ => {
                    self.expand_columns(&mut argument, scope);
                    arguments.push(argument);
                }
            }
        }
        call.arguments = arguments;
    }

    /// The number of the first subquery in `expr`, counted over the whole SELECT list.
    fn subquery_number(&self, expr: &Expr, scope: &Scope) -> usize {
        let Some(select) = scope.enclosing_select() else { return 1 };
        let mut number = 1;
        let with = select.with.iter().filter_map(|w| match w {
            WithItem::Expression(e) => Some(e),
            WithItem::Query { .. } => None,
        });
        for other in with.chain(&select.items) {
            if std::ptr::eq(other, expr) {
                break;
            }
            number += count_subqueries(other);
        }
        number
    }
}

fn identifier_name(parts: &[String], scope: &Scope) -> String {
    let mut here = Some(scope);
    while let Some(at) = here {
        for table in &at.tables {
            let Some(length) = table.qualifier_length(parts) else { continue };
            if parts.len() <= length {
                continue;
            }
            let bare = &parts[length..];
            let whole = bare.join(".");
            if let Some(column) = table.column(&whole) {
                let another = at.aliases.get(whole.as_str()).is_some_and(
                    |e| !matches!(&e.kind, ExprKind::Identifier(p) if p.last() == parts.last()),
                );
                if another && let Some(label) = table.label() {
                    return format!("{label}.{whole}");
                }
                return shown_name(at, table.label(), &whole, &column.tree);
            }
            if let Some(column) = table.column(&bare[0]) {
                let first = shown_name(at, table.label(), &bare[0], &column.tree);
                return std::iter::once(first.as_str())
                    .map(str::to_string)
                    .chain(bare[1..].iter().map(|part| shown_part(part)))
                    .collect::<Vec<_>>()
                    .join(".");
            }
        }
        here = at.parent;
    }
    let shown = parts.iter().enumerate();
    let shown = shown.map(|(i, p)| if i > 0 { shown_part(p) } else { p.clone() });
    shown.collect::<Vec<_>>().join(".")
}

/// `^name` and `:Type` stand in back quotes.
fn shown_part(part: &str) -> String {
    match part.as_bytes().first() {
        Some(sign @ (b'^' | b':')) => format!("{}`{}`", *sign as char, &part[1..]),
        _ => part.to_string(),
    }
}

fn is_matcher(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Asterisk(_) | ExprKind::QualifiedAsterisk { .. } | ExprKind::Columns { .. }
    )
}

fn needs_rewriting(expr: &Expr) -> bool {
    if expr.alias.is_some() {
        return false;
    }
    match &expr.kind {
        ExprKind::Identifier(parts) => parts.len() > 1,
        ExprKind::Subquery(_) => true,
        _ if is_matcher(expr) => true,
        ExprKind::Call(call) => {
            call.arguments.iter().any(needs_rewriting)
                || call.filter.as_deref().is_some_and(needs_rewriting)
                || matches!(&call.over, Some(WindowSpec::Inline(w))
                    if w.partition_by.iter().any(needs_rewriting)
                        || w.order_by.iter().any(|o| needs_rewriting(&o.expr)))
        }
        ExprKind::Lambda { body, .. } => needs_rewriting(body),
        _ => false,
    }
}

/// Replaces identifiers for which `with` has another expression, aliased parts included.
pub(super) fn replace_identifiers(
    expr: &mut Expr,
    with: &mut dyn FnMut(&[String]) -> Option<ExprKind>,
) {
    match &mut expr.kind {
        ExprKind::Identifier(parts) => {
            if let Some(kind) = with(parts) {
                expr.kind = kind;
            }
        }
        ExprKind::Call(call) => {
            call.arguments.iter_mut().for_each(|e| replace_identifiers(e, with));
            if let Some(filter) = &mut call.filter {
                replace_identifiers(filter, with);
            }
            if let Some(WindowSpec::Inline(window)) = &mut call.over {
                window.partition_by.iter_mut().for_each(|e| replace_identifiers(e, with));
                window.order_by.iter_mut().for_each(|o| replace_identifiers(&mut o.expr, with));
            }
        }
        ExprKind::Lambda { body, .. } => replace_identifiers(body, with),
        _ => {}
    }
}

fn number_subqueries(expr: &mut Expr, next: &mut usize) {
    if expr.alias.is_some() {
        return;
    }
    match &mut expr.kind {
        ExprKind::Subquery(_) => {
            expr.kind = ExprKind::Identifier(vec![format!("_subquery_{next}")]);
            *next += 1;
        }
        ExprKind::Call(call) => {
            call.arguments.iter_mut().for_each(|e| number_subqueries(e, next));
            if let Some(WindowSpec::Inline(window)) = &mut call.over {
                window.partition_by.iter_mut().for_each(|e| number_subqueries(e, next));
                window.order_by.iter_mut().for_each(|o| number_subqueries(&mut o.expr, next));
            }
        }
        ExprKind::Lambda { body, .. } => number_subqueries(body, next),
        _ => {}
    }
}

fn count_subqueries(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::Subquery(_) => 1,
        ExprKind::Call(call) => {
            let window = match &call.over {
                Some(WindowSpec::Inline(window)) => {
                    window.partition_by.iter().map(count_subqueries).sum::<usize>()
                        + window.order_by.iter().map(|o| count_subqueries(&o.expr)).sum::<usize>()
                }
                _ => 0,
            };
            call.arguments.iter().map(count_subqueries).sum::<usize>() + window
        }
        ExprKind::Lambda { body, .. } => count_subqueries(body),
        _ => 0,
    }
}
