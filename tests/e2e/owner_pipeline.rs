//! The owner's three statements as they stand in the seed, on a real Apache Kafka broker: exact
//! counts with one and with four consumers, one insert or parallel ones.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{from_environment, skipped};

const PARTITIONS: i32 = 4;

/// Messages `{"key":i,"value":i*3 % 1000}` for i below `n`; the sum of the values.
fn produce(broker: &Broker, topic: &str, n: u64) -> u64 {
    let producer = Producer::new(&broker.address());
    let mut sum = 0;
    for i in 0..n {
        let value = i * 3 % 1000;
        sum += value;
        let payload = format!("{{\"key\":{i},\"value\":{value}}}");
        producer.send(topic, (i % PARTITIONS as u64) as i32, Some(payload.as_bytes()));
    }
    producer.finish();
    sum
}

#[test]
fn three_statements_verbatim() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("three_statements_verbatim", &why),
    };
    let messages = from_environment("PUMPHOUSE_MESSAGES", 400_000);
    broker.create_topic("my_topic", PARTITIONS);
    let sum = produce(&broker, "my_topic", messages);
    let server = Server::start("owner");
    let broker_list = broker.address();
    server.sql("CREATE DATABASE test");
    server.sql(&format!(
        "CREATE TABLE test.kafka (key UInt64, value UInt64)
    ENGINE = Kafka
    SETTINGS kafka_broker_list = '{broker_list}',
    kafka_topic_list = 'my_topic',
    kafka_group_name = 'my_conumber_group_name',
    kafka_format = 'JSONEachRow',
    kafka_max_block_size = 1048576;"
    ));
    server.sql(
        "CREATE TABLE test.view (key UInt64, value UInt64)
    ENGINE = MergeTree()
    ORDER BY key;",
    );
    server.sql("CREATE MATERIALIZED VIEW test.consumer TO test.view AS\nSELECT * FROM test.kafka;");
    let expected = format!("{messages}\t{messages}\t{sum}");
    server.until(
        "SELECT count(), uniqExact(key), sum(value) FROM test.view",
        &expected,
        Duration::from_secs(180),
    );
    server.until("SELECT sum(lag) FROM system.kafka_consumers", "0", Duration::from_secs(30));
    let offsets = server.sql("SELECT sum(next_offset) FROM system.kafka_offsets");
    assert_eq!(offsets, messages.to_string());
}

#[test]
fn four_consumers_one_insert_or_parallel_ones() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("four_consumers_one_insert_or_parallel_ones", &why),
    };
    let messages = from_environment("PUMPHOUSE_MESSAGES", 400_000);
    broker.create_topic("four", PARTITIONS);
    let sum = produce(&broker, "four", messages);
    let server = Server::start("four");
    for (consumers, parallel) in [(1, 0), (1, 1), (4, 0), (4, 1)] {
        let name = format!("c{consumers}p{parallel}");
        server.sql(&format!("CREATE DATABASE {name}"));
        server.sql(&format!(
            "CREATE TABLE {name}.dst (key UInt64, value UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY key"
        ));
        server.sql(&format!(
            "CREATE TABLE {name}.src (key UInt64, value UInt64) ENGINE = Kafka('{}', 'four', '{name}', 'JSONEachRow') \
             SETTINGS kafka_num_consumers = {consumers}, kafka_thread_per_consumer = {parallel}, kafka_max_block_size = 50000",
            broker.address()
        ));
        server.sql(&format!(
            "CREATE MATERIALIZED VIEW {name}.mv TO {name}.dst AS SELECT key, value, _partition AS p, _offset AS o FROM {name}.src"
        ));
        // While it runs, how many consumers are inserting at one moment.
        let mut together = 0;
        let began = std::time::Instant::now();
        while server.number(&format!("SELECT count() FROM {name}.dst")) < messages as i64 {
            together = together.max(server.number(&format!(
                "SELECT sum(is_inserting) FROM system.kafka_consumers WHERE database = '{name}'"
            )));
            assert!(
                began.elapsed() < Duration::from_secs(180),
                "{name} stands still: {}",
                server.sql(
                    "SELECT table, state, paused_reason, last_error FROM system.kafka_consumers"
                )
            );
        }
        let found = server.sql(&format!(
            "SELECT count(), uniqExact(key), sum(value), uniqExact(p, o) FROM {name}.dst"
        ));
        assert_eq!(found, format!("{messages}\t{messages}\t{sum}\t{messages}"), "{name}");
        let consumers_seen = server.number(&format!(
            "SELECT count() FROM system.kafka_consumers WHERE database = '{name}'"
        ));
        assert_eq!(consumers_seen, consumers, "{name}");
        eprintln!("{name}: at most {together} consumers inserting at once");
        server.sql(&format!("DROP DATABASE {name}"));
    }
}
