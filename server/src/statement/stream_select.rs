//! SELECT from a stream itself, under `stream_like_engine_allow_direct_select`: Kafka and FileLog tables then
//! give the messages and lines that wait for them, as long as no view reads them.

use std::sync::Arc;

use pumphouse_ingest::kafka::{KafkaEngine, stream_source};
use pumphouse_query::Result;
use pumphouse_query::catalog::{
    BlockSource, ExtraTables, MorselSource, SourceColumn, StoreCatalog, TableSource,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::error::{Error, codes};
use pumphouse_storage::Value;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::scan::ColumnCondition;

use super::Run;
use crate::system_tables::VisibleTables;

impl Run<'_> {
    /// The catalog of statements: system tables as the user sees them.
    pub(super) fn catalog(&self) -> StoreCatalog {
        let mut catalog = self.server.catalog();
        if let Some(inner) = catalog.extra.take() {
            let entities = self.server.access.entities(&catalog.state);
            let (access, user) = (self.access.clone(), self.context.user.clone());
            catalog.extra = Some(match access.everything {
                true => inner,
                false => Arc::new(VisibleTables { inner, access, entities, user }),
            });
        }
        catalog
    }

    /// The catalog that a SELECT of this request sees.
    pub(super) fn select_catalog(&self) -> StoreCatalog {
        let mut catalog = self.catalog();
        let name = "stream_like_engine_allow_direct_select";
        if matches!(self.context.settings.get(name), Some("1" | "true")) {
            let (inner, kafka) = (catalog.extra.take(), self.server.kafka.clone());
            catalog.extra = Some(Arc::new(DirectStreams { inner, kafka }));
        }
        catalog
    }
}

struct DirectStreams {
    inner: Option<Arc<dyn ExtraTables>>,
    kafka: Arc<KafkaEngine>,
}

impl ExtraTables for DirectStreams {
    fn table(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Arc<dyn TableSource>> {
        match state.table(database, name) {
            Some(table) if matches!(table.definition.engine.as_str(), "Kafka" | "FileLog") => {
                Some(Arc::new(DirectStream {
                    columns: stream_source(&table.definition).columns().to_vec(),
                    has_views: !state.views_of(database, name).is_empty(),
                    table: table.clone(),
                    kafka: self.kafka.clone(),
                }))
            }
            _ => self.inner.as_ref()?.table(state, database, name),
        }
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Option<Result<Arc<dyn TableSource>>> {
        self.inner.as_ref()?.table_function(name, arguments, ctx)
    }

    fn dictionary(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Result<Arc<Dictionary>>> {
        self.inner.as_ref()?.dictionary(state, database, name)
    }
}

struct DirectStream {
    table: Arc<Table>,
    columns: Vec<SourceColumn>,
    has_views: bool,
    kafka: Arc<KafkaEngine>,
}

impl TableSource for DirectStream {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        if self.has_views {
            return Err(Error::new(
                codes::QUERY_NOT_ALLOWED,
                format!(
                    "Cannot read from Storage{} with attached materialized views",
                    self.engine()
                ),
            ));
        }
        let (schema, blocks) = self.kafka.read_direct(&self.table)?;
        BlockSource::new(self.name(), schema, blocks).scan(columns, conditions)
    }

    fn name(&self) -> String {
        self.table.definition.full_name()
    }

    fn engine(&self) -> String {
        self.table.definition.engine.clone()
    }
}
