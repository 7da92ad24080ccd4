//! Reads the text of a `.proto` file: messages, enums, fields, maps, oneofs, imports. Services, options
//! (but `packed` and `default`), reserved names and extension ranges are read over.

use super::schema::{EnumType, Field, Kind, Message};

#[derive(Debug)]
pub struct SyntaxError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// What one text defines. Names hold their package.
#[derive(Debug, Default)]
pub struct File {
    pub imports: Vec<String>,
    pub messages: Vec<Message>,
    pub enums: Vec<EnumType>,
}

type Parsed<T> = Result<T, SyntaxError>;

const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i64),
    Symbol(char),
    End,
}

pub fn parse(text: &str) -> Parsed<File> {
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        token_at: 0,
        token: Token::End,
        proto3: false,
        package: String::new(),
        file: File::default(),
    };
    parser.advance()?;
    parser.file()?;
    Ok(parser.file)
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    /// Where the current token begins.
    token_at: usize,
    token: Token,
    proto3: bool,
    package: String,
    file: File,
}

impl Parser {
    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let before = &self.chars[..self.token_at.min(self.chars.len())];
        let line = before.iter().filter(|c| **c == '\n').count();
        let column = before.iter().rev().take_while(|c| **c != '\n').count();
        Err(SyntaxError { line, column, message: message.into() })
    }

    fn skip_space(&mut self) -> Parsed<()> {
        loop {
            match (self.chars.get(self.at), self.chars.get(self.at + 1)) {
                (Some(c), _) if c.is_whitespace() => self.at += 1,
                (Some('/'), Some('/')) => {
                    while self.chars.get(self.at).is_some_and(|c| *c != '\n') {
                        self.at += 1;
                    }
                }
                (Some('/'), Some('*')) => {
                    self.at += 2;
                    while self.chars.get(self.at..self.at + 2).is_some_and(|w| w != ['*', '/']) {
                        self.at += 1;
                    }
                    self.at += 2;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Moves on by one token and gives the one that was current.
    fn advance(&mut self) -> Parsed<Token> {
        self.skip_space()?;
        self.token_at = self.at.min(self.chars.len());
        let next = match self.chars.get(self.at).copied() {
            None => Token::End,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let word = self.while_true(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
                Token::Word(word)
            }
            Some(c) if c.is_ascii_digit() => {
                let word = self.while_true(|c| c.is_ascii_alphanumeric() || c == '.');
                match number(&word) {
                    Some(n) => Token::Number(n),
                    None => Token::Word(word),
                }
            }
            Some(quote @ ('"' | '\'')) => Token::Text(self.text(quote)?),
            Some(c) => {
                self.at += 1;
                Token::Symbol(c)
            }
        };
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn while_true(&mut self, fits: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| fits(*c)) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn text(&mut self, quote: char) -> Parsed<String> {
        let mut out = String::new();
        self.at += 1;
        loop {
            match self.chars.get(self.at).copied() {
                None | Some('\n') => return self.error("a string that does not end"),
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(out);
                }
                Some('\\') => {
                    let c = self.chars.get(self.at + 1).copied().unwrap_or('\\');
                    out.push(match c {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        c => c,
                    });
                    self.at += 2;
                }
                Some(c) => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn is(&self, c: char) -> bool {
        self.token == Token::Symbol(c)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(w) if w == word)
    }

    fn take(&mut self, c: char) -> Parsed<bool> {
        let found = self.is(c);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, c: char) -> Parsed<()> {
        match self.take(c)? {
            true => Ok(()),
            false => self.error(format!("Expected \"{c}\".")),
        }
    }

    fn word(&mut self) -> Parsed<String> {
        match self.advance()? {
            Token::Word(word) => Ok(word),
            _ => self.error("Expected identifier."),
        }
    }

    /// A name that may begin with a dot.
    fn type_name(&mut self) -> Parsed<String> {
        let dot = if self.take('.')? { "." } else { "" };
        Ok(format!("{dot}{}", self.word()?))
    }

    fn integer(&mut self) -> Parsed<i64> {
        let minus = self.take('-')?;
        match self.advance()? {
            Token::Number(n) => Ok(if minus { -n } else { n }),
            _ => self.error("Expected integer."),
        }
    }

    /// Reads over what ends with `;` or is in braces.
    fn skip_statement(&mut self) -> Parsed<()> {
        let mut depth = 0usize;
        loop {
            match self.advance()? {
                Token::Symbol('{') => depth += 1,
                Token::Symbol('}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Token::Symbol(';') if depth == 0 => return Ok(()),
                Token::End => return self.error("Unexpected end of file"),
                _ => {}
            }
        }
    }

    fn file(&mut self) -> Parsed<()> {
        loop {
            let Token::Word(word) = self.token.clone() else {
                if self.token == Token::End {
                    return Ok(());
                }
                if self.take(';')? {
                    continue;
                }
                return self.error("Expected top-level statement (e.g. \"message\").");
            };
            match word.as_str() {
                "syntax" | "edition" => {
                    self.advance()?;
                    self.expect('=')?;
                    self.proto3 = match self.advance()? {
                        Token::Text(text) => text != "proto2",
                        _ => return self.error("Expected syntax identifier."),
                    };
                    self.expect(';')?;
                }
                "package" => {
                    self.advance()?;
                    self.package = self.word()?;
                    self.expect(';')?;
                }
                "import" => {
                    self.advance()?;
                    if self.is_word("public") || self.is_word("weak") {
                        self.advance()?;
                    }
                    match self.advance()? {
                        Token::Text(name) => self.file.imports.push(name),
                        _ => return self.error("Expected a string naming the file to import."),
                    }
                    self.expect(';')?;
                }
                "message" => {
                    let package = self.package.clone();
                    self.message(&package, 0)?;
                }
                "enum" => {
                    let package = self.package.clone();
                    self.enumeration(&package)?;
                }
                "option" | "service" | "extend" => self.skip_statement()?,
                _ => return self.error("Expected top-level statement (e.g. \"message\")."),
            }
        }
    }

    fn message(&mut self, scope: &str, depth: usize) -> Parsed<()> {
        self.advance()?;
        let name = joined(scope, &self.word()?);
        self.message_body(name, depth)
    }

    fn message_body(&mut self, name: String, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return self.error("messages are nested too deep");
        }
        let place = self.file.messages.len();
        self.file.messages.push(Message { name: name.clone(), ..Message::default() });
        self.expect('{')?;
        let mut fields = vec![];
        while !self.take('}')? {
            let word = match &self.token {
                Token::Word(word) => word.clone(),
                Token::Symbol('.') => String::new(),
                Token::Symbol(';') => {
                    self.advance()?;
                    continue;
                }
                _ => return self.error("Expected field, message or \"}\"."),
            };
            match word.as_str() {
                "message" => self.message(&name, depth + 1)?,
                "enum" => self.enumeration(&name)?,
                "option" | "reserved" | "extensions" | "extend" => self.skip_statement()?,
                "oneof" => {
                    self.advance()?;
                    let oneof = self.word()?;
                    self.expect('{')?;
                    while !self.take('}')? {
                        if self.is_word("option") {
                            self.skip_statement()?;
                            continue;
                        }
                        let mut field = self.field(&name)?;
                        field.oneof = Some(oneof.clone());
                        field.presence = true;
                        fields.push(field);
                    }
                }
                _ => fields.push(self.field(&name)?),
            }
        }
        self.file.messages[place].fields = fields;
        Ok(())
    }

    fn field(&mut self, scope: &str) -> Parsed<Field> {
        let (mut repeated, mut presence, mut labelled) = (false, !self.proto3, false);
        for (label, is_repeated) in [("repeated", true), ("optional", false), ("required", false)] {
            if !labelled && self.is_word(label) {
                self.advance()?;
                (repeated, labelled) = (is_repeated, true);
                presence = !is_repeated;
            }
        }
        let type_name = self.type_name()?;
        if type_name == "group" {
            return self.error("groups are not supported");
        }
        let kind = match type_name.as_str() {
            "map" if self.is('<') => {
                repeated = true;
                self.map_entry(scope)?
            }
            name => scalar(name).unwrap_or_else(|| Kind::Named(name.to_string())),
        };
        let name = self.word()?;
        self.expect('=')?;
        let number = self.integer()?;
        let Ok(number) = u32::try_from(number) else { return self.error("a number below zero") };
        let is_bytes = matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_));
        let mut field = Field {
            name,
            number,
            packed: repeated && self.proto3 && !is_bytes && !matches!(kind, Kind::Named(_)),
            // What a named type is, is not known yet: enums are packed, messages never.
            kind,
            repeated,
            presence: presence && !repeated,
            default: None,
            oneof: None,
        };
        if matches!(field.kind, Kind::Named(_)) {
            field.packed = repeated && self.proto3;
        }
        if self.take('[')? {
            self.field_options(&mut field)?;
        }
        self.expect(';')?;
        Ok(field)
    }

    /// `<key, value>`, as the message that an entry is.
    fn map_entry(&mut self, scope: &str) -> Parsed<Kind> {
        self.expect('<')?;
        let key = self.type_name()?;
        self.expect(',')?;
        let value = self.type_name()?;
        self.expect('>')?;
        let name = format!("{scope}.<entry {}>", self.file.messages.len());
        let part = |name: &str, number: u32, type_name: &str| Field {
            name: name.into(),
            number,
            kind: scalar(type_name).unwrap_or_else(|| Kind::Named(type_name.to_string())),
            repeated: false,
            packed: false,
            presence: true,
            default: None,
            oneof: None,
        };
        let fields = vec![part("key", 1, &key), part("value", 2, &value)];
        self.file.messages.push(Message { name: name.clone(), fields, is_entry: true });
        Ok(Kind::Named(format!(".{name}")))
    }

    fn field_options(&mut self, field: &mut Field) -> Parsed<()> {
        let mut depth = 0usize;
        loop {
            if depth == 0 && (self.is_word("packed") || self.is_word("default")) {
                let is_packed = self.is_word("packed");
                self.advance()?;
                self.expect('=')?;
                let minus = if self.take('-')? { "-" } else { "" };
                let value = match self.advance()? {
                    Token::Word(text) | Token::Text(text) => format!("{minus}{text}"),
                    Token::Number(n) => format!("{minus}{n}"),
                    _ => return self.error("Expected a value."),
                };
                match is_packed {
                    true => field.packed = value == "true" && field.repeated,
                    false => field.default = Some(value),
                }
                continue;
            }
            match self.advance()? {
                Token::Symbol('[' | '{') => depth += 1,
                Token::Symbol(']') if depth == 0 => return Ok(()),
                Token::Symbol(']' | '}') => depth = depth.saturating_sub(1),
                Token::End => return self.error("Unexpected end of file"),
                _ => {}
            }
        }
    }

    fn enumeration(&mut self, scope: &str) -> Parsed<()> {
        self.advance()?;
        let name = joined(scope, &self.word()?);
        self.expect('{')?;
        let mut values = vec![];
        while !self.take('}')? {
            if self.is_word("option") || self.is_word("reserved") {
                self.skip_statement()?;
                continue;
            }
            if self.take(';')? {
                continue;
            }
            let value = self.word()?;
            self.expect('=')?;
            let number = self.integer()?;
            let Ok(number) = i32::try_from(number) else { return self.error("a number too large") };
            values.push((value, number));
            if self.is('[') {
                while !self.is(';') && self.token != Token::End {
                    self.advance()?;
                }
            }
            self.expect(';')?;
        }
        self.file.enums.push(EnumType { name, values });
        Ok(())
    }
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_string() } else { format!("{scope}.{name}") }
}

fn number(word: &str) -> Option<i64> {
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok();
    }
    match word.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => word.parse().ok(),
    }
}

fn scalar(name: &str) -> Option<Kind> {
    Some(match name {
        "double" => Kind::Double,
        "float" => Kind::Float,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "uint32" => Kind::UInt32,
        "uint64" => Kind::UInt64,
        "sint32" => Kind::SInt32,
        "sint64" => Kind::SInt64,
        "fixed32" => Kind::Fixed32,
        "fixed64" => Kind::Fixed64,
        "sfixed32" => Kind::SFixed32,
        "sfixed64" => Kind::SFixed64,
        "bool" => Kind::Bool,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        _ => return None,
    })
}

/// Files that every compiler of schemas brings along.
pub fn well_known(name: &str) -> Option<&'static str> {
    Some(match name.strip_prefix("google/protobuf/")? {
        "timestamp.proto" => {
            "syntax = \"proto3\"; package google.protobuf; message Timestamp { int64 seconds = 1; int32 nanos = 2; }"
        }
        "duration.proto" => {
            "syntax = \"proto3\"; package google.protobuf; message Duration { int64 seconds = 1; int32 nanos = 2; }"
        }
        "empty.proto" => "syntax = \"proto3\"; package google.protobuf; message Empty {}",
        "any.proto" => {
            "syntax = \"proto3\"; package google.protobuf; message Any { string type_url = 1; bytes value = 2; }"
        }
        "wrappers.proto" => {
            "syntax = \"proto3\"; package google.protobuf; message DoubleValue { double value = 1; } \
             message FloatValue { float value = 1; } message Int64Value { int64 value = 1; } \
             message UInt64Value { uint64 value = 1; } message Int32Value { int32 value = 1; } \
             message UInt32Value { uint32 value = 1; } message BoolValue { bool value = 1; } \
             message StringValue { string value = 1; } message BytesValue { bytes value = 1; }"
        }
        _ => return None,
    })
}
