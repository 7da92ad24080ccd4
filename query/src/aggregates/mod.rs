//! Aggregate functions: one trait for the function, one for its states, one file a family,
//! combinators (`-If`, `-State`, `-Merge`, `-OrNull` …) as wrappers.
//!
//! States are columnar: one accumulator holds the states of all groups, so that a row costs no
//! virtual call. Group numbers are dense from 0. [`registry`] turns a name into a function.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType};

use crate::error::Result;

mod arrays;
mod average;
pub(crate) mod bitmaps;
mod bits;
mod charts;
mod combinators;
mod contingency;
mod count;
mod decay;
mod distribution;
mod estimates;
mod exact_distinct;
mod extremes;
mod few_groups;
mod fold;
mod funnel;
mod gradient;
mod grid;
mod heavy;
mod histogram;
mod hypothesis;
mod kernel;
mod keyed;
mod next_node;
mod nullable;
mod numeric;
pub(crate) mod packed;
mod quantile;
mod ranks;
mod registry;
mod run_time;
mod sampling;
mod selecting;
mod sequence;
mod series;
mod side_by_side;
mod statistics;
mod sum;
mod top_k;
mod trial;

pub use decay::is_window_only;
pub use fold::{map_fold, state_fold};
pub use registry::{is_aggregate, lookup, names};

/// The function that gives the states of `function`.
pub(crate) fn state_of(function: &Arc<dyn AggregateFunction>) -> Arc<dyn AggregateFunction> {
    Arc::new(combinators::StateOf { inner: function.clone() })
}

/// The function that merges states of `function`, its only argument, and gives what that gives.
pub(crate) fn merging(function: &Arc<dyn AggregateFunction>) -> Arc<dyn AggregateFunction> {
    Arc::new(combinators::Merge { inner: function.clone() })
}

/// An aggregate function with its parameters and argument types settled.
pub trait AggregateFunction: Send + Sync {
    /// With parameters and combinators as written, e.g. `quantileIf(0.9)`.
    fn name(&self) -> String;
    fn return_type(&self) -> DataType;
    /// `AggregateFunction(name, args…)`: the type of its `-State`.
    fn state_type(&self) -> DataType;
    fn accumulator(&self) -> Box<dyn Accumulator>;
    /// The form that states of a word or two can have, if this is such a function.
    #[doc(hidden)]
    fn packed(&self) -> Option<packed::Packed> {
        None
    }
    /// Whether NULL arguments only leave the plain default behind (count, uniq …) instead of NULL.
    fn default_when_only_null(&self) -> bool {
        false
    }
}

/// The states of all groups of one aggregate in one thread.
pub trait Accumulator: Send + Sync {
    /// Makes room so that groups `0..groups` exist; new ones start empty.
    fn resize(&mut self, groups: usize);
    /// Adds row `i` of `arguments` to group `groups[i]`.
    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()>;
    /// Adds all rows to group 0: the fast path without GROUP BY.
    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        self.update(&vec![0; rows], arguments)
    }
    /// Adds all rows to `group`, which exists: for rows that come in runs.
    fn update_run(&mut self, group: u32, arguments: &[Column], rows: usize) -> Result<()> {
        self.update(&vec![group; rows], arguments)
    }
    /// Adds state `i` of `other` (same function) into group `groups[i]` of this.
    fn merge(&mut self, other: &mut dyn Accumulator, groups: &[u32]) -> Result<()> {
        let rows: Vec<u32> = (0..groups.len() as u32).collect();
        self.merge_rows(other, &rows, groups)
    }
    /// Adds state `rows[i]` of `other` (same function) into group `groups[i]` of this.
    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()>;
    /// Adds serialized states (a Binary column) into groups.
    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()>;
    /// Results of all groups, in group order.
    fn finish(&mut self) -> Result<Column>;
    /// All states, serialized, in group order (a column of `state_type`).
    fn serialize(&mut self) -> Result<Column>;
    /// Heap bytes, for the memory account.
    fn memory_bytes(&self) -> usize;
    /// For downcasting in `merge_rows`.
    fn as_any(&self) -> &dyn std::any::Any;
    /// For downcasting.
    fn as_any_mut(&mut self) -> &mut dyn std::any::Any;
}
