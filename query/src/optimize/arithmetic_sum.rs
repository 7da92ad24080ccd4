//! `sum(x + 1), sum(x + 2), …` over integers: the sum of x and the count of rows give them all.
//!
//! Only where the addition cannot overflow its type, so that the sums agree to the last bit; floats
//! stay as they are.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use crate::functions::{self, ArgumentType};
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

/// Rewriting pays from this many sums of one column on.
const SUMS_MIN: usize = 2;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &|plan| rewrite(plan).unwrap_or_else(|plan| *plan))
}

/// `sum(column + constant)`.
struct Shifted {
    column: BoundExpr,
    constant: Value,
    constant_type: DataType,
    minus: bool,
}

fn rewrite(plan: Plan) -> Result<Plan, Box<Plan>> {
    let PlanNode::Aggregate { keys, aggregates, .. } = &plan.node else {
        return Err(Box::new(plan));
    };
    let shifted: Vec<Option<Shifted>> = aggregates.iter().map(shifted).collect();
    if shifted.iter().flatten().count() < SUMS_MIN {
        return Err(Box::new(plan));
    }
    let Some(names) = Functions::find() else { return Err(Box::new(plan)) };
    let mut new: Vec<BoundAggregate> = vec![];
    let mut exprs = all_columns(&plan.schema[..keys.len()]);
    for (i, (aggregate, shifted)) in aggregates.iter().zip(&shifted).enumerate() {
        let want = &plan.schema[keys.len() + i].1;
        let expr = match shifted {
            None => {
                let at = add(&mut new, aggregate.clone());
                Some(column(keys.len() + at, want))
            }
            Some(shifted) => names.rebuilt(aggregate, shifted, keys.len(), &mut new, want),
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

fn shifted(aggregate: &BoundAggregate) -> Option<Shifted> {
    if aggregate.function.name() != "sum" {
        return None;
    }
    let [BoundExpr::Call { function, arguments, .. }] = aggregate.arguments.as_slice() else {
        return None;
    };
    let minus = match function.name() {
        "plus" => false,
        "minus" => true,
        _ => return None,
    };
    let (column, constant) = match arguments.as_slice() {
        [c @ BoundExpr::Column { .. }, k @ BoundExpr::Constant { .. }] => (c, k),
        [k @ BoundExpr::Constant { .. }, c @ BoundExpr::Column { .. }] if !minus => (c, k),
        _ => return None,
    };
    let BoundExpr::Constant { value, data_type } = constant else { return None };
    let narrow = |t: &DataType| {
        use DataType::*;
        matches!(t, UInt8 | UInt16 | UInt32 | Int8 | Int16 | Int32)
    };
    if !narrow(&column.data_type()) || !narrow(data_type) {
        return None;
    }
    Some(Shifted {
        column: column.clone(),
        constant: value.clone(),
        constant_type: data_type.clone(),
        minus,
    })
}

/// The place of an equal aggregate, added if it is new.
pub(super) fn add(aggregates: &mut Vec<BoundAggregate>, aggregate: BoundAggregate) -> usize {
    let same = |other: &BoundAggregate| {
        other.function.name() == aggregate.function.name()
            && other.arguments.len() == aggregate.arguments.len()
            && other.arguments.iter().zip(&aggregate.arguments).all(|(a, b)| key(a) == key(b))
    };
    match aggregates.iter().position(same) {
        Some(at) => at,
        None => {
            aggregates.push(aggregate);
            aggregates.len() - 1
        }
    }
}

struct Functions {
    plus: Arc<dyn functions::ScalarFunction>,
    minus: Arc<dyn functions::ScalarFunction>,
    multiply: Arc<dyn functions::ScalarFunction>,
}

impl Functions {
    fn find() -> Option<Functions> {
        Some(Functions {
            plus: functions::lookup("plus")?,
            minus: functions::lookup("minus")?,
            multiply: functions::lookup("multiply")?,
        })
    }

    /// `sum(x) ± constant * count()`.
    fn rebuilt(
        &self,
        aggregate: &BoundAggregate,
        shifted: &Shifted,
        keys: usize,
        new: &mut Vec<BoundAggregate>,
        want: &DataType,
    ) -> Option<BoundExpr> {
        let own = aggregate.arguments[0].data_type();
        let sum_type = shifted.column.data_type();
        let sum = crate::aggregates::lookup("sum", &[], std::slice::from_ref(&sum_type)).ok()?;
        let count = crate::aggregates::lookup("count", &[], &[]).ok()?;
        let (sum_result, count_result) = (sum.return_type(), count.return_type());
        let sum = BoundAggregate { function: sum, arguments: vec![shifted.column.clone()] };
        let sum = column(keys + add(new, sum), &sum_result);
        let count = BoundAggregate { function: count, arguments: vec![] };
        let count = column(keys + add(new, count), &count_result);
        let constant = BoundExpr::Constant {
            value: shifted.constant.clone(),
            data_type: shifted.constant_type.clone(),
        };
        let product = call(&self.multiply, vec![constant, count])?;
        let operator = if shifted.minus { &self.minus } else { &self.plus };
        let result = call(operator, vec![sum, product])?;
        // Sums of signed and unsigned 64 bit words agree in their bits; other results do not.
        let sixty_four = |t: &DataType| matches!(t, DataType::Int64 | DataType::UInt64);
        if !sixty_four(&result.data_type()) || !sixty_four(want) || own.is_nullable() {
            return None;
        }
        cast(result, want)
    }
}

pub(super) fn call(
    function: &Arc<dyn functions::ScalarFunction>,
    arguments: Vec<BoundExpr>,
) -> Option<BoundExpr> {
    let types: Vec<ArgumentType> = arguments
        .iter()
        .map(|a| ArgumentType {
            data_type: a.data_type(),
            constant: match a {
                BoundExpr::Constant { value, .. } => Some(value.clone()),
                _ => None,
            },
            lambda_arity: None,
        })
        .collect();
    let data_type = functions::resolve(function, &types).ok()?;
    Some(BoundExpr::Call { function: function.clone(), arguments, data_type })
}

fn cast(expr: BoundExpr, want: &DataType) -> Option<BoundExpr> {
    if expr.data_type() == *want {
        return Some(expr);
    }
    let function = functions::lookup("CAST")?;
    let target =
        BoundExpr::Constant { value: Value::string(want.to_string()), data_type: DataType::String };
    Some(BoundExpr::Call { function, arguments: vec![expr, target], data_type: want.clone() })
}
