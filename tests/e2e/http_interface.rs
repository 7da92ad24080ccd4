//! ClickHouse's HTTP interface, the core of it: methods, parameters, formats, errors, sessions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::{encode, request};
use crate::harness::server::Server;

#[test]
fn paths_and_methods() {
    let server = Server::start("paths");
    let get = |target: &str| request(server.port, "GET", target, &[], b"").unwrap();
    assert_eq!(get("/ping").text(), "Ok.\n");
    assert_eq!(get("/").text(), "Ok.\n");
    assert_eq!(get(&format!("/?query={}", encode("SELECT 1"))).text(), "1\n");
    assert_eq!(get("/nowhere").status, 404);
    assert!(get("/play").text().contains("<title>"));
    for page in ["/demo", "/merges", "/binary"] {
        assert!(get(page).text().contains("<title>"), "{page}");
    }
    let none = get("/jemalloc");
    assert_eq!((none.status, none.text().contains("asynchronous_metrics")), (404, true));
    let put = request(server.port, "PUT", "/?query=SELECT+1", &[], b"").unwrap();
    assert_eq!(put.status, 404);
    // GET may not write.
    let write = get(&format!("/?query={}", encode("CREATE TABLE t (a UInt8) ENGINE = Null")));
    assert_eq!((write.status, write.header("x-clickhouse-exception-code")), (500, Some("164")));
}

#[test]
fn query_in_url_and_body() {
    let server = Server::start("url");
    let post = |target: &str, body: &str| {
        request(server.port, "POST", target, &[], body.as_bytes()).unwrap()
    };
    assert_eq!(post("/?query=SELECT", "1+1").text(), "2\n");
    server.sql("CREATE TABLE t (a UInt8, s String) ENGINE = MergeTree ORDER BY a");
    let target = format!("/?query={}", encode("INSERT INTO t FORMAT CSV"));
    assert_eq!(post(&target, "1,\"x\"\n2,y\n").status, 200);
    assert_eq!(post("/", "INSERT INTO t FORMAT JSONEachRow\n{\"a\":3,\"s\":\"z\"}").status, 200);
    assert_eq!(post("/", "INSERT INTO t VALUES (4, upper('v')), (2+3, 'w')").status, 200);
    assert_eq!(server.sql("SELECT * FROM t ORDER BY a"), "1\tx\n2\ty\n3\tz\n4\tV\n5\tw");
    let answer = post("/?default_format=JSONCompact&max_threads=1", "SELECT 1 AS x");
    assert_eq!(answer.header("x-clickhouse-format"), Some("JSONCompact"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    assert!(answer.header("x-clickhouse-summary").unwrap().contains("\"result_rows\":\"1\""));
    let answer =
        post("/?param_x=41&param_t=t", "SELECT {x:UInt8} + 1, count() FROM {t:Identifier}");
    assert_eq!(answer.text(), "42\t5\n");
    let answer = post("/?query_id=mine", "SELECT 1");
    assert_eq!(answer.header("x-clickhouse-query-id"), Some("mine"));
    server.sql("SYSTEM FLUSH LOGS query_log");
    let logged = "SELECT type, query FROM system.query_log WHERE query_id = 'mine' ORDER BY type";
    assert_eq!(server.sql(logged), "QueryStart\tSELECT 1\nQueryFinish\tSELECT 1");
}

#[test]
fn long_urls_on_a_kept_connection() {
    let server = Server::start("long_urls");
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let query = encode("SELECT length({x:String})");
    let url = |length: usize| format!("/?query={query}&param_x={}", "y".repeat(length));
    // Bodies that look like requests lie between those that are.
    let body = format!("GET {} HTTP/1.1\r\n\r\n", url(100_000));
    let insert = "/?query=INSERT+INTO+FUNCTION+null('s+String')+FORMAT+RawBLOB";
    let mut sent = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", url(10));
    sent += &format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", url(900_000));
    let length = body.len();
    sent += &format!("POST {insert} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
    sent += &format!(
        "POST {insert} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    sent += &format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", url(2_000_000));
    sent += &format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", url(70_000));
    let mut writer = socket.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(sent.as_bytes()));
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    writing.join().unwrap().unwrap();
    let mut statuses = answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    let mut status = || statuses.next().map(|line| &line[..3]);
    let order: Vec<_> = std::iter::from_fn(&mut status).collect();
    assert_eq!(order, ["200", "200", "200", "200", "414", "200"], "{answers}");
    for text in ["\n10\n", "\n900000\n", "http_max_uri_size", "\n70000\n"] {
        assert!(answers.contains(text), "{text:?}: {answers}");
    }
}

#[test]
fn a_connection_may_stand_idle_for_longer_than_it_is_told() {
    let server = Server::start("idle");
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 4096];
    for pause in [11, 0] {
        socket.write_all(b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let count = socket.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "before {pause} seconds");
        std::thread::sleep(Duration::from_secs(pause));
    }
    // A head that began must end, though.
    let began = Instant::now();
    socket.write_all(b"GET /?que").unwrap();
    assert_eq!(socket.read(&mut answer).unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn errors_have_codes_and_statuses() {
    let server = Server::start("errors");
    for (sql, status, code) in [
        ("SELECT", 400, 62),
        ("SELEC 1", 400, 62),
        ("", 400, 62),
        ("SELECT * FROM nothing", 404, 60),
        ("SELECT * FROM no.thing", 404, 81),
        ("SELECT nothing", 404, 47),
        ("SELECT nofunction(1)", 404, 46),
        ("SELECT 1 FORMAT NoFormat", 404, 73),
        ("SELECT intDiv(1, 0)", 500, 153),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT {x:UInt8}", 500, 456),
        ("CREATE TABLE t (a NoType) ENGINE = MergeTree ORDER BY a", 404, 50),
        ("CREATE TABLE t (a UInt8) ENGINE = NoEngine", 404, 56),
        ("CREATE DATABASE default", 500, 82),
        ("SELECT 1 SETTINGS no_such_setting = 1", 404, 115),
    ] {
        let answer = server.send(sql).unwrap();
        let found = (answer.status, answer.header("x-clickhouse-exception-code").unwrap_or(""));
        assert_eq!(found, (status, code.to_string().as_str()), "{sql}: {}", answer.text());
        let prefix = format!("Code: {code}. DB::Exception: ");
        assert!(answer.text().starts_with(&prefix), "{}", answer.text());
        assert!(
            answer.text().ends_with("(version 26.9.2.1 (official build))\n"),
            "{}",
            answer.text()
        );
    }
    let answer = request(server.port, "POST", "/?no_such=1", &[], b"SELECT 1").unwrap();
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("115"));
}

#[test]
fn hostile_statements_are_errors() {
    let server = Server::start("hostile");
    let deep = |open: &str, close: &str| {
        format!("SELECT {}1{}", open.repeat(60_000), close.repeat(60_000))
    };
    for sql in [
        deep("(", ")"),
        deep("[", "]"),
        deep("-", ""),
        deep("NOT ", ""),
        format!("SELECT {}", vec!["1"; 100_000].join("+")),
        format!("SELECT {}", "CASE WHEN 1 THEN ".repeat(10_000)),
        "SELECT '".to_string(),
        "SELECT /* never closed".to_string(),
        "SELECT 1; SELECT 2".to_string(),
    ] {
        let answer = server.send(&sql).unwrap();
        assert!(answer.status >= 400, "{}", &sql[..60.min(sql.len())]);
        assert!(answer.text().starts_with("Code: "), "{}", answer.text());
    }
    assert_eq!(server.sql("SELECT 'still here'"), "still here");
}

#[test]
fn a_failure_behind_the_first_bytes_breaks_the_body() {
    let server = Server::start("midstream");
    let sql = "SELECT number, repeat('x', 100), throwIf(number = 3000000, 'stop here') FROM numbers(10000000) SETTINGS max_threads = 1";
    let answer = server.send(sql).unwrap();
    assert_eq!(answer.status, 200);
    let tag = answer.header("x-clickhouse-exception-tag").expect("a tag").to_string();
    assert!(!answer.complete, "the body must not look whole");
    let tail =
        String::from_utf8_lossy(&answer.body[answer.body.len().saturating_sub(600)..]).into_owned();
    assert!(tail.contains(&format!("__exception__\r\n{tag}\r\nCode: 395")), "{tail}");
    // An early failure has its true status.
    let answer = server.send("SELECT throwIf(number = 10) FROM numbers(100)").unwrap();
    assert_eq!(answer.status, 500);
}

#[test]
fn sessions_remember() {
    let server = Server::start("sessions");
    let send = |target: &str, sql: &str| {
        request(server.port, "POST", target, &[], sql.as_bytes()).unwrap()
    };
    assert_eq!(send("/?session_id=a", "SET max_threads = 3").status, 200);
    assert_eq!(send("/?session_id=a", "SELECT getSetting('max_threads')").text(), "3\n");
    assert_eq!(send("/?session_id=a", "USE system").status, 200);
    assert_eq!(send("/?session_id=a", "SELECT currentDatabase()").text(), "system\n");
    assert_eq!(send("/?session_id=b", "SELECT currentDatabase()").text(), "default\n");
    let missing = send("/?session_id=c&session_check=1", "SELECT 1");
    assert_eq!(missing.header("x-clickhouse-exception-code"), Some("372"));
}

#[test]
fn requests_of_one_session_wait_for_each_other() {
    let server = Server::start("session_queue");
    let ask = |sql: &'static str| {
        let port = server.port;
        std::thread::spawn(move || {
            request(port, "POST", "/?session_id=one", &[], sql.as_bytes()).unwrap()
        })
    };
    let all: Vec<_> = (0..4).map(|_| ask("SELECT sleep(0.2)")).collect();
    for answer in all {
        let answer = answer.join().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "0\n"));
    }
}

#[test]
fn half_an_insert_is_none() {
    let server = Server::start("half_insert");
    server.sql("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n");
    let rows: String = (0..1000).map(|n| format!("{n}\n")).collect();
    for body in [
        format!("Content-Length: {}\r\n\r\n{rows}", rows.len() + 10),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{rows}\r\n", rows.len()),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let target = "/?query=INSERT+INTO+t+FORMAT+TSV";
        write!(socket, "POST {target} HTTP/1.1\r\nHost: x\r\n{body}").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(server.sql("SELECT count() FROM t"), "0");
}

#[test]
fn parameters_take_any_character() {
    let server = Server::start("parameter_characters");
    // A tab and a line feed as they are, and as escapes; a backslash that begins none.
    for (given, length) in [("a%09b%0Ac", 5), ("a%5Ctb%5Cnc", 5), ("a%5C%5Cb", 3)] {
        let target = format!("/?param_s={given}");
        let sql = b"SELECT length({s:String})";
        let answer = request(server.port, "POST", &target, &[], sql).unwrap();
        assert_eq!(answer.text(), format!("{length}\n"), "{given}");
    }
}

#[test]
fn a_client_that_goes_away_stops_its_query() {
    let server = Server::start("gone");
    let sql = "SELECT number FROM numbers(1000000000000) FORMAT TabSeparated";
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(
        socket,
        "POST /?query_id=gone HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{sql}",
        sql.len()
    )
    .unwrap();
    let mut some = [0; 4096];
    socket.read_exact(&mut some).unwrap();
    drop(socket);
    server.until(
        "SELECT count() FROM system.processes WHERE query_id = 'gone'",
        "0",
        Duration::from_secs(10),
    );
}

#[test]
fn every_system_table_can_be_read() {
    let server = Server::start("system");
    let names =
        server.sql("SELECT name FROM system.tables WHERE database = 'system' ORDER BY name");
    assert!(names.lines().count() > 100);
    for name in names.lines() {
        server.sql(&format!("SELECT * FROM system.{name} LIMIT 3 FORMAT JSONEachRow"));
    }
    assert!(server.number("SELECT count() FROM system.settings") > 1800);
    assert!(server.number("SELECT count() FROM system.functions") > 300);
}

#[test]
fn show_describe_exists() {
    let server = Server::start("show");
    server.sql("CREATE DATABASE d COMMENT 'c'");
    server.sql("CREATE TABLE d.t (a UInt64, b String DEFAULT 'x' COMMENT 'note', c Date CODEC(ZSTD(1))) ENGINE = MergeTree PARTITION BY toYYYYMM(c) ORDER BY (a, b)");
    server.sql("CREATE VIEW d.v AS SELECT a FROM d.t WHERE a > 1");
    assert_eq!(
        server.sql("SHOW DATABASES"),
        "INFORMATION_SCHEMA\nd\ndefault\ninformation_schema\nsystem"
    );
    assert_eq!(server.sql("SHOW TABLES FROM d"), "t\nv");
    assert_eq!(server.sql("SHOW TABLES FROM d LIKE 'v%'"), "v");
    assert_eq!(server.sql("EXISTS TABLE d.t"), "1");
    assert_eq!(server.sql("EXISTS d.x"), "0");
    assert_eq!(
        server.sql("DESCRIBE TABLE d.t"),
        "a\tUInt64\t\t\t\t\t\nb\tString\tDEFAULT\t\\'x\\'\tnote\t\t\nc\tDate\t\t\t\tZSTD(1)\t"
    );
    assert_eq!(
        server.sql("SHOW CREATE TABLE d.t FORMAT TSVRaw"),
        "CREATE TABLE d.t\n(\n    `a` UInt64,\n    `b` String DEFAULT 'x' COMMENT 'note',\n    `c` Date CODEC(ZSTD(1))\n)\nENGINE = MergeTree\nPARTITION BY toYYYYMM(c)\nORDER BY (a, b)\nSETTINGS index_granularity = 8192"
    );
    server.sql("INSERT INTO d.t (a, c) VALUES (1, '2026-01-01'), (2, '2026-02-01')");
    assert_eq!(server.sql("SELECT * FROM d.v"), "2");
    assert_eq!(
        server.sql("SELECT partition_id, rows FROM system.parts WHERE table = 't' ORDER BY 1"),
        "202601\t1\n202602\t1"
    );
    server.sql("RENAME TABLE d.t TO d.t2");
    assert_eq!(server.sql("SELECT count() FROM d.t2"), "2");
    server.sql("DETACH TABLE d.t2");
    assert_eq!(server.error("SELECT * FROM d.t2").0, 60);
    server.sql("ATTACH TABLE d.t2");
    assert_eq!(server.sql("SELECT count() FROM d.t2"), "2");
    server.sql("TRUNCATE TABLE d.t2");
    assert_eq!(server.sql("SELECT count() FROM d.t2"), "0");
    server.sql("DROP DATABASE d");
    assert_eq!(server.error("SELECT * FROM d.t2").0, 81);
}

#[test]
fn headers_roles_and_databases_that_requests_ask_for() {
    let server = Server::start("asked");
    let ask = |target: &str, headers: &[(&str, &str)]| {
        request(server.port, "POST", target, headers, b"SELECT 1").unwrap()
    };
    let code = |target: &str| {
        let answer = ask(target, &[]);
        (answer.status, answer.header("x-clickhouse-exception-code").unwrap_or("").to_string())
    };
    assert_eq!(code("/?role=reader"), (404, "511".into()));
    assert_eq!(code("/?role="), (200, "".into()));
    assert_eq!(code("/?database=nowhere"), (404, "81".into()));
    assert_eq!(code("/?database=INFORMATION_SCHEMA"), (200, "".into()));
    assert_eq!(code("/?http_response_headers=7"), (400, "36".into()));
    let wanted = encode("{'X-Mine': 'yes', 'Cache-Control': 'max-age=5'}");
    let answer = ask(&format!("/?http_response_headers={wanted}"), &[]);
    assert_eq!((answer.header("x-mine"), answer.text()), (Some("yes"), "1\n".to_string()));
    assert_eq!(answer.header("cache-control"), Some("max-age=5"));
    let origin = [("Origin", "http://other.example")];
    let allowed = |target: &str, headers: &[(&str, &str)]| {
        ask(target, headers).header("access-control-allow-origin").map(str::to_string)
    };
    assert_eq!(allowed("/?add_http_cors_header=1", &origin), Some("*".into()));
    assert_eq!(allowed("/?add_http_cors_header=1", &[]), None);
    assert_eq!(allowed("/", &origin), None);
    let options = request(server.port, "OPTIONS", "/", &origin, b"").unwrap();
    assert_eq!((options.status, options.header("access-control-max-age")), (204, Some("86400")));
    let bad = request(server.port, "POST", "/?param_a=x", &[], b"SELECT {a:UInt8}").unwrap();
    assert_eq!((bad.status, bad.header("x-clickhouse-exception-code")), (500, Some("457")));
}

/// Limits and rights that settings of a request give, whichever way it names them.
#[test]
fn settings_of_requests_bind() {
    let server = Server::start("request_settings");
    let port = server.port;
    let post = &|target: &str, body: &str| {
        let answer = request(port, "POST", target, &[], body.as_bytes()).unwrap();
        let code = answer.header("x-clickhouse-exception-code").map(str::to_string);
        (answer.status, code.unwrap_or_default(), answer.text())
    };
    let refused = |target: &str, body: &str, status: u16, code: &str| {
        let (got, got_code, text) = post(target, body);
        assert_eq!((got, got_code.as_str()), (status, code), "{target} {body}: {text}");
    };
    // A text that is cut where the limit stands would be another query.
    refused("/?max_query_size=10", "SELECT 1111111111", 400, "62");
    refused("/?max_threads=abc", "SELECT 1", 400, "27");
    refused("/?join_algorithm=HASH", "SELECT 1", 500, "418");
    refused("/", "SELECT 1; SELECT 2", 400, "62");
    refused("/?readonly=1", "CREATE TABLE t (a UInt8) ENGINE = Memory", 500, "164");
    refused("/?readonly=1", "SELECT 1 SETTINGS max_threads = 1", 500, "164");
    refused("/?readonly=2", "INSERT INTO FUNCTION file('x.csv') SELECT 1", 500, "164");
    refused("/?allow_ddl=0", "CREATE TABLE t (a UInt8) ENGINE = Memory", 500, "392");
    let shown = "SELECT value, changed FROM system.settings WHERE name = 'max_memory_usage'";
    assert_eq!(post("/?max_memory_usage=5G", shown).2, "5000000000\t1\n");
    assert_eq!(post("/?readonly=1&output_format_json_quote_64bit_integers=1", "SELECT 1").0, 200);
    assert_eq!(post("/?param_x=%5Cx41", "SELECT {x:String}").2, "A\n");
    // A query takes the place of the running one of its name.
    std::thread::scope(|scope| {
        let long = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)";
        let first = scope.spawn(move || post("/?query_id=one&max_execution_time=60", long));
        let running = "SELECT count() FROM system.processes WHERE query_id = 'one'";
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.sql(running) == "0" {
            assert!(Instant::now() < deadline, "the query does not run");
            std::thread::sleep(Duration::from_millis(20));
        }
        refused("/?query_id=one", "SELECT 1", 500, "216");
        assert_eq!(post("/?query_id=one&replace_running_query=1", "SELECT 1").2, "1\n");
        assert_eq!(first.join().unwrap().1, "394");
    });
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
}

#[test]
fn errors_stand_in_the_result_when_asked() {
    let server = Server::start("exception_in_format");
    let ask = |parameters: &str, sql: &str| {
        let target = format!("/?http_write_exception_in_output_format=1&{parameters}");
        request(server.port, "POST", &target, &[], sql.as_bytes()).unwrap()
    };
    let sql = "SELECT number, throwIf(number = 2) AS t FROM numbers(5) SETTINGS max_block_size = 1, max_threads = 1";
    let rows = |format: &str| ask("", &format!("{sql} FORMAT {format}"));
    let answer = rows("JSON");
    assert_eq!((answer.status, answer.header("x-clickhouse-exception-code")), (500, Some("395")));
    assert_eq!(answer.header("x-clickhouse-format"), Some("JSON"));
    let document: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert!(document["exception"].as_str().unwrap().starts_with("Code: 395. DB::Exception: "));
    assert!(document.get("statistics").is_none());
    assert_eq!(document["rows"], document["data"].as_array().unwrap().len());
    for (format, last) in [
        ("JSONEachRow", "{\"exception\": \"Code: 395."),
        ("JSONCompactEachRow", "[\"Code: 395."),
        ("JSONStringsEachRow", "{\"exception\": \"Code: 395."),
        ("JSONCompactStringsEachRowWithNames", "[\"Code: 395."),
        ("JSONEachRowWithProgress", "{\"exception\":\"Code: 395."),
        ("JSONCompactStringsEachRowWithProgress", "{\"exception\":\"Code: 395."),
    ] {
        let answer = rows(format);
        let text = answer.text();
        assert!(text.trim_end().lines().last().unwrap().starts_with(last), "{format}: {text}");
    }
    assert!(rows("XML").text().contains("<exception>Code: 395."));
    // Also where settings change how values look.
    let answer = ask("output_format_float_precision=2", &format!("{sql} FORMAT JSONEachRow"));
    assert!(answer.text().contains("{\"exception\": \"Code: 395."), "{}", answer.text());
    // Nothing of the result is shown where all of it was waited for, and none is there of a statement that never ran.
    for answer in [
        ask("wait_end_of_query=1", &format!("{sql} FORMAT JSONEachRow")),
        ask("", "SELECT nothing FROM nowhere FORMAT JSONEachRow"),
    ] {
        assert_eq!(answer.text().lines().count(), 1, "{}", answer.text());
        assert!(answer.text().starts_with("{\"exception\": \"Code: "), "{}", answer.text());
    }
    // A format without a place for it, and no wish.
    assert!(rows("TabSeparated").text().starts_with("Code: 395."));
    let plain = server.send(&format!("{sql} FORMAT JSON")).unwrap();
    assert!(plain.text().starts_with("Code: 395."), "{}", plain.text());
}

#[test]
fn a_result_that_waits_for_its_end_lies_on_disk() {
    let server = Server::start("waits");
    let ask = |sql: &str| {
        request(server.port, "POST", "/?wait_end_of_query=1", &[], sql.as_bytes()).unwrap()
    };
    let answer = ask("SELECT number FROM numbers(1000000)");
    assert_eq!(answer.status, 200);
    let summary = answer.header("x-clickhouse-summary").unwrap();
    assert!(summary.contains("\"result_rows\":\"1000000\""), "{summary}");
    let text = answer.text();
    assert!(text.starts_with("0\n1\n2\n") && text.ends_with("\n999998\n999999\n"));
    assert_eq!(text.len(), 6_888_890);
    // It counts as the query's temporary data.
    let limit = "SETTINGS max_temporary_data_on_disk_size_for_query = 2000000";
    let answer = ask(&format!("SELECT number FROM numbers(1000000) {limit}"));
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("396"));
    // An error behind the first bytes has its status.
    let answer = ask("SELECT number, throwIf(number = 900000) FROM numbers(1000000)");
    assert_eq!((answer.status, answer.header("x-clickhouse-exception-code")), (500, Some("395")));
}
