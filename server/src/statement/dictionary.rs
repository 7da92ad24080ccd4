//! CREATE, DROP and RELOAD of dictionaries. A definition is in the log like a table's, as its canonical
//! text; content is loaded when it is first asked for.

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ObjectKind, SystemCommand, TableName};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{ColumnDefinition, State, Table, TableDefinition};
use uuid::Uuid;

use super::Run;
use crate::dictionaries::definition::DictionaryDefinition;
use crate::dictionaries::{dependents, find, is_dictionary};

pub(super) fn is_create(text: &str) -> bool {
    let mut words = text.split(' ').map(str::to_ascii_uppercase);
    let mut next = || words.next().unwrap_or_default();
    match (next().as_str(), next().as_str()) {
        ("CREATE", "DICTIONARY") => true,
        ("CREATE", "OR") => next() == "REPLACE" && next() == "DICTIONARY",
        _ => false,
    }
}

impl Run<'_> {
    pub(super) fn create_dictionary(&mut self, text: &str) -> Result<()> {
        let dictionary = DictionaryDefinition::parse(text, &self.context.database)?;
        let (database, name) = (dictionary.database.clone(), dictionary.name.clone());
        self.require_database(&database)?;
        let state = self.server.store.snapshot();
        if let Some(old) = state.table(&database, &name) {
            if dictionary.if_not_exists {
                return Ok(());
            }
            if !dictionary.or_replace {
                return Err(Error::new(
                    codes::DICTIONARY_ALREADY_EXISTS,
                    format!("Dictionary {database}.{name} already exists."),
                ));
            }
            if !is_dictionary(old) {
                return Err(not_a_dictionary(old));
            }
        }
        let columns = dictionary.columns.iter().enumerate();
        let definition = TableDefinition {
            uuid: Uuid::new_v4(),
            engine: "Dictionary".into(),
            columns: columns
                .map(|(i, c)| ColumnDefinition {
                    id: i as u32,
                    name: c.name.clone(),
                    data_type: c.data_type.clone(),
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
            comment: dictionary.comment.clone(),
            create_query: dictionary.text(&database, &name),
            clauses: Default::default(),
            database,
            name,
        };
        let commit = self.creation(&Arc::new(definition), dictionary.or_replace);
        self.commit_create(commit, dictionary.if_not_exists)
    }

    /// Whether `table` may be dropped by a statement that names this kind of object.
    pub(super) fn check_drop(&self, state: &State, kind: ObjectKind, table: &Table) -> Result<()> {
        let definition = &table.definition;
        match (kind, is_dictionary(table)) {
            (ObjectKind::Dictionary, false) => return Err(not_a_dictionary(table)),
            (ObjectKind::Table, true) => {
                return Err(Error::new(
                    codes::CANNOT_DETACH_DICTIONARY_AS_TABLE,
                    format!(
                        "Cannot drop/detach dictionary {} as table, use DROP DICTIONARY or DETACH DICTIONARY query instead.",
                        definition.full_name()
                    ),
                ));
            }
            _ => {}
        }
        let readers = dependents(state, &definition.database, &definition.name);
        if readers.is_empty() || !self.context.settings.bool("check_table_dependencies", true) {
            return Ok(());
        }
        Err(Error::new(
            codes::HAVE_DEPENDENT_OBJECTS,
            format!(
                "Cannot drop or rename {}, because some tables depend on it: {}.",
                definition.full_name(),
                readers.join(", ")
            ),
        ))
    }

    /// SHOW CREATE of a dictionary, under the name it has now.
    pub(super) fn dictionary_text(&self, table: &Table) -> Result<String> {
        let definition = &table.definition;
        let parsed = DictionaryDefinition::parse(&definition.create_query, &definition.database)?;
        Ok(parsed.text(&definition.database, &definition.name))
    }

    /// SYSTEM RELOAD DICTIONARY name.
    pub(super) fn reload_dictionary(&self, command: &SystemCommand) -> Result<()> {
        let Some(TableName { database, name }) = &command.table else {
            return Err(Error::new(codes::SYNTAX_ERROR, "RELOAD DICTIONARY needs a name"));
        };
        let database = self.database(database);
        let state = self.server.store.snapshot();
        match find(&state, database, name) {
            Some(table) => self.server.dictionaries.reload(self.server, table),
            None => Err(pumphouse_query::catalog::unknown_dictionary(name)),
        }
    }
}

fn not_a_dictionary(table: &Table) -> Error {
    Error::new(
        codes::INCORRECT_QUERY,
        format!("Table {} is not a Dictionary", table.definition.full_name()),
    )
}
