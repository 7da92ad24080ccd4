//! CREATE, ALTER and DROP NAMED COLLECTION: values under a name, for engines to refer to.
//!
//! They live in the log. When one changes, the definitions that stand on it change in the same commit, and
//! their consumers go on under the new values; what a definition stands on cannot be dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_ingest::kafka;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, Edit, NamedValue, Precondition, State};

use super::Run;
use super::kafka_engine::{COLLECTION, NAMED_COLLECTION_DOESNT_EXIST, rebase};
use super::words::Words;

const ALREADY_EXISTS: u32 = 670;
const TOO_MANY: u32 = 758;
const IS_USED: u32 = 769;

const COLLECTIONS_MAX: usize = 10_000;

type Values = BTreeMap<String, NamedValue>;

impl Run<'_> {
    pub(super) fn create_named_collection(&mut self, mut words: Words<'_>) -> Result<()> {
        let if_not_exists = words.keyword("IF NOT EXISTS");
        let name = words.name()?;
        on_cluster(&mut words)?;
        words.expect_keyword("AS")?;
        let mut values = Values::new();
        loop {
            let (key, value) = assignment(&mut words)?;
            if values.insert(key.clone(), value).is_some() {
                let message = format!("Key '{key}' is given twice");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
            if !words.symbol(",") {
                break;
            }
        }
        end(&words)?;
        let state = self.server.store.snapshot();
        if state.named_collections.contains_key(&name) {
            return match if_not_exists {
                true => Ok(()),
                false => Err(Error::new(
                    ALREADY_EXISTS,
                    format!("A named collection `{name}` already exists"),
                )),
            };
        }
        if state.named_collections.len() >= COLLECTIONS_MAX {
            let message = format!("There are {COLLECTIONS_MAX} named collections already");
            return Err(Error::new(TOO_MANY, message));
        }
        let edits = vec![Edit::PutNamedCollection { name, values }];
        self.server.commit_ddl(Commit { preconditions: vec![], edits }).map(|_| ())
    }

    pub(super) fn alter_named_collection(&mut self, mut words: Words<'_>) -> Result<()> {
        let if_exists = words.keyword("IF EXISTS");
        let name = words.name()?;
        on_cluster(&mut words)?;
        let (mut set, mut deleted) = (vec![], vec![]);
        if words.keyword("SET") {
            set.push(assignment(&mut words)?);
            while words.symbol(",") {
                set.push(assignment(&mut words)?);
            }
        }
        if words.keyword("DELETE") {
            deleted.push(key_of(&mut words)?);
            while words.symbol(",") {
                deleted.push(key_of(&mut words)?);
            }
        }
        if set.is_empty() && deleted.is_empty() {
            words.expect_keyword("SET")?;
        }
        end(&words)?;
        let state = self.server.store.snapshot();
        let Some(old) = state.named_collections.get(&name) else {
            return if if_exists { Ok(()) } else { Err(missing("update", &name)) };
        };
        let mut values = Values::clone(old);
        for (key, mut value) in set {
            value.overridable = value.overridable.or(values.get(&key).and_then(|v| v.overridable));
            values.insert(key, value);
        }
        for key in deleted {
            if values.remove(&key).is_none() {
                let message =
                    format!("Cannot delete key `{key}` because it does not exist in collection");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
        }
        let (preconditions, mut edits) = followers(&state, &name, &values)?;
        edits.push(Edit::PutNamedCollection { name, values });
        self.server.commit_ddl(Commit { preconditions, edits }).map(|_| ())
    }

    pub(super) fn drop_named_collection(&mut self, mut words: Words<'_>) -> Result<()> {
        let if_exists = words.keyword("IF EXISTS");
        let name = words.name()?;
        on_cluster(&mut words)?;
        end(&words)?;
        let state = self.server.store.snapshot();
        if !state.named_collections.contains_key(&name) {
            return if if_exists { Ok(()) } else { Err(missing("remove", &name)) };
        }
        let user =
            state.tables.values().find(|t| t.definition.settings.get(COLLECTION) == Some(&name));
        if let Some(user) = user {
            let message = format!(
                "Named collection `{name}` is used by table {}",
                user.definition.full_name()
            );
            return Err(Error::new(IS_USED, message));
        }
        let edits = vec![Edit::DropNamedCollection { name }];
        self.server.commit_ddl(Commit { preconditions: vec![], edits }).map(|_| ())
    }
}

/// The definitions that stand on the collection, with its new values.
fn followers(state: &State, name: &str, values: &Values) -> Result<(Vec<Precondition>, Vec<Edit>)> {
    let (mut preconditions, mut edits) = (vec![], vec![]);
    for (uuid, table) in &state.tables {
        if table.definition.settings.get(COLLECTION).map(String::as_str) != Some(name) {
            continue;
        }
        let mut definition = (*table.definition).clone();
        rebase(&mut definition.settings, values);
        kafka::KafkaSettings::from_settings(&definition.settings)?;
        preconditions.push(Precondition::TableUnchanged {
            table: *uuid,
            definition_version: table.definition_version,
        });
        edits.push(Edit::AlterTable { definition: Arc::new(definition) });
    }
    Ok((preconditions, edits))
}

fn missing(verb: &str, name: &str) -> Error {
    Error::new(
        NAMED_COLLECTION_DOESNT_EXIST,
        format!("Cannot {verb} collection `{name}`, because it doesn't exist"),
    )
}

fn on_cluster(words: &mut Words<'_>) -> Result<()> {
    if words.keyword("ON CLUSTER") {
        let message = "ON CLUSTER is not supported: this is one server";
        return Err(Error::new(codes::NOT_IMPLEMENTED, message));
    }
    Ok(())
}

fn end(words: &Words<'_>) -> Result<()> {
    match words.at_end() {
        true => Ok(()),
        false => Err(Error::new(codes::SYNTAX_ERROR, "Syntax error: unexpected words at the end")),
    }
}

/// A key may have dots.
fn key_of(words: &mut Words<'_>) -> Result<String> {
    let mut key = words.name()?;
    while words.symbol(".") {
        key = format!("{key}.{}", words.name()?);
    }
    Ok(key)
}

fn assignment(words: &mut Words<'_>) -> Result<(String, NamedValue)> {
    let key = key_of(words)?;
    words.expect_symbol("=")?;
    let text = words.literal()?;
    let overridable = match (words.keyword("NOT OVERRIDABLE"), words.keyword("OVERRIDABLE")) {
        (true, _) => Some(false),
        (_, true) => Some(true),
        _ => None,
    };
    Ok((key, NamedValue { text, overridable }))
}
