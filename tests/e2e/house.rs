//! Rules of the house that a test can keep: the direction of dependencies, the opening lines of
//! files, the map in ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn dependencies_run_one_way() {
    let order = ["storage", "query", "ingest", "server"];
    for (level, name) in order.iter().enumerate() {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        let used: BTreeSet<&str> = manifest
            .lines()
            .filter_map(|l| l.strip_prefix("pumphouse-"))
            .filter_map(|l| l.split(['.', ' ', '=']).next())
            .collect();
        for other in used {
            let at = order.iter().position(|o| *o == other).expect("a crate of the workspace");
            assert!(
                at < level,
                "{name} depends on {other}: dependencies run storage ← query ← ingest ← server"
            );
        }
    }
    for (name, banned) in [
        ("storage", ["rdkafka", "axum", "tokio", "hyper"].as_slice()),
        ("query", ["rdkafka", "axum", "tokio", "hyper"].as_slice()),
        ("ingest", ["axum", "tokio", "hyper"].as_slice()),
    ] {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        for library in banned {
            let found = manifest.lines().any(|l| l.split(['.', ' ', '=']).next() == Some(library));
            assert!(!found, "{name} must not know {library}");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let mut files = vec![];
    for name in ["storage", "query", "ingest", "server"] {
        sources(&root().join(name).join("src"), &mut files);
    }
    sources(&root().join("tests"), &mut files);
    let silent: Vec<String> = files
        .iter()
        .filter(|f| !read(f).starts_with("//!"))
        .map(|f| f.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files without opening lines: {silent:#?}");
}

#[test]
fn words_that_mean_nothing_are_not_names() {
    let mut files = vec![];
    for name in ["storage", "query", "ingest", "server"] {
        sources(&root().join(name).join("src"), &mut files);
    }
    for file in files {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        for banned in ["utils", "util", "helper", "helpers", "manager", "common", "misc2"] {
            assert_ne!(stem, banned, "{}", file.display());
        }
        assert!(!stem.ends_with("_v2"), "{}", file.display());
    }
}

#[test]
fn the_map_names_what_exists() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let mut named = 0;
    for word in map.split(['`']).skip(1).step_by(2) {
        let path = word.trim_end_matches('/');
        let top = path.split('/').next().unwrap_or("");
        let is_path = ["storage", "query", "ingest", "server", "tests", "benches", "docs"]
            .contains(&top)
            && path.contains('/')
            && !path.contains([' ', '<', '*', '(']);
        if is_path {
            named += 1;
            assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which is not there");
        }
    }
    assert!(named > 20, "the map names only {named} places");
}
