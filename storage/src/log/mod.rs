//! The commit log: the database is a fold over it.
//!
//! [`edit`] says what a commit holds, [`state`] what the log amounts to; `frame` is the bytes of one
//! commit group, `manifest` the two log files and their recovery, `committer` the one thread that
//! groups, checks, appends and syncs. Behind [`CommitLog`] so that the log can later be numbered
//! objects in an object store.

pub mod edit;
pub mod state;

pub use edit::{
    ColumnDefault, ColumnDefinition, Commit, DefaultKind, Edit, PartId, PartMeta, Precondition,
    Rejection, TableDefinition, part_path,
};
pub use state::{Database, State, StreamGap, StreamOffset, StreamPartition, Table};
