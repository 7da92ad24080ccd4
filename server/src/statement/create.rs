//! CREATE DATABASE, TABLE, VIEW and MATERIALIZED VIEW. Each is one commit.

use std::sync::Arc;

use pumphouse_query::bind::analyze_query;
use pumphouse_query::error::codes;
use pumphouse_query::plan::Plan;
use pumphouse_query::sql::ast::{
    ColumnDecl, CreateTable, CreateView, EngineClause, Query, QueryBody, Select, Statement,
    TableExpr, TableName,
};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::DataType;
use pumphouse_storage::log::{Change, Commit, Edit, Precondition, Rejection, TableDefinition};
use uuid::Uuid;

use super::Run;
use super::insert_blocks::{Blocks, columns_by_name, columns_by_position, plain_columns};
use crate::refresh::{self, Schedule};

impl Run<'_> {
    pub(super) fn create_database(
        &mut self,
        name: &str,
        if_not_exists: bool,
        engine: Option<&EngineClause>,
        comment: Option<String>,
    ) -> Result<()> {
        let engine = engine.and_then(|e| e.name.clone()).unwrap_or_else(|| "Atomic".into());
        if !["Atomic", "Ordinary", "Memory"].contains(&engine.as_str()) {
            return Err(Error::new(
                codes::UNKNOWN_STORAGE,
                format!("Unknown database engine: {engine}"),
            ));
        }
        if crate::system_tables::is_virtual_database(name) {
            return self.exists_already(if_not_exists, Rejection::DatabaseExists(name.to_string()));
        }
        let commit = Commit {
            preconditions: vec![Precondition::DatabaseNameFree { name: name.into() }],
            edits: vec![Edit::CreateDatabase {
                name: name.into(),
                engine,
                comment: comment.unwrap_or_default(),
            }],
        };
        self.commit_create(commit, if_not_exists)
    }

    pub(super) fn create_table(&mut self, mut create: CreateTable) -> Result<()> {
        if create.temporary {
            return self.create_temporary(create);
        }
        let database = self.database(&create.name.database).to_string();
        create.name.database = Some(database.clone());
        if create.if_not_exists
            && self.server.store.snapshot().table(&database, &create.name.name).is_some()
        {
            return Ok(());
        }
        let mut clone_from = None;
        if let Some(other) = &create.as_table {
            if create.clone_as {
                let source = self.database(&other.database).to_string();
                clone_from = Some((source, other.name.clone()));
            }
            self.copy_structure(other.clone(), &mut create)?;
        }
        create.clone_as = false;
        self.merge_columns(&mut create)?;
        self.settle_buffer(&mut create)?;
        if let Some(function) = create.as_function.take() {
            return self.create_from_function(create, function);
        }
        let empty = std::mem::take(&mut create.empty);
        let plan = match &create.as_query.take() {
            Some(query) => Some(prepare(query, &self.select_catalog(), self.context)?),
            None => None,
        };
        if let Some(plan) = &plan
            && create.columns.is_empty()
        {
            create.columns = plan.schema.iter().map(column_decl).collect();
        }
        let (if_not_exists, or_replace) = (create.if_not_exists, create.or_replace);
        let definition = Arc::new(self.table_definition(create)?);
        let commit = self.creation(&definition, or_replace);
        if let Some(plan) = plan.filter(|_| !empty) {
            let filled = self.create_filled(&definition, commit, &plan);
            return self.created(filled, if_not_exists);
        }
        self.commit_create(commit, if_not_exists)?;
        match clone_from {
            Some(source) => {
                let target = self.table_now(&definition.database, &definition.name)?;
                self.clone_rows(&source, &target)
            }
            None => Ok(()),
        }
    }

    /// The table and its first rows come in one commit.
    fn create_filled(
        &self,
        definition: &Arc<TableDefinition>,
        creation: Commit,
        plan: &Plan,
    ) -> Result<()> {
        let columns = columns_by_position(plan, plain_columns(definition))?;
        let mut blocks = Blocks::into_new_table(self, definition, creation);
        blocks.push_query(plan, &columns)?;
        blocks.finish()?;
        self.server.follow_ddl()
    }

    /// `CREATE TABLE a AS b`: b's columns, and its engine where none is given.
    pub(super) fn copy_structure(&self, other: TableName, create: &mut CreateTable) -> Result<()> {
        let database = self.database(&other.database).to_string();
        let state = self.server.store.snapshot();
        let Some(table) = state.table(&database, &other.name) else {
            self.require_database(&database)?;
            return Err(Error::new(
                codes::CANNOT_GET_CREATE_TABLE_QUERY,
                format!("Table `{}` doesn't exist.", other.name),
            ));
        };
        let text = &table.definition.create_query;
        let Statement::CreateTable(original) =
            pumphouse_query::sql::parse_statement(text)?.statement
        else {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Cannot CREATE a table AS {database}.{}, it is a View", other.name),
            ));
        };
        if create.columns.is_empty() {
            create.columns = original.columns;
        }
        if create.engine.name.is_none() {
            create.engine = original.engine;
        }
        create.as_table = None;
        Ok(())
    }

    pub(super) fn create_view(&mut self, mut create: CreateView) -> Result<()> {
        let database = self.database(&create.name.database).to_string();
        create.name.database = Some(database.clone());
        create.security = self.settled_security(create.security.take());
        qualify(&mut create.select, &database);
        if create.if_not_exists
            && self.server.store.snapshot().table(&database, &create.name.name).is_some()
        {
            return Ok(());
        }
        let catalog = self.catalog();
        let schema = match analyze_query(&create.select, &catalog, self.context) {
            Ok(plan) => plan.schema,
            // A view with parameters has columns once they are given.
            Err(e) if e.code() == codes::UNKNOWN_QUERY_PARAMETER && !create.materialized => vec![],
            Err(e) => return Err(e),
        };
        if create.materialized {
            return self.create_materialized_view(create, schema);
        }
        let mut definition = self.view_definition(&create, "View", &schema)?;
        definition.create_query = view_text(&create, &schema);
        let commit = self.creation(&Arc::new(definition), create.or_replace);
        self.commit_create(commit, create.if_not_exists)
    }

    /// Who asks in the place of CURRENT_USER, and where a definer is wanted and none is named.
    fn settled_security(&self, security: Option<String>) -> Option<String> {
        let security = security?;
        let user = pumphouse_query::sql::format::quote_name(&self.context.user);
        let upper = security.to_ascii_uppercase();
        const CURRENT: &str = "DEFINER = CURRENT_USER";
        let rest = security.get(CURRENT.len()..).unwrap_or_default();
        if upper.starts_with(CURRENT) && (rest.is_empty() || rest.starts_with(' ')) {
            return Some(format!("DEFINER = {user}{rest}"));
        }
        match upper.starts_with("SQL SECURITY DEFINER") {
            true => Some(format!("DEFINER = {user} {security}")),
            false => Some(security),
        }
    }

    fn create_materialized_view(
        &mut self,
        mut create: CreateView,
        schema: Vec<(String, DataType)>,
    ) -> Result<()> {
        let database = create.name.database.clone().unwrap_or_default();
        let source = source_of(&create.select);
        if create.refresh.is_none() && source.is_none() {
            return Err(Error::new(
                codes::QUERY_NOT_ALLOWED,
                "A materialized view must read from a table in its FROM clause",
            ));
        }
        let mut definition = self.view_definition(&create, "MaterializedView", &schema)?;
        match &create.refresh {
            // Read by the clock, not fed by inserts.
            Some(clause) => {
                Schedule::parse(clause)?;
                definition.settings.insert(refresh::CLAUSE.into(), clause.clone());
                if create.empty {
                    definition.settings.insert(refresh::EMPTY.into(), "1".into());
                }
            }
            None => definition.source = source.clone(),
        }
        let (mut preconditions, mut edits) = (vec![], vec![]);
        let target = match &create.to {
            Some(to) => {
                let target = (self.database(&to.database).to_string(), to.name.clone());
                self.check_target(&target, &schema)?;
                create.to =
                    Some(TableName { database: Some(target.0.clone()), name: target.1.clone() });
                target
            }
            None => {
                let inner = self.inner_table(&create, &definition, &schema)?;
                let target = (inner.database.clone(), inner.name.clone());
                preconditions.push(Precondition::TableNameFree {
                    database: target.0.clone(),
                    name: target.1.clone(),
                });
                edits.push(Edit::CreateTable { definition: Arc::new(inner) });
                target
            }
        };
        if Some(&target) == source.as_ref()
            || target == (database.clone(), create.name.name.clone())
        {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "A materialized view cannot write into the table that it reads from",
            ));
        }
        definition.target = Some(target);
        definition.create_query = view_text(&create, &schema);
        if create.populate
            && let Some(source) = &source
            && let Some(stream) = self.server.store.snapshot().table(&source.0, &source.1)
            && pumphouse_ingest::kafka::is_stream(&stream.definition.engine)
        {
            let commit = Commit { preconditions, edits };
            return self.create_populated(&create, definition, source, commit);
        }
        let definition = Arc::new(definition);
        let mut commit = self.creation(&definition, create.or_replace);
        commit.preconditions.extend(preconditions);
        commit.edits.extend(edits);
        let populate = create.populate.then(|| create.select.clone());
        self.commit_create(commit, create.if_not_exists)?;
        match populate {
            Some(select) => self.populate(&definition, &select),
            None => Ok(()),
        }
    }

    /// Fills the view's target from what its source holds now.
    fn populate(&mut self, view: &TableDefinition, select: &Query) -> Result<()> {
        let Some((database, name)) = view.target.clone() else { return Ok(()) };
        let plan = prepare(select, &self.select_catalog(), self.context)?;
        let state = self.server.store.snapshot();
        let Some(target) = state.table(&database, &name) else { return Ok(()) };
        let mut blocks = Blocks::new(self, &target.definition);
        blocks.push_query(&plan, &columns_by_name(&plan, &target.definition))?;
        blocks.finish()
    }

    fn view_definition(
        &self,
        create: &CreateView,
        engine: &str,
        schema: &[(String, DataType)],
    ) -> Result<TableDefinition> {
        let columns = if create.columns.is_empty() {
            let decls: Vec<ColumnDecl> = schema.iter().map(column_decl).collect();
            self.column_definitions(&decls)?
        } else {
            self.column_definitions(&create.columns)?
        };
        Ok(TableDefinition {
            uuid: Uuid::new_v4(),
            database: create.name.database.clone().unwrap_or_default(),
            name: create.name.name.clone(),
            engine: engine.into(),
            columns,
            sorting_key: vec![],
            primary_key: vec![],
            partition_key: vec![],
            settings: Default::default(),
            select: Some(format::query(&create.select, false)),
            target: None,
            source: None,
            comment: create.comment.clone().unwrap_or_default(),
            create_query: String::new(),
            clauses: Default::default(),
        })
    }

    /// The hidden table of a materialized view without TO.
    fn inner_table(
        &self,
        create: &CreateView,
        view: &TableDefinition,
        schema: &[(String, DataType)],
    ) -> Result<TableDefinition> {
        if create.engine.name.is_none() {
            return Err(Error::new(
                codes::INCORRECT_QUERY,
                "You must specify where to save results of a MaterializedView query: either ENGINE or an existing table in a TO clause",
            ));
        }
        let columns = if create.columns.is_empty() {
            schema.iter().map(column_decl).collect()
        } else {
            create.columns.clone()
        };
        self.table_definition(CreateTable {
            name: TableName {
                database: Some(view.database.clone()),
                name: format!(".inner_id.{}", view.uuid),
            },
            columns,
            engine: create.engine.clone(),
            ..CreateTable::default()
        })
    }

    /// The target of `TO` must exist and have every column that the view gives.
    pub(super) fn check_target(
        &self,
        target: &(String, String),
        schema: &[(String, DataType)],
    ) -> Result<()> {
        let state = self.server.store.snapshot();
        let Some(table) = state.table(&target.0, &target.1) else {
            return Err(self.unknown_table(&target.0, &target.1));
        };
        let has = |name: &str| table.definition.columns.iter().any(|c| c.name == name);
        match schema.iter().find(|(name, _)| !has(name)) {
            Some((name, _)) => Err(Error::new(
                codes::THERE_IS_NO_COLUMN,
                format!(
                    "Column {name} is not in target table {}.{}: a materialized view's columns are matched by name",
                    target.0, target.1
                ),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn creation(&self, definition: &Arc<TableDefinition>, or_replace: bool) -> Commit {
        let (database, name) = (&definition.database, &definition.name);
        let mut commit = Commit::default();
        match self.server.store.snapshot().table(database, name) {
            Some(old) if or_replace => {
                let table = old.definition.uuid;
                commit.preconditions.push(Precondition::TableUnchanged {
                    table,
                    definition_version: old.definition_version,
                });
                let wall_us = self.server.clock.now_us();
                commit.edits.push(Edit::Change(Change::RetireTable { table, wall_us }));
            }
            _ => commit.preconditions.push(Precondition::TableNameFree {
                database: database.clone(),
                name: name.clone(),
            }),
        }
        commit.edits.push(Edit::CreateTable { definition: definition.clone() });
        commit
    }

    pub(super) fn commit_create(&self, commit: Commit, if_not_exists: bool) -> Result<()> {
        self.created(self.server.commit_ddl(commit).map(|_| ()), if_not_exists)
    }

    pub(super) fn created(&self, outcome: Result<()>, if_not_exists: bool) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Error::Storage(pumphouse_storage::Error::Rejected(rejection))) => {
                self.exists_already(if_not_exists, rejection)
            }
            Err(e) => Err(e),
        }
    }

    fn exists_already(&self, if_not_exists: bool, rejection: Rejection) -> Result<()> {
        match rejection {
            Rejection::TableExists { .. } | Rejection::DatabaseExists(_) if if_not_exists => Ok(()),
            other => Err(pumphouse_storage::Error::from(other).into()),
        }
    }

    /// Error 60, or 81 if not even the database is there.
    pub(super) fn unknown_table(&self, database: &str, name: &str) -> Error {
        if let Err(e) = self.require_database(database) {
            return e;
        }
        Error::new(codes::UNKNOWN_TABLE, format!("Table {database}.{name} does not exist"))
    }
}

pub(super) fn column_decl((name, data_type): &(String, DataType)) -> ColumnDecl {
    ColumnDecl {
        name: name.clone(),
        data_type: Some(data_type.to_string()),
        ..ColumnDecl::default()
    }
}

/// The canonical CREATE text of a view, with its columns.
fn view_text(create: &CreateView, schema: &[(String, DataType)]) -> String {
    let mut create = create.clone();
    create.if_not_exists = false;
    create.or_replace = false;
    create.populate = false;
    create.populate_from = None;
    if create.columns.is_empty() {
        create.columns = schema.iter().map(column_decl).collect();
    }
    format::statement(&Statement::CreateView(Box::new(create)), true)
}

/// The table that a view's blocks come from: the leftmost one in FROM, also inside subqueries.
pub(super) fn source_of(query: &Query) -> Option<(String, String)> {
    match &query.body {
        QueryBody::Select(select) => source_of_table(select.from.as_ref()?),
        QueryBody::SetOperation { inputs, .. } => source_of(inputs.first()?),
    }
}

fn source_of_table(table: &TableExpr) -> Option<(String, String)> {
    match table {
        TableExpr::Table { database, name, .. } => Some((database.clone()?, name.clone())),
        TableExpr::Subquery { query, .. } => source_of(query),
        TableExpr::Join(join) => source_of_table(&join.left),
        TableExpr::ArrayJoin { input, .. } => source_of_table(input),
        TableExpr::Function { .. } => None,
    }
}

/// Writes the database into every table name that has none, so that the view means the same for
/// everybody.
pub(super) fn qualify(query: &mut Query, database: &str) {
    qualify_scoped(query, database, &mut vec![]);
}

fn qualify_scoped(query: &mut Query, database: &str, ctes: &mut Vec<String>) {
    match &mut query.body {
        QueryBody::SetOperation { inputs, .. } => {
            for input in inputs {
                qualify_scoped(input, database, ctes);
            }
        }
        QueryBody::Select(select) => qualify_select(select, database, ctes),
    }
}

fn qualify_select(select: &mut Select, database: &str, ctes: &mut Vec<String>) {
    use pumphouse_query::sql::ast::WithItem;
    let outer = ctes.len();
    for item in &mut select.with {
        if let WithItem::Query { name, query, .. } = item {
            qualify_scoped(query, database, ctes);
            ctes.push(name.clone());
        }
    }
    if let Some(from) = &mut select.from {
        qualify_table(from, database, ctes);
    }
    pumphouse_query::sql::for_each_subquery(select, &mut |query| {
        qualify_scoped(query, database, &mut ctes.clone());
    });
    ctes.truncate(outer);
}

fn qualify_table(table: &mut TableExpr, database: &str, ctes: &mut Vec<String>) {
    match table {
        TableExpr::Table { database: given, name, .. } => {
            if given.is_none() && !ctes.contains(name) {
                *given = Some(database.into());
            }
        }
        TableExpr::Subquery { query, .. } => qualify_scoped(query, database, ctes),
        TableExpr::Join(join) => {
            qualify_table(&mut join.left, database, ctes);
            qualify_table(&mut join.right, database, ctes);
        }
        TableExpr::ArrayJoin { input, .. } => qualify_table(input, database, ctes),
        TableExpr::Function { .. } => {}
    }
}
