//! Reading tables: morsels of a source on all threads, PREWHERE first where there is one.
//!
//! With PREWHERE only its columns are read at first, then the others for the rows that passed. Rows
//! and bytes read are counted here, and the limits on them enforced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::BooleanArray;
use pumphouse_storage::scan::{Chosen, ColumnCondition, Wanted};
use pumphouse_storage::spread::count_flags;
use pumphouse_storage::{Block, Column, DataType};

use super::expression::evaluate_mask;
use super::pipeline::{Consumer, Driven, Flow, PARALLEL_ROWS_MIN, supply};
use super::prewhere::{Prewhere, Scanned, never_fails};
use super::runtime_filter::RuntimeFilter;
use super::top::TopHint;
use super::{Env, late};
use crate::catalog::{MorselSource, PROJECTION_ENGINE, TableSource};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::optimize::predicate::filled_set_conditions;
use crate::plan::{BoundExpr, ScanHints};

/// Morsels up to which each is asked for its rows; beyond, the table's own count does.
const HINTS_MAX: usize = 100_000;

/// Below this many rows one thread reads them: starting another costs as much as it saves.
const SCAN_ROWS_MIN: u64 = 65_536;

pub(super) struct ScanNode<'a> {
    pub schema: &'a [(String, DataType)],
    pub source: &'a dyn TableSource,
    pub columns: &'a [String],
    pub conditions: &'a [ColumnCondition],
    pub prewhere: Option<&'a BoundExpr>,
    /// FINAL, of a source for which it means something.
    pub final_: bool,
    pub hints: &'a ScanHints,
}

impl ScanNode<'_> {
    pub fn drive(&self, env: &Env, base: usize, consumer: &dyn Consumer) -> Result<Driven> {
        let morsels = self.open(env)?;
        let count = morsels.morsel_count();
        let hinted = count.filter(|n| *n <= HINTS_MAX);
        let known_rows: Option<usize> =
            hinted.and_then(|n| (0..n).map(|i| morsels.rows_hint(i)).sum::<Option<usize>>());
        let total = known_rows.map(|r| r as u64).or_else(|| self.source.row_count());
        if let Some(total) = total {
            env.ctx.progress.total_rows_to_read.fetch_add(total, Ordering::Relaxed);
        }
        let small = total.is_some_and(|rows| rows < SCAN_ROWS_MIN);
        let threads = if small { 1 } else { env.threads };
        let top = env.top.as_ref().filter(|_| !self.final_);
        let (prewhere, bounded) = self.conditions(top.map(Arc::as_ref), env);
        let order = top.zip(count).and_then(|(top, count)| top.order(morsels.as_ref(), count));
        let driven = supply(&env.ctx, count, threads, base, consumer, &|index, push| {
            let index = order.as_ref().map_or(index, |order| order[index]);
            if top.is_some_and(|top| top.is_useless(morsels.as_ref(), index)) {
                return Ok(true);
            }
            let bounded = bounded.as_ref().filter(|_| top.is_some_and(|top| top.is_bound()));
            let promising = match (bounded, top) {
                (Some(_), Some(top)) => top.promising(morsels.as_ref(), index),
                _ => None,
            };
            if promising.as_ref().is_some_and(|rows| count_flags(rows.values()) == 0) {
                return Ok(true);
            }
            let rows = Rows { index, promising };
            self.read_morsel(morsels.as_ref(), bounded.or(prewhere.as_ref()), rows, env, push)
        })?;
        Ok(Driven { morsels: driven, totals: None })
    }

    /// Pushes the rows of a morsel that pass PREWHERE; false if there is no such morsel.
    pub fn read_morsel(
        &self,
        morsels: &dyn MorselSource,
        prewhere: Option<&Prewhere>,
        rows: Rows,
        env: &Env,
        push: &mut dyn FnMut(Block) -> Result<Flow>,
    ) -> Result<bool> {
        if let Some(prewhere) = prewhere {
            return self.read_filtered(morsels, prewhere, rows, env, push);
        }
        let (index, coded) = (rows.index, self.coded(env));
        if env.once && self.prewhere.is_none() && !self.located() {
            return self.read_once(morsels, index, env, push);
        }
        let block = match self.located() {
            true => morsels.read_columns(index, self.columns, None)?,
            false if !coded.is_empty() => read_some(morsels, index, self.columns, None, coded)?,
            false => self.read_whole(morsels, index, env)?,
        };
        let Some(mut block) = block else { return Ok(false) };
        count_read(&env.ctx, block.rows(), block.memory_bytes())?;
        let rows = block.rows();
        if self.located() {
            block.push("", late::locators(index, rows, None));
        }
        push(self.named(block.columns, rows))?;
        Ok(true)
    }

    /// The only column, from which rows that are equal to others may be left out.
    fn read_once(
        &self,
        morsels: &dyn MorselSource,
        index: usize,
        env: &Env,
        push: &mut dyn FnMut(Block) -> Result<Flow>,
    ) -> Result<bool> {
        let chosen = morsels.read_where(index, &self.columns[0], None, None, Wanted::Once)?;
        let Some(Chosen { rows, column: Some(column), .. }) = chosen else { return Ok(false) };
        count_read(&env.ctx, rows, column.memory_bytes())?;
        let left = column.len();
        push(self.named(vec![column], left))?;
        Ok(true)
    }

    /// PREWHERE as it is, and as it is once a sort above has a bound for its first column, which is
    /// then looked at first. A dear column that others are tested before is not read first.
    pub fn conditions(
        &self,
        top: Option<&TopHint>,
        env: &Env,
    ) -> (Option<Prewhere>, Option<Prewhere>) {
        if self.final_ {
            return (None, None);
        }
        let key = top.and_then(|top| self.columns.iter().position(|c| c == top.column()));
        let (columns, schema) = (self.columns, self.schema);
        let coded = self.coded(env);
        let (unread, shares) = (&self.hints.unread, &self.filter_shares());
        let scanned = Scanned { columns, schema, unread, key, coded, shares };
        let plain = self.prewhere.map(|p| {
            let prewhere = Prewhere::new(Some(p), &scanned, false);
            // What a bound leaves out says nothing about the condition.
            if top.is_none() { prewhere.remembered(p, schema, &env.ctx) } else { prewhere }
        });
        let cheap = key.is_some_and(|key| {
            let data_type = schema[key].1.inner();
            data_type.is_integer() || data_type.is_date_or_time()
        });
        let safe = self.prewhere.is_none_or(never_fails);
        let first = key.is_some() && safe && (cheap || self.prewhere.is_none());
        (plain, first.then(|| Prewhere::new(self.prewhere, &scanned, true)))
    }

    /// Of each filter of a join above: its name, and about which share of the rows passes it.
    fn filter_shares(&self) -> Vec<(String, f64)> {
        let share = |(column, filter): &(String, Arc<RuntimeFilter>)| {
            let (low, high) = self.source.column_range(column)?;
            let width = (high.as_i128()? - low.as_i128()?) as f64 + 1.0;
            Some((filter.name().to_string(), (filter.values()? as f64 / width).min(1.0)))
        };
        self.hints.filters.iter().filter_map(share).collect()
    }

    /// Columns that may be dictionaries.
    fn coded<'e>(&self, env: &'e Env) -> &'e [String] {
        env.coded.as_deref().filter(|_| !self.final_ && !self.located()).unwrap_or_default()
    }

    /// Whether rows are to say where they lie.
    fn located(&self) -> bool {
        self.hints.opened.is_some()
    }

    fn open(&self, env: &Env) -> Result<Arc<dyn MorselSource>> {
        match &self.hints.opened {
            Some(opened) => Ok(opened.clone()),
            None => open(self.source, self.columns, self.conditions, self.hints, self.final_, env),
        }
    }

    /// A morsel with all columns. PREWHERE is still here only with FINAL: it comes before the rows
    /// are combined.
    fn read_whole(
        &self,
        morsels: &dyn MorselSource,
        index: usize,
        env: &Env,
    ) -> Result<Option<Block>> {
        match self.prewhere {
            Some(predicate) => {
                morsels.read_filtered(index, &|block| evaluate_mask(predicate, block, &env.ctx))
            }
            None => morsels.read(index),
        }
    }

    fn named(&self, columns: Vec<Column>, rows: usize) -> Block {
        let mut block = Block::of_rows(rows);
        for ((name, data_type), column) in self.schema.iter().zip(columns) {
            block.push(name.clone(), Column { data_type: data_type.clone(), ..column });
        }
        block
    }

    fn read_filtered(
        &self,
        morsels: &dyn MorselSource,
        prewhere: &Prewhere,
        rows: Rows,
        env: &Env,
        push: &mut dyn FnMut(Block) -> Result<Flow>,
    ) -> Result<bool> {
        let ctx = &env.ctx;
        let Rows { index, promising } = rows;
        let top = env.top.as_deref();
        let remembered = prewhere.condition.filter(|_| top.is_none() && promising.is_none());
        if remembered.is_some_and(|condition| morsels.is_ruled_out(index, condition)) {
            return Ok(true);
        }
        let Some(passed) = prewhere.read(morsels, index, promising, top, ctx)? else {
            return Ok(false);
        };
        let mut bytes = passed.bytes;
        if passed.kept == 0 {
            if let Some(condition) = remembered {
                morsels.rule_out(index, condition);
            }
            count_read(ctx, passed.rows, bytes)?;
            return Ok(true);
        }
        let keep = passed.mask.as_ref();
        let mut columns = passed.columns;
        if !prewhere.others.is_empty() {
            let rest = read_some(morsels, index, &prewhere.others, keep, self.coded(env))?
                .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "a morsel vanished"))?;
            bytes += rest.memory_bytes();
            columns.extend(rest.columns);
        }
        count_read(ctx, passed.rows, bytes)?;
        let mut ordered: Vec<(usize, Column)> =
            prewhere.places.iter().copied().zip(columns).collect();
        if self.located() {
            let row_numbers = late::locators(index, passed.rows, keep);
            ordered.push((self.columns.len(), row_numbers));
        }
        ordered.sort_by_key(|(place, _)| *place);
        push(self.named(ordered.into_iter().map(|(_, c)| c).collect(), passed.kept))?;
        Ok(true)
    }
}

/// Rows of a morsel that are to be read.
pub(super) struct Rows {
    pub index: usize,
    /// None: all.
    pub promising: Option<BooleanArray>,
}

/// Columns `names` of a morsel; those of `coded` may be dictionaries.
fn read_some(
    morsels: &dyn MorselSource,
    index: usize,
    names: &[String],
    keep: Option<&BooleanArray>,
    coded: &[String],
) -> Result<Option<Block>> {
    if !names.iter().any(|name| coded.contains(name)) {
        return morsels.read_columns(index, names, keep);
    }
    let plain: Vec<String> = names.iter().filter(|n| !coded.contains(n)).cloned().collect();
    let Some(read) = morsels.read_columns(index, &plain, keep)? else { return Ok(None) };
    let mut block = Block::of_rows(read.rows());
    let mut read = read.columns.into_iter();
    for name in names {
        let column = match coded.contains(name) {
            false => read.next(),
            true => {
                let chosen = morsels.read_where(index, name, keep, None, Wanted::Codes)?;
                chosen.and_then(|c| c.column)
            }
        };
        let lost = || Error::new(codes::LOGICAL_ERROR, format!("{name} was not read"));
        block.push(name.clone(), column.ok_or_else(lost)?);
    }
    Ok(Some(block))
}

/// Opens a scan with all that is known about the rows that are wanted.
pub(super) fn open(
    source: &dyn TableSource,
    columns: &[String],
    conditions: &[ColumnCondition],
    hints: &ScanHints,
    final_: bool,
    env: &Env,
) -> Result<Arc<dyn MorselSource>> {
    let settings = &env.ctx.settings;
    let forced = settings.bool("force_optimize_projection", false);
    let is_table = source.engine().ends_with("MergeTree");
    let unused = |why: &str| {
        Error::new(
            codes::PROJECTION_NOT_USED,
            format!(
                "No projection is used when optimize_use_projections = 1 and force_optimize_projection = 1: {why}"
            ),
        )
    };
    if final_ {
        if forced && is_table {
            return Err(unused("the query uses FINAL"));
        }
        let by_partition = settings.bool("do_not_merge_across_partitions_select_final", false);
        return source.scan_final(columns, conditions, by_partition);
    }
    let all = known_conditions(source, columns, conditions, hints);
    let opened = source.scan_where(columns, &all, &hints.predicate, settings)?;
    if forced && is_table && opened.projection().is_none() {
        return Err(unused("none has what the query reads"));
    }
    if let Some(name) = opened.projection() {
        env.ctx.note_projection(format!("{}.{name}", source.table_name()));
    }
    let named = settings.get("force_optimize_projection_name").filter(|name| !name.is_empty());
    if let Some(name) = named
        && (is_table || source.engine() == PROJECTION_ENGINE)
        && opened.projection() != Some(name)
    {
        return Err(Error::new(
            codes::INCORRECT_DATA,
            format!(
                "Projection {name} is specified in setting force_optimize_projection_name but not used"
            ),
        ));
    }
    Ok(opened)
}

/// The conditions, and those of sets that are filled by now.
pub(super) fn known_conditions(
    source: &dyn TableSource,
    columns: &[String],
    conditions: &[ColumnCondition],
    hints: &ScanHints,
) -> Vec<ColumnCondition> {
    let mut all = conditions.to_vec();
    let schema: Vec<(String, DataType)> = source
        .columns()
        .iter()
        .map(|c| (c.name.clone(), c.data_type.clone()))
        .filter(|(name, _)| columns.contains(name))
        .collect();
    let mut ordered = vec![];
    for name in columns {
        let found = schema.iter().find(|(n, _)| n == name).cloned();
        // What is not the source's own column is the size of one.
        ordered.push(found.unwrap_or_else(|| (name.clone(), DataType::UInt64)));
    }
    all.extend(hints.filters.iter().filter_map(|(column, filter)| filter.condition(column)));
    for part in &hints.late_sets {
        if let BoundExpr::InSet { set, .. } = part
            && let Some(rows) = super::set::values(set)
        {
            all.extend(filled_set_conditions(part, rows, &ordered));
        }
    }
    all
}

/// Counts rows and bytes read; fails when `max_rows_to_read` or `max_bytes_to_read` is passed.
pub(super) fn count_read(ctx: &QueryContext, rows: usize, bytes: usize) -> Result<()> {
    let progress = &ctx.progress;
    let read = progress.read_rows.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
    let read_bytes = progress.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
    let rows_max = ctx.settings.u64("max_rows_to_read", 0);
    if rows_max > 0 && read > rows_max {
        return Err(Error::new(
            codes::TOO_MANY_ROWS,
            format!("Limit for rows to read exceeded, max rows: {rows_max}, current rows: {read}"),
        ));
    }
    let bytes_max = ctx.settings.u64("max_bytes_to_read", 0);
    if bytes_max > 0 && read_bytes > bytes_max {
        return Err(Error::new(
            codes::TOO_MANY_BYTES,
            format!(
                "Limit for bytes to read exceeded, max bytes: {bytes_max}, current bytes: {read_bytes}"
            ),
        ));
    }
    Ok(())
}

/// Blocks in memory as a source.
pub(super) fn drive_blocks(
    blocks: &[Block],
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let rows: usize = blocks.iter().map(Block::rows).sum();
    let threads = if rows < PARALLEL_ROWS_MIN { 1 } else { env.threads };
    let morsels = supply(&env.ctx, Some(blocks.len()), threads, base, consumer, &|index, push| {
        push(blocks[index].clone())?;
        Ok(true)
    })?;
    Ok(Driven { morsels, totals: None })
}
