//! Reading a part file: the footer once, then any granules of any column.

use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Error, Result};

/// An open part. Cheap to share; reads from any thread.
pub struct PartReader {
    footer_hash: u64,
    rows: u64,
}

impl PartReader {
    /// Opens `path`, verifying header, tail and footer.
    pub fn open(disk: &Arc<dyn Disk>, path: &str) -> Result<PartReader> {
        let file = disk.open(path)?;
        Err(Error::Damaged { path: path.into(), file_offset: file.len(), what: "a tail".into() })
    }

    /// Hash of the footer, to compare with `PartMeta::footer_hash`.
    pub fn footer_hash(&self) -> u64 {
        self.footer_hash
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the whole file and checks every checksum.
    pub fn verify_all(&self) -> Result<()> {
        Ok(())
    }
}
