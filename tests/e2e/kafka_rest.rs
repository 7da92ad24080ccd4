//! Consumers that rest: tables to which nothing comes give their clients up, keep their places in their groups,
//! and take every message once when something does. Also the cycles that SYSTEM REFRESH asks for.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{TestFolder, eventually, free_port, skipped};

const WAIT: Duration = Duration::from_secs(60);
/// A first message after a rest costs a join and a block; this is many times as much.
const SOON: Duration = Duration::from_secs(15);

fn send(broker: &Broker, topic: &str, ids: std::ops::Range<u64>) {
    let producer = Producer::new(&broker.address());
    for id in ids {
        producer.send(topic, (id % 2) as i32, Some(format!("{{\"id\":{id}}}").as_bytes()));
    }
    producer.finish();
}

fn table(server: &Server, broker: &Broker, name: &str, topic: &str, more: &str) {
    server.sql(&format!(
        "CREATE TABLE {name}_dst (id UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id"
    ));
    server.sql(&format!(
        "CREATE TABLE {name} (id UInt64) ENGINE = Kafka('{}', '{topic}', 'g_{name}', 'JSONEachRow') \
         SETTINGS kafka_consumers_pool_ttl_ms = 1500{more}",
        broker.address()
    ));
    server.sql(&format!(
        "CREATE MATERIALIZED VIEW {name}_mv TO {name}_dst AS \
         SELECT id, _partition AS p, _offset AS o FROM {name}"
    ));
}

fn rests(server: &Server, name: &str) {
    let sql =
        format!("SELECT min(state), max(state) FROM system.kafka_consumers WHERE table = '{name}'");
    server.until(&sql, "resting\tresting", WAIT);
}

fn holds(server: &Server, name: &str, rows: u64, wait: Duration) {
    let sql = format!("SELECT count(), uniqExact(id), uniqExact(p, o) FROM {name}_dst");
    server.until(&sql, &format!("{rows}\t{rows}\t{rows}"), wait);
}

#[test]
fn a_table_rests_and_wakes() {
    let mut broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_table_rests_and_wakes", &why),
    };
    broker.create_topic("rest", 2);
    let folder = TestFolder::new("rest");
    let (data, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data, port, &[]);
    table(&server, &broker, "one", "rest", "");
    table(
        &server,
        &broker,
        "two",
        "rest",
        ", kafka_num_consumers = 2, kafka_thread_per_consumer = 1",
    );
    table(&server, &broker, "own", "rest", ", kafka_assignment = 'static'");
    let all = ["one", "two", "own"];
    // From nothing, and again and again.
    let mut sent = 0;
    for round in 0..4 {
        all.iter().for_each(|name| rests(&server, name));
        let next = sent + if round == 2 { 30_000 } else { 7 };
        send(&broker, "rest", sent..next);
        sent = next;
        all.iter().for_each(|name| holds(&server, name, sent, SOON));
    }
    all.iter().for_each(|name| rests(&server, name));
    let shown = "SELECT sum(length(assignments.topic)), sum(lag) FROM system.kafka_consumers";
    assert_eq!(server.sql(shown), "6\t0", "it still says what it holds");
    // Killed while they rest: their places wait for them.
    server.kill();
    send(&broker, "rest", sent..sent + 10);
    sent += 10;
    server = Server::spawn(&data, port, &[]).wait_ready();
    all.iter().for_each(|name| holds(&server, name, sent, SOON));
    // The broker goes away and comes back.
    all.iter().for_each(|name| rests(&server, name));
    broker.restart();
    send(&broker, "rest", sent..sent + 10);
    sent += 10;
    all.iter().for_each(|name| holds(&server, name, sent, WAIT));
    // Statements reach a table that rests.
    all.iter().for_each(|name| rests(&server, name));
    server.sql("SYSTEM SEEK one TO OFFSETS 'rest:0=0'");
    let again = format!("{}\t{sent}", sent + sent.div_ceil(2));
    server.until("SELECT count(), uniqExact(id) FROM one_dst", &again, WAIT);
    rests(&server, "one");
    server.sql("SYSTEM STOP");
    server.until("SELECT DISTINCT state FROM system.kafka_consumers", "paused", WAIT);
    server.sql("SYSTEM START");
    all.iter().for_each(|name| rests(&server, name));
    server.sql("DROP TABLE two_mv");
    server.sql("DROP TABLE two");
    server.sql(
        "CREATE TABLE two_again (id UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id",
    );
    // Another table in the group of one that rested: it gets the partitions at once, and goes on.
    server.sql(&format!(
        "CREATE TABLE two (id UInt64) ENGINE = Kafka('{}', 'rest', 'g_two', 'JSONEachRow')",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW two_mv TO two_again AS SELECT id, _partition AS p, _offset AS o FROM two");
    send(&broker, "rest", sent..sent + 5);
    server.until("SELECT count(), uniqExact(id) FROM two_again", "5\t5", SOON);
}

#[test]
fn another_member_wakes_a_table_that_rests() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("another_member_wakes_a_table_that_rests", &why),
    };
    broker.create_topic("shared", 2);
    let server = Server::start("shared");
    table(&server, &broker, "src", "shared", "");
    rests(&server, "src");
    let other: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("group.id", "g_src")
        .set("session.timeout.ms", "6000")
        .create()
        .expect("a consumer");
    other.subscribe(&["shared"]).expect("subscribed");
    eventually("the other gets its share", WAIT, || {
        let _ = other.poll(Duration::from_millis(200));
        let mine = other.assignment().ok()?.count();
        let theirs =
            server.sql("SELECT sum(length(assignments.topic)) FROM system.kafka_consumers");
        (mine == 1 && theirs == "1").then_some(())
    });
    // Nobody rests who shares.
    for _ in 0..20 {
        let _ = other.poll(Duration::from_millis(200));
    }
    assert_ne!(server.sql("SELECT state FROM system.kafka_consumers"), "resting");
    drop(other);
    rests(&server, "src");
    send(&broker, "shared", 0..10);
    holds(&server, "src", 10, SOON);
}

#[test]
fn a_stopped_table_takes_a_block_when_it_is_refreshed() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_stopped_table_takes_a_block", &why),
    };
    broker.create_topic("cycles", 2);
    let server = Server::start("cycles");
    table(&server, &broker, "src", "cycles", ", kafka_max_block_size = 100");
    table(&server, &broker, "slow", "cycles", ", kafka_flush_interval_ms = 600000");
    server.sql("SYSTEM STOP src");
    send(&broker, "cycles", 0..250);
    // A block is what comes within its time, and 100 rows at most.
    let (mut rows, mut cycles) = (0, 0);
    while rows < 250 || cycles < 4 {
        let before = rows;
        server.sql("SYSTEM REFRESH src");
        cycles += 1;
        rows = server.number("SELECT count() FROM src_dst");
        assert!(rows - before <= 100, "a cycle took {} rows", rows - before);
        assert!(rows > before || rows == 250, "cycle {cycles} took nothing of {}", 250 - rows);
        assert_eq!(server.number("SELECT uniqExact(id) FROM src_dst"), rows);
        let state = "SELECT state FROM system.kafka_consumers WHERE table = 'src'";
        assert_eq!(server.sql(state), "paused");
    }
    std::thread::sleep(Duration::from_secs(1));
    send(&broker, "cycles", 250..300);
    std::thread::sleep(Duration::from_secs(1));
    holds(&server, "src", 250, SOON);
    server.sql("SYSTEM START src");
    holds(&server, "src", 300, SOON);
    // A table that runs commits what it has in hand.
    let read = "SELECT sum(num_messages_read) FROM system.kafka_consumers WHERE table = 'slow'";
    server.until(read, "300", WAIT);
    assert_eq!(server.sql("SELECT count() FROM slow_dst"), "0");
    server.sql("SYSTEM REFRESH slow");
    holds(&server, "slow", 300, SOON);
    assert_eq!(server.error("SYSTEM REFRESH nosuch").0, 60);
    assert_eq!(server.error("SYSTEM REFRESH src_dst").0, 36);
}
