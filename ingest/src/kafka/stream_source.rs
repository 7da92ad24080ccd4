//! A Kafka or FileLog table as queries see it: its columns and the virtual ones. Rows come to views only, so that
//! reading it in a SELECT is refused.

use std::sync::Arc;

use pumphouse_query::catalog::{MorselSource, SourceColumn, TableSource};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::scan::ColumnCondition;

use super::settings::{ErrorMode, KafkaSettings};
use super::virtual_columns;
use crate::file_log::FileLogSettings;
use crate::materialized_view::source_columns;

struct StreamSource {
    name: String,
    engine: String,
    columns: Vec<SourceColumn>,
}

/// Whether the engine's tables are streams: rows come and go to views.
pub fn is_stream(engine: &str) -> bool {
    matches!(engine, "Kafka" | "FileLog")
}

/// The source that a stream table's definition stands for.
pub fn stream_source(definition: &TableDefinition) -> Arc<dyn TableSource> {
    let mut columns = source_columns(definition);
    let (settings, schema) = (&definition.settings, definition.schema());
    let virtuals = match definition.engine.as_str() {
        "FileLog" => {
            let mode = FileLogSettings::from_settings(settings).map(|s| s.error_mode);
            virtual_columns::of_files(mode.is_ok_and(|m| m == ErrorMode::Stream), &schema)
        }
        _ => {
            let mode = KafkaSettings::from_settings(settings).map(|s| s.error_mode);
            virtual_columns::all(mode.is_ok_and(|m| m == ErrorMode::Stream), &schema)
        }
    };
    columns.extend(virtual_columns::source_columns(&virtuals));
    Arc::new(StreamSource {
        name: definition.full_name(),
        engine: definition.engine.clone(),
        columns,
    })
}

impl TableSource for StreamSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Err(Error::new(
            codes::QUERY_NOT_ALLOWED,
            format!(
                "Direct select is not allowed: {} is a stream, its rows go to materialized views",
                self.name
            ),
        ))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        self.engine.clone()
    }
}
