//! SQL text to tree and back.
//!
//! [`lexer`] cuts the text, [`parser`] makes the tree in [`ast`] and [`access`], [`format`] prints a tree as ClickHouse
//! does, [`column_name`] says what a result column is called. Errors are of code 62 with the place, or
//! of the limits on depth and size (306, 167, 168). What names mean is for the binder to say.

pub mod access;
pub mod ast;
mod column_name;
pub mod dialect;
pub mod format;
pub mod lexer;
mod parameter;
mod parser;
mod shared_with;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod visit;

pub use column_name::column_name;
pub(crate) use parameter::unescaped;
pub use parser::{Parameters, ParsedStatement, unescape};
pub use shared_with::share_with;
pub use visit::{for_each_subquery, names_in, names_in_query, replace_names, replace_subqueries};

use crate::error::{Result, codes};
use parser::Parser;
use std::ops::Range;

/// All statements of a script; the data of an INSERT reaches to the next semicolon outside quotes.
pub fn parse_statements(sql: &str) -> Result<Vec<ast::Statement>> {
    split_statements(sql)?
        .into_iter()
        .map(|range| Ok(parse_statement(&sql[range])?.statement))
        .collect()
}

/// One statement with its FORMAT, SETTINGS and INTO OUTFILE.
pub fn parse_statement(sql: &str) -> Result<ParsedStatement> {
    Parser::new(sql).parse_statement()
}

/// The same with query parameters: `{name:Type}` becomes a cast of its text, `{name:Identifier}` a name.
pub fn parse_statement_with(sql: &str, parameters: &Parameters) -> Result<ParsedStatement> {
    Parser::new(sql).with_parameters(parameters).parse_statement()
}

/// A SELECT, or several with set operations.
pub fn parse_query(sql: &str) -> Result<ast::Query> {
    Parser::new(sql).parse_query()
}

/// The same with query parameters.
pub fn parse_query_with(sql: &str, parameters: &Parameters) -> Result<ast::Query> {
    Parser::new(sql).with_parameters(parameters).parse_query()
}

/// An expression, with an alias if it has one.
pub fn parse_expression(sql: &str) -> Result<ast::Expr> {
    Parser::new(sql).parse_expression()
}

/// A data type's canonical text.
pub fn parse_type_text(sql: &str) -> Result<String> {
    Parser::new(sql).parse_type_text()
}

/// The places of a script's statements, without their semicolons.
pub fn split_statements(sql: &str) -> Result<Vec<Range<usize>>> {
    let mut ranges = Vec::new();
    let mut lexer = lexer::Lexer::new(sql);
    let mut start = None;
    let mut end = 0;
    loop {
        let token = lexer.next_token();
        let semicolon =
            token.kind == lexer::TokenKind::Symbol && &sql[token.start..token.end] == ";";
        if token.kind == lexer::TokenKind::End || semicolon {
            if let Some(start) = start.take() {
                ranges.push(start..end);
            }
            if !semicolon {
                return Ok(ranges);
            }
            continue;
        }
        start.get_or_insert(token.start);
        end = token.end;
    }
}

/// Whether this error says that the text is not SQL.
pub fn is_syntax_error(error: &crate::Error) -> bool {
    error.code() == codes::SYNTAX_ERROR
}
