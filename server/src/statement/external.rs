//! External tables as they come in with a query: blocks of the native protocol, parts of an HTTP form.
//! Once whole they become the query's temporary tables.
//!
//! All of them are in memory and bounded together; a name comes once.

use pumphouse_ingest::format::{self, FormatOptions, InputColumn};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::{Block, Column, DataType};

/// All tables of a query may hold this much.
pub const EXTERNAL_BYTES_MAX: usize = 1 << 30;
/// And be this many.
const TABLES_MAX: usize = 1000;
/// Rows of a block made of a form's part.
const BLOCK_ROWS: usize = 65_536;

/// The tables of one query, as they come in.
#[derive(Default)]
pub struct ExternalTables {
    tables: Vec<ExternalTable>,
    bytes: usize,
}

struct ExternalTable {
    name: String,
    columns: Vec<(String, DataType)>,
    blocks: Vec<Block>,
}

impl ExternalTables {
    /// Takes a block in: the first of a name makes the table, the next ones add rows.
    pub fn push(&mut self, name: &str, block: Block) -> Result<()> {
        let columns = block.schema();
        match self.tables.iter().position(|t| t.name == name) {
            Some(at) if self.tables[at].columns == columns => self.add(at, block),
            Some(_) => Err(Error::new(
                codes::TYPE_MISMATCH,
                format!("The blocks of the external table {name} differ in their columns"),
            )),
            None => {
                let at = self.create(name, columns)?;
                self.add(at, block)
            }
        }
    }

    /// Makes a table of text in a format.
    pub fn parse(
        &mut self,
        name: &str,
        columns: &[InputColumn],
        format_name: &str,
        bytes: &[u8],
        options: &FormatOptions,
    ) -> Result<()> {
        let schema = columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let table = self.create(name, schema)?;
        let failed = |e: format::ParseError| {
            let message = format!("{}: (while reading external table {name})", e.message);
            Error::new(e.code, message)
        };
        let mut reader = format::reader(format_name, columns, options)?;
        let mut at = 0;
        loop {
            let used = reader.read_stream(&bytes[at..], true, BLOCK_ROWS).map_err(failed)?;
            at += used;
            let rows = reader.take()?;
            if rows.rows > 0 {
                let names = columns.iter().map(|c| c.name.clone());
                self.add(table, Block::new(names.zip(rows.columns).collect()))?;
            }
            if used == 0 || at >= bytes.len() {
                return Ok(());
            }
        }
    }

    fn create(&mut self, name: &str, columns: Vec<(String, DataType)>) -> Result<usize> {
        if self.tables.iter().any(|t| t.name == name) {
            return Err(Error::new(
                codes::TABLE_ALREADY_EXISTS,
                format!("Temporary table {name} already exists"),
            ));
        }
        if self.tables.len() >= TABLES_MAX {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("A query brings at most {TABLES_MAX} external tables"),
            ));
        }
        self.tables.push(ExternalTable { name: name.into(), columns, blocks: vec![] });
        Ok(self.tables.len() - 1)
    }

    fn add(&mut self, at: usize, block: Block) -> Result<()> {
        self.bytes = self.bytes.saturating_add(block.memory_bytes());
        if self.bytes > EXTERNAL_BYTES_MAX {
            return Err(Error::new(
                codes::MEMORY_LIMIT_EXCEEDED,
                format!(
                    "External tables are larger than the maximum of {EXTERNAL_BYTES_MAX} bytes"
                ),
            ));
        }
        if block.rows() > 0 {
            self.tables[at].blocks.push(block);
        }
        Ok(())
    }

    /// One block a table.
    pub fn blocks(self) -> Result<Vec<(String, Block)>> {
        let block = |t: ExternalTable| -> Result<(String, Block)> {
            let empty = |(name, t): (String, DataType)| (name, Column::default_values(t, 0));
            let block = match t.blocks.is_empty() {
                true => Block::new(t.columns.into_iter().map(empty).collect()),
                false => Block::concat(&t.blocks)?,
            };
            Ok((t.name, block))
        };
        self.tables.into_iter().map(block).collect()
    }
}
