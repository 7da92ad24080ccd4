//! `pumphouse client --follow`: rows appear as they are committed, each once, through merges and a restart
//! of the server; who goes away leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::harness::http;
use crate::harness::server::{Server, binary};
use crate::harness::{TestFolder, eventually, free_port};

const WAIT: Duration = Duration::from_secs(60);

/// A client that follows, and the lines that it prints.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(port: u16, query: &str) -> Follower {
        let mut child = Command::new(binary())
            .args(["client", "--port", &port.to_string(), "--follow", query])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Follower { child, lines }
    }

    /// The next `n` lines, sorted.
    fn next(&self, n: usize) -> Vec<String> {
        let mut lines: Vec<String> =
            (0..n).map(|_| self.lines.recv_timeout(WAIT).expect("a line")).collect();
        lines.sort();
        lines
    }

    fn nothing_more(&self) {
        assert!(self.lines.recv_timeout(Duration::from_millis(700)).is_err(), "too many lines");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn followers(server: &Server) -> i64 {
    server.number("SELECT count() FROM system.processes WHERE query LIKE '%FROM events%' AND query NOT LIKE '%processes%'")
}

#[test]
fn new_rows_as_they_are_committed() {
    let folder = TestFolder::new("follow");
    let (data, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data, port, &[]);
    server.sql("CREATE TABLE events (id UInt64, kind String) ENGINE = MergeTree ORDER BY id");
    server.sql("INSERT INTO events VALUES (1, 'before')");
    let follower = Follower::start(port, "SELECT id, upper(kind) FROM events WHERE kind != 'dull'");
    eventually("the follower is there", WAIT, || (followers(&server) == 1).then_some(()));
    server.sql("INSERT INTO events VALUES (2, 'a'), (3, 'dull')");
    server.sql("INSERT INTO events VALUES (4, 'b')");
    assert_eq!(follower.next(2), ["2\tA", "4\tB"]);
    // Many commits, folded by merges at once: still each once.
    for i in 0..40 {
        server.sql(&format!("INSERT INTO events VALUES ({}, 'm')", 100 + i));
        if i % 10 == 9 {
            server.sql("OPTIMIZE TABLE events FINAL");
        }
    }
    let expected: Vec<String> = (0..40).map(|i| format!("{}\tM", 100 + i)).collect();
    assert_eq!(follower.next(40), expected);
    server.sql("ALTER TABLE events DELETE WHERE id = 100 SETTINGS mutations_sync = 1");
    follower.nothing_more();
    // The server goes and comes; the client comes back with its cursor.
    server.kill();
    server = Server::start_with(&data, port, &[]);
    eventually("the follower is back", WAIT, || (followers(&server) == 1).then_some(()));
    server.sql("INSERT INTO events VALUES (200, 'after')");
    assert_eq!(follower.next(1), ["200\tAFTER"]);
    follower.nothing_more();
    drop(follower);
    eventually("the server notices", WAIT, || (followers(&server) == 0).then_some(()));
    for (path, sql, code) in [
        ("/follow", "SELECT 1", "36"),
        ("/follow", "SELECT * FROM nosuch", "60"),
        ("/follow", "INSERT INTO events VALUES (1, 'x')", "80"),
        ("/follow", "SELECT * FROM system.events", "60"),
        ("/follow?cursor=nonsense", "SELECT * FROM events", "36"),
        ("/follow?heartbeat_ms=often", "SELECT * FROM events", "36"),
        ("/follow?cursor=00000000-0000-0000-0000-000000000000:1", "SELECT * FROM events", "36"),
    ] {
        let answer = http::request(port, "POST", path, &[], sql.as_bytes()).expect("an answer");
        assert_eq!(
            answer.header("x-clickhouse-exception-code"),
            Some(code),
            "{path} {sql}: {}",
            answer.text()
        );
    }
    let uuid =
        server.sql("SELECT uuid FROM system.tables WHERE name = 'events' AND database = 'default'");
    let old = format!("/follow?cursor={uuid}:1");
    server.sql("OPTIMIZE TABLE events FINAL");
    let answer =
        http::request(port, "POST", &old, &[], b"SELECT id FROM events").expect("an answer");
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("36"), "{}", answer.text());
    assert!(answer.text().contains("too old"), "{}", answer.text());
}
