//! Asynchronous inserts on the real binary: many small inserts become few parts, each is answered
//! after its commit, and a bad one fails alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::http;
use crate::harness::server::Server;

const CLIENTS: u64 = 50;
const INSERTS_EACH: u64 = 40;

fn insert(port: u16, settings: &str, sql: &str) -> http::Answer {
    let path = format!("/?async_insert=1&{settings}");
    http::request(port, "POST", &path, &[], sql.as_bytes()).expect("an answer")
}

#[test]
fn many_small_inserts_become_few_parts() {
    let server = Server::start("async_many");
    server.sql(
        "CREATE TABLE t (id UInt64, s String, CONSTRAINT small CHECK id < 1000000) ENGINE = MergeTree ORDER BY id",
    );
    server.sql("CREATE TABLE sums (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("CREATE MATERIALIZED VIEW mv TO sums AS SELECT count() AS n FROM t");
    server.sql("SYSTEM STOP MERGES");
    let failed = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (port, failed) = (server.port, failed.clone());
            std::thread::spawn(move || {
                for i in 0..INSERTS_EACH {
                    let id = client * INSERTS_EACH + i;
                    // Every tenth breaks the constraint, every tenth but one cannot be read.
                    let (row, wanted) = match id % 10 {
                        3 => (format!("({}, 'bad')", 2_000_000 + id), Some("469")),
                        7 => ("('no number', 'bad')".to_string(), Some("")),
                        _ => (format!("({id}, 'v{id}')"), None),
                    };
                    let sql = format!("INSERT INTO t VALUES {row}");
                    let answer = insert(port, "wait_for_async_insert=1", &sql);
                    match wanted {
                        None => assert_eq!(answer.status, 200, "{}", answer.text()),
                        Some(code) => {
                            assert_ne!(answer.status, 200, "{sql}");
                            let given = answer.header("x-clickhouse-exception-code");
                            assert!(code.is_empty() || given == Some(code), "{}", answer.text());
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|c| c.join().expect("a client"));
    let sent = CLIENTS * INSERTS_EACH;
    assert_eq!(failed.load(Ordering::Relaxed), sent / 5);
    let good = (sent - sent / 5) as i64;
    assert_eq!(server.number("SELECT count() FROM t"), good);
    assert_eq!(
        server.number("SELECT uniqExact(id) FROM t WHERE s = concat('v', toString(id))"),
        good
    );
    assert_eq!(server.number("SELECT sum(n) FROM sums"), good);
    let parts = server.number("SELECT count() FROM system.parts WHERE table = 't' AND active");
    assert!(parts < good / 8, "{parts} parts of {good} inserts");
    assert_eq!(server.number("SELECT count() FROM system.asynchronous_inserts"), 0);
    server.sql("SYSTEM FLUSH LOGS asynchronous_insert_log");
    assert_eq!(
        server.number("SELECT count() FROM system.asynchronous_insert_log WHERE status = 'Ok'"),
        good
    );
}

#[test]
fn one_part_of_many_and_flush() {
    let server = Server::start("async_flush");
    server.sql("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id");
    let settings = "wait_for_async_insert=0&async_insert_use_adaptive_busy_timeout=0&async_insert_busy_timeout_max_ms=600000";
    for id in 0..20 {
        let sql = format!("INSERT INTO t FORMAT JSONEachRow {{\"id\":{id}}}");
        assert_eq!(insert(server.port, settings, &sql).status, 200);
    }
    assert_eq!(server.number("SELECT count() FROM t"), 0);
    assert_eq!(
        server
            .sql("SELECT table, format, length(entries.query_id) FROM system.asynchronous_inserts")
            .trim(),
        "t\tJSONEachRow\t20"
    );
    server.sql("SYSTEM FLUSH ASYNC INSERT QUEUE");
    assert_eq!(server.number("SELECT count() FROM t"), 20);
    assert_eq!(server.number("SELECT count() FROM system.parts WHERE table = 't' AND active"), 1);
    // A full batch goes at once.
    let begun = Instant::now();
    for id in 20..22 {
        let settings = format!("{settings}&async_insert_max_query_number=2");
        insert(server.port, &settings, &format!("INSERT INTO t VALUES ({id})"));
    }
    server.until("SELECT count() FROM t", "22", Duration::from_secs(20));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn tokens_and_shutdown() {
    let mut server = Server::start("async_tokens");
    server.sql("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id");
    let clients: Vec<_> = (0..20)
        .map(|id| {
            let port = server.port;
            std::thread::spawn(move || {
                let settings = format!(
                    "wait_for_async_insert=1&async_insert_deduplicate=1&insert_deduplication_token=k{}",
                    id % 5
                );
                insert(port, &settings, &format!("INSERT INTO t VALUES ({})", id % 5)).status
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("a client"), 200);
    }
    assert_eq!(server.sql("SELECT id FROM t ORDER BY id"), "0\n1\n2\n3\n4");
    let settings = "wait_for_async_insert=0&async_insert_use_adaptive_busy_timeout=0&async_insert_busy_timeout_max_ms=600000";
    assert_eq!(insert(server.port, settings, "INSERT INTO t VALUES (100)").status, 200);
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start_in(&server.data_dir);
    assert_eq!(server.number("SELECT max(id) FROM t"), 100);
}
