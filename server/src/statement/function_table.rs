//! `CREATE TABLE t AS function(…)`: a table that reads the table function each time it is read itself.

use std::sync::Arc;

use pumphouse_query::bind::analyze_query;
use pumphouse_query::sql::ast::{CreateTable, Expr, ExprKind, Query, QueryBody, Select, TableExpr};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, error::codes};
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::types::back_quote_if_needed;
use uuid::Uuid;

use super::Run;
use super::create::column_decl;

impl Run<'_> {
    pub(super) fn create_from_function(
        &mut self,
        mut create: CreateTable,
        function: TableExpr,
    ) -> Result<()> {
        if create.engine.name.is_some() {
            return Err(Error::new(
                codes::INCORRECT_QUERY,
                "A table is made either of an ENGINE or AS a table function",
            ));
        }
        let select = Select {
            items: vec![Expr::new(ExprKind::Asterisk(vec![]))],
            from: Some(function),
            ..Select::default()
        };
        let mut query = Query::new(QueryBody::Select(Box::new(select)));
        let database = create.name.database.clone().unwrap_or_default();
        super::create::qualify(&mut query, &database);
        let schema = analyze_query(&query, &self.select_catalog(), self.context)?.schema;
        if create.columns.is_empty() {
            create.columns = schema.iter().map(column_decl).collect();
        }
        let columns = self.column_definitions(&create.columns)?;
        let (if_not_exists, or_replace) = (create.if_not_exists, create.or_replace);
        let lines: Vec<String> =
            columns.iter().map(|c| format!("    `{}` {}", c.name, c.data_type)).collect();
        let select = format::query(&query, false);
        let function = select.strip_prefix("SELECT * FROM ").unwrap_or(&select).to_string();
        let definition = TableDefinition {
            uuid: Uuid::new_v4(),
            create_query: format!(
                "CREATE TABLE {}.{}\n(\n{}\n) AS {function}",
                back_quote_if_needed(&database),
                back_quote_if_needed(&create.name.name),
                lines.join(",\n")
            ),
            database,
            name: create.name.name.clone(),
            engine: "TableFunction".into(),
            columns,
            sorting_key: vec![],
            primary_key: vec![],
            partition_key: vec![],
            settings: Default::default(),
            select: Some(select),
            target: None,
            source: None,
            comment: create.comment.clone().unwrap_or_default(),
            clauses: Default::default(),
        };
        let commit = self.creation(&Arc::new(definition), or_replace);
        self.commit_create(commit, if_not_exists)
    }
}
