//! What every disk must do (one suite, all implementations), and what the faulty one loses.

use std::sync::Arc;

use super::{Disk, Failure, FailureKind, FaultDisk, FaultPlan, MemoryDisk, RealDisk};
use crate::error::Error;

fn conforms(disk: Arc<dyn Disk>) {
    let write = |path: &str, bytes: &[u8]| {
        let mut file = disk.create(path).unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
    };
    let read = |path: &str| {
        let file = disk.open(path).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    };
    disk.create_dir("parts").unwrap();
    disk.create_dir("parts").unwrap();
    write("parts/b", b"one");
    write("parts/a", b"");
    write("top", b"two");
    assert!(disk.create("top").is_err(), "a name in use");
    assert_eq!(disk.list("parts").unwrap(), ["a", "b"]);
    assert!(disk.list("").unwrap().contains(&"top".to_string()));
    assert_eq!(disk.list("absent").unwrap(), Vec::<String>::new());
    assert!(disk.exists("parts/a").unwrap() && !disk.exists("parts/c").unwrap());

    let mut file = disk.open_write("top").unwrap();
    assert_eq!(file.len(), 3);
    file.write_at(1, b"W").unwrap();
    file.write_at(5000, b"far").unwrap();
    file.append(b"end").unwrap();
    file.sync().unwrap();
    assert_eq!(file.len(), 5006);
    let bytes = read("top");
    assert_eq!((&bytes[..4], &bytes[5000..]), (&b"tWo\0"[..], &b"farend"[..]));
    assert!(bytes[3..5000].iter().all(|b| *b == 0));
    let reader = disk.open("top").unwrap();
    assert!(reader.read_at(5004, &mut [0; 4]).is_err(), "beyond the end");
    assert!(reader.read_at(u64::MAX, &mut [0; 4]).is_err());

    disk.rename("parts/b", "parts/a").unwrap();
    assert_eq!(read("parts/a"), b"one");
    assert_eq!(disk.list("parts").unwrap(), ["a"]);
    disk.sync_dir("parts").unwrap();
    disk.sync_dir("").unwrap();
    disk.remove("parts/a").unwrap();
    disk.remove("parts/a").unwrap();
    assert!(disk.open("parts/a").is_err() && disk.open_write("parts/a").is_err());
    assert!(disk.rename("parts/a", "parts/z").is_err());
    assert!(disk.free_bytes().unwrap().is_none_or(|bytes| bytes > 0));

    let lock = disk.lock().unwrap();
    assert!(matches!(disk.lock().err(), Some(Error::Locked(_))));
    drop(lock);
    disk.lock().unwrap();
}

#[test]
fn every_disk_conforms() {
    conforms(Arc::new(MemoryDisk::new()));
    conforms(Arc::new(FaultDisk::new(FaultPlan::default())));
    let root = std::env::temp_dir().join(format!("pumphouse-disk-{}", uuid::Uuid::new_v4()));
    conforms(Arc::new(RealDisk::open(&root).unwrap()));
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_perhaps_the_rest() {
    let disk = FaultDisk::new(FaultPlan::default());
    let mut file = disk.create("f").unwrap();
    file.append(&[1; 5000]).unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    file.append(&[2; 5000]).unwrap();
    disk.create("g").unwrap();
    let (mut lost, mut kept, mut named) = (0, 0, 0);
    for seed in 0..200 {
        let after = disk.crash(seed, FaultPlan::default());
        let bytes = after.peek("f").unwrap();
        assert!(bytes.len() >= 5000 && bytes[..4096] == [1; 4096], "seed {seed}");
        lost += usize::from(bytes.len() == 5000);
        kept += usize::from(bytes == [[1; 5000], [2; 5000]].concat());
        named += usize::from(after.peek("g").is_some());
        // The same seed, the same crash.
        assert_eq!(disk.crash(seed, FaultPlan::default()).peek("f").unwrap(), bytes);
    }
    assert!(lost > 20 && kept > 10 && named > 20 && named < 180, "{lost} {kept} {named}");
    assert_eq!(disk.kill(FaultPlan::default()).peek("f").unwrap().len(), 10_000);
}

#[test]
fn a_second_sync_does_not_save_what_a_failed_one_lost() {
    let failure = Some(Failure { at: 2, kind: FailureKind::Io, for_ever: false });
    let disk = FaultDisk::new(FaultPlan { failure, ..FaultPlan::default() });
    let mut file = disk.create("f").unwrap();
    file.append(&[7; 40_000]).unwrap();
    assert!(file.sync().is_err());
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    let whole = |seed| disk.crash(seed, FaultPlan::default()).peek("f").unwrap() == [7; 40_000];
    assert!((0..50).any(|seed| !whole(seed)));
}

#[test]
fn plans_are_followed() {
    let failure = Some(Failure { at: 0, kind: FailureKind::NoSpace, for_ever: true });
    let disk = FaultDisk::new(FaultPlan { failure, ..FaultPlan::default() });
    assert_eq!(disk.list("").unwrap(), Vec::<String>::new());
    assert!(disk.create("f").err().unwrap().is_disk_full());
    assert!(disk.create("f").err().unwrap().is_disk_full());
    disk.set_plan(FaultPlan { crash_at: Some(4), ..FaultPlan::default() });
    disk.create("f").unwrap();
    assert!(disk.exists("f").is_err() && disk.open("f").is_err());
    assert_eq!(disk.operations(), 6);
}

/// A folder that is removed in the end.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn mapped_bytes_are_those_that_are_read_and_lost_ones_end_nothing() {
    let name = format!("pumphouse-mapped-{}", uuid::Uuid::new_v4());
    let folder = Scratch(std::env::temp_dir().join(name));
    let disk = RealDisk::open(&folder.0).unwrap();
    let bytes: Vec<u8> = (0..3_000_001u32).map(|i| (i * 7 % 251) as u8).collect();
    for (name, length) in [("large", bytes.len()), ("small", 1000)] {
        disk.create(name).unwrap().append(&bytes[..length]).unwrap();
    }
    let (large, small) = (disk.open("large").unwrap(), disk.open("small").unwrap());
    assert!(small.mapped(0, 1000).is_none(), "not worth a mapping");
    for (from, length) in [(0, 10), (4095, 2), (131_000, 300_000), (2_999_999, 2), (5, 0)] {
        let mut read = vec![0; length];
        large.read_at(from as u64, &mut read).unwrap();
        // A kernel without support gives none, always.
        let Some(mapped) = large.mapped(from as u64, length) else { return };
        assert_eq!(mapped, read);
        assert_eq!(mapped, &bytes[from..from + length]);
    }
    for (from, length) in [(3_000_001, 1), (2_999_999, 3), (u64::MAX, 1)] {
        assert!(large.mapped(from, length).is_none(), "behind the end");
    }
    let held = large.mapped(2_900_000, 1000).unwrap();
    let file = std::fs::File::options().write(true).open(folder.0.join("large")).unwrap();
    file.set_len(1_000_000).unwrap();
    // What was never asked for is refused; what was, is zeros, and counted.
    assert!(large.mapped(1_500_000, 1000).is_none());
    let lost = super::lost_pages();
    assert!(held.iter().all(|byte| *byte == 0));
    assert!(super::lost_pages() > lost);
    assert_eq!(large.mapped(0, 1000).unwrap(), &bytes[..1000]);
}
