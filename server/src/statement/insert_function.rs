//! INSERT INTO FUNCTION, and `input(…)`: a SELECT over the data that came with the statement.

use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_ingest::format::{FormatOptions, InputColumn};
use pumphouse_query::bind::bind_expression;
use pumphouse_query::catalog::{
    Catalog, MorselSource, SourceColumn, StoreCatalog, TableSource, parse_structure,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, ExprKind, Insert, InsertSource, TableExpr, TableName};
use pumphouse_query::{Error, Result, execute, prepare};
use pumphouse_storage::log::{ColumnDefinition, TableClauses, TableDefinition};
use pumphouse_storage::scan::ColumnCondition;
use pumphouse_storage::{Block, Value};
use uuid::Uuid;

use super::values::evaluator;
use super::{Input, Run};
use crate::files::{self, RowStream};

impl Run<'_> {
    pub(super) fn insert_into_function(
        &mut self,
        insert: &Insert,
        format: Option<&str>,
        input: Input,
    ) -> Result<()> {
        let Some(TableExpr::Function { name, arguments, .. }) = &insert.function else {
            return Err(Error::new(codes::SYNTAX_ERROR, "INSERT INTO what?"));
        };
        let values = self.constants(arguments)?;
        let definition = match name.as_str() {
            "file" => self.file_definition(insert, &values)?,
            "null" => {
                let columns = match values.first() {
                    Some(Value::String(text)) => inputs(&String::from_utf8_lossy(text))?,
                    _ => vec![],
                };
                definition("Null", columns, vec![])
            }
            "remote" | "remoteSecure" | "cluster" | "clusterAllReplicas" => {
                // Refuses what is not here.
                self.select_catalog().table_function(name, &values, self.context)?;
                let words: Vec<String> = values.iter().map(word).collect();
                let table = match words.get(1).and_then(|w| w.split_once('.')) {
                    Some((database, table)) => (database.to_string(), table.to_string()),
                    None => (
                        words.get(1).cloned().unwrap_or_default(),
                        words.get(2).cloned().unwrap_or_default(),
                    ),
                };
                let table = TableName { database: Some(table.0), name: table.1 };
                let own = Insert { table: Some(table), function: None, ..insert.clone() };
                return self.insert(&own, format, input);
            }
            other => {
                let source = self.select_catalog().table_function(other, &values, self.context)?;
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("Method write is not supported by storage {}", source.engine()),
                ));
            }
        };
        self.insert_into(insert, &Arc::new(definition), format, input)
    }

    fn file_definition(&self, insert: &Insert, values: &[Value]) -> Result<TableDefinition> {
        let (arguments, columns) = files::structure(&self.server.config, values)?;
        let columns = match (columns, &insert.source) {
            (Some(columns), _) => columns,
            (None, InsertSource::Query(query)) => {
                let plan = prepare(query, &self.select_catalog(), self.context)?;
                let column = |(name, data_type)| InputColumn { name, data_type };
                plan.schema.into_iter().map(column).collect()
            }
            _ => {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    "The structure of the file must be given to insert data into it",
                ));
            }
        };
        let quote = |text: &str| Value::string(text).to_sql();
        let texts =
            vec![quote(&arguments.format), quote(&arguments.path), quote(&arguments.compression)];
        Ok(definition("File", columns, texts))
    }

    /// Arguments of a table function; a bare name stands for itself.
    fn constants(&self, arguments: &[Expr]) -> Result<Vec<Value>> {
        let constant = |expr: &Expr| match &expr.kind {
            ExprKind::Identifier(parts) => Ok(Value::string(parts.join("."))),
            _ => {
                let bound = bind_expression(expr, &[], self.context)?;
                Ok(execute::evaluate(&bound, &Block::of_rows(1), self.context)?.value(0))
            }
        };
        arguments.iter().map(constant).collect()
    }

    /// The catalog of a SELECT in which `input(…)` is the statement's data.
    pub(super) fn input_catalog(
        &mut self,
        format: &str,
        mut input: Input,
        offset: usize,
    ) -> Result<InputCatalog> {
        if self.output.blocks().is_some() {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "input() is not supported in the native protocol, use HTTP",
            ));
        }
        input.text.drain(..offset.min(input.text.len()));
        Ok(InputCatalog {
            inner: self.select_catalog(),
            format: format.to_string(),
            options: self.format_options(),
            context: self.context.clone(),
            input: Arc::new(Mutex::new(Some(input))),
        })
    }
}

fn word(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}

fn inputs(structure: &str) -> Result<Vec<InputColumn>> {
    let columns = parse_structure(structure)?.into_iter();
    Ok(columns.map(|c| InputColumn { name: c.name, data_type: c.data_type }).collect())
}

/// A table that is in no catalog.
fn definition(engine: &str, columns: Vec<InputColumn>, arguments: Vec<String>) -> TableDefinition {
    let columns = columns.into_iter().enumerate().map(|(i, c)| ColumnDefinition {
        id: i as u32,
        name: c.name,
        data_type: c.data_type,
        default: None,
        comment: String::new(),
        codec: String::new(),
        ttl: String::new(),
    });
    TableDefinition {
        uuid: Uuid::new_v4(),
        database: String::new(),
        name: engine.to_lowercase(),
        engine: engine.into(),
        columns: columns.collect(),
        sorting_key: vec![],
        primary_key: vec![],
        partition_key: vec![],
        settings: Default::default(),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: TableClauses { engine_arguments: arguments, ..TableClauses::default() },
    }
}

/// A catalog that knows `input(…)`.
pub(super) struct InputCatalog {
    inner: StoreCatalog,
    format: String,
    options: FormatOptions,
    context: Arc<QueryContext>,
    input: Arc<Mutex<Option<Input>>>,
}

impl Catalog for InputCatalog {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        self.inner.table(database, name)
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        if name != "input" {
            return self.inner.table_function(name, arguments, ctx);
        }
        let [Value::String(structure)] = arguments else {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Table function 'input' requires exactly 1 argument: structure",
            ));
        };
        let stored = inputs(&String::from_utf8_lossy(structure))?;
        let columns = stored
            .iter()
            .map(|c| SourceColumn::plain(c.name.clone(), c.data_type.clone()))
            .collect();
        Ok(Arc::new(InputSource {
            columns,
            stored,
            format: self.format.clone(),
            options: self.options.clone(),
            context: self.context.clone(),
            input: self.input.clone(),
        }))
    }

    fn dictionary(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        self.inner.dictionary(database, name)
    }

    fn join_table(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        self.inner.join_table(database, name)
    }

    fn user_function(&self, name: &str) -> Option<Arc<str>> {
        self.inner.user_function(name)
    }
}

struct InputSource {
    columns: Vec<SourceColumn>,
    stored: Vec<InputColumn>,
    format: String,
    options: FormatOptions,
    context: Arc<QueryContext>,
    input: Arc<Mutex<Option<Input>>>,
}

impl TableSource for InputSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, columns: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        let Some(input) = self.input.lock().take() else {
            return Err(Error::new(
                codes::INVALID_USAGE_OF_INPUT,
                "You can read only single input() per query.",
            ));
        };
        let stored = self.stored.clone();
        let memory = self.context.memory.reserve(0)?;
        let data = (input.text, input.rest);
        let mut stream = RowStream::new(&self.format, stored, &self.options, data, memory)?;
        stream.set_evaluator(evaluator(self.context.clone()));
        let state = Mutex::new((stream, None));
        Ok(Arc::new(InputScan { columns: columns.to_vec(), state }))
    }

    fn name(&self) -> String {
        "input".into()
    }

    fn engine(&self) -> String {
        "Input".into()
    }
}

/// A stream, and the morsel read last: it may be asked for in parts.
type InputState = (RowStream, Option<(usize, Option<Block>)>);

struct InputScan {
    columns: Vec<String>,
    state: Mutex<InputState>,
}

impl MorselSource for InputScan {
    fn morsel_count(&self) -> Option<usize> {
        None
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let mut state = self.state.lock();
        if let Some((last, block)) = &state.1
            && *last == index
        {
            return Ok(block.clone());
        }
        let block = state.0.next_block()?.map(|block| {
            let mut picked = Block::of_rows(block.rows());
            for name in &self.columns {
                if let Some(column) = block.column(name) {
                    picked.push(name.clone(), column.clone());
                }
            }
            picked
        });
        state.1 = Some((index, block.clone()));
        Ok(block)
    }
}
