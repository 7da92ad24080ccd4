//! The catalog over the store: tables of one pinned state, by engine, and the table functions.
//!
//! MergeTree tables are read through `storage::scan`; a view is its query; a materialized view reads
//! the table it writes to. System tables come from the layer above ([`ExtraTables`]).

use std::ops::Range;
use std::sync::Arc;

use arrow_array::BooleanArray;
use pumphouse_storage::expression::CompiledProjection;
use pumphouse_storage::log::{DefaultKind, State, Table, TableDefinition};
use pumphouse_storage::scan::{
    self, Chosen, ColumnCondition, Predicate, PruningReport, Scan, ScanOptions, Wanted,
};
use pumphouse_storage::{Block, Column, Store, Value};

use super::final_scan::StoredFinalScan;
use super::force;
use super::join_table::{self, JoinSource};
use super::numbers::{self, EmptySource};
use super::projection::ProjectionSource;
use super::virtual_columns::{self, VirtualScan};
use super::{Catalog, JoinRule, MorselSource, RangeTest, SourceColumn, TableSource, ValueFilter};
use crate::context::{QueryContext, Settings};
use crate::dictionary::Dictionary;
use crate::error::{Error, Result, codes};
use crate::sql;
use crate::sql::ast::Query;

/// Tables that the layers above add: `system.*`, and their own table functions.
pub trait ExtraTables: Send + Sync {
    fn table(&self, state: &Arc<State>, database: &str, name: &str)
    -> Option<Arc<dyn TableSource>>;
    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Option<Result<Arc<dyn TableSource>>>;
    /// The dictionary that `name` means in `database`.
    fn dictionary(
        &self,
        _state: &Arc<State>,
        _database: &str,
        _name: &str,
    ) -> Option<Result<Arc<Dictionary>>> {
        None
    }
}

/// The tables of `state`.
pub struct StoreCatalog {
    pub store: Arc<Store>,
    pub state: Arc<State>,
    pub extra: Option<Arc<dyn ExtraTables>>,
}

/// How deep materialized views may lead to views.
const TARGETS_MAX: usize = 16;

impl Catalog for StoreCatalog {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        if database == "system"
            && let Some(table) = numbers::system_table(name)
        {
            return Ok(table);
        }
        if let Some(extra) = &self.extra
            && let Some(table) = extra.table(&self.state, database, name)
        {
            return Ok(table);
        }
        self.stored(database, name, 0)
    }

    fn dictionary(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        match self.extra.as_ref().and_then(|e| e.dictionary(&self.state, database, name)) {
            Some(found) => found,
            None => Err(super::unknown_dictionary(name)),
        }
    }

    fn join_table(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        let Some(table) = self.state.table(database, name) else {
            return Err(Error::new(
                codes::UNKNOWN_TABLE,
                format!("Table {database}.{name} does not exist"),
            ));
        };
        if table.definition.engine != "Join" {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("Table {name} should have engine StorageJoin"),
            ));
        }
        let rule = join_table::join_rule(&table.definition)?;
        if (rule.strictness.as_str(), rule.kind.as_str()) != ("ANY", "LEFT") {
            return Err(Error::new(
                codes::INCOMPATIBLE_TYPE_OF_JOIN,
                "joinGet only supports StorageJoin of type Left Any",
            ));
        }
        join_table::by_key(&self.store, &self.state, table)
    }

    fn user_function(&self, name: &str) -> Option<Arc<str>> {
        self.state.functions.get(name).cloned()
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        if let Some(source) = super::table_function(name, arguments) {
            return source;
        }
        if let Some(source) = self.own_function(name, arguments) {
            return source;
        }
        if let Some(extra) = &self.extra
            && let Some(source) = extra.table_function(name, arguments, ctx)
        {
            return source;
        }
        Err(Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown table function {name}")))
    }
}

impl StoreCatalog {
    fn stored(&self, database: &str, name: &str, depth: usize) -> Result<Arc<dyn TableSource>> {
        let Some(table) = self.state.table(database, name) else {
            return Err(self.unknown(database, name));
        };
        let definition = &table.definition;
        match definition.engine.as_str() {
            "View" | "TableFunction" => self.view(table),
            "Join" => self.join_source(table),
            "GenerateRandom" => super::random::of_table(definition, source_columns(table)),
            "MaterializedView" => match &definition.target {
                Some((database, name)) if depth < TARGETS_MAX => {
                    self.stored(database, name, depth + 1)
                }
                _ => Err(Error::new(
                    codes::UNKNOWN_TABLE,
                    format!("The materialized view {database}.{name} has no target table"),
                )),
            },
            "Merge" => Ok(self.merged(
                definition.full_name(),
                super::merge::of_table(&self.state, definition, table)?,
            )),
            "Null" => Ok(Arc::new(EmptySource {
                name: definition.full_name(),
                engine: "Null".into(),
                columns: source_columns(table),
            })),
            "Kafka" | "FileLog" => Ok(Arc::new(StreamSource {
                name: definition.full_name(),
                columns: source_columns(table),
            })),
            _ => Ok(Arc::new(StoredSource::new(&self.store, &self.state, table, None))),
        }
    }

    /// Table functions over the store's own tables; None if `name` is none of them.
    fn own_function(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<Arc<dyn TableSource>>> {
        match name {
            "merge" => Some(self.merge_function(arguments)),
            "remote" | "remoteSecure" | "cluster" | "clusterAllReplicas" => {
                Some(self.remote_function(name, arguments))
            }
            _ => None,
        }
    }

    fn merge_function(&self, arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
        let words: Vec<String> = arguments.iter().filter_map(word).collect();
        let (database, pattern) = match words.as_slice() {
            [database, pattern] if arguments.len() == 2 => (database, pattern),
            _ => {
                return Err(Error::new(
                    codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                    "Table function 'merge' requires from 1 to 2 parameters: the name of the source database (the current one without it) and a regexp for table names",
                ));
            }
        };
        let found = super::merge::of_function(&self.state, database, pattern)?;
        Ok(self.merged(format!("{database}.merge"), found))
    }

    fn merged(&self, name: String, found: super::merge::Merged) -> Arc<dyn TableSource> {
        match found.query {
            Some(query) => Arc::new(ViewSource { name, columns: found.columns, query }),
            None => Arc::new(EmptySource { name, engine: "Merge".into(), columns: found.columns }),
        }
    }

    /// `remote` and `cluster` name nothing but this server: its tables are read as they are.
    fn remote_function(&self, name: &str, arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
        let words: Vec<String> = arguments.iter().filter_map(word).collect();
        let is_cluster = name.starts_with("cluster");
        let here = words.first().is_some_and(|address| match is_cluster {
            true => address == "default",
            false => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                ["127.0.0.1", "localhost"].contains(&host)
            }
        });
        if !here {
            let code =
                if is_cluster { codes::CLUSTER_DOESNT_EXIST } else { codes::NOT_IMPLEMENTED };
            return Err(Error::new(
                code,
                format!(
                    "Table function {name}: only this server itself ('127.0.0.1', cluster 'default') can be named"
                ),
            ));
        }
        let named = words.get(1).and_then(|second| second.split_once('.'));
        match (named, words.get(1), words.get(2)) {
            (Some((database, table)), _, _) => self.table(database, table),
            (None, Some(database), Some(table)) => self.table(database, table),
            _ => Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Table function '{name}' requires an address or cluster, a database and a table"
                ),
            )),
        }
    }

    fn unknown(&self, database: &str, name: &str) -> Error {
        let Some(found) = self.state.databases.get(database) else {
            if database == "system" {
                return Error::new(
                    codes::UNKNOWN_TABLE,
                    format!("Unknown table expression identifier '{database}.{name}'"),
                );
            }
            return Error::new(
                codes::UNKNOWN_DATABASE,
                format!("Database {database} does not exist"),
            );
        };
        let folded = name.to_lowercase();
        let similar = found.tables.keys().find(|t| t.to_lowercase() == folded);
        let hint = similar.map_or(String::new(), |t| format!(". Maybe you meant {database}.{t}?"));
        Error::new(
            codes::UNKNOWN_TABLE,
            format!("Unknown table expression identifier '{name}'{hint}"),
        )
    }

    fn join_source(&self, table: &Arc<Table>) -> Result<Arc<dyn TableSource>> {
        let rule = join_table::join_rule(&table.definition)?;
        let (store, state) = (self.store.clone(), self.state.clone());
        let one_a_key = rule.strictness != "ALL" && ["LEFT", "INNER"].contains(&rule.kind.as_str());
        Ok(match one_a_key {
            true => {
                let (columns, table) = (source_columns(table), table.clone());
                Arc::new(JoinSource { store, state, table, columns, rule })
            }
            false => Arc::new(StoredSource::new(&store, &state, table, Some(rule))),
        })
    }

    fn view(&self, table: &Arc<Table>) -> Result<Arc<dyn TableSource>> {
        let text = table.definition.select.as_deref().unwrap_or_default();
        Ok(Arc::new(ViewSource {
            name: table.definition.full_name(),
            columns: source_columns(table),
            query: sql::parse_query(text)?,
        }))
    }
}

/// Columns as queries see them: MATERIALIZED and ALIAS ones hidden from `*`, EPHEMERAL ones left out.
pub(super) fn source_columns(table: &Table) -> Vec<SourceColumn> {
    definition_columns(&table.definition)
}

/// As [`source_columns`], of a definition.
pub(super) fn definition_columns(definition: &TableDefinition) -> Vec<SourceColumn> {
    let columns = definition.columns.iter();
    columns
        .filter_map(|c| {
            let kind = c.default.as_ref().map(|d| d.kind);
            let mut column = SourceColumn::plain(c.name.clone(), c.data_type.clone());
            match kind {
                Some(DefaultKind::Ephemeral) => return None,
                Some(DefaultKind::Materialized) => column.hidden = true,
                Some(DefaultKind::Alias) => {
                    column.hidden = true;
                    column.alias_expression = c.default.as_ref().map(|d| d.expression.clone());
                }
                _ => {}
            }
            Some(column)
        })
        .collect()
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

struct ViewSource {
    name: String,
    columns: Vec<SourceColumn>,
    query: Query,
}

impl TableSource for ViewSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }
    fn view_query(&self) -> Option<&Query> {
        Some(&self.query)
    }
    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Err(Error::new(codes::LOGICAL_ERROR, "a view is not scanned but planned"))
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn engine(&self) -> String {
        "View".into()
    }
}

/// A stream: only its views may read it.
struct StreamSource {
    name: String,
    columns: Vec<SourceColumn>,
}

impl TableSource for StreamSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }
    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Err(Error::new(
            codes::QUERY_NOT_ALLOWED,
            "Direct select is not allowed. To enable use setting \
             `stream_like_engine_allow_direct_select`. Be aware that usually the read data is \
             removed from the queue.",
        ))
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn engine(&self) -> String {
        "Kafka".into()
    }
}

/// A table with parts.
struct StoredSource {
    columns: Vec<SourceColumn>,
    virtuals: Vec<SourceColumn>,
    store: Arc<Store>,
    state: Arc<State>,
    table: Arc<Table>,
    join_rule: Option<JoinRule>,
}

impl StoredSource {
    fn new(
        store: &Arc<Store>,
        state: &Arc<State>,
        table: &Arc<Table>,
        join_rule: Option<JoinRule>,
    ) -> StoredSource {
        let virtuals = virtual_columns::of_table(store, table);
        let mut columns = source_columns(table);
        columns.extend(virtuals.iter().cloned());
        let (store, state, table) = (store.clone(), state.clone(), table.clone());
        StoredSource { columns, virtuals, store, state, table, join_rule }
    }

    fn has_virtual(&self, columns: &[String]) -> bool {
        columns.iter().any(|name| self.virtuals.iter().any(|c| c.name == *name))
    }

    /// A scan that makes the virtual ones among `columns`.
    fn open_virtual(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
        single_granules: bool,
    ) -> Result<VirtualScan> {
        let stored: Vec<String> = columns
            .iter()
            .filter(|name| self.virtuals.iter().all(|c| c.name != **name))
            .cloned()
            .collect();
        // Rows of a projection lie elsewhere.
        let mut settings = settings.clone();
        settings.set("optimize_use_projections", "0");
        let table = virtual_columns::with_parts_chosen(&self.table, conditions, predicate);
        let (virtuals, named) = (self.virtuals.clone(), columns.to_vec());
        let scan =
            self.open_parts(&table, &stored, conditions, predicate, &settings, single_granules)?;
        Ok(VirtualScan { scan, table, columns: named, virtuals })
    }

    fn open(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
        single_granules: bool,
    ) -> Result<Scan> {
        self.open_parts(&self.table, columns, conditions, predicate, settings, single_granules)
    }

    fn open_parts(
        &self,
        table: &Arc<Table>,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
        single_granules: bool,
    ) -> Result<Scan> {
        let mut parts: Vec<Predicate> = conditions.iter().cloned().map(Predicate::Ranges).collect();
        parts.push(predicate.clone());
        let predicate = Predicate::all(parts);
        force::check(table, &predicate, settings)?;
        let options = ScanOptions {
            use_skip_indexes: settings.bool("use_skip_indexes", true),
            ignored_indexes: force::names(settings, "ignore_data_skipping_indices"),
            projections: force::projections(settings),
            single_granules,
            use_block_cache: settings.bool("use_uncompressed_cache", false),
        };
        let state = self.state.clone();
        Ok(scan::open_where(&self.store, state, table, columns, &predicate, &options)?)
    }
}

impl TableSource for StoredSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        if self.has_virtual(columns) {
            let (all, settings) = (Predicate::all(vec![]), Settings::default());
            return Ok(Arc::new(self.open_virtual(columns, conditions, &all, &settings, false)?));
        }
        let scan = scan::open(&self.store, self.state.clone(), &self.table, columns, conditions)?;
        Ok(Arc::new(StoredScan { scan, columns: columns.to_vec() }))
    }

    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        if self.has_virtual(columns) {
            let scan = self.open_virtual(columns, conditions, predicate, settings, false)?;
            return Ok(Arc::new(scan));
        }
        let scan = self.open(columns, conditions, predicate, settings, false)?;
        Ok(Arc::new(StoredScan { scan, columns: columns.to_vec() }))
    }

    fn scan_in_order(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Option<(Arc<dyn MorselSource>, Vec<Range<usize>>)>> {
        if self.has_virtual(columns) {
            let scan = self.open_virtual(columns, conditions, predicate, settings, true)?;
            let parts = scan.scan.part_morsels();
            return Ok(Some((Arc::new(scan), parts)));
        }
        let scan = self.open(columns, conditions, predicate, settings, true)?;
        if scan.report.projection.is_some() || settings.bool("force_optimize_projection", false) {
            return Ok(None);
        }
        let parts = scan.part_morsels();
        Ok(Some((Arc::new(StoredScan { scan, columns: columns.to_vec() }), parts)))
    }

    fn pruning_keys(&self) -> Vec<String> {
        let definition = &self.table.definition;
        let mut keys = definition.sorting_key.clone();
        keys.extend(definition.partition_key.iter().cloned());
        keys.extend(virtual_columns::CHOOSING_PARTS.map(String::from));
        keys.extend(definition.clauses.indexes.iter().flat_map(scan::index_columns));
        for (_, projection) in self.projections().iter().filter(|(_, p)| !p.groups()) {
            keys.extend(projection.sorting().iter().cloned());
        }
        keys.dedup();
        keys
    }

    fn projections(&self) -> Vec<(String, Arc<dyn CompiledProjection>)> {
        scan::projections(&self.store, &self.table).unwrap_or_default()
    }

    fn projection_source(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        let found = self.projections().into_iter().find(|(n, _)| n == name)?;
        let (store, state, table) = (&self.store, &self.state, &self.table);
        Some(Arc::new(ProjectionSource::new(store, state, table, found)))
    }

    fn column_range(&self, column: &str) -> Option<(Value, Value)> {
        scan::column_range(&self.store, &self.table, column).ok().flatten()
    }

    fn has_final(&self) -> bool {
        scan::has_final(&self.table)
    }

    fn scan_final(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        by_partition: bool,
    ) -> Result<Arc<dyn MorselSource>> {
        if self.has_virtual(columns) {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Virtual columns cannot be read with FINAL: its rows are put together from several parts",
            ));
        }
        let state = self.state.clone();
        let scan = scan::open_final(&self.store, state, &self.table, conditions, by_partition)?;
        Ok(StoredFinalScan::open(scan, columns))
    }

    fn join_rule(&self) -> Option<&JoinRule> {
        self.join_rule.as_ref()
    }

    fn sampling_key(&self) -> Option<&str> {
        self.table.definition.clauses.sample_by.as_deref()
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.table.parts.iter().map(|p| p.rows_live()).sum())
    }

    fn sorting_key(&self) -> &[String] {
        &self.table.definition.sorting_key
    }

    fn has_sizes(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        self.table.definition.full_name()
    }

    fn engine(&self) -> String {
        self.table.definition.engine.clone()
    }
}

struct StoredScan {
    scan: Scan,
    columns: Vec<String>,
}

impl MorselSource for StoredScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.scan.morsel_count())
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        if index >= self.scan.morsel_count() {
            return Ok(None);
        }
        Ok(Some(self.scan.read(index, &self.columns, None)?))
    }

    fn read_columns(
        &self,
        index: usize,
        columns: &[String],
        keep: Option<&BooleanArray>,
    ) -> Result<Option<Block>> {
        if index >= self.scan.morsel_count() {
            return Ok(None);
        }
        Ok(Some(self.scan.read(index, columns, keep)?))
    }

    fn read_where(
        &self,
        index: usize,
        column: &str,
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueFilter<'_>>,
        wanted: Wanted,
    ) -> Result<Option<Chosen>> {
        if index >= self.scan.morsel_count() {
            return Ok(None);
        }
        // The storage knows no errors of ours: one is kept here on its way through.
        let mut failed = None;
        let chosen = match test {
            None => self.scan.read_where(index, column, keep, None, wanted),
            Some(test) => {
                let mut passed_on = |values: &Column| {
                    test(values).map_err(|e| {
                        let kept = pumphouse_storage::Error::Column(e.to_string());
                        failed = Some(e);
                        kept
                    })
                };
                self.scan.read_where(index, column, keep, Some(&mut passed_on), wanted)
            }
        };
        match (failed, chosen) {
            (Some(e), _) => Err(e),
            (None, chosen) => Ok(Some(chosen?)),
        }
    }

    fn range_flags(&self, index: usize, column: &str, may: &RangeTest<'_>) -> Option<BooleanArray> {
        self.scan.granule_flags(index, column, may)
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        Some(self.scan.morsel_rows(index))
    }

    fn column_range(&self, index: usize, column: &str) -> Option<(Value, Option<Value>)> {
        self.scan.morsel_range(index, column)
    }

    fn is_ruled_out(&self, index: usize, condition: u128) -> bool {
        self.scan.is_ruled_out(index, condition)
    }

    fn rule_out(&self, index: usize, condition: u128) {
        self.scan.rule_out(index, condition);
    }

    fn key_bounds(&self, index: usize) -> Option<(Vec<Value>, Vec<Value>)> {
        self.scan.key_bounds(index)
    }

    fn projection(&self) -> Option<&str> {
        self.scan.report.projection.as_deref()
    }

    fn estimate(&self) -> Option<[u64; 3]> {
        Some(estimate(&self.scan.report))
    }

    fn explain(&self) -> Vec<String> {
        pruning_lines(&self.scan.report)
    }
}

/// What pruning did, for EXPLAIN: parts and granules read, then what each test kept.
/// Parts, rows and granules that are left to read.
pub(super) fn estimate(report: &PruningReport) -> [u64; 3] {
    [report.parts_selected as u64, report.rows_selected, report.granules_selected as u64]
}

pub(super) fn pruning_lines(report: &PruningReport) -> Vec<String> {
    let (parts, granules) = (report.parts_selected, report.granules_selected);
    let mut lines = vec![format!("Parts: {parts} | Granules: {granules}")];
    lines.extend(scan::explain_lines(report));
    lines
}
