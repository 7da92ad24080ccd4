//! What stands between the parentheses of CREATE TABLE: columns, INDEX, PROJECTION, CONSTRAINT,
//! PRIMARY KEY.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{ColumnDecl, CreateTable, IndexDecl};
use crate::sql::lexer::TokenKind;
use pumphouse_storage::log::DefaultKind;

/// Words that may follow a column's name although it has no type.
const COLUMN_CLAUSES: [&str; 9] = [
    "DEFAULT",
    "MATERIALIZED",
    "ALIAS",
    "EPHEMERAL",
    "AUTO_INCREMENT",
    "COMMENT",
    "CODEC",
    "TTL",
    "REMOVE",
];

impl Parser<'_> {
    /// The elements up to the closing parenthesis, which is taken.
    pub(super) fn table_elements(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.symbol_ahead(0, ")") {
            return Err(self.unexpected());
        }
        while !self.take_symbol(")") {
            self.table_element(table)?;
            if !self.take_symbol(",") {
                self.expect_symbol(")")?;
                return Ok(());
            }
        }
        Ok(())
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Result<()> {
        let named = matches!(self.ahead(1).kind, TokenKind::Word | TokenKind::QuotedName);
        if self.keyword_ahead(0, "INDEX") && named && !self.symbol_ahead(2, ",") {
            let before = self.index;
            self.index += 1;
            // `index String` is a column.
            if let Some(index) = self.index_declaration()? {
                table.indexes.push(index);
                return Ok(());
            }
            self.index = before;
        }
        if self.keyword_ahead(0, "PROJECTION") && named && self.projection_follows() {
            self.index += 1;
            let projection = self.projection()?;
            table.projections.push(projection);
            return Ok(());
        }
        if self.keyword_ahead(0, "CONSTRAINT") && named {
            self.index += 1;
            let constraint = self.constraint()?;
            table.constraints.push(constraint);
            return Ok(());
        }
        if self.keyword_ahead(0, "PRIMARY KEY") {
            self.index += 2;
            table.engine.primary_key = Some(self.expression()?);
            return Ok(());
        }
        let column = self.column_declaration()?;
        if column.data_type.is_none() && column.default.is_none() {
            self.want("data type");
            return Err(self.unexpected());
        }
        table.columns.push(column);
        Ok(())
    }

    fn projection_follows(&mut self) -> bool {
        self.symbol_ahead(2, "(")
            && (self.keyword_ahead(3, "SELECT") || self.keyword_ahead(3, "WITH"))
            || self.keyword_ahead(2, "INDEX")
    }

    /// `name (SELECT …)`.
    pub(super) fn projection(&mut self) -> Result<(String, crate::sql::ast::Query)> {
        let name = self.name()?;
        self.expect_symbol("(")?;
        let query = self.query()?;
        self.expect_symbol(")")?;
        if self.take_keyword("WITH SETTINGS") {
            self.expect_symbol("(")?;
            self.settings()?;
            self.expect_symbol(")")?;
        }
        Ok((name, query))
    }

    /// `name CHECK expr`, `name ASSUME expr`.
    pub(super) fn constraint(&mut self) -> Result<(String, bool, crate::sql::ast::Expr)> {
        let name = self.name()?;
        let assume = self.take_keyword("ASSUME");
        if !assume {
            self.expect_keyword("CHECK")?;
        }
        Ok((name, assume, self.expression()?))
    }

    /// `name expr TYPE t [GRANULARITY n]` behind INDEX; None if no TYPE follows the expression.
    pub(super) fn index_declaration(&mut self) -> Result<Option<IndexDecl>> {
        let name = self.name()?;
        if self.symbol_ahead(0, ",") || self.symbol_ahead(0, ")") {
            return Ok(None);
        }
        if COLUMN_CLAUSES.iter().any(|clause| self.keyword_ahead(0, clause)) {
            return Ok(None);
        }
        let expr = self.expression()?;
        if !self.take_keyword("TYPE") {
            return Ok(None);
        }
        let index_type = self.named_arguments()?;
        let granularity = match self.take_keyword("GRANULARITY") {
            true => self.unsigned()?,
            false => default_granularity(&index_type),
        };
        let granularity = Some(granularity);
        Ok(Some(IndexDecl { name, expr, index_type, granularity }))
    }

    /// `name [type] [NULL] [DEFAULT …] [COMMENT …] [CODEC …] [TTL …] [PRIMARY KEY] [SETTINGS …]`.
    pub(super) fn column_declaration(&mut self) -> Result<ColumnDecl> {
        let mut column = ColumnDecl { name: self.compound_name()?, ..ColumnDecl::default() };
        let clause = COLUMN_CLAUSES.iter().any(|clause| self.keyword_ahead(0, clause));
        let typed = matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName)
            && !["FIRST", "AFTER", "MODIFY", "RESET", "ADD"]
                .iter()
                .any(|word| self.keyword_ahead(0, word));
        if typed && !clause {
            column.data_type = Some(self.data_type()?);
        }
        while self.column_clause(&mut column)? {}
        Ok(column)
    }

    fn column_clause(&mut self, column: &mut ColumnDecl) -> Result<bool> {
        let words = [
            "NOT NULL",
            "NULL",
            "DEFAULT",
            "MATERIALIZED",
            "ALIAS",
            "EPHEMERAL",
            "AUTO_INCREMENT",
            "COMMENT",
            "CODEC",
            "TTL",
            "PRIMARY KEY",
            "COLLATE",
            "STATISTICS",
        ];
        if self.keyword_ahead(0, "SETTINGS") && self.symbol_ahead(1, "(") {
            self.index += 2;
            column.settings = self.settings()?;
            self.expect_symbol(")")?;
            return Ok(true);
        }
        match self.take_any_keyword(&words) {
            Some("NULL") => column.nullable = Some(true),
            Some("NOT NULL") => column.nullable = Some(false),
            Some("DEFAULT") => {
                column.default = Some((DefaultKind::Default, Some(self.expression()?)))
            }
            Some("MATERIALIZED") => {
                column.default = Some((DefaultKind::Materialized, Some(self.expression()?)));
            }
            Some("ALIAS") => column.default = Some((DefaultKind::Alias, Some(self.expression()?))),
            Some("EPHEMERAL") => {
                column.default = Some((DefaultKind::Ephemeral, self.ephemeral_value()?))
            }
            Some("COMMENT") => column.comment = Some(self.string()?),
            Some("CODEC") => column.codec = Some(self.codec_list()?),
            Some("TTL") => column.ttl = Some(self.expression()?),
            Some("PRIMARY KEY") => column.primary_key = true,
            Some("COLLATE") => {
                self.string_or_name()?;
            }
            Some("STATISTICS") => {
                column.statistics = Some(self.codec_list()?);
            }
            Some(_) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// EPHEMERAL may stand alone.
    fn ephemeral_value(&mut self) -> Result<Option<crate::sql::ast::Expr>> {
        let alone = [",", ")", ";"].iter().any(|symbol| self.symbol_ahead(0, symbol))
            || ["COMMENT", "CODEC", "TTL", "FIRST", "AFTER"]
                .iter()
                .any(|word| self.keyword_ahead(0, word))
            || self.at_end();
        if alone { Ok(None) } else { self.expression().map(Some) }
    }
}

/// Granules per mark of an index that does not say it: all of a part for those over whole parts.
fn default_granularity(index_type: &crate::sql::ast::Expr) -> u64 {
    use crate::sql::ast::ExprKind;
    let name = match &index_type.kind {
        ExprKind::Call(call) => call.name.as_str(),
        ExprKind::Identifier(parts) => parts[0].as_str(),
        _ => "",
    };
    if matches!(name, "text" | "vector_similarity") { 100_000_000 } else { 1 }
}
