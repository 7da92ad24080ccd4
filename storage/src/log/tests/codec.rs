//! Edits and states come back as they were; any other bytes are an error.

use std::sync::Arc;

use super::fixture::*;
use crate::disk::Random;
use crate::log::codec::{FORMAT, Payload, decode_edits};
use crate::log::snapshot::{decode_state, encode_state};
use crate::log::{Change, Mutation, MutationAction, MutationCommand};
use crate::log::{
    Edit, MaskMeta, NamedValue, PartId, PartMeta, State, TableClauses, TableDefinition,
};
use crate::types::DataType;

/// One of each kind.
fn all_edits() -> Vec<Edit> {
    let table = table_id(7);
    let mut view = definition(8, "d", "view");
    view.engine = "MaterializedView".into();
    view.select = Some("SELECT 1".into());
    view.target = Some(("d".into(), "t".into()));
    view.source = Some(("d".into(), "s".into()));
    let text = |t: &str| t.to_string();
    let masked = PartMeta {
        data_version: 3,
        mask: Some(MaskMeta {
            id: PartId { epoch: 1, number: 77 },
            deleted_rows: 2,
            bytes: 30,
            hash: 5,
        }),
        ttl_seconds: Some((-1, 1_700_000_000)),
        ..part_meta(table, 15)
    };
    vec![
        Edit::Epoch { epoch: 3, wall_us: u64::MAX },
        Edit::CreateDatabase {
            name: text("d"),
            engine: text("Atomic"),
            comment: text("\u{1F4A7}"),
        },
        Edit::CreateTable { definition: Arc::new(definition(7, "d", "t")) },
        Edit::CreateTable { definition: Arc::new(view) },
        Edit::AlterTable { definition: Arc::new(definition(7, "d", "renamed")) },
        Edit::AddPart { part: Arc::new(masked) },
        Edit::DetachTable { table },
        Edit::AttachTable { table },
        Edit::AddPart { part: Arc::new(part_meta(table, 12)) },
        Edit::AddPart { part: Arc::new(part_meta(table, 13)) },
        Edit::RemovePart { table, part: PartId { epoch: 1, number: 1 } },
        Edit::AddPart { part: Arc::new(part_meta(table, 14)) },
        Edit::AdvanceOffset {
            table,
            topic: text("t"),
            kafka_partition: i32::MAX,
            next: i64::MAX,
            wall_us: 1,
        },
        Edit::Gap {
            table,
            topic: text(""),
            kafka_partition: -1,
            from: i64::MIN,
            to: 0,
            reason: text("retention"),
        },
        Edit::Token { table, token: text("once") },
        Edit::PauseStream { table, paused: true },
        Edit::CreateFunction { name: "f".into(), lambda: "x -> (x + 1)".into() },
        Edit::DropFunction { name: "f".into() },
        Edit::PutNamedCollection {
            name: "c".into(),
            values: [
                ("a".to_string(), NamedValue { text: "1".into(), overridable: None }),
                ("b".to_string(), NamedValue { text: "x".into(), overridable: Some(false) }),
            ]
            .into(),
        },
        Edit::DropNamedCollection { name: "d".into() },
        Edit::PutAccessEntity { id: table, definition: "ATTACH USER u".into() },
        Edit::DropAccessEntity { id: table_id(7) },
        Edit::StopStream { table, reason: "too many bad messages".into() },
        Edit::StreamTopic { table, topic: "t".into(), id: table },
        Edit::SeekStream { table, topic: "t".into(), kafka_partition: 3, next: 17, wall_us: 5 },
        Edit::ForgetOffset { table, topic: "a.csv".into(), kafka_partition: 0 },
        Edit::Change(Change::AddMutation { table, mutation: Arc::new(mutation()) }),
        Edit::Change(Change::KillMutation { table, number: 77 }),
        Edit::Change(Change::DetachPart { table, part: PartId { epoch: 1, number: 1 } }),
        Edit::Change(Change::AttachPart { table, part: PartId { epoch: 1, number: 1 } }),
        Edit::Change(Change::DropDetachedPart { table, part: PartId { epoch: 3, number: 1 } }),
        Edit::Change(Change::UpdatePart { part: Arc::new(part_meta(table, 99)) }),
        Edit::Change(Change::RemovePartition {
            table: table_id(9),
            partition_id: Some(text("all")),
            detach: true,
        }),
        Edit::Change(Change::RetireTable { table: table_id(8), wall_us: 4 }),
        Edit::Change(Change::RetireTable { table: table_id(6), wall_us: 4 }),
        Edit::Change(Change::RestoreTable { table: table_id(6) }),
        Edit::RenameDatabase { from: text("d"), to: text("e") },
        Edit::CreateDatabase { name: text("x"), engine: text("Atomic"), comment: text("") },
        Edit::DropDatabase { name: text("x") },
        Edit::DropTable { table: table_id(9) },
    ]
}

/// With one command of each kind.
fn mutation() -> Mutation {
    let command = |action| MutationCommand {
        action,
        partition_id: Some("all".into()),
        text: "(DELETE WHERE 1)".into(),
    };
    Mutation {
        id: table_id(5),
        number: 0,
        created_us: 8,
        commands: vec![
            command(MutationAction::Update {
                assignments: vec![("a".into(), "b + 1".into())],
                condition: "c".into(),
            }),
            command(MutationAction::Delete { condition: "d".into() }),
            command(MutationAction::SetDefault { columns: vec!["e".into()] }),
            command(MutationAction::Rewrite),
            command(MutationAction::Projection { name: "p".into(), keep: true }),
            command(MutationAction::Ttl),
        ],
    }
}

fn payload(edits: &[Edit]) -> Vec<u8> {
    let mut payload = Payload::new();
    payload.push(edits, usize::MAX).unwrap();
    payload.bytes().to_vec()
}

fn full_state() -> State {
    let mut state = State::default();
    for (version, edit) in all_edits().iter().enumerate() {
        state.apply(version as u64 + 1, edit);
    }
    state
}

#[test]
fn edits_come_back() {
    let edits = all_edits();
    let read = decode_edits(&payload(&edits)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{edits:?}"));
}

#[test]
fn a_state_comes_back() {
    let state = full_state();
    let read = decode_state(&encode_state(&state)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{state:?}"));
    assert_eq!(state.tables[&table_id(7)].tokens.len(), 1);
    assert_eq!(state.tables[&table_id(7)].parts.len(), 1);
}

#[test]
fn a_type_that_would_not_read_back_is_refused() {
    let mut bad: TableDefinition = definition(1, "d", "t");
    bad.columns[0].data_type = DataType::Interval("Fortnight");
    let edit = Edit::CreateTable { definition: Arc::new(bad) };
    let mut payload = Payload::new();
    payload.push(&[edit], usize::MAX).unwrap_err();
    assert!(payload.is_empty());
}

#[test]
fn hostile_bytes_are_errors() {
    let mut random = Random::new(5);
    let good = [payload(&all_edits()), encode_state(&full_state())];
    for round in 0..20_000 {
        let mut bytes = good[round % 2].clone();
        match random.below(4) {
            0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
            1 => bytes = (0..random.below(300)).map(|_| random.next_u64() as u8).collect(),
            _ => {
                for _ in 0..=random.below(3) {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] = random.next_u64() as u8;
                }
            }
        }
        // Nothing to compare: it must neither panic nor allocate without bound.
        let _ = decode_edits(&bytes);
        let _ = decode_state(&bytes);
        bytes.first_mut().into_iter().for_each(|format| *format = 1);
        let _ = decode_edits(&bytes);
        let _ = decode_state(&bytes);
    }
    let mut newer = payload(&all_edits());
    newer[0] = FORMAT + 1;
    assert!(decode_edits(&newer).unwrap_err().what.contains("another version"));
}

#[test]
fn format_1_still_reads() {
    let mut plain = definition(7, "d", "t");
    plain.clauses = TableClauses::default();
    let created = Edit::CreateTable { definition: Arc::new(plain) };
    let mut old = payload(std::slice::from_ref(&created));
    // Format 1 ended before the clauses: five empty lists and an absent text.
    old.truncate(old.len() - 6);
    old[0] = 1;
    let read = decode_edits(&old).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", [created]));
}
