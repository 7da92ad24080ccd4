//! Statements that the parser keeps as text (BACKUP, RESTORE, CHECK … PARTITION, SYSTEM … QUARANTINED):
//! their words, read one after the other.

use std::collections::BTreeMap;

use pumphouse_query::error::codes;
use pumphouse_query::sql::lexer::{Lexer, Token, TokenKind};
use pumphouse_query::{Error, Result};

/// The words of a statement and how far they are read.
pub(crate) struct Words<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'t> Words<'t> {
    pub(crate) fn of(text: &'t str) -> Words<'t> {
        let mut lexer = Lexer::new(text);
        let mut tokens = vec![];
        loop {
            let token = lexer.next_token();
            if matches!(token.kind, TokenKind::End | TokenKind::Invalid(_)) {
                return Words { text, tokens, at: 0 };
            }
            tokens.push(token);
        }
    }

    fn here(&self) -> (Option<TokenKind>, &'t str) {
        match self.tokens.get(self.at) {
            Some(token) => (Some(token.kind), &self.text[token.start..token.end]),
            None => (None, ""),
        }
    }

    /// Takes `keywords` (separated by one blank each) if they are next.
    pub(crate) fn keyword(&mut self, keywords: &str) -> bool {
        let start = self.at;
        for keyword in keywords.split(' ') {
            let (kind, text) = self.here();
            if kind != Some(TokenKind::Word) || !text.eq_ignore_ascii_case(keyword) {
                self.at = start;
                return false;
            }
            self.at += 1;
        }
        true
    }

    pub(crate) fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.here() == (Some(TokenKind::Symbol), symbol);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    pub(crate) fn expect_keyword(&mut self, keyword: &str) -> Result<()> {
        if self.keyword(keyword) { Ok(()) } else { Err(self.unexpected(keyword)) }
    }

    pub(crate) fn name(&mut self) -> Result<String> {
        match self.here() {
            (Some(TokenKind::Word), text) => {
                self.at += 1;
                Ok(text.to_string())
            }
            (Some(TokenKind::QuotedName), text) => {
                self.at += 1;
                Ok(unquoted(text))
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// `name` or `database.name`.
    pub(crate) fn table_name(&mut self) -> Result<(Option<String>, String)> {
        let first = self.name()?;
        if self.symbol(".") {
            return Ok((Some(first), self.name()?));
        }
        Ok((None, first))
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        match self.here() {
            (Some(TokenKind::String), text) => {
                self.at += 1;
                Ok(unquoted(text))
            }
            _ => Err(self.unexpected("a string")),
        }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.here().0.is_none()
    }

    /// Whether a string is next.
    pub(crate) fn at_string(&self) -> bool {
        self.here().0 == Some(TokenKind::String)
    }

    /// The tokens up to a comma, a closing parenthesis or one of `stops`, each behind a blank if
    /// `spaced` and otherwise only where words would run together.
    pub(crate) fn text_until(&mut self, stops: &[&str], spaced: bool) -> String {
        let (mut text, mut depth, mut word_before) = (String::new(), 0i32, false);
        loop {
            let (kind, token) = self.here();
            let Some(kind) = kind else { return text };
            let word = !matches!(kind, TokenKind::Symbol);
            let stop = stops.iter().any(|s| token.eq_ignore_ascii_case(s));
            if depth == 0 && (matches!(token, "," | ")") || kind == TokenKind::Word && stop) {
                return text;
            }
            match token {
                "(" | "[" if !word => depth += 1,
                ")" | "]" if !word => depth -= 1,
                _ => {}
            }
            if !text.is_empty() && (spaced || word && word_before) {
                text.push(' ');
            }
            text.push_str(token);
            word_before = word;
            self.at += 1;
        }
    }

    /// A string, number or word, as text without quotes.
    pub(crate) fn literal(&mut self) -> Result<String> {
        let sign = if self.symbol("-") { "-" } else { "" };
        match self.here() {
            (Some(TokenKind::String), text) => {
                self.at += 1;
                Ok(unquoted(text))
            }
            (Some(TokenKind::Number | TokenKind::Word), text) => {
                self.at += 1;
                Ok(format!("{sign}{text}"))
            }
            _ => Err(self.unexpected("a literal")),
        }
    }

    /// `SETTINGS a = 1, b = 'x'`, if it is next.
    pub(crate) fn settings(&mut self) -> Result<BTreeMap<String, String>> {
        let mut settings = BTreeMap::new();
        if !self.keyword("SETTINGS") {
            return Ok(settings);
        }
        loop {
            let name = self.name()?;
            self.expect_symbol("=")?;
            settings.insert(name, self.literal()?);
            if !self.symbol(",") {
                return Ok(settings);
            }
        }
    }

    /// `FORMAT name`, if it is next, and then the end.
    pub(crate) fn format_and_end(&mut self) -> Result<Option<String>> {
        let format = if self.keyword("FORMAT") { Some(self.name()?) } else { None };
        if self.here().0.is_some() {
            return Err(self.unexpected("end of query"));
        }
        Ok(format)
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Error {
        let (_, text) = self.here();
        let position = self.tokens.get(self.at).map_or(self.text.len(), |t| t.start) + 1;
        let found = if text.is_empty() { "end of query" } else { text };
        Error::new(
            codes::SYNTAX_ERROR,
            format!(
                "Syntax error: failed at position {position} ({found}). Expected one of: {wanted}"
            ),
        )
    }
}

/// The text between the quotes, with `\\x` and doubled quotes resolved.
fn unquoted(text: &str) -> String {
    let quote = text.chars().next().unwrap_or('\'');
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
    let mut result = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => result.extend(letters.next()),
            l if l == quote => {
                letters.next();
                result.push(l);
            }
            l => result.push(l),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_names_strings_and_settings() {
        let text =
            "BACKUP TABLE `a b`.\"c\", d TO Disk('x', 'it''s') SETTINGS async = true FORMAT Null";
        let mut words = Words::of(text);
        assert!(words.keyword("backup table"));
        assert_eq!(words.table_name().unwrap(), (Some("a b".into()), "c".into()));
        assert!(words.symbol(","));
        assert_eq!(words.table_name().unwrap(), (None, "d".into()));
        assert!(!words.keyword("FROM"));
        words.expect_keyword("TO").unwrap();
        assert_eq!(words.name().unwrap(), "Disk");
        words.expect_symbol("(").unwrap();
        assert_eq!(words.string().unwrap(), "x");
        words.expect_symbol(",").unwrap();
        assert_eq!(words.string().unwrap(), "it's");
        words.expect_symbol(")").unwrap();
        assert_eq!(words.settings().unwrap()["async"], "true");
        assert_eq!(words.format_and_end().unwrap().as_deref(), Some("Null"));
        assert!(Words::of("a").string().unwrap_err().to_string().contains("position 1"));
    }
}
