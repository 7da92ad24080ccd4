//! `*`, `t.*`, `COLUMNS(…)` and what may follow them: EXCEPT, REPLACE, APPLY.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{ColumnTransformer, Expr, ExprKind};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// `*` with its transformers, behind `qualifier.` if there is one.
    pub(super) fn asterisk(&mut self, qualifier: Vec<String>) -> Result<Expr> {
        let start = self.token().start;
        self.expect_symbol("*")?;
        let transformers = self.transformers()?;
        self.grow()?;
        let kind = match qualifier.is_empty() {
            true => ExprKind::Asterisk(transformers),
            false => ExprKind::QualifiedAsterisk { qualifier, transformers },
        };
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    /// `COLUMNS('re')`, `COLUMNS(a, b)`.
    pub(super) fn columns_matcher(&mut self, qualifier: Vec<String>) -> Result<Expr> {
        let start = self.token().start;
        self.expect_keyword("COLUMNS")?;
        self.expect_symbol("(")?;
        let mut pattern = None;
        let mut names = Vec::new();
        match self.token().kind {
            TokenKind::String => pattern = Some(self.string()?),
            _ => names = self.comma_list(Self::compound_name)?,
        }
        self.expect_symbol(")")?;
        let transformers = self.transformers()?;
        self.grow()?;
        let kind = ExprKind::Columns { qualifier, pattern, names, transformers };
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    /// `a.b` as one name.
    pub(super) fn compound_name(&mut self) -> Result<String> {
        let mut name = self.name()?;
        while self.symbol_ahead(0, ".") {
            self.index += 1;
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    fn transformers(&mut self) -> Result<Vec<ColumnTransformer>> {
        let mut transformers = Vec::new();
        loop {
            if self.at_except_transformer() {
                self.index += 1;
                transformers.push(self.except_transformer()?);
            } else if self.keyword_ahead(0, "REPLACE") {
                self.index += 1;
                transformers.push(self.replace_transformer()?);
            } else if self.keyword_ahead(0, "APPLY") {
                self.index += 1;
                transformers.push(self.apply_transformer()?);
            } else {
                return Ok(transformers);
            }
        }
    }

    /// EXCEPT that is not the set operation.
    fn at_except_transformer(&mut self) -> bool {
        if !self.keyword_ahead(0, "EXCEPT") {
            return false;
        }
        let at = 1 + usize::from(self.symbol_ahead(1, "("));
        // `* EXCEPT FROM t` names a column, `(…)` with FROM first is a query.
        let from = at > 1 && self.keyword_ahead(at, "FROM");
        !from
            && !["SELECT", "WITH", "ALL", "DISTINCT"]
                .iter()
                .any(|word| self.keyword_ahead(at, word))
            && !self.symbol_ahead(at, "(")
    }

    fn except_transformer(&mut self) -> Result<ColumnTransformer> {
        let strict = self.take_keyword("STRICT");
        let parenthesis = self.take_symbol("(");
        let mut pattern = None;
        let mut names = Vec::new();
        match self.token().kind {
            TokenKind::String => pattern = Some(self.string()?),
            _ if parenthesis => names = self.comma_list(Self::compound_name)?,
            _ => names.push(self.name()?),
        }
        if parenthesis {
            self.expect_symbol(")")?;
        }
        Ok(ColumnTransformer::Except { names, pattern, strict })
    }

    fn replace_transformer(&mut self) -> Result<ColumnTransformer> {
        let strict = self.take_keyword("STRICT");
        let items = match self.take_symbol("(") {
            true => {
                let items = self.comma_list(Self::replacement)?;
                self.expect_symbol(")")?;
                items
            }
            false => vec![self.replacement()?],
        };
        Ok(ColumnTransformer::Replace { items, strict })
    }

    fn replacement(&mut self) -> Result<(Expr, String)> {
        let expr = self.expression()?;
        self.expect_keyword("AS")?;
        Ok((expr, self.name()?))
    }

    fn apply_transformer(&mut self) -> Result<ColumnTransformer> {
        let parenthesis = self.take_symbol("(");
        let applied = self.expression()?;
        if parenthesis {
            self.expect_symbol(")")?;
        }
        Ok(ColumnTransformer::Apply(Box::new(applied)))
    }
}
