//! Whether the tables and columns that a query reads may be read, also through views: a view is a table of its own,
//! and behind it reads who asks (INVOKER, as views do by default) or who it is defined by (DEFINER).
//!
//! The query is bound against [`Guard`], which gives tables that cannot be scanned and remembers which they were.

use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_query::catalog::{
    BlockSource, Catalog, JoinRule, MorselSource, SourceColumn, StoreCatalog, TableSource,
    parse_structure,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::error::codes;
use pumphouse_query::privileges::Privileges;
use pumphouse_query::reads::columns_read;
use pumphouse_query::sql::ast::*;
use pumphouse_query::sql::{self};
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;
use pumphouse_storage::scan::ColumnCondition;

use crate::access::{Entities, Granted, RoleChoice};
use crate::statement::Run;
use crate::system_tables::is_virtual_database;

/// How deep views may lead to views.
const VIEWS_MAX: usize = 100;

impl Run<'_> {
    /// Error 497 unless `query` may be read.
    pub(super) fn require_reads(&self, query: &Query) -> Result<()> {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        let reader = Reader { run: self, entities: &entities };
        reader.query(query, &self.access, 0)
    }

    /// What a table function needs.
    pub(super) fn require_function(&self, name: &str, write: bool) -> Result<()> {
        require_function(&self.access, name, write)
    }
}

struct Reader<'a, 'r> {
    run: &'a Run<'r>,
    entities: &'a Arc<Entities>,
}

impl Reader<'_, '_> {
    fn query(&self, query: &Query, access: &Arc<Granted>, depth: usize) -> Result<()> {
        if access.everything {
            return Ok(());
        }
        if depth > VIEWS_MAX {
            return Err(Error::new(codes::TOO_DEEP_RECURSION, "Views lead to views without end"));
        }
        let guard = Guard { inner: self.run.select_catalog(), access, given: Mutex::default() };
        let read = columns_read(query, &guard, self.run.context)?;
        let given = guard.given.into_inner();
        for (source, columns) in read {
            let is_it =
                |g: &&Given| std::ptr::addr_eq(Arc::as_ptr(&g.source), Arc::as_ptr(&source));
            let Some(given) = given.iter().find(is_it) else { continue };
            self.table(given, columns, access, depth)?;
        }
        Ok(())
    }

    fn table(
        &self,
        given: &Given,
        mut columns: Vec<String>,
        access: &Arc<Granted>,
        depth: usize,
    ) -> Result<()> {
        let select = Privileges::of("SELECT");
        let (database, name) = (given.database.as_str(), given.name.as_str());
        if columns.is_empty() {
            access.require_some_column(select, database, name)?;
        } else {
            columns.sort();
            columns.dedup();
            access.require(select, &[database, name], &columns)?;
        }
        let Some(view) = &given.view else { return Ok(()) };
        let query = columns_of(view, &columns);
        match self.definer(database, name)? {
            Behind::Invoker => self.query(&query, access, depth + 1),
            Behind::Nobody => Ok(()),
            Behind::Definer(user) => {
                let definer = self.entities.granted(&user, &RoleChoice::Default);
                let definer =
                    definer.ok_or_else(|| crate::access::unknown(EntityKind::User, &user))?;
                self.query(&query, &definer, depth + 1)
            }
        }
    }

    fn definer(&self, database: &str, name: &str) -> Result<Behind> {
        let state = self.run.server.store.snapshot();
        let Some(table) = state.table(database, name) else { return Ok(Behind::Invoker) };
        if table.definition.engine != "View" {
            return Ok(Behind::Invoker);
        }
        match sql::parse_statement(&table.definition.create_query)?.statement {
            Statement::CreateView(view) => Ok(behind(view.security.as_deref())),
            _ => Ok(Behind::Invoker),
        }
    }
}

use pumphouse_query::sql::access::EntityKind;

/// Whose rights count behind a view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Invoker,
    Definer(String),
    /// SQL SECURITY NONE.
    Nobody,
}

/// What `DEFINER = u SQL SECURITY DEFINER` says.
pub(super) fn behind(security: Option<&str>) -> Behind {
    let mut words = crate::statement::Words::of(security.unwrap_or_default());
    let mut definer = None;
    if words.keyword("DEFINER") && words.symbol("=") {
        definer = words.name().ok();
    }
    if words.keyword("SQL SECURITY NONE") {
        return Behind::Nobody;
    }
    if words.keyword("SQL SECURITY INVOKER") {
        return Behind::Invoker;
    }
    match definer {
        Some(user) => Behind::Definer(user),
        None if words.keyword("SQL SECURITY DEFINER") => {
            Behind::Definer(crate::access::DEFAULT_USER.into())
        }
        None => Behind::Invoker,
    }
}

/// `SELECT columns FROM (query)`.
fn columns_of(query: &Query, columns: &[String]) -> Query {
    let mut items: Vec<Expr> =
        columns.iter().map(|c| Expr::new(ExprKind::Identifier(vec![c.clone()]))).collect();
    if items.is_empty() {
        items.push(Expr::new(ExprKind::Literal { value: Value::UInt(1), text: "1".into() }));
    }
    let from = TableExpr::Subquery {
        query: Box::new(query.clone()),
        alias: None,
        columns: vec![],
        final_: false,
    };
    let select = Select { items, from: Some(from), ..Select::default() };
    Query::new(QueryBody::Select(Box::new(select)))
}

/// A table that was given to the binder.
struct Given {
    source: Arc<dyn TableSource>,
    database: String,
    name: String,
    view: Option<Query>,
}

/// The catalog that queries are bound against to see what they read.
struct Guard<'a> {
    inner: StoreCatalog,
    access: &'a Granted,
    given: Mutex<Vec<Given>>,
}

impl Catalog for Guard<'_> {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        let inner = self.inner.table(database, name)?;
        if database == "system" {
            let shown = crate::access::granted::shown_table_needs(name);
            self.access.require(shown, &[], &[])?;
        }
        let select = Privileges::of("SELECT");
        self.access.require_some_column(select, database, name)?;
        let view = inner.view_query().filter(|_| !is_virtual_database(database)).cloned();
        if view.is_some() && inner.columns().is_empty() {
            // It has columns once its parameters are given.
            self.access.require(select, &[database, name], &[])?;
            return Ok(inner);
        }
        let columns = inner.columns().iter().map(|column| {
            // An ALIAS column is a column as any.
            SourceColumn { alias_expression: None, ..column.clone() }
        });
        let source: Arc<dyn TableSource> = Arc::new(Guarded { columns: columns.collect(), inner });
        let (database, name) = (database.to_string(), name.to_string());
        self.given.lock().push(Given { source: source.clone(), database, name, view });
        Ok(source)
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        require_function(self.access, name, false)?;
        let text = |i: usize| match arguments.get(i) {
            Some(Value::String(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        };
        match name {
            "input" => {
                let columns = parse_structure(&text(0))?;
                Ok(Arc::new(BlockSource::new("input", columns, vec![])))
            }
            "remote" | "remoteSecure" | "cluster" | "clusterAllReplicas" => {
                self.inner.table_function(name, arguments, ctx)?;
                match text(1).split_once('.') {
                    Some((database, table)) => self.table(database, table),
                    None => self.table(&text(1), &text(2)),
                }
            }
            "dictionary" => {
                self.require_dictionary(&text(0), &ctx.database)?;
                self.inner.table_function(name, arguments, ctx)
            }
            _ => self.inner.table_function(name, arguments, ctx),
        }
    }

    fn dictionary(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        self.require_dictionary(name, database)?;
        self.inner.dictionary(database, name)
    }

    fn join_table(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        let rows = self.inner.join_table(database, name)?;
        self.access.require(Privileges::of("SELECT"), &[database, name], &[])?;
        Ok(rows)
    }

    fn user_function(&self, name: &str) -> Option<Arc<str>> {
        self.inner.user_function(name)
    }
}

impl Guard<'_> {
    /// Error 497 unless the dictionary that a name means may be asked.
    fn require_dictionary(&self, name: &str, database: &str) -> Result<()> {
        let Some(table) = crate::dictionaries::find(&self.inner.state, database, name) else {
            return Ok(());
        };
        let definition = &table.definition;
        let names = [definition.database.as_str(), definition.name.as_str()];
        self.access.require(Privileges::of("dictGet"), &names, &[])
    }
}

/// What table functions reach outside of the server, by its name as a source.
fn source_of_function(name: &str) -> Option<&'static str> {
    match name {
        "file" => Some("FILE"),
        "url" => Some("URL"),
        "remote" | "remoteSecure" | "cluster" | "clusterAllReplicas" => Some("REMOTE"),
        _ => None,
    }
}

/// Functions whose rows are made, or come from tables that are looked at by themselves.
const FREE_FUNCTIONS: &[&str] = &[
    "numbers",
    "numbers_mt",
    "zeros",
    "zeros_mt",
    "generate_series",
    "generateSeries",
    "values",
    "VALUES",
    "null",
    "generateRandom",
    "format",
    "merge",
    "input",
    "loop",
    "view",
    "viewIfPermitted",
];

fn require_function(access: &Granted, name: &str, write: bool) -> Result<()> {
    if let Some(source) = source_of_function(name) {
        let verb = Privileges::of(if write { "WRITE" } else { "READ" });
        // The older form: `GRANT FILE ON *.*`.
        let old = Privileges::named(source).is_some_and(|old| access.holds(old, &[]));
        if !old {
            access.require(verb, &[source], &[])?;
        }
    }
    match write || !FREE_FUNCTIONS.contains(&name) {
        true => access.require(Privileges::of("CREATE TEMPORARY TABLE"), &[], &[]),
        false => Ok(()),
    }
}

/// A table as the binder sees it; nothing is read.
struct Guarded {
    inner: Arc<dyn TableSource>,
    columns: Vec<SourceColumn>,
}

impl TableSource for Guarded {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }
    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        let message = "A table cannot be read while the rights to a query are checked";
        Err(Error::new(codes::NOT_IMPLEMENTED, message))
    }
    fn has_final(&self) -> bool {
        self.inner.has_final()
    }
    fn join_rule(&self) -> Option<&JoinRule> {
        self.inner.join_rule()
    }
    fn sampling_key(&self) -> Option<&str> {
        self.inner.sampling_key()
    }
    fn sorting_key(&self) -> &[String] {
        self.inner.sorting_key()
    }
    fn name(&self) -> String {
        self.inner.name()
    }
    fn engine(&self) -> String {
        self.inner.engine()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_rights_count_behind_a_view() {
        assert_eq!(behind(None), Behind::Invoker);
        assert_eq!(behind(Some("SQL SECURITY INVOKER")), Behind::Invoker);
        assert_eq!(behind(Some("DEFINER = u SQL SECURITY DEFINER")), Behind::Definer("u".into()));
        assert_eq!(behind(Some("DEFINER = u")), Behind::Definer("u".into()));
        assert_eq!(behind(Some("SQL SECURITY NONE")), Behind::Nobody);
    }
}
