//! Users, roles and grants on the real binary: what each statement needs (`access_needs.tsv`, learned from the real
//! ClickHouse engine), who may enter over HTTP and the native protocol, what survives a kill, what is hidden. Each case finds the
//! scene anew; with all but its last grant it must still be refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::http::{encode, request};
use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port};

/// What each case finds.
const SCENE: &[&str] = &[
    "DROP DATABASE IF EXISTS db",
    "DROP DATABASE IF EXISTS db2",
    "DROP DATABASE IF EXISTS x",
    "DROP FUNCTION IF EXISTS ff",
    "DROP FUNCTION IF EXISTS gg",
    "DROP NAMED COLLECTION IF EXISTS nc",
    "DROP NAMED COLLECTION IF EXISTS nc2",
    "DROP USER IF EXISTS u, un, other, definer",
    "DROP ROLE IF EXISTS role, rn",
    "DROP QUOTA IF EXISTS q",
    "DROP SETTINGS PROFILE IF EXISTS pr",
    "DROP ROW POLICY IF EXISTS p ON db.t",
    "CREATE DATABASE db",
    "CREATE DATABASE db2",
    "CREATE TABLE db.t (a Int32, b Int32, c Int32, d Int32 ALIAS a + b) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE db.t2 (a Int32, b Int32) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE db.t3 (a Int32, b Int32) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE db2.s (a Int32) ENGINE = MergeTree ORDER BY a",
    "INSERT INTO db.t VALUES (1, 2, 3)",
    "INSERT INTO db.t2 VALUES (1, 2)",
    "CREATE VIEW db.v AS SELECT a, c FROM db.t",
    "CREATE VIEW db.vd DEFINER = default SQL SECURITY DEFINER AS SELECT a, c FROM db.t",
    "CREATE MATERIALIZED VIEW db.mv ENGINE = MergeTree ORDER BY a AS SELECT a, c FROM db.t",
    "CREATE DICTIONARY db.dd (a UInt64, b Int32) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't2' DB 'db')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE TABLE db.j (a Int32, b Int32) ENGINE = Join(ANY, LEFT, a)",
    "CREATE FUNCTION ff AS x -> x + 1",
    "CREATE NAMED COLLECTION nc AS a = 1",
    "CREATE USER u",
    "CREATE USER other",
    "CREATE USER definer",
    "CREATE ROLE role",
];

/// A statement of a user: its code (0: none) and text.
fn as_user(server: &Server, user: &str, password: &str, target: &str, sql: &str) -> (u32, String) {
    let headers = [("X-ClickHouse-User", user), ("X-ClickHouse-Key", password)];
    let answer = request(server.port, "POST", target, &headers, sql.as_bytes()).unwrap();
    let code = answer.header("x-clickhouse-exception-code").and_then(|c| c.parse().ok());
    (code.unwrap_or(0), answer.text().trim_end().to_string())
}

#[test]
fn each_statement_needs_its_grants_and_no_more() {
    let server = Server::start("access_needs");
    let cases = include_str!("access_needs.tsv");
    assert!(cases.lines().count() >= 60);
    let mut wrong = vec![];
    for line in cases.lines() {
        let (grants, statement) = line.split_once('\t').unwrap();
        let scene = || SCENE.iter().for_each(|sql| drop(server.sql(sql)));
        scene();
        let run = || as_user(&server, "u", "", "/", statement);
        let (code, text) = run();
        let granted = text.contains("Not enough privileges. To execute this query, it's necessary");
        // Lists of nothing are no error.
        if code != 497 || !granted {
            wrong.push(format!("{statement}: without grants {code} {text}"));
        }
        let grants: Vec<&str> = grants.split("; ").collect();
        // One grant fewer is too little.
        for grant in &grants[..grants.len() - 1] {
            server.sql(&format!("GRANT {grant} TO u"));
        }
        if grants.len() > 1 && run().0 != 497 {
            wrong.push(format!("{statement}: with all but the last grant it ran"));
        }
        server.sql(&format!("GRANT {} TO u", grants[grants.len() - 1]));
        let (code, text) = run();
        if code != 0 {
            wrong.push(format!("{statement}: with its grants {code} {text}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn texts_of_errors_and_columns_that_are_not_told() {
    let server = Server::start("access_texts");
    SCENE.iter().for_each(|sql| drop(server.sql(sql)));
    server.sql("GRANT SELECT(a, b), INSERT(a) ON db.t TO u");
    let error = |sql: &str| {
        let (code, text) = as_user(&server, "u", "", "/", sql);
        let text = text.split("have the grant ").nth(1).unwrap_or(&text).to_string();
        (code, text.split(". (ACCESS_DENIED)").next().unwrap_or_default().to_string())
    };
    let denied = |text: &str| (497, text.to_string());
    assert_eq!(
        error("INSERT INTO db.t (a, b) VALUES (1, 2)"),
        denied("INSERT(a, b) ON db.t. (Missing permissions: INSERT(b) ON db.t)")
    );
    // A column that may not be seen is not named.
    assert_eq!(
        error("SELECT a, c FROM db.t"),
        denied("SELECT ON db.t. (Missing permissions: SELECT ON db.t)")
    );
    assert_eq!(error("SELECT c FROM db.t"), denied("SELECT ON db.t"));
    assert_eq!(error("GRANT SELECT ON db.t TO other"), denied("SELECT ON db.t WITH GRANT OPTION"));
    assert_eq!(error("SELECT nope FROM db.t").0, 47);
    assert_eq!(error("SELECT * FROM db.nope").0, 60);
    let seen = |sql: &str| as_user(&server, "u", "", "/", sql).1;
    assert_eq!(seen("SHOW DATABASES"), "db");
    assert_eq!(seen("SHOW TABLES FROM db"), "t");
    assert_eq!(seen("SELECT name FROM system.columns WHERE table = 't'"), "a\nb");
    assert_eq!(seen("SHOW GRANTS"), "GRANT SELECT(a, b), INSERT(a) ON db.t TO u");
    assert_eq!(seen("SELECT user FROM system.processes"), "u");
    server.sql("GRANT SELECT ON db.* TO u");
    server.sql("REVOKE SELECT ON db.t2 FROM u");
    assert_eq!(error("SELECT * FROM db.t2"), denied("SELECT ON db.t2"));
    assert_eq!(error("SELECT * FROM db.t3").0, 0);
    assert_eq!(error("SELECT (SELECT a FROM db.t2) FROM db.t3").0, 497);
    assert_eq!(error("SELECT a FROM db.t3 UNION ALL SELECT a FROM db.t2").0, 497);
}

#[test]
fn who_may_enter() {
    let tcp = free_port();
    let server =
        Server::start_configured("access_enter", &[("PUMPHOUSE_TCP_PORT", &tcp.to_string())]);
    for (name, definition) in [
        ("hashed", "IDENTIFIED BY 'secret'"),
        ("sha1", "IDENTIFIED WITH double_sha1_password BY 'secret'"),
        ("plain", "IDENTIFIED WITH plaintext_password BY 'secret'"),
        ("two", "IDENTIFIED WITH sha256_password BY 'secret', plaintext_password BY 'other'"),
        ("local", "IDENTIFIED BY 'secret' HOST LOCAL"),
        ("net", "IDENTIFIED BY 'secret' HOST IP '127.0.0.0/8'"),
        ("far", "IDENTIFIED BY 'secret' HOST IP '10.0.0.0/8'"),
        ("nowhere", "IDENTIFIED BY 'secret' HOST NONE"),
        ("late", "IDENTIFIED BY 'secret' VALID UNTIL '2020-01-01'"),
        ("early", "IDENTIFIED BY 'secret' VALID UNTIL '2100-01-01'"),
    ] {
        server.sql(&format!("CREATE USER {name} {definition}"));
    }
    let enters = |user: &str, password: &str| {
        let (code, text) = as_user(&server, user, password, "/", "SELECT currentUser()");
        if code != 0 {
            // Nothing tells why.
            let wanted =
                "Authentication failed: password is incorrect, or there is no user with such name";
            assert!(code == 516 && text.contains(wanted), "{user}: {code} {text}");
        }
        assert_eq!(enters_natively(tcp, user, password), code == 0, "{user}");
        code == 0 && text == user
    };
    for user in ["hashed", "sha1", "plain", "two", "local", "net", "early"] {
        assert!(enters(user, "secret"), "{user}");
        assert!(!enters(user, "wrong") && !enters(user, ""), "{user}");
    }
    assert!(enters("two", "other"));
    for user in ["far", "nowhere", "late", "nobody"] {
        assert!(!enters(user, "secret"), "{user}");
    }
    // Basic and the URL name users too.
    let url = format!("/?user=hashed&password=secret&query={}", encode("SELECT currentUser()"));
    assert_eq!(request(server.port, "GET", &url, &[], b"").unwrap().text(), "hashed\n");
    let basic = [("Authorization", "Basic aGFzaGVkOnNlY3JldA==")];
    let answer = request(server.port, "POST", "/", &basic, b"SELECT currentUser()").unwrap();
    assert_eq!(answer.text(), "hashed\n");
    // A changed password counts from the next request on.
    server.sql("ALTER USER hashed IDENTIFIED BY 'new'");
    assert!(enters("hashed", "new") && !enters("hashed", "secret"));
    server.sql("DROP USER hashed");
    assert!(!enters("hashed", "new"));
    // Nothing of a password is in logs or in what is shown.
    server.sql("SYSTEM FLUSH LOGS");
    let logged = "SELECT countIf(query LIKE '%secret%' OR exception LIKE '%secret%') FROM system.query_log \
                  WHERE query NOT LIKE '%query_log%'";
    assert_eq!(server.sql(logged), "0");
    let shown = server.sql("SHOW CREATE USERS");
    assert!(
        !shown.contains("secret") && shown.contains("IDENTIFIED WITH sha256_password"),
        "{shown}"
    );
}

/// Greets in the native protocol; whether the server greets back.
fn enters_natively(port: u16, user: &str, password: &str) -> bool {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut hello = vec![0];
    let text = |hello: &mut Vec<u8>, text: &str| {
        hello.push(text.len() as u8);
        hello.extend_from_slice(text.as_bytes());
    };
    text(&mut hello, "test");
    // Version 1.1, revision 54032.
    hello.extend_from_slice(&[1, 1, 0x90, 0xa6, 0x03]);
    for part in ["default", user, password] {
        text(&mut hello, part);
    }
    socket.write_all(&hello).unwrap();
    let mut kind = [9];
    socket.read_exact(&mut kind).unwrap();
    kind[0] == 0
}

#[test]
fn roles_and_what_survives_a_kill() {
    let folder = TestFolder::new("access_kill");
    let mut server = Server::start_in(&folder.0);
    SCENE.iter().for_each(|sql| drop(server.sql(sql)));
    for sql in [
        "CREATE ROLE reader, writer",
        "GRANT SELECT ON db.* TO reader",
        "GRANT INSERT ON db.t TO writer",
        "GRANT reader TO u WITH ADMIN OPTION",
        "GRANT writer TO u",
        "ALTER USER u DEFAULT ROLE reader SETTINGS max_threads = 2 MIN 1 MAX 4, max_block_size = 1000 READONLY",
        "ALTER ROLE writer RENAME TO scribe",
    ] {
        server.sql(sql);
    }
    let check = |server: &Server| {
        let run = |target: &str, sql: &str| as_user(server, "u", "", target, sql);
        assert_eq!(run("/", "SELECT currentRoles(), enabledRoles()").1, "['reader']\t['reader']");
        assert_eq!(run("/", "SELECT count() FROM db.t3"), (0, "0".into()));
        assert_eq!(run("/", "INSERT INTO db.t (a) VALUES (9)").0, 497);
        assert_eq!(run("/?role=scribe", "INSERT INTO db.t (a) VALUES (9)").0, 0);
        assert_eq!(run("/?role=scribe", "SELECT count() FROM db.t").0, 497);
        assert_eq!(run("/?role=scribe&role=reader", "SELECT count() > 0 FROM db.t").1, "1");
        assert_eq!(run("/?role=nope", "SELECT 1").0, 511);
        assert_eq!(run("/?role=role", "SELECT 1").0, 512);
        assert_eq!(run("/?session_id=a", "SET ROLE scribe"), (0, String::new()));
        assert_eq!(run("/?session_id=a", "SELECT role_name FROM system.current_roles").1, "scribe");
        assert_eq!(run("/?session_id=a", "SELECT count() FROM db.t").0, 497);
        assert_eq!(run("/?session_id=a", "SET ROLE DEFAULT").0, 0);
        assert_eq!(run("/?session_id=a", "SELECT count() > 0 FROM db.t").1, "1");
        assert_eq!(run("/", "SELECT getSetting('max_threads')").1, "2");
        assert_eq!(run("/", "SELECT getSetting('max_threads') SETTINGS max_threads = 3").1, "3");
        assert_eq!(run("/", "SELECT 1 SETTINGS max_threads = 5").0, 452);
        assert_eq!(run("/", "SELECT 1 SETTINGS max_block_size = 5").0, 452);
        assert_eq!(run("/", "GRANT reader TO other").0, 0);
        assert_eq!(run("/", "GRANT scribe TO other").0, 497);
        let shown = [
            "CREATE USER u IDENTIFIED WITH no_password DEFAULT ROLE reader SETTINGS max_threads = 2 MIN 1 MAX 4, \
             max_block_size = 1000 CONST",
            "GRANT scribe TO u\nGRANT reader TO u WITH ADMIN OPTION",
        ];
        assert_eq!(server.sql("SHOW CREATE USER u"), shown[0]);
        assert_eq!(server.sql("SHOW GRANTS FOR u"), shown[1]);
        server.sql("REVOKE reader FROM other");
    };
    check(&server);
    server.kill();
    drop(server);
    let server = Server::start_in(&folder.0);
    check(&server);
    assert_eq!(server.error("CREATE USER u").0, 493);
    assert_eq!(server.error("ALTER USER default HOST ANY").0, 495);
    assert_eq!(server.error("GRANT nope TO u").0, 511);
    assert_eq!(server.error("DROP USER nope").0, 192);
    assert_eq!(server.error("CREATE USER n ON CLUSTER c").0, 48);
    assert_eq!(server.error("CREATE USER n IDENTIFIED WITH bcrypt_password BY 'x'").0, 48);
}

#[test]
fn policies_profiles_and_quotas() {
    let server = Server::start("access_policies");
    SCENE.iter().for_each(|sql| drop(server.sql(sql)));
    server.sql("INSERT INTO db.t3 SELECT number, number % 2 FROM numbers(10)");
    server.sql("GRANT SELECT ON db.* TO u, other");
    server.sql("CREATE VIEW db.v3 AS SELECT a FROM db.t3");
    server.sql("CREATE ROW POLICY even ON db.t3 USING b = 0 TO u");
    server.sql("CREATE ROW POLICY small ON db.t3 AS RESTRICTIVE USING a < 5 TO u");
    let rows = |user: &str, from: &str| {
        as_user(&server, user, "", "/", &format!("SELECT count() FROM {from}")).1
    };
    assert_eq!(rows("u", "db.t3"), "3");
    assert_eq!(rows("u", "db.v3"), "3");
    assert_eq!(rows("u", "(SELECT * FROM db.t3 AS x JOIN db.t3 AS y ON x.a = y.a)"), "3");
    assert_eq!(rows("u", "merge('db', '^t3')"), "3");
    server.sql("GRANT READ ON REMOTE TO u");
    server.sql("GRANT CREATE TEMPORARY TABLE ON *.* TO u");
    assert_eq!(rows("u", "remote('127.0.0.1', 'db', 't3')"), "3");
    assert_eq!(rows("other", "db.t3"), "10");
    server.sql("ALTER ROW POLICY even ON db.t3 TO ALL EXCEPT default");
    assert_eq!((rows("other", "db.t3"), rows("default", "db.t3")), ("5".into(), "10".into()));
    server.sql("DROP ROW POLICY even, small ON db.t3");
    assert_eq!(rows("u", "db.t3"), "10");
    server.sql("CREATE SETTINGS PROFILE low SETTINGS max_rows_to_read = 5 CONST TO u");
    assert_eq!(as_user(&server, "u", "", "/", "SELECT getSetting('max_rows_to_read')").1, "5");
    server.sql("DROP SETTINGS PROFILE low");
    server.sql("CREATE QUOTA few KEYED BY user_name FOR INTERVAL 1 year MAX queries = 3 TO u");
    let codes: Vec<u32> = (0..5).map(|_| as_user(&server, "u", "", "/", "SELECT 1").0).collect();
    assert_eq!(codes, [0, 0, 0, 201, 201]);
    assert_eq!(as_user(&server, "other", "", "/", "SELECT 1").0, 0);
}
