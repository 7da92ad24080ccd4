//! The databases and tables that a statement names, for `system.query_log`: what FROM, JOIN and subqueries
//! read, and what an INSERT writes. Views are not followed.

use pumphouse_query::sql::ast::{
    InsertSource, Query, QueryBody, Statement, TableExpr, TableName, WithItem,
};
use pumphouse_query::sql::for_each_subquery;

/// Names that are gathered of one statement.
const NAMES_MAX: usize = 100;

/// Databases, and tables with theirs, each in order.
pub(super) fn of_statement(statement: &Statement, database: &str) -> (Vec<String>, Vec<String>) {
    let mut names = Names { database, ctes: vec![], tables: vec![] };
    match statement {
        Statement::Query(query) => names.query(query),
        Statement::Insert(insert) => {
            if let Some(table) = &insert.table {
                names.named(table);
            }
            if let InsertSource::Query(query) = &insert.source {
                names.query(query);
            }
        }
        Statement::CreateTable(create) => names.named(&create.name),
        Statement::CreateView(create) => names.named(&create.name),
        Statement::Alter(alter) => names.named(&alter.name),
        _ => {}
    }
    let mut tables: Vec<String> = names.tables.iter().map(|(d, t)| format!("{d}.{t}")).collect();
    let mut databases: Vec<String> = names.tables.into_iter().map(|(d, _)| d).collect();
    for list in [&mut tables, &mut databases] {
        list.sort();
        list.dedup();
    }
    (databases, tables)
}

struct Names<'a> {
    database: &'a str,
    ctes: Vec<String>,
    tables: Vec<(String, String)>,
}

impl Names<'_> {
    fn add(&mut self, database: Option<&str>, name: &str) {
        if self.tables.len() < NAMES_MAX {
            let database = database.unwrap_or(self.database).to_string();
            self.tables.push((database, name.to_string()));
        }
    }

    fn named(&mut self, table: &TableName) {
        self.add(table.database.as_deref(), &table.name);
    }

    fn query(&mut self, query: &Query) {
        match &query.body {
            QueryBody::SetOperation { inputs, .. } => inputs.iter().for_each(|q| self.query(q)),
            QueryBody::Select(select) => {
                for item in &select.with {
                    if let WithItem::Query { name, query, .. } = item {
                        self.query(query);
                        self.ctes.push(name.clone());
                    }
                }
                if let Some(from) = &select.from {
                    self.table(from);
                }
                // The walk is made for changes; a copy is walked.
                for_each_subquery(&mut select.clone(), &mut |query| self.query(query));
            }
        }
    }

    fn table(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Table { database, name, .. } => {
                if database.is_some() || !self.ctes.contains(name) {
                    self.add(database.as_deref(), name);
                }
            }
            TableExpr::Subquery { query, .. } => self.query(query),
            TableExpr::Join(join) => {
                self.table(&join.left);
                self.table(&join.right);
            }
            TableExpr::ArrayJoin { input, .. } => self.table(input),
            TableExpr::Function { .. } => {}
        }
    }
}
