//! Opening, committing, reading again, garbage and errors.

use std::sync::Arc;

use super::fixture::*;
use crate::disk::{Disk, MemoryDisk, RealDisk};
use crate::error::Error;
use crate::log::{Edit, Precondition, Rejection};
use crate::store::{Store, StoreConfig};

/// A directory that is removed at the end of the test.
pub struct TemporaryDirectory(pub std::path::PathBuf);

impl TemporaryDirectory {
    pub fn new(name: &str) -> TemporaryDirectory {
        let unique = uuid::Uuid::new_v4();
        TemporaryDirectory(std::env::temp_dir().join(format!("pumphouse-{name}-{unique}")))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn on_each_disk(test: impl Fn(Arc<dyn Disk>, StoreConfig)) {
    test(Arc::new(MemoryDisk::new()), small_config());
    let directory = TemporaryDirectory::new("store");
    let disk = Arc::new(RealDisk::open(&directory.0).unwrap());
    test(disk, StoreConfig { parallel: true, ..small_config() });
}

fn with_table(disk: Arc<dyn Disk>, config: StoreConfig) -> Arc<Store> {
    let store = open_with(disk, config).unwrap();
    store.commit(create_database("d"), vec![]).unwrap();
    store.commit(create_table(definition(1, "d", "t")), vec![]).unwrap();
    store
}

#[test]
fn commits_are_there_after_reopening() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config.clone());
        let part = write_part(&store, table_id(1), 10).unwrap();
        let version = store.commit(edits(vec![]), vec![part]).unwrap();
        assert_eq!(store.snapshot().version, version);
        let before = format!("{:?}", store.snapshot());
        drop(store);
        let store = open_with(disk, config).unwrap();
        let mut state = (*store.snapshot()).clone();
        assert_eq!((state.version, state.epoch), (version + 1, 2));
        (state.version, state.epoch) = (version, 1);
        assert_eq!(format!("{state:?}"), before);
    });
}

#[test]
fn checkpoints_replace_the_log_and_keep_one_old_generation() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config.clone());
        for i in 0..100 {
            let next = edits(vec![Edit::AdvanceOffset {
                table: table_id(1),
                topic: "topic".into(),
                kafka_partition: 0,
                next: i,
                wall_us: 0,
            }]);
            store.commit(next, vec![]).unwrap();
        }
        let stats = store.stats();
        assert!(stats.checkpoints >= 5, "{stats:?}");
        assert!(stats.log_bytes <= 48 << 10, "{stats:?}");
        let generation = stats.log_generation;
        let names = disk.list("").unwrap();
        let manifests: Vec<_> = names.iter().filter(|n| n.starts_with("MANIFEST")).collect();
        assert_eq!(manifests.len(), 4, "{manifests:?}");
        let before = store.snapshot();
        drop(store);
        let store = open_with(disk, config).unwrap();
        assert_eq!(store.stats().log_generation, generation);
        let table = |s: &crate::log::State| format!("{:?}", s.tables);
        assert_eq!(table(&before), table(&store.snapshot()));
    });
}

#[test]
fn a_second_store_is_refused() {
    on_each_disk(|disk, config| {
        let store = open_with(disk.clone(), config.clone()).unwrap();
        let refused = open_with(disk.clone(), config.clone()).err().unwrap();
        let pid = std::process::id().to_string();
        assert!(matches!(&refused, Error::Locked(text) if text.contains(&pid)), "{refused}");
        drop(store);
        open_with(disk, config).unwrap();
    });
}

#[test]
fn a_rejected_commit_leaves_nothing() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config);
        let again = store.commit(create_table(definition(2, "d", "t")), vec![]).err().unwrap();
        assert!(matches!(again, Error::Rejected(Rejection::TableExists { .. })), "{again}");
        let before = store.snapshot();
        let part = write_part(&store, table_id(1), 5).unwrap();
        let mut commit = edits(vec![]);
        commit.preconditions =
            vec![Precondition::TokenAbsent { table: table_id(9), token: "x".into() }];
        store.commit(commit, vec![part]).unwrap_err();
        let part = write_part(&store, table_id(9), 5).unwrap();
        store.commit(edits(vec![]), vec![part]).unwrap_err();
        assert_eq!(disk.list("parts").unwrap(), Vec::<String>::new());
        assert_eq!(store.snapshot().version, before.version);
    });
}

#[test]
fn removed_parts_stay_while_a_snapshot_holds_them() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config);
        let part = write_part(&store, table_id(1), 5).unwrap();
        let id = part.meta.id;
        store.commit(edits(vec![]), vec![part]).unwrap();
        let reader = store.snapshot();
        let remove = edits(vec![Edit::RemovePart { table: table_id(1), part: id }]);
        store.commit(remove, vec![]).unwrap();
        assert_eq!(disk.list("parts").unwrap().len(), 1);
        assert_eq!(store.collect_garbage().unwrap(), 0);
        drop(reader);
        assert_eq!(store.collect_garbage().unwrap(), 1);
        assert_eq!(disk.list("parts").unwrap().len(), 0);

        let part = write_part(&store, table_id(1), 5).unwrap();
        store.commit(edits(vec![]), vec![part]).unwrap();
        store.commit(edits(vec![Edit::DropTable { table: table_id(1) }]), vec![]).unwrap();
        assert_eq!(disk.list("parts").unwrap().len(), 0);
    });
}

#[test]
fn what_the_log_does_not_list_is_removed_at_start() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config.clone());
        let part = write_part(&store, table_id(1), 5).unwrap();
        // As if the process had died here: the file is not removed.
        drop(part.keep());
        drop(store);
        drop(open_with(disk.clone(), config.clone()).unwrap());
        assert_eq!(disk.list("parts").unwrap().len(), 0);

        // A part of an epoch that the log has not come to proves that the log lost its end.
        disk.create("parts/000000ff00000001.part").unwrap();
        let error = open_with(disk, config).err().unwrap();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    });
}

#[test]
fn missing_parts_are_quarantined() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config.clone());
        let part = write_part(&store, table_id(1), 5).unwrap();
        let path = part.meta.path();
        store.commit(edits(vec![]), vec![part]).unwrap();
        drop(store);
        disk.remove(&path).unwrap();
        let store = open_with(disk, config).unwrap();
        assert_eq!(store.quarantined().len(), 1);
        let meta = store.snapshot().tables[&table_id(1)].parts[0].clone();
        assert!(matches!(store.part(&meta), Err(Error::Damaged { .. })));
    });
}

#[test]
fn a_missing_current_is_not_a_new_store() {
    on_each_disk(|disk, config| {
        drop(with_table(disk.clone(), config.clone()));
        disk.remove("CURRENT").unwrap();
        let error = open_with(disk, config).err().unwrap();
        assert!(matches!(&error, Error::Damaged { path, .. } if path == "CURRENT"), "{error}");
    });
}

#[test]
fn a_closed_store_takes_no_commits() {
    on_each_disk(|disk, config| {
        let store = with_table(disk, config);
        store.close();
        let error = store.commit(create_database("e"), vec![]).err().unwrap();
        assert!(matches!(error, Error::Closed(_)), "{error}");
    });
}

#[test]
fn many_threads_share_frames_and_lose_nothing() {
    on_each_disk(|disk, config| {
        let store = with_table(disk.clone(), config.clone());
        // Eight threads race for the same offset; each step is won exactly once.
        let won: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..50).filter(|i| advance(&store, *i)).count() as u64))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let next = |store: &Store| {
            let state = store.snapshot();
            state.tables[&table_id(1)].offsets.values().map(|o| (o.next, o.commits)).next()
        };
        assert_eq!(next(&store), Some((won as i64, won)));
        let stats = store.stats();
        assert_eq!(stats.commits, won + 3);
        drop(store);
        assert_eq!(next(&open_with(disk, config).unwrap()), Some((won as i64, won)));
    });
}

fn advance(store: &Store, _try: i64) -> bool {
    let state = store.snapshot();
    let expected = state.tables[&table_id(1)].offsets.values().map(|o| o.next).next();
    let topic = || "topic".to_string();
    let mut commit = edits(vec![Edit::AdvanceOffset {
        table: table_id(1),
        topic: topic(),
        kafka_partition: 0,
        next: expected.unwrap_or(0) + 1,
        wall_us: 0,
    }]);
    commit.preconditions = vec![Precondition::OffsetEquals {
        table: table_id(1),
        topic: topic(),
        kafka_partition: 0,
        expected,
    }];
    match store.commit(commit, vec![]) {
        Ok(_) => true,
        Err(Error::Rejected(Rejection::OffsetMoved { .. })) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_panic_in_a_commit_closes_the_store_and_answers_everyone() {
    use crate::log::committer::Committer;
    use crate::log::{AppendFailure, CommitLog, State};

    struct Panics;
    impl CommitLog for Panics {
        fn append(&mut self, _: u64, _: u32, _: &[u8]) -> Result<(), AppendFailure> {
            std::thread::sleep(std::time::Duration::from_millis(50));
            panic!("this is a test")
        }
        fn prepare(&mut self) -> Result<(), AppendFailure> {
            Ok(())
        }
        fn checkpoint_due(&self) -> bool {
            false
        }
        fn checkpoint(&mut self, _: &State) -> Result<(), AppendFailure> {
            Ok(())
        }
        fn bytes(&self) -> u64 {
            0
        }
        fn generation(&self) -> u64 {
            1
        }
        fn syncs(&self) -> u64 {
            0
        }
    }
    let committer = Committer::new(Arc::new(MemoryDisk::new()), Box::new(Panics), State::default());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let commit = create_database(&format!("d{i}"));
                let committer = &committer;
                scope.spawn(move || committer.commit(commit, vec![]))
            })
            .collect();
        let outcomes: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
        let panicked = outcomes.iter().filter(|o| o.is_err()).count();
        let closed = outcomes.iter().filter(|o| matches!(o, Ok(Err(Error::Closed(_))))).count();
        assert_eq!((panicked, closed), (1, 3), "{outcomes:?}");
    });
}
