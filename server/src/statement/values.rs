//! Expressions in `INSERT … VALUES`: what the format's reader meets and is no literal.

use std::sync::Arc;

use pumphouse_ingest::format::{Evaluator, ParseError};
use pumphouse_query::bind::bind_expression;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::{Error, Result, execute, sql};
use pumphouse_storage::block::default_value;
use pumphouse_storage::{Block, DataType, Value};

/// Evaluates constant expressions for one INSERT.
pub(crate) fn evaluator(context: Arc<QueryContext>) -> Evaluator {
    Box::new(move |text, data_type| {
        evaluate(text, data_type, &context)
            .map_err(|e| ParseError { code: e.code(), message: e.to_string() })
    })
}

fn evaluate(text: &str, data_type: &DataType, context: &Arc<QueryContext>) -> Result<Value> {
    context.check()?;
    let expr = sql::parse_expression(text)?;
    let bound = bind_expression(&expr, &[], context)?;
    let column = execute::evaluate(&bound, &Block::of_rows(1), context)?;
    if column.is_null(0) && !data_type.is_nullable() {
        if !context.settings.bool("input_format_null_as_default", true) {
            let message = format!("Cannot insert NULL value into a column of type '{data_type}'");
            return Err(Error::new(codes::TYPE_MISMATCH, message));
        }
        return Ok(default_value(data_type));
    }
    Ok(cast_column(&column, data_type, context)?.value(0))
}
