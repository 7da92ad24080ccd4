//! Backups on two disks: what comes back is what was there, and nothing broken or half is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::disk::{Disk, FaultDisk, FaultPlan};
use crate::log::{Commit, Edit, State, TableDefinition};
use crate::store::Store;
use crate::table::tests::{block, definition, insert, store_on, table_of};
use crate::types::Value;

const ROWS: u64 = 50;

fn source() -> (Arc<Store>, TableDefinition) {
    let definition = definition(&[("k", "UInt64")], &["k"], &[]);
    let store = store_on(Arc::new(FaultDisk::new(FaultPlan::default())), definition.clone());
    for part in 0..3 {
        let rows: Vec<Vec<Value>> = (0..ROWS).map(|i| vec![Value::UInt(part * ROWS + i)]).collect();
        insert(&store, &block(&definition, &rows));
    }
    let table = definition.uuid;
    let offset = Edit::AdvanceOffset {
        table,
        topic: "events".into(),
        kafka_partition: 2,
        next: 77,
        wall_us: 5,
    };
    store.commit(Commit { preconditions: vec![], edits: vec![offset] }, vec![]).unwrap();
    (store, definition)
}

fn back_up(store: &Arc<Store>, to: &Arc<dyn Disk>) -> crate::Result<Backup> {
    let state = store.snapshot();
    let tables: BTreeSet<Uuid> = state.tables.keys().copied().collect();
    let databases = BTreeSet::from(["default".to_string()]);
    write(store, &state, &tables, &databases, to, &BackupProgress::default())
}

fn restore_as(store: &Arc<Store>, disk: Arc<dyn Disk>, name: &str) -> crate::Result<u64> {
    let backup = Backup::open(disk)?;
    let placements: Vec<Placement> = backup
        .state
        .tables
        .values()
        .map(|t| {
            let mut definition = (*t.definition).clone();
            definition.uuid = Uuid::new_v4();
            definition.name = name.into();
            Placement { table: t.definition.uuid, definition: Arc::new(definition) }
        })
        .collect();
    restore(store, &backup, vec![], &placements, false, &BackupProgress::default())
}

fn rows(state: &State, name: &str) -> u64 {
    state.table("default", name).map_or(0, |t| t.parts.iter().map(|p| p.rows).sum())
}

#[test]
fn what_comes_back_is_what_was_there() {
    let (store, _) = source();
    let folder = FaultDisk::new(FaultPlan::default());
    let disk: Arc<dyn Disk> = Arc::new(folder.clone());
    back_up(&store, &disk).unwrap();
    assert!(back_up(&store, &disk).is_err(), "a second backup in the same place");
    // Rows inserted after the backup are not in it.
    let table = table_of(&store.snapshot());
    let more = block(&table.definition, &[vec![Value::UInt(1)]]);
    insert(&store, &more);
    restore_as(&store, disk.clone(), "again").unwrap();
    let state = store.snapshot();
    assert_eq!(rows(&state, "again"), 3 * ROWS);
    assert_eq!(rows(&state, "t"), 3 * ROWS + 1);
    let restored = state.table("default", "again").unwrap();
    assert_eq!(restored.offsets.values().next().unwrap().next, 77);
    let blocks: Vec<u64> = restored.parts.iter().map(|p| p.min_block).collect();
    assert_eq!(blocks, [1, 2, 3]);
    for part in &restored.parts {
        assert!(crate::health::check::check_part(&store, restored, part).problem.is_none());
    }
    assert!(restore_as(&store, disk, "again").is_err(), "the name is taken");
}

#[test]
fn half_and_damaged_backups_are_refused_and_leave_nothing() {
    let (store, _) = source();
    let folder = FaultDisk::new(FaultPlan::default());
    let disk: Arc<dyn Disk> = Arc::new(folder.clone());
    let backup = back_up(&store, &disk).unwrap();
    let part = backup.state.tables.values().next().unwrap().parts[1].path();
    let files_before = store.disk().list("parts").unwrap().len();
    for (path, at) in [(MANIFEST, 30usize), (part.as_str(), 40)] {
        let whole = folder.peek(path).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        folder.poke(path, &bytes);
        assert!(restore_as(&store, disk.clone(), "again").is_err());
        folder.poke(path, &whole[..whole.len() - 3]);
        assert!(restore_as(&store, disk.clone(), "again").is_err());
        folder.poke(path, &whole);
    }
    assert_eq!(rows(&store.snapshot(), "again"), 0);
    assert_eq!(store.disk().list("parts").unwrap().len(), files_before, "files left behind");
    disk.remove(MANIFEST).unwrap();
    assert!(Backup::open(disk).is_err(), "an unfinished backup was taken for whole");
}
