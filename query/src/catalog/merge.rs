//! Many tables read as one: the `Merge` engine and the table function `merge`.
//!
//! It is a view over the UNION ALL of the tables whose names match, so pruning and pushed filters
//! reach each of them. `_table` and `_database` say where a row is from. A column that a table lacks
//! has its type's default. A `Merge` table never reads itself; others are read as what they are.

use std::sync::Arc;

use pumphouse_storage::log::{State, Table, TableDefinition};
use pumphouse_storage::{DataType, Value};

use super::SourceColumn;
use super::store::source_columns;
use crate::error::{Error, Result, codes};
use crate::functions::promote::common_type;
use crate::sql::ast::{Expr, ExprKind, Query};
use crate::sql::{self, format};

/// The most tables that one `Merge` reads.
const TABLES_MAX: usize = 1000;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Columns and query of the tables of `database` that match `pattern`.
pub(super) struct Merged {
    pub columns: Vec<SourceColumn>,
    /// None: no table matches.
    pub query: Option<Query>,
}

/// The rows of a `Merge` table.
pub(super) fn of_table(
    state: &State,
    definition: &TableDefinition,
    table: &Table,
) -> Result<Merged> {
    let (database, pattern) = engine_arguments(definition)?;
    let declared = source_columns(table);
    let tables = matching(state, &database, &pattern, Some(definition))?;
    merged(&tables, declared)
}

/// The rows of `merge(database, pattern)`: every column that some table has.
pub(super) fn of_function(state: &State, database: &str, pattern: &str) -> Result<Merged> {
    let tables = matching(state, database, pattern, None)?;
    if tables.is_empty() {
        return Err(Error::new(
            codes::CANNOT_EXTRACT_TABLE_STRUCTURE,
            "There are no tables satisfied provided regexp, you must specify table structure manually",
        ));
    }
    merged(&tables, common_columns(&tables)?)
}

fn matching<'s>(
    state: &'s State,
    database: &str,
    pattern: &str,
    without: Option<&TableDefinition>,
) -> Result<Vec<&'s Arc<Table>>> {
    let found = state.databases.get(database).ok_or_else(|| {
        Error::new(codes::UNKNOWN_DATABASE, format!("Database {database} does not exist"))
    })?;
    let pattern =
        regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|e| {
            Error::new(codes::CANNOT_COMPILE_REGEXP, format!("Cannot compile the pattern: {e}"))
        })?;
    let tables: Vec<&Arc<Table>> = found
        .tables
        .iter()
        .filter(|(name, id)| pattern.is_match(name) && without.is_none_or(|d| d.uuid != **id))
        .filter_map(|(_, id)| state.tables.get(id))
        .collect();
    if tables.len() > TABLES_MAX {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("{} tables match, at most {TABLES_MAX} can be read as one", tables.len()),
        ));
    }
    Ok(tables)
}

/// Every column of the tables, each of a type that all of them fit.
fn common_columns(tables: &[&Arc<Table>]) -> Result<Vec<SourceColumn>> {
    let mut types: Vec<(String, Vec<DataType>)> = vec![];
    for table in tables {
        for column in source_columns(table).into_iter().filter(|c| !c.hidden) {
            match types.iter_mut().find(|(name, _)| *name == column.name) {
                Some((_, known)) if known.contains(&column.data_type) => {}
                Some((_, known)) => known.push(column.data_type),
                None => types.push((column.name, vec![column.data_type])),
            }
        }
    }
    types
        .into_iter()
        .map(|(name, types)| match types.as_slice() {
            [only] => Ok(SourceColumn::plain(name, only.clone())),
            several => Ok(SourceColumn::plain(name, common_type(several)?)),
        })
        .collect()
}

fn merged(tables: &[&Arc<Table>], mut columns: Vec<SourceColumn>) -> Result<Merged> {
    columns.retain(|c| c.alias_expression.is_none());
    let own = columns.len();
    for name in ["_table", "_database"] {
        if !columns.iter().any(|c| c.name == name) {
            let data_type = DataType::LowCardinality(Box::new(DataType::String));
            columns.push(SourceColumn { hidden: true, ..SourceColumn::plain(name, data_type) });
        }
    }
    let selects: Vec<String> = tables.iter().map(|t| select(t, &columns, own)).collect();
    let query = match selects.is_empty() {
        true => None,
        false => Some(sql::parse_query(&selects.join(" UNION ALL "))?),
    };
    Ok(Merged { columns, query })
}

/// The SELECT of one table, its columns cast to the common types.
fn select(table: &Table, columns: &[SourceColumn], own: usize) -> String {
    let definition = &table.definition;
    let has = source_columns(table);
    let mut items = vec![];
    for (i, column) in columns.iter().enumerate() {
        let name = format::quote_name(&column.name);
        let type_text = format::quote_string(column.data_type.to_string().as_bytes());
        let value = match has.iter().find(|c| c.name == column.name) {
            Some(c) if c.data_type == column.data_type => format!("__merged.{name}"),
            Some(_) => format!("CAST(__merged.{name}, {type_text})"),
            None if i >= own => {
                let text =
                    if column.name == "_table" { &definition.name } else { &definition.database };
                format!("toLowCardinality({})", format::quote_string(text.as_bytes()))
            }
            None => format!("defaultValueOfTypeName({type_text})"),
        };
        items.push(format!("{value} AS {name}"));
    }
    format!(
        "SELECT {} FROM {}.{} AS __merged",
        items.join(", "),
        format::quote_name(&definition.database),
        format::quote_name(&definition.name)
    )
}

/// Database and pattern of `Merge(database, 'pattern')`.
fn engine_arguments(definition: &TableDefinition) -> Result<(String, String)> {
    let [database, pattern] = definition.clauses.engine_arguments.as_slice() else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Storage Merge requires exactly 2 parameters - name of source database and regexp for table names.",
        ));
    };
    Ok((word(database, definition)?, word(pattern, definition)?))
}

fn word(text: &str, definition: &TableDefinition) -> Result<String> {
    let Expr { kind, .. } = sql::parse_expression(text)?;
    match kind {
        ExprKind::Literal { value: Value::String(bytes), .. } => {
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        ExprKind::Identifier(parts) => Ok(parts.join(".")),
        ExprKind::Call(call) if call.name == "currentDatabase" => Ok(definition.database.clone()),
        _ => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Argument {text} of the engine Merge must be a name or a string"),
        )),
    }
}
