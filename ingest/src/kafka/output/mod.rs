//! Kafka tables that views write to: what a commit holds for them is delivered to their topics.
//!
//! The rows of such a table are parts of it, committed together with everything else that their block
//! yields (and with the offsets it came from). A thread per table (`sender`) takes them in the order of
//! their commits, writes each lot in one transaction of the broker (`transaction`) and removes them
//! from the table. The log says what is to be delivered, a marker that the same transaction moves says
//! what was: together exactly once, whatever ends in between. See `docs/decisions/0006`.

mod sender;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use pumphouse_query::context::Settings;
use pumphouse_storage::Store;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::types::TimeZone;

use super::events::Events;
use crate::table_threads::{Start, TableThreads};
use sender::Sender;

/// How the rows of one Kafka table leave, for `system.kafka_outputs`.
#[derive(Debug, Clone, Default)]
pub struct OutputStatus {
    pub database: String,
    pub table: String,
    pub topic: String,
    /// `exactly_once` or `at_least_once`.
    pub guarantee: &'static str,
    /// `idle`, `delivering`, `backing off`, `paused`.
    pub state: &'static str,
    pub pending_parts: u64,
    pub pending_rows: u64,
    pub delivered_rows: u64,
    pub transactions: u64,
    pub last_delivery_us: u64,
    pub last_error: String,
    pub next_retry_us: u64,
}

/// What the senders of a server share.
pub(super) struct OutputConfig {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) profile: Settings,
    pub(super) time_zone: TimeZone,
    pub(super) events: Arc<Events>,
}

/// All senders of one server.
pub(super) struct Outputs {
    config: Arc<OutputConfig>,
    threads: TableThreads<OutputStatus>,
}

impl Outputs {
    pub(super) fn new(config: OutputConfig) -> Outputs {
        Outputs { config: Arc::new(config), threads: TableThreads::new("kafka-out") }
    }

    /// Makes what runs agree with the state.
    pub(super) fn sync(&self, state: &State, wait: Duration) {
        self.threads.sync(wanted(state), wait, status_of, |Start { table, status, signal }| {
            let sender = Sender { config: self.config.clone(), table, status, signal };
            move || sender.run()
        });
    }

    /// Every table that delivers, and every other one that holds rows to deliver.
    pub(super) fn statuses(&self, state: &State) -> Vec<OutputStatus> {
        let running = self.threads.statuses();
        let mut rows = vec![];
        for (uuid, table) in &state.tables {
            let mut status = match running.get(uuid) {
                Some(status) => status.clone(),
                None if table.definition.engine == "Kafka" && !table.parts.is_empty() => {
                    OutputStatus { state: "paused", ..status_of(table) }
                }
                None => continue,
            };
            status.pending_parts = table.parts.len() as u64;
            status.pending_rows = table.parts.iter().map(|p| p.rows).sum();
            rows.push(status);
        }
        rows
    }

    pub(super) fn shutdown(&self, wait: Duration) {
        self.threads.shutdown(wait);
    }
}

/// Attached Kafka tables that views write to, or that still hold rows, by id.
fn wanted(state: &State) -> BTreeMap<Uuid, Arc<Table>> {
    let targets: BTreeSet<&(String, String)> = state
        .tables
        .values()
        .filter(|t| !t.detached)
        .filter_map(|t| t.definition.target.as_ref())
        .collect();
    let is_target = |t: &Table| {
        let name = (t.definition.database.clone(), t.definition.name.clone());
        targets.contains(&name)
    };
    state
        .tables
        .iter()
        .filter(|(_, t)| t.definition.engine == "Kafka" && !t.detached && !t.paused)
        .filter(|(_, t)| !t.parts.is_empty() || is_target(t))
        .map(|(uuid, t)| (*uuid, t.clone()))
        .collect()
}

fn status_of(table: &Table) -> OutputStatus {
    OutputStatus {
        database: table.definition.database.clone(),
        table: table.definition.name.clone(),
        guarantee: "exactly_once",
        state: "idle",
        ..OutputStatus::default()
    }
}
