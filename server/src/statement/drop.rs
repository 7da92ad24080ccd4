//! DROP, DETACH, ATTACH, TRUNCATE, OPTIMIZE. Each is one commit. A dropped table is kept for a while,
//! for UNDROP; with SYNC it goes at once. Names are in [`super::rename`].

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ObjectKind, Show, Statement, TableName};
use pumphouse_query::{Error, Result, execute, prepare, sql};
use pumphouse_storage::Value;
use pumphouse_storage::log::{Change, Commit, Edit, Precondition, State, Table};

use super::Run;
use super::buffer::buffers_of;

impl Run<'_> {
    pub(super) fn drop_objects(
        &mut self,
        kind: ObjectKind,
        names: &[TableName],
        if_exists: bool,
        if_empty: bool,
        sync: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            for name in names {
                self.drop_database(&name.name, if_exists, if_empty)?;
            }
            return Ok(());
        }
        let at_once = "database_atomic_wait_for_drop_and_detach_synchronously";
        let sync = sync || self.context.settings.u64(at_once, 0) > 0;
        let mut commit = Commit::default();
        let buffers = self.named_buffers(&self.server.store.snapshot(), names);
        for name in names {
            self.drop_table(kind, name, if_exists, if_empty, sync, &mut commit)?;
        }
        self.empty_buffers(&buffers)?;
        self.server.commit_ddl(commit)?;
        self.forget_buffers(&buffers);
        Ok(())
    }

    fn drop_table(
        &self,
        kind: ObjectKind,
        name: &TableName,
        if_exists: bool,
        if_empty: bool,
        sync: bool,
        commit: &mut Commit,
    ) -> Result<()> {
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        let Some(table) = state.table(&database, &name.name) else {
            return if if_exists { Ok(()) } else { Err(self.unknown_table(&database, &name.name)) };
        };
        self.check_drop(&state, kind, table)?;
        if if_empty && !table.parts.is_empty() {
            return Err(Error::new(
                codes::TABLE_NOT_EMPTY,
                format!("Table {database}.{} is not empty", name.name),
            ));
        }
        self.add_drop(table, sync, commit);
        // The hidden table of a materialized view goes with it.
        if table.definition.engine == "MaterializedView"
            && let Some((target_database, target)) = &table.definition.target
            && target.starts_with(".inner_id.")
            && let Some(inner) = state.table(target_database, target)
        {
            self.add_drop(inner, sync, commit);
        }
        Ok(())
    }

    fn drop_database(&self, name: &str, if_exists: bool, if_empty: bool) -> Result<()> {
        if crate::system_tables::is_virtual_database(name) {
            return Err(Error::new(codes::ACCESS_DENIED, format!("{name} cannot be dropped")));
        }
        let known = self.server.store.snapshot().databases.contains_key(name);
        if !known && if_exists {
            return Ok(());
        }
        let mut preconditions = vec![Precondition::DatabaseExists { name: name.into() }];
        if if_empty {
            preconditions.push(Precondition::DatabaseEmpty { name: name.into() });
        }
        let edits = vec![Edit::DropDatabase { name: name.into() }];
        let buffers = buffers_of(&self.server.store.snapshot(), name);
        self.empty_buffers(&buffers)?;
        self.server.commit_ddl(Commit { preconditions, edits })?;
        self.forget_buffers(&buffers);
        Ok(())
    }

    pub(super) fn detach(
        &mut self,
        kind: ObjectKind,
        name: &TableName,
        if_exists: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            return Err(not_implemented("DETACH DATABASE"));
        }
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        let Some(table) = state.table(&database, &name.name) else {
            return if if_exists { Ok(()) } else { Err(self.unknown_table(&database, &name.name)) };
        };
        self.check_drop(&state, kind, table)?;
        let commit = Commit {
            preconditions: vec![unchanged(table)],
            edits: vec![Edit::DetachTable { table: table.definition.uuid }],
        };
        let buffers = self.named_buffers(&state, std::slice::from_ref(name));
        self.empty_buffers(&buffers)?;
        self.server.commit_ddl(commit)?;
        self.forget_buffers(&buffers);
        Ok(())
    }

    pub(super) fn attach(
        &mut self,
        kind: ObjectKind,
        name: &TableName,
        if_not_exists: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            return Err(not_implemented("ATTACH DATABASE"));
        }
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        if state.table(&database, &name.name).is_some() {
            if if_not_exists {
                return Ok(());
            }
            return Err(Error::new(
                codes::TABLE_ALREADY_EXISTS,
                format!("Table {database}.{} already exists", name.name),
            ));
        }
        let Some(table) = detached(&state, &database, &name.name) else {
            return Err(self.unknown_table(&database, &name.name));
        };
        let table = table.definition.uuid;
        let commit = Commit {
            preconditions: vec![Precondition::TableExists { table }],
            edits: vec![Edit::AttachTable { table }],
        };
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    pub(super) fn add_drop(&self, table: &Arc<Table>, sync: bool, commit: &mut Commit) {
        let id = table.definition.uuid;
        commit.preconditions.push(unchanged(table));
        commit.edits.push(match sync {
            true => Edit::DropTable { table: id },
            false => {
                Edit::Change(Change::RetireTable { table: id, wall_us: self.server.clock.now_us() })
            }
        });
    }

    pub(super) fn truncate(
        &mut self,
        kind: ObjectKind,
        name: &TableName,
        if_exists: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            return self.empty_database(&name.name, if_exists);
        }
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        let Some(mut table) = state.table(&database, &name.name) else {
            return if if_exists { Ok(()) } else { Err(self.unknown_table(&database, &name.name)) };
        };
        if crate::dictionaries::is_dictionary(table) {
            return Err(Error::new(codes::SYNTAX_ERROR, "Cannot TRUNCATE dictionary"));
        }
        if let Some((target_database, target)) = &table.definition.target {
            table = state
                .table(target_database, target)
                .ok_or_else(|| self.unknown_table(target_database, target))?;
        }
        if table.definition.engine == "Buffer" {
            let text = "Truncate is not supported by storage Buffer";
            return Err(Error::new(codes::NOT_IMPLEMENTED, text));
        }
        let mut commit = Commit::default();
        add_truncation(table, &mut commit);
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    /// TRUNCATE DATABASE: all its tables are dropped, itself not.
    fn empty_database(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let state = self.server.store.snapshot();
        let Some(database) = state.databases.get(name) else {
            return if if_exists { Ok(()) } else { self.require_database(name) };
        };
        let mut commit = Commit::default();
        for table in database.tables.values().filter_map(|id| state.tables.get(id)) {
            self.add_drop(table, false, &mut commit);
        }
        let buffers = buffers_of(&state, name);
        self.empty_buffers(&buffers)?;
        self.server.commit_ddl(commit)?;
        self.forget_buffers(&buffers);
        Ok(())
    }

    /// TRUNCATE [ALL] TABLES FROM database [[NOT] LIKE 'pattern'], kept as words by the parser.
    pub(super) fn truncate_all(&mut self, text: &str) -> Result<()> {
        let words = text.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        let words = words.strip_prefix("ALL ").unwrap_or(&words);
        let show = sql::parse_statement(&format!("SHOW {words}"))?.statement;
        let Statement::Show(Show::Tables { from, filter, .. }) = show else {
            return Err(Error::new(codes::SYNTAX_ERROR, "TRUNCATE ALL TABLES FROM a database"));
        };
        let database = self.database(&from).to_string();
        self.require_database(&database)?;
        let mut condition = format!("database = {}", Value::string(&*database).to_sql());
        if let Some((pattern, any_case, not)) = &filter.like {
            let like = if *any_case { "ILIKE" } else { "LIKE" };
            let not = if *not { "NOT " } else { "" };
            let pattern = Value::string(&**pattern).to_sql();
            condition += &format!(" AND name {not}{like} {pattern}");
        }
        let text = format!("SELECT name FROM system.tables WHERE {condition}");
        let plan = prepare(&sql::parse_query(&text)?, &self.catalog(), self.context)?;
        let state = self.server.store.snapshot();
        let mut commit = Commit::default();
        for block in execute::collect(&plan, self.context)? {
            for row in 0..block.rows() {
                let value = block.columns[0].value(row);
                let name = String::from_utf8_lossy(value.as_bytes().unwrap_or_default());
                if let Some(table) = state.table(&database, &name) {
                    add_truncation(table, &mut commit);
                }
            }
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }
}

fn add_truncation(table: &Arc<Table>, commit: &mut Commit) {
    commit.preconditions.push(unchanged(table));
    let table = table.definition.uuid;
    let change = Change::RemovePartition { table, partition_id: None, detach: false };
    commit.edits.push(Edit::Change(change));
}

pub(super) fn unchanged(table: &Arc<Table>) -> Precondition {
    Precondition::TableUnchanged {
        table: table.definition.uuid,
        definition_version: table.definition_version,
    }
}

fn detached<'s>(state: &'s State, database: &str, name: &str) -> Option<&'s Arc<Table>> {
    state
        .tables
        .values()
        .find(|t| t.detached && t.definition.database == database && t.definition.name == name)
}

fn not_implemented(what: &str) -> Error {
    Error::new(codes::NOT_IMPLEMENTED, format!("{what} is not supported"))
}
