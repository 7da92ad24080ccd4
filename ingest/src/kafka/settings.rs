//! The settings of `ENGINE = Kafka`: names, defaults, checks, and the positional form mapped to them.
//!
//! Takes the texts of a table's definition, gives a checked [`KafkaSettings`]. What does not begin
//! with `kafka_` is a format setting and is passed on. Errors are BAD_ARGUMENTS in ClickHouse's words.
//! Secrets are [`Secret`] from here on, so that no log, error or system table can print one.
//! Where our defaults differ: `kafka_flush_interval_ms` (see `engine::KafkaEngineConfig`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::TableDefinition;

use super::client_properties::{
    check_properties, check_security, parse_properties, table_properties,
};
use super::macros;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the Kafka client only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[HIDDEN]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[HIDDEN]")
    }
}

/// What to do with a message that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorMode {
    /// Stop the partition at the message, visibly, and try again with growing delay.
    Default,
    /// A row of defaults with `_error` and `_raw_message`.
    Stream,
    /// A row of `system.dead_letter_queue`, or of the table that `dead_letter_table` names.
    DeadLetter,
}

/// Who gives a consumer its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// The broker's consumer group.
    Group,
    /// We do: partition `p` goes to consumer `p % num_consumers`; no rebalances.
    Static,
}

/// How rows that views write to the table reach its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// In transactions of the broker.
    ExactlyOnce,
    /// By an idempotent producer: a crash may repeat the newest.
    AtLeastOnce,
}

impl DeliveryGuarantee {
    pub fn name(self) -> &'static str {
        match self {
            DeliveryGuarantee::ExactlyOnce => "exactly_once",
            DeliveryGuarantee::AtLeastOnce => "at_least_once",
        }
    }
}

/// What to do when our next offset is no longer in the broker (retention passed it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetGap {
    /// Stop the partition, visibly.
    Stop,
    /// Record the gap in the log and go on behind it.
    Skip,
}

/// What to do with a topic that was deleted and created anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRecreated {
    /// Stop its partitions, visibly.
    Stop,
    /// Record the new topic and read it from its beginning.
    Restart,
}

/// Which partitions this server takes: `partition % count == number - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub number: u64,
    pub count: u64,
}

impl Shard {
    pub fn has(self, kafka_partition: i32) -> bool {
        kafka_partition.max(0) as u64 % self.count == self.number - 1
    }
}

/// Checked settings of one Kafka table.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    pub broker_list: String,
    pub topics: Vec<String>,
    pub group_name: String,
    pub format: String,
    pub schema: String,
    pub num_consumers: usize,
    /// Rows of a block per consumer; 0: `max_insert_block_size / num_consumers`.
    pub max_block_size: usize,
    /// Messages of one poll; 0: `max_block_size` of the profile.
    pub poll_max_batch_size: usize,
    /// 0: `stream_poll_timeout_ms`.
    pub poll_timeout_ms: u64,
    /// 0: `stream_flush_interval_ms`.
    pub flush_interval_ms: u64,
    /// First delay after a failure.
    pub consumer_reschedule: Duration,
    /// After so long without a message a consumer rests.
    pub consumers_pool_ttl: Duration,
    pub thread_per_consumer: bool,
    /// Threads that parse for one consumer, its own among them; 0: as many as cores are free.
    pub parsing_threads: usize,
    /// Broken messages that a block may drop.
    pub skip_broken_messages: u64,
    pub error_mode: ErrorMode,
    /// Database (empty: the stream's own) and name; None: `system.dead_letter_queue`.
    pub dead_letter_table: Option<(String, String)>,
    /// A block with a larger share of dead letters pauses the table, if they are at least so many.
    pub dead_letters_ratio_max: f64,
    pub dead_letters_count_min: u64,
    pub max_rows_per_message: u64,
    /// A direct SELECT moves the offsets.
    pub commit_on_select: bool,
    /// INSERT: `_key`, `_timestamp` and `_headers.*` go into the message's head and not its payload.
    pub map_virtual_columns: bool,
    pub delivery_guarantee: DeliveryGuarantee,
    pub client_id: String,
    pub security_protocol: String,
    pub sasl_mechanism: String,
    pub sasl_username: String,
    pub sasl_password: Secret,
    pub compression_codec: String,
    pub compression_level: i64,
    /// Bytes dropped from the head of every message.
    pub schema_registry_skip_bytes: usize,
    pub assignment: Assignment,
    pub offset_gap: OffsetGap,
    pub topic_recreated: TopicRecreated,
    /// Needs static assignment.
    pub shard: Option<Shard>,
    /// Where a partition begins of which neither we nor the broker hold an offset: true is `latest`.
    pub start_at_latest: bool,
    /// Where a partition begins of which we hold no offset, whatever the group holds; milliseconds.
    pub start_timestamp_ms: Option<i64>,
    /// Further librdkafka properties.
    pub properties: Vec<(String, String)>,
    /// Everything not beginning with `kafka_`.
    pub format_settings: BTreeMap<String, String>,
}

/// Every setting that a Kafka table takes.
pub const NAMES: &[&str] = &[
    "kafka_broker_list",
    "kafka_topic_list",
    "kafka_group_name",
    "kafka_format",
    "kafka_schema",
    "kafka_num_consumers",
    "kafka_max_block_size",
    "kafka_poll_max_batch_size",
    "kafka_poll_timeout_ms",
    "kafka_flush_interval_ms",
    "kafka_consumer_reschedule_ms",
    "kafka_consumers_pool_ttl_ms",
    "kafka_thread_per_consumer",
    "kafka_commit_every_batch",
    "kafka_skip_broken_messages",
    "kafka_handle_error_mode",
    "kafka_commit_on_select",
    "kafka_max_rows_per_message",
    "kafka_client_id",
    "kafka_security_protocol",
    "kafka_sasl_mechanism",
    "kafka_sasl_username",
    "kafka_sasl_password",
    "kafka_compression_codec",
    "kafka_compression_level",
    "kafka_autodetect_client_rack",
    "kafka_schema_registry_skip_bytes",
    "kafka_map_virtual_columns_on_write",
    "kafka_keeper_path",
    "kafka_replica_name",
    "kafka_consumer_acquire_timeout_ms",
    "kafka_partition_shard_num",
    "kafka_shard_count",
    "kafka_row_delimiter",
    // Ours.
    "kafka_assignment",
    "kafka_offset_gap",
    "kafka_topic_recreated",
    "kafka_auto_offset_reset",
    "kafka_start_timestamp_ms",
    "kafka_properties",
    "kafka_delivery_guarantee",
    "kafka_dead_letter_table",
    "kafka_dead_letters_ratio_max",
    "kafka_dead_letters_count_min",
    "kafka_parsing_threads",
    // What stands on a named collection.
    "kafka_named_collection",
    "kafka_named_collection_overrides",
];

/// The settings that positional arguments 1, 2, … of `Kafka(…)` stand for.
const POSITIONAL: &[&str] = &[
    "kafka_broker_list",
    "kafka_topic_list",
    "kafka_group_name",
    "kafka_format",
    "kafka_row_delimiter",
    "kafka_schema",
    "kafka_num_consumers",
    "kafka_max_block_size",
    "kafka_skip_broken_messages",
    "kafka_commit_every_batch",
    "kafka_client_id",
    "kafka_poll_timeout_ms",
    "kafka_flush_interval_ms",
    "kafka_thread_per_consumer",
    "kafka_handle_error_mode",
    "kafka_commit_on_select",
    "kafka_max_rows_per_message",
];

const PARSING_THREADS_MAX: usize = 64;

/// The first so many positional arguments must be given in one form or the other.
const REQUIRED: usize = 4;

/// Adds positional arguments (texts of constants or identifiers) to `settings` by name.
pub fn positional_arguments(
    arguments: &[String],
    settings: &mut BTreeMap<String, String>,
) -> Result<()> {
    if arguments.len() > POSITIONAL.len() {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Storage Kafka takes at most {} arguments", POSITIONAL.len()),
        ));
    }
    for (i, argument) in arguments.iter().enumerate() {
        let name = POSITIONAL[i];
        if settings.contains_key(name) {
            return Err(bad(format!(
                "The argument №{} of storage Kafka and the parameter '{name}' in SETTINGS cannot be \
                 specified at the same time",
                i + 1
            )));
        }
        settings.insert(name.to_string(), argument.clone());
    }
    Ok(())
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}

/// Reads typed values out of the texts.
struct Texts<'a>(&'a BTreeMap<String, String>);

impl Texts<'_> {
    fn text(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn unsigned(&self, name: &str, default: u64) -> Result<u64> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => text
                .trim()
                .parse::<u64>()
                .map_err(|_| bad(format!("Setting '{name}' must be a number, got '{text}'"))),
        }
    }

    /// A number that must be at least 1 when it is given; 0 when it is not.
    fn positive(&self, name: &str) -> Result<u64> {
        match self.unsigned(name, 0)? {
            0 if self.0.contains_key(name) => Err(bad(format!("{name} can not be lower than 1"))),
            n => Ok(n),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.0.get(name).map(|t| t.trim().to_ascii_lowercase()).as_deref() {
            None | Some("0" | "false" | "") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => Err(bad(format!("Setting '{name}' must be 0 or 1, got '{other}'"))),
        }
    }

    fn one_of<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        let wanted = text.trim().to_ascii_lowercase();
        choices.iter().find(|(n, _)| *n == wanted).map(|(_, v)| *v).ok_or_else(|| {
            let known: Vec<_> = choices.iter().map(|(n, _)| format!("'{n}'")).collect();
            bad(format!(
                "Unexpected value of {name}: '{text}'. Must be one of [{}]",
                known.join(", ")
            ))
        })
    }
}

impl KafkaSettings {
    /// Checks `settings` as given in the table's definition.
    pub fn from_settings(settings: &BTreeMap<String, String>) -> Result<KafkaSettings> {
        check_names(settings)?;
        let texts = Texts(settings);
        let num_consumers = num_consumers(&texts)?;
        let skip_bytes = texts.unsigned("kafka_schema_registry_skip_bytes", 0)?;
        if skip_bytes > 255 {
            return Err(bad("kafka_schema_registry_skip_bytes must be between 0 and 255"));
        }
        let parsed = KafkaSettings {
            broker_list: texts.text("kafka_broker_list"),
            topics: topics(&texts.text("kafka_topic_list"))?,
            group_name: texts.text("kafka_group_name"),
            format: texts.text("kafka_format"),
            schema: texts.text("kafka_schema"),
            num_consumers,
            max_block_size: texts.positive("kafka_max_block_size")? as usize,
            poll_max_batch_size: texts.positive("kafka_poll_max_batch_size")? as usize,
            poll_timeout_ms: texts.unsigned("kafka_poll_timeout_ms", 0)?,
            flush_interval_ms: texts.unsigned("kafka_flush_interval_ms", 0)?,
            consumer_reschedule: reschedule(&texts)?,
            consumers_pool_ttl: Duration::from_millis(
                texts.unsigned("kafka_consumers_pool_ttl_ms", 60_000)?,
            ),
            thread_per_consumer: texts.flag("kafka_thread_per_consumer")?,
            parsing_threads: parsing_threads(&texts)?,
            skip_broken_messages: texts.unsigned("kafka_skip_broken_messages", 0)?,
            error_mode: error_mode(&texts)?,
            dead_letter_table: dead_letter_table(&texts)?,
            dead_letters_ratio_max: ratio(&texts, "kafka_dead_letters_ratio_max", 0.1)?,
            dead_letters_count_min: texts.unsigned("kafka_dead_letters_count_min", 100)?,
            max_rows_per_message: texts.unsigned("kafka_max_rows_per_message", 1)?.max(1),
            commit_on_select: texts.flag("kafka_commit_on_select")?,
            map_virtual_columns: texts.flag("kafka_map_virtual_columns_on_write")?,
            delivery_guarantee: texts.one_of(
                "kafka_delivery_guarantee",
                DeliveryGuarantee::ExactlyOnce,
                &[
                    ("exactly_once", DeliveryGuarantee::ExactlyOnce),
                    ("at_least_once", DeliveryGuarantee::AtLeastOnce),
                ],
            )?,
            client_id: texts.text("kafka_client_id"),
            security_protocol: texts.text("kafka_security_protocol"),
            sasl_mechanism: texts.text("kafka_sasl_mechanism"),
            sasl_username: texts.text("kafka_sasl_username"),
            sasl_password: Secret::new(texts.text("kafka_sasl_password")),
            compression_codec: compression_codec(&texts)?,
            compression_level: texts.text("kafka_compression_level").parse().unwrap_or(-1),
            schema_registry_skip_bytes: skip_bytes as usize,
            assignment: texts.one_of(
                "kafka_assignment",
                // A share of the partitions is ours to take, not the group's to give.
                if shard(&texts)?.is_some() { Assignment::Static } else { Assignment::Group },
                &[("group", Assignment::Group), ("static", Assignment::Static)],
            )?,
            offset_gap: texts.one_of(
                "kafka_offset_gap",
                OffsetGap::Stop,
                &[("stop", OffsetGap::Stop), ("skip", OffsetGap::Skip)],
            )?,
            topic_recreated: texts.one_of(
                "kafka_topic_recreated",
                TopicRecreated::Stop,
                &[("stop", TopicRecreated::Stop), ("restart", TopicRecreated::Restart)],
            )?,
            shard: shard(&texts)?,
            start_at_latest: texts.one_of(
                "kafka_auto_offset_reset",
                false,
                &[("earliest", false), ("smallest", false), ("latest", true), ("largest", true)],
            )?,
            start_timestamp_ms: match texts.unsigned("kafka_start_timestamp_ms", 0)? {
                0 => None,
                ms => Some(ms.min(i64::MAX as u64) as i64),
            },
            properties: properties(settings, &texts)?,
            format_settings: format_settings(settings),
        };
        parsed.check_modes(&texts)?;
        Ok(parsed)
    }

    fn check_modes(&self, texts: &Texts<'_>) -> Result<()> {
        texts.flag("kafka_commit_every_batch")?;
        check_security(&self.security_protocol, &self.sasl_mechanism)?;
        let keeper = [texts.text("kafka_keeper_path"), texts.text("kafka_replica_name")];
        if keeper.iter().any(String::is_empty) != keeper.iter().all(String::is_empty) {
            return Err(bad("Either specify both zookeeper path and replica name or none of them"));
        }
        if self.shard.is_some() && self.assignment == Assignment::Group {
            return Err(bad("kafka_partition_shard_num needs kafka_assignment = 'static'"));
        }
        if self.assignment == Assignment::Static && self.topics.iter().any(|t| t.starts_with('^')) {
            return Err(bad("A topic pattern (^…) needs kafka_assignment = 'group'"));
        }
        Ok(())
    }

    /// Replaces the macros in the texts that may hold them.
    pub fn expand_macros(&mut self, definition: &TableDefinition) -> Result<()> {
        for text in self.topics.iter_mut().chain([
            &mut self.broker_list,
            &mut self.group_name,
            &mut self.format,
            &mut self.schema,
            &mut self.client_id,
        ]) {
            *text = macros::expand(text, definition)?;
        }
        Ok(())
    }
}

fn check_names(settings: &BTreeMap<String, String>) -> Result<()> {
    for name in &POSITIONAL[..REQUIRED] {
        if !settings.contains_key(*name) {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("Required parameter '{name}' for storage Kafka not specified"),
            ));
        }
    }
    for name in ["kafka_broker_list", "kafka_topic_list", "kafka_format"] {
        if settings[name].trim().is_empty() {
            return Err(bad(format!("{name} can not be empty")));
        }
    }
    Ok(())
}

/// `kafka_properties`, and every `kafka_` setting that only librdkafka knows.
fn properties(
    settings: &BTreeMap<String, String>,
    texts: &Texts<'_>,
) -> Result<Vec<(String, String)>> {
    let mut properties = parse_properties(&texts.text("kafka_properties"))?;
    properties.extend(table_properties(settings)?);
    check_properties(&properties)?;
    Ok(properties)
}

fn num_consumers(texts: &Texts<'_>) -> Result<usize> {
    let n = texts.unsigned("kafka_num_consumers", 1)? as usize;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let max = cores.max(16);
    if n < 1 {
        return Err(bad("Number of consumers can not be lower than 1"));
    }
    if n > max {
        return Err(bad(format!(
            "The number of consumers can not be bigger than {max}. A single consumer can read any \
             number of partitions. Extra consumers are relatively expensive, and using a lot of them \
             can lead to high memory and CPU usage"
        )));
    }
    Ok(n)
}

fn parsing_threads(texts: &Texts<'_>) -> Result<usize> {
    let n = texts.unsigned("kafka_parsing_threads", 0)? as usize;
    if n > PARSING_THREADS_MAX {
        return Err(bad(format!(
            "kafka_parsing_threads must be between 0 (as many as cores are free) and {PARSING_THREADS_MAX}"
        )));
    }
    Ok(n)
}

fn reschedule(texts: &Texts<'_>) -> Result<Duration> {
    let reschedule_ms = texts.unsigned("kafka_consumer_reschedule_ms", 500)?;
    let pool_ttl_ms = texts.unsigned("kafka_consumers_pool_ttl_ms", 60_000)?;
    if pool_ttl_ms < reschedule_ms {
        return Err(bad(format!(
            "The value of 'kafka_consumers_pool_ttl_ms' ({pool_ttl_ms}) cannot be less then \
             rescheduled interval ({reschedule_ms})"
        )));
    }
    Ok(Duration::from_millis(reschedule_ms.max(10)))
}

fn error_mode(texts: &Texts<'_>) -> Result<ErrorMode> {
    texts.one_of(
        "kafka_handle_error_mode",
        ErrorMode::Default,
        &[
            ("default", ErrorMode::Default),
            ("stream", ErrorMode::Stream),
            ("dead_letter_queue", ErrorMode::DeadLetter),
        ],
    )
}

/// `db.table`, or `table` in the stream's own database.
fn dead_letter_table(texts: &Texts<'_>) -> Result<Option<(String, String)>> {
    let text = texts.text("kafka_dead_letter_table");
    let name = text.trim();
    match name.split_once('.') {
        _ if name.is_empty() => Ok(None),
        None => Ok(Some((String::new(), name.to_string()))),
        Some((database, table)) if !database.is_empty() && !table.is_empty() => {
            Ok(Some((database.to_string(), table.to_string())))
        }
        Some(_) => Err(bad(format!("kafka_dead_letter_table: '{text}' is no table's name"))),
    }
}

fn shard(texts: &Texts<'_>) -> Result<Option<Shard>> {
    let number = texts.unsigned("kafka_partition_shard_num", 0)?;
    let count = texts.unsigned("kafka_shard_count", 0)?;
    match (number, count) {
        (0, 0) => Ok(None),
        (number, count) if number >= 1 && number <= count => Ok(Some(Shard { number, count })),
        _ => Err(bad(
            "kafka_partition_shard_num and kafka_shard_count must both be set, the number from 1 to \
             the count",
        )),
    }
}

/// Settings that are taken and do nothing here, each with the reason.
pub const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("kafka_keeper_path", "offsets are committed with the rows, there is no Keeper"),
    ("kafka_replica_name", "offsets are committed with the rows, there is no Keeper"),
    ("kafka_consumer_acquire_timeout_ms", "consumers are not pooled between queries"),
    ("kafka_consumers_pool_ttl_ms", "a table without views has no consumer at all"),
    ("kafka_commit_every_batch", "offsets are only ever committed with their rows"),
    ("kafka_autodetect_client_rack", "set client.rack in kafka_properties"),
    ("kafka_row_delimiter", "formats have their own delimiters"),
];

fn ratio(texts: &Texts<'_>, name: &str, default: f64) -> Result<f64> {
    let Some(text) = texts.0.get(name) else { return Ok(default) };
    match text.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(bad(format!("Setting '{name}' must be between 0 and 1, got '{text}'"))),
    }
}

fn compression_codec(texts: &Texts<'_>) -> Result<String> {
    let codec = texts.text("kafka_compression_codec");
    match codec.as_str() {
        "" | "none" | "gzip" | "snappy" | "lz4" | "zstd" => Ok(codec),
        other => Err(bad(format!(
            "Unexpected value of kafka_compression_codec: '{other}'. Must be one of \
             ['none', 'gzip', 'snappy', 'lz4', 'zstd']"
        ))),
    }
}

fn topics(list: &str) -> Result<Vec<String>> {
    let mut topics: Vec<String> = vec![];
    for topic in list.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        let valid = topic.starts_with('^')
            || topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-{}".contains(&b));
        if !valid || topic.len() > 249 {
            return Err(bad(format!("'{topic}' in kafka_topic_list is not a topic's name")));
        }
        if !topics.iter().any(|t| t == topic) {
            topics.push(topic.to_string());
        }
    }
    if topics.is_empty() {
        return Err(bad("kafka_topic_list can not be empty"));
    }
    Ok(topics)
}

/// The format settings of the table, with the adjustments that the engine makes unless they are set.
fn format_settings(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = settings
        .iter()
        .filter(|(name, _)| !name.starts_with("kafka_"))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    out.entry("input_format_skip_unknown_fields".into()).or_insert_with(|| "1".into());
    for name in ["csv", "tsv", "custom"] {
        out.insert(format!("input_format_{name}_detect_header"), "0".into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> BTreeMap<String, String> {
        [
            ("kafka_broker_list", "kafka1:19092"),
            ("kafka_topic_list", "my_topic"),
            ("kafka_group_name", "my_conumber_group_name"),
            ("kafka_format", "JSONEachRow"),
            ("kafka_max_block_size", "1048576"),
        ]
        .map(|(n, v)| (n.to_string(), v.to_string()))
        .into()
    }

    fn with(name: &str, value: &str) -> Result<KafkaSettings> {
        let mut settings = owner();
        settings.insert(name.into(), value.into());
        KafkaSettings::from_settings(&settings)
    }

    #[test]
    fn the_owners_settings() {
        let s = KafkaSettings::from_settings(&owner()).unwrap();
        assert_eq!(s.topics, ["my_topic"]);
        assert_eq!(s.max_block_size, 1_048_576);
        assert_eq!(s.num_consumers, 1);
        assert!(!s.thread_per_consumer);
        assert_eq!(s.error_mode, ErrorMode::Default);
        assert_eq!(s.format_settings["input_format_skip_unknown_fields"], "1");
    }

    #[test]
    fn positional_and_mixed_forms() {
        let arguments = ["b:1", "t1, t2", "g", "CSV"].map(String::from);
        let mut settings = BTreeMap::from([("kafka_num_consumers".to_string(), "2".to_string())]);
        positional_arguments(&arguments, &mut settings).unwrap();
        let s = KafkaSettings::from_settings(&settings).unwrap();
        assert_eq!((s.topics.len(), s.format.as_str(), s.num_consumers), (2, "CSV", 2));
        let twice = positional_arguments(&arguments, &mut owner()).unwrap_err();
        assert_eq!(twice.code(), codes::BAD_ARGUMENTS);
        assert!(twice.to_string().contains("cannot be specified at the same time"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let mut settings = owner();
        settings.remove("kafka_topic_list");
        let e = KafkaSettings::from_settings(&settings).unwrap_err();
        assert_eq!(e.code(), codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH);
        assert_eq!(
            e.to_string(),
            "Required parameter 'kafka_topic_list' for storage Kafka not specified"
        );
        for (name, value, code) in [
            ("kafka_num_consumers", "0", codes::BAD_ARGUMENTS),
            ("kafka_num_consumers", "1000", codes::BAD_ARGUMENTS),
            ("kafka_num_consumers", "many", codes::BAD_ARGUMENTS),
            ("kafka_max_block_size", "0", codes::BAD_ARGUMENTS),
            ("kafka_handle_error_mode", "ignore", codes::BAD_ARGUMENTS),
            ("kafka_dead_letter_table", "a.", codes::BAD_ARGUMENTS),
            ("kafka_parsing_threads", "65", codes::BAD_ARGUMENTS),
            ("kafka_dead_letters_ratio_max", "2", codes::BAD_ARGUMENTS),
            ("kafka_topic_list", "a b", codes::BAD_ARGUMENTS),
            ("kafka_topic_list", " , ", codes::BAD_ARGUMENTS),
            ("kafka_thread_per_consumer", "2", codes::BAD_ARGUMENTS),
            ("kafka_schema_registry_skip_bytes", "256", codes::BAD_ARGUMENTS),
            ("kafka_consumers_pool_ttl_ms", "10", codes::BAD_ARGUMENTS),
            ("kafka_compression_codec", "rar", codes::BAD_ARGUMENTS),
            ("kafka_properties", "enable.auto.commit=true", codes::BAD_ARGUMENTS),
            ("kafka_properties", "no.such=1", codes::UNKNOWN_SETTING),
            ("kafka_enable_auto_commit", "1", codes::BAD_ARGUMENTS),
            ("kafka_security_protocol", "TLS", codes::BAD_ARGUMENTS),
            ("kafka_sasl_mechanism", "GSSAPI", codes::NOT_IMPLEMENTED),
            ("kafka_plugin_library_paths", "/tmp/x.so", codes::BAD_ARGUMENTS),
            ("kafka_fetch_wait_max_ms", "soon", codes::BAD_ARGUMENTS),
            ("kafka_unheard_of", "1", codes::UNKNOWN_SETTING),
        ] {
            assert_eq!(with(name, value).unwrap_err().code(), code, "{name} = {value}");
        }
    }

    #[test]
    fn every_setting_is_taken() {
        let samples: &[(&str, &str)] = &[
            ("kafka_broker_list", "a:1,b:2"),
            ("kafka_topic_list", "^ev.*"),
            ("kafka_group_name", "g"),
            ("kafka_format", "CSV"),
            ("kafka_schema", "file:Message"),
            ("kafka_num_consumers", "4"),
            ("kafka_max_block_size", "100"),
            ("kafka_poll_max_batch_size", "10"),
            ("kafka_poll_timeout_ms", "100"),
            ("kafka_flush_interval_ms", "1000"),
            ("kafka_consumer_reschedule_ms", "100"),
            ("kafka_consumers_pool_ttl_ms", "60000"),
            ("kafka_thread_per_consumer", "1"),
            ("kafka_commit_every_batch", "1"),
            ("kafka_skip_broken_messages", "5"),
            ("kafka_handle_error_mode", "stream"),
            ("kafka_commit_on_select", "1"),
            ("kafka_max_rows_per_message", "5"),
            ("kafka_client_id", "c"),
            ("kafka_security_protocol", "SASL_PLAINTEXT"),
            ("kafka_sasl_mechanism", "PLAIN"),
            ("kafka_sasl_username", "u"),
            ("kafka_sasl_password", "p"),
            ("kafka_compression_codec", "zstd"),
            ("kafka_compression_level", "3"),
            ("kafka_autodetect_client_rack", "MSK"),
            ("kafka_schema_registry_skip_bytes", "19"),
            ("kafka_map_virtual_columns_on_write", "1"),
            ("kafka_consumer_acquire_timeout_ms", "100"),
            ("kafka_row_delimiter", ""),
            ("kafka_assignment", "static"),
            ("kafka_offset_gap", "skip"),
            ("kafka_topic_recreated", "restart"),
            ("kafka_auto_offset_reset", "latest"),
            ("kafka_start_timestamp_ms", "1700000000000"),
            ("kafka_properties", "client.rack=a; fetch.wait.max.ms=50"),
            ("kafka_dead_letter_table", "d.t"),
            ("kafka_dead_letters_ratio_max", "0.5"),
            ("kafka_dead_letters_count_min", "10"),
            ("kafka_parsing_threads", "2"),
            ("kafka_delivery_guarantee", "at_least_once"),
        ];
        for (name, value) in samples {
            with(name, value).unwrap_or_else(|e| panic!("{name} = {value}: {e}"));
        }
        // The rest go in pairs.
        let pairs = [
            "kafka_keeper_path",
            "kafka_replica_name",
            "kafka_partition_shard_num",
            "kafka_shard_count",
            "kafka_named_collection",
            "kafka_named_collection_overrides",
        ];
        for name in NAMES {
            let known = samples.iter().any(|(n, _)| n == name) || pairs.contains(name);
            assert!(known, "{name} has no sample");
        }
        assert!(
            with("kafka_keeper_path", "/x").is_err() && with("kafka_shard_count", "2").is_err()
        );
        let mut shard = owner();
        shard.insert("kafka_partition_shard_num".into(), "2".into());
        shard.insert("kafka_shard_count".into(), "3".into());
        let shard = KafkaSettings::from_settings(&shard).unwrap();
        assert_eq!(shard.assignment, Assignment::Static);
        let ours: Vec<i32> = (0..9).filter(|p| shard.shard.unwrap().has(*p)).collect();
        assert_eq!(ours, [1, 4, 7]);
        assert!(WITHOUT_EFFECT.iter().all(|(name, _)| NAMES.contains(name)));
    }

    #[test]
    fn any_property_of_the_client_is_a_setting() {
        let s = with("kafka_fetch_wait_max_ms", "77").unwrap();
        assert_eq!(s.properties, [("fetch.wait.max.ms".to_string(), "77".to_string())]);
    }

    #[test]
    fn secrets_do_not_print() {
        let s = with("kafka_sasl_password", "hunter2").unwrap();
        assert_eq!(s.sasl_password.expose(), "hunter2");
        assert!(!format!("{s:?}").contains("hunter2"));
        assert_eq!(s.sasl_password.to_string(), "[HIDDEN]");
    }

    #[test]
    fn format_settings_are_passed_on() {
        let s = with("format_csv_delimiter", "|").unwrap();
        assert_eq!(s.format_settings["format_csv_delimiter"], "|");
    }
}
