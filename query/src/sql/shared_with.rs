//! `enable_global_with_statement`: the WITH of the first SELECT of a UNION, INTERSECT or EXCEPT is known to the
//! others too. A SELECT without a WITH of its own takes all of it; one that has its own takes those named
//! expressions (not the named queries) that it does not name itself, as ClickHouse does.

use super::ast::*;
use super::visit::for_each_subquery;

/// Hands on the WITH of every set operation within `statement`.
pub fn share_with(statement: &mut Statement) {
    match statement {
        Statement::Query(query) => in_query(query),
        Statement::Insert(insert) => {
            if let InsertSource::Query(query) = &mut insert.source {
                in_query(query);
            }
        }
        Statement::CreateTable(create) => {
            if let Some(query) = &mut create.as_query {
                in_query(query);
            }
        }
        Statement::CreateView(create) => in_query(&mut create.select),
        Statement::Explain(explain) => share_with(&mut explain.statement),
        _ => {}
    }
}

fn in_query(query: &mut Query) {
    match &mut query.body {
        QueryBody::Select(select) => in_select(select),
        QueryBody::SetOperation { inputs, .. } => {
            if let Some((first, others)) = inputs.split_first_mut()
                && let Some(first) = leading(first)
            {
                others.iter_mut().for_each(|q| inherit(q, first));
            }
            inputs.iter_mut().for_each(in_query);
        }
    }
}

fn in_select(select: &mut Select) {
    for item in &mut select.with {
        if let WithItem::Query { query, .. } = item {
            in_query(query);
        }
    }
    if let Some(from) = &mut select.from {
        in_table(from);
    }
    for_each_subquery(select, &mut in_query);
}

fn in_table(table: &mut TableExpr) {
    match table {
        TableExpr::Subquery { query, .. } => in_query(query),
        TableExpr::Join(join) => {
            in_table(&mut join.left);
            in_table(&mut join.right);
        }
        TableExpr::ArrayJoin { input, .. } => in_table(input),
        TableExpr::Table { .. } | TableExpr::Function { .. } => {}
    }
}

/// The first SELECT of a list of them, if it has a WITH. `a EXCEPT b UNION ALL c` is one list, one in
/// parentheses is a list of its own.
fn leading(query: &Query) -> Option<&Select> {
    match &query.body {
        QueryBody::Select(select) => Some(&**select).filter(|s| !s.with.is_empty()),
        QueryBody::SetOperation { .. } if query.parenthesized => None,
        QueryBody::SetOperation { inputs, .. } => inputs.first().and_then(leading),
    }
}

fn inherit(query: &mut Query, first: &Select) {
    let select = match &mut query.body {
        QueryBody::Select(select) => select,
        QueryBody::SetOperation { inputs, .. } => {
            return inputs.iter_mut().for_each(|q| inherit(q, first));
        }
    };
    if select.with.is_empty() {
        select.with = first.with.clone();
        select.recursive = first.recursive;
        return;
    }
    let named = |item: &WithItem| match item {
        WithItem::Expression(expr) => expr.alias.clone(),
        WithItem::Query { .. } => None,
    };
    let own: Vec<String> = select.with.iter().filter_map(named).collect();
    let new = first.with.iter().filter(|item| named(item).is_some_and(|n| !own.contains(&n)));
    select.with.extend(new.cloned());
}
