//! The table function `format(Format[, 'structure'], 'data')`: text in any input format as rows.

use std::sync::Arc;

use pumphouse_ingest::format::{self, FormatOptions, InputColumn};
use pumphouse_query::Result;
use pumphouse_query::catalog::{BlockSource, SourceColumn, TableSource, parse_structure};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, codes};
use pumphouse_storage::{Block, Value};

use crate::statement::values::evaluator;

/// A context like the query's, for expressions among the values.
fn own_context(ctx: &QueryContext) -> Arc<QueryContext> {
    let mut own = QueryContext::new(ctx.query_id.clone(), ctx.now_us, 0);
    own.database = ctx.database.clone();
    own.settings = ctx.settings.clone();
    own.time_zone = ctx.time_zone;
    own.deadline = ctx.deadline;
    own.memory = ctx.memory.clone();
    Arc::new(own)
}

pub(super) fn format(arguments: &[Value], ctx: &QueryContext) -> Result<Arc<dyn TableSource>> {
    let text = |value: &Value| match value {
        Value::String(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    let (name, structure, data) = match arguments {
        [name, Value::String(data)] => (text(name), None, data),
        [name, structure, Value::String(data)] => (text(name), text(structure), data),
        _ => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Table function 'format' requires 2 or 3 arguments: format, [structure], data",
            ));
        }
    };
    let options = FormatOptions { settings: ctx.settings.clone(), time_zone: ctx.time_zone };
    let name = name.unwrap_or_default();
    let columns: Vec<InputColumn> = match structure.filter(|s| s != "auto") {
        Some(structure) => parse_structure(&structure)?
            .into_iter()
            .map(|c| InputColumn { name: c.name, data_type: c.data_type })
            .collect(),
        None => format::infer(&name, data, &options)?,
    };
    let mut reader = format::reader(&name, &columns, &options)?;
    reader.set_evaluator(evaluator(own_context(ctx)));
    let failed = |e: format::ParseError| Error::new(e.code, e.message);
    let mut at = 0;
    while at < data.len() {
        match reader.read_stream(&data[at..], true, usize::MAX).map_err(failed)? {
            0 => break,
            used => at += used,
        }
    }
    let rows = reader.take()?;
    let named = columns.iter().map(|c| c.name.clone()).zip(rows.columns);
    let mut block = Block::of_rows(rows.rows);
    named.for_each(|(name, column)| block.push(name, column));
    let columns = columns.into_iter().map(|c| SourceColumn::plain(c.name, c.data_type)).collect();
    Ok(Arc::new(BlockSource::new("format", columns, vec![block])))
}
