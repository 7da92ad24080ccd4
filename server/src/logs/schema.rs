//! The tables of the system logs: columns and CREATE statements. `columns.tsv` has ClickHouse's columns;
//! `metric_log` has one more for every counter and gauge that this server keeps.

use pumphouse_storage::DataType;
use pumphouse_storage::log::State;
use pumphouse_storage::types::{back_quote_if_needed, parse_data_type};

use super::{LOGS, Log};
use crate::server::Server;
use crate::system_tables::activity::{event_values, metric_values};

/// Names and types as texts, of a log's fixed columns.
pub fn columns_of(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("columns.tsv").lines().filter_map(move |line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let name = Log::named(name).map_or("", Log::name);
    lines.filter(move |(log, _, _)| *log == name).map(|(_, column, kind)| (column, kind))
}

/// All columns of `log`.
pub(super) fn columns(server: &Server, log: Log) -> Vec<(String, String)> {
    let mut columns: Vec<(String, String)> =
        columns_of(log.name()).map(|(n, t)| (n.to_string(), t.to_string())).collect();
    if log == Log::Metric {
        let state = State::default();
        let events = event_values(server);
        let gauges = metric_values(server, &state);
        columns.extend(events.iter().map(|(n, ..)| (format!("ProfileEvent_{n}"), "UInt64".into())));
        columns.extend(gauges.iter().map(|(n, ..)| (format!("CurrentMetric_{n}"), "Int64".into())));
    }
    columns
}

/// Names and types of the columns that rows are made of.
pub(super) fn row_schema(server: &Server, log: Log) -> Vec<(String, DataType)> {
    let columns = columns(server, log).into_iter();
    columns.map(|(n, t)| (n, parse_data_type(&t).unwrap_or(DataType::String))).collect()
}

/// The statement that makes the log's table.
pub(super) fn create_text(server: &Server, log: Log) -> String {
    let mut lines: Vec<String> = columns(server, log)
        .into_iter()
        .map(|(n, t)| format!("    {} {t}", back_quote_if_needed(&n)))
        .collect();
    let maps: &[&str] = match log {
        Log::Query => &["ProfileEvents", "Settings"],
        Log::QueryThread | Log::QueryViews | Log::Part => &["ProfileEvents"],
        _ => &[],
    };
    for map in maps {
        let values = if *map == "Settings" { "String" } else { "UInt64" };
        lines.push(format!("    `{map}.Names` Array(String) ALIAS mapKeys({map})"));
        lines.push(format!("    `{map}.Values` Array({values}) ALIAS mapValues({map})"));
    }
    let (date, time) = match log {
        Log::Backup => ("event_date", "event_time_microseconds"),
        Log::OpenTelemetrySpan => ("finish_date", "finish_time_us"),
        _ => ("event_date", "event_time"),
    };
    let days = server.config.system_logs_keep_days;
    let ttl = match days {
        0 => String::new(),
        days => format!("\nTTL {date} + INTERVAL {days} DAY DELETE"),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS system.{} (\n{}\n)\nENGINE = MergeTree\nPARTITION BY \
         toYYYYMM({date})\nORDER BY ({date}, {time}){ttl}",
        log.name(),
        lines.join(",\n")
    )
}

/// Reads `all`, `none`, or names with commas between them.
pub fn parse_list(text: &str) -> Option<Vec<Log>> {
    match text.trim() {
        "all" => Some(LOGS.to_vec()),
        "none" => Some(vec![]),
        names => names.split(',').map(|name| Log::named(name.trim())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_has_columns_of_known_types() {
        for log in LOGS {
            let columns: Vec<_> = columns_of(log.name()).collect();
            assert!(columns.len() >= 4, "{}", log.name());
            for (name, kind) in columns {
                assert!(parse_data_type(kind).is_ok(), "{}.{name}: {kind}", log.name());
            }
        }
        assert_eq!(parse_list("query_log, part_log"), Some(vec![Log::Query, Log::Part]));
        assert_eq!(parse_list("nothing_log"), None);
    }
}
