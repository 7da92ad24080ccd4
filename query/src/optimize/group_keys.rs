//! GROUP BY keys that follow from others (`x, x - 1, x - 2`) or are constants do not split groups:
//! they are computed from the keys that remain.

use crate::plan::{BoundExpr, Plan, PlanNode};

use super::bottom_up;
use super::shape::*;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

fn rewrite(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Aggregate {
        input,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals: false,
        groups_max,
    } = node
    else {
        return Plan { node, schema };
    };
    let keep = needed_keys(&keys);
    if !grouping_sets.is_empty() || keep.iter().all(|k| *k) || !keep.contains(&true) {
        let node = PlanNode::Aggregate {
            input,
            keys,
            aggregates,
            grouping_sets,
            rows_of_nothing,
            with_totals: false,
            groups_max,
        };
        return Plan { node, schema };
    }
    let outputs = outputs(&keys, &keep, &schema);
    let mut left: Vec<bool> = keep.clone();
    left.resize(schema.len(), true);
    let below_schema =
        schema.iter().zip(&left).filter(|(_, k)| **k).map(|(c, _)| c.clone()).collect();
    let keys = keys.into_iter().zip(&keep).filter(|(_, k)| **k).map(|(k, _)| k).collect();
    let node = PlanNode::Aggregate {
        input,
        keys,
        aggregates,
        grouping_sets,
        rows_of_nothing,
        with_totals: false,
        groups_max,
    };
    let aggregate = Plan { node, schema: below_schema };
    Plan { node: PlanNode::Project { input: Box::new(aggregate), exprs: outputs }, schema }
}

/// A key is needed unless it is a constant or a function of keys that are plain columns.
fn needed_keys(keys: &[BoundExpr]) -> Vec<bool> {
    let plain: Vec<usize> = keys
        .iter()
        .filter_map(|k| match k {
            BoundExpr::Column { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    keys.iter()
        .map(|key| match key {
            BoundExpr::Column { .. } => true,
            BoundExpr::Constant { .. } => false,
            other => is_volatile(other) || !columns_of(other).iter().all(|c| plain.contains(c)),
        })
        .collect()
}

/// The old output columns over the new aggregate's.
fn outputs(
    keys: &[BoundExpr],
    keep: &[bool],
    schema: &[(String, pumphouse_storage::DataType)],
) -> Vec<BoundExpr> {
    let mut place = 0;
    let mut place_of_column = vec![];
    let mut places = vec![None; keys.len()];
    for (i, key) in keys.iter().enumerate() {
        if keep[i] {
            if let BoundExpr::Column { index, .. } = key {
                place_of_column.push((*index, place));
            }
            places[i] = Some(place);
            place += 1;
        }
    }
    let mut exprs = vec![];
    for (i, (_, data_type)) in schema.iter().enumerate() {
        exprs.push(match keys.get(i) {
            Some(key) => match places[i] {
                Some(at) => column(at, data_type),
                None => {
                    let mut expr = key.clone();
                    renumber(&mut expr, &|c| {
                        place_of_column.iter().find(|(i, _)| *i == c).map_or(0, |(_, p)| *p)
                    });
                    expr
                }
            },
            None => column(place + i - keys.len(), data_type),
        });
    }
    exprs
}
