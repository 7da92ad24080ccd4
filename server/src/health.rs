//! Whether this server is well: what `/health` says. Each check is a sentence; a failing one makes the
//! answer 503, a degraded one leaves it 200.

use std::sync::Arc;

use pumphouse_ingest::kafka::ConsumerState;

use crate::server::Server;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    /// Some data or some work suffers; the rest goes on.
    Degraded,
    /// What the server is there for does not work.
    Failing,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Degraded => "degraded",
            Severity::Failing => "failing",
        }
    }
}

/// One thing looked at.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    pub name: &'static str,
    pub severity: Severity,
    pub message: String,
}

/// Looks at everything. Touches the disk, so not for async threads.
pub fn checks(server: &Arc<Server>) -> Vec<HealthCheck> {
    vec![data_directory(server), disk_room(server), parts(server), consumers(server)]
}

fn check(name: &'static str, severity: Severity, message: impl Into<String>) -> HealthCheck {
    HealthCheck { name, severity, message: message.into() }
}

/// Whether a file can be made there: a file system that turned read-only says so here.
fn data_directory(server: &Server) -> HealthCheck {
    const PROBE: &str = "health.probe";
    let disk = server.store.disk();
    let probe = disk
        .remove(PROBE)
        .and_then(|()| disk.create(PROBE))
        .and_then(|mut file| file.append(b"probe"))
        .and_then(|()| disk.remove(PROBE));
    match probe {
        Ok(()) => check("data_directory", Severity::Ok, "writable"),
        Err(e) => check("data_directory", Severity::Failing, e.to_string()),
    }
}

fn disk_room(server: &Server) -> HealthCheck {
    match (server.store.has_free_space(), server.store.disk().free_bytes()) {
        (Ok(true), Ok(free)) => {
            let text = free.map_or("enough".into(), |free| format!("{free} bytes free"));
            check("disk_room", Severity::Ok, text)
        }
        (Ok(false), _) => check(
            "disk_room",
            Severity::Failing,
            "less than keep_free_space_bytes: inserts are refused, consumers and merges wait",
        ),
        (Err(e), _) | (_, Err(e)) => check("disk_room", Severity::Failing, e.to_string()),
    }
}

fn parts(server: &Server) -> HealthCheck {
    let quarantined = server.store.quarantined();
    match quarantined.first() {
        None => check("parts", Severity::Ok, "none quarantined"),
        Some((_, what)) => {
            let text = format!("{} quarantined, among them: {what}", quarantined.len());
            check("parts", Severity::Degraded, text)
        }
    }
}

fn consumers(server: &Server) -> HealthCheck {
    let all = server.kafka.consumers();
    let stuck: Vec<String> = all
        .iter()
        .filter(|c| c.state == ConsumerState::BackingOff)
        .map(|c| format!("{}.{}: {}", c.database, c.table, c.paused_reason))
        .collect();
    if stuck.is_empty() {
        return check("consumers", Severity::Ok, format!("{} consumers", all.len()));
    }
    check("consumers", Severity::Degraded, stuck.join("; "))
}
