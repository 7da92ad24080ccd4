//! kill -9 at random moments under load, with broker restarts and a second group member: nothing is
//! lost, nothing doubled, and a reader always finds the tables in agreement.
//!
//! `PUMPHOUSE_KILLS` sets how many kills (default 15), `PUMPHOUSE_SEED` the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::harness::http;
use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, free_port, from_environment, skipped};

const PARTITIONS: u64 = 4;
/// A broker restart comes after every so many kills.
const KILLS_PER_RESTART: u64 = 20;

/// What agrees in every snapshot: raw rows, the aggregate's count, the filter's rows, the cascade's.
const AGREEMENT: &str = "SELECT (SELECT count() FROM raw) = (SELECT sum(n) FROM per_bucket) \
     AND (SELECT count() FROM evens) = (SELECT sum(n) FROM evens_per_bucket) \
     AND (SELECT countIf(id % 2 = 0) FROM raw) = (SELECT count() FROM evens)";

fn create(server: &Server, brokers: &str) {
    for sql in [
        "CREATE TABLE raw (id UInt64, bucket UInt32, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id".to_string(),
        "CREATE TABLE per_bucket (bucket UInt32, n UInt64, s UInt64) ENGINE = MergeTree ORDER BY bucket".into(),
        "CREATE TABLE evens (id UInt64, bucket UInt32) ENGINE = MergeTree ORDER BY id".into(),
        "CREATE TABLE evens_per_bucket (bucket UInt32, n UInt64) ENGINE = MergeTree ORDER BY bucket".into(),
        format!(
            "CREATE TABLE queue (id UInt64, bucket UInt32) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
             kafka_topic_list = 'load', kafka_group_name = 'killed', kafka_format = 'JSONEachRow', \
             kafka_num_consumers = 2, kafka_thread_per_consumer = 1, kafka_flush_interval_ms = 100"
        ),
        "CREATE MATERIALIZED VIEW evens_bucket_mv TO evens_per_bucket AS SELECT bucket, count() AS n FROM evens GROUP BY bucket".into(),
        "CREATE MATERIALIZED VIEW evens_mv TO evens AS SELECT id, bucket FROM queue WHERE id % 2 = 0".into(),
        "CREATE MATERIALIZED VIEW bucket_mv TO per_bucket AS SELECT bucket, count() AS n, sum(id) AS s FROM queue GROUP BY bucket".into(),
        "CREATE MATERIALIZED VIEW raw_mv TO raw AS SELECT id, bucket, _partition AS p, _offset AS o FROM queue".into(),
    ] {
        server.sql(&sql);
    }
}

/// Produces steadily until told to stop; the number of messages acknowledged.
fn load(brokers: String, stop: Arc<AtomicBool>) -> u64 {
    let producer = Producer::new(&brokers);
    let mut id = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..200 {
            let payload = format!("{{\"id\":{id},\"bucket\":{}}}", id % 10);
            producer.send("load", (id % PARTITIONS) as i32, Some(payload.as_bytes()));
            id += 1;
        }
        producer.poll();
        std::thread::sleep(Duration::from_millis(20));
    }
    producer.finish();
    id
}

/// Reads while the server lives and dies; the number of answers, all of which must agree.
fn reader(port: u16, stop: Arc<AtomicBool>, disagreements: Arc<AtomicU64>) -> u64 {
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        match http::request(port, "POST", "/", &[], AGREEMENT.as_bytes()) {
            Ok(a) if a.status == 200 && a.complete => {
                answers += 1;
                if a.text().trim() != "1" {
                    disagreements.fetch_add(1, Ordering::Relaxed);
                    eprintln!("disagreement: {}", a.text());
                }
            }
            // Killed meanwhile.
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    answers
}

/// A second member of the group that comes, reads a little, and goes.
fn intruder(brokers: &str, random: &mut Random) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "killed")
        .set("enable.auto.commit", "true")
        .set("auto.offset.reset", "earliest")
        .set("log_level", "0")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["load"]).expect("subscription");
    let until = Instant::now() + Duration::from_millis(500 + random.below(2500));
    while Instant::now() < until {
        let _ = consumer.poll(Duration::from_millis(100));
    }
}

#[test]
fn killed_at_random_moments() {
    let mut broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("killed_at_random_moments", &why),
    };
    let kills = from_environment("PUMPHOUSE_KILLS", 15);
    let seed = from_environment("PUMPHOUSE_SEED", 20_261_125);
    eprintln!("{kills} kills, seed {seed}");
    let mut random = Random::new(seed);
    broker.create_topic("load", PARTITIONS as i32);
    let folder = TestFolder::new("killed");
    let data_dir = folder.0.join("data");
    let port = free_port();
    let mut server = Server::start_with(&data_dir, port, &[]);
    create(&server, &broker.address());
    let stop = Arc::new(AtomicBool::new(false));
    let disagreements = Arc::new(AtomicU64::new(0));
    let producer = {
        let (brokers, stop) = (broker.address(), stop.clone());
        std::thread::spawn(move || load(brokers, stop))
    };
    let readers = {
        let (stop, disagreements) = (stop.clone(), disagreements.clone());
        std::thread::spawn(move || reader(port, stop, disagreements))
    };
    // A partition of which the table has committed nothing yet goes on where its group stands, and the intruder
    // moves that: what it reads before is its own.
    let all = PARTITIONS.to_string();
    server.until("SELECT count() FROM system.kafka_offsets", &all, Duration::from_secs(60));
    let mut restarts = 0;
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_millis(30 + random.below(1200)));
        server.kill();
        if kill % KILLS_PER_RESTART == KILLS_PER_RESTART / 2 {
            broker.restart();
            restarts += 1;
        }
        server = Server::spawn(&data_dir, port, &[]);
        // Sometimes it is killed while it recovers.
        if random.below(4) > 0 {
            server = server.wait_ready();
        }
        if random.below(5) == 0 {
            intruder(&broker.address(), &mut random);
        }
    }
    server = server.wait_ready();
    stop.store(true, Ordering::Relaxed);
    let sent = producer.join().expect("the producer ends");
    let answers = readers.join().expect("the reader ends");
    verify(&server, sent);
    assert_eq!(disagreements.load(Ordering::Relaxed), 0);
    assert!(answers > kills, "the reader got {answers} answers only");
    eprintln!(
        "{kills} kills, {restarts} broker restarts, {sent} messages, {answers} reads: lost 0, doubled 0, disagreements 0"
    );
}

fn verify(server: &Server, sent: u64) {
    let wait = Duration::from_secs(180);
    server.until("SELECT count() FROM raw", &sent.to_string(), wait);
    // Anything doubled would come now.
    std::thread::sleep(Duration::from_secs(2));
    let sum = sent * (sent - 1) / 2;
    assert_eq!(
        server.sql("SELECT count(), uniqExact(id), sum(id), uniqExact(p, o) FROM raw"),
        format!("{sent}\t{sent}\t{sum}\t{sent}")
    );
    assert_eq!(server.sql("SELECT sum(n), sum(s) FROM per_bucket"), format!("{sent}\t{sum}"));
    let evens = sent.div_ceil(2);
    assert_eq!(server.sql("SELECT count(), uniqExact(id) FROM evens"), format!("{evens}\t{evens}"));
    assert_eq!(server.sql("SELECT sum(n) FROM evens_per_bucket"), evens.to_string());
    assert_eq!(server.sql("SELECT sum(next_offset) FROM system.kafka_offsets"), sent.to_string());
    assert_eq!(server.sql(AGREEMENT), "1");
}
