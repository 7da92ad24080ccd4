//! Backups: tables at one version, with their parts, masks and stream offsets, in a folder of their
//! own; and back again, under the same or other names.
//!
//! A backup is `parts/` (copies of the files, verified after they were written) and `manifest` (the
//! tables' state, checksummed), which is written last: a folder without one is no backup. A restore
//! copies the files under new ids, verifies them, and makes all tables appear in one commit.
//!
//! Rules: neither holds back inserts or merges (the snapshot keeps its files); nothing half-done is
//! ever visible or taken for whole; a table with unfinished mutations is refused, as its parts would
//! be of two kinds.

mod manifest;
mod restore;
#[cfg(test)]
mod tests;
mod write;

pub use manifest::{Backup, MANIFEST};
pub use restore::{Placement, restore};
pub use write::write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// How far a backup or restore is, and the wish that it stop.
#[derive(Debug, Default)]
pub struct BackupProgress {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
    pub cancel: AtomicBool,
}

impl BackupProgress {
    fn step(&self, bytes: u64) -> Result<()> {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::Closed("the backup was cancelled".into()));
        }
        Ok(())
    }
}

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Copies a file from one disk to another, synced; gives its length.
fn copy_file(
    from: &dyn crate::disk::Disk,
    source: &str,
    to: &dyn crate::disk::Disk,
    target: &str,
) -> Result<u64> {
    let file = from.open(source)?;
    let mut copy = to.create(target)?;
    let mut at = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    while at < file.len() {
        let length = (file.len() - at).min(CHUNK_BYTES as u64) as usize;
        file.read_at(at, &mut buffer[..length])?;
        copy.append(&buffer[..length])?;
        at += length as u64;
    }
    copy.sync()?;
    Ok(at)
}
