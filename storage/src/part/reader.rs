//! Reading a part file: the footer once, then any granules of any column.
//!
//! Every byte is checksummed before it is looked at; what does not fit gives [`Error::Damaged`] with
//! path and file offset.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::decode::{Scratch, Sink};
use super::footer::{
    ColumnEntry, FOOTER_BYTES_MAX, Footer, HEADER, HEADER_VERSION_AT, KeyColumn, Mark, TAIL_BYTES,
    TAIL_MAGIC, TAIL_VERSION_AT, VERSION, section,
};
use super::nested::{self, ProjectionEntry, Window};
use super::skip_index_read::{SkipData, SkipEntry, read_entries};
use super::statistics::Range as Bounds;
use super::wire::{Cursor, u64_at};
use crate::block::Column;
use crate::disk::{Disk, ReadFile, lost_pages};
use crate::error::{Error, Result};
use crate::log::PartId;
use crate::types::{DataType, Value};
use crate::xxh3::xxh3;

/// Neighbouring granules are read together up to this many bytes: then they are still in the processor's
/// cache when they are decoded.
const READ_BYTES_MAX: u64 = 256 << 10;
/// A thread's read buffer is given back if it grew past this.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

thread_local! {
    static BUFFERS: RefCell<(Vec<u8>, Scratch)> = RefCell::default();
}

/// Runs `work` with the thread's buffer and scratch memory. They are taken out meanwhile, so that what
/// runs inside may read, too.
pub(super) fn with_buffers<T>(work: impl FnOnce(&mut Vec<u8>, &mut Scratch) -> T) -> T {
    let (mut buffer, mut scratch) = BUFFERS.take();
    let result = work(&mut buffer, &mut scratch);
    if buffer.len() > BUFFER_BYTES_KEPT {
        buffer = Vec::new();
    }
    BUFFERS.set((buffer, scratch));
    result
}

/// Where the bytes of a granule are.
pub(super) enum Node<'f> {
    /// In the file's own memory.
    Mapped(&'f [u8]),
    /// There in the buffer that it was read into.
    Copied(Range<usize>),
}

impl Node<'_> {
    /// The bytes; `buffer` is what the node was read with.
    pub(super) fn of<'b>(&'b self, buffer: &'b [u8]) -> &'b [u8] {
        match self {
            Node::Mapped(node) => node,
            Node::Copied(range) => &buffer[range.clone()],
        }
    }
}

/// An open part. Cheap to share; reads from any thread.
pub struct PartReader {
    path: String,
    file: Arc<dyn ReadFile>,
    footer: Footer,
    footer_hash: u64,
    footer_bytes: u64,
    /// First row of each granule, and the number of rows.
    granule_starts: Vec<u64>,
    /// Range over the whole part per column, once asked for.
    part_ranges: Vec<OnceLock<Option<Bounds>>>,
    skip_entries: Vec<SkipEntry>,
    projections: Vec<ProjectionEntry>,
    /// The first damage that a read met.
    damage: OnceLock<String>,
}

impl PartReader {
    /// Opens `path`, verifying header, tail and footer.
    pub fn open(disk: &Arc<dyn Disk>, path: &str) -> Result<PartReader> {
        PartReader::of_file(disk.open(path)?, path)
    }

    /// The same of an open file, which errors call `path`.
    pub(crate) fn of_file(file: Arc<dyn ReadFile>, path: &str) -> Result<PartReader> {
        let damaged = |file_offset: u64, what: &str| Error::Damaged {
            path: path.to_string(),
            file_offset,
            what: format!("expected {what}"),
        };
        let length = file.len();
        let least = (HEADER.len() + TAIL_BYTES) as u64;
        if length < least {
            return Err(damaged(length, "a header and a tail"));
        }
        let mut header = [0; HEADER.len()];
        file.read_at(0, &mut header)?;
        let version = header[HEADER_VERSION_AT];
        let mut expected = HEADER;
        expected[HEADER_VERSION_AT] = version;
        if header != expected || !(1..=VERSION).contains(&version) {
            return Err(damaged(0, "the header of a part"));
        }
        let tail_offset = length - TAIL_BYTES as u64;
        let mut tail = [0; TAIL_BYTES];
        file.read_at(tail_offset, &mut tail)?;
        let mut magic = TAIL_MAGIC;
        magic[TAIL_VERSION_AT] = version;
        if tail[32..] != magic || u64_at(&tail, 24) != xxh3(&tail[..24]) {
            return Err(damaged(tail_offset, "the tail of a part"));
        }
        let (footer_offset, footer_length) = (u64_at(&tail, 0), u64_at(&tail, 8));
        let footer_hash = u64_at(&tail, 16);
        if footer_offset < HEADER.len() as u64
            || footer_length > FOOTER_BYTES_MAX
            || footer_offset.checked_add(footer_length) != Some(tail_offset)
        {
            return Err(damaged(tail_offset, "a footer that ends at the tail"));
        }
        let mut bytes = vec![0; footer_length as usize];
        file.read_at(footer_offset, &mut bytes)?;
        if xxh3(&bytes) != footer_hash {
            return Err(damaged(footer_offset, "a footer of its recorded hash"));
        }
        let footer = Footer::parse(&bytes, footer_offset, version)
            .map_err(|e| damaged(footer_offset, e.0))?;
        let mut granule_starts = vec![0];
        let mut row = 0;
        granule_starts.extend(footer.head.granule_rows.iter().map(|rows| {
            row += *rows as u64;
            row
        }));
        let part_ranges = footer.columns.iter().map(|_| OnceLock::new()).collect();
        let mut reader = PartReader {
            path: path.to_string(),
            file,
            footer,
            footer_hash,
            footer_bytes: footer_length,
            granule_starts,
            part_ranges,
            skip_entries: vec![],
            projections: vec![],
            damage: OnceLock::new(),
        };
        if let Some(bytes) = reader.section(section::SKIP_INDEXES) {
            reader.skip_entries = read_entries(bytes).map_err(|e| damaged(footer_offset, e.0))?;
        }
        if let Some(bytes) = reader.section(section::PROJECTIONS) {
            reader.projections =
                nested::read_entries(bytes).map_err(|e| damaged(footer_offset, e.0))?;
        }
        Ok(reader)
    }

    /// The projections that the part has.
    pub(crate) fn projections(&self) -> &[ProjectionEntry] {
        &self.projections
    }

    /// The parts inside this one that are projections, by name.
    pub fn projection_parts(&self) -> Result<Vec<(String, Arc<PartReader>)>> {
        self.projections.iter().map(|p| Ok((p.name.clone(), self.projection(p)?))).collect()
    }

    /// Names of the part's projections.
    pub fn projection_names(&self) -> impl Iterator<Item = &str> {
        self.projections.iter().map(|p| p.name.as_str())
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file.len()
    }

    /// The part inside this one that is a projection, opened when first asked for.
    pub(crate) fn projection(&self, entry: &ProjectionEntry) -> Result<Arc<PartReader>> {
        if let Some(reader) = entry.reader.get() {
            return Ok(reader.clone());
        }
        let reader = self.open_projection(entry).inspect_err(|e| {
            if matches!(e, Error::Damaged { .. }) {
                let _ = self.damage.set(e.to_string());
            }
        })?;
        Ok(entry.reader.get_or_init(|| Arc::new(reader)).clone())
    }

    fn open_projection(&self, entry: &ProjectionEntry) -> Result<PartReader> {
        let damaged = |what: &str| Error::Damaged {
            path: self.path.clone(),
            file_offset: 0,
            what: format!("expected {what} of projection {}", entry.name),
        };
        let blobs = &self.footer.head.blobs;
        let end = entry.first_blob.saturating_add(entry.blobs);
        let marks = blobs.get(entry.first_blob..end).filter(|m| !m.is_empty());
        let marks = marks.ok_or_else(|| damaged("the bytes"))?;
        let offset = marks[0].file_offset;
        let mut length = 0;
        for mark in marks {
            if mark.file_offset != offset + length {
                return Err(damaged("neighbouring pieces"));
            }
            length += mark.length as u64;
        }
        let file = Arc::new(Window::new(self.file.clone(), offset, length));
        let path = format!("{} (projection {})", self.path, entry.name);
        let reader = PartReader::of_file(file, &path)?;
        if reader.footer_hash != entry.footer_hash || reader.rows() != entry.rows {
            return Err(damaged("the recorded footer"));
        }
        Ok(reader)
    }

    /// Bytes of marks, primary index and statistics that an open part holds, about.
    pub fn marks_bytes(&self) -> u64 {
        self.footer_bytes
    }

    /// Hash of the footer, to compare with `PartMeta::footer_hash`.
    pub fn footer_hash(&self) -> u64 {
        self.footer_hash
    }

    /// The part's own idea of who it is.
    pub fn id(&self) -> PartId {
        self.footer.head.id
    }

    /// The table that it was written for.
    pub fn table(&self) -> uuid::Uuid {
        self.footer.head.table
    }

    pub fn rows(&self) -> u64 {
        self.footer.rows
    }

    pub fn granules(&self) -> usize {
        self.footer.head.granule_rows.len()
    }

    pub fn granule_rows(&self, granule: usize) -> usize {
        self.footer.head.granule_rows[granule] as usize
    }

    /// The number of rows before `granule`.
    pub fn granule_start(&self, granule: usize) -> u64 {
        self.granule_starts[granule]
    }

    /// Ids, names at the time of writing, types, bytes in the file and bytes decoded of the columns.
    pub fn columns(&self) -> impl Iterator<Item = (u32, &str, &DataType, u64, u64)> {
        self.footer.columns.iter().map(|c| {
            let stored = (0..self.granules()).map(|g| c.mark(g).length as u64).sum();
            (c.id, c.name.as_str(), &c.data_type, stored, c.decoded_bytes)
        })
    }

    /// Where the column of that id stands in the part, or None if the part lacks it.
    pub fn column_index(&self, id: u32) -> Option<usize> {
        self.footer.columns.iter().position(|c| c.id == id)
    }

    /// The bytes of the footer's section of that tag, if the part has it.
    pub(crate) fn section(&self, tag: u32) -> Option<&[u8]> {
        self.footer.head.sections.iter().find(|s| s.tag == tag).map(|s| &s.bytes[..])
    }

    /// The codec that each column was written with, as its definition said it; empty for the default.
    pub fn codecs(&self) -> Vec<String> {
        let mut cursor = Cursor::new(self.section(section::CODECS).unwrap_or_default());
        self.footer.columns.iter().map(|_| cursor.text().unwrap_or_default()).collect()
    }

    /// The blob of that number, verified.
    pub(crate) fn blob(&self, number: usize) -> Result<Vec<u8>> {
        let mark = *self.footer.head.blobs.get(number).ok_or_else(|| Error::Damaged {
            path: self.path.clone(),
            file_offset: 0,
            what: format!("expected a blob {number}"),
        })?;
        let mut bytes = vec![0; mark.length as usize];
        self.file.read_at(mark.file_offset, &mut bytes)?;
        if xxh3(&bytes) != mark.hash {
            return Err(self.damaged(mark, "bytes of their recorded hash"));
        }
        Ok(bytes)
    }

    /// The skip indexes that the part has.
    pub(crate) fn skip_entries(&self) -> &[SkipEntry] {
        &self.skip_entries
    }

    /// Names and bytes of the part's skip indexes.
    pub fn skip_index_sizes(&self) -> Vec<(&str, u64)> {
        let blobs = &self.footer.head.blobs;
        self.skip_entries
            .iter()
            .map(|e| (e.name(), blobs.get(e.blob).map_or(0, |mark| mark.length as u64)))
            .collect()
    }

    /// Bytes of skip indexes that were read and are kept.
    pub fn skip_index_bytes_held(&self) -> u64 {
        self.skip_entries.iter().filter_map(|e| e.data.get()).map(|d| d.bytes as u64).sum()
    }

    /// The summaries of a skip index, read when first asked for.
    pub(crate) fn skip_data(&self, entry: &SkipEntry) -> Result<Arc<SkipData>> {
        if let Some(data) = entry.data.get() {
            return Ok(data.clone());
        }
        let blob = self.blob(entry.blob)?;
        let parsed = entry.parse(&blob, self.granules()).map_err(|e| Error::Damaged {
            path: self.path.clone(),
            file_offset: self.footer.head.blobs.get(entry.blob).map_or(0, |m| m.file_offset),
            what: format!("expected {}", e.0),
        })?;
        Ok(entry.data.get_or_init(|| Arc::new(parsed)).clone())
    }

    pub(super) fn file(&self) -> &dyn ReadFile {
        self.file.as_ref()
    }

    pub(crate) fn column(&self, index: usize) -> &ColumnEntry {
        &self.footer.columns[index]
    }

    /// The type of the column at `index` as the part holds it.
    pub(crate) fn data_type(&self, index: usize) -> &DataType {
        &self.footer.columns[index].data_type
    }

    pub(crate) fn partition(&self) -> &[KeyColumn] {
        &self.footer.head.partition
    }

    pub(crate) fn sorting_key(&self) -> &[String] {
        &self.footer.head.sorting_key
    }

    /// Key values at each granule's first row and at the last row of the part.
    pub(crate) fn primary_index(&self) -> &[KeyColumn] {
        &self.footer.head.primary_index
    }

    /// Text and single value of each partition key expression.
    pub fn partition_values(&self) -> Vec<(String, Value)> {
        self.partition().iter().map(|k| (k.text.clone(), k.column.value(0))).collect()
    }

    /// Least and greatest value of the column of this id, NULLs left out; None if unknown.
    pub fn column_bounds(&self, id: u32) -> Option<(Value, Value)> {
        let (low, high) = self.part_range(self.column_index(id)?)?;
        Some((low.clone(), high.clone()?))
    }

    /// Range of the values of `granule` that are not NULL; None if unknown or if there are none.
    pub(crate) fn range(&self, column: usize, granule: usize) -> Option<Bounds> {
        let entry = &self.footer.columns[column];
        if entry.nulls(granule) as usize == self.granule_rows(granule) {
            return None;
        }
        entry.ranges.get(granule)
    }

    /// Range of the column's values that are not NULL over the whole part; None if unknown.
    pub(crate) fn part_range(&self, column: usize) -> Option<&Bounds> {
        self.part_ranges[column].get_or_init(|| self.fold_ranges(column)).as_ref()
    }

    fn fold_ranges(&self, column: usize) -> Option<Bounds> {
        let mut whole: Option<Bounds> = None;
        for granule in 0..self.granules() {
            if self.all_null(column, granule) {
                continue;
            }
            let (low, high) = self.range(column, granule)?;
            whole = Some(match whole {
                None => (low, high),
                Some((l, h)) => {
                    let high = match (h, high) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        _ => None,
                    };
                    (l.min(low), high)
                }
            });
        }
        whole
    }

    pub(crate) fn all_null(&self, column: usize, granule: usize) -> bool {
        self.nulls(column, granule) == self.granule_rows(granule)
    }

    /// NULLs in a granule.
    pub(crate) fn nulls(&self, column: usize, granule: usize) -> usize {
        self.footer.columns[column].nulls(granule) as usize
    }

    /// Order-independent hash of all values of the column.
    pub(crate) fn content_hash(&self, column: usize) -> u64 {
        self.footer.columns[column].content_hash
    }

    /// All rows of `granules` (ascending), of the column at `index`, in one column.
    pub fn read_column(&self, index: usize, granules: &[usize]) -> Result<Column> {
        let entry = &self.footer.columns[index];
        if let Some(words) = self.plain_words(index, granules)? {
            let array = words.finish(&entry.data_type.arrow())?;
            return Ok(Column { data_type: entry.data_type.clone(), array });
        }
        let rows = granules.iter().map(|g| self.granule_rows(*g)).sum();
        let bytes: u64 = granules
            .iter()
            .map(|g| entry.mark(*g))
            .map(|m| (m.decoded as u64).min(m.length as u64 * 256))
            .sum();
        let mut sink = Sink::new(&entry.layout, rows, bytes as usize);
        with_buffers(|buffer, scratch| {
            self.read_nodes(index, granules, buffer, |granule, node| {
                let (mark, rows) = (entry.mark(granule), self.granule_rows(granule));
                scratch.allow(mark.decoded as usize);
                let mut cursor = Cursor::new(node);
                let mut appended = sink.append(&mut cursor, rows, scratch);
                if granules.last() == Some(&granule) {
                    appended = appended.and_then(|()| sink.settle());
                }
                appended.map_err(|e| self.damaged(mark, e.0))?;
                match cursor.remaining() {
                    0 => Ok(()),
                    _ => Err(self.damaged(mark, "the end of a granule")),
                }
            })
        })?;
        let array = sink.finish(&entry.data_type.arrow())?;
        Ok(Column { data_type: entry.data_type.clone(), array })
    }

    /// Reads and verifies the nodes of `granules` (ascending), those that do not lie in memory anyway into
    /// `bytes`, and hands each over as soon as it is there; where each lies.
    pub(super) fn read_nodes(
        &self,
        index: usize,
        granules: &[usize],
        bytes: &mut Vec<u8>,
        mut visit: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<Vec<Node<'_>>> {
        let entry = &self.footer.columns[index];
        let (mut nodes, mut copied, mut rest) = (Vec::with_capacity(granules.len()), 0, granules);
        while let Some(first) = rest.first() {
            let (now, after) = rest.split_at(self.neighbours(entry, rest));
            rest = after;
            let offset = entry.mark(*first).file_offset;
            let length = now.iter().map(|g| entry.mark(*g).length as usize).sum();
            let mapped = self.file.mapped(offset, length);
            if mapped.is_none() {
                bytes.resize(bytes.len().max(copied + length), 0);
                self.file.read_at(offset, &mut bytes[copied..copied + length])?;
            }
            let mut at = 0;
            for granule in now {
                let mark = entry.mark(*granule);
                let range = at..at + mark.length as usize;
                at = range.end;
                let node = match mapped {
                    Some(mapped) => Node::Mapped(&mapped[range]),
                    None => Node::Copied(copied + range.start..copied + range.end),
                };
                self.verified(node.of(bytes), mark, |bytes| visit(*granule, bytes))?;
                nodes.push(node);
            }
            copied += if mapped.is_none() { length } else { 0 };
        }
        Ok(nodes)
    }

    /// Hands over the verified node of `mark`, which is read into `buffer` if it does not lie in memory anyway.
    pub(super) fn with_node<T>(
        &self,
        mark: Mark,
        buffer: &mut Vec<u8>,
        visit: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let length = mark.length as usize;
        if let Some(node) = self.file.mapped(mark.file_offset, length) {
            return self.verified(node, mark, visit);
        }
        buffer.resize(buffer.len().max(length), 0);
        self.file.read_at(mark.file_offset, &mut buffer[..length])?;
        self.verified(&buffer[..length], mark, visit)
    }

    /// Hands over the node of `mark` if it has its hash, and is still there afterwards.
    pub(super) fn verified<T>(
        &self,
        node: &[u8],
        mark: Mark,
        visit: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let lost = lost_pages();
        self.check(node, mark)?;
        let visited = visit(node)?;
        self.is_still_there(lost, [(node, mark)])?;
        Ok(visited)
    }

    /// Checks nodes once more that were looked at since [`lost_pages`] was `lost`, if it has grown. What is lost
    /// stays lost, so that the hash tells whether it was theirs or another file's.
    pub(super) fn is_still_there<'n>(
        &self,
        lost: u64,
        nodes: impl IntoIterator<Item = (&'n [u8], Mark)>,
    ) -> Result<()> {
        if lost == lost_pages() {
            return Ok(());
        }
        nodes.into_iter().try_for_each(|(node, mark)| self.check(node, mark))
    }

    /// Appends the verified node of a granule to `out`; its mark.
    pub(super) fn append_node(
        &self,
        index: usize,
        granule: usize,
        out: &mut Vec<u8>,
    ) -> Result<Mark> {
        let mark = self.footer.columns[index].mark(granule);
        with_buffers(|buffer, _| {
            self.with_node(mark, buffer, |node| {
                out.extend_from_slice(node);
                Ok(())
            })
        })?;
        Ok(mark)
    }

    /// Bytes that the columns at `indexes` decode to, of a granule.
    pub(crate) fn decoded_bytes(&self, indexes: &[usize], granule: usize) -> usize {
        indexes.iter().map(|i| self.footer.columns[*i].mark(granule).decoded as usize).sum()
    }

    /// Checks the hash of a node.
    pub(super) fn check(&self, node: &[u8], mark: Mark) -> Result<()> {
        match xxh3(node) == mark.hash {
            true => Ok(()),
            false => Err(self.damaged(mark, "bytes of their recorded hash")),
        }
    }

    /// Tells the disk that `granules` (ascending) of a column are read soon.
    pub(crate) fn will_need(&self, index: usize, granules: &[usize]) {
        let entry = &self.footer.columns[index];
        let mut marks = granules.iter().map(|g| entry.mark(*g));
        let Some(first) = marks.next() else { return };
        let (mut from, mut to) = (first.file_offset, first.file_offset + first.length as u64);
        for mark in marks {
            if mark.file_offset != to {
                self.file.will_need(from, to - from);
                from = mark.file_offset;
            }
            to = mark.file_offset + mark.length as u64;
        }
        self.file.will_need(from, to - from);
    }

    /// Bytes in the file of `granules` of a column.
    pub(crate) fn stored_bytes(&self, index: usize, granules: &[usize]) -> u64 {
        granules.iter().map(|g| self.footer.columns[index].mark(*g).length as u64).sum()
    }

    /// How many of `granules`, from the first, lie one after the other in the file.
    fn neighbours(&self, entry: &ColumnEntry, granules: &[usize]) -> usize {
        let first = entry.mark(granules[0]);
        let mut end = first.file_offset + first.length as u64;
        for (i, granule) in granules.iter().enumerate().skip(1) {
            let mark = entry.mark(*granule);
            let next = end + mark.length as u64;
            if mark.file_offset != end || next - first.file_offset > READ_BYTES_MAX {
                return i;
            }
            end = next;
        }
        granules.len()
    }

    pub(super) fn damaged(&self, mark: Mark, what: &str) -> Error {
        let e = Error::Damaged {
            path: self.path.clone(),
            file_offset: mark.file_offset,
            what: format!("expected {what}"),
        };
        let _ = self.damage.set(e.to_string());
        e
    }

    /// The damage that a read met, if one did: the store then quarantines the part.
    pub fn damage(&self) -> Option<&str> {
        let nested = self.projections.iter().filter_map(|p| p.reader.get());
        let own = self.damage.get().map(String::as_str);
        own.or_else(|| nested.filter_map(|r| r.damage()).next())
    }

    /// Reads the whole file and checks every checksum, and that no byte lies outside of one.
    pub fn verify_all(&self) -> Result<()> {
        let mut bytes = vec![];
        let mut covered = (HEADER.len() + TAIL_BYTES) as u64;
        let granules =
            self.footer.columns.iter().flat_map(|c| (0..self.granules()).map(|g| c.mark(g)));
        for mark in granules.chain(self.footer.head.blobs.iter().copied()) {
            bytes.resize(mark.length as usize, 0);
            self.file.read_at(mark.file_offset, &mut bytes)?;
            if xxh3(&bytes) != mark.hash {
                return Err(self.damaged(mark, "bytes of their recorded hash"));
            }
            covered += mark.length as u64;
        }
        let mut tail = [0; TAIL_BYTES];
        self.file.read_at(self.file.len() - TAIL_BYTES as u64, &mut tail)?;
        if covered + u64_at(&tail, 8) != self.file.len() {
            return Err(Error::Damaged {
                path: self.path.clone(),
                file_offset: covered,
                what: "expected granules that cover the file".into(),
            });
        }
        // Their bytes are blobs; that they are parts shows when they are opened.
        self.projections.iter().try_for_each(|entry| self.projection(entry).map(|_| ()))
    }
}
