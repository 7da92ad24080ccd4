//! System logs: they are tables, survive restarts, take turns with older versions of themselves, and rest
//! when nothing happens.

use std::time::Duration;

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
