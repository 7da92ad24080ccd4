//! Statements about access, and whether a statement may run.
//!
//! `needs` says what a statement needs, `reads` which columns its queries read; both are checked once, before
//! anything is done. `entities` makes, changes and drops users, roles and the like, `grants` gives and takes,
//! `roles` chooses, `shown` shows.

mod entities;
mod grants;
mod needs;
mod reads;
mod roles;
mod shown;

pub(super) use roles::chosen_roles;

use pumphouse_query::error::codes;
use pumphouse_query::sql::access::{AccessStatement, EntityKind};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, Edit};

use super::Run;
use crate::access::{DEFAULT_USER, Entity};

impl Run<'_> {
    pub(super) fn access_statement(
        &mut self,
        statement: AccessStatement,
        format: Option<&str>,
    ) -> Result<()> {
        match statement {
            AccessStatement::SetRole(roles) => self.set_role(&roles),
            AccessStatement::CheckGrant(elements) => self.check_grant(&elements, format),
            AccessStatement::Grant(grant) => self.grant(&grant),
            AccessStatement::SetDefaultRole { roles, to } => self.set_default_role(&roles, &to),
            AccessStatement::Drop(drop) => self.drop_entities(&drop),
            definition => self.define(definition),
        }
    }

    /// Changes entities in one commit.
    fn put_entities(&self, changed: &[Entity], dropped: &[uuid::Uuid]) -> Result<()> {
        let mut edits: Vec<Edit> = changed
            .iter()
            .map(|e| Edit::PutAccessEntity { id: e.id, definition: e.text() })
            .collect();
        edits.extend(dropped.iter().map(|id| Edit::DropAccessEntity { id: *id }));
        if !edits.is_empty() {
            self.server.store.commit(Commit { preconditions: vec![], edits }, vec![])?;
        }
        Ok(())
    }
}

fn refuse_cluster(cluster: &Option<String>) -> Result<()> {
    match cluster {
        None => Ok(()),
        Some(_) => {
            let message = "ON CLUSTER is not supported: this is one server";
            Err(Error::new(codes::NOT_IMPLEMENTED, message))
        }
    }
}

/// The storage that entities go to has one name (497 would tell of others).
fn refuse_storage(storage: &Option<String>) -> Result<()> {
    match storage.as_deref() {
        None | Some(crate::access::KEPT) => Ok(()),
        Some(other) => {
            let message = format!("Access storage with name '{other}' is not found");
            Err(Error::new(ACCESS_STORAGE_NOT_FOUND, message))
        }
    }
}

const ACCESS_STORAGE_NOT_FOUND: u32 = 514;

/// Error 495 if a name is of the user that the configuration has.
fn refuse_configured(kind: EntityKind, name: &str, verb: &str) -> Result<()> {
    if kind == EntityKind::User && name == DEFAULT_USER {
        let message = format!(
            "Cannot {verb} user `{name}` in {} because this storage is readonly",
            crate::access::CONFIGURED
        );
        return Err(Error::new(codes::ACCESS_STORAGE_READONLY, message));
    }
    Ok(())
}
