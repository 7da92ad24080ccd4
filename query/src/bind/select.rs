//! One SELECT: its clauses are bound to trees in one scope, then stacked as plan nodes in the order
//! ClickHouse runs them: FROM, ARRAY JOIN, WHERE, GROUP BY, HAVING, window functions, QUALIFY,
//! projection, DISTINCT, ORDER BY, LIMIT BY, LIMIT.

use std::collections::HashMap;

use pumphouse_storage::{DataType, Value};

use super::aggregation::{Grouping, check_no_aggregate, collect_outside, describe, not_placed};
use super::aliases;
use super::call::element_type;
use super::fold::{holds_always, holds_closed, holds_refused, is_null_always};
use super::from::Source;
use super::order::{LimitByKeys, LimitNumbers};
use super::place::{Available, Missing, place, place_all};
use super::scope::{Cte, Scope};
use super::star::Item;
use super::tree::{Kind, OrderKey, Tree, WindowCall, constant};
use super::{Binder, Level};
use crate::error::{Error, Result, codes};
use crate::execute::prewhere::never_fails;
use crate::plan::{BoundExpr, Plan, PlanNode, SortKey, WindowFunction, WindowKind};
use crate::sql::ast::*;

type Placed<T> = std::result::Result<T, Missing>;

/// All clauses of a SELECT, bound.
pub(super) struct Clauses {
    pub items: Vec<Item>,
    pub filters: Vec<Tree>,
    pub grouping: Option<Grouping>,
    having: Option<Tree>,
    qualify: Option<Tree>,
    distinct: bool,
    pub order: Vec<OrderKey>,
    pub limit_by: Option<LimitByKeys>,
    pub limit: LimitNumbers,
}

/// A plan and which trees its output holds.
pub(super) struct Stage {
    pub plan: Plan,
    pub available: Available,
}

impl Binder<'_> {
    pub(super) fn select(&self, select: &Select, parent: Option<&Scope>) -> Result<Plan> {
        self.count_select()?;
        self.open_selects.set(self.open_selects.get() + 1);
        let _open = Level(&self.open_selects);
        let mut base = Scope::select(parent, Some(select));
        base.ctes = ctes(select);
        base.aliases = aliases::of_with(select);
        let mut source = match &select.from {
            Some(table) => self.from(table, &base)?,
            None => Source::nothing(),
        };
        let prewhere = check_prewhere(select, &source);
        let mut scope = Scope::select(parent, Some(select));
        scope.ctes = base.ctes.clone();
        scope.aliases = aliases::of_select(select)?;
        scope.windows = select.windows.iter().map(|(n, w)| (n.as_str(), w)).collect();
        scope.tables = std::mem::take(&mut source.tables);
        scope.using = std::mem::take(&mut source.using);
        scope.equal = std::mem::take(&mut source.equal);
        scope.joins = source.joins;
        if let Some(clause) = &select.array_join {
            self.array_join(clause, &mut source, &mut scope)?;
        }
        let mut clauses = self.clauses(select, &scope)?;
        if let Some(items) = &select.interpolate {
            self.interpolate(items, &mut clauses)?;
        }
        self.correlate(select, &mut clauses)?;
        let mut stage = Stage { plan: source.plan, available: source.available };
        prewhere_before_final(select, &mut stage, &mut clauses)?;
        let plan = self.stack(stage, clauses, &scope)?;
        // Errors of names and types come first.
        prewhere?;
        Ok(plan)
    }

    fn clauses(&self, select: &Select, scope: &Scope) -> Result<Clauses> {
        let outer = self.nullable_constants.take();
        let clauses = self.own_clauses(select, scope);
        self.nullable_constants.replace(outer);
        clauses
    }

    fn own_clauses(&self, select: &Select, scope: &Scope) -> Result<Clauses> {
        let mut items = self.items(&select.items, scope)?;
        let mut filters = vec![];
        let clauses = [("PREWHERE", &select.prewhere), ("WHERE", &select.where_)];
        for (name, clause) in clauses {
            if let Some(tree) = self.filter_clause(name, clause.as_ref(), scope)? {
                check_no_aggregate(&tree, name)?;
                // What holds for all rows is not looked at any more, nor what is NULL for all.
                let idle = name == "WHERE" && holds_refused(&tree) && holds_always(&tree);
                match name == "WHERE" && is_null_always(&tree) && !tree.has.array_join {
                    true => filters.push(constant(Value::UInt(0), DataType::UInt8)),
                    false if !idle || tree.has.array_join => filters.push(tree),
                    false => {}
                }
            }
        }
        let grouping = match &select.group_by {
            Some(clause) => Some(self.grouping(clause, &items, scope)?),
            None => None,
        };
        let constants = grouping.as_ref().map_or(vec![], |g| self.constants_to_be_nullable(g));
        if !constants.is_empty() {
            self.nullable_constants.replace(constants);
            items = self.items(&select.items, scope)?;
        }
        Ok(Clauses {
            filters,
            grouping,
            having: self.filter_clause("HAVING", select.having.as_ref(), scope)?,
            qualify: self.filter_clause("QUALIFY", select.qualify.as_ref(), scope)?,
            distinct: select.distinct == Some(Distinct::All),
            order: self.order_keys(select, &items, scope)?,
            limit_by: self.limit_by_keys(select, &items, scope)?,
            limit: self.limits(select, scope)?,
            items,
        })
    }

    fn filter_clause(
        &self,
        name: &str,
        clause: Option<&Expr>,
        scope: &Scope,
    ) -> Result<Option<Tree>> {
        let Some(expr) = clause else { return Ok(None) };
        let tree = self.expression(expr, scope)?;
        let data_type = tree.data_type.inner();
        use pumphouse_storage::DataType::{Int128, Int256, Nothing, UInt128, UInt256};
        let null = *data_type == Nothing;
        let wide = matches!(data_type, Int128 | Int256 | UInt128 | UInt256);
        if wide || !(data_type.is_integer() || data_type.is_float() || null) {
            let query = scope.enclosing_select().map(super::names::select_text).unwrap_or_default();
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER,
                format!("Invalid type for filter in {name}: {}. In query {query}", tree.data_type),
            ));
        }
        Ok(Some(tree))
    }

    fn stack(&self, stage: Stage, mut clauses: Clauses, scope: &Scope) -> Result<Plan> {
        let mut stage = stage;
        // Each for itself: a PREWHERE that never holds hides no error of WHERE.
        for filter in std::mem::take(&mut clauses.filters) {
            stage = stage.unfold(std::slice::from_ref(&filter))?.filter(&filter)?;
        }
        let readers = clauses.readers();
        let calls = readers.iter().any(|t| t.has.aggregate);
        if !calls && clauses.having.is_none() {
            clauses.grouping = clauses.grouping.take().filter(|g| !g.groups_nothing());
        }
        let aggregated = calls || clauses.grouping.is_some();
        let mut grouping = clauses.grouping.take().unwrap_or_default();
        if !calls {
            grouping.drop_empty_sets();
        }
        let replace = self.group_readers(&mut grouping, &clauses.readers())?;
        let clauses = clauses.rebuilt(self, &replace)?;
        let readers = clauses.readers();
        if aggregated {
            stage = self.aggregate_stage(stage, grouping, &readers)?;
        }
        let failed = |m: Missing| not_placed(&m, scope, aggregated);
        if let Some(having) = &clauses.having {
            check_no_window(having, "HAVING")?;
            let predicate = place(having, &stage.available).map_err(failed)?;
            stage = stage.wrap(|input| match aggregated {
                true => PlanNode::Having { input, predicate },
                false => PlanNode::Filter { input, predicate },
            });
        }
        stage = stage.windows(&readers).map_err(failed)?;
        let owned: Vec<Tree> = readers.iter().map(|t| (*t).clone()).collect();
        stage = stage.unfold(&owned)?;
        if let Some(qualify) = &clauses.qualify {
            let predicate = place(qualify, &stage.available).map_err(failed)?;
            stage = stage.wrap(|input| PlanNode::Filter { input, predicate });
        }
        stage.output(&clauses).map_err(failed)
    }
}

impl Clauses {
    /// Every tree that is computed after aggregation.
    pub fn readers(&self) -> Vec<&Tree> {
        let mut trees: Vec<&Tree> = self.items.iter().map(|i| &i.tree).collect();
        trees.extend(self.having.iter().chain(&self.qualify));
        trees.extend(self.order.iter().map(|k| &k.tree));
        trees.extend(self.limit_by.iter().flat_map(|l| &l.keys));
        trees
    }

    /// The clauses with some parts of their trees replaced.
    fn rebuilt(mut self, binder: &Binder, replace: &HashMap<u128, Tree>) -> Result<Clauses> {
        if replace.is_empty() {
            return Ok(self);
        }
        for item in &mut self.items {
            item.tree = binder.rebuild(&item.tree, replace)?;
        }
        for tree in self.having.iter_mut().chain(&mut self.qualify) {
            *tree = binder.rebuild(tree, replace)?;
        }
        for key in &mut self.order {
            key.tree = binder.rebuild(&key.tree, replace)?;
        }
        for key in self.limit_by.iter_mut().flat_map(|l| &mut l.keys) {
            *key = binder.rebuild(key, replace)?;
        }
        Ok(self)
    }
}

impl Stage {
    /// A node above that keeps the columns.
    fn wrap(self, node: impl FnOnce(Box<Plan>) -> PlanNode) -> Stage {
        let schema = self.plan.schema.clone();
        let plan = Plan { node: node(Box::new(self.plan)), schema };
        Stage { plan, available: self.available }
    }

    pub fn place_all(&self, trees: &[Tree]) -> Result<Vec<BoundExpr>> {
        place_all(trees, &self.available).map_err(|m| {
            Error::new(codes::LOGICAL_ERROR, format!("'{}' is not available here", describe(&m.0)))
        })
    }

    fn filter(self, predicate: &Tree) -> Result<Stage> {
        let predicate = self.place_all(std::slice::from_ref(predicate))?.remove(0);
        Ok(self.wrap(|input| PlanNode::Filter { input, predicate }))
    }

    /// One ArrayJoin node for every `arrayJoin(…)` in `trees` that is not there yet, inner ones first.
    /// Also one join for every correlated subquery.
    pub fn unfold(mut self, trees: &[Tree]) -> Result<Stage> {
        self = self.lookups(trees)?;
        let mut calls = vec![];
        for tree in trees.iter().filter(|t| t.has.array_join) {
            let wanted = |n: &super::tree::Node| matches!(n.kind, Kind::ArrayJoin(_));
            collect_outside(tree, &self.available, &wanted, &mut calls);
        }
        for call in calls {
            let Kind::ArrayJoin(array) = &call.kind else { continue };
            let Some(element) = element_type(&array.data_type) else { continue };
            let expr = self.place_all(std::slice::from_ref(array))?;
            let mut schema = self.plan.schema.clone();
            self.available.add(&call, schema.len());
            schema.push((describe(&call), element));
            let node = PlanNode::ArrayJoin { input: Box::new(self.plan), exprs: expr, left: false };
            self.plan = Plan { node, schema };
        }
        Ok(self)
    }

    /// One Window node for all window functions in `readers`.
    fn windows(mut self, readers: &[&Tree]) -> Placed<Stage> {
        let mut calls = vec![];
        for tree in readers.iter().filter(|t| t.has.window) {
            let wanted = |n: &super::tree::Node| matches!(n.kind, Kind::Window(_));
            collect_outside(tree, &self.available, &wanted, &mut calls);
        }
        if calls.is_empty() {
            return Ok(self);
        }
        let mut schema = self.plan.schema.clone();
        let mut functions = vec![];
        let mut added = vec![];
        for call in &calls {
            let Kind::Window(window) = &call.kind else { continue };
            functions.push(window_function(window, call, &self.available)?);
            added.push((call.clone(), schema.len()));
            schema.push((window.text.clone(), call.data_type.clone()));
        }
        for (call, index) in added {
            self.available.add(&call, index);
        }
        let node = PlanNode::Window { input: Box::new(self.plan), functions };
        self.plan = Plan { node, schema };
        Ok(self)
    }

    /// Projection, DISTINCT, ORDER BY, LIMIT BY and LIMIT.
    fn output(self, clauses: &Clauses) -> Placed<Plan> {
        let fills = clauses.order.iter().any(|k| k.fill.is_some());
        // With LIMIT only few rows survive the sort: compute the projection for those alone.
        let sort_first = clauses.limit.limit.is_some() && !clauses.order.is_empty();
        if sort_first && !clauses.distinct && !fills && self.errors_can_wait(clauses)? {
            return self.ordered(clauses)?.project(clauses);
        }
        let projected = self.projected(clauses)?;
        let width = clauses.items.len();
        let extras = projected.plan.schema.len() > width;
        let mut stage = projected;
        if clauses.distinct {
            let keys = match extras {
                true => (0..width)
                    .map(|i| super::in_set::column_expr(i, &stage.plan.schema[i].1))
                    .collect(),
                false => vec![],
            };
            stage = stage.wrap(|input| PlanNode::Distinct { input, keys, limit: None });
        }
        stage = stage.ordered(clauses)?;
        if !extras {
            return Ok(stage.plan);
        }
        let schema = stage.plan.schema[..width].to_vec();
        let exprs =
            schema.iter().enumerate().map(|(i, (_, t))| super::in_set::column_expr(i, t)).collect();
        let node = PlanNode::Project { input: Box::new(stage.plan), exprs };
        Ok(Plan { node, schema })
    }

    /// Whether nobody expects an error of a row that LIMIT leaves out. LIMIT BY and ties need all rows, so
    /// that they are computed before.
    fn errors_can_wait(&self, clauses: &Clauses) -> Placed<bool> {
        if clauses.limit_by.is_none() && !clauses.limit.ties {
            return Ok(true);
        }
        for item in &clauses.items {
            if !never_fails(&place(&item.tree, &self.available)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The result columns, then whatever else ORDER BY and LIMIT BY read.
    fn projected(self, clauses: &Clauses) -> Placed<Stage> {
        let mut available = Available::default();
        let mut exprs = vec![];
        let mut schema = vec![];
        for (i, item) in clauses.items.iter().enumerate() {
            exprs.push(place(&item.tree, &self.available)?);
            schema.push((item.name.clone(), item.tree.data_type.clone()));
            available.add(&item.tree, i);
        }
        let by = clauses.limit_by.iter().flat_map(|l| &l.keys);
        for tree in clauses.order.iter().map(|k| &k.tree).chain(by) {
            if tree.as_constant().is_some() || available.find(tree).is_some() {
                continue;
            }
            exprs.push(place(tree, &self.available)?);
            available.add(tree, schema.len());
            schema.push((describe(tree), tree.data_type.clone()));
        }
        let node = PlanNode::Project { input: Box::new(self.plan), exprs };
        Ok(Stage { plan: Plan { node, schema }, available })
    }

    fn project(self, clauses: &Clauses) -> Placed<Plan> {
        let mut exprs = vec![];
        let mut schema = vec![];
        for item in &clauses.items {
            exprs.push(place(&item.tree, &self.available)?);
            schema.push((item.name.clone(), item.tree.data_type.clone()));
        }
        let node = PlanNode::Project { input: Box::new(self.plan), exprs };
        Ok(Plan { node, schema })
    }

    fn ordered(self, clauses: &Clauses) -> Placed<Stage> {
        let mut stage = self;
        let keys = sort_keys(&clauses.order, &stage.available)?;
        if !keys.is_empty() {
            let keys = keys.clone();
            stage = stage.wrap(|input| PlanNode::Sort { input, keys, limit: None });
        }
        if let Some(by) = &clauses.limit_by {
            let keys = place_all(&by.keys, &stage.available)?;
            let (limit, offset) = (by.limit, by.offset);
            stage = stage.wrap(|input| PlanNode::LimitBy { input, limit, offset, keys });
        }
        let LimitNumbers { limit, offset, ties } = clauses.limit;
        if limit.is_some() || offset > 0 {
            let ties = (ties && !keys.is_empty()).then_some(keys);
            stage = stage.wrap(|input| PlanNode::Limit { input, limit, offset, ties });
        }
        Ok(stage)
    }
}

/// With FINAL an explicit PREWHERE chooses which rows are combined, so it belongs to the scan. Where there are
/// no rows nothing is looked at but calls of constants.
fn prewhere_before_final(select: &Select, stage: &mut Stage, clauses: &mut Clauses) -> Result<()> {
    if select.prewhere.is_none() || clauses.filters.is_empty() {
        return Ok(());
    }
    if let PlanNode::Scan { prewhere, final_: true, .. } = &mut stage.plan.node {
        let tree = clauses.filters.remove(0);
        let misplaced =
            |_| Error::new(codes::NOT_IMPLEMENTED, "This PREWHERE is not supported with FINAL");
        *prewhere = Some(place(&tree, &stage.available).map_err(misplaced)?);
        return Ok(());
    }
    let empty =
        matches!(&stage.plan.node, PlanNode::Scan { source, .. } if source.row_count() == Some(0));
    if empty && !holds_closed(&clauses.filters[0]) {
        clauses.filters.remove(0);
    }
    Ok(())
}

/// PREWHERE is for MergeTree tables.
fn check_prewhere(select: &Select, source: &Source) -> Result<()> {
    match &source.plan.node {
        PlanNode::Scan { source, .. }
            if select.prewhere.is_some()
                && !source.engine().ends_with("MergeTree")
                && source.engine() != "Buffer" =>
        {
            Err(Error::new(
                codes::ILLEGAL_PREWHERE,
                format!(
                    "Storage {} (table {}) does not support PREWHERE",
                    source.engine(),
                    source.name()
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn sort_keys(order: &[OrderKey], available: &Available) -> Placed<Vec<SortKey>> {
    order
        .iter()
        .filter(|k| k.tree.as_constant().is_none())
        .map(|key| {
            Ok(SortKey {
                expr: place(&key.tree, available)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
                fill: key.fill.clone(),
            })
        })
        .collect()
}

fn window_function(
    window: &WindowCall,
    call: &Tree,
    available: &Available,
) -> Placed<WindowFunction> {
    Ok(WindowFunction {
        function: match &window.aggregate {
            Some(aggregate) => WindowKind::Aggregate(aggregate.clone()),
            None => WindowKind::Ranking(window.name.clone()),
        },
        arguments: place_all(&window.arguments, available)?,
        partition_by: place_all(&window.partition_by, available)?,
        order_by: sort_keys(&window.order_by, available)?,
        frame: window.frame.clone(),
        data_type: call.data_type.clone(),
    })
}

fn check_no_window(tree: &Tree, clause: &str) -> Result<()> {
    if tree.has.window {
        return Err(Error::new(
            codes::ILLEGAL_AGGREGATION,
            format!("Window function is found in {clause} in query"),
        ));
    }
    Ok(())
}

/// The common table expressions of a SELECT.
fn ctes(select: &Select) -> Vec<Cte<'_>> {
    let mut found = vec![];
    for item in &select.with {
        if let WithItem::Query { name, columns, query } = item {
            found.push(Cte { name, columns, query, recursive: select.recursive });
        }
    }
    found
}
