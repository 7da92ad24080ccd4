//! `extremes = 1`: the smallest and the largest value of every column of a result.
//!
//! NULL and NaN count only if there is nothing else; of a tuple each element has its own. A result
//! without rows has none.

use pumphouse_query::Result;
use pumphouse_storage::{Block, Column, DataType, Value};

/// Gathers over the blocks of a result; holds two values a column.
#[derive(Default)]
pub(super) struct Extremes {
    schema: Vec<(String, DataType)>,
    ranges: Vec<Option<(Value, Value)>>,
}

impl Extremes {
    pub fn add(&mut self, block: &Block) {
        if block.rows() == 0 {
            return;
        }
        if self.ranges.is_empty() {
            self.schema = block.schema();
            self.ranges = vec![None; block.columns.len()];
        }
        for (column, range) in block.columns.iter().zip(&mut self.ranges) {
            for row in 0..column.len() {
                widen(range, column.value(row));
            }
        }
    }

    /// Two rows, minima and maxima; None if there were no rows.
    pub fn take(self) -> Result<Option<Block>> {
        if self.ranges.is_empty() {
            return Ok(None);
        }
        let columns = self.schema.into_iter().zip(self.ranges).map(|((name, data_type), range)| {
            let (min, max) = range.unwrap_or((Value::Null, Value::Null));
            Ok((name, Column::from_values(data_type, &[min, max])?))
        });
        Ok(Some(Block::new(columns.collect::<Result<Vec<_>>>()?)))
    }
}

fn widen(range: &mut Option<(Value, Value)>, value: Value) {
    match range {
        None => *range = Some((value.clone(), value)),
        Some((min, max)) => {
            lower(min, &value);
            raise(max, value);
        }
    }
}

/// NULL and NaN give way to anything.
fn counts(value: &Value) -> bool {
    !matches!(value, Value::Null) && !matches!(value, Value::Float(f) if f.is_nan())
}

fn lower(min: &mut Value, value: &Value) {
    match (min, value) {
        (Value::Tuple(min), Value::Tuple(value)) => {
            min.iter_mut().zip(value).for_each(|(min, value)| lower(min, value));
        }
        (min, value) if counts(value) && (!counts(min) || value < min) => *min = value.clone(),
        _ => {}
    }
}

fn raise(max: &mut Value, value: Value) {
    match (max, value) {
        (Value::Tuple(max), Value::Tuple(value)) => {
            max.iter_mut().zip(value).for_each(|(max, value)| raise(max, value));
        }
        (max, value) if counts(&value) && (!counts(max) || value > *max) => *max = value,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_nan_give_way_and_blocks_add_up() {
        let block = |values: &[Value]| {
            let column = Column::from_values(DataType::nullable(DataType::Float64), values);
            Block::new(vec![("f".into(), column.unwrap())])
        };
        let mut extremes = Extremes::default();
        extremes.add(&block(&[Value::Null, Value::Float(f64::NAN), Value::Float(2.0)]));
        extremes.add(&block(&[Value::Float(-1.0), Value::Null]));
        let rows = extremes.take().unwrap().unwrap();
        assert_eq!(rows.columns[0].value(0), Value::Float(-1.0));
        assert_eq!(rows.columns[0].value(1), Value::Float(2.0));
        assert!(Extremes::default().take().unwrap().is_none());
    }
}
