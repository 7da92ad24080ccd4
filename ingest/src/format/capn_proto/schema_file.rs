//! Reads the text of a `.capnp` file: structs, enums, unions, groups, `using` of a name in the file.
//! Constants, annotations and interfaces are read over; imports and generics are refused.

/// What a field or a list holds, as the text says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    Named(String),
    List(Box<TypeName>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Slot {
        ordinal: u32,
        type_name: TypeName,
        default: Option<String>,
    },
    Group(Vec<Member>),
    /// The ordinal is the discriminant's, if it has one.
    Union(Vec<Member>),
}

/// A field, group or union; an unnamed union has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub body: Body,
}

#[derive(Debug, Clone, Default)]
pub struct Struct {
    pub name: String,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enum {
    pub name: String,
    /// In the order of their ordinals.
    pub names: Vec<String>,
}

/// What a text defines; names hold those of the structs around them.
#[derive(Debug, Default)]
pub struct File {
    pub structs: Vec<Struct>,
    pub enums: Vec<Enum>,
    pub aliases: Vec<(String, String)>,
}

type Parsed<T> = Result<T, String>;

const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
    End,
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    token: Token,
    file: File,
}

pub fn parse(text: &str) -> Parsed<File> {
    let mut parser = Parser { rest: text, line: 1, token: Token::End, file: File::default() };
    parser.advance()?;
    while parser.token != Token::End {
        parser.declaration("", 0)?;
    }
    Ok(parser.file)
}

impl Parser<'_> {
    fn error<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        Err(format!("line {}: {message}", self.line))
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    /// Moves on by one token and gives the one that was current.
    fn advance(&mut self) -> Parsed<Token> {
        loop {
            let spaces = self.rest.len() - self.rest.trim_start().len();
            self.skip(spaces);
            if !self.rest.starts_with('#') {
                break;
            }
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let next = match self.rest.chars().next() {
            None => Token::End,
            Some('"') => {
                let mut escaped = false;
                let end = self.rest[1..].find(|c| match (c, escaped) {
                    ('"', false) => true,
                    ('\\', false) => {
                        escaped = true;
                        false
                    }
                    _ => {
                        escaped = false;
                        false
                    }
                });
                let Some(end) = end else { return self.error("a text that does not end") };
                let text = self.rest[1..=end].to_string();
                self.skip(end + 2);
                Token::Text(text)
            }
            Some(c) if word(c) => {
                let end = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
                let text = self.rest[..end].to_string();
                self.skip(end);
                Token::Word(text)
            }
            Some(c) => {
                self.skip(c.len_utf8());
                Token::Symbol(c)
            }
        };
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, c: char) -> bool {
        self.token == Token::Symbol(c)
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
            false => self.error(format!("expected '{c}', found {:?}", self.token)),
        }
    }

    fn word(&mut self) -> Parsed<String> {
        match self.advance()? {
            Token::Word(word) => Ok(word),
            other => self.error(format!("expected a name, found {other:?}")),
        }
    }

    fn ordinal(&mut self) -> Parsed<u32> {
        self.expect('@')?;
        let word = self.word()?;
        match word.parse() {
            Ok(n) => Ok(n),
            Err(_) => self.error(format!("expected a number behind '@', found '{word}'")),
        }
    }

    /// Reads over `$name(…)` and the id behind a name.
    fn notes(&mut self) -> Parsed<()> {
        loop {
            if self.is('$') {
                self.advance()?;
                self.word()?;
                if self.is('(') {
                    self.skip_parentheses()?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn skip_parentheses(&mut self) -> Parsed<()> {
        let mut depth = 0usize;
        loop {
            match self.advance()? {
                Token::Symbol('(' | '[' | '{') => depth += 1,
                Token::Symbol(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Token::End => return self.error("a parenthesis that is not closed"),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Reads over what ends with `;` or with braces.
    fn skip_statement(&mut self) -> Parsed<()> {
        loop {
            match &self.token {
                Token::Symbol('{') => return self.skip_parentheses(),
                Token::Symbol('(' | '[') => self.skip_parentheses()?,
                Token::Symbol(';') => return self.advance().map(|_| ()),
                Token::End => return self.error("unexpected end of the schema"),
                _ => {
                    self.advance()?;
                }
            }
        }
    }

    /// A declaration outside of, or inside of a struct.
    fn declaration(&mut self, scope: &str, depth: usize) -> Parsed<()> {
        let Token::Word(word) = self.token.clone() else { return self.skip_statement() };
        match word.as_str() {
            "struct" => self.structure(scope, depth),
            "enum" => self.enumeration(scope),
            "using" => self.using(scope),
            "const" | "annotation" | "interface" => self.skip_statement(),
            other => self.error(format!("unexpected '{other}'")),
        }
    }

    fn using(&mut self, scope: &str) -> Parsed<()> {
        self.advance()?;
        let name = self.word()?;
        let target = match self.take('=')? {
            true => self.word()?,
            false => name.clone(),
        };
        if target == "import" {
            return self.error("imports are not supported");
        }
        self.expect(';')?;
        let short = target.rsplit('.').next().unwrap_or(&target);
        let name = if name == target { short.to_string() } else { name };
        self.file.aliases.push((joined(scope, &name), target));
        Ok(())
    }

    fn name_and_id(&mut self, scope: &str) -> Parsed<String> {
        self.advance()?;
        let name = joined(scope, &self.word()?);
        if self.is('(') {
            return self.error("generic types are not supported");
        }
        if self.take('@')? {
            self.word()?;
        }
        self.notes()?;
        Ok(name)
    }

    fn enumeration(&mut self, scope: &str) -> Parsed<()> {
        let name = self.name_and_id(scope)?;
        self.expect('{')?;
        let mut values = vec![];
        while !self.take('}')? {
            let value = self.word()?;
            let ordinal = self.ordinal()?;
            self.notes()?;
            self.expect(';')?;
            values.push((ordinal, value));
        }
        values.sort();
        if values.iter().enumerate().any(|(i, (ordinal, _))| i != *ordinal as usize) {
            return self.error(format!("the values of enum {name} are not numbered one by one"));
        }
        let names = values.into_iter().map(|(_, value)| value).collect();
        self.file.enums.push(Enum { name, names });
        Ok(())
    }

    fn structure(&mut self, scope: &str, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return self.error("structs are nested too deep");
        }
        let name = self.name_and_id(scope)?;
        self.expect('{')?;
        let place = self.file.structs.len();
        self.file.structs.push(Struct { name: name.clone(), members: vec![] });
        let members = self.members(&name, depth)?;
        self.file.structs[place].members = members;
        Ok(())
    }

    /// Members up to the closing brace.
    fn members(&mut self, scope: &str, depth: usize) -> Parsed<Vec<Member>> {
        if depth > DEPTH_MAX {
            return self.error("groups are nested too deep");
        }
        let mut members = vec![];
        while !self.take('}')? {
            let Token::Word(word) = self.token.clone() else {
                return self.error(format!("expected a field, found {:?}", self.token));
            };
            let declares = matches!(
                word.as_str(),
                "struct" | "enum" | "using" | "const" | "annotation" | "interface"
            );
            if declares {
                self.declaration(scope, depth + 1)?;
                continue;
            }
            self.advance()?;
            if word == "union" && (self.is('{') || self.is('@')) {
                members.push(Member { name: String::new(), body: self.union(scope, depth)? });
                continue;
            }
            members.push(self.member(word, scope, depth)?);
        }
        Ok(members)
    }

    fn union(&mut self, scope: &str, depth: usize) -> Parsed<Body> {
        if self.is('@') {
            return self.error("numbered unions are not supported");
        }
        self.notes()?;
        self.expect('{')?;
        Ok(Body::Union(self.members(scope, depth + 1)?))
    }

    fn member(&mut self, name: String, scope: &str, depth: usize) -> Parsed<Member> {
        if self.take(':')? {
            let body = match self.word()?.as_str() {
                "group" => {
                    self.notes()?;
                    self.expect('{')?;
                    Body::Group(self.members(scope, depth + 1)?)
                }
                "union" => self.union(scope, depth)?,
                _ => return self.error(format!("field {name} has no number")),
            };
            return Ok(Member { name, body });
        }
        let ordinal = self.ordinal()?;
        self.expect(':')?;
        if self.token == Token::Word("union".into()) {
            return self.error("numbered unions are not supported");
        }
        let type_name = self.type_name(0)?;
        let default = match self.take('=')? {
            true => Some(self.default_value()?),
            false => None,
        };
        self.notes()?;
        self.expect(';')?;
        Ok(Member { name, body: Body::Slot { ordinal, type_name, default } })
    }

    fn default_value(&mut self) -> Parsed<String> {
        let minus = if self.take('-')? { "-" } else { "" };
        match self.advance()? {
            Token::Word(word) => Ok(format!("{minus}{word}")),
            _ => self.error("defaults of texts, lists and structs are not supported"),
        }
    }

    fn type_name(&mut self, depth: usize) -> Parsed<TypeName> {
        let name = self.word()?;
        if !self.is('(') {
            return Ok(TypeName::Named(name));
        }
        if name != "List" || depth > DEPTH_MAX {
            return self.error("generic types are not supported");
        }
        self.advance()?;
        let item = self.type_name(depth + 1)?;
        self.expect(')')?;
        Ok(TypeName::List(Box::new(item)))
    }
}

pub fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_string() } else { format!("{scope}.{name}") }
}
