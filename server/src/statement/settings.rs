//! Settings of statements: SET and SETTINGS, and whether `readonly` and `allow_ddl` let a statement run.

use pumphouse_query::error::codes;
use pumphouse_query::sql::access::AccessStatement;
use pumphouse_query::sql::ast::Statement;
use pumphouse_query::{Error, Result};

use super::{Run, kind_of};

impl Run<'_> {
    /// Error 164 for a statement that writes while `readonly` holds, 392 for DDL without `allow_ddl`.
    pub(super) fn require_allowed(&self, statement: &Statement) -> Result<()> {
        let settings = &self.context.settings;
        let user = &self.context.user;
        let level = settings.u64("readonly", 0);
        if level > 0 && writes(statement) && !(level > 1 && self.is_own(statement)) {
            let why = match self.request.readonly {
                true => {
                    " For queries over HTTP, method GET implies readonly. You should use method POST for \
                         modifying queries."
                }
                false => "",
            };
            let message = format!("{user}: Cannot execute query in readonly mode.{why}");
            return Err(Error::new(codes::READONLY, message));
        }
        if !settings.bool("allow_ddl", true) && is_ddl(statement) {
            let message =
                format!("Cannot execute query. DDL queries are prohibited for the user {user}");
            return Err(Error::new(codes::QUERY_IS_PROHIBITED, message));
        }
        Ok(())
    }

    /// Whether a statement changes nothing but what is the session's own, or stops its user's queries.
    fn is_own(&self, statement: &Statement) -> bool {
        match statement {
            Statement::CreateTable(create) => create.temporary,
            Statement::Drop { kind, names, temporary, .. } => {
                *temporary || self.names_temporary(*kind, names)
            }
            Statement::Truncate { kind, name, .. } => {
                self.names_temporary(*kind, std::slice::from_ref(name))
            }
            Statement::Insert(insert) => {
                insert.table.as_ref().is_some_and(|name| self.temporary(name).is_some())
            }
            Statement::KillQuery { mutation, .. } => !mutation,
            _ => false,
        }
    }
}

fn writes(statement: &Statement) -> bool {
    !matches!(
        statement,
        Statement::Query(_)
            | Statement::Explain(_)
            | Statement::Describe { .. }
            | Statement::Exists { .. }
            | Statement::Show(_)
            | Statement::Set(_)
            | Statement::Use(_)
    ) && !matches!(statement, Statement::Access(access)
        if matches!(**access, AccessStatement::SetRole(_) | AccessStatement::CheckGrant(_)))
}

fn is_ddl(statement: &Statement) -> bool {
    let kinds = ["Create", "Drop", "Alter", "Rename", "Detach", "Attach"];
    kinds.contains(&kind_of(statement))
        || matches!(statement, Statement::Other(text) if ["CREATE", "DROP", "UNDROP"].iter().any(|w| text.starts_with(w)))
}
