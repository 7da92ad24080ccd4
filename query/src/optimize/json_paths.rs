//! Paths of JSON columns are scanned as columns of their own: what takes one path out of a column right
//! above a scan reads that path alone, and the column goes away if nobody reads it whole.
//!
//! For sources that can read parts of columns ([`TableSource::has_sizes`](crate::catalog::TableSource)).
//! The scanned name is the column's with the subcolumn's behind a point. Not for FINAL, which reads whole
//! rows.

use pumphouse_storage::scan::subcolumn_type;
use pumphouse_storage::{DataType, Value};

use super::bottom_up;
use super::shape::column;
use crate::catalog::TableSource;
use crate::plan::{BoundExpr, Plan, PlanNode};

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

/// A path that is read: the column, its name behind it, and its type.
#[derive(Clone, PartialEq)]
struct Path {
    column: usize,
    name: String,
    data_type: DataType,
}

/// The path that `expr` itself takes out of a column.
fn path_of(expr: &BoundExpr) -> Option<Path> {
    let BoundExpr::Call { function, arguments, data_type } = expr else { return None };
    if !matches!(function.name(), "getSubcolumn" | "tupleElement") {
        return None;
    }
    let [BoundExpr::Column { index, data_type: whole }, BoundExpr::Constant { value, .. }] =
        &arguments[..]
    else {
        return None;
    };
    let Value::String(name) = value else { return None };
    let name = String::from_utf8_lossy(name).into_owned();
    let own = subcolumn_type(whole, &name)?;
    (own == *data_type).then(|| Path { column: *index, name, data_type: data_type.clone() })
}

fn collect(expr: &BoundExpr, found: &mut Vec<Path>) {
    if let Some(path) = path_of(expr) {
        if !found.contains(&path) {
            found.push(path);
        }
        return;
    }
    match expr {
        BoundExpr::Call { arguments, .. } => arguments.iter().for_each(|a| collect(a, found)),
        BoundExpr::Lambda { body, .. } => collect(body, found),
        BoundExpr::InSet { expr, .. } => collect(expr, found),
        _ => {}
    }
}

/// Puts columns, the first of them `first`, in the place of paths.
fn replace(expr: &mut BoundExpr, paths: &[Path], first: usize) {
    if let Some(path) = path_of(expr) {
        if let Some(at) = paths.iter().position(|p| *p == path) {
            *expr = column(first + at, &path.data_type);
        }
        return;
    }
    match expr {
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| replace(a, paths, first));
        }
        BoundExpr::Lambda { body, .. } => replace(body, paths, first),
        BoundExpr::InSet { expr, .. } => replace(expr, paths, first),
        _ => {}
    }
}

/// The scan below `plan` if it can read paths, through a filter.
fn scan_below(plan: &Plan) -> Option<(&Plan, Option<&BoundExpr>)> {
    let (PlanNode::Project { input, .. } | PlanNode::Aggregate { input, .. }) = &plan.node else {
        return None;
    };
    match &input.node {
        PlanNode::Filter { input: scan, predicate }
            if matches!(scan.node, PlanNode::Scan { .. }) =>
        {
            Some((&**scan, Some(predicate)))
        }
        PlanNode::Scan { .. } => Some((&**input, None)),
        _ => None,
    }
}

fn rewrite(mut plan: Plan) -> Plan {
    let Some((scan, filter)) = scan_below(&plan) else { return plan };
    let PlanNode::Scan { source, columns, prewhere, final_: false, hints, .. } = &scan.node else {
        return plan;
    };
    if !source.has_sizes() || hints.opened.is_some() {
        return plan;
    }
    let mut found = vec![];
    let exprs: Vec<&BoundExpr> = match &plan.node {
        PlanNode::Project { exprs, .. } => exprs.iter().collect(),
        PlanNode::Aggregate { keys, aggregates, .. } => {
            keys.iter().chain(aggregates.iter().flat_map(|a| &a.arguments)).collect()
        }
        _ => vec![],
    };
    exprs.into_iter().chain(filter).chain(prewhere).for_each(|e| collect(e, &mut found));
    found.retain(|path| is_free(source.as_ref(), columns, path));
    if found.is_empty() {
        return plan;
    }
    let first = columns.len();
    match &mut plan.node {
        PlanNode::Project { exprs, input } => {
            exprs.iter_mut().for_each(|e| replace(e, &found, first));
            extend(input, &found, first);
        }
        PlanNode::Aggregate { keys, aggregates, input, .. } => {
            keys.iter_mut().for_each(|e| replace(e, &found, first));
            let arguments = aggregates.iter_mut().flat_map(|a| &mut a.arguments);
            arguments.for_each(|e| replace(e, &found, first));
            extend(input, &found, first);
        }
        _ => {}
    }
    plan
}

/// Whether the path's name means nothing else.
fn is_free(source: &dyn TableSource, columns: &[String], path: &Path) -> bool {
    let Some(name) = columns.get(path.column) else { return false };
    let scanned = format!("{name}.{}", path.name);
    let own = source.columns();
    own.iter().any(|c| c.name == *name)
        && own.iter().all(|c| c.name != scanned)
        && !columns.contains(&scanned)
}

/// Adds the paths to a scan and to the filter above it.
fn extend(plan: &mut Plan, paths: &[Path], first: usize) {
    let filter = matches!(plan.node, PlanNode::Filter { .. });
    match &mut plan.node {
        PlanNode::Filter { input, predicate } => {
            replace(predicate, paths, first);
            extend(input, paths, first);
            plan.schema = input.schema.clone();
        }
        PlanNode::Scan { columns, prewhere, .. } => {
            prewhere.iter_mut().for_each(|p| replace(p, paths, first));
            for path in paths {
                let name = format!("{}.{}", columns[path.column], path.name);
                columns.push(name.clone());
                plan.schema.push((name, path.data_type.clone()));
            }
        }
        _ => {}
    }
    debug_assert!(filter || matches!(plan.node, PlanNode::Scan { .. }));
}
