//! Reading with FINAL: rows of equal key are combined as a merge would, on all cores.
//!
//! The primary index cuts the keys into ranges that are read independently. A range in which one
//! merged part alone has rows is read as it stands; elsewhere the parts' rows are merged. Rules:
//! pruning takes no row away that another row of its key could replace, so only conditions on
//! the sorting key are used; a part that was never merged may hold equal keys, so it is always combined.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::BooleanArray;

use super::ColumnCondition;
use super::open::{OpenPart, ScanOptions};
use super::predicate::Predicate;
use super::prune::{Pruner, PruningReport};
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::{ColumnDefinition, PartMeta, State, Table};
use crate::merge::combine::{Purpose, RowRule, combiner, needed_columns};
use crate::merge::combined::CombinedStream;
use crate::merge::stream::{KeyBound, MergeStream, RowFilter, SourceRange};
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::key::{TableKeys, evaluate};
use crate::table::order::SortKeys;
use crate::table::stored_columns;

/// Rows of one range, about: the least, and the most where many parts overlap.
const RANGE_ROWS: usize = 65_536;
const RANGE_ROWS_MAX: usize = 1 << 20;
/// Rows of one output of a merge of ranges.
const OUTPUT_ROWS: usize = 8192;

/// An open scan whose rows are combined; ranges can be read from any thread in any order.
pub struct FinalScan {
    pub report: PruningReport,
    store: Arc<Store>,
    table: Arc<Table>,
    columns: Arc<ColumnReader>,
    keys: Arc<TableKeys>,
    /// What the engine needs besides what is asked for.
    needed: Vec<String>,
    ranges: Vec<KeyRange>,
    /// Keeps the parts' files.
    _state: Arc<State>,
}

/// One range of keys: what of each part lies in it, in the order of the parts.
struct KeyRange {
    sources: Vec<(OpenPart, Range<usize>)>,
    from: Option<KeyBound>,
    to: Option<KeyBound>,
    /// No two of its rows have one key.
    plain: bool,
    rows: usize,
}

/// A part and its primary index, encoded.
struct Indexed {
    part: OpenPart,
    /// First rows of the granules, then the last row.
    index: Arc<SortKeys>,
    granules: Range<usize>,
    merged: bool,
}

/// Whether a table of this engine has anything to do for FINAL.
pub fn has_final(table: &Table) -> bool {
    RowRule::of(&table.definition) != RowRule::Ordinary
}

/// Chooses what to read of `table` at `state` for FINAL. With `by_partition` rows of different
/// partitions are never combined.
pub fn open_final(
    store: &Arc<Store>,
    state: Arc<State>,
    table: &Arc<Table>,
    conditions: &[ColumnCondition],
    by_partition: bool,
) -> Result<FinalScan> {
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let texts: Vec<&str> = keys.sorting.iter().map(|e| e.text.as_str()).collect();
    let usable = conditions.iter().filter(|c| texts.contains(&c.column.as_str()));
    let predicate = Predicate::all(usable.cloned().map(Predicate::Ranges).collect());
    let options = ScanOptions { use_skip_indexes: false, ..ScanOptions::default() };
    let mut pruner = Pruner::new(table, &[], &predicate, &options);
    // The order in which rows of equal key are met: by partition, then by block.
    let mut metas: Vec<&Arc<PartMeta>> = table.parts.iter().collect();
    metas.sort_by(|a, b| {
        (a.partition_id.as_str(), a.min_block).cmp(&(b.partition_id.as_str(), b.min_block))
    });
    let mut lanes: Vec<(&str, Vec<Indexed>)> = vec![];
    for meta in metas {
        let part = OpenPart::open(store, meta)?;
        let reader = part.reader.clone();
        let kept = pruner.prune(&reader)?;
        let (Some(first), Some(last)) = (kept.first(), kept.last()) else { continue };
        let columns: Vec<Column> =
            reader.primary_index().iter().map(|k| k.column.clone()).collect();
        let index = Arc::new(SortKeys::encode(&columns, reader.granules() + 1));
        let indexed = Indexed { index, granules: *first..last + 1, merged: meta.level > 0, part };
        match lanes.last_mut() {
            Some((id, lane)) if !by_partition || *id == meta.partition_id => lane.push(indexed),
            _ => lanes.push((&meta.partition_id, vec![indexed])),
        }
    }
    let ranges = lanes.iter().flat_map(|(_, parts)| cut(parts)).collect();
    let needed = needed_columns(&table.definition, &keys);
    Ok(FinalScan {
        report: pruner.report(),
        store: store.clone(),
        table: table.clone(),
        columns: Arc::new(ColumnReader::new(&table.definition, store.compiler())),
        keys,
        needed,
        ranges,
        _state: state,
    })
}

/// A place in a part's index.
#[derive(Clone, Copy)]
struct Mark {
    part: usize,
    at: usize,
}

/// Cuts the keys of `parts` into ranges of about [`RANGE_ROWS`] rows, and wherever a part begins.
fn cut(parts: &[Indexed]) -> Vec<KeyRange> {
    let compare =
        |a: &Mark, b: &Mark| parts[a.part].index.compare(a.at, &parts[b.part].index, b.at);
    let mut marks: Vec<Mark> = vec![];
    for (part, indexed) in parts.iter().enumerate() {
        marks.extend(indexed.granules.clone().map(|at| Mark { part, at }));
        marks.push(Mark { part, at: indexed.granules.end });
    }
    marks.sort_by(compare);
    // A granule that a bound falls into is decoded on both sides of it, in every part.
    let decoded: usize = parts.iter().map(|p| p.part.reader.granule_rows(p.granules.start)).sum();
    let rows_due = decoded.saturating_mul(4).clamp(RANGE_ROWS, RANGE_ROWS_MAX);
    let mut bounds: Vec<Mark> = vec![];
    let mut rows = 0;
    for mark in &marks {
        let part = &parts[mark.part];
        let (first, end) = (mark.at == part.granules.start, mark.at == part.granules.end);
        // Where a large part begins or ends, more may be read as it stands.
        let edge = (first || end) && part.part.reader.rows() as usize >= RANGE_ROWS;
        let due = rows >= rows_due || edge || bounds.is_empty();
        let later = bounds.last().is_none_or(|last| compare(last, mark) == Ordering::Less);
        if due && later {
            bounds.push(*mark);
            rows = 0;
        }
        if !end {
            rows += part.part.reader.granule_rows(mark.at);
        }
    }
    (0..bounds.len())
        .filter_map(|i| range_between(parts, bounds.get(i).filter(|_| i > 0), bounds.get(i + 1)))
        .collect()
}

/// What lies from one bound to before another; None without rows.
fn range_between(parts: &[Indexed], from: Option<&Mark>, to: Option<&Mark>) -> Option<KeyRange> {
    let mut sources = vec![];
    let (mut rows, mut merged) = (0, true);
    for part in parts {
        let below = |at: usize, bound: &Mark| {
            part.index.compare(at, &parts[bound.part].index, bound.at) == Ordering::Less
        };
        let mut granules = part.granules.clone();
        if let Some(from) = from {
            // The granule before the first that begins at or behind the bound may reach over it.
            let before = granules.clone().take_while(|g| below(*g, from)).count();
            granules.start += before.saturating_sub(1);
            let behind = before == part.granules.len() && below(part.granules.end, from);
            if behind && before > 0 {
                continue;
            }
        }
        if let Some(to) = to {
            granules.end = granules.start + granules.clone().take_while(|g| below(*g, to)).count();
        }
        if granules.is_empty() {
            continue;
        }
        rows += granules.clone().map(|g| part.part.reader.granule_rows(g)).sum::<usize>();
        merged &= part.merged;
        sources.push((part.part.clone(), granules));
    }
    let bound = |mark: &Mark| KeyBound { keys: parts[mark.part].index.clone(), row: mark.at };
    (!sources.is_empty()).then(|| KeyRange {
        plain: merged && sources.len() == 1,
        sources,
        from: from.map(bound),
        to: to.map(bound),
        rows,
    })
}

impl FinalScan {
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Rows that are read for range `i`, at most.
    pub fn range_rows(&self, i: usize) -> usize {
        self.ranges[i].rows
    }

    /// Columns `columns` of the rows that remain of range `i`. With `filter`, which sees at least
    /// `columns`, only rows that pass it are combined.
    pub fn read(
        &self,
        i: usize,
        columns: &[String],
        filter: Option<&dyn Fn(&Block) -> Result<BooleanArray>>,
    ) -> Result<Block> {
        let range = &self.ranges[i];
        let mut wanted: Vec<&ColumnDefinition> = columns
            .iter()
            .map(|name| {
                stored_columns(&self.table.definition).find(|c| c.name == *name).ok_or_else(|| {
                    let table = self.table.definition.full_name();
                    Error::Column(format!("table {table} has no column {name}"))
                })
            })
            .collect::<Result<_>>()?;
        for column in stored_columns(&self.table.definition) {
            if self.needed.contains(&column.name) && !columns.contains(&column.name) {
                wanted.push(column);
            }
        }
        let outputs = match self.is_plain(range) {
            true => vec![self.read_plain(range, &wanted, filter)?],
            false => self.read_combined(range, &wanted, filter)?,
        };
        let mut blocks = vec![];
        for rows in outputs {
            let mut block = Block::of_rows(rows.first().map_or(0, Column::len));
            for (name, column) in columns.iter().zip(rows) {
                block.push(name.clone(), column);
            }
            blocks.push(block);
        }
        match blocks.is_empty() {
            true => Ok(Block::empty_of(
                &wanted[..columns.len()]
                    .iter()
                    .map(|c| (c.name.clone(), c.data_type.clone()))
                    .collect::<Vec<_>>(),
            )),
            false => Block::concat(&blocks),
        }
    }

    /// Whether the rule would change nothing, rows that hide themselves apart.
    fn is_plain(&self, range: &KeyRange) -> bool {
        let hides = match RowRule::of(&self.table.definition) {
            RowRule::Replacing { deleted, .. } => deleted.is_some(),
            RowRule::Collapsing { .. } => true,
            _ => false,
        };
        range.plain && !hides
    }

    fn read_plain(
        &self,
        range: &KeyRange,
        wanted: &[&ColumnDefinition],
        filter: Option<RowFilter<'_>>,
    ) -> Result<Vec<Column>> {
        let (part, granules) = &range.sources[0];
        let list: Vec<usize> = granules.clone().collect();
        let columns = wanted
            .iter()
            .map(|definition| self.columns.read(&part.reader, definition, &list))
            .collect::<Result<Vec<_>>>()?;
        let source = self.source(range, part, granules);
        let names = wanted.iter().map(|c| c.name.clone());
        let mut block = Block::new(names.zip(columns).collect());
        if let Some(live) = live_rows(part, granules) {
            block = block.filter(&live);
        }
        let primary = evaluate(self.keys.primary(), &block)?;
        let within = source.rows_within(granules.start, &primary, block.rows());
        let block = block.slice(within.start, within.len());
        Ok(match filter {
            Some(filter) => block.filter(&filter(&block)?).columns,
            None => block.columns,
        })
    }

    fn read_combined(
        &self,
        range: &KeyRange,
        wanted: &[&ColumnDefinition],
        filter: Option<RowFilter<'_>>,
    ) -> Result<Vec<Vec<Column>>> {
        let sources = range
            .sources
            .iter()
            .map(|(part, granules)| self.source(range, part, granules))
            .collect();
        let rule = combiner(
            &self.table.definition,
            &self.keys,
            wanted,
            self.store.compiler().as_ref(),
            Purpose::Final,
        )?;
        let stream = MergeStream::new(
            sources,
            self.columns.clone(),
            wanted,
            &self.keys,
            OUTPUT_ROWS,
            filter,
        )?;
        let mut stream = CombinedStream::new(stream, rule);
        let mut outputs = vec![];
        while let Some(rows) = stream.next()? {
            outputs.extend(rows);
        }
        Ok(outputs)
    }

    fn source(&self, range: &KeyRange, part: &OpenPart, granules: &Range<usize>) -> SourceRange {
        SourceRange {
            part: part.clone(),
            granules: granules.clone(),
            from: range.from.clone(),
            to: range.to.clone(),
        }
    }
}

/// One flag per row of `granules`; None if all their rows are left.
fn live_rows(part: &OpenPart, granules: &Range<usize>) -> Option<BooleanArray> {
    part.mask.as_ref()?;
    let flags = granules.clone().flat_map(|granule| match part.live(granule) {
        Some(live) => live.values().iter().collect::<Vec<bool>>(),
        None => vec![true; part.reader.granule_rows(granule)],
    });
    Some(BooleanArray::from(flags.collect::<Vec<bool>>()))
}
