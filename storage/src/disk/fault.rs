//! A disk for simulation: it remembers what was synced, loses the rest on a power cut, tears writes
//! and fails operations, all repeatable from a seed.
//!
//! Model: bytes are durable by 4 KiB page once their file was synced; names once their folder was.
//! A power cut ([`FaultDisk::crash`]) keeps what is durable and, at random, any subset of the pages and
//! of the name changes that are not; a page caught in flight may be torn at any byte or be rubbish; a
//! file whose size was not synced may be shorter, or empty. A killed process ([`FaultDisk::kill`])
//! loses nothing, but nothing becomes durable either. After a failed sync its pages count as clean yet
//! may be lost: a second sync does not save them. Promises nothing about speed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::memory::{FlagLock, names_in};
use super::{Disk, ReadFile, WriteFile};
use crate::error::{Error, Result};

const PAGE: usize = 4096;

/// What shall go wrong, and what is recorded. The default is a disk that works.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    pub seed: u64,
    /// From this operation on everything fails: the power is off.
    pub crash_at: Option<u64>,
    pub failure: Option<Failure>,
    /// Keep an image of the disk before every operation that changes it.
    pub record: bool,
    /// Let unsynced pages and names become durable by themselves now and then, in any order.
    pub writeback: bool,
}

/// One operation that fails (the first from `at` on that can fail in that way).
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    pub at: u64,
    pub kind: FailureKind,
    /// All later ones fail too.
    pub for_ever: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// EIO: any operation.
    Io,
    /// ENOSPC: operations that may need space.
    NoSpace,
}

/// The simulated disk. Operations are counted from 0. A clone is another handle of the same disk.
#[derive(Clone)]
pub struct FaultDisk {
    shared: Arc<Shared>,
    locked: Arc<AtomicBool>,
}

/// The disk as it was just before operation `operation`.
#[derive(Clone)]
pub struct FaultImage {
    pub operation: u64,
    contents: Contents,
}

struct Shared {
    inner: Mutex<Inner>,
}

struct Inner {
    contents: Contents,
    plan: FaultPlan,
    random: Random,
    operations: u64,
    failed: bool,
    images: Vec<FaultImage>,
}

/// What is on the disk and in its caches. Cheap to clone: pages and files are shared.
#[derive(Clone, Default)]
struct Contents {
    files: BTreeMap<u64, Arc<Inode>>,
    next_file: u64,
    names: BTreeMap<Arc<str>, u64>,
    durable_names: BTreeMap<Arc<str>, u64>,
    /// Name changes since the last sync of their folder, oldest first.
    pending: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Link { path: Arc<str>, file: u64 },
    Unlink { path: Arc<str> },
    Rename { from: Arc<str>, to: Arc<str>, file: u64 },
}

type Page = Arc<[u8; PAGE]>;

#[derive(Clone, Default)]
struct Inode {
    pages: Vec<Page>,
    len: u64,
    durable: Vec<Page>,
    durable_len: u64,
    /// Pages that the next sync makes durable.
    dirty: BTreeSet<usize>,
    /// Pages of a failed sync: durable or not, and no sync will change that.
    doubtful: BTreeSet<usize>,
}

/// The generator named SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl FaultDisk {
    pub fn new(plan: FaultPlan) -> FaultDisk {
        FaultDisk::with(Contents::default(), plan)
    }

    fn with(contents: Contents, plan: FaultPlan) -> FaultDisk {
        let random = Random::new(plan.seed);
        let inner = Inner { contents, plan, random, operations: 0, failed: false, images: vec![] };
        FaultDisk { shared: Arc::new(Shared { inner: Mutex::new(inner) }), locked: Arc::default() }
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.shared.inner.lock().operations
    }

    /// Follow `plan` from here on; the count of operations goes on.
    pub fn set_plan(&self, plan: FaultPlan) {
        let mut inner = self.shared.inner.lock();
        inner.random = Random::new(plan.seed);
        inner.failed = false;
        inner.plan = plan;
    }

    /// The disk as it is now.
    pub fn image(&self) -> FaultImage {
        let inner = self.shared.inner.lock();
        FaultImage { operation: inner.operations, contents: inner.contents.clone() }
    }

    /// The images recorded so far (see [`FaultPlan::record`]), which are forgotten.
    pub fn take_images(&self) -> Vec<FaultImage> {
        std::mem::take(&mut self.shared.inner.lock().images)
    }

    /// The disk after a power cut now. This one goes on as if nothing had happened.
    pub fn crash(&self, seed: u64, plan: FaultPlan) -> FaultDisk {
        self.image().crash(seed, plan)
    }

    /// The disk after the process was killed now: same contents, same things not durable.
    pub fn kill(&self, plan: FaultPlan) -> FaultDisk {
        self.image().kill(plan)
    }

    /// Bytes of a file as they are now, outside of any counting.
    pub fn peek(&self, path: &str) -> Option<Vec<u8>> {
        let inner = self.shared.inner.lock();
        let file = inner.contents.names.get(path)?;
        Some(inner.contents.files.get(file)?.bytes())
    }

    /// Replaces a file's bytes, durably, outside of any counting: damage from elsewhere.
    pub fn poke(&self, path: &str, bytes: &[u8]) {
        let mut inner = self.shared.inner.lock();
        let contents = &mut inner.contents;
        let Some(file) = contents.names.get(path).copied() else { return };
        let mut inode = Inode::default();
        inode.write(0, bytes);
        inode.sync();
        contents.files.insert(file, Arc::new(inode));
    }
}

impl FaultImage {
    pub fn crash(&self, seed: u64, plan: FaultPlan) -> FaultDisk {
        FaultDisk::with(self.contents.after_crash(&mut Random::new(seed)), plan)
    }

    pub fn kill(&self, plan: FaultPlan) -> FaultDisk {
        FaultDisk::with(self.contents.clone(), plan)
    }
}

impl Inner {
    /// Counts an operation and says whether it fails.
    fn begin(
        &mut self,
        operation: &'static str,
        path: &str,
        changes: bool,
        needs_space: bool,
    ) -> Result<()> {
        if changes && self.plan.record {
            let image = FaultImage { operation: self.operations, contents: self.contents.clone() };
            self.images.push(image);
        }
        let number = self.operations;
        self.operations += 1;
        let error = |source: io::Error| Error::Io { operation, path: path.to_string(), source };
        if self.plan.crash_at.is_some_and(|at| number >= at) {
            return Err(error(io::Error::other("the power is off")));
        }
        if changes && self.plan.writeback {
            self.contents.write_back(&mut self.random);
        }
        let Some(failure) = self.plan.failure else { return Ok(()) };
        let can_fail = failure.kind == FailureKind::Io || needs_space;
        if number < failure.at || !can_fail || (self.failed && !failure.for_ever) {
            return Ok(());
        }
        self.failed = true;
        Err(error(match failure.kind {
            FailureKind::Io => io::Error::from_raw_os_error(libc::EIO),
            FailureKind::NoSpace => io::Error::from_raw_os_error(libc::ENOSPC),
        }))
    }

    fn find(&self, operation: &'static str, path: &str) -> Result<u64> {
        let found = self.contents.names.get(path).copied();
        found.ok_or_else(|| kind_error(operation, path, io::ErrorKind::NotFound))
    }
}

fn kind_error(operation: &'static str, path: &str, kind: io::ErrorKind) -> Error {
    Error::Io { operation, path: path.to_string(), source: kind.into() }
}

impl Contents {
    fn rename(names: &mut BTreeMap<Arc<str>, u64>, from: &str, to: &Arc<str>, file: u64) {
        if names.get(from) == Some(&file) {
            names.remove(from);
        }
        names.insert(to.clone(), file);
    }

    fn make_durable(names: &mut BTreeMap<Arc<str>, u64>, change: &NameChange) {
        match change {
            NameChange::Link { path, file } => {
                names.insert(path.clone(), *file);
            }
            NameChange::Unlink { path } => {
                names.remove(path);
            }
            NameChange::Rename { from, to, file } => Contents::rename(names, from, to, *file),
        }
    }

    fn file(&mut self, file: u64) -> &mut Inode {
        Arc::make_mut(self.files.entry(file).or_default())
    }

    fn sync_dir(&mut self, dir: &str) {
        let (now, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|change: &NameChange| change.folder() == dir);
        self.pending = later;
        let changes: Vec<NameChange> = now;
        for change in &changes {
            Contents::make_durable(&mut self.durable_names, change);
        }
        self.forget_unnamed();
    }

    /// Drops files that no name, durable or not, leads to.
    fn forget_unnamed(&mut self) {
        let named: BTreeSet<u64> =
            self.names.values().chain(self.durable_names.values()).copied().collect();
        let pending: BTreeSet<u64> = self.pending.iter().filter_map(NameChange::file).collect();
        self.files.retain(|file, _| named.contains(file) || pending.contains(file));
    }

    /// What a real disk does behind everyone's back.
    fn write_back(&mut self, random: &mut Random) {
        if random.one_in(4) {
            let dirty: Vec<u64> =
                self.files.iter().filter(|(_, f)| !f.dirty.is_empty()).map(|(n, _)| *n).collect();
            if !dirty.is_empty() {
                let file = dirty[random.below(dirty.len() as u64) as usize];
                self.file(file).write_back(random);
            }
        }
        if random.one_in(8) && !self.pending.is_empty() {
            let change = self.pending.remove(0);
            Contents::make_durable(&mut self.durable_names, &change);
        }
    }

    fn after_crash(&self, random: &mut Random) -> Contents {
        let mut names = self.durable_names.clone();
        // None, all, a prefix (a journal in order), or any subset.
        let mode = random.below(4);
        let prefix = random.below(self.pending.len() as u64 + 1) as usize;
        for (i, change) in self.pending.iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => true,
                2 => i < prefix,
                _ => random.one_in(2),
            };
            if kept {
                Contents::make_durable(&mut names, change);
            }
        }
        let mut files = BTreeMap::new();
        for file in names.values() {
            if let Some(inode) = self.files.get(file) {
                files.insert(*file, inode.after_crash(random));
            }
        }
        Contents {
            files,
            next_file: self.next_file,
            durable_names: names.clone(),
            names,
            pending: vec![],
        }
    }
}

impl NameChange {
    /// Renames stay within one folder.
    fn folder(&self) -> &str {
        let path = match self {
            NameChange::Link { path, .. } | NameChange::Unlink { path } => path,
            NameChange::Rename { to, .. } => to,
        };
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn file(&self) -> Option<u64> {
        match self {
            NameChange::Link { file, .. } | NameChange::Rename { file, .. } => Some(*file),
            NameChange::Unlink { .. } => None,
        }
    }
}

fn zero_page() -> Page {
    static ZERO: std::sync::OnceLock<Page> = std::sync::OnceLock::new();
    ZERO.get_or_init(|| Arc::new([0; PAGE])).clone()
}

impl Inode {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }

    /// The range must lie within the file.
    fn read(&self, file_offset: u64, buffer: &mut [u8]) {
        let mut done = 0;
        while done < buffer.len() {
            let at = file_offset as usize + done;
            let (page, within) = (at / PAGE, at % PAGE);
            let count = (PAGE - within).min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&self.pages[page][within..within + count]);
            done += count;
        }
    }

    fn write(&mut self, file_offset: u64, bytes: &[u8]) {
        let end = file_offset + bytes.len() as u64;
        self.len = self.len.max(end);
        self.pages.resize_with((self.len as usize).div_ceil(PAGE), zero_page);
        let mut done = 0;
        while done < bytes.len() {
            let at = file_offset as usize + done;
            let (page, within) = (at / PAGE, at % PAGE);
            let count = (PAGE - within).min(bytes.len() - done);
            let target = &mut self.pages[page];
            let source = &bytes[done..done + count];
            if source == &zero_page()[..] {
                *target = zero_page();
            } else {
                Arc::make_mut(target)[within..within + count].copy_from_slice(source);
            }
            self.dirty.insert(page);
            self.doubtful.remove(&page);
            done += count;
        }
    }

    fn make_durable(&mut self, page: usize) {
        if self.durable.len() <= page {
            self.durable.resize_with(page + 1, zero_page);
        }
        self.durable[page] = self.pages[page].clone();
    }

    fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            self.make_durable(page);
        }
        self.durable_len = self.len;
        self.durable.resize_with(self.pages.len(), zero_page);
    }

    /// Some pages get through, the rest are called clean.
    fn fail_sync(&mut self, random: &mut Random) {
        for page in std::mem::take(&mut self.dirty) {
            if random.one_in(2) {
                self.make_durable(page);
            } else {
                self.doubtful.insert(page);
            }
        }
    }

    fn write_back(&mut self, random: &mut Random) {
        let nth = random.below(self.dirty.len() as u64) as usize;
        if let Some(page) = self.dirty.iter().nth(nth).copied() {
            self.dirty.remove(&page);
            self.make_durable(page);
            self.durable_len = self.durable_len.max(self.len.min(((page + 1) * PAGE) as u64));
        }
    }

    fn after_crash(self: &Arc<Inode>, random: &mut Random) -> Arc<Inode> {
        if self.dirty.is_empty() && self.doubtful.is_empty() && self.len == self.durable_len {
            return self.clone();
        }
        let len = match random.below(3) {
            0 => self.durable_len,
            1 => self.len,
            _ => self.durable_len + random.below(self.len - self.durable_len + 1),
        };
        let mut pages = self.durable.clone();
        pages.resize_with(self.pages.len(), zero_page);
        let mode = random.below(4);
        for page in self.dirty.iter().chain(&self.doubtful).copied() {
            let kept = match mode {
                0 => false,
                1 => true,
                _ => random.one_in(2),
            };
            if kept {
                pages[page] = self.pages[page].clone();
            }
            if random.one_in(16) {
                tear(&mut pages[page], &self.pages[page], random);
            }
        }
        pages.truncate((len as usize).div_ceil(PAGE));
        let tail = len as usize % PAGE;
        if tail != 0
            && let Some(last) = pages.last_mut()
        {
            Arc::make_mut(last)[tail..].fill(0);
        }
        Arc::new(Inode {
            durable: pages.clone(),
            pages,
            len,
            durable_len: len,
            dirty: BTreeSet::new(),
            doubtful: BTreeSet::new(),
        })
    }
}

/// A page caught in flight: new up to some byte and old after it, or rubbish.
fn tear(page: &mut Page, new: &Page, random: &mut Random) {
    let at = random.below(PAGE as u64) as usize;
    let page = Arc::make_mut(page);
    if random.one_in(4) {
        page[at..].iter_mut().for_each(|b| *b = random.next_u64() as u8);
    } else {
        page[..at].copy_from_slice(&new[..at]);
    }
}

impl Disk for FaultDisk {
    fn create(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let mut inner = self.shared.inner.lock();
        inner.begin("create", path, true, true)?;
        let contents = &mut inner.contents;
        if contents.names.contains_key(path) {
            return Err(kind_error("create", path, io::ErrorKind::AlreadyExists));
        }
        let file = contents.next_file;
        contents.next_file += 1;
        contents.files.insert(file, Arc::default());
        let name: Arc<str> = path.into();
        contents.names.insert(name.clone(), file);
        contents.pending.push(NameChange::Link { path: name, file });
        Ok(Box::new(FaultFile { shared: self.shared.clone(), path: path.into(), file }))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn ReadFile>> {
        let mut inner = self.shared.inner.lock();
        inner.begin("open", path, false, false)?;
        let file = inner.find("open", path)?;
        Ok(Arc::new(FaultFile { shared: self.shared.clone(), path: path.into(), file }))
    }

    fn open_write(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let mut inner = self.shared.inner.lock();
        inner.begin("open", path, false, false)?;
        let file = inner.find("open", path)?;
        Ok(Box::new(FaultFile { shared: self.shared.clone(), path: path.into(), file }))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        let mut inner = self.shared.inner.lock();
        inner.begin("stat", path, false, false)?;
        Ok(inner.contents.names.contains_key(path))
    }

    fn remove(&self, path: &str) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        let changes = inner.contents.names.contains_key(path);
        inner.begin("remove", path, changes, false)?;
        if let Some((path, _)) = inner.contents.names.remove_entry(path) {
            inner.contents.pending.push(NameChange::Unlink { path });
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        inner.begin("rename", from, true, true)?;
        let file = inner.find("rename", from)?;
        let (from, to): (Arc<str>, Arc<str>) = (from.into(), to.into());
        let contents = &mut inner.contents;
        Contents::rename(&mut contents.names, &from, &to, file);
        contents.pending.push(NameChange::Rename { from, to, file });
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let mut inner = self.shared.inner.lock();
        inner.begin("list", dir, false, false)?;
        Ok(names_in(inner.contents.names.keys().map(|path| &**path), dir))
    }

    /// Folders are not modelled: they are there, durably.
    fn create_dir(&self, dir: &str) -> Result<()> {
        self.shared.inner.lock().begin("create", dir, false, true)
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        inner.begin("fsync", dir, true, true)?;
        inner.contents.sync_dir(dir);
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.shared.inner.lock().begin("statvfs", "", false, false)?;
        Ok(None)
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        self.shared.inner.lock().begin("lock", "LOCK", false, false)?;
        FlagLock::take(&self.locked)
    }
}

struct FaultFile {
    shared: Arc<Shared>,
    path: String,
    file: u64,
}

impl FaultFile {
    fn len(&self) -> u64 {
        self.shared.inner.lock().contents.files.get(&self.file).map_or(0, |f| f.len)
    }

    fn write(inner: &mut Inner, path: &str, file: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        if let Err(e) = inner.begin("write", path, true, true) {
            // A write that fails has done some of its work, unless the power is off.
            if inner.failed {
                let count = inner.random.below(bytes.len() as u64 + 1) as usize;
                inner.contents.file(file).write(offset, &bytes[..count]);
            }
            return Err(e);
        }
        inner.contents.file(file).write(offset, bytes);
        Ok(())
    }
}

impl WriteFile for FaultFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        let len = inner.contents.files.get(&self.file).map_or(0, |f| f.len);
        FaultFile::write(&mut inner, &self.path, self.file, len, bytes)
    }

    fn write_at(&mut self, file_offset: u64, bytes: &[u8]) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        FaultFile::write(&mut inner, &self.path, self.file, file_offset, bytes)
    }

    fn sync(&mut self) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        let begun = inner.begin("fdatasync", &self.path, true, true);
        let Inner { contents, random, failed, .. } = &mut *inner;
        match &begun {
            Ok(()) => contents.file(self.file).sync(),
            Err(_) if *failed => contents.file(self.file).fail_sync(random),
            Err(_) => {}
        }
        begun
    }

    fn len(&self) -> u64 {
        FaultFile::len(self)
    }
}

impl ReadFile for FaultFile {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut inner = self.shared.inner.lock();
        inner.begin("read", &self.path, false, false)?;
        let end = file_offset.checked_add(buffer.len() as u64);
        match inner.contents.files.get(&self.file) {
            Some(inode) if end.is_some_and(|end| end <= inode.len) => {
                inode.read(file_offset, buffer);
                Ok(())
            }
            _ => Err(kind_error("read", &self.path, io::ErrorKind::UnexpectedEof)),
        }
    }

    fn len(&self) -> u64 {
        FaultFile::len(self)
    }
}
