//! What a sort with a limit tells the scan below it: the first sort column, and the worst value of it
//! that is still among the rows kept. The scan reads the most promising morsels first and leaves out
//! those that lie behind that value altogether, so that ORDER BY a key LIMIT n reads a few granules.

use arrow_array::BooleanArray;
use parking_lot::Mutex;
use pumphouse_storage::{DataType, Value};

use crate::catalog::MorselSource;
use crate::plan::{BoundExpr, Plan, PlanNode, SortKey};

/// More morsels than this are not put in order.
const MORSELS_MAX: usize = 1 << 20;

pub(super) struct TopHint {
    column: String,
    descending: bool,
    /// The worst first key among the best rows of some thread.
    worst: Mutex<Option<Value>>,
}

impl TopHint {
    /// The hint for a sort over `input`, if its first key is a column that is scanned and whose
    /// minima and maxima are in the order of the sort.
    pub fn of(input: &Plan, keys: &[SortKey]) -> Option<TopHint> {
        let key = keys.first()?;
        let nullable = key.expr.data_type().is_nullable();
        // Bytes that tell their types are not in the order of the values.
        let self_typed = key.expr.data_type().holds_run_time();
        if key.fill.is_some() || (nullable && key.nulls_first) || self_typed {
            return None;
        }
        let column = scanned_column(input, &key.expr)?;
        Some(TopHint { column, descending: key.descending, worst: Mutex::new(None) })
    }

    /// A row with this first key is the worst that is kept.
    pub fn publish(&self, value: Value) {
        if value.is_null() {
            return;
        }
        let mut worst = self.worst.lock();
        let better = match &*worst {
            None => true,
            Some(old) if self.descending => value > *old,
            Some(old) => value < *old,
        };
        if better {
            *worst = Some(value);
        }
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Whether some thread has all the rows it needs, so that there is a bound.
    pub fn is_bound(&self) -> bool {
        self.worst.lock().is_some()
    }

    /// The condition that a value of column 0, which has this type, is not behind the worst kept.
    pub fn bound(&self, data_type: &DataType) -> Option<BoundExpr> {
        let value = self.worst.lock().clone()?;
        let name = if self.descending { "greaterOrEquals" } else { "lessOrEquals" };
        let plain = match data_type {
            DataType::Nullable(inner) => (**inner).clone(),
            other => other.clone(),
        };
        let nullable = data_type.is_nullable();
        let flag = DataType::UInt8;
        Some(BoundExpr::Call {
            function: crate::functions::lookup(name)?,
            arguments: vec![
                BoundExpr::Column { index: 0, data_type: data_type.clone() },
                BoundExpr::Constant { value, data_type: plain },
            ],
            data_type: if nullable { DataType::nullable(flag) } else { flag },
        })
    }

    /// Flags of the rows of a morsel that may come before the worst that is kept; None: all may.
    pub fn promising(&self, morsels: &dyn MorselSource, index: usize) -> Option<BooleanArray> {
        let worst = self.worst.lock().clone()?;
        morsels.range_flags(index, &self.column, &|low, high| match (self.descending, high) {
            (false, _) => *low <= worst,
            (true, Some(high)) => *high >= worst,
            (true, None) => true,
        })
    }

    /// Morsels by their best value; those about which nothing is known first.
    pub fn order(&self, morsels: &dyn MorselSource, count: usize) -> Option<Vec<usize>> {
        if !(2..=MORSELS_MAX).contains(&count) {
            return None;
        }
        let mut order: Vec<(Option<Value>, usize)> = (0..count)
            .map(|i| {
                let range = morsels.column_range(i, &self.column);
                let best =
                    range.and_then(|(low, high)| if self.descending { high } else { Some(low) });
                (best, i)
            })
            .collect();
        if order.iter().all(|(best, _)| best.is_none()) {
            return None;
        }
        order.sort_by(|(a, i), (b, j)| {
            let by_value = match (a, b) {
                (Some(a), Some(b)) if self.descending => b.cmp(a),
                (a, b) => a.cmp(b),
            };
            by_value.then(i.cmp(j))
        });
        Some(order.into_iter().map(|(_, i)| i).collect())
    }

    /// Whether all rows of the morsel come after the worst that is kept.
    pub fn is_useless(&self, morsels: &dyn MorselSource, index: usize) -> bool {
        let worst = self.worst.lock().clone();
        let Some(worst) = worst else { return false };
        match morsels.column_range(index, &self.column) {
            Some((_, Some(high))) if self.descending => high < worst,
            Some((low, _)) if !self.descending => low > worst,
            _ => false,
        }
    }
}

/// The name of the scanned column that `expr` is, through filters and projections.
fn scanned_column(input: &Plan, expr: &BoundExpr) -> Option<String> {
    let BoundExpr::Column { index, .. } = expr else { return None };
    match &input.node {
        PlanNode::Filter { input, .. } => scanned_column(input, expr),
        PlanNode::Project { input, exprs } => scanned_column(input, exprs.get(*index)?),
        PlanNode::Scan { columns, final_: false, .. } => {
            let data_type = &input.schema.get(*index)?.1;
            ordered_as_stored(data_type.inner()).then(|| columns.get(*index).cloned()).flatten()
        }
        _ => None,
    }
}

/// Whether values sort as their minima and maxima compare.
fn ordered_as_stored(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int256 | DataType::UInt256 => false,
        DataType::String => true,
        other => other.is_integer() || other.is_date_or_time(),
    }
}
