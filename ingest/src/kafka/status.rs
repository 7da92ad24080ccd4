//! What consumers tell about themselves: the rows of `system.kafka_consumers`, and the shared state
//! between a consumer's thread and its insert step.
//!
//! Everything here is bounded: ten exceptions, one entry per assigned partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use super::events::{Events, KafkaEvent};

/// Exceptions kept per consumer.
pub const EXCEPTIONS_MAX: usize = 10;

/// One row of `system.kafka_consumers`. Times are microseconds since the epoch, 0 for never.
#[derive(Debug, Clone, Default)]
pub struct ConsumerStatus {
    pub database: String,
    pub table: String,
    pub table_uuid: Uuid,
    /// The client's id, with the consumer's number.
    pub consumer_id: String,
    pub assignments: Vec<AssignmentStatus>,
    /// The last [`EXCEPTIONS_MAX`], oldest first.
    pub exceptions: VecDeque<ExceptionEntry>,
    pub state: ConsumerState,
    /// Why it does not consume, if it does not.
    pub paused_reason: String,
    /// When it tries again after a failure.
    pub next_retry_us: u64,
    pub messages: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Messages dropped under `kafka_skip_broken_messages`.
    pub skipped_messages: u64,
    /// Messages turned into `_error` rows.
    pub error_messages: u64,
    /// Messages and rows that went to the dead letters.
    pub dead_letters: u64,
    /// Times of the first messages of the blocks that are not committed yet, oldest first.
    pub uncommitted_ms: VecDeque<i64>,
    /// Blocks committed, rows in them.
    pub blocks: u64,
    pub rows_committed: u64,
    pub last_poll_us: u64,
    pub last_commit_us: u64,
    pub last_rebalance_us: u64,
    pub rebalance_assignments: u64,
    pub rebalance_revocations: u64,
    /// An insert of its rows runs right now, since when.
    pub is_inserting: bool,
    pub insert_started_us: u64,
    /// Which thread inserts.
    pub insert_thread: String,
    /// librdkafka's statistics, as it gives them.
    pub rdkafka_stat: String,
}

/// One assigned partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignmentStatus {
    pub topic: String,
    pub kafka_partition: i32,
    /// The next offset to read; -1 before the first.
    pub current_offset: i64,
    /// The next offset after what is committed in our log; -1 if nothing is.
    pub committed_offset: i64,
    /// One past the last offset in the broker; -1 if not known yet.
    pub high_watermark: i64,
    /// Messages in the broker that are not committed here yet; -1 if not known.
    pub lag: i64,
    /// Why this partition stands still, if it does, and until when.
    pub paused_reason: String,
    pub next_retry_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionEntry {
    pub time_us: u64,
    pub text: String,
    /// How often in a row.
    pub times: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConsumerState {
    /// No view reads from the table, or its threads have not begun.
    #[default]
    Idle,
    /// Waiting for its turn in the pool.
    Queued,
    /// Waiting for partitions.
    Joining,
    Consuming,
    /// Nothing has come for a while: it has no client until something does.
    Resting,
    /// By the operator.
    Paused,
    /// A failure; tries again at `next_retry_us`.
    BackingOff,
    Stopped,
}

impl ConsumerState {
    pub fn name(self) -> &'static str {
        match self {
            ConsumerState::Idle => "idle",
            ConsumerState::Queued => "queued",
            ConsumerState::Joining => "joining",
            ConsumerState::Consuming => "consuming",
            ConsumerState::Resting => "resting",
            ConsumerState::Paused => "paused",
            ConsumerState::BackingOff => "backing off",
            ConsumerState::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for ConsumerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ConsumerStatus {
    /// Keeps `text`; the same text again only counts up.
    pub fn exception(&mut self, time_us: u64, text: impl Into<String>) {
        let text = text.into();
        if let Some(last) = self.exceptions.back_mut()
            && last.text == text
        {
            last.time_us = time_us;
            last.times += 1;
            return;
        }
        if self.exceptions.len() >= EXCEPTIONS_MAX {
            self.exceptions.pop_front();
        }
        self.exceptions.push_back(ExceptionEntry { time_us, text, times: 1 });
    }

    /// How long the oldest message in hand has existed, in seconds; 0 when all is committed.
    pub fn lag_seconds(&self, now_us: u64) -> i64 {
        let age = |ms: &i64| (now_us as i64 / 1000).saturating_sub(*ms).max(0) / 1000;
        self.uncommitted_ms.front().map_or(0, age)
    }

    pub(super) fn assignment(
        &mut self,
        topic: &str,
        kafka_partition: i32,
    ) -> Option<&mut AssignmentStatus> {
        self.assignments
            .iter_mut()
            .find(|a| a.topic == topic && a.kafka_partition == kafka_partition)
    }
}

/// What a consumer's thread, its client's callbacks and its insert step share.
pub(super) struct ConsumerShared {
    pub(super) status: Mutex<ConsumerStatus>,
    /// Chunks of another generation are void: they are dropped, and their offsets are read again.
    generation: AtomicU64,
    /// Chunks handed over and not yet committed or dropped.
    in_flight: Mutex<usize>,
    landed: Condvar,
    /// Block rows after memory ran short; `usize::MAX` when it did not.
    pub(super) rows_cap: AtomicUsize,
    /// Offsets committed in our log that the broker may be told.
    pub(super) to_advise: Mutex<Vec<(String, i32, i64)>>,
    /// What is in hand is to be committed now.
    pub(super) hurry: AtomicBool,
    /// Blocks that are still to be built small and with their messages kept.
    pub(super) careful: AtomicUsize,
    events: Arc<Events>,
}

impl ConsumerShared {
    pub(super) fn new(status: ConsumerStatus, events: Arc<Events>) -> ConsumerShared {
        ConsumerShared {
            status: Mutex::new(status),
            generation: AtomicU64::new(1),
            in_flight: Mutex::new(0),
            landed: Condvar::new(),
            rows_cap: AtomicUsize::new(usize::MAX),
            to_advise: Mutex::new(vec![]),
            careful: AtomicUsize::new(0),
            hurry: AtomicBool::new(false),
            events,
        }
    }

    /// Tells the story; topic, partition and offset ("" and -1 where none is meant) as `at`.
    pub(super) fn event(&self, time_us: u64, kind: &'static str, at: (&str, i32, i64), text: &str) {
        let status = self.status.lock();
        let (database, table) = (status.database.clone(), status.table.clone());
        let consumer_id = status.consumer_id.clone();
        drop(status);
        self.events.push(KafkaEvent {
            time_us,
            database,
            table,
            consumer_id,
            kind,
            topic: at.0.to_string(),
            kafka_partition: at.1,
            kafka_offset: at.2,
            text: text.to_string(),
        });
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Voids everything in flight and in the builder.
    pub(super) fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn take_off(&self) {
        *self.in_flight.lock() += 1;
    }

    pub(super) fn land(&self) {
        let mut in_flight = self.in_flight.lock();
        *in_flight = in_flight.saturating_sub(1);
        self.landed.notify_all();
    }

    pub(super) fn in_flight(&self) -> usize {
        *self.in_flight.lock()
    }

    /// Waits until nothing is in flight; false if that takes longer than `time`.
    pub(super) fn wait_landed(&self, time: Duration) -> bool {
        let end = std::time::Instant::now() + time;
        let mut in_flight = self.in_flight.lock();
        while *in_flight > 0 {
            if self.landed.wait_until(&mut in_flight, end).timed_out() {
                return *in_flight == 0;
            }
        }
        true
    }

    /// Waits until fewer than `count` are in flight, for `time` at most.
    pub(super) fn wait_below(&self, count: usize, time: Duration) {
        let mut in_flight = self.in_flight.lock();
        if *in_flight >= count {
            self.landed.wait_for(&mut in_flight, time);
        }
    }

    pub(super) fn fail(&self, now_us: u64, retry_us: u64, text: &str) {
        // The same again is no news.
        let known =
            |s: &ConsumerStatus| s.state == ConsumerState::BackingOff && s.paused_reason == text;
        if !known(&self.status.lock()) {
            self.event(now_us, "failed", ("", -1, -1), text);
        }
        let mut status = self.status.lock();
        status.exception(now_us, text);
        status.state = ConsumerState::BackingOff;
        status.paused_reason = text.to_string();
        status.next_retry_us = retry_us;
    }

    pub(super) fn recovered(&self, state: ConsumerState) {
        let mut status = self.status.lock();
        status.state = state;
        status.paused_reason.clear();
        status.next_retry_us = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_bounded_and_repeats_count() {
        let mut status = ConsumerStatus::default();
        for i in 0..25 {
            status.exception(i, format!("error {}", i / 2));
        }
        assert_eq!(status.exceptions.len(), EXCEPTIONS_MAX);
        let last = status.exceptions.back().unwrap();
        assert_eq!((last.text.as_str(), last.times), ("error 12", 1));
        assert_eq!(status.exceptions[8].times, 2);
    }
}
