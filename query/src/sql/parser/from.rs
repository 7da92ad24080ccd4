//! FROM: tables, table functions, subqueries and the joins between them.
//!
//! ClickHouse lets the words of a join stand in many orders (`ANY LEFT JOIN`, `LEFT ANY JOIN`,
//! `GLOBAL SEMI LEFT JOIN`); all are read into kind and strictness.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{
    ArrayJoin, Explain, Expr, ExprKind, Join, JoinConstraint, JoinKind, JoinStrictness, Query,
    QueryBody, Select, Statement, TableExpr,
};
use crate::sql::format::{self, VIEW_EXPLAIN};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// What follows FROM; the ARRAY JOIN at its end is given apart.
    pub(super) fn from_clause(&mut self) -> Result<(Option<TableExpr>, Option<ArrayJoin>)> {
        let mut left = self.table_expression()?;
        let mut pending: Option<ArrayJoin> = None;
        loop {
            if let Some(join) = self.array_join()? {
                left = enclose(left, pending.replace(join));
                continue;
            }
            let Some((kind, strictness, global)) = self.join_words()? else {
                return Ok((Some(left), pending));
            };
            left = enclose(left, pending.take());
            let right = self.table_expression()?;
            let constraint = self.join_constraint(kind)?;
            self.grow()?;
            left = TableExpr::Join(Box::new(Join {
                left,
                right,
                kind,
                strictness,
                global,
                constraint,
            }));
        }
    }

    /// The words of a join up to and with JOIN, or the comma; None if there is no join.
    fn join_words(&mut self) -> Result<Option<(JoinKind, JoinStrictness, bool)>> {
        if self.take_symbol(",") {
            return Ok(Some((JoinKind::Comma, JoinStrictness::Unspecified, false)));
        }
        let before = self.index;
        let global = self.take_keyword("GLOBAL");
        self.take_keyword("LOCAL");
        if self.take_keyword("PASTE JOIN") {
            return Ok(Some((JoinKind::Paste, JoinStrictness::Unspecified, global)));
        }
        let first = self.strictness();
        let kind = match self.take_any_keyword(&["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]) {
            Some("LEFT") => Some(JoinKind::Left),
            Some("RIGHT") => Some(JoinKind::Right),
            Some("FULL") => Some(JoinKind::Full),
            Some("CROSS") => Some(JoinKind::Cross),
            Some(_) => Some(JoinKind::Inner),
            None => None,
        };
        let strictness = first.or_else(|| self.strictness());
        if matches!(kind, Some(JoinKind::Left | JoinKind::Right | JoinKind::Full)) {
            self.take_keyword("OUTER");
        }
        if self.take_keyword("JOIN") {
            // SEMI and ANTI without a side are LEFT.
            let side = matches!(strictness, Some(JoinStrictness::Semi | JoinStrictness::Anti));
            let kind = kind.unwrap_or(if side { JoinKind::Left } else { JoinKind::Inner });
            return Ok(Some((kind, strictness.unwrap_or(JoinStrictness::Unspecified), global)));
        }
        if self.index != before {
            return Err(self.unexpected());
        }
        Ok(None)
    }

    fn strictness(&mut self) -> Option<JoinStrictness> {
        let word = self.take_any_keyword(&["ALL", "ANY", "ASOF", "SEMI", "ANTI", "ONLY"])?;
        Some(match word {
            "ALL" => JoinStrictness::All,
            "ASOF" => JoinStrictness::Asof,
            "SEMI" | "ONLY" => JoinStrictness::Semi,
            "ANTI" => JoinStrictness::Anti,
            _ => JoinStrictness::Any,
        })
    }

    fn join_constraint(&mut self, kind: JoinKind) -> Result<JoinConstraint> {
        if matches!(kind, JoinKind::Comma | JoinKind::Cross | JoinKind::Paste) {
            return Ok(JoinConstraint::None);
        }
        if self.take_keyword("USING") {
            if !self.take_symbol("(") {
                return Ok(JoinConstraint::Using(self.comma_list(Self::aliased)?));
            }
            let items = self.comma_list(Self::aliased)?;
            self.expect_symbol(")")?;
            return Ok(JoinConstraint::Using(items));
        }
        if !self.take_keyword("ON") {
            self.want("USING");
            return Err(self.unexpected());
        }
        Ok(JoinConstraint::On(self.aliased()?))
    }

    /// A table, table function or subquery with alias, FINAL and SAMPLE.
    pub(super) fn table_expression(&mut self) -> Result<TableExpr> {
        if self.symbol_ahead(0, "(") {
            return self.subquery_table();
        }
        if self.token().kind == TokenKind::String {
            let name = self.string()?;
            let (alias, final_) = self.alias_and_final()?;
            let sample = self.sample()?;
            return Ok(TableExpr::Table { database: None, name, alias, final_, sample });
        }
        if !matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName)
            && !self.at_identifier_parameter()
        {
            self.want("table");
            self.want("table function");
            self.want("subquery");
            return Err(self.unexpected());
        }
        let qualified = self.symbol_ahead(1, ".") && self.symbol_ahead(3, "(");
        if qualified || self.symbol_ahead(1, "(") {
            let database = match qualified {
                true => Some(self.name()?),
                false => None,
            };
            self.index += usize::from(qualified);
            let mut table = self.table_function()?;
            // A parameterized view may have its database before it.
            if let (Some(database), TableExpr::Function { name, .. }) = (database, &mut table) {
                *name = format!("{database}.{name}");
            }
            let (found_alias, found_final) = self.alias_and_final()?;
            self.sample()?;
            if let TableExpr::Function { alias, final_, .. } = &mut table {
                (*alias, *final_) = (found_alias, found_final);
            }
            return Ok(table);
        }
        let table = self.table_name()?;
        let (alias, final_) = self.alias_and_final()?;
        let sample = self.sample()?;
        Ok(TableExpr::Table { database: table.database, name: table.name, alias, final_, sample })
    }

    /// `name(arguments [SETTINGS …])`.
    pub(super) fn table_function(&mut self) -> Result<TableExpr> {
        let name = self.name()?;
        self.expect_symbol("(")?;
        let mut arguments = Vec::new();
        let mut settings = Vec::new();
        while !self.take_symbol(")") {
            if self.keyword_ahead(0, "SETTINGS") && self.ahead(1).kind == TokenKind::Word {
                self.index += 1;
                settings = self.settings()?;
                self.expect_symbol(")")?;
                break;
            }
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
                if self.keyword_ahead(0, "SETTINGS") && self.ahead(1).kind == TokenKind::Word {
                    continue;
                }
            }
            arguments.push(self.table_function_argument(&name)?);
            if name == "viewIfPermitted" && self.take_keyword("ELSE") {
                let start = self.token().start;
                let otherwise = self.name()?;
                arguments.push(self.plain_call(otherwise, start)?);
            }
        }
        self.grow()?;
        Ok(TableExpr::Function { name, arguments, settings, alias: None, final_: false })
    }

    fn table_function_argument(&mut self, function: &str) -> Result<Expr> {
        if !function.starts_with("view") || self.symbol_ahead(0, "(") || !self.at_query() {
            return self.aliased();
        }
        let start = self.token().start;
        let query = self.query()?;
        let kind = ExprKind::Subquery(Box::new(query));
        Ok(Expr { span: self.span_from(start), ..Expr::new(kind) })
    }

    fn subquery_table(&mut self) -> Result<TableExpr> {
        self.expect_symbol("(")?;
        if self.take_keyword("EXPLAIN") {
            return self.explained_table();
        }
        let query = Box::new(self.query()?);
        self.expect_symbol(")")?;
        self.grow()?;
        let alias = self.table_alias()?;
        let columns = if alias.is_some() { self.column_aliases()? } else { vec![] };
        let final_ = self.take_keyword("FINAL");
        self.sample()?;
        Ok(TableExpr::Subquery { query, alias, columns, final_ })
    }

    /// `(EXPLAIN kind settings SELECT …)`: all of the table function that ClickHouse makes of it.
    fn explained_table(&mut self) -> Result<TableExpr> {
        let Explain { kind, settings, statement } = self.explain()?;
        let Statement::Query(query) = statement else {
            self.want("SELECT query");
            return Err(self.unexpected());
        };
        self.expect_symbol(")")?;
        self.grow()?;
        let alias = self.table_alias()?;
        let arguments = format::view_explain(kind, &settings, query);
        let name = VIEW_EXPLAIN.to_string();
        let (settings, final_) = (vec![], false);
        let function = TableExpr::Function { name, arguments, settings, alias: None, final_ };
        let items = vec![Expr::new(ExprKind::Asterisk(vec![]))];
        let select = Select { items, from: Some(function), ..Select::default() };
        let query = Box::new(Query::new(QueryBody::Select(Box::new(select))));
        Ok(TableExpr::Subquery { query, alias, columns: vec![], final_ })
    }

    /// `(a, b)` behind an alias; a table has its own names and keeps them.
    fn column_aliases(&mut self) -> Result<Vec<String>> {
        if !self.take_symbol("(") {
            return Ok(vec![]);
        }
        let names = self.comma_list(Self::name)?;
        self.expect_symbol(")")?;
        Ok(names)
    }

    /// `[AS] alias`.
    fn table_alias(&mut self) -> Result<Option<String>> {
        match self.take_keyword("AS") {
            true => Ok(Some(self.name()?)),
            false if self.keyword_ahead(0, "SELECT") => Ok(None),
            false => self.bare_alias(),
        }
    }

    /// `[AS] alias [(names)] [FINAL]`.
    fn alias_and_final(&mut self) -> Result<(Option<String>, bool)> {
        let alias = self.table_alias()?;
        if alias.is_some() {
            self.column_aliases()?;
        }
        Ok((alias, self.take_keyword("FINAL")))
    }

    /// `SAMPLE 1/10 OFFSET 1/2`.
    fn sample(&mut self) -> Result<Option<(Expr, Option<Expr>)>> {
        if !self.take_keyword("SAMPLE") {
            return Ok(None);
        }
        let ratio = self.expression()?;
        let offset = match self.take_keyword("OFFSET") {
            true => Some(self.expression()?),
            false => None,
        };
        Ok(Some((ratio, offset)))
    }
}

fn enclose(table: TableExpr, join: Option<ArrayJoin>) -> TableExpr {
    match join {
        Some(join) => TableExpr::ArrayJoin { input: Box::new(table), join },
        None => table,
    }
}
