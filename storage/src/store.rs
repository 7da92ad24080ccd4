//! The store: the door through which the layers above use storage.
//!
//! Opening one takes the directory's lock, recovers the log, checks the live parts, removes what no
//! commit lists and writes an epoch frame. From then on: [`Store::snapshot`] to read,
//! [`Store::commit`] to change, [`Store::part`] to open a part of a snapshot.
//!
//! Rules: a part's file is removed only after its removal is durable and no snapshot holds it; parts
//! found missing or damaged are kept in the state, and whoever needs them gets an error.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::expression::ExpressionCompiler;
use crate::log::committer::{Committer, FailureHook};
use crate::log::manifest::{Manifest, ManifestOptions};
use crate::log::recovery::{self, Recovered};
use crate::log::{Commit, Edit, PartId, PartMeta, State};
use crate::part::{PartReader, PendingPart, RowMask};
use crate::part_history::PartHistory;
use crate::scan::{BlockCache, ConditionCache};

/// What a store stands on.
pub struct StoreOptions {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub compiler: Arc<dyn ExpressionCompiler>,
    pub config: StoreConfig,
}

/// How a store behaves; the defaults suit a server.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The log's space is zeroed and synced this much at a time, so that a commit changes no sizes.
    pub log_preallocate_bytes: u64,
    /// The log is replaced by a checkpoint when it is longer than this.
    pub checkpoint_bytes: u64,
    /// Inserts and merges stop while the disk has less free space than this.
    pub keep_free_bytes: u64,
    /// At start the footer of every part is checked; the newest parts, up to this many bytes of
    /// files, are read whole.
    pub verify_bytes_max: u64,
    /// Parts kept open for reading.
    pub open_parts_max: usize,
    /// Bytes of marks and primary indexes that they may hold.
    pub mark_cache_bytes: u64,
    /// Bytes of decoded granules kept for queries that ask for it; 0: none.
    pub uncompressed_cache_bytes: usize,
    /// Write the two copies of the log on two threads, and check parts on all cores. Simulations
    /// turn it off to be repeatable.
    pub parallel: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            log_preallocate_bytes: 4 << 20,
            checkpoint_bytes: 64 << 20,
            keep_free_bytes: 1 << 30,
            verify_bytes_max: 256 << 20,
            open_parts_max: 1024,
            mark_cache_bytes: 5 << 30,
            uncompressed_cache_bytes: 0,
            parallel: true,
        }
    }
}

/// ClickHouse's `query_condition_cache_size`.
const CONDITION_CACHE_BYTES: usize = 100 << 20;

/// Counts since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub commits: u64,
    pub rejected: u64,
    /// Commit groups that became durable.
    pub frames: u64,
    /// The most commits in one group.
    pub group_max: u64,
    pub checkpoints: u64,
    /// Length of the log since the last checkpoint.
    pub log_bytes: u64,
    pub log_generation: u64,
    /// File syncs of the log's two copies.
    pub log_syncs: u64,
    /// Syncs of the folder of parts.
    pub dir_syncs: u64,
    pub parts_open: u64,
    /// Bytes of marks and primary indexes of open parts.
    pub marks_bytes: u64,
    pub marks_hits: u64,
    pub marks_misses: u64,
    /// Parts gone from the state whose files wait for readers to finish.
    pub parts_to_remove: u64,
    pub parts_removed: u64,
}

/// An open data directory.
pub struct Store {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    compiler: Arc<dyn ExpressionCompiler>,
    config: StoreConfig,
    epoch: u32,
    next_part: AtomicU64,
    pub(crate) quarantined: Mutex<BTreeMap<PartId, String>>,
    pub(crate) open_parts: Mutex<OpenParts>,
    masks: Mutex<HashMap<PartId, Arc<RowMask>>>,
    parts_removed: AtomicU64,
    part_history: PartHistory,
    condition_cache: Arc<ConditionCache>,
    block_cache: Arc<BlockCache>,
    repairs: Vec<String>,
    committer: Committer,
    // Last, so that the log's files are closed before the directory is free.
    _lock: Box<dyn Send + Sync>,
}

impl Store {
    /// Opens the store on `options.disk`, making an empty one where there is none. Fails if another
    /// process has it (`Error::Locked`) or if the log is damaged (`Error::Damaged`).
    pub fn open(options: StoreOptions) -> Result<Arc<Store>> {
        let StoreOptions { disk, clock, compiler, config } = options;
        let lock = disk.lock()?;
        let Recovered { state, position, repairs, .. } =
            recovery::recover(&*disk, config.log_preallocate_bytes)?;
        for repair in &repairs {
            tracing::warn!("commit log repaired: {repair}");
        }
        recovery::remove_orphans(&*disk, &state)?;
        let quarantined = verify_parts(&disk, &state, &config);
        let log_options = ManifestOptions {
            preallocate_bytes: config.log_preallocate_bytes,
            checkpoint_bytes: config.checkpoint_bytes,
            parallel: config.parallel,
        };
        let log = Manifest::resume(disk.clone(), log_options, position)?;
        let epoch = state.epoch + 1;
        let committer = Committer::new(disk.clone(), Box::new(log), state);
        let edit = Edit::Epoch { epoch, wall_us: clock.now_us() };
        committer.commit(Commit { preconditions: vec![], edits: vec![edit] }, vec![])?;
        Ok(Arc::new(Store {
            disk,
            clock,
            compiler,
            epoch,
            next_part: AtomicU64::new(1),
            quarantined: Mutex::new(quarantined),
            open_parts: Mutex::new(OpenParts::new(config.open_parts_max, config.mark_cache_bytes)),
            block_cache: Arc::new(BlockCache::new(config.uncompressed_cache_bytes)),
            masks: Mutex::default(),
            parts_removed: AtomicU64::new(0),
            part_history: PartHistory::default(),
            condition_cache: Arc::new(ConditionCache::new(CONDITION_CACHE_BYTES)),
            repairs,
            committer,
            config,
            _lock: lock,
        }))
    }

    /// The newest durable state; holding it keeps the files of its parts.
    pub fn snapshot(&self) -> Arc<State> {
        self.committer.snapshot()
    }

    /// As [`Store::snapshot`], but waits for one newer than `version`, for `time` at most.
    pub fn wait_past(&self, version: u64, time: std::time::Duration) -> Arc<State> {
        self.committer.wait_past(version, time)
    }

    /// Every state from now on, in order, unless more than `count` wait to be taken. They hold the files of
    /// their parts.
    pub fn watch(&self, count: usize) -> std::sync::mpsc::Receiver<Arc<State>> {
        self.committer.watch(count)
    }

    /// Blocks until `commit`, with an `AddPart` for each of `parts`, is durable and visible; gives the
    /// version it is in. If a precondition does not hold (`Error::Rejected`), nothing of it happens
    /// and the files of `parts` are removed. `Error::Closed` leaves the outcome to recovery.
    pub fn commit(&self, commit: Commit, parts: Vec<PendingPart>) -> Result<u64> {
        let metas: Vec<PartMeta> = parts.iter().map(|p| p.meta.clone()).collect();
        let events = PartHistory::events_of(&commit, &metas, &self.snapshot(), self.clock.now_us());
        let version = self.committer.commit(commit, parts)?;
        self.part_history.remember(events);
        if self.committer.removed_count() > 0
            && let Err(e) = self.collect_garbage()
        {
            tracing::warn!("removed parts stay on the disk for now: {e}");
        }
        Ok(version)
    }

    /// An id that no part has ever had.
    pub fn new_part_id(&self) -> PartId {
        let number = self.next_part.fetch_add(1, Ordering::Relaxed);
        // Beyond the last number ids repeat, and creating the file fails.
        PartId { epoch: self.epoch, number: u32::try_from(number).unwrap_or(u32::MAX) }
    }

    /// Parts that came and went since the store was opened.
    pub fn part_history(&self) -> &PartHistory {
        &self.part_history
    }

    /// What queries have found out about granules.
    pub fn condition_cache(&self) -> &Arc<ConditionCache> {
        &self.condition_cache
    }

    /// Decoded granules that queries have left for others.
    pub fn block_cache(&self) -> &Arc<BlockCache> {
        &self.block_cache
    }

    /// The next use of every part opens its file anew.
    pub fn forget_marks(&self) {
        self.notice_damage();
        self.open_parts.lock().readers.clear();
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub fn compiler(&self) -> &Arc<dyn ExpressionCompiler> {
        &self.compiler
    }

    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// The open reader of a part of some snapshot. `Error::Damaged` if it is quarantined or turns out
    /// to be damaged.
    pub fn part(&self, meta: &Arc<PartMeta>) -> Result<Arc<PartReader>> {
        if let Some(reader) = self.open_parts.lock().get(meta.id)
            && reader.damage().is_none()
        {
            return Ok(reader);
        }
        self.notice_damage();
        if let Some(what) = self.quarantined.lock().get(&meta.id) {
            return Err(Error::Damaged { path: meta.path(), file_offset: 0, what: what.clone() });
        }
        match open_part(&self.disk, meta) {
            Ok(reader) => {
                let reader = Arc::new(reader);
                self.open_parts.lock().insert(meta.id, reader.clone());
                Ok(reader)
            }
            Err(e) => {
                let e = missing_is_damage(&self.disk, meta, e);
                if matches!(e, Error::Damaged { .. }) {
                    self.quarantine(meta.id, &e.to_string());
                }
                Err(e)
            }
        }
    }

    /// Which rows of the part are left; None if all are.
    pub fn mask(&self, meta: &PartMeta) -> Result<Option<Arc<RowMask>>> {
        let Some(mask) = &meta.mask else { return Ok(None) };
        if let Some(read) = self.masks.lock().get(&mask.id) {
            return Ok(Some(read.clone()));
        }
        let read = RowMask::read(&self.disk, mask, meta.rows).map_err(|e| {
            let e = missing_path_is_damage(&self.disk, crate::log::mask_path(mask.id), e);
            if matches!(e, Error::Damaged { .. }) {
                self.quarantine(meta.id, &e.to_string());
            }
            e
        })?;
        let read = Arc::new(read);
        let mut masks = self.masks.lock();
        if masks.len() >= self.config.open_parts_max {
            // Any may go; they are small and read again at once.
            masks.clear();
        }
        masks.insert(mask.id, read.clone());
        Ok(Some(read))
    }

    /// Quarantines the open parts in which a read has met damage.
    pub(crate) fn notice_damage(&self) {
        let damaged: Vec<(PartId, String)> = {
            let open = self.open_parts.lock();
            let damage = |r: &Arc<PartReader>| r.damage().map(str::to_string);
            open.readers.iter().filter_map(|(id, (r, _))| Some((*id, damage(r)?))).collect()
        };
        for (id, what) in damaged {
            self.quarantine(id, &what);
        }
    }

    /// The next use opens the part's file, and its mask's, anew.
    pub(crate) fn forget_reader(&self, meta: &PartMeta) {
        self.open_parts.lock().remove(meta.id);
        if let Some(mask) = &meta.mask {
            self.masks.lock().remove(&mask.id);
        }
    }

    /// Removes the files of parts that left the state and that no snapshot holds any more; gives how
    /// many. Commits do it too; a timer should, for snapshots that were held for long.
    pub fn collect_garbage(&self) -> Result<usize> {
        let mut parts = self.committer.take_unpinned();
        let count = parts.len();
        while let Some(removed) = parts.pop() {
            if removed.is_part() {
                self.open_parts.lock().remove(removed.meta.id);
                self.quarantined.lock().remove(&removed.meta.id);
            }
            let outcome = removed.paths().iter().try_for_each(|path| self.disk.remove(path));
            if let Err(e) = outcome {
                parts.push(removed);
                self.committer.put_back(parts);
                return Err(e);
            }
            self.parts_removed.fetch_add(u64::from(removed.is_part()), Ordering::Relaxed);
        }
        Ok(count)
    }

    /// Whether the disk has at least `keep_free_bytes` left.
    pub fn has_free_space(&self) -> Result<bool> {
        Ok(self.disk.free_bytes()?.is_none_or(|free| free >= self.config.keep_free_bytes))
    }

    /// Parts that are missing or damaged, and what is wrong with them.
    pub fn quarantined(&self) -> Vec<(PartId, String)> {
        self.notice_damage();
        self.quarantined.lock().iter().map(|(id, what)| (*id, what.clone())).collect()
    }

    /// What recovery made good in the log's copies when the store was opened.
    pub fn log_repairs(&self) -> &[String] {
        &self.repairs
    }

    pub fn stats(&self) -> StoreStats {
        let counts = &self.committer.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (parts_open, marks_bytes, marks_hits, marks_misses) = {
            let open = self.open_parts.lock();
            (open.readers.len() as u64, open.bytes(), open.hits, open.misses)
        };
        StoreStats {
            commits: read(&counts.commits),
            rejected: read(&counts.rejected),
            frames: read(&counts.frames),
            group_max: read(&counts.group_max),
            checkpoints: read(&counts.checkpoints),
            log_bytes: read(&counts.log_bytes),
            log_generation: read(&counts.generation),
            log_syncs: read(&counts.log_syncs),
            dir_syncs: read(&counts.dir_syncs),
            parts_open,
            marks_bytes,
            marks_hits,
            marks_misses,
            parts_to_remove: self.committer.removed_count() as u64,
            parts_removed: read(&self.parts_removed),
        }
    }

    /// Further commits fail with `Error::Closed`; the one under way is finished first.
    pub fn close(&self) {
        self.committer.close("it was shut down");
    }

    /// `hook` is called once, with the reason, if the log fails. The process should then end: what was
    /// not acknowledged is for recovery to decide. It must not call the store.
    pub fn set_failure_hook(&self, hook: FailureHook) {
        self.committer.set_failure_hook(hook);
    }
}

fn open_part(disk: &Arc<dyn Disk>, meta: &PartMeta) -> Result<PartReader> {
    let path = meta.path();
    let reader = PartReader::open(disk, &path)?;
    if reader.footer_hash() != meta.footer_hash {
        let what = "its footer is not the one that the log lists".into();
        return Err(Error::Damaged { path, file_offset: 0, what });
    }
    Ok(reader)
}

/// A file that is not there is damage, not a disk that says no.
fn missing_is_damage(disk: &Arc<dyn Disk>, meta: &PartMeta, e: Error) -> Error {
    missing_path_is_damage(disk, meta.path(), e)
}

pub(crate) fn missing_path_is_damage(disk: &Arc<dyn Disk>, path: String, e: Error) -> Error {
    match e {
        Error::Io { .. } if matches!(disk.exists(&path), Ok(false)) => {
            Error::Damaged { path, file_offset: 0, what: "the file is missing".into() }
        }
        e => e,
    }
}

/// Checks every live part, the newest ones whole. Gives what is wrong, by part.
fn verify_parts(
    disk: &Arc<dyn Disk>,
    state: &State,
    config: &StoreConfig,
) -> BTreeMap<PartId, String> {
    let mut parts: Vec<&Arc<PartMeta>> = state.all_parts().collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.id));
    let mut bytes_left = config.verify_bytes_max;
    let jobs: Vec<(&Arc<PartMeta>, bool)> = parts
        .into_iter()
        .map(|part| {
            let whole = part.bytes <= bytes_left;
            bytes_left = bytes_left.saturating_sub(part.bytes);
            (part, whole)
        })
        .collect();
    let verify = |(part, whole): &(&Arc<PartMeta>, bool)| {
        let outcome = open_part(disk, part)
            .and_then(|reader| if *whole { reader.verify_all() } else { Ok(()) })
            .and_then(|()| match &part.mask {
                Some(mask) => RowMask::read(disk, mask, part.rows).map(|_| ()),
                None => Ok(()),
            });
        outcome.err().map(|e| missing_is_damage(disk, part, e)).map(|e| {
            tracing::error!("part {} is quarantined: {e}", part.id);
            (part.id, e.to_string())
        })
    };
    if config.parallel {
        use rayon::prelude::*;
        jobs.par_iter().filter_map(verify).collect()
    } else {
        jobs.iter().filter_map(verify).collect()
    }
}

/// Readers kept open; the least recently used ones go first.
pub(crate) struct OpenParts {
    readers: HashMap<PartId, (Arc<PartReader>, u64)>,
    uses: u64,
    max: usize,
    bytes_max: u64,
    hits: u64,
    misses: u64,
}

impl OpenParts {
    fn new(max: usize, bytes_max: u64) -> OpenParts {
        let max = max.max(1);
        OpenParts { readers: HashMap::new(), uses: 0, max, bytes_max, hits: 0, misses: 0 }
    }

    fn get(&mut self, id: PartId) -> Option<Arc<PartReader>> {
        self.uses += 1;
        let Some((reader, used)) = self.readers.get_mut(&id) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        *used = self.uses;
        Some(reader.clone())
    }

    fn bytes(&self) -> u64 {
        self.readers.values().map(|(reader, _)| reader.marks_bytes()).sum()
    }

    fn insert(&mut self, id: PartId, reader: Arc<PartReader>) {
        self.uses += 1;
        let bytes = self.bytes() + reader.marks_bytes();
        if !self.readers.is_empty() && (self.readers.len() >= self.max || bytes > self.bytes_max) {
            // Half at a time, so that the sort is paid by many inserts.
            let mut uses: Vec<u64> = self.readers.values().map(|(_, used)| *used).collect();
            let middle = uses.len() / 2;
            let (_, median, _) = uses.select_nth_unstable(middle);
            let median = *median;
            self.readers.retain(|_, (_, used)| *used > median);
        }
        self.readers.insert(id, (reader, self.uses));
    }

    pub(crate) fn remove(&mut self, id: PartId) {
        self.readers.remove(&id);
    }
}
