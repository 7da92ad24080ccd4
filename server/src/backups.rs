//! Backups and restores that run or ran: the rows of `system.backups`. The newest
//! [`ENTRIES_MAX`] are kept.

use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::backup::BackupProgress;
use uuid::Uuid;

/// Entries that are remembered.
const ENTRIES_MAX: usize = 1000;
/// Backups and restores that may run at once in the background.
const RUNNING_MAX: usize = 4;

/// What one is doing; the numbers are ClickHouse's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStatus {
    CreatingBackup = 0,
    BackupCreated = 1,
    BackupFailed = 2,
    Restoring = 3,
    Restored = 4,
    RestoreFailed = 5,
}

/// The type of the status in results.
pub const STATUS_TYPE: &str = "Enum8('CREATING_BACKUP' = 0, 'BACKUP_CREATED' = 1, 'BACKUP_FAILED' = 2, 'RESTORING' = 3, 'RESTORED' = 4, 'RESTORE_FAILED' = 5, 'BACKUP_CANCELLED' = 6, 'RESTORE_CANCELLED' = 7)";

/// One backup or restore.
#[derive(Debug, Clone)]
pub struct BackupEntry {
    pub id: String,
    /// As written: `Disk('backups', 'x')`.
    pub name: String,
    pub query_id: String,
    pub status: BackupStatus,
    pub error: String,
    pub start_us: u64,
    pub end_us: u64,
    pub progress: Arc<BackupProgress>,
}

/// All of them, oldest first.
#[derive(Default)]
pub struct Backups {
    entries: Mutex<VecDeque<BackupEntry>>,
    running: AtomicUsize,
}

impl Backups {
    /// Enters one that begins. Error 598 if the id is taken.
    pub fn begin(
        &self,
        id: Option<String>,
        name: String,
        query_id: &str,
        restore: bool,
        now_us: u64,
    ) -> Result<BackupEntry> {
        let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
        let entry = BackupEntry {
            id: id.clone(),
            name,
            query_id: query_id.into(),
            status: if restore { BackupStatus::Restoring } else { BackupStatus::CreatingBackup },
            error: String::new(),
            start_us: now_us,
            end_us: 0,
            progress: Arc::default(),
        };
        let mut entries = self.entries.lock();
        if self.running.fetch_add(1, Ordering::SeqCst) >= RUNNING_MAX {
            self.running.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(
                codes::TOO_MANY_SIMULTANEOUS_QUERIES,
                format!("{RUNNING_MAX} backups and restores run already"),
            ));
        }
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry.clone());
        Ok(entry)
    }

    /// Writes down how it ended.
    pub fn end(&self, id: &str, outcome: &Result<()>, now_us: u64) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        let mut entries = self.entries.lock();
        let Some(entry) = entries.iter_mut().rev().find(|e| e.id == id) else { return };
        let restore = entry.status == BackupStatus::Restoring;
        entry.end_us = now_us;
        entry.status = match (outcome, restore) {
            (Ok(()), false) => BackupStatus::BackupCreated,
            (Ok(()), true) => BackupStatus::Restored,
            (Err(_), false) => BackupStatus::BackupFailed,
            (Err(_), true) => BackupStatus::RestoreFailed,
        };
        if let Err(e) = outcome {
            entry.error = format!("Code: {}. DB::Exception: {e}", e.code());
        }
    }

    pub fn list(&self) -> Vec<BackupEntry> {
        self.entries.lock().iter().cloned().collect()
    }

    /// Asks all that run to stop (at shutdown).
    pub fn cancel_all(&self) {
        for entry in self.entries.lock().iter() {
            entry.progress.cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// The folder of the backup called `name` below `root`: plain relative names only, so that no text
/// of a statement leads elsewhere.
pub fn backup_folder(root: &Path, name: &str) -> Result<PathBuf> {
    let refuse = |why: &str| {
        Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("The backup's name '{name}' {why}; it is a path below {}", root.display()),
        ))
    };
    if name.is_empty() || name.contains('\0') {
        return refuse("is empty or holds a zero byte");
    }
    let path = Path::new(name);
    let relative = if path.is_absolute() {
        match path.strip_prefix(root) {
            Ok(rest) => rest,
            Err(_) => return refuse("leads out of the backups' folder"),
        }
    } else {
        path
    };
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    if !plain || relative.as_os_str().is_empty() {
        return refuse("is not plain");
    }
    Ok(root.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        let root = Path::new("/backups");
        let folder = |name: &str| backup_folder(root, name).ok();
        assert_eq!(folder("a/b"), Some(PathBuf::from("/backups/a/b")));
        assert_eq!(folder("/backups/x"), Some(PathBuf::from("/backups/x")));
        for bad in ["", "..", "a/../../b", "/etc/x", "/backups", "a\0b", "./a/.."] {
            assert_eq!(folder(bad), None, "{bad}");
        }
    }
}
