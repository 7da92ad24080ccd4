//! A broker that is killed, frozen and far away, members that come and go, a server that sleeps through its
//! session: each message is in the table once, and the table goes on by itself.
//!
//! Nothing here depends on how long a thing takes: faults are laid over a steady stream of messages, and the end
//! is waited for. Counts and the longest stall are printed. `PUMPHOUSE_STORMS` multiplies the rounds.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::harness::kafka::Broker;
use crate::harness::producer::Load;
use crate::harness::proxy::{Proxy, Weather};
use crate::harness::server::Server;
use crate::harness::{eventually, from_environment, signal, skipped};

const WAIT: Duration = Duration::from_secs(120);
const PARTITIONS: u64 = 4;

fn stream(server: &Server, brokers: &str, more: &str) {
    for sql in [
        "CREATE TABLE dst (id UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id"
            .to_string(),
        format!(
            "CREATE TABLE src (id UInt64) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
             kafka_topic_list = 'storm', kafka_group_name = 'storm', kafka_format = 'JSONEachRow', \
             kafka_num_consumers = 2, kafka_thread_per_consumer = 1, kafka_flush_interval_ms = 100{more}"
        ),
        "CREATE MATERIALIZED VIEW mv TO dst AS SELECT id, _partition AS p, _offset AS o FROM src"
            .into(),
    ] {
        server.sql(&sql);
    }
}

/// Waits until more is in the table than now; how long that took.
fn goes_on(server: &Server) -> Duration {
    let (began, before) = (Instant::now(), server.number("SELECT count() FROM dst"));
    eventually("the table goes on", WAIT, || {
        (server.number("SELECT count() FROM dst") > before).then_some(())
    });
    began.elapsed()
}

fn verify(server: &Server, sent: u64) {
    let rows = "SELECT count(), uniqExact(id), uniqExact(p, o) FROM dst";
    server.until(rows, &format!("{sent}\t{sent}\t{sent}"), WAIT);
    let state = "SELECT groupUniqArray(state) FROM system.kafka_consumers";
    server.until(state, "['consuming']", WAIT);
}

#[test]
fn a_broker_killed_and_frozen() {
    let mut broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_broker_killed_and_frozen", &why),
    };
    broker.create_topic("storm", PARTITIONS as i32);
    let mut server = Server::start("storm-broker");
    stream(&server, &broker.address(), "");
    let load = Load::start(broker.address(), "storm", PARTITIONS, 100);
    goes_on(&server);
    let (rounds, mut stall) = (from_environment("PUMPHOUSE_STORMS", 1), Duration::ZERO);
    for _ in 0..rounds {
        broker.restart();
        stall = stall.max(goes_on(&server));
        broker.freeze();
        std::thread::sleep(Duration::from_secs(2));
        broker.thaw();
        stall = stall.max(goes_on(&server));
    }
    let sent = load.finish();
    verify(&server, sent);
    eprintln!(
        "{rounds} kills and {rounds} freezes of the broker, {sent} messages, longest stall {stall:?}"
    );
    // A broker that is gone does not keep the server from ending.
    drop(broker);
    let began = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
}

#[test]
fn members_come_and_go_and_the_server_sleeps() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("members_come_and_go", &why),
    };
    broker.create_topic("storm", PARTITIONS as i32);
    let server = Server::start("storm-members");
    stream(&server, &broker.address(), ", kafka_session_timeout_ms = 6000");
    let load = Load::start(broker.address(), "storm", PARTITIONS, 100);
    goes_on(&server);
    let rounds = 3 * from_environment("PUMPHOUSE_STORMS", 1);
    for _ in 0..rounds {
        let member: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.address())
            .set("group.id", "storm")
            .set("enable.auto.commit", "true")
            .set("auto.offset.reset", "earliest")
            .set("log_level", "0")
            .create()
            .expect("a consumer");
        member.subscribe(&["storm"]).expect("subscription");
        eventually("the member is given partitions", WAIT, || {
            let _ = member.poll(Duration::from_millis(100));
            (member.assignment().ok()?.count() > 0).then_some(())
        });
        // It commits what it has read, for us to pay no heed to.
        let _ = member.poll(Duration::from_millis(100));
        drop(member);
        goes_on(&server);
    }
    // Longer than its session: the group takes it for dead.
    signal(server.pid(), "-STOP");
    std::thread::sleep(Duration::from_secs(8));
    signal(server.pid(), "-CONT");
    goes_on(&server);
    let sent = load.finish();
    verify(&server, sent);
    let rebalances = "SELECT sum(num_rebalance_assignments) FROM system.kafka_consumers";
    let rebalances = server.number(rebalances);
    let fenced = server.number("SELECT count() FROM system.kafka_events WHERE event = 'fenced'");
    eprintln!(
        "{rounds} members, {rebalances} assignments, {fenced} rejected blocks, {sent} messages"
    );
    assert!(rebalances > rounds as i64, "the group was shared: {rebalances}");
}

#[test]
fn a_network_that_fails() {
    let proxy = Proxy::new();
    let broker = match Broker::start_behind(proxy.port) {
        Ok(broker) => broker,
        Err(why) => return skipped("a_network_that_fails", &why),
    };
    proxy.pass_to(broker.inner_port);
    broker.create_topic("storm", PARTITIONS as i32);
    let server = Server::start("storm-network");
    let brokers = format!("127.0.0.1:{}", proxy.port);
    // What a silent connection costs is this setting; a minute unless set.
    stream(
        &server,
        &brokers,
        ", kafka_socket_timeout_ms = 3000, kafka_reconnect_backoff_max_ms = 500",
    );
    let load = Load::start(broker.address(), "storm", PARTITIONS, 100);
    goes_on(&server);
    let threads =
        || std::fs::read_dir(format!("/proc/{}/task", server.pid())).map_or(0, Iterator::count);
    let (before, rounds) = (threads(), from_environment("PUMPHOUSE_STORMS", 1));
    let (mut faults, mut slowest) = (0, Duration::ZERO);
    for _ in 0..rounds {
        for weather in [Weather::Reset, Weather::Slow, Weather::Cut, Weather::Silent] {
            proxy.set(weather);
            std::thread::sleep(Duration::from_millis(1000));
            proxy.set(Weather::Fine);
            faults += 1;
            slowest = slowest.max(goes_on(&server));
        }
    }
    let sent = load.finish();
    verify(&server, sent);
    let after = threads();
    assert!(after <= before + 12, "no thread is left behind: {before} before, {after} after");
    assert!(proxy.accepted() > 3, "the server came by the proxy");
    eprintln!(
        "{faults} faults of the network, {sent} messages, slowest return {slowest:?}, {} connections",
        proxy.accepted()
    );
}
