//! Merges: many small parts become one, so that reads stay fast.
//!
//! [`picker`] chooses and touches nothing; [`stream`] yields the rows of several parts in key order;
//! [`worker`] writes and commits one merge; [`pool`] runs them in the background; [`optimize`] on
//! demand. [`claim`] keeps two merges from working on one part.
//!
//! Rules: a merge changes no row (rows and content hashes are conserved, or it fails); its result
//! appears in the same commit in which its sources go.

pub(crate) mod claim;
mod optimize;
pub mod picker;
mod pool;
mod stream;
pub mod worker;

#[cfg(test)]
mod tests;

pub use optimize::optimize;
pub use picker::MergeLimits;
pub use pool::{MergePool, RunningMerge};
