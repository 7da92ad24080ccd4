//! Which granules of a part can hold rows that match: a pure choice.
//!
//! Cheapest first: minima and maxima of the whole part; the partition's values; the sparse primary
//! index; each granule's minima and maxima, with all that is known so far; the skip indexes, one after
//! the other. All are necessary conditions only: a granule that is kept may still hold nothing.

use std::sync::Arc;

use crate::error::Result;
use crate::log;
use crate::part::{PartReader, Range, SkipIndex};
use crate::table::column_reader::ColumnReader;
use crate::types::{DataType, Value};

use super::{ColumnCondition, Predicate, ScanOptions};

/// What pruning did, for EXPLAIN and progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruningReport {
    pub parts_total: usize,
    pub parts_selected: usize,
    pub granules_total: usize,
    pub granules_selected: usize,
    /// Runs of neighbouring selected granules.
    pub ranges_selected: usize,
    /// Rows in the selected granules.
    pub rows_selected: u64,
    /// Texts of the primary key's expressions that a condition was on.
    pub primary_key: Vec<String>,
    /// One per test that had conditions to use, in the order they ran.
    pub steps: Vec<PruningStep>,
    /// The projection that is read from the parts that have it.
    pub projection: Option<String>,
}

impl PruningReport {
    /// Counts what is read besides; the steps stay.
    pub(super) fn add(&mut self, other: &PruningReport) {
        self.parts_total += other.parts_total;
        self.parts_selected += other.parts_selected;
        self.granules_total += other.granules_total;
        self.granules_selected += other.granules_selected;
        self.ranges_selected += other.ranges_selected;
        self.rows_selected += other.rows_selected;
    }
}

/// One test: what it looked at and what it let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruningStep {
    pub stage: PruningStage,
    /// Columns or key expressions that the conditions were on.
    pub keys: Vec<String>,
    /// The condition as text.
    pub condition: String,
    pub parts_before: usize,
    pub parts_after: usize,
    pub granules_before: usize,
    pub granules_after: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruningStage {
    /// Minima and maxima of whole parts.
    MinMax,
    /// The values of the partition key.
    Partition,
    /// The sparse primary index.
    PrimaryKey,
    /// Minima and maxima of granules.
    GranuleMinMax,
    Skip {
        name: String,
        description: String,
    },
}

/// Parts and granules that came to a stage and left it.
#[derive(Default, Clone, Copy)]
struct Counts {
    parts_in: usize,
    parts_out: usize,
    granules_in: usize,
    granules_out: usize,
}

impl Counts {
    fn note(&mut self, before: usize, after: usize) {
        self.parts_in += (before > 0) as usize;
        self.parts_out += (after > 0) as usize;
        self.granules_in += before;
        self.granules_out += after;
    }
}

/// Prunes the parts of one table for one predicate, and gathers the report.
pub(crate) struct Pruner<'a> {
    table: &'a log::Table,
    /// What the parts are sorted by.
    primary_key: &'a [String],
    predicate: &'a Predicate,
    /// Which skip indexes of the definition may be used and say something here.
    skip: Vec<&'a SkipIndex>,
    pub(super) single_granules: bool,
    /// MinMax, Partition, PrimaryKey, GranuleMinMax, then one per skip index.
    counts: Vec<Counts>,
    report: PruningReport,
}

const FIXED_STAGES: usize = 4;

impl<'a> Pruner<'a> {
    pub(crate) fn new(
        table: &'a log::Table,
        indexes: &'a [Arc<SkipIndex>],
        predicate: &'a Predicate,
        options: &ScanOptions,
    ) -> Pruner<'a> {
        let skip: Vec<&SkipIndex> = indexes
            .iter()
            .map(Arc::as_ref)
            .filter(|i| {
                options.use_skip_indexes && !options.ignored_indexes.contains(&i.definition.name)
            })
            .filter(|i| predicate.restricts(&|leaf| i.usable(leaf)))
            .collect();
        let counts = vec![Counts::default(); FIXED_STAGES + skip.len()];
        let primary_key = &table.definition.primary_key;
        Pruner {
            table,
            primary_key,
            predicate,
            skip,
            single_granules: options.single_granules,
            counts,
            report: PruningReport::default(),
        }
    }

    /// For parts that are sorted in another way than the table.
    pub(crate) fn set_primary_key(&mut self, names: &'a [String]) {
        self.primary_key = names;
    }

    /// Whether a leaf is a condition on one of these columns or expressions.
    pub(crate) fn on(names: &[String]) -> impl Fn(&Predicate) -> bool + '_ {
        |leaf| {
            matches!(leaf, Predicate::Ranges(_))
                && leaf.column().is_some_and(|c| names.iter().any(|n| n == c))
        }
    }

    fn keys_of(&self, usable: &dyn Fn(&Predicate) -> bool) -> Vec<String> {
        let mut keys: Vec<String> = vec![];
        self.predicate.each_leaf(&mut |leaf| {
            if usable(leaf)
                && let Some(column) = leaf.column()
                && !keys.iter().any(|k| k == column)
            {
                keys.push(column.to_string());
            }
        });
        keys
    }

    pub(crate) fn report(self) -> PruningReport {
        let definition = &self.table.definition;
        let stored: Vec<String> = definition.columns.iter().map(|c| c.name.clone()).collect();
        let mut steps = vec![];
        let fixed = [
            (PruningStage::MinMax, &stored[..]),
            (PruningStage::Partition, &definition.partition_key[..]),
            (PruningStage::PrimaryKey, self.primary_key),
            (PruningStage::GranuleMinMax, &stored),
        ];
        let mut primary_key = vec![];
        for ((stage, names), counts) in fixed.into_iter().zip(&self.counts) {
            let usable = Self::on(names);
            let mut keys = vec![];
            if self.predicate.restricts(&usable) {
                keys = self.keys_of(&usable);
            }
            if stage == PruningStage::PrimaryKey {
                primary_key = keys.clone();
            }
            steps.push(step(stage, keys, self.predicate.text(&usable), counts));
        }
        for (index, counts) in self.skip.iter().zip(&self.counts[FIXED_STAGES..]) {
            let definition = &index.definition;
            let kind = definition.index_type.split('(').next().unwrap_or_default().trim();
            let stage = PruningStage::Skip {
                name: definition.name.clone(),
                description: format!("{kind} GRANULARITY {}", definition.granularity),
            };
            let condition = match kind {
                "minmax" | "set" => self.predicate.text(&|leaf| index.usable(leaf)),
                _ => String::new(),
            };
            steps.push(step(stage, vec![], condition, counts));
        }
        PruningReport { primary_key, steps, ..self.report }
    }

    /// The granules of `part` that may hold rows for which the predicate holds, ascending.
    pub(crate) fn prune(&mut self, part: &PartReader) -> Result<Vec<usize>> {
        let total = part.granules();
        self.report.parts_total += 1;
        self.report.granules_total += total;
        let known = Known::new(part, self.table, self.predicate);
        let mut left = total;
        for (stage, keep) in
            [known.part_may_match(), known.partition_may_match()].iter().enumerate()
        {
            let after = if *keep { left } else { 0 };
            self.counts[stage].note(left, after);
            left = after;
        }
        let mut granules: Vec<usize> = (0..left).collect();
        if known.has_keys() {
            granules.retain(|g| known.index_may_match(*g));
        }
        self.counts[2].note(left, granules.len());
        let before = granules.len();
        if !known.bindings.is_empty() {
            granules.retain(|g| known.granule_may_match(*g));
        }
        self.counts[3].note(before, granules.len());
        self.skip_indexes(part, &known, &mut granules)?;
        self.report.parts_selected += !granules.is_empty() as usize;
        self.report.granules_selected += granules.len();
        self.report.ranges_selected +=
            (0..granules.len()).filter(|i| *i == 0 || granules[i - 1] + 1 != granules[*i]).count();
        self.report.rows_selected +=
            granules.iter().map(|g| part.granule_rows(*g) as u64).sum::<u64>();
        Ok(granules)
    }

    fn skip_indexes(
        &mut self,
        part: &PartReader,
        known: &Known<'_>,
        granules: &mut Vec<usize>,
    ) -> Result<()> {
        let mut open = vec![];
        for (i, index) in self.skip.iter().enumerate() {
            let before = granules.len();
            let entry = part
                .skip_entries()
                .iter()
                .find(|e| e.is(&index.definition, part, &self.table.definition));
            if let Some(entry) = entry
                && before > 0
            {
                let data = part.skip_data(entry)?;
                let matches = |granule: usize| {
                    let run = granule / entry.granularity();
                    self.predicate.may_hold(&mut |leaf| entry.may_match(&data, run, leaf))
                };
                retain_runs(granules, entry.granularity(), &matches);
                open.push((entry, data));
            }
            self.counts[FIXED_STAGES + i].note(before, granules.len());
        }
        // Alternatives may be ruled out by different indexes.
        if !open.is_empty() && has_alternatives(self.predicate) {
            granules.retain(|g| {
                let key = known.key_intervals(*g);
                self.predicate.may_hold(&mut |leaf| {
                    known.leaf_may_match(leaf, *g, &key)
                        && open.iter().all(|(entry, data)| {
                            entry.may_match(data, g / entry.granularity(), leaf)
                        })
                })
            });
        }
        Ok(())
    }
}

fn has_alternatives(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Or(_) => true,
        Predicate::And(parts) => parts.iter().any(has_alternatives),
        _ => false,
    }
}

/// Asks once per run of granules.
fn retain_runs(granules: &mut Vec<usize>, granularity: usize, matches: &dyn Fn(usize) -> bool) {
    let mut last: Option<(usize, bool)> = None;
    granules.retain(|granule| {
        let run = granule / granularity;
        match last {
            Some((r, keep)) if r == run => keep,
            _ => {
                let keep = matches(*granule);
                last = Some((run, keep));
                keep
            }
        }
    });
}

fn step(stage: PruningStage, keys: Vec<String>, condition: String, counts: &Counts) -> PruningStep {
    PruningStep {
        stage,
        keys,
        condition,
        parts_before: counts.parts_in,
        parts_after: counts.parts_out,
        granules_before: counts.granules_in,
        granules_after: counts.granules_out,
    }
}

/// A leaf and what the part has to test it with.
struct Binding<'a> {
    leaf: *const Predicate,
    condition: &'a ColumnCondition,
    /// Position in the partition key.
    partition: Option<usize>,
    /// Position in the primary index.
    key: Option<usize>,
    /// Position among the part's columns.
    column: Option<usize>,
}

/// The predicate tied to a part.
struct Known<'a> {
    part: &'a PartReader,
    predicate: &'a Predicate,
    bindings: Vec<Binding<'a>>,
}

impl<'a> Known<'a> {
    fn new(part: &'a PartReader, table: &log::Table, predicate: &'a Predicate) -> Known<'a> {
        let mut bindings = vec![];
        predicate.each_leaf(&mut |leaf| {
            let Predicate::Ranges(condition) = leaf else { return };
            let text = &condition.column;
            // Values above 2^255 do not compare by `Value`'s order.
            let key = position(part.primary_index(), text).filter(|at| {
                *part.primary_index()[*at].column.data_type.inner() != DataType::UInt256
            });
            let column = table.definition.columns.iter().find(|c| c.name == *text);
            // Minima and maxima of another type would be compared wrongly.
            let column = column.filter(|column| ColumnReader::is_as_defined(part, column));
            let column = column.and_then(|column| part.column_index(column.id));
            bindings.push(Binding {
                leaf,
                condition,
                partition: position(part.partition(), text),
                key,
                column: column.filter(|at| part.column(*at).ranges.known()),
            });
        });
        bindings.retain(|b| b.partition.is_some() || b.key.is_some() || b.column.is_some());
        Known { part, predicate, bindings }
    }

    fn has_keys(&self) -> bool {
        self.bindings.iter().any(|b| b.key.is_some())
    }

    fn holds(&self, test: &dyn Fn(&Binding<'a>) -> bool) -> bool {
        self.predicate.may_hold(&mut |leaf| self.binding(leaf).is_none_or(test))
    }

    fn binding(&self, leaf: &Predicate) -> Option<&Binding<'a>> {
        self.bindings.iter().find(|b| std::ptr::eq(b.leaf, leaf))
    }

    fn partition_may_match(&self) -> bool {
        self.holds(&|b| self.leaf_in_partition(b))
    }

    fn leaf_in_partition(&self, binding: &Binding<'_>) -> bool {
        binding.partition.is_none_or(|at| {
            let value = self.part.partition()[at].column.value(0);
            interval_may_match(binding.condition, &value, &value)
        })
    }

    fn part_may_match(&self) -> bool {
        self.holds(&|b| self.leaf_in_part(b))
    }

    fn leaf_in_part(&self, binding: &Binding<'_>) -> bool {
        let (Some(at), condition) = (binding.column, binding.condition) else { return true };
        match self.part.part_range(at) {
            Some(range) => {
                range_may_match(condition, range)
                    || (condition.may_be_null
                        && (0..self.part.granules()).any(|g| self.part.nulls(at, g) > 0))
            }
            None => {
                condition.may_be_null
                    || !(0..self.part.granules()).all(|g| self.part.all_null(at, g))
            }
        }
    }

    /// A granule's keys lie between its first row and the first row of the next. A key column is
    /// ordered inside the granule only as long as the columns before it do not change: the intervals
    /// of those for which something is known.
    fn key_intervals(&self, granule: usize) -> Vec<(Value, Value)> {
        let mut intervals = vec![];
        let needed = self.bindings.iter().filter_map(|b| b.key).max().map_or(0, |at| at + 1);
        for key in &self.part.primary_index()[..needed] {
            let (first, last) = (key.column.value(granule), key.column.value(granule + 1));
            let changes = first != last;
            intervals.push((first, last));
            if changes {
                break;
            }
        }
        intervals
    }

    fn index_may_match(&self, granule: usize) -> bool {
        let intervals = self.key_intervals(granule);
        self.holds(&|b| leaf_in_key(b, &intervals))
    }

    /// All that is known about the granule, together.
    fn granule_may_match(&self, granule: usize) -> bool {
        let intervals = self.key_intervals(granule);
        self.predicate.may_hold(&mut |leaf| self.leaf_may_match(leaf, granule, &intervals))
    }

    fn leaf_may_match(
        &self,
        leaf: &Predicate,
        granule: usize,
        intervals: &[(Value, Value)],
    ) -> bool {
        self.binding(leaf).is_none_or(|b| {
            self.leaf_in_granule(b, granule)
                && leaf_in_key(b, intervals)
                && self.leaf_in_partition(b)
        })
    }

    fn leaf_in_granule(&self, binding: &Binding<'_>, granule: usize) -> bool {
        let (Some(at), condition) = (binding.column, binding.condition) else { return true };
        if condition.may_be_null && self.part.nulls(at, granule) > 0 {
            return true;
        }
        if self.part.all_null(at, granule) {
            return false;
        }
        self.part.range(at, granule).is_none_or(|range| range_may_match(condition, &range))
    }
}

fn leaf_in_key(binding: &Binding<'_>, intervals: &[(Value, Value)]) -> bool {
    binding
        .key
        .and_then(|at| intervals.get(at))
        .is_none_or(|(first, last)| interval_may_match(binding.condition, first, last))
}

fn position(key: &[crate::part::KeyColumn], text: &str) -> Option<usize> {
    key.iter().position(|k| k.text == text)
}

/// Whether a value of `[first, last]` may match, where NULL sorts after all values.
pub(crate) fn interval_may_match(condition: &ColumnCondition, first: &Value, last: &Value) -> bool {
    if condition.may_be_null && last.is_null() {
        return true;
    }
    !first.is_null() && any_overlap(condition, first, last)
}

pub(crate) fn range_may_match(condition: &ColumnCondition, (low, high): &Range) -> bool {
    // Without an upper bound: NULL sorts after everything.
    any_overlap(condition, low, high.as_ref().unwrap_or(&Value::Null))
}

fn any_overlap(condition: &ColumnCondition, low: &Value, high: &Value) -> bool {
    condition.ranges.iter().any(|range| range.overlaps(low, high))
}
