//! DROP, DETACH, ATTACH, TRUNCATE, RENAME, EXCHANGE, OPTIMIZE. Each is one commit.

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ObjectKind, TableName};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, Edit, Precondition, State, Table, TableDefinition};
use pumphouse_storage::merge;

use super::Run;

impl Run<'_> {
    pub(super) fn drop_objects(
        &mut self,
        kind: ObjectKind,
        names: &[TableName],
        if_exists: bool,
        if_empty: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            for name in names {
                self.drop_database(&name.name, if_exists, if_empty)?;
            }
            return Ok(());
        }
        let mut commit = Commit::default();
        for name in names {
            self.drop_table(name, if_exists, &mut commit)?;
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    fn drop_table(&self, name: &TableName, if_exists: bool, commit: &mut Commit) -> Result<()> {
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        let Some(table) = state.table(&database, &name.name) else {
            return if if_exists { Ok(()) } else { Err(self.unknown_table(&database, &name.name)) };
        };
        add_drop(table, commit);
        // The hidden table of a materialized view goes with it.
        if table.definition.engine == "MaterializedView"
            && let Some((target_database, target)) = &table.definition.target
            && target.starts_with(".inner_id.")
            && let Some(inner) = state.table(target_database, target)
        {
            add_drop(inner, commit);
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
        self.server.commit_ddl(Commit { preconditions, edits })?;
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
        let commit = Commit {
            preconditions: vec![unchanged(table)],
            edits: vec![Edit::DetachTable { table: table.definition.uuid }],
        };
        self.server.commit_ddl(commit)?;
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

    pub(super) fn truncate(&mut self, name: &TableName, if_exists: bool) -> Result<()> {
        let state = self.server.store.snapshot();
        let database = self.database(&name.database).to_string();
        let Some(mut table) = state.table(&database, &name.name) else {
            return if if_exists { Ok(()) } else { Err(self.unknown_table(&database, &name.name)) };
        };
        if let Some((target_database, target)) = &table.definition.target {
            table = state
                .table(target_database, target)
                .ok_or_else(|| self.unknown_table(target_database, target))?;
        }
        let id = table.definition.uuid;
        let parts: Vec<_> = table.parts.iter().map(|p| p.id).collect();
        let commit = Commit {
            preconditions: vec![
                unchanged(table),
                Precondition::PartsLive { table: id, parts: parts.clone() },
            ],
            edits: parts.into_iter().map(|part| Edit::RemovePart { table: id, part }).collect(),
        };
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        kind: ObjectKind,
        pairs: &[(TableName, TableName)],
        exchange: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            let mut commit = Commit::default();
            for (from, to) in pairs {
                commit.preconditions.extend([
                    Precondition::DatabaseExists { name: from.name.clone() },
                    Precondition::DatabaseNameFree { name: to.name.clone() },
                ]);
                let (from, to) = (from.name.clone(), to.name.clone());
                commit.edits.push(Edit::RenameDatabase { from, to });
            }
            self.server.commit_ddl(commit)?;
            return Ok(());
        }
        let state = self.server.store.snapshot();
        let mut commit = Commit::default();
        for (from, to) in pairs {
            let from = (self.database(&from.database).to_string(), from.name.clone());
            let to = (self.database(&to.database).to_string(), to.name.clone());
            let find = |name: &(String, String)| {
                state.table(&name.0, &name.1).ok_or_else(|| self.unknown_table(&name.0, &name.1))
            };
            let first = find(&from)?;
            commit.preconditions.push(unchanged(first));
            commit.edits.push(Edit::AlterTable { definition: renamed(first, &to)? });
            if exchange {
                let second = find(&to)?;
                commit.preconditions.push(unchanged(second));
                commit.edits.push(Edit::AlterTable { definition: renamed(second, &from)? });
            } else {
                let (database, name) = to;
                commit.preconditions.push(Precondition::TableNameFree { database, name });
            }
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    pub(super) fn optimize(&mut self, name: &TableName, final_: bool) -> Result<()> {
        let database = self.database(&name.database).to_string();
        let state = self.server.store.snapshot();
        let Some(table) = state.table(&database, &name.name) else {
            return Err(self.unknown_table(&database, &name.name));
        };
        let (database, name) = match &table.definition.target {
            Some((database, name)) => (database.clone(), name.clone()),
            None => (database, name.name.clone()),
        };
        merge::optimize(&self.server.store, &database, &name, final_)?;
        Ok(())
    }
}

fn add_drop(table: &Arc<Table>, commit: &mut Commit) {
    commit.preconditions.push(unchanged(table));
    commit.edits.push(Edit::DropTable { table: table.definition.uuid });
}

fn unchanged(table: &Arc<Table>) -> Precondition {
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

/// The same table under another name; its CREATE text follows.
fn renamed(table: &Arc<Table>, to: &(String, String)) -> Result<Arc<TableDefinition>> {
    use pumphouse_query::sql::{self, ast::Statement};
    let mut definition = (*table.definition).clone();
    definition.database = to.0.clone();
    definition.name = to.1.clone();
    let name = TableName { database: Some(to.0.clone()), name: to.1.clone() };
    let mut statement = sql::parse_statement(&definition.create_query)?.statement;
    match &mut statement {
        Statement::CreateTable(create) => create.name = name,
        Statement::CreateView(create) => create.name = name,
        _ => {}
    }
    definition.create_query = sql::format::statement(&statement, true);
    Ok(Arc::new(definition))
}

fn not_implemented(what: &str) -> Error {
    Error::new(codes::NOT_IMPLEMENTED, format!("{what} is not supported"))
}
