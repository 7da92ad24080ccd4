//! Consumers to which nothing comes rest: they keep their place in the group and give up their client.
//!
//! A client of librdkafka wakes some ten times a second even when nothing happens; a hundred of them are a
//! tenth of a core. After `kafka_consumers_pool_ttl_ms` without a message a consumer hands its positions to the
//! lookout of its cluster (`lookout`) and waits without any client. Its place in the group is held by its
//! instance id and a long session (a lease, renewed in time), so waking up needs no rebalance: the first message
//! costs one connection and one join, about a tenth of a second.
//!
//! Rules: only a consumer whose table has its group to itself rests (another member must be able to get its
//! partitions at once), and another member that comes wakes it; whatever cannot be held or asked ends the rest.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::consumer::ConsumerThread;
use super::lookout::{GroupSize, RestingPlace};
use super::positions::is_waiting;
use super::session::Session;
use super::settings::Assignment;
use super::status::ConsumerState;

/// How long the broker keeps a resting consumer's place.
const LEASE: Duration = Duration::from_secs(300);
/// When the lease is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(240);
/// How long joining for a lease may take.
const JOIN_WAIT: Duration = Duration::from_secs(10);
/// How long a consumer that ends while it rests tries to leave its group.
const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// When a group that had other members is looked at again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// When a consumer whose place could not be held tries again.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(600);

impl Session<'_> {
    /// What is to be watched if the consumer may rest now; None if it may not.
    pub(super) fn may_rest(&mut self) -> Option<Vec<RestingPlace>> {
        let ttl = self.thread.plan.settings.consumers_pool_ttl;
        let quiet = self.last_message.unwrap_or(self.began).elapsed();
        if self.thread.once
            || quiet < ttl
            || Instant::now() < self.rest_from
            || self.places.is_empty()
        {
            return None;
        }
        let busy = self.places.iter().any(is_waiting)
            || self.marker.is_watching()
            || self.client.has_changes()
            || self.generation != self.thread.shared.generation();
        if busy || !self.client.may_come_back(self.thread.group_size()) {
            self.rest_from = Instant::now() + if busy { quiet.min(ttl) } else { ASK_AGAIN };
            return None;
        }
        let place = |p: &super::positions::Place| RestingPlace {
            topic: p.topic.clone(),
            kafka_partition: p.kafka_partition,
            next: p.next,
        };
        let places = self.places.iter().map(place).collect();
        self.advise();
        self.marker.clear();
        Some(places)
    }
}

impl ConsumerThread {
    /// The group and how many members it has when it is the table's alone; None without a group.
    pub(super) fn group_size(&self) -> Option<GroupSize> {
        let settings = &self.plan.settings;
        let grouped = settings.assignment == Assignment::Group;
        grouped.then(|| (settings.group_name.clone(), settings.num_consumers))
    }

    /// Waits without a client. False: the place in the group cannot be held.
    pub(super) fn rest(&self, places: &[RestingPlace]) -> bool {
        let group = self.group_size();
        if group.is_some() && !self.hold_place(places) {
            return false;
        }
        let generation = self.shared.generation();
        let config = self.consumer_config();
        let watching =
            self.lookouts.watch(&config, places.to_vec(), group.clone(), self.signal.clone());
        let watching = match watching {
            Ok(watching) => watching,
            Err(e) => {
                tracing::warn!("no thread for a lookout: {e}");
                return false;
            }
        };
        self.shared.recovered(ConsumerState::Resting);
        let mut renew_at = Instant::now() + RENEW_AFTER;
        loop {
            let news = self.signal.news();
            if self.signal.stopped() {
                drop(watching);
                if group.is_some() {
                    self.give_place_up();
                }
                return true;
            }
            if let Some(why) = watching.rung() {
                tracing::debug!(table = %self.plan.table.definition.full_name(), "wakes: {why}");
                return true;
            }
            if generation != self.shared.generation() {
                return true;
            }
            let left = renew_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if group.is_some() && !self.hold_place(places) {
                    return false;
                }
                renew_at = Instant::now() + RENEW_AFTER;
                continue;
            }
            self.signal.wait_past(news, left);
        }
    }

    /// Takes or renews the lease; whether the group gives the same partitions as before.
    fn hold_place(&self, places: &[RestingPlace]) -> bool {
        let Some((_client, mut given)) = self.join_for(LEASE, JOIN_WAIT) else { return false };
        let mut held: Vec<(String, i32)> =
            places.iter().map(|p| (p.topic.to_string(), p.kafka_partition)).collect();
        given.sort();
        held.sort();
        given == held
    }

    /// Leaves the group, so that others get the partitions at once.
    fn give_place_up(&self) {
        let Some((client, _)) = self.join_for(Duration::from_secs(10), LEAVE_WAIT) else { return };
        client.unsubscribe();
        let until = Instant::now() + LEAVE_WAIT / 4;
        while Instant::now() < until && !*client.context().revoked.lock() {
            let _ = client.poll(Duration::from_millis(20));
        }
    }

    /// A client that has joined the group with a session of this length, and what it was given. Dropped, it
    /// leaves its place to whoever comes under the same instance id.
    fn join_for(
        &self,
        session: Duration,
        wait: Duration,
    ) -> Option<(BaseConsumer<Holder>, Vec<(String, i32)>)> {
        let mut config = self.consumer_config();
        config.set("session.timeout.ms", session.as_millis().to_string());
        config.set("max.poll.interval.ms", LEASE.as_millis().to_string());
        config.set("statistics.interval.ms", "0");
        let client: BaseConsumer<Holder> = config.create_with_context(Holder::default()).ok()?;
        let topics: Vec<&str> = self.plan.settings.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).ok()?;
        let until = Instant::now() + wait;
        while Instant::now() < until {
            let _ = client.poll(Duration::from_millis(50));
            let given = client.context().given.lock().take();
            if let Some(given) = given {
                return Some((client, given));
            }
        }
        None
    }

    fn consumer_config(&self) -> rdkafka::ClientConfig {
        super::client_properties::consumer(
            &self.plan.settings,
            &self.plan.client_id(self.number),
            &self.plan.instance_id(self.number),
        )
    }
}

/// Takes what the group gives and reads nothing of it.
#[derive(Default)]
struct Holder {
    given: Mutex<Option<Vec<(String, i32)>>>,
    revoked: Mutex<bool>,
}

impl ClientContext for Holder {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", "lease: {facility}: {message}");
    }
}

impl ConsumerContext for Holder {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        tpl: &mut TopicPartitionList,
    ) {
        let answered = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let elements = tpl.elements();
            let given = elements.iter().map(|e| (e.topic().to_string(), e.partition())).collect();
            *self.given.lock() = Some(given);
            consumer.assign(&TopicPartitionList::new())
        } else {
            *self.revoked.lock() = true;
            consumer.unassign()
        };
        if let Err(e) = answered {
            tracing::debug!("lease: {e}");
        }
    }
}

impl super::client::Client {
    /// Whether the place can be taken again without a rebalance, and nobody else waits for a share: the group has
    /// exactly the members of `size`. Without a group, always.
    fn may_come_back(&self, size: Option<GroupSize>) -> bool {
        let Some((group, members)) = size else { return true };
        let eager = matches!(self.consumer().rebalance_protocol(), RebalanceProtocol::Eager);
        eager && self.group_size(&group) == Some(members)
    }
}
