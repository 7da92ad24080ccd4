//! The footer: everything about a part that is not rows. Serialized by [`FooterWriter`], parsed and
//! validated by [`Footer::parse`]; `docs/format-part.md` has the bytes.
//!
//! Marks and ranges stay the bytes they are in the file and are looked at in place, so that opening
//! a part costs one read and one hash.
//!
//! To add something to parts (an index, a statistic): pick a tag in [`section`], give the writer the
//! bytes with `PartWriter::add_section`, and take them back with `PartReader::section`. Small things
//! (up to some KiB) lie in the section itself, which is read when the part is opened; what is larger
//! goes to the body with `PartWriter::add_blob` and is read by `PartReader::blob`, checksummed.

use uuid::Uuid;

use super::decode::{Scratch, Sink};
use super::encode::{Encoder, decoded_bytes};
use super::layout::Layout;
use super::statistics::{RangeKind, RangeWriter, Ranges};
use super::wire::{Cursor, Decoded, Malformed, put_bytes, put_u32, put_u64, u32_at, u64_at};
use crate::block::Column;
use crate::error::Result;
use crate::log::PartId;
use crate::types::{DataType, parse_data_type};

/// The version of the format that is written. Version 1 had no sections, version 2 no packed words; both are still read.
pub(crate) const VERSION: u8 = 3;
pub(crate) const HEADER: [u8; 16] = *b"PUMPHOUSE PART\x03\n";
pub(crate) const TAIL_MAGIC: [u8; 8] = *b"PUMPEND\x03";
/// Where in header and tail magic the version stands.
pub(crate) const HEADER_VERSION_AT: usize = 14;
pub(crate) const TAIL_VERSION_AT: usize = 7;
/// Footer offset, length, hash, a hash of those three, magic.
pub(crate) const TAIL_BYTES: usize = 40;
pub(crate) const FOOTER_BYTES_MAX: u64 = 1 << 30;
const MARK_BYTES: usize = 24;
/// More rows than any granule holds.
const GRANULE_ROWS_MAX: u32 = 1 << 20;

/// Tags of the footer's sections. Numbers are part of the file format and never used anew.
pub(crate) mod section {
    /// The codec of each column as its text.
    pub(crate) const CODECS: u32 = 1;

    /// The codec of columns that name none: a byte for which, and its level.
    pub(crate) const DEFAULT_CODEC: u32 = 2;

    /// Skip indexes: see `skip_index`.
    pub(crate) const SKIP_INDEXES: u32 = 10;

    /// Projections: see `nested`.
    pub(crate) const PROJECTIONS: u32 = 20;

    /// Tags that this version reads; a part with another one that is marked as required is refused.
    pub(super) const KNOWN: &[u32] = &[CODECS, DEFAULT_CODEC, SKIP_INDEXES, PROJECTIONS];
}

/// Something in the footer that has its own format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) tag: u32,
    /// Whether a reader that does not know the tag must refuse the part; else it skips the section.
    pub(crate) required: bool,
    pub(crate) bytes: Vec<u8>,
}

/// Where a granule of a column lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) file_offset: u64,
    /// Bytes in the file.
    pub(crate) length: u32,
    /// Bytes decoded.
    pub(crate) decoded: u32,
    /// xxh3-64 of the bytes in the file.
    pub(crate) hash: u64,
}

/// A key expression: its canonical text and its values.
#[derive(Clone)]
pub(crate) struct KeyColumn {
    pub(crate) text: String,
    pub(crate) column: Column,
}

/// What a part says about itself besides rows.
pub(crate) struct FooterHead {
    pub(crate) table: Uuid,
    pub(crate) id: PartId,
    /// Rows per granule.
    pub(crate) granule_rows: Vec<u32>,
    /// One value each.
    pub(crate) partition: Vec<KeyColumn>,
    /// Texts of the whole sorting key.
    pub(crate) sorting_key: Vec<String>,
    /// The value at each granule's first row, then the value at the last row.
    pub(crate) primary_index: Vec<KeyColumn>,
    /// Bytes of the body that are not granules, by number.
    pub(crate) blobs: Vec<Mark>,
    pub(crate) sections: Vec<Section>,
}

/// A column's directory entry being written.
pub(crate) struct ColumnWriter {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) layout: Layout,
    pub(crate) content_hash: u64,
    pub(crate) decoded_bytes: u64,
    pub(crate) marks: Vec<Mark>,
    pub(crate) nulls: Vec<u32>,
    pub(crate) ranges: RangeWriter,
}

impl FooterHead {
    /// The footer's bytes.
    pub(crate) fn serialize(
        &self,
        columns: &[ColumnWriter],
        encoder: &mut Encoder,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        out.extend_from_slice(self.table.as_bytes());
        put_u32(&mut out, self.id.epoch);
        put_u32(&mut out, self.id.number);
        put_u32(&mut out, self.granule_rows.len() as u32);
        self.granule_rows.iter().for_each(|rows| put_u32(&mut out, *rows));
        put_key(&self.partition, encoder, &mut out)?;
        put_u32(&mut out, self.sorting_key.len() as u32);
        self.sorting_key.iter().for_each(|text| put_bytes(&mut out, text.as_bytes()));
        put_key(&self.primary_index, encoder, &mut out)?;
        put_u32(&mut out, columns.len() as u32);
        columns.iter().for_each(|column| column.serialize(&mut out));
        put_u32(&mut out, self.blobs.len() as u32);
        self.blobs.iter().for_each(|mark| mark.serialize(&mut out));
        put_u32(&mut out, self.sections.len() as u32);
        for section in &self.sections {
            put_u32(&mut out, section.tag);
            out.push(section.required as u8);
            put_bytes(&mut out, &section.bytes);
        }
        Ok(out)
    }
}

impl Mark {
    fn serialize(&self, out: &mut Vec<u8>) {
        put_u64(out, self.file_offset);
        put_u32(out, self.length);
        put_u32(out, self.decoded);
        put_u64(out, self.hash);
    }

    /// The mark whose bytes begin at `at`.
    fn at(bytes: &[u8], at: usize) -> Mark {
        Mark {
            file_offset: u64_at(bytes, at),
            length: u32_at(bytes, at + 8),
            decoded: u32_at(bytes, at + 12),
            hash: u64_at(bytes, at + 16),
        }
    }

    fn check_inside(&self, body_end: u64) -> Decoded<()> {
        let end = self.file_offset.checked_add(self.length as u64);
        if self.file_offset < HEADER.len() as u64 || end.is_none_or(|end| end > body_end) {
            return Err(Malformed("a mark inside the file"));
        }
        Ok(())
    }
}

fn read_blobs(cursor: &mut Cursor<'_>, body_end: u64) -> Decoded<Vec<Mark>> {
    let blobs = count(cursor, MARK_BYTES)?;
    (0..blobs)
        .map(|_| {
            let mark = Mark::at(cursor.take(MARK_BYTES)?, 0);
            mark.check_inside(body_end)?;
            Ok(mark)
        })
        .collect()
}

fn read_sections(cursor: &mut Cursor<'_>) -> Decoded<Vec<Section>> {
    let sections = count(cursor, 9)?;
    (0..sections)
        .map(|_| {
            let (tag, required) = (cursor.u32()?, cursor.u8()? != 0);
            let bytes = cursor.bytes()?.to_vec();
            if required && !section::KNOWN.contains(&tag) {
                return Err(Malformed("sections that this version of the program knows"));
            }
            Ok(Section { tag, required, bytes })
        })
        .collect()
}

pub(crate) fn put_key(key: &[KeyColumn], encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<()> {
    put_u32(out, key.len() as u32);
    for KeyColumn { text, column } in key {
        let layout = Layout::of(&column.data_type);
        put_bytes(out, text.as_bytes());
        put_bytes(out, column.data_type.to_string().as_bytes());
        put_u64(out, decoded_bytes(&layout, column.array.as_ref()) as u64);
        let mut node = vec![];
        encoder.encode(&layout, column.array.as_ref(), None, &mut node)?;
        put_bytes(out, &node);
    }
    Ok(())
}

pub(crate) fn read_key(cursor: &mut Cursor<'_>, rows: usize) -> Decoded<Vec<KeyColumn>> {
    let count = count(cursor, 12)?;
    (0..count)
        .map(|_| {
            let text = cursor.text()?;
            let data_type = read_type(cursor)?;
            let decoded = cursor.u64()?;
            let node = cursor.bytes()?;
            // LZ4 and repeats expand, but not without end: a key is a handful of values a granule.
            if decoded > (node.len() as u64 + 64) * 256 + rows as u64 * 64 {
                return Err(Malformed("a key of its recorded size"));
            }
            let mut scratch = Scratch::default();
            scratch.allow(decoded as usize);
            let mut sink = Sink::new(&Layout::of(&data_type), rows, 0);
            let mut node = Cursor::new(node);
            sink.append(&mut node, rows, &mut scratch)?;
            let array = sink.finish(&data_type.arrow()).map_err(|_| Malformed("a key column"))?;
            Ok(KeyColumn { text, column: Column { data_type, array } })
        })
        .collect()
}

fn read_type(cursor: &mut Cursor<'_>) -> Decoded<DataType> {
    parse_data_type(&cursor.text()?).map_err(|_| Malformed("a type name"))
}

/// A count of things of at least `bytes` bytes each.
fn count(cursor: &mut Cursor<'_>, bytes: usize) -> Decoded<usize> {
    let count = cursor.u32()? as usize;
    if count > cursor.remaining() / bytes {
        return Err(Malformed("a count"));
    }
    Ok(count)
}

impl ColumnWriter {
    pub(crate) fn new(id: u32, name: &str, data_type: &DataType) -> ColumnWriter {
        let layout = Layout::of(data_type);
        ColumnWriter {
            id,
            name: name.to_string(),
            data_type: data_type.clone(),
            content_hash: 0,
            decoded_bytes: 0,
            marks: vec![],
            nulls: vec![],
            ranges: RangeWriter::new(&layout),
            layout,
        }
    }

    fn serialize(&self, out: &mut Vec<u8>) {
        put_u32(out, self.id);
        put_bytes(out, self.name.as_bytes());
        put_bytes(out, self.data_type.to_string().as_bytes());
        put_u64(out, self.content_hash);
        put_u64(out, self.decoded_bytes);
        out.push(self.ranges.kind() as u8);
        self.marks.iter().for_each(|mark| mark.serialize(out));
        self.nulls.iter().for_each(|n| put_u32(out, *n));
        self.ranges.finish(out);
    }
}

/// A parsed footer.
pub(crate) struct Footer {
    pub(crate) head: FooterHead,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<ColumnEntry>,
}

/// A column's directory entry.
pub(crate) struct ColumnEntry {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) layout: Layout,
    pub(crate) content_hash: u64,
    pub(crate) decoded_bytes: u64,
    pub(crate) ranges: Ranges,
    marks: Vec<u8>,
    nulls: Vec<u8>,
}

impl ColumnEntry {
    pub(crate) fn mark(&self, granule: usize) -> Mark {
        Mark::at(&self.marks, granule * MARK_BYTES)
    }

    pub(crate) fn nulls(&self, granule: usize) -> u32 {
        u32_at(&self.nulls, granule * 4)
    }

    fn read(cursor: &mut Cursor<'_>, granules: usize, body_end: u64) -> Decoded<ColumnEntry> {
        let id = cursor.u32()?;
        let name = cursor.text()?;
        let data_type = read_type(cursor)?;
        let content_hash = cursor.u64()?;
        let decoded_bytes = cursor.u64()?;
        let kind = RangeKind::from_byte(cursor.u8()?)?;
        let marks = cursor.take(granules * MARK_BYTES)?.to_vec();
        let nulls = cursor.take(granules * 4)?.to_vec();
        let ranges = Ranges::read(cursor, kind, &data_type, granules)?;
        let layout = Layout::of(&data_type);
        let entry = ColumnEntry {
            id,
            name,
            data_type,
            layout,
            content_hash,
            decoded_bytes,
            ranges,
            marks,
            nulls,
        };
        for granule in 0..granules {
            entry.mark(granule).check_inside(body_end)?;
        }
        Ok(entry)
    }
}

impl Footer {
    /// Parses a footer of `version` whose hash was checked. `body_end` is its own file offset.
    pub(crate) fn parse(bytes: &[u8], body_end: u64, version: u8) -> Decoded<Footer> {
        let mut cursor = Cursor::new(bytes);
        let table = Uuid::from_slice(cursor.take(16)?).map_err(|_| Malformed("a uuid"))?;
        let id = PartId { epoch: cursor.u32()?, number: cursor.u32()? };
        let granules = count(&mut cursor, 4)?;
        let granule_rows = (0..granules).map(|_| cursor.u32()).collect::<Decoded<Vec<u32>>>()?;
        if granules == 0 || granule_rows.iter().any(|r| *r == 0 || *r > GRANULE_ROWS_MAX) {
            return Err(Malformed("rows of granules"));
        }
        let partition = read_key(&mut cursor, 1)?;
        let keys = count(&mut cursor, 4)?;
        let sorting_key = (0..keys).map(|_| cursor.text()).collect::<Decoded<Vec<String>>>()?;
        let primary_index = read_key(&mut cursor, granules + 1)?;
        let columns = count(&mut cursor, 20)?;
        let columns = (0..columns)
            .map(|_| ColumnEntry::read(&mut cursor, granules, body_end))
            .collect::<Decoded<Vec<_>>>()?;
        let (blobs, sections) = match version {
            1 => (vec![], vec![]),
            _ => (read_blobs(&mut cursor, body_end)?, read_sections(&mut cursor)?),
        };
        if cursor.remaining() > 0 {
            return Err(Malformed("the end of the footer"));
        }
        let rows = granule_rows.iter().map(|r| *r as u64).sum();
        let head = FooterHead {
            table,
            id,
            granule_rows,
            partition,
            sorting_key,
            primary_index,
            blobs,
            sections,
        };
        Ok(Footer { head, rows, columns })
    }
}
