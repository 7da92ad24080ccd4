//! Evaluates bound expressions over blocks. Constants stay constants as long as every argument is
//! one; lambdas see the outer block through gathered columns.
//!
//! What the functions themselves do is in `functions`; subqueries inside expressions were run before
//! (`subquery`).

use std::cell::OnceCell;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{BooleanArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use pumphouse_storage::{Block, Column, DataType, Value, flags};

use super::short_circuit::is_branching;
use super::{condition, set};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::functions::{self, Argument, LambdaBody};
use crate::plan::BoundExpr;

/// The values of `expr` for every row of `block`.
pub fn evaluate(expr: &BoundExpr, block: &Block, ctx: &QueryContext) -> Result<Column> {
    let frame = Frame {
        columns: Columns::Block(block),
        rows: block.rows(),
        parameters: vec![],
        ctx,
        shared: OnceCell::new(),
    };
    frame.full(expr)
}

/// The values of all of `exprs`.
pub(crate) fn evaluate_all(
    exprs: &[BoundExpr],
    block: &Block,
    ctx: &QueryContext,
) -> Result<Vec<Column>> {
    exprs.iter().map(|e| evaluate(e, block, ctx)).collect()
}

/// Rows of `block` where `predicate` holds (NULL does not).
pub(crate) fn evaluate_mask(
    predicate: &BoundExpr,
    block: &Block,
    ctx: &QueryContext,
) -> Result<BooleanArray> {
    let holds = match condition::holds(predicate, block, ctx)? {
        Some(holds) => holds,
        None => plain_mask(predicate, block, ctx)?,
    };
    Ok(BooleanArray::new(holds, None))
}

/// The same, of all rows at once.
pub(super) fn plain_mask(
    predicate: &BoundExpr,
    block: &Block,
    ctx: &QueryContext,
) -> Result<BooleanBuffer> {
    let frame = Frame {
        columns: Columns::Block(block),
        rows: block.rows(),
        parameters: vec![],
        ctx,
        shared: OnceCell::new(),
    };
    let argument = match frame.argument(predicate) {
        Err(_) if holds_nowhere(predicate) => return Ok(BooleanBuffer::new_unset(block.rows())),
        argument => argument?,
    };
    match argument {
        Argument::Constant(one) => {
            let holds = truth(&one)?.value(0);
            Ok(if holds {
                BooleanBuffer::new_set(block.rows())
            } else {
                BooleanBuffer::new_unset(block.rows())
            })
        }
        Argument::Column(column) => Ok(truth(&column)?.values().clone()),
        Argument::Lambda(_) => Err(lambda_misplaced()),
    }
}

/// Whether a part asks for an element of a set that has none, so that errors of the others do not matter.
fn holds_nowhere(predicate: &BoundExpr) -> bool {
    match predicate {
        BoundExpr::InSet { set, negated: false, .. } => set::is_empty(set),
        BoundExpr::Call { function, arguments, .. } if function.name() == "and" => {
            arguments.iter().any(holds_nowhere)
        }
        _ => false,
    }
}

/// Non-zero and not NULL, as a mask without NULLs.
pub(crate) fn truth(column: &Column) -> Result<BooleanArray> {
    let array = column.array.as_ref();
    macro_rules! nonzero {
        ($t:ty, $zero:expr) => {{
            let values = array.as_primitive::<$t>().values();
            BooleanBuffer::collect_bool(values.len(), |i| values[i] != $zero)
        }};
    }
    use arrow_schema::DataType as A;
    let values = match array.data_type() {
        A::UInt8 => flags::pack(array.as_primitive::<UInt8Type>().values()),
        A::UInt16 => nonzero!(UInt16Type, 0),
        A::UInt32 => nonzero!(UInt32Type, 0),
        A::UInt64 => nonzero!(UInt64Type, 0),
        A::Int8 => nonzero!(Int8Type, 0),
        A::Int16 => nonzero!(Int16Type, 0),
        A::Int32 => nonzero!(Int32Type, 0),
        A::Int64 => nonzero!(Int64Type, 0),
        A::Float32 => nonzero!(Float32Type, 0.0),
        A::Float64 => nonzero!(Float64Type, 0.0),
        A::Decimal128(..) => nonzero!(Decimal128Type, 0),
        _ => {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER,
                format!(
                    "Illegal type {} of column for filter. Must be UInt8 or Nullable(UInt8)",
                    column.data_type
                ),
            ));
        }
    };
    Ok(match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => BooleanArray::new(&values & nulls.inner(), None),
        _ => BooleanArray::new(values, None),
    })
}

fn lambda_misplaced() -> Error {
    Error::new(codes::LOGICAL_ERROR, "a lambda can only be an argument of a function")
}

/// The outer columns an expression may refer to.
pub(super) enum Columns<'a> {
    Block(&'a Block),
    /// Inside a lambda: the outer columns, repeated by outer row when asked for.
    Gathered {
        outer: &'a [Column],
        rows: UInt32Array,
    },
}

/// One evaluation: columns, lambda parameters (innermost last) and the row count.
pub(super) struct Frame<'a> {
    pub(super) columns: Columns<'a>,
    pub(super) rows: usize,
    pub(super) parameters: Vec<Vec<Column>>,
    pub(super) ctx: &'a QueryContext,
    /// A context that lambdas can own; made when the first lambda is met.
    pub(super) shared: OnceCell<Arc<QueryContext>>,
}

impl Frame<'_> {
    pub(super) fn full(&self, expr: &BoundExpr) -> Result<Column> {
        match self.argument(expr)? {
            Argument::Column(column) => Ok(column),
            Argument::Constant(one) => Ok(repeat(&one, self.rows)),
            Argument::Lambda(_) => Err(lambda_misplaced()),
        }
    }

    /// The way down; small frames, because expressions may nest by hundreds.
    pub(super) fn argument(&self, expr: &BoundExpr) -> Result<Argument> {
        match expr {
            BoundExpr::Call { function, arguments, data_type } => {
                self.call(function, arguments, data_type)
            }
            other => self.other(other),
        }
    }

    fn other(&self, expr: &BoundExpr) -> Result<Argument> {
        match expr {
            BoundExpr::Column { index, .. } => Ok(Argument::Column(self.column(*index)?)),
            BoundExpr::LambdaParameter { depth, index, .. } => {
                let level = self.parameters.len().checked_sub(depth + 1);
                let column = level.and_then(|l| self.parameters[l].get(*index));
                let column = column.ok_or_else(|| {
                    Error::new(codes::LOGICAL_ERROR, "lambda parameter outside of its lambda")
                })?;
                Ok(Argument::Column(column.clone()))
            }
            BoundExpr::Constant { value, data_type } => {
                Ok(Argument::Constant(Column::constant(data_type.clone(), value, 1)?))
            }
            BoundExpr::Call { function, arguments, data_type } => {
                self.call(function, arguments, data_type)
            }
            BoundExpr::Lambda { body, .. } => Ok(Argument::Lambda(Arc::new(self.lambda(body)?))),
            BoundExpr::InSet { expr: tested, set, negated } => {
                let result = expr.data_type();
                let tested = match self.argument(tested) {
                    // What has no counterpart among the keys is not among none either.
                    Err(e)
                        if e.code() == codes::CANNOT_CONVERT_TYPE
                            && !result.is_nullable()
                            && set::is_empty(set) =>
                    {
                        let value = Value::UInt(u64::from(*negated));
                        return Ok(Argument::Constant(Column::constant(result, &value, 1)?));
                    }
                    tested => tested?,
                };
                Ok(match tested {
                    Argument::Constant(one) => {
                        Argument::Constant(set::test(set, &one, *negated, &result, self.ctx)?)
                    }
                    Argument::Column(c) => {
                        Argument::Column(set::test(set, &c, *negated, &result, self.ctx)?)
                    }
                    Argument::Lambda(_) => return Err(lambda_misplaced()),
                })
            }
            BoundExpr::Scalar { subquery, data_type } => {
                let value = subquery.built.get().ok_or_else(|| {
                    Error::new(codes::LOGICAL_ERROR, "a scalar subquery has not been run")
                })?;
                Ok(Argument::Constant(Column::constant(data_type.clone(), value, 1)?))
            }
        }
    }

    fn call(
        &self,
        function: &Arc<dyn functions::ScalarFunction>,
        arguments: &[BoundExpr],
        data_type: &DataType,
    ) -> Result<Argument> {
        // A plain loop: an iterator's frames are deep.
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match self.argument(argument) {
                Ok(value) => values.push(value),
                Err(error) if is_branching(function.as_ref()) => {
                    return self.where_needed(function, arguments, data_type, error);
                }
                Err(error) => return Err(error),
            }
        }
        self.apply(function, &values, data_type)
    }

    pub(super) fn apply(
        &self,
        function: &Arc<dyn functions::ScalarFunction>,
        arguments: &[Argument],
        data_type: &DataType,
    ) -> Result<Argument> {
        let constant = function.deterministic()
            && !arguments.is_empty()
            && arguments.iter().all(|a| matches!(a, Argument::Constant(_)));
        let rows = if constant { 1 } else { self.rows };
        let column = functions::call(function, self.ctx, arguments, data_type, rows)?;
        Ok(if constant { Argument::Constant(column) } else { Argument::Column(column) })
    }

    fn column(&self, index: usize) -> Result<Column> {
        let missing =
            || Error::new(codes::LOGICAL_ERROR, format!("column {index} is not in the block"));
        match &self.columns {
            Columns::Block(block) => block.columns.get(index).cloned().ok_or_else(missing),
            Columns::Gathered { outer, rows } => {
                Ok(outer.get(index).ok_or_else(missing)?.take(rows))
            }
        }
    }

    fn lambda(&self, body: &BoundExpr) -> Result<Lambda> {
        let mut columns = match &self.columns {
            Columns::Block(block) => block.columns.clone(),
            Columns::Gathered { outer, rows } => {
                let mut used = vec![false; outer.len()];
                mark_columns(body, &mut used);
                // Those that the body does not touch stay as they are: they are never looked at.
                outer
                    .iter()
                    .zip(used)
                    .map(|(c, used)| if used { c.take(rows) } else { c.clone() })
                    .collect()
            }
        };
        let mut body = body.clone();
        self.compute_once(&mut body, &mut columns)?;
        let ctx = self.shared.get_or_init(|| Arc::new(own_context(self.ctx)));
        Ok(Lambda { body, columns, parameters: self.parameters.clone(), ctx: ctx.clone() })
    }

    /// What a lambda computes of outer columns alone is computed here, once a row and also where there
    /// are no elements, and becomes a column.
    fn compute_once(&self, body: &mut BoundExpr, columns: &mut Vec<Column>) -> Result<()> {
        let computed = matches!(body, BoundExpr::Call { .. } | BoundExpr::InSet { .. });
        if computed && of_columns_alone(body) {
            let index = columns.len();
            columns.push(self.full(body)?);
            *body = BoundExpr::Column { index, data_type: body.data_type() };
            return Ok(());
        }
        match body {
            BoundExpr::Call { arguments, .. } => {
                for argument in arguments {
                    self.compute_once(argument, columns)?;
                }
                Ok(())
            }
            BoundExpr::Lambda { body, .. } => self.compute_once(body, columns),
            BoundExpr::InSet { expr, .. } => self.compute_once(expr, columns),
            _ => Ok(()),
        }
    }
}

/// Whether `expr` reads columns and no parameter, and is the same whenever it is computed.
fn of_columns_alone(expr: &BoundExpr) -> bool {
    let (mut columns, mut others) = (false, false);
    walk(expr, &mut |e| match e {
        BoundExpr::Column { .. } => columns = true,
        BoundExpr::LambdaParameter { .. } => others = true,
        BoundExpr::Call { function, .. } => others |= !function.deterministic(),
        _ => {}
    });
    columns && !others
}

/// A copy of `ctx` for lambdas, which must own theirs; memory account and clock values are shared.
fn own_context(ctx: &QueryContext) -> QueryContext {
    let mut own = QueryContext::new(ctx.query_id.clone(), ctx.now_us, 0);
    own.user = ctx.user.clone();
    own.database = ctx.database.clone();
    own.settings = ctx.settings.clone();
    own.parameters = ctx.parameters.clone();
    own.time_zone = ctx.time_zone;
    own.started = ctx.started;
    own.deadline = ctx.deadline;
    own.memory = ctx.memory.clone();
    own
}

struct Lambda {
    body: BoundExpr,
    columns: Vec<Column>,
    parameters: Vec<Vec<Column>>,
    ctx: Arc<QueryContext>,
}

impl LambdaBody for Lambda {
    fn call(&self, parameters: &[Column], outer_rows: &[u32]) -> Result<Column> {
        let rows = UInt32Array::from(outer_rows.to_vec());
        let mut stack: Vec<Vec<Column>> = self
            .parameters
            .iter()
            .map(|level| level.iter().map(|c| c.take(&rows)).collect())
            .collect();
        stack.push(parameters.to_vec());
        let shared = OnceCell::new();
        let _ = shared.set(self.ctx.clone());
        let frame = Frame {
            columns: Columns::Gathered { outer: &self.columns, rows },
            rows: outer_rows.len(),
            parameters: stack,
            ctx: &self.ctx,
            shared,
        };
        frame.full(&self.body)
    }
}

/// `rows` copies of a one-row column.
pub(crate) fn repeat(one: &Column, rows: usize) -> Column {
    if rows == 1 { one.clone() } else { one.take(&UInt32Array::from(vec![0; rows])) }
}

/// Calls `visit` on `expr` and everything below it.
pub(crate) fn walk(expr: &BoundExpr, visit: &mut dyn FnMut(&BoundExpr)) {
    visit(expr);
    match expr {
        BoundExpr::Call { arguments, .. } => {
            for argument in arguments {
                walk(argument, visit);
            }
        }
        BoundExpr::Lambda { body, .. } => walk(body, visit),
        BoundExpr::InSet { expr, .. } => walk(expr, visit),
        BoundExpr::Column { .. }
        | BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}

/// Sets `used[i]` for every column `i` that `expr` reads.
pub(crate) fn mark_columns(expr: &BoundExpr, used: &mut [bool]) {
    walk(expr, &mut |e| {
        if let BoundExpr::Column { index, .. } = e
            && let Some(flag) = used.get_mut(*index)
        {
            *flag = true;
        }
    });
}

/// `expr` with column `i` read as column `places[i]`.
pub(crate) fn renumber(expr: &BoundExpr, places: &[usize]) -> BoundExpr {
    let mut expr = expr.clone();
    renumber_in_place(&mut expr, places);
    expr
}

fn renumber_in_place(expr: &mut BoundExpr, places: &[usize]) {
    match expr {
        BoundExpr::Column { index, .. } => *index = places[*index],
        BoundExpr::Call { arguments, .. } => {
            for argument in arguments {
                renumber_in_place(argument, places);
            }
        }
        BoundExpr::Lambda { body, .. } => renumber_in_place(body, places),
        BoundExpr::InSet { expr, .. } => renumber_in_place(expr, places),
        BoundExpr::LambdaParameter { .. }
        | BoundExpr::Constant { .. }
        | BoundExpr::Scalar { .. } => {}
    }
}
