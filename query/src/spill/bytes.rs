//! A temporary file of plain bytes: a result that waits for its query's end.
//!
//! Takes bytes in order and gives them back in order. They count as the query's temporary data, with its
//! limits; the file goes with the last who holds it.

use std::sync::Arc;

use pumphouse_storage::disk::{ReadFile, WriteFile};

use super::{Lease, Name, create};
use crate::context::QueryContext;
use crate::error::Result;

/// The file while it grows.
pub struct BytesWriter {
    file: Box<dyn WriteFile>,
    path: Name,
    lease: Lease,
}

impl BytesWriter {
    pub fn new(ctx: &QueryContext) -> Result<BytesWriter> {
        let (file, path, lease) = create(ctx)?;
        Ok(BytesWriter { file, path, lease })
    }

    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.lease.take(bytes.len() as u64)?;
        Ok(self.file.append(bytes)?)
    }

    pub fn finish(self) -> Result<SpilledBytes> {
        let BytesWriter { file, path, lease } = self;
        drop(file);
        let file = path.disk.open(&path.path)?;
        Ok(SpilledBytes { file, at: 0, _path: path, _lease: lease })
    }
}

/// The whole file, read from its beginning.
pub struct SpilledBytes {
    file: Arc<dyn ReadFile>,
    at: u64,
    _path: Name,
    _lease: Lease,
}

impl SpilledBytes {
    /// The next bytes, `most` of them or what is left; none at the end.
    pub fn next(&mut self, most: usize) -> Result<Vec<u8>> {
        let left = self.file.len().saturating_sub(self.at);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        if !bytes.is_empty() {
            self.file.read_at(self.at, &mut bytes)?;
            self.at += bytes.len() as u64;
        }
        Ok(bytes)
    }
}
