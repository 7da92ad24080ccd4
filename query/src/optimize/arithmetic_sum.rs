//! `sum(x + 1), sum(x + 2), …` over integers: the sum of x and the count of rows give them all.
//!
//! Only where the addition cannot overflow its type, so that the sums agree to the last bit; floats
//! stay as they are.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use crate::functions;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::computed_aggregates::{Aggregates, call, computed};

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
    let PlanNode::Aggregate { aggregates, .. } = &plan.node else {
        return Err(Box::new(plan));
    };
    let shifted: Vec<Option<Shifted>> = aggregates.iter().map(shifted).collect();
    if shifted.iter().flatten().count() < SUMS_MIN {
        return Err(Box::new(plan));
    }
    let Some(names) = Functions::find() else { return Err(Box::new(plan)) };
    computed(plan, |i, aggregate, wanted, new| match &shifted[i] {
        None => Some(new.result_of(aggregate.clone())),
        Some(shifted) => names.rebuilt(aggregate, shifted, new, wanted),
    })
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
        new: &mut Aggregates,
        want: &DataType,
    ) -> Option<BoundExpr> {
        let own = aggregate.arguments[0].data_type();
        let sum = new.result("sum", vec![shifted.column.clone()])?;
        let count = new.result("count", vec![])?;
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

fn cast(expr: BoundExpr, want: &DataType) -> Option<BoundExpr> {
    if expr.data_type() == *want {
        return Some(expr);
    }
    let function = functions::lookup("CAST")?;
    let target =
        BoundExpr::Constant { value: Value::string(want.to_string()), data_type: DataType::String };
    Some(BoundExpr::Call { function, arguments: vec![expr, target], data_type: want.clone() })
}
