//! Prints how fast parts are written, read and merged, on lifelike web events in memory: per second
//! of processor time, without a disk. `cargo run --release -p pumphouse-storage --example part_speed`.
//!
//! `part_speed table TYPES ROWS KEY CODEC` does it for other rows: a file of `name TAB type` lines, a
//! file of RowBinary rows, the sorting key with commas between, and the table's default codec; it also
//! prints the bytes of each column. `part_speed small` counts what a part of 100 rows costs.

use std::sync::Arc;

use pumphouse_storage::block::{Block, Column};
use pumphouse_storage::clock::SystemClock;
use pumphouse_storage::disk::MemoryDisk;
use pumphouse_storage::expression::ColumnNames;
use pumphouse_storage::log::{ColumnDefinition, Commit, Edit, Table, TableDefinition};
use pumphouse_storage::part::PartReader;
use pumphouse_storage::store::{Store, StoreConfig, StoreOptions};
use pumphouse_storage::table::insert::write_block;
use pumphouse_storage::types::{Value, parse_data_type};
use pumphouse_storage::{merge, scan};

#[path = "row_binary/mod.rs"]
mod row_binary;

const ROWS: usize = 65_536;
const BLOCKS: usize = 8;

const COLUMNS: &[(&str, &str)] = &[
    ("event_time", "DateTime64(3)"),
    ("user_id", "UInt64"),
    ("session", "UUID"),
    ("url", "String"),
    ("title", "String"),
    ("referrer", "String"),
    ("country", "LowCardinality(String)"),
    ("device", "Enum8('phone' = 1, 'desktop' = 2, 'tablet' = 3)"),
    ("ip", "UInt32"),
    ("duration_ms", "UInt32"),
    ("value", "Float64"),
    ("tags", "Array(String)"),
    ("error", "Nullable(String)"),
];

/// Processor time of this thread, so that a busy machine does not spoil the figures.
struct Cpu(f64);

impl Cpu {
    fn read() -> f64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call only writes the struct that it is given.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }

    fn now() -> Cpu {
        Cpu(Cpu::read())
    }

    fn seconds(&self) -> f64 {
        Cpu::read() - self.0
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `n`, small ones far more often.
    fn skewed(&mut self, n: u64) -> u64 {
        let x = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((n as f64).powf(x) - 1.0) as u64
    }
}

fn rows(block: usize, random: &mut Random) -> Block {
    let mut values: Vec<Vec<Value>> = COLUMNS.iter().map(|_| vec![]).collect();
    for i in 0..ROWS {
        let time = 1_760_000_000_000 + (block * ROWS + i) as i64 * 3 + (random.next() % 500) as i64;
        let page = random.skewed(20_000);
        let user = random.skewed(300_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut session = user.to_be_bytes().to_vec();
        session.extend_from_slice(&(user ^ 77).to_be_bytes());
        let countries = ["DE", "US", "FR", "GB", "IN", "BR", "JP", "PL", "NL", "ES"];
        let row = [
            Value::Int(time),
            Value::UInt(user),
            Value::String(session),
            Value::string(format!(
                "https://shop.example.com/catalog/{}/item-{}?utm={}&pos={}",
                page % 40,
                page,
                random.skewed(20),
                random.next() % 60
            )),
            Value::string(format!(
                "Item {page} - buy it cheap at the example shop, catalog {}",
                page % 40
            )),
            Value::string(match random.next() % 3 {
                0 => String::new(),
                1 => "https://www.google.com/".into(),
                _ => format!("https://shop.example.com/catalog/{}", random.skewed(40)),
            }),
            Value::string(countries[random.skewed(10) as usize % 10]),
            Value::Int(1 + (random.skewed(3) % 3) as i64),
            Value::UInt(user as u32 as u64),
            Value::UInt(random.skewed(60_000)),
            Value::Float((random.next() % 10_000) as f64 / 100.0),
            Value::Array(
                (0..random.next() % 3).map(|t| Value::string(format!("tag{t}"))).collect(),
            ),
            if random.next().is_multiple_of(50) { Value::string("timeout") } else { Value::Null },
        ];
        values.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    let named = COLUMNS.iter().zip(values).map(|((name, data_type), values)| {
        let data_type = parse_data_type(data_type).expect("a type");
        (name.to_string(), Column::from_values(data_type, &values).expect("values of the type"))
    });
    Block::new(named.collect())
}

fn definition(key: &[&str]) -> TableDefinition {
    definition_of(COLUMNS, key)
}

fn definition_of(columns: &[(&str, &str)], key: &[&str]) -> TableDefinition {
    let key: Vec<String> = key.iter().map(|k| k.to_string()).collect();
    let columns = columns.iter().enumerate().map(|(i, (name, data_type))| ColumnDefinition {
        id: i as u32,
        name: name.to_string(),
        data_type: parse_data_type(data_type).expect("a type"),
        default: None,
        comment: String::new(),
        codec: String::new(),
        ttl: String::new(),
    });
    TableDefinition {
        uuid: uuid::Uuid::from_u128(1),
        database: "default".into(),
        name: "events".into(),
        engine: "MergeTree".into(),
        columns: columns.collect(),
        sorting_key: key.clone(),
        primary_key: key,
        partition_key: vec![],
        settings: Default::default(),
        select: None,
        target: None,
        source: None,
        comment: String::new(),
        create_query: String::new(),
        clauses: Default::default(),
    }
}

fn main() -> pumphouse_storage::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, types, rows, key, codec] = &arguments[..]
        && mode == "table"
    {
        return of_table(types, rows, key, codec);
    }
    let mut random = Random(42);
    let blocks: Vec<Block> = (0..BLOCKS).map(|i| rows(i, &mut random)).collect();
    if std::env::args().nth(1).as_deref() == Some("write") {
        return write_on(&blocks);
    }
    if std::env::args().nth(1).as_deref() == Some("small") {
        return small(&blocks[0]);
    }
    for key in [&["event_time"][..], &["user_id", "event_time"], &["url"]] {
        run(key, &blocks)?;
    }
    Ok(())
}

/// Writes and drops parts for a while, for a profiler.
fn write_on(blocks: &[Block]) -> pumphouse_storage::Result<()> {
    let (store, table) = open(&["event_time"])?;
    let start = Cpu::now();
    for _ in 0..20 {
        for block in blocks {
            write_block(&store, &table, block)?;
        }
    }
    println!("{:.3} s a block", start.seconds() / 20.0 / blocks.len() as f64);
    Ok(())
}

fn open(key: &[&str]) -> pumphouse_storage::Result<(Arc<Store>, Arc<Table>)> {
    open_with(definition(key))
}

fn open_with(definition: TableDefinition) -> pumphouse_storage::Result<(Arc<Store>, Arc<Table>)> {
    let store = Store::open(StoreOptions {
        disk: Arc::new(MemoryDisk::new()),
        clock: Arc::new(SystemClock::default()),
        compiler: Arc::new(ColumnNames),
        config: StoreConfig::default(),
    })?;
    let database = Edit::CreateDatabase {
        name: "default".into(),
        engine: "Atomic".into(),
        comment: "".into(),
    };
    let create = Edit::CreateTable { definition: Arc::new(definition) };
    store.commit(Commit { preconditions: vec![], edits: vec![database, create] }, vec![])?;
    let table = store.snapshot().table("default", "events").cloned().expect("the table");
    Ok((store, table))
}

fn run(key: &[&str], blocks: &[Block]) -> pumphouse_storage::Result<()> {
    let (store, _) = open(key)?;
    let table = || store.snapshot().table("default", "events").cloned().expect("the table");
    // One run that is not counted.
    drop(write_block(&store, &table(), &blocks[0])?);
    let start = Cpu::now();
    let mut parts = vec![];
    for block in blocks {
        parts.extend(write_block(&store, &table(), block)?);
    }
    let seconds = start.seconds();
    let raw: u64 = parts.iter().map(|p| p.meta.bytes_uncompressed).sum();
    let stored: u64 = parts.iter().map(|p| p.meta.bytes).sum();
    let rows = (ROWS * blocks.len()) as f64;
    println!("ORDER BY {}", key.join(", "));
    println!(
        "  write {:.0} MB/s raw, {:.2} M rows/s; {:.1} MB as {:.1} MB",
        raw as f64 / seconds / 1e6,
        rows / seconds / 1e6,
        raw as f64 / 1e6,
        stored as f64 / 1e6
    );
    store.commit(Commit::default(), parts)?;
    read(&store, raw)?;
    let start = Cpu::now();
    merge::optimize(&store, "default", "events", true)?;
    let seconds = start.seconds();
    println!(
        "  merge of {} parts {:.0} MB/s raw, {:.2} M rows/s, to {:.1} MB",
        blocks.len(),
        raw as f64 / seconds / 1e6,
        rows / seconds / 1e6,
        table().parts[0].bytes as f64 / 1e6
    );
    columns(&store, &table().parts[0].path())
}

/// What a part of 100 rows costs in time and bytes.
fn small(block: &Block) -> pumphouse_storage::Result<()> {
    let (store, table) = open(&["event_time"])?;
    let few = block.slice(0, 100);
    let start = Cpu::now();
    let mut bytes = 0;
    for _ in 0..2000 {
        bytes = write_block(&store, &table, &few)?[0].meta.bytes;
    }
    println!("write: {:.0} us a part of {bytes} bytes", start.seconds() / 2000.0 * 1e6);
    let part = write_block(&store, &table, &few)?.remove(0).keep();
    let start = Cpu::now();
    for _ in 0..2000 {
        PartReader::open(store.disk(), &part.path())?;
    }
    println!("open: {:.0} us", start.seconds() / 2000.0 * 1e6);
    let reader = PartReader::open(store.disk(), &part.path())?;
    let start = Cpu::now();
    for _ in 0..2000 {
        for i in 0..COLUMNS.len() {
            reader.read_column(i, &[0])?;
        }
    }
    println!("read: {:.0} us", start.seconds() / 2000.0 * 1e6);
    Ok(())
}

/// Rows of a RowBinary file through insert, read and merge.
fn of_table(types: &str, rows: &str, key: &str, codec: &str) -> pumphouse_storage::Result<()> {
    let types = std::fs::read_to_string(types).expect("the file of types");
    let described: Vec<(&str, &str)> = types.lines().filter_map(|l| l.split_once('\t')).collect();
    let blocks =
        row_binary::blocks(&described, &std::fs::read(rows).expect("the file of rows"), ROWS);
    let key: Vec<&str> = key.split(',').collect();
    let mut definition = definition_of(&described, &key);
    definition.settings.insert("default_compression_codec".into(), codec.into());
    let (store, table) = open_with(definition)?;
    drop(write_block(&store, &table, &blocks[0])?);
    let start = Cpu::now();
    let mut parts = vec![];
    for block in &blocks {
        parts.extend(write_block(&store, &table, block)?);
    }
    let seconds = start.seconds();
    let count: usize = blocks.iter().map(Block::rows).sum();
    let raw: u64 = parts.iter().map(|p| p.meta.bytes_uncompressed).sum();
    println!(
        "insert {:.2} s, {:.0} rows/s, {:.0} MB/s",
        seconds,
        count as f64 / seconds,
        raw as f64 / seconds / 1e6
    );
    store.commit(Commit::default(), parts)?;
    let start = Cpu::now();
    merge::optimize(&store, "default", "events", true)?;
    println!("merge {:.0} rows/s", count as f64 / start.seconds());
    let table = store.snapshot().table("default", "events").cloned().expect("the table");
    println!("{} bytes in one part", table.parts[0].bytes);
    columns(&store, &table.parts[0].path())
}

fn read(store: &Arc<Store>, raw: u64) -> pumphouse_storage::Result<()> {
    let state = store.snapshot();
    let table = state.table("default", "events").expect("the table").clone();
    let names: Vec<String> = COLUMNS.iter().map(|(n, _)| n.to_string()).collect();
    let scan = scan::open(store, state, &table, &names, &[])?;
    let start = Cpu::now();
    for i in 0..scan.morsel_count() {
        scan.read(i, &names, None)?;
    }
    let seconds = start.seconds();
    println!("  read all columns {:.0} MB/s raw", raw as f64 / seconds / 1e6);
    Ok(())
}

fn columns(store: &Arc<Store>, path: &str) -> pumphouse_storage::Result<()> {
    let reader = PartReader::open(store.disk(), path)?;
    let granules: Vec<usize> = (0..reader.granules()).collect();
    for (i, (_, name, _, stored, raw)) in reader.columns().enumerate() {
        let start = Cpu::now();
        for chunk in granules.chunks(8) {
            reader.read_column(i, chunk)?;
        }
        let seconds = start.seconds();
        println!(
            "    {name:20} {raw:10} as {stored:9}, read at {:.2} GB/s",
            raw as f64 / seconds / 1e9
        );
    }
    Ok(())
}
