//! `avg(x)` beside `sum(x)` and `count()` is one divided by the other: two states less for each group.
//!
//! Only of decimals, whose average is computed in just that way: the sum as a float, divided by ten to
//! the scale, then by the number of rows.

use pumphouse_storage::DataType;

use crate::functions;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::computed_aggregates::{Aggregates, call, computed};
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &|plan| rewrite(plan).unwrap_or_else(|plan| *plan))
}

fn is_average(aggregate: &BoundAggregate) -> bool {
    let decimal = |e: &BoundExpr| {
        matches!(e.data_type(), DataType::Decimal { precision: 0..=38, .. }) && !is_volatile(e)
    };
    aggregate.function.name() == "avg"
        && matches!(aggregate.arguments.as_slice(), [one] if decimal(one))
}

/// Whether the sum of an average is wanted too, or several averages share the number of rows.
fn is_shared(aggregates: &[BoundAggregate]) -> bool {
    let averages: Vec<&BoundAggregate> = aggregates.iter().filter(|a| is_average(a)).collect();
    let summed = |average: &BoundAggregate| {
        let own = key(&average.arguments[0]);
        aggregates.iter().any(|a| {
            a.function.name() == "sum" && a.arguments.iter().any(|argument| key(argument) == own)
        })
    };
    averages.len() > 1 && aggregates.iter().any(is_plain_count)
        || averages.iter().any(|average| summed(average))
}

fn rewrite(plan: Plan) -> Result<Plan, Box<Plan>> {
    let PlanNode::Aggregate { aggregates, grouping_sets, with_totals, .. } = &plan.node else {
        return Err(Box::new(plan));
    };
    if !is_shared(aggregates) || !grouping_sets.is_empty() || *with_totals {
        return Err(Box::new(plan));
    }
    computed(plan, |_, aggregate, wanted, new| {
        match is_average(aggregate) && *wanted == DataType::Float64 {
            true => quotient(aggregate, new),
            false => Some(new.result_of(aggregate.clone())),
        }
    })
}

/// `toFloat64(sum(x)) / count()`.
fn quotient(average: &BoundAggregate, new: &mut Aggregates) -> Option<BoundExpr> {
    let sum = new.result("sum", average.arguments.clone())?;
    let count = new.result("count", vec![])?;
    let float = call(&functions::lookup("toFloat64")?, vec![sum])?;
    call(&functions::lookup("divide")?, vec![float, count])
}
