//! Checks of CREATE TABLE's clauses that only the MergeTree family has: TTL, SAMPLE BY, and the
//! columns of an AggregatingMergeTree.

use std::collections::BTreeMap;

use pumphouse_query::bind::SqlExpressions;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::expression::ExpressionCompiler;
use pumphouse_storage::log::{ColumnDefinition, TableClauses, TtlRuleAction};

type Schema = [(String, DataType)];

/// TTLs of the table and of its columns.
pub(super) fn check_ttl(
    clauses: &TableClauses,
    columns: &[ColumnDefinition],
    schema: &Schema,
    primary_key: &[String],
    key_columns: &[String],
) -> Result<()> {
    let mut deletes = 0;
    for rule in &clauses.ttl {
        check_time(&rule.expression, schema)?;
        match &rule.action {
            TtlRuleAction::Delete { condition: None } => deletes += 1,
            TtlRuleAction::Delete { condition: Some(text) } => {
                SqlExpressions.compile(text, schema)?;
            }
            TtlRuleAction::GroupBy { keys, set } => {
                if !primary_key.starts_with(keys) {
                    return Err(bad_ttl(
                        "TTL Expression GROUP BY key should be a prefix of primary key",
                    ));
                }
                SqlExpressions.group(set, schema)?;
            }
            TtlRuleAction::Move { target } if !target.contains("'default'") => {
                return Err(bad_ttl(&format!("No such {target} for given storage policy.")));
            }
            TtlRuleAction::Move { .. } | TtlRuleAction::Recompress { .. } => {}
        }
    }
    if deletes > 1 {
        return Err(bad_ttl(
            "More than one DELETE TTL expression without WHERE expression is not allowed",
        ));
    }
    for column in columns.iter().filter(|c| !c.ttl.is_empty()) {
        if key_columns.contains(&column.name) {
            return Err(Error::new(
                codes::ILLEGAL_COLUMN,
                format!("Trying to set TTL for key column {}", column.name),
            ));
        }
        check_time(&column.ttl, schema)?;
    }
    Ok(())
}

fn bad_ttl(message: &str) -> Error {
    Error::new(codes::BAD_TTL_EXPRESSION, message)
}

fn check_time(text: &str, schema: &Schema) -> Result<()> {
    let compiled = SqlExpressions.compile(text, schema)?;
    if compiled.inputs().is_empty() {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("TTL expression {text} does not depend on any of the columns of the table"),
        ));
    }
    match compiled.result_type() {
        DataType::Date | DataType::Date32 | DataType::DateTime(_) | DataType::DateTime64(..) => {
            Ok(())
        }
        other => Err(bad_ttl(&format!(
            "TTL expression result column should have Date, Date32, DateTime or DateTime64 type, but has {other}"
        ))),
    }
}

/// SAMPLE BY is part of the primary key and of an unsigned type.
pub(super) fn check_sampling(
    clauses: &TableClauses,
    schema: &Schema,
    primary_key: &[String],
) -> Result<()> {
    let Some(text) = &clauses.sample_by else { return Ok(()) };
    if !primary_key.contains(text) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Sampling expression must be present in the primary key",
        ));
    }
    match SqlExpressions.compile(text, schema)?.result_type() {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Ok(()),
        other => Err(Error::new(
            codes::ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER,
            format!(
                "Invalid sampling column type in storage parameters: {other}. Must be one unsigned integer type"
            ),
        )),
    }
}

/// A plain column beside aggregates would keep an arbitrary value.
pub(super) fn check_dimensions(
    columns: &[ColumnDefinition],
    key_columns: &[String],
    settings: &BTreeMap<String, String>,
) -> Result<()> {
    let measures = |c: &ColumnDefinition| {
        matches!(
            c.data_type,
            DataType::AggregateFunction { .. } | DataType::SimpleAggregateFunction { .. }
        )
    };
    let allowed = settings.get("allow_dimensions_outside_sorting_key").is_some_and(|v| v == "1");
    if allowed || !columns.iter().any(measures) {
        return Ok(());
    }
    let outside: Vec<&str> = columns
        .iter()
        .filter(|c| !measures(c) && c.default.is_none() && !key_columns.contains(&c.name))
        .map(|c| c.name.as_str())
        .collect();
    if outside.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        codes::BAD_ARGUMENTS,
        format!(
            "Column(s) {} of the AggregatingMergeTree table are neither part of the sorting key nor aggregate measures (AggregateFunction or SimpleAggregateFunction). Add them to the sorting key (ORDER BY), or set 'allow_dimensions_outside_sorting_key = 1' if this is intentional",
            outside.join(", ")
        ),
    ))
}
