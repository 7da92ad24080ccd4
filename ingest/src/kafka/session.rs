//! One life of a consumer's client: its partitions, positions and the block being built.
//!
//! `step` is the loop's body: apply rebalances, give broken partitions another try (both in
//! `positions`), poll, flush. The client is served all the while.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use pumphouse_query::error::codes;
use pumphouse_storage::log::StreamPartition;

use super::client::{Batches, Client};
use super::consumer::ConsumerThread;
use super::in_flight::{Marker, test_fault, window};
use super::insert_step::Chunk;
use super::message::Polled;
use super::native::NativeMessage;
use super::parsers::{Parsers, Run, Totals, Trouble};
use super::positions::{Cause, Place, is_waiting};
use super::settings::{Assignment, ErrorMode};
use super::status::ConsumerState;
use super::virtual_columns::{Virtual, VirtualBuilder};
use super::watchdog::Watch;
use crate::block_builder::{BlockBuilder, BuilderOptions, FlushReason, IncomingMessage as _};
use crate::format::ParseError;

/// Blocks of one consumer that may be in flight: one inserting, one waiting.
const IN_FLIGHT_MAX: usize = 2;
/// After so long behind a full pipeline, partitions are paused so that polling can go on.
const STALL_BEFORE_PAUSE: Duration = Duration::from_secs(3);
/// How often statically assigned topics are looked at for new partitions.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);
/// How often the broker is told our offsets.
const ADVICE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the client's events are looked at while no message comes.
const EVENT_INTERVAL: Duration = Duration::from_millis(100);
/// Without messages for so long, a consumer needs no slot.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// Without messages for so long, it looks at the client's events less often: many tables are idle.
const QUIET_AFTER: Duration = Duration::from_secs(10);
const QUIET_INTERVAL: Duration = Duration::from_secs(1);
/// How often partitions are forwarded again to the batch queue.
const FORWARD_INTERVAL: Duration = Duration::from_secs(1);
/// A cycle that SYSTEM REFRESH asked for ends when nothing comes for so long, when no partition was given in
/// time, and after so long in any case.
const CYCLE_WAIT: Duration = Duration::from_secs(3);
const CYCLE_JOIN_WAIT: Duration = Duration::from_secs(15);
const CYCLE_MAX: Duration = Duration::from_secs(60);
/// After a batch with a message that stops its partition, for so long nothing is handed to other threads.
const ALONE_FOR: Duration = Duration::from_secs(5);
/// Threads that parse for one consumer where the table does not say.
const PARSING_THREADS_MAX: usize = 8;
/// How long a stop waits for the last block.
const FINISH_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Session<'a> {
    pub(super) thread: &'a ConsumerThread,
    /// Before the client's other uses end: it is dropped first.
    pub(super) batches: Option<Batches<'a>>,
    pub(super) client: &'a Client,
    pub(super) places: Vec<Place>,
    pub(super) last_place: usize,
    pub(super) builder: Parsers<NativeMessage>,
    pub(super) virtuals: Vec<Virtual>,
    pub(super) views_version: u64,
    pub(super) generation: u64,
    pub(super) flush_now: bool,
    pub(super) positions_in_doubt: bool,
    pub(super) paused_all: bool,
    pub(super) stalled_since: Option<Instant>,
    /// When the last message came; at first, when the session began.
    pub(super) last_message: Option<Instant>,
    pub(super) began: Instant,
    /// When it was given partitions last.
    pub(super) assigned: Option<Instant>,
    /// A block was handed over.
    pub(super) flushed: bool,
    /// It does not rest before.
    pub(super) rest_from: Instant,
    pub(super) next_discovery: Instant,
    pub(super) next_advice: Instant,
    pub(super) next_forward: Instant,
    pub(super) next_topic_check: Instant,
    pub(super) watch: Watch,
    pub(super) marker: Marker,
    /// What the status has counted.
    pub(super) noted: Totals,
    /// Until then nothing is handed to workers: a message is looked for that stops its partition.
    pub(super) alone_until: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        thread: &'a ConsumerThread,
        client: &'a Client,
    ) -> Result<Session<'a>, String> {
        // The version first: a view that comes in between is noticed later, by the other order never.
        let views_version = views_version(thread);
        let virtuals = thread.plan.wanted_virtuals();
        let builder = parsers(thread, &virtuals)?;
        let now = Instant::now();
        Ok(Session {
            thread,
            batches: client.batches(),
            client,
            places: vec![],
            last_place: 0,
            builder,
            virtuals,
            views_version,
            generation: thread.shared.generation(),
            flush_now: false,
            positions_in_doubt: false,
            paused_all: false,
            stalled_since: None,
            last_message: None,
            began: now,
            assigned: None,
            flushed: false,
            rest_from: now,
            next_discovery: now,
            next_advice: now,
            next_forward: now,
            next_topic_check: now,
            watch: Watch::new(now),
            marker: marker(thread),
            noted: Totals::default(),
            alone_until: None,
        })
    }

    /// Asks for partitions.
    pub(super) fn join(&mut self) -> Result<(), String> {
        self.thread.shared.recovered(ConsumerState::Joining);
        // What was held before a rest may be another's now.
        self.thread.shared.status.lock().assignments.clear();
        match self.thread.plan.settings.assignment {
            Assignment::Group => {
                let topics = &self.thread.plan.settings.topics;
                self.client.subscribe(topics).map_err(|e| e.to_string())
            }
            Assignment::Static => self.discover(),
        }
    }

    /// Takes partitions of our share that we do not have yet (static assignment).
    fn discover(&mut self) -> Result<(), String> {
        let settings = &self.thread.plan.settings;
        let mut new = vec![];
        for topic in &settings.topics {
            let ours = |p: &i32| settings.shard.is_none_or(|s| s.has(*p));
            let spread = xxhash_rust::xxh3::xxh3_64(topic.as_bytes()) as usize;
            for partition in self.client.partitions(topic)?.into_iter().filter(ours) {
                let share = spread.wrapping_add(partition as usize) % settings.num_consumers;
                let known = |p: &Place| *p.topic == **topic && p.kafka_partition == partition;
                if share == self.thread.number && !self.places.iter().any(known) {
                    new.push((topic.clone(), partition));
                }
            }
        }
        self.next_discovery = Instant::now() + DISCOVERY_INTERVAL;
        if new.is_empty() {
            return Ok(());
        }
        self.client.assign_more(&new).map_err(|e| e.to_string())
    }

    /// One round.
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.client.test_fatal();
        self.apply_changes()?;
        if self.generation != self.thread.shared.generation() {
            self.reposition()?;
        }
        if self.positions_in_doubt {
            self.check_positions()?;
        }
        if Instant::now() >= self.next_topic_check && !self.places.is_empty() {
            self.check_topics()?;
        }
        self.retry_blocked()?;
        self.watch()?;
        if self.thread.plan.settings.assignment == Assignment::Static
            && Instant::now() >= self.next_discovery
            && let Err(e) = self.discover()
        {
            self.next_discovery = Instant::now() + DISCOVERY_INTERVAL;
            self.thread.shared.status.lock().exception(self.thread.plan.clock.now_us(), e);
        }
        self.builder.keep_messages(self.thread.shared.careful.load(Ordering::Relaxed) > 0);
        if self.thread.shared.hurry.swap(false, Ordering::Relaxed) {
            self.flush_now = !self.builder.is_empty();
        }
        let cycle_is_full = self.thread.once && self.flushed;
        if cycle_is_full {
            self.thread.shared.wait_below(1, Duration::from_millis(50));
            self.poll_one(Duration::ZERO)?;
        } else if self.may_read_on() && self.make_room()? {
            self.poll()?;
        }
        self.flush_if_due()?;
        self.tell();
        Ok(())
    }

    /// Whether a consumer that takes one block only is done: it is in, or there was nothing for a while.
    pub(super) fn is_cycle_over(&self) -> bool {
        if !self.thread.once {
            return false;
        }
        let idle = self.builder.is_empty()
            && match self.last_message.or(self.assigned) {
                Some(since) => since.elapsed() > CYCLE_WAIT,
                None => self.began.elapsed() > CYCLE_JOIN_WAIT,
            };
        let nothing_runs = self.thread.shared.in_flight() == 0;
        nothing_runs && (self.flushed || idle || self.began.elapsed() > CYCLE_MAX)
    }

    /// Keeps the client alive without consuming: partitions are paused.
    pub(super) fn serve(&mut self) -> Result<(), String> {
        self.poll_one(Duration::ZERO)?;
        self.apply_changes()?;
        self.flush_if_due()
    }

    /// Polls and parses until the batch, the block or the time is used up.
    fn poll(&mut self) -> Result<(), String> {
        let timeout = if self.is_quiet() { QUIET_INTERVAL } else { self.poll_time() };
        match self.batches.take() {
            None => self.poll_one_by_one(timeout)?,
            Some(mut batches) => {
                let polled = self.poll_batches(&mut batches, timeout);
                self.batches = Some(batches);
                polled?;
            }
        }
        self.note_polled();
        Ok(())
    }

    fn poll_one_by_one(&mut self, mut timeout: Duration) -> Result<(), String> {
        for polled in 0..self.thread.plan.poll_messages_max {
            if !self.poll_one(timeout)? || self.flush_now {
                break;
            }
            timeout = Duration::ZERO;
            if polled % 64 == 63 && self.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn poll_batches(&mut self, batches: &mut Batches<'_>, timeout: Duration) -> Result<(), String> {
        if Instant::now() >= self.next_forward {
            self.client.forward(self.places.iter().map(|p| (&*p.topic, p.kafka_partition)));
            self.next_forward = Instant::now() + FORWARD_INTERVAL;
        }
        // Events come by the client's own queue, which is looked at between batches.
        let event_interval = if self.is_quiet() { QUIET_INTERVAL } else { EVENT_INTERVAL };
        let mut timeout = timeout.min(event_interval);
        let mut left = self.thread.plan.poll_messages_max;
        while left > 0 && !self.is_full() && !self.flush_now {
            self.poll_one(Duration::ZERO)?;
            if self.client.has_changes() {
                break;
            }
            if let Err(trouble) = self.builder.collect(false) {
                return self.trouble(trouble);
            }
            let alone = self.marker.is_alone();
            let beside = self.may_parse_beside();
            let rows_left = self.thread.rows_max().saturating_sub(self.builder.rows());
            let most = self.builder.batch_max(rows_left, self.thread.block_bytes(), beside);
            let taken = batches.queue.take(timeout, if alone { 1 } else { left.min(most) });
            let count = taken.len();
            if count == 0 {
                break;
            }
            if beside && self.builder.is_worth_handing_out(count) {
                self.hand_out(taken)?;
            } else {
                for message in taken.drain(..) {
                    match message.error() {
                        None => self.message(&message)?,
                        Some(error) => self.client_error(KafkaError::MessageConsumption(error))?,
                    }
                }
            }
            left = if alone { 0 } else { left.saturating_sub(count) };
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    /// Whether other threads may parse now: cores are free, and nothing has to be looked at message by message.
    fn may_parse_beside(&self) -> bool {
        let thread = self.thread;
        let free = thread.plan.settings.parsing_threads > 0 || thread.slots.held() < cores();
        free && self.builder.has_workers()
            && thread.shared.careful.load(Ordering::Relaxed) == 0
            && !self.marker.is_watching()
            && self.alone_until.is_none_or(|until| Instant::now() >= until)
            && self.places.iter().all(|p| p.blocked.is_none())
    }

    /// Has messages parsed by other threads.
    fn hand_out(&mut self, taken: &mut Vec<NativeMessage>) -> Result<(), String> {
        let mut runs: Vec<Run<NativeMessage>> = vec![];
        let mut first_ms = None;
        for message in taken.drain(..) {
            if let Some(error) = message.error() {
                self.client_error(KafkaError::MessageConsumption(error))?;
                continue;
            }
            let Some(at) = self.wanted(&message) else { continue };
            let offset = message.kafka_offset();
            if offset >= self.places[at].marked_to {
                self.watch_message(at, offset, &message)?;
            }
            let place = &mut self.places[at];
            place.next = Some(offset + 1);
            let (topic, stored) = (&place.topic, place.stored);
            let same = |r: &&mut Run<NativeMessage>| {
                r.kafka_partition == place.kafka_partition && Arc::ptr_eq(&r.topic, topic)
            };
            first_ms = first_ms.or_else(|| message.timestamp_ms());
            match runs.last_mut().filter(same) {
                Some(run) => run.messages.push(message),
                None => runs.push(Run {
                    topic: topic.clone(),
                    kafka_partition: place.kafka_partition,
                    stored,
                    messages: vec![message],
                }),
            }
        }
        if runs.is_empty() {
            return Ok(());
        }
        if self.builder.is_empty() {
            self.thread.shared.status.lock().uncommitted_ms.extend(first_ms);
        }
        self.last_message = Some(Instant::now());
        let now = self.thread.plan.clock.monotonic();
        let (thread, virtuals) = (self.thread, &self.virtuals);
        match self.builder.hand_out(runs, now, || new_builder(thread, virtuals)) {
            Ok(()) => Ok(()),
            Err(trouble) => self.trouble(trouble),
        }
    }

    /// A batch gave no block. If a message is to blame, all is read again on this thread, which stops at it.
    #[cold]
    fn trouble(&mut self, trouble: Trouble) -> Result<(), String> {
        match trouble {
            Trouble::Failed(error) => Err(error),
            Trouble::Broken => {
                self.alone_until = Some(Instant::now() + ALONE_FOR);
                self.reposition()
            }
        }
    }

    /// The place of a message that is to be consumed now.
    #[inline]
    fn wanted<M: Polled>(&mut self, message: &M) -> Option<usize> {
        let Some(at) = self.place_of(message) else {
            // Not ours any more, or not yet: make sure that nothing is missed.
            self.positions_in_doubt = true;
            return None;
        };
        let place = &self.places[at];
        // Will be read again after the seek, or was read already.
        let known = place.next.is_some_and(|next| message.kafka_offset() < next);
        (!is_waiting(place) && !known).then_some(at)
    }

    /// Whether there is nothing to do but to wait for a message.
    pub(super) fn is_idle(&self) -> bool {
        let empty = self.builder.is_empty() && self.thread.shared.in_flight() == 0;
        empty && !self.paused_all && self.last_message.is_none_or(|at| at.elapsed() > IDLE_AFTER)
    }

    fn is_quiet(&self) -> bool {
        self.is_idle()
            && !self.places.is_empty()
            && self.last_message.unwrap_or(self.began).elapsed() > QUIET_AFTER
            && !self.places.iter().any(is_waiting)
    }

    fn is_full(&self) -> bool {
        self.builder.rows() >= self.thread.rows_max()
            || self.builder.bytes() >= self.thread.block_bytes()
    }

    fn note_polled(&mut self) {
        let totals = self.builder.totals();
        let before = std::mem::replace(&mut self.noted, totals);
        if totals.messages != before.messages {
            self.last_message = Some(Instant::now());
        }
        let mut status = self.thread.shared.status.lock();
        status.last_poll_us = self.thread.plan.clock.now_us();
        status.messages += totals.messages - before.messages;
        status.rows += totals.rows - before.rows;
        status.bytes += totals.bytes - before.bytes;
        for place in &self.places {
            if let Some(a) = status.assignment(&place.topic, place.kafka_partition) {
                a.current_offset = place.next.unwrap_or(-1);
            }
        }
    }

    /// How long the next poll may wait: no longer than until the block is old enough.
    fn poll_time(&self) -> Duration {
        let mut time = self.thread.plan.poll_timeout.min(Duration::from_millis(500));
        for left in [self.time_to_flush(), self.time_to_settle()].into_iter().flatten() {
            time = time.min(left);
        }
        let retry = self.places.iter().filter(|p| is_waiting(p));
        let retry = retry.filter_map(|p| p.blocked.as_ref().map(|b| b.until)).min();
        match retry {
            Some(until) => time.min(until.saturating_duration_since(Instant::now())),
            None => time,
        }
    }

    /// Takes one message or event; false if there was no message.
    #[inline]
    fn poll_one(&mut self, timeout: Duration) -> Result<bool, String> {
        if self.client.has_changes() {
            return Ok(false);
        }
        match self.client.poll(timeout) {
            None => Ok(false),
            Some(Ok(message)) => self.message(&message).map(|()| true),
            Some(Err(e)) => self.client_error(e).map(|()| false),
        }
    }

    #[inline]
    fn message<M: Polled>(&mut self, message: &M) -> Result<(), String> {
        let Some(at) = self.wanted(message) else { return Ok(()) };
        let place = &self.places[at];
        let offset = message.kafka_offset();
        if (offset >= place.marked_to || self.marker.is_watching())
            && self.watch_message(at, offset, message)?
        {
            return Ok(());
        }
        test_fault(message.payload());
        let place = &mut self.places[at];
        // The clock is only asked for a block's first message.
        let first = self.builder.is_empty();
        let now = if first { self.thread.plan.clock.monotonic() } else { Duration::ZERO };
        let appended = self.builder.own().append(&place.topic, place.stored, message, now);
        match self.marker.is_alone() {
            true => self.flush_now = true,
            false => self.marker.acquit(),
        }
        match appended {
            Ok(()) => {
                if first {
                    let mut status = self.thread.shared.status.lock();
                    status.uncommitted_ms.extend(message.timestamp_ms());
                }
                place.next = Some(offset + 1);
                if place.blocked.is_some() {
                    self.unblocked(at);
                }
                Ok(())
            }
            Err(error) => self.broken_message(at, offset, error),
        }
    }

    /// Notes what is in work; true if the message is one that kills, and was set aside.
    #[cold]
    fn watch_message<M: Polled>(
        &mut self,
        at: usize,
        offset: i64,
        message: &M,
    ) -> Result<bool, String> {
        let place = &mut self.places[at];
        let (topic, partition) = (place.topic.clone(), place.kafka_partition);
        if offset >= place.marked_to {
            place.marked_to = offset + window(self.builder.messages());
            let stored = place.stored.unwrap_or(offset);
            self.marker.note(&topic, partition, stored, place.marked_to);
        }
        if !self.marker.is_condemned(&topic, partition, offset) {
            self.marker.name(&topic, partition, offset);
            return Ok(false);
        }
        let reason =
            "The server ended twice while it worked on this message; it is not looked into";
        if self.thread.plan.settings.error_mode == ErrorMode::Default {
            let error = ParseError { code: codes::ABORTED, message: reason.into() };
            return self.broken_message(at, offset, error).map(|()| true);
        }
        let now = self.thread.plan.clock.monotonic();
        self.builder.own().condemn(&topic, self.places[at].stored, message, reason.into(), now);
        self.places[at].next = Some(offset + 1);
        let now_us = self.thread.plan.clock.now_us();
        self.thread.shared.event(now_us, "dead letter", (&*topic, partition, offset), reason);
        Ok(true)
    }

    /// While suspects go through the views alone: whether the next may be read.
    fn may_read_on(&mut self) -> bool {
        if !self.marker.is_alone() {
            return true;
        }
        let free = self.thread.shared.wait_landed(Duration::from_millis(50));
        if free && self.builder.is_empty() {
            self.marker.acquit();
            if self.marker.take_alone() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Error mode `default`: what came before is committed, this partition waits.
    #[cold]
    fn broken_message(&mut self, at: usize, offset: i64, error: ParseError) -> Result<(), String> {
        self.flush_now = !self.builder.is_empty();
        let place = &self.places[at];
        let reason = format!(
            "Error while parsing Kafka message (topic: {}, partition: {}, offset: {offset}): {}",
            place.topic, place.kafka_partition, error.message
        );
        self.block(at, Cause::Message, Some(offset), &reason)
    }

    #[inline]
    fn place_of<M: Polled>(&mut self, message: &M) -> Option<usize> {
        let (topic_id, partition) = (message.topic_id(), message.kafka_partition());
        let same = |p: &Place| p.topic_id == topic_id && p.kafka_partition == partition;
        if self.places.get(self.last_place).is_some_and(same) {
            return Some(self.last_place);
        }
        let at = match self.places.iter().position(same) {
            Some(at) => at,
            None => {
                let named =
                    |p: &Place| p.kafka_partition == partition && message.topic_is(&p.topic);
                let at = self.places.iter().position(named)?;
                self.places[at].topic_id = topic_id;
                at
            }
        };
        self.last_place = at;
        Some(at)
    }

    fn client_error(&mut self, e: KafkaError) -> Result<(), String> {
        match e {
            KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(RDKafkaErrorCode::Fatal) => {
                let why = self.client.fatal_error().unwrap_or_else(|| e.to_string());
                return Err(format!("fatal, the client is made anew: {why}"));
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ) => self.positions_in_doubt = true,
            KafkaError::PartitionEOF(_) => {}
            // The client tells the reason itself (`Context::error`) and keeps trying.
            other => tracing::debug!("consumer: {other}"),
        }
        Ok(())
    }

    /// Time until the block is to be flushed by age; None while it is empty.
    fn time_to_flush(&self) -> Option<Duration> {
        let now = self.thread.plan.clock.monotonic();
        let age = self.builder.age(now)?;
        let interval = self.thread.plan.limits.age;
        if self.thread.plan.settings.thread_per_consumer {
            return Some(interval.saturating_sub(age));
        }
        // Consumers that share an insert flush at the same ticks of the clock.
        let began = now.saturating_sub(age);
        let tick = began.as_micros() / interval.as_micros() + 1;
        let due = Duration::from_micros((tick * interval.as_micros()) as u64);
        Some(due.saturating_sub(now))
    }

    fn flush_reason(&self) -> Option<FlushReason> {
        if self.builder.is_empty() {
            return None;
        }
        if self.is_full() || self.flush_now {
            return Some(FlushReason::Full);
        }
        let is_over = |left: Option<Duration>| left.is_some_and(|left| left.is_zero());
        let due = is_over(self.time_to_flush()) || is_over(self.time_to_settle());
        due.then_some(FlushReason::Age)
    }

    fn flush_if_due(&mut self) -> Result<(), String> {
        let in_flight = self.thread.shared.in_flight();
        match self.flush_reason() {
            // While an insert runs, the block may as well grow.
            Some(FlushReason::Age) if in_flight == 0 => self.flush(FlushReason::Age),
            Some(FlushReason::Full) if in_flight < IN_FLIGHT_MAX => self.flush(FlushReason::Full),
            _ => Ok(()),
        }
    }

    fn flush(&mut self, reason: FlushReason) -> Result<(), String> {
        if self.generation != self.thread.shared.generation() {
            return Ok(());
        }
        self.flush_now = false;
        let (before, built) = match self.builder.take() {
            Ok(blocks) => blocks,
            Err(trouble) => return self.trouble(trouble),
        };
        self.note_polled();
        for range in &built.offsets {
            let same = |p: &&mut Place| {
                p.topic == range.topic && p.kafka_partition == range.kafka_partition
            };
            if let Some(place) = self.places.iter_mut().find(same) {
                place.stored = Some(range.next);
            }
        }
        self.follow_views()?;
        let mut status = self.thread.shared.status.lock();
        status.skipped_messages += built.skipped;
        status.error_messages += built.broken;
        drop(status);
        self.flushed = true;
        self.thread.shared.take_off();
        let chunk = Chunk {
            shared: self.thread.shared.clone(),
            number: self.thread.number,
            generation: self.generation,
            before,
            built,
            reason,
            cut: false,
        };
        self.thread.out.try_send(chunk).map_err(|_| {
            self.thread.shared.land();
            "the insert step has ended".to_string()
        })
    }

    /// Between blocks: if views came or went, other virtual columns may be needed.
    fn follow_views(&mut self) -> Result<(), String> {
        let version = views_version(self.thread);
        if version != self.views_version {
            self.views_version = version;
            self.use_wanted_virtuals()?;
        }
        Ok(())
    }

    /// From now on blocks have the virtual columns that views want. The builder must be empty.
    pub(super) fn use_wanted_virtuals(&mut self) -> Result<(), String> {
        let wanted = self.thread.plan.wanted_virtuals();
        if wanted != self.virtuals {
            // The new one counts from 0.
            self.note_polled();
            self.builder = parsers(self.thread, &wanted)?;
            self.noted = Totals::default();
            self.virtuals = wanted;
        }
        Ok(())
    }

    /// Whether the block may grow. If not, waits a moment, and behind a long insert pauses the
    /// partitions so that the client is served all the while.
    fn make_room(&mut self) -> Result<bool, String> {
        let full = self.flush_reason() == Some(FlushReason::Full);
        if !full || self.thread.shared.in_flight() < IN_FLIGHT_MAX {
            if self.stalled_since.take().is_some() {
                self.resume_all()?;
            }
            return Ok(true);
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        self.thread.shared.wait_below(IN_FLIGHT_MAX, Duration::from_millis(50));
        if since.elapsed() > STALL_BEFORE_PAUSE {
            self.pause_all()?;
            self.poll_one(Duration::ZERO)?;
        }
        Ok(false)
    }

    /// Tells the broker, now and then, what is committed.
    fn tell(&mut self) {
        if Instant::now() >= self.next_advice {
            self.next_advice = Instant::now() + ADVICE_INTERVAL;
            self.advise();
        }
    }

    pub(super) fn advise(&self) {
        let mut offsets = std::mem::take(&mut *self.thread.shared.to_advise.lock());
        offsets.retain(|(topic, partition, _)| {
            self.places.iter().any(|p| *p.topic == **topic && p.kafka_partition == *partition)
        });
        self.client.advise(&offsets);
    }

    /// Clean stop: the last block is handed over and waited for, the broker told.
    pub(super) fn finish(&mut self) {
        let idle = self.thread.shared.in_flight() < IN_FLIGHT_MAX;
        if !self.builder.is_empty()
            && idle
            && let Err(e) = self.flush(FlushReason::Full)
        {
            tracing::debug!("the last block is abandoned: {e}");
        }
        if !self.thread.shared.wait_landed(FINISH_WAIT) {
            self.thread.shared.invalidate();
        }
        self.marker.clear();
        self.advise();
        if self.thread.plan.settings.assignment == Assignment::Group {
            self.client.leave_group();
        }
    }
}

/// What the last process had in work.
fn marker(thread: &ConsumerThread) -> Marker {
    let plan = &thread.plan;
    let table = plan.table.definition.uuid;
    let state = plan.store.snapshot();
    let offsets = state.tables.get(&table).map(|t| &t.offsets);
    let name = format!("{table}-{}", thread.number);
    Marker::open(plan.config.in_flight_folder.as_deref(), &name, |topic, kafka_partition| {
        let key = StreamPartition { topic: topic.to_string(), kafka_partition };
        offsets.and_then(|o| o.get(&key)).map(|o| o.next)
    })
}

fn views_version(thread: &ConsumerThread) -> u64 {
    let definition = &thread.plan.table.definition;
    thread.plan.store.snapshot().views_version(&definition.database, &definition.name)
}

fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// What blocks are built with: as many threads as the table asks for, this one among them.
fn parsers(
    thread: &ConsumerThread,
    virtuals: &[Virtual],
) -> Result<Parsers<NativeMessage>, String> {
    let settings = &thread.plan.settings;
    let threads = match settings.parsing_threads {
        0 => cores().min(PARSING_THREADS_MAX),
        own => own,
    };
    // Broken messages that a block may drop are counted in one place.
    let counts = settings.error_mode == ErrorMode::Default && settings.skip_broken_messages > 0;
    let workers = if counts { 0 } else { threads - 1 };
    Ok(Parsers::new(new_builder(thread, virtuals)?, workers))
}

fn new_builder(thread: &ConsumerThread, virtuals: &[Virtual]) -> Result<BlockBuilder, String> {
    let plan = &thread.plan;
    let reader = plan.reader().map_err(|e| e.to_string())?;
    let options = BuilderOptions {
        columns: plan.columns.clone(),
        virtuals: VirtualBuilder::new(virtuals.to_vec(), &plan.table.definition.name),
        error_mode: plan.settings.error_mode,
        skip_broken_messages: plan.settings.skip_broken_messages,
        skip_bytes: plan.settings.schema_registry_skip_bytes,
        format: plan.settings.format.clone(),
    };
    Ok(BlockBuilder::new(reader, options))
}
