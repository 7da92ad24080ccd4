//! Threads that help one that has much to do. How many there are in the process at once is bounded by its cores:
//! more would only take turns with those that are there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static HELPING: AtomicUsize = AtomicUsize::new(0);

/// Leave to start some helping threads, given back when dropped.
pub struct BorrowedThreads(usize);

impl BorrowedThreads {
    /// Up to `wanted` of them, none if all are helping somebody.
    pub fn borrow(wanted: usize) -> BorrowedThreads {
        // Asking means reading files of the control group, so it is done once.
        static CORES: OnceLock<usize> = OnceLock::new();
        let ask = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let most = *CORES.get_or_init(ask) - 1;
        let free = |helping: usize| most.saturating_sub(helping).min(wanted);
        let taken = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |helping| {
            Some(helping + free(helping))
        });
        BorrowedThreads(taken.map_or(0, free))
    }

    pub fn count(&self) -> usize {
        self.0
    }
}

impl Drop for BorrowedThreads {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.0, Ordering::Relaxed);
    }
}
