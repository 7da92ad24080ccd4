//! Temporary tables: CREATE, DROP, TRUNCATE, EXISTS and SHOW of tables that live in memory as long as
//! their session, and the external tables that come with one query.
//!
//! Nothing of them is in the log. A name without database means the temporary table first, as in
//! ClickHouse; `EXISTS` without TEMPORARY does not see them. Engines that combine rows are refused.

use std::sync::Arc;

use pumphouse_query::catalog::{TemporaryTable, TemporaryTables};
use pumphouse_query::context::{MemoryGuard, MemoryTracker, QueryContext};
use pumphouse_query::error::codes;
use pumphouse_query::plan::Plan;
use pumphouse_query::sql::ast::{CreateTable, ObjectKind, TableName};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::log::{ColumnDefinition, TableDefinition};
use pumphouse_storage::{Block, Column, DataType, Value};
use uuid::Uuid;

use super::create::column_decl;
use super::insert_blocks::{Blocks, columns_by_position, plain_columns};
use super::{Request, Run};
use crate::session::SessionState;

/// Engines that a table of blocks in memory can stand for.
const ENGINES: &[&str] = &["Memory", "Log", "TinyLog", "StripeLog", "MergeTree", "Null"];

/// The tables that the query's names may mean: its own, then its session's.
pub(super) fn tables(
    request: &Request,
    session: &SessionState,
    context: &QueryContext,
) -> Result<Vec<Arc<TemporaryTables>>> {
    let mut tables = vec![session.temporary.clone()];
    if !request.external_tables.is_empty() {
        let own = TemporaryTables::default();
        for (name, block) in &request.external_tables {
            let table = TemporaryTable::new(Arc::new(definition_of(name, block)), &context.memory)?;
            table.append(vec![block.clone()])?;
            own.add(table, false)?;
        }
        tables.insert(0, Arc::new(own));
    }
    Ok(tables)
}

/// The definition of an external table.
fn definition_of(name: &str, block: &Block) -> TableDefinition {
    let columns = block.schema().into_iter().enumerate();
    TableDefinition {
        uuid: Uuid::new_v4(),
        database: String::new(),
        name: name.into(),
        engine: "Memory".into(),
        columns: columns
            .map(|(i, (name, data_type))| ColumnDefinition {
                id: i as u32,
                name,
                data_type,
                default: None,
                codec: String::new(),
                comment: String::new(),
                ttl: String::new(),
            })
            .collect(),
        sorting_key: vec![],
        primary_key: vec![],
        partition_key: vec![],
        settings: Default::default(),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: Default::default(),
    }
}

impl Run<'_> {
    pub(super) fn create_temporary(&mut self, mut create: CreateTable) -> Result<()> {
        if create.name.database.is_some() {
            return Err(Error::new(
                codes::BAD_DATABASE_FOR_TEMPORARY_TABLE,
                "Temporary objects (tables/views) cannot be inside a database. You should not specify a database for a temporary objects.",
            ));
        }
        let name = create.name.name.clone();
        let session = self.session.temporary.clone();
        if create.if_not_exists && session.get(&name).is_some() {
            return Ok(());
        }
        if let Some(other) = create.as_table.clone() {
            self.copy_structure(other, &mut create)?;
        }
        let engine = create.engine.name.get_or_insert_with(|| "Memory".into()).clone();
        if !ENGINES.contains(&engine.as_str()) {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Temporary tables of the engine {engine} are not supported"),
            ));
        }
        let empty = std::mem::take(&mut create.empty);
        let mut source = None;
        if let Some(query) = create.as_query.take() {
            let plan = prepare(&query, &self.select_catalog(), self.context)?;
            if create.columns.is_empty() {
                create.columns = plan.schema.iter().map(column_decl).collect();
            }
            source = Some(plan).filter(|_| !empty);
        }
        let or_replace = create.or_replace;
        let definition = Arc::new(self.table_definition(create)?);
        session
            .add(TemporaryTable::new(definition.clone(), &self.session_memory())?, or_replace)?;
        let Some(plan) = source else { return Ok(()) };
        let filled = self.fill_temporary(&definition, &plan);
        if filled.is_err() {
            session.remove(&name);
        }
        filled
    }

    fn fill_temporary(&self, definition: &Arc<TableDefinition>, plan: &Plan) -> Result<()> {
        let columns = columns_by_position(plan, plain_columns(definition))?;
        let mut blocks = Blocks::new(self, definition);
        blocks.push_query(plan, &columns)?;
        blocks.finish()
    }

    /// The account of what the session keeps: bounded as one query is, and part of the server's.
    fn session_memory(&self) -> Arc<MemoryTracker> {
        let server = self.server;
        let account = self.session.temporary_memory.get_or_init(|| {
            let max = server.config.max_memory_usage;
            MemoryTracker::with_parent(max, Some(server.memory.clone()))
        });
        account.clone()
    }

    /// The temporary table that `name` means.
    pub(super) fn temporary(&self, name: &TableName) -> Option<Arc<TemporaryTable>> {
        match name.database {
            None => self.context.temporary_table(&name.name),
            Some(_) => None,
        }
    }

    /// The table of a definition if it is a temporary one, and an account for what goes there.
    pub(super) fn temporary_of(
        &self,
        definition: &TableDefinition,
    ) -> Option<(Arc<TemporaryTable>, Vec<Block>, MemoryGuard)> {
        if !definition.database.is_empty() {
            return None;
        }
        let table = self.context.temporary_table(&definition.name)?;
        Some((table, vec![], self.context.memory.reserve(0).ok()?))
    }

    /// Whether the first of `names` is a temporary table.
    pub(super) fn names_temporary(&self, kind: ObjectKind, names: &[TableName]) -> bool {
        let first = names.first().filter(|n| n.database.is_none());
        kind == ObjectKind::Table
            && first.is_some_and(|n| self.session.temporary.get(&n.name).is_some())
    }

    pub(super) fn drop_temporary(&mut self, names: &[TableName], if_exists: bool) -> Result<()> {
        for name in names {
            if !self.session.temporary.remove(&name.name) && !if_exists {
                return Err(Error::new(
                    codes::UNKNOWN_TABLE,
                    format!("Temporary table {} doesn't exist", name.name),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn truncate_temporary(&mut self, name: &TableName) -> Result<()> {
        match self.session.temporary.get(&name.name) {
            Some(table) => table.truncate(),
            None => Ok(()),
        }
    }

    pub(super) fn exists_temporary(
        &mut self,
        name: &TableName,
        format: Option<&str>,
    ) -> Result<()> {
        let found = self.temporary(name).is_some();
        let column = Column::from_values(DataType::UInt8, &[Value::UInt(found as u64)])?;
        self.write_block(&Block::new(vec![("result".into(), column)]), format)
    }

    /// A SELECT that gives the names of the session's tables.
    pub(super) fn temporary_names_query(&self) -> String {
        let names = self.session.temporary.names();
        let names: Vec<String> = names.iter().map(|n| format::quote_string(n.as_bytes())).collect();
        format!("SELECT arrayJoin(CAST([{}], 'Array(String)')) AS name", names.join(", "))
    }
}
