//! Tokens to tree: a recursive-descent parser with one file per kind of statement and a Pratt parser
//! for expressions. This file is the cursor they share: looking ahead, taking keywords and names, the
//! limits and the syntax error.
//!
//! Keywords are contextual: a word is a keyword only where the grammar asks for one. Tokens are made
//! on demand, so nothing behind the data of an INSERT is ever lexed. Real recursion is bounded by
//! `NESTING_MAX`, the height of the tree by `AST_DEPTH_MAX`, so that neither this parser nor the
//! recursive walks over its tree (Drop, Clone, formatter, binder) can run out of stack.

mod access;
mod alter;
mod call;
mod column;
mod create;
mod data_type;
mod engine;
mod expression;
mod from;
mod grants;
mod insert;
pub(in crate::sql) mod kept;
mod literal;
mod manage;
mod pattern;
mod select;
mod show;
mod special;
mod statement;
mod transformer;

use super::ast::{Expr, Query, Span, TableName};
use super::lexer::{Lexer, Token, TokenKind};
use crate::error::{Error, Result, codes};
use std::collections::BTreeMap;

pub(super) use expression::is_literal;
pub use literal::unescape;
pub use statement::ParsedStatement;

/// How deep calls, parentheses and subqueries may nest in the text (a subquery counts for several).
const NESTING_MAX: u32 = 300;
/// Stack that one parser may use, in bytes: debug builds reach it before `NESTING_MAX`.
const STACK_BYTES_MAX: usize = 5 << 18;
/// How high a tree may become: `1 + 1 + 1 …` does not nest, but its tree leans to the left.
const AST_DEPTH_MAX: u32 = 500;
/// Nodes of one statement other than literals.
const AST_ELEMENTS_MAX: u32 = 50_000;

/// Values of query parameters by name: `{name:Type}` is replaced while parsing.
pub type Parameters = BTreeMap<String, String>;

/// The cursor over one text.
pub struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    tokens: Vec<Token>,
    index: usize,
    nesting: u32,
    /// An address on the stack where this parser was made.
    stack_base: usize,
    /// Height of what was parsed since the enclosing node began.
    height: u32,
    elements: u32,
    /// Nodes with literals.
    nodes: u32,
    /// The furthest token at which something else was wanted, and what that was.
    furthest: usize,
    expected: Vec<&'static str>,
    parameters: Option<&'a Parameters>,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser {
            text,
            lexer: Lexer::new(text),
            tokens: Vec::new(),
            index: 0,
            nesting: 0,
            stack_base: stack_address(),
            height: 0,
            elements: 0,
            nodes: 0,
            furthest: 0,
            expected: Vec::new(),
            parameters: None,
        }
    }

    /// Replaces `{name:Type}` by these values; a missing one is error 456.
    pub fn with_parameters(mut self, parameters: &'a Parameters) -> Parser<'a> {
        self.parameters = Some(parameters);
        self
    }

    /// A whole text that is one query.
    pub fn parse_query(&mut self) -> Result<Query> {
        let query = self.query()?;
        self.expect_end()?;
        Ok(query)
    }

    /// A whole text that is one expression.
    pub fn parse_expression(&mut self) -> Result<Expr> {
        let expr = self.select_item()?;
        self.expect_end()?;
        Ok(expr)
    }

    /// A whole text that is one data type.
    pub fn parse_type_text(&mut self) -> Result<String> {
        let data_type = self.data_type()?;
        self.expect_end()?;
        Ok(data_type)
    }

    fn token_at(&mut self, index: usize) -> Token {
        while self.tokens.len() <= index {
            let token = self.lexer.next_token();
            self.tokens.push(token);
        }
        self.tokens[index]
    }

    fn token(&mut self) -> Token {
        self.token_at(self.index)
    }

    fn ahead(&mut self, count: usize) -> Token {
        self.token_at(self.index + count)
    }

    fn advance(&mut self) -> Token {
        let token = self.token();
        self.index += 1;
        token
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// The end of the token before the cursor.
    fn previous_end(&self) -> usize {
        match self.index {
            0 => 0,
            i => self.tokens[i - 1].end,
        }
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start, end: self.previous_end().max(start) }
    }

    fn at_end(&mut self) -> bool {
        self.token().kind == TokenKind::End
    }

    // Symbols.

    fn symbol_ahead(&mut self, count: usize, symbol: &str) -> bool {
        let token = self.ahead(count);
        token.kind == TokenKind::Symbol && self.text_of(token) == symbol
    }

    fn at_symbol(&mut self, symbol: &'static str) -> bool {
        let found = self.symbol_ahead(0, symbol);
        if !found {
            self.want(symbol_name(symbol));
        }
        found
    }

    fn take_symbol(&mut self, symbol: &'static str) -> bool {
        let found = self.at_symbol(symbol);
        self.index += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<()> {
        match self.take_symbol(symbol) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    // Keywords; several words may stand in one string: "ORDER BY".

    fn keyword_ahead(&mut self, count: usize, keyword: &str) -> bool {
        let mut at = count;
        for word in keyword.split(' ') {
            let token = self.ahead(at);
            if token.kind != TokenKind::Word || !self.text_of(token).eq_ignore_ascii_case(word) {
                return false;
            }
            at += 1;
        }
        true
    }

    fn at_keyword(&mut self, keyword: &'static str) -> bool {
        let found = self.keyword_ahead(0, keyword);
        if !found {
            self.want(keyword);
        }
        found
    }

    fn take_keyword(&mut self, keyword: &'static str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.index += keyword.split(' ').count();
        }
        found
    }

    fn expect_keyword(&mut self, keyword: &'static str) -> Result<()> {
        match self.take_keyword(keyword) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// Takes one of the keywords and says which.
    fn take_any_keyword(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|k| self.take_keyword(k))
    }

    // Names.

    /// A word or quoted name; query parameters of type Identifier are replaced.
    fn name(&mut self) -> Result<String> {
        match self.optional_name()? {
            Some(name) => Ok(name),
            None => Err(self.unexpected()),
        }
    }

    fn optional_name(&mut self) -> Result<Option<String>> {
        let token = self.token();
        match token.kind {
            TokenKind::Word => {
                self.index += 1;
                Ok(Some(self.text_of(token).to_string()))
            }
            TokenKind::QuotedName if token.end - token.start > 2 => {
                self.index += 1;
                Ok(Some(unescape_name(self.text_of(token))))
            }
            TokenKind::Symbol if self.at_identifier_parameter() => {
                self.identifier_parameter().map(Some)
            }
            _ => {
                self.want("identifier");
                Ok(None)
            }
        }
    }

    /// Whether `{name:Identifier}` is next.
    fn at_identifier_parameter(&mut self) -> bool {
        self.symbol_ahead(0, "{")
            && self.ahead(1).kind == TokenKind::Word
            && self.symbol_ahead(2, ":")
            && self.keyword_ahead(3, "Identifier")
            && self.symbol_ahead(4, "}")
    }

    /// The value of `{name:Identifier}`; its own text if no parameters were given to the parser.
    fn identifier_parameter(&mut self) -> Result<String> {
        let token = self.ahead(1);
        let name = self.text_of(token);
        self.index += 5;
        match self.parameters {
            Some(_) => Ok(self.parameter_value(name)?.to_string()),
            None => Ok(format!("{{{name}:Identifier}}")),
        }
    }

    fn parameter_value(&self, name: &str) -> Result<&'a str> {
        let found = self.parameters.and_then(|p| p.get(name));
        found.map(String::as_str).ok_or_else(|| {
            let message = format!("Substitution `{name}` is not set");
            Error::new(codes::UNKNOWN_QUERY_PARAMETER, message)
        })
    }

    /// `[database.]name`.
    fn table_name(&mut self) -> Result<TableName> {
        let first = self.name()?;
        if self.symbol_ahead(0, ".") {
            self.index += 1;
            return Ok(TableName { database: Some(first), name: self.name()? });
        }
        Ok(TableName { database: None, name: first })
    }

    /// A string literal's text; bytes that are not UTF-8 are replaced.
    fn string(&mut self) -> Result<String> {
        let token = self.token();
        if !matches!(token.kind, TokenKind::String | TokenKind::Heredoc) {
            self.want("string literal");
            return Err(self.unexpected());
        }
        self.index += 1;
        Ok(String::from_utf8_lossy(&unescape(self.text_of(token))).into_owned())
    }

    fn string_or_name(&mut self) -> Result<String> {
        match self.token().kind {
            TokenKind::String | TokenKind::Heredoc => self.string(),
            _ => self.name(),
        }
    }

    fn if_exists(&mut self) -> bool {
        self.take_keyword("IF EXISTS")
    }

    fn if_not_exists(&mut self) -> bool {
        self.take_keyword("IF NOT EXISTS")
    }

    fn on_cluster(&mut self) -> Result<Option<String>> {
        match self.take_keyword("ON CLUSTER") {
            true => self.string_or_name().map(Some),
            false => Ok(None),
        }
    }

    /// `item, item, …`; at least one, and no comma at the end.
    fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    // Limits.

    /// Enters a nested construct; `leave` with the same weight goes out.
    fn enter(&mut self, weight: u32) -> Result<()> {
        self.nesting += weight;
        let stack_bytes = self.stack_base.abs_diff(stack_address());
        if self.nesting > NESTING_MAX || stack_bytes > STACK_BYTES_MAX {
            let message = format!(
                "Maximum parse depth ({NESTING_MAX}) exceeded. The query is too deeply nested, \
                 simplify it"
            );
            return Err(Error::new(codes::TOO_DEEP_RECURSION, message));
        }
        Ok(())
    }

    fn leave(&mut self, weight: u32) {
        self.nesting -= weight;
    }

    /// Counts a node that stands above what was parsed since the enclosing node began.
    fn grow(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > AST_DEPTH_MAX {
            let message = format!("AST is too deep. Maximum: {AST_DEPTH_MAX}");
            return Err(Error::new(codes::TOO_DEEP_AST, message));
        }
        self.count_elements(1)
    }

    fn count_elements(&mut self, count: u32) -> Result<()> {
        self.nodes += count;
        self.elements += count;
        if self.elements > AST_ELEMENTS_MAX {
            let message = format!("AST is too big. Maximum: {AST_ELEMENTS_MAX}");
            return Err(Error::new(codes::TOO_BIG_AST, message));
        }
        Ok(())
    }

    // Errors.

    /// Notes that `what` would have been accepted at the cursor.
    fn want(&mut self, what: &'static str) {
        if self.index > self.furthest {
            self.furthest = self.index;
            self.expected.clear();
        }
        if self.index == self.furthest && !self.expected.contains(&what) {
            self.expected.push(what);
        }
    }

    /// The error for the furthest place where nothing fitted.
    fn unexpected(&mut self) -> Error {
        let index = self.furthest.max(self.index);
        if self.index > self.furthest {
            self.expected.clear();
        }
        if let Some(error) = self.unclosed_bracket() {
            return error;
        }
        let token = self.token_at(index);
        let mut message = self.failure(token);
        match self.expected.as_slice() {
            [] => {}
            [one] => message += &format!("Expected {one}"),
            many => message += &format!("Expected one of: {}", many.join(", ")),
        }
        Error::new(codes::SYNTAX_ERROR, message)
    }

    /// `Syntax error: failed at position 8 (FROM) (line 2, col 1): FROM t. `
    fn failure(&self, token: Token) -> String {
        let prefix = match token.kind {
            TokenKind::Invalid(message) => format!("{message}: "),
            _ => String::new(),
        };
        let word = match token.kind {
            TokenKind::End => "end of query",
            _ => shorten(self.text_of(token)),
        };
        let rest = &self.text[token.start..];
        let dots = if shorten(rest).len() < rest.len() { "..." } else { "" };
        let before = &self.text[..token.start];
        let place = match before.bytes().filter(|b| *b == b'\n').count() {
            0 if !rest.contains('\n') => String::new(),
            lines => {
                let column = token.start - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                format!(" (line {}, col {column})", lines + 1)
            }
        };
        let position = token.start + 1;
        format!(
            "{prefix}Syntax error: failed at position {position} ({word}){place}: {}{dots}. ",
            shorten(rest)
        )
    }

    /// ClickHouse names the bracket that is never closed instead of what was expected.
    fn unclosed_bracket(&mut self) -> Option<Error> {
        if self.tokens.last()?.kind != TokenKind::End {
            return None;
        }
        let mut open: Vec<Token> = Vec::new();
        for token in self.tokens.iter().filter(|t| t.kind == TokenKind::Symbol) {
            match self.text_of(*token) {
                "(" | "[" => open.push(*token),
                ")" | "]" => {
                    open.pop();
                }
                _ => {}
            }
        }
        let bracket = *open.last()?;
        let end = *self.tokens.last()?;
        let start = self.failure(Token { kind: TokenKind::End, start: end.start, end: end.end });
        let message = format!(
            "{start}Unmatched parentheses: '{}' at position {} is never closed",
            self.text_of(bracket),
            bracket.start + 1
        );
        Some(Error::new(codes::SYNTAX_ERROR, message))
    }
}

/// Where the stack is now, to tell how much of it is in use.
#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::ptr::from_ref(&here).addr()
}

/// At most 160 bytes, on a character boundary.
fn shorten(text: &str) -> &str {
    let mut end = text.len().min(160);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn symbol_name(symbol: &'static str) -> &'static str {
    match symbol {
        "(" => "OpeningRoundBracket",
        ")" => "ClosingRoundBracket",
        "[" => "OpeningSquareBracket",
        "]" => "ClosingSquareBracket",
        "{" => "OpeningCurlyBrace",
        "}" => "ClosingCurlyBrace",
        "," => "Comma",
        "." => "Dot",
        "=" => "Equals",
        ":" => "Colon",
        "::" => "DoubleColon",
        "*" => "Asterisk",
        "->" => "Arrow",
        other => other,
    }
}

fn unescape_name(quoted: &str) -> String {
    String::from_utf8_lossy(&unescape(quoted)).into_owned()
}
