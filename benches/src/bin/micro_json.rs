//! JSONEachRow parsing speed on one thread, per message as Kafka delivers them and as one stream:
//! prints MB/s (10^6 bytes) by the processor time of all rounds (where Linux tells it, so that a busy
//! machine does not matter) and by the clock of the best round. A row is about 290 bytes of 10 fields.
//!
//! Run with `cargo run --release -p pumphouse-benches --bin micro_json`.

use std::time::Instant;

use pumphouse_ingest::format::{FormatOptions, InputColumn, reader};
use pumphouse_query::context::Settings;
use pumphouse_storage::types::{TimeZone, parse_data_type};

const ROWS: usize = 100_000;
const ROUNDS: usize = 9;

const COLUMNS: [(&str, &str); 10] = [
    ("event_time", "DateTime"),
    ("user_id", "UInt64"),
    ("session_id", "String"),
    ("event_type", "LowCardinality(String)"),
    ("url", "String"),
    ("referrer", "String"),
    ("duration_ms", "UInt32"),
    ("amount", "Float64"),
    ("country", "LowCardinality(String)"),
    ("is_mobile", "Bool"),
];

/// Rows with values spread by a multiplicative generator, so that lengths differ.
fn messages(spaced: bool) -> Vec<Vec<u8>> {
    let mut seed = 88172645463325252u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let kinds = ["page_view", "click", "add_to_cart", "purchase", "search"];
    let countries = ["DE", "US", "FR", "IN", "BR", "JP"];
    (0..ROWS)
        .map(|i| {
            let text = format!(
                "{{\"event_time\":\"2025-11-{:02} {:02}:{:02}:{:02}\",\"user_id\":{},\
                 \"session_id\":\"{:016x}\",\"event_type\":\"{}\",\
                 \"url\":\"https://shop.example.com/catalog/item-{}?ref={}\",\
                 \"referrer\":\"https://www.search.example/q={:x}\",\"duration_ms\":{},\
                 \"amount\":{}.{:02},\"country\":\"{}\",\"is_mobile\":{}}}",
                i / 4000 % 28 + 1,
                i / 200 % 24,
                i / 10 % 60,
                i % 60,
                next() % 10_000_000_000,
                next(),
                kinds[next() as usize % 5],
                next() % 1_000_000,
                next() % 100_000,
                next() % 1_000_000_000,
                next() % 100_000,
                next() % 1000,
                next() % 100,
                countries[next() as usize % 6],
                next() % 2 == 0
            );
            let text =
                if spaced { text.replace("\":", "\": ").replace(",\"", ", \"") } else { text };
            text.into_bytes()
        })
        .collect()
}

/// Nanoseconds that this thread has run.
fn processor_time() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn main() {
    let columns: Vec<InputColumn> = COLUMNS
        .iter()
        .map(|(name, data_type)| InputColumn {
            name: name.to_string(),
            data_type: parse_data_type(data_type).expect("a known type"),
        })
        .collect();
    let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
    for (name, spaced) in [("compact", false), ("spaced", true)] {
        let messages = messages(spaced);
        let bytes: usize = messages.iter().map(Vec::len).sum();
        let stream = messages.join(&b'\n');
        println!("{name}: {ROWS} rows of {} bytes", bytes / ROWS);
        for kind in ["messages", "stream"] {
            let mut reader = reader("JSONEachRow", &columns, &options).expect("a known format");
            let mut best = f64::INFINITY;
            let before = processor_time();
            for _ in 0..ROUNDS {
                let start = Instant::now();
                match kind {
                    "messages" => {
                        for m in &messages {
                            reader.read_message(m).expect("valid JSON");
                        }
                    }
                    _ => {
                        reader.read_stream(&stream, true, usize::MAX).expect("valid JSON");
                    }
                }
                let rows = reader.take().expect("columns of one length");
                best = best.min(start.elapsed().as_secs_f64());
                assert_eq!(rows.rows, ROWS);
            }
            let wall = bytes as f64 / best / 1e6;
            let used = before.zip(processor_time()).map(|(from, to)| (to - from).max(1) as f64);
            let used = used.unwrap_or(best * 1e9 * ROUNDS as f64);
            println!(
                "  {kind:9} {:7.0} MB/s of processor time, {:5.0} ns/row; best round {wall:7.0} MB/s",
                bytes as f64 * ROUNDS as f64 / used * 1e3,
                used / (ROWS * ROUNDS) as f64,
            );
        }
    }
}
