//! EXPLAIN in all its kinds, as the block that answers it; also what `FROM (EXPLAIN …)` reads.
//!
//! Kinds differ in what they show: the tree of the text (AST), the text in canonical form (SYNTAX), the plan (as
//! lines or JSON), what runs it (PIPELINE), how much of each table is read (ESTIMATE). QUERY TREE, whose nodes are
//! those of ClickHouse's analyzer, is refused.

use std::sync::Arc;

use pumphouse_storage::{Block, Column, DataType, Value};

use crate::catalog::Catalog;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::optimize::shape::inputs;
use crate::plan::explain::{self, PlanOptions};
use crate::plan::{Plan, PlanNode};
use crate::sql::ast::{Explain, ExplainKind, Setting, Statement};
use crate::sql::{format, tree};

/// The answer of `explain`, one column of text but for ESTIMATE; `format_name` is the FORMAT that stands behind it.
pub fn explain(
    explain: &Explain,
    format_name: Option<&str>,
    catalog: &dyn Catalog,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    let on = |name: &str| explain.settings.iter().any(|s| s.name == name && is_on(s));
    match (explain.kind, &explain.statement) {
        // One row, as ClickHouse has it: the text is not cut into lines.
        (ExplainKind::Syntax, statement) => {
            if on("run_query_tree_passes") {
                return Err(not_here("the tree that query tree passes leave"));
            }
            one_column(vec![format::statement(statement, !on("oneline"))])
        }
        (ExplainKind::Ast, statement) => {
            if on("graph") {
                return Err(not_here("the tree as a graph"));
            }
            one_column(tree::lines(statement, format_name)?)
        }
        (ExplainKind::QueryTree, _) => Err(not_here("the analyzer's query tree")),
        (ExplainKind::Transaction, _) => one_column(vec!["<no current transaction>".into()]),
        (kind, Statement::Query(query)) => {
            let plan = crate::prepare(query, catalog, ctx)?;
            match kind {
                ExplainKind::Pipeline => one_column(explain::pipeline_lines(&plan)),
                ExplainKind::Estimate => estimate(&plan, ctx),
                _ => {
                    let options = PlanOptions { indexes: on("indexes"), header: on("header") };
                    match on("json") {
                        true => one_column(vec![explain::plan_json(&plan, options, ctx)]),
                        false => one_column(explain::plan_lines_in(&plan, options, ctx)),
                    }
                }
            }
        }
        _ => Err(Error::new(codes::INCORRECT_QUERY, "Only SELECT is supported for EXPLAIN query")),
    }
}

fn is_on(setting: &Setting) -> bool {
    setting.value.as_i128().is_some_and(|v| v != 0)
}

fn not_here(what: &str) -> Error {
    Error::new(codes::NOT_IMPLEMENTED, format!("EXPLAIN does not show {what}"))
}

fn one_column(lines: Vec<String>) -> Result<Block> {
    let values: Vec<Value> = lines.into_iter().map(Value::string).collect();
    let column = Column::from_values(DataType::String, &values)?;
    Ok(Block::new(vec![("explain".into(), column)]))
}

/// Parts, rows and marks that remain to be read, by table, in the order of the plan.
fn estimate(plan: &Plan, ctx: &QueryContext) -> Result<Block> {
    let mut tables: Vec<(String, [u64; 3])> = vec![];
    scans(plan, ctx, &mut tables)?;
    let text = |of: &dyn Fn(&str) -> String| -> Result<Column> {
        let values: Vec<Value> = tables.iter().map(|(name, _)| Value::string(of(name))).collect();
        Ok(Column::from_values(DataType::String, &values)?)
    };
    let split = |name: &str| {
        let (database, table) = name.split_once('.').unwrap_or(("", name));
        (database.to_string(), table.to_string())
    };
    let count = |i: usize| -> Result<Column> {
        let values: Vec<Value> = tables.iter().map(|(_, counts)| Value::UInt(counts[i])).collect();
        Ok(Column::from_values(DataType::UInt64, &values)?)
    };
    Ok(Block::new(vec![
        ("database".into(), text(&|name| split(name).0)?),
        ("table".into(), text(&|name| split(name).1)?),
        ("parts".into(), count(0)?),
        ("rows".into(), count(1)?),
        ("marks".into(), count(2)?),
    ]))
}

fn scans(plan: &Plan, ctx: &QueryContext, tables: &mut Vec<(String, [u64; 3])>) -> Result<()> {
    if let PlanNode::Scan { source, columns, conditions, hints, .. } = &plan.node {
        let open = source.scan_where(columns, conditions, &hints.predicate, &ctx.settings)?;
        if let Some(counts) = open.estimate() {
            match tables.iter_mut().find(|(name, _)| *name == source.name()) {
                Some((_, sum)) => sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n),
                None => tables.push((source.name(), counts)),
            }
        }
    }
    inputs(plan).into_iter().try_for_each(|input| scans(input, ctx, tables))
}
