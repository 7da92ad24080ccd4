//! The commit log: the database is a fold over it.
//!
//! [`edit`] says what a commit holds, [`state`] what the log amounts to. `wire`, [`codec`] and
//! [`snapshot`] turn edits and states into bytes; [`frame`] is the bytes of one commit group;
//! [`manifest`] the two log files; [`recovery`] reads them at start; [`committer`] groups, checks,
//! appends and publishes. The committer sees the log as a [`CommitLog`], so that it can later be
//! numbered objects in an object store.

pub mod change;
pub mod codec;
mod codec_changes;
mod codec_clauses;
pub mod committer;
pub mod edit;
pub mod frame;
pub mod manifest;
pub mod recovery;
mod removed;
pub mod snapshot;
pub mod state;
mod tokens;
mod wire;

#[cfg(test)]
mod tests;

pub use change::{Change, DroppedTable, Mutation, MutationAction, MutationCommand, TableChanges};
pub use edit::{
    ColumnDefault, ColumnDefinition, Commit, ConstraintDefinition, DefaultKind, Edit,
    IndexDefinition, MaskMeta, NamedValue, PartId, PartMeta, Precondition, ProjectionDefinition,
    Rejection, TableClauses, TableDefinition, TtlRule, TtlRuleAction, mask_path, part_path,
};
pub use state::{Database, State, StreamGap, StreamOffset, StreamPartition, Table};
pub use tokens::Tokens;
pub use wire::WireError;

/// Where frames become durable, one after the other.
pub trait CommitLog: Send {
    /// Makes one frame durable after all earlier ones.
    fn append(&mut self, version: u64, epoch: u32, payload: &[u8]) -> Result<(), AppendFailure>;
    /// Gets ready for further frames; called when nobody waits.
    fn prepare(&mut self) -> Result<(), AppendFailure>;
    fn checkpoint_due(&self) -> bool;
    /// Replaces all frames so far by `state`, which is what they amount to.
    fn checkpoint(&mut self, state: &State) -> Result<(), AppendFailure>;
    /// Length of what recovery would have to read.
    fn bytes(&self) -> u64;
    fn generation(&self) -> u64;
    /// File syncs so far.
    fn syncs(&self) -> u64;
}

/// Why a frame or a checkpoint did not become durable.
#[derive(Debug)]
pub enum AppendFailure {
    /// Nothing was written that counts (the disk is full): refuse the commit and go on.
    Refused(crate::Error),
    /// It may be durable or not: only recovery can tell, so the process must stop committing.
    Unknown(crate::Error),
}
