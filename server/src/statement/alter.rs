//! ALTER TABLE: commands are sorted into changes of the definition, of rows (mutations) and of
//! partitions. The first two go into one commit; partition commands are one commit each.
//!
//! The definition is changed as a tree ([`super::alter_draft`]) and made anew from it, so that SHOW
//! CREATE and what the engine does cannot differ. Column ids stay with their columns.

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Alter, AlterCommand, Query, Statement};
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{
    Change, Commit, Edit, Mutation, MutationAction, MutationCommand, Precondition, Rejection,
    Table, TableDefinition,
};
use pumphouse_storage::scan;
use uuid::Uuid;

use super::Run;
use super::alter_draft::Draft;
use super::alter_words::{self, Kept};
use super::mutation::materialize_actions;

/// Tries on ever new versions of the table before giving up.
const ATTEMPTS_MAX: usize = 20;

impl Run<'_> {
    pub(super) fn alter(&mut self, alter: &Alter) -> Result<()> {
        let database = self.database(&alter.name.database).to_string();
        let name = alter.name.name.clone();
        if self.server.store.snapshot().table(&database, &name).is_none() {
            self.require_database(&database)?;
            return Err(Error::new(codes::UNKNOWN_TABLE, format!("Could not find table: {name}")));
        }
        self.alter_buffer(&self.table_now(&database, &name)?, &alter.commands)?;
        if let [AlterCommand::ModifyQuery(query)] = &alter.commands[..] {
            return self.modify_query(&database, &name, query);
        }
        let (partition, others): (Vec<&AlterCommand>, Vec<&AlterCommand>) =
            alter.commands.iter().partition(|c| is_partition_command(c));
        // Rows are changed as the definition was, so before it loses or renames what they name.
        let (rows, definition): (Vec<&AlterCommand>, Vec<&AlterCommand>) =
            others.iter().copied().partition(|c| changes_rows(c));
        if !rows.is_empty() && definition.iter().any(|c| changes_columns(c)) {
            let table = self.table_now(&database, &name)?;
            self.draft_of(&table, &definition)?;
            self.alter_definition(&database, &name, &rows)?;
            self.alter_definition(&database, &name, &definition)?;
        } else if !others.is_empty() {
            self.alter_definition(&database, &name, &others)?;
        }
        for command in partition {
            self.partition_command(&database, &name, command)?;
        }
        Ok(())
    }

    /// What the commands make of the table's definition; nothing is changed yet.
    fn draft_of(&mut self, table: &Arc<Table>, commands: &[&AlterCommand]) -> Result<()> {
        let mut draft = Draft::of(self, table)?;
        for command in commands {
            draft.apply(self, command)?;
        }
        let (definition, effects) = draft.finish(self)?;
        self.check_conversions(table, &definition, &effects.converted)
    }

    /// The table as it is now.
    pub(super) fn table_now(&self, database: &str, name: &str) -> Result<Arc<Table>> {
        let state = self.server.store.snapshot();
        state.table(database, name).cloned().ok_or_else(|| self.unknown_table(database, name))
    }

    fn alter_definition(
        &mut self,
        database: &str,
        name: &str,
        commands: &[&AlterCommand],
    ) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let table = self.table_now(database, name)?;
            match self.try_alter(&table, commands) {
                Err(Error::Storage(pumphouse_storage::Error::Rejected(
                    Rejection::DefinitionChanged(_),
                ))) => continue,
                Err(Error::Storage(pumphouse_storage::Error::Rejected(
                    Rejection::MutationsPending(_),
                ))) => {
                    self.wait_for_mutations(table.definition.uuid, table.changes.last_mutation)?
                }
                other => return other,
            }
        }
        Err(Error::new(codes::ABORTED, "The table was changed again and again meanwhile"))
    }

    fn try_alter(&mut self, table: &Arc<Table>, commands: &[&AlterCommand]) -> Result<()> {
        let id = table.definition.uuid;
        let mut commit = Commit {
            preconditions: vec![Precondition::TableUnchanged {
                table: id,
                definition_version: table.definition_version,
            }],
            edits: vec![],
        };
        let mut mutations = vec![];
        let mut draft: Option<Draft> = None;
        // Changes of rows that follow from changes of the definition are waited for.
        let mut wait = false;
        for command in commands.iter().filter(|c| !changes_rows(c)) {
            let draft = match &mut draft {
                Some(draft) => draft,
                None => draft.insert(Draft::of(self, table)?),
            };
            draft.apply(self, command)?;
        }
        // Rows may be changed by what the same statement adds.
        let mut later = table.clone();
        let finished = draft.map(|draft| draft.finish(self)).transpose()?;
        if let Some((definition, _)) = &finished {
            later = Arc::new(Table { definition: definition.clone(), ..(**table).clone() });
        }
        for command in commands.iter().filter(|c| changes_rows(c)) {
            wait |= matches!(command, AlterCommand::ClearColumn { .. });
            mutations.extend(self.mutation_commands(&later, command)?.unwrap_or_default());
        }
        if let Some((definition, effects)) = finished {
            if effects.touches_rows {
                commit.preconditions.push(Precondition::MutationsDone { table: id });
            }
            self.check_conversions(table, &definition, &effects.converted)?;
            if !effects.converted.is_empty() && !table.parts.is_empty() {
                mutations.push(MutationCommand {
                    action: MutationAction::Rewrite,
                    partition_id: None,
                    text: effects.text,
                });
            }
            if self.context.settings.bool("materialize_ttl_after_modify", true)
                && !table.parts.is_empty()
                && has_new_ttl(&table.definition, &definition)
            {
                // The parts are older than the rules; like ClickHouse we wait for them.
                wait = true;
                let text = "(MATERIALIZE TTL)".to_string();
                let actions = materialize_actions(&definition, "TTL", None)?.into_iter();
                mutations.extend(actions.map(|action| MutationCommand {
                    action,
                    partition_id: None,
                    text: text.clone(),
                }));
            }
            commit.edits.push(Edit::AlterTable { definition });
        }
        let mutation = (!mutations.is_empty()).then(|| {
            let now = self.server.clock.now_us();
            Arc::new(Mutation {
                id: Uuid::new_v4(),
                number: 0,
                created_us: now,
                commands: mutations,
            })
        });
        if let Some(mutation) = &mutation {
            let mutation = mutation.clone();
            commit.edits.push(Edit::Change(Change::AddMutation { table: id, mutation }));
        }
        if commit.edits.is_empty() {
            return Ok(());
        }
        self.server.commit_ddl(commit)?;
        match mutation {
            Some(mutation) => self.after_mutation(id, mutation.id, wait),
            None => Ok(()),
        }
    }

    /// Reads every converted column of every part once: a value that does not convert fails the
    /// statement instead of all reads after it.
    fn check_conversions(
        &self,
        table: &Arc<Table>,
        definition: &Arc<TableDefinition>,
        converted: &[String],
    ) -> Result<()> {
        if converted.is_empty() {
            return Ok(());
        }
        let state = self.server.store.snapshot();
        let mut new = (**table).clone();
        new.definition = definition.clone();
        let scan = scan::open(&self.server.store, state, &Arc::new(new), converted, &[])?;
        for morsel in 0..scan.morsel_count() {
            self.context.check()?;
            scan.read(morsel, converted, None)?;
        }
        Ok(())
    }

    /// ALTER TABLE view MODIFY QUERY SELECT …
    fn modify_query(&mut self, database: &str, name: &str, query: &Query) -> Result<()> {
        let table = self.table_now(database, name)?;
        let old = &table.definition;
        if old.engine != "MaterializedView" {
            return Err(not_supported("MODIFY_QUERY", &old.engine));
        }
        let Statement::CreateView(mut create) = sql::parse_statement(&old.create_query)?.statement
        else {
            return Err(not_supported("MODIFY_QUERY", &old.engine));
        };
        let mut query = query.clone();
        super::create::qualify(&mut query, database);
        let catalog = self.catalog();
        let schema = pumphouse_query::bind::analyze_query(&query, &catalog, self.context)?.schema;
        let source = super::create::source_of(&query).ok_or_else(|| {
            Error::new(
                codes::QUERY_NOT_ALLOWED,
                "A materialized view must read from a table in its FROM clause",
            )
        })?;
        if let Some(target) = &old.target {
            self.check_target(target, &schema)?;
        }
        create.select = query;
        let mut definition = (**old).clone();
        definition.select = Some(format::query(&create.select, false));
        definition.source = Some(source);
        definition.create_query = format::statement(&Statement::CreateView(create), true);
        let commit = Commit {
            preconditions: vec![Precondition::TableUnchanged {
                table: old.uuid,
                definition_version: table.definition_version,
            }],
            edits: vec![Edit::AlterTable { definition: Arc::new(definition) }],
        };
        self.server.commit_ddl(commit)?;
        Ok(())
    }
}

fn is_partition_command(command: &AlterCommand) -> bool {
    match command {
        AlterCommand::DropPartition { .. } => true,
        AlterCommand::Other(text) => {
            alter_words::kept(text).is_some_and(|kept| matches!(kept, Kept::Partition(_)))
        }
        _ => false,
    }
}

/// Whether the command is about rows, not about the definition.
fn changes_rows(command: &AlterCommand) -> bool {
    match command {
        AlterCommand::Update { .. }
        | AlterCommand::Delete { .. }
        | AlterCommand::ClearColumn { .. } => true,
        AlterCommand::Other(text) => {
            matches!(
                alter_words::kept(text),
                Some(Kept::Materialize { .. } | Kept::Clear { kind: "PROJECTION", .. })
            )
        }
        _ => false,
    }
}

/// Whether the command may take away what a command about rows names.
fn changes_columns(command: &AlterCommand) -> bool {
    matches!(
        command,
        AlterCommand::DropColumn { .. }
            | AlterCommand::RenameColumn { .. }
            | AlterCommand::ModifyColumn { .. }
    )
}

pub(super) fn not_supported(command: &str, engine: &str) -> Error {
    Error::new(
        codes::NOT_IMPLEMENTED,
        format!("Alter of type '{command}' is not supported by storage {engine}"),
    )
}

/// Whether `new` has a rule of when rows or values run out that `old` has not.
fn has_new_ttl(old: &TableDefinition, new: &TableDefinition) -> bool {
    let of_column = |definition: &TableDefinition, id| {
        definition.columns.iter().find(|c| c.id == id).map(|c| c.ttl.clone()).unwrap_or_default()
    };
    let of_table = new.clauses.ttl != old.clauses.ttl && !new.clauses.ttl.is_empty();
    of_table || new.columns.iter().any(|c| !c.ttl.is_empty() && c.ttl != of_column(old, c.id))
}
