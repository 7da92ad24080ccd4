//! Aggregate functions as merges need them: values of a column put together by key, the result of the
//! column's own type. Columns of states are merged, of simple aggregates folded by their function.

use std::sync::Arc;

use pumphouse_storage::expression::CompiledFold;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Error as StorageError};

use super::{AggregateFunction, lookup};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::functions::cast::cast_column;

/// The fold of a column of `AggregateFunction` or `SimpleAggregateFunction` type.
pub fn state_fold(data_type: &DataType) -> Result<Arc<dyn CompiledFold>> {
    match data_type {
        DataType::AggregateFunction { name, parameters, arguments } => {
            Ok(Arc::new(States { function: lookup(name, parameters, arguments)? }))
        }
        DataType::SimpleAggregateFunction { name, argument } => {
            let argument = (**argument).clone();
            let function = lookup(name, &[], std::slice::from_ref(&argument))?;
            Ok(Arc::new(Simple { function, argument, data_type: data_type.clone() }))
        }
        other => Err(Error::new(codes::LOGICAL_ERROR, format!("{other} holds no aggregates"))),
    }
}

/// Sums maps given as columns of arrays, keys first.
pub fn map_fold(data_types: &[DataType]) -> Result<Arc<dyn CompiledFold>> {
    let function = lookup("sumMapWithOverflow", &[], data_types)
        .or_else(|_| lookup("sumMappedArrays", &[], data_types))?;
    Ok(Arc::new(Maps { function, data_types: data_types.to_vec() }))
}

struct States {
    function: Arc<dyn AggregateFunction>,
}

impl CompiledFold for States {
    fn fold(
        &self,
        columns: &[Column],
        group_of_row: &[u32],
        groups: usize,
    ) -> pumphouse_storage::Result<Vec<Column>> {
        let [states] = columns else { return Err(misfit()) };
        let merged = || -> Result<Column> {
            let mut accumulator = self.function.accumulator();
            accumulator.resize(groups);
            accumulator.merge_serialized(group_of_row, states)?;
            accumulator.serialize()
        };
        let merged = merged().map_err(crate::bind::to_storage)?;
        Ok(vec![Column { data_type: states.data_type.clone(), array: merged.array }])
    }
}

struct Simple {
    function: Arc<dyn AggregateFunction>,
    argument: DataType,
    data_type: DataType,
}

impl CompiledFold for Simple {
    fn fold(
        &self,
        columns: &[Column],
        group_of_row: &[u32],
        groups: usize,
    ) -> pumphouse_storage::Result<Vec<Column>> {
        let [values] = columns else { return Err(misfit()) };
        let folded = || -> Result<Column> {
            let argument = Column {
                data_type: self.argument.without_low_cardinality().clone(),
                array: values.array.clone(),
            };
            let mut accumulator = self.function.accumulator();
            accumulator.resize(groups);
            accumulator.update(group_of_row, &[argument])?;
            in_type(accumulator.finish()?, &self.argument)
        };
        let folded = folded().map_err(crate::bind::to_storage)?;
        Ok(vec![Column { data_type: self.data_type.clone(), array: folded.array }])
    }
}

struct Maps {
    function: Arc<dyn AggregateFunction>,
    data_types: Vec<DataType>,
}

impl CompiledFold for Maps {
    fn fold(
        &self,
        columns: &[Column],
        group_of_row: &[u32],
        groups: usize,
    ) -> pumphouse_storage::Result<Vec<Column>> {
        let folded = || -> Result<Vec<Column>> {
            let mut accumulator = self.function.accumulator();
            accumulator.resize(groups);
            accumulator.update(group_of_row, columns)?;
            let sums = accumulator.finish()?;
            let element = |t: &DataType| TupleElement { name: None, data_type: t.clone() };
            let whole = DataType::Tuple(self.data_types.iter().map(element).collect());
            let sums = in_type(sums, &whole)?;
            let fields =
                sums.array.as_any().downcast_ref::<arrow_array::StructArray>().ok_or_else(
                    || Error::new(codes::LOGICAL_ERROR, "sums of a map are no tuple"),
                )?;
            let column = |(t, array): (&DataType, &arrow_array::ArrayRef)| Column {
                data_type: t.clone(),
                array: array.clone(),
            };
            Ok(self.data_types.iter().zip(fields.columns()).map(column).collect())
        };
        folded().map_err(crate::bind::to_storage)
    }
}

/// A result in the column's own type: functions may widen.
fn in_type(column: Column, data_type: &DataType) -> Result<Column> {
    if column.data_type.arrow() == data_type.arrow() {
        return Ok(column);
    }
    cast_column(&column, data_type, &Arc::new(QueryContext::new("", 0, 0)))
}

fn misfit() -> StorageError {
    StorageError::Column("a fold of one column got several".into())
}
