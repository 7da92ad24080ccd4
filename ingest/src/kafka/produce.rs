//! INSERT INTO a Kafka table: rows become messages of its topic, in its format.
//!
//! Not part of any commit: a failed insert may have sent some of its messages, as in ClickHouse. What
//! views and inserts with a token write is committed first and delivered by [`super::output`]. A
//! `_key` or `_timestamp` column of the table sets the message's key or time (of its last row); with
//! `kafka_map_virtual_columns_on_write`, `_headers.name` and `_headers.value` its headers, and none of
//! them is in the payload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_query::context::{QueryContext, Settings};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::Table;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType, Value};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};

use super::secrets::error_text;
use super::settings::KafkaSettings;
use crate::format::{FormatOptions, FormatWriter, WriterStatistics};

/// How long an insert waits for the broker.
const DELIVERY_WAIT: Duration = Duration::from_secs(60);

/// Sends all rows of `block`; returns when the broker has them.
pub fn produce(table: &Table, block: &Block, ctx: &Arc<QueryContext>) -> Result<u64> {
    let messages = Messages::new(table, &ctx.settings, ctx.time_zone)?;
    let client_id = format!("pumphouse-{}", table.definition.full_name());
    let config = super::client_properties::producer(&messages.settings, &client_id);
    let producer = Sending::create(&config)?;
    messages.each(block, &mut |message| {
        ctx.check()?;
        producer.send(&messages.topic, message)
    })?;
    producer.flush()?;
    Ok(block.rows() as u64)
}

/// Whether rows can be written to the table at all.
pub(crate) fn check(table: &Table) -> Result<()> {
    Messages::new(table, &Settings::default(), TimeZone::UTC).map(|_| ())
}

/// How rows of a table become messages of its topic.
pub(super) struct Messages {
    pub(super) settings: KafkaSettings,
    pub(super) topic: String,
    options: FormatOptions,
}

/// One message on its way out.
pub(super) struct Outgoing<'a> {
    payload: &'a [u8],
    /// Where its head comes from: the last of its rows.
    block: &'a Block,
    row: usize,
    with_headers: bool,
}

impl Messages {
    /// `profile` are the format settings that the table's own lie over.
    pub(super) fn new(table: &Table, profile: &Settings, time_zone: TimeZone) -> Result<Messages> {
        let definition = &table.definition;
        let mut settings = KafkaSettings::from_settings(&definition.settings)?;
        settings.expand_macros(definition)?;
        let [topic] = &settings.topics[..] else {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Can't write to Kafka table with multiple topics!",
            ));
        };
        let mut options = FormatOptions { settings: profile.clone(), time_zone };
        for (name, value) in &settings.format_settings {
            options.settings.set(name.clone(), value.clone());
        }
        if !settings.schema.is_empty() {
            options.settings.set("format_schema", settings.schema.clone());
        }
        Ok(Messages { topic: topic.clone(), settings, options })
    }

    /// Gives the rows of `block` to `send`, message by message.
    pub(super) fn each(
        &self,
        block: &Block,
        send: &mut dyn FnMut(&Outgoing<'_>) -> Result<()>,
    ) -> Result<()> {
        let rows_per_message = self.settings.max_rows_per_message as usize;
        let with_headers = self.settings.map_virtual_columns;
        let body = if with_headers { without_head(block) } else { block.clone() };
        let mut payload = vec![];
        let mut writer = None;
        let mut at = 0;
        while at < block.rows() {
            let rows = rows_per_message.min(block.rows() - at);
            payload.clear();
            self.write_message(&mut writer, &body.slice(at, rows), &mut payload)?;
            at += rows;
            send(&Outgoing { payload: &payload, block, row: at - 1, with_headers })?;
        }
        Ok(())
    }

    /// One message. The writer of the last is used again if it can be: what it knows of a schema is not read anew.
    fn write_message(
        &self,
        writer: &mut Option<Box<dyn FormatWriter>>,
        rows: &Block,
        payload: &mut Vec<u8>,
    ) -> Result<()> {
        if !writer.as_mut().is_some_and(|w| w.again()) {
            *writer = None;
        }
        let writer = match writer {
            Some(writer) => writer,
            None => writer.insert(crate::format::writer(&self.settings.format, &self.options)?),
        };
        writer.prefix(&rows.schema(), payload)?;
        writer.block(rows, payload)?;
        writer.suffix(&WriterStatistics::default(), payload)
    }
}

/// A producer and what became of its messages.
pub(super) struct Sending(pub(super) BaseProducer<Deliveries>);

impl Sending {
    pub(super) fn create(config: &ClientConfig) -> Result<Sending> {
        let producer = config
            .create_with_context(Deliveries::default())
            .map_err(|e| failed(&error_text(&e)))?;
        Ok(Sending(producer))
    }

    /// Hands one message to the client; waits while its queue is full.
    pub(super) fn send(&self, topic: &str, message: &Outgoing<'_>) -> Result<()> {
        let producer = &self.0;
        let key = message.block.column("_key").map(|c| c.value(message.row));
        let key = key.as_ref().and_then(Value::as_bytes);
        let end = Instant::now() + DELIVERY_WAIT;
        loop {
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(topic).payload(message.payload);
            record.key = key;
            record.timestamp = timestamp_ms(message.block, message.row);
            record.headers =
                if message.with_headers { headers(message.block, message.row) } else { None };
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

    /// Waits until the broker has all of them.
    pub(super) fn flush(&self) -> Result<()> {
        self.0.flush(DELIVERY_WAIT).map_err(|e| failed(&e.to_string()))?;
        match self.0.context().first_error.lock().take() {
            Some(error) => Err(failed(&error)),
            None => Ok(()),
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

pub(super) fn failed(reason: &str) -> Error {
    Error::new(codes::ABORTED, format!("Cannot write to Kafka: {reason}"))
}

/// Remembers the first message that the broker did not take.
#[derive(Default)]
pub(super) struct Deliveries {
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
