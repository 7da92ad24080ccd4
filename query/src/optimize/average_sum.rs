//! `avg(x)` beside `sum(x)` and `count()` is one divided by the other: two states less for each group.
//!
//! Only of decimals, whose average is computed in just that way: the sum as a float, divided by ten to
//! the scale, then by the number of rows.

use pumphouse_storage::DataType;

use crate::functions;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::arithmetic_sum::{add, call};
use super::bottom_up;
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
    let PlanNode::Aggregate { keys, aggregates, grouping_sets, with_totals, .. } = &plan.node
    else {
        return Err(Box::new(plan));
    };
    if !is_shared(aggregates) || !grouping_sets.is_empty() || *with_totals {
        return Err(Box::new(plan));
    }
    let mut new: Vec<BoundAggregate> = vec![];
    let mut exprs = all_columns(&plan.schema[..keys.len()]);
    for (i, aggregate) in aggregates.iter().enumerate() {
        let data_type = &plan.schema[keys.len() + i].1;
        let expr = match is_average(aggregate) && *data_type == DataType::Float64 {
            true => quotient(aggregate, keys.len(), &mut new),
            false => Some(column(keys.len() + add(&mut new, aggregate.clone()), data_type)),
        };
        match expr {
            Some(expr) => exprs.push(expr),
            None => return Err(Box::new(plan)),
        }
    }
    let Plan { node, schema } = plan;
    let PlanNode::Aggregate {
        input,
        keys,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
        ..
    } = node
    else {
        return Err(Box::new(Plan { node, schema }));
    };
    let mut below: Vec<(String, DataType)> = schema[..keys.len()].to_vec();
    below.extend(new.iter().map(|a| (a.function.name(), a.function.return_type())));
    let node = PlanNode::Aggregate {
        input,
        keys,
        aggregates: new,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    };
    let input = Box::new(Plan { node, schema: below });
    Ok(Plan { node: PlanNode::Project { input, exprs }, schema })
}

/// `toFloat64(sum(x)) / count()`.
fn quotient(
    average: &BoundAggregate,
    keys: usize,
    new: &mut Vec<BoundAggregate>,
) -> Option<BoundExpr> {
    let argument = average.arguments[0].data_type();
    let sum = crate::aggregates::lookup("sum", &[], std::slice::from_ref(&argument)).ok()?;
    let count = crate::aggregates::lookup("count", &[], &[]).ok()?;
    let (sum_type, count_type) = (sum.return_type(), count.return_type());
    let sum = BoundAggregate { function: sum, arguments: average.arguments.clone() };
    let sum = column(keys + add(new, sum), &sum_type);
    let count = BoundAggregate { function: count, arguments: vec![] };
    let count = column(keys + add(new, count), &count_type);
    let float = call(&functions::lookup("toFloat64")?, vec![sum])?;
    call(&functions::lookup("divide")?, vec![float, count])
}
