//! Views that come, change and go under load: each offset is seen by exactly one version of each view,
//! and POPULATE joins what was there before to what comes, each offset once.

use std::time::{Duration, Instant};

use crate::harness::kafka::Broker;
use crate::harness::producer::{Load, Producer};
use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port, skipped};

const WAIT: Duration = Duration::from_secs(90);
const PARTITIONS: u64 = 3;

fn source(server: &Server, brokers: &str, topic: &str) {
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{brokers}', '{topic}', 'g', 'JSONEachRow') \
         SETTINGS kafka_flush_interval_ms = 100, kafka_num_consumers = 2, kafka_thread_per_consumer = 1"
    ));
}

#[test]
fn a_view_is_filled_under_load() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_view_is_filled_under_load", &why),
    };
    broker.create_topic("fill", PARTITIONS as i32);
    let folder = TestFolder::new("fill");
    let (data, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data, port, &[]);
    source(&server, &broker.address(), "fill");
    for name in ["first", "filled", "since"] {
        server.sql(&format!(
            "CREATE TABLE {name} (id UInt64, p UInt64, o UInt64) ENGINE = MergeTree ORDER BY id"
        ));
    }
    let select = "SELECT id, _partition AS p, _offset AS o FROM src";
    server.sql(&format!("CREATE MATERIALIZED VIEW first_mv TO first AS {select}"));
    let load = Load::start(broker.address(), "fill", PARTITIONS, 300);
    server.until("SELECT count() > 20000 AND uniqExact(p) = 3 FROM first", "1", WAIT);
    let between_ms = server.sql("SELECT toUnixTimestamp64Milli(now64(3))");
    std::thread::sleep(Duration::from_millis(500));
    server.sql(&format!("CREATE MATERIALIZED VIEW filled_mv TO filled POPULATE AS {select}"));
    server.sql(&format!(
        "CREATE MATERIALIZED VIEW since_mv TO since POPULATE FROM TIMESTAMP '{between_ms}' AS {select}"
    ));
    // Killed while it fills.
    server.kill();
    server = Server::spawn(&data, port, &[]).wait_ready();
    std::thread::sleep(Duration::from_secs(2));
    server.kill();
    server = Server::spawn(&data, port, &[]).wait_ready();
    let sent = load.finish();
    let sum = sent * (sent - 1) / 2;
    let whole = format!("{sent}\t{sent}\t{sent}\t{sum}");
    for table in ["first", "filled"] {
        let sql = format!("SELECT count(), uniqExact(id), uniqExact(p, o), sum(id) FROM {table}");
        server.until(&sql, &whole, WAIT);
    }
    // From the time on, without a hole: per partition as many as there are offsets.
    let since = "SELECT count() = uniqExact(id) AND count() < (SELECT count() FROM first) AND max(id) = \
                 (SELECT max(id) FROM first) FROM since";
    server.until(since, "1", WAIT);
    let holes = "SELECT sum(n != span) FROM (SELECT p, count() AS n, max(o) - min(o) + 1 AS span FROM since GROUP BY p)";
    server.until(holes, "0", WAIT);
    assert_eq!(
        server.error("CREATE MATERIALIZED VIEW x TO first POPULATE FROM TIMESTAMP 'soon' AS SELECT id FROM src").0,
        36
    );
}

#[test]
fn a_first_view_begins_at_the_beginning() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_first_view_begins_at_the_beginning", &why),
    };
    broker.create_topic("whole", PARTITIONS as i32);
    let producer = Producer::new(&broker.address());
    for id in 0..3000u64 {
        let partition = (id % PARTITIONS) as i32;
        producer.send("whole", partition, Some(format!("{{\"id\":{id}}}").as_bytes()));
    }
    producer.finish();
    let server = Server::start("whole");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64) ENGINE = Kafka('{}', 'whole', 'g', 'JSONEachRow') \
         SETTINGS kafka_auto_offset_reset = 'latest'",
        broker.address()
    ));
    server.sql(
        "CREATE MATERIALIZED VIEW mv ENGINE = MergeTree ORDER BY id POPULATE AS SELECT id FROM src",
    );
    server.until("SELECT count(), uniqExact(id) FROM mv", "3000\t3000", WAIT);
}

#[test]
fn views_change_under_load() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("views_change_under_load", &why),
    };
    broker.create_topic("change", PARTITIONS as i32);
    let server = Server::start("change");
    source(&server, &broker.address(), "change");
    for name in ["dst", "late"] {
        server.sql(&format!(
            "CREATE TABLE {name} (id UInt64, p UInt64, o UInt64, version UInt32) ENGINE = MergeTree ORDER BY id"
        ));
    }
    let select = |version: u32| {
        format!("SELECT id, _partition AS p, _offset AS o, {version} AS version FROM src")
    };
    server.sql(&format!("CREATE MATERIALIZED VIEW mv TO dst AS {}", select(0)));
    let load = Load::start(broker.address(), "change", PARTITIONS, 300);
    let rows_of = |version: u32| format!("SELECT count() > 0 FROM dst WHERE version = {version}");
    let mut version = 0;
    for _ in 0..4 {
        server.until(&rows_of(version), "1", WAIT);
        version += 1;
        server.sql(&format!("ALTER TABLE mv MODIFY QUERY {}", select(version)));
        server.until(&rows_of(version), "1", WAIT);
        version += 1;
        // A new view in the old one's place, in one step.
        server
            .sql(&format!("CREATE OR REPLACE MATERIALIZED VIEW mv TO dst AS {}", select(version)));
        // Another view comes and goes beside it.
        server.sql(&format!("CREATE MATERIALIZED VIEW late_mv TO late AS {}", select(version)));
        std::thread::sleep(Duration::from_millis(400));
        server.sql("DROP VIEW late_mv");
    }
    server.until(&rows_of(version), "1", WAIT);
    let sent = load.finish();
    server.until("SELECT count(), uniqExact(id) FROM dst", &format!("{sent}\t{sent}"), WAIT);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(server.sql("SELECT count(), uniqExact(p, o) FROM dst"), format!("{sent}\t{sent}"));
    // Along a partition's offsets the version only grows.
    let order = "SELECT countIf(last > first_of_next) FROM (SELECT p, version, max(o) AS last, \
                 leadInFrame(min(o), 1, 1000000000) OVER (PARTITION BY p ORDER BY version \
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_of_next \
                 FROM dst GROUP BY p, version)";
    assert_eq!(server.sql(order), "0");
    // The one that came and went saw a run of offsets each time, none twice.
    assert_eq!(server.sql("SELECT count() = uniqExact(p, o) FROM late"), "1");
    let runs = "SELECT sum(n != span) FROM (SELECT p, version, count() AS n, max(o) - min(o) + 1 AS span \
                FROM late GROUP BY p, version)";
    assert_eq!(server.sql(runs), "0");
}

#[test]
fn views_and_targets_are_exchanged_under_load() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("views_and_targets_are_exchanged_under_load", &why),
    };
    broker.create_topic("exchange", PARTITIONS as i32);
    let server = Server::start("exchange");
    source(&server, &broker.address(), "exchange");
    for name in ["a", "b"] {
        server.sql(&format!(
            "CREATE TABLE {name} (id UInt64, p UInt64, o UInt64, v String) ENGINE = MergeTree ORDER BY id"
        ));
        server.sql(&format!(
            "CREATE MATERIALIZED VIEW {name}_mv TO {name} AS \
             SELECT id, _partition AS p, _offset AS o, '{name}' AS v FROM src"
        ));
    }
    let load = Load::start(broker.address(), "exchange", PARTITIONS, 300);
    let rows = || -> u64 {
        let both = server.sql("SELECT count() FROM (SELECT * FROM a UNION ALL SELECT * FROM b)");
        both.parse().expect("a count")
    };
    for round in 0..12 {
        // However slow the machine is, blocks begin and end between the changes: both tables take part.
        for _ in 0..2 {
            let (before, deadline) = (rows(), Instant::now() + WAIT);
            while rows() == before {
                assert!(Instant::now() < deadline, "round {round}: no row came");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        match round % 3 {
            0 => server.sql("EXCHANGE TABLES a_mv AND b_mv"),
            1 => server.sql("EXCHANGE TABLES a AND b"),
            _ => server.sql("RENAME TABLE a TO c, b TO a, c TO b"),
        };
    }
    let sent = load.finish();
    // Of each view every offset once, wherever its rows went.
    let both = "SELECT v, count(), uniqExact(p, o), uniqExact(id) FROM (SELECT * FROM a UNION ALL SELECT * FROM b) \
                GROUP BY v ORDER BY v";
    let whole = format!("a\t{sent}\t{sent}\t{sent}\nb\t{sent}\t{sent}\t{sent}");
    server.until(both, &whole, WAIT);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(server.sql(both), whole);
    // Both tables took part, and a block of a view went to one of them.
    assert_eq!(server.sql("SELECT count() > 0 FROM a WHERE v = 'b'"), "1");
    assert_eq!(server.sql("SELECT count() > 0 FROM b WHERE v = 'b'"), "1");
}
