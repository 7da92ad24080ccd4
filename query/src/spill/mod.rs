//! Temporary files: where operators put what does not fit into a query's memory.
//!
//! All lie in one folder of the data directory, which is emptied at start. A file is removed when the
//! last who holds it lets go, at the latest at the end of its query. What is written is compressed
//! and checksummed frame by frame; damage is an error of the query that meets it, and so is a full
//! disk or the limit on a query's or a user's temporary data.

mod bytes;
mod codec;
mod partitions;
#[cfg(test)]
mod tests;
mod thresholds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pumphouse_storage::disk::{Disk, ReadFile, WriteFile};
use pumphouse_storage::{Block, DataType};
use xxhash_rust::xxh3::xxh3_64;

pub use self::bytes::{BytesWriter, SpilledBytes};
pub(crate) use self::partitions::{SPILL_PARTITIONS, SealedPartitions, SpilledPartitions};
pub(crate) use self::thresholds::{Threshold, external_group_by, external_join, external_sort};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};

const FOLDER: &str = "tmp";
/// Compressed length, plain length, checksum.
const HEAD: usize = 16;
/// Bytes of a file that gather before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// The folder of temporary files, shared by all queries.
pub struct SpillSpace {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    users: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    /// All queries' counters together.
    pub total: SpillCounters,
}

/// What was spilled: events in ClickHouse's words.
#[derive(Debug, Default)]
pub struct SpillCounters {
    pub sort_write_part: AtomicU64,
    pub sort_merge: AtomicU64,
    pub aggregation_write_part: AtomicU64,
    pub aggregation_merge: AtomicU64,
    pub join_write_part: AtomicU64,
    pub join_merge: AtomicU64,
    pub compressed_bytes: AtomicU64,
    pub uncompressed_bytes: AtomicU64,
    pub files: AtomicU64,
}

impl SpillCounters {
    /// Names of events and their values.
    pub fn events(&self) -> Vec<(&'static str, u64)> {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        vec![
            ("ExternalSortWritePart", get(&self.sort_write_part)),
            ("ExternalSortMerge", get(&self.sort_merge)),
            ("ExternalAggregationWritePart", get(&self.aggregation_write_part)),
            ("ExternalAggregationMerge", get(&self.aggregation_merge)),
            ("ExternalJoinWritePart", get(&self.join_write_part)),
            ("ExternalJoinMerge", get(&self.join_merge)),
            ("ExternalProcessingCompressedBytesTotal", get(&self.compressed_bytes)),
            ("ExternalProcessingUncompressedBytesTotal", get(&self.uncompressed_bytes)),
            ("ExternalProcessingFilesTotal", get(&self.files)),
        ]
    }
}

/// What a spill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sort,
    Aggregation,
    Join,
}

/// One query's share of the space.
pub struct QuerySpill {
    space: Arc<SpillSpace>,
    used: AtomicU64,
    user_used: Arc<AtomicU64>,
    pub counters: SpillCounters,
}

impl SpillSpace {
    /// The space on `disk`; what an earlier process left there is removed.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Arc<SpillSpace>> {
        disk.create_dir(FOLDER)?;
        for name in disk.list(FOLDER)? {
            disk.remove(&format!("{FOLDER}/{name}"))?;
        }
        Ok(Arc::new(SpillSpace {
            disk,
            next: AtomicU64::new(0),
            users: Mutex::new(BTreeMap::new()),
            total: SpillCounters::default(),
        }))
    }

    /// The share of one query of `user`.
    pub fn of_query(self: &Arc<Self>, user: &str) -> Arc<QuerySpill> {
        let mut users = self.users.lock();
        // Users who have nothing here need not be remembered.
        users.retain(|_, used| Arc::strong_count(used) > 1);
        let user_used = users.entry(user.to_string()).or_default().clone();
        Arc::new(QuerySpill {
            space: self.clone(),
            used: AtomicU64::new(0),
            user_used,
            counters: SpillCounters::default(),
        })
    }
}

impl QuerySpill {
    /// Counts an event here and in the server's totals.
    pub(crate) fn count(&self, which: impl Fn(&SpillCounters) -> &AtomicU64, by: u64) {
        which(&self.counters).fetch_add(by, Ordering::Relaxed);
        which(&self.space.total).fetch_add(by, Ordering::Relaxed);
    }

    /// Counts one part written, or one merge of parts.
    pub(crate) fn count_write(&self, purpose: Purpose) {
        self.count(
            |c| match purpose {
                Purpose::Sort => &c.sort_write_part,
                Purpose::Aggregation => &c.aggregation_write_part,
                Purpose::Join => &c.join_write_part,
            },
            1,
        );
    }

    pub(crate) fn count_merge(&self, purpose: Purpose) {
        self.count(
            |c| match purpose {
                Purpose::Sort => &c.sort_merge,
                Purpose::Aggregation => &c.aggregation_merge,
                Purpose::Join => &c.join_merge,
            },
            1,
        );
    }
}

/// The query's share of the space; an error if it has none.
pub(crate) fn share(ctx: &QueryContext) -> Result<Arc<QuerySpill>> {
    ctx.spill.clone().ok_or_else(|| {
        Error::new(codes::LOGICAL_ERROR, "This query has no place for temporary files")
    })
}

/// Bytes of the disk that a file has taken; given back on drop.
struct Lease {
    share: Arc<QuerySpill>,
    bytes: u64,
    query_max: u64,
    user_max: u64,
}

impl Lease {
    fn take(&mut self, bytes: u64) -> Result<()> {
        let check = |used: &AtomicU64, most: u64| {
            let now = used.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if most > 0 && now > most {
                used.fetch_sub(bytes, Ordering::Relaxed);
                return Err(Error::new(
                    codes::TOO_MANY_ROWS_OR_BYTES,
                    format!(
                        "Limit for temporary files size exceeded (would consume: {now} / {most} bytes)"
                    ),
                ));
            }
            Ok(())
        };
        check(&self.share.used, self.query_max)?;
        if let Err(e) = check(&self.share.user_used, self.user_max) {
            self.share.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(e);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.share.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share.user_used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A temporary file being written.
pub(crate) struct SpillWriter {
    file: Box<dyn WriteFile>,
    path: Name,
    lease: Lease,
    plain: Vec<u8>,
    pending: Vec<u8>,
    written: u64,
    frames: Vec<Frame>,
}

/// One block in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    file_offset: u64,
    bytes: u32,
    pub rows: u32,
}

/// A file's name; the file goes when it is dropped.
struct Name {
    disk: Arc<dyn Disk>,
    path: String,
}

impl Drop for Name {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = self.disk.remove(&self.path);
    }
}

impl SpillWriter {
    pub fn new(ctx: &QueryContext) -> Result<SpillWriter> {
        let (file, path, lease) = create(ctx)?;
        let (plain, pending, frames) = (vec![], vec![], vec![]);
        Ok(SpillWriter { file, path, lease, plain, pending, written: 0, frames })
    }

    /// Adds a block.
    pub fn append(&mut self, block: &Block) -> Result<Frame> {
        self.plain.clear();
        codec::encode(block, &mut self.plain);
        let most = lz4_flex::block::get_maximum_output_size(self.plain.len());
        let at = self.pending.len();
        self.pending.resize(at + HEAD + most, 0);
        let into = &mut self.pending[at + HEAD..];
        let length = lz4_flex::block::compress_into(&self.plain, into)
            .map_err(|e| Error::new(codes::LOGICAL_ERROR, format!("cannot compress: {e}")))?;
        let large = || Error::new(codes::TOO_MANY_ROWS_OR_BYTES, "A block is too large to spill");
        let stored = u32::try_from(length).map_err(|_| large())?;
        let plain = u32::try_from(self.plain.len()).map_err(|_| large())?;
        let checksum = xxh3_64(&into[..length]) ^ u64::from(plain);
        self.pending.truncate(at + HEAD + length);
        let head = &mut self.pending[at..at + HEAD];
        head[..4].copy_from_slice(&stored.to_le_bytes());
        head[4..8].copy_from_slice(&plain.to_le_bytes());
        head[8..].copy_from_slice(&checksum.to_le_bytes());
        self.lease.take((HEAD + length) as u64)?;
        let share = &self.lease.share;
        share.count(|c| &c.compressed_bytes, (HEAD + length) as u64);
        share.count(|c| &c.uncompressed_bytes, self.plain.len() as u64);
        let frame = Frame {
            file_offset: self.written + at as u64,
            bytes: stored + HEAD as u32,
            rows: block.rows() as u32,
        };
        self.frames.push(frame);
        if self.pending.len() >= WRITE_BYTES {
            self.write_out()?;
        }
        Ok(frame)
    }

    fn write_out(&mut self) -> Result<()> {
        self.file.append(&self.pending)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub fn finish(mut self) -> Result<SpillFile> {
        self.write_out()?;
        let SpillWriter { file, path, lease, frames, .. } = self;
        drop(file);
        let file = path.disk.open(&path.path)?;
        Ok(SpillFile { file, frames, _path: path, _lease: lease })
    }
}

/// A new file, its name and its share of the disk.
fn create(ctx: &QueryContext) -> Result<(Box<dyn WriteFile>, Name, Lease)> {
    let share = share(ctx)?;
    let disk = share.space.disk.clone();
    keep_free(&*disk, ctx)?;
    let number = share.space.next.fetch_add(1, Ordering::Relaxed);
    let path = Name { disk: disk.clone(), path: format!("{FOLDER}/{number}.tmp") };
    let file = disk.create(&path.path)?;
    share.count(|c| &c.files, 1);
    let most = |name| ctx.settings.u64(name, 0);
    let lease = Lease {
        share,
        bytes: 0,
        query_max: most("max_temporary_data_on_disk_size_for_query"),
        user_max: most("max_temporary_data_on_disk_size_for_user"),
    };
    Ok((file, path, lease))
}

/// `min_free_disk_space_for_temporary_data`.
fn keep_free(disk: &dyn Disk, ctx: &QueryContext) -> Result<()> {
    let least = ctx.settings.u64("min_free_disk_space_for_temporary_data", 0);
    if least > 0
        && let Some(free) = disk.free_bytes()?
        && free < least
    {
        return Err(Error::new(
            codes::NOT_ENOUGH_SPACE,
            format!(
                "Not enough space for temporary files: {free} bytes are free, {least} must stay free"
            ),
        ));
    }
    Ok(())
}

/// A temporary file that is written.
pub(crate) struct SpillFile {
    file: Arc<dyn ReadFile>,
    pub frames: Vec<Frame>,
    _path: Name,
    _lease: Lease,
}

impl SpillFile {
    /// The block of `frame`, of this file.
    pub fn read(&self, frame: Frame, schema: &[(String, DataType)]) -> Result<Block> {
        let mut bytes = vec![0; frame.bytes as usize];
        self.file.read_at(frame.file_offset, &mut bytes)?;
        let (head, stored) = bytes.split_at_checked(HEAD).ok_or_else(codec::damaged)?;
        let word = |at: usize| head[at..at + 4].iter().rev().fold(0u32, |w, b| w << 8 | *b as u32);
        let checksum = u64::from(word(8)) | u64::from(word(12)) << 32;
        let plain = word(4);
        if word(0) as usize != stored.len() || xxh3_64(stored) ^ u64::from(plain) != checksum {
            return Err(codec::damaged());
        }
        let plain =
            lz4_flex::block::decompress(stored, plain as usize).map_err(|_| codec::damaged())?;
        codec::decode(&plain, schema)
    }
}
