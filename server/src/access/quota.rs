//! Quotas: what users have used of what they may in an interval of time. Counts are in memory and begin anew with the
//! server, as in ClickHouse. A statement is counted when it begins, and what it read, wrote and took when it ends: who is
//! beyond a limit is told (201) by the next statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::sql::access::{AccessStatement, EntityKind, QuotaInterval};
use pumphouse_query::sql::ast::Statement;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;
use uuid::Uuid;

use super::{Entities, Granted, means};
use crate::server::Server;

/// Keys that are counted at once.
const KEYS_MAX: usize = 100_000;

/// What is counted, in the order of [`Usage::counts`].
pub const COUNTED: [&str; 10] = [
    "queries",
    "query_selects",
    "query_inserts",
    "errors",
    "result_rows",
    "result_bytes",
    "read_rows",
    "read_bytes",
    "execution_time",
    "written_bytes",
];

/// What one key has used in one interval; time in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// The number of the interval since the epoch.
    pub interval: u64,
    pub counts: [u64; COUNTED.len()],
}

/// Quota, the interval's seconds, the user (empty if all are counted together).
type Key = (Uuid, u64, String);

#[derive(Debug, Default)]
pub struct Quotas {
    used: Mutex<HashMap<Key, Usage>>,
}

/// How long an interval is.
pub fn seconds_of(interval: &QuotaInterval) -> u64 {
    let unit = match interval.unit.as_str() {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        "month" => 2_629_746,
        "quarter" => 7_889_238,
        "year" => 31_556_952,
        _ => 1,
    };
    interval.count.max(1).saturating_mul(unit)
}

/// A limit in what is counted.
pub fn limit_of(interval: &QuotaInterval, name: &str) -> Option<u64> {
    let (_, value) = interval.max.iter().find(|(n, _)| n == name)?;
    let value = match value {
        Value::String(text) => String::from_utf8_lossy(text).parse().ok()?,
        other => other.as_f64()?,
    };
    let scale = if name == "execution_time" { 1e6 } else { 1.0 };
    Some((value * scale) as u64)
}

/// Counts one statement, if there are quotas.
pub struct Meter<'a> {
    server: &'a Server,
    entities: Arc<Entities>,
    access: Arc<Granted>,
    kind: Option<&'static str>,
}

impl<'a> Meter<'a> {
    pub fn of(
        server: &'a Server,
        access: &Arc<Granted>,
        statement: &Statement,
    ) -> Option<Meter<'a>> {
        let state = server.store.snapshot();
        if state.access_entities.is_empty() {
            return None;
        }
        let entities = server.access.entities(&state);
        if entities.all(EntityKind::Quota).is_empty() {
            return None;
        }
        let kind = match statement {
            Statement::Query(_) => Some("query_selects"),
            Statement::Insert(_) => Some("query_inserts"),
            _ => None,
        };
        Some(Meter { server, entities, access: access.clone(), kind })
    }

    /// Error 201 if the user has used up what it may.
    pub fn begin(&self, context: &QueryContext) -> Result<()> {
        let mut used = vec![("queries", 1)];
        used.extend(self.kind.map(|kind| (kind, 1)));
        self.count(context, &used)
    }

    /// Counts what the statement used; the next one is told if that was too much.
    pub fn end(&self, context: &QueryContext, failed: bool) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let progress = &context.progress;
        let used = [
            ("errors", u64::from(failed)),
            ("result_rows", load(&progress.result_rows)),
            ("result_bytes", load(&progress.result_bytes)),
            ("read_rows", load(&progress.read_rows)),
            ("read_bytes", load(&progress.read_bytes)),
            ("written_bytes", load(&progress.written_bytes)),
            ("execution_time", context.elapsed().as_micros() as u64),
        ];
        let _ = self.count(context, &used);
    }

    fn count(&self, context: &QueryContext, used: &[(&str, u64)]) -> Result<()> {
        let now = self.server.clock.now_us() / 1_000_000;
        let quotas = &self.server.access.quotas;
        quotas.use_up(&self.entities, &self.access, &context.user, now, used)
    }
}

impl Quotas {
    /// Counts; error 201 if something is beyond its limit.
    fn use_up(
        &self,
        entities: &Entities,
        access: &Granted,
        user: &str,
        now_seconds: u64,
        used: &[(&str, u64)],
    ) -> Result<()> {
        let quotas = entities.all(EntityKind::Quota);
        if quotas.is_empty() {
            return Ok(());
        }
        let ids = access.ids();
        let mut table = self.used.lock();
        if table.len() > KEYS_MAX {
            table.clear();
        }
        for entity in quotas {
            let AccessStatement::Quota(quota) = &entity.definition else { continue };
            if !quota.to.as_ref().is_some_and(|to| means(to, &ids)) {
                continue;
            }
            let by_user = quota.keyed_by.as_deref().is_some_and(|k| !k.is_empty());
            let key = if by_user { user.to_string() } else { String::new() };
            for interval in &quota.limits {
                let seconds = seconds_of(interval);
                let usage = table.entry((entity.id, seconds, key.clone())).or_default();
                if usage.interval != now_seconds / seconds {
                    *usage = Usage { interval: now_seconds / seconds, ..Usage::default() };
                }
                for (name, amount) in used {
                    let Some(at) = COUNTED.iter().position(|c| c == name) else { continue };
                    usage.counts[at] = usage.counts[at].saturating_add(*amount);
                }
                for (at, name) in COUNTED.iter().enumerate() {
                    if let Some(limit) = limit_of(interval, name)
                        && usage.counts[at] > limit
                    {
                        return Err(exceeded(
                            &entity.name(),
                            user,
                            interval,
                            name,
                            usage.counts[at],
                            limit,
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// What is used in the present intervals of a quota: seconds, key and counts.
    pub fn usage(&self, quota: Uuid, now_seconds: u64) -> Vec<(u64, String, Usage)> {
        let table = self.used.lock();
        let of = table.iter().filter(|((id, seconds, _), usage)| {
            *id == quota && usage.interval == now_seconds / seconds
        });
        let mut found: Vec<_> =
            of.map(|((_, seconds, key), usage)| (*seconds, key.clone(), usage.clone())).collect();
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        found
    }
}

fn exceeded(
    quota: &str,
    user: &str,
    interval: &QuotaInterval,
    name: &str,
    used: u64,
    limit: u64,
) -> Error {
    let shown = |n: u64| match name {
        "execution_time" => format!("{}", n as f64 / 1e6),
        _ => n.to_string(),
    };
    let message = format!(
        "Quota for user `{user}` for {}{} has been exceeded: {name} = {}/{}. Name of quota template: `{quota}`",
        seconds_of(interval),
        "s",
        shown(used),
        shown(limit),
    );
    Error::new(codes::QUOTA_EXCEEDED, message)
}
