//! One librdkafka consumer: creation, assignment (by the group or by us), seeking, and what its
//! callbacks tell.
//!
//! Rules: a partition always starts at *our* stored offset. The broker's committed offset is used
//! once, when our log holds none, and is then written to the log before the first message is read.
//! `assign` is called exactly once per rebalance. Callbacks run inside `poll`, on the consumer's
//! thread; what they change is picked up by `take_changes`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use uuid::Uuid;

use pumphouse_storage::Store;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{Commit, Edit, Precondition, StreamPartition};

use super::client_properties::Counted;
use super::native::{BatchQueue, ForwardTo};
use super::settings::KafkaSettings;
use super::status::{AssignmentStatus, ConsumerShared, ConsumerState};
use super::watermarks;

/// How long a member that leaves its group serves the revocation.
const LEAVE_WAIT: Duration = Duration::from_millis(300);
/// How long a question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a revocation waits for the running insert.
const REVOKE_WAIT: Duration = Duration::from_secs(5);

/// A partition as assigned: where it starts and what our log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) topic: String,
    pub(super) kafka_partition: i32,
    pub(super) stored: Option<i64>,
}

/// What a rebalance did, in order.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(Vec<Assigned>),
    Revoked(Vec<(String, i32)>),
    /// The callback could not do its part; the client must be made anew.
    Failed(String),
}

/// What the callbacks know and leave behind.
pub(super) struct Context {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) table: Uuid,
    pub(super) start_at_latest: bool,
    pub(super) start_timestamp_ms: Option<i64>,
    pub(super) shared: Arc<ConsumerShared>,
    pub(super) changes: Mutex<Vec<Change>>,
    pub(super) changed: AtomicBool,
    pub(super) forward_to: ForwardTo,
}

/// How messages are taken from the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Polling {
    #[default]
    Batches,
    /// By the safe wrapper alone.
    OneByOne,
}

/// The consumer. Dropped, it leaves the group.
pub(super) struct Client {
    consumer: BaseConsumer<Context>,
    /// Whether there is a batch queue, held by the session's `Messages`.
    polling: Polling,
    _counted: Counted,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => {
                tracing::debug!(target: "librdkafka", "{facility}: {message}");
            }
            _ => tracing::info!(target: "librdkafka", "{facility}: {message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Some(seen) = watermarks::parse(statistics) else { return };
        let mut status = self.shared.status.lock();
        for mark in seen {
            if let Some(a) = status.assignment(&mark.topic, mark.kafka_partition) {
                a.high_watermark = mark.high;
                a.lag = watermarks::lag(a.committed_offset, mark.low, mark.high);
                // Behind the last message only markers of transactions are left.
                let all_taken = mark.next_fetch >= mark.high && mark.queued == 0;
                if all_taken && a.current_offset == a.committed_offset {
                    a.lag = 0;
                }
            }
        }
        status.rdkafka_stat = String::from_utf8_lossy(statistics).into_owned();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let text = if reason.is_empty() { error.to_string() } else { reason.to_string() };
        tracing::warn!(table = %self.table, "Kafka client: {text}");
        let mut status = self.shared.status.lock();
        // Says no more than the reason before it.
        let is_echo = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if is_echo && !status.exceptions.is_empty() {
            return;
        }
        status.exception(self.clock.now_us(), &text);
        if status.state == ConsumerState::Joining {
            status.paused_reason = text;
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        tpl: &mut TopicPartitionList,
    ) {
        let result = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, tpl),
            _ => self.revoke(consumer, tpl),
        };
        if let Err(e) = result {
            // The group waits for an answer, even for this one.
            if let Err(e) = consumer.unassign() {
                tracing::warn!(table = %self.table, "cannot unassign: {e}");
            }
            self.leave(Change::Failed(format!("rebalance: {e}")));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // Advice to the broker only; our log has the truth.
        if let Err(e) = result {
            tracing::debug!(table = %self.table, "the broker did not take our offsets: {e}");
        }
    }
}

impl Context {
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        tpl: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let assigned = self.place(consumer, tpl)?;
        self.forward(consumer, &assigned);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(tpl)?,
            _ => consumer.assign(tpl)?,
        }
        let mut status = self.shared.status.lock();
        status.last_rebalance_us = self.clock.now_us();
        status.rebalance_assignments += 1;
        drop(status);
        self.tell_of("assigned", &assigned);
        self.leave(Change::Assigned(assigned));
        Ok(())
    }

    fn tell_of(&self, kind: &'static str, assigned: &[Assigned]) {
        for a in assigned {
            let at = (a.topic.as_str(), a.kafka_partition, a.stored.unwrap_or(-1));
            let text = match a.stored {
                Some(offset) => format!("reads from offset {offset}"),
                None => "reads from the beginning".to_string(),
            };
            self.shared.event(self.clock.now_us(), kind, at, &text);
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, tpl: &TopicPartitionList) -> KafkaResult<()> {
        if !consumer.assignment_lost() {
            self.shared.wait_landed(REVOKE_WAIT);
        }
        self.shared.invalidate();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        if cooperative {
            consumer.incremental_unassign(tpl)?
        } else {
            consumer.unassign()?
        }
        let mut status = self.shared.status.lock();
        status.last_rebalance_us = self.clock.now_us();
        status.rebalance_revocations += 1;
        drop(status);
        for (topic, partition) in places_of(tpl) {
            let at = (topic.as_str(), partition, -1);
            self.shared.event(self.clock.now_us(), "revoked", at, "given up to the group");
        }
        self.leave(Change::Revoked(places_of(tpl)));
        Ok(())
    }

    fn forward(&self, consumer: &BaseConsumer<Self>, assigned: &[Assigned]) {
        let places = assigned.iter().map(|a| (a.topic.as_str(), a.kafka_partition));
        self.forward_to.forward(consumer.client().native_ptr(), places);
    }

    fn leave(&self, change: Change) {
        self.changes.lock().push(change);
        self.changed.store(true, Ordering::Release);
    }

    /// Sets the start offset of each partition of `tpl`.
    fn place(
        &self,
        consumer: &BaseConsumer<Self>,
        tpl: &mut TopicPartitionList,
    ) -> KafkaResult<Vec<Assigned>> {
        let state = self.store.snapshot();
        let offsets = state.tables.get(&self.table).map(|t| &t.offsets);
        let mut assigned = vec![];
        for (topic, kafka_partition) in places_of(tpl) {
            let key = StreamPartition { topic: topic.clone(), kafka_partition };
            let stored = offsets.and_then(|o| o.get(&key)).map(|o| o.next);
            assigned.push(Assigned { topic, kafka_partition, stored });
        }
        self.note_group(consumer, &assigned);
        self.first_starts(consumer, &mut assigned)?;
        for a in &assigned {
            let start = a.stored.map_or(Offset::Beginning, Offset::Offset);
            tpl.set_partition_offset(&a.topic, a.kafka_partition, start)?;
        }
        Ok(assigned)
    }

    /// What the group holds beyond our offsets was read by somebody else: another server or tool in it.
    /// We go on at our own, which is exactly once here and at least once over all; it is told.
    fn note_group(&self, consumer: &BaseConsumer<Self>, assigned: &[Assigned]) {
        let known = assigned.iter().filter(|a| a.stored.is_some());
        let asked = list(known.map(|a| (a.topic.as_str(), a.kafka_partition)));
        if asked.count() == 0 {
            return;
        }
        let Ok(committed) = consumer.committed_offsets(asked, BROKER_TIMEOUT) else { return };
        for a in assigned {
            let found = committed.find_partition(&a.topic, a.kafka_partition).map(|e| e.offset());
            let (Some(Offset::Offset(theirs)), Some(ours)) = (found, a.stored) else { continue };
            if theirs > ours {
                let text = format!(
                    "the group's offset is {theirs}, ours is {ours}: another member or tool has read \
                     in between. We go on at ours; over all servers this is at least once"
                );
                let at = (a.topic.as_str(), a.kafka_partition, ours);
                self.shared.event(self.clock.now_us(), "group ahead", at, &text);
            }
        }
    }

    /// Where partitions start of which our log holds nothing: the broker's committed offset, or the
    /// end if so set (both are written to the log first); else they stay None for the beginning.
    fn first_starts(
        &self,
        consumer: &BaseConsumer<Self>,
        assigned: &mut [Assigned],
    ) -> KafkaResult<()> {
        let new = assigned.iter().filter(|a| a.stored.is_none());
        let unknown = list(new.map(|a| (a.topic.as_str(), a.kafka_partition)));
        if unknown.count() == 0 {
            return Ok(());
        }
        let committed = consumer.committed_offsets(unknown, BROKER_TIMEOUT)?;
        for a in assigned.iter_mut().filter(|a| a.stored.is_none()) {
            let found = committed.find_partition(&a.topic, a.kafka_partition);
            a.stored = match found.map(|e| e.offset()) {
                _ if self.start_timestamp_ms.is_some() => {
                    let ms = self.start_timestamp_ms.unwrap_or_default();
                    match super::seek::at_time(consumer, &a.topic, a.kafka_partition, ms)? {
                        Some(offset) => Some(offset),
                        None => Some(
                            consumer
                                .fetch_watermarks(&a.topic, a.kafka_partition, BROKER_TIMEOUT)?
                                .1,
                        ),
                    }
                }
                Some(Offset::Offset(offset)) => Some(offset),
                _ if self.start_at_latest => {
                    let marks =
                        consumer.fetch_watermarks(&a.topic, a.kafka_partition, BROKER_TIMEOUT)?;
                    Some(marks.1)
                }
                _ => None,
            };
            if let Some(next) = a.stored {
                self.record_start(&a.topic, a.kafka_partition, next);
            }
        }
        Ok(())
    }

    fn record_start(&self, topic: &str, kafka_partition: i32, next: i64) {
        let commit = Commit {
            preconditions: vec![Precondition::OffsetEquals {
                table: self.table,
                topic: topic.to_string(),
                kafka_partition,
                expected: None,
            }],
            edits: vec![Edit::AdvanceOffset {
                table: self.table,
                topic: topic.to_string(),
                kafka_partition,
                next,
                wall_us: self.clock.now_us(),
            }],
        };
        // If it fails, the first block's compare-and-swap fails too and the start is looked up anew.
        if let Err(e) = self.store.commit(commit, vec![]) {
            tracing::warn!(table = %self.table, "cannot record the start of {topic}: {e}");
        }
    }
}

/// A client's batch queue.
pub(super) struct Batches<'c> {
    pub(super) queue: BatchQueue,
    client: &'c Client,
}

impl Drop for Batches<'_> {
    fn drop(&mut self) {
        self.client.consumer.context().forward_to.clear();
    }
}

fn places_of(tpl: &TopicPartitionList) -> Vec<(String, i32)> {
    tpl.elements().iter().map(|e| (e.topic().to_string(), e.partition())).collect()
}

fn list<'a>(places: impl Iterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut tpl = TopicPartitionList::new();
    places.for_each(|(topic, partition)| {
        tpl.add_partition(topic, partition);
    });
    tpl
}

impl Client {
    pub(super) fn new(
        settings: &KafkaSettings,
        client_id: &str,
        instance_id: &str,
        context: Context,
        polling: Polling,
    ) -> KafkaResult<Client> {
        let config = super::client_properties::consumer(settings, client_id, instance_id);
        let counted = Counted::new();
        Ok(Client { consumer: config.create_with_context(context)?, polling, _counted: counted })
    }

    /// The queue that batches come from, if messages come in batches. Must be dropped before the
    /// client, which `Batches` sees to.
    pub(super) fn batches(&self) -> Option<Batches<'_>> {
        if self.polling == Polling::OneByOne {
            return None;
        }
        let queue = BatchQueue::new(self.consumer.client().native_ptr());
        queue.forward_to(&self.consumer.context().forward_to);
        Some(Batches { queue, client: self })
    }

    /// Forwards partitions (again) to the batch queue; needed now and then because librdkafka forgets
    /// it when it stops fetching.
    pub(super) fn forward<'a>(&self, places: impl Iterator<Item = (&'a str, i32)>) {
        self.consumer.context().forward_to.forward(self.consumer.client().native_ptr(), places);
    }

    /// Joins the group for these topics.
    pub(super) fn subscribe(&self, topics: &[String]) -> KafkaResult<()> {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics)
    }

    /// Leaves the group, so that other members get the partitions at once. A member with an instance id
    /// stays in it when its client just ends; only an unsubscription that is carried out ends it.
    pub(super) fn leave_group(&self) {
        self.consumer.unsubscribe();
        let until = Instant::now() + LEAVE_WAIT;
        while Instant::now() < until {
            // Serves the revocation; messages that still come are read again by whoever is next.
            let _ = self.consumer.poll(Duration::from_millis(20));
        }
    }

    /// Takes these partitions in addition, without a group.
    pub(super) fn assign_more(&self, places: &[(String, i32)]) -> KafkaResult<()> {
        let mut tpl = list(places.iter().map(|(t, p)| (t.as_str(), *p)));
        let context = self.consumer.context();
        let assigned = context.place(&self.consumer, &mut tpl)?;
        context.forward(&self.consumer, &assigned);
        self.consumer.incremental_assign(&tpl)?;
        context.tell_of("assigned", &assigned);
        context.leave(Change::Assigned(assigned));
        Ok(())
    }

    pub(super) fn poll(&self, timeout: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.poll(timeout)
    }

    /// What rebalances did since the last call.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        let context = self.consumer.context();
        if !context.changed.swap(false, Ordering::AcqRel) {
            return vec![];
        }
        std::mem::take(&mut *context.changes.lock())
    }

    pub(super) fn has_changes(&self) -> bool {
        self.consumer.context().changed.load(Ordering::Acquire)
    }

    /// Reads on from `offset` (None: from the beginning). Partitions must be assigned.
    pub(super) fn seek(&self, places: &[(&str, i32, Option<i64>)]) -> KafkaResult<()> {
        if places.is_empty() {
            return Ok(());
        }
        let mut tpl = TopicPartitionList::new();
        for (topic, partition, offset) in places {
            let offset = offset.map_or(Offset::Beginning, Offset::Offset);
            tpl.add_partition_offset(topic, *partition, offset)?;
        }
        let result = self.consumer.seek_partitions(tpl, BROKER_TIMEOUT)?;
        for element in result.elements() {
            element.error()?;
        }
        Ok(())
    }

    pub(super) fn pause<'a>(
        &self,
        places: impl Iterator<Item = (&'a str, i32)>,
    ) -> KafkaResult<()> {
        self.consumer.pause(&list(places))
    }

    pub(super) fn resume<'a>(
        &self,
        places: impl Iterator<Item = (&'a str, i32)>,
    ) -> KafkaResult<()> {
        self.consumer.resume(&list(places))
    }

    /// The broker's first and one-past-last offset.
    pub(super) fn watermarks(&self, topic: &str, kafka_partition: i32) -> KafkaResult<(i64, i64)> {
        self.consumer.fetch_watermarks(topic, kafka_partition, BROKER_TIMEOUT)
    }

    /// One past the partition's last offset, as the broker said when messages were fetched last; it is not asked.
    pub(super) fn known_end(&self, topic: &str, kafka_partition: i32) -> Option<i64> {
        super::native::known_end(self.consumer.client().native_ptr(), topic, kafka_partition)
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Context> {
        &self.consumer
    }

    /// How many members the group has; None if it is not settled or cannot be asked.
    pub(super) fn group_size(&self, group: &str) -> Option<usize> {
        let client = self.consumer.client().native_ptr();
        super::native_admin::group_sizes(client, &[group], BROKER_TIMEOUT).remove(group)
    }

    /// Why the client will not work again; None while it may.
    pub(super) fn fatal_error(&self) -> Option<String> {
        let (code, reason) = self.consumer.client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }

    /// `PUMPHOUSE_TEST_KAFKA_FATAL` is a file: when it is there it is removed, and the client fails for good.
    pub(super) fn test_fatal(&self) {
        static FILE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let file = FILE.get_or_init(|| std::env::var("PUMPHOUSE_TEST_KAFKA_FATAL").ok());
        if let Some(file) = file
            && std::fs::remove_file(file).is_ok()
        {
            super::native_admin::fail_for_test(self.consumer.client().native_ptr());
        }
    }

    /// The broker's id of a topic; None if it does not tell.
    pub(super) fn topic_id(&self, topic: &str) -> Option<Uuid> {
        super::native_admin::topic_id(self.consumer.client().native_ptr(), topic, BROKER_TIMEOUT)
    }

    /// Partition numbers of a topic; an error if the broker does not know it.
    pub(super) fn partitions(&self, topic: &str) -> Result<Vec<i32>, String> {
        let metadata =
            self.consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT).map_err(|e| e.to_string())?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(format!("topic '{topic}' does not exist"));
        };
        if let Some(e) = found.error() {
            let e: rdkafka::types::RDKafkaErrorCode = e.into();
            return Err(format!("topic '{topic}': {e}"));
        }
        Ok(found.partitions().iter().map(|p| p.id()).collect())
    }

    /// Tells the broker what is committed here, for tools that watch its offsets.
    pub(super) fn advise(&self, offsets: &[(String, i32, i64)]) {
        let mut tpl = TopicPartitionList::new();
        for (topic, partition, next) in offsets {
            if let Err(e) = tpl.add_partition_offset(topic, *partition, Offset::Offset(*next)) {
                tracing::debug!("cannot advise the broker of {topic}[{partition}]: {e}");
            }
        }
        if tpl.count() > 0
            && let Err(e) = self.consumer.commit(&tpl, CommitMode::Async)
        {
            tracing::debug!("cannot advise the broker: {e}");
        }
    }
}

impl AssignmentStatus {
    pub(super) fn of(assigned: &Assigned) -> AssignmentStatus {
        AssignmentStatus {
            topic: assigned.topic.clone(),
            kafka_partition: assigned.kafka_partition,
            current_offset: assigned.stored.unwrap_or(-1),
            committed_offset: assigned.stored.unwrap_or(-1),
            high_watermark: -1,
            lag: -1,
            ..AssignmentStatus::default()
        }
    }
}
