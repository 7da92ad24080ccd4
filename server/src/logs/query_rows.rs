//! Rows of `system.query_log`: a query's start and its end. Whether a query is logged is for its settings
//! to say (`log_queries`, `log_queries_min_type`, `log_queries_min_query_duration_ms`,
//! `log_queries_probability`).
//!
//! The start of a query that ends soon is logged with its end; one that runs on is logged as started by
//! the next round.

use std::sync::atomic::Ordering;

use pumphouse_query::context::{QueryContext, Settings};
use pumphouse_query::functions::normalized_query_hash;
use pumphouse_storage::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::gather::time_columns;
use super::{Log, LogRow, SystemLogs, TraceContext};
use crate::process::QueryLogEntry;
use crate::server::Server;
use crate::system_tables::rows::{flag, micros, number, seconds, text, texts};

/// Who sent a query, and how.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// As in the type of the column `interface`: 1 TCP, 2 HTTP, 9 background.
    pub interface: i64,
    /// As in the type of the column `http_method`.
    pub http_method: i64,
    pub http_user_agent: String,
    pub client_name: String,
    /// The trace that the query is part of.
    pub trace: Option<TraceContext>,
}

/// What a row tells of; the numbers are those of the column `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryEnd {
    Start = 1,
    Finish = 2,
    FailedBeforeStart = 3,
    Failed = 4,
}

/// Whether the settings let this be logged.
pub fn is_logged(settings: &Settings, query_id: &str, end: QueryEnd, duration_us: u64) -> bool {
    if !settings.bool("log_queries", true) {
        return false;
    }
    let least = match settings.get("log_queries_min_type") {
        Some("QUERY_FINISH") => QueryEnd::Finish,
        Some("EXCEPTION_BEFORE_START") => QueryEnd::FailedBeforeStart,
        Some("EXCEPTION_WHILE_PROCESSING") => QueryEnd::Failed,
        _ => QueryEnd::Start,
    };
    if end < least {
        return false;
    }
    let least_ms = settings.u64("log_queries_min_query_duration_ms", 0);
    if least_ms > 0 && (end == QueryEnd::Start || duration_us / 1000 < least_ms) {
        return false;
    }
    let share = settings.get("log_queries_probability").and_then(|p| p.parse::<f64>().ok());
    match share {
        // The same answer for the start and the end of a query.
        Some(p) if p < 1.0 => (xxh3_64(query_id.as_bytes()) as f64) < p * u64::MAX as f64,
        _ => true,
    }
}

/// Starts of queries that have run for a while.
pub(super) fn running(logs: &SystemLogs, server: &Server) {
    for process in server.processes.running() {
        let (context, id) = (&process.context, &process.context.query_id);
        if is_logged(&context.settings, id, QueryEnd::Start, 0)
            && !process.start_logged.swap(true, Ordering::Relaxed)
        {
            let entry = QueryLogEntry::beginning(&process);
            logs.push(Log::Query, query_row(QueryEnd::Start, &entry, &process.origin, context));
        }
    }
}

/// What the query counted, as far as it happened.
fn profile_events(context: &QueryContext) -> Value {
    let events = context.spill.iter().flat_map(|spill| spill.counters.events());
    let counted = events.filter(|(_, count)| *count > 0);
    Value::Map(counted.map(|(name, count)| (text(name), number(count))).collect())
}

/// The row of `entry`.
pub fn query_row(
    end: QueryEnd,
    entry: &QueryLogEntry,
    origin: &Origin,
    context: &QueryContext,
) -> LogRow {
    let started = end == QueryEnd::Start;
    let time_us = if started { entry.start_us } else { entry.start_us + entry.duration_us };
    let mut row = time_columns(time_us);
    row.extend([
        ("type", Value::Int(end as i64)),
        ("query_start_time", seconds(entry.start_us)),
        ("query_start_time_microseconds", micros(entry.start_us)),
        ("initial_query_start_time", seconds(entry.start_us)),
        ("initial_query_start_time_microseconds", micros(entry.start_us)),
        ("current_database", text(&entry.database)),
        ("query", text(&entry.query)),
        ("normalized_query_hash", number(normalized_query_hash(entry.query.as_bytes()))),
        ("query_kind", text(&entry.kind)),
        ("is_initial_query", flag(true)),
        ("user", text(&entry.user)),
        ("initial_user", text(&entry.user)),
        ("authenticated_user", text(&entry.user)),
        ("query_id", text(&entry.query_id)),
        ("initial_query_id", text(&entry.query_id)),
        ("interface", Value::Int(origin.interface)),
        ("http_method", Value::Int(origin.http_method)),
        ("http_user_agent", text(&origin.http_user_agent)),
        ("client_name", text(&origin.client_name)),
        ("log_comment", text(context.settings.get("log_comment").unwrap_or_default())),
        ("databases", texts(entry.databases.iter())),
        ("tables", texts(entry.tables.iter())),
        ("clickhouse_version", text(crate::CLICKHOUSE_VERSION)),
        ("Settings", settings_map(&context.settings)),
    ]);
    if !started {
        row.extend([
            ("query_duration_ms", number(entry.duration_us / 1000)),
            ("read_rows", number(entry.read_rows)),
            ("read_bytes", number(entry.read_bytes)),
            ("written_rows", number(entry.written_rows)),
            ("written_bytes", number(entry.written_bytes)),
            ("result_rows", number(entry.result_rows)),
            ("result_bytes", number(entry.result_bytes)),
            ("memory_usage", number(entry.memory_bytes)),
            ("projections", texts(context.projections().iter())),
            ("ProfileEvents", profile_events(context)),
            ("exception_code", Value::Int(entry.exception_code.into())),
            ("exception", text(&entry.exception)),
        ]);
    }
    row
}

/// Changed settings; values that may be secret are left out.
fn settings_map(settings: &Settings) -> Value {
    let shown = settings.values.iter().filter(|(name, _)| {
        !["password", "secret", "token"].iter().any(|word| name.contains(word))
    });
    Value::Map(shown.map(|(n, v)| (text(n), text(v))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_logged() {
        let with = |pairs: &[(&str, &str)]| {
            let mut settings = Settings::default();
            pairs.iter().for_each(|(n, v)| settings.set(*n, *v));
            settings
        };
        assert!(is_logged(&with(&[]), "q", QueryEnd::Start, 0));
        assert!(!is_logged(&with(&[("log_queries", "0")]), "q", QueryEnd::Failed, 0));
        let slow = with(&[("log_queries_min_query_duration_ms", "5")]);
        assert!(!is_logged(&slow, "q", QueryEnd::Start, 0));
        assert!(!is_logged(&slow, "q", QueryEnd::Finish, 4_999));
        assert!(is_logged(&slow, "q", QueryEnd::Finish, 5_000));
        let least = with(&[("log_queries_min_type", "EXCEPTION_WHILE_PROCESSING")]);
        assert!(!is_logged(&least, "q", QueryEnd::Finish, 0));
        assert!(is_logged(&least, "q", QueryEnd::Failed, 0));
        let never = with(&[("log_queries_probability", "0")]);
        assert!(!is_logged(&never, "q", QueryEnd::Finish, 0));
    }
}
