//! RENAME, EXCHANGE and UNDROP. Several pairs are one commit, carried out as if one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ObjectKind, Statement, TableName};
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Change, Commit, Edit, Precondition, State, Table, TableDefinition};
use uuid::Uuid;

use super::Run;
use super::drop::unchanged;

type Name = (String, String);

/// Names as they are after the pairs so far.
struct Names<'s> {
    state: &'s State,
    changed: BTreeMap<Name, Option<Uuid>>,
    definitions: BTreeMap<Uuid, Arc<TableDefinition>>,
}

impl Names<'_> {
    fn find(&self, name: &Name) -> Option<Uuid> {
        match self.changed.get(name) {
            Some(changed) => *changed,
            None => self.state.table(&name.0, &name.1).map(|t| t.definition.uuid),
        }
    }

    fn table(&self, id: Uuid) -> Option<&Arc<Table>> {
        self.state.tables.get(&id)
    }

    /// Gives the table another name.
    fn put(&mut self, id: Uuid, to: &Name) -> Result<()> {
        let old = match (self.definitions.get(&id), self.table(id)) {
            (Some(definition), _) => definition.clone(),
            (None, Some(table)) => table.definition.clone(),
            (None, None) => return Ok(()),
        };
        self.changed.insert(to.clone(), Some(id));
        self.definitions.insert(id, renamed(&old, to)?);
        Ok(())
    }
}

impl Run<'_> {
    pub(super) fn rename(
        &mut self,
        kind: ObjectKind,
        pairs: &[(TableName, TableName)],
        exchange: bool,
    ) -> Result<()> {
        if kind == ObjectKind::Database {
            return self.rename_databases(pairs);
        }
        let state = self.server.store.snapshot();
        let mut names =
            Names { state: &state, changed: BTreeMap::new(), definitions: BTreeMap::new() };
        for (from, to) in pairs {
            let from = (self.database(&from.database).to_string(), from.name.clone());
            let to = (self.database(&to.database).to_string(), to.name.clone());
            let first = names.find(&from).ok_or_else(|| self.unknown_table(&from.0, &from.1))?;
            self.require_database(&to.0)?;
            match (exchange, names.find(&to)) {
                (true, None) => return Err(self.unknown_table(&to.0, &to.1)),
                (true, Some(second)) => {
                    names.put(first, &to)?;
                    names.put(second, &from)?;
                }
                (false, Some(_)) => {
                    return Err(Error::new(
                        codes::TABLE_ALREADY_EXISTS,
                        format!("Table {}.{} already exists.", to.0, to.1),
                    ));
                }
                (false, None) => {
                    names.changed.insert(from, None);
                    names.put(first, &to)?;
                }
            }
        }
        let mut commit = Commit::default();
        for (id, definition) in &names.definitions {
            let Some(table) = names.table(*id) else { continue };
            commit.preconditions.push(unchanged(table));
            let (database, name) = (definition.database.clone(), definition.name.clone());
            // A name that another table of these leaves is free by then.
            if state.table(&database, &name).is_none() {
                commit.preconditions.push(Precondition::TableNameFree { database, name });
            }
            commit.edits.push(Edit::AlterTable { definition: definition.clone() });
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    fn rename_databases(&mut self, pairs: &[(TableName, TableName)]) -> Result<()> {
        let state = self.server.store.snapshot();
        let mut commit = Commit::default();
        for (from, to) in pairs {
            commit.preconditions.extend([
                Precondition::DatabaseExists { name: from.name.clone() },
                Precondition::DatabaseNameFree { name: to.name.clone() },
            ]);
            let edit = Edit::RenameDatabase { from: from.name.clone(), to: to.name.clone() };
            commit.edits.push(edit);
            // The CREATE texts of its tables say the new name.
            let tables = state.databases.get(&from.name).map(|d| &d.tables);
            for table in tables.into_iter().flatten().filter_map(|(_, id)| state.tables.get(id)) {
                commit.preconditions.push(unchanged(table));
                let name = (to.name.clone(), table.definition.name.clone());
                let definition = renamed(&table.definition, &name)?;
                commit.edits.push(Edit::AlterTable { definition });
            }
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    /// UNDROP TABLE [database.]name [UUID 'uuid'], kept as words by the parser.
    pub(super) fn undrop(&mut self, text: &str) -> Result<()> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [_, "TABLE" | "table" | "Table", rest @ ..] = &words[..] else {
            return Err(Error::new(codes::SYNTAX_ERROR, "UNDROP TABLE name"));
        };
        let at = rest.iter().position(|w| w.eq_ignore_ascii_case("UUID")).unwrap_or(rest.len());
        let uuid = rest.get(at + 1).and_then(|t| Uuid::parse_str(t.trim_matches('\'')).ok());
        let on = rest[..at].iter().position(|w| w.eq_ignore_ascii_case("ON")).unwrap_or(at);
        let name = rest[..on].concat();
        let parsed = sql::parse_statement(&format!("TRUNCATE TABLE {name}"))?.statement;
        let Statement::Truncate { name, .. } = parsed else {
            return Err(Error::new(codes::SYNTAX_ERROR, "UNDROP TABLE name"));
        };
        let database = self.database(&name.database).to_string();
        let state = self.server.store.snapshot();
        if state.table(&database, &name.name).is_some() {
            return Err(Error::new(
                codes::TABLE_ALREADY_EXISTS,
                format!("Cannot undrop table, {database}.{} already exists.", name.name),
            ));
        }
        let meant = state.dropped.values().filter(|d| {
            let definition = &d.table.definition;
            definition.database == database
                && definition.name == name.name
                && uuid.is_none_or(|uuid| definition.uuid == uuid)
        });
        let Some(dropped) = meant.max_by_key(|d| d.dropped_us) else {
            return Err(Error::new(
                codes::UNKNOWN_TABLE,
                format!(
                    "Table {database}.{} is being dropped, has been dropped, or the database engine does not support UNDROP.",
                    name.name
                ),
            ));
        };
        let mut commit = Commit::default();
        restore(&dropped.table, &mut commit);
        // The hidden table of a materialized view comes back with it.
        if let Some(target) = &dropped.table.definition.target {
            let inner = state.dropped.values().find(|d| {
                let definition = &d.table.definition;
                d.dropped_us == dropped.dropped_us
                    && (&definition.database, &definition.name) == (&target.0, &target.1)
            });
            if let Some(inner) = inner {
                restore(&inner.table, &mut commit);
            }
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }
}

fn restore(table: &Table, commit: &mut Commit) {
    let definition = &table.definition;
    let id = definition.uuid;
    commit.preconditions.extend([
        Precondition::TableDropped { table: id },
        Precondition::TableNameFree {
            database: definition.database.clone(),
            name: definition.name.clone(),
        },
    ]);
    commit.edits.push(Edit::Change(Change::RestoreTable { table: id }));
}

/// The same table under another name; its CREATE text follows.
pub(super) fn renamed(old: &TableDefinition, to: &Name) -> Result<Arc<TableDefinition>> {
    let mut definition = old.clone();
    definition.database = to.0.clone();
    definition.name = to.1.clone();
    let name = TableName { database: Some(to.0.clone()), name: to.1.clone() };
    let mut statement = sql::parse_statement(&definition.create_query)?.statement;
    match &mut statement {
        Statement::CreateTable(create) => create.name = name,
        Statement::CreateView(create) => create.name = name,
        _ => {}
    }
    definition.create_query = format::statement(&statement, true);
    Ok(Arc::new(definition))
}
