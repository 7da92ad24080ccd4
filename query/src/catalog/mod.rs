//! How the engine finds and reads tables. The server's catalog implements [`Catalog`]; every kind of
//! table (MergeTree, system tables, table functions, in-memory blocks, …) is a [`TableSource`].
//!
//! [`StoreCatalog`] serves the store's tables, [`OverlayCatalog`] puts one table over another catalog,
//! [`BlockSource`] is rows in memory, [`numbers`] holds the sources that compute their rows.

mod block;
mod buffered;
mod final_scan;
mod force;
mod join_table;
mod looped;
mod merge;
pub mod numbers;
mod overlay;
mod projection;
mod random;
mod store;
mod temporary;
mod values;
mod virtual_columns;

pub use block::BlockSource;
pub use buffered::BufferedSource;
pub use join_table::join_rule;
pub(crate) use looped::LoopSource;
pub use overlay::OverlayCatalog;
pub use store::{ExtraTables, StoreCatalog};
pub use temporary::{TemporaryTable, TemporaryTables};
pub use values::parse_structure;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::BooleanArray;
use pumphouse_storage::expression::CompiledProjection;
use pumphouse_storage::scan::{Chosen, ColumnCondition, Predicate, Wanted};
use pumphouse_storage::{Block, Column, DataType, Value};

use crate::context::{QueryContext, Settings};
use crate::dictionary::Dictionary;
use crate::error::{Error, Result, codes};
use crate::sql::ast::Query;

/// The engine of projections read as tables.
pub(crate) const PROJECTION_ENGINE: &str = "Projection";

/// Finds tables by name at one pinned version of the state.
pub trait Catalog: Send + Sync {
    /// The table; `Err` with UNKNOWN_DATABASE or UNKNOWN_TABLE (and a "maybe you meant") if absent.
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>>;
    /// A table function such as `numbers(10)` for the query `ctx`; arguments are constant-folded.
    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>>;
    /// The dictionary that `name` (with its database or not) means.
    fn dictionary(&self, _database: &str, name: &str) -> Result<Arc<Dictionary>> {
        Err(unknown_dictionary(name))
    }
    /// The rows of a Join table by key, for `joinGet`.
    fn join_table(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        let text = format!("Table {database}.{name} does not exist");
        Err(Error::new(codes::UNKNOWN_TABLE, text))
    }
    /// The lambda of a function written in SQL.
    fn user_function(&self, _name: &str) -> Option<Arc<str>> {
        None
    }
}

/// Error 36.
pub fn unknown_dictionary(name: &str) -> Error {
    Error::new(codes::BAD_ARGUMENTS, format!("Dictionary (`{name}`) not found"))
}

/// Something rows can be read from.
pub trait TableSource: Send + Sync {
    /// Columns in order. `hidden` ones (virtual, MATERIALIZED, ALIAS) are not part of `*`.
    fn columns(&self) -> &[SourceColumn];
    /// If this is a view: the query that it stands for; `scan` is not called then.
    fn view_query(&self) -> Option<&Query> {
        None
    }
    /// Opens a scan. `columns` are names from `columns()`; `conditions` may be used to skip rows that
    /// cannot match (the engine filters again).
    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>>;
    /// As `scan`, with what else is known about wanted rows and the query's settings.
    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        _predicate: &Predicate,
        _settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan(columns, conditions)
    }
    /// Expressions of keys and indexes that conditions may be on, as canonical text.
    fn pruning_keys(&self) -> Vec<String> {
        self.sorting_key().to_vec()
    }
    /// Least and greatest value of a column if known without reading.
    fn column_range(&self, _column: &str) -> Option<(Value, Value)> {
        None
    }
    /// As `scan_where`, in small morsels that ascend by the sorting key in each of the ranges given
    /// back. None if the table cannot, or is better read another way.
    fn scan_in_order(
        &self,
        _columns: &[String],
        _conditions: &[ColumnCondition],
        _predicate: &Predicate,
        _settings: &Settings,
    ) -> Result<Option<(Arc<dyn MorselSource>, Vec<Range<usize>>)>> {
        Ok(None)
    }
    /// Projections that queries may read instead, by name.
    fn projections(&self) -> Vec<(String, Arc<dyn CompiledProjection>)> {
        vec![]
    }
    /// A projection that keeps groups, as a table of its columns.
    fn projection_source(&self, _name: &str) -> Option<Arc<dyn TableSource>> {
        None
    }
    /// Whether FINAL changes what it yields.
    fn has_final(&self) -> bool {
        false
    }
    /// Opens a scan with FINAL. With `by_partition` rows of different partitions do not meet.
    fn scan_final(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        _by_partition: bool,
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan(columns, conditions)
    }
    /// What joins with it must be, if it is a Join table.
    fn join_rule(&self) -> Option<&JoinRule> {
        None
    }
    /// The expression of SAMPLE BY, as canonical text.
    fn sampling_key(&self) -> Option<&str> {
        None
    }
    /// Rows if known without reading (for `count()` and join order).
    fn row_count(&self) -> Option<u64> {
        None
    }
    /// Whether the lengths of a string column can be scanned as a column `<name>.size`, without its
    /// bytes.
    fn has_sizes(&self) -> bool {
        false
    }
    /// Expressions that the rows of each morsel are sorted by, as canonical text.
    fn sorting_key(&self) -> &[String] {
        &[]
    }
    /// For messages and EXPLAIN: `default.hits`, `numbers`.
    fn name(&self) -> String;
    /// The table that it is, or is a projection of.
    fn table_name(&self) -> String {
        self.name()
    }
    /// For EXPLAIN: `MergeTree`, `SystemNumbers`.
    fn engine(&self) -> String;
}

/// What `Join(ANY, LEFT, k)` says, in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRule {
    pub strictness: String,
    pub kind: String,
    pub keys: Vec<String>,
    pub use_nulls: bool,
}

#[derive(Debug, Clone)]
pub struct SourceColumn {
    pub name: String,
    pub data_type: DataType,
    pub hidden: bool,
    /// For ALIAS columns: canonical expression text, computed instead of read.
    pub alias_expression: Option<String>,
}

impl SourceColumn {
    pub fn plain(name: impl Into<String>, data_type: DataType) -> SourceColumn {
        SourceColumn { name: name.into(), data_type, hidden: false, alias_expression: None }
    }
}

/// Which rows of a block are wanted.
pub type RowFilter<'a> = dyn Fn(&Block) -> Result<arrow_array::BooleanArray> + 'a;

/// Which values of a column are wanted; no NULLs in the answer.
pub type ValueFilter<'a> = dyn FnMut(&Column) -> Result<BooleanArray> + 'a;

/// Whether rows whose values lie between these two (None: not bounded) may be wanted.
pub type RangeTest<'a> = dyn Fn(&Value, Option<&Value>) -> bool + 'a;

/// An open scan: independent pieces that any thread may read.
pub trait MorselSource: Send + Sync {
    /// Number of morsels, or None if only reading tells (then morsels are read in order, one thread,
    /// until one is None).
    fn morsel_count(&self) -> Option<usize>;
    /// The scan's columns of morsel `index`, in the order asked; None behind the last.
    fn read(&self, index: usize) -> Result<Option<Block>>;
    /// Only `columns` (a subset of the scan's) of morsel `index`; if `keep` is given, only the rows
    /// where it is true. For PREWHERE: filter columns first, the others for surviving rows.
    fn read_columns(
        &self,
        index: usize,
        columns: &[String],
        keep: Option<&arrow_array::BooleanArray>,
    ) -> Result<Option<Block>> {
        let Some(block) = self.read(index)? else { return Ok(None) };
        let mut picked = Block::of_rows(block.rows());
        for name in columns {
            if let Some(column) = block.column(name) {
                picked.push(name.clone(), column.clone());
            }
        }
        Ok(Some(match keep {
            Some(mask) => picked.filter(mask),
            None => picked,
        }))
    }
    /// Rows of morsel `index` that `keep` and `test` (None: all) choose, with their values if `wanted`;
    /// None behind the last morsel. With [`Wanted::Codes`] the array may be a dictionary. `test` sees values of `column`: those of all rows that `keep`
    /// keeps, maybe others of the morsel, maybe each but once. The mask given back has one flag per
    /// row that `keep` keeps.
    fn read_where(
        &self,
        index: usize,
        column: &str,
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueFilter<'_>>,
        wanted: Wanted,
    ) -> Result<Option<Chosen>> {
        let names = [column.to_string()];
        let Some(block) = self.read_columns(index, &names, keep)? else { return Ok(None) };
        let rows = block.rows();
        let lost = || Error::new(codes::LOGICAL_ERROR, format!("{column} was not read"));
        let column = block.columns.into_iter().next().ok_or_else(lost)?;
        let mask = match test {
            Some(test) => Some(test(&column)?).filter(|m| m.true_count() < rows),
            None => None,
        };
        let column = (wanted != Wanted::Nothing).then(|| match &mask {
            Some(mask) => column.filter(mask),
            None => column,
        });
        Ok(Some(Chosen { rows, mask, column }))
    }
    /// Flags of the rows of a morsel that lie where `column` may have a wanted value: `may` sees the
    /// least and the greatest value (None: not bounded) of runs of rows. None if all may.
    fn range_flags(
        &self,
        _index: usize,
        _column: &str,
        _may: &RangeTest<'_>,
    ) -> Option<BooleanArray> {
        None
    }
    /// The scan's columns of morsel `index`, of rows that pass `filter` (it sees those columns).
    /// With FINAL, rows that do not pass take no part in combining.
    fn read_filtered(&self, index: usize, filter: &RowFilter<'_>) -> Result<Option<Block>> {
        let Some(block) = self.read(index)? else { return Ok(None) };
        Ok(Some(block.filter(&filter(&block)?)))
    }
    /// Rows of a morsel if known.
    fn rows_hint(&self, _index: usize) -> Option<usize> {
        None
    }
    /// Least and greatest value (None: no bound known) of a column in a morsel, NULLs left out; None if
    /// nothing is known.
    fn column_range(&self, _index: usize, _column: &str) -> Option<(Value, Option<Value>)> {
        None
    }
    /// The first columns of the sorting key, as many as are known, at or before a morsel's first row,
    /// and at or behind its last.
    fn key_bounds(&self, _index: usize) -> Option<(Vec<Value>, Vec<Value>)> {
        None
    }
    /// Whether it is known that no row of the morsel passes the condition of this hash.
    fn is_ruled_out(&self, _index: usize, _condition: u128) -> bool {
        false
    }
    /// No row of the morsel passes the condition of this hash.
    fn rule_out(&self, _index: usize, _condition: u128) {}
    /// The projection that is read.
    fn projection(&self) -> Option<&str> {
        None
    }
    /// Parts, rows and granules (marks) that are read, of a MergeTree table.
    fn estimate(&self) -> Option<[u64; 3]> {
        None
    }
    /// Lines for `EXPLAIN indexes = 1`: parts and granules read, then what each test kept.
    fn explain(&self) -> Vec<String> {
        vec![]
    }
}

/// Table functions that need no store: `numbers`, `zeros`, `generate_series`, `values`, `null`.
pub fn table_function(name: &str, arguments: &[Value]) -> Option<Result<Arc<dyn TableSource>>> {
    match name {
        "values" | "VALUES" => Some(values::values(arguments)),
        "null" => Some(values::null(arguments)),
        "generateRandom" => Some(random::generate_random(arguments)),
        _ => numbers::table_function(name, arguments),
    }
}
