//! Arguments of `if`, `multiIf`, `and` and `or` that only some rows need.
//!
//! All arguments are computed for all rows first: that is fast, and most never fail. When one does, they
//! are computed again, each for the rows that need it, as ClickHouse does it from the start
//! (`short_circuit_function_evaluation`). There, cheap arithmetic is computed for all rows nevertheless,
//! so that its errors count here, too.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow_array::UInt32Array;
use pumphouse_storage::{Column, DataType};

use super::expression::{Columns, Frame, truth};
use crate::error::{Error, Result, codes};
use crate::functions::{Argument, ScalarFunction};
use crate::plan::BoundExpr;

/// Functions that are too cheap to be left out for some rows.
const CHEAP: &[&str] = &[
    "abs",
    "bitAnd",
    "bitCount",
    "bitNot",
    "bitOr",
    "bitRotateLeft",
    "bitRotateRight",
    "bitShiftLeft",
    "bitShiftRight",
    "bitTest",
    "bitXor",
    "equals",
    "gcd",
    "greater",
    "greaterOrEquals",
    "greatest",
    "isDistinctFrom",
    "isNotDistinctFrom",
    "lcm",
    "least",
    "less",
    "lessOrEquals",
    "minus",
    "multiply",
    "negate",
    "not",
    "notEquals",
    "plus",
    "repeat",
    "sign",
    "xor",
];

/// Functions that are cheap where the divisor is a constant.
const DIVISIONS: &[&str] = &["divide", "intDiv", "modulo", "positiveModulo"];

/// Functions that need some of their arguments for some rows only.
const BRANCHING: &[&str] = &["if", "multiIf", "and", "or"];

pub(super) fn is_branching(function: &dyn ScalarFunction) -> bool {
    BRANCHING.contains(&function.name())
}

impl Frame<'_> {
    /// The call, after `error` came of computing its arguments for all rows.
    #[inline(never)]
    pub(super) fn where_needed(
        &self,
        function: &Arc<dyn ScalarFunction>,
        arguments: &[BoundExpr],
        data_type: &DataType,
        error: Error,
    ) -> Result<Argument> {
        let wanted = self.ctx.settings.get("short_circuit_function_evaluation");
        if wanted == Some("disable") || is_limit(&error) {
            return Err(error);
        }
        let values = match function.name() {
            name @ ("and" | "or") => self.connected(arguments, name == "and")?,
            _ => self.branches(arguments)?,
        };
        self.apply(function, &values, data_type)
    }

    /// Conditions for the rows that none before held for, branches for those that their condition chooses.
    fn branches(&self, arguments: &[BoundExpr]) -> Result<Vec<Argument>> {
        let mut open = vec![true; self.rows];
        let mut values = Vec::with_capacity(arguments.len());
        for pair in arguments.chunks(2) {
            let [condition, branch] = pair else {
                values.push(self.on_rows(&pair[0], &open)?);
                break;
            };
            let condition = self.on_rows(condition, &open)?;
            let holds = self.truths(&condition)?;
            let chosen: Vec<bool> = open.iter().zip(&holds).map(|(o, h)| *o && *h).collect();
            values.push(condition);
            values.push(self.on_rows(branch, &chosen)?);
            open.iter_mut().zip(&holds).for_each(|(o, h)| *o &= !h);
        }
        Ok(values)
    }

    /// Each argument for the rows that those before did not decide.
    fn connected(&self, arguments: &[BoundExpr], and: bool) -> Result<Vec<Argument>> {
        let mut open = vec![true; self.rows];
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let value = self.on_rows(argument, &open)?;
            let holds = self.truths(&value)?;
            for (row, open) in open.iter_mut().enumerate() {
                *open &= is_null(&value, row) || holds[row] == and;
            }
            values.push(value);
        }
        Ok(values)
    }

    /// `expr` for the rows that are `needed`; the type's default for others.
    fn on_rows(&self, expr: &BoundExpr, needed: &[bool]) -> Result<Argument> {
        if needed.iter().all(|n| *n) {
            return self.argument(expr);
        }
        self.compute_cheap(expr)?;
        let rows: Vec<u32> = (0..self.rows as u32).filter(|r| needed[*r as usize]).collect();
        let default = Column::default_values(expr.data_type(), 1);
        if rows.is_empty() {
            return Ok(Argument::Constant(default));
        }
        let own = self.of_rows(UInt32Array::from(rows)).full(expr)?;
        let mut next = 0;
        let places = needed.iter().map(|needed| {
            next += u32::from(*needed);
            if *needed { next } else { 0 }
        });
        let places = UInt32Array::from(places.collect::<Vec<u32>>());
        Ok(Argument::Column(Column::concat(&[default, own])?.take(&places)))
    }

    /// The frame with some of its rows.
    fn of_rows(&self, rows: UInt32Array) -> Frame<'_> {
        let taken = |level: &Vec<Column>| level.iter().map(|c| c.take(&rows)).collect();
        let parameters = self.parameters.iter().map(taken).collect();
        let count = rows.len();
        let columns = match &self.columns {
            Columns::Block(block) => Columns::Gathered { outer: &block.columns, rows },
            Columns::Gathered { outer, rows: of_outer } => {
                let rows = rows.values().iter().map(|r| of_outer.value(*r as usize));
                Columns::Gathered { outer, rows: rows.collect::<Vec<u32>>().into() }
            }
        };
        Frame { columns, rows: count, parameters, ctx: self.ctx, shared: OnceCell::new() }
    }

    /// Computes what is cheap in `expr` for all rows, for its errors.
    fn compute_cheap(&self, expr: &BoundExpr) -> Result<()> {
        match expr {
            BoundExpr::Call { .. } if !can_wait(expr) => self.argument(expr).map(drop),
            BoundExpr::Call { arguments, .. } => {
                arguments.iter().try_for_each(|a| self.compute_cheap(a))
            }
            BoundExpr::InSet { expr, .. } => self.compute_cheap(expr),
            _ => Ok(()),
        }
    }

    fn truths(&self, value: &Argument) -> Result<Vec<bool>> {
        Ok(match value {
            Argument::Constant(one) => vec![truth(one)?.value(0); self.rows],
            Argument::Column(column) => truth(column)?.values().iter().collect(),
            Argument::Lambda(_) => vec![false; self.rows],
        })
    }
}

fn is_null(value: &Argument, row: usize) -> bool {
    match value {
        Argument::Constant(one) => one.is_null(0),
        Argument::Column(column) => column.is_null(row),
        Argument::Lambda(_) => false,
    }
}

/// Whether something in `expr` is worth leaving out.
fn can_wait(expr: &BoundExpr) -> bool {
    match expr {
        BoundExpr::Call { function, arguments, .. } => {
            let name = function.name();
            let constant = |e: Option<&BoundExpr>| matches!(e, Some(BoundExpr::Constant { .. }));
            let cheap = CHEAP.contains(&name)
                || BRANCHING.contains(&name)
                || DIVISIONS.contains(&name) && constant(arguments.get(1));
            !cheap || arguments.iter().any(can_wait)
        }
        BoundExpr::InSet { expr, .. } => can_wait(expr),
        _ => false,
    }
}

/// Errors that say nothing about a row.
fn is_limit(error: &Error) -> bool {
    matches!(
        error.code(),
        codes::TOO_DEEP_RECURSION
            | codes::TIMEOUT_EXCEEDED
            | codes::MEMORY_LIMIT_EXCEEDED
            | codes::QUERY_WAS_CANCELLED
    )
}
