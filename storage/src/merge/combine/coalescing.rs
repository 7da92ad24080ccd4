//! CoalescingMergeTree: column by column the last value that is not NULL. Columns that are not listed
//! (if there is a list) and those of the keys keep their first value.

use std::sync::Arc;

use arrow_array::{Array, UInt32Array};

use super::aggregating::{first_rows, fold_of, one};
use super::{Combiner, Groups};
use crate::block::Column;
use crate::error::Result;
use crate::expression::{CompiledFold, ExpressionCompiler};
use crate::log::ColumnDefinition;
use crate::table::key::TableKeys;

enum Fate {
    First,
    LastPresent,
    Folded(Arc<dyn CompiledFold>),
}

pub(super) struct Coalescing {
    fates: Vec<Fate>,
}

impl Coalescing {
    pub(super) fn new(
        keys: &TableKeys,
        columns: &[&ColumnDefinition],
        listed: &[String],
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Coalescing> {
        let fates = columns
            .iter()
            .map(|column| {
                let left_out = !listed.is_empty() && !listed.contains(&column.name);
                if keys.reads(&column.name) || left_out {
                    return Ok(Fate::First);
                }
                Ok(fold_of(&column.data_type, compiler)?.map_or(Fate::LastPresent, Fate::Folded))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Coalescing { fates })
    }
}

impl Combiner for Coalescing {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        if groups.all_single() {
            return Ok(rows.to_vec());
        }
        let of_rows = groups.of_rows();
        rows.iter()
            .zip(&self.fates)
            .map(|(column, fate)| match fate {
                Fate::First => Ok(first_rows(column, groups)),
                Fate::LastPresent => Ok(last_present(column, groups)),
                Fate::Folded(fold) => {
                    fold.fold(std::slice::from_ref(column), &of_rows, groups.len()).map(one)
                }
            })
            .collect()
    }
}

fn last_present(column: &Column, groups: &Groups) -> Column {
    let nulls = column.array.nulls();
    let last = |range: std::ops::Range<usize>| {
        let end = range.end - 1;
        match nulls {
            Some(nulls) => range.rev().find(|row| nulls.is_valid(*row)).unwrap_or(end) as u32,
            None => end as u32,
        }
    };
    column.take(&UInt32Array::from(groups.iter().map(last).collect::<Vec<u32>>()))
}
