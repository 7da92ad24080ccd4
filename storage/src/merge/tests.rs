//! The picker by simulation, merges against a plain model, and the pool.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::picker::pick;
use super::worker::merge;
use super::*;
use crate::disk::{Failure, FailureKind, FaultDisk, FaultPlan};
use crate::log::{Commit, PartId, PartMeta};
use crate::part::tests::Random;
use crate::scan;
use crate::table::insert::write_block;
use crate::table::tests::{block, definition, insert, store_on, store_with, table_of};
use crate::types::Value;

fn meta(number: u32, partition: &str, bytes: u64, created_us: u64) -> Arc<PartMeta> {
    Arc::new(PartMeta {
        id: PartId { epoch: 1, number },
        table: uuid::Uuid::nil(),
        partition_id: partition.into(),
        rows: bytes / 50,
        bytes,
        bytes_uncompressed: bytes * 3,
        footer_hash: 0,
        min_block: number as u64,
        max_block: number as u64,
        level: 0,
        created_us,
        data_version: 0,
        mask: None,
        ttl_seconds: None,
    })
}

const MB: u64 = 1 << 20;

#[test]
fn picks_as_in_the_table() {
    let limits = MergeLimits { now_us: 1000, ..Default::default() };
    let quiet = MergeLimits { now_us: 4 * 3600 * 1_000_000, ..Default::default() };
    let small = MergeLimits { merge_bytes_max: 10 * MB, ..limits };
    // Sizes in MB, limits, busy positions, and the window picked as first and last position.
    type Case<'a> = (&'a [u64], &'a MergeLimits, &'a [u32], Option<(u32, u32)>);
    let cases: Vec<Case<'_>> = vec![
        (&[], &limits, &[], None),
        (&[1; 7], &limits, &[], None),
        (&[1; 8], &limits, &[], Some((0, 7))),
        (&[1; 40], &limits, &[], Some((0, 31))),
        // A large part is not rewritten for small ones.
        (&[900, 1, 1, 1, 1, 1, 1, 1], &limits, &[], None),
        (&[900, 1, 1, 1, 1, 1, 1, 1, 1], &limits, &[], Some((1, 8))),
        // Cheap merges first.
        (&[50, 50, 50, 50, 50, 50, 50, 50, 1, 1, 1, 1, 1, 1, 1, 1], &limits, &[], Some((8, 15))),
        // Of large parts twice as many wait, unless the partition is quiet.
        (&[50; 15], &limits, &[], None),
        (&[50; 16], &limits, &[], Some((0, 15))),
        (&[50; 3], &quiet, &[], Some((0, 2))),
        // Busy parts split windows.
        (&[1; 16], &limits, &[4], Some((5, 15))),
        (&[1; 12], &limits, &[5], None),
        // The limit on bytes.
        (&[2; 8], &small, &[], None),
        (&[1; 20], &small, &[], Some((0, 9))),
        // A quiet partition is merged further, but not a large part for a tiny one.
        (&[5, 5], &quiet, &[], Some((0, 1))),
        (&[500, 5], &quiet, &[], None),
    ];
    for (sizes, limits, busy, expected) in cases {
        let parts: Vec<_> =
            sizes.iter().enumerate().map(|(i, s)| meta(i as u32, "all", s * MB, 0)).collect();
        let busy: HashSet<PartId> = busy.iter().map(|i| parts[*i as usize].id).collect();
        let expected =
            expected.map(|(a, b)| (a..=b).map(|i| parts[i as usize].id).collect::<Vec<_>>());
        assert_eq!(pick(&parts, limits, &busy), expected, "{sizes:?}");
    }
}

#[test]
fn a_merge_stays_in_its_partition() {
    let limits = MergeLimits { now_us: 1, ..Default::default() };
    let parts: Vec<_> =
        (0..16).map(|i| meta(i, if i % 2 == 0 { "a" } else { "b" }, MB, 0)).collect();
    let picked = pick(&parts, &limits, &HashSet::new()).unwrap();
    let expected: Vec<PartId> = (0..8).map(|i| parts[i * 2].id).collect();
    assert_eq!(picked, expected);
}

/// Hours of small blocks: the number of parts stays bounded and bytes are rewritten few times.
#[test]
fn steady_small_blocks_keep_parts_few_and_rewrites_low() {
    for (interval_us, bytes, merge_bytes_per_s) in
        [(100_000, MB, 60 * MB), (500_000, 2 * MB, 60 * MB), (100_000, 20_000, 20 * MB)]
    {
        let mut parts: Vec<Arc<PartMeta>> = vec![];
        let (mut next, mut written, mut rewritten, mut most) = (0u32, 0u64, 0u64, 0usize);
        // One thread for small merges and one for all; a merge takes its bytes' time.
        let mut running: [Option<(u64, Vec<PartId>, u64)>; 2] = [None, None];
        for step in 0..(3600 * 2 * 1_000_000u64 / interval_us) {
            let now_us = step * interval_us;
            parts.push(meta(next, "all", bytes, now_us));
            next += 1;
            written += bytes;
            for slot in &mut running {
                if let Some((done_us, merged, size)) = slot.take_if(|(done, ..)| *done <= now_us) {
                    let first = parts.iter().position(|p| p.id == merged[0]).unwrap();
                    parts.drain(first..first + merged.len());
                    let mut part = meta(next, "all", size, done_us);
                    Arc::make_mut(&mut part).level = 1;
                    parts.insert(first, part);
                    next += 1;
                }
            }
            for thread in 0..2 {
                if running[thread].is_some() {
                    continue;
                }
                let busy: HashSet<PartId> =
                    running.iter().flatten().flat_map(|(_, ids, _)| ids.clone()).collect();
                let limits = MergeLimits {
                    merge_bytes_max: if thread == 0 { 256 * MB } else { 100 << 30 },
                    now_us,
                    ..Default::default()
                };
                if let Some(ids) = pick(&parts, &limits, &busy) {
                    let size: u64 =
                        parts.iter().filter(|p| ids.contains(&p.id)).map(|p| p.bytes).sum();
                    rewritten += size;
                    let done = now_us + size * 1_000_000 / merge_bytes_per_s;
                    running[thread] = Some((done, ids, size));
                }
            }
            most = most.max(parts.len());
        }
        let amplification = rewritten as f64 / written as f64;
        assert!(most < 130, "{most} parts at {interval_us} us, {bytes} bytes");
        assert!(amplification < 7.5, "{amplification} at {interval_us} us, {bytes} bytes");
        println!(
            "every {interval_us} us {bytes} bytes: at most {most} parts, {amplification:.1} rewrites"
        );
    }
}

fn random_rows(random: &mut Random, rows: usize, distinct: u64) -> Vec<Vec<Value>> {
    (0..rows)
        .map(|_| {
            let key = random.below(distinct);
            let null = random.below(4) == 0;
            vec![
                Value::UInt(random.below(2)),
                Value::string(format!("k{}", key % 40)),
                Value::Int(key as i64 - 100),
                if null { Value::Null } else { Value::string(format!("text {}", random.next())) },
                Value::Array((0..random.below(4)).map(|i| Value::UInt(i * key % 200)).collect()),
            ]
        })
        .collect()
}

#[test]
fn inserts_and_merges_keep_all_rows_in_order() {
    for seed in 1..=6u64 {
        let mut random = Random(seed * 7919);
        let keys: &[&str] = [&["a", "b"][..], &["b"], &[]][seed as usize % 3];
        let mut d = definition(
            &[
                ("p", "UInt8"),
                ("a", "LowCardinality(String)"),
                ("b", "Int64"),
                ("s", "Nullable(String)"),
                ("l", "Array(UInt8)"),
            ],
            keys,
            &["p"],
        );
        d.settings.insert("index_granularity".into(), (16 + random.below(100)).to_string());
        let store = store_with(d.clone());
        let mut model: Vec<Vec<Value>> = vec![];
        for _ in 0..8 {
            let count = 1 + random.below(400) as usize;
            let rows = random_rows(&mut random, count, 1 + seed * 60);
            insert(&store, &block(&d, &rows));
            model.extend(rows);
            if random.below(2) == 0 {
                merge_some(&store, &mut random);
            }
            check_against(&store, &model);
        }
        optimize(&store, "default", "t", true).unwrap();
        let table = table_of(&store.snapshot());
        assert!(table.parts.len() <= 2, "{}", table.parts.len());
        check_against(&store, &model);
        check_sorted_by(&store, keys);
        store.collect_garbage().unwrap();
        assert_eq!(store.disk().list("parts").unwrap().len(), table.parts.len());
    }
}

fn merge_some(store: &Arc<crate::Store>, random: &mut Random) {
    let table = table_of(&store.snapshot());
    let partition = random.below(2).to_string();
    let ids: Vec<PartId> =
        table.parts.iter().filter(|p| p.partition_id == partition).map(|p| p.id).collect();
    if ids.len() > 1 {
        let first = random.below(ids.len() as u64 - 1) as usize;
        let count = 2 + random.below((ids.len() - first - 1) as u64) as usize;
        merge(store, &table, &ids[first..first + count]).unwrap();
    }
}

fn check_against(store: &Arc<crate::Store>, model: &[Vec<Value>]) {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns: Vec<String> = table.definition.columns.iter().map(|c| c.name.clone()).collect();
    let scan = scan::open(store, state, &table, &columns, &[]).unwrap();
    let mut got = vec![];
    for i in 0..scan.morsel_count() {
        let block = scan.read(i, &columns, None).unwrap();
        got.extend(
            (0..block.rows())
                .map(|r| block.columns.iter().map(|c| c.value(r)).collect::<Vec<Value>>()),
        );
    }
    let mut expected = model.to_vec();
    got.sort();
    expected.sort();
    assert!(got == expected, "{} rows instead of {}", got.len(), expected.len());
}

fn check_sorted_by(store: &Arc<crate::Store>, keys: &[&str]) {
    let state = store.snapshot();
    let table = table_of(&state);
    let columns: Vec<String> = keys.iter().map(|k| k.to_string()).collect();
    let scan = scan::open(store, state, &table, &columns, &[]).unwrap();
    for i in 0..scan.morsel_count() {
        let block = scan.read(i, &columns, None).unwrap();
        let rows: Vec<Vec<Value>> =
            (0..block.rows()).map(|r| block.columns.iter().map(|c| c.value(r)).collect()).collect();
        assert!(rows.is_sorted());
    }
}

#[test]
fn equal_keys_stay_in_the_order_of_inserts() {
    let d = definition(&[("k", "UInt8"), ("v", "UInt32")], &["k"], &[]);
    let store = store_with(d.clone());
    for i in 0..5u64 {
        let rows: Vec<_> =
            (0..50).map(|j| vec![Value::UInt(j % 3), Value::UInt(i * 50 + j)]).collect();
        insert(&store, &block(&d, &rows));
    }
    optimize(&store, "default", "t", true).unwrap();
    let state = store.snapshot();
    let table = table_of(&state);
    assert_eq!(table.parts[0].name(), "all_1_5_1");
    let columns = ["k".to_string(), "v".to_string()];
    let scan = scan::open(&store, state, &table, &columns, &[]).unwrap();
    let block = scan.read(0, &columns, None).unwrap();
    let rows: Vec<(Value, Value)> =
        (0..250).map(|r| (block.columns[0].value(r), block.columns[1].value(r))).collect();
    assert!(rows.is_sorted());
}

#[test]
fn merges_refuse_what_are_not_neighbours_and_yield_to_changes() {
    let d = definition(&[("k", "UInt8")], &["k"], &[]);
    let store = store_with(d.clone());
    for i in 0..3u64 {
        insert(&store, &block(&d, &[vec![Value::UInt(i)]]));
    }
    let old = table_of(&store.snapshot());
    let ids: Vec<PartId> = old.parts.iter().map(|p| p.id).collect();
    assert!(merge(&store, &old, &[ids[0], ids[2]]).is_err());
    assert!(merge(&store, &old, &[ids[1], ids[0]]).is_err());
    merge(&store, &old, &ids[..2]).unwrap();
    // The same merge again, from the old state: its parts are gone.
    let again = merge(&store, &old, &ids[1..]);
    assert!(matches!(again, Err(crate::Error::Rejected(_))), "{again:?}");
    store.collect_garbage().unwrap();
    drop(old);
    store.collect_garbage().unwrap();
    assert_eq!(store.disk().list("parts").unwrap().len(), 2);
}

#[test]
fn the_pool_merges_in_the_background_and_stops() {
    let d = definition(&[("k", "UInt32")], &["k"], &[]);
    let store = store_with(d.clone());
    let pool = MergePool::start(store.clone(), 2);
    let mut random = Random(5);
    for _ in 0..40 {
        let rows: Vec<_> = (0..20).map(|_| vec![Value::UInt(random.below(1000))]).collect();
        let table = table_of(&store.snapshot());
        let parts = write_block(&store, &table, &block(&d, &rows)).unwrap();
        store.commit(Commit::default(), parts).unwrap();
        pool.wake();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while table_of(&store.snapshot()).parts.len() > 14 {
        assert!(Instant::now() < deadline, "{}", table_of(&store.snapshot()).parts.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    pool.stop();
    let table = table_of(&store.snapshot());
    assert_eq!(table.parts.iter().map(|p| p.rows).sum::<u64>(), 800);
    assert!(table.parts.iter().any(|p| p.level > 0));
}

/// Parts that follow each other: their full granules are copied, and stay what they were.
#[test]
fn granules_that_come_next_whole_are_copied() {
    let types = ["UInt32", "Nullable(String)", "Array(UInt8)", "Float64", "String", "Int16"];
    let names = ["k", "s", "l", "f", "c", "n"];
    let columns: Vec<(&str, &str)> = names.into_iter().zip(types).collect();
    let mut d = definition(&columns, &["k"], &[]);
    d.settings.insert("index_granularity".into(), "16".into());
    let store = store_with(d.clone());
    let mut random = Random(77);
    let mut model = vec![];
    // As many rows, and of which key the first is: two overlap.
    for (count, first) in [(196u64, 0u64), (196, 1000), (33, 2000), (150, 2020), (196, 3000)] {
        let rows: Vec<Vec<Value>> = (0..count)
            .map(|i| {
                let null = random.below(4) == 0;
                let text = Value::string(format!("text {}", random.below(1000)));
                vec![
                    Value::UInt(first + i),
                    if null { Value::Null } else { text },
                    Value::Array((0..random.below(4)).map(Value::UInt).collect()),
                    Value::Float(random.below(1000) as f64 / 8.0),
                    Value::string("always"),
                    Value::Int(random.below(50) as i64 - 25),
                ]
            })
            .collect();
        insert(&store, &block(&d, &rows));
        model.extend(rows);
    }
    let hashes_before = hashes(&store);
    let table = table_of(&store.snapshot());
    let first: Vec<PartId> = table.parts[..2].iter().map(|p| p.id).collect();
    merge(&store, &table, &first).unwrap();
    check_against(&store, &model);
    let part = store.part(&table_of(&store.snapshot()).parts[0]).unwrap();
    // Twelve full ones and four rows of each, and not four rows that move all that follow.
    assert_eq!(part.granules(), 26);
    assert_eq!((part.granule_rows(12), part.granule_rows(13)), (4, 16));
    optimize(&store, "default", "t", true).unwrap();
    check_against(&store, &model);
    check_sorted_by(&store, &["k"]);
    assert_eq!(hashes(&store), hashes_before);
    let table = table_of(&store.snapshot());
    let part = store.part(&table.parts[0]).unwrap();
    part.verify_all().unwrap();
    assert!(part.rows() * 10 >= part.granules() as u64 * 16 * 9, "{}", part.granules());
    for granule in 0..part.granules() {
        let (low, high) = part.range(0, granule).unwrap();
        let keys = part.read_column(0, &[granule]).unwrap();
        assert_eq!((low, high), (keys.value(0), Some(keys.value(keys.len() - 1))));
        let index = &part.primary_index()[0].column;
        assert_eq!(index.value(granule), keys.value(0));
    }
}

/// Each column's content over all parts.
fn hashes(store: &Arc<crate::Store>) -> Vec<u64> {
    let table = table_of(&store.snapshot());
    let part = |p: &Arc<PartMeta>| store.part(p).unwrap();
    let parts: Vec<_> = table.parts.iter().map(part).collect();
    let add = |sum: u64, hash: u64| sum.wrapping_add(hash);
    (0..6).map(|i| parts.iter().map(|p| p.content_hash(i)).fold(0, add)).collect()
}

/// A disk that fails at any one operation of a write and a merge: the error comes back, no row is
/// lost or doubled, and at most the file whose removal failed stays behind.
#[test]
fn a_failing_disk_loses_nothing() {
    fails_without_loss("8192", |i| i * 7 % 31);
}

/// The same where granules are copied.
#[test]
fn a_failing_disk_loses_nothing_of_copies() {
    fails_without_loss("8", |i| i);
}

fn fails_without_loss(granularity: &str, key: fn(u64) -> u64) {
    let mut definition = definition(&[("k", "UInt32"), ("s", "String")], &["k"], &[]);
    definition.settings.insert("index_granularity".into(), granularity.into());
    let rows = |from: u64| -> Vec<Vec<Value>> {
        (from..from + 30).map(|i| vec![Value::UInt(key(i)), Value::string("x")]).collect()
    };
    let (mut failed, mut closed) = (0, 0);
    for step in 0..200 {
        let disk = FaultDisk::new(FaultPlan::default());
        let store = store_on(Arc::new(disk.clone()), definition.clone());
        insert(&store, &block(&definition, &rows(0)));
        insert(&store, &block(&definition, &rows(30)));
        let table = table_of(&store.snapshot());
        let ids: Vec<PartId> = table.parts.iter().map(|p| p.id).collect();
        let at = disk.operations() + step;
        let failure = Failure { at, kind: FailureKind::Io, for_ever: false };
        disk.set_plan(FaultPlan { failure: Some(failure), ..FaultPlan::default() });
        let written = write_block(&store, &table, &block(&definition, &rows(60))).map(drop);
        let merged = merge(&store, &table, &ids);
        if disk.operations() < at {
            assert!(written.is_ok() && merged.is_ok());
            break;
        }
        if matches!(merged, Err(crate::Error::Closed(_))) {
            // The log failed; whether the merge is in is for recovery to say.
            closed += 1;
            continue;
        }
        failed += (written.is_err() || merged.is_err()) as u32;
        drop(table);
        disk.set_plan(FaultPlan::default());
        store.collect_garbage().unwrap();
        let table = table_of(&store.snapshot());
        assert_eq!(table.parts.iter().map(|p| p.rows).sum::<u64>(), 60, "step {step}");
        assert_eq!(table.parts.len(), if merged.is_ok() { 1 } else { 2 }, "step {step}");
        let files = store.disk().list("parts").unwrap().len();
        assert!((table.parts.len()..=table.parts.len() + 1).contains(&files), "step {step}");
    }
    assert!(failed >= 4 && closed >= 1, "{failed} failures met, {closed} in the log");
}

#[test]
fn scans_and_readers_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<scan::Scan>();
    check::<crate::part::PartReader>();
    check::<crate::part::PendingPart>();
}
