//! SQL scripts through our server and through the real ClickHouse engine: same text, same answer. The
//! scripts are in `tests/sql`; an error counts as the same when its code is.

use std::path::Path;

use crate::harness::oracle;
use crate::harness::server::Server;
use crate::harness::skipped;

/// The statements of a script: separated by `;` at a line's end.
fn statements(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("--")).collect();
    lines
        .join("\n")
        .split(";\n")
        .map(|s| s.trim().trim_end_matches(';').to_string())
        .filter(|s| !s.is_empty())
        .collect()
}

/// Whether rows may come in any order: ClickHouse computes the sides of a UNION ALL at once.
fn is_unordered(sql: &str) -> bool {
    let sql = sql.to_uppercase();
    sql.contains("UNION ALL") && !sql.contains("ORDER BY")
}

fn is_same(sql: &str, a: &Result<String, u32>, b: &Result<String, u32>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) if is_unordered(sql) => {
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
                lines.sort();
                lines
            };
            sorted(a) == sorted(b)
        }
        _ => a == b,
    }
}

#[test]
fn scripts_answer_as_clickhouse_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/sql");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/sql")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let (mut same, mut differing) = (0, vec![]);
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a script");
        let script = statements(&text);
        let borrowed: Vec<&str> = script.iter().map(String::as_str).collect();
        let expected = match oracle::run(&borrowed) {
            Ok(answers) => answers,
            Err(why) => return skipped("scripts_answer_as_clickhouse_does", &why),
        };
        let server = Server::start("oracle");
        for (sql, expected) in script.iter().zip(expected) {
            let answer = server.send_in_session(sql).expect("an answer");
            let code = answer.header("x-clickhouse-exception-code").and_then(|c| c.parse().ok());
            let found: Result<String, u32> = match code {
                Some(code) => Err(code),
                None => Ok(answer.text()),
            };
            if is_same(sql, &found, &expected) {
                same += 1;
            } else {
                let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                differing.push(format!(
                    "{file}: {sql}\n   ClickHouse: {expected:?}\n   Pumphouse:  {found:?} {}",
                    if code.is_some() { answer.text() } else { String::new() }
                ));
            }
        }
    }
    eprintln!("{same} of {} statements answer as ClickHouse does", same + differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
