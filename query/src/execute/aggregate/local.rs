//! One thread's share of an aggregation: a key table and the accumulators of its groups, and older
//! tables set aside when they grew too large for the cache.

use pumphouse_storage::{Column, DataType};

use crate::aggregates::Accumulator;
use crate::error::Result;
use crate::execute::key_table::KeyTable;
use crate::plan::BoundAggregate;

/// Groups in one table before it is set aside; the tables and states of so many stay in the cache.
pub(super) const TABLE_GROUPS_MAX: usize = 1 << 17;
/// Partitions that large results are merged in, by the low bits of the key's hash.
pub(super) const PARTITIONS: usize = 256;

/// Keys and the states of their groups.
pub(super) struct Table {
    /// None without GROUP BY: one group.
    pub keys: Option<KeyTable>,
    pub states: Vec<Box<dyn Accumulator>>,
}

impl Table {
    pub fn new(key_types: &[DataType], grouped: bool, aggregates: &[BoundAggregate]) -> Table {
        let mut states: Vec<_> = aggregates.iter().map(|a| a.function.accumulator()).collect();
        if !grouped {
            states.iter_mut().for_each(|s| s.resize(1));
        }
        Table { keys: grouped.then(|| KeyTable::new(key_types)), states }
    }

    pub fn groups(&self) -> usize {
        self.keys.as_ref().map_or(1, KeyTable::len)
    }

    pub fn memory_bytes(&self) -> usize {
        self.keys.as_ref().map_or(0, KeyTable::memory_bytes)
            + self.states.iter().map(|s| s.memory_bytes()).sum::<usize>()
    }

    /// Adds `rows` rows.
    pub fn update(
        &mut self,
        keys: &[Column],
        arguments: &[Vec<Column>],
        rows: usize,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        match &mut self.keys {
            None => {
                for (state, arguments) in self.states.iter_mut().zip(arguments) {
                    state.update_single(arguments, rows)?;
                }
            }
            Some(table) => {
                table.insert(keys, rows, groups)?;
                let count = table.len();
                for (state, arguments) in self.states.iter_mut().zip(arguments) {
                    state.resize(count);
                    state.update(groups, arguments)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the groups `rows` of `other`.
    pub fn merge(&mut self, other: &Table, rows: &[u32], groups: &mut Vec<u32>) -> Result<()> {
        match (&mut self.keys, &other.keys) {
            (Some(mine), Some(theirs)) => mine.insert_from(theirs, rows, groups),
            _ => {
                groups.clear();
                groups.resize(rows.len(), 0);
            }
        }
        let count = self.groups();
        for (mine, theirs) in self.states.iter_mut().zip(&other.states) {
            mine.resize(count);
            mine.merge_rows(theirs.as_ref(), rows, groups)?;
        }
        Ok(())
    }
}

/// A table that takes no more rows, its groups in partition order.
pub(super) struct Frozen {
    pub table: Table,
    /// Group numbers, those of partition 0 first.
    order: Vec<u32>,
    starts: Vec<usize>,
}

impl Frozen {
    pub fn new(table: Table) -> Frozen {
        let groups = table.groups();
        let partition =
            |n: usize| table.keys.as_ref().map_or(0, |k| k.hash_of(n) as usize % PARTITIONS);
        let mut starts = vec![0usize; PARTITIONS + 1];
        for n in 0..groups {
            starts[partition(n) + 1] += 1;
        }
        for p in 0..PARTITIONS {
            starts[p + 1] += starts[p];
        }
        let mut cursors = starts.clone();
        let mut order = vec![0u32; groups];
        for n in 0..groups {
            let cursor = &mut cursors[partition(n)];
            order[*cursor] = n as u32;
            *cursor += 1;
        }
        Frozen { table, order, starts }
    }

    pub fn partition(&self, p: usize) -> &[u32] {
        &self.order[self.starts[p]..self.starts[p + 1]]
    }

    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.order.capacity() * 4 + self.starts.capacity() * 8
    }
}

/// One thread's tables for one grouping set.
pub(super) struct Local {
    pub current: Table,
    pub frozen: Vec<Frozen>,
    frozen_bytes: usize,
}

impl Local {
    pub fn new(table: Table) -> Local {
        Local { current: table, frozen: vec![], frozen_bytes: 0 }
    }

    pub fn is_large(&self) -> bool {
        self.current.keys.is_some() && self.current.groups() >= TABLE_GROUPS_MAX
    }

    /// Sets the current table aside and goes on with `fresh`.
    pub fn freeze(&mut self, fresh: Table) {
        let full = std::mem::replace(&mut self.current, fresh);
        let frozen = Frozen::new(full);
        self.frozen_bytes += frozen.memory_bytes();
        self.frozen.push(frozen);
    }

    pub fn memory_bytes(&self) -> usize {
        self.current.memory_bytes() + self.frozen_bytes
    }

    pub fn groups(&self) -> usize {
        self.current.groups() + self.frozen.iter().map(|f| f.table.groups()).sum::<usize>()
    }
}
