//! Every format for every shape of result against the real ClickHouse engine, byte for byte, and what
//! ClickHouse writes is read again; and every setting of formats: `tests/formats`. A part of all pairs;
//! `PUMPHOUSE_FORMATS_SHARE=1` and `PUMPHOUSE_SETTINGS_SHARE=1` compare them all.

use std::path::Path;
use std::process::Command;

use crate::harness::server::Server;
use crate::harness::{from_environment, oracle, skipped};

#[test]
fn formats_are_as_clickhouse_writes_them() {
    compare("formats", "matrix.py", from_environment("PUMPHOUSE_FORMATS_SHARE", 4));
}

#[test]
fn settings_of_formats_do_what_they_do_in_clickhouse() {
    compare("format_settings", "settings.py", from_environment("PUMPHOUSE_SETTINGS_SHARE", 6));
}

/// Runs one of the scripts over every `share`-th of its pairs.
fn compare(name: &str, script: &str, share: u64) {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(why) => return skipped(name, &why),
    };
    let server = Server::start(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/formats").join(script);
    let arguments = [server.port.to_string(), share.to_string()];
    let output = Command::new(python).arg(script).args(arguments).output();
    let output = output.expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{}", text.lines().next().unwrap_or_default());
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
