//! FileLog tables: files that appear, grow, rotate and are cut in a folder, each line once in the table,
//! through kills at every step.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, free_port, from_environment};

const WAIT: Duration = Duration::from_secs(60);

fn append(path: &Path, text: &str) {
    let mut file = fs::File::options().create(true).append(true).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

fn folder_of(server: &Server, name: &str) -> PathBuf {
    let folder = server.data_dir.join("user_files").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn adults_of_a_folder() {
    let server = Server::start("file-log");
    let folder = folder_of(&server, "people");
    append(&folder.join("first.csv"), "ada,36\nbob,12\n");
    server.sql("CREATE TABLE people (name String, age UInt8) ENGINE = FileLog('people', 'CSV') SETTINGS last_line_wait_ms = 1500");
    server.sql("CREATE TABLE adults (name String, age UInt8, file String, at UInt64) ENGINE = MergeTree ORDER BY name");
    server.sql(
        "CREATE MATERIALIZED VIEW adults_mv TO adults AS SELECT name, age, _filename AS file, _offset AS at FROM people WHERE age >= 18",
    );
    let adults = "SELECT arrayStringConcat(arraySort(groupArray(name)), ',') FROM adults";
    server.until(adults, "ada", WAIT);
    // A file that appears, one that grows, half a line.
    append(&folder.join("second.csv"), "cyd,44\n");
    append(&folder.join("first.csv"), "dan,18\neve,1");
    server.until(adults, "ada,cyd,dan", WAIT);
    append(&folder.join("first.csv"), "9\n");
    server.until(adults, "ada,cyd,dan,eve", WAIT);
    assert_eq!(server.sql("SELECT file, at FROM adults WHERE name = 'eve'"), "first.csv\t21");
    // A last line without its end counts when nothing more comes.
    append(&folder.join("third.csv"), "fay,50");
    server.until(adults, "ada,cyd,dan,eve,fay", WAIT);
    // Rotated: nothing is read twice, what is appended is read under the new name.
    fs::rename(folder.join("first.csv"), folder.join("first.csv.1")).expect("renamed");
    append(&folder.join("first.csv"), "gus,70\n");
    append(&folder.join("first.csv.1"), "hal,71\n");
    server.until(adults, "ada,cyd,dan,eve,fay,gus,hal", WAIT);
    // Cut and written anew.
    fs::write(folder.join("second.csv"), "ida,9\njon,20\n").expect("written");
    server.until(adults, "ada,cyd,dan,eve,fay,gus,hal,jon", WAIT);
    // A bad line holds its own file up, and says so; mended by the mode it becomes a row.
    append(&folder.join("bad.csv"), "kim,30\nlee,many\nmay,31\n");
    append(&folder.join("good.csv"), "ned,32\n");
    server.until("SELECT count() FROM adults WHERE name IN ('kim', 'ned')", "2", WAIT);
    let told = "SELECT state, position, error LIKE '%bad.csv at byte 7%' FROM system.file_logs WHERE file = 'bad.csv'";
    server.until(told, "waiting\t7\t1", WAIT);
    assert_eq!(server.sql("SELECT count() FROM adults WHERE name = 'may'"), "0");
    fs::write(folder.join("bad.csv"), "kim,30\nlee,33\nmay,31\n").expect("written");
    server.until("SELECT count() FROM adults WHERE name IN ('lee', 'may')", "2", WAIT);
    // Stopped, it reads nothing; started, what came meanwhile.
    server.sql("SYSTEM STOP people");
    append(&folder.join("good.csv"), "oli,40\n");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(server.sql("SELECT count() FROM adults WHERE name = 'oli'"), "0");
    server.sql("SYSTEM START people");
    server.until("SELECT count() FROM adults WHERE name = 'oli'", "1", WAIT);
    let text = server.sql("SHOW CREATE TABLE people");
    assert!(text.contains("FileLog(\\'people\\', \\'CSV\\')"), "{text}");
    for (sql, code) in [
        ("SELECT * FROM people", 620),
        ("INSERT INTO people VALUES ('x', 1)", 48),
        ("CREATE TABLE f (a String) ENGINE = FileLog('nosuch', 'CSV')", 36),
        ("CREATE TABLE f (a String) ENGINE = FileLog('../..', 'CSV')", 291),
        ("CREATE TABLE f (a String) ENGINE = FileLog('people', 'Parquet')", 48),
        ("CREATE TABLE f (a String) ENGINE = FileLog('people', 'Nonsense')", 73),
        ("CREATE TABLE f (a String) ENGINE = FileLog('people')", 42),
        ("CREATE TABLE f (a String DEFAULT 'x') ENGINE = FileLog('people', 'CSV')", 36),
    ] {
        assert_eq!(server.error(sql).0, code, "{sql}");
    }
}

/// A file whose first lines were read and are not committed yet gets another name, and its name another file.
#[test]
fn names_change_while_first_lines_are_read() {
    const FILES: u64 = 30;
    /// More than this many make blocks wait between reading and committing.
    const PARTS: u64 = 330;
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 20_261_130));
    let server = Server::start("file-log-names");
    let folder = folder_of(&server, "busy");
    server.sql("CREATE TABLE rows (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("SYSTEM STOP MERGES rows");
    (0..PARTS).for_each(|i| {
        server.sql(&format!("INSERT INTO rows VALUES ({})", 1_000_000 + i));
    });
    server.sql("CREATE TABLE busy (n UInt64) ENGINE = FileLog('busy', 'CSV') SETTINGS flush_interval_ms = 1, poll_timeout_ms = 1, poll_timeout_max_ms = 2, max_block_size = 300");
    server.sql("CREATE MATERIALIZED VIEW rows_mv TO rows AS SELECT n FROM busy");
    let (log, mut next) = (folder.join("log"), 0u64);
    for file in 0..FILES {
        let lines: String = (next..next + 400).map(|n| format!("{n}\n")).collect();
        next += 400;
        append(&log, &lines);
        std::thread::sleep(Duration::from_millis(random.below(120)));
        fs::rename(&log, folder.join(format!("old{file}"))).expect("renamed");
    }
    server.sql("SYSTEM START MERGES rows");
    let rows = next + PARTS;
    let exact = "SELECT count(), uniqExact(n) FROM rows";
    server.until(exact, &format!("{rows}\t{rows}"), WAIT);
}

#[test]
fn headers_patterns_and_error_modes() {
    let server = Server::start("file-log-modes");
    let folder = folder_of(&server, "named");
    append(&folder.join("a.csv"), "name,age\nada,36\n");
    append(&folder.join("b.csv"), "age,name\n12,bob\n");
    append(&folder.join("c.txt"), "not,for,us\n");
    server.sql("CREATE TABLE named (name String, age UInt8) ENGINE = FileLog('named/*.csv', 'CSVWithNames')");
    server.sql("CREATE TABLE rows (name String, age UInt8) ENGINE = MergeTree ORDER BY name");
    server.sql("CREATE MATERIALIZED VIEW rows_mv TO rows AS SELECT name, age FROM named");
    let rows = "SELECT arrayStringConcat(arraySort(groupArray(concat(name, toString(age)))), ',') FROM rows";
    server.until(rows, "ada36,bob12", WAIT);
    append(&folder.join("b.csv"), "44,cyd\n");
    server.until(rows, "ada36,bob12,cyd44", WAIT);
    let lines = folder_of(&server, "lines");
    append(&lines.join("x.json"), "{\"id\":1}\nnonsense\n{\"id\":2}\n");
    for (table, mode) in [("streamed", "stream"), ("lettered", "dead_letter_queue")] {
        server.sql(&format!(
            "CREATE TABLE {table} (id UInt64) ENGINE = FileLog('lines', 'JSONEachRow') SETTINGS handle_error_mode = '{mode}', max_files_per_trigger = 1"
        ));
        server.sql(&format!("CREATE TABLE {table}_rows (id UInt64, error String, raw String) ENGINE = MergeTree ORDER BY id"));
    }
    server.sql("CREATE MATERIALIZED VIEW s TO streamed_rows AS SELECT id, _error AS error, _raw_message AS raw FROM streamed");
    server.sql("CREATE MATERIALIZED VIEW l TO lettered_rows AS SELECT id FROM lettered");
    server.until(
        "SELECT count(), countIf(error != ''), max(raw) FROM streamed_rows",
        "3\t1\tnonsense",
        WAIT,
    );
    server.until("SELECT count(), sum(id) FROM lettered_rows", "2\t3", WAIT);
    let letter =
        "SELECT table, raw_message, kafka_topic_name, kafka_offset FROM system.dead_letter_queue";
    server.until(letter, "lettered\tnonsense\tx.json\t9", WAIT);
}

#[test]
fn lines_are_selected_without_views() {
    let server = Server::start("file-log-direct");
    let folder = folder_of(&server, "direct");
    append(&folder.join("a.csv"), "1,ada\n2,bob\n");
    append(&folder.join("b.csv"), "3,cyd\n");
    server.sql("CREATE TABLE f (id UInt64, name String) ENGINE = FileLog('direct', 'CSV')");
    assert_eq!(server.error("SELECT * FROM f").0, 620, "not without the setting");
    let direct = "SETTINGS stream_like_engine_allow_direct_select = 1";
    let all = format!("SELECT id, name, _filename, _offset FROM f ORDER BY id {direct}");
    assert_eq!(server.sql(&all), "1\tada\ta.csv\t0\n2\tbob\ta.csv\t6\n3\tcyd\tb.csv\t0");
    assert_eq!(server.sql(&all), "", "taken");
    append(&folder.join("a.csv"), "4,dan\n");
    fs::rename(folder.join("b.csv"), folder.join("c.csv")).expect("renamed");
    append(&folder.join("c.csv"), "5,eve\nx,bad\n6,fay\n");
    let (code, text) = server.error(&all);
    assert!(code == 27 && text.contains("c.csv at byte 12"), "{code} {text}");
    // Nothing of it was taken.
    fs::write(folder.join("c.csv"), "3,cyd\n5,eve\n6,fay\n").expect("written");
    assert_eq!(server.sql(&format!("SELECT id FROM f ORDER BY id {direct}")), "4\n5\n6");
    server.sql("DETACH TABLE f");
    server.sql("ATTACH TABLE f");
    assert_eq!(server.sql(&all), "");
    // A view goes on where the SELECT stood, and then the lines are its own.
    append(&folder.join("a.csv"), "7,gus\n");
    server.sql("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT id FROM f");
    server.until("SELECT groupArray(id) FROM t", "[7]", WAIT);
    assert_eq!(server.error(&all).0, 620);
}

/// Appends lines to three files, now and then in halves, and rotates them.
struct Writer {
    folder: PathBuf,
    next: u64,
    rotations: u64,
}

impl Writer {
    fn write(&mut self, random: &mut Random) {
        let path = self.folder.join(format!("log{}", random.below(3)));
        let mut text = String::new();
        for _ in 0..1 + random.below(200) {
            text.push_str(&format!("{}\n", self.next));
            self.next += 1;
        }
        let (left, right) = text.split_at(random.below(text.len() as u64) as usize);
        append(&path, left);
        append(&path, right);
        if random.below(15) == 0 {
            self.rotations += 1;
            let _ = fs::rename(&path, self.folder.join(format!("old{}", self.rotations)));
        }
    }
}

#[test]
fn killed_while_files_grow() {
    let kills = from_environment("PUMPHOUSE_KILLS", 12);
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 20_261_127));
    let test = TestFolder::new("file-log-kills");
    let data = test.0.join("data");
    let port = free_port();
    let mut server = Server::start_with(&data, port, &[]);
    let folder = folder_of(&server, "logs");
    server.sql("CREATE TABLE logs (n UInt64) ENGINE = FileLog('logs', 'CSV') SETTINGS flush_interval_ms = 50, max_block_size = 300");
    server.sql("CREATE TABLE rows (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("CREATE TABLE total (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("CREATE MATERIALIZED VIEW rows_mv TO rows AS SELECT n FROM logs");
    server.sql("CREATE MATERIALIZED VIEW total_mv TO total AS SELECT count() AS n FROM logs");
    let mut writer = Writer { folder, next: 0, rotations: 0 };
    for kill in 0..kills {
        let until = Instant::now() + Duration::from_millis(200 + random.below(800));
        while Instant::now() < until {
            writer.write(&mut random);
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        // Every second life ends at a step of its own choice.
        let step =
            format!("{}:{}", ["built", "committed"][kill as usize / 2 % 2], 1 + random.below(4));
        let fault = [("PUMPHOUSE_TEST_FILE_LOG_EXIT", step.as_str())];
        if kill % 2 == 0 {
            let mut dying = Server::spawn(&data, port, &fault);
            let limit = Instant::now() + WAIT;
            while !dying.has_ended() {
                assert!(Instant::now() < limit, "the step {step} is never reached");
                writer.write(&mut random);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        server = Server::spawn(&data, port, &[]).wait_ready();
    }
    let n = writer.next;
    server.until("SELECT count(), uniqExact(n) FROM rows", &format!("{n}\t{n}"), WAIT);
    std::thread::sleep(Duration::from_secs(1));
    let sum = n * (n - 1) / 2;
    assert_eq!(server.sql("SELECT count(), sum(n) FROM rows"), format!("{n}\t{sum}"));
    assert_eq!(server.sql("SELECT sum(n) FROM total"), n.to_string());
    eprintln!("{kills} kills, {} rotations, {n} lines: lost 0, doubled 0", writer.rotations);
}

#[test]
fn a_late_view_has_every_line_once() {
    let kills = from_environment("PUMPHOUSE_KILLS", 6);
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 20_261_128));
    let test = TestFolder::new("file-log-late");
    let data = test.0.join("data");
    let port = free_port();
    let mut server = Server::start_with(&data, port, &[]);
    let folder = folder_of(&server, "logs");
    server.sql("CREATE TABLE logs (n UInt64) ENGINE = FileLog('logs', 'CSV') SETTINGS flush_interval_ms = 20, max_block_size = 500");
    server.sql("CREATE TABLE rows (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("CREATE MATERIALIZED VIEW rows_mv TO rows AS SELECT n FROM logs");
    let mut writer = Writer { folder, next: 0, rotations: 0 };
    for _ in 0..300 {
        writer.write(&mut random);
    }
    for late in 0..kills {
        let until = Instant::now() + Duration::from_millis(300 + random.below(300));
        while Instant::now() < until {
            writer.write(&mut random);
            std::thread::sleep(Duration::from_millis(5));
        }
        server.sql(&format!("CREATE TABLE late{late} (n UInt64) ENGINE = MergeTree ORDER BY n"));
        // The view before is filled, so that the next life ends at a step of this one.
        let done = "SELECT count() FROM system.kafka_events WHERE message LIKE 'done%'";
        server.until(done, if late == 0 { "0" } else { "1" }, WAIT);
        let (step, n) = (["built", "committed"][late as usize % 2], 1 + random.below(5));
        server.kill();
        // Ends by itself at a step of the filling.
        let fault = [("PUMPHOUSE_TEST_FILL_EXIT", format!("{step}:{n}"))];
        let mut dying = Server::spawn(&data, port, &[(fault[0].0, &fault[0].1)]).wait_ready();
        // It may end before it has answered.
        let _ = dying.send(&format!(
            "CREATE MATERIALIZED VIEW late{late}_mv TO late{late} POPULATE AS SELECT n FROM logs"
        ));
        let limit = Instant::now() + WAIT;
        while !dying.has_ended() {
            assert!(Instant::now() < limit, "the step {step}:{n} is never reached");
            writer.write(&mut random);
            std::thread::sleep(Duration::from_millis(10));
        }
        server = Server::spawn(&data, port, &[]).wait_ready();
    }
    let n = writer.next;
    let sum = n * (n - 1) / 2;
    let tables = (0..kills).map(|late| format!("late{late}")).chain(["rows".to_string()]);
    for table in tables {
        let exact = format!("SELECT count(), uniqExact(n), sum(n) FROM {table}");
        server.until(&exact, &format!("{n}\t{n}\t{sum}"), WAIT);
    }
    eprintln!("{kills} views, {} rotations, {n} lines: lost 0, doubled 0", writer.rotations);

    // A file that is gone before the view has it is a gap that is told.
    server.sql("SYSTEM STOP default.logs");
    server.sql("CREATE TABLE last (n UInt64) ENGINE = MergeTree ORDER BY n");
    server.sql("CREATE MATERIALIZED VIEW last_mv TO last POPULATE AS SELECT n FROM logs");
    let largest = fs::read_dir(&writer.folder).expect("a folder").filter_map(Result::ok);
    let largest = largest.max_by_key(|f| f.metadata().map_or(0, |m| m.len())).expect("a file");
    let lines = fs::read_to_string(largest.path()).expect("text").lines().count() as u64;
    fs::remove_file(largest.path()).expect("removed");
    server.sql("SYSTEM START default.logs");
    server.until("SELECT count() FROM last", &(n - lines).to_string(), WAIT);
    server.until("SELECT count() FROM system.kafka_gaps", "1", WAIT);
    let (code, text) = server.error(
        "CREATE MATERIALIZED VIEW x TO last POPULATE FROM TIMESTAMP '2026-01-01 00:00:00' AS SELECT n FROM logs",
    );
    assert!(code == 36 && text.contains("no time"), "{code} {text}");
}
