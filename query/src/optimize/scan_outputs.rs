//! What of a scan's columns is looked at: of strings that only `length`, `empty` and comparisons with ''
//! see, the sizes are read instead; columns that only PREWHERE sees need not leave the scan.
//!
//! For sources that offer `<name>.size` ([`TableSource::has_sizes`](crate::catalog::TableSource)). The
//! nodes right above a scan are looked at: what they compute replaces its columns.

use pumphouse_storage::scan::{SIZE_SUFFIX, has_sizes};
use pumphouse_storage::{DataType, Value};

use super::bottom_up;
use super::shape::{column, mark};
use crate::functions;
use crate::plan::{BoundExpr, Plan, PlanNode, ScanHints};

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

/// How expressions use the columns of a scan.
pub(crate) struct Uses {
    /// Columns whose values are looked at.
    pub values: Vec<bool>,
    /// Columns whose sizes are, by an expression that needs no more.
    pub sizes: Vec<bool>,
}

impl Uses {
    pub fn of<'e>(width: usize, exprs: impl IntoIterator<Item = &'e BoundExpr>) -> Uses {
        let mut uses = Uses { values: vec![false; width], sizes: vec![false; width] };
        exprs.into_iter().for_each(|e| uses.note(e));
        uses
    }

    fn note(&mut self, expr: &BoundExpr) {
        if let Some((index, _)) = size_test(expr) {
            if let Some(flag) = self.sizes.get_mut(index) {
                *flag = true;
            }
            return;
        }
        match expr {
            BoundExpr::Column { index, .. } => {
                if let Some(flag) = self.values.get_mut(*index) {
                    *flag = true;
                }
            }
            BoundExpr::Call { arguments, .. } => arguments.iter().for_each(|a| self.note(a)),
            BoundExpr::Lambda { body, .. } => self.note(body),
            BoundExpr::InSet { expr, .. } => self.note(expr),
            BoundExpr::LambdaParameter { .. }
            | BoundExpr::Constant { .. }
            | BoundExpr::Scalar { .. } => {}
        }
    }

    /// Whether the sizes of column `i` are all that is looked at.
    pub fn only_sizes(&self, i: usize) -> bool {
        self.sizes[i] && !self.values[i]
    }
}

/// The type of the sizes of strings of this type.
pub(crate) fn size_type(data_type: &DataType) -> DataType {
    match data_type.is_nullable() {
        true => DataType::nullable(DataType::UInt64),
        false => DataType::UInt64,
    }
}

/// The name under which the sizes of a column are scanned; None if the source has no such thing.
pub(crate) fn size_name(
    source: &dyn crate::catalog::TableSource,
    name: &str,
    data_type: &DataType,
) -> Option<String> {
    if !source.has_sizes() || !has_sizes(data_type) {
        return None;
    }
    let own = source.columns();
    let size = format!("{name}{SIZE_SUFFIX}");
    let real = own.iter().any(|c| c.name == name) && own.iter().all(|c| c.name != size);
    real.then_some(size)
}

/// `expr` with what only looks at the size of a column `i` computed from column `place(i)`, its size.
pub(crate) fn with_sizes(expr: &mut BoundExpr, place: &dyn Fn(usize) -> Option<usize>) {
    if let Some((index, test)) = size_test(expr)
        && let Some(place) = place(index)
    {
        if let Some(computed) = computed(expr, test, place) {
            *expr = computed;
        }
        return;
    }
    match expr {
        BoundExpr::Call { arguments, .. } => {
            arguments.iter_mut().for_each(|a| with_sizes(a, place));
        }
        BoundExpr::Lambda { body, .. } => with_sizes(body, place),
        BoundExpr::InSet { expr, .. } => with_sizes(expr, place),
        _ => {}
    }
}

/// What an expression asks of a size.
#[derive(Clone, Copy)]
enum SizeTest {
    Length,
    IsZero,
    IsNotZero,
}

/// The column whose size is all that `expr` itself looks at.
fn size_test(expr: &BoundExpr) -> Option<(usize, SizeTest)> {
    let BoundExpr::Call { function, arguments, .. } = expr else { return None };
    let sized = |e: &BoundExpr| match e {
        BoundExpr::Column { index, data_type } if has_sizes(data_type) => Some(*index),
        _ => None,
    };
    let is_empty_text = |e: &BoundExpr| {
        matches!(e, BoundExpr::Constant { value: Value::String(text), data_type }
            if text.is_empty() && *data_type == DataType::String)
    };
    match (function.name(), &arguments[..]) {
        ("length", [one]) => Some((sized(one)?, SizeTest::Length)),
        ("empty", [one]) => Some((sized(one)?, SizeTest::IsZero)),
        ("notEmpty", [one]) => Some((sized(one)?, SizeTest::IsNotZero)),
        (name @ ("equals" | "notEquals"), [a, b]) => {
            let index = match (is_empty_text(a), is_empty_text(b)) {
                (false, true) => sized(a)?,
                (true, false) => sized(b)?,
                _ => return None,
            };
            let test = if name == "equals" { SizeTest::IsZero } else { SizeTest::IsNotZero };
            Some((index, test))
        }
        _ => None,
    }
}

fn computed(expr: &BoundExpr, test: SizeTest, place: usize) -> Option<BoundExpr> {
    let BoundExpr::Call { arguments, data_type, .. } = expr else { return None };
    let nullable = arguments.iter().any(|a| a.data_type().is_nullable());
    let size = if nullable { DataType::nullable(DataType::UInt64) } else { DataType::UInt64 };
    let name = match test {
        SizeTest::Length => return Some(column(place, &size)),
        SizeTest::IsZero => "equals",
        SizeTest::IsNotZero => "notEquals",
    };
    let zero = BoundExpr::Constant { value: Value::UInt(0), data_type: DataType::UInt64 };
    Some(BoundExpr::Call {
        function: functions::lookup(name)?,
        arguments: vec![column(place, &size), zero],
        data_type: data_type.clone(),
    })
}

/// The scan below `plan`, through a filter.
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

fn own_expressions(plan: &Plan) -> Vec<&BoundExpr> {
    match &plan.node {
        PlanNode::Project { exprs, .. } => exprs.iter().collect(),
        PlanNode::Aggregate { keys, aggregates, .. } => {
            keys.iter().chain(aggregates.iter().flat_map(|a| &a.arguments)).collect()
        }
        _ => vec![],
    }
}

fn rewrite(mut plan: Plan) -> Plan {
    let Some((scan, filter)) = scan_below(&plan) else { return plan };
    let PlanNode::Scan { source, columns, prewhere, final_: false, hints, .. } = &scan.node else {
        return plan;
    };
    if hints.opened.is_some() {
        return plan;
    }
    let width = columns.len();
    let above = Uses::of(width, own_expressions(&plan).into_iter().chain(filter));
    let all = Uses::of(width, own_expressions(&plan).into_iter().chain(filter).chain(prewhere));
    let mut in_sets = vec![false; width];
    hints.late_sets.iter().for_each(|e| mark(e, &mut in_sets));
    let renamed: Vec<Option<String>> = (0..width)
        .map(|i| {
            let data_type = &scan.schema[i].1;
            let named = size_name(source.as_ref(), &columns[i], data_type)?;
            (all.only_sizes(i) && !in_sets[i] && !columns.contains(&named)).then_some(named)
        })
        .collect();
    let unread: Vec<String> = (0..width)
        .filter(|i| !above.values[*i] && !above.sizes[*i])
        .map(|i| renamed[i].clone().unwrap_or_else(|| columns[i].clone()))
        .collect();
    let place = |i: usize| renamed.get(i).is_some_and(Option::is_some).then_some(i);
    match &mut plan.node {
        PlanNode::Project { exprs, .. } => exprs.iter_mut().for_each(|e| with_sizes(e, &place)),
        PlanNode::Aggregate { keys, aggregates, .. } => {
            keys.iter_mut().for_each(|e| with_sizes(e, &place));
            let arguments = aggregates.iter_mut().flat_map(|a| &mut a.arguments);
            arguments.for_each(|e| with_sizes(e, &place));
        }
        _ => {}
    }
    if let PlanNode::Project { input, .. } | PlanNode::Aggregate { input, .. } = &mut plan.node {
        rename(input, &renamed, &unread, &place);
    }
    plan
}

/// Applies the new names to a scan and the filter above it.
fn rename(
    plan: &mut Plan,
    renamed: &[Option<String>],
    unread: &[String],
    place: &dyn Fn(usize) -> Option<usize>,
) {
    for ((name, data_type), new) in plan.schema.iter_mut().zip(renamed) {
        if let Some(new) = new {
            (*name, *data_type) = (new.clone(), size_type(data_type));
        }
    }
    match &mut plan.node {
        PlanNode::Filter { input, predicate } => {
            with_sizes(predicate, place);
            rename(input, renamed, unread, place);
        }
        PlanNode::Scan { columns, prewhere, hints, .. } => {
            prewhere.iter_mut().for_each(|p| with_sizes(p, place));
            for (name, new) in columns.iter_mut().zip(renamed) {
                if let Some(new) = new {
                    name.clone_from(new);
                }
            }
            let hints: &mut ScanHints = hints;
            hints.unread = unread.to_vec();
        }
        _ => {}
    }
}
