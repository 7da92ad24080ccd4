//! A backlog much larger than the memory that a control group allows: it is caught up with, and the server is not
//! killed. `benches/kafka/measure.py catch-up` is the large version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port, skipped};

const WAIT: Duration = Duration::from_secs(120);
const LIMIT_BYTES: u64 = 384 << 20;
const ROWS: u64 = 1_500_000;

/// A memory control group of either version; removed on drop.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Result<Group, String> {
        let places =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (root, limit) in places {
            let folder = Path::new(root).join(format!("{name}-{}", std::process::id()));
            if !Path::new(root).exists() || std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Group(folder);
            if std::fs::write(group.0.join(limit), LIMIT_BYTES.to_string()).is_ok() {
                return Ok(group);
            }
        }
        Err("no memory control group can be made".into())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_backlog_is_caught_up_with_in_little_memory() {
    let test = "a_backlog_is_caught_up_with_in_little_memory";
    let group = match Group::new("pumphouse-e2e") {
        Ok(group) => group,
        Err(why) => return skipped(test, &why),
    };
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped(test, &why),
    };
    broker.create_topic("backlog", 4);
    let producer = Producer::new(&broker.address());
    let text = "some text that makes the message longer, ".repeat(5);
    for id in 0..ROWS {
        let payload = format!("{{\"id\":{id},\"text\":\"{text}{}\"}}", id % 1000);
        producer.send("backlog", (id % 4) as i32, Some(payload.as_bytes()));
    }
    producer.finish();
    let folder = TestFolder::new("little-memory");
    let mut server = Server::start_limited(&folder.0.join("data"), free_port(), &group.0);
    server.sql("CREATE TABLE dst (id UInt64, text String) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE src (id UInt64, text String) ENGINE = Kafka('{}', 'backlog', 'g', 'JSONEachRow') \
         SETTINGS kafka_num_consumers = 4, kafka_thread_per_consumer = 1",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW mv TO dst AS SELECT * FROM src");
    server.until("SELECT count() FROM dst", &ROWS.to_string(), WAIT);
    let sum = ROWS * (ROWS - 1) / 2;
    assert_eq!(server.sql("SELECT count(), sum(id) FROM dst"), format!("{ROWS}\t{sum}"));
    // A query that wants what is not there is refused; nobody is killed for it.
    let greedy = "SELECT count() FROM (SELECT text, groupArray(id) FROM dst GROUP BY text, id)";
    if let Ok(answer) = server.send(greedy) {
        assert!(
            answer.status == 200 || answer.text().contains("MEMORY_LIMIT"),
            "{}",
            answer.text()
        );
    }
    assert!(!server.has_ended(), "it is still there");
}
