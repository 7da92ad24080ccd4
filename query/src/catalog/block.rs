//! A table that is blocks in memory: VALUES, the block a view runs over, system tables.

use std::sync::Arc;

use pumphouse_storage::Block;
use pumphouse_storage::scan::ColumnCondition;

use super::{MorselSource, SourceColumn, TableSource};
use crate::error::{Error, Result, codes};

/// A table that is one or more blocks in memory (VALUES, the block a view runs over, Memory engine).
pub struct BlockSource {
    name: String,
    columns: Vec<SourceColumn>,
    blocks: Arc<Vec<Block>>,
}

impl BlockSource {
    /// `schema` gives the columns; every block has all of them.
    pub fn new(name: impl Into<String>, columns: Vec<SourceColumn>, blocks: Vec<Block>) -> Self {
        BlockSource { name: name.into(), columns, blocks: Arc::new(blocks) }
    }
}

impl BlockSource {
    /// As [`BlockSource::new`], over blocks that others hold too.
    pub(super) fn shared(
        name: String,
        columns: Vec<SourceColumn>,
        blocks: Arc<Vec<Block>>,
    ) -> BlockSource {
        BlockSource { name, columns, blocks }
    }
}

impl TableSource for BlockSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, columns: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Ok(Arc::new(BlockScan { columns: columns.to_vec(), blocks: self.blocks.clone() }))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.blocks.iter().map(|b| b.rows() as u64).sum())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        "Memory".into()
    }
}

struct BlockScan {
    columns: Vec<String>,
    blocks: Arc<Vec<Block>>,
}

impl MorselSource for BlockScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.blocks.len())
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let Some(block) = self.blocks.get(index) else { return Ok(None) };
        let mut picked = Block::of_rows(block.rows());
        for name in &self.columns {
            let column = block.column(name).ok_or_else(|| {
                Error::new(
                    codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    format!("Not found column {name} in block"),
                )
            })?;
            picked.push(name.clone(), column.clone());
        }
        Ok(Some(picked))
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        self.blocks.get(index).map(Block::rows)
    }
}
