//! The order of system calls of a commit, as strace sees it: part file fsync, then the folder's, then
//! both copies of the log, then the answer.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port, skipped};

/// One traced call that matters, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    PartFile,
    PartFolder,
    Log,
    Answer,
}

fn step(line: &str) -> Option<Step> {
    let sync = line.contains("fsync(") || line.contains("fdatasync(");
    if sync && line.contains(".part>") {
        Some(Step::PartFile)
    } else if sync && line.contains("/parts>") {
        Some(Step::PartFolder)
    } else if sync && line.contains("MANIFEST-") {
        Some(Step::Log)
    } else if line.contains("HTTP/1.1 200 OK") {
        Some(Step::Answer)
    } else {
        None
    }
}

#[test]
fn parts_then_folder_then_log_then_answer() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return skipped("parts_then_folder_then_log_then_answer", "no strace on this machine");
    }
    let folder = TestFolder::new("syscalls");
    // System logs sync, too.
    let quiet = [("PUMPHOUSE_SYSTEM_LOGS", "none")];
    let server = Server::start_with(&folder.0.join("data"), free_port(), &quiet);
    server.sql("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql("CREATE TABLE u (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql("CREATE MATERIALIZED VIEW mv TO u AS SELECT id + 1 AS id FROM t");
    server.sql("SYSTEM STOP MERGES");
    let trace = server.data_dir.with_extension("strace");
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-s",
            "40",
            "-e",
            "trace=fsync,fdatasync,write,writev,sendto,sendmsg",
            "-o",
        ])
        .arg(&trace)
        .args(["-p", &server.pid().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace starts");
    std::thread::sleep(Duration::from_millis(1500));
    let inserts = 20;
    for i in 0..inserts {
        server.sql(&format!("INSERT INTO t VALUES ({i}), ({})", i + 1000));
    }
    std::thread::sleep(Duration::from_millis(300));
    let _ = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    let _ = strace.wait();
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let _ = std::fs::remove_file(&trace);
    let steps: Vec<Step> = text.lines().filter_map(step).collect();
    let answers = steps.iter().filter(|s| **s == Step::Answer).count();
    if answers == 0 && !text.contains("fsync") {
        return skipped("parts_then_folder_then_log_then_answer", "strace may not attach here");
    }
    assert_eq!(answers, inserts, "{steps:?}");
    for commit in steps.split(|s| *s == Step::Answer).take(inserts) {
        let count = |step: Step| commit.iter().filter(|s| **s == step).count();
        let last = |step: Step| commit.iter().rposition(|s| *s == step);
        let first = |step: Step| commit.iter().position(|s| *s == step);
        assert!(count(Step::PartFile) >= 2, "two tables, two part files: {commit:?}");
        assert!(count(Step::PartFolder) >= 1 && count(Step::Log) >= 2, "{commit:?}");
        assert!(last(Step::PartFile) < first(Step::PartFolder), "{commit:?}");
        assert!(last(Step::PartFolder) < first(Step::Log), "{commit:?}");
    }
    eprintln!("{inserts} commits audited, order kept in all");
}
