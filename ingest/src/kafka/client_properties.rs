//! From [`KafkaSettings`] to librdkafka properties, for consumers and producers.
//!
//! Precedence, low to high: our defaults, `kafka_properties`, the table's own settings, and what
//! exactly-once rests on (`FIXED`), which nobody can override. Every client-side queue is bounded.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use pumphouse_query::error::{Error, Result, codes};

use super::settings::{Assignment, KafkaSettings};

/// Properties that users cannot set: offsets are ours, a reset must be seen, records are checked.
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("isolation.level", "read_committed"),
];

/// Names in their own settings, or that would break what we rest on.
const RESERVED: &[&str] =
    &["bootstrap.servers", "metadata.broker.list", "group.id", "sasl.password"];

const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    ("statistics.interval.ms", "1000"),
    // A server that is gone for good is given up after this long, not after librdkafka's 45 s.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    ("queued.min.messages", "100000"),
    ("queued.max.messages.kbytes", "65536"),
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.error.backoff.ms", "200"),
    ("fetch.max.bytes", "16777216"),
    ("fetch.message.max.bytes", "4194304"),
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("allow.auto.create.topics", "false"),
    ("reconnect.backoff.max.ms", "5000"),
    ("socket.keepalive.enable", "true"),
];

/// Splits `a=b; c=d` and refuses what is not ours to give away.
pub(super) fn parse_properties(text: &str) -> Result<Vec<(String, String)>> {
    let bad = |message: String| Error::new(codes::BAD_ARGUMENTS, message);
    let mut properties = vec![];
    for item in text.split(';').map(str::trim).filter(|i| !i.is_empty()) {
        let Some((name, value)) = item.split_once('=') else {
            return Err(bad(format!("kafka_properties: '{item}' is not name=value")));
        };
        let name = name.trim();
        if RESERVED.contains(&name) || FIXED.iter().any(|(n, _)| *n == name) {
            return Err(bad(format!("kafka_properties: '{name}' cannot be set there")));
        }
        properties.push((name.to_string(), value.trim().to_string()));
    }
    Ok(properties)
}

/// Whether the value of a librdkafka property may be secret.
fn is_secret(name: &str) -> bool {
    let secret = ["password", "secret", "token", "key.pem", "jaas", "oauthbearer.config"];
    secret.iter().any(|s| name.contains(s))
}

/// What a client's error says, without the value of a property that may be secret.
pub(super) fn error_text(e: &KafkaError) -> String {
    match e {
        KafkaError::ClientConfig(_, text, name, value) => {
            let hide = is_secret(name) && !value.is_empty();
            let text = if hide { text.replace(value, "[HIDDEN]") } else { text.clone() };
            format!("property {name}: {text}")
        }
        e => e.to_string(),
    }
}

/// The text of `kafka_properties` for people to see: values that may be secret are hidden.
pub fn hide_properties(text: &str) -> String {
    let items = text.split(';').map(|item| match item.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=[HIDDEN]"),
        _ => item.to_string(),
    });
    items.collect::<Vec<_>>().join(";")
}

fn base(settings: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    config.set("bootstrap.servers", &settings.broker_list);
    config.set("client.id", client_id);
    for (name, value) in [
        ("security.protocol", settings.security_protocol.as_str()),
        ("sasl.mechanism", &settings.sasl_mechanism),
        ("sasl.username", &settings.sasl_username),
        ("sasl.password", settings.sasl_password.expose()),
    ] {
        if !value.is_empty() {
            config.set(name, value);
        }
    }
    config
}

/// Properties of one consumer. `instance_id` names it across restarts: after a crash it takes its place
/// in the group again at once, instead of waiting until the broker gives the dead member up.
pub(super) fn consumer(
    settings: &KafkaSettings,
    client_id: &str,
    instance_id: &str,
) -> ClientConfig {
    let mut config = base(settings, client_id);
    for (name, value) in CONSUMER_DEFAULTS {
        config.set(*name, *value);
    }
    if settings.assignment == Assignment::Group {
        config.set("group.instance.id", instance_id);
    }
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    // A consumer without a group still needs an id for librdkafka's consumer queue.
    let group = if settings.group_name.is_empty() { client_id } else { &settings.group_name };
    config.set("group.id", group);
    for (name, value) in FIXED {
        config.set(*name, *value);
    }
    config
}

/// Properties of a producer: idempotent, bounded.
pub(super) fn producer(settings: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = base(settings, client_id);
    config.set("enable.idempotence", "true");
    config.set("queue.buffering.max.kbytes", "65536");
    config.set("linger.ms", "5");
    config.set("message.timeout.ms", "30000");
    if !settings.compression_codec.is_empty() {
        config.set("compression.codec", &settings.compression_codec);
        config.set("compression.level", settings.compression_level.to_string());
    }
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_properties_are_hidden() {
        let text = "client.rack=a; ssl.key.password=p=q;sasl.oauthbearer.client.secret=s";
        assert_eq!(
            hide_properties(text),
            "client.rack=a; ssl.key.password=[HIDDEN];sasl.oauthbearer.client.secret=[HIDDEN]"
        );
    }
}
