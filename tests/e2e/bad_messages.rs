//! Messages that are broken, empty, null, huge, deep or not UTF-8; topics and brokers that are not
//! there. The good rows around them arrive, the error is where an operator looks, the server stays up.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{eventually, free_port, skipped};

const WAIT: Duration = Duration::from_secs(60);

fn queue(server: &Server, name: &str, brokers: &str, topic: &str, more: &str) {
    server.sql(&format!(
        "CREATE TABLE {name}_dst (id UInt64, text String) ENGINE = MergeTree ORDER BY id"
    ));
    server.sql(&format!(
        "CREATE TABLE {name}_src (id UInt64, text String) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
         kafka_topic_list = '{topic}', kafka_group_name = '{name}', kafka_format = 'JSONEachRow'{more}"
    ));
}

fn bad_payloads() -> Vec<(&'static str, Option<Vec<u8>>)> {
    vec![
        ("null", None),
        ("empty", Some(vec![])),
        (
            "huge",
            Some(format!("{{\"id\":1000,\"text\":\"{}\"}}", "x".repeat(2 << 20)).into_bytes()),
        ),
        ("not UTF-8", Some(b"{\"id\":1001,\"text\":\"\xff\xfe\"}".to_vec())),
        (
            "deep unknown field",
            Some(format!("{{\"u\":{},\"id\":1}}", "[".repeat(100_000)).into_bytes()),
        ),
        ("deep", Some("[".repeat(100_000).into_bytes())),
        ("cut", Some(b"{\"id\":5,\"te".to_vec())),
        ("wrong type", Some(b"{\"id\":\"x\",\"text\":\"y\"}".to_vec())),
        ("not JSON", Some(b"\x00\x01\x02 garbage".to_vec())),
    ]
}

#[test]
fn good_rows_around_bad_messages() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("good_rows_around_bad_messages", &why),
    };
    broker.create_topic("bad", 1);
    let server = Server::start("bad");
    queue(&server, "stream", &broker.address(), "bad", ", kafka_handle_error_mode = 'stream'");
    server.sql(
        "CREATE TABLE errors (o UInt64, raw String, error String) ENGINE = MergeTree ORDER BY o",
    );
    server.sql("CREATE MATERIALIZED VIEW stream_mv TO stream_dst AS SELECT id, text FROM stream_src WHERE empty(_error)");
    server.sql("CREATE MATERIALIZED VIEW errors_mv TO errors AS SELECT _offset AS o, _raw_message AS raw, _error AS error FROM stream_src WHERE notEmpty(_error)");
    let producer = Producer::new(&broker.address());
    let mut good = 0;
    let bad = bad_payloads();
    for (_, payload) in &bad {
        producer.send("bad", 0, payload.as_deref());
        let payload = format!("{{\"id\":{good},\"text\":\"good\"}}");
        producer.send("bad", 0, Some(payload.as_bytes()));
        good += 1;
    }
    producer.finish();
    server.until(
        "SELECT uniqExact(id) FROM stream_dst WHERE text = 'good'",
        &good.to_string(),
        WAIT,
    );
    assert_eq!(server.sql("SELECT count() FROM stream_dst WHERE text = 'good'"), good.to_string());
    // Two odd ones are good data: a huge string and bytes that are not UTF-8.
    assert_eq!(
        server.sql("SELECT length(text) FROM stream_dst WHERE id = 1000"),
        (2 << 20).to_string()
    );
    assert_eq!(server.sql("SELECT hex(text) FROM stream_dst WHERE id = 1001"), "FFFE");
    // Null and empty messages are neither rows nor errors; the other five are errors.
    assert_eq!(server.sql("SELECT count() FROM errors"), "5");
    assert_eq!(server.sql("SELECT countIf(length(error) < 10) FROM errors"), "0");
    assert_eq!(
        server.sql("SELECT max(next_offset) FROM system.kafka_offsets"),
        (2 * bad.len()).to_string()
    );
}

#[test]
fn a_broken_message_in_default_mode_pauses_where_it_is() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_broken_message_in_default_mode_pauses_where_it_is", &why),
    };
    broker.create_topic("stop", 2);
    let server = Server::start("stop");
    queue(&server, "plain", &broker.address(), "stop", "");
    server.sql("CREATE MATERIALIZED VIEW plain_mv TO plain_dst AS SELECT * FROM plain_src");
    let producer = Producer::new(&broker.address());
    for id in 0..10 {
        producer.send("stop", 0, Some(format!("{{\"id\":{id},\"text\":\"a\"}}").as_bytes()));
        producer.send(
            "stop",
            1,
            Some(format!("{{\"id\":{},\"text\":\"b\"}}", 100 + id).as_bytes()),
        );
    }
    producer.send("stop", 0, Some(b"{broken"));
    producer.send("stop", 0, Some(b"{\"id\":99,\"text\":\"behind\"}"));
    producer.finish();
    server.until("SELECT count() FROM plain_dst", "20", WAIT);
    let error = eventually("the error is shown", WAIT, || {
        let text =
            server.sql("SELECT last_error FROM system.kafka_consumers WHERE table = 'plain_src'");
        (!text.is_empty()).then_some(text)
    });
    assert!(
        error.contains("stop") && error.contains("10"),
        "the error names topic and offset: {error}"
    );
    assert_eq!(server.sql("SELECT count() FROM plain_dst"), "20");
    assert_eq!(server.sql("SELECT 1"), "1");
}

#[test]
fn missing_topic_and_unreachable_broker() {
    let server = Server::start("nobroker");
    let nowhere = format!("127.0.0.1:{}", free_port());
    queue(&server, "lost", &nowhere, "t", "");
    server.sql("CREATE MATERIALIZED VIEW lost_mv TO lost_dst AS SELECT * FROM lost_src");
    let error = eventually("the broker's absence is shown", WAIT, || {
        let text =
            server.sql("SELECT last_error FROM system.kafka_consumers WHERE table = 'lost_src'");
        (!text.is_empty()).then_some(text)
    });
    assert!(error.contains(&nowhere) || error.to_lowercase().contains("broker"), "{error}");
    assert_eq!(server.sql("SELECT count() FROM lost_dst"), "0");
    // It can be dropped at once.
    let began = std::time::Instant::now();
    server.sql("DROP TABLE lost_mv");
    server.sql("DROP TABLE lost_src");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("missing_topic", &why),
    };
    queue(&server, "late", &broker.address(), "not_yet", "");
    server.sql("CREATE MATERIALIZED VIEW late_mv TO late_dst AS SELECT * FROM late_src");
    let error = eventually("the topic's absence is shown", WAIT, || {
        let text =
            server.sql("SELECT last_error FROM system.kafka_consumers WHERE table = 'late_src'");
        (!text.is_empty()).then_some(text)
    });
    assert!(error.contains("not_yet") || error.to_lowercase().contains("topic"), "{error}");
    // The topic comes into being, and consumption begins by itself.
    broker.create_topic("not_yet", 1);
    let producer = Producer::new(&broker.address());
    producer.send("not_yet", 0, Some(b"{\"id\":1,\"text\":\"x\"}"));
    producer.finish();
    server.until("SELECT count() FROM late_dst", "1", Duration::from_secs(120));
}

/// Whether threads of the server parse for a consumer.
fn parses_beside(server: &Server) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("its threads");
    tasks.filter_map(Result::ok).any(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.trim() == "kafka-parse"
    })
}

#[test]
fn a_broken_message_among_many_that_other_threads_parse() {
    const MANY: u64 = 60_000;
    const BROKEN: u64 = 40_000;
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => {
            return skipped("a_broken_message_among_many_that_other_threads_parse", &why);
        }
    };
    broker.create_topic("many", 2);
    let producer = Producer::new(&broker.address());
    for offset in 0..MANY {
        for partition in 0..2 {
            let text = match (partition, offset) {
                (0, BROKEN) => "{broken".to_string(),
                _ => format!("{{\"id\":{},\"text\":\"{partition}\"}}", partition * MANY + offset),
            };
            producer.send("many", partition as i32, Some(text.as_bytes()));
        }
    }
    producer.finish();
    let server = Server::start("beside");
    let threads = ", kafka_parsing_threads = 4";
    let letters = format!("{threads}, kafka_handle_error_mode = 'dead_letter_queue'");
    for (name, more) in [("plain", threads), ("lettered", letters.as_str())] {
        queue(&server, name, &broker.address(), "many", more);
        // The row of a key that came last stays, so rows must come in their partition's order.
        server.sql(&format!(
            "CREATE TABLE {name}_last (key String, id UInt64) ENGINE = ReplacingMergeTree ORDER BY key"
        ));
        server.sql(&format!("CREATE MATERIALIZED VIEW {name}_last_mv TO {name}_last AS SELECT concat(text, '-', toString(id % 100)) AS key, id FROM {name}_src"));
        server.sql(&format!(
            "CREATE MATERIALIZED VIEW {name}_mv TO {name}_dst AS SELECT * FROM {name}_src"
        ));
    }
    let all = 2 * MANY * (2 * MANY - 1) / 2 - BROKEN;
    let whole = format!("{}\t{all}", 2 * MANY - 1);
    server.until("SELECT count(), sum(id) FROM lettered_dst", &whole, WAIT);
    assert!(parses_beside(&server), "nobody else has parsed");
    assert_eq!(
        server.sql("SELECT kafka_offset, raw_message FROM system.dead_letter_queue"),
        format!("{BROKEN}\t{{broken")
    );
    // Partition 0 stands at the broken one, the other is read to its end.
    let before = format!("{BROKEN}\t{BROKEN}\t{MANY}");
    let counts = "SELECT countIf(text = '0'), uniqExactIf(id, text = '0'), countIf(text = '1') FROM plain_dst";
    server.until(counts, &before, WAIT);
    let stands =
        "SELECT next_offset FROM system.kafka_offsets WHERE table = 'plain_src' AND partition = 0";
    assert_eq!(server.number(stands), BROKEN as i64);
    server.sql(&format!("SYSTEM SEEK plain_src TO OFFSETS 'many:0={}'", BROKEN + 1));
    server.until("SELECT count(), sum(id) FROM plain_dst", &whole, WAIT);
    for name in ["plain", "lettered"] {
        let last =
            format!("SELECT count(), countIf(id % {MANY} < {MANY} - 100) FROM {name}_last FINAL");
        assert_eq!(server.sql(&last), "200\t0", "{name}");
    }
}
