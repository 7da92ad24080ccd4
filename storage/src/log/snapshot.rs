//! A whole state to bytes and back: the payload of a checkpoint's first frame.
//!
//! Every field of [`State`] is written as it is, nothing is derived, so that a state read back is the
//! state that was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::change::TableChanges;
use super::codec::{
    FORMAT, read_collection, read_definition, read_format, read_pair, read_part, write_collection,
    write_definition, write_pair, write_part,
};
use super::codec_changes::{read_dropped, read_table_changes, write_dropped, write_table_changes};
use super::state::{Database, State, StreamGap, StreamOffset, StreamPartition, Table};
use super::tokens::Tokens;
use super::wire::{Reader, WireResult, Writer};

const SECTION_END: u8 = 0;
const SECTION_CHANGES: u8 = 20;
const SECTION_COLLECTIONS: u8 = 43;
const SECTION_FUNCTIONS: u8 = 70;
const SECTION_ACCESS: u8 = 72;

pub fn encode_state(state: &State) -> Vec<u8> {
    let mut w = Writer::default();
    w.u8(FORMAT);
    w.uint(state.version);
    w.uint(u64::from(state.epoch));
    w.list(state.databases.values(), |w, database| write_database(w, database));
    w.list(state.tables.values(), |w, table| write_table(w, table));
    w.list(&state.views_versions, |w, (name, version)| {
        write_pair(w, name);
        w.uint(*version);
    });
    write_sections(&mut w, state);
    w.bytes
}

/// Tagged sections: what came after the first formats. Each has its number, and all are read in the
/// order of their numbers, so a part of the state needs no new format to be added.
fn write_sections(w: &mut Writer, state: &State) {
    w.u8(SECTION_CHANGES);
    w.list(state.tables.values(), |w, table| write_table_changes(w, &table.changes));
    w.list(state.dropped.values(), |w, dropped| {
        write_dropped(w, dropped);
        write_table_changes(w, &dropped.table.changes);
    });
    if !state.named_collections.is_empty() {
        w.u8(SECTION_COLLECTIONS);
        w.list(&state.named_collections, |w, (name, values)| write_collection(w, name, values));
    }
    if !state.functions.is_empty() {
        w.u8(SECTION_FUNCTIONS);
        w.list(&state.functions, |w, (name, lambda)| {
            w.text(name);
            w.text(lambda);
        });
    }
    if !state.access_entities.is_empty() {
        w.u8(SECTION_ACCESS);
        w.list(state.access_entities.iter(), |w, (id, definition)| {
            w.uuid(id);
            w.text(definition);
        });
    }
    w.u8(SECTION_END);
}

fn read_sections(r: &mut Reader, state: &mut State) -> WireResult<()> {
    loop {
        match r.u8()? {
            SECTION_END => return Ok(()),
            SECTION_CHANGES => {
                let changes = r.list(read_table_changes)?;
                if changes.len() != state.tables.len() {
                    return r.error("changes of other tables than there are");
                }
                for (table, changes) in state.tables.values_mut().zip(changes) {
                    Arc::make_mut(table).changes = changes;
                }
                let dropped = r.list(|r| {
                    let mut dropped = read_dropped(r)?;
                    Arc::make_mut(&mut dropped.table).changes = read_table_changes(r)?;
                    Ok(dropped)
                })?;
                state.dropped =
                    dropped.into_iter().map(|d| (d.table.definition.uuid, Arc::new(d))).collect();
            }
            SECTION_COLLECTIONS => {
                let collections = r.list(read_collection)?;
                state.named_collections =
                    collections.into_iter().map(|(name, values)| (name, values.into())).collect();
            }
            SECTION_FUNCTIONS => {
                let functions = r.list(|r| Ok((r.text()?, r.text()?)))?;
                state.functions =
                    functions.into_iter().map(|(name, lambda)| (name, lambda.into())).collect();
            }
            SECTION_ACCESS => {
                let entities = r.list(|r| Ok((r.uuid()?, r.text()?.into())))?;
                state.access_entities = Arc::new(BTreeMap::from_iter(entities));
            }
            other => return r.error(format!("unknown section {other}")),
        }
    }
}

pub fn decode_state(payload: &[u8]) -> WireResult<State> {
    let mut r = Reader::new(payload);
    read_format(&mut r)?;
    let (version, epoch) = (r.uint()?, r.u32()?);
    let databases = r.list(read_database)?;
    let tables = r.list(read_table)?;
    let views_versions = r.list(|r| Ok((read_pair(r)?, r.uint()?)))?;
    let mut state = State {
        version,
        epoch,
        databases: databases.into_iter().map(|d| (d.name.clone(), Arc::new(d))).collect(),
        tables: tables.into_iter().map(|t| (t.definition.uuid, Arc::new(t))).collect(),
        views_versions: BTreeMap::from_iter(views_versions),
        dropped: BTreeMap::new(),
        functions: BTreeMap::new(),
        named_collections: BTreeMap::new(),
        access_entities: Arc::default(),
    };
    if r.format >= 3 {
        read_sections(&mut r, &mut state)?;
    }
    r.end()?;
    Ok(state)
}

fn write_database(w: &mut Writer, database: &Database) {
    w.text(&database.name);
    w.text(&database.engine);
    w.text(&database.comment);
    w.list(&database.tables, |w, (name, table)| {
        w.text(name);
        w.uuid(table);
    });
}

fn read_database(r: &mut Reader) -> WireResult<Database> {
    let (name, engine, comment) = (r.text()?, r.text()?, r.text()?);
    let tables = r.list(|r| Ok((r.text()?, r.uuid()?)))?;
    Ok(Database { name, engine, comment, tables: BTreeMap::from_iter(tables) })
}

pub(super) fn write_table(w: &mut Writer, table: &Table) {
    write_definition(w, &table.definition);
    w.uint(table.definition_version);
    w.bool(table.detached);
    w.list(&table.parts, |w, part| write_part(w, part));
    w.uint(table.next_block);
    w.list(&table.offsets, |w, (partition, offset)| {
        write_partition(w, partition);
        w.int(offset.next);
        w.uint(offset.commits);
        w.uint(offset.last_commit_us);
    });
    w.list(&table.gaps, |w, gap| {
        write_partition(w, &gap.partition);
        w.int(gap.from);
        w.int(gap.to);
        w.text(&gap.reason);
    });
    write_paused(w, table);
    w.list(table.tokens.in_order(), |w, token| w.text(&token));
}

/// Bits: 1 paused, 2 by the server (and the reason), 4 topic ids are known (and a list of them).
fn write_paused(w: &mut Writer, table: &Table) {
    let by_server = !table.paused_reason.is_empty();
    let with_ids = !table.topic_ids.is_empty();
    w.u8(u8::from(table.paused) | u8::from(by_server) << 1 | u8::from(with_ids) << 2);
    if by_server {
        w.text(&table.paused_reason);
    }
    if with_ids {
        w.list(&table.topic_ids, |w, (topic, id)| {
            w.text(topic);
            w.uuid(id);
        });
    }
}

type Paused = (bool, Arc<str>, BTreeMap<String, Uuid>);

fn read_paused(r: &mut Reader) -> WireResult<Paused> {
    let flags = r.u8()?;
    if flags > 7 {
        return r.error(format!("{flags} says nothing of a pause"));
    }
    let reason = if flags & 2 == 0 { "".into() } else { r.text()?.into() };
    let ids = if flags & 4 == 0 { vec![] } else { r.list(|r| Ok((r.text()?, r.uuid()?)))? };
    Ok((flags & 1 == 1, reason, BTreeMap::from_iter(ids)))
}

pub(super) fn read_table(r: &mut Reader) -> WireResult<Table> {
    let definition = Arc::new(read_definition(r)?);
    let next_column_id = definition.columns.iter().map(|c| c.id.saturating_add(1)).max();
    let pause: Paused;
    Ok(Table {
        definition,
        definition_version: r.uint()?,
        detached: r.bool()?,
        parts: r.list(|r| Ok(Arc::new(read_part(r)?)))?,
        next_block: r.uint()?,
        offsets: BTreeMap::from_iter(r.list(read_offset)?),
        gaps: r.list(read_gap)?,
        paused: {
            pause = read_paused(r)?;
            pause.0
        },
        paused_reason: pause.1,
        topic_ids: pause.2,
        tokens: Tokens::from_order(r.list(Reader::text)?),
        // Formats before 3 had no more than this; later ones have a section of it.
        changes: TableChanges {
            next_column_id: next_column_id.unwrap_or(0),
            ..TableChanges::default()
        },
    })
}

fn read_offset(r: &mut Reader) -> WireResult<(StreamPartition, StreamOffset)> {
    let partition = read_partition(r)?;
    let offset = StreamOffset { next: r.int()?, commits: r.uint()?, last_commit_us: r.uint()? };
    Ok((partition, offset))
}

fn read_gap(r: &mut Reader) -> WireResult<StreamGap> {
    Ok(StreamGap { partition: read_partition(r)?, from: r.int()?, to: r.int()?, reason: r.text()? })
}

fn write_partition(w: &mut Writer, partition: &StreamPartition) {
    w.text(&partition.topic);
    w.int(i64::from(partition.kafka_partition));
}

fn read_partition(r: &mut Reader) -> WireResult<StreamPartition> {
    Ok(StreamPartition { topic: r.text()?, kafka_partition: r.i32()? })
}
