//! SYSTEM commands for streams against a real broker: pause and start across restarts, and seeks.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::skipped;

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn pause_start_and_seek() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("pause_start_and_seek", &why),
    };
    broker.create_topic("control", 2);
    let mut server = Server::start("control");
    server.sql("CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{}', 'control', 'g', 'JSONEachRow')",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM src");
    let send = |from: u64, to: u64| {
        let producer = Producer::new(&broker.address());
        for id in from..to {
            producer.send("control", (id % 2) as i32, Some(format!("{{\"id\":{id}}}").as_bytes()));
        }
        producer.finish();
    };
    send(0, 1_000);
    server.until("SELECT count(), uniqExact(id) FROM dst", "1000\t1000", WAIT);
    let between_ms = server.sql("SELECT toUnixTimestamp64Milli(now64(3)) + 1");
    std::thread::sleep(Duration::from_millis(50));
    server.sql("SYSTEM PAUSE src");
    send(1_000, 2_000);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.sql("SELECT count() FROM dst"), "1000", "paused");
    let data = server.data_dir.clone();
    server.kill();
    let server = Server::start_in(&data);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.sql("SELECT count() FROM dst"), "1000", "paused after a restart too");
    assert_eq!(server.sql("SELECT state FROM system.kafka_consumers"), "paused");
    server.sql("SYSTEM START src");
    server.until("SELECT count(), uniqExact(id) FROM dst", "2000\t2000", WAIT);
    // Back to the beginning, while it runs and idles: everything comes once more.
    server.sql("SYSTEM SEEK src TO EARLIEST");
    server.until("SELECT count(), uniqExact(id) FROM dst", "4000\t2000", WAIT);
    // To a point in time: the second thousand comes once more.
    server.sql(&format!("SYSTEM SEEK default.src TO TIMESTAMP {between_ms}"));
    server.until("SELECT count(), uniqExact(id) FROM dst", "5000\t2000", WAIT);
    server.sql("SYSTEM SEEK src TO OFFSETS 'control:0=990'");
    server.until("SELECT count() FROM dst", "5010", WAIT);
    // Forward over what nobody wants, while stopped.
    server.sql("SYSTEM STOP src");
    send(2_000, 3_000);
    server.sql("SYSTEM SEEK src TO LATEST");
    send(3_000, 3_010);
    server.sql("SYSTEM START src");
    server.until("SELECT count(), countIf(id >= 2000) FROM dst", "5020\t10", WAIT);
    assert_eq!(server.sql("SELECT sum(next_offset) FROM system.kafka_offsets"), "3010");
    for (statement, code) in [
        ("SYSTEM SEEK src TO OFFSETS 'control:0=99999'", 36),
        ("SYSTEM SEEK src TO OFFSETS 'other:0=1'", 36),
        ("SYSTEM SEEK src TO TIMESTAMP 'soon'", 36),
        ("SYSTEM SEEK src", 62),
        ("SYSTEM SEEK dst TO LATEST", 36),
        ("SYSTEM STOP nosuch", 60),
    ] {
        assert_eq!(server.error(statement).0, code, "{statement}");
    }
    let events = server.sql(
        "SELECT countIf(event = 'seek') > 4, countIf(event = 'assigned') > 0, countIf(event = 'started') > 0 \
         FROM system.kafka_events",
    );
    assert_eq!(events, "1\t1\t1");
}

#[test]
fn a_stream_is_written_and_read_without_views() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_stream_is_written_and_read_without_views", &why),
    };
    broker.create_topic("plain", 2);
    let server = Server::start("plain");
    let address = broker.address();
    server.sql(&format!(
        "CREATE TABLE out (id UInt64, _key String, _timestamp DateTime, `_headers.name` Array(String), \
         `_headers.value` Array(String)) ENGINE = Kafka('{address}', 'plain', 'w', 'JSONEachRow') \
         SETTINGS kafka_map_virtual_columns_on_write = 1, kafka_compression_codec = 'zstd'"
    ));
    server.sql(
        "INSERT INTO out SELECT number, concat('k', toString(number)), toDateTime(1700000000 + number), \
         ['a', 'b'], ['1', toString(number)] FROM numbers(1000)",
    );
    for (name, commit) in [("again", 0), ("once", 1)] {
        server.sql(&format!(
            "CREATE TABLE {name} (id UInt64) ENGINE = Kafka('{address}', 'plain', '{name}', 'JSONEachRow') \
             SETTINGS kafka_commit_on_select = {commit}"
        ));
    }
    let (code, _) = server.error("SELECT count() FROM again");
    assert_eq!(code, 620, "not without the setting");
    let direct = " SETTINGS stream_like_engine_allow_direct_select = 1";
    let count = |table: &str| {
        server.sql(&format!(
            "SELECT count(), uniqExact(id), uniqExact(_partition, _offset) FROM {table}{direct}"
        ))
    };
    assert_eq!(count("again"), "1000\t1000\t1000");
    assert_eq!(count("again"), "1000\t1000\t1000", "nothing is taken");
    let head = "SELECT id, _key, toUnixTimestamp(_timestamp), _headers.name, _headers.value FROM again WHERE id = 7";
    assert_eq!(
        server.sql(&format!("{head}{direct}")),
        "7\tk7\t1700000007\t['a','b']\t['1','7']",
        "key, time and headers are in the message's head"
    );
    assert_eq!(count("once"), "1000\t1000\t1000");
    assert_eq!(count("once"), "0\t0\t0", "taken");
    server.sql("CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM again");
    assert_eq!(
        server.error(&format!("SELECT 1 FROM again{direct}")).0,
        620,
        "its rows are the view's"
    );
    server.until("SELECT count(), uniqExact(id) FROM dst", "1000\t1000", WAIT);
}

#[test]
fn a_table_is_altered_while_it_consumes() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_table_is_altered_while_it_consumes", &why),
    };
    broker.create_topic("alter", 2);
    let server = Server::start("alter");
    server.sql("CREATE TABLE dst (id UInt64, v String) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{}', 'alter', 'g', 'JSONEachRow')",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM src");
    let producer = Producer::new(&broker.address());
    let steps = [
        "ALTER TABLE src ADD COLUMN v String",
        "ALTER TABLE mv MODIFY QUERY SELECT id, v FROM src",
        "ALTER TABLE src MODIFY SETTING kafka_max_block_size = 500, kafka_sasl_password = 'hunter2'",
        "ALTER TABLE src ADD COLUMN w UInt64",
        "ALTER TABLE src MODIFY COLUMN id UInt32",
        "ALTER TABLE src DROP COLUMN w",
        "ALTER TABLE src RESET SETTING kafka_max_block_size",
    ];
    let mut id = 0u64;
    for step in steps {
        for _ in 0..2_000 {
            let row = format!("{{\"id\":{id},\"v\":\"x\",\"w\":1}}");
            producer.send("alter", (id % 2) as i32, Some(row.as_bytes()));
            id += 1;
        }
        producer.poll();
        server.sql(step);
    }
    for _ in 0..2_000 {
        producer.send("alter", 0, Some(format!("{{\"id\":{id},\"v\":\"y\"}}").as_bytes()));
        id += 1;
    }
    producer.finish();
    server.until("SELECT count(), uniqExact(id) FROM dst", &format!("{id}\t{id}"), WAIT);
    assert_eq!(server.sql("SELECT count() FROM dst WHERE v = 'y'"), "2000");
    let text = server.sql("SHOW CREATE TABLE src");
    assert!(text.contains("`id` UInt32") && text.contains("`v` String"), "{text}");
    assert!(!text.contains("`w`") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_table_waits_for_a_target_that_is_gone() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_table_waits_for_a_target_that_is_gone", &why),
    };
    broker.create_topic("gone", 1);
    let server = Server::start("target-gone");
    let target = "CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id";
    server.sql(target);
    server.sql("CREATE TABLE other (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{}', 'gone', 'g', 'JSONEachRow') SETTINGS kafka_handle_error_mode = 'dead_letter_queue'",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM src");
    server.sql("CREATE MATERIALIZED VIEW other_mv TO other AS SELECT id FROM src");
    let send = |from: u64, to: u64| {
        let producer = Producer::new(&broker.address());
        for id in from..to {
            producer.send("gone", 0, Some(format!("{{\"id\":{id}}}").as_bytes()));
        }
        producer.finish();
    };
    send(0, 500);
    server.until("SELECT count() FROM dst", "500", WAIT);
    server.sql("DROP TABLE dst SYNC");
    send(500, 1_000);
    let told = "SELECT countIf(last_error LIKE '%dst%') FROM system.kafka_consumers";
    server.until(told, "1", WAIT);
    // No message is to blame, and no view is ahead of another.
    assert_eq!(server.sql("SELECT count() FROM other"), "500");
    assert_eq!(
        server.sql(
            "SELECT count() FROM system.tables WHERE name = 'dead_letter_queue' AND total_rows > 0"
        ),
        "0"
    );
    server.sql(target);
    server.until("SELECT count(), sum(id) FROM other", "1000\t499500", WAIT);
    server.until("SELECT count(), min(id) FROM dst", "500\t500", WAIT);
}
