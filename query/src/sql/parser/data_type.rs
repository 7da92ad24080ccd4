//! Data types as they stand in CREATE TABLE, CAST and parameters: any name with arguments. The result
//! is canonical text; whether the type exists is for the reader of that text to say.

use super::Parser;
use crate::error::Result;
use crate::sql::format;
use crate::sql::lexer::TokenKind;

/// SQL's names of several words; the longest first.
const WORDS: [&str; 23] = [
    "NATIONAL CHARACTER LARGE OBJECT",
    "NATIONAL CHARACTER VARYING",
    "NATIONAL CHAR VARYING",
    "NATIONAL CHARACTER",
    "NATIONAL CHAR",
    "CHARACTER LARGE OBJECT",
    "CHARACTER VARYING",
    "BINARY LARGE OBJECT",
    "BINARY VARYING",
    "CHAR LARGE OBJECT",
    "CHAR VARYING",
    "NCHAR LARGE OBJECT",
    "NCHAR VARYING",
    "DOUBLE PRECISION",
    "BIGINT UNSIGNED",
    "BIGINT SIGNED",
    "INTEGER UNSIGNED",
    "INTEGER SIGNED",
    "INT UNSIGNED",
    "INT SIGNED",
    "SMALLINT UNSIGNED",
    "TINYINT UNSIGNED",
    "MEDIUMINT UNSIGNED",
];

/// Types whose elements may have names.
const NAMED: [&str; 3] = ["Tuple", "Nested", "AggregateFunction"];

impl Parser<'_> {
    /// A type's canonical text: `Array(Tuple(a UInt8, b String))`.
    pub(super) fn data_type(&mut self) -> Result<String> {
        self.enter(1)?;
        let made = self.data_type_inner();
        self.leave(1);
        made
    }

    fn data_type_inner(&mut self) -> Result<String> {
        let mut text = match self.take_any_keyword(&WORDS) {
            Some(words) => words.to_string(),
            None => self.type_name()?,
        };
        if !self.symbol_ahead(0, "(") {
            return Ok(text);
        }
        self.index += 1;
        let json = text.eq_ignore_ascii_case("JSON") || text.eq_ignore_ascii_case("Object");
        let mut arguments = Vec::new();
        while !self.take_symbol(")") {
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
                if self.take_symbol(")") {
                    break;
                }
            }
            arguments.push(if json { self.json_argument()? } else { self.type_argument(&text)? });
        }
        if !arguments.is_empty() {
            text = format!("{text}({})", arguments.join(", "));
        }
        // MySQL: `INT(11) UNSIGNED`.
        if let Some(sign) = self.take_any_keyword(&["UNSIGNED", "SIGNED"]) {
            text = format!("{text} {sign}");
        }
        Ok(text)
    }

    fn type_name(&mut self) -> Result<String> {
        match self.token().kind {
            TokenKind::Word | TokenKind::QuotedName => self.name(),
            _ => {
                self.want("data type");
                Err(self.unexpected())
            }
        }
    }

    /// A literal, `'a' = 1`, a type, `name Type`, or a call such as `quantiles(0.5, 0.9)`.
    fn type_argument(&mut self, parent: &str) -> Result<String> {
        let token = self.token();
        if matches!(token.kind, TokenKind::Number | TokenKind::String) || self.symbol_ahead(0, "-")
        {
            let mut text = self.type_literal()?;
            if self.take_symbol("=") {
                text = format!("{text} = {}", self.type_literal()?);
            }
            return Ok(text);
        }
        // `name Type`: two names in a row, unless they are one type of several words.
        let next = self.ahead(1);
        let named = matches!(next.kind, TokenKind::Word | TokenKind::QuotedName)
            && !WORDS.iter().any(|words| self.keyword_ahead(0, words));
        if (named && NAMED.iter().any(|t| t.eq_ignore_ascii_case(parent)))
            || (token.kind == TokenKind::QuotedName && named)
        {
            let name = self.name()?;
            let data_type = self.data_type()?;
            return Ok(format!("{} {data_type}", format::quote_name(&name)));
        }
        let data_type = self.data_type()?;
        // `Dynamic(max_types=3)`.
        if self.take_symbol("=") {
            return Ok(format!("{data_type} = {}", self.type_literal()?));
        }
        Ok(data_type)
    }

    fn type_literal(&mut self) -> Result<String> {
        let literal = self.plain_literal()?;
        Ok(format::expr(&literal))
    }

    /// `max_dynamic_paths=10`, `a.b UInt32`, `SKIP a.b`, `SKIP REGEXP 're'`.
    fn json_argument(&mut self) -> Result<String> {
        if self.take_keyword("SKIP REGEXP") {
            return Ok(format!("SKIP REGEXP {}", self.type_literal()?));
        }
        if self.keyword_ahead(0, "SKIP") && !self.symbol_ahead(1, "=") {
            self.index += 1;
            return Ok(format!("SKIP {}", self.json_path()?));
        }
        if self.token().kind == TokenKind::String {
            return self.type_literal();
        }
        let path = self.json_path()?;
        if self.take_symbol("=") {
            return Ok(format!("{path} = {}", self.type_literal()?));
        }
        Ok(format!("{path} {}", self.data_type()?))
    }

    /// `a.b.c` as one name.
    /// `a.b.c` as one name.
    fn json_path(&mut self) -> Result<String> {
        Ok(format::quote_name(&self.compound_name()?))
    }
}
