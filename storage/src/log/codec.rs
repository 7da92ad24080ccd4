//! Edits to bytes and back: the payload of a frame.
//!
//! A payload is a format number and a list of edits, each a tag and its fields in order. Tags and
//! fields are never reused or reordered; a new field means a new tag, a changed meaning a new format
//! number. Types are written by their canonical names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec_changes::{TAGS, read_change, write_change};
use super::codec_clauses::{read_clauses, read_mask, write_clauses, write_mask};
use super::edit::{
    ColumnDefault, ColumnDefinition, DefaultKind, Edit, NamedValue, PartId, PartMeta, TableClauses,
    TableDefinition,
};
use super::wire::{Reader, WireResult, Writer};
use crate::error::{Error, Result};
use crate::types::parse_data_type;

/// The format that this program writes, and the newest that it reads. Format 1 has no clauses behind
/// a definition, and no data version, mask and TTL behind a part; before format 3 snapshots had no
/// sections at their end.
pub const FORMAT: u8 = 3;

/// The payload of a frame, growing commit by commit.
#[derive(Debug)]
pub struct Payload {
    w: Writer,
}

impl Default for Payload {
    fn default() -> Self {
        Payload::new()
    }
}

impl Payload {
    pub fn new() -> Payload {
        let mut w = Writer::default();
        w.u8(FORMAT);
        Payload { w }
    }

    /// Adds the edits of one commit, all or none. Fails if they take more than `bytes_max`, and on a
    /// table definition that would not read back (a type without a name that can be parsed).
    pub fn push(&mut self, edits: &[Edit], bytes_max: usize) -> Result<()> {
        let start = self.w.bytes.len();
        let pushed = self.push_checked(edits, start.saturating_add(bytes_max));
        if pushed.is_err() {
            self.w.bytes.truncate(start);
        }
        pushed
    }

    fn push_checked(&mut self, edits: &[Edit], len_max: usize) -> Result<()> {
        for edit in edits {
            if let Edit::CreateTable { definition } | Edit::AlterTable { definition } = edit {
                check_definition(definition)?;
            }
            write_edit(&mut self.w, edit);
            if self.w.bytes.len() > len_max {
                return Err(Error::LimitExceeded("a commit is too large for the log".into()));
            }
        }
        Ok(())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.w.bytes
    }

    pub fn len(&self) -> usize {
        self.w.bytes.len()
    }

    /// Whether there is no edit in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }
}

/// The edits of a frame's payload.
pub fn decode_edits(payload: &[u8]) -> WireResult<Vec<Edit>> {
    let mut r = Reader::new(payload);
    read_format(&mut r)?;
    let mut edits = vec![];
    while !r.is_at_end() {
        edits.push(read_edit(&mut r)?);
    }
    Ok(edits)
}

pub(super) fn read_format(r: &mut Reader) -> WireResult<()> {
    match r.u8()? {
        format @ 1..=FORMAT => {
            r.format = format;
            Ok(())
        }
        other => r.error(format!(
            "log format {other}; this program reads formats 1 to {FORMAT}: it was written by another version"
        )),
    }
}

/// Refuses what could be written but not read again at the next start.
fn check_definition(definition: &TableDefinition) -> Result<()> {
    for column in &definition.columns {
        let text = column.data_type.to_string();
        if !parse_data_type(&text).is_ok_and(|read| read == column.data_type) {
            return Err(Error::UnknownType(format!("{text} does not read back as it was given")));
        }
    }
    Ok(())
}

fn write_edit(w: &mut Writer, edit: &Edit) {
    match edit {
        Edit::Change(change) => write_change(w, change),
        Edit::Epoch { epoch, wall_us } => {
            w.u8(1);
            w.uint(u64::from(*epoch));
            w.uint(*wall_us);
        }
        Edit::CreateDatabase { name, engine, comment } => {
            w.u8(2);
            [name, engine, comment].iter().for_each(|text| w.text(text));
        }
        Edit::DropDatabase { name } => {
            w.u8(3);
            w.text(name);
        }
        Edit::RenameDatabase { from, to } => {
            w.u8(4);
            w.text(from);
            w.text(to);
        }
        Edit::CreateTable { definition } => {
            w.u8(5);
            write_definition(w, definition);
        }
        Edit::DropTable { table } => {
            w.u8(6);
            w.uuid(table);
        }
        Edit::AlterTable { definition } => {
            w.u8(7);
            write_definition(w, definition);
        }
        Edit::DetachTable { table } => {
            w.u8(8);
            w.uuid(table);
        }
        Edit::AttachTable { table } => {
            w.u8(9);
            w.uuid(table);
        }
        Edit::AddPart { part } => {
            w.u8(10);
            write_part(w, part);
        }
        Edit::RemovePart { table, part } => {
            w.u8(11);
            w.uuid(table);
            write_part_id(w, *part);
        }
        Edit::AdvanceOffset { table, topic, kafka_partition, next, wall_us } => {
            w.u8(12);
            w.uuid(table);
            w.text(topic);
            w.int(i64::from(*kafka_partition));
            w.int(*next);
            w.uint(*wall_us);
        }
        Edit::Gap { table, topic, kafka_partition, from, to, reason } => {
            w.u8(13);
            w.uuid(table);
            w.text(topic);
            w.int(i64::from(*kafka_partition));
            w.int(*from);
            w.int(*to);
            w.text(reason);
        }
        Edit::Token { table, token } => {
            w.u8(14);
            w.uuid(table);
            w.text(token);
        }
        Edit::PauseStream { table, paused } => {
            w.u8(15);
            w.uuid(table);
            w.bool(*paused);
        }
        Edit::CreateFunction { name, lambda } => {
            w.u8(70);
            w.text(name);
            w.text(lambda);
        }
        Edit::DropFunction { name } => {
            w.u8(71);
            w.text(name);
        }
        Edit::PutNamedCollection { name, values } => {
            w.u8(43);
            write_collection(w, name, values);
        }
        Edit::DropNamedCollection { name } => {
            w.u8(44);
            w.text(name);
        }
        Edit::PutAccessEntity { id, definition } => {
            w.u8(72);
            w.uuid(id);
            w.text(definition);
        }
        Edit::DropAccessEntity { id } => {
            w.u8(73);
            w.uuid(id);
        }
        Edit::StopStream { table, reason } => {
            w.u8(40);
            w.uuid(table);
            w.text(reason);
        }
        Edit::StreamTopic { table, topic, id } => {
            w.u8(42);
            w.uuid(table);
            w.text(topic);
            w.uuid(id);
        }
        Edit::ForgetOffset { table, topic, kafka_partition } => {
            w.u8(45);
            w.uuid(table);
            w.text(topic);
            w.int(i64::from(*kafka_partition));
        }
        Edit::SeekStream { table, topic, kafka_partition, next, wall_us } => {
            w.u8(41);
            w.uuid(table);
            w.text(topic);
            w.int(i64::from(*kafka_partition));
            w.int(*next);
            w.uint(*wall_us);
        }
    }
}

fn read_edit(r: &mut Reader) -> WireResult<Edit> {
    Ok(match r.u8()? {
        1 => Edit::Epoch { epoch: r.u32()?, wall_us: r.uint()? },
        2 => Edit::CreateDatabase { name: r.text()?, engine: r.text()?, comment: r.text()? },
        3 => Edit::DropDatabase { name: r.text()? },
        4 => Edit::RenameDatabase { from: r.text()?, to: r.text()? },
        5 => Edit::CreateTable { definition: Arc::new(read_definition(r)?) },
        6 => Edit::DropTable { table: r.uuid()? },
        7 => Edit::AlterTable { definition: Arc::new(read_definition(r)?) },
        8 => Edit::DetachTable { table: r.uuid()? },
        9 => Edit::AttachTable { table: r.uuid()? },
        10 => Edit::AddPart { part: Arc::new(read_part(r)?) },
        11 => Edit::RemovePart { table: r.uuid()?, part: read_part_id(r)? },
        12 => Edit::AdvanceOffset {
            table: r.uuid()?,
            topic: r.text()?,
            kafka_partition: r.i32()?,
            next: r.int()?,
            wall_us: r.uint()?,
        },
        13 => Edit::Gap {
            table: r.uuid()?,
            topic: r.text()?,
            kafka_partition: r.i32()?,
            from: r.int()?,
            to: r.int()?,
            reason: r.text()?,
        },
        14 => Edit::Token { table: r.uuid()?, token: r.text()? },
        15 => Edit::PauseStream { table: r.uuid()?, paused: r.bool()? },
        40 => Edit::StopStream { table: r.uuid()?, reason: r.text()? },
        42 => Edit::StreamTopic { table: r.uuid()?, topic: r.text()?, id: r.uuid()? },
        45 => Edit::ForgetOffset { table: r.uuid()?, topic: r.text()?, kafka_partition: r.i32()? },
        41 => Edit::SeekStream {
            table: r.uuid()?,
            topic: r.text()?,
            kafka_partition: r.i32()?,
            next: r.int()?,
            wall_us: r.uint()?,
        },
        43 => {
            let (name, values) = read_collection(r)?;
            Edit::PutNamedCollection { name, values }
        }
        44 => Edit::DropNamedCollection { name: r.text()? },
        70 => Edit::CreateFunction { name: r.text()?, lambda: r.text()? },
        71 => Edit::DropFunction { name: r.text()? },
        72 => Edit::PutAccessEntity { id: r.uuid()?, definition: r.text()? },
        73 => Edit::DropAccessEntity { id: r.uuid()? },
        tag if TAGS.contains(&tag) => Edit::Change(read_change(r, tag)?),
        other => return r.error(format!("unknown edit {other}")),
    })
}

pub(super) fn write_collection(w: &mut Writer, name: &str, values: &BTreeMap<String, NamedValue>) {
    w.text(name);
    w.list(values, |w, (key, value)| {
        w.text(key);
        w.text(&value.text);
        w.u8(match value.overridable {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    });
}

pub(super) fn read_collection(
    r: &mut Reader,
) -> WireResult<(String, BTreeMap<String, NamedValue>)> {
    let name = r.text()?;
    let values = r.list(|r| {
        let (key, text) = (r.text()?, r.text()?);
        let overridable = match r.u8()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            other => return r.error(format!("{other} does not say whether a value may change")),
        };
        Ok((key, NamedValue { text, overridable }))
    })?;
    Ok((name, BTreeMap::from_iter(values)))
}

pub(super) fn write_part_id(w: &mut Writer, id: PartId) {
    w.uint(u64::from(id.epoch));
    w.uint(u64::from(id.number));
}

pub(super) fn read_part_id(r: &mut Reader) -> WireResult<PartId> {
    Ok(PartId { epoch: r.u32()?, number: r.u32()? })
}

pub(super) fn write_part(w: &mut Writer, part: &PartMeta) {
    write_part_id(w, part.id);
    w.uuid(&part.table);
    w.text(&part.partition_id);
    w.uint(part.rows);
    w.uint(part.bytes);
    w.uint(part.bytes_uncompressed);
    w.fixed_u64(part.footer_hash);
    w.uint(part.min_block);
    w.uint(part.max_block);
    w.uint(u64::from(part.level));
    w.uint(part.created_us);
    w.uint(part.data_version);
    w.option(part.mask.as_ref(), write_mask);
    w.option(part.ttl_seconds, |w, (first, last)| {
        w.int(first);
        w.int(last);
    });
}

pub(super) fn read_part(r: &mut Reader) -> WireResult<PartMeta> {
    let mut part = PartMeta {
        id: read_part_id(r)?,
        table: r.uuid()?,
        partition_id: r.text()?,
        rows: r.uint()?,
        bytes: r.uint()?,
        bytes_uncompressed: r.uint()?,
        footer_hash: r.fixed_u64()?,
        min_block: r.uint()?,
        max_block: r.uint()?,
        level: r.u32()?,
        created_us: r.uint()?,
        data_version: 0,
        mask: None,
        ttl_seconds: None,
    };
    if r.format >= 2 {
        part.data_version = r.uint()?;
        part.mask = r.option(read_mask)?;
        part.ttl_seconds = r.option(|r| Ok((r.int()?, r.int()?)))?;
    }
    Ok(part)
}

pub(super) fn write_definition(w: &mut Writer, d: &TableDefinition) {
    w.uuid(&d.uuid);
    w.text(&d.database);
    w.text(&d.name);
    w.text(&d.engine);
    w.list(&d.columns, write_column);
    w.list(&d.sorting_key, |w, text| w.text(text));
    w.list(&d.primary_key, |w, text| w.text(text));
    w.list(&d.partition_key, |w, text| w.text(text));
    w.list(&d.settings, |w, (name, value)| {
        w.text(name);
        w.text(value);
    });
    w.option(d.select.as_ref(), |w, text| w.text(text));
    w.option(d.target.as_ref(), write_pair);
    w.option(d.source.as_ref(), write_pair);
    w.text(&d.comment);
    w.text(&d.create_query);
    write_clauses(w, &d.clauses);
}

pub(super) fn read_definition(r: &mut Reader) -> WireResult<TableDefinition> {
    Ok(TableDefinition {
        uuid: r.uuid()?,
        database: r.text()?,
        name: r.text()?,
        engine: r.text()?,
        columns: r.list(read_column)?,
        sorting_key: r.list(Reader::text)?,
        primary_key: r.list(Reader::text)?,
        partition_key: r.list(Reader::text)?,
        settings: BTreeMap::from_iter(r.list(read_pair)?),
        select: r.option(Reader::text)?,
        target: r.option(read_pair)?,
        source: r.option(read_pair)?,
        comment: r.text()?,
        create_query: r.text()?,
        clauses: if r.format >= 2 { read_clauses(r)? } else { TableClauses::default() },
    })
}

pub(super) fn write_pair(w: &mut Writer, pair: &(String, String)) {
    w.text(&pair.0);
    w.text(&pair.1);
}

pub(super) fn read_pair(r: &mut Reader) -> WireResult<(String, String)> {
    Ok((r.text()?, r.text()?))
}

fn write_column(w: &mut Writer, c: &ColumnDefinition) {
    w.uint(u64::from(c.id));
    w.text(&c.name);
    w.text(&c.data_type.to_string());
    w.option(c.default.as_ref(), |w, default| {
        w.u8(match default.kind {
            DefaultKind::Default => 0,
            DefaultKind::Materialized => 1,
            DefaultKind::Alias => 2,
            DefaultKind::Ephemeral => 3,
        });
        w.text(&default.expression);
    });
    w.text(&c.comment);
    w.text(&c.codec);
    w.text(&c.ttl);
}

fn read_column(r: &mut Reader) -> WireResult<ColumnDefinition> {
    let (id, name, type_name) = (r.u32()?, r.text()?, r.text()?);
    let data_type = parse_data_type(&type_name).or_else(|e| r.error(e.to_string()))?;
    let default = r.option(|r| {
        let kind = match r.u8()? {
            0 => DefaultKind::Default,
            1 => DefaultKind::Materialized,
            2 => DefaultKind::Alias,
            3 => DefaultKind::Ephemeral,
            other => return r.error(format!("unknown kind of default {other}")),
        };
        Ok(ColumnDefault { kind, expression: r.text()? })
    })?;
    let (comment, codec, ttl) = (r.text()?, r.text()?, r.text()?);
    Ok(ColumnDefinition { id, name, data_type, default, comment, codec, ttl })
}
