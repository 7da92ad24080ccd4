//! Masks: which rows of a part are deleted, as a small immutable file beside the part.
//!
//! A delete writes a new mask that holds the old one's rows too; the log's entry of the part names the
//! one in force. The file is written and synced before the log lists it, and checked whole before use.
//! `docs/format-part.md` has the bytes.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::log::{MaskMeta, PartId, mask_path};
use crate::xxh3::xxh3;

const MAGIC: [u8; 8] = *b"PHmask\0\x01";
/// Magic, rows of the part, deleted rows.
const HEADER_BYTES: usize = 24;

/// Which rows of one part are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMask {
    /// A set bit is a row that is left.
    live: BooleanBuffer,
    deleted: usize,
}

impl RowMask {
    /// All rows of a part but those that `deleted` has a true for.
    pub fn new(live: BooleanBuffer) -> RowMask {
        let deleted = live.len() - live.count_set_bits();
        RowMask { live, deleted }
    }

    pub fn rows(&self) -> usize {
        self.live.len()
    }

    pub fn deleted_rows(&self) -> usize {
        self.deleted
    }

    /// One flag per row of `from..from + rows`: true if it is left.
    pub fn live(&self, from: usize, rows: usize) -> BooleanArray {
        BooleanArray::new(self.live.slice(from, rows), None)
    }

    /// Whether a row of the range is deleted.
    pub fn touches(&self, from: usize, rows: usize) -> bool {
        self.live.slice(from, rows).count_set_bits() < rows
    }

    /// Without the rows that `other` lacks either.
    pub fn and(&self, other: &BooleanBuffer) -> RowMask {
        RowMask::new(&self.live & other)
    }

    /// Writes the mask's file, synced; its name in the folder is not.
    pub fn write(&self, disk: &Arc<dyn Disk>, id: PartId) -> Result<PendingMask> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.live.len() / 8 + 9);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(self.live.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.deleted as u64).to_le_bytes());
        let mut bits = BooleanBufferBuilder::new(self.live.len());
        bits.append_buffer(&self.live);
        bytes.extend_from_slice(&bits.as_slice()[..self.live.len().div_ceil(8)]);
        let hash = xxh3(&bytes);
        let meta =
            MaskMeta { id, deleted_rows: self.deleted as u64, bytes: bytes.len() as u64, hash };
        let mut file = disk.create(&mask_path(id))?;
        let pending = PendingMask { meta, disk: disk.clone(), kept: false };
        file.append(&bytes)?;
        file.sync()?;
        Ok(pending)
    }

    /// Reads the mask that the log lists for a part of `rows` rows.
    pub fn read(disk: &Arc<dyn Disk>, meta: &MaskMeta, rows: u64) -> Result<RowMask> {
        let path = mask_path(meta.id);
        let damaged = |what: &str| Error::Damaged {
            path: path.clone(),
            file_offset: 0,
            what: format!("expected {what}"),
        };
        let file = disk.open(&path)?;
        let length = HEADER_BYTES as u64 + rows.div_ceil(8);
        if file.len() != length || meta.bytes != length {
            return Err(damaged("a mask of the part's length"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_at(0, &mut bytes)?;
        if xxh3(&bytes) != meta.hash || bytes[..8] != MAGIC {
            return Err(damaged("a mask of its recorded hash"));
        }
        let bits = arrow_buffer::Buffer::from_slice_ref(&bytes[HEADER_BYTES..]);
        let mask = RowMask::new(BooleanBuffer::new(bits, 0, rows as usize));
        if mask.deleted as u64 != meta.deleted_rows {
            return Err(damaged("the number of deleted rows that the log has"));
        }
        Ok(mask)
    }
}

/// A mask's file that the log does not list yet. Dropping it removes the file unless it was kept.
pub struct PendingMask {
    pub meta: MaskMeta,
    disk: Arc<dyn Disk>,
    kept: bool,
}

impl PendingMask {
    /// The log lists it, or may: the file stays.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for PendingMask {
    fn drop(&mut self) {
        if !self.kept
            && let Err(e) = self.disk.remove(&mask_path(self.meta.id))
        {
            // Recovery removes what the log does not list.
            tracing::warn!("cannot remove the abandoned mask {}: {e}", self.meta.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn comes_back_and_damage_is_found() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let live: Vec<bool> = (0..1003).map(|i| i % 7 != 0).collect();
        let mask = RowMask::new(BooleanBuffer::from(live));
        let id = PartId { epoch: 1, number: 9 };
        let pending = mask.write(&disk, id).unwrap();
        let meta = pending.meta.clone();
        assert_eq!(RowMask::read(&disk, &meta, 1003).unwrap(), mask);
        assert!(RowMask::read(&disk, &meta, 1004).is_err());
        let lies = MaskMeta { hash: meta.hash ^ 1, ..meta.clone() };
        assert!(RowMask::read(&disk, &lies, 1003).is_err());
        drop(pending);
        assert!(RowMask::read(&disk, &meta, 1003).is_err());
    }

    #[test]
    fn masks_add_up() {
        let first = RowMask::new(BooleanBuffer::from(vec![true, false, true, true]));
        let both = first.and(&BooleanBuffer::from(vec![false, true, true, true]));
        assert_eq!(both.deleted_rows(), 2);
        assert!(both.touches(0, 1) && !both.touches(2, 2));
    }
}
