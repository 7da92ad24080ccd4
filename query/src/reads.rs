//! Which columns of which tables a query's result depends on: for checks of access, before anything is read.
//!
//! The query is bound without running anything, columns that nobody looks at are left out, and what the scans of
//! the plan, of its scalar subqueries and of its sets still read is what counts.

use std::sync::Arc;

use crate::bind::analyze_query;
use crate::catalog::{Catalog, TableSource};
use crate::context::QueryContext;
use crate::error::Result;
use crate::optimize::prune_columns;
use crate::plan::{BoundExpr, Plan, PlanNode, SetSource};
use crate::sql::ast::Query;

/// The tables that `catalog` gave for the query, with the columns that are read of each; a table once for each
/// place that it stands in.
pub fn columns_read(
    query: &Query,
    catalog: &dyn Catalog,
    ctx: &Arc<QueryContext>,
) -> Result<Vec<(Arc<dyn TableSource>, Vec<String>)>> {
    let plan = prune_columns(analyze_query(query, catalog, ctx)?);
    let mut found = vec![];
    of_plan(plan, &mut found);
    Ok(found)
}

type Found = Vec<(Arc<dyn TableSource>, Vec<String>)>;

fn of_plan(mut plan: Plan, found: &mut Found) {
    use crate::optimize::shape::{each_expression, inputs_mut, take};
    if let PlanNode::Scan { source, columns, .. } = &plan.node {
        found.push((source.clone(), columns.clone()));
    }
    let mut inner: Vec<Plan> = vec![];
    each_expression(&mut plan, &mut |expr| subqueries(expr, &mut inner));
    inner.into_iter().for_each(|plan| of_plan(prune_columns(plan), found));
    for input in inputs_mut(&mut plan) {
        of_plan(take(input), found);
    }
}

/// Takes the plans of sets and scalar subqueries out of an expression.
fn subqueries(expr: &mut BoundExpr, plans: &mut Vec<Plan>) {
    use crate::optimize::shape::take;
    match expr {
        BoundExpr::InSet { expr, set, .. } => {
            subqueries(expr, plans);
            if let Some(set) = Arc::get_mut(set)
                && let SetSource::Subquery(plan) = &mut set.source
            {
                plans.push(take(plan));
            } else if let SetSource::Subquery(plan) = &set.source {
                plans.extend(scans_of(plan));
            }
        }
        BoundExpr::Scalar { subquery, .. } => match Arc::get_mut(subquery) {
            Some(subquery) => plans.push(take(&mut subquery.plan)),
            None => plans.extend(scans_of(&subquery.plan)),
        },
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| subqueries(a, plans));
        }
        BoundExpr::Lambda { body, .. } => subqueries(body, plans),
        BoundExpr::Column { .. }
        | BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. } => {}
    }
}

/// The scans of a plan that others hold too, with all of their columns.
fn scans_of(plan: &Plan) -> Vec<Plan> {
    let mut scans = vec![];
    if let PlanNode::Scan { source, columns, final_, .. } = &plan.node {
        let node = PlanNode::Scan {
            source: source.clone(),
            columns: columns.clone(),
            conditions: vec![],
            prewhere: None,
            final_: *final_,
            sample: None,
            hints: Box::default(),
        };
        scans.push(Plan { node, schema: plan.schema.clone() });
    }
    for input in crate::optimize::shape::inputs(plan) {
        scans.extend(scans_of(input));
    }
    scans
}
