//! Dead letters: messages that no table could take, kept as rows of `system.dead_letter_queue` (or of
//! the table that `kafka_dead_letter_table` names) in the very commit that passes them.
//!
//! Takes what the block builder and the insert step set aside, gives a block in the table's columns.
//! The table is an ordinary MergeTree table: views may hang on it, any SELECT reads it.

use std::sync::Arc;

use pumphouse_query::error::Result;
use pumphouse_storage::log::{
    ColumnDefinition, Commit, Edit, Precondition, Rejection, TableDefinition,
};
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Block, Column, Store, Value};
use uuid::Uuid;

use crate::block_builder::IncomingMessage;

/// Where dead letters go unless a table says otherwise: database and name.
pub const TABLE: (&str, &str) = ("system", "dead_letter_queue");

/// Names and types: ClickHouse's columns, then ours.
pub const COLUMNS: &[(&str, &str)] = &[
    ("table_engine", "Enum8('Kafka' = 1, 'RabbitMQ' = 2)"),
    ("event_date", "Date"),
    ("event_time", "DateTime"),
    ("event_time_microseconds", "DateTime64(6)"),
    ("database", "LowCardinality(String)"),
    ("table", "LowCardinality(String)"),
    ("error", "String"),
    ("raw_message", "String"),
    ("kafka_topic_name", "String"),
    ("kafka_partition", "UInt64"),
    ("kafka_offset", "UInt64"),
    ("kafka_key", "String"),
    ("rabbitmq_exchange_name", "String"),
    ("rabbitmq_message_id", "String"),
    ("rabbitmq_message_timestamp", "DateTime"),
    ("rabbitmq_message_redelivered", "UInt8"),
    ("rabbitmq_message_delivery_tag", "UInt64"),
    ("rabbitmq_channel_id", "String"),
    ("kafka_timestamp", "Nullable(DateTime64(3))"),
    ("kafka_header_names", "Array(String)"),
    ("kafka_header_values", "Array(String)"),
    ("format", "LowCardinality(String)"),
    ("view", "String"),
];

/// One message, or one row of a message, that was set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetter {
    pub topic: Arc<str>,
    pub kafka_partition: i32,
    pub kafka_offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub raw: Vec<u8>,
    pub error: String,
    /// The view that failed; empty when the message could not be parsed.
    pub view: String,
}

impl DeadLetter {
    /// `raw` is the message's payload or the part of it that is bad.
    pub fn of<M: IncomingMessage>(
        topic: &Arc<str>,
        message: &M,
        raw: &[u8],
        error: String,
    ) -> DeadLetter {
        let mut headers = vec![];
        message.each_header(&mut |name, value| headers.push((name.to_vec(), value.to_vec())));
        DeadLetter {
            topic: topic.clone(),
            kafka_partition: message.kafka_partition(),
            kafka_offset: message.kafka_offset(),
            timestamp_ms: message.timestamp_ms(),
            key: message.key().unwrap_or_default().to_vec(),
            headers,
            raw: raw.to_vec(),
            error,
            view: String::new(),
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(n, v)| n.len() + v.len() + 48).sum();
        size_of::<DeadLetter>() + self.raw.len() + self.key.len() + self.error.len() + headers
    }
}

/// The letters as rows, oldest first. `format` is the stream's.
pub fn block(
    letters: &[DeadLetter],
    stream: &TableDefinition,
    format: &str,
    now_us: u64,
) -> Result<Block> {
    let mut named = Vec::with_capacity(COLUMNS.len());
    for (name, data_type) in COLUMNS {
        let data_type = parse_data_type(data_type)?;
        let values: Option<Vec<Value>> =
            letters.iter().map(|l| cell(name, l, stream, format, now_us)).collect();
        let column = match values {
            Some(values) => Column::from_values(data_type, &values)?,
            None => Column::default_values(data_type, letters.len()),
        };
        named.push((name.to_string(), column));
    }
    Ok(Block::new(named))
}

/// The letter's value of one column; None for columns that no Kafka message fills.
fn cell(
    column: &str,
    letter: &DeadLetter,
    stream: &TableDefinition,
    format: &str,
    now_us: u64,
) -> Option<Value> {
    let texts = |part: fn(&(Vec<u8>, Vec<u8>)) -> &Vec<u8>| {
        Value::Array(letter.headers.iter().map(|h| Value::String(part(h).clone())).collect())
    };
    Some(match column {
        "table_engine" => Value::Int(1),
        "event_date" => Value::UInt(now_us / 86_400_000_000),
        "event_time" => Value::UInt(now_us / 1_000_000),
        "event_time_microseconds" => Value::Int(now_us as i64),
        "database" => Value::string(stream.database.clone()),
        "table" => Value::string(stream.name.clone()),
        "error" => Value::string(letter.error.clone()),
        "raw_message" => Value::String(letter.raw.clone()),
        "kafka_topic_name" => Value::string(letter.topic.to_string()),
        "kafka_partition" => Value::UInt(letter.kafka_partition.max(0) as u64),
        "kafka_offset" => Value::UInt(letter.kafka_offset.max(0) as u64),
        "kafka_key" => Value::String(letter.key.clone()),
        "kafka_timestamp" => letter.timestamp_ms.map_or(Value::Null, Value::Int),
        "kafka_header_names" => texts(|h| &h.0),
        "kafka_header_values" => texts(|h| &h.1),
        "format" => Value::string(format),
        "view" => Value::string(letter.view.clone()),
        _ => return None,
    })
}

/// The definition of `system.dead_letter_queue`.
pub fn definition() -> Result<TableDefinition> {
    let mut columns = vec![];
    for (i, (name, data_type)) in COLUMNS.iter().enumerate() {
        columns.push(ColumnDefinition {
            id: i as u32,
            name: name.to_string(),
            data_type: parse_data_type(data_type)?,
            default: None,
            comment: String::new(),
            codec: String::new(),
            ttl: String::new(),
        });
    }
    let lines: Vec<String> = COLUMNS.iter().map(|(n, t)| format!("    `{n}` {t}")).collect();
    let key = ["event_date".to_string(), "event_time".to_string()];
    Ok(TableDefinition {
        uuid: Uuid::new_v4(),
        database: TABLE.0.into(),
        name: TABLE.1.into(),
        engine: "MergeTree".into(),
        columns,
        sorting_key: key.to_vec(),
        primary_key: key.to_vec(),
        partition_key: vec!["toYYYYMM(event_date)".into()],
        settings: Default::default(),
        select: None,
        target: None,
        source: None,
        comment: "Messages that their stream's table could not take".into(),
        create_query: format!(
            "CREATE TABLE {}.{}\n(\n{}\n)\nENGINE = MergeTree\nPARTITION BY toYYYYMM(event_date)\n\
             ORDER BY (event_date, event_time)\nSETTINGS index_granularity = 8192",
            TABLE.0,
            TABLE.1,
            lines.join(",\n")
        ),
        clauses: Default::default(),
    })
}

/// Creates `system.dead_letter_queue` if it is not there.
pub fn ensure(store: &Store) -> Result<()> {
    let state = store.snapshot();
    if state.table(TABLE.0, TABLE.1).is_some() {
        return Ok(());
    }
    let mut commit = Commit::default();
    if !state.databases.contains_key(TABLE.0) {
        let name = TABLE.0.to_string();
        commit.preconditions.push(Precondition::DatabaseNameFree { name: name.clone() });
        let (engine, comment) = ("Atomic".into(), String::new());
        commit.edits.push(Edit::CreateDatabase { name, engine, comment });
    } else {
        commit
            .preconditions
            .push(Precondition::TableNameFree { database: TABLE.0.into(), name: TABLE.1.into() });
    }
    commit.edits.push(Edit::CreateTable { definition: Arc::new(definition()?) });
    match store.commit(commit, vec![]) {
        // Another consumer was first.
        Err(pumphouse_storage::Error::Rejected(
            Rejection::TableExists { .. } | Rejection::DatabaseExists(_),
        )) if store.snapshot().table(TABLE.0, TABLE.1).is_some() => Ok(()),
        Err(e) => Err(e.into()),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_rows_of_the_table() {
        let stream = TableDefinition { name: "src".into(), ..definition().unwrap() };
        let letter = DeadLetter {
            topic: "t".into(),
            kafka_partition: 3,
            kafka_offset: 17,
            timestamp_ms: Some(1_700_000_000_123),
            key: b"k".to_vec(),
            headers: vec![(b"h".to_vec(), b"v".to_vec())],
            raw: b"{oops".to_vec(),
            error: "expected a brace".into(),
            view: "d.mv".into(),
        };
        let rows = block(&[letter], &stream, "JSONEachRow", 1_700_000_001_000_002).unwrap();
        assert_eq!(rows.schema(), definition().unwrap().schema());
        let cell = |name: &str| rows.column(name).unwrap().value(0);
        assert_eq!(cell("kafka_offset"), Value::UInt(17));
        assert_eq!(cell("raw_message"), Value::string("{oops"));
        assert_eq!(cell("event_time"), Value::UInt(1_700_000_001));
        assert_eq!(cell("kafka_header_values"), Value::Array(vec![Value::string("v")]));
        assert_eq!(cell("kafka_timestamp"), Value::Int(1_700_000_000_123));
        assert_eq!(cell("view"), Value::string("d.mv"));
        assert_eq!(cell("rabbitmq_channel_id"), Value::string(""));
    }
}
