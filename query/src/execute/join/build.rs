//! The right side of a join: all its rows in one block with a row of defaults behind them, and, for
//! every key, the list of its rows (in order; for ASOF, by the inequality's value).

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, BooleanArray};
use pumphouse_storage::{Block, Column, DataType};

use crate::context::MemoryGuard;
use crate::error::Result;
use crate::execute::expression::{evaluate, evaluate_all};
use crate::execute::key_table::{ABSENT, KeyTable};
use crate::execute::sort_key::{KeyOrder, SortEncoder, SortKeys};
use crate::execute::{Env, gather};
use crate::plan::JoinNode;

/// See the file's head.
pub(super) struct Build {
    /// The right rows, then one row of defaults (NULLs with join_use_nulls).
    pub block: Block,
    pub rows: usize,
    table: KeyTable,
    key_types: Vec<DataType>,
    /// `row_list[starts[key]..starts[key + 1]]`.
    starts: Vec<u32>,
    row_list: Vec<u32>,
    /// Right rows that a left row was joined to.
    pub used: Vec<AtomicBool>,
    /// Keys that gave their row away (ANY INNER, ANY RIGHT).
    pub spent: Vec<AtomicBool>,
    pub asof: Option<Asof>,
    _memory: MemoryGuard,
}

/// Values of the right side of the inequality, comparable with the left side's.
pub(super) struct Asof {
    pub encoder: SortEncoder,
    pub keys: SortKeys,
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
    pub fn new(join: &JoinNode, schema: &[(String, DataType)], env: &Env) -> Result<Build> {
        let (gathered, _) = gather(&join.right, env)?;
        let right_schema = &schema[join.left.schema.len()..];
        let mut blocks = gathered.blocks;
        let block = match blocks.len() {
            0 => Block::empty_of(&join.right.schema),
            _ => Block::concat(&blocks)?,
        };
        blocks.clear();
        let rows = block.rows();
        let mut memory = env.ctx.memory.reserve(block.memory_bytes())?;
        let key_types = key_types(join);
        let mut keys = evaluate_all(&join.right_keys, &block, &env.ctx)?;
        let mut asof_columns = vec![];
        if let Some((_, _, right)) = &join.asof {
            asof_columns.push(evaluate(right, &block, &env.ctx)?);
        }
        keys.extend(asof_columns.iter().cloned());
        let valid = rows_without_null(&keys, rows);
        keys.truncate(key_types.len());
        let mut table = KeyTable::new(&key_types);
        let numbers = number_rows(&mut table, &keys, valid.as_ref(), rows)?;
        let asof = join.asof.as_ref().map(|(_, _, right)| {
            let encoder = asof_encoder(&right.data_type());
            let keys = encoder.encode(&asof_columns, rows);
            Asof { encoder, keys }
        });
        let (starts, mut row_list) = group_rows(&numbers, table.len());
        if let Some(asof) = &asof {
            for key in starts.windows(2) {
                row_list[key[0] as usize..key[1] as usize]
                    .sort_by(|a, b| asof.keys.compare(*a as usize, &asof.keys, *b as usize));
            }
        }
        let block = with_default_row(block, right_schema)?;
        let flags = |n: usize| (0..n).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
        let keys_count = table.len();
        memory
            .grow_to(block.memory_bytes() + table.memory_bytes() + row_list.len() * 8 + rows * 2)?;
        Ok(Build {
            block,
            rows,
            table,
            key_types,
            starts,
            row_list,
            used: flags(rows),
            spent: flags(keys_count),
            asof,
            _memory: memory,
        })
    }

    /// The key number of each left row, ABSENT where nothing matches.
    pub fn find(&self, keys: &[Column], rows: usize) -> Vec<u32> {
        let mut numbers = vec![];
        let plain: Vec<Column> = keys
            .iter()
            .zip(&self.key_types)
            .map(|(c, t)| Column { data_type: t.clone(), array: c.array.clone() })
            .collect();
        self.table.find(&plain, rows, &mut numbers);
        if let Some(valid) = rows_without_null(keys, rows) {
            for (row, number) in numbers.iter_mut().enumerate() {
                if !valid.value(row) {
                    *number = ABSENT;
                }
            }
        }
        numbers
    }

    /// Right rows of key `number`.
    pub fn rows_of(&self, number: u32) -> &[u32] {
        if number == ABSENT {
            return &[];
        }
        let number = number as usize;
        &self.row_list[self.starts[number] as usize..self.starts[number + 1] as usize]
    }

    pub fn mark_used(&self, row: u32) {
        self.used[row as usize].store(true, Ordering::Relaxed);
    }

    /// Whether key `number` had not given its row away yet.
    pub fn spend(&self, number: u32) -> bool {
        !self.spent[number as usize].swap(true, Ordering::Relaxed)
    }

    pub fn unused_rows(&self) -> Vec<u32> {
        (0..self.rows as u32).filter(|r| !self.used[*r as usize].load(Ordering::Relaxed)).collect()
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

/// Key numbers of all rows; rows with a NULL get ABSENT.
fn number_rows(
    table: &mut KeyTable,
    keys: &[Column],
    valid: Option<&BooleanArray>,
    rows: usize,
) -> Result<Vec<u32>> {
    let mut numbers = vec![];
    let Some(valid) = valid else {
        table.insert(keys, rows, &mut numbers)?;
        return Ok(numbers);
    };
    let filtered: Vec<Column> = keys.iter().map(|c| c.filter(valid)).collect();
    table.insert(&filtered, valid.true_count(), &mut numbers)?;
    let mut next = numbers.into_iter();
    Ok((0..rows)
        .map(|row| if valid.value(row) { next.next().unwrap_or(ABSENT) } else { ABSENT })
        .collect())
}

/// Rows grouped by key number, in row order.
fn group_rows(numbers: &[u32], keys: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; keys + 1];
    for number in numbers.iter().filter(|n| **n != ABSENT) {
        starts[*number as usize + 1] += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut cursors = starts.clone();
    let mut rows = vec![0u32; starts[keys] as usize];
    for (row, number) in numbers.iter().enumerate() {
        if *number != ABSENT {
            let cursor = &mut cursors[*number as usize];
            rows[*cursor as usize] = row as u32;
            *cursor += 1;
        }
    }
    (starts, rows)
}

fn with_default_row(block: Block, schema: &[(String, DataType)]) -> Result<Block> {
    let mut out = Block::of_rows(block.rows() + 1);
    for ((name, data_type), column) in schema.iter().zip(block.columns) {
        let column = Column { data_type: data_type.clone(), array: column.array };
        let default = Column::filler_values(data_type.clone(), 1);
        out.push(name.clone(), Column::concat(&[column, default])?);
    }
    Ok(out)
}
