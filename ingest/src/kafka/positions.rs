//! Where a session's partitions stand: taking them over and giving them up, going back to what the
//! log holds, partitions whose position the broker does not have, and partitions that wait.
//!
//! A position only moves over messages that are in the builder or in flight; whenever something is
//! thrown away, positions become the log's again and the client seeks there. An offset that the
//! broker no longer has is never passed silently: the partition stops, or a gap is recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_storage::log::{Commit, Edit, Precondition, StreamPartition};

use super::backoff::Backoff;
use super::client::{Assigned, Change};
use super::session::Session;
use super::settings::OffsetGap;
use super::status::{AssignmentStatus, ConsumerState};
use crate::block_builder::OffsetRange;
use crate::insert::{advance, offset_equals};

/// One assigned partition.
pub(super) struct Place {
    pub(super) topic: Arc<str>,
    /// librdkafka's topic object, to recognize a message's topic without reading its name.
    pub(super) topic_id: usize,
    pub(super) kafka_partition: i32,
    /// What the log holds or will hold when all in flight is committed: where the next block begins.
    pub(super) stored: Option<i64>,
    /// Messages below are duplicates; None before the first.
    pub(super) next: Option<i64>,
    /// Messages below are noted as being in work.
    pub(super) marked_to: i64,
    pub(super) blocked: Option<Blocked>,
}

/// What a partition waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The message at its position cannot be parsed.
    Message,
    /// The broker does not have its position.
    Position,
    /// Its topic is not the one that was consumed.
    Topic,
}

/// Why a partition stands still.
pub(super) struct Blocked {
    pub(super) cause: Cause,
    pub(super) until: Instant,
    pub(super) wakes: u64,
    /// Where it stands; when it gets past, the delay starts anew.
    pub(super) at: Option<i64>,
    pub(super) backoff: Backoff,
    pub(super) waiting: bool,
}

impl Session<'_> {
    pub(super) fn apply_changes(&mut self) -> Result<(), String> {
        for change in self.client.take_changes() {
            match change {
                Change::Assigned(assigned) => self.take_over(assigned)?,
                Change::Revoked(revoked) => {
                    self.clear_builder()?;
                    let gone = |p: &Place| {
                        revoked.iter().any(|(t, n)| **t == *p.topic && *n == p.kafka_partition)
                    };
                    self.places.retain(|p| !gone(p));
                    let mut status = self.thread.shared.status.lock();
                    status.assignments.retain(|a| {
                        !revoked.iter().any(|(t, n)| *t == a.topic && *n == a.kafka_partition)
                    });
                    status.state = ConsumerState::Joining;
                    drop(status);
                    self.reposition()?;
                }
                Change::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn take_over(&mut self, assigned: Vec<Assigned>) -> Result<(), String> {
        let mut status = self.thread.shared.status.lock();
        for a in &assigned {
            status
                .assignments
                .retain(|s| s.topic != a.topic || s.kafka_partition != a.kafka_partition);
            status.assignments.push(AssignmentStatus::of(a));
            self.places.retain(|p| *p.topic != *a.topic || p.kafka_partition != a.kafka_partition);
            self.places.push(Place {
                topic: a.topic.as_str().into(),
                topic_id: 0,
                kafka_partition: a.kafka_partition,
                stored: a.stored,
                next: a.stored,
                marked_to: i64::MIN,
                blocked: None,
            });
        }
        status.state = ConsumerState::Consuming;
        status.paused_reason.clear();
        drop(status);
        self.next_forward = Instant::now();
        self.assigned = Some(self.next_forward);
        if self.paused_all {
            self.paused_all = false;
            self.pause_all()?;
        }
        // Before the first message is taken.
        self.check_topics()
    }

    pub(super) fn pause_all(&mut self) -> Result<(), String> {
        if !self.paused_all {
            let places = self.places.iter().map(|p| (&*p.topic, p.kafka_partition));
            self.client.pause(places).map_err(|e| e.to_string())?;
            self.paused_all = true;
        }
        Ok(())
    }

    pub(super) fn resume_all(&mut self) -> Result<(), String> {
        if self.paused_all {
            let running = self.places.iter().filter(|p| !is_waiting(p));
            let places = running.map(|p| (&*p.topic, p.kafka_partition));
            self.client.resume(places).map_err(|e| e.to_string())?;
            self.paused_all = false;
        }
        let mut status = self.thread.shared.status.lock();
        if status.state == ConsumerState::Queued {
            let joining = self.places.is_empty();
            status.state = if joining { ConsumerState::Joining } else { ConsumerState::Consuming };
        }
        Ok(())
    }

    /// Throws away what is not committed and reads again from the log's offsets.
    pub(super) fn reposition(&mut self) -> Result<(), String> {
        self.forget_uncommitted()?;
        let seeks: Vec<_> = self
            .places
            .iter()
            .filter(|p| !is_waiting(p))
            .map(|p| (&*p.topic, p.kafka_partition, p.stored))
            .collect();
        self.client.seek(&seeks).map_err(|e| format!("cannot seek: {e}"))
    }

    /// Voids builder and flight; positions become the log's.
    pub(super) fn forget_uncommitted(&mut self) -> Result<(), String> {
        self.clear_builder()?;
        // A block without them may be why.
        self.use_wanted_virtuals()?;
        self.thread.shared.invalidate();
        self.thread.signal.nudge();
        while !self.thread.shared.wait_landed(Duration::from_millis(200)) {
            if self.thread.signal.stopped() {
                return Ok(());
            }
        }
        self.generation = self.thread.shared.generation();
        let state = self.thread.plan.store.snapshot();
        let table = state.tables.get(&self.thread.plan.table.definition.uuid);
        for place in &mut self.places {
            let key = StreamPartition {
                topic: place.topic.to_string(),
                kafka_partition: place.kafka_partition,
            };
            place.stored = table.and_then(|t| t.offsets.get(&key)).map(|o| o.next);
            place.next = place.stored;
        }
        Ok(())
    }

    pub(super) fn clear_builder(&mut self) -> Result<(), String> {
        self.flush_now = false;
        self.thread.shared.status.lock().uncommitted_ms.clear();
        self.builder.clear().map_err(|e| e.to_string())
    }

    /// The broker had nothing at a position: finds which, and does what the policy says.
    pub(super) fn check_positions(&mut self) -> Result<(), String> {
        self.positions_in_doubt = false;
        self.forget_uncommitted()?;
        self.check_topics()?;
        (0..self.places.len()).try_for_each(|at| self.check_position(at))
    }

    /// One partition, of which nothing is in the builder or in flight.
    fn check_position(&mut self, at: usize) -> Result<(), String> {
        let (topic, partition) = (self.places[at].topic.clone(), self.places[at].kafka_partition);
        let (low, high) = self
            .client
            .watermarks(&topic, partition)
            .map_err(|e| format!("cannot ask for the offsets of {topic}[{partition}]: {e}"))?;
        match self.places[at].stored {
            Some(stored) if stored < low => self.behind_retention(at, stored, low),
            Some(stored) if stored > high => {
                let reason = format!(
                    "{topic}[{partition}] ends at offset {high}, but {stored} was already consumed: \
                     the topic was truncated or created anew. Create the Kafka table anew to read \
                     it from the start"
                );
                self.block(at, Cause::Position, Some(stored), &reason)
            }
            _ if is_waiting(&self.places[at]) => Ok(()),
            // The client has given the partition up; if it does not take the seek, it is made anew.
            stored => self
                .client
                .seek(&[(&*topic, partition, stored)])
                .map_err(|e| format!("cannot seek {topic}[{partition}]: {e}")),
        }
    }

    /// Offsets `stored..low` are gone from the broker.
    pub(super) fn behind_retention(
        &mut self,
        at: usize,
        stored: i64,
        low: i64,
    ) -> Result<(), String> {
        let place = &self.places[at];
        let (topic, partition) = (place.topic.clone(), place.kafka_partition);
        let reason = format!(
            "offsets {stored}..{low} of {topic}[{partition}] are gone from the broker (retention)"
        );
        if self.thread.plan.settings.offset_gap == OffsetGap::Stop {
            let reason = format!("{reason}; kafka_offset_gap = 'skip' would go on behind them");
            return self.block(at, Cause::Position, Some(stored), &reason);
        }
        let table = self.thread.plan.table.definition.uuid;
        let range = OffsetRange {
            topic: topic.clone(),
            kafka_partition: partition,
            expected: Some(stored),
            next: low,
            messages: 0,
        };
        let gap = Edit::Gap {
            table,
            topic: topic.to_string(),
            kafka_partition: partition,
            from: stored,
            to: low,
            reason: reason.clone(),
        };
        let now_us = self.thread.plan.clock.now_us();
        let commit = Commit {
            preconditions: vec![Precondition::TableExists { table }, offset_equals(table, &range)],
            edits: vec![gap, advance(table, &range, now_us)],
        };
        self.thread.plan.store.commit(commit, vec![]).map_err(|e| e.to_string())?;
        self.thread.shared.event(now_us, "gap", (&*topic, partition, stored), &reason);
        self.thread.shared.status.lock().exception(now_us, reason);
        self.places[at].stored = Some(low);
        self.places[at].next = Some(low);
        let seek = [(&*topic, partition, Some(low))];
        self.client.seek(&seek).map_err(|e| format!("cannot seek: {e}"))
    }

    /// Stops one partition for a while, visibly; the others go on.
    pub(super) fn block(
        &mut self,
        at: usize,
        cause: Cause,
        offset: Option<i64>,
        reason: &str,
    ) -> Result<(), String> {
        let first = self.thread.plan.settings.consumer_reschedule;
        let wakes = self.thread.signal.wakes();
        let place = &mut self.places[at];
        let mut backoff = match place.blocked.take() {
            Some(b) if b.at == offset => b.backoff,
            _ => Backoff::new(first),
        };
        let delay = backoff.next();
        place.blocked = Some(Blocked {
            cause,
            until: Instant::now() + delay,
            wakes,
            at: offset,
            backoff,
            waiting: true,
        });
        let one = std::iter::once((&*place.topic, place.kafka_partition));
        self.client.pause(one).map_err(|e| e.to_string())?;
        let now_us = self.thread.plan.clock.now_us();
        let retry_us = now_us + delay.as_micros() as u64;
        let kind = match cause {
            Cause::Message => "bad message",
            Cause::Position | Cause::Topic => "stopped",
        };
        let event_at = (&*place.topic, place.kafka_partition, offset.unwrap_or(-1));
        if self.thread.shared.status.lock().paused_reason != reason {
            self.thread.shared.event(now_us, kind, event_at, reason);
        }
        let mut status = self.thread.shared.status.lock();
        status.exception(now_us, reason);
        status.paused_reason = reason.to_string();
        status.next_retry_us = retry_us;
        if let Some(a) = status.assignment(&place.topic, place.kafka_partition) {
            a.paused_reason = reason.to_string();
            a.next_retry_us = retry_us;
        }
        Ok(())
    }

    /// Lets partitions whose delay is over try again.
    pub(super) fn retry_blocked(&mut self) -> Result<(), String> {
        let (now, wakes) = (Instant::now(), self.thread.signal.wakes());
        for at in 0..self.places.len() {
            let place = &self.places[at];
            let Some(blocked) = place.blocked.as_ref().filter(|b| b.waiting) else { continue };
            if now < blocked.until && wakes == blocked.wakes {
                continue;
            }
            match blocked.cause {
                Cause::Message => self.reread(at)?,
                Cause::Position | Cause::Topic => self.recheck(at)?,
            }
        }
        Ok(())
    }

    /// Looks again whether the broker has our position; if so, the partition goes on.
    fn recheck(&mut self, at: usize) -> Result<(), String> {
        if let Some(blocked) = self.places[at].blocked.as_mut() {
            blocked.waiting = false;
        }
        let topic = self.places[at].topic.clone();
        self.check_topic(&topic)?;
        if !is_waiting(&self.places[at]) {
            self.check_position(at)?;
        }
        if is_waiting(&self.places[at]) {
            return Ok(());
        }
        self.reread(at)
    }

    /// Reads on where the partition stood: the table or the topic may have changed.
    fn reread(&mut self, at: usize) -> Result<(), String> {
        let paused_all = self.paused_all;
        let place = &mut self.places[at];
        let Some(blocked) = place.blocked.as_mut() else { return Ok(()) };
        blocked.waiting = false;
        if !paused_all {
            let one = std::iter::once((&*place.topic, place.kafka_partition));
            self.client.resume(one).map_err(|e| e.to_string())?;
        }
        let seek = [(&*place.topic, place.kafka_partition, place.next.or(blocked.at))];
        self.client.seek(&seek).map_err(|e| format!("cannot seek: {e}"))
    }

    /// A partition got past what it stood at.
    #[cold]
    pub(super) fn unblocked(&mut self, at: usize) {
        let place = &mut self.places[at];
        place.blocked = None;
        let mut status = self.thread.shared.status.lock();
        if let Some(a) = status.assignment(&place.topic, place.kafka_partition) {
            a.paused_reason.clear();
            a.next_retry_us = 0;
        }
        if self.places.iter().all(|p| p.blocked.is_none()) {
            status.paused_reason.clear();
            status.next_retry_us = 0;
        }
    }
}

pub(super) fn is_waiting(place: &Place) -> bool {
    place.blocked.as_ref().is_some_and(|b| b.waiting)
}
