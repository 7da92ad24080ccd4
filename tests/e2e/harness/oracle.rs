//! The real ClickHouse engine in-process, by the Python package `chdb`: installed once into a virtual
//! environment below the build directory, or found where Python has it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Version of the package whose engine is the oracle.
const CHDB: &str = "chdb==4.4.0";

/// A Python that can `import chdb`, or why there is none.
pub fn python() -> Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(find_or_install).clone()
}

fn imports(python: &PathBuf) -> bool {
    Command::new(python)
        .args(["-c", "import chdb"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn find_or_install() -> Result<PathBuf, String> {
    let system = PathBuf::from("python3");
    if imports(&system) {
        return Ok(system);
    }
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    let own = home.join("bin/python3");
    if imports(&own) {
        return Ok(own);
    }
    let run = |program: &PathBuf, arguments: &[&str]| -> Result<(), String> {
        let output = Command::new(program).args(arguments).output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    run(&system, &["-m", "venv", &home.display().to_string()])
        .map_err(|e| format!("no Python environment: {e}"))?;
    run(&own, &["-m", "pip", "install", "-q", CHDB])
        .map_err(|e| format!("chdb cannot be installed: {e}"))?;
    match imports(&own) {
        true => Ok(own),
        false => Err("chdb does not load".into()),
    }
}

/// Runs all `statements` in one fresh ClickHouse session; each one's TSV output, or its error code.
pub fn run(statements: &[&str]) -> Result<Vec<Result<String, u32>>, String> {
    let python = python()?;
    let program = r#"
import sys, json, re
from chdb.session import Session
statements = json.load(sys.stdin)
session = Session()
out = []
for s in statements:
    try:
        out.append({"ok": str(session.query(s, "TabSeparated"))})
    except Exception as e:
        m = re.search(r"Code: (\d+)", str(e))
        out.append({"code": int(m.group(1)) if m else 0})
json.dump(out, sys.stdout)
"#;
    let mut child = Command::new(python)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let input = serde_json::to_vec(statements).map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let _ = writer.join();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let answers: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    Ok(answers
        .into_iter()
        .map(|a| match a["ok"].as_str() {
            Some(text) => Ok(text.to_string()),
            None => Err(a["code"].as_u64().unwrap_or(0) as u32),
        })
        .collect())
}
