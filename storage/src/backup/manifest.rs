//! The manifest of a backup: a checksummed state of its tables and databases.
//!
//! Layout: magic (8 bytes), payload length and xxh3 hash of the payload (8 each, little-endian), then
//! the payload, which is a state as checkpoints hold it.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::log::State;
use crate::log::snapshot::{decode_state, encode_state};

/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest";
const UNFINISHED: &str = "manifest.unfinished";
const MAGIC: [u8; 8] = *b"PHbackup";
const HEADER_BYTES: usize = 24;

/// A finished backup.
pub struct Backup {
    pub disk: Arc<dyn Disk>,
    /// The tables and databases in it, at the version of the backup.
    pub state: State,
}

impl Backup {
    /// Reads the backup on `disk`. `Error::Damaged` if its manifest is missing or not what was
    /// written; the parts are checked when they are restored.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Backup> {
        let damaged = |file_offset: u64, what: &str| Error::Damaged {
            path: MANIFEST.into(),
            file_offset,
            what: what.into(),
        };
        if !disk.exists(MANIFEST)? {
            return Err(damaged(0, "it is missing: there is no backup here, or an unfinished one"));
        }
        let file = disk.open(MANIFEST)?;
        if file.len() < HEADER_BYTES as u64 {
            return Err(damaged(file.len(), "expected a header"));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes)?;
        let (header, payload) = bytes.split_at(HEADER_BYTES);
        let length = (payload.len() as u64).to_le_bytes();
        let hash = xxh3_64(payload).to_le_bytes();
        if header[..8] != MAGIC || header[8..16] != length || header[16..] != hash {
            return Err(damaged(0, "expected a manifest of its recorded length and hash"));
        }
        let state = decode_state(payload)
            .map_err(|e| damaged(HEADER_BYTES as u64, &format!("expected a state: {e:?}")))?;
        Ok(Backup { disk, state })
    }

    /// Bytes of all part files.
    pub fn part_bytes(&self) -> u64 {
        self.state.tables.values().flat_map(|t| &t.parts).map(|p| p.bytes).sum()
    }
}

/// Writes the manifest, durably and at once.
pub(super) fn write(disk: &dyn Disk, state: &State) -> Result<()> {
    let payload = encode_state(state);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    let mut file = disk.create(UNFINISHED)?;
    file.append(&bytes)?;
    file.sync()?;
    disk.rename(UNFINISHED, MANIFEST)?;
    disk.sync_dir("")
}
