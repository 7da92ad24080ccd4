//! The table function `loop(…)`: the rows of a table or table function over and over, for queries with a
//! LIMIT. What is repeated is read once and charged to the query.

use std::sync::Arc;

use pumphouse_storage::Block;
use pumphouse_storage::scan::ColumnCondition;

use super::{MorselSource, SourceColumn, TableSource};
use crate::context::{MemoryGuard, QueryContext};
use crate::error::Result;
use crate::execute::{self, ResultSink};
use crate::plan::Plan;

/// Rows of a plan without end.
pub(crate) struct LoopSource {
    columns: Vec<SourceColumn>,
    plan: Plan,
    context: Arc<QueryContext>,
}

impl LoopSource {
    pub fn new(plan: Plan, context: &Arc<QueryContext>) -> LoopSource {
        let columns = plan.schema.iter().map(|(n, t)| SourceColumn::plain(n.clone(), t.clone()));
        LoopSource { columns: columns.collect(), plan, context: context.clone() }
    }
}

impl TableSource for LoopSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, columns: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        let mut read = Read { blocks: vec![], memory: self.context.memory.reserve(0)? };
        execute::run(&self.plan, &self.context, &mut read)?;
        let places = columns.iter().map(|name| self.columns.iter().position(|c| c.name == *name));
        let places: Vec<usize> = places.map(|at| at.unwrap_or(0)).collect();
        Ok(Arc::new(LoopScan { columns: columns.to_vec(), places, read }))
    }

    fn name(&self) -> String {
        "loop".into()
    }

    fn engine(&self) -> String {
        "Loop".into()
    }
}

struct Read {
    blocks: Vec<Block>,
    memory: MemoryGuard,
}

impl ResultSink for Read {
    fn block(&mut self, block: Block) -> Result<()> {
        self.memory.grow_to(self.memory.bytes() + block.memory_bytes())?;
        if block.rows() > 0 {
            self.blocks.push(block);
        }
        Ok(())
    }
}

struct LoopScan {
    columns: Vec<String>,
    places: Vec<usize>,
    read: Read,
}

impl MorselSource for LoopScan {
    fn morsel_count(&self) -> Option<usize> {
        None
    }

    /// Nothing repeated is nothing.
    fn read(&self, index: usize) -> Result<Option<Block>> {
        let blocks = &self.read.blocks;
        let Some(at) = index.checked_rem(blocks.len()) else { return Ok(None) };
        let mut picked = Block::of_rows(blocks[at].rows());
        for (name, place) in self.columns.iter().zip(&self.places) {
            picked.push(name.clone(), blocks[at].columns[*place].clone());
        }
        Ok(Some(picked))
    }
}
