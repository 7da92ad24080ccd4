//! How evaluations read their arguments: as full columns, constants, strings or numbers.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use pumphouse_storage::{Column, DataType, Value};

use super::native::{Native, Numbers, load};
use super::strings::Strings;
use super::type_rule::illegal_column;
use super::{Argument, FunctionCall, LambdaBody};
use crate::error::Result;

impl<'a> FunctionCall<'a> {
    fn held(&self, index: usize) -> Result<(&'a Column, bool)> {
        match self.arguments.get(index) {
            Some(Argument::Column(c)) => Ok((c, false)),
            Some(Argument::Constant(c)) => Ok((c, true)),
            Some(Argument::Lambda(_)) => {
                Err(illegal_column("a lambda stands where a value should"))
            }
            None => Err(illegal_column(format!("argument {} is missing", index + 1))),
        }
    }

    /// The column as held: one row if constant.
    pub(super) fn raw(&self, index: usize) -> Result<&'a Column> {
        Ok(self.held(index)?.0)
    }

    pub(super) fn data_type(&self, index: usize) -> Result<&'a DataType> {
        Ok(&self.held(index)?.0.data_type)
    }

    pub(super) fn is_constant(&self, index: usize) -> bool {
        matches!(self.arguments.get(index), Some(Argument::Constant(_)))
    }

    /// The value of a constant argument.
    pub(super) fn constant(&self, index: usize) -> Option<Value> {
        match self.arguments.get(index) {
            Some(Argument::Constant(c)) if c.len() == 1 => Some(c.value(0)),
            _ => None,
        }
    }

    /// The text of a constant string argument.
    pub(super) fn constant_text(&self, index: usize) -> Option<String> {
        match self.constant(index)? {
            Value::String(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        }
    }

    /// The column with `rows` rows, constants repeated.
    pub(super) fn column(&self, index: usize) -> Result<Column> {
        let (column, constant) = self.held(index)?;
        if constant && self.rows != column.len() {
            return Ok(repeat(column, self.rows));
        }
        Ok(column.clone())
    }

    pub(super) fn lambda(&self, index: usize) -> Result<&'a Arc<dyn LambdaBody>> {
        match self.arguments.get(index) {
            Some(Argument::Lambda(body)) => Ok(body),
            _ => Err(illegal_column(format!("argument {} is not a lambda", index + 1))),
        }
    }

    pub(super) fn strings(&self, index: usize) -> Result<Strings<'a>> {
        let (column, constant) = self.held(index)?;
        let strings = Strings::of(column.array.as_ref())?;
        Ok(if constant { Strings::One(strings.get(0)) } else { strings })
    }

    /// The argument's numbers converted to `T` (integers wrap, decimals are taken unscaled).
    pub(super) fn numbers<T: Native>(&self, index: usize) -> Result<Numbers<T>> {
        let (column, constant) = self.held(index)?;
        let values = load::<T>(column)?;
        Ok(if constant {
            Numbers::One(values.first().copied().unwrap_or_default())
        } else {
            Numbers::Many(values)
        })
    }

    /// Like [`numbers`](Self::numbers), with `default` for every row if the argument is not given.
    pub(super) fn numbers_or<T: Native>(&self, index: usize, default: T) -> Result<Numbers<T>> {
        if index < self.arguments.len() { self.numbers(index) } else { Ok(Numbers::One(default)) }
    }

    /// A column of the call's result type.
    pub(super) fn finish(&self, array: ArrayRef) -> Result<Column> {
        Ok(Column::new(self.result.clone(), array))
    }

    /// The result over no rows, of a call that is refused where there are some.
    pub(super) fn of_no_rows(&self) -> Result<Column> {
        match self.rows {
            0 => Ok(Column::default_values(self.result.clone(), 0)),
            _ => Err(illegal_column(format!("a column of {} cannot be made", self.result))),
        }
    }

    /// A column of result numbers.
    pub(super) fn finish_numbers<T: Native>(&self, values: Vec<T>) -> Result<Column> {
        self.finish(T::array(values))
    }
}

/// `rows` copies of a column's only row.
pub(super) fn repeat(column: &Column, rows: usize) -> Column {
    column.take(&UInt32Array::from(vec![0u32; rows]))
}
