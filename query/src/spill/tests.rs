//! Queries that are forced through temporary files answer as they do in memory; damage, full disks and
//! limits fail the query; nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pumphouse_storage::disk::{Disk, MemoryDisk};
use pumphouse_storage::{Block, DataType, Value};

use super::{Purpose, SpillSpace, SpillWriter, SpilledPartitions};
use crate::context::QueryContext;
use crate::error::codes;
use crate::execute::sql_tests::TestCatalog;
use crate::{execute, prepare, sql};

const QUERIES: &[&str] = &[
    "SELECT number % 5003 AS k, count(), sum(number), max(toString(number)), uniqExact(number % 9) FROM numbers(60000) GROUP BY k",
    "SELECT intDiv(number, 2) AS k, min(number), avg(number), any(number % 2) >= 0 FROM numbers(150000) GROUP BY k",
    "SELECT toString(number % 20011) AS k, count() FROM numbers(120000) GROUP BY k",
    "SELECT number % 3 AS a, toString(number % 7000) AS b, count(), groupArray(1)[1] FROM numbers(50000) GROUP BY a, b",
    "SELECT number % 10 AS a, number % 7 AS b, sum(number) FROM numbers(9000) GROUP BY GROUPING SETS ((a, b), (a), ())",
    "SELECT if(number % 9 = 0, NULL, number % 400) AS k, count() FROM numbers(8000) GROUP BY k",
    "SELECT DISTINCT intDiv(number, 3) AS k, toString(number % 2) FROM numbers(200000)",
    "SELECT DISTINCT if(number % 7 = 0, NULL, number % 60000) AS k FROM numbers(180000)",
    "SELECT count() FROM (SELECT DISTINCT toString(number % 90000) AS k FROM numbers(200000))",
    "SELECT a.k, a.v, b.w FROM (SELECT number % 700 AS k, number AS v FROM numbers(5000)) AS a INNER JOIN (SELECT number * 2 AS k, toString(number) AS w FROM numbers(300)) AS b ON a.k = b.k",
    "SELECT a.k, b.k FROM (SELECT if(number % 4 = 0, NULL, number) AS k FROM numbers(300)) AS a FULL JOIN (SELECT if(number % 3 = 0, NULL, number) AS k FROM numbers(500)) AS b ON a.k = b.k",
    "SELECT a.k, b.w FROM (SELECT number AS k FROM numbers(300)) AS a LEFT JOIN (SELECT number % 20 AS k, number AS w FROM numbers(90)) AS b ON a.k = b.k AND b.w > 30",
    "SELECT a.k FROM (SELECT number % 90 AS k FROM numbers(300)) AS a ANTI LEFT JOIN (SELECT number * 3 AS k FROM numbers(20)) AS b ON a.k = b.k",
];

const SORTED: &[&str] = &[
    "SELECT number % 97 AS k, number AS n, toString(number) FROM numbers(70000) ORDER BY k DESC, n",
    "SELECT toString(number % 4001) AS s, number AS n FROM numbers(30000) ORDER BY s, n DESC LIMIT 20000, 50",
    "SELECT if(number % 3 = 0, NULL, number) AS k, [number] AS a FROM numbers(5000) ORDER BY k NULLS FIRST, a",
];

const FORCED: &[(&str, &str)] = &[
    ("max_bytes_before_external_group_by", "1"),
    ("max_bytes_before_external_sort", "1"),
    ("max_bytes_before_external_join", "1"),
];

fn context(
    space: Option<&Arc<SpillSpace>>,
    settings: &[(&str, &str)],
    memory: u64,
) -> Arc<QueryContext> {
    let mut ctx = QueryContext::new("test", 0, memory);
    ctx.settings.set("max_threads", "2");
    settings.iter().for_each(|(name, value)| ctx.settings.set(*name, *value));
    ctx.spill = space.map(|space| space.of_query("someone"));
    Arc::new(ctx)
}

fn run(text: &str, ctx: &Arc<QueryContext>) -> crate::Result<Vec<Vec<Value>>> {
    let query = sql::parse_query(text)?;
    let plan = prepare(&query, &TestCatalog::default(), ctx)?;
    let blocks: Vec<Block> = execute::collect(&plan, ctx)?;
    let row = |b: &Block, row: usize| b.columns.iter().map(|c| c.value(row)).collect();
    Ok(blocks.iter().flat_map(|b| (0..b.rows()).map(move |r| row(b, r))).collect())
}

#[test]
fn what_is_spilled_comes_back() {
    let disk = Arc::new(MemoryDisk::default());
    let space = SpillSpace::open(disk.clone()).unwrap();
    for (i, text) in QUERIES.iter().chain(SORTED).enumerate() {
        let mut expected = run(text, &context(None, &[], 0)).unwrap();
        let forced = context(Some(&space), FORCED, 0);
        let mut found = run(text, &forced).unwrap_or_else(|e| panic!("{text}: {e}"));
        if i < QUERIES.len() {
            expected.sort();
            found.sort();
        }
        assert!(found == expected, "{text}: {} rows, not {}", found.len(), expected.len());
        let counters = &forced.spill.as_ref().unwrap().counters;
        assert!(counters.files.load(Ordering::Relaxed) > 0, "{text} was not spilled");
    }
    assert_eq!(disk.list(super::FOLDER).unwrap(), Vec::<String>::new());
}

#[test]
fn limits_on_memory_and_disk() {
    let space = SpillSpace::open(Arc::new(MemoryDisk::default())).unwrap();
    let text = "SELECT count() FROM (SELECT concat('a key of some length ', toString(number)) AS k, count() FROM numbers(400000) GROUP BY k)";
    let limit = 12 << 20;
    let failed = run(text, &context(None, &[], limit)).unwrap_err();
    assert_eq!(failed.code(), codes::MEMORY_LIMIT_EXCEEDED);
    assert_eq!(run(text, &context(Some(&space), &[], limit)).unwrap(), [[Value::UInt(400_000)]]);
    let small = [("max_temporary_data_on_disk_size_for_query", "10000"), FORCED[0]];
    let failed = run(text, &context(Some(&space), &small, 0)).unwrap_err();
    assert_eq!(failed.code(), codes::TOO_MANY_ROWS_OR_BYTES);
    let small = [("max_temporary_data_on_disk_size_for_user", "10000"), FORCED[0]];
    let failed = run(text, &context(Some(&space), &small, 0)).unwrap_err();
    assert_eq!(failed.code(), codes::TOO_MANY_ROWS_OR_BYTES);
}

fn numbers(from: u64, rows: u64) -> Block {
    let values: Vec<Value> = (from..from + rows).map(Value::UInt).collect();
    let column = pumphouse_storage::Column::from_values(DataType::UInt64, &values).unwrap();
    Block::new(vec![("n".to_string(), column)])
}

#[test]
fn damage_is_found() {
    let disk = Arc::new(MemoryDisk::default());
    let space = SpillSpace::open(disk.clone()).unwrap();
    let ctx = context(Some(&space), &[], 0);
    let schema = vec![("n".to_string(), DataType::UInt64)];
    let mut writer = SpillWriter::new(&ctx).unwrap();
    writer.append(&numbers(0, 300)).unwrap();
    let frame = writer.append(&numbers(300, 20)).unwrap();
    let file = writer.finish().unwrap();
    assert_eq!(file.read(frame, &schema).unwrap().columns[0].value(7), Value::UInt(307));
    let name = format!("{}/{}", super::FOLDER, disk.list(super::FOLDER).unwrap()[0]);
    let length = disk.open(&name).unwrap().len();
    for at in [length - 1, length - 20, length - frame.bytes as u64] {
        let mut byte = [0];
        disk.open(&name).unwrap().read_at(at, &mut byte).unwrap();
        disk.open_write(&name).unwrap().write_at(at, &[byte[0] ^ 4]).unwrap();
        let damaged = disk.open(&name).unwrap();
        drop(damaged);
        let code = file.read(frame, &schema).map(|_| ()).map_err(|e| e.code());
        // A disk in memory may have given out what was there before.
        if code.is_err() {
            assert_eq!(code, Err(codes::CHECKSUM_DOESNT_MATCH));
        }
        disk.open_write(&name).unwrap().write_at(at, &byte).unwrap();
    }
    drop(file);
    assert!(disk.list(super::FOLDER).unwrap().is_empty());
}

#[test]
fn partitions_hold_all_rows_of_a_key() {
    let space = SpillSpace::open(Arc::new(MemoryDisk::default())).unwrap();
    let ctx = context(Some(&space), &[], 0);
    let schema = vec![("n".to_string(), DataType::UInt64)];
    let types = [DataType::UInt64];
    let mut spilled = SpilledPartitions::new(schema, &types, Purpose::Join, &ctx).unwrap();
    for from in [0, 500, 0, 900] {
        let block = numbers(from, 1000);
        spilled.push(&block, &block.columns, &ctx).unwrap();
    }
    let sealed = spilled.seal(&ctx).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for p in 0..super::SPILL_PARTITIONS {
        for block in sealed.read(p) {
            let block = block.unwrap();
            for row in 0..block.rows() {
                let (place, count) = seen.entry(block.columns[0].value(row)).or_insert((p, 0));
                assert_eq!(*place, p, "a key in two partitions");
                *count += 1;
            }
        }
    }
    assert_eq!(seen.values().map(|(_, count)| count).sum::<i32>(), 4000);
}

#[test]
fn what_an_earlier_process_left_goes_away() {
    let disk = Arc::new(MemoryDisk::default());
    disk.create_dir(super::FOLDER).unwrap();
    drop(disk.create("tmp/7.tmp").unwrap());
    SpillSpace::open(disk.clone()).unwrap();
    assert!(disk.list(super::FOLDER).unwrap().is_empty());
}
