//! Benches at a tiny scale: every query of TPC-H, of the Star Schema Benchmark and of the dashboards over events
//! runs and answers as ClickHouse (and DuckDB) do. Times say nothing here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::skipped;

/// What the bench imports and calls.
const NEEDS: &str = "import chdb, duckdb, numpy, pyarrow, shutil, sys; sys.exit(shutil.which('tpchgen-cli') is None)";

/// `PATH` with the programs of `environment` first.
fn path_of(environment: &Path) -> String {
    let rest = std::env::var("PATH").unwrap_or_default();
    format!("{}:{rest}", environment.join("bin").display())
}

fn suffices(environment: &Path) -> bool {
    let mut test = Command::new("python3");
    test.env("PATH", path_of(environment)).args(["-c", NEEDS]);
    test.output().is_ok_and(|o| o.status.success())
}

/// A Python environment with all peers: the system's, or one of our own that is made once, while tests wait.
fn environment() -> Result<PathBuf, String> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    MADE.get_or_init(make_environment).clone()
}

fn make_environment() -> Result<PathBuf, String> {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("benches");
    if suffices(Path::new("/usr")) || suffices(&home) {
        return Ok(home);
    }
    let packages = ["chdb==4.4.0", "duckdb", "numpy", "pyarrow", "tpchgen-cli"];
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(e) => Err(e.to_string()),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let pip = ["-m", "pip", "install", "-q"];
    run(Command::new(home.join("bin/python3")).args(pip).args(packages))?;
    Ok(home)
}

/// Runs a bench at a tiny size; what it printed.
fn bench(environment: &Path, script: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new("python3")
        .env("PATH", path_of(environment))
        .arg(root.join("benches").join(script))
        .args(arguments)
        .arg("--no-record")
        .env("PUMPHOUSE_BINARY", crate::harness::server::binary())
        .output()
        .expect("python3");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[test]
fn joins_bench_answers_as_its_peers() {
    let environment = match environment() {
        Ok(environment) => environment,
        Err(why) => return skipped("joins_bench_answers_as_its_peers", &why),
    };
    let folder = std::env::temp_dir().join(format!("pumphouse-joins-{}", std::process::id()));
    let data = folder.display().to_string();
    let arguments = ["--scale", "0.01", "--tries", "1", "--data", data.as_str()];
    let text = bench(&environment, "joins/run.py", &arguments);
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(text.matches("\"answer\": \"equal\"").count(), 35, "{text}");
}

#[test]
fn events_bench_answers_as_its_peer() {
    let environment = match environment() {
        Ok(environment) => environment,
        Err(why) => return skipped("events_bench_answers_as_its_peer", &why),
    };
    // It fails where answers differ.
    let arguments = ["--rows", "50000", "--seconds", "2", "--clients", "1", "4"];
    let text = bench(&environment, "events/run.py", &arguments);
    assert_eq!(text.matches("queries_per_second_vs_chdb").count(), 2, "{text}");
}
