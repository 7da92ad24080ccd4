//! The README's first command, for a few seconds.

use std::process::Command;

use crate::harness::free_port;
use crate::harness::server::binary;

#[test]
fn the_demo_runs_and_leaves_nothing_behind() {
    let temporary = crate::harness::TestFolder::new("demo");
    let output = Command::new(binary())
        .args(["demo", "--seconds", "6", "--rate", "5000", "--http-port", &free_port().to_string()])
        .env("TMPDIR", &temporary.0)
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("every message exactly once: yes"), "{text}");
    let left: Vec<_> = std::fs::read_dir(&temporary.0).expect("the folder").flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let first: f64 = text
        .split("First rows after ")
        .nth(1)
        .and_then(|t| t.split(' ').next())
        .and_then(|t| t.parse().ok())
        .expect("it says when the first rows came");
    eprintln!("first rows after {first} s");
}
