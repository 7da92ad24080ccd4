//! For tests of sudden ends: an environment variable `step:n` ends the process when that step is reached
//! for the n-th time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The steps of one piece of work.
pub(crate) struct TestExit {
    variable: &'static str,
    wanted: OnceLock<Option<(String, u64)>>,
    passed: AtomicU64,
}

impl TestExit {
    pub(crate) const fn new(variable: &'static str) -> TestExit {
        TestExit { variable, wanted: OnceLock::new(), passed: AtomicU64::new(0) }
    }

    /// Step `name` is reached.
    pub(crate) fn step(&self, name: &str) {
        let wanted = self.wanted.get_or_init(|| {
            let text = std::env::var(self.variable).ok()?;
            let (step, n) = text.split_once(':')?;
            Some((step.to_string(), n.parse().ok()?))
        });
        if let Some((step, n)) = wanted
            && step == name
            && self.passed.fetch_add(1, Ordering::Relaxed) + 1 == *n
        {
            std::process::abort();
        }
    }
}
