//! SSL and SASL against a real broker: every mechanism reads and writes, a wrong password is told without
//! being shown, and no secret is in any place that people look at.

use std::time::Duration;

use crate::harness::kafka::{Broker, PASSWORD};
use crate::harness::producer::Producer;
use crate::harness::server::Server;
use crate::harness::skipped;

const WAIT: Duration = Duration::from_secs(60);
const WRONG: &str = "wrong-sesame-0815";

/// What the settings of a table say of the connection.
fn connection(broker: &Broker, mechanism: &str, password: &str) -> String {
    let login = match mechanism {
        "OAUTHBEARER" => "kafka_enable_sasl_oauthbearer_unsecure_jwt = 'true', \
                          kafka_sasl_oauthbearer_config = 'principal=alice'"
            .to_string(),
        _ => format!("kafka_sasl_username = 'alice', kafka_sasl_password = '{password}'"),
    };
    format!(
        "kafka_broker_list = '127.0.0.1:{}', kafka_security_protocol = 'SASL_SSL', \
         kafka_sasl_mechanism = '{mechanism}', {login}, kafka_ssl_ca_location = '{}', \
         kafka_format = 'JSONEachRow'",
        broker.secure_port,
        broker.certificate().display()
    )
}

#[test]
fn sasl_over_ssl() {
    if !pumphouse_ingest::kafka::has_ssl() {
        return skipped("sasl_over_ssl", "built without the feature ssl");
    }
    let broker = match Broker::start_secure() {
        Ok(broker) => broker,
        Err(why) => return skipped("sasl_over_ssl", &why),
    };
    let server = Server::start("secure");
    let producer = Producer::new(&broker.address());
    let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"];
    for mechanism in mechanisms {
        let topic = mechanism.to_ascii_lowercase();
        let name = topic.replace('-', "_");
        broker.create_topic(&topic, 1);
        server.sql(&format!("CREATE TABLE to_{name} (id UInt64) ENGINE = MergeTree ORDER BY id"));
        server.sql(&format!(
            "CREATE TABLE {name} (id UInt64) ENGINE = Kafka SETTINGS kafka_topic_list = '{topic}', \
             kafka_group_name = '{name}', {}",
            connection(&broker, mechanism, PASSWORD)
        ));
        server.sql(&format!(
            "CREATE MATERIALIZED VIEW v_{name} TO to_{name} AS SELECT * FROM {name}"
        ));
        for id in 0..100 {
            producer.send(&topic, 0, Some(format!("{{\"id\":{id}}}").as_bytes()));
        }
        producer.finish();
        server.sql(&format!("INSERT INTO {name} SELECT number + 100 AS id FROM numbers(100)"));
    }
    for mechanism in mechanisms {
        let name = mechanism.to_ascii_lowercase().replace('-', "_");
        server.until(&format!("SELECT count(), uniqExact(id) FROM to_{name}"), "200\t200", WAIT);
    }
    wrong_password(&broker, &server);
    no_secret_is_seen(&server);
}

fn wrong_password(broker: &Broker, server: &Server) {
    server.sql("CREATE TABLE to_refused (id UInt64) ENGINE = MergeTree ORDER BY id");
    server.sql(&format!(
        "CREATE TABLE refused (id UInt64) ENGINE = Kafka SETTINGS kafka_topic_list = 'plain', \
         kafka_group_name = 'r', {}",
        connection(broker, "SCRAM-SHA-256", WRONG)
    ));
    server.sql("CREATE MATERIALIZED VIEW v_refused TO to_refused AS SELECT * FROM refused");
    server.until(
        "SELECT max(position(last_error, 'uthentication') > 0) FROM system.kafka_consumers \
         WHERE table = 'refused'",
        "1",
        WAIT,
    );
    server.error(&format!(
        "CREATE TABLE bad (id UInt64) ENGINE = Kafka SETTINGS kafka_topic_list = 'plain', \
         kafka_group_name = 'r', kafka_ssl_key_password = '{WRONG}', kafka_session_timeout_ms = 'x', {}",
        connection(broker, "PLAIN", WRONG)
    ));
    server.sql(&format!("ALTER TABLE refused MODIFY SETTING `kafka_sasl_password` = '{WRONG}'"));
    let dropped = format!("DROP TABLE nosuch SETTINGS kafka_sasl_password = '{WRONG}'");
    server.error(&dropped);
}

/// Reads whatever shows texts and looks for the passwords.
fn no_secret_is_seen(server: &Server) {
    let mut seen = vec![("log".to_string(), server.log_text())];
    // Numbers and zeros have no end.
    let tables = server.sql(
        "SELECT name FROM system.tables WHERE database = 'system' \
         AND NOT match(name, '^(numbers|zeros|one|primes|generate)')",
    );
    for table in tables.lines() {
        if let Ok(answer) =
            server.send(&format!("SELECT * FROM system.{table} LIMIT 2000 FORMAT JSONEachRow"))
        {
            seen.push((table.to_string(), answer.text()));
        }
    }
    seen.push(("SHOW CREATE".into(), server.sql("SHOW CREATE TABLE scram_sha_256")));
    seen.push(("SHOW CREATE altered".into(), server.sql("SHOW CREATE TABLE refused")));
    assert!(seen.iter().any(|(_, text)| text.contains("[HIDDEN]")));
    for (place, text) in seen {
        for secret in [PASSWORD, WRONG] {
            assert!(!text.contains(secret), "{place} shows the password: {text}");
        }
    }
}
