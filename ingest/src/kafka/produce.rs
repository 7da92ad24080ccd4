//! INSERT INTO a Kafka table: rows become messages of its topic, in its format.
//!
//! Not part of any commit: a failed insert may have sent some of its messages, as in ClickHouse. A
//! `_key` or `_timestamp` column of the table sets the message's key or time (of its last row); with
//! `kafka_map_virtual_columns_on_write`, `_headers.name` and `_headers.value` its headers, and none of
//! them is in the payload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::Table;
use pumphouse_storage::{Block, DataType, Value};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::secrets::error_text;
use super::settings::KafkaSettings;
use crate::format::{FormatOptions, WriterStatistics};

/// How long an insert waits for the broker.
const DELIVERY_WAIT: Duration = Duration::from_secs(60);

/// Sends all rows of `block`; returns when the broker has them.
pub fn produce(table: &Table, block: &Block, ctx: &Arc<QueryContext>) -> Result<u64> {
    let definition = &table.definition;
    let mut settings = KafkaSettings::from_settings(&definition.settings)?;
    settings.expand_macros(definition)?;
    let [topic] = &settings.topics[..] else {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "Can't write to Kafka table with multiple topics!",
        ));
    };
    let client_id = format!("pumphouse-{}", definition.full_name());
    let config = super::client_properties::producer(&settings, &client_id);
    let producer: BaseProducer<Deliveries> =
        config.create_with_context(Deliveries::default()).map_err(|e| failed(&error_text(&e)))?;
    let mut options = FormatOptions { settings: ctx.settings.clone(), time_zone: ctx.time_zone };
    for (name, value) in &settings.format_settings {
        options.settings.set(name.clone(), value.clone());
    }
    if !settings.schema.is_empty() {
        options.settings.set("format_schema", settings.schema.clone());
    }
    let rows_per_message = settings.max_rows_per_message as usize;
    let body = match settings.map_virtual_columns {
        true => without_head(block),
        false => block.clone(),
    };
    let mut payload = vec![];
    let mut at = 0;
    while at < block.rows() {
        ctx.check()?;
        let rows = rows_per_message.min(block.rows() - at);
        payload.clear();
        write_message(&settings.format, &options, &body.slice(at, rows), &mut payload)?;
        at += rows;
        send(&producer, topic, &payload, block, at - 1, settings.map_virtual_columns)?;
    }
    producer.flush(DELIVERY_WAIT).map_err(|e| failed(&e.to_string()))?;
    match producer.context().first_error.lock().take() {
        Some(error) => Err(failed(&error)),
        None => Ok(block.rows() as u64),
    }
}

fn write_message(
    format: &str,
    options: &FormatOptions,
    rows: &Block,
    payload: &mut Vec<u8>,
) -> Result<()> {
    let mut writer = crate::format::writer(format, options)?;
    writer.prefix(&rows.schema(), payload)?;
    writer.block(rows, payload)?;
    writer.suffix(&WriterStatistics::default(), payload)
}

fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    payload: &[u8],
    block: &Block,
    row: usize,
    with_headers: bool,
) -> Result<()> {
    let key = block.column("_key").map(|c| c.value(row));
    let key = key.as_ref().and_then(Value::as_bytes);
    let end = Instant::now() + DELIVERY_WAIT;
    loop {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(payload);
        record.key = key;
        record.timestamp = timestamp_ms(block, row);
        record.headers = if with_headers { headers(block, row) } else { None };
        match producer.send(record) {
            Ok(()) => {
                producer.poll(Duration::ZERO);
                return Ok(());
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if Instant::now() < end =>
            {
                producer.poll(Duration::from_millis(50));
            }
            Err((e, _)) => return Err(failed(&e.to_string())),
        }
    }
}

/// Columns that describe the message and are not in it.
const HEAD: [&str; 4] = ["_key", "_timestamp", "_headers.name", "_headers.value"];

fn without_head(block: &Block) -> Block {
    let named = block.names.iter().zip(&block.columns);
    let body = named.filter(|(name, _)| !HEAD.contains(&name.as_str()));
    Block::new(body.map(|(name, column)| (name.clone(), column.clone())).collect())
}

/// The row's headers, if the table has both columns.
fn headers(block: &Block, row: usize) -> Option<OwnedHeaders> {
    let names = block.column("_headers.name")?.value(row);
    let values = block.column("_headers.value")?.value(row);
    let (Value::Array(names), Value::Array(values)) = (names, values) else { return None };
    let mut headers = OwnedHeaders::new();
    for (name, value) in names.iter().zip(&values) {
        let key = String::from_utf8_lossy(name.as_bytes()?).into_owned();
        headers = headers.insert(Header { key: &key, value: value.as_bytes() });
    }
    Some(headers)
}

/// `_timestamp` of the row, in milliseconds.
fn timestamp_ms(block: &Block, row: usize) -> Option<i64> {
    let column = block.column("_timestamp")?;
    let value = column.value(row).as_i128()? as i64;
    match column.data_type.inner() {
        DataType::DateTime(_) => Some(value * 1000),
        DataType::DateTime64(3, _) => Some(value),
        _ => None,
    }
}

fn failed(reason: &str) -> Error {
    Error::new(codes::ABORTED, format!("Cannot write to Kafka: {reason}"))
}

/// Remembers the first message that the broker did not take.
#[derive(Default)]
struct Deliveries {
    first_error: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("Kafka producer: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((e, _)) = result {
            self.first_error.lock().get_or_insert_with(|| e.to_string());
        }
    }
}
