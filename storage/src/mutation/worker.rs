//! One part through all mutations that it has not been through: written anew if any of them concerns
//! a row of it, else only its version in the log is raised.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::rows::Commands;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::log::{self, Change, ColumnDefinition, Commit, Edit, PartMeta, Precondition};
use crate::merge::output::Output;
use crate::merge::ttl::Together;
use crate::merge::worker::Progress;
use crate::part::{PartIdentity, PartWriter};
use crate::scan::OpenPart;
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::insert::part_writer;
use crate::table::key::TableKeys;
use crate::table::{index_granularity, stored_columns};

/// Takes the part of `meta`, live in `table`, through its mutations and commits.
pub fn mutate(
    store: &Arc<Store>,
    table: &Arc<log::Table>,
    meta: &Arc<PartMeta>,
    progress: &Progress,
) -> Result<u64> {
    let mutations = table.mutations_of(meta);
    let version = mutations.last().map_or(table.changes.last_mutation, |m| m.number);
    let commands = Commands::compile(
        mutations.iter().flat_map(|m| &m.commands),
        &meta.partition_id,
        &table.definition,
        store.compiler().as_ref(),
    )?;
    let id = table.definition.uuid;
    let mut commit = Commit {
        preconditions: vec![
            Precondition::TableUnchanged {
                table: id,
                definition_version: table.definition_version,
            },
            Precondition::PartsAs { table: id, parts: vec![meta.clone()] },
        ],
        edits: vec![],
    };
    let part = OpenPart::open(store, meta)?;
    let reader = ColumnReader::new(&table.definition, store.compiler());
    if commands.is_empty() || !concerned(&commands, &part, &reader, table, progress)? {
        let part = Arc::new(PartMeta { data_version: version, ..(**meta).clone() });
        commit.edits.push(Edit::Change(Change::UpdatePart { part }));
        return store.commit(commit, vec![]);
    }
    let source = Source { part: &part, reader: &reader, table, meta };
    let (writer, seconds) = source.rewrite(store, &commands, progress)?;
    commit.edits.push(Edit::RemovePart { table: id, part: meta.id });
    let mut parts = vec![];
    if writer.rows() > 0 {
        let mut part = writer.finish()?;
        part.meta.data_version = version;
        part.meta.ttl_seconds = seconds;
        parts.push(part);
    }
    store.commit(commit, parts)
}

/// Whether the commands concern any row that is left.
fn concerned(
    commands: &Commands,
    part: &OpenPart,
    reader: &ColumnReader,
    table: &log::Table,
    progress: &Progress,
) -> Result<bool> {
    let Some(names) = commands.condition_columns() else { return Ok(true) };
    let columns: Vec<&ColumnDefinition> =
        stored_columns(&table.definition).filter(|c| names.contains(&c.name)).collect();
    for granule in 0..part.reader.granules() {
        check(progress)?;
        if commands.concern(&granule_rows(part, reader, &columns, granule)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn check(progress: &Progress) -> Result<()> {
    match progress.cancel.load(Ordering::Relaxed) {
        true => Err(Error::Closed("the mutation was cancelled".into())),
        false => Ok(()),
    }
}

/// The rows that are left of a granule.
pub(super) fn granule_rows(
    part: &OpenPart,
    reader: &ColumnReader,
    columns: &[&ColumnDefinition],
    granule: usize,
) -> Result<Block> {
    let mut block = Block::of_rows(part.reader.granule_rows(granule));
    for column in columns {
        block.push(column.name.clone(), reader.read(&part.reader, column, &[granule])?);
    }
    Ok(match part.live(granule) {
        Some(live) => block.filter(&live),
        None => block,
    })
}

struct Source<'a> {
    part: &'a OpenPart,
    reader: &'a ColumnReader,
    table: &'a log::Table,
    meta: &'a PartMeta,
}

impl Source<'_> {
    /// The part's rows after the commands, and when the first and the last of them run out. They stay in order: key
    /// columns cannot be updated.
    fn rewrite(
        &self,
        store: &Arc<Store>,
        commands: &Commands,
        progress: &Progress,
    ) -> Result<(PartWriter, Option<(i64, i64)>)> {
        let definition = &self.table.definition;
        let keys = TableKeys::of(definition, store.compiler().as_ref())?;
        let identity = PartIdentity {
            id: store.new_part_id(),
            table: definition.uuid,
            partition_id: self.meta.partition_id.clone(),
            min_block: self.meta.min_block,
            max_block: self.meta.max_block,
            level: self.meta.level,
            created_us: store.clock().now_us(),
        };
        let partition = self.part.reader.partition().iter().map(|k| k.column.clone()).collect();
        let mut writer = part_writer(store.disk(), definition, &keys, identity, partition);
        let had = |name: &str| {
            let entries = self.part.reader.projections().iter();
            entries.map(|e| &e.described).any(|d| d.name == name)
        };
        writer.retain_projections(&|name| commands.projection(name).unwrap_or_else(|| had(name)));
        let columns: Vec<&ColumnDefinition> = stored_columns(definition).collect();
        let mut together = Together::new(&keys);
        let now = (store.clock().now_us() / 1_000_000) as i64;
        let expires = commands.expire();
        let mut output =
            Output::new(writer, &columns, &keys, index_granularity(definition), now, expires);
        for granule in 0..self.part.reader.granules() {
            check(progress)?;
            let block = granule_rows(self.part, self.reader, &columns, granule)?;
            let block = commands.apply(block)?;
            progress.rows_done.fetch_add(block.rows() as u64, Ordering::Relaxed);
            if block.is_empty() {
                continue;
            }
            // Rows of one TTL group are looked at together.
            let rows = match expires {
                true => together.add(&columns, block.columns)?,
                false => Some(block.columns),
            };
            rows.map_or(Ok(()), |rows| output.write(rows))?;
        }
        together.rest()?.map_or(Ok(()), |rows| output.write(rows))?;
        output.flush()?;
        Ok((output.writer, output.seconds.flatten()))
    }
}
