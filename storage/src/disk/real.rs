//! A directory of the machine's file system.
//!
//! Positioned reads and writes, `fdatasync` for files, `fsync` for folders, `flock` on `LOCK` for the
//! life of the process. Keeps no cache of its own: the operating system's page cache is the cache, and large
//! files are looked at where they lie in it ([`super::mapped`]).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::mapped::Mapping;
use super::{Disk, ReadFile, WriteFile};
use crate::error::{Error, Result};

const LOCK: &str = "LOCK";

/// The files below one directory.
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Opens `root`, making it if it is absent.
    pub fn open(root: impl AsRef<Path>) -> Result<RealDisk> {
        let root = root.as_ref().to_path_buf();
        std::fs::create_dir_all(&root).map_err(io_error("create", &root))?;
        if let Some(parent) = root.canonicalize().ok().and_then(|p| p.parent().map(PathBuf::from)) {
            // Best effort: the parent may not be ours to open.
            let _ = File::open(parent).and_then(|f| f.sync_all());
        }
        Ok(RealDisk { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

fn io_error<'a>(operation: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Io { operation, path: path.display().to_string(), source }
}

impl Disk for RealDisk {
    fn create(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let path = self.path(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(io_error("create", &path))?;
        Ok(Box::new(RealWriteFile { file, path, len: 0 }))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn ReadFile>> {
        let path = self.path(path);
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let len = file.metadata().map_err(io_error("stat", &path))?.len();
        Ok(Arc::new(RealReadFile { file, path, len, mapping: OnceLock::new() }))
    }

    fn open_write(&self, path: &str) -> Result<Box<dyn WriteFile>> {
        let path = self.path(path);
        let file = OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?;
        let len = file.metadata().map_err(io_error("stat", &path))?.len();
        Ok(Box::new(RealWriteFile { file, path, len }))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        let path = self.path(path);
        path.try_exists().map_err(io_error("stat", &path))
    }

    fn remove(&self, path: &str) -> Result<()> {
        let path = self.path(path);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(io_error("remove", &path)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        std::fs::rename(&from, &to).map_err(io_error("rename", &from))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let dir = self.path(dir);
        let entries = match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            other => other.map_err(io_error("list", &dir))?,
        };
        let mut names = vec![];
        for entry in entries {
            let entry = entry.map_err(io_error("list", &dir))?;
            // A name that is not UTF-8 is not ours.
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> Result<()> {
        let path = self.path(dir);
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(io_error("create", &path))?,
        }
        self.sync_dir("")
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        let path = self.path(dir);
        File::open(&path).and_then(|f| f.sync_all()).map_err(io_error("fsync", &path))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        space(&self.root).map(|(free, _)| Some(free)).map_err(io_error("statvfs", &self.root))
    }

    fn total_bytes(&self) -> Result<Option<u64>> {
        space(&self.root).map(|(_, total)| Some(total)).map_err(io_error("statvfs", &self.root))
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let path = self.path(LOCK);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = holder.trim().lines().next().unwrap_or("").to_string();
                let holder = if holder.is_empty() { "another process".into() } else { holder };
                return Err(Error::Locked(format!(
                    "the data directory {} is in use by {holder}",
                    self.root.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(io_error("lock", &path)(e)),
        }
        // The text only names the holder to people; the lock itself is the kernel's.
        let text = format!("pid {} on host {}\n", std::process::id(), host_name());
        file.set_len(0).map_err(io_error("truncate", &path))?;
        file.write_all_at(text.as_bytes(), 0).map_err(io_error("write", &path))?;
        Ok(Box::new(file))
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|s| s.trim().to_string())
        .unwrap_or_else(|_| "unknown".into())
}

/// Free bytes and all bytes of the file system.
fn space(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is NUL-terminated and `stat` is writable for the length of its type.
    let code = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: statvfs returned 0, so it filled the whole struct.
    let stat = unsafe { stat.assume_init() };
    #[allow(clippy::unnecessary_cast)] // the field widths differ between platforms
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize as u64);
    #[allow(clippy::unnecessary_cast)]
    Ok((bytes(stat.f_bavail as u64), bytes(stat.f_blocks as u64)))
}

struct RealWriteFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl WriteFile for RealWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_at(self.len, bytes)
    }

    fn append_all(&mut self, pieces: &[&[u8]]) -> Result<()> {
        let bytes: usize = pieces.iter().map(|p| p.len()).sum();
        let mut slices: Vec<IoSlice<'_>> =
            pieces.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)).collect();
        write_slices(&mut self.file, self.len, &mut slices)
            .map_err(io_error("write", &self.path))?;
        self.len += bytes as u64;
        Ok(())
    }

    fn write_at(&mut self, file_offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, file_offset).map_err(io_error("write", &self.path))?;
        self.len = self.len.max(file_offset + bytes.len() as u64);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(io_error("fdatasync", &self.path))
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// Writes all of `slices` from `file_offset` on, without gathering them first.
fn write_slices(file: &mut File, file_offset: u64, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    file.seek(SeekFrom::Start(file_offset))?;
    let mut rest = slices;
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

struct RealReadFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// Made when it is first asked for.
    mapping: OnceLock<Option<Mapping>>,
}

impl RealReadFile {
    fn mapping(&self) -> Option<&Mapping> {
        self.mapping.get_or_init(|| Mapping::of(&self.file, self.len)).as_ref()
    }
}

impl ReadFile for RealReadFile {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, file_offset).map_err(io_error("read", &self.path))
    }

    fn mapped(&self, file_offset: u64, length: usize) -> Option<&[u8]> {
        self.mapping()?.bytes(file_offset, length)
    }

    fn will_need(&self, file_offset: u64, length: u64) {
        if let Some(mapping) = self.mapping() {
            mapping.will_need(file_offset, length);
        }
    }

    fn len(&self) -> u64 {
        self.len
    }
}
