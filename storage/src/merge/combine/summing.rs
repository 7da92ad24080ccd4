//! SummingMergeTree: one row of sums per key. Columns of states are merged, the arrays of a Nested
//! whose name ends in `Map` are summed by their key; a row whose every sum is zero is left out.

use std::sync::Arc;

use arrow_array::BooleanArray;

use super::aggregating::{first_rows, fold_of};
use super::{Combiner, Groups, sums};
use crate::block::Column;
use crate::error::{Error, Result};
use crate::expression::{CompiledFold, ExpressionCompiler};
use crate::log::{ColumnDefinition, TableDefinition};
use crate::table::key::TableKeys;
use crate::types::DataType;

/// Columns folded together: one, or the arrays of a map.
struct Fold {
    columns: Vec<usize>,
    fold: Arc<dyn CompiledFold>,
}

pub(super) struct Summing {
    summed: Vec<usize>,
    folds: Vec<Fold>,
    first: Vec<usize>,
}

impl Summing {
    pub(super) fn new(
        definition: &TableDefinition,
        keys: &TableKeys,
        columns: &[&ColumnDefinition],
        listed: &[String],
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Summing> {
        let mut rule = Summing { summed: vec![], folds: vec![], first: vec![] };
        let mut maps: Vec<(&str, Vec<usize>)> = vec![];
        for (i, column) in columns.iter().enumerate() {
            let left_out = !listed.is_empty() && !listed.contains(&column.name);
            if let Some(map) = map_name(column) {
                match maps.iter_mut().find(|(name, _)| *name == map) {
                    Some((_, places)) => places.push(i),
                    None => maps.push((map, vec![i])),
                }
            } else if keys.reads(&column.name) || left_out {
                rule.first.push(i);
            } else if let Some(fold) = fold_of(&column.data_type, compiler)? {
                rule.folds.push(Fold { columns: vec![i], fold });
            } else if sums::is_summable(&column.data_type) {
                rule.summed.push(i);
            } else {
                rule.first.push(i);
            }
        }
        for (name, places) in maps {
            rule.add_map(definition, keys, columns, name, places, compiler)?;
        }
        Ok(rule)
    }

    fn add_map(
        &mut self,
        definition: &TableDefinition,
        keys: &TableKeys,
        columns: &[&ColumnDefinition],
        name: &str,
        places: Vec<usize>,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<()> {
        let is_key = |i: usize, column: &ColumnDefinition| {
            let name = &column.name;
            i == 0 || ["ID", "Key", "Type"].iter().any(|suffix| name.ends_with(suffix))
        };
        let mut key_count = 0;
        let fits = |(i, place): (usize, &usize)| {
            let DataType::Array(item) = &columns[*place].data_type else { return false };
            match is_key(i, columns[*place]) {
                true => {
                    key_count += 1;
                    item.is_integer() || item.is_string() || item.is_date_or_time()
                }
                false => sums::is_summable(item),
            }
        };
        let whole = places.iter().enumerate().all(fits);
        let in_key = places.iter().any(|place| keys.reads(&columns[*place].name));
        if places.len() < 2 || !whole || in_key {
            self.first.extend(places);
            return Ok(());
        }
        if key_count > 1 {
            return Err(Error::Column(format!(
                "{}: sums by several keys ({name}) are not supported",
                definition.full_name()
            )));
        }
        let types: Vec<DataType> =
            places.iter().map(|place| columns[*place].data_type.clone()).collect();
        let fold = compiler.fold_maps(&types)?;
        self.folds.push(Fold { columns: places, fold });
        Ok(())
    }
}

/// The map that the arrays of a Nested stand for.
fn map_name(column: &ColumnDefinition) -> Option<&str> {
    let (map, _) = column.name.split_once('.')?;
    (matches!(column.data_type, DataType::Array(_)) && map.ends_with("Map")).then_some(map)
}

impl Summing {
    /// One row per group, and which of them are all zeros.
    fn sum(&self, rows: &[Column], groups: &Groups) -> Result<(Vec<Column>, Vec<bool>)> {
        let mut out: Vec<Option<Column>> = vec![None; rows.len()];
        let mut zeros = vec![self.folds.is_empty() && !self.summed.is_empty(); groups.len()];
        for i in &self.summed {
            let (column, zero) = sums::sums(&rows[*i], groups)
                .ok_or_else(|| Error::Column("a summed column is no number".into()))?;
            zeros.iter_mut().zip(zero).for_each(|(all, zero)| *all &= zero);
            out[*i] = Some(column);
        }
        for i in &self.first {
            out[*i] = Some(first_rows(&rows[*i], groups));
        }
        if !self.folds.is_empty() {
            let of_rows = groups.of_rows();
            for fold in &self.folds {
                let given: Vec<Column> = fold.columns.iter().map(|i| rows[*i].clone()).collect();
                let folded = fold.fold.fold(&given, &of_rows, groups.len())?;
                for (i, column) in fold.columns.iter().zip(folded) {
                    out[*i] = Some(column);
                }
            }
        }
        Ok((out.into_iter().flatten().collect(), zeros))
    }
}

impl Combiner for Summing {
    fn combine(&mut self, rows: &[Column], groups: &Groups) -> Result<Vec<Column>> {
        let (combined, zeros) = self.sum(rows, groups)?;
        if !zeros.contains(&true) {
            return Ok(combined);
        }
        let keep = BooleanArray::from(zeros.iter().map(|zero| !zero).collect::<Vec<bool>>());
        Ok(combined.iter().map(|c| c.filter(&keep)).collect())
    }

    fn shrink(&mut self, rows: &[Column]) -> Result<(Option<Vec<Column>>, Vec<Column>)> {
        let count = rows.first().map_or(0, Column::len);
        // Zeros so far are kept: more is to come.
        Ok((None, self.sum(rows, &Groups::one(count))?.0))
    }
}
