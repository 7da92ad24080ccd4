//! ALTER … UPDATE, DELETE, CLEAR and MATERIALIZE, lightweight DELETE, KILL MUTATION: statements to
//! commands of mutations, and waiting for them.
//!
//! What goes into the log stands alone: ALIAS columns are spelled out, subqueries are replaced by
//! what they give now, so every part sees the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_query::bind::bind_expression;
use pumphouse_query::error::codes;
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::sql::ast::{Alter, AlterCommand, Call, Expr, ExprKind};
use pumphouse_query::sql::{self, format, names_in, replace_names, replace_subqueries};
use pumphouse_query::{Error, Result, execute, prepare};
use pumphouse_storage::log::{
    Change, Commit, DefaultKind, Edit, MutationAction, MutationCommand, Rejection, Table,
    TableDefinition,
};
use pumphouse_storage::mutation::delete::{Deletion, delete};
use pumphouse_storage::{Block, Column, DataType, Value};
use uuid::Uuid;

use super::Run;
use super::alter_draft::uses;
use super::alter_words::{Kept, kept};

/// Values that a subquery may give to a mutation.
const SET_ROWS_MAX: usize = 100_000;
/// How often to look whether a mutation is done, without being told.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest wait for mutations that a statement needs done but did not ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);

impl Run<'_> {
    /// The commands of a mutation that `command` asks for; None if it asks for none.
    pub(super) fn mutation_commands(
        &self,
        table: &Arc<Table>,
        command: &AlterCommand,
    ) -> Result<Option<Vec<MutationCommand>>> {
        let definition = &table.definition;
        let (actions, partition) = match command {
            AlterCommand::Update { assignments, partition, where_ } => {
                (self.update_actions(definition, assignments, where_)?, partition.clone())
            }
            AlterCommand::Delete { partition, where_ } => {
                let condition = self.condition(definition, where_)?;
                (vec![MutationAction::Delete { condition }], partition.clone())
            }
            AlterCommand::ClearColumn { name, if_exists, partition } => {
                let Some(actions) = self.clear_actions(table, name, *if_exists)? else {
                    return Ok(Some(vec![]));
                };
                (actions, partition.clone())
            }
            AlterCommand::Other(text) => match kept(text) {
                Some(Kept::Clear { kind: "PROJECTION", name, partition, .. }) => {
                    (super::projection::actions(definition, &name, false), partition)
                }
                Some(Kept::Materialize { kind: "PROJECTION", name: Some(name), partition }) => {
                    (super::projection::actions(definition, &name, true), partition)
                }
                Some(Kept::Materialize { kind, name, partition }) => {
                    (materialize_actions(definition, kind, name.as_deref())?, partition)
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if !definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Table engine {} doesn't support mutations.", definition.engine),
            ));
        }
        let partition_id = match &partition {
            Some(partition) => self.partition_id(definition, partition)?,
            None => None,
        };
        let text = format!("({})", format::alter_command(command));
        let commands = actions.into_iter().map(|action| MutationCommand {
            action,
            partition_id: partition_id.clone(),
            text: text.clone(),
        });
        Ok(Some(commands.collect()))
    }

    fn update_actions(
        &self,
        definition: &TableDefinition,
        assignments: &[(String, Expr)],
        where_: &Expr,
    ) -> Result<Vec<MutationAction>> {
        let mut new: Vec<(String, String)> = vec![];
        for (name, value) in assignments {
            self.check_assignment(definition, name)?;
            if new.iter().any(|(n, _)| n == name) {
                return Err(Error::new(
                    codes::MULTIPLE_ASSIGNMENTS_TO_COLUMN,
                    format!("Multiple assignments in the single statement to column `{name}`."),
                ));
            }
            let value = self.standing_alone(definition, value)?;
            let data_type = definition.columns.iter().find(|c| c.name == *name);
            if let Some(column) = data_type {
                // Constants that do not fit fail here and not in the background.
                let cast = format!(
                    "CAST({}, '{}')",
                    format::expr(&value),
                    column.data_type.to_string().replace('\'', "\\'")
                );
                self.check_expression(definition, &sql::parse_expression(&cast)?)?;
            }
            new.push((name.clone(), format::expr(&value)));
        }
        let condition = self.condition(definition, where_)?;
        let computed = computed_from(definition, new.iter().map(|(name, _)| name.clone()));
        let mut actions = vec![MutationAction::Update { assignments: new, condition }];
        if !computed.is_empty() {
            actions.push(MutationAction::SetDefault { columns: computed });
        }
        Ok(actions)
    }

    fn check_assignment(&self, definition: &TableDefinition, name: &str) -> Result<()> {
        let column = definition.columns.iter().find(|c| c.name == name);
        let kind = column.and_then(|c| c.default.as_ref()).map(|d| d.kind);
        if column.is_none() || matches!(kind, Some(DefaultKind::Alias | DefaultKind::Ephemeral)) {
            return Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("There is no column `{name}` in table."),
            ));
        }
        let refuse = |what: &str| {
            Err(Error::new(
                codes::CANNOT_UPDATE_COLUMN,
                format!("Cannot UPDATE {what} column `{name}`."),
            ))
        };
        if kind == Some(DefaultKind::Materialized) {
            return refuse("materialized");
        }
        let arguments = &definition.clauses.engine_arguments;
        let keys = definition.sorting_key.iter().chain(&definition.partition_key).chain(arguments);
        for text in keys {
            if uses(&sql::parse_expression(text)?, name) {
                return refuse("key");
            }
        }
        Ok(())
    }

    /// The canonical text of a WHERE clause over stored columns, bound once to find what is wrong.
    fn condition(&self, definition: &TableDefinition, where_: &Expr) -> Result<String> {
        let expr = self.standing_alone(definition, where_)?;
        let data_type = self.check_expression(definition, &expr)?;
        let text = data_type.inner().to_string();
        let is_number = ["UInt", "Int", "Float", "Bool", "Nothing"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if !is_number {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "The argument of function isZeroOrNull must have simple numeric type, possibly Nullable or Null",
            ));
        }
        Ok(format::expr(&expr))
    }

    fn check_expression(&self, definition: &TableDefinition, expr: &Expr) -> Result<DataType> {
        let schema: Vec<(String, DataType)> = pumphouse_ingest::insert::stored_schema(definition);
        Ok(bind_expression(expr, &schema, self.context)?.data_type())
    }

    /// `expr` without ALIAS columns, names of the table before columns, and subqueries.
    fn standing_alone(&self, definition: &TableDefinition, expr: &Expr) -> Result<Expr> {
        let mut expr = expr.clone();
        // An ALIAS may use another one.
        for _ in 0..32 {
            let aliases: Vec<(String, Expr)> = definition
                .columns
                .iter()
                .filter_map(|c| match &c.default {
                    Some(d) if d.kind == DefaultKind::Alias => {
                        Some((c.name.clone(), sql::parse_expression(&d.expression).ok()?))
                    }
                    _ => None,
                })
                .collect();
            let names = names_in(&expr);
            if !aliases.iter().any(|(name, _)| names.contains(name)) {
                break;
            }
            replace_names(&mut expr, &|name| {
                aliases.iter().find(|(n, _)| n == name).map(|(_, e)| {
                    let mut e = e.clone();
                    e.parenthesized = matches!(e.kind, ExprKind::Call(_));
                    e
                })
            });
        }
        let prefix = format!("{}.", definition.name);
        replace_names(&mut expr, &|name| {
            let bare = name.strip_prefix(&prefix)?;
            let known = definition.columns.iter().any(|c| c.name == bare);
            let taken = definition.columns.iter().any(|c| c.name == name);
            (known && !taken).then(|| super::definition::identifier(bare))
        });
        replace_subqueries(&mut expr, &mut |place, is_set| self.replace_subquery(place, is_set))?;
        Ok(expr)
    }

    /// Puts what a subquery gives now in its place; `is_set`: `place` is the call of IN around it.
    fn replace_subquery(&self, place: &mut Expr, is_set: bool) -> Result<()> {
        if !is_set {
            let ExprKind::Subquery(query) = &place.kind else { return Ok(()) };
            let rows = self.rows_of(query)?;
            if rows.rows() > 1 || rows.columns.len() != 1 {
                return Err(Error::new(
                    codes::INCORRECT_RESULT_OF_SCALAR_SUBQUERY,
                    "Scalar subquery returned more than one row",
                ));
            }
            let text = match rows.rows() {
                0 => "NULL".to_string(),
                _ => self.literals(&rows.columns[0])?.remove(0),
            };
            *place = sql::parse_expression(&text)?;
            return Ok(());
        }
        let ExprKind::Call(call) = &mut place.kind else { return Ok(()) };
        let Some(Expr { kind: ExprKind::Subquery(query), .. }) = call.arguments.get(1) else {
            return Ok(());
        };
        let rows = self.rows_of(query)?;
        if rows.rows() == 0 {
            let is_in = !call.name.to_ascii_lowercase().contains("not");
            *place = sql::parse_expression(if is_in { "0" } else { "1" })?;
            return Ok(());
        }
        let columns = rows.columns.iter().map(|c| self.literals(c)).collect::<Result<Vec<_>>>()?;
        let items: Vec<String> = (0..rows.rows())
            .map(|row| {
                let values: Vec<&str> = columns.iter().map(|c| c[row].as_str()).collect();
                match &values[..] {
                    [one] => one.to_string(),
                    many => format!("tuple({})", many.join(", ")),
                }
            })
            .collect();
        call.arguments[1] = Expr::new(ExprKind::Call(Box::new(Call {
            name: "tuple".into(),
            arguments: items
                .iter()
                .map(|text| sql::parse_expression(text))
                .collect::<Result<_>>()?,
            ..Call::default()
        })));
        Ok(())
    }

    fn rows_of(&self, query: &sql::ast::Query) -> Result<Block> {
        let plan = prepare(query, &self.catalog(), self.context)?;
        let mut blocks = execute::collect(&plan, self.context)?;
        blocks.retain(|b| !b.is_empty());
        let rows: usize = blocks.iter().map(Block::rows).sum();
        if rows > SET_ROWS_MAX {
            return Err(Error::new(
                codes::TOO_MANY_ROWS,
                format!("A subquery of a mutation may give {SET_ROWS_MAX} rows, this gives {rows}"),
            ));
        }
        if blocks.is_empty() {
            let empty = plan.schema.iter().map(|(n, t)| (n.clone(), Column::empty(t.clone())));
            return Ok(Block::new(empty.collect()));
        }
        Ok(Block::concat(&blocks)?)
    }

    /// SQL for each value of a column.
    fn literals(&self, column: &Column) -> Result<Vec<String>> {
        let data_type = column.data_type.to_string();
        let plain = column.data_type.inner().to_string();
        let is_integer = plain.starts_with("UInt") || plain.starts_with("Int");
        let text_type = DataType::nullable(DataType::String);
        let texts = cast_column(column, &text_type, self.context)?;
        Ok((0..column.len())
            .map(|row| match texts.value(row) {
                value if value.is_null() => "NULL".to_string(),
                value if is_integer => {
                    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
                }
                value if plain == "String" => value.to_sql(),
                value => {
                    format!("CAST({}, {})", value.to_sql(), Value::string(&*data_type).to_sql())
                }
            })
            .collect())
    }

    fn clear_actions(
        &self,
        table: &Arc<Table>,
        name: &str,
        if_exists: bool,
    ) -> Result<Option<Vec<MutationAction>>> {
        let definition = &table.definition;
        if !definition.columns.iter().any(|c| c.name == name) {
            if if_exists {
                return Ok(None);
            }
            return Err(Error::new(
                codes::NOT_FOUND_COLUMN_IN_BLOCK,
                format!("Wrong column name. Cannot find column `{name}` to drop."),
            ));
        }
        super::alter_draft::Draft::of(self, table)?.check_unused("CLEAR", name)?;
        Ok(Some(vec![MutationAction::SetDefault { columns: vec![name.to_string()] }]))
    }

    /// Waits for a mutation just added if it is to be waited for.
    pub(super) fn after_mutation(&mut self, table: Uuid, id: Uuid, wait: bool) -> Result<()> {
        self.server.mutations.wake();
        let number = self
            .server
            .store
            .snapshot()
            .tables
            .get(&table)
            .and_then(|t| t.changes.mutations.iter().find(|m| m.id == id).map(|m| m.number));
        match number {
            Some(number) if wait || self.context.settings.u64("mutations_sync", 0) > 0 => {
                self.wait_for_mutations(table, number)
            }
            _ => Ok(()),
        }
    }

    /// Waits until every part of the table has been through the mutation of that number.
    pub(super) fn wait_for_mutations(&self, table: Uuid, number: u64) -> Result<()> {
        let deadline = Instant::now() + WAIT_MAX;
        self.server.mutations.wake();
        loop {
            self.context.check()?;
            let state = self.server.store.snapshot();
            let Some(now) = state.tables.get(&table) else { return Ok(()) };
            if now.parts_to_do(number).is_empty() {
                return Ok(());
            }
            if let Some(failure) =
                self.server.mutations.failure(table).filter(|f| f.number <= number)
            {
                return Err(Error::new(
                    codes::UNFINISHED,
                    format!(
                        "Exception happened during execution of mutation 'mutation_{}.txt' with part '{}' reason: '{}'. This error maybe retryable or not. In case of unretryable error, mutation can be killed with KILL MUTATION query",
                        failure.number, failure.part_name, failure.reason
                    ),
                ));
            }
            if Instant::now() > deadline {
                return Err(Error::new(
                    codes::TIMEOUT_EXCEEDED,
                    format!("Mutation {number} is not done yet; it goes on in the background"),
                ));
            }
            drop(state);
            self.server.mutations.wait(LOOK_EVERY);
        }
    }

    /// DELETE FROM t WHERE …
    pub(super) fn delete_rows(&mut self, alter: &Alter) -> Result<()> {
        let Some(AlterCommand::Delete { partition, where_ }) = alter.commands.first() else {
            return Err(Error::new(codes::INCORRECT_QUERY, "DELETE without a condition"));
        };
        let database = self.database(&alter.name.database).to_string();
        let table = self.table_now(&database, &alter.name.name)?;
        let definition = &table.definition;
        if !definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("DELETE query is not supported for table {}", definition.full_name()),
            ));
        }
        let condition = self.condition(definition, where_)?;
        let partition_id = match partition {
            Some(partition) => self.partition_id(definition, partition)?,
            None => None,
        };
        if super::projection::deletes_by_mutation(definition)? {
            self.alter(alter)?;
            let now = self.table_now(&database, &alter.name.name)?;
            return self.wait_for_mutations(now.definition.uuid, now.changes.last_mutation);
        }
        let deletion = Deletion {
            database: &database,
            table: &alter.name.name,
            condition: &condition,
            partition_id: partition_id.as_deref(),
        };
        loop {
            self.context.check()?;
            match delete(&self.server.store, &deletion) {
                Ok(_) => break,
                Err(pumphouse_storage::Error::Rejected(Rejection::MutationsPending(_))) => {
                    let now = self.table_now(&database, &alter.name.name)?;
                    self.wait_for_mutations(now.definition.uuid, now.changes.last_mutation)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
        self.server.merges.wake();
        Ok(())
    }

    /// UPDATE t SET …: a mutation that is waited for, where the table allows lightweight updates.
    pub(super) fn update_rows(&mut self, alter: &Alter) -> Result<()> {
        let database = self.database(&alter.name.database).to_string();
        let table = self.table_now(&database, &alter.name.name)?;
        let on = |name: &str| {
            table.definition.settings.get(name).is_some_and(|v| v == "1" || v == "true")
        };
        if !table.definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!(
                    "Lightweight updates are not supported by storage {}",
                    table.definition.engine
                ),
            ));
        }
        if !on("enable_block_number_column") || !on("enable_block_offset_column") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Lightweight updates are not supported. Lightweight updates are supported only for tables with materialized _block_number column. Run 'MODIFY SETTING enable_block_number_column = 1' command to enable it.",
            ));
        }
        self.alter(alter)?;
        let now = self.table_now(&database, &alter.name.name)?;
        self.wait_for_mutations(now.definition.uuid, now.changes.last_mutation)
    }

    /// KILL MUTATION WHERE …
    pub(super) fn kill_mutation(&mut self, where_: &Expr, format: Option<&str>) -> Result<()> {
        let text = format!(
            "SELECT database, table, mutation_id, command, is_done FROM system.mutations WHERE {}",
            format::expr(where_)
        );
        let rows = self.rows_of(&sql::parse_query(&text)?)?;
        let mut columns: [Vec<Value>; 5] = Default::default();
        for row in 0..rows.rows() {
            let cell = |i: usize| {
                let value = rows.columns[i].value(row);
                String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
            };
            if rows.columns[4].value(row).as_u64() == Some(1) {
                continue;
            }
            let (database, table, id) = (cell(0), cell(1), cell(2));
            let number = id.strip_prefix("mutation_").and_then(|t| t.strip_suffix(".txt"));
            let state = self.server.store.snapshot();
            let (Some(table), Some(number)) =
                (state.table(&database, &table), number.and_then(|t| t.parse::<u64>().ok()))
            else {
                continue;
            };
            let uuid = table.definition.uuid;
            let edit = Edit::Change(Change::KillMutation { table: uuid, number });
            self.server.commit_ddl(Commit { preconditions: vec![], edits: vec![edit] })?;
            self.server.mutations.forgive(uuid);
            columns[0].push(Value::string("finished"));
            for (i, column) in columns.iter_mut().enumerate().skip(1) {
                column.push(rows.columns[i - 1].value(row));
            }
        }
        if columns[0].is_empty() {
            return Ok(());
        }
        let names = ["kill_status", "database", "table", "mutation_id", "command"];
        let named = names
            .iter()
            .zip(&columns)
            .map(|(n, v)| Ok((n.to_string(), Column::from_values(DataType::String, v)?)))
            .collect::<Result<Vec<_>>>()?;
        self.write_block(&Block::new(named), format)
    }
}

/// MATERIALIZED columns computed from `changed`, directly or by way of each other, in order.
fn computed_from(
    definition: &TableDefinition,
    changed: impl Iterator<Item = String>,
) -> Vec<String> {
    let mut changed: Vec<String> = changed.collect();
    let mut computed = vec![];
    loop {
        let next = definition.columns.iter().find(|c| {
            let Some(default) = &c.default else { return false };
            default.kind == DefaultKind::Materialized
                && !computed.contains(&c.name)
                && sql::parse_expression(&default.expression)
                    .is_ok_and(|e| names_in(&e).iter().any(|n| changed.contains(n)))
        });
        match next {
            Some(column) => {
                changed.push(column.name.clone());
                computed.push(column.name.clone());
            }
            None => return computed,
        }
    }
}

/// What a MATERIALIZE clause does; also of rules that ALTER has changed.
pub(super) fn materialize_actions(
    definition: &TableDefinition,
    kind: &str,
    name: Option<&str>,
) -> Result<Vec<MutationAction>> {
    let clauses = &definition.clauses;
    let name = name.unwrap_or_default();
    let known = match kind {
        "INDEX" => clauses.indexes.iter().any(|i| i.name == name),
        "COLUMN" => definition.columns.iter().any(|c| c.name == name),
        "TTL" => !clauses.ttl.is_empty() || definition.columns.iter().any(|c| !c.ttl.is_empty()),
        _ => return Err(Error::new(codes::NOT_IMPLEMENTED, "Statistics are not supported")),
    };
    if !known {
        return Err(match kind {
            "COLUMN" => Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("There is no column {name} in table."),
            ),
            "TTL" => Error::new(
                codes::INCORRECT_QUERY,
                "Cannot MATERIALIZE TTL as there is no TTL set for table",
            ),
            _ => Error::new(codes::BAD_ARGUMENTS, format!("Unknown index: {name}")),
        });
    }
    let keys = definition.sorting_key.iter().chain(&definition.partition_key);
    if kind == "COLUMN"
        && keys.flat_map(|text| sql::parse_expression(text)).any(|key| uses(&key, name))
    {
        return Err(Error::new(
            codes::CANNOT_UPDATE_COLUMN,
            format!(
                "Refused to materialize column `{name}` because it's in the sort key. Doing so could break the sort order."
            ),
        ));
    }
    let column = definition.columns.iter().find(|c| c.name == name);
    let computed = column
        .and_then(|c| c.default.as_ref())
        .is_some_and(|d| d.kind == DefaultKind::Materialized);
    Ok(vec![match kind {
        "TTL" => MutationAction::Ttl,
        "COLUMN" if computed => MutationAction::SetDefault { columns: vec![name.to_string()] },
        // Written by the definition of the time, with what the part lacked.
        _ => MutationAction::Rewrite,
    }])
}
