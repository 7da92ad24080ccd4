//! Queries: one SELECT, or UNION / INTERSECT / EXCEPT of several, whose columns are matched by
//! position and brought to common types. Also the evaluation of recursive common table expressions.

use pumphouse_storage::{Block, DataType};

use super::Binder;
use super::scope::{Cte, Scope};
use super::subquery::WorkingTable;
use crate::error::{Error, Result, codes};
use crate::functions::promote::common_or_variant;
use crate::plan::{Plan, PlanNode};
use crate::sql;
use crate::sql::ast::*;

/// Steps that a recursive query may take (`max_recursive_cte_evaluation_depth`).
const RECURSION_STEPS_MAX: u64 = 1000;

impl Binder<'_> {
    /// The plan of `query`; names that it does not know are looked for in `parent`.
    pub(super) fn query(&self, query: &Query, parent: Option<&Scope>) -> Result<Plan> {
        let _level = self.enter()?;
        let own = self.enter_settings(query);
        let plan = match &query.body {
            QueryBody::Select(select) => self.select(select, parent)?,
            QueryBody::SetOperation { operator, quantifier, inputs } => {
                let plans =
                    inputs.iter().map(|q| self.query(q, parent)).collect::<Result<Vec<Plan>>>()?;
                self.set_operation(*operator, *quantifier, plans, query)?
            }
        };
        Ok(match own {
            Some(own) => own.limited(plan),
            None => plan,
        })
    }

    fn set_operation(
        &self,
        operator: SetOperator,
        quantifier: SetQuantifier,
        plans: Vec<Plan>,
        query: &Query,
    ) -> Result<Plan> {
        let distinct = self.is_distinct(operator, quantifier, query)?;
        let plans = self.same_schema(operator, plans)?;
        let schema = plans[0].schema.clone();
        if operator == SetOperator::Union {
            let plan = Plan { node: PlanNode::UnionAll { inputs: plans }, schema: schema.clone() };
            if !distinct {
                return Ok(plan);
            }
            let node = PlanNode::Distinct { input: Box::new(plan), keys: vec![], limit: None };
            return Ok(Plan { node, schema });
        }
        let except = operator == SetOperator::Except;
        let mut plans = plans.into_iter();
        let Some(mut left) = plans.next() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "a set operation has inputs"));
        };
        for right in plans {
            let node = PlanNode::SetOperation {
                left: Box::new(left),
                right: Box::new(right),
                except,
                all: !distinct,
            };
            left = Plan { node, schema: schema.clone() };
        }
        Ok(left)
    }

    fn is_distinct(
        &self,
        operator: SetOperator,
        quantifier: SetQuantifier,
        query: &Query,
    ) -> Result<bool> {
        let setting = match operator {
            SetOperator::Union => "union_default_mode",
            SetOperator::Intersect => "intersect_default_mode",
            SetOperator::Except => "except_default_mode",
        };
        match quantifier {
            SetQuantifier::All => Ok(false),
            SetQuantifier::Distinct => Ok(true),
            SetQuantifier::Default => {
                match self.setting(|s| s.get(setting).unwrap_or("").to_string()).as_str() {
                    mode if mode.eq_ignore_ascii_case("DISTINCT") => Ok(true),
                    mode if mode.eq_ignore_ascii_case("ALL") => Ok(false),
                    _ if operator != SetOperator::Union => Ok(false),
                    _ => Err(Error::new(
                        codes::EXPECTED_ALL_OR_DISTINCT,
                        format!(
                            "Expected ALL or DISTINCT after UNION. Write `UNION ALL` to keep duplicate rows \
                         or `UNION DISTINCT` to remove them, or set `union_default_mode` to choose what a \
                         bare UNION means: While processing {}",
                            sql::format::query(query, false)
                        ),
                    )),
                }
            }
        }
    }

    /// All plans with the first one's names and common types.
    fn same_schema(&self, operator: SetOperator, plans: Vec<Plan>) -> Result<Vec<Plan>> {
        let width = plans[0].schema.len();
        if let Some(other) = plans.iter().find(|p| p.schema.len() != width) {
            let what = match operator {
                SetOperator::Union => "UNION_ALL",
                SetOperator::Intersect => "INTERSECT",
                SetOperator::Except => "EXCEPT",
            };
            let names =
                |p: &Plan| p.schema.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>().join(", ");
            return Err(Error::new(
                codes::UNION_ALL_RESULT_STRUCTURES_MISMATCH,
                format!(
                    "Different number of columns in {what} elements: {} and {}",
                    names(&plans[0]),
                    names(other)
                ),
            ));
        }
        let mut schema = vec![];
        for i in 0..width {
            let types: Vec<DataType> = plans.iter().map(|p| p.schema[i].1.clone()).collect();
            let same = types.iter().all(|t| *t == types[0]);
            let data_type = if same { types[0].clone() } else { common_or_variant(&types)? };
            schema.push((plans[0].schema[i].0.clone(), data_type));
        }
        plans.into_iter().map(|p| self.as_schema(p, &schema)).collect()
    }

    fn as_schema(&self, mut plan: Plan, schema: &[(String, DataType)]) -> Result<Plan> {
        if plan.schema.iter().zip(schema).all(|((_, a), (_, b))| a == b) {
            plan.schema = schema.to_vec();
            return Ok(plan);
        }
        let exprs = plan
            .schema
            .iter()
            .zip(schema)
            .enumerate()
            .map(|(i, ((name, own), (_, want)))| self.cast_column(i, name, own, want))
            .collect::<Result<Vec<_>>>()?;
        let node = PlanNode::Project { input: Box::new(plan), exprs };
        Ok(Plan { node, schema: schema.to_vec() })
    }

    /// The rows so far of the recursive common table expression `name`, while it is evaluated.
    pub(super) fn working_rows(&self, name: &str) -> Option<Plan> {
        let working = self.working.borrow();
        let table = working.iter().rev().find(|w| w.name == name)?;
        let node = PlanNode::Blocks(table.blocks.clone());
        Some(Plan { node, schema: table.schema.clone() })
    }

    /// `WITH RECURSIVE r AS (base UNION ALL step)`: evaluated here, step by step, into blocks. None if
    /// the query has not that form.
    pub(super) fn recursive(&self, cte: Cte, scope: &Scope) -> Result<Option<Plan>> {
        let QueryBody::SetOperation { operator: SetOperator::Union, quantifier, inputs } =
            &cte.query.body
        else {
            return Ok(None);
        };
        let (base, steps): (Vec<&Query>, Vec<&Query>) =
            inputs.iter().partition(|q| !mentions(q, cte.name));
        if base.is_empty() || steps.is_empty() {
            return Ok(None);
        }
        let distinct = *quantifier == SetQuantifier::Distinct;
        let schema = self.recursive_schema(cte, &base, &steps, scope)?;
        if self.analyze_only {
            // Nobody runs it: it shows what is read.
            let mut inputs: Vec<Plan> =
                base.iter().map(|q| self.query(q, Some(scope))).collect::<Result<_>>()?;
            let bind = || steps.iter().map(|q| self.query(q, Some(scope))).collect::<Result<_>>();
            let stepped: Vec<Plan> = self.with_working(cte.name, vec![], &schema, bind)?;
            inputs.extend(stepped);
            return Ok(Some(Plan { node: PlanNode::UnionAll { inputs }, schema }));
        }
        let blocks = self.recurse(cte, &base, &steps, &schema, distinct, scope)?;
        Ok(Some(Plan { node: PlanNode::Blocks(blocks), schema }))
    }

    /// Types settle when a step over them yields them again.
    fn recursive_schema(
        &self,
        cte: Cte,
        base: &[&Query],
        steps: &[&Query],
        scope: &Scope,
    ) -> Result<Vec<(String, DataType)>> {
        let bind = |queries: &[&Query]| {
            queries.iter().map(|q| self.query(q, Some(scope))).collect::<Result<Vec<Plan>>>()
        };
        let mut schema = self.same_schema(SetOperator::Union, bind(base)?)?[0].schema.clone();
        for (column, name) in schema.iter_mut().zip(cte.columns) {
            column.0 = name.clone();
        }
        for _ in 0..8 {
            let stepped = self.with_working(cte.name, vec![], &schema, || bind(steps))?;
            let seed = Plan { node: PlanNode::Blocks(vec![]), schema: schema.clone() };
            let all = std::iter::once(seed).chain(stepped).collect();
            let wider = self.same_schema(SetOperator::Union, all)?[0].schema.clone();
            if wider == schema {
                break;
            }
            schema = wider;
        }
        Ok(schema)
    }

    fn recurse(
        &self,
        cte: Cte,
        base: &[&Query],
        steps: &[&Query],
        schema: &[(String, DataType)],
        distinct: bool,
        scope: &Scope,
    ) -> Result<Vec<Block>> {
        let run = |queries: &[&Query]| -> Result<Vec<Block>> {
            let plans = queries
                .iter()
                .map(|q| self.as_schema(self.query(q, Some(scope))?, schema))
                .collect::<Result<Vec<Plan>>>()?;
            let node = PlanNode::UnionAll { inputs: plans };
            let mut plan = Plan { node, schema: schema.to_vec() };
            if distinct {
                let node = PlanNode::Distinct { input: Box::new(plan), keys: vec![], limit: None };
                plan = Plan { node, schema: schema.to_vec() };
            }
            let plan = crate::optimize::optimize_in(plan, self.ctx)?;
            crate::execute::collect(&plan, self.ctx)
        };
        let steps_max =
            self.setting(|s| s.u64("max_recursive_cte_evaluation_depth", RECURSION_STEPS_MAX));
        let mut all: Vec<Block> = run(base)?;
        let mut last = all.clone();
        let mut step = 0;
        let mut bytes = 0;
        while last.iter().any(|b| b.rows() > 0) {
            self.ctx.check()?;
            step += 1;
            if step > steps_max {
                return Err(Error::new(
                    codes::TOO_DEEP_RECURSION,
                    format!("Maximum recursive CTE evaluation depth ({steps_max}) exceeded"),
                ));
            }
            last = self.with_working(cte.name, last, schema, || run(steps))?;
            bytes += last.iter().map(Block::memory_bytes).sum::<usize>();
            drop(self.ctx.memory.reserve(bytes)?);
            all.extend(last.iter().cloned());
        }
        Ok(all)
    }

    fn with_working<T>(
        &self,
        name: &str,
        blocks: Vec<Block>,
        schema: &[(String, DataType)],
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let table = WorkingTable { name: name.to_string(), blocks, schema: schema.to_vec() };
        self.working.borrow_mut().push(table);
        let done = run();
        self.working.borrow_mut().pop();
        done
    }
}

/// Whether a query reads the table `name` in some FROM.
fn mentions(query: &Query, name: &str) -> bool {
    match &query.body {
        QueryBody::Select(select) => select.from.as_ref().is_some_and(|t| reads(t, name)),
        QueryBody::SetOperation { inputs, .. } => inputs.iter().any(|q| mentions(q, name)),
    }
}

fn reads(table: &TableExpr, name: &str) -> bool {
    match table {
        TableExpr::Table { database: None, name: own, .. } => own == name,
        TableExpr::Table { .. } | TableExpr::Function { .. } => false,
        TableExpr::Subquery { query, .. } => mentions(query, name),
        TableExpr::Join(join) => reads(&join.left, name) || reads(&join.right, name),
        TableExpr::ArrayJoin { input, .. } => reads(input, name),
    }
}
