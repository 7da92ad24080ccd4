//! Names in messages and results: "Maybe you meant" hints, the text of the scope that ClickHouse puts
//! behind analysis errors, and result column names that depend on what an identifier resolved to.

use super::scope::{Scope, ScopeKind};
use crate::error::{Error, codes};
use crate::sql::{
    self,
    ast::{Query, QueryBody, Select},
};

/// Texts of scopes are cut behind this many bytes.
const SCOPE_TEXT_BYTES_MAX: usize = 4096;

/// Names close enough to `name`, best first, at most two.
pub fn similar<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mistakes_max = name.len().div_ceil(3);
    let mut found: Vec<(usize, String)> = vec![];
    for candidate in known {
        let short = name.len() <= 2 && candidate.len() < name.len();
        if short || candidate.len().abs_diff(name.len()) > mistakes_max {
            continue;
        }
        let distance = edit_distance(name, candidate);
        if distance <= mistakes_max && !found.iter().any(|(_, n)| n == candidate) {
            found.push((distance, candidate.to_string()));
        }
    }
    found.sort();
    found.truncate(2);
    found.into_iter().map(|(_, n)| n).collect()
}

/// Edits between two names, without regard to case.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// ` Maybe you meant: ['a','b'].`, or nothing.
pub fn maybe_you_meant(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let list: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    format!(" Maybe you meant: [{}].", list.join(","))
}

/// The statement text of a SELECT, as errors show it.
pub fn select_text(select: &Select) -> String {
    let query = Query::new(QueryBody::Select(Box::new(select.clone())));
    let mut text = sql::format::query(&query, false);
    if text.len() > SCOPE_TEXT_BYTES_MAX {
        let cut = (0..=SCOPE_TEXT_BYTES_MAX).rev().find(|i| text.is_char_boundary(*i));
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    text
}

/// What errors call the place: the SELECT, or the lambda.
pub fn scope_text(scope: &Scope) -> Option<String> {
    if scope.kind == ScopeKind::Lambda && scope.text.is_some() {
        return scope.text.clone();
    }
    scope.enclosing_select().map(select_text)
}

/// `message. In scope SELECT …`.
pub fn error_in(scope: &Scope, code: u32, message: impl Into<String>) -> Error {
    let message = message.into();
    match scope_text(scope) {
        Some(text) => Error::new(code, format!("{message} In scope {text}")),
        None => Error::new(code, message),
    }
}

/// Appends the scope to an error of a function or type, as ClickHouse does.
pub fn with_scope(error: Error, scope: &Scope) -> Error {
    let Error::Coded { code, message } = error else { return error };
    if message.contains("In scope ") {
        return Error::Coded { code, message };
    }
    match scope_text(scope) {
        Some(text) => {
            let message = message.trim_end_matches('.');
            Error::Coded { code, message: format!("{message}: In scope {text}") }
        }
        None => Error::Coded { code, message },
    }
}

/// Error 47 for an identifier.
pub fn unknown_identifier(scope: &Scope, name: &str, in_function: bool) -> Error {
    let known = scope.known_names();
    let mut hints = similar(name, known.iter().map(String::as_str));
    if hints.is_empty()
        && let Some((_, last)) = name.rsplit_once('.')
    {
        for table in &scope.tables {
            if let (Some(label), Some(_)) = (table.label(), table.column(last)) {
                hints.push(format!("{label}.{last}"));
            }
        }
        hints.truncate(2);
    }
    let what = if in_function { "expression or function" } else { "expression" };
    let no_from = match scope.enclosing_select() {
        Some(select) if select.from.is_none() && scope.kind == ScopeKind::Select => {
            ": Note: the query does not have the FROM clause. Did you forget to add it?"
        }
        _ => "",
    };
    let meant = maybe_you_meant(&hints);
    let error = error_in(
        scope,
        codes::UNKNOWN_IDENTIFIER,
        format!("Unknown {what} identifier `{name}`.{meant}"),
    );
    match error {
        Error::Coded { code, message } => {
            Error::Coded { code, message: format!("{message}{no_from}") }
        }
        other => other,
    }
}

/// Error 46 for a function.
pub fn unknown_function(scope: &Scope, name: &str, known: &[String]) -> Error {
    let meant = maybe_you_meant(&similar(name, known.iter().map(String::as_str)));
    let message = format!("Function with name `{name}` does not exist.{meant}");
    error_in(scope, codes::UNKNOWN_FUNCTION, message)
}
