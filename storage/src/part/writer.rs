//! Writing a part file: granules in, one file out, fsynced.
//!
//! Encoded granules gather per column and go to the file column by column, so that neighbours in a
//! column are neighbours in the file. A part that fits the buffer is one write; a merge writes in
//! groups and never holds more than one.

use std::sync::Arc;

use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use uuid::Uuid;

use super::PendingPart;
use super::codec::{ColumnCodec, Generic};
use super::columnwise::{self, Source};
use super::encode::decoded_bytes;
use super::footer::section as section_tag;
use super::footer::{ColumnWriter, FooterHead, KeyColumn, Mark, Section, TAIL_BYTES, TAIL_MAGIC};
use super::granule::GranuleEncoder;
use super::layout::Layout;
use super::nested::{NestedBuilder, NestedHost, NestedMeta, Outlet, put_entry};
use super::part_file::PartFile;
use super::reader::PartReader;
use super::skip_index_write::{SkipIndex, SkipIndexWriter, finish_indexes};
use super::wire::{put_bytes, put_u32, put_u64};
use crate::block::{Block, Column};
use crate::borrowed_threads::BorrowedThreads;
use crate::disk::{Disk, WriteFile};
use crate::error::{Error, Result};
use crate::log::{PartId, PartMeta};
use crate::types::DataType;
use crate::xxh3::xxh3;

/// Encoded bytes that gather before a write.
const GROUP_BYTES: usize = 32 << 20;
/// Decoded bytes after which a granule ends early.
const GRANULE_BYTES_MAX: usize = 16 << 20;

/// What a part is called and belongs to.
#[derive(Clone)]
pub(crate) struct PartIdentity {
    pub(crate) id: PartId,
    pub(crate) table: Uuid,
    pub(crate) partition_id: String,
    pub(crate) min_block: u64,
    pub(crate) max_block: u64,
    pub(crate) level: u32,
    pub(crate) created_us: u64,
}

impl PartIdentity {
    /// Of a part that is read by whom it was written, and then forgotten.
    pub(crate) fn nobody(table: Uuid) -> PartIdentity {
        PartIdentity {
            id: PartId { epoch: 0, number: 0 },
            table,
            partition_id: String::new(),
            min_block: 0,
            max_block: 0,
            level: 0,
            created_us: 0,
        }
    }
}

/// The keys of the table as the part records them.
pub(crate) struct PartKeys {
    /// Partition key texts with the part's one value of each.
    pub(crate) partition: Vec<KeyColumn>,
    pub(crate) sorting_key: Vec<String>,
    /// Text and type of the primary key's expressions.
    pub(crate) primary_key: Vec<(String, DataType)>,
}

/// A column to write.
pub(crate) struct PartColumn<'a> {
    pub(crate) id: u32,
    pub(crate) name: &'a str,
    pub(crate) data_type: &'a DataType,
    pub(crate) codec: ColumnCodec,
}

/// A part being written.
pub(crate) struct PartWriter {
    identity: PartIdentity,
    keys: PartKeys,
    granules: GranuleEncoder,
    /// Threads that rows of one block may be written on.
    threads: usize,
    columns: Vec<ColumnWriter>,
    codecs: Vec<ColumnCodec>,
    /// What columns without a codec are compressed with, if the part is to say so.
    default_codec: Option<Generic>,
    /// Encoded granules of the group being gathered, per column.
    group: Vec<Vec<u8>>,
    /// First granule of the group.
    group_first: usize,
    granule_rows: Vec<u32>,
    /// First rows of granules (and the last row of the last one), per primary key expression.
    index_rows: Vec<Vec<Column>>,
    /// What goes between the last granule and the footer.
    blobs: Vec<Vec<u8>>,
    sections: Vec<Section>,
    skip_indexes: Vec<SkipIndexWriter>,
    projections: Vec<Box<dyn NestedBuilder>>,
    file: PartFile,
}

impl PartWriter {
    pub(crate) fn new(
        disk: &Arc<dyn Disk>,
        identity: PartIdentity,
        keys: PartKeys,
        columns: &[PartColumn<'_>],
    ) -> PartWriter {
        // Who inserts waits for it; what was merged stays for longer, and is read more often.
        let stays = identity.level > 0;
        let mut file = PartFile::new(disk, identity.id);
        if stays {
            file.set_stays();
        }
        PartWriter {
            granules: GranuleEncoder::new(stays),
            threads: 1,
            file,
            group: vec![vec![]; columns.len()],
            columns: columns.iter().map(|c| ColumnWriter::new(c.id, c.name, c.data_type)).collect(),
            codecs: columns.iter().map(|c| c.codec.clone()).collect(),
            default_codec: None,
            group_first: 0,
            granule_rows: vec![],
            index_rows: vec![vec![]; keys.primary_key.len()],
            blobs: vec![],
            sections: vec![],
            skip_indexes: vec![],
            projections: vec![],
            identity,
            keys,
        }
    }

    /// The same, as a part inside another file: its bytes go to `file`, from offset 0 on.
    pub(crate) fn nested(
        disk: &Arc<dyn Disk>,
        identity: PartIdentity,
        keys: PartKeys,
        columns: &[PartColumn<'_>],
        file: Box<dyn WriteFile>,
    ) -> PartWriter {
        let file = PartFile::nested(disk, identity.id, file);
        PartWriter { file, ..PartWriter::new(disk, identity, keys, columns) }
    }

    /// How many threads may write the rows of one block.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = threads.max(1);
    }

    /// Whether [`PartWriter::push_picked`] will do.
    pub(crate) fn takes_picks(&self) -> bool {
        let flat = |c: &ColumnWriter| {
            matches!(c.layout, Layout::Number { .. } | Layout::FixedBytes(_) | Layout::Strings)
        };
        self.projections.is_empty() && self.skip_indexes.is_empty() && self.columns.iter().all(flat)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.granule_rows.iter().map(|r| *r as u64).sum()
    }

    /// Adds bytes to the body, before the footer; a section names them by the number given back.
    /// They stay in memory until the part is finished.
    pub(crate) fn add_blob(&mut self, bytes: Vec<u8>) -> u32 {
        self.blobs.push(bytes);
        self.blobs.len() as u32 - 1
    }

    /// Adds a section to the footer. A reader that does not know the tag refuses the part if it is
    /// `required`, and else skips it. A tag is added once.
    pub(crate) fn add_section(&mut self, tag: u32, required: bool, bytes: Vec<u8>) {
        debug_assert!(self.sections.iter().all(|s| s.tag != tag), "section {tag} twice");
        self.sections.push(Section { tag, required, bytes });
    }

    /// The skip indexes that the part gets; before the first row.
    pub(crate) fn set_skip_indexes(&mut self, indexes: &[Arc<SkipIndex>]) {
        self.skip_indexes = indexes.iter().map(SkipIndexWriter::new).collect();
    }

    /// The projections that the part gets; before the first row.
    pub(crate) fn set_projections(&mut self, projections: Vec<Box<dyn NestedBuilder>>) {
        self.projections = projections;
        for (number, projection) in self.projections.iter_mut().enumerate() {
            projection.begin(self.file.disk(), &self.identity, number);
        }
    }

    /// Leaves out the projections whose names `keep` does not want; before the first row.
    pub(crate) fn retain_projections(&mut self, keep: &dyn Fn(&str) -> bool) {
        self.projections.retain(|p| keep(p.name()));
    }

    fn push_projections(&mut self, columns: &[Column]) -> Result<()> {
        if self.projections.is_empty() {
            return Ok(());
        }
        let names = self.columns.iter().map(|c| c.name.clone());
        let block = Block::new(names.zip(columns.iter().cloned()).collect());
        self.projections.iter_mut().try_for_each(|p| p.push(&block))
    }

    fn push_skip_indexes(&mut self, columns: &[Column], from: usize, to: usize) -> Result<()> {
        if self.skip_indexes.is_empty() {
            return Ok(());
        }
        let names = self.columns.iter().map(|c| c.name.clone());
        let slices = columns.iter().map(|c| c.slice(from, to - from));
        let granule = Block::new(names.zip(slices).collect());
        self.skip_indexes.iter_mut().try_for_each(|index| index.push(&granule))
    }

    fn finish_skip_indexes(&mut self) -> Result<()> {
        let writers = std::mem::take(&mut self.skip_indexes);
        let section = finish_indexes(writers, &mut |blob| self.add_blob(blob))?;
        if let Some(section) = section {
            self.add_section(section_tag::SKIP_INDEXES, false, section);
        }
        Ok(())
    }

    /// Lets the part say what columns without a codec are compressed with.
    pub(crate) fn set_default_codec(&mut self, codec: Generic) {
        self.default_codec = Some(codec);
    }

    /// Where the columns stand in the part of `reader`, if its granules can be copied as they are: each
    /// column lies there as it would here, and nothing else is made of the rows.
    pub(crate) fn copies_from(&self, reader: &PartReader) -> Option<Vec<usize>> {
        let section = reader.section(section_tag::DEFAULT_CODEC);
        let same_default = self.default_codec.is_some_and(|c| section == Some(&c.stored()[..]));
        if !same_default || !self.skip_indexes.is_empty() || !self.projections.is_empty() {
            return None;
        }
        let codecs = reader.codecs();
        let place = |(column, codec): (&ColumnWriter, &ColumnCodec)| {
            let index = reader.column_index(column.id)?;
            let entry = reader.column(index);
            let alike = entry.data_type == column.data_type
                && entry.ranges.kind() == column.ranges.kind()
                && codecs[index] == codec.text;
            alike.then_some(index)
        };
        self.columns.iter().zip(&self.codecs).map(place).collect()
    }

    /// Adds a granule of another part as it lies there, its bytes verified. `columns` are from
    /// [`PartWriter::copies_from`], `first` and `last` the primary key of its first and last row. Its
    /// values are not looked at: [`PartWriter::add_content`] has to count them.
    pub(crate) fn push_copied(
        &mut self,
        reader: &PartReader,
        granule: usize,
        columns: &[usize],
        first: Vec<Column>,
        last: Vec<Column>,
    ) -> Result<()> {
        for ((column, bytes), index) in self.columns.iter_mut().zip(&mut self.group).zip(columns) {
            let entry = reader.column(*index);
            let at = bytes.len() as u64;
            let mark = reader.append_node(*index, granule, bytes)?;
            column.decoded_bytes += mark.decoded as u64;
            column.marks.push(Mark { file_offset: at, ..mark });
            column.nulls.push(entry.nulls(granule));
            if !column.ranges.push_copied(&entry.ranges, granule) {
                return Err(reader.damaged(mark, "the range of a granule"));
            }
        }
        self.granule_rows.push(reader.granule_rows(granule) as u32);
        self.push_index(self.granule_rows.len() - 1, first);
        self.push_index(self.granule_rows.len(), last);
        self.write_full_group()
    }

    /// Counts the content hash of granules that were copied to column number `column`.
    pub(crate) fn add_content(&mut self, column: usize, hash: u64) {
        let counted = &mut self.columns[column].content_hash;
        *counted = counted.wrapping_add(hash);
    }

    /// Granules so far.
    pub(crate) fn granules(&self) -> usize {
        self.granule_rows.len()
    }

    /// Content hash per column so far, in the order of the columns.
    pub(crate) fn content_hashes(&self) -> Vec<u64> {
        self.columns.iter().map(|c| c.content_hash).collect()
    }

    /// Adds sorted rows, cut into granules of at most `granule_rows_max`. `key_at` gives the values
    /// of the primary key's expressions at a row of `columns`, as columns of one row.
    pub(crate) fn push(
        &mut self,
        columns: &[Column],
        granule_rows_max: usize,
        key_at: &mut dyn FnMut(usize) -> Result<Vec<Column>>,
    ) -> Result<()> {
        let rows = columns.first().map_or(0, Column::len);
        let mut from = 0;
        while from < rows {
            let to = granule_end(columns, from, rows, granule_rows_max);
            self.push_granule(columns, from, to)?;
            self.push_index(self.granule_rows.len() - 1, key_at(from)?);
            from = to;
        }
        if rows > 0 {
            // Only the last row of the part stays; the next granule replaces it.
            self.push_index(self.granule_rows.len(), key_at(rows - 1)?);
            self.push_projections(columns)?;
        }
        Ok(())
    }

    /// The same for the rows that `order` picks from `columns`, or all as they lie, which `key_at` counts as they
    /// come, column by column. Only if [`PartWriter::takes_picks`] says so.
    pub(crate) fn push_picked(
        &mut self,
        columns: &[Column],
        order: Option<&UInt32Array>,
        granule_rows_max: usize,
        key_at: &mut dyn FnMut(usize) -> Result<Vec<Column>>,
    ) -> Result<()> {
        let ends = self.granule_ends(columns, order, granule_rows_max.max(1));
        if self.group.iter().any(|gathered| !gathered.is_empty()) {
            self.place_group();
            self.write_group(&[])?;
        }
        let values = columns.len() * ends.last().copied().unwrap_or(0);
        let work = values / columnwise::VALUES_PER_HELPER;
        let helpers = BorrowedThreads::borrow((self.threads - 1).min(work));
        let sources = self.columns.iter_mut().zip(&self.codecs).zip(columns);
        let sources = sources.map(|((entry, codec), column)| Source { entry, codec, column });
        let rows = columnwise::Rows { order, ends: &ends };
        let (granules, file) = (&mut self.granules, &mut self.file);
        let left = columnwise::write(sources.collect(), rows, helpers.count(), granules, file)?;
        let mut from = 0;
        for to in ends {
            self.granule_rows.push((to - from) as u32);
            self.push_index(self.granule_rows.len() - 1, key_at(from)?);
            from = to;
        }
        if from > 0 {
            self.push_index(self.granule_rows.len(), key_at(from - 1)?);
        }
        // What is left stays at the front of the group, where it is already placed.
        if let Some(first) = self.group.first_mut() {
            *first = left;
        }
        self.group_first = self.granule_rows.len();
        self.write_full_group()
    }

    /// Where the granules of the picked rows end, by the same rule as [`granule_end`].
    fn granule_ends(
        &self,
        columns: &[Column],
        order: Option<&UInt32Array>,
        rows_max: usize,
    ) -> Vec<usize> {
        let rows = match order {
            Some(order) => order.len(),
            None => columns.first().map_or(0, Column::len),
        };
        let mut fixed = 0;
        let mut strings = vec![];
        for (column, writer) in columns.iter().zip(&self.columns) {
            match &writer.layout {
                Layout::Number { width, .. } | Layout::FixedBytes(width) => fixed += width,
                _ => strings.push(column.array.as_binary::<i32>().value_offsets()),
            }
        }
        let longest = |offsets: &&[i32]| {
            offsets.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0) + 4
        };
        let widest: usize = fixed + strings.iter().map(longest).sum::<usize>();
        if widest.saturating_mul(rows_max) <= GRANULE_BYTES_MAX {
            return (1..=rows.div_ceil(rows_max))
                .map(|granule| rows.min(granule * rows_max))
                .collect();
        }
        let bytes = |row: usize| {
            let row = order.map_or(row, |order| order.value(row) as usize);
            let length = |offsets: &&[i32]| (offsets[row + 1] - offsets[row]) as usize + 4;
            fixed + strings.iter().map(length).sum::<usize>()
        };
        let sizes: Vec<usize> = (0..rows).map(bytes).collect();
        let mut ends = vec![];
        let mut from = 0;
        while from < sizes.len() {
            let mut to = sizes.len().min(from + rows_max);
            while to - from > 1 && sizes[from..to].iter().sum::<usize>() > GRANULE_BYTES_MAX {
                to = from + (to - from) / 2;
            }
            ends.push(to);
            from = to;
        }
        ends
    }

    /// Puts key values at `position` of the index, cutting what is behind.
    fn push_index(&mut self, position: usize, key: Vec<Column>) {
        for (index, value) in self.index_rows.iter_mut().zip(key) {
            index.truncate(position);
            index.push(value);
        }
    }

    fn push_granule(&mut self, columns: &[Column], from: usize, to: usize) -> Result<()> {
        for (i, column) in columns.iter().enumerate() {
            let array = column.array.slice(from, to - from);
            // Until the group is written a mark's offset counts from the column's first byte in it.
            let (entry, bytes) = (&mut self.columns[i], &mut self.group[i]);
            self.granules.put(entry, &self.codecs[i], array.as_ref(), bytes)?;
        }
        self.push_skip_indexes(columns, from, to)?;
        self.granule_rows.push((to - from) as u32);
        self.write_full_group()
    }

    fn write_full_group(&mut self) -> Result<()> {
        if self.group.iter().map(Vec::len).sum::<usize>() >= GROUP_BYTES {
            self.place_group();
            self.write_group(&[])?;
        }
        Ok(())
    }

    /// Settles where the gathered group goes in the file, column by column behind the header; marks get
    /// their file offsets. Where it ends.
    fn place_group(&mut self) -> u64 {
        let mut end = self.file.end();
        for (column, bytes) in self.columns.iter_mut().zip(&self.group) {
            for mark in &mut column.marks[self.group_first..] {
                mark.file_offset += end;
            }
            end += bytes.len() as u64;
        }
        self.group_first = self.granule_rows.len();
        end
    }

    /// Writes the placed group and `more` behind it, without gathering them first.
    fn write_group(&mut self, more: &[u8]) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        let mut pieces: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        pieces.push(more);
        let written = self.file.append(&pieces);
        self.group = group;
        self.group.iter_mut().for_each(Vec::clear);
        written
    }

    /// Writes what is left, the footer and the tail, and makes the file's bytes durable.
    pub(crate) fn finish(mut self) -> Result<PendingPart> {
        let (rows, footer_hash) = self.finish_bytes()?;
        let mut pending = PendingPart::new(self.meta(rows, footer_hash), self.file.disk().clone());
        pending.meta.bytes = self.file.len();
        // From here on the guard that removes an unfinished file is the pending part.
        self.file.finish()?;
        Ok(pending)
    }

    /// The same for a part inside another file, which is synced by whom it belongs to.
    pub(crate) fn finish_nested(mut self) -> Result<NestedMeta> {
        let (rows, footer_hash) = self.finish_bytes()?;
        self.file.flush()?;
        Ok(NestedMeta { rows, footer_hash })
    }

    /// Rows and the footer's hash.
    fn finish_bytes(&mut self) -> Result<(u64, u64)> {
        let rows = self.rows();
        if rows == 0 {
            return Err(Error::Column("a part holds at least one row".into()));
        }
        self.finish_skip_indexes()?;
        let end = self.place_group();
        let blob_bytes: usize = self.blobs.iter().map(Vec::len).sum();
        let mut more = Vec::with_capacity(blob_bytes + (1 << 16));
        let mut blobs = self.take_blobs(end, &mut more)?;
        let mut footer_offset = end + more.len() as u64;
        if !self.projections.is_empty() {
            self.write_group(&more)?;
            more.clear();
            self.write_projections(&mut blobs)?;
            footer_offset = self.file.len();
        }
        let footer = self.footer(blobs)?;
        let footer_hash = xxh3(&footer);
        more.extend_from_slice(&footer);
        put_tail(&mut more, footer_offset, footer.len() as u64, footer_hash);
        self.write_group(&more)?;
        Ok((rows, footer_hash))
    }

    /// Writes the projections behind what is in the file; their pieces become blobs.
    fn write_projections(&mut self, blobs: &mut Vec<Mark>) -> Result<()> {
        let builders = std::mem::take(&mut self.projections);
        let mut section = vec![];
        put_u32(&mut section, builders.len() as u32);
        for builder in builders {
            let Some(file) = self.file.lend()? else {
                return Err(Error::Column("a part without a file has no projections".into()));
            };
            let outlet = Outlet::new(file, self.file.len());
            let host = NestedHost {
                disk: self.file.disk(),
                identity: &self.identity,
                partition: &self.keys.partition,
            };
            let described = builder.describe();
            let written = builder.finish(&host, Box::new(outlet.clone()));
            let (file, marks) = outlet.close();
            let bytes = marks.iter().map(|m| m.length as u64).sum();
            self.file.put_back(file, bytes);
            put_entry(&mut section, &described, &written?, blobs.len(), marks.len());
            blobs.extend(marks);
        }
        self.add_section(section_tag::PROJECTIONS, false, section);
        Ok(())
    }

    /// Appends the blobs to `body`, which begins at `base` of the file; their marks.
    fn take_blobs(&mut self, base: u64, body: &mut Vec<u8>) -> Result<Vec<Mark>> {
        std::mem::take(&mut self.blobs)
            .into_iter()
            .map(|blob| {
                let length = u32::try_from(blob.len()).map_err(|_| {
                    Error::LimitExceeded(format!("{} bytes beside the rows of a part", blob.len()))
                })?;
                let file_offset = base + body.len() as u64;
                body.extend_from_slice(&blob);
                Ok(Mark { file_offset, length, decoded: length, hash: xxh3(&blob) })
            })
            .collect()
    }

    fn footer(&mut self, blobs: Vec<Mark>) -> Result<Vec<u8>> {
        if self.codecs.iter().any(|c| !c.text.is_empty()) {
            let mut texts = vec![];
            self.codecs.iter().for_each(|c| put_bytes(&mut texts, c.text.as_bytes()));
            self.add_section(section_tag::CODECS, false, texts);
        }
        if let Some(codec) = self.default_codec {
            self.add_section(section_tag::DEFAULT_CODEC, false, codec.stored().to_vec());
        }
        self.granules.encoder.set_codec(&ColumnCodec::default());
        let mut primary_index = vec![];
        for ((text, data_type), rows) in self.keys.primary_key.iter().zip(&self.index_rows) {
            let mut column = Column::concat(rows)?;
            column.data_type = data_type.clone();
            primary_index.push(KeyColumn { text: text.clone(), column });
        }
        let head = FooterHead {
            table: self.identity.table,
            id: self.identity.id,
            granule_rows: std::mem::take(&mut self.granule_rows),
            partition: std::mem::take(&mut self.keys.partition),
            sorting_key: std::mem::take(&mut self.keys.sorting_key),
            primary_index,
            blobs,
            sections: std::mem::take(&mut self.sections),
        };
        head.serialize(&self.columns, &mut self.granules.encoder)
    }

    fn meta(&self, rows: u64, footer_hash: u64) -> PartMeta {
        PartMeta {
            id: self.identity.id,
            table: self.identity.table,
            partition_id: self.identity.partition_id.clone(),
            rows,
            bytes: 0,
            bytes_uncompressed: self.columns.iter().map(|c| c.decoded_bytes).sum(),
            footer_hash,
            min_block: self.identity.min_block,
            max_block: self.identity.max_block,
            level: self.identity.level,
            created_us: self.identity.created_us,
            data_version: 0,
            mask: None,
            ttl_seconds: None,
        }
    }
}

fn put_tail(out: &mut Vec<u8>, footer_offset: u64, footer_length: u64, footer_hash: u64) {
    let first = out.len();
    put_u64(out, footer_offset);
    put_u64(out, footer_length);
    put_u64(out, footer_hash);
    let hash = xxh3(&out[first..]);
    put_u64(out, hash);
    out.extend_from_slice(&TAIL_MAGIC);
    debug_assert_eq!(out.len() - first, TAIL_BYTES);
}

/// Where the granule that begins at `from` ends: after `granule_rows_max` rows, or earlier so that it
/// keeps below the byte limit, but never before one row.
fn granule_end(columns: &[Column], from: usize, rows: usize, granule_rows_max: usize) -> usize {
    let mut to = rows.min(from + granule_rows_max.max(1));
    while to - from > 1 {
        let bytes: usize = columns
            .iter()
            .map(|c| {
                let array = c.array.slice(from, to - from);
                decoded_bytes(&Layout::of(&c.data_type), array.as_ref())
            })
            .sum();
        if bytes <= GRANULE_BYTES_MAX {
            break;
        }
        to = from + (to - from) / 2;
    }
    to
}
