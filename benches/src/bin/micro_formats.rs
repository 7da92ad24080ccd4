//! Reading and writing the web-analytics table of `benches/hits` on one thread in each format, without a
//! server: MB/s (10^6 bytes) by the processor time of all rounds outside of the kernel.
//!
//! Run with `cargo run --release -p pumphouse-benches --bin micro_formats [format ...]`; with `PARSE_FILE` set,
//! that file is read instead of generated rows.

use pumphouse_benches::hits::{COLUMNS, Row, Shape, write_line};
use pumphouse_ingest::format::{FormatOptions, InputColumn, reader, writer};
use pumphouse_query::context::Settings;
use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, DataType};

const ROWS: u64 = 60_000;
const ROUNDS: usize = 10;
const CHUNK_BYTES: usize = 1 << 20;

/// Nanoseconds that this process has run outside of the kernel, in steps of ten milliseconds: fresh memory,
/// which the server keeps for reuse, does not count.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(11).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 10_000_000
}

/// Parses `bytes` as a server does, piece by piece; the rows as one block.
fn parse(name: &str, columns: &[InputColumn], options: &FormatOptions, bytes: &[u8]) -> Block {
    let mut reader = reader(name, columns, options).expect("a known format");
    let (mut at, mut chunk) = (0, CHUNK_BYTES);
    loop {
        let end = bytes.len().min(at + chunk);
        let last = end == bytes.len();
        let used =
            reader.read_stream(&bytes[at..end], last, usize::MAX).expect("rows of the table");
        at += used;
        if last {
            break;
        }
        // A piece that holds no whole row, or block, is given again with more behind it.
        chunk = if used == 0 { chunk * 2 } else { CHUNK_BYTES };
    }
    let rows = reader.take().expect("columns of one length");
    Block::new(columns.iter().map(|c| c.name.clone()).zip(rows.columns).collect())
}

fn print(name: &str, what: &str, bytes: usize, rows: usize, nanoseconds: u64) {
    let per_round = nanoseconds as f64 / ROUNDS as f64;
    println!(
        "{name:14} {what:6} {:6.0} MB/s {:6.0} ns/row",
        bytes as f64 / per_round * 1e3,
        per_round / rows as f64
    );
}

fn main() {
    let columns: Vec<InputColumn> = COLUMNS
        .iter()
        .map(|c| InputColumn {
            name: c.name.to_string(),
            data_type: parse_data_type(c.data_type).expect("a known type"),
        })
        .collect();
    let schema: Vec<(String, DataType)> =
        columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
    let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
    let mut lines = vec![];
    match std::env::var("PARSE_FILE") {
        Ok(path) => lines = std::fs::read(path).expect("a readable file"),
        Err(_) => {
            let (shape, mut row) = (Shape::main(ROWS, 1), Row::default());
            (0..ROWS).for_each(|i| write_line(&shape, i, &mut row, &mut lines));
        }
    }
    let block = parse("TabSeparated", &columns, &options, &lines);
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names =
            ["TabSeparated", "CSV", "JSONEachRow", "RowBinary", "Native"].map(String::from).into();
    }
    for name in &names {
        let mut bytes = vec![];
        let before = processor_time();
        for _ in 0..ROUNDS {
            bytes.clear();
            let mut writer = writer(name, &options).expect("a known format");
            writer.prefix(&schema, &mut bytes).expect("a prefix");
            for from in (0..block.rows()).step_by(8192) {
                let piece = block.slice(from, 8192.min(block.rows() - from));
                writer.block(&piece, &mut bytes).expect("a block");
            }
        }
        print(name, "write", bytes.len(), block.rows(), processor_time() - before);
        let before = processor_time();
        for _ in 0..ROUNDS {
            let again = parse(name, &columns, &options, &bytes);
            assert_eq!(again.rows(), block.rows());
        }
        print(name, "read", bytes.len(), block.rows(), processor_time() - before);
    }
}
