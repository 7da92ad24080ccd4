//! One merge: streams its sources into a new part, checks that nothing was lost or changed, and
//! swaps them in one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::stream::MergeStream;
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, Commit, Edit, PartId, PartMeta, Precondition};
use crate::part::{Layout, PartIdentity, PartReader, PartWriter, row_hashes, sum_hashes};
use crate::store::Store;
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
    let readers = sources.iter().map(|meta| store.part(meta)).collect::<Result<Vec<_>>>()?;
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let texts: Vec<String> = keys.sorting.iter().map(|e| e.text.clone()).collect();
    if let Some(other) = readers.iter().find(|r| r.sorting_key() != texts) {
        return Err(Error::Column(format!(
            "part {} is sorted by ({}), the table by ({})",
            other.id(),
            other.sorting_key().join(", "),
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
    let partition = readers[0].partition().iter().map(|k| k.column.clone()).collect();
    let mut writer = part_writer(store.disk(), &table.definition, &keys, identity, partition);
    let granularity = index_granularity(&table.definition);
    let mut stream = MergeStream::new(readers.clone(), &columns, &keys, granularity)?;
    while let Some(rows) = stream.next()? {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(Error::Closed("the merge was cancelled".into()));
        }
        push(&mut writer, &columns, &rows, &keys, granularity)?;
        progress.rows_done.fetch_add(rows[0].len() as u64, Ordering::Relaxed);
    }
    check_conserved(&readers, &columns, &writer)?;
    let merged = writer.finish()?;
    let commit = Commit {
        preconditions: vec![
            Precondition::TableUnchanged {
                table: table.definition.uuid,
                definition_version: table.definition_version,
            },
            Precondition::PartsLive { table: table.definition.uuid, parts: parts.to_vec() },
        ],
        edits: parts
            .iter()
            .map(|part| Edit::RemovePart { table: table.definition.uuid, part: *part })
            .collect(),
    };
    store.commit(commit, vec![merged])
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
    Ok(found)
}

fn push(
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
    readers: &[Arc<PartReader>],
    columns: &[&ColumnDefinition],
    writer: &PartWriter,
) -> Result<()> {
    let rows: u64 = readers.iter().map(|r| r.rows()).sum();
    if rows != writer.rows() {
        return Err(Error::Column(format!(
            "a merge of {rows} rows wrote {} rows; nothing was changed",
            writer.rows()
        )));
    }
    for (definition, written) in columns.iter().zip(writer.content_hashes()) {
        let expected = readers
            .iter()
            .map(|r| match r.column_index(definition.id) {
                Some(index) => r.content_hash(index),
                None => default_hash(definition).wrapping_mul(r.rows()),
            })
            .fold(0u64, u64::wrapping_add);
        if expected != written {
            return Err(Error::Column(format!(
                "a merge changed values of column {}; nothing was committed",
                definition.name
            )));
        }
    }
    Ok(())
}

fn default_hash(definition: &ColumnDefinition) -> u64 {
    let column = Column::default_values(definition.data_type.clone(), 1);
    let mut hashes = vec![];
    row_hashes(&Layout::of(&definition.data_type), column.array.as_ref(), &mut hashes);
    sum_hashes(&hashes)
}
