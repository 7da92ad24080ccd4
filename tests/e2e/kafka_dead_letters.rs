//! Dead letters against a real broker: broken messages, broken rows, rows that a view cannot take, and
//! a topic that is mostly broken. Every good row arrives once, every bad one is a letter once.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::skipped;

const WAIT: Duration = Duration::from_secs(60);

fn stream(server: &Server, name: &str, brokers: &str, topic: &str, more: &str) {
    server.sql(&format!(
        "CREATE TABLE {name}_dst (id UInt64, n UInt64) ENGINE = MergeTree ORDER BY id"
    ));
    server.sql(&format!(
        "CREATE TABLE {name}_src (id UInt64, n String) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
         kafka_topic_list = '{topic}', kafka_group_name = '{name}', kafka_format = 'JSONEachRow'{more}"
    ));
    server.sql(&format!(
        "CREATE MATERIALIZED VIEW {name}_mv TO {name}_dst AS SELECT id, toUInt64(n) AS n FROM {name}_src"
    ));
}

fn row(id: u64, n: &str) -> String {
    format!("{{\"id\":{id},\"n\":\"{n}\"}}")
}

#[test]
fn letters_are_rows_of_the_same_commit() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("letters_are_rows_of_the_same_commit", &why),
    };
    broker.create_topic("letters", 2);
    let mut server = Server::start("letters");
    let mode = ", kafka_handle_error_mode = 'dead_letter_queue', kafka_num_consumers = 2";
    stream(&server, "a", &broker.address(), "letters", mode);
    let producer = Producer::new(&broker.address());
    let (mut good, mut bad) = (0u64, 0u64);
    for id in 0..5_000u64 {
        let partition = (id % 2) as i32;
        match id {
            // Not to be parsed; to be parsed but not taken by the view; two rows, one of them bad.
            100 | 2_000 => producer.send("letters", partition, Some(b"{broken")),
            701 | 3_000 | 4_999 => {
                producer.send("letters", partition, Some(row(id, "seven").as_bytes()));
            }
            900 => {
                let both = format!("{}\n{{\"id\":x,\"n\":\"1\"}}\n", row(id, "1"));
                producer.send("letters", partition, Some(both.as_bytes()));
                good += 1;
            }
            _ => {
                producer.send("letters", partition, Some(row(id, "1").as_bytes()));
                good += 1;
                continue;
            }
        }
        bad += 1;
    }
    producer.finish();
    let counts = "SELECT count(), uniqExact(id) FROM a_dst";
    server.until(counts, &format!("{good}\t{good}"), WAIT);
    server.until("SELECT count() FROM system.dead_letter_queue", &bad.to_string(), WAIT);
    assert_eq!(server.sql("SELECT sum(next_offset) FROM system.kafka_offsets"), "5000");
    let letters = server.sql(
        "SELECT raw_message, kafka_partition, view, format, table FROM system.dead_letter_queue \
         WHERE kafka_offset = 450 AND kafka_partition = 0",
    );
    assert_eq!(letters, "{\"id\":x,\"n\":\"1\"}\t0\t\tJSONEachRow\ta_src");
    let views = server.sql(
        "SELECT count(), countIf(raw_message LIKE '%seven%'), countIf(error LIKE '%seven%') \
         FROM system.dead_letter_queue WHERE view = 'default.a_mv'",
    );
    assert_eq!(views, "3\t3\t3", "messages that the view could not take");
    // They are there after a kill, and no more of them.
    let data = server.data_dir.clone();
    server.kill();
    let server_again = Server::start_in(&data);
    assert_eq!(server_again.sql("SELECT count() FROM system.dead_letter_queue"), bad.to_string());
    assert_eq!(server_again.sql(counts), format!("{good}\t{good}"));
    // One statement replays them, through whatever expression mends them.
    server_again.sql(
        "INSERT INTO a_dst SELECT JSONExtractUInt(raw_message, 'id'), 7 FROM system.dead_letter_queue \
         WHERE table = 'a_src' AND view != ''",
    );
    assert_eq!(server_again.sql("SELECT count() FROM a_dst WHERE n = 7"), "3");
}

#[test]
fn a_mostly_broken_topic_pauses_the_table() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_mostly_broken_topic_pauses_the_table", &why),
    };
    broker.create_topic("wrong", 1);
    let mut server = Server::start("wrong");
    server.sql("CREATE TABLE mine (kafka_offset UInt64, error String, table String) ENGINE = MergeTree ORDER BY kafka_offset");
    let mode = ", kafka_handle_error_mode = 'dead_letter_queue', kafka_dead_letter_table = 'mine', \
                kafka_flush_interval_ms = 3000";
    stream(&server, "w", &broker.address(), "wrong", mode);
    let producer = Producer::new(&broker.address());
    for id in 0..1_000u64 {
        let text = if id % 5 == 0 { "not JSON".into() } else { row(id, "1") };
        producer.send("wrong", 0, Some(text.as_bytes()));
    }
    producer.finish();
    server.until("SELECT DISTINCT state FROM system.kafka_consumers", "paused", WAIT);
    let reason = server.sql("SELECT paused_reason FROM system.kafka_consumers");
    assert!(reason.contains("of 1000 messages") && reason.contains("offset 0"), "{reason}");
    assert_eq!(server.sql("SELECT count() FROM w_dst"), "0");
    assert_eq!(server.sql("SELECT count() FROM mine"), "0");
    assert_eq!(server.sql("SELECT count() FROM system.kafka_events WHERE event = 'paused'"), "1");
    // The pause and its reason outlive a restart.
    let data = server.data_dir.clone();
    server.kill();
    let server = Server::start_in(&data);
    assert_eq!(server.sql("SELECT paused_reason FROM system.kafka_consumers"), reason);
    // In smaller blocks than the least number nothing is an accident; here: the same table, wider limits.
    server.sql("DROP TABLE w_src");
    server.sql(&format!(
        "CREATE TABLE w_src (id UInt64, n String) ENGINE = Kafka SETTINGS kafka_broker_list = '{}', \
         kafka_topic_list = 'wrong', kafka_group_name = 'w', kafka_format = 'JSONEachRow'{mode}, \
         kafka_dead_letters_ratio_max = 0.5",
        broker.address()
    ));
    server.until("SELECT count() FROM w_dst", "800", WAIT);
    server.until(
        "SELECT count(), uniqExact(kafka_offset), any(table) FROM mine",
        "200\t200\tw_src",
        WAIT,
    );
}

#[test]
fn default_mode_waits_at_the_message_that_a_view_cannot_take() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("default_mode_waits_at_the_message", &why),
    };
    broker.create_topic("wait", 1);
    let server = Server::start("wait");
    stream(&server, "d", &broker.address(), "wait", "");
    let producer = Producer::new(&broker.address());
    for id in 0..1_000u64 {
        let n = if id == 640 { "seven" } else { "1" };
        producer.send("wait", 0, Some(row(id, n).as_bytes()));
    }
    producer.finish();
    server.until("SELECT count(), max(id) FROM d_dst", "640\t639", WAIT);
    server.until(
        "SELECT position(paused_reason, 'topic: wait, partition: 0, offset: 640') > 0 FROM system.kafka_consumers",
        "1",
        WAIT,
    );
    // Mended, it goes on where it stood: each offset under one version of the view.
    server.sql("DROP TABLE d_mv");
    server.sql(
        "CREATE MATERIALIZED VIEW d_mv TO d_dst AS SELECT id, toUInt64OrZero(n) AS n FROM d_src",
    );
    server.until("SELECT count(), uniqExact(id), countIf(n = 0) FROM d_dst", "1000\t1000\t1", WAIT);
}
