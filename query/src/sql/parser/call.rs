//! Names and calls: compound identifiers, function calls with parameters, DISTINCT, FILTER, NULLS and
//! OVER, and window definitions.

use super::Parser;
use super::expression::merge_lambda_parameters;
use crate::error::Result;
use crate::sql::ast::{
    Call, CallForm, Expr, ExprKind, FrameBound, FrameUnit, NullsAction, WindowDefinition,
    WindowFrame, WindowSpec,
};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// `a`, `t.a`, `t.*`, `j.^a`, `j.a.:Int64`, `f(…)`.
    pub(super) fn identifier_or_call(&mut self) -> Result<Expr> {
        let start = self.token().start;
        let mut parts = vec![self.name()?];
        loop {
            if self.symbol_ahead(0, ".") {
                if self.symbol_ahead(1, "*") {
                    self.index += 1;
                    return self.asterisk(parts);
                }
                if self.keyword_ahead(1, "COLUMNS") && self.symbol_ahead(2, "(") {
                    self.index += 1;
                    return self.columns_matcher(parts);
                }
                match self.element_name()? {
                    Some(part) => parts.push(part),
                    None => break,
                }
            } else if parts.len() > 1 && self.symbol_ahead(0, "[") && self.symbol_ahead(1, "]") {
                // `j.arr[]` is the sub-column of type Array(JSON), `[][]` the one of arrays of those.
                let mut data_type = "JSON".to_string();
                while self.symbol_ahead(0, "[") && self.symbol_ahead(1, "]") {
                    self.index += 2;
                    data_type = format!("Array({data_type})");
                }
                parts.push(format!(":{data_type}"));
            } else {
                break;
            }
        }
        if self.symbol_ahead(0, "(") {
            return self.call_or_special(parts.join("."), start);
        }
        self.count_elements(1)?;
        Ok(Expr { span: self.span_from(start), ..Expr::new(ExprKind::Identifier(parts)) })
    }

    /// `.name`, `.^name`, `.:Type` behind a name; None if what follows the point is something else.
    fn element_name(&mut self) -> Result<Option<String>> {
        let next = self.ahead(1);
        match next.kind {
            TokenKind::Word | TokenKind::QuotedName => {
                self.index += 1;
                self.name().map(Some)
            }
            TokenKind::Symbol if self.text_of(next) == "^" => {
                self.index += 2;
                Ok(Some(format!("^{}", self.name()?)))
            }
            TokenKind::Symbol if self.text_of(next) == ":" => {
                self.index += 2;
                let quoted = self.token().kind == TokenKind::QuotedName;
                let data_type = if quoted { self.name()? } else { self.data_type()? };
                Ok(Some(format!(":{data_type}")))
            }
            TokenKind::Symbol if self.at_identifier_parameter() => {
                self.index += 1;
                self.name().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A call whose name is taken; the cursor is on the parenthesis.
    pub(super) fn plain_call(&mut self, name: String, start: usize) -> Result<Expr> {
        let mut call = Box::new(Call { name, ..Call::default() });
        self.arguments(&mut call)?;
        if !call.distinct && self.symbol_ahead(0, "(") {
            if self.symbol_ahead(1, ")") {
                self.index += 1;
                return Err(self.unexpected());
            }
            call.parameters = Some(std::mem::take(&mut call.arguments));
            self.arguments(&mut call)?;
        }
        if let [Expr { kind: ExprKind::Asterisk(transformers), alias: None, .. }] =
            call.arguments.as_slice()
            && transformers.is_empty()
            && call.name.eq_ignore_ascii_case("count")
            && !call.distinct
        {
            call.arguments.clear();
            call.form = CallForm::Operator;
        }
        self.call_tail(&mut call)?;
        self.grow()?;
        let kind = ExprKind::Call(call);
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    fn arguments(&mut self, call: &mut Call) -> Result<()> {
        self.expect_symbol("(")?;
        if self.keyword_ahead(0, "DISTINCT")
            && !self.symbol_ahead(1, ",")
            && !self.symbol_ahead(1, ")")
        {
            self.index += 1;
            call.distinct = true;
        } else if self.keyword_ahead(0, "ALL") && self.ahead(1).kind != TokenKind::Symbol {
            self.index += 1;
        }
        while !self.take_symbol(")") {
            if !call.arguments.is_empty() {
                self.expect_symbol(",")?;
            }
            call.arguments.push(self.argument(&call.name)?);
            merge_lambda_parameters(&mut call.arguments);
        }
        Ok(())
    }

    /// An argument; of `view` and `viewIfPermitted` a bare SELECT is one too.
    fn argument(&mut self, function: &str) -> Result<Expr> {
        let view = function.starts_with("view");
        if !view || self.symbol_ahead(0, "(") || !self.at_query() {
            return self.aliased();
        }
        let start = self.token().start;
        let query = self.query()?;
        self.grow()?;
        let kind = ExprKind::Subquery(Box::new(query));
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    /// FILTER, RESPECT or IGNORE NULLS, OVER.
    fn call_tail(&mut self, call: &mut Call) -> Result<()> {
        self.nulls_action(call);
        if self.keyword_ahead(0, "FILTER") && self.symbol_ahead(1, "(") {
            self.index += 2;
            self.expect_keyword("WHERE")?;
            call.filter = Some(Box::new(self.expression()?));
            self.expect_symbol(")")?;
            self.nulls_action(call);
        }
        let next = self.ahead(1);
        let window = matches!(next.kind, TokenKind::Word | TokenKind::QuotedName)
            || self.symbol_ahead(1, "(");
        if self.keyword_ahead(0, "OVER") && window {
            self.index += 1;
            call.over = Some(match self.symbol_ahead(0, "(") {
                true => WindowSpec::Inline(self.window_definition()?),
                false => WindowSpec::Named(self.name()?),
            });
        }
        Ok(())
    }

    fn nulls_action(&mut self, call: &mut Call) {
        if self.take_keyword("RESPECT NULLS") {
            call.nulls = Some(NullsAction::Respect);
        } else if self.take_keyword("IGNORE NULLS") {
            call.nulls = Some(NullsAction::Ignore);
        }
    }

    /// `(parent PARTITION BY … ORDER BY … frame)`.
    pub(super) fn window_definition(&mut self) -> Result<WindowDefinition> {
        self.expect_symbol("(")?;
        let mut window = WindowDefinition::default();
        let clause = ["PARTITION BY", "ORDER BY", "ROWS", "RANGE", "GROUPS"];
        self.window_parent(&clause, &mut window)?;
        if self.take_keyword("PARTITION BY") {
            window.partition_by = self.comma_list(Self::aliased)?;
            self.window_parent(&clause[1..], &mut window)?;
        }
        if self.take_keyword("ORDER BY") {
            window.order_by = self.comma_list(Self::order_item)?;
            self.window_parent(&clause[2..], &mut window)?;
        }
        window.frame = self.window_frame()?;
        self.expect_symbol(")")?;
        Ok(window)
    }

    /// The window that this one extends; ClickHouse takes its name between the clauses too.
    fn window_parent(&mut self, clauses: &[&str], window: &mut WindowDefinition) -> Result<()> {
        let name = matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName);
        if window.parent.is_none() && name && !clauses.iter().any(|c| self.keyword_ahead(0, c)) {
            window.parent = Some(self.name()?);
        }
        Ok(())
    }

    fn window_frame(&mut self) -> Result<Option<WindowFrame>> {
        let unit = match self.take_any_keyword(&["ROWS", "RANGE", "GROUPS"]) {
            Some("ROWS") => FrameUnit::Rows,
            Some("RANGE") => FrameUnit::Range,
            Some(_) => FrameUnit::Groups,
            None => return Ok(None),
        };
        if !self.take_keyword("BETWEEN") {
            let start = self.frame_bound()?;
            return Ok(Some(WindowFrame { unit, start, end: FrameBound::CurrentRow }));
        }
        let start = self.frame_bound()?;
        self.expect_keyword("AND")?;
        let end = self.frame_bound()?;
        Ok(Some(WindowFrame { unit, start, end }))
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.take_keyword("CURRENT ROW") {
            return Ok(FrameBound::CurrentRow);
        }
        let distance = match self.take_keyword("UNBOUNDED") {
            true => None,
            false => Some(Box::new(self.frame_distance()?)),
        };
        if self.take_keyword("PRECEDING") {
            return Ok(distance.map_or(FrameBound::UnboundedPreceding, FrameBound::Preceding));
        }
        self.expect_keyword("FOLLOWING")?;
        Ok(distance.map_or(FrameBound::UnboundedFollowing, FrameBound::Following))
    }

    fn frame_distance(&mut self) -> Result<Expr> {
        self.expression()
    }
}
