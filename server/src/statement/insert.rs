//! INSERT: rows from VALUES, from data in a format, or from a SELECT; through DEFAULTs into the
//! table and its views.

use std::sync::Arc;

use pumphouse_ingest::format::{self, InputColumn};
use pumphouse_query::error::codes;
use pumphouse_query::plan::Plan;
use pumphouse_query::sql::ast::{Expr, ExprKind, Insert, InsertSource};
use pumphouse_query::sql::format as sql_format;
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::log::{ColumnDefinition, DefaultKind, TableDefinition};

use super::insert_blocks::{BLOCK_ROWS_MAX, Blocks, columns_by_position};
use super::values::evaluator;
use super::{Input, Run};
use crate::files::read::{CHUNK_BYTES, parse_error, read_chunk, read_whole};

/// Bytes of one inserted block, roughly; more than a round number, so that data cut at 256 MiB makes one
/// part, not one and a crumb.
const BLOCK_BYTES_MAX: usize = 288 << 20;

impl Run<'_> {
    pub(super) fn insert(
        &mut self,
        insert: &Insert,
        format: Option<&str>,
        input: Input,
    ) -> Result<()> {
        let Some(name) = &insert.table else {
            return self.insert_into_function(insert, format, input);
        };
        if let Some(table) = self.temporary(name) {
            return self.insert_into(insert, &table.definition, format, input);
        }
        let database = self.database(&name.database).to_string();
        let state = self.server.store.snapshot();
        let Some(table) = state.table(&database, &name.name) else {
            return Err(self.unknown_table(&database, &name.name));
        };
        let mut definition = table.definition.clone();
        if definition.engine == "Dictionary" {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Method write is not supported by storage Dictionary",
            ));
        }
        // A materialized view stands for its target.
        if let Some((target_database, target)) = &definition.target {
            definition = state
                .table(target_database, target)
                .ok_or_else(|| self.unknown_table(target_database, target))?
                .definition
                .clone();
        }
        self.insert_into(insert, &definition, format, input)
    }

    /// Rows of the statement into the table of `definition`.
    pub(super) fn insert_into(
        &mut self,
        insert: &Insert,
        definition: &Arc<TableDefinition>,
        format: Option<&str>,
        input: Input,
    ) -> Result<()> {
        let columns = self.insert_columns(insert, definition)?;
        match &insert.source {
            InsertSource::Query(query) => match &insert.input {
                Some((format, offset)) => {
                    let catalog = self.input_catalog(format, input, *offset)?;
                    let plan = prepare(query, &catalog, self.context)?;
                    self.insert_plan(definition, &columns, &plan)
                }
                None => self.insert_select(definition, &columns, query),
            },
            InsertSource::Values { data_offset } => {
                self.insert_stream(definition, &columns, "Values", input, *data_offset)
            }
            InsertSource::Format { format: named, data_offset } => {
                let name = named
                    .as_deref()
                    .or(format)
                    .or(self.request.default_format.as_deref())
                    .unwrap_or("TabSeparated");
                self.insert_stream(definition, &columns, name, input, *data_offset)
            }
        }
    }

    /// The columns that the statement gives values for, in its order.
    fn insert_columns(
        &self,
        insert: &Insert,
        definition: &TableDefinition,
    ) -> Result<Vec<InputColumn>> {
        let insertable = |c: &&ColumnDefinition| {
            !c.default
                .as_ref()
                .is_some_and(|d| matches!(d.kind, DefaultKind::Materialized | DefaultKind::Alias))
        };
        let by_name = |name: &str| {
            definition.columns.iter().find(|c| c.name == name).ok_or_else(|| {
                Error::new(
                    codes::NO_SUCH_COLUMN_IN_TABLE,
                    format!("No such column {name} in table {}", definition.full_name()),
                )
            })
        };
        let all = || -> Vec<&ColumnDefinition> {
            definition
                .columns
                .iter()
                .filter(insertable)
                .filter(|c| !c.default.as_ref().is_some_and(|d| d.kind == DefaultKind::Ephemeral))
                .collect()
        };
        let chosen: Vec<&ColumnDefinition> = match &insert.columns {
            None => all(),
            Some(list) => {
                let mut chosen: Vec<&ColumnDefinition> = vec![];
                for expr in list {
                    match &expr.kind {
                        ExprKind::Identifier(parts) => {
                            let column = by_name(&parts.join("."))?;
                            if chosen.iter().any(|c| c.name == column.name) {
                                return Err(Error::new(
                                    codes::DUPLICATE_COLUMN,
                                    format!("Column {} specified more than once", column.name),
                                ));
                            }
                            chosen.push(column);
                        }
                        _ => {
                            for column in expand(expr, all())? {
                                chosen.push(column);
                            }
                        }
                    }
                }
                chosen
            }
        };
        let is_alias = |c: &&&ColumnDefinition| {
            c.default.as_ref().is_some_and(|d| d.kind == DefaultKind::Alias)
        };
        if let Some(column) = chosen.iter().find(is_alias) {
            return Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("No such column {} in table {}", column.name, definition.full_name()),
            ));
        }
        if let Some(column) = chosen.iter().find(|c| !insertable(c)) {
            return Err(Error::new(
                codes::ILLEGAL_COLUMN,
                format!("Cannot insert column {}, because it is MATERIALIZED column", column.name),
            ));
        }
        Ok(chosen
            .into_iter()
            .map(|c| InputColumn { name: c.name.clone(), data_type: c.data_type.clone() })
            .collect())
    }

    /// The result's columns go to the chosen ones by position.
    fn insert_select(
        &mut self,
        definition: &Arc<TableDefinition>,
        columns: &[InputColumn],
        query: &pumphouse_query::sql::ast::Query,
    ) -> Result<()> {
        let plan = prepare(query, &self.select_catalog(), self.context)?;
        self.insert_plan(definition, columns, &plan)
    }

    fn insert_plan(
        &mut self,
        definition: &Arc<TableDefinition>,
        columns: &[InputColumn],
        plan: &Plan,
    ) -> Result<()> {
        let columns = columns_by_position(plan, columns.to_vec())?;
        let mut blocks = Blocks::new(self, definition);
        blocks.push_query(plan, &columns)?;
        blocks.finish()
    }

    /// Reads the request piece by piece; all of it is one commit.
    fn insert_stream(
        &mut self,
        definition: &Arc<TableDefinition>,
        columns: &[InputColumn],
        format_name: &str,
        mut input: Input,
        data_offset: usize,
    ) -> Result<()> {
        let inline = input.text.get(data_offset..).is_some_and(|d| !d.trim_ascii().is_empty());
        let mut format_name = format_name;
        // A native client sends its rows as blocks or within the text, never both.
        let mut ended = false;
        if let Some(output) = self.output.blocks() {
            ended = inline;
            if !inline {
                let schema: Vec<_> =
                    columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
                output.expect(&schema)?;
                format_name = "Native";
            }
        }
        let mut reader = format::reader(format_name, columns, &self.format_options())?;
        reader.set_evaluator(evaluator(self.context.clone()));
        if let Some(bytes) = input.announced {
            reader.announce(bytes.min(BLOCK_BYTES_MAX as u64) as usize);
        }
        let rows_max = self.context.settings.u64("max_insert_block_size", BLOCK_ROWS_MAX) as usize;
        let mut buffer = input.text.split_off(data_offset.min(input.text.len()));
        let mut blocks = Blocks::of_data(self, definition, format_name);
        if reader.wants_whole() {
            let mut memory = self.context.memory.reserve(0)?;
            if ended {
                input.rest = Box::new(std::io::empty());
            }
            // No more than others may hold, whatever was announced.
            let announced = input.announced.unwrap_or(0).min(BLOCK_BYTES_MAX as u64);
            buffer.reserve_exact(announced as usize);
            let whole = read_whole(buffer, &mut input.rest, &mut memory)?;
            reader.open_whole(whole).map_err(|e| parse_error(e, format_name))?;
            loop {
                self.context.check()?;
                let more = reader.read_whole().map_err(|e| parse_error(e, format_name))?;
                if !more {
                    // The reader has let go of it.
                    memory.grow_to(0)?;
                }
                if reader.rows() >= rows_max || reader.bytes() >= BLOCK_BYTES_MAX || !more {
                    blocks.push(columns, reader.take()?)?;
                }
                if !more {
                    return blocks.finish();
                }
            }
        }
        // What of the buffer was read; it is let go when little has to be moved then.
        let mut at = 0;
        loop {
            self.context.check()?;
            let used = reader
                .read_stream(&buffer[at..], ended, rows_max.max(1))
                .map_err(|e| parse_error(e, format_name))?;
            at += used;
            let unread = buffer.len() - at;
            let last = ended && (unread == 0 || used == 0);
            if last {
                // Its memory may be needed for what comes now.
                buffer = vec![];
            }
            if reader.rows() >= rows_max || reader.bytes() >= BLOCK_BYTES_MAX || last {
                blocks.push(columns, reader.take()?)?;
            }
            if last {
                return blocks.finish();
            }
            if at >= unread {
                buffer.drain(..at);
                at = 0;
            }
            if !ended && used < CHUNK_BYTES {
                ended = !read_chunk(&mut input.rest, &mut buffer)?;
            }
        }
    }
}

/// `*`, `* EXCEPT (…)` in a column list.
fn expand<'c>(expr: &Expr, all: Vec<&'c ColumnDefinition>) -> Result<Vec<&'c ColumnDefinition>> {
    use pumphouse_query::sql::ast::ColumnTransformer;
    if let ExprKind::Asterisk(transformers) = &expr.kind {
        let mut columns = all;
        for transformer in transformers {
            if let ColumnTransformer::Except { names, .. } = transformer {
                columns.retain(|c| !names.contains(&c.name));
            }
        }
        return Ok(columns);
    }
    Err(Error::new(
        codes::SYNTAX_ERROR,
        format!("{} is no column of an INSERT", sql_format::expr(expr)),
    ))
}
