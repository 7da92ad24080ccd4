//! The thread that delivers one table's rows: lot by lot, in the order of their commits.
//!
//! A lot is one or more parts. It is sent in one transaction together with the marker, and then removed
//! from the table by a commit. Ended before the broker's commit, the next sender finds the old marker
//! and sends the lot again (the broker has dropped the first try); ended behind it, it finds the new one
//! and only removes the lot. Any error ends the producer: the next one begins by asking the marker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::log::{Commit, Edit, PartMeta, Precondition, State, Table};
use pumphouse_storage::scan;

use super::super::backoff::{Backoff, Signal};
use super::super::produce::{Messages, Sending};
use super::super::settings::DeliveryGuarantee;
use super::transaction::{DeliveryMark, Transactional};
use super::{OutputConfig, OutputStatus};
use crate::insert::stored_schema;
use crate::test_exit::TestExit;

/// For tests.
static EXIT: TestExit = TestExit::new("PUMPHOUSE_TEST_OUTPUT_EXIT");

/// Rows of one lot, unless a single part has more.
const LOT_ROWS_MAX: u64 = 200_000;
/// How long a wait for a commit lasts before the thread looks whether it is to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The marker is renewed after so long without a lot: brokers forget old ones.
const MARK_RENEWAL: Duration = Duration::from_secs(12 * 3600);

pub(super) struct Sender {
    pub(super) config: Arc<OutputConfig>,
    pub(super) table: Arc<Table>,
    pub(super) status: Arc<Mutex<OutputStatus>>,
    pub(super) signal: Arc<Signal>,
}

/// A connection to the broker.
enum Delivery {
    ExactlyOnce(Box<Transactional>),
    AtLeastOnce(Box<Sending>),
}

impl Sender {
    /// Runs until the signal says stop or the table is gone.
    pub(super) fn run(self) {
        let first = Duration::from_millis(500);
        let mut backoff = Backoff::new(first);
        while !self.signal.stopped() {
            let before = self.status.lock().transactions;
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.session()));
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(e)) => e.to_string(),
                Err(panic) => super::super::consumer::panic_text(&panic),
            };
            if self.status.lock().transactions > before {
                backoff.reset();
            }
            let delay = backoff.next();
            self.failed(&error, delay);
            self.signal.wait(delay);
        }
    }

    /// One life of a producer.
    fn session(&self) -> Result<()> {
        let messages = Messages::new(&self.table, &self.config.profile, self.config.time_zone)?;
        let guarantee = messages.settings.delivery_guarantee;
        {
            let mut status = self.status.lock();
            status.topic = messages.topic.clone();
            status.guarantee = guarantee.name();
        }
        let uuid = self.table.definition.uuid;
        let mut delivery = None;
        let mut marked = Instant::now();
        let mut seen = 0;
        while !self.signal.stopped() {
            let state = self.config.store.wait_past(seen, LOOK_INTERVAL);
            seen = state.version;
            let Some(table) = state.tables.get(&uuid) else { return Ok(()) };
            if table.parts.is_empty() {
                if let Some(Delivery::ExactlyOnce(producer)) = &delivery
                    && marked.elapsed() > MARK_RENEWAL
                {
                    producer.open()?;
                    producer.mark(self.mark(table.next_block))?;
                    producer.commit()?;
                    marked = Instant::now();
                }
                continue;
            }
            if delivery.is_none() {
                let (begun, mark) = self.connect(&messages, guarantee)?;
                delivery = Some(begun);
                if let Some(mark) = mark {
                    self.forget_delivered(table, mark)?;
                    // What is left of them is looked at on the new state.
                    seen = 0;
                    continue;
                }
            }
            if let Some(delivery) = &delivery {
                self.deliver(&state, table, &messages, delivery)?;
                marked = Instant::now();
                seen = 0;
            }
        }
        Ok(())
    }

    fn connect(
        &self,
        messages: &Messages,
        guarantee: DeliveryGuarantee,
    ) -> Result<(Delivery, Option<DeliveryMark>)> {
        let definition = &self.table.definition;
        let client_id = format!("pumphouse-output-{}", definition.full_name());
        if guarantee == DeliveryGuarantee::AtLeastOnce {
            let config = super::super::client_properties::producer(&messages.settings, &client_id);
            return Ok((Delivery::AtLeastOnce(Box::new(Sending::create(&config)?)), None));
        }
        let id = format!("{}-output-{}", messages.settings.group_name, definition.uuid);
        let (producer, mark) = Transactional::begin(messages, &id, &client_id)?;
        Ok((Delivery::ExactlyOnce(Box::new(producer)), mark))
    }

    /// Removes what the marker says was delivered.
    fn forget_delivered(&self, table: &Table, mark: DeliveryMark) -> Result<()> {
        let done: Vec<&Arc<PartMeta>> =
            table.parts.iter().filter(|p| mark.covers(p.min_block, p.created_us)).collect();
        if done.is_empty() {
            return Ok(());
        }
        let rows: u64 = done.iter().map(|p| p.rows).sum();
        self.event("delivered before", &format!("{rows} rows had reached the topic before"));
        self.remove(&done)
    }

    fn deliver(
        &self,
        state: &Arc<State>,
        table: &Arc<Table>,
        messages: &Messages,
        delivery: &Delivery,
    ) -> Result<()> {
        let lot = lot(table);
        let rows: u64 = lot.iter().map(|p| p.rows).sum();
        self.status.lock().state = "delivering";
        match delivery {
            Delivery::AtLeastOnce(producer) => {
                self.send(state, table, &lot, messages, producer)?;
                producer.flush()?;
            }
            Delivery::ExactlyOnce(producer) => {
                producer.open()?;
                EXIT.step("begun");
                let next_block = lot.iter().map(|p| p.max_block + 1).max().unwrap_or(0);
                let sent = self
                    .send(state, table, &lot, messages, &producer.sending)
                    .and_then(|()| producer.sending.flush())
                    .and_then(|()| {
                        EXIT.step("sent");
                        producer.mark(self.mark(next_block))
                    });
                if let Err(e) = sent {
                    producer.abort();
                    return Err(e);
                }
                EXIT.step("marked");
                producer.commit()?;
                EXIT.step("committed");
            }
        }
        self.remove(&lot)?;
        EXIT.step("removed");
        let mut status = self.status.lock();
        status.state = "idle";
        status.delivered_rows += rows;
        status.transactions += 1;
        status.last_delivery_us = self.config.clock.now_us();
        status.next_retry_us = 0;
        Ok(())
    }

    fn mark(&self, next_block: u64) -> DeliveryMark {
        DeliveryMark { next_block, time_us: self.config.clock.now_us() }
    }

    /// Reads the parts piece by piece and hands their messages to the client.
    fn send(
        &self,
        state: &Arc<State>,
        table: &Arc<Table>,
        lot: &[&Arc<PartMeta>],
        messages: &Messages,
        producer: &Sending,
    ) -> Result<()> {
        let columns: Vec<String> =
            stored_schema(&table.definition).into_iter().map(|(name, _)| name).collect();
        for part in lot {
            let mut alone = (**table).clone();
            alone.parts = vec![(*part).clone()];
            let alone = Arc::new(alone);
            let scan = scan::open(&self.config.store, state.clone(), &alone, &columns, &[])?;
            for morsel in 0..scan.morsel_count() {
                let block = scan.read(morsel, &columns, None)?;
                messages.each(&block, &mut |m| producer.send(&messages.topic, m))?;
            }
        }
        Ok(())
    }

    fn remove(&self, parts: &[&Arc<PartMeta>]) -> Result<()> {
        let table = self.table.definition.uuid;
        let ids = parts.iter().map(|p| p.id).collect();
        let commit = Commit {
            preconditions: vec![Precondition::PartsLive { table, parts: ids }],
            edits: parts.iter().map(|p| Edit::RemovePart { table, part: p.id }).collect(),
        };
        self.config.store.commit(commit, vec![]).map_err(Error::from)?;
        Ok(())
    }

    fn failed(&self, error: &str, delay: Duration) {
        let now_us = self.config.clock.now_us();
        let is_news = self.status.lock().last_error != error;
        if is_news {
            self.event("failed", &format!("cannot deliver to Kafka: {error}"));
        }
        let mut status = self.status.lock();
        status.state = "backing off";
        status.last_error = error.to_string();
        status.next_retry_us = now_us + delay.as_micros() as u64;
    }

    fn event(&self, kind: &'static str, text: &str) {
        let definition = &self.table.definition;
        self.config.events.tell(self.config.clock.now_us(), definition, kind, text);
    }
}

/// The oldest parts, as many as go into one transaction.
fn lot(table: &Table) -> Vec<&Arc<PartMeta>> {
    let mut rows = 0;
    table
        .parts
        .iter()
        .take_while(|part| {
            let first = rows == 0;
            rows += part.rows;
            first || rows <= LOT_ROWS_MAX
        })
        .collect()
}
