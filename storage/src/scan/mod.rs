//! Reading a table: which parts and granules can match (`prune`, a pure choice) and reading them
//! (`reader`).

use std::ops::Bound;

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

    /// Whether some value of `[min, max]` lies in this range.
    pub fn overlaps(&self, min: &Value, max: &Value) -> bool {
        let above = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(v) => max >= v,
            Bound::Excluded(v) => max > v,
        };
        let below = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(v) => min <= v,
            Bound::Excluded(v) => min < v,
        };
        above && below
    }
}
