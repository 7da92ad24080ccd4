//! ALTER commands that the parser keeps as words: DROP INDEX, MATERIALIZE …, ATTACH, REPLACE, MOVE and
//! FREEZE of partitions.

use pumphouse_query::sql;
use pumphouse_query::sql::ast::{Expr, ExprKind};
use pumphouse_query::sql::lexer::{Lexer, TokenKind};

/// A kept command, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// DROP INDEX, PROJECTION, CONSTRAINT or STATISTICS.
    Drop {
        kind: &'static str,
        name: String,
        if_exists: bool,
    },
    /// CLEAR INDEX, PROJECTION or STATISTICS.
    Clear {
        kind: &'static str,
        name: String,
        if_exists: bool,
        partition: Option<Expr>,
    },
    Materialize {
        kind: &'static str,
        name: Option<String>,
        partition: Option<Expr>,
    },
    Partition(PartitionCommand),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum PartitionCommand {
    Attach(Which),
    /// ATTACH or REPLACE PARTITION … FROM a table.
    From {
        which: Which,
        table: (Option<String>, String),
        replace: bool,
    },
    MoveToTable {
        which: Which,
        table: (Option<String>, String),
    },
    DropDetached(Which),
    /// None: the whole table.
    Freeze {
        which: Option<Which>,
        name: Option<String>,
    },
    Unfreeze {
        name: String,
    },
}

/// What a partition command is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Which {
    Partition(Expr),
    Part(String),
}

/// Words with their quotes; an expression is read from the text between two of them.
struct Words<'t> {
    text: &'t str,
    /// Start and end.
    tokens: Vec<(usize, usize)>,
    at: usize,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Words<'t> {
        let mut lexer = Lexer::new(text);
        let mut tokens = vec![];
        loop {
            let token = lexer.next_token();
            if matches!(token.kind, TokenKind::End | TokenKind::Invalid(_)) {
                return Words { text, tokens, at: 0 };
            }
            tokens.push((token.start, token.end));
        }
    }

    fn word(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |(start, end)| &self.text[*start..*end])
    }

    /// Takes these words if they come next.
    fn take(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        let same = words
            .split(' ')
            .enumerate()
            .all(|(i, word)| self.word(self.at + i).eq_ignore_ascii_case(word));
        self.at += if same { count } else { 0 };
        same
    }

    fn take_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.take(word))
    }

    fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn name(&mut self) -> Option<String> {
        let mut parts = vec![];
        loop {
            let expr = sql::parse_expression(self.word(self.at)).ok()?;
            self.at += 1;
            match expr.kind {
                ExprKind::Identifier(more) => parts.extend(more),
                _ => return None,
            }
            if !self.take(".") {
                return Some(parts.join("."));
            }
        }
    }

    fn table(&mut self) -> Option<(Option<String>, String)> {
        let first = self.name_part()?;
        match self.take(".") {
            true => Some((Some(first), self.name_part()?)),
            false => Some((None, first)),
        }
    }

    fn name_part(&mut self) -> Option<String> {
        let expr = sql::parse_expression(self.word(self.at)).ok()?;
        self.at += 1;
        match expr.kind {
            ExprKind::Identifier(parts) => Some(parts.join(".")),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        let expr = sql::parse_expression(self.word(self.at)).ok()?;
        self.at += 1;
        match expr.kind {
            ExprKind::Literal { value, .. } => {
                value.as_bytes().map(|b| String::from_utf8_lossy(b).into_owned())
            }
            _ => None,
        }
    }

    /// The expression up to one of `ends` outside brackets, or to the end.
    fn expression(&mut self, ends: &[&str]) -> Option<Expr> {
        let first = self.tokens.get(self.at)?.0;
        let (mut depth, mut last) = (0usize, first);
        while let Some((start, end)) = self.tokens.get(self.at).copied() {
            let word = &self.text[start..end];
            match word {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ if depth == 0 && ends.iter().any(|e| e.eq_ignore_ascii_case(word)) => break,
                _ => {}
            }
            last = end;
            self.at += 1;
        }
        sql::parse_expression(&self.text[first..last]).ok()
    }

    /// What stands behind PARTITION: a value, `ID 'x'` or ALL.
    fn partition(&mut self, ends: &[&str]) -> Option<Expr> {
        if self.take("ID") {
            let id = self.word(self.at).to_string();
            self.at += 1;
            return sql::parse_expression(&format!("ID({id})")).ok();
        }
        self.expression(ends)
    }

    fn which(&mut self, ends: &[&str]) -> Option<Which> {
        if self.take("PART") {
            return Some(Which::Part(self.string()?));
        }
        self.take("PARTITION").then_some(())?;
        Some(Which::Partition(self.partition(ends)?))
    }
}

/// What a kept command says; None if it is none of those that are carried out.
/// The other table that a partition command names.
pub(super) fn other_table(text: &str) -> Option<(Option<String>, String)> {
    match kept(text)? {
        Kept::Partition(
            PartitionCommand::From { table, .. } | PartitionCommand::MoveToTable { table, .. },
        ) => Some(table),
        _ => None,
    }
}

pub(super) fn kept(text: &str) -> Option<Kept> {
    let mut words = Words::of(text);
    let command = if words.take("DROP DETACHED") {
        Kept::Partition(PartitionCommand::DropDetached(words.which(&[])?))
    } else if words.take("CLEAR") {
        let kind = words.take_any(&["INDEX", "PROJECTION", "STATISTICS"])?;
        let if_exists = words.take("IF EXISTS");
        let name = words.name()?;
        let partition = if words.take("IN PARTITION") { Some(words.partition(&[])?) } else { None };
        Kept::Clear { kind, name, if_exists, partition }
    } else if words.take("DROP") {
        let kind = words.take_any(&["INDEX", "PROJECTION", "CONSTRAINT", "STATISTICS"])?;
        let if_exists = words.take("IF EXISTS");
        Kept::Drop { kind, name: words.name()?, if_exists }
    } else if words.take("MATERIALIZE") {
        let kind = words.take_any(&["COLUMN", "INDEX", "PROJECTION", "TTL", "STATISTICS"])?;
        words.take("IF EXISTS");
        let named = kind != "TTL" && !words.word(words.at).is_empty();
        let name = if named { Some(words.name()?) } else { None };
        let partition = if words.take("IN PARTITION") { Some(words.partition(&[])?) } else { None };
        Kept::Materialize { kind, name, partition }
    } else if words.take("ATTACH") {
        from_or_plain(&mut words, false)?
    } else if words.take("REPLACE") {
        from_or_plain(&mut words, true)?
    } else if words.take("MOVE") {
        let which = words.which(&["TO"])?;
        words.take("TO TABLE").then_some(())?;
        let table = words.table()?;
        Kept::Partition(PartitionCommand::MoveToTable { which, table })
    } else if words.take("FREEZE") {
        let whole = words.at_end() || words.word(words.at).eq_ignore_ascii_case("WITH");
        let which = if whole { None } else { Some(words.which(&["WITH"])?) };
        let name = if words.take("WITH NAME") { Some(words.string()?) } else { None };
        Kept::Partition(PartitionCommand::Freeze { which, name })
    } else if words.take("UNFREEZE") {
        if !words.take("WITH NAME") {
            words.which(&["WITH"])?;
            words.take("WITH NAME").then_some(())?;
        }
        Kept::Partition(PartitionCommand::Unfreeze { name: words.string()? })
    } else {
        return None;
    };
    words.at_end().then_some(command)
}

fn from_or_plain(words: &mut Words<'_>, replace: bool) -> Option<Kept> {
    let which = words.which(&["FROM"])?;
    if words.take("FROM") {
        let table = words.table()?;
        return Some(Kept::Partition(PartitionCommand::From { which, table, replace }));
    }
    (!replace).then_some(Kept::Partition(PartitionCommand::Attach(which)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let table = |name: &str| (Some("d".to_string()), name.to_string());
        let partition = |text: &str| Which::Partition(sql::parse_expression(text).unwrap());
        let cases = [
            (
                "DROP INDEX IF EXISTS `a b`",
                Kept::Drop { kind: "INDEX", name: "a b".into(), if_exists: true },
            ),
            (
                "MOVE PARTITION (1, 'TO') TO TABLE d.`x y`",
                Kept::Partition(PartitionCommand::MoveToTable {
                    which: partition("(1, 'TO')"),
                    table: table("x y"),
                }),
            ),
            (
                "REPLACE PARTITION ID '7' FROM d.t",
                Kept::Partition(PartitionCommand::From {
                    which: partition("ID('7')"),
                    table: table("t"),
                    replace: true,
                }),
            ),
            (
                "MATERIALIZE COLUMN c IN PARTITION 5",
                Kept::Materialize {
                    kind: "COLUMN",
                    name: Some("c".into()),
                    partition: Some(sql::parse_expression("5").unwrap()),
                },
            ),
            ("FREEZE", Kept::Partition(PartitionCommand::Freeze { which: None, name: None })),
        ];
        for (text, expected) in cases {
            assert_eq!(kept(text), Some(expected), "{text}");
        }
        assert_eq!(kept("FETCH PARTITION 1 FROM '/x'"), None);
    }
}
