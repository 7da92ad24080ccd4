//! PREWHERE while a morsel is read: its conditions one after the other, the cheapest and most selective
//! first; each reads only the columns that it adds, and only of the rows that passed those before.
//!
//! A condition on one column is tested on the values that the column is stored with, each once, where
//! it cannot fail on rows that are not there. The bound of a sort with a limit ([`TopHint`]) is one
//! more condition on the sort's first column.

use arrow_array::BooleanArray;
use pumphouse_storage::scan::Wanted;
use pumphouse_storage::spread::{count_flags, deposit};
use pumphouse_storage::{Block, Column, DataType};

use super::expression::{evaluate_mask, mark_columns, renumber, walk};
use super::runtime_filter::is_runtime_filter;
use super::top::TopHint;
use crate::catalog::MorselSource;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::optimize::prewhere::{rank, rank_of};
use crate::optimize::shape::{conjunction, conjuncts, set_values};
use crate::plan::BoundExpr;

/// PREWHERE split up: its steps, and what is read when all have passed.
pub(super) struct Prewhere {
    steps: Vec<Step>,
    pub others: Vec<String>,
    /// Hash of the whole condition, if what rows it passes may be remembered.
    pub condition: Option<u128>,
    /// Places of the steps' columns and then of `others` in the scan's output.
    pub places: Vec<usize>,
    /// Types of the steps' columns.
    types: Vec<DataType>,
    /// Of each of the steps' columns: the last step that looks at it, if nobody does later.
    dropped_after: Vec<Option<usize>>,
    /// Of each of the steps' columns: whether it may be a dictionary.
    coded: Vec<bool>,
}

struct Step {
    /// Over the columns `uses`; None: only the bound.
    predicate: Option<BoundExpr>,
    /// Numbers of the steps' columns that it looks at.
    uses: Vec<usize>,
    /// What it reads that no step before has read: numbers and names.
    columns: Vec<(usize, String)>,
    /// Whether the one column it reads is tested by its values.
    by_value: bool,
    /// Whether that column is the first one that a sort above orders by.
    bounded: bool,
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

/// What a scan reads, as PREWHERE needs to know it.
pub(super) struct Scanned<'a> {
    pub columns: &'a [String],
    pub schema: &'a [(String, DataType)],
    /// Columns whose values nobody looks at behind PREWHERE.
    pub unread: &'a [String],
    /// The column that a sort above orders by first.
    pub key: Option<usize>,
    /// Columns that may be dictionaries.
    pub coded: &'a [String],
    /// Names of filters of joins, and about which share of rows passes each.
    pub shares: &'a [(String, f64)],
}

impl Scanned<'_> {
    /// The smaller, the earlier a condition should be tested.
    fn rank(&self, part: &BoundExpr) -> f64 {
        if let BoundExpr::Call { function, .. } = part
            && let Some((_, share)) = self.shares.iter().find(|(name, _)| name == function.name())
        {
            return rank_of(part, *share, self.schema);
        }
        rank(part, self.schema)
    }
}

impl Prewhere {
    pub fn new(predicate: Option<&BoundExpr>, scanned: &Scanned, key_first: bool) -> Prewhere {
        let mut parts = vec![];
        if let Some(predicate) = predicate {
            conjuncts(predicate.clone(), &mut parts);
        }
        let safe = parts.iter().all(never_fails);
        if safe {
            parts.sort_by(|a, b| scanned.rank(a).total_cmp(&scanned.rank(b)));
        }
        let mut build = Build::new(scanned, safe);
        if let Some(key) = scanned.key.filter(|_| key_first && safe) {
            build.step(vec![key], &mut parts);
        }
        while !parts.is_empty() {
            let first = build.used_by(&parts[0]);
            let new = (0..first.len()).filter(|i| first[*i] && !build.read[*i]).collect();
            build.step(new, &mut parts);
        }
        build.finish()
    }

    /// The same; which morsels hold no row that passes is remembered by the table.
    pub fn remembered(
        self,
        predicate: &BoundExpr,
        schema: &[(String, DataType)],
        ctx: &QueryContext,
    ) -> Prewhere {
        let wanted = ctx.settings.bool("use_query_condition_cache", true);
        let condition = if wanted { condition_hash(predicate, schema, ctx) } else { None };
        Prewhere { condition, ..self }
    }

    /// Tests morsel `index`, of the rows that `keep` keeps; None if there is no such morsel.
    pub fn read(
        &self,
        morsels: &dyn MorselSource,
        index: usize,
        keep: Option<BooleanArray>,
        top: Option<&TopHint>,
        ctx: &QueryContext,
    ) -> Result<Option<Passed>> {
        let mut state = State {
            rows: keep.as_ref().map(BooleanArray::len),
            kept: keep.as_ref().map(BooleanArray::true_count),
            mask: keep,
            columns: vec![None; self.types.len()],
            bytes: 0,
        };
        for (number, step) in self.steps.iter().enumerate() {
            let passes = match step.by_value {
                true => self.read_by_value(step, number, &mut state, morsels, index, top, ctx)?,
                false => self.read_by_row(step, &mut state, morsels, index, ctx)?,
            };
            let Some(mask) = passes else { return Ok(None) };
            if let Some(mask) = mask {
                state.cut(mask);
            }
            for (column, last) in state.columns.iter_mut().zip(&self.dropped_after) {
                if *last == Some(number) {
                    *column = None;
                }
            }
            if state.kept == Some(0) {
                break;
            }
        }
        let kept = state.kept.unwrap_or(0);
        let columns = state.columns.into_iter().zip(&self.types).map(|(column, data_type)| {
            column.unwrap_or_else(|| Column::default_values(data_type.clone(), kept))
        });
        Ok(Some(Passed {
            columns: columns.collect(),
            mask: state.mask,
            kept,
            rows: state.rows.unwrap_or(0),
            bytes: state.bytes,
        }))
    }

    /// One flag per row that was left, of columns already filtered by it (None: all pass).
    fn read_by_value(
        &self,
        step: &Step,
        number: usize,
        state: &mut State,
        morsels: &dyn MorselSource,
        index: usize,
        top: Option<&TopHint>,
        ctx: &QueryContext,
    ) -> Result<Option<Option<BooleanArray>>> {
        let Some((place, name)) = step.columns.first() else { return Ok(Some(None)) };
        let bound = top.filter(|_| step.bounded).and_then(|top| top.bound(&self.types[*place]));
        let predicate = match (&step.predicate, bound) {
            (Some(own), Some(bound)) => conjunction(vec![own.clone(), bound]),
            (own, bound) => own.clone().or(bound),
        };
        let mut test = |values: &Column| {
            let mut block = Block::of_rows(values.len());
            block.push("", values.clone());
            match &predicate {
                Some(predicate) => evaluate_mask(predicate, &block, ctx),
                None => Ok(BooleanArray::from(vec![true; values.len()])),
            }
        };
        let wanted = match self.dropped_after[*place] == Some(number) {
            true => Wanted::Nothing,
            false if self.coded[*place] => Wanted::Codes,
            false => Wanted::Rows,
        };
        let keep = state.mask.as_ref();
        let chosen = morsels.read_where(index, name, keep, Some(&mut test), wanted)?;
        let Some(chosen) = chosen else { return Ok(None) };
        state.begin(chosen.rows);
        state.bytes += chosen.column.as_ref().map_or(chosen.rows, Column::memory_bytes);
        let mask = chosen.mask;
        if let Some(column) = chosen.column {
            // The state is cut by the mask right away: what came in cut already must wait.
            let before = state.columns[*place].replace(column);
            debug_assert!(before.is_none(), "a column is read once");
            if let Some(mask) = mask {
                let column = state.columns[*place].take();
                state.cut(mask);
                state.columns[*place] = column;
            }
            return Ok(Some(None));
        }
        Ok(Some(mask))
    }

    fn read_by_row(
        &self,
        step: &Step,
        state: &mut State,
        morsels: &dyn MorselSource,
        index: usize,
        ctx: &QueryContext,
    ) -> Result<Option<Option<BooleanArray>>> {
        if state.rows.is_none() || !step.columns.is_empty() {
            let names: Vec<String> = step.columns.iter().map(|(_, name)| name.clone()).collect();
            let read = morsels.read_columns(index, &names, state.mask.as_ref())?;
            let Some(read) = read else { return Ok(None) };
            state.begin(read.rows());
            state.bytes += read.memory_bytes();
            for ((place, _), column) in step.columns.iter().zip(read.columns) {
                state.columns[*place] = Some(column);
            }
        }
        let Some(predicate) = &step.predicate else { return Ok(Some(None)) };
        let kept = state.kept.unwrap_or(0);
        let mut block = Block::of_rows(kept);
        for place in &step.uses {
            let column = state.columns[*place].clone().ok_or_else(|| {
                Error::new(codes::LOGICAL_ERROR, "PREWHERE looks at a column that is gone")
            })?;
            block.push("", column);
        }
        let mask = evaluate_mask(predicate, &block, ctx)?;
        Ok(Some(Some(mask).filter(|m| count_flags(m.values()) < kept)))
    }
}

/// A morsel between two steps.
struct State {
    /// Rows of the morsel, and of those the ones that are left; None before anything was read.
    rows: Option<usize>,
    kept: Option<usize>,
    mask: Option<BooleanArray>,
    columns: Vec<Option<Column>>,
    bytes: usize,
}

impl State {
    /// The first read says how many rows there are.
    fn begin(&mut self, rows: usize) {
        self.rows.get_or_insert(rows);
        self.kept.get_or_insert(rows);
    }

    /// Keeps the rows of `mask`, which has one flag per row that is left.
    fn cut(&mut self, mask: BooleanArray) {
        for column in self.columns.iter_mut().flatten() {
            *column = column.filter(&mask);
        }
        self.kept = Some(count_flags(mask.values()));
        self.mask = Some(match &self.mask {
            None => mask,
            Some(before) => BooleanArray::new(deposit(before.values(), mask.values()), None),
        });
    }
}

/// Steps as they are put together.
struct Build<'a> {
    scanned: &'a Scanned<'a>,
    /// Whether no condition can fail, so that the order of rows and conditions does not matter.
    safe: bool,
    steps: Vec<Step>,
    places: Vec<usize>,
    numbers: Vec<usize>,
    read: Vec<bool>,
}

impl<'a> Build<'a> {
    fn new(scanned: &'a Scanned<'a>, safe: bool) -> Build<'a> {
        let width = scanned.columns.len();
        Build {
            scanned,
            safe,
            steps: vec![],
            places: vec![],
            numbers: vec![0; width],
            read: vec![false; width],
        }
    }

    fn used_by(&self, expr: &BoundExpr) -> Vec<bool> {
        let mut used = vec![false; self.read.len()];
        mark_columns(expr, &mut used);
        used
    }

    /// Adds the steps that read columns `new`, with all of `parts` that those suffice for.
    fn step(&mut self, new: Vec<usize>, parts: &mut Vec<BoundExpr>) {
        for i in &new {
            (self.read[*i], self.numbers[*i]) = (true, self.places.len());
            self.places.push(*i);
        }
        let suffices = |build: &Build, p: &BoundExpr| {
            build.used_by(p).iter().zip(&build.read).all(|(used, read)| !used || *read)
        };
        let (mut along, rest): (Vec<_>, Vec<_>) =
            std::mem::take(parts).into_iter().partition(|p| suffices(self, p));
        *parts = rest;
        if self.safe && new.len() == 1 {
            let only = |build: &Build, p: &BoundExpr| {
                build.used_by(p).iter().enumerate().all(|(i, used)| *used == (i == new[0]))
            };
            let (alone, more): (Vec<_>, Vec<_>) = along.into_iter().partition(|p| only(self, p));
            let is_key = self.scanned.key == Some(new[0]);
            if !alone.is_empty() || is_key {
                self.push(new, alone, true, is_key);
                along = more;
                if !along.is_empty() {
                    self.push(vec![], along, false, false);
                }
                return;
            }
            along = more;
        }
        self.push(new, along, false, false);
    }

    fn push(&mut self, new: Vec<usize>, parts: Vec<BoundExpr>, by_value: bool, bounded: bool) {
        let mut used = vec![false; self.read.len()];
        parts.iter().for_each(|p| mark_columns(p, &mut used));
        let uses: Vec<usize> = (0..used.len()).filter(|i| used[*i]).collect();
        let mut order = vec![0; used.len()];
        uses.iter().enumerate().for_each(|(at, i)| order[*i] = at);
        let predicate = conjunction(parts).map(|p| renumber(&p, &order));
        self.steps.push(Step {
            predicate,
            uses: uses.iter().map(|i| self.numbers[*i]).collect(),
            columns: new
                .iter()
                .map(|i| (self.numbers[*i], self.scanned.columns[*i].clone()))
                .collect(),
            by_value,
            bounded,
        });
    }

    fn finish(mut self) -> Prewhere {
        let Scanned { columns, schema, unread, coded: scanned_coded, .. } = self.scanned;
        // What is looked at again by a later step is read as rows.
        let coded = self.places.iter().enumerate().map(|(number, i)| {
            let uses = self.steps.iter().filter(|s| s.uses.contains(&number) && !s.by_value);
            scanned_coded.contains(&columns[*i]) && uses.count() == 0
        });
        let coded = coded.collect();
        let types = self.places.iter().map(|i| schema[*i].1.clone()).collect();
        let dropped_after = self
            .places
            .iter()
            .enumerate()
            .map(|(number, i)| {
                let looks = |s: &Step| {
                    s.uses.contains(&number) || s.columns.iter().any(|(n, _)| *n == number)
                };
                unread.contains(&columns[*i]).then(|| self.steps.iter().rposition(looks)).flatten()
            })
            .collect();
        let others: Vec<usize> = (0..columns.len()).filter(|i| !self.read[*i]).collect();
        let names = others.iter().map(|i| columns[*i].clone()).collect();
        self.places.extend(others);
        Prewhere {
            condition: None,
            steps: self.steps,
            others: names,
            places: self.places,
            types,
            dropped_after,
            coded,
        }
    }
}

/// A hash that only the same condition on the same columns has, under the same settings; None if what
/// it says may change.
fn condition_hash(
    predicate: &BoundExpr,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<u128> {
    let mut text = format!("{:?}\0{:?}\0", ctx.time_zone, ctx.settings.values);
    stable_text(predicate, schema, &mut text).then(|| xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// Appends what the expression is; false if it cannot be said, or may yield something else later.
fn stable_text(expr: &BoundExpr, schema: &[(String, DataType)], out: &mut String) -> bool {
    use std::fmt::Write;
    match expr {
        BoundExpr::Column { index, data_type } => {
            let Some((name, _)) = schema.get(*index) else { return false };
            write!(out, "c{}:{name}:{data_type} ", name.len()).is_ok()
        }
        BoundExpr::Constant { value, data_type } => {
            let value = format!("{value:?}");
            write!(out, "v{}:{value}:{data_type} ", value.len()).is_ok()
        }
        BoundExpr::LambdaParameter { depth, index, data_type } => {
            write!(out, "p{depth}:{index}:{data_type} ").is_ok()
        }
        BoundExpr::Lambda { parameters, body } => {
            write!(out, "l{parameters:?} ").is_ok() && stable_text(body, schema, out)
        }
        // The content of dictionaries changes.
        BoundExpr::Call { function, arguments, data_type } => {
            function.deterministic()
                && !function.name().starts_with("dict")
                && !function.name().starts_with("joinGet")
                && write!(out, "f{}:{}:{data_type} ", function.name(), arguments.len()).is_ok()
                && arguments.iter().all(|a| stable_text(a, schema, out))
        }
        BoundExpr::InSet { expr, set, negated } => match set_values(set) {
            Some(rows) => {
                write!(out, "s{negated}:{:?}:{rows:?} ", set.element_types).is_ok()
                    && stable_text(expr, schema, out)
            }
            None => false,
        },
        BoundExpr::Scalar { .. } => false,
    }
}

/// Whether the condition cannot fail on any row, so that it need not wait for those before it.
pub(crate) fn never_fails(part: &BoundExpr) -> bool {
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
        "notILike",
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
        "position",
        "positionCaseInsensitive",
        "toDate",
        "toYYYYMM",
        "toStartOfMonth",
        "toStartOfHour",
        "toHour",
        "toMinute",
    ];
    let mut safe = true;
    walk(part, &mut |e| {
        if let BoundExpr::Call { function, arguments, .. } = e {
            // Of a text, toDate and its kin may fail.
            let of_text = function.name().starts_with("to")
                && arguments.iter().any(|a| !a.data_type().inner().is_date_or_time());
            let name = function.name();
            safe &= (SAFE.contains(&name) && !of_text) || is_runtime_filter(name);
        }
    });
    safe
}
