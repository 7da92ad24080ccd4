//! Correlated subqueries: those whose WHERE compares with columns of the query around them.
//!
//! The comparisons are taken out of the subquery, which then runs once for all outer rows. With
//! equalities alone, EXISTS and IN become `(outer…) IN (SELECT inner…)`; a scalar subquery is grouped by
//! the inner sides and joined (a [`Lookup`]). Other comparisons become the join's residual, for EXISTS.
//! Outer columns elsewhere than in the subquery's own WHERE are refused.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pumphouse_storage::{DataType, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::Binder;
use super::aggregation::Grouping;
use super::in_set::{column_expr, element_types};
use super::join::conjuncts;
use super::place::{Available, place, place_all};
use super::scope::Scope;
use super::select::{Clauses, Stage};
use super::star::Item;
use super::subquery::scalar_type;
use super::tree::{self, Has, Kind, Lookup, Node, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::promote::common_type;
use crate::plan::{JoinNode, Plan, PlanNode, PlannedSet, SetSource};
use crate::sql::ast::{JoinKind, JoinStrictness, Query, QueryBody, Select};

/// What a subquery is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Scalar,
    Exists,
    In,
}

/// How one subquery hangs on the query around it.
pub(super) struct Correlation {
    /// The subquery's own SELECT.
    select: *const Select,
    purpose: Use,
    /// Keys of the outer columns that were met.
    outer: HashSet<u128>,
    /// Equalities: the outer side, and where the inner side stands in `outputs`.
    equal: Vec<(Tree, usize)>,
    /// Other comparisons, over outer columns and `outputs`.
    residual: Vec<Tree>,
    /// What the subquery yields behind its own columns.
    outputs: Vec<Tree>,
}

impl Binder<'_> {
    /// Binds a subquery; the correlation is None if it reads no outer columns.
    pub(super) fn correlated_query(
        &self,
        query: &Query,
        scope: &Scope,
        purpose: Use,
    ) -> Result<(Plan, Option<Correlation>)> {
        let select = match &query.body {
            QueryBody::Select(select) => std::ptr::from_ref::<Select>(select),
            QueryBody::SetOperation { .. } => std::ptr::null(),
        };
        self.correlations.borrow_mut().push(Correlation {
            select,
            purpose,
            outer: HashSet::new(),
            equal: vec![],
            residual: vec![],
            outputs: vec![],
        });
        let plan = self.query(query, Some(scope));
        let correlation = self.correlations.borrow_mut().pop();
        let plan = plan?;
        let correlated = |c: &Correlation| !c.equal.is_empty() || !c.residual.is_empty();
        Ok((plan, correlation.filter(correlated)))
    }

    /// Remembers columns of an outer query; false if no subquery here may read them.
    pub(super) fn note_outer(&self, tree: &Tree) -> bool {
        let plain = Has { column: true, volatile: tree.has.volatile, ..Has::default() };
        let mut correlations = self.correlations.borrow_mut();
        let Some(correlation) = correlations.last_mut() else { return false };
        if tree.has != plain {
            return false;
        }
        let mut columns = vec![];
        tree::collect(tree, &is_column, &mut columns);
        correlation.outer.extend(columns.iter().map(|c| c.key));
        true
    }

    /// Takes the comparisons with outer columns out of the filters of a correlated SELECT.
    pub(super) fn correlate(&self, select: &Select, clauses: &mut Clauses) -> Result<()> {
        let mut correlations = self.correlations.borrow_mut();
        let Some(correlation) = correlations.last_mut() else { return Ok(()) };
        if correlation.outer.is_empty() || !std::ptr::eq(correlation.select, select) {
            return Ok(());
        }
        let mut parts = vec![];
        clauses.filters.iter().for_each(|f| conjuncts(f, &mut parts));
        let (correlated, own): (Vec<Tree>, Vec<Tree>) =
            parts.into_iter().partition(|p| correlation.reads_outer(p));
        clauses.filters = own;
        for part in correlated {
            correlation.add(part);
        }
        correlation.finish(clauses)
    }

    /// `(outer…) IN (SELECT inner…)`, never NULL; or a lookup if there is more to compare.
    pub(super) fn correlated_exists(&self, plan: Plan, correlation: Correlation) -> Result<Tree> {
        if !correlation.residual.is_empty() {
            let found = self.lookup(plan, correlation, DataType::UInt8)?;
            return self.make_call("isNotNull", vec![found]);
        }
        let keys: Vec<usize> = correlation.equal.iter().map(|(_, i)| i + 1).collect();
        let outer = correlation.equal.into_iter().map(|(outer, _)| outer).collect();
        let found = self.in_columns(outer, plan, &keys, false)?;
        if !found.data_type.is_nullable() {
            return Ok(found);
        }
        let zero = tree::constant(Value::UInt(0), DataType::UInt8);
        self.make_call("ifNull", vec![found, zero])
    }

    /// `x IN (SELECT y … WHERE inner = outer)` as `(x, outer) IN (SELECT y, inner …)`.
    pub(super) fn correlated_in(
        &self,
        left: Tree,
        plan: Plan,
        correlation: Correlation,
        negated: bool,
    ) -> Result<Tree> {
        if !correlation.residual.is_empty() {
            return Err(unsupported());
        }
        let width = plan.schema.len() - correlation.outputs.len();
        let mut outer = match &left.kind {
            Kind::Call { function, arguments } if function.name() == "tuple" && width > 1 => {
                arguments.clone()
            }
            _ if width == 1 => vec![left],
            _ => return Err(unsupported()),
        };
        if outer.len() != width {
            return Err(Error::new(
                codes::NUMBER_OF_COLUMNS_DOESNT_MATCH,
                format!(
                    "Number of columns in section IN doesn't match. {} at left, {width} at right.",
                    outer.len()
                ),
            ));
        }
        let mut keys: Vec<usize> = (0..width).collect();
        for (tree, index) in correlation.equal {
            outer.push(tree);
            keys.push(width + index);
        }
        self.in_columns(outer, plan, &keys, negated)
    }

    /// The scalar subquery's value for a row; NULL if it has no row.
    pub(super) fn correlated_scalar(&self, plan: Plan, correlation: Correlation) -> Result<Tree> {
        if !correlation.residual.is_empty() {
            return Err(unsupported());
        }
        let width = plan.schema.len() - correlation.outputs.len();
        if width != 1 {
            return Err(unsupported());
        }
        let data_type = scalar_type(&plan.schema[..1])?;
        self.lookup(plan, correlation, data_type)
    }

    /// A row of outer trees in the set of the plan's columns `keys`.
    fn in_columns(
        &self,
        mut outer: Vec<Tree>,
        plan: Plan,
        keys: &[usize],
        negated: bool,
    ) -> Result<Tree> {
        let schema: Vec<(String, DataType)> =
            keys.iter().map(|i| plan.schema[*i].clone()).collect();
        let exprs = keys.iter().map(|i| column_expr(*i, &plan.schema[*i].1)).collect();
        let plan = Plan { node: PlanNode::Project { input: Box::new(plan), exprs }, schema };
        let types: Vec<DataType> = outer.iter().map(|o| o.data_type.inner().clone()).collect();
        let plan = self.set_plan(plan, &types)?;
        let left = match outer.len() {
            1 => outer.remove(0),
            _ => self.make_call("tuple", outer)?,
        };
        let set = PlannedSet {
            element_types: if types.len() == 1 { types } else { element_types(&left.data_type) },
            source: SetSource::Subquery(Box::new(plan)),
            built: OnceLock::new(),
        };
        let key = xxh3_128(&self.fresh().to_le_bytes());
        Ok(tree::in_set(left, Arc::new(set), negated, key))
    }

    fn lookup(&self, plan: Plan, correlation: Correlation, data_type: DataType) -> Result<Tree> {
        let (keys, places): (Vec<Tree>, Vec<usize>) = correlation.equal.into_iter().unzip();
        let before = plan.schema.clone();
        let (plan, keys) = self.same_key_types(plan, keys, &places)?;
        if plan.schema != before && !correlation.residual.is_empty() {
            return Err(unsupported());
        }
        let lookup = Lookup {
            plan: Mutex::new(Some(plan)),
            keys,
            right_keys: places.into_iter().map(|i| i + 1).collect(),
            residual: correlation.residual,
            outputs: correlation.outputs,
        };
        Ok(tree::lookup(lookup, data_type.or_null(), self.fresh()))
    }

    /// Outer keys and the plan's key columns as their common types.
    fn same_key_types(
        &self,
        plan: Plan,
        mut keys: Vec<Tree>,
        places: &[usize],
    ) -> Result<(Plan, Vec<Tree>)> {
        let mut schema = plan.schema.clone();
        for (key, place) in keys.iter_mut().zip(places) {
            let column = &mut schema[place + 1].1;
            let (own, other) = (key.data_type.inner().clone(), column.inner().clone());
            if own == other {
                continue;
            }
            let common = common_type(&[own, other])?;
            let as_common = |t: &DataType| match t.is_nullable() {
                true => common.or_null(),
                false => common.clone(),
            };
            *key = self.cast(key.clone(), &as_common(&key.data_type))?;
            *column = as_common(column);
        }
        if schema == plan.schema {
            return Ok((plan, keys));
        }
        let exprs = plan
            .schema
            .iter()
            .zip(&schema)
            .enumerate()
            .map(|(i, ((name, own), (_, want)))| self.cast_column(i, name, own, want))
            .collect::<Result<Vec<_>>>()?;
        let node = PlanNode::Project { input: Box::new(plan), exprs };
        Ok((Plan { node, schema }, keys))
    }
}

impl Correlation {
    fn reads_outer(&self, tree: &Tree) -> bool {
        let mut columns = vec![];
        tree::collect(tree, &is_column, &mut columns);
        columns.iter().any(|c| self.outer.contains(&c.key))
    }

    fn reads_inner(&self, tree: &Tree) -> bool {
        let mut columns = vec![];
        tree::collect(tree, &is_column, &mut columns);
        columns.iter().any(|c| !self.outer.contains(&c.key))
    }

    fn add(&mut self, part: Tree) {
        if let Kind::Call { function, arguments } = &part.kind
            && function.name() == "equals"
            && let [a, b] = arguments.as_slice()
        {
            let outer = |t: &Tree| self.reads_outer(t) && !self.reads_inner(t);
            let inner = |t: &Tree| !self.reads_outer(t);
            let pair = match () {
                _ if outer(a) && inner(b) => Some((a, b)),
                _ if outer(b) && inner(a) => Some((b, a)),
                _ => None,
            };
            if let Some((outer, inner)) = pair {
                let place = self.output(inner.clone());
                self.equal.push((outer.clone(), place));
                return;
            }
        }
        let mut columns = vec![];
        tree::collect(&part, &is_column, &mut columns);
        for column in columns {
            if !self.outer.contains(&column.key) {
                self.output(column);
            }
        }
        self.residual.push(part);
    }

    fn output(&mut self, tree: Tree) -> usize {
        match self.outputs.iter().position(|o| o.key == tree.key) {
            Some(at) => at,
            None => {
                self.outputs.push(tree);
                self.outputs.len() - 1
            }
        }
    }

    /// Makes the SELECT yield the inner sides too.
    fn finish(&self, clauses: &mut Clauses) -> Result<()> {
        if clauses.readers().iter().any(|t| self.reads_outer(t)) {
            return Err(unsupported());
        }
        let aggregated =
            clauses.grouping.is_some() || clauses.readers().iter().any(|t| t.has.aggregate);
        match self.purpose {
            Use::Exists => {
                // Which columns, how many and in what order does not matter.
                clauses.order.clear();
                clauses.limit = Default::default();
                clauses.limit_by = None;
                if aggregated {
                    return Err(unsupported());
                }
                let one = tree::constant(Value::UInt(1), DataType::UInt8);
                clauses.items = vec![Item { name: "found".into(), tree: one }];
            }
            _ if clauses.limit.limit.is_some() || clauses.limit.offset > 0 => {
                return Err(unsupported());
            }
            Use::Scalar | Use::In => {}
        }
        if aggregated {
            let grouping = clauses.grouping.get_or_insert_with(Grouping::default);
            if !grouping.sets.is_empty() {
                return Err(unsupported());
            }
            grouping.keys.extend(self.outputs.iter().cloned());
        }
        for (i, tree) in self.outputs.iter().enumerate() {
            clauses.items.push(Item { name: format!("correlated_{i}"), tree: tree.clone() });
        }
        Ok(())
    }
}

impl Stage {
    /// One join for every lookup in `trees` that is not there yet.
    pub(super) fn lookups(mut self, trees: &[Tree]) -> Result<Stage> {
        let mut calls = vec![];
        for tree in trees.iter().filter(|t| t.has.lookup) {
            let wanted = |n: &Node| matches!(n.kind, Kind::Lookup(_));
            super::aggregation::collect_outside(tree, &self.available, &wanted, &mut calls);
        }
        for call in calls {
            let Kind::Lookup(lookup) = &call.kind else { continue };
            let Some(right) = lookup.plan.lock().take() else { return Err(unsupported()) };
            self = self.looked_up(&call, lookup, right)?;
        }
        Ok(self)
    }

    fn looked_up(mut self, call: &Tree, lookup: &Lookup, right: Plan) -> Result<Stage> {
        let left_keys = place_all(&lookup.keys, &self.available).map_err(|_| unsupported())?;
        let right_keys =
            lookup.right_keys.iter().map(|i| column_expr(*i, &right.schema[*i].1)).collect();
        let width = self.plan.schema.len();
        let mut both: Available = self.available.clone();
        for (i, output) in lookup.outputs.iter().enumerate() {
            both.add(output, width + 1 + i);
        }
        let residual = lookup
            .residual
            .iter()
            .map(|r| place(r, &both).map_err(|_| unsupported()))
            .collect::<Result<Vec<_>>>()?;
        let mut schema = self.plan.schema.clone();
        schema.extend(right.schema.iter().map(|(n, t)| (n.clone(), t.or_null())));
        self.available.add(call, width);
        let node = PlanNode::Join(Box::new(JoinNode {
            left: self.plan,
            right,
            kind: JoinKind::Left,
            strictness: JoinStrictness::Any,
            left_keys,
            right_keys,
            asof: None,
            residual: crate::optimize::shape::conjunction(residual),
            use_nulls: true,
            unread: vec![],
            filters: vec![],
        }));
        self.plan = Plan { node, schema };
        Ok(self)
    }
}

fn is_column(node: &Node) -> bool {
    matches!(node.kind, Kind::Column { .. })
}

fn unsupported() -> Error {
    Error::new(
        codes::NOT_IMPLEMENTED,
        "Correlated subqueries are supported only with comparisons to outer columns in their WHERE",
    )
}
