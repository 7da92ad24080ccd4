//! The table functions `values('a UInt8, b String', (1, 'x'), …)` and `null('a UInt8')`.

use std::sync::Arc;

use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::numbers::EmptySource;
use super::{BlockSource, SourceColumn, TableSource};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::functions::cast;
use crate::functions::promote::{common_type, literal_type};

/// `name Type, name Type …`.
/// The columns of a structure as table functions take it: `a UInt8, b String`.
pub fn parse_structure(text: &str) -> Result<Vec<SourceColumn>> {
    let bad =
        || Error::new(codes::SYNTAX_ERROR, format!("Cannot parse the table structure '{text}'"));
    let mut columns = vec![];
    for part in split_top_level(text) {
        let part = part.trim();
        let (name, rest) = if let Some(quoted) = part.strip_prefix('`') {
            quoted.split_once('`').ok_or_else(bad)?
        } else {
            part.split_once(char::is_whitespace).ok_or_else(bad)?
        };
        columns.push(SourceColumn::plain(name, parse_data_type(rest.trim())?));
    }
    Ok(columns)
}

/// Pieces between commas that stand outside of parentheses and quotes.
fn split_top_level(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut from) = (0i32, false, 0);
    let mut pieces = vec![];
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                pieces.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

pub(super) fn null(arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let [Value::String(structure)] = arguments else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Table function 'null' requires 'structure'",
        ));
    };
    let columns = parse_structure(&String::from_utf8_lossy(structure))?;
    Ok(Arc::new(EmptySource { name: "null".into(), engine: "Null".into(), columns }))
}

pub(super) fn values(arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let (columns, rows) = match arguments {
        [Value::String(structure), rows @ ..] if !rows.is_empty() && is_structure(structure) => {
            (Some(parse_structure(&String::from_utf8_lossy(structure))?), rows)
        }
        rows => (None, rows),
    };
    let rows: Vec<Vec<Value>> = rows
        .iter()
        .map(|row| match row {
            Value::Tuple(items) => items.clone(),
            one => vec![one.clone()],
        })
        .collect();
    let width = rows.first().map_or(0, Vec::len);
    let expected = columns.as_ref().map_or(width, Vec::len);
    if rows.is_empty() || rows.iter().any(|r| r.len() != expected) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Cannot match columns and values of the table function values",
        ));
    }
    let columns = match columns {
        Some(columns) => columns,
        None => (0..expected)
            .map(|i| {
                let types: Vec<DataType> = rows.iter().map(|r| literal_type(&r[i])).collect();
                Ok(SourceColumn::plain(format!("c{}", i + 1), common_type(&types)?))
            })
            .collect::<Result<Vec<_>>>()?,
    };
    let block = block_of(&columns, &rows)?;
    Ok(Arc::new(BlockSource::new("values", columns, vec![block])))
}

/// A first string argument is a structure if it reads as one.
fn is_structure(text: &[u8]) -> bool {
    parse_structure(&String::from_utf8_lossy(text)).is_ok()
}

fn block_of(columns: &[SourceColumn], rows: &[Vec<Value>]) -> Result<Block> {
    let ctx = QueryContext::new("", 0, 0);
    let mut block = Block::of_rows(rows.len());
    for (i, column) in columns.iter().enumerate() {
        let values = rows
            .iter()
            .map(|r| {
                let from = literal_type(&r[i]);
                if from == column.data_type {
                    return Ok(r[i].clone());
                }
                cast::cast_value(&r[i], &from, &column.data_type, &ctx)
            })
            .collect::<Result<Vec<_>>>()?;
        block.push(column.name.clone(), Column::from_values(column.data_type.clone(), &values)?);
    }
    Ok(block)
}
