//! The SELECT of a projection for storage: what it keeps of a table's rows, bound once.
//!
//! Rows: the listed expressions and those of ORDER BY. Groups: the keys, and a state for every
//! aggregate that the list has, however it is wrapped there. Columns are called by canonical text, so
//! that conditions on an expression find the column that holds it.

use std::any::Any;
use std::sync::Arc;

use pumphouse_storage::expression::{CompiledProjection, ExpressionCompiler, ProjectedColumn};
use pumphouse_storage::{Block, DataType};

use super::analyze_query;
use super::compiled::{NoTables, SqlExpressions, to_storage};
use crate::aggregates;
use crate::catalog::{BlockSource, OverlayCatalog, SourceColumn};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::optimize::scan_conditions::text;
use crate::optimize::shape::{all_columns, is_volatile, key, mark, renumber, replace_columns};
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};
use crate::sql;
use crate::sql::ast::{Expr, Query, QueryBody, Select, TableExpr};

const TABLE: &str = "__rows";

/// A projection over the columns in `inputs`.
pub(crate) struct BoundProjection {
    columns: Vec<ProjectedColumn>,
    sorting: Vec<String>,
    inputs: Vec<String>,
    input_types: Vec<DataType>,
    /// Of rows: one expression per column. Of groups: the keys.
    pub(crate) exprs: Vec<BoundExpr>,
    /// None for rows. Their states are the columns behind the keys.
    pub(crate) aggregates: Option<Vec<BoundAggregate>>,
    ctx: Arc<QueryContext>,
}

/// Compiles `select` over a table of these columns.
pub(super) fn projection(
    select: &str,
    columns: &[(String, DataType)],
) -> Result<Arc<dyn CompiledProjection>> {
    let mut query = sql::parse_query(select)?;
    let QueryBody::Select(select) = &mut query.body else {
        return Err(refused("A projection is one SELECT"));
    };
    let order = take_order(select)?;
    select.from = Some(TableExpr::Table {
        database: None,
        name: TABLE.into(),
        alias: None,
        final_: false,
        sample: None,
    });
    let (ordered, grouped) = (order.len(), select.group_by.is_some());
    select.items.extend(order);
    let mut ctx = QueryContext::new("", 0, 0);
    ctx.settings.set("max_threads", "1");
    let ctx = Arc::new(ctx);
    let plan = bound(&query, columns, &ctx)?;
    let found = match find_aggregate(&plan) {
        Some(_) if ordered > 0 && grouped => {
            return Err(Error::new(
                codes::ILLEGAL_PROJECTION,
                "When aggregation is used in projection, ORDER BY cannot be specified",
            ));
        }
        Some(aggregate) => groups(aggregate, &ctx)?,
        None if ordered == 0 => return Err(refused("ORDER BY cannot be empty.")),
        None => rows(&plan, ordered, &ctx)?,
    };
    Ok(Arc::new(found))
}

fn refused(message: &str) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}

/// The expressions of ORDER BY, taken out of the SELECT, which may have nothing else beside its list
/// and GROUP BY.
fn take_order(select: &mut Select) -> Result<Vec<Expr>> {
    let odd = select.distinct.is_some()
        || select.from.is_some()
        || select.array_join.is_some()
        || select.prewhere.is_some()
        || select.having.is_some()
        || select.qualify.is_some()
        || select.limit_by.is_some()
        || select.limit.is_some()
        || select.order_by.iter().any(|o| o.descending || o.fill.is_some());
    if odd {
        return Err(Error::new(
            codes::SYNTAX_ERROR,
            "A projection has the clauses WITH, SELECT, GROUP BY and ORDER BY only",
        ));
    }
    if select.where_.is_some() {
        return Err(Error::new(codes::NOT_IMPLEMENTED, "WHERE in a projection is not supported"));
    }
    let order = std::mem::take(&mut select.order_by);
    Ok(order
        .into_iter()
        .flat_map(|item| match item.expr.kind {
            sql::ast::ExprKind::Call(call) if call.name == "tuple" => call.arguments,
            _ => vec![item.expr],
        })
        .collect())
}

fn bound(query: &Query, columns: &[(String, DataType)], ctx: &Arc<QueryContext>) -> Result<Plan> {
    let columns =
        columns.iter().map(|(name, t)| SourceColumn::plain(name.clone(), t.clone())).collect();
    let source = Arc::new(BlockSource::new(TABLE, columns, vec![]));
    let catalog = OverlayCatalog::new(&NoTables, &ctx.database, TABLE, source);
    analyze_query(query, &catalog, ctx)
}

fn find_aggregate(plan: &Plan) -> Option<&Plan> {
    match &plan.node {
        PlanNode::Aggregate { .. } => Some(plan),
        PlanNode::Project { input, .. } => find_aggregate(input),
        _ => None,
    }
}

/// Follows projections down to the scan; `exprs` become expressions over its columns. Its columns.
fn over_scan(plan: &Plan, exprs: &mut [BoundExpr]) -> Result<Vec<(String, DataType)>> {
    match &plan.node {
        PlanNode::Project { input, exprs: own } => {
            exprs.iter_mut().for_each(|e| replace_columns(e, &|i| own.get(i).cloned()));
            over_scan(input, exprs)
        }
        PlanNode::Scan { columns, .. } => {
            if exprs.iter().any(is_volatile) {
                return Err(refused("The expressions of a projection must be deterministic"));
            }
            let types = plan.schema.iter().map(|(_, t)| t.clone());
            Ok(columns.iter().cloned().zip(types).collect())
        }
        _ => Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "A projection may not have arrayJoin, window functions or subqueries",
        )),
    }
}

/// Keeps the columns that `exprs` read and renumbers them.
fn narrow(
    schema: Vec<(String, DataType)>,
    exprs: &mut [&mut BoundExpr],
) -> Vec<(String, DataType)> {
    let mut used = vec![false; schema.len()];
    exprs.iter().for_each(|e| mark(e, &mut used));
    let kept: Vec<usize> = (0..schema.len()).filter(|i| used[*i]).collect();
    let place = |i: usize| kept.iter().position(|k| *k == i).unwrap_or(0);
    exprs.iter_mut().for_each(|e| renumber(e, &place));
    kept.iter().map(|i| schema[*i].clone()).collect()
}

fn named(expr: &BoundExpr, number: usize, schema: &[(String, DataType)]) -> ProjectedColumn {
    let source = match expr {
        BoundExpr::Column { index, .. } => schema.get(*index).map(|(name, _)| name.clone()),
        _ => None,
    };
    ProjectedColumn {
        name: text(expr, schema).unwrap_or_else(|| format!("expression {number}")),
        data_type: expr.data_type(),
        source,
    }
}

/// A name that no column has yet.
fn free_name(columns: &[ProjectedColumn], name: String) -> String {
    let mut free = name.clone();
    let mut number = 1;
    while columns.iter().any(|c| c.name == free) {
        number += 1;
        free = format!("{name} {number}");
    }
    free
}

/// `ordered`: how many of the last columns are those of ORDER BY.
fn rows(plan: &Plan, ordered: usize, ctx: &Arc<QueryContext>) -> Result<BoundProjection> {
    let mut exprs = all_columns(&plan.schema);
    let schema = over_scan(plan, &mut exprs)?;
    let schema = narrow(schema, &mut exprs.iter_mut().collect::<Vec<_>>());
    let mut columns: Vec<ProjectedColumn> = vec![];
    let (mut kept, mut keys, mut sorting): (Vec<BoundExpr>, Vec<u128>, Vec<String>) =
        (vec![], vec![], vec![]);
    let order_from = exprs.len().saturating_sub(ordered);
    for (i, expr) in exprs.into_iter().enumerate() {
        let own = key(&expr);
        let at = match keys.iter().position(|k| *k == own) {
            Some(at) => at,
            None => {
                let mut column = named(&expr, i, &schema);
                column.name = free_name(&columns, column.name);
                columns.push(column);
                keys.push(own);
                kept.push(expr);
                kept.len() - 1
            }
        };
        let name = &columns[at].name;
        if i >= order_from && !sorting.contains(name) {
            sorting.push(name.clone());
        }
    }
    Ok(BoundProjection {
        columns,
        sorting,
        inputs: schema.iter().map(|(n, _)| n.clone()).collect(),
        input_types: schema.into_iter().map(|(_, t)| t).collect(),
        exprs: kept,
        aggregates: None,
        ctx: ctx.clone(),
    })
}

fn groups(plan: &Plan, ctx: &Arc<QueryContext>) -> Result<BoundProjection> {
    let PlanNode::Aggregate { input, keys, aggregates, grouping_sets, with_totals, .. } =
        &plan.node
    else {
        return Err(refused("no aggregation"));
    };
    if !grouping_sets.is_empty() || *with_totals {
        return Err(refused("A projection may not have grouping sets or totals"));
    }
    let mut exprs: Vec<BoundExpr> = keys.clone();
    exprs.extend(aggregates.iter().flat_map(|a| a.arguments.iter().cloned()));
    let schema = over_scan(input, &mut exprs)?;
    let schema = narrow(schema, &mut exprs.iter_mut().collect::<Vec<_>>());
    let mut rest = exprs.split_off(keys.len()).into_iter();
    let mut columns: Vec<ProjectedColumn> = vec![];
    let (mut kept, mut seen): (Vec<BoundExpr>, Vec<u128>) = (vec![], vec![]);
    for (i, expr) in exprs.into_iter().enumerate() {
        if seen.contains(&key(&expr)) {
            continue;
        }
        seen.push(key(&expr));
        let mut column = named(&expr, i, &schema);
        column.name = free_name(&columns, column.name);
        columns.push(column);
        kept.push(expr);
    }
    let sorting = columns.iter().map(|c| c.name.clone()).collect();
    let mut bound: Vec<BoundAggregate> = vec![];
    for aggregate in aggregates {
        let arguments: Vec<BoundExpr> = rest.by_ref().take(aggregate.arguments.len()).collect();
        let own = BoundAggregate { function: aggregate.function.clone(), arguments };
        if bound.iter().any(|other| same_aggregate(other, &own)) {
            continue;
        }
        let texts: Vec<String> =
            own.arguments.iter().map(|a| text(a, &schema).unwrap_or_default()).collect();
        let name = format!("{}({})", own.function.name(), texts.join(", "));
        columns.push(ProjectedColumn {
            name: free_name(&columns, name),
            data_type: own.function.state_type(),
            source: None,
        });
        bound.push(own);
    }
    Ok(BoundProjection {
        columns,
        sorting,
        inputs: schema.iter().map(|(n, _)| n.clone()).collect(),
        input_types: schema.into_iter().map(|(_, t)| t).collect(),
        exprs: kept,
        aggregates: Some(bound),
        ctx: ctx.clone(),
    })
}

/// Whether two aggregates over the same columns have the same states.
pub(crate) fn same_aggregate(a: &BoundAggregate, b: &BoundAggregate) -> bool {
    a.function.name() == b.function.name()
        && a.function.state_type() == b.function.state_type()
        && a.arguments.len() == b.arguments.len()
        && a.arguments.iter().zip(&b.arguments).all(|(x, y)| key(x) == key(y))
}

impl BoundProjection {
    /// The columns that its expressions count.
    pub(crate) fn input_names(&self) -> &[String] {
        &self.inputs
    }

    fn evaluate(&self, block: &Block) -> Result<Block> {
        let mut own = Block::of_rows(block.rows());
        for (name, data_type) in self.inputs.iter().zip(&self.input_types) {
            let column = block.column(name).ok_or_else(|| {
                Error::new(
                    codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    format!("Not found column {name} in block"),
                )
            })?;
            let mut column = column.clone();
            column.data_type = data_type.clone();
            own.push(name.clone(), column);
        }
        let mut out = match &self.aggregates {
            None => {
                let columns =
                    crate::execute::expression::evaluate_all(&self.exprs, &own, &self.ctx)?;
                let mut out = Block::of_rows(own.rows());
                for (column, values) in self.columns.iter().zip(columns) {
                    out.push(column.name.clone(), values);
                }
                out
            }
            Some(aggregates) => self.group(own, aggregates)?,
        };
        for (column, own) in out.columns.iter_mut().zip(&self.columns) {
            column.data_type = own.data_type.clone();
        }
        Ok(out)
    }

    fn group(&self, rows: Block, aggregates: &[BoundAggregate]) -> Result<Block> {
        let schema = rows.schema();
        let states = aggregates.iter().map(|a| BoundAggregate {
            function: aggregates::state_of(&a.function),
            arguments: a.arguments.clone(),
        });
        let plan = Plan {
            node: PlanNode::Aggregate {
                input: Box::new(Plan { node: PlanNode::Blocks(vec![rows]), schema }),
                keys: self.exprs.clone(),
                aggregates: states.collect(),
                grouping_sets: vec![],
                rows_of_nothing: false,
                with_totals: false,
                groups_max: None,
            },
            schema: self.columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect(),
        };
        let blocks = crate::execute::collect(&plan, &self.ctx)?;
        match blocks.is_empty() {
            true => Ok(Block::empty_of(&plan.schema)),
            false => Ok(Block::concat(&blocks)?),
        }
    }
}

impl CompiledProjection for BoundProjection {
    fn columns(&self) -> &[ProjectedColumn] {
        &self.columns
    }

    fn sorting(&self) -> &[String] {
        &self.sorting
    }

    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn groups(&self) -> bool {
        self.aggregates.is_some()
    }

    fn rows(&self, block: &Block) -> pumphouse_storage::Result<Block> {
        self.evaluate(block).map_err(to_storage)
    }

    fn compiler(&self) -> Arc<dyn ExpressionCompiler> {
        Arc::new(SqlExpressions)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::{Column, Value};

    use super::*;

    fn columns() -> Vec<(String, DataType)> {
        ["a", "b"].into_iter().map(|n| (n.to_string(), DataType::UInt32)).collect()
    }

    fn block(rows: &[(u64, u64)]) -> Block {
        let column = |pick: &dyn Fn(&(u64, u64)) -> u64| {
            let values: Vec<Value> = rows.iter().map(|r| Value::UInt(pick(r))).collect();
            Column::from_values(DataType::UInt32, &values).expect("fits")
        };
        Block::new(vec![("a".into(), column(&|r| r.0)), ("b".into(), column(&|r| r.1))])
    }

    #[test]
    fn rows_have_the_list_and_the_order() {
        let p = projection("SELECT b, a + 1 AS c ORDER BY c, a", &columns()).expect("compiles");
        let names: Vec<&str> = p.columns().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["b", "plus(a, 1)", "a"]);
        assert_eq!(p.sorting(), ["plus(a, 1)", "a"]);
        assert_eq!(p.columns()[0].source.as_deref(), Some("b"));
        let star = projection("SELECT * ORDER BY b", &columns()).expect("compiles");
        assert_eq!(star.sorting(), ["b"]);
        assert_eq!(star.columns().len(), 2);
        let rows = p.rows(&block(&[(1, 2), (3, 4)])).expect("runs");
        assert_eq!(rows.column("plus(a, 1)").expect("there").value(1), Value::UInt(4));
    }

    #[test]
    fn groups_have_keys_and_states() {
        let p = projection("SELECT a % 2, sum(b) + 1, count(), sum(b) GROUP BY a % 2", &columns())
            .expect("compiles");
        assert!(p.groups());
        let names: Vec<&str> = p.columns().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["modulo(a, 2)", "sum(b)", "count()"]);
        assert_eq!(p.rows(&block(&[(1, 2), (3, 4), (4, 4)])).expect("runs").rows(), 2);
    }

    #[test]
    fn what_makes_no_projection_is_refused() {
        let code = |text: &str| projection(text, &columns()).err().map(|e| e.code());
        assert_eq!(code("SELECT a"), Some(36));
        assert_eq!(code("SELECT z ORDER BY a"), Some(47));
        assert_eq!(code("SELECT a ORDER BY a DESC"), Some(62));
        assert_eq!(code("SELECT a, rand() ORDER BY a"), Some(36));
        assert_eq!(code("SELECT a, sum(b) GROUP BY a ORDER BY a"), Some(583));
    }
}
