//! INTERPOLATE: goes down the rows of a filled result and computes the columns of each added row from the
//! row before it; the first begins with defaults.

use std::sync::Arc;

use pumphouse_storage::block::default_value;
use pumphouse_storage::{Block, Column, Value};

use super::evaluate;
use crate::context::QueryContext;
use crate::error::Result;
use crate::functions::cast::cast_value;
use crate::plan::Interpolation;

/// `added` with its interpolated columns. `places` is the result's order: `(0, row)` of `block` and
/// `(1, row)` of `added`.
pub(super) fn interpolate(
    rule: &Interpolation,
    block: &Block,
    added: Block,
    places: &[(usize, usize)],
    context: &Arc<QueryContext>,
) -> Result<Block> {
    let schema = block.schema();
    // Columns that nothing above reads may have been dropped.
    let place = |name: &String| schema.iter().position(|(n, _)| n == name);
    let inputs: Vec<Option<usize>> = rule.inputs.iter().map(place).collect();
    if inputs.iter().any(Option::is_none) {
        return Ok(added);
    }
    let inputs: Vec<usize> = inputs.into_iter().flatten().collect();
    let targets: Vec<usize> = rule.items.iter().filter_map(|(name, _)| place(name)).collect();
    let mut results: Vec<Vec<Value>> = targets
        .iter()
        .map(|t| (0..added.rows()).map(|row| added.columns[*t].value(row)).collect())
        .collect();
    let mut before: Vec<Value> = inputs.iter().map(|c| default_value(&schema[*c].1)).collect();
    for (from, row) in places {
        let here = if *from == 0 { block } else { &added };
        let mut values: Vec<Value> = inputs.iter().map(|c| here.columns[*c].value(*row)).collect();
        if *from == 1 {
            let mut one = Block::of_rows(1);
            for (column, value) in inputs.iter().zip(&before) {
                let (name, data_type) = &schema[*column];
                one.push(name.clone(), Column::constant(data_type.clone(), value, 1)?);
            }
            for (i, (_, expr)) in rule.items.iter().enumerate() {
                let column = evaluate(expr, &one, context)?;
                let target = &schema[targets[i]].1;
                let value = cast_value(&column.value(0), &column.data_type, target, context)?;
                if let Some(at) = inputs.iter().position(|c| *c == targets[i]) {
                    values[at] = value.clone();
                }
                results[i][*row] = value;
            }
        }
        before = values;
    }
    let mut out = added;
    for (target, values) in targets.iter().zip(results) {
        out.columns[*target] = Column::from_values(schema[*target].1.clone(), &values)?;
    }
    Ok(out)
}
