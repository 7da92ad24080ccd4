//! Aggregates computed from others: an aggregation over the cheaper ones with a projection on top that gives the
//! results that were asked for. Shared by the rules that know such a computation.

use std::sync::Arc;

use pumphouse_storage::DataType;

use crate::functions::{self, ArgumentType, ScalarFunction};
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

use super::shape::{all_columns, column, key};

/// The aggregates of the new aggregation.
pub(super) struct Aggregates {
    keys: usize,
    list: Vec<BoundAggregate>,
}

impl Aggregates {
    /// The result of `aggregate`, which is added if no equal one is there.
    pub(super) fn result_of(&mut self, aggregate: BoundAggregate) -> BoundExpr {
        let data_type = aggregate.function.return_type();
        let same = |other: &BoundAggregate| {
            other.function.name() == aggregate.function.name()
                && other.arguments.len() == aggregate.arguments.len()
                && other.arguments.iter().zip(&aggregate.arguments).all(|(a, b)| key(a) == key(b))
        };
        let at = self.list.iter().position(same).unwrap_or(self.list.len());
        if at == self.list.len() {
            self.list.push(aggregate);
        }
        column(self.keys + at, &data_type)
    }

    /// The same by name.
    pub(super) fn result(&mut self, name: &str, arguments: Vec<BoundExpr>) -> Option<BoundExpr> {
        let types: Vec<DataType> = arguments.iter().map(BoundExpr::data_type).collect();
        let function = crate::aggregates::lookup(name, &[], &types).ok()?;
        Some(self.result_of(BoundAggregate { function, arguments }))
    }
}

/// `plan`, an aggregation, with the result of each aggregate as `compute` has it (given the type that is wanted);
/// `Err` with the plan as it was where that gives None.
pub(super) fn computed(
    plan: Plan,
    compute: impl Fn(usize, &BoundAggregate, &DataType, &mut Aggregates) -> Option<BoundExpr>,
) -> Result<Plan, Box<Plan>> {
    let Plan { node, schema } = plan;
    let PlanNode::Aggregate {
        input,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    } = node
    else {
        return Err(Box::new(Plan { node, schema }));
    };
    let (key_schema, results) = schema.split_at(keys.len());
    let mut new = Aggregates { keys: keys.len(), list: vec![] };
    let computed: Option<Vec<BoundExpr>> = aggregates
        .iter()
        .zip(results)
        .enumerate()
        .map(|(i, (aggregate, (_, wanted)))| compute(i, aggregate, wanted, &mut new))
        .collect();
    let exprs = computed.map(|computed| [all_columns(key_schema), computed].concat());
    let mut below = key_schema.to_vec();
    below.extend(new.list.iter().map(|a| (a.function.name(), a.function.return_type())));
    let aggregates = if exprs.is_some() { new.list } else { aggregates };
    let node = PlanNode::Aggregate {
        input,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    };
    let Some(exprs) = exprs else { return Err(Box::new(Plan { node, schema })) };
    let input = Box::new(Plan { node, schema: below });
    Ok(Plan { node: PlanNode::Project { input, exprs }, schema })
}

/// A call of `function`, its type resolved.
pub(super) fn call(
    function: &Arc<dyn ScalarFunction>,
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
