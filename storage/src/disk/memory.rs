//! Files in memory, for tests and throw-away stores. Syncs do nothing; nothing survives the process.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::{Disk, ReadFile, WriteFile};
use crate::error::{Error, Result};

type Contents = Arc<RwLock<Vec<u8>>>;

/// A disk of plain maps.
#[derive(Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, Contents>>,
    locked: Arc<AtomicBool>,
}

impl MemoryDisk {
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    fn find(&self, operation: &'static str, path: &str) -> Result<Contents> {
        let found = self.files.lock().get(path).cloned();
        found.ok_or_else(|| error(operation, path, io::ErrorKind::NotFound))
    }
}

fn error(operation: &'static str, path: &str, kind: io::ErrorKind) -> Error {
    Error::Io { operation, path: path.to_string(), source: kind.into() }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let mut files = self.files.lock();
        if files.contains_key(path) {
            return Err(error("create", path, io::ErrorKind::AlreadyExists));
        }
        let contents = Contents::default();
        files.insert(path.to_string(), contents.clone());
        Ok(Box::new(MemoryFile { path: path.to_string(), contents }))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn ReadFile>> {
        let contents = self.find("open", path)?;
        Ok(Arc::new(MemoryFile { path: path.to_string(), contents }))
    }

    fn open_write(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let contents = self.find("open", path)?;
        Ok(Box::new(MemoryFile { path: path.to_string(), contents }))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.files.lock().contains_key(path))
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.files.lock().remove(path);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = self.files.lock();
        let contents =
            files.remove(from).ok_or_else(|| error("rename", from, io::ErrorKind::NotFound))?;
        files.insert(to.to_string(), contents);
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        Ok(names_in(self.files.lock().keys().map(String::as_str), dir))
    }

    fn create_dir(&self, _dir: &str) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _dir: &str) -> Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        FlagLock::take(&self.locked)
    }
}

/// Names directly in `dir`, of sorted `paths` in a flat map.
pub(super) fn names_in<'a>(paths: impl Iterator<Item = &'a str>, dir: &str) -> Vec<String> {
    paths
        .filter_map(|path| match path.rsplit_once('/') {
            Some((folder, name)) if folder == dir => Some(name.to_string()),
            None if dir.is_empty() => Some(path.to_string()),
            _ => None,
        })
        .collect()
}

/// The lock of a disk that lives within this process.
pub(super) struct FlagLock {
    flag: Arc<AtomicBool>,
}

impl FlagLock {
    pub(super) fn take(flag: &Arc<AtomicBool>) -> Result<Box<dyn Send + Sync>> {
        if flag.swap(true, Ordering::SeqCst) {
            let pid = std::process::id();
            return Err(Error::Locked(format!("the data directory is in use by pid {pid}")));
        }
        Ok(Box::new(FlagLock { flag: flag.clone() }))
    }
}

impl Drop for FlagLock {
    fn drop(&mut self) {
        self.flag.store(false, Ordering::SeqCst);
    }
}

struct MemoryFile {
    path: String,
    contents: Contents,
}

impl WriteFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.contents.write().extend_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, file_offset: u64, bytes: &[u8]) -> Result<()> {
        let mut contents = self.contents.write();
        let start = file_offset as usize;
        let end = start + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.contents.read().len() as u64
    }
}

impl ReadFile for MemoryFile {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        let contents = self.contents.read();
        let range = usize::try_from(file_offset)
            .ok()
            .and_then(|start| start.checked_add(buffer.len()).map(|end| start..end));
        match range.and_then(|r| contents.get(r)) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(error("read", &self.path, io::ErrorKind::UnexpectedEof)),
        }
    }

    fn len(&self) -> u64 {
        self.contents.read().len() as u64
    }
}
