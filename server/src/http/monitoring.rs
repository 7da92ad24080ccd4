//! `/metrics` for Prometheus, under ClickHouse's names, and `/health`.
//!
//! Both are for machines that watch; `/metrics` asks for the same credentials as a query.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};

use super::Peer;
use super::authentication::authenticate;
use super::error_text::{error_line, status_of};
use super::parameters::Parameters;
use crate::health::{Severity, checks};
use crate::server::Server;
use crate::system_tables::activity;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=UTF-8";

pub async fn metrics(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let parameters = Parameters::parse(uri.query().unwrap_or(""));
    if let Err(e) = authenticate(&server, &headers, &parameters, peer.0.ip()) {
        return super::pages::respond(status_of(e.code()), PROMETHEUS, error_line(&e));
    }
    match tokio::task::spawn_blocking(move || metrics_text(&server)).await {
        Ok(text) => super::pages::respond(StatusCode::OK, PROMETHEUS, text),
        Err(e) => {
            super::pages::respond(StatusCode::INTERNAL_SERVER_ERROR, PROMETHEUS, e.to_string())
        }
    }
}

pub async fn health(State(server): State<Arc<Server>>) -> Response<Body> {
    let found = tokio::task::spawn_blocking(move || checks(&server)).await.unwrap_or_default();
    let worst = found.iter().map(|c| c.severity).max().unwrap_or(Severity::Failing);
    let status = match worst {
        Severity::Failing => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let list: Vec<serde_json::Value> = found
        .iter()
        .map(|c| {
            serde_json::json!({
                "name": c.name,
                "status": c.severity.name(),
                "message": c.message,
            })
        })
        .collect();
    let text = serde_json::json!({ "status": worst.name(), "checks": list }).to_string() + "\n";
    super::pages::respond(status, "application/json; charset=UTF-8", text)
}

fn metrics_text(server: &Server) -> String {
    let state = server.store.snapshot();
    let mut text = String::with_capacity(8 << 10);
    for (name, value, description) in activity::event_values(server) {
        line(&mut text, "ClickHouseProfileEvents_", name, "counter", description, value as f64);
    }
    for (name, value, description) in activity::metric_values(server, &state) {
        line(&mut text, "ClickHouseMetrics_", name, "gauge", description, value as f64);
    }
    for (name, value, description) in activity::asynchronous_values(server, &state) {
        line(&mut text, "ClickHouseAsyncMetrics_", &name, "gauge", description, value);
    }
    for (code, error) in server.processes.counters.errors() {
        let name = pumphouse_query::error::codes::name_of(code);
        line(&mut text, "ClickHouseErrorMetric_", name, "counter", "", error.count as f64);
    }
    super::kafka_metrics::write(&mut text, server);
    text
}

fn line(text: &mut String, prefix: &str, name: &str, kind: &str, description: &str, value: f64) {
    if !description.is_empty() {
        let _ = writeln!(text, "# HELP {prefix}{name} {description}");
    }
    let _ = writeln!(text, "# TYPE {prefix}{name} {kind}");
    let _ = writeln!(text, "{prefix}{name} {value}");
}
