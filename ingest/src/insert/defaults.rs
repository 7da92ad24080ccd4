//! From what an insert gives to a table's complete rows: absent columns and absent fields take
//! their DEFAULT expressions, MATERIALIZED columns are computed, types are cast.
//!
//! Expressions may use other columns, also defaulted ones: they are evaluated in an order in which
//! each finds what it needs. ALIAS and EPHEMERAL columns are not stored.

use std::sync::Arc;

use arrow_array::BooleanArray;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::{bind, execute, functions, sql};
use pumphouse_storage::log::{ColumnDefinition, DefaultKind, TableDefinition};
use pumphouse_storage::{Block, Column, DataType};

use crate::format::{InputColumn, ParsedRows};

/// A column as given, and which rows gave it (None: all).
struct Given {
    column: Column,
    present: Option<BooleanArray>,
}

/// Complete rows from a format reader's; `columns` are the reader's.
pub fn fill_defaults(
    definition: &TableDefinition,
    columns: &[InputColumn],
    parsed: ParsedRows,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    let rows = parsed.rows;
    let mut given: Vec<(&str, Given)> = Vec::with_capacity(columns.len());
    for ((input, column), present) in columns.iter().zip(parsed.columns).zip(parsed.present) {
        let present = present.map(BooleanArray::from);
        given.push((&input.name, Given { column, present }));
    }
    complete(definition, given, rows, ctx)
}

/// Complete rows from a block that has some of the table's columns, by name, of any castable types.
pub fn complete_block(
    definition: &TableDefinition,
    block: Block,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    if is_complete(definition, &block) {
        return Ok(block);
    }
    let given = block
        .names
        .iter()
        .zip(&block.columns)
        .map(|(name, column)| (name.as_str(), Given { column: column.clone(), present: None }))
        .collect();
    complete(definition, given, block.rows(), ctx)
}

fn kind(column: &ColumnDefinition) -> Option<DefaultKind> {
    column.default.as_ref().map(|d| d.kind)
}

fn is_stored(column: &ColumnDefinition) -> bool {
    !matches!(kind(column), Some(DefaultKind::Alias | DefaultKind::Ephemeral))
}

/// Names and types of the columns that parts hold.
pub fn stored_schema(definition: &TableDefinition) -> Vec<(String, DataType)> {
    let stored = definition.columns.iter().filter(|c| is_stored(c));
    stored.map(|c| (c.name.clone(), c.data_type.clone())).collect()
}

/// The common case: exactly the stored columns, in order, of the right types.
fn is_complete(definition: &TableDefinition, block: &Block) -> bool {
    let mut at = 0;
    for column in definition.columns.iter().filter(|c| is_stored(c)) {
        let same = kind(column) != Some(DefaultKind::Materialized)
            && block.names.get(at) == Some(&column.name)
            && block.columns[at].data_type == column.data_type;
        if !same {
            return false;
        }
        at += 1;
    }
    at == block.names.len()
}

fn complete(
    definition: &TableDefinition,
    mut given: Vec<(&str, Given)>,
    rows: usize,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    let mut ready = Ready { block: Block::of_rows(rows), ctx };
    let mut pending: Vec<(&ColumnDefinition, Option<Given>)> = vec![];
    for column in definition.columns.iter().filter(|c| kind(c) != Some(DefaultKind::Alias)) {
        let mut have =
            given.iter().position(|(name, _)| *name == column.name).map(|i| given.swap_remove(i).1);
        if kind(column) == Some(DefaultKind::Materialized) {
            have = None;
        }
        let expression = column.default.as_ref().is_some_and(|d| !d.expression.is_empty());
        match have {
            Some(Given { column: values, present: None }) => ready.push(column, values)?,
            Some(Given { column: values, .. }) if !expression => ready.push(column, values)?,
            have if expression => pending.push((column, have)),
            _ => ready.push(column, Column::default_values(column.data_type.clone(), rows))?,
        }
    }
    ready.evaluate(pending)?;
    ready.in_order(definition, rows)
}

/// Columns that expressions may read already.
struct Ready<'a> {
    block: Block,
    ctx: &'a Arc<QueryContext>,
}

impl Ready<'_> {
    fn push(&mut self, definition: &ColumnDefinition, values: Column) -> Result<()> {
        let values = if values.data_type == definition.data_type {
            values
        } else {
            functions::cast::cast_column(&values, &definition.data_type, self.ctx)
                .map_err(|e| for_column(definition, e))?
        };
        self.block.push(definition.name.clone(), values);
        Ok(())
    }

    /// Evaluates what is pending, each as soon as all that it reads is ready.
    fn evaluate(&mut self, mut pending: Vec<(&ColumnDefinition, Option<Given>)>) -> Result<()> {
        while !pending.is_empty() {
            let before = pending.len();
            let mut waiting = vec![];
            let mut last_error = None;
            for (column, have) in pending {
                match self.default_of(column) {
                    Ok(defaults) => {
                        let values = merge(column, have, defaults, self.ctx)?;
                        self.push(column, values)?;
                    }
                    Err(e) if e.code() == codes::UNKNOWN_IDENTIFIER => {
                        last_error = Some(for_column(column, e));
                        waiting.push((column, have));
                    }
                    Err(e) => return Err(for_column(column, e)),
                }
            }
            if waiting.len() == before
                && let Some(e) = last_error
            {
                return Err(e);
            }
            pending = waiting;
        }
        Ok(())
    }

    fn default_of(&self, column: &ColumnDefinition) -> Result<Column> {
        let text = column.default.as_ref().map_or("", |d| d.expression.as_str());
        let expression = sql::parse_expression(text)?;
        let bound = bind::bind_expression(&expression, &self.block.schema(), self.ctx)?;
        let values = execute::evaluate(&bound, &self.block, self.ctx)?;
        functions::cast::cast_column(&values, &column.data_type, self.ctx)
    }

    /// The stored columns in the table's order.
    fn in_order(self, definition: &TableDefinition, rows: usize) -> Result<Block> {
        let mut out = Block::of_rows(rows);
        for column in definition.columns.iter().filter(|c| is_stored(c)) {
            let values = self.block.column(&column.name).ok_or_else(|| {
                Error::new(codes::LOGICAL_ERROR, format!("column {} was not made", column.name))
            })?;
            out.push(column.name.clone(), values.clone());
        }
        Ok(out)
    }
}

/// The given values where they were given, else the defaults.
fn merge(
    definition: &ColumnDefinition,
    have: Option<Given>,
    defaults: Column,
    ctx: &Arc<QueryContext>,
) -> Result<Column> {
    let Some(Given { column, present: Some(present) }) = have else { return Ok(defaults) };
    let column = functions::cast::cast_column(&column, &definition.data_type, ctx)
        .map_err(|e| for_column(definition, e))?;
    let array = arrow_select::zip::zip(&present, &column.array, &defaults.array).map_err(|e| {
        Error::new(codes::LOGICAL_ERROR, format!("cannot fill {}: {e}", definition.name))
    })?;
    Ok(Column::new(definition.data_type.clone(), array))
}

fn for_column(column: &ColumnDefinition, e: Error) -> Error {
    match e {
        Error::Coded { code, message } => {
            Error::new(code, format!("{message}: in column {}", column.name))
        }
        other => other,
    }
}
