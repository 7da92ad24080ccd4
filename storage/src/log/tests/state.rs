//! `State::check` and `State::apply` as tables: what holds, what is refused, what changes.

use std::sync::Arc;

use super::fixture::*;
use crate::log::state::TOKENS_MAX;
use crate::log::{Edit, PartId, PartMeta, Precondition, Rejection, State, TableDefinition};

fn text(t: &str) -> String {
    t.to_string()
}

fn view(number: u128, name: &str, source: &str) -> TableDefinition {
    let mut view = definition(number, "d", name);
    view.source = Some((text("d"), text(source)));
    view
}

fn create(definition: TableDefinition) -> Edit {
    Edit::CreateTable { definition: Arc::new(definition) }
}

fn part(number: u32, table: u128) -> Edit {
    let mut meta = part_meta(table_id(table), 1);
    meta.id = PartId { epoch: 1, number };
    Edit::AddPart { part: Arc::new(meta) }
}

fn offset(next: i64) -> Edit {
    let (table, topic) = (table_id(1), text("topic"));
    Edit::AdvanceOffset { table, topic, kafka_partition: 0, next, wall_us: 5 }
}

/// Each edit is a version of its own, from 1 on.
fn state_of(edits: &[Edit]) -> State {
    let mut state = State::default();
    for (i, edit) in edits.iter().enumerate() {
        state.apply(i as u64 + 1, edit);
    }
    state
}

/// Database `d` with table `t` (1), its view `v` (2), detached `gone` (3); parts 1 and 2; offset 10.
fn base() -> Vec<Edit> {
    vec![
        create_database("d").edits.remove(0),
        create(definition(1, "d", "t")),
        create(view(2, "v", "t")),
        create(definition(3, "d", "gone")),
        Edit::DetachTable { table: table_id(3) },
        part(1, 1),
        part(2, 1),
        offset(10),
        Edit::Token { table: table_id(1), token: text("used") },
    ]
}

#[test]
fn preconditions() {
    let state = state_of(&base());
    let name_free =
        |d: &str, n: &str| Precondition::TableNameFree { database: text(d), name: text(n) };
    let views = |name: &str, views_version| Precondition::ViewsUnchanged {
        database: text("d"),
        name: text(name),
        views_version,
    };
    let unchanged = |table, definition_version| Precondition::TableUnchanged {
        table: table_id(table),
        definition_version,
    };
    let offset = |kafka_partition, expected| Precondition::OffsetEquals {
        table: table_id(1),
        topic: text("topic"),
        kafka_partition,
        expected,
    };
    let token = |t: &str| Precondition::TokenAbsent { table: table_id(1), token: text(t) };
    let live = |numbers: &[u32]| Precondition::PartsLive {
        table: table_id(1),
        parts: numbers.iter().map(|number| PartId { epoch: 1, number: *number }).collect(),
    };
    let exists = |table| Precondition::TableExists { table: table_id(table) };
    let cases: Vec<(Precondition, Result<(), &str>)> = vec![
        (name_free("d", "new"), Ok(())),
        (name_free("d", "t"), Err("already exists")),
        (name_free("d", "gone"), Err("already exists")),
        (name_free("e", "t"), Err("Database e does not exist")),
        (Precondition::DatabaseNameFree { name: text("e") }, Ok(())),
        (Precondition::DatabaseNameFree { name: text("d") }, Err("already exists")),
        (Precondition::DatabaseExists { name: text("d") }, Ok(())),
        (Precondition::DatabaseExists { name: text("e") }, Err("does not exist")),
        (Precondition::DatabaseEmpty { name: text("d") }, Err("not empty")),
        (Precondition::DatabaseEmpty { name: text("e") }, Err("does not exist")),
        (unchanged(1, 2), Ok(())),
        (unchanged(1, 3), Err("changed meanwhile")),
        (unchanged(3, 5), Err("d.gone does not exist")),
        (unchanged(9, 2), Err("does not exist")),
        (exists(1), Ok(())),
        (exists(9), Err("does not exist")),
        (views("t", 3), Ok(())),
        (views("t", 2), Err("views of d.t")),
        (views("v", 0), Ok(())),
        (offset(0, Some(10)), Ok(())),
        (offset(0, Some(11)), Err("another consumer")),
        (offset(0, None), Err("another consumer")),
        (offset(1, None), Ok(())),
        (token("fresh"), Ok(())),
        (token("used"), Err("already in")),
        (live(&[1, 2]), Ok(())),
        (live(&[1, 7]), Err("replaced meanwhile")),
    ];
    for (precondition, expected) in cases {
        let got: Result<(), Rejection> = state.check(&precondition);
        match (&got, expected) {
            (Ok(()), Ok(())) => {}
            (Err(rejection), Err(words)) if rejection.to_string().contains(words) => {}
            _ => panic!("{precondition:?}: {got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn tables_and_names() {
    let mut state = state_of(&base());
    let names = |s: &State| s.databases["d"].tables.keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&state), "t v");
    state.apply(20, &Edit::AttachTable { table: table_id(3) });
    assert_eq!(
        (names(&state).as_str(), state.tables[&table_id(3)].definition_version),
        ("gone t v", 20)
    );
    state.apply(21, &Edit::AlterTable { definition: Arc::new(definition(3, "d", "back")) });
    assert_eq!(names(&state), "back t v");
    // An exchange of two names, as one commit.
    state.apply(22, &Edit::AlterTable { definition: Arc::new(definition(3, "d", "t")) });
    state.apply(22, &Edit::AlterTable { definition: Arc::new(definition(1, "d", "back")) });
    assert_eq!(state.databases["d"].tables["t"], table_id(3));
    assert_eq!(state.databases["d"].tables["back"], table_id(1));
    state.apply(23, &Edit::DropTable { table: table_id(3) });
    assert_eq!(names(&state), "back v");
    state.apply(24, &Edit::RenameDatabase { from: text("d"), to: text("e") });
    assert_eq!(state.table("e", "back").unwrap().definition.database, "e");
    assert_eq!(state.table("e", "back").unwrap().definition_version, 24);
    state.apply(25, &Edit::DropDatabase { name: text("e") });
    assert!(state.tables.is_empty() && state.databases.is_empty());
}

#[test]
fn versions_of_views() {
    let mut state = state_of(&base());
    assert_eq!(state.views_of("d", "t").len(), 1);
    let changes: Vec<(Edit, u64, usize)> = vec![
        (create(view(4, "w", "t")), 30, 2),
        (Edit::DetachTable { table: table_id(4) }, 31, 1),
        (Edit::AttachTable { table: table_id(4) }, 32, 2),
        // Now it reads something else: both sources see a change.
        (Edit::AlterTable { definition: Arc::new(view(4, "w", "u")) }, 33, 1),
        (Edit::DropTable { table: table_id(2) }, 34, 0),
    ];
    for (edit, version, views) in changes {
        state.apply(version, &edit);
        assert_eq!(state.views_version("d", "t"), version, "{edit:?}");
        assert_eq!(state.views_of("d", "t").len(), views, "{edit:?}");
    }
    assert_eq!(state.views_version("d", "u"), 33);
    state.apply(40, &offset(20));
    assert_eq!(state.views_version("d", "t"), 34);
}

#[test]
fn parts_are_numbered_and_kept_in_block_order() {
    let mut state = state_of(&base());
    let blocks = |s: &State| {
        let parts = &s.tables[&table_id(1)].parts;
        parts.iter().map(|p| (p.id.number, p.min_block, p.max_block)).collect::<Vec<_>>()
    };
    assert_eq!(blocks(&state), [(1, 1, 1), (2, 2, 2)]);
    state.apply(20, &part(3, 1));
    let merged = PartMeta {
        id: PartId { epoch: 1, number: 4 },
        min_block: 1,
        max_block: 2,
        level: 1,
        ..part_meta(table_id(1), 2)
    };
    state.apply(21, &Edit::AddPart { part: Arc::new(merged) });
    for number in [1, 2] {
        let part = PartId { epoch: 1, number };
        state.apply(21, &Edit::RemovePart { table: table_id(1), part });
    }
    assert_eq!(blocks(&state), [(4, 1, 2), (3, 3, 3)]);
    // A table that is not there takes no part, and nothing else happens.
    state.apply(22, &part(5, 99));
    assert_eq!(blocks(&state), [(4, 1, 2), (3, 3, 3)]);
}

#[test]
fn a_snapshot_does_not_change() {
    let mut state = state_of(&base());
    let snapshot = state.clone();
    let before = format!("{snapshot:?}");
    for edit in [part(9, 1), offset(99), Edit::PauseStream { table: table_id(1), paused: true }] {
        state.apply(50, &edit);
    }
    state.apply(51, &Edit::DropDatabase { name: text("d") });
    assert_eq!(format!("{snapshot:?}"), before);
}

#[test]
fn tokens_are_bounded_and_offsets_counted() {
    let mut state = state_of(&base());
    for i in 0..TOKENS_MAX + 5 {
        state.apply(20, &Edit::Token { table: table_id(1), token: i.to_string() });
    }
    let table = &state.tables[&table_id(1)];
    assert_eq!(table.tokens.len(), TOKENS_MAX);
    assert_eq!(&*table.tokens.in_order()[0], "5");
    state.apply(21, &offset(11));
    state.apply(22, &offset(12));
    let offset = state.tables[&table_id(1)].offsets.values().next().copied().unwrap();
    assert_eq!((offset.next, offset.commits, offset.last_commit_us), (12, 3, 5));
}
