//! The thread of one consumer: polls, parses, and hands blocks to the insert step.
//!
//! It never waits for an insert while the client goes unserved: at most two of its blocks are in
//! flight, and when both are, it pauses its partitions and keeps polling. It alone touches the
//! client. What the insert step voids (`ConsumerShared::invalidate`) is read again from the log's
//! offset. Every failure ends in a visible, growing delay.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::backoff::{Backoff, Signal};
use super::client::{Client, Context};
use super::engine::paused_reason;
use super::insert_step::Chunk;
use super::lookout::{Lookouts, RestingPlace};
use super::plan::TablePlan;
use super::secrets::error_text;
use super::session::Session;
use super::slots::{Slot, Slots};
use super::status::{ConsumerShared, ConsumerState};

/// How long a consumer may hold its slot while others wait.
const TURN: Duration = Duration::from_secs(2);

/// Rows of a block whose messages are kept.
const CAREFUL_ROWS: usize = 8192;

/// How one life of a client ended, if it did not fail.
enum Ended {
    Stopped,
    /// Nothing comes; this is what it had.
    Quiet(Vec<RestingPlace>),
}

/// One consumer.
pub(super) struct ConsumerThread {
    pub(super) plan: Arc<TablePlan>,
    pub(super) number: usize,
    pub(super) shared: Arc<ConsumerShared>,
    pub(super) signal: Arc<Signal>,
    pub(super) slots: Arc<Slots>,
    pub(super) lookouts: Arc<Lookouts>,
    pub(super) out: Sender<Chunk>,
    /// It takes one block and ends.
    pub(super) once: bool,
}

impl ConsumerThread {
    /// Runs until the signal says stop. Sessions that fail are begun anew, later and later.
    pub(super) fn run(self) {
        let mut backoff = Backoff::new(self.plan.settings.consumer_reschedule);
        let mut rest_from = Instant::now();
        while !self.signal.stopped() {
            let began = Instant::now();
            let session = std::panic::AssertUnwindSafe(|| self.session(rest_from));
            let error = match std::panic::catch_unwind(session) {
                Ok(Ok(Ended::Stopped)) => break,
                Ok(Ok(Ended::Quiet(places))) => {
                    if !self.rest(&places) {
                        rest_from = Instant::now() + super::rest::TRY_AGAIN;
                    }
                    backoff.reset();
                    continue;
                }
                Ok(Err(error)) => error,
                Err(panic) => format!("the consumer panicked: {}", panic_text(&panic)),
            };
            self.shared.invalidate();
            if began.elapsed() > super::backoff::DELAY_MAX {
                backoff.reset();
            }
            let delay = backoff.next();
            let now_us = self.plan.clock.now_us();
            tracing::warn!(table = %self.plan.table.definition.full_name(), "consumer: {error}");
            self.shared.fail(now_us, now_us + delay.as_micros() as u64, &error);
            self.shared.status.lock().assignments.clear();
            if self.once {
                break;
            }
            self.signal.wait(delay);
        }
        let state = self.plan.store.snapshot();
        let table = state.tables.get(&self.plan.table.definition.uuid).filter(|t| t.paused);
        let mut status = self.shared.status.lock();
        status.assignments.clear();
        status.state = ConsumerState::Stopped;
        if let Some(table) = table {
            status.state = ConsumerState::Paused;
            status.paused_reason = paused_reason(table);
        }
    }

    /// One life of a client.
    fn session(&self, rest_from: Instant) -> Result<Ended, String> {
        let context = Context {
            store: self.plan.store.clone(),
            clock: self.plan.clock.clone(),
            table: self.plan.table.definition.uuid,
            start_at_latest: self.plan.settings.start_at_latest,
            start_timestamp_ms: self.plan.settings.start_timestamp_ms,
            shared: self.shared.clone(),
            changes: Mutex::new(vec![]),
            changed: Default::default(),
            forward_to: Default::default(),
        };
        let client_id = self.plan.client_id(self.number);
        let client = Client::new(
            &self.plan.settings,
            &client_id,
            &self.plan.instance_id(self.number),
            context,
            self.plan.config.polling,
        )
        .map_err(|e| format!("cannot create a Kafka client: {}", error_text(&e)))?;
        let mut session = Session::new(self, &client)?;
        session.rest_from = rest_from;
        session.join()?;
        let mut turn: Option<(Slot, Instant)> = None;
        while !self.signal.stopped() && !session.is_cycle_over() {
            // A table to which nothing comes leaves its slot to others.
            if session.is_idle() {
                turn = None;
                session.step()?;
                if session.is_idle()
                    && let Some(places) = session.may_rest()
                {
                    return Ok(Ended::Quiet(places));
                }
                continue;
            }
            if turn.as_ref().is_some_and(|(_, since)| since.elapsed() > TURN)
                && self.slots.contended()
            {
                turn = None;
                session.pause_all()?;
            }
            if turn.is_none() {
                let Some(slot) = self.wait_for_slot(&mut session)? else { break };
                turn = Some((slot, Instant::now()));
                session.resume_all()?;
            }
            session.step()?;
        }
        session.finish();
        Ok(Ended::Stopped)
    }

    /// Waits in line, keeping the client served; None on stop.
    fn wait_for_slot(&self, session: &mut Session<'_>) -> Result<Option<Slot>, String> {
        let ticket = self.slots.queue();
        let mut first = true;
        while !self.signal.stopped() {
            let wait = if first { Duration::ZERO } else { Duration::from_millis(100) };
            if let Some(slot) = ticket.try_take(wait) {
                return Ok(Some(slot));
            }
            if first {
                self.shared.status.lock().state = ConsumerState::Queued;
            }
            first = false;
            session.serve()?;
        }
        Ok(None)
    }

    /// Bytes a block may have now, beside the others at work.
    pub(super) fn block_bytes(&self) -> usize {
        super::plan::block_bytes(self.plan.config.memory_bytes, self.slots.held()) as usize
    }

    /// Rows a block may have now: the limit, or less while memory is short.
    pub(super) fn rows_max(&self) -> usize {
        let careful = self.shared.careful.load(Ordering::Relaxed) > 0;
        let careful_max = if careful { CAREFUL_ROWS } else { usize::MAX };
        let cap = self.shared.rows_cap.load(Ordering::Relaxed).min(careful_max);
        self.plan.limits.rows.min(cap).max(1)
    }
}

pub(crate) fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text.to_string(),
        (_, Some(text)) => text.clone(),
        _ => "no message".into(),
    }
}
