//! Health on a real data directory: damage to every kind of file, CHECK TABLE, backups and restores,
//! `/health` and `/metrics`, KILL QUERY.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::http::request;
use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, from_environment};

/// What the table must hold, or nothing.
const SUM: &str = "SELECT count(), sum(k), sum(length(s)), sum(cityHash64(k, s)) FROM t";

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_of(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Does something bad to a file; says what.
fn damage(file: &Path, stale: &Path, random: &mut Random) -> &'static str {
    let mut bytes = fs::read(file).unwrap();
    // The log's space is zeroed ahead; damage is to go where something is.
    let used = bytes.iter().rposition(|b| *b != 0).map_or(1, |at| at + 1) as u64;
    match random.below(5) {
        0 => {
            let bit = random.below(used * 8);
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
            fs::write(file, bytes).unwrap();
            "a flipped bit"
        }
        1 => {
            fs::write(file, &bytes[..random.below(used) as usize]).unwrap();
            "cut off"
        }
        2 => {
            fs::remove_file(file).unwrap();
            "missing"
        }
        3 => {
            let from = random.below(used) as usize;
            let end = (from + 512).min(bytes.len());
            bytes[from..end].fill(0);
            fs::write(file, bytes).unwrap();
            "zeroed"
        }
        _ => {
            // What stood there a while ago; where nothing did, another file's bytes.
            let other = if stale.exists() { stale.to_path_buf() } else { file.to_path_buf() };
            fs::copy(other, file).or_else(|_| fs::copy(file, file)).unwrap();
            "stale"
        }
    }
}

#[test]
fn damage_to_any_file_is_detected_or_harmless() {
    let folder = TestFolder::new("damage");
    let sound = folder.0.join("sound");
    let early = folder.0.join("early");
    let server = Server::start_in(&sound);
    server.sql("CREATE TABLE t (k UInt64, s String) ENGINE = MergeTree ORDER BY k");
    server.sql("INSERT INTO t SELECT number, toString(number) FROM numbers(5000)");
    let mut server = server;
    assert_eq!(server.terminate(), Some(0));
    copy_folder(&sound, &early);
    let server = Server::start_in(&sound);
    server.sql("INSERT INTO t SELECT number + 5000, toString(number) FROM numbers(20000)");
    server.sql("INSERT INTO t VALUES (100000, 'last')");
    let before = server.sql(SUM);
    let mut server = server;
    assert_eq!(server.terminate(), Some(0));
    let files = files_of(&sound);
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 11));
    let rounds = from_environment("PUMPHOUSE_DAMAGES", 24);
    let (mut harmless, mut refused, mut failed) = (0, 0, 0);
    for round in 0..rounds {
        let data_dir = folder.0.join(format!("damaged-{round}"));
        copy_folder(&sound, &data_dir);
        let file = &files[round as usize % files.len()];
        let name = file.strip_prefix(&sound).unwrap();
        let what = damage(&data_dir.join(name), &early.join(name), &mut random);
        let mut server = Server::spawn(&data_dir, crate::harness::free_port(), &[]);
        let started = Instant::now();
        let up = loop {
            if server.send("SELECT 1").is_ok() {
                break true;
            }
            let ended = server.log_text().contains("cannot open the data directory");
            if ended || started.elapsed() > Duration::from_secs(20) {
                break false;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if !up {
            let log = server.log_text();
            assert!(log.contains("cannot open the data directory"), "{name:?} {what}: {log}");
            refused += 1;
            continue;
        }
        let answer = server.send(SUM).unwrap();
        if answer.status == 200 {
            assert_eq!(answer.text().trim_end(), before, "a wrong result: {name:?} {what}");
            harmless += 1;
        } else {
            let text = answer.text();
            assert!(text.contains("Code: 246"), "{name:?} {what}: {text}");
            let check = server.sql("CHECK TABLE t SETTINGS check_query_single_value_result = 1");
            assert_eq!(check, "0", "{name:?} {what}");
            assert_eq!(server.number("SELECT count() > 0 FROM system.detached_parts"), 1);
            assert_eq!(server.sql("SELECT 1"), "1");
            failed += 1;
        }
        server.kill();
    }
    eprintln!(
        "{rounds} damages: {harmless} harmless, {refused} refused at start, {failed} failed by name"
    );
    assert_eq!(harmless + refused + failed, rounds);
}

#[test]
fn a_damaged_part_fails_by_name_until_it_is_whole_again() {
    let server = Server::start("quarantine");
    server.sql("CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k PARTITION BY k % 2");
    server.sql("INSERT INTO t SELECT number FROM numbers(1000)");
    assert_eq!(server.sql("CHECK TABLE t FORMAT CSV"), "\"0_1_1_0\",1,\"\"\n\"1_2_2_0\",1,\"\"");
    let path = server.sql("SELECT path FROM system.parts WHERE table = 't' AND name = '0_1_1_0'");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let check = server.sql("CHECK TABLE t FORMAT CSV");
    assert!(
        check.starts_with("\"0_1_1_0\",0,") && check.ends_with("\"1_2_2_0\",1,\"\""),
        "{check}"
    );
    let (code, message) = server.error("SELECT sum(k) FROM t");
    assert_eq!(code, 246);
    assert!(message.contains(".part"), "{message}");
    assert_eq!(
        server.number("SELECT count() FROM system.detached_parts WHERE reason LIKE 'broken%'"),
        1
    );
    assert_eq!(server.error("SYSTEM RESTORE QUARANTINED PART '0_1_1_0' FROM t").0, 246);
    assert_eq!(server.error("SYSTEM DETACH QUARANTINED PART '1_2_2_0' FROM t").0, 36);
    let health = request(server.port, "GET", "/health", &[], b"").unwrap();
    assert!(health.status == 200 && health.text().contains("degraded"), "{}", health.text());
    fs::write(&path, &whole).unwrap();
    server.sql("SYSTEM RESTORE QUARANTINED PART '0_1_1_0' FROM t");
    assert_eq!(server.sql("SELECT sum(k) FROM t"), "499500");
    fs::remove_file(&path).unwrap();
    assert!(server.sql("CHECK TABLE t PARTITION 0").contains("missing"));
    server.sql("SYSTEM DETACH QUARANTINED PART '0_1_1_0' FROM t");
    assert_eq!(server.sql("SELECT count() FROM t"), "500");
}

#[test]
fn backups_come_back_whole_and_broken_ones_do_not() {
    let server = Server::start("backup");
    server.sql("CREATE TABLE t (k UInt64, s String) ENGINE = MergeTree ORDER BY k");
    server.sql("INSERT INTO t SELECT number, toString(number) FROM numbers(3000)");
    let made = server.sql("BACKUP TABLE t TO File('first')");
    assert!(made.ends_with("BACKUP_CREATED"), "{made}");
    assert_eq!(server.error("BACKUP TABLE t TO Disk('backups', 'first')").0, 598);
    assert_eq!(server.error("BACKUP TABLE t TO File('../out')").0, 36);
    assert_eq!(server.error("RESTORE TABLE t FROM File('none')").0, 599);
    assert_eq!(server.error("RESTORE TABLE t FROM File('first')").0, 608);
    server.sql("INSERT INTO t VALUES (1, 'later')");
    server.sql("RESTORE TABLE t AS again FROM File('first')");
    assert_eq!(server.sql("SELECT count(), sum(k) FROM again"), "3000\t4498500");
    server.sql("DROP TABLE t");
    server.sql("RESTORE ALL FROM File('first')");
    assert_eq!(server.sql("SELECT count() FROM t"), "3000");
    server.sql("BACKUP DATABASE default TO File('second') ASYNC");
    server.until(
        "SELECT status FROM system.backups WHERE name LIKE '%second%'",
        "BACKUP_CREATED",
        Duration::from_secs(30),
    );
    server.sql("RESTORE DATABASE default AS other FROM File('second')");
    assert_eq!(server.sql("SELECT count() FROM other.again"), "3000");
    let manifest = server.data_dir.join("backups/first/manifest");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[30] ^= 8;
    fs::write(&manifest, bytes).unwrap();
    assert_eq!(server.error("RESTORE TABLE t AS broken FROM File('first')").0, 601);
    assert_eq!(server.error("SELECT 1 FROM broken").0, 60);
}

#[test]
fn metrics_health_and_kill() {
    let server = Server::start("monitoring");
    server.sql("SELECT 1");
    let _ = server.error("SELECT * FROM nowhere");
    let metrics = request(server.port, "GET", "/metrics", &[], b"").unwrap().text();
    for line in [
        "ClickHouseProfileEvents_Query ",
        "ClickHouseMetrics_Query ",
        "ClickHouseAsyncMetrics_Uptime ",
    ] {
        assert!(metrics.contains(&format!("\n{line}")), "{line} is not in {metrics}");
    }
    let health = request(server.port, "GET", "/health", &[], b"").unwrap();
    assert_eq!((health.status, health.text().contains("\"status\":\"ok\"")), (200, true));
    let port = server.port;
    let slow = std::thread::spawn(move || {
        let sql = b"SELECT sum(cityHash64(number)) FROM numbers(1000000000000)";
        request(port, "POST", "/?query_id=slow", &[], sql).unwrap().text()
    });
    server.until(
        "SELECT count() FROM system.processes WHERE query_id = 'slow'",
        "1",
        Duration::from_secs(10),
    );
    let started = Instant::now();
    let killed = server.sql("KILL QUERY WHERE query_id = 'slow' SYNC");
    assert!(killed.starts_with("finished\tslow"), "{killed}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(slow.join().unwrap().contains("Code: 394"));
}
