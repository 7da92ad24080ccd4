//! INSERT: up to where its data begins. The data itself is not looked at.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{Expr, Insert, InsertSource, Query, QueryBody, Setting};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// Behind INSERT.
    pub(super) fn insert(&mut self) -> Result<Insert> {
        self.expect_keyword("INTO")?;
        let mut table = None;
        let mut function = None;
        if self.keyword_ahead(0, "TABLE FUNCTION") && self.symbol_ahead(3, "(") {
            self.index += 1;
        }
        if self.keyword_ahead(0, "FUNCTION") && self.symbol_ahead(2, "(") {
            self.index += 1;
            function = Some(self.table_function()?);
        } else {
            if self.keyword_ahead(0, "TABLE") && self.ahead(1).kind == TokenKind::Word {
                self.index += 1;
            }
            table = Some(self.table_name()?);
        }
        let mut columns = None;
        if self.symbol_ahead(0, "(") && !self.parenthesized_query_ahead() {
            self.index += 1;
            columns = Some(self.insert_columns()?);
        }
        let mut insert = Insert {
            table,
            function,
            columns,
            settings: Vec::new(),
            source: InsertSource::Values { data_offset: 0 },
            input: None,
        };
        self.insert_settings(&mut insert)?;
        let from = self.index;
        insert.source = self.insert_source()?;
        if matches!(insert.source, InsertSource::Query(_))
            && self.reads_input(from)
            && self.take_keyword("FORMAT")
        {
            let format = self.name()?;
            insert.input = Some((format, self.data_offset()));
        }
        // Settings of the SELECT are those of the INSERT too.
        if let InsertSource::Query(query) = &insert.source
            && insert.settings.is_empty()
        {
            insert.settings = last_settings(query);
        }
        Ok(insert)
    }

    fn insert_settings(&mut self, insert: &mut Insert) -> Result<()> {
        if self.take_keyword("SETTINGS") {
            let mut more = self.settings()?;
            insert.settings.append(&mut more);
        }
        Ok(())
    }

    /// Whether a `(`, or several, opens a query.
    fn parenthesized_query_ahead(&mut self) -> bool {
        let mut at = 0;
        while at < 64 && self.symbol_ahead(at, "(") {
            at += 1;
        }
        self.keyword_ahead(at, "SELECT")
            || (self.keyword_ahead(at, "WITH") && !self.symbol_ahead(at + 1, ","))
    }

    /// `a, b)`, `* EXCEPT (c))`.
    fn insert_columns(&mut self) -> Result<Vec<Expr>> {
        let mut columns: Vec<Expr> = Vec::new();
        while !self.take_symbol(")") {
            if !columns.is_empty() {
                self.expect_symbol(",")?;
                if self.take_symbol(")") {
                    break;
                }
            }
            let column = match self.symbol_ahead(0, "*") {
                true => self.asterisk(Vec::new())?,
                false => self.identifier_or_columns()?,
            };
            columns.push(column);
        }
        Ok(columns)
    }

    fn identifier_or_columns(&mut self) -> Result<Expr> {
        match self.keyword_ahead(0, "COLUMNS") && self.symbol_ahead(1, "(") {
            true => self.columns_matcher(Vec::new()),
            false => self.identifier_or_call(),
        }
    }

    fn insert_source(&mut self) -> Result<InsertSource> {
        if self.keyword_ahead(0, "VALUES") {
            let data_offset = self.token().end;
            self.index += 1;
            return Ok(InsertSource::Values { data_offset });
        }
        if self.take_keyword("FORMAT") {
            let format = self.name()?;
            let data_offset = self.data_offset();
            // `FORMAT Values` is what VALUES means.
            if format.eq_ignore_ascii_case("Values") {
                return Ok(InsertSource::Values { data_offset });
            }
            return Ok(InsertSource::Format { format: Some(format), data_offset });
        }
        if self.at_query() || self.symbol_ahead(0, "(") {
            return Ok(InsertSource::Query(Box::new(self.query()?)));
        }
        if self.at_end() {
            return Ok(InsertSource::Format { format: None, data_offset: self.text.len() });
        }
        for word in ["VALUES", "FORMAT", "SELECT", "WITH", "SETTINGS"] {
            self.want(word);
        }
        Err(self.unexpected())
    }

    /// Whether a call of `input` stands between token `from` and here.
    fn reads_input(&mut self, from: usize) -> bool {
        (from..self.index).any(|at| {
            let (name, next) = (self.token_at(at), self.token_at(at + 1));
            self.text_of(name).eq_ignore_ascii_case("input") && self.text_of(next) == "("
        })
    }

    /// Data behind FORMAT begins after blanks and one line end.
    fn data_offset(&self) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = self.previous_end();
        while matches!(bytes.get(at), Some(b' ' | b'\t' | 0x0c)) {
            at += 1;
        }
        at += usize::from(bytes.get(at) == Some(&b'\r'));
        at + usize::from(bytes.get(at) == Some(&b'\n'))
    }
}

/// SETTINGS behind a query are written in its last SELECT.
fn last_settings(query: &Query) -> Vec<Setting> {
    match &query.body {
        QueryBody::Select(select) => select.settings.clone(),
        QueryBody::SetOperation { inputs, .. } => {
            inputs.last().map(last_settings).unwrap_or_default()
        }
    }
}
