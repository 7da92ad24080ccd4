//! The pages in a real headless Chromium, which npm brings: clicks, keyboard, accessibility, the content
//! policy. What is checked is in `tests/browser/pages.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::server::Server;
use crate::harness::skipped;

/// A folder with the script and its packages, or why there is none.
fn packages() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser");
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    for file in ["package.json", "pages.mjs"] {
        std::fs::copy(source.join(file), home.join(file)).map_err(|e| e.to_string())?;
    }
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefer-offline"])
        .current_dir(&home)
        .output()
        .map_err(|e| format!("npm does not run: {e}"))?;
    match output.status.success() {
        true => Ok(home),
        false => Err(format!("npm: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

#[test]
fn the_pages_work_in_a_browser() {
    let home = match packages() {
        Ok(home) => home,
        Err(why) => return skipped("the_pages_work_in_a_browser", &why),
    };
    let server = Server::start("browser");
    let mut command = Command::new("node");
    command.arg("pages.mjs").arg(format!("http://127.0.0.1:{}", server.port)).current_dir(&home);
    if let Some(folder) = std::env::var_os("PUMPHOUSE_PICTURES") {
        command.arg(folder);
    }
    let output = command.output().expect("node runs where npm did");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}");
    if output.status.code() == Some(3) {
        // The libraries that a browser needs are not something every machine can be asked for.
        eprintln!("\n!!!!!!!! SKIPPED the_pages_work_in_a_browser: {text}\n");
        return;
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
