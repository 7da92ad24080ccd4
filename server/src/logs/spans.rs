//! Rows of `system.opentelemetry_span_log`: queries as spans of the trace that their client is in.
//!
//! The context comes in the header `traceparent` of a request (W3C Trace Context) or in the native protocol's client
//! info; without one, `opentelemetry_start_trace_probability` may begin a trace. A query leaves two spans: that of the
//! server's handler, a child of the client's, and within it that of the query. Contexts that say that they are not
//! sampled leave none.

use pumphouse_query::context::Settings;
use pumphouse_storage::Value;
use uuid::Uuid;

use super::gather::host;
use super::{LogRow, Origin};
use crate::process::QueryLogEntry;
use crate::system_tables::rows::{number, text};

/// Where in a trace a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: u128,
    /// The client's span.
    pub parent: u64,
    pub sampled: bool,
    /// The header `tracestate`, handed on as it is.
    pub state: String,
}

impl TraceContext {
    /// Reads `traceparent`: `00-<trace id>-<span id>-<flags>`, in lower hexadecimals; later versions may have more
    /// behind. None if it is none, which counts as not given.
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<TraceContext> {
        let mut fields = traceparent.trim().split('-');
        let hexadecimal = |digits: usize, field: &str| {
            let plain = field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            (field.len() == digits && plain).then(|| u128::from_str_radix(field, 16).ok()).flatten()
        };
        let version = hexadecimal(2, fields.next()?)?;
        let trace_id = hexadecimal(32, fields.next()?)?;
        let parent = hexadecimal(16, fields.next()?)? as u64;
        let flags = hexadecimal(2, fields.next()?)?;
        let known = version != 0xff && (version > 0 || fields.next().is_none());
        (known && trace_id != 0 && parent != 0).then(|| TraceContext {
            trace_id,
            parent,
            sampled: flags & 1 == 1,
            state: tracestate.to_string(),
        })
    }

    /// A trace that begins here, if the settings and chance want one.
    fn begun(settings: &Settings) -> Option<TraceContext> {
        let share = settings.get("opentelemetry_start_trace_probability")?.parse::<f64>().ok()?;
        let random = Uuid::new_v4().as_u128();
        // The low bits are all random.
        let drawn = (random as u32) as f64 / (f64::from(u32::MAX) + 1.0);
        (drawn < share).then(|| TraceContext {
            trace_id: Uuid::new_v4().as_u128(),
            parent: 0,
            sampled: true,
            state: String::new(),
        })
    }
}

const INTERNAL: i64 = 0;
const SERVER: i64 = 1;

/// The spans of a query that has ended; none outside of traces.
pub fn query_spans(entry: &QueryLogEntry, origin: &Origin, settings: &Settings) -> Vec<LogRow> {
    let context = origin.trace.clone().or_else(|| TraceContext::begun(settings));
    let Some(trace) = context.filter(|t| t.sampled) else { return vec![] };
    let (handler, query) = (span_id(), span_id());
    let over_http = origin.interface == 2;
    let mut of_handler = vec![("clickhouse.query_id", entry.query_id.clone())];
    if over_http {
        let method = if origin.http_method == 2 { "POST" } else { "GET" };
        of_handler.push(("http.method", method.into()));
        of_handler.push(("http.user.agent", origin.http_user_agent.clone()));
    }
    let failed = entry.exception_code != 0;
    let mut of_query = vec![
        (
            "clickhouse.query_status",
            if failed { "ExceptionWhileProcessing" } else { "QueryFinish" }.into(),
        ),
        ("db.statement", entry.query.clone()),
        ("clickhouse.query_id", entry.query_id.clone()),
        ("clickhouse.read_rows", entry.read_rows.to_string()),
        ("clickhouse.read_bytes", entry.read_bytes.to_string()),
        ("clickhouse.written_rows", entry.written_rows.to_string()),
        ("clickhouse.written_bytes", entry.written_bytes.to_string()),
        ("clickhouse.memory_usage", entry.memory_bytes.to_string()),
    ];
    if failed {
        of_query.push(("clickhouse.exception_code", entry.exception_code.to_string()));
        of_query.push(("clickhouse.exception", entry.exception.clone()));
    }
    if !trace.state.is_empty() {
        of_query.push(("clickhouse.tracestate", trace.state.clone()));
    }
    let name = if over_http { "HTTPHandler" } else { "TCPHandler" };
    let row = |(id, parent): (u64, u64), name: &str, kind: i64, attributes: Vec<(&str, String)>| {
        let finish_us = entry.start_us + entry.duration_us;
        let attributes = attributes.into_iter().map(|(n, v)| (text(n), text(v))).collect();
        vec![
            ("hostname", host()),
            ("trace_id", Value::String(trace.trace_id.to_be_bytes().to_vec())),
            ("span_id", number(id)),
            ("parent_span_id", number(parent)),
            ("operation_name", text(name)),
            ("kind", Value::Int(kind)),
            ("start_time_us", number(entry.start_us)),
            ("finish_time_us", number(finish_us)),
            ("finish_date", number(finish_us / 86_400_000_000)),
            ("attribute", Value::Map(attributes)),
        ]
    };
    vec![
        row((query, handler), "query", INTERNAL, of_query),
        row((handler, trace.parent), name, SERVER, of_handler),
    ]
}

/// A new span's id; 0 means none.
fn span_id() -> u64 {
    (Uuid::new_v4().as_u128() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_or_left() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = TraceContext::parse(given, "vendor=1").unwrap();
        assert_eq!(found.trace_id, 0x0af7651916cd43dd8448eb211c80319c);
        assert_eq!((found.parent, found.sampled), (0xb7ad6b7169203331, true));
        assert!(!TraceContext::parse(&given.replace("-01", "-00"), "").unwrap().sampled);
        assert!(TraceContext::parse(&given.replacen("00", "01", 1), "").is_some());
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        ] {
            assert_eq!(TraceContext::parse(bad, ""), None, "{bad}");
        }
    }

    #[test]
    fn a_query_leaves_two_spans() {
        let trace = TraceContext { trace_id: 7, parent: 9, sampled: true, state: String::new() };
        let origin = Origin { interface: 2, trace: Some(trace.clone()), ..Origin::default() };
        let entry = QueryLogEntry { start_us: 5, duration_us: 2, ..QueryLogEntry::default() };
        let rows = query_spans(&entry, &origin, &Settings::default());
        let of = |row: &LogRow, name: &str| row.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!(of(&rows[0], "parent_span_id"), of(&rows[1], "span_id"));
        assert_eq!(of(&rows[1], "parent_span_id"), Value::UInt(9));
        assert_eq!(of(&rows[0], "finish_time_us"), Value::UInt(7));
        let unsampled = Origin { trace: Some(TraceContext { sampled: false, ..trace }), ..origin };
        assert!(query_spans(&entry, &unsampled, &Settings::default()).is_empty());
        let mut always = Settings::default();
        assert!(query_spans(&entry, &Origin::default(), &always).is_empty());
        always.set("opentelemetry_start_trace_probability", "1");
        assert_eq!(query_spans(&entry, &Origin::default(), &always).len(), 2);
    }
}
