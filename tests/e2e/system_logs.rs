//! System logs: they are tables, survive restarts, take turns with older versions of themselves, and rest
//! when nothing happens.

use std::time::Duration;

use crate::harness::http::request;
use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port};

#[test]
fn logs_survive_a_restart_and_another_version() {
    let folder = TestFolder::new("system_logs");
    let data_dir = folder.0.join("data");
    let mut server = Server::start_in(&data_dir);
    server.sql("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    server.sql("INSERT INTO t SETTINGS log_comment = 'first' VALUES (1), (2)");
    server.sql("SELECT 'not logged' SETTINGS log_queries = 0");
    assert_eq!(server.error("SELECT * FROM nothing").0, 60);
    assert_eq!(server.terminate(), Some(0));

    let server = Server::start_in(&data_dir);
    let ends = "SELECT type, written_rows, tables FROM system.query_log \
                WHERE log_comment = 'first' ORDER BY type";
    assert_eq!(server.sql(ends), "QueryStart\t0\t['default.t']\nQueryFinish\t2\t['default.t']");
    assert_eq!(
        server.number("SELECT count() FROM system.query_log WHERE query LIKE '%not logged%'"),
        0
    );
    let parts = "SELECT event_type, rows FROM system.part_log WHERE table = 't'";
    assert_eq!(server.sql(parts), "NewPart\t2");
    let errors = "SELECT error, value FROM system.error_log WHERE code = 60";
    assert_eq!(server.sql(errors), "UNKNOWN_TABLE\t1");

    server.sql("ALTER TABLE system.query_log ADD COLUMN of_another_version UInt8");
    server.sql("SELECT 'second'");
    server.sql("SYSTEM FLUSH LOGS query_log");
    let of = |table: &str, text: &str| {
        let query = format!("SELECT '{text}'");
        server.number(&format!(
            "SELECT count() FROM system.{table} WHERE query = '{}' AND type = 'QueryFinish'",
            query.replace('\'', "\\'")
        ))
    };
    assert_eq!((of("query_log", "second"), of("query_log_0", "second")), (1, 0));
}

#[test]
fn an_idle_server_rests() {
    let folder = TestFolder::new("idle_logs");
    let quick = [("PUMPHOUSE_SYSTEM_LOGS_FLUSH_INTERVAL_MS", "100")];
    let server = Server::start_with(&folder.0.join("data"), free_port(), &quick);
    server.sql("SYSTEM FLUSH LOGS");
    // Metrics are left out: samples are written by the clock.
    let commits = || {
        server.number(
            "SELECT count() FROM system.parts WHERE database = 'system' AND table = 'part_log'",
        )
    };
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(commits(), 0);
}

#[test]
fn a_query_is_a_span_of_its_clients_trace() {
    let server = Server::start("spans");
    let sent = |parent: &str, sql: &str| {
        let headers = [("traceparent", parent), ("tracestate", "v=1")];
        request(server.port, "POST", "/", &headers, sql.as_bytes()).unwrap().status
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(sent(&format!("00-{trace}-b7ad6b7169203331-01"), "SELECT 1"), 200);
    assert_eq!(sent(&format!("00-{trace}-b7ad6b7169203331-00"), "SELECT 2"), 200);
    assert_eq!(sent("nonsense", "SELECT 3"), 200);
    assert_eq!(sent(&format!("00-{trace}-b7ad6b7169203331-01"), "SELECT nothing"), 404);
    server.sql("SELECT 4 SETTINGS opentelemetry_start_trace_probability = 1");
    server.sql("SYSTEM FLUSH LOGS");
    let statements = "SELECT groupArray((attribute['db.statement'], attribute['clickhouse.query_status'])) FROM \
                      (SELECT * FROM system.opentelemetry_span_log WHERE operation_name = 'query' \
                      AND trace_id = '0af76519-16cd-43dd-8448-eb211c80319c' ORDER BY start_time_us)";
    assert_eq!(
        server.sql(statements),
        "[('SELECT 1','QueryFinish'),('SELECT nothing','ExceptionWhileProcessing')]"
    );
    let joined = "SELECT count(), uniqExact(h.trace_id), countIf(h.parent_span_id = 13235353014750950193) \
                  FROM system.opentelemetry_span_log AS q JOIN system.opentelemetry_span_log AS h \
                  ON q.parent_span_id = h.span_id AND q.trace_id = h.trace_id \
                  WHERE q.operation_name = 'query' AND h.operation_name = 'HTTPHandler'";
    assert_eq!(server.sql(joined), "3\t2\t2");
}
