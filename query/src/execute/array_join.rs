//! ARRAY JOIN: every row once per element of its arrays, the elements behind the row's own columns.
//! The arrays of one row must be of one length; LEFT keeps rows of empty arrays with defaults.

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt32Array};
use pumphouse_storage::{Block, Column, DataType};

use super::Env;
use super::expression::evaluate_all;
use super::pipeline::{Consumer, Driven};
use super::transform::{block_of, map};
use crate::error::{Error, Result, codes};
use crate::plan::{BoundExpr, Plan};

pub(super) fn drive(
    input: &Plan,
    exprs: &[BoundExpr],
    left: bool,
    schema: &[(String, DataType)],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let step = |block: Block| -> Result<Option<Block>> {
        let arrays = evaluate_all(exprs, &block, &env.ctx)?;
        let (rows, elements) = unfold(&arrays, block.rows(), left)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let count = rows.len();
        let rows = UInt32Array::from(rows);
        let mut columns: Vec<Column> = block.columns.iter().map(|c| c.take(&rows)).collect();
        columns.extend(elements);
        Ok(Some(block_of(schema, columns, count)))
    };
    map(input, &step, env, base, consumer)
}

/// For each output row the input row, and the element columns.
fn unfold(arrays: &[Column], rows: usize, left: bool) -> Result<(Vec<u32>, Vec<Column>)> {
    let mut origin: Vec<u32> = vec![];
    // Output rows that take the default: the place behind the last element.
    let mut elements = vec![];
    for (i, column) in arrays.iter().enumerate() {
        let element_type = element_type(&column.data_type)?;
        let list = column.array.as_list::<i32>();
        let offsets = list.value_offsets();
        if i > 0 {
            let first = arrays[0].array.as_list::<i32>();
            if (0..rows).any(|r| first.value_length(r) != list.value_length(r)) {
                return Err(Error::new(
                    codes::SIZES_OF_ARRAYS_DONT_MATCH,
                    "Sizes of ARRAY-JOIN-ed arrays do not match",
                ));
            }
        }
        let from = offsets[0];
        let end = offsets[rows];
        let mut places: Vec<u32> = Vec::with_capacity((end - from) as usize);
        let missing = (end - from) as u32;
        for row in 0..rows {
            let (a, b) = ((offsets[row] - from) as u32, (offsets[row + 1] - from) as u32);
            places.extend(a..b);
            if a == b && left {
                places.push(missing);
            }
            if i == 0 {
                let count = if a == b { left as usize } else { (b - a) as usize };
                origin.resize(origin.len() + count, row as u32);
            }
        }
        let array = list.values().slice(from as usize, (end - from) as usize);
        let mut column = Column { data_type: element_type.clone(), array };
        if left && places.contains(&missing) {
            let default = Column::filler_values(element_type, 1);
            column = Column::concat(&[column, default])?;
        }
        elements.push(column.take(&UInt32Array::from(places)));
    }
    Ok((origin, elements))
}

/// The type of the elements that ARRAY JOIN makes of an array (or a map's pairs).
fn element_type(data_type: &DataType) -> Result<DataType> {
    use pumphouse_storage::types::TupleElement;
    match data_type.inner() {
        DataType::Array(item) => Ok((**item).clone()),
        DataType::Map(k, v) => Ok(DataType::Tuple(
            [("keys", k), ("values", v)]
                .into_iter()
                .map(|(name, t)| TupleElement {
                    name: Some(name.to_string()),
                    data_type: (**t).clone(),
                })
                .collect(),
        )),
        other => Err(Error::new(
            codes::TYPE_MISMATCH,
            format!("ARRAY JOIN requires array argument, got {other}"),
        )),
    }
}
