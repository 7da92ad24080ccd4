//! Statements that are made to hurt: deep, long, wide, exploding, with bytes that are no text. Each gets an
//! answer or a clear error within seconds, and the server goes on.

use std::time::{Duration, Instant};

use crate::harness::http;
use crate::harness::server::Server;

/// Longest time that any of these statements may take.
const SLOWEST: Duration = Duration::from_secs(60);

/// Memory of the server, so that a statement that wants more is refused and not the machine's end.
const LIMITS: &[(&str, &str)] = &[("PUMPHOUSE_MAX_SERVER_MEMORY_USAGE", "2000000000")];

/// Sends the statement; its code (0 for an answer) must be one of `allowed`.
fn survives(server: &Server, what: &str, statement: &[u8], allowed: &[u32]) {
    let began = Instant::now();
    let answer = http::request(server.port, "POST", "/?max_query_size=100000000", &[], statement)
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let code = answer
        .header("x-clickhouse-exception-code")
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    let text = answer.text();
    let shown: String = text.chars().take(300).collect();
    assert!(allowed.contains(&code), "{what}: code {code}: {shown}");
    assert!(began.elapsed() < SLOWEST, "{what} took {:?}", began.elapsed());
    assert_eq!(server.sql("SELECT 1"), "1", "after {what}");
}

#[test]
fn no_statement_ends_the_server() {
    let server = Server::start_configured("hostile_statements", LIMITS);
    let deep = |open: &str, close: &str, n: usize| {
        format!("SELECT {}1{}", open.repeat(n), close.repeat(n)).into_bytes()
    };
    // Depth: 306 and 167 are the limits on it, 62 where the text is larger than a query may be.
    survives(&server, "parentheses", &deep("(", ")", 10_000), &[306, 167, 62]);
    survives(&server, "arrays", &deep("[", "]", 10_000), &[306, 167, 62]);
    survives(&server, "calls", &deep("f(", ")", 10_000), &[306, 167, 62]);
    survives(&server, "NOT", &deep("NOT ", "", 10_000), &[306, 167, 62]);
    survives(&server, "minus", &deep("- ", "", 10_000), &[306, 167, 62]);
    survives(&server, "subqueries", &deep("(SELECT ", ")", 5000), &[306, 167, 62]);
    survives(&server, "CASE", &deep("CASE WHEN 1 THEN ", " END", 3000), &[306, 167, 62]);
    survives(&server, "additions", &deep("1 + ", "", 50_000), &[0, 306, 167, 168, 62]);
    survives(&server, "open parentheses", "(".repeat(200_000).as_bytes(), &[306, 167, 62]);
    survives(
        &server,
        "types",
        format!("SELECT CAST(1 AS {}Int8", "Array(".repeat(5000)).as_bytes(),
        &[306, 167, 62],
    );
    // Length.
    let list: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let statement = format!("SELECT count() FROM numbers(10) WHERE number IN ({})", list.join(","));
    survives(&server, "a long IN list", statement.as_bytes(), &[0, 62, 168]);
    let name = "x".repeat(1 << 20);
    survives(&server, "a long name", format!("SELECT `{name}`").as_bytes(), &[47, 62]);
    survives(&server, "a long text", format!("SELECT length('{name}')").as_bytes(), &[0, 62]);
    survives(&server, "a long comment", format!("SELECT 1 /*{name}*/").as_bytes(), &[0, 62]);
    survives(&server, "semicolons", ";".repeat(100_000).as_bytes(), &[62]);
    // Size of what is made.
    survives(&server, "a long array", b"SELECT length(range(10000000))", &[0, 69, 128, 241]);
    survives(&server, "a longer array", b"SELECT length(range(1000000000000))", &[69, 128, 241]);
    survives(&server, "repeat", b"SELECT length(repeat('x', 100000000000))", &[131, 69, 241]);
    survives(
        &server,
        "arrayWithConstant",
        b"SELECT arrayWithConstant(10000000000, 1)",
        &[128, 69, 241],
    );
    let join = "SELECT count() FROM numbers(1000000) a, numbers(1000000) b, numbers(1000000) c \
                SETTINGS max_execution_time = 2";
    survives(&server, "an exploding join", join.as_bytes(), &[159, 160]);
    let group = "SELECT a.number, b.number, count() FROM numbers(100000) a, numbers(100000) b \
                 GROUP BY 1, 2 SETTINGS max_execution_time = 5, max_memory_usage = 300000000";
    survives(&server, "an exploding GROUP BY", group.as_bytes(), &[159, 160, 241]);
    let recursive = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count() FROM r \
                     SETTINGS max_execution_time = 3";
    survives(&server, "endless recursion", recursive.as_bytes(), &[306, 159, 160, 241]);
    // Regular expressions that other engines take exponential time for.
    for pattern in ["(a+)+$", "(a|a)*$", "(a*)*b", "(.*.*)*x", "a{1000}{1000}"] {
        let statement = format!("SELECT match(repeat('a', 100000) || '!', '{pattern}')");
        survives(&server, pattern, statement.as_bytes(), &[0, 427, 36]);
    }
    // Bytes that are no text.
    survives(&server, "no UTF-8", b"SELECT '\xff\xfe\x80' AS x", &[0, 62]);
    survives(&server, "no UTF-8 in a name", b"SELECT 1 AS `\xc3\x28`", &[0, 62]);
    survives(&server, "no UTF-8 outside of quotes", b"SELECT \xff\xfe", &[62]);
    survives(&server, "NUL in a text", b"SELECT length('a\0b')", &[0, 62]);
    survives(&server, "NUL outside of quotes", b"SELECT 1\0, 2", &[0, 62]);
    survives(&server, "only NULs", &[0; 1000], &[62]);
    survives(&server, "nothing", b"", &[62]);
}
