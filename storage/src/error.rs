//! What can go wrong in storage, by who must act on it.

use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A storage error. `server/http` alone turns these into ClickHouse codes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no. `operation` says what was tried (`create`, `fsync` …), `path` on which file.
    #[error("cannot {operation} {path}: {source}")]
    Io { operation: &'static str, path: String, source: io::Error },
    /// Bytes on disk are not what was written. `file_offset` is where, `what` is what was expected.
    #[error("{path} is damaged at byte {file_offset}: {what}")]
    Damaged { path: String, file_offset: u64, what: String },
    /// Another process owns the data directory.
    #[error("{0}")]
    Locked(String),
    /// A precondition of a commit did not hold; nothing of that commit was applied.
    #[error("{0}")]
    Rejected(#[from] crate::log::Rejection),
    /// A value or array does not have the layout or range of its type.
    #[error("{0}")]
    Column(String),
    /// A type name that cannot be read.
    #[error("unknown data type: {0}")]
    UnknownType(String),
    /// What was asked of an expression cannot be computed (from `query`, by way of `expression`).
    #[error("{message}")]
    Expression { code: u32, message: String },
    /// A limit on memory, parts or sizes was reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// The store was shut down or its log failed; it takes no more commits.
    #[error("the store is closed: {0}")]
    Closed(String),
}

impl Error {
    /// Whether the disk is out of space: the caller backs off and tries again, it is nobody's fault.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}
