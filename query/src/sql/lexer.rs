//! Text to tokens, one at a time and on demand, so that the data behind an INSERT is never looked at.
//!
//! Tokens are byte ranges; nothing is unescaped here. Blanks and comments are skipped. Words are not
//! classified: every keyword of ClickHouse is also a legal name somewhere, so the parser decides.
//! A piece that is no token becomes `Invalid` and is an error only when the parser gets there.

use memchr::{memchr2, memmem};

/// What a token is; its text is `&sql[start..end]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or keyword: ASCII letters, digits, `_`, `$`; may start with a digit.
    Word,
    /// In back quotes or double quotes, with the quotes.
    QuotedName,
    Number,
    /// In single quotes, with the quotes.
    String,
    /// `$tag$text$tag$`.
    Heredoc,
    /// An operator or bracket; its text says which.
    Symbol,
    /// What is wrong is in `message`.
    Invalid(&'static str),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// Reads tokens one after another from `position`.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    /// The kind before and its last byte: `t.1.2` and `a.1` are not numbers with a point.
    previous: Option<(TokenKind, u8)>,
}

/// Longest first, so that the first match is the right one.
const SYMBOLS: [&str; 33] = [
    "<=>", "->", "::", "||", "==", "!=", "<>", "<=", ">=", "@@", "|>", "+", "-", "*", "/", "%",
    "=", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", ";", ":", "?", "^", "@", "|",
];

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$'
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text: text.as_bytes(), position: 0, previous: None }
    }

    /// The next token; `End` again and again at the end of the text.
    pub fn next_token(&mut self) -> Token {
        if let Err(token) = self.skip_blanks() {
            return token;
        }
        let start = self.position;
        let kind = self.scan();
        let token = Token { kind, start, end: self.position };
        self.previous = (token.end > start).then(|| (kind, self.text[token.end - 1]));
        token
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.position..]
    }

    fn skip_blanks(&mut self) -> Result<(), Token> {
        loop {
            let rest = self.rest();
            match rest.first() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => self.position += 1,
                Some(b'-') if rest.starts_with(b"--") => self.skip_line(),
                Some(b'#') if matches!(self.peek(1), b' ' | b'!') => self.skip_line(),
                Some(b'/') if rest.starts_with(b"//") => self.skip_line(),
                Some(b'/') if rest.starts_with(b"/*") => match memmem::find(&rest[2..], b"*/") {
                    Some(at) => self.position += at + 4,
                    None => {
                        let start = self.position;
                        self.position = self.text.len();
                        let kind = TokenKind::Invalid("Multiline comment is not closed");
                        return Err(Token { kind, start, end: self.position });
                    }
                },
                // No-break space and the byte order mark are blanks too.
                Some(0xc2) if rest.starts_with("\u{a0}".as_bytes()) => self.position += 2,
                Some(0xef) if rest.starts_with("\u{feff}".as_bytes()) => self.position += 3,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn scan(&mut self) -> TokenKind {
        let first = match self.rest().first() {
            None => return TokenKind::End,
            Some(b) => *b,
        };
        match first {
            b'\'' => self.quoted(b'\'', TokenKind::String, "Single quoted string is not closed"),
            b'"' => self.quoted(b'"', TokenKind::QuotedName, "Double quoted string is not closed"),
            b'`' => self.quoted(b'`', TokenKind::QuotedName, "Back quoted string is not closed"),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() && !self.after_operand() => self.number(),
            b'b' | b'B' | b'x' | b'X' if self.peek(1) == b'\'' => self.digits_string(),
            b'$' => self.heredoc_or_word(),
            b if is_word_byte(b) => self.word(),
            _ => self.symbol(),
        }
    }

    /// Whether a point here would be element access rather than the start of a number.
    fn after_operand(&self) -> bool {
        match self.previous {
            Some((TokenKind::Symbol, b)) => matches!(b, b')' | b']'),
            Some((TokenKind::Word | TokenKind::QuotedName | TokenKind::Number, _)) => true,
            _ => false,
        }
    }

    fn word(&mut self) -> TokenKind {
        while is_word_byte(self.peek(0)) {
            self.position += 1;
        }
        TokenKind::Word
    }

    fn quoted(&mut self, quote: u8, kind: TokenKind, open: &'static str) -> TokenKind {
        self.position += 1;
        loop {
            let Some(at) = memchr2(quote, b'\\', self.rest()) else {
                self.position = self.text.len();
                return TokenKind::Invalid(open);
            };
            self.position += at;
            if self.peek(0) == quote {
                self.position += 1;
                if self.peek(0) != quote {
                    return kind;
                }
                self.position += 1;
                continue;
            }
            // A backslash takes the next byte with it, whatever that is.
            self.position = (self.position + 2).min(self.text.len());
        }
    }

    /// `x'4142'`, `b'0100'`.
    fn digits_string(&mut self) -> TokenKind {
        self.position += 2;
        match memchr::memchr(b'\'', self.rest()) {
            Some(at) => {
                self.position += at + 1;
                TokenKind::String
            }
            None => {
                self.position = self.text.len();
                TokenKind::Invalid("Single quoted string is not closed")
            }
        }
    }

    fn heredoc_or_word(&mut self) -> TokenKind {
        let rest = self.rest();
        let tag_end = rest[1..].iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_');
        if let Some(at) = tag_end.filter(|at| rest[at + 1] == b'$') {
            let tag = &rest[..at + 2];
            if let Some(close) = memmem::find(&rest[tag.len()..], tag) {
                self.position += tag.len() * 2 + close;
                return TokenKind::Heredoc;
            }
        }
        self.word()
    }

    fn digits(&mut self, valid: fn(u8) -> bool) {
        loop {
            let b = self.peek(0);
            if valid(b) || (b == b'_' && valid(self.peek(1))) {
                self.position += 1;
            } else {
                return;
            }
        }
    }

    fn number(&mut self) -> TokenKind {
        let start = self.position;
        if matches!(self.previous, Some((TokenKind::Symbol, b'.'))) {
            // An element number: `t.1.2`.
            self.digits(|b| b.is_ascii_digit());
        } else {
            self.number_body();
        }
        if !is_word_byte(self.peek(0)) {
            return TokenKind::Number;
        }
        // `1a` is a name unless a point or sign came before the letter.
        self.word();
        let text = &self.text[start..self.position];
        match text.iter().all(|b| is_word_byte(*b)) {
            true => TokenKind::Word,
            false => TokenKind::Invalid("Wrong number"),
        }
    }

    fn number_body(&mut self) {
        let is_hex = |b: u8| b.is_ascii_hexdigit();
        let radix = (self.peek(0), self.peek(1) | 0x20, self.peek(2));
        match radix {
            (b'0', b'x', d) if is_hex(d) => {
                self.position += 2;
                self.digits(|b| b.is_ascii_hexdigit());
                self.fraction(|b| b.is_ascii_hexdigit(), b'p');
            }
            (b'0', b'b', b'0' | b'1') => {
                self.position += 2;
                self.digits(|b| matches!(b, b'0' | b'1'));
            }
            _ => {
                self.digits(|b| b.is_ascii_digit());
                self.fraction(|b| b.is_ascii_digit(), b'e');
            }
        }
    }

    fn fraction(&mut self, valid: fn(u8) -> bool, exponent: u8) {
        if self.peek(0) == b'.' {
            self.position += 1;
            self.digits(valid);
        }
        if self.peek(0) | 0x20 != exponent {
            return;
        }
        let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
        if self.peek(1 + sign).is_ascii_digit() {
            self.position += 1 + sign;
            self.digits(|b| b.is_ascii_digit());
        }
    }

    fn symbol(&mut self) -> TokenKind {
        let rest = self.rest();
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(s.as_bytes())) {
            self.position += symbol.len();
            return TokenKind::Symbol;
        }
        // Step over one whole character, so that ranges stay on character boundaries.
        self.position += 1;
        while self.peek(0) & 0xc0 == 0x80 {
            self.position += 1;
        }
        TokenKind::Invalid("Unrecognized token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        let mut lexer = Lexer::new(sql);
        let mut all = Vec::new();
        loop {
            let token = lexer.next_token();
            if token.kind == TokenKind::End {
                return all;
            }
            all.push(&sql[token.start..token.end]);
        }
    }

    #[test]
    fn splits_as_clickhouse_does() {
        let cases: &[(&str, &[&str])] = &[
            ("a+1 -- x\n,b", &["a", "+", "1", ",", "b"]),
            ("t.1.2, .5 /* c */ 1.5e-3", &["t", ".", "1", ".", "2", ",", ".5", "1.5e-3"]),
            ("f(a).1 x[1].2", &["f", "(", "a", ")", ".", "1", "x", "[", "1", "]", ".", "2"]),
            ("1a 1_000 0xFF 0b101 0x1p4", &["1a", "1_000", "0xFF", "0b101", "0x1p4"]),
            ("'a''b' 'a\\'b' `x``y` \"q\"", &["'a''b'", "'a\\'b'", "`x``y`", "\"q\""]),
            ("$$a'b$$ $t$x$t$ a$b", &["$$a'b$$", "$t$x$t$", "a$b"]),
            (
                "a<=>b a->b a::T a||b",
                &["a", "<=>", "b", "a", "->", "b", "a", "::", "T", "a", "||", "b"],
            ),
            ("x'4142' b'01' xb", &["x'4142'", "b'01'", "xb"]),
        ];
        for (sql, expected) in cases {
            assert_eq!(&texts(sql), expected, "{sql}");
        }
    }

    #[test]
    fn broken_text_is_a_token_not_a_panic() {
        for sql in
            ["'abc", "`abc", "\"abc\\", "/* x", "é", "\u{201c}", "x'41", "$t$abc", "1.5abc", "\\"]
        {
            let mut lexer = Lexer::new(sql);
            for _ in 0..10 {
                let token = lexer.next_token();
                assert!(sql.get(token.start..token.end).is_some(), "{sql}");
            }
        }
    }
}
