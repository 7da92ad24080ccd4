//! The lines of names and types that `…WithNames` and `…WithNamesAndTypes` begin with, for readers:
//! which field of a row goes to which column.

use pumphouse_query::error::codes;
use pumphouse_storage::types::parse_data_type;

use super::columns::RowBuilder;
use super::reading::ways;
use super::{FormatOptions, ParseError};

/// Which header lines a format has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Header {
    None,
    Names,
    NamesAndTypes,
}

/// The column of each field of a row; None for a field that is of no column.
pub type FieldColumns = Vec<Option<usize>>;

/// Field by field for input without names.
pub fn in_order(rows: &RowBuilder) -> FieldColumns {
    (0..rows.slots.len()).map(Some).collect()
}

/// The index of the column called `name`: exactly, else in any case if that is one column only.
pub fn find_column(rows: &RowBuilder, name: &str) -> Option<usize> {
    if let Some(i) = rows.slots.iter().position(|s| s.name == name) {
        return Some(i);
    }
    if ways().exact_names {
        return None;
    }
    let mut alike =
        rows.slots.iter().enumerate().filter(|(_, s)| s.name.eq_ignore_ascii_case(name));
    match (alike.next(), alike.next()) {
        (Some((i, _)), None) => Some(i),
        _ => None,
    }
}

/// Columns by a line of names.
pub fn by_names(
    rows: &RowBuilder,
    names: &[Vec<u8>],
    options: &FormatOptions,
) -> Result<FieldColumns, ParseError> {
    if !options.settings.bool("input_format_with_names_use_header", true) {
        return Ok(in_order(rows));
    }
    let mut columns: FieldColumns = vec![];
    for name in names {
        let name = String::from_utf8_lossy(name);
        let found = find_column(rows, &name);
        if found.is_some() && columns.contains(&found) {
            return Err(bad(format!("Duplicate field found while parsing format header: {name}")));
        }
        if found.is_none() && !options.settings.bool("input_format_skip_unknown_fields", true) {
            return Err(bad(format!("Unknown field found in format header: '{name}'")));
        }
        columns.push(found);
    }
    Ok(columns)
}

/// Checks a line of types against the columns.
pub fn check_types(
    rows: &RowBuilder,
    columns: &FieldColumns,
    types: &[Vec<u8>],
    options: &FormatOptions,
) -> Result<(), ParseError> {
    if types.len() != columns.len() {
        return Err(bad(
            "The number of data types differs from the number of column names in input data".into(),
        ));
    }
    if !options.settings.bool("input_format_with_types_use_header", true) {
        return Ok(());
    }
    for (column, given) in columns.iter().zip(types) {
        let Some(column) = column else { continue };
        let slot = &rows.slots[*column];
        let given = String::from_utf8_lossy(given);
        if parse_data_type(&given).ok().as_ref() != Some(&slot.builder.data_type) {
            return Err(bad(format!(
                "Type of '{}' must be {}, not {given}",
                slot.name, slot.builder.data_type
            )));
        }
    }
    Ok(())
}

fn bad(message: String) -> ParseError {
    ParseError {
        code: codes::INCORRECT_DATA,
        message: format!("{message}: (while reading header)"),
    }
}
