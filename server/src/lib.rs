//! The server: everything a person or a client touches. Configuration, sessions, statements, HTTP,
//! system tables, pages, the command-line client and the demo.
//!
//! Reads in this order: [`config`] → [`server`] (all parts of a running instance, start and stop) →
//! [`http`] and [`native`] (requests) → [`session`] → [`statement`] (one file a family of statements) →
//! [`system_tables`]; beside them [`client`], [`local`] and [`demo`].
//!
//! Rules: the only crate that knows HTTP and tokio; statements run on their own blocking threads.

pub mod access;
pub mod allocator;
pub mod async_insert;
pub mod backups;
pub mod buffers;
pub mod client;
pub(crate) mod compression;
pub mod config;
pub mod counters;
pub mod demo;
pub mod dictionaries;
pub mod files;
pub mod follow;
pub mod health;
pub mod http;
pub mod local;
pub mod log_format;
pub mod logs;
pub mod native;
pub mod process;
pub mod process_memory;
pub mod query_cache;
pub mod refresh;
pub mod run;
pub mod server;
pub mod session;
pub mod statement;
pub mod system_tables;

/// The version that clients are told: the ClickHouse release whose behaviour is followed.
pub const CLICKHOUSE_VERSION: &str = "26.9.2.1";
