//! What the engines of the MergeTree family do with rows of equal sorting key: one file an engine,
//! behind one trait; rows in key order in, rows out.
//!
//! The same rules serve merges, inserts (the block itself is combined) and reads with FINAL; a
//! [`Purpose`] says where they differ. Rules: whole groups of equal keys come in one call, unless a
//! group is too long to hold: then it is shrunk to few rows that stand for it.

mod aggregating;
mod coalescing;
mod collapsing;
mod groups;
mod replacing;
mod rule;
mod summing;
mod sums;
mod versioned;

#[cfg(test)]
mod tests;

use arrow_array::UInt32Array;

pub(crate) use groups::{Groups, block_groups};
pub(crate) use rule::RowRule;

use crate::block::Column;
use crate::error::{Error, Result};
use crate::expression::ExpressionCompiler;
use crate::log::{ColumnDefinition, TableDefinition};
use crate::table::key::TableKeys;

/// What rows are combined for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Insert,
    Merge,
    /// A merge that also forgets deleted rows (`OPTIMIZE … FINAL CLEANUP`).
    Cleanup,
    /// A read: only what is left in the end is shown.
    Final,
}

/// Combines rows of equal key.
pub(crate) trait Combiner: Send {
    /// What remains of `rows`, the groups of which are whole.
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>>;

    /// Few rows that stand for `rows`, all of one group that goes on: first what is done with, then
    /// what must be put before the rest of the group.
    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        let count = rows.first().map_or(0, Column::len);
        Ok((None, self.combine(rows, &Groups::one(count))?))
    }
}

/// The combiner of a table's engine over these columns; None if it keeps all rows.
pub(crate) fn combiner(
    definition: &TableDefinition,
    keys: &TableKeys,
    columns: &[&ColumnDefinition],
    compiler: &dyn ExpressionCompiler,
    purpose: Purpose,
) -> Result<Option<Box<dyn Combiner>>> {
    let place = |name: &str| {
        columns.iter().position(|c| c.name == name).ok_or_else(|| {
            Error::Column(format!("table {} has no column {name}", definition.full_name()))
        })
    };
    Ok(Some(match RowRule::of(definition) {
        RowRule::Ordinary => return Ok(None),
        RowRule::Replacing { version, deleted } => Box::new(replacing::Replacing {
            version: version.as_deref().map(place).transpose()?,
            deleted: deleted.as_deref().map(place).transpose()?,
            drop_deleted: matches!(purpose, Purpose::Final | Purpose::Cleanup),
        }),
        RowRule::Collapsing { sign } => {
            Box::new(collapsing::Collapsing::new(place(&sign)?, purpose == Purpose::Final))
        }
        RowRule::VersionedCollapsing { sign, .. } => {
            Box::new(versioned::VersionedCollapsing { sign: place(&sign)? })
        }
        // Without a key these engines hold no two rows equal.
        _ if keys.sorting.is_empty() => return Ok(None),
        RowRule::Summing { columns: listed } => {
            Box::new(summing::Summing::new(definition, keys, columns, &listed, compiler)?)
        }
        RowRule::Aggregating => Box::new(aggregating::Aggregating::new(keys, columns, compiler)?),
        RowRule::Coalescing { columns: listed } => {
            Box::new(coalescing::Coalescing::new(keys, columns, &listed, compiler)?)
        }
    }))
}

/// Names of the columns without which rows of `definition` cannot be combined.
pub(crate) fn needed_columns(definition: &TableDefinition, keys: &TableKeys) -> Vec<String> {
    let mut names: Vec<String> = keys.sorting.iter().flat_map(|e| e.inputs().to_vec()).collect();
    match RowRule::of(definition) {
        RowRule::Replacing { version, deleted } => names.extend(version.into_iter().chain(deleted)),
        RowRule::Collapsing { sign } => names.push(sign),
        RowRule::VersionedCollapsing { sign, version } => names.extend([sign, version]),
        // Whether a row is all zeros shows in all of its sums.
        RowRule::Summing { .. } => {
            names.extend(crate::table::stored_columns(definition).map(|c| c.name.clone()));
        }
        _ => {}
    }
    names
}

/// The rows at `picks`, of every column.
fn take_rows(rows: &[Column], picks: Vec<u32>) -> Vec<Column> {
    if rows.first().is_some_and(|c| c.len() == picks.len()) && picks.is_sorted_by(|a, b| a < b) {
        return rows.to_vec();
    }
    let picks = UInt32Array::from(picks);
    rows.iter().map(|c| c.take(&picks)).collect()
}

/// Error 117, as ClickHouse words it.
fn incorrect(message: String) -> Error {
    Error::Expression { code: 117, message }
}
