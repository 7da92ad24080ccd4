//! `system.*`: what the server knows of itself, as tables. `columns.tsv` lists the columns of every
//! system table of the ClickHouse release that we follow; a table is one filler function in
//! [`FILLERS`] that gives the columns it has something for. Tables without a filler are there and
//! empty, so that tools which look at them find nothing rather than an error.

mod access;
pub(crate) mod activity;
mod async_inserts;
mod caches;
mod changes;
mod dashboards;
mod dictionaries;
mod format_function;
mod information_schema;
mod introspection;
mod objects;
mod projections;
mod refreshes;
pub(crate) mod rows;
mod settings;
mod storage;
mod streams;
mod visible;

use std::sync::{Arc, OnceLock, Weak};

use pumphouse_ingest::kafka::dead_letters::COLUMNS as DEAD_LETTERS;
use pumphouse_ingest::kafka::{is_stream, stream_source};
use pumphouse_query::catalog::{
    BlockSource, ExtraTables, MorselSource, SourceColumn, TableSource, unknown_dictionary,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::error::codes;
use pumphouse_query::settings::Settings;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::State;
use pumphouse_storage::scan::{ColumnCondition, Predicate};
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{DataType, Value};

use self::rows::Rows;
use crate::dictionaries::find;
use crate::files;
use crate::logs::{LOGS, Log};
use crate::server::Server;

pub use self::visible::VisibleTables;

type Filler = fn(&Server, &State, &mut Rows) -> Result<()>;

/// Every table that has content.
const FILLERS: &[(&str, Filler)] = &[
    ("databases", objects::databases),
    ("tables", objects::tables),
    ("columns", objects::columns),
    ("parts", storage::parts),
    ("parts_columns", storage::parts_columns),
    ("detached_parts", storage::detached_parts),
    ("data_skipping_indices", storage::data_skipping_indices),
    ("projections", projections::projections),
    ("projection_parts", projections::projection_parts),
    ("projection_parts_columns", projections::projection_parts_columns),
    ("storage_policies", storage::storage_policies),
    ("events", activity::events),
    ("errors", activity::errors),
    ("backups", activity::backups),
    ("warnings", activity::warnings),
    ("data_type_families", introspection::data_type_families),
    ("aggregate_function_combinators", introspection::combinators),
    ("keywords", introspection::keywords),
    ("grants", access::grants),
    ("privileges", access::privileges),
    ("quota_limits", access::quota_limits),
    ("quotas", access::quotas),
    ("quotas_usage", access::quotas_usage),
    ("role_grants", access::role_grants),
    ("roles", access::roles),
    ("row_policies", access::row_policies),
    ("settings_profile_elements", access::settings_profile_elements),
    ("settings_profiles", access::settings_profiles),
    ("user_directories", access::user_directories),
    ("merge_tree_settings", introspection::merge_tree_settings),
    ("time_zones", introspection::time_zones),
    ("table_functions", introspection::table_functions),
    ("database_engines", introspection::database_engines),
    ("contributors", introspection::contributors),
    ("licenses", introspection::licenses),
    ("kafka_consumers", streams::kafka_consumers),
    ("kafka_offsets", streams::kafka_offsets),
    ("kafka_gaps", streams::kafka_gaps),
    ("kafka_outputs", streams::kafka_outputs),
    ("file_logs", streams::file_logs),
    ("kafka_events", streams::kafka_events),
    ("named_collections", streams::named_collections),
    ("macros", streams::macros),
    ("processes", activity::processes),
    ("merges", activity::merges),
    ("mutations", changes::mutations),
    ("asynchronous_inserts", async_inserts::asynchronous_inserts),
    ("metrics", activity::metrics),
    ("asynchronous_metrics", activity::asynchronous_metrics),
    ("dashboards", dashboards::dashboards),
    ("dictionaries", dictionaries::dictionaries),
    ("functions", introspection::functions),
    ("formats", introspection::formats),
    ("table_engines", introspection::table_engines),
    ("build_options", introspection::build_options),
    ("view_refreshes", refreshes::view_refreshes),
    ("disks", storage::disks),
    ("users", access::users),
    ("query_cache", caches::query_cache),
];

/// Tables and columns of our own, beside ClickHouse's: `(table, column, type)`.
const OWN_COLUMNS: &[(&str, &str, &str)] = &[
    ("aggregate_function_combinators", "name", "String"),
    ("asynchronous_metrics", "metric", "String"),
    ("asynchronous_metrics", "value", "Float64"),
    ("asynchronous_metrics", "description", "String"),
    ("asynchronous_metrics", "name", "String"),
    ("parts", "quarantined", "String"),
    ("kafka_consumers", "state", "String"),
    ("kafka_consumers", "paused_reason", "String"),
    ("kafka_consumers", "next_retry", "DateTime"),
    ("kafka_consumers", "is_inserting", "UInt8"),
    ("kafka_consumers", "num_rows_read", "UInt64"),
    ("kafka_consumers", "num_bytes_read", "UInt64"),
    ("kafka_consumers", "last_error", "String"),
    ("kafka_consumers", "assignments.committed_offset", "Array(Int64)"),
    ("kafka_consumers", "assignments.high_watermark", "Array(Int64)"),
    ("kafka_consumers", "assignments.lag", "Array(Int64)"),
    ("kafka_consumers", "lag", "Int64"),
    ("kafka_consumers", "lag_seconds", "Int64"),
    ("kafka_consumers", "num_bad_messages", "UInt64"),
    ("kafka_consumers", "num_dead_letters", "UInt64"),
    ("kafka_events", "event_time", "DateTime64(6)"),
    ("kafka_events", "database", "String"),
    ("kafka_events", "table", "String"),
    ("kafka_events", "consumer_id", "String"),
    ("kafka_events", "event", "LowCardinality(String)"),
    ("kafka_events", "topic", "String"),
    ("kafka_events", "partition", "Int32"),
    ("kafka_events", "offset", "Int64"),
    ("kafka_events", "message", "String"),
    ("kafka_offsets", "database", "String"),
    ("kafka_offsets", "table", "String"),
    ("kafka_offsets", "topic", "String"),
    ("kafka_offsets", "partition", "Int32"),
    ("kafka_offsets", "next_offset", "Int64"),
    ("kafka_offsets", "commits", "UInt64"),
    ("kafka_offsets", "last_commit_time", "DateTime64(6)"),
    ("file_logs", "database", "String"),
    ("file_logs", "table", "String"),
    ("file_logs", "file", "String"),
    ("file_logs", "position", "UInt64"),
    ("file_logs", "size", "UInt64"),
    ("file_logs", "lag_bytes", "UInt64"),
    ("file_logs", "state", "LowCardinality(String)"),
    ("file_logs", "error", "String"),
    ("file_logs", "next_retry", "DateTime"),
    ("kafka_outputs", "database", "String"),
    ("kafka_outputs", "table", "String"),
    ("kafka_outputs", "topic", "String"),
    ("kafka_outputs", "guarantee", "LowCardinality(String)"),
    ("kafka_outputs", "state", "LowCardinality(String)"),
    ("kafka_outputs", "pending_parts", "UInt64"),
    ("kafka_outputs", "pending_rows", "UInt64"),
    ("kafka_outputs", "delivered_rows", "UInt64"),
    ("kafka_outputs", "transactions", "UInt64"),
    ("kafka_outputs", "last_delivery_time", "DateTime64(6)"),
    ("kafka_outputs", "last_error", "String"),
    ("kafka_outputs", "next_retry", "DateTime"),
    ("kafka_gaps", "database", "String"),
    ("kafka_gaps", "table", "String"),
    ("kafka_gaps", "topic", "String"),
    ("kafka_gaps", "partition", "Int32"),
    ("kafka_gaps", "from_offset", "Int64"),
    ("kafka_gaps", "to_offset", "Int64"),
    ("kafka_gaps", "reason", "String"),
];

/// Gives the system tables to queries. Attached to the server once that exists.
#[derive(Default)]
pub struct SystemTables {
    server: OnceLock<Weak<Server>>,
}

impl SystemTables {
    pub fn attach(&self, server: &Arc<Server>) {
        let _ = self.server.set(Arc::downgrade(server));
    }
}

impl Server {
    /// Whether `database.name` is a system table.
    pub fn system_table_exists(&self, database: &str, name: &str) -> bool {
        match information_schema::is_database(database) {
            true => information_schema::view(database, name).is_some(),
            false => is_virtual_database(database) && !schema_of(name).is_empty(),
        }
    }
}

/// Databases that no CREATE DATABASE made.
pub fn is_virtual_database(name: &str) -> bool {
    name == "system" || information_schema::is_database(name)
}

/// Table functions that FROM knows.
pub const TABLE_FUNCTIONS: &[&str] = &[
    "cluster",
    "clusterAllReplicas",
    "dictionary",
    "file",
    "format",
    "generateRandom",
    "generateSeries",
    "generate_series",
    "input",
    "loop",
    "merge",
    "null",
    "numbers",
    "numbers_mt",
    "remote",
    "remoteSecure",
    "url",
    "values",
    "view",
    "zeros",
    "zeros_mt",
];

/// Names of the system tables that no table of the store stands for.
pub fn virtual_names(state: &State) -> Vec<&'static str> {
    let mut names = table_names();
    names.retain(|name| state.table("system", name).is_none());
    names
}

/// Names of all system tables, in order.
pub fn table_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = columns_file().map(|(table, _, _)| table).collect();
    names.extend(OWN_COLUMNS.iter().map(|(table, _, _)| *table));
    names.extend(LOGS.map(Log::name));
    names.push(pumphouse_ingest::kafka::dead_letters::TABLE.1);
    names.sort_unstable();
    names.dedup();
    names
}

fn columns_file() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    include_str!("columns.tsv").lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.next()?))
    })
}

/// Columns of a system table; empty if there is none of that name.
pub fn schema_of(table: &str) -> Vec<(String, DataType)> {
    columns_file()
        .chain(OWN_COLUMNS.iter().copied())
        .chain(
            DEAD_LETTERS.iter().map(|(name, data_type)| ("dead_letter_queue", *name, *data_type)),
        )
        .filter(|(t, _, _)| *t == table)
        .map(|(_, name, data_type)| (name, data_type))
        .chain(crate::logs::columns_of(table))
        .map(|(name, data_type)| {
            // A type that we do not have yet is shown as text.
            (name.to_string(), parse_data_type(data_type).unwrap_or(DataType::String))
        })
        .collect()
}

impl ExtraTables for SystemTables {
    fn table(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Arc<dyn TableSource>> {
        if information_schema::is_database(database) {
            return information_schema::view(database, name);
        }
        if !is_virtual_database(database) {
            let table = state.table(database, name)?;
            if table.definition.engine == "File" {
                let server = self.server.get()?.upgrade()?;
                return match files::file_table(&server.config, &table.definition, &server.memory) {
                    Ok(source) => Some(source),
                    Err(e) => Some(Arc::new(Unreadable::new(&table.definition, e))),
                };
            }
            if table.definition.engine == "Buffer" {
                let server = self.server.get()?.upgrade()?;
                return match crate::buffers::source(&server, &table.definition) {
                    Ok(source) => Some(source),
                    Err(e) => Some(Arc::new(Unreadable::new(&table.definition, e))),
                };
            }
            if table.definition.engine == "Dictionary" {
                let server = self.server.get()?.upgrade()?;
                return Some(dictionaries::as_table(server, state, table));
            }
            // A stream has columns that its definition does not list.
            return is_stream(&table.definition.engine).then(|| stream_source(&table.definition));
        }
        if state.table(database, name).is_some() {
            // Kept like any table.
            return None;
        }
        let schema = schema_of(name);
        if schema.is_empty() {
            return None;
        }
        let server = self.server.get()?.upgrade()?;
        let columns =
            schema.iter().map(|(n, t)| SourceColumn::plain(n.clone(), t.clone())).collect();
        let filler = FILLERS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
        let state = state.clone();
        let full_name = format!("system.{name}");
        // Filled when scanned, not when bound: EXPLAIN and DESCRIBE cost nothing.
        let of_settings = name == "settings";
        let fill = move |settings: &Settings| {
            let mut rows = Rows::new(schema.clone());
            if of_settings {
                settings::fill(settings, &mut rows);
            } else if let Some(filler) = filler {
                filler(&server, &state, &mut rows)?;
            }
            rows.into_block()
        };
        Some(Arc::new(LazyTable { name: full_name, columns, fill: Box::new(fill) }))
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Option<Result<Arc<dyn TableSource>>> {
        match name {
            "format" => return Some(format_function::format(arguments, ctx)),
            "file" => {
                let server = self.server.get()?.upgrade()?;
                let (settings, memory) = (&ctx.settings, &ctx.memory);
                return Some(files::file_function(&server.config, arguments, settings, memory));
            }
            "url" => {
                let server = self.server.get()?.upgrade()?;
                let (settings, memory) = (&ctx.settings, &ctx.memory);
                return Some(files::url_function(&server.config, arguments, settings, memory));
            }
            "input" => {
                return Some(Err(Error::new(
                    codes::INVALID_USAGE_OF_INPUT,
                    "Input stream is not initialized, input() must be used only in INSERT SELECT query",
                )));
            }
            _ => {}
        }
        let [Value::String(dictionary)] = arguments else { return None };
        let server = self.server.get()?.upgrade().filter(|_| name == "dictionary")?;
        let state = server.store.snapshot();
        let dictionary = String::from_utf8_lossy(dictionary).into_owned();
        Some(match find(&state, "default", &dictionary) {
            Some(table) => Ok(dictionaries::as_table(server.clone(), &state, table)),
            None => Err(unknown_dictionary(&dictionary)),
        })
    }

    fn dictionary(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Result<Arc<Dictionary>>> {
        let server = self.server.get()?.upgrade()?;
        let table = find(state, database, name)?;
        Some(server.dictionaries.get(&server, table))
    }
}

/// A table that cannot be read now, for a reason that its scan tells.
struct Unreadable {
    name: String,
    columns: Vec<SourceColumn>,
    code: u32,
    message: String,
}

impl Unreadable {
    fn new(definition: &pumphouse_storage::log::TableDefinition, error: Error) -> Unreadable {
        let columns = definition.columns.iter();
        Unreadable {
            name: definition.full_name(),
            columns: columns
                .map(|c| SourceColumn::plain(c.name.clone(), c.data_type.clone()))
                .collect(),
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl TableSource for Unreadable {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        _: &[String],
        _: &[pumphouse_storage::scan::ColumnCondition],
    ) -> Result<Arc<dyn pumphouse_query::catalog::MorselSource>> {
        Err(Error::new(self.code, self.message.clone()))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        "File".into()
    }
}

/// A table whose rows are made at the time of the scan.
struct LazyTable {
    name: String,
    columns: Vec<SourceColumn>,
    fill: Box<dyn Fn(&Settings) -> Result<pumphouse_storage::Block> + Send + Sync>,
}

impl TableSource for LazyTable {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan_where(columns, conditions, &Predicate::Any, &Settings::default())
    }

    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        _predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        let block = (self.fill)(settings)?;
        BlockSource::new(self.name.clone(), self.columns.clone(), vec![block])
            .scan(columns, conditions)
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        let Some(name) = self.name.strip_prefix("system.") else { return "Dictionary".into() };
        let mut letters = name.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        format!("System{}{}", first.unwrap_or_default(), letters.as_str())
    }
}
