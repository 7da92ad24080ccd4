//! Merges: many small parts become one, so that reads stay fast.
//!
//! [`picker`] chooses and touches nothing; [`stream`] yields the rows of several parts in key order;
//! [`combine`] has what each engine does with rows of equal key; [`worker`] writes and commits one
//! merge ([`output`] gathers its rows, or copies granules that come next whole), [`ttl`] drops what has
//! run out ([`ttl_picker`] chooses when); [`pool`] runs them in the background; [`optimize`] on demand.
//! [`claim`] keeps two merges from working on one part.
//!
//! Rules: a merge reads every row of its sources, and where the engine keeps all rows it changes none
//! (rows and content hashes are conserved, or it fails; what it copies as bytes it verifies as bytes);
//! its result appears in the same commit in which its sources go.

pub(crate) mod claim;
pub(crate) mod combine;
pub(crate) mod combined;
mod deduplicate;
mod optimize;
pub(crate) mod output;
pub mod picker;
mod pool;
pub(crate) mod stream;
pub(crate) mod ttl;
pub mod ttl_picker;
pub mod worker;

#[cfg(test)]
mod tests;

pub use optimize::{Optimize, optimize, optimize_with};
pub use picker::MergeLimits;
pub use pool::{MergePool, RunningMerge};
