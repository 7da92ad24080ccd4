//! From [`KafkaSettings`] to librdkafka properties, for consumers and producers.
//!
//! Precedence, low to high: our defaults, `kafka_properties` and other `kafka_…` names, the table's own
//! settings, and what
//! exactly-once rests on (`FIXED`), which nobody can override. Every client-side queue is bounded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use pumphouse_query::error::{Error, Result, codes};

use super::secrets::error_text;
use super::settings::{Assignment, KafkaSettings, NAMES};

/// Properties that users cannot set: offsets are ours, a reset must be seen, records are checked.
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("isolation.level", "read_committed"),
];

/// Names in their own settings, that would break what we rest on, or that load or run foreign code.
const RESERVED: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "sasl.password",
    "transactional.id",
    "plugin.library.paths",
    "ssl.engine.location",
    "sasl.kerberos.kinit.cmd",
];

/// Bytes that a consumer's client reads ahead when it is alone; one value for the process.
static QUEUE_KBYTES: AtomicU64 = AtomicU64::new(QUEUE_KBYTES_MAX);
const QUEUE_KBYTES_MAX: u64 = 65_536;
const QUEUE_KBYTES_MIN: u64 = 1024;
/// Consumers' clients that there are.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// From now on clients read ahead so many bytes at most.
pub(super) fn set_queue_bytes(bytes: u64) {
    QUEUE_KBYTES.store((bytes / 1024).clamp(QUEUE_KBYTES_MIN, QUEUE_KBYTES_MAX), Ordering::Relaxed);
}

/// Counts a consumer's client for as long as it lives: those made later share what there is to read ahead.
pub(super) struct Counted(());

impl Counted {
    pub(super) fn new() -> Counted {
        CLIENTS.fetch_add(1, Ordering::Relaxed);
        Counted(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CLIENTS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What bounds a client's memory, where it is one of `clients`. Fetched at once is less than the queue takes: a
/// fetch is counted as it comes, messages as they are, which may be several times as much.
fn bounds(queue_kbytes: u64, clients: u64) -> [(&'static str, u64); 3] {
    // Where memory is plentiful each has the most there is.
    let share = match queue_kbytes >= QUEUE_KBYTES_MAX {
        true => queue_kbytes,
        false => (queue_kbytes / clients.max(1)).max(QUEUE_KBYTES_MIN),
    };
    let fetch = (share << 10) / 2;
    [
        ("queued.max.messages.kbytes", share),
        ("fetch.max.bytes", fetch.clamp(1 << 20, 16 << 20)),
        ("fetch.message.max.bytes", (fetch / 4).clamp(256 << 10, 1 << 20)),
    ]
}

const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    ("statistics.interval.ms", "5000"),
    // A server that is gone for good is given up after this long, not after librdkafka's 45 s.
    ("session.timeout.ms", "10000"),
    // A member hears of others that came or went at its next heartbeat: so long one of many reads alone.
    ("heartbeat.interval.ms", "500"),
    // Each message read ahead costs several hundred bytes, however small it is.
    ("queued.min.messages", "20000"),
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.error.backoff.ms", "200"),
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("allow.auto.create.topics", "false"),
    ("reconnect.backoff.max.ms", "5000"),
    ("socket.keepalive.enable", "true"),
];

/// Whether the client can do SSL, and with it SCRAM and OAUTHBEARER.
pub fn has_ssl() -> bool {
    cfg!(feature = "ssl")
}

/// Refuses what the client cannot do, before it is met in the background.
pub(super) fn check_security(protocol: &str, mechanism: &str) -> Result<()> {
    let protocol = protocol.to_ascii_lowercase();
    if !["", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].contains(&protocol.as_str()) {
        return Err(bad(format!("Unexpected value of kafka_security_protocol: '{protocol}'")));
    }
    let mechanism = mechanism.to_ascii_uppercase();
    let needs_ssl = match mechanism.as_str() {
        "" | "PLAIN" => protocol.ends_with("ssl"),
        "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" => true,
        "GSSAPI" | "AWS_MSK_IAM" => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("SASL mechanism {mechanism} is not supported"),
            ));
        }
        _ => return Err(bad(format!("Unexpected value of kafka_sasl_mechanism: '{mechanism}'"))),
    };
    if needs_ssl && !has_ssl() {
        return Err(Error::new(
            codes::SUPPORT_IS_DISABLED,
            "This server was built without the feature 'ssl': neither SSL nor SCRAM nor OAUTHBEARER",
        ));
    }
    Ok(())
}

/// Splits `a=b; c=d` and refuses what is not ours to give away.
pub(super) fn parse_properties(text: &str) -> Result<Vec<(String, String)>> {
    let mut properties = vec![];
    for item in text.split(';').map(str::trim).filter(|i| !i.is_empty()) {
        let Some((name, value)) = item.split_once('=') else {
            return Err(bad(format!("kafka_properties: '{item}' is not name=value")));
        };
        let name = name.trim();
        if is_ours(name) {
            return Err(bad(format!("kafka_properties: '{name}' cannot be set there")));
        }
        properties.push((name.to_string(), value.trim().to_string()));
    }
    Ok(properties)
}

/// What the settings of a table that are none of ours stand for: `kafka_fetch_wait_max_ms` is librdkafka's
/// `fetch.wait.max.ms`. An unknown name or value is an error.
pub(super) fn table_properties(
    settings: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>> {
    let mut properties = vec![];
    for (setting, value) in settings {
        let Some(name) = setting.strip_prefix("kafka_") else { continue };
        if NAMES.contains(&setting.as_str()) {
            continue;
        }
        let name = name.replace('_', ".");
        if is_ours(&name) {
            return Err(bad(format!("The property '{name}' of librdkafka cannot be set")));
        }
        properties.push((name, value.clone()));
    }
    Ok(properties)
}

/// Asks librdkafka whether it knows the properties and takes their values.
pub(super) fn check_properties(properties: &[(String, String)]) -> Result<()> {
    for (name, value) in properties {
        let mut config = ClientConfig::new();
        config.set(name, value);
        match config.create_native_config() {
            Ok(_) => {}
            Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
                let setting = name.replace('.', "_");
                return Err(Error::new(
                    codes::UNKNOWN_SETTING,
                    format!(
                        "Unknown setting 'kafka_{setting}': for storage Kafka; librdkafka has no \
                         property '{name}' either"
                    ),
                ));
            }
            Err(e) => return Err(bad(error_text(&e))),
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    RESERVED.contains(&name) || FIXED.iter().any(|(n, _)| *n == name)
}

fn bad(message: String) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
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
    let clients = (CLIENTS.load(Ordering::Relaxed) + 1).max(settings.num_consumers as u64);
    for (name, value) in bounds(QUEUE_KBYTES.load(Ordering::Relaxed), clients) {
        config.set(name, value.to_string());
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
    fn clients_share_what_there_is_where_memory_is_short() {
        let of = |kbytes, clients| bounds(kbytes, clients).map(|(_, value)| value);
        assert_eq!(of(65_536, 100), [65_536, 16 << 20, 1 << 20]);
        assert_eq!(of(12_800, 1), [12_800, 6_553_600, 1 << 20]);
        assert_eq!(of(12_800, 4), [3_200, 1_638_400, 409_600]);
        assert_eq!(of(12_800, 100), [1024, 1 << 20, 256 << 10]);
        let before = CLIENTS.load(Ordering::Relaxed);
        let one = Counted::new();
        assert!(CLIENTS.load(Ordering::Relaxed) > before);
        drop(one);
    }
}
