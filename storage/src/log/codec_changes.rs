//! Changes, mutations and what tables keep besides their parts, to bytes and back (tags 20 to 28).

use std::sync::Arc;

use super::change::{
    Change, DroppedTable, Mutation, MutationAction, MutationCommand, TableChanges,
};
use super::codec::{read_pair, read_part, read_part_id, write_pair, write_part, write_part_id};
use super::wire::{Reader, WireResult, Writer};

/// The tags that [`read_change`] knows.
pub(super) const TAGS: std::ops::RangeInclusive<u8> = 20..=28;

pub(super) fn write_change(w: &mut Writer, change: &Change) {
    match change {
        Change::UpdatePart { part } => {
            w.u8(20);
            write_part(w, part);
        }
        Change::DetachPart { table, part } => {
            w.u8(21);
            w.uuid(table);
            write_part_id(w, *part);
        }
        Change::AttachPart { table, part } => {
            w.u8(22);
            w.uuid(table);
            write_part_id(w, *part);
        }
        Change::DropDetachedPart { table, part } => {
            w.u8(23);
            w.uuid(table);
            write_part_id(w, *part);
        }
        Change::RemovePartition { table, partition_id, detach } => {
            w.u8(24);
            w.uuid(table);
            w.option(partition_id.as_ref(), |w, text| w.text(text));
            w.bool(*detach);
        }
        Change::AddMutation { table, mutation } => {
            w.u8(25);
            w.uuid(table);
            write_mutation(w, mutation);
        }
        Change::KillMutation { table, number } => {
            w.u8(26);
            w.uuid(table);
            w.uint(*number);
        }
        Change::RetireTable { table, wall_us } => {
            w.u8(27);
            w.uuid(table);
            w.uint(*wall_us);
        }
        Change::RestoreTable { table } => {
            w.u8(28);
            w.uuid(table);
        }
    }
}

/// The change behind `tag`, which is one of [`TAGS`].
pub(super) fn read_change(r: &mut Reader, tag: u8) -> WireResult<Change> {
    Ok(match tag {
        20 => Change::UpdatePart { part: Arc::new(read_part(r)?) },
        21 => Change::DetachPart { table: r.uuid()?, part: read_part_id(r)? },
        22 => Change::AttachPart { table: r.uuid()?, part: read_part_id(r)? },
        23 => Change::DropDetachedPart { table: r.uuid()?, part: read_part_id(r)? },
        24 => Change::RemovePartition {
            table: r.uuid()?,
            partition_id: r.option(Reader::text)?,
            detach: r.bool()?,
        },
        25 => Change::AddMutation { table: r.uuid()?, mutation: Arc::new(read_mutation(r)?) },
        26 => Change::KillMutation { table: r.uuid()?, number: r.uint()? },
        27 => Change::RetireTable { table: r.uuid()?, wall_us: r.uint()? },
        28 => Change::RestoreTable { table: r.uuid()? },
        other => return r.error(format!("unknown change {other}")),
    })
}

fn write_mutation(w: &mut Writer, mutation: &Mutation) {
    w.uuid(&mutation.id);
    w.uint(mutation.number);
    w.uint(mutation.created_us);
    w.list(&mutation.commands, |w, command| {
        w.option(command.partition_id.as_ref(), |w, text| w.text(text));
        w.text(&command.text);
        match &command.action {
            MutationAction::Update { assignments, condition } => {
                w.u8(0);
                w.list(assignments, write_pair);
                w.text(condition);
            }
            MutationAction::Delete { condition } => {
                w.u8(1);
                w.text(condition);
            }
            MutationAction::SetDefault { columns } => {
                w.u8(2);
                w.list(columns, |w, text| w.text(text));
            }
            MutationAction::Rewrite => w.u8(3),
            MutationAction::Projection { name, keep } => {
                w.u8(4);
                w.text(name);
                w.bool(*keep);
            }
            MutationAction::Ttl => w.u8(5),
        }
    });
}

fn read_mutation(r: &mut Reader) -> WireResult<Mutation> {
    Ok(Mutation {
        id: r.uuid()?,
        number: r.uint()?,
        created_us: r.uint()?,
        commands: r.list(read_command)?,
    })
}

fn read_command(r: &mut Reader) -> WireResult<MutationCommand> {
    let (partition_id, text) = (r.option(Reader::text)?, r.text()?);
    let action = match r.u8()? {
        0 => MutationAction::Update { assignments: r.list(read_pair)?, condition: r.text()? },
        1 => MutationAction::Delete { condition: r.text()? },
        2 => MutationAction::SetDefault { columns: r.list(Reader::text)? },
        3 => MutationAction::Rewrite,
        4 => MutationAction::Projection { name: r.text()?, keep: r.bool()? },
        5 => MutationAction::Ttl,
        other => return r.error(format!("unknown mutation command {other}")),
    };
    Ok(MutationCommand { action, partition_id, text })
}

pub(super) fn write_table_changes(w: &mut Writer, changes: &TableChanges) {
    w.uint(u64::from(changes.next_column_id));
    w.list(&changes.mutations, |w, mutation| write_mutation(w, mutation));
    w.uint(changes.last_mutation);
    w.list(&changes.detached_parts, |w, part| write_part(w, part));
}

pub(super) fn read_table_changes(r: &mut Reader) -> WireResult<TableChanges> {
    Ok(TableChanges {
        next_column_id: r.u32()?,
        mutations: r.list(|r| Ok(Arc::new(read_mutation(r)?)))?,
        last_mutation: r.uint()?,
        detached_parts: r.list(|r| Ok(Arc::new(read_part(r)?)))?,
    })
}

pub(super) fn write_dropped(w: &mut Writer, dropped: &DroppedTable) {
    super::snapshot::write_table(w, &dropped.table);
    w.uint(dropped.dropped_us);
}

pub(super) fn read_dropped(r: &mut Reader) -> WireResult<DroppedTable> {
    Ok(DroppedTable { table: Arc::new(super::snapshot::read_table(r)?), dropped_us: r.uint()? })
}
