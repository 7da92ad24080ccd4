//! `use_query_cache`: whether a SELECT's result may be taken from the cache, and whether it is left there.
//!
//! The key is the query's canonical text without settings and format, the database, and all other settings
//! that are not about the cache or about how hard to work. Results with WITH TOTALS are not kept.

use std::time::Duration;

use pumphouse_query::error::codes;
use pumphouse_query::execute::ResultSink;
use pumphouse_query::plan::{Plan, PlanNode};
use pumphouse_query::sql::ast::{Query, QueryBody, Statement};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::Block;
use xxhash_rust::xxh3::xxh3_128;

use super::Run;
use crate::query_cache::{CachedResult, QueryKey, UserLimits};

/// Functions whose result is another one each time, or for each session.
const CHANGING: &[&str] = &[
    "now",
    "now64",
    "nowinblock",
    "today",
    "current_date",
    "curdate",
    "current_timestamp",
    "yesterday",
    "utctimestamp",
    "utc_timestamp",
    "rand",
    "rand32",
    "rand64",
    "randconstant",
    "randcanonical",
    "generateuuidv4",
    "generateuuidv7",
    "generatesnowflakeid",
    "fuzzbits",
    "randomstring",
    "randomfixedstring",
    "randomprintableascii",
    "randomstringutf8",
    "generaterandom",
    "rownumberinblock",
    "rownumberinallblocks",
    "runningdifference",
    "neighbor",
    "currentdatabase",
    "database",
    "schema",
    "currentuser",
    "user",
    "hostname",
    "fqdn",
    "serveruuid",
    "uptime",
    "queryid",
    "initialqueryid",
    "blocknumber",
    "filesystemavailable",
    "filesystemcapacity",
    "filesystemunreserved",
    "connectionid",
];

/// Settings that do not decide what a result is.
const IRRELEVANT: &[&str] = &[
    "use_query_cache",
    "enable_reads_from_query_cache",
    "enable_writes_to_query_cache",
    "max_threads",
    "max_execution_time",
    "max_memory_usage",
    "log_comment",
    "log_queries",
    "use_uncompressed_cache",
    "use_query_condition_cache",
    "wait_end_of_query",
    "send_progress_in_http_headers",
];

/// What a result that is to be kept has gathered so far.
pub(super) struct Kept {
    blocks: Vec<Block>,
    rows: u64,
    bytes: u64,
    rows_max: u64,
    bytes_max: u64,
    /// Too large, or with totals.
    given_up: bool,
}

impl Kept {
    fn take(&mut self, block: &Block) {
        self.rows += block.rows() as u64;
        self.bytes += block.memory_bytes() as u64;
        self.given_up |= self.rows > self.rows_max || self.bytes > self.bytes_max;
        match self.given_up {
            true => self.blocks.clear(),
            false => self.blocks.push(block.clone()),
        }
    }
}

/// Hands a result on and keeps it.
pub(super) struct Keeping<'a> {
    pub sink: &'a mut dyn ResultSink,
    pub kept: Option<&'a mut Kept>,
}

impl ResultSink for Keeping<'_> {
    fn block(&mut self, block: Block) -> Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.take(&block);
        }
        self.sink.block(block)
    }

    fn totals(&mut self, block: Block) -> Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.given_up = true;
        }
        self.sink.totals(block)
    }
}

impl Run<'_> {
    pub(super) fn cached_select(&mut self, query: &Query, format: Option<&str>) -> Result<()> {
        let mut bare = query.clone();
        forget_settings(&mut bare);
        let text = format::query(&bare, false);
        let settings = &self.context.settings;
        let on = |name| settings.bool(name, true);
        let (reads, writes) =
            (on("enable_reads_from_query_cache"), on("enable_writes_to_query_cache"));
        let allowed = self.may_be_kept(query, &text)?;
        // Rows that one user sees are no others' rows.
        let shared = settings.bool("query_cache_share_between_users", false);
        let own_rows = self.context.row_filters.is_some() || (shared && !self.access.everything);
        if !allowed || own_rows || !self.context.temporary.iter().all(|t| t.names().is_empty()) {
            return self.plain_select(query, format);
        }
        let key = self.query_key(&text);
        let (server, now_us) = (self.server, self.server.clock.now_us());
        if reads && let Some(found) = server.query_cache.get(&key, now_us) {
            let node = PlanNode::Blocks(found.blocks);
            return self.stream(&Plan { node, schema: found.schema }, format, None);
        }
        let runs = server.query_cache.count_run(&key);
        let enough_runs = runs >= settings.u64("query_cache_min_query_runs", 0);
        if !writes || !enough_runs {
            return self.plain_select(query, format);
        }
        let limits = server.query_cache.limits;
        let mut kept = Kept {
            blocks: vec![],
            rows: 0,
            bytes: 0,
            rows_max: limits.entry_rows,
            bytes_max: limits.entry_bytes,
            given_up: false,
        };
        let catalog = self.select_catalog();
        let plan = self.cut(prepare(query, &catalog, self.context)?);
        self.stream(&plan, format, Some(&mut kept))?;
        let settings = &self.context.settings;
        let least = Duration::from_millis(settings.u64("query_cache_min_query_duration", 0));
        if kept.given_up || self.context.elapsed() < least {
            return Ok(());
        }
        let ttl_us = settings.u64("query_cache_ttl", 60).saturating_mul(1_000_000);
        let now_us = server.clock.now_us();
        let result = CachedResult {
            schema: plan.schema.clone(),
            blocks: kept.blocks,
            bytes: kept.bytes,
            query: text,
            query_id: self.context.query_id.clone(),
            owner: self.context.user.clone(),
            expires_us: now_us.saturating_add(ttl_us),
        };
        let user = UserLimits {
            bytes: settings.u64("query_cache_max_size_in_bytes", 0),
            entries: settings.u64("query_cache_max_entries", 0),
        };
        server.query_cache.put(key, result, user, now_us);
        Ok(())
    }

    fn query_key(&self, text: &str) -> QueryKey {
        let settings = &self.context.settings;
        let mut about = format!("{}\0{text}", self.context.database);
        for (name, value) in &settings.values {
            if !name.starts_with("query_cache_") && !IRRELEVANT.contains(&name.as_str()) {
                about.push_str(&format!("\0{name}\0{value}"));
            }
        }
        let shared = settings.bool("query_cache_share_between_users", false);
        QueryKey {
            hash: xxh3_128(about.as_bytes()),
            user: (!shared).then(|| self.context.user.clone()),
            tag: settings.get("query_cache_tag").unwrap_or_default().to_string(),
        }
    }

    /// False: runs without the cache. An error: the query is one that must not be asked so.
    fn may_be_kept(&self, query: &Query, text: &str) -> Result<bool> {
        let settings = &self.context.settings;
        let handling = |name| settings.get(name).unwrap_or("throw").to_string();
        if calls(text).any(|name| CHANGING.contains(&name.to_ascii_lowercase().as_str())) {
            match handling("query_cache_nondeterministic_function_handling").as_str() {
                "save" => {}
                "ignore" => return Ok(false),
                _ => {
                    return Err(Error::new(
                        codes::QUERY_CACHE_USED_WITH_NONDETERMINISTIC_FUNCTIONS,
                        "The query result was not cached because the query contains a non-deterministic function. Use setting `query_cache_nondeterministic_function_handling = 'save'` or `= 'ignore'` to cache the query result regardless, or omit caching.",
                    ));
                }
            }
        }
        let statement = Statement::Query(Box::new(query.clone()));
        let (databases, _) = super::names::of_statement(&statement, &self.context.database);
        if databases.iter().any(|d| crate::system_tables::is_virtual_database(d)) {
            match handling("query_cache_system_table_handling").as_str() {
                "save" => {}
                "ignore" => return Ok(false),
                _ => {
                    return Err(Error::new(
                        codes::QUERY_CACHE_USED_WITH_SYSTEM_TABLE,
                        "The query result was not cached because the query contains a system table. Use setting `query_cache_system_table_handling = 'save'` or `= 'ignore'` to cache the query result regardless, or omit caching.",
                    ));
                }
            }
        }
        Ok(true)
    }
}

/// What they say is in the context.
fn forget_settings(query: &mut Query) {
    match &mut query.body {
        QueryBody::Select(select) => select.settings.clear(),
        QueryBody::SetOperation { inputs, .. } => inputs.iter_mut().for_each(forget_settings),
    }
}

/// Names before an opening parenthesis in canonical text, outside of strings and quoted names.
fn calls(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let (mut at, mut quote) = (0, None);
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let byte = bytes[at];
            match quote {
                Some(_) if byte == b'\\' => at += 2,
                Some(end) => {
                    if byte == end {
                        quote = None;
                    }
                    at += 1;
                }
                None if byte == b'\'' || byte == b'`' => {
                    quote = Some(byte);
                    at += 1;
                }
                None if byte.is_ascii_alphabetic() || byte == b'_' => {
                    let from = at;
                    while at < bytes.len()
                        && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_')
                    {
                        at += 1;
                    }
                    if bytes.get(at) == Some(&b'(') {
                        return Some(&text[from..at]);
                    }
                }
                None => at += 1,
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_outside_of_strings() {
        let text = "SELECT now(), 'rand()', `today(`, f(g(x)), a + rand64() FROM t WHERE 'it\\'s now()' != b";
        let found: Vec<&str> = calls(text).collect();
        assert_eq!(found, ["now", "f", "g", "rand64"]);
    }
}
