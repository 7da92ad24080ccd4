//! The prompt's line editor: colours for SQL, completion from the server's own names, hints from the
//! history, and lines that go on until the statement is whole.

use std::borrow::Cow;
use std::collections::BTreeSet;

use pumphouse_query::sql::lexer::{Lexer, TokenKind};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper};

/// Names to complete with; more would make the prompt slow.
const WORDS_MAX: usize = 50_000;
/// Longer texts are not coloured with every key.
const COLOURED_BYTES_MAX: usize = 16 << 10;

const KEYWORDS: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ANTI",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "ASOF",
    "ATTACH",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CHECK",
    "CLUSTER",
    "CODEC",
    "COLUMN",
    "COMMENT",
    "CREATE",
    "CROSS",
    "CUBE",
    "DATABASE",
    "DEDUPLICATE",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DETACH",
    "DICTIONARY",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ENGINE",
    "EXCEPT",
    "EXCHANGE",
    "EXISTS",
    "EXPLAIN",
    "FILL",
    "FINAL",
    "FORMAT",
    "FREEZE",
    "FROM",
    "FULL",
    "FUNCTION",
    "GLOBAL",
    "GROUP",
    "GROUPING",
    "HAVING",
    "IF",
    "ILIKE",
    "IN",
    "INDEX",
    "INFILE",
    "INNER",
    "INSERT",
    "INTERPOLATE",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "KILL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "MODIFY",
    "MOVE",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OPTIMIZE",
    "OR",
    "ORDER",
    "OUTER",
    "OUTFILE",
    "OVER",
    "PARTITION",
    "POPULATE",
    "PREWHERE",
    "PRIMARY",
    "PROJECTION",
    "QUALIFY",
    "RENAME",
    "RIGHT",
    "ROLLUP",
    "SAMPLE",
    "SELECT",
    "SEMI",
    "SET",
    "SETS",
    "SETTINGS",
    "SHOW",
    "SYSTEM",
    "TABLE",
    "TEMPORARY",
    "THEN",
    "TIES",
    "TO",
    "TOTALS",
    "TRUNCATE",
    "TTL",
    "UNION",
    "UPDATE",
    "USE",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// What the line editor asks.
pub struct Prompt {
    words: BTreeSet<String>,
    hints: HistoryHinter,
    /// A statement ends only at a semicolon.
    until_semicolon: bool,
    coloured: bool,
}

pub type PromptEditor = Editor<Prompt, FileHistory>;

/// An editor that completes with `names` and SQL's keywords.
pub fn editor(
    names: impl IntoIterator<Item = String>,
    until_semicolon: bool,
    coloured: bool,
) -> rustyline::Result<PromptEditor> {
    let mut words: BTreeSet<String> = names.into_iter().take(WORDS_MAX).collect();
    words.extend(KEYWORDS.iter().map(|k| k.to_string()));
    let configuration = rustyline::Config::builder()
        .completion_type(rustyline::CompletionType::List)
        .max_history_size(10_000)?
        .history_ignore_dups(true)?
        .bracketed_paste(true)
        .build();
    let mut editor = Editor::with_config(configuration)?;
    let prompt = Prompt { words, hints: HistoryHinter::new(), until_semicolon, coloured };
    editor.set_helper(Some(prompt));
    Ok(editor)
}

impl Helper for Prompt {}

impl Completer for Prompt {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> Result<(usize, Vec<Pair>), ReadlineError> {
        let start = word_start(line, position);
        Ok((start, candidates(&self.words, &line[start..position])))
    }
}

/// Where the name that ends at `position` begins.
fn word_start(line: &str, position: usize) -> usize {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let tail = line[..position].char_indices().rev().take_while(|(_, c)| part_of_name(*c));
    tail.last().map_or(position, |(at, _)| at)
}

/// Names that begin so; letter case counts only if nothing else begins so.
fn candidates(words: &BTreeSet<String>, start: &str) -> Vec<Pair> {
    if start.is_empty() {
        return vec![];
    }
    let pair = |word: &String| Pair { display: word.clone(), replacement: word.clone() };
    let exact: Vec<Pair> = words
        .range(start.to_string()..)
        .take_while(|word| word.starts_with(start))
        .take(200)
        .map(pair)
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let lower = start.to_lowercase();
    words
        .iter()
        .filter(|word| word.to_lowercase().starts_with(&lower))
        .take(200)
        .map(pair)
        .collect()
}

impl Hinter for Prompt {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<String> {
        if line.len() < 3 { None } else { self.hints.hint(line, position, context) }
    }
}

impl Highlighter for Prompt {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.coloured && line.len() <= COLOURED_BYTES_MAX {
            true => Cow::Owned(coloured(line)),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.coloured {
            Cow::Owned(format!("\x1b[90m{hint}\x1b[0m"))
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.coloured && kind != CmdKind::MoveCursor
    }
}

/// `line` with escape sequences: keywords blue, texts green, numbers cyan, what is no token red.
fn coloured(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut lexer = Lexer::new(line);
    let mut done = 0;
    loop {
        let token = lexer.next_token();
        out.push_str(&line[done..token.start]);
        if token.kind == TokenKind::End {
            out.push_str(&line[token.start..]);
            return out;
        }
        let text = &line[token.start..token.end];
        let colour = match token.kind {
            TokenKind::Word
                if KEYWORDS.binary_search(&text.to_ascii_uppercase().as_str()).is_ok() =>
            {
                "1;34"
            }
            TokenKind::String | TokenKind::Heredoc => "32",
            TokenKind::Number => "36",
            TokenKind::Invalid(_) => "31",
            _ => "",
        };
        match colour {
            "" => out.push_str(text),
            colour => out.push_str(&format!("\x1b[{colour}m{text}\x1b[0m")),
        }
        done = token.end;
    }
}

impl Validator for Prompt {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input(), self.until_semicolon) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Whether Enter ends this text: nothing is left open, no `\` at its end, and a semicolon where wanted.
pub fn is_whole(text: &str, until_semicolon: bool) -> bool {
    let trimmed = text.trim();
    // Our own commands are lines.
    if trimmed.is_empty() || trimmed.starts_with('\\') || super::commands::is_farewell(trimmed) {
        return true;
    }
    if trimmed.ends_with('\\') && !trimmed.ends_with("\\G") {
        return false;
    }
    let ends = trimmed.ends_with(';') || trimmed.ends_with("\\G");
    if !ends && until_semicolon {
        return false;
    }
    let mut lexer = Lexer::new(text);
    let mut open = 0i64;
    loop {
        let token = lexer.next_token();
        match (token.kind, &text[token.start..token.end]) {
            (TokenKind::End, _) => return open <= 0,
            (TokenKind::Symbol, "(" | "[" | "{") => open += 1,
            (TokenKind::Symbol, ")" | "]" | "}") => open -= 1,
            (TokenKind::Invalid(_), _) if token.end == text.len() && !ends => return false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_until_it_is_whole() {
        let whole = ["SELECT 1", "SELECT (1)", "SELECT ')'", "\\d", "exit", "", "SELECT 1\\G"];
        assert!(whole.iter().all(|text| is_whole(text, false)));
        let open = ["SELECT (1", "SELECT 'a", "SELECT 1 \\", "SELECT [1, (2)", "SELECT /* x"];
        assert!(!open.iter().any(|text| is_whole(text, false)));
        assert!(
            !is_whole("SELECT 1", true) && is_whole("SELECT 1;", true) && is_whole("quit", true)
        );
    }

    #[test]
    fn names_are_completed() {
        let words: BTreeSet<String> =
            ["toDate", "toDateTime", "SELECT", "system"].map(String::from).into();
        let of = |start: &str| -> Vec<String> {
            candidates(&words, start).into_iter().map(|p| p.replacement).collect()
        };
        assert_eq!(of("toDate"), ["toDate", "toDateTime"]);
        assert_eq!(of("sel"), ["SELECT"]);
        assert!(of("").is_empty() && of("x").is_empty());
        assert_eq!(word_start("SELECT toDa", 11), 7);
        assert_eq!(word_start("system.ta", 9), 7);
    }

    #[test]
    fn colours_change_no_letter() {
        let line = "SELECT 'a', 1.5, f(x) FROM t -- é";
        let text = coloured(line);
        let mut plain = String::new();
        for (number, piece) in text.split('\x1b').enumerate() {
            plain.push_str(if number == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, line);
        assert!(text.contains("\x1b[1;34mSELECT\x1b[0m") && text.contains("\x1b[32m'a'\x1b[0m"));
        assert!(KEYWORDS.is_sorted());
    }
}
