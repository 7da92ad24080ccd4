//! What happens to topics while they are consumed, on a real broker: created anew, cut by retention,
//! grown, written in transactions, shared with a second server, closed to us. Nothing is passed over
//! in silence: rows arrive once, or the table says why not.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{eventually, skipped};

const WAIT: Duration = Duration::from_secs(90);
/// So that changes of topics are seen soon.
const FAST: &str = ", kafka_properties = 'topic.metadata.refresh.interval.ms=1000'";

fn admin<T>(
    broker: &Broker,
    ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
) -> T {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.address()).create().expect("an admin");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(ask(&admin, &AdminOptions::new()))
}

fn recreate(broker: &Broker, topic: &str) {
    admin(broker, async |a, o| a.delete_topics(&[topic], o).await.expect("deleted"));
    std::thread::sleep(Duration::from_secs(1));
    eventually("the topic's name is free again", WAIT, || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| broker.create_topic(topic, 1)))
            .ok()
    });
}

fn stream(server: &Server, name: &str, brokers: &str, topic: &str, more: &str) {
    server.sql(&format!(
        "CREATE TABLE {name}_dst (id UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id"
    ));
    server.sql(&format!(
        "CREATE TABLE {name} (id UInt64) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
         kafka_topic_list = '{topic}', kafka_group_name = '{name}', kafka_format = 'JSONEachRow'{more}"
    ));
    server.sql(&format!(
        "CREATE MATERIALIZED VIEW {name}_mv TO {name}_dst AS \
         SELECT id, _partition AS p, _offset AS o FROM {name}"
    ));
}

fn send(broker: &Broker, topic: &str, partition: i32, ids: std::ops::Range<u64>) {
    let producer = Producer::new(&broker.address());
    for id in ids {
        producer.send(topic, partition, Some(format!("{{\"id\":{id}}}").as_bytes()));
    }
    producer.finish();
}

fn reason(server: &Server, table: &str, part: &str) -> String {
    eventually(&format!("{table} says '{part}'"), WAIT, || {
        let text = server.sql(&format!(
            "SELECT paused_reason FROM system.kafka_consumers WHERE table = '{table}'"
        ));
        text.contains(part).then_some(text)
    })
}

#[test]
fn a_topic_created_anew_is_not_taken_for_the_old_one() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_topic_created_anew", &why),
    };
    broker.create_topic("again", 1);
    let server = Server::start("again");
    stream(&server, "stops", &broker.address(), "again", FAST);
    let restarts = format!("{FAST}, kafka_topic_recreated = 'restart'");
    stream(&server, "goes_on", &broker.address(), "again", &restarts);
    send(&broker, "again", 0, 0..100);
    for table in ["stops", "goes_on"] {
        server.until(&format!("SELECT count(), uniqExact(id) FROM {table}_dst"), "100\t100", WAIT);
    }
    recreate(&broker, "again");
    // More than was consumed of the old one: the offsets alone would not tell.
    send(&broker, "again", 0, 1_000..1_150);
    server.until("SELECT count(), uniqExact(id) FROM goes_on_dst", "250\t250", WAIT);
    reason(&server, "stops", "created anew");
    assert_eq!(server.sql("SELECT count() FROM stops_dst"), "100", "nothing of the new topic");
    server.sql("SYSTEM SEEK stops TO EARLIEST");
    server.until("SELECT count(), uniqExact(id) FROM stops_dst", "250\t250", WAIT);
    let events = "SELECT countIf(event = 'stopped') > 0, countIf(event = 'topic recreated') FROM system.kafka_events";
    assert_eq!(server.sql(events), "1\t1");
}

#[test]
fn retention_growth_and_transactions() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("retention_growth_and_transactions", &why),
    };
    let server = Server::start("topics");
    // Retention passes a stopped table: it waits, or records the gap.
    broker.create_topic("short", 1);
    stream(&server, "waits", &broker.address(), "short", FAST);
    stream(
        &server,
        "skips",
        &broker.address(),
        "short",
        &format!("{FAST}, kafka_offset_gap = 'skip'"),
    );
    send(&broker, "short", 0, 0..100);
    for table in ["waits", "skips"] {
        server.until(&format!("SELECT count() FROM {table}_dst"), "100", WAIT);
    }
    server.sql("SYSTEM STOP");
    send(&broker, "short", 0, 100..200);
    let mut below = TopicPartitionList::new();
    below.add_partition_offset("short", 0, Offset::Offset(150)).expect("a list");
    admin(&broker, async |a, o| a.delete_records(&below, o).await.expect("records are deleted"));
    server.sql("SYSTEM START");
    server.until("SELECT count(), uniqExact(id), max(id) FROM skips_dst", "150\t150\t199", WAIT);
    assert_eq!(
        server.sql("SELECT table, from_offset, to_offset FROM system.kafka_gaps"),
        "skips\t100\t150"
    );
    reason(&server, "waits", "offsets 100..150");
    assert_eq!(server.sql("SELECT count() FROM waits_dst"), "100");
    server.sql("SYSTEM SEEK waits TO OFFSETS 'short:0=150'");
    server.until("SELECT count(), uniqExact(id) FROM waits_dst", "150\t150", WAIT);

    // Partitions come while it runs.
    broker.create_topic("grows", 1);
    stream(&server, "grows", &broker.address(), "grows", FAST);
    send(&broker, "grows", 0, 0..50);
    server.until("SELECT count() FROM grows_dst", "50", WAIT);
    admin(&broker, async |a, o| {
        a.create_partitions(&[NewPartitions::new("grows", 3)], o).await.expect("partitions")
    });
    send(&broker, "grows", 2, 50..100);
    server.until("SELECT count(), uniqExact(id), uniqExact(p) FROM grows_dst", "100\t100\t2", WAIT);

    // Aborted transactions, markers at the end, tombstones.
    broker.create_topic("tx", 1);
    stream(&server, "tx", &broker.address(), "tx", FAST);
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("transactional.id", "t1")
        .create()
        .expect("a producer");
    producer.init_transactions(WAIT).expect("transactions");
    for batch in 0..4u64 {
        producer.begin_transaction().expect("begun");
        for id in batch * 50..(batch + 1) * 50 {
            let payload = format!("{{\"id\":{id}}}");
            producer.send(BaseRecord::<(), str>::to("tx").payload(&payload)).expect("sent");
        }
        producer.send(BaseRecord::<str, str>::to("tx").key("k")).expect("a tombstone");
        match batch % 2 {
            0 => producer.commit_transaction(WAIT).expect("committed"),
            _ => producer.abort_transaction(WAIT).expect("aborted"),
        }
    }
    server.until(
        "SELECT count(), uniqExact(id), countIf(id >= 50 AND id < 100 OR id >= 150) FROM tx_dst",
        "100\t100\t0",
        WAIT,
    );
    // Nothing but a marker is left: that is no lag.
    server.until("SELECT lag FROM system.kafka_consumers WHERE table = 'tx'", "0", WAIT);
}

#[test]
fn a_second_server_and_a_closed_door() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_second_server_and_a_closed_door", &why),
    };
    broker.create_topic("shared", 4);
    let one = Server::start("one");
    let mut two = Server::start("two");
    stream(&one, "s", &broker.address(), "shared", "");
    for from in [0, 250] {
        for partition in 0..4 {
            send(&broker, "shared", partition, from..from + 250);
        }
        if from == 0 {
            one.until("SELECT count(), uniqExact(p, o) FROM s_dst", "1000\t1000", WAIT);
            stream(&two, "s", &broker.address(), "shared", "");
            std::thread::sleep(Duration::from_secs(3));
        }
    }
    let total = |server: &Server| server.number("SELECT count() FROM s_dst");
    eventually("both have it all", WAIT, || (total(&one) + total(&two) >= 2_000).then_some(()));
    // Each server takes an offset once; between two servers it is at least once.
    for server in [&one, &two] {
        assert_eq!(server.sql("SELECT count() = uniqExact(p, o) FROM s_dst"), "1");
    }
    // The second goes and leaves its offsets with the group; the first goes on at its own offsets and says
    // that the group is ahead of it.
    assert_eq!(two.terminate(), Some(0));
    for partition in 0..4 {
        send(&broker, "shared", partition, 500..600);
    }
    one.until("SELECT count(), uniqExact(p, o) FROM s_dst", "2400\t2400", WAIT);
    let ahead = one.number("SELECT count() FROM system.kafka_events WHERE event = 'group ahead'");
    assert!(ahead > 0, "another user of the group shows: {ahead} events");

    // A client that the broker does not let in: said, without the password.
    let sasl = ", kafka_security_protocol = 'SASL_PLAINTEXT', kafka_sasl_mechanism = 'PLAIN', \
                kafka_sasl_username = 'u', kafka_sasl_password = 'hunter2', \
                kafka_properties = 'ssl.key.password=hunter3;client.rack=r'";
    stream(&one, "closed", &broker.address(), "shared", sasl);
    let error = eventually("the failure shows", WAIT, || {
        let text = one.sql("SELECT last_error FROM system.kafka_consumers WHERE table = 'closed'");
        (!text.is_empty()).then_some(text)
    });
    assert!(!error.contains("hunter"), "{error}");
    for statement in [
        "SHOW CREATE TABLE closed",
        "SELECT * FROM system.tables WHERE name = 'closed'",
        "SELECT * FROM system.kafka_consumers WHERE table = 'closed'",
        "SELECT * FROM system.kafka_events",
    ] {
        let text = one.sql(statement);
        assert!(!text.contains("hunter"), "{statement} shows a secret: {text}");
    }
    assert!(!one.log_text().contains("hunter"));
}

#[test]
fn a_client_that_fails_for_good_is_made_anew() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_client_that_fails_for_good", &why),
    };
    broker.create_topic("fatal", 2);
    let fault = std::env::temp_dir().join(format!("pumphouse-fatal-{}", std::process::id()));
    let fault = fault.to_string_lossy().into_owned();
    let server =
        Server::start_configured("fatal", &[("PUMPHOUSE_TEST_KAFKA_FATAL", fault.as_str())]);
    stream(&server, "src", &broker.address(), "fatal", FAST);
    send(&broker, "fatal", 0, 0..1000);
    server.until("SELECT count(), uniqExact(id) FROM src_dst", "1000\t1000", WAIT);
    std::fs::write(&fault, "").expect("the fault is set");
    let told = "SELECT count() > 0 FROM system.kafka_events WHERE event = 'failed' AND message LIKE '%fatal%made anew%'";
    server.until(told, "1", WAIT);
    send(&broker, "fatal", 1, 1000..2000);
    server.until("SELECT count(), uniqExact(id) FROM src_dst", "2000\t2000", WAIT);
    assert!(server.log_text().contains("fatal, the client is made anew"));
    assert_eq!(server.sql("SELECT state FROM system.kafka_consumers"), "consuming");
}

#[test]
fn a_view_slower_than_the_poll_interval() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_view_slower_than_the_poll_interval", &why),
    };
    broker.create_topic("slow", 2);
    let server = Server::start("slow");
    server.sql("CREATE TABLE dst (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{}', 'slow', 'g', 'JSONEachRow') SETTINGS kafka_session_timeout_ms = '6000', \
         kafka_max_poll_interval_ms = '6000', kafka_max_block_size = 1000",
        broker.address()
    ));
    // Nine seconds a block: half as long again as a member may stay away.
    server.sql(
        "CREATE MATERIALIZED VIEW mv TO dst AS SELECT id FROM src WHERE sleep(3) = 0 AND sleep(2.9) = 0 AND sleep(2.8) = 0",
    );
    send(&broker, "slow", 0, 0..1500);
    send(&broker, "slow", 1, 1500..3000);
    server.until("SELECT count(), uniqExact(id) FROM dst", "3000\t3000", WAIT);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.sql("SELECT count(), uniqExact(id) FROM dst"), "3000\t3000", "nothing twice");
    let rebalances = "SELECT num_rebalance_revocations, num_rebalance_assignments, num_commits >= 3 FROM system.kafka_consumers";
    assert_eq!(server.sql(rebalances), "0\t1\t1", "no rebalance");
}
