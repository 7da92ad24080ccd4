//! `pumphouse client` and `pumphouse local` as a shell script and as a person use them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::server::{Server, binary};
use crate::harness::{TestFolder, oracle, skipped};

/// Runs `pumphouse` with these arguments in `folder`; `input` goes to its standard input.
fn pumphouse(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that wants no input may have closed it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn scripts_files_and_exit_codes() {
    let (server, folder) = (Server::start("client_command"), TestFolder::new("client_files"));
    let port = server.port.to_string();
    let run = |arguments: &[&str], input: &str| {
        let all: Vec<&str> = ["client", "--port", &port].iter().chain(arguments).copied().collect();
        pumphouse(&folder.0, &all, input)
    };
    let made = "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a";
    assert_eq!(text(&run(&["-q", made], "")), "");
    text(&run(&["-q", "INSERT INTO t FORMAT CSV"], "1,one\n2,two\n"));
    assert_eq!(text(&run(&[], "SELECT 1;\nSELECT count() FROM t;")), "1\n2\n");
    // Files on this side, packed by their names.
    let out = "SELECT * FROM t ORDER BY a INTO OUTFILE 'rows.csv.zst'";
    text(&run(&["-q", out], ""));
    assert!(!run(&["-q", out], "").status.success(), "a file is overwritten only when told so");
    text(&run(&["-q", "INSERT INTO t FROM INFILE 'rows.csv.zst'"], ""));
    assert_eq!(text(&run(&["-q", "SELECT count(), uniq(s) FROM t"], "")), "4\t2\n");
    // Settings and parameters are flags.
    let rows = ["-q", "SELECT a FROM t WHERE s = {name:String} ORDER BY a", "--param_name", "two"];
    let limited: Vec<&str> = rows.iter().copied().chain(["--limit=1", "--format", "CSV"]).collect();
    assert_eq!(text(&run(&limited, "")), "2\n");
    std::fs::write(folder.0.join("all.sql"), "SELECT 1; SELECT bad; SELECT 3").unwrap();
    let output = run(&["--queries-file", "all.sql"], "");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(47), &b"1\n"[..]));
    let output = run(&["--queries-file", "all.sql", "--ignore-error"], "");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(47), &b"1\n3\n"[..]));
    let output = pumphouse(&folder.0, &["client", "--port", "1", "-q", "SELECT 1"], "");
    assert_eq!(output.status.code(), Some(210));
    assert_eq!(text(&run(&["-q", "SELECT 1 AS x", "-E"], "")), "Row 1:\n──────\nx: 1\n");
}

#[test]
fn local_needs_no_server_and_leaves_nothing_behind() {
    let folder = TestFolder::new("local");
    let run = |arguments: &[&str], input: &str| {
        let all: Vec<&str> = ["local"].iter().chain(arguments).copied().collect();
        pumphouse(&folder.0, &all, input)
    };
    assert_eq!(text(&run(&["-q", "SELECT sum(number) FROM numbers(10)"], "")), "45\n");
    assert_eq!(text(&run(&[], "SELECT 1; SELECT 2")), "1\n2\n");
    let kept = ["--path", "kept", "-q"];
    let on = |sql| text(&run(&[&kept[..], &[sql]].concat(), ""));
    on("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a; INSERT INTO t VALUES (1), (2)");
    assert_eq!(on("SELECT sum(a) FROM t"), "3\n");
    let output = run(&["-q", "SELECT nope"], "");
    assert_eq!(output.status.code(), Some(47));
    let names: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn the_manual_and_completions_are_printed() {
    let folder = TestFolder::new("manual");
    let page = text(&pumphouse(&folder.0, &["man"], ""));
    assert!(page.contains(".TH pumphouse") && page.contains("queries\\-file"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&pumphouse(&folder.0, &["completion", shell], "")).contains("pumphouse"));
    }
}

#[test]
fn the_prompt() {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(why) => return skipped("the_prompt", &why),
    };
    let server = Server::start("prompt");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/prompt_test.py");
    let output = Command::new(python)
        .arg(script)
        .args([binary(), &server.port.to_string()])
        .output()
        .expect("python runs");
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}{shown}", String::from_utf8_lossy(&output.stdout));
}
