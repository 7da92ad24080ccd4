//! `system.dictionaries`, and dictionaries as tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pumphouse_query::Result;
use pumphouse_query::catalog::{SourceColumn, TableSource};
use pumphouse_query::error::{Error, codes};
use pumphouse_query::settings::Settings;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::{Block, Value};

use super::LazyTable;
use super::rows::{Rows, number, seconds, text, texts};
use crate::dictionaries::definition::DictionaryDefinition;
use crate::dictionaries::{Loaded, find, is_dictionary};
use crate::server::Server;

pub fn dictionaries(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let tables = state.databases.values().flat_map(|d| d.tables.values());
    for table in tables.filter_map(|id| state.tables.get(id)).filter(|t| is_dictionary(t)) {
        let definition = &table.definition;
        let parsed = DictionaryDefinition::parse(&definition.create_query, &definition.database)?;
        let structure = &parsed.structure;
        let (min, max) = parsed.lifetime.unwrap_or((0, 0));
        let known = |loaded: &Loaded| {
            let dictionary = loaded.dictionary.as_ref();
            let (status, kind) = match (dictionary, loaded.errors > 0) {
                (Some(_), _) => (1, parsed.type_name()),
                (None, true) => (2, String::new()),
                (None, false) => (0, String::new()),
            };
            let queries = dictionary.map_or(0, |d| d.queries.load(Ordering::Relaxed));
            let found = dictionary.map_or(0, |d| d.found.load(Ordering::Relaxed));
            let rate = if queries == 0 { 0.0 } else { found as f64 / queries as f64 };
            vec![
                ("status", Value::Int(status)),
                ("type", text(kind)),
                ("bytes_allocated", number(dictionary.map_or(0, |d| d.memory_bytes() as u64))),
                ("query_count", number(queries)),
                ("hit_rate", Value::Float(if dictionary.is_some() { 1.0 } else { 0.0 })),
                ("found_rate", Value::Float(rate)),
                ("element_count", number(dictionary.map_or(0, |d| d.rows.rows() as u64))),
                ("loading_start_time", seconds(loaded.started_us)),
                ("last_successful_update_time", seconds(loaded.succeeded_us)),
                ("error_count", number(loaded.errors)),
                ("loading_duration", Value::Float(loaded.seconds)),
                ("last_exception", text(loaded.last_error.clone())),
            ]
        };
        let loaded = server.dictionaries.look(definition.uuid, known);
        let mut values = loaded.unwrap_or_else(|| vec![("status", Value::Int(0))]);
        let attributes = &structure.attributes;
        values.extend([
            ("database", text(definition.database.clone())),
            ("name", text(definition.name.clone())),
            ("uuid", Value::String(definition.uuid.as_bytes().to_vec())),
            ("origin", text(definition.uuid.to_string())),
            ("key.names", texts(structure.keys.iter().map(|(n, _)| n.clone()))),
            ("key.types", texts(structure.keys.iter().map(|(_, t)| t.to_string()))),
            ("attribute.names", texts(attributes.iter().map(|a| a.name.clone()))),
            ("attribute.types", texts(attributes.iter().map(|a| a.data_type.to_string()))),
            ("source", text(source_text(&parsed))),
            ("lifetime_min", number(min)),
            ("lifetime_max", number(max)),
            ("comment", text(definition.comment.clone())),
        ]);
        rows.push(&values);
    }
    Ok(())
}

fn source_text(definition: &DictionaryDefinition) -> String {
    use crate::dictionaries::definition::Source;
    match &definition.source {
        Source::Table { database, table, condition } if condition.is_empty() => {
            format!("ClickHouse: {database}.{table}")
        }
        Source::Table { database, table, condition } => {
            format!("ClickHouse: {database}.{table}, where: {condition}")
        }
        Source::Query(text) => format!("ClickHouse: {text}"),
        Source::Data { function: "file", place, format } => format!("File: {place}, {format}"),
        Source::Data { place, .. } => place.clone(),
        Source::Null => "Null".into(),
    }
}

/// A dictionary, or a table of the engine Dictionary, as something to be read.
pub(super) fn as_table(
    server: Arc<Server>,
    state: &Arc<State>,
    table: &Arc<Table>,
) -> Arc<dyn TableSource> {
    let definition = &table.definition;
    let columns: Vec<SourceColumn> = definition
        .columns
        .iter()
        .map(|c| SourceColumn::plain(c.name.clone(), c.data_type.clone()))
        .collect();
    let (state, table, names) = (state.clone(), table.clone(), columns.clone());
    let fill = move |_: &Settings| {
        let wanted = match table.definition.clauses.engine_arguments.first() {
            Some(text) => {
                let name = text.trim_matches('\'');
                let found = find(&state, &table.definition.database, name);
                found.ok_or_else(|| pumphouse_query::catalog::unknown_dictionary(name))?
            }
            None => &table,
        };
        let dictionary = server.dictionaries.get(&server, wanted)?;
        let context = pumphouse_query::context::QueryContext::new("", server.clock.now_us(), 0);
        let mut block = Block::of_rows(dictionary.rows.rows());
        for column in &names {
            let values = dictionary.rows.column(&column.name).ok_or_else(|| {
                Error::new(
                    codes::THERE_IS_NO_COLUMN,
                    format!("The dictionary has no column {}", column.name),
                )
            })?;
            let cast = pumphouse_query::functions::cast::cast_column;
            block.push(column.name.clone(), cast(values, &column.data_type, &context)?);
        }
        Ok(block)
    };
    Arc::new(LazyTable { name: definition.full_name(), columns, fill: Box::new(fill) })
}
