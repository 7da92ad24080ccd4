//! Mutated statements and random queries, here and in the real ClickHouse engine: the scripts of
//! `tests/fuzz`, with fixed seeds and small sizes. `PUMPHOUSE_FUZZ` gives the number of statements and
//! queries instead, `PUMPHOUSE_SEED` another seed.
//!
//! Most statements parse alike and nearly all queries agree: the scripts say how many may not. What is left
//! of the queries (1 of 10,000 with new seeds) are errors that one side alone meets because it computes in another
//! order, and other codes. Where ClickHouse contradicts itself, the script asks it for that and counts no disagreement.

use std::process::Command;

use crate::harness::server::Server;
use crate::harness::{from_environment, oracle, skipped};

/// Mutated statements by default.
const STATEMENTS: u64 = 4000;
/// Random queries by default.
const QUERIES: u64 = 400;

/// Runs a script of `tests/fuzz` against a server of its own.
fn fuzz(test: &str, script: &str, size: &str, count: u64, more: &[&str]) {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(why) => return skipped(test, &why),
    };
    let server = Server::start("fuzz");
    let path = format!("{}/../tests/fuzz/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .args([&path, &format!("http://127.0.0.1:{}", server.port)])
        .args([size, &from_environment("PUMPHOUSE_FUZZ", count).to_string()])
        .args(["--seed", &from_environment("PUMPHOUSE_SEED", 1).to_string()])
        .args(more)
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{}", text.lines().last().unwrap_or_default());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
}

#[test]
fn mutated_statements_parse_as_in_clickhouse() {
    fuzz("mutated_statements_parse_as_in_clickhouse", "parser.py", "--count", STATEMENTS, &[]);
}

#[test]
fn random_queries_answer_as_in_clickhouse() {
    fuzz(
        "random_queries_answer_as_in_clickhouse",
        "queries.py",
        "--queries",
        QUERIES,
        &["--shrink", "10", "--allow-percent", "0.25"],
    );
}
