//! FROM: tables, views, table functions, subqueries and common table expressions become plans with
//! the columns that they offer to names. Joins are in `join`.

use std::collections::HashSet;
use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use super::aliases;
use super::names::{error_in, maybe_you_meant, similar};
use super::place::{Available, place};
use super::scope::{Cte, Merged, Scope, ScopeColumn, ScopeTable};
use super::tree::{self, Tree};
use super::{Binder, in_set};
use crate::catalog::{SourceColumn, TableSource};
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, PlanNode};
use crate::sql;
use crate::sql::ast::*;
use crate::sql::format::VIEW_EXPLAIN;

/// A bound table expression.
pub(super) struct Source {
    pub plan: Plan,
    pub available: Available,
    pub tables: Vec<ScopeTable>,
    pub using: Vec<Merged>,
    pub equal: HashSet<(u128, u128)>,
    pub joins: usize,
}

impl Source {
    /// No FROM: one row without columns.
    pub fn nothing() -> Source {
        Source {
            plan: Plan { node: PlanNode::OneRow, schema: vec![] },
            available: Available::default(),
            tables: vec![],
            using: vec![],
            equal: HashSet::new(),
            joins: 0,
        }
    }

    fn of_table(plan: Plan, available: Available, table: ScopeTable) -> Source {
        Source { plan, available, tables: vec![table], ..Source::nothing() }
    }
}

/// How the query names one table expression.
struct Label {
    alias: Option<String>,
    database: Option<String>,
    name: Option<String>,
}

impl Binder<'_> {
    pub(super) fn from(&self, table: &TableExpr, scope: &Scope) -> Result<Source> {
        let _level = self.enter()?;
        match table {
            TableExpr::Table { database, name, alias, final_, sample } => {
                let options = ScanOptions { final_: *final_, sample: sample.as_ref() };
                self.table(database.as_deref(), name, alias.clone(), options, scope)
            }
            TableExpr::Function { name, arguments, alias, final_, .. } => {
                self.table_function(name, arguments, alias.clone(), *final_, scope)
            }
            TableExpr::Subquery { query, alias, columns, .. } => {
                let plan = self.query(query, Some(scope))?;
                if !columns.is_empty() && columns.len() != plan.schema.len() {
                    return Err(Error::new(
                        codes::BAD_ARGUMENTS,
                        format!(
                            "Number of aliases does not match number of projection columns. Expected {}, got {}.",
                            plan.schema.len(),
                            columns.len()
                        ),
                    ));
                }
                let label = Label { alias: alias.clone(), database: None, name: None };
                Ok(self.source_of_plan(plan, label, columns))
            }
            TableExpr::Join(join) => self.join(join, scope),
            TableExpr::ArrayJoin { input, join } => self.inner_array_join(input, join, scope),
        }
    }

    /// ARRAY JOIN with another join behind it: its names become a table of their own.
    fn inner_array_join(
        &self,
        input: &TableExpr,
        clause: &ArrayJoin,
        scope: &Scope,
    ) -> Result<Source> {
        let mut source = self.from(input, scope)?;
        let mut inner = Scope::select(scope.parent, scope.select);
        inner.ctes = scope.ctes.clone();
        inner.aliases = scope.aliases.clone();
        inner.tables = std::mem::take(&mut source.tables);
        inner.using = source.using.clone();
        inner.joins = source.joins;
        self.array_join(clause, &mut source, &mut inner)?;
        let elements = inner
            .array_joined
            .into_iter()
            .map(|(name, tree)| ScopeColumn { name, tree, hidden: true })
            .collect();
        source.tables = inner.tables;
        source.tables.push(ScopeTable::new(None, None, None, elements));
        Ok(source)
    }

    fn table(
        &self,
        database: Option<&str>,
        name: &str,
        alias: Option<String>,
        options: ScanOptions<'_>,
        scope: &Scope,
    ) -> Result<Source> {
        let substituted = self.identifier_parameter(name)?;
        let name = substituted.as_deref().unwrap_or(name);
        let label = |database: Option<&str>| Label {
            alias: alias.clone(),
            database: database.map(String::from),
            name: Some(name.to_string()),
        };
        if database.is_none() {
            if let Some(rows) = self.working_rows(name) {
                return Ok(self.source_of_plan(rows, label(None), &[]));
            }
            if let Some((owner, at)) = scope.cte(name) {
                let cte = owner.ctes[at];
                let plan = self.cte(cte, owner, at)?;
                return Ok(self.source_of_plan(plan, label(None), cte.columns));
            }
        }
        if database.is_none()
            && let Some(source) = self.ctx.temporary_table(name)
        {
            return self.table_source(source, label(None), options);
        }
        let database = database.unwrap_or(&self.ctx.database);
        let source = self.catalog.table(database, name).map_err(|e| match e {
            Error::Coded { code: codes::UNKNOWN_TABLE, message }
                if !message.contains("In scope") =>
            {
                error_in(scope, codes::UNKNOWN_TABLE, ended(&message))
            }
            other => other,
        })?;
        let mut found = self.table_source(source, label(Some(database)), options)?;
        self.row_policies(&mut found, database, name)?;
        self.additional_filters(&mut found, database, name)?;
        Ok(found)
    }

    /// A common table expression, bound in the scope that defines it (later ones are not visible).
    fn cte(&self, cte: Cte, owner: &Scope, at: usize) -> Result<Plan> {
        let mut before = Scope::select(owner.parent, owner.select);
        before.ctes = owner.ctes[..at].to_vec();
        before.aliases = owner.select.map(aliases::of_with).unwrap_or_default();
        if cte.recursive
            && let Some(plan) = self.recursive(cte, &before)?
        {
            return Ok(plan);
        }
        self.query(cte.query, Some(&before))
    }

    fn table_source(
        &self,
        source: Arc<dyn TableSource>,
        label: Label,
        options: ScanOptions<'_>,
    ) -> Result<Source> {
        if let Some(query) = source.view_query() {
            let plan = self.view(query, source.columns())?;
            let mut of_view = self.source_of_plan(plan, label, &[]);
            let columns = of_view.tables.iter_mut().flat_map(|t| &mut t.columns);
            for (column, declared) in columns.zip(source.columns()) {
                column.hidden = declared.hidden;
            }
            return Ok(of_view);
        }
        if source.engine() == "Set" && !self.in_set_name.get() {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Method read is not supported by storage Set",
            ));
        }
        check_options(&*source, &options)?;
        let source_final = source.has_final();
        let sample = match options.sample {
            Some((size, offset)) => {
                super::sample::range(&*source, size, offset.as_ref(), self.ctx)?
            }
            None => None,
        };
        let stored: Vec<&SourceColumn> =
            source.columns().iter().filter(|c| c.alias_expression.is_none()).collect();
        let schema: Vec<(String, DataType)> =
            stored.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let prefix = match (&label.database, &label.name) {
            (Some(database), Some(name)) => format!("{database}.{name}."),
            _ => String::new(),
        };
        let mut available = Available::default();
        let mut trees = vec![];
        for (index, column) in stored.iter().enumerate() {
            let name = format!("{prefix}{}", column.name);
            let tree = tree::column(self.fresh(), name, column.data_type.clone());
            available.add(&tree, index);
            trees.push(ScopeColumn { name: column.name.clone(), tree, hidden: column.hidden });
        }
        let columns = self.with_alias_columns(source.columns(), trees)?;
        let node = PlanNode::Scan {
            columns: schema.iter().map(|(n, _)| n.clone()).collect(),
            source,
            conditions: vec![],
            prewhere: None,
            final_: options.final_ || (source_final && self.setting(|s| s.bool("final", false))),
            sample: None,
            hints: Box::default(),
        };
        let table = ScopeTable::new(label.alias, label.database, label.name, columns);
        let mut plan = Plan { node, schema };
        if let Some(range) = sample {
            plan = super::sample::filtered(plan, &range, self.ctx)?;
        }
        Ok(Source::of_table(plan, available, table))
    }

    /// Adds ALIAS columns: expressions over the stored ones (and over each other).
    fn with_alias_columns(
        &self,
        declared: &[SourceColumn],
        stored: Vec<ScopeColumn>,
    ) -> Result<Vec<ScopeColumn>> {
        let mut pending: Vec<&SourceColumn> =
            declared.iter().filter(|c| c.alias_expression.is_some()).collect();
        if pending.is_empty() {
            return Ok(stored);
        }
        let mut columns = stored;
        while !pending.is_empty() {
            let before = pending.len();
            let mut failed = None;
            pending.retain(|column| match self.alias_column(column, &columns) {
                Ok(tree) => {
                    let name = column.name.clone();
                    columns.push(ScopeColumn { name, tree, hidden: column.hidden });
                    false
                }
                Err(e) => {
                    failed = Some(e);
                    true
                }
            });
            if pending.len() == before {
                return Err(failed.unwrap_or_else(|| {
                    Error::new(codes::UNKNOWN_IDENTIFIER, "ALIAS columns refer to each other")
                }));
            }
        }
        columns.sort_by_key(|c| declared.iter().position(|d| d.name == c.name));
        Ok(columns)
    }

    fn alias_column(&self, column: &SourceColumn, known: &[ScopeColumn]) -> Result<Tree> {
        let text = column.alias_expression.as_deref().unwrap_or("NULL");
        let expr = sql::parse_expression(text)?;
        let scope = Scope::of_columns(known.to_vec());
        let tree = self.expression(&expr, &scope)?;
        self.cast(tree, &column.data_type)
    }

    /// The query of a view, with the columns that the view declares.
    fn view(&self, query: &Query, declared: &[SourceColumn]) -> Result<Plan> {
        let plan = self.query(query, None)?;
        let own: Vec<usize> = (0..declared.len())
            .map(|i| {
                let name = &declared[i].name;
                plan.schema.iter().position(|(n, _)| n == name).unwrap_or(i)
            })
            .collect();
        let as_declared = declared.len() == plan.schema.len()
            && own.iter().enumerate().all(|(i, at)| {
                i == *at
                    && plan.schema[i].0 == declared[i].name
                    && plan.schema[i].1 == declared[i].data_type
            });
        if as_declared || declared.is_empty() {
            return Ok(plan);
        }
        let mut exprs = vec![];
        for (column, at) in declared.iter().zip(own) {
            let Some((name, own_type)) = plan.schema.get(at) else {
                return Err(Error::new(
                    codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    format!("The view's query yields no column {}", column.name),
                ));
            };
            exprs.push(self.cast_column(at, name, own_type, &column.data_type)?);
        }
        let schema = declared.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        Ok(Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema })
    }

    /// Column `index` of a plan as type `want`.
    pub(super) fn cast_column(
        &self,
        index: usize,
        name: &str,
        own: &DataType,
        want: &DataType,
    ) -> Result<crate::plan::BoundExpr> {
        if own == want {
            return Ok(in_set::column_expr(index, own));
        }
        let column = tree::column(self.fresh(), name, own.clone());
        let mut available = Available::default();
        available.add(&column, index);
        let cast = self.cast(column, want)?;
        place(&cast, &available)
            .map_err(|_| Error::new(codes::LOGICAL_ERROR, "a cast reads only its column"))
    }

    /// A plan as a table expression; `names` rename its first columns.
    fn source_of_plan(&self, mut plan: Plan, label: Label, names: &[String]) -> Source {
        for (column, name) in plan.schema.iter_mut().zip(names) {
            column.0 = name.clone();
        }
        let prefix = match label.alias.as_ref().or(label.name.as_ref()) {
            Some(name) => format!("{name}."),
            None => String::new(),
        };
        let mut available = Available::default();
        let mut columns = vec![];
        for (index, (name, data_type)) in plan.schema.iter().enumerate() {
            let tree = tree::column(self.fresh(), format!("{prefix}{name}"), data_type.clone());
            available.add(&tree, index);
            columns.push(ScopeColumn { name: name.clone(), tree, hidden: false });
        }
        let table = ScopeTable::new(label.alias, label.database, label.name, columns);
        Source::of_table(plan, available, table)
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Expr],
        alias: Option<String>,
        final_: bool,
        scope: &Scope,
    ) -> Result<Source> {
        let label = |name: &str| Label { alias, database: None, name: Some(name.to_string()) };
        // Everything is permitted.
        let view = name.eq_ignore_ascii_case("view") || name == "viewIfPermitted";
        if view && let [Expr { kind: ExprKind::Subquery(query), .. }, ..] = arguments {
            let plan = self.query(query, Some(scope))?;
            return Ok(self.source_of_plan(plan, label(name), &[]));
        }
        if name == VIEW_EXPLAIN {
            let block = self.view_explain(arguments)?;
            let schema = block.schema();
            let plan = Plan { node: PlanNode::Blocks(vec![block]), schema };
            return Ok(self.source_of_plan(plan, label(name), &[]));
        }
        if name == "loop" {
            let source = Arc::new(self.looped(arguments, scope)?);
            let options = ScanOptions { final_: false, sample: None };
            return self.table_source(source, label(name), options);
        }
        if !arguments.is_empty()
            && let Some(plan) = self.parameterized_view(name, arguments, scope)?
        {
            let (_, name) = super::table_forms::split_name(name);
            return Ok(self.source_of_plan(plan, label(name), &[]));
        }
        let mut values = vec![];
        for argument in arguments {
            values.push(self.table_argument(name, argument, scope)?);
        }
        if name == "dictionary"
            && let [Value::String(text)] = values.as_mut_slice()
            && !text.contains(&b'.')
        {
            *text = format!("{}.{}", self.ctx.database, String::from_utf8_lossy(text)).into();
        }
        if name == "merge" && values.len() == 1 {
            values.insert(0, Value::string(self.ctx.database.clone()));
        }
        let source = self.catalog.table_function(name, &values, self.ctx)?;
        let options = ScanOptions { final_, sample: None };
        let table = source.table_name();
        let mut source = self.table_source(source, label(name), options)?;
        // Functions that lead to tables of this server lead to what is seen of them.
        if (name.starts_with("remote") || name.starts_with("cluster"))
            && let Some((database, table)) = table.split_once('.')
        {
            self.row_policies(&mut source, database, table)?;
        }
        for table in &mut source.tables {
            table.database = None;
        }
        Ok(source)
    }

    /// A constant; a bare name that means nothing stands for its text.
    pub(super) fn table_argument(
        &self,
        function: &str,
        expr: &Expr,
        scope: &Scope,
    ) -> Result<Value> {
        if let ExprKind::Identifier(parts) = &expr.kind
            && self.resolve(parts, scope)?.is_none()
        {
            return Ok(Value::string(parts.join(".")));
        }
        let tree = self.expression(expr, scope)?;
        tree.as_constant().cloned().ok_or_else(|| {
            error_in(
                scope,
                codes::BAD_ARGUMENTS,
                format!("Argument of table function {function} must be constant."),
            )
        })
    }
}

/// FINAL is for engines that merge rows, SAMPLE for MergeTree tables.
fn check_options(source: &dyn TableSource, options: &ScanOptions<'_>) -> Result<()> {
    let engine = source.engine();
    let merges = engine.ends_with("MergeTree") && engine != "MergeTree";
    // A Buffer table passes it on to its destination.
    if options.final_ && !merges && engine != "Buffer" {
        return Err(Error::new(
            codes::ILLEGAL_FINAL,
            format!("Storage {engine} doesn't support FINAL"),
        ));
    }
    if options.sample.is_some() && !engine.ends_with("MergeTree") {
        return Err(Error::new(
            codes::SAMPLING_NOT_SUPPORTED,
            format!("Storage {} doesn't support sampling", source.name()),
        ));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct ScanOptions<'a> {
    final_: bool,
    /// Size and offset.
    sample: Option<&'a (Expr, Option<Expr>)>,
}

fn ended(message: &str) -> String {
    if message.ends_with(['.', '?']) { message.to_string() } else { format!("{message}.") }
}

/// Error 46 for a table function; for catalogs.
pub fn unknown_table_function(name: &str, known: &[&str]) -> Error {
    let meant = maybe_you_meant(&similar(name, known.iter().copied()));
    Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown table function {name}.{meant}"))
}
