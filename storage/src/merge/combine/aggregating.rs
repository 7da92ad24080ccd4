//! AggregatingMergeTree: columns of aggregate states are merged, of simple aggregates folded by their
//! function; any other column keeps its first value.
//!
//! Also the part that the summing engines share with it: what happens to such columns there.

use std::sync::Arc;

use arrow_array::UInt32Array;

use super::{Combiner, Groups};
use crate::block::Column;
use crate::error::Result;
use crate::expression::{CompiledFold, ExpressionCompiler};
use crate::log::ColumnDefinition;
use crate::table::key::TableKeys;
use crate::types::DataType;

/// What becomes of one column.
pub(super) enum Fate {
    /// Its first value stays.
    First,
    Folded(Arc<dyn CompiledFold>),
}

pub(super) struct Aggregating {
    fates: Vec<Fate>,
}

impl Aggregating {
    pub(super) fn new(
        keys: &TableKeys,
        columns: &[&ColumnDefinition],
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Aggregating> {
        let fates = columns
            .iter()
            .map(|column| {
                if keys.reads(&column.name) {
                    return Ok(Fate::First);
                }
                Ok(fold_of(&column.data_type, compiler)?.map_or(Fate::First, Fate::Folded))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Aggregating { fates })
    }
}

/// The fold of a column of states or of a simple aggregate.
pub(super) fn fold_of(
    data_type: &DataType,
    compiler: &dyn ExpressionCompiler,
) -> Result<Option<Arc<dyn CompiledFold>>> {
    match data_type {
        DataType::AggregateFunction { .. } | DataType::SimpleAggregateFunction { .. } => {
            Ok(Some(compiler.fold(data_type)?))
        }
        _ => Ok(None),
    }
}

/// The first row of each group.
pub(super) fn first_rows(column: &Column, groups: &Groups) -> Column {
    column.take(&UInt32Array::from(groups.starts().to_vec()))
}

impl Combiner for Aggregating {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        if groups.all_single() {
            return Ok(rows.to_vec());
        }
        let of_rows = groups.of_rows();
        rows.iter()
            .zip(&self.fates)
            .map(|(column, fate)| match fate {
                Fate::First => Ok(first_rows(column, groups)),
                Fate::Folded(fold) => {
                    fold.fold(std::slice::from_ref(column), &of_rows, groups.len()).map(one)
                }
            })
            .collect()
    }
}

/// The only column of a fold of one.
pub(super) fn one(mut columns: Vec<Column>) -> Column {
    debug_assert_eq!(columns.len(), 1);
    columns.swap_remove(0)
}
