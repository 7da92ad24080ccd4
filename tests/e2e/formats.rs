//! Every format for every shape of result against the real ClickHouse engine, byte for byte, and what
//! ClickHouse writes is read again: `tests/formats`. A quarter of all pairs; `PUMPHOUSE_FORMATS_SHARE=1`
//! compares them all.

use std::path::Path;
use std::process::Command;

use crate::harness::server::Server;
use crate::harness::{from_environment, oracle, skipped};

#[test]
fn formats_are_as_clickhouse_writes_them() {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(why) => return skipped("formats_are_as_clickhouse_writes_them", &why),
    };
    let server = Server::start("formats");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/formats/matrix.py");
    let share = from_environment("PUMPHOUSE_FORMATS_SHARE", 4).to_string();
    let output = Command::new(python).arg(script).args([server.port.to_string(), share]).output();
    let output = output.expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{}", text.lines().next().unwrap_or_default());
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
