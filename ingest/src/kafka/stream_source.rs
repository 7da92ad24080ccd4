//! A Kafka table as queries see it: its columns and the virtual ones. Rows come to views only, so that
//! reading it in a SELECT is refused.

use std::sync::Arc;

use pumphouse_query::catalog::{MorselSource, SourceColumn, TableSource};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::scan::ColumnCondition;

use super::settings::{ErrorMode, KafkaSettings};
use super::virtual_columns;
use crate::materialized_view::source_columns;

struct StreamSource {
    name: String,
    columns: Vec<SourceColumn>,
}

/// The source that a Kafka table's definition stands for.
pub fn stream_source(definition: &TableDefinition) -> Arc<dyn TableSource> {
    let mut columns = source_columns(definition);
    let stream_mode = KafkaSettings::from_settings(&definition.settings)
        .is_ok_and(|s| s.error_mode == ErrorMode::Stream);
    let virtuals = virtual_columns::all(stream_mode, &definition.schema());
    columns.extend(virtual_columns::source_columns(&virtuals));
    Arc::new(StreamSource { name: definition.full_name(), columns })
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
        "Kafka".into()
    }
}
