//! GROUP BY over a table that keeps such groups in a projection: their states are merged instead of
//! the rows being aggregated, if that reads fewer rows.
//!
//! A projection fits if every key and every filter is an expression over its keys, and every aggregate
//! is one of its own. Expressions are compared as they are bound. Where the session's time zone is not
//! the server's, only plain columns are: what a projection holds was computed in the server's.
//! (Projections of rows are chosen where the scan is opened.)

use std::collections::HashMap;
use std::sync::Arc;

use pumphouse_storage::DataType;
use pumphouse_storage::types::TimeZone;

use crate::aggregates;
use crate::bind::projection::{BoundProjection, same_aggregate};
use crate::catalog::TableSource;
use crate::context::{QueryContext, Settings};
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode, ScanHints};

use super::scan_conditions::filter_conditions;
use super::shape::*;
use super::{bottom_up, trivial_count};

pub fn apply(plan: Plan, ctx: &QueryContext) -> Plan {
    if !ctx.settings.bool("optimize_use_projections", true) {
        return plan;
    }
    bottom_up(plan, &|plan| rewrite(plan, ctx))
}

/// An aggregation down to the scan, everything over the scan's columns.
struct Aggregation {
    source: Arc<dyn TableSource>,
    columns: Vec<String>,
    filters: Vec<BoundExpr>,
    keys: Vec<BoundExpr>,
    aggregates: Vec<BoundAggregate>,
}

fn rewrite(plan: Plan, ctx: &QueryContext) -> Plan {
    let found = match trivial_count::known(&plan) {
        Some(_) => None,
        None => Aggregation::of(&plan).and_then(|a| a.best(ctx)),
    };
    let Some((scan, keys, merges)) = found else { return plan };
    let Plan { node, schema } = plan;
    let PlanNode::Aggregate { grouping_sets, rows_of_nothing, with_totals, groups_max, .. } = node
    else {
        return Plan { node, schema };
    };
    let node = PlanNode::Aggregate {
        input: Box::new(scan),
        keys,
        aggregates: merges,
        grouping_sets,
        rows_of_nothing,
        with_totals,
        groups_max,
    };
    Plan { node, schema }
}

type Replacement = (Plan, Vec<BoundExpr>, Vec<BoundAggregate>);

impl Aggregation {
    fn of(plan: &Plan) -> Option<Aggregation> {
        let PlanNode::Aggregate { input, keys, aggregates, .. } = &plan.node else { return None };
        let mut below: &Plan = input;
        let mut exprs: Vec<BoundExpr> = keys.clone();
        exprs.extend(aggregates.iter().flat_map(|a| a.arguments.iter().cloned()));
        let own = exprs.len();
        // Filters follow behind as they are met.
        let (source, columns) = loop {
            match &below.node {
                PlanNode::Project { input, exprs: own } => {
                    exprs.iter_mut().for_each(|e| replace_columns(e, &|i| own.get(i).cloned()));
                    below = input;
                }
                PlanNode::Filter { input, predicate } => {
                    exprs.push(predicate.clone());
                    below = input;
                }
                PlanNode::Scan {
                    source,
                    columns,
                    conditions,
                    prewhere,
                    final_,
                    sample: None,
                    hints,
                } if conditions.is_empty()
                    && hints.opened.is_none()
                    && !(*final_ && source.has_final()) =>
                {
                    exprs.extend(prewhere.iter().cloned());
                    break (source, columns);
                }
                _ => return None,
            }
        };
        if source.projections().is_empty() || exprs.iter().any(is_volatile) {
            return None;
        }
        let filters = exprs.split_off(own);
        let mut arguments = exprs.split_off(keys.len()).into_iter();
        let aggregates = aggregates.iter().map(|a| BoundAggregate {
            function: a.function.clone(),
            arguments: arguments.by_ref().take(a.arguments.len()).collect(),
        });
        Some(Aggregation {
            source: source.clone(),
            columns: columns.clone(),
            filters,
            keys: exprs,
            aggregates: aggregates.collect(),
        })
    }

    /// What reads the fewest rows, if that is not the table itself.
    fn best(&self, ctx: &QueryContext) -> Option<Replacement> {
        let preferred = ctx.settings.get("preferred_optimize_projection_name").unwrap_or_default();
        let forced = ctx.settings.bool("force_optimize_projection", false);
        let mut least = match forced {
            true => u64::MAX,
            false => self.rows_of(self.source.as_ref(), &self.columns, &self.filters, ctx)?,
        };
        let mut best = None;
        for (name, projection) in self.source.projections() {
            let Some(bound) = projection.as_any().downcast_ref::<BoundProjection>() else {
                continue;
            };
            let Some(fitted) = self.fit(&name, bound, ctx) else { continue };
            let (source, columns) = (fitted.source.as_ref(), fitted.columns());
            let Some(rows) = self.rows_of(source, &columns, &fitted.filters, ctx) else {
                continue;
            };
            if name == preferred {
                return Some(fitted.replacement());
            }
            if rows < least {
                (least, best) = (rows, Some(fitted));
            }
        }
        best.map(Fitted::replacement)
    }

    /// Rows that a scan with these filters reads; None if it cannot be opened.
    fn rows_of(
        &self,
        source: &dyn TableSource,
        columns: &[String],
        filters: &[BoundExpr],
        ctx: &QueryContext,
    ) -> Option<u64> {
        let types = source.columns();
        let schema: Vec<(String, DataType)> = columns
            .iter()
            .filter_map(|name| types.iter().find(|c| c.name == *name))
            .map(|c| (c.name.clone(), c.data_type.clone()))
            .collect();
        let mut parts = vec![];
        filters.iter().for_each(|f| conjuncts(f.clone(), &mut parts));
        let keys = source.pruning_keys();
        let (conditions, predicate) = filter_conditions(&parts, &schema, &keys, ctx);
        let mut settings = Settings::default();
        settings.set("optimize_use_projections", "0");
        let open = source.scan_where(columns, &conditions, &predicate, &settings).ok()?;
        let morsels = open.morsel_count()?;
        (0..morsels).map(|i| open.rows_hint(i).map(|rows| rows as u64)).sum()
    }

    /// The aggregation over the projection's columns.
    fn fit(&self, name: &str, projection: &BoundProjection, ctx: &QueryContext) -> Option<Fitted> {
        let own = projection.aggregates.as_ref()?;
        let source = self.source.projection_source(name)?;
        let inputs = projection.input_names();
        // Inputs that the scan does not read stand where no column of it does.
        let place = |i: usize| {
            let name = inputs.get(i);
            let at = self.columns.iter().position(|c| Some(c) == name);
            at.unwrap_or(self.columns.len() + i)
        };
        let moved = |expr: &BoundExpr| {
            let mut expr = expr.clone();
            renumber(&mut expr, &place);
            expr
        };
        let keys: Vec<BoundExpr> = projection.exprs.iter().map(moved).collect();
        let plain = ctx.time_zone != TimeZone::UTC;
        let known: HashMap<u128, usize> = keys
            .iter()
            .enumerate()
            .filter(|(_, k)| !plain || matches!(k, BoundExpr::Column { .. }))
            .map(|(i, k)| (key(k), i))
            .collect();
        let states: Vec<BoundAggregate> = own
            .iter()
            .map(|a| BoundAggregate {
                function: a.function.clone(),
                arguments: a.arguments.iter().map(moved).collect(),
            })
            .collect();
        let over = |exprs: &[BoundExpr]| {
            exprs.iter().map(|e| over_keys(e, &known, &keys)).collect::<Option<Vec<_>>>()
        };
        let merges = self.aggregates.iter().map(|a| {
            let computed = |e: &BoundExpr| !matches!(e, BoundExpr::Column { .. });
            if plain && a.arguments.iter().any(computed) {
                return None;
            }
            let at = states.iter().position(|s| same_aggregate(s, a))?;
            let state = column(keys.len() + at, &states[at].function.state_type());
            let function = aggregates::merging(&states[at].function);
            Some(BoundAggregate { function, arguments: vec![state] })
        });
        Some(Fitted {
            keys: over(&self.keys)?,
            filters: over(&self.filters)?,
            merges: merges.collect::<Option<Vec<_>>>()?,
            source,
        })
    }
}

/// An aggregation over a projection.
struct Fitted {
    source: Arc<dyn TableSource>,
    filters: Vec<BoundExpr>,
    keys: Vec<BoundExpr>,
    merges: Vec<BoundAggregate>,
}

impl Fitted {
    fn columns(&self) -> Vec<String> {
        self.source.columns().iter().map(|c| c.name.clone()).collect()
    }

    fn replacement(self) -> Replacement {
        let columns = self.columns();
        let schema =
            self.source.columns().iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let scan = PlanNode::Scan {
            source: self.source,
            columns,
            conditions: vec![],
            prewhere: None,
            final_: false,
            sample: None,
            hints: Box::new(ScanHints::default()),
        };
        (filtered(Plan { node: scan, schema }, self.filters), self.keys, self.merges)
    }
}

/// `expr` with what is a key of the projection replaced by its column; None if anything else of the
/// table is read.
fn over_keys(
    expr: &BoundExpr,
    known: &HashMap<u128, usize>,
    keys: &[BoundExpr],
) -> Option<BoundExpr> {
    if let Some(at) = known.get(&key(expr)) {
        return Some(column(*at, &keys[*at].data_type()));
    }
    Some(match expr {
        BoundExpr::Column { .. } => return None,
        BoundExpr::Constant { .. }
        | BoundExpr::LambdaParameter { .. }
        | BoundExpr::Scalar { .. } => expr.clone(),
        BoundExpr::Call { function, arguments, data_type } => BoundExpr::Call {
            function: function.clone(),
            arguments: arguments
                .iter()
                .map(|a| over_keys(a, known, keys))
                .collect::<Option<Vec<_>>>()?,
            data_type: data_type.clone(),
        },
        BoundExpr::Lambda { parameters, body } => BoundExpr::Lambda {
            parameters: parameters.clone(),
            body: Box::new(over_keys(body, known, keys)?),
        },
        BoundExpr::InSet { expr, set, negated } => BoundExpr::InSet {
            expr: Box::new(over_keys(expr, known, keys)?),
            set: set.clone(),
            negated: *negated,
        },
    })
}
