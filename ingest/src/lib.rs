//! Ingest: bytes to blocks to parts. Formats (both ways), the Kafka engine, materialized views and
//! the inserts that commit all they yield at once.
//!
//! Reads in the order a message meets it: [`kafka`] (consumers) → [`format`] (payloads to columns) →
//! [`block_builder`] (until size or age says flush) → [`materialized_view`] (every view over the
//! block) → [`insert`] (parts of all tables and the offsets, one commit).
//!
//! Rules: depends on storage and query; serves no HTTP ([`http_client`] asks schema registries).

pub mod block_builder;
pub mod buffer;
pub mod file_log;
pub mod format;
pub mod http_client;
pub mod insert;
pub mod kafka;
pub mod materialized_view;
mod table_threads;
mod test_exit;
