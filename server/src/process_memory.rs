//! Tells the server's memory account what the whole process holds, twice a second, so that a query does not take
//! what streams, merges and caches have already. Pages of files are not counted: the kernel takes them back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pumphouse_query::context::MemoryTracker;

const ROUND: Duration = Duration::from_millis(500);
const PAGE: u64 = 4096;

/// Starts the thread; it ends with the account.
pub fn watch(memory: &Arc<MemoryTracker>) -> std::io::Result<()> {
    let account: Weak<MemoryTracker> = Arc::downgrade(memory);
    std::thread::Builder::new().name("memory-use".into()).spawn(move || {
        while let Some(memory) = account.upgrade() {
            if let Some(bytes) = held_bytes() {
                memory.set_process_bytes(bytes);
            }
            drop(memory);
            std::thread::sleep(ROUND);
        }
    })?;
    Ok(())
}

/// Resident pages that belong to no file.
fn held_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = text.split(' ').skip(1);
    let (resident, shared) = (fields.next()?, fields.next()?);
    let pages = resident.parse::<u64>().ok()?.saturating_sub(shared.parse().ok()?);
    Some(pages * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_piece_is_seen() {
        let before = held_bytes().unwrap();
        let piece = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(held_bytes().unwrap() > before + (32 << 20));
        drop(piece);
    }
}
