//! Expressions: a Pratt parser with ClickHouse's precedences. Operators become calls of ClickHouse's
//! functions; AND, OR and `||` of one level become one call; a minus before a number is folded in.
//!
//! Loosest first: `->` 1, `?:` 2, OR 3, AND 4, NOT 5, IS 6, BETWEEN 7, comparison / LIKE / IN 9, `||`
//! 10, `+ -` 11, `* / %` 12, unary minus 13, `. [] ::` 14.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{Call, CallForm, Expr, ExprKind, Span};
use crate::sql::lexer::TokenKind;
use pumphouse_storage::Value;
use std::mem;

/// What stands behind a finished operand.
#[derive(Clone, Copy)]
enum Infix {
    Binary(&'static str),
    /// Flattened into one call with the left side if that is the same operator.
    Merge(&'static str),
    Between {
        negated: bool,
    },
    Postfix(&'static str),
    /// `IS TRUE` and the like: a comparison with a constant.
    Is(&'static str, bool),
    /// `DIV`, `REGEXP`: a plain function.
    Function(&'static str),
    TimeZone,
    Ternary,
    Lambda,
    Element,
    Subscript,
    Cast,
}

/// An operator with its precedence and its number of tokens.
type Found = (Infix, u8, usize);

const OPERATOR_NAMES: [&str; 14] = [
    "OR",
    "AND",
    "IS NULL",
    "IS NOT NULL",
    "BETWEEN",
    "NOT BETWEEN",
    "LIKE",
    "ILIKE",
    "NOT LIKE",
    "IN",
    "NOT IN",
    "MOD",
    "DIV",
    "alias",
];

pub(super) fn call(name: &str, arguments: Vec<Expr>, form: CallForm) -> Expr {
    Expr::new(ExprKind::Call(Box::new(Call {
        name: name.into(),
        arguments,
        form,
        ..Call::default()
    })))
}

pub(super) fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    call(name, arguments, CallForm::Function)
}

pub(super) fn operator(name: &str, arguments: Vec<Expr>) -> Expr {
    call(name, arguments, CallForm::Operator)
}

/// A string literal that rewriting made.
pub(super) fn string_expr(text: &str) -> Expr {
    let quoted = crate::sql::format::quote_string(text.as_bytes());
    Expr::new(ExprKind::Literal { value: Value::string(text), text: quoted })
}

impl<'a> Parser<'a> {
    /// An expression without an alias of its own.
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.binary(0)
    }

    /// An expression with `AS name`, as it may stand nearly everywhere.
    pub(super) fn aliased(&mut self) -> Result<Expr> {
        let mut expr = self.expression()?;
        if self.keyword_ahead(0, "AS") {
            if is_matcher(&expr) {
                return Err(self.unexpected());
            }
            self.index += 1;
            expr.alias = Some(self.name()?);
        }
        Ok(expr)
    }

    /// Operators of precedence `min` and tighter.
    pub(super) fn binary(&mut self, min: u8) -> Result<Expr> {
        self.enter(1)?;
        let outer = mem::take(&mut self.height);
        let nodes = self.nodes;
        let start = self.token().start;
        let mut left = self.prefix()?;
        let mut merging = None;
        while let Some((infix, precedence, tokens)) = self.infix_ahead(min) {
            self.index += tokens;
            let span = Span { start, end: self.previous_end() };
            if let Infix::Merge(name) = infix {
                left = self.merge_operator(left, name, precedence, merging == Some(name))?;
                merging = Some(name);
            } else if let Infix::Binary(name) = infix {
                // Not by way of `infix`, whose frame is large.
                left = self.binary_operator(left, name, precedence)?;
                merging = None;
            } else {
                left = self.infix(left, infix, precedence, self.nodes - nodes, span)?;
                merging = None;
            }
            left.span = self.span_from(start);
        }
        self.height = self.height.max(outer);
        self.leave(1);
        Ok(left)
    }

    fn infix_ahead(&mut self, min: u8) -> Option<Found> {
        let token = self.token();
        let found = match token.kind {
            TokenKind::Symbol => symbol_infix(self.text_of(token)),
            TokenKind::Word => self.word_infix(self.text_of(token)),
            _ => None,
        };
        if found.is_none() {
            self.want_operators();
        }
        found.filter(|(_, precedence, _)| *precedence >= min)
    }

    fn want_operators(&mut self) {
        if self.index != self.furthest || !self.expected.contains(&"OR") {
            OPERATOR_NAMES.iter().for_each(|name| self.want(name));
        }
    }

    fn word_infix(&mut self, word: &str) -> Option<Found> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if !matches!(word.len(), 2..=7) {
            return None;
        }
        let found = match () {
            _ if is("OR") => (Infix::Merge("or"), 3, 1),
            _ if is("AND") => (Infix::Merge("and"), 4, 1),
            _ if is("IS") => return self.is_infix(),
            _ if is("BETWEEN") => (Infix::Between { negated: false }, 7, 1),
            _ if is("LIKE") => (Infix::Binary("like"), 9, 1),
            _ if is("ILIKE") => (Infix::Binary("ilike"), 9, 1),
            _ if is("REGEXP") => (Infix::Function("match"), 9, 1),
            _ if is("IN") && self.partition_follows() => return None,
            _ if is("IN") => (Infix::Binary("in"), 9, 1),
            _ if is("DIV") => (Infix::Function("intDiv"), 12, 1),
            _ if is("MOD") => (Infix::Binary("modulo"), 12, 1),
            _ if is("NOT") => return self.not_infix(),
            _ if is("GLOBAL") && self.keyword_ahead(1, "IN") => (Infix::Binary("globalIn"), 9, 2),
            _ if is("GLOBAL") && self.keyword_ahead(1, "NOT IN") => {
                (Infix::Binary("globalNotIn"), 9, 3)
            }
            _ if is("AT") && self.keyword_ahead(1, "TIME ZONE") => (Infix::TimeZone, 14, 3),
            _ => return None,
        };
        Some(found)
    }

    /// `… IN PARTITION p` ends the expression of a mutation.
    fn partition_follows(&mut self) -> bool {
        self.keyword_ahead(1, "PARTITION")
            && !matches!(self.ahead(2).kind, TokenKind::End)
            && (self.ahead(2).kind != TokenKind::Symbol || self.symbol_ahead(2, "("))
    }

    fn not_infix(&mut self) -> Option<Found> {
        let found = match () {
            _ if self.keyword_ahead(1, "IN") => (Infix::Binary("notIn"), 9, 2),
            _ if self.keyword_ahead(1, "LIKE") => (Infix::Binary("notLike"), 9, 2),
            _ if self.keyword_ahead(1, "ILIKE") => (Infix::Binary("notILike"), 9, 2),

            _ if self.keyword_ahead(1, "BETWEEN") => (Infix::Between { negated: true }, 7, 2),
            _ => return None,
        };
        Some(found)
    }

    fn is_infix(&mut self) -> Option<Found> {
        let negated = self.keyword_ahead(1, "NOT");
        let at = 1 + usize::from(negated);
        let pick = |yes, no| if negated { no } else { yes };
        let equal = pick("isNotDistinctFrom", "isDistinctFrom");
        let found = match () {
            _ if self.keyword_ahead(at, "NULL") || self.keyword_ahead(at, "UNKNOWN") => {
                (Infix::Postfix(pick("isNull", "isNotNull")), 6, at + 1)
            }
            _ if self.keyword_ahead(at, "TRUE") => (Infix::Is(equal, true), 6, at + 1),
            _ if self.keyword_ahead(at, "FALSE") => (Infix::Is(equal, false), 6, at + 1),
            _ if self.keyword_ahead(at, "DISTINCT FROM") => {
                let name = pick("isDistinctFrom", "isNotDistinctFrom");
                (Infix::Binary(name), 6, at + 2)
            }
            _ => return None,
        };
        Some(found)
    }

    /// Applies an operator, whose tokens are taken, to `left`, which has `nodes` nodes.
    fn infix(
        &mut self,
        left: Expr,
        infix: Infix,
        precedence: u8,
        nodes: u32,
        span: Span,
    ) -> Result<Expr> {
        let made = match infix {
            Infix::Binary(name) => return self.binary_operator(left, name, precedence),
            Infix::Merge(name) => return self.merge_operator(left, name, precedence, false),
            Infix::Between { negated } => return self.between(left, negated, nodes),
            Infix::Ternary => return self.ternary(left),
            Infix::Lambda => return self.lambda(left),
            Infix::Element => return self.element(left),
            Infix::Postfix(name) => operator(name, vec![left]),
            Infix::Is(name, value) => {
                let text = value.to_string();
                let constant = Expr::new(ExprKind::Literal { value: Value::Bool(value), text });
                operator(name, vec![left, constant])
            }
            Infix::Function(name) => {
                let right = self.binary(precedence + 1)?;
                function(name, vec![left, right])
            }
            Infix::TimeZone => {
                let zone = self.binary(precedence + 1)?;
                function("toTimeZone", vec![left, zone])
            }
            Infix::Subscript => {
                let index = self.aliased()?;
                self.expect_symbol("]")?;
                operator("arrayElement", vec![left, index])
            }
            Infix::Cast => {
                let data_type = self.data_type()?;
                let value = self.cast_source(left, Span { start: span.start, end: span.end - 2 });
                operator("CAST", vec![value, string_expr(&data_type)])
            }
        };
        self.grow()?;
        Ok(made)
    }

    fn binary_operator(&mut self, left: Expr, name: &'static str, precedence: u8) -> Result<Expr> {
        if precedence == 9
            && let Some(quantified) = self.quantified_comparison(&left, name)?
        {
            return Ok(quantified);
        }
        let right = self.binary(precedence + 1)?;
        self.grow()?;
        let mut arguments = vec![left, right];
        if name.ends_with("ike") && self.take_keyword("ESCAPE") {
            arguments.push(self.string_literal_expr()?);
        }
        Ok(operator(name, arguments))
    }

    fn string_literal_expr(&mut self) -> Result<Expr> {
        match self.token().kind {
            TokenKind::String => self.string_literal(),
            _ => Err(self.unexpected()),
        }
    }

    /// `a AND b AND c` is one call: with `merge`, `left` is what this operator made just before.
    fn merge_operator(
        &mut self,
        left: Expr,
        name: &str,
        precedence: u8,
        merge: bool,
    ) -> Result<Expr> {
        let right = self.binary(precedence + 1)?;
        if !merge {
            self.grow()?;
            return Ok(operator(name, vec![left, right]));
        }
        self.count_elements(1)?;
        let mut left = left;
        if let ExprKind::Call(call) = &mut left.kind {
            call.arguments.push(right);
        }
        Ok(left)
    }

    /// `x BETWEEN a AND b` is `x >= a AND x <= b`.
    fn between(&mut self, left: Expr, negated: bool, nodes: u32) -> Result<Expr> {
        let low = self.binary(8)?;
        self.expect_keyword("AND")?;
        let high = self.binary(8)?;
        self.grow()?;
        self.grow()?;
        // The left side is there twice: nested BETWEENs would double without end.
        self.count_elements(nodes)?;
        let names = if negated {
            ("or", "less", "greater")
        } else {
            ("and", "greaterOrEquals", "lessOrEquals")
        };
        let first = operator(names.1, vec![left.clone(), low]);
        Ok(operator(names.0, vec![first, operator(names.2, vec![left, high])]))
    }

    fn ternary(&mut self, condition: Expr) -> Result<Expr> {
        let yes = self.expression()?;
        self.expect_symbol(":")?;
        let no = self.binary(3)?;
        if self.symbol_ahead(0, "?") {
            return Err(self.unexpected());
        }
        self.grow()?;
        Ok(function("if", vec![condition, yes, no]))
    }

    fn lambda(&mut self, left: Expr) -> Result<Expr> {
        let Some(parameters) = lambda_parameters(&left) else {
            self.index -= 1;
            return Err(self.unexpected());
        };
        let body = Box::new(self.binary(2)?);
        self.grow()?;
        Ok(Expr::new(ExprKind::Lambda { parameters, body }))
    }

    /// `.1`, `.name` behind something that is not a plain name.
    fn element(&mut self, left: Expr) -> Result<Expr> {
        let token = self.token();
        let negative = self.symbol_ahead(0, "-");
        self.index += usize::from(negative);
        let made = match self.token().kind {
            TokenKind::Number => {
                let index = self.number(negative, token.start)?;
                operator("tupleElement", vec![left, index])
            }
            TokenKind::Word | TokenKind::QuotedName | TokenKind::String if !negative => {
                let name = self.string_or_name()?;
                function("tupleElement", vec![left, string_expr(&name)])
            }
            _ => return Err(self.unexpected()),
        };
        self.grow()?;
        Ok(made)
    }

    /// The operand of `::`: a literal is cast from its text, as it was written.
    fn cast_source(&self, left: Expr, span: Span) -> Expr {
        let text = self.text.get(span.start..span.end).unwrap_or("").trim_end();
        match &left.kind {
            ExprKind::Literal {
                value: Value::String(_) | Value::Null | Value::Bool(_), ..
            } => left,
            _ if left.parenthesized || !is_literal(&left) => left,
            _ if !is_plain_literal(&left) => left,
            _ => string_expr(text),
        }
    }

    fn prefix(&mut self) -> Result<Expr> {
        let token = self.token();
        match token.kind {
            TokenKind::Number => self.counted(|p| p.number(false, token.start)),
            TokenKind::String | TokenKind::Heredoc => self.counted(|p| p.string_literal()),
            TokenKind::Word => self.word_prefix(),
            TokenKind::QuotedName => self.identifier_or_call(),
            TokenKind::Symbol => self.symbol_prefix(),
            TokenKind::Invalid(_) | TokenKind::End => {
                self.want("expression");
                Err(self.unexpected())
            }
        }
    }

    fn counted(&mut self, make: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        self.nodes += 1;
        make(self)
    }

    fn symbol_prefix(&mut self) -> Result<Expr> {
        let token = self.token();
        match self.text_of(token) {
            "(" => self.parenthesis(),
            "[" => self.array(),
            "-" => self.minus(),
            "+" => {
                self.index += 1;
                self.binary(13)
            }
            "*" => self.asterisk(Vec::new()),
            "{" if self.at_identifier_parameter() => self.identifier_or_call(),
            "{" => self.parameter(),
            "@@" => self.global_variable(),
            _ => {
                self.want("expression");
                Err(self.unexpected())
            }
        }
    }

    /// A minus before a number belongs to the number.
    fn minus(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        if self.token().kind == TokenKind::Number {
            return self.counted(|p| p.number(true, start));
        }
        let next = self.ahead(1);
        if (next.kind != TokenKind::Symbol || !matches!(self.text_of(next), "(" | "."))
            && let Some(literal) = self.word_literal(true, start)
        {
            return Ok(literal);
        }
        let operand = self.binary(13)?;
        self.grow()?;
        Ok(Expr { span: self.span_from(start), ..operator("negate", vec![operand]) })
    }

    /// Parentheses: a subquery, an empty tuple, one expression, or a tuple.
    fn parenthesis(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        if self.at_query() {
            return self.subquery_rest(start);
        }
        let mut items = Vec::new();
        let mut comma = false;
        while !self.take_symbol(")") {
            if !items.is_empty() && !comma {
                return Err(self.unexpected());
            }
            items.push(self.aliased()?);
            if let Some(query) = self.set_operation_of(&mut items)? {
                self.expect_symbol(")")?;
                let kind = ExprKind::Subquery(Box::new(query));
                return Ok(Expr { span: self.span_from(start), ..Expr::new(kind) });
            }
            merge_lambda_parameters(&mut items);
            comma = self.take_symbol(",");
        }
        let span = self.span_from(start);
        if items.len() == 1 && !comma {
            return Ok(in_parentheses(items.remove(0), span));
        }
        self.grow()?;
        Ok(Expr { span, ..operator("tuple", items) })
    }

    /// The query behind an opening parenthesis that is taken, and its closing one.
    pub(super) fn subquery_rest(&mut self, start: usize) -> Result<Expr> {
        let query = self.query()?;
        self.expect_symbol(")")?;
        self.grow()?;
        let kind = ExprKind::Subquery(Box::new(query));
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    fn array(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        let mut items = Vec::new();
        if !self.take_symbol("]") {
            items = self.comma_list(Self::aliased)?;
            self.expect_symbol("]")?;
        }
        self.grow()?;
        Ok(Expr { span: self.span_from(start), ..operator("array", items) })
    }

    /// `{name:Type}`, replaced by a cast of its value if the parser has parameters.
    fn parameter(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        if self.token().kind != TokenKind::Word {
            self.want("substitution name (identifier)");
            return Err(self.unexpected());
        }
        let name = self.name()?;
        self.expect_symbol(":")?;
        let data_type = self.data_type()?;
        self.expect_symbol("}")?;
        self.grow()?;
        let made = match self.parameters {
            Some(_) => {
                let text = self.parameter_value(&name)?;
                let value = match text {
                    "\\N" if data_type.starts_with("Nullable(") => {
                        Expr::new(ExprKind::Literal { value: Value::Null, text: "NULL".into() })
                    }
                    text => string_expr(&String::from_utf8_lossy(&crate::sql::unescaped(text))),
                };
                function("_CAST", vec![value, string_expr(&data_type)])
            }
            None => Expr::new(ExprKind::Parameter { name, data_type }),
        };
        Ok(Expr { span: self.span_from(start), ..made })
    }

    /// `@@name`: MySQL clients ask for these.
    fn global_variable(&mut self) -> Result<Expr> {
        self.index += 1;
        let mut name = self.name()?;
        while self.symbol_ahead(0, ".") {
            self.index += 1;
            name = self.name()?;
        }
        let mut made = function("globalVariable", vec![string_expr(&name)]);
        made.alias = Some(format!("@@{name}"));
        Ok(made)
    }
}

fn symbol_infix(symbol: &str) -> Option<Found> {
    let found = match symbol {
        "->" => (Infix::Lambda, 1, 1),
        "?" => (Infix::Ternary, 2, 1),
        "=" | "==" => (Infix::Binary("equals"), 9, 1),
        "!=" | "<>" => (Infix::Binary("notEquals"), 9, 1),
        "<" => (Infix::Binary("less"), 9, 1),
        ">" => (Infix::Binary("greater"), 9, 1),
        "<=" => (Infix::Binary("lessOrEquals"), 9, 1),
        ">=" => (Infix::Binary("greaterOrEquals"), 9, 1),
        "<=>" => (Infix::Binary("isNotDistinctFrom"), 9, 1),
        "||" => (Infix::Merge("concat"), 10, 1),
        "+" => (Infix::Binary("plus"), 11, 1),
        "-" => (Infix::Binary("minus"), 11, 1),
        "*" => (Infix::Binary("multiply"), 12, 1),
        "/" => (Infix::Binary("divide"), 12, 1),
        "%" => (Infix::Binary("modulo"), 12, 1),
        "." => (Infix::Element, 14, 1),
        "[" => (Infix::Subscript, 14, 1),
        "::" => (Infix::Cast, 14, 1),
        _ => return None,
    };
    Some(found)
}

/// `*`, `t.*`, COLUMNS: they take no alias.
pub(super) fn is_matcher(expr: &Expr) -> bool {
    let columns = matches!(
        expr.kind,
        ExprKind::Asterisk(_) | ExprKind::QualifiedAsterisk { .. } | ExprKind::Columns { .. }
    );
    columns && !expr.parenthesized
}

/// Puts parentheses around a finished expression; a subquery has its own already.
fn in_parentheses(mut expr: Expr, span: Span) -> Expr {
    expr.span = span;
    expr.parenthesized |= !matches!(expr.kind, ExprKind::Subquery(_)) || expr.alias.is_some();
    expr
}

/// Whether this is a literal, or an array or tuple of literals.
pub(in crate::sql) fn is_literal(expr: &Expr) -> bool {
    expr.alias.is_none()
        && match &expr.kind {
            ExprKind::Literal { .. } => true,
            ExprKind::Call(call) => {
                call.form == CallForm::Operator
                    && matches!(call.name.as_str(), "array" | "tuple")
                    && call.arguments.iter().all(is_literal)
            }
            _ => false,
        }
}

/// A literal whose text a cast can read: numbers and strings, in lists of several too.
fn is_plain_literal(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal { value, .. } => !matches!(value, Value::Null | Value::Bool(_)),
        ExprKind::Call(call) => {
            let enough = if call.name == "tuple" { 2 } else { 0 };
            call.arguments.len() >= enough && call.arguments.iter().all(is_plain_literal)
        }
        _ => false,
    }
}

fn lambda_parameters(left: &Expr) -> Option<Vec<String>> {
    if left.alias.is_some() {
        return None;
    }
    match &left.kind {
        ExprKind::Identifier(parts) if parts.len() == 1 => Some(parts.clone()),
        ExprKind::Call(call) if call.name == "tuple" && call.form == CallForm::Operator => {
            call.arguments.iter().map(|a| lambda_parameters(a)?.pop()).collect()
        }
        _ => None,
    }
}

/// `f(x, y -> x + y)`: all items before the arrow are parameters too.
pub(super) fn merge_lambda_parameters(items: &mut Vec<Expr>) {
    let Some(last) = items.len().checked_sub(1).filter(|last| *last > 0) else { return };
    let bare = matches!(&items[last].kind, ExprKind::Lambda { parameters, .. }
        if parameters.len() == 1 && !items[last].parenthesized && items[last].alias.is_none());
    let names: Option<Vec<String>> = items[..last]
        .iter()
        .map(|item| match &item.kind {
            ExprKind::Identifier(parts) if parts.len() == 1 && !item.parenthesized => {
                Some(parts[0].clone())
            }
            _ => None,
        })
        .collect();
    let (true, Some(mut names)) = (bare, names) else { return };
    items.drain(..last);
    if let ExprKind::Lambda { parameters, .. } = &mut items[0].kind {
        names.append(parameters);
        *parameters = names;
    }
}
