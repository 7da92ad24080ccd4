//! Subqueries as values: scalar subqueries and EXISTS. They are run while binding, each once, and
//! stand in the plan as constants; when only analysing they stay [`BoundExpr::Scalar`].

use std::sync::{Arc, OnceLock};

use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Block, DataType, Value};

use super::Binder;
use super::correlated::Use;
use super::scope::Scope;
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, PlanNode, PlannedScalar};
use crate::sql;
use crate::sql::ast::{Call, ExprKind, Query};

/// The rows of a recursive common table expression's last step.
pub(super) struct WorkingTable {
    pub name: String,
    pub blocks: Vec<Block>,
    pub schema: Vec<(String, DataType)>,
}

impl Binder<'_> {
    pub(super) fn scalar_subquery(&self, query: &Query, scope: &Scope) -> Result<Tree> {
        let place = scope.enclosing_select().map_or(0, |s| std::ptr::from_ref(s) as usize);
        let key = (place, sql::format::query(query, false));
        if let Some(tree) = self.scalars.borrow().get(&key) {
            return Ok(tree.clone());
        }
        let (plan, correlation) = self.correlated_query(query, scope, Use::Scalar)?;
        if let Some(correlation) = correlation {
            let tree = self.correlated_scalar(plan, correlation)?;
            self.scalars.borrow_mut().insert(key, tree.clone());
            return Ok(tree);
        }
        let data_type = scalar_type(&plan.schema)?;
        let tree = if self.analyze_only {
            let subquery = PlannedScalar { plan, built: OnceLock::new() };
            tree::scalar(Arc::new(subquery), data_type, self.fresh())
        } else {
            let value = self.run_scalar(plan, &data_type)?;
            let data_type = if value.is_null() { null_row_type(data_type) } else { data_type };
            tree::constant(value, data_type)
        };
        self.scalars.borrow_mut().insert(key, tree.clone());
        Ok(tree)
    }

    /// `EXISTS (SELECT …)`.
    pub(super) fn exists(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let Some(ExprKind::Subquery(query)) = call.arguments.first().map(|a| &a.kind) else {
            return Err(Error::new(codes::BAD_ARGUMENTS, "EXISTS requires a subquery"));
        };
        let (plan, correlation) = self.correlated_query(query, scope, Use::Exists)?;
        if let Some(correlation) = correlation {
            return self.correlated_exists(plan, correlation);
        }
        if self.analyze_only {
            let subquery = PlannedScalar { plan, built: OnceLock::new() };
            return Ok(tree::scalar(Arc::new(subquery), DataType::UInt8, self.fresh()));
        }
        let rows = self.run(first_rows(plan, 1))?;
        let any = rows.iter().any(|b| b.rows() > 0);
        Ok(tree::constant(Value::UInt(any as u64), DataType::UInt8))
    }

    fn run(&self, plan: Plan) -> Result<Vec<Block>> {
        let plan = crate::optimize::optimize_in(plan, self.ctx)?;
        crate::execute::collect(&plan, self.ctx)
    }

    fn run_scalar(&self, plan: Plan, data_type: &DataType) -> Result<Value> {
        let width = plan.schema.len();
        let blocks = self.run(first_rows(plan, 2))?;
        let rows: usize = blocks.iter().map(Block::rows).sum();
        if rows > 1 {
            return Err(Error::new(
                codes::INCORRECT_RESULT_OF_SCALAR_SUBQUERY,
                "Scalar subquery returned more than one row",
            ));
        }
        match blocks.iter().find(|b| b.rows() == 1) {
            Some(block) if width == 1 => Ok(block.columns[0].value(0)),
            Some(block) => Ok(Value::Tuple(block.columns.iter().map(|c| c.value(0)).collect())),
            None if data_type.can_be_nullable() || data_type.is_nullable() => Ok(Value::Null),
            None => Err(Error::new(
                codes::INCORRECT_RESULT_OF_SCALAR_SUBQUERY,
                format!(
                    "Scalar subquery returned empty result of type {data_type} which cannot be Nullable"
                ),
            )),
        }
    }
}

fn first_rows(plan: Plan, rows: u64) -> Plan {
    let schema = plan.schema.clone();
    let node = PlanNode::Limit { input: Box::new(plan), limit: Some(rows), offset: 0, ties: None };
    Plan { node, schema }
}

/// The type of several columns if there is no row: NULL, without names.
fn null_row_type(data_type: DataType) -> DataType {
    match data_type {
        DataType::Tuple(mut elements) => {
            elements.iter_mut().for_each(|e| e.name = None);
            DataType::Tuple(elements).or_null()
        }
        other => other,
    }
}

/// One column: Nullable where that is possible, because there may be no row. Several: a named tuple.
pub(super) fn scalar_type(schema: &[(String, DataType)]) -> Result<DataType> {
    match schema {
        [] => Err(Error::new(
            codes::INCORRECT_RESULT_OF_SCALAR_SUBQUERY,
            "Scalar subquery returns no columns",
        )),
        [(_, data_type)] => Ok(data_type.inner().or_null()),
        several => Ok(DataType::Tuple(
            several
                .iter()
                .map(|(name, data_type)| TupleElement {
                    name: Some(name.clone()),
                    data_type: data_type.clone(),
                })
                .collect(),
        )),
    }
}
