//! PREWHERE while a morsel is read: its conditions one after the other, the cheapest and most selective
//! first; each reads only the columns that it adds, and only of the rows that passed those before.

use arrow_array::BooleanArray;
use arrow_array::builder::BooleanBufferBuilder;
use pumphouse_storage::{Block, Column, DataType};

use super::expression::{evaluate_mask, mark_columns, renumber, walk};
use crate::catalog::MorselSource;
use crate::context::QueryContext;
use crate::error::Result;
use crate::optimize::prewhere::rank;
use crate::optimize::shape::{conjunction, conjuncts};
use crate::plan::BoundExpr;

/// PREWHERE split up: its steps, and what is read when all have passed.
pub(super) struct Prewhere {
    steps: Vec<Step>,
    pub others: Vec<String>,
    /// Places of the steps' columns and then of `others` in the scan's output.
    pub places: Vec<usize>,
}

struct Step {
    /// Over the columns of the steps so far.
    predicate: BoundExpr,
    /// What it reads that no step before has read.
    columns: Vec<String>,
}

/// What of a morsel passed.
pub(super) struct Passed {
    /// Columns of all steps, rows that passed.
    pub columns: Vec<Column>,
    /// One flag per row of the morsel; None if all passed.
    pub mask: Option<BooleanArray>,
    pub kept: usize,
    /// Rows of the morsel.
    pub rows: usize,
    pub bytes: usize,
}

impl Prewhere {
    pub fn new(
        predicate: &BoundExpr,
        columns: &[String],
        schema: &[(String, DataType)],
    ) -> Prewhere {
        let used_by = |expr: &BoundExpr| {
            let mut used = vec![false; columns.len()];
            mark_columns(expr, &mut used);
            used
        };
        let mut parts = vec![];
        conjuncts(predicate.clone(), &mut parts);
        if parts.iter().all(never_fails) {
            parts.sort_by(|a, b| rank(a, schema).total_cmp(&rank(b, schema)));
        }
        let (mut steps, mut places, mut numbers) = (vec![], vec![], vec![0; columns.len()]);
        let mut read = vec![false; columns.len()];
        while !parts.is_empty() {
            let first = used_by(&parts[0]);
            let new: Vec<usize> = (0..columns.len()).filter(|i| first[*i] && !read[*i]).collect();
            for i in &new {
                (read[*i], numbers[*i]) = (true, places.len());
                places.push(*i);
            }
            // All that these columns suffice for goes along.
            let (along, rest): (Vec<_>, Vec<_>) = parts
                .into_iter()
                .partition(|p| used_by(p).iter().zip(&read).all(|(used, read)| !used || *read));
            parts = rest;
            if let Some(predicate) = conjunction(along) {
                steps.push(Step {
                    predicate: renumber(&predicate, &numbers),
                    columns: new.iter().map(|i| columns[*i].clone()).collect(),
                });
            }
        }
        let others: Vec<usize> = (0..columns.len()).filter(|i| !read[*i]).collect();
        let names = others.iter().map(|i| columns[*i].clone()).collect();
        places.extend(others);
        Prewhere { steps, others: names, places }
    }

    /// Tests morsel `index`; None if there is no such morsel.
    pub fn read(
        &self,
        morsels: &dyn MorselSource,
        index: usize,
        ctx: &QueryContext,
    ) -> Result<Option<Passed>> {
        let mut passed = Passed { columns: vec![], mask: None, kept: 0, rows: 0, bytes: 0 };
        for (number, step) in self.steps.iter().enumerate() {
            if number == 0 || !step.columns.is_empty() {
                let read = morsels.read_columns(index, &step.columns, passed.mask.as_ref())?;
                let Some(read) = read else { return Ok(None) };
                if number == 0 {
                    (passed.rows, passed.kept) = (read.rows(), read.rows());
                }
                passed.bytes += read.memory_bytes();
                passed.columns.extend(read.columns);
            }
            let mut block = Block::of_rows(passed.kept);
            for column in &passed.columns {
                block.push("", column.clone());
            }
            let mask = evaluate_mask(&step.predicate, &block, ctx)?;
            let kept = mask.true_count();
            if kept < passed.kept {
                passed.columns = passed.columns.iter().map(|c| c.filter(&mask)).collect();
                passed.mask = Some(match &passed.mask {
                    None => mask,
                    Some(before) => within(before, &mask),
                });
                passed.kept = kept;
            }
            if kept == 0 {
                break;
            }
        }
        Ok(Some(passed))
    }
}

/// Whether the condition cannot fail on any row, so that it need not wait for those before it.
fn never_fails(part: &BoundExpr) -> bool {
    const SAFE: &[&str] = &[
        "equals",
        "notEquals",
        "less",
        "lessOrEquals",
        "greater",
        "greaterOrEquals",
        "and",
        "or",
        "not",
        "like",
        "notLike",
        "ilike",
        "startsWith",
        "endsWith",
        "hasToken",
        "has",
        "empty",
        "notEmpty",
        "isNull",
        "isNotNull",
        "length",
        "lower",
        "upper",
    ];
    let mut safe = true;
    walk(part, &mut |e| {
        if let BoundExpr::Call { function, .. } = e {
            safe &= SAFE.contains(&function.name());
        }
    });
    safe
}

/// `mask`, which has one flag per true of `before`, at the places of those.
fn within(before: &BooleanArray, mask: &BooleanArray) -> BooleanArray {
    let mut flags = BooleanBufferBuilder::new(before.len());
    flags.append_n(before.len(), false);
    for (row, passes) in before.values().set_indices().zip(mask.values().iter()) {
        if passes {
            flags.set_bit(row, true);
        }
    }
    BooleanArray::new(flags.finish(), None)
}
