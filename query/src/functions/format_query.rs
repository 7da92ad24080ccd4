//! `formatQuery` and its kin: a statement's text parsed and printed anew, on one line or on several.
//! The throwing ones give the parser's error; the others NULL. What a setting of the query would allow
//! the parser (implicit SELECT, other depths) is not looked at.

use pumphouse_storage::DataType;

use super::FunctionCall;
use super::registry::Registry;
use super::strings::{StringsBuilder, Validity};
use crate::error::{Error, Result, codes};
use crate::sql::{format, parse_statement};
use pumphouse_storage::Column;

pub(super) fn add(r: &mut Registry) {
    for (name, pretty, or_null) in [
        ("formatQuery", true, false),
        ("formatQueryOrNull", true, true),
        ("formatQuerySingleLine", false, false),
        ("formatQuerySingleLineOrNull", false, true),
    ] {
        r.add(
            name,
            1..=1,
            move |a| {
                a.require(0, |t| matches!(t, DataType::String | DataType::Nothing))?;
                Ok(if or_null { DataType::nullable(DataType::String) } else { DataType::String })
            },
            move |c| format_queries(c, pretty, or_null),
        );
    }
}

fn format_queries(call: &FunctionCall, pretty: bool, or_null: bool) -> Result<Column> {
    let texts = call.strings(0)?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 64);
    let mut valid = Validity::with_capacity(call.rows);
    for row in 0..call.rows {
        let formatted = formatted(texts.get(row), pretty);
        valid.push(formatted.is_ok());
        match formatted {
            Ok(text) => out.push(text.as_bytes()),
            Err(_) if or_null => out.push(b""),
            Err(error) => return Err(error),
        }
    }
    let nulls = valid.finish().filter(|_| or_null);
    call.finish(out.finish_with_nulls(nulls)?)
}

fn formatted(sql: &[u8], pretty: bool) -> Result<String> {
    let text = std::str::from_utf8(sql)
        .map_err(|_| Error::new(codes::SYNTAX_ERROR, "Syntax error: the query is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(Error::new(codes::SYNTAX_ERROR, "Empty query"));
    }
    Ok(format::parsed(&parse_statement(text)?, pretty))
}
