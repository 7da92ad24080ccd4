//! Queries in other dialects (`SET dialect = 'postgresql'`): read by the crate `sqlparser`, lowered, and printed as
//! ClickHouse's text, which the parser of our own then reads. So errors of that one point into the lowered text.
//!
//! Only queries are lowered; a statement that begins otherwise (SET, SHOW, INSERT, CREATE …) is ClickHouse's in every
//! dialect. What a dialect means by an expression is decided in [`lower`], by name tables in [`names`]; what has no
//! counterpart is refused (48), not guessed. [`SETTINGS`] give such queries SQL's NULLs.

mod lower;
mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use sqlparser::dialect::dialect_from_str;
use sqlparser::parser::Parser;

use crate::error::{Error, Result, codes};

/// Settings that make answers those of other databases; what a query or session sets itself goes before.
pub const SETTINGS: &[(&str, &str)] = &[
    ("join_use_nulls", "1"),
    ("group_by_use_nulls", "1"),
    ("union_default_mode", "DISTINCT"),
    ("except_default_mode", "DISTINCT"),
    ("intersect_default_mode", "DISTINCT"),
    ("prefer_column_name_to_alias", "1"),
];

/// What `a / b` is where both sides are integers: cut towards zero.
pub(crate) const DIVISION: &str = "__integerOrRealDivision";

/// Nesting beyond which a query is refused.
const DEPTH_MAX: usize = 100;

/// How a dialect differs where texts look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traits {
    /// Integers divide to integers.
    integer_division: bool,
    /// NULLs sort as the greatest values, else as the least.
    nulls_are_greatest: bool,
    /// `||` is OR.
    pipes_are_or: bool,
    /// A backslash in a string stands for itself.
    plain_backslashes: bool,
    /// `length` counts bytes.
    length_in_bytes: bool,
    /// `upper` and `lower` know ASCII only.
    ascii_case: bool,
}

fn traits_of(dialect: &str) -> Traits {
    let mysql = dialect == "mysql";
    Traits {
        integer_division: matches!(
            dialect,
            "postgresql" | "postgres" | "redshift" | "sqlite" | "mssql" | "ansi" | "teradata"
        ),
        nulls_are_greatest: matches!(
            dialect,
            "postgresql" | "postgres" | "redshift" | "snowflake" | "oracle" | "duckdb"
        ),
        pipes_are_or: mysql,
        plain_backslashes: !matches!(
            dialect,
            "mysql" | "bigquery" | "snowflake" | "databricks" | "spark" | "sparksql" | "hive"
        ),
        length_in_bytes: mysql,
        ascii_case: dialect == "sqlite",
    }
}

/// Whether `dialect` (the setting's value) is ClickHouse's own. Error 36 for one that nobody knows.
pub fn is_own(dialect: &str) -> Result<bool> {
    if dialect.is_empty() || dialect.eq_ignore_ascii_case("clickhouse") {
        return Ok(true);
    }
    match dialect_from_str(dialect) {
        Some(_) => Ok(false),
        None => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!(
                "Unknown dialect '{dialect}'; there are 'clickhouse', 'postgresql', 'mysql', 'sqlite', 'duckdb', \
                 'mssql', 'oracle', 'snowflake', 'bigquery', 'redshift', 'databricks', 'spark', 'hive', 'teradata', \
                 'ansi' and 'generic'"
            ),
        )),
    }
}

/// `text` in ClickHouse's dialect; what is no query stays as it is. Errors: 62 where the dialect does not read it,
/// 48 for what has no counterpart, 36 for an unknown dialect.
pub fn to_clickhouse<'t>(text: &'t str, dialect: &str) -> Result<Cow<'t, str>> {
    if !begins_a_query(text) || is_own(dialect)? {
        return Ok(Cow::Borrowed(text));
    }
    let name = dialect.to_ascii_lowercase();
    let Some(known) = dialect_from_str(&name) else { return Ok(Cow::Borrowed(text)) };
    let (query, format) = split_format(text);
    let syntax =
        |e: String| Error::new(codes::SYNTAX_ERROR, format!("Syntax error in dialect {name}: {e}"));
    let statements = Parser::new(known.as_ref())
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(query)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|e| syntax(e.to_string()))?;
    let [mut statement] = <[_; 1]>::try_from(statements)
        .map_err(|all| syntax(format!("one statement is wanted, {} are there", all.len())))?;
    lower::statement(&mut statement, traits_of(&name))?;
    Ok(Cow::Owned(format!("{statement}{format}")))
}

fn begins_a_query(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let word: String = start.chars().take_while(char::is_ascii_alphabetic).collect();
    ["select", "with", "values"].iter().any(|w| word.eq_ignore_ascii_case(w))
        || start.starts_with("--")
        || start.starts_with("/*")
}

/// The query and the `FORMAT name` that may stand behind it, which is ClickHouse's in every dialect.
fn split_format(text: &str) -> (&str, &str) {
    let text = text.trim_end().trim_end_matches(';').trim_end();
    let name = text.len() - text.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).len();
    let before = text[..text.len() - name].trim_end();
    let is_format = before.len() < text.len() - name
        && before.len() > 6
        && before.is_char_boundary(before.len() - 6)
        && before[before.len() - 6..].eq_ignore_ascii_case("format")
        && before[..before.len() - 6].ends_with(char::is_whitespace);
    match is_format && name > 0 {
        true => text.split_at(before.len() - 7),
        false => (text, ""),
    }
}
