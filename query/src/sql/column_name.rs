//! What ClickHouse calls a result column that has no alias: the canonical text of its expression, with
//! operators as functions (`a + 1` → `plus(a, 1)`), whatever the text looked like.

use super::ast::{Call, CallForm, Expr, ExprKind};
use super::format::{self, literal_value};

/// The name of an expression; its own alias if it has one.
pub fn column_name(expr: &Expr) -> String {
    let mut out = String::new();
    push(expr, &mut out);
    out
}

fn push(expr: &Expr, out: &mut String) {
    if let Some(alias) = &expr.alias {
        return out.push_str(alias);
    }
    match &expr.kind {
        ExprKind::Literal { value, .. } => out.push_str(&literal_name(value)),
        ExprKind::Identifier(parts) => push_identifier(parts, out),
        ExprKind::Call(call) => push_call(call, out),
        ExprKind::Lambda { parameters, body } => {
            out.push_str("lambda(tuple(");
            out.push_str(&parameters.join(", "));
            out.push_str("), ");
            push(body, out);
            out.push(')');
        }
        ExprKind::Subquery(query) => {
            out.push('(');
            out.push_str(&format::query(query, false));
            out.push(')');
        }
        _ => out.push_str(&format::expr(expr)),
    }
}

/// The last part of a compound name.
fn push_identifier(parts: &[String], out: &mut String) {
    out.push_str(parts.last().map_or("", String::as_str));
}

fn literal_name(value: &pumphouse_storage::Value) -> String {
    match value {
        pumphouse_storage::Value::Float(value) => format::float_name(*value),
        other => literal_value(other),
    }
}

/// Whether all of it is literals, so that it prints as one literal.
fn is_literal(expr: &Expr) -> bool {
    expr.alias.is_none()
        && match &expr.kind {
            ExprKind::Literal { .. } => true,
            ExprKind::Call(call) => {
                call.form == CallForm::Operator
                    && matches!(call.name.as_str(), "array" | "tuple")
                    && !call.arguments.is_empty()
                    && call.arguments.iter().all(is_literal)
            }
            _ => false,
        }
}

fn push_call(call: &Call, out: &mut String) {
    let literal = call.form == CallForm::Operator && call.arguments.iter().all(is_literal);
    match call.name.as_str() {
        "array" if literal => return push_list("[", &call.arguments, "]", out),
        "tuple" if literal && !call.arguments.is_empty() => return push_tuple(call, out),
        _ => {}
    }
    out.push_str(&call.name);
    if call.distinct {
        out.push_str("Distinct");
    }
    if call.filter.is_some() {
        out.push_str("If");
    }
    if let Some(parameters) = &call.parameters {
        push_list("(", parameters, ")", out);
    }
    push_list("(", &call.arguments, "", out);
    if let Some(filter) = &call.filter {
        out.push_str(if call.arguments.is_empty() { "" } else { ", " });
        push(filter, out);
    }
    out.push(')');
    if call.over.is_some() || call.nulls.is_some() {
        out.push_str(&tail_text(call));
    }
}

/// NULLS and OVER, as the formatter prints them.
fn tail_text(call: &Call) -> String {
    let bare =
        Call { name: "f".into(), nulls: call.nulls, over: call.over.clone(), ..Call::default() };
    let text = format::expr(&Expr::new(ExprKind::Call(Box::new(bare))));
    text.trim_start_matches("f()").to_string()
}

fn push_tuple(call: &Call, out: &mut String) {
    match call.arguments.len() {
        1 => push_list("tuple(", &call.arguments, ")", out),
        _ => push_list("(", &call.arguments, ")", out),
    }
}

fn push_list(open: &str, items: &[Expr], close: &str, out: &mut String) {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        push(item, out);
    }
    out.push_str(close);
}
