//! What ClickHouse calls a result column that has no alias: the canonical text of its expression, with
//! operators as functions (`a + 1` → `plus(a, 1)`), whatever the text looked like.

use super::ast::{Call, Expr, ExprKind};
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
        ExprKind::Literal { value, .. } => out.push_str(&literal_value(value)),
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

fn push_call(call: &Call, out: &mut String) {
    match call.name.as_str() {
        "array" => return push_list("[", &call.arguments, "]", out),
        "tuple" if !call.arguments.is_empty() => return push_list("(", &call.arguments, ")", out),
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
    if let Some(over) = &call.over {
        out.push_str(&format::over_in_name(over));
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
