//! Named collections and macros beneath Kafka tables, against a real broker: values are laid over each
//! other, changes reach running consumers, secrets stay hidden, and all of it outlives a kill.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::skipped;

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn collections_and_macros() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("collections_and_macros", &why),
    };
    for topic in ["default_queue", "second"] {
        broker.create_topic(topic, 1);
    }
    let mut server = Server::start("collections");
    server.sql(&format!(
        "CREATE NAMED COLLECTION cluster AS kafka_broker_list = '{}', kafka_topic_list = '{{database}}_{{table}}', \
         kafka_group_name = 'g-{{uuid}}' NOT OVERRIDABLE, kafka_format = 'TSV', kafka.auto_offset_reset = 'earliest', \
         kafka.consumer.fetch_wait_max_ms = 50, kafka_sasl_password = 'coll-secret-1'",
        broker.address()
    ));
    server.sql("CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql("CREATE TABLE queue (id UInt64) ENGINE = Kafka(cluster, kafka_format = 'JSONEachRow', kafka_sasl_password = 'own-secret-2')");
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM queue");
    let send = |topic: &str, from: u64| {
        let producer = Producer::new(&broker.address());
        (from..from + 100)
            .for_each(|id| producer.send(topic, 0, Some(format!("{{\"id\":{id}}}").as_bytes())));
        producer.finish();
    };
    send("default_queue", 0);
    server.until("SELECT count(), uniqExact(id) FROM dst", "100\t100", WAIT);
    // The collection changes: the consumer goes on under the new values, also after a kill.
    server.sql(
        "ALTER NAMED COLLECTION cluster SET kafka_topic_list = 'second' DELETE kafka_sasl_password",
    );
    send("second", 100);
    server.until("SELECT count(), uniqExact(id) FROM dst", "200\t200", WAIT);
    let data = server.data_dir.clone();
    server.kill();
    let server = Server::start_in(&data);
    send("second", 200);
    server.until("SELECT count(), uniqExact(id) FROM dst", "300\t300", WAIT);
    server.sql("ALTER TABLE queue MODIFY SETTING kafka_topic_list = '{database}_queue'");
    send("default_queue", 300);
    server.until("SELECT count(), uniqExact(id) FROM dst", "400\t400", WAIT);
    let shown = server.sql("SHOW CREATE TABLE queue");
    assert!(shown.contains("Kafka(cluster, ") && shown.contains("[HIDDEN]"), "{shown}");
    let seen = server.sql("SELECT * FROM system.named_collections")
        + &shown
        + &server.sql("SELECT query FROM system.query_log")
        + &server.log_text();
    assert!(!seen.contains("secret-"), "{seen}");
    for (statement, code) in [
        ("CREATE NAMED COLLECTION cluster AS a = 1", 670),
        ("ALTER NAMED COLLECTION nosuch SET a = 1", 669),
        ("ALTER NAMED COLLECTION cluster DELETE nosuch", 36),
        ("ALTER NAMED COLLECTION cluster SET kafka_num_consumers = 0", 36),
        ("DROP NAMED COLLECTION nosuch", 669),
        ("DROP NAMED COLLECTION cluster", 769),
        ("CREATE NAMED COLLECTION e AS", 62),
        ("CREATE TABLE t (id UInt64) ENGINE = Kafka(nosuch, kafka_format = 'CSV')", 669),
        ("CREATE TABLE t (id UInt64) ENGINE = Kafka(cluster, kafka_group_name = 'x')", 36),
        ("CREATE TABLE t (id UInt64) ENGINE = Kafka(cluster, 'topic')", 36),
    ] {
        assert_eq!(server.error(statement).0, code, "{statement}");
    }
    server.sql("DROP TABLE mv");
    server.sql("DROP TABLE queue");
    server.sql("DROP NAMED COLLECTION cluster");
    assert_eq!(server.sql("SELECT count() FROM system.named_collections"), "0");
}
