//! Of one table's groups those that a sort with a limit above wants (`best`), before keys and the other
//! results are made into columns.

use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::{AggregateNode, GroupingSet, Table};
use crate::aggregates::Accumulator;
use crate::error::Result;

/// Fewer groups are all made into rows.
const GROUPS_MIN: usize = 1 << 10;

impl AggregateNode<'_> {
    /// The groups that are wanted, as a block; None if all are.
    pub(super) fn picked_block(
        &self,
        set: &GroupingSet,
        table: &mut Table,
        totals: Option<&Mutex<Vec<Box<dyn Accumulator>>>>,
    ) -> Result<Option<Block>> {
        let Some(wanted) = self.best.filter(|_| totals.is_none() && self.having.is_none()) else {
            return Ok(None);
        };
        let counts = |i: usize| {
            let function = &self.aggregates.get(i)?.function;
            (function.name() == "count" && function.return_type() == DataType::UInt64).then_some(i)
        };
        let (Some(order), Some(keys)) = (counts(wanted.aggregate()), &table.keys) else {
            return Ok(None);
        };
        let shown = table.shown();
        if shown.len() < GROUPS_MIN || keys.decode_words(&[])?.is_none() {
            return Ok(None);
        }
        let results =
            table.states.iter_mut().map(|s| s.finish()).collect::<Result<Vec<Column>>>()?;
        let counts = shown.of(results[order].clone());
        let mut picked = wanted.pick(counts.array.as_primitive::<UInt64Type>().values().to_vec());
        picked.iter_mut().for_each(|place| *place = shown.number(*place));
        let picked = UInt32Array::from(picked);
        let columns = keys.decode_words(picked.values())?.unwrap_or_default();
        let results = results.iter().map(|r| r.take(&picked)).collect();
        self.block(set, columns, results, picked.len()).map(Some)
    }
}
