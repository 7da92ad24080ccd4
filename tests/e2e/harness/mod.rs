//! What the tests share: a server process, an HTTP client, a real broker, a producer, peers.

pub mod http;
pub mod kafka;
pub mod oracle;
pub mod producer;
pub mod proxy;
pub mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A folder below the build directory that is removed with its content.
pub struct TestFolder(pub PathBuf);

impl TestFolder {
    pub fn new(name: &str) -> TestFolder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{name}-{}-{}",
            std::process::id(),
            uuid::Uuid::new_v4().simple()
        ));
        std::fs::create_dir_all(&path)
            .expect("a test folder can be made below the build directory");
        TestFolder(path)
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for inspection: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Says loudly that a test did not run; fails where peers are required.
pub fn skipped(test: &str, why: &str) {
    let text = format!("SKIPPED {test}: {why}");
    assert!(std::env::var_os("PUMPHOUSE_REQUIRE_PEERS").is_none(), "{text}");
    eprintln!("\n!!!!!!!! {text}\n");
}

/// Waits until `check` gives a value; panics with `what` after `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port that nothing listens on right now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("loopback has a free port")
        .port()
}

/// Sends a signal (`-STOP`, `-CONT`, …) to a process of ours.
pub fn signal(pid: u32, which: &str) {
    let sent = std::process::Command::new("kill").args([which, &pid.to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "{which} for {pid}");
}

/// A number from the environment, for longer runs than the default.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// A small deterministic random number generator; print its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }
}
