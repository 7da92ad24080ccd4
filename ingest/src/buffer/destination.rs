//! Where a Buffer table's rows go: a table that may be a Buffer again, or the target of a materialized
//! view. A chain that comes back to its beginning is an error.

use std::sync::Arc;

use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Block;
use pumphouse_storage::log::{State, Table, TableDefinition};
use uuid::Uuid;

use super::{BufferRule, ENGINE};
use crate::insert::complete_block;

/// Tables that a row may pass.
pub(super) const CHAIN_MAX: usize = 16;

/// The table that takes the rows of `buffer`; None if they go nowhere, or (without `needed`) if it is
/// not there now.
pub fn destination<'s>(
    state: &'s State,
    buffer: &TableDefinition,
    needed: bool,
) -> Result<Option<&'s Arc<Table>>> {
    let mut seen: Vec<Uuid> = vec![buffer.uuid];
    let mut first = None;
    let mut name = BufferRule::of(buffer)?.destination;
    while let Some((database, table)) = &name {
        let Some(found) = state.table(database, table) else {
            if first.is_none() && needed {
                return Err(missing(buffer, database, table));
            }
            break;
        };
        let definition = &found.definition;
        if seen.contains(&definition.uuid) || seen.len() >= CHAIN_MAX {
            return Err(Error::new(
                codes::INFINITE_LOOP,
                "Destination table is myself. Will lead to infinite loop.",
            ));
        }
        seen.push(definition.uuid);
        name = match definition.engine.as_str() {
            ENGINE => {
                first.get_or_insert(found);
                BufferRule::of(definition)?.destination
            }
            "MaterializedView" if definition.target.is_some() => definition.target.clone(),
            _ => {
                first.get_or_insert(found);
                None
            }
        };
    }
    Ok(first)
}

/// The columns of `block` that the destination has, complete rows of it.
pub fn for_destination(
    destination: &TableDefinition,
    block: Block,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    let mut shared = Block::of_rows(block.rows());
    for (name, column) in block.names.into_iter().zip(block.columns) {
        if destination.columns.iter().any(|c| c.name == name) {
            shared.push(name, column);
        }
    }
    if shared.names.is_empty() {
        return Err(Error::new(
            codes::THERE_IS_NO_COLUMN,
            format!("{} has none of the columns of the Buffer table", destination.full_name()),
        ));
    }
    complete_block(destination, shared, ctx)
}

fn missing(buffer: &TableDefinition, database: &str, table: &str) -> Error {
    Error::new(
        codes::UNKNOWN_TABLE,
        format!(
            "Destination table {database}.{table} of {} does not exist; its rows stay in memory",
            buffer.full_name()
        ),
    )
}
