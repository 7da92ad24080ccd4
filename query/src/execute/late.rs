//! ORDER BY … LIMIT over a wide scan: the sort runs over the columns that it and the filter need, and
//! a number that says where each row lies; the other columns are read for the few rows that are left.
//!
//! Only over tables whose scans can be read again by row, and where the columns saved are worth a
//! second look. The rows are those of one open scan, so both looks see the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{BooleanArray, UInt64Array};
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::expression::evaluate_all;
use super::pipeline::{Consumer, Driven, Ordered, emit_in_order, for_each_index};
use super::sort::{drive_sort, interleave};
use super::transform::block_of;
use super::{Env, Gather};
use crate::catalog::MorselSource;
use crate::error::{Error, Result, codes};
use crate::optimize::scan_outputs::{Uses, size_name, size_type, with_sizes};
use crate::optimize::shape::{is_volatile, mark, renumber, replace_columns};
use crate::plan::{BoundExpr, Plan, PlanNode, ScanHints, SortKey};

/// More rows are not fetched one by one.
const ROWS_MAX: u64 = 4096;
/// Bytes a row, by a guess, that must be saved.
const BYTES_MIN: u32 = 24;

/// A sort with a limit, cut in two.
pub(super) struct Late<'p> {
    scan: &'p Plan,
    opened: Arc<dyn MorselSource>,
    /// The sort over few columns; its last column is the row's place.
    first: Plan,
    keys: Vec<SortKey>,
    limit: u64,
    /// Columns of the scan that `first` reads, and those that are read later.
    early: Vec<usize>,
    later: Vec<usize>,
    /// The sort's output over the scan's columns.
    exprs: Vec<BoundExpr>,
}

impl<'p> Late<'p> {
    /// The plan in two steps, if that pays.
    pub fn of(
        input: &'p Plan,
        keys: &[SortKey],
        limit: Option<u64>,
        env: &Env,
    ) -> Option<Late<'p>> {
        let limit = limit.filter(|l| (1..=ROWS_MAX).contains(l))?;
        if keys.iter().any(|k| k.fill.is_some()) {
            return None;
        }
        let mut exprs: Vec<BoundExpr> = crate::optimize::shape::all_columns(&input.schema);
        let (filter, scan) = descend(input, &mut exprs)?;
        let PlanNode::Scan { source, columns, conditions, prewhere, final_, sample, hints } =
            &scan.node
        else {
            return None;
        };
        let stored = source.engine().ends_with("MergeTree");
        if !stored || *final_ || sample.is_some() || hints.opened.is_some() {
            return None;
        }
        let mut keys = keys.to_vec();
        for key in &mut keys {
            let below = exprs.clone();
            replace_columns(&mut key.expr, &|i| below.get(i).cloned());
        }
        let width = columns.len();
        let behind = Uses::of(width, keys.iter().map(|k| &k.expr).chain(filter));
        let first = Uses::of(width, keys.iter().map(|k| &k.expr).chain(filter).chain(prewhere));
        // Of strings of which only the size matters at first, the size is read.
        let sized: Vec<(usize, String)> = (0..width)
            .filter(|i| first.only_sizes(*i))
            .filter_map(|i| {
                let name = size_name(source.as_ref(), &columns[i], &scan.schema[i].1)?;
                (!columns.contains(&name)).then_some((i, name))
            })
            .collect();
        let is_sized = |i: usize| sized.iter().any(|(s, _)| *s == i);
        let early: Vec<usize> =
            (0..width).filter(|i| (first.values[*i] || first.sizes[*i]) && !is_sized(*i)).collect();
        // What only PREWHERE looks at need not come out of the first look.
        let kept = |i: usize| (behind.values[i] || behind.sizes[i]) && !is_sized(i);
        let mut wanted = vec![false; width];
        exprs.iter().for_each(|e| mark(e, &mut wanted));
        let later: Vec<usize> = (0..width).filter(|i| wanted[*i] && !kept(*i)).collect();
        let saved: u32 = later.iter().map(|i| crate::optimize::bytes_of(&scan.schema[*i].1)).sum();
        if saved < BYTES_MIN || (early.is_empty() && sized.is_empty()) {
            return None;
        }
        let opened =
            super::scan::open(source.as_ref(), columns, conditions, hints, false, env).ok()?;
        if !opened.morsel_count().is_some_and(|n| (0..n).all(|i| opened.rows_hint(i).is_some())) {
            return None;
        }
        let place = |i: usize| match sized.iter().position(|(s, _)| *s == i) {
            Some(at) => early.len() + at,
            None => early.iter().position(|e| *e == i).unwrap_or(0),
        };
        let moved = |expr: &BoundExpr| {
            let mut expr = expr.clone();
            // A size still goes by the number of its column.
            with_sizes(&mut expr, &|i| is_sized(i).then_some(i));
            renumber(&mut expr, &place);
            expr
        };
        keys.iter_mut().for_each(|k| k.expr = moved(&k.expr));
        let mut schema: Vec<(String, DataType)> =
            early.iter().map(|i| scan.schema[*i].clone()).collect();
        let mut names: Vec<String> = early.iter().map(|i| columns[*i].clone()).collect();
        for (i, name) in &sized {
            schema.push((name.clone(), size_type(&scan.schema[*i].1)));
            names.push(name.clone());
        }
        schema.push((String::new(), DataType::UInt64));
        let unread = names
            .iter()
            .zip(early.iter().chain(sized.iter().map(|(i, _)| i)))
            .filter(|(_, i)| !behind.values[**i] && !behind.sizes[**i])
            .map(|(name, _)| name.clone())
            .collect();
        let node = PlanNode::Scan {
            source: source.clone(),
            columns: names,
            conditions: vec![],
            prewhere: prewhere.as_ref().map(moved),
            final_: false,
            sample: None,
            hints: Box::new(ScanHints {
                opened: Some(opened.clone()),
                unread,
                ..ScanHints::default()
            }),
        };
        let mut first = Plan { node, schema: schema.clone() };
        if let Some(predicate) = filter {
            let predicate = moved(predicate);
            first = Plan { node: PlanNode::Filter { input: Box::new(first), predicate }, schema };
        }
        Some(Late { scan, opened, first, keys, limit, early, later, exprs })
    }

    pub fn drive(
        &self,
        schema: &[(String, DataType)],
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<Driven> {
        let gather = Gather { blocks: vec![], memory: env.ctx.memory.reserve(0)? };
        let ordered = Ordered::new(gather, 0, env.threads);
        drive_sort(&self.first, &self.keys, Some(self.limit), env, 0, &ordered)?;
        let found = ordered.into_inner();
        if found.blocks.is_empty() {
            let morsels = emit_in_order(&env.ctx, [], base, consumer)?;
            return Ok(Driven { morsels, totals: None });
        }
        let found = Block::concat(&found.blocks)?;
        let rows = found.rows();
        let whole = self.fetch(found, env)?;
        let columns = evaluate_all(&self.exprs, &whole, &env.ctx)?;
        let block = block_of(schema, columns, rows);
        let morsels = emit_in_order(&env.ctx, [Ok(block)], base, consumer)?;
        Ok(Driven { morsels, totals: None })
    }

    /// The rows with all columns of the scan.
    fn fetch(&self, found: Block, env: &Env) -> Result<Block> {
        let rows = found.rows();
        let places: Vec<(usize, usize)> = match found.columns.last() {
            Some(column) => (0..rows).map(|row| place_of(&column.value(row))).collect(),
            None => vec![],
        };
        let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (morsel, row) in &places {
            wanted.entry(*morsel).or_default().push(*row);
        }
        wanted.values_mut().for_each(|rows| rows.sort_unstable());
        let groups: Vec<(&usize, &Vec<usize>)> = wanted.iter().collect();
        let names: Vec<String> =
            self.later.iter().map(|i| self.scan_columns()[*i].clone()).collect();
        let read: Vec<Mutex<Option<Block>>> = groups.iter().map(|_| Mutex::new(None)).collect();
        for_each_index(&env.ctx, groups.len(), env.threads, &|g| {
            let (morsel, rows) = groups[g];
            let total = self.opened.rows_hint(*morsel).unwrap_or(0);
            let mut keep = arrow_array::builder::BooleanBufferBuilder::new(total);
            keep.append_n(total, false);
            rows.iter().for_each(|row| keep.set_bit(*row, true));
            let keep = BooleanArray::new(keep.finish(), None);
            *read[g].lock() = self.opened.read_columns(*morsel, &names, Some(&keep))?;
            Ok(())
        })?;
        let blocks: Option<Vec<Block>> = read.into_iter().map(Mutex::into_inner).collect();
        let lost = || Error::new(codes::LOGICAL_ERROR, "rows vanished between two looks");
        let blocks = blocks.ok_or_else(lost)?;
        let mut sources = Vec::with_capacity(rows);
        for (morsel, row) in &places {
            let group = groups.binary_search_by_key(morsel, |(m, _)| **m).map_err(|_| lost())?;
            let at = groups[group].1.binary_search(row).map_err(|_| lost())?;
            sources.push((group, at));
        }
        let later = interleave(&blocks, &sources)?;
        let mut whole = Block::of_rows(rows);
        for (i, (name, data_type)) in self.scan.schema.iter().enumerate() {
            let early = self.early.iter().position(|e| *e == i).map(|at| &found.columns[at]);
            let late = self.later.iter().position(|e| *e == i).map(|at| &later.columns[at]);
            let column = match late.or(early) {
                Some(column) => Column { data_type: data_type.clone(), ..column.clone() },
                None => Column::default_values(data_type.clone(), rows),
            };
            whole.push(name.clone(), column);
        }
        Ok(whole)
    }

    fn scan_columns(&self) -> &[String] {
        match &self.scan.node {
            PlanNode::Scan { columns, .. } => columns,
            _ => &[],
        }
    }
}

/// Follows projections down to a filter and a scan; `exprs` become expressions over the scan.
fn descend<'p>(
    plan: &'p Plan,
    exprs: &mut Vec<BoundExpr>,
) -> Option<(Option<&'p BoundExpr>, &'p Plan)> {
    match &plan.node {
        PlanNode::Project { input, exprs: own } => {
            if own.iter().any(is_volatile) {
                return None;
            }
            exprs.iter_mut().for_each(|e| replace_columns(e, &|i| own.get(i).cloned()));
            descend(input, exprs)
        }
        PlanNode::Filter { input, predicate } if matches!(input.node, PlanNode::Scan { .. }) => {
            (!is_volatile(predicate)).then_some((Some(predicate), &**input))
        }
        PlanNode::Scan { .. } => Some((None, plan)),
        _ => None,
    }
}

/// Where the rows of a morsel lie, those that `keep` keeps.
pub(super) fn locators(morsel: usize, rows: usize, keep: Option<&BooleanArray>) -> Column {
    let at = (morsel as u64) << 32;
    let numbers: UInt64Array = match keep {
        None => (0..rows as u64).map(|row| at | row).collect::<Vec<_>>().into(),
        // Flags of chosen rows are never NULL.
        Some(keep) => {
            keep.values().set_indices().map(|row| at | row as u64).collect::<Vec<_>>().into()
        }
    };
    Column { data_type: DataType::UInt64, array: Arc::new(numbers) }
}

fn place_of(value: &Value) -> (usize, usize) {
    let number = value.as_u64().unwrap_or(0);
    ((number >> 32) as usize, (number & u32::MAX as u64) as usize)
}
