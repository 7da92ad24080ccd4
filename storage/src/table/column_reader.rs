//! Reading a table's columns from parts that were written under earlier definitions.
//!
//! A column that a part lacks takes its DEFAULT (or MATERIALIZED) expression, evaluated over the
//! part's other columns; one that is there in another type is cast. Both go through the compiler, once
//! per column and type. Nothing is written: merges and mutations are what makes it last.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::BooleanArray;
use parking_lot::Mutex;

use super::stored_columns;
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::expression::{CompiledExpression, ExpressionCompiler};
use crate::log::{ColumnDefinition, TableDefinition};
use crate::part::{Aspect, Chosen, PartReader, ValueTest, Wanted, choose_of, sizes_of};
use crate::run_time::subcolumn::Subcolumn;
use crate::scan::{BlockCache, BlockKey};
use crate::types::DataType;

/// How deep defaults may lead to columns that are missing too.
const DEPTH_MAX: usize = 32;

/// The columns of one definition, as parts can give them. Cheap to make and to share.
pub struct ColumnReader {
    definition: Arc<TableDefinition>,
    compiler: Arc<dyn ExpressionCompiler>,
    compiled: Mutex<HashMap<(u32, Option<String>), Arc<dyn CompiledExpression>>>,
    cache: Option<Arc<BlockCache>>,
}

impl ColumnReader {
    pub fn new(
        definition: &Arc<TableDefinition>,
        compiler: &Arc<dyn ExpressionCompiler>,
    ) -> ColumnReader {
        ColumnReader {
            definition: definition.clone(),
            compiler: compiler.clone(),
            compiled: Mutex::default(),
            cache: None,
        }
    }

    /// Keeps what it decodes in `cache`, and takes it from there.
    pub(crate) fn cached(self, cache: &Arc<BlockCache>) -> ColumnReader {
        ColumnReader { cache: Some(cache.clone()), ..self }
    }

    /// `granules` of a stored column, as the part has them.
    fn stored(&self, part: &PartReader, index: usize, granules: &[usize]) -> Result<Column> {
        let Some(cache) = &self.cache else { return part.read_column(index, granules) };
        let (id, footer_hash) = (part.id(), part.footer_hash());
        let mut columns = Vec::with_capacity(granules.len());
        for granule in granules {
            let key = BlockKey { part: id, footer_hash, column: index, granule: *granule };
            columns.push(match cache.get(&key) {
                Some(column) => column,
                None => {
                    let column = part.read_column(index, &[*granule])?;
                    cache.insert(key, &column);
                    column
                }
            });
        }
        match columns.len() {
            0 => part.read_column(index, granules),
            1 => Ok(columns.remove(0)),
            _ => Column::concat(&columns),
        }
    }

    /// Whether `part` holds the column as the table has it, so that its statistics can be used.
    pub(crate) fn is_as_defined(part: &PartReader, column: &ColumnDefinition) -> bool {
        let stored = part.column_index(column.id).map(|i| part.data_type(i));
        stored.is_some_and(|stored| *stored == column.data_type)
    }

    /// `granules` of a column.
    pub(crate) fn read(
        &self,
        part: &PartReader,
        column: &ColumnDefinition,
        granules: &[usize],
    ) -> Result<Column> {
        self.read_within(part, column, granules, DEPTH_MAX)
    }

    /// Rows of `granules` that `keep` and `test` choose, of a column or of its lengths.
    pub(crate) fn choose(
        &self,
        part: &PartReader,
        column: &ColumnDefinition,
        aspect: Aspect,
        granules: &[usize],
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        if let Some(index) = part.column_index(column.id)
            && *part.data_type(index) == column.data_type
            && (self.cache.is_none() || aspect == Aspect::Sizes)
        {
            return part.choose(index, aspect, granules, keep, test, wanted);
        }
        let mut whole = self.read(part, column, granules)?;
        if aspect == Aspect::Sizes {
            whole = sizes_of(&whole)
                .ok_or_else(|| Error::Column(format!("{} has no sizes", column.name)))?;
        }
        choose_of(whole, keep, test, wanted)
    }

    /// A part of a JSON column, for all rows of `granules`.
    pub(crate) fn read_subcolumn(
        &self,
        part: &PartReader,
        column: &ColumnDefinition,
        granules: &[usize],
        wanted: &Subcolumn,
    ) -> Result<Column> {
        if let Some(index) = part.column_index(column.id)
            && *part.data_type(index) == column.data_type
        {
            return part.read_subcolumn(index, granules, wanted);
        }
        wanted.of_column(&self.read(part, column, granules)?)
    }

    fn read_within(
        &self,
        part: &PartReader,
        column: &ColumnDefinition,
        granules: &[usize],
        depth: usize,
    ) -> Result<Column> {
        let Some(index) = part.column_index(column.id) else {
            return self.default(part, column, granules, depth);
        };
        let stored = self.stored(part, index, granules)?;
        if stored.data_type == column.data_type {
            return Ok(stored);
        }
        self.convert(stored, column)
    }

    /// The column's default for the rows of `granules`.
    pub(crate) fn default(
        &self,
        part: &PartReader,
        column: &ColumnDefinition,
        granules: &[usize],
        depth: usize,
    ) -> Result<Column> {
        let rows = granules.iter().map(|g| part.granule_rows(*g)).sum();
        let text = column.default.as_ref().map_or("", |d| d.expression.as_str());
        if text.is_empty() {
            return Ok(Column::default_values(column.data_type.clone(), rows));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Error::Column(format!(
                "the defaults of columns lead too deep, or in a circle, at {}",
                column.name
            )));
        };
        let compiled = self.compile(column, None, text, &self.schema(column))?;
        let mut block = Block::of_rows(rows);
        for name in compiled.inputs() {
            let other = self.definition.columns.iter().find(|c| c.name == *name);
            let Some(other) = other else {
                return Err(Error::Column(format!("the default of {} needs {name}", column.name)));
            };
            block.push(name.clone(), self.read_within(part, other, granules, depth)?);
        }
        let values = compiled.evaluate(&block)?;
        if values.data_type == column.data_type {
            return Ok(values);
        }
        self.convert(values, column)
    }

    /// What expressions over the table's columns may name.
    fn schema(&self, besides: &ColumnDefinition) -> Vec<(String, DataType)> {
        let others = stored_columns(&self.definition).filter(|c| c.id != besides.id);
        others.map(|c| (c.name.clone(), c.data_type.clone())).collect()
    }

    /// `values` in the column's type.
    fn convert(&self, values: Column, column: &ColumnDefinition) -> Result<Column> {
        let quoted = format!("`{}`", column.name.replace('\\', "\\\\").replace('`', "\\`"));
        let target = column.data_type.to_string().replace('\\', "\\\\").replace('\'', "\\'");
        let text = format!("CAST({quoted}, '{target}')");
        let from = values.data_type.clone();
        let schema = [(column.name.clone(), from.clone())];
        let compiled = self.compile(column, Some(from.to_string()), &text, &schema)?;
        let cast = compiled.evaluate(&Block::new(vec![(column.name.clone(), values)]))?;
        if cast.array.data_type() != &column.data_type.arrow() {
            return Err(Error::Column(format!(
                "column {} of type {from} cannot be read as {}",
                column.name, column.data_type
            )));
        }
        Ok(Column { data_type: column.data_type.clone(), array: cast.array })
    }

    fn compile(
        &self,
        column: &ColumnDefinition,
        from: Option<String>,
        text: &str,
        schema: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledExpression>> {
        let key = (column.id, from);
        if let Some(compiled) = self.compiled.lock().get(&key) {
            return Ok(compiled.clone());
        }
        let compiled = self.compiler.compile(text, schema)?;
        self.compiled.lock().insert(key, compiled.clone());
        Ok(compiled)
    }
}
