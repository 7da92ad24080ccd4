//! Rows of a system table under construction: a filler names the columns it has a value for, the
//! rest take their type's default.

use pumphouse_query::Result;
use pumphouse_storage::block::default_value;
use pumphouse_storage::{Block, Column, DataType, Value};

/// Rows in the order pushed.
pub struct Rows {
    schema: Vec<(String, DataType)>,
    columns: Vec<Vec<Value>>,
}

impl Rows {
    pub fn new(schema: Vec<(String, DataType)>) -> Rows {
        let columns = vec![vec![]; schema.len()];
        Rows { schema, columns }
    }

    /// One row; a name that the table does not have is a bug, found by the test that reads every
    /// system table.
    pub fn push(&mut self, values: &[(&str, Value)]) {
        debug_assert!(
            values.iter().all(|(name, _)| self.schema.iter().any(|(n, _)| n == name)),
            "a filler names an unknown column: {:?}",
            values.iter().map(|(n, _)| n).collect::<Vec<_>>()
        );
        for ((name, data_type), column) in self.schema.iter().zip(&mut self.columns) {
            let value = values.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            column.push(value.unwrap_or_else(|| default_value(data_type)));
        }
    }

    pub fn into_block(self) -> Result<Block> {
        let named = self
            .schema
            .into_iter()
            .zip(self.columns)
            .map(|((name, data_type), values)| Ok((name, Column::from_values(data_type, &values)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Block::new(named))
    }
}

pub fn text(text: impl Into<String>) -> Value {
    Value::string(text.into())
}

pub fn texts(items: impl IntoIterator<Item = impl Into<String>>) -> Value {
    Value::Array(items.into_iter().map(|i| Value::string(i.into())).collect())
}

pub fn number(n: u64) -> Value {
    Value::UInt(n)
}

pub fn flag(yes: bool) -> Value {
    Value::UInt(yes.into())
}

/// A DateTime from microseconds.
pub fn seconds(us: u64) -> Value {
    Value::UInt((us / 1_000_000).min(u32::MAX as u64))
}

/// A DateTime64(6) from microseconds.
pub fn micros(us: u64) -> Value {
    Value::Int(us.min(i64::MAX as u64) as i64)
}
