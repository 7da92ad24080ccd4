//! States of groups as the functions' accumulators write them, for groups that leave their rows.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use pumphouse_storage::{Column, DataType};

use super::{Layout, Sealed};

impl Sealed {
    /// The serialized states of every function, of `rows`.
    pub fn states(&self, rows: &[u64]) -> Vec<Column> {
        self.layout.states(rows)
    }
}

impl Layout {
    fn states(&self, rows: &[u64]) -> Vec<Column> {
        let count_at = self.count_at.unwrap_or(0);
        let mut columns = vec![];
        for aggregate in &self.aggregates {
            let mut states = BinaryBuilder::new();
            let mut bytes = vec![];
            for row in rows.chunks_exact(self.width) {
                bytes.clear();
                let state = row.get(aggregate.at).copied().unwrap_or(0);
                aggregate.packed.write((state, row[count_at]), &mut bytes);
                states.append_value(&bytes);
            }
            columns.push(Column { data_type: DataType::String, array: Arc::new(states.finish()) });
        }
        columns
    }
}
