//! A table's definition while ALTER changes it: the tree of its CREATE statement, and which id each
//! column has. Commands are applied one by one, each checked against what the earlier ones left.
//!
//! Rules: an id stays with its column through renames and is never given again; what others depend
//! on (keys, defaults, indexes, projections, views) is not dropped. Clauses are in
//! [`super::alter_clauses`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{AlterCommand, ColumnDecl, CreateTable, Expr, ExprKind, Statement};
use pumphouse_query::sql::{self, names_in, replace_names};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{DefaultKind, Table, TableDefinition};
use pumphouse_storage::types::parse_data_type;

use super::Run;
use super::alter::not_supported;
use super::definition::{check_kafka_columns, fill_column_types, hide_secret_settings};

/// The definition under change.
pub(super) struct Draft {
    pub(super) create: CreateTable,
    pub(super) table: Arc<Table>,
    ids: BTreeMap<String, u32>,
    next_id: u32,
    /// Columns added by this statement.
    pub(super) added: BTreeSet<String>,
    /// Columns that one of the commands modified, and the new names of renamed ones: none may be both.
    modified: BTreeSet<String>,
    renamed: BTreeSet<String>,
    /// Settings that this statement gave or took away.
    pub(super) settings: BTreeMap<String, Option<String>>,
    effects: Effects,
}

/// What a change means for rows that are there.
#[derive(Default)]
pub(super) struct Effects {
    /// Names or types that pending mutations may use were changed.
    pub(super) touches_rows: bool,
    /// Columns whose type changed.
    pub(super) converted: Vec<String>,
    /// The commands that did it.
    pub(super) text: String,
}

impl Draft {
    pub(super) fn of(_run: &Run<'_>, table: &Arc<Table>) -> Result<Draft> {
        let definition = &table.definition;
        let Statement::CreateTable(create) =
            sql::parse_statement(&definition.create_query)?.statement
        else {
            return Err(not_supported("ADD_COLUMN", &definition.engine));
        };
        Ok(Draft {
            create: *create,
            table: table.clone(),
            ids: definition.columns.iter().map(|c| (c.name.clone(), c.id)).collect(),
            next_id: table.changes.next_column_id,
            added: BTreeSet::new(),
            modified: BTreeSet::new(),
            renamed: BTreeSet::new(),
            settings: BTreeMap::new(),
            effects: Effects::default(),
        })
    }

    pub(super) fn apply(&mut self, run: &Run<'_>, command: &AlterCommand) -> Result<()> {
        let engine = self.table.definition.engine.clone();
        if engine == "Kafka"
            && !matches!(
                command,
                AlterCommand::ModifySetting(_)
                    | AlterCommand::ResetSetting(_)
                    | AlterCommand::ModifyComment(_)
                    | AlterCommand::AddColumn { .. }
                    | AlterCommand::DropColumn { .. }
                    | AlterCommand::ModifyColumn { .. }
                    | AlterCommand::RenameColumn { .. }
                    | AlterCommand::CommentColumn { .. }
            )
        {
            return Err(not_supported("ALTER", &engine));
        }
        match command {
            AlterCommand::AddColumn { column, if_not_exists, first, after } => {
                self.add_column(run, column, *if_not_exists, *first, after.as_deref())
            }
            AlterCommand::DropColumn { name, if_exists } => self.drop_column(run, name, *if_exists),
            AlterCommand::ModifyColumn { column, if_exists, remove, first, after } => {
                let (first, after) = (*first, after.as_deref());
                match remove {
                    Some(word) => self.remove_property(&column.name, *if_exists, word),
                    None => self.modify_column(run, command, column, *if_exists, first, after),
                }
            }
            AlterCommand::RenameColumn { from, to, if_exists } => {
                self.rename_column(from, to, *if_exists)
            }
            AlterCommand::CommentColumn { name, comment, if_exists } => {
                let Some(at) = self.find(name, "modify", *if_exists)? else { return Ok(()) };
                let comment = Some(comment.clone()).filter(|c| !c.is_empty());
                self.create.columns[at].comment = comment;
                Ok(())
            }
            other => self.apply_clause(run, other),
        }
    }

    /// The changed definition, made as CREATE would make it.
    pub(super) fn finish(mut self, run: &Run<'_>) -> Result<(Arc<TableDefinition>, Effects)> {
        let old = self.table.definition.clone();
        self.create.name.database = Some(old.database.clone());
        let comment = self.create.comment.clone().unwrap_or_default();
        let mut definition = if old.engine == "Kafka" {
            self.kafka_definition(run)?
        } else {
            run.table_definition(self.create)?
        };
        super::projection::check_states(&old, &definition)?;
        definition.uuid = old.uuid;
        definition.comment = comment;
        (definition.target, definition.source) = (old.target.clone(), old.source.clone());
        for column in &mut definition.columns {
            if let Some(id) = self.ids.get(&column.name) {
                column.id = *id;
            }
        }
        Ok((Arc::new(definition), self.effects))
    }

    /// Secrets are only in the old definition, so the settings are changed there.
    fn kafka_definition(&self, run: &Run<'_>) -> Result<TableDefinition> {
        let mut definition = (*self.table.definition).clone();
        definition.columns = run.column_definitions(&self.create.columns)?;
        check_kafka_columns(&definition.columns)?;
        for (name, value) in &self.settings {
            match value {
                Some(value) => definition.settings.insert(name.clone(), value.clone()),
                None => definition.settings.remove(name),
            };
        }
        super::kafka_engine::note_own(
            &mut definition.settings,
            &self.settings,
            &run.server.store.snapshot(),
        );
        pumphouse_ingest::kafka::KafkaSettings::from_settings(&definition.settings)?;
        let mut create = Box::new(self.create.clone());
        fill_column_types(&mut create.columns, &definition.columns);
        hide_secret_settings(&mut create);
        definition.create_query =
            pumphouse_query::sql::format::statement(&Statement::CreateTable(create), true);
        Ok(definition)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.create.columns.iter().position(|c| c.name == name)
    }

    /// Where column `name` stands; an error if it is not there, unless it may be absent.
    fn find(&self, name: &str, to: &str, may_lack: bool) -> Result<Option<usize>> {
        match self.position(name) {
            Some(at) => Ok(Some(at)),
            None if may_lack => Ok(None),
            None => Err(Error::new(
                codes::NOT_FOUND_COLUMN_IN_BLOCK,
                format!("Wrong column name. Cannot find column `{name}` to {to}."),
            )),
        }
    }

    fn add_column(
        &mut self,
        run: &Run<'_>,
        column: &ColumnDecl,
        if_not_exists: bool,
        first: bool,
        after: Option<&str>,
    ) -> Result<()> {
        if self.position(&column.name).is_some() {
            if if_not_exists {
                return Ok(());
            }
            return Err(Error::new(
                codes::DUPLICATE_COLUMN,
                format!(
                    "Cannot add column `{}`: column with this name already exists.",
                    column.name
                ),
            ));
        }
        let at = self.place(first, after)?.unwrap_or(self.create.columns.len());
        self.create.columns.insert(at, column.clone());
        self.ids.insert(column.name.clone(), self.next_id);
        self.next_id = self.next_id.checked_add(1).ok_or_else(|| {
            Error::new(codes::TOO_MANY_COLUMNS, "The table has used up all column ids")
        })?;
        self.added.insert(column.name.clone());
        self.check_default(run, column)
    }

    /// Binds the column's default over the columns of the draft.
    fn check_default(&self, run: &Run<'_>, column: &ColumnDecl) -> Result<()> {
        let Some((_, Some(expr))) = &column.default else { return Ok(()) };
        let schema: Vec<_> = self
            .create
            .columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), parse_data_type(c.data_type.as_ref()?).ok()?)))
            .collect();
        let mut expr = expr.clone();
        if let Some(data_type) = &column.data_type {
            // A constant that is no value of the type is found here.
            let quoted = data_type.replace('\\', "\\\\").replace('\'', "\\'");
            let text = format!("CAST({}, '{quoted}')", sql::format::expr(&expr));
            expr = sql::parse_expression(&text)?;
        }
        pumphouse_query::bind::bind_expression(&expr, &schema, run.context)?;
        Ok(())
    }

    /// Position that FIRST or AFTER name; None without either.
    fn place(&self, first: bool, after: Option<&str>) -> Result<Option<usize>> {
        if first {
            return Ok(Some(0));
        }
        let Some(after) = after else { return Ok(None) };
        match self.position(after) {
            Some(at) => Ok(Some(at + 1)),
            None => Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("Wrong column name. Cannot find column {after} to insert after."),
            )),
        }
    }

    fn drop_column(&mut self, run: &Run<'_>, name: &str, if_exists: bool) -> Result<()> {
        let Some(at) = self.find(name, "drop", if_exists)? else { return Ok(()) };
        let dependent = self.create.columns.iter().find(|c| {
            c.name != name && matches!(&c.default, Some((_, Some(expr))) if uses(expr, name))
        });
        if let Some(dependent) = dependent {
            return Err(Error::new(
                codes::ILLEGAL_COLUMN,
                format!(
                    "Cannot drop column `{name}`, because column `{}` depends on it.",
                    dependent.name
                ),
            ));
        }
        if self.create.columns.len() == 1 {
            return Err(Error::new(codes::BAD_ARGUMENTS, "Cannot drop or clear all columns"));
        }
        self.check_unused("DROP", name)?;
        let definition = &self.table.definition;
        let state = run.server.store.snapshot();
        for view in state.views_of(&definition.database, &definition.name) {
            if super::view_reads(view, name) {
                return Err(forbidden(format!(
                    "Trying to ALTER DROP column {name} which is referenced by materialized view ['{}'].",
                    view.definition.name
                )));
            }
        }
        self.create.columns.remove(at);
        self.ids.remove(name);
        self.added.remove(name);
        self.effects.touches_rows = true;
        Ok(())
    }

    /// Error 524 if a key, an index or the like uses the column. (A projection that loses a column
    /// shows when the definition is made.)
    pub(super) fn check_unused(&self, verb: &str, name: &str) -> Result<()> {
        self.check_key(verb, name)?;
        let refuse = |what: &str| {
            Err(forbidden(format!(
                "Trying to ALTER {verb} column {name} which is referenced by {what}."
            )))
        };
        if let Some(index) = self.create.indexes.iter().find(|i| uses(&i.expr, name)) {
            return refuse(&format!("index `{}`", index.name));
        }
        let clauses = &self.create.engine;
        if clauses.ttl.iter().any(|item| uses(&item.expr, name)) {
            return refuse("the TTL");
        }
        if self.create.constraints.iter().any(|(_, _, expr)| uses(expr, name)) {
            return refuse("a constraint");
        }
        Ok(())
    }

    /// Error 524 if the column is part of a key, or an argument of the engine.
    pub(super) fn check_key(&self, verb: &str, name: &str) -> Result<()> {
        let engine = &self.create.engine;
        let keys = [&engine.order_by, &engine.primary_key, &engine.partition_by, &engine.sample_by];
        let in_key = keys.into_iter().flatten().any(|key| uses(key, name))
            || engine.arguments.iter().flatten().any(|argument| uses(argument, name));
        if !in_key {
            return Ok(());
        }
        Err(forbidden(format!(
            "Trying to ALTER {verb} key {name} column which is a part of key expression."
        )))
    }

    fn modify_column(
        &mut self,
        run: &Run<'_>,
        command: &AlterCommand,
        new: &ColumnDecl,
        if_exists: bool,
        first: bool,
        after: Option<&str>,
    ) -> Result<()> {
        let Some(at) = self.find_to_modify(&new.name, if_exists)? else { return Ok(()) };
        self.modified.insert(new.name.clone());
        if let Some(text) = &new.data_type {
            let mut target = parse_data_type(text)?;
            if new.nullable == Some(true) {
                target = pumphouse_storage::DataType::nullable(target);
            }
            self.convert(at, target, command)?;
        }
        if let Some(default) = &new.default {
            self.create.columns[at].default = Some(default.clone());
            self.check_default(run, &self.create.columns[at])?;
        }
        let column = &mut self.create.columns[at];
        if new.comment.is_some() {
            column.comment = new.comment.clone().filter(|c| !c.is_empty());
        }
        if new.codec.is_some() {
            column.codec = new.codec.clone();
        }
        if new.ttl.is_some() {
            column.ttl = new.ttl.clone();
        }
        if let Some(mut to) = self.place(first, after)? {
            let column = self.create.columns.remove(at);
            to -= usize::from(to > at);
            self.create.columns.insert(to, column);
        }
        Ok(())
    }

    fn find_to_modify(&self, name: &str, if_exists: bool) -> Result<Option<usize>> {
        match self.position(name) {
            None if !if_exists => Err(Error::new(
                codes::NOT_FOUND_COLUMN_IN_BLOCK,
                format!("Wrong column. Cannot find column `{name}` to modify."),
            )),
            Some(_) if self.renamed.contains(name) => Err(renamed_and_modified(name)),
            found => Ok(found),
        }
    }

    /// Gives the column another type. Key columns keep theirs, but for longer enums.
    fn convert(
        &mut self,
        at: usize,
        target: pumphouse_storage::DataType,
        command: &AlterCommand,
    ) -> Result<()> {
        let column = &mut self.create.columns[at];
        let old = column.data_type.as_deref().map(parse_data_type).transpose()?;
        column.data_type = Some(target.to_string());
        column.nullable = None;
        let name = column.name.clone();
        if old.as_ref() == Some(&target) || self.added.contains(&name) {
            return Ok(());
        }
        let is_enum = |t: &pumphouse_storage::DataType| t.to_string().starts_with("Enum");
        let same_values = old
            .as_ref()
            .is_some_and(|old| is_enum(old) && is_enum(&target) && old.arrow() == target.arrow());
        if !same_values && self.check_key("MODIFY", &name).is_err() {
            return Err(forbidden(format!("ALTER of key column {name} is forbidden.")));
        }
        let kind = self.create.columns[at].default.as_ref().map(|(kind, _)| *kind);
        if !matches!(kind, Some(DefaultKind::Alias | DefaultKind::Ephemeral)) {
            self.effects.converted.push(name);
            self.effects.touches_rows = true;
            self.effects.text = sql::format::alter_command(command);
        }
        Ok(())
    }

    fn remove_property(&mut self, name: &str, if_exists: bool, word: &str) -> Result<()> {
        let Some(at) = self.find_to_modify(name, if_exists)? else { return Ok(()) };
        self.modified.insert(name.to_string());
        let column = &mut self.create.columns[at];
        let kind = column.default.as_ref().map(|(kind, _)| *kind);
        let is = |wanted| kind == Some(wanted);
        let had = match word {
            "DEFAULT" => is(DefaultKind::Default),
            "MATERIALIZED" => is(DefaultKind::Materialized),
            "ALIAS" => is(DefaultKind::Alias),
            "EPHEMERAL" => is(DefaultKind::Ephemeral),
            "COMMENT" => true,
            "CODEC" => column.codec.is_some(),
            "TTL" => column.ttl.is_some(),
            _ => !column.settings.is_empty(),
        };
        // What this statement adds is not there yet to lose anything.
        if !had || (self.added.contains(name) && word != "COMMENT") {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Column `{name}` doesn't have {word}, cannot remove it."),
            ));
        }
        match word {
            "COMMENT" => column.comment = None,
            "CODEC" => column.codec = None,
            "TTL" => column.ttl = None,
            "SETTINGS" => column.settings.clear(),
            _ => column.default = None,
        }
        Ok(())
    }

    fn rename_column(&mut self, from: &str, to: &str, if_exists: bool) -> Result<()> {
        let Some(at) = self.find(from, "rename", if_exists)? else { return Ok(()) };
        if self.modified.contains(from) {
            return Err(renamed_and_modified(from));
        }
        if self.position(to).is_some() {
            return Err(Error::new(
                codes::DUPLICATE_COLUMN,
                format!("Cannot rename to `{to}`: column with this name already exists."),
            ));
        }
        self.check_key("RENAME", from)?;
        self.create.columns[at].name = to.to_string();
        self.renamed.insert(to.to_string());
        if let Some(id) = self.ids.remove(from) {
            self.ids.insert(to.to_string(), id);
        }
        if self.added.remove(from) {
            self.added.insert(to.to_string());
        }
        let new = |name: &str| (name == from).then(|| super::definition::identifier(to));
        self.each_expression(&mut |expr| replace_names(expr, &new));
        self.effects.touches_rows = true;
        Ok(())
    }

    /// Every expression over the table's columns, but for keys.
    fn each_expression(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        for column in &mut self.create.columns {
            if let Some((_, Some(expr))) = &mut column.default {
                f(expr);
            }
            column.ttl.iter_mut().for_each(&mut *f);
        }
        self.create.indexes.iter_mut().for_each(|index| f(&mut index.expr));
        self.create.constraints.iter_mut().for_each(|(_, _, expr)| f(expr));
        self.create.engine.ttl.iter_mut().for_each(|item| f(&mut item.expr));
    }
}

pub(super) fn uses(expr: &Expr, name: &str) -> bool {
    names_in(expr).iter().any(|n| n == name || n.split('.').next() == Some(name))
        || matches!(&expr.kind, ExprKind::Identifier(parts) if parts.join(".") == name)
}

fn forbidden(message: String) -> Error {
    Error::new(codes::ALTER_OF_COLUMN_IS_FORBIDDEN, message)
}

fn renamed_and_modified(name: &str) -> Error {
    Error::new(
        codes::NOT_IMPLEMENTED,
        format!("Cannot rename and modify the same column `{name}` in a single ALTER query."),
    )
}
