//! One producer and the marker of what it has delivered.
//!
//! The marker is an offset of the consumer group `<group>-output-<table's uuid>` on partition 0 of the
//! output topic: the number of the next block to deliver, moved by the transaction that holds the
//! messages, so that both are there or neither is. A new producer of the same transactional id ends
//! whatever its predecessor left open before the marker is read.

use std::time::Duration;

use pumphouse_query::error::Result;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::client_properties;
use super::super::produce::{Messages, Sending, failed};
use super::super::secrets::error_text;

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long giving a transaction up may take; the next producer does it in any case.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What was delivered: all blocks below `next_block` that had been written by `time_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeliveryMark {
    pub(super) next_block: u64,
    /// When it was delivered. A block written later was not, whatever its number: the data directory is
    /// an older copy.
    pub(super) time_us: u64,
}

impl DeliveryMark {
    pub(super) fn covers(self, block: u64, created_us: u64) -> bool {
        block < self.next_block && created_us <= self.time_us
    }

    fn metadata(self) -> String {
        format!("delivered_us={}", self.time_us)
    }

    fn read(offset: i64, metadata: &str) -> DeliveryMark {
        let time = metadata.strip_prefix("delivered_us=").and_then(|t| t.parse().ok());
        DeliveryMark { next_block: offset.max(0) as u64, time_us: time.unwrap_or(u64::MAX) }
    }
}

/// A producer that sends each lot whole, exactly once.
pub(super) struct Transactional {
    // Dropped first: its transaction is to be over before the consumer goes.
    pub(super) sending: Sending,
    consumer: BaseConsumer,
    topic: String,
}

impl Transactional {
    /// Ends what a predecessor left open, and reads the marker. `id` names the table's output for ever.
    pub(super) fn begin(
        messages: &Messages,
        id: &str,
        client_id: &str,
    ) -> Result<(Transactional, Option<DeliveryMark>)> {
        let mut config = client_properties::producer(&messages.settings, client_id);
        config.set("transactional.id", id);
        config.set("enable.idempotence", "true");
        config.set("transaction.timeout.ms", "300000");
        let sending = Sending::create(&config)?;
        sending.0.init_transactions(BROKER_TIMEOUT).map_err(from_client)?;
        let consumer: BaseConsumer =
            marker_config(messages, id, client_id).create().map_err(|e| failed(&error_text(&e)))?;
        let topic = messages.topic.clone();
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&topic, 0);
        let held = consumer.committed_offsets(asked, BROKER_TIMEOUT).map_err(from_client)?;
        let mut mark = None;
        for element in held.elements() {
            element.error().map_err(from_client)?;
            if let Offset::Offset(offset) = element.offset() {
                mark = Some(DeliveryMark::read(offset, element.metadata()));
            }
        }
        Ok((Transactional { sending, consumer, topic }, mark))
    }

    pub(super) fn open(&self) -> Result<()> {
        self.sending.0.begin_transaction().map_err(from_client)
    }

    /// Moves the marker with the open transaction.
    pub(super) fn mark(&self, mark: DeliveryMark) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        let offset = Offset::Offset(mark.next_block as i64);
        offsets.add_partition_offset(&self.topic, 0, offset).map_err(from_client)?;
        if let Some(mut element) = offsets.find_partition(&self.topic, 0) {
            element.set_metadata(mark.metadata());
        }
        let group = self
            .consumer
            .group_metadata()
            .ok_or_else(|| failed("the client knows no consumer group"))?;
        self.sending
            .0
            .send_offsets_to_transaction(&offsets, &group, BROKER_TIMEOUT)
            .map_err(from_client)
    }

    /// All of it, or an error after which only the marker knows.
    pub(super) fn commit(&self) -> Result<()> {
        self.sending.0.commit_transaction(BROKER_TIMEOUT).map_err(from_client)
    }

    pub(super) fn abort(&self) {
        if let Err(e) = self.sending.0.abort_transaction(ABORT_TIMEOUT) {
            tracing::debug!("the transaction is left to the next producer: {e}");
        }
    }
}

fn marker_config(messages: &Messages, id: &str, client_id: &str) -> ClientConfig {
    let mut config = client_properties::consumer(&messages.settings, client_id, id);
    config.set("group.id", id);
    config.set("statistics.interval.ms", "0");
    config.remove("group.instance.id");
    config
}

fn from_client(e: KafkaError) -> pumphouse_query::error::Error {
    failed(&error_text(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_covers_what_was_delivered_then() {
        let mark = DeliveryMark { next_block: 7, time_us: 1000 };
        assert!(mark.covers(6, 900) && !mark.covers(7, 900));
        assert!(!mark.covers(6, 1001), "a block of an older copy of the data directory");
        assert_eq!(DeliveryMark::read(7, &mark.metadata()), mark);
        assert!(DeliveryMark::read(7, "").covers(6, 5000), "without a time the number decides");
    }
}
