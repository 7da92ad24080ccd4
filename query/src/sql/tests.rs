//! The parser and formatter against ClickHouse: `testdata/*.sql` has one statement a line, `*.golden`
//! what ClickHouse 26.9 makes of each: its single-line form, then its form on several lines, then
//! `----`; or `!62` alone where it finds a syntax error. Beside that, what no text may do: panic,
//! overflow the stack, or change when it is printed and read again.

use super::*;

const SETS: [(&str, &str, &str); 7] = [
    ("random", include_str!("testdata/random.sql"), include_str!("testdata/random.golden")),
    ("products", include_str!("testdata/products.sql"), include_str!("testdata/products.golden")),
    (
        "expressions",
        include_str!("testdata/expressions.sql"),
        include_str!("testdata/expressions.golden"),
    ),
    ("select", include_str!("testdata/select.sql"), include_str!("testdata/select.golden")),
    ("create", include_str!("testdata/create.sql"), include_str!("testdata/create.golden")),
    ("access", include_str!("testdata/access.sql"), include_str!("testdata/access.golden")),
    ("other", include_str!("testdata/other.sql"), include_str!("testdata/other.golden")),
];

/// All statements with their two expected forms; None where ClickHouse rejects them.
fn cases() -> Vec<(&'static str, Option<(&'static str, &'static str)>)> {
    let mut cases = Vec::new();
    for (name, statements, golden) in SETS {
        let expected: Vec<&str> = golden.split("\n----\n").filter(|e| !e.is_empty()).collect();
        let statements: Vec<&str> = statements.lines().collect();
        assert_eq!(statements.len(), expected.len(), "{name}");
        for (statement, expected) in statements.into_iter().zip(expected) {
            cases
                .push((statement, (expected != "!62").then(|| expected.split_once('\n').unwrap())));
        }
    }
    cases
}

#[test]
fn prints_what_clickhouse_prints() {
    let mut wrong = Vec::new();
    for (statement, expected) in cases() {
        let parsed = parse_statement(statement);
        match (parsed, expected) {
            (Ok(parsed), Some((single, pretty))) => {
                let got = format::parsed(&parsed, false);
                if got != single {
                    wrong.push(format!("{statement}\n  expected {single}\n  got      {got}"));
                }
                let got = format::parsed(&parsed, true);
                if got != pretty {
                    wrong.push(format!("{statement}\n  expected {pretty}\n  got      {got}"));
                }
            }
            (Ok(parsed), None) => {
                wrong.push(format!("{statement}: read as {}", format::parsed(&parsed, false)));
            }
            (Err(error), Some(_)) => wrong.push(format!("{statement}: {error}")),
            (Err(error), None) => assert_eq!(error.code(), codes::SYNTAX_ERROR, "{statement}"),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What was printed is read back as the same and printed as the same.
#[test]
fn printing_is_stable() {
    for (statement, _) in cases() {
        let Ok(parsed) = parse_statement(statement) else { continue };

        for pretty in [false, true] {
            let printed = format::parsed(&parsed, pretty);
            let again = parse_statement(&printed)
                .unwrap_or_else(|error| panic!("{statement}\n{printed}\n{error}"));
            assert_eq!(format::parsed(&again, pretty), printed, "{statement}");
        }
    }
}

/// A small generator of numbers (xorshift), so that the test is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn tokens(sql: &str) -> Vec<&str> {
    let mut lexer = lexer::Lexer::new(sql);
    let mut all = Vec::new();
    loop {
        let token = lexer.next_token();
        if token.kind == lexer::TokenKind::End {
            return all;
        }
        all.push(&sql[token.start..token.end]);
    }
}

/// Statements with tokens dropped, doubled, swapped or taken from others: never a panic, and what is
/// read can be printed.
#[test]
fn mutated_statements_never_panic() {
    let statements: Vec<Vec<&str>> = cases().iter().map(|(s, _)| tokens(s)).collect();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut mutated = statements[numbers.below(statements.len())].clone();
        for _ in 0..1 + numbers.below(3) {
            if mutated.is_empty() {
                break;
            }
            let at = numbers.below(mutated.len());
            let other = &statements[numbers.below(statements.len())];
            match numbers.below(4) {
                0 => drop(mutated.remove(at)),
                1 => mutated.insert(at, mutated[at]),
                2 => mutated.swap(at, 0),
                _ if other.is_empty() => {}
                _ => mutated[at] = other[numbers.below(other.len())],
            }
        }
        let sql = mutated.join(" ");
        if let Ok(parsed) = parse_statement(&sql) {
            accepted += 1;
            let printed = format::parsed(&parsed, true);
            let single = format::parsed(&parsed, false);
            assert!(!printed.is_empty() && !single.is_empty(), "{sql}");
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

/// Any bytes at all, cut at any place.
#[test]
fn broken_text_never_panics() {
    let mut numbers = Numbers(42);
    for (statement, _) in cases() {
        for _ in 0..4 {
            let mut text: Vec<char> = statement.chars().collect();
            let at = numbers.below(text.len());
            match numbers.below(3) {
                0 => text.truncate(at),
                1 => text[at] = ['\'', '"', '`', '\\', '$', 'é', '\0', '(', '{'][numbers.below(9)],
                _ => text.insert(at, ['\'', '.', '-', ':', '@', '\u{201c}'][numbers.below(6)]),
            }
            let text: String = text.into_iter().collect();
            let _ = parse_statement(&text);
            let _ = parse_statements(&text);
        }
    }
}

/// Runs on a stack of 2 MB, as server threads have it.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn nesting_is_an_error_and_no_overflow() {
    on_small_stack(|| {
        let count = 100_000;
        let open = |unit: &str, close: &str| {
            format!("SELECT {}1{}", unit.repeat(count), close.repeat(count))
        };
        let texts = [
            open("(", ")"),
            open("-", ""),
            open("- ", ""),
            open("NOT ", ""),
            open("[", "]"),
            open("f(", ")"),
            open("(SELECT ", ")"),
            open("x -> ", ""),
            open("CASE WHEN ", " THEN 1 END"),
            open("CAST(", " AS Int8)"),
            open("INTERVAL ", " DAY"),
            open("1 + (", ")"),
            open("a ? ", ""),
            open("a IN (", ")"),
            open("EXISTS(SELECT ", ")"),
            format!("SELECT * FROM {}t", "(SELECT * FROM ".repeat(count)),
            format!("{}SELECT 1", "(".repeat(count)),
            format!("{}SELECT 1", "EXPLAIN ".repeat(count)),
            format!("SELECT 1::{}", "Array(".repeat(count)),
            format!("SELECT 1 SETTINGS a = {}", "[".repeat(count)),
            format!("SELECT f({}", "SELECT f(".repeat(count)),
            format!("WITH {} SELECT 1", "a AS (WITH ".repeat(count)),
        ];
        for text in texts {
            let error = parse_statement(&text).expect_err(&text[..40]);
            let limits = [codes::TOO_DEEP_RECURSION, codes::TOO_DEEP_AST, codes::SYNTAX_ERROR];
            assert!(limits.contains(&error.code()), "{error}");
        }
    });
}

#[test]
fn long_chains_are_an_error_and_no_overflow() {
    on_small_stack(|| {
        let chain = |operator: &str| format!("SELECT 1{}", operator.repeat(50_000));
        for text in [
            chain(" + 1"),
            chain(" || a = b"),
            chain("::Int8"),
            chain("[1]"),
            format!("SELECT a{}", ".1".repeat(50_000)),
            chain(" IS NULL"),
            chain(" BETWEEN 1 AND 2"),
            format!("SELECT * FROM t{}", " JOIN u USING a".repeat(50_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1 UNION DISTINCT SELECT 1".repeat(50_000)),
            format!("SELECT 1{}", ", a".repeat(60_000)),
        ] {
            let error = parse_statement(&text).expect_err(&text[..40]);
            assert!([codes::TOO_DEEP_AST, codes::TOO_BIG_AST].contains(&error.code()), "{error}");
        }
    });
}

#[test]
fn what_is_deep_but_allowed_can_be_walked() {
    on_small_stack(|| {
        let deep = [
            format!("SELECT 1{}", " + 1".repeat(480)),
            format!("SELECT 1{}", " AND a".repeat(20_000)),
            format!("SELECT a IN ({}1)", "1, ".repeat(100_000)),
            format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100)),
            format!("SELECT {}1{}", "f(".repeat(40), ")".repeat(40)),
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(20), ")".repeat(20)),
        ];
        for text in deep {
            let parsed = parse_statement(&text).unwrap_or_else(|e| panic!("{}: {e}", &text[..40]));
            let copy = parsed.clone();
            assert!(copy == parsed);
            let printed = format::parsed(&parsed, true);
            assert!(printed.len() > 5);
            let debug = format!("{parsed:?}");
            assert!(debug.len() > 100);
        }
    });
}

#[test]
fn insert_data_is_not_read() {
    let sql = "INSERT INTO t (a) VALUES ('un\\closed, \u{201c} `";
    match parse_statement(sql).unwrap().statement {
        ast::Statement::Insert(insert) => {
            let ast::InsertSource::Values { data_offset } = insert.source else { panic!() };
            assert_eq!(&sql[data_offset..data_offset + 2], " (");
        }
        other => panic!("{other:?}"),
    }
    let sql = "INSERT INTO t FORMAT JSONEachRow \n{\"a\": 'x";
    match parse_statement(sql).unwrap().statement {
        ast::Statement::Insert(insert) => {
            let ast::InsertSource::Format { format, data_offset } = insert.source else { panic!() };
            assert_eq!(
                (format.as_deref(), &sql[data_offset..]),
                (Some("JSONEachRow"), "{\"a\": 'x")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameters_are_replaced() {
    let mut parameters = Parameters::new();
    parameters.insert("t".into(), "my table".into());
    parameters.insert("x".into(), "5".into());
    let sql = "SELECT {x:UInt8} FROM {t:Identifier}";
    let parsed = parse_statement_with(sql, &parameters).unwrap();
    let printed = format::parsed(&parsed, false);
    assert_eq!(printed, "SELECT _CAST('5', 'UInt8') FROM `my table`");
    let error = parse_statement_with("SELECT {y:UInt8}", &parameters).unwrap_err();
    assert_eq!(error.code(), codes::UNKNOWN_QUERY_PARAMETER);
}

#[test]
fn errors_name_the_place() {
    let cases = [
        ("SELECT a b c", "Syntax error: failed at position 12 (c): c. Expected one of: "),
        (
            "SELECT 1\nFROM t WHERE",
            "Syntax error: failed at position 22 (end of query) (line 2, col 13): . ",
        ),
        (
            "SELECT (1",
            "Syntax error: failed at position 10 (end of query): . Unmatched parentheses: '(' at position 8 \
             is never closed",
        ),
        (
            "SELECT 'abc",
            "Single quoted string is not closed: Syntax error: failed at position 8 ('abc): 'abc. ",
        ),
    ];
    for (sql, expected) in cases {
        let error = parse_statement(sql).unwrap_err();
        assert_eq!(error.code(), codes::SYNTAX_ERROR);
        let message = error.to_string();
        assert!(message.starts_with(expected), "{sql}: {message}");
    }
}

#[test]
fn scripts_are_split() {
    let script = "SELECT ';'; -- x;\nSELECT 2 ;; INSERT INTO t VALUES (1, ';'); SELECT 3";
    let texts: Vec<&str> =
        split_statements(script).unwrap().into_iter().map(|r| &script[r]).collect();
    assert_eq!(texts, ["SELECT ';'", "SELECT 2", "INSERT INTO t VALUES (1, ';')", "SELECT 3"]);
    assert_eq!(parse_statements(script).unwrap().len(), 4);
}

/// Names as ClickHouse 26.9 shows them.
#[test]
fn column_names() {
    for line in include_str!("testdata/names.tsv").lines() {
        let (text, name) = line.split_once('\t').unwrap();
        assert_eq!(column_name(&parse_expression(text).unwrap()), name, "{text}");
    }
}
