//! Random inserts, deletes, mutations, merges and partition operations against a plain model, and
//! what happens to files, to old snapshots and after a restart.

use std::sync::Arc;

use uuid::Uuid;

use super::copy::copy_part;
use super::delete::{Deletion, delete};
use super::worker::mutate;
use crate::disk::{Disk, MemoryDisk};
use crate::log::{
    Change, Commit, Edit, Mutation, MutationAction, MutationCommand, Precondition, State,
    TableDefinition, TtlRule, TtlRuleAction,
};
use crate::merge::optimize;
use crate::merge::worker::Progress;
use crate::part::tests::Random;
use crate::scan::{self, tests::read_all};
use crate::store::Store;
use crate::table::tests::{block, definition, insert, store_on, store_with, table_of};
use crate::types::Value;

const COLUMNS: [&str; 5] = ["p", "k", "v", "f", "g"];

/// Partition, key, value, and two flags to write conditions with.
fn example() -> TableDefinition {
    let types = ["UInt8", "UInt32", "UInt32", "UInt8", "UInt8"];
    let columns: Vec<(&str, &str)> = COLUMNS.into_iter().zip(types).collect();
    let mut d = definition(&columns, &["k"], &["p"]);
    d.settings.insert("index_granularity".into(), "16".into());
    d
}

type Row = [u64; 5];

fn values(rows: &[Row]) -> Vec<Vec<Value>> {
    rows.iter().map(|row| row.iter().map(|v| Value::UInt(*v)).collect()).collect()
}

fn rows_at(store: &Arc<Store>, state: &Arc<State>) -> Vec<Row> {
    let table = table_of(state);
    let names: Vec<String> = COLUMNS.iter().map(|c| c.to_string()).collect();
    let scan = scan::open(store, state.clone(), &table, &names, &[]).unwrap();
    let mut rows: Vec<Row> = read_all(&scan, &COLUMNS)
        .iter()
        .map(|row| std::array::from_fn(|i| row[i].as_u64().unwrap()))
        .collect();
    rows.sort();
    rows
}

fn change(store: &Arc<Store>, change: Change) {
    let commit = Commit { preconditions: vec![], edits: vec![Edit::Change(change)] };
    store.commit(commit, vec![]).unwrap();
}

fn add_mutation(store: &Arc<Store>, action: MutationAction, partition_id: Option<&str>) {
    let command = MutationCommand {
        action,
        partition_id: partition_id.map(str::to_string),
        text: String::new(),
    };
    let mutation = Mutation { id: Uuid::nil(), number: 0, created_us: 0, commands: vec![command] };
    change(store, Change::AddMutation { table: Uuid::from_u128(1), mutation: Arc::new(mutation) });
}

/// Takes up to `parts_max` parts a step further.
fn work(store: &Arc<Store>, parts_max: usize) {
    for _ in 0..parts_max {
        let table = table_of(&store.snapshot());
        let last = table.changes.last_mutation;
        let Some(part) = table.parts.iter().find(|p| p.data_version < last) else { return };
        mutate(store, &table, part, &Progress::default()).unwrap();
    }
}

fn delete_where(store: &Arc<Store>, condition: &str, partition_id: Option<&str>) -> u64 {
    let deletion = Deletion { database: "default", table: "t", condition, partition_id };
    delete(store, &deletion).unwrap()
}

#[test]
fn random_changes_match_a_model() {
    for seed in 1..=12 {
        let mut random = Random(seed);
        let d = example();
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let store = store_on(disk.clone(), d.clone());
        let mut model: Vec<Row> = vec![];
        let mut held: Vec<(Arc<State>, Vec<Row>)> = vec![];
        for step in 0..60 {
            match random.below(9) {
                0..=2 => {
                    let count = 1 + random.below(60);
                    let rows: Vec<Row> = (0..count)
                        .map(|i| {
                            let (f, g) = (random.below(2), random.below(2));
                            [random.below(2), random.below(50), step * 1000 + i, f, g]
                        })
                        .collect();
                    insert(&store, &block(&d, &values(&rows)));
                    model.extend(rows);
                }
                3 => {
                    work(&store, usize::MAX);
                    let before = model.len();
                    model.retain(|row| row[3] == 0 || row[0] == 1);
                    let gone = delete_where(&store, "f", Some("0"));
                    assert_eq!(gone as usize, before - model.len());
                }
                4 => {
                    let assignments = vec![("v".to_string(), "k".to_string())];
                    let action = MutationAction::Update { assignments, condition: "g".into() };
                    add_mutation(&store, action, None);
                    model.iter_mut().filter(|row| row[4] != 0).for_each(|row| row[2] = row[1]);
                    work(&store, random.below(4) as usize);
                }
                5 => {
                    let action = MutationAction::Delete { condition: "g".into() };
                    add_mutation(&store, action, Some("1"));
                    model.retain(|row| row[4] == 0 || row[0] == 0);
                }
                6 => {
                    work(&store, usize::MAX);
                    optimize(&store, "default", "t", true).unwrap();
                }
                7 => {
                    let state = store.snapshot();
                    held.push((state.clone(), rows_at(&store, &state)));
                    store.collect_garbage().unwrap();
                }
                _ => {
                    work(&store, usize::MAX);
                    let id = Some("1".to_string());
                    let table = d.uuid;
                    change(
                        &store,
                        Change::RemovePartition { table, partition_id: id, detach: true },
                    );
                    let parts = table_of(&store.snapshot()).changes.detached_parts.clone();
                    for part in parts {
                        change(&store, Change::AttachPart { table, part: part.id });
                    }
                }
            }
            if random.below(3) == 0 {
                work(&store, usize::MAX);
                let mut expected = model.clone();
                expected.sort();
                let state = store.snapshot();
                assert_eq!(rows_at(&store, &state), expected, "seed {seed}, step {step}");
                let counted: u64 = table_of(&state).parts.iter().map(|p| p.rows_live()).sum();
                assert_eq!(counted as usize, expected.len());
            }
            for (state, rows) in &held {
                assert_eq!(rows_at(&store, state), *rows, "seed {seed}, an old snapshot");
            }
        }
        held.clear();
        store.collect_garbage().unwrap();
        let state = store.snapshot();
        let files: usize = state.all_parts().map(|p| 1 + usize::from(p.mask.is_some())).sum();
        assert_eq!(disk.list("parts").unwrap().len(), files, "files left over");
        work(&store, usize::MAX);
        model.sort();
        let state = store.snapshot();
        assert_eq!(rows_at(&store, &state), model);
    }
}

#[test]
fn a_dropped_table_keeps_its_files_until_it_is_dropped_for_good() {
    let d = example();
    let store = store_with(d.clone());
    insert(&store, &block(&d, &values(&[[0, 1, 2, 1, 0], [0, 2, 2, 0, 0]])));
    assert_eq!(delete_where(&store, "f", None), 1);
    change(&store, Change::RetireTable { table: d.uuid, wall_us: 5 });
    store.collect_garbage().unwrap();
    assert!(store.snapshot().table("default", "t").is_none());
    assert_eq!(store.disk().list("parts").unwrap().len(), 2);
    change(&store, Change::RestoreTable { table: d.uuid });
    assert_eq!(rows_at(&store, &store.snapshot()), [[0, 2, 2, 0, 0]]);
    change(&store, Change::RetireTable { table: d.uuid, wall_us: 5 });
    let gone = Edit::DropTable { table: d.uuid };
    store.commit(Commit { preconditions: vec![], edits: vec![gone] }, vec![]).unwrap();
    store.collect_garbage().unwrap();
    assert_eq!(store.disk().list("parts").unwrap().len(), 0);
}

#[test]
fn a_delete_waits_for_mutations_and_a_merge_cannot_lose_it() {
    let d = example();
    let store = store_with(d.clone());
    for k in 0..2 {
        insert(&store, &block(&d, &values(&[[0, k, 2, 1, 0], [0, k, 3, 0, 0]])));
    }
    let before = table_of(&store.snapshot());
    delete_where(&store, "f", None);
    let ids: Vec<_> = before.parts.iter().map(|p| p.id).collect();
    let stale = crate::merge::worker::merge(&store, &before, &ids);
    assert!(matches!(stale, Err(crate::Error::Rejected(_))));
    add_mutation(&store, MutationAction::Rewrite, None);
    let deletion = Deletion { database: "default", table: "t", condition: "f", partition_id: None };
    assert!(matches!(delete(&store, &deletion), Err(crate::Error::Rejected(_))));
    let table = d.uuid;
    let done = Precondition::MutationsDone { table };
    assert!(store.snapshot().check(&done).is_err());
    work(&store, usize::MAX);
    assert!(store.snapshot().check(&done).is_ok());
    // Written anew, the deleted rows are gone from the files.
    assert!(table_of(&store.snapshot()).parts.iter().all(|p| p.rows == 1 && p.mask.is_none()));
}

#[test]
fn a_copy_leaves_deleted_rows_behind() {
    let d = example();
    let store = store_with(d.clone());
    insert(&store, &block(&d, &values(&[[0, 1, 2, 1, 0], [0, 2, 2, 0, 0]])));
    delete_where(&store, "f", None);
    let table = table_of(&store.snapshot());
    let copy = copy_part(&store, &table, &table.parts[0], &table).unwrap().unwrap();
    assert_eq!(copy.meta.rows, 1);
    store.commit(Commit::default(), vec![copy]).unwrap();
    assert_eq!(rows_at(&store, &store.snapshot()), [[0, 2, 2, 0, 0]; 2]);
}

/// A rule that is younger than the parts: the mutation applies it, and the parts know from then on when
/// their rows run out.
#[test]
fn a_younger_ttl_is_applied_to_older_parts() {
    let mut d = definition(&[("k", "UInt32"), ("at", "DateTime")], &["k"], &[]);
    let store = store_with(d.clone());
    // One part of both, one that is old throughout, one that is not.
    const OLD: u64 = 1;
    const LATER: u64 = 4_000_000_000;
    for times in [[OLD, LATER], [OLD, OLD], [LATER, LATER + 5]] {
        let rows: Vec<Vec<Value>> = times
            .iter()
            .enumerate()
            .map(|(k, at)| vec![Value::UInt(k as u64), Value::UInt(*at)])
            .collect();
        insert(&store, &block(&d, &rows));
    }
    let action = TtlRuleAction::Delete { condition: None };
    d.clauses.ttl = vec![TtlRule { expression: "at".into(), action }];
    let edits = vec![Edit::AlterTable { definition: Arc::new(d) }];
    store.commit(Commit { preconditions: vec![], edits }, vec![]).unwrap();
    assert!(table_of(&store.snapshot()).parts.iter().all(|p| p.ttl_seconds.is_none()));
    // Written anew for another reason, rows that have run out stay, and are known.
    add_mutation(&store, MutationAction::Rewrite, None);
    work(&store, usize::MAX);
    let ranges = || -> Vec<_> {
        let table = table_of(&store.snapshot());
        table.parts.iter().map(|p| (p.rows, p.ttl_seconds)).collect()
    };
    let (old, later) = (OLD as i64, LATER as i64);
    let known = [(2, Some((old, later))), (2, Some((old, old))), (2, Some((later, later + 5)))];
    assert_eq!(ranges(), known);
    add_mutation(&store, MutationAction::Ttl, None);
    work(&store, usize::MAX);
    assert_eq!(ranges(), [(1, Some((later, later))), (2, Some((later, later + 5)))]);
}
