//! One merge: streams its sources into a new part, checks that nothing was lost or changed, and
//! swaps them in one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::stream::MergeStream;
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, Commit, Edit, PartId, PartMeta, Precondition};
use crate::part::{Layout, PartIdentity, PartWriter, row_hashes, sum_hashes};
use crate::scan::OpenPart;
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::insert::part_writer;
use crate::table::key::{TableKeys, evaluate};
use crate::table::{index_granularity, stored_columns};

/// How far a merge is, and the wish that it stop.
#[derive(Default)]
pub struct Progress {
    pub rows_done: AtomicU64,
    pub cancel: AtomicBool,
}

/// Merges `parts`, neighbours in block order of one partition of `table`, and commits. Returns the
/// commit's version.
pub fn merge(store: &Arc<Store>, table: &Arc<log::Table>, parts: &[PartId]) -> Result<u64> {
    merge_with(store, table, parts, &Progress::default())
}

pub(super) fn merge_with(
    store: &Arc<Store>,
    table: &Arc<log::Table>,
    parts: &[PartId],
    progress: &Progress,
) -> Result<u64> {
    let sources = sources(table, parts)?;
    let open =
        || sources.iter().map(|meta| OpenPart::open(store, meta)).collect::<Result<Vec<_>>>();
    let parts_open = open()?;
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let texts: Vec<String> = keys.sorting.iter().map(|e| e.text.clone()).collect();
    // Expressions appended to the key are constant in parts that were written before them.
    if let Some(other) = parts_open.iter().find(|p| !texts.starts_with(p.reader.sorting_key())) {
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
    let partition = parts_open[0].reader.partition().iter().map(|k| k.column.clone()).collect();
    let mut writer = part_writer(store.disk(), &table.definition, &keys, identity, partition);
    let granularity = index_granularity(&table.definition);
    let reader = ColumnReader::new(&table.definition, store.compiler());
    let mut stream = MergeStream::new(open()?, reader, &columns, &keys, granularity)?;
    while let Some(rows) = stream.next()? {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(Error::Closed("the merge was cancelled".into()));
        }
        push(&mut writer, &columns, &rows, &keys, granularity)?;
        progress.rows_done.fetch_add(rows[0].len() as u64, Ordering::Relaxed);
    }
    let reader = ColumnReader::new(&table.definition, store.compiler());
    check_conserved(&parts_open, &reader, &columns, &writer)?;
    let merged = match writer.rows() {
        0 => vec![],
        _ => {
            let mut merged = writer.finish()?;
            merged.meta.data_version = sources[0].data_version;
            vec![merged]
        }
    };
    let commit = Commit {
        preconditions: vec![
            Precondition::TableUnchanged {
                table: table.definition.uuid,
                definition_version: table.definition_version,
            },
            Precondition::PartsAs { table: table.definition.uuid, parts: sources },
        ],
        edits: parts
            .iter()
            .map(|part| Edit::RemovePart { table: table.definition.uuid, part: *part })
            .collect(),
    };
    store.commit(commit, merged)
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

pub(crate) fn push(
    writer: &mut PartWriter,
    columns: &[&ColumnDefinition],
    rows: &[Column],
    keys: &TableKeys,
    granularity: usize,
) -> Result<()> {
    writer.push(rows, granularity, &mut |row| {
        let names = columns.iter().map(|c| c.name.clone());
        let one = Block::new(names.zip(rows.iter().map(|c| c.slice(row, 1))).collect());
        let values = evaluate(keys.primary(), &one)?;
        // Deep copies, or the index would keep every granule alive.
        Ok(values.iter().map(|c| crate::table::insert::one_row(c, 0)).collect())
    })
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
    let layout = Layout::of(&definition.data_type);
    let mut sum = 0u64;
    let mut hashes = vec![];
    for granule in 0..part.reader.granules() {
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
