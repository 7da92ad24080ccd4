//! Which granules of a part can hold rows that match: a pure choice.
//!
//! Three tests, cheapest first: the partition's values and the part's minima and maxima for the whole
//! part; the sparse primary index; each granule's minima and maxima. All are necessary conditions
//! only: a granule that is kept may still hold nothing.

use crate::log::ColumnDefinition;
use crate::part::{PartReader, Range};
use crate::table::column_reader::ColumnReader;
use crate::types::{DataType, Value};

use super::ColumnCondition;

/// What pruning did, for EXPLAIN and progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruningReport {
    pub parts_total: usize,
    pub parts_selected: usize,
    pub granules_total: usize,
    pub granules_selected: usize,
    /// Rows in the selected granules.
    pub rows_selected: u64,
    /// Texts of the primary key's expressions that a condition was on.
    pub primary_key: Vec<String>,
    /// One per test that had conditions to use, in the order they ran.
    pub steps: Vec<PruningStep>,
}

/// One test: what it looked at and what it let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruningStep {
    pub stage: PruningStage,
    /// Columns or key expressions that the conditions were on.
    pub keys: Vec<String>,
    pub parts_before: usize,
    pub parts_after: usize,
    pub granules_before: usize,
    pub granules_after: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruningStage {
    /// The values of the partition key.
    Partition,
    /// Minima and maxima of whole parts.
    MinMax,
    /// The sparse primary index.
    PrimaryKey,
    /// Minima and maxima of granules.
    GranuleMinMax,
}

const STAGES: [PruningStage; 4] = [
    PruningStage::Partition,
    PruningStage::MinMax,
    PruningStage::PrimaryKey,
    PruningStage::GranuleMinMax,
];

/// A condition and the column that it is on, if it is on a column.
pub(crate) struct Condition<'a> {
    pub(crate) condition: &'a ColumnCondition,
    pub(crate) column: Option<&'a ColumnDefinition>,
}

/// Gathers a report over parts.
#[derive(Default)]
pub(crate) struct Tally {
    /// Parts and granules that came to each stage and left it.
    stages: [[usize; 4]; 4],
    keys: [Vec<String>; 4],
    parts_total: usize,
    granules_total: usize,
    parts_selected: usize,
    granules_selected: usize,
    rows_selected: u64,
}

impl Tally {
    fn stage(&mut self, i: usize, before: usize, after: usize, keys: &[&str]) {
        let [parts_in, parts_out, granules_in, granules_out] = &mut self.stages[i];
        *parts_in += (before > 0) as usize;
        *parts_out += (after > 0) as usize;
        *granules_in += before;
        *granules_out += after;
        for key in keys {
            if !self.keys[i].iter().any(|k| k == key) {
                self.keys[i].push(key.to_string());
            }
        }
    }

    pub(crate) fn report(self) -> PruningReport {
        let steps = STAGES
            .iter()
            .zip(self.stages)
            .zip(&self.keys)
            .filter(|(_, keys)| !keys.is_empty())
            .map(|((stage, [parts_before, parts_after, granules_before, granules_after]), keys)| {
                PruningStep {
                    stage: *stage,
                    keys: keys.clone(),
                    parts_before,
                    parts_after,
                    granules_before,
                    granules_after,
                }
            })
            .collect();
        PruningReport {
            parts_total: self.parts_total,
            parts_selected: self.parts_selected,
            granules_total: self.granules_total,
            granules_selected: self.granules_selected,
            rows_selected: self.rows_selected,
            primary_key: self.keys[2].clone(),
            steps,
        }
    }
}

/// The granules of `part` that may hold rows for which all `conditions` hold, ascending.
pub(crate) fn prune(
    part: &PartReader,
    conditions: &[Condition<'_>],
    tally: &mut Tally,
) -> Vec<usize> {
    let total = part.granules();
    tally.parts_total += 1;
    tally.granules_total += total;
    let bound = Bound::new(part, conditions);
    let mut left = total;
    // Keys are noted for all stages, so that a report shows them though a part fell earlier.
    for (i, (keep, keys)) in [
        (bound.partition_may_match(), bound.keys(&bound.partition)),
        (bound.part_may_match(), bound.keys(&bound.columns)),
    ]
    .into_iter()
    .enumerate()
    {
        let after = if keep { left } else { 0 };
        tally.stage(i, left, after, &keys);
        left = after;
    }
    let mut granules: Vec<usize> = (0..left).collect();
    granules.retain(|g| bound.index_may_match(*g));
    tally.stage(2, left, granules.len(), &bound.keys(&bound.index));
    let before = granules.len();
    granules.retain(|g| bound.granule_may_match(*g));
    tally.stage(3, before, granules.len(), &bound.keys(&bound.columns));
    tally.parts_selected += !granules.is_empty() as usize;
    tally.granules_selected += granules.len();
    tally.rows_selected += granules.iter().map(|g| part.granule_rows(*g) as u64).sum::<u64>();
    granules
}

/// Conditions tied to what a part has to test them with.
struct Bound<'a> {
    part: &'a PartReader,
    conditions: &'a [Condition<'a>],
    /// Condition and position in the partition key.
    partition: Vec<(usize, usize)>,
    /// Condition and position in the primary index.
    index: Vec<(usize, usize)>,
    /// Condition and position among the part's columns.
    columns: Vec<(usize, usize)>,
}

impl<'a> Bound<'a> {
    fn new(part: &'a PartReader, conditions: &'a [Condition<'a>]) -> Bound<'a> {
        let mut bound =
            Bound { part, conditions, partition: vec![], index: vec![], columns: vec![] };
        for (i, c) in conditions.iter().enumerate() {
            let text = &c.condition.column;
            bound.partition.extend(position(part.partition(), text).map(|at| (i, at)));
            let index = position(part.primary_index(), text)
                // Values above 2^255 do not compare by `Value`'s order.
                .filter(|at| {
                    *part.primary_index()[*at].column.data_type.inner() != DataType::UInt256
                });
            bound.index.extend(index.map(|at| (i, at)));
            // Minima and maxima of another type would be compared wrongly.
            let column = c.column.filter(|column| ColumnReader::is_as_defined(part, column));
            let column = column.and_then(|column| part.column_index(column.id));
            let ranged = column.filter(|at| part.column(*at).ranges.known());
            bound.columns.extend(ranged.map(|at| (i, at)));
        }
        bound
    }

    fn keys(&self, tied: &[(usize, usize)]) -> Vec<&'a str> {
        tied.iter().map(|(i, _)| self.conditions[*i].condition.column.as_str()).collect()
    }

    fn partition_may_match(&self) -> bool {
        self.partition.iter().all(|(i, at)| {
            let value = self.part.partition()[*at].column.value(0);
            interval_may_match(self.conditions[*i].condition, &value, &value)
        })
    }

    fn part_may_match(&self) -> bool {
        self.columns.iter().all(|(i, at)| {
            let condition = self.conditions[*i].condition;
            match self.part.part_range(*at) {
                Some(range) => {
                    range_may_match(condition, range)
                        || (condition.may_be_null
                            && (0..self.part.granules()).any(|g| self.part.nulls(*at, g) > 0))
                }
                None => {
                    condition.may_be_null
                        || !(0..self.part.granules()).all(|g| self.part.all_null(*at, g))
                }
            }
        })
    }

    fn granule_may_match(&self, granule: usize) -> bool {
        self.columns.iter().all(|(i, at)| {
            let condition = self.conditions[*i].condition;
            if condition.may_be_null && self.part.nulls(*at, granule) > 0 {
                return true;
            }
            if self.part.all_null(*at, granule) {
                return false;
            }
            self.part.range(*at, granule).is_none_or(|range| range_may_match(condition, &range))
        })
    }

    /// A granule's keys lie between its first row and the first row of the next. A key column is
    /// ordered inside the granule only as long as the columns before it do not change.
    fn index_may_match(&self, granule: usize) -> bool {
        if self.index.is_empty() {
            return true;
        }
        for (at, key) in self.part.primary_index().iter().enumerate() {
            let first = key.column.value(granule);
            let last = key.column.value(granule + 1);
            let holds = self
                .index
                .iter()
                .filter(|(_, position)| *position == at)
                .all(|(i, _)| interval_may_match(self.conditions[*i].condition, &first, &last));
            if !holds {
                return false;
            }
            if first != last {
                return true;
            }
        }
        true
    }
}

fn position(key: &[crate::part::KeyColumn], text: &str) -> Option<usize> {
    key.iter().position(|k| k.text == text)
}

/// Whether a value of `[first, last]` may match, where NULL sorts after all values.
fn interval_may_match(condition: &ColumnCondition, first: &Value, last: &Value) -> bool {
    if condition.may_be_null && last.is_null() {
        return true;
    }
    !first.is_null() && condition.ranges.iter().any(|range| range.overlaps(first, last))
}

fn range_may_match(condition: &ColumnCondition, (low, high): &Range) -> bool {
    // Without an upper bound: NULL sorts after everything.
    let high = high.as_ref().unwrap_or(&Value::Null);
    condition.ranges.iter().any(|range| range.overlaps(low, high))
}
