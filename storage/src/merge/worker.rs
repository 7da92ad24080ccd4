//! One merge: streams its sources into a new part, checks that nothing was lost or changed, and
//! swaps them in one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::combine::{Purpose, combiner};
use super::combined::CombinedStream;
use super::deduplicate::Deduplicating;
use super::output::Output;
use super::stream::{MergeStream, SourceRange};
use super::ttl::Together;
use crate::block::Column;
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, Commit, Edit, PartId, PartMeta, Precondition};
use crate::part::{Layout, PartIdentity, PartWriter, row_hashes, sum_hashes};
use crate::scan::OpenPart;
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::insert::part_writer_with;
use crate::table::key::TableKeys;
use crate::table::projection::in_some_part;
use crate::table::{default_codec, index_granularity, stored_columns};

/// The setting by which merges make projections that their sources lack.
const ON_MERGE: &str = "materialize_projections_on_merge";

/// How far a merge is, and the wish that it stop.
#[derive(Default)]
pub struct Progress {
    pub rows_done: AtomicU64,
    pub cancel: AtomicBool,
    /// The same, since somebody waits for its parts: no fault.
    pub(super) yields: AtomicBool,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.yields.load(Ordering::Relaxed)
    }
}

/// What a merge does besides merging.
#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    /// Forget rows that say they are deleted.
    pub cleanup: bool,
    /// Of rows that are equal in these columns keep the first.
    pub deduplicate: Option<Vec<String>>,
    /// Look for what has run out in every row, whatever the parts' ranges say: the rules may be
    /// younger than the parts.
    pub every_ttl: bool,
}

/// Merges `parts`, neighbours in block order of one partition of `table`, and commits. Returns the
/// commit's version.
pub fn merge(store: &Arc<Store>, table: &Arc<log::Table>, parts: &[PartId]) -> Result<u64> {
    merge_with(store, table, parts, &MergeOptions::default(), &Progress::default())
}

pub(super) fn merge_with(
    store: &Arc<Store>,
    table: &Arc<log::Table>,
    parts: &[PartId],
    options: &MergeOptions,
    progress: &Progress,
) -> Result<u64> {
    let sources = sources(table, parts)?;
    let opened =
        sources.iter().map(|meta| OpenPart::open(store, meta)).collect::<Result<Vec<_>>>()?;
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let texts: Vec<String> = keys.sorting.iter().map(|e| e.text.clone()).collect();
    // Expressions appended to the key are constant in parts that were written before them.
    if let Some(other) = opened.iter().find(|p| !texts.starts_with(p.reader.sorting_key())) {
        return Err(Error::Column(format!(
            "part {} is sorted by ({}), the table by ({})",
            other.reader.id(),
            other.reader.sorting_key().join(", "),
            texts.join(", ")
        )));
    }
    let columns: Vec<&ColumnDefinition> = stored_columns(&table.definition).collect();
    let identity = PartIdentity {
        id: store.new_part_id(),
        table: table.definition.uuid,
        partition_id: sources[0].partition_id.clone(),
        min_block: sources[0].min_block,
        max_block: sources[sources.len() - 1].max_block,
        level: sources.iter().map(|p| p.level).max().unwrap_or(0) + 1,
        created_us: store.clock().now_us(),
    };
    let partition = opened[0].reader.partition().iter().map(|k| k.column.clone()).collect();
    let reader = Arc::new(ColumnReader::new(&table.definition, store.compiler()));
    let now = (store.clock().now_us() / 1_000_000) as i64;
    let by_default = keys.ttl.codec_due(&opened, &reader, &columns, now)?;
    let by_default = by_default.unwrap_or_else(|| default_codec(&table.definition));
    let mut writer =
        part_writer_with(store.disk(), &table.definition, &keys, identity, partition, by_default);
    let kept = match rule_drops_projections(&table.definition) {
        true => vec![],
        false if crate::table::setting(&table.definition, ON_MERGE) == Some(1u8) => {
            keys.projections.iter().map(|p| p.name().to_string()).collect()
        }
        false => in_some_part(&keys.projections, opened.iter().map(|p| p.reader.as_ref())),
    };
    writer.retain_projections(&|name| kept.iter().any(|k| k == name));
    let granularity = index_granularity(&table.definition);
    let purpose = if options.cleanup { Purpose::Cleanup } else { Purpose::Merge };
    let compiler = store.compiler().as_ref();
    let mut rule = combiner(&table.definition, &keys, &columns, compiler, purpose)?;
    if let Some(names) = &options.deduplicate {
        rule = Some(Box::new(Deduplicating::new(rule, &columns, names)));
    }
    let ttl = &keys.ttl;
    // A part without a range may be older than the rules.
    let due = |p: &&Arc<PartMeta>| p.ttl_seconds.is_none_or(|(first, _)| first <= now);
    let expires = !ttl.is_empty() && (options.every_ttl || sources.iter().any(|p| due(&p)));
    let conserves = rule.is_none() && !expires;
    let copies = rule.is_none() && ttl.is_empty();
    let places: Vec<Option<Vec<usize>>> = opened
        .iter()
        .map(|p| writer.copies_from(&p.reader).filter(|_| copies && p.mask.is_none()))
        .collect();
    let ranges = opened.iter().map(|part| SourceRange::whole(part.clone())).collect();
    let stream = MergeStream::copying(
        ranges,
        places.clone(),
        reader.clone(),
        &columns,
        &keys,
        granularity,
        None,
    )?;
    let mut stream = CombinedStream::new(stream, rule);
    let mut together = Together::new(&keys);
    let mut output = Output::new(writer, &columns, &keys, granularity, now, expires);
    output.copied = vec![vec![]; opened.len()];
    loop {
        if progress.is_over() {
            return Err(Error::Closed("the merge was cancelled".into()));
        }
        if stream.next_is_whole() && output.may_copy() {
            if let Some(granule) = stream.take_whole()? {
                let places = places[granule.source].as_deref().unwrap_or_default();
                output.copy(granule, places)?;
            }
        } else {
            let Some(outputs) = stream.next()? else { break };
            for rows in outputs {
                if let Some(rows) = together.add(&columns, rows)? {
                    output.write(rows)?;
                }
            }
        }
        progress.rows_done.store(stream.rows_read, Ordering::Relaxed);
    }
    if let Some(rows) = together.rest()? {
        output.write(rows)?;
    }
    output.flush()?;
    let Output { mut writer, seconds, copied, .. } = output;
    count_copied(&opened, &copied, &reader, &columns, &mut writer)?;
    check_rows(&opened, stream.rows_read, &writer)?;
    if conserves {
        check_conserved(&opened, &reader, &columns, &writer)?;
    }
    // Nothing may be left of the rows; then no part takes their place.
    let mut merged = if writer.rows() > 0 { vec![writer.finish()?] } else { vec![] };
    for part in &mut merged {
        part.meta.ttl_seconds = seconds.flatten();
        part.meta.data_version = sources[0].data_version;
    }
    store.commit(replacing(table, sources), merged)
}

/// Whether merges of an engine that combines rows leave projections out: `drop` of
/// `deduplicate_merge_projection_mode`. All other merges make them anew from the merged rows.
fn rule_drops_projections(definition: &log::TableDefinition) -> bool {
    let mode = definition.settings.get("deduplicate_merge_projection_mode");
    definition.engine != "MergeTree" && mode.is_some_and(|m| m.trim_matches('\'') == "drop")
}

/// Removes `parts`, nothing taking their place.
pub(super) fn drop_parts(
    store: &Arc<Store>,
    table: &Arc<log::Table>,
    parts: &[PartId],
) -> Result<u64> {
    store.commit(replacing(table, live(table, parts)?), vec![])
}

/// A commit in which `parts` go, if they are still there and the table is unchanged.
fn replacing(table: &log::Table, sources: Vec<Arc<PartMeta>>) -> Commit {
    let edits = sources
        .iter()
        .map(|part| Edit::RemovePart { table: table.definition.uuid, part: part.id })
        .collect();
    Commit {
        preconditions: vec![
            Precondition::TableUnchanged {
                table: table.definition.uuid,
                definition_version: table.definition_version,
            },
            Precondition::PartsAs { table: table.definition.uuid, parts: sources },
        ],
        edits,
    }
}

/// The parts' entries, checked to be neighbours of one partition in block order.
fn sources(table: &log::Table, parts: &[PartId]) -> Result<Vec<Arc<PartMeta>>> {
    let refuse = |why: &str| Err(Error::Column(format!("these parts cannot be merged: {why}")));
    let first = parts.first().and_then(|id| table.parts.iter().find(|p| p.id == *id));
    let Some(first) = first else { return refuse("the first is not live") };
    let partition: Vec<&Arc<PartMeta>> =
        table.parts.iter().filter(|p| p.partition_id == first.partition_id).collect();
    let at = partition.iter().position(|p| p.id == first.id).unwrap_or(0);
    let found: Vec<Arc<PartMeta>> =
        partition[at..].iter().take(parts.len()).map(|p| (*p).clone()).collect();
    if !found.iter().map(|p| p.id).eq(parts.iter().copied()) {
        return refuse("they are not neighbours of one partition");
    }
    if found.iter().any(|p| p.data_version != found[0].data_version) {
        return refuse("they have been through different mutations");
    }
    Ok(found)
}

/// The entries of `parts` that are live.
fn live(table: &log::Table, parts: &[PartId]) -> Result<Vec<Arc<PartMeta>>> {
    let found: Vec<Arc<PartMeta>> =
        table.parts.iter().filter(|p| parts.contains(&p.id)).cloned().collect();
    if found.len() < parts.len() {
        return Err(Error::Column("these parts cannot be dropped: one is not live".into()));
    }
    Ok(found)
}

/// Rows gather until they are whole granules, so that those of the new part are full.
pub(crate) struct WholeGranules {
    granularity: usize,
    rows: Vec<Vec<Column>>,
    count: usize,
}

impl WholeGranules {
    pub(crate) fn new(granularity: usize) -> WholeGranules {
        WholeGranules { granularity, rows: vec![], count: 0 }
    }

    /// Rows that have gathered.
    pub(super) fn rows(&self) -> usize {
        self.count
    }

    pub(crate) fn add(
        &mut self,
        rows: Vec<Column>,
        push: &mut dyn FnMut(&[Column]) -> Result<()>,
    ) -> Result<()> {
        let count = rows.first().map_or(0, Column::len);
        if self.count == 0 && count == self.granularity {
            return push(&rows);
        }
        if count > 0 {
            self.rows.push(rows);
            self.count += count;
        }
        let full = self.count / self.granularity * self.granularity;
        if full == 0 {
            return Ok(());
        }
        let joined = self.take()?;
        push(&joined.iter().map(|c| c.slice(0, full)).collect::<Vec<_>>())?;
        let rest = joined.first().map_or(0, Column::len) - full;
        if rest > 0 {
            self.rows.push(joined.iter().map(|c| c.slice(full, rest)).collect());
            self.count = rest;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, push: &mut dyn FnMut(&[Column]) -> Result<()>) -> Result<()> {
        if self.count > 0 { push(&self.take()?) } else { Ok(()) }
    }

    fn take(&mut self) -> Result<Vec<Column>> {
        self.count = 0;
        let mut rows = std::mem::take(&mut self.rows);
        if rows.len() == 1 {
            return Ok(rows.swap_remove(0));
        }
        let width = rows.first().map_or(0, Vec::len);
        (0..width)
            .map(|i| Column::concat(&rows.iter().map(|r| r[i].clone()).collect::<Vec<_>>()))
            .collect()
    }
}

/// All rows that the sources have left were read, and no more were written.
fn check_rows(parts: &[OpenPart], read: u64, writer: &PartWriter) -> Result<()> {
    let rows: u64 = parts.iter().map(OpenPart::rows_live).sum();
    if read == rows && writer.rows() <= rows {
        return Ok(());
    }
    Err(Error::Column(format!(
        "a merge of {rows} rows read {read} and wrote {}; nothing was changed",
        writer.rows()
    )))
}

/// Rows and the content hash of every column must be those of the sources.
fn check_conserved(
    parts: &[OpenPart],
    reader: &ColumnReader,
    columns: &[&ColumnDefinition],
    writer: &PartWriter,
) -> Result<()> {
    let rows: u64 = parts.iter().map(OpenPart::rows_live).sum();
    if rows != writer.rows() {
        return Err(Error::Column(format!(
            "a merge of {rows} rows wrote {} rows; nothing was changed",
            writer.rows()
        )));
    }
    for (definition, written) in columns.iter().zip(writer.content_hashes()) {
        let mut expected = 0u64;
        for part in parts {
            expected = expected.wrapping_add(content_hash(part, reader, definition)?);
        }
        if expected != written {
            return Err(Error::Column(format!(
                "a merge changed values of column {}; nothing was committed",
                definition.name
            )));
        }
    }
    Ok(())
}

/// Hash of the values that are left of a column: the part's own where it has them all as the table
/// does, else counted anew.
fn content_hash(
    part: &OpenPart,
    reader: &ColumnReader,
    definition: &ColumnDefinition,
) -> Result<u64> {
    if part.mask.is_none()
        && ColumnReader::is_as_defined(&part.reader, definition)
        && let Some(index) = part.reader.column_index(definition.id)
    {
        return Ok(part.reader.content_hash(index));
    }
    granules_hash(part, reader, definition, 0..part.reader.granules())
}

/// Hash of the values that are left in some granules of a column, counted anew.
fn granules_hash(
    part: &OpenPart,
    reader: &ColumnReader,
    definition: &ColumnDefinition,
    granules: impl Iterator<Item = usize>,
) -> Result<u64> {
    let layout = Layout::of(&definition.data_type);
    let mut sum = 0u64;
    let mut hashes = vec![];
    for granule in granules {
        let mut column = reader.read(&part.reader, definition, &[granule])?;
        if let Some(live) = part.live(granule) {
            column = column.filter(&live);
        }
        hashes.clear();
        row_hashes(&layout, column.array.as_ref(), &mut hashes);
        sum = sum.wrapping_add(sum_hashes(&hashes));
    }
    Ok(sum)
}

/// Counts the content of the granules that were `copied`, by looking at them or at the others of their
/// part, whichever are fewer: bytes that are the same hold the same values.
fn count_copied(
    parts: &[OpenPart],
    copied: &[Vec<usize>],
    reader: &ColumnReader,
    columns: &[&ColumnDefinition],
    writer: &mut PartWriter,
) -> Result<()> {
    for (part, copied) in parts.iter().zip(copied).filter(|(_, copied)| !copied.is_empty()) {
        let granules = part.reader.granules();
        let is_copied = |granule: &usize| copied.binary_search(granule).is_ok();
        for (i, definition) in columns.iter().enumerate() {
            let count = |wanted: bool| {
                let granules = (0..granules).filter(|granule| is_copied(granule) == wanted);
                granules_hash(part, reader, definition, granules)
            };
            let hash = match copied.len() * 2 <= granules {
                true => count(true)?,
                false => content_hash(part, reader, definition)?.wrapping_sub(count(false)?),
            };
            writer.add_content(i, hash);
        }
    }
    Ok(())
}
