//! The file of a part that is being written: made at the first write, which begins with the header, and removed
//! again unless it is finished.
//!
//! What stays for long is written in multiples of [`HUGE_PAGE`], and what does not fill one waits for what comes next:
//! Linux keeps what it is given at once, and in its place, as one huge page of its cache, which readers of the
//! mapped file then look at without walks through page tables. Such a page may cost a virtual machine more to come
//! by, so that who inserts does not wait for them.

use std::sync::Arc;

use super::footer::HEADER;
use crate::disk::{Disk, WriteFile};
use crate::error::Result;
use crate::log::{PartId, part_path};

/// What a huge page holds.
const HUGE_PAGE: u64 = 2 << 20;

/// Where a part's bytes go.
pub(super) struct PartFile {
    disk: Arc<dyn Disk>,
    id: PartId,
    file: Option<Box<dyn WriteFile>>,
    /// Bytes given, those that wait too.
    offset: u64,
    /// Writes end at multiples of this.
    unit: u64,
    /// Fewer bytes than that, of the end of the file.
    waiting: Vec<u8>,
    /// Whether the file is somebody else's.
    is_nested: bool,
}

impl PartFile {
    pub(super) fn new(disk: &Arc<dyn Disk>, id: PartId) -> PartFile {
        PartFile {
            disk: disk.clone(),
            id,
            file: None,
            offset: 0,
            unit: 1,
            waiting: vec![],
            is_nested: false,
        }
    }

    /// Inside the file of another part, which `file` stands for.
    pub(super) fn nested(disk: &Arc<dyn Disk>, id: PartId, file: Box<dyn WriteFile>) -> PartFile {
        PartFile {
            disk: disk.clone(),
            id,
            file: Some(file),
            offset: 0,
            unit: 1,
            waiting: vec![],
            is_nested: true,
        }
    }

    /// The file is written in whole huge pages.
    pub(super) fn set_stays(&mut self) {
        self.unit = HUGE_PAGE;
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Bytes in all.
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

    /// Puts the pieces to the end of the file, the header in front if they are the first.
    pub(super) fn append(&mut self, pieces: &[&[u8]]) -> Result<()> {
        let header = self.header();
        let bytes = header.len() + pieces.iter().map(|p| p.len()).sum::<usize>();
        // Up to the last multiple they are written now; what waits is behind the one before.
        let boundary = (self.offset + bytes as u64) / self.unit * self.unit;
        let mut now = boundary.saturating_sub(self.offset) as usize;
        self.offset += bytes as u64;
        let (mut first, mut rest): (Vec<&[u8]>, Vec<&[u8]>) = (vec![], vec![]);
        for piece in std::iter::once(header).chain(pieces.iter().copied()) {
            let (a, b) = piece.split_at(now.min(piece.len()));
            now -= a.len();
            first.push(a);
            rest.push(b);
        }
        let waiting = std::mem::take(&mut self.waiting);
        if first.iter().any(|piece| !piece.is_empty()) {
            first.insert(0, &waiting);
            self.write(&first)?;
            self.waiting = waiting;
            self.waiting.clear();
        } else {
            self.waiting = waiting;
        }
        rest.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
        Ok(())
    }

    fn write(&mut self, pieces: &[&[u8]]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.disk.create(&part_path(self.id))?),
        };
        file.append_all(pieces)
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { Ok(()) } else { self.write(&[&waiting]) }
    }

    /// Makes the bytes durable. From here on the file is not this one's to remove.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(file) = &mut self.file {
            file.sync()?;
        }
        self.file = None;
        Ok(())
    }

    /// The open file, for somebody who writes behind what is there; [`PartFile::put_back`] takes it again.
    pub(super) fn lend(&mut self) -> Result<Option<Box<dyn WriteFile>>> {
        self.flush()?;
        Ok(self.file.take())
    }

    /// `written` bytes are in it since.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn bytes_come_in_their_order_whatever_waits() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let id = PartId { epoch: 1, number: 2 };
        let mut expected = HEADER.to_vec();
        let mut file = PartFile::new(&disk, id);
        file.set_stays();
        let page = HUGE_PAGE as usize;
        let sizes = [0, 1, 7, page - 20, 5, 3 * page + 9, page, 40];
        for (i, size) in sizes.into_iter().enumerate() {
            let (a, b) = (vec![i as u8; size], vec![77; size / 3]);
            assert_eq!(file.end(), expected.len() as u64);
            file.append(&[&a, &b]).unwrap();
            expected.extend_from_slice(&a);
            expected.extend_from_slice(&b);
            assert_eq!(file.len(), expected.len() as u64);
            assert!(file.waiting.len() < page);
        }
        let written = file.len() - file.waiting.len() as u64;
        assert!(written > 0 && written.is_multiple_of(HUGE_PAGE));
        file.finish().unwrap();
        let mut bytes = vec![0; expected.len()];
        disk.open(&part_path(id)).unwrap().read_at(0, &mut bytes).unwrap();
        assert!(bytes == expected);
    }
}
