//! ENGINE and the clauses behind it, in any order: PARTITION BY, PRIMARY KEY, ORDER BY, SAMPLE BY, TTL,
//! SETTINGS.

use super::Parser;
use super::expression::call;
use crate::error::Result;
use crate::sql::ast::{CallForm, EngineClause, Expr, ExprKind, TtlAction, TtlItem};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// Takes one clause of a table's storage into `engine`; false if none is here.
    pub(super) fn engine_part(&mut self, engine: &mut EngineClause) -> Result<bool> {
        let clauses =
            ["ENGINE", "PARTITION BY", "PRIMARY KEY", "ORDER BY", "SAMPLE BY", "TTL", "SETTINGS"];
        match self.take_any_keyword(&clauses) {
            Some("ENGINE") => self.engine_name(engine)?,
            Some("PARTITION BY") => engine.partition_by = Some(self.expression()?),
            Some("PRIMARY KEY") => engine.primary_key = Some(self.expression()?),
            Some("ORDER BY") => engine.order_by = Some(self.order_key()?),
            Some("SAMPLE BY") => engine.sample_by = Some(self.expression()?),
            Some("TTL") => engine.ttl = self.ttl_items()?,
            Some(_) => engine.settings.append(&mut self.settings()?),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn engine_name(&mut self, engine: &mut EngineClause) -> Result<()> {
        self.take_symbol("=");
        engine.name = Some(self.name()?);
        if !self.take_symbol("(") {
            return Ok(());
        }
        let mut arguments = Vec::new();
        while !self.take_symbol(")") {
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
            }
            arguments.push(self.engine_argument()?);
        }
        engine.arguments = Some(arguments);
        Ok(())
    }

    /// An expression, or `key = value` as it is (an `equals` call).
    fn engine_argument(&mut self) -> Result<Expr> {
        self.aliased()
    }

    /// ORDER BY of a table: one expression, or a list in which items may be DESC.
    pub(super) fn order_key(&mut self) -> Result<Expr> {
        if !self.directed_key_list() {
            let expr = self.expression()?;
            return self.key_direction(expr);
        }
        self.take_keyword("tuple");
        self.expect_symbol("(")?;
        let mut items = Vec::new();
        while !self.take_symbol(")") {
            if !items.is_empty() {
                self.expect_symbol(",")?;
                if self.take_symbol(")") {
                    break;
                }
            }
            let item = self.expression()?;
            items.push(self.key_direction(item)?);
        }

        self.grow()?;
        Ok(call("tuple", items, CallForm::Operator))
    }

    /// Whether the key is a list in parentheses that holds ASC or DESC.
    fn directed_key_list(&mut self) -> bool {
        let mut at = usize::from(self.keyword_ahead(0, "tuple"));
        if !self.symbol_ahead(at, "(") {
            return false;
        }
        let mut depth = 0usize;
        let mut directed = false;
        loop {
            let token = self.ahead(at);
            match (token.kind, self.text_of(token)) {
                (TokenKind::Symbol, "(") => depth += 1,
                (TokenKind::Symbol, ")") => depth -= 1,
                (TokenKind::Word, word) if depth == 1 => {
                    directed |= (word.eq_ignore_ascii_case("ASC")
                        || word.eq_ignore_ascii_case("DESC"))
                        && (self.symbol_ahead(at + 1, ",") || self.symbol_ahead(at + 1, ")"));
                }
                (TokenKind::End | TokenKind::Invalid(_), _) => return false,
                _ => {}
            }
            if depth == 0 {
                return directed;
            }
            at += 1;
        }
    }

    /// ASC is nothing; DESC wraps the key in a call that only key definitions have.
    fn key_direction(&mut self, expr: Expr) -> Result<Expr> {
        match self.take_any_keyword(&["ASC", "DESC"]) {
            Some("DESC") => Ok(call("__descending", vec![expr], CallForm::Operator)),
            _ => Ok(expr),
        }
    }

    /// `expr [DELETE [WHERE …] | TO DISK 'd' | TO VOLUME 'v' | RECOMPRESS CODEC(…) | GROUP BY …], …`.
    pub(super) fn ttl_items(&mut self) -> Result<Vec<TtlItem>> {
        self.comma_list(Self::ttl_item)
    }

    fn ttl_item(&mut self) -> Result<TtlItem> {
        let expr = self.expression()?;
        let words = [
            "TO DISK IF EXISTS",
            "TO DISK",
            "TO VOLUME IF EXISTS",
            "TO VOLUME",
            "RECOMPRESS",
            "GROUP BY",
        ];
        let action = match self.take_any_keyword(&words) {
            Some("TO DISK" | "TO DISK IF EXISTS") => TtlAction::ToDisk(self.string()?),
            Some("TO VOLUME" | "TO VOLUME IF EXISTS") => TtlAction::ToVolume(self.string()?),
            Some("RECOMPRESS") => {
                self.expect_keyword("CODEC")?;
                let codec = self.codec_list()?;
                TtlAction::Recompress(call("CODEC", codec, CallForm::Function))
            }
            Some(_) => self.ttl_group_by()?,
            None => {
                self.take_keyword("DELETE");
                let where_ =
                    if self.take_keyword("WHERE") { Some(self.expression()?) } else { None };
                TtlAction::Delete { where_ }
            }
        };
        Ok(TtlItem { expr, action })
    }

    /// `a, b SET x = max(x)`: an item of the TTL list ends where an assignment does.
    fn ttl_group_by(&mut self) -> Result<TtlAction> {
        let keys = self.comma_list(Self::expression)?;
        let mut set = Vec::new();
        if self.take_keyword("SET") {
            loop {
                set.push(self.assignment()?);
                let another = self.symbol_ahead(0, ",")
                    && matches!(self.ahead(1).kind, TokenKind::Word | TokenKind::QuotedName)
                    && self.symbol_ahead(2, "=");
                if !another {
                    break;
                }
                self.index += 1;
            }
        }
        Ok(TtlAction::GroupBy { keys, set })
    }

    /// `column = expr`.
    pub(super) fn assignment(&mut self) -> Result<(String, Expr)> {
        let name = self.compound_name()?;
        self.expect_symbol("=")?;
        Ok((name, self.expression()?))
    }

    /// `(Delta(4), ZSTD(3))` behind CODEC.
    pub(super) fn codec_list(&mut self) -> Result<Vec<Expr>> {
        self.expect_symbol("(")?;
        let codecs = self.comma_list(Self::named_arguments)?;
        self.expect_symbol(")")?;
        Ok(codecs)
    }

    /// `name` or `name(arguments)`: codecs, index types.
    pub(super) fn named_arguments(&mut self) -> Result<Expr> {
        let start = self.token().start;
        let name = self.name()?;
        if self.symbol_ahead(0, "(") {
            return self.plain_call(name, start);
        }
        Ok(Expr { span: self.span_from(start), ..Expr::new(ExprKind::Identifier(vec![name])) })
    }
}
