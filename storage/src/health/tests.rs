//! Damage of every kind to part files: found, named, left alone by merges, and lifted when repaired.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::check::check_part;
use super::scrub::{Scrub, ScrubConfig};
use crate::clock::SystemClock;
use crate::disk::{Disk, FaultDisk, FaultPlan, Random};
use crate::error::{Error, Result};
use crate::expression::ColumnNames;
use crate::merge::picker::pick;
use crate::merge::{MergeLimits, optimize};
use crate::scan;
use crate::store::{Store, StoreConfig, StoreOptions};
use crate::table::tests::{block, definition, insert, store_on, table_of};
use crate::types::Value;

const PARTS: u64 = 3;
const ROWS: u64 = 40;

fn store_of_parts(disk: &FaultDisk) -> Arc<Store> {
    let definition = definition(&[("k", "UInt64"), ("s", "String")], &["k"], &[]);
    let store = store_on(Arc::new(disk.clone()), definition.clone());
    for part in 0..PARTS {
        let rows: Vec<Vec<Value>> = (0..ROWS)
            .map(|i| vec![Value::UInt(part * ROWS + i), Value::string(format!("text {i}"))])
            .collect();
        insert(&store, &block(&definition, &rows));
    }
    store
}

/// All keys of the table, or the error of the read that failed.
fn read_all(store: &Arc<Store>) -> Result<Vec<u64>> {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns = vec!["k".to_string(), "s".to_string()];
    let scan = scan::open(store, state, &table, &columns, &[])?;
    let mut keys = vec![];
    for i in 0..scan.morsel_count() {
        let block = scan.read(i, &columns, None)?;
        for row in 0..block.rows() {
            let key = block.columns[0].value(row).as_u64().unwrap_or(u64::MAX);
            assert_eq!(block.columns[1].value(row), Value::string(format!("text {}", key % ROWS)));
            keys.push(key);
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

/// What may happen to a file: its new bytes, or none if it is gone.
fn damages(whole: &[u8], other: &[u8], random: &mut Random) -> Vec<Option<Vec<u8>>> {
    let mut all: Vec<Option<Vec<u8>>> = vec![None, Some(vec![]), Some(other.to_vec())];
    all.push(Some(whole[..whole.len() - 1].to_vec()));
    all.push(Some(whole[..random.below(whole.len() as u64) as usize].to_vec()));
    all.push(Some([whole, b"x"].concat()));
    for _ in 0..60 {
        let mut bytes = whole.to_vec();
        let bit = random.below(bytes.len() as u64 * 8);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        all.push(Some(bytes));
    }
    let from = random.below(whole.len() as u64 / 2) as usize;
    let mut zeroed = whole.to_vec();
    zeroed[from..from + 64].fill(0);
    all.push((zeroed != whole).then_some(zeroed));
    all
}

fn replace(disk: &FaultDisk, path: &str, bytes: Option<&[u8]>) {
    disk.remove(path).unwrap();
    if let Some(bytes) = bytes {
        let mut file = disk.create(path).unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
    }
}

#[test]
fn damage_is_found_and_named_and_nothing_else_suffers() {
    let disk = FaultDisk::new(FaultPlan::default());
    let store = store_of_parts(&disk);
    let table = table_of(&store.snapshot());
    let everything: Vec<u64> = (0..PARTS * ROWS).collect();
    let part = table.parts[1].clone();
    let whole = disk.peek(&part.path()).unwrap();
    let other = disk.peek(&table.parts[0].path()).unwrap();
    let mut random = Random::new(5);
    for damage in damages(&whole, &other, &mut random) {
        replace(&disk, &part.path(), damage.as_deref());
        let found = check_part(&store, &table, &part);
        assert!(found.problem.is_some(), "not found: {:?}", damage.map(|d| d.len()));
        assert!(store.quarantine_reason(part.id).is_some());
        // By name, and never fewer rows.
        match read_all(&store) {
            Err(Error::Damaged { path, .. }) => assert_eq!(path, part.path()),
            other => panic!("{other:?}"),
        }
        for sound in [&table.parts[0], &table.parts[2]] {
            assert!(check_part(&store, &table, sound).problem.is_none());
        }
        assert!(store.release_part(&part).is_err(), "released while it is broken");
        replace(&disk, &part.path(), Some(&whole));
        store.release_part(&part).unwrap();
        assert!(store.is_healthy());
        assert_eq!(read_all(&store).unwrap(), everything);
    }
}

#[test]
fn a_read_that_meets_damage_quarantines_and_a_restart_finds_it_again() {
    let disk = FaultDisk::new(FaultPlan::default());
    let store = store_of_parts(&disk);
    let part = table_of(&store.snapshot()).parts[2].clone();
    let mut bytes = disk.peek(&part.path()).unwrap();
    bytes[20] ^= 4;
    disk.poke(&part.path(), &bytes);
    assert!(read_all(&store).is_err());
    assert_eq!(store.quarantined().len(), 1);
    drop(store);
    let again = disk.kill(FaultPlan::default());
    let store = Store::open(StoreOptions {
        disk: Arc::new(again),
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(ColumnNames),
        config: StoreConfig {
            log_preallocate_bytes: 1 << 16,
            parallel: false,
            ..StoreConfig::default()
        },
    })
    .unwrap();
    assert_eq!(store.quarantined()[0].0, part.id);
    assert!(read_all(&store).is_err());
}

#[test]
fn merges_leave_quarantined_parts_alone() {
    let disk = FaultDisk::new(FaultPlan::default());
    let store = store_of_parts(&disk);
    let table = table_of(&store.snapshot());
    store.quarantine(table.parts[1].id, "for a test");
    let limits = MergeLimits { parts_min: 2, ..Default::default() };
    let busy = store.quarantined().into_iter().map(|(id, _)| id).collect();
    assert_eq!(pick(&table.parts, &limits, &busy), None);
    let _ = optimize(&store, "default", "t", false);
    assert_eq!(table_of(&store.snapshot()).parts.len(), PARTS as usize);
    // Given up on an operator's word: out of the table, its file is kept.
    let path = table.parts[1].path();
    store.detach_quarantined(table.definition.uuid, table.parts[1].id).unwrap();
    assert_eq!(read_all(&store).unwrap().len() as u64, (PARTS - 1) * ROWS);
    assert!(disk.peek(&path).is_some());
    assert!(store.detach_quarantined(table.definition.uuid, table.parts[0].id).is_err());
}

#[test]
fn the_scrub_finds_damage_by_itself() {
    let disk = FaultDisk::new(FaultPlan::default());
    let store = store_of_parts(&disk);
    let part = table_of(&store.snapshot()).parts[0].clone();
    let mut bytes = disk.peek(&part.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.poke(&part.path(), &bytes);
    let config = ScrubConfig { bytes_per_second: 1 << 30, pause: Duration::from_millis(1) };
    let scrub = Scrub::start(store.clone(), config);
    let deadline = Instant::now() + Duration::from_secs(20);
    while scrub.counts().rounds.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    scrub.stop();
    assert_eq!(scrub.counts().damaged.load(Ordering::Relaxed), 1);
    assert_eq!(store.quarantined()[0].0, part.id);
}
