//! Temporary tables: blocks in memory under a name without database. A session's live as long as it
//! does, a query's (external tables that came with it) as long as the query.
//!
//! Their bytes are charged to the account they were made with. An insert appears whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_storage::Block;
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::scan::ColumnCondition;

use super::store::definition_columns;
use super::{BlockSource, MorselSource, SourceColumn, TableSource};
use crate::context::{MemoryGuard, MemoryTracker};
use crate::error::{Error, Result, codes};

/// The most tables one session or query may have.
const TABLES_MAX: usize = 1000;

/// The temporary tables of one session or query, by name.
#[derive(Debug, Default)]
pub struct TemporaryTables {
    tables: Mutex<BTreeMap<String, Arc<TemporaryTable>>>,
}

impl TemporaryTables {
    pub fn get(&self, name: &str) -> Option<Arc<TemporaryTable>> {
        self.tables.lock().get(name).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.tables.lock().keys().cloned().collect()
    }

    /// Adds `table`; error 57 if its name is taken and not to be replaced.
    pub fn add(&self, table: TemporaryTable, replace: bool) -> Result<()> {
        let mut tables = self.tables.lock();
        let name = table.definition.name.clone();
        let known = tables.contains_key(&name);
        if known && !replace {
            return Err(Error::new(
                codes::TABLE_ALREADY_EXISTS,
                format!("Temporary table {name} already exists."),
            ));
        }
        if !known && tables.len() >= TABLES_MAX {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("There are {TABLES_MAX} temporary tables already"),
            ));
        }
        tables.insert(name, Arc::new(table));
        Ok(())
    }

    /// Whether there was such a table.
    pub fn remove(&self, name: &str) -> bool {
        self.tables.lock().remove(name).is_some()
    }
}

/// One temporary table. Its definition has an empty database name.
#[derive(Debug)]
pub struct TemporaryTable {
    pub definition: Arc<TableDefinition>,
    columns: Vec<SourceColumn>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    blocks: Arc<Vec<Block>>,
    guard: MemoryGuard,
}

impl TemporaryTable {
    /// An empty table whose rows are charged to `memory`.
    pub fn new(
        definition: Arc<TableDefinition>,
        memory: &Arc<MemoryTracker>,
    ) -> Result<TemporaryTable> {
        let held = Held { blocks: Arc::default(), guard: memory.reserve(0)? };
        let columns = definition_columns(&definition);
        Ok(TemporaryTable { definition, columns, held: Mutex::new(held) })
    }

    /// Adds whole rows; `Null` tables keep none.
    pub fn append(&self, blocks: Vec<Block>) -> Result<()> {
        if self.definition.engine == "Null" {
            return Ok(());
        }
        let bytes: usize = blocks.iter().map(Block::memory_bytes).sum();
        let mut held = self.held.lock();
        let total = held.guard.bytes() + bytes;
        held.guard.grow_to(total)?;
        Arc::make_mut(&mut held.blocks).extend(blocks.into_iter().filter(|b| !b.is_empty()));
        Ok(())
    }

    /// Empties the table.
    pub fn truncate(&self) -> Result<()> {
        let mut held = self.held.lock();
        held.blocks = Arc::default();
        held.guard.grow_to(0)
    }

    fn source(&self) -> BlockSource {
        let blocks = self.held.lock().blocks.clone();
        BlockSource::shared(self.definition.name.clone(), self.columns.clone(), blocks)
    }
}

impl TableSource for TemporaryTable {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.source().scan(columns, conditions)
    }

    fn row_count(&self) -> Option<u64> {
        self.source().row_count()
    }

    fn name(&self) -> String {
        self.definition.name.clone()
    }

    fn engine(&self) -> String {
        self.definition.engine.clone()
    }
}
