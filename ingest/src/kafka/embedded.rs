//! An embedded broker: librdkafka's mock cluster, for the demo and for tests.
//!
//! It keeps about 5 MB or 100,000 batches per partition and forgets older ones; nothing is on disk.
//! A producer of its own writes to it. It lives as long as the value.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};

/// How long the broker waits for more members before it forms a group.
const GROUP_DELAY_MS: i32 = 100;

/// The broker.
pub struct EmbeddedBroker {
    producer: BaseProducer,
    servers: String,
}

/// One message to produce; `kafka_partition` None lets the key decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub kafka_partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub timestamp_ms: Option<i64>,
    pub headers: &'a [(&'a str, &'a str)],
}

impl EmbeddedBroker {
    /// Starts one broker on a free port of the loopback address, with these topics and their numbers
    /// of partitions.
    pub fn start(topics: &[(&str, i32)]) -> KafkaResult<EmbeddedBroker> {
        let broker = Self::with_properties(&[])?;
        topics
            .iter()
            .try_for_each(|(topic, partitions)| broker.create_topic(topic, *partitions))?;
        Ok(broker)
    }

    /// The same with further producer properties (`compression.codec`, …).
    pub fn with_properties(properties: &[(&str, &str)]) -> KafkaResult<EmbeddedBroker> {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Error);
        config.set("test.mock.num.brokers", "1");
        config.set("linger.ms", "2");
        config.set("queue.buffering.max.messages", "1000000");
        config.set("message.max.bytes", "16000000");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let producer: BaseProducer = config.create()?;
        let Some(cluster) = producer.client().mock_cluster() else {
            return Err(KafkaError::MockCluster(RDKafkaErrorCode::Fail));
        };
        let servers = cluster.bootstrap_servers();
        drop(cluster);
        super::native::set_mock_group_delay(producer.client().native_ptr(), GROUP_DELAY_MS);
        Ok(EmbeddedBroker { producer, servers })
    }

    /// For `kafka_broker_list`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) -> KafkaResult<()> {
        match self.producer.client().mock_cluster() {
            Some(cluster) => cluster.create_topic(topic, partitions, 1),
            None => Err(KafkaError::MockCluster(RDKafkaErrorCode::Fail)),
        }
    }

    /// Takes the broker off the network, or puts it back.
    pub fn set_reachable(&self, reachable: bool) -> KafkaResult<()> {
        match self.producer.client().mock_cluster() {
            Some(cluster) if reachable => cluster.broker_up(1),
            Some(cluster) => cluster.broker_down(1),
            None => Err(KafkaError::MockCluster(RDKafkaErrorCode::Fail)),
        }
    }

    /// Answers the next requests of a kind with these errors, one each.
    pub fn fail_requests(&self, kind: RDKafkaApiKey, errors: &[RDKafkaRespErr]) -> KafkaResult<()> {
        match self.producer.client().mock_cluster() {
            Some(cluster) => cluster.request_errors(kind, errors),
            None => return Err(KafkaError::MockCluster(RDKafkaErrorCode::Fail)),
        }
        Ok(())
    }

    /// Forgets the errors that were not met.
    pub fn pass_requests(&self, kind: RDKafkaApiKey) -> KafkaResult<()> {
        match self.producer.client().mock_cluster() {
            Some(cluster) => cluster.clear_request_errors(kind),
            None => return Err(KafkaError::MockCluster(RDKafkaErrorCode::Fail)),
        }
        Ok(())
    }

    /// Queues a message; waits while the producer's queue is full.
    pub fn produce(&self, record: &Record<'_>) -> KafkaResult<()> {
        loop {
            let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic);
            message.partition = record.kafka_partition;
            message.key = record.key;
            message.payload = record.payload;
            message.timestamp = record.timestamp_ms;
            if !record.headers.is_empty() {
                let headers =
                    record.headers.iter().fold(OwnedHeaders::new(), |h, (name, value)| {
                        h.insert(Header { key: name, value: Some(*value) })
                    });
                message.headers = Some(headers);
            }
            match self.producer.send(message) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// Waits until everything queued is in the broker.
    pub fn flush(&self) -> KafkaResult<()> {
        self.producer.flush(Duration::from_secs(30))
    }
}
