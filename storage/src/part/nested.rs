//! Parts inside a part: a projection is a whole part, with header, footer and checksums of its own,
//! whose bytes are neighbouring blobs of the part that it belongs to.
//!
//! [`Outlet`] is the file that such a part is written to: it cuts what comes into blobs. [`Window`] is
//! the file that it is read from. The section: u32 projections, then per projection: name and SELECT
//! (texts), u32 inputs (text, u32 column id, text: type), u32 first blob, u32 blobs, u64 rows, u64 hash
//! of its footer.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::footer::{KeyColumn, Mark};
use super::reader::PartReader;
use super::wire::{Cursor, Decoded, Malformed, put_bytes, put_u32, put_u64};
use super::writer::PartIdentity;
use crate::block::Block;
use crate::disk::{Disk, ReadFile, WriteFile};
use crate::error::{Error, Result};
use crate::types::{DataType, parse_data_type};
use crate::xxh3::xxh3;

/// Bytes of one blob, at most.
const BLOB_BYTES_MAX: usize = 64 << 20;

/// What a projection is made from: its text, and the columns that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) select: String,
    /// Names, ids and types.
    pub(crate) inputs: Vec<(String, u32, DataType)>,
}

/// What became of a nested part.
pub(crate) struct NestedMeta {
    pub(crate) rows: u64,
    pub(crate) footer_hash: u64,
}

/// The part that a nested one is made for.
pub(crate) struct NestedHost<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) identity: &'a PartIdentity,
    pub(crate) partition: &'a [KeyColumn],
}

/// Makes a nested part of the rows of a part that is being written.
pub(crate) trait NestedBuilder: Send {
    fn name(&self) -> &str;
    fn describe(&self) -> Described;
    /// Before the first rows: the part, and the number of this one among its nested parts.
    fn begin(&mut self, disk: &Arc<dyn Disk>, identity: &PartIdentity, number: usize);
    /// The next rows of the part, all columns.
    fn push(&mut self, rows: &Block) -> Result<()>;
    /// Writes it to `out`.
    fn finish(
        self: Box<Self>,
        host: &NestedHost<'_>,
        out: Box<dyn WriteFile>,
    ) -> Result<NestedMeta>;
}

/// A projection as a part has it.
pub(crate) struct ProjectionEntry {
    pub(crate) described: Described,
    pub(crate) name: String,
    pub(super) first_blob: usize,
    pub(super) blobs: usize,
    pub(crate) rows: u64,
    pub(super) footer_hash: u64,
    pub(super) reader: OnceLock<Arc<PartReader>>,
}

pub(super) fn put_entry(
    out: &mut Vec<u8>,
    described: &Described,
    meta: &NestedMeta,
    first_blob: usize,
    blobs: usize,
) {
    put_bytes(out, described.name.as_bytes());
    put_bytes(out, described.select.as_bytes());
    put_u32(out, described.inputs.len() as u32);
    for (name, id, data_type) in &described.inputs {
        put_bytes(out, name.as_bytes());
        put_u32(out, *id);
        put_bytes(out, data_type.to_string().as_bytes());
    }
    put_u32(out, first_blob as u32);
    put_u32(out, blobs as u32);
    put_u64(out, meta.rows);
    put_u64(out, meta.footer_hash);
}

/// The entries of a section.
pub(super) fn read_entries(section: &[u8]) -> Decoded<Vec<ProjectionEntry>> {
    let mut cursor = Cursor::new(section);
    let mut entries = vec![];
    for _ in 0..cursor.u32()? {
        let (name, select) = (cursor.text()?, cursor.text()?);
        let mut inputs = vec![];
        for _ in 0..cursor.u32()? {
            let (name, id) = (cursor.text()?, cursor.u32()?);
            let data_type =
                parse_data_type(&cursor.text()?).map_err(|_| Malformed("a type name"))?;
            inputs.push((name, id, data_type));
        }
        entries.push(ProjectionEntry {
            name: name.clone(),
            described: Described { name, select, inputs },
            first_blob: cursor.u32()? as usize,
            blobs: cursor.u32()? as usize,
            rows: cursor.u64()?,
            footer_hash: cursor.u64()?,
            reader: OnceLock::new(),
        });
    }
    Ok(entries)
}

/// The end of a file that is being written, as a file of its own.
#[derive(Clone)]
pub(super) struct Outlet {
    shared: Arc<Mutex<OutletState>>,
}

struct OutletState {
    /// None once it is closed.
    file: Option<Box<dyn WriteFile>>,
    offset: u64,
    length: u64,
    marks: Vec<Mark>,
}

impl Outlet {
    /// `offset`: where the file ends now.
    pub(super) fn new(file: Box<dyn WriteFile>, offset: u64) -> Outlet {
        let state = OutletState { file: Some(file), offset, length: 0, marks: vec![] };
        Outlet { shared: Arc::new(Mutex::new(state)) }
    }

    /// The file, and where the pieces lie that came.
    pub(super) fn close(self) -> (Option<Box<dyn WriteFile>>, Vec<Mark>) {
        let mut state = self.shared.lock();
        (state.file.take(), std::mem::take(&mut state.marks))
    }
}

impl WriteFile for Outlet {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.shared.lock();
        for piece in bytes.chunks(BLOB_BYTES_MAX) {
            let file_offset = state.offset + state.length;
            let Some(file) = &mut state.file else {
                return Err(Error::Column("the file of a nested part is closed".into()));
            };
            file.append(piece)?;
            let length = piece.len() as u32;
            state.marks.push(Mark { file_offset, length, decoded: length, hash: xxh3(piece) });
            state.length += piece.len() as u64;
        }
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<()> {
        Err(Error::Column("a nested part is written from its start to its end".into()))
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.shared.lock().length
    }
}

/// A stretch of a file as a file of its own.
pub(crate) struct Window {
    file: Arc<dyn ReadFile>,
    offset: u64,
    length: u64,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn ReadFile>, offset: u64, length: u64) -> Window {
        Window { file, offset, length }
    }
}

impl ReadFile for Window {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = file_offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(Error::Column("a read behind the end of a nested part".into()));
        }
        self.file.read_at(self.offset + file_offset, buffer)
    }

    fn mapped(&self, file_offset: u64, length: usize) -> Option<&[u8]> {
        let end = file_offset.checked_add(length as u64)?;
        (end <= self.length).then(|| self.file.mapped(self.offset + file_offset, length))?
    }

    fn will_need(&self, file_offset: u64, length: u64) {
        self.file.will_need(self.offset.saturating_add(file_offset), length);
    }

    fn len(&self) -> u64 {
        self.length
    }
}

/// The bytes of a nested part in memory: written once, then read.
#[derive(Clone, Default)]
pub(crate) struct Image {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Image {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock())
    }
}

impl WriteFile for Image {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<()> {
        Err(Error::Column("a nested part is written from its start to its end".into()))
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.lock().len() as u64
    }
}

impl ReadFile for Image {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(file_offset).unwrap_or(usize::MAX);
        let found = from.checked_add(buffer.len()).and_then(|to| bytes.get(from..to));
        let found = found.ok_or_else(|| Error::Column("a read behind the end of memory".into()))?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.lock().len() as u64
    }
}
