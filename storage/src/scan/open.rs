//! A scan: the parts and granules that pruning left, cut into morsels, and reading them.
//!
//! Takes a pinned state, so the files stay while the scan lives. Reads only the columns asked for;
//! columns that a part lacks or has in another type go through [`ColumnReader`]. Deleted rows never
//! leave: a morsel's rows are those that its part's mask leaves.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray};

use super::ahead::Ahead;
use super::condition_cache::{ConditionCache, ConditionKey};
use super::projected::{ProjectionUse, Target, through_rows};
use super::prune::{Pruner, PruningReport};
use super::{ColumnCondition, Predicate};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, State};
use crate::part::{Aspect, Chosen, PartReader, RowMask, ValueTest, Wanted, choose_of};
use crate::run_time::subcolumn::Subcolumn;
use crate::spread::{count_flags, extract};
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::key::TableKeys;
use crate::table::stored_columns;
use crate::types::{DataType, Value};

/// Rows of a morsel, at most.
pub const MORSEL_ROWS: usize = 65_536;
/// Decoded bytes of the scanned columns in a morsel of more than one granule, at most.
const MORSEL_BYTES: u64 = 128 << 20;
/// Morsels of a scan that are worth having, even if they are smaller for it.
const MORSELS_MIN: usize = 8;

/// An open scan; morsels can be read from any thread, in any order, any number of times.
pub struct Scan {
    pub report: PruningReport,
    pub(super) table: Arc<log::Table>,
    columns: ColumnReader,
    pub(super) parts: Vec<OpenPart>,
    pub(super) morsels: Vec<Morsel>,
    ahead: Ahead,
    /// Of the store; None where parts stand in for others.
    condition_cache: Option<Arc<ConditionCache>>,
    /// Keeps the parts' files.
    _state: Arc<State>,
}

/// A part as a scan reads it.
#[derive(Clone)]
pub(crate) struct OpenPart {
    pub(crate) reader: Arc<PartReader>,
    pub(crate) mask: Option<Arc<RowMask>>,
}

impl OpenPart {
    /// Opens the part of `meta` and its mask.
    pub(crate) fn open(store: &Store, meta: &Arc<log::PartMeta>) -> Result<OpenPart> {
        Ok(OpenPart { reader: store.part(meta)?, mask: store.mask(meta)? })
    }

    /// Rows that are left.
    pub(crate) fn rows_live(&self) -> u64 {
        self.reader.rows() - self.mask.as_ref().map_or(0, |m| m.deleted_rows() as u64)
    }

    /// One flag per row of the granule; None if all its rows are left.
    pub(crate) fn live(&self, granule: usize) -> Option<BooleanArray> {
        let (from, rows) =
            (self.reader.granule_start(granule) as usize, self.reader.granule_rows(granule));
        let mask = self.mask.as_ref().filter(|mask| mask.touches(from, rows))?;
        Some(mask.live(from, rows))
    }
}

pub(super) struct Morsel {
    pub(super) part: usize,
    pub(super) granules: Vec<usize>,
    /// Rows that the mask leaves.
    rows: usize,
    /// One flag per row of the granules; None if all are left.
    pub(super) live: Option<BooleanArray>,
}

/// Chooses what to read of `table` at `state`. `columns` are those that will be read (they only
/// size the morsels); `conditions` must all hold for a row to be wanted.
pub fn open(
    store: &Arc<Store>,
    state: Arc<State>,
    table: &Arc<log::Table>,
    columns: &[String],
    conditions: &[ColumnCondition],
) -> Result<Scan> {
    let predicate = Predicate::all(conditions.iter().cloned().map(Predicate::Ranges).collect());
    open_where(store, state, table, columns, &predicate, &ScanOptions::default())
}

/// How a scan chooses what to read.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    pub use_skip_indexes: bool,
    /// Names of skip indexes that are left alone.
    pub ignored_indexes: Vec<String>,
    pub projections: ProjectionUse,
    /// Every morsel is one granule.
    pub single_granules: bool,
    /// Decoded granules are kept for other queries, if the store has room for any.
    pub use_block_cache: bool,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            use_skip_indexes: true,
            ignored_indexes: vec![],
            projections: ProjectionUse::default(),
            single_granules: false,
            use_block_cache: false,
        }
    }
}

/// As [`open`], for rows for which `predicate` holds.
pub fn open_where(
    store: &Arc<Store>,
    state: Arc<State>,
    table: &Arc<log::Table>,
    columns: &[String],
    predicate: &Predicate,
    options: &ScanOptions,
) -> Result<Scan> {
    let parts =
        table.parts.iter().map(|meta| OpenPart::open(store, meta)).collect::<Result<Vec<_>>>()?;
    let mut reader = ColumnReader::new(&table.definition, store.compiler());
    if options.use_block_cache {
        reader = reader.cached(store.block_cache());
    }
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let mut pruner = Pruner::new(table, &keys.skip_indexes, predicate, options);
    let scan = Scan::over(state.clone(), table, reader, parts.clone(), columns, &mut pruner)?;
    let condition_cache = Some(store.condition_cache().clone());
    let scan = Scan { report: pruner.report(), condition_cache, ..scan };
    if options.projections.allowed && !keys.projections.is_empty() {
        let (parts, keys, state) = (&parts[..], keys.as_ref(), &state);
        let target = Target { store, state, table, keys, parts, columns, predicate, options };
        if let Some(better) = through_rows(&target, &scan.report)? {
            return Ok(better);
        }
    }
    Ok(scan)
}

impl Scan {
    /// A scan over these open parts.
    pub(crate) fn over(
        state: Arc<State>,
        table: &Arc<log::Table>,
        reader: ColumnReader,
        parts: Vec<OpenPart>,
        columns: &[String],
        pruner: &mut Pruner<'_>,
    ) -> Result<Scan> {
        let ids = columns
            .iter()
            .map(|name| Ok(wanted_of(table, name)?.0.id))
            .collect::<Result<Vec<u32>>>()?;
        let mut morsels = vec![];
        let (mut kept, mut chosen, mut rows) = (vec![], vec![], 0);
        for part in parts {
            let granules = pruner.prune(&part.reader)?;
            if !granules.is_empty() {
                rows += granules.iter().map(|g| part.reader.granule_rows(*g)).sum::<usize>();
                kept.push(part);
                chosen.push(granules);
            }
        }
        // Of few rows smaller ones, so that no thread waits long for the last.
        let most = match pruner.single_granules {
            true => 1,
            false => (rows / MORSELS_MIN).clamp(MORSEL_ROWS / 4, MORSEL_ROWS),
        };
        for (at, (part, granules)) in kept.iter().zip(&chosen).enumerate() {
            cut_morsels(part, at, granules, &ids, most, &mut morsels);
        }
        Ok(Scan {
            report: PruningReport::default(),
            table: table.clone(),
            columns: reader,
            parts: kept,
            morsels,
            ahead: Ahead::default(),
            condition_cache: None,
            _state: state,
        })
    }

    fn condition_key(&self, i: usize, condition: u128) -> ConditionKey {
        let part = &self.parts[self.morsels[i].part];
        ConditionKey {
            part: part.reader.id(),
            deleted_rows: part.reader.rows() - part.rows_live(),
            definition_version: self.table.definition_version,
            condition,
        }
    }

    /// Whether an earlier scan found no row of morsel `i` for which the condition of this hash holds.
    pub fn is_ruled_out(&self, i: usize, condition: u128) -> bool {
        let Some(cache) = &self.condition_cache else { return false };
        cache.rules_out(&self.condition_key(i, condition), &self.morsels[i].granules)
    }

    /// No row of morsel `i` passes the condition of this hash.
    pub fn rule_out(&self, i: usize, condition: u128) {
        let (Some(cache), morsel) = (&self.condition_cache, &self.morsels[i]) else { return };
        let total = self.parts[morsel.part].reader.granules();
        cache.rule_out(self.condition_key(i, condition), &morsel.granules, total);
    }

    /// The morsels of each part; they ascend by the part's sorting key.
    pub fn part_morsels(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges: Vec<std::ops::Range<usize>> = vec![];
        for (i, morsel) in self.morsels.iter().enumerate() {
            match ranges.last_mut() {
                Some(range) if self.morsels[range.start].part == morsel.part => range.end = i + 1,
                _ => ranges.push(i..i + 1),
            }
        }
        ranges
    }

    /// The primary key at the first row of a morsel, and at its end (or at the first row behind it).
    pub fn key_bounds(&self, i: usize) -> Option<(Vec<Value>, Vec<Value>)> {
        let morsel = &self.morsels[i];
        let (first, last) = (*morsel.granules.first()?, *morsel.granules.last()? + 1);
        let index = self.parts[morsel.part].reader.primary_index();
        let at = |row: usize| index.iter().map(|k| k.column.value(row)).collect::<Vec<_>>();
        (!index.is_empty()).then(|| (at(first), at(last)))
    }

    /// Reads `other`, of the same table, after this.
    pub(super) fn append(&mut self, other: Scan) {
        let before = self.parts.len();
        self.parts.extend(other.parts);
        let moved = other.morsels.into_iter().map(|m| Morsel { part: m.part + before, ..m });
        self.morsels.extend(moved);
        self.report.add(&other.report);
    }

    pub fn morsel_count(&self) -> usize {
        self.morsels.len()
    }

    pub fn morsel_rows(&self, i: usize) -> usize {
        self.morsels[i].rows
    }

    /// Least and greatest value (None: not bounded) of a column in morsel `i`, NULLs left out; None if
    /// nothing is known.
    pub fn morsel_range(&self, i: usize, column: &str) -> Option<(Value, Option<Value>)> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part].reader;
        let definition = column_of(&self.table, column).ok()?;
        if !ColumnReader::is_as_defined(part, definition) {
            return None;
        }
        let at = part.column_index(definition.id)?;
        let mut whole: Option<(Value, Option<Value>)> = None;
        for granule in morsel.granules.iter().filter(|g| !part.all_null(at, **g)) {
            let (low, high) = part.range(at, *granule)?;
            whole = Some(match whole {
                None => (low, high),
                Some((l, h)) => (l.min(low), h.zip(high).map(|(a, b)| a.max(b))),
            });
        }
        whole
    }

    /// Columns `columns` of morsel `i`, in that order. With `keep` (one flag per row of the morsel)
    /// the block holds only the rows whose flag is true, and granules without any are not decoded.
    pub fn read(&self, i: usize, columns: &[String], keep: Option<&BooleanArray>) -> Result<Block> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part];
        let plan = ReadPlan::new(&part.reader, morsel, keep)?;
        if columns.is_empty() {
            return Ok(Block::of_rows(plan.rows));
        }
        let named = columns
            .iter()
            .map(|name| {
                let (definition, asked) = wanted_of(&self.table, name)?;
                self.tell_ahead(i, definition, &plan);
                let aspect = match asked {
                    Asked::Column(aspect) => aspect,
                    Asked::Path(path) => {
                        let (granules, columns) = (&plan.granules, &self.columns);
                        let whole =
                            columns.read_subcolumn(&part.reader, definition, granules, &path)?;
                        let column = plan.mask.as_ref().map_or(whole.clone(), |m| whole.filter(m));
                        return Ok((name.clone(), column));
                    }
                };
                if aspect == Aspect::Values && plan.mask.is_none() {
                    let column = self.columns.read(&part.reader, definition, &plan.granules)?;
                    return Ok((name.clone(), column));
                }
                let (granules, mask) = (&plan.granules, plan.mask.as_ref());
                let reader = &part.reader;
                let rows = Wanted::Rows;
                let chosen =
                    self.columns.choose(reader, definition, aspect, granules, mask, None, rows)?;
                Ok((name.clone(), chosen.column.ok_or_else(lost)?))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Block::new(named))
    }

    /// Morsels are likely to be read in order: the disk is told of the next ones, unless this one is read in part.
    fn tell_ahead(&self, i: usize, column: &ColumnDefinition, plan: &ReadPlan) {
        if plan.granules.len() == self.morsels[i].granules.len() {
            self.ahead.tell(&self.parts, &self.morsels, i, column.id);
        }
    }
}

impl Scan {
    /// Rows of morsel `i` that `keep` (one flag per row; None: all) and `test` choose. `test` sees the
    /// values of `column` in these granules: those of all rows that `keep` keeps, maybe others, maybe
    /// each but once. The mask given back has one flag per row that `keep` keeps.
    pub fn read_where(
        &self,
        i: usize,
        column: &str,
        keep: Option<&BooleanArray>,
        test: Option<&mut ValueTest<'_>>,
        wanted: Wanted,
    ) -> Result<Chosen> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part];
        let plan = ReadPlan::new(&part.reader, morsel, keep)?;
        let (definition, asked) = wanted_of(&self.table, column)?;
        self.tell_ahead(i, definition, &plan);
        let mask = plan.mask.as_ref();
        let mut chosen = match asked {
            Asked::Column(aspect) => self.columns.choose(
                &part.reader,
                definition,
                aspect,
                &plan.granules,
                mask,
                test,
                wanted,
            )?,
            Asked::Path(path) => {
                let (reader, granules) = (&part.reader, &plan.granules);
                let whole = self.columns.read_subcolumn(reader, definition, granules, &path)?;
                choose_of(whole, mask, test, wanted)?
            }
        };
        chosen.rows = plan.rows;
        if let (Some(kept), Some(mask)) = (&plan.mask, &chosen.mask) {
            let values = BooleanArray::new(extract(kept.values(), mask.values()), None);
            chosen.mask = Some(values).filter(|m| count_flags(m.values()) < m.len());
        }
        Ok(chosen)
    }

    /// Flags of the rows of morsel `i` whose granule may hold a wanted value of `column`: `may`
    /// sees the least and the greatest (None: not bounded), NULLs left out. None if all may.
    pub fn granule_flags(
        &self,
        i: usize,
        column: &str,
        may: &dyn Fn(&Value, Option<&Value>) -> bool,
    ) -> Option<BooleanArray> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part].reader;
        let definition = column_of(&self.table, column).ok()?;
        if !ColumnReader::is_as_defined(part, definition) {
            return None;
        }
        let at = part.column_index(definition.id)?;
        let may_hold = |granule: usize| match part.range(at, granule) {
            Some((low, high)) => may(&low, high.as_ref()),
            // Of nothing but NULLs, or of unknown range.
            None => true,
        };
        let flags: Vec<bool> = morsel.granules.iter().map(|g| may_hold(*g)).collect();
        if flags.iter().all(|f| *f) {
            return None;
        }
        let mut rows = arrow_array::builder::BooleanBufferBuilder::new(morsel.rows);
        let mut from = 0;
        for (granule, flag) in morsel.granules.iter().zip(flags) {
            let count = part.granule_rows(*granule);
            let left = match &morsel.live {
                Some(live) => live.slice(from, count).true_count(),
                None => count,
            };
            rows.append_n(left, flag);
            from += count;
        }
        Some(BooleanArray::new(rows.finish(), None))
    }
}

fn lost() -> Error {
    Error::Column("a column was read but not kept".into())
}

/// The lengths of a column of strings can be read under its name with this behind it.
pub const SIZE_SUFFIX: &str = ".size";

/// Whether the lengths of a column of this type can be read without it.
pub fn has_sizes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Nullable(inner) => **inner == DataType::String,
        other => *other == DataType::String,
    }
}

/// What of a column is read.
enum Asked {
    Column(Aspect),
    /// A part of a JSON column.
    Path(Subcolumn),
}

/// The type of what is read of a JSON column under `name`, a column's and a subcolumn's with a point
/// between.
pub fn subcolumn_type(column: &DataType, subcolumn: &str) -> Option<DataType> {
    match column {
        DataType::Json(json) => Some(Subcolumn::parse(subcolumn)?.data_type(json)),
        _ => None,
    }
}

/// The column that `name` means, and what of it.
fn wanted_of<'a>(table: &'a log::Table, name: &str) -> Result<(&'a ColumnDefinition, Asked)> {
    let found = column_of(table, name);
    if found.is_err()
        && let Some(base) = name.strip_suffix(SIZE_SUFFIX)
        && let Ok(column) = column_of(table, base)
        && has_sizes(&column.data_type)
    {
        return Ok((column, Asked::Column(Aspect::Sizes)));
    }
    if found.is_err() {
        let points = name.match_indices('.').map(|(at, _)| name.split_at(at));
        for (base, rest) in points {
            if let Ok(column) = column_of(table, base)
                && matches!(column.data_type, DataType::Json(_))
                && let Some(path) = Subcolumn::parse(&rest[1..])
            {
                return Ok((column, Asked::Path(path)));
            }
        }
    }
    Ok((found?, Asked::Column(Aspect::Values)))
}

/// What of a morsel has to be decoded.
struct ReadPlan {
    granules: Vec<usize>,
    /// Over the rows of `granules`; None if all of them are wanted.
    mask: Option<BooleanArray>,
    /// Wanted rows.
    rows: usize,
}

impl ReadPlan {
    fn new(part: &PartReader, morsel: &Morsel, keep: Option<&BooleanArray>) -> Result<ReadPlan> {
        let all = || ReadPlan {
            granules: morsel.granules.clone(),
            mask: morsel.live.clone(),
            rows: morsel.rows,
        };
        let Some(keep) = keep else { return Ok(all()) };
        if keep.len() != morsel.rows {
            return Err(Error::Column(format!(
                "a mask of {} rows for a morsel of {}",
                keep.len(),
                morsel.rows
            )));
        }
        let wanted = count_flags(keep.values());
        if wanted == morsel.rows {
            return Ok(all());
        }
        // `keep` counts the rows that the mask leaves; from here on all rows count.
        let spread = morsel.live.as_ref().map(|live| spread(keep, live));
        let keep = spread.as_ref().unwrap_or(keep);
        let (mut granules, mut pieces, mut row) = (vec![], vec![], 0);
        for granule in &morsel.granules {
            let rows = part.granule_rows(*granule);
            let piece = keep.slice(row, rows);
            if count_flags(piece.values()) > 0 {
                granules.push(*granule);
                pieces.push(piece);
            }
            row += rows;
        }
        let mask = join_masks(&pieces);
        let mask = (count_flags(mask.values()) < mask.len()).then_some(mask);
        Ok(ReadPlan { granules, mask, rows: wanted })
    }
}

/// The flags of `keep`, one per true of `live`, at the places of those; false elsewhere.
fn spread(keep: &BooleanArray, live: &BooleanArray) -> BooleanArray {
    let mut flags = arrow_array::builder::BooleanBufferBuilder::new(live.len());
    flags.append_n(live.len(), false);
    for (flag, row) in live.values().set_indices().enumerate() {
        if keep.is_valid(flag) && keep.value(flag) {
            flags.set_bit(row, true);
        }
    }
    BooleanArray::new(flags.finish(), None)
}

fn join_masks(pieces: &[BooleanArray]) -> BooleanArray {
    let mut builder = arrow_array::builder::BooleanBufferBuilder::new(0);
    for piece in pieces {
        match piece.nulls() {
            // NULL is not true.
            Some(nulls) => builder.append_buffer(&(piece.values() & nulls.inner())),
            None => builder.append_buffer(piece.values()),
        }
    }
    BooleanArray::new(builder.finish(), None)
}

/// The table's column called `name`.
fn column_of<'a>(table: &'a log::Table, name: &str) -> Result<&'a ColumnDefinition> {
    stored_columns(&table.definition).find(|c| c.name == name).ok_or_else(|| {
        Error::Column(format!("table {} has no column {name}", table.definition.full_name()))
    })
}

fn cut_morsels(
    open: &OpenPart,
    at: usize,
    granules: &[usize],
    column_ids: &[u32],
    rows_max: usize,
    out: &mut Vec<Morsel>,
) {
    let part = &open.reader;
    let indices: Vec<usize> = column_ids.iter().filter_map(|id| part.column_index(*id)).collect();
    let bytes_of = |granule: usize| -> u64 {
        indices.iter().map(|i| part.column(*i).mark(granule).decoded as u64).sum()
    };
    let (mut chosen, mut rows, mut bytes) = (vec![], 0, 0);
    for granule in granules {
        let (more_rows, more) = (part.granule_rows(*granule), bytes_of(*granule));
        let full = rows + more_rows > rows_max || bytes + more > MORSEL_BYTES;
        if full && rows > 0 {
            out.extend(morsel(open, at, std::mem::take(&mut chosen)));
            (rows, bytes) = (0, 0);
        }
        chosen.push(*granule);
        rows += more_rows;
        bytes += more;
    }
    out.extend(morsel(open, at, chosen));
}

/// The morsel of these granules; None if no row of theirs is left.
fn morsel(open: &OpenPart, part: usize, granules: Vec<usize>) -> Option<Morsel> {
    let total = granules.iter().map(|g| open.reader.granule_rows(*g)).sum();
    let masks: Vec<Option<BooleanArray>> = granules.iter().map(|g| open.live(*g)).collect();
    let live = masks.iter().any(Option::is_some).then(|| {
        let all = granules.iter().zip(&masks).map(|(granule, mask)| match mask {
            Some(mask) => mask.clone(),
            None => BooleanArray::from(vec![true; open.reader.granule_rows(*granule)]),
        });
        join_masks(&all.collect::<Vec<_>>())
    });
    let rows = live.as_ref().map_or(total, BooleanArray::true_count);
    (rows > 0).then_some(Morsel { part, granules, rows, live })
}

/// Least and greatest value of a column over all rows of the table, from the parts' minima and
/// maxima; None if those are not exact.
pub fn column_range(
    store: &Arc<Store>,
    table: &Arc<log::Table>,
    column: &str,
) -> Result<Option<(Value, Value)>> {
    let Ok(definition) = column_of(table, column) else { return Ok(None) };
    let exact = definition.data_type.inner();
    if !exact.is_integer() && !exact.is_date_or_time() {
        return Ok(None);
    }
    let mut whole: Option<(Value, Value)> = None;
    for meta in &table.parts {
        let part = OpenPart::open(store, meta)?;
        if part.mask.is_some() || !ColumnReader::is_as_defined(&part.reader, definition) {
            return Ok(None);
        }
        let Some(at) = part.reader.column_index(definition.id) else { return Ok(None) };
        match part.reader.part_range(at) {
            Some((low, Some(high))) => {
                whole = Some(match whole {
                    None => (low.clone(), high.clone()),
                    Some((l, h)) => (l.min(low.clone()), h.max(high.clone())),
                });
            }
            _ => return Ok(None),
        }
    }
    Ok(whole)
}
