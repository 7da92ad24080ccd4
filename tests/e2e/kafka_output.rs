//! Views that write to Kafka tables: topic to topic exactly once, whatever ends in between.
//!
//! The server is ended at every step of a delivery, and at random moments under load; what a consumer
//! with `read_committed` then finds in the output topic is every row once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Headers;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, eventually, free_port, from_environment, skipped};

const WAIT: Duration = Duration::from_secs(90);

/// One message as a careful reader sees it.
struct Read {
    key: String,
    payload: String,
    timestamp_ms: i64,
    headers: Vec<(String, String)>,
}

/// All committed messages of a topic.
fn read_committed(brokers: &str, topic: &str, partitions: i32) -> Vec<Read> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("log_level", "0")
        .create()
        .expect("a consumer");
    let mut assigned = TopicPartitionList::new();
    for partition in 0..partitions {
        assigned.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&assigned).expect("assigned");
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (mut ended, mut messages) = (0, vec![]);
    let until = Instant::now() + Duration::from_secs(60);
    while ended < partitions {
        assert!(Instant::now() < until, "the topic does not end");
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(e)) => panic!("{e}"),
            Some(Ok(m)) => messages.push(Read {
                key: text(m.key()),
                payload: text(m.payload()),
                timestamp_ms: m.timestamp().to_millis().unwrap_or(-1),
                headers: m.headers().map_or(vec![], |h| {
                    h.iter().map(|h| (h.key.to_string(), text(h.value))).collect()
                }),
            }),
        }
    }
    messages
}

/// How often each `id` is in the messages.
fn ids(messages: &[Read]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        let digits: String = message.payload.chars().filter(char::is_ascii_digit).collect();
        *counts.entry(digits.parse().expect("an id")).or_default() += 1;
    }
    counts
}

fn assert_each_once(counts: &BTreeMap<u64, usize>, sent: u64) {
    let doubled: Vec<_> = counts.iter().filter(|(_, n)| **n > 1).take(5).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let lost: Vec<u64> = (0..sent).filter(|id| !counts.contains_key(id)).take(5).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(counts.len() as u64, sent);
}

fn create(server: &Server, brokers: &str) {
    for sql in [
        format!(
            "CREATE TABLE src (id UInt64) ENGINE = Kafka('{brokers}', 'in', 'g', 'JSONEachRow') SETTINGS kafka_flush_interval_ms = 100"
        ),
        format!(
            "CREATE TABLE sink (id UInt64) ENGINE = Kafka('{brokers}', 'out', 'g', 'JSONEachRow') SETTINGS kafka_compression_codec = 'lz4'"
        ),
        "CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id".into(),
        "CREATE MATERIALIZED VIEW kept_mv TO kept AS SELECT id FROM src".into(),
        "CREATE MATERIALIZED VIEW sink_mv TO sink AS SELECT id FROM src".into(),
    ] {
        server.sql(&sql);
    }
}

fn send(brokers: &str, ids: std::ops::Range<u64>) {
    let producer = Producer::new(brokers);
    for id in ids {
        producer.send("in", (id % 2) as i32, Some(format!("{{\"id\":{id}}}").as_bytes()));
    }
    producer.finish();
}

const DELIVERED: &str =
    "SELECT (SELECT count() FROM kept), (SELECT sum(pending_rows) FROM system.kafka_outputs)";

#[test]
fn ended_at_every_step() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("ended_at_every_step", &why),
    };
    broker.create_topic("in", 2);
    broker.create_topic("out", 3);
    let folder = TestFolder::new("output-steps");
    let data = folder.0.join("data");
    let port = free_port();
    let server = Server::start_with(&data, port, &[]);
    create(&server, &broker.address());
    drop(server);
    let mut sent = 0;
    for step in
        ["begun:1", "sent:1", "marked:1", "committed:1", "removed:1", "sent:2", "committed:2"]
    {
        let mut server = Server::spawn(&data, port, &[("PUMPHOUSE_TEST_OUTPUT_EXIT", step)]);
        // Until it ends there is always something to deliver.
        let until = Instant::now() + WAIT;
        while !server.has_ended() {
            assert!(Instant::now() < until, "the step {step} is never reached");
            send(&broker.address(), sent..sent + 500);
            sent += 500;
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    let server = Server::start_with(&data, port, &[]);
    server.until(DELIVERED, &format!("{sent}\t0"), WAIT);
    assert_each_once(&ids(&read_committed(&broker.address(), "out", 3)), sent);
    let told = server.sql("SELECT guarantee, topic, last_error FROM system.kafka_outputs");
    assert_eq!(told, "exactly_once\tout\t");
}

#[test]
fn killed_at_random_moments_from_topic_to_topic() {
    let mut broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("killed_at_random_moments_from_topic_to_topic", &why),
    };
    let kills = from_environment("PUMPHOUSE_KILLS", 10);
    let mut random = Random::new(from_environment("PUMPHOUSE_SEED", 20_261_126));
    broker.create_topic("in", 2);
    broker.create_topic("out", 3);
    let folder = TestFolder::new("output-kills");
    let data = folder.0.join("data");
    let port = free_port();
    let mut server = Server::start_with(&data, port, &[]);
    create(&server, &broker.address());
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stop, brokers) = (stop.clone(), broker.address());
        std::thread::spawn(move || {
            let mut id = 0;
            while !stop.load(Ordering::Relaxed) {
                send(&brokers, id..id + 200);
                id += 200;
                std::thread::sleep(Duration::from_millis(50));
            }
            id
        })
    };
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_millis(200 + random.below(1500)));
        server.kill();
        if kill == kills / 2 {
            broker.restart();
        }
        server = Server::spawn(&data, port, &[]).wait_ready();
    }
    stop.store(true, Ordering::Relaxed);
    let sent = load.join().expect("the producer ends");
    server.until(DELIVERED, &format!("{sent}\t0"), WAIT);
    assert_each_once(&ids(&read_committed(&broker.address(), "out", 3)), sent);
    eprintln!("{kills} kills, {sent} messages from topic to topic: lost 0, doubled 0");
}

#[test]
fn heads_tokens_pauses_and_the_plain_guarantee() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("heads_tokens_pauses_and_the_plain_guarantee", &why),
    };
    let address = broker.address();
    for topic in ["heads", "tokens", "plain"] {
        broker.create_topic(topic, 1);
    }
    let server = Server::start("output-more");
    let kafka = |name: &str, columns: &str, more: &str| {
        server.sql(&format!(
            "CREATE TABLE {name} ({columns}) ENGINE = Kafka('{address}', '{name}', 'g', 'JSONEachRow') SETTINGS {more}"
        ));
    };
    let head = "id UInt64, _key String, _timestamp DateTime, `_headers.name` Array(String), `_headers.value` Array(String)";
    kafka(
        "heads",
        head,
        "kafka_map_virtual_columns_on_write = 1, kafka_compression_codec = 'zstd'",
    );
    kafka("tokens", "id UInt64", "kafka_max_rows_per_message = 1");
    kafka("plain", "id UInt64", "kafka_delivery_guarantee = 'at_least_once'");
    server.sql("CREATE TABLE source (id UInt64) ENGINE = Null");
    server.sql(
        "CREATE MATERIALIZED VIEW heads_mv TO heads AS SELECT id, concat('k', toString(id)) AS _key, \
         toDateTime(1700000000 + id) AS _timestamp, ['h'] AS `_headers.name`, [toString(id)] AS `_headers.value` FROM source",
    );
    server.sql("CREATE MATERIALIZED VIEW plain_mv TO plain AS SELECT id FROM source");
    server.sql("SYSTEM STOP heads");
    server.sql("INSERT INTO source SELECT number FROM numbers(1000)");
    server.until(
        "SELECT sum(pending_rows) FROM system.kafka_outputs WHERE table = 'plain'",
        "0",
        WAIT,
    );
    let paused =
        "SELECT state, pending_rows, guarantee FROM system.kafka_outputs WHERE table = 'heads'";
    assert_eq!(server.sql(paused), "paused\t1000\texactly_once");
    assert!(read_committed(&address, "heads", 1).is_empty());
    server.sql("SYSTEM START heads");
    server.until("SELECT sum(pending_rows) FROM system.kafka_outputs", "0", WAIT);
    let heads = read_committed(&address, "heads", 1);
    assert_each_once(&ids(&heads), 1000);
    let seventh = &heads[7];
    assert_eq!((seventh.key.as_str(), seventh.timestamp_ms), ("k7", 1_700_000_007_000));
    assert_eq!(seventh.headers, [("h".to_string(), "7".to_string())]);
    assert_eq!(seventh.payload.trim(), "{\"id\":7}");
    assert_each_once(&ids(&read_committed(&address, "plain", 1)), 1000);
    // An insert with a token is committed first: its repetition sends nothing.
    for _ in 0..3 {
        server.sql(
            "INSERT INTO tokens SELECT number FROM numbers(500) SETTINGS insert_deduplication_token = 'once'",
        );
    }
    let delivered = eventually("the insert is delivered", WAIT, || {
        let read = read_committed(&address, "tokens", 1);
        (read.len() >= 500).then_some(read)
    });
    assert_each_once(&ids(&delivered), 500);
    assert_eq!(server.error("SELECT * FROM heads").0, 620);
}
