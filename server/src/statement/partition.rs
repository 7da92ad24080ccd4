//! ALTER TABLE commands about partitions and parts: DROP, DETACH, ATTACH, REPLACE, MOVE, FREEZE.
//! Each is one commit.

use std::sync::Arc;

use pumphouse_query::bind::bind_expression;
use pumphouse_query::error::codes;
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::sql::ast::{AlterCommand, Expr, ExprKind};
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result, execute};
use pumphouse_storage::log::{
    Change, Commit, Edit, PartMeta, Precondition, Rejection, Table, TableDefinition,
};
use pumphouse_storage::mutation::copy::copy_part;
use pumphouse_storage::part::PendingPart;
use pumphouse_storage::table::key::partition_id;
use pumphouse_storage::{Block, DataType};

use super::Run;
use super::alter_words::{Kept, PartitionCommand, Which, kept};

/// Tries on ever new snapshots when parts are merged meanwhile.
const ATTEMPTS_MAX: usize = 50;

impl Run<'_> {
    pub(super) fn partition_command(
        &mut self,
        database: &str,
        name: &str,
        command: &AlterCommand,
    ) -> Result<()> {
        let table = self.table_now(database, name)?;
        if !table.definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Table storage {} doesn't support partitioning", table.definition.engine),
            ));
        }
        if let AlterCommand::DropPartition { partition, detach, is_part } = command {
            return match is_part {
                true => self.drop_part(&table, &part_name(partition)?, *detach),
                false => self.drop_partition(&table, partition, *detach),
            };
        }
        let AlterCommand::Other(text) = command else { return Err(unknown(command)) };
        match kept(text) {
            Some(Kept::Partition(command)) => self.kept_partition_command(&table, command),
            _ => Err(unknown(command)),
        }
    }

    fn kept_partition_command(
        &mut self,
        table: &Arc<Table>,
        command: PartitionCommand,
    ) -> Result<()> {
        match command {
            PartitionCommand::Attach(which) => self.attach_parts(table, &which),
            PartitionCommand::DropDetached(which) => self.drop_detached(table, &which),
            PartitionCommand::From { which, table: (database, source), replace } => {
                let database = self.database(&database).to_string();
                self.copy_partition(&(database, source), table, &which, replace)
            }
            PartitionCommand::MoveToTable { which, table: (database, target) } => {
                let database = self.database(&database).to_string();
                self.move_partition(table, &(database, target), &which)
            }
            PartitionCommand::Freeze { which, name } => {
                let partition = match &which {
                    Some(Which::Partition(expr)) => self.partition_id(&table.definition, expr)?,
                    _ => None,
                };
                super::freeze::freeze(self.server, table, partition.as_deref(), name.as_deref())
            }
            PartitionCommand::Unfreeze { name } => super::freeze::unfreeze(self.server, &name),
        }
    }

    /// The id of the partition that `expr` means; None for ALL.
    pub(super) fn partition_id(
        &self,
        definition: &TableDefinition,
        expr: &Expr,
    ) -> Result<Option<String>> {
        match &expr.kind {
            ExprKind::Identifier(parts) if parts == &["ALL"] => return Ok(None),
            ExprKind::Call(call) if call.name == "ID" => {
                let id = call.arguments.first().map(part_name).transpose()?;
                return Ok(Some(id.unwrap_or_default()));
            }
            _ => {}
        }
        let types = self.partition_types(definition)?;
        let values: Vec<&Expr> = match &expr.kind {
            ExprKind::Call(call) if call.name == "tuple" => call.arguments.iter().collect(),
            _ => vec![expr],
        };
        if values.len() != types.len() {
            return Err(Error::new(
                codes::INVALID_PARTITION_VALUE,
                format!(
                    "Wrong number of fields in the partition expression: {}, must be: {}.",
                    values.len(),
                    types.len()
                ),
            ));
        }
        let fields = values
            .iter()
            .zip(&types)
            .map(|(value, data_type)| {
                let bound = bind_expression(value, &[], self.context)?;
                let column = execute::evaluate(&bound, &Block::of_rows(1), self.context)?;
                let cast = cast_column(&column, data_type, self.context).map_err(|_| {
                    Error::new(
                        codes::TYPE_MISMATCH,
                        format!("Cannot convert {} to type {data_type}.", format::expr(value)),
                    )
                })?;
                Ok((data_type.clone(), cast.value(0)))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(partition_id(&fields)))
    }

    fn partition_types(&self, definition: &TableDefinition) -> Result<Vec<DataType>> {
        let schema = definition.schema();
        let key = definition.partition_key.iter();
        key.map(|text| {
            let expr = sql::parse_expression(text)?;
            Ok(bind_expression(&expr, &schema, self.context)?.data_type())
        })
        .collect()
    }

    fn drop_partition(&mut self, table: &Arc<Table>, partition: &Expr, detach: bool) -> Result<()> {
        let partition_id = self.partition_id(&table.definition, partition)?;
        let id = table.definition.uuid;
        let change = Change::RemovePartition { table: id, partition_id, detach };
        self.server.commit_ddl(Commit {
            preconditions: vec![Precondition::TableUnchanged {
                table: id,
                definition_version: table.definition_version,
            }],
            edits: vec![Edit::Change(change)],
        })?;
        Ok(())
    }

    fn drop_part(&mut self, table: &Arc<Table>, name: &str, detach: bool) -> Result<()> {
        check_part_name(name)?;
        let id = table.definition.uuid;
        let Some(part) = table.parts.iter().find(|p| p.name() == name) else {
            return Err(Error::new(
                codes::NO_SUCH_DATA_PART,
                format!("No part {name} in committed state."),
            ));
        };
        let edit = match detach {
            true => Edit::Change(Change::DetachPart { table: id, part: part.id }),
            false => Edit::RemovePart { table: id, part: part.id },
        };
        self.server.commit_ddl(Commit {
            preconditions: vec![Precondition::PartsLive { table: id, parts: vec![part.id] }],
            edits: vec![edit],
        })?;
        Ok(())
    }

    /// The detached parts that are meant.
    fn detached(&self, table: &Table, which: &Which) -> Result<Vec<Arc<PartMeta>>> {
        let all = table.changes.detached_parts.iter();
        match which {
            Which::Part(name) => {
                check_part_name(name)?;
                let found: Vec<_> = all.filter(|p| p.name() == *name).cloned().collect();
                if found.is_empty() {
                    return Err(Error::new(
                        codes::BAD_DATA_PART_NAME,
                        format!("No detached part {name}"),
                    ));
                }
                Ok(found)
            }
            Which::Partition(expr) => {
                let id = self.partition_id(&table.definition, expr)?;
                let meant = |p: &&Arc<PartMeta>| id.as_ref().is_none_or(|id| p.partition_id == *id);
                Ok(all.filter(meant).cloned().collect())
            }
        }
    }

    fn attach_parts(&mut self, table: &Arc<Table>, which: &Which) -> Result<()> {
        let parts = self.detached(table, which)?;
        // A part written under another key may be out of order, or in several partitions.
        for part in &parts {
            let reader = self.server.store.part(part)?;
            let keys = reader.partition_values().into_iter().map(|(text, _)| text);
            if !keys.eq(table.definition.partition_key.iter().cloned()) {
                return Err(Error::new(
                    codes::INCOMPATIBLE_COLUMNS,
                    format!("Part {} was written under another partition key", part.name()),
                ));
            }
        }
        self.change_detached(table, &parts, |table, part| Change::AttachPart { table, part })
    }

    fn drop_detached(&mut self, table: &Arc<Table>, which: &Which) -> Result<()> {
        if self.context.settings.u64("allow_drop_detached", 0) == 0 {
            return Err(Error::new(
                codes::SUPPORT_IS_DISABLED,
                "Cannot execute query: DROP DETACHED PART is disabled (see allow_drop_detached setting).",
            ));
        }
        let parts = self.detached(table, which)?;
        self.change_detached(table, &parts, |table, part| Change::DropDetachedPart { table, part })
    }

    fn change_detached(
        &mut self,
        table: &Arc<Table>,
        parts: &[Arc<PartMeta>],
        change: impl Fn(uuid::Uuid, pumphouse_storage::log::PartId) -> Change,
    ) -> Result<()> {
        let id = table.definition.uuid;
        let mut commit = Commit {
            preconditions: vec![Precondition::TableUnchanged {
                table: id,
                definition_version: table.definition_version,
            }],
            edits: vec![],
        };
        for part in parts {
            commit.preconditions.push(Precondition::PartDetached { table: id, part: part.id });
            commit.edits.push(Edit::Change(change(id, part.id)));
        }
        self.server.commit_ddl(commit)?;
        Ok(())
    }

    /// The live parts that are meant.
    fn live(&self, table: &Table, which: &Which) -> Result<(Vec<Arc<PartMeta>>, Option<String>)> {
        let (parts, id) = match which {
            Which::Part(name) => {
                let found: Vec<_> =
                    table.parts.iter().filter(|p| p.name() == *name).cloned().collect();
                if found.is_empty() {
                    return Err(Error::new(
                        codes::NO_SUCH_DATA_PART,
                        format!("No part {name} in committed state."),
                    ));
                }
                (found, None)
            }
            Which::Partition(expr) => {
                let id = self.partition_id(&table.definition, expr)?;
                let meant = |p: &&Arc<PartMeta>| id.as_ref().is_none_or(|id| p.partition_id == *id);
                (table.parts.iter().filter(meant).cloned().collect(), id)
            }
        };
        Ok((parts, id))
    }

    /// ATTACH and REPLACE PARTITION … FROM.
    fn copy_partition(
        &mut self,
        source: &(String, String),
        target: &Arc<Table>,
        which: &Which,
        replace: bool,
    ) -> Result<()> {
        let from = self.table_now(&source.0, &source.1)?;
        check_same_structure(&from.definition, &target.definition)?;
        self.require_mutations_done(&from)?;
        let from = self.table_now(&source.0, &source.1)?;
        let (parts, partition_id) = self.live(&from, which)?;
        let empty_allowed = "allow_replace_partition_from_empty_source";
        if replace && parts.is_empty() && !self.context.settings.bool(empty_allowed, false) {
            let partition = partition_id.as_deref().unwrap_or("ALL");
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Source table {} has no parts in partition {partition}: refusing `REPLACE PARTITION` because it would silently drop the destination partition's data. Set `{empty_allowed} = 1` to do it, or use `ALTER TABLE ... DROP PARTITION`",
                    from.definition.full_name()
                ),
            ));
        }
        let copies = self.copy_all(&from, &parts, target)?;
        let id = target.definition.uuid;
        let mut commit = Commit {
            preconditions: vec![Precondition::TableUnchanged {
                table: id,
                definition_version: target.definition_version,
            }],
            edits: vec![],
        };
        if replace {
            let change = Change::RemovePartition { table: id, partition_id, detach: false };
            commit.edits.push(Edit::Change(change));
        }
        self.server.store.commit(commit, copies)?;
        self.server.merges.wake();
        Ok(())
    }

    fn copy_all(
        &self,
        from: &Arc<Table>,
        parts: &[Arc<PartMeta>],
        to: &Arc<Table>,
    ) -> Result<Vec<PendingPart>> {
        let mut copies = vec![];
        for part in parts {
            self.context.check()?;
            copies.extend(copy_part(&self.server.store, from, part, to)?);
        }
        Ok(copies)
    }

    fn require_mutations_done(&self, table: &Table) -> Result<()> {
        match table.mutations_done() {
            true => Ok(()),
            false => self.wait_for_mutations(table.definition.uuid, table.changes.last_mutation),
        }
    }

    fn move_partition(
        &mut self,
        source: &Arc<Table>,
        target: &(String, String),
        which: &Which,
    ) -> Result<()> {
        let name = (source.definition.database.clone(), source.definition.name.clone());
        for _ in 0..ATTEMPTS_MAX {
            let from = self.table_now(&name.0, &name.1)?;
            let to = self.table_now(&target.0, &target.1)?;
            check_same_structure(&from.definition, &to.definition)?;
            self.require_mutations_done(&from)?;
            let (parts, _) = self.live(&from, which)?;
            let copies = self.copy_all(&from, &parts, &to)?;
            let id = from.definition.uuid;
            let unchanged = |t: &Table| Precondition::TableUnchanged {
                table: t.definition.uuid,
                definition_version: t.definition_version,
            };
            let edits = parts.iter().map(|p| Edit::RemovePart { table: id, part: p.id }).collect();
            let commit = Commit {
                preconditions: vec![
                    unchanged(&from),
                    unchanged(&to),
                    Precondition::MutationsDone { table: id },
                    Precondition::PartsAs { table: id, parts },
                ],
                edits,
            };
            match self.server.store.commit(commit, copies) {
                Ok(_) => {
                    self.server.merges.wake();
                    return Ok(());
                }
                Err(pumphouse_storage::Error::Rejected(
                    Rejection::PartGone(_)
                    | Rejection::DefinitionChanged(_)
                    | Rejection::MutationsPending(_),
                )) => continue,
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::new(codes::ABORTED, "The parts were merged again and again meanwhile"))
    }

    /// Everything of `source` into `target`, which was made like it: CREATE TABLE … CLONE AS.
    pub(super) fn clone_rows(
        &mut self,
        source: &(String, String),
        target: &Arc<Table>,
    ) -> Result<()> {
        let all = Which::Partition(super::definition::identifier("ALL"));
        self.copy_partition(source, target, &all, false)
    }
}

fn check_same_structure(from: &TableDefinition, to: &TableDefinition) -> Result<()> {
    let columns = |d: &TableDefinition| pumphouse_ingest::insert::stored_schema(d);
    if columns(from) != columns(to) {
        return Err(Error::new(codes::INCOMPATIBLE_COLUMNS, "Tables have different structure."));
    }
    let differ =
        |what: &str| Err(Error::new(codes::BAD_ARGUMENTS, format!("Tables have different {what}")));
    if from.sorting_key != to.sorting_key {
        return differ("ordering");
    }
    if from.partition_key != to.partition_key {
        return differ("partition key");
    }
    if !to.engine.ends_with("MergeTree") {
        return differ("storages");
    }
    let lacks = |p| !to.clauses.projections.contains(p);
    if from.clauses.projections.iter().any(lacks) {
        return differ("projections.");
    }
    Ok(())
}

/// The text of a string literal.
fn part_name(expr: &Expr) -> Result<String> {
    match &expr.kind {
        ExprKind::Literal { value, .. } if value.as_bytes().is_some() => {
            Ok(String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned())
        }
        _ => Err(Error::new(codes::BAD_ARGUMENTS, "A name in quotes is expected")),
    }
}

/// `<partition>_<min>_<max>_<level>[_<mutation>]`.
fn check_part_name(name: &str) -> Result<()> {
    let numbers = name.split('_').rev().take_while(|t| t.parse::<u64>().is_ok()).count();
    if numbers >= 3 && name.split('_').count() >= 4 {
        return Ok(());
    }
    Err(Error::new(
        codes::BAD_DATA_PART_NAME,
        format!("Unexpected part name: {name} for format version: 1."),
    ))
}

fn unknown(command: &AlterCommand) -> Error {
    Error::new(
        codes::NOT_IMPLEMENTED,
        format!("ALTER TABLE … {} is not supported", format::alter_command(command)),
    )
}
