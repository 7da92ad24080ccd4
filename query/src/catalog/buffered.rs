//! A table of the engine Buffer as queries see it: rows in memory, then those of its destination.
//!
//! The destination is read as if it were named itself (its pruning, PREWHERE and FINAL); a column that it
//! lacks is all defaults there, one of another type is cast. Which rows are where is settled by whoever
//! makes the source.

use std::sync::Arc;

use arrow_array::BooleanArray;
use pumphouse_storage::scan::{Chosen, ColumnCondition, Predicate, Wanted};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::{
    BlockSource, MorselSource, RangeTest, RowFilter, SourceColumn, TableSource, ValueFilter,
};
use crate::context::{QueryContext, Settings};
use crate::error::Result;
use crate::functions::cast::cast_column;

pub struct BufferedSource {
    name: String,
    columns: Vec<SourceColumn>,
    rows: BlockSource,
    destination: Option<Arc<dyn TableSource>>,
}

impl BufferedSource {
    /// `blocks` may lack columns, or have them of other types, if the table was altered meanwhile.
    pub fn new(
        name: String,
        columns: Vec<SourceColumn>,
        blocks: Vec<Block>,
        destination: Option<Arc<dyn TableSource>>,
    ) -> Result<BufferedSource> {
        let stored = columns.iter().filter(|c| c.alias_expression.is_none());
        let wanted: Vec<(String, DataType)> =
            stored.map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let blocks = blocks.into_iter().map(|b| shaped(b, &wanted)).collect::<Result<Vec<_>>>()?;
        let rows = BlockSource::new(name.clone(), columns.clone(), blocks);
        Ok(BufferedSource { name, columns, rows, destination })
    }

    /// Columns that the destination has, each with whether its type is ours.
    fn shared(&self, columns: &[String]) -> Vec<(String, bool)> {
        let Some(destination) = &self.destination else { return vec![] };
        let find = |all: &[SourceColumn], name: &str| {
            let found = all.iter().find(|c| c.name == name && c.alias_expression.is_none());
            found.map(|c| c.data_type.clone())
        };
        let shared = columns.iter().filter_map(|name| {
            let theirs = find(destination.columns(), name)?;
            Some((name.clone(), Some(theirs) == find(&self.columns, name)))
        });
        shared.collect()
    }

    /// The scan that `open` makes of the destination behind the rows in memory.
    fn chained(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        open: impl FnOnce(
            &dyn TableSource,
            &[String],
            &[ColumnCondition],
            bool,
        ) -> Result<Arc<dyn MorselSource>>,
    ) -> Result<Arc<dyn MorselSource>> {
        let memory = self.rows.scan(columns, &[])?;
        let in_memory = memory.morsel_count().unwrap_or(0);
        let Some(destination) = &self.destination else { return Ok(memory) };
        let shared = self.shared(columns);
        let same = shared.len() == columns.len() && shared.iter().all(|(_, same)| *same);
        let names: Vec<String> = shared.into_iter().map(|(name, _)| name).collect();
        // Conditions are on values as the destination has them.
        let theirs = self.shared(&conditions.iter().map(|c| c.column.clone()).collect::<Vec<_>>());
        let kept = |c: &&ColumnCondition| theirs.iter().any(|(n, same)| *same && *n == c.column);
        let kept: Vec<ColumnCondition> = conditions.iter().filter(kept).cloned().collect();
        let mut stored = open(destination.as_ref(), &names, &kept, same)?;
        if !same {
            let wanted = columns.iter().filter_map(|name| {
                let column = self.columns.iter().find(|c| c.name == *name)?;
                Some((name.clone(), column.data_type.clone()))
            });
            stored = Arc::new(Shaped { inner: stored, wanted: wanted.collect() });
        }
        Ok(Arc::new(Chained { memory, in_memory, stored }))
    }
}

impl TableSource for BufferedSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.chained(columns, conditions, |table, names, kept, _| table.scan(names, kept))
    }

    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        self.chained(columns, conditions, |table, names, kept, same| match same {
            true => table.scan_where(names, kept, predicate, settings),
            false => table.scan_where(names, kept, &Predicate::default(), settings),
        })
    }

    fn pruning_keys(&self) -> Vec<String> {
        self.destination.as_ref().map(|d| d.pruning_keys()).unwrap_or_default()
    }

    fn has_final(&self) -> bool {
        self.destination.as_ref().is_some_and(|d| d.has_final())
    }

    fn scan_final(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        by_partition: bool,
    ) -> Result<Arc<dyn MorselSource>> {
        self.chained(columns, conditions, |table, names, kept, _| {
            table.scan_final(names, kept, by_partition)
        })
    }

    fn row_count(&self) -> Option<u64> {
        let stored = match &self.destination {
            Some(destination) => destination.row_count()?,
            None => 0,
        };
        Some(self.rows.row_count()? + stored)
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        "Buffer".into()
    }
}

/// The wanted columns of a block: cast, or all defaults.
fn shaped(block: Block, wanted: &[(String, DataType)]) -> Result<Block> {
    let mut out = Block::of_rows(block.rows());
    for (name, data_type) in wanted {
        let column = match block.column(name) {
            Some(column) if column.data_type == *data_type => column.clone(),
            Some(column) => cast_column(column, data_type, &QueryContext::new("", 0, 0))?,
            None => Column::default_values(data_type.clone(), block.rows()),
        };
        out.push(name.clone(), column);
    }
    Ok(out)
}

/// A scan whose columns are brought into shape.
struct Shaped {
    inner: Arc<dyn MorselSource>,
    wanted: Vec<(String, DataType)>,
}

impl MorselSource for Shaped {
    fn morsel_count(&self) -> Option<usize> {
        self.inner.morsel_count()
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        match self.inner.read(index)? {
            Some(block) => Ok(Some(shaped(block, &self.wanted)?)),
            None => Ok(None),
        }
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        self.inner.rows_hint(index)
    }

    fn estimate(&self) -> Option<[u64; 3]> {
        self.inner.estimate()
    }

    fn explain(&self) -> Vec<String> {
        self.inner.explain()
    }
}

/// Blocks in memory, then another scan.
struct Chained {
    memory: Arc<dyn MorselSource>,
    in_memory: usize,
    stored: Arc<dyn MorselSource>,
}

impl Chained {
    fn at(&self, index: usize) -> (&dyn MorselSource, usize) {
        match index.checked_sub(self.in_memory) {
            Some(index) => (self.stored.as_ref(), index),
            None => (self.memory.as_ref(), index),
        }
    }
}

impl MorselSource for Chained {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.in_memory + self.stored.morsel_count()?)
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let (source, index) = self.at(index);
        source.read(index)
    }

    fn read_columns(
        &self,
        index: usize,
        columns: &[String],
        keep: Option<&BooleanArray>,
    ) -> Result<Option<Block>> {
        let (source, index) = self.at(index);
        source.read_columns(index, columns, keep)
    }

    fn read_where(
        &self,
        index: usize,
        column: &str,
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueFilter<'_>>,
        wanted: Wanted,
    ) -> Result<Option<Chosen>> {
        let (source, index) = self.at(index);
        source.read_where(index, column, keep, test, wanted)
    }

    fn range_flags(&self, index: usize, column: &str, may: &RangeTest<'_>) -> Option<BooleanArray> {
        let (source, index) = self.at(index);
        source.range_flags(index, column, may)
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        let (source, index) = self.at(index);
        source.rows_hint(index)
    }

    fn column_range(&self, index: usize, column: &str) -> Option<(Value, Option<Value>)> {
        let (source, index) = self.at(index);
        source.column_range(index, column)
    }

    fn key_bounds(&self, index: usize) -> Option<(Vec<Value>, Vec<Value>)> {
        let (source, index) = self.at(index);
        source.key_bounds(index)
    }

    fn is_ruled_out(&self, index: usize, condition: u128) -> bool {
        let (source, index) = self.at(index);
        source.is_ruled_out(index, condition)
    }

    fn rule_out(&self, index: usize, condition: u128) {
        let (source, index) = self.at(index);
        source.rule_out(index, condition);
    }

    fn read_filtered(&self, index: usize, filter: &RowFilter<'_>) -> Result<Option<Block>> {
        let (source, index) = self.at(index);
        source.read_filtered(index, filter)
    }

    fn projection(&self) -> Option<&str> {
        self.stored.projection()
    }

    fn estimate(&self) -> Option<[u64; 3]> {
        self.stored.estimate()
    }

    fn explain(&self) -> Vec<String> {
        self.stored.explain()
    }
}
