//! EXPLAIN: a plan as lines, in the shape of ClickHouse's own (a tree of steps with their properties),
//! and the pipeline that runs it.
//!
//! Names of steps are ClickHouse's, because tools look for them: `ReadFromMergeTree (db.table)`,
//! `Aggregating`, `Sorting`, `Filter`, `Limit`. With `indexes` a scan is opened to say what pruning
//! kept; nothing is read.

use pumphouse_storage::DataType;

use crate::catalog::PROJECTION_ENGINE;
use crate::context::{QueryContext, Settings};
use crate::optimize::read_in_order::{FirstGroups, GroupOrder, InOrder};
use crate::text::json::JsonOptions;

use super::{BoundExpr, Plan, PlanNode, SetSource, SortKey, WindowKind};
use crate::sql::ast::{JoinKind, JoinStrictness};

/// One step and those that feed it.
struct Step<'p> {
    title: String,
    properties: Vec<String>,
    inputs: Vec<&'p Plan>,
}

/// What EXPLAIN shows besides the steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions {
    /// What pruning kept of tables.
    pub indexes: bool,
    /// Names and types of what each step yields.
    pub header: bool,
}

/// `EXPLAIN [PLAN]`: the output columns, then the steps. `indexes` adds what pruning kept.
pub fn plan_lines(plan: &Plan, indexes: bool) -> Vec<String> {
    let options = PlanOptions { indexes, header: false };
    plan_lines_in(plan, options, &QueryContext::new("", 0, 0))
}

/// As [`plan_lines`], under the settings of `ctx`.
pub fn plan_lines_in(plan: &Plan, options: PlanOptions, ctx: &QueryContext) -> Vec<String> {
    let names: Vec<&str> = plan.schema.iter().map(|(n, _)| n.as_str()).collect();
    let mut lines = vec![format!("Output: {}", names.join(", ")), String::new()];
    let above = Above { options, ..Above::default_in(ctx) };
    tree_lines(plan, &above, ["", ""], &mut lines);
    lines
}

/// `EXPLAIN json = 1`: the steps as one JSON document, `[{"Plan": {"Node Type": …, "Plans": […]}}]`.
pub fn plan_json(plan: &Plan, options: PlanOptions, ctx: &QueryContext) -> String {
    let above = Above { options, ..Above::default_in(ctx) };
    let mut out = String::from("[\n  {\n    \"Plan\": ");
    json_step(plan, &above, 2, &mut out);
    out.push_str("\n  }\n]");
    out
}

fn json_step(plan: &Plan, above: &Above<'_>, depth: usize, out: &mut String) {
    let plan = visible(plan);
    let step = step(plan, above);
    let under = above.below(plan);
    let indent = "  ".repeat(depth + 1);
    let (kind, description) = match step.title.split_once(" (") {
        Some((kind, rest)) => (kind, rest.strip_suffix(')')),
        None => (step.title.as_str(), None),
    };
    *out += &format!("{{\n{indent}\"Node Type\": {}", json_text(kind));
    if let Some(description) = description {
        *out += &format!(",\n{indent}\"Description\": {}", json_text(description));
    }
    if !step.properties.is_empty() {
        let lines: Vec<String> = step.properties.iter().map(|p| json_text(p)).collect();
        *out += &format!(",\n{indent}\"Properties\": [{}]", lines.join(", "));
    }
    if !step.inputs.is_empty() {
        *out += &format!(",\n{indent}\"Plans\": [");
        for (i, input) in step.inputs.iter().enumerate() {
            *out += if i > 0 { ",\n" } else { "\n" };
            *out += &"  ".repeat(depth + 2);
            json_step(input, &under, depth + 2, out);
        }
        *out += &format!("\n{indent}]");
    }
    *out += &format!("\n{}}}", "  ".repeat(depth));
}

fn json_text(text: &str) -> String {
    let mut out = vec![];
    crate::text::json::write_json_string(text.as_bytes(), &JsonOptions::default(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// What the steps above say about those below.
#[derive(Clone)]
struct Above<'c> {
    options: PlanOptions,
    ctx: &'c QueryContext,
    /// How a scan right below the steps so far is read.
    read_type: &'static str,
    /// What a sort wants of the groups right below it.
    first: Option<FirstGroups>,
    /// A LIMIT BY is right above.
    limit_by: bool,
}

impl<'c> Above<'c> {
    fn default_in(ctx: &'c QueryContext) -> Above<'c> {
        let options = PlanOptions::default();
        Above { options, ctx, read_type: "Default", first: None, limit_by: false }
    }

    fn below(&self, plan: &Plan) -> Above<'c> {
        let none = Above { options: self.options, ..Above::default_in(self.ctx) };
        let reading = |order: Option<bool>| match order {
            Some(true) => "InReverseOrder",
            Some(false) => "InOrder",
            None => "Default",
        };
        let ctx = self.ctx;
        match &plan.node {
            PlanNode::Filter { .. } => self.clone(),
            PlanNode::Sort { input, keys, limit } => {
                let order = match (limit, self.limit_by) {
                    (None, true) => InOrder::of_all(input, keys, u64::MAX, ctx),
                    _ => InOrder::of(input, keys, *limit, ctx),
                };
                let first = FirstGroups::of(input, keys, *limit, ctx);
                Above { read_type: reading(order.map(|o| o.descending)), first, ..none }
            }
            PlanNode::Aggregate { .. } => {
                let order = GroupOrder::of_aggregate(plan, self.first.as_ref(), ctx);
                Above { read_type: reading(order.map(|o| o.order.descending)), ..none }
            }
            PlanNode::Distinct { input, keys, limit } if keys.is_empty() => {
                let order = GroupOrder::of_distinct(input, *limit, ctx);
                Above { read_type: reading(order.map(|o| o.order.descending)), ..none }
            }
            PlanNode::LimitBy { .. } => Above { limit_by: true, ..none },
            _ => none,
        }
    }
}

/// `indent`: of the first line, of others.
fn tree_lines(plan: &Plan, above: &Above<'_>, [first, rest]: [&str; 2], lines: &mut Vec<String>) {
    let plan = visible(plan);
    let mut step = step(plan, above);
    if let Some(order) = GroupOrder::of_aggregate(plan, above.first.as_ref(), above.ctx)
        && let PlanNode::Aggregate { input, keys, .. } = &plan.node
    {
        let direction = if order.order.descending { "DESC" } else { "ASC" };
        let key = |place: &usize| format!("{} {direction}", text(&keys[*place], &input.schema));
        let keys: Vec<String> = order.places.iter().map(key).collect();
        step.properties.push(format!("Order: {}", keys.join(", ")));
    }
    let under = above.below(plan);
    lines.push(format!("{first}{}", step.title));
    let bar = if step.inputs.is_empty() { "   " } else { "│  " };
    lines.extend(step.properties.iter().map(|p| format!("{rest}{bar}{p}")));
    for (i, input) in step.inputs.iter().enumerate() {
        let last = i + 1 == step.inputs.len();
        let (branch, below) = if last { ("└──", "   ") } else { ("├──", "│  ") };
        let indent = [&*format!("{rest}{branch}"), &*format!("{rest}{below}")];
        tree_lines(input, &under, indent, lines);
    }
}

/// Projections are left out, as ClickHouse leaves its expression steps out.
fn visible(plan: &Plan) -> &Plan {
    match &plan.node {
        PlanNode::Project { input, .. } => visible(input),
        _ => plan,
    }
}

/// The step with its header before its properties, if that is wanted.
fn step<'p>(plan: &'p Plan, above: &Above<'_>) -> Step<'p> {
    let mut step = step_itself(plan, above.options.indexes, above.read_type);
    if above.options.header {
        let columns = plan.schema.iter().enumerate();
        let lead = |i| if i == 0 { "Header: " } else { "        " };
        let lines = columns.map(|(i, (name, data_type))| format!("{}{name} {data_type}", lead(i)));
        step.properties.splice(0..0, lines);
    }
    step
}

fn step_itself<'p>(plan: &'p Plan, indexes: bool, read_type: &str) -> Step<'p> {
    use PlanNode::*;
    let one = |title: &str, properties: Vec<String>, input| Step {
        title: title.to_string(),
        properties,
        inputs: vec![input],
    };
    match &plan.node {
        OneRow => leaf("ReadFromSystemOne", vec![]),
        Blocks(blocks) => {
            let rows: usize = blocks.iter().map(|b| b.rows()).sum();
            leaf("ReadFromPreparedSource", vec![format!("Rows: {rows}")])
        }
        Scan { .. } => scan(plan, indexes, read_type),
        Filter { input, predicate } => {
            let column = format!("Filter column: {}", text(predicate, &input.schema));
            one("Filter (WHERE)", vec![column], input)
        }
        Having { input, predicate } => {
            let column = format!("Filter column: {}", text(predicate, &input.schema));
            one("Filter (HAVING)", vec![column], input)
        }
        Project { input, .. } => one("Expression", vec![], input),
        Aggregate { input, .. } => one("Aggregating", aggregate(plan, input), input),
        Sort { input, keys, limit } => {
            let mut properties =
                vec![format!("Sort description: {}", sort_text(keys, &input.schema))];
            properties.extend(limit.map(|l| format!("Limit {l}")));
            one("Sorting (Sorting for ORDER BY)", properties, input)
        }
        Limit { input, limit, offset, ties } => {
            let mut properties = vec![];
            properties.extend(limit.map(|l| format!("Limit {l}")));
            properties.push(format!("Offset {offset}"));
            if ties.is_some() {
                properties.push("WITH TIES".into());
            }
            one("Limit", properties, input)
        }
        LimitBy { input, limit, offset, keys } => {
            let properties = vec![
                format!("Columns: {}", list(keys, &input.schema)),
                format!("Length {limit}"),
                format!("Offset {offset}"),
            ];
            one("LimitBy", properties, input)
        }
        Distinct { input, keys, .. } => {
            let columns = match keys.is_empty() {
                true => names(&input.schema),
                false => list(keys, &input.schema),
            };
            one("Distinct (DISTINCT)", vec![format!("Columns: {columns}")], input)
        }
        UnionAll { inputs } => {
            Step { title: "Union".into(), properties: vec![], inputs: inputs.iter().collect() }
        }
        SetOperation { left, right, except, all } => {
            let name = if *except { "EXCEPT" } else { "INTERSECT" };
            let quantifier = if *all { "ALL" } else { "DISTINCT" };
            Step {
                title: format!("IntersectOrExcept ({name} {quantifier})"),
                properties: vec![],
                inputs: vec![left, right],
            }
        }
        Join(_) => join(plan),
        ArrayJoin { input, exprs, left } => {
            let columns = format!("Columns: {}", list(exprs, &input.schema));
            let left = format!("Left: {}", u8::from(*left));
            one("ArrayJoin (ARRAY JOIN)", vec![left, columns], input)
        }
        Window { input, functions } => {
            let texts: Vec<String> = functions
                .iter()
                .map(|f| {
                    let name = match &f.function {
                        WindowKind::Ranking(name) => name.clone(),
                        WindowKind::Aggregate(function) => function.name(),
                    };
                    format!(
                        "{name}({}) OVER (PARTITION BY {} ORDER BY {})",
                        list(&f.arguments, &input.schema),
                        list(&f.partition_by, &input.schema),
                        sort_text(&f.order_by, &input.schema)
                    )
                })
                .collect();
            one("Window", vec![format!("Functions: {}", texts.join(", "))], input)
        }
    }
}

fn leaf(title: &str, properties: Vec<String>) -> Step<'static> {
    Step { title: title.to_string(), properties, inputs: vec![] }
}

fn scan<'p>(plan: &'p Plan, indexes: bool, read_type: &str) -> Step<'p> {
    let PlanNode::Scan { source, columns, conditions, prewhere, final_, sample, hints } =
        &plan.node
    else {
        return leaf("Expression", vec![]);
    };
    let engine = source.engine();
    // Opened to say what pruning keeps, and whether a projection is read.
    let open = (indexes || !source.projections().is_empty())
        .then(|| source.scan_where(columns, conditions, &hints.predicate, &Settings::default()));
    let projection = match &open {
        Some(Ok(open)) if !final_ => open.projection(),
        _ => None,
    };
    let title = match engine.as_str() {
        "Memory" => "ReadFromMemoryStorage".to_string(),
        engine if engine.ends_with("MergeTree") || engine == PROJECTION_ENGINE => {
            let name = projection.map_or_else(|| source.name(), str::to_string);
            format!("ReadFromMergeTree ({name})")
        }
        engine => format!("ReadFrom{engine}"),
    };
    let output = if columns.is_empty() { "Empty".into() } else { columns.join(", ") };
    let mut properties = vec![format!("Output: {output}")];
    if let Some(prewhere) = prewhere {
        properties.push("Prewhere filter".into());
        let filter = text(prewhere, &plan.schema);
        properties.push(format!("Prewhere filter column: {filter}"));
    }
    if *final_ {
        properties.push("FINAL".into());
    }
    if let Some(sample) = sample {
        properties.push(format!("SAMPLE {sample}"));
    }
    if indexes {
        properties.push("Indexes:".into());
        match &open {
            Some(Ok(open)) => {
                let mut lines = open.explain();
                if lines.first().is_some_and(|l| l.starts_with("Parts:")) {
                    properties.insert(0, lines.remove(0));
                    let read_type = if projection.is_some() { "Default" } else { read_type };
                    properties.insert(0, format!("Read type: {read_type}"));
                }
                properties.extend(lines.into_iter().map(|l| format!("  {l}")));
            }
            Some(Err(e)) => properties.push(format!("  {e}")),
            None => {}
        }
    }
    Step { title, properties, inputs: vec![] }
}

fn aggregate(plan: &Plan, input: &Plan) -> Vec<String> {
    let PlanNode::Aggregate { keys, aggregates, grouping_sets, with_totals, groups_max, .. } =
        &plan.node
    else {
        return vec![];
    };
    let calls: Vec<String> = aggregates
        .iter()
        .map(|a| format!("{}({})", a.function.name(), list(&a.arguments, &input.schema)))
        .collect();
    let mut properties = vec![format!("Keys: {}", list(keys, &input.schema))];
    if !calls.is_empty() {
        properties.push(format!("Aggregates: {}", calls.join(", ")));
    }
    if !grouping_sets.is_empty() {
        properties.push(format!("Grouping sets: {}", grouping_sets.len()));
    }
    if *with_totals {
        properties.push("WITH TOTALS".into());
    }
    properties.extend(groups_max.map(|g| format!("Groups at most {g}")));
    properties
}

fn join(plan: &Plan) -> Step<'_> {
    let PlanNode::Join(join) = &plan.node else { return leaf("Join", vec![]) };
    let kind = match join.kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Right => "right",
        JoinKind::Full => "full",
        JoinKind::Cross | JoinKind::Comma => "cross",
        JoinKind::Paste => "paste",
    };
    let strictness = match join.strictness {
        JoinStrictness::Unspecified | JoinStrictness::All => "all",
        JoinStrictness::Any => "any",
        JoinStrictness::Semi => "semi",
        JoinStrictness::Anti => "anti",
        JoinStrictness::Asof => "asof",
    };
    let mut properties = vec![format!("Type: {kind} | Strictness: {strictness}")];
    let pairs: Vec<String> = join
        .left_keys
        .iter()
        .zip(&join.right_keys)
        .map(|(l, r)| format!("{} = {}", text(l, &join.left.schema), text(r, &join.right.schema)))
        .collect();
    if !pairs.is_empty() {
        properties.push(format!("Join conditions: {}", pairs.join(", ")));
    }
    if let Some(residual) = &join.residual {
        let both: Vec<_> = join.left.schema.iter().chain(&join.right.schema).cloned().collect();
        properties.push(format!("Residual filter: {}", text(residual, &both)));
    }
    Step {
        title: "Join (JOIN FillRightFirst)".into(),
        properties,
        inputs: vec![&join.left, &join.right],
    }
}

fn names(schema: &[(String, DataType)]) -> String {
    schema.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ")
}

fn list(exprs: &[BoundExpr], schema: &[(String, DataType)]) -> String {
    exprs.iter().map(|e| text(e, schema)).collect::<Vec<_>>().join(", ")
}

fn sort_text(keys: &[SortKey], schema: &[(String, DataType)]) -> String {
    keys.iter()
        .map(|k| {
            let direction = if k.descending { "DESC" } else { "ASC" };
            format!("{} {direction}", text(&k.expr, schema))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// An expression as a reader would write it.
fn text(expr: &BoundExpr, schema: &[(String, DataType)]) -> String {
    match expr {
        BoundExpr::Column { index, .. } => {
            schema.get(*index).map_or_else(|| format!("#{index}"), |(n, _)| n.clone())
        }
        BoundExpr::LambdaParameter { index, .. } => format!("x{index}"),
        BoundExpr::Constant { value, .. } => value.to_sql(),
        BoundExpr::Lambda { body, .. } => format!("x -> {}", text(body, schema)),
        BoundExpr::InSet { expr, set, negated } => {
            let right = match &set.source {
                SetSource::Values(rows) if rows.len() <= 8 => {
                    let values: Vec<String> = rows
                        .iter()
                        .map(|r| r.iter().map(|v| v.to_sql()).collect::<Vec<_>>().join(", "))
                        .collect();
                    format!("({})", values.join(", "))
                }
                SetSource::Values(rows) => format!("{}-element set", rows.len()),
                SetSource::Subquery(_) => "subquery".into(),
            };
            let operator = if *negated { "NOT IN" } else { "IN" };
            format!("{} {operator} {right}", text(expr, schema))
        }
        BoundExpr::Scalar { .. } => "scalar subquery".into(),
        BoundExpr::Call { function, arguments, .. } => {
            let operator = operator(function.name());
            match (operator, arguments.len()) {
                (Some(operator), 2..) => arguments
                    .iter()
                    .map(|a| operand(a, schema))
                    .collect::<Vec<_>>()
                    .join(&format!(" {operator} ")),
                _ => format!("{}({})", function.name(), list(arguments, schema)),
            }
        }
    }
}

fn operand(expr: &BoundExpr, schema: &[(String, DataType)]) -> String {
    match expr {
        BoundExpr::Call { function, .. }
            if matches!(function.name(), "and" | "or" | "plus" | "minus") =>
        {
            format!("({})", text(expr, schema))
        }
        _ => text(expr, schema),
    }
}

fn operator(name: &str) -> Option<&'static str> {
    Some(match name {
        "plus" => "+",
        "minus" => "-",
        "multiply" => "*",
        "divide" => "/",
        "modulo" => "%",
        "equals" => "=",
        "notEquals" => "!=",
        "less" => "<",
        "greater" => ">",
        "lessOrEquals" => "<=",
        "greaterOrEquals" => ">=",
        "and" => "AND",
        "or" => "OR",
        "like" => "LIKE",
        "notLike" => "NOT LIKE",
        "ilike" => "ILIKE",
        _ => return None,
    })
}

/// `EXPLAIN PIPELINE`: the steps from the top with what runs each.
pub fn pipeline_lines(plan: &Plan) -> Vec<String> {
    let mut lines = vec![];
    pipeline(plan, 0, &mut lines);
    lines
}

fn pipeline(plan: &Plan, depth: usize, lines: &mut Vec<String>) {
    use PlanNode::*;
    let (step, transform) = match &plan.node {
        OneRow => ("ReadFromSystemOne", "SourceFromSingleChunk"),
        Blocks(_) => ("ReadFromPreparedSource", "SourceFromSingleChunk"),
        Scan { source, .. } if source.engine().ends_with("MergeTree") => {
            ("ReadFromMergeTree", "MergeTreeSelect")
        }
        Scan { .. } => ("ReadFromStorage", "Source"),
        Filter { .. } => ("Filter", "FilterTransform"),
        Having { .. } => ("Filter", "FilterTransform"),
        Project { .. } => ("Expression", "ExpressionTransform"),
        Aggregate { .. } => ("Aggregating", "AggregatingTransform"),
        Sort { .. } => ("Sorting", "MergeSortingTransform"),
        Limit { .. } => ("Limit", "Limit"),
        LimitBy { .. } => ("LimitBy", "LimitByTransform"),
        Distinct { .. } => ("Distinct", "DistinctTransform"),
        UnionAll { .. } => ("Union", "Concat"),
        SetOperation { .. } => ("IntersectOrExcept", "IntersectOrExceptTransform"),
        Join(_) => ("Join", "JoiningTransform"),
        ArrayJoin { .. } => ("ArrayJoin", "ArrayJoinTransform"),
        Window { .. } => ("Window", "WindowTransform"),
    };
    let indent = "  ".repeat(depth);
    lines.push(format!("{indent}({step})"));
    lines.push(format!("{indent}{transform}"));
    for input in crate::optimize::shape::inputs(plan) {
        pipeline(input, depth + 1, lines);
    }
}
