//! `system.query_cache`, and what caches hold and were asked, for `system.metrics` and `system.events`.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, number, seconds, text};
use crate::server::Server;

/// Results kept for `use_query_cache`, those whose time is over too.
pub fn query_cache(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    let now_us = server.clock.now_us();
    for (key, result) in server.query_cache.list() {
        rows.push(&[
            ("query", text(result.query)),
            ("query_id", text(result.query_id)),
            ("is_subquery", flag(false)),
            ("result_size", number(result.bytes)),
            ("tag", text(key.tag)),
            ("stale", flag(result.expires_us <= now_us)),
            ("shared", flag(key.user.is_none())),
            ("compressed", flag(false)),
            ("expires_at", seconds(result.expires_us)),
            ("key_hash", Value::UInt(key.hash as u64)),
        ]);
    }
    Ok(())
}

/// Sizes now.
pub fn metrics(server: &Server) -> [(&'static str, i64, &'static str); 6] {
    let (results, blocks) = (server.query_cache.stats(), server.store.block_cache().stats());
    let stats = server.store.stats();
    [
        ("QueryCacheBytes", results.bytes as i64, "Total size of the query cache in bytes"),
        ("QueryCacheEntries", results.entries as i64, "Total number of entries in the query cache"),
        (
            "UncompressedCacheBytes",
            blocks.bytes as i64,
            "Total size of uncompressed cache in bytes",
        ),
        (
            "UncompressedCacheCells",
            blocks.entries as i64,
            "Total number of entries in the uncompressed cache",
        ),
        ("MarkCacheBytes", stats.marks_bytes as i64, "Total size of mark cache in bytes"),
        ("MarkCacheFiles", stats.parts_open as i64, "Parts whose marks are in the mark cache"),
    ]
}

/// What was found and what not, since the start.
pub fn events(server: &Server) -> [(&'static str, u64, &'static str); 6] {
    let (results, blocks) = (server.query_cache.stats(), server.store.block_cache().stats());
    let stats = server.store.stats();
    [
        (
            "QueryCacheHits",
            results.hits,
            "Number of times a query result has been found in the query cache",
        ),
        (
            "QueryCacheMisses",
            results.misses,
            "Number of times a query result has not been found in the query cache",
        ),
        (
            "UncompressedCacheHits",
            blocks.hits,
            "Number of times a granule of a column has been found in the uncompressed cache",
        ),
        (
            "UncompressedCacheMisses",
            blocks.misses,
            "Number of times a granule of a column has not been found in the uncompressed cache",
        ),
        ("MarkCacheHits", stats.marks_hits, "Number of times a part's marks were there"),
        ("MarkCacheMisses", stats.marks_misses, "Number of times a part's marks had to be read"),
    ]
}
