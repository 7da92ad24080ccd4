//! `INSERT … VALUES`: literals by the fast reader; a statement that holds expressions is read again,
//! row by row, through the SQL parser.

use pumphouse_ingest::format::{self, FormatOptions, InputColumn, ParsedRows};
use pumphouse_query::bind::bind_expression;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::sql::ast::ExprKind;
use pumphouse_query::sql::{self};
use pumphouse_query::{Error, Result, execute};
use pumphouse_storage::{Block, Column};
use std::sync::Arc;

/// Rows of the VALUES list in `text`.
pub(super) fn read_values(
    text: &[u8],
    columns: &[InputColumn],
    options: &FormatOptions,
    context: &Arc<QueryContext>,
) -> Result<ParsedRows> {
    let mut reader = format::reader("Values", columns, options)?;
    let whole = reader.read_stream(text, true, usize::MAX);
    match whole {
        Ok(used) if text[used..].iter().all(|b| b.is_ascii_whitespace() || *b == b';') => {
            reader.take()
        }
        _ => read_expressions(text, columns, context),
    }
}

/// The slow path: every row is parsed as a tuple of expressions.
fn read_expressions(
    text: &[u8],
    columns: &[InputColumn],
    context: &Arc<QueryContext>,
) -> Result<ParsedRows> {
    let text = std::str::from_utf8(text).map_err(|e| {
        Error::new(
            codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            format!("VALUES with expressions must be UTF-8; byte {} is not", e.valid_up_to()),
        )
    })?;
    let mut cells: Vec<Vec<Column>> = vec![vec![]; columns.len()];
    let mut rows = 0;
    for tuple in tuples(text)? {
        context.check()?;
        read_row(tuple, columns, context, &mut cells)?;
        rows += 1;
    }
    let joined = cells
        .iter()
        .zip(columns)
        .map(|(cells, c)| match cells.is_empty() {
            true => Ok(Column::empty(c.data_type.clone())),
            false => Ok(Column::concat(cells)?),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(ParsedRows { rows, present: vec![None; joined.len()], columns: joined })
}

fn read_row(
    tuple: &str,
    columns: &[InputColumn],
    context: &Arc<QueryContext>,
    cells: &mut [Vec<Column>],
) -> Result<()> {
    // `array(…)` takes one value as well as many, unlike a parenthesis.
    let expr = sql::parse_expression(&format!("tuple{tuple}"))?;
    let ExprKind::Call(call) = &expr.kind else {
        return Err(Error::new(codes::SYNTAX_ERROR, format!("Cannot parse expression {tuple}")));
    };
    if call.arguments.len() != columns.len() {
        return Err(Error::new(
            codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            format!("{} values given for {} columns: {tuple}", call.arguments.len(), columns.len()),
        ));
    }
    let one_row = Block::of_rows(1);
    for ((argument, column), cell) in call.arguments.iter().zip(columns).zip(cells) {
        let bound = bind_expression(argument, &[], context)?;
        let value = execute::evaluate(&bound, &one_row, context)?;
        let default = value.is_null(0) && !column.data_type.is_nullable();
        cell.push(match default {
            // input_format_null_as_default
            true => Column::default_values(column.data_type.clone(), 1),
            false => cast_column(&value, &column.data_type, context)?,
        });
    }
    Ok(())
}

/// The parenthesised rows of a VALUES list; commas between them are optional.
fn tuples(text: &str) -> Result<Vec<&str>> {
    let bytes = text.as_bytes();
    let (mut rows, mut depth, mut start, mut i) = (vec![], 0usize, 0, 0);
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'\'' | b'"' | b'`') if depth > 0 => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => {
                if depth == 0 {
                    start = i;
                }
                depth += 1;
            }
            b')' | b']' | b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    rows.push(&text[start..=i]);
                }
            }
            b';' if depth == 0 => break,
            b',' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ if depth == 0 => {
                return Err(Error::new(
                    codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
                    format!("Cannot parse VALUES at byte {i}: expected ( "),
                ));
            }
            _ => {}
        }
        i += 1;
    }
    if depth > 0 {
        return Err(Error::new(
            codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            format!("Cannot parse VALUES: the row at byte {start} is not closed"),
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::tuples;

    #[test]
    fn rows_are_cut_at_their_parentheses() {
        assert_eq!(tuples("(1, 'a)') (f(2), [3]) ,(4,5);").unwrap(), ["(1, 'a)')", "(f(2), [3])", "(4,5)"]);
        assert!(tuples("(1, 2").is_err());
        assert!(tuples("1, 2").is_err());
        assert!(tuples("('a\\').").is_err());
    }
}
