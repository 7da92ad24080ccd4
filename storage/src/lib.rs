//! Storage: the bottom layer. Types, columns and blocks; the disk and clock seams; the commit log
//! that is the database; immutable part files; tables, merges and scans.
//!
//! Reads top-down in this order: [`types`] (what a value is) → [`block`] (what rows are) → [`disk`]
//! and [`clock`] (the seams) → [`log`] (edits, state, commit, recovery) → [`part`] (one immutable
//! file) → [`table`] (insert) → [`merge`] → [`scan`] → [`health`] and
//! [`backup`] → [`store`] (the door the layers above use).
//!
//! Rules: knows no SQL text beyond carrying it, no Kafka client and no HTTP. What it needs evaluated
//! (keys) it asks for through [`expression`], which `query` implements.

pub mod backup;
pub mod block;
pub mod borrowed_threads;
pub mod clock;
pub mod disk;
pub mod error;
pub mod expression;
pub mod flags;
pub mod health;
pub mod log;
pub mod merge;
pub mod mutation;
pub mod part;
pub mod part_history;
pub mod run_time;
pub mod same_bytes;
pub mod scan;
pub mod spread;
pub mod store;
pub mod table;
pub mod types;
pub mod xxh3;

pub use block::{Block, Column};
pub use error::{Error, Result};
pub use store::Store;
pub use types::{DataType, Value};
