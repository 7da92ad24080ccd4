//! Clients that would wear a server down are cut off within their limits, while others go on: one that does
//! not send, one that does not read, one whose head never ends, bytes that unpack to far more than they are.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::http::{encode, request};
use crate::harness::server::Server;
use crate::harness::{eventually, free_port};

fn start(name: &str) -> Server {
    let limits = [("PUMPHOUSE_HTTP_RECEIVE_TIMEOUT", "2"), ("PUMPHOUSE_HTTP_SEND_TIMEOUT", "2")];
    Server::start_configured(name, &limits)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Reads until the server ends the connection; how long that took, and what came.
fn until_cut(mut stream: TcpStream) -> (Duration, String) {
    let began = Instant::now();
    let mut text = vec![];
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => text.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the connection still stands after {:?}: {e}", began.elapsed()),
        }
    }
    (began.elapsed(), String::from_utf8_lossy(&text).into_owned())
}

fn resident_mb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn clients_that_do_not_send_are_cut_off() {
    let server = start("slow_writers");
    let mut head = connect(&server);
    head.write_all(b"GET /ping HTTP/1.1\r\nHost: a\r\n").unwrap();
    let mut body = connect(&server);
    body.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nSELECT 1").unwrap();
    let (time, answer) = until_cut(body);
    assert!(time < Duration::from_secs(8), "{time:?}");
    assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    assert!(answer.contains("sent nothing for 2 seconds"), "{answer}");
    let (time, _) = until_cut(head);
    assert!(time < Duration::from_secs(15), "{time:?}");
    assert_eq!(server.sql("SELECT 1"), "1");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_query_ends() {
    let server = start("slow_reader");
    server.sql("SELECT 1");
    let before = resident_mb(&server);
    let mut stream = connect(&server);
    let sql = encode("SELECT number, toString(number) FROM numbers(2000000000)");
    write!(stream, "GET /?query={sql}&query_id=endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    server.until(
        "SELECT count() FROM system.processes WHERE query_id = 'endless'",
        "1",
        Duration::from_secs(10),
    );
    // Others are served meanwhile; then the query is gone.
    assert_eq!(server.sql("SELECT sum(number) FROM numbers(10)"), "45");
    server.until(
        "SELECT count() FROM system.processes WHERE query_id = 'endless'",
        "0",
        Duration::from_secs(15),
    );
    let grown = resident_mb(&server).saturating_sub(before);
    assert!(grown < 200, "the server's memory grew by {grown} MB for a client that reads nothing");
    let (_, answer) = until_cut(stream);
    assert!(answer.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let server = start("header_flood");
    let mut stream = connect(&server);
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: a\r\n").unwrap();
    let line = format!("X-Flood: {}\r\n", "x".repeat(4000));
    // The server may cut the connection while we are still at it.
    for _ in 0..10_000 {
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(
        read == 0 || text.starts_with("HTTP/1.1 431") || text.starts_with("HTTP/1.1 400"),
        "{text}"
    );
    assert!(resident_mb(&server) < 500);
    assert_eq!(server.sql("SELECT 1"), "1");
}

#[test]
fn bytes_that_unpack_to_far_more_stay_within_limits() {
    let server = start("bombs");
    server.sql("CREATE TABLE bomb (s String) ENGINE = MergeTree ORDER BY tuple()");
    server.sql("SELECT 1");
    let before = resident_mb(&server);
    // 2 GB of one line in 2 MB of gzip: no row ever ends, so it must be refused, not gathered.
    let bomb = gzip_of_one_letter(2 << 30);
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    let target = format!(
        "/?query={}&max_memory_usage=100000000",
        encode("INSERT INTO bomb FORMAT TabSeparated")
    );
    let answer =
        request(server.port, "POST", &target, &[("Content-Encoding", "gzip")], &bomb).unwrap();
    assert_ne!(answer.status, 200);
    let code = answer.header("x-clickhouse-exception-code").unwrap_or("").to_string();
    assert!(
        ["241", "27", "117", "33", "131"].contains(&code.as_str()),
        "{code}: {}",
        answer.text()
    );
    // As a statement it is too long.
    let answer = request(server.port, "POST", "/", &[("Content-Encoding", "gzip")], &bomb).unwrap();
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("62"), "{}", answer.text());
    let grown = resident_mb(&server).saturating_sub(before);
    assert!(grown < 700, "grew by {grown} MB");
    assert_eq!(server.sql("SELECT count() FROM bomb"), "0");
}

/// Parquet is read once all of it is there: what that takes is the query's, and has its limit.
#[test]
fn files_that_are_read_as_a_whole_count_as_memory() {
    let server = start("wholes");
    server.sql("CREATE TABLE t (id UInt64, s String) ENGINE = MergeTree ORDER BY id");
    server.sql("INSERT INTO FUNCTION file('big.parquet') SELECT number AS id, randomPrintableASCII(100) AS s FROM numbers(100000)");
    let all = "SELECT count(), sum(id) FROM file('big.parquet')";
    assert_eq!(server.sql(all), "100000\t4999950000");
    assert_eq!(server.sql("SELECT max(length(s)) FROM file('big.parquet')"), "100");
    let limited = format!("{all} SETTINGS max_memory_usage = 4000000");
    assert_eq!(server.error(&limited).0, 241);
    // What unpacks to far more than comes, and never ends as a file does.
    let target =
        format!("/?query={}&max_memory_usage=100000000", encode("INSERT INTO t FORMAT Parquet"));
    let bomb = gzip_of_one_letter(2 << 30);
    let answer =
        request(server.port, "POST", &target, &[("Content-Encoding", "gzip")], &bomb).unwrap();
    let code = answer.header("x-clickhouse-exception-code").unwrap_or("").to_string();
    assert_eq!(code, "241", "{}", answer.text());
    server.sql("INSERT INTO t SELECT * FROM file('big.parquet')");
    assert_eq!(
        server.sql("SELECT count(), sum(id), max(length(s)) FROM t"),
        "100000\t4999950000\t100"
    );
}

/// A gzip stream of `bytes` letters `a`, made in pieces.
fn gzip_of_one_letter(bytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..bytes / piece.len() {
        packed.write_all(&piece).unwrap();
    }
    packed.finish().unwrap()
}

#[test]
fn queries_beyond_the_limit_wait_for_their_turn() {
    let server = Server::start_configured("turns", &[("PUMPHOUSE_MAX_CONCURRENT_QUERIES", "2")]);
    std::thread::scope(|scope| {
        let slow =
            || server.send("SELECT sleepEachRow(0.5) FROM numbers(2) FORMAT Null").unwrap().status;
        let all: Vec<_> = (0..6).map(|_| scope.spawn(slow)).collect();
        assert!(all.into_iter().all(|one| one.join().unwrap() == 200));
    });
    // One that will not wait is told so; KILL gets through.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| server.send("SELECT sleep(3) FORMAT Null").unwrap());
        }
        let target = format!("/?query={}&queue_max_wait_ms=1", encode("SELECT 1"));
        let refused = eventually("a refusal", Duration::from_secs(3), || {
            let answer = request(server.port, "GET", &target, &[], b"").unwrap();
            (answer.status != 200).then_some(answer)
        });
        assert_eq!(refused.header("x-clickhouse-exception-code"), Some("202"));
        server.sql("KILL QUERY WHERE query LIKE '%sleep(3)%' SYNC");
    });
    assert_eq!(server.sql("SELECT 1"), "1");
}

#[test]
fn long_statements_need_a_setting() {
    let server = start("long_statements");
    let list = (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let sql = format!("SELECT count() FROM numbers(200000) WHERE number IN ({list})");
    let answer = request(server.port, "POST", "/", &[], sql.as_bytes()).unwrap();
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("62"));
    assert!(answer.text().contains("max_query_size"), "{}", answer.text());
    let answer = request(server.port, "POST", "/?max_query_size=0", &[], sql.as_bytes()).unwrap();
    assert_eq!(answer.text(), "100000\n");
}

/// A greeting and a query of revision 54032, the oldest and shortest; what follows are external tables.
fn native_query(sql: &str, database: &str) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    };
    let revision = [0x90, 0xa6, 3];
    let mut out = vec![0];
    text(&mut out, "probe");
    out.extend_from_slice(&[1, 1]);
    out.extend_from_slice(&revision);
    [database, "default", ""].iter().for_each(|t| text(&mut out, t));
    out.push(1);
    text(&mut out, "");
    out.push(1);
    ["", "", "0.0.0.0:0"].iter().for_each(|t| text(&mut out, t));
    out.push(1);
    ["", "", "probe"].iter().for_each(|t| text(&mut out, t));
    out.extend_from_slice(&[1, 1]);
    out.extend_from_slice(&revision);
    text(&mut out, "");
    out.extend_from_slice(&[2, 0]);
    text(&mut out, sql);
    out
}

#[test]
fn nonsense_on_the_native_port_is_an_error() {
    let native = free_port();
    let server =
        Server::start_configured("native_nonsense", &[("PUMPHOUSE_TCP_PORT", &native.to_string())]);
    let say = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", native)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The server may have answered and left before it has all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        until_cut(stream).1
    };
    // A table whose type is nested without end; its text's length is 140,005.
    let mut deep = native_query("SELECT 1", "");
    deep.extend_from_slice(&[2, 1, b'x', 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 1, 1, 1, b'a']);
    deep.extend_from_slice(&[0xe5, 0xc5, 0x08]);
    let nested = format!("{}UInt8{}", "Array(".repeat(20_000), ")".repeat(20_000));
    deep.extend_from_slice(nested.as_bytes());
    let answer = say(&deep);
    assert!(answer.contains("nested too deeply"), "{answer}");
    // A database that is not there ends the connection, as soon as it is asked for.
    let answer = say(&native_query("SELECT 1", "nowhere"));
    assert!(answer.contains("Database nowhere does not exist"), "{answer}");
    // What a browser says, and what nobody says.
    let answer = say(b"GET / HTTP/1.1\r\n\r\n");
    assert!(answer.ends_with("for HTTP.\r\n"), "{answer}");
    assert!(say(&[0x63]).contains("packet 99 instead of a greeting"));
    // A greeting that comes letter by letter has the time of a whole one.
    let mut slow = TcpStream::connect(("127.0.0.1", native)).unwrap();
    let began = Instant::now();
    let mut letters = [0, 100].iter().chain(std::iter::repeat(&b'x'));
    while slow.write_all(&[*letters.next().unwrap()]).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(25), "the connection still stands");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(server.sql("SELECT 'still here'"), "still here");
}
