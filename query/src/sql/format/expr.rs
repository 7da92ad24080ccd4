//! Expressions. Calls that were written as operators are printed as operators; an operator that is the
//! operand of another stands in parentheses.

use super::{Printer, quote};
use crate::sql::ast::{
    Call, CallForm, ColumnTransformer, Expr, ExprKind, FrameBound, FrameUnit, NullsAction,
    WindowDefinition, WindowFrame, WindowSpec,
};
use crate::sql::parser::is_literal;
use pumphouse_storage::Value;

/// Infix operators by function name.
const INFIX: [(&str, &str); 22] = [
    ("plus", " + "),
    ("minus", " - "),
    ("multiply", " * "),
    ("divide", " / "),
    ("modulo", " % "),
    ("equals", " = "),
    ("notEquals", " != "),
    ("less", " < "),
    ("greater", " > "),
    ("lessOrEquals", " <= "),
    ("greaterOrEquals", " >= "),
    ("isDistinctFrom", " IS DISTINCT FROM "),
    ("isNotDistinctFrom", " <=> "),
    ("like", " LIKE "),
    ("notLike", " NOT LIKE "),
    ("ilike", " ILIKE "),
    ("notILike", " NOT ILIKE "),
    ("in", " IN "),
    ("notIn", " NOT IN "),
    ("globalIn", " GLOBAL IN "),
    ("globalNotIn", " GLOBAL NOT IN "),
    ("globalNullIn", " GLOBAL IN "),
];

fn infix(name: &str) -> Option<&'static str> {
    INFIX.iter().find(|(function, _)| *function == name).map(|(_, symbol)| *symbol)
}

fn is_set_operator(name: &str) -> bool {
    matches!(name, "in" | "notIn" | "globalIn" | "globalNotIn")
}

/// Whether a minus prints its operand in parentheses, so that it needs none around itself.
fn is_closed_negation(call: &Call) -> bool {
    match call.arguments.as_slice() {
        [operand] if call.name == "negate" => match &operand.kind {
            ExprKind::Literal { .. } => true,
            ExprKind::Call(inner) => inner.name == "negate" && inner.form == CallForm::Operator,
            _ => false,
        },
        _ => false,
    }
}

/// `1.5.2` is printed as a function.
fn is_element_of_literal(call: &Call) -> bool {
    call.name == "tupleElement"
        && call.arguments.first().is_some_and(|a| matches!(a.kind, ExprKind::Literal { .. }))
}

fn is_descending(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call(call) if call.name == "__descending")
}

/// A subquery has parentheses of its own; a tuple of literals is one literal.
fn prints_own_parentheses(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Subquery(_) => expr.alias.is_none(),
        ExprKind::Call(call) => {
            call.name == "tuple" && call.arguments.len() > 1 && is_literal(expr)
        }
        _ => false,
    }
}

/// An IN that is one of several arguments stands in parentheses.
fn is_membership(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call(call)
        if call.form == CallForm::Operator && is_set_operator(&call.name) && expr.alias.is_none())
}

/// How an expression is embedded.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// On its own: an item, an argument.
    Free,
    /// The operand of an operator.
    Operand,
}

impl Printer {
    /// An expression with its alias.
    pub(super) fn expr(&mut self, expr: &Expr) {
        if self.names {
            return self.word(&crate::sql::column_name(expr));
        }
        self.placed(expr, Place::Free);
    }

    pub(super) fn expr_list(&mut self, items: &[Expr]) {
        self.separated(items, ", ", |p, item| p.expr(item));
    }

    fn placed(&mut self, expr: &Expr, place: Place) {
        let inner_alias = expr.alias.is_some() && place == Place::Operand;
        let own = expr.parenthesized && !prints_own_parentheses(expr);
        // `((SELECT 1) AS a)` keeps its alias inside.
        let inner_alias = inner_alias || (own && matches!(expr.kind, ExprKind::Subquery(_)));
        if inner_alias || own {
            self.word("(");
            let outer = std::mem::take(&mut self.list_index);
            self.kind(&expr.kind, Place::Free);
            self.list_index = outer;
            if !inner_alias {
                self.word(")");
            }
        } else if matches!(expr.kind, ExprKind::Lambda { .. }) && self.list_index > 0 {
            self.kind(&expr.kind, Place::Operand);
        } else {
            self.kind(&expr.kind, place);
        }
        if let Some(alias) = &expr.alias {
            self.word(" AS ");
            self.name(alias);
        }
        if inner_alias {
            self.word(")");
        }
    }

    fn kind(&mut self, kind: &ExprKind, place: Place) {
        match kind {
            ExprKind::Literal { value, .. } => self.literal(value),
            ExprKind::Identifier(parts) => self.identifier(parts),
            ExprKind::Call(call) => self.call(call, place),
            ExprKind::Lambda { parameters, body } => self.lambda(parameters, body, place),
            ExprKind::Asterisk(transformers) => {
                self.word("*");
                self.transformers(transformers);
            }
            ExprKind::QualifiedAsterisk { qualifier, transformers } => {
                self.identifier(qualifier);
                self.word(".*");
                self.transformers(transformers);
            }
            ExprKind::Columns { qualifier, pattern, names, transformers } => {
                self.columns(qualifier, pattern.as_deref(), names);
                self.transformers(transformers);
            }
            ExprKind::Subquery(query) => self.subquery(query),
            ExprKind::Parameter { name, data_type } => {
                self.word("{");
                self.word(name);
                self.word(":");
                self.word(data_type);
                self.word("}");
            }
        }
    }

    fn literal(&mut self, value: &Value) {
        push_literal(value, &mut self.out);
    }

    /// Parts with points; JSON's `^a` and `:Type` keep their sign outside the quotes.
    pub(super) fn identifier(&mut self, parts: &[String]) {
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.word(".");
            }
            match part.as_bytes().first() {
                Some(sign @ (b'^' | b':')) if i > 0 => {
                    self.out.push(*sign as char);
                    self.name(&part[1..]);
                }
                _ => self.name(part),
            }
        }
    }

    fn operand(&mut self, expr: &Expr) {
        self.placed(expr, Place::Operand);
    }

    fn call(&mut self, call: &Call, place: Place) {
        if call.form == CallForm::Function || call.over.is_some() || call.filter.is_some() {
            return self.function(call);
        }
        let arguments = call.arguments.as_slice();
        match (call.name.as_str(), arguments) {
            ("array", _) => self.bracketed("[", arguments, "]"),
            ("tuple", _) if arguments.len() > 1 && !arguments.iter().any(is_descending) => {
                self.bracketed("(", arguments, ")")
            }
            ("tuple" | "CAST" | "concat", _) => self.function(call),
            (name, []) if name.eq_ignore_ascii_case("count") => self.function(call),
            _ => self.operator(call, place),
        }
    }

    /// Parentheses around literals inside a list of literals are not kept.
    fn bracketed(&mut self, open: &str, items: &[Expr], close: &str) {
        self.word(open);
        match items.iter().all(is_literal) {
            true => self.separated(items, ", ", |p, item| p.kind(&item.kind, Place::Free)),
            false => self.expr_list(items),
        }
        self.word(close);
    }

    /// An operator, in parentheses if it is an operand.
    fn operator(&mut self, call: &Call, place: Place) {
        let function = is_closed_negation(call) || is_element_of_literal(call);
        let parentheses = place == Place::Operand && !function;
        if parentheses {
            self.word("(");
        }
        match (call.name.as_str(), call.arguments.as_slice()) {
            ("not", [a]) => {
                self.word("NOT ");
                self.unary_operand(a);
            }
            ("negate", [a]) => {
                self.word("-");
                self.negated(call, a);
            }
            ("isNull", [a]) => {
                self.operand(a);
                self.word(" IS NULL");
            }
            ("isNotNull", [a]) => {
                self.operand(a);
                self.word(" IS NOT NULL");
            }
            ("arrayElement", [a, index]) => {
                self.subscripted(a);
                self.word("[");
                self.expr(index);
                self.word("]");
            }
            _ if is_element_of_literal(call) => self.function(call),
            ("tupleElement", [a, index]) => {
                self.element_source(a);
                self.word(".");
                self.expr(index);
            }
            ("and", items) => self.separated(items, " AND ", |p, item| p.operand(item)),
            ("or", items) => self.separated(items, " OR ", |p, item| p.operand(item)),
            ("tuple", [a]) if is_descending(a) => self.function(call),
            ("__descending", [a]) => {
                self.expr(a);
                self.word(" DESC");
            }
            ("ID", [a]) => {
                self.word("ID ");
                self.expr(a);
            }
            (name, [a, b, rest @ ..]) if infix(name).is_some() => {
                self.operand(a);
                self.word(infix(name).unwrap_or(", "));
                match is_set_operator(name) {
                    true => self.set_operand(b),
                    false => self.operand(b),
                }
                if let [escape] = rest {
                    self.word(" ESCAPE ");
                    self.expr(escape);
                }
            }
            _ => self.function(call),
        }
        if parentheses {
            self.word(")");
        }
    }

    fn unary_operand(&mut self, expr: &Expr) {
        let subquery = matches!(expr.kind, ExprKind::Subquery(_)) && expr.alias.is_none();
        if subquery {
            self.word("(");
        }
        self.operand(expr);
        if subquery {
            self.word(")");
        }
    }

    /// Behind a minus: literals and further minuses stand in parentheses.
    fn negated(&mut self, call: &Call, operand: &Expr) {
        if is_closed_negation(call) && !operand.parenthesized && operand.alias.is_none() {
            self.word("(");
            self.expr(operand);
            return self.word(")");
        }
        self.operand(operand);
    }

    fn subscripted(&mut self, expr: &Expr) {
        self.operand(expr);
    }

    /// The left side of `.1`: calls stand in parentheses, names, tuples and arrays do not.
    fn element_source(&mut self, expr: &Expr) {
        let plain_call = match &expr.kind {
            ExprKind::Call(call) if call.name == "tuple" => false,
            ExprKind::Call(call) => {
                call.form == CallForm::Function
                    || matches!(call.name.as_str(), "CAST" | "concat")
                    || call.arguments.is_empty() && call.name != "array"
            }
            ExprKind::Subquery(_) => expr.alias.is_none(),
            _ => false,
        };
        if plain_call && !expr.parenthesized && expr.alias.is_none() {
            self.word("(");
            self.expr(expr);
            return self.word(")");
        }
        self.operand(expr);
    }

    /// The right side of IN: a list keeps its parentheses, a single thing gets them.
    fn set_operand(&mut self, expr: &Expr) {
        if expr.parenthesized || expr.alias.is_some() {
            return self.parenthesized_set(expr);
        }
        match &expr.kind {
            ExprKind::Subquery(_) => self.expr(expr),
            ExprKind::Call(call) if call.form == CallForm::Function => self.expr(expr),
            ExprKind::Call(call)
                if matches!(call.name.as_str(), "tuple" | "array" | "CAST" | "concat") =>
            {
                self.expr(expr)
            }
            _ => {
                self.word("(");
                self.expr(expr);
                self.word(")");
            }
        }
    }

    /// `IN (x)`: a tuple of literals, or of anything when it is alone, is the list itself.
    fn parenthesized_set(&mut self, expr: &Expr) {
        if let ExprKind::Call(call) = &expr.kind
            && call.form == CallForm::Operator
            && call.name == "tuple"
            && is_literal(expr)
        {
            return self.kind(&expr.kind, Place::Free);
        }
        self.word("(");
        let alias = expr.alias.clone();
        self.kind(&expr.kind, Place::Free);
        if let Some(alias) = alias {
            self.word(" AS ");
            self.name(&alias);
        }
        self.word(")");
    }

    fn lambda(&mut self, parameters: &[String], body: &Expr, place: Place) {
        if place == Place::Operand {
            self.word("(");
        }
        let outer = std::mem::take(&mut self.list_index);
        match parameters {
            [one] => self.name(one),
            many => {
                self.word("(");
                self.separated(many, ", ", |p, name| p.name(name));
                self.word(")");
            }
        }
        self.word(" -> ");
        self.operand(body);
        self.list_index = outer;
        if place == Place::Operand {
            self.word(")");
        }
    }

    /// `name(parameters)(arguments)` with what follows; DISTINCT and FILTER are combinators.
    fn function(&mut self, call: &Call) {
        let mut name = call.name.clone();
        if call.distinct {
            name.push_str("Distinct");
        }
        if call.filter.is_some() {
            name.push_str("If");
        }
        self.name(&name);
        if let Some(parameters) = &call.parameters {
            self.arguments(parameters, None);
        }
        let star =
            call.form == CallForm::Operator && call.arguments.is_empty() && call.name != "tuple";
        match (star, &call.filter) {
            (true, None) => self.word("(*)"),
            (_, filter) => self.arguments(&call.arguments, filter.as_deref()),
        }
        match call.nulls {
            Some(NullsAction::Respect) => self.word(" RESPECT NULLS"),
            Some(NullsAction::Ignore) => self.word(" IGNORE NULLS"),
            None => {}
        }
        match &call.over {
            Some(WindowSpec::Named(window)) => {
                self.word(" OVER ");
                self.name(window);
            }
            Some(WindowSpec::Inline(window)) => {
                self.word(" OVER ");
                self.window(window);
            }
            None => {}
        }
    }

    fn arguments(&mut self, arguments: &[Expr], filter: Option<&Expr>) {
        self.word("(");
        let all: Vec<&Expr> = arguments.iter().chain(filter).collect();
        let several = all.len() > 1;
        self.separated(&all, ", ", |p, argument| match several && is_membership(argument) {
            true => p.operand(argument),
            false => p.expr(argument),
        });
        self.word(")");
    }

    pub(super) fn window(&mut self, window: &WindowDefinition) {
        self.word("(");
        let mut blank = false;
        if let Some(parent) = &window.parent {
            self.name(parent);
            blank = true;
        }
        if !window.partition_by.is_empty() {
            self.word(if blank { " PARTITION BY " } else { "PARTITION BY " });
            self.expr_list(&window.partition_by);
            blank = true;
        }
        if !window.order_by.is_empty() {
            self.word(if blank { " ORDER BY " } else { "ORDER BY " });
            self.separated(&window.order_by, ", ", |p, item| p.order_item(item));
            blank = true;
        }
        if let Some(frame) = &window.frame {
            self.word(if blank { " " } else { "" });
            self.frame(frame);
        }
        self.word(")");
    }

    fn frame(&mut self, frame: &WindowFrame) {
        self.word(match frame.unit {
            FrameUnit::Rows => "ROWS BETWEEN ",
            FrameUnit::Range => "RANGE BETWEEN ",
            FrameUnit::Groups => "GROUPS BETWEEN ",
        });
        self.frame_bound(&frame.start);
        self.word(" AND ");
        self.frame_bound(&frame.end);
    }

    fn frame_bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.word("UNBOUNDED PRECEDING"),
            FrameBound::UnboundedFollowing => self.word("UNBOUNDED FOLLOWING"),
            FrameBound::CurrentRow => self.word("CURRENT ROW"),
            FrameBound::Preceding(distance) => {
                self.expr(distance);
                self.word(" PRECEDING");
            }
            FrameBound::Following(distance) => {
                self.expr(distance);
                self.word(" FOLLOWING");
            }
        }
    }

    fn columns(&mut self, qualifier: &[String], pattern: Option<&str>, names: &[String]) {
        if !qualifier.is_empty() {
            self.identifier(qualifier);
            self.word(".");
        }
        self.word("COLUMNS(");
        match pattern {
            Some(pattern) => self.string(pattern),
            None => self.separated(names, ", ", |p, name| p.dotted(name)),
        }
        self.word(")");
    }

    /// A name of parts that was read as one.
    pub(super) fn dotted(&mut self, name: &str) {
        let parts: Vec<String> = name.split('.').map(String::from).collect();
        self.identifier(&parts);
    }

    fn transformers(&mut self, transformers: &[ColumnTransformer]) {
        for transformer in transformers {
            match transformer {
                ColumnTransformer::Except { names, pattern, strict } => {
                    self.word(if *strict { " EXCEPT STRICT " } else { " EXCEPT " });
                    match (pattern, names.as_slice()) {
                        (Some(pattern), _) => self.string(pattern),
                        (None, [one]) => self.name(one),
                        (None, many) => {
                            self.word("(");
                            self.separated(many, ", ", |p, name| p.name(name));
                            self.word(")");
                        }
                    }
                }
                ColumnTransformer::Replace { items, strict } => {
                    self.word(if *strict { " REPLACE STRICT (" } else { " REPLACE (" });
                    self.separated(items, ", ", |p, (expr, name)| {
                        p.expr(expr);
                        p.word(" AS ");
                        p.name(name);
                    });
                    self.word(")");
                }
                ColumnTransformer::Apply(function) => {
                    self.word(" APPLY ");
                    self.expr(function);
                }
            }
        }
    }
}

/// A literal's text: floats always show that they are floats.
pub fn literal_value(value: &Value) -> String {
    let mut out = String::new();
    push_literal(value, &mut out);
    out
}

fn push_literal(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("NULL"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::UInt(value) => out.push_str(&value.to_string()),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::UInt128(value) => out.push_str(&value.to_string()),
        Value::Int128(value) => out.push_str(&value.to_string()),
        Value::Int256(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float_text(*value)),
        Value::Decimal(unscaled, scale) => push_decimal(*unscaled, *scale, out),
        Value::String(text) => quote::push_string(text, out),
        Value::Array(items) => push_items("[", items, "]", out),
        Value::Tuple(items) => push_items("(", items, ")", out),
        Value::Map(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                push_literal(key, out);
                out.push(':');
                push_literal(value, out);
            }
            out.push('}');
        }
    }
}

fn push_items(open: &str, items: &[Value], close: &str, out: &mut String) {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        push_literal(item, out);
    }
    out.push_str(close);
}

fn push_decimal(unscaled: i128, scale: u8, out: &mut String) {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    out.push_str(if unscaled < 0 { "'-" } else { "'" });
    out.push_str(whole);
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out.push('\'');
}

/// The shortest text that reads back as the same float; whole numbers end with a point.
pub(in crate::sql) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-6..21).contains(&exponent) {
        return format!("{mantissa}e{exponent}");
    }
    let text = format!("{value}");
    match !text.contains('.') {
        true => text + ".",
        false => text,
    }
}
