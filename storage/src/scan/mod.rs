//! Reading a table: which parts and granules can match (`prune`, a pure choice) and reading them
//! (`open`), with FINAL ([`FinalScan`]).

mod ahead;
mod block_cache;
mod condition_cache;
mod explain;
mod final_read;
mod open;
mod place;
mod predicate;
mod projected;
pub mod prune;

#[cfg(test)]
mod skip_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::Bound;

pub use crate::part::{Chosen, ValueTest, Wanted, index_columns};
pub(crate) use block_cache::BlockKey;
pub use block_cache::{BlockCache, BlockCacheStats};
pub use condition_cache::{ConditionCache, ConditionCacheStats};
pub use explain::explain_lines;
pub use final_read::{FinalScan, has_final, open_final};
pub(crate) use open::OpenPart;
pub use open::{
    MORSEL_ROWS, SIZE_SUFFIX, Scan, ScanOptions, column_range, has_sizes, open, open_where,
    subcolumn_type,
};
pub use place::partition_types;
pub use predicate::{Piece, Predicate};
pub use projected::{ProjectionScan, ProjectionUse, open_groups, projections};
pub use prune::{PruningReport, PruningStage, PruningStep};

use crate::types::Value;

/// A necessary condition on one column (or on one key expression, by its canonical text): a row can
/// match only if its value lies in one of `ranges`. NULL lies in none unless `may_be_null`.
#[derive(Debug, Clone)]
pub struct ColumnCondition {
    pub column: String,
    pub ranges: Vec<ValueRange>,
    pub may_be_null: bool,
}

#[derive(Debug, Clone)]
pub struct ValueRange {
    pub lower: Bound<Value>,
    pub upper: Bound<Value>,
}

impl ValueRange {
    pub fn point(value: Value) -> ValueRange {
        ValueRange { lower: Bound::Included(value.clone()), upper: Bound::Included(value) }
    }

    /// Whether some value of `[min, max]` lies in this range. Errs towards yes: for values that do
    /// not compare (a string with a number), and at an excluded bound of another kind of number.
    pub fn overlaps(&self, min: &Value, max: &Value) -> bool {
        let above = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(v) => !comparable(v, max) || max >= v,
            Bound::Excluded(v) => !comparable(v, max) || max > v || (!exact(v, max) && max == v),
        };
        let below = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(v) => !comparable(v, min) || min <= v,
            Bound::Excluded(v) => !comparable(v, min) || min < v || (!exact(v, min) && min == v),
        };
        above && below
    }
}

fn is_number(v: &Value) -> bool {
    v.as_f64().is_some() || matches!(v, Value::UInt128(_))
}

fn comparable(bound: &Value, edge: &Value) -> bool {
    use Value::*;
    // NULL as an edge stands for "no end".
    (is_number(bound) && (is_number(edge) || edge.is_null()))
        || matches!(
            (bound, edge),
            (String(_), String(_) | Null)
                | (Array(_), Array(_) | Null)
                | (Tuple(_), Tuple(_) | Null)
                | (Int256(_), Int256(_) | Null)
        )
}

/// Whether the two kinds compare without rounding.
fn exact(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Decimal(_, s), Value::Decimal(_, t)) => s == t,
        (Value::Float(_), Value::Float(_)) => true,
        (Value::UInt128(_), Value::UInt128(_)) => true,
        (a, b) if is_number(a) => a.as_i128().is_some() && b.as_i128().is_some(),
        _ => true,
    }
}
