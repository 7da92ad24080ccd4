//! Tables that are more than rows in parts, where it hurts: projections, Set, Join, the Log family, Buffer
//! and refreshable views through backups, damage, kill -9 and clean stops.

use std::fs;
use std::time::Duration;

use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, free_port, from_environment};

/// A table with both kinds of projections.
const PROJECTED: &str = "CREATE TABLE pr (k UInt64, s String, v Int64, PROJECTION byv (SELECT k, v, s ORDER BY v), PROJECTION sums (SELECT s, count(), sum(v) GROUP BY s)) ENGINE = MergeTree ORDER BY k SETTINGS index_granularity = 512";

/// What the projections answer; the second and third by way of them.
const ASKED: [&str; 3] = [
    "SELECT count(), sum(k), sum(v), sum(cityHash64(k, s, v)) FROM pr",
    "SELECT count(), sum(k), sum(length(s)) FROM pr WHERE v BETWEEN 700 AND 900",
    "SELECT s, count(), sum(v) FROM pr GROUP BY s ORDER BY s",
];

fn answers(server: &Server) -> Vec<String> {
    ASKED.iter().map(|sql| server.sql(sql)).collect()
}

/// The files of `table`'s parts.
fn part_files(server: &Server, table: &str) -> Vec<std::path::PathBuf> {
    let sql =
        format!("SELECT path FROM system.parts WHERE table = '{table}' AND active ORDER BY name");
    server.sql(&sql).lines().map(|path| server.data_dir.join(path)).collect()
}

#[test]
fn backups_hold_every_kind_of_table() {
    let server = Server::start("backup_kinds");
    server.sql(PROJECTED);
    server.sql(
        "INSERT INTO pr SELECT number, toString(number % 9), number * 7 % 1000 FROM numbers(6000)",
    );
    for engine in ["Log", "TinyLog", "StripeLog", "Memory"] {
        let name = engine.to_lowercase();
        server.sql(&format!("CREATE TABLE l{name} (k UInt64, s String) ENGINE = {engine}"));
        server
            .sql(&format!("INSERT INTO l{name} SELECT number, toString(number) FROM numbers(50)"));
    }
    server.sql("CREATE TABLE st (k UInt64) ENGINE = Set");
    server.sql("INSERT INTO st SELECT number * 2 FROM numbers(50)");
    server.sql("CREATE TABLE jn (k UInt64, v String) ENGINE = Join(ANY, LEFT, k)");
    server.sql("INSERT INTO jn SELECT number, concat('v', toString(number)) FROM numbers(50)");
    server.sql("CREATE TABLE bu ENGINE = Buffer(default, llog, 1, 1000, 10000, 1000, 10000, 1000000, 10000000)");
    server.sql("CREATE TABLE target (c UInt64) ENGINE = MergeTree ORDER BY c");
    server.sql(
        "CREATE MATERIALIZED VIEW rv REFRESH EVERY 1 HOUR TO target AS SELECT count() AS c FROM pr",
    );
    server.until("SELECT sum(c) FROM target", "6000", Duration::from_secs(20));
    let expected = answers(&server);
    server.sql("BACKUP DATABASE default TO File('kinds')");
    server.sql("TRUNCATE DATABASE default");
    server.sql("RESTORE ALL FROM File('kinds')");
    assert_eq!(answers(&server), expected);
    let checked = server.sql("CHECK TABLE pr");
    assert!(checked.lines().all(|l| l.split('\t').nth(1).unwrap_or(l) == "1"), "{checked}");
    let plan = server.sql(&format!("EXPLAIN indexes = 1 {}", ASKED[2]));
    assert!(plan.contains("sums"), "{plan}");
    for name in ["llog", "ltinylog", "lstripelog", "lmemory"] {
        assert_eq!(server.sql(&format!("SELECT count(), sum(k) FROM {name}")), "50\t1225");
    }
    assert_eq!(server.sql("SELECT count() FROM numbers(100) WHERE number IN st"), "50");
    assert_eq!(server.sql("SELECT joinGet('jn', 'v', toUInt64(7))"), "v7");
    assert_eq!(server.sql("SELECT sum(c) FROM target"), "6000");
    assert_eq!(server.sql("SELECT count() FROM bu"), "50");
    let kinds = "SELECT engine FROM system.tables WHERE database = 'default' ORDER BY engine";
    assert!(server.sql(kinds).contains("MaterializedView"));
}

#[test]
fn damage_in_projections_is_found_and_never_served() {
    let server = Server::start("damaged_projections");
    server.sql(PROJECTED);
    server.sql("SYSTEM STOP MERGES pr");
    for from in [0, 4000] {
        server.sql(&format!("INSERT INTO pr SELECT number + {from}, toString(number % 9), (number + {from}) * 7 % 1000 FROM numbers(4000)"));
    }
    let expected = answers(&server);
    let files = part_files(&server, "pr");
    assert_eq!(files.len(), 2);
    let (whole, stale) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    let part = server
        .sql("SELECT name FROM system.parts WHERE table = 'pr' AND active ORDER BY name LIMIT 1");
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 3));
    let rounds = from_environment("PUMPHOUSE_DAMAGES", 40);
    let (mut noticed, mut unharmed) = (0, 0);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        // The projections lie behind the part's own columns.
        let at = whole.len() / 3 + random.below(whole.len() as u64 * 2 / 3) as usize;
        match round % 4 {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            _ => {
                let end = (at + 300).min(stale.len()).min(bytes.len());
                if at >= end || bytes[at..end] == stale[at..end] {
                    continue;
                }
                bytes[at..end].copy_from_slice(&stale[at..end]);
            }
        }
        fs::write(&files[0], &bytes).unwrap();
        server.sql("SYSTEM DROP MARK CACHE");
        for (sql, right) in ASKED.iter().zip(&expected) {
            let answer = server.send(sql).unwrap();
            match answer.status {
                200 => {
                    assert_eq!(answer.text().trim_end(), right, "{sql} after damage at {at}");
                    unharmed += 1;
                }
                _ => noticed += 1,
            }
        }
        let checked = server.sql("CHECK TABLE pr");
        assert!(
            checked.lines().any(|l| l.starts_with(&part) && l.contains("\t0\t")),
            "{at}: {checked}"
        );
        fs::write(&files[0], &whole).unwrap();
        server.sql(&format!("SYSTEM RESTORE QUARANTINED PART '{part}' FROM pr"));
        assert_eq!(answers(&server), expected);
    }
    eprintln!("{rounds} damages: all found by CHECK, {noticed} reads refused, {unharmed} right");
}

#[test]
fn buffers_are_written_by_the_clock_and_before_a_clean_stop() {
    let folder = TestFolder::new("buffers");
    let (data_dir, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data_dir, port, &[]);
    server.sql("CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k");
    server.sql("CREATE TABLE soon ENGINE = Buffer(default, t, 16, 0, 1, 1, 1000, 1, 1000000)");
    server.sql("CREATE TABLE late ENGINE = Buffer(default, t, 16, 1000, 10000, 1000, 10000, 1000000, 10000000)");
    server.sql("INSERT INTO soon VALUES (1)");
    assert_eq!(server.sql("SELECT count() FROM soon"), "1");
    server.until("SELECT count() FROM t", "1", Duration::from_secs(20));
    assert_eq!(server.sql("SELECT count() FROM soon"), "1");
    server.sql("INSERT INTO late VALUES (2), (3)");
    assert_eq!(server.sql("SELECT count() FROM t"), "1");
    assert_eq!(
        server.sql("SELECT value > 0 FROM system.metrics WHERE metric = 'StorageBufferRows'"),
        "1"
    );
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start_with(&data_dir, port, &[]);
    assert_eq!(server.sql("SELECT count(), sum(k) FROM t"), "3\t6");
    assert_eq!(server.sql("SELECT count() FROM late"), "3");
}

#[test]
fn caches_give_what_they_hold_and_are_emptied_and_bounded() {
    let server = Server::start_configured(
        "caches",
        &[
            ("PUMPHOUSE_UNCOMPRESSED_CACHE_SIZE", "2000000"),
            ("PUMPHOUSE_QUERY_CACHE_MAX_ENTRIES", "3"),
            ("PUMPHOUSE_MARK_CACHE_SIZE", "20000"),
        ],
    );
    server.sql("CREATE TABLE t (a UInt64, b UInt64) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 512");
    server.sql("SYSTEM STOP MERGES t");
    server.sql("INSERT INTO t SELECT number, number FROM numbers(100)");
    let cached = "SELECT count() FROM t SETTINGS use_query_cache = 1";
    assert_eq!(server.sql(cached), "100");
    for from in 1..30 {
        server.sql(&format!("INSERT INTO t SELECT number + {from}000, number FROM numbers(1000)"));
    }
    assert_eq!(server.sql(cached), "100", "its time is not over");
    assert_eq!(server.sql("SELECT count() FROM t"), "29100");
    assert_eq!(server.sql(&format!("{cached}, enable_reads_from_query_cache = 0")), "29100");
    let shown = "SELECT query, stale, shared, tag FROM system.query_cache";
    assert_eq!(server.sql(shown), "SELECT count() FROM t\t0\t0\t");
    server.sql("SYSTEM DROP QUERY CACHE");
    assert_eq!(server.sql(&format!("{cached}, query_cache_ttl = 1")), "29100");
    server.sql("INSERT INTO t VALUES (1, 1)");
    server.until(cached, "29101", Duration::from_secs(20));
    for n in 0..5 {
        server.sql(&format!("SELECT {n} SETTINGS use_query_cache = 1"));
    }
    assert_eq!(server.number("SELECT count() FROM system.query_cache"), 3);
    let event = |name: &str| {
        server.number(&format!("SELECT sum(value) FROM system.events WHERE event = '{name}'"))
    };
    let metric = |name: &str| {
        server.number(&format!("SELECT sum(value) FROM system.metrics WHERE metric = '{name}'"))
    };
    assert!(event("QueryCacheHits") >= 1 && event("QueryCacheMisses") >= 2);
    let sum = "SELECT sum(a), sum(b) FROM t SETTINGS use_uncompressed_cache = 1";
    let first = server.sql(sum);
    assert_eq!(server.sql(sum), first);
    assert!(event("UncompressedCacheHits") > 0);
    assert!((1..=2_000_000).contains(&metric("UncompressedCacheBytes")));
    server.sql("SYSTEM DROP UNCOMPRESSED CACHE");
    assert_eq!(metric("UncompressedCacheBytes"), 0);
    assert!((1..=40_000).contains(&metric("MarkCacheBytes")), "{}", metric("MarkCacheBytes"));
    server.sql("SYSTEM DROP MARK CACHE");
    assert_eq!(metric("MarkCacheFiles"), 0);
    assert_eq!(server.sql(sum), first);
}

#[test]
fn reads_in_key_order_stop_early_and_are_shown() {
    let server = Server::start("in_order");
    server.sql("CREATE TABLE o (a UInt64, b UInt64, c UInt64) ENGINE = MergeTree ORDER BY (a, b) SETTINGS index_granularity = 256");
    for part in 0..3 {
        server.sql(&format!("INSERT INTO o SELECT intDiv(number, 100), number % 100, number + {part} FROM numbers(100000)"));
    }
    let asked = [
        ("SELECT a, count(), sum(c) FROM o GROUP BY a ORDER BY a LIMIT 3", "InOrder"),
        (
            "SELECT a, b, count() FROM o GROUP BY b, a ORDER BY a DESC, b DESC LIMIT 3",
            "InReverseOrder",
        ),
        ("SELECT DISTINCT a FROM o LIMIT 3", "InOrder"),
        ("SELECT a, b FROM o ORDER BY a, b LIMIT 1 BY a LIMIT 3", "InOrder"),
    ];
    for (i, (sql, read_type)) in asked.iter().enumerate() {
        let plan = server.sql(&format!("EXPLAIN indexes = 1 {sql}"));
        assert!(plan.contains(&format!("Read type: {read_type}")), "{plan}");
        let path = format!("/?query_id=in_order_{i}");
        let answer = crate::harness::http::request(server.port, "POST", &path, &[], sql.as_bytes());
        assert_eq!(answer.unwrap().text().lines().count(), 3, "{sql}");
    }
    server.sql("SYSTEM FLUSH LOGS query_log");
    let most =
        "SELECT max(read_rows) FROM system.query_log WHERE type = 2 AND query_id LIKE 'in_order_%'";
    assert!(server.number(most) < 60_000, "{} rows read", server.number(most));
    let plan = server.sql("EXPLAIN SELECT b, a, count() FROM o GROUP BY b, a SETTINGS optimize_aggregation_in_order = 1");
    assert!(plan.contains("Order: a ASC, b ASC"), "{plan}");
    let used = "SELECT a, count() FROM o GROUP BY a ORDER BY a LIMIT 3 SETTINGS optimize_read_in_order = 0";
    assert_eq!(server.sql(used), "0\t300\n1\t300\n2\t300");
    server.sql("ALTER TABLE o ADD PROJECTION p (SELECT b, count() GROUP BY b)");
    server.sql("ALTER TABLE o MATERIALIZE PROJECTION p SETTINGS mutations_sync = 1");
    let path = "/?query_id=projected";
    let sql = b"SELECT b, count() FROM o GROUP BY b ORDER BY b LIMIT 1";
    crate::harness::http::request(server.port, "POST", path, &[], sql).unwrap();
    server.sql("SYSTEM FLUSH LOGS query_log");
    let named =
        "SELECT projections FROM system.query_log WHERE type = 2 AND query_id = 'projected'";
    assert_eq!(server.sql(named), "['default.o.p']");
}

#[test]
fn dictionaries_read_files_and_are_refused_what_is_outside() {
    let server = Server::start("file_dictionaries");
    server.sql("INSERT INTO FUNCTION file('d.csv', 'CSV', 'k UInt64, v String') SELECT number, concat('v', toString(number)) FROM numbers(5)");
    let create = |name: &str, source: &str| {
        server.sql(&format!("CREATE DICTIONARY {name} (k UInt64, v String DEFAULT 'none') PRIMARY KEY k SOURCE({source}) LAYOUT(HASHED()) LIFETIME(0)"))
    };
    create("f", "FILE(path 'd.csv' format 'CSV')");
    assert_eq!(
        server.sql("SELECT dictGet('f', 'v', toUInt64(3)), dictGet('f', 'v', toUInt64(30))"),
        "v3\tnone"
    );
    assert!(
        server
            .sql("SHOW CREATE DICTIONARY f FORMAT TSVRaw")
            .contains("SOURCE(FILE(PATH 'd.csv' FORMAT 'CSV'))")
    );
    create("missing", "FILE(path 'none.csv' format 'CSV')");
    assert_ne!(server.error("SELECT dictGet('missing', 'v', toUInt64(3))").0, 0);
    create("outside", "FILE(path '/etc/passwd' format 'CSV')");
    assert_eq!(server.error("SELECT dictGet('outside', 'v', toUInt64(3))").0, 291);
    create("far", "HTTP(url 'http://127.0.0.1:1/d.csv' format 'CSV')");
    assert_ne!(server.error("SELECT dictGet('far', 'v', toUInt64(3))").0, 0);
}

#[test]
fn killed_while_other_tables_take_rows() {
    let kills = from_environment("PUMPHOUSE_KILLS", 6);
    let folder = TestFolder::new("killed_others");
    let (data_dir, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data_dir, port, &[]);
    server.sql("CREATE TABLE lg (k UInt64) ENGINE = Log");
    server.sql("CREATE TABLE st (k UInt64) ENGINE = Set");
    server.sql("CREATE TABLE jn (k UInt64, v UInt64) ENGINE = Join(ANY, LEFT, k)");
    server.sql("CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k");
    server.sql("CREATE TABLE bu ENGINE = Buffer(default, t, 1, 1000, 10000, 1, 2, 1, 1000000)");
    server.sql(PROJECTED);
    let (mut random, mut next, mut kept, mut gone) = (Random::new(8), 0_u64, 0, 0);
    for _ in 0..kills {
        let from = next;
        let stop = Duration::from_millis(150 + random.below(500));
        let sent = std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                let mut k = from;
                loop {
                    let (a, b) = (k * 2, k * 2 + 1);
                    for sql in [
                        format!("INSERT INTO lg VALUES ({a}), ({b})"),
                        format!("INSERT INTO st VALUES ({a}), ({b})"),
                        format!("INSERT INTO jn VALUES ({a}, {k}), ({b}, {k})"),
                        format!("INSERT INTO bu VALUES ({a}), ({b})"),
                        format!("INSERT INTO pr VALUES ({a}, 'x', {a}), ({b}, 'y', {b})"),
                    ] {
                        match crate::harness::http::request(port, "POST", "/", &[], sql.as_bytes())
                        {
                            Ok(answer) if answer.status == 200 => {}
                            _ => return k,
                        }
                    }
                    k += 1;
                }
            });
            std::thread::sleep(stop);
            server.kill();
            asking.join().expect("the inserts")
        });
        server = Server::start_with(&data_dir, port, &[]);
        // Everything before `sent` was acknowledged; its own statements are whole or not there.
        for table in ["lg", "jn", "pr"] {
            let least =
                server.number(&format!("SELECT count() FROM {table} WHERE k < {}", sent * 2));
            assert_eq!(least as u64, sent * 2, "{table}");
            let own =
                server.number(&format!("SELECT count() FROM {table} WHERE k >= {}", sent * 2));
            assert!(own == 0 || own == 2, "{table}: {own}");
        }
        let set = format!("SELECT count() FROM numbers({}) WHERE number IN st", sent * 2);
        assert_eq!(server.number(&set) as u64, sent * 2);
        // A Buffer may lose what it held, pairs at a time, and nothing is there twice.
        let pairs = "SELECT count(), uniqExact(k), uniqExact(intDiv(k, 2)) * 2 FROM bu";
        let counts: Vec<u64> =
            server.sql(pairs).split('\t').map(|n| n.parse().expect("a number")).collect();
        assert!(counts[0] == counts[1] && counts[1] == counts[2], "{counts:?}");
        assert_eq!(
            answers(&server)[0].split('\t').next(),
            Some(&*(server.number("SELECT count() FROM pr").to_string()))
        );
        assert!(!server.sql("CHECK TABLE pr").contains("\t0\t"));
        kept = counts[0];
        gone = (sent + 1) * 2 - counts[0].min((sent + 1) * 2);
        next = sent + 1;
        // The cut off statement may have left its rows in some tables: the next ones are new for all.
        for table in ["lg", "jn", "pr"] {
            let there =
                server.number(&format!("SELECT count() FROM {table} WHERE k >= {}", sent * 2));
            if there == 0 {
                let (a, b) = (sent * 2, sent * 2 + 1);
                let rows = match table {
                    "lg" => format!("({a}), ({b})"),
                    "jn" => format!("({a}, {sent}), ({b}, {sent})"),
                    _ => format!("({a}, 'x', {a}), ({b}, 'y', {b})"),
                };
                server.sql(&format!("INSERT INTO {table} VALUES {rows}"));
            }
        }
        server.sql(&format!("INSERT INTO st VALUES ({}), ({})", sent * 2, sent * 2 + 1));
    }
    eprintln!(
        "{kills} kills, {next} rounds: Log, Set, Join and projections lost 0; the Buffer kept {kept} rows and lost {gone}"
    );
}
