//! A schema registry over https, and heads of messages that are passed over.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port, skipped};

const WAIT: Duration = Duration::from_secs(60);

/// Serves the files of a folder by https; killed on drop.
struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Registry {
    fn start(folder: &Path, port: u16) -> Result<Registry, String> {
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem",
            ])
            .args(["-out", "certificate.pem", "-subj", "/CN=127.0.0.1"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .current_dir(folder)
            .output()
            .map_err(|e| format!("openssl cannot be run: {e}"))?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}")])
            .args(["-cert", "certificate.pem", "-key", "key.pem"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        Ok(Registry(child))
    }
}

/// Avro's variable-length number.
fn avro_long(n: i64, out: &mut Vec<u8>) {
    let mut left = ((n << 1) ^ (n >> 63)) as u64;
    while left >= 0x80 {
        out.push((left as u8 & 0x7f) | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// As Confluent's clients write it: a zero, the schema's number, the record.
fn confluent(schema: u32, id: i64, name: &str) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&schema.to_be_bytes());
    avro_long(id, &mut message);
    avro_long(name.len() as i64, &mut message);
    message.extend_from_slice(name.as_bytes());
    message
}

#[test]
fn a_registry_over_https_and_heads_to_skip() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("a_registry_over_https", &why),
    };
    let (folder, port) = (TestFolder::new("registry"), free_port());
    let schemas = folder.0.join("schemas/ids");
    std::fs::create_dir_all(&schemas).expect("a folder");
    let schema = r#"{"schema": "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"name\",\"type\":\"string\"}]}"}"#;
    std::fs::write(schemas.join("7"), schema).expect("a schema");
    let _registry = match Registry::start(&folder.0, port) {
        Ok(registry) => registry,
        Err(why) => return skipped("a_registry_over_https", &why),
    };
    broker.create_topic("avro", 1);
    broker.create_topic("heads", 1);
    let producer = Producer::new(&broker.address());
    for id in 0..100 {
        producer.send("avro", 0, Some(&confluent(7, id, &format!("n{id}"))));
        let mut headed = vec![3, 0, 1, 2, 255];
        headed.extend_from_slice(format!("{{\"id\":{id}}}").as_bytes());
        producer.send("heads", 0, Some(&headed));
    }
    producer.send("heads", 0, Some(b"abc"));
    producer.finish();
    let certificate = folder.0.join("certificate.pem").to_string_lossy().into_owned();
    let address = broker.address();
    let avro = format!(
        "CREATE TABLE avro (id Int64, name String) ENGINE = Kafka('{address}', 'avro', 'g', 'AvroConfluent') \
         SETTINGS format_avro_schema_registry_url = 'https://127.0.0.1:{port}', kafka_handle_error_mode = 'dead_letter_queue', \
         format_avro_schema_registry_max_retries = 0"
    );
    let create = |server: &Server| {
        server.sql("CREATE TABLE avro_dst (id Int64, name String) ENGINE = MergeTree ORDER BY id");
        server.sql(&avro);
        server.sql("CREATE MATERIALIZED VIEW avro_mv TO avro_dst AS SELECT id, name FROM avro");
    };
    // A certificate that nobody vouches for is not taken, and no message is blamed for it.
    let stranger = Server::start("registry-stranger");
    create(&stranger);
    let told = "SELECT max(last_error LIKE '%certificate%') FROM system.kafka_consumers";
    stranger.until(told, "1", WAIT);
    assert_eq!(stranger.sql("SELECT count() FROM avro_dst"), "0");
    drop(stranger);
    let server = Server::start_configured("registry", &[("SSL_CERT_FILE", certificate.as_str())]);
    create(&server);
    server.until("SELECT count(), sum(id), uniqExact(name) FROM avro_dst", "100\t4950\t100", WAIT);
    server.sql("CREATE TABLE heads_dst (id UInt64, error String) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE heads (id UInt64) ENGINE = Kafka('{address}', 'heads', 'g', 'JSONEachRow') \
         SETTINGS kafka_schema_registry_skip_bytes = 5, kafka_handle_error_mode = 'stream'"
    ));
    server.sql(
        "CREATE MATERIALIZED VIEW heads_mv TO heads_dst AS SELECT id, _error AS error FROM heads",
    );
    let found = "SELECT countIf(error = ''), sum(id), countIf(error LIKE '%skip_bytes = 5%') FROM heads_dst";
    server.until(found, "100\t4950\t1", WAIT);
    let refused = "CREATE TABLE x (id UInt64) ENGINE = Kafka('k', 't', 'g', 'JSONEachRow') SETTINGS kafka_schema_registry_skip_bytes = 256";
    assert_eq!(server.error(refused).0, 36);
}
