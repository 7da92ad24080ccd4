//! The disk seam: what storage may do with files, and the promises it may rely on.
//!
//! Implementations: [`RealDisk`] (a directory), [`MemoryDisk`] (plain maps) and [`FaultDisk`] (a
//! memory disk that remembers what was synced, can lose the rest, tear writes and fail operations).
//!
//! Promises a caller may rely on, and no others: bytes of a file are durable after `sync` of that
//! file; a created or removed name is durable after `sync_dir` of its folder. Paths are relative,
//! `/`-separated, with at most one folder; the caller makes them up from numbers and fixed words,
//! never from user text.

mod fault;
mod mapped;
mod memory;
mod real;
#[cfg(test)]
mod tests;

pub use fault::{Failure, FailureKind, FaultDisk, FaultImage, FaultPlan, Random};
pub(crate) use mapped::lost_pages;
pub use memory::MemoryDisk;
pub use real::RealDisk;

use std::sync::Arc;

use crate::error::Result;

/// Files of one data directory.
pub trait Disk: Send + Sync + 'static {
    /// Creates a file that must not exist, for writing from the start.
    fn create(&self, path: &str) -> Result<Box<dyn WriteFile>>;
    /// Opens an existing file for positioned reads.
    fn open(&self, path: &str) -> Result<Arc<dyn ReadFile>>;
    /// Opens an existing file for positioned writes (the commit log only).
    fn open_write(&self, path: &str) -> Result<Box<dyn WriteFile>>;
    fn exists(&self, path: &str) -> Result<bool>;
    /// Removes a file; an absent one is no error.
    fn remove(&self, path: &str) -> Result<()>;
    /// Atomically gives `from` the name `to`, replacing it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Names (without the folder) in `dir`, sorted; an absent folder is empty.
    fn list(&self, dir: &str) -> Result<Vec<String>>;
    /// Makes `dir` if it is absent, durably.
    fn create_dir(&self, dir: &str) -> Result<()>;
    /// Makes the names in `dir` durable. `""` is the root.
    fn sync_dir(&self, dir: &str) -> Result<()>;
    /// Free bytes, or None where the notion makes no sense.
    fn free_bytes(&self) -> Result<Option<u64>>;
    /// Size of all of it, or None where the notion makes no sense.
    fn total_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
    /// Takes the exclusive lock of the whole directory, held until the guard is dropped. Fails with
    /// `Error::Locked`, naming the holder where known.
    fn lock(&self) -> Result<Box<dyn Send + Sync>>;
}

/// A file being written. Dropping it does not sync.
pub trait WriteFile: Send {
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Appends the pieces one after the other, as if they were one.
    fn append_all(&mut self, pieces: &[&[u8]]) -> Result<()> {
        self.append(&pieces.concat())
    }
    fn write_at(&mut self, file_offset: u64, bytes: &[u8]) -> Result<()>;
    /// Makes all bytes written so far durable.
    fn sync(&mut self) -> Result<()>;
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file being read; positioned reads from any thread.
pub trait ReadFile: Send + Sync {
    /// Fills `buffer` from `file_offset`; fewer bytes in the file is an error.
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()>;
    /// The bytes from `file_offset` on where they lie in memory anyway; None: `read_at` has to copy them, or
    /// tells why they cannot be had. What is read while [`lost_pages`] changes is not to be trusted.
    fn mapped(&self, _file_offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
    /// Bytes that are read soon, so that the disk can begin. Nothing has to come of it.
    fn will_need(&self, _file_offset: u64, _length: u64) {}
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
