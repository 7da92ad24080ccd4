//! A message that ends the process (here by a fault that only tests turn on) is found and set aside after two
//! restarts; everything else arrives once. Kills that no message is to blame for condemn nobody.

use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{eventually, free_port, skipped};

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn a_message_that_ends_the_process() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_message_that_ends_the_process", &why),
    };
    broker.create_topic("killer", 2);
    let mut server = Server::start("killer");
    server.sql("CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64, s String) ENGINE = Kafka('{}', 'killer', 'g', 'JSONEachRow') \
         SETTINGS kafka_handle_error_mode = 'dead_letter_queue'",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM src");
    let data = server.data_dir.clone();
    server.kill();
    let producer = Producer::new(&broker.address());
    for id in 0..2000u64 {
        let text = if id == 777 { "kaboom" } else { "fine" };
        let message = format!("{{\"id\":{id},\"s\":\"{text}\"}}");
        producer.send("killer", (id % 2) as i32, Some(message.as_bytes()));
    }
    producer.finish();
    let mut deaths = 0;
    let port = free_port();
    let environment = [("PUMPHOUSE_TEST_ABORT_ON", "kaboom")];
    let server = loop {
        let mut server = Server::spawn(&data, port, &environment);
        let done = "SELECT count(), uniqExact(id), countIf(id = 777) FROM dst";
        let lived = eventually("death or success", WAIT, || {
            if server.has_ended() {
                return Some(false);
            }
            let answer = server.send(done).ok()?;
            (answer.status == 200 && answer.text().trim() == "1999\t1999\t0").then_some(true)
        });
        if lived {
            break server;
        }
        deaths += 1;
        assert!(deaths <= 2, "not found after {deaths} deaths");
    };
    assert_eq!(deaths, 2);
    let letters = "SELECT count(), any(kafka_offset), any(position(raw_message, 'kaboom') > 0), \
                   any(position(error, 'ended twice') > 0) FROM system.dead_letter_queue";
    assert_eq!(server.sql(letters), "1\t388\t1\t1");
    assert_eq!(server.sql("SELECT sum(next_offset) FROM system.kafka_offsets"), "2000");
}
