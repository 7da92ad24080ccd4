//! The file of a part that is being written: made at the first write, which begins with the header, and removed
//! again unless it is finished.

use std::sync::Arc;

use super::footer::HEADER;
use crate::disk::{Disk, WriteFile};
use crate::error::Result;
use crate::log::{PartId, part_path};

/// Where a part's bytes go.
pub(super) struct PartFile {
    disk: Arc<dyn Disk>,
    id: PartId,
    file: Option<Box<dyn WriteFile>>,
    /// Where the next write goes.
    offset: u64,
    /// Whether the file is somebody else's.
    is_nested: bool,
}

impl PartFile {
    pub(super) fn new(disk: &Arc<dyn Disk>, id: PartId) -> PartFile {
        PartFile { disk: disk.clone(), id, file: None, offset: 0, is_nested: false }
    }

    /// Inside the file of another part, which `file` stands for.
    pub(super) fn nested(disk: &Arc<dyn Disk>, id: PartId, file: Box<dyn WriteFile>) -> PartFile {
        PartFile { disk: disk.clone(), id, file: Some(file), offset: 0, is_nested: true }
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Bytes written.
    pub(super) fn len(&self) -> u64 {
        self.offset
    }

    /// Where the first byte of the next write will stand.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.header().len() as u64
    }

    /// What the next write must begin with.
    fn header(&self) -> &'static [u8] {
        if self.offset == 0 { &HEADER } else { &[] }
    }

    /// Writes the pieces to the end of the file, the header in front if they are the first.
    pub(super) fn append(&mut self, pieces: &[&[u8]]) -> Result<()> {
        let header = self.header();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.disk.create(&part_path(self.id))?),
        };
        let all: Vec<&[u8]> = std::iter::once(header).chain(pieces.iter().copied()).collect();
        file.append_all(&all)?;
        self.offset += all.iter().map(|p| p.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Makes the bytes durable. From here on the file is not this one's to remove.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.sync()?;
        }
        self.file = None;
        Ok(())
    }

    /// The open file, for somebody who writes behind what is there; [`PartFile::put_back`] takes it again.
    pub(super) fn lend(&mut self) -> Option<Box<dyn WriteFile>> {
        self.file.take()
    }

    pub(super) fn put_back(&mut self, file: Option<Box<dyn WriteFile>>, written: u64) {
        self.file = file;
        self.offset += written;
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.file.take().is_some() && !self.is_nested {
            // Best effort: recovery removes what the log does not list.
            let _ = self.disk.remove(&part_path(self.id));
        }
    }
}
