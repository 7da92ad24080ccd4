//! A block becomes parts: split by partition, sorted by key, written, fsynced. Nothing is visible
//! until the caller commits the parts.
//!
//! Rules: all or nothing (parts of a failed block remove themselves); no more partitions per block
//! than a limit; the block's own order decides between equal keys.

use std::sync::Arc;

use arrow_array::UInt32Array;

use super::key::{KeyExpression, TableKeys, evaluate, partition_id};
use super::order::SortKeys;
use super::projection_build::ProjectionBuilder;
use super::{index_granularity, stored_columns};
use crate::block::{Block, Column};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::expression::ExpressionCompiler;
use crate::log::{self, ColumnDefinition, PartId, TableDefinition};
use crate::merge::combine::{Combiner, Purpose, block_groups, combiner};
use crate::part::codec::{ColumnCodec, Generic};
use crate::part::{KeyColumn, PartColumn, PartIdentity, PartKeys, PartWriter, PendingPart};
use crate::store::Store;

/// ClickHouse's `max_partitions_per_insert_block`.
const PARTITIONS_PER_BLOCK_MAX: usize = 100;
/// Parts of one block that are written and synced at the same time.
const WRITERS_MAX: usize = 8;

/// Writes `block`, which holds all stored columns of `table`, as one part per partition. Each file
/// is durable when this returns; the folder is not (the commit sees to it).
///
/// Rows of equal key are combined first as the table's engine does it (`optimize_on_insert`); see
/// [`write_block_with`] to leave them as they are.
pub fn write_block(store: &Store, table: &log::Table, block: &Block) -> Result<Vec<PendingPart>> {
    write_block_with(store, table, block, WriteOptions::default())
}

/// How a block is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// Whether rows of equal key are combined.
    pub combine: bool,
    /// Threads that write the columns of one part, if there are that many idle ones.
    pub threads: usize,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { combine: true, threads: 1 }
    }
}

/// As [`write_block`], in another way.
pub fn write_block_with(
    store: &Store,
    table: &log::Table,
    block: &Block,
    options: WriteOptions,
) -> Result<Vec<PendingPart>> {
    let definition = &table.definition;
    let keys = TableKeys::of(definition, store.compiler().as_ref())?;
    let target = Target {
        definition,
        keys: &keys,
        disk: store.disk(),
        clock: store.clock().as_ref(),
        new_part_id: &|| store.new_part_id(),
        compiler: options.combine.then(|| store.compiler().as_ref()),
        threads: options.threads,
    };
    target.write(block)
}

/// What a block is written for.
pub(crate) struct Target<'a> {
    pub(crate) definition: &'a Arc<TableDefinition>,
    pub(crate) keys: &'a TableKeys,
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) new_part_id: &'a (dyn Fn() -> PartId + Sync),
    /// For the engine's rule for rows of equal key; None leaves them as they are.
    pub(crate) compiler: Option<&'a dyn ExpressionCompiler>,
    /// Threads for the columns of one part.
    pub(crate) threads: usize,
}

/// Rows of one partition and their order.
struct Slot {
    id: String,
    /// Rows of the block in key order; None if those are all rows as they stand.
    rows: Option<UInt32Array>,
}

impl Target<'_> {
    pub(crate) fn write(&self, block: &Block) -> Result<Vec<PendingPart>> {
        if block.is_empty() {
            return Ok(vec![]);
        }
        let columns = self.columns_of(block)?;
        let partition = evaluate(&self.keys.partition, block)?;
        let sorting = evaluate(&self.keys.sorting, block)?;
        let slots = self.slots(block.rows(), &partition, &sorting)?;
        if let [slot] = &slots[..] {
            return Ok(Vec::from_iter(self.write_part(slot, &columns, &partition, &sorting)?));
        }
        let mut parts = Vec::with_capacity(slots.len());
        for group in slots.chunks(WRITERS_MAX) {
            let written: Vec<Result<Option<PendingPart>>> = std::thread::scope(|scope| {
                let writers: Vec<_> = group
                    .iter()
                    .map(|slot| {
                        let (columns, partition, sorting) = (&columns, &partition, &sorting);
                        scope.spawn(move || self.write_part(slot, columns, partition, sorting))
                    })
                    .collect();
                writers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err(panicked()))).collect()
            });
            for part in written {
                parts.extend(part?);
            }
        }
        Ok(parts)
    }

    /// The block's columns in the order of the definition.
    fn columns_of(&self, block: &Block) -> Result<Vec<Column>> {
        stored_columns(self.definition)
            .map(|definition| {
                let column = block.column(&definition.name).ok_or_else(|| {
                    Error::Column(format!(
                        "the block for {} lacks column {}",
                        self.definition.full_name(),
                        definition.name
                    ))
                })?;
                if column.data_type.arrow() != definition.data_type.arrow() {
                    return Err(Error::Column(format!(
                        "column {} of {} is of type {}, the block has {}",
                        definition.name,
                        self.definition.full_name(),
                        definition.data_type,
                        column.data_type
                    )));
                }
                Ok(Column { data_type: definition.data_type.clone(), array: column.array.clone() })
            })
            .collect()
    }

    fn slots(&self, rows: usize, partition: &[Column], sorting: &[Column]) -> Result<Vec<Slot>> {
        let limit = super::setting(self.definition, "max_partitions_per_insert_block")
            .filter(|limit| *limit > 0)
            .unwrap_or(PARTITIONS_PER_BLOCK_MAX);
        let order = SortKeys::encode(sorting, rows);
        let groups = SortKeys::encode(partition, rows).groups(limit).ok_or_else(|| {
            Error::LimitExceeded(format!(
                "Too many partitions for single INSERT block (more than {limit}). The limit is \
                 controlled by 'max_partitions_per_insert_block' setting. Large number of partitions \
                 is a common misconception: partitions are for managing data, not for speeding up \
                 SELECTs",
            ))
        })?;
        Ok(groups
            .into_iter()
            .map(|group| {
                let first = group.first().map_or(0, |row| *row as usize);
                let values: Vec<_> =
                    partition.iter().map(|c| (c.data_type.clone(), c.value(first))).collect();
                let rows = order.sorted_rows((!group.is_empty()).then_some(group));
                Slot { id: partition_id(&values), rows: rows.map(UInt32Array::from) }
            })
            .collect())
    }

    fn write_part(
        &self,
        slot: &Slot,
        columns: &[Column],
        partition: &[Column],
        sorting: &[Column],
    ) -> Result<Option<PendingPart>> {
        let rows = slot.rows.as_ref();
        let row = |i: usize| rows.map_or(i, |rows| rows.value(i) as usize);
        let identity = PartIdentity {
            id: (self.new_part_id)(),
            table: self.definition.uuid,
            partition_id: slot.id.clone(),
            min_block: 0,
            max_block: 0,
            level: 0,
            created_us: self.clock.now_us(),
        };
        let partition = partition.iter().map(|c| one_row(c, row(0))).collect();
        let mut writer = part_writer(self.disk, self.definition, self.keys, identity, partition);
        if super::setting(self.definition, "materialize_projections_on_insert") == Some(0u8) {
            writer.retain_projections(&|_| false);
        }
        let definitions: Vec<&ColumnDefinition> = stored_columns(self.definition).collect();
        let granularity = index_granularity(self.definition);
        let primary = &sorting[..self.keys.primary_length];
        let mut key_at = |i: usize| Ok(primary.iter().map(|c| one_row(c, row(i))).collect());
        let rule = self.rule(&definitions)?;
        if rule.is_none() && writer.takes_picks() {
            writer.set_threads(self.threads);
            writer.push_picked(columns, rows, granularity, &mut key_at)?;
            return self.finish(writer, columns, rows).map(Some);
        }
        let taken: Vec<Column>;
        let columns = match rows {
            Some(rows) => {
                taken = columns.iter().map(|c| c.take(rows)).collect();
                &taken[..]
            }
            None => columns,
        };
        if let Some(rule) = rule {
            let combined = combined(rule, columns, slot, sorting)?;
            push_rows(&mut writer, &definitions, &combined, self.keys, granularity)?;
            return match writer.rows() {
                0 => Ok(None),
                _ => self.finish(writer, &combined, None).map(Some),
            };
        }
        writer.push(columns, granularity, &mut key_at)?;
        self.finish(writer, columns, None).map(Some)
    }

    /// `rows` of `columns` are those that were written.
    fn finish(
        &self,
        writer: PartWriter,
        columns: &[Column],
        rows: Option<&UInt32Array>,
    ) -> Result<PendingPart> {
        let mut part = writer.finish()?;
        if !self.keys.ttl.is_empty() {
            let names = stored_columns(self.definition).map(|c| c.name.clone());
            let mut block = Block::new(names.zip(columns.iter().cloned()).collect());
            if let Some(rows) = rows {
                block = block.take(rows);
            }
            part.meta.ttl_seconds = self.keys.ttl.seconds(&block, None)?;
        }
        Ok(part)
    }

    /// How rows of equal key become one; None if the engine, or the insert, keeps all.
    fn rule(&self, columns: &[&ColumnDefinition]) -> Result<Option<Box<dyn Combiner>>> {
        let Some(compiler) = self.compiler else { return Ok(None) };
        combiner(self.definition, self.keys, columns, compiler, Purpose::Insert)
    }
}

/// The part's rows with those of equal key combined.
fn combined(
    mut rule: Box<dyn Combiner>,
    columns: &[Column],
    slot: &Slot,
    sorting: &[Column],
) -> Result<Vec<Column>> {
    let rows = columns.first().map_or(0, Column::len);
    let total = sorting.first().map_or(rows, Column::len);
    let order = slot.rows.as_ref().map(|rows| &rows.values()[..]);
    let groups = block_groups(&SortKeys::encode(sorting, total), order);
    rule.combine(columns, &groups)
}

/// Adds rows in key order to a part, evaluating the primary key where the index needs it.
pub(crate) fn push_rows(
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
        Ok(values.iter().map(|c| one_row(c, 0)).collect())
    })
}

fn panicked() -> Error {
    Error::Column("writing a part panicked".into())
}

/// A copy of one row, which keeps nothing else alive.
pub(crate) fn one_row(column: &Column, row: usize) -> Column {
    column.take(&UInt32Array::from(vec![row as u32]))
}

/// A writer for a part of that table. `partition` are the values of the partition key, one row each.
pub(crate) fn part_writer(
    disk: &Arc<dyn Disk>,
    definition: &TableDefinition,
    keys: &TableKeys,
    identity: PartIdentity,
    partition: Vec<Column>,
) -> PartWriter {
    let by_default = super::default_codec(definition);
    part_writer_with(disk, definition, keys, identity, partition, by_default)
}

/// The same; columns without a codec of their own are compressed by `by_default`.
pub(crate) fn part_writer_with(
    disk: &Arc<dyn Disk>,
    definition: &TableDefinition,
    keys: &TableKeys,
    identity: PartIdentity,
    partition: Vec<Column>,
    by_default: Generic,
) -> PartWriter {
    let columns: Vec<PartColumn<'_>> = stored_columns(definition)
        .map(|c| PartColumn {
            id: c.id,
            name: &c.name,
            data_type: &c.data_type,
            codec: ColumnCodec::of(&c.codec, &c.data_type, by_default),
        })
        .collect();
    let texts = |key: &[KeyExpression]| key.iter().map(|e| e.text.clone()).collect::<Vec<_>>();
    let part_keys = PartKeys {
        partition: texts(&keys.partition)
            .into_iter()
            .zip(partition)
            .map(|(text, column)| KeyColumn { text, column })
            .collect(),
        sorting_key: texts(&keys.sorting),
        primary_key: keys.primary().iter().map(|e| (e.text.clone(), e.data_type())).collect(),
    };
    let mut writer = PartWriter::new(disk, identity, part_keys, &columns);
    writer.set_default_codec(by_default);
    writer.set_skip_indexes(&keys.skip_indexes);
    writer.set_projections(keys.projections.iter().map(ProjectionBuilder::boxed).collect());
    writer
}
