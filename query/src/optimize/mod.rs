//! Rewriting plans: one rule a file, each a function from plan to plan that keeps the result.
//!
//! The order matters: filters go down first, then columns that nobody reads go away, then what is
//! left above scans becomes conditions and PREWHERE. [`shape`] holds what the rules share: walking
//! plans and renumbering expressions. Rules are pure; none of them reads a table
//! (`projections` asks how much there would be to read, `sample` looks at a few rows).

mod arithmetic_sum;
mod average_sum;
mod cardinality;
mod column_checks;
mod column_pruning;
mod common_subexpressions;
mod computed_aggregates;
mod constant_filter;
mod filter_push_down;
mod group_keys;
mod group_limit;
mod join_order;
mod join_tree;
mod json_paths;
mod monotonic;
mod or_parts;
pub(crate) mod predicate;
pub(crate) mod prewhere;
mod project_merge;
mod projections;
pub(crate) mod read_in_order;
mod runtime_filters;
mod sample;
pub(crate) mod scan_conditions;
pub(crate) mod scan_outputs;
mod semi_join;
pub(crate) mod shape;
#[cfg(test)]
mod tests;
mod top_n;
mod trivial_count;

use column_checks::NeededSets;
pub(crate) use column_checks::check_closed;

use crate::context::QueryContext;
use crate::error::Result;
use crate::plan::{Plan, PlanNode, SetSource};

type Rule = fn(Plan) -> Plan;

/// The rules in order, up to those that need the query's surroundings.
const RULES: &[(&str, Rule)] = &[
    ("or_parts", or_parts::apply),
    ("filter_push_down", filter_push_down::apply),
    ("constant_filter", constant_filter::apply),
    ("semi_join", semi_join::apply),
    ("join_tree", join_tree::apply),
    ("project_merge", project_merge::apply),
    ("arithmetic_sum", arithmetic_sum::apply),
    ("average_sum", average_sum::apply),
    ("group_keys", group_keys::apply),
    ("json_paths", json_paths::apply),
    ("column_pruning", column_pruning::apply),
    ("trivial_count", trivial_count::apply),
    ("join_order", join_order::apply),
    ("common_subexpressions", common_subexpressions::apply),
    ("top_n", top_n::apply),
    ("group_limit", group_limit::apply),
];

/// The plan without columns that nobody reads.
pub(crate) fn prune_columns(plan: Plan) -> Plan {
    column_pruning::apply(plan)
}

/// The same result, sooner; with default settings and in UTC.
pub fn optimize(plan: Plan) -> Result<Plan> {
    optimize_in(plan, &QueryContext::new("", 0, 0))
}

/// The same result, sooner.
pub fn optimize_in(mut plan: Plan, ctx: &QueryContext) -> Result<Plan> {
    let needed = column_checks::check(&mut plan, ctx)?;
    optimize_checked(plan, &needed, ctx)
}

fn optimize_checked(mut plan: Plan, needed: &NeededSets, ctx: &QueryContext) -> Result<Plan> {
    optimize_sets(&mut plan, needed, ctx)?;
    for (name, rule) in RULES {
        plan = rule(plan);
        if *name == "project_merge" {
            // Before aggregates are taken apart: a projection has them as they were written.
            plan = projections::apply(plan, ctx);
        }
    }
    plan = scan_conditions::apply(plan, ctx);
    if ctx.settings.bool("optimize_move_to_prewhere", true) {
        plan = prewhere::apply(plan);
        if ctx.settings.bool("enable_join_runtime_filters", true) {
            plan = runtime_filters::apply(plan);
        }
    }
    Ok(scan_outputs::apply(plan))
}

/// Plans inside `IN (SELECT …)` are plans of their own.
fn optimize_sets(plan: &mut Plan, needed: &NeededSets, ctx: &QueryContext) -> Result<()> {
    let mut failed = None;
    shape::each_expression(plan, &mut |expr| {
        shape::each_set(expr, &mut |set| {
            let is_needed = needed.holds(set);
            let Some(set) = std::sync::Arc::get_mut(set) else { return };
            if let SetSource::Subquery(subquery) = &mut set.source {
                let own = std::mem::replace(&mut **subquery, shape::nothing());
                let optimized = match is_needed {
                    true => optimize_in(own, ctx),
                    // Nobody reads it: its errors are nobody's.
                    false => optimize_checked(own, &NeededSets::default(), ctx),
                };
                match optimized {
                    Ok(optimized) => **subquery = optimized,
                    Err(e) => failed = Some(e),
                }
            }
        });
    });
    for input in shape::inputs_mut(plan) {
        optimize_sets(input, needed, ctx)?;
    }
    match failed {
        Some(e) => Err(e),
        None => Ok(()),
    }
}

/// Applies `rule` to every node, inputs first.
fn bottom_up(mut plan: Plan, rule: &dyn Fn(Plan) -> Plan) -> Plan {
    for input in shape::inputs_mut(&mut plan) {
        let own = std::mem::replace(input, shape::nothing());
        *input = bottom_up(own, rule);
    }
    rule(plan)
}

/// Whether the node yields exactly the rows of its input, in the same columns.
fn keeps_columns(node: &PlanNode) -> bool {
    matches!(
        node,
        PlanNode::Filter { .. }
            | PlanNode::Having { .. }
            | PlanNode::Sort { .. }
            | PlanNode::Limit { .. }
            | PlanNode::LimitBy { .. }
            | PlanNode::Distinct { .. }
    )
}

/// Bytes a row of a column is likely to take.
pub(crate) fn bytes_of(data_type: &pumphouse_storage::DataType) -> u32 {
    prewhere::bytes(data_type)
}
