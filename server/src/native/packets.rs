//! What client and server say: greetings, queries, and the server's answers as bytes.

use std::collections::BTreeMap;

use pumphouse_ingest::format::native::Mode;
use pumphouse_query::context::Settings;
use pumphouse_query::settings;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;
use pumphouse_storage::types::TimeZone;

use super::REVISION;
use super::wire::{Reader, nonsense, put_block, put_text, put_varint};
use crate::CLICKHOUSE_VERSION;
use crate::compression::frames::Method;
use crate::logs::TraceContext;

/// What a client's packet begins with.
pub mod client {
    pub const HELLO: u8 = 0;
    pub const QUERY: u8 = 1;
    pub const DATA: u8 = 2;
    pub const CANCEL: u8 = 3;
    pub const PING: u8 = 4;
    pub const TABLES_STATUS: u8 = 5;
}

/// What a server's packet begins with.
pub mod server {
    pub const HELLO: u8 = 0;
    pub const DATA: u8 = 1;
    pub const EXCEPTION: u8 = 2;
    pub const PROGRESS: u8 = 3;
    pub const PONG: u8 = 4;
    pub const END_OF_STREAM: u8 = 5;
    pub const PROFILE_INFO: u8 = 6;
    pub const TOTALS: u8 = 7;
    pub const EXTREMES: u8 = 8;
    pub const TABLES_STATUS: u8 = 9;
    pub const LOG: u8 = 10;
    pub const PROFILE_EVENTS: u8 = 14;
}

// Revisions from which on something is there.
const CLIENT_INFO: u64 = 54_032;
const TIME_ZONE: u64 = 54_058;
const QUOTA_KEY: u64 = 54_060;
const DISPLAY_NAME: u64 = 54_372;
const VERSION_PATCH: u64 = 54_401;
pub const WRITTEN_IN_PROGRESS: u64 = 54_420;
const SETTINGS_AS_TEXT: u64 = 54_429;
const SECRET: u64 = 54_441;
const TRACE: u64 = 54_442;
const DISTRIBUTED_DEPTH: u64 = 54_448;
const START_TIME: u64 = 54_449;
const PARALLEL_REPLICAS: u64 = 54_453;
pub const PROFILE_EVENTS_IN_INSERT: u64 = 54_456;
pub const ADDENDUM: u64 = 54_458;
const PARAMETERS: u64 = 54_459;
const ELAPSED: u64 = 54_460;
const PASSWORD_RULES: u64 = 54_461;
const NONCE: u64 = 54_462;
const TOTAL_BYTES: u64 = 54_463;
const ROWS_BEFORE_AGGREGATION: u64 = 54_469;
pub const CHUNKED: u64 = 54_470;
/// Tables that one request may ask for.
const TABLES_MAX: u64 = 100_000;

/// Settings that one query may bring.
const SETTINGS_MAX: usize = 10_000;

/// The client's greeting.
pub struct Hello {
    pub client: String,
    /// The lesser of both sides' revisions.
    pub revision: u64,
    pub database: String,
    pub user: String,
    pub password: String,
}

pub fn read_hello(reader: &mut Reader) -> Result<Hello> {
    let client = reader.text()?;
    let (_major, _minor) = (reader.varint()?, reader.varint()?);
    let revision = reader.varint()?.min(REVISION);
    let (database, user, password) = (reader.text()?, reader.text()?, reader.text()?);
    if revision < CLIENT_INFO {
        return Err(nonsense(&format!("revision {revision} of the protocol is too old")));
    }
    Ok(Hello { client, revision, database, user, password })
}

pub fn hello(revision: u64) -> Vec<u8> {
    let mut version = CLICKHOUSE_VERSION.split('.').map(|n| n.parse::<u64>().unwrap_or(0));
    let mut next = || version.next().unwrap_or(0);
    let mut out = vec![server::HELLO];
    put_text(&mut out, "ClickHouse");
    let (major, minor, patch) = (next(), next(), next());
    put_varint(&mut out, major);
    put_varint(&mut out, minor);
    put_varint(&mut out, REVISION);
    if revision >= TIME_ZONE {
        put_text(&mut out, TimeZone::UTC.name());
    }
    if revision >= DISPLAY_NAME {
        put_text(&mut out, "pumphouse");
    }
    if revision >= VERSION_PATCH {
        put_varint(&mut out, patch);
    }
    if revision >= CHUNKED {
        // Both ways as the client likes.
        put_text(&mut out, "notchunked_optional");
        put_text(&mut out, "notchunked_optional");
    }
    if revision >= PASSWORD_RULES {
        put_varint(&mut out, 0);
    }
    if revision >= NONCE {
        // Of use to servers among themselves only.
        out.extend_from_slice(&uuid::Uuid::new_v4().as_bytes()[..8]);
    }
    out
}

/// What the client says behind its greeting: whether it sends in chunks, and whether it takes them.
pub fn read_addendum(reader: &mut Reader, revision: u64) -> Result<(bool, bool)> {
    let _quota_key = reader.text()?;
    if revision < CHUNKED {
        return Ok((false, false));
    }
    let mut chunked = || match reader.text()?.as_str() {
        "chunked" => Ok(true),
        "notchunked" => Ok(false),
        other => Err(nonsense(&format!("'{other}' for a way of packets"))),
    };
    Ok((chunked()?, chunked()?))
}

/// The tables, by database and name, that a client asks the state of.
pub fn read_tables(reader: &mut Reader) -> Result<Vec<(String, String)>> {
    let count = reader.varint()?;
    if count > TABLES_MAX {
        return Err(nonsense(&format!("a request for {count} tables")));
    }
    (0..count).map(|_| Ok((reader.text()?, reader.text()?))).collect()
}

/// The tables that are there; none is replicated.
pub fn tables_status(tables: &[(String, String)]) -> Vec<u8> {
    let mut out = vec![server::TABLES_STATUS];
    put_varint(&mut out, tables.len() as u64);
    for (database, table) in tables {
        put_text(&mut out, database);
        put_text(&mut out, table);
        out.push(0);
    }
    out
}

/// A query as the client sent it.
#[derive(Debug, Default)]
pub struct Query {
    pub id: String,
    pub settings: Settings,
    pub parameters: BTreeMap<String, String>,
    /// Whether blocks go in frames, both ways.
    pub compressed: bool,
    pub text: String,
    /// The trace that the query is part of.
    pub trace: Option<TraceContext>,
    /// Why it cannot run: it was read to its end, so that the connection goes on.
    pub refused: Option<Error>,
}

impl Query {
    /// How our blocks are packed.
    pub fn method(&self) -> Option<Method> {
        if !self.compressed {
            return None;
        }
        let method = self.settings.get("network_compression_method").unwrap_or("");
        Some(if method.eq_ignore_ascii_case("zstd") { Method::Zstd } else { Method::Lz4 })
    }
}

pub fn read_query(reader: &mut Reader, revision: u64) -> Result<Query> {
    let mut query = Query { id: reader.text()?, ..Query::default() };
    query.trace = client_info(reader, revision)?;
    query.refused = read_settings(reader, revision, &mut query.settings)?.err();
    if revision >= SECRET {
        reader.text()?;
    }
    let _stage = reader.varint()?;
    query.compressed = reader.varint()? != 0;
    query.text = reader.text()?;
    if revision >= PARAMETERS {
        loop {
            let name = reader.text()?;
            if name.is_empty() {
                break;
            }
            let _flags = reader.varint()?;
            let quoted = reader.text()?;
            query.parameters.insert(name, unquote(&quoted));
            if query.parameters.len() > SETTINGS_MAX {
                return Err(nonsense("too many query parameters"));
            }
        }
    }
    Ok(query)
}

/// Who the client says it is: read, not believed. The trace that it is in, if any.
fn client_info(reader: &mut Reader, revision: u64) -> Result<Option<TraceContext>> {
    let mut trace = None;
    if reader.u8()? == 0 {
        return Ok(trace);
    }
    let (_user, _query_id, _address) = (reader.text()?, reader.text()?, reader.text()?);
    if revision >= START_TIME {
        reader.bytes(8)?;
    }
    let interface = reader.u8()?;
    if interface != 1 {
        return Err(nonsense(&format!("a query of interface {interface}; only TCP (1) is known")));
    }
    let (_os_user, _host, _name) = (reader.text()?, reader.text()?, reader.text()?);
    let (_major, _minor, _revision) = (reader.varint()?, reader.varint()?, reader.varint()?);
    if revision >= QUOTA_KEY {
        reader.text()?;
    }
    if revision >= DISTRIBUTED_DEPTH {
        reader.varint()?;
    }
    if revision >= VERSION_PATCH {
        reader.varint()?;
    }
    if revision >= TRACE && reader.u8()? == 1 {
        // Three words; the trace's id is its upper and its lower one.
        let mut word = || -> Result<u64> {
            let bytes = reader.bytes(8)?;
            Ok(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        };
        let (upper, lower, parent) = (word()?, word()?, word()?);
        let trace_id = u128::from(upper) << 64 | u128::from(lower);
        let (state, flags) = (reader.text()?, reader.u8()?);
        let context = TraceContext { trace_id, parent, sampled: flags & 1 == 1, state };
        trace = Some(context).filter(|t| t.trace_id != 0);
    }
    if revision >= PARALLEL_REPLICAS {
        for _ in 0..3 {
            reader.varint()?;
        }
    }
    Ok(trace)
}

/// Fails where the rest cannot be read. Within: the first setting that cannot be set.
fn read_settings(reader: &mut Reader, revision: u64, into: &mut Settings) -> Result<Result<()>> {
    let mut outcome = Ok(());
    loop {
        let name = reader.text()?;
        if name.is_empty() {
            return Ok(outcome);
        }
        let value = if revision >= SETTINGS_AS_TEXT {
            let important = reader.varint()? & 1 == 1;
            let value = reader.text()?;
            if !important && !settings::is_known(&name) {
                // Not known and not important: the client can do without.
                continue;
            }
            value
        } else {
            // Older clients write each value by the setting's type.
            match is_number(settings::known(&name)?.type_name) {
                true => reader.varint()?.to_string(),
                false => reader.text()?,
            }
        };
        match settings::of_text(&name, &value) {
            Ok((name, value)) => into.set(name, value),
            Err(e) => outcome = outcome.and(Err(e)),
        }
        if into.values.len() > SETTINGS_MAX {
            return Err(nonsense("too many settings"));
        }
    }
}

fn is_number(kind: &str) -> bool {
    ["Int", "Bool", "Seconds", "Milliseconds", "MaxThreads"].iter().any(|k| kind.contains(k))
}

/// The text of a literal in single quotes, as parameters come; other texts as they are.
fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) else {
        return text.to_string();
    };
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('0') => out.push('\0'),
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Data, Totals: a kind, an empty table name, a block.
pub fn data(kind: u8, block: &Block, mode: Mode, method: Option<Method>) -> Result<Vec<u8>> {
    let mut out = vec![kind];
    put_text(&mut out, "");
    put_block(&mut out, block, mode, method)?;
    Ok(out)
}

pub fn exception(error: &Error) -> Vec<u8> {
    let mut out = vec![server::EXCEPTION];
    out.extend_from_slice(&(error.code() as i32).to_le_bytes());
    put_text(&mut out, "DB::Exception");
    put_text(&mut out, &format!("DB::Exception: {error}"));
    put_text(&mut out, "");
    out.push(0);
    out
}

/// What was done since the last such packet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub rows: u64,
    pub bytes: u64,
    pub total_rows: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
    /// Since the query began, in all that was told.
    pub elapsed_ns: u64,
}

pub fn progress(delta: &Progress, revision: u64) -> Vec<u8> {
    let mut out = vec![server::PROGRESS];
    put_varint(&mut out, delta.rows);
    put_varint(&mut out, delta.bytes);
    put_varint(&mut out, delta.total_rows);
    if revision >= TOTAL_BYTES {
        put_varint(&mut out, 0);
    }
    if revision >= WRITTEN_IN_PROGRESS {
        put_varint(&mut out, delta.written_rows);
        put_varint(&mut out, delta.written_bytes);
    }
    if revision >= ELAPSED {
        put_varint(&mut out, delta.elapsed_ns);
    }
    out
}

pub fn profile_info(
    rows: u64,
    blocks: u64,
    bytes: u64,
    before_limit: Option<u64>,
    revision: u64,
) -> Vec<u8> {
    let mut out = vec![server::PROFILE_INFO];
    put_varint(&mut out, rows);
    put_varint(&mut out, blocks);
    put_varint(&mut out, bytes);
    out.push(before_limit.is_some() as u8);
    put_varint(&mut out, before_limit.unwrap_or(0));
    // Whether the number before is one that was counted.
    out.push(before_limit.is_some() as u8);
    if revision >= ROWS_BEFORE_AGGREGATION {
        // Not counted.
        out.extend_from_slice(&[0, 0]);
    }
    out
}

/// Lines of a statement's log.
pub fn log(lines: &Block, revision: u64) -> Result<Vec<u8>> {
    data(server::LOG, lines, Mode { revision, ..Mode::default() }, None)
}

/// An empty list of counters; drivers wait for one after each block of an INSERT.
pub fn profile_events(revision: u64) -> Result<Vec<u8>> {
    let mut out = vec![server::PROFILE_EVENTS];
    put_text(&mut out, "");
    put_block(&mut out, &Block::default(), Mode { revision, ..Mode::default() }, None)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::unquote;

    #[test]
    fn parameters_lose_their_quotes() {
        assert_eq!(unquote(r"'it\'s \\ \n'"), "it's \\ \n");
        assert_eq!(unquote("12"), "12");
    }
}
