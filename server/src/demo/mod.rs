//! `pumphouse demo`: an embedded broker, a producer of lifelike web events, the owner's pipeline and
//! one with an aggregating view, the server, and a live page. Everything lives in a temporary folder
//! and is gone at the end.

mod events;
mod producer;

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pumphouse_ingest::kafka::embedded::EmbeddedBroker;

use self::producer::Producer;
use crate::client::{ClientOptions, Connection};
use crate::config::Config;
use crate::http::HttpServer;
use crate::run::{start_logging, stop_in_order, stop_signal};
use crate::server::Server;

/// Flags of `pumphouse demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// End by itself after this long, with a summary.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Port of the page and of SQL; the next free one if it is taken.
    #[arg(long, default_value_t = 8123)]
    pub http_port: u16,
    /// Web events per second.
    #[arg(long, default_value_t = 20_000)]
    pub rate: u64,
}

const PARTITIONS: i32 = 4;
/// How many ports are tried.
const PORTS_TRIED: u16 = 20;

/// Runs until the time is up, Ctrl-C or SIGTERM.
pub fn run(options: &DemoOptions) -> ExitCode {
    start_logging("error");
    match demo(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("pumphouse demo: {message}");
            ExitCode::FAILURE
        }
    }
}

fn demo(options: &DemoOptions) -> Result<(), String> {
    let stop = stop_signal().map_err(|e| e.to_string())?;
    let began = Instant::now();
    let folder = TemporaryFolder::new()?;
    step("starting an embedded Kafka broker");
    let broker = EmbeddedBroker::start(&[("my_topic", PARTITIONS), ("web_events", PARTITIONS)])
        .map_err(|e| e.to_string())?;
    step("opening the store and listening");
    let config = Config {
        data_dir: folder.0.clone(),
        http_port: options.http_port,
        keep_free_space_bytes: 64 << 20,
        ..Config::default()
    };
    let server = Server::start(config).map_err(|e| e.to_string())?;
    let (http, moved) = listen(&server, options.http_port)?;
    let mut sql = Sql::new(http.address);
    step("creating the pipelines");
    for statement in pipelines(broker.bootstrap_servers()) {
        sql.run(&statement)?;
    }
    let producer = Producer::start(broker.bootstrap_servers(), options.rate)?;
    step("waiting for the first rows");
    let first = wait_for_rows(&mut sql, &stop, began)?;
    done_steps();
    greet(http.address, moved, first);
    let outcome = watch(options, &mut sql, &stop);
    let sent = producer.stop();
    let summary = outcome.and_then(|()| summarize(&mut sql, sent));
    stop_in_order(&server, http);
    drop(broker);
    summary
}

/// The owner's pipeline, and one of web events with a raw table and an aggregating view. The latter
/// needs no group: the embedded broker's groups take long to settle on a busy machine.
fn pipelines(brokers: &str) -> Vec<String> {
    vec![
        "CREATE DATABASE test".into(),
        format!(
            "CREATE TABLE test.kafka (key UInt64, value UInt64)\n    ENGINE = Kafka\n    SETTINGS kafka_broker_list = '{brokers}',\n    kafka_topic_list = 'my_topic',\n    kafka_group_name = 'my_conumber_group_name',\n    kafka_format = 'JSONEachRow',\n    kafka_max_block_size = 1048576"
        ),
        "CREATE TABLE test.view (key UInt64, value UInt64)\n    ENGINE = MergeTree()\n    ORDER BY key".into(),
        "CREATE MATERIALIZED VIEW test.consumer TO test.view AS\nSELECT * FROM test.kafka".into(),
        "CREATE DATABASE demo".into(),
        format!(
            "CREATE TABLE demo.events_queue (ts DateTime64(3), user_id UInt64, page String, country LowCardinality(String), device LowCardinality(String), duration_ms UInt32, status UInt16) \
             ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', kafka_topic_list = 'web_events', \
             kafka_group_name = 'demo', kafka_format = 'JSONEachRow', kafka_num_consumers = 2, kafka_thread_per_consumer = 1, \
             kafka_assignment = 'static'"
        ),
        "CREATE TABLE demo.events (ts DateTime64(3), user_id UInt64, page LowCardinality(String), country LowCardinality(String), device LowCardinality(String), duration_ms UInt32, status UInt16) \
         ENGINE = MergeTree PARTITION BY toYYYYMMDD(ts) ORDER BY (page, ts)"
            .into(),
        "CREATE TABLE demo.pages_per_minute (minute DateTime, page LowCardinality(String), hits UInt64, errors UInt64, duration_ms UInt64) \
         ENGINE = MergeTree ORDER BY (minute, page)"
            .into(),
        "CREATE MATERIALIZED VIEW demo.pages_mv TO demo.pages_per_minute AS \
         SELECT toStartOfMinute(ts) AS minute, page, count() AS hits, countIf(status >= 500) AS errors, sum(duration_ms) AS duration_ms \
         FROM demo.events_queue GROUP BY minute, page"
            .into(),
        "CREATE MATERIALIZED VIEW demo.events_mv TO demo.events AS SELECT * FROM demo.events_queue"
            .into(),
    ]
}

/// Listens on `port` or one of those behind it; true if it is another.
fn listen(server: &Arc<Server>, port: u16) -> Result<(HttpServer, bool), String> {
    let mut last = String::new();
    for candidate in port..=port.saturating_add(PORTS_TRIED) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), candidate);
        match HttpServer::start(server.clone(), address) {
            Ok(http) => return Ok((http, candidate != port)),
            Err(e) => last = format!("cannot listen on {address}: {e}"),
        }
    }
    Err(last)
}

fn wait_for_rows(sql: &mut Sql, stop: &AtomicBool, began: Instant) -> Result<Duration, String> {
    while !stop.load(Ordering::Relaxed) {
        let rows = sql.number("SELECT count() FROM demo.events")?;
        if rows > 0 {
            return Ok(began.elapsed());
        }
        if began.elapsed() > Duration::from_secs(60) {
            let why = sql.text(
                "SELECT table, state, paused_reason, last_error FROM system.kafka_consumers",
            )?;
            return Err(format!("no rows after a minute; the consumers say:\n{why}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(began.elapsed())
}

fn greet(address: SocketAddr, moved: bool, first: Duration) {
    if moved {
        println!("(the port asked for is taken, so it is another)\n");
    }
    println!(
        "First rows after {:.1} s. Messages are flowing from Kafka into tables.\n",
        first.as_secs_f64()
    );
    println!("  Look at it      http://{address}/demo");
    println!("  Ask it          http://{address}/play");
    println!("  Or type         pumphouse client --port {}", address.port());
    println!("                  curl 'http://{address}/?query=SELECT+count()+FROM+demo.events'\n");
    println!("Things to try:");
    println!("  SELECT count(), uniqExact(key), sum(value) FROM test.view");
    println!(
        "  SELECT page, count() AS hits, quantile(0.95)(duration_ms) AS p95 FROM demo.events GROUP BY page ORDER BY hits DESC LIMIT 10"
    );
    println!("  SELECT table, lag, num_rows_read, state FROM system.kafka_consumers\n");
}

/// One line a second until the time is up or a signal comes.
fn watch(options: &DemoOptions, sql: &mut Sql, stop: &AtomicBool) -> Result<(), String> {
    let began = Instant::now();
    let terminal = std::io::stdout().is_terminal();
    if options.seconds.is_none() {
        println!("Ctrl-C ends it.");
    }
    let mut before = (Instant::now(), sql.number("SELECT count() FROM demo.events")?);
    while !stop.load(Ordering::Relaxed) {
        if options.seconds.is_some_and(|s| began.elapsed() >= Duration::from_secs(s)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(if terminal { 1000 } else { 200 }));
        if !terminal {
            continue;
        }
        let rows = sql.number("SELECT count() FROM demo.events")?;
        let lag =
            sql.number("SELECT sum(lag) FROM system.kafka_consumers WHERE database = 'demo'")?;
        let parts = sql.number("SELECT count() FROM system.parts WHERE database = 'demo'")?;
        let rate = (rows - before.1) as f64 / before.0.elapsed().as_secs_f64();
        before = (Instant::now(), rows);
        print!("\r\x1b[2K  {rows} rows · {rate:.0} rows/s · {lag} behind · {parts} parts ");
        let _ = std::io::stdout().flush();
    }
    if terminal {
        println!();
    }
    Ok(())
}

/// Waits for the last messages and says what came of all that were sent.
fn summarize(sql: &mut Sql, sent: producer::Sent) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let both = "SELECT (SELECT count() FROM demo.events) + (SELECT count() FROM test.view)";
    while sql.number(both)? < (sent.events + sent.pairs) as i64 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let events = sql.number("SELECT count() FROM demo.events")?;
    let hits = sql.number("SELECT sum(hits) FROM demo.pages_per_minute")?;
    let pairs = sql.text("SELECT count(), uniqExact(key), sum(value) FROM test.view")?;
    println!("\nSummary");
    println!(
        "  web events sent {}, in the table {events}, counted by the aggregating view {hits}",
        sent.events
    );
    println!(
        "  key/value pairs sent {} (sum {}); count, uniqExact(key), sum(value): {}",
        sent.pairs,
        sent.sum,
        pairs.trim().replace('\t', ", ")
    );
    println!("  top pages:");
    let top = sql.text("SELECT page, sum(hits) AS n FROM demo.pages_per_minute GROUP BY page ORDER BY n DESC LIMIT 5")?;
    for line in top.lines() {
        let (page, hits) = line.split_once('\t').unwrap_or((line, ""));
        println!("    {page:<24}{hits:>12}");
    }
    let expected = format!("{}\t{}\t{}", sent.pairs, sent.pairs, sent.sum);
    let exact = events == sent.events as i64 && hits == events && pairs.trim() == expected;
    println!("  every message exactly once: {}", if exact { "yes" } else { "NO" });
    if exact { Ok(()) } else { Err("messages are missing or doubled".into()) }
}

fn step(what: &str) {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[2K… {what}");
        let _ = std::io::stdout().flush();
    } else {
        println!("… {what}");
    }
}

fn done_steps() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[2K");
    }
}

/// SQL to the demo's own server, as any client would send it.
struct Sql(Connection);

impl Sql {
    fn new(address: SocketAddr) -> Sql {
        Sql(Connection::new(&ClientOptions::plain(&address.ip().to_string(), address.port())))
    }

    fn text(&mut self, statement: &str) -> Result<String, String> {
        let mut answer = Vec::new();
        self.0
            .send(statement, &mut |bytes| {
                answer.extend_from_slice(bytes);
                Ok(())
            })
            .map_err(|e| format!("{e}\n(statement: {statement})"))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn run(&mut self, statement: &str) -> Result<(), String> {
        self.text(statement).map(|_| ())
    }

    fn number(&mut self, statement: &str) -> Result<i64, String> {
        let text = self.text(statement)?;
        text.trim().parse().map_err(|_| format!("`{statement}` gave `{}`", text.trim()))
    }
}

/// A folder that is removed with everything in it.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<TemporaryFolder, String> {
        let path = std::env::temp_dir().join(format!("pumphouse-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        Ok(TemporaryFolder(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {e}", self.0.display());
        }
    }
}
