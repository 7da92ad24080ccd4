//! Statements that we know but do not run, or read elsewhere: a small language of patterns says which
//! texts are such a statement and how ClickHouse prints it. The tree keeps their words; the parser asks
//! here whether they are one of the `kept` forms, the formatter how they look.
//!
//! In a pattern a word is a keyword, `~WORD` one that is not printed, `+WORD` one that is only printed,
//! `[ … ]` may be missing, `{ … }` may stand any number of times, `< a | b >` is a choice, `'x` a symbol,
//! `^x` a symbol without a blank before it, `$x` something that is parsed. Choices take what matches
//! first and are not tried again.

use super::Parser;
use crate::error::Result;
use crate::sql::format;
use crate::sql::lexer::TokenKind;

/// How deep brackets of key-value lists may nest.
const VALUE_DEPTH_MAX: u32 = 20;

/// The canonical text of a kept statement; an error if it is none.
pub(in crate::sql) fn canonical(text: &str, forms: &[&str]) -> Option<String> {
    for form in forms {
        let mut parser = Parser::new(text);
        let mut out = String::new();
        let items: Vec<&str> = form.split_whitespace().collect();
        let matched = parser.sequence(&items, &mut out);
        if matched.is_ok() && parser.expect_end().is_ok() {
            return Some(out);
        }
    }
    None
}

/// Appends with a blank where one belongs.
fn push(out: &mut String, text: &str) {
    let glue = out.is_empty() || out.ends_with(['(', '.']) || text.starts_with([',', ')', '.']);
    if !glue {
        out.push(' ');
    }
    out.push_str(text);
}

/// Where the bracket that opens at `items[0]` closes, and the bars on its own level.
fn closing(items: &[&str]) -> (usize, Vec<usize>) {
    let (mut depth, mut bars) = (0, Vec::new());
    for (i, item) in items.iter().enumerate() {
        match *item {
            "[" | "{" | "<" => depth += 1,
            "]" | "}" | ">" => depth -= 1,
            "|" if depth == 1 => bars.push(i),
            _ => {}
        }
        if depth == 0 {
            return (i, bars);
        }
    }
    (items.len(), bars)
}

impl Parser<'_> {
    /// Matches all items one after another.
    fn sequence(&mut self, items: &[&str], out: &mut String) -> Result<()> {
        let mut at = 0;
        while at < items.len() {
            let rest = &items[at..];
            match rest[0] {
                "[" | "{" | "<" => {
                    let (end, bars) = closing(rest);
                    self.bracket(rest[0], &rest[1..end.min(rest.len())], &bars, out)?;
                    at += end;
                }
                item => self.item(item, out)?,
            }
            at += 1;
        }
        Ok(())
    }

    fn bracket(
        &mut self,
        kind: &str,
        inner: &[&str],
        bars: &[usize],
        out: &mut String,
    ) -> Result<()> {
        if kind != "<" {
            let mut before = self.index;
            while self.attempt(inner, out) && kind == "{" && self.index > before {
                before = self.index;
            }
            return Ok(());
        }
        let mut start = 0;
        for bar in bars.iter().map(|bar| bar - 1).chain([inner.len()]) {
            if self.attempt(&inner[start..bar], out) {
                return Ok(());
            }
            start = bar + 1;
        }
        Err(self.unexpected())
    }

    /// Matches the items, or leaves everything as it was.
    fn attempt(&mut self, items: &[&str], out: &mut String) -> bool {
        let (index, length) = (self.index, out.len());
        let matched = self.sequence(items, out).is_ok();
        if !matched {
            self.index = index;
            out.truncate(length);
        }
        matched
    }

    fn item(&mut self, item: &str, out: &mut String) -> Result<()> {
        match item.split_at(1) {
            ("$", name) => self.nonterminal(name, out),
            ("+", word) => {
                push(out, word);
                Ok(())
            }
            ("~", word) => self.pattern_word(word),
            ("'" | "^", symbol) => {
                if !self.symbol_ahead(0, symbol) {
                    return Err(self.unexpected());
                }
                self.index += 1;
                match item.starts_with('^') {
                    true => out.push_str(symbol),
                    false => push(out, symbol),
                }
                Ok(())
            }
            _ => {
                self.pattern_word(item)?;
                push(out, item);
                Ok(())
            }
        }
    }

    fn pattern_word(&mut self, word: &str) -> Result<()> {
        let found = match word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => self.keyword_ahead(0, word),
            false => self.symbol_ahead(0, word),
        };
        if !found {
            return Err(self.unexpected());
        }
        self.index += 1;
        Ok(())
    }

    fn nonterminal(&mut self, name: &str, out: &mut String) -> Result<()> {
        let text = match name {
            "id" => format::quote_name(&self.name()?),
            "quoted" => format::always_quoted(&self.name()?),
            "user" => self.user_name()?,
            "table" => self.table_text()?,
            "expr" => format::expr(&self.expression()?),
            "partition" => {
                let value = self.partition_value()?;
                format::expr(&value)
            }
            "str" => format::quote_string(self.string()?.as_bytes()),
            "lit" => format::expr(&self.plain_literal()?),
            "number" => self.unsigned()?.to_string(),
            "type" => self.data_type()?,
            "values" => return self.key_values(out, 0),
            "upper" => self.name()?.to_ascii_uppercase(),
            "lifetime" => return self.bounds(out, |p| p.unsigned().map(|n| n.to_string())),
            "range" => return self.bounds(out, |p| p.name().map(|n| format::quote_name(&n))),
            "layout" => return self.layout(out),
            "function" => self.function_text()?,
            "nothing" => return Ok(()),
            "element" => return self.backup_element(out),
            "function_settings" => self.backup_settings()?,
            _ => match LISTS.iter().find(|(list, _)| *list == name) {
                Some((_, form)) => {
                    return self.sequence(&form.split_whitespace().collect::<Vec<_>>(), out);
                }
                None => return self.loose(name, out),
            },
        };
        push(out, &text);
        Ok(())
    }

    fn backup_element(&mut self, out: &mut String) -> Result<()> {
        let forms = "< $tables | $databases | $all >";
        self.sequence(&forms.split_whitespace().collect::<Vec<_>>(), out)
    }

    /// `a = 1, base_backup = Disk('a', 'b')`.
    fn backup_settings(&mut self) -> Result<String> {
        let pairs = self.comma_list(|p| {
            let name = format::quote_name(&p.name()?);
            p.expect_symbol("=")?;
            let value = p.expression()?;
            Ok(format!("{name} = {}", format::expr(&value)))
        })?;
        Ok(pairs.join(", "))
    }

    /// A name, or a string that is one.
    fn user_name(&mut self) -> Result<String> {
        match self.token().kind {
            TokenKind::String => self.string().map(|name| format::quote_name(&name)),
            _ => self.name().map(|name| format::quote_name(&name)),
        }
    }

    fn table_text(&mut self) -> Result<String> {
        let table = self.table_name()?;
        let name = format::quote_name(&table.name);
        Ok(match table.database {
            Some(database) => format!("{}.{name}", format::quote_name(&database)),
            None => name,
        })
    }

    /// `Disk('b', 'x.zip')`; without arguments there are no parentheses.
    fn function_text(&mut self) -> Result<String> {
        let name = format::quote_name(&self.name()?);
        if !self.take_symbol("(") || self.take_symbol(")") {
            return Ok(name);
        }
        let arguments = self.comma_list(Self::expression)?;
        self.expect_symbol(")")?;
        let texts: Vec<String> = arguments.iter().map(format::expr).collect();
        Ok(format!("{name}({})", texts.join(", ")))
    }

    /// `TABLE 't' HEADERS(HEADER(NAME 'a'))` of a dictionary's source or layout.
    fn key_values(&mut self, out: &mut String, depth: u32) -> Result<()> {
        if depth > VALUE_DEPTH_MAX {
            return Err(self.unexpected());
        }
        while !self.symbol_ahead(0, ")") {
            let key = self.name()?.to_ascii_uppercase();
            push(out, &key);
            if self.take_symbol("(") {
                push(out, "(");
                self.key_values(out, depth + 1)?;
                self.expect_symbol(")")?;
                push(out, ")");
                continue;
            }
            let value = match self.token().kind {
                TokenKind::Word | TokenKind::QuotedName if self.symbol_ahead(1, "(") => {
                    let made = self.expression()?;
                    format::expr(&made)
                }
                TokenKind::Word | TokenKind::QuotedName => {
                    let start = self.token().start;
                    match self.word_literal(false, start) {
                        Some(literal) => format::expr(&literal),
                        None => format::quote_name(&self.name()?),
                    }
                }
                _ => format::expr(&self.plain_literal()?),
            };
            push(out, &value);
        }
        Ok(())
    }
}

/// `CREATE DICTIONARY`: its clauses may stand in any order and are printed in one.
pub(in crate::sql) fn dictionary(text: &str) -> Option<String> {
    let head = "< CREATE OR REPLACE | REPLACE | CREATE | ATTACH > DICTIONARY [ IF NOT EXISTS ] $table \
                [ UUID $str ] [ ON CLUSTER $id ]";
    let columns = "'( $quoted [ $type ] { < DEFAULT $lit | EXPRESSION $expr | HIERARCHICAL | \
                   INJECTIVE | IS_OBJECT_ID > } { ', $quoted [ $type ] { < DEFAULT $lit | EXPRESSION $expr \
                   | HIERARCHICAL | INJECTIVE | IS_OBJECT_ID > } } [ ~, ] ')";
    const CLAUSES: [&str; 7] = [
        "PRIMARY KEY < ~( $id { ', $id } ~) | $id { ', $id } >",
        "SOURCE ^( $upper ^( $values ^) ^)",
        "LIFETIME ^( $lifetime ^)",
        "LAYOUT ^( $layout ^)",
        "RANGE ^( $range ^)",
        "SETTINGS ^( $id '= $lit { ', $id '= $lit } ^)",
        "COMMENT $str",
    ];
    let mut parser = Parser::new(text);
    let mut out = String::new();
    let words = |form: &'static str| form.split_whitespace().collect::<Vec<_>>();
    parser.sequence(&words(head), &mut out).ok()?;
    if parser.symbol_ahead(0, "(") {
        parser.sequence(&words(columns), &mut out).ok()?;
    } else if !out.starts_with("ATTACH") {
        return None;
    }
    let mut found: [Option<String>; 7] = Default::default();
    while !parser.at_end() && !parser.symbol_ahead(0, ";") {
        let at = CLAUSES.iter().position(|c| {
            c.split_whitespace().next().is_some_and(|word| parser.keyword_ahead(0, word))
        })?;
        if found[at].is_some() {
            return None;
        }
        let mut clause = String::new();
        parser.sequence(&words(CLAUSES[at]), &mut clause).ok()?;
        found[at] = Some(clause);
    }
    parser.expect_end().ok()?;
    for clause in found.into_iter().flatten() {
        push(&mut out, &clause);
    }
    Some(out)
}

impl Parser<'_> {
    /// `MIN a MAX b` in either order; one number alone is the maximum.
    fn bounds(
        &mut self,
        out: &mut String,
        value: impl Fn(&mut Self) -> Result<String>,
    ) -> Result<()> {
        let first = self.take_any_keyword(&["MIN", "MAX"]);
        let one = value(self)?;
        let (low, high) = match first {
            None => ("0".to_string(), one),
            Some("MIN") => {
                self.expect_keyword("MAX")?;
                (one, value(self)?)
            }
            Some(_) => {
                self.expect_keyword("MIN")?;
                (value(self)?, one)
            }
        };
        push(out, &format!("MIN {low} MAX {high}"));
        Ok(())
    }

    /// `FLAT`, `FLAT()`, `CACHE(SIZE_IN_CELLS 10)`.
    fn layout(&mut self, out: &mut String) -> Result<()> {
        push(out, &self.name()?.to_ascii_uppercase());
        if self.take_symbol("(") {
            out.push('(');
            self.key_values(out, 0)?;
            self.expect_symbol(")")?;
            push(out, ")");
        }
        Ok(())
    }
}

/// Lists that are written as patterns too.
const LISTS: &[(&str, &str)] = &[
    ("settings", "$setting { ', $setting }"),
    ("setting", "$id '= $lit"),
    (
        "tables",
        "< TABLE | DICTIONARY | VIEW | TEMPORARY TABLE > $table [ AS $table ] \
         [ < PARTITIONS | PARTITION > $partition { ', $partition } ]",
    ),
    ("databases", "DATABASE $id [ AS $id ] [ EXCEPT < TABLES | TABLE > $id { ', $id } ]"),
    (
        "all",
        "ALL [ EXCEPT < ~DATABASES +DATABASE | DATABASE | TABLES | ~TABLE +TABLES > $table { ', $table } ]",
    ),
    ("pair", "$dotted '= $lit [ [ NOT ] OVERRIDABLE ]"),
    ("target", "< '* ^. ^* | $id ^. ^* | $table | '* >"),
    (
        "backup",
        "< SETTINGS $function_settings [ < ~SYNC +, +async +=  +false | ~ASYNC +, +async += +true > ] | \
      ~SYNC +SETTINGS +async += +false | ~ASYNC +SETTINGS +async += +true | $nothing >",
    ),
];

impl Parser<'_> {
    /// Words that are not classified: a privilege, an index's key, the rest of the text.
    fn loose(&mut self, name: &str, out: &mut String) -> Result<()> {
        match name {
            "dotted" => {
                let name = self.compound_name()?;
                let parts: Vec<String> = name.split('.').map(format::quote_name).collect();
                push(out, &parts.join("."));
                Ok(())
            }
            "key" => {
                let key = self.expression()?;
                let inner = super::Expr { parenthesized: false, ..key };
                push(out, &format::expr(&inner));
                Ok(())
            }
            "call" => {
                let name = self.name()?;
                let mut text = format::quote_name(&name);
                if self.take_symbol("(") {
                    let arguments = match self.symbol_ahead(0, ")") {
                        true => Vec::new(),
                        false => self.comma_list(Self::expression)?,
                    };
                    self.expect_symbol(")")?;
                    let texts: Vec<String> = arguments.iter().map(format::expr).collect();
                    text += &format!("({})", texts.join(", "));
                }
                push(out, &text);
                Ok(())
            }
            "granularity" => {
                let count = match self.take_keyword("GRANULARITY") {
                    true => self.unsigned()?,
                    false => 1,
                };
                push(out, &format!("GRANULARITY {count}"));
                Ok(())
            }
            "any" => {
                while !self.at_end() && !self.symbol_ahead(0, ";") {
                    let token = self.advance();
                    push(out, self.text_of(token));
                }
                Ok(())
            }
            _ => Err(self.unexpected()),
        }
    }
}
