//! Mutations: changes of rows that are there already.
//!
//! [`rows`] applies commands to a block; [`worker`] takes one part through all the mutations that it
//! has not been through and swaps it in one commit; [`pool`] does so in the background, part after
//! part; [`delete`] is the lightweight DELETE, which writes masks instead of parts; [`copy`] writes
//! the rows of a part for another table; [`retired`] lets dropped tables go when their time is up.
//!
//! Rules: what is to be done is in the log, so a restart goes on where it ended; readers see a part
//! before or after, never half; a part is changed only as the log's entry of it still says.

pub mod copy;
pub mod delete;
pub mod pool;
pub mod retired;
mod rows;
#[cfg(test)]
mod tests;
pub mod worker;

pub use pool::{MutationFailure, MutationPool};
