//! Prints how fast parts are written, read and merged, on lifelike web events in memory: per second
//! of processor time, without a disk. `cargo run --release -p pumphouse-storage --example part_speed`.

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
    let key: Vec<String> = key.iter().map(|k| k.to_string()).collect();
    let columns = COLUMNS.iter().enumerate().map(|(i, (name, data_type))| ColumnDefinition {
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
    let mut random = Random(42);
    let blocks: Vec<Block> = (0..BLOCKS).map(|i| rows(i, &mut random)).collect();
    if std::env::args().nth(1).as_deref() == Some("write") {
        return write_on(&blocks);
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
    let create = Edit::CreateTable { definition: Arc::new(definition(key)) };
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
            "    {name:12} {:7.2} MB as {:6.2} MB, read at {:.2} GB/s",
            raw as f64 / 1e6,
            stored as f64 / 1e6,
            raw as f64 / seconds / 1e9
        );
    }
    Ok(())
}
