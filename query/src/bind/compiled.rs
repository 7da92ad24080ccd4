//! Expressions that stand alone: defaults, VALUES, and the key expressions that storage has compiled
//! through its own trait.

use std::sync::Arc;

use pumphouse_storage::expression::{
    CompiledExpression, CompiledFold, CompiledGrouping, CompiledProjection, ExpressionCompiler,
};
use pumphouse_storage::{Block, Column, DataType};

use super::place::{Available, place};
use super::scope::{Scope, ScopeColumn};
use super::tree::{self, Kind, Tree};
use super::{Binder, on_stack};
use crate::aggregates;
use crate::catalog::{Catalog, TableSource};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::plan::BoundExpr;
use crate::sql;
use crate::sql::ast::Expr;

/// `expr` over `columns`, which are the columns of the block that it will be evaluated on. Scalar
/// only: no aggregates, windows, arrayJoin or subqueries that need tables.
pub fn bind_expression(
    expr: &Expr,
    columns: &[(String, DataType)],
    ctx: &Arc<QueryContext>,
) -> Result<BoundExpr> {
    on_stack(|depth_max| {
        let binder = Binder::new(&NoTables, ctx, false, depth_max);
        let (tree, available) = binder.alone(expr, columns)?;
        let misplaced = |_| {
            Error::new(
                codes::ILLEGAL_AGGREGATION,
                format!(
                    "Aggregate functions, window functions and arrayJoin are not allowed here: {}",
                    sql::format::expr(expr)
                ),
            )
        };
        place(&tree, &available).map_err(misplaced)
    })
}

impl Binder<'_> {
    fn alone(&self, expr: &Expr, columns: &[(String, DataType)]) -> Result<(Tree, Available)> {
        let mut available = Available::default();
        let mut known = vec![];
        for (index, (name, data_type)) in columns.iter().enumerate() {
            let tree = tree::column(self.fresh(), name.clone(), data_type.clone());
            available.add(&tree, index);
            known.push(ScopeColumn { name: name.clone(), tree, hidden: false });
        }
        let mut scope = Scope::of_columns(known);
        scope.aliases = super::aliases::of_expr(expr);
        Ok((self.expression(expr, &scope)?, available))
    }
}

/// A catalog without tables.
pub(crate) struct NoTables;

impl Catalog for NoTables {
    fn table(&self, _: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        Err(Error::new(
            codes::UNKNOWN_TABLE,
            format!("Unknown table expression identifier '{name}'"),
        ))
    }

    fn table_function(
        &self,
        name: &str,
        _: &[pumphouse_storage::Value],
        _: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        Err(Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown table function {name}")))
    }
}

/// Compiles key expressions for storage. A key must be deterministic.
pub struct SqlExpressions;

struct Compiled {
    expr: BoundExpr,
    inputs: Vec<String>,
    ctx: Arc<QueryContext>,
}

impl ExpressionCompiler for SqlExpressions {
    fn compile(
        &self,
        text: &str,
        columns: &[(String, DataType)],
    ) -> pumphouse_storage::Result<Arc<dyn CompiledExpression>> {
        compile(text, columns)
            .map(|c| Arc::new(c) as Arc<dyn CompiledExpression>)
            .map_err(to_storage)
    }

    fn fold(&self, data_type: &DataType) -> pumphouse_storage::Result<Arc<dyn CompiledFold>> {
        aggregates::state_fold(data_type).map_err(to_storage)
    }

    fn fold_maps(
        &self,
        data_types: &[DataType],
    ) -> pumphouse_storage::Result<Arc<dyn CompiledFold>> {
        aggregates::map_fold(data_types).map_err(to_storage)
    }

    fn group(
        &self,
        set: &[(String, String)],
        columns: &[(String, DataType)],
    ) -> pumphouse_storage::Result<Arc<dyn CompiledGrouping>> {
        super::grouping::grouping(set, columns).map_err(to_storage)
    }

    fn projection(
        &self,
        select: &str,
        columns: &[(String, DataType)],
    ) -> pumphouse_storage::Result<Arc<dyn CompiledProjection>> {
        super::projection::projection(select, columns).map_err(to_storage)
    }
}

fn compile(text: &str, columns: &[(String, DataType)]) -> Result<Compiled> {
    let parsed = sql::parse_expression(text)?;
    let ctx = Arc::new(QueryContext::new("", 0, 0));
    // Twice: the first tells which columns it reads, the second numbers those.
    let inputs = on_stack(|depth_max| {
        let binder = Binder::new(&NoTables, &ctx, false, depth_max);
        let (tree, _) = binder.alone(&parsed, columns)?;
        if tree.has.volatile {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("The expression {text} is not deterministic, which is not allowed here"),
            ));
        }
        let mut read = vec![];
        tree::collect(&tree, &|n| matches!(n.kind, Kind::Column { .. }), &mut read);
        Ok(read
            .iter()
            .filter_map(|t| match &t.kind {
                Kind::Column { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect::<Vec<String>>())
    })?;
    let own: Vec<(String, DataType)> =
        inputs.iter().filter_map(|name| columns.iter().find(|(n, _)| n == name).cloned()).collect();
    let expr = bind_expression(&parsed, &own, &ctx)?;
    Ok(Compiled { expr, inputs, ctx })
}

impl CompiledExpression for Compiled {
    fn result_type(&self) -> DataType {
        self.expr.data_type()
    }

    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn evaluate(&self, block: &Block) -> pumphouse_storage::Result<Column> {
        let mut own = Block::of_rows(block.rows());
        for name in &self.inputs {
            let column =
                block.column(name).ok_or_else(|| pumphouse_storage::Error::Expression {
                    code: codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    message: format!("Not found column {name} in block"),
                })?;
            own.push(name.clone(), column.clone());
        }
        crate::execute::evaluate(&self.expr, &own, &self.ctx).map_err(to_storage)
    }
}

pub(crate) fn to_storage(error: Error) -> pumphouse_storage::Error {
    match error {
        Error::Storage(e) => e,
        Error::Coded { code, message } => pumphouse_storage::Error::Expression { code, message },
    }
}
