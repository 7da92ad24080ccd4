//! The engine Buffer in statements: its arguments in CREATE, columns taken from the destination, and when
//! OPTIMIZE, ALTER, DROP and DETACH write its rows on.

use std::sync::Arc;

use pumphouse_ingest::buffer::{BufferRule, ENGINE};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{
    AlterCommand, CreateTable, EngineClause, Expr, ExprKind, TableName,
};
use pumphouse_query::sql::{format, parse_expression};
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;
use pumphouse_storage::log::{State, Table};

use super::Run;
use super::optimize::Request;

impl Run<'_> {
    /// Names as strings, so that the table means the same for everybody; no database is the current one.
    pub(super) fn settle_buffer(&self, create: &mut CreateTable) -> Result<()> {
        if create.engine.name.as_deref() != Some(ENGINE) {
            return Ok(());
        }
        let current = self.database(&None).to_string();
        for (i, argument) in create.engine.arguments.iter_mut().flatten().take(2).enumerate() {
            let text = match &argument.kind {
                ExprKind::Literal { value: Value::String(bytes), .. } => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                ExprKind::Identifier(parts) => parts.join("."),
                ExprKind::Call(call) if call.name == "currentDatabase" => current.clone(),
                _ => continue,
            };
            let text = if i == 0 && text.is_empty() { current.clone() } else { text };
            *argument = parse_expression(&format::quote_string(text.as_bytes()))?;
        }
        if create.columns.is_empty() && create.as_query.is_none() {
            let word = |i: usize| destination_word(&create.engine, i);
            if let (Some(database), Some(name)) = (word(0), word(1)) {
                let engine = create.engine.clone();
                self.copy_structure(TableName { database: Some(database), name }, create)?;
                create.engine = engine;
            }
        }
        Ok(())
    }

    /// OPTIMIZE of a Buffer table.
    pub(super) fn optimize_buffer(&self, table: &Arc<Table>, request: &Request) -> Result<()> {
        let refused = [
            (request.partition.is_some(), "Partition"),
            (request.final_, "FINAL"),
            (request.deduplicate.is_some(), "DEDUPLICATE"),
            (request.cleanup, "CLEANUP"),
        ];
        if let Some((_, what)) = refused.iter().find(|(given, _)| *given) {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("{what} cannot be specified when optimizing table of type Buffer."),
            ));
        }
        let state = self.server.store.snapshot();
        pumphouse_ingest::buffer::destination(&state, &table.definition, false)?;
        self.flush_buffer(table)
    }

    fn flush_buffer(&self, table: &Arc<Table>) -> Result<()> {
        let inserter = &self.server.inserter;
        inserter.buffers().flush(inserter, table.definition.uuid)
    }

    /// What a Buffer table lets ALTER do; its rows are written before.
    pub(super) fn alter_buffer(&self, table: &Arc<Table>, commands: &[AlterCommand]) -> Result<()> {
        if table.definition.engine != ENGINE {
            return Ok(());
        }
        for command in commands {
            let name = match command {
                AlterCommand::AddColumn { .. }
                | AlterCommand::DropColumn { .. }
                | AlterCommand::ModifyColumn { .. }
                | AlterCommand::CommentColumn { .. }
                | AlterCommand::ModifyComment(_) => continue,
                AlterCommand::RenameColumn { .. } => "RENAME_COLUMN",
                AlterCommand::ModifySetting(_) | AlterCommand::ResetSetting(_) => "MODIFY_SETTING",
                // Rows and partitions have their own answers.
                _ => continue,
            };
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Alter of type '{name}' is not supported by storage Buffer"),
            ));
        }
        self.flush_buffer(table)
    }

    /// The Buffer tables that a DROP or DETACH is about, emptied. Rows whose destination is gone may go;
    /// any other failure keeps the table.
    pub(super) fn empty_buffers(&self, tables: &[Arc<Table>]) -> Result<()> {
        for table in tables {
            match self.flush_buffer(table) {
                Err(e) if ![codes::UNKNOWN_TABLE, codes::INFINITE_LOOP].contains(&e.code()) => {
                    return Err(e);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// After the commit that took the tables away: what came meanwhile is written, then nothing is known
    /// of them.
    pub(super) fn forget_buffers(&self, tables: &[Arc<Table>]) {
        for table in tables {
            let inserter = &self.server.inserter;
            inserter.buffers().forget(inserter, table.definition.uuid);
        }
    }

    /// Those of `names` that are Buffer tables.
    pub(super) fn named_buffers(&self, state: &State, names: &[TableName]) -> Vec<Arc<Table>> {
        let find = |name: &TableName| state.table(self.database(&name.database), &name.name);
        names.iter().filter_map(find).filter(|t| is_buffer(t)).cloned().collect()
    }
}

/// The Buffer tables of a database.
pub(super) fn buffers_of(state: &State, database: &str) -> Vec<Arc<Table>> {
    let tables = state.tables.values();
    tables.filter(|t| t.definition.database == database && is_buffer(t)).cloned().collect()
}

fn is_buffer(table: &Arc<Table>) -> bool {
    table.definition.engine == ENGINE
}

/// Checks the arguments, settled before.
pub(super) fn check(definition: &pumphouse_storage::log::TableDefinition) -> Result<()> {
    BufferRule::of(definition).map(|_| ())
}

fn destination_word(engine: &EngineClause, at: usize) -> Option<String> {
    let argument: &Expr = engine.arguments.as_ref()?.get(at)?;
    match &argument.kind {
        ExprKind::Literal { value, .. } => {
            value.as_bytes().map(|b| String::from_utf8_lossy(b).into_owned())
        }
        _ => None,
    }
}
