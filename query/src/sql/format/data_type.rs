//! Data types: canonical text on one line; when pretty, a Tuple of several elements has each of them on a
//! line of its own.

use super::Printer;
use crate::sql::lexer::{Lexer, TokenKind};

impl Printer {
    /// A type's canonical text, laid out.
    pub(super) fn data_type(&mut self, text: &str) {
        match self.pretty && text.contains("Tuple(") {
            true => self.laid_out(text),
            false => self.word(text),
        }
    }

    /// Copies the text and breaks lines inside tuples. `broken` says for each open parenthesis whether
    /// it is such a tuple's.
    fn laid_out(&mut self, text: &str) {
        let mut lexer = Lexer::new(text);
        let mut broken: Vec<bool> = Vec::new();
        let mut copied = 0;
        let mut tuple = false;
        loop {
            let token = lexer.next_token();
            let word = &text[token.start..token.end];
            match (token.kind, word) {
                (TokenKind::End, _) => return self.word(&text[copied..]),
                (TokenKind::Symbol, "(") => {
                    let breaks = tuple && has_several(&text[token.end..]);
                    broken.push(breaks);
                    if breaks {
                        self.word(&text[copied..token.end]);
                        copied = token.end;
                        self.indent += 1;
                        self.line();
                    }
                }
                (TokenKind::Symbol, ")") if broken.pop() == Some(true) => {
                    self.indent -= 1;
                }
                (TokenKind::Symbol, ",") if broken.last() == Some(&true) => {
                    self.word(&text[copied..token.end]);
                    copied = token.end + usize::from(text[token.end..].starts_with(' '));
                    self.line();
                }
                _ => {}
            }
            tuple = token.kind == TokenKind::Word && word == "Tuple";
        }
    }
}

/// Whether a comma stands before the parenthesis that closes.
fn has_several(rest: &str) -> bool {
    let mut lexer = Lexer::new(rest);
    let mut depth = 0usize;
    loop {
        let token = lexer.next_token();
        match (token.kind, &rest[token.start..token.end]) {
            (TokenKind::End, _) => return false,
            (TokenKind::Symbol, "(") => depth += 1,
            (TokenKind::Symbol, ")") if depth == 0 => return false,
            (TokenKind::Symbol, ")") => depth -= 1,
            (TokenKind::Symbol, ",") if depth == 0 => return true,
            _ => {}
        }
    }
}
