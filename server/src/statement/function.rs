//! CREATE FUNCTION and DROP FUNCTION: functions written in SQL. They live in the log and are expanded
//! where they are called.
//!
//! Names of built-in functions cannot be taken. DEFAULT and key expressions cannot call them.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, ExprKind};
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result, aggregates, functions};
use pumphouse_storage::log::{Commit, Edit};

use super::Run;

/// The most functions that may be kept.
const FUNCTIONS_MAX: usize = 10_000;

pub(super) fn is_create(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').take(4).collect();
    let function = |i: usize| words.get(i).is_some_and(|w| w.eq_ignore_ascii_case("FUNCTION"));
    words.first() == Some(&"CREATE")
        && (function(1) || (words.get(1) == Some(&"OR") && function(3)))
}

pub(super) fn is_drop(text: &str) -> bool {
    let mut words = text.split(' ');
    words.next() == Some("DROP") && words.next().is_some_and(|w| w.eq_ignore_ascii_case("FUNCTION"))
}

impl Run<'_> {
    pub(super) fn create_function(&mut self, text: &str) -> Result<()> {
        let or_replace = text.starts_with("CREATE OR ");
        let rest = behind_function(text);
        let (if_not_exists, rest) = without(rest, &["IF", "NOT", "EXISTS"]);
        let (name, rest) = rest.split_once(' ').ok_or_else(|| syntax(text))?;
        let name = plain_name(name)?;
        let (is_lambda, rest) = without(rest, &["AS"]);
        if !is_lambda {
            return Err(syntax(text));
        }
        let lambda = sql::parse_expression(rest)?;
        if !matches!(lambda.kind, ExprKind::Lambda { .. }) {
            return Err(syntax(text));
        }
        let state = self.server.store.snapshot();
        if is_built_in(&name) {
            let message = format!("The function '{name}' already exists");
            return Err(Error::new(codes::FUNCTION_ALREADY_EXISTS, message));
        }
        if state.functions.contains_key(&name) && !or_replace {
            if if_not_exists {
                return Ok(());
            }
            let message = format!("User-defined object '{name}' already exists");
            return Err(Error::new(codes::FUNCTION_ALREADY_EXISTS, message));
        }
        if state.functions.len() >= FUNCTIONS_MAX {
            let message = format!("There are {FUNCTIONS_MAX} functions already");
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        let edit = Edit::CreateFunction { name, lambda: format::expr(&lambda) };
        self.server.commit_ddl(Commit { preconditions: vec![], edits: vec![edit] })?;
        Ok(())
    }

    pub(super) fn drop_function(&mut self, text: &str) -> Result<()> {
        let (if_exists, rest) = without(behind_function(text), &["IF", "EXISTS"]);
        if rest.is_empty() || rest.contains(' ') {
            return Err(syntax(text));
        }
        let name = plain_name(rest)?;
        if is_built_in(&name) {
            let message = format!("Cannot drop system function '{name}'");
            return Err(Error::new(codes::CANNOT_DROP_FUNCTION, message));
        }
        if !self.server.store.snapshot().functions.contains_key(&name) {
            if if_exists {
                return Ok(());
            }
            let message = format!("User-defined object '{name}' doesn't exist");
            return Err(Error::new(codes::UNKNOWN_FUNCTION, message));
        }
        let edit = Edit::DropFunction { name };
        self.server.commit_ddl(Commit { preconditions: vec![], edits: vec![edit] })?;
        Ok(())
    }
}

fn is_built_in(name: &str) -> bool {
    functions::lookup(name).is_some() || aggregates::is_aggregate(name)
}

/// What follows the word FUNCTION.
fn behind_function(text: &str) -> &str {
    let mut rest = text;
    while let Some((word, behind)) = rest.split_once(' ') {
        rest = behind;
        if word.eq_ignore_ascii_case("FUNCTION") {
            break;
        }
    }
    rest
}

/// Whether `text` begins with these words, and what is behind them if so.
fn without<'t>(text: &'t str, words: &[&str]) -> (bool, &'t str) {
    let mut rest = text;
    for word in words {
        match rest.split_once(' ') {
            Some((first, behind)) if first.eq_ignore_ascii_case(word) => rest = behind,
            _ => return (false, text),
        }
    }
    (true, rest)
}

/// One name, quoted or not.
fn plain_name(text: &str) -> Result<String> {
    match sql::parse_expression(text)? {
        Expr { kind: ExprKind::Identifier(mut parts), .. } if parts.len() == 1 => {
            Ok(parts.remove(0))
        }
        _ => Err(syntax(text)),
    }
}

fn syntax(text: &str) -> Error {
    let message = format!(
        "Syntax error: expected CREATE FUNCTION name AS (parameters) -> expression, or DROP FUNCTION name: {text}"
    );
    Error::new(codes::SYNTAX_ERROR, message)
}
