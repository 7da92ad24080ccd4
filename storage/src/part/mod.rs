//! A part: one immutable file of rows, sorted by key, cut into granules, column by column.
//!
//! Reads top-down: [`writer`] (a block, or a stream of granules, to a file) → `encode` / `decode`
//! (one granule of one column to bytes and back; [`codec`] has what `CODEC(...)` names) → [`footer`] (directory, marks, primary index,
//! minima and maxima, checksums) → [`reader`]. `docs/format-part.md` has the bytes.
//!
//! Rules: a file is created under its final, never reused name and is nothing until the log lists
//! it ([`PendingPart`]); every byte is checksummed before it is used.

pub mod codec;
mod coded_read;
#[cfg(test)]
mod coded_tests;
mod columnwise;
mod content_hash;
mod decode;
mod encode;
mod footer;
mod gather;
mod granule;
mod layout;
mod mask;
mod nested;
mod packed;
mod part_file;
mod path_read;
#[cfg(test)]
mod path_tests;
mod plain_filter;
mod plain_read;
mod reader;
mod skip_index;
mod skip_index_read;
mod skip_index_write;
pub(crate) mod splice;
mod statistics;
#[cfg(test)]
pub(crate) mod tests;
mod wide;
mod wire;
mod word;
mod writer;

use std::sync::Arc;

pub use crate::table::projection::check_projections;
pub use coded_read::{Chosen, ValueTest, Wanted};
pub(crate) use coded_read::{choose_of, sizes_of};
pub(crate) use content_hash::{row_hashes, sum as sum_hashes};
pub(crate) use decode::Aspect;
pub(crate) use encode::number_buffer;
pub(crate) use footer::KeyColumn;
pub(crate) use layout::{Layout, Order};
pub use mask::{PendingMask, RowMask};
pub(crate) use nested::{
    Described, Image, NestedBuilder, NestedHost, NestedMeta, ProjectionEntry, Window,
};
pub use reader::PartReader;
pub use skip_index::index_columns;
pub(crate) use skip_index_write::SkipIndex;
pub use skip_index_write::check_skip_indexes;
pub(crate) use statistics::Range;
pub(crate) use word::{Word, with_word};
pub(crate) use writer::{PartColumn, PartIdentity, PartKeys, PartWriter};

use crate::disk::Disk;
use crate::log::PartMeta;

/// A part whose file is written and fsynced but which the log does not list yet. Dropping it
/// removes the file, unless the committer called [`PendingPart::keep`].
pub struct PendingPart {
    pub meta: PartMeta,
    disk: Arc<dyn Disk>,
    kept: bool,
}

impl PendingPart {
    pub fn new(meta: PartMeta, disk: Arc<dyn Disk>) -> PendingPart {
        PendingPart { meta, disk, kept: false }
    }

    /// The log lists the part from now on: its file stays.
    pub fn keep(mut self) -> PartMeta {
        self.kept = true;
        self.meta.clone()
    }
}

impl std::fmt::Debug for PendingPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingPart").field("meta", &self.meta).finish()
    }
}

impl Drop for PendingPart {
    fn drop(&mut self) {
        if !self.kept
            && let Err(e) = self.disk.remove(&self.meta.path())
        {
            // Recovery removes what the log does not list.
            tracing::warn!("cannot remove the abandoned part {}: {e}", self.meta.path());
        }
    }
}
