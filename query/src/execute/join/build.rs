//! The right side of a join: all its rows in one block, with a row of defaults behind them where left rows
//! may stay alone, and the [`Index`] of its keys (for ASOF, rows of a key in the order of the
//! inequality's value).

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, BooleanArray};
use pumphouse_storage::{Block, Column, DataType};

use super::index::Index;
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::execute::Env;
use crate::execute::expression::{evaluate, evaluate_all};
use crate::execute::sort_key::{KeyOrder, SortEncoder, SortKeys};
use crate::plan::JoinNode;
use crate::sql::ast::{JoinKind, JoinStrictness};

/// See the file's head.
pub(super) struct Build {
    /// The right rows, then one row of defaults (NULLs with join_use_nulls) if [`keeps_left`].
    pub block: Block,
    pub rows: usize,
    pub index: Index,
    /// Right rows that a left row was joined to; empty if nobody asks.
    used: Vec<AtomicBool>,
    /// Keys that gave their row away (ANY INNER, ANY RIGHT).
    spent: Vec<AtomicBool>,
    pub asof: Option<Asof>,
    _memory: MemoryGuard,
}

/// Values of the right side of the inequality, comparable with the left side's.
pub(super) struct Asof {
    pub encoder: SortEncoder,
    pub keys: SortKeys,
}

/// Whether right rows without a match are part of the result.
pub(super) fn keeps_right(join: &JoinNode) -> bool {
    use JoinStrictness::*;
    match (join.kind, join.strictness) {
        (JoinKind::Right, Semi) => false,
        (JoinKind::Right | JoinKind::Full, _) => true,
        _ => false,
    }
}

/// Whether left rows without a match are part of the result.
pub(super) fn keeps_left(join: &JoinNode) -> bool {
    match (join.kind, join.strictness) {
        (JoinKind::Left, JoinStrictness::Semi) => false,
        (JoinKind::Left | JoinKind::Full, _) => true,
        _ => false,
    }
}

/// Types keys are compared in: NULL equals nothing, so it is not one of the values.
fn key_types(join: &JoinNode) -> Vec<DataType> {
    join.right_keys.iter().map(|k| k.data_type().inner().clone()).collect()
}

/// Rows in which no column is NULL; None if all rows are.
pub(super) fn rows_without_null(columns: &[Column], rows: usize) -> Option<BooleanArray> {
    if columns.iter().all(|c| c.array.null_count() == 0) {
        return None;
    }
    let valid = |row: usize| columns.iter().all(|c| c.array.is_valid(row));
    Some(BooleanArray::from_iter((0..rows).map(|r| Some(valid(r)))))
}

impl Build {
    /// Of the right side's rows; scans on the left are told its keys.
    pub fn new(
        join: &JoinNode,
        schema: &[(String, DataType)],
        blocks: Vec<Block>,
        env: &Env,
    ) -> Result<Build> {
        Self::announced(join, schema, blocks, env, true)
    }

    /// Of some of the right side's rows.
    pub fn unannounced(
        join: &JoinNode,
        schema: &[(String, DataType)],
        blocks: Vec<Block>,
        env: &Env,
    ) -> Result<Build> {
        Self::announced(join, schema, blocks, env, false)
    }

    fn announced(
        join: &JoinNode,
        schema: &[(String, DataType)],
        blocks: Vec<Block>,
        env: &Env,
        announced: bool,
    ) -> Result<Build> {
        let rows: usize = blocks.iter().map(Block::rows).sum();
        let right_schema = &schema[join.left.schema.len()..];
        let block = whole(join, right_schema, blocks, rows)?;
        let mut memory = env.ctx.memory.reserve(block.memory_bytes())?;
        let own = block.slice(0, rows);
        let keys = evaluate_all(&join.right_keys, &own, &env.ctx)?;
        for (place, filter) in join.filters.iter().filter(|_| announced) {
            match keys.get(*place) {
                Some(key) => filter.fill(key),
                None => filter.clear(),
            }
        }
        let mut asof_columns = vec![];
        if let Some((_, _, right)) = &join.asof {
            asof_columns.push(evaluate(right, &own, &env.ctx)?);
        }
        let compared: Vec<Column> = keys.iter().chain(&asof_columns).cloned().collect();
        let valid = rows_without_null(&compared, rows);
        let listed = join.asof.is_some();
        let mut index = Index::new(key_types(join), &keys, valid.as_ref(), rows, listed)?;
        env.ctx.check()?;
        let asof = join.asof.as_ref().map(|(_, _, right)| {
            let encoder = asof_encoder(&right.data_type());
            let keys = encoder.encode(&asof_columns, rows);
            Asof { encoder, keys }
        });
        if let Some(asof) = &asof {
            for key in index.starts.windows(2) {
                index.row_list[key[0] as usize..key[1] as usize]
                    .sort_by(|a, b| asof.keys.compare(*a as usize, &asof.keys, *b as usize));
            }
        }
        let block = typed(block, right_schema);
        let flags = |n: usize| (0..n).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
        let semi = join.strictness == JoinStrictness::Semi && join.kind == JoinKind::Right;
        let used = flags(if keeps_right(join) || semi { rows } else { 0 });
        let spends = join.strictness == JoinStrictness::Any
            && matches!(join.kind, JoinKind::Inner | JoinKind::Right);
        let spent = flags(if spends { index.count } else { 0 });
        let flag_bytes = used.len() + spent.len();
        memory.grow_to(block.memory_bytes() + index.memory_bytes() + flag_bytes)?;
        Ok(Build { block, rows, index, used, spent, asof, _memory: memory })
    }

    pub fn mark_used(&self, row: u32) {
        if let Some(flag) = self.used.get(row as usize) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Marks a right row and says whether it had been used before.
    pub fn was_used(&self, row: u32) -> bool {
        self.used.get(row as usize).is_some_and(|flag| flag.swap(true, Ordering::Relaxed))
    }

    /// Whether key `number` had not given its row away yet.
    pub fn spend(&self, number: u32) -> bool {
        self.spent.get(number as usize).is_none_or(|flag| !flag.swap(true, Ordering::Relaxed))
    }

    pub fn unused_rows(&self) -> Vec<u32> {
        let unused = self.used.iter().zip(0..).filter(|(used, _)| !used.load(Ordering::Relaxed));
        unused.map(|(_, row)| row).collect()
    }

    /// The number of the row of defaults.
    pub fn default_row(&self) -> u32 {
        self.rows as u32
    }
}

pub(super) fn asof_encoder(data_type: &DataType) -> SortEncoder {
    SortEncoder::new(vec![KeyOrder {
        data_type: data_type.inner().clone(),
        descending: false,
        nulls_first: false,
    }])
}

/// All rows as one block, and where left rows may stay alone one row of defaults.
fn whole(
    join: &JoinNode,
    schema: &[(String, DataType)],
    mut blocks: Vec<Block>,
    rows: usize,
) -> Result<Block> {
    if keeps_left(join) {
        let mut defaults = Block::of_rows(1);
        for (name, data_type) in schema {
            defaults.push(name.clone(), Column::filler_values(data_type.clone(), 1));
        }
        blocks.push(defaults);
    } else if rows == 0 {
        return Ok(Block::empty_of(&join.right.schema));
    }
    match blocks.len() {
        1 => Ok(blocks.remove(0)),
        _ => Ok(Block::concat(&blocks)?),
    }
}

/// The block's columns under the names and types that the join gives them.
fn typed(block: Block, schema: &[(String, DataType)]) -> Block {
    let mut out = Block::of_rows(block.rows());
    for ((name, data_type), column) in schema.iter().zip(block.columns) {
        out.push(name.clone(), Column { data_type: data_type.clone(), array: column.array });
    }
    out
}
